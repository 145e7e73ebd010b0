//! The text of a first configuration, and what counts as an answer.

use std::fmt::Write;

use crate::import::identifier;
use crate::import::point::PortKind;

/// The regions that have public instances without an id of their own, whose host is made of the
/// region ("Connect a client over MQTT"). Instances of every other kind have a host of their own.
const REGIONS: [&str; 6] = [
    "cn-shanghai",
    "ap-northeast-1",
    "ap-southeast-1",
    "eu-central-1",
    "us-west-1",
    "us-east-1",
];

/// What stands for an answer that was left open; a gateway with it does not connect.
const OPEN: &str = "CHANGE-ME";

/// The first port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Port {
    /// A serial line.
    Serial(String),
    /// A host and its port number.
    Tcp(String, u16),
}

/// The first device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstDevice {
    /// The name of its profile.
    pub profile: String,
    /// Its unit id.
    pub unit: u8,
    /// Its product, if it is known.
    pub product_key: Option<String>,
}

/// All answers; what was left open is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstConfiguration {
    /// The product of the gateway.
    pub product_key: Option<String>,
    /// The name of the gateway at the platform.
    pub device_name: Option<String>,
    /// Where the platform is.
    pub url: Option<String>,
    /// The file with the gateway's secret, beside the configuration or absolute.
    pub secret_file: String,
    /// The first port.
    pub port: Option<Port>,
    /// The first device.
    pub device: Option<FirstDevice>,
}

impl Port {
    /// Reads a port. A device file may be written without its folder, `ttyUSB0`.
    ///
    /// # Errors
    /// What is wanted instead.
    pub fn of(text: &str) -> Result<Port, String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "/-_.:".contains(c);
        let of_windows = text.get(..3).zip(text.get(3..)).is_some_and(|(com, n)| {
            let n = n.trim_end_matches(':');
            com.eq_ignore_ascii_case("com") && n.parse::<u16>().is_ok()
        });
        if of_windows {
            return Err("a port such as COM3 is one of Windows: here a serial line is a device file such as /dev/ttyUSB0".into());
        }
        let whole = match text.strip_prefix("dev/") {
            Some(_) => format!("/{text}"),
            None if text.starts_with("tty") && !text.contains(['.', ':']) => format!("/dev/{text}"),
            None => text.to_owned(),
        };
        let text = whole.as_str();
        if text.starts_with('/') {
            return match text.chars().all(plain) {
                true => Ok(Port::Serial(text.to_owned())),
                false => Err("this is no device file such as /dev/ttyUSB0".into()),
            };
        }
        match PortKind::endpoint(text) {
            Some(PortKind::Tcp { host, port }) => Ok(Port::Tcp(host, port)),
            Some(PortKind::Serial { .. }) | None => Err(
                "this is no device file such as /dev/ttyUSB0, and no host such as 192.168.1.10:502"
                    .into(),
            ),
        }
    }
}

/// Reads a ProductKey.
///
/// # Errors
/// What is wanted instead.
pub fn product_key(text: &str) -> Result<String, String> {
    let fits = (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric());
    match fits {
        true => Ok(text.to_owned()),
        false => Err("a ProductKey has letters and digits, as the console shows it".into()),
    }
}

/// Reads a DeviceName.
///
/// # Errors
/// What is wanted instead.
pub fn device_name(text: &str) -> Result<String, String> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"-_@.:".contains(&b);
    match (4..=32).contains(&text.len()) && text.bytes().all(good) {
        true => Ok(text.to_owned()),
        false => Err("a DeviceName has 4 to 32 letters, digits or - _ @ . :".into()),
    }
}

/// Reads the name of a profile.
///
/// # Errors
/// What is wanted instead.
pub fn name(text: &str) -> Result<String, String> {
    match identifier::name(text).as_deref() == Some(text) {
        true => Ok(text.to_owned()),
        false => Err("the name of a profile has letters, digits and - _ . and no blanks".into()),
    }
}

/// Makes the URL of a host, an instance, a region or a URL. A region without an instance is that of
/// a public instance without an id, whose host has the ProductKey in front ("Connect a client over
/// MQTT").
///
/// # Errors
/// What is wanted instead.
pub fn url(text: &str, product_key: &str) -> Result<String, String> {
    if let Some((scheme, _)) = text.split_once("://")
        && !["mqtts", "mqtt"].contains(&scheme)
    {
        return Err("this is a page and no MQTT host: the console shows the MQTT host with the parameters of the gateway, and its URL begins with mqtts://".into());
    }
    let good = |c: char| c.is_ascii_alphanumeric() || "-_.:/[]".contains(c);
    if text.is_empty() || !text.chars().all(good) {
        return Err("this is no host, no region and no URL".into());
    }
    if text.contains("://") {
        return Ok(text.to_owned());
    }
    let host = match (text.contains('.'), text.starts_with("iot-")) {
        (true, _) => text.to_owned(),
        (false, true) => format!("{text}.mqtt.iothub.aliyuncs.com"),
        (false, false) if text.contains('_') => {
            return Err("the id of a public instance is no part of its host: give the MQTT host that the console shows".into());
        }
        (false, false) if !REGIONS.contains(&text) => {
            return Err(format!(
                "{text} has no public instances without an id, as {} have: give the MQTT host that the console shows",
                REGIONS.join(", ")
            ));
        }
        (false, false) if product_key.is_empty() => {
            return Err("a region needs the ProductKey of the gateway".into());
        }
        (false, false) => format!("{product_key}.iot-as-mqtt.{text}.aliyuncs.com"),
    };
    // Port 1883 speaks TLS too, with a certificate of a public root, which many systems know.
    // Mozilla's list, which Debian takes over, distrusts it since 2025-04-15: a system with a newer
    // list needs port 8883 and the root that the package brings.
    let host = match host.rsplit_once(':') {
        Some(_) => host,
        None => format!("{host}:1883"),
    };
    Ok(format!("mqtts://{host}"))
}

impl FirstConfiguration {
    /// Returns what was left open, by the keys of the configuration.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let open = [
            ("gateway.product_key", self.product_key.is_none()),
            ("gateway.device_name", self.device_name.is_none()),
            ("cloud.url", self.url.is_none()),
            ("ports", self.port.is_none()),
            ("devices", !self.has_device()),
        ];
        let open = open.iter().filter(|(_, is_open)| *is_open);
        open.map(|(key, _)| (*key).to_owned()).collect()
    }

    /// Returns whether the first device can be a part of the configuration: its port and its
    /// product are known.
    fn has_device(&self) -> bool {
        let product = self.device.as_ref().and_then(|d| d.product_key.as_ref());
        product.is_some() && self.port.is_some()
    }

    /// Writes the configuration; `say` translates the comments.
    #[must_use]
    pub fn yaml(&self, say: &dyn Fn(&str) -> String) -> String {
        let mut out = String::new();
        let note = |text: &str| format!("# {}\n", say(text));
        let or_open = |answer: &Option<String>| answer.clone().unwrap_or_else(|| OPEN.into());
        // Without all of its identity the gateway is one that is not commissioned.
        let is_whole =
            self.product_key.is_some() && self.device_name.is_some() && self.url.is_some();
        out += &note("The configuration of this gateway, made by alink-gateway init.");
        out += &note(
            "alink-gateway.yaml(5) shows all keys; files in conf.d/*.yaml beside this one are added to it.",
        );
        out += "\ngateway:\n";
        match is_whole {
            true => key(&mut out, "  ", "product_key", &or_open(&self.product_key)),
            false => key(&mut out, "  ", "product_key", OPEN),
        }
        if let Some(known) = self.product_key.as_deref().filter(|_| !is_whole) {
            key(&mut out, "  # ", "product_key", known);
        }
        key(
            &mut out,
            "  ",
            "device_name",
            &quoted(&or_open(&self.device_name)),
        );
        out += "  ";
        out += &note(
            "A file with the DeviceSecret and nothing else, mode 0640, which the service can read.",
        );
        key(&mut out, "  ", "secret_file", &quoted(&self.secret_file));
        out += "\ncloud:\n";
        let open = format!("mqtts://{OPEN}.mqtt.iothub.aliyuncs.com");
        key(
            &mut out,
            "  ",
            "url",
            &quoted(self.url.as_ref().unwrap_or(&open)),
        );
        out += "  ";
        out += &note(
            "If the certificate is not trusted: port 8883, and ca_file: aliyun-iot-ca.pem (the platform's root).",
        );
        out += "\n";
        out += &note("The package's profiles; your own go beside: add profiles/*.yaml.");
        let profiles = "[/usr/share/alink-gateway/profiles/*.yaml]";
        key(&mut out, "", "profiles_from", profiles);
        out += "\nports:\n";
        if let Some(port) = &self.port {
            key(&mut out, "  - ", "name", LINE);
            match port {
                Port::Serial(device) => {
                    out += "    serial:\n";
                    key(&mut out, "      ", "device", &quoted(device));
                    key(&mut out, "      ", "baud", "9600");
                    out += "      ";
                    out += &note("parity: even, and others: as the devices are set");
                }
                Port::Tcp(host, port) => {
                    out += "    tcp:\n";
                    key(&mut out, "      ", "host", &quoted(host));
                    key(&mut out, "      ", "port", &port.to_string());
                }
            }
        }
        out += "  ";
        out += &note("more ports go here");
        out += "\ndevices:\n";
        if let Some(device) = &self.device {
            self.device(device, &mut out);
        }
        out += "  ";
        out += &note("more devices go here");
        out
    }

    /// Writes the first device. One without a product would be a mistake; as a comment it is a
    /// place to fill in.
    fn device(&self, device: &FirstDevice, out: &mut String) {
        let (first, further) = match self.has_device() {
            true => ("  - ", "    "),
            false => ("  #- ", "  #  "),
        };
        let unit = device.unit.to_string();
        let name = identifier::device_name(&format!("{}-{unit}", device.profile));
        let name = name.unwrap_or_else(|| format!("device-{unit}"));
        key(out, first, "name", &quoted(&name));
        key(out, further, "port", LINE);
        key(out, further, "unit", &unit);
        key(out, further, "profile", &quoted(&device.profile));
        key(
            out,
            further,
            "product_key",
            device.product_key.as_deref().unwrap_or(OPEN),
        );
        key(out, further, "register", "true");
    }
}

/// The name of the first port.
const LINE: &str = "line1";

fn key(out: &mut String, indent: &str, key: &str, value: &str) {
    let _ = writeln!(out, "{indent}{key}: {value}");
}

/// Writes a text that was checked to have no quotes.
fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

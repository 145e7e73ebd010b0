//! The sections `gateway:` and `cloud:`: the gateway's identity, the broker, and the platform's
//! limits.

use std::path::Path;
use std::time::Duration;

use super::limits;
use super::remote;
use super::secret::{self, SecretSource};
use crate::base::text::counted;
use crate::config::reader::problem::Expectation;
use crate::config::reader::section::{Notes, Section, shown};
use crate::config::reader::tree::OriginId;
use crate::config::reader::word_parsers::{
    choice, device_name, file_name, host, name, product_key, time, whole,
};
use crate::spec::{
    InstanceKind, PostPolicy, Registration, RemotePolicy, SessionLimits, SignMethod, StorePolicy,
    Subscriptions, Transport,
};

/// The word that the package writes where the operator has to fill in a value. A gateway whose
/// product key is still this word is not commissioned: it starts, polls its devices, and does not
/// connect to the platform.
pub(crate) const PLACEHOLDER: &str = "CHANGE-ME";

/// `gateway:` and `cloud:` without the secret, which is still to be read.
pub(crate) struct Platform {
    pub(crate) commissioned: bool,
    pub(crate) product_key: String,
    pub(crate) device_name: String,
    pub(crate) secret: SecretSource,
    /// How to register, if the secret is the product's.
    pub(crate) registration: Option<(Registration, Option<String>)>,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) transport: Transport,
    pub(crate) ca_file: Option<(String, OriginId)>,
    pub(crate) keepalive: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) sign_method: SignMethod,
    pub(crate) subscriptions: Subscriptions,
    /// The kind of the instance, and where it was written.
    pub(crate) instance: Option<(InstanceKind, OriginId)>,
    pub(crate) session: SessionLimits,
    pub(crate) post: PostPolicy,
    /// Where `post:` was written, or `cloud:` if it was not.
    pub(crate) post_at: OriginId,
    pub(crate) store: StorePolicy,
    pub(crate) remote: RemotePolicy,
}

const GATEWAY: [&str; 10] = [
    "product_key",
    "device_name",
    "secret",
    "secret_file",
    "secret_credential",
    "product_secret",
    "product_secret_file",
    "product_secret_credential",
    "registration",
    "instance_id",
];

const CLOUD: [&str; 10] = [
    "url",
    "instance",
    "ca_file",
    "keepalive",
    "sign_method",
    "subscriptions",
    "connect_timeout",
    "session",
    "post",
    "store",
];

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Reads both sections.
pub(crate) fn read(root: &Section<'_>, base: &Path, notes: &mut Notes) -> Platform {
    let gateway = root.section("gateway", &GATEWAY, notes);
    if root.node("gateway").is_none() {
        root.lacks(
            "gateway",
            Expectation::wanted("the gateway's own product_key, device_name and secret_file")
                .hint("copy them from the device's page in the console"),
            notes,
        );
    }
    let product_written = gateway.text("product_key", "the ProductKey", notes);
    let commissioned = product_written != Some(PLACEHOLDER);
    let identity = if !commissioned {
        notes.warning(
            gateway.at("product_key"),
            PLACEHOLDER,
            Expectation::wanted("the ProductKey of this gateway").hint(
                "not commissioned: the service starts but does not connect; fill in gateway: and cloud.url",
            ),
        );
        GatewaySection {
            product_key: PLACEHOLDER.into(),
            device_name: PLACEHOLDER.into(),
            secret: SecretSource::Missing,
            registration: None,
        }
    } else {
        identity(&gateway, notes)
    };

    let cloud = root.section("cloud", &CLOUD, notes);
    let (host, port, tls) = if commissioned {
        endpoint(root, &cloud, notes)
    } else {
        (PLACEHOLDER.into(), 8883, true)
    };
    let ca_file = cloud.read("ca_file", file_name, notes);
    let transport = if tls {
        Transport::Tls {
            ca_file: ca_file.as_deref().map(|f| base.join(f)),
        }
    } else {
        if identity.registration.is_some() {
            notes.error(
                cloud.at("url"),
                format!("mqtt://{}, with a product secret", shown(&host)),
                Expectation::wanted("mqtts://, over which alone the platform hands out secrets"),
            );
        }
        Transport::Plain
    };
    let instance = cloud.read("instance", choice(&INSTANCES), notes);
    let quota = instance.map(InstanceKind::quota);
    Platform {
        commissioned,
        product_key: identity.product_key,
        device_name: identity.device_name,
        secret: identity.secret,
        registration: identity.registration,
        host,
        port,
        transport,
        ca_file: ca_file.map(|f| (f, cloud.at("ca_file"))),
        keepalive: keepalive(&cloud, notes),
        connect_timeout: cloud
            .read("connect_timeout", time(secs(1)..=secs(120)), notes)
            .unwrap_or(secs(10)),
        sign_method: cloud
            .read("sign_method", sign_method, notes)
            .unwrap_or(SignMethod::HmacSha256),
        subscriptions: cloud
            .read("subscriptions", choice(&SUBSCRIPTIONS), notes)
            .unwrap_or(Subscriptions::Platform),
        instance: instance.map(|kind| (kind, cloud.at("instance"))),
        session: limits::session(&cloud, quota, notes),
        post: limits::post(&cloud, quota, notes),
        post_at: cloud.at("post"),
        store: limits::store(&cloud, notes),
        remote: remote::read(root, notes),
    }
}

/// The values of `gateway:`.
struct GatewaySection {
    product_key: String,
    device_name: String,
    secret: SecretSource,
    registration: Option<(Registration, Option<String>)>,
}

fn identity(gateway: &Section<'_>, notes: &mut Notes) -> GatewaySection {
    if !gateway.is_there() {
        return GatewaySection {
            product_key: String::new(),
            device_name: String::new(),
            secret: SecretSource::Missing,
            registration: None,
        };
    }
    let product = gateway.need(
        "product_key",
        product_key,
        || Expectation::wanted("the ProductKey of the gateway"),
        notes,
    );
    let device = gateway.need(
        "device_name",
        |text| {
            if text == PLACEHOLDER {
                return Err(Expectation::wanted("the DeviceName of this gateway"));
            }
            device_name(text)
        },
        || Expectation::wanted("the DeviceName of the gateway"),
        notes,
    );
    let (secret, registration) = certificate(gateway, notes);
    GatewaySection {
        product_key: product.unwrap_or_default(),
        device_name: device.unwrap_or_default(),
        secret,
        registration,
    }
}

/// Reads the gateway's own secret, or its product's and how to register with it.
fn certificate(
    gateway: &Section<'_>,
    notes: &mut Notes,
) -> (SecretSource, Option<(Registration, Option<String>)>) {
    let keys: Vec<&str> = [secret::KEYS, secret::PRODUCT_KEYS].concat();
    let found = secret::find(gateway, &keys, notes);
    let way = gateway.read("registration", choice(&REGISTRATIONS), notes);
    let instance = gateway.read("instance_id", instance_id, notes);
    let (key, source) = match found {
        Some(found) => found,
        None => {
            let registers = gateway.node("registration").is_some();
            let wrong = if registers {
                Expectation::wanted("the ProductSecret: product_secret_file, product_secret_credential or product_secret")
                    .hint("registration: asks the platform for the gateway's own secret, by its product's")
            } else {
                Expectation::wanted("the DeviceSecret: secret_file, secret_credential or secret").hint(
                    "secret_file: names a file that holds the secret and nothing else; with the product's secret instead, product_secret_file:, the gateway registers itself",
                )
            };
            let key = if registers {
                "product_secret"
            } else {
                "secret"
            };
            gateway.lacks(key, wrong, notes);
            return (SecretSource::Missing, None);
        }
    };
    if secret::PRODUCT_KEYS.contains(&key) {
        let way = way.unwrap_or(Registration::Register);
        return (source, Some((way, instance)));
    }
    // A later layer may replace a product's secret by the gateway's own.
    let replaced = secret::PRODUCT_KEYS
        .iter()
        .any(|key| gateway.node(key).is_some());
    for unused in ["registration", "instance_id"] {
        if gateway.node(unused).is_some() && !replaced {
            notes.error(
                gateway.at(unused),
                format!("{unused} beside {key}"),
                Expectation::wanted(
                    "nothing here: a gateway with a secret of its own does not register",
                )
                .hint("product_secret_file: names the secret to register with"),
            );
        }
    }
    (source, None)
}

const REGISTRATIONS: [(&str, Registration); 2] = [
    ("register", Registration::Register),
    ("regnwl", Registration::RegNwl),
];

/// Parses an instance id. It becomes a part of a client id, where `,`, `=` and `|` have a
/// meaning.
fn instance_id(text: &str) -> Result<String, Expectation> {
    name(text)
        .ok()
        .filter(|id| {
            id.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
        .ok_or_else(|| {
            Expectation::wanted("the id of the instance, iot-…, as the console shows it")
        })
}

fn endpoint(root: &Section<'_>, cloud: &Section<'_>, notes: &mut Notes) -> (String, u16, bool) {
    let nowhere = (String::new(), 8883, true);
    if root.node("cloud").is_none() {
        root.lacks(
            "cloud",
            Expectation::wanted("a section with the platform's url"),
            notes,
        );
        return nowhere;
    }
    if !cloud.is_there() {
        return nowhere;
    }
    let found = cloud.need(
        "url",
        url,
        || {
            Expectation::wanted("mqtts://HOST or mqtts://HOST:PORT")
                .hint("the console shows the host under MQTT connection parameters")
        },
        notes,
    );
    let Some((host, port, tls)) = found else {
        return nowhere;
    };
    if !tls {
        let said = shown(cloud.text("url", "", notes).unwrap_or_default());
        notes.warning(
            cloud.at("url"),
            said,
            Expectation::wanted("mqtts://").hint(
                "without TLS every machine on the way can read and change everything; accounts opened after 2022-08-02 are refused",
            ),
        );
    }
    (host, port, tls)
}

/// Parses the broker's URL: host, port, and whether TLS is used.
fn url(text: &str) -> Result<(String, u16, bool), Expectation> {
    let wanted = || Expectation::wanted("mqtts://HOST or mqtts://HOST:PORT");
    let (scheme, rest) = text.split_once("://").ok_or_else(|| {
        wanted().hint("the scheme says how to connect: mqtts:// with TLS, mqtt:// without")
    })?;
    let tls = match scheme {
        "mqtts" => true,
        "mqtt" => false,
        "ssl" | "tls" => return Err(wanted().hint("TLS is written mqtts://")),
        "tcp" => return Err(wanted().hint("plain TCP is written mqtt://")),
        _ => return Err(wanted().hint("only mqtts:// and mqtt:// are understood")),
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains('@') {
        return Err(wanted().hint("no user or password here; they follow from gateway:"));
    }
    if rest.contains(['/', '?', '#']) {
        return Err(wanted().hint("nothing follows the host and its port: no path"));
    }
    let (name, port) = match rest.strip_prefix('[') {
        Some(v6) => {
            let (name, port) = v6.split_once(']').ok_or_else(wanted)?;
            (
                name,
                port.strip_prefix(':').or(port.is_empty().then_some("")),
            )
        }
        None => match rest.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (rest, Some("")),
        },
    };
    let port = match port {
        Some("") if !rest.ends_with(':') => {
            if tls {
                8883
            } else {
                1883
            }
        }
        Some(port) => whole(1..=65535u16)(port)
            .map_err(|_| wanted().hint("the port is a number, 1 to 65535"))?,
        None => return Err(wanted()),
    };
    if name == PLACEHOLDER || name.starts_with("CHANGE-ME.") {
        return Err(Expectation::wanted("the host of your instance")
            .hint("the console shows it under MQTT connection parameters"));
    }
    if name.contains(':') && !rest.starts_with('[') {
        return Err(wanted());
    }
    Ok((host(name).map_err(|_| wanted())?, port, tls))
}

fn keepalive(cloud: &Section<'_>, notes: &mut Notes) -> Duration {
    let parse = |text: &str| {
        let bare = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let text = if bare {
            format!("{text}s")
        } else {
            text.into()
        };
        time(secs(30)..=secs(1200))(&text)
            .ok()
            .filter(|d| d.subsec_millis() == 0)
            .ok_or_else(|| {
                Expectation::wanted("30 to 1200 seconds")
                    .hint("the platform refuses any other keepalive; 300 is what it recommends")
            })
    };
    let Some(keepalive) = cloud.read("keepalive", parse, notes) else {
        return secs(300);
    };
    if keepalive < secs(300) {
        notes.warning(
            cloud.at("keepalive"),
            format!("{} seconds", keepalive.as_secs()),
            Expectation::wanted("300 seconds or more").hint(
                "the platform recommends it; shorter costs traffic, and finds a dead link sooner",
            ),
        );
    }
    keepalive
}

fn sign_method(text: &str) -> Result<SignMethod, Expectation> {
    let wanted = || Expectation::wanted("hmacsha256, hmacsha1 or hmacmd5");
    match text.to_ascii_lowercase().as_str() {
        "hmacsha256" => Ok(SignMethod::HmacSha256),
        "hmacsha1" => Ok(SignMethod::HmacSha1),
        "hmacmd5" => Ok(SignMethod::HmacMd5),
        "sha256" => Err(wanted().hint(
            "sha256 without a key is named by the platform, but what it hashes is not published; hmacsha256 works everywhere",
        )),
        other => {
            let words = ["hmacsha256", "hmacsha1", "hmacmd5"];
            Err(wanted().maybe_hint(crate::config::reader::suggestions::did_you_mean(other, words)))
        }
    }
}

const SUBSCRIPTIONS: [(&str, Subscriptions); 2] = [
    ("platform", Subscriptions::Platform),
    ("broker", Subscriptions::Broker),
];

const INSTANCES: [(&str, InstanceKind); 3] = [
    ("standard", InstanceKind::Standard),
    ("public", InstanceKind::Public),
    ("legacy-public", InstanceKind::LegacyPublic),
];

/// Warns of a fleet that is larger than the instance's quota of devices online at once.
pub(crate) fn check_fleet(platform: &Platform, devices: usize, notes: &mut Notes) {
    let Some((kind, at)) = platform.instance else {
        return;
    };
    let Some(most) = kind.quota().online else {
        return;
    };
    let online = platform.session.online;
    // A number of the operator's own counts the gateway's devices alone.
    let (gateway, itself) = match online == most {
        true => (1, " and the gateway itself"),
        false => (0, ""),
    };
    if devices + gateway > online {
        notes.warning(
            at,
            format!("{}{itself}", counted(devices, "device")),
            Expectation::wanted(format!(
                "at most {online} online at once, the quota of the instance"
            ))
            .hint(
                "the others are offline until one of those leaves; a bought instance (instance: standard) has the quota that was bought",
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_host_port_and_manner() {
        for (text, host, port, tls) in [
            ("mqtts://a.example", "a.example", 8883, true),
            ("mqtt://a.example", "a.example", 1883, false),
            ("mqtts://a.example:443/", "a.example", 443, true),
            ("mqtt://[::1]:1884", "::1", 1884, false),
            ("mqtts://[fe80::1]", "fe80::1", 8883, true),
        ] {
            assert_eq!(url(text).ok(), Some((host.into(), port, tls)), "{text}");
        }
        for text in [
            "",
            "a.example",
            "http://a",
            "mqtts://",
            "mqtts://:8883",
            "mqtts://a:0",
            "mqtts://a:99999",
            "mqtts://a:",
            "mqtts://u:p@a",
            "mqtts://a/b",
            "mqtts://::1",
            "mqtts://[::1",
            "mqtts://[::1]x",
            "mqtts://[]",
            "mqtts://a b",
        ] {
            assert!(url(text).is_err(), "{text}");
        }
    }
}

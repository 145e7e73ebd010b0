//! The gateway under test: its configuration and its process.

use std::fmt::Write;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use crate::child::Child;

/// The gateway's own certificate in every story.
pub(crate) const GATEWAY: (&str, &str, &str) =
    ("a1GwDemoPk0", "gw-0001", "GwSecret0123456789abcdefABCDEF00");
/// The secret of the gateway's product.
pub(crate) const PRODUCT_SECRET: &str = "ProdSecret000001";
/// The product of every meter.
pub(crate) const METER_PRODUCT: &str = "a1SubDemoPk";

/// A configuration being written.
pub(crate) struct Config {
    gateway: String,
    cloud: String,
    ports: String,
    /// The profiles beside that of the meters.
    profiles: String,
    devices: String,
}

impl Config {
    /// Begins a gateway that connects to `url`; `more` are further lines of `cloud:`.
    pub(crate) fn towards(url: &str, more: &[String]) -> Config {
        let mut cloud = format!("  url: {url}\n");
        for line in more {
            writeln!(cloud, "  {line}").unwrap();
        }
        let (product, name, secret) = GATEWAY;
        Config {
            gateway: format!("{{ product_key: {product}, device_name: {name}, secret: {secret} }}"),
            cloud,
            ports: String::new(),
            profiles: String::new(),
            devices: String::new(),
        }
    }

    /// Gives the gateway its product's certificate instead of its own; the certificate
    /// it gets is kept in `state`, beside the configuration.
    pub(crate) fn registering(mut self, registration: &str) -> Config {
        let (product, name, _) = GATEWAY;
        self.gateway = format!(
            "{{ product_key: {product}, device_name: {name}, product_secret: {PRODUCT_SECRET}, registration: {registration} }}
state_dir: state"
        );
        self
    }

    /// Adds a serial port; its name is the last part of its path.
    pub(crate) fn serial(mut self, tty: &Path, units: &[u8]) -> Config {
        let name = tty.file_name().unwrap().to_str().unwrap().to_owned();
        let tty = tty.display();
        writeln!(
            self.ports,
            "  - {{ name: {name}, grace: 2s, serial: {{ device: {tty}, baud: 115200, parity: none }} }}"
        )
        .unwrap();
        self.meters(&name, units)
    }

    /// Adds a serial port that speaks ASCII.
    pub(crate) fn ascii(mut self, tty: &Path, units: &[u8]) -> Config {
        let name = tty.file_name().unwrap().to_str().unwrap().to_owned();
        let tty = tty.display();
        writeln!(
            self.ports,
            "  - {{ name: {name}, serial: {{ device: {tty}, framing: ascii, baud: 115200 }} }}"
        )
        .unwrap();
        self.meters(&name, units)
    }

    /// Adds a serial server.
    pub(crate) fn rtu_over_tcp(mut self, name: &str, port: u16, units: &[u8]) -> Config {
        writeln!(
            self.ports,
            "  - {{ name: {name}, tcp: {{ host: 127.0.0.1, port: {port}, framing: rtu }} }}"
        )
        .unwrap();
        self.meters(name, units)
    }

    /// Adds a TCP port.
    pub(crate) fn tcp(mut self, name: &str, port: u16, units: &[u8]) -> Config {
        writeln!(
            self.ports,
            "  - {{ name: {name}, tcp: {{ host: 127.0.0.1, port: {port} }} }}"
        )
        .unwrap();
        self.meters(name, units)
    }

    fn meters(mut self, port: &str, units: &[u8]) -> Config {
        for unit in units {
            writeln!(
                self.devices,
                "  - {{ name: {}, port: {port}, unit: {unit}, profile: meter, secret: of-meter-{unit} }}",
                meter(*unit)
            )
            .unwrap();
        }
        self
    }

    /// Adds, to a serial port, a meter of DL/T 645 and a scale without a standard,
    /// under the names of meters with these numbers.
    pub(crate) fn others_on(mut self, tty: &Path, meter_of: u8, scale: u8) -> Config {
        let port = tty.file_name().unwrap().to_str().unwrap();
        self.profiles += &format!(
            r##"
  - name: grid-meter
    product_key: {METER_PRODUCT}
    protocol: dlt645-2007
    interval: 500ms
    points:
      - {{ id: Energy, data: energy-active-forward }}
  - name: scale
    product_key: {METER_PRODUCT}
    protocol: raw
    interval: 500ms
    requests:
      - name: weight
        send: '"#" {{unit:02X}} {{check}} 0D'
        check: {{ sum: sum8, as: hex }}
        reply: {{ until: 0D, begins: '">"', check: {{ sum: sum8, as: hex }} }}
    points:
      - {{ id: Weight, request: weight, type: decimal, at: 1, length: 7 }}
"##
        );
        self.devices += &format!(
            "  - {{ name: {}, port: {port}, address: \"{meter_of:012}\", profile: grid-meter, secret: of-meter-{meter_of} }}
  - {{ name: {}, port: {port}, unit: 1, profile: scale, secret: of-meter-{scale} }}
",
            meter(meter_of),
            meter(scale)
        );
        self
    }

    /// Writes the configuration into `folder`.
    pub(crate) fn write(&self, folder: &Path) -> PathBuf {
        let Config {
            gateway,
            cloud,
            ports,
            profiles,
            devices,
        } = self;
        let text = format!(
            "gateway: {gateway}
cloud:
{cloud}
ports:
{ports}
profiles:
  - name: meter
    product_key: {METER_PRODUCT}
    interval: 200ms
    points:
      - {{ id: Voltage, table: holding, address: 0, type: u16, scale: 0.1 }}
      - {{ id: Energy, table: holding, address: 2, type: i32 }}
      - {{ id: Power, table: holding, address: 10, type: f32 }}
      - {{ id: Frequency, table: input, address: 0, type: u16 }}
      - {{ id: Relay, table: coil, address: 0, type: bool }}
      - {{ id: Door, table: discrete, address: 1, type: bool }}
{profiles}
devices:
{devices}"
        );
        let file = folder.join("gateway.yaml");
        fs::write(&file, text).unwrap();
        // It holds secrets; the gateway would complain.
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        file
    }
}

/// Returns the name of the meter with this unit number.
pub(crate) fn meter(unit: u8) -> String {
    format!("meter-{unit}")
}

/// Starts the daemon.
pub(crate) fn run(config: &Path) -> Child {
    run_with(config, &[])
}

/// Starts the daemon with these variables in its environment.
pub(crate) fn run_with(config: &Path, environment: &[(&str, String)]) -> Child {
    let config = config.to_str().unwrap();
    Child::start_with(
        "gateway",
        env!("CARGO_BIN_EXE_alink-gateway"),
        &["run", "--config", config],
        environment,
    )
}

/// Stops it by SIGTERM: it must end well, and within its bound.
pub(crate) async fn stop(gateway: &mut Child) {
    // `stop_within` as it is by default, and a moment for the process itself.
    let bound = Duration::from_secs(10 + 2);
    let asked = Instant::now();
    let status = gateway.stop().await;
    let took = asked.elapsed();
    assert!(status.success(), "{status}");
    assert!(took < bound, "stopping took {took:?}");
}

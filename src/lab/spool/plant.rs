//! The installation of a phase: its devices, their racks, and the files of the daemon's
//! configuration.

use std::fmt::Write;
use std::path::Path;

use alink_gateway::base::{DeviceName, ProductKey, Rng, Secret, UnitId};
use alink_gateway::lab::bus::{Rack, Served, Unit, UnitKind};
use alink_gateway::lab::platform::{Certificate, Device, Limits, PlatformSpec};

/// The product of all devices.
const PRODUCT: &str = "a1LabMeter00";
/// Units in one rack.
const IN_RACK: u16 = 200;
/// The function that reads holding registers (Modbus Application Protocol V1.1b3 §6.3).
const READ_HOLDING: u8 = 3;

/// One point of one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Point {
    /// The number of the device, from 0.
    pub(crate) device: u16,
    /// The number of the point in the device, from 0.
    pub(crate) point: u16,
}

/// What a phase asks of its installation.
#[derive(Clone, Debug)]
pub(super) struct PhaseInstallation {
    /// How many devices there are.
    pub(crate) devices: u16,
    /// How many points each of them has.
    pub(crate) points: u16,
    /// How often the points are read, in the words of the configuration.
    pub(crate) interval: &'static str,
    /// What stands behind `cloud.store:`.
    pub(crate) store: String,
    /// What stands behind `cloud.post:`.
    pub(crate) post: String,
}

/// The devices of a phase.
#[derive(Clone, Debug)]
pub(super) struct Plant {
    shape: PhaseInstallation,
    gateway: Device,
    secret: String,
}

impl Plant {
    pub(super) fn new(shape: PhaseInstallation, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        Plant {
            shape,
            gateway: Device::new("a1LabGateway", "lab-gateway"),
            secret: format!("{:016x}{:016x}", rng.next_u64(), rng.next_u64()),
        }
    }

    /// Returns the gateway.
    pub(super) const fn gateway(&self) -> &Device {
        &self.gateway
    }

    /// Returns how many devices there are.
    pub(super) const fn devices(&self) -> u16 {
        self.shape.devices
    }

    /// Returns how many points each device has.
    pub(super) const fn points(&self) -> u16 {
        self.shape.points
    }

    /// Returns the product and the name of a device.
    pub(super) fn names(device: u16) -> (ProductKey, DeviceName) {
        (ProductKey::new(PRODUCT), DeviceName::new(&name(device)))
    }

    /// Returns the identifier of a point.
    pub(super) fn property(point: u16) -> String {
        format!("P{point}")
    }

    /// Returns which point a value of the platform is of.
    pub(super) fn point_of(&self, device: &Device, property: &str) -> Option<Point> {
        let digits = device.device_name.as_str().strip_prefix('m')?;
        let found = Point {
            device: digits.parse().ok()?,
            point: property.strip_prefix('P')?.parse().ok()?,
        };
        let is_there = found.device < self.shape.devices
            && found.point < self.shape.points
            && device.product_key.as_str() == PRODUCT
            && device.device_name.as_str() == name(found.device);
        is_there.then_some(found)
    }

    /// Returns the values that a unit of this rack gave with an answer.
    pub(super) fn values_of(&self, rack: usize, served: &Served) -> Vec<(Point, u32)> {
        let [READ_HOLDING, a, b, c, d] = served.request[..] else {
            return Vec::new();
        };
        let [READ_HOLDING, _, ref data @ ..] = served.reply[..] else {
            return Vec::new();
        };
        let first = u32::from(u16::from_be_bytes([a, b]));
        let count = u32::from(u16::from_be_bytes([c, d]));
        let rack = u16::try_from(rack).unwrap_or(u16::MAX);
        let device = rack.saturating_mul(IN_RACK) + u16::from(served.unit.0) - 1;
        let read = |point: u16| {
            let address = u32::from(point) * 2;
            let skipped = address.checked_sub(first)?;
            if skipped + 2 > count {
                return None;
            }
            let at = usize::try_from(skipped * 2).ok()?;
            let bytes = data.get(at..at + 4)?.first_chunk::<4>()?;
            Some((Point { device, point }, u32::from_be_bytes(*bytes)))
        };
        (0..self.shape.points).filter_map(read).collect()
    }

    /// Builds the racks; they record what they answer.
    pub(super) fn racks(&self) -> Vec<Rack> {
        let racks = self.shape.devices.div_ceil(IN_RACK);
        let build = |rack: u16| {
            let mut built = Rack::new();
            built.record();
            let first = rack * IN_RACK;
            for device in first..self.shape.devices.min(first + IN_RACK) {
                let unit = u8::try_from(device - first + 1).unwrap_or(u8::MAX);
                built.attach(UnitId(unit), Unit::new(UnitKind::Unique, u64::from(device)));
            }
            built
        };
        (0..racks).map(build).collect()
    }

    /// Returns what must be registered at the platform, and limits that daemons that are
    /// started every second do not reach.
    pub(super) fn registered(&self) -> PlatformSpec {
        let certificate = |device: &Device, secret: &str| Certificate {
            product_key: device.product_key.clone(),
            device_name: device.device_name.clone(),
            secret: Secret::new(secret),
        };
        let gateway = certificate(&self.gateway, &self.secret);
        let sub = |n| certificate(&Device::new(PRODUCT, &name(n)), &secret(n));
        let subs = (0..self.shape.devices).map(sub).collect();
        PlatformSpec {
            limits: Limits {
                connects_per_minute: 10_000,
                logins_per_minute: 10_000,
                ..Limits::default()
            },
            ..PlatformSpec::gateway_with(gateway, subs)
        }
    }

    /// Writes the files of the daemon's configuration: names and contents.
    pub(super) fn files(
        &self,
        cloud: &str,
        racks: &[(String, u16)],
        state: &Path,
        socket: &Path,
    ) -> Vec<(String, String)> {
        let mut table = String::from("name,port,unit,profile,secret\n");
        for n in 0..self.shape.devices {
            let (rack, unit) = (n / IN_RACK + 1, n % IN_RACK + 1);
            let _ = writeln!(table, "{},rack{rack},{unit},meter,{}", name(n), secret(n));
        }
        let Plant { shape, gateway, .. } = self;
        let mut yaml = format!(
            "gateway: {{ product_key: {}, device_name: {}, secret_file: gateway.secret }}\n\
             cloud:\n\
             \x20 url: mqtt://{cloud}\n\
             \x20 keepalive: 60\n\
             \x20 connect_timeout: 2s\n\
             \x20 session: {{ linger: 100ms, reply_timeout: 3s }}\n\
             \x20 post: {{ {} }}\n\
             \x20 store: {{ {} }}\n\
             control: {{ socket: {} }}\n\
             state_dir: {}\n\
             stop_within: 5s\n\
             devices_file: devices.csv\n\
             ports:\n",
            gateway.product_key,
            gateway.device_name,
            shape.post,
            shape.store,
            socket.display(),
            state.display(),
        );
        for (n, (host, port)) in racks.iter().enumerate() {
            let _ = writeln!(
                yaml,
                "  - name: rack{}\n    response_timeout: 5s\n    tcp: {{ host: {host}, port: {port} }}",
                n + 1
            );
        }
        let _ = writeln!(
            yaml,
            "profiles:\n\
             \x20 - name: meter\n\
             \x20   product_key: {PRODUCT}\n\
             \x20   interval: {}\n\
             \x20   points:",
            shape.interval
        );
        for point in 0..shape.points {
            let _ = writeln!(
                yaml,
                "      - {{ id: {}, table: holding, address: {}, type: u32 }}",
                Plant::property(point),
                point * 2
            );
        }
        vec![
            ("gateway.yaml".into(), yaml),
            ("gateway.secret".into(), self.secret.clone()),
            ("devices.csv".into(), table),
        ]
    }
}

fn name(device: u16) -> String {
    format!("m{device:04}")
}

fn secret(device: u16) -> String {
    format!("of-meter-{device:04}-0123456789abcdef")
}

//! The installation of a phase: units on a serial line, each with values that are read and one
//! that is written.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use alink_gateway::base::{Rng, Secret, UnitId};
use alink_gateway::lab::bus::{Line, Pace, Served, Unit, UnitKind};
use alink_gateway::lab::platform::{Certificate, Device, PlatformSpec};

/// The product of all devices.
const PRODUCT: &str = "a1LabHeater0";
/// Units on the line, 1 and up. The last is polled with low priority.
pub(super) const UNITS: u8 = 6;
/// Values that are read of each unit, of two registers each, from address 0.
const READINGS: u16 = 20;
/// The property that is written, and its first register.
pub(super) const SETPOINT: &str = "Setpoint";
const REGISTER: u16 = 900;
/// How much of its time the line is busy with polls, in thousandths.
const LOAD: u32 = 700;
/// Function codes (Modbus Application Protocol V1.1b3 §6.3, §6.12).
const READ_HOLDING: u8 = 3;
const WRITE_MULTIPLE: u8 = 16;

/// What a unit was asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UnitAction {
    /// Its values were polled.
    Poll,
    /// This value was written.
    Write(u32),
    /// Something else: a value that was written is read back, for instance.
    Other,
}

/// The devices of a phase, and the speed of their line.
#[derive(Clone, Debug)]
pub(super) struct Plant {
    pace: Pace,
    gateway: Device,
    secret: String,
}

impl Plant {
    pub(super) fn new(baud: u32, seed: u64) -> Plant {
        let mut rng = Rng::new(seed);
        Plant {
            pace: Pace::standard(baud),
            gateway: Device::new("a1LabGateway", "lab-gateway"),
            secret: format!("{:016x}{:016x}", rng.next_u64(), rng.next_u64()),
        }
    }

    /// Returns the gateway.
    pub(super) const fn gateway(&self) -> &Device {
        &self.gateway
    }

    /// Returns the device that is this unit.
    pub(super) fn device(unit: u8) -> Device {
        Device::new(PRODUCT, &name(unit))
    }

    /// Returns how long the line is busy with one poll: the request, the silence behind it, the
    /// turnaround of the unit, the reply, and the silence behind that.
    fn poll(&self) -> Duration {
        let turnaround = Unit::new(UnitKind::Unique, 0).behaviour.turnaround;
        let reply = 5 + usize::from(READINGS) * 4;
        self.pace.characters(8 + reply) + self.pace.silence() * 2 + turnaround
    }

    /// Returns how often the units are polled, so that the line is loaded to seven tenths.
    pub(super) fn interval(&self) -> Duration {
        let busy = self.poll() * u32::from(UNITS);
        Duration::from_millis((busy * 1000 / LOAD).as_millis() as u64)
    }

    /// Returns the share of the time that so many polls keep the line busy.
    pub(super) fn load(&self, polls: u64, span: Duration) -> f64 {
        polls as f64 * self.poll().as_secs_f64() / span.as_secs_f64()
    }

    /// Builds the line; it records what its units do.
    pub(super) fn line(&self, rng: Rng) -> Line {
        let mut line = Line::new(self.pace, rng);
        line.record();
        for unit in 1..=UNITS {
            line.attach(UnitId(unit), Unit::new(UnitKind::Unique, u64::from(unit)));
        }
        line
    }

    /// Returns what a unit was asked to do.
    pub(super) fn asked(served: &Served) -> UnitAction {
        let [first, second] = REGISTER.to_be_bytes();
        match served.request[..] {
            [READ_HOLDING, 0, 0, ..] => UnitAction::Poll,
            [WRITE_MULTIPLE, a, b, 0, 2, 4, v3, v2, v1, v0] if (a, b) == (first, second) => {
                UnitAction::Write(u32::from_be_bytes([v3, v2, v1, v0]))
            }
            _ => UnitAction::Other,
        }
    }

    /// Returns what must be registered at the platform.
    pub(super) fn registered(&self) -> PlatformSpec {
        let certificate = |device: &Device, secret: &str| Certificate {
            product_key: device.product_key.clone(),
            device_name: device.device_name.clone(),
            secret: Secret::new(secret),
        };
        let gateway = certificate(&self.gateway, &self.secret);
        let subs = (1..=UNITS).map(|unit| certificate(&Self::device(unit), &secret(unit)));
        PlatformSpec::gateway_with(gateway, subs.collect())
    }

    /// Writes the files of the daemon's configuration: names and contents.
    pub(super) fn files(&self, cloud: &str, tty: &Path, folder: &Path) -> Vec<(String, String)> {
        let Plant { gateway, pace, .. } = self;
        let mut table = String::from("name,port,unit,profile,secret\n");
        for unit in 1..=UNITS {
            let profile = if unit == UNITS {
                "background"
            } else {
                "heater"
            };
            let (name, secret) = (name(unit), secret(unit));
            let _ = writeln!(table, "{name},line1,{unit},{profile},{secret}");
        }
        let mut yaml = format!(
            "gateway: {{ product_key: {}, device_name: {}, secret_file: gateway.secret }}\n\
             cloud:\n\
             \x20 url: mqtt://{cloud}\n\
             \x20 connect_timeout: 2s\n\
             control: {{ socket: {} }}\n\
             state_dir: {}\n\
             stop_within: 5s\n\
             devices_file: devices.csv\n\
             ports:\n\
             \x20 - name: line1\n\
             \x20   response_timeout: 500ms\n\
             \x20   serial: {{ device: {}, baud: {}, parity: even }}\n\
             profiles:\n",
            gateway.product_key,
            gateway.device_name,
            folder.join("control.sock").display(),
            folder.join("state").display(),
            tty.display(),
            pace.baud,
        );
        for (profile, priority) in [("heater", "normal"), ("background", "low")] {
            let _ = writeln!(
                yaml,
                "  - name: {profile}\n    product_key: {PRODUCT}\n    interval: {}ms\n    \
                 priority: {priority}\n    points:\n      - {{ id: {SETPOINT}, table: holding, \
                 address: {REGISTER}, type: u32, interval: 1h, write: yes }}",
                self.interval().as_millis()
            );
            for n in 0..READINGS {
                let address = n * 2;
                let _ = writeln!(
                    yaml,
                    "      - {{ id: P{n}, table: holding, address: {address}, type: u32 }}"
                );
            }
        }
        vec![
            ("gateway.yaml".into(), yaml),
            ("gateway.secret".into(), self.secret.clone()),
            ("devices.csv".into(), table),
        ]
    }
}

fn name(unit: u8) -> String {
    format!("heater-{unit}")
}

fn secret(unit: u8) -> String {
    format!("of-heater-{unit:04}-0123456789abcdef")
}

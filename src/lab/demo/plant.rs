//! The plant of the demo: which devices there are, what they are called in the cloud,
//! how they are configured, and what their registers mean.
//!
//! Pure. The meaning of the registers is written here a second time, apart from the
//! decoding of the gateway, so that a value in the cloud can be compared with the
//! register it came from.

use std::fmt::Write;
use std::ops::RangeInclusive;
use std::path::Path;

use alink_gateway::base::{Now, Rng, Secret, UnitId, Wall};
use alink_gateway::lab::bus::{
    Line, Pace, Rack, Unit, UnitKind, unit_kind::io_module, unit_kind::meter,
};
use alink_gateway::lab::platform::{Certificate, Device, PlatformSpec};
use alink_gateway::spec::Table;
use serde_json::Value as Json;

/// Speed of the serial line.
const BAUD: u32 = 9600;
/// Meters on the line, units 1 and up.
const ON_LINE: u8 = 12;
/// Devices in each rack, units 1 and up.
const IN_RACK: u8 = 54;
/// Racks.
pub(crate) const RACKS: usize = 2;

/// The port of a device: the line or a rack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DemoPort {
    Line,
    Rack(usize),
}

/// One device.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) port: DemoPort,
    pub(crate) unit: UnitId,
    pub(crate) kind: DemoKind,
    pub(crate) device: Device,
    secret: String,
}

/// The two kinds of device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DemoKind {
    Meter,
    Module,
}

/// One property of a kind of device.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Property {
    id: &'static str,
    table: Table,
    address: u16,
    shape: FrameShape,
    /// Digits after the decimal point: the register counts in these.
    places: u8,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum FrameShape {
    Bit,
    U16,
    I16,
    I32,
    U32,
    F32,
    U64,
    Text(u16),
}

const fn input(id: &'static str, address: u16, shape: FrameShape, places: u8) -> Property {
    Property {
        id,
        table: Table::InputRegister,
        address,
        shape,
        places,
    }
}

const fn bit(id: &'static str, table: Table, address: u16) -> Property {
    Property {
        id,
        table,
        address,
        shape: FrameShape::Bit,
        places: 0,
    }
}

/// The point of a meter that is written from the cloud: a holding register that is 0 until then,
/// in tenths.
pub(crate) const SETPOINT: &str = "Setpoint";
const SETPOINT_REGISTER: u16 = meter::SERIAL + 8;

const METER: &[Property] = &[
    input("VoltageA", meter::VOLTAGE, FrameShape::U16, 1),
    input("VoltageB", meter::VOLTAGE + 1, FrameShape::U16, 1),
    input("VoltageC", meter::VOLTAGE + 2, FrameShape::U16, 1),
    input("CurrentA", meter::CURRENT, FrameShape::U16, 2),
    input("CurrentB", meter::CURRENT + 1, FrameShape::U16, 2),
    input("CurrentC", meter::CURRENT + 2, FrameShape::U16, 2),
    input("ActivePower", meter::POWER, FrameShape::I32, 0),
    input("Frequency", meter::FREQUENCY, FrameShape::U16, 2),
    input("PowerFactor", meter::POWER_FACTOR, FrameShape::I16, 3),
    input("Energy", meter::ENERGY, FrameShape::U32, 2),
    input("ApparentPower", meter::APPARENT, FrameShape::F32, 0),
    input("EnergyFine", meter::ENERGY_FINE, FrameShape::U64, 0),
    input("SerialNumber", meter::SERIAL, FrameShape::Text(8), 0),
    Property {
        id: SETPOINT,
        table: Table::HoldingRegister,
        address: SETPOINT_REGISTER,
        shape: FrameShape::U16,
        places: 1,
    },
];

const MODULE: &[Property] = &[
    bit("Input1", Table::DiscreteInput, 0),
    bit("Input2", Table::DiscreteInput, 1),
    bit("Input3", Table::DiscreteInput, 2),
    bit("Relay1", Table::Coil, 0),
    input("Analogue1", 0, FrameShape::U16, 0),
    input("Analogue2", 1, FrameShape::U16, 0),
    input("Counter1", io_module::COUNTERS, FrameShape::U32, 0),
];

impl DemoKind {
    const fn profile(self) -> &'static str {
        match self {
            DemoKind::Meter => "meter",
            DemoKind::Module => "io-module",
        }
    }

    const fn product_key(self) -> &'static str {
        match self {
            DemoKind::Meter => "a1LabMeter00",
            DemoKind::Module => "a1LabModule0",
        }
    }

    const fn of_unit(self) -> UnitKind {
        match self {
            DemoKind::Meter => UnitKind::Meter,
            DemoKind::Module => UnitKind::IoModule,
        }
    }

    /// Returns the properties that can be read from it.
    pub(crate) const fn properties(self) -> &'static [Property] {
        match self {
            DemoKind::Meter => METER,
            DemoKind::Module => MODULE,
        }
    }

    /// Returns the property to show where there is room for one, and its unit.
    pub(crate) const fn headline(self) -> (&'static str, &'static str) {
        match self {
            DemoKind::Meter => ("ActivePower", "W"),
            DemoKind::Module => ("Analogue1", "raw"),
        }
    }

    const fn interval(self) -> &'static str {
        match self {
            DemoKind::Meter => "3s",
            DemoKind::Module => "2s",
        }
    }
}

impl Property {
    /// Returns the identifier of the property in the cloud.
    pub(crate) const fn id(&self) -> &'static str {
        self.id
    }

    /// Returns whether the registers of the unit held this value at some time in
    /// `window`.
    pub(crate) fn was(&self, unit: &Unit, window: &RangeInclusive<Wall>, said: &Json) -> bool {
        let step = unit.kind().tick();
        // A unit does not remember what was there before it was written.
        if self.id == SETPOINT && said.as_f64() == Some(0.0) {
            return true;
        }
        let ticks =
            window.start().as_millis().div_euclid(step)..=window.end().as_millis().div_euclid(step);
        ticks
            .map(|tick| Wall::from_millis(tick * step))
            .any(|at| self.is(unit, at, said))
    }

    fn is(&self, unit: &Unit, at: Wall, said: &Json) -> bool {
        let now = Now {
            wall: at,
            ..Now::default()
        };
        let width = match self.shape {
            FrameShape::Bit | FrameShape::U16 | FrameShape::I16 => 1,
            FrameShape::I32 | FrameShape::U32 | FrameShape::F32 => 2,
            FrameShape::U64 => 4,
            FrameShape::Text(n) => n,
        };
        let words: Option<Vec<u16>> = (self.address..self.address + width)
            .map(|address| unit.value_at(now, self.table, address))
            .collect();
        let Some(words) = words else { return false };
        let wide = words.iter().fold(0, |sum, w| sum << 16 | u64::from(*w));
        let count = match self.shape {
            FrameShape::Text(_) => {
                let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_be_bytes()).collect();
                let text = String::from_utf8_lossy(&bytes);
                return said.as_str() == Some(text.trim_end_matches(['\0', ' ']));
            }
            FrameShape::F32 => {
                let x = f64::from(f32::from_bits(wide as u32));
                return said
                    .as_f64()
                    .is_some_and(|s| (s - x).abs() <= 1e-6 * x.abs());
            }
            FrameShape::I16 => f64::from(wide as u16 as i16),
            FrameShape::I32 => f64::from(wide as u32 as i32),
            FrameShape::Bit | FrameShape::U16 | FrameShape::U32 | FrameShape::U64 => wide as f64,
        };
        // Exact decimals: 2305 tenths are 230.5 and nothing beside it.
        let expected = count / 10_f64.powi(i32::from(self.places));
        said.as_f64() == Some(expected)
    }

    fn yaml(&self) -> String {
        let table = match self.table {
            Table::Coil => "coil",
            Table::DiscreteInput => "discrete",
            Table::HoldingRegister => "holding",
            Table::InputRegister => "input",
        };
        let kind = match self.shape {
            FrameShape::Bit => String::new(),
            FrameShape::U16 => ", type: u16".into(),
            FrameShape::I16 => ", type: i16".into(),
            FrameShape::I32 => ", type: i32".into(),
            FrameShape::U32 => ", type: u32".into(),
            FrameShape::U64 => ", type: u64".into(),
            FrameShape::F32 => ", type: f32".into(),
            FrameShape::Text(n) => format!(", type: string, registers: {n}"),
        };
        let scale = match self.places {
            0 => String::new(),
            n => format!(", scale: 0.{}1", "0".repeat(usize::from(n) - 1)),
        };
        let write = match self.id {
            SETPOINT => ", write: { max: 100 }",
            _ => "",
        };
        let Property { id, address, .. } = self;
        format!("{{ id: {id}, table: {table}, address: {address}{kind}{scale}{write} }}")
    }
}

/// All devices of the demo.
#[derive(Clone, Debug)]
pub(crate) struct Plant {
    pub(crate) members: Vec<Member>,
    pub(crate) gateway: Device,
    secret: String,
}

impl Plant {
    /// Builds twelve meters on a line, a rack of modules, a rack of meters.
    pub(crate) fn new() -> Plant {
        let mut rng = Rng::new(0x6465_6d6f);
        let mut secret = move || format!("{:016x}{:016x}", rng.next_u64(), rng.next_u64());
        let groups = [
            (DemoPort::Line, ON_LINE, DemoKind::Meter),
            (DemoPort::Rack(0), IN_RACK, DemoKind::Module),
            (DemoPort::Rack(1), IN_RACK, DemoKind::Meter),
        ];
        let mut members = Vec::new();
        for (port, count, kind) in groups {
            for unit in 1..=count {
                let name = format!("{}-{unit:02}", port.name());
                members.push(Member {
                    device: Device::new(kind.product_key(), &name),
                    name,
                    port,
                    unit: UnitId(unit),
                    kind,
                    secret: secret(),
                });
            }
        }
        Plant {
            members,
            gateway: Device::new("a1LabGateway", "lab-gateway"),
            secret: secret(),
        }
    }

    /// Builds the line with its meters.
    pub(crate) fn line(&self) -> Line {
        // 8N1, as the configuration of the daemon says below.
        let pace = Pace {
            bits: 10,
            ..Pace::standard(BAUD)
        };
        let mut line = Line::new(pace, Rng::new(1));
        for (index, member) in self.on(DemoPort::Line) {
            line.attach(member.unit, member.build(index));
        }
        line
    }

    /// Builds one rack with its devices.
    pub(crate) fn rack(&self, number: usize) -> Rack {
        let mut rack = Rack::new();
        for (index, member) in self.on(DemoPort::Rack(number)) {
            rack.attach(member.unit, member.build(index));
        }
        rack
    }

    fn on(&self, port: DemoPort) -> impl Iterator<Item = (usize, &Member)> {
        let all = self.members.iter().enumerate();
        all.filter(move |(_, m)| m.port == port)
    }

    /// Returns the devices that must be registered at the platform.
    pub(crate) fn registered(&self) -> PlatformSpec {
        let certificate = |device: &Device, secret: &str| Certificate {
            product_key: device.product_key.clone(),
            device_name: device.device_name.clone(),
            secret: Secret::new(secret),
        };
        let gateway = certificate(&self.gateway, &self.secret);
        let subs = self
            .members
            .iter()
            .map(|m| certificate(&m.device, &m.secret));
        PlatformSpec::gateway_with(gateway, subs.collect())
    }

    /// Writes the files of the daemon's configuration: names and contents. All of them
    /// hold secrets or name them. `racks` are hosts and ports.
    pub(crate) fn files(
        &self,
        cloud: &str,
        tty: &Path,
        racks: &[(String, u16)],
    ) -> Vec<(String, String)> {
        let mut table = String::from("name,port,unit,profile,secret\n");
        for m in &self.members {
            let (port, profile) = (m.port.name(), m.kind.profile());
            let _ = writeln!(table, "{},{port},{},{profile},{}", m.name, m.unit, m.secret);
        }
        let mut yaml = format!(
            "gateway: {{ product_key: {}, device_name: {}, secret_file: gateway.secret }}\n\
             cloud:\n\
             \x20 url: mqtt://{cloud}\n\
             \x20 keepalive: 60\n\
             \x20 session: {{ linger: 1s }}\n\
             stop_within: 5s\n\
             control: {{ socket: control.sock }}\n\
             devices_file: devices.csv\n\
             ports:\n\
             \x20 - name: line1\n\
             \x20   serial: {{ device: {}, baud: {BAUD}, parity: none }}\n",
            self.gateway.product_key,
            self.gateway.device_name,
            tty.display(),
        );
        for (n, (host, port)) in racks.iter().enumerate() {
            let name = DemoPort::Rack(n).name();
            let _ = writeln!(
                yaml,
                "  - name: {name}\n    tcp: {{ host: {host}, port: {port} }}"
            );
        }
        yaml.push_str("profiles:\n");
        for kind in [DemoKind::Meter, DemoKind::Module] {
            let _ = writeln!(
                yaml,
                "  - name: {}\n    product_key: {}\n    interval: {}\n    points:",
                kind.profile(),
                kind.product_key(),
                kind.interval()
            );
            for property in kind.properties() {
                let _ = writeln!(yaml, "      - {}", property.yaml());
            }
        }
        vec![
            ("gateway.yaml".into(), yaml),
            ("gateway.secret".into(), self.secret.clone()),
            ("devices.csv".into(), table),
        ]
    }
}

impl DemoPort {
    fn name(self) -> String {
        match self {
            DemoPort::Line => "line1".into(),
            DemoPort::Rack(n) => format!("rack{}", n + 1),
        }
    }
}

impl Member {
    fn build(&self, index: usize) -> Unit {
        Unit::new(self.kind.of_unit(), 1_000 + index as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_790_000_000_000;

    #[test]
    fn there_are_as_many_devices_as_the_story_says() {
        let plant = Plant::new();
        assert_eq!(plant.members.len(), 120);
        assert_eq!(plant.line().units().count(), 12);
        assert_eq!(
            (0..RACKS)
                .map(|n| plant.rack(n).units().count())
                .sum::<usize>(),
            108
        );
        assert_eq!(plant.registered().certificates.len(), 121);
    }

    #[test]
    fn a_value_is_held_against_the_registers_of_its_time() {
        let unit = Unit::new(UnitKind::Meter, 5);
        let now = Now {
            wall: Wall::from_millis(NOON),
            ..Now::default()
        };
        let word = |a| unit.value_at(now, Table::InputRegister, a).unwrap();
        let window = Wall::from_millis(NOON)..=Wall::from_millis(NOON);
        let voltage = f64::from(word(0)) / 10.0;
        assert!(METER[0].was(&unit, &window, &voltage.into()));
        assert!(!METER[0].was(&unit, &window, &(voltage + 0.1).into()));
        let power = (u32::from(word(6)) << 16 | u32::from(word(7))) as i32;
        assert!(METER[6].was(&unit, &window, &power.into()));
        let serial = "LAB-000000000005";
        assert!(METER[12].was(&unit, &window, &serial.into()));
        assert!(!METER[12].was(&unit, &window, &"LAB-000000000006".into()));
        // The energy of an hour ago is not the energy of now.
        let old = Wall::from_millis(NOON - 3_600_000)..=Wall::from_millis(NOON - 3_500_000);
        let energy = (u32::from(word(10)) << 16 | u32::from(word(11))) as f64 / 100.0;
        assert!(METER[9].was(&unit, &window, &energy.into()));
        assert!(!METER[9].was(&unit, &old, &energy.into()));
    }

    #[test]
    fn every_property_can_be_read_from_its_device() {
        for kind in [DemoKind::Meter, DemoKind::Module] {
            let unit = Unit::new(kind.of_unit(), 1);
            for p in kind.properties() {
                let there = unit.value_at(Now::default(), p.table, p.address);
                assert!(there.is_some(), "{p:?}");
            }
            assert!(kind.properties().iter().any(|p| p.id == kind.headline().0));
        }
    }
}

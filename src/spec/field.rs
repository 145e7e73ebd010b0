//! The field side: ports, devices, profiles, points.

use serde::Serialize;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::dlt645::{DataItem, WriteAccess};
use super::raw::RawQuestion;
use super::{
    Adapter, BusAddress, Characters, Codec, ConnectionSpec, KindDescription, NotWritable, Parity,
    PointAddress, ReportPolicy, ServiceSpec, States, StopBits, Table, ThingEventSpec, Title,
    TransactionIds, Unit, WritePolicy, WriteRequests,
};
use crate::base::{DeviceName, PortId, ProductKey, Secret};

/// A physical port and its settings. One task owns it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PortSpec {
    /// Unique among ports.
    pub name: String,
    /// The line or endpoint of the port.
    pub line: LineSpec,
    /// The longest time from the last byte sent until the first byte of a reply. Default 500 ms
    /// on serial lines, 1 s on TCP.
    pub response_timeout: Duration,
    /// The limits on the use of the line.
    pub budget: LineBudget,
}

/// The limits on the use of a line, and how long it may be down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LineBudget {
    /// The longest time for which a request that could be divided takes the line, so that no
    /// other request waits long behind it. The time the unit takes to answer does not count.
    /// Default 150 ms, 5 ms to 10 s.
    pub longest_request: Duration,
    /// Whether more may be configured than the line can carry. Default no.
    pub allow_overload: bool,
    /// How long the port may be down before its devices count as silent because of that: until
    /// then a cable may be put back and no device is logged out. Default 30 s, at most a day.
    pub grace: Duration,
    /// Whether devices that fall silent again and again are kept offline for a
    /// while. Default yes.
    pub damping: bool,
}

impl Default for LineBudget {
    fn default() -> Self {
        LineBudget {
            longest_request: Duration::from_millis(150),
            allow_overload: false,
            grace: Duration::from_secs(30),
            damping: true,
        }
    }
}

/// The kinds of ports. The set is closed: adding a kind makes the compiler list every match that
/// must know the kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum LineSpec {
    /// A serial line.
    Serial(SerialSpec),
    /// A TCP endpoint: Modbus TCP, or a serial server.
    Tcp(TcpSpec),
}

impl LineSpec {
    /// Returns how Modbus frames travel on the line. `None`: as Modbus TCP, behind headers of
    /// their own, and nothing but Modbus.
    #[must_use]
    pub const fn framing(&self) -> Option<Framing> {
        match self {
            LineSpec::Serial(serial) => Some(serial.framing),
            LineSpec::Tcp(tcp) => tcp.framing,
        }
    }
}

impl LineSpec {
    /// Returns whether each reply carries the number of its request, so that a late reply is told
    /// from the expected one: on Modbus TCP, unless the endpoint numbers its replies itself.
    #[must_use]
    pub fn numbers_replies(&self) -> bool {
        self.framing().is_none() && self.connection().transaction_ids == TransactionIds::Match
    }

    /// Returns how many requests may be in flight at most: one, except on Modbus TCP with replies
    /// that carry the numbers of their requests.
    #[must_use]
    pub fn most_in_flight(&self) -> usize {
        let limit = self.connection().in_flight;
        match self.numbers_replies() {
            true => limit.unwrap_or(ConnectionSpec::USUAL_IN_FLIGHT).into(),
            false => 1,
        }
    }

    /// Returns how the connections of the line are used; the defaults for a serial line.
    #[must_use]
    pub fn connection(&self) -> ConnectionSpec {
        match self {
            LineSpec::Serial(_) => ConnectionSpec::default(),
            LineSpec::Tcp(tcp) => tcp.connection.clone(),
        }
    }

    /// Returns the serial line behind a TCP endpoint, if it is known.
    #[must_use]
    pub const fn behind(&self) -> Option<Characters> {
        match self {
            LineSpec::Serial(_) => None,
            LineSpec::Tcp(tcp) => tcp.behind,
        }
    }
}

/// How Modbus frames travel where a line carries bytes and nothing else (Modbus over Serial Line
/// V1.02 §2.5). All units of a line have the same framing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum Framing {
    /// As bytes, with silence around them.
    #[default]
    Rtu,
    /// As hexadecimal characters between a colon and CR LF.
    Ascii,
}

impl fmt::Display for LineSpec {
    /// Writes what is opened: the path, or host and port.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LineSpec::Serial(serial) => serial.path.display().fmt(f),
            LineSpec::Tcp(tcp) => write!(f, "{}:{}", tcp.host, tcp.port),
        }
    }
}

/// Settings of a serial line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SerialSpec {
    /// The device node; `/dev/serial/by-id/…` survives re-plugging.
    pub path: PathBuf,
    /// Bits per second.
    pub baud: u32,
    /// Data bits of a character, 7 or 8.
    pub data_bits: u8,
    /// The parity bit. Default none.
    pub parity: Parity,
    /// The stop bits. Default one.
    pub stop_bits: StopBits,
    /// How Modbus frames travel. Default RTU.
    pub framing: Framing,
    /// The adapter between the port and the pair of wires.
    pub adapter: Adapter,
}

impl SerialSpec {
    /// Returns the settings of its characters, with their speed.
    #[must_use]
    pub const fn characters(&self) -> Characters {
        Characters {
            baud: self.baud,
            data_bits: self.data_bits,
            parity: self.parity,
            stop_bits: self.stop_bits,
        }
    }

    /// Returns the same settings with other characters.
    #[must_use]
    pub fn with_characters(&self, characters: Characters) -> SerialSpec {
        SerialSpec {
            baud: characters.baud,
            data_bits: characters.data_bits,
            parity: characters.parity,
            stop_bits: characters.stop_bits,
            ..self.clone()
        }
    }

    /// Returns how many bits a character takes on the wire: start, data, parity, stop.
    #[must_use]
    pub fn bits_per_character(&self) -> u32 {
        self.characters().bits()
    }
}

/// A Modbus TCP endpoint, or a serial server that passes bytes on as they are.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TcpSpec {
    /// Host name or address.
    pub host: String,
    /// TCP port. Default 502.
    pub port: u16,
    /// The longest time for resolving and connecting together. Default 3 s.
    pub connect_timeout: Duration,
    /// The framing on a serial server's line; `None`, the default: Modbus TCP.
    pub framing: Option<Framing>,
    /// The line behind a server or a Modbus gateway, if the configuration gives it; for estimates
    /// only, for its settings are the server's.
    pub behind: Option<Characters>,
    /// How its connections are used.
    pub connection: ConnectionSpec,
}

/// One device on a bus and its identity in the cloud.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DeviceSpec {
    /// The operator's name for the device; unique among devices.
    pub name: String,
    /// The port that the device is connected to.
    pub port: PortId,
    /// Its address on the port, in the protocol of its profile.
    pub address: BusAddress,
    /// Settings of the line while the device is polled, if they differ from the port's.
    pub serial: Option<Arc<SerialSpec>>,
    /// The points of the device. Shared by all devices of the kind.
    pub profile: Arc<ProfileSpec>,
    /// Product of the sub-device.
    pub product_key: ProductKey,
    /// Name of the sub-device.
    pub device_name: DeviceName,
    /// Secret of the sub-device, for signing its log-in. Empty if the configuration says
    /// `register: true`: the gateway then asks the platform for the secret.
    pub secret: Secret,
    /// What a meter of DL/T 645 wants to know before it is written to; `None` for a device that is
    /// not, and in other protocols.
    pub access: Option<WriteAccess>,
    /// When the device counts as silent and as back.
    pub liveness: Liveness,
    /// Overrides the port's response timeout.
    pub response_timeout: Option<Duration>,
    /// Extra quiet time before each request to the device, on top of 3.5 characters, for units
    /// that need a rest. Default zero.
    pub turnaround: Duration,
}

impl DeviceSpec {
    /// Returns the address of the device on its line as the operator sees it: `unit 7`, `address
    /// 000000123456`; `None` for a device without an address.
    #[must_use]
    pub fn place(&self) -> Option<String> {
        match self.address {
            BusAddress::Modbus(unit) | BusAddress::Raw(Some(unit)) => Some(format!("unit {unit}")),
            BusAddress::Dlt645(meter) => Some(format!("address {meter}")),
            BusAddress::Raw(None) => None,
        }
    }
}

/// When a device counts as silent, and when as back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Liveness {
    /// This many polls in a row without proof of life make a device silent … Default 3.
    pub missed: u32,
    /// … if the last proof is at least this old. Default: the slowest interval of the device's
    /// points, at least 3 s and at most 30 s.
    pub quiet: Duration,
    /// This many proofs of life in a row bring a silent device back. Default 2.
    pub returns: u32,
}

/// A named list of points: one kind of device.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProfileSpec {
    /// Unique among profiles.
    pub name: String,
    /// The protocol that this kind of device speaks.
    pub protocol: Protocol,
    /// The points in configuration order; a [`crate::base::Reading`] refers to them by index.
    pub points: Vec<PointSpec>,
    /// The most registers that a request may read from this kind of device; 1–125.
    pub max_registers: u16,
    /// Further facts about reading this kind of device.
    pub reads: Reads,
    /// With which requests this kind of device is written to.
    pub writes: WriteRequests,
    /// What the platform may ask this kind of device to do; at most 255.
    pub services: Vec<ServiceSpec>,
    /// Which values are events of the thing model; at most 300.
    pub events: Vec<ThingEventSpec>,
    /// What people are told about it, and how it is told from others.
    pub about: KindDescription,
}

/// The protocol of a kind of device. In protocols other than Modbus, a list of questions says
/// what can be read, and each point names the question that brings it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub enum Protocol {
    /// Modbus; the points are entries of its tables.
    #[default]
    Modbus,
    /// DL/T 645, in the edition of its items; at most 255 items.
    Dlt645(Vec<DataItem>),
    /// A protocol without a standard; at most 255 questions.
    Raw(Vec<Arc<RawQuestion>>),
}

/// How one kind of device is read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reads {
    /// The time from the end of a request (3.5 characters after its last byte) to the beginning
    /// of the reply; on TCP the round trip. For estimates, until it is measured. `None`: unknown.
    pub reply_delay: Option<Duration>,
    /// Entries that are never read if no point needs them.
    pub holes: Vec<Gap>,
}

/// A range of entries of one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The table.
    pub table: Table,
    /// The first entry.
    pub first: u16,
    /// The last entry; not before the first.
    pub last: u16,
}

impl ProfileSpec {
    /// Returns the slowest interval of any point; zero for a profile without points.
    #[must_use]
    pub fn slowest_interval(&self) -> Duration {
        self.points
            .iter()
            .map(|p| p.interval)
            .max()
            .unwrap_or_default()
    }

    /// Returns the rule of an event in words: `temp above 80`, `fault_code changes to not 0`.
    #[must_use]
    pub fn rule(&self, event: &ThingEventSpec) -> String {
        let point = self.points.get(usize::from(event.when.point));
        let id = point.map_or("?", |point| point.id.as_str());
        format!("{id} {}", event.when.trigger)
    }
}

/// One value of a device: its address, its meaning, how often it is read.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PointSpec {
    /// The property identifier in the thing model.
    pub id: String,
    /// Where the value is, in the words of the protocol.
    pub address: PointAddress,
    /// How what is read there becomes a value.
    pub codec: Codec,
    /// How often the point is read. At least 50 ms.
    pub interval: Duration,
    /// Which requests go before others on the line.
    pub priority: Priority,
    /// Which of its readings go to the platform.
    pub report: ReportPolicy,
    /// How operators see the value.
    pub shown: DisplaySpec,
    /// How the point is written; `None`: it is read-only.
    pub write: Option<Box<WritePolicy>>,
}

impl PointSpec {
    /// Returns why the point can never be written, whatever its profile says; `None` if every
    /// value that is read can be written back.
    #[must_use]
    pub fn unwritable(&self) -> Option<NotWritable> {
        match (self.address, &self.codec) {
            (PointAddress::Modbus(address), codec) => {
                let end = u32::from(address.start) + u32::from(codec.width());
                match (address.table, codec) {
                    (Table::DiscreteInput | Table::InputRegister, _) => Some(NotWritable::Table),
                    (_, Codec::Datum { .. } | Codec::Part(_)) => Some(NotWritable::Protocol),
                    (Table::HoldingRegister, Codec::Bool) => Some(NotWritable::OtherTable),
                    (Table::Coil, Codec::Bool) => None,
                    (Table::Coil, _) => Some(NotWritable::OtherTable),
                    (Table::HoldingRegister, _) if end > 0x1_0000 => Some(NotWritable::TooWide),
                    (Table::HoldingRegister, codec) => codec.unwritable(),
                }
            }
            (PointAddress::Dlt645(datum), Codec::Datum { item, scale, .. }) => {
                let zero = (scale.digits == 0).then_some(NotWritable::ZeroFactor);
                item.unwritable(datum.position).or(zero)
            }
            (PointAddress::Raw(_), Codec::Part(part)) => part.unwritable(),
            (PointAddress::Dlt645(_) | PointAddress::Raw(_), _) => Some(NotWritable::Protocol),
        }
    }
}

/// The order of requests that are due on one line. A higher priority goes first, and its
/// intervals are stretched last when the line cannot carry all requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Priority {
    /// Before all other requests.
    High,
    /// The default.
    #[default]
    Normal,
    /// After all other requests.
    Low,
}

impl Priority {
    /// All priorities, from the first to the last.
    pub const ALL: [Priority; 3] = [Priority::High, Priority::Normal, Priority::Low];

    /// Returns the priority as the configuration writes it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Priority::High => "high",
            Priority::Normal => "normal",
            Priority::Low => "low",
        }
    }
}

/// How operators see a value. The platform has its own thing model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DisplaySpec {
    /// The age from which the value counts as stale; not below the interval. `None`: two
    /// intervals and the time a reply may take.
    pub stale_after: Option<Duration>,
    /// The titles of 0 and 1 of a single bit. Titles of numbers are in [`super::Measure`].
    pub titles: Option<States>,
    /// The name of the point for people.
    pub title: Title,
    /// The unit of the value, for people and for the thing model; the value is not converted.
    pub unit: Option<Unit>,
    /// Whether the point could not be checked against a second source.
    pub unverified: bool,
}

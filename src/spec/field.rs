//! The field side: ports, devices, profiles, points.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::dlt645::{Address, Item, Place};
use super::raw::{Part, Question};
use super::{
    Adapter, Characters, ConnectionSpec, DateTime, Decimal, Encoding, Measure, NumberType, Parity,
    States, StopBits, TransactionIds,
};
use crate::base::{DeviceName, PortId, ProductKey, Secret, UnitId};

/// A physical port and its manners. One task owns it.
#[derive(Clone, Debug, PartialEq)]
pub struct PortSpec {
    /// Unique among ports.
    pub name: String,
    /// What it is.
    pub line: LineSpec,
    /// From the last byte sent until the first byte of a reply must be there.
    /// Default 500 ms on serial lines, 1 s on TCP.
    pub response_timeout: Duration,
    /// What may be asked of it.
    pub budget: LineBudget,
}

/// What a line is given: how much to do, and how much time when it is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineBudget {
    /// No request that could be divided takes the line for longer than this, so
    /// that nobody waits long behind it; what the unit takes to answer does not
    /// count. Default 150 ms, 5 ms to 10 s.
    pub longest_request: Duration,
    /// Whether more may be configured than the line can carry. Default no.
    pub allow_overload: bool,
    /// How long the port may be down before its devices count as silent because
    /// of that: until then a cable may be put back and nobody is logged out.
    /// Default 30 s, at most a day.
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

/// What a port is made of. A closed set: adding a kind makes the compiler list
/// every place that must know.
#[derive(Clone, Debug, PartialEq)]
pub enum LineSpec {
    /// A serial line.
    Serial(SerialSpec),
    /// A TCP endpoint: Modbus TCP, or a serial server.
    Tcp(TcpSpec),
}

impl LineSpec {
    /// How Modbus frames travel on it; `None`: as Modbus TCP, behind headers of
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
    /// Whether each reply carries the number of its request, so that a late reply is
    /// told from the one that is waited for: Modbus TCP, unless the endpoint numbers
    /// its replies itself.
    #[must_use]
    pub fn numbers_replies(&self) -> bool {
        self.framing().is_none() && self.connection().transaction_ids == TransactionIds::Match
    }

    /// How many requests may be in flight at most: one but for Modbus TCP with replies
    /// that carry the numbers of their requests.
    #[must_use]
    pub fn most_in_flight(&self) -> usize {
        let limit = self.connection().in_flight;
        match self.numbers_replies() {
            true => limit.unwrap_or(ConnectionSpec::USUAL_IN_FLIGHT).into(),
            false => 1,
        }
    }

    /// How its connections are used; the defaults for a serial line.
    #[must_use]
    pub fn connection(&self) -> ConnectionSpec {
        match self {
            LineSpec::Serial(_) => ConnectionSpec::default(),
            LineSpec::Tcp(tcp) => tcp.connection.clone(),
        }
    }

    /// The serial line behind a TCP endpoint, if it is known.
    #[must_use]
    pub const fn behind(&self) -> Option<Characters> {
        match self {
            LineSpec::Serial(_) => None,
            LineSpec::Tcp(tcp) => tcp.behind,
        }
    }
}

/// How Modbus frames travel where bytes are all there is (Modbus over Serial Line
/// V1.02 §2.5). All units of a line have the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// As bytes, with silence around them.
    #[default]
    Rtu,
    /// As hexadecimal characters between a colon and CR LF.
    Ascii,
}

impl fmt::Display for LineSpec {
    /// What is opened: the path, or host and port.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LineSpec::Serial(serial) => serial.path.display().fmt(f),
            LineSpec::Tcp(tcp) => write!(f, "{}:{}", tcp.host, tcp.port),
        }
    }
}

/// Settings of a serial line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SerialSpec {
    /// The device node; `/dev/serial/by-id/…` survives re-plugging.
    pub path: PathBuf,
    /// Bits per second.
    pub baud: u32,
    /// 7 or 8.
    pub data_bits: u8,
    /// Default none.
    pub parity: Parity,
    /// Default one.
    pub stop_bits: StopBits,
    /// Default RTU.
    pub framing: Framing,
    /// What stands between the port and the pair of wires.
    pub adapter: Adapter,
}

impl SerialSpec {
    /// What its characters are, and how fast.
    #[must_use]
    pub const fn characters(&self) -> Characters {
        Characters {
            baud: self.baud,
            data_bits: self.data_bits,
            parity: self.parity,
            stop_bits: self.stop_bits,
        }
    }

    /// Bits on the wire per character: start, data, parity, stop.
    #[must_use]
    pub fn bits_per_character(&self) -> u32 {
        self.characters().bits()
    }
}

/// A Modbus TCP endpoint, or a serial server that passes bytes on as they are.
#[derive(Clone, Debug, PartialEq)]
pub struct TcpSpec {
    /// Name or address.
    pub host: String,
    /// Default 502.
    pub port: u16,
    /// For resolving and connecting together. Default 3 s.
    pub connect_timeout: Duration,
    /// What a serial server's line speaks; `None`, the default: Modbus TCP.
    pub framing: Option<Framing>,
    /// The line behind a server or a Modbus gateway, if somebody has said what it is;
    /// for reckoning, for its settings are the server's.
    pub behind: Option<Characters>,
    /// What its connections need.
    pub connection: ConnectionSpec,
}

/// One device on a bus and its identity in the cloud.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceSpec {
    /// Unique among devices; what people call it.
    pub name: String,
    /// The port it hangs on.
    pub port: PortId,
    /// Its Modbus address there; unique on the port. 0 if it speaks another
    /// protocol, and then it says nothing.
    pub unit: UnitId,
    /// Its address there if it is a meter of DL/T 645; unique on the port.
    pub meter: Option<Address>,
    /// Settings of the line while it is spoken to, if they are not the port's.
    pub serial: Option<Arc<SerialSpec>>,
    /// What it can be asked. Shared by all devices of the kind.
    pub profile: Arc<ProfileSpec>,
    /// Product of the sub-device.
    pub product_key: ProductKey,
    /// Name of the sub-device.
    pub device_name: DeviceName,
    /// Secret of the sub-device, for signing its log-in. Empty if the
    /// configuration says `register: true`: the platform is asked for it.
    pub secret: Secret,
    /// When it counts as silent and as back.
    pub liveness: Liveness,
    /// Overrides the port's response timeout.
    pub response_timeout: Option<Duration>,
    /// Extra quiet time before each request to it, on top of 3.5 characters,
    /// for units that need a rest. Default zero.
    pub turnaround: Duration,
}

impl DeviceSpec {
    /// What people call it by on its line: `unit 7`, `address 000000123456`;
    /// nothing where it has no address of its own.
    #[must_use]
    pub fn place(&self) -> Option<String> {
        match (&self.profile.protocol, self.meter) {
            (Protocol::Modbus, _) => Some(format!("unit {}", self.unit)),
            (Protocol::Dlt645(_), Some(meter)) => Some(format!("address {meter}")),
            (Protocol::Raw(questions), _) => {
                let unit = questions.iter().find_map(|q| q.carried)?;
                Some(format!("unit {unit}"))
            }
            (Protocol::Dlt645(_), None) => None,
        }
    }
}

/// When a device counts as silent, and when as back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Liveness {
    /// This many polls in a row without proof of life … Default 3.
    pub missed: u32,
    /// … and at least this long since the last proof. Default: the slowest
    /// interval of the device's points, at least 3 s and at most 30 s.
    pub quiet: Duration,
    /// This many proofs of life in a row bring a silent device back. Default 2.
    pub returns: u32,
}

/// A named list of points: one kind of device.
#[derive(Clone, Debug, PartialEq)]
pub struct ProfileSpec {
    /// Unique among profiles.
    pub name: String,
    /// What it speaks.
    pub protocol: Protocol,
    /// In configuration order; a [`crate::base::Reading`] refers to them by
    /// index.
    pub points: Vec<PointSpec>,
    /// The most registers one request may ask of this kind of device; 1–125.
    pub max_registers: u16,
    /// What else is known about reading it.
    pub reads: Reads,
}

/// What a kind of device speaks. Where that is not Modbus, what can be asked is a
/// list of questions, and a point says which of them brings it.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Protocol {
    /// Modbus; its points are places in its tables.
    #[default]
    Modbus,
    /// DL/T 645, in the year its items are of; at most 255 of them.
    Dlt645(Vec<Item>),
    /// A protocol without a standard; at most 255 questions.
    Raw(Vec<Arc<Question>>),
}

/// How one kind of device is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// From the end of a request (3.5 characters after its last byte) to the
    /// beginning of the reply; on TCP the round trip. For reckoning, until it is
    /// measured. `None`: nobody knows.
    pub reply_delay: Option<Duration>,
    /// Entries that are never read if no point needs them.
    pub holes: Vec<Gap>,
}

/// A range of entries of one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Which table.
    pub table: Table,
    /// The first.
    pub first: u16,
    /// The last; not before the first.
    pub last: u16,
}

impl ProfileSpec {
    /// The slowest interval of any point; zero for a profile without points.
    #[must_use]
    pub fn slowest_interval(&self) -> Duration {
        self.points
            .iter()
            .map(|p| p.interval)
            .max()
            .unwrap_or_default()
    }
}

/// One value of a device: where it is, what it means, how often to read it.
#[derive(Clone, Debug, PartialEq)]
pub struct PointSpec {
    /// The property identifier in the thing model.
    pub id: String,
    /// Which of the four tables; without meaning where the protocol has none.
    pub table: Table,
    /// 0-based address of its first register or bit; where the protocol has no
    /// tables, which of the questions of its [`Protocol`] brings it.
    pub address: u16,
    /// How the registers become a value.
    pub codec: Codec,
    /// Read this often. At least 50 ms.
    pub interval: Duration,
    /// Whether others wait for it, or it for others.
    pub priority: Priority,
    /// How people are shown it.
    pub shown: Shown,
}

/// Who goes first among the requests that are due on one line, and whose
/// intervals are stretched last when it cannot carry them all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Before all others.
    High,
    /// The default.
    #[default]
    Normal,
    /// After all others.
    Low,
}

impl Priority {
    /// From the first to the last.
    pub const ALL: [Priority; 3] = [Priority::High, Priority::Normal, Priority::Low];

    /// As it is written in the configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Priority::High => "high",
            Priority::Normal => "normal",
            Priority::Low => "low",
        }
    }
}

/// How people are shown a value. The platform has its own thing model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// From this age on it counts as stale; not below the interval. `None`: when
    /// two intervals and the time a reply may take have passed.
    pub stale_after: Option<Duration>,
    /// What 0 and 1 of a single bit are called; titles of numbers are a
    /// [`Measure`]'s.
    pub titles: Option<States>,
}

/// The four Modbus tables (Modbus Application Protocol V1.1b3 §4.3) and the
/// function that reads each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Function 1.
    Coil,
    /// Function 2.
    DiscreteInput,
    /// Function 3.
    HoldingRegister,
    /// Function 4.
    InputRegister,
}

impl Table {
    /// Whether its entries are single bits.
    #[must_use]
    pub const fn is_bits(self) -> bool {
        matches!(self, Table::Coil | Table::DiscreteInput)
    }

    /// The function code that reads it.
    #[must_use]
    pub const fn read_function(self) -> u8 {
        match self {
            Table::Coil => 1,
            Table::DiscreteInput => 2,
            Table::HoldingRegister => 3,
            Table::InputRegister => 4,
        }
    }
}

/// How bits and registers become a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Codec {
    /// A coil or discrete input.
    Bool,
    /// One bit of a register, 0 = least significant.
    Bit(u8),
    /// A plain number of one to four registers.
    Number {
        /// Size and kind.
        kind: Number,
        /// Which register comes first.
        words: WordOrder,
        /// Which byte comes first within a register.
        bytes: ByteOrder,
        /// Multiplied first, if not 1.
        scale: Decimal,
        /// Added after scaling, if not 0.
        offset: Decimal,
    },
    /// A number with more to it than its registers: parts, a factor from
    /// another register, conditions, titles. Apart from [`Codec::Number`]
    /// because nearly all points are plain, and there are many.
    Measure(Box<Measure>),
    /// Text, two bytes per register, ended by NUL or FFh; control characters and
    /// trailing blanks are cut.
    Text {
        /// How many registers, 1–125.
        registers: u16,
        /// Which byte comes first within a register.
        bytes: ByteOrder,
        /// Which characters the bytes are.
        encoding: Encoding,
    },
    /// Text with one byte in each register, ended in the same way.
    Letters {
        /// How many registers, 1–125.
        registers: u16,
        /// Where in the register the byte is; the other half is ignored.
        half: Half,
        /// Which characters the bytes are.
        encoding: Encoding,
    },
    /// A date and a time of day, each of its fields in a place of its own.
    DateTime(Box<DateTime>),
    /// A value of a datum of DL/T 645, which says itself how it is written.
    Datum {
        /// Which datum.
        item: Item,
        /// Where in its reply the value stands.
        place: Place,
        /// Multiplied first.
        scale: Decimal,
        /// Added after scaling.
        offset: Decimal,
        /// What it is in the thing model, if that does not follow from the rest.
        number_type: Option<NumberType>,
    },
    /// A part of the reply of a device without a standard.
    Part(Box<Part>),
}

impl Codec {
    /// How many table entries (bits or registers) it covers, from the address
    /// of its point on. All of them are read by one request, so a value is
    /// never put together from two moments.
    #[must_use]
    pub fn width(&self) -> u16 {
        match self {
            Codec::Bool | Codec::Bit(_) | Codec::Datum { .. } | Codec::Part(_) => 1,
            Codec::Number { kind, .. } => kind.registers(),
            Codec::Measure(measure) => measure.width(),
            Codec::Text { registers, .. } | Codec::Letters { registers, .. } => *registers,
            Codec::DateTime(moment) => moment.registers(),
        }
    }
}

/// Sizes and kinds of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// Unsigned 8 bit: one half of a register.
    U8(Half),
    /// Signed 8 bit, two's complement.
    I8(Half),
    /// Unsigned 16 bit.
    U16,
    /// Signed 16 bit, two's complement.
    I16,
    /// Unsigned 24 bit: the less significant three bytes of two registers; the
    /// fourth is ignored.
    U24,
    /// Signed 24 bit, likewise.
    I24,
    /// Unsigned 32 bit.
    U32,
    /// Signed 32 bit.
    I32,
    /// Unsigned 48 bit: three registers.
    U48,
    /// Signed 48 bit.
    I48,
    /// Unsigned 64 bit.
    U64,
    /// Signed 64 bit.
    I64,
    /// IEEE 754 half precision.
    F16,
    /// IEEE 754 single.
    F32,
    /// IEEE 754 double.
    F64,
    /// Two decimal digits, four bits each, in one half of a register.
    Bcd8(Half),
    /// Four decimal digits.
    Bcd16,
    /// Six decimal digits: the less significant three bytes of two registers;
    /// the fourth is ignored.
    Bcd24,
    /// Eight decimal digits.
    Bcd32,
    /// Twelve decimal digits: three registers.
    Bcd48,
    /// Sixteen decimal digits.
    Bcd64,
}

impl Number {
    /// How many registers it takes.
    #[must_use]
    pub const fn registers(self) -> u16 {
        match self.bits() {
            0..=16 => 1,
            17..=32 => 2,
            33..=48 => 3,
            _ => 4,
        }
    }

    /// How many bits it has.
    #[must_use]
    pub const fn bits(self) -> u8 {
        match self {
            Number::U8(_) | Number::I8(_) | Number::Bcd8(_) => 8,
            Number::U16 | Number::I16 | Number::F16 | Number::Bcd16 => 16,
            Number::U24 | Number::I24 | Number::Bcd24 => 24,
            Number::U32 | Number::I32 | Number::F32 | Number::Bcd32 => 32,
            Number::U48 | Number::I48 | Number::Bcd48 => 48,
            Number::U64 | Number::I64 | Number::F64 | Number::Bcd64 => 64,
        }
    }

    /// What its bits mean.
    #[must_use]
    pub const fn digits(self) -> Digits {
        match self {
            Number::U8(_) | Number::U16 | Number::U24 | Number::U32 | Number::U48 | Number::U64 => {
                Digits::Unsigned
            }
            Number::I8(_) | Number::I16 | Number::I24 | Number::I32 | Number::I48 | Number::I64 => {
                Digits::Signed
            }
            Number::F16 | Number::F32 | Number::F64 => Digits::Floating,
            Number::Bcd8(_)
            | Number::Bcd16
            | Number::Bcd24
            | Number::Bcd32
            | Number::Bcd48
            | Number::Bcd64 => Digits::Decimal,
        }
    }

    /// Which half of the register it is, if it is only half of one.
    #[must_use]
    pub const fn half(self) -> Option<Half> {
        match self {
            Number::U8(half) | Number::I8(half) | Number::Bcd8(half) => Some(half),
            _ => None,
        }
    }
}

/// What the bits of a number mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digits {
    /// A whole number.
    Unsigned,
    /// A whole number, two's complement.
    Signed,
    /// IEEE 754.
    Floating,
    /// Decimal digits, four bits each (BCD).
    Decimal,
}

/// One byte of a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// Bits 8–15.
    High,
    /// Bits 0–7.
    Low,
}

/// Which register of a wide number comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WordOrder {
    /// Most significant first (the usual).
    High,
    /// Least significant first ("word swapped").
    Low,
}

/// Which byte of a register comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteOrder {
    /// Most significant first (the standard).
    High,
    /// Least significant first ("byte swapped").
    Low,
}

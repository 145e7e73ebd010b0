//! The one neutral form of all dialects.

use std::collections::{BTreeMap, BTreeSet};

use super::identifier::{self, Identifiers};
use super::kind::FileKind;
use super::remark::{FileLocation, Remark, RemarkCause};
use super::source::ValueSource;
use super::tree::Tree;
use super::{MOST_DEVICES, MOST_POINTS, Wishes, number};

/// How the bytes of a value are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteForm {
    /// One bit of a coil or a discrete input.
    Bool,
    /// One bit of a register, 0 the least significant.
    Bit(u8),
    /// A number; the word is the one of `type:`.
    Number(&'static str),
    /// Text in so many registers, with so many characters in each.
    Text {
        /// How many registers.
        registers: u16,
        /// 1 or 2.
        characters: u8,
    },
}

impl ByteForm {
    /// Returns how many registers (or bits) a value has.
    #[must_use]
    pub fn width(self) -> u16 {
        match self {
            ByteForm::Bool | ByteForm::Bit(_) => 1,
            ByteForm::Text { registers, .. } => registers,
            ByteForm::Number(_) => self.bits().div_ceil(16),
        }
    }

    /// Returns how many bits a value has.
    #[must_use]
    pub fn bits(self) -> u16 {
        match self {
            ByteForm::Bool | ByteForm::Bit(_) => 1,
            ByteForm::Text { registers, .. } => registers.saturating_mul(16),
            ByteForm::Number(word) => {
                let bits = word.trim_start_matches(|c: char| !c.is_ascii_digit());
                bits.parse().unwrap_or(16)
            }
        }
    }

    /// Returns the bits of a number as a value of this shape has them, if they fit; one that is
    /// negative has them in two's complement.
    #[must_use]
    pub fn bits_of(self, number: i64) -> Option<u64> {
        let bits = u32::from(self.bits());
        match self {
            ByteForm::Number(_) if bits >= 64 => Some(number as u64),
            ByteForm::Number(_) if number < 0 => {
                let least = -(1i64 << (bits - 1));
                (number >= least).then_some(number as u64 & ((1 << bits) - 1))
            }
            ByteForm::Number(_) => u64::try_from(number).ok().filter(|n| *n < 1 << bits),
            ByteForm::Bool | ByteForm::Bit(_) | ByteForm::Text { .. } => None,
        }
    }
}

/// The order of bytes in the letters of manuals: A is the most significant byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LetterOrder {
    /// Both high first.
    #[default]
    Abcd,
    /// Words low first.
    Cdab,
    /// Bytes low first.
    Badc,
    /// Both low first.
    Dcba,
}

impl LetterOrder {
    /// Returns the order with words and bytes low or high first.
    #[must_use]
    pub const fn of(words_low: bool, bytes_low: bool) -> LetterOrder {
        match (words_low, bytes_low) {
            (false, false) => LetterOrder::Abcd,
            (true, false) => LetterOrder::Cdab,
            (false, true) => LetterOrder::Badc,
            (true, true) => LetterOrder::Dcba,
        }
    }

    /// Returns the word of `order:`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            LetterOrder::Abcd => "ABCD",
            LetterOrder::Cdab => "CDAB",
            LetterOrder::Badc => "BADC",
            LetterOrder::Dcba => "DCBA",
        }
    }
}

/// One value of a device, as it was found in any dialect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedPoint {
    /// Where it was found, with its name there.
    pub at: FileLocation,
    /// The identifier; empty until the import is complete.
    pub id: String,
    /// Where it is in the device.
    pub source: ValueSource,
    /// How the bytes are read.
    pub shape: ByteForm,
    /// Half of the register, for types of a byte.
    pub high_half: bool,
    /// The bits of a part of the register, the lowest and the highest.
    pub bits: Option<(u8, u8)>,
    /// Bits that are kept where they are, the others being taken for 0.
    pub mask: Option<u64>,
    /// The order of the bytes.
    pub order: LetterOrder,
    /// A factor other than 1, as our configuration writes it.
    pub scale: Option<String>,
    /// An addend other than 0.
    pub offset: Option<String>,
    /// Places behind the point.
    pub round: Option<u8>,
    /// What the registers hold when there is no value, bit by bit; one of these.
    pub invalid: Vec<u64>,
    /// States and their titles.
    pub values: Vec<(i64, String)>,
    /// How often it is read, in milliseconds.
    pub interval_ms: Option<u64>,
    /// The unit of measure, as the file writes it.
    pub measure: String,
    /// Whether the source allows writing.
    pub writable: bool,
}

impl ImportedPoint {
    /// Makes a point without refinements.
    #[must_use]
    pub fn new(at: FileLocation, source: ValueSource, shape: ByteForm) -> ImportedPoint {
        ImportedPoint {
            at,
            id: String::new(),
            source,
            shape,
            high_half: false,
            bits: None,
            mask: None,
            order: LetterOrder::Abcd,
            scale: None,
            offset: None,
            round: None,
            invalid: Vec::new(),
            values: Vec::new(),
            interval_ms: None,
            measure: String::new(),
            writable: false,
        }
    }

    /// Returns whether the other is the same point but for where it stands in the file.
    #[must_use]
    pub fn is_like(&self, other: &ImportedPoint) -> bool {
        let mut here = self.clone();
        here.at.line = other.at.line;
        here == *other
    }
}

/// A kind of device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportedProfile {
    /// Its name; empty if the file gives none.
    pub name: String,
    /// The points.
    pub points: Vec<ImportedPoint>,
    /// How often they are read, in milliseconds, if the file says so.
    pub interval_ms: Option<u64>,
    /// The most registers that one reply has, if the file says so.
    pub max_registers: Option<u16>,
}

impl ImportedProfile {
    /// Returns whether its devices are meters of DL/T 645.
    #[must_use]
    pub fn is_of_meters(&self) -> bool {
        self.points
            .iter()
            .any(|p| matches!(p.source, ValueSource::Meter(..)))
    }
}

/// The parity of a serial line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parity {
    /// No parity bit.
    #[default]
    None,
    /// Even.
    Even,
    /// Odd.
    Odd,
}

impl Parity {
    /// Returns the word of `parity:`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Parity::None => "none",
            Parity::Even => "even",
            Parity::Odd => "odd",
        }
    }

    /// Returns the parity that a word of any dialect means.
    #[must_use]
    pub fn of(word: &str) -> Option<Parity> {
        match word.trim().to_ascii_lowercase().as_str() {
            "n" | "none" | "no" | "0" => Some(Parity::None),
            "e" | "even" => Some(Parity::Even),
            "o" | "odd" => Some(Parity::Odd),
            _ => None,
        }
    }
}

/// How a frame is written on a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Frames {
    /// The way that is usual on such a port: RTU on a serial line, Modbus TCP on a connection.
    #[default]
    Usual,
    /// RTU through a connection.
    Rtu,
    /// Modbus ASCII.
    Ascii,
}

/// What a port is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortKind {
    /// A serial line.
    Serial {
        /// The device file.
        device: String,
        /// Bit/s.
        baud: Option<u32>,
        /// 7 or 8.
        data_bits: Option<u8>,
        /// The parity.
        parity: Option<Parity>,
        /// 1 or 2.
        stop_bits: Option<u8>,
    },
    /// A connection.
    Tcp {
        /// The host.
        host: String,
        /// The port number.
        port: u16,
    },
}

/// The keys under which a dialect has the settings of a serial line.
#[derive(Clone, Copy, Debug)]
pub struct SerialKeys {
    /// Bit/s.
    pub baud: &'static str,
    /// The data bits.
    pub data_bits: &'static str,
    /// The stop bits.
    pub stop_bits: &'static str,
}

impl PortKind {
    /// Makes a serial line of the settings in a map of the file; a setting that no line can have
    /// is as if it were not there. The parity is under `parity` in every dialect.
    #[must_use]
    pub fn serial(device: &str, settings: &Tree, keys: SerialKeys) -> PortKind {
        let whole = |key: &str| settings.text(key).and_then(number::whole);
        let byte = |key: &str| whole(key).and_then(|n| u8::try_from(n).ok());
        PortKind::Serial {
            device: device.to_owned(),
            baud: whole(keys.baud).and_then(|n| u32::try_from(n).ok()),
            data_bits: byte(keys.data_bits).filter(|bits| *bits == 7 || *bits == 8),
            parity: settings.text("parity").and_then(Parity::of),
            stop_bits: byte(keys.stop_bits).filter(|bits| *bits == 1 || *bits == 2),
        }
    }

    /// Makes a connection of `host:port`; 502 if there is no port. An IPv6 address is in brackets.
    #[must_use]
    pub fn endpoint(text: &str) -> Option<PortKind> {
        let text = text.split('/').next().unwrap_or_default();
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']')?;
                (host, rest.strip_prefix(':'))
            }
            None => match text.rsplit_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let port = match port {
            Some(port) => port.parse().ok()?,
            None => 502,
        };
        let good = |c: char| c.is_ascii_alphanumeric() || ".-_:".contains(c);
        let fits = !host.is_empty() && host.len() <= 253 && host.chars().all(good) && port > 0;
        let host = host.to_owned();
        fits.then_some(PortKind::Tcp { host, port })
    }
}

/// A port that devices are connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedPort {
    /// Its name; empty until the import is complete.
    pub name: String,
    /// What it is.
    pub port_kind: PortKind,
    /// How frames are written there.
    pub frames: Frames,
    /// How long a reply is waited for, in milliseconds.
    pub response_ms: Option<u64>,
    /// Whether the file does not say it, so that it is an example to be corrected.
    pub is_example: bool,
}

/// One device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedDevice {
    /// Its name; empty until the import is complete.
    pub name: String,
    /// What the file calls it.
    pub title: String,
    /// The number of its port in [`Imported::ports`].
    pub port: usize,
    /// The number of its profile in [`Imported::profiles`]; `None` for the package's profile of
    /// three-phase meters of DL/T 645.
    pub profile: Option<usize>,
    /// The unit id.
    pub unit: Option<u8>,
    /// The twelve digits of a meter's address.
    pub meter: Option<String>,
}

/// What came of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// The dialect.
    pub kind: FileKind,
    /// The encoding of the text, if it was not UTF-8.
    pub encoding: Option<&'static str>,
    /// How many entries the file has that could be points.
    pub entries: usize,
    /// The profiles.
    pub profiles: Vec<ImportedProfile>,
    /// The ports.
    pub ports: Vec<ImportedPort>,
    /// The devices.
    pub devices: Vec<ImportedDevice>,
    /// What the user is told.
    pub remarks: Vec<Remark>,
}

impl Imported {
    /// Adds a remark.
    pub fn remark(&mut self, at: FileLocation, seen: impl Into<String>, finding: RemarkCause) {
        self.remark_of(1, at, seen, finding);
    }

    /// Adds a remark that is true of so many entries, of which this is the first.
    pub fn remark_of(
        &mut self,
        entries: usize,
        at: FileLocation,
        seen: impl Into<String>,
        finding: RemarkCause,
    ) {
        let seen = seen.into();
        self.remarks.push(Remark {
            at,
            seen,
            finding,
            entries,
        });
    }

    /// Returns how many points were carried over.
    #[must_use]
    pub fn points(&self) -> usize {
        self.profiles.iter().map(|p| p.points.len()).sum()
    }

    /// Returns the number of this port; one of the same kind is the same port.
    pub fn port(&mut self, port: ImportedPort) -> usize {
        let same = |p: &ImportedPort| p.port_kind == port.port_kind && p.frames == port.frames;
        if let Some(n) = self.ports.iter().position(same) {
            return n;
        }
        self.ports.push(port);
        self.ports.len() - 1
    }

    /// Returns the number of a profile with these points; one with the same points is the same
    /// profile.
    pub fn profile(&mut self, profile: ImportedProfile) -> usize {
        let same = |p: &ImportedProfile| {
            p.interval_ms == profile.interval_ms
                && p.points.len() == profile.points.len()
                && p.points
                    .iter()
                    .zip(&profile.points)
                    .all(|(a, b)| a.is_like(b))
        };
        if let Some(n) = self.profiles.iter().position(same) {
            return n;
        }
        self.profiles.push(profile);
        self.profiles.len() - 1
    }

    /// Adds a device on this port for each unit id, with a profile of its points. Devices of a port
    /// with several have no name of their own.
    pub fn units(
        &mut self,
        name: &str,
        port: usize,
        interval_ms: Option<u64>,
        units: BTreeMap<u8, Vec<ImportedPoint>>,
    ) {
        let several = units.len() > 1;
        for (unit, points) in units {
            let profile = self.profile(ImportedProfile {
                name: name.to_owned(),
                points,
                interval_ms,
                max_registers: None,
            });
            let own = if several { "" } else { name };
            self.devices.push(ImportedDevice {
                name: own.to_owned(),
                title: String::new(),
                port,
                profile: Some(profile),
                unit: Some(unit),
                meter: None,
            });
        }
    }

    /// Takes out what cannot be used, makes the names and identifiers that are missing, and adds
    /// an example of a port and a device where the file has none.
    pub(super) fn complete(&mut self, wishes: &Wishes) {
        self.bound();
        self.refuse_broadcast();
        self.keep_used();
        for profile in &mut self.profiles {
            check_points(profile, &mut self.remarks);
            identifiers(profile, &mut self.remarks);
        }
        let stem = wishes
            .file
            .rsplit_once('.')
            .map_or(wishes.file.as_str(), |(stem, _)| stem);
        let stem = identifier::name(stem).unwrap_or_else(|| "imported".into());
        let mut taken = BTreeSet::new();
        for (n, profile) in self.profiles.iter_mut().enumerate() {
            let wished = wishes.profile.as_deref().filter(|_| n == 0);
            let name = wished.map(str::to_owned);
            let name = name.or_else(|| identifier::name(&profile.name));
            profile.name = identifier::unique(name.unwrap_or_else(|| stem.clone()), &mut taken);
        }
        if self.points() == 0 && self.devices.is_empty() {
            return;
        }
        if self.ports.is_empty() {
            let is_of_meters = |p: &ImportedProfile| p.is_of_meters();
            let of_meters = self.devices.iter().any(|d| d.meter.is_some())
                || (self.devices.is_empty() && self.profiles.iter().any(is_of_meters));
            // What meters of DL/T 645-2007 are delivered with: 2400 bit/s, even parity.
            let (seen, baud, parity) = match of_meters {
                true => ("/dev/ttyUSB0, 2400 8E1", 2400, Some(Parity::Even)),
                false => ("/dev/ttyUSB0, 9600 8N1", 9600, None),
            };
            self.remark(FileLocation::default(), seen, RemarkCause::NoPort);
            self.ports.push(example_port(baud, parity));
        }
        if self.devices.is_empty() {
            for (n, profile) in self.profiles.iter().enumerate() {
                let is_meter = profile.is_of_meters();
                self.devices.push(ImportedDevice {
                    name: String::new(),
                    title: String::new(),
                    port: 0,
                    profile: Some(n),
                    unit: u8::try_from(n + 1).ok().filter(|_| !is_meter),
                    meter: is_meter.then(|| "000000000001".to_owned()),
                });
            }
            let seen = match self.devices.iter().any(|d| d.meter.is_some()) {
                true => "address 000000000001",
                false => "unit 1",
            };
            self.remark(FileLocation::default(), seen, RemarkCause::NoDevice);
        }
        self.make_names();
    }

    /// Gives ports and devices names that no others have.
    fn make_names(&mut self) {
        let mut taken = BTreeSet::new();
        let (mut lines, mut racks) = (0, 0);
        for port in &mut self.ports {
            let given = identifier::name(&port.name);
            let name = given.unwrap_or_else(|| match port.port_kind {
                PortKind::Serial { .. } => {
                    lines += 1;
                    format!("line{lines}")
                }
                PortKind::Tcp { .. } => {
                    racks += 1;
                    format!("tcp{racks}")
                }
            });
            port.name = identifier::unique(name, &mut taken);
        }
        let mut taken = BTreeSet::new();
        let profiles = &self.profiles;
        for device in &mut self.devices {
            let given = identifier::device_name(&device.name);
            let name = given.unwrap_or_else(|| {
                let profile = device.profile.and_then(|n| profiles.get(n));
                let unit = device.unit.unwrap_or(1).to_string();
                let place = device.meter.clone().unwrap_or(unit);
                let made = format!("{}-{place}", profile.map_or("meter", |p| &p.name));
                identifier::device_name(&made).unwrap_or_else(|| format!("device-{place}"))
            });
            let given = std::mem::replace(&mut device.name, identifier::unique(name, &mut taken));
            device.title = given;
        }
    }

    /// Takes out devices with unit id 0 where that is everyone: in the frames of serial lines.
    fn refuse_broadcast(&mut self) {
        let ports = &self.ports;
        let is_wrong = |device: &ImportedDevice| {
            let port = ports.get(device.port);
            let is_plain_tcp = port.is_some_and(|port| {
                matches!(port.port_kind, PortKind::Tcp { .. }) && port.frames == Frames::Usual
            });
            device.unit == Some(0) && !is_plain_tcp
        };
        let (wrong, right): (Vec<_>, Vec<_>) = self.devices.drain(..).partition(is_wrong);
        self.devices = right;
        for device in wrong {
            self.remark(FileLocation::new(0, &device.name), "0", RemarkCause::Unit);
        }
    }

    /// Gives up points beyond the bound.
    fn bound(&mut self) {
        let mut left = MOST_POINTS;
        let mut beyond = 0;
        for profile in &mut self.profiles {
            beyond += profile.points.len().saturating_sub(left);
            profile.points.truncate(left);
            left -= profile.points.len();
        }
        if beyond > 0 {
            let seen = crate::base::text::counted(beyond, "point");
            self.remark(FileLocation::default(), seen, RemarkCause::TooMany);
        }
        let beyond = self.devices.len().saturating_sub(MOST_DEVICES);
        if beyond > 0 {
            self.devices.truncate(MOST_DEVICES);
            let seen = crate::base::text::counted(beyond, "device");
            self.remark(FileLocation::default(), seen, RemarkCause::TooMany);
        }
    }

    /// Takes out profiles without points, with their devices, and ports without devices if others
    /// have some.
    fn keep_used(&mut self) {
        let mut profiles = Vec::new();
        let mut moved = Vec::new();
        for profile in self.profiles.drain(..) {
            let is_used = !profile.points.is_empty();
            moved.push(is_used.then_some(profiles.len()));
            if is_used {
                profiles.push(profile);
            }
        }
        self.profiles = profiles;
        self.devices.retain_mut(|device| {
            let Some(n) = device.profile else {
                return true;
            };
            device.profile = moved.get(n).copied().flatten();
            device.profile.is_some()
        });
        if self.devices.is_empty() {
            return;
        }
        let used: BTreeSet<usize> = self.devices.iter().map(|d| d.port).collect();
        let mut moved = Vec::new();
        let mut kept = 0;
        for n in 0..self.ports.len() {
            moved.push(kept);
            kept += usize::from(used.contains(&n));
        }
        let mut n = 0;
        self.ports.retain(|_| {
            n += 1;
            used.contains(&(n - 1))
        });
        for device in &mut self.devices {
            device.port = moved.get(device.port).copied().unwrap_or(0);
        }
    }
}

fn example_port(baud: u32, parity: Option<Parity>) -> ImportedPort {
    ImportedPort {
        name: String::new(),
        port_kind: PortKind::Serial {
            device: "/dev/ttyUSB0".into(),
            baud: Some(baud),
            data_bits: None,
            parity,
            stop_bits: None,
        },
        frames: Frames::Usual,
        response_ms: None,
        is_example: true,
    }
}

/// Takes out points whose value does not fit behind their address.
fn check_points(profile: &mut ImportedProfile, remarks: &mut Vec<Remark>) {
    profile.points.retain(|point| {
        let ValueSource::Register(_, address) = point.source else {
            return true;
        };
        let end = u32::from(address) + u32::from(point.shape.width());
        let fits = end <= 0x1_0000 && point.shape.width() <= 125;
        if !fits {
            remarks.push(Remark {
                at: point.at.clone(),
                seen: format!("{address} + {}", point.shape.width()),
                finding: RemarkCause::BeyondTable,
                entries: 1,
            });
        }
        fits
    });
}

/// Gives each point an identifier that no other point of the profile has.
fn identifiers(profile: &mut ImportedProfile, remarks: &mut Vec<Remark>) {
    let mut ids = Identifiers::default();
    for point in &mut profile.points {
        let (id, how) = ids.of(&point.at.entry, &point.source);
        if let Some(finding) = how {
            let (at, seen) = (point.at.clone(), id.clone());
            remarks.push(Remark {
                at,
                seen,
                finding,
                entries: 1,
            });
        }
        point.id = id;
    }
}

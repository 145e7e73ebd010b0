//! The data of the standard, by name.
//!
//! A name is a family, and where the family has them a phase, a rate, or a settlement day:
//! `voltage-a`, `energy-active-forward`, `energy-active-forward-rate-2`,
//! `energy-active-forward-last-1` (the reading at the end of the last settlement period),
//! `voltage-all` and `energy-active-forward-all` (blocks: one reply, several values; of a rated
//! quantity the total and each rate). Identifiers, formats and signs are those of DL/T 645-2007
//! tables A.1–A.4 and 1997 tables A.1–A.7. A datum without a name here can be read by its
//! identifier and [`Format`].

use super::{DataIdentifier, Edition, Format};
use crate::spec::{NotWritable, TimeField};
use serde::Serialize;

/// A datum: its identifier, and how the reply is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct DataItem {
    /// Its identifier.
    pub id: DataIdentifier,
    /// How each of its values is written.
    pub format: Format,
    /// How its values stand in a reply.
    pub layout: Layout,
}

/// How the values of a datum stand in its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Layout {
    /// One value, and nothing else: a reply of another length is invalid.
    One,
    /// Values of one format, one behind the other. The meter decides how many there are: it has
    /// so many rates, and one phase or three.
    Block {
        /// About how many values; for estimating how long a reply takes. At least 1.
        about: u8,
        /// The most values that the standard has.
        most: u8,
    },
    /// Values that are found by their first byte, whatever stands around them.
    Bytes {
        /// About how many bytes, for the same purpose.
        about: u16,
    },
}

/// The length that the data of a valid reply has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Length {
    /// So many bytes.
    Exactly(usize),
    /// At least one value of so many bytes, and at most so many values.
    Values {
        /// Bytes of a value.
        each: usize,
        /// How many values.
        most: u8,
    },
    /// The length is unknown.
    Any,
}

/// The byte that some meters put behind a block; it is no decimal digit.
const END_OF_BLOCK: u8 = 0xAA;

impl From<Option<usize>> for Length {
    fn from(bytes: Option<usize>) -> Self {
        bytes.map_or(Length::Any, Length::Exactly)
    }
}

impl Length {
    /// Returns whether these data as a whole have this length.
    #[must_use]
    pub fn fits(self, data: &[u8]) -> bool {
        match self {
            Length::Exactly(bytes) => data.len() == bytes,
            Length::Values { each, most } => {
                let values = self.values(data).len();
                let whole = values.checked_rem(each) == Some(0);
                whole && (each..=each * usize::from(most)).contains(&values)
            }
            Length::Any => true,
        }
    }

    /// Returns the same for data that were put together from several frames. A byte lost in each
    /// of two frames can leave a whole number of values, none of them right. So a block is
    /// accepted only with all values that the standard has. Blocks of fewer values fit into one
    /// frame.
    #[must_use]
    pub fn fits_joined(self, data: &[u8]) -> bool {
        match self {
            Length::Values { each, most } => data.len() == each * usize::from(most),
            Length::Exactly(_) | Length::Any => self.fits(data),
        }
    }

    /// Returns the data without the bytes behind the values of a block.
    #[must_use]
    pub fn values(self, data: &[u8]) -> &[u8] {
        match (self, data.split_last()) {
            (Length::Values { each, .. }, Some((&END_OF_BLOCK, values)))
                if values.len().checked_rem(each) == Some(0) =>
            {
                values
            }
            _ => data,
        }
    }

    /// Returns the most bytes that data of this length have; `None` where that is unknown.
    #[must_use]
    pub const fn most(self) -> Option<usize> {
        match self {
            Length::Exactly(bytes) => Some(bytes),
            Length::Values { each, most } => Some(each * most as usize + 1),
            Length::Any => None,
        }
    }
}

/// Where a value stands in the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum ValuePosition {
    /// The index of the value in a block, from 0 on; 0 where there is only one value.
    Value(u8),
    /// The first byte of the value, counted behind the identifier, from 0 on.
    Byte(u16),
}

impl DataItem {
    /// Returns how many bytes of data a reply carries: exactly if [`DataItem::length`] is known, and
    /// about as many otherwise.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        match self.layout {
            Layout::One => self.format.bytes(),
            Layout::Block { about, .. } => self.format.bytes() * about as usize,
            Layout::Bytes { about } => about as usize,
        }
    }

    /// Returns why the value at this position can never be written; `None` if it is the whole
    /// datum, and each of its bytes is known.
    #[must_use]
    pub fn unwritable(&self, position: ValuePosition) -> Option<NotWritable> {
        if self.id.edition() == Edition::Y1997 {
            return Some(NotWritable::Edition);
        }
        if self.layout != Layout::One || position != ValuePosition::Value(0) {
            return Some(NotWritable::PartOfDatum);
        }
        match self.format {
            Format::Peak { .. } => Some(NotWritable::Peak),
            Format::DateTime(layout) if layout.fields().contains(&TimeField::Unused) => {
                Some(NotWritable::Ignored)
            }
            Format::Number { .. }
            | Format::Digits(_)
            | Format::Date
            | Format::Time
            | Format::DateTime(_)
            | Format::Text(_)
            | Format::Bits(_) => None,
        }
    }

    /// Returns the length that a reply's data must have.
    #[must_use]
    pub const fn length(&self) -> Length {
        match self.layout {
            Layout::One => Length::Exactly(self.format.bytes()),
            Layout::Block { most, .. } => Length::Values {
                each: self.format.bytes(),
                most,
            },
            Layout::Bytes { .. } => Length::Any,
        }
    }

    /// Returns how many values a reply has at most; 1 if the datum is no block.
    #[must_use]
    pub const fn values(&self) -> u8 {
        match self.layout {
            Layout::One | Layout::Bytes { .. } => 1,
            Layout::Block { most, .. } => most,
        }
    }

    /// Returns the item to request so that the reply serves both items; they have one identifier.
    /// A datum may be read in two ways, a day as text and as a moment. The length of its reply is
    /// known as long as both formats have as many bytes.
    #[must_use]
    pub fn joined(self, other: DataItem) -> DataItem {
        let alike = self.format.bytes() == other.format.bytes();
        let layout = match (self.layout, other.layout) {
            (Layout::Block { about: a, most: m }, Layout::Block { about: b, most: n }) if alike => {
                Layout::Block {
                    about: if a > b { a } else { b },
                    most: if m > n { m } else { n },
                }
            }
            (a, b) if a == b && alike => a,
            _ => {
                let about = self.bytes().max(other.bytes());
                Layout::Bytes {
                    about: u16::try_from(about).unwrap_or(u16::MAX),
                }
            }
        };
        DataItem { layout, ..self }
    }
}

/// The members of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
enum Members {
    /// The family itself.
    One,
    /// `-a`, `-b`, `-c`, `-all`: three phases.
    Phases,
    /// The family itself (the total), `-a`, `-b`, `-c`, `-all`.
    TotalAndPhases,
    /// The family itself (the total), `-rate-N`; each also `-last-N`.
    Rates,
}

struct Family {
    name: &'static str,
    id: DataIdentifier,
    format: Format,
    members: Members,
}

const fn family(
    name: &'static str,
    id: DataIdentifier,
    format: Format,
    members: Members,
) -> Family {
    Family {
        name,
        id,
        format,
        members,
    }
}

const ENERGY: Format = Format::unsigned(4, 2);
/// The format of sums over both directions, which have a sign (2007 table A.1, note).
const NET_ENERGY: Format = Format::signed(4, 2);
const PEAK: Format = Format::Peak {
    bytes: 3,
    places: 4,
};

/// The families of DL/T 645-2007, tables A.1 (00), A.2 (01), A.3 (02), A.4 (04).
#[rustfmt::skip]
const Y2007: [Family; 50] = {
    use DataIdentifier::Y2007 as I;
    use Members::{One, Phases, Rates, TotalAndPhases};
    [
        family("energy-active", I(0x0000_0000), NET_ENERGY, Rates),
        family("energy-active-forward", I(0x0001_0000), ENERGY, Rates),
        family("energy-active-reverse", I(0x0002_0000), ENERGY, Rates),
        family("energy-reactive-1", I(0x0003_0000), NET_ENERGY, Rates),
        family("energy-reactive-2", I(0x0004_0000), NET_ENERGY, Rates),
        family("energy-reactive-quadrant-1", I(0x0005_0000), ENERGY, Rates),
        family("energy-reactive-quadrant-2", I(0x0006_0000), ENERGY, Rates),
        family("energy-reactive-quadrant-3", I(0x0007_0000), ENERGY, Rates),
        family("energy-reactive-quadrant-4", I(0x0008_0000), ENERGY, Rates),
        family("energy-apparent-forward", I(0x0009_0000), ENERGY, Rates),
        family("energy-apparent-reverse", I(0x000A_0000), ENERGY, Rates),
        family("energy-active-forward-a", I(0x0015_0000), ENERGY, One),
        family("energy-active-forward-b", I(0x0029_0000), ENERGY, One),
        family("energy-active-forward-c", I(0x003D_0000), ENERGY, One),
        family("energy-active-reverse-a", I(0x0016_0000), ENERGY, One),
        family("energy-active-reverse-b", I(0x002A_0000), ENERGY, One),
        family("energy-active-reverse-c", I(0x003E_0000), ENERGY, One),
        family("peak-demand-active-forward", I(0x0101_0000), PEAK, Rates),
        family("peak-demand-active-reverse", I(0x0102_0000), PEAK, Rates),
        family("voltage", I(0x0201_0000), Format::unsigned(2, 1), Phases),
        family("current", I(0x0202_0000), Format::signed(3, 3), Phases),
        family("power-active", I(0x0203_0000), Format::signed(3, 4), TotalAndPhases),
        family("power-reactive", I(0x0204_0000), Format::signed(3, 4), TotalAndPhases),
        family("power-apparent", I(0x0205_0000), Format::signed(3, 4), TotalAndPhases),
        family("power-factor", I(0x0206_0000), Format::signed(2, 3), TotalAndPhases),
        family("phase-angle", I(0x0207_0000), Format::unsigned(2, 1), Phases),
        family("voltage-distortion", I(0x0208_0000), Format::unsigned(2, 2), Phases),
        family("current-distortion", I(0x0209_0000), Format::unsigned(2, 2), Phases),
        family("current-neutral", I(0x0280_0001), Format::signed(3, 3), One),
        family("frequency", I(0x0280_0002), Format::unsigned(2, 2), One),
        family("power-active-minute", I(0x0280_0003), Format::signed(3, 4), One),
        family("demand-active", I(0x0280_0004), Format::signed(3, 4), One),
        family("demand-reactive", I(0x0280_0005), Format::signed(3, 4), One),
        family("demand-apparent", I(0x0280_0006), Format::signed(3, 4), One),
        family("temperature", I(0x0280_0007), Format::signed(2, 1), One),
        family("battery-clock", I(0x0280_0008), Format::unsigned(2, 2), One),
        family("battery-reading", I(0x0280_0009), Format::unsigned(2, 2), One),
        family("battery-minutes", I(0x0280_000A), Format::unsigned(4, 0), One),
        family("date", I(0x0400_0101), Format::Date, One),
        family("time", I(0x0400_0102), Format::Time, One),
        family("current-ratio", I(0x0400_0306), Format::unsigned(3, 0), One),
        family("voltage-ratio", I(0x0400_0307), Format::unsigned(3, 0), One),
        family("address", I(0x0400_0401), Format::Digits(6), One),
        family("meter-number", I(0x0400_0402), Format::Digits(6), One),
        family("asset-code", I(0x0400_0403), Format::Text(32), One),
        family("rated-voltage", I(0x0400_0404), Format::Text(6), One),
        family("rated-current", I(0x0400_0405), Format::Text(6), One),
        family("constant-active", I(0x0400_0409), Format::unsigned(3, 0), One),
        family("constant-reactive", I(0x0400_040A), Format::unsigned(3, 0), One),
        family("status-1", I(0x0400_0501), Format::Bits(2), One),
    ]
};

/// The families of DL/T 645-1997, tables A.1 (90–9F), A.5 (B6) and A.6–A.7 (C0). This edition
/// gives power no sign; a meter that sets the highest bit all the same must be read by
/// identifier, with a signed format.
#[rustfmt::skip]
const Y1997: [Family; 20] = {
    use DataIdentifier::Y1997 as I;
    use Members::{One, Phases, Rates, TotalAndPhases};
    [
        family("energy-active-forward", I(0x9010), ENERGY, Rates),
        family("energy-active-reverse", I(0x9020), ENERGY, Rates),
        family("energy-reactive-forward", I(0x9110), ENERGY, Rates),
        family("energy-reactive-reverse", I(0x9120), ENERGY, Rates),
        family("energy-reactive-quadrant-1", I(0x9130), ENERGY, Rates),
        family("energy-reactive-quadrant-4", I(0x9140), ENERGY, Rates),
        family("energy-reactive-quadrant-2", I(0x9150), ENERGY, Rates),
        family("energy-reactive-quadrant-3", I(0x9160), ENERGY, Rates),
        family("voltage", I(0xB610), Format::unsigned(2, 0), Phases),
        family("current", I(0xB620), Format::unsigned(2, 2), Phases),
        family("power-active", I(0xB630), Format::unsigned(3, 4), TotalAndPhases),
        family("power-reactive", I(0xB640), Format::unsigned(2, 2), TotalAndPhases),
        family("power-factor", I(0xB650), Format::unsigned(2, 3), TotalAndPhases),
        family("date", I(0xC010), Format::Date, One),
        family("time", I(0xC011), Format::Time, One),
        family("status-1", I(0xC020), Format::Bits(1), One),
        family("constant-active", I(0xC030), Format::unsigned(3, 0), One),
        family("constant-reactive", I(0xC031), Format::unsigned(3, 0), One),
        family("meter-number", I(0xC032), Format::Digits(6), One),
        family("device-code", I(0xC034), Format::Digits(6), One),
    ]
};

/// Returns the datum with this name; `None` if this edition of the standard has none.
#[must_use]
pub fn find(edition: Edition, name: &str) -> Option<DataItem> {
    families(edition).iter().find_map(|f| f.member(name))
}

/// Returns the names of all families, for suggestions, without their members.
pub fn names(edition: Edition) -> impl Iterator<Item = &'static str> {
    families(edition).iter().map(|f| f.name)
}

const fn families(edition: Edition) -> &'static [Family] {
    match edition {
        Edition::Y1997 => &Y1997,
        Edition::Y2007 => &Y2007,
    }
}

impl Family {
    fn member(&self, name: &str) -> Option<DataItem> {
        let rest = name.strip_prefix(self.name)?;
        let block = |about, most| Layout::Block { about, most };
        let (id, layout) = match (self.members, rest) {
            (Members::Phases, "") => return None,
            (_, "") => (self.id, Layout::One),
            (Members::Phases, "-all") => (self.part(BLOCK)?, block(3, 3)),
            (Members::TotalAndPhases, "-all") => (self.part(BLOCK)?, block(4, 4)),
            (Members::Phases | Members::TotalAndPhases, phase) => {
                let n = ["-a", "-b", "-c"].iter().position(|p| *p == phase)?;
                (self.part(n as u8 + 1)?, Layout::One)
            }
            (Members::Rates, _) => match self.rate(rest)? {
                (id, true) => (id, block(USUAL_RATES + 1, self.most_rates() + 1)),
                (id, false) => (id, Layout::One),
            },
            (Members::One, _) => return None,
        };
        Some(DataItem {
            id,
            format: self.format,
            layout,
        })
    }

    /// Returns the identifier of member `n`: DI1 in 2007, the last half byte in 1997.
    const fn part(&self, n: u8) -> Option<DataIdentifier> {
        match self.id {
            DataIdentifier::Y2007(id) => Some(DataIdentifier::Y2007(id | (n as u32) << 8)),
            DataIdentifier::Y1997(_) if n > 15 && n != BLOCK => None,
            DataIdentifier::Y1997(id) => Some(DataIdentifier::Y1997(id | (n & 15) as u16)),
        }
    }

    /// Returns the most rates of a quantity: 63 in 2007 (table A.1), 14 in 1997 (table A.1).
    const fn most_rates(&self) -> u8 {
        match self.id {
            DataIdentifier::Y2007(_) => 63,
            DataIdentifier::Y1997(_) => 14,
        }
    }

    /// Returns the identifier for `-rate-N` or `-all`, and `-last-N`, in this order, each once;
    /// and whether it means all rates.
    fn rate(&self, rest: &str) -> Option<(DataIdentifier, bool)> {
        let (rest, last) = match rest.rsplit_once("-last-") {
            Some((rest, n)) => (rest, decimal(n)?),
            None => (rest, 0),
        };
        let rate = match rest.strip_prefix("-rate-") {
            Some(n) => decimal(n).filter(|n| *n <= self.most_rates())?,
            None if rest.is_empty() => 0,
            None if rest == "-all" => BLOCK,
            None => return None,
        };
        let id = match self.part(rate)? {
            // 12 settlement days (2007 table A.1).
            DataIdentifier::Y2007(id) => {
                (last <= 12).then(|| DataIdentifier::Y2007(id | u32::from(last)))
            }
            // 94xx is last month, 98xx the month before.
            DataIdentifier::Y1997(id) => {
                (last <= 2).then(|| DataIdentifier::Y1997(id | u16::from(last) << 10))
            }
        };
        Some((id?, rate == BLOCK))
    }
}

/// The number that means "all" in an identifier.
const BLOCK: u8 = 0xFF;

/// How many rates Chinese tariffs have: sharp, peak, flat, valley.
const USUAL_RATES: u8 = 4;

/// Parses 1 to 255, without leading zeros.
fn decimal(text: &str) -> Option<u8> {
    let n: u8 = text.parse().ok()?;
    (n > 0 && text == n.to_string()).then_some(n)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(edition: Edition, name: &str) -> Option<String> {
        find(edition, name).map(|item| item.id.to_string())
    }

    /// Identifier pairs as published in several drivers (coyool/XXOO_000
    /// dd645_2007.c, table of conversions from 1997 to 2007).
    #[test]
    fn names_have_the_published_identifiers() {
        for (name, y2007, y1997) in [
            ("energy-active-forward", "00010000", "9010"),
            ("energy-active-forward-rate-1", "00010100", "9011"),
            ("energy-active-forward-rate-4", "00010400", "9014"),
            ("energy-active-forward-last-1", "00010001", "9410"),
            ("energy-active-forward-rate-3-last-1", "00010301", "9413"),
            ("energy-active-reverse", "00020000", "9020"),
            ("energy-reactive-quadrant-1", "00050000", "9130"),
            ("energy-reactive-quadrant-4", "00080000", "9140"),
            ("energy-reactive-quadrant-2", "00060000", "9150"),
            ("energy-reactive-quadrant-3", "00070000", "9160"),
            ("power-active", "02030000", "B630"),
            ("power-active-a", "02030100", "B631"),
            ("power-reactive", "02040000", "B640"),
            ("power-reactive-a", "02040100", "B641"),
            ("voltage-a", "02010100", "B611"),
            ("voltage-b", "02010200", "B612"),
            ("voltage-c", "02010300", "B613"),
            ("voltage-all", "0201FF00", "B61F"),
            ("energy-active-forward-all", "0001FF00", "901F"),
            ("energy-active-forward-all-last-1", "0001FF01", "941F"),
            ("current-a", "02020100", "B621"),
            ("current-all", "0202FF00", "B62F"),
            ("power-factor", "02060000", "B650"),
            ("date", "04000101", "C010"),
            ("time", "04000102", "C011"),
        ] {
            assert_eq!(id(Edition::Y2007, name).as_deref(), Some(y2007), "{name}");
            assert_eq!(id(Edition::Y1997, name).as_deref(), Some(y1997), "{name}");
        }
    }

    #[test]
    fn what_the_standard_does_not_have_is_not_found() {
        for name in [
            "",
            "voltage",
            "voltage-d",
            "voltage-a-rate-1",
            "energy-active-forward-rate-0",
            "energy-active-forward-rate-01",
            "energy-active-forward-rate-64",
            "energy-active-forward-last-13",
            "energy-active-forward-last-1-rate-1",
            "energy-active-forward-last-1-all",
            "energy-active-forward-all-rate-1",
            "energy-active-forward-rate-255",
            "energy-active-forwardx",
            "frequency-a",
        ] {
            for edition in [Edition::Y1997, Edition::Y2007] {
                assert_eq!(find(edition, name), None, "{name}");
            }
        }
        assert_eq!(find(Edition::Y1997, "frequency"), None);
    }

    /// One question serves a day that one point reads as text and another as a moment, and its
    /// reply keeps its length. With values of several lengths, the length is unknown.
    #[test]
    fn what_two_points_read_is_asked_once() {
        use crate::spec::TimeField::{Day, Month, Unused, Year2};
        use crate::spec::TimeLayout;
        let text = find(Edition::Y2007, "date").unwrap();
        let layout = TimeLayout::new(&[Year2, Month, Day, Unused]).unwrap();
        let moment = DataItem {
            format: Format::DateTime(layout),
            ..text
        };
        let long = DataItem {
            format: Format::Digits(6),
            ..text
        };
        assert_eq!(text.joined(moment).length(), Length::Exactly(4));
        assert_eq!(moment.joined(text).length(), Length::Exactly(4));
        let either = text.joined(long);
        assert_eq!((either.length(), either.bytes()), (Length::Any, 6));
        let block = |format, about| DataItem {
            id: text.id,
            format,
            layout: Layout::Block { about, most: 9 },
        };
        let blocks = block(text.format, 2).joined(block(moment.format, 3));
        let length = Length::Values { each: 4, most: 9 };
        assert_eq!((blocks.length(), blocks.bytes()), (length, 12));
    }

    #[test]
    fn no_two_names_ask_for_the_same() {
        for edition in [Edition::Y1997, Edition::Y2007] {
            let mut ids: Vec<DataIdentifier> = families(edition).iter().map(|f| f.id).collect();
            ids.sort();
            ids.dedup();
            assert_eq!(ids.len(), families(edition).len());
        }
    }
}

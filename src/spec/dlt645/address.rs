//! A meter's address: twelve decimal digits, two to a byte. The last two digits come first on the
//! wire (DL/T 645-2007 §5.2.2, 1997 §5.2.2).

use crate::base::text::counted;
use serde::{Serialize, Serializer};
use std::fmt;

/// A byte that stands for any two digits (2007 §5.2.2: shortened addressing).
const ANY_TWO: u8 = 0xAA;

/// A meter's address: twelve digits, or its last digits with wildcards in front.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MeterAddress([u8; 6]);

/// Why a text is no meter address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum NotAnAddress {
    /// The text has this many characters instead of twelve.
    Length(usize),
    /// The text has a character that is no decimal digit.
    Digit(char),
}

impl fmt::Display for NotAnAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotAnAddress::Length(n) => {
                write!(f, "{} instead of twelve digits", counted(*n, "character"))
            }
            NotAnAddress::Digit(c) => write!(f, "{c:?} is no decimal digit"),
        }
    }
}

impl MeterAddress {
    /// Any meter on the line: of use where a single meter hangs on it.
    pub const ANY: MeterAddress = MeterAddress([ANY_TWO; 6]);

    /// All meters; no meter answers (§5.2.2).
    pub const BROADCAST: MeterAddress = MeterAddress([0x99; 6]);

    /// Parses twelve decimal digits, as printed on the meter.
    ///
    /// # Errors
    /// [`NotAnAddress`]. Shorter numbers are refused rather than filled up: a
    /// number that lost its leading zeros on the way has often lost more.
    pub fn parse(text: &str) -> Result<MeterAddress, NotAnAddress> {
        let digits: Vec<char> = text.chars().collect();
        if let Some(c) = digits.iter().find(|c| !c.is_ascii_digit()) {
            return Err(NotAnAddress::Digit(*c));
        }
        let Ok(digits) = <[char; 12]>::try_from(digits.as_slice()) else {
            return Err(NotAnAddress::Length(digits.len()));
        };
        let mut wire = [0; 6];
        for (byte, pair) in wire.iter_mut().rev().zip(digits.as_chunks::<2>().0) {
            *byte = pair.iter().fold(0, |sum, c| sum << 4 | *c as u8 & 15);
        }
        Ok(MeterAddress(wire))
    }

    /// Parses an address with wildcards in front, two at a time: `AAAAAAAAAAAA` is
    /// [`MeterAddress::ANY`], `AAAAAAAA0161` all addresses that end in 0161 (2007 §5.2.2).
    ///
    /// # Errors
    /// [`NotAnAddress`].
    pub fn parse_wildcard(text: &str) -> Result<MeterAddress, NotAnAddress> {
        let upper = text.to_ascii_uppercase();
        let wild = upper.bytes().take_while(|b| *b == b'A').count() / 2;
        let digits = upper.get(2 * wild..).unwrap_or_default();
        if text.chars().count() != 12 {
            return Err(NotAnAddress::Length(text.chars().count()));
        }
        let MeterAddress(mut wire) = MeterAddress::parse(&("00".repeat(wild) + digits))?;
        for byte in wire.iter_mut().rev().take(wild) {
            *byte = ANY_TWO;
        }
        Ok(MeterAddress(wire))
    }

    /// Returns the address with these bytes of a frame.
    #[must_use]
    pub const fn from_wire(wire: [u8; 6]) -> MeterAddress {
        MeterAddress(wire)
    }

    /// Returns the bytes of the address in a frame.
    #[must_use]
    pub const fn to_wire(self) -> [u8; 6] {
        self.0
    }

    /// Returns whether the address may be a meter's own: decimal, and not the broadcast.
    #[must_use]
    pub fn is_one_meter(self) -> bool {
        let decimal = |b: &u8| b >> 4 <= 9 && b & 15 <= 9;
        self.0.iter().all(decimal) && self != MeterAddress::BROADCAST
    }

    /// Returns whether this address means a meter with the address `other`.
    #[must_use]
    pub fn means(self, other: MeterAddress) -> bool {
        let two = |(mine, theirs): (&u8, &u8)| *mine == ANY_TWO || mine == theirs;
        other.is_one_meter() && self.0.iter().zip(&other.0).all(two)
    }
}

impl fmt::Display for MeterAddress {
    /// Writes the most significant digits first; wildcards as `AA`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().rev().try_for_each(|b| write!(f, "{b:02X}"))
    }
}

impl fmt::Debug for MeterAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for MeterAddress {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_digits_travel_first() {
        let a = MeterAddress::parse("000000000161").unwrap();
        assert_eq!(a.to_wire(), [0x61, 1, 0, 0, 0, 0]);
        assert_eq!(a.to_string(), "000000000161");
        assert_eq!(MeterAddress::from_wire(a.to_wire()), a);
    }

    #[test]
    fn what_is_no_address_says_why() {
        for (text, why) in [
            ("", "no characters instead of twelve digits"),
            ("12345678901", "11 characters instead of twelve digits"),
            ("1234567890123", "13 characters instead of twelve digits"),
            ("12345678901A", "'A' is no decimal digit"),
            ("12345678901é", "'é' is no decimal digit"),
            ("１２３４５６７８９０１２", "'１' is no decimal digit"),
        ] {
            assert_eq!(MeterAddress::parse(text).unwrap_err().to_string(), why);
        }
    }

    #[test]
    fn wildcards_stand_in_front_two_at_a_time() {
        for (text, wire) in [
            ("AAAAAAAAAAAA", [0xAA; 6]),
            ("aaaaaaaaaaaa", [0xAA; 6]),
            ("AAAAAAAA0161", [0x61, 1, 0xAA, 0xAA, 0xAA, 0xAA]),
            ("000000000161", [0x61, 1, 0, 0, 0, 0]),
        ] {
            let address = MeterAddress::parse_wildcard(text);
            assert_eq!(address.map(MeterAddress::to_wire), Ok(wire), "{text}");
        }
        for text in [
            "",
            "AAAAAAAAAAA",
            "AAAAAAAAAAA1",
            "AA0000AA0161",
            "0161AAAAAAAA",
            "AAAAAAAA016B",
            "AAAAAAAAAAAAAA",
            "AAAAAAAAAAAé",
        ] {
            assert!(MeterAddress::parse_wildcard(text).is_err(), "{text}");
        }
    }

    #[test]
    fn wildcards_mean_meters_and_nothing_else() {
        let meter = MeterAddress::parse("000000000161").unwrap();
        let short = MeterAddress::from_wire([0x61, 1, 0xAA, 0xAA, 0xAA, 0xAA]);
        assert!(MeterAddress::ANY.means(meter) && short.means(meter) && meter.means(meter));
        assert!(
            !meter.means(MeterAddress::ANY)
                && !short.means(MeterAddress::parse("000000000261").unwrap())
        );
        assert!(!MeterAddress::ANY.means(MeterAddress::BROADCAST));
        assert!(!MeterAddress::ANY.means(MeterAddress::from_wire([0x1A, 0, 0, 0, 0, 0])));
    }
}

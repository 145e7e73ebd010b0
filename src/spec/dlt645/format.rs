//! How the standard writes a datum.

use crate::spec::{Decimal, NumberType, TimeLayout};
use serde::Serialize;

/// How one datum is written (DL/T 645-2007 Annex A, 1997 Annex A: the columns
/// "format" and "length").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Format {
    /// Decimal digits with a fixed point: `XXX.X` has two bytes, one place.
    Number {
        /// Bytes of the number, 1–8.
        bytes: u8,
        /// Digits behind the point.
        places: u8,
        /// Whether the highest bit is the sign (2007 table A.3, notes 2, 3, 6).
        signed: bool,
    },
    /// A number without a sign, with the moment at which it was reached (`YYMMDDhhmm`, five
    /// bytes) behind it. The moment must be valid, and is not a part of the value.
    Peak {
        /// Bytes of the number, 1–8, without the moment.
        bytes: u8,
        /// Digits behind the point.
        places: u8,
    },
    /// Digits that are no quantity, kept as text with their leading zeros:
    /// addresses, meter numbers.
    Digits(u8),
    /// `YYMMDDWW`, as text `20YY-MM-DD`.
    Date,
    /// `hhmmss`, as text `hh:mm:ss`.
    Time,
    /// A date and a time of day, two decimal digits to a byte, in the order in
    /// which the standard prints the fields: `YYMMDDWWhhmmss`.
    DateTime(TimeLayout),
    /// Characters, last one first on the wire, blanks and NULs around them cut.
    Text(u8),
    /// Bits, as an unsigned number; 1–8 bytes.
    Bits(u8),
}

impl Format {
    /// Returns the format of a number without a sign: of 1–8 bytes, with so many digits behind
    /// the point.
    #[must_use]
    pub const fn unsigned(bytes: u8, places: u8) -> Self {
        Format::Number {
            bytes,
            places,
            signed: false,
        }
    }

    /// Returns the same for a number whose highest bit is its sign.
    #[must_use]
    pub const fn signed(bytes: u8, places: u8) -> Self {
        Format::Number {
            bytes,
            places,
            signed: true,
        }
    }

    /// Returns how many bytes the datum has on the wire.
    #[must_use]
    pub const fn bytes(self) -> usize {
        (match self {
            Format::DateTime(layout) => return layout.bytes() as usize,
            Format::Number { bytes, .. } | Format::Digits(bytes) => bytes,
            Format::Text(bytes) | Format::Bits(bytes) => bytes,
            Format::Peak { bytes, .. } => bytes + 5,
            Format::Date => 4,
            Format::Time => 3,
        }) as usize
    }
}

impl Format {
    /// Returns the type of a number of this format in the thing model, with this scale and
    /// offset, unless `said` is given; `None` if the format is no number.
    #[must_use]
    pub fn number_type(
        self,
        scale: Decimal,
        offset: Decimal,
        said: Option<NumberType>,
    ) -> Option<NumberType> {
        match self {
            Format::Number { places: 0, .. } | Format::Peak { places: 0, .. } => {
                Some(said.unwrap_or_else(|| NumberType::of(&[scale, offset])))
            }
            Format::Number { .. } | Format::Peak { .. } => Some(said.unwrap_or(NumberType::Double)),
            Format::Bits(_) => Some(said.unwrap_or(NumberType::Int)),
            Format::Digits(_)
            | Format::Date
            | Format::Time
            | Format::Text(_)
            | Format::DateTime(_) => None,
        }
    }
}

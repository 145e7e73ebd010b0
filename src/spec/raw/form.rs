//! How a value is written into a request of a device without a standard. `field` writes it.

use super::part::{Endianness, NumberKind};
use crate::spec::{Encoding, QuestionIndex, TimeLayout, UtcOffset};
use serde::Serialize;

/// With which request a point is written, and how its value stands there.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WriteBy {
    /// The request, which has a place for a value.
    pub question: QuestionIndex,
    /// How the value is written.
    pub form: ValueForm,
}

/// How a value is written. Numbers are written as they are before they are scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum ValueForm {
    /// As bytes.
    Binary(NumberKind, Endianness),
    /// As decimal characters.
    Decimal {
        /// At least so many characters, sign and point included, with zeros in front; 0: as many
        /// as it takes. Another width is no width: a number with more characters is not written.
        width: u8,
        /// How many digits behind the point; `None`: as few as it takes, six at most.
        places: Option<u8>,
    },
    /// As hexadecimal characters, capitals, with zeros in front.
    Hexadecimal {
        /// How many characters; 0: as many as it takes.
        width: u8,
    },
    /// As text.
    Text {
        /// The encoding of the bytes.
        encoding: Encoding,
    },
    /// As a date and a time of day, in bytes.
    DateTime {
        /// The fields.
        layout: TimeLayout,
        /// Whether the digits of the fields are decimal, two to a byte.
        bcd: bool,
        /// The offset of the clock.
        utc_offset: UtcOffset,
    },
}

//! Where a value stands in a reply of a device without a standard, and how it is
//! written there. What it says is `field`'s to find.

use crate::spec::{Decimal, Encoding, NumberType, TimeLayout, UtcOffset};

/// One value of a reply.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// A number.
    Number {
        /// Where and how.
        written: Number,
        /// Multiplied first.
        scale: Decimal,
        /// Added after scaling.
        offset: Decimal,
        /// What it is in the thing model, if that does not follow from the rest.
        number_type: Option<NumberType>,
    },
    /// One bit of a byte, 0 = least significant.
    Bit {
        /// Which byte, from the beginning of the reply.
        at: usize,
        /// Which of its bits, 0–7.
        bit: u8,
    },
    /// A date and a time of day, in bytes.
    DateTime {
        /// The first of them, from the beginning of the reply.
        at: usize,
        /// Which fields there are.
        layout: TimeLayout,
        /// Whether their digits are decimal ones, two to a byte.
        bcd: bool,
        /// What clock they are of.
        utc_offset: UtcOffset,
    },
    /// Text; blanks around it and control characters are cut.
    Text {
        /// Where.
        span: Span,
        /// Which characters the bytes are.
        encoding: Encoding,
    },
}

/// How a number is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Number {
    /// As bytes.
    Binary {
        /// The first of them, from the beginning of the reply.
        at: usize,
        /// Size and kind.
        kind: Kind,
        /// Which byte comes first.
        order: Order,
    },
    /// In decimal characters: `+12.50`, `-3`, `1.2E3`, blanks around it.
    Decimal(Span),
    /// In hexadecimal characters, without sign.
    Hexadecimal(Span),
}

/// Sizes and kinds of binary numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Without sign, 1–8 bytes.
    Unsigned(u8),
    /// Two's complement, 1–8 bytes.
    Signed(u8),
    /// A sign in the highest bit and a magnitude in the others, 1–8 bytes.
    Magnitude(u8),
    /// Two decimal digits to a byte, 1–8 bytes.
    Bcd(u8),
    /// The same with a sign in the highest bit.
    SignedBcd(u8),
    /// IEEE 754 single.
    F32,
    /// IEEE 754 double.
    F64,
}

impl Kind {
    /// The same with its sign in the highest bit; `None` if it has one of its own.
    #[must_use]
    pub const fn signed_by_highest_bit(self) -> Option<Kind> {
        match self {
            Kind::Unsigned(n) | Kind::Signed(n) | Kind::Magnitude(n) => Some(Kind::Magnitude(n)),
            Kind::Bcd(n) | Kind::SignedBcd(n) => Some(Kind::SignedBcd(n)),
            Kind::F32 | Kind::F64 => None,
        }
    }

    /// How many bytes it has.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Kind::Unsigned(n) | Kind::Signed(n) | Kind::Magnitude(n) => n as usize,
            Kind::Bcd(n) | Kind::SignedBcd(n) => n as usize,
            Kind::F32 => 4,
            Kind::F64 => 8,
        }
    }
}

/// Which byte of a number comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Most significant first: `ABCD`.
    High,
    /// Least significant first: `DCBA`.
    Low,
    /// Words least significant first, bytes within them not: `CDAB`.
    WordsLow,
    /// Bytes within words least significant first, words not: `BADC`.
    BytesLow,
}

/// A piece of a reply that holds text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Span {
    /// At a fixed place.
    At {
        /// From the beginning of the reply.
        from: usize,
        /// How many bytes.
        length: usize,
    },
    /// Between delimiters: the third column of `1;2;3` is after the second `;`.
    Between {
        /// Begins behind this …
        after: Vec<u8>,
        /// … the how-maniest time it stands there, from 1 on; 0 is the
        /// beginning of the reply, whatever `after` is.
        nth: usize,
        /// Ends before this; at the end of the reply if it is empty, but never
        /// there otherwise.
        before: Vec<u8>,
    },
}

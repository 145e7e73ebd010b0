//! Where a value stands in a reply of a device without a standard, and how it is written there.
//! `field` finds the value.

use crate::spec::{
    ByteOrder, Decimal, Encoding, NotWritable, NumberType, TimeField, TimeLayout, UtcOffset,
    WordOrder,
};
use serde::Serialize;

/// One value of a reply.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum ReplyPart {
    /// A number.
    Number {
        /// Where and how the number is written.
        written: BinaryNumber,
        /// The factor that the number is multiplied by first.
        scale: Decimal,
        /// The addend after scaling.
        offset: Decimal,
        /// Its type in the thing model, if that does not follow from the rest.
        number_type: Option<NumberType>,
    },
    /// One bit of a byte, 0 = least significant.
    Bit {
        /// The position of the byte, from the beginning of the reply.
        at: usize,
        /// The number of the bit, 0–7.
        bit: u8,
    },
    /// A date and a time of day, in bytes.
    DateTime {
        /// The first byte, from the beginning of the reply.
        at: usize,
        /// The fields.
        layout: TimeLayout,
        /// Whether the digits of the fields are decimal, two to a byte.
        bcd: bool,
        /// The offset of the clock.
        utc_offset: UtcOffset,
    },
    /// Text; blanks around it and control characters are cut.
    Text {
        /// The position of the text.
        span: ByteSpan,
        /// The encoding of the bytes.
        encoding: Encoding,
    },
}

/// How a number is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum BinaryNumber {
    /// As bytes.
    Binary {
        /// The first byte, from the beginning of the reply.
        at: usize,
        /// Size and kind.
        kind: NumberKind,
        /// Which byte comes first.
        order: Endianness,
    },
    /// In decimal characters: `+12.50`, `-3`, `1.2E3`, blanks around it.
    Decimal(ByteSpan),
    /// In hexadecimal characters, without sign.
    Hexadecimal(ByteSpan),
}

/// Sizes and kinds of binary numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum NumberKind {
    /// Without sign, 1–8 bytes.
    Unsigned(u8),
    /// Two's complement, 1–8 bytes.
    Signed(u8),
    /// A sign in the highest bit and a magnitude in the others, 1–8 bytes.
    Magnitude(u8),
    /// Two decimal digits to a byte, 1–8 bytes.
    Bcd(u8),
    /// As `Bcd`, with a sign in the highest bit.
    SignedBcd(u8),
    /// IEEE 754 single.
    F32,
    /// IEEE 754 double.
    F64,
}

impl NumberKind {
    /// Returns the same kind with its sign in the highest bit; `None` if the kind has a sign of
    /// its own.
    #[must_use]
    pub const fn signed_by_highest_bit(self) -> Option<NumberKind> {
        match self {
            NumberKind::Unsigned(n) | NumberKind::Signed(n) | NumberKind::Magnitude(n) => {
                Some(NumberKind::Magnitude(n))
            }
            NumberKind::Bcd(n) | NumberKind::SignedBcd(n) => Some(NumberKind::SignedBcd(n)),
            NumberKind::F32 | NumberKind::F64 => None,
        }
    }

    /// Returns how many bytes the number has.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            NumberKind::Unsigned(n) | NumberKind::Signed(n) | NumberKind::Magnitude(n) => {
                n as usize
            }
            NumberKind::Bcd(n) | NumberKind::SignedBcd(n) => n as usize,
            NumberKind::F32 => 4,
            NumberKind::F64 => 8,
        }
    }
}

/// Which byte of a number comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Endianness {
    /// Most significant first: `ABCD`.
    High,
    /// Least significant first: `DCBA`.
    Low,
    /// Words least significant first, bytes within them not: `CDAB`.
    WordsLow,
    /// Bytes within words least significant first, words not: `BADC`.
    BytesLow,
}

impl Endianness {
    /// Returns the order of bytes in which registers are sent whose words and bytes have these
    /// orders.
    #[must_use]
    pub const fn of(words: WordOrder, bytes: ByteOrder) -> Self {
        match (words, bytes) {
            (WordOrder::High, ByteOrder::High) => Endianness::High,
            (WordOrder::Low, ByteOrder::High) => Endianness::WordsLow,
            (WordOrder::High, ByteOrder::Low) => Endianness::BytesLow,
            (WordOrder::Low, ByteOrder::Low) => Endianness::Low,
        }
    }

    /// Returns the order in the letters of manuals, as the configuration has it: A is the most
    /// significant byte.
    #[must_use]
    pub const fn letters(self) -> &'static str {
        match self {
            Endianness::High => "ABCD",
            Endianness::WordsLow => "CDAB",
            Endianness::BytesLow => "BADC",
            Endianness::Low => "DCBA",
        }
    }
}

/// A piece of a reply that holds text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum ByteSpan {
    /// At a fixed position.
    At {
        /// The first byte, from the beginning of the reply.
        from: usize,
        /// How many bytes the text has.
        length: usize,
    },
    /// Between delimiters: the third column of `1;2;3` stands after the second `;`.
    Between {
        /// The delimiter that the text begins behind …
        after: Vec<u8>,
        /// … and which occurrence of it, from 1 on; 0 is the beginning of the reply, whatever
        /// `after` is.
        nth: usize,
        /// The delimiter that the text ends before. If it is empty, the text ends at the end of
        /// the reply; otherwise the text never ends there.
        before: Vec<u8>,
    },
}

impl ReplyPart {
    /// Returns why the value can never be written; `None` if each of its bytes is known.
    #[must_use]
    pub fn unwritable(&self) -> Option<NotWritable> {
        match self {
            ReplyPart::Number { scale, .. } if scale.digits == 0 => Some(NotWritable::ZeroFactor),
            // Without a standard the number of a day of the week is not known.
            ReplyPart::DateTime { layout, .. }
                if (layout.fields().iter())
                    .any(|f| matches!(f, TimeField::Unused | TimeField::Weekday)) =>
            {
                Some(NotWritable::Ignored)
            }
            ReplyPart::Number { .. }
            | ReplyPart::Bit { .. }
            | ReplyPart::DateTime { .. }
            | ReplyPart::Text { .. } => None,
        }
    }

    /// Returns the type of the value in the thing model, if the value is a number.
    #[must_use]
    pub fn number_type(&self) -> Option<NumberType> {
        let ReplyPart::Number {
            written,
            scale,
            offset,
            number_type,
        } = self
        else {
            return None;
        };
        let whole = match written {
            BinaryNumber::Binary { kind, .. } => !matches!(kind, NumberKind::F32 | NumberKind::F64),
            BinaryNumber::Decimal(_) => false,
            BinaryNumber::Hexadecimal(_) => true,
        };
        Some(number_type.unwrap_or_else(|| match whole {
            true => NumberType::of(&[*scale, *offset]),
            false => NumberType::Double,
        }))
    }
}

//! How a point's value is written in its reply, and the type that follows for the thing model.

use super::not_writable::MOST_WRITTEN;
use super::{
    ByteOrder, DataType, DateTime, Decimal, Digits, Encoding, Measure, NotWritable, Number,
    NumberType, RegisterByte, WordOrder,
};
use crate::spec::dlt645::DataItem;
use crate::spec::raw::ReplyPart;
use serde::Serialize;

/// How bits, registers and bytes become a value.
#[derive(Clone, Debug, PartialEq, Serialize)]
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
        /// The factor that the number is multiplied by first, if not 1.
        scale: Decimal,
        /// The addend after scaling, if not 0.
        offset: Decimal,
    },
    /// A number with more keys: parts, a factor from another register, conditions, titles. Apart
    /// from [`Codec::Number`] because nearly all points are plain, and there are many.
    Measure(Box<Measure>),
    /// Text, two bytes per register, ended by NUL or FFh; control characters and
    /// trailing blanks are cut.
    Text {
        /// How many registers the text takes, 1–125.
        registers: u16,
        /// Which byte comes first within a register.
        bytes: ByteOrder,
        /// The encoding of the bytes.
        encoding: Encoding,
    },
    /// Text with one byte in each register, ended in the same way.
    Letters {
        /// How many registers the text takes, 1–125.
        registers: u16,
        /// Which half of the register holds the byte; the other half is ignored.
        half: RegisterByte,
        /// The encoding of the bytes.
        encoding: Encoding,
    },
    /// A date and a time of day, each of its fields in entries of its own.
    DateTime(Box<DateTime>),
    /// A value of a datum of DL/T 645, whose item says how it is written.
    Datum {
        /// The datum.
        item: DataItem,
        /// The factor that the value is multiplied by first.
        scale: Decimal,
        /// The addend after scaling.
        offset: Decimal,
        /// Its type in the thing model, if that does not follow from the rest.
        number_type: Option<NumberType>,
    },
    /// A part of the reply of a device without a standard.
    Part(Box<ReplyPart>),
}

impl Codec {
    /// Returns how many entries of a Modbus table (bits or registers) the value covers, from the
    /// address of its point on; none in other protocols. One request reads all of them, so a value
    /// is never put together from two moments.
    #[must_use]
    pub fn width(&self) -> u16 {
        match self {
            Codec::Bool | Codec::Bit(_) => 1,
            Codec::Number { kind, .. } => kind.registers(),
            Codec::Measure(measure) => measure.width(),
            Codec::Text { registers, .. } | Codec::Letters { registers, .. } => *registers,
            Codec::DateTime(moment) => moment.registers(),
            Codec::Datum { .. } | Codec::Part(_) => 0,
        }
    }

    /// Returns the data type of the values in the thing model.
    #[must_use]
    pub fn data_type(&self) -> DataType {
        if let Some(number) = self.number_type() {
            return number.data_type();
        }
        match self {
            Codec::Bool | Codec::Bit(_) => DataType::Bool,
            Codec::DateTime(_) => DataType::Date,
            Codec::Part(part) => match **part {
                ReplyPart::Bit { .. } => DataType::Bool,
                ReplyPart::DateTime { .. } => DataType::Date,
                ReplyPart::Number { .. } | ReplyPart::Text { .. } => DataType::Text,
            },
            Codec::Datum { number_type, .. } => {
                number_type.map_or(DataType::Text, NumberType::data_type)
            }
            Codec::Number { .. }
            | Codec::Measure(_)
            | Codec::Text { .. }
            | Codec::Letters { .. } => DataType::Text,
        }
    }

    /// Returns the type of the values in the thing model, if they are numbers: values that can
    /// have a fraction are doubles, other numbers are ints, unless the configuration gives
    /// another type.
    #[must_use]
    pub fn number_type(&self) -> Option<NumberType> {
        match self {
            Codec::Number {
                kind,
                scale,
                offset,
                ..
            } => Some(match kind.digits() {
                Digits::Floating => NumberType::Double,
                Digits::Unsigned | Digits::Signed | Digits::Decimal => {
                    NumberType::of(&[*scale, *offset])
                }
            }),
            Codec::Measure(measure) => Some(measure.number_type()),
            Codec::Datum {
                item,
                scale,
                offset,
                number_type,
                ..
            } => item.format.number_type(*scale, *offset, *number_type),
            Codec::Part(part) => part.number_type(),
            Codec::Bool
            | Codec::Bit(_)
            | Codec::Text { .. }
            | Codec::Letters { .. }
            | Codec::DateTime(_) => None,
        }
    }

    /// Returns why values of this kind can never be written; `None` if every value that is read
    /// can be written back.
    #[must_use]
    pub fn unwritable(&self) -> Option<NotWritable> {
        match self {
            Codec::Bit(n) => (*n > 15).then_some(NotWritable::Bits),
            Codec::Number { scale, .. } => (scale.digits == 0).then_some(NotWritable::ZeroFactor),
            Codec::Measure(measure) => measure.unwritable(),
            Codec::Text { registers, .. } | Codec::Letters { registers, .. } => {
                (*registers > MOST_WRITTEN).then_some(NotWritable::TooWide)
            }
            Codec::Bool | Codec::DateTime(_) => None,
            Codec::Datum { .. } | Codec::Part(_) => Some(NotWritable::Protocol),
        }
    }
}

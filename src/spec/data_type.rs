//! The data types of values in the thing model.
//!
//! The platform wants a `float` or `double` written with a decimal even when the value is whole,
//! `10.0`, and an `int` without (help.aliyun.com, "Data types of TSL features"). So the data type
//! is part of the point: it follows from how the point is read, or is given by `as:`. A value
//! never decides it.

use super::dlt645::Format;
use super::raw::part;
use super::{Codec, Decimal, Digits, Measure, UtcOffset};

/// A data type of the thing model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DataType {
    /// A whole number.
    Int,
    /// A number with decimals, single precision.
    Float,
    /// A number with decimals, double precision.
    Double,
    /// A whole number out of a list.
    Enum,
    /// 0 or 1.
    Bool,
    /// Text.
    Text,
    /// A moment: UTC milliseconds since 1970, as text.
    Date,
}

impl DataType {
    /// Returns the word of the thing model for this type.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            DataType::Int => "int",
            DataType::Float => "float",
            DataType::Double => "double",
            DataType::Enum => "enum",
            DataType::Bool => "bool",
            DataType::Text => "text",
            DataType::Date => "date",
        }
    }
}

/// The data types of a number in the thing model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberType {
    /// A whole number; a fraction is rounded.
    Int,
    /// A number with at least one decimal, within the range of single precision.
    Float,
    /// A number with at least one decimal.
    Double,
    /// A whole number out of a list; a fraction is rounded.
    Enum,
    /// The digits, for numbers that a double cannot hold.
    Text,
    /// A moment: the number counts seconds since 1970-01-01 00:00 on the clock of
    /// the device.
    Date(UtcOffset),
}

impl NumberType {
    /// Returns the data type in the thing model.
    #[must_use]
    pub const fn data_type(self) -> DataType {
        match self {
            NumberType::Int => DataType::Int,
            NumberType::Float => DataType::Float,
            NumberType::Double => DataType::Double,
            NumberType::Enum => DataType::Enum,
            NumberType::Text => DataType::Text,
            NumberType::Date(_) => DataType::Date,
        }
    }

    /// Returns a type with decimals if any of these numbers is no whole number.
    fn of(numbers: &[Decimal]) -> NumberType {
        match numbers.iter().all(|n| n.is_whole()) {
            true => NumberType::Int,
            false => NumberType::Double,
        }
    }
}

impl Codec {
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
                part::Part::Bit { .. } => DataType::Bool,
                part::Part::DateTime { .. } => DataType::Date,
                part::Part::Number { .. } | part::Part::Text { .. } => DataType::Text,
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
}

impl Measure {
    /// Returns the type of the values in the thing model.
    #[must_use]
    pub fn number_type(&self) -> NumberType {
        if let Some(said) = self.number_type {
            return said;
        }
        let floating = |p: &super::Part| p.kind.digits() == Digits::Floating;
        match (self.round, self.power) {
            _ if self.states.is_some() => NumberType::Enum,
            (Some(0), _) => NumberType::Int,
            (Some(_), _) | (None, Some(_)) => NumberType::Double,
            (None, None) if self.parts.iter().any(floating) => NumberType::Double,
            (None, None) => {
                let weights = self.parts.iter().map(|p| p.weight);
                let all: Vec<Decimal> = weights.chain([self.scale, self.offset]).collect();
                NumberType::of(&all)
            }
        }
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

impl part::Part {
    /// Returns the type of the value in the thing model, if the value is a number.
    #[must_use]
    pub fn number_type(&self) -> Option<NumberType> {
        let part::Part::Number {
            written,
            scale,
            offset,
            number_type,
        } = self
        else {
            return None;
        };
        let whole = match written {
            part::Number::Binary { kind, .. } => !matches!(kind, part::Kind::F32 | part::Kind::F64),
            part::Number::Decimal(_) => false,
            part::Number::Hexadecimal(_) => true,
        };
        Some(number_type.unwrap_or_else(|| match whole {
            true => NumberType::of(&[*scale, *offset]),
            false => NumberType::Double,
        }))
    }
}

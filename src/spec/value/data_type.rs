//! The data types of values in the thing model.
//!
//! The platform wants a `float` or `double` written with a decimal even when the value is whole,
//! `10.0`, and an `int` without (help.aliyun.com, "Data types of TSL features"). So the data type
//! is part of the point: it follows from how the point is read, or is given by `as:`. A value
//! never decides it.

use super::{Decimal, UtcOffset};
use serde::Serialize;

/// A data type of the thing model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
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
    pub(crate) fn of(numbers: &[Decimal]) -> NumberType {
        match numbers.iter().all(|n| n.is_whole()) {
            true => NumberType::Int,
            false => NumberType::Double,
        }
    }
}

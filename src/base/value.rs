//! What a point said, and when.

use serde_json::{Number, Value as Json};

use super::{DeviceId, Now};

/// The value of one point after decoding, order, scale and offset.
///
/// Whole numbers stay whole: a 64-bit counter never passes through a float.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A signed whole number.
    Int(i64),
    /// An unsigned whole number.
    UInt(u64),
    /// A finite number. Not-a-number and infinities are refused at decoding:
    /// they have no JSON and are no measurement.
    Float(f64),
    /// A state.
    Bool(bool),
    /// Text.
    Text(String),
}

impl Value {
    /// As a signed whole number, if it is one.
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Value::Int(n) => Some(*n),
            Value::UInt(n) => i64::try_from(*n).ok(),
            Value::Float(_) | Value::Bool(_) | Value::Text(_) => None,
        }
    }

    /// As the thing model wants it: numbers as numbers, states as 0 and 1
    /// (Alink's `bool` is written as the numbers 0 and 1).
    #[must_use]
    pub fn to_json(&self) -> Json {
        match self {
            Value::Int(n) => Json::from(*n),
            Value::UInt(n) => Json::from(*n),
            Value::Float(x) => Number::from_f64(*x).map_or(Json::Null, Json::Number),
            Value::Bool(b) => Json::from(u8::from(*b)),
            Value::Text(s) => Json::from(s.as_str()),
        }
    }
}

/// One value of one point of one device, with its own time.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// Whose.
    pub device: DeviceId,
    /// Index into the device's profile's points.
    pub point: u16,
    /// What was read.
    pub value: Value,
    /// When the reply that carried it was complete. On both clocks: the wall
    /// clock may not be right yet.
    pub at: Now,
}

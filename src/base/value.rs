//! The value of a point and the time at which it was read.

use serde::{Serialize, Serializer};
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
    /// A finite number. The decoder refuses not-a-number and infinities: they have no JSON and
    /// are no measurement.
    Float(f64),
    /// A state.
    Bool(bool),
    /// Text.
    Text(String),
}

impl Value {
    /// Returns the value as a signed whole number, if it is one.
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Value::Int(n) => Some(*n),
            Value::UInt(n) => i64::try_from(*n).ok(),
            Value::Float(_) | Value::Bool(_) | Value::Text(_) => None,
        }
    }

    /// Writes the value for the thing model, as JSON text: a number that is a `float` or a
    /// `double` has at least one decimal, even when it is whole or is written with an exponent.
    #[must_use]
    pub fn to_json_text(&self) -> String {
        let text = self.to_json().to_string();
        match (self, text.split_once('e')) {
            (Value::Float(_), _) if text.contains('.') => text,
            (Value::Float(_), Some((mantissa, power))) => format!("{mantissa}.0e{power}"),
            _ => text,
        }
    }

    /// Writes the value for the thing model, as JSON: numbers as numbers, states as 0 and 1
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

impl Serialize for Value {
    /// Writes the value as in [`Value::to_json`].
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(to)
    }
}

/// One value of one point of one device, with its own time.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The device that the value belongs to.
    pub device: DeviceId,
    /// The index of the point in the device's profile.
    pub point: u16,
    /// The value that was read.
    pub value: Value,
    /// When the reply that carried the value was complete. The time is kept on both clocks,
    /// because the wall clock may not be right yet.
    pub at: Now,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// help.aliyun.com, "Data types of TSL features": 10.0, not 10.
    #[test]
    fn a_float_has_a_decimal_and_a_whole_number_has_none() {
        for (value, text) in [
            (Value::Float(2300.0), "2300.0"),
            (Value::Float(230.5), "230.5"),
            (Value::Float(0.0), "0.0"),
            (Value::Float(1e16), "1.0e+16"),
            (Value::Float(-1e300), "-1.0e+300"),
            (Value::Float(1.5e-10), "1.5e-10"),
            (Value::Float(5e-324), "5.0e-324"),
            (Value::Int(-2300), "-2300"),
            (Value::UInt(u64::MAX), "18446744073709551615"),
            (Value::Bool(true), "1"),
            (Value::Text("1e5".into()), "\"1e5\""),
        ] {
            assert_eq!(value.to_json_text(), text);
            let back: Json = serde_json::from_str(text).unwrap();
            assert_eq!(back, value.to_json(), "{text}");
        }
    }
}

//! A value that a point may have, as far as the size of values matters.

use crate::base::Value;
use crate::spec::{Codec, DataType, Digits, PointSpec};

/// The longest text that is assumed: fields of meters are wider than what stands in them.
const LONGEST_TEXT: u16 = 16;

/// Returns a value of the kind that the point has, of a middling size.
pub(super) fn typical_value(point: &PointSpec) -> Value {
    let codec = &point.codec;
    match codec.data_type() {
        DataType::Bool => Value::Bool(true),
        DataType::Enum => Value::UInt(3),
        DataType::Int => Value::UInt(whole(codec.width())),
        DataType::Float | DataType::Double => Value::Float(match is_single(codec) {
            true => f64::from(230.4f32),
            false => 230.4,
        }),
        DataType::Date => Value::Text("1767225600000".to_owned()),
        DataType::Text => {
            let length = match codec {
                Codec::Text { registers, .. } => registers.saturating_mul(2),
                Codec::Letters { registers, .. } => *registers,
                Codec::Bool
                | Codec::Bit(_)
                | Codec::Number { .. }
                | Codec::Measure(_)
                | Codec::DateTime(_)
                | Codec::Datum { .. }
                | Codec::Part(_) => LONGEST_TEXT / 2,
            };
            Value::Text("x".repeat(length.clamp(1, LONGEST_TEXT).into()))
        }
    }
}

/// Returns a number of so many registers: a measured value in one, a counter in more.
const fn whole(registers: u16) -> u64 {
    match registers {
        0 | 1 => 2_304,
        2 => 1_234_567,
        _ => 1_234_567_890,
    }
}

/// Returns whether the number is a float of 32 bits and stays one.
fn is_single(codec: &Codec) -> bool {
    match codec {
        Codec::Number {
            kind,
            scale,
            offset,
            ..
        } => {
            let as_it_is = scale.is_whole() && offset.is_whole();
            kind.digits() == Digits::Floating && kind.bits() <= 32 && as_it_is
        }
        Codec::Bool
        | Codec::Bit(_)
        | Codec::Measure(_)
        | Codec::Text { .. }
        | Codec::Letters { .. }
        | Codec::DateTime(_)
        | Codec::Datum { .. }
        | Codec::Part(_) => false,
    }
}

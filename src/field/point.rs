//! From registers and bits to values.
//!
//! A value is exact or it is not given. Whole numbers stay whole; scale and
//! offset are decimal, so 2305 × 0.1 is the number nearest to 230.5 and not a
//! sum of binary fractions; what is no number is refused with a reason.

use std::fmt;

use crate::base::Value;
use crate::spec::{ByteOrder, Codec, Decimal, Number, PointSpec, WordOrder};

use super::modbus::Data;

/// Why a reply gave no value for a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// The registers hold IEEE 754's "not a number".
    NotANumber,
    /// They hold an infinity, or scaling left the range of numbers.
    Infinite,
    /// They hold bytes that are not UTF-8 text.
    NotText,
    /// The reply does not cover the point, or is of the other kind. Never the
    /// device's fault.
    NotCovered,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::NotANumber => "not a number",
            Refusal::Infinite => "infinite",
            Refusal::NotText => "not text",
            Refusal::NotCovered => "not covered by the reply",
        })
    }
}

/// The value of `point`, from a reply whose first entry is at `start`.
///
/// # Errors
/// A [`Refusal`] instead of a value that would be wrong.
pub fn decode(point: &PointSpec, start: u16, data: &Data) -> Result<Value, Refusal> {
    let from = usize::from(
        point
            .address
            .checked_sub(start)
            .ok_or(Refusal::NotCovered)?,
    );
    let to = from + usize::from(point.codec.width());
    match (&point.codec, data) {
        (Codec::Bool, Data::Bits(bits)) => bits
            .get(from)
            .map(|b| Value::Bool(*b))
            .ok_or(Refusal::NotCovered),
        (codec, Data::Registers(all)) => {
            let registers = all.get(from..to).ok_or(Refusal::NotCovered)?;
            from_registers(codec, registers)
        }
        (_, Data::Bits(_)) => Err(Refusal::NotCovered),
    }
}

fn from_registers(codec: &Codec, registers: &[u16]) -> Result<Value, Refusal> {
    match codec {
        Codec::Bool => Err(Refusal::NotCovered),
        Codec::Bit(n) => {
            let word = registers.first().ok_or(Refusal::NotCovered)?;
            Ok(Value::Bool(
                word.checked_shr(u32::from(*n)).is_some_and(|w| w & 1 == 1),
            ))
        }
        Codec::Text { bytes, .. } => text(registers, *bytes),
        Codec::Number {
            kind,
            words,
            bytes,
            scale,
            offset,
        } => {
            let raw = assemble(registers, *words, *bytes);
            let (scale, offset) = (reduced(*scale), reduced(*offset));
            match kind {
                Number::F32 => float(shortest(f32::from_bits(raw as u32)), scale, offset),
                Number::F64 => float(f64::from_bits(raw), scale, offset),
                Number::U16 | Number::U32 | Number::U64 => {
                    whole(i128::from(raw), false, scale, offset)
                }
                Number::I16 => whole(i128::from(raw as u16 as i16), true, scale, offset),
                Number::I32 => whole(i128::from(raw as u32 as i32), true, scale, offset),
                Number::I64 => whole(i128::from(raw as i64), true, scale, offset),
            }
        }
    }
}

/// The registers as one number, most significant first.
fn assemble(registers: &[u16], words: WordOrder, bytes: ByteOrder) -> u64 {
    let add = |raw: u64, word: &u16| (raw << 16) | u64::from(ordered(*word, bytes));
    match words {
        WordOrder::High => registers.iter().fold(0, add),
        WordOrder::Low => registers.iter().rev().fold(0, add),
    }
}

const fn ordered(word: u16, bytes: ByteOrder) -> u16 {
    match bytes {
        ByteOrder::High => word,
        ByteOrder::Low => word.swap_bytes(),
    }
}

fn text(registers: &[u16], order: ByteOrder) -> Result<Value, Refusal> {
    let mut bytes: Vec<u8> = registers
        .iter()
        .flat_map(|w| ordered(*w, order).to_be_bytes())
        .take_while(|b| *b != 0)
        .collect();
    while bytes.last().is_some_and(u8::is_ascii_whitespace) {
        bytes.pop();
    }
    String::from_utf8(bytes)
        .map(Value::Text)
        .map_err(|_| Refusal::NotText)
}

/// A single holds about seven digits; the decimal it is printed as is what the
/// device meant. 0.1 as a single is reported as 0.1, not as
/// 0.10000000149011612.
fn shortest(x: f32) -> f64 {
    x.to_string().parse().unwrap_or_else(|_| f64::from(x))
}

fn float(x: f64, scale: Decimal, offset: Decimal) -> Result<Value, Refusal> {
    if x.is_nan() {
        return Err(Refusal::NotANumber);
    }
    let mut y = x;
    if scale != Decimal::ONE {
        // One rounding each: up to 22 places the divisor is exact.
        y = y * scale.digits as f64 / 10f64.powi(i32::from(scale.places));
    }
    if offset != Decimal::ZERO {
        y += offset.digits as f64 / 10f64.powi(i32::from(offset.places));
    }
    if y.is_finite() {
        Ok(Value::Float(y))
    } else {
        Err(Refusal::Infinite)
    }
}

/// `n × scale + offset` in whole numbers, turned into a float only if a
/// fraction was asked for.
fn whole(n: i128, signed: bool, scale: Decimal, offset: Decimal) -> Result<Value, Refusal> {
    if scale == Decimal::ONE && offset == Decimal::ZERO {
        return if signed {
            i64::try_from(n).map(Value::Int)
        } else {
            u64::try_from(n).map(Value::UInt)
        }
        .map_err(|_| Refusal::Infinite);
    }
    let places = scale.places.max(offset.places);
    let exact = || -> Option<i128> {
        let scaled = n
            .checked_mul(i128::from(scale.digits))?
            .checked_mul(ten_to(places - scale.places)?)?;
        let moved = i128::from(offset.digits).checked_mul(ten_to(places - offset.places)?)?;
        scaled.checked_add(moved)
    };
    let Some(digits) = exact() else {
        // Beyond 38 digits, and so beyond what a float could tell apart.
        return float(n as f64, scale, offset);
    };
    if places == 0 {
        if let Ok(n) = i64::try_from(digits) {
            return Ok(Value::Int(n));
        }
        if let Ok(n) = u64::try_from(digits) {
            return Ok(Value::UInt(n));
        }
    }
    // The standard library reads decimals to the nearest float; that is
    // exactly what is wanted, so let it.
    match format!("{digits}e-{places}").parse::<f64>() {
        Ok(x) if x.is_finite() => Ok(Value::Float(x)),
        _ => Err(Refusal::Infinite),
    }
}

fn ten_to(places: u8) -> Option<i128> {
    10i128.checked_pow(u32::from(places))
}

/// Without trailing zeros: 1.0 is 1.
const fn reduced(mut d: Decimal) -> Decimal {
    while d.places > 0 && d.digits % 10 == 0 {
        d.digits /= 10;
        d.places -= 1;
    }
    d
}

#[cfg(test)]
mod tests;

//! Numbers as protocols write them, on their way to a value.
//!
//! Digits stay digits until the last step, which rounds once or not at all.

use std::fmt;

use crate::base::Value;
use crate::spec::Decimal;

/// Why data that came gave no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoValue {
    /// More or fewer bytes than the value has.
    Length,
    /// A digit above nine: how meters mark what they do not have.
    NotDecimal,
    /// Bytes that are no text, or no number where one is written.
    NotText,
    /// A date or a time that is none.
    NoSuchTime,
    /// Not a number, infinite, or beyond what can be told exactly.
    NotFinite,
    /// The reply ends before the value, or what stands in front of it is not
    /// there.
    NotThere,
}

impl fmt::Display for NoValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NoValue::Length => "of another length",
            NoValue::NotDecimal => "a digit above 9",
            NoValue::NotText => "not the text it should be",
            NoValue::NoSuchTime => "no date or time",
            NoValue::NotFinite => "not a number",
            NoValue::NotThere => "not in the reply",
        })
    }
}

/// A number before scale and offset.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Found {
    /// `digits × 10^-places`, exactly.
    Decimal {
        /// With sign.
        digits: i128,
        /// How many of them stand after the point.
        places: u32,
    },
    /// What came as a binary fraction.
    Float(f64),
}

impl Found {
    /// A whole number.
    #[must_use]
    pub const fn whole(digits: i128) -> Found {
        Found::Decimal { digits, places: 0 }
    }

    /// Times `scale`, plus `offset`: whole if no digit stands after the point.
    ///
    /// # Errors
    /// [`NoValue::NotFinite`]: there is no such number.
    pub fn value(self, scale: Decimal, offset: Decimal) -> Result<Value, NoValue> {
        match self {
            Found::Decimal { digits, places } => {
                exact(digits, places, scale, offset).ok_or(NoValue::NotFinite)
            }
            Found::Float(x) => {
                let mut y = x;
                if reduced(scale) != Decimal::ONE {
                    y *= to_float(i128::from(scale.digits), u32::from(scale.places));
                }
                if offset.digits != 0 {
                    y += to_float(i128::from(offset.digits), u32::from(offset.places));
                }
                finite(y).ok_or(NoValue::NotFinite)
            }
        }
    }
}

fn exact(digits: i128, places: u32, scale: Decimal, offset: Decimal) -> Option<Value> {
    let (scale, offset) = (reduced(scale), reduced(offset));
    let scaled = digits.checked_mul(i128::from(scale.digits))?;
    let scaled_places = places.checked_add(u32::from(scale.places))?;
    let all = scaled_places.max(u32::from(offset.places));
    let at = |n: i128, places: u32| n.checked_mul(10i128.checked_pow(all - places)?);
    let sum = at(scaled, scaled_places)?
        .checked_add(at(i128::from(offset.digits), u32::from(offset.places))?)?;
    if all == 0 {
        let int = i64::try_from(sum).map(Value::Int);
        if let Ok(value) = int.or_else(|_| u64::try_from(sum).map(Value::UInt)) {
            return Some(value);
        }
    }
    finite(to_float(sum, all))
}

/// The standard library reads decimals to the nearest float; that is exactly
/// what is wanted, so let it.
fn to_float(digits: i128, places: u32) -> f64 {
    format!("{digits}e-{places}").parse().unwrap_or(f64::NAN)
}

const fn finite(x: f64) -> Option<Value> {
    if x.is_finite() {
        Some(Value::Float(x))
    } else {
        None
    }
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
mod tests {
    use super::*;

    const fn decimal(digits: i64, places: u8) -> Decimal {
        Decimal { digits, places }
    }

    #[test]
    fn digits_become_the_number_people_write() {
        let plain = (Decimal::ONE, Decimal::ZERO);
        for (digits, places, (scale, offset), value) in [
            (2305, 1, plain, Value::Float(230.5)),
            (-1, 4, plain, Value::Float(-0.0001)),
            (7, 0, plain, Value::Int(7)),
            (i128::from(u64::MAX), 0, plain, Value::UInt(u64::MAX)),
            (
                2305,
                1,
                (decimal(10, 0), Decimal::ZERO),
                Value::Float(2305.0),
            ),
            (5, 0, (decimal(10, 1), decimal(-30, 1)), Value::Int(2)),
            (1, 1, (Decimal::ONE, decimal(2, 1)), Value::Float(0.3)),
        ] {
            assert_eq!(
                Found::Decimal { digits, places }.value(scale, offset),
                Ok(value)
            );
        }
        for none in [f64::NAN, f64::INFINITY] {
            let got = Found::Float(none).value(Decimal::ONE, Decimal::ZERO);
            assert_eq!(got, Err(NoValue::NotFinite));
        }
        let far = Found::whole(i128::MAX).value(decimal(10, 0), Decimal::ZERO);
        assert_eq!(far, Err(NoValue::NotFinite));
    }
}

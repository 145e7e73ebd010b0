//! Numbers as protocols write them, on their way to a value.
//!
//! Decimal arithmetic that is exact up to 38 digits, which is more than any value has.
//! Further digits are rounded off, and a double is rounded once more at the end.

use std::cmp::Ordering;

use crate::base::Value;
use crate::field::decode::date_time;
use crate::field::decode::refusal::Refusal;
use crate::spec::{Decimal, NumberType};

/// A number on its way to its value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::field) enum Exact {
    /// `digits × 10^-places`.
    Decimal {
        /// The digits, with sign.
        digits: i128,
        /// How many of the digits stand after the point; below 0, this many zeros follow.
        places: i32,
    },
    /// A number that came as a float and was not reckoned with yet.
    Float(f64),
}

/// The most decimal digits that always fit.
const DIGITS: i32 = 38;

impl Exact {
    pub(in crate::field) const fn whole(n: i128) -> Self {
        Exact::Decimal {
            digits: n,
            places: 0,
        }
    }

    const fn from(d: Decimal) -> Self {
        let d = d.reduced();
        Exact::Decimal {
            digits: d.digits,
            places: d.places as i32,
        }
    }

    /// Returns the digits and places; those of a float are the fewest that stand for this
    /// float and no other. `None` if the number is not finite.
    fn parts(self) -> Option<(i128, i32)> {
        match self {
            Exact::Decimal { digits, places } => Some((digits, places)),
            Exact::Float(x) => written(x),
        }
    }

    /// Returns the product with this factor.
    pub(in crate::field) fn times(self, factor: Decimal) -> Self {
        let factor = factor.reduced();
        if factor == Decimal::ONE {
            return self;
        }
        let Some((digits, places)) = self.parts() else {
            return self;
        };
        let (digits, dropped) = product(digits, factor.digits);
        Exact::Decimal {
            digits,
            places: places + i32::from(factor.places) - dropped,
        }
    }

    /// Returns the product with ten to this power.
    pub(in crate::field) fn shifted(self, power: i8) -> Self {
        match self.parts() {
            Some((digits, places)) if power != 0 => Exact::Decimal {
                digits,
                places: places - i32::from(power),
            },
            _ => self,
        }
    }

    /// Returns the number with the opposite sign, if `negative` says so.
    pub(in crate::field) fn negated(self, negative: bool) -> Self {
        match self {
            _ if !negative => self,
            Exact::Decimal { digits, places } => Exact::Decimal {
                digits: digits.saturating_neg(),
                places,
            },
            Exact::Float(x) => Exact::Float(-x),
        }
    }

    /// Returns the sum with this number.
    pub(in crate::field) fn plus(self, other: Exact) -> Self {
        let (Some(a), Some(b)) = (self.parts(), other.parts()) else {
            // One of the two is no number, and then the sum is none.
            return Exact::Float(self.to_float() + other.to_float());
        };
        let (fine, coarse) = if a.1 >= b.1 { (a, b) } else { (b, a) };
        let sum = match raised(coarse.0, fine.1 - coarse.1) {
            Some(raised) => raised.checked_add(fine.0).map(|sum| (sum, fine.1)),
            None => None,
        };
        let (digits, places) = sum.unwrap_or_else(|| {
            // As many places as both numbers have digits for, and one digit to spare.
            let room = |(digits, places): (i128, i32)| places + DIGITS - 1 - count(digits);
            let places = room(coarse).min(fine.1.min(room(fine)));
            let at = |(digits, has): (i128, i32)| match raised(digits, places - has) {
                Some(digits) => cut(digits, has - places),
                None => 0,
            };
            (at(coarse) + at(fine), places)
        });
        Exact::Decimal { digits, places }
    }

    /// Returns the sum with a fixed number.
    pub(in crate::field) fn moved(self, offset: Decimal) -> Self {
        match offset.reduced() {
            Decimal::ZERO => self,
            _ => self.plus(Exact::from(offset)),
        }
    }

    /// Rounds to this many places after the point, a half away from zero: 1.005 is a half,
    /// whatever the bits of a float say.
    pub(in crate::field) fn rounded(self, to: u8) -> Self {
        let to = i32::from(to);
        match self.parts() {
            Some((digits, places)) if places > to => Exact::Decimal {
                digits: cut(digits, places - to),
                places: to,
            },
            Some((digits, places)) => Exact::Decimal { digits, places },
            None => self,
        }
    }

    /// Compares the number with a fixed number; `None` if it is no number itself.
    pub(in crate::field) fn compared(self, to: Decimal) -> Option<Ordering> {
        let (a, b) = (self.parts()?, Exact::from(to).parts()?);
        let places = a.1.max(b.1);
        Some(
            match (raised(a.0, places - a.1), raised(b.0, places - b.1)) {
                (Some(a), Some(b)) => a.cmp(&b),
                // A number that does not fit at the places of the other is the larger by far.
                (None, _) => a.0.cmp(&0),
                (Some(_), None) => 0.cmp(&b.0),
            },
        )
    }

    /// Returns the number as a value of this type, a whole number signed if asked for or
    /// needed.
    ///
    /// # Errors
    /// The number is not finite, or beyond what the type holds.
    pub(in crate::field) fn value(self, of: NumberType, signed: bool) -> Result<Value, Refusal> {
        self.finite()?;
        match of {
            NumberType::Int | NumberType::Enum => self.integer(signed),
            NumberType::Double => self.double().map(Value::Float),
            NumberType::Float => match self.double()? {
                x if x.abs() > f64::from(f32::MAX) => Err(Refusal::Infinite),
                x => Ok(Value::Float(x)),
            },
            NumberType::Text => Ok(Value::Text(self.to_text())),
            NumberType::Date(offset) => {
                let millis = self.shifted(3).whole_digits().ok_or(Refusal::NoSuchTime)?;
                let millis = i64::try_from(millis).map_err(|_| Refusal::NoSuchTime)?;
                date_time::value(millis, offset)
            }
        }
    }

    fn finite(self) -> Result<(), Refusal> {
        match self {
            Exact::Float(x) if x.is_nan() => Err(Refusal::NotANumber),
            Exact::Float(x) if x.is_infinite() => Err(Refusal::Infinite),
            Exact::Float(_) | Exact::Decimal { .. } => Ok(()),
        }
    }

    fn integer(self, signed: bool) -> Result<Value, Refusal> {
        let digits = self.whole_digits().ok_or(Refusal::TooLarge)?;
        let int = i64::try_from(digits).map(Value::Int);
        let uint = u64::try_from(digits).map(Value::UInt);
        let whole = if signed { int.or(uint) } else { uint.or(int) };
        whole.map_err(|_| Refusal::TooLarge)
    }

    fn double(self) -> Result<f64, Refusal> {
        let x = self.to_float();
        x.is_finite().then_some(x).ok_or(Refusal::Infinite)
    }

    /// Returns the number rounded to no places; `None` if it does not fit.
    fn whole_digits(self) -> Option<i128> {
        match self.rounded(0) {
            Exact::Decimal { digits, places } => raised(digits, places.checked_neg()?),
            Exact::Float(_) => None,
        }
    }

    fn to_float(self) -> f64 {
        match self {
            Exact::Float(x) => x,
            // The standard library reads decimals to the nearest float, which is exactly what
            // is needed here.
            Exact::Decimal { digits, places } => format!("{digits}e{}", -i64::from(places))
                .parse()
                .unwrap_or(f64::NAN),
        }
    }

    /// Writes the number as people do, with an exponent only where that spares many zeros.
    fn to_text(self) -> String {
        let Some((digits, places)) = self.parts() else {
            return String::new();
        };
        let plain = -20..=40;
        match places {
            ..=0 if plain.contains(&places) && digits == 0 => "0".into(),
            ..=0 if plain.contains(&places) => {
                format!("{digits}{}", "0".repeat(places.unsigned_abs() as usize))
            }
            _ if plain.contains(&places) => {
                let places = places.unsigned_abs() as usize;
                let all = format!("{:0width$}", digits.unsigned_abs(), width = places + 1);
                let (whole, fraction) = all.split_at(all.len() - places);
                let sign = if digits < 0 { "-" } else { "" };
                format!("{sign}{whole}.{fraction}")
            }
            _ => format!("{digits}e{}", -i64::from(places)),
        }
    }
}

/// Appends this many zeros; `None` if they do not fit.
const fn raised(digits: i128, by: i32) -> Option<i128> {
    if digits == 0 || by <= 0 {
        return Some(digits);
    }
    match 10i128.checked_pow(by.unsigned_abs()) {
        Some(ten) => digits.checked_mul(ten),
        None => None,
    }
}

/// Cuts this many digits off, rounded, a half away from zero.
const fn cut(digits: i128, by: i32) -> i128 {
    if by <= 0 {
        return digits;
    }
    // If more digits are cut than there are, nothing is left.
    let Some(ten) = 10i128.checked_pow(by.unsigned_abs()) else {
        return 0;
    };
    let (kept, rest) = (digits / ten, digits % ten);
    match rest.unsigned_abs() >= ten.unsigned_abs().div_ceil(2) {
        true => kept + digits.signum(),
        false => kept,
    }
}

/// Returns how many decimal digits the number has.
const fn count(digits: i128) -> i32 {
    match digits.unsigned_abs().checked_ilog10() {
        Some(power) => power.cast_signed() + 1,
        None => 0,
    }
}

/// Returns the product, and how many digits had to be cut off its end to make it fit.
fn product(a: i128, b: i128) -> (i128, i32) {
    if let Some(product) = a.checked_mul(b) {
        return (product, 0);
    }
    let negative = (a < 0) != (b < 0);
    let mut limbs = wide(a.unsigned_abs(), b.unsigned_abs());
    let (mut dropped, mut last, mut rest) = (0, 0, false);
    // One bit less than there is, so that rounding up still fits.
    while limbs[3] != 0 || limbs[2] != 0 || limbs[1] >> 62 != 0 {
        rest |= last != 0;
        last = tenth(&mut limbs);
        dropped += 1;
    }
    let up = last > 5 || (last == 5 && (rest || limbs[0] % 2 == 1));
    let size = (u128::from(limbs[1]) << 64) + u128::from(limbs[0]) + u128::from(up);
    let digits = size.cast_signed();
    (if negative { -digits } else { digits }, dropped)
}

/// Returns all 256 bits of a product, the least significant 64 first.
fn wide(a: u128, b: u128) -> [u64; 4] {
    let halves = |x: u128| [x as u64, (x >> 64) as u64];
    let mut limbs = [0u64; 4];
    for (i, x) in halves(a).into_iter().enumerate() {
        let mut carry = 0u128;
        for (j, y) in halves(b).into_iter().enumerate() {
            let sum = u128::from(x) * u128::from(y) + u128::from(limbs[i + j]) + carry;
            limbs[i + j] = sum as u64;
            carry = sum >> 64;
        }
        limbs[i + 2] = carry as u64;
    }
    limbs
}

/// Divides by ten; returns the remainder.
fn tenth(limbs: &mut [u64; 4]) -> u64 {
    let mut rest = 0u128;
    for limb in limbs.iter_mut().rev() {
        let part = (rest << 64) | u128::from(*limb);
        *limb = (part / 10) as u64;
        rest = part % 10;
    }
    rest as u64
}

/// Returns the shortest decimal that stands for this float and no other; `None` if the float
/// is not finite.
fn written(x: f64) -> Option<(i128, i32)> {
    let text = x.is_finite().then(|| format!("{x:e}"))?;
    let (mantissa, exponent) = text.split_once('e')?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}").parse().ok()?;
    let places = i32::try_from(fraction.len()).ok()? - exponent.parse::<i32>().ok()?;
    Some((digits, places))
}

#[cfg(test)]
mod tests;

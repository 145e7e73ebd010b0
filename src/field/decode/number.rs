//! Numbers as protocols write them, on their way to a value.
//!
//! Decimal arithmetic that is exact up to 38 digits, which is more than any value has.
//! Further digits are rounded off, and a double is rounded once more at the end.

use std::cmp::Ordering;

use crate::base::Value;
use crate::field::decode::date_time;
use crate::field::decode::refusal::NoValueReason;
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

    pub(in crate::field) const fn from(d: Decimal) -> Self {
        let d = d.reduced();
        Exact::Decimal {
            digits: d.digits,
            places: d.places as i32,
        }
    }

    /// Returns the number of a value: a text is read as digits with a sign, a point and an
    /// exponent. `None` for a state, and for what is no finite number.
    pub(in crate::field) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Int(n) => Some(Exact::whole(i128::from(*n))),
            Value::UInt(n) => Some(Exact::whole(i128::from(*n))),
            Value::Float(x) => x.is_finite().then_some(Exact::Float(*x)),
            Value::Text(text) => {
                let (digits, places) = read(text)?;
                Some(Exact::Decimal { digits, places })
            }
            Value::Bool(_) => None,
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

    /// Returns the difference to a fixed number.
    pub(in crate::field) fn less(self, offset: Decimal) -> Self {
        match offset.reduced() {
            Decimal::ZERO => self,
            _ => self.plus(Exact::from(offset).negated(true)),
        }
    }

    /// Returns the quotient by this divisor; digits beyond the 38th are rounded off, a half away
    /// from zero. `None` if the divisor is 0, or either is no number.
    pub(in crate::field) fn over(self, divisor: Decimal) -> Option<Self> {
        let divisor = divisor.reduced();
        if divisor == Decimal::ONE {
            return Some(self);
        }
        let (digits, places) = self.parts()?;
        let (size, by) = (digits.unsigned_abs(), divisor.digits.unsigned_abs());
        let (mut size, mut rest) = (size.checked_div(by)?, size.checked_rem(by)?);
        let mut places = places.checked_sub(i32::from(divisor.places))?;
        while rest != 0 && size < 10u128.pow(DIGITS.unsigned_abs() - 1) {
            let (digit, left) = next_digit(rest, by);
            (size, rest) = (size * 10 + digit, left);
            places += 1;
        }
        let size = size + u128::from(rest != 0 && rest >= by - rest);
        let digits = i128::try_from(size).ok()?;
        let negative = (self.parts()?.0 < 0) != (divisor.digits < 0);
        Some(Exact::Decimal { digits, places }.negated(negative))
    }

    /// Returns the whole number of units that is nearest, of two equally near ones the one
    /// farther from zero. `None` if the unit is 0, if either is no number, or if it does not fit.
    pub(in crate::field) fn nearest(self, unit: Exact) -> Option<i128> {
        let ((a, has), (b, of)) = (self.parts()?, unit.parts()?);
        let (size, mut by) = (a.unsigned_abs(), b.unsigned_abs());
        let raise = of.checked_sub(has)?;
        if raise < 0 {
            let ten = 10u128.checked_pow(raise.unsigned_abs());
            match ten.and_then(|ten| by.checked_mul(ten)) {
                Some(raised) => by = raised,
                // More than twice as large as any number here.
                None => return (by != 0).then_some(0),
            }
        }
        let (mut whole, mut rest) = (size.checked_div(by)?, size.checked_rem(by)?);
        for _ in 0..raise {
            if whole == 0 && rest == 0 {
                break;
            }
            let (digit, left) = next_digit(rest, by);
            whole = whole.checked_mul(10)?.checked_add(digit)?;
            rest = left;
        }
        let whole = whole.checked_add(u128::from(rest != 0 && rest >= by - rest))?;
        let whole = i128::try_from(whole).ok()?;
        Some(if (a < 0) != (b < 0) { -whole } else { whole })
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

    /// Returns the same number without zeros behind its last digit after the point.
    pub(in crate::field) fn shortened(self) -> Self {
        let Some((mut digits, mut places)) = self.parts() else {
            return self;
        };
        while places > 0 && digits % 10 == 0 {
            (digits, places) = (digits / 10, places - 1);
        }
        Exact::Decimal { digits, places }
    }

    /// Compares the number with a fixed number; `None` if it is no number itself.
    pub(in crate::field) fn compared(self, to: Decimal) -> Option<Ordering> {
        self.against(Exact::from(to))
    }

    /// Compares the number with another; `None` if one of them is none.
    pub(in crate::field) fn against(self, other: Exact) -> Option<Ordering> {
        let (a, b) = (self.parts()?, other.parts()?);
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
    pub(in crate::field) fn value(
        self,
        of: NumberType,
        signed: bool,
    ) -> Result<Value, NoValueReason> {
        self.finite()?;
        match of {
            NumberType::Int | NumberType::Enum => self.integer(signed),
            NumberType::Double => self.double().map(Value::Float),
            NumberType::Float => match self.double()? {
                x if x.abs() > f64::from(f32::MAX) => Err(NoValueReason::Infinite),
                x => Ok(Value::Float(x)),
            },
            NumberType::Text => Ok(Value::Text(self.to_text())),
            NumberType::Date(offset) => {
                let millis = self
                    .shifted(3)
                    .whole_digits()
                    .ok_or(NoValueReason::NoSuchTime)?;
                let millis = i64::try_from(millis).map_err(|_| NoValueReason::NoSuchTime)?;
                date_time::value(millis, offset)
            }
        }
    }

    fn finite(self) -> Result<(), NoValueReason> {
        match self {
            Exact::Float(x) if x.is_nan() => Err(NoValueReason::NotANumber),
            Exact::Float(x) if x.is_infinite() => Err(NoValueReason::Infinite),
            Exact::Float(_) | Exact::Decimal { .. } => Ok(()),
        }
    }

    fn integer(self, signed: bool) -> Result<Value, NoValueReason> {
        let digits = self.whole_digits().ok_or(NoValueReason::TooLarge)?;
        let int = i64::try_from(digits).map(Value::Int);
        let uint = u64::try_from(digits).map(Value::UInt);
        let whole = if signed { int.or(uint) } else { uint.or(int) };
        whole.map_err(|_| NoValueReason::TooLarge)
    }

    fn double(self) -> Result<f64, NoValueReason> {
        let x = self.to_float();
        x.is_finite().then_some(x).ok_or(NoValueReason::Infinite)
    }

    /// Returns the number rounded to no places; `None` if it does not fit.
    fn whole_digits(self) -> Option<i128> {
        match self.rounded(0) {
            Exact::Decimal { digits, places } => raised(digits, places.checked_neg()?),
            Exact::Float(_) => None,
        }
    }

    /// Returns the nearest float; infinite beyond all floats.
    pub(in crate::field) fn to_float(self) -> f64 {
        match self {
            Exact::Float(x) => x,
            // The standard library reads decimals to the nearest float, which is exactly what
            // is needed here.
            Exact::Decimal { digits, places } => format!("{digits}e{}", -i64::from(places))
                .parse()
                .unwrap_or(f64::NAN),
        }
    }

    /// Returns the nearest single; infinite beyond all singles.
    pub(in crate::field) fn to_single(self) -> f32 {
        let text = match self.parts() {
            Some((digits, places)) => format!("{digits}e{}", -i64::from(places)),
            None => return self.to_float() as f32,
        };
        text.parse().unwrap_or(f32::NAN)
    }

    /// Writes the number as people do, with an exponent only where that spares many zeros.
    pub(in crate::field) fn to_text(self) -> String {
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

/// Divides ten times `rest` by `by`, which is larger than `rest` and at most 2^127: returns the
/// digit and what is left.
const fn next_digit(rest: u128, by: u128) -> (u128, u128) {
    const fn doubled(of: (u128, u128), by: u128) -> (u128, u128) {
        let (times, rest) = (of.0 * 2, of.1 * 2);
        match rest >= by {
            true => (times + 1, rest - by),
            false => (times, rest),
        }
    }
    let two = doubled((0, rest), by);
    let eight = doubled(doubled(two, by), by);
    let (times, rest) = (two.0 + eight.0, two.1 + eight.1);
    match rest >= by {
        true => (times + 1, rest - by),
        false => (times, rest),
    }
}

/// Returns the shortest decimal that stands for this float and no other; `None` if the float
/// is not finite.
fn written(x: f64) -> Option<(i128, i32)> {
    let text = x.is_finite().then(|| format!("{x:e}"))?;
    read(&text)
}

/// The largest exponent that is read, either way: far beyond that of any float.
const MOST_EXPONENT: i32 = 1000;

/// Reads a number as people write it: digits, a point, an exponent. `None` if it is none, or has
/// more digits or a larger exponent than there is room for.
fn read(text: &str) -> Option<(i128, i32)> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let unsigned = digits.strip_prefix(['-', '+']).unwrap_or(&digits);
    let is_number = !unsigned.is_empty() && unsigned.bytes().all(|b| b.is_ascii_digit());
    let places = i32::try_from(fraction.len()).ok()?;
    if !is_number || places > MOST_EXPONENT || exponent.abs() > MOST_EXPONENT {
        return None;
    }
    if let Ok(all) = digits.parse() {
        return Some((all, places - exponent));
    }
    // Zeros at the end need no room.
    let significant = digits.trim_end_matches('0');
    let zeros = i32::try_from(digits.len() - significant.len()).ok()?;
    (zeros <= MOST_EXPONENT).then_some(())?;
    Some((significant.parse().ok()?, places - exponent - zeros))
}

#[cfg(test)]
mod tests;

//! Exact decimal numbers, as engineers write factors, offsets and limits.

use serde::Serialize;
use std::cmp::Ordering;
use std::fmt;

use crate::base::Value;

/// An exact decimal number, `digits × 10^-places`, so that a scale of 0.1 is a tenth and not the
/// nearest binary fraction: 2305 becomes 230.5, never 230.50000000000003.
///
/// It has at most [`Decimal::DIGITS`] digits, as IEEE 754-2008 decimal128 has, and a size that a
/// double has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Decimal {
    /// The digits with sign.
    pub digits: i128,
    /// How many of the digits stand after the point; below 0, so many zeros follow them before
    /// the point.
    pub places: i16,
}

impl Decimal {
    /// The number 1.
    pub const ONE: Decimal = Decimal {
        digits: 1,
        places: 0,
    };
    /// The number 0.
    pub const ZERO: Decimal = Decimal {
        digits: 0,
        places: 0,
    };
    /// The most significant digits that a number may have.
    pub const DIGITS: usize = 34;
    /// The limit of a number's size: a number other than 0 has a size from 10 to minus this power
    /// to 10 to this power.
    pub const LARGEST_POWER: i32 = 307;

    /// Parses a written number: digits, a point, an exponent (`-40`, `0.1`, `6.781694e-11`).
    /// Returns `None` if the text is no number, or beyond the limits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Decimal> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (sign, unsigned) = match mantissa.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, mantissa.strip_prefix('+').unwrap_or(mantissa)),
        };
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let all = format!("{whole}{fraction}");
        if all.is_empty() || !all.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let significant = all.trim_start_matches('0').trim_end_matches('0');
        if significant.is_empty() {
            return Some(Decimal::ZERO);
        }
        if significant.len() > Decimal::DIGITS {
            return None;
        }
        let zeros = all.len() - all.trim_end_matches('0').len();
        let places =
            i64::try_from(fraction.len()).ok()? - i64::try_from(zeros).ok()? - i64::from(exponent);
        // The power of ten of the first digit.
        let power = i64::try_from(significant.len()).ok()? - 1 - places;
        if power.abs() > i64::from(Decimal::LARGEST_POWER) {
            return None;
        }
        let decimal = Decimal {
            digits: significant.parse::<i128>().ok()? * sign,
            places: i16::try_from(places).ok()?,
        };
        Some(decimal.reduced())
    }

    /// Returns the number of a value, a state being 0 or 1; `None` for a text, and for a float that
    /// is beyond the limits. A float is the shortest decimal that stands for it and no other.
    #[must_use]
    pub fn of(value: &Value) -> Option<Decimal> {
        let whole = |digits| Some(Decimal { digits, places: 0 });
        match value {
            Value::Int(n) => whole(i128::from(*n)),
            Value::UInt(n) => whole(i128::from(*n)),
            Value::Bool(b) => whole(i128::from(*b)),
            Value::Float(x) => Decimal::parse(&format!("{x:e}")),
            Value::Text(_) => None,
        }
    }

    /// Returns the same number in the form that is unique to it: without zeros at the end behind
    /// the point (1.0 is 1), and with zeros before the point where there is room for them.
    #[must_use]
    pub const fn reduced(mut self) -> Decimal {
        while self.places > 0 && self.digits % 10 == 0 && self.digits != 0 {
            self.digits /= 10;
            self.places -= 1;
        }
        if self.digits == 0 {
            return Decimal::ZERO;
        }
        if self.places < 0
            && self.places > -(Decimal::DIGITS as i16)
            && let Some(ten) = 10i128.checked_pow(self.places.unsigned_abs() as u32)
            && let Some(digits) = self.digits.checked_mul(ten)
            && digits.unsigned_abs() < 10u128.pow(Decimal::DIGITS as u32)
        {
            self.digits = digits;
            self.places = 0;
        }
        self
    }

    /// Compares the number with another.
    #[must_use]
    pub fn compare(self, other: Decimal) -> Ordering {
        let places = self.places.max(other.places);
        match (self.digits_at(places), other.digits_at(places)) {
            (Some(a), Some(b)) => a.cmp(&b),
            // A number that has no room at the places of the other is larger by far.
            (None, _) => self.digits.cmp(&0),
            (Some(_), None) => 0.cmp(&other.digits),
        }
    }

    /// Returns the digits of the number with so many places after the point, at least as many as
    /// it has; `None` if there is no room for them.
    fn digits_at(self, places: i16) -> Option<i128> {
        let by = u32::try_from(i32::from(places) - i32::from(self.places)).ok()?;
        match self.digits {
            0 => Some(0),
            digits => digits.checked_mul(10i128.checked_pow(by)?),
        }
    }

    /// Returns whether the number is `from` and a whole number of `step`s, or fewer than none of
    /// them. Numbers whose sizes are so far apart that they have no common form of 38 digits are
    /// not on the grid.
    #[must_use]
    pub fn is_on_grid(self, from: Decimal, step: Decimal) -> bool {
        let places = self.places.max(from.places).max(step.places);
        let at = |number: Decimal| number.digits_at(places);
        let rest = || {
            let distance = at(self)?.checked_sub(at(from)?)?;
            distance.checked_rem(at(step)?)
        };
        rest() == Some(0)
    }

    /// Returns the sum of the two; `None` if their sizes are so far apart that they have no common
    /// form of 38 digits.
    #[must_use]
    pub fn plus(self, other: Decimal) -> Option<Decimal> {
        let places = self.places.max(other.places);
        let digits = self
            .digits_at(places)?
            .checked_add(other.digits_at(places)?)?;
        Some(Decimal { digits, places }.reduced())
    }

    /// Returns the product of the two; `None` if it has more digits than a number may have.
    #[must_use]
    pub fn times(self, other: Decimal) -> Option<Decimal> {
        let (a, b) = (self.reduced(), other.reduced());
        let digits = a.digits.checked_mul(b.digits)?;
        let places = a.places.checked_add(b.places)?;
        let product = Decimal { digits, places }.reduced();
        // What can be written is what can be read.
        Decimal::parse(&product.to_string())
    }

    /// Returns the number with the other sign.
    #[must_use]
    pub const fn negated(self) -> Decimal {
        Decimal {
            digits: -self.digits,
            ..self
        }
    }

    /// Returns how many times the other number goes into this one; `None` if that is no whole
    /// number, or one that does not fit.
    #[must_use]
    pub fn multiple_of(self, other: Decimal) -> Option<i128> {
        let (a, b) = (self.reduced(), other.reduced());
        let places = a.places.max(b.places);
        let (a, b) = (a.digits_at(places)?, b.digits_at(places)?);
        match a.checked_rem(b)? {
            0 => a.checked_div(b),
            _ => None,
        }
    }

    /// Returns whether the number is whole.
    #[must_use]
    pub const fn is_whole(self) -> bool {
        self.reduced().places <= 0
    }
}

impl fmt::Display for Decimal {
    /// Writes the number as the configuration does: `21.5`, `-40`, `1e-12`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.reduced();
        let places = usize::try_from(number.places).unwrap_or_default();
        match number.places {
            0 => write!(f, "{}", number.digits),
            1..=20 => {
                let all = format!(
                    "{:0width$}",
                    number.digits.unsigned_abs(),
                    width = places + 1
                );
                let (whole, fraction) = all.split_at(all.len() - places);
                let sign = if number.digits < 0 { "-" } else { "" };
                write!(f, "{sign}{whole}.{fraction}")
            }
            _ => write!(f, "{}e{}", number.digits, -i32::from(number.places)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn products_are_exact_or_not_given() {
        let number = |text: &str| Decimal::parse(text).unwrap();
        for (a, b, product) in [
            ("80", "0.001", "0.08"),
            ("-2.5", "4", "-10"),
            ("0", "1e300", "0"),
            ("1e-300", "1e300", "1"),
        ] {
            assert_eq!(number(a).times(number(b)), Some(number(product)), "{a} {b}");
        }
        assert_eq!(number("1e300").times(number("1e300")), None);
        let long = number("0.3333333333333333333333333333333333");
        assert_eq!(long.times(long), None);
    }

    #[test]
    fn decimals_are_exact() {
        let d = |digits, places| Some(Decimal { digits, places });
        for (text, value) in [
            ("0.1", d(1, 1)),
            ("1", d(1, 0)),
            ("-40", d(-40, 0)),
            ("1.50", d(15, 1)),
            ("1e-3", d(1, 3)),
            ("2.5E2", d(250, 0)),
            ("0.000", d(0, 0)),
            (".5", d(5, 1)),
            ("6.781694e-11", d(6_781_694, 17)),
            ("0.00000000006781694", d(6_781_694, 17)),
            ("-1.6e-19", d(-16, 20)),
            ("1234567890123456789", d(1_234_567_890_123_456_789, 0)),
            (
                "3.141592653589793238462643383279503",
                d(3_141_592_653_589_793_238_462_643_383_279_503, 33),
            ),
            ("1e99", d(1, -99)),
            ("12e300", d(12, -300)),
            ("1e-307", d(1, 307)),
            ("0e9999", d(0, 0)),
            ("3.1415926535897932384626433832795028", None),
            ("1e308", None),
            ("1e-308", None),
            ("1e99999999999", None),
            ("1e9999999999999999999", None),
            ("", None),
            ("-", None),
            (".", None),
            ("nan", None),
            ("1,5", None),
            ("1e", None),
            ("0x10", None),
        ] {
            assert_eq!(Decimal::parse(text), value, "{text}");
        }
    }

    #[test]
    fn decimals_are_written_as_people_write_them() {
        for text in ["0", "21.5", "-40", "0.001", "-0.5", "1e-25", "1e40", "230"] {
            assert_eq!(Decimal::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn the_decimal_of_a_float_is_the_shortest() {
        for (value, text) in [
            (Value::Float(0.1), Some("0.1")),
            (Value::Float(-2300.0), Some("-2300")),
            (Value::Bool(true), Some("1")),
            (Value::UInt(u64::MAX), Some("18446744073709551615")),
            (Value::Float(1e308), None),
            (Value::Text("1".into()), None),
        ] {
            assert_eq!(Decimal::of(&value), text.and_then(Decimal::parse));
        }
    }

    #[test]
    fn a_multiple_is_whole_and_fits() {
        for (a, b, times) in [
            ("10000", "1", Some(10_000)),
            ("1", "0.01", Some(100)),
            ("-1", "0.01", Some(-100)),
            ("2.5", "-0.5", Some(-5)),
            ("0", "7", Some(0)),
            ("1e30", "1e-7", Some(10i128.pow(37))),
            ("1", "3", None),
            ("0.01", "1", None),
            ("1", "0", None),
            ("1e300", "1e-300", None),
            ("1e30", "1e-9", None),
        ] {
            let number = |text| Decimal::parse(text).unwrap();
            assert_eq!(number(a).multiple_of(number(b)), times, "{a} / {b}");
        }
    }

    proptest! {
        #[test]
        fn what_is_parsed_is_what_is_written(
            digits in 0..10i128.pow(34), places in 0usize..40, negative in any::<bool>(),
        ) {
            let sign = if negative { "-" } else { "" };
            let text = format!("{sign}{digits}e-{places}");
            let parsed = Decimal::parse(&text).unwrap();
            prop_assert_eq!(parsed, parsed.reduced());
            let again = format!("{}e{}", parsed.digits, -i32::from(parsed.places));
            let read = |text: &str| text.parse::<f64>().unwrap();
            prop_assert_eq!(read(&again), read(&text) + 0.0);
            prop_assert_eq!(Decimal::parse(&again), Some(parsed));
        }

        #[test]
        fn numbers_compare_as_their_values_do(
            a in any::<i32>(), p in -300i16..300, b in any::<i32>(), q in -300i16..300,
        ) {
            let number = |digits: i32, places| Decimal { digits: i128::from(digits), places };
            let value = |digits: i32, places: i16| {
                format!("{digits}e{}", -places).parse::<f64>().unwrap()
            };
            let (x, y) = (value(a, p), value(b, q));
            prop_assume!((x - y).abs() > (x.abs() + y.abs()) * 1e-12 || x == y && p == q);
            prop_assert_eq!(number(a, p).compare(number(b, q)), x.total_cmp(&y));
        }

        #[test]
        fn a_number_is_on_the_grid_if_it_is_a_whole_number_of_steps_away(
            from in any::<i32>(), step in 1..10_000i64, n in any::<i32>(), off in 0..10_000i64,
            places in -3i16..12,
        ) {
            let number = |digits: i64| Decimal { digits: digits.into(), places }.reduced();
            let (from, off) = (i64::from(from), off % step);
            let there = number(from + step * i64::from(n) + off);
            prop_assert_eq!(there.is_on_grid(number(from), number(step)), off == 0);
        }

        #[test]
        fn no_sizes_make_the_grid_panic(
            digits in prop::array::uniform3(any::<i128>()),
            places in prop::array::uniform3(any::<i16>()),
        ) {
            let number = |i: usize| Decimal { digits: digits[i], places: places[i] };
            let _ = number(0).is_on_grid(number(1), number(2));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[-+.eE0-9]{0,60}") {
            let _ = Decimal::parse(&text);
        }
    }
}

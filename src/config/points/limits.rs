//! `min:` and `max:` of a number: whether its registers can hold anything between them, and
//! anything beyond.

use crate::config::reader::problem::Expectation;
use crate::config::reader::section::{Notes, Section};
use crate::spec::{Bits, Decimal, Digits, Measure, Number, NumberType, Sign};

/// The largest single (IEEE 754-2008, binary32).
const LARGEST_SINGLE: Decimal = Decimal {
    digits: 34_028_234_663_852_886,
    places: -22,
};

/// The largest number of half precision (IEEE 754-2008, binary16).
const LARGEST_HALF: Decimal = Decimal {
    digits: 65_504,
    places: 0,
};

/// Notes limits between which no value can be, and limits that no value can pass. `is_one`: the
/// number is that of its own registers alone, without parts and without a power of ten.
pub(super) fn check(s: &Section<'_>, measure: &Measure, is_one: bool, notes: &mut Notes) {
    let (min, max) = (measure.min, measure.max);
    if let (Some(min), Some(max)) = (min, max)
        && min.compare(max).is_gt()
    {
        let wrong = Expectation::wanted("a min that is not above max");
        notes.error(s.at("min"), "min above max", wrong);
        return;
    }
    let Some((least, most)) = reach(measure).filter(|_| is_one && !is_date(measure)) else {
        return;
    };
    let range = format!("{least} to {most}");
    for (key, limit) in [("min", min), ("max", max)] {
        let Some(limit) = limit else { continue };
        let (is_below, is_above) = (limit.compare(least).is_lt(), limit.compare(most).is_gt());
        let shuts_out = match key {
            "min" => is_above,
            _ => is_below,
        };
        let said = format!("{key} {limit}");
        if shuts_out {
            let wrong = Expectation::wanted(format!("a {key} within {range}"))
                .hint("these registers hold nothing else, after scale and offset: no reading would be a value");
            notes.error(s.at(key), said, wrong);
        } else if is_below || is_above {
            let wrong = Expectation::wanted(format!("a {key} within {range}")).hint(
                "these registers hold nothing beyond that, after scale and offset: this limit has no effect",
            );
            notes.warning(s.at(key), said, wrong);
        }
    }
}

/// Returns whether the number is a moment, whose values are not compared with its limits as numbers
/// are.
const fn is_date(measure: &Measure) -> bool {
    matches!(measure.number_type, Some(NumberType::Date(_)))
}

/// Returns the least and the greatest value that the registers can hold, after scale and offset;
/// `None` if that is not to be told, or there is no room for it.
fn reach(measure: &Measure) -> Option<(Decimal, Decimal)> {
    let [part] = measure.parts.as_slice() else {
        return None;
    };
    let (least, most) = of_kind(part.kind, measure.bits, measure.sign)?;
    let scaled = |raw: Decimal| -> Option<Decimal> {
        let product = Decimal {
            digits: raw.digits.checked_mul(measure.scale.digits)?,
            places: raw.places.checked_add(measure.scale.places)?,
        };
        match measure.offset {
            Decimal::ZERO => Some(product.reduced()),
            offset => product.reduced().plus(offset),
        }
    };
    let (one, other) = (scaled(least)?, scaled(most)?);
    // A negative factor turns the range round.
    Some(match one.compare(other).is_gt() {
        true => (other, one),
        false => (one, other),
    })
}

/// Returns the least and the greatest number that can stand in the registers.
fn of_kind(kind: Number, bits: Option<Bits>, sign: Option<Sign>) -> Option<(Decimal, Decimal)> {
    let size = match bits {
        None => kind.bits(),
        Some(Bits::Range(first, last)) => last.saturating_sub(first).saturating_add(1),
        Some(Bits::Mask(_)) => return None,
    };
    let whole = |digits| Decimal { digits, places: 0 };
    let ones = |bits: u8| 1i128.checked_shl(u32::from(bits)).map(|n| n - 1);
    let (least, most) = match kind.digits() {
        Digits::Floating => {
            let most = match kind {
                Number::F16 => LARGEST_HALF,
                Number::F32 => LARGEST_SINGLE,
                // A limit cannot be written that a double does not reach.
                _ => return None,
            };
            return Some((most.negated(), most));
        }
        Digits::Decimal => (0, 10i128.checked_pow(u32::from(size / 4))? - 1),
        Digits::Unsigned => (0, ones(size)?),
        Digits::Signed => (
            -ones(size.checked_sub(1)?)? - 1,
            ones(size.checked_sub(1)?)?,
        ),
    };
    let (least, most) = match sign {
        None => (least, most),
        // The sign is one bit of the number, and the others are the magnitude.
        Some(Sign::HighestBit) => match kind.digits() {
            Digits::Decimal => {
                let most = 8 * 10i128.checked_pow(u32::from(size / 4).checked_sub(1)?)? - 1;
                (-most, most)
            }
            _ => (-ones(size.checked_sub(1)?)?, ones(size.checked_sub(1)?)?),
        },
        Some(Sign::Register { .. }) => (-most, most),
    };
    Some((whole(least), whole(most)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::RegisterByte;

    fn range(kind: Number) -> Option<(String, String)> {
        let (least, most) = of_kind(kind, None, None)?;
        Some((least.to_string(), most.to_string()))
    }

    #[test]
    fn registers_hold_what_their_type_says() {
        let of = |least: &str, most: &str| Some((least.to_owned(), most.to_owned()));
        assert_eq!(range(Number::U16), of("0", "65535"));
        assert_eq!(range(Number::I8(RegisterByte::Low)), of("-128", "127"));
        assert_eq!(range(Number::Bcd24), of("0", "999999"));
        assert_eq!(range(Number::U64), of("0", "18446744073709551615"));
        assert_eq!(range(Number::F16), of("-65504", "65504"));
        assert_eq!(range(Number::F64), None);
        let part = of_kind(Number::I16, Some(Bits::Range(4, 7)), None).unwrap();
        assert_eq!((part.0.digits, part.1.digits), (-8, 7));
        let signed = of_kind(Number::U16, None, Some(Sign::HighestBit)).unwrap();
        assert_eq!((signed.0.digits, signed.1.digits), (-32767, 32767));
    }

    #[test]
    fn a_factor_and_an_offset_move_the_range() {
        let decimal = |text: &str| Decimal::parse(text).unwrap();
        let measure = Measure {
            scale: decimal("-0.1"),
            offset: decimal("40"),
            ..Measure::of(Number::U16)
        };
        let (least, most) = reach(&measure).unwrap();
        assert_eq!(
            (least.to_string(), most.to_string()),
            ("-6513.5".into(), "40".into())
        );
    }
}

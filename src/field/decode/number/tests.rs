use proptest::prelude::*;

use super::*;

fn exact(digits: i128, places: i32) -> Exact {
    Exact::Decimal { digits, places }
}

fn double(of: Exact) -> f64 {
    of.double().unwrap()
}

#[test]
fn what_goes_beyond_38_digits_is_rounded_there() {
    let nines = 10i128.pow(34) - 1;
    let factor = Decimal {
        digits: nines,
        places: 33,
    };
    for (exact, nearest) in [
        // 9.99… squared, with 68 digits.
        (exact(nines, 33).times(factor), 100.0),
        (
            exact(i128::MAX, 0).times(factor),
            1.701_411_834_604_692_3e39,
        ),
        // The addend is below the last digit of the number.
        (exact(1, -40).plus(exact(1, 40)), 1e40),
        (exact(1, 40).plus(exact(1, -40)), 1e40),
        (
            exact(i128::MAX, 0).plus(exact(i128::MAX, 0)),
            3.402_823_669_209_385e38,
        ),
        (
            exact(i128::MAX, 3).plus(exact(i128::MAX, 0)),
            1.703_113_246_439_297e38,
        ),
        (
            exact(1, 330).times(Decimal {
                digits: 1,
                places: -300,
            }),
            1e-30,
        ),
        (
            Exact::Float(1e-300).times(Decimal {
                digits: 1,
                places: -300,
            }),
            1.0,
        ),
        (
            Exact::Float(0.1).times(Decimal {
                digits: 3,
                places: 0,
            }),
            0.3,
        ),
    ] {
        let x = double(exact);
        assert!((x / nearest - 1.0).abs() < 1e-15, "{exact:?}: {x}");
    }
    let huge = exact(1, -300).times(Decimal {
        digits: 1,
        places: -10,
    });
    assert_eq!(
        huge.value(NumberType::Double, true),
        Err(NoValueReason::Infinite)
    );
}

/// Returns the size of what is left when the smaller number is taken from the larger.
fn difference(a: [u64; 4], b: [u64; 4]) -> [u64; 4] {
    let larger = a.iter().rev().ge(b.iter().rev());
    let (a, b) = if larger { (a, b) } else { (b, a) };
    let (mut out, mut borrow) = ([0; 4], false);
    for i in 0..4 {
        let (once, first) = a[i].overflowing_sub(b[i]);
        let (twice, second) = once.overflowing_sub(u64::from(borrow));
        (out[i], borrow) = (twice, first || second);
    }
    out
}

#[test]
fn text_has_all_the_digits() {
    for (digits, places, text) in [
        (0, 0, "0"),
        (0, 1, "0.0"),
        (2300, 1, "230.0"),
        (-5, 2, "-0.05"),
        (5, -3, "5000"),
        (i128::from(u64::MAX), 0, "18446744073709551615"),
        (1, 50, "1e-50"),
        (1, -50, "1e50"),
    ] {
        let expected = Ok(Value::Text(text.into()));
        assert_eq!(
            exact(digits, places).value(NumberType::Text, true),
            expected
        );
    }
}

#[test]
fn quotients_are_rounded_once_a_half_away_from_zero() {
    let decimal = |digits, places| Decimal { digits, places };
    for (number, by, nearest) in [
        (exact(2305, 1), exact(1, 1), Some(2305)),
        (exact(25, 1), exact(1, 0), Some(3)),
        (exact(-25, 1), exact(1, 0), Some(-3)),
        (exact(249, 2), exact(1, 0), Some(2)),
        (exact(1, 0), exact(3, 0), Some(0)),
        (exact(2, 0), exact(-3, 0), Some(-1)),
        // A float is the decimal that it is written as, and so this is a half.
        (Exact::Float(1.005), exact(1, 2), Some(101)),
        // One unit in the 38th digit below a half.
        (exact(5 * 10i128.pow(37) - 1, 38), exact(1, 0), Some(0)),
        (exact(5 * 10i128.pow(37), 38), exact(1, 0), Some(1)),
        (exact(1, 0), exact(i128::MAX, 0), Some(0)),
        (exact(i128::MAX, 0), exact(i128::MAX, 1), Some(10)),
        (exact(1, 300), exact(1, 0), Some(0)),
        (exact(1, 0), exact(1, 300), None),
        (exact(1, 0), exact(0, 0), None),
        (exact(0, 0), exact(0, 9), None),
        (Exact::Float(f64::NAN), exact(1, 0), None),
    ] {
        assert_eq!(number.nearest(by), nearest, "{number:?} / {by:?}");
    }
    for (number, by, quotient) in [
        (exact(1, 0), decimal(8, 0), Some(exact(125, 3))),
        (
            exact(1, 0),
            decimal(-3, 0),
            Some(exact(-(10i128.pow(38) / 3), 38)),
        ),
        (
            exact(2, 0),
            decimal(3, 0),
            Some(exact(10i128.pow(38) / 3 * 2 + 1, 38)),
        ),
        (exact(7, 2), decimal(1, 0), Some(exact(7, 2))),
        (exact(1, 0), decimal(0, 0), None),
        (Exact::Float(f64::INFINITY), decimal(2, 0), None),
    ] {
        assert_eq!(number.over(by), quotient, "{number:?} / {by:?}");
    }
}

#[test]
fn digits_are_read_as_people_write_them() {
    for (text, number) in [
        ("18446744073709551615", Some(exact(u64::MAX.into(), 0))),
        ("-0.05", Some(exact(-5, 2))),
        ("+.5e-3", Some(exact(5, 4))),
        ("1e50", Some(exact(1, -50))),
        ("", None),
        ("-", None),
        (".", None),
        ("1 2", None),
        ("0x1F", None),
        ("inf", None),
        ("1e1001", None),
        ("1e99999999999", None),
        ("1-1", None),
        ("340282366920938463463374607431768211456", None),
    ] {
        assert_eq!(Exact::of(&Value::Text(text.into())), number, "{text}");
    }
    // More digits than there is room for, but the last are zeros.
    let long = Exact::of(&Value::Text(format!("12{}", "0".repeat(60))));
    assert_eq!(long, Some(exact(12, -60)));
    assert_eq!(Exact::of(&Value::Float(f64::NAN)), None);
    assert_eq!(Exact::of(&Value::Bool(true)), None);
}

proptest! {
    #[test]
    fn the_nearest_number_of_units_is_at_most_half_a_unit_off(
        a in any::<i64>(), p in -9i32..9, b in any::<i32>(), q in -9i32..9,
    ) {
        prop_assume!(b != 0);
        let n = exact(a.into(), p).nearest(exact(b.into(), q)).unwrap();
        // All in units of 10^-18.
        let at = |digits: i128, places: i32| digits * 10i128.pow((9 - places).unsigned_abs());
        let (wanted, unit) = (at(a.into(), p), at(b.into(), q));
        prop_assume!(n.checked_mul(unit).is_some());
        let off = (wanted - n * unit).abs();
        prop_assert!(2 * off <= unit.abs());
        // Of two equally near ones it is the farther from 0.
        prop_assert!(2 * off < unit.abs() || (n * unit).abs() > wanted.abs());
    }

    #[test]
    fn a_quotient_times_its_divisor_is_the_number(
        a in -10i128.pow(38)..10i128.pow(38), p in -200i32..200,
        b in 1i128..10i128.pow(34), q in -200i16..200, negative in any::<bool>(),
    ) {
        let b = if negative { -b } else { b };
        let by = Decimal { digits: b, places: q };
        let back = double(exact(a, p).over(by).unwrap().times(by));
        let wanted = double(exact(a, p));
        prop_assert!((back - wanted).abs() <= wanted.abs() * 1e-15, "{back} {wanted}");
    }

    #[test]
    fn no_numbers_make_a_division_panic(
        a in any::<i128>(), p in -2000i32..2000, b in any::<i128>(), q in any::<i16>(),
        x in any::<f64>(), text in "[-+.e0-9]{0,60}",
    ) {
        let (number, by) = (exact(a, p), Decimal { digits: b, places: q });
        let _ = (number.over(by), number.nearest(Exact::from(by)), number.less(by));
        let _ = (Exact::Float(x).over(by), Exact::Float(x).nearest(number), number.to_single());
        let _ = Exact::of(&Value::Text(text));
    }

    /// The product of two numbers of 34 digits each, which may have up to 68.
    #[test]
    fn a_product_is_right_to_the_last_digits(
        a in 1i128..10i128.pow(34), b in 1i128..10i128.pow(34), p in -200i32..200, q in -100i16..100,
    ) {
        let factor = Decimal { digits: b, places: q }.reduced();
        let got = exact(a, p).times(factor);
        let Exact::Decimal { digits, places } = got else { panic!("{got:?}") };
        // Both have the same bits once the digits that were cut are zeros again, except half
        // of the last digit that is left.
        let dropped = p + i32::from(factor.places) - places;
        let ten = 10i128.pow(dropped.unsigned_abs());
        let exact = wide(a.unsigned_abs(), factor.digits.unsigned_abs());
        let rounded = wide(digits.unsigned_abs(), ten.unsigned_abs());
        let off = difference(exact, rounded);
        prop_assert!(off[2] == 0 && off[3] == 0);
        let off = u128::from(off[1]) << 64 | u128::from(off[0]);
        prop_assert!(off <= ten.unsigned_abs() / 2, "{off} of {ten}");
    }

    #[test]
    fn wide_products_and_their_tenths_are_exact(a in any::<u128>(), b in any::<u64>()) {
        // (a × b) / 10 and the remainder, by parts that fit.
        let mut limbs = wide(a, u128::from(b));
        let low = (a & u128::from(u64::MAX)) * u128::from(b);
        let high = (a >> 64) * u128::from(b) + (low >> 64);
        prop_assert_eq!(limbs[0], low as u64);
        prop_assert_eq!(u128::from(limbs[1]) | u128::from(limbs[2]) << 64, high);
        let rest = tenth(&mut limbs);
        let back = u128::from(limbs[0]) * 10 + u128::from(rest);
        prop_assert_eq!(back as u64, low as u64);
        prop_assert!(rest < 10);
    }

    #[test]
    fn sums_of_usual_numbers_are_exact(a in any::<i64>(), p in 0i32..12, b in any::<i64>(), q in 0i32..12) {
        let sum = exact(i128::from(a), p).plus(exact(i128::from(b), q));
        let places = p.max(q);
        let at = |n: i64, has: i32| i128::from(n) * 10i128.pow((places - has).unsigned_abs());
        prop_assert_eq!(sum, exact(at(a, p) + at(b, q), places));
    }

    #[test]
    fn sums_of_any_numbers_are_near(
        a in -10i128.pow(38)..10i128.pow(38), p in -60i32..60,
        b in -10i128.pow(38)..10i128.pow(38), q in -60i32..60,
    ) {
        let (x, y) = (double(exact(a, p)), double(exact(b, q)));
        let sum = double(exact(a, p).plus(exact(b, q)));
        prop_assert!((sum - (x + y)).abs() <= (x.abs() + y.abs()) * 1e-15, "{sum} {x} {y}");
    }

    #[test]
    fn a_float_is_its_shortest_decimal(x in any::<f64>()) {
        match written(x) {
            Some((digits, places)) => prop_assert_eq!(double(exact(digits, places)), x + 0.0),
            None => prop_assert!(!x.is_finite()),
        }
    }
}

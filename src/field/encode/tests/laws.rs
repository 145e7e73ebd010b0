//! What holds for every codec.

use std::cmp::Ordering;

use proptest::prelude::*;

use super::codecs::{any_codec, clocks, contents, numerics, values};
use super::*;
use crate::field::decode::number::Exact;

/// Returns the value of registers from the point's address on.
fn read(point: &PointSpec, registers: &[u16]) -> Result<Value, NoValueReason> {
    let all = BlockAddress::Modbus(EntryRange {
        table: Table::HoldingRegister,
        start: START,
        count: 1,
    });
    decode(point, &all, &Data::Registers(registers.to_vec()))
}

/// Returns what a device holds after a write that held `old`, from the point's address on.
fn written(old: &[u16], content: &WriteContent) -> Vec<u16> {
    let WriteContent::Registers { start, words } = content else {
        panic!("{content:?}")
    };
    let mut registers = old.to_vec();
    let from = usize::from(start - START);
    assert!((1..=123).contains(&words.len()), "{content:?}");
    for (register, word) in registers[from..].iter_mut().zip(words) {
        assert_eq!(word.bits & !word.mask, 0);
        let new = word.merged(*register);
        assert_eq!(
            (new ^ *register) & !word.mask,
            0,
            "only the bits of the mask"
        );
        *register = new;
    }
    registers
}

/// Returns whether both are the same value of this point. A whole number may be signed or not, and
/// one in digits may have a zero at its end.
fn same(point: &PointSpec, a: &Value, b: &Value) -> bool {
    let order = || Exact::of(a)?.against(Exact::of(b)?);
    a == b || point.codec.number_type().is_some() && order() == Some(Ordering::Equal)
}

fn number(n: f64) -> Exact {
    Exact::of(&Value::Float(n)).unwrap()
}

/// Returns how far a value may be from what was wanted, at most: half a step of the registers,
/// and what the type of the value rounds off.
fn tolerance(codec: &Codec, wanted: f64) -> Exact {
    let (scale, offset, parts, bits, round) = match codec {
        Codec::Number {
            kind,
            scale,
            offset,
            ..
        } => {
            let part = part(0, *kind, Decimal::ONE);
            (*scale, *offset, vec![part], None, None)
        }
        Codec::Measure(m) => (m.scale, m.offset, m.parts.clone(), m.bits, m.round),
        other => panic!("{other:?}"),
    };
    let size = |d: Decimal| Decimal {
        digits: d.digits.abs(),
        ..d
    };
    let weight = parts
        .iter()
        .map(|p| size(p.weight))
        .min_by(|a, b| a.compare(*b))
        .unwrap();
    let lowest = match bits {
        Some(Bits::Mask(mask)) => 1i128 << mask.trailing_zeros(),
        _ => 1,
    };
    let step = match parts[0].kind.digits() {
        // A float has so many bits behind the first; none is smaller than the smallest.
        crate::spec::Digits::Floating => {
            let (fraction, least) = match parts[0].kind {
                Number::F16 => (10, -24),
                Number::F32 => (23, -149),
                _ => (52, -1074),
            };
            let raw = number(wanted).less(offset).over(size(scale)).unwrap();
            let raw = raw.over(weight).unwrap().to_float().abs();
            let steps = raw * 2f64.powi(-fraction);
            // Twice half a step: a float is shown as a decimal that is up to half a step off.
            number(steps.max(2f64.powi(least)).max(f64::MIN_POSITIVE)).times(decimal(2, 0))
        }
        _ => Exact::whole(lowest),
    };
    let half = step.times(weight).times(size(scale)).times(decimal(5, 1));
    let number_type = codec.number_type().unwrap();
    let rounding = match number_type {
        NumberType::Int | NumberType::Enum => decimal(5, 1),
        NumberType::Date(_) => decimal(5, 4),
        NumberType::Float | NumberType::Double | NumberType::Text => Decimal::ZERO,
    };
    let places = round.map_or(Decimal::ZERO, |places| decimal(5, i16::from(places) + 1));
    // The number is rounded to a double at last.
    let double = number(wanted.abs() * 2f64.powi(-50));
    // Sums are exact to 38 digits.
    let digits = Exact::from(size(offset)).shifted(-35);
    let all = half.moved(rounding).moved(places).plus(double).plus(digits);
    match number_type {
        NumberType::Date(_) => all.shifted(3),
        _ => all,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn what_is_read_can_be_written_back_and_is_read_again(
        codec in any_codec(), registers in contents(), old in contents(),
    ) {
        let point = point(Table::HoldingRegister, codec);
        let Ok(value) = read(&point, &registers) else { return Ok(()) };
        let encoded = encode(&point, &value);
        if let Some(why) = point.unwritable() {
            prop_assert_eq!(encoded, Err(NotEncoded::NotWritable(why)));
            return Ok(());
        }
        // Some encodings read characters that they have no bytes for when they write
        // (encoding.spec.whatwg.org: the encoders of GBK, Big5, EUC-KR and Shift JIS), and
        // others bytes that a text must end with.
        if matches!(encoded, Err(NotEncoded::NotInEncoding { .. } | NotEncoded::TooLong { .. })) {
            let (Codec::Text { encoding, .. } | Codec::Letters { encoding, .. }) = point.codec
            else { panic!("{encoded:?}") };
            use Encoding::{Big5, EucKr, Gb18030, Gbk, ShiftJis};
            prop_assert!([Gbk, Gb18030, Big5, EucKr, ShiftJis].contains(&encoding));
            return Ok(());
        }
        if let Err(NotEncoded::Altered { read }) = &encoded {
            // FFh is a character if anything is behind it, if only a character that is not shown.
            let Value::Text(text) = &value else { panic!("{encoded:?}") };
            let rest = text.strip_prefix(read).unwrap();
            prop_assert!(rest.chars().all(|c| " ÿя˙".contains(c)), "{rest:?}");
            return Ok(());
        }
        // Of a sum that was rounded when it was read, the marker of one part may hide the parts.
        if let (Err(NotEncoded::DoesNotFit { .. } | NotEncoded::NoValue(NoValueReason::Marked)),
            Codec::Measure(m)) = (&encoded, &point.codec)
            && m.parts.len() > 1 && !m.invalid.is_empty()
        {
            return Ok(());
        }
        // A limit may stand between a number and the value that it was rounded to.
        if let Err(NotEncoded::OutOfRange { min, max }) = encoded {
            let rounded = Exact::of(&value).unwrap();
            let beyond = |d: Option<Decimal>, order| d.is_some_and(|d| rounded.compared(d) == Some(order));
            let is_date = matches!(point.codec.number_type(), Some(NumberType::Date(_)));
            prop_assert!(is_date || beyond(min, Ordering::Less) || beyond(max, Ordering::Greater));
            return Ok(());
        }
        let encoded = encoded.map_err(|why| TestCaseError::fail(format!("{value:?}: {why:?}")))?;
        prop_assert!(same(&point, &encoded.value, &value), "{:?} {value:?}", encoded.value);
        let registers = written(&old, &encoded.content);
        prop_assert_eq!(read(&point, &registers), Ok(encoded.value));
    }

    #[test]
    fn a_written_value_is_read_as_was_said_whatever_else_the_registers_hold(
        codec in any_codec(), value in values(), old in contents(),
    ) {
        let point = point(Table::HoldingRegister, codec);
        match encode(&point, &value) {
            Ok(encoded) => {
                prop_assert_eq!(point.unwritable(), None);
                let registers = written(&old, &encoded.content);
                prop_assert_eq!(read(&point, &registers), Ok(encoded.value.clone()));
                // Written once more, it is the same.
                let again = encode(&point, &encoded.value).map(|e| e.value);
                prop_assert!(again.as_ref().is_ok_and(|v| same(&point, v, &encoded.value)), "{again:?}");
            }
            Err(NotEncoded::NotWritable(why)) => prop_assert_eq!(point.unwritable(), Some(why)),
            Err(why) => {
                prop_assert_eq!(point.unwritable(), None);
                prop_assert!(!why.wanted().is_empty());
            }
        }
    }

    #[test]
    fn a_written_number_is_the_nearest_there_is(codec in numerics(), value in values()) {
        let point = point(Table::HoldingRegister, codec);
        let Ok(encoded) = encode(&point, &value) else { return Ok(()) };
        let (got, wanted) = (Exact::of(&encoded.value).unwrap(), Exact::of(&value).unwrap());
        let off = got.plus(wanted.negated(true));
        let off = off.negated(off.compared(Decimal::ZERO) == Some(Ordering::Less));
        let number = match point.codec.number_type() {
            // On the clock of the device, which may be up to 14 hours ahead.
            Some(NumberType::Date(_)) => wanted.shifted(-3).moved(decimal(50_400, 0)),
            _ => wanted,
        };
        let most = tolerance(&point.codec, number.to_float());
        prop_assert!(off.against(most) != Some(Ordering::Greater), "{encoded:?}: {off:?} {most:?}");
    }

    #[test]
    fn only_what_has_no_field_is_cut_off_a_time(
        codec in clocks(), millis in 0i64..4_102_444_800_000,
    ) {
        let Codec::DateTime(clock) = &codec else { panic!() };
        let has = |field| clock.layout.fields().contains(&field);
        let offset = clock.utc_offset.as_millis();
        let shown = millis + offset;
        let (day, time) = (shown.div_euclid(86_400_000), shown.rem_euclid(86_400_000));
        let fields = [
            (TimeField::Hour, 3_600_000, 24),
            (TimeField::Minute, 60_000, 60),
            (TimeField::Second, 1000, 60),
            (TimeField::Millisecond, 1, 1000),
        ];
        let kept: i64 = fields
            .iter()
            .filter(|(field, _, _)| has(*field))
            .map(|(_, unit, count)| time / unit % count * unit)
            .sum();
        let expected = day * 86_400_000 + kept - offset;
        let least = if has(TimeField::Year2) { 946_684_800_000 } else { 0 };
        let most = if has(TimeField::Year2) { 4_102_444_800_000 } else { i64::MAX };
        let got = write(codec.clone(), Value::Int(millis));
        match (least..most).contains(&shown) && expected >= 0 {
            true => prop_assert_eq!(got.map(|e| e.value), Ok(Value::Text(expected.to_string()))),
            false => prop_assert!(got.is_err()),
        }
    }
}

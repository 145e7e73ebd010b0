use super::*;
use crate::base::RefusedReason;
use crate::field::decode::refusal::NoValueReason;
use crate::field::test_spec;
use crate::spec::{
    Bits, ByteOrder, DateTime, Decimal, Encoding, FieldForm, Marker, Number, NumberType, Part,
    PointAddress, RegisterByte, Sign, Table, TimeField, TimeLayout, UtcOffset, WordOrder,
};

mod codecs;
mod datum;
mod laws;
mod part;
mod refused;
mod text;

/// The address of the points here.
const START: u16 = 100;

fn point(table: Table, codec: Codec) -> PointSpec {
    test_spec::point(table, START, codec, 1000)
}

fn write(codec: Codec, value: Value) -> Result<Encoded, NotEncoded> {
    encode(&point(Table::HoldingRegister, codec), &value)
}

/// Returns registers from the point's address on, and the value.
fn words(codec: Codec, value: Value) -> Result<(Vec<(u16, u16)>, Value), NotEncoded> {
    let encoded = write(codec, value)?;
    match encoded.content {
        WriteContent::Registers { start, words } => {
            assert_eq!(start, START);
            let words = words.iter().map(|w| (w.bits, w.mask)).collect();
            Ok((words, encoded.value))
        }
        WriteContent::Coil(_) | WriteContent::Datum(_) | WriteContent::Value(_) => {
            panic!("{encoded:?}")
        }
    }
}

/// Returns whole registers from the point's address on.
fn whole(codec: Codec, value: Value) -> Result<Vec<u16>, NotEncoded> {
    let (words, _) = words(codec, value)?;
    assert!(
        words.iter().all(|(_, mask)| *mask == u16::MAX),
        "{words:x?}"
    );
    Ok(words.into_iter().map(|(bits, _)| bits).collect())
}

const fn decimal(digits: i128, places: i16) -> Decimal {
    Decimal { digits, places }
}

fn numeric(kind: Number, words: WordOrder, bytes: ByteOrder, scale: Decimal) -> Codec {
    Codec::Number {
        kind,
        words,
        bytes,
        scale,
        offset: Decimal::ZERO,
    }
}

fn plain(kind: Number) -> Codec {
    numeric(kind, WordOrder::High, ByteOrder::High, Decimal::ONE)
}

fn measure(kind: Number, more: impl FnOnce(&mut Measure)) -> Codec {
    let mut measure = Measure::of(kind);
    more(&mut measure);
    Codec::Measure(Box::new(measure))
}

fn texts(registers: u16, encoding: Encoding) -> Codec {
    Codec::Text {
        registers,
        bytes: ByteOrder::High,
        encoding,
    }
}

fn text(s: &str) -> Value {
    Value::Text(s.into())
}

#[test]
fn states_are_written_to_coils_and_to_bits() {
    for (value, on) in [
        (Value::Bool(true), true),
        (Value::Bool(false), false),
        (Value::Int(1), true),
        (Value::UInt(0), false),
        (Value::Float(1.0), true),
        (Value::Float(-0.0), false),
    ] {
        let coil = encode(&point(Table::Coil, Codec::Bool), &value);
        let expected = Encoded {
            content: WriteContent::Coil(on),
            value: Value::Bool(on),
        };
        assert_eq!(coil, Ok(expected));
        let bit = words(Codec::Bit(3), value);
        let bits = if on { 8 } else { 0 };
        assert_eq!(bit, Ok((vec![(bits, 8)], Value::Bool(on))));
    }
    for value in [Value::Int(2), Value::Int(-1), Value::Float(0.5), text("1")] {
        let coil = encode(&point(Table::Coil, Codec::Bool), &value);
        assert_eq!(coil, Err(NotEncoded::NoState));
        assert_eq!(write(Codec::Bit(3), value), Err(NotEncoded::NoState));
    }
}

#[test]
fn every_kind_in_its_plain_order() {
    for (kind, value, registers) in [
        (Number::U16, Value::UInt(65_535), &[0xFFFF][..]),
        (Number::I16, Value::Int(-32_768), &[0x8000]),
        (Number::U32, Value::UInt(0x1234_5678), &[0x1234, 0x5678]),
        (Number::I32, Value::Int(-2), &[0xFFFF, 0xFFFE]),
        (Number::U48, Value::Int(0x1_0002_0003), &[1, 2, 3]),
        (Number::I48, Value::Int(-1), &[0xFFFF; 3]),
        (Number::U64, Value::UInt(u64::MAX), &[0xFFFF; 4]),
        (Number::I64, Value::Int(i64::MIN), &[0x8000, 0, 0, 0]),
        // IEEE 754: 43668000h = 230.5, 3DCCCCCDh ≈ 0.1; 3C00h = 1, 7BFFh = 65504.
        (Number::F32, Value::Float(230.5), &[0x4366, 0x8000]),
        (Number::F32, Value::Float(0.1), &[0x3DCC, 0xCCCD]),
        (Number::F32, Value::Int(-1), &[0xBF80, 0]),
        (Number::F64, Value::Float(1.5), &[0x3FF8, 0, 0, 0]),
        (Number::F16, Value::Float(-1.0), &[0xBC00]),
        (Number::F16, Value::Int(65_504), &[0x7BFF]),
        // 2^-24 is the smallest, 2^-14 the smallest with a full fraction.
        (Number::F16, Value::Float(5.960_464_5e-8), &[0x0001]),
        (Number::F16, Value::Float(6.103_515_6e-5), &[0x0400]),
        (Number::Bcd16, Value::UInt(1234), &[0x1234]),
        (Number::Bcd32, Value::UInt(12_345_678), &[0x1234, 0x5678]),
        (Number::Bcd48, Value::UInt(42), &[0, 0, 0x42]),
        (
            Number::Bcd64,
            Value::Int(9_999_999_999_999_999),
            &[0x9999; 4],
        ),
    ] {
        assert_eq!(
            whole(plain(kind), value),
            Ok(registers.to_vec()),
            "{kind:?}"
        );
    }
}

#[test]
fn the_four_orders_of_a_wide_number() {
    use ByteOrder as B;
    use WordOrder as W;
    for (words, bytes, registers) in [
        (W::High, B::High, vec![0x0A0B, 0x0C0D]),
        (W::Low, B::High, vec![0x0C0D, 0x0A0B]),
        (W::High, B::Low, vec![0x0B0A, 0x0D0C]),
        (W::Low, B::Low, vec![0x0D0C, 0x0B0A]),
    ] {
        let codec = numeric(Number::U32, words, bytes, Decimal::ONE);
        let got = whole(codec, Value::UInt(0x0A0B_0C0D));
        assert_eq!(got, Ok(registers), "{words:?} {bytes:?}");
    }
}

#[test]
fn what_is_not_part_of_a_number_is_not_written() {
    for (codec, value, registers) in [
        (
            plain(Number::U8(RegisterByte::High)),
            0x12,
            vec![(0x1200, 0xFF00)],
        ),
        (
            plain(Number::I8(RegisterByte::Low)),
            -2,
            vec![(0x00FE, 0x00FF)],
        ),
        (
            plain(Number::Bcd8(RegisterByte::High)),
            42,
            vec![(0x4200, 0xFF00)],
        ),
        (
            plain(Number::U24),
            0x01_0203,
            vec![(0x0001, 0x00FF), (0x0203, 0xFFFF)],
        ),
        (
            plain(Number::I24),
            -2,
            vec![(0x00FF, 0x00FF), (0xFFFE, 0xFFFF)],
        ),
        (
            numeric(Number::U24, WordOrder::Low, ByteOrder::Low, Decimal::ONE),
            0x01_0203,
            vec![(0x0302, 0xFFFF), (0x0100, 0xFF00)],
        ),
        (
            measure(Number::U16, |m| m.bits = Some(Bits::Range(4, 7))),
            5,
            vec![(0x0050, 0x00F0)],
        ),
        (
            measure(Number::I16, |m| m.bits = Some(Bits::Range(4, 7))),
            -4,
            vec![(0x00C0, 0x00F0)],
        ),
        (
            measure(Number::U16, |m| m.bits = Some(Bits::Mask(0x0FF0))),
            0x0BC0,
            vec![(0x0BC0, 0x0FF0)],
        ),
        (
            measure(Number::U8(RegisterByte::High), |m| {
                m.bits = Some(Bits::Range(4, 7));
                m.bytes = ByteOrder::Low;
            }),
            0xA,
            vec![(0x00A0, 0x00F0)],
        ),
    ] {
        let got = words(codec.clone(), Value::Int(value)).map(|(words, _)| words);
        assert_eq!(got, Ok(registers), "{codec:?}");
    }
}

#[test]
fn scaling_is_exact_and_what_is_between_two_steps_is_rounded() {
    let tenths = |kind| numeric(kind, WordOrder::High, ByteOrder::High, decimal(1, 1));
    for (value, register, read) in [
        (Value::Float(230.5), 2305, 230.5),
        (Value::Float(0.3), 3, 0.3),
        (Value::Int(25), 250, 25.0),
        (Value::Float(21.37), 214, 21.4),
        // A half is rounded away from zero, also the half that a float misses by a little.
        (Value::Float(0.25), 3, 0.3),
        (Value::Float(1.15), 12, 1.2),
        (Value::Float(-0.04), 0, 0.0),
        (Value::Float(-0.25), 0xFFFD, -0.3),
        (Value::Float(3276.74), 32_767, 3276.7),
    ] {
        let got = words(tenths(Number::I16), value.clone());
        let expected = (vec![(register, u16::MAX)], Value::Float(read));
        assert_eq!(got, Ok(expected), "{value:?}");
    }
    let celsius = Codec::Number {
        kind: Number::U16,
        words: WordOrder::High,
        bytes: ByteOrder::High,
        scale: decimal(1, 1),
        offset: decimal(-40, 0),
    };
    assert_eq!(whole(celsius, Value::Float(-37.1)), Ok(vec![29]));
    let falling = numeric(
        Number::U16,
        WordOrder::High,
        ByteOrder::High,
        decimal(-5, 1),
    );
    assert_eq!(whole(falling, Value::Int(-10)), Ok(vec![20]));
    let whole_numbers = plain(Number::U16);
    assert_eq!(whole(whole_numbers, Value::Float(5.4)), Ok(vec![5]));
    // A counter beyond 2^53 keeps its last digit.
    let doubled = numeric(Number::U64, WordOrder::High, ByteOrder::High, decimal(2, 0));
    let value = Value::Int(((1 << 53) + 1) * 2);
    assert_eq!(whole(doubled, value), Ok(vec![0x0020, 0, 0, 1]));
}

/// A map with 64 bits and a scale of 6.781694e-11: thousands of raw numbers are one double.
#[test]
fn a_scale_finer_than_a_double_is_written_back_all_the_same() {
    let harmonic = numeric(
        Number::I64,
        WordOrder::High,
        ByteOrder::High,
        decimal(6_781_694, 17),
    );
    for value in [625_500_868.021_058_1, 67.81694, -20.345082e-11] {
        let encoded = write(harmonic.clone(), Value::Float(value)).unwrap();
        assert_eq!(encoded.value, Value::Float(value));
    }
}

#[test]
fn what_the_registers_cannot_hold_is_refused_with_their_limits() {
    let fits = |least: &str, most: &str| NotEncoded::DoesNotFit {
        least: least.into(),
        most: most.into(),
    };
    let tenths = numeric(Number::I16, WordOrder::High, ByteOrder::High, decimal(1, 1));
    let falling = numeric(
        Number::U8(RegisterByte::Low),
        WordOrder::High,
        ByteOrder::High,
        decimal(-1, 0),
    );
    let top = measure(Number::U16, |m| m.sign = Some(Sign::HighestBit));
    let flags = measure(Number::U16, |m| m.bits = Some(Bits::Mask(0b1010)));
    for (codec, value, refusal) in [
        (plain(Number::U16), Value::Int(-1), fits("0", "65535")),
        (
            plain(Number::U16),
            Value::Float(65_535.5),
            fits("0", "65535"),
        ),
        (
            plain(Number::I8(RegisterByte::Low)),
            Value::Int(128),
            fits("-128", "127"),
        ),
        (plain(Number::Bcd16), Value::Int(10_000), fits("0", "9999")),
        (
            plain(Number::U64),
            Value::Float(2e19),
            fits("0", "18446744073709551615"),
        ),
        (tenths, Value::Float(3276.75), fits("-3276.8", "3276.7")),
        (falling, Value::Int(1), fits("-255", "0")),
        (top, Value::Int(-32_768), fits("-32767", "32767")),
        // 5 is between 2 and 8, and no rounding of either.
        (flags, Value::Int(5), fits("0", "10")),
        (
            plain(Number::F16),
            Value::Int(65_520),
            fits("-65504", "65504"),
        ),
        (
            plain(Number::F64),
            Value::Float(f64::INFINITY),
            NotEncoded::NoNumber,
        ),
        (
            plain(Number::U16),
            Value::Float(f64::NAN),
            NotEncoded::NoNumber,
        ),
        (plain(Number::U16), Value::Bool(true), NotEncoded::NoNumber),
        (plain(Number::U16), text("5"), NotEncoded::NoNumber),
    ] {
        assert_eq!(write(codec.clone(), value), Err(refusal), "{codec:?}");
    }
    let single = write(plain(Number::F32), Value::Float(1e39));
    assert!(
        matches!(single, Err(NotEncoded::DoesNotFit { .. })),
        "{single:?}"
    );
}

#[test]
fn what_would_be_no_value_in_the_device_is_not_written() {
    let marked = measure(Number::U16, |m| m.invalid = vec![Marker::Bits(0xFFFF)]);
    assert_eq!(
        write(marked.clone(), Value::Int(65_535)),
        Err(NotEncoded::NoValue(NoValueReason::Marked))
    );
    assert_eq!(whole(marked, Value::Int(65_534)), Ok(vec![65_534]));
    let (min, max) = (Some(decimal(-40, 0)), Some(decimal(1255, 1)));
    let limited = measure(Number::I16, |m| {
        m.scale = decimal(5, 1);
        (m.min, m.max) = (min, max);
    });
    for (value, register) in [
        (-40.0, Some(-80i16)),
        (125.5, Some(251)),
        (125.3, Some(251)),
    ] {
        let got = whole(limited.clone(), Value::Float(value)).ok();
        assert_eq!(got, register.map(|n| vec![n as u16]), "{value}");
    }
    for value in [-40.01, 125.6, 1e9] {
        let got = write(limited.clone(), Value::Float(value));
        assert_eq!(got, Err(NotEncoded::OutOfRange { min, max }), "{value}");
    }
    let coarse = measure(Number::I16, |m| {
        m.scale = decimal(10, 0);
        m.max = Some(decimal(98, 0));
    });
    let (min, max) = (None, Some(decimal(98, 0)));
    let got = write(coarse, Value::Int(97));
    assert_eq!(
        got,
        Err(NotEncoded::OutOfRange { min, max }),
        "100 is nearest"
    );
    let states = measure(Number::I16, |m| {
        m.states = Some([(-1, "fault".into()), (1, "on".into())].into());
    });
    assert_eq!(whole(states.clone(), Value::Float(-1.0)), Ok(vec![0xFFFF]));
    let known = vec![-1, 1];
    for value in [Value::Int(2), Value::Float(1.2)] {
        let known = known.clone();
        assert_eq!(
            write(states.clone(), value),
            Err(NotEncoded::UnknownState { known })
        );
    }
}

#[test]
fn a_sign_is_written_where_it_stands() {
    let top = |kind| measure(kind, |m| m.sign = Some(Sign::HighestBit));
    for (codec, value, register) in [
        (top(Number::U16), -5, 0x8005),
        (top(Number::I16), -5, 0x8005),
        (top(Number::U16), 5, 0x0005),
        (top(Number::Bcd16), -1234, 0x9234),
        (top(Number::Bcd16), 7999, 0x7999),
    ] {
        assert_eq!(
            whole(codec, Value::Int(value)),
            Ok(vec![register]),
            "{value}"
        );
    }
    let field = measure(Number::U16, |m| {
        m.sign = Some(Sign::HighestBit);
        m.bits = Some(Bits::Range(4, 7));
    });
    let got = words(field, Value::Int(-3));
    assert_eq!(got, Ok((vec![(0x00B0, 0x00F0)], Value::Int(-3))));
    let from = |at, mask, positive, negative| {
        measure(Number::U16, |m| {
            m.sign = Some(Sign::Register {
                at,
                mask,
                positive,
                negative,
            });
            m.scale = decimal(1, 1);
            m.parts[0].at = 1;
        })
    };
    let flag = from(0, u16::MAX, 0, 1);
    assert_eq!(whole(flag.clone(), Value::Float(-230.5)), Ok(vec![1, 2305]));
    assert_eq!(whole(flag, Value::Int(0)), Ok(vec![0, 0]));
    // The register between is read, and written as it was.
    let words = vec![(2305, u16::MAX), (0, 0), (8, 8)];
    let expected = Encoded {
        content: WriteContent::Registers {
            start: START + 1,
            words: words
                .into_iter()
                .map(|(bits, mask)| MaskedWord { bits, mask })
                .collect(),
        },
        value: Value::Float(-230.5),
    };
    assert_eq!(write(from(3, 8, 0, 8), Value::Float(-230.5)), Ok(expected));
}

fn part(at: u16, kind: Number, weight: Decimal) -> Part {
    Part { at, kind, weight }
}

fn sum(parts: &[Part]) -> Codec {
    measure(Number::U16, |m| m.parts = parts.to_vec())
}

#[test]
fn a_sum_is_divided_among_its_parts() {
    let counter = sum(&[
        part(0, Number::U16, decimal(10_000, 0)),
        part(1, Number::U16, Decimal::ONE),
    ]);
    assert_eq!(whole(counter, Value::Int(1_234_567)), Ok(vec![123, 4567]));
    let split = sum(&[
        part(0, Number::I16, Decimal::ONE),
        part(2, Number::Bcd8(RegisterByte::High), decimal(1, 2)),
    ]);
    for (value, low, high) in [(12.34, 12, 0x3400), (-11.66, 0xFFF4, 0x3400), (7.0, 7, 0)] {
        let got = words(split.clone(), Value::Float(value));
        let registers = vec![(low, u16::MAX), (0, 0), (high, 0xFF00)];
        assert_eq!(got, Ok((registers, Value::Float(value))));
    }
}

#[test]
fn a_number_may_be_given_as_it_is_said() {
    let said = |kind, of| measure(kind, |m| m.number_type = Some(of));
    let all = said(Number::U64, NumberType::Text);
    for value in [text("18446744073709551615"), Value::UInt(u64::MAX)] {
        assert_eq!(whole(all.clone(), value), Ok(vec![0xFFFF; 4]));
    }
    for wrong in ["", "five", "0x5", "1e9999", "-", "NaN", "1.2.3", " 1"] {
        let got = write(all.clone(), text(wrong));
        assert_eq!(got, Err(NotEncoded::NoNumber), "{wrong}");
    }
    let seconds = said(
        Number::U32,
        NumberType::Date(UtcOffset::from_minutes(480).unwrap()),
    );
    let registers = vec![0x6B01, 0xED12];
    for value in [
        text("1795259538000"),
        Value::Int(1_795_259_538_000),
        Value::Float(1_795_259_538_000.0),
        // To the nearest second.
        text("1795259537500"),
    ] {
        assert_eq!(whole(seconds.clone(), value), Ok(registers.clone()));
    }
    for value in [
        text("2026-11-22"),
        Value::Float(0.5),
        Value::Int(i64::MAX),
        Value::Bool(true),
    ] {
        assert_eq!(write(seconds.clone(), value), Err(NotEncoded::NoSuchTime));
    }
    let rounded = measure(Number::U16, |m| {
        (m.scale, m.round) = (decimal(1, 2), Some(0));
    });
    assert_eq!(whole(rounded, Value::Int(231)), Ok(vec![23_100]));
}

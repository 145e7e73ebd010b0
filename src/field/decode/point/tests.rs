use proptest::prelude::*;

use super::*;
use crate::field::test_spec::{NUMBERS, point};
use crate::spec::{
    Bits, DataType, Decimal, Marker, Measure, Number, Part, RegisterByte, Sign, Table, WordOrder,
};

fn numeric(
    kind: Number,
    words: WordOrder,
    bytes: ByteOrder,
    scale: (i128, i16),
    offset: (i128, i16),
) -> Codec {
    let decimal = |(digits, places)| Decimal { digits, places };
    Codec::Number {
        kind,
        words,
        bytes,
        scale: decimal(scale),
        offset: decimal(offset),
    }
}

fn plain(kind: Number) -> Codec {
    numeric(kind, WordOrder::High, ByteOrder::High, (1, 0), (0, 0))
}

/// Returns entries from this one on; how many says the reply.
fn entries(table: Table, start: u16) -> BlockAddress {
    BlockAddress::Modbus(EntryRange {
        table,
        start,
        count: 1,
    })
}

fn read(codec: Codec, registers: &[u16]) -> Result<Value, NoValueReason> {
    let point = point(Table::HoldingRegister, 100, codec, 1000);
    let all = entries(Table::HoldingRegister, 100);
    decode(&point, &all, &Data::Registers(registers.to_vec()))
}

#[test]
fn every_kind_in_its_plain_order() {
    for (kind, registers, value) in [
        (Number::U16, &[0xFFFF][..], Value::UInt(65535)),
        (Number::I16, &[0xFFFF][..], Value::Int(-1)),
        (Number::I16, &[0x8000][..], Value::Int(-32768)),
        (Number::U32, &[0x1234, 0x5678][..], Value::UInt(0x1234_5678)),
        (
            Number::I32,
            &[0x8000, 0][..],
            Value::Int(i64::from(i32::MIN)),
        ),
        (
            Number::U64,
            &[0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF][..],
            Value::UInt(u64::MAX),
        ),
        (Number::I64, &[0x8000, 0, 0, 0][..], Value::Int(i64::MIN)),
        // IEEE 754: 3F800000h = 1, 43668000h = 230.5, 3DCCCCCDh ≈ 0.1.
        (Number::F32, &[0x3F80, 0][..], Value::Float(1.0)),
        (Number::F32, &[0x4366, 0x8000][..], Value::Float(230.5)),
        (Number::F32, &[0x3DCC, 0xCCCD][..], Value::Float(0.1)),
        (Number::F64, &[0x3FF8, 0, 0, 0][..], Value::Float(1.5)),
    ] {
        assert_eq!(read(plain(kind), registers), Ok(value), "{kind:?}");
    }
}

#[test]
fn the_four_orders_of_a_wide_number() {
    use ByteOrder as B;
    use WordOrder as W;
    for (words, bytes, registers) in [
        (W::High, B::High, [0x0A0B, 0x0C0D]),
        (W::Low, B::High, [0x0C0D, 0x0A0B]),
        (W::High, B::Low, [0x0B0A, 0x0D0C]),
        (W::Low, B::Low, [0x0D0C, 0x0B0A]),
    ] {
        let codec = numeric(Number::U32, words, bytes, (1, 0), (0, 0));
        assert_eq!(
            read(codec, &registers),
            Ok(Value::UInt(0x0A0B_0C0D)),
            "{words:?} {bytes:?}"
        );
    }
    let codec = numeric(Number::U64, W::Low, B::High, (1, 0), (0, 0));
    assert_eq!(
        read(codec, &[4, 3, 2, 1]),
        Ok(Value::UInt(0x0001_0002_0003_0004))
    );
    let codec = numeric(Number::U16, W::High, B::Low, (1, 0), (0, 0));
    assert_eq!(read(codec, &[0x0100]), Ok(Value::UInt(1)));
}

#[test]
fn scaling_is_exact() {
    let scaled = |kind, scale, offset, registers: &[u16]| {
        read(
            numeric(kind, WordOrder::High, ByteOrder::High, scale, offset),
            registers,
        )
        .unwrap()
    };
    for (raw, scale, offset, value) in [
        (2305, (1, 1), (0, 0), Value::Float(230.5)),
        (3, (1, 1), (0, 0), Value::Float(0.3)),
        (7, (1, 2), (0, 0), Value::Float(0.07)),
        (29, (1, 1), (-40, 0), Value::Float(-37.1)),
        (1, (1, 3), (2, 1), Value::Float(0.201)),
        (10, (1, 1), (0, 0), Value::Float(1.0)),
        (5, (10, 0), (0, 0), Value::Int(50)),
        (5, (10, 1), (0, 0), Value::UInt(5)),
        (5, (1, 0), (-40, 0), Value::Int(-35)),
    ] {
        assert_eq!(
            scaled(Number::U16, scale, offset, &[raw]),
            value,
            "{raw} × {scale:?} + {offset:?}"
        );
    }
    // A counter beyond 2^53 keeps its last digit.
    assert_eq!(
        scaled(Number::U64, (2, 0), (1, 0), &[0x0020, 0, 0, 1]),
        Value::Int(((1 << 53) + 1) * 2 + 1)
    );
    assert_eq!(
        scaled(Number::U64, (1, 0), (-1, 0), &[0xFFFF; 4]),
        Value::UInt(u64::MAX - 1)
    );
    // A value that leaves 128 bits is still the nearest float.
    let Value::Float(x) = scaled(
        Number::U64,
        (i128::from(i64::MAX), 0),
        (1, 15),
        &[0xFFFF; 4],
    ) else {
        panic!("whole");
    };
    assert!((x / 1.701_411_834_604_692e38 - 1.0).abs() < 1e-12, "{x}");
}

#[test]
fn what_is_no_number_is_refused() {
    for (kind, registers, why) in [
        (Number::F32, &[0x7FC0, 0][..], NoValueReason::NotANumber),
        (
            Number::F32,
            &[0xFFFF, 0xFFFF][..],
            NoValueReason::NotANumber,
        ),
        (Number::F32, &[0x7F80, 0][..], NoValueReason::Infinite),
        (Number::F32, &[0xFF80, 0][..], NoValueReason::Infinite),
        (
            Number::F64,
            &[0x7FF8, 0, 0, 0][..],
            NoValueReason::NotANumber,
        ),
        (Number::F64, &[0x7FF0, 0, 0, 0][..], NoValueReason::Infinite),
    ] {
        assert_eq!(read(plain(kind), registers), Err(why), "{registers:x?}");
    }
    let huge = numeric(
        Number::F64,
        WordOrder::High,
        ByteOrder::High,
        (1000, 0),
        (0, 0),
    );
    assert_eq!(
        read(huge, &[0x7FEF, 0xFFFF, 0xFFFF, 0xFFFF]),
        Err(NoValueReason::Infinite)
    );
}

#[test]
fn bits_and_states() {
    assert_eq!(read(Codec::Bit(0), &[1]), Ok(Value::Bool(true)));
    assert_eq!(read(Codec::Bit(15), &[0x8000]), Ok(Value::Bool(true)));
    assert_eq!(read(Codec::Bit(15), &[0x7FFF]), Ok(Value::Bool(false)));
    assert_eq!(read(Codec::Bit(16), &[0xFFFF]), Ok(Value::Bool(false)));
    let coil = point(Table::Coil, 7, Codec::Bool, 1000);
    let bits = Data::Bits(vec![false, true]);
    assert_eq!(
        decode(&coil, &entries(Table::Coil, 6), &bits),
        Ok(Value::Bool(true))
    );
    assert_eq!(
        decode(&coil, &entries(Table::Coil, 8), &bits),
        Err(NoValueReason::NotCovered)
    );
    assert_eq!(
        decode(&coil, &entries(Table::Coil, 5), &bits),
        Err(NoValueReason::NotCovered)
    );
}

#[test]
fn text_ends_at_nul_or_ffh_and_loses_trailing_blanks() {
    let text = |bytes| Codec::Text {
        registers: 3,
        bytes,
        encoding: Default::default(),
    };
    let said = |s: &str| Ok(Value::Text(s.into()));
    assert_eq!(
        read(text(ByteOrder::High), &[0x4142, 0x4320, 0x2020]),
        said("ABC")
    );
    assert_eq!(
        read(text(ByteOrder::Low), &[0x4241, 0x0043, 0x5A5A]),
        said("ABC")
    );
    assert_eq!(read(text(ByteOrder::High), &[0, 0x4141, 0x4141]), said(""));
    // Memory that was never written.
    assert_eq!(read(text(ByteOrder::High), &[0xFFFF; 3]), said(""));
    assert_eq!(
        read(text(ByteOrder::High), &[0x4142, 0xFFFF, 0x4343]),
        said("AB")
    );
    assert_eq!(
        read(text(ByteOrder::High), &[0x41C3, 0x2843, 0]),
        Err(NoValueReason::NotText)
    );
    let letters = |half| Codec::Letters {
        registers: 4,
        half,
        encoding: Default::default(),
    };
    let registers = [0x4111, 0x4222, 0x2033, 0x0044];
    assert_eq!(read(letters(RegisterByte::High), &registers), said("AB"));
    assert_eq!(
        read(
            letters(RegisterByte::Low),
            &[0x1141, 0x2242, 0x3320, 0xFF00]
        ),
        said("AB")
    );
}

/// Returns a codec with what only a [`Measure`] can hold, over one number of this kind.
fn measure(kind: Number, more: impl FnOnce(&mut Measure)) -> Codec {
    let mut measure = Measure::of(kind);
    more(&mut measure);
    Codec::Measure(Box::new(measure))
}

const fn decimal(digits: i128, places: i16) -> Decimal {
    Decimal { digits, places }
}

#[test]
fn halves_and_odd_sizes() {
    for (kind, registers, value) in [
        (
            Number::U8(RegisterByte::High),
            &[0xF012][..],
            Value::UInt(0xF0),
        ),
        (
            Number::U8(RegisterByte::Low),
            &[0xF012][..],
            Value::UInt(0x12),
        ),
        (
            Number::I8(RegisterByte::High),
            &[0xF012][..],
            Value::Int(-16),
        ),
        (
            Number::I8(RegisterByte::Low),
            &[0x0080][..],
            Value::Int(-128),
        ),
        // The fourth byte is not part of the number.
        (Number::U24, &[0xAB01, 0x0203][..], Value::UInt(0x01_0203)),
        (Number::I24, &[0x00FF, 0xFFFE][..], Value::Int(-2)),
        (Number::I24, &[0x007F, 0xFFFF][..], Value::Int(0x7F_FFFF)),
        (Number::U48, &[1, 2, 3][..], Value::UInt(0x0001_0002_0003)),
        (Number::I48, &[0xFFFF, 0xFFFF, 0xFFFF][..], Value::Int(-1)),
        (Number::I48, &[0x8000, 0, 0][..], Value::Int(-(1 << 47))),
    ] {
        assert_eq!(read(plain(kind), registers), Ok(value), "{kind:?}");
    }
}

#[test]
fn decimal_digits_are_read_as_people_read_them() {
    for (kind, registers, value) in [
        (Number::Bcd8(RegisterByte::High), &[0x4299][..], Ok(42)),
        (Number::Bcd8(RegisterByte::Low), &[0x4299][..], Ok(99)),
        (Number::Bcd16, &[0x1234][..], Ok(1234)),
        (Number::Bcd24, &[0x0012, 0x3456][..], Ok(123_456)),
        (Number::Bcd24, &[0xFF12, 0x3456][..], Ok(123_456)),
        (Number::Bcd32, &[0x1234, 0x5678][..], Ok(12_345_678)),
        (
            Number::Bcd48,
            &[0x1234, 0x5678, 0x9012][..],
            Ok(123_456_789_012),
        ),
        (Number::Bcd64, &[0x9999; 4][..], Ok(9_999_999_999_999_999)),
        (Number::Bcd16, &[0x12A4][..], Err(NoValueReason::NotDecimal)),
        (
            Number::Bcd32,
            &[0xFFFF, 0xFFFF][..],
            Err(NoValueReason::NotDecimal),
        ),
    ] {
        let expected = value.map(Value::UInt);
        assert_eq!(read(plain(kind), registers), expected, "{kind:?}");
    }
    let codec = numeric(
        Number::Bcd32,
        WordOrder::Low,
        ByteOrder::High,
        (1, 2),
        (0, 0),
    );
    assert_eq!(read(codec, &[0x5678, 0x1234]), Ok(Value::Float(123_456.78)));
}

#[test]
fn bits_are_moved_down_and_masks_stay_in_place() {
    let range = |kind, first, last| measure(kind, |m| m.bits = Some(Bits::Range(first, last)));
    for (codec, register, value) in [
        (range(Number::U16, 4, 7), 0xABCD, Value::UInt(0xC)),
        (range(Number::U16, 0, 15), 0xABCD, Value::UInt(0xABCD)),
        (range(Number::U16, 15, 15), 0x8000, Value::UInt(1)),
        // The last bit of a signed field is its sign.
        (range(Number::I16, 4, 7), 0xABCD, Value::Int(-4)),
        (range(Number::I16, 4, 7), 0xAB7D, Value::Int(7)),
        (
            range(Number::U8(RegisterByte::High), 4, 7),
            0xABCD,
            Value::UInt(0xA),
        ),
        (
            measure(Number::U16, |m| m.bits = Some(Bits::Mask(0x0FF0))),
            0xABCD,
            Value::UInt(0x0BC0),
        ),
    ] {
        assert_eq!(read(codec.clone(), &[register]), Ok(value), "{codec:?}");
    }
}

#[test]
fn a_marker_is_no_value() {
    let marked = |kind, markers: &[Marker]| {
        measure(kind, |m| {
            m.invalid = markers.to_vec();
            m.scale = decimal(1, 1);
        })
    };
    use Marker::{Bits as B, Number as N};
    for (kind, marker, registers) in [
        // SunSpec: "not implemented" of int16, uint16, int32.
        (Number::I16, B(0x8000), &[0x8000][..]),
        (Number::U16, B(0xFFFF), &[0xFFFF][..]),
        (Number::I32, B(0x8000_0000), &[0x8000, 0][..]),
        (Number::I16, N(decimal(-1, 0)), &[0xFFFF][..]),
        (Number::F32, N(decimal(-9999, 0)), &[0xC61C, 0x3C00][..]),
        (Number::F32, N(decimal(1, 1)), &[0x3DCC, 0xCCCD][..]),
        (Number::F32, B(0x7F7F_FFFF), &[0x7F7F, 0xFFFF][..]),
        (Number::F32, N(decimal(0, 0)), &[0x8000, 0][..]),
        // A marker that has no decimal digits is a marker all the same.
        (Number::Bcd16, B(0xFFFF), &[0xFFFF][..]),
        (Number::Bcd16, N(decimal(9999, 0)), &[0x9999][..]),
    ] {
        let codec = marked(kind, &[N(decimal(77, 0)), marker]);
        assert_eq!(
            read(codec, registers),
            Err(NoValueReason::Marked),
            "{marker:?}"
        );
    }
    let codec = marked(Number::I16, &[N(decimal(77, 0))]);
    assert_eq!(
        read(codec, &[770]),
        Ok(Value::Float(77.0)),
        "raw, not scaled"
    );
}

#[test]
fn limits_are_part_of_what_is_allowed() {
    let limited = measure(Number::I16, |m| {
        m.scale = decimal(1, 1);
        m.min = Some(decimal(-400, 1));
        m.max = Some(decimal(1255, 1));
    });
    for (raw, value) in [
        (-400i16, Ok(Value::Float(-40.0))),
        (-401, Err(NoValueReason::OutOfRange)),
        (1255, Ok(Value::Float(125.5))),
        (1256, Err(NoValueReason::OutOfRange)),
    ] {
        assert_eq!(read(limited.clone(), &[raw as u16]), value, "{raw}");
    }
    let float = measure(Number::F64, |m| m.max = Some(decimal(1, 1)));
    assert_eq!(
        read(float, &[0x3FB9, 0x9999, 0x9999, 0x999A]),
        Ok(Value::Float(0.1))
    );
}

#[test]
fn rounding_is_that_of_people_and_to_no_places_gives_a_whole_number() {
    let rounded = |kind, scale, places| {
        measure(kind, |m| {
            m.scale = scale;
            m.round = Some(places);
        })
    };
    for (raw, scale, places, value) in [
        (2305i16, decimal(1, 1), 0, Value::Int(231)),
        (2304, decimal(1, 1), 0, Value::Int(230)),
        (-2305, decimal(1, 1), 0, Value::Int(-231)),
        (2345, decimal(1, 2), 1, Value::Float(23.5)),
        (-2345, decimal(1, 2), 1, Value::Float(-23.5)),
        (-1, decimal(1, 3), 1, Value::Float(0.0)),
        (7, decimal(1, 0), 2, Value::Float(7.0)),
        (1, decimal(1, 15), 9, Value::Float(0.0)),
    ] {
        let codec = rounded(Number::I16, scale, places);
        assert_eq!(read(codec, &[raw as u16]), Ok(value), "{raw} {places}");
    }
    // 230.46 as a single.
    for (places, value) in [(0, Value::Int(230)), (1, Value::Float(230.5))] {
        let codec = rounded(Number::F32, Decimal::ONE, places);
        assert_eq!(read(codec, &[0x4366, 0x75C3]), Ok(value), "{places}");
    }
    for (x, places, value) in [
        (1.005, 2, Value::Float(1.01)),
        (-0.04, 1, Value::Float(0.0)),
        (1e-300, 9, Value::Float(0.0)),
        (-2.5, 0, Value::Int(-3)),
        (
            9.007_199_254_740_993e18,
            0,
            Value::Int(9_007_199_254_740_993_000),
        ),
    ] {
        let bits: u64 = f64::to_bits(x);
        let registers = [48, 32, 16, 0].map(|shift| (bits >> shift) as u16);
        let codec = rounded(Number::F64, Decimal::ONE, places);
        assert_eq!(read(codec, &registers), Ok(value), "{x} {places}");
    }
    // Beyond what a whole number of 64 bits holds, there is no value.
    let huge = rounded(Number::F32, Decimal::ONE, 0);
    assert_eq!(read(huge, &[0x7F7F, 0xFFFF]), Err(NoValueReason::TooLarge));
}

#[test]
fn a_state_is_its_number_and_an_unknown_one_is_no_value() {
    let states = measure(Number::I16, |m| {
        m.states = Some([(-1, "fault".into()), (1, "on".into())].into());
    });
    assert_eq!(read(states.clone(), &[1]), Ok(Value::Int(1)));
    assert_eq!(read(states.clone(), &[0xFFFF]), Ok(Value::Int(-1)));
    assert_eq!(read(states, &[2]), Err(NoValueReason::UnknownState));
}

#[test]
fn the_power_of_ten_is_the_one_of_the_same_reply() {
    // SunSpec inverter model 103: W at 12, W_SF at 13.
    let watts = measure(Number::I16, |m| m.power = Some(1));
    for (registers, value) in [
        ([2305, 0], Ok(Value::Float(2305.0))),
        ([2305, 0xFFFF], Ok(Value::Float(230.5))),
        ([2305, 2], Ok(Value::Float(230_500.0))),
        ([1, 0xFFF6], Ok(Value::Float(1e-10))),
        ([1, 10], Ok(Value::Float(10_000_000_000.0))),
        ([2305, 0x8000], Err(NoValueReason::NoPower)),
        ([2305, 11], Err(NoValueReason::NoPower)),
        ([2305, 0xFFF5], Err(NoValueReason::NoPower)),
        ([2305, 0x7FFF], Err(NoValueReason::NoPower)),
    ] {
        assert_eq!(read(watts.clone(), &registers), value, "{registers:x?}");
    }
    // The factor may stand before the value.
    let before = measure(Number::I16, |m| {
        m.power = Some(0);
        m.parts[0].at = 1;
    });
    assert_eq!(read(before.clone(), &[0xFFFE, 150]), Ok(Value::Float(1.5)));
    assert_eq!(read(before, &[0xFFFE]), Err(NoValueReason::NotCovered));
}

#[test]
fn parts_add_up_exactly() {
    let part = |at, kind, digits, places| Part {
        at,
        kind,
        weight: decimal(digits, places),
    };
    let sum = |parts: &[Part]| measure(Number::U16, |m| m.parts = parts.to_vec());
    // Modulo-10000 counters: high × 10000 + low.
    let counter = sum(&[part(0, Number::U16, 10_000, 0), part(1, Number::U16, 1, 0)]);
    assert_eq!(
        read(counter.clone(), &[123, 4567]),
        Ok(Value::UInt(1_234_567))
    );
    assert_eq!(counter.width(), 2);
    // Whole part and hundredths, with something else between.
    let split = sum(&[
        part(0, Number::I16, 1, 0),
        part(2, Number::Bcd8(RegisterByte::High), 1, 2),
    ]);
    assert_eq!(
        read(split.clone(), &[12, 0xFFFF, 0x3400]),
        Ok(Value::Float(12.34))
    );
    assert_eq!(split.width(), 3);
    let spoiled = measure(Number::U16, |m| {
        m.parts = vec![part(0, Number::U16, 10_000, 0), part(1, Number::U16, 1, 0)];
        m.invalid = vec![Marker::Bits(0xFFFF)];
    });
    assert_eq!(read(spoiled, &[1, 0xFFFF]), Err(NoValueReason::Marked));
}

/// Returns any decimal that the configuration can hold.
fn decimals() -> impl Strategy<Value = Decimal> {
    let limit = 10i128.pow(34);
    let wide = (1 - limit..limit, -270i16..=330).prop_map(|(d, p)| decimal(d, p));
    let usual = (any::<i64>(), 0i16..=15).prop_map(|(d, p)| decimal(i128::from(d), p));
    prop_oneof![wide, usual]
}

fn signs() -> impl Strategy<Value = Option<Sign>> {
    let register = (0u16..9, any::<u16>(), any::<bool>()).prop_map(|(at, mask, up)| {
        let (positive, negative) = if up { (0, mask) } else { (mask, 0) };
        Sign::Register {
            at,
            mask,
            positive,
            negative,
        }
    });
    prop::option::of(prop_oneof![Just(Sign::HighestBit), register])
}

proptest! {
    #[test]
    fn a_tenth_is_the_number_people_write(raw in any::<u32>(), places in 0i16..=9) {
        let codec = numeric(Number::U32, WordOrder::High, ByteOrder::High, (1, places), (0, 0));
        let words = [(raw >> 16) as u16, raw as u16];
        // Written by hand: the digits with a point put in.
        let digits = format!("{raw:0width$}", width = places as usize + 1);
        let (int, frac) = digits.split_at(digits.len() - places as usize);
        let people: f64 = format!("{int}.{frac}0").parse().unwrap();
        let got = read(codec, &words).unwrap();
        let got = match got { Value::Float(x) => x, Value::UInt(n) => n as f64, other => panic!("{other:?}") };
        prop_assert_eq!(got, people);
    }

    #[test]
    fn no_registers_and_no_codec_make_it_panic_or_yield_a_non_number(
        words in prop::collection::vec(any::<u16>(), 0..8),
        kind in prop::sample::select(NUMBERS.to_vec()),
        low_words in any::<bool>(), low_bytes in any::<bool>(),
        scale in decimals(), offset in decimals(),
    ) {
        let codec = numeric(
            kind,
            if low_words { WordOrder::Low } else { WordOrder::High },
            if low_bytes { ByteOrder::Low } else { ByteOrder::High },
            (scale.digits, scale.places), (offset.digits, offset.places),
        );
        let of = codec.data_type();
        match read(codec, &words) {
            Ok(Value::Float(x)) => prop_assert!(x.is_finite() && of == DataType::Double),
            Ok(Value::Int(_) | Value::UInt(_)) => prop_assert_eq!(of, DataType::Int),
            Ok(other) => panic!("{other:?}"),
            Err(_) => {}
        }
    }

    #[test]
    fn no_registers_and_no_measure_make_it_panic_or_yield_what_it_may_not(
        words in prop::collection::vec(any::<u16>(), 0..12),
        parts in prop::collection::vec((0u16..8, 0..NUMBERS.len(), decimals()), 1..4),
        power in prop::option::of(0u16..12),
        round in prop::option::of(0u8..=9),
        sign in signs(),
        limits in (any::<i64>(), any::<i64>(), 0i16..=15),
        bits in prop::option::of((0u8..=70, 0u8..=70)),
        scale in decimals(), offset in decimals(),
    ) {
        let (low, high) = (limits.0.min(limits.1), limits.0.max(limits.1));
        let codec = measure(Number::U16, |m| {
            m.parts = parts.iter().map(|&(at, kind, weight)| Part {
                at, kind: NUMBERS[kind], weight,
            }).collect();
            m.power = power;
            m.bits = bits.map(|(first, last)| Bits::Range(first, last));
            m.scale = scale;
            m.offset = offset;
            m.min = Some(decimal(i128::from(low), limits.2));
            m.max = Some(decimal(i128::from(high), limits.2));
            m.round = round;
            m.sign = sign;
        });
        let of = codec.data_type();
        let ten = 10f64.powi(i32::from(limits.2));
        let within = |x: f64| (low as f64 / ten..=high as f64 / ten).contains(&x);
        match read(codec, &words) {
            Ok(Value::Float(x)) => {
                prop_assert!(x.is_finite() && within(x), "{x}");
                prop_assert_eq!(of, DataType::Double);
            }
            Ok(Value::Int(n)) => prop_assert!(within(n as f64) && of == DataType::Int, "{n}"),
            Ok(Value::UInt(n)) => prop_assert!(within(n as f64) && of == DataType::Int, "{n}"),
            Ok(other) => panic!("{other:?}"),
            Err(_) => {}
        }
    }
}

mod dates;
mod types;

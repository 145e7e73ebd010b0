use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::spec::Table;

fn numeric(
    kind: Number,
    words: WordOrder,
    bytes: ByteOrder,
    scale: (i64, u8),
    offset: (i64, u8),
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

fn read(codec: Codec, registers: &[u16]) -> Result<Value, Refusal> {
    let point = PointSpec {
        id: "x".into(),
        table: Table::HoldingRegister,
        address: 100,
        codec,
        interval: Duration::from_secs(1),
    };
    decode(&point, 100, &Data::Registers(registers.to_vec()))
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
    // And what leaves 128 bits is still the nearest float.
    let Value::Float(x) = scaled(Number::U64, (i64::MAX, 0), (1, 15), &[0xFFFF; 4]) else {
        panic!("whole");
    };
    assert!((x / 1.701_411_834_604_692e38 - 1.0).abs() < 1e-12, "{x}");
}

#[test]
fn what_is_no_number_is_refused() {
    for (kind, registers, why) in [
        (Number::F32, &[0x7FC0, 0][..], Refusal::NotANumber),
        (Number::F32, &[0xFFFF, 0xFFFF][..], Refusal::NotANumber),
        (Number::F32, &[0x7F80, 0][..], Refusal::Infinite),
        (Number::F32, &[0xFF80, 0][..], Refusal::Infinite),
        (Number::F64, &[0x7FF8, 0, 0, 0][..], Refusal::NotANumber),
        (Number::F64, &[0x7FF0, 0, 0, 0][..], Refusal::Infinite),
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
        Err(Refusal::Infinite)
    );
}

#[test]
fn bits_and_states() {
    assert_eq!(read(Codec::Bit(0), &[1]), Ok(Value::Bool(true)));
    assert_eq!(read(Codec::Bit(15), &[0x8000]), Ok(Value::Bool(true)));
    assert_eq!(read(Codec::Bit(15), &[0x7FFF]), Ok(Value::Bool(false)));
    assert_eq!(read(Codec::Bit(16), &[0xFFFF]), Ok(Value::Bool(false)));
    let coil = PointSpec {
        id: "x".into(),
        table: Table::Coil,
        address: 7,
        codec: Codec::Bool,
        interval: Duration::from_secs(1),
    };
    let bits = Data::Bits(vec![false, true]);
    assert_eq!(decode(&coil, 6, &bits), Ok(Value::Bool(true)));
    assert_eq!(decode(&coil, 8, &bits), Err(Refusal::NotCovered));
    assert_eq!(decode(&coil, 5, &bits), Err(Refusal::NotCovered));
}

#[test]
fn text_ends_at_nul_and_loses_trailing_blanks() {
    let text = |bytes| Codec::Text {
        registers: 3,
        bytes,
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
    assert_eq!(
        read(text(ByteOrder::High), &[0xFFFF, 0xFFFF, 0xFFFF]),
        Err(Refusal::NotText)
    );
}

proptest! {
    #[test]
    fn a_tenth_is_the_number_people_write(raw in any::<u32>(), places in 0u8..=9) {
        let codec = numeric(Number::U32, WordOrder::High, ByteOrder::High, (1, places), (0, 0));
        let words = [(raw >> 16) as u16, raw as u16];
        // Written by hand: the digits with a point put in.
        let digits = format!("{raw:0width$}", width = usize::from(places) + 1);
        let (int, frac) = digits.split_at(digits.len() - usize::from(places));
        let people: f64 = format!("{int}.{frac}0").parse().unwrap();
        let got = read(codec, &words).unwrap();
        let got = match got { Value::Float(x) => x, Value::UInt(n) => n as f64, other => panic!("{other:?}") };
        prop_assert_eq!(got, people);
    }

    #[test]
    fn no_registers_and_no_codec_make_it_panic_or_yield_a_non_number(
        words in prop::collection::vec(any::<u16>(), 0..8),
        kind in prop::sample::select(vec![Number::U16, Number::I16, Number::U32, Number::I32, Number::U64, Number::I64, Number::F32, Number::F64]),
        low_words in any::<bool>(), low_bytes in any::<bool>(),
        scale in (any::<i64>(), 0u8..=15), offset in (any::<i64>(), 0u8..=15),
    ) {
        let codec = numeric(
            kind,
            if low_words { WordOrder::Low } else { WordOrder::High },
            if low_bytes { ByteOrder::Low } else { ByteOrder::High },
            scale, offset,
        );
        match read(codec, &words) {
            Ok(Value::Float(x)) => prop_assert!(x.is_finite()),
            Ok(Value::Int(_) | Value::UInt(_)) => {}
            Ok(other) => panic!("{other:?}"),
            Err(_) => {}
        }
    }
}

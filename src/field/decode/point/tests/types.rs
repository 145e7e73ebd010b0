//! What a value is: its type and its sign.

use super::*;
use crate::spec::{DataType, NumberType, Sign};

fn said(kind: Number, number_type: NumberType) -> Codec {
    measure(kind, |m| m.number_type = Some(number_type))
}

#[test]
fn what_can_have_a_fraction_is_a_double_also_when_it_has_none() {
    let scaled = |digits, places| {
        let one = (digits, places);
        numeric(Number::U16, WordOrder::High, ByteOrder::High, one, (0, 0))
    };
    let with = |more: fn(&mut Measure)| measure(Number::U16, more);
    for (codec, of) in [
        (plain(Number::U16), DataType::Int),
        (plain(Number::Bcd16), DataType::Int),
        (plain(Number::F16), DataType::Double),
        (scaled(1, 0), DataType::Int),
        (scaled(10, 1), DataType::Int),
        (scaled(100, 0), DataType::Int),
        (scaled(1, 1), DataType::Double),
        (scaled(25, 1), DataType::Double),
        (with(|m| m.power = Some(1)), DataType::Double),
        (with(|m| m.round = Some(1)), DataType::Double),
        (with(|m| m.round = Some(0)), DataType::Int),
        (
            with(|m| (m.power, m.round) = (Some(1), Some(0))),
            DataType::Int,
        ),
        (with(|m| m.offset = decimal(5, 1)), DataType::Double),
        (
            with(|m| m.parts[0].weight = decimal(5, 1)),
            DataType::Double,
        ),
        (with(|m| m.bits = Some(Bits::Range(0, 3))), DataType::Int),
        (said(Number::U16, NumberType::Double), DataType::Double),
        (said(Number::F16, NumberType::Int), DataType::Int),
        (Codec::Bit(0), DataType::Bool),
    ] {
        assert_eq!(codec.data_type(), of, "{codec:?}");
        for register in [0, 0x10, 0x2300, 1] {
            let value = read(codec.clone(), &[register, 0]).unwrap();
            let is = match value {
                Value::Float(_) => DataType::Double,
                Value::Int(_) | Value::UInt(_) => DataType::Int,
                Value::Bool(_) => DataType::Bool,
                Value::Text(_) => DataType::Text,
            };
            assert_eq!(is, of, "{register} {codec:?}");
        }
    }
}

#[test]
fn a_number_is_given_as_it_is_said() {
    let float = |x: f32| {
        let bits = x.to_bits();
        vec![(bits >> 16) as u16, bits as u16]
    };
    for (kind, of, registers, value) in [
        (
            Number::U16,
            NumberType::Double,
            vec![2300],
            Ok(Value::Float(2300.0)),
        ),
        (
            Number::U16,
            NumberType::Float,
            vec![2300],
            Ok(Value::Float(2300.0)),
        ),
        (
            Number::F32,
            NumberType::Int,
            float(230.5),
            Ok(Value::UInt(231)),
        ),
        (
            Number::F32,
            NumberType::Int,
            float(1e30),
            Err(NoValueReason::TooLarge),
        ),
        (
            Number::F64,
            NumberType::Float,
            vec![0x7FEF, 0xFFFF, 0xFFFF, 0xFFFF],
            Err(NoValueReason::Infinite),
        ),
        (
            Number::U64,
            NumberType::Text,
            vec![0xFFFF; 4],
            Ok(Value::Text("18446744073709551615".into())),
        ),
        (
            Number::I16,
            NumberType::Text,
            vec![0xFFFF],
            Ok(Value::Text("-1".into())),
        ),
    ] {
        assert_eq!(read(said(kind, of), &registers), value, "{kind:?} {of:?}");
    }
    let tenths = measure(Number::I16, |m| {
        m.scale = decimal(1, 2);
        m.number_type = Some(NumberType::Text);
    });
    assert_eq!(read(tenths, &[0xFFFB]), Ok(Value::Text("-0.05".into())));
}

/// A published map of a power analyser: harmonics of 64 bits, scale
/// 6.781694e-11.
#[test]
fn a_tiny_scale_is_as_exact_as_a_double() {
    let harmonic = numeric(
        Number::I64,
        WordOrder::High,
        ByteOrder::High,
        (6_781_694, 17),
        (0, 0),
    );
    let registers = |n: i64| [48, 32, 16, 0].map(|shift| (n >> shift) as u16);
    for (n, value) in [
        (1i64, 6.781694e-11),
        (1_000_000_000_000, 67.81694),
        // 9223372036854775807 × 6.781694e-11, by Python's decimal.
        (i64::MAX, 625_500_868.021_058_1),
        (-3, -20.345082e-11),
    ] {
        assert_eq!(
            read(harmonic.clone(), &registers(n)),
            Ok(Value::Float(value))
        );
    }
}

#[test]
fn a_sign_may_stand_in_the_highest_bit() {
    let signed = |kind, more: fn(&mut Measure)| {
        measure(kind, |m| {
            m.sign = Some(Sign::HighestBit);
            more(m);
        })
    };
    for (kind, registers, value) in [
        (Number::U16, &[0x8005][..], Ok(-5)),
        (Number::U16, &[0x0005][..], Ok(5)),
        (Number::U16, &[0x8000][..], Ok(0)),
        (Number::U16, &[0xFFFF][..], Ok(-32767)),
        (Number::I16, &[0x8005][..], Ok(-5)),
        (Number::U32, &[0x8000, 7][..], Ok(-7)),
        (Number::U64, &[0x8000, 0, 0, 9][..], Ok(-9)),
        (Number::U64, &[0xFFFF; 4][..], Ok(-i64::MAX)),
        (Number::U8(RegisterByte::High), &[0x83FF][..], Ok(-3)),
        (Number::Bcd16, &[0x9234][..], Ok(-1234)),
        (Number::Bcd32, &[0x8000, 0x0042][..], Ok(-42)),
        (Number::Bcd16, &[0x8A00][..], Err(NoValueReason::NotDecimal)),
    ] {
        let value = value.map(Value::Int);
        assert_eq!(
            read(signed(kind, |_| {}), registers),
            value,
            "{registers:x?}"
        );
    }
    // Of a field its own highest bit; what marks no value is signed as well.
    let field = signed(Number::U16, |m| m.bits = Some(Bits::Range(4, 7)));
    assert_eq!(read(field, &[0x00B0]), Ok(Value::Int(-3)));
    let marked = signed(Number::U16, |m| {
        m.invalid = vec![Marker::Number(decimal(-1, 0))]
    });
    assert_eq!(read(marked, &[0x8001]), Err(NoValueReason::Marked));
}

#[test]
fn a_sign_may_stand_in_another_register_of_the_same_reply() {
    let from = |sign| {
        measure(Number::U16, |m| {
            m.sign = Some(sign);
            m.scale = decimal(1, 1);
            m.parts[0].at = 1;
        })
    };
    let flag = from(Sign::Register {
        at: 0,
        mask: u16::MAX,
        positive: 0,
        negative: 1,
    });
    assert_eq!(flag.width(), 2);
    let bit = from(Sign::Register {
        at: 3,
        mask: 8,
        positive: 0,
        negative: 8,
    });
    assert_eq!(bit.width(), 4);
    for (codec, registers, value) in [
        (&flag, &[0, 2305][..], Ok(230.5)),
        (&flag, &[1, 2305][..], Ok(-230.5)),
        (&flag, &[2, 2305][..], Err(NoValueReason::NoSign)),
        (&flag, &[0xFFFF, 2305][..], Err(NoValueReason::NoSign)),
        (&bit, &[0, 2305, 0, 0xFFF7][..], Ok(230.5)),
        (&bit, &[0, 2305, 0, 0x0008][..], Ok(-230.5)),
        (&bit, &[0, 2305][..], Err(NoValueReason::NotCovered)),
    ] {
        let value = value.map(Value::Float);
        assert_eq!(read(codec.clone(), registers), value, "{registers:x?}");
    }
}

proptest! {
    #[test]
    fn a_magnitude_with_a_sign_is_read_back(n in any::<i32>(), place in 0u8..2) {
        let size = n.unsigned_abs() & 0x7FFF_FFFF;
        let n = if n < 0 { -i64::from(size) } else { i64::from(size) };
        let (sign, registers) = match place {
            0 => {
                let bits = size | u32::from(n < 0) << 31;
                (Sign::HighestBit, vec![(bits >> 16) as u16, bits as u16])
            }
            _ => (
                Sign::Register { at: 2, mask: 0x10, positive: 0x10, negative: 0 },
                vec![(size >> 16) as u16, size as u16, if n < 0 { 0xFFEF } else { 0x0010 }],
            ),
        };
        let codec = measure(Number::U32, |m| m.sign = Some(sign));
        prop_assert_eq!(read(codec, &registers), Ok(Value::Int(n)));
    }
}

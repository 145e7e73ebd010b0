//! What is not written, and what the refusal says.

use super::*;

#[test]
fn a_point_that_can_never_be_written_says_why() {
    let u16s = |parts: &[(u16, Decimal)]| {
        let parts = parts
            .iter()
            .map(|(at, weight)| part(*at, Number::U16, *weight));
        sum(&parts.collect::<Vec<_>>())
    };
    let sign = |mask, positive, negative| {
        measure(Number::U16, |m| {
            m.sign = Some(Sign::Register {
                at: 0,
                mask,
                positive,
                negative,
            });
            m.parts[0].at = 1;
        })
    };
    for (codec, why) in [
        (
            measure(Number::I16, |m| m.power = Some(1)),
            NotWritable::Power,
        ),
        (
            numeric(Number::U16, WordOrder::High, ByteOrder::High, decimal(0, 0)),
            NotWritable::ZeroFactor,
        ),
        (
            u16s(&[(0, Decimal::ONE), (1, Decimal::ZERO)]),
            NotWritable::ZeroFactor,
        ),
        (Codec::Bit(16), NotWritable::Bits),
        (
            measure(Number::U16, |m| m.bits = Some(Bits::Range(9, 16))),
            NotWritable::Bits,
        ),
        (
            measure(Number::Bcd16, |m| m.bits = Some(Bits::Range(0, 3))),
            NotWritable::Bits,
        ),
        (
            u16s(&[(0, Decimal::ONE), (0, decimal(10, 0))]),
            NotWritable::SharedBits,
        ),
        (sign(1, 0, 0), NotWritable::Sign),
        (sign(1, 0, 2), NotWritable::Sign),
        (
            measure(Number::U16, |m| {
                m.sign = Some(Sign::Register {
                    at: 0,
                    mask: 0x8000,
                    positive: 0,
                    negative: 0x8000,
                });
            }),
            NotWritable::SharedBits,
        ),
        (
            sum(&[
                part(0, Number::F32, Decimal::ONE),
                part(2, Number::U16, Decimal::ONE),
            ]),
            NotWritable::Floats,
        ),
        (
            u16s(&[(0, decimal(3, 0)), (1, decimal(2, 0))]),
            NotWritable::Weights,
        ),
        (
            u16s(&[(0, decimal(1, -30)), (1, Decimal::ONE)]),
            NotWritable::Weights,
        ),
        (
            u16s(&[(0, decimal(10, 0)), (123, Decimal::ONE)]),
            NotWritable::TooWide,
        ),
        (texts(124, Encoding::Utf8), NotWritable::TooWide),
        (Codec::Bool, NotWritable::OtherTable),
    ] {
        for value in [Value::Int(0), text(""), Value::Bool(true)] {
            let got = write(codec.clone(), value);
            assert_eq!(got, Err(NotEncoded::NotWritable(why)), "{codec:?}");
        }
    }
    for (table, codec, why) in [
        (Table::InputRegister, plain(Number::U16), NotWritable::Table),
        (Table::DiscreteInput, Codec::Bool, NotWritable::Table),
        (Table::Coil, plain(Number::U16), NotWritable::OtherTable),
    ] {
        let point = point(table, codec);
        assert_eq!(point.unwritable(), Some(why));
        let got = encode(&point, &Value::Int(0));
        assert_eq!(got, Err(NotEncoded::NotWritable(why)));
    }
    let last = |codec| PointSpec {
        address: PointAddress::modbus(Table::HoldingRegister, 0xFFFF),
        ..point(Table::HoldingRegister, codec)
    };
    assert_eq!(last(plain(Number::U16)).unwritable(), None);
    assert_eq!(
        last(plain(Number::U32)).unwritable(),
        Some(NotWritable::TooWide)
    );
    // 123 registers are not too many.
    assert_eq!(texts(123, Encoding::Utf8).unwritable(), None);
    assert_eq!(
        u16s(&[(5, decimal(10, 0)), (127, Decimal::ONE)]).unwritable(),
        None
    );
}

#[test]
fn a_refusal_says_what_was_seen_and_what_is_wanted() {
    let refused = |codec: Codec, value: Value| {
        let why = write(codec, value.clone()).unwrap_err();
        let RefusedReason::WrongValue { seen, wanted } = why.refused(&value) else {
            panic!("{why:?}")
        };
        format!("{seen}: wanted {wanted}")
    };
    for (codec, value, words) in [
        (
            plain(Number::U16),
            Value::Int(-1),
            "-1: wanted a number that the point can hold, from 0 to 65535",
        ),
        (
            measure(Number::U16, |m| m.max = Some(decimal(215, 1))),
            Value::Float(22.0),
            "22.0: wanted at most 21.5",
        ),
        (
            measure(Number::U16, |m| m.invalid = vec![Marker::Bits(7)]),
            Value::Int(7),
            "7: wanted another value: as it is written this one would be no value, but marked as invalid",
        ),
        (
            measure(Number::U16, |m| m.power = Some(1)),
            Value::Int(7),
            "7: wanted nothing: the point cannot be written, its factor is in another register, which the device sets",
        ),
        (
            texts(1, Encoding::Utf8),
            text("A "),
            "\"A \": wanted a text that is read back as it is; this one would be read as \"A\"",
        ),
    ] {
        assert_eq!(refused(codec, value), words);
    }
    let long = text(&"x".repeat(10_000));
    let RefusedReason::WrongValue { seen, .. } = NotEncoded::NoNumber.refused(&long) else {
        panic!()
    };
    assert!(seen.len() < 100, "{}", seen.len());
}

//! Values of devices without a standard, written and read again.

use proptest::prelude::*;

use super::super::*;
use crate::base::Value;
use crate::spec::raw::part::{BinaryNumber, ByteSpan, Endianness, NumberKind, ReplyPart};
use crate::spec::raw::{ValueForm, WriteBy};
use crate::spec::{
    Codec, Decimal, Encoding, NotWritable, PointAddress, PointSpec, QuestionIndex, TimeField,
    TimeLayout, UtcOffset, WritePolicy,
};

fn point(part: ReplyPart, form: ValueForm) -> PointSpec {
    PointSpec {
        id: "p".into(),
        address: PointAddress::Raw(QuestionIndex(0)),
        codec: Codec::Part(Box::new(part)),
        interval: std::time::Duration::from_secs(1),
        priority: Default::default(),
        report: Default::default(),
        shown: Default::default(),
        write: Some(Box::new(WritePolicy {
            by: Some(WriteBy {
                question: QuestionIndex(1),
                form,
            }),
            ..WritePolicy::default()
        })),
    }
}

fn number(written: BinaryNumber, scale: Decimal, offset: Decimal) -> ReplyPart {
    ReplyPart::Number {
        written,
        scale,
        offset,
        number_type: None,
    }
}

fn bytes_of(point: &PointSpec, value: &Value) -> Result<Vec<u8>, NotEncoded> {
    let encoded = encode(point, value)?;
    match encoded.content {
        WriteContent::Value(bytes) => Ok(bytes),
        WriteContent::Coil(_) | WriteContent::Registers { .. } | WriteContent::Datum(_) => {
            panic!("{encoded:?}")
        }
    }
}

const TENTH: Decimal = Decimal {
    digits: 1,
    places: 1,
};

const WHOLE: ByteSpan = ByteSpan::At { from: 0, length: 6 };

const fn decimal(width: u8, places: Option<u8>) -> ValueForm {
    ValueForm::Decimal { width, places }
}

#[test]
fn a_number_is_written_as_its_request_says() {
    let text = |scale| number(BinaryNumber::Decimal(WHOLE), scale, Decimal::ZERO);
    let low = ValueForm::Binary(NumberKind::Unsigned(2), Endianness::Low);
    for (scale, form, value, bytes) in [
        (
            Decimal::ONE,
            decimal(0, None),
            Value::Float(12.5),
            &b"12.5"[..],
        ),
        (Decimal::ONE, decimal(0, None), Value::Int(-3), b"-3"),
        (
            Decimal::ONE,
            decimal(0, None),
            Value::Float(1.0 / 3.0),
            b"0.333333",
        ),
        (Decimal::ONE, decimal(5, Some(0)), Value::Int(42), b"00042"),
        (
            Decimal::ONE,
            decimal(6, Some(2)),
            Value::Float(12.5),
            b"012.50",
        ),
        (
            Decimal::ONE,
            decimal(6, Some(2)),
            Value::Float(-2.005),
            b"-02.01",
        ),
        // 12.5 is read as a tenth of 125.
        (TENTH, decimal(4, Some(0)), Value::Float(12.5), b"0125"),
        (TENTH, low, Value::Float(12.5), &[125, 0]),
        (
            Decimal::ONE,
            ValueForm::Hexadecimal { width: 4 },
            Value::Int(171),
            b"00AB",
        ),
        (
            Decimal::ONE,
            ValueForm::Binary(NumberKind::SignedBcd(2), Endianness::High),
            Value::Int(-1234),
            &[0x92, 0x34],
        ),
        (
            Decimal::ONE,
            ValueForm::Binary(NumberKind::F32, Endianness::WordsLow),
            Value::Float(0.1),
            &[0xCC, 0xCD, 0x3D, 0xCC],
        ),
    ] {
        let got = bytes_of(&point(text(scale), form), &value);
        assert_eq!(got.as_deref(), Ok(bytes), "{form:?} {value:?}");
    }
    for (form, value, wanted) in [
        (
            decimal(3, Some(0)),
            Value::Int(1000),
            "a number of at most 3 characters",
        ),
        (
            decimal(3, Some(0)),
            Value::Int(-100),
            "a number of at most 3 characters",
        ),
        (
            low,
            Value::Int(70_000),
            "a number that the point can hold, from 0 to 65535",
        ),
        (
            ValueForm::Hexadecimal { width: 2 },
            Value::Int(256),
            "a number of at most 2 characters",
        ),
        (decimal(0, None), Value::Text("1".into()), "a number"),
        (
            ValueForm::Binary(NumberKind::F32, Endianness::High),
            Value::Float(1e300),
            "a number that a float can hold",
        ),
    ] {
        let why = bytes_of(&point(text(Decimal::ONE), form), &value).unwrap_err();
        assert_eq!(why.wanted(), wanted, "{form:?} {value:?}");
    }
}

#[test]
fn bits_and_texts_are_written_only_so_that_they_are_read_as_they_were() {
    let bit = ReplyPart::Bit { at: 3, bit: 5 };
    let byte = ValueForm::Binary(NumberKind::Unsigned(1), Endianness::High);
    let on = |form, value| bytes_of(&point(bit.clone(), form), &value);
    assert_eq!(on(byte, Value::Bool(true)), Ok(vec![1]));
    assert_eq!(on(decimal(2, Some(0)), Value::Int(0)), Ok(b"00".to_vec()));
    assert_eq!(on(byte, Value::Int(2)), Err(NotEncoded::NoState));
    let between = ByteSpan::Between {
        after: b"N=".to_vec(),
        nth: 1,
        before: b";".to_vec(),
    };
    let encoding = Encoding::Utf8;
    let write = |span: &ByteSpan, text: &str| {
        let part = ReplyPart::Text {
            span: span.clone(),
            encoding,
        };
        let value = Value::Text(text.into());
        bytes_of(&point(part, ValueForm::Text { encoding }), &value)
    };
    assert_eq!(write(&WHOLE, "pump 1"), Ok(b"pump 1".to_vec()));
    assert_eq!(
        write(&WHOLE, "pump 12"),
        Err(NotEncoded::TooLong { room: 6 })
    );
    // Nothing that is written ends the request before its end.
    for wrong in ["a\r", "\nX", " a", "a;b"] {
        let refused = write(&between, wrong);
        assert!(
            matches!(refused, Err(NotEncoded::Altered { .. })),
            "{wrong:?}"
        );
    }
    let day = |last| {
        let fields = [TimeField::Year2, TimeField::Month, TimeField::Day, last];
        let layout = TimeLayout::new(&fields).unwrap();
        let (bcd, utc_offset) = (true, UtcOffset::default());
        let part = ReplyPart::DateTime {
            at: 0,
            layout,
            bcd,
            utc_offset,
        };
        let form = ValueForm::DateTime {
            layout,
            bcd,
            utc_offset,
        };
        bytes_of(&point(part, form), &Value::Text("1795298194000".into()))
    };
    assert_eq!(day(TimeField::Hour), Ok(vec![0x26, 0x11, 0x21, 0x21]));
    for ignored in [TimeField::Weekday, TimeField::Unused] {
        assert_eq!(
            day(ignored),
            Err(NotEncoded::NotWritable(NotWritable::Ignored))
        );
    }
}

fn kinds() -> impl Strategy<Value = NumberKind> {
    prop_oneof![
        (1u8..=8).prop_map(NumberKind::Unsigned),
        (1u8..=8).prop_map(NumberKind::Signed),
        (1u8..=8).prop_map(NumberKind::Magnitude),
        (1u8..=8).prop_map(NumberKind::Bcd),
        (1u8..=8).prop_map(NumberKind::SignedBcd),
        Just(NumberKind::F32),
        Just(NumberKind::F64),
    ]
}

proptest! {
    /// What is written in the form in which it is read, is read as it is said to be read, and is
    /// off by half a step at most.
    #[test]
    fn what_is_written_is_read_as_it_is_said(
        kind in kinds(),
        order in prop::sample::select(vec![Endianness::High, Endianness::Low, Endianness::WordsLow, Endianness::BytesLow]),
        wanted in -100_000i64..100_000,
        scale in 1i128..100,
        offset in -50i128..50,
    ) {
        let order = if kind.bytes() % 2 == 1 && order != Endianness::High { Endianness::Low } else { order };
        let scale = Decimal { digits: scale, places: 2 };
        let offset = Decimal { digits: offset, places: 1 };
        let part = number(BinaryNumber::Binary { at: 0, kind, order }, scale, offset);
        let point = point(part.clone(), ValueForm::Binary(kind, order));
        let wanted = wanted as f64 / 100.0;
        let Ok(encoded) = encode(&point, &Value::Float(wanted)) else { return Ok(()) };
        let WriteContent::Value(bytes) = &encoded.content else { panic!("{encoded:?}") };
        let read = part.read(bytes).unwrap();
        let same = |a: &Value, b: &Value| Decimal::of(a).zip(Decimal::of(b)).is_some_and(|(a, b)| a.compare(b).is_eq());
        prop_assert!(same(&read, &encoded.value), "{read:?} {:?}", encoded.value);
        let Value::Float(read) = read else { panic!("{read:?}") };
        let step = scale.digits as f64 / 100.0;
        let half = if matches!(kind, NumberKind::F32 | NumberKind::F64) { 0.001 } else { step / 2.0 };
        prop_assert!((read - wanted).abs() <= half + 1e-9, "{read} for {wanted}");
        // What was read can be written back, to the byte; the last bit of a double may differ.
        let again = encode(&point, &Value::Float(read)).unwrap();
        match kind {
            NumberKind::F64 => {
                let Value::Float(again) = again.value else { panic!("{again:?}") };
                prop_assert!((again - read).abs() < 1e-9);
            }
            _ => prop_assert_eq!(again.content, encoded.content),
        }
    }

    /// The same in characters.
    #[test]
    fn characters_are_read_as_they_were_written(
        wanted in -1_000_000i64..1_000_000,
        places in prop::option::of(0u8..4),
        hex in any::<bool>(),
    ) {
        let wanted = Value::Float(wanted as f64 / 1000.0);
        let length = 40;
        let span = ByteSpan::At { from: 0, length };
        let (written, form) = match hex {
            true => (BinaryNumber::Hexadecimal(span), ValueForm::Hexadecimal { width: 0 }),
            false => (BinaryNumber::Decimal(span), decimal(0, places)),
        };
        let part = number(written, Decimal::ONE, Decimal::ZERO);
        let Ok(encoded) = encode(&point(part.clone(), form), &wanted) else { return Ok(()) };
        let WriteContent::Value(mut bytes) = encoded.content else { panic!("no value") };
        bytes.resize(length, b' ');
        let read = part.read(&bytes).unwrap();
        prop_assert!(Decimal::of(&read).unwrap().compare(Decimal::of(&encoded.value).unwrap()).is_eq());
    }

    #[test]
    fn no_value_makes_it_panic(x in any::<f64>(), n in any::<i64>(), kind in kinds(), width in 0u8..32, places in prop::option::of(0u8..32)) {
        for form in [ValueForm::Binary(kind, Endianness::High), decimal(width, places), ValueForm::Hexadecimal { width }] {
            let point = point(number(BinaryNumber::Decimal(WHOLE), TENTH, TENTH), form);
            for value in [Value::Float(x), Value::Int(n), Value::Text(x.to_string())] {
                let _ = encode(&point, &value);
            }
        }
    }
}

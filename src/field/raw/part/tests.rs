use proptest::prelude::*;

use super::*;
use crate::spec::{Decimal, Encoding, TimeLayout, UtcOffset};

fn plain(written: BinaryNumber) -> ReplyPart {
    ReplyPart::Number {
        written,
        scale: Decimal::ONE,
        offset: Decimal::ZERO,
        number_type: None,
    }
}

fn text(span: ByteSpan) -> ReplyPart {
    let encoding = Default::default();
    ReplyPart::Text { span, encoding }
}

fn binary_at(at: usize, kind: NumberKind, order: Endianness) -> ReplyPart {
    plain(BinaryNumber::Binary { at, kind, order })
}

fn between(after: &str, nth: usize, before: &str) -> ByteSpan {
    ByteSpan::Between {
        after: after.into(),
        nth,
        before: before.into(),
    }
}

#[test]
fn every_kind_and_order_of_binary_number() {
    use Endianness::{BytesLow, High, Low, WordsLow};
    use NumberKind::{Bcd, F32, F64, Signed, Unsigned};
    let d = Value::Int;
    for (bytes, kind, order, value) in [
        (&[0xFE][..], Unsigned(1), High, d(254)),
        (&[0xFE], Signed(1), Low, d(-2)),
        (&[1, 2], Unsigned(2), High, d(0x0102)),
        (&[1, 2], Unsigned(2), Low, d(0x0201)),
        (&[0xFF, 0xFE], Signed(2), High, d(-2)),
        (&[0xFE, 0xFF, 0xFF], Signed(3), Low, d(-2)),
        (&[1, 2, 3], Unsigned(3), High, d(0x01_0203)),
        (&[1, 2, 3, 4], Unsigned(4), High, d(0x0102_0304)),
        (&[1, 2, 3, 4], Unsigned(4), Low, d(0x0403_0201)),
        (&[1, 2, 3, 4], Unsigned(4), WordsLow, d(0x0304_0102)),
        (&[1, 2, 3, 4], Unsigned(4), BytesLow, d(0x0201_0403)),
        (&[0xFF; 8], Unsigned(8), High, Value::UInt(u64::MAX)),
        (&[0xFF; 8], Signed(8), High, d(-1)),
        (&[0x12, 0x34], Bcd(2), High, d(1234)),
        (&[0x12, 0x34], Bcd(2), Low, d(3412)),
        // IEEE 754: 0.1 as a single is 3DCCCCCDh, 230.5 as a double
        // 406CD00000000000h.
        (&[0x3D, 0xCC, 0xCC, 0xCD], F32, High, Value::Float(0.1)),
        (&[0xCC, 0xCD, 0x3D, 0xCC], F32, WordsLow, Value::Float(0.1)),
        (
            &[0x40, 0x6C, 0xD0, 0, 0, 0, 0, 0],
            F64,
            High,
            Value::Float(230.5),
        ),
    ] {
        let reply = [&[0x55][..], bytes].concat();
        let part = binary_at(1, kind, order);
        assert_eq!(part.read(&reply), Ok(value), "{kind:?} {order:?}");
        assert_eq!(
            part.read(&reply[..reply.len() - 1]),
            Err(NoValueReason::NotThere)
        );
    }
}

#[test]
fn numbers_in_text_are_found_where_they_stand() {
    // DCON: eight analogue inputs in one reply, every one seven characters.
    let dcon = b">+025.12-001.50+000.00\r";
    let at = |from| plain(BinaryNumber::Decimal(ByteSpan::At { from, length: 7 }));
    assert_eq!(at(1).read(dcon), Ok(Value::Float(25.12)));
    assert_eq!(at(8).read(dcon), Ok(Value::Float(-1.5)));
    assert_eq!(at(15).read(dcon), Ok(Value::Float(0.0)));
    assert_eq!(at(20).read(dcon), Err(NoValueReason::NotThere));

    let scale = b"ST,GS,+  12.345kg\r\n";
    let weight = plain(BinaryNumber::Decimal(between(",", 2, "kg")));
    assert_eq!(weight.read(scale), Ok(Value::Float(12.345)));
    let stable = text(between(",", 0, ","));
    assert_eq!(stable.read(scale), Ok(Value::Text("ST".into())));

    let columns = b"1;22;0x;FF\r\n";
    let column = |nth| plain(BinaryNumber::Decimal(between(";", nth, ";")));
    assert_eq!(column(0).read(columns), Ok(Value::Float(1.0)));
    assert_eq!(column(1).read(columns), Ok(Value::Float(22.0)));
    assert_eq!(column(2).read(columns), Err(NoValueReason::NotText));
    assert_eq!(column(3).read(columns), Err(NoValueReason::NotThere));
    let last = plain(BinaryNumber::Hexadecimal(between(";", 3, "")));
    assert_eq!(last.read(columns), Ok(Value::Int(255)));
    assert_eq!(column(4).read(columns), Err(NoValueReason::NotThere));
}

#[test]
fn scale_and_offset_are_exact() {
    let part = ReplyPart::Number {
        written: BinaryNumber::Binary {
            at: 0,
            kind: NumberKind::Signed(2),
            order: Endianness::High,
        },
        scale: Decimal {
            digits: 1,
            places: 1,
        },
        offset: Decimal {
            digits: -40,
            places: 0,
        },
        number_type: None,
    };
    assert_eq!(part.read(&2305u16.to_be_bytes()), Ok(Value::Float(190.5)));
}

#[test]
fn what_is_no_number_is_no_value() {
    for text in [
        "", "-", "+", ".", "e3", "1e", "1e+-3", "--1", "1.2.3", "1,2", "0x1F", "nan", "inf",
        "12 3", "１２", "1_000", "OVER",
    ] {
        let part = plain(BinaryNumber::Decimal(between("", 0, "")));
        assert_eq!(
            part.read(text.as_bytes()),
            Err(NoValueReason::NotText),
            "{text}"
        );
    }
    for (text, value) in [
        (" 5. ", Value::Float(5.0)),
        (".5", Value::Float(0.5)),
        ("-0.10", Value::Float(-0.1)),
        ("+1.2E3", Value::Float(1200.0)),
        ("12e-1", Value::Float(1.2)),
    ] {
        let part = plain(BinaryNumber::Decimal(between("", 0, "")));
        assert_eq!(part.read(text.as_bytes()), Ok(value), "{text}");
    }
    let nan = binary_at(0, NumberKind::F32, Endianness::High);
    assert_eq!(
        nan.read(&[0x7F, 0xC0, 0, 0]),
        Err(NoValueReason::NotANumber)
    );
    let bcd = binary_at(0, NumberKind::Bcd(2), Endianness::High);
    assert_eq!(bcd.read(&[0x12, 0x3A]), Err(NoValueReason::NotDecimal));
}

#[test]
fn dates_and_texts_of_other_encodings_are_read() {
    use crate::spec::TimeField::{Day, Hour, Minute, Month, Second, Year2};
    let date = |bcd| ReplyPart::DateTime {
        at: 1,
        layout: TimeLayout::new(&[Second, Minute, Hour, Day, Month, Year2]).unwrap(),
        bcd,
        utc_offset: UtcOffset::from_minutes(480).unwrap(),
    };
    // `date -d '2026-11-22 05:56:34 +0800' +%s`
    let moment = Ok(Value::Text("1795298194000".into()));
    let reply = [0xAA, 0x34, 0x56, 0x05, 0x22, 0x11, 0x26, 0xBB];
    assert_eq!(date(true).read(&reply), moment);
    let reply = [0xAA, 34, 56, 5, 22, 11, 26, 0xBB];
    assert_eq!(date(false).read(&reply), moment);
    assert_eq!(date(false).read(&reply[..6]), Err(NoValueReason::NotThere));
    assert_eq!(date(true).read(&[0xFF; 8]), Err(NoValueReason::NotDecimal));
    let name = ReplyPart::Text {
        span: ByteSpan::At { from: 0, length: 6 },
        encoding: Encoding::Gbk,
    };
    let said = |text: &str| Ok(Value::Text(text.into()));
    assert_eq!(name.read(b"\xb5\xe7\xb1\xed\r\n"), said("电表"));
    assert_eq!(name.read(b" \xb5\xe7\x07A\0"), said("电A"));
    assert_eq!(name.read(b"ABCDE\xb5"), Err(NoValueReason::NotText));
}

#[test]
fn a_sign_may_stand_in_the_highest_bit() {
    let d = Value::Int;
    for (bytes, kind, order, value) in [
        (
            &[0x80, 5][..],
            NumberKind::Magnitude(2),
            Endianness::High,
            Ok(d(-5)),
        ),
        (
            &[5, 0x80],
            NumberKind::Magnitude(2),
            Endianness::Low,
            Ok(d(-5)),
        ),
        (
            &[0, 5],
            NumberKind::Magnitude(2),
            Endianness::High,
            Ok(d(5)),
        ),
        (
            &[0x80, 0],
            NumberKind::Magnitude(2),
            Endianness::High,
            Ok(d(0)),
        ),
        (
            &[0xFF; 8],
            NumberKind::Magnitude(8),
            Endianness::High,
            Ok(d(-i64::MAX)),
        ),
        (
            &[0, 7, 0x80, 0],
            NumberKind::Magnitude(4),
            Endianness::WordsLow,
            Ok(d(-7)),
        ),
        (
            &[0x92, 0x34],
            NumberKind::SignedBcd(2),
            Endianness::High,
            Ok(d(-1234)),
        ),
        (
            &[0x34, 0x12],
            NumberKind::SignedBcd(2),
            Endianness::Low,
            Ok(d(1234)),
        ),
        (
            &[0x8A, 0],
            NumberKind::SignedBcd(2),
            Endianness::High,
            Err(NoValueReason::NotDecimal),
        ),
    ] {
        let part = binary_at(0, kind, order);
        assert_eq!(part.read(bytes), value, "{kind:?} {order:?} {bytes:02x?}");
    }
    assert_eq!(NumberKind::F32.signed_by_highest_bit(), None);
}

#[test]
fn a_number_of_a_reply_is_given_as_it_is_said() {
    use crate::spec::NumberType;
    let number = |written, number_type| ReplyPart::Number {
        written,
        scale: Decimal::ONE,
        offset: Decimal::ZERO,
        number_type,
    };
    let whole = || BinaryNumber::Binary {
        at: 0,
        kind: NumberKind::Unsigned(2),
        order: Endianness::High,
    };
    let text = || BinaryNumber::Decimal(between("", 0, ""));
    for (part, reply, value) in [
        (number(whole(), None), &[8, 0xFC][..], Value::Int(2300)),
        (
            number(whole(), Some(NumberType::Double)),
            &[8, 0xFC],
            Value::Float(2300.0),
        ),
        (number(text(), None), b"+2300", Value::Float(2300.0)),
        (number(text(), None), b"2300.5", Value::Float(2300.5)),
        (
            number(text(), Some(NumberType::Int)),
            b"2300.5",
            Value::Int(2301),
        ),
        (
            number(text(), Some(NumberType::Text)),
            b"0002300.50",
            Value::Text("2300.50".into()),
        ),
    ] {
        assert_eq!(part.read(reply), Ok(value), "{part:?}");
    }
}

#[test]
fn bits_are_counted_from_the_least_significant() {
    for bit in 0..8 {
        let part = ReplyPart::Bit { at: 1, bit };
        assert_eq!(part.read(&[0, 1 << bit]), Ok(Value::Bool(true)));
        assert_eq!(part.read(&[0, !(1 << bit)]), Ok(Value::Bool(false)));
        assert_eq!(part.read(&[0]), Err(NoValueReason::NotThere));
    }
    assert_eq!(
        ReplyPart::Bit { at: 0, bit: 8 }.read(&[0xFF]),
        Err(NoValueReason::NotThere)
    );
}

proptest! {
    #[test]
    fn a_written_number_is_read_as_written(digits in any::<i32>(), places in 0usize..9) {
        let plain_digits = format!("{:0>10}", i64::from(digits).abs());
        let (whole, fraction) = plain_digits.split_at(10 - places);
        let sign = if digits < 0 { "-" } else { "" };
        let text = format!("{sign}{whole}.{fraction}");
        let got = plain(BinaryNumber::Decimal(between("", 0, ""))).read(text.as_bytes());
        let got = match got {
            Ok(Value::Int(n)) => n as f64,
            Ok(Value::Float(x)) => x,
            other => panic!("{other:?}"),
        };
        prop_assert_eq!(got, text.parse::<f64>().unwrap());
    }

    #[test]
    fn no_reply_makes_it_panic_or_yield_a_non_number(
        reply in prop::collection::vec(any::<u8>(), 0..40),
        at in prop::sample::select(vec![0usize, 1, 30, usize::MAX]),
        size in 0u8..10,
        nth in 0usize..4,
    ) {
        let mut parts = vec![
            ReplyPart::Bit { at, bit: size },
            text(ByteSpan::At { from: at, length: usize::from(size) }),
            text(ByteSpan::At { from: at, length: usize::MAX }),
            plain(BinaryNumber::Decimal(between("1", nth, "2"))),
            plain(BinaryNumber::Hexadecimal(between("", nth, ""))),
        ];
        for order in [Endianness::High, Endianness::Low, Endianness::WordsLow, Endianness::BytesLow] {
            for kind in [NumberKind::Unsigned(size), NumberKind::Signed(size), NumberKind::Bcd(size), NumberKind::Magnitude(size), NumberKind::SignedBcd(size), NumberKind::F32, NumberKind::F64] {
                parts.push(binary_at(at, kind, order));
            }
        }
        for part in parts {
            if let Ok(Value::Float(x)) = part.read(&reply) {
                prop_assert!(x.is_finite());
            }
        }
    }
}

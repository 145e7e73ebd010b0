//! Data of meters, written and read again.

use proptest::prelude::*;

use super::super::*;
use crate::base::Value;
use crate::field::encode::WriteContent;
use crate::field::plan::block_address::DatumAsked;
use crate::spec::dlt645::{DataIdentifier, DataItem, Edition, Format, Layout, ValuePosition, item};
use crate::spec::{
    Codec, DatumAddress, Decimal, ItemIndex, NotWritable, NumberType, PointAddress, PointSpec,
    TimeLayout, UtcOffset,
};

fn datum(item: DataItem, scale: Decimal, offset: Decimal, of: Option<NumberType>) -> PointSpec {
    PointSpec {
        id: "p".into(),
        address: PointAddress::Dlt645(DatumAddress {
            item: ItemIndex(0),
            position: ValuePosition::Value(0),
        }),
        codec: Codec::Datum {
            item,
            scale,
            offset,
            number_type: of,
        },
        interval: std::time::Duration::from_secs(1),
        priority: Default::default(),
        report: Default::default(),
        shown: Default::default(),
        write: None,
    }
}

fn one(format: Format) -> DataItem {
    DataItem {
        id: DataIdentifier::Y2007(0x0400_0101),
        format,
        layout: Layout::One,
    }
}

fn plain(format: Format) -> PointSpec {
    datum(one(format), Decimal::ONE, Decimal::ZERO, None)
}

const fn number(bytes: u8, places: u8, signed: bool) -> Format {
    Format::Number {
        bytes,
        places,
        signed,
    }
}

fn bytes_of(point: &PointSpec, value: &Value) -> Result<Vec<u8>, NotEncoded> {
    let encoded = encode(point, value)?;
    match encoded.content {
        WriteContent::Datum(data) => Ok(data),
        WriteContent::Coil(_) | WriteContent::Registers { .. } | WriteContent::Value(_) => {
            panic!("{encoded:?}")
        }
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

/// The inverse of `every_format_reads_what_the_standard_writes`.
#[test]
fn every_format_is_written_as_the_standard_writes_it() {
    use crate::spec::TimeField::{Day, Hour, Minute, Month, Second, Weekday, Year2};
    let moment = TimeLayout::new(&[Year2, Month, Day, Weekday, Hour, Minute, Second]).unwrap();
    for (format, value, data) in [
        // DL/T 645-2007 §5.3.2: 123456.78 kWh travels as 78 56 34 12.
        (
            number(4, 2, false),
            Value::Float(123_456.78),
            &[0x78, 0x56, 0x34, 0x12][..],
        ),
        (number(2, 1, false), Value::Float(230.54), &[0x05, 0x23]),
        (number(3, 0, false), Value::Int(1200), &[0x00, 0x12, 0x00]),
        (
            number(3, 4, true),
            Value::Float(-1.235),
            &[0x50, 0x23, 0x81],
        ),
        (
            number(3, 3, true),
            Value::Float(799.999),
            &[0x99, 0x99, 0x79],
        ),
        (number(2, 0, true), Value::Int(0), &[0, 0]),
        (
            Format::Digits(6),
            text("000000000161"),
            &[0x61, 1, 0, 0, 0, 0],
        ),
        // 2026-11-22 is a Sunday, 2000-02-29 was a Tuesday.
        (Format::Date, text("2026-11-22"), &[0, 0x22, 0x11, 0x26]),
        (Format::Date, text("2000-02-29"), &[2, 0x29, 0x02, 0x00]),
        (Format::Time, text("05:56:34"), &[0x34, 0x56, 0x05]),
        (
            Format::Text(6),
            text("220V"),
            &[0, 0, b'V', b'0', b'2', b'2'],
        ),
        (Format::Bits(2), Value::UInt(0x800A), &[0x0A, 0x80]),
        // From `date -u -d @1795298194`: Saturday 2026-11-21 21:56:34.
        (
            Format::DateTime(moment),
            text("1795298194000"),
            &[0x34, 0x56, 0x21, 6, 0x21, 0x11, 0x26],
        ),
    ] {
        assert_eq!(
            bytes_of(&plain(format), &value).as_deref(),
            Ok(data),
            "{format:?}"
        );
    }
}

#[test]
fn what_a_datum_cannot_hold_is_not_written() {
    for (format, value, wanted) in [
        (
            number(2, 1, false),
            Value::Float(1000.0),
            "a number that the point can hold, from 0.0 to 999.9",
        ),
        (
            number(2, 1, false),
            Value::Int(-1),
            "a number that the point can hold, from 0.0 to 999.9",
        ),
        (
            number(2, 1, true),
            Value::Int(800),
            "a number that the point can hold, from -799.9 to 799.9",
        ),
        (number(2, 1, true), text("1"), "a number"),
        (
            Format::Bits(1),
            Value::Int(256),
            "a number that the point can hold, from 0 to 255",
        ),
        (Format::Digits(2), text("123"), "a text of 4 digits"),
        (Format::Digits(2), Value::Int(1234), "a text of 4 digits"),
        (
            Format::Date,
            text("2026-02-29"),
            "a date from 2000 to 2099, like 2026-11-22",
        ),
        (
            Format::Date,
            text("1999-02-28"),
            "a date from 2000 to 2099, like 2026-11-22",
        ),
        (
            Format::Date,
            text("2026-2"),
            "a date from 2000 to 2099, like 2026-11-22",
        ),
        (
            Format::Time,
            text("24:00:00"),
            "a time of day, like 05:56:34",
        ),
        (
            Format::Time,
            text("+1:00:00"),
            "a time of day, like 05:56:34",
        ),
        (Format::Text(2), text("220"), "a text of at most 2 bytes"),
        (
            Format::Text(4),
            text("A "),
            "a text that is read back as it is; this one would be read as \"A\"",
        ),
        (Format::Text(4), Value::Int(1), "a text"),
    ] {
        let why = bytes_of(&plain(format), &value).unwrap_err();
        assert_eq!(why.wanted(), wanted, "{format:?} {value:?}");
    }
}

#[test]
fn only_a_whole_datum_of_the_second_edition_is_written() {
    use crate::spec::TimeField::{Day, Month, Unused, Year2};
    let find = |edition, name| item::find(edition, name).unwrap();
    let ignored = TimeLayout::new(&[Year2, Month, Day, Unused]).unwrap();
    for (item, why) in [
        (find(Edition::Y2007, "current-ratio"), None),
        (find(Edition::Y2007, "date"), None),
        (find(Edition::Y1997, "date"), Some(NotWritable::Edition)),
        (
            find(Edition::Y2007, "voltage-all"),
            Some(NotWritable::PartOfDatum),
        ),
        (
            find(Edition::Y2007, "peak-demand-active-forward"),
            Some(NotWritable::Peak),
        ),
        (one(Format::DateTime(ignored)), Some(NotWritable::Ignored)),
        (
            DataItem {
                layout: Layout::Bytes { about: 9 },
                ..one(number(2, 0, false))
            },
            Some(NotWritable::PartOfDatum),
        ),
    ] {
        let point = datum(item, Decimal::ONE, Decimal::ZERO, None);
        assert_eq!(point.unwritable(), why, "{item:?}");
        if let Some(why) = why {
            let refused = encode(&point, &Value::Int(1));
            assert_eq!(refused, Err(NotEncoded::NotWritable(why)));
        }
    }
}

fn formats() -> impl Strategy<Value = Format> {
    let sized = |most| 1u8..=most;
    prop_oneof![
        (1u8..=8, 0u8..=16, any::<bool>()).prop_map(|(b, p, signed)| number(
            b,
            p.min(2 * b),
            signed
        )),
        sized(8).prop_map(Format::Bits),
    ]
}

proptest! {
    /// What is read of a datum can be written back, to the byte, whatever its format and scale.
    #[test]
    fn what_is_read_is_written_back(
        format in formats(),
        raw in prop::collection::vec(any::<u8>(), 8),
        digits in 1i128..1000,
        places in 0i16..4,
        offset in -50i128..50,
    ) {
        let bcd = |b: &u8| ((b / 10 % 10) << 4) | (b % 10);
        let data: Vec<u8> = match format {
            Format::Bits(n) => raw[..usize::from(n)].to_vec(),
            _ => raw.iter().take(format.bytes()).map(bcd).collect(),
        };
        let scale = Decimal { digits, places };
        let offset = Decimal { digits: offset, places: 1 };
        let point = datum(one(format), scale, offset, Some(NumberType::Text));
        let asked = BlockAddress::Dlt645(DatumAsked::Item(ItemIndex(0), one(format)));
        let value = decode(&point, &asked, &Data::Bytes(data.clone())).unwrap();
        let encoded = encode(&point, &value).unwrap();
        prop_assert_eq!(&encoded.value, &value);
        // A sign in front of zeros is no other number.
        let negative_zero = data.iter().rev().enumerate().all(|(i, b)| b & if i == 0 { 0x7F } else { 0xFF } == 0);
        if !negative_zero {
            prop_assert_eq!(encoded.content, WriteContent::Datum(data));
        }
    }

    /// What is written is the nearest that can be: it is off by no more than half a step.
    #[test]
    fn what_is_written_is_nearest(wanted in -9_000_000i64..9_000_000, places in 0u8..4, scale in 1i128..50) {
        let format = number(4, places, true);
        let point = datum(one(format), Decimal { digits: scale, places: 1 }, Decimal::ZERO, Some(NumberType::Double));
        let wanted = wanted as f64 / 1000.0;
        if let Ok(encoded) = encode(&point, &Value::Float(wanted)) {
            let Value::Float(read) = encoded.value else { panic!("{encoded:?}") };
            let step = scale as f64 / 10.0 / 10f64.powi(i32::from(places));
            prop_assert!((read - wanted).abs() <= step / 2.0 * 1.000_001, "{read} for {wanted}");
        }
    }

    /// Moments, days and times of day come back as they were.
    #[test]
    fn moments_come_back(seconds in 946_684_800i64..4_102_444_799, zone in -12i16..=12) {
        use crate::spec::TimeField::{Day, Hour, Minute, Month, Second, Weekday, Year2};
        let layout = TimeLayout::new(&[Year2, Month, Day, Weekday, Hour, Minute, Second]).unwrap();
        let clock = UtcOffset::from_minutes(zone * 60).unwrap();
        let date = NumberType::Date(clock);
        let point = datum(one(Format::DateTime(layout)), Decimal::ONE, Decimal::ZERO, Some(date));
        let value = Value::Text((seconds * 1000).to_string());
        if let Ok(encoded) = encode(&point, &value) {
            prop_assert_eq!(encoded.value, value);
        }
        let utc = crate::base::utc::Utc::of(crate::base::Wall::from_millis(seconds * 1000));
        for (format, shown) in [
            (Format::Date, utc.date().to_string()),
            (Format::Time, utc.time_of_day().to_string()),
        ] {
            let value = Value::Text(shown);
            prop_assert_eq!(encode(&plain(format), &value).unwrap().value, value);
        }
    }

    /// Texts that are read as they were written come back; no value makes it panic.
    #[test]
    fn texts_come_back(wanted in "[ -~é]{0,8}", digits in "[0-9]{4}") {
        let value = Value::Text(wanted);
        if let Ok(encoded) = encode(&plain(Format::Text(8)), &value) {
            prop_assert_eq!(&encoded.value, &value);
        }
        let digits = Value::Text(digits);
        prop_assert_eq!(encode(&plain(Format::Digits(2)), &digits).unwrap().value, digits);
        for format in [Format::Date, Format::Time, Format::Digits(8), Format::Bits(8)] {
            let _ = encode(&plain(format), &value);
        }
    }
}

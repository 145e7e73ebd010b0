//! Dates and times of day, in fields and as numbers.

use super::*;
use crate::spec::{DataType, DateTime, FieldForm, NumberType, TimeField, TimeLayout, UtcOffset};

fn clock(fields: &[TimeField], form: FieldForm, minutes: i16) -> Codec {
    Codec::DateTime(Box::new(DateTime {
        layout: TimeLayout::new(fields).unwrap(),
        form,
        bytes: ByteOrder::High,
        utc_offset: UtcOffset::from_minutes(minutes).unwrap(),
    }))
}

#[test]
fn dates_are_utc_milliseconds_as_text() {
    use TimeField::{Day, Hour, Millisecond, Minute, Month, Second, Unused, Year2, Year4};
    let usual = [Year2, Month, Day, Hour, Minute, Second];
    let long = [Year4, Month, Day, Hour, Minute, Second, Millisecond];
    // `date -d '2026-11-22 05:56:34 +0800' +%s`
    let moment = |ms: &str| Ok(Value::Text(format!("1795298194{ms}")));
    for (codec, width, registers, value) in [
        (
            clock(&usual, FieldForm::BcdBytes, 480),
            3,
            &[0x2611, 0x2205, 0x5634][..],
            moment("000"),
        ),
        (
            clock(&usual, FieldForm::Bytes, 480),
            3,
            &[0x1A0B, 0x1605, 0x3822][..],
            moment("000"),
        ),
        (
            clock(&usual, FieldForm::Registers, 480),
            6,
            &[26, 11, 22, 5, 56, 34][..],
            moment("000"),
        ),
        (
            clock(&long, FieldForm::Registers, 480),
            7,
            &[2026, 11, 22, 5, 56, 34, 789][..],
            moment("789"),
        ),
        (
            clock(&long, FieldForm::BcdRegisters, 480),
            7,
            &[0x2026, 0x11, 0x22, 0x05, 0x56, 0x34, 0x0789][..],
            moment("789"),
        ),
        (
            clock(
                &[Second, Minute, Hour, Unused, Day, Month, Year2, Unused],
                FieldForm::BcdBytes,
                480,
            ),
            4,
            &[0x3456, 0x05FF, 0x2211, 0x26FF][..],
            moment("000"),
        ),
        (
            clock(&[Year4, Month, Day], FieldForm::BcdBytes, 0),
            2,
            &[0x1970, 0x0101][..],
            Ok(Value::Text("0".into())),
        ),
        (
            clock(&usual, FieldForm::Registers, 0),
            6,
            &[24, 2, 29, 23, 59, 59][..],
            Ok(Value::Text("1709251199000".into())),
        ),
    ] {
        assert_eq!(codec.data_type(), DataType::Date);
        assert_eq!(codec.width(), width, "{codec:?}");
        assert_eq!(read(codec.clone(), registers), value, "{codec:?}");
    }
}

#[test]
fn what_is_no_date_is_no_value() {
    use TimeField::{Day, Hour, Minute, Month, Second, Year2};
    let usual = [Year2, Month, Day, Hour, Minute, Second];
    let plain = clock(&usual, FieldForm::Registers, 0);
    for registers in [
        [26, 0, 1, 0, 0, 0],
        [26, 13, 1, 0, 0, 0],
        [26, 1, 0, 0, 0, 0],
        [26, 2, 29, 0, 0, 0],
        [26, 4, 31, 0, 0, 0],
        [26, 1, 1, 24, 0, 0],
        [26, 1, 1, 0, 60, 0],
        [26, 1, 1, 0, 0, 60],
        [100, 1, 1, 0, 0, 0],
        [0; 6],
        [0xFFFF; 6],
    ] {
        let got = read(plain.clone(), &registers);
        assert_eq!(got, Err(NoValueReason::NoSuchTime), "{registers:?}");
    }
    let digits = clock(&usual, FieldForm::BcdBytes, 0);
    let got = read(digits.clone(), &[0x2611, 0x2205, 0x5A34]);
    assert_eq!(got, Err(NoValueReason::NotDecimal));
    assert_eq!(
        read(digits, &[0x2611, 0x2205]),
        Err(NoValueReason::NotCovered)
    );
    // No date is before the first moment that can be shown.
    let east = clock(&[TimeField::Year4, Month, Day], FieldForm::Registers, 60);
    assert_eq!(read(east, &[1970, 1, 1]), Err(NoValueReason::NoSuchTime));
}

#[test]
fn seconds_since_1970_are_a_date_whatever_they_are_counted_in() {
    let epoch = |kind, minutes, more: fn(&mut Measure)| {
        measure(kind, |m| {
            let clock = UtcOffset::from_minutes(minutes).unwrap();
            m.number_type = Some(NumberType::Date(clock));
            more(m);
        })
    };
    let text = |s: &str| Ok(Value::Text(s.into()));
    let seconds = [0x6B01, 0xED12];
    for (codec, registers, value) in [
        (
            epoch(Number::U32, 0, |_| {}),
            &seconds[..],
            text("1795288338000"),
        ),
        (
            epoch(Number::U32, 480, |_| {}),
            &seconds[..],
            text("1795259538000"),
        ),
        (
            epoch(Number::U64, 0, |m| m.scale = decimal(1, 3)),
            &[0, 0x01A1, 0xFFFF, 0xFFFF][..],
            text("1795296329727"),
        ),
        // Counted from 2000.
        (
            epoch(Number::U32, 0, |m| m.offset = decimal(946_684_800, 0)),
            &[0, 1][..],
            text("946684801000"),
        ),
        (
            epoch(Number::I32, 0, |_| {}),
            &[0xFFFF, 0xFFFF][..],
            Err(NoValueReason::NoSuchTime),
        ),
        (
            epoch(Number::U64, 0, |_| {}),
            &[0xFFFF; 4][..],
            Err(NoValueReason::NoSuchTime),
        ),
        (
            epoch(Number::U32, 0, |m| m.invalid = vec![Marker::Bits(0)]),
            &[0, 0][..],
            Err(NoValueReason::Marked),
        ),
    ] {
        assert_eq!(read(codec.clone(), registers), value, "{codec:?}");
    }
}

proptest! {
    /// What a device would write for a moment is read back, in every form.
    #[test]
    fn every_second_is_read_back(
        seconds in 946_684_800i64..4_102_444_800, minutes in -840i16..=840, swapped in any::<bool>(),
    ) {
        use TimeField::{Day, Hour, Minute, Month, Second, Year2};
        let shown = seconds - seconds % 60;
        let text = crate::base::utc::Utc::of(crate::base::Wall::from_millis(shown * 1000)).to_string();
        let digits: Vec<u16> = text
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(|n| n.parse().ok())
            .collect();
        let [year, month, day, hour, minute, second] = digits[..] else { panic!("{text}") };
        let fields = [year % 100, month, day, hour, minute, second];
        let bcd = fields.map(|n| n / 10 * 16 + n % 10);
        let pair = |all: [u16; 6]| [all[0] << 8 | all[1], all[2] << 8 | all[3], all[4] << 8 | all[5]];
        let expected = shown * 1000 - i64::from(minutes) * 60_000;
        let expected = match expected >= 0 {
            true => Ok(Value::Text(expected.to_string())),
            false => Err(NoValueReason::NoSuchTime),
        };
        for (form, registers) in [
            (FieldForm::Registers, fields.to_vec()),
            (FieldForm::BcdRegisters, bcd.to_vec()),
            (FieldForm::Bytes, pair(fields).to_vec()),
            (FieldForm::BcdBytes, pair(bcd).to_vec()),
        ] {
            let bytes = if swapped { ByteOrder::Low } else { ByteOrder::High };
            let registers: Vec<u16> = registers
                .into_iter()
                .map(|w| if swapped { w.swap_bytes() } else { w })
                .collect();
            let codec = Codec::DateTime(Box::new(DateTime {
                layout: TimeLayout::new(&[Year2, Month, Day, Hour, Minute, Second]).unwrap(),
                form,
                bytes,
                utc_offset: UtcOffset::from_minutes(minutes).unwrap(),
            }));
            prop_assert_eq!(read(codec, &registers), expected.clone());
        }
    }

    #[test]
    fn no_registers_and_no_clock_make_it_panic(
        words in prop::collection::vec(any::<u16>(), 0..14),
        fields in prop::collection::vec(prop::sample::select(TimeField::ALL.to_vec()), 0..14),
        form in prop::sample::select(vec![
            FieldForm::Registers, FieldForm::BcdRegisters, FieldForm::Bytes, FieldForm::BcdBytes,
        ]),
        minutes in -840i16..=840,
    ) {
        let fields: Vec<TimeField> = fields.into_iter().map(|(_, f)| f).collect();
        if let Some(layout) = TimeLayout::new(&fields) {
            let codec = Codec::DateTime(Box::new(DateTime {
                layout, form, bytes: ByteOrder::High,
                utc_offset: UtcOffset::from_minutes(minutes).unwrap(),
            }));
            if let Ok(value) = read(codec, &words) {
                let Value::Text(text) = value else { panic!("{value:?}") };
                prop_assert!((0..253_402_300_800_000i64).contains(&text.parse().unwrap()));
            }
        }
    }
}

//! Texts and dates.

use super::*;

#[test]
fn text_is_padded_with_nul_in_its_encoding() {
    let low = Codec::Text {
        registers: 3,
        bytes: ByteOrder::Low,
        encoding: Encoding::Utf8,
    };
    assert_eq!(whole(low, text("ABC")), Ok(vec![0x4241, 0x0043, 0]));
    for (encoding, said, registers) in [
        (Encoding::Utf8, "ABCD", [0x4142, 0x4344]),
        (Encoding::Utf8, "", [0, 0]),
        // From `printf … | iconv -f UTF-8 -t … | xxd`.
        (Encoding::Gbk, "电表", [0xB5E7, 0xB1ED]),
        (Encoding::Gb18030, "¥", [0x8130, 0x8436]),
        (Encoding::Big5, "電", [0xB971, 0]),
        (Encoding::ShiftJis, "電", [0x9364, 0]),
        (Encoding::EucKr, "한", [0xC7D1, 0]),
        (Encoding::Latin1, "äÿ.", [0xE4FF, 0x2E00]),
        (Encoding::Windows1250, "č", [0xE800, 0]),
        (Encoding::Windows1251, "яд", [0xFFE4, 0]),
        (Encoding::Windows1252, "€", [0x8000, 0]),
        (Encoding::Utf16, "电表", [0x7535, 0x8868]),
    ] {
        let got = whole(texts(2, encoding), text(said));
        assert_eq!(got, Ok(registers.to_vec()), "{encoding:?}");
    }
    let letters = |half| Codec::Letters {
        registers: 3,
        half,
        encoding: Encoding::Utf8,
    };
    let (high, _) = words(letters(RegisterByte::High), text("AB")).unwrap();
    assert_eq!(high, [(0x4100, 0xFF00), (0x4200, 0xFF00), (0, 0xFF00)]);
    let (low, _) = words(letters(RegisterByte::Low), text("AB")).unwrap();
    assert_eq!(low, [(0x41, 0xFF), (0x42, 0xFF), (0, 0xFF)]);
}

#[test]
fn text_that_would_be_read_as_another_is_not_written() {
    let altered = |read: &str| NotEncoded::Altered { read: read.into() };
    for (encoding, said, why) in [
        (Encoding::Utf8, "ABCDE", NotEncoded::TooLong { room: 4 }),
        (Encoding::Utf8, "电表", NotEncoded::TooLong { room: 4 }),
        (
            Encoding::Gbk,
            "¥",
            NotEncoded::NotInEncoding { encoding: "gbk" },
        ),
        (
            Encoding::Latin1,
            "€",
            NotEncoded::NotInEncoding { encoding: "latin1" },
        ),
        (Encoding::Utf8, "AB ", altered("AB")),
        (Encoding::Utf8, "A\0B", altered("A")),
        (Encoding::Utf8, "A\nB", altered("AB")),
        // FFh at the end is memory that was never written.
        (Encoding::Windows1251, "дя", altered("д")),
        (Encoding::Utf16, "\u{FFFF}", altered("")),
    ] {
        let got = write(texts(2, encoding), text(said));
        assert_eq!(got, Err(why), "{said:?}");
    }
    let got = write(texts(2, Encoding::Utf8), Value::Int(5));
    assert_eq!(got, Err(NotEncoded::NoText));
}

fn clock(fields: &[TimeField], form: FieldForm, minutes: i16) -> Codec {
    Codec::DateTime(Box::new(DateTime {
        layout: TimeLayout::new(fields).unwrap(),
        form,
        bytes: ByteOrder::High,
        utc_offset: UtcOffset::from_minutes(minutes).unwrap(),
    }))
}

#[test]
fn dates_are_divided_into_their_fields() {
    use TimeField::{Day, Hour, Millisecond, Minute, Month, Second, Unused, Year2, Year4};
    let usual = [Year2, Month, Day, Hour, Minute, Second];
    let long = [Year4, Month, Day, Hour, Minute, Second, Millisecond];
    // `date -d '2026-11-22 05:56:34 +0800' +%s`
    let moment = text("1795298194789");
    for (fields, form, registers) in [
        (
            &usual[..],
            FieldForm::BcdBytes,
            vec![0x2611, 0x2205, 0x5634],
        ),
        (&usual, FieldForm::Bytes, vec![0x1A0B, 0x1605, 0x3822]),
        (&usual, FieldForm::Registers, vec![26, 11, 22, 5, 56, 34]),
        (
            &long,
            FieldForm::Registers,
            vec![2026, 11, 22, 5, 56, 34, 789],
        ),
        (
            &long,
            FieldForm::BcdRegisters,
            vec![0x2026, 0x11, 0x22, 0x05, 0x56, 0x34, 0x0789],
        ),
        (
            &[Year4, Month, Day],
            FieldForm::BcdBytes,
            vec![0x2026, 0x1122],
        ),
    ] {
        let got = whole(clock(fields, form, 480), moment.clone());
        assert_eq!(got, Ok(registers), "{form:?}");
    }
    // What has no field is cut off, as on a clock.
    let (_, day) = words(clock(&[Year4, Month, Day], FieldForm::Bytes, 480), moment).unwrap();
    assert_eq!(day, text("1795276800000"));
    // Fields without meaning are not written, at the ends and between.
    let padded = [Unused, Unused, Day, Month, Unused, Year2, Unused];
    let encoded = write(clock(&padded, FieldForm::BcdBytes, 0), Value::Int(0));
    assert_eq!(
        encoded,
        Err(NotEncoded::NoSuchTime),
        "1970 has no two digits"
    );
    let encoded = write(
        clock(&padded, FieldForm::BcdBytes, 0),
        Value::Int(1_795_298_194_000),
    );
    let WriteContent::Registers { start, words } = encoded.unwrap().content else {
        panic!()
    };
    let words: Vec<_> = words.iter().map(|w| (w.bits, w.mask)).collect();
    assert_eq!(start, START + 1);
    assert_eq!(words, [(0x2111, 0xFFFF), (0x0026, 0x00FF)]);
}

#[test]
fn what_no_clock_shows_is_not_written() {
    use TimeField::{Day, Month, Year2, Year4};
    let two = clock(&[Year2, Month, Day], FieldForm::Registers, 0);
    let four = |minutes| clock(&[Year4, Month, Day], FieldForm::Registers, minutes);
    for (codec, value) in [
        (two.clone(), Value::Int(946_684_799_999)),
        (two.clone(), Value::Int(4_102_444_800_000)),
        (four(0), Value::Int(-1)),
        (four(0), Value::Int(253_402_300_800_000)),
        (four(60), Value::Int(253_402_300_799_000)),
        (four(-60), Value::Int(0)),
        (four(0), Value::Float(0.5)),
        (four(0), Value::Float(1e300)),
        (four(0), text("soon")),
        (four(0), Value::Bool(true)),
    ] {
        assert_eq!(
            write(codec, value.clone()).err(),
            Some(NotEncoded::NoSuchTime),
            "{value:?}"
        );
    }
    let (_, last) = words(two, Value::Int(4_102_444_799_999)).unwrap();
    assert_eq!(last, text("4102358400000"));
}

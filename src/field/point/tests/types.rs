//! What a value is: its type, its sign, its clock.

use super::*;
use crate::spec::{
    DataType, DateTime, FieldForm, NumberType, Sign, TimeField, TimeLayout, UtcOffset,
};

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
            Err(Refusal::TooLarge),
        ),
        (
            Number::F64,
            NumberType::Float,
            vec![0x7FEF, 0xFFFF, 0xFFFF, 0xFFFF],
            Err(Refusal::Infinite),
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
        (Number::U8(Half::High), &[0x83FF][..], Ok(-3)),
        (Number::Bcd16, &[0x9234][..], Ok(-1234)),
        (Number::Bcd32, &[0x8000, 0x0042][..], Ok(-42)),
        (Number::Bcd16, &[0x8A00][..], Err(Refusal::NotDecimal)),
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
    assert_eq!(read(marked, &[0x8001]), Err(Refusal::Marked));
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
        (&flag, &[2, 2305][..], Err(Refusal::NoSign)),
        (&flag, &[0xFFFF, 2305][..], Err(Refusal::NoSign)),
        (&bit, &[0, 2305, 0, 0xFFF7][..], Ok(230.5)),
        (&bit, &[0, 2305, 0, 0x0008][..], Ok(-230.5)),
        (&bit, &[0, 2305][..], Err(Refusal::NotCovered)),
    ] {
        let value = value.map(Value::Float);
        assert_eq!(read(codec.clone(), registers), value, "{registers:x?}");
    }
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
        assert_eq!(got, Err(Refusal::NoSuchTime), "{registers:?}");
    }
    let digits = clock(&usual, FieldForm::BcdBytes, 0);
    let got = read(digits.clone(), &[0x2611, 0x2205, 0x5A34]);
    assert_eq!(got, Err(Refusal::NotDecimal));
    assert_eq!(read(digits, &[0x2611, 0x2205]), Err(Refusal::NotCovered));
    // Nothing is before the first moment there is.
    let east = clock(&[TimeField::Year4, Month, Day], FieldForm::Registers, 60);
    assert_eq!(read(east, &[1970, 1, 1]), Err(Refusal::NoSuchTime));
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
            Err(Refusal::NoSuchTime),
        ),
        (
            epoch(Number::U64, 0, |_| {}),
            &[0xFFFF; 4][..],
            Err(Refusal::NoSuchTime),
        ),
        (
            epoch(Number::U32, 0, |m| m.invalid = vec![Marker::Bits(0)]),
            &[0, 0][..],
            Err(Refusal::Marked),
        ),
    ] {
        assert_eq!(read(codec.clone(), registers), value, "{codec:?}");
    }
}

proptest! {
    /// What a device would write for it is read back, in every form.
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
            false => Err(Refusal::NoSuchTime),
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

//! How the standard writes data: decimal digits two to a byte, last byte first.

use crate::base::Value;
use crate::field::decode::date_time;
use crate::field::decode::date_time::two;
use crate::field::decode::number::Exact;
use crate::field::decode::refusal::NoValueReason;
pub use crate::spec::dlt645::Format;
use crate::spec::dlt645::{DataItem, ValuePosition};
use crate::spec::{Decimal, NumberType, UtcOffset};

impl Format {
    /// Reads data of exactly this format.
    ///
    /// # Errors
    /// [`NoValueReason`] instead of a value that would be wrong. Meters fill what they do not have
    /// with FFH, which is no decimal digit.
    pub fn read(self, data: &[u8]) -> Result<Value, NoValueReason> {
        self.scaled(data, Decimal::ONE, Decimal::ZERO, None)
    }

    /// Reads the same data and scales them. A number is taken times `scale` plus `offset`,
    /// and given in the configured type or in the type that follows from the format. A date
    /// is read by the configured clock, or by a clock that shows UTC. Other data stay as they
    /// are.
    ///
    /// # Errors
    /// As of [`Format::read`].
    pub fn scaled(
        self,
        data: &[u8],
        scale: Decimal,
        offset: Decimal,
        said: Option<NumberType>,
    ) -> Result<Value, NoValueReason> {
        let of = self.number_type(scale, offset, said);
        let of = of.unwrap_or(NumberType::Double);
        let value = |n: Exact| n.times(scale).moved(offset).value(of, true);
        if data.len() != self.bytes() {
            return Err(NoValueReason::Length);
        }
        match self {
            Format::Number { places, signed, .. } => number(data, places, signed).and_then(value),
            Format::Peak { bytes, places } => {
                let (peak, moment) = data.split_at(usize::from(bytes));
                is_moment(moment)?;
                number(peak, places, false).and_then(value)
            }
            Format::Digits(_) => {
                let each = |b: &u8| Ok(format!("{:02}", two(*b)?));
                let text: Result<String, NoValueReason> = data.iter().rev().map(each).collect();
                text.map(Value::Text)
            }
            Format::Date => date(data),
            Format::Time => time(data),
            Format::Text(_) => text(data),
            Format::Bits(_) => {
                let bits = data.iter().rev().fold(0, |sum, b| sum << 8 | u64::from(*b));
                Exact::whole(i128::from(bits)).value(of, false)
            }
            Format::DateTime(layout) => {
                let printed: Vec<u8> = data.iter().rev().copied().collect();
                let offset = match said {
                    Some(NumberType::Date(offset)) => offset,
                    _ => UtcOffset::default(),
                };
                date_time::from_bytes(&layout, &printed, true, offset)
            }
        }
    }
}

impl DataItem {
    /// Returns one value of a reply. Each value stands for itself: a meter without a third
    /// phase fills its value in a block with FFH, or leaves it out.
    ///
    /// # Errors
    /// [`NoValueReason`] instead of a value that would be wrong.
    pub fn read(&self, data: &[u8], position: ValuePosition) -> Result<Value, NoValueReason> {
        self.scaled(data, position, Decimal::ONE, Decimal::ZERO, None)
    }

    /// Reads and scales one value, like [`Format::scaled`].
    ///
    /// # Errors
    /// As of [`DataItem::read`].
    pub fn scaled(
        &self,
        data: &[u8],
        position: ValuePosition,
        scale: Decimal,
        offset: Decimal,
        said: Option<NumberType>,
    ) -> Result<Value, NoValueReason> {
        let own = self.format.bytes();
        let length = self.length();
        if !length.fits(data) {
            return Err(NoValueReason::Length);
        }
        let data = length.values(data);
        let from = match position {
            ValuePosition::Value(which) => own * usize::from(which),
            ValuePosition::Byte(first) => usize::from(first),
        };
        let one = data.get(from..from + own).ok_or(NoValueReason::NotThere)?;
        self.format.scaled(one, scale, offset, said)
    }
}

fn number(data: &[u8], places: u8, signed: bool) -> Result<Exact, NoValueReason> {
    let mut digits = 0i128;
    let mut negative = false;
    for (i, byte) in data.iter().rev().enumerate() {
        let sign = signed && i == 0 && byte & 0x80 != 0;
        negative |= sign;
        let plain = if sign { byte & 0x7F } else { *byte };
        digits = 100 * digits + i128::from(two(plain)?);
    }
    let digits = if negative { -digits } else { digits };
    let places = i32::from(places);
    Ok(Exact::Decimal { digits, places })
}

fn date(data: &[u8]) -> Result<Value, NoValueReason> {
    let [weekday, day, month, year] = *data else {
        return Err(NoValueReason::Length);
    };
    let (weekday, day, month, year) = (two(weekday)?, two(day)?, two(month)?, two(year)?);
    // Sunday is 0 (2007 Annex A); meters that count it as 7 are seen as well.
    if !is_day(month, day) || weekday > 7 {
        return Err(NoValueReason::NoSuchTime);
    }
    Ok(Value::Text(format!("20{year:02}-{month:02}-{day:02}")))
}

fn time(data: &[u8]) -> Result<Value, NoValueReason> {
    let [second, minute, hour] = *data else {
        return Err(NoValueReason::Length);
    };
    let (second, minute, hour) = (two(second)?, two(minute)?, two(hour)?);
    if second > 59 || minute > 59 || hour > 23 {
        return Err(NoValueReason::NoSuchTime);
    }
    Ok(Value::Text(format!("{hour:02}:{minute:02}:{second:02}")))
}

/// Checks `YYMMDDhhmm`; all zeros if there was no such moment yet.
fn is_moment(data: &[u8]) -> Result<(), NoValueReason> {
    let &[minute, hour, day, month, year] = data else {
        return Err(NoValueReason::Length);
    };
    two(year)?;
    let (minute, hour, day, month) = (two(minute)?, two(hour)?, two(day)?, two(month)?);
    let never = data.iter().all(|b| *b == 0);
    if never || (minute <= 59 && hour <= 23 && is_day(month, day)) {
        Ok(())
    } else {
        Err(NoValueReason::NoSuchTime)
    }
}

const fn is_day(month: u8, day: u8) -> bool {
    matches!(month, 1..=12) && matches!(day, 1..=31)
}

fn text(data: &[u8]) -> Result<Value, NoValueReason> {
    let bytes: Vec<u8> = data.iter().rev().copied().collect();
    let text = String::from_utf8(bytes).map_err(|_| NoValueReason::NotText)?;
    let around = |c: char| c == '\0' || c == ' ';
    let mut text = text.trim_matches(around).to_owned();
    text.retain(|c| !c.is_control());
    Ok(Value::Text(text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::spec::TimeLayout;
    use crate::spec::dlt645::item::find;
    use crate::spec::dlt645::{DataIdentifier, Edition, Layout};

    fn shown(text: &str) -> Result<Value, NoValueReason> {
        Ok(Value::Text(text.into()))
    }

    #[test]
    fn every_format_reads_what_the_standard_writes() {
        for (format, data, value) in [
            // DL/T 645-2007 §5.3.2: 123456.78 kWh travels as 78 56 34 12.
            (
                Format::unsigned(4, 2),
                &[0x78, 0x56, 0x34, 0x12][..],
                Ok(Value::Float(123_456.78)),
            ),
            (
                Format::unsigned(2, 1),
                &[0x05, 0x23],
                Ok(Value::Float(230.5)),
            ),
            (
                Format::unsigned(3, 0),
                &[0x00, 0x12, 0x00],
                Ok(Value::Int(1200)),
            ),
            (
                Format::signed(3, 4),
                &[0x50, 0x23, 0x81],
                Ok(Value::Float(-1.235)),
            ),
            (
                Format::signed(3, 3),
                &[0x99, 0x99, 0x79],
                Ok(Value::Float(799.999)),
            ),
            (
                Format::unsigned(2, 2),
                &[0x00, 0x80],
                Ok(Value::Float(80.0)),
            ),
            (
                Format::Digits(6),
                &[0x61, 1, 0, 0, 0, 0],
                shown("000000000161"),
            ),
            (Format::Date, &[0, 0x22, 0x11, 0x26], shown("2026-11-22")),
            (Format::Time, &[0x34, 0x56, 0x05], shown("05:56:34")),
            (
                Format::Text(6),
                &[0, 0, b'V', b'0', b'2', b'2'],
                shown("220V"),
            ),
            // Control characters are no part of a text.
            (Format::Text(3), b"B\nA", shown("AB")),
            (Format::Bits(2), &[0x0A, 0x80], Ok(Value::UInt(0x800A))),
            (
                Format::Peak {
                    bytes: 3,
                    places: 4,
                },
                &[0x34, 0x12, 0x00, 0x30, 0x18, 0x01, 0x08, 0x26],
                Ok(Value::Float(0.1234)),
            ),
        ] {
            assert_eq!(format.read(data), value, "{format:?} {data:02x?}");
        }
    }

    #[test]
    fn what_is_no_datum_says_why() {
        for (format, data, why) in [
            (
                Format::unsigned(4, 2),
                &[0xFF; 4][..],
                NoValueReason::NotDecimal,
            ),
            (Format::signed(3, 4), &[0xFF; 3], NoValueReason::NotDecimal),
            (Format::unsigned(4, 2), &[0, 0, 0], NoValueReason::Length),
            (
                Format::unsigned(4, 2),
                &[0, 0, 0, 0, 0],
                NoValueReason::Length,
            ),
            (
                Format::unsigned(2, 1),
                &[0, 0xA0],
                NoValueReason::NotDecimal,
            ),
            (Format::Date, &[0, 0x32, 1, 0x26], NoValueReason::NoSuchTime),
            (Format::Date, &[0, 0, 0, 0], NoValueReason::NoSuchTime),
            (Format::Time, &[0x60, 0, 0], NoValueReason::NoSuchTime),
            (Format::Text(2), &[0xFF, 0xFF], NoValueReason::NotText),
            (
                Format::Peak {
                    bytes: 3,
                    places: 4,
                },
                &[0, 0, 0, 0x60, 0, 1, 1, 0x26],
                NoValueReason::NoSuchTime,
            ),
        ] {
            assert_eq!(format.read(data), Err(why), "{format:?} {data:02x?}");
        }
    }

    #[test]
    fn every_value_of_a_block_stands_for_itself() {
        let block = find(Edition::Y2007, "voltage-all").unwrap();
        let data = [0x05, 0x23, 0xFF, 0xFF, 0x94, 0x23];
        let read = |data: &[u8], which| block.read(data, ValuePosition::Value(which));
        assert_eq!(read(&data, 0), Ok(Value::Float(230.5)));
        assert_eq!(read(&data, 1), Err(NoValueReason::NotDecimal));
        assert_eq!(read(&data, 2), Ok(Value::Float(239.4)));
        assert_eq!(read(&data, 3), Err(NoValueReason::NotThere));
        // A meter with one phase says only that.
        assert_eq!(read(&data[..2], 0), Ok(Value::Float(230.5)));
        assert_eq!(read(&data[..2], 1), Err(NoValueReason::NotThere));
        // Half a value is no value, nor is a phase that the meter does not have.
        assert_eq!(read(&data[..5], 0), Err(NoValueReason::Length));
        assert_eq!(read(&[0x05, 0x23].repeat(4), 0), Err(NoValueReason::Length));
    }

    #[test]
    fn a_block_of_rates_has_as_many_values_as_the_meter_has_rates() {
        let value = |n: u8| [((n / 10) << 4) | (n % 10), 0, 0, 0];
        let read = |edition, data: &[u8], which| {
            let block = find(edition, "energy-active-forward-all").unwrap();
            block.read(data, ValuePosition::Value(which))
        };
        for rates in [0, 1, 4, 8, 14] {
            let data: Vec<u8> = (0..=rates).flat_map(value).collect();
            for edition in [Edition::Y1997, Edition::Y2007] {
                let last = read(edition, &data, rates);
                assert_eq!(last, Ok(Value::Float(f64::from(rates) / 100.0)), "{rates}");
                let beyond = read(edition, &data, rates + 1);
                assert_eq!(beyond, Err(NoValueReason::NotThere));
            }
        }
        // Some meters put AAH behind a block.
        let ended = [&value(1)[..], &value(2), &[0xAA]].concat();
        assert_eq!(read(Edition::Y1997, &ended, 1), Ok(Value::Float(0.02)));
        assert_eq!(
            read(Edition::Y1997, &ended, 2),
            Err(NoValueReason::NotThere)
        );
        assert_eq!(read(Edition::Y1997, &ended[..8], 1), Ok(Value::Float(0.02)));
        assert_eq!(
            read(Edition::Y1997, &ended[..7], 0),
            Err(NoValueReason::Length)
        );
        assert_eq!(read(Edition::Y1997, &[], 0), Err(NoValueReason::Length));
    }

    /// Records of different formats, one behind the other: a position is the number of a byte.
    #[test]
    fn a_value_is_found_by_its_first_byte() {
        let item = |format| DataItem {
            id: DataIdentifier::Y2007(0x0506_0101),
            format,
            layout: Layout::Bytes { about: 20 },
        };
        // Minute to year, AAH, then 123456.78 kWh.
        let data = [0x30, 0x18, 1, 8, 0x26, 0xAA, 0x78, 0x56, 0x34, 0x12];
        let energy = item(Format::unsigned(4, 2));
        let read = |at| energy.read(&data, ValuePosition::Byte(at));
        assert_eq!(read(6), Ok(Value::Float(123_456.78)));
        assert_eq!(read(5), Err(NoValueReason::NotDecimal));
        assert_eq!(read(7), Err(NoValueReason::NotThere));
        assert_eq!(read(u16::MAX), Err(NoValueReason::NotThere));
    }

    /// Behind current transformers of 400 to 5 a meter shows an eightieth.
    #[test]
    fn a_number_can_be_scaled_and_stays_exact() {
        let eighty = Decimal {
            digits: 80,
            places: 0,
        };
        let read = |format: Format, data: &[u8]| format.scaled(data, eighty, Decimal::ZERO, None);
        assert_eq!(
            read(Format::unsigned(2, 1), &[0x05, 0x23]),
            Ok(Value::Float(18_440.0))
        );
        assert_eq!(read(Format::Bits(1), &[3]), Ok(Value::UInt(3)));
    }

    /// DL/T 645-2007 table A.4: 04000101 is YYMMDDWW; 0400010C, in its later
    /// supplement, YYMMDDWWhhmmss. From `date -d '2026-11-22 05:56:34 +0800' +%s`.
    #[test]
    fn a_date_is_a_moment_by_the_clock_of_the_meter() {
        use crate::spec::TimeField::{Day, Hour, Minute, Month, Second, Unused, Year2};
        let layout = |fields: &[_]| Format::DateTime(TimeLayout::new(fields).unwrap());
        let beijing = NumberType::Date(UtcOffset::from_minutes(480).unwrap());
        let read = |format: Format, data: &[u8]| {
            format.scaled(data, Decimal::ONE, Decimal::ZERO, Some(beijing))
        };
        let date = layout(&[Year2, Month, Day, Unused]);
        assert_eq!(read(date, &[0, 0x22, 0x11, 0x26]), shown("1795276800000"));
        let moment = layout(&[Year2, Month, Day, Unused, Hour, Minute, Second]);
        let data = [0x34, 0x56, 0x05, 0, 0x22, 0x11, 0x26];
        assert_eq!(read(moment, &data), shown("1795298194000"));
        // The day of the week may be anything: the date says it already.
        let data = [0x34, 0x56, 0x05, 0xFF, 0x22, 0x11, 0x26];
        assert_eq!(read(moment, &data), shown("1795298194000"));
        let data = [0x34, 0x56, 0x05, 0, 0x31, 0x11, 0x26];
        assert_eq!(read(moment, &data), Err(NoValueReason::NoSuchTime));
        assert_eq!(read(moment, &[0xFF; 7]), Err(NoValueReason::NotDecimal));
        assert_eq!(read(moment, &[0; 6]), Err(NoValueReason::Length));
    }

    proptest! {
        #[test]
        fn a_number_reads_as_it_is_printed(digits in 0u32..=99_999_999, places in 0u8..=8) {
            let mut rest = digits;
            let data: Vec<u8> = (0..4)
                .map(|_| {
                    let two = (rest % 100) as u8;
                    rest /= 100;
                    ((two / 10) << 4) | (two % 10)
                })
                .collect();
            let printed: f64 = format!("{digits}e-{places}").parse().unwrap();
            let got = match Format::unsigned(4, places).read(&data) {
                Ok(Value::Int(n)) => n as f64,
                Ok(Value::Float(x)) => x,
                other => panic!("{other:?}"),
            };
            prop_assert_eq!(got, printed);
        }

        #[test]
        fn no_bytes_make_it_panic(data in prop::collection::vec(any::<u8>(), 0..40)) {
            for n in 0..=8 {
                for format in [
                    Format::unsigned(n, 8), Format::signed(n, 0), Format::Peak { bytes: n, places: 4 },
                    Format::Digits(n), Format::Date, Format::Time, Format::Text(n), Format::Bits(n),
                ] {
                    let fits = data.len() == format.bytes();
                    let got = format.read(&data);
                    prop_assert!(fits || got == Err(NoValueReason::Length));
                }
            }
        }
    }
}

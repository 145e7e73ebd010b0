//! How the standard writes data: decimal digits two to a byte, last byte first.

use crate::base::Value;
use crate::field::number::{Found, NoValue};
use crate::spec::Decimal;

/// How one datum is written (DL/T 645-2007 Annex A, 1997 Annex A: the columns
/// "format" and "length").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Decimal digits with a fixed point: `XXX.X` has two bytes, one place.
    Number {
        /// 1–8.
        bytes: u8,
        /// Digits behind the point.
        places: u8,
        /// Whether the highest bit is the sign (2007 table A.3, notes 2, 3, 6).
        signed: bool,
    },
    /// A number without a sign, with the moment at which it was reached
    /// (`YYMMDDhhmm`, five bytes) behind it. The moment must be one; it is not
    /// a part of the value.
    Peak {
        /// 1–8, without the moment.
        bytes: u8,
        /// Digits behind the point.
        places: u8,
    },
    /// Digits that are no quantity, kept as text with their leading zeros:
    /// addresses, meter numbers.
    Digits(u8),
    /// `YYMMDDWW`, as text `20YY-MM-DD`.
    Date,
    /// `hhmmss`, as text `hh:mm:ss`.
    Time,
    /// Characters, last one first on the wire, blanks and NULs around them cut.
    Text(u8),
    /// Bits, as an unsigned number; 1–8 bytes.
    Bits(u8),
}

impl Format {
    /// Bytes on the wire.
    #[must_use]
    pub const fn bytes(self) -> usize {
        (match self {
            Format::Number { bytes, .. } | Format::Digits(bytes) => bytes,
            Format::Text(bytes) | Format::Bits(bytes) => bytes,
            Format::Peak { bytes, .. } => bytes + 5,
            Format::Date => 4,
            Format::Time => 3,
        }) as usize
    }

    /// What data of exactly this format say.
    ///
    /// # Errors
    /// [`NoValue`] instead of a value that would be wrong. Meters fill what they
    /// do not have with FFH, which is no decimal digit.
    pub fn read(self, data: &[u8]) -> Result<Value, NoValue> {
        if data.len() != self.bytes() {
            return Err(NoValue::Length);
        }
        match self {
            Format::Number { places, signed, .. } => number(data, places, signed),
            Format::Peak { bytes, places } => {
                let (value, moment) = data.split_at(usize::from(bytes));
                is_moment(moment)?;
                number(value, places, false)
            }
            Format::Digits(_) => {
                let each = |b: &u8| Ok(format!("{:02}", two(*b)?));
                let text: Result<String, NoValue> = data.iter().rev().map(each).collect();
                text.map(Value::Text)
            }
            Format::Date => date(data),
            Format::Time => time(data),
            Format::Text(_) => text(data),
            Format::Bits(_) => {
                let bits = data.iter().rev().fold(0, |sum, b| sum << 8 | u64::from(*b));
                Ok(Value::UInt(bits))
            }
        }
    }
}

/// Two decimal digits.
const fn two(byte: u8) -> Result<u8, NoValue> {
    if byte >> 4 > 9 || byte & 15 > 9 {
        return Err(NoValue::NotDecimal);
    }
    Ok(10 * (byte >> 4) + (byte & 15))
}

fn number(data: &[u8], places: u8, signed: bool) -> Result<Value, NoValue> {
    let mut digits = 0i128;
    let mut negative = false;
    for (i, byte) in data.iter().rev().enumerate() {
        let sign = signed && i == 0 && byte & 0x80 != 0;
        negative |= sign;
        let plain = if sign { byte & 0x7F } else { *byte };
        digits = 100 * digits + i128::from(two(plain)?);
    }
    let digits = if negative { -digits } else { digits };
    let places = u32::from(places);
    Found::Decimal { digits, places }.value(Decimal::ONE, Decimal::ZERO)
}

fn date(data: &[u8]) -> Result<Value, NoValue> {
    let [weekday, day, month, year] = *data else {
        return Err(NoValue::Length);
    };
    let (weekday, day, month, year) = (two(weekday)?, two(day)?, two(month)?, two(year)?);
    // Sunday is 0 (2007 Annex A); meters that count it as 7 are seen as well.
    if !is_day(month, day) || weekday > 7 {
        return Err(NoValue::NoSuchTime);
    }
    Ok(Value::Text(format!("20{year:02}-{month:02}-{day:02}")))
}

fn time(data: &[u8]) -> Result<Value, NoValue> {
    let [second, minute, hour] = *data else {
        return Err(NoValue::Length);
    };
    let (second, minute, hour) = (two(second)?, two(minute)?, two(hour)?);
    if second > 59 || minute > 59 || hour > 23 {
        return Err(NoValue::NoSuchTime);
    }
    Ok(Value::Text(format!("{hour:02}:{minute:02}:{second:02}")))
}

/// `YYMMDDhhmm`; all zeros if there was no such moment yet.
fn is_moment(data: &[u8]) -> Result<(), NoValue> {
    let &[minute, hour, day, month, year] = data else {
        return Err(NoValue::Length);
    };
    two(year)?;
    let (minute, hour, day, month) = (two(minute)?, two(hour)?, two(day)?, two(month)?);
    let never = data.iter().all(|b| *b == 0);
    if never || (minute <= 59 && hour <= 23 && is_day(month, day)) {
        Ok(())
    } else {
        Err(NoValue::NoSuchTime)
    }
}

const fn is_day(month: u8, day: u8) -> bool {
    matches!(month, 1..=12) && matches!(day, 1..=31)
}

fn text(data: &[u8]) -> Result<Value, NoValue> {
    let bytes: Vec<u8> = data.iter().rev().copied().collect();
    let text = String::from_utf8(bytes).map_err(|_| NoValue::NotText)?;
    let around = |c: char| c == '\0' || c == ' ';
    let text = text.trim_matches(around);
    if text.chars().any(char::is_control) {
        return Err(NoValue::NotText);
    }
    Ok(Value::Text(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn plain(bytes: u8, places: u8) -> Format {
        let signed = false;
        Format::Number {
            bytes,
            places,
            signed,
        }
    }

    const fn signed(bytes: u8, places: u8) -> Format {
        let signed = true;
        Format::Number {
            bytes,
            places,
            signed,
        }
    }

    fn shown(text: &str) -> Result<Value, NoValue> {
        Ok(Value::Text(text.into()))
    }

    #[test]
    fn every_format_reads_what_the_standard_writes() {
        for (format, data, value) in [
            // DL/T 645-2007 §5.3.2: 123456.78 kWh travels as 78 56 34 12.
            (
                plain(4, 2),
                &[0x78, 0x56, 0x34, 0x12][..],
                Ok(Value::Float(123_456.78)),
            ),
            (plain(2, 1), &[0x05, 0x23], Ok(Value::Float(230.5))),
            (plain(3, 0), &[0x00, 0x12, 0x00], Ok(Value::Int(1200))),
            (signed(3, 4), &[0x50, 0x23, 0x81], Ok(Value::Float(-1.235))),
            (signed(3, 3), &[0x99, 0x99, 0x79], Ok(Value::Float(799.999))),
            (plain(2, 2), &[0x00, 0x80], Ok(Value::Float(80.0))),
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
            (plain(4, 2), &[0xFF; 4][..], NoValue::NotDecimal),
            (signed(3, 4), &[0xFF; 3], NoValue::NotDecimal),
            (plain(4, 2), &[0, 0, 0], NoValue::Length),
            (plain(4, 2), &[0, 0, 0, 0, 0], NoValue::Length),
            (plain(2, 1), &[0, 0xA0], NoValue::NotDecimal),
            (Format::Date, &[0, 0x32, 1, 0x26], NoValue::NoSuchTime),
            (Format::Date, &[0, 0, 0, 0], NoValue::NoSuchTime),
            (Format::Time, &[0x60, 0, 0], NoValue::NoSuchTime),
            (Format::Text(2), &[0xFF, 0xFF], NoValue::NotText),
            (Format::Text(2), b"\nA", NoValue::NotText),
            (
                Format::Peak {
                    bytes: 3,
                    places: 4,
                },
                &[0, 0, 0, 0x60, 0, 1, 1, 0x26],
                NoValue::NoSuchTime,
            ),
        ] {
            assert_eq!(format.read(data), Err(why), "{format:?} {data:02x?}");
        }
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
            let got = match plain(4, places).read(&data) {
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
                    plain(n, 8), signed(n, 0), Format::Peak { bytes: n, places: 4 },
                    Format::Digits(n), Format::Date, Format::Time, Format::Text(n), Format::Bits(n),
                ] {
                    let fits = data.len() == format.bytes();
                    let got = format.read(&data);
                    prop_assert!(fits || got == Err(NoValue::Length));
                }
            }
        }
    }
}

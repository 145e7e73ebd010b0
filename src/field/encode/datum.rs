//! Data of DL/T 645 meters: the inverse of [`crate::field::dlt645::format`].
//!
//! A datum is written whole: only a point that is all of its datum gets here
//! ([`crate::spec::dlt645::DataItem::unwritable`]).

use super::scaled::Scaled;
use super::{Encoded, NotEncoded, WriteContent, date_time, text};
use crate::base::Value;
use crate::field::decode::point::decode;
use crate::field::modbus::Data;
use crate::field::plan::block_address::{BlockAddress, DatumAsked};
use crate::spec::dlt645::Format;
use crate::spec::{
    Codec, DatumAddress, Decimal, Encoding, NotWritable, NumberType, PointSpec, TimeField,
    TimeLayout, UtcOffset,
};

/// Encodes the datum of a point.
pub(super) fn encode(
    point: &PointSpec,
    address: DatumAddress,
    value: &Value,
) -> Result<Encoded, NotEncoded> {
    let protocol = NotEncoded::NotWritable(NotWritable::Protocol);
    let Codec::Datum {
        item,
        scale,
        offset,
        number_type,
    } = &point.codec
    else {
        return Err(protocol);
    };
    let clock = match number_type {
        Some(NumberType::Date(offset)) => *offset,
        _ => UtcOffset::default(),
    };
    let of = point.codec.number_type().unwrap_or(NumberType::Double);
    let scaled = |places| Scaled::new(of, *scale, *offset).with_places(places);
    let mut data = match item.format {
        Format::Number {
            bytes,
            places,
            signed,
        } => {
            let digits = 10i128.pow(2 * u32::from(bytes));
            let limits = match signed {
                // The highest bit is not a part of the first digit.
                true => (1 - digits / 10 * 8, digits / 10 * 8 - 1),
                false => (0, digits - 1),
            };
            bcd(scaled(places).whole(value, limits)?, bytes)
        }
        Format::Bits(bytes) => {
            let most = (1i128 << (8 * u32::from(bytes))) - 1;
            // Bits have no scale.
            let bits = Scaled::new(of, Decimal::ONE, Decimal::ZERO);
            let plain = bits.whole(value, (0, most))?;
            plain.to_le_bytes().into_iter().take(bytes.into()).collect()
        }
        Format::Digits(bytes) => digits(value, bytes.into())?,
        Format::Date => in_order(date(value)?),
        Format::Time => in_order(time(value)?),
        Format::DateTime(layout) => in_order(date_time::in_bytes(&layout, true, clock, value)?),
        Format::Text(bytes) => in_order(text::padded(value, Encoding::Utf8, bytes.into())?),
        Format::Peak { .. } => return Err(NotEncoded::NotWritable(NotWritable::Peak)),
    };
    data.truncate(item.format.bytes());
    let asked = BlockAddress::Dlt645(DatumAsked::Item(address.item, *item));
    let read = decode(point, &asked, &Data::Bytes(data.clone())).map_err(NotEncoded::NoValue)?;
    match (&read, value) {
        (Value::Text(read), Value::Text(wanted))
            if matches!(item.format, Format::Text(_)) && read != wanted =>
        {
            Err(NotEncoded::Altered { read: read.clone() })
        }
        _ => Ok(Encoded {
            content: WriteContent::Datum(data),
            value: read,
        }),
    }
}

/// Returns bytes in the order in which they travel, from that in which the standard prints them.
fn in_order(mut printed: Vec<u8>) -> Vec<u8> {
    printed.reverse();
    printed
}

/// Returns decimal digits two to a byte, last byte first; the sign is the highest bit.
fn bcd(n: i128, bytes: u8) -> Vec<u8> {
    let mut rest = n.unsigned_abs();
    let mut data = Vec::new();
    for _ in 0..bytes {
        data.push((rest / 10 % 10 * 16 + rest % 10) as u8);
        rest /= 100;
    }
    if let Some(first) = data.last_mut().filter(|_| n < 0) {
        *first |= 0x80;
    }
    data
}

/// Returns the digits of a text of exactly twice as many digits as there are bytes.
fn digits(value: &Value, bytes: usize) -> Result<Vec<u8>, NotEncoded> {
    let wanted = || NotEncoded::NotLike(format!("a text of {} digits", 2 * bytes));
    let Value::Text(text) = value else {
        return Err(wanted());
    };
    if text.len() != 2 * bytes || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wanted());
    }
    let (pairs, _) = text.as_bytes().as_chunks::<2>();
    Ok(in_order(
        pairs.iter().map(|[a, b]| (a & 15) << 4 | b & 15).collect(),
    ))
}

/// Returns the numbers of a text between these separators.
fn parts<const N: usize>(value: &Value, separator: char) -> Option<[u16; N]> {
    let Value::Text(text) = value else {
        return None;
    };
    let parts = text.split(separator).map(|part| {
        let is_number = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        part.parse().ok().filter(|_| is_number)
    });
    parts.collect::<Option<Vec<u16>>>()?.try_into().ok()
}

/// Returns `YYMMDDWW` for `2026-11-22`.
fn date(value: &Value) -> Result<Vec<u8>, NotEncoded> {
    use TimeField::{Day, Month, Weekday, Year2};
    let wanted = || NotEncoded::NotLike("a date from 2000 to 2099, like 2026-11-22".into());
    let layout = TimeLayout::new(&[Year2, Month, Day, Weekday]).ok_or_else(wanted)?;
    let [year @ 2000..=2099, month, day] = parts(value, '-').ok_or_else(wanted)? else {
        return Err(wanted());
    };
    let plain: Result<Vec<u8>, NotEncoded> = [year - 2000, month, day, 0]
        .into_iter()
        .map(date_time::two)
        .collect();
    let (plain, clock) = (plain.map_err(|_| wanted())?, UtcOffset::default());
    // Read as a moment, it is a day of the calendar, and has a day of the week.
    let moment = crate::field::decode::date_time::from_bytes(&layout, &plain, true, clock);
    date_time::in_bytes(&layout, true, clock, &moment.map_err(|_| wanted())?)
}

/// Returns `hhmmss` for `05:56:34`.
fn time(value: &Value) -> Result<Vec<u8>, NotEncoded> {
    let wanted = || NotEncoded::NotLike("a time of day, like 05:56:34".into());
    let Some([hour @ 0..=23, minute @ 0..=59, second @ 0..=59]) = parts(value, ':') else {
        return Err(wanted());
    };
    [hour, minute, second]
        .into_iter()
        .map(date_time::two)
        .collect()
}

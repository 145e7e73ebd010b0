//! Dates and times of day in fields. Parts of the time that have no field are cut off, as they
//! are on a clock: 18:00 is still the same day where only the day is written.

use super::number::milliseconds;
use super::registers::Registers;
use super::{Encoded, MaskedWord, NotEncoded};
use crate::base::utc::Utc;
use crate::base::{Value, Wall};
use crate::spec::{DateTime, TimeField, TimeLayout, UtcOffset};

/// Encodes a moment.
pub(super) fn encode(
    mut registers: Registers<'_>,
    clock: &DateTime,
    value: &Value,
) -> Result<Encoded, NotEncoded> {
    let shown = milliseconds(value)?
        .checked_add(clock.utc_offset.as_millis())
        .ok_or(NotEncoded::NoSuchTime)?;
    // Each byte, and which of its bits are written.
    let mut bytes: Vec<(u8, u8)> = Vec::new();
    for field in clock.layout.fields() {
        let wide = clock.form.is_registers() || field.bytes() == 2;
        let pair = match of(shown, *field)? {
            None => [(0, 0); 2],
            Some(n) if clock.form.is_bcd() => [two(n / 100)?, two(n % 100)?].map(|b| (b, 0xFF)),
            Some(n) => n.to_be_bytes().map(|b| (b, 0xFF)),
        };
        bytes.extend(pair.into_iter().skip(if wide { 0 } else { 1 }));
    }
    if bytes.len() % 2 == 1 {
        bytes.push((0, 0));
    }
    let (pairs, _) = bytes.as_chunks::<2>();
    for (at, [first, second]) in (0..).zip(pairs) {
        let word = MaskedWord {
            bits: clock.bytes.ordered(u16::from_be_bytes([first.0, second.0])),
            mask: clock.bytes.ordered(u16::from_be_bytes([first.1, second.1])),
        };
        registers.put(at, word);
    }
    registers.encoded()
}

/// Returns a moment in bytes, in the order of the fields; days of the week count from Sunday, 0.
pub(super) fn in_bytes(
    layout: &TimeLayout,
    bcd: bool,
    offset: UtcOffset,
    value: &Value,
) -> Result<Vec<u8>, NotEncoded> {
    let shown = milliseconds(value)?
        .checked_add(offset.as_millis())
        .ok_or(NotEncoded::NoSuchTime)?;
    let mut bytes = Vec::new();
    for field in layout.fields() {
        let n = match field {
            TimeField::Weekday => weekday(shown),
            field => of(shown, *field)?.unwrap_or_default(),
        };
        let pair = match bcd {
            true => [two(n / 100)?, two(n % 100)?],
            false => n.to_be_bytes(),
        };
        bytes.extend(pair.iter().skip(if field.bytes() == 2 { 0 } else { 1 }));
    }
    Ok(bytes)
}

/// Returns the day of the week of what a clock shows; 1970-01-01 was a Thursday.
fn weekday(shown: i64) -> u16 {
    let day = shown.div_euclid(86_400_000).saturating_add(4).rem_euclid(7);
    u16::try_from(day).unwrap_or_default()
}

/// Returns a field of what a clock shows, in milliseconds since 1970-01-01 00:00; `None` for a
/// field without meaning.
fn of(shown: i64, field: TimeField) -> Result<Option<u16>, NotEncoded> {
    let utc = Utc::of(Wall::from_millis(shown));
    let (year, month, day) = utc.year_month_day();
    let second = i64::from(utc.second_of_day());
    let n = match field {
        TimeField::Year4 if (1970..=9999).contains(&year) => year,
        TimeField::Year2 if (2000..=2099).contains(&year) => year - 2000,
        TimeField::Year4 | TimeField::Year2 => return Err(NotEncoded::NoSuchTime),
        TimeField::Month => month.into(),
        TimeField::Day => day.into(),
        TimeField::Hour => second / 3600,
        TimeField::Minute => second / 60 % 60,
        TimeField::Second => second % 60,
        TimeField::Millisecond => shown.rem_euclid(1000),
        // Devices do not agree on the number of a day: registers keep theirs.
        TimeField::Weekday | TimeField::Unused => return Ok(None),
    };
    u16::try_from(n)
        .map(Some)
        .map_err(|_| NotEncoded::NoSuchTime)
}

/// Returns two decimal digits in a byte.
pub(super) fn two(n: u16) -> Result<u8, NotEncoded> {
    let n = u8::try_from(n).ok().filter(|n| *n <= 99);
    n.map(|n| n / 10 * 16 + n % 10)
        .ok_or(NotEncoded::NoSuchTime)
}

//! Dates and times of day as devices write them, and as the platform gets them: a moment as
//! UTC milliseconds since 1970 in digits, which is how Alink writes its data type `date`.

use super::refusal::NoValueReason;
use crate::base::Value;
use crate::spec::{ByteOrder, DateTime, TimeField, TimeLayout, UtcOffset};

/// The first millisecond of the year 10000: nothing that a clock shows is later.
const END: i64 = 253_402_300_800_000;

/// Returns the moment at which a clock with this offset shows this many milliseconds since
/// 1970-01-01 00:00.
///
/// # Errors
/// If it is before 1970 or after the year 9999.
pub(crate) fn value(shown: i64, offset: UtcOffset) -> Result<Value, NoValueReason> {
    shown
        .checked_sub(offset.as_millis())
        .filter(|millis| (0..END).contains(millis))
        .map(|millis| Value::Text(millis.to_string()))
        .ok_or(NoValueReason::NoSuchTime)
}

/// What a clock shows.
#[derive(Clone, Copy, Debug, Default)]
struct Civil {
    year: u16,
    month: u16,
    day: u16,
    hour: u16,
    minute: u16,
    second: u16,
    millisecond: u16,
}

impl Civil {
    fn set(&mut self, field: TimeField, n: u16) -> Result<(), NoValueReason> {
        match field {
            TimeField::Year4 => self.year = n,
            TimeField::Year2 if n > 99 => return Err(NoValueReason::NoSuchTime),
            TimeField::Year2 => self.year = 2000 + n,
            TimeField::Month => self.month = n,
            TimeField::Day => self.day = n,
            TimeField::Hour => self.hour = n,
            TimeField::Minute => self.minute = n,
            TimeField::Second => self.second = n,
            TimeField::Millisecond => self.millisecond = n,
            TimeField::Weekday | TimeField::Unused => {}
        }
        Ok(())
    }

    /// Returns the milliseconds since 1970-01-01 00:00 on the same clock; `None` if there is
    /// no such date or time of day.
    fn millis(self) -> Option<i64> {
        let is_time = self.hour < 24 && self.minute < 60 && self.second < 60;
        if !is_time || self.millisecond > 999 {
            return None;
        }
        let [hour, minute, second] = [self.hour, self.minute, self.second].map(i64::from);
        let seconds = self.days()? * 86_400 + hour * 3600 + minute * 60 + second;
        Some(seconds * 1000 + i64::from(self.millisecond))
    }

    /// Returns the days since 1970-01-01 in the Gregorian calendar: Howard Hinnant,
    /// "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`. Years are counted
    /// from 1 March, so that the leap day is the last of its year.
    fn days(self) -> Option<i64> {
        let leap = self.year.is_multiple_of(4)
            && (!self.year.is_multiple_of(100) || self.year.is_multiple_of(400));
        let last = match self.month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            _ => return None,
        };
        if !(1..=last).contains(&self.day) || !(1970..=9999).contains(&self.year) {
            return None;
        }
        let [year, month, day] = [self.year, self.month, self.day].map(i64::from);
        let year = year - i64::from(month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        Some(era * 146_097 + day_of_era - 719_468)
    }
}

/// Reads a layout of bytes, in the order of its fields.
///
/// # Errors
/// If there are too few bytes, a digit is above 9, or it is no date or time.
pub(crate) fn from_bytes(
    layout: &TimeLayout,
    bytes: &[u8],
    bcd: bool,
    offset: UtcOffset,
) -> Result<Value, NoValueReason> {
    let mut civil = Civil::default();
    let mut rest = bytes;
    for field in layout.fields() {
        let (own, after) = rest
            .split_at_checked(usize::from(field.bytes()))
            .ok_or(NoValueReason::Length)?;
        rest = after;
        if matches!(field, TimeField::Weekday | TimeField::Unused) {
            continue;
        }
        let step = if bcd { 100 } else { 256 };
        let n = own.iter().try_fold(0u32, |sum, byte| {
            Ok(sum * step + u32::from(if bcd { two(*byte)? } else { *byte }))
        })?;
        civil.set(
            *field,
            u16::try_from(n).map_err(|_| NoValueReason::NoSuchTime)?,
        )?;
    }
    value(civil.millis().ok_or(NoValueReason::NoSuchTime)?, offset)
}

/// Reads the date or time of registers.
///
/// # Errors
/// As of [`from_bytes`].
pub(crate) fn from_registers(of: &DateTime, registers: &[u16]) -> Result<Value, NoValueReason> {
    let bytes: Vec<u8> = registers
        .iter()
        .flat_map(|word| match of.bytes {
            ByteOrder::High => word.to_be_bytes(),
            ByteOrder::Low => word.to_le_bytes(),
        })
        .collect();
    if !of.form.is_registers() {
        let end = usize::from(of.layout.bytes());
        let bytes = bytes.get(..end).ok_or(NoValueReason::NotCovered)?;
        return from_bytes(&of.layout, bytes, of.form.is_bcd(), of.utc_offset);
    }
    let mut civil = Civil::default();
    for (field, register) in of.layout.fields().iter().zip(bytes.chunks_exact(2)) {
        let n = match (field, register, of.form.is_bcd()) {
            (TimeField::Weekday | TimeField::Unused, _, _) => continue,
            (_, [high, low], true) => 100 * u16::from(two(*high)?) + u16::from(two(*low)?),
            (_, [high, low], false) => u16::from_be_bytes([*high, *low]),
            _ => return Err(NoValueReason::NotCovered),
        };
        civil.set(*field, n)?;
    }
    value(
        civil.millis().ok_or(NoValueReason::NoSuchTime)?,
        of.utc_offset,
    )
}

/// Returns the number of two decimal digits.
pub(crate) const fn two(byte: u8) -> Result<u8, NoValueReason> {
    if byte >> 4 > 9 || byte & 15 > 9 {
        return Err(NoValueReason::NotDecimal);
    }
    Ok(10 * (byte >> 4) + (byte & 15))
}

#[cfg(test)]
mod tests;

//! The fields of a date and a time of day, and the offset of its clock.

use super::ByteOrder;
use serde::Serialize;

/// How far a device's clock is ahead of UTC, all year round, in minutes. From −14 to +14 hours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UtcOffset(i16);

impl UtcOffset {
    /// Returns an offset of so many minutes ahead; `None` beyond 14 hours, which no place on
    /// Earth has.
    #[must_use]
    pub const fn from_minutes(minutes: i16) -> Option<UtcOffset> {
        match minutes.unsigned_abs() <= 14 * 60 {
            true => Some(UtcOffset(minutes)),
            false => None,
        }
    }

    /// Returns the offset in milliseconds.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0 as i64 * 60_000
    }
}

/// One field of a date and a time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum TimeField {
    /// The year with its century: 2026.
    Year4,
    /// The year within the century that began in 2000.
    Year2,
    /// The month, 1–12.
    Month,
    /// The day of the month, 1–31.
    Day,
    /// The hour, 0–23.
    Hour,
    /// The minute, 0–59.
    Minute,
    /// The second, 0–59.
    Second,
    /// The millisecond, 0–999.
    Millisecond,
    /// The day of the week, 0 for Sunday. It is not read: the date says it already.
    Weekday,
    /// A field without meaning here: a filler.
    Unused,
}

impl TimeField {
    /// All fields, with the word the configuration has for each.
    pub const ALL: [(&'static str, TimeField); 10] = [
        ("YYYY", TimeField::Year4),
        ("YY", TimeField::Year2),
        ("MM", TimeField::Month),
        ("DD", TimeField::Day),
        ("WW", TimeField::Weekday),
        ("hh", TimeField::Hour),
        ("mm", TimeField::Minute),
        ("ss", TimeField::Second),
        ("ms", TimeField::Millisecond),
        ("--", TimeField::Unused),
    ];

    /// Returns how many bytes the field takes where fields are bytes.
    #[must_use]
    pub const fn bytes(self) -> u16 {
        match self {
            TimeField::Year4 | TimeField::Millisecond => 2,
            _ => 1,
        }
    }
}

/// The most fields a layout has.
const MOST: usize = 12;

/// The fields of a date and time, in the order of their positions. A layout always has a year, a
/// month and a day. Only a field that is not read may stand twice. A layout without a time of day
/// means midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TimeLayout {
    fields: [TimeField; MOST],
    length: u8,
}

impl TimeLayout {
    /// Returns a layout of these fields; `None` if they are no layout.
    #[must_use]
    pub fn new(fields: &[TimeField]) -> Option<TimeLayout> {
        use TimeField::{Day, Month, Unused, Weekday, Year2, Year4};
        let count = |field: TimeField| fields.iter().filter(|f| **f == field).count();
        let each_once = fields
            .iter()
            .all(|f| matches!(f, Unused | Weekday) || count(*f) == 1);
        let whole = count(Year2) + count(Year4) == 1 && count(Month) == 1 && count(Day) == 1;
        if !each_once || !whole || fields.len() > MOST {
            return None;
        }
        let mut all = [Unused; MOST];
        all.iter_mut()
            .zip(fields)
            .for_each(|(to, from)| *to = *from);
        Some(TimeLayout {
            fields: all,
            length: u8::try_from(fields.len()).ok()?,
        })
    }

    /// Returns the fields of the layout.
    #[must_use]
    pub fn fields(&self) -> &[TimeField] {
        self.fields
            .get(..usize::from(self.length))
            .unwrap_or_default()
    }

    /// Returns how many bytes the layout takes where fields are bytes.
    #[must_use]
    pub const fn bytes(&self) -> u16 {
        let (mut sum, mut i) = (0, 0);
        while i < self.length as usize {
            sum += self.fields[i].bytes();
            i += 1;
        }
        sum
    }
}

/// How each field is written in registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum FieldForm {
    /// A register each, as a binary number.
    Registers,
    /// A register each, as decimal digits, four bits each.
    BcdRegisters,
    /// A byte each (two for a year with its century and for milliseconds, the more
    /// significant first), as a binary number.
    Bytes,
    /// As `Bytes`, but as decimal digits, four bits each.
    BcdBytes,
}

impl FieldForm {
    /// Returns whether the digits are decimal.
    #[must_use]
    pub const fn is_bcd(self) -> bool {
        matches!(self, FieldForm::BcdRegisters | FieldForm::BcdBytes)
    }

    /// Returns whether each field is a register of its own.
    #[must_use]
    pub const fn is_registers(self) -> bool {
        matches!(self, FieldForm::Registers | FieldForm::BcdRegisters)
    }
}

/// A date and a time of day in registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct DateTime {
    /// The fields.
    pub layout: TimeLayout,
    /// How each field is written.
    pub form: FieldForm,
    /// Which byte comes first within a register.
    pub bytes: ByteOrder,
    /// The offset of the clock.
    pub utc_offset: UtcOffset,
}

impl DateTime {
    /// Returns how many registers the fields take.
    #[must_use]
    pub fn registers(&self) -> u16 {
        match self.form.is_registers() {
            true => u16::from(self.layout.length),
            false => self.layout.bytes().div_ceil(2),
        }
    }
}

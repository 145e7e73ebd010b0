//! A time stamp in the form that people read: date and time of day in UTC.
//!
//! The form is UTC and not local time, because a gateway's log is read next to the
//! platform's log and next to the logs of other gateways.

use std::fmt;

use super::Wall;

/// A calendar date and time of day, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Utc {
    year: i64,
    month: u8,
    day: u8,
    second_of_day: u32,
}

impl Utc {
    /// Returns the date and time of a stamp.
    #[must_use]
    pub fn of(stamp: Wall) -> Self {
        let seconds = stamp.as_millis().div_euclid(1000);
        let second_of_day = u32::try_from(seconds.rem_euclid(86_400)).unwrap_or(0);
        let (year, month, day) = civil(seconds.div_euclid(86_400));
        Utc {
            year,
            month,
            day,
            second_of_day,
        }
    }

    /// Returns the year, the month (1–12) and the day of the month (1–31).
    #[must_use]
    pub const fn year_month_day(self) -> (i64, u8, u8) {
        (self.year, self.month, self.day)
    }

    /// Returns the seconds since midnight, 0–86,399.
    #[must_use]
    pub const fn second_of_day(self) -> u32 {
        self.second_of_day
    }

    /// Returns the time of day alone: `12:31:07`.
    #[must_use]
    pub fn time_of_day(self) -> impl fmt::Display {
        let s = self.second_of_day;
        format!("{:02}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
    }

    /// Returns the date alone: `2026-11-22`.
    #[must_use]
    pub fn date(self) -> impl fmt::Display {
        format!("{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} UTC", self.date(), self.time_of_day())
    }
}

/// Converts days since 1970-01-01 to year, month and day in the proleptic Gregorian
/// calendar: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms",
/// `civil_from_days`. Years are counted from 1 March, so that the leap day is the last day
/// of its year.
fn civil(days: i64) -> (i64, u8, u8) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    // Month and day are within 1..=31 by the arithmetic above.
    (
        year,
        u8::try_from(month).unwrap_or(0),
        u8::try_from(day).unwrap_or(0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_match_what_date_u_prints() {
        // From `date -u -d @N '+%F %T UTC'`.
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (951_868_799, "2000-02-29 23:59:59 UTC"),
            (1_709_210_096, "2024-02-29 12:34:56 UTC"),
            (1_735_689_599, "2024-12-31 23:59:59 UTC"),
            (1_795_309_483, "2026-11-22 01:04:43 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
            (-1, "1969-12-31 23:59:59 UTC"),
        ] {
            let stamp = Wall::from_millis(seconds * 1000);
            assert_eq!(Utc::of(stamp).to_string(), text);
        }
    }
}

//! Two kinds of time that the compiler keeps apart.
//!
//! [`Mono`] orders events and carries deadlines; it never jumps. [`Wall`] stamps readings
//! for people. It may jump, and on a box without a battery clock it may be decades wrong.
//! [`Now`] holds both, taken at one instant. No function here reads a clock.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A point on the monotonic clock: microseconds since some fixed start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(u64);

impl Mono {
    /// The start of the clock; earlier than or equal to every other point.
    pub const START: Mono = Mono(0);

    /// Returns the point `micros` microseconds after the start.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Mono(micros)
    }

    /// Returns the microseconds since the start.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Returns the time so long before this one; the start of the clock if there is none.
    #[must_use]
    pub fn before(self, span: Duration) -> Self {
        let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        Mono(self.0.saturating_sub(micros))
    }

    /// Returns how long ago `earlier` was; zero if it is not in the past.
    #[must_use]
    pub const fn since(self, earlier: Mono) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Mono {
    type Output = Mono;

    fn add(self, rhs: Duration) -> Mono {
        let micros = u64::try_from(rhs.as_micros()).unwrap_or(u64::MAX);
        Mono(self.0.saturating_add(micros))
    }
}

impl Sub<Mono> for Mono {
    type Output = Duration;

    /// Returns the same as [`Mono::since`].
    fn sub(self, rhs: Mono) -> Duration {
        self.since(rhs)
    }
}

impl fmt::Display for Mono {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}s", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// A point on the wall clock: milliseconds since 1970-01-01T00:00:00Z, the unit
/// of every Alink timestamp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wall(i64);

impl Wall {
    /// Returns the point `millis` milliseconds after the Unix epoch.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Wall(millis)
    }

    /// Returns the milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One instant on both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// The time for deadlines.
    pub mono: Mono,
    /// The time for stamps.
    pub wall: Wall,
}

/// When an engine wants to be woken, and why. The reason goes from the smallest timer up to
/// the log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wake {
    /// The latest time of the wake-up.
    pub at: Mono,
    /// The reason for the wake-up.
    pub why: &'static str,
}

impl Wake {
    /// Creates a wake-up at `at`, because of `why`.
    #[must_use]
    pub const fn new(at: Mono, why: &'static str) -> Self {
        Wake { at, why }
    }

    /// Returns the earlier of two optional wake-ups; the first on a tie.
    #[must_use]
    pub fn earlier(a: Option<Wake>, b: Option<Wake>) -> Option<Wake> {
        match (a, b) {
            (Some(a), Some(b)) => Some(if b.at < a.at { b } else { a }),
            (one, None) | (None, one) => one,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monotonic_arithmetic_saturates_instead_of_wrapping() {
        let t = Mono::from_micros(5);
        assert_eq!(t.since(Mono::from_micros(9)), Duration::ZERO);
        assert_eq!(t + Duration::MAX, Mono::from_micros(u64::MAX));
    }

    #[test]
    fn the_earlier_wake_wins_and_keeps_its_reason() {
        let a = Some(Wake::new(Mono::from_micros(2), "a"));
        let b = Some(Wake::new(Mono::from_micros(1), "b"));
        assert_eq!(Wake::earlier(a, b), b);
        assert_eq!(Wake::earlier(a, None), a);
        assert_eq!(Wake::earlier(None, None), None);
    }
}

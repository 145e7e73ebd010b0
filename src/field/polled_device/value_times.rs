//! When the next value of each point comes in its turn: a request that is repeated to find a
//! fault brings no values more often than was configured.

use std::time::Duration;

use crate::base::Mono;
use crate::spec::{PointSpec, ProfileSpec};

/// The times of the values of one device.
#[derive(Clone, Debug)]
pub(super) struct ValueTimes {
    /// By point.
    next: Vec<NextValue>,
}

/// When the next value of a point is in its turn.
#[derive(Clone, Copy, Debug)]
struct NextValue {
    at: Mono,
    /// Whether the last value came after others had been missed.
    is_after_gap: bool,
}

impl From<Mono> for NextValue {
    fn from(at: Mono) -> Self {
        NextValue {
            at,
            is_after_gap: false,
        }
    }
}

impl NextValue {
    /// Returns how early the value may be: as early as its predecessor was late, which is less
    /// than an interval. Behind a gap only half of that: the request that confirms the return of
    /// a device follows the first one at once, and takes no value from the next on the grid.
    fn may_be_early(self, interval: Duration) -> Duration {
        match self.is_after_gap {
            true => interval / 2,
            false => interval,
        }
    }
}

impl ValueTimes {
    /// Returns the state in which a value of every point is wanted.
    pub(super) fn new(profile: &ProfileSpec, now: Mono) -> Self {
        ValueTimes {
            next: vec![NextValue::from(now); profile.points.len()],
        }
    }

    /// Wants a value of every point anew.
    pub(super) fn restart(&mut self, now: Mono) {
        self.next.fill(NextValue::from(now));
    }

    /// Returns those of these points whose next value is not out of turn if it comes then.
    pub(super) fn wanted(&self, profile: &ProfileSpec, points: &[u16], comes: Mono) -> Vec<u16> {
        let in_turn = |p: &&u16| {
            let point = profile.points.get(usize::from(**p));
            let next = self.next.get(usize::from(**p));
            let early = |(point, next): (&PointSpec, &NextValue)| {
                comes + next.may_be_early(point.interval) < next.at
            };
            !point.zip(next).is_some_and(early)
        };
        points.iter().filter(in_turn).copied().collect()
    }

    /// Notes that values of these points were taken.
    pub(super) fn took(&mut self, profile: &ProfileSpec, points: &[u16], now: Mono) {
        for p in points {
            let point = profile.points.get(usize::from(*p));
            let next = self.next.get_mut(usize::from(*p));
            if let Some((point, next)) = point.zip(next) {
                next.is_after_gap = now > next.at + point.interval;
                next.at = now.max(next.at) + point.interval;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::test_spec::{number, point, profile};
    use crate::spec::{Number, Table};

    /// Returns which of the values that come at these times, in milliseconds, are taken; one is
    /// wanted every 2 s.
    fn taken(times: &[u64]) -> Vec<bool> {
        let profile = profile(vec![point(
            Table::HoldingRegister,
            0,
            number(Number::U16),
            2000,
        )]);
        let mut values = ValueTimes::new(&profile, Mono::START);
        let take = |ms: &u64| {
            let now = Mono::from_micros(ms * 1000);
            let wanted = values.wanted(&profile, &[0], now);
            values.took(&profile, &wanted, now);
            !wanted.is_empty()
        };
        times.iter().map(take).collect()
    }

    #[test]
    fn the_request_that_confirms_a_return_takes_no_value_from_the_next_on_the_grid() {
        let times = [86_200, 86_335, 88_060, 90_060, 92_060];
        assert_eq!(taken(&times), [true, false, true, true, true]);
    }

    #[test]
    fn a_value_may_be_as_early_as_its_predecessor_was_late() {
        let times = [1_900, 2_000, 2_100, 4_000];
        assert_eq!(taken(&times), [true, true, false, true]);
    }
}

//! How much of a contended line may be spent on devices that do not answer.

use std::time::Duration;

use crate::base::Mono;

/// The most that probes take of the clock, in thousandths: what is saved up for them, and the
/// bit by which the last of a burst takes longer than was left.
pub const PROBES_PERMILLE: u64 = 20;

/// Time that fills up slowly and may be overdrawn by one attempt.
#[derive(Clone, Debug)]
pub struct Budget {
    /// The share of the clock, in thousandths.
    share_permille: u64,
    /// The most that may be saved up.
    most: i64,
    /// How far an attempt that cannot wait may overdraw the budget.
    overdraft: i64,
    micros: i64,
    at: Mono,
}

impl Budget {
    /// Returns a full budget for devices that are taken for dead: a twentieth of the clock,
    /// saved up to an ordinary timeout, with some credit to confirm a silence that has just
    /// begun.
    #[must_use]
    pub const fn for_silent_devices(now: Mono) -> Self {
        Budget::new(now, 50, 500, 500)
    }

    /// Returns a full budget for attempts that may delay other devices but cost no device a
    /// poll.
    #[must_use]
    pub const fn for_delays(now: Mono) -> Self {
        Budget::new(now, 200, 500, 500)
    }

    /// Returns a full budget for devices that have never answered. Most of them will answer,
    /// so it is seven tenths of the clock: with less, the present devices wait too long for
    /// their first poll behind the absent ones.
    #[must_use]
    pub const fn for_never_answered(now: Mono) -> Self {
        Budget::new(now, 700, 1000, 0)
    }

    /// Returns a full budget for requests of a lower priority that have waited for a whole
    /// interval: a tenth of the clock, however much the higher priorities ask for.
    #[must_use]
    pub const fn for_lower_priorities(now: Mono) -> Self {
        Budget::new(now, 100, 500, 0)
    }

    /// Returns a full budget for probes that read a part of a request, to tell stale replies
    /// apart or for a sign of life: less than a fiftieth of the clock, saved up for a burst of
    /// faults.
    #[must_use]
    pub const fn for_probes(now: Mono) -> Self {
        Budget::new(now, 15, 500, 0)
    }

    /// Returns a full budget for requests that show whether two devices have one address: some
    /// thirty requests of 50 ms at once, and in the long run half a percent of the clock, so
    /// that with the probes it is no more than [`PROBES_PERMILLE`].
    #[must_use]
    pub const fn for_samples(now: Mono) -> Self {
        Budget::new(now, 5, 1500, 0)
    }

    /// Returns a full budget for commands: three tenths of the clock. A line that is loaded to
    /// seven tenths carries its polls beside them; with half of the clock, polls came late by more
    /// than an interval.
    #[must_use]
    pub const fn for_commands(now: Mono) -> Self {
        Budget::new(now, 300, 500, 0)
    }

    const fn new(now: Mono, share_permille: u64, most_ms: i64, overdraft_ms: i64) -> Self {
        Budget {
            share_permille,
            most: most_ms * 1000,
            overdraft: overdraft_ms * 1000,
            micros: most_ms * 1000,
            at: now,
        }
    }

    /// Returns whether an attempt may be paid from this budget.
    #[must_use]
    pub fn allows(&self, now: Mono) -> bool {
        self.left(now) > 0
    }

    /// Returns whether an attempt that cannot wait may be paid from this budget: it finds out that
    /// a device that answered a moment ago no longer answers.
    #[must_use]
    pub fn allows_urgent(&self, now: Mono) -> bool {
        self.left(now) > -self.overdraft
    }

    /// Returns whether nothing has been spent from this budget lately.
    #[must_use]
    pub fn is_full(&self, now: Mono) -> bool {
        self.left(now) >= self.most
    }

    /// Returns from when on this budget allows an attempt.
    #[must_use]
    pub fn ready_at(&self, now: Mono) -> Mono {
        let missing = u64::try_from(1 - self.left(now)).unwrap_or(0);
        now + Duration::from_micros(missing * 1000 / self.share_permille + 1)
    }

    /// Pays for an attempt that got nothing and took this long.
    pub fn spend(&mut self, now: Mono, took: Duration) {
        let took = i64::try_from(took.as_micros()).unwrap_or(i64::MAX);
        self.micros = self.left(now).saturating_sub(took);
        self.at = now;
    }

    fn left(&self, now: Mono) -> i64 {
        let earned = now.since(self.at).as_micros() * u128::from(self.share_permille) / 1000;
        let earned = i64::try_from(earned).unwrap_or(i64::MAX);
        self.micros.saturating_add(earned).min(self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_the_long_run_a_twentieth_of_the_clock_is_spent() {
        let attempt = Duration::from_millis(500);
        let mut now = Mono::START;
        let mut budget = Budget::for_silent_devices(now);
        let mut spent = Duration::ZERO;
        while now < Mono::from_micros(1_000_000_000) {
            if budget.allows(now) {
                now = now + attempt;
                budget.spend(now, attempt);
                spent += attempt;
            } else {
                now = budget.ready_at(now);
                assert!(budget.allows(now));
            }
        }
        let share = spent.as_secs_f64() / 1000.0;
        assert!((0.049..0.052).contains(&share), "{share}");
    }
}

//! Waits that become longer after each failure: bounded, with jitter, and without a clock
//! of their own.

use std::time::Duration;

use super::{Mono, Rng};

/// A growing wait between attempts.
///
/// `failed` doubles the wait up to the ceiling; `reset` goes back to the floor. The type
/// does not know what is being attempted.
#[derive(Clone, Debug)]
pub struct Backoff {
    floor: Duration,
    ceiling: Duration,
    failures: u32,
    not_before: Option<Mono>,
}

impl Backoff {
    /// Creates a backoff whose waits start at `floor` and never exceed `ceiling`.
    #[must_use]
    pub const fn new(floor: Duration, ceiling: Duration) -> Self {
        Backoff {
            floor,
            ceiling,
            failures: 0,
            not_before: None,
        }
    }

    /// Notes a failure at `now` and returns how long to wait.
    pub fn failed(&mut self, now: Mono, rng: &mut Rng) -> Duration {
        let factor = 1u32.checked_shl(self.failures.min(20)).unwrap_or(u32::MAX);
        self.failures = self.failures.saturating_add(1);
        let wait = rng.jitter(self.floor.saturating_mul(factor).min(self.ceiling));
        self.not_before = Some(now + wait);
        wait
    }

    /// Notes a failure for which the other side has named a wait. The wait is never shorter
    /// than the named one; up to half of it is added as jitter.
    pub fn failed_for_at_least(&mut self, now: Mono, least: Duration, rng: &mut Rng) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let wait = least + rng.jitter(least) / 2;
        self.not_before = Some(now + wait);
        wait
    }

    /// Notes a success: the next failure waits the floor again.
    pub fn reset(&mut self) {
        self.failures = 0;
        self.not_before = None;
    }

    /// Returns how many failures there were in a row.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// Returns the time before which the next attempt may not come; `None` when nothing failed.
    #[must_use]
    pub const fn not_before(&self) -> Option<Mono> {
        self.not_before
    }

    /// Returns whether an attempt is allowed at `now`.
    #[must_use]
    pub fn ready(&self, now: Mono) -> bool {
        self.not_before.is_none_or(|t| now >= t)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_ceiling_and_start_again_after_success() {
        let mut rng = Rng::new(1);
        let mut b = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        let now = Mono::START;
        let mut last = Duration::ZERO;
        for _ in 0..40 {
            last = b.failed(now, &mut rng);
            assert!(last <= Duration::from_secs(60));
        }
        assert!(last >= Duration::from_secs(30));
        assert!(!b.ready(now));
        b.reset();
        assert!(b.ready(now));
        assert!(b.failed(now, &mut rng) <= Duration::from_secs(1));
    }

    #[test]
    fn a_hint_is_a_lower_bound() {
        let mut rng = Rng::new(1);
        let mut b = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        let hint = Duration::from_secs(60);
        for _ in 0..100 {
            let wait = b.failed_for_at_least(Mono::START, hint, &mut rng);
            assert!(wait >= hint && wait <= hint.mul_f32(1.5), "{wait:?}");
        }
    }
}

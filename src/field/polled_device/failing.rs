//! How one request of a device fails, and when it is made again.
//!
//! A failure belongs to the request as long as the device proves by other replies that it
//! lives. The stages of a request that fails:
//!
//! 1. The request failed once or twice, and nothing else is known: the device itself is in
//!    doubt, and `polled_device/mod.rs` finds out by its other requests.
//! 2. The device has proved meanwhile that it lives: the request is *set aside*. It is made
//!    again by itself, and whatever its outcome, it says nothing about the device.
//! 3. The request failed once more: the failure is certain. What the request reads is divided
//!    to find the points at fault (`polled_device/adaptive_plan.rs`), or reported.
//!
//! A request that is set aside is made again soon at first, so that ten seconds after a burst
//! of faults everything is read as configured. Then it is made ever more rarely: after an
//! eighth of the time for which it has been failing, at most an hour. In the first ten hours
//! that is some seventy times.

use std::time::Duration;

use crate::base::{Mono, RequestFailure};

/// The shortest wait of a request that is set aside.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// The longest wait while the failure is new: within ten seconds of the last fault of a burst
/// the request has been made again.
const SOON_AT_MOST: Duration = Duration::from_secs(7);

/// Which part of the time for which the request has been failing is the wait.
const PART_OF_ITS_TIME: u32 = 8;

/// The longest wait.
const RARELY: Duration = Duration::from_secs(3600);

/// How often in a row a request must fail before it may be set aside.
pub(crate) const DOUBTED: u32 = 2;

/// How often in a row a request that is set aside must fail before it fails for certain.
pub(crate) const CERTAIN: u32 = 3;

/// A request that failed the last time it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failing {
    how: RequestFailure,
    /// The code of the refusal, if the failure is a refusal.
    code: Option<u8>,
    /// When the request failed first, of the failures in a row.
    since: Mono,
    /// When the request failed last.
    last: Mono,
    /// How often in a row the request failed.
    times: u32,
    /// Whether the device proved meanwhile that it lives.
    set_aside: bool,
    /// Whether the points were reported to the operator.
    told: bool,
    /// How often the request was made out of turn since it began to fail.
    early_retries: u32,
}

impl Failing {
    pub(crate) const fn new(now: Mono, how: RequestFailure, code: Option<u8>) -> Self {
        Failing {
            how,
            code,
            since: now,
            last: now,
            times: 1,
            set_aside: false,
            told: false,
            early_retries: 0,
        }
    }

    /// Returns how the request failed last.
    pub(crate) const fn last_failure(&self) -> RequestFailure {
        self.how
    }

    /// Returns the code of the refusal, if the failure is a refusal.
    pub(crate) const fn code(&self) -> Option<u8> {
        self.code
    }

    /// Returns when the request failed first, of the failures in a row.
    pub(crate) const fn since(&self) -> Mono {
        self.since
    }

    /// Returns when the request failed last.
    pub(crate) const fn last(&self) -> Mono {
        self.last
    }

    /// Returns how often in a row the request failed.
    pub(crate) const fn times(&self) -> u32 {
        self.times
    }

    /// Returns whether the request is set aside.
    pub(crate) const fn is_set_aside(&self) -> bool {
        self.set_aside
    }

    /// Sets the request aside, as the device proved meanwhile that it lives.
    pub(crate) const fn set_aside(&mut self) {
        self.set_aside = true;
    }

    /// Returns whether the points were reported to the operator.
    pub(crate) const fn is_told(&self) -> bool {
        self.told
    }

    /// Notes that the points were reported to the operator.
    pub(crate) const fn tell(&mut self) {
        self.told = true;
    }

    /// Notes that the request failed again.
    pub(crate) fn again(&mut self, now: Mono, how: RequestFailure, code: Option<u8>) {
        self.how = how;
        self.code = code;
        self.last = now;
        self.times = self.times.saturating_add(1);
    }

    /// Returns the state of a part of this request that is made in its place: the part fails
    /// for certain if it fails once.
    pub(crate) const fn of_a_part(&self) -> Self {
        Failing {
            times: CERTAIN - 1,
            set_aside: false,
            told: false,
            early_retries: 0,
            ..*self
        }
    }

    /// Returns when the request is made again, set aside; its interval is the least once the
    /// failure is certain.
    pub(crate) fn next_try(&self, interval: Duration) -> Mono {
        let doublings = self.times.saturating_sub(DOUBTED).min(16);
        let soon = (interval * 2)
            .max(SHORTEST_WAIT)
            .saturating_mul(1 << doublings);
        let soon = soon.min(SOON_AT_MOST);
        let rarely = (self.last.since(self.since) / PART_OF_ITS_TIME).min(RARELY);
        let least = match self.times {
            0..CERTAIN => Duration::ZERO,
            _ => interval,
        };
        self.last + soon.max(rarely).max(least)
    }

    /// Returns whether the request may be made out of turn, for a reason that concerns its device:
    /// the first time at once, later after one minute, two, four and so on since it last
    /// failed.
    pub(crate) fn may_retry_early(&mut self, now: Mono) -> bool {
        let wait = match self.early_retries {
            0 => Duration::ZERO,
            n => Duration::from_secs(60).saturating_mul(1 << (n - 1).min(16)),
        };
        let may = now >= self.last + wait;
        self.early_retries = self.early_retries.saturating_add(u32::from(may));
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns when a request that is read every `interval` seconds and never succeeds is
    /// made, in seconds.
    fn tries(interval: u64, until: u64) -> Vec<u64> {
        let mut now = Mono::START;
        let how = RequestFailure::Silence;
        let mut failing = Failing::new(now, how, None);
        failing.set_aside();
        failing.again(now, how, None);
        let mut all = Vec::new();
        loop {
            now = failing.next_try(Duration::from_secs(interval));
            if now > Mono::from_micros(until * 1_000_000) {
                return all;
            }
            failing.again(now, how, None);
            all.push(now.as_micros() / 1_000_000);
        }
    }

    #[test]
    fn a_request_that_fails_is_made_again_within_seven_seconds_and_then_ever_more_rarely() {
        let tries = tries(2, 36_000);
        assert!(tries.len() <= 75, "{}", tries.len());
        let waits: Vec<u64> = tries.windows(2).map(|w| w[1] - w[0]).collect();
        assert!(waits.windows(2).all(|w| w[0] <= w[1] + 1), "{waits:?}");
        for w in tries.windows(2) {
            assert!(w[1] - w[0] <= 7 || w[1] - w[0] <= w[1] / 8 + 1, "{w:?}");
        }
        assert!(*waits.last().unwrap() >= 3000, "{waits:?}");
    }

    #[test]
    fn no_request_is_made_more_often_than_configured_once_it_is_certain() {
        let tries = tries(600, 36_000);
        assert!(tries[0] <= 7, "{tries:?}");
        assert!(tries.windows(2).all(|w| w[1] - w[0] >= 600), "{tries:?}");
    }

    #[test]
    fn it_is_hastened_ever_less_often() {
        let how = RequestFailure::Refused;
        let mut failing = Failing::new(Mono::START, how, Some(2));
        let mut hastened = Vec::new();
        for second in 0..600 {
            let now = Mono::from_micros(second * 1_000_000);
            if failing.may_retry_early(now) {
                failing.again(now, how, Some(2));
                hastened.push(second);
            }
        }
        assert_eq!(hastened, [0, 60, 180, 420]);
    }
}

//! How much of a contended line may be spent on devices that do not answer.

use std::time::Duration;

use crate::base::Mono;

/// Of the clock, in thousandths.
const SHARE_PERMILLE: u64 = 50;

/// What may be saved up: one ordinary timeout.
const CEILING_MICROS: i64 = 500_000;

/// How far it may be overdrawn for what cannot wait.
const OVERDRAFT_MICROS: i64 = 2_000_000;

/// Time that fills up slowly and may be overdrawn by one attempt.
#[derive(Clone, Debug)]
pub struct Budget {
    micros: i64,
    at: Mono,
}

impl Budget {
    /// A full budget.
    #[must_use]
    pub const fn new(now: Mono) -> Self {
        Budget {
            micros: CEILING_MICROS,
            at: now,
        }
    }

    /// Whether an attempt may be paid from it.
    #[must_use]
    pub fn allows(&self, now: Mono) -> bool {
        self.left(now) > 0
    }

    /// Whether an attempt may be paid from it that cannot wait: finding out
    /// that a device that answered a moment ago no longer does.
    #[must_use]
    pub fn allows_urgent(&self, now: Mono) -> bool {
        self.left(now) > -OVERDRAFT_MICROS
    }

    /// From when on it allows an attempt.
    #[must_use]
    pub fn ready_at(&self, now: Mono) -> Mono {
        let missing = u64::try_from(1 - self.left(now)).unwrap_or(0);
        now + Duration::from_micros(missing * 1000 / SHARE_PERMILLE + 1)
    }

    /// An attempt got nothing and took this long.
    pub fn spend(&mut self, now: Mono, took: Duration) {
        let took = i64::try_from(took.as_micros()).unwrap_or(i64::MAX);
        self.micros = self.left(now).saturating_sub(took);
        self.at = now;
    }

    fn left(&self, now: Mono) -> i64 {
        let earned = now.since(self.at).as_micros() * u128::from(SHARE_PERMILLE) / 1000;
        let earned = i64::try_from(earned).unwrap_or(i64::MAX);
        self.micros.saturating_add(earned).min(CEILING_MICROS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_the_long_run_a_twentieth_of_the_clock_is_spent() {
        let attempt = Duration::from_millis(500);
        let mut now = Mono::START;
        let mut budget = Budget::new(now);
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

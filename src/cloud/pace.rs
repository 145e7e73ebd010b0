//! How fast we may speak: messages on the connection, log-ins of one device,
//! and gates the platform closes.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::{Backoff, Mono, Rng};

/// The window in which log-ins of one device, and CONNECTs, are counted.
pub(super) const MINUTE: Duration = Duration::from_secs(60);

/// A token bucket over all messages of one connection (as GCRA, ITU-T I.371:
/// one time stamp instead of a counter and a refill timer).
///
/// The burst is a fifth of a second's worth, so that *any* window of one
/// second holds at most 1.2 times the rate: at the default of 25 a second,
/// the 30 above which the platform drops silently are never exceeded.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    interval: Duration,
    /// How far ahead of the even spacing a burst may run.
    slack: Duration,
    /// When the next message would be sent if they were spaced evenly.
    even: Mono,
}

impl Bucket {
    /// `per_second` messages a second, at least 1.
    pub(super) fn new(per_second: u32) -> Self {
        let rate = per_second.max(1);
        let interval = Duration::from_secs(1) / rate;
        Bucket {
            interval,
            slack: interval * (rate / 5).max(1).saturating_sub(1),
            even: Mono::START,
        }
    }

    /// The next message may be sent then.
    pub(super) fn ready_at(&self) -> Mono {
        Mono::START + self.even.since(Mono::START + self.slack)
    }

    /// A message is sent.
    pub(super) fn take(&mut self, now: Mono) {
        self.even = self.even.max(now) + self.interval;
    }
}

/// A gate that the platform closes for a while, longer each time in a row.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    least: Duration,
    backoff: Backoff,
    until: Mono,
}

impl Gate {
    /// An open gate that closes for at least `least`, plus up to half as
    /// jitter, and for `ceiling` at the longest.
    pub(super) fn new(least: Duration, ceiling: Duration) -> Self {
        Gate {
            least,
            backoff: Backoff::new(least * 2, ceiling),
            until: Mono::START,
        }
    }

    /// Closes it; returns for how long. Closing a closed gate again (the
    /// answers to what was already under way) changes nothing.
    pub(super) fn close(&mut self, now: Mono, rng: &mut Rng) -> Duration {
        if now < self.until {
            return self.until.since(now);
        }
        let wait = if self.backoff.failures() == 0 {
            self.backoff.failed_for_at_least(now, self.least, rng)
        } else {
            self.backoff.failed(now, rng).max(self.least)
        };
        self.until = now + wait;
        wait
    }

    /// Something passed and was accepted: the next closing is short again.
    pub(super) fn passed(&mut self) {
        self.backoff.reset();
    }

    /// Opens it before its time.
    pub(super) fn open(&mut self) {
        self.until = Mono::START;
    }

    /// It is, or will be, open from then on.
    pub(super) const fn opens_at(&self) -> Mono {
        self.until
    }
}

/// How often something was tried in the last minute.
#[derive(Clone, Debug, Default)]
pub(super) struct Attempts {
    recent: VecDeque<Mono>,
}

impl Attempts {
    /// The first moment at which one more attempt stays within `limit` in any
    /// 60 s; may be past.
    pub(super) fn free_at(&self, limit: usize) -> Mono {
        let limit = limit.max(1);
        match self.recent.len().checked_sub(limit) {
            // One second of margin: the platform counts by its own clock, and
            // messages travel at different speeds.
            Some(n) => self.recent[n] + MINUTE + Duration::from_secs(1),
            None => Mono::START,
        }
    }

    /// Whether the last two were made within this span.
    pub(super) fn are_two_within(&self, now: Mono, span: Duration) -> bool {
        let second = self.recent.iter().rev().nth(1);
        second.is_some_and(|t| now.since(*t) < span)
    }

    /// Notes one.
    pub(super) fn note(&mut self, now: Mono) {
        while self
            .recent
            .front()
            .is_some_and(|t| now.since(*t) > MINUTE * 2)
        {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Rng;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_second_holds_more_than_the_burst_allows(
            rate in 1u32..60, waits in prop::collection::vec(0u64..80_000, 1..400)
        ) {
            let mut bucket = Bucket::new(rate);
            let mut now = Mono::from_micros(1_000_000);
            let mut sent: Vec<Mono> = Vec::new();
            for wait in waits {
                now = (now + Duration::from_micros(wait)).max(bucket.ready_at());
                bucket.take(now);
                sent.push(now);
            }
            let most = rate + (rate / 5).max(1);
            for (i, from) in sent.iter().enumerate() {
                let within = sent[i..].iter().take_while(|t| t.since(*from) < Duration::from_secs(1)).count();
                prop_assert!(within <= most as usize, "{within} > {most}");
            }
        }

        #[test]
        fn attempts_never_exceed_their_budget(limit in 1usize..6, waits in prop::collection::vec(0u64..40, 1..100)) {
            let mut attempts = Attempts::default();
            let mut now = Mono::START;
            let mut made: Vec<Mono> = Vec::new();
            for wait in waits {
                now = (now + Duration::from_secs(wait)).max(attempts.free_at(limit));
                attempts.note(now);
                made.push(now);
            }
            for (i, from) in made.iter().enumerate() {
                let within = made[i..].iter().take_while(|t| t.since(*from) < MINUTE).count();
                prop_assert!(within <= limit);
            }
        }
    }

    #[test]
    fn a_gate_closes_at_least_its_least_and_longer_if_it_happens_again() {
        let mut rng = Rng::new(3);
        let mut gate = Gate::new(MINUTE, MINUTE * 10);
        let first = gate.close(Mono::START, &mut rng);
        assert!(first >= MINUTE && first <= MINUTE * 3 / 2);
        // An answer to something sent before the gate closed.
        let again = gate.close(Mono::START + Duration::from_secs(1), &mut rng);
        assert_eq!(again, first - Duration::from_secs(1));
        let later = gate.close(gate.opens_at(), &mut rng);
        assert!(later >= MINUTE * 2, "{later:?}");
    }
}

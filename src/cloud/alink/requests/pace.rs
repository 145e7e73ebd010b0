//! How fast the gateway may send: messages on the connection, log-ins of one device, and
//! the gates that the platform closes.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::{Mono, Rng};

/// The window in which log-ins of one device, and CONNECTs, are counted.
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// A token bucket over all messages of one connection (as GCRA, ITU-T I.371:
/// one time stamp instead of a counter and a refill timer).
///
/// The burst is a fifth of a second's worth, so that *any* window of one
/// second holds at most 1.2 times the rate: at the default of 25 a second,
/// the 30 above which the platform drops silently are never exceeded.
#[derive(Clone, Debug)]
pub(crate) struct TokenBucket {
    interval: Duration,
    /// How far ahead of the even spacing a burst may run.
    slack: Duration,
    /// When the next message would be sent if they were spaced evenly.
    even: Mono,
}

impl TokenBucket {
    /// Returns a bucket for `per_second` messages a second, at least 1.
    pub(crate) fn new(per_second: u32) -> Self {
        let rate = per_second.max(1);
        let interval = Duration::from_secs(1) / rate;
        TokenBucket {
            interval,
            slack: interval * (rate / 5).max(1).saturating_sub(1),
            even: Mono::START,
        }
    }

    /// Returns the same bucket at another rate: messages that were already sent still
    /// count.
    pub(crate) fn at_rate(&self, per_second: u32) -> Self {
        TokenBucket {
            even: self.even,
            ..TokenBucket::new(per_second)
        }
    }

    /// Returns when the next message may be sent.
    pub(crate) fn ready_at(&self) -> Mono {
        Mono::START + self.even.since(Mono::START + self.slack)
    }

    /// Takes note that a message is sent.
    pub(crate) fn take(&mut self, now: Mono) {
        self.even = self.even.max(now) + self.interval;
    }
}

/// Log-ins a second, counted in devices and evenly spaced: after a message of
/// `n` devices the next one waits `n` shares of a second, and 5 % more, because
/// messages travel at different speeds and the platform counts on arrival.
#[derive(Clone, Debug)]
pub(crate) struct LoginPace {
    per_second: u32,
    ready: Mono,
}

impl LoginPace {
    /// Returns a pace of `per_second` devices a second, at least 1.
    pub(crate) fn new(per_second: u32) -> Self {
        LoginPace {
            per_second: per_second.max(1),
            ready: Mono::START,
        }
    }

    /// Returns the same pace at another rate: devices that were already sent still count.
    pub(crate) fn at_rate(&self, per_second: u32) -> Self {
        LoginPace {
            ready: self.ready,
            ..LoginPace::new(per_second)
        }
    }

    /// Returns how many devices may be in one message: no more than may log in within a second.
    pub(crate) fn most(&self) -> usize {
        usize::try_from(self.per_second).unwrap_or(usize::MAX)
    }

    /// Returns when the next message may be sent.
    pub(crate) const fn ready_at(&self) -> Mono {
        self.ready
    }

    /// Takes note that a message about `devices` devices is sent.
    pub(crate) fn take(&mut self, now: Mono, devices: usize) {
        let devices = u64::try_from(devices).unwrap_or(u64::MAX);
        let micros = devices.saturating_mul(1_050_000) / u64::from(self.per_second);
        self.ready = now + Duration::from_micros(micros);
    }
}

/// How long replies take on this connection, smoothed as TCP smooths its round trips (RFC
/// 6298), and how long to wait for a reply.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReplyTimes {
    /// The smoothed time and the smoothed deviation from it.
    known: Option<(Duration, Duration)>,
}

impl ReplyTimes {
    /// No request is given up sooner, however quick the other replies were.
    const LEAST: Duration = Duration::from_secs(2);

    /// Takes note that a reply took this long. A late reply counts as well: ids are never
    /// used twice, so it is certain which request the reply answers.
    pub(crate) fn measured(&mut self, took: Duration) {
        self.known = Some(match self.known {
            None => (took, took / 2),
            Some((smooth, deviation)) => (
                smooth * 7 / 8 + took / 8,
                deviation * 3 / 4 + smooth.abs_diff(took) / 4,
            ),
        });
    }

    /// Returns how long a reply must take to be later than replies have been seen to be:
    /// four deviations longer than the smoothed time (RFC 6298), and a quarter of that time
    /// longer at least, since replies that come in order deviate little until one does.
    pub(crate) fn bound(&self) -> Option<Duration> {
        let (smooth, deviation) = self.known?;
        Some((smooth + deviation * 4).max(smooth * 5 / 4))
    }

    /// Returns how long to wait for the next reply, `most` at the longest; `None` while
    /// nothing is known.
    pub(crate) fn reply_timeout(&self, most: Duration) -> Option<Duration> {
        let (smooth, deviation) = self.known?;
        Some(((smooth + deviation) * 4).max(Self::LEAST).min(most))
    }
}

/// A pace of its own for messages that the platform refuses as too many (429): the pace
/// halves with each refusal, and is back at the full one within a minute.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slowdown {
    slowed: Option<SlowedPace>,
}

#[derive(Clone, Copy, Debug)]
struct SlowedPace {
    at: Mono,
    /// Thousandths of a message per second at that time.
    rate: u64,
    /// When the next message may be sent.
    ready: Mono,
}

impl Slowdown {
    /// The slowest pace: a message per second, so that the gateway sees when the platform
    /// takes messages again.
    const LEAST: u64 = 1_000;

    /// Returns the pace now, in thousandths of a message per second; the pace grows evenly.
    fn rate(&self, now: Mono, per_second: u32) -> u64 {
        let full = u64::from(per_second.max(1)) * 1_000;
        let Some(slowed) = self.slowed else {
            return full;
        };
        let since = u64::try_from(now.since(slowed.at).as_millis()).unwrap_or(u64::MAX);
        let minute = u64::try_from(MINUTE.as_millis()).unwrap_or(u64::MAX);
        let grown = full.saturating_mul(since) / minute;
        slowed.rate.saturating_add(grown).min(full)
    }

    /// Takes note that a message sent at `sent` was refused. A message sent before the last
    /// halving says nothing new. Returns whether the pace was the full one.
    pub(crate) fn refused(&mut self, now: Mono, sent: Mono, per_second: u32) -> bool {
        if self.slowed.is_some_and(|slowed| sent <= slowed.at) {
            return false;
        }
        let rate = (self.rate(now, per_second) / 2).max(Self::LEAST);
        let was_full = self.slowed.is_none();
        self.slowed = Some(SlowedPace {
            at: now,
            rate,
            ready: now + Duration::from_micros(1_000_000_000 / rate),
        });
        was_full
    }

    /// Returns when the next message may be sent.
    pub(crate) fn ready_at(&self) -> Mono {
        self.slowed.map_or(Mono::START, |slowed| slowed.ready)
    }

    /// Takes note that a message is sent.
    pub(crate) fn take(&mut self, now: Mono, per_second: u32) {
        let rate = self.rate(now, per_second);
        if rate >= u64::from(per_second.max(1)) * 1_000 {
            self.slowed = None;
        }
        if let Some(slowed) = &mut self.slowed {
            slowed.ready = now + Duration::from_micros(1_000_000_000 / rate);
        }
    }
}

/// What 429 does to requests of one kind: none for a minute, then one small request at a
/// time, a minute apart, until one is not refused with 429.
///
///
/// The platform counts requests by the minute ("too many subDeviceOnline msg in one
/// minute"), so a longer wait gains nothing, and a small request a minute shows as soon as
/// any other request that the platform accepts them again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Throttle {
    /// The time of the next trial; `None`: the requests are not throttled.
    trial: Option<Mono>,
}

impl Throttle {
    /// How many devices are in a request that tries whether the platform accepts requests
    /// again.
    pub(crate) const TRIAL: usize = 1;
    /// The random part added to the minute, so that gateways that were throttled together
    /// do not come back together.
    const SPREAD: Duration = Duration::from_secs(3);

    /// Takes note that a request was refused with 429. Returns how long to wait, or `None`
    /// if the request was sent before the throttling was known.
    pub(crate) fn refused(&mut self, now: Mono, rng: &mut Rng) -> Option<Duration> {
        if self.trial.is_some_and(|trial| now < trial) {
            return None;
        }
        let spread = u64::try_from(Self::SPREAD.as_micros()).unwrap_or(u64::MAX);
        let wait = MINUTE + Duration::from_micros(rng.below(spread));
        self.trial = Some(now + wait);
        Some(wait)
    }

    /// Takes note that a request was answered otherwise. A request sent before the
    /// throttling proves nothing.
    pub(crate) fn passed(&mut self, now: Mono) {
        if self.trial.is_some_and(|trial| now >= trial) {
            self.trial = None;
        }
    }

    /// Returns whether only one request of [`Throttle::TRIAL`] devices may be under way.
    pub(crate) const fn is_throttled(&self) -> bool {
        self.trial.is_some()
    }

    /// Returns the time before which nothing may be asked.
    pub(crate) fn opens_at(&self) -> Mono {
        self.trial.unwrap_or(Mono::START)
    }
}

/// How often an action was tried in the last minute.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attempts {
    recent: VecDeque<Mono>,
}

impl Attempts {
    /// Returns the first moment at which one more attempt stays within `limit` in any 60 s;
    /// the moment may be past.
    pub(crate) fn free_at(&self, limit: usize) -> Mono {
        let limit = limit.max(1);
        match self.recent.len().checked_sub(limit) {
            // One second of margin: the platform counts by its own clock, and
            // messages travel at different speeds.
            Some(n) => self.recent[n] + MINUTE + Duration::from_secs(1),
            None => Mono::START,
        }
    }

    /// Returns whether the last two attempts were made within this span.
    pub(crate) fn are_two_within(&self, now: Mono, span: Duration) -> bool {
        let second = self.recent.iter().rev().nth(1);
        second.is_some_and(|t| now.since(*t) < span)
    }

    /// Returns whether the last attempt was made within this span.
    pub(crate) fn is_one_within(&self, now: Mono, span: Duration) -> bool {
        let last = self.recent.back();
        last.is_some_and(|t| now.since(*t) < span)
    }

    /// Notes an attempt.
    pub(crate) fn note(&mut self, now: Mono) {
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
            let mut bucket = TokenBucket::new(rate);
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

    proptest! {
        #[test]
        fn no_second_holds_more_log_ins_than_allowed(
            rate in 1u32..400, sizes in prop::collection::vec((1usize..=50, 0u64..400), 1..200)
        ) {
            let mut pace = LoginPace::new(rate);
            let mut now = Mono::from_micros(1_000_000);
            let mut sent: Vec<(Mono, usize)> = Vec::new();
            for (size, wait) in sizes {
                let size = size.min(pace.most());
                now = (now + Duration::from_millis(wait)).max(pace.ready_at());
                pace.take(now, size);
                sent.push((now, size));
            }
            for (i, (from, _)) in sent.iter().enumerate() {
                let within = sent[i..].iter().take_while(|s| s.0.since(*from) < Duration::from_secs(1));
                let devices: usize = within.map(|s| s.1).sum();
                // One message may have begun the second, and another ends it.
                prop_assert!(devices < rate as usize + 50.min(pace.most()), "{devices} of {rate}");
            }
        }
    }

    #[test]
    fn two_thousand_devices_take_ten_seconds_at_the_published_pace() {
        let mut pace = LoginPace::new(200);
        let start = Mono::from_micros(5_000_000);
        let mut now = start;
        for _ in 0..40 {
            now = now.max(pace.ready_at());
            pace.take(now, 50);
        }
        let took = now.since(start);
        assert!(took >= Duration::from_millis(9_750), "{took:?}");
        assert!(took <= Duration::from_millis(10_400), "{took:?}");
    }

    #[test]
    fn the_timeout_follows_the_replies_within_its_bounds() {
        let most = Duration::from_secs(10);
        let mut times = ReplyTimes::default();
        assert_eq!(times.reply_timeout(most), None);
        for _ in 0..20 {
            times.measured(Duration::from_millis(20));
        }
        assert_eq!(times.reply_timeout(most), Some(Duration::from_secs(2)));
        // A reply that came late makes the wait longer at once.
        times.measured(Duration::from_secs(3));
        assert!(times.reply_timeout(most) > Some(Duration::from_secs(3)));
        for _ in 0..20 {
            times.measured(Duration::from_secs(15));
        }
        assert_eq!(times.reply_timeout(most), Some(most));
        let second = Duration::from_secs(1);
        assert_eq!(times.reply_timeout(second), Some(second));
    }

    #[test]
    fn a_throttled_kind_is_tried_once_a_minute_however_often_it_is_refused() {
        let mut rng = Rng::new(3);
        let mut throttle = Throttle::default();
        let mut now = Mono::from_micros(5_000_000);
        for _ in 0..10 {
            let wait = throttle.refused(now, &mut rng).unwrap();
            assert!(wait >= MINUTE && wait <= MINUTE + Duration::from_secs(3));
            // Answers to requests that were under way change nothing.
            let soon = now + Duration::from_secs(1);
            assert_eq!(throttle.refused(soon, &mut rng), None);
            throttle.passed(soon);
            assert!(throttle.is_throttled());
            now = throttle.opens_at();
            assert_eq!(now, soon + (wait - Duration::from_secs(1)));
        }
        throttle.passed(now);
        assert!(!throttle.is_throttled());
    }
}

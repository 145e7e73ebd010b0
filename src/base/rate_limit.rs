//! When a repeated failure is logged again, and what is logged when the failure is over.

use std::time::Duration;

use super::Mono;

/// The first gap between two log entries; the gap doubles.
const FIRST_GAP: Duration = Duration::from_secs(60);
/// The longest gap.
const LONGEST_GAP: Duration = Duration::from_secs(3600);
/// A failure that has not happened for so long is over.
pub(super) const QUIET: Duration = Duration::from_secs(60);

/// The log entries of a failure that may happen again and again. The failure is logged the
/// first time, then after a minute, then at doubling gaps up to an hour, each time with how
/// often it happened since. Suppressed repeats are not lost: [`RateLimit::take_due`] returns
/// them once the failure has not happened for a minute, or when the gap is over.
///
/// A failure that begins again within twice the last gap belongs to the same series. The
/// series has had its early summary, so it keeps the gaps.
#[derive(Clone, Debug, Default)]
pub struct RateLimit {
    untold: u64,
    told: Option<(Mono, Duration)>,
    total: u64,
    began: Mono,
    last: Mono,
    summed: bool,
}

/// The suppressed repeats of a failure, returned when time has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SuppressedRepeats {
    /// How often the failure happened since it was last logged.
    pub untold: u64,
    /// How often the failure happened since it began.
    pub total: u64,
    /// How long from the first time to the last.
    pub lasted: Duration,
    /// Whether the failure has not happened for a while.
    pub is_over: bool,
}

impl RateLimit {
    /// Notes that the failure happened `n` times more. Returns how many to log, if it is time
    /// to log them.
    pub fn hit(&mut self, now: Mono, n: u64) -> Option<u64> {
        if let Some((_, gap)) = self.told
            && now.since(self.last) > gap * 2
        {
            *self = RateLimit {
                untold: self.untold,
                ..RateLimit::default()
            };
        }
        self.untold += n;
        self.total += n;
        self.last = now;
        match self.told {
            None => {
                self.began = now;
                self.tell(now, FIRST_GAP)
            }
            Some(_) => self.sweep(now),
        }
    }

    /// Returns how many suppressed repeats to log, if it is time to log them.
    fn sweep(&mut self, now: Mono) -> Option<u64> {
        let (at, gap) = self.told?;
        if self.untold == 0 || now.since(at) < gap {
            return None;
        }
        self.tell(now, (gap * 2).min(LONGEST_GAP))
    }

    /// Returns the suppressed repeats, if the failure or the gap is over.
    pub fn take_due(&mut self, now: Mono) -> Option<SuppressedRepeats> {
        if self.due()? > now {
            return None;
        }
        let (_, gap) = self.told?;
        let is_over = now.since(self.last) >= QUIET;
        self.summed |= is_over;
        Some(SuppressedRepeats {
            untold: self.tell(now, (gap * 2).min(LONGEST_GAP))?,
            total: self.total,
            lasted: self.last.since(self.began),
            is_over,
        })
    }

    /// Returns when [`RateLimit::take_due`] has something to return.
    #[must_use]
    pub fn due(&self) -> Option<Mono> {
        let (at, gap) = self.told.filter(|_| self.untold > 0)?;
        let by_gap = at + gap;
        Some(if self.summed {
            by_gap
        } else {
            by_gap.min(self.last + QUIET)
        })
    }

    /// Ends the series: the next failure counts as the first one. Returns how many repeats were
    /// never logged.
    pub fn over(&mut self) -> u64 {
        std::mem::take(self).untold
    }

    fn tell(&mut self, now: Mono, gap: Duration) -> Option<u64> {
        self.told = Some((now, gap));
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn s(seconds: u64) -> Mono {
        Mono::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn told_first_and_then_ever_more_rarely_with_the_count_between() {
        let mut repeats = RateLimit::default();
        let told: Vec<_> = (0..1000u64)
            .filter_map(|t| Some((t, repeats.hit(s(t), 1)?)))
            .collect();
        assert_eq!(told, [(0, 1), (60, 60), (180, 120), (420, 240), (900, 480)]);
        assert_eq!(repeats.over(), 99);
        assert_eq!(repeats.hit(s(1000), 1), Some(1));
    }

    #[test]
    fn what_is_left_when_it_stops_is_told_when_its_time_comes() {
        let mut repeats = RateLimit::default();
        assert_eq!(repeats.hit(s(0), 1), Some(1));
        assert_eq!(repeats.hit(s(10), 7), None);
        assert_eq!(repeats.sweep(s(59)), None);
        assert_eq!(repeats.sweep(s(60)), Some(7));
        assert_eq!(repeats.sweep(s(6000)), None, "nothing is left");
    }

    #[test]
    fn what_was_held_back_is_told_a_minute_after_the_last_time_with_the_total() {
        let mut repeats = RateLimit::default();
        for t in 0..200 {
            repeats.hit(s(t), 100);
        }
        assert_eq!(repeats.due(), Some(s(259)));
        assert_eq!(repeats.take_due(s(258)), None);
        let sum = SuppressedRepeats {
            untold: 1_900,
            total: 20_000,
            lasted: Duration::from_secs(199),
            is_over: true,
        };
        assert_eq!(repeats.take_due(s(259)), Some(sum));
        assert_eq!((repeats.due(), repeats.take_due(s(9999))), (None, None));
        // Long after, a failure is a first one again.
        assert_eq!(repeats.hit(s(9999), 1), Some(1));
    }

    #[test]
    fn what_happens_every_two_minutes_is_not_told_every_two_minutes() {
        let mut repeats = RateLimit::default();
        let mut lines = 0;
        for t in 0..24 * 3600 {
            lines += u32::from(t % 120 == 0 && repeats.hit(s(t), 1).is_some());
            lines += u32::from(repeats.take_due(s(t)).is_some());
        }
        assert!(lines <= 40, "{lines} lines a day");
    }

    proptest! {
        #[test]
        fn every_time_is_told_once(waits in prop::collection::vec((0u64..400, 1u64..5), 1..100)) {
            let mut repeats = RateLimit::default();
            let (mut now, mut times, mut told) = (0, 0, 0);
            for (wait, n) in waits {
                for t in now..now + wait {
                    told += repeats.take_due(s(t)).map_or(0, |sum| sum.untold);
                }
                now += wait;
                times += n;
                told += repeats.hit(s(now), n).unwrap_or_default();
            }
            told += repeats.take_due(s(now + 2 * 3600)).map_or(0, |sum| sum.untold);
            prop_assert_eq!(told, times);
        }
    }
}

//! The time of one class of requests on one line.
//!
//! As long as the line carries everything, this time is the clock's. When the line does not,
//! skipping what comes too late would hit the requests by chance, and the frequent ones
//! hardest. So the time of the class stands still instead while one of its requests would
//! lose its poll slot, for all of them alike: every interval becomes longer by the same
//! factor, the requests keep their phases to each other, and none drifts. No load is
//! estimated for this, so the line is never idle because a factor was too large, and never
//! unfair because the factor was too small. The factor is found out by looking back (the idea
//! is that of self-clocked fair queueing, Golestani 1994).
//!
//! A burst is no overload: a start, or the time-outs of a device that died. Time may stand
//! still only when for [`BEHIND_AFTER`] there was always something of the class to do, or
//! poll slots were lost time and again on a line that hardly rested. The second case is
//! needed for a class that lives on its share behind higher ones: every request of it may
//! have been served at some moment, which is no sign of keeping up.
//!
//! A line that waits for replies that do not come is not overloaded either: time may stand
//! still only if the requests that are asked for and answered would fill the line
//! (`Offered`), and only as far as this explains the delay.
//!
//! Contract: call `IntervalStretch::turn` before each turn of the line, and add what it
//! returns to the poll slots of the class; call `IntervalStretch::poll` after it.

use std::time::Duration;

use crate::base::{DeviceId, Mono};
use crate::field::plan::block_address::BlockAddress;
use crate::spec::Priority;

/// How long a line must always have something of the class to do until it counts as behind
/// with the class.
pub const BEHIND_AFTER: Duration = Duration::from_secs(10);

/// Poll slots that are lost at least this often are lost all the time.
const LOSS_MEMORY: Duration = Duration::from_millis(2500);

/// A line that rests for a larger part of the time than one in this many could serve more
/// than it does: a poll slot lost on such a line is lost to a long transaction, not to an
/// overload.
const RESTS: u32 = 20;

/// How long time may stand still before it is compared with what is asked for.
const AT_ONCE: Duration = Duration::from_secs(1);

/// How much time a reported factor is measured over.
pub const WINDOW: Duration = Duration::from_secs(30);

/// Intervals that are longer by this much, in thousandths, are reported …
const WORTH_TELLING: u64 = 1050;

/// … and intervals longer by no more than this count as configured again.
const AS_CONFIGURED: u64 = 1010;

/// What the classes of requests ask of a line, as seen by one class, reckoned by how long
/// their requests take when they are answered; in thousandths of the line's time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Offered {
    /// What the class itself asks for.
    pub(crate) own: u64,
    /// What all classes that go before it ask for.
    pub(crate) before: u64,
    /// What the classes that come after it are sure of: what they ask for, at most a
    /// [`Offered::SHARE`] each.
    pub(crate) behind: u64,
}

impl Offered {
    /// A line that is asked for less than this keeps up: what is lost on it is lost for other
    /// reasons. The figure is the one above which a forecast calls a line busy: requests that
    /// meet lose poll slots long before all of the line's time is taken.
    const FULL: u64 = crate::field::plan::forecast::BUSY;

    /// What is kept for a class, whatever the others ask for.
    pub(crate) const SHARE: u64 = 100;

    /// Returns whether the line is asked for all of its time.
    const fn fills_the_line(self) -> bool {
        self.own + self.before + self.behind >= Offered::FULL
    }

    /// Returns by how much the intervals of the class have to become longer, in thousandths,
    /// and a quarter more for what is not reckoned with.
    fn longest_stretch(self) -> u64 {
        let left = 1000u64.saturating_sub(self.before + self.behind);
        let left = left.max(Offered::SHARE);
        (self.own.saturating_mul(1250) / left).max(1250)
    }
}

/// The time of a class.
#[derive(Clone, Debug)]
pub(crate) struct IntervalStretch {
    /// Since when there was always something of the class to do.
    busy: Option<Mono>,
    losses: Option<Losses>,
    /// Since when standing time is measured …
    since: Mono,
    /// … and for how long time stood still since then.
    stood: Duration,
    /// The largest factor that the offered load explains, in thousandths.
    longest: u64,
    told: bool,
}

/// Poll slots lost time and again.
#[derive(Clone, Copy, Debug)]
struct Losses {
    first: Mono,
    last: Mono,
    /// For how long the line had nothing to do since the first loss.
    rested: Duration,
}

/// What changed about a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StretchChange {
    /// The intervals of the class are longer than configured by this factor, in thousandths.
    Stretched(u64),
    /// The intervals of the class are as configured again.
    Kept,
}

impl IntervalStretch {
    pub(crate) const fn new(now: Mono) -> Self {
        IntervalStretch {
            busy: None,
            losses: None,
            since: now,
            stood: Duration::ZERO,
            longest: 1000,
            told: false,
        }
    }

    /// Returns whether the line does not keep up with the class.
    pub(crate) fn is_behind(&self, now: Mono) -> bool {
        let always_busy = self.busy.is_some_and(|b| now.since(b) >= BEHIND_AFTER);
        always_busy
            || self.losses.is_some_and(|l| {
                let span = now.since(l.first);
                span >= BEHIND_AFTER && l.rested * RESTS < span
            })
    }

    /// Takes the state before a turn: whether a request of the class waits for the line, for
    /// how much longer than its interval the longest-waiting request did, and for how long
    /// the line had nothing to do since the last turn. Returns for how long time stood still.
    pub(crate) fn turn(
        &mut self,
        now: Mono,
        waits: bool,
        over: Duration,
        rested: Duration,
        offered: Offered,
    ) -> Duration {
        self.busy = self.busy.or(Some(now)).filter(|_| waits);
        self.losses = self.losses.filter(|l| now.since(l.last) < LOSS_MEMORY);
        if let Some(losses) = &mut self.losses {
            losses.rested += rested;
        }
        if over.is_zero() {
            return Duration::ZERO;
        }
        let losses = self.losses.get_or_insert(Losses {
            first: now,
            last: now,
            rested: Duration::ZERO,
        });
        losses.last = now;
        if !self.is_behind(now) || !offered.fills_the_line() {
            return Duration::ZERO;
        }
        if self.stood.is_zero() && !self.told {
            self.since = now;
        }
        self.longest = offered.longest_stretch();
        // Of each second this much may stand still, and one second at once.
        let elapsed = u64::try_from(now.since(self.since).as_micros()).unwrap_or(u64::MAX);
        let most = elapsed / 1000 * (self.longest - 1000) / self.longest * 1000;
        let most = Duration::from_micros(most) + AT_ONCE;
        let over = over.min(most.saturating_sub(self.stood));
        self.stood += over;
        over
    }

    /// Returns a change that is worth reporting.
    pub(crate) fn poll(&mut self, now: Mono) -> Option<StretchChange> {
        let elapsed = now.since(self.since);
        if elapsed < WINDOW {
            return None;
        }
        let passed = elapsed.saturating_sub(self.stood).as_micros().max(1);
        let factor = u64::try_from(elapsed.as_micros() * 1000 / passed).unwrap_or(u64::MAX);
        let factor = factor.min(self.longest.max(1000));
        self.since = now;
        self.stood = Duration::ZERO;
        match self.told {
            false if factor >= WORTH_TELLING => {
                self.told = true;
                Some(StretchChange::Stretched(factor))
            }
            true if factor <= AS_CONFIGURED => {
                self.told = false;
                Some(StretchChange::Kept)
            }
            _ => None,
        }
    }
}

/// What became of the intervals on a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Overload {
    /// The line cannot carry what is asked of it: all requests of this priority are made less
    /// often. Reported once.
    Stretched {
        /// The priority of the requests.
        priority: Priority,
        /// How many times longer than configured, in thousandths.
        factor: u64,
        /// What the requests of all answering devices would take of the line's time, in
        /// thousandths.
        load: u64,
        /// The request that takes most of the line's time.
        heaviest: Option<RequestLoad>,
    },
    /// The requests are made as often as configured again.
    Over {
        /// The priority of the requests.
        priority: Priority,
    },
}

/// One request that a line has to carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestLoad {
    /// The device that is asked.
    pub device: DeviceId,
    /// What is asked for.
    pub address: BlockAddress,
    /// How long the request takes the line, as far as that is known.
    pub takes: Duration,
    /// How often the request is configured to be made.
    pub every: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    const TURN: Duration = Duration::from_millis(100);

    /// Twice what the line can carry.
    const DOUBLE: Offered = Offered {
        own: 2000,
        before: 0,
        behind: 0,
    };

    /// Runs a line that is behind by half for `seconds`, in turns of 100 ms.
    fn half_behind(
        tempo: &mut IntervalStretch,
        now: &mut Mono,
        seconds: u64,
    ) -> Vec<StretchChange> {
        let end = *now + Duration::from_secs(seconds);
        let mut told = Vec::new();
        while *now < end {
            *now = *now + TURN;
            tempo.turn(*now, true, TURN / 2, Duration::ZERO, DOUBLE);
            told.extend(tempo.poll(*now));
        }
        told
    }

    #[test]
    fn a_burst_does_not_stop_the_time() {
        let mut tempo = IntervalStretch::new(Mono::START);
        let mut now = Mono::START;
        for turn in 0..1000 {
            now = now + TURN;
            // Nine seconds of losses, three of a line that keeps up.
            let loses = turn % 120 < 90;
            let over = if loses { TURN } else { Duration::ZERO };
            let stood = tempo.turn(now, loses, over, Duration::ZERO, DOUBLE);
            assert_eq!(stood, Duration::ZERO);
            assert_eq!(tempo.poll(now), None);
        }
    }

    #[test]
    fn slots_lost_on_a_line_that_rests_are_no_overload_and_on_one_that_does_not_they_are() {
        for (rested, stops) in [(TURN / 10, false), (TURN / 30, true)] {
            let mut tempo = IntervalStretch::new(Mono::START);
            let mut now = Mono::START;
            let mut stood = Duration::ZERO;
            for turn in 0..1000 {
                now = now + TURN;
                // Now and then all requests have been served.
                let waits = turn % 10 != 0;
                let over = if waits { TURN / 2 } else { Duration::ZERO };
                stood += tempo.turn(now, waits, over, rested, DOUBLE);
            }
            assert_eq!(!stood.is_zero(), stops, "{rested:?}");
        }
    }

    #[test]
    fn an_overload_is_told_once_with_its_factor_and_once_when_it_is_over() {
        let mut tempo = IntervalStretch::new(Mono::START);
        let mut now = Mono::START;
        let told = half_behind(&mut tempo, &mut now, 600);
        assert_eq!(told.len(), 1, "{told:?}");
        let StretchChange::Stretched(factor) = told[0] else {
            panic!("{told:?}")
        };
        assert!((1990..=2010).contains(&factor), "{factor}");
        let mut told = Vec::new();
        for _ in 0..600 {
            now = now + TURN;
            tempo.turn(now, false, Duration::ZERO, Duration::ZERO, DOUBLE);
            told.extend(tempo.poll(now));
        }
        assert_eq!(told, [StretchChange::Kept]);
        assert_eq!(half_behind(&mut tempo, &mut now, 60).len(), 1, "anew");
    }

    #[test]
    fn a_line_that_waits_for_what_does_not_come_is_not_asked_for_too_much() {
        let light = Offered {
            own: 400,
            before: 100,
            behind: 100,
        };
        let mut tempo = IntervalStretch::new(Mono::START);
        let mut now = Mono::START;
        for _ in 0..1000 {
            now = now + TURN;
            let stood = tempo.turn(now, true, TURN / 2, Duration::ZERO, light);
            assert_eq!(stood, Duration::ZERO);
            assert_eq!(tempo.poll(now), None);
        }
    }

    #[test]
    fn no_interval_is_stretched_by_more_than_what_is_asked_for_explains() {
        let mut tempo = IntervalStretch::new(Mono::START);
        let mut now = Mono::START;
        let mut told = Vec::new();
        let mut stood = Duration::ZERO;
        for _ in 0..1200 {
            now = now + TURN;
            stood += tempo.turn(now, true, TURN * 10, Duration::ZERO, DOUBLE);
            told.extend(tempo.poll(now));
        }
        // 2.5 times: of 110 s that count, 66 stood still.
        assert!(stood <= Duration::from_secs(75), "{stood:?}");
        assert!(
            matches!(told[..], [StretchChange::Stretched(factor)] if factor <= 2500),
            "{told:?}"
        );
    }

    #[test]
    fn time_that_never_passes_is_a_number_too() {
        let mut tempo = IntervalStretch::new(Mono::START);
        let mut now = Mono::START;
        let mut told = Vec::new();
        for _ in 0..600 {
            now = now + TURN;
            tempo.turn(now, true, Duration::from_secs(3600), Duration::ZERO, DOUBLE);
            told.extend(tempo.poll(now));
        }
        assert!(
            matches!(told[..], [StretchChange::Stretched(_)]),
            "{told:?}"
        );
    }
}

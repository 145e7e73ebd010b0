//! The time of one class of requests on one line.
//!
//! As long as the line carries everything, that is the clock's. When it does not,
//! to skip what comes too late would hit the requests as it happens, and the
//! frequent ones hardest. So the time of the class stands still instead while one
//! of its requests would lose its slot, for all of them alike: every interval
//! becomes longer by the same factor, phases stay what they are to each other,
//! nobody drifts. No load is estimated for it, so the line is never idle because a
//! factor was too large, and never unfair because it was too small; what the
//! factor is, is found out by looking back (the idea is that of self-clocked fair
//! queueing, Golestani 1994).
//!
//! A burst is no overload: a start, or the time-outs of a device that died. Only
//! when there was always something to do for [`BEHIND_AFTER`] may time stand
//! still.
//!
//! Contract: `Tempo::turn` before each turn of the line, and what it returns is
//! added to the slots of the class; `Tempo::poll` after it.

use std::time::Duration;

use crate::base::{DeviceId, Mono};
use crate::spec::{Priority, Table};

/// A line that always had something of the class to do for this long is behind
/// with it.
pub const BEHIND_AFTER: Duration = Duration::from_secs(10);

/// What is told rests on this much time.
pub const WINDOW: Duration = Duration::from_secs(30);

/// Intervals that are longer by this much, in thousandths, are told …
const WORTH_TELLING: u64 = 1050;

/// … and by no more than this, are as configured again.
const AS_CONFIGURED: u64 = 1010;

/// The time of a class.
#[derive(Clone, Debug)]
pub(super) struct Tempo {
    /// Since when there was always something of the class to do.
    busy: Option<Mono>,
    /// Since when it is looked how long time stood still …
    since: Mono,
    /// … and how long it did.
    stood: Duration,
    told: bool,
}

/// What changed about a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Its intervals are longer than configured by this factor, in thousandths.
    Stretched(u64),
    /// They are as configured again.
    Kept,
}

impl Tempo {
    pub(super) const fn new(now: Mono) -> Self {
        Tempo {
            busy: None,
            since: now,
            stood: Duration::ZERO,
            told: false,
        }
    }

    /// Whether the line does not keep up with the class.
    pub(super) fn is_behind(&self, now: Mono) -> bool {
        self.busy
            .is_some_and(|busy| now.since(busy) >= BEHIND_AFTER)
    }

    /// Before a turn: whether a request of the class waits for the line, and for
    /// how much longer than its interval the one did that waits longest. Returns
    /// for how long time stood still.
    pub(super) fn turn(&mut self, now: Mono, waits: bool, over: Duration) -> Duration {
        if !waits {
            self.busy = None;
            return Duration::ZERO;
        }
        self.busy.get_or_insert(now);
        if !self.is_behind(now) || over.is_zero() {
            return Duration::ZERO;
        }
        if self.stood.is_zero() && !self.told {
            self.since = now;
        }
        self.stood += over;
        over
    }

    /// What is worth telling.
    pub(super) fn poll(&mut self, now: Mono) -> Option<Change> {
        let elapsed = now.since(self.since);
        if elapsed < WINDOW {
            return None;
        }
        let passed = elapsed.saturating_sub(self.stood).as_micros().max(1);
        let factor = u64::try_from(elapsed.as_micros() * 1000 / passed).unwrap_or(u64::MAX);
        self.since = now;
        self.stood = Duration::ZERO;
        match self.told {
            false if factor >= WORTH_TELLING => {
                self.told = true;
                Some(Change::Stretched(factor))
            }
            true if factor <= AS_CONFIGURED => {
                self.told = false;
                Some(Change::Kept)
            }
            _ => None,
        }
    }
}

/// What became of the intervals on a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Strain {
    /// The line cannot carry what is asked of it: all requests of this priority
    /// are made less often. Told once.
    Stretched {
        /// Of which requests.
        priority: Priority,
        /// How many times longer than configured, in thousandths.
        factor: u64,
        /// What all that answer are asked for would take of the line's time, in
        /// thousandths.
        load: u64,
        /// The request that takes most of it.
        heaviest: Option<Burden>,
    },
    /// They are made as often as configured again.
    Over {
        /// Of which requests.
        priority: Priority,
    },
}

/// One request that a line has to carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Burden {
    /// Whose.
    pub device: DeviceId,
    /// In which table.
    pub table: Table,
    /// The first entry.
    pub first: u16,
    /// How many.
    pub count: u16,
    /// How long it takes the line, as far as that is known.
    pub takes: Duration,
    /// How often it is configured to be made.
    pub every: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    const TURN: Duration = Duration::from_millis(100);

    /// A line that is behind by half for `seconds`, in turns of 100 ms.
    fn half_behind(tempo: &mut Tempo, now: &mut Mono, seconds: u64) -> Vec<Change> {
        let end = *now + Duration::from_secs(seconds);
        let mut told = Vec::new();
        while *now < end {
            *now = *now + TURN;
            tempo.turn(*now, true, TURN / 2);
            told.extend(tempo.poll(*now));
        }
        told
    }

    #[test]
    fn a_burst_does_not_stop_the_time() {
        let mut tempo = Tempo::new(Mono::START);
        let mut now = Mono::START;
        for turn in 0..1000 {
            now = now + TURN;
            // A moment of rest every nine seconds.
            let stood = tempo.turn(now, turn % 90 != 0, TURN);
            assert_eq!(stood, Duration::ZERO);
            assert_eq!(tempo.poll(now), None);
        }
    }

    #[test]
    fn an_overload_is_told_once_with_its_factor_and_once_when_it_is_over() {
        let mut tempo = Tempo::new(Mono::START);
        let mut now = Mono::START;
        let told = half_behind(&mut tempo, &mut now, 600);
        assert_eq!(told.len(), 1, "{told:?}");
        let Change::Stretched(factor) = told[0] else {
            panic!("{told:?}")
        };
        assert!((1990..=2010).contains(&factor), "{factor}");
        let mut told = Vec::new();
        for _ in 0..600 {
            now = now + TURN;
            tempo.turn(now, false, Duration::ZERO);
            told.extend(tempo.poll(now));
        }
        assert_eq!(told, [Change::Kept]);
        assert_eq!(half_behind(&mut tempo, &mut now, 60).len(), 1, "anew");
    }

    #[test]
    fn time_that_never_passes_is_a_number_too() {
        let mut tempo = Tempo::new(Mono::START);
        let mut now = Mono::START;
        let mut told = Vec::new();
        for _ in 0..600 {
            now = now + TURN;
            tempo.turn(now, true, Duration::from_secs(3600));
            told.extend(tempo.poll(now));
        }
        assert!(matches!(told[..], [Change::Stretched(_)]), "{told:?}");
    }
}

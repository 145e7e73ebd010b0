//! One request of a device and its place in time.

use std::time::Duration;

use crate::base::{Mono, RequestFailure};

use super::failing::{DOUBTED, Failing};
use crate::field::plan::ReadBlock;

/// How long a due request may be overtaken by more frequent ones.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

/// A request and its place on the grid `origin + n × interval`.
#[derive(Clone, Debug)]
pub(crate) struct PollSlot {
    pub(crate) block: ReadBlock,
    /// The oldest slot not yet served; never more than one is owed.
    pub(crate) due: Mono,
    /// One slot of the grid.
    pub(crate) origin: Mono,
    /// How it fails, if it did so the last time.
    pub(crate) failing: Option<Failing>,
    /// All requests of its device are set aside, and this one keeps its interval.
    pub(crate) keeps_in_touch: bool,
    /// How long it takes the line when it succeeds, on average.
    pub(crate) took: Option<Duration>,
    /// Since when the line has kept it waiting although it could be served.
    pub(crate) waits: Option<Mono>,
    /// It was due and could not be served, for reasons of its device's.
    hindered: bool,
}

impl PollSlot {
    /// Due at once, or in its slot; from then on on the grid of `origin`.
    pub(crate) const fn new(block: ReadBlock, due: Mono, origin: Mono) -> Self {
        PollSlot {
            block,
            due,
            origin,
            failing: None,
            keeps_in_touch: false,
            took: None,
            waits: None,
            hindered: false,
        }
    }

    /// When the next slot comes, and this one is lost.
    pub(crate) fn deadline(&self) -> Mono {
        self.due + self.block.interval
    }

    /// Whether it fails while its device proves that it lives, and is made rarely for
    /// that.
    pub(crate) fn is_set_aside(&self) -> bool {
        self.failing.as_ref().is_some_and(|f| f.set_aside)
    }

    /// Whether it is expected to fail, so that it is made when there is time for that.
    pub(crate) fn is_rare(&self) -> bool {
        self.failures() >= DOUBTED && !self.keeps_in_touch
    }

    /// How often in a row it failed.
    pub(crate) fn failures(&self) -> u32 {
        self.failing.as_ref().map_or(0, |f| f.times)
    }

    /// It failed; how often in a row.
    pub(crate) fn fail(&mut self, now: Mono, how: RequestFailure, code: Option<u8>) -> u32 {
        match &mut self.failing {
            Some(failing) => failing.again(now, how, code),
            None => self.failing = Some(Failing::new(now, how, code)),
        }
        self.put_off_try();
        self.failures()
    }

    /// Its device lives, and it failed: it is made rarely from now on.
    pub(crate) fn set_aside(&mut self) {
        if let Some(failing) = &mut self.failing {
            failing.set_aside = true;
        }
        self.put_off_try();
    }

    fn put_off_try(&mut self) {
        if self.keeps_in_touch {
            return;
        }
        if let Some(failing) = self.failing.as_ref().filter(|f| f.set_aside) {
            self.due = failing.next_try(self.block.interval);
            self.waits = None;
        }
    }

    /// There is reason to make one at once that is set aside.
    pub(crate) fn hasten(&mut self, now: Mono) {
        if self.due > now
            && let Some(failing) = self.failing.as_mut().filter(|f| f.set_aside)
            && failing.may_be_hastened(now)
        {
            self.due = now;
        }
    }

    /// How late it may be without anybody minding.
    pub(crate) fn slack(&self) -> Duration {
        self.block.interval / 40
    }

    /// The order of service: by deadline, but a rare request may be overtaken
    /// for a second only. Without that bound an overloaded line would serve it
    /// a whole interval late, every time.
    pub(crate) fn rank(&self) -> Mono {
        self.due + self.block.interval.min(PATIENCE)
    }

    /// Notes whether it waits for the line; not before it is due, and not before
    /// `free`, for reasons of its device's.
    pub(crate) fn wait(&mut self, now: Mono, free: Mono) {
        if self.due > now {
            self.waits = None;
            self.hindered = false;
        } else if free > now + self.block.interval / 4 {
            self.waits = None;
            self.hindered = true;
        } else if free <= now || self.waits.is_some() {
            // What hinders it for a moment only costs it no slot.
            let since = if self.hindered { now } else { self.due };
            self.waits.get_or_insert(since);
        }
    }

    /// For how long it has waited beyond its interval.
    pub(crate) fn over(&self, now: Mono) -> Duration {
        let waited = self.waits.map_or(Duration::ZERO, |since| now.since(since));
        waited.saturating_sub(self.block.interval)
    }

    /// What it waited beyond its interval is forgotten: that slot is lost.
    pub(crate) fn lose(&mut self, now: Mono) {
        let over = self.over(now);
        self.put_off_wait(over);
    }

    fn put_off_wait(&mut self, by: Duration) {
        self.waits = self.waits.map(|since| since + by);
    }

    /// Whether it has waited for a whole interval.
    pub(crate) fn is_overdue(&self, now: Mono) -> bool {
        self.waits
            .is_some_and(|since| now.since(since) >= self.block.interval)
    }

    /// Time stood still for so long.
    pub(crate) fn put_off(&mut self, by: Duration) {
        self.due = self.due + by;
        self.origin = self.origin + by;
        self.put_off_wait(by);
    }

    /// Served, for the slot in which `now` is: the next one is owed.
    pub(crate) fn serve(&mut self, now: Mono) {
        self.hindered = false;
        self.due = if now < self.origin {
            self.origin
        } else {
            self.grid(now) + self.interval()
        };
    }

    /// The last slot not after `now`; before the first slot, that one.
    pub(crate) fn grid(&self, now: Mono) -> Mono {
        let past = now.since(self.origin).as_micros();
        let n = past / self.interval().as_micros();
        let micros = u64::try_from(n * self.interval().as_micros()).unwrap_or(u64::MAX);
        self.origin + Duration::from_micros(micros)
    }

    fn interval(&self) -> Duration {
        self.block.interval.max(Duration::from_millis(1))
    }
}

/// Where in its interval the request with this number has its slot: multiples
/// of the golden ratio, which spread any number of requests evenly.
pub(crate) fn phase(number: u64, interval: Duration) -> Duration {
    const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
    let turn = u128::from(number.wrapping_mul(GOLDEN));
    let micros = (interval.as_micros() * turn) >> 64;
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_are_spread_over_the_interval() {
        let interval = Duration::from_secs(1);
        let mut phases: Vec<Duration> = (0..32).map(|n| phase(n, interval)).collect();
        phases.sort_unstable();
        let widest = phases.windows(2).map(|w| w[1] - w[0]).max().unwrap();
        assert!(phases.iter().all(|p| *p < interval));
        assert!(widest < Duration::from_millis(80), "{widest:?}");
    }
}

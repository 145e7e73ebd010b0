//! One request of a device and its place in time.

use std::time::Duration;

use crate::base::Mono;

use super::plan::ReadBlock;

/// How long a due request may be overtaken by more frequent ones.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// A refused point is tried again after this long the first time: a unit that is
/// starting up may refuse what it will soon have …
const SECOND_TRY: Duration = Duration::from_secs(60);

/// … and from then on after this long.
const LATER_TRIES: Duration = Duration::from_secs(3600);

/// A request and its place on the grid `origin + n × interval`.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) block: ReadBlock,
    /// The oldest slot not yet served; never more than one is owed.
    pub(super) due: Mono,
    /// One slot of the grid.
    pub(super) origin: Mono,
    /// How often it was refused although it is for a single point; it is asked
    /// rarely then.
    pub(super) refused: u32,
    /// When that was last.
    pub(super) refused_at: Mono,
    /// How often it was hastened since it was first refused.
    hastened: u32,
    /// Since when the line has kept it waiting although it could be served.
    pub(super) waits: Option<Mono>,
    /// It was due and could not be served, for reasons of its device's.
    hindered: bool,
}

impl Slot {
    /// Due at once, or in its slot; from then on on the grid of `origin`.
    pub(super) const fn new(block: ReadBlock, due: Mono, origin: Mono) -> Self {
        Slot {
            block,
            due,
            origin,
            refused: 0,
            refused_at: due,
            hastened: 0,
            waits: None,
            hindered: false,
        }
    }

    /// When the next slot comes, and this one is lost.
    pub(super) fn deadline(&self) -> Mono {
        self.due + self.block.interval
    }

    /// Refused by itself, at a time when that may come from its address or from
    /// the state its unit is in: tried again in a minute, and then every hour.
    pub(super) fn refuse(&mut self, now: Mono) {
        self.due = now
            + match self.refused {
                0 => SECOND_TRY,
                _ => LATER_TRIES,
            };
        self.refused = self.refused.saturating_add(1);
        self.refused_at = now;
    }

    /// There is reason to try a refused one at once. The first time that is heeded;
    /// while it goes on being refused after a minute, after two, four and so on: it
    /// comes to one in an hour, as without any reason.
    pub(super) fn hasten(&mut self, now: Mono) {
        let wait = match self.hastened {
            0 => Duration::ZERO,
            n => SECOND_TRY.saturating_mul(1 << (n - 1).min(16)),
        };
        if self.refused > 0 && self.due > now && now >= self.refused_at + wait {
            self.due = now;
            self.hastened = self.hastened.saturating_add(1);
        }
    }

    /// How late it may be without anybody minding.
    pub(super) fn slack(&self) -> Duration {
        self.block.interval / 40
    }

    /// The order of service: by deadline, but a rare request may be overtaken
    /// for a second only. Without that bound an overloaded line would serve it
    /// a whole interval late, every time.
    pub(super) fn rank(&self) -> Mono {
        self.due + self.block.interval.min(PATIENCE)
    }

    /// Notes whether it waits for the line; not before it is due, and not before
    /// `free`, for reasons of its device's.
    pub(super) fn wait(&mut self, now: Mono, free: Mono) {
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
    pub(super) fn over(&self, now: Mono) -> Duration {
        let waited = self.waits.map_or(Duration::ZERO, |since| now.since(since));
        waited.saturating_sub(self.block.interval)
    }

    /// What it waited beyond its interval is forgotten: that slot is lost.
    pub(super) fn lose(&mut self, now: Mono) {
        let over = self.over(now);
        self.put_off_wait(over);
    }

    fn put_off_wait(&mut self, by: Duration) {
        self.waits = self.waits.map(|since| since + by);
    }

    /// Whether it has waited for a whole interval.
    pub(super) fn is_overdue(&self, now: Mono) -> bool {
        self.waits
            .is_some_and(|since| now.since(since) >= self.block.interval)
    }

    /// Time stood still for so long.
    pub(super) fn put_off(&mut self, by: Duration) {
        self.due = self.due + by;
        self.origin = self.origin + by;
        self.put_off_wait(by);
    }

    /// Served, for the slot in which `now` is: the next one is owed.
    pub(super) fn serve(&mut self, now: Mono) {
        self.hindered = false;
        self.due = if now < self.origin {
            self.origin
        } else {
            self.grid(now) + self.interval()
        };
    }

    /// The last slot not after `now`; before the first slot, that one.
    pub(super) fn grid(&self, now: Mono) -> Mono {
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
pub(super) fn phase(number: u64, interval: Duration) -> Duration {
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

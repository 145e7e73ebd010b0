//! One request of a device and its place in time.

use std::time::Duration;

use crate::base::{Mono, RequestFailure};

use super::failing::{DOUBTED, Failing};
use crate::field::plan::ReadBlock;

/// How long a due request may be overtaken by more frequent ones.
pub(crate) const LONGEST_OVERTAKING: Duration = Duration::from_secs(1);

/// How long at most a device that gives signs of life and no values is left alone.
const RETURN_CHECK_INTERVAL: Duration = Duration::from_secs(30);

/// A request and its place on the grid `origin + n × interval`.
#[derive(Clone, Debug)]
pub(crate) struct PollSlot {
    block: ReadBlock,
    /// The oldest time on the grid that is not yet served; never more than one is owed.
    due: Mono,
    /// One time on the grid.
    origin: Mono,
    /// How the request fails, if it failed the last time.
    failing: Option<Failing>,
    /// Whether all requests of its device are set aside, and this one keeps its interval.
    asks_for_return: bool,
    /// How long the request takes the line when it succeeds, on average.
    took: Option<Duration>,
    /// Since when the line has kept the request waiting although it could be served.
    waits: Option<Mono>,
    /// Whether the request was due and could not be served, for reasons of its device.
    hindered: bool,
}

impl PollSlot {
    /// Builds a poll slot that is due at once, or in its turn; from then on it is on the grid
    /// of `origin`.
    pub(crate) const fn new(block: ReadBlock, due: Mono, origin: Mono) -> Self {
        PollSlot {
            block,
            due,
            origin,
            failing: None,
            asks_for_return: false,
            took: None,
            waits: None,
            hindered: false,
        }
    }

    /// Returns this poll slot for a request that fails already, like this; `None`: that does
    /// not fail.
    pub(crate) fn failing_like(self, failing: Option<Failing>) -> Self {
        PollSlot { failing, ..self }
    }

    /// Returns what the request asks for.
    pub(crate) const fn block(&self) -> &ReadBlock {
        &self.block
    }

    /// Returns the oldest time on the grid that is not yet served, or when the request is
    /// tried if it is set aside.
    pub(crate) const fn due(&self) -> Mono {
        self.due
    }

    /// Returns one time on the grid.
    pub(crate) const fn origin(&self) -> Mono {
        self.origin
    }

    /// Returns how the request fails, if it failed the last time.
    pub(crate) const fn failing(&self) -> Option<&Failing> {
        self.failing.as_ref()
    }

    /// Returns how long the request takes the line when it succeeds, on average.
    pub(crate) const fn took(&self) -> Option<Duration> {
        self.took
    }

    /// Notes that the request succeeded and took the line this long.
    pub(crate) fn note_took(&mut self, took: Duration) {
        self.took = Some(self.took.map_or(took, |mean| (mean * 7 + took) / 8));
    }

    /// Returns whether the line keeps the request waiting although it could be served.
    pub(crate) const fn is_waiting(&self) -> bool {
        self.waits.is_some()
    }

    /// Notes that the request is made; returns since when the line had kept it waiting.
    pub(crate) const fn end_wait(&mut self) -> Option<Mono> {
        self.waits.take()
    }

    /// Returns when the next time on the grid comes, and this one is lost.
    pub(crate) fn deadline(&self) -> Mono {
        self.due + self.block.interval
    }

    /// Returns whether the request fails while its device proves that it lives, and is made rarely
    /// for that reason.
    pub(crate) fn is_set_aside(&self) -> bool {
        self.failing.as_ref().is_some_and(Failing::is_set_aside)
    }

    /// Returns whether the request is expected to fail, so that it is made when there is time for
    /// it.
    pub(crate) fn is_rare(&self) -> bool {
        self.failures() >= DOUBTED && !self.asks_for_return
    }

    /// Returns how often in a row the request failed.
    pub(crate) fn failures(&self) -> u32 {
        self.failing.as_ref().map_or(0, Failing::times)
    }

    /// Notes that the request failed; returns how often in a row.
    pub(crate) fn fail(&mut self, now: Mono, how: RequestFailure, code: Option<u8>) -> u32 {
        match &mut self.failing {
            Some(failing) => failing.again(now, how, code),
            None => self.failing = Some(Failing::new(now, how, code)),
        }
        self.put_off_try();
        self.failures()
    }

    /// Sets the request aside: its device lives, and it failed. It is made rarely from now
    /// on.
    pub(crate) fn set_aside(&mut self) {
        if let Some(failing) = &mut self.failing {
            failing.set_aside();
        }
        self.put_off_try();
    }

    /// Notes that the whole request succeeded; returns how it failed before, if it did, and
    /// whether it kept its interval for its device, which it does no more.
    pub(crate) fn succeed(&mut self) -> (Option<Failing>, bool) {
        let kept_in_touch = std::mem::take(&mut self.asks_for_return);
        (self.failing.take(), kept_in_touch)
    }

    /// Forgets that the request failed: its device was away, and the request is not to blame.
    pub(crate) fn forget_failures(&mut self) {
        self.failing = None;
    }

    /// Expects a request that does not fail yet to fail like this.
    pub(crate) fn expect(&mut self, failing: Failing) {
        self.failing.get_or_insert(failing);
    }

    /// Notes that the points of a request that fails were reported to the operator.
    pub(crate) const fn tell(&mut self) {
        if let Some(failing) = &mut self.failing {
            failing.tell();
        }
    }

    /// Notes whether this is the request by which its device is kept in touch with, as all
    /// its requests are set aside. If the request is answered at all, it keeps its interval.
    /// If not, it is made every half minute at least, as otherwise the return of the device
    /// would not be noticed.
    pub(crate) fn ask_for_return(&mut self, now: Mono, is_it: bool) {
        let was = std::mem::replace(&mut self.asks_for_return, is_it);
        let misses = self
            .failing
            .as_ref()
            .filter(|f| f.last_failure().is_a_miss());
        if let Some(failing) = misses.filter(|_| is_it) {
            let rarely = failing.last() + RETURN_CHECK_INTERVAL;
            self.due = failing.next_try(self.block.interval).min(rarely);
        } else if is_it {
            self.serve(now);
        } else if was && self.is_set_aside() {
            self.set_aside();
        }
    }

    fn put_off_try(&mut self) {
        if self.asks_for_return {
            return;
        }
        if let Some(failing) = self.failing.as_ref().filter(|f| f.is_set_aside()) {
            self.due = failing.next_try(self.block.interval);
            self.waits = None;
        }
    }

    /// Has a request that is set aside made at once, for a reason that concerns its device.
    pub(crate) fn retry_now(&mut self, now: Mono) {
        if self.due > now
            && let Some(failing) = self.failing.as_mut().filter(|f| f.is_set_aside())
            && failing.may_retry_early(now)
        {
            self.due = now;
        }
    }

    /// Has a request that is set aside made at once, whatever its wait.
    pub(crate) fn try_now(&mut self, now: Mono) {
        if self.is_set_aside() {
            self.due = now;
        }
    }

    /// Makes the request due at once.
    pub(crate) fn make_due(&mut self, now: Mono) {
        self.due = self.due.min(now);
    }

    /// Resumes a request whose device was not asked for it: it is owed once, and no more
    /// urgent than others.
    pub(crate) fn resume(&mut self, now: Mono) {
        if !self.is_set_aside() {
            self.due = self.due.max(self.grid(now).min(now));
        }
    }

    /// Returns how late the request may be without harm.
    pub(crate) fn tolerated_delay(&self) -> Duration {
        self.block.interval / 40
    }

    /// Returns the order of service: by deadline, but a rare request may be overtaken for a
    /// second only. Without that bound an overloaded line would serve it a whole interval
    /// late, every time.
    pub(crate) fn rank(&self) -> Mono {
        self.due + self.block.interval.min(LONGEST_OVERTAKING)
    }

    /// Notes whether the request waits for the line; not before it is due, and not before
    /// `free`, for reasons of its device.
    pub(crate) fn wait(&mut self, now: Mono, free: Mono) {
        if self.due > now {
            self.waits = None;
            self.hindered = false;
        } else if free > now + self.block.interval / 4 {
            self.waits = None;
            self.hindered = true;
        } else if free <= now || self.waits.is_some() {
            // A hindrance that lasts for a moment only costs the request no poll.
            let since = if self.hindered { now } else { self.due };
            self.waits.get_or_insert(since);
        }
    }

    /// Returns for how long the request has waited beyond its interval.
    pub(crate) fn over(&self, now: Mono) -> Duration {
        let waited = self.waits.map_or(Duration::ZERO, |since| now.since(since));
        waited.saturating_sub(self.block.interval)
    }

    /// Forgets how long the request waited beyond its interval: that poll is lost.
    pub(crate) fn skip_poll(&mut self, now: Mono) {
        let over = self.over(now);
        self.put_off_wait(over);
    }

    fn put_off_wait(&mut self, by: Duration) {
        self.waits = self.waits.map(|since| since + by);
    }

    /// Returns whether the request has waited for a whole interval.
    pub(crate) fn is_overdue(&self, now: Mono) -> bool {
        self.waits
            .is_some_and(|since| now.since(since) >= self.block.interval)
    }

    /// Notes that time stood still for this long.
    pub(crate) fn put_off(&mut self, by: Duration) {
        self.due = self.due + by;
        self.origin = self.origin + by;
        self.put_off_wait(by);
    }

    /// Notes that the request is served, for the grid time in which `now` is: the next one is
    /// owed.
    pub(crate) fn serve(&mut self, now: Mono) {
        self.hindered = false;
        self.due = if now < self.origin {
            self.origin
        } else {
            self.grid(now) + self.interval()
        };
    }

    /// Returns the last grid time not after `now`; before the first, the first.
    fn grid(&self, now: Mono) -> Mono {
        let past = now.since(self.origin).as_micros();
        let n = past / self.interval().as_micros();
        let micros = u64::try_from(n * self.interval().as_micros()).unwrap_or(u64::MAX);
        self.origin + Duration::from_micros(micros)
    }

    fn interval(&self) -> Duration {
        self.block.interval.max(Duration::from_millis(1))
    }
}

/// Returns where in its interval the request with this number has its poll slot: multiples of
/// the golden ratio, which spread any number of requests evenly.
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

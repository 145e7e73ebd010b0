//! A device that falls silent again and again is kept offline for a while: each change is a
//! log-in and an event for the people who watch the cloud, and these events tell them
//! nothing new.
//!
//! The rule is the one by which routers treat a route that comes and goes (RFC 2439): each
//! silence adds one to a penalty that halves every ten minutes. Above three the device is
//! held back, below one it is let go; four silences at once hold it back for some twenty
//! minutes. The device is polled all the while, and held back only from the cloud. A
//! silence that was caused by the port does not count.
//!
//! A port may be exempt from this (`damping: false`). The figures cannot be configured: the
//! first three silences are reported as they come.

use std::time::Duration;

use crate::base::Mono;

/// The time in which a penalty halves.
const HALF_LIFE: Duration = Duration::from_secs(600);

/// The penalty above which a device is held back …
const HELD_ABOVE: f64 = 3.0;

/// … until it is below this.
const FREE_BELOW: f64 = 1.0;

/// The largest penalty. It keeps any device from being held back for longer than some forty
/// minutes after its last silence.
const MOST: f64 = 16.0;

/// How often one device fell silent lately.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Flapping {
    penalty: f64,
    at: Mono,
    held: bool,
}

impl Flapping {
    /// Notes that the device fell silent. Returns whether it is held back from now on and was
    /// not before.
    pub(super) fn fell_silent(&mut self, now: Mono) -> bool {
        self.penalty = (self.left(now) + 1.0).min(MOST);
        self.at = now;
        let news = !self.held && self.penalty > HELD_ABOVE;
        self.held |= news;
        news
    }

    /// Lets time pass. Returns whether the device has just been let go.
    pub(super) fn on_time(&mut self, now: Mono) -> bool {
        let free = self.free_at().is_some_and(|at| now >= at);
        if free {
            self.held = false;
        }
        free
    }

    /// Returns when the device will be let go, if it is held back.
    pub(super) fn free_at(&self) -> Option<Mono> {
        let halvings = (self.penalty / FREE_BELOW).log2().max(0.0);
        self.held.then(|| self.at + HALF_LIFE.mul_f64(halvings))
    }

    fn left(&self, now: Mono) -> f64 {
        let halvings = now.since(self.at).as_secs_f64() / HALF_LIFE.as_secs_f64();
        self.penalty * (-halvings).exp2()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn the_fourth_silence_in_a_row_holds_it_back_for_twenty_minutes() {
        let mut f = Flapping::default();
        let held: Vec<bool> = (0..4).map(|_| f.fell_silent(at(100))).collect();
        assert_eq!(held, [false, false, false, true]);
        assert_eq!(f.free_at(), Some(at(100 + 1200)));
        assert!(!f.on_time(at(1299)));
        assert!(f.on_time(at(1300)));
        assert!(!f.on_time(at(1301)), "told once");
    }

    #[test]
    fn a_silence_every_quarter_of_an_hour_is_nothing_to_hold_against_anyone() {
        let mut f = Flapping::default();
        assert!((0..100).all(|n| !f.fell_silent(at(n * 900))));
    }

    #[test]
    fn however_often_it_is_not_held_for_ever() {
        let mut f = Flapping::default();
        let told = (0..1000).filter(|n| f.fell_silent(at(*n))).count();
        assert_eq!(told, 1, "told once");
        let free = f.free_at().unwrap();
        assert!(free <= at(999 + 2400), "{free}");
    }
}

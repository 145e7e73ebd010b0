//! How long the rest of a frame that has begun is waited for.
//!
//! The time that a standard allows between two bytes is long where nothing but a check ends a
//! frame: a second in Modbus ASCII. Behind a serial server bytes come as the network delivers
//! them. A request whose reply stops in the middle every time would hold up the neighbours
//! for all of that time, again and again. So the longest pause inside good replies is kept.
//! When a reply has stopped in the middle once, the rest of the next reply to that request is
//! waited for four times as long as that pause, if enough replies were seen. The first time
//! the rest is waited for as long as there is time, so that a rare pause costs no reply.

use std::time::Duration;

use crate::base::Mono;

use crate::field::polled_device::recent_max::RecentMax;

/// How many replies must come before anything is known.
const LEAST_REPLIES: u32 = 16;

/// How many times as long as the longest pause so far a pause may be.
const MARGIN: u32 = 4;

/// The pauses on one line.
#[derive(Clone, Debug)]
pub struct Pauses {
    /// The shortest wait: what adapters, kernels or a lost segment may take.
    floor: Duration,
    seen: u32,
    longest: RecentMax,
}

impl Pauses {
    /// Returns the pauses of a line of which nothing is known yet; `floor` is the shortest
    /// wait.
    #[must_use]
    pub const fn new(floor: Duration, now: Mono) -> Self {
        Pauses {
            floor,
            seen: 0,
            longest: RecentMax::new(now),
        }
    }

    /// Notes a good reply whose longest pause between bytes was this.
    pub fn note(&mut self, now: Mono, longest: Duration) {
        self.longest.measured(now, longest);
        self.seen = self.seen.saturating_add(1);
    }

    /// Returns how long the next byte of a frame that has begun is waited for, where a
    /// standard or the network may take as long as `most`.
    #[must_use]
    pub fn rest(&self, most: Duration) -> Duration {
        if self.seen < LEAST_REPLIES {
            return most;
        }
        let longest = self.longest.get();
        longest.saturating_mul(MARGIN).max(self.floor).min(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOOR: Duration = Duration::from_millis(100);
    const MOST: Duration = Duration::from_secs(1);

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn at(seconds: u64) -> Mono {
        Mono::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn the_rest_is_waited_for_four_times_as_long_as_the_longest_pause() {
        for (pause, rest) in [(1, 100), (40, 160), (300, 1000)] {
            let mut pauses = Pauses::new(FLOOR, at(0));
            for _ in 1..LEAST_REPLIES {
                pauses.note(at(1), ms(pause));
                assert_eq!(pauses.rest(MOST), MOST, "not enough is known");
            }
            pauses.note(at(1), ms(pause / 2));
            assert_eq!(pauses.rest(MOST), ms(rest), "{pause}");
        }
    }

    #[test]
    fn a_long_pause_counts_for_ten_minutes_at_least_and_not_for_ever() {
        let mut pauses = Pauses::new(FLOOR, at(0));
        pauses.note(at(1), ms(200));
        for second in 2..600 {
            pauses.note(at(second), ms(1));
            if u64::from(LEAST_REPLIES) < second {
                assert_eq!(pauses.rest(MOST), ms(800), "{second}");
            }
        }
        for second in 600..1300 {
            pauses.note(at(second), ms(1));
        }
        assert_eq!(pauses.rest(MOST), FLOOR);
    }
}

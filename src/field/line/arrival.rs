//! Computes when a reply that is arriving can be complete.
//!
//! The port need not be woken by each character of the reply: characters come at the pace of
//! the line, and nothing can be decoded before the last. From each look at what has come
//! follows an instant at which the first character began at the latest. The earliest of these
//! instants is kept, as the whole lateness of a look is in its instant. Reckoned from the
//! last look instead, the end would be expected late by however long the character on the
//! wire had been under way.

use std::time::Duration;

use super::silence::Silence;
use crate::base::Mono;

/// The characters of one reply, so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Arrival {
    bytes: usize,
    /// The latest instant at which the first character can have begun.
    began: Option<Mono>,
}

impl Arrival {
    /// Notes that this many more characters had come by now.
    pub fn on_bytes(&mut self, now: Mono, bytes: usize, pace: &Silence) {
        self.bytes = self.bytes.saturating_add(bytes);
        let took = pace.transmission(self.bytes);
        let began = Mono::START + now.since(Mono::START).saturating_sub(took);
        self.began = Some(self.began.map_or(began, |b| b.min(began)));
    }

    /// Returns how long from now on it takes until this many more characters can have come,
    /// at the earliest.
    #[must_use]
    pub fn until(&self, now: Mono, missing: usize, pace: &Silence) -> Duration {
        let all = self.bytes.saturating_add(missing);
        self.began
            .map_or(Duration::ZERO, |b| (b + pace.transmission(all)).since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::test_spec::serial;

    use proptest::prelude::*;

    proptest! {
        /// Characters come one behind the other, and every look is late. The end is never
        /// expected after it is there, and once a look was in time not before it either.
        #[test]
        fn the_end_is_never_expected_late(
            looks in prop::collection::vec((1_usize..20, 0_u64..5_000), 1..8),
            missing in 1_usize..100,
        ) {
            let pace = Silence::of(&serial(9600).line);
            let began = Mono::from_micros(1_000_000);
            let (mut arrival, mut came, mut now) = (Arrival::default(), 0, began);
            let mut punctual = false;
            for (bytes, late) in looks {
                came += bytes;
                let late = Duration::from_micros(late);
                punctual |= late.is_zero();
                now = now.max(began + pace.transmission(came) + late);
                arrival.on_bytes(now, bytes, &pace);
            }
            let complete = began + pace.transmission(came + missing);
            let expected = now + arrival.until(now, missing, &pace);
            // No look is earlier than what it sees, nor later than the lateness that was
            // drawn; instants are whole microseconds.
            let whole = Duration::from_micros(2);
            prop_assert!(expected + whole >= complete.max(now));
            prop_assert!(expected <= (complete + Duration::from_micros(5_000)).max(now) + whole);
            if punctual {
                prop_assert!(expected <= complete.max(now) + whole);
            }
        }
    }

    #[test]
    fn a_late_look_does_not_put_off_the_end() {
        let pace = Silence::of(&serial(9600).line);
        let character = pace.transmission(1);
        let mut arrival = Arrival::default();
        let first = Mono::from_micros(50_000);
        arrival.on_bytes(first, 1, &pace);
        // 17 characters and the better part of another later:
        let now = first + character * 17 + character * 9 / 10;
        arrival.on_bytes(now, 17, &pace);
        assert_eq!(now + arrival.until(now, 27, &pace), first + character * 44);
        // If nothing was seen, nothing is known.
        let unseen = Arrival::default();
        assert_eq!(unseen.until(now, 27, &pace), Duration::ZERO);
    }
}

//! How a device that does not answer is tried, and what is known of its life meanwhile.
//!
//! A miss is confirmed without delay, so that the silence of a device that answered before is
//! soon certain. Then the waits double up to a ceiling. A part of a request, which may get a
//! sign of life from a unit that is silent to long requests, has waits of its own: for a device
//! that is absent such parts are of no more use than the requests of the plan.
//!
//! This module counts and waits. With which request a device is tried is decided in
//! `polled_device/asking.rs`, what a failure says about the request in
//! `polled_device/failing.rs`.

use std::time::Duration;

use crate::base::{Backoff, MissReason, Mono, Rng};

use super::poll_slot::LONGEST_OVERTAKING;

/// The first wait after a miss; the wait doubles.
pub(in crate::field) const RETRY_FLOOR: Duration = Duration::from_millis(500);

/// The longest wait between attempts at a device that does not answer, if the line has time
/// for them.
pub(in crate::field) const RETRY_CEILING: Duration = Duration::from_millis(4500);

/// How often a device that answered before is tried without delay, so that its silence is
/// soon certain.
const CONFIRMATIONS: u32 = 2;

/// The first and the longest wait between tries of a part of a request.
const PART_WAIT: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(600));

/// The misses of one device, and when it is tried again.
#[derive(Clone, Debug)]
pub(super) struct Retries {
    /// The wait before the next attempt; it also counts the misses in a row.
    whole: Backoff,
    /// The wait before the next attempt with a part of a request.
    part: Backoff,
    /// How often a part of a request was made in vain since the device last proved that it
    /// lives, for a sign of life.
    parts_missed: u32,
    /// When the device last proved that it lives, if it ever did.
    proved: Option<Mono>,
    /// Whether its last reply was spoilt, which did not count as a miss.
    excused: bool,
    /// Whether many devices of the line miss.
    many_miss: bool,
    /// Whether there is time for a request that is not in the plan.
    may_probe: bool,
}

impl Retries {
    /// Returns the state of a device that was never asked.
    pub(super) const fn new() -> Self {
        Retries {
            whole: Backoff::new(RETRY_FLOOR, RETRY_CEILING),
            part: Backoff::new(PART_WAIT.0, PART_WAIT.1),
            parts_missed: 0,
            proved: None,
            excused: false,
            many_miss: false,
            may_probe: true,
        }
    }

    /// Takes how the line fares: whether many of its devices miss, and whether there is time
    /// for a request that is not in the plan.
    pub(super) const fn at(&mut self, many_miss: bool, may_probe: bool) {
        self.many_miss = many_miss;
        self.may_probe = may_probe;
    }

    /// Returns how many misses came in a row.
    pub(super) const fn misses(&self) -> u32 {
        self.whole.failures()
    }

    /// Returns whether the device never proved that it lives.
    pub(super) const fn is_stranger(&self) -> bool {
        self.proved.is_none()
    }

    /// Returns whether the device proved that it lives after this time; `None`: whether it ever
    /// did.
    pub(super) fn proved_after(&self, since: Option<Mono>) -> bool {
        self.proved > since
    }

    /// Returns whether the next try is to confirm a silence that has just begun.
    pub(super) const fn is_urgent(&self) -> bool {
        !self.is_stranger() && !self.is_confirmed()
    }

    /// Returns whether the silence of the device was confirmed as often as a silence is, so that
    /// the device is given up.
    pub(super) const fn is_confirmed(&self) -> bool {
        self.misses() > CONFIRMATIONS
    }

    /// Returns whether the device itself is in doubt, given that this many of its requests do not
    /// fail. The first miss of a device that has such requests is not enough: those requests
    /// show whether it lives, when their turn comes. The first miss is enough where many
    /// devices miss: then the device is more likely to have died with them, and others wait.
    pub(super) const fn is_in_doubt(&self, fine: usize) -> bool {
        match self.misses() {
            0 => false,
            1 => self.is_stranger() || fine == 0 || self.many_miss,
            _ => true,
        }
    }

    /// Returns when the wait after the last miss is over.
    pub(super) fn next(&self, now: Mono) -> Mono {
        self.whole.not_before().unwrap_or(now)
    }

    /// Returns the place of the try among the polls that are due: that of a rare request, or,
    /// to confirm a silence, before them.
    pub(super) fn rank(&self, now: Mono) -> Mono {
        match self.is_urgent() {
            true => self.next(now),
            false => self.next(now) + LONGEST_OVERTAKING,
        }
    }

    /// Returns whether the device may be tried with a part of a request.
    pub(super) fn may_try_a_part(&self, now: Mono) -> bool {
        self.may_probe && self.part.ready(now)
    }

    /// Returns whether a part of a request was made in vain since the device last proved that it
    /// lives.
    pub(super) const fn has_missed_parts(&self) -> bool {
        self.parts_missed > 0
    }

    /// Notes that a request got no reply, and that this says something about the device.
    ///
    /// Bytes that came had a sender: a neighbour's straggler or a spike spoilt the reply. Once,
    /// that is not the unit's fault: the device still counts as answering, and is asked again
    /// when its sit-out ends.
    pub(super) fn missed(&mut self, now: Mono, miss: MissReason, rng: &mut Rng) {
        let is_spoilt = matches!(miss, MissReason::Garbled | MissReason::Foreign);
        if is_spoilt && self.misses() == 0 && !self.excused {
            self.excused = true;
        } else {
            self.whole.failed(now, rng);
        }
    }

    /// Notes that a part of a request got no reply.
    pub(super) fn part_missed(&mut self, now: Mono, rng: &mut Rng) {
        self.parts_missed = self.parts_missed.saturating_add(1);
        self.part.failed(now, rng);
    }

    /// Notes that a part of a request, made for a sign of life, was answered.
    pub(super) fn part_answered(&mut self) {
        self.part.reset();
    }

    /// Notes that the device proved that it lives. Its misses count until
    /// [`Retries::end`].
    pub(super) const fn on_proof_of_life(&mut self, now: Mono) {
        self.excused = false;
        self.proved = Some(now);
        self.parts_missed = 0;
    }

    /// Ends the tries; returns whether there were any misses.
    pub(super) fn end(&mut self) -> bool {
        let missed = self.misses() > 0;
        if missed {
            self.whole.reset();
        }
        missed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(n: u64) -> Mono {
        Mono::from_micros(n * 1_000_000)
    }

    #[test]
    fn one_spoilt_reply_is_excused_and_the_next_is_not() {
        let (mut retries, mut rng) = (Retries::new(), Rng::new(1));
        retries.on_proof_of_life(second(1));
        retries.missed(second(2), MissReason::Garbled, &mut rng);
        assert_eq!(retries.misses(), 0);
        retries.missed(second(3), MissReason::Foreign, &mut rng);
        assert_eq!(retries.misses(), 1);
        retries.on_proof_of_life(second(4));
        assert!(retries.end());
        retries.missed(second(5), MissReason::Foreign, &mut rng);
        assert!(!retries.end(), "excused anew");
    }

    #[test]
    fn the_silence_of_a_device_that_answered_is_confirmed_and_that_of_a_stranger_is_not() {
        let (mut retries, mut rng) = (Retries::new(), Rng::new(1));
        assert!(!retries.is_urgent());
        retries.on_proof_of_life(second(1));
        for _ in 0..CONFIRMATIONS {
            retries.missed(second(2), MissReason::Silence, &mut rng);
            assert!(retries.is_urgent());
            assert_eq!(retries.rank(second(2)), retries.next(second(2)));
        }
        retries.missed(second(3), MissReason::Silence, &mut rng);
        assert!(!retries.is_urgent() && retries.is_confirmed());
        assert_eq!(
            retries.rank(second(3)),
            retries.next(second(3)) + LONGEST_OVERTAKING
        );
    }

    #[test]
    fn the_first_miss_leaves_a_device_with_other_requests_out_of_doubt_unless_many_miss() {
        let (mut retries, mut rng) = (Retries::new(), Rng::new(1));
        retries.on_proof_of_life(second(1));
        assert!(!retries.is_in_doubt(0));
        retries.missed(second(2), MissReason::Silence, &mut rng);
        assert!(!retries.is_in_doubt(1) && retries.is_in_doubt(0));
        retries.at(true, true);
        assert!(retries.is_in_doubt(1));
        retries.at(false, true);
        retries.missed(second(3), MissReason::Silence, &mut rng);
        assert!(retries.is_in_doubt(1));
    }
}

//! Which replies of a unit may still be on their way, and what may therefore
//! not be believed.
//!
//! An RTU reply carries no address and no number: after a timeout, a late reply
//! looks exactly like the reply to the next request of the same shape
//! (function and length). Waiting helps only as long as one waits, so waiting
//! is not what we rest on. The rule is: **a value is accepted only from a reply
//! that no abandoned request could have caused.** Two facts end the doubt:
//!
//! 1. a unit answers in order, so once it has answered a request whose reply is
//!    unmistakable, nothing older can come. Such a request is one of another
//!    shape, or, where the unit's own requests are all of one shape, a *fence*:
//!    a read of one entry with a function that is not in doubt. The unit may
//!    answer it or refuse it, an exception names the function;
//! 2. a unit that is silent to fences, against the standard, has one reply
//!    thrown away and is left alone until three response timeouts have passed
//!    since the miss, in which whatever it still owes should have come. How
//!    late its last reply was is no bound for the next, so that is not
//!    measured; instead the next two replies are thrown away as well, and must
//!    come each in time, with nothing missed and nothing unasked for between
//!    them: a gap is better than a wrong value. What is left of the risk: a
//!    unit that owes more than that many replies for longer than three
//!    timeouts, and gives each of them away just when another is waited for.
//!    Longer would hardly be safer: a reply that late is as unlikely to meet a wait of
//!    its like after three timeouts as after twenty, and all other values of the unit
//!    would be lost meanwhile.
//!
//! A request that has failed five times in a row (`failing.rs`), of a unit that was not
//! late for ten minutes, is not expected to be answered at last: what is in doubt for
//! its sake alone is so for two response timeouts, and for three where late replies are
//! not recognised.
//!
//! Some units, and some bridges in front of them, say a reply **twice**. The
//! second copy has the shape of the first and looks like the reply to whatever
//! of that shape is asked next. So a shape that was heard is not asked for again
//! within [`COPIES`], the longest a driver may keep what is on the line already
//! (`silence.rs`); a device with other shapes to ask for and a line with other
//! devices lose nothing by it. A unit that was heard to repeat itself later than
//! that is given one response timeout instead, for as long as it goes on. What is
//! left of the risk: its very first late copy, and copies that come later still.
//!
//! Replies that nobody waited for and that do not end are no copies: somebody else
//! asks the unit, through a serial server that gives every reply to all, or it
//! sends by itself. To wait for quiet would be to wait for ever, so a request that
//! is due does so for two response timeouts at most and is asked then,
//! *among others*: what comes proves that the unit lives, and may be anybody's. Its
//! value is not believed, its refusal says nothing about addresses, and its shape is
//! in doubt from then on. So a value is accepted only from a reply to a request that
//! was sent when the unit had been quiet for as long as a copy may take, whether
//! others ask or not.
//!
//! A reply that carries no address is recognised as the late one only while nothing else
//! has been asked on the line since. Then it is the last request's, and where no other
//! reply is owed there is nothing left to doubt.
//!
//! Whose replies carry no address at all may be taken for one another's on top of
//! that; what devices then have to know of each other is in `shared_stale_reply.rs`.
//!
//! In addition the unit is asked for nothing of the like for one more response timeout
//! after each miss, so that a straggler has left the line before anyone is waiting for
//! its like, and for nothing at all for as long as was waited; the line goes on with
//! the others, whose replies carry another unit id. A straggler that passes by ends the
//! wait, not the doubt.
//! Modbus TCP needs none of this: replies carry the number of their request.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::base::Mono;

use crate::field::line::silence::DELIVERY_GAP;
use crate::field::modbus::{EXCEPTION, Shape};

/// How many response timeouts after a miss a unit is left alone that offers nothing
/// unmistakable.
pub const SETTLING: u32 = 3;

/// How many replies in a row such a unit must give in time before one counts.
pub const PROMPT: u32 = 2;

/// How long a copy of a reply is reckoned with from a unit that is not known to
/// repeat itself.
pub const COPIES: Duration = DELIVERY_GAP;

/// For how many response timeouts a request that is due is kept back by replies
/// that pass by.
const PATIENCE: u32 = 2;

/// A unit that repeated itself is expected to for this long.
const HABIT: Duration = Duration::from_secs(600);

/// The doubts about one unit.
#[derive(Clone, Debug, Default)]
pub struct StaleReplies {
    /// Shapes that were asked for and not answered.
    abandoned: BTreeSet<Shape>,
    /// Of these, those that are no more when the unit may be asked again.
    lapsing: BTreeSet<Shape>,
    /// Nothing is asked before then that could be answered by what is still owed …
    until: Option<Mono>,
    /// … and nothing at all before then.
    rest: Option<Mono>,
    /// How many requests got no reply since nothing was in doubt.
    owed: u32,
    /// When a request got no reply last, of those that are in doubt.
    missed: Option<Mono>,
    /// How far a unit has come that offers nothing unmistakable.
    settling: Option<Settling>,
    /// Until when copies of replies of these shapes may come. Refusals have no
    /// bytes and the function of an exception.
    copies: BTreeMap<Shape, Mono>,
    /// Until when a copy of some reply may come that nobody waited for.
    any_copy: Option<Mono>,
    /// When the first reply passed by since the unit was asked last.
    passing: Option<Mono>,
    /// It was heard to repeat itself, and is expected to until then.
    repeats: Option<Mono>,
}

/// The way back of a unit that offers nothing unmistakable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Settling {
    /// It is left alone.
    Rests,
    /// It has given so many replies in time since.
    Answers(u32),
}

impl StaleReplies {
    /// When the unit may be asked again for what has been due since `due`; `None`:
    /// at any time.
    #[must_use]
    pub fn sits_out_until(&self, now: Mono, due: Mono, timeout: Duration) -> Option<Mono> {
        let patient = |passing: Mono| passing.max(due) + timeout.saturating_mul(PATIENCE);
        let quiet = match (self.any_copy, self.passing) {
            (Some(quiet), Some(passing)) => Some(quiet.min(patient(passing))),
            (quiet, _) => quiet,
        };
        self.rest.max(quiet).filter(|until| *until > now)
    }

    /// From when on a request of this shape may be asked, as far as stragglers are
    /// concerned.
    #[must_use]
    pub fn no_stragglers_from(&self, shape: Shape) -> Option<Mono> {
        self.until.filter(|_| self.covers(shape))
    }

    /// Whether there is a reason not to ask the unit now.
    #[must_use]
    pub fn sits_out(&self, now: Mono) -> bool {
        self.rest.max(self.any_copy) > Some(now)
    }

    /// Whether what is asked now is asked among replies to others.
    #[must_use]
    pub fn is_among_others(&self, now: Mono) -> bool {
        self.any_copy.is_some_and(|quiet| quiet > now)
    }

    /// The unit was asked, whatever came of it.
    pub const fn was_asked(&mut self) {
        self.passing = None;
    }

    /// From when on no copy of an earlier reply can be taken for that to a
    /// request of this shape.
    #[must_use]
    pub fn no_copies_from(&self, shape: Shape) -> Option<Mono> {
        let answer = self.copies.get(&shape).copied();
        let refusal = self.copies.get(&refusal_of(shape.function)).copied();
        answer.max(refusal)
    }

    /// Whether a reply of this shape could be an older request's.
    #[must_use]
    pub fn covers(&self, shape: Shape) -> bool {
        self.abandoned.contains(&shape)
    }

    /// Whether an exception to this function could be an older request's.
    #[must_use]
    pub fn covers_function(&self, function: u8) -> bool {
        self.abandoned.iter().any(|s| s.function == function)
    }

    /// Whether there is nothing to doubt.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        self.abandoned.is_empty()
    }

    /// Time passes; call before asking anything.
    pub fn at(&mut self, now: Mono) {
        if self.until.is_some_and(|until| now >= until) {
            self.until = None;
            for shape in std::mem::take(&mut self.lapsing) {
                self.abandoned.remove(&shape);
            }
            if self.is_clear() {
                self.owed = 0;
            }
            if self.settling == Some(Settling::Rests) {
                self.settling = Some(Settling::Answers(0));
            }
        }
        self.rest = self.rest.filter(|until| *until > now);
        self.copies.retain(|_, until| *until > now);
        self.any_copy = self.any_copy.filter(|until| *until > now);
        self.repeats = self.repeats.filter(|until| *until > now);
    }

    /// A reply of this shape came and was taken.
    pub fn answered(&mut self, now: Mono, shape: Shape, timeout: Duration) {
        let until = now + self.copies_for(timeout);
        self.copies.insert(shape, until);
    }

    /// A refusal of this function came and was taken.
    pub fn refused(&mut self, now: Mono, function: u8, timeout: Duration) {
        self.answered(now, refusal_of(function), timeout);
    }

    /// Whether it is known to repeat itself.
    #[must_use]
    pub const fn repeats(&self) -> bool {
        self.repeats.is_some()
    }

    /// A reply of the unit passed by that nobody waited for: one that was given
    /// up or, if there is none, a copy.
    pub fn passed_by(&mut self, now: Mono, timeout: Duration) {
        match self.is_clear() {
            true => self.repeats = Some(now + HABIT),
            // Who was late by this much may be so again.
            false => self.missed = Some(now),
        }
        // What was waited for is over. What is in doubt stays so.
        if self.lapsing.is_empty() && self.settling != Some(Settling::Rests) {
            self.until = None;
            self.rest = None;
        }
        if matches!(self.settling, Some(Settling::Answers(_))) {
            self.settling = None;
        }
        self.passing = self.passing.or(Some(now));
        self.expect_copies(now, timeout);
    }

    /// The reply to the last request came after it had been given up, and is known to be
    /// that: if it is the only one that was owed, there is nothing to doubt.
    pub fn came_late(&mut self, now: Mono, timeout: Duration) {
        if self.owed == 1 {
            self.resolved(now, timeout);
        }
    }

    fn expect_copies(&mut self, now: Mono, timeout: Duration) {
        self.any_copy = self.any_copy.max(Some(now + self.copies_for(timeout)));
    }

    /// Whether it is left alone because nothing it offers is unmistakable.
    #[must_use]
    pub fn rests(&self) -> bool {
        self.settling == Some(Settling::Rests)
    }

    /// How long copies of its replies are reckoned with.
    #[must_use]
    pub fn copies_for(&self, timeout: Duration) -> Duration {
        if self.repeats.is_some() {
            COPIES.max(timeout)
        } else {
            COPIES
        }
    }

    /// A request of this shape got no reply, for which `waited` was waited. The unit is
    /// left alone for as long again, and not asked for the like for a response timeout.
    pub fn missed(&mut self, now: Mono, shape: Shape, timeout: Duration, waited: Duration) {
        self.abandoned.insert(shape);
        self.lapsing.remove(&shape);
        self.owed = self.owed.saturating_add(1);
        self.missed = Some(now);
        self.until = Some(now + timeout);
        self.rest = self.rest.max(Some(now + waited.min(timeout)));
        self.settling = None;
    }

    /// The same of one that failed like that time and again: its like is asked for
    /// again after `lapse`, and believed.
    pub fn missed_as_before(&mut self, now: Mono, shape: Shape, lapse: Duration, waited: Duration) {
        if self.abandoned.insert(shape) {
            self.lapsing.insert(shape);
        }
        self.owed = self.owed.saturating_add(1);
        self.until = self.until.max(Some(now + lapse));
        self.rest = self.rest.max(Some(now + waited.min(lapse)));
    }

    /// A reply came that could only be the reply to the last request. Those that
    /// were given up came before it, if they came, and their copies may follow.
    pub fn resolved(&mut self, now: Mono, timeout: Duration) {
        if !self.is_clear() {
            self.expect_copies(now, timeout);
        }
        self.abandoned.clear();
        self.lapsing.clear();
        self.owed = 0;
        self.missed = None;
        self.until = None;
        self.rest = None;
        self.settling = None;
    }

    /// A reply came that may have been an older request's; the last request's
    /// own reply may then be on its way still.
    pub fn ambiguous(&mut self, now: Mono, shape: Shape, timeout: Duration) {
        self.abandoned.insert(shape);
        self.lapsing.remove(&shape);
        self.owed = self.owed.saturating_add(1);
        self.expect_copies(now, timeout);
    }

    /// A reply was thrown away, and the unit has no other shape to offer: it is
    /// left alone until a further reply would have come, and then has to show
    /// that it answers in time.
    pub fn settle(&mut self, now: Mono, timeout: Duration) {
        match self.settling {
            Some(Settling::Answers(before)) if before + 1 >= PROMPT => {
                self.resolved(now, timeout);
            }
            Some(Settling::Answers(before)) => {
                self.settling = Some(Settling::Answers(before + 1));
            }
            Some(Settling::Rests) | None => {
                // One that was not missed is in doubt since now.
                let since = self.missed.unwrap_or(now);
                self.until = Some(now.max(since + timeout.saturating_mul(SETTLING)));
                self.rest = self.until;
                self.settling = Some(Settling::Rests);
            }
        }
    }
}

const fn refusal_of(function: u8) -> Shape {
    Shape {
        function: function | EXCEPTION,
        bytes: 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SHAPE: Shape = Shape {
        function: 3,
        bytes: 4,
    };
    const OTHER: Shape = Shape {
        function: 3,
        bytes: 2,
    };
    const TIMEOUT: Duration = Duration::from_millis(500);

    fn ms(n: u64) -> Mono {
        Mono::from_micros(n * 1000)
    }

    /// For a request that is long due.
    fn sits_out(d: &StaleReplies, now: u64) -> Option<Mono> {
        d.sits_out_until(ms(now), ms(0), TIMEOUT)
    }

    #[test]
    fn waiting_alone_does_not_end_the_doubt() {
        let mut d = StaleReplies::default();
        d.missed(ms(500), SHAPE, TIMEOUT, TIMEOUT);
        assert_eq!(sits_out(&d, 600), Some(ms(1000)));
        d.at(ms(1_000_000));
        assert_eq!(sits_out(&d, 1_000_000), None);
        assert!(d.covers(SHAPE) && !d.covers(OTHER));
    }

    #[test]
    fn an_unmistakable_reply_ends_it() {
        let mut d = StaleReplies::default();
        d.missed(ms(500), SHAPE, TIMEOUT, TIMEOUT);
        d.resolved(ms(501), TIMEOUT);
        // But for the time in which copies may come.
        assert!(d.is_clear());
        assert_eq!(sits_out(&d, 501), Some(ms(536)));
    }

    #[test]
    fn the_late_reply_ends_it_if_no_other_one_is_owed() {
        for (misses, is_over) in [(1, true), (2, false)] {
            let mut d = StaleReplies::default();
            for miss in 0..misses {
                d.missed(ms(500 + miss * 1000), SHAPE, TIMEOUT, TIMEOUT);
            }
            d.came_late(ms(1700), TIMEOUT);
            assert_eq!(d.is_clear(), is_over, "{misses}");
        }
    }

    #[test]
    fn settling_takes_three_timeouts_from_the_miss_and_two_replies_in_time() {
        let mut d = StaleReplies::default();
        d.missed(ms(500), SHAPE, TIMEOUT, TIMEOUT);
        d.settle(ms(1100), TIMEOUT);
        assert_eq!(sits_out(&d, 1100), Some(ms(2000)));
        d.at(ms(2000));
        assert!(d.covers(SHAPE));
        d.settle(ms(2100), TIMEOUT);
        assert!(d.covers(SHAPE) && sits_out(&d, 2100).is_none());
        d.settle(ms(2200), TIMEOUT);
        assert!(d.is_clear());
    }

    #[test]
    fn what_is_in_doubt_without_a_miss_settles_from_the_reply_on() {
        let mut d = StaleReplies::default();
        d.ambiguous(ms(1000), SHAPE, TIMEOUT);
        d.settle(ms(1000), TIMEOUT);
        assert_eq!(sits_out(&d, 1000), Some(ms(2500)));
    }

    #[test]
    fn what_fails_as_ever_is_in_doubt_for_one_timeout_and_what_else_is_for_longer() {
        let mut d = StaleReplies::default();
        d.missed(ms(100), OTHER, TIMEOUT, TIMEOUT);
        d.missed_as_before(ms(500), SHAPE, TIMEOUT, TIMEOUT);
        d.missed_as_before(ms(500), OTHER, TIMEOUT, TIMEOUT);
        assert!(d.covers(SHAPE) && d.covers(OTHER));
        assert_eq!(sits_out(&d, 500), Some(ms(1000)));
        d.at(ms(1000));
        assert!(!d.covers(SHAPE) && d.covers(OTHER));
    }

    #[test]
    fn what_disturbs_settling_starts_it_over() {
        for disturbed in [
            (|d| d.missed(ms(3200), SHAPE, TIMEOUT, TIMEOUT)) as fn(&mut StaleReplies),
            // A straggler.
            |d| d.passed_by(ms(3200), TIMEOUT),
        ] {
            let mut d = StaleReplies::default();
            d.missed(ms(500), SHAPE, TIMEOUT, TIMEOUT);
            d.settle(ms(1100), TIMEOUT);
            d.at(ms(3100));
            d.settle(ms(3150), TIMEOUT);
            disturbed(&mut d);
            d.at(ms(4000));
            d.settle(ms(4000), TIMEOUT);
            assert_eq!(sits_out(&d, 4000), Some(ms(4700)));
            assert!(d.covers(SHAPE));
        }
    }

    #[test]
    fn a_shape_that_was_heard_is_left_alone_until_its_copy_would_have_come() {
        let mut d = StaleReplies::default();
        d.answered(ms(100), SHAPE, TIMEOUT);
        assert_eq!(d.no_copies_from(SHAPE), Some(ms(135)));
        assert_eq!(d.no_copies_from(OTHER), None);
        d.at(ms(135));
        assert_eq!(d.no_copies_from(SHAPE), None);
        // A refusal has the shape of no answer, and of the function's every one.
        d.refused(ms(200), 3, TIMEOUT);
        assert_eq!(d.no_copies_from(OTHER), Some(ms(235)));
        let another = Shape {
            function: 4,
            bytes: 2,
        };
        assert_eq!(d.no_copies_from(another), None);
    }

    #[test]
    fn a_unit_that_repeats_itself_is_given_a_timeout_until_it_has_not_for_ten_minutes() {
        let mut d = StaleReplies::default();
        d.answered(ms(100), SHAPE, TIMEOUT);
        d.passed_by(ms(300), TIMEOUT);
        assert_eq!(sits_out(&d, 300), Some(ms(800)));
        d.at(ms(1000));
        d.answered(ms(1000), SHAPE, TIMEOUT);
        assert_eq!(d.no_copies_from(SHAPE), Some(ms(1500)));
        d.at(ms(600_300));
        d.answered(ms(600_300), SHAPE, TIMEOUT);
        assert_eq!(d.no_copies_from(SHAPE), Some(ms(600_335)));
    }

    #[test]
    fn a_late_reply_is_no_sign_of_repeating_but_may_have_a_copy() {
        let mut d = StaleReplies::default();
        d.missed(ms(500), SHAPE, TIMEOUT, TIMEOUT);
        d.passed_by(ms(600), TIMEOUT);
        d.at(ms(1000));
        assert_eq!(sits_out(&d, 1000), None);
        d.resolved(ms(1100), TIMEOUT);
        assert_eq!(sits_out(&d, 1100), Some(ms(1135)));
        d.answered(ms(1200), SHAPE, TIMEOUT);
        assert_eq!(d.no_copies_from(SHAPE), Some(ms(1235)));
    }

    #[test]
    fn a_straggler_ends_the_wait_and_not_the_doubt() {
        let mut d = StaleReplies::default();
        d.missed(ms(500), SHAPE, TIMEOUT, TIMEOUT);
        d.passed_by(ms(600), TIMEOUT);
        assert_eq!(sits_out(&d, 600), Some(ms(635)));
        assert_eq!(d.no_stragglers_from(SHAPE), None);
        assert!(d.covers(SHAPE));
        // Where nothing but time tells, it goes on.
        d.settle(ms(700), TIMEOUT);
        d.passed_by(ms(800), TIMEOUT);
        assert_eq!(sits_out(&d, 800), Some(ms(2100)));
    }

    #[test]
    fn replies_that_do_not_end_keep_what_is_due_back_for_two_timeouts() {
        let mut d = StaleReplies::default();
        for at in (1000..10_000).step_by(100) {
            d.at(ms(at));
            d.passed_by(ms(at), TIMEOUT);
            let until = (at + 500).min(2000);
            let until = (until > at).then_some(ms(until));
            assert_eq!(sits_out(&d, at), until);
            assert!(d.is_among_others(ms(at)));
            // What falls due later is as patient.
            let due = ms(at + 10);
            let until = d.sits_out_until(ms(at), due, TIMEOUT);
            assert_eq!(until, Some(ms(at + 500)));
        }
        d.was_asked();
        d.passed_by(ms(10_000), TIMEOUT);
        assert_eq!(sits_out(&d, 10_000), Some(ms(10_500)));
        d.at(ms(10_500));
        assert!(!d.is_among_others(ms(10_500)), "quiet for a timeout");
    }

    proptest! {
        /// Whatever passes by: who waits for the end of the sit-out waits for two
        /// timeouts at most, and who is not among others asks after as much quiet
        /// as a copy may take.
        #[test]
        fn the_wait_has_an_end_and_trust_needs_quiet(
            gaps in prop::collection::vec(0u64..700, 1..60),
            asks in 0u64..40_000,
        ) {
            let mut d = StaleReplies::default();
            let mut at = 0;
            let mut passed = Vec::new();
            for gap in gaps {
                at += gap;
                d.at(ms(at));
                d.passed_by(ms(at), TIMEOUT);
                passed.push(at);
                prop_assert!(sits_out(&d, at).is_none_or(|u| u <= ms(passed[0] + 1000)));
                let due = ms(asks);
                let until = d.sits_out_until(ms(at), due, TIMEOUT);
                prop_assert!(until.is_none_or(|u| u <= due.max(ms(passed[0])) + TIMEOUT * 2));
            }
            d.at(ms(at + asks));
            prop_assert_eq!(d.is_among_others(ms(at + asks)), asks < 500);
        }
    }
}

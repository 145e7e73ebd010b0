//! Decides which replies of a unit may still be on their way, and which replies may therefore
//! not be believed.
//!
//! An RTU reply carries no address and no number: after a timeout, a late reply looks exactly
//! like the reply to the next request of the same shape (function and length). Waiting helps
//! only for as long as the wait lasts, so this module does not rest on waiting. The rule is:
//! **a value is accepted only from a reply that no abandoned request could have caused.** Two
//! facts clear the stale replies:
//!
//! 1. a unit answers in order, so once it has answered a request whose reply is unmistakable,
//!    nothing older can come. Such a request is one of another shape, or, where the unit's
//!    own requests are all of one shape, a *probe of another table*: a read of one entry with
//!    a function of which no stale reply can come. The unit may answer the probe or refuse
//!    it, as an exception names the function;
//! 2. a unit that is silent to such probes, against the standard, has one reply thrown away
//!    and is left alone until three response timeouts have passed since the miss. Whatever
//!    the unit still owes should have come in that time. How late its last reply was is no
//!    bound for the next, so the lateness is not measured. Instead the next two replies are
//!    thrown away as well. Each must come in time, with nothing missed and nothing unasked
//!    for between them: a gap is better than a wrong value. The risk that is left: a unit
//!    that owes more than that many replies for longer than three timeouts, and gives each of
//!    them away just when another is waited for. Longer would hardly be safer: a reply that
//!    late is as unlikely to meet a wait for its shape after three timeouts as after twenty,
//!    and all other values of the unit would be lost meanwhile.
//!
//! A request that has failed five times in a row (`polled_device/failing.rs`), of a unit that
//! was not late for ten minutes, is not expected to be answered at last. A shape that is
//! suspect for the sake of such a request alone is so for two response timeouts, and for
//! three where late replies are not recognised.
//!
//! Some units, and some bridges in front of them, send a reply **twice**. The second copy has
//! the shape of the first and looks like the reply to the next request of that shape. So a
//! shape that was heard is not asked for again within [`COPIES`], the longest a driver may
//! keep what is on the line already (`line/silence.rs`); a device with other shapes to ask
//! for and a line with other devices lose nothing by this. A unit that was heard to repeat
//! itself later than that is given one response timeout instead, for as long as it goes on.
//! The risk that is left: its very first late copy, and copies that come later still.
//!
//! Replies that were not waited for and that do not end are no copies: another master asks
//! the unit, through a serial server that gives every reply to all, or the unit sends by
//! itself. To wait for quiet would be to wait for ever, so a request that is due waits for
//! two response timeouts at most and is asked then, *among others*: what comes proves that
//! the unit lives, and may be the reply to any master. Its value is not believed, its refusal
//! says nothing about addresses, and a stale reply of its shape may come from then on. So a
//! value is accepted only from a reply to a request that was sent when the unit had been
//! quiet for as long as a copy may take, whether other masters ask or not.
//!
//! A reply that carries no address is recognised as the late one only while nothing else has
//! been asked on the line since. Then it is the last request's reply, and where no other
//! reply is owed no stale reply is left.
//!
//! Replies of devices that carry no address at all may also be taken for one another's. What
//! such devices have to know of each other is in `stale/shared_stale_reply.rs`.
//!
//! In addition the unit is asked for nothing of the same shape for one more response timeout
//! after each miss, so that a straggler has left the line before its shape is waited for. The
//! unit is asked for nothing at all for as long as was waited; the line goes on with the
//! other units, whose replies carry another unit id. A straggler that passes by ends the
//! wait, but stale replies may still come. Modbus TCP needs none of this: replies carry the
//! number of their request.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::base::Mono;

use crate::field::line::silence::DELIVERY_GAP;
use crate::field::stale::reply_shape::{RefusalShape, ReplyShape};

/// How many response timeouts after a miss a unit that offers nothing unmistakable is left
/// alone.
pub const RECOVERY: u32 = 3;

/// How many replies in a row such a unit must give in time before one counts.
pub const PROMPT: u32 = 2;

/// How long a copy of a reply is reckoned with from a unit that is not known to repeat
/// itself.
pub const COPIES: Duration = DELIVERY_GAP;

/// For how many response timeouts replies that pass by keep back a request that is due.
const DELAY_TIMEOUTS: u32 = 2;

/// How long a unit that repeated itself is expected to do so again.
const REPEATER_MEMORY: Duration = Duration::from_secs(600);

/// The stale replies that may come from one unit.
#[derive(Clone, Debug, Default)]
pub struct StaleReplies {
    /// Shapes that were asked for and not answered.
    abandoned: BTreeSet<ReplyShape>,
    /// Of these, the shapes that are dropped when the unit may be asked again.
    lapsing: BTreeSet<ReplyShape>,
    /// Before when nothing is asked that could be answered by what is still owed …
    until: Option<Mono>,
    /// … and before when nothing at all is asked.
    rest: Option<Mono>,
    /// How many requests got no reply since no stale reply could come.
    owed: u32,
    /// When a request got no reply last, of those whose stale reply may come.
    missed: Option<Mono>,
    /// How far a unit that offers nothing unmistakable has come.
    recovery: Option<Recovery>,
    /// Until when copies of replies of these shapes may come.
    copies: BTreeMap<ReplyShape, Mono>,
    /// Until when copies of these refusals may come.
    refusal_copies: BTreeMap<RefusalShape, Mono>,
    /// Until when a copy of some reply that was not waited for may come.
    any_copy: Option<Mono>,
    /// When the first reply passed by since the unit was asked last.
    passing: Option<Mono>,
    /// Until when the unit, which was heard to repeat itself, is expected to do so.
    repeats: Option<Mono>,
}

/// The way back of a unit that offers nothing unmistakable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Recovery {
    /// The unit is left alone.
    Rests,
    /// The unit has given this many replies in time since.
    Answers(u32),
}

impl StaleReplies {
    /// Returns when the unit may be asked again for what has been due since `due`; `None`: at
    /// any time.
    #[must_use]
    pub fn kept_back_until(&self, now: Mono, due: Mono, timeout: Duration) -> Option<Mono> {
        let patient = |passing: Mono| passing.max(due) + timeout.saturating_mul(DELAY_TIMEOUTS);
        let quiet = match (self.any_copy, self.passing) {
            (Some(quiet), Some(passing)) => Some(quiet.min(patient(passing))),
            (quiet, _) => quiet,
        };
        self.rest.max(quiet).filter(|until| *until > now)
    }

    /// Returns from when on a request of this shape may be asked, as far as stragglers are
    /// concerned.
    #[must_use]
    pub fn no_stragglers_from(&self, shape: ReplyShape) -> Option<Mono> {
        self.until.filter(|_| self.covers(shape))
    }

    /// Returns whether there is a reason not to ask the unit now.
    #[must_use]
    pub fn is_kept_back(&self, now: Mono) -> bool {
        self.rest.max(self.any_copy) > Some(now)
    }

    /// Returns whether a request made now is made among replies to others.
    #[must_use]
    pub fn is_among_others(&self, now: Mono) -> bool {
        self.any_copy.is_some_and(|quiet| quiet > now)
    }

    /// Notes that the unit was asked, whatever the outcome.
    pub const fn was_asked(&mut self) {
        self.passing = None;
    }

    /// Returns from when on no copy of an earlier reply can be taken for the reply to a
    /// request of this shape.
    #[must_use]
    pub fn no_copies_from(&self, shape: ReplyShape) -> Option<Mono> {
        let answer = self.copies.get(&shape).copied();
        let refusal = self.refusal_copies.get(&shape.refusal()).copied();
        answer.max(refusal)
    }

    /// Returns whether a reply of this shape could be an older request's.
    #[must_use]
    pub fn covers(&self, shape: ReplyShape) -> bool {
        self.abandoned.contains(&shape)
    }

    /// Returns whether such a refusal could be an older request's.
    #[must_use]
    pub fn covers_refusal(&self, refusal: RefusalShape) -> bool {
        self.abandoned.iter().any(|s| s.refusal() == refusal)
    }

    /// Returns whether no stale reply can come.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        self.abandoned.is_empty()
    }

    /// Lets time pass; to be called before anything is asked.
    pub fn at(&mut self, now: Mono) {
        if self.until.is_some_and(|until| now >= until) {
            self.until = None;
            for shape in std::mem::take(&mut self.lapsing) {
                self.abandoned.remove(&shape);
            }
            if self.is_clear() {
                self.owed = 0;
            }
            if self.recovery == Some(Recovery::Rests) {
                self.recovery = Some(Recovery::Answers(0));
            }
        }
        self.rest = self.rest.filter(|until| *until > now);
        self.copies.retain(|_, until| *until > now);
        self.refusal_copies.retain(|_, until| *until > now);
        self.any_copy = self.any_copy.filter(|until| *until > now);
        self.repeats = self.repeats.filter(|until| *until > now);
    }

    /// Notes that a reply of this shape came and was taken.
    pub fn answered(&mut self, now: Mono, shape: ReplyShape, timeout: Duration) {
        let until = now + self.copies_for(timeout);
        self.copies.insert(shape, until);
    }

    /// Notes that such a refusal came and was taken.
    pub fn refused(&mut self, now: Mono, refusal: RefusalShape, timeout: Duration) {
        let until = now + self.copies_for(timeout);
        self.refusal_copies.insert(refusal, until);
    }

    /// Returns whether the unit is known to repeat itself.
    #[must_use]
    pub const fn repeats(&self) -> bool {
        self.repeats.is_some()
    }

    /// Notes that a reply of the unit that was not waited for passed by: the reply to a
    /// request that was given up or, if there is none, a copy.
    pub fn passed_by(&mut self, now: Mono, timeout: Duration) {
        match self.is_clear() {
            true => self.repeats = Some(now + REPEATER_MEMORY),
            // A unit that was late by this much may be so again.
            false => self.missed = Some(now),
        }
        // The wait is over. The stale replies that may come stay noted.
        if self.lapsing.is_empty() && self.recovery != Some(Recovery::Rests) {
            self.until = None;
            self.rest = None;
        }
        if matches!(self.recovery, Some(Recovery::Answers(_))) {
            self.recovery = None;
        }
        self.passing = self.passing.or(Some(now));
        self.expect_copies(now, timeout);
    }

    /// Notes that the reply to the last request came after that request had been given up,
    /// and is known to be its reply: if no other reply was owed, no stale reply is left.
    pub fn came_late(&mut self, now: Mono, timeout: Duration) {
        if self.owed == 1 {
            self.resolved(now, timeout);
        }
    }

    fn expect_copies(&mut self, now: Mono, timeout: Duration) {
        self.any_copy = self.any_copy.max(Some(now + self.copies_for(timeout)));
    }

    /// Returns whether the unit is left alone because nothing it offers is unmistakable.
    #[must_use]
    pub fn rests(&self) -> bool {
        self.recovery == Some(Recovery::Rests)
    }

    /// Returns how long copies of the unit's replies are reckoned with.
    #[must_use]
    pub fn copies_for(&self, timeout: Duration) -> Duration {
        if self.repeats.is_some() {
            COPIES.max(timeout)
        } else {
            COPIES
        }
    }

    /// Notes that a request of this shape got no reply, for which `waited` was waited. The
    /// unit is left alone for as long again, and not asked for this shape for a response
    /// timeout.
    pub fn missed(&mut self, now: Mono, shape: ReplyShape, timeout: Duration, waited: Duration) {
        self.abandoned.insert(shape);
        self.lapsing.remove(&shape);
        self.owed = self.owed.saturating_add(1);
        self.missed = Some(now);
        self.until = Some(now + timeout);
        self.rest = self.rest.max(Some(now + waited.min(timeout)));
        self.recovery = None;
    }

    /// Notes that a request that failed like that time and again got no reply: its shape is
    /// asked for again after `lapse`, and believed.
    pub fn missed_as_before(
        &mut self,
        now: Mono,
        shape: ReplyShape,
        lapse: Duration,
        waited: Duration,
    ) {
        if self.abandoned.insert(shape) {
            self.lapsing.insert(shape);
        }
        self.owed = self.owed.saturating_add(1);
        self.until = self.until.max(Some(now + lapse));
        self.rest = self.rest.max(Some(now + waited.min(lapse)));
    }

    /// Notes a reply that could only be the reply to the last request. Replies to the
    /// requests that were given up came before it, if they came, and their copies may follow.
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
        self.recovery = None;
    }

    /// Notes a reply that may have been an older request's; the last request's own reply may
    /// then still be on its way.
    pub fn ambiguous(&mut self, now: Mono, shape: ReplyShape, timeout: Duration) {
        self.abandoned.insert(shape);
        self.lapsing.remove(&shape);
        self.owed = self.owed.saturating_add(1);
        self.expect_copies(now, timeout);
    }

    /// Notes that a reply was thrown away, and the unit has no other shape to offer: the unit
    /// is left alone until a further reply would have come, and then has to show that it
    /// answers in time.
    pub fn discarded(&mut self, now: Mono, timeout: Duration) {
        match self.recovery {
            Some(Recovery::Answers(before)) if before + 1 >= PROMPT => {
                self.resolved(now, timeout);
            }
            Some(Recovery::Answers(before)) => {
                self.recovery = Some(Recovery::Answers(before + 1));
            }
            Some(Recovery::Rests) | None => {
                // A unit that has not missed may send stale replies from now on.
                let since = self.missed.unwrap_or(now);
                self.until = Some(now.max(since + timeout.saturating_mul(RECOVERY)));
                self.rest = self.until;
                self.recovery = Some(Recovery::Rests);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::field::modbus::ModbusReplyShape;

    const SHAPE: ReplyShape = ReplyShape::Modbus(ModbusReplyShape {
        function: 3,
        bytes: 4,
    });
    const OTHER: ReplyShape = ReplyShape::Modbus(ModbusReplyShape {
        function: 3,
        bytes: 2,
    });
    const TIMEOUT: Duration = Duration::from_millis(500);

    fn ms(n: u64) -> Mono {
        Mono::from_micros(n * 1000)
    }

    /// Returns the end of the sit-out for a request that is long due.
    fn is_kept_back(d: &StaleReplies, now: u64) -> Option<Mono> {
        d.kept_back_until(ms(now), ms(0), TIMEOUT)
    }

    #[test]
    fn waiting_alone_does_not_end_the_doubt() {
        let mut d = StaleReplies::default();
        d.missed(ms(500), SHAPE, TIMEOUT, TIMEOUT);
        assert_eq!(is_kept_back(&d, 600), Some(ms(1000)));
        d.at(ms(1_000_000));
        assert_eq!(is_kept_back(&d, 1_000_000), None);
        assert!(d.covers(SHAPE) && !d.covers(OTHER));
    }

    #[test]
    fn an_unmistakable_reply_ends_it() {
        let mut d = StaleReplies::default();
        d.missed(ms(500), SHAPE, TIMEOUT, TIMEOUT);
        d.resolved(ms(501), TIMEOUT);
        // Clear except for the time in which copies may come.
        assert!(d.is_clear());
        assert_eq!(is_kept_back(&d, 501), Some(ms(536)));
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
    fn recovery_takes_three_timeouts_from_the_miss_and_two_replies_in_time() {
        let mut d = StaleReplies::default();
        d.missed(ms(500), SHAPE, TIMEOUT, TIMEOUT);
        d.discarded(ms(1100), TIMEOUT);
        assert_eq!(is_kept_back(&d, 1100), Some(ms(2000)));
        d.at(ms(2000));
        assert!(d.covers(SHAPE));
        d.discarded(ms(2100), TIMEOUT);
        assert!(d.covers(SHAPE) && is_kept_back(&d, 2100).is_none());
        d.discarded(ms(2200), TIMEOUT);
        assert!(d.is_clear());
    }

    #[test]
    fn what_is_in_doubt_without_a_miss_recovers_from_the_reply_on() {
        let mut d = StaleReplies::default();
        d.ambiguous(ms(1000), SHAPE, TIMEOUT);
        d.discarded(ms(1000), TIMEOUT);
        assert_eq!(is_kept_back(&d, 1000), Some(ms(2500)));
    }

    #[test]
    fn what_fails_as_ever_is_in_doubt_for_one_timeout_and_what_else_is_for_longer() {
        let mut d = StaleReplies::default();
        d.missed(ms(100), OTHER, TIMEOUT, TIMEOUT);
        d.missed_as_before(ms(500), SHAPE, TIMEOUT, TIMEOUT);
        d.missed_as_before(ms(500), OTHER, TIMEOUT, TIMEOUT);
        assert!(d.covers(SHAPE) && d.covers(OTHER));
        assert_eq!(is_kept_back(&d, 500), Some(ms(1000)));
        d.at(ms(1000));
        assert!(!d.covers(SHAPE) && d.covers(OTHER));
    }

    #[test]
    fn what_disturbs_recovery_starts_it_over() {
        for disturbed in [
            (|d| d.missed(ms(3200), SHAPE, TIMEOUT, TIMEOUT)) as fn(&mut StaleReplies),
            // A straggler.
            |d| d.passed_by(ms(3200), TIMEOUT),
        ] {
            let mut d = StaleReplies::default();
            d.missed(ms(500), SHAPE, TIMEOUT, TIMEOUT);
            d.discarded(ms(1100), TIMEOUT);
            d.at(ms(3100));
            d.discarded(ms(3150), TIMEOUT);
            disturbed(&mut d);
            d.at(ms(4000));
            d.discarded(ms(4000), TIMEOUT);
            assert_eq!(is_kept_back(&d, 4000), Some(ms(4700)));
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
        // A refusal has the shape of no answer, and of every answer of its function.
        d.refused(ms(200), RefusalShape::Modbus(3), TIMEOUT);
        assert_eq!(d.no_copies_from(OTHER), Some(ms(235)));
        let another = ReplyShape::Modbus(ModbusReplyShape {
            function: 4,
            bytes: 2,
        });
        assert_eq!(d.no_copies_from(another), None);
    }

    #[test]
    fn a_unit_that_repeats_itself_is_given_a_timeout_until_it_has_not_for_ten_minutes() {
        let mut d = StaleReplies::default();
        d.answered(ms(100), SHAPE, TIMEOUT);
        d.passed_by(ms(300), TIMEOUT);
        assert_eq!(is_kept_back(&d, 300), Some(ms(800)));
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
        assert_eq!(is_kept_back(&d, 1000), None);
        d.resolved(ms(1100), TIMEOUT);
        assert_eq!(is_kept_back(&d, 1100), Some(ms(1135)));
        d.answered(ms(1200), SHAPE, TIMEOUT);
        assert_eq!(d.no_copies_from(SHAPE), Some(ms(1235)));
    }

    #[test]
    fn a_straggler_ends_the_wait_and_not_the_doubt() {
        let mut d = StaleReplies::default();
        d.missed(ms(500), SHAPE, TIMEOUT, TIMEOUT);
        d.passed_by(ms(600), TIMEOUT);
        assert_eq!(is_kept_back(&d, 600), Some(ms(635)));
        assert_eq!(d.no_stragglers_from(SHAPE), None);
        assert!(d.covers(SHAPE));
        // Where only time can clear the stale replies, they stay noted.
        d.discarded(ms(700), TIMEOUT);
        d.passed_by(ms(800), TIMEOUT);
        assert_eq!(is_kept_back(&d, 800), Some(ms(2100)));
    }

    #[test]
    fn replies_that_do_not_end_keep_what_is_due_back_for_two_timeouts() {
        let mut d = StaleReplies::default();
        for at in (1000..10_000).step_by(100) {
            d.at(ms(at));
            d.passed_by(ms(at), TIMEOUT);
            let until = (at + 500).min(2000);
            let until = (until > at).then_some(ms(until));
            assert_eq!(is_kept_back(&d, at), until);
            assert!(d.is_among_others(ms(at)));
            // A request that falls due later waits as long.
            let due = ms(at + 10);
            let until = d.kept_back_until(ms(at), due, TIMEOUT);
            assert_eq!(until, Some(ms(at + 500)));
        }
        d.was_asked();
        d.passed_by(ms(10_000), TIMEOUT);
        assert_eq!(is_kept_back(&d, 10_000), Some(ms(10_500)));
        d.at(ms(10_500));
        assert!(!d.is_among_others(ms(10_500)), "quiet for a timeout");
    }

    proptest! {
        /// Whatever passes by: a request that waits for the end of the sit-out waits for two
        /// timeouts at most, and a request that is not among others is asked after as much
        /// quiet as a copy may take.
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
                prop_assert!(is_kept_back(&d, at).is_none_or(|u| u <= ms(passed[0] + 1000)));
                let due = ms(asks);
                let until = d.kept_back_until(ms(at), due, TIMEOUT);
                prop_assert!(until.is_none_or(|u| u <= due.max(ms(passed[0])) + TIMEOUT * 2));
            }
            d.at(ms(at + asks));
            prop_assert_eq!(d.is_among_others(ms(at + asks)), asks < 500);
        }
    }
}

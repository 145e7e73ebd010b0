//! Which replies of one device can be trusted, given how its requests ended.
//!
//! [`StaleReplies`] knows which replies may still be on their way. This module tells it what
//! the end of a request means for them, and asks it whether the next reply can be taken for
//! an older one. Where replies carry the number of their request, every reply can be trusted.
//!
//! Contract: before a request's end is taken, [`ReplyTrust::certainty`] says what its reply
//! could be. [`ReplyTrust::ended`] says whether the reply may have been an older request's; if
//! the device has no request to offer that would tell the two apart, [`ReplyTrust::discarded`]
//! lets it prove by its promptness that it owes nothing.

use std::time::Duration;

use crate::base::{MissReason, Mono};

use crate::field::modbus::ModbusReplyShape;
use crate::field::receiver::Mismatch;
use crate::field::stale::reply_shape::{RefusalShape, ReplyShape};
use crate::field::stale::stale_reply::{COPIES, RECOVERY, StaleReplies};
use crate::field::transaction::request::{Outcome, Request};

/// How often in a row a request must fail until an answer is not expected any more …
const FAILURES_TO_EXPECT_NONE: u32 = 5;

/// … unless its unit gave a late reply within this time.
const LATE_REPLY_MEMORY: Duration = Duration::from_secs(600);

/// How often in a row a device must be asked among replies to others, without being read
/// meanwhile, for another master to be reported …
const MISSES_TO_REPORT: u32 = 3;

/// … and after how long this is reported again, if it goes on.
const TELL_AGAIN: Duration = Duration::from_secs(3600);

/// What the reply to a request could be, besides its reply.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReplyCertainty {
    among_others: bool,
    pinned: bool,
}

impl ReplyCertainty {
    /// Returns whether the request was made among replies to others.
    pub(super) const fn is_among_others(self) -> bool {
        self.among_others
    }

    /// Returns whether a refusal can only be that of this request.
    pub(super) const fn is_refusal_pinned(self) -> bool {
        self.pinned
    }
}

/// Which replies of one device can be trusted.
#[derive(Clone, Debug)]
pub(super) struct ReplyTrust {
    /// Whether replies carry the number of their request.
    numbered: bool,
    /// Whether replies carry no number by a standard, not even their sender's.
    unaddressed: bool,
    /// The configured response timeout.
    timeout: Duration,
    stale: StaleReplies,
    /// When the device last answered.
    answered: Option<Mono>,
    /// When a reply of the device last came that had been given up.
    late: Option<Mono>,
    /// When the last request that got no reply was made, if no reply came since.
    missed_asked: Option<Mono>,
    /// Whether it was reported that its replies come twice.
    told_twice: bool,
    /// How often in a row the device was asked among replies to others.
    among_others: u32,
    /// When that was last reported.
    told_others: Option<Mono>,
}

impl ReplyTrust {
    /// Returns the state before anything was asked. `numbered`: replies carry the number of
    /// their request; `unaddressed`: they do not even name their sender.
    pub(super) fn new(numbered: bool, unaddressed: bool, timeout: Duration) -> Self {
        ReplyTrust {
            numbered,
            unaddressed,
            timeout,
            stale: StaleReplies::default(),
            answered: None,
            late: None,
            missed_asked: None,
            told_twice: false,
            among_others: 0,
            told_others: None,
        }
    }

    /// Lets time pass; to be called before anything is asked.
    pub(super) fn at(&mut self, now: Mono) {
        self.stale.at(now);
    }

    // What may be asked, and when.

    /// Returns whether replies carry the number of their request.
    pub(super) const fn is_numbered(&self) -> bool {
        self.numbered
    }

    /// Returns whether replies do not even name their sender.
    pub(super) const fn has_unaddressed_replies(&self) -> bool {
        self.unaddressed
    }

    /// Returns the replies that may still be on their way.
    pub(super) const fn stale(&self) -> &StaleReplies {
        &self.stale
    }

    /// Returns when the device last answered.
    pub(super) const fn answered(&self) -> Option<Mono> {
        self.answered
    }

    /// Returns whether a reply of this shape could be an older request's.
    pub(super) fn is_doubtful(&self, shape: ReplyShape) -> bool {
        !self.numbered && self.stale.covers(shape)
    }

    /// Returns whether a refusal of a request of this shape could be an older request's.
    pub(super) fn doubts_refusal(&self, shape: ReplyShape) -> bool {
        !self.numbered && self.stale.covers_refusal(shape.refusal())
    }

    /// Returns whether a request made now is made among replies to others.
    pub(super) fn is_among_others(&self, now: Mono) -> bool {
        !self.numbered && self.stale.is_among_others(now)
    }

    /// Returns whether a reply of the unit that was not waited for can be the late one.
    pub(super) fn has_reply_outstanding(&self) -> bool {
        self.numbered || !self.stale.is_clear()
    }

    /// Returns when the device may be asked anything, given since when its first request is
    /// due; `due` is asked for only if it matters.
    pub(super) fn free_at(&self, now: Mono, due: impl FnOnce() -> Mono) -> Mono {
        if !self.stale.is_kept_back(now) {
            return now;
        }
        let until = self.stale.kept_back_until(now, due(), self.timeout);
        until.unwrap_or(now)
    }

    /// Returns from when on no straggler can be taken for a reply of this shape; `None`: at
    /// any time.
    pub(super) fn stale_replies_over_at(&self, shape: ReplyShape) -> Option<Mono> {
        let from = self.stale.no_stragglers_from(shape);
        from.filter(|_| !self.numbered)
    }

    /// Returns from when on neither a straggler nor a copy can be taken for a reply of this
    /// shape; `None`: at any time.
    pub(super) fn ask_from(&self, shape: ReplyShape) -> Option<Mono> {
        let copies = self.stale.no_copies_from(shape);
        copies.max(self.stale_replies_over_at(shape))
    }

    /// Returns when something of this shape may be written: as soon as no reply that is still
    /// on its way could be taken for the reply to this write. `None`: not before something
    /// else is heard of the device.
    pub(super) fn write_from(&self, now: Mono, shape: ReplyShape) -> Option<Mono> {
        if self.numbered {
            return Some(now);
        }
        if self.stale.covers_refusal(shape.refusal()) {
            return None;
        }
        let clear = self.ask_from(shape).unwrap_or(now);
        // A confirmation names place and value, so replies to others matter less than that a
        // command does not wait.
        let free = self.stale.kept_back_until(now, Mono::START, self.timeout);
        Some(clear.max(free.unwrap_or(now)))
    }

    /// Returns until when copies of what the device sent may come.
    pub(super) fn copies_until(&self, now: Mono) -> Mono {
        now + self.stale.copies_for(self.timeout)
    }

    // What happened.

    /// Returns what the reply to this request could be, besides its reply; to be called
    /// before anything else is told of its end.
    pub(super) fn certainty(&self, request: &Request) -> ReplyCertainty {
        let among_others = !request.trusted && self.is_among_others(request.asked);
        let is_clear = !self.stale.covers_refusal(request.shape.refusal());
        ReplyCertainty {
            among_others,
            pinned: self.numbered || (!among_others && is_clear),
        }
    }

    /// Notes that the device was asked, and returns whether it has to be reported that
    /// another master goes on asking it.
    pub(super) fn was_asked(
        &mut self,
        now: Mono,
        request: &Request,
        outcome: &Outcome,
        certainty: ReplyCertainty,
    ) -> bool {
        self.stale.was_asked();
        if certainty.among_others {
            self.among_others = self.among_others.saturating_add(1);
        } else if request.trusted && matches!(outcome, Outcome::Answered(_)) {
            self.among_others = 0;
        }
        let again = self.told_others.is_none_or(|told| now >= told + TELL_AGAIN);
        // Of a device that is silent since, the count stays and says nothing new.
        let tells = certainty.among_others && self.among_others >= MISSES_TO_REPORT && again;
        if tells {
            self.told_others = Some(now);
        }
        tells
    }

    /// Returns whether the frame that came in place of the reply can be the reply to an abandoned
    /// request.
    pub(super) fn is_late(&self, outcome: &Outcome) -> bool {
        match outcome {
            _ if self.numbered => false,
            Outcome::Mismatched(Mismatch::Reply { function, bytes }) => {
                let (function, bytes) = (*function, *bytes);
                let shape = ReplyShape::Modbus(ModbusReplyShape { function, bytes });
                self.stale.covers(shape)
            }
            Outcome::Mismatched(Mismatch::Exception { function, .. }) => {
                self.stale.covers_refusal(RefusalShape::Modbus(*function))
            }
            _ => false,
        }
    }

    /// Notes that the reply to an abandoned request came in place of a reply; returns how
    /// long after the last request that got no reply, if that is known.
    pub(super) fn came_in_place(&mut self, now: Mono) -> Option<Duration> {
        self.late = Some(now);
        self.missed_asked.map(|asked| now.since(asked))
    }

    /// Notes that a reply to an abandoned request came by itself; returns the same.
    pub(super) fn came_late(&mut self, now: Mono) -> Option<Duration> {
        self.late = Some(now);
        if self.unaddressed {
            self.stale.came_late(now, self.timeout);
        }
        self.missed_asked.take().map(|asked| now.since(asked))
    }

    /// Notes that a reply of the unit that was not waited for went by; `longest` is how long
    /// the longest reply of the unit takes. Returns whether it has to be reported that its
    /// replies come twice.
    pub(super) fn passed_by(&mut self, now: Mono, longest: Duration) -> bool {
        if !self.numbered {
            // A copy right behind its reply is over before the line is free.
            let soon = COPIES + longest;
            let is_soon = self.answered.is_some_and(|at| now.since(at) <= soon);
            if !is_soon || !self.stale.is_clear() {
                self.stale.passed_by(now, self.timeout);
            }
        }
        self.stale.repeats() && !std::mem::replace(&mut self.told_twice, true)
    }

    /// Notes that a request which is not of the plan, of this shape, was answered, or refused: a
    /// copy of that reply may follow.
    pub(super) fn survey_answered(&mut self, now: Mono, shape: ReplyShape, is_refusal: bool) {
        match is_refusal {
            true => self.stale.refused(now, shape.refusal(), self.timeout),
            false => self.stale.answered(now, shape, self.timeout),
        }
    }

    /// Notes that a request which is not of the plan, of this shape, got no reply for which
    /// `waited` was waited.
    pub(super) fn survey_missed(&mut self, now: Mono, shape: ReplyShape, waited: Duration) {
        if !self.numbered {
            self.stale
                .missed(now, shape, self.timeout.max(waited), waited);
        }
    }

    /// Takes the end of a request; `failures` is how often in a row the request had failed
    /// before if it is set aside, otherwise 0. Returns whether the reply may have been an
    /// older request's, so that its own may still come.
    pub(super) fn ended(
        &mut self,
        now: Mono,
        request: &Request,
        outcome: &Outcome,
        certainty: ReplyCertainty,
        failures: u32,
    ) -> bool {
        let (shape, timeout) = (request.shape, self.timeout);
        match outcome {
            Outcome::Answered(_) => {
                self.answered = Some(now);
                self.stale.answered(now, shape, timeout);
            }
            Outcome::Exception(_) | Outcome::Refused(_) => {
                self.answered = Some(now);
                self.stale.refused(now, shape.refusal(), timeout);
            }
            // Only commands are confirmed.
            Outcome::Confirmed | Outcome::Missed(_) | Outcome::Mismatched(_) => {}
        }
        let mut is_ambiguous = false;
        match outcome {
            Outcome::Answered(_) if request.trusted => self.stale.resolved(now, timeout),
            Outcome::Exception(_) | Outcome::Refused(_) if certainty.pinned => {
                self.stale.resolved(now, timeout);
            }
            Outcome::Missed(_) | Outcome::Mismatched(_) if !self.numbered => {
                self.missed(now, request, failures);
            }
            // Only replies that others owe are suspect.
            Outcome::Answered(_) if !self.numbered && !self.stale.covers(shape) => {}
            // A refusal names its function, but not which request of that function was
            // refused; an untrusted answer may be an older one.
            Outcome::Answered(_) | Outcome::Exception(_) | Outcome::Refused(_)
                if !self.numbered =>
            {
                self.stale.ambiguous(now, shape, timeout);
                is_ambiguous = true;
            }
            _ => {}
        }
        match outcome {
            // What came was its reply, as far as is known: no other reply is late.
            Outcome::Missed(MissReason::Garbled) => self.missed_asked = None,
            Outcome::Missed(_) | Outcome::Mismatched(_) => self.missed_asked = Some(request.asked),
            _ => {}
        }
        is_ambiguous
    }

    /// Notes that a request got no reply. Of a unit that was not late for a while, the reply
    /// to a request that has failed time and again is not expected any more.
    fn missed(&mut self, now: Mono, request: &Request, failures: u32) {
        let timeout = self.timeout;
        let is_late = |at| request.asked.since(at) < LATE_REPLY_MEMORY;
        if failures < FAILURES_TO_EXPECT_NONE || self.late.is_some_and(is_late) {
            self.stale
                .missed(now, request.shape, timeout, request.timeout);
            return;
        }
        let lapse = match self.unaddressed {
            true => timeout.saturating_mul(RECOVERY),
            false => timeout * 2,
        };
        self.stale
            .missed_as_before(now, request.shape, lapse, request.timeout);
    }

    /// Notes that the reply may have been an older request's, and that the device has no
    /// request to offer whose reply would be unmistakable.
    pub(super) fn discarded(&mut self, now: Mono) {
        self.stale.discarded(now, self.timeout);
    }

    /// Takes the end of a write.
    pub(super) fn write_ended(&mut self, now: Mono, request: &Request, outcome: &Outcome) {
        let (shape, timeout) = (request.shape, self.timeout);
        let among_others = self.is_among_others(request.asked);
        self.stale.was_asked();
        if self.numbered {
            return;
        }
        match outcome {
            Outcome::Missed(_) | Outcome::Mismatched(_) => {
                self.stale.missed(now, shape, timeout, request.timeout);
                return;
            }
            Outcome::Exception(_) | Outcome::Refused(_) => {
                self.stale.refused(now, shape.refusal(), timeout);
            }
            Outcome::Answered(_) | Outcome::Confirmed => {
                self.stale.answered(now, shape, timeout);
            }
        }
        if !among_others {
            self.stale.resolved(now, timeout);
        }
    }
}

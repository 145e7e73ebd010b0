//! How long the line is kept by a request to one device that gets no reply: by the wait for
//! the reply, by the rest of a frame that was begun, and by the rest for a late reply.
//!
//! How long the unit itself takes is known to [`Timeout`]. What is added here is what the line
//! knows: how late the late replies of its units come, and whether it rested for one.

use std::time::Duration;

use crate::base::{Mono, RequestFailure};

use super::failing::{DOUBTED, Failing};
use super::poll_slot::PollSlot;
use super::timeout::Timeout;

/// How long replies of one device are waited for.
#[derive(Clone, Debug)]
pub(super) struct ReplyWait {
    timeout: Timeout,
    /// Whether replies carry the number of their request, so that none is late for another.
    numbered: bool,
    /// Whether some device of the line was asked and never answered.
    is_quick: bool,
    /// How late the late replies on its line are known to come.
    late_within: Option<Duration>,
    /// Whether the line rested for a late reply to its last request as long as such a reply
    /// is reckoned with.
    was_waited_for: bool,
    /// How long its last request that failed took.
    failed_took: Duration,
}

impl ReplyWait {
    /// Returns the state before anything was asked.
    pub(super) const fn new(timeout: Timeout, numbered: bool) -> Self {
        ReplyWait {
            timeout,
            numbered,
            is_quick: false,
            late_within: None,
            was_waited_for: false,
            failed_took: Duration::ZERO,
        }
    }

    /// Takes whether some device of the line was asked and never answered.
    pub(super) const fn at(&mut self, is_quick: bool) {
        self.is_quick = is_quick;
    }

    /// Notes that some unit of the line is known for replies that come as late as this.
    pub(super) const fn reckons_with(&mut self, late: Option<Duration>) {
        self.late_within = late;
    }

    /// Returns whether late replies are reckoned with on the line.
    pub(super) const fn reckons_with_late(&self) -> bool {
        self.late_within.is_some()
    }

    /// Notes that the unit took this long to begin its reply.
    pub(super) fn measured(&mut self, now: Mono, gap: Duration) {
        self.timeout.measured(now, gap);
    }

    /// Notes that a reply came after it had been given up, this long after its request if
    /// that is known.
    pub(super) fn was_too_short(&mut self, now: Mono, after: Option<Duration>) {
        self.timeout.was_too_short(now, after);
    }

    /// Notes that a request failed that took this long.
    pub(super) const fn failed(&mut self, took: Duration) {
        self.failed_took = took;
    }

    /// Notes that the line rests for a late reply, and whether it rests for as long as a late
    /// reply is reckoned with.
    pub(super) const fn rests(&mut self, in_full: bool) {
        self.was_waited_for = in_full;
    }

    /// Returns the configured response timeout.
    pub(super) const fn most(&self) -> Duration {
        self.timeout.most()
    }

    /// Returns how long to wait for a reply that takes `reply` on the wire, after this many
    /// misses of the device in a row.
    pub(super) fn reply_timeout(&self, misses: u32, reply: Duration) -> Duration {
        self.timeout.after(misses, reply, self.is_quick)
    }

    /// Returns how late the unit's replies are known to come, where replies have no number.
    pub(super) fn late_within(&self, now: Mono) -> Option<Duration> {
        let late = self.timeout.late_reply_within(now);
        late.filter(|_| !self.numbered)
    }

    /// Returns how long this request, whose reply is waited for this long, takes the line if
    /// nothing comes, or the rest of a frame that was begun, or a late reply.
    pub(super) fn cost_without_reply(
        &self,
        now: Mono,
        slot: &PollSlot,
        reply_timeout: Duration,
    ) -> Duration {
        // The line rests for a late reply only if the request got no reply at all.
        let is_silent = |f: &Failing| f.last_failure() == RequestFailure::Silence;
        let late = match slot.failing().is_none_or(is_silent) {
            true if self.may_be_late(slot) => self.late_within,
            true => self.late_within(now),
            false => None,
        };
        reply_timeout
            .max(self.failed_took)
            .max(late.unwrap_or_default())
    }

    /// Returns whether it is not known yet if this request got no reply because the reply is late.
    fn may_be_late(&self, slot: &PollSlot) -> bool {
        let is_new = match slot.failures() {
            1 => true,
            DOUBTED => !self.was_waited_for,
            _ => false,
        };
        is_new && !self.numbered
    }

    /// Returns until when the late reply to a request that was made at `asked` and got no reply in
    /// time may spoil other replies.
    pub(super) fn may_interrupt_until(&self, now: Mono, asked: Mono) -> Option<Mono> {
        let until = self.late_within(now).map(|late| asked + late);
        until.filter(|until| *until > now)
    }

    /// Returns until when a late reply may come to this request, which was made at `asked` and got
    /// no reply in time, if it is not known yet whether the unit is late or says nothing.
    pub(super) fn may_be_late_until(&self, slot: &PollSlot, asked: Mono) -> Option<Mono> {
        let latest = self.late_within.unwrap_or(self.timeout.latest());
        self.may_be_late(slot).then(|| asked + latest)
    }
}

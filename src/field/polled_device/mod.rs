//! One device as its line's schedule sees it: its requests on their grid, and what the end of
//! each means for the others.
//!
//! Each idea has a file, and what it knows is there alone:
//!
//! | file | decides |
//! |---|---|
//! | `poll_slot.rs` | when one request is due, and when it is made again after a failure |
//! | `adaptive_plan.rs` | the requests, as the device turns out to be |
//! | `asking.rs` | which of them is asked next |
//! | `alike.rs` | what follows for devices whose replies cannot be told apart |
//! | `writes.rs` | the requests of commands |
//! | `liveness_evidence.rs` | what the end of a transaction proves about the device |
//! | `reply_trust.rs` | which replies can be trusted |
//! | `retries.rs` | whether the device answers, and when it is tried if it does not |
//! | `failing.rs` | how one request fails while the device lives |
//! | `reply_wait.rs` | how long a reply is waited for, with `timeout.rs` and `recent_max.rs` |
//! | `probe_history.rs` | which probes are of use |
//! | `value_times.rs` | which values are wanted |
//!
//! This file puts together what they know; `outcome.rs` tells each of them what happened.

pub mod adaptive_plan;
mod alike;
mod asking;
pub(crate) mod failing;
pub mod liveness_evidence;
mod outcome;
pub(crate) mod poll_slot;
mod probe_history;
pub mod recent_max;
mod reply_trust;
mod reply_wait;
mod retries;
pub mod timeout;
mod value_times;
mod writes;

use std::sync::Arc;
use std::time::Duration;

use crate::base::{DeviceId, LivenessEvidence, MissReason, Mono, RequestFailure, Rng};
use crate::spec::{BusAddress, DeviceSpec, PortSpec, ProfileSpec, Protocol, SerialSpec};

use self::adaptive_plan::{AdaptivePlan, DeviceFinding};
use self::failing::{CERTAIN, DOUBTED, Failing};
use self::liveness_evidence::evidence_of;
use self::poll_slot::{PollSlot, phase};
use self::probe_history::ProbeHistory;
use self::reply_trust::ReplyTrust;
use self::reply_wait::ReplyWait;
use self::retries::Retries;
pub(super) use self::retries::{RETRY_CEILING, RETRY_FLOOR};
use self::timeout::Timeout;
use self::value_times::ValueTimes;
use super::plan::ReadBlock;
use crate::field::plan::holes::{Hole, Holes, speaks_of_addresses};
use crate::field::plan::lengths::reply_len;
use crate::field::receiver::Mismatch;
use crate::field::stale::reply_shape::ReplyShape;
use crate::field::stale::shared_stale_reply::{ReplyClass, SharedStaleReplies};
use crate::field::transaction::encode::Encoder;
use crate::field::transaction::request::{Outcome, Probe, Request};

/// How a device that missed is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// With this request.
    Whole(usize),
    /// With the shortest part of this request.
    Part(usize),
}

impl Attempt {
    /// Returns the poll slot that is tried.
    pub(super) const fn slot(self) -> usize {
        match self {
            Attempt::Whole(slot) | Attempt::Part(slot) => slot,
        }
    }
}

/// One device on the line.
#[derive(Clone, Debug)]
pub(super) struct PolledDevice {
    device: DeviceId,
    address: BusAddress,
    encoder: Encoder,
    serial: Option<Arc<SerialSpec>>,
    turnaround: Duration,
    profile: Arc<ProfileSpec>,
    slots: Vec<PollSlot>,
    /// Which values are wanted.
    values: ValueTimes,
    /// What is known about reading the device.
    reading: AdaptivePlan,
    /// Whether the device answers, and when it is tried if it does not.
    retries: Retries,
    /// How long its replies are waited for.
    reply_wait: ReplyWait,
    /// Which of its replies can be trusted.
    trust: ReplyTrust,
    /// Which probes it answers.
    probes: ProbeHistory,
    /// The reply class of each question where others of the line have the same.
    reply_classes: Vec<Option<ReplyClass>>,
    /// The replies that those others owe.
    shared_stale: SharedStaleReplies,
    /// Whether the device has been asked, and the outcome is not known yet.
    busy: bool,
    /// What other devices of its kind have found out meanwhile.
    learned_meanwhile: Vec<(Hole, bool)>,
    /// The turn in which the device was last served.
    served: u64,
}

impl PolledDevice {
    /// Returns which device it is.
    pub(super) const fn device(&self) -> DeviceId {
        self.device
    }

    /// Returns its address on the line.
    pub(super) const fn address(&self) -> BusAddress {
        self.address
    }

    /// Returns its kind.
    pub(super) const fn profile(&self) -> &Arc<ProfileSpec> {
        &self.profile
    }

    /// Returns its requests and when each is due.
    pub(super) fn slots(&self) -> &[PollSlot] {
        &self.slots
    }

    /// Returns its requests, to be put off or taken.
    pub(super) fn slots_mut(&mut self) -> &mut [PollSlot] {
        &mut self.slots
    }

    /// Takes what was found out about reading the device.
    pub(super) fn take_findings(&mut self) -> Vec<DeviceFinding> {
        self.reading.take_findings()
    }

    /// Returns whether the device has been asked, and the outcome is not known yet.
    pub(super) const fn is_busy(&self) -> bool {
        self.busy
    }

    /// Notes that the device is asked in this turn.
    pub(super) const fn serve(&mut self, turn: u64) {
        self.served = turn;
        self.busy = true;
    }

    /// Notes that the request to the device is under way no more.
    pub(super) const fn is_served(&mut self) {
        self.busy = false;
    }

    /// Returns the turn in which the device was last served.
    pub(super) const fn served(&self) -> u64 {
        self.served
    }

    /// Builds the device. `number` counts the requests of the line, so that each gets a phase
    /// of its own.
    pub(super) fn new(
        id: DeviceId,
        spec: &DeviceSpec,
        line: &PortSpec,
        number: &mut u64,
        now: Mono,
    ) -> Self {
        let reading = AdaptivePlan::new(line, spec);
        let slots = reading
            .plan(&spec.profile)
            .into_iter()
            .map(|block| {
                let origin = now + phase(*number, block.interval);
                *number += 1;
                // The first poll does not wait for its poll slot: every device is asked at
                // once after a start, in turn.
                PollSlot::new(block, now, origin)
            })
            .collect();
        let most = spec.response_timeout.unwrap_or(line.response_timeout);
        let timeout = Timeout::new(&line.line, most, now);
        let numbered = line.line.numbers_replies();
        let (timeout, unaddressed) = match spec.profile.protocol {
            Protocol::Modbus | Protocol::Dlt645(_) => (timeout, false),
            Protocol::Raw(_) => (timeout.for_unaddressed_replies(), true),
        };
        PolledDevice {
            device: id,
            address: spec.address,
            encoder: Encoder::of(spec),
            serial: spec.serial.clone(),
            turnaround: spec.turnaround,
            profile: Arc::clone(&spec.profile),
            slots,
            values: ValueTimes::new(&spec.profile, now),
            reading,
            retries: Retries::new(),
            reply_wait: ReplyWait::new(timeout, numbered),
            trust: ReplyTrust::new(numbered, unaddressed, most),
            probes: ProbeHistory::default(),
            reply_classes: Vec::new(),
            shared_stale: SharedStaleReplies::default(),
            busy: false,
            learned_meanwhile: Vec::new(),
            served: 0,
        }
    }

    /// Returns how many misses came in a row; while there are any, only one cheap request is tried.
    pub(super) const fn misses(&self) -> u32 {
        self.retries.misses()
    }

    /// Returns whether the device itself is in doubt: only one request at a time is tried then.
    pub(super) fn is_in_doubt(&self) -> bool {
        let others = self.slots.iter().filter(|s| s.failing().is_none()).count();
        if others == 0 && self.slots.iter().all(PollSlot::is_set_aside) {
            // The device gives signs of life, and nothing else: each is made by itself.
            return false;
        }
        self.retries.is_in_doubt(others)
    }

    /// Returns when a device that missed may be tried again.
    pub(super) fn retry_at(&self, now: Mono) -> Mono {
        let alike = self.defers_to_others_until(now);
        let slot = self.attempt(now).and_then(|a| self.slots.get(a.slot()));
        let like = slot.and_then(|s| self.trust.stale_replies_over_at(self.shape(s.block())));
        let retry = self.retries.next(now);
        retry
            .max(self.free_at(now))
            .max(like.unwrap_or(now))
            .max(now)
            .max(alike.unwrap_or(now))
    }

    /// Returns the place of the try among the polls that are due: that of a rare request, or,
    /// to confirm a silence, before them.
    pub(super) fn retry_rank(&self, now: Mono) -> Mono {
        self.retries.rank(now)
    }

    /// Returns whether the next try is to confirm a silence that has just begun.
    pub(super) const fn is_urgent(&self) -> bool {
        self.retries.is_urgent()
    }

    /// Returns whether the device never proved that it lives.
    pub(super) const fn is_stranger(&self) -> bool {
        self.retries.is_stranger()
    }

    /// Returns when the device may be asked anything, as far as stale replies are concerned.
    pub(super) fn free_at(&self, now: Mono) -> Mono {
        let due = || self.slots.iter().map(PollSlot::due).min().unwrap_or(now);
        self.trust.free_at(now, due)
    }

    /// Returns when this poll slot may be served: it is due, and no copy of a reply can be
    /// taken for its own.
    pub(super) fn ready_at(&self, slot: &PollSlot) -> Mono {
        if self.trust.is_numbered() {
            return slot.due();
        }
        let clear = self.trust.ask_from(self.shape(slot.block()));
        let alike = self.shared_reply_class(slot.block());
        let alike = alike.and_then(|class| match slot.is_set_aside() {
            true => self.shared_stale.try_from(class),
            false => self.shared_stale.ask_from(class),
        });
        clear.max(alike).map_or(slot.due(), |at| at.max(slot.due()))
    }

    /// Returns when the due requests that stale replies keep back may be asked: a try that
    /// fails would keep them back for longer.
    pub(super) fn kept_back_until(&self, now: Mono) -> Option<Mono> {
        let owed = self
            .slots
            .iter()
            .filter(|s| s.due() <= now && !self.is_rare(s));
        owed.map(|s| self.ready_at(s)).max()
    }

    /// Notes that a reply of its unit that was not waited for went by.
    pub(super) fn passed_by(&mut self, now: Mono) {
        // How fast the line behind a serial server is shows only in measured times.
        let takes = |s: &PollSlot| {
            self.reply_takes(s.block())
                .max(s.took().unwrap_or_default())
        };
        let longest = self.slots.iter().map(takes).max().unwrap_or_default();
        if self.trust.passed_by(now, longest) {
            let device = self.device;
            self.reading
                .report(DeviceFinding::RepliesRepeated { device });
        }
    }

    /// Returns whether a reply of this shape that came now could be the reply to an older request.
    pub(super) fn may_be_stale(&self, shape: ReplyShape) -> bool {
        self.trust.is_doubtful(shape) || self.trust.doubts_refusal(shape)
    }

    /// Notes that a request which is not of the plan, of this shape, was answered or refused.
    pub(super) fn survey_answered(&mut self, now: Mono, shape: ReplyShape, is_refusal: bool) {
        self.trust.survey_answered(now, shape, is_refusal);
    }

    /// Notes that a request which is not of the plan, of this shape, got no reply: the reply may
    /// still come, and is not to be taken for the reply to a request of the plan.
    pub(super) fn survey_missed(&mut self, now: Mono, shape: ReplyShape, waited: Duration) {
        self.trust.survey_missed(now, shape, waited);
    }

    /// Returns whether its replies carry the number of their request.
    pub(super) const fn numbers_replies(&self) -> bool {
        self.trust.is_numbered()
    }

    /// Returns how late its replies are known to come, where replies have no number.
    pub(super) fn late_within(&self, now: Mono) -> Option<Duration> {
        self.reply_wait.late_within(now)
    }

    /// Notes that some unit of its line is known for replies that come as late as this.
    pub(super) const fn reckons_with(&mut self, late: Option<Duration>) {
        self.reply_wait.reckons_with(late);
    }

    /// Lets time pass.
    pub(super) fn at(&mut self, now: Mono, is_quick: bool, many_miss: bool, may_probe: bool) {
        self.reply_wait.at(is_quick);
        self.retries.at(many_miss, may_probe);
        self.trust.at(now);
        self.shared_stale.at(now);
        if !self.busy && self.misses() == 0 {
            self.try_long_requests(now);
        }
    }

    /// Forgets which of its requests waited for the line and cannot be served now.
    pub(super) fn stop_waiting(&mut self, now: Mono) {
        for i in 0..self.slots.len() {
            let free = self.servable_at(now, i);
            if self.slots[i].is_waiting() && free > now {
                self.slots[i].wait(now, free);
            }
        }
    }

    /// Returns whether this request is expected to fail, so that it is made when there is time for
    /// it: where replies come late, this includes a request that got no reply once.
    pub(super) fn is_rare(&self, slot: &PollSlot) -> bool {
        let failing = slot.failing();
        let silent = failing.is_some_and(|f| f.last_failure() == RequestFailure::Silence);
        slot.is_rare() || silent && self.reply_wait.reckons_with_late()
    }

    /// Notes which of its requests wait for the line.
    pub(super) fn wait(&mut self, now: Mono) {
        for i in 0..self.slots.len() {
            if self.is_rare(&self.slots[i]) {
                continue;
            }
            let free = self.servable_at(now, i);
            self.slots[i].wait(now, free);
        }
    }

    fn servable_at(&self, now: Mono, slot: usize) -> Mono {
        let retry = match self.is_in_doubt() {
            false if self.busy => now + RETRY_CEILING,
            false => now,
            true => self.retry_at(now) + RETRY_CEILING,
        };
        let ready = self.ready_at(&self.slots[slot]);
        ready.max(self.free_at(now)).max(retry)
    }

    /// Returns whether a reply of the unit that was not waited for can be the late one.
    pub(super) fn has_reply_outstanding(&self) -> bool {
        self.trust.has_reply_outstanding()
    }

    fn doubted(&self, block: &ReadBlock) -> bool {
        self.trust.is_doubtful(self.shape(block))
    }

    fn shape(&self, block: &ReadBlock) -> ReplyShape {
        self.encoder.shape(&block.address)
    }

    fn echo_looks_like_reply(&self, block: &ReadBlock) -> bool {
        let asked = block.address.entries().zip(self.address.unit());
        asked.is_some_and(|(range, unit)| range.ask(unit).echo_looks_like_reply())
    }

    /// Returns what this block takes of the line's time, as far as that is known.
    pub(super) fn takes(&self, block: &ReadBlock) -> Duration {
        self.reading.takes(block)
    }

    fn reply_takes(&self, block: &ReadBlock) -> Duration {
        self.reading.reply_takes(block)
    }

    /// Returns how long the reply to this block is waited for.
    pub(super) fn reply_timeout(&self, block: &ReadBlock) -> Duration {
        // A miss costs all devices of the reply class more than any wait.
        if self.shared_reply_class(block).is_some() {
            return self.reply_wait.most();
        }
        self.reply_wait
            .reply_timeout(self.misses(), self.reply_takes(block))
    }

    /// Returns how long a try of a request that is set aside takes, if it fails as before.
    pub(super) fn try_takes(&self, now: Mono, slot: &PollSlot) -> Duration {
        let refused = slot.failing().map(Failing::last_failure);
        match refused {
            Some(RequestFailure::Refused) => self.takes(slot.block()),
            _ => self.cost_without_reply(now, slot),
        }
    }

    /// Returns how long this request takes the line if nothing comes, or the rest of a frame
    /// that was begun, or a late reply.
    fn cost_without_reply(&self, now: Mono, slot: &PollSlot) -> Duration {
        self.reply_wait
            .cost_without_reply(now, slot, self.reply_timeout(slot.block()))
    }

    /// Returns until when the late reply to this request, which got no reply in time, may spoil
    /// other replies.
    pub(super) fn may_interrupt_until(&self, now: Mono, request: &Request) -> Option<Mono> {
        self.reply_wait.may_interrupt_until(now, request.asked)
    }

    /// Returns until when a late reply may come to this request, which got no reply in time, if it
    /// is not known yet whether the unit is late or says nothing.
    pub(super) fn may_be_late_until(&self, request: &Request) -> Option<Mono> {
        let slot = self.slots.get(request.block)?;
        let asked = slot.block().address == request.address;
        let until = self.reply_wait.may_be_late_until(slot, request.asked);
        until.filter(|_| asked)
    }

    /// Notes that the line rests for its late reply, and whether it rests for as long as a late
    /// reply is reckoned with.
    pub(super) const fn is_waited_for(&mut self, in_full: bool) {
        self.reply_wait.rests(in_full);
    }

    /// Notes that a request that succeeded took the line this long.
    pub(super) fn took(&mut self, request: &Request, took: Duration) {
        if let Some(slot) = self.slots.get_mut(request.block) {
            slot.note_took(took);
        }
    }

    /// Notes that another device of its kind has found a hole, or found that there is none.
    pub(super) fn learn(&mut self, now: Mono, hole: Hole, gone: bool) {
        if self.busy {
            self.learned_meanwhile.push((hole, gone));
        } else if gone {
            self.forget(now, &hole);
        } else {
            self.know(now, &Holes::from([hole]));
        }
    }

    /// Returns how long an attempt at the device takes if nothing comes.
    pub(super) fn attempt_takes(&self, now: Mono) -> Duration {
        let slot = self.attempt(now).and_then(|a| self.slots.get(a.slot()));
        slot.map_or(self.reply_wait.most(), |s| self.cost_without_reply(now, s))
    }
}

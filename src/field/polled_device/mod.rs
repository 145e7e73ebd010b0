//! One device as its line's schedule sees it: its requests on their grid, how much effort it
//! deserves, and which replies must not be believed. `polled_device/adaptive_plan.rs` changes
//! its requests with what the device turns out to be, `polled_device/asking.rs` decides which
//! of them is asked next.

pub mod adaptive_plan;
mod alike;
mod asking;
pub(crate) mod failing;
pub mod liveness_evidence;
pub(crate) mod poll_slot;
pub mod recent_max;
pub mod timeout;
mod writes;

use std::sync::Arc;
use std::time::Duration;

use crate::base::{Backoff, DeviceId, Evidence, Miss, Mono, RequestFailure, Rng, UnitId};
use crate::spec::dlt645::Address;
use crate::spec::{DeviceSpec, PointSpec, PortSpec, ProfileSpec, Protocol, SerialSpec};

use self::adaptive_plan::{AdaptivePlan, Finding};
use self::failing::{CERTAIN, DOUBTED, Failing};
use self::liveness_evidence::evidence_of;
use self::poll_slot::{PATIENCE, PollSlot, phase};
use self::timeout::Timeout;
use super::modbus::Shape;
use super::plan::ReadBlock;
use crate::field::plan::holes::{Hole, Holes, speaks_of_addresses};
use crate::field::plan::lengths::reply_len;
use crate::field::receiver::Mismatch;
use crate::field::stale::reply_shape::{RefusalShape, ReplyShape};
use crate::field::stale::shared_stale_reply::{ReplyClass, SharedStaleReplies};
use crate::field::stale::stale_reply::{COPIES, RECOVERY, StaleReplies};
use crate::field::transaction::encode::Encoder;
use crate::field::transaction::request::{Outcome, Probe, Request};

/// The first wait after a miss; the wait doubles.
pub(super) const RETRY_FLOOR: Duration = Duration::from_millis(500);

/// The longest wait between attempts at a device that does not answer, if the line has time
/// for them.
pub(super) const RETRY_CEILING: Duration = Duration::from_millis(4500);

/// How often a device that answered before is tried without delay, so that its silence is
/// soon certain.
const CONFIRMATIONS: u32 = 2;

/// How long a unit that was silent to a probe counts as silent to requests for what it does
/// not have.
const SILENT_TO_PROBES: Duration = Duration::from_secs(600);

/// The first and the longest wait between tries of a part of a request.
const PART_WAIT: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(600));

/// How often in a row a request must fail until an answer is not expected any more …
const AS_EVER: u32 = 5;

/// … unless its unit gave a late reply within this time.
const LATE_HABIT: Duration = Duration::from_secs(600);

/// How often in a row a device must be asked among replies to others, without being read
/// meanwhile, for another master to be reported …
const GOES_ON: u32 = 3;

/// … and after how long this is reported again, if it goes on.
const TELL_AGAIN: Duration = Duration::from_secs(3600);

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
    unit: UnitId,
    meter: Option<Address>,
    phrases: Encoder,
    serial: Option<Arc<SerialSpec>>,
    timeout: Timeout,
    turnaround: Duration,
    profile: Arc<ProfileSpec>,
    slots: Vec<PollSlot>,
    /// When the next value of each point comes in its turn: a value may be as early as its
    /// predecessor was late, and no more values are taken.
    next_value: Vec<Mono>,
    /// What is known about reading the device.
    reading: AdaptivePlan,
    /// The wait before the next attempt; it also counts the misses in a row.
    retry: Backoff,
    stale: StaleReplies,
    /// The reply class of each question where others of the line have the same.
    reply_classes: Vec<Option<ReplyClass>>,
    /// The replies that those others owe.
    shared_stale: SharedStaleReplies,
    /// When a probe of any kind last got no reply.
    probe_missed: Option<Mono>,
    /// When a probe of another table got no reply.
    fence_missed: Option<Mono>,
    /// Whether such a probe ever got a reply.
    answers_fences: bool,
    /// When a request for one register more than wanted got no reply.
    longer_missed: Option<Mono>,
    /// Whether such a request ever got a reply.
    answers_longer: bool,
    /// When the device last proved that it lives, if it ever did.
    proved: Option<Mono>,
    /// How often a part of a request was made in vain since then, for a sign of life.
    parts_missed: u32,
    /// When the device last answered.
    answered: Option<Mono>,
    /// When a reply of the device last came that had been given up.
    late: Option<Mono>,
    /// When the last request that got no reply was made, if no reply came since.
    missed_asked: Option<Mono>,
    /// When the next such part may be tried: for a device that is absent such parts are of no
    /// more use than the requests of the plan.
    part_backoff: Backoff,
    /// Whether the device has been asked, and the outcome is not known yet.
    busy: bool,
    /// What other devices of its kind have found out meanwhile.
    learned_meanwhile: Vec<(Hole, bool)>,
    /// Whether some device of the line was asked and never answered.
    hurry: bool,
    /// Whether many devices of the line miss.
    many_miss: bool,
    /// Whether there is time for a request that is not in the plan.
    may_probe: bool,
    /// How late the late replies on its line are known to come.
    late_within: Option<Duration>,
    /// Whether the line rested for a late reply to its last request as long as such a reply
    /// is reckoned with.
    was_waited_for: bool,
    /// How long its last request that failed took.
    failed_took: Duration,
    /// Whether its last reply was spoilt, which did not count as a miss.
    excused: bool,
    /// Whether it was reported that its replies come twice.
    told_twice: bool,
    /// How often in a row the device was asked among replies to others.
    among_others: u32,
    /// When that was last reported.
    told_others: Option<Mono>,
    /// Whether replies carry the number of their request.
    numbered: bool,
    /// The turn in which the device was last served.
    served: u64,
}

impl PolledDevice {
    /// Returns which device it is.
    pub(super) const fn device(&self) -> DeviceId {
        self.device
    }

    /// Returns its Modbus address.
    pub(super) const fn unit(&self) -> UnitId {
        self.unit
    }

    /// Returns its address if it is a meter of DL/T 645.
    pub(super) const fn meter(&self) -> Option<Address> {
        self.meter
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
    pub(super) fn take_findings(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.reading.findings)
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
        PolledDevice {
            device: id,
            unit: spec.unit,
            meter: spec.meter,
            phrases: Encoder::of(spec),
            serial: spec.serial.clone(),
            timeout: match spec.profile.protocol {
                Protocol::Modbus | Protocol::Dlt645(_) => timeout,
                Protocol::Raw(_) => timeout.for_unaddressed_replies(),
            },
            turnaround: spec.turnaround,
            profile: Arc::clone(&spec.profile),
            slots,
            next_value: vec![now; spec.profile.points.len()],
            reading,
            retry: Backoff::new(RETRY_FLOOR, RETRY_CEILING),
            stale: StaleReplies::default(),
            reply_classes: Vec::new(),
            shared_stale: SharedStaleReplies::default(),
            probe_missed: None,
            fence_missed: None,
            answers_fences: false,
            longer_missed: None,
            answers_longer: false,
            proved: None,
            parts_missed: 0,
            answered: None,
            late: None,
            missed_asked: None,
            part_backoff: Backoff::new(PART_WAIT.0, PART_WAIT.1),
            busy: false,
            learned_meanwhile: Vec::new(),
            hurry: false,
            many_miss: false,
            may_probe: true,
            late_within: None,
            was_waited_for: false,
            failed_took: Duration::ZERO,
            excused: false,
            told_twice: false,
            among_others: 0,
            told_others: None,
            numbered: line.line.numbers_replies(),
            served: 0,
        }
    }

    /// How many misses came in a row; while there are any, only one cheap request is tried.
    pub(super) const fn misses(&self) -> u32 {
        self.retry.failures()
    }

    /// Whether the device itself is in doubt: only one request at a time is tried then. The
    /// first miss of a device that has other requests is not enough: those requests show
    /// whether it lives, when their turn comes. The first miss is enough where many devices
    /// miss: then the device is more likely to have died with them, and others wait.
    pub(super) fn is_in_doubt(&self) -> bool {
        let others = self.slots.iter().filter(|s| s.failing.is_none()).count();
        if others == 0 && self.slots.iter().all(PollSlot::is_set_aside) {
            // The device gives signs of life, and nothing else: each is made by itself.
            return false;
        }
        match self.misses() {
            0 => false,
            1 => self.is_stranger() || others == 0 || self.many_miss,
            _ => true,
        }
    }

    /// Returns when a device that missed may be tried again.
    pub(super) fn retry_at(&self, now: Mono) -> Mono {
        let retry = self.retry.not_before().unwrap_or(now);
        let alike = self.spares_others_until(now);
        let slot = self.attempt(now).and_then(|a| self.slots.get(a.slot()));
        let like = slot.filter(|_| !self.numbered);
        let like = like.and_then(|s| self.stale.no_stragglers_from(self.shape(&s.block)));
        retry
            .max(self.free_at(now))
            .max(like.unwrap_or(now))
            .max(now)
            .max(alike.unwrap_or(now))
    }

    /// Returns the place of the try among the polls that are due: that of a rare request, or,
    /// to confirm a silence, before them.
    pub(super) fn retry_rank(&self, now: Mono) -> Mono {
        let retry = self.retry.not_before().unwrap_or(now);
        if self.is_urgent() {
            retry
        } else {
            retry + PATIENCE
        }
    }

    /// Whether the next try is to confirm a silence that has just begun.
    pub(super) const fn is_urgent(&self) -> bool {
        !self.is_stranger() && self.misses() <= CONFIRMATIONS
    }

    /// Whether the device never proved that it lives.
    pub(super) const fn is_stranger(&self) -> bool {
        self.proved.is_none()
    }

    /// Returns when the device may be asked anything, as far as stale replies are concerned.
    pub(super) fn free_at(&self, now: Mono) -> Mono {
        if !self.stale.sits_out(now) {
            return now;
        }
        let due = self.slots.iter().map(|s| s.due).min().unwrap_or(now);
        let until = self.stale.sits_out_until(now, due, self.timeout.most());
        until.unwrap_or(now)
    }

    /// Whether a request to the device made now is made among replies to others.
    fn is_among_others(&self, now: Mono) -> bool {
        !self.numbered && self.stale.is_among_others(now)
    }

    /// Returns when this poll slot may be served: it is due, and no copy of a reply can be
    /// taken for its own.
    pub(super) fn ready_at(&self, slot: &PollSlot) -> Mono {
        if self.numbered {
            return slot.due;
        }
        let shape = self.shape(&slot.block);
        let clear = self.stale.no_copies_from(shape);
        let clear = clear.max(self.stale.no_stragglers_from(shape));
        let alike = self.shared_reply_class(&slot.block);
        let alike = alike.and_then(|class| match slot.is_set_aside() {
            true => self.shared_stale.try_from(class),
            false => self.shared_stale.ask_from(class),
        });
        clear.max(alike).map_or(slot.due, |at| at.max(slot.due))
    }

    /// Returns when the due requests that stale replies keep back may be asked: a try that
    /// fails would keep them back for longer.
    pub(super) fn owed_from(&self, now: Mono) -> Option<Mono> {
        let owed = self
            .slots
            .iter()
            .filter(|s| s.due <= now && !self.is_rare(s));
        owed.map(|s| self.ready_at(s)).max()
    }

    /// Notes that a reply of its unit that was not waited for went by.
    pub(super) fn passed_by(&mut self, now: Mono) {
        if !self.numbered {
            // A copy right behind its reply is over before the line is free. How fast the
            // line behind a serial server is shows only in measured times.
            let takes = |s: &PollSlot| self.reply_takes(&s.block).max(s.took.unwrap_or_default());
            let own = self.slots.iter().map(takes).max();
            let soon = COPIES + own.unwrap_or_default();
            let is_soon = self.answered.is_some_and(|at| now.since(at) <= soon);
            if !is_soon || !self.stale.is_clear() {
                self.stale.passed_by(now, self.timeout.most());
            }
        }
        if self.stale.repeats() && !std::mem::replace(&mut self.told_twice, true) {
            let device = self.device;
            self.reading.findings.push(Finding::RepliesTwice { device });
        }
    }

    /// Returns how late its replies are known to come, where replies have no number.
    pub(super) fn late_within(&self, now: Mono) -> Option<Duration> {
        let late = self.timeout.late_reply_within(now);
        late.filter(|_| !self.numbered)
    }

    /// Notes that some unit of its line is known for replies that come as late as this.
    pub(super) const fn reckons_with(&mut self, late: Option<Duration>) {
        self.late_within = late;
    }

    /// Lets time pass.
    pub(super) fn at(&mut self, now: Mono, hurry: bool, many_miss: bool, may_probe: bool) {
        self.hurry = hurry;
        self.many_miss = many_miss;
        self.may_probe = may_probe;
        self.stale.at(now);
        self.shared_stale.at(now);
        if !self.busy && self.misses() == 0 {
            self.try_long_requests(now);
        }
    }

    /// Forgets which of its requests waited for the line and cannot be served now.
    pub(super) fn stop_waiting(&mut self, now: Mono) {
        for i in 0..self.slots.len() {
            let free = self.servable_at(now, i);
            if self.slots[i].waits.is_some() && free > now {
                self.slots[i].wait(now, free);
            }
        }
    }

    /// Whether this request is expected to fail, so that it is made when there is time for
    /// it: where replies come late, this includes a request that got no reply once.
    pub(super) fn is_rare(&self, slot: &PollSlot) -> bool {
        let failing = slot.failing.as_ref();
        let silent = failing.is_some_and(|f| f.how == RequestFailure::Silence);
        slot.is_rare() || silent && self.late_within.is_some()
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

    /// Takes the end of a request; returns what the end says about the device.
    pub(super) fn done(
        &mut self,
        now: Mono,
        job: &Request,
        outcome: &Outcome,
        rng: &mut Rng,
    ) -> Evidence {
        self.busy = false;
        let evidence = self.settle(now, job, outcome, rng);
        for (hole, gone) in std::mem::take(&mut self.learned_meanwhile) {
            self.learn(now, hole, gone);
        }
        evidence
    }

    fn settle(&mut self, now: Mono, job: &Request, outcome: &Outcome, rng: &mut Rng) -> Evidence {
        let shape = job.shape;
        let among_others = !job.trusted && self.is_among_others(job.asked);
        // Whether the refusal can only be that of this request.
        let pinned =
            self.numbered || (!among_others && !self.stale.covers_refusal(shape.refusal()));
        self.note_others(now, job, outcome, among_others);
        self.stale.was_asked();
        self.note_probe(now, job, outcome);
        if job.trusted && matches!(outcome, Outcome::Answered(_)) {
            self.took_values(&job.points, now);
        }
        match outcome {
            Outcome::Answered(_) => {
                self.answered = Some(now);
                self.stale.answered(now, shape, self.timeout.most());
            }
            Outcome::Exception(_) | Outcome::Refused(_) => {
                self.answered = Some(now);
                self.stale
                    .refused(now, shape.refusal(), self.timeout.most());
            }
            // Only commands are confirmed.
            Outcome::Confirmed | Outcome::Missed(_) | Outcome::Mismatched(_) => {}
        }
        let own = self.stale.covers(shape);
        match outcome {
            Outcome::Answered(_) if job.trusted => self.stale.resolved(now, self.timeout.most()),
            Outcome::Exception(_) | Outcome::Refused(_) if pinned => {
                self.stale.resolved(now, self.timeout.most());
            }
            Outcome::Missed(_) | Outcome::Mismatched(_) if !self.numbered => {
                if self.is_late(outcome) {
                    self.late = Some(now);
                    self.passed_by(now);
                    let after = self.missed_asked.map(|asked| now.since(asked));
                    self.timeout.was_too_short(now, after);
                }
                let patience = self.timeout.most();
                match self.fails_as_before(job) {
                    true => {
                        let lapse = match self.profile.protocol {
                            Protocol::Raw(_) => patience.saturating_mul(RECOVERY),
                            Protocol::Modbus | Protocol::Dlt645(_) => patience * 2,
                        };
                        self.stale.missed_as_before(now, shape, lapse, job.timeout);
                    }
                    false => self.stale.missed(now, shape, patience, job.timeout),
                }
            }
            // Only replies that others owe are suspect.
            Outcome::Answered(_) if !self.numbered && !own => {}
            // A refusal names its function, but not which request of that function was
            // refused; an untrusted answer may be an older one.
            Outcome::Answered(_) | Outcome::Exception(_) | Outcome::Refused(_)
                if !self.numbered =>
            {
                self.stale.ambiguous(now, shape, self.timeout.most());
                // A device that is asked among others was not offered an unmistakable request.
                if !among_others && (job.gives_up || !self.has_unmistakable(now, job.block)) {
                    self.stale.discarded(now, self.timeout.most());
                }
            }
            _ => {}
        }
        match outcome {
            // What came was its reply, as far as is known: no other reply is late.
            Outcome::Missed(Miss::Garbled) => self.missed_asked = None,
            Outcome::Missed(_) | Outcome::Mismatched(_) => self.missed_asked = Some(job.asked),
            _ => {}
        }
        let evidence = evidence_of(outcome);
        // A device that was given up is asked once more at once: two proofs bring it back.
        let returns = self.misses() > CONFIRMATIONS;
        // The poll slot may have been planned anew while it was asked.
        let slot = Some(job.block).filter(|i| self.slots.get(*i).is_some());
        if let Evidence::Alive(_) = evidence {
            self.proved_by(now, job, outcome);
        }
        match outcome {
            Outcome::Missed(miss) => return self.failed(now, job, *miss, rng),
            Outcome::Mismatched(mismatch) => {
                if !job.is_unmistakable()
                    && job.whole
                    && let Some(slot) = slot
                {
                    let (how, code) = failure_of(mismatch);
                    self.request_failed(now, slot, how, code);
                }
                return evidence;
            }
            Outcome::Answered(_)
            | Outcome::Confirmed
            | Outcome::Exception(_)
            | Outcome::Refused(_) => {}
        }
        if matches!(evidence, Evidence::Missed(_)) {
            // A gateway on the way has answered in its place.
            let Outcome::Exception(code) = outcome else {
                return evidence;
            };
            return self.failed(now, job, Miss::GatewaySaysNo(*code), rng);
        }
        if job.probe == Some(Probe::Life) {
            return evidence;
        }
        let is_probe = job.is_unmistakable();
        // A reply that brought nothing, or only a part, leaves the poll slot owed; a refusal
        // of the whole is final until the next poll slot. Among others there is no more to be
        // had in this poll slot.
        let served = match outcome {
            Outcome::Answered(_) => job.whole && (job.trusted || among_others),
            _ => job.whole && !is_probe,
        };
        if let Some(slot) = slot.and_then(|i| self.slots.get_mut(i))
            && served
            && !returns
        {
            // The first poll is in no poll slot.
            let since = job.since.filter(|since| *since >= slot.origin);
            slot.serve(since.unwrap_or(now));
        }
        if let Some(slot) = slot.filter(|_| job.whole) {
            match outcome {
                Outcome::Exception(code) if pinned && !is_probe => {
                    self.refused(now, slot, *code, speaks_of_addresses(*code));
                }
                Outcome::Refused(word) if pinned => {
                    self.refused(now, slot, word.bits, word.says_no_such_datum());
                }
                Outcome::Answered(_) if job.trusted => self.granted(now, slot),
                _ => {}
            }
        }
        evidence
    }

    /// Whether this request has failed time and again.
    fn fails_as_before(&self, job: &Request) -> bool {
        let slot = self.slots.get(job.block).filter(|_| job.whole);
        let as_ever = slot.is_some_and(|s| s.is_set_aside() && s.failures() >= AS_EVER);
        let late = self.late.is_some_and(|at| job.asked.since(at) < LATE_HABIT);
        as_ever && !late
    }

    /// Whether the frame that came in place of the reply can be the reply to an abandoned
    /// request.
    fn is_late(&self, outcome: &Outcome) -> bool {
        match outcome {
            Outcome::Mismatched(Mismatch::Reply { function, bytes }) => {
                let (function, bytes) = (*function, *bytes);
                let shape = ReplyShape::Modbus(Shape { function, bytes });
                self.stale.covers(shape)
            }
            Outcome::Mismatched(Mismatch::Exception { function, .. }) => {
                self.stale.covers_refusal(RefusalShape::Modbus(*function))
            }
            _ => false,
        }
    }

    /// Notes that a request of this poll slot was refused. The failure is certain at once if
    /// the refusal says that what was asked for is not there.
    fn refused(&mut self, now: Mono, slot: usize, code: u8, clear: bool) {
        let how = RequestFailure::Refused;
        let times = self.slots[slot].fail(now, how, Some(code));
        if clear || times >= CERTAIN {
            self.slots[slot].set_aside();
            self.fails_for_certain(now, slot);
        }
    }

    /// Notes what the end of a probe shows about the use of such probes.
    fn note_probe(&mut self, now: Mono, job: &Request, outcome: &Outcome) {
        let missed = matches!(outcome, Outcome::Missed(_) | Outcome::Mismatched(_));
        if job.probe.is_some() && matches!(outcome, Outcome::Missed(_)) {
            self.probe_missed = Some(now);
        }
        match job.probe {
            Some(Probe::OtherTable) if missed => self.fence_missed = Some(now),
            Some(Probe::OtherTable) => self.answers_fences = true,
            // A refusal of the probe may be that of an older request.
            Some(Probe::Longer) => match outcome {
                Outcome::Answered(_) => self.answers_longer = true,
                _ => self.longer_missed = Some(now),
            },
            Some(Probe::Shorter | Probe::Life) | None => {}
        }
    }

    /// Notes that a request got no reply.
    fn failed(&mut self, now: Mono, job: &Request, miss: Miss, rng: &mut Rng) -> Evidence {
        self.failed_took = now.since(job.asked);
        // A request outside the plan says nothing about the requests of the plan; but a part
        // of one of them does.
        if job.is_unmistakable() && job.probe != Some(Probe::Shorter) {
            return Evidence::RequestFailed(miss);
        }
        let counts = if job.whole {
            self.request_failed(now, job.block, miss.into(), None)
        } else {
            self.parts_missed = self.parts_missed.saturating_add(1);
            self.part_backoff.failed(now, rng);
            true
        };
        if !counts {
            return Evidence::RequestFailed(miss);
        }
        // Bytes came, so there was a sender: a neighbour's straggler or a spike spoilt the
        // reply. Once, that is not the unit's fault: the device still counts as answering,
        // and is asked again when its sit-out ends.
        let spoilt = matches!(miss, Miss::Garbled | Miss::Foreign);
        if spoilt && self.misses() == 0 && !self.excused {
            self.excused = true;
        } else {
            self.retry.failed(now, rng);
        }
        Evidence::Missed(miss)
    }

    /// Notes that a request of the plan failed; returns whether that says something about the
    /// device.
    fn request_failed(
        &mut self,
        now: Mono,
        slot: usize,
        how: RequestFailure,
        code: Option<u8>,
    ) -> bool {
        if self.long_request_failed(now, slot, how) {
            return false;
        }
        let Some(asked) = self.slots.get_mut(slot) else {
            return true;
        };
        let times = asked.fail(now, how, code);
        let since = asked.failing.as_ref().map(|f| f.since);
        let lives = times >= DOUBTED && self.proved > since;
        if !asked.is_set_aside() && !lives {
            return true;
        }
        asked.set_aside();
        if times >= CERTAIN {
            self.fails_for_certain(now, slot);
        } else {
            self.stay_in_touch(now);
        }
        // The other requests of the device show whether it lives.
        self.slots.iter().all(|s| s.failing.is_some())
    }

    /// Reports it if another master goes on asking the device.
    fn note_others(&mut self, now: Mono, job: &Request, outcome: &Outcome, among_others: bool) {
        if among_others {
            self.among_others = self.among_others.saturating_add(1);
        } else if job.trusted && matches!(outcome, Outcome::Answered(_)) {
            self.among_others = 0;
        }
        let again = self.told_others.is_none_or(|told| now >= told + TELL_AGAIN);
        if self.among_others >= GOES_ON && again {
            self.told_others = Some(now);
            let device = self.device;
            self.reading.findings.push(Finding::OthersAsk { device });
        }
    }

    /// Notes that the device proved, by this end of a request, that it lives.
    ///
    /// If the device had said nothing to the request that it answers now, it was away, and no
    /// request is to blame for its misses. If the device had not been away, the requests that
    /// failed twice meanwhile are to blame.
    fn proved_by(&mut self, now: Mono, job: &Request, outcome: &Outcome) {
        let own = job.whole.then_some(job.block);
        let away = match own.and_then(|i| self.slots.get(i)) {
            Some(slot) => {
                let missed = slot.failing.as_ref().is_some_and(|f| f.how.is_a_miss());
                missed && !slot.is_set_aside()
            }
            None => self.parts_missed > 0,
        };
        let answered = matches!(outcome, Outcome::Answered(_));
        if !job.whole && answered && job.probe == Some(Probe::Life) {
            self.part_backoff.reset();
        }
        for (i, slot) in self.slots.iter_mut().enumerate() {
            if slot.is_set_aside() || (Some(i) == own && !answered) {
                continue;
            }
            if away {
                slot.failing = None;
            } else if slot.failures() >= DOUBTED && Some(i) != own {
                slot.set_aside();
            }
        }
        self.lives(now);
    }

    /// Notes that the device proved that it lives.
    pub(super) fn lives(&mut self, now: Mono) {
        self.excused = false;
        self.proved = Some(now);
        self.parts_missed = 0;
        self.resume(now);
    }

    /// Resumes the whole plan from now on.
    fn resume(&mut self, now: Mono) {
        if self.misses() == 0 {
            return;
        }
        self.retry.reset();
        self.hasten_set_aside(now);
        for slot in self.slots.iter_mut().filter(|s| !s.is_set_aside()) {
            // A poll that was suspended is owed once, and no more urgent than others.
            slot.due = slot.due.max(slot.grid(now).min(now));
        }
    }

    /// Notes that its reply came after it had been given up.
    pub(super) fn was_late(&mut self, now: Mono) {
        self.late = Some(now);
        let after = self.missed_asked.take().map(|asked| now.since(asked));
        self.timeout.was_too_short(now, after);
        if self.has_unaddressed_replies() {
            self.stale.came_late(now, self.timeout.most());
        }
        self.lives(now);
    }

    /// Lets a device that was given up be tried at once, as the line is back; no request
    /// waits for its poll slot, as after a start.
    pub(super) fn retry_now(&mut self, now: Mono) {
        self.fence_missed = None;
        self.longer_missed = None;
        self.try_set_aside(now);
        self.next_value.fill(now);
        self.resume(now);
        for slot in &mut self.slots {
            slot.due = slot.due.min(now);
        }
    }

    /// Whether a reply of the unit that was not waited for can be the late one.
    pub(super) fn owes_a_reply(&self) -> bool {
        self.numbered || !self.stale.is_clear()
    }

    fn doubted(&self, block: &ReadBlock) -> bool {
        !self.numbered && self.stale.covers(self.shape(block))
    }

    fn shape(&self, block: &ReadBlock) -> ReplyShape {
        self.phrases.shape(&block.address)
    }

    fn echo_looks_like_reply(&self, block: &ReadBlock) -> bool {
        let range = block.address.entries();
        range.is_some_and(|range| range.ask(self.unit).echo_looks_like_reply())
    }

    /// Returns what this block takes of the line's time, as far as that is known.
    pub(super) fn takes(&self, block: &ReadBlock) -> Duration {
        self.reading.takes(block)
    }

    fn reply_takes(&self, block: &ReadBlock) -> Duration {
        self.reading.reply_takes(block)
    }

    /// Returns how long the reply to this block is waited for.
    pub(super) fn patience(&self, block: &ReadBlock) -> Duration {
        // A miss costs all devices of the reply class more than any wait.
        if self.shared_reply_class(block).is_some() {
            return self.timeout.most();
        }
        let reply = self.reply_takes(block);
        self.timeout.after(self.misses(), reply, self.hurry)
    }

    /// Returns how long a try of a request that is set aside takes, if it fails as before.
    pub(super) fn try_takes(&self, now: Mono, slot: &PollSlot) -> Duration {
        let refused = slot.failing.as_ref().map(|f| f.how);
        match refused {
            Some(RequestFailure::Refused) => self.takes(&slot.block),
            _ => self.takes_in_vain(now, slot),
        }
    }

    /// Returns how long this request takes the line if nothing comes, or the rest of a frame
    /// that was begun, or a late reply.
    fn takes_in_vain(&self, now: Mono, slot: &PollSlot) -> Duration {
        // The line rests for a late reply only if the request got no reply at all.
        let is_silent = |f: &Failing| f.how == RequestFailure::Silence;
        let late = match slot.failing.as_ref().is_none_or(is_silent) {
            true if self.may_be_late(slot) => self.late_within,
            true => self.late_within(now),
            false => None,
        };
        let patience = self.patience(&slot.block);
        patience.max(self.failed_took).max(late.unwrap_or_default())
    }

    /// Whether it is not known yet if this request got no reply because the reply is late.
    fn may_be_late(&self, slot: &PollSlot) -> bool {
        let is_new = match slot.failures() {
            1 => true,
            DOUBTED => !self.was_waited_for,
            _ => false,
        };
        is_new && !self.numbered
    }

    /// Until when the late reply to this request, which got no reply in time, may spoil other
    /// replies.
    pub(super) fn may_interrupt_until(&self, now: Mono, job: &Request) -> Option<Mono> {
        let until = self.late_within(now).map(|late| job.asked + late);
        until.filter(|until| *until > now)
    }

    /// Until when a late reply may come to this request, which got no reply in time, if it is
    /// not known yet whether the unit is late or says nothing.
    pub(super) fn may_be_late_until(&self, job: &Request) -> Option<Mono> {
        let slot = self.slots.get(job.block)?;
        let asked = slot.block.address == job.address && self.may_be_late(slot);
        let latest = self.late_within.unwrap_or(self.timeout.latest());
        asked.then(|| job.asked + latest)
    }

    /// Notes that the line rests for its late reply, and whether it rests for as long as a late
    /// reply is reckoned with.
    pub(super) const fn is_waited_for(&mut self, in_full: bool) {
        self.was_waited_for = in_full;
    }

    /// Notes that a request that succeeded took the line this long.
    pub(super) fn took(&mut self, job: &Request, took: Duration) {
        if let Some(slot) = self.slots.get_mut(job.block) {
            slot.took = Some(slot.took.map_or(took, |mean| (mean * 7 + took) / 8));
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
        slot.map_or(self.timeout.most(), |s| self.takes_in_vain(now, s))
    }

    /// Notes that values of these points were taken.
    fn took_values(&mut self, points: &[u16], now: Mono) {
        for p in points {
            let point = self.profile.points.get(usize::from(*p));
            let next = self.next_value.get_mut(usize::from(*p));
            if let Some((point, next)) = point.zip(next) {
                *next = now.max(*next) + point.interval;
            }
        }
    }
}

/// Returns how a request fails that was answered with this frame.
const fn failure_of(mismatch: &Mismatch) -> (RequestFailure, Option<u8>) {
    match mismatch {
        Mismatch::Exception { code, .. } => (RequestFailure::RefusedOtherFunction, Some(*code)),
        Mismatch::Reply { .. } | Mismatch::OtherDatum => (RequestFailure::Mismatched, None),
    }
}

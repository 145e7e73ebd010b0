//! One device as its line's schedule sees it: its requests on their grid, how
//! much effort it deserves, and what must not be believed. How its requests
//! change with what it turns out to be is in `reading.rs`.

use std::sync::Arc;
use std::time::Duration;

use crate::base::{Backoff, DeviceId, Evidence, Miss, Mono, Rng, UnitId};
use crate::spec::dlt645::Address;
use crate::spec::{DeviceSpec, PortSpec, ProfileSpec, Protocol, SerialSpec};

use super::doubt::Doubt;
use super::evidence::weigh;
use super::holes::speaks_of_addresses;
use super::job::{Job, Outcome};
use super::modbus::Shape;
use super::neighbours::{Neighbours, Voice};
use super::phrase::{Phrases, reply_len};
use super::plan::ReadBlock;
use super::reading::{Finding, Reading};
use super::slot::{PATIENCE, Slot, phase};
use super::timeout::Timeout;

/// First wait after a miss; doubles.
const RETRY_FLOOR: Duration = Duration::from_millis(500);

/// The longest wait between attempts at a device that does not answer, if the
/// line has time for them.
const RETRY_CEILING: Duration = Duration::from_millis(4500);

/// A device that answered before is tried this often without delay, so that
/// its silence is soon certain.
const CONFIRMATIONS: u32 = 2;

/// After this many fences in a row without a reply the unit is taken for one
/// that is silent to functions it does not have.
const FENCES: u32 = 3;

/// Others ask a device if it is asked among their replies this often without having
/// been read meanwhile …
const GOES_ON: u32 = 3;

/// … which is told again after this long, if so.
const TELL_AGAIN: Duration = Duration::from_secs(3600);

/// One device on the line.
#[derive(Clone, Debug)]
pub(super) struct Station {
    pub(super) device: DeviceId,
    pub(super) unit: UnitId,
    pub(super) meter: Option<Address>,
    phrases: Phrases,
    serial: Option<Arc<SerialSpec>>,
    pub(super) timeout: Timeout,
    turnaround: Duration,
    pub(super) profile: Arc<ProfileSpec>,
    pub(super) slots: Vec<Slot>,
    /// What is known about reading it.
    pub(super) reading: Reading,
    /// Attempts wait for this; it also counts the misses in a row.
    retry: Backoff,
    doubt: Doubt,
    /// The voice of each question where others of the line have the same.
    voices: Vec<Option<Voice>>,
    /// What they owe.
    neighbours: Neighbours,
    /// Fences that got no reply, while none ever got one.
    fences_missed: u32,
    /// Whether a fence ever got a reply.
    answers_fences: bool,
    /// Whether it ever proved that it lives.
    known: bool,
    /// Whether somebody on the line was asked and never did.
    hurry: bool,
    /// Whether its last reply was spoilt, which was not held against it.
    excused: bool,
    /// Whether it was told that its replies come twice.
    told_twice: bool,
    /// How often in a row it was asked among replies to others.
    among_others: u32,
    /// When that was told last.
    told_others: Option<Mono>,
    /// Whether replies carry the number of their request.
    numbered: bool,
    /// The turn in which it was served last.
    pub(super) served: u64,
}

impl Station {
    /// `number` counts the requests of the line, so that each gets a phase of
    /// its own.
    pub(super) fn new(
        id: DeviceId,
        spec: &DeviceSpec,
        line: &PortSpec,
        number: &mut u64,
        now: Mono,
    ) -> Self {
        let reading = Reading::new(line, spec);
        let slots = reading
            .plan(&spec.profile)
            .into_iter()
            .map(|block| {
                let origin = now + phase(*number, block.interval);
                *number += 1;
                // The first poll does not wait for its slot: everybody is asked
                // at once after a start, in turn.
                Slot::new(block, now, origin)
            })
            .collect();
        let most = spec.response_timeout.unwrap_or(line.response_timeout);
        let timeout = Timeout::new(&line.line, most, now);
        Station {
            device: id,
            unit: spec.unit,
            meter: spec.meter,
            phrases: Phrases::of(spec),
            serial: spec.serial.clone(),
            timeout: match spec.profile.protocol {
                Protocol::Modbus | Protocol::Dlt645(_) => timeout,
                Protocol::Raw(_) => timeout.of_the_nameless(),
            },
            turnaround: spec.turnaround,
            profile: Arc::clone(&spec.profile),
            slots,
            reading,
            retry: Backoff::new(RETRY_FLOOR, RETRY_CEILING),
            doubt: Doubt::default(),
            voices: Vec::new(),
            neighbours: Neighbours::default(),
            fences_missed: 0,
            answers_fences: false,
            known: false,
            hurry: false,
            excused: false,
            told_twice: false,
            among_others: 0,
            told_others: None,
            numbered: line.line.framing().is_none(),
            served: 0,
        }
    }

    /// Misses in a row; while there are any, only one cheap request is tried.
    pub(super) const fn misses(&self) -> u32 {
        self.retry.failures()
    }

    /// When a device that missed may be tried again.
    pub(super) fn retry_at(&self, now: Mono) -> Mono {
        let retry = self.retry.not_before().unwrap_or(now);
        let alike = self.spares_others_until();
        retry
            .max(self.free_at(now))
            .max(now)
            .max(alike.unwrap_or(now))
    }

    /// Its place among the polls that are due: that of a rare one, or, to
    /// confirm a silence, before them.
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
        self.known && self.misses() <= CONFIRMATIONS
    }

    /// Whether it never proved that it lives.
    pub(super) const fn is_stranger(&self) -> bool {
        !self.known
    }

    /// When it may be asked anything, as far as doubt is concerned.
    pub(super) fn free_at(&self, now: Mono) -> Mono {
        if !self.doubt.sits_out(now) {
            return now;
        }
        let due = self.slots.iter().map(|s| s.due).min().unwrap_or(now);
        let until = self.doubt.sits_out_until(now, due, self.timeout.most());
        until.unwrap_or(now)
    }

    /// Whether what it is asked now is asked among replies to others.
    fn is_among_others(&self, now: Mono) -> bool {
        !self.numbered && self.doubt.is_among_others(now)
    }

    /// When this slot may be served: it is due, and no copy of a reply can be
    /// taken for its own.
    pub(super) fn ready_at(&self, slot: &Slot) -> Mono {
        if self.numbered {
            return slot.due;
        }
        let shape = self.shape(&slot.block);
        let clear = self.doubt.no_copies_from(shape);
        let alike = self.voice(&slot.block);
        let alike = alike.and_then(|voice| self.neighbours.ask_from(voice));
        clear.max(alike).map_or(slot.due, |at| at.max(slot.due))
    }

    /// A reply of its unit went by that nobody waited for.
    pub(super) fn passed_by(&mut self, now: Mono) {
        if !self.numbered {
            self.doubt.passed_by(now, self.timeout.most());
        }
        if self.doubt.repeats() && !std::mem::replace(&mut self.told_twice, true) {
            let device = self.device;
            self.reading.findings.push(Finding::RepliesTwice { device });
        }
    }

    /// Time passes.
    pub(super) fn at(&mut self, now: Mono, hurry: bool) {
        self.hurry = hurry;
        self.doubt.at(now);
        self.neighbours.at(now);
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

    /// Notes which of its requests wait for the line.
    pub(super) fn wait(&mut self, now: Mono) {
        for i in 0..self.slots.len() {
            let free = self.servable_at(now, i);
            self.slots[i].wait(now, free);
        }
    }

    fn servable_at(&self, now: Mono, slot: usize) -> Mono {
        let retry = match self.misses() {
            0 => now,
            _ => self.retry_at(now) + RETRY_CEILING,
        };
        let ready = self.ready_at(&self.slots[slot]);
        ready.max(self.free_at(now)).max(retry)
    }

    /// The request to try a device with that missed: the cheapest, but of a
    /// shape that is in doubt already. An attempt is likely to fail, and the
    /// shapes that are not in doubt are needed for the return. Before that, one
    /// that keeps nobody else from being read.
    pub(super) fn attempt(&self) -> Option<usize> {
        (0..self.slots.len()).min_by_key(|i| {
            let block = &self.slots[*i].block;
            let spends = !self.doubt.is_clear() && !self.doubted(block);
            let refused = self.slots[*i].refused > 0;
            let shared = self.voice(block).is_some();
            (refused, shared, spends, reply_len(&self.profile, block))
        })
    }

    /// The transaction that serves this slot best, given what is in doubt.
    pub(super) fn job(&self, slot: usize, now: Mono) -> Option<Job> {
        let wanted = &self.slots.get(slot)?.block;
        if self.is_among_others(now) {
            return Some(self.build(slot, wanted.clone(), false, now));
        }
        let alike = self.is_alike(wanted);
        if !self.doubted(wanted) && !alike {
            return Some(self.build(slot, wanted.clone(), true, now));
        }
        // What others owe is ended by no other request of this one.
        if self.misses() > 0 || !self.doubted(wanted) {
            return Some(self.build(slot, wanted.clone(), false, now));
        }
        Some(match self.unmistakable(slot) {
            Some((slot, block)) => self.build(slot, block, true, now),
            None => self.build(slot, wanted.clone(), false, now),
        })
    }

    /// How a job ended.
    pub(super) fn done(&mut self, now: Mono, job: &Job, outcome: &Outcome, rng: &mut Rng) {
        let shape = job.shape;
        let among_others = !job.trusted && self.is_among_others(job.asked);
        // A refusal that can only be that of this request.
        let pinned =
            self.numbered || (!among_others && !self.doubt.covers_function(shape.function));
        self.note_others(now, job, outcome, among_others);
        self.doubt.was_asked();
        if job.is_fence() {
            if matches!(outcome, Outcome::Missed(_)) {
                self.fences_missed += 1;
            } else {
                self.answers_fences = true;
            }
        }
        match outcome {
            Outcome::Answered(_) => self.doubt.answered(now, shape, self.timeout.most()),
            Outcome::Exception(_) | Outcome::Refused(_) => {
                self.doubt.refused(now, shape.function, self.timeout.most());
            }
            // Only commands are confirmed.
            Outcome::Confirmed | Outcome::Missed(_) => {}
        }
        let own = self.doubt.covers(shape);
        match outcome {
            Outcome::Answered(_) if job.trusted => self.doubt.resolved(now, self.timeout.most()),
            Outcome::Exception(_) | Outcome::Refused(_) if pinned => {
                self.doubt.resolved(now, self.timeout.most());
            }
            Outcome::Missed(_) if !self.numbered => {
                self.doubt.missed(now, shape, self.timeout.most());
            }
            // Only what others owe is in doubt.
            Outcome::Answered(_) if !self.numbered && !own => {}
            // A refusal names its function, but not which request of it was
            // refused; an untrusted answer may be an older one.
            Outcome::Answered(_) | Outcome::Exception(_) | Outcome::Refused(_)
                if !self.numbered =>
            {
                self.doubt.ambiguous(now, shape, self.timeout.most());
                // Who is asked among others has not been offered the chance.
                if !among_others && self.unmistakable(job.block).is_none() {
                    self.doubt.settle(now, self.timeout.most());
                }
            }
            _ => {}
        }
        self.proves(now, outcome, rng);
        match weigh(outcome) {
            Evidence::Alive(_) => {
                // A reply that brought nothing, or only a part, leaves the slot
                // owed; a refusal of the whole is final until the next slot.
                // Among others there is no more to be had in this slot.
                let served = match outcome {
                    Outcome::Answered(_) => job.whole && (job.trusted || among_others),
                    _ => job.whole,
                };
                if let Some(slot) = self.slots.get_mut(job.block).filter(|_| served) {
                    // The first poll is in no slot.
                    let since = job.since.filter(|since| *since >= slot.origin);
                    slot.serve(since.unwrap_or(now));
                }
            }
            Evidence::Missed(_) => {}
        }
        if job.whole && !job.is_fence() {
            match outcome {
                Outcome::Exception(code) if pinned && speaks_of_addresses(*code) => {
                    self.refused(now, job.block, *code);
                }
                Outcome::Refused(word) if pinned && word.says_no_such_datum() => {
                    self.declined(now, job.block, *word);
                }
                Outcome::Answered(_) if job.trusted => self.granted(now, job.block),
                _ => {}
            }
        }
    }

    /// Tells if it goes on that others ask it.
    fn note_others(&mut self, now: Mono, job: &Job, outcome: &Outcome, among_others: bool) {
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

    /// What this outcome says about the unit.
    fn proves(&mut self, now: Mono, outcome: &Outcome, rng: &mut Rng) {
        match weigh(outcome) {
            Evidence::Alive(_) => {
                self.known = true;
                self.excused = false;
                self.lives(now);
            }
            // Bytes came, so somebody spoke: a neighbour's straggler or a spike
            // spoilt the reply. Once, that is not the unit's fault: it stays
            // among those that answer, and is asked again when its sit-out ends.
            Evidence::Missed(Miss::Garbled | Miss::Foreign)
                if self.misses() == 0 && !self.excused =>
            {
                self.excused = true;
            }
            Evidence::Missed(_) => {
                self.retry.failed(now, rng);
            }
        }
    }

    /// It proved that it lives: the whole plan from now on.
    pub(super) fn lives(&mut self, now: Mono) {
        if self.misses() == 0 {
            return;
        }
        self.retry.reset();
        self.hasten_refused(now);
        for slot in &mut self.slots {
            // What was suspended is owed once, and no more urgent than others.
            slot.due = slot.due.max(slot.grid(now).min(now));
        }
    }

    /// Its reply came after it had been given up.
    pub(super) fn was_late(&mut self, now: Mono) {
        self.timeout.was_too_short(now);
        self.lives(now);
    }

    /// The line is back: whoever was given up may be tried at once, and nobody
    /// waits for its slot, as after a start.
    pub(super) fn retry_now(&mut self, now: Mono) {
        self.fences_missed = 0;
        self.try_refused(now);
        self.lives(now);
        for slot in &mut self.slots {
            slot.due = slot.due.min(now);
        }
    }

    /// Whether a reply of a unit nobody waited for can be the late one.
    pub(super) fn owes_a_reply(&self) -> bool {
        self.numbered || !self.doubt.is_clear()
    }

    fn doubted(&self, block: &ReadBlock) -> bool {
        !self.numbered && self.doubt.covers(self.shape(block))
    }

    /// A request that no abandoned one resembles: this slot's, another's, a
    /// shortened one, or a fence.
    fn unmistakable(&self, slot: usize) -> Option<(usize, ReadBlock)> {
        let mut order: Vec<usize> = (0..self.slots.len()).collect();
        order.sort_by_key(|i| (*i != slot, self.slots[*i].block.count, *i));
        let whole = order
            .iter()
            .map(|i| (*i, self.slots[*i].block.clone()))
            .find(|(_, block)| !self.doubted(block) && !self.is_alike(block));
        whole
            .or_else(|| {
                order.iter().find_map(|i| {
                    let shorter = self.slots[*i].block.shortened(&self.profile);
                    shorter
                        .filter(|b| !self.doubted(b) && !self.echo_looks_like_reply(b))
                        .map(|b| (*i, b))
                        .next()
                })
            })
            .or_else(|| self.fence(slot).map(|block| (slot, block)))
    }

    fn fence(&self, slot: usize) -> Option<ReadBlock> {
        if !self.answers_fences && self.fences_missed >= FENCES {
            return None;
        }
        let like = &self.slots.get(slot)?.block;
        self.phrases.fence(&self.profile, &self.doubt, like)
    }

    fn shape(&self, block: &ReadBlock) -> Shape {
        self.phrases.shape(&self.profile, block)
    }

    fn echo_looks_like_reply(&self, block: &ReadBlock) -> bool {
        self.profile.protocol == Protocol::Modbus && block.ask(self.unit).echo_looks_like_reply()
    }

    /// What this takes of the line's time, as far as that is known.
    pub(super) fn takes(&self, block: &ReadBlock) -> Duration {
        self.reading.takes(&self.profile, block)
    }

    /// How long the reply to this is waited for.
    pub(super) fn patience(&self, block: &ReadBlock) -> Duration {
        // A miss costs all that are alike more than any wait.
        if self.voice(block).is_some() {
            return self.timeout.most();
        }
        let reply = self.reading.reply_takes(&self.profile, block);
        self.timeout.after(self.misses(), reply, self.hurry)
    }

    /// How long an attempt at it takes if nothing comes.
    pub(super) fn attempt_takes(&self) -> Duration {
        let block = self.attempt().and_then(|i| self.slots.get(i));
        block.map_or(self.timeout.most(), |slot| self.patience(&slot.block))
    }

    fn build(&self, slot: usize, block: ReadBlock, trusted: bool, now: Mono) -> Job {
        Job {
            device: self.device,
            ask: block.ask(self.unit),
            timeout: self.patience(&block),
            speech: self.phrases.speech(&self.profile, &block),
            serial: self.serial.clone(),
            shape: self.shape(&block),
            whole: block.points.len() == self.slots[slot].block.points.len(),
            points: block.points,
            turnaround: self.turnaround,
            trusted,
            asked: now,
            since: None,
            block: slot,
        }
    }
}

mod alike;
mod writes;

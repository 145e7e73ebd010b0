//! Batches: readings that have been sent at least once and are not settled.
//!
//! A batch is one message's worth of readings. It is *under way* while a reply to its last
//! transmission may still come in time; otherwise it waits to be sent again. Either way a reply
//! to any of its transmissions settles it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::base::{Backoff, DeviceId, Mono, Reading, RequestId};

use super::waiting::{ArrivalNumber, DeviceReadings};

/// How many transmissions of a batch are remembered.
const TRIES: usize = 4;

/// The number of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BatchId(u64);

/// One message's worth of readings.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    parts: BTreeMap<DeviceId, DeviceReadings>,
    /// Whether its value was delivered before: the batch proves a session and is not
    /// counted.
    is_copy: bool,
    backoff: Backoff,
    /// How many refusals in a row blamed no device.
    troubles: u32,
    /// When the batch was first sent.
    since: Mono,
    transmissions: VecDeque<RequestId>,
    under_way: bool,
    /// When the batch is sent again; of no meaning while it is under way.
    again: Mono,
}

impl Batch {
    pub(super) const fn new(
        now: Mono,
        parts: BTreeMap<DeviceId, DeviceReadings>,
        is_copy: bool,
        backoff: Backoff,
    ) -> Self {
        Batch {
            parts,
            is_copy,
            backoff,
            troubles: 0,
            since: now,
            transmissions: VecDeque::new(),
            under_way: false,
            again: now,
        }
    }

    pub(super) const fn parts(&self) -> &BTreeMap<DeviceId, DeviceReadings> {
        &self.parts
    }

    pub(super) fn into_parts(self) -> BTreeMap<DeviceId, DeviceReadings> {
        self.parts
    }

    pub(super) const fn is_copy(&self) -> bool {
        self.is_copy
    }

    pub(super) const fn since(&self) -> Mono {
        self.since
    }

    /// Returns the only device in the batch.
    pub(super) fn alone(&self) -> Option<DeviceId> {
        match self.parts.len() {
            1 => self.parts.keys().next().copied(),
            _ => None,
        }
    }

    /// Returns the numbers of the readings in the batch that are counted.
    pub(super) fn numbers(&self) -> impl Iterator<Item = ArrivalNumber> {
        let parts = self.parts.values().filter(|_| !self.is_copy);
        parts.flatten().map(|(arrival, _)| *arrival)
    }

    /// Returns how many readings in the batch are counted.
    pub(super) fn count(&self) -> usize {
        if self.is_copy {
            return 0;
        }
        self.parts.values().map(Vec::len).sum()
    }

    /// Takes note of a refusal that blames no device; returns how many there were in a row.
    pub(super) const fn troubled(&mut self) -> u32 {
        self.troubles += 1;
        self.troubles
    }

    pub(super) const fn backoff(&mut self) -> &mut Backoff {
        &mut self.backoff
    }
}

/// All batches.
#[derive(Clone, Debug)]
pub(super) struct Batches {
    next: u64,
    all: BTreeMap<BatchId, Batch>,
    of_device: BTreeSet<(DeviceId, BatchId)>,
    /// The batches not under way, by when they are sent again.
    again: BTreeSet<(Mono, BatchId)>,
    /// The same batches in the order in which they were first sent.
    idle: BTreeSet<BatchId>,
    readings: usize,
}

impl Batches {
    pub(super) const fn new() -> Self {
        Batches {
            next: 0,
            all: BTreeMap::new(),
            of_device: BTreeSet::new(),
            again: BTreeSet::new(),
            idle: BTreeSet::new(),
            readings: 0,
        }
    }

    /// Returns how many readings are in batches.
    pub(super) const fn readings(&self) -> usize {
        self.readings
    }

    /// Returns the numbers of the readings in all batches.
    pub(super) fn numbers(&self) -> impl Iterator<Item = ArrivalNumber> {
        self.all.values().flat_map(Batch::numbers)
    }

    pub(super) fn get(&self, id: BatchId) -> Option<&Batch> {
        self.all.get(&id)
    }

    /// Adds a batch that is to be sent from `at`.
    pub(super) fn add(&mut self, batch: Batch, at: Mono) -> BatchId {
        let id = BatchId(self.next);
        self.next += 1;
        self.readings += batch.count();
        for device in batch.parts.keys() {
            self.of_device.insert((*device, id));
        }
        self.all.insert(id, batch);
        self.put_off(id, at);
        id
    }

    /// Removes a batch for good.
    pub(super) fn remove(&mut self, id: BatchId) -> Option<Batch> {
        let batch = self.all.remove(&id)?;
        self.readings -= batch.count();
        for device in batch.parts.keys() {
            self.of_device.remove(&(*device, id));
        }
        self.again.remove(&(batch.again, id));
        self.idle.remove(&id);
        Some(batch)
    }

    /// Returns all batches.
    pub(super) fn all(&self) -> Vec<BatchId> {
        self.all.keys().copied().collect()
    }

    /// Returns the batches that wait to be sent again.
    pub(super) fn idle(&self) -> Vec<BatchId> {
        self.idle.iter().copied().collect()
    }

    /// Returns the batches with readings of this device.
    pub(super) fn of(&self, device: DeviceId) -> Vec<BatchId> {
        let own = (device, BatchId(0))..=(device, BatchId(u64::MAX));
        self.of_device.range(own).map(|(_, id)| *id).collect()
    }

    /// Takes one device's part out; returns an empty part for a copy.
    pub(super) fn remove_part(&mut self, id: BatchId, device: DeviceId) -> DeviceReadings {
        self.of_device.remove(&(device, id));
        let Some(batch) = self.all.get_mut(&id) else {
            return DeviceReadings::new();
        };
        let part = batch.parts.remove(&device).unwrap_or_default();
        if batch.is_copy {
            return DeviceReadings::new();
        }
        self.readings -= part.len();
        part
    }

    /// Returns whether nothing is left in the batch.
    pub(super) fn is_empty(&self, id: BatchId) -> bool {
        self.all.get(&id).is_none_or(|p| p.parts.is_empty())
    }

    /// Returns whether readings of this device are not settled.
    pub(super) fn has(&self, device: DeviceId) -> bool {
        let own = (device, BatchId(0))..=(device, BatchId(u64::MAX));
        self.of_device.range(own).next().is_some()
    }

    /// Keeps those readings of one part for which the function is true; the function may
    /// change them. Returns how many were dropped.
    pub(super) fn retain(
        &mut self,
        id: BatchId,
        device: DeviceId,
        mut keep: impl FnMut(&mut Reading) -> bool,
    ) -> u64 {
        let batch = self.all.get_mut(&id);
        let Some(batch) = batch else {
            return 0;
        };
        let Some(part) = batch.parts.get_mut(&device) else {
            return 0;
        };
        let before = part.len();
        part.retain_mut(|(_, reading)| keep(reading));
        let gone = before - part.len();
        if part.is_empty() {
            batch.parts.remove(&device);
            self.of_device.remove(&(device, id));
        }
        if batch.is_copy {
            return 0;
        }
        self.readings -= gone;
        gone as u64
    }

    // --- sending ----------------------------------------------------------------

    /// Returns when the next batch is sent again.
    pub(super) fn again_due(&self) -> Option<Mono> {
        self.again.first().map(|(at, _)| *at)
    }

    /// Returns the batch that is due to be sent again.
    pub(super) fn due(&self, now: Mono) -> Option<BatchId> {
        let (at, id) = *self.again.first()?;
        (at <= now).then_some(id)
    }

    /// Returns whether the batch waits for the reply to its last transmission.
    pub(super) fn is_under_way(&self, id: BatchId) -> bool {
        self.all.get(&id).is_some_and(|p| p.under_way)
    }

    /// Takes note that the batch is sent. Returns the transmission that is no longer remembered
    /// for it, and whether the batch has been sent before.
    pub(super) fn sent(&mut self, id: BatchId, ask: RequestId) -> (Option<RequestId>, bool) {
        let Some(batch) = self.all.get_mut(&id) else {
            return (Some(ask), false);
        };
        self.again.remove(&(batch.again, id));
        self.idle.remove(&id);
        batch.under_way = true;
        let before = !batch.transmissions.is_empty();
        batch.transmissions.push_back(ask);
        let forgotten =
            (batch.transmissions.len() > TRIES).then(|| batch.transmissions.pop_front());
        (forgotten.flatten(), before)
    }

    /// Puts the batch off until `at`, when it is sent again.
    pub(super) fn put_off(&mut self, id: BatchId, at: Mono) {
        if let Some(batch) = self.all.get_mut(&id) {
            self.again.remove(&(batch.again, id));
            batch.under_way = false;
            batch.again = at;
            self.again.insert((at, id));
            self.idle.insert(id);
        }
    }

    /// Makes everything due that waits to be sent again.
    pub(super) fn hurry(&mut self, now: Mono) {
        for (at, id) in std::mem::take(&mut self.again) {
            let at = at.min(now);
            if let Some(batch) = self.all.get_mut(&id) {
                batch.again = at;
            }
            self.again.insert((at, id));
        }
    }

    /// Returns a batch to be changed before it is put off.
    pub(super) fn get_mut(&mut self, id: BatchId) -> Option<&mut Batch> {
        self.all.get_mut(&id)
    }

    /// Returns those transmissions of the batch that are remembered.
    pub(super) fn transmissions(&self, id: BatchId) -> Vec<RequestId> {
        let batch = self.all.get(&id);
        batch.map_or_else(Vec::new, |p| p.transmissions.iter().copied().collect())
    }

    /// Returns the number of the oldest reading of each device that is in a batch.
    pub(super) fn oldest_numbers(&self) -> BTreeMap<DeviceId, ArrivalNumber> {
        let mut oldest = BTreeMap::new();
        for batch in self.all.values().filter(|batch| !batch.is_copy) {
            for (device, part) in &batch.parts {
                for (arrival, _) in part {
                    let known = oldest.entry(*device).or_insert(*arrival);
                    *known = (*known).min(*arrival);
                }
            }
        }
        oldest
    }

    /// Returns when the oldest batch was first sent that waits to be sent again.
    pub(super) fn oldest_idle_since(&self) -> Option<Mono> {
        let id = self.idle.first()?;
        self.all.get(id).filter(|b| !b.is_copy).map(|b| b.since)
    }

    /// Returns the waiting batch that was sent first, with its oldest reading.
    pub(super) fn oldest_idle(&self) -> Option<(ArrivalNumber, BatchId)> {
        let id = *self.idle.first()?;
        let parts = self.all.get(&id)?.parts.values();
        let arrival = parts.flatten().map(|(arrival, _)| *arrival).min()?;
        Some((arrival, id))
    }
}

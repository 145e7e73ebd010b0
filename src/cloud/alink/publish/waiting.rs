//! Readings that are not on their way: the live ones, and the backlog.
//!
//! A reading is *live* until it has waited [`LIVE_FOR`] longer than the linger; then it
//! belongs to the backlog, as does each reading that was sent and came back. Within one
//! device each of the two leaves oldest first, one value per property in a message. Live
//! readings leave when their device is due; the backlog of all devices leaves in turns, a
//! part of a message each.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::base::{DeviceId, Mono, Reading};
use crate::cloud::alink::wire::payload::{MESSAGE_BYTES, PACKED_BYTES, Properties};
use crate::spec::{PostPolicy, Spec};

/// The number of a reading in the order of arrival.
pub(crate) type ArrivalNumber = u64;

/// The readings of one device in one message.
pub(super) type DeviceReadings = Vec<(ArrivalNumber, Reading)>;

/// How much longer than the linger a reading may wait and still be live. This is long
/// enough for a log-in after an outage of the session, and short enough that a live reading
/// shows the present.
pub(crate) const LIVE_FOR: Duration = Duration::from_secs(5);

/// How many readings of one device are looked at for one message: a property that is
/// further behind than that waits for the next message.
const LOOKED_AT: usize = 800;

/// Devices by when they are due, each at most once.
#[derive(Clone, Debug)]
struct DueDevices<K> {
    order: BTreeSet<(K, DeviceId)>,
    of: BTreeMap<DeviceId, K>,
}

impl<K: Copy + Ord> DueDevices<K> {
    const fn new() -> Self {
        DueDevices {
            order: BTreeSet::new(),
            of: BTreeMap::new(),
        }
    }

    /// Enters the device unless it is there, or takes it out; returns whether it was
    /// entered.
    fn set(&mut self, id: DeviceId, key: Option<K>) -> bool {
        match (key, self.of.get(&id)) {
            (Some(key), None) => {
                self.of.insert(id, key);
                self.order.insert((key, id))
            }
            (Some(_), Some(_)) => false,
            (None, _) => {
                self.remove(id);
                false
            }
        }
    }

    fn remove(&mut self, id: DeviceId) {
        if let Some(key) = self.of.remove(&id) {
            self.order.remove(&(key, id));
        }
    }

    fn first(&self) -> Option<(K, DeviceId)> {
        self.order.first().copied()
    }

    /// Returns the first `count` devices.
    fn front(&self, count: usize) -> Vec<DeviceId> {
        self.order.iter().take(count).map(|(_, id)| *id).collect()
    }
}

/// The room that is left in a message.
#[derive(Clone, Copy, Debug)]
struct MessageRoom {
    bytes: usize,
    properties: usize,
}

impl MessageRoom {
    fn of(policy: &PostPolicy) -> Self {
        MessageRoom {
            bytes: policy.message_bytes.saturating_sub(MESSAGE_BYTES),
            properties: policy.pack_properties.max(1),
        }
    }
}

/// Readings not on their way, and which devices are due.
#[derive(Clone, Debug)]
pub(super) struct WaitingReadings {
    next_arrival: ArrivalNumber,
    readings: BTreeMap<ArrivalNumber, Reading>,
    live: BTreeSet<(DeviceId, ArrivalNumber)>,
    backlog: BTreeSet<(DeviceId, ArrivalNumber)>,
    online: BTreeSet<DeviceId>,
    /// Devices whose next message carries no other device.
    alone: BTreeSet<DeviceId>,
    ready: DueDevices<Mono>,
    ready_alone: DueDevices<Mono>,
    turns: DueDevices<u64>,
    next_turn: u64,
    /// Whether the backlog waits for older values in the store.
    holds_backlog: bool,
}

impl WaitingReadings {
    pub(super) const fn new() -> Self {
        WaitingReadings {
            next_arrival: 0,
            readings: BTreeMap::new(),
            live: BTreeSet::new(),
            backlog: BTreeSet::new(),
            online: BTreeSet::new(),
            alone: BTreeSet::new(),
            ready: DueDevices::new(),
            ready_alone: DueDevices::new(),
            turns: DueDevices::new(),
            next_turn: 0,
            holds_backlog: false,
        }
    }

    /// Keeps the backlog back, or lets it go.
    pub(super) fn hold_backlog(&mut self, now: Mono, holds: bool) {
        if std::mem::replace(&mut self.holds_backlog, holds) != holds {
            for id in self.online.clone() {
                let at = self.ready.of.get(&id).copied().unwrap_or(now);
                self.refresh(id, at);
            }
        }
    }

    /// Returns how many readings wait.
    pub(super) fn len(&self) -> usize {
        self.readings.len()
    }

    /// Returns the oldest reading of all.
    pub(super) fn oldest(&self) -> Option<ArrivalNumber> {
        self.readings.keys().next().copied()
    }

    /// Returns whether readings of this device wait.
    pub(super) fn has(&self, id: DeviceId) -> bool {
        has(&self.live, id) || has(&self.backlog, id)
    }

    /// Returns whether readings of a device that is online wait.
    pub(super) fn has_sendable(&self) -> bool {
        let due = self.ready.first().or(self.ready_alone.first());
        due.is_some() || self.turns.first().is_some()
    }

    pub(super) fn is_online(&self, id: DeviceId) -> bool {
        self.online.contains(&id)
    }

    // --- in -------------------------------------------------------------------

    /// Adds a new reading; returns its number.
    pub(super) fn put(&mut self, now: Mono, reading: Reading, linger: Duration) -> ArrivalNumber {
        let arrival = self.next_arrival;
        self.next_arrival += 1;
        let id = reading.device;
        if is_stale(&reading, now, linger) {
            self.backlog.insert((id, arrival));
        } else {
            self.live.insert((id, arrival));
        }
        self.readings.insert(arrival, reading);
        self.refresh(id, now + linger);
        arrival
    }

    /// Takes back readings that were sent, and are to be sent again in a message with
    /// others.
    pub(super) fn take_back(&mut self, now: Mono, id: DeviceId, part: DeviceReadings) {
        for (arrival, reading) in part {
            self.backlog.insert((id, arrival));
            self.readings.insert(arrival, reading);
        }
        self.refresh(id, now);
    }

    /// Returns when the oldest reading was read.
    pub(super) fn oldest_read_at(&self) -> Option<Mono> {
        let oldest = self.readings.values().next();
        oldest.map(|reading| reading.at.mono)
    }

    /// Takes out up to `most` of the oldest readings that were read before this time. What is
    /// newer than the reading of its device in `older` stays.
    pub(super) fn take_oldest(
        &mut self,
        now: Mono,
        before: Mono,
        most: usize,
        older: &BTreeMap<DeviceId, ArrivalNumber>,
    ) -> DeviceReadings {
        let ripe = self.readings.iter();
        let ripe = ripe.take_while(|(_, reading)| reading.at.mono <= before);
        let is_next = |(arrival, reading): &(&ArrivalNumber, &Reading)| {
            let before_it = older.get(&reading.device);
            before_it.is_none_or(|older| older > *arrival)
        };
        let ripe = ripe.filter(is_next).map(|(arrival, _)| *arrival);
        let chosen: Vec<ArrivalNumber> = ripe.take(most).collect();
        let mut taken = Vec::with_capacity(chosen.len());
        for arrival in chosen {
            let Some(reading) = self.readings.remove(&arrival) else {
                continue;
            };
            self.live.remove(&(reading.device, arrival));
            self.backlog.remove(&(reading.device, arrival));
            self.refresh(reading.device, now);
            taken.push((arrival, reading));
        }
        taken
    }

    /// Drops the oldest reading; returns its number.
    pub(super) fn drop_oldest(&mut self, now: Mono) -> Option<ArrivalNumber> {
        let (arrival, reading) = self.readings.pop_first()?;
        self.live.remove(&(reading.device, arrival));
        self.backlog.remove(&(reading.device, arrival));
        self.refresh(reading.device, now);
        Some(arrival)
    }

    /// Returns the numbers of all readings.
    pub(super) fn numbers(&self) -> impl Iterator<Item = ArrivalNumber> {
        self.readings.keys().copied()
    }

    /// Drops this device's waiting readings; returns how many.
    pub(super) fn forget(&mut self, now: Mono, id: DeviceId) -> u64 {
        self.retain(now, id, |_| false)
    }

    /// Keeps those readings of a device for which the function is true; the function may
    /// change them. Returns how many were dropped.
    pub(super) fn retain(
        &mut self,
        now: Mono,
        id: DeviceId,
        mut keep: impl FnMut(&mut Reading) -> bool,
    ) -> u64 {
        let mut dropped = 0;
        let readings = &mut self.readings;
        for set in [&mut self.live, &mut self.backlog] {
            let all: Vec<_> = set
                .range((id, 0)..=(id, ArrivalNumber::MAX))
                .copied()
                .collect();
            for entry in all {
                if !readings.get_mut(&entry.1).is_some_and(&mut keep) {
                    set.remove(&entry);
                    readings.remove(&entry.1);
                    dropped += 1;
                }
            }
        }
        self.refresh(id, now);
        dropped
    }

    // --- which devices may send -------------------------------------------------

    /// Takes note that the device is online.
    pub(super) fn on_session_begun(&mut self, now: Mono, id: DeviceId, linger: Duration) {
        self.online.insert(id);
        self.age(now, id, linger);
        self.refresh(id, now);
    }

    /// Takes note that the device is no longer online.
    pub(super) fn left(&mut self, now: Mono, id: DeviceId) {
        self.online.remove(&id);
        self.alone.remove(&id);
        self.refresh(id, now);
    }

    /// Sends the device's next message without other devices.
    pub(super) fn isolate(&mut self, now: Mono, id: DeviceId) {
        if self.alone.insert(id) {
            let at = self.ready.of.get(&id).copied().unwrap_or(now);
            self.refresh(id, at);
        }
    }

    /// Allows other devices in the device's next message again.
    pub(super) fn join(&mut self, now: Mono, id: DeviceId) {
        if self.alone.remove(&id) {
            let at = self.ready_alone.of.get(&id).copied().unwrap_or(now);
            self.refresh(id, at);
        }
    }

    /// Sends this device's readings without waiting for other readings for their message.
    pub(super) fn hurry(&mut self, now: Mono, id: DeviceId) {
        self.ready.remove(id);
        self.ready_alone.remove(id);
        self.refresh(id, now);
    }

    /// Sends all readings without waiting for other readings for their message.
    pub(super) fn all_due_now(&mut self, now: Mono) {
        for id in self.online.clone() {
            self.hurry(now, id);
        }
    }

    /// Returns when the next live readings are due; at once if more devices are ready than
    /// a message holds and nothing else waits for the pace.
    pub(super) fn live_due(&self, eager: bool, pack_devices: usize) -> Option<Mono> {
        if eager && self.ready.order.len() > pack_devices {
            return Some(Mono::START);
        }
        let both = [self.ready.first(), self.ready_alone.first()];
        both.into_iter().flatten().map(|(at, _)| at).min()
    }

    /// Returns whether the backlog has something to send.
    pub(super) fn has_backlog(&self) -> bool {
        self.turns.first().is_some()
    }

    // --- out ----------------------------------------------------------------------

    /// Returns one message of live readings: of the device that has been due longest, with
    /// as many others as fit. It is empty if all of them turned out to be stale.
    pub(super) fn pack_live(
        &mut self,
        now: Mono,
        spec: &Spec,
    ) -> BTreeMap<DeviceId, DeviceReadings> {
        let policy = &spec.cloud.post;
        if let Some((at, id)) = self.ready_alone.first()
            && self.ready.first().is_none_or(|(other, _)| at <= other)
        {
            return self.pack_alone(now, id, spec);
        }
        let devices = self.ready.front(policy.pack_devices.max(1));
        let (mut room, mut parts) = (MessageRoom::of(policy), BTreeMap::new());
        for id in devices {
            self.age(now, id, policy.linger);
            if !has(&self.live, id) {
                self.refresh(id, now);
                continue;
            }
            let mut part = DeviceReadings::new();
            self.pick(id, true, spec, &mut room, parts.is_empty(), &mut part);
            if part.is_empty() {
                break;
            }
            self.ready.remove(id);
            let rest = first(&self.live, id).and_then(|arrival| self.readings.get(&arrival));
            let due = rest.map_or(now, |r| r.at.mono + policy.linger);
            self.refresh(id, due);
            parts.insert(id, part);
        }
        // Older values of other properties of a device go along.
        for (id, part) in &mut parts {
            self.pick(*id, false, spec, &mut room, false, part);
            self.refresh(*id, now);
        }
        parts
    }

    /// Returns one message of the backlog, in turns.
    pub(super) fn pack_backlog(
        &mut self,
        now: Mono,
        spec: &Spec,
    ) -> BTreeMap<DeviceId, DeviceReadings> {
        let policy = &spec.cloud.post;
        let devices = self.turns.front(policy.pack_devices.max(1));
        let (mut room, mut parts) = (MessageRoom::of(policy), BTreeMap::new());
        for id in devices {
            let mut part = DeviceReadings::new();
            self.pick(id, false, spec, &mut room, parts.is_empty(), &mut part);
            if part.is_empty() {
                break;
            }
            self.turns.remove(id);
            self.refresh(id, now);
            parts.insert(id, part);
        }
        parts
    }

    /// Returns one message of this device alone, which may share its next message again.
    fn pack_alone(
        &mut self,
        now: Mono,
        id: DeviceId,
        spec: &Spec,
    ) -> BTreeMap<DeviceId, DeviceReadings> {
        self.alone.remove(&id);
        self.ready_alone.remove(id);
        self.age(now, id, spec.cloud.post.linger);
        let (mut part, mut room) = (DeviceReadings::new(), MessageRoom::of(&spec.cloud.post));
        self.pick(id, true, spec, &mut room, true, &mut part);
        let is_first = part.is_empty();
        self.pick(id, false, spec, &mut room, is_first, &mut part);
        self.refresh(id, now);
        BTreeMap::from([(id, part)])
    }

    /// Picks the oldest value of each property of one device that is not in `part` yet, as
    /// far as they fit; the first value of a message always fits.
    fn pick(
        &mut self,
        id: DeviceId,
        live: bool,
        spec: &Spec,
        room: &mut MessageRoom,
        mut is_first: bool,
        part: &mut DeviceReadings,
    ) {
        if !live && self.holds_backlog {
            return;
        }
        let set = if live {
            &mut self.live
        } else {
            &mut self.backlog
        };
        let known = spec
            .device(id)
            .map_or(usize::MAX, |d| d.profile.points.len());
        let mut left = *room;
        if part.is_empty() {
            left.bytes = left.bytes.saturating_sub(PACKED_BYTES);
        }
        let mut points: BTreeSet<u16> = part.iter().map(|(_, r)| r.point).collect();
        let mut seqs = Vec::new();
        for &(_, arrival) in set
            .range((id, 0)..=(id, ArrivalNumber::MAX))
            .take(LOOKED_AT)
        {
            if left.properties == 0 || points.len() >= known {
                break;
            }
            let Some(reading) = self.readings.get(&arrival) else {
                continue;
            };
            // One value per property: the second must not overtake the first.
            if !points.insert(reading.point) {
                continue;
            }
            // One byte more for the comma.
            let size = property(spec, reading).len() + 1;
            if size > left.bytes && !is_first {
                break;
            }
            is_first = false;
            left.bytes = left.bytes.saturating_sub(size);
            left.properties -= 1;
            seqs.push(arrival);
        }
        if !seqs.is_empty() {
            *room = left;
        }
        for arrival in seqs {
            set.remove(&(id, arrival));
            part.extend(self.readings.remove(&arrival).map(|r| (arrival, r)));
        }
    }

    /// Moves readings that have waited too long to the backlog.
    fn age(&mut self, now: Mono, id: DeviceId, linger: Duration) {
        while let Some(arrival) = first(&self.live, id)
            && let Some(reading) = self.readings.get(&arrival)
            && is_stale(reading, now, linger)
        {
            self.live.remove(&(id, arrival));
            self.backlog.insert((id, arrival));
        }
    }

    /// Enters the device where it has something to send, due at `at`, or takes it out; a
    /// device that is there keeps its time.
    fn refresh(&mut self, id: DeviceId, at: Mono) {
        let online = self.online.contains(&id);
        let live = online && has(&self.live, id);
        let backlog = online && !self.holds_backlog && has(&self.backlog, id);
        let alone = self.alone.contains(&id);
        self.ready.set(id, (live && !alone).then_some(at));
        let any = live || backlog;
        self.ready_alone.set(id, (any && alone).then_some(at));
        let turn = (backlog && !alone).then_some(self.next_turn);
        if self.turns.set(id, turn) {
            self.next_turn += 1;
        }
    }
}

fn is_stale(reading: &Reading, now: Mono, linger: Duration) -> bool {
    now.since(reading.at.mono) > linger + LIVE_FOR
}

fn first(set: &BTreeSet<(DeviceId, ArrivalNumber)>, id: DeviceId) -> Option<ArrivalNumber> {
    let mut own = set.range((id, 0)..=(id, ArrivalNumber::MAX));
    own.next().map(|(_, arrival)| *arrival)
}

fn has(set: &BTreeSet<(DeviceId, ArrivalNumber)>, id: DeviceId) -> bool {
    first(set, id).is_some()
}

/// Returns one reading as it is sent.
pub(super) fn property(spec: &Spec, reading: &Reading) -> Properties {
    let point = spec
        .device(reading.device)
        .and_then(|d| d.profile.points.get(usize::from(reading.point)));
    point.map_or_else(Properties::default, |p| {
        Properties::one(&p.id, &reading.value, reading.at.wall)
    })
}

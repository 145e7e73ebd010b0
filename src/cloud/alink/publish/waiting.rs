//! Readings that are not on their way: those still live, and the backlog.
//!
//! A reading is *live* until it has waited [`LIVE_FOR`] longer than the linger;
//! then it belongs to the backlog, as does whatever was sent and came back.
//! Within one device each of the two leaves oldest first, one value per property
//! in a message. Live readings leave when their device is due; the backlog of all
//! devices leaves in turns, a part of a message each.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::base::{DeviceId, Mono, Reading};
use crate::cloud::alink::wire::payload::{MESSAGE_BYTES, PACKED_BYTES, Properties};
use crate::spec::{PostPolicy, Spec};

/// The order of arrival.
pub(super) type Seq = u64;

/// Readings of one device in one message.
pub(super) type Part = Vec<(Seq, Reading)>;

/// How much longer than the linger a reading may wait and still be live. Long
/// enough for a log-in after an outage of the session, and short enough that what
/// is called live shows the present.
pub(super) const LIVE_FOR: Duration = Duration::from_secs(5);

/// So many readings of one device are looked at for one message: a property that
/// is further behind than that waits for the next.
const LOOKED_AT: usize = 800;

/// Devices by when they are due, each at most once.
#[derive(Clone, Debug)]
struct Schedule<K> {
    order: BTreeSet<(K, DeviceId)>,
    of: BTreeMap<DeviceId, K>,
}

impl<K: Copy + Ord> Schedule<K> {
    const fn new() -> Self {
        Schedule {
            order: BTreeSet::new(),
            of: BTreeMap::new(),
        }
    }

    /// Enters the device unless it is there, or takes it out; says whether it
    /// was entered.
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

    /// The first so many devices.
    fn front(&self, count: usize) -> Vec<DeviceId> {
        self.order.iter().take(count).map(|(_, id)| *id).collect()
    }
}

/// What still fits into a message.
#[derive(Clone, Copy, Debug)]
struct Room {
    bytes: usize,
    properties: usize,
}

impl Room {
    fn of(policy: &PostPolicy) -> Self {
        Room {
            bytes: policy.message_bytes.saturating_sub(MESSAGE_BYTES),
            properties: policy.pack_properties.max(1),
        }
    }
}

/// Readings not on their way, and whose turn it is.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    next_seq: Seq,
    readings: BTreeMap<Seq, Reading>,
    live: BTreeSet<(DeviceId, Seq)>,
    backlog: BTreeSet<(DeviceId, Seq)>,
    online: BTreeSet<DeviceId>,
    /// Devices whose next message is theirs alone.
    alone: BTreeSet<DeviceId>,
    ready: Schedule<Mono>,
    ready_alone: Schedule<Mono>,
    turns: Schedule<u64>,
    next_turn: u64,
}

impl Waiting {
    pub(super) const fn new() -> Self {
        Waiting {
            next_seq: 0,
            readings: BTreeMap::new(),
            live: BTreeSet::new(),
            backlog: BTreeSet::new(),
            online: BTreeSet::new(),
            alone: BTreeSet::new(),
            ready: Schedule::new(),
            ready_alone: Schedule::new(),
            turns: Schedule::new(),
            next_turn: 0,
        }
    }

    /// Readings that wait.
    pub(super) fn len(&self) -> usize {
        self.readings.len()
    }

    /// The oldest of all.
    pub(super) fn oldest(&self) -> Option<Seq> {
        self.readings.keys().next().copied()
    }

    /// Whether readings of this device wait.
    pub(super) fn has(&self, id: DeviceId) -> bool {
        has(&self.live, id) || has(&self.backlog, id)
    }

    /// Whether a device that is online has anything here.
    pub(super) fn has_sendable(&self) -> bool {
        let due = self.ready.first().or(self.ready_alone.first());
        due.is_some() || self.turns.first().is_some()
    }

    pub(super) fn is_online(&self, id: DeviceId) -> bool {
        self.online.contains(&id)
    }

    // --- in -------------------------------------------------------------------

    /// A new reading.
    pub(super) fn put(&mut self, now: Mono, reading: Reading, linger: Duration) {
        let seq = self.next_seq;
        self.next_seq += 1;
        let id = reading.device;
        if is_stale(&reading, now, linger) {
            self.backlog.insert((id, seq));
        } else {
            self.live.insert((id, seq));
        }
        self.readings.insert(seq, reading);
        self.refresh(id, now + linger);
    }

    /// Readings that were sent, and are to be sent again in other company.
    pub(super) fn take_back(&mut self, now: Mono, id: DeviceId, part: Part) {
        for (seq, reading) in part {
            self.backlog.insert((id, seq));
            self.readings.insert(seq, reading);
        }
        self.refresh(id, now);
    }

    /// Drops the oldest reading.
    pub(super) fn drop_oldest(&mut self, now: Mono) {
        if let Some((seq, reading)) = self.readings.pop_first() {
            self.live.remove(&(reading.device, seq));
            self.backlog.remove(&(reading.device, seq));
            self.refresh(reading.device, now);
        }
    }

    /// Drops what waits for this device; says how much it was.
    pub(super) fn forget(&mut self, now: Mono, id: DeviceId) -> u64 {
        self.retain(now, id, |_| false)
    }

    /// Keeps those readings of a device that are let through, which may be
    /// changed; says how many were dropped.
    pub(super) fn retain(
        &mut self,
        now: Mono,
        id: DeviceId,
        mut keep: impl FnMut(&mut Reading) -> bool,
    ) -> u64 {
        let mut dropped = 0;
        let readings = &mut self.readings;
        for set in [&mut self.live, &mut self.backlog] {
            let all: Vec<_> = set.range((id, 0)..=(id, Seq::MAX)).copied().collect();
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

    // --- who may go -------------------------------------------------------------

    /// The device is online.
    pub(super) fn came(&mut self, now: Mono, id: DeviceId, linger: Duration) {
        self.online.insert(id);
        self.age(now, id, linger);
        self.refresh(id, now);
    }

    /// The device is no longer online.
    pub(super) fn left(&mut self, now: Mono, id: DeviceId) {
        self.online.remove(&id);
        self.alone.remove(&id);
        self.refresh(id, now);
    }

    /// Its next message is its own alone.
    pub(super) fn isolate(&mut self, now: Mono, id: DeviceId) {
        if self.alone.insert(id) {
            let at = self.ready.of.get(&id).copied().unwrap_or(now);
            self.refresh(id, at);
        }
    }

    /// It may have company again.
    pub(super) fn join(&mut self, now: Mono, id: DeviceId) {
        if self.alone.remove(&id) {
            let at = self.ready_alone.of.get(&id).copied().unwrap_or(now);
            self.refresh(id, at);
        }
    }

    /// Does not wait for company for this device.
    pub(super) fn hurry(&mut self, now: Mono, id: DeviceId) {
        self.ready.remove(id);
        self.ready_alone.remove(id);
        self.refresh(id, now);
    }

    /// Does not wait for company for any device.
    pub(super) fn hurry_all(&mut self, now: Mono) {
        for id in self.online.clone() {
            self.hurry(now, id);
        }
    }

    /// When the next live readings are due; at once if more devices are ready
    /// than a message holds and nothing else waits for the pace.
    pub(super) fn live_due(&self, eager: bool, pack_devices: usize) -> Option<Mono> {
        if eager && self.ready.order.len() > pack_devices {
            return Some(Mono::START);
        }
        let both = [self.ready.first(), self.ready_alone.first()];
        both.into_iter().flatten().map(|(at, _)| at).min()
    }

    /// Whether the backlog has something to send.
    pub(super) fn has_backlog(&self) -> bool {
        self.turns.first().is_some()
    }

    // --- out ----------------------------------------------------------------------

    /// One message of live readings: of the device that has been due longest,
    /// with as many others as fit. Empty if all of them turned out to be stale.
    pub(super) fn pack_live(&mut self, now: Mono, spec: &Spec) -> BTreeMap<DeviceId, Part> {
        let policy = &spec.cloud.post;
        if let Some((at, id)) = self.ready_alone.first()
            && self.ready.first().is_none_or(|(other, _)| at <= other)
        {
            return self.pack_alone(now, id, spec);
        }
        let devices = self.ready.front(policy.pack_devices.max(1));
        let (mut room, mut parts) = (Room::of(policy), BTreeMap::new());
        for id in devices {
            self.age(now, id, policy.linger);
            if !has(&self.live, id) {
                self.refresh(id, now);
                continue;
            }
            let mut part = Part::new();
            self.pick(id, true, spec, &mut room, parts.is_empty(), &mut part);
            if part.is_empty() {
                break;
            }
            self.ready.remove(id);
            let rest = first(&self.live, id).and_then(|seq| self.readings.get(&seq));
            let due = rest.map_or(now, |r| r.at.mono + policy.linger);
            self.refresh(id, due);
            parts.insert(id, part);
        }
        // Where a device has older values of other properties, they go along.
        for (id, part) in &mut parts {
            self.pick(*id, false, spec, &mut room, false, part);
            self.refresh(*id, now);
        }
        parts
    }

    /// One message of the backlog, in turns.
    pub(super) fn pack_backlog(&mut self, now: Mono, spec: &Spec) -> BTreeMap<DeviceId, Part> {
        let policy = &spec.cloud.post;
        let devices = self.turns.front(policy.pack_devices.max(1));
        let (mut room, mut parts) = (Room::of(policy), BTreeMap::new());
        for id in devices {
            let mut part = Part::new();
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

    /// One message of this device alone, which is free to have company again.
    fn pack_alone(&mut self, now: Mono, id: DeviceId, spec: &Spec) -> BTreeMap<DeviceId, Part> {
        self.alone.remove(&id);
        self.ready_alone.remove(id);
        self.age(now, id, spec.cloud.post.linger);
        let (mut part, mut room) = (Part::new(), Room::of(&spec.cloud.post));
        self.pick(id, true, spec, &mut room, true, &mut part);
        let is_first = part.is_empty();
        self.pick(id, false, spec, &mut room, is_first, &mut part);
        self.refresh(id, now);
        BTreeMap::from([(id, part)])
    }

    /// The oldest value of each property of one device that is not in `part` yet,
    /// as far as they fit; the first of a message always does.
    fn pick(
        &mut self,
        id: DeviceId,
        live: bool,
        spec: &Spec,
        room: &mut Room,
        mut is_first: bool,
        part: &mut Part,
    ) {
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
        for &(_, seq) in set.range((id, 0)..=(id, Seq::MAX)).take(LOOKED_AT) {
            if left.properties == 0 || points.len() >= known {
                break;
            }
            let Some(reading) = self.readings.get(&seq) else {
                continue;
            };
            // One value per property: the second must not overtake the first.
            if !points.insert(reading.point) {
                continue;
            }
            // One for the comma.
            let size = property(spec, reading).len() + 1;
            if size > left.bytes && !is_first {
                break;
            }
            is_first = false;
            left.bytes = left.bytes.saturating_sub(size);
            left.properties -= 1;
            seqs.push(seq);
        }
        if !seqs.is_empty() {
            *room = left;
        }
        for seq in seqs {
            set.remove(&(id, seq));
            part.extend(self.readings.remove(&seq).map(|r| (seq, r)));
        }
    }

    /// What has waited too long joins the backlog.
    fn age(&mut self, now: Mono, id: DeviceId, linger: Duration) {
        while let Some(seq) = first(&self.live, id)
            && let Some(reading) = self.readings.get(&seq)
            && is_stale(reading, now, linger)
        {
            self.live.remove(&(id, seq));
            self.backlog.insert((id, seq));
        }
    }

    /// Enters the device where it has something to send, due at `at`, or takes
    /// it out; one that is there keeps its time.
    fn refresh(&mut self, id: DeviceId, at: Mono) {
        let online = self.online.contains(&id);
        let live = online && has(&self.live, id);
        let backlog = online && has(&self.backlog, id);
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

fn first(set: &BTreeSet<(DeviceId, Seq)>, id: DeviceId) -> Option<Seq> {
    let mut own = set.range((id, 0)..=(id, Seq::MAX));
    own.next().map(|(_, seq)| *seq)
}

fn has(set: &BTreeSet<(DeviceId, Seq)>, id: DeviceId) -> bool {
    first(set, id).is_some()
}

/// One reading as it is sent.
pub(super) fn property(spec: &Spec, reading: &Reading) -> Properties {
    let point = spec
        .device(reading.device)
        .and_then(|d| d.profile.points.get(usize::from(reading.point)));
    point.map_or_else(Properties::default, |p| {
        Properties::one(&p.id, &reading.value, reading.at.wall)
    })
}

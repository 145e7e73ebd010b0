//! Readings on their way up: gathered, packed, sent, settled.
//!
//! Readings wait in one bounded queue; when it is full the oldest goes. They
//! leave in *parcels*: one message, for several devices (`pack/post`) or one
//! (`property/post`), each value with its own time, one value per property,
//! older first. A parcel is settled by the platform's reply and by nothing
//! else; unanswered it is sent again, which the times of its values make
//! harmless. A device has at most one parcel on its way, so its values arrive
//! in order. Only devices that are online are posted for: when one leaves, what
//! it has here waits for its return.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::base::{DeviceId, Mono, Now, Reading, Repeats, Rng, Wake};
use crate::spec::{PostPolicy, Spec};

use super::alink::{MESSAGE_BYTES, PACKED_BYTES, Properties, Reply};
use super::batch::Group;
use super::code::Verdict;
use super::diary::Diary;
use super::notice::Notice;
use super::pace::{Gate, MINUTE};
use super::pack::{Parcel, Seq};

/// After this many refusals in a row that blame nobody, a pack is taken apart
/// all the same.
const PATIENCE: u32 = 3;

/// A device's readings go by its own topic, where the platform demands a
/// session, at least this often.
const PROOF: Duration = Duration::from_secs(600);

/// The queue and everything on its way.
#[derive(Clone, Debug)]
pub(super) struct Posts {
    pub(super) spec: Arc<Spec>,
    next_seq: Seq,
    pub(super) queue: BTreeMap<Seq, Reading>,
    pub(super) by_device: BTreeSet<(DeviceId, Seq)>,
    /// Readings in parcels, waiting or under way.
    pub(super) in_parcels: usize,
    /// Devices that are online.
    pub(super) online: BTreeSet<DeviceId>,
    /// Devices with a parcel on its way or waiting for a retry.
    pub(super) busy: BTreeSet<DeviceId>,
    /// Devices that could be posted for, by when they should.
    pub(super) ready: BTreeSet<(Mono, DeviceId)>,
    ready_at: BTreeMap<DeviceId, Mono>,
    pub(super) retries: BTreeMap<(Mono, Seq), Parcel>,
    /// When a device's readings shall go by its own topic once more.
    proof_at: BTreeMap<DeviceId, Mono>,
    under_way: usize,
    gate: Gate,
    full: Repeats,
    unanswered: Repeats,
    trouble: Repeats,
    refused: BTreeMap<DeviceId, Repeats>,
    rng: Rng,
}

impl Posts {
    pub(super) fn new(spec: Arc<Spec>, rng: Rng) -> Self {
        Posts {
            spec,
            next_seq: 0,
            queue: BTreeMap::new(),
            by_device: BTreeSet::new(),
            in_parcels: 0,
            online: BTreeSet::new(),
            busy: BTreeSet::new(),
            ready: BTreeSet::new(),
            ready_at: BTreeMap::new(),
            retries: BTreeMap::new(),
            proof_at: BTreeMap::new(),
            under_way: 0,
            gate: Gate::new(MINUTE, MINUTE * 10),
            full: Repeats::default(),
            unanswered: Repeats::default(),
            trouble: Repeats::default(),
            refused: BTreeMap::new(),
            rng,
        }
    }

    /// A reading to be delivered.
    pub(super) fn put(&mut self, now: Now, reading: Reading, diary: &mut Diary) {
        let device = self.spec.device(reading.device);
        let device = device.filter(|_| self.spec.has(reading.device));
        let Some(point) = device.and_then(|d| d.profile.points.get(usize::from(reading.point)))
        else {
            diary.counters.dropped_unknown += 1;
            return;
        };
        let one = Properties::one(&point.id, &reading.value, reading.at.wall);
        // One for the comma, as in `pick`.
        let bytes = MESSAGE_BYTES + PACKED_BYTES + one.len() + 1;
        if bytes > self.policy().message_bytes {
            diary.counters.dropped_too_large += 1;
            if self
                .refused
                .entry(reading.device)
                .or_default()
                .hit(now.mono, 1)
                .is_some()
            {
                diary.tell(Notice::TooLarge {
                    device: reading.device,
                    property: point.id.clone(),
                    bytes,
                });
            }
            return;
        }
        diary.counters.readings += 1;
        let seq = self.next_seq;
        self.next_seq += 1;
        self.by_device.insert((reading.device, seq));
        let device = reading.device;
        self.queue.insert(seq, reading);
        while self.len() > self.policy().queue.max(1)
            && let Some((seq, oldest)) = self.queue.pop_first()
        {
            self.by_device.remove(&(oldest.device, seq));
            self.refresh(oldest.device, now.mono);
            diary.counters.dropped_queue_full += 1;
            if let Some(dropped) = self.full.hit(now.mono, 1) {
                diary.tell(Notice::QueueFull { dropped });
            }
        }
        self.refresh(device, now.mono + self.policy().linger);
    }

    /// The device is online: what waits for it may go.
    pub(super) fn came(&mut self, now: Mono, id: DeviceId) {
        self.online.insert(id);
        self.proved(now, id);
        self.refresh(id, now);
    }

    /// The platform has just shown that the device has its session. A pack does
    /// not: it may be accepted for a device without one, and then a lost notice
    /// of the session's end would never be found out.
    fn proved(&mut self, now: Mono, id: DeviceId) {
        let at = now + self.rng.jitter(PROOF);
        self.proof_at.insert(id, at);
    }

    /// Whether it is time for the device to prove its session.
    pub(super) fn wants_proof(&self, now: Mono, id: DeviceId) -> bool {
        self.proof_at.get(&id).is_some_and(|at| *at <= now)
    }

    /// The device is no longer online.
    pub(super) fn left(&mut self, now: Mono, id: DeviceId) {
        self.online.remove(&id);
        self.refresh(id, now);
    }

    /// Do not wait for company for this device.
    pub(super) fn hurry(&mut self, now: Mono, id: DeviceId) {
        self.unready(id);
        self.refresh(id, now);
    }

    /// Do not wait for company for anybody.
    pub(super) fn hurry_all(&mut self, now: Mono) {
        for id in self.online.clone() {
            self.hurry(now, id);
        }
    }

    /// Whether anything is left that could still be delivered.
    pub(super) fn has_last_readings(&self) -> bool {
        self.in_parcels > 0 || self.online.iter().any(|id| self.is_waiting(*id))
    }

    /// The connection is gone; everything on its way goes back to the queue.
    pub(super) fn link_down(&mut self, now: Mono, under_way: impl Iterator<Item = Parcel>) {
        let retries = std::mem::take(&mut self.retries);
        for parcel in retries.into_values().chain(under_way) {
            self.unpack(now, parcel);
        }
        self.under_way = 0;
    }

    /// Whether readings of this device have not been sent at all.
    pub(super) fn is_waiting(&self, id: DeviceId) -> bool {
        self.by_device
            .range((id, 0)..)
            .next()
            .is_some_and(|(d, _)| *d == id)
    }

    /// Readings not delivered yet.
    pub(super) fn len(&self) -> usize {
        self.queue.len() + self.in_parcels
    }

    /// When there is something to send.
    pub(super) fn due(&self) -> Option<Wake> {
        if self.under_way >= self.policy().in_flight.max(1) {
            return None;
        }
        let retry = self.retries.keys().next().map(|(at, _)| *at);
        let ready = self.ready.first().map(|(at, _)| {
            // More than one message holds: the first of them need not wait.
            if self.ready.len() > self.pack_devices() {
                Mono::START
            } else {
                *at
            }
        });
        let at = [retry, ready].into_iter().flatten().min()?;
        let open = self.gate.opens_at();
        Some(if open > at {
            Wake::new(open, "gate opens for posts")
        } else {
            Wake::new(at, "post")
        })
    }

    /// The next parcel; its readings are under way from now on. `None` may also
    /// mean that a parcel was put back because its devices have left.
    pub(super) fn take(&mut self, now: Mono) -> Option<Parcel> {
        let retry = self
            .retries
            .keys()
            .next()
            .copied()
            .filter(|(at, _)| *at <= now);
        let parcel = match retry.and_then(|key| self.retries.remove(&key)) {
            Some(parcel) => self.without_absent(now, parcel),
            None => self.pack(now),
        };
        if parcel.readings.is_empty() {
            return None;
        }
        self.under_way += 1;
        Some(parcel)
    }

    /// The platform answered; `named` are the devices in its `data`. Returns
    /// devices whose session, the answer says, is gone.
    pub(super) fn answered(
        &mut self,
        now: Mono,
        parcel: Parcel,
        reply: &Reply,
        named: &[DeviceId],
        diary: &mut Diary,
    ) -> Vec<DeviceId> {
        self.under_way = self.under_way.saturating_sub(1);
        self.unanswered.over();
        let verdict = reply.code.verdict();
        if verdict == Verdict::Accepted {
            self.delivered(now, parcel, diary);
            return Vec::new();
        }
        diary.counters.refused += 1;
        match verdict {
            Verdict::Throttled => {
                diary.counters.throttled += 1;
                let was = self.gate.opens_at();
                let wait = self.gate.close(now, &mut self.rng);
                if self.gate.opens_at() != was {
                    diary.tell(Notice::Throttled { what: "post", wait });
                }
                self.retry(parcel, now);
                return Vec::new();
            }
            Verdict::Trouble => {
                if let Some(times) = self.trouble.hit(now, 1) {
                    diary.tell(Notice::Trouble {
                        code: reply.code,
                        message: reply.message.clone(),
                        times,
                    });
                }
                if parcel.readings.len() == 1 || parcel.failures + 1 < PATIENCE {
                    self.later(now, parcel);
                    return Vec::new();
                }
            }
            _ => {}
        }
        let mut parcel = parcel;
        let members = parcel.readings.keys().copied().collect();
        let split = Group { members }.refused(named);
        for group in split.next {
            let readings = group
                .members
                .into_iter()
                .filter_map(|id| parcel.readings.remove_entry(&id))
                .collect();
            let part = self.parcel(readings);
            self.retry(part, now);
        }
        let mut gone = Vec::new();
        for id in split.culprits {
            let Some(readings) = parcel.readings.remove(&id) else {
                continue;
            };
            match verdict {
                // The device cannot be online: keep what it said, and see to
                // its session.
                Verdict::NoSession | Verdict::Device { .. } => {
                    self.put_back(now, id, readings);
                    gone.push(id);
                }
                _ => {
                    let n = readings.len();
                    self.in_parcels -= n;
                    diary.counters.dropped_refused += n as u64;
                    if let Some(dropped) = self.refused.entry(id).or_default().hit(now, n as u64) {
                        diary.tell(Notice::PostRefused {
                            device: id,
                            code: reply.code,
                            message: reply.message.clone(),
                            dropped,
                        });
                    }
                    self.free(now, id);
                }
            }
        }
        gone
    }

    fn delivered(&mut self, now: Mono, parcel: Parcel, diary: &mut Diary) {
        self.gate.passed();
        self.trouble.over();
        let alone = parcel.readings.len() == 1;
        for (id, readings) in parcel.readings {
            if alone {
                self.proved(now, id);
            }
            diary.counters.delivered += readings.len() as u64;
            self.in_parcels -= readings.len();
            self.refused.remove(&id);
            self.free(now, id);
        }
    }

    /// An answer came after its deadline. If it accepts what still waits to be
    /// sent again, that is delivered.
    pub(super) fn late(&mut self, now: Mono, parcel: &Parcel, reply: &Reply, diary: &mut Diary) {
        if reply.code.verdict() != Verdict::Accepted {
            return;
        }
        let mut waiting = self.retries.iter();
        let same = waiting.find(|(_, p)| p.readings == parcel.readings);
        if let Some(key) = same.map(|(key, _)| *key)
            && let Some(parcel) = self.retries.remove(&key)
        {
            self.delivered(now, parcel, diary);
        }
    }

    /// No answer came in time.
    pub(super) fn lost(&mut self, now: Mono, parcel: Parcel, diary: &mut Diary) {
        self.under_way = self.under_way.saturating_sub(1);
        diary.counters.unanswered += 1;
        diary.counters.resent += parcel
            .readings
            .values()
            .map(|r| r.len() as u64)
            .sum::<u64>();
        if let Some(times) = self.unanswered.hit(now, 1) {
            diary.tell(Notice::Unanswered {
                what: "post",
                times,
            });
        }
        self.later(now, parcel);
    }

    // --- back to the queue --------------------------------------------------

    fn later(&mut self, now: Mono, mut parcel: Parcel) {
        parcel.failures += 1;
        let wait = parcel.backoff.0.failed(now, &mut self.rng);
        self.retry(parcel, now + wait);
    }

    fn retry(&mut self, parcel: Parcel, at: Mono) {
        if !parcel.readings.is_empty() {
            self.next_seq += 1;
            self.retries.insert((at, self.next_seq), parcel);
        }
    }

    fn without_absent(&mut self, now: Mono, parcel: Parcel) -> Parcel {
        let mut parcel = parcel;
        let absent: Vec<DeviceId> = parcel
            .readings
            .iter()
            .filter(|(id, readings)| readings.is_empty() || !self.online.contains(id))
            .map(|(id, _)| *id)
            .collect();
        for id in absent {
            if let Some(readings) = parcel.readings.remove(&id) {
                self.put_back(now, id, readings);
            }
        }
        parcel
    }

    pub(super) fn unpack(&mut self, now: Mono, parcel: Parcel) {
        for (id, readings) in parcel.readings {
            self.put_back(now, id, readings);
        }
    }

    fn put_back(&mut self, now: Mono, id: DeviceId, readings: Vec<(Seq, Reading)>) {
        self.in_parcels -= readings.len();
        for (seq, reading) in readings {
            self.by_device.insert((id, seq));
            self.queue.insert(seq, reading);
        }
        self.free(now, id);
    }

    /// The device's parcel is settled; what has gathered since goes at once.
    fn free(&mut self, now: Mono, id: DeviceId) {
        self.busy.remove(&id);
        self.refresh(id, now);
    }

    /// Enters the device among the ready ones, due at `at`, or takes it out.
    /// One that is ready keeps its time.
    pub(super) fn refresh(&mut self, id: DeviceId, at: Mono) {
        let ready = self.online.contains(&id) && !self.busy.contains(&id) && self.is_waiting(id);
        if !ready {
            self.unready(id);
        } else if let Entry::Vacant(entry) = self.ready_at.entry(id) {
            entry.insert(at);
            self.ready.insert((at, id));
        }
    }

    pub(super) fn unready(&mut self, id: DeviceId) {
        if let Some(at) = self.ready_at.remove(&id) {
            self.ready.remove(&(at, id));
        }
    }

    pub(super) fn pack_devices(&self) -> usize {
        self.policy().pack_devices.max(1)
    }

    pub(super) fn policy(&self) -> &PostPolicy {
        &self.spec.cloud.post
    }
}

//! Readings on their way to the platform: gathered, packed, sent, settled.
//!
//! A reading is in one of four states:
//! - *waiting* ([`waiting`]): live, or in the backlog. When waiting readings and those in
//!   batches are too many, the oldest that is not under way is dropped.
//! - in a *batch* ([`batch`]), which has been sent and is not settled: under way until its
//!   reply is overdue ([`transmissions`]), then waiting to be sent again.
//! - accepted *provisionally* ([`provisional`]): a pack's 200 counts a little later, since
//!   the notice that a session is gone may come beside it.
//! - settled: delivered, refused or dropped, and counted.
//!
//! A reply to any transmission of a batch settles it, whenever the reply comes. Values carry
//! their times, so a repeat is harmless and several batches of one device may be under way:
//! how much is delivered depends on the pace of messages and not on how long replies take.
//! Live readings go first; batches that are sent again share the pace with them, and the
//! backlog gets the rest, and a tenth at the least.
//!
//! When a device's session is lost, all its readings that are not settled go back to the
//! backlog. When the connection ends, the unsettled readings of all devices go back. Which
//! sessions are in doubt, and prove that they are alive, is in [`session_probes`].

pub(crate) mod batch;
mod message;
mod provisional;
pub(crate) mod session_probes;
mod stored_positions;
pub(crate) mod transmissions;
mod waiting;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::base::{
    Backoff, DeviceId, Mono, Now, Reading, RequestId, Rng, StorePosition, Value, Wake,
};
use crate::spec::{PostPolicy, Spec};

use crate::cloud::alink::events::CloudLogEvent;
use crate::cloud::alink::events::outbox::Outbox;
use crate::cloud::alink::requests::isolation::{RequestGroup, Split};
use crate::cloud::alink::requests::pace::{MINUTE, Slowdown};
use crate::cloud::alink::wire::code::CodeMeaning;
use crate::cloud::alink::wire::payload::{MESSAGE_BYTES, PACKED_BYTES, Reply};
use batch::{Batch, Batches};
use provisional::Provisional;
use session_probes::SessionProbes;
use stored_positions::StoredPositions;
use transmissions::{ReplyMatch, Transmission, Transmissions};
use waiting::{DeviceReadings, WaitingReadings};

pub(crate) use batch::BatchId;
pub(crate) use waiting::{ArrivalNumber, LIVE_FOR};

/// After this many refusals in a row that blame no device, a pack is taken apart all the
/// same, if others have been accepted meanwhile.
const SPLIT_AFTER_REFUSALS: u32 = 3;

/// How often in a row a batch is sent again at once; after that, growing waits precede each
/// transmission.
const QUICK: usize = 3;

/// The backlog gets at least one message in this many.
const BACKLOG_SHARE: u32 = 10;

/// Messages sent together arrive no further apart than this, if no measurement is known.
const APART: Duration = Duration::from_secs(1);
/// Messages sent together are never assumed to arrive closer together than this.
const CLOSEST: Duration = Duration::from_millis(100);
/// Where messages are lost, the notice of a lost session may be lost too, and only the
/// reply to one of the next packs brings it.
const LOSSY: Duration = Duration::from_secs(3);

/// How long a notice about an earlier session is expected at the most.
const LONGEST_ECHO: Duration = Duration::from_secs(60);

/// Besides the queue, a share of readings of one in this many of its size may be accepted
/// and not yet counted.
const PROVISIONAL: usize = 4;

/// Larger values are not kept to prove a session with.
const KEPT_BYTES: usize = 256;

/// What a reply to a post belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PostReply {
    /// To a post that was not settled; these devices have no session.
    Taken(Vec<DeviceId>),
    /// To a post that is settled: the reply is very late, or the second one.
    Late,
    /// To none of our posts.
    Unknown,
}

/// The queue of readings, and the batches on their way.
#[derive(Clone, Debug)]
pub(crate) struct PublishQueue {
    spec: Arc<Spec>,
    waiting: WaitingReadings,
    batches: Batches,
    transmissions: Transmissions,
    provisional: Provisional,
    probes: SessionProbes,
    stored: StoredPositions,
    /// Until when the platform may still send notices about a device's previous session,
    /// which was lost with posts under way.
    echoes: BTreeMap<DeviceId, Mono>,
    slowdown: Slowdown,
    /// When a post was last answered, and when one was last accepted.
    answered: Mono,
    accepted: Mono,
    /// Whether no post has been answered for as long as the wait for a reply.
    is_silent: bool,
    /// How many refusals in a row blamed no device.
    troubles: u32,
    /// Whether the last message was of live readings.
    was_live: bool,
    /// How many messages were sent since the last one of the backlog.
    since_backlog: u32,
    rng: Rng,
}

impl PublishQueue {
    pub(crate) fn new(spec: Arc<Spec>, rng: Rng) -> Self {
        PublishQueue {
            spec,
            waiting: WaitingReadings::new(),
            batches: Batches::new(),
            transmissions: Transmissions::new(),
            provisional: Provisional::new(),
            probes: SessionProbes::new(),
            stored: StoredPositions::default(),
            echoes: BTreeMap::new(),
            slowdown: Slowdown::default(),
            answered: Mono::START,
            accepted: Mono::START,
            is_silent: false,
            troubles: 0,
            was_live: false,
            since_backlog: 0,
            rng,
        }
    }

    /// Takes a reading to be delivered; or one that is in the store already, at this position,
    /// and has been counted.
    pub(crate) fn put(
        &mut self,
        now: Now,
        reading: Reading,
        stored: Option<StorePosition>,
        outbox: &mut Outbox,
    ) {
        let device = self.spec.device(reading.device);
        let device = device.filter(|_| self.spec.has(reading.device));
        let Some(point) = device.and_then(|d| d.profile.points.get(usize::from(reading.point)))
        else {
            outbox.count().dropped_unknown += 1;
            return;
        };
        // One byte more for the comma, as when packing.
        let size = waiting::property(&self.spec, &reading).len() + 1;
        let bytes = MESSAGE_BYTES + PACKED_BYTES + size;
        if bytes > self.policy().message_bytes {
            outbox.count().dropped_too_large += 1;
            let too_large = CloudLogEvent::TooLarge {
                device: reading.device,
                property: point.id.clone(),
                bytes,
            };
            outbox.often(now.mono, too_large);
            return;
        }
        if stored.is_none() {
            outbox.count().readings += 1;
        }
        let arrival = self.waiting.put(now.mono, reading, self.policy().linger);
        if let Some(at) = stored {
            self.stored.add(arrival, at);
        }
        while self.waiting.len() + self.batches.readings() > self.policy().queue.max(1) {
            self.make_room(now.mono, outbox);
        }
    }

    /// Drops one reading, or one batch: the oldest that is not under way.
    fn make_room(&mut self, now: Mono, outbox: &mut Outbox) {
        let waiting = self.waiting.oldest();
        let dropped = match self.batches.oldest_idle() {
            Some((arrival, id)) if waiting.is_none_or(|w| arrival < w) => {
                let batch = self.end(id);
                batch.map_or_else(Vec::new, |batch| batch.numbers().collect())
            }
            _ => self.waiting.drop_oldest(now).into_iter().collect(),
        };
        // What is in the store as well is delivered from there.
        let dropped = dropped
            .into_iter()
            .filter(|arrival| !self.stored.release(*arrival));
        let dropped = dropped.count() as u64;
        if dropped == 0 {
            return;
        }
        outbox.count().dropped_queue_full += dropped;
        outbox.often(now, CloudLogEvent::QueueFull { dropped });
    }

    // --- sessions -----------------------------------------------------------------

    /// Takes note that the device is online: its waiting readings may go.
    pub(crate) fn on_session_begun(&mut self, now: Mono, id: DeviceId) {
        self.probes.proved(now, id);
        let linger = self.policy().linger;
        self.waiting.on_session_begun(now, id, linger);
    }

    /// Takes note that the device is no longer online. Its posts under way were sent
    /// before.
    pub(crate) fn left(&mut self, now: Mono, id: DeviceId) {
        self.probes.left(id);
        self.waiting.left(now, id);
    }

    /// Takes note that the device's session was lost, and that it is not known since when:
    /// readings that are not settled are sent again, and answers to their last transmission
    /// count no more.
    pub(crate) fn session_lost(&mut self, now: Mono, id: DeviceId) {
        let batches = self.batches.of(id);
        if !batches.is_empty() {
            let apart = self
                .transmissions
                .spread()
                .unwrap_or(APART)
                .min(LONGEST_ECHO);
            self.echoes.insert(id, now + apart.max(CLOSEST));
        }
        for batch in batches {
            let part = self.batches.remove_part(batch, id);
            self.waiting.take_back(now, id, part);
            if self.batches.is_empty(batch) {
                self.end(batch);
            }
        }
        let part = self.provisional.remove_device(id);
        self.waiting.take_back(now, id, part);
    }

    /// Returns whether a notice that the device has no session may be about the previous session:
    /// each post that was under way when that session ended brings such a notice.
    pub(crate) fn is_echo(&mut self, now: Mono, id: DeviceId) -> bool {
        let is_echo = self.echoes.get(&id).is_some_and(|until| now < *until);
        if !is_echo {
            self.echoes.remove(&id);
        }
        is_echo
    }

    /// Makes all other devices prove their sessions: one device was found without its
    /// session although the platform had not said so.
    pub(crate) fn doubt_others(&mut self, now: Mono) {
        self.probes.doubt_others(now);
    }

    /// Takes note that the connection is gone; all readings that are not settled wait
    /// again.
    pub(crate) fn link_down(&mut self, now: Mono) {
        for id in self.batches.all() {
            self.unpack(now, id);
        }
        while let Some((id, part)) = self.provisional.pop() {
            self.waiting.take_back(now, id, part);
        }
        self.transmissions.link_down();
        self.is_silent = false;
        self.troubles = 0;
    }

    // --- wishes -------------------------------------------------------------------

    /// Sends this device's readings without waiting for other readings for their message.
    pub(crate) fn send_without_waiting(&mut self, now: Mono, id: DeviceId) {
        self.waiting.hurry(now, id);
    }

    /// Sends all readings without waiting for other readings for their message.
    pub(crate) fn send_all_without_waiting(&mut self, now: Mono) {
        self.waiting.all_due_now(now);
    }

    /// Returns whether any reading is left that could still be delivered.
    pub(crate) fn has_last_readings(&self) -> bool {
        self.batches.readings() > 0 || self.waiting.has_sendable()
    }

    /// Counts accepted readings as delivered at once, because there is no later.
    pub(crate) fn count_accepted(&mut self, outbox: &mut Outbox) {
        while let Some((_, part)) = self.provisional.pop() {
            self.delivered(&part, outbox);
        }
    }

    /// Returns whether readings of this device wait to be sent.
    pub(crate) fn is_waiting(&self, id: DeviceId) -> bool {
        self.waiting.has(id)
    }

    /// Returns whether readings of this device were sent and are not settled.
    pub(crate) fn is_unsettled(&self, id: DeviceId) -> bool {
        self.batches.has(id) || self.provisional.has(id)
    }

    /// Returns how many readings are not delivered yet.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len() + self.batches.readings() + self.provisional.readings()
    }

    // --- the store ----------------------------------------------------------------

    /// Keeps readings back that are no longer live, or lets them go: older values of their
    /// devices are in the store and go first.
    pub(crate) fn hold_backlog(&mut self, now: Mono, holds: bool) {
        self.waiting.hold_backlog(now, holds);
    }

    /// Returns when the oldest reading was read that waits to be sent, or when the oldest
    /// batch was first sent that waits to be sent again.
    pub(crate) fn oldest_read_at(&self) -> Option<Mono> {
        let waiting = self.waiting.oldest_read_at();
        let batch = self.batches.oldest_idle_since();
        waiting.into_iter().chain(batch).min()
    }

    /// Takes out up to `most` of the oldest readings that were read before this time, for
    /// the store; returns those that are not in it. Batches that wait to be sent again are
    /// taken apart for it. With `in_order`, what is newer than a reading of its device in
    /// another batch stays until that is taken apart.
    pub(crate) fn take_oldest(
        &mut self,
        now: Mono,
        before: Mono,
        most: usize,
        in_order: bool,
    ) -> Vec<(ArrivalNumber, Reading)> {
        for id in self.batches.idle() {
            if self.batches.get(id).is_some_and(|b| b.since() <= before) {
                self.unpack(now, id);
            }
        }
        let older = in_order.then(|| self.batches.oldest_numbers());
        let older = older.unwrap_or_default();
        let mut taken = self.waiting.take_oldest(now, before, most, &older);
        taken.retain(|(arrival, _)| !self.stored.release(*arrival));
        taken
    }

    /// Takes out all readings that are not settled, for the store, whatever has become of
    /// their posts; returns those that are not in it. Accepted readings count as delivered.
    pub(crate) fn take_all(
        &mut self,
        now: Mono,
        outbox: &mut Outbox,
    ) -> Vec<(ArrivalNumber, Reading)> {
        self.count_accepted(outbox);
        for id in self.batches.all() {
            self.unpack(now, id);
        }
        let all = self.waiting.len();
        let end = Mono::from_micros(u64::MAX);
        let mut taken = self.waiting.take_oldest(now, end, all, &BTreeMap::new());
        taken.retain(|(arrival, _)| !self.stored.release(*arrival));
        taken
    }

    /// Returns whether the value at this position of the store is in memory, too, and may be on its
    /// way.
    pub(crate) fn has_stored(&self, at: StorePosition) -> bool {
        self.stored.has(at)
    }

    /// Returns the positions in the store whose values were delivered.
    pub(crate) fn take_settled(&mut self) -> Vec<StorePosition> {
        self.stored.take_settled()
    }

    /// Returns the positions in the store whose values the platform has refused for good.
    pub(crate) fn take_refused(&mut self) -> Vec<StorePosition> {
        self.stored.take_refused()
    }

    /// Returns the positions in the store whose values are no longer in memory, and are to be
    /// delivered from there.
    pub(crate) fn take_released(&mut self) -> Vec<StorePosition> {
        self.stored.take_released()
    }

    /// Leaves to the store what has been dropped from memory.
    fn release_dropped(&mut self) {
        if self.stored.is_empty() {
            return;
        }
        let here: BTreeSet<ArrivalNumber> = self
            .waiting
            .numbers()
            .chain(self.batches.numbers())
            .chain(self.provisional.numbers())
            .collect();
        self.stored.release_all_but(&here);
    }

    /// Takes back a reading that could not be stored.
    pub(crate) fn put_back(&mut self, now: Mono, number: ArrivalNumber, reading: Reading) {
        let device = reading.device;
        self.waiting.take_back(now, device, vec![(number, reading)]);
    }

    // --- another configuration ----------------------------------------------------

    /// Uses this installation from now on.
    pub(crate) fn respec(&mut self, spec: Arc<Spec>) {
        self.spec = spec;
    }

    /// Takes back the readings that wait to be sent again, so that new limits apply to
    /// them.
    pub(crate) fn repack(&mut self, now: Mono) {
        for id in self.batches.idle() {
            self.unpack(now, id);
        }
    }

    /// Keeps those readings of a device for which the function is true, wherever they are;
    /// returns how many were dropped.
    pub(crate) fn retain(
        &mut self,
        now: Mono,
        id: DeviceId,
        keep: impl Fn(&mut Reading) -> bool,
    ) -> u64 {
        let mut dropped = self.waiting.retain(now, id, &keep);
        for batch in self.batches.of(id) {
            dropped += self.batches.retain(batch, id, &keep);
            if self.batches.is_empty(batch) {
                self.end(batch);
            }
        }
        self.probes.retain(id, &keep);
        dropped += self.provisional.retain(id, &keep);
        self.release_dropped();
        dropped
    }

    /// Drops this device's waiting readings; returns how many.
    pub(crate) fn forget(&mut self, now: Mono, id: DeviceId) -> u64 {
        self.probes.forget(id);
        self.echoes.remove(&id);
        let dropped = self.waiting.forget(now, id);
        self.release_dropped();
        dropped
    }

    // --- sending ------------------------------------------------------------------

    /// Returns when there is something to send.
    pub(crate) fn due(&self) -> Option<Wake> {
        if self.transmissions.open() >= self.policy().in_flight.max(1) {
            return None;
        }
        let backlog = self.waiting.has_backlog().then_some(Mono::START);
        let all = [self.live_due(), self.batches.again_due(), backlog];
        let at = all.into_iter().flatten().min()?;
        let ready = self.slowdown.ready_at();
        Some(if ready > at {
            Wake::new(ready, "posts are slowed down")
        } else {
            Wake::new(at, "post")
        })
    }

    /// Returns when live readings are due. While nothing else waits for the pace, a message
    /// that is full of devices need not wait for more values.
    fn live_due(&self) -> Option<Mono> {
        let eager = !self.waiting.has_backlog() && self.batches.again_due().is_none();
        self.waiting
            .live_due(eager, self.policy().pack_devices.max(1))
    }

    /// Returns the batch to be sent next. `None` may also mean that a batch was due and
    /// turned out to have nothing to send.
    pub(crate) fn take(&mut self, now: Mono) -> Option<BatchId> {
        self.ask_probes(now);
        let backlog = self.waiting.has_backlog();
        let live = self.live_due().is_some_and(|at| at <= now);
        let again = self.batches.due(now);
        let starved = self.since_backlog + 1 >= BACKLOG_SHARE;
        if backlog && (starved || !live && again.is_none()) {
            self.since_backlog = 0;
            let spec = Arc::clone(&self.spec);
            let parts = self.waiting.pack_backlog(now, &spec);
            return self.batch(now, parts);
        }
        self.since_backlog += u32::from(backlog);
        if let Some(id) = again.filter(|_| !live || self.was_live) {
            self.was_live = false;
            return self.without_absent(now, id);
        }
        self.was_live = true;
        let spec = Arc::clone(&self.spec);
        let parts = self.waiting.pack_live(now, &spec);
        self.batch(now, parts)
    }

    fn batch(&mut self, now: Mono, parts: BTreeMap<DeviceId, DeviceReadings>) -> Option<BatchId> {
        let parts: BTreeMap<_, _> = parts.into_iter().filter(|(_, p)| !p.is_empty()).collect();
        if parts.is_empty() {
            return None;
        }
        let batch = Batch::new(now, parts, false, self.backoff());
        Some(self.batches.add(batch, now))
    }

    /// Takes devices that are no longer online out of a batch that is to be sent again.
    fn without_absent(&mut self, now: Mono, id: BatchId) -> Option<BatchId> {
        let devices = self.batches.get(id)?.parts().keys();
        let absent = devices.filter(|d| !self.waiting.is_online(**d));
        for device in absent.copied().collect::<Vec<_>>() {
            let part = self.batches.remove_part(id, device);
            self.waiting.take_back(now, device, part);
        }
        if self.batches.is_empty(id) {
            self.end(id);
            return None;
        }
        Some(id)
    }

    /// Returns the only device in a batch, if there is only one.
    pub(crate) fn alone(&self, id: BatchId) -> Option<DeviceId> {
        self.batches.get(id).and_then(Batch::alone)
    }

    /// Takes note that a batch is on its way. `hint` is how long replies to other requests
    /// take at most.
    pub(crate) fn sent(
        &mut self,
        now: Mono,
        ask: RequestId,
        id: BatchId,
        hint: Option<Duration>,
        outbox: &mut Outbox,
    ) {
        let Some(batch) = self.batches.get(id) else {
            return;
        };
        let (alone, count) = (batch.alone(), batch.count() as u64);
        let one = Transmission {
            batch: id,
            sent: now,
            alone,
        };
        self.transmissions.sent(ask, one, hint);
        let (forgotten, before) = self.batches.sent(id, ask);
        if let Some(ask) = forgotten {
            self.transmissions.forget(ask);
        }
        if before {
            outbox.count().resent += count;
        }
        if let Some(device) = alone {
            self.probes.sent(now, device);
        }
        let per_second = self.policy().messages_per_second;
        self.slowdown.take(now, per_second);
    }

    // --- replies ---------------------------------------------------------------------

    /// Takes the platform's reply, by this device's own topic or by the gateway's; `named`
    /// are the devices in its `data`.
    pub(crate) fn answered(
        &mut self,
        now: Mono,
        ask: RequestId,
        alone: Option<DeviceId>,
        reply: &Reply,
        named: &[DeviceId],
        outbox: &mut Outbox,
    ) -> PostReply {
        let (one, is_late) = match self.transmissions.answered(now, ask, alone) {
            ReplyMatch::InTime(one) => (one, false),
            ReplyMatch::Late(one) => (one, true),
            ReplyMatch::Settled => return PostReply::Late,
            ReplyMatch::Unknown => return PostReply::Unknown,
        };
        if is_late {
            outbox.count().late_replies += 1;
        } else if alone.is_none_or(|id| !self.probes.is_in_doubt(id)) {
            self.transmissions.count(now, alone.is_some(), false);
        }
        if let Some(id) = alone {
            self.probes.heard(id);
        }
        self.answered = now;
        if std::mem::take(&mut self.is_silent) {
            self.batches.hurry(now);
        }
        if reply.code.meaning_kind() == CodeMeaning::Accepted {
            self.settle(now, one, outbox);
            return PostReply::Taken(Vec::new());
        }
        outbox.count().refused += 1;
        // A batch that was sent again since gets a reply of its own.
        let is_moot = self.batches.is_under_way(one.batch) && is_late;
        PostReply::Taken(self.refused(now, one, is_moot, reply, named, outbox))
    }

    /// Takes note that the batch is accepted.
    fn settle(&mut self, now: Mono, one: Transmission, outbox: &mut Outbox) {
        self.accepted = now;
        if std::mem::take(&mut self.troubles) >= SPLIT_AFTER_REFUSALS {
            self.batches.hurry(now);
        }
        if let Some(id) = one.alone
            && self.waiting.is_online(id)
        {
            self.probes.proved(now, id);
            self.waiting.join(now, id);
        }
        let Some(batch) = self.end(one.batch).filter(|p| !p.is_copy()) else {
            return;
        };
        let until = now + self.apart();
        for (id, part) in batch.into_parts() {
            if one.alone.is_some() {
                self.delivered(&part, outbox);
            } else {
                self.provisional.add(until, id, part);
            }
        }
        // The number is bounded: accepted readings are not dropped, but count as delivered
        // sooner.
        while self.provisional.readings() > self.policy().queue / PROVISIONAL
            && let Some((_, part)) = self.provisional.pop()
        {
            self.delivered(&part, outbox);
        }
    }

    /// Returns how much later than the reply the notice may come that a session is gone.
    fn apart(&self) -> Duration {
        let usual = self.policy().reply_timeout;
        let apart = self.transmissions.spread().unwrap_or(APART);
        let apart = apart.clamp(CLOSEST, usual.max(CLOSEST));
        if self.transmissions.is_lossy() {
            apart.max(LOSSY)
        } else {
            apart
        }
    }

    fn delivered(&mut self, part: &DeviceReadings, outbox: &mut Outbox) {
        outbox.count().delivered += part.len() as u64;
        for (arrival, _) in part {
            self.stored.settle(*arrival);
        }
        let small = |r: &&Reading| !matches!(&r.value, Value::Text(t) if t.len() > KEPT_BYTES);
        if let Some(last) = part.iter().map(|(_, r)| r).rfind(small) {
            self.probes.accepted(last);
        }
    }

    /// Takes note that the batch is refused. Returns the devices that have no session.
    fn refused(
        &mut self,
        now: Mono,
        one: Transmission,
        is_moot: bool,
        reply: &Reply,
        named: &[DeviceId],
        outbox: &mut Outbox,
    ) -> Vec<DeviceId> {
        let verdict = reply.code.meaning_kind();
        let per_second = self.policy().messages_per_second;
        match verdict {
            CodeMeaning::Throttled => {
                outbox.count().throttled += 1;
                if self.slowdown.refused(now, one.sent, per_second) {
                    let wait = MINUTE;
                    outbox.often(now, CloudLogEvent::Throttled { what: "post", wait });
                }
                if !is_moot {
                    // Other batches may be accepted sooner; this one is not the first to be
                    // sent.
                    let wait = self.rng.jitter(self.spec.cloud.session.retry_floor);
                    self.batches.put_off(one.batch, now + wait);
                }
                return Vec::new();
            }
            CodeMeaning::Trouble => {
                let trouble = CloudLogEvent::Trouble {
                    code: reply.code,
                    message: reply.message.clone(),
                    times: 1,
                };
                outbox.often(now, trouble);
                self.troubles += 1;
                if self.troubles >= SPLIT_AFTER_REFUSALS {
                    self.slowdown.refused(now, one.sent, per_second);
                }
                if !is_moot && !self.is_to_be_searched(one.batch) {
                    self.later(now, one.batch);
                    return Vec::new();
                }
            }
            _ => {}
        }
        if is_moot {
            return Vec::new();
        }
        let Some(batch) = self.end(one.batch) else {
            return Vec::new();
        };
        let is_copy = batch.is_copy();
        let mut parts = batch.into_parts();
        let members: Vec<DeviceId> = parts.keys().copied().collect();
        let split = match members[..] {
            // The last device of a pack, the others having lost their sessions since it was
            // sent: the refusal may have been about those.
            [last] if one.alone.is_none() && !named.contains(&last) => Split {
                culprits: Vec::new(),
                next: vec![RequestGroup { members }],
            },
            _ => RequestGroup { members }.refused(named),
        };
        for group in split.next {
            let few = group.members.into_iter();
            let few = few.filter_map(|id| parts.remove_entry(&id)).collect();
            let batch = Batch::new(now, few, is_copy, self.backoff());
            self.batches.add(batch, now);
        }
        let mut gone = Vec::new();
        for id in split.culprits {
            let Some(part) = parts.remove(&id) else {
                continue;
            };
            match verdict {
                // The device cannot be online: its readings are kept, and its session is
                // restored.
                CodeMeaning::NoSession | CodeMeaning::Device { .. } => {
                    if !is_copy {
                        self.waiting.take_back(now, id, part);
                    }
                    gone.push(id);
                }
                _ if is_copy => {}
                _ => {
                    for (arrival, _) in &part {
                        self.stored.refuse(*arrival);
                    }
                    let dropped = part.len() as u64;
                    outbox.count().dropped_refused += dropped;
                    let refused = CloudLogEvent::PostRefused {
                        device: id,
                        code: reply.code,
                        message: reply.message.clone(),
                        dropped,
                    };
                    outbox.often(now, refused);
                }
            }
        }
        gone
    }

    /// Returns whether a batch that the platform fails on is itself at fault: it has failed again
    /// and again while others were accepted.
    fn is_to_be_searched(&mut self, id: BatchId) -> bool {
        let accepted = self.accepted;
        let Some(batch) = self.batches.get_mut(id) else {
            return false;
        };
        let is_enough = batch.troubled() >= SPLIT_AFTER_REFUSALS;
        is_enough && batch.alone().is_none() && accepted > batch.since()
    }

    // --- time -------------------------------------------------------------------------

    /// Returns when the passing of time alone changes something.
    pub(crate) fn wake_at(&self) -> Option<Wake> {
        let usual = self.policy().reply_timeout;
        let overdue = self.transmissions.expires_at(usual);
        let mut wake = overdue.map(|at| Wake::new(at, "post overdue"));
        let counts = self.provisional.due();
        wake = Wake::earlier(
            wake,
            counts.map(|at| Wake::new(at, "accepted values count")),
        );
        let proof = self.probes.due();
        Wake::earlier(wake, proof.map(|at| Wake::new(at, "sessions in doubt")))
    }

    /// Takes note of the time: gives up replies that are overdue, counts accepted readings,
    /// and asks devices in doubt. Returns `None` if nothing was due; else the devices whose silence
    /// means that they have no session.
    pub(crate) fn on_time(&mut self, now: Mono, outbox: &mut Outbox) -> Option<Vec<DeviceId>> {
        if self.wake_at()?.at > now {
            return None;
        }
        let usual = self.policy().reply_timeout;
        let mut gone = Vec::new();
        while let Some((ask, one)) = self.transmissions.expired(now, usual) {
            gone.extend(self.lost(now, ask, one, outbox));
        }
        while self.provisional.due().is_some_and(|at| at <= now)
            && let Some((_, part)) = self.provisional.pop()
        {
            self.delivered(&part, outbox);
        }
        if self.probes.due().is_some_and(|at| at <= now) {
            self.ask_probes(now);
        }
        Some(gone)
    }

    /// Takes note that no reply came in time. Returns the device if its silence means that
    /// it has no session.
    fn lost(
        &mut self,
        now: Mono,
        ask: RequestId,
        one: Transmission,
        outbox: &mut Outbox,
    ) -> Option<DeviceId> {
        outbox.count().unanswered += 1;
        let unanswered = CloudLogEvent::Unanswered {
            what: "post",
            times: 1,
        };
        outbox.often(now, unanswered);
        if now.since(self.answered) >= self.policy().reply_timeout {
            self.is_silent = true;
        }
        if self.batches.get(one.batch).is_none() {
            self.transmissions.forget(ask);
        } else if self.batches.transmissions(one.batch).len() > QUICK {
            self.later(now, one.batch);
        } else {
            // A lost message is nothing unusual.
            self.batches.put_off(one.batch, now);
        }
        let Some(id) = one.alone else {
            self.transmissions.count(now, false, true);
            return None;
        };
        if !self.probes.is_in_doubt(id) {
            self.transmissions.count(now, true, true);
        }
        self.probes.on_unanswered(now, id, one.sent);
        let (transmissions, answered) = (&self.transmissions, self.transmissions.answered_up_to());
        let is_no_accident = |times| transmissions.is_significant(times);
        self.probes
            .is_given_up(now, id, answered, is_no_accident)
            .then_some(id)
    }

    fn ask_probes(&mut self, now: Mono) {
        let per_second = self.policy().messages_per_second;
        if let Some(id) = self.probes.ask(now, per_second) {
            self.waiting.isolate(now, id);
        }
        if let Some(reading) = self.probes.repeat(now) {
            let id = reading.device;
            let on_its_own =
                |p: &BatchId| self.batches.get(*p).is_some_and(|p| p.alone().is_some());
            if self.batches.of(id).iter().any(on_its_own) {
                // The reply to that batch proves the session as well.
                return;
            }
            self.waiting.join(now, id);
            let part = BTreeMap::from([(id, vec![(0, reading)])]);
            let copy = Batch::new(now, part, true, self.backoff());
            self.batches.add(copy, now);
        }
    }

    // --- retransmission ------------------------------------------------------------------

    /// Sends the batch again after a growing wait.
    fn later(&mut self, now: Mono, id: BatchId) {
        if let Some(batch) = self.batches.get_mut(id) {
            let wait = batch.backoff().failed(now, &mut self.rng);
            self.batches.put_off(id, now + wait);
        }
    }

    /// Removes the batch; replies to it count as late.
    fn end(&mut self, id: BatchId) -> Option<Batch> {
        for ask in self.batches.transmissions(id) {
            self.transmissions.forget(ask);
        }
        self.batches.remove(id)
    }

    fn unpack(&mut self, now: Mono, id: BatchId) {
        let batch = self.end(id).filter(|p| !p.is_copy());
        for (device, part) in batch.into_iter().flat_map(Batch::into_parts) {
            self.waiting.take_back(now, device, part);
        }
    }

    fn backoff(&self) -> Backoff {
        let limits = &self.spec.cloud.session;
        Backoff::new(limits.retry_floor, limits.retry_ceiling)
    }

    fn policy(&self) -> &PostPolicy {
        &self.spec.cloud.post
    }
}

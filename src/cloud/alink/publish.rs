//! Readings on their way up: gathered, packed, sent, settled.
//!
//! A reading is in one of four places:
//! - *waiting* ([`waiting`]): live, or in the backlog. When these
//!   and those in parcels are too many, the oldest that is not under way goes.
//! - in a *parcel* ([`parcel`]), which has been sent and is not settled: under way
//!   until its reply is overdue ([`tries`]), then waiting to be sent again.
//! - accepted *provisionally* ([`provisional`]): a pack's 200 counts a little later,
//!   since the news that a session is gone may come beside it.
//! - settled: delivered, refused or dropped, and counted.
//!
//! A reply to any sending of a parcel settles it, whenever it comes. Values carry
//! their times, so a repeat is harmless and several parcels of one device may be
//! under way: how much gets through depends on the pace of messages and not on how
//! long replies take. Live readings go first; what is sent again shares the pace
//! with them, and the backlog gets the rest, and a tenth at the least.
//!
//! When a device's session is lost, everything of it that is not settled goes back
//! to the backlog, and so does everything when the connection ends. Which sessions
//! are in doubt, and prove that they are alive, is in [`proof`].

pub(crate) mod batch;
mod provisional;
pub(crate) mod sendings;
pub(crate) mod session_probes;
mod waiting;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::base::{AskId, Backoff, DeviceId, Mono, Now, Reading, Rng, Value, Wake};
use crate::spec::{PostPolicy, Spec};

use super::pace::{MINUTE, Slowdown};
use crate::cloud::alink::events::Notice;
use crate::cloud::alink::outbox::Outbox;
use crate::cloud::alink::session::isolation::{Group, Split};
use crate::cloud::alink::wire::code::CodeMeaning;
use crate::cloud::alink::wire::payload::{MESSAGE_BYTES, PACKED_BYTES, Properties, Reply};
use batch::{Batch, Batches};
use provisional::Provisional;
use sendings::{Found, Sending, Sendings};
use session_probes::SessionProbes;
use waiting::{Part, Waiting};

pub(crate) use batch::BatchId;

/// After this many refusals in a row that blame no device, a pack is taken apart
/// all the same, if others have been accepted meanwhile.
const PATIENCE: u32 = 3;

/// So often in a row a parcel is sent again at once; then after growing waits.
const QUICK: usize = 3;

/// The backlog gets one message in so many at the least.
const BACKLOG_SHARE: u32 = 10;

/// Messages sent together arrive no further apart than this, where nothing else
/// is known.
const APART: Duration = Duration::from_secs(1);
/// They are never taken to arrive closer together.
const CLOSEST: Duration = Duration::from_millis(100);
/// Where messages are lost, the news of a lost session may be among them, and it
/// takes the next packs to hear of it.
const LOSSY: Duration = Duration::from_secs(3);

/// News of an earlier session is not expected for longer than this.
const LONGEST_ECHO: Duration = Duration::from_secs(60);

/// Besides the queue, one of so many readings of its size may be accepted and not
/// yet counted.
const PROVISIONAL: usize = 4;

/// Larger values are not kept to prove a session with.
const KEPT_BYTES: usize = 256;

/// What a reply to a post was found to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// The reply to a post that is not settled; these devices have no session.
    Taken(Vec<DeviceId>),
    /// To one that is settled: very late, or answered twice.
    Late,
    /// To none of ours.
    Unknown,
}

/// The queue and everything on its way.
#[derive(Clone, Debug)]
pub(crate) struct PublishQueue {
    spec: Arc<Spec>,
    waiting: Waiting,
    parcels: Batches,
    tries: Sendings,
    provisional: Provisional,
    proofs: SessionProbes,
    /// Until when the platform may still speak of a device's session before, which
    /// was lost with posts under way.
    echoes: BTreeMap<DeviceId, Mono>,
    slowdown: Slowdown,
    /// When a post was last answered, and when one was last accepted.
    answered: Mono,
    accepted: Mono,
    /// Nothing has been answered for as long as a reply is waited for.
    is_silent: bool,
    /// Refusals in a row that blame no device.
    troubles: u32,
    /// Whether the last message was of live readings.
    was_live: bool,
    /// Messages since the last one of the backlog.
    since_backlog: u32,
    rng: Rng,
}

impl PublishQueue {
    pub(crate) fn new(spec: Arc<Spec>, rng: Rng) -> Self {
        PublishQueue {
            spec,
            waiting: Waiting::new(),
            parcels: Batches::new(),
            tries: Sendings::new(),
            provisional: Provisional::new(),
            proofs: SessionProbes::new(),
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

    /// A reading to be delivered.
    pub(crate) fn put(&mut self, now: Now, reading: Reading, diary: &mut Outbox) {
        let device = self.spec.device(reading.device);
        let device = device.filter(|_| self.spec.has(reading.device));
        let Some(point) = device.and_then(|d| d.profile.points.get(usize::from(reading.point)))
        else {
            diary.counters.dropped_unknown += 1;
            return;
        };
        // One for the comma, as when packing.
        let size = waiting::property(&self.spec, &reading).len() + 1;
        let bytes = MESSAGE_BYTES + PACKED_BYTES + size;
        if bytes > self.policy().message_bytes {
            diary.counters.dropped_too_large += 1;
            let too_large = Notice::TooLarge {
                device: reading.device,
                property: point.id.clone(),
                bytes,
            };
            diary.often(now.mono, too_large);
            return;
        }
        diary.counters.readings += 1;
        self.waiting.put(now.mono, reading, self.policy().linger);
        while self.waiting.len() + self.parcels.readings() > self.policy().queue.max(1) {
            self.make_room(now.mono, diary);
        }
    }

    /// One reading less, or one parcel: the oldest that is not under way.
    fn make_room(&mut self, now: Mono, diary: &mut Outbox) {
        let waiting = self.waiting.oldest();
        let dropped = match self.parcels.oldest_idle() {
            Some((seq, id)) if waiting.is_none_or(|w| seq < w) => {
                self.end(id).map_or(0, |parcel| parcel.count() as u64)
            }
            _ => {
                self.waiting.drop_oldest(now);
                1
            }
        };
        diary.counters.dropped_queue_full += dropped;
        diary.often(now, Notice::QueueFull { dropped });
    }

    // --- sessions -----------------------------------------------------------------

    /// The device is online: what waits for it may go.
    pub(crate) fn came(&mut self, now: Mono, id: DeviceId) {
        self.proofs.proved(now, id);
        let linger = self.policy().linger;
        self.waiting.came(now, id, linger);
    }

    /// The device is no longer online. What is under way for it was sent before.
    pub(crate) fn left(&mut self, now: Mono, id: DeviceId) {
        self.proofs.left(id);
        self.waiting.left(now, id);
    }

    /// The device's session was lost, and it is not known since when: whatever is
    /// not settled is sent again, and answers to what was sent count no more.
    pub(crate) fn session_lost(&mut self, now: Mono, id: DeviceId) {
        let parcels = self.parcels.of(id);
        if !parcels.is_empty() {
            let apart = self.tries.spread().unwrap_or(APART).min(LONGEST_ECHO);
            self.echoes.insert(id, now + apart.max(CLOSEST));
        }
        for parcel in parcels {
            let part = self.parcels.remove_part(parcel, id);
            self.waiting.take_back(now, id, part);
            if self.parcels.is_empty(parcel) {
                self.end(parcel);
            }
        }
        let part = self.provisional.remove_device(id);
        self.waiting.take_back(now, id, part);
    }

    /// Whether news that the device has no session may be about the one before: each
    /// post that was under way when that ended brings such news.
    pub(crate) fn is_echo(&mut self, now: Mono, id: DeviceId) -> bool {
        let is_echo = self.echoes.get(&id).is_some_and(|until| now < *until);
        if !is_echo {
            self.echoes.remove(&id);
        }
        is_echo
    }

    /// A device was found without its session although the platform had not said so: the
    /// others prove theirs.
    pub(crate) fn doubt_others(&mut self, now: Mono) {
        self.proofs.doubt_others(now);
    }

    /// The connection is gone; everything not settled waits again.
    pub(crate) fn link_down(&mut self, now: Mono) {
        for id in self.parcels.all() {
            self.unpack(now, id);
        }
        while let Some((id, part)) = self.provisional.pop() {
            self.waiting.take_back(now, id, part);
        }
        self.tries.link_down();
        self.is_silent = false;
        self.troubles = 0;
    }

    // --- wishes -------------------------------------------------------------------

    /// Does not wait for company for this device.
    pub(crate) fn hurry(&mut self, now: Mono, id: DeviceId) {
        self.waiting.hurry(now, id);
    }

    /// Does not wait for company for any device.
    pub(crate) fn hurry_all(&mut self, now: Mono) {
        self.waiting.hurry_all(now);
    }

    /// Whether anything is left that could still be delivered.
    pub(crate) fn has_last_readings(&self) -> bool {
        self.parcels.readings() > 0 || self.waiting.has_sendable()
    }

    /// There is no later: what was accepted counts as delivered.
    pub(crate) fn count_accepted(&mut self, diary: &mut Outbox) {
        while let Some((_, part)) = self.provisional.pop() {
            self.delivered(&part, diary);
        }
    }

    /// Whether readings of this device wait to be sent.
    pub(crate) fn is_waiting(&self, id: DeviceId) -> bool {
        self.waiting.has(id)
    }

    /// Whether readings of this device were sent and are not settled.
    pub(crate) fn is_unsettled(&self, id: DeviceId) -> bool {
        self.parcels.has(id) || self.provisional.has(id)
    }

    /// Readings not delivered yet.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len() + self.parcels.readings() + self.provisional.readings()
    }

    // --- another configuration ----------------------------------------------------

    /// From now on this installation.
    pub(crate) fn respec(&mut self, spec: Arc<Spec>) {
        self.spec = spec;
    }

    /// Takes back what waits to be sent again, for new limits to hold.
    pub(crate) fn repack(&mut self, now: Mono) {
        for id in self.parcels.idle() {
            self.unpack(now, id);
        }
    }

    /// Keeps those readings of a device that are let through, wherever they are;
    /// says how many were dropped.
    pub(crate) fn retain(
        &mut self,
        now: Mono,
        id: DeviceId,
        keep: impl Fn(&mut Reading) -> bool,
    ) -> u64 {
        let mut dropped = self.waiting.retain(now, id, &keep);
        for parcel in self.parcels.of(id) {
            dropped += self.parcels.retain(parcel, id, &keep);
            if self.parcels.is_empty(parcel) {
                self.end(parcel);
            }
        }
        self.proofs.retain(id, &keep);
        dropped + self.provisional.retain(id, &keep)
    }

    /// Drops what waits for this device; says how much it was.
    pub(crate) fn forget(&mut self, now: Mono, id: DeviceId) -> u64 {
        self.proofs.forget(id);
        self.echoes.remove(&id);
        self.waiting.forget(now, id)
    }

    // --- sending ------------------------------------------------------------------

    /// When there is something to send.
    pub(crate) fn due(&self) -> Option<Wake> {
        if self.tries.open() >= self.policy().in_flight.max(1) {
            return None;
        }
        let backlog = self.waiting.has_backlog().then_some(Mono::START);
        let all = [self.live_due(), self.parcels.again_due(), backlog];
        let at = all.into_iter().flatten().min()?;
        let ready = self.slowdown.ready_at();
        Some(if ready > at {
            Wake::new(ready, "posts are slowed down")
        } else {
            Wake::new(at, "post")
        })
    }

    /// While nothing else waits for the pace, a message that is full of devices
    /// need not wait for more values.
    fn live_due(&self) -> Option<Mono> {
        let eager = !self.waiting.has_backlog() && self.parcels.again_due().is_none();
        self.waiting
            .live_due(eager, self.policy().pack_devices.max(1))
    }

    /// The parcel to be sent next. `None` may also mean that it turned out that
    /// there was none.
    pub(crate) fn take(&mut self, now: Mono) -> Option<BatchId> {
        self.ask_proofs(now);
        let backlog = self.waiting.has_backlog();
        let live = self.live_due().is_some_and(|at| at <= now);
        let again = self.parcels.due(now);
        let starved = self.since_backlog + 1 >= BACKLOG_SHARE;
        if backlog && (starved || !live && again.is_none()) {
            self.since_backlog = 0;
            let spec = Arc::clone(&self.spec);
            let parts = self.waiting.pack_backlog(now, &spec);
            return self.parcel(now, parts);
        }
        self.since_backlog += u32::from(backlog);
        if let Some(id) = again.filter(|_| !live || self.was_live) {
            self.was_live = false;
            return self.without_absent(now, id);
        }
        self.was_live = true;
        let spec = Arc::clone(&self.spec);
        let parts = self.waiting.pack_live(now, &spec);
        self.parcel(now, parts)
    }

    fn parcel(&mut self, now: Mono, parts: BTreeMap<DeviceId, Part>) -> Option<BatchId> {
        let parts: BTreeMap<_, _> = parts.into_iter().filter(|(_, p)| !p.is_empty()).collect();
        if parts.is_empty() {
            return None;
        }
        let parcel = Batch::new(now, parts, false, self.backoff());
        Some(self.parcels.add(parcel, now))
    }

    /// Takes devices that have left out of a parcel that is to be sent again.
    fn without_absent(&mut self, now: Mono, id: BatchId) -> Option<BatchId> {
        let devices = self.parcels.get(id)?.parts().keys();
        let absent = devices.filter(|d| !self.waiting.is_online(**d));
        for device in absent.copied().collect::<Vec<_>>() {
            let part = self.parcels.remove_part(id, device);
            self.waiting.take_back(now, device, part);
        }
        if self.parcels.is_empty(id) {
            self.end(id);
            return None;
        }
        Some(id)
    }

    /// What a parcel is made of: the properties of each device.
    pub(crate) fn content(&self, id: BatchId) -> Vec<(DeviceId, Properties)> {
        let parts = self.parcels.get(id).map(Batch::parts);
        let devices = parts.into_iter().flatten().map(|(device, part)| {
            let mut all = Properties::default();
            for (_, reading) in part {
                all.append(&waiting::property(&self.spec, reading));
            }
            (*device, all)
        });
        devices.collect()
    }

    /// A parcel is on its way. `hint` is how long replies to other requests take
    /// at most.
    pub(crate) fn sent(
        &mut self,
        now: Mono,
        ask: AskId,
        id: BatchId,
        hint: Option<Duration>,
        diary: &mut Outbox,
    ) {
        let Some(parcel) = self.parcels.get(id) else {
            return;
        };
        let (alone, count) = (parcel.alone(), parcel.count() as u64);
        let one = Sending {
            parcel: id,
            sent: now,
            alone,
        };
        self.tries.sent(ask, one, hint);
        let (forgotten, before) = self.parcels.sent(id, ask);
        if let Some(ask) = forgotten {
            self.tries.forget(ask);
        }
        if before {
            diary.counters.resent += count;
        }
        if let Some(device) = alone {
            self.proofs.sent(now, device);
        }
        let per_second = self.policy().messages_per_second;
        self.slowdown.take(now, per_second);
    }

    // --- what is heard --------------------------------------------------------------

    /// The platform answered, by this device's own topic or by the gateway's;
    /// `named` are the devices in its `data`.
    pub(crate) fn answered(
        &mut self,
        now: Mono,
        ask: AskId,
        alone: Option<DeviceId>,
        reply: &Reply,
        named: &[DeviceId],
        diary: &mut Outbox,
    ) -> Heard {
        let (one, is_late) = match self.tries.answered(now, ask, alone) {
            Found::InTime(one) => (one, false),
            Found::Late(one) => (one, true),
            Found::Settled => return Heard::Late,
            Found::Unknown => return Heard::Unknown,
        };
        if is_late {
            diary.counters.late_replies += 1;
        } else if alone.is_none_or(|id| !self.proofs.is_suspect(id)) {
            self.tries.count(now, alone.is_some(), false);
        }
        if let Some(id) = alone {
            self.proofs.heard(id);
        }
        self.answered = now;
        if std::mem::take(&mut self.is_silent) {
            self.parcels.hurry(now);
        }
        if reply.code.verdict() == CodeMeaning::Accepted {
            self.settle(now, one, diary);
            return Heard::Taken(Vec::new());
        }
        diary.counters.refused += 1;
        // What was sent again since gets an answer of its own.
        let is_moot = self.parcels.is_under_way(one.parcel) && is_late;
        Heard::Taken(self.refused(now, one, is_moot, reply, named, diary))
    }

    /// The parcel is accepted.
    fn settle(&mut self, now: Mono, one: Sending, diary: &mut Outbox) {
        self.accepted = now;
        if std::mem::take(&mut self.troubles) >= PATIENCE {
            self.parcels.hurry(now);
        }
        if let Some(id) = one.alone
            && self.waiting.is_online(id)
        {
            self.proofs.proved(now, id);
            self.waiting.join(now, id);
        }
        let Some(parcel) = self.end(one.parcel).filter(|p| !p.is_copy()) else {
            return;
        };
        let until = now + self.apart();
        for (id, part) in parcel.into_parts() {
            if one.alone.is_some() {
                self.delivered(&part, diary);
            } else {
                self.provisional.add(until, id, part);
            }
        }
        // Bounded; what is accepted is not dropped, but counts sooner.
        while self.provisional.readings() > self.policy().queue / PROVISIONAL
            && let Some((_, part)) = self.provisional.pop()
        {
            self.delivered(&part, diary);
        }
    }

    /// How much later than the reply the news may come that a session is gone.
    fn apart(&self) -> Duration {
        let usual = self.policy().reply_timeout;
        let apart = self.tries.spread().unwrap_or(APART);
        let apart = apart.clamp(CLOSEST, usual.max(CLOSEST));
        if self.tries.is_lossy() {
            apart.max(LOSSY)
        } else {
            apart
        }
    }

    fn delivered(&mut self, part: &Part, diary: &mut Outbox) {
        diary.counters.delivered += part.len() as u64;
        let small = |r: &&Reading| !matches!(&r.value, Value::Text(t) if t.len() > KEPT_BYTES);
        if let Some(last) = part.iter().map(|(_, r)| r).rfind(small) {
            self.proofs.accepted(last);
        }
    }

    /// The parcel is refused. Returns devices that have no session.
    fn refused(
        &mut self,
        now: Mono,
        one: Sending,
        is_moot: bool,
        reply: &Reply,
        named: &[DeviceId],
        diary: &mut Outbox,
    ) -> Vec<DeviceId> {
        let verdict = reply.code.verdict();
        let per_second = self.policy().messages_per_second;
        match verdict {
            CodeMeaning::Throttled => {
                diary.counters.throttled += 1;
                if self.slowdown.refused(now, one.sent, per_second) {
                    let wait = MINUTE;
                    diary.often(now, Notice::Throttled { what: "post", wait });
                }
                if !is_moot {
                    // Others may be accepted sooner; this one is not the first.
                    let wait = self.rng.jitter(self.spec.cloud.session.retry_floor);
                    self.parcels.put_off(one.parcel, now + wait);
                }
                return Vec::new();
            }
            CodeMeaning::Trouble => {
                let trouble = Notice::Trouble {
                    code: reply.code,
                    message: reply.message.clone(),
                    times: 1,
                };
                diary.often(now, trouble);
                self.troubles += 1;
                if self.troubles >= PATIENCE {
                    self.slowdown.refused(now, one.sent, per_second);
                }
                if !is_moot && !self.is_to_be_searched(one.parcel) {
                    self.later(now, one.parcel);
                    return Vec::new();
                }
            }
            _ => {}
        }
        if is_moot {
            return Vec::new();
        }
        let Some(parcel) = self.end(one.parcel) else {
            return Vec::new();
        };
        let is_copy = parcel.is_copy();
        let mut parts = parcel.into_parts();
        let members: Vec<DeviceId> = parts.keys().copied().collect();
        let split = match members[..] {
            // What is left of a pack, the others having lost their sessions since it was
            // sent: the refusal may have been theirs.
            [last] if one.alone.is_none() && !named.contains(&last) => Split {
                culprits: Vec::new(),
                next: vec![Group { members }],
            },
            _ => Group { members }.refused(named),
        };
        for group in split.next {
            let few = group.members.into_iter();
            let few = few.filter_map(|id| parts.remove_entry(&id)).collect();
            let parcel = Batch::new(now, few, is_copy, self.backoff());
            self.parcels.add(parcel, now);
        }
        let mut gone = Vec::new();
        for id in split.culprits {
            let Some(part) = parts.remove(&id) else {
                continue;
            };
            match verdict {
                // The device cannot be online: keep what it said, and see to
                // its session.
                CodeMeaning::NoSession | CodeMeaning::Device { .. } => {
                    if !is_copy {
                        self.waiting.take_back(now, id, part);
                    }
                    gone.push(id);
                }
                _ if is_copy => {}
                _ => {
                    let dropped = part.len() as u64;
                    diary.counters.dropped_refused += dropped;
                    let refused = Notice::PostRefused {
                        device: id,
                        code: reply.code,
                        message: reply.message.clone(),
                        dropped,
                    };
                    diary.often(now, refused);
                }
            }
        }
        gone
    }

    /// Whether a parcel that the platform stumbles over is at fault itself: it has
    /// failed again and again while others were accepted.
    fn is_to_be_searched(&mut self, id: BatchId) -> bool {
        let accepted = self.accepted;
        let Some(parcel) = self.parcels.get_mut(id) else {
            return false;
        };
        let is_enough = parcel.troubled() >= PATIENCE;
        is_enough && parcel.alone().is_none() && accepted > parcel.since()
    }

    // --- time -------------------------------------------------------------------------

    /// When time alone changes something.
    pub(crate) fn wake_at(&self) -> Option<Wake> {
        let usual = self.policy().reply_timeout;
        let overdue = self.tries.expires_at(usual);
        let mut wake = overdue.map(|at| Wake::new(at, "post overdue"));
        let counts = self.provisional.due();
        wake = Wake::earlier(
            wake,
            counts.map(|at| Wake::new(at, "accepted values count")),
        );
        let proof = self.proofs.due();
        Wake::earlier(wake, proof.map(|at| Wake::new(at, "sessions in doubt")))
    }

    /// Time has passed: gives up replies that are overdue, counts what was
    /// accepted, and asks suspects. `None` if it was time for nothing; else the
    /// devices whose silence means that they have no session.
    pub(crate) fn on_time(&mut self, now: Mono, diary: &mut Outbox) -> Option<Vec<DeviceId>> {
        if self.wake_at()?.at > now {
            return None;
        }
        let usual = self.policy().reply_timeout;
        let mut gone = Vec::new();
        while let Some((ask, one)) = self.tries.expired(now, usual) {
            gone.extend(self.lost(now, ask, one, diary));
        }
        while self.provisional.due().is_some_and(|at| at <= now)
            && let Some((_, part)) = self.provisional.pop()
        {
            self.delivered(&part, diary);
        }
        if self.proofs.due().is_some_and(|at| at <= now) {
            self.ask_proofs(now);
        }
        Some(gone)
    }

    /// No reply came in time. Returns the device if its silence means that it has
    /// no session.
    fn lost(
        &mut self,
        now: Mono,
        ask: AskId,
        one: Sending,
        diary: &mut Outbox,
    ) -> Option<DeviceId> {
        diary.counters.unanswered += 1;
        let unanswered = Notice::Unanswered {
            what: "post",
            times: 1,
        };
        diary.often(now, unanswered);
        if now.since(self.answered) >= self.policy().reply_timeout {
            self.is_silent = true;
        }
        if self.parcels.get(one.parcel).is_none() {
            self.tries.forget(ask);
        } else if self.parcels.tries(one.parcel).len() > QUICK {
            self.later(now, one.parcel);
        } else {
            // A lost message is nothing unusual.
            self.parcels.put_off(one.parcel, now);
        }
        let Some(id) = one.alone else {
            self.tries.count(now, false, true);
            return None;
        };
        if !self.proofs.is_suspect(id) {
            self.tries.count(now, true, true);
        }
        self.proofs.unheard(now, id, one.sent);
        let (tries, answered) = (&self.tries, self.tries.answered_up_to());
        let is_no_accident = |times| tries.is_no_accident(times);
        self.proofs
            .is_given_up(now, id, answered, is_no_accident)
            .then_some(id)
    }

    fn ask_proofs(&mut self, now: Mono) {
        let per_second = self.policy().messages_per_second;
        if let Some(id) = self.proofs.ask(now, per_second) {
            self.waiting.isolate(now, id);
        }
        if let Some(reading) = self.proofs.repeat(now) {
            let id = reading.device;
            let on_its_own =
                |p: &BatchId| self.parcels.get(*p).is_some_and(|p| p.alone().is_some());
            if self.parcels.of(id).iter().any(on_its_own) {
                // The reply to that proves as much.
                return;
            }
            self.waiting.join(now, id);
            let part = BTreeMap::from([(id, vec![(0, reading)])]);
            let copy = Batch::new(now, part, true, self.backoff());
            self.parcels.add(copy, now);
        }
    }

    // --- back ---------------------------------------------------------------------------

    /// The parcel is sent again after a growing wait.
    fn later(&mut self, now: Mono, id: BatchId) {
        if let Some(parcel) = self.parcels.get_mut(id) {
            let wait = parcel.backoff().failed(now, &mut self.rng);
            self.parcels.put_off(id, now + wait);
        }
    }

    /// The parcel is no more; replies to it come late.
    fn end(&mut self, id: BatchId) -> Option<Batch> {
        for ask in self.parcels.tries(id) {
            self.tries.forget(ask);
        }
        self.parcels.remove(id)
    }

    fn unpack(&mut self, now: Mono, id: BatchId) {
        let parcel = self.end(id).filter(|p| !p.is_copy());
        for (device, part) in parcel.into_iter().flat_map(Batch::into_parts) {
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

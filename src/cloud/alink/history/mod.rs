//! Values from the store on their way to the platform: what an outage or a restart has left.
//! Events of the thing model are among them and go the same way, in the order of their device.
//!
//! The store holds the values; this room reads them a window at a time, sends them by
//! `thing/event/property/history/post`, which needs no session, and says which are settled.
//! Live values go their own way ([`super::publish`]) and go first.
//!
//! Within one device values are sent oldest first, and one message at a time, so that a
//! message that is lost is not overtaken by the next. Devices take turns, a share of a
//! message each, and several messages of different devices may be under way.
//!
//! Which readings go to the store is decided in [`spill`].
//!
//! A platform may refuse the method itself, or not answer it. If nothing has been accepted on this
//! connection, and one value is refused by itself or a device's values are not answered again and
//! again, stored values are handed to [`super::publish`] instead ([`HistoryForm::Posts`]), and
//! stored events to [`super::event_posts`]: they go as live values do, behind them, from devices
//! that are online. There a message has one value of a property, and the order of values is not
//! kept. Once a value is refused there as well, the value was to blame and not the method.
//!
//! A refusal is about a message. So each device of the message is sent alone next, and a
//! device that is alone sends half as many values, until one value is refused by itself: that
//! value is dropped. What is refused because of the device is kept: the device is left out
//! for a growing time.
//!
//! Invariants:
//! - A value is settled only if the platform accepted a message that it was in, or refused it
//!   by itself and for good.
//! - At most [`WINDOW`] values are in memory, whatever the store holds.
//! - A device that is refused, or whose messages are not answered, keeps no other device
//!   waiting for long.

pub(crate) mod spill;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::base::{
    Backoff, Mono, RequestId, Rng, StorePosition, StoredReading, StoredTime, StoredValue, Wake,
    Wall,
};
use crate::cloud::alink::requests::pace::MINUTE;
use crate::cloud::alink::wire::code::{Code, CodeMeaning};
use crate::cloud::alink::wire::payload::{HistoryPart, MESSAGE_BYTES, PACKED_BYTES, Properties};
use crate::cloud::alink::wire::topic::DeviceIdentity;

/// How many values are in memory between the store and the platform: sixty full messages, two
/// seconds at the usual rate, so that a disk that takes as long for a sync does not interrupt
/// them.
const WINDOW: usize = 12_000;
/// How many values are read at once.
const READ: usize = 2_000;
/// How many messages are remembered after their replies were given up: a reply that comes
/// late settles its values all the same.
const REMEMBERED: usize = 64;
/// After this many failures in a row that blame nothing (500), the message is taken apart.
const SPLIT_AFTER_FAILURES: u32 = 3;
/// A device whose messages are not answered so often in a row is left out, so that its values
/// do not take the room of others.
const MOST_UNANSWERED: u32 = 5;
/// How long a device is left out after a refusal, at first and at most.
const LEFT_OUT: Duration = MINUTE;
const LEFT_OUT_CEILING: Duration = Duration::from_secs(3600);
/// The first wait before a message is repeated that was not answered, and the longest.
const AGAIN: Duration = Duration::from_secs(1);
const AGAIN_CEILING: Duration = MINUTE;
/// How long after the store could not be read it is read again.
const READ_AGAIN: Duration = Duration::from_secs(10);

/// The limits of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HistoryLimits {
    /// Values.
    pub values: usize,
    /// Bytes.
    pub bytes: usize,
    /// Devices.
    pub devices: usize,
    /// Messages under way.
    pub in_flight: usize,
    /// How long a reply is waited for.
    pub reply_timeout: Duration,
    /// How many stored values may wait among the live ones ([`HistoryForm::Posts`]).
    pub posts: usize,
}

/// What is to be sent in one message: the values and events of each device, oldest first.
pub(crate) type HistoryMessage = Vec<(DeviceIdentity, HistoryPart)>;

/// What became of values, to be told or counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HistoryEvent {
    /// The platform accepted so many values.
    Accepted(u64),
    /// The platform accepted an event.
    EventAccepted(StoredEvent),
    /// The platform refused one value by itself, which is dropped.
    Refused {
        /// The device.
        device: DeviceIdentity,
        /// The event, if it is none of a property.
        event: Option<StoredEvent>,
        /// Why.
        code: Code,
        /// The platform's words.
        message: String,
    },
    /// The platform refused a device's values for now, or did not answer; they are kept.
    LeftOut {
        /// The device.
        device: DeviceIdentity,
        /// Why; `None` if there was no answer.
        code: Option<Code>,
        /// The platform's words.
        message: String,
        /// When its values are sent again at the earliest.
        retry_in: Duration,
    },
}

/// An event of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredEvent {
    /// The device.
    pub device: DeviceIdentity,
    /// Its identifier.
    pub id: Arc<str>,
    /// When it was raised.
    pub wall: Wall,
}

/// How stored values are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HistoryForm {
    /// By `history/post`.
    History,
    /// As live values are, because `history/post` does not work.
    Posts,
}

/// A stored value that is to be posted as live values are.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ToPost {
    /// Where it is in the store.
    pub at: StorePosition,
    /// It.
    pub reading: StoredReading,
    /// When it was read.
    pub wall: Wall,
}

/// A value in memory.
#[derive(Clone, Debug)]
struct Queued {
    at: StorePosition,
    /// The event, if it is none of a property.
    event: Option<(Arc<str>, Wall)>,
    /// The value as it is sent.
    text: Properties,
}

/// The values of one device that are in memory.
#[derive(Clone, Debug)]
struct DeviceBacklog {
    values: VecDeque<Queued>,
    /// The message that some of them are in, if it is under way.
    under_way: Option<RequestId>,
    /// How many values a message of this device has at most.
    most: usize,
    /// Whether the device is sent in messages of its own.
    is_alone: bool,
    not_before: Mono,
    again: Backoff,
}

/// A device whose values are left out.
#[derive(Clone, Debug)]
struct LeftOutDevice {
    /// Whether it still is; if not, only the backoff is remembered.
    is_out: bool,
    until: Mono,
    backoff: Backoff,
    /// From where on the store is read again for its values.
    from: Option<StorePosition>,
}

impl Queued {
    /// Returns the event that it is, of this device, if it is one.
    fn stored_event(&self, device: &DeviceIdentity) -> Option<StoredEvent> {
        let (id, wall) = self.event.clone()?;
        Some(StoredEvent {
            device: device.clone(),
            id,
            wall,
        })
    }
}

impl LeftOutDevice {
    fn new(now: Mono) -> Self {
        LeftOutDevice {
            is_out: false,
            until: now,
            backoff: Backoff::new(LEFT_OUT, LEFT_OUT_CEILING),
            from: None,
        }
    }
}

/// A message that was sent.
#[derive(Clone, Debug)]
struct SentMessage {
    values: Vec<(DeviceIdentity, Vec<StorePosition>)>,
    at: Mono,
    is_open: bool,
}

/// The values of the store that are on their way.
#[derive(Clone, Debug)]
pub(crate) struct History {
    limits: HistoryLimits,
    backlogs: BTreeMap<DeviceIdentity, DeviceBacklog>,
    /// The devices in the order in which they are sent.
    turns: VecDeque<DeviceIdentity>,
    /// The values in memory.
    known: BTreeSet<StorePosition>,
    left_out: BTreeMap<DeviceIdentity, LeftOutDevice>,
    sent: BTreeMap<RequestId, SentMessage>,
    /// The same in the order in which they were sent.
    order: VecDeque<RequestId>,
    open: usize,
    /// From where on the store is read next; `None` if there was nothing more.
    read_from: Option<StorePosition>,
    is_reading: bool,
    /// Before when the store is not read.
    not_read_before: Mono,
    /// The first value that was left in the store because its time is not known.
    undated: Option<StorePosition>,
    /// Before when nothing is sent.
    pause: Mono,
    throttled: Backoff,
    troubles: u32,
    link: bool,
    form: HistoryForm,
    /// Whether a message has been accepted on this connection.
    is_proven: bool,
    settled: Vec<StorePosition>,
    /// What was settled since the store was asked for the chunk that it has not yet given:
    /// the chunk may still hold it.
    settled_meanwhile: BTreeSet<StorePosition>,
    events: Vec<HistoryEvent>,
    rng: Rng,
}

impl History {
    /// Returns a history of an empty store.
    pub(crate) fn new(limits: HistoryLimits, rng: Rng) -> Self {
        History {
            limits,
            backlogs: BTreeMap::new(),
            turns: VecDeque::new(),
            known: BTreeSet::new(),
            left_out: BTreeMap::new(),
            sent: BTreeMap::new(),
            order: VecDeque::new(),
            open: 0,
            read_from: None,
            is_reading: false,
            not_read_before: Mono::START,
            undated: None,
            pause: Mono::START,
            throttled: Backoff::new(MINUTE, MINUTE),
            troubles: 0,
            link: false,
            form: HistoryForm::History,
            is_proven: false,
            settled: Vec::new(),
            settled_meanwhile: BTreeSet::new(),
            events: Vec::new(),
            rng,
        }
    }

    // --- events ---------------------------------------------------------------------

    /// Takes note of a new connection.
    pub(crate) fn link_up(&mut self) {
        self.link = true;
        self.is_proven = false;
        self.use_form(HistoryForm::History);
    }

    /// Takes note that the connection is gone, and every reply with it.
    pub(crate) fn link_down(&mut self) {
        self.link = false;
        self.sent.clear();
        self.order.clear();
        self.open = 0;
        for backlog in self.backlogs.values_mut() {
            backlog.under_way = None;
            backlog.not_before = Mono::START;
            backlog.again.reset();
        }
        self.backlogs
            .retain(|_, backlog| !backlog.values.is_empty());
        let backlogs = &self.backlogs;
        self.turns.retain(|device| backlogs.contains_key(device));
    }

    /// Uses other limits from now on.
    pub(crate) fn set_limits(&mut self, limits: HistoryLimits) {
        self.limits = limits;
    }

    /// Takes note that there are more values in the store, from this position on.
    pub(crate) fn stored(&mut self, from: StorePosition) {
        let from = self.read_from.map_or(from, |f| f.min(from));
        self.read_from = Some(from);
    }

    /// Takes values that were read from the store; there are more from `next` on. `date`
    /// returns the time of the wall clock at which a value was read, and `can_post` whether it
    /// can be posted now: whether its device is online. Returns the values that are to be posted.
    pub(crate) fn on_read(
        &mut self,
        now: Mono,
        readings: Vec<(StorePosition, StoredReading)>,
        next: Option<StorePosition>,
        date: impl Fn(StoredTime) -> Option<Wall>,
        can_post: impl Fn(&DeviceIdentity, &StoredReading) -> bool,
    ) -> Vec<ToPost> {
        self.is_reading = false;
        if let Some(next) = next {
            self.stored(next);
        }
        let settled = std::mem::take(&mut self.settled_meanwhile);
        let readings = readings.into_iter();
        let mut to_post = Vec::new();
        for (at, reading) in readings.filter(|(at, _)| !settled.contains(at)) {
            match (date(reading.at), self.form) {
                (Some(wall), HistoryForm::History) => self.enqueue(at, reading, wall),
                (Some(wall), HistoryForm::Posts) => {
                    to_post.extend(self.post(now, at, reading, wall, &can_post));
                }
                (None, _) => self.undated = Some(self.undated.map_or(at, |u| u.min(at))),
            }
        }
        to_post
    }

    /// Returns a value to be posted; leaves it in the store for a while if its device is not
    /// online.
    fn post(
        &mut self,
        now: Mono,
        at: StorePosition,
        reading: StoredReading,
        wall: Wall,
        can_post: impl Fn(&DeviceIdentity, &StoredReading) -> bool,
    ) -> Option<ToPost> {
        let device = DeviceIdentity {
            product_key: reading.product_key.clone(),
            device_name: reading.device_name.clone(),
        };
        let is_out = self.left_out.get(&device).is_some_and(|l| l.is_out);
        if is_out || !can_post(&device, &reading) {
            let left_out = self.left_out.entry(device);
            let left_out = left_out.or_insert_with(|| LeftOutDevice::new(now));
            if !std::mem::replace(&mut left_out.is_out, true) {
                left_out.until = now + LEFT_OUT;
            }
            left_out.from = Some(left_out.from.map_or(at, |from| from.min(at)));
            return None;
        }
        let is_new = self.known.insert(at);
        is_new.then_some(ToPost { at, reading, wall })
    }

    /// Takes note what became of values that were posted.
    pub(crate) fn posted(&mut self, accepted: &[StorePosition], refused: &[StorePosition]) {
        // Others are live values that were stored before they were sent.
        let known = &mut self.known;
        let mut any_known = |all: &[StorePosition]| {
            let known = all.iter().filter(|at| known.remove(at));
            known.count() > 0
        };
        let (is_accepted, is_refused) = (any_known(accepted), any_known(refused));
        if self.is_reading {
            self.settled_meanwhile
                .extend(accepted.iter().chain(refused));
        }
        if self.form == HistoryForm::Posts {
            if is_refused && !self.is_proven {
                self.is_proven = true;
                self.use_form(HistoryForm::History);
            }
            self.is_proven |= is_accepted;
        }
    }

    /// Takes note that a value is no longer in memory, and still to be delivered.
    pub(crate) fn released(&mut self, at: StorePosition) {
        self.known.remove(&at);
        self.stored(at);
    }

    /// Sends values in this form from now on. What is in memory and not under way is read
    /// again.
    fn use_form(&mut self, form: HistoryForm) {
        if std::mem::replace(&mut self.form, form) == form {
            return;
        }
        let first = self.known.pop_first();
        self.read_from = self.read_from.into_iter().chain(first).min();
        self.known.clear();
        self.backlogs.clear();
        self.turns.clear();
    }

    /// Takes note that the time is known: values that had none are read again.
    pub(crate) fn time_known(&mut self) {
        if let Some(from) = self.undated.take() {
            self.stored(from);
        }
    }

    fn enqueue(&mut self, at: StorePosition, reading: StoredReading, wall: Wall) {
        let device = DeviceIdentity {
            product_key: reading.product_key,
            device_name: reading.device_name,
        };
        if let Some(left_out) = self.left_out.get_mut(&device).filter(|l| l.is_out) {
            left_out.from = Some(left_out.from.map_or(at, |from| from.min(at)));
            return;
        }
        if !self.known.insert(at) {
            return;
        }
        let most = self.limits.values;
        let backlog = self.backlogs.entry(device.clone());
        let backlog = backlog.or_insert_with(|| {
            self.turns.push_back(device);
            DeviceBacklog {
                values: VecDeque::new(),
                under_way: None,
                most,
                is_alone: false,
                not_before: Mono::START,
                again: Backoff::new(AGAIN, AGAIN_CEILING),
            }
        });
        let id = reading.identifier;
        let (text, event) = match &reading.value {
            StoredValue::Property(value) => (Properties::one(&id, value, wall), None),
            StoredValue::Event(data) => (Properties::event(&id, data, wall), Some((id, wall))),
        };
        backlog.values.push_back(Queued { at, event, text });
    }

    /// Takes note that the store could not be read from this position on.
    pub(crate) fn read_failed(&mut self, now: Mono, from: StorePosition) {
        self.is_reading = false;
        self.settled_meanwhile.clear();
        self.stored(from);
        self.not_read_before = now + READ_AGAIN;
    }

    /// Takes note that the store cannot be read any more. What is in memory is still sent.
    pub(crate) fn store_gone(&mut self) {
        self.is_reading = false;
        self.read_from = None;
        self.undated = None;
        self.settled_meanwhile.clear();
        for left_out in self.left_out.values_mut() {
            left_out.is_out = false;
            left_out.from = None;
        }
    }

    /// Returns whether older values go first than those in memory.
    pub(crate) fn is_ahead_of_memory(&self) -> bool {
        self.form == HistoryForm::History && self.has_values()
    }

    /// Returns whether values are, or may be, left in the store.
    pub(crate) fn has_values(&self) -> bool {
        let is_out = |l: &LeftOutDevice| l.is_out;
        self.is_reading
            || self.read_from.is_some()
            || !self.known.is_empty()
            || self.left_out.values().any(is_out)
    }

    // --- what is wanted ---------------------------------------------------------------

    /// Returns from where the store is to be read, and how many values, if it is time to:
    /// answer with [`History::on_read`].
    pub(crate) fn take_read(&mut self, now: Mono) -> Option<(StorePosition, usize)> {
        if self.is_reading || self.not_read_before > now {
            return None;
        }
        self.readmit(now);
        let from = self.read_from.filter(|_| self.wants_more())?;
        self.read_from = None;
        self.is_reading = true;
        Some((from, READ.min(self.window())))
    }

    /// Returns how many values may be in memory.
    fn window(&self) -> usize {
        match self.form {
            HistoryForm::History => WINDOW,
            HistoryForm::Posts => self.limits.posts.clamp(1, WINDOW),
        }
    }

    fn wants_more(&self) -> bool {
        let window = self.window();
        self.link && !self.is_reading && self.known.len() + READ.min(window) <= window
    }

    /// Ends the time for which devices were left out. Their values are read again from the
    /// oldest on, so that they come in order.
    fn readmit(&mut self, now: Mono) {
        for left_out in self.left_out.values_mut() {
            if left_out.is_out && left_out.until <= now {
                left_out.is_out = false;
                let from = left_out.from.take();
                self.read_from = match (self.read_from, from) {
                    (Some(a), Some(b)) => Some(a.min(b)),
                    (a, b) => a.or(b),
                };
            }
        }
    }

    /// Returns when there is something to send or to read, if anything can be said now.
    pub(crate) fn due(&self) -> Option<Wake> {
        if !self.link {
            return None;
        }
        let left_out = self.left_out.values().filter(|l| l.is_out);
        let readmitted = left_out.map(|l| l.until).min();
        let readmitted = readmitted.filter(|_| !self.is_reading);
        let readmitted = readmitted.map(|at| at.max(self.not_read_before));
        let mut wake = readmitted.map(|at| Wake::new(at, "history of devices left out"));
        if self.read_from.is_some() && self.wants_more() {
            let at = Wake::new(self.not_read_before, "history to be read");
            wake = Wake::earlier(wake, Some(at));
        }
        if self.open < self.limits.in_flight.max(1) {
            let waiting = self.backlogs.values().filter(|b| b.under_way.is_none());
            let at = waiting.map(|b| b.not_before).min();
            let at = at.map(|at| Wake::new(at.max(self.pause), "history"));
            wake = Wake::earlier(wake, at);
        }
        wake
    }

    /// Returns when the passing of time alone changes something.
    pub(crate) fn wake_at(&self) -> Option<Wake> {
        let open = self.sent.values().filter(|s| s.is_open);
        let first = open.map(|s| s.at).min();
        first.map(|at| Wake::new(at + self.limits.reply_timeout, "history overdue"))
    }

    /// Returns the next message, if there is one; its request has this id.
    pub(crate) fn take(&mut self, now: Mono, ask: RequestId) -> Option<HistoryMessage> {
        if !self.link || self.pause > now || self.open >= self.limits.in_flight.max(1) {
            return None;
        }
        let chosen = self.choose(now);
        let mut room = self.limits.values.max(1);
        let mut bytes = self.limits.bytes.saturating_sub(MESSAGE_BYTES);
        let mut left = chosen.len();
        let (mut message, mut values) = (Vec::new(), Vec::new());
        for device in chosen {
            let share = room.div_ceil(left.max(1));
            left -= 1;
            let Some(backlog) = self.backlogs.get_mut(&device) else {
                continue;
            };
            let (mut sequences, mut part) = (Vec::new(), HistoryPart::default());
            bytes = bytes.saturating_sub(PACKED_BYTES);
            for queued in backlog.values.iter().take(share.min(backlog.most)) {
                // With braces and a comma. A value that no message holds is sent all the
                // same, and refused by itself.
                let size = queued.text.len() + 3;
                if size > bytes && !(message.is_empty() && sequences.is_empty()) {
                    break;
                }
                bytes = bytes.saturating_sub(size);
                sequences.push(queued.at);
                match queued.event {
                    Some(_) => part.events.push(queued.text.clone()),
                    None => part.properties.push(queued.text.clone()),
                }
            }
            if sequences.is_empty() {
                break;
            }
            room = room.saturating_sub(sequences.len());
            backlog.under_way = Some(ask);
            values.push((device.clone(), sequences));
            message.push((device.clone(), part));
            // The device goes to the end of the turns.
            self.turns.retain(|d| *d != device);
            self.turns.push_back(device);
        }
        if message.is_empty() {
            return None;
        }
        self.open += 1;
        let sent = SentMessage {
            values,
            at: now,
            is_open: true,
        };
        self.sent.insert(ask, sent);
        self.order.push_back(ask);
        while self.order.len() > REMEMBERED + self.limits.in_flight
            && let Some(oldest) = self.order.pop_front()
        {
            self.sent.remove(&oldest);
        }
        Some(message)
    }

    /// Returns the devices of the next message, in turns. A device that is sent alone is
    /// alone in it.
    fn choose(&self, now: Mono) -> Vec<DeviceIdentity> {
        let mut chosen = Vec::new();
        for device in &self.turns {
            let Some(backlog) = self.backlogs.get(device) else {
                continue;
            };
            if backlog.under_way.is_some() || backlog.not_before > now {
                continue;
            }
            if backlog.is_alone {
                if chosen.is_empty() {
                    return vec![device.clone()];
                }
                continue;
            }
            chosen.push(device.clone());
            if chosen.len() >= self.limits.devices.max(1) {
                break;
            }
        }
        chosen
    }

    // --- replies ----------------------------------------------------------------------

    /// Takes the reply to a message; returns whether it was one of ours.
    pub(crate) fn answered(
        &mut self,
        now: Mono,
        ask: RequestId,
        code: Code,
        words: &str,
        named: &[DeviceIdentity],
    ) -> bool {
        let Some(sent) = self.sent.remove(&ask) else {
            return false;
        };
        self.order.retain(|a| *a != ask);
        self.open -= usize::from(sent.is_open);
        let was_open = self.release(ask, &sent);
        match code.meaning_kind() {
            CodeMeaning::Accepted => {
                self.throttled.reset();
                self.troubles = 0;
                self.is_proven |= self.form == HistoryForm::History;
                self.accepted(&sent);
            }
            // What is sent again meanwhile gets a reply of its own.
            _ if !was_open => {}
            CodeMeaning::Throttled => {
                let wait = self.throttled.failed(now, &mut self.rng);
                self.pause = now + wait;
            }
            CodeMeaning::Trouble => {
                self.troubles += 1;
                self.put_off(now, &sent);
                if self.troubles >= SPLIT_AFTER_FAILURES {
                    self.take_apart(now, &sent, code, words, named);
                }
            }
            CodeMeaning::Request
            | CodeMeaning::NoSession
            | CodeMeaning::Full
            | CodeMeaning::Device { .. }
            | CodeMeaning::Unknown => self.take_apart(now, &sent, code, words, named),
        }
        true
    }

    /// Takes note that the devices of a message are no longer under way in it; returns
    /// whether any was.
    fn release(&mut self, ask: RequestId, sent: &SentMessage) -> bool {
        let mut any = false;
        for (device, _) in &sent.values {
            if let Some(backlog) = self.backlogs.get_mut(device)
                && backlog.under_way == Some(ask)
            {
                backlog.under_way = None;
                any = true;
            }
            self.forget_if_empty(device);
        }
        any
    }

    fn accepted(&mut self, sent: &SentMessage) {
        let mut count: i64 = 0;
        for (device, sequences) in &sent.values {
            for sequence in sequences {
                if self.known.remove(sequence) {
                    self.settle(*sequence);
                    count += 1;
                }
            }
            if let Some(left_out) = self.left_out.get_mut(device) {
                // A late reply: what is left of the device is sent soon.
                left_out.until = Mono::START;
                left_out.backoff.reset();
            }
            let known = &self.known;
            if let Some(backlog) = self.backlogs.get_mut(device) {
                let accepted = backlog.values.iter().filter(|q| !known.contains(&q.at));
                for event in accepted.filter_map(|queued| queued.stored_event(device)) {
                    count -= 1;
                    self.events.push(HistoryEvent::EventAccepted(event));
                }
                backlog.values.retain(|queued| known.contains(&queued.at));
                backlog.most = (backlog.most * 2).min(self.limits.values);
                backlog.is_alone &= backlog.most < self.limits.values;
                backlog.not_before = Mono::START;
                backlog.again.reset();
            }
            self.forget_if_empty(device);
        }
        if let Some(count) = u64::try_from(count).ok().filter(|n| *n > 0) {
            self.events.push(HistoryEvent::Accepted(count));
        }
    }

    fn settle(&mut self, at: StorePosition) {
        self.settled.push(at);
        if self.is_reading {
            self.settled_meanwhile.insert(at);
        }
    }

    fn forget_if_empty(&mut self, device: &DeviceIdentity) {
        let is_empty = |b: &DeviceBacklog| b.values.is_empty() && b.under_way.is_none();
        if self.backlogs.get(device).is_some_and(is_empty) {
            self.backlogs.remove(device);
            self.turns.retain(|d| d != device);
        }
    }

    /// Sends the devices of a message again later.
    fn put_off(&mut self, now: Mono, sent: &SentMessage) {
        for (device, _) in &sent.values {
            if let Some(backlog) = self.backlogs.get_mut(device) {
                let wait = backlog.again.failed(now, &mut self.rng);
                backlog.not_before = now + wait;
            }
        }
    }

    /// Searches a refused message for what is to blame.
    fn take_apart(
        &mut self,
        now: Mono,
        sent: &SentMessage,
        code: Code,
        words: &str,
        named: &[DeviceIdentity],
    ) {
        let is_told = |device: &DeviceIdentity| named.contains(device);
        let told = sent.values.iter().filter(|(d, _)| is_told(d)).count();
        let telling = told > 0 && told < sent.values.len();
        for (device, sequences) in &sent.values {
            if telling && !is_told(device) {
                continue;
            }
            let is_found = sent.values.len() == 1 || (telling && told == 1);
            match (code.meaning_kind(), sequences.as_slice()) {
                _ if !is_found => {
                    if let Some(backlog) = self.backlogs.get_mut(device) {
                        backlog.is_alone = true;
                    }
                }
                (CodeMeaning::NoSession | CodeMeaning::Device { .. } | CodeMeaning::Full, _)
                | (CodeMeaning::Trouble, [_]) => self.leave_out(now, device, Some(code), words),
                (_, [one]) => self.drop_value(device, *one, code, words),
                (_, several) => {
                    if let Some(backlog) = self.backlogs.get_mut(device) {
                        backlog.is_alone = true;
                        backlog.most = (several.len() / 2).max(1);
                    }
                }
            }
        }
    }

    fn drop_value(&mut self, device: &DeviceIdentity, at: StorePosition, code: Code, words: &str) {
        if !self.is_proven && self.form == HistoryForm::History {
            return self.use_form(HistoryForm::Posts);
        }
        self.known.remove(&at);
        self.settle(at);
        if let Some(backlog) = self.backlogs.get_mut(device)
            && let Some(index) = backlog.values.iter().position(|q| q.at == at)
            && let Some(queued) = backlog.values.remove(index)
        {
            self.events.push(HistoryEvent::Refused {
                device: device.clone(),
                event: queued.stored_event(device),
                code,
                message: words.to_owned(),
            });
        }
        self.forget_if_empty(device);
    }

    /// Leaves a device's values in the store for a while.
    fn leave_out(&mut self, now: Mono, device: &DeviceIdentity, code: Option<Code>, words: &str) {
        let backlog = self.backlogs.remove(device);
        self.turns.retain(|d| d != device);
        let values = backlog.map(|b| b.values).unwrap_or_default();
        for queued in &values {
            self.known.remove(&queued.at);
        }
        let left_out = self.left_out.entry(device.clone());
        let left_out = left_out.or_insert_with(|| LeftOutDevice::new(now));
        let retry_in = left_out.backoff.failed(now, &mut self.rng);
        left_out.is_out = true;
        left_out.until = now + retry_in;
        left_out.from = values.front().map(|queued| queued.at);
        self.events.push(HistoryEvent::LeftOut {
            device: device.clone(),
            code,
            message: words.to_owned(),
            retry_in,
        });
    }

    /// Takes note of the time: gives up replies that are overdue. Returns how many there
    /// were.
    pub(crate) fn on_time(&mut self, now: Mono) -> u64 {
        let timeout = self.limits.reply_timeout;
        let overdue = |s: &&SentMessage| s.is_open && s.at + timeout <= now;
        let overdue: Vec<RequestId> = self
            .order
            .iter()
            .filter(|ask| self.sent.get(ask).as_ref().is_some_and(overdue))
            .copied()
            .collect();
        for ask in &overdue {
            let Some(sent) = self.sent.get_mut(ask) else {
                continue;
            };
            sent.is_open = false;
            self.open -= 1;
            let sent = sent.clone();
            self.release(*ask, &sent);
            self.put_off(now, &sent);
            for (device, _) in &sent.values {
                let unanswered = self.backlogs.get(device);
                let unanswered = unanswered.map_or(0, |b| b.again.failures());
                if unanswered >= MOST_UNANSWERED && !self.is_proven {
                    self.use_form(HistoryForm::Posts);
                } else if unanswered >= MOST_UNANSWERED {
                    self.leave_out(now, device, None, "");
                }
            }
        }
        overdue.len() as u64
    }

    // --- what is told -----------------------------------------------------------------

    /// Returns the values that need not be kept any more.
    pub(crate) fn take_settled(&mut self) -> Vec<StorePosition> {
        std::mem::take(&mut self.settled)
    }

    /// Returns what became of values since the last call.
    pub(crate) fn take_events(&mut self) -> Vec<HistoryEvent> {
        std::mem::take(&mut self.events)
    }
}

//! How the engine uses the store: what goes there, and what comes back. The files are the
//! caller's.

use std::time::Duration;

use std::cell::Cell;

use crate::base::{
    Mono, Now, Reading, RequestId, StorePosition, StoredReading, StoredTime, StoredValue,
    ThingEvent, ThingEventOutcome, Wake,
};
use crate::cloud::Session;
use crate::cloud::alink::engine::{Cloud, Output};
use crate::cloud::alink::event_posts::MOST;
use crate::cloud::alink::events::CloudLogEvent;
use crate::cloud::alink::history::spill::{self, ReadingsInMemory, SpillOutcome};
use crate::cloud::alink::history::{HistoryEvent, HistoryLimits, StoredEvent, ToPost};
use crate::cloud::alink::publish::LIVE_FOR;
use crate::cloud::alink::wire::payload::{Reply, history_post};
use crate::cloud::alink::wire::topic::{DeviceIdentity, Topic};
use crate::spec::{Durability, Spec};

/// Returns the limits of messages with stored values. The platform publishes none; those of a
/// pack are kept.
pub(super) fn history_limits(spec: &Spec) -> HistoryLimits {
    let post = &spec.cloud.post;
    HistoryLimits {
        values: post.pack_properties,
        bytes: post.message_bytes,
        devices: post.pack_devices,
        in_flight: post.in_flight,
        reply_timeout: post.reply_timeout,
        posts: post.queue / 4,
    }
}

impl Cloud {
    /// Takes note that there is a store, and whether anything is in it. Until then nothing is
    /// stored.
    pub fn on_store_open(&mut self, _now: Now, has_values: bool) {
        self.spill.open();
        if has_values {
            self.history.stored(StorePosition::START);
        }
    }

    /// Takes the result of [`Output::Store`]: where the readings are, from the first on; `None`
    /// stands for one that the store dropped and counted. Those for which there is no answer
    /// are not stored.
    pub fn on_stored(&mut self, now: Now, at: &[Option<StorePosition>]) {
        let mut undated = Vec::new();
        self.outbox.count().stored += at.len() as u64;
        for outcome in self.spill.stored(now.mono, at, &self.identities) {
            match outcome {
                SpillOutcome::Left(at) => self.history.stored(at),
                SpillOutcome::Send(reading, at) => {
                    let device = reading.device;
                    self.outbox.count().readings += u64::from(at.is_some());
                    self.posts.put(now, reading, at, &mut self.outbox);
                    if self.leaving.has(device) || self.stop.is_on() {
                        self.posts.send_without_waiting(now.mono, device);
                    }
                }
                SpillOutcome::Wait(number, reading) => {
                    self.posts.put_back(now.mono, number, reading)
                }
                SpillOutcome::Undated(reading) => undated.push(reading),
                SpillOutcome::Dropped => {}
                SpillOutcome::Event(number, at) => {
                    if let Some((event, at)) = self.events.on_stored(number, at) {
                        let outcome = match at {
                            Some(_) => ThingEventOutcome::Stored,
                            None => ThingEventOutcome::Dropped,
                        };
                        self.event_outcome(&event, outcome);
                        if let Some(at) = at {
                            self.history.stored(at);
                        }
                    }
                }
                SpillOutcome::Unknown => self.outbox.count().dropped_unknown += 1,
            }
        }
        self.timestamps.put_back(undated);
        // They may have waited for the store while the clock was set.
        self.date_readings(now);
    }

    /// Takes note that there is no store any more: what was handed over waits in memory again.
    pub fn on_store_gone(&mut self, now: Now) {
        self.on_stored(now, &[]);
        self.spill.close();
        self.history.store_gone();
    }

    /// Takes the values that [`Output::ReadStore`] asked for; there are more from `next` on.
    pub fn on_read(
        &mut self,
        now: Now,
        readings: Vec<(StorePosition, StoredReading)>,
        next: Option<StorePosition>,
    ) {
        let timestamps = &self.timestamps;
        let date = |at: StoredTime| match at {
            StoredTime::Wall(at) => Some(at),
            StoredTime::SinceBoot(ms) => timestamps.wall_at(ms),
        };
        let (identities, sessions) = (&self.identities, &self.sessions);
        // Events that are posted leave room for new ones.
        let room = Cell::new((MOST / 2).saturating_sub(self.events.len()));
        let can_post = |who: &DeviceIdentity, reading: &StoredReading| {
            let id = identities.id(who);
            let is_online = id.is_some_and(|id| sessions.session(id) == Session::In);
            let is_event = matches!(reading.value, StoredValue::Event(_));
            if is_online && is_event {
                let left = room.get();
                room.set(left.saturating_sub(1));
                return left > 0;
            }
            is_online
        };
        // What is in memory as well is on its way, or will be left to the store.
        let readings = readings.into_iter();
        let events = self.events.positions();
        let readings = readings
            .filter(|(at, _)| !self.posts.has_stored(*at) && !events.contains(at))
            .collect();
        let to_post = self
            .history
            .on_read(now.mono, readings, next, date, can_post);
        for one in to_post {
            self.post_stored(now, one);
        }
        self.tell_history(now.mono);
    }

    /// Posts a stored value as live values are, behind them.
    fn post_stored(&mut self, now: Now, one: ToPost) {
        let ToPost { at, reading, wall } = one;
        let who = DeviceIdentity {
            product_key: reading.product_key,
            device_name: reading.device_name,
        };
        let device = self.identities.id(&who);
        let points = device.and_then(|id| Some(&self.spec.device(id)?.profile.points));
        let point = points.and_then(|all| all.iter().position(|p| p.id == *reading.identifier));
        let point = point.and_then(|point| u16::try_from(point).ok());
        // No longer live, and not yet so old that it would go back to the store.
        let age = self.spec.cloud.post.linger + LIVE_FOR + Duration::from_millis(1);
        let mono = Mono::START + now.mono.since(Mono::START).saturating_sub(age);
        let read = Now { mono, wall };
        match (reading.value, device, point) {
            (StoredValue::Property(value), Some(device), Some(point)) => {
                let reading = Reading {
                    device,
                    point,
                    value,
                    at: read,
                };
                self.posts.put(now, reading, Some(at), &mut self.outbox);
            }
            (StoredValue::Event(data), Some(device), _) if self.spec.has(device) => {
                let event = ThingEvent {
                    device,
                    id: reading.identifier,
                    data,
                    at: read,
                };
                self.enqueue_event(now, event, true, Some(at));
            }
            (value, ..) => {
                // The point or the device is not configured any more, and no post can be made.
                match value {
                    StoredValue::Property(_) => self.outbox.count().dropped_unknown += 1,
                    StoredValue::Event(_) => self.outbox.count().events_dropped_unknown += 1,
                }
                self.history.posted(&[], &[at]);
                self.out.push_back(Output::Settle(vec![at]));
            }
        }
    }

    /// Takes note that the store could not be read from there on.
    pub fn on_read_failed(&mut self, now: Now, from: StorePosition) {
        self.history.read_failed(now.mono, from);
    }

    // --- time -------------------------------------------------------------------------

    fn memory(&self) -> ReadingsInMemory {
        let waiting = self.posts.oldest_read_at();
        let undated = self.timestamps.oldest_read_at();
        let mut memory = ReadingsInMemory {
            oldest: waiting.into_iter().chain(undated).min(),
            readings: self.posts.len() + self.timestamps.unstamped(),
            has_history: self.history.is_ahead_of_memory(),
            events: None,
        };
        let (oldest, new) = self.events.oldest_read_at();
        let reply_timeout = memory.reply_timeout(&self.spec);
        let left = oldest.map(|at| match self.events.is_half_full() {
            true => Mono::START,
            false => at + reply_timeout,
        });
        let store = &self.spec.cloud.store;
        let new = new.filter(|_| store.durable == Durability::Always);
        let new = new.map(|at| at + store.gather());
        memory.events = left.into_iter().chain(new).min();
        memory
    }

    /// Returns when readings go to the store.
    pub(super) fn spill_due(&self) -> Option<Wake> {
        self.spill.due(self.memory(), &self.spec)
    }

    /// Returns when stored values are read or sent. They end with the wish to be online.
    pub(super) fn history_due(&self) -> Option<Wake> {
        self.history.due().filter(|_| !self.stop.is_on())
    }

    /// Keeps back the readings that are no longer live while older values of their devices
    /// are, or may be, in the store.
    pub(super) fn keep_order(&mut self, now: Mono) {
        let is_older_stored = self.history.is_ahead_of_memory() || self.spill.has_handed();
        let is_working = self.spill.is_working(now, &self.spec);
        let holds = is_older_stored && is_working;
        self.posts.hold_backlog(now, holds);
        let held_before = match holds {
            true => now.before(self.spec.cloud.post.linger + LIVE_FOR),
            false => Mono::START,
        };
        let is_first = self.spec.cloud.store.durable == Durability::Always && is_working;
        self.events.hold(held_before, is_first);
    }

    /// Does one thing about the store that is due; returns whether there was one.
    pub(super) fn serve_store(&mut self, now: Now) -> bool {
        let mono = now.mono;
        let due = |wake: Option<Wake>| wake.is_some_and(|w| w.at <= mono);
        let unwanted = self.spill.take_unwanted(mono, &self.spec);
        let mut released = self.posts.take_released();
        released.append(&mut self.events.take_released());
        if !unwanted.is_empty() || !released.is_empty() {
            for reading in unwanted {
                self.posts.put(now, reading, None, &mut self.outbox);
            }
            for at in released {
                self.history.released(at);
            }
            return true;
        }
        if self.settle_posted() {
            return true;
        }
        if due(self.history.wake_at()) {
            self.outbox.count().unanswered += self.history.on_time(mono);
            return true;
        }
        if due(self.spill_due()) {
            let memory = self.memory();
            let before = self.spill.before(mono, memory, &self.spec);
            let in_order = !memory.is_nearly_full(&self.spec);
            let waiting = self.posts.take_oldest(mono, before, spill::GROUP, in_order);
            let undated = self.timestamps.take_oldest(before, spill::GROUP);
            let left_before = match self.events.is_half_full() {
                true => mono,
                false => before,
            };
            let all = self.spec.cloud.store.durable == Durability::Always;
            let events = self.events.hand_over(left_before, all, spill::GROUP);
            let (stored, gone) = self
                .spill
                .hand_over(mono, waiting, undated, events, &self.spec);
            self.outbox.count().dropped_unknown += gone as u64;
            if !stored.is_empty() {
                self.out.push_back(Output::Store(stored));
            }
            return true;
        }
        if self.stop.is_on() {
            return false;
        }
        if let Some((from, most)) = self.history.take_read(mono) {
            self.out.push_back(Output::ReadStore { from, most });
            return true;
        }
        if self.link && due(self.paced(self.history_due())) {
            return self.send_history(mono);
        }
        false
    }

    /// Lets values leave the store whose posts were accepted or refused; returns whether there
    /// were any.
    fn settle_posted(&mut self) -> bool {
        let (mut accepted, mut refused) = (self.posts.take_settled(), self.posts.take_refused());
        let (mut events, mut refused_events) = self.events.take_settled();
        accepted.append(&mut events);
        refused.append(&mut refused_events);
        if accepted.is_empty() && refused.is_empty() {
            return false;
        }
        self.history.posted(&accepted, &refused);
        let all = accepted.into_iter().chain(refused).collect();
        self.out.push_back(Output::Settle(all));
        true
    }

    /// Sends one message of stored values; returns whether there was one.
    fn send_history(&mut self, now: Mono) -> bool {
        let id = self.pending.id();
        let Some(message) = self.history.take(now, id) else {
            return false;
        };
        let payload = history_post(id, &message);
        self.outbox.count().history_messages += 1;
        self.event_turns.count_values_message();
        let topic = Topic::History(self.identities.gateway().clone());
        self.publish(now, topic, payload);
        true
    }

    /// Takes the reply to a message of stored values.
    pub(super) fn history_answered(&mut self, now: Mono, id: RequestId, reply: &Reply) {
        let words = &reply.message;
        let is_ours = self
            .history
            .answered(now, id, reply.code, words, &reply.named);
        if !is_ours {
            self.outbox.count().unknown_replies += 1;
        }
        self.tell_history(now);
    }

    /// Counts and reports what became of stored values.
    fn tell_history(&mut self, now: Mono) {
        let settled = self.history.take_settled();
        if !settled.is_empty() {
            self.out.push_back(Output::Settle(settled));
        }
        for event in self.history.take_events() {
            match event {
                HistoryEvent::Accepted(values) => self.outbox.count().replayed += values,
                HistoryEvent::EventAccepted(event) => {
                    self.outbox.count().events_delivered += 1;
                    self.stored_event_outcome(event, ThingEventOutcome::Delivered);
                }
                HistoryEvent::Refused {
                    event: Some(event),
                    code,
                    message,
                    ..
                } => {
                    self.event_refused(now, &event.device, &event.id, code, &message);
                    self.stored_event_outcome(event, ThingEventOutcome::Refused);
                }
                HistoryEvent::Refused {
                    device,
                    event: None,
                    code,
                    message,
                } => {
                    self.outbox.count().history_refused += 1;
                    let refused = match self.identities.id(&device) {
                        Some(device) => CloudLogEvent::PostRefused {
                            device,
                            code,
                            message,
                            dropped: 1,
                        },
                        None => CloudLogEvent::StoredValuesRefused {
                            who: device.to_string(),
                            code,
                            message,
                            dropped: 1,
                        },
                    };
                    self.outbox.often(now, refused);
                }
                HistoryEvent::LeftOut {
                    device,
                    code,
                    message,
                    retry_in,
                } => {
                    self.outbox.count().history_left_out += 1;
                    let held = CloudLogEvent::StoredValuesHeld {
                        device: self.identities.id(&device),
                        who: device.to_string(),
                        code,
                        message,
                        retry_in,
                    };
                    self.outbox.often(now, held);
                }
            }
        }
    }

    /// Reports what became of an event of the store, if its device is configured.
    fn stored_event_outcome(&mut self, event: StoredEvent, outcome: ThingEventOutcome) {
        let Some(device) = self.identities.id(&event.device) else {
            return;
        };
        self.out.push_back(Output::ThingEvent {
            device,
            id: event.id,
            at: Now {
                mono: Mono::START,
                wall: event.wall,
            },
            outcome,
        });
    }

    /// Hands everything that is not delivered to the store, at the end of the process.
    pub(super) fn store_the_rest(&mut self, now: Mono) {
        if !self.spill.is_open(&self.spec) {
            return;
        }
        // What was handed over is stored before what follows; no answer is waited for.
        self.outbox.count().stored += self.spill.take_handed() as u64;
        let rest = self.posts.take_all(now, &mut self.outbox);
        self.settle_posted();
        let undated = self.timestamps.take_all();
        let mut new = self.spill.take_gathered();
        new.append(&mut self.spill.take_late());
        let asked = rest.len() + undated.len() + new.len();
        let rest = rest.iter().map(|(_, reading)| (reading, true));
        let all = rest
            .chain(new.iter().map(|reading| (reading, true)))
            .chain(undated.iter().map(|reading| (reading, false)));
        let all = all.filter_map(|(r, is_dated)| spill::stored(r, &self.spec, is_dated));
        let mut all: Vec<StoredReading> = all.collect();
        let events = self.events.take_all();
        let count = all.len();
        all.extend(
            events
                .iter()
                .filter_map(|(event, is_dated)| spill::stored_event(event, &self.spec, *is_dated)),
        );
        let counters = self.outbox.count();
        counters.stored += all.len() as u64;
        counters.dropped_unknown += (asked - count) as u64;
        if !all.is_empty() {
            self.out.push_back(Output::Store(all));
        }
    }
}

//! Events of the thing model on their way to the platform: one message each, until the
//! platform's own reply has accepted it.
//!
//! All events that are not settled and not left to the store are here, whatever they wait for:
//! the session of their device, the time, the store, a reply. Within a device they are sent
//! oldest first and one at a time, so that an event that is lost is not overtaken by the next;
//! different devices do not wait for each other. An event without a reply is sent again with the
//! same time: a repeat is harmless, a loss is not.
//!
//! As with values, an event that is still live may overtake older ones that are in the store;
//! those that are no longer live go there behind them.
//!
//! What a refusal means: too often (429) makes all events wait; a failure of the platform makes
//! the events of the device wait; a refusal that is about the device gives the event back until
//! its session is there; any other is about the event. That event is dropped, and the next goes.
//!
//! Which share of the messages events get is decided by the engine. Which events go to the store
//! is decided in `engine/store.rs`, by the rules of [`super::history::spill`].
//!
//! Invariants:
//! - An event leaves only delivered, refused by itself, left to the store, or dropped and counted.
//! - No event is sent for a device without a session, nor two at once for one device.
//! - At most [`MOST`] events are in memory, and at most [`IN_FLIGHT`] are under way.

mod queue;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::base::{Backoff, DeviceId, Mono, RequestId, Rng, StorePosition, ThingEvent, Wake, Wall};
use crate::cloud::alink::requests::pace::MINUTE;
use crate::cloud::alink::wire::code::CodeMeaning;
use crate::cloud::alink::wire::payload::Reply;

pub(crate) use queue::EventNumber;
use queue::Queue;

/// How many events may be in memory. Each is at most as large as a message, and usually a few
/// hundred bytes. An event a second for a quarter of an hour finds room without a store.
pub(crate) const MOST: usize = 1_000;
/// How many events may be under way: a second of the connection's usual pace.
const IN_FLIGHT: usize = 30;
/// How many transmissions are remembered after their replies were given up: a reply that comes
/// late settles its event all the same.
const REMEMBERED: usize = 64;
/// The first wait before an event is sent again that was not answered or on which the platform
/// failed, and the longest.
const AGAIN: Duration = Duration::from_secs(1);

/// What became of an event by a reply.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum EventReply {
    /// The event is settled: the platform accepted it.
    Accepted(ThingEvent),
    /// The event is settled: the platform refused it by itself.
    Refused(ThingEvent),
    /// The platform asks for fewer messages; the event waits.
    Throttled,
    /// The platform has failed; the event waits.
    Trouble,
    /// The device has no session; the event waits for it.
    Gone,
    /// The event is settled, or on its way again.
    Late,
    /// It is a reply to none of the events.
    Unknown,
}

/// Why an event needs no more messages.
#[derive(Clone, Copy, Debug)]
enum Settled {
    Delivered,
    Refused,
}

/// A transmission of an event.
#[derive(Clone, Copy, Debug)]
struct Transmission {
    number: EventNumber,
    device: DeviceId,
    overdue: Mono,
}

/// The devices whose last event was not answered or met a failure.
#[derive(Clone, Debug)]
struct Delay {
    not_before: Mono,
    again: Backoff,
}

/// The events on their way. See above for the invariants.
#[derive(Clone, Debug)]
pub(crate) struct EventPosts {
    queue: Queue,
    sent: BTreeMap<RequestId, Transmission>,
    /// The same in the order in which they were sent.
    order: VecDeque<RequestId>,
    /// The transmission under way of each device.
    under_way: BTreeMap<DeviceId, RequestId>,
    delays: BTreeMap<DeviceId, Delay>,
    /// Before when nothing is sent.
    pause: Mono,
    throttled: Backoff,
    /// Events read before this time wait: older ones are in the store.
    held_before: Mono,
    /// Whether events are sent only once they are in the store.
    store_first: bool,
    /// Positions in the store whose events were delivered.
    delivered: Vec<StorePosition>,
    /// Positions in the store whose events were refused for good.
    refused: Vec<StorePosition>,
    /// Positions whose events are no longer in memory.
    released: Vec<StorePosition>,
    rng: Rng,
}

impl EventPosts {
    pub(crate) fn new(rng: Rng) -> Self {
        EventPosts {
            queue: Queue::default(),
            sent: BTreeMap::new(),
            order: VecDeque::new(),
            under_way: BTreeMap::new(),
            delays: BTreeMap::new(),
            pause: Mono::START,
            throttled: Backoff::new(AGAIN, MINUTE),
            held_before: Mono::START,
            store_first: false,
            delivered: Vec::new(),
            refused: Vec::new(),
            released: Vec::new(),
            rng,
        }
    }

    /// Takes an event, with its right time of the wall clock if `is_dated`; `stored` is its
    /// position in the store, if it is there. Returns an event that had to give way, which may
    /// be this one.
    pub(crate) fn put(
        &mut self,
        event: ThingEvent,
        is_dated: bool,
        stored: Option<StorePosition>,
    ) -> Option<ThingEvent> {
        let mut dropped = None;
        if self.queue.len() >= MOST {
            let under_way = &self.under_way;
            match self
                .queue
                .take_oldest_idle(|id| under_way.contains_key(&id))
            {
                // What is in the store as well is delivered from there.
                Some((_, Some(at))) => self.released.push(at),
                Some((oldest, None)) => dropped = Some(oldest),
                None => match stored {
                    Some(at) => {
                        self.released.push(at);
                        return None;
                    }
                    None => return Some(event),
                },
            }
        }
        self.queue.push(event, is_dated, stored);
        dropped
    }

    /// Dates the events that wait for the time.
    pub(crate) fn date(&mut self, stamp: impl Fn(&ThingEvent) -> Option<Wall>) {
        self.queue.date(stamp);
    }

    /// Keeps back the events that were read before this time, and those that are not in the
    /// store, if they go there first.
    pub(crate) fn hold(&mut self, held_before: Mono, store_first: bool) {
        self.held_before = held_before;
        self.store_first = store_first;
    }

    // --- sending --------------------------------------------------------------------

    /// Returns the next event of each device that may be sent now or later, the time before
    /// which it may not, and its number, oldest event first.
    fn ready(&self, is_in: impl Fn(DeviceId) -> bool) -> impl Iterator<Item = (EventNumber, Mono)> {
        let (held_before, store_first) = (self.held_before, self.store_first);
        let idle = self.queue.heads().filter(move |(_, device, head)| {
            let is_held = head.at() < held_before || store_first && head.stored().is_none();
            head.is_sendable() && !is_held && is_in(*device)
        });
        let idle = idle.filter(|(_, device, _)| !self.under_way.contains_key(device));
        idle.map(|(number, device, _)| {
            let delay = self.delays.get(&device).map(|delay| delay.not_before);
            (number, delay.unwrap_or(Mono::START).max(self.pause))
        })
    }

    /// Returns when there is an event to send. `is_in` tells which device has a session.
    pub(crate) fn due(&self, is_in: impl Fn(DeviceId) -> bool) -> Option<Wake> {
        if self.queue.is_empty() || self.under_way.len() >= IN_FLIGHT {
            return None;
        }
        let at = self.ready(is_in).map(|(_, at)| at).min()?;
        Some(Wake::new(at, "event"))
    }

    /// Returns the next event to be sent in the message with this id; its reply is overdue
    /// after `reply_timeout`.
    pub(crate) fn take(
        &mut self,
        now: Mono,
        ask: RequestId,
        reply_timeout: Duration,
        is_in: impl Fn(DeviceId) -> bool,
    ) -> Option<&ThingEvent> {
        if self.under_way.len() >= IN_FLIGHT {
            return None;
        }
        let ready = self.ready(is_in).filter(|(_, at)| *at <= now);
        let number = ready.map(|(number, _)| number).min()?;
        let event = self.queue.get(number)?;
        let one = Transmission {
            number,
            device: event.device,
            overdue: now + reply_timeout,
        };
        self.under_way.insert(one.device, ask);
        self.sent.insert(ask, one);
        self.order.push_back(ask);
        while self.order.len() > REMEMBERED + IN_FLIGHT
            && let Some(oldest) = self.order.pop_front()
        {
            self.sent.remove(&oldest);
        }
        Some(event)
    }

    /// Takes the reply to a message, by the topic of this device.
    pub(crate) fn answered(
        &mut self,
        now: Mono,
        ask: RequestId,
        device: Option<DeviceId>,
        reply: &Reply,
    ) -> EventReply {
        let one = self.sent.get(&ask).copied();
        let Some(one) = one.filter(|one| Some(one.device) == device) else {
            return EventReply::Unknown;
        };
        self.sent.remove(&ask);
        self.order.retain(|a| *a != ask);
        let was_open = self.under_way.get(&one.device) == Some(&ask);
        if was_open {
            self.under_way.remove(&one.device);
        }
        match reply.code.meaning_kind() {
            CodeMeaning::Accepted => {
                self.throttled.reset();
                self.delays.remove(&one.device);
                self.settle(one.number, Settled::Delivered)
                    .map_or(EventReply::Late, EventReply::Accepted)
            }
            // What is sent again meanwhile gets a reply of its own.
            _ if !was_open => EventReply::Late,
            CodeMeaning::Throttled => {
                self.pause = now + self.throttled.failed(now, &mut self.rng);
                EventReply::Throttled
            }
            CodeMeaning::Trouble | CodeMeaning::Full => {
                self.put_off(now, one.device);
                EventReply::Trouble
            }
            CodeMeaning::NoSession | CodeMeaning::Device { .. } => {
                self.put_off(now, one.device);
                EventReply::Gone
            }
            CodeMeaning::Request | CodeMeaning::Unknown => {
                self.delays.remove(&one.device);
                self.settle(one.number, Settled::Refused)
                    .map_or(EventReply::Late, EventReply::Refused)
            }
        }
    }

    /// Removes an event that needs no more messages.
    fn settle(&mut self, number: EventNumber, how: Settled) -> Option<ThingEvent> {
        let (event, stored) = self.queue.remove(number)?;
        match how {
            Settled::Delivered => self.delivered.extend(stored),
            Settled::Refused => self.refused.extend(stored),
        }
        Some(event)
    }

    fn put_off(&mut self, now: Mono, device: DeviceId) {
        let delay = self.delays.entry(device).or_insert(Delay {
            not_before: now,
            again: Backoff::new(AGAIN, MINUTE),
        });
        delay.not_before = now + delay.again.failed(now, &mut self.rng);
    }

    /// Returns when the first reply is overdue.
    pub(crate) fn wake_at(&self) -> Option<Wake> {
        let open = self.under_way.values().filter_map(|ask| self.sent.get(ask));
        let at = open.map(|one| one.overdue).min()?;
        Some(Wake::new(at, "event overdue"))
    }

    /// Takes note of the time: gives up replies that are overdue. Returns how many there were.
    pub(crate) fn on_time(&mut self, now: Mono) -> u64 {
        let is_overdue = |ask: &RequestId| self.sent.get(ask).is_none_or(|one| one.overdue <= now);
        let overdue = self.under_way.iter().filter(|(_, ask)| is_overdue(ask));
        let overdue: Vec<DeviceId> = overdue.map(|(device, _)| *device).collect();
        for device in &overdue {
            self.under_way.remove(device);
            self.put_off(now, *device);
        }
        overdue.len() as u64
    }

    /// Takes note that the device has no session any more: what was under way waits again.
    pub(crate) fn left(&mut self, device: DeviceId) {
        self.under_way.remove(&device);
        self.delays.remove(&device);
    }

    /// Takes note that the connection is gone, and every reply with it.
    pub(crate) fn link_down(&mut self) {
        self.under_way.clear();
        self.delays.clear();
        self.sent.clear();
        self.order.clear();
        self.pause = Mono::START;
        self.throttled.reset();
    }

    // --- queries ----------------------------------------------------------------------

    /// Returns how many events are in memory.
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Returns whether events of this device wait to be sent.
    pub(crate) fn is_waiting(&self, device: DeviceId) -> bool {
        let is_sent = self.under_way.contains_key(&device);
        self.queue.of(device) > usize::from(is_sent)
    }

    /// Returns whether an event is under way, or could be sent to the platform in this session.
    pub(crate) fn has_last_events(&self, is_in: impl Fn(DeviceId) -> bool) -> bool {
        !self.under_way.is_empty() || self.ready(is_in).next().is_some()
    }

    /// Forgets the events of a device that is not configured any more; returns them, except
    /// those that are in the store.
    pub(crate) fn forget(&mut self, device: DeviceId) -> Vec<ThingEvent> {
        self.left(device);
        let gone = self.queue.remove_device(device);
        let mut dropped = Vec::new();
        for (event, stored) in gone {
            match stored {
                Some(at) => self.released.push(at),
                None => dropped.push(event),
            }
        }
        dropped
    }

    // --- the store --------------------------------------------------------------------

    /// Returns whether half of the room is used up.
    pub(crate) fn is_half_full(&self) -> bool {
        self.queue.len() > MOST / 2
    }

    /// Returns when the oldest event was read that could be left to the store, and the oldest of
    /// those that are not there.
    pub(crate) fn oldest_read_at(&self) -> (Option<Mono>, Option<Mono>) {
        self.queue
            .oldest_read_at(|id| self.under_way.contains_key(&id))
    }

    /// Hands over up to `most` events for the store: those that were read before this time,
    /// which are left to it; with `all`, also the others that are not there, which are sent once
    /// they are. An event under way keeps those behind it.
    pub(crate) fn hand_over(
        &mut self,
        before: Mono,
        all: bool,
        most: usize,
    ) -> Vec<(EventNumber, ThingEvent, bool)> {
        let under_way = &self.under_way;
        let is_under_way = |id| under_way.contains_key(&id);
        let (given, released) = self.queue.hand_over(before, all, most, is_under_way);
        self.released.extend(released);
        given
    }

    /// Takes note what became of an event that was handed over: `Some` with its position in the
    /// store, or with `None` if the store dropped and counted it; `None` if it is not stored.
    /// Returns it if it is no longer here, and its position if it is to be delivered from there.
    pub(crate) fn on_stored(
        &mut self,
        number: EventNumber,
        at: Option<Option<StorePosition>>,
    ) -> Option<(ThingEvent, Option<StorePosition>)> {
        if let (None, Some(Some(at))) = (self.queue.get(number), at) {
            // A reply has settled it meanwhile.
            self.delivered.push(at);
        }
        self.queue.on_stored(number, at)
    }

    /// Returns all events that are neither in the store nor handed over to it, at the end, and
    /// whether their time is right.
    pub(crate) fn take_all(&mut self) -> Vec<(ThingEvent, bool)> {
        self.link_down();
        self.queue.take_all()
    }

    /// Returns the positions in the store of events that are in memory, too.
    pub(crate) fn positions(&self) -> BTreeSet<StorePosition> {
        self.queue.positions()
    }

    /// Returns the positions in the store whose events were delivered, and those whose events
    /// were refused for good.
    pub(crate) fn take_settled(&mut self) -> (Vec<StorePosition>, Vec<StorePosition>) {
        (
            std::mem::take(&mut self.delivered),
            std::mem::take(&mut self.refused),
        )
    }

    /// Returns the positions in the store whose events are no longer in memory, and are to be
    /// delivered from there.
    pub(crate) fn take_released(&mut self) -> Vec<StorePosition> {
        std::mem::take(&mut self.released)
    }
}

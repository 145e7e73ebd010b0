//! How the engine sends events of the thing model, and which share of the messages they get.

use crate::base::{
    DeviceId, Mono, Now, RequestId, StorePosition, ThingEvent, ThingEventOutcome, Wake,
};
use crate::cloud::alink::engine::{Cloud, Output};
use crate::cloud::alink::event_posts::EventReply;
use crate::cloud::alink::events::CloudLogEvent;
use crate::cloud::alink::requests::pending::AnswerKind;
use crate::cloud::alink::session::replies::SessionLoss;
use crate::cloud::alink::wire::payload::{MESSAGE_BYTES, Reply, event_post};
use crate::cloud::alink::wire::topic::{DeviceIdentity, Topic};
use crate::cloud::{Code, Session};

/// While values wait, live or in the store, events get one message in this many at the most: an
/// alarm waits for two messages at the usual pace, and a bit that chatters takes no more.
const EVENT_SHARE: u32 = 3;

/// Whose turn it is, of events and of values.
#[derive(Clone, Copy, Debug)]
pub(super) struct EventTurns {
    /// How many messages with values were sent since the last event.
    others: u32,
}

impl EventTurns {
    pub(super) const fn new() -> Self {
        EventTurns {
            others: EVENT_SHARE,
        }
    }

    /// Takes note of a message with values.
    pub(super) const fn count_values_message(&mut self) {
        self.others = self.others.saturating_add(1);
    }
}

impl Cloud {
    /// Takes an event to be delivered. While stopping, it is stored at the end, or dropped and
    /// counted if there is no store.
    pub fn put_event(&mut self, now: Now, mut event: ThingEvent) {
        self.outbox.count().events += 1;
        let wall = self.timestamps.stamp(event.at);
        event.at.wall = wall.unwrap_or(event.at.wall);
        self.enqueue_event(now, event, wall.is_some(), None);
    }

    /// Puts an event into the queue; `stored` is its position in the store, if it is there.
    pub(super) fn enqueue_event(
        &mut self,
        now: Now,
        event: ThingEvent,
        is_dated: bool,
        stored: Option<StorePosition>,
    ) {
        let device = event.device;
        if !self.spec.has(device) {
            self.outbox.count().events_dropped_unknown += 1;
            return;
        }
        let size = ThingEvent::data_text(&event.data).len() + event.id.len() * 2;
        let bytes = MESSAGE_BYTES + size;
        if bytes > self.spec.cloud.post.message_bytes {
            self.outbox.count().events_dropped_too_large += 1;
            let property = format!("event {}", event.id);
            let too_large = CloudLogEvent::TooLarge {
                device,
                property,
                bytes,
            };
            self.outbox.often(now.mono, too_large);
            return self.event_outcome(&event, ThingEventOutcome::Dropped);
        }
        if let Some(dropped) = self.events.put(event, is_dated, stored) {
            self.outbox.count().events_dropped_queue_full += 1;
            let full = CloudLogEvent::ThingEventsDropped { dropped: 1 };
            self.outbox.often(now.mono, full);
            self.event_outcome(&dropped, ThingEventOutcome::Dropped);
        }
        if self.leaving.has(device) || self.stop.is_on() {
            self.spill.shorten_waits();
        }
    }

    /// Reports what became of an event.
    pub(super) fn event_outcome(&mut self, event: &ThingEvent, outcome: ThingEventOutcome) {
        self.out.push_back(Output::ThingEvent {
            device: event.device,
            id: event.id.clone(),
            at: event.at,
            outcome,
        });
    }

    /// Returns when there is an event to send.
    pub(super) fn event_due(&self) -> Option<Wake> {
        let is_in = |id| self.sessions.session(id) == Session::In;
        (self.link && self.stop.may_post()).then(|| self.events.due(is_in))?
    }

    /// Returns whether it is the turn of events, while values wait or not.
    pub(super) const fn is_turn_of_events(&self, values_wait: bool) -> bool {
        !values_wait || self.event_turns.others + 1 >= EVENT_SHARE
    }

    /// Sends one event; returns whether there was one.
    pub(super) fn send_event(&mut self, now: Now) -> bool {
        let most = self.spec.cloud.post.reply_timeout;
        let reply_timeout = match self.stop.is_on() {
            false => self.pending.reply_timeout(AnswerKind::Others, most),
            true => self.last_timeout(),
        };
        let ask = self.pending.id();
        let sessions = &self.sessions;
        let is_in = |id: DeviceId| sessions.session(id) == Session::In;
        let Some(event) = self.events.take(now.mono, ask, reply_timeout, is_in) else {
            return false;
        };
        let payload = event_post(ask, &event.id, &event.data, event.at.wall);
        let who = self.identities.of(event.device).clone();
        let topic = Topic::Event(who, event.id.to_string());
        self.event_turns.others = 0;
        self.outbox.count().event_messages += 1;
        self.publish(now.mono, topic, payload);
        true
    }

    /// Takes the reply to an event of this device.
    pub(super) fn event_answered(
        &mut self,
        now: Now,
        who: &DeviceIdentity,
        ask: RequestId,
        reply: &Reply,
    ) {
        let mono = now.mono;
        let device = self.identities.id(who);
        match self.events.answered(mono, ask, device, reply) {
            EventReply::Accepted(event) => {
                self.outbox.count().events_delivered += 1;
                self.event_outcome(&event, ThingEventOutcome::Delivered);
            }
            EventReply::Refused(event) => {
                self.outbox.count().refused += 1;
                self.event_refused(mono, who, &event.id, reply.code, &reply.message);
                self.event_outcome(&event, ThingEventOutcome::Refused);
            }
            EventReply::Throttled => {
                self.outbox.count().refused += 1;
                self.outbox.count().throttled += 1;
            }
            EventReply::Trouble => {
                self.outbox.count().refused += 1;
                let trouble = CloudLogEvent::Trouble {
                    code: reply.code,
                    message: reply.message.clone(),
                    times: 1,
                };
                self.outbox.often(mono, trouble);
            }
            EventReply::Gone => {
                self.outbox.count().refused += 1;
                if let Some(device) = device {
                    self.session_news(mono, device, reply, SessionLoss::Post);
                }
                self.follow(mono);
            }
            EventReply::Late => self.outbox.count().late_replies += 1,
            EventReply::Unknown => self.outbox.count().unknown_replies += 1,
        }
    }

    /// Counts and reports an event that the platform refused by itself.
    pub(super) fn event_refused(
        &mut self,
        now: Mono,
        who: &DeviceIdentity,
        event: &str,
        code: Code,
        message: &str,
    ) {
        self.outbox.count().events_dropped_refused += 1;
        let refused = CloudLogEvent::ThingEventRefused {
            device: self.identities.id(who),
            who: who.to_string(),
            event: event.to_owned(),
            code,
            message: message.to_owned(),
            dropped: 1,
        };
        self.outbox.often(now, refused);
    }
}

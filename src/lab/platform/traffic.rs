//! Messages in both directions: which are accepted, how they count towards quotas, and
//! which reach which connection.

use std::time::Duration;

use super::fault::MessageFate;
use super::{Code, Conn, Device, Link, Output, Platform, PostOutOfSession};
use crate::base::Now;
use crate::lab::platform::messages::reply;
use crate::lab::platform::messages::reply::Request;
use crate::lab::platform::messages::topic;
use crate::lab::platform::messages::topic::{Kind, Topic};
use crate::lab::platform::record::ledger::{Event, Violation};

impl Platform {
    /// Handles a PUBLISH. `pkid` is its packet id above QoS 0.
    pub fn on_publish(
        &mut self,
        now: Now,
        conn: Conn,
        topic: &str,
        payload: &[u8],
        qos: u8,
        pkid: Option<u16>,
    ) {
        if !self.hears(now, conn) {
            return;
        }
        self.ledger.counts().received += 1;
        if qos > 1 {
            self.ledger.broke(Violation::Qos2, || topic.to_owned());
            self.close(now, conn, "QoS 2 is not supported");
            return;
        }
        if let (1, Some(pkid)) = (qos, pkid) {
            self.outbox.push(Output::PubAck { conn, pkid });
        }
        if self.exceeds_quota(now, conn, topic, payload, qos) {
            return;
        }
        if self.faults.loses_request() {
            self.ledger.counts().lost_requests += 1;
            return;
        }
        let Some(Link { gateway, .. }) = self.links.get(&conn) else {
            return;
        };
        let gateway = gateway.clone();
        if let Some(tail) = topic.strip_prefix("/ext/rrpc/") {
            // The topic names no device, and is answered on the topic it came on.
            return self.on_rrpc_answered(now, gateway, topic, tail, payload);
        }
        let Some(Topic { device, kind }) = Topic::parse(topic) else {
            self.ledger
                .broke(Violation::UnknownTopic, || topic.to_owned());
            return;
        };
        if qos > 0 && (device != gateway || matches!(kind, Kind::Session(_))) {
            self.ledger
                .broke(Violation::QosAboveZero, || topic.to_owned());
        }
        match kind {
            Kind::Session(_) | Kind::Ntp if device != gateway => {
                self.ledger
                    .broke(Violation::UnknownTopic, || format!("{gateway}: {topic}"));
            }
            Kind::Session(ask) => self.on_session_request(now, conn, &gateway, ask, topic, payload),
            Kind::Ntp => self.on_ntp(now, conn, &gateway, payload),
            // The answer of a device to being disabled comes when its session has
            // ended.
            Kind::Sys(tail)
                if topic::answers_an_order(tail) && self.accounts.contains_key(&device) =>
            {
                self.on_thing(now, conn, &gateway, device, tail, topic, payload);
            }
            Kind::Sys(_) | Kind::Ota | Kind::Custom
                if !self.speaks_for(now, conn, &gateway, &device, topic, payload) => {}
            Kind::Sys(tail) => {
                self.on_thing(now, conn, &gateway, device, tail, topic, payload);
            }
            Kind::Ota => self.on_ota(now, conn, device, topic, payload),
            Kind::Custom => {}
        }
    }

    /// Handles the answer to a call on `/ext/rrpc/{id}/…`: its parts if it is an Alink
    /// envelope, which it need not be.
    fn on_rrpc_answered(
        &mut self,
        now: Now,
        gateway: Device,
        topic: &str,
        tail: &str,
        payload: &[u8],
    ) {
        let answer = Request::parse(payload);
        if let Some(answer) = &answer {
            let call = tail.split('/').next();
            self.note_answer(now, topic, call, answer);
        }
        let (id, code, message) = answer
            .map(|a| (a.id, a.code, a.message))
            .unwrap_or_default();
        let replied = Event::Replied {
            device: gateway,
            tail: format!("rrpc/{tail}"),
            id,
            code,
            message,
        };
        self.ledger.event(now, replied);
    }

    /// Notes that a PUBLISH carried the retain flag, which the platform does not
    /// support; the shell reports it besides the message itself.
    pub fn on_retain(&mut self, _now: Now, conn: Conn) {
        self.ledger
            .broke(Violation::Retain, || format!("connection {}", conn.0));
    }

    /// Handles a SUBSCRIBE.
    pub fn on_subscribe(&mut self, now: Now, conn: Conn, filters: &[String], pkid: Option<u16>) {
        if !self.hears(now, conn) {
            return;
        }
        let too_many = filters.len() > self.limits.filters;
        let mut codes = Vec::with_capacity(filters.len());
        for filter in filters {
            let Some(link) = self.links.get(&conn) else {
                return;
            };
            let full = link.filters.len() >= self.limits.subscriptions
                && !link.filters.contains(filter.as_str());
            let refusal = if too_many || full {
                Some(Violation::TooManyFilters)
            } else if !self.may_subscribe(conn, filter) {
                Some(Violation::ForbiddenFilter)
            } else {
                None
            };
            match refusal {
                Some(rule) => {
                    self.ledger.broke(rule, || filter.clone());
                    codes.push(0x80);
                }
                None => {
                    if let Some(link) = self.links.get_mut(&conn) {
                        link.filters.insert(filter.clone());
                    }
                    codes.push(0);
                }
            }
        }
        self.outbox.push(Output::SubAck { conn, pkid, codes });
    }

    /// Handles an UNSUBSCRIBE. The documents do not say whether it counts as a sign of
    /// life; the published list does not name it, so it does not.
    pub fn on_unsubscribe(&mut self, _now: Now, conn: Conn, filters: &[String], pkid: Option<u16>) {
        if self.faults.is_deaf() {
            return;
        }
        if let Some(link) = self.links.get_mut(&conn) {
            for filter in filters {
                link.filters.remove(filter.as_str());
            }
            self.outbox.push(Output::UnsubAck { conn, pkid });
        }
    }

    /// Checks sizes and rates; messages above them are dropped silently ("Limits").
    fn exceeds_quota(
        &mut self,
        now: Now,
        conn: Conn,
        topic: &str,
        payload: &[u8],
        qos: u8,
    ) -> bool {
        let Some(link) = self.links.get_mut(&conn) else {
            return true;
        };
        let second = Duration::from_secs(1);
        self.ledger.note_rate(link.sent.note(now.mono, second));
        let (recent, most) = match qos {
            0 => (&mut link.sent_qos0, self.limits.messages_qos0),
            _ => (&mut link.sent_qos1, self.limits.messages_qos1),
        };
        let count = recent.note(now.mono, second);
        if count > most {
            self.ledger.broke(Violation::MessageQuota, || {
                format!("message {count} of one second: {topic}")
            });
            if self.switches.message_quota {
                // A dropped message does not count against the next ones.
                recent.unnote();
                return true;
            }
        }
        if payload.len() > self.limits.payload {
            self.ledger.broke(Violation::PayloadTooLarge, || {
                format!("{topic}: {} bytes", payload.len())
            });
            return true;
        }
        if topic.len() > self.limits.topic {
            self.ledger
                .broke(Violation::TopicTooLong, || topic.to_owned());
            return true;
        }
        false
    }

    /// Hands a message to a connection, through delivery rules and faults.
    pub(super) fn tell(&mut self, now: Now, conn: Conn, topic: String, payload: Vec<u8>) {
        let Some(link) = self.links.get(&conn) else {
            return;
        };
        if self.faults.is_deaf() {
            self.ledger.counts().lost_replies += 1;
            return;
        }
        let subscribed = link.filters.iter().any(|f| topic::covers(f, &topic));
        let by_platform = link.subscribed_by_platform || self.session_subscribes(&topic);
        let delivered = subscribed
            || topic::always_delivered(&topic)
            || if self.switches.strict_delivery {
                by_platform && topic::subscribed_by_platform(&topic)
            } else {
                !topic::needs_subscription(&topic)
            };
        if !delivered {
            self.ledger.counts().undelivered += 1;
            return;
        }
        self.send(now, conn, topic, payload);
    }

    /// Does the same for a connection that belongs to no gateway, whatever it has
    /// subscribed.
    pub(super) fn send(&mut self, now: Now, conn: Conn, topic: String, payload: Vec<u8>) {
        match self.faults.message_fate() {
            MessageFate::Lost => self.ledger.counts().lost_replies += 1,
            MessageFate::Sent {
                after,
                in_order,
                twice,
            } => {
                let message = Output::Publish {
                    conn,
                    topic,
                    payload,
                };
                for _ in 0..=usize::from(twice) {
                    self.ledger.counts().sent += 1;
                    self.outbox
                        .push_after(now.mono, conn, after, in_order, message.clone());
                }
            }
        }
    }

    /// Returns whether a message on `topic` may be taken as a message of `device`: the
    /// gateway itself, or a sub-device with a session on this connection. Else the
    /// message is dropped and reported as [`PostOutOfSession`] says.
    fn speaks_for(
        &mut self,
        now: Now,
        conn: Conn,
        gateway: &Device,
        device: &Device,
        topic: &str,
        payload: &[u8],
    ) -> bool {
        if device == gateway || self.has_session(conn, device) {
            return true;
        }
        if self.accounts.contains_key(device) {
            self.message_out_of_session(now, device, Violation::BeforeLogin);
        } else {
            self.ledger
                .broke(Violation::UnknownTopic, || topic.to_owned());
        }
        match self.switches.post_out_of_session {
            PostOutOfSession::Told => self.tell_error(now, conn, device, Code::NO_SESSION),
            PostOutOfSession::Refused => {
                if let Some(request) = Request::parse(payload).filter(|r| r.ack) {
                    let data = reply::pair(device);
                    let reply = reply::write(&request.id, Code::NO_SESSION, false, data);
                    self.tell(now, conn, format!("{topic}_reply"), reply);
                }
            }
            PostOutOfSession::Unanswered => {}
        }
        false
    }

    /// Returns whether this sub-device has its session on this very connection.
    pub(super) fn has_session(&self, conn: Conn, device: &Device) -> bool {
        self.sessions.get(device).is_some_and(|s| s.conn == conn)
    }

    /// Records a message of a device without a session. No rule is broken where a fault
    /// has ended the session and the gateway was not told.
    pub(super) fn message_out_of_session(&mut self, now: Now, device: &Device, rule: Violation) {
        if !self.lost.contains(device) {
            self.ledger.broke(rule, || device.to_string());
        }
        self.ledger.event(now, Event::OutOfSession(device.clone()));
    }

    /// Returns whether the sub-device to which a topic belongs logged in with `_ss=1`.
    fn session_subscribes(&self, topic: &str) -> bool {
        topic::whose(topic).is_some_and(|(product, name)| {
            let device = Device::new(product, name);
            let session = self.sessions.get(&device);
            session.is_some_and(|s| s.subscribed_by_platform)
        })
    }
}

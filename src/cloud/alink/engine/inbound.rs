//! How the engine takes the platform's messages: which device or request each belongs to,
//! or why it belongs to none. The receiving half of `engine/mod.rs`.

use crate::base::text::excerpt;
use crate::base::{DeviceId, Mono, Now, RequestId, Secret};

use crate::cloud::alink::engine::{Cloud, Output, PendingRequest};
use crate::cloud::alink::events::CloudLogEvent;
use crate::cloud::alink::publish::PostReply;
use crate::cloud::alink::requests::context::{Context, RequestAnswer};
use crate::cloud::alink::requests::pending::RequestMatch;
use crate::cloud::alink::session::Session;
use crate::cloud::alink::session::device::LoginNeed;
use crate::cloud::alink::session::replies::SessionLoss;
use crate::cloud::alink::wire::code::{Code, CodeMeaning};
use crate::cloud::alink::wire::payload::remote::{AnnouncedFile, RemotePush};
use crate::cloud::alink::wire::payload::{Malformed, Reply};
use crate::cloud::alink::wire::topic::{
    CommandTopic, DeviceIdentity, GatewayAsk, OrderTopic, Topic,
};

/// How many topics have their malformed messages reported; those on others are only
/// counted.
const TOLD_TOPICS: usize = 64;
/// How many bytes of a malformed message are shown to the operator.
const SHOWN: usize = 120;

impl Cloud {
    /// Takes a message that arrived.
    pub fn on_message(&mut self, now: Now, topic: &str, payload: &[u8]) {
        let Some(parsed) = Topic::parse(topic) else {
            self.outbox.count().unknown_topics += 1;
            return;
        };
        match &parsed {
            Topic::Session(..)
            | Topic::Post(_)
            | Topic::Event(..)
            | Topic::Pack(_)
            | Topic::History(_)
            | Topic::Gateway(..)
            | Topic::OrderReply(..)
            | Topic::Desired(..)
            | Topic::CommandReply(_)
            | Topic::Inform(_)
            | Topic::Ntp(_) => {
                // Our own messages, sent back by a broker that matches wildcards freely.
                self.outbox.count().unknown_topics += 1;
                return;
            }
            Topic::NtpReply(_) => return self.on_time_told(now, topic, payload),
            Topic::SessionReply(..)
            | Topic::PostReply(_)
            | Topic::EventReply(..)
            | Topic::PackReply(_)
            | Topic::HistoryReply(_)
            | Topic::GatewayReply(..)
            | Topic::DesiredReply(..)
            | Topic::Error(_) => {}
            Topic::Order(who, OrderTopic::Configure) => {
                return self.on_config_pushed(now, who, topic, payload);
            }
            Topic::Order(who, order) => return self.on_order(now, who, *order, topic, payload),
            Topic::Command(command) => {
                return self.on_command(now, command.clone(), topic, payload);
            }
        }
        let reply = match Reply::parse(payload) {
            Ok(reply) => reply,
            // The message may hold secrets, which must not get into the log.
            Err(why)
                if parsed.is_secret()
                    || matches!(&parsed, Topic::GatewayReply(_, GatewayAsk::Config)) =>
            {
                return self.malformed(now, topic, b"", why);
            }
            Err(why) => return self.malformed(now, topic, payload, why),
        };
        let named = self.identities.known(&reply.named);
        if let Topic::Error(_) = parsed {
            self.outbox.count().strangers += (reply.named.len() - named.len()) as u64;
            for id in named {
                self.session_news(now.mono, id, &reply, SessionLoss::Notice);
            }
            return self.follow(now.mono);
        }
        let Some(id) = reply.id else {
            self.outbox.count().unknown_replies += 1;
            return;
        };
        if let Topic::HistoryReply(who) = &parsed
            && who == self.identities.gateway()
        {
            return self.history_answered(now.mono, id, &reply);
        }
        if let Topic::EventReply(who, _) = &parsed {
            return self.event_answered(now, who, id, &reply);
        }
        let alone = match &parsed {
            Topic::PackReply(who) => Some((who == self.identities.gateway()).then_some(None)),
            Topic::PostReply(who) => Some(self.identities.id(who).map(Some)),
            _ => None,
        };
        if let Some(alone) = alone {
            self.post_answered(now.mono, alone, id, &reply, &named);
            return self.follow(now.mono);
        }
        let found = self.pending.close(now.mono, &parsed, id);
        if matches!(found, RequestMatch::Open(_) | RequestMatch::Overdue(_)) {
            self.sessions.heard(now.mono);
        }
        if !matches!(found, RequestMatch::Open(_) | RequestMatch::Unknown) {
            self.outbox.count().late_replies += 1;
        }
        let answer = RequestAnswer {
            reply: &reply,
            named: &named,
            payload,
        };
        self.answered(now, found, parsed.is_secret(), answer);
        self.follow(now.mono);
    }

    /// Hands an answer to the part that made the request.
    fn answered(
        &mut self,
        now: Now,
        found: RequestMatch<PendingRequest>,
        is_secret: bool,
        answer: RequestAnswer<'_>,
    ) {
        let (mono, sessions) = (now.mono, &mut self.sessions);
        let RequestAnswer {
            reply,
            named,
            payload,
        } = answer;
        let mut context = Context {
            now: mono,
            identities: &mut self.identities,
            outbox: &mut self.outbox,
        };
        match found {
            RequestMatch::Open(PendingRequest::Session(request)) => {
                sessions.answered(mono, request, reply, named, context.outbox);
            }
            RequestMatch::Overdue(PendingRequest::Session(request)) => {
                sessions.late(mono, request, reply, named, context.outbox);
            }
            RequestMatch::Open(PendingRequest::Registration(request)) => {
                let given = self
                    .registration
                    .answered(&mut context, sessions, request, answer);
                self.keep(given);
            }
            RequestMatch::Open(PendingRequest::Topology(ask)) => {
                let missing = self.topology.answered(&mut context, sessions, ask, reply);
                self.add(mono, missing);
            }
            RequestMatch::Open(PendingRequest::Desired(request)) => {
                let number = || self.commands.number();
                let command = self
                    .desired
                    .answered(&mut context, &request, answer, number);
                self.out.extend(command.map(Output::Command));
                // A device that has no session is told so by this answer as by any other.
                let device = request.device();
                if reply.code.meaning_kind() == CodeMeaning::NoSession {
                    self.session_news(mono, device, reply, SessionLoss::Post);
                }
            }
            RequestMatch::Open(PendingRequest::Config) => {
                let file = AnnouncedFile::answered(payload);
                self.remote.on_get_answered(now, reply.code, file);
            }
            RequestMatch::Overdue(PendingRequest::Registration(request)) if !is_secret => {
                self.registration
                    .late(&mut context, sessions, &request, reply);
            }
            // The request has been repeated by now; but a secret that was handed out is
            // taken.
            RequestMatch::Overdue(
                PendingRequest::Registration(_)
                | PendingRequest::Topology(_)
                | PendingRequest::Desired(_)
                | PendingRequest::Config,
            )
            | RequestMatch::Late => {
                if is_secret {
                    let given =
                        self.registration
                            .take_late_secrets(&mut context, sessions, payload);
                    self.keep(given);
                }
            }
            RequestMatch::Unknown => self.outbox.count().unknown_replies += 1,
        }
    }

    /// Hands out secrets that the platform has given, to be kept.
    fn keep(&mut self, given: Vec<(DeviceId, Secret)>) {
        let keep = |(device, secret)| Output::StoreSecret { device, secret };
        self.out.extend(given.into_iter().map(keep));
    }

    /// Lets devices be added to the topology.
    fn add(&mut self, now: Mono, missing: Vec<DeviceId>) {
        for id in missing {
            self.need(now, LoginNeed::Relate, id);
        }
    }

    /// Takes a command of the platform.
    fn on_command(&mut self, now: Now, command: CommandTopic, topic: &str, payload: &[u8]) {
        let mut context = Context {
            now: now.mono,
            identities: &mut self.identities,
            outbox: &mut self.outbox,
        };
        let is_leaving = self.stop.is_on();
        let taken = self
            .commands
            .on_message(&mut context, command, payload, is_leaving);
        match taken {
            Ok(command) => self.out.extend(command.map(Output::Command)),
            Err(why) => self.malformed(now, topic, payload, why),
        }
    }

    /// Takes an order of the platform about devices.
    fn on_order(
        &mut self,
        now: Now,
        who: &DeviceIdentity,
        order: OrderTopic,
        topic: &str,
        payload: &[u8],
    ) {
        let mut context = Context {
            now: now.mono,
            identities: &mut self.identities,
            outbox: &mut self.outbox,
        };
        let sessions = &mut self.sessions;
        let done = self
            .orders
            .on_order(&mut context, sessions, who, order, payload);
        match done {
            Ok(missing) => {
                self.add(now.mono, missing);
                self.follow(now.mono);
            }
            Err(why) => self.malformed(now, topic, payload, why),
        }
    }

    /// Takes a configuration that the platform pushes.
    fn on_config_pushed(&mut self, now: Now, who: &DeviceIdentity, topic: &str, payload: &[u8]) {
        if who != self.identities.gateway() {
            // Devices on a field bus have no configuration of the platform's.
            self.outbox.count().unknown_topics += 1;
            return;
        }
        self.outbox.count().orders += 1;
        match RemotePush::parse(payload) {
            Some(pushed) => {
                self.remote.on_push(now, pushed);
                self.outbox.count().dropped_answers += self.remote.take_dropped();
            }
            // The URL in it must not get into the log.
            None => self.malformed(now, topic, b"", Malformed::NotAnObject),
        }
    }

    /// Takes a reply to a post, by this device's own topic or, if it is none, by the
    /// gateway's; ignores a reply by any other topic.
    fn post_answered(
        &mut self,
        now: Mono,
        alone: Option<Option<DeviceId>>,
        id: RequestId,
        reply: &Reply,
        named: &[DeviceId],
    ) {
        let post_reply = alone.map_or(PostReply::Unknown, |alone| {
            self.posts
                .answered(now, id, alone, reply, named, &mut self.outbox)
        });
        match post_reply {
            PostReply::Taken(gone) => {
                for id in gone {
                    self.session_news(now, id, reply, SessionLoss::Post);
                }
            }
            PostReply::Late => self.outbox.count().late_replies += 1,
            PostReply::Unknown => self.outbox.count().unknown_replies += 1,
        }
    }

    /// Takes a reply of the platform about a device that may mean that the device's session
    /// has ended.
    pub(super) fn session_news(&mut self, now: Mono, id: DeviceId, reply: &Reply, by: SessionLoss) {
        let verdict = reply.code.meaning_kind();
        if verdict == CodeMeaning::NoSession && self.sessions.session(id) == Session::In {
            if by == SessionLoss::Notice && self.posts.is_echo(now, id) {
                return;
            }
            self.posts.doubt_others(now);
        }
        if matches!(verdict, CodeMeaning::NoSession | CodeMeaning::Device { .. }) {
            self.posts.session_lost(now, id);
        }
        self.sessions.kicked(now, id, reply, by, &mut self.outbox);
    }

    /// Takes a device's session as lost: its posts are not answered while others are, and
    /// there is no other likely cause.
    pub(super) fn found_lost(&mut self, now: Mono, id: DeviceId) {
        let reply = Reply {
            id: None,
            code: Code(520),
            message: String::new(),
            named: Vec::new(),
        };
        self.session_news(now, id, &reply, SessionLoss::Post);
    }

    fn on_time_told(&mut self, now: Now, topic: &str, payload: &[u8]) {
        match self.timestamps.answered(now.mono, payload) {
            Ok(news) => self.clock_news(now, news),
            Err(()) => self.malformed(now, topic, payload, Malformed::NoTime),
        }
    }

    fn malformed(&mut self, now: Now, topic: &str, payload: &[u8], why: Malformed) {
        self.outbox.count().malformed += 1;
        let told = excerpt(topic.as_bytes(), SHOWN);
        if !self.malformed.contains(&told) && self.malformed.len() >= TOLD_TOPICS {
            return;
        }
        self.malformed.insert(told.clone());
        let malformed = CloudLogEvent::Malformed {
            topic: told,
            why: format!("{why}: {}", excerpt(payload, SHOWN)),
            times: 1,
        };
        self.outbox.often(now.mono, malformed);
    }
}

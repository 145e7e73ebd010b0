//! How the engine makes its requests to the platform: the topic and the deadline of each.
//! The sending half of `engine/mod.rs`; the parts write the bodies.

use std::time::Duration;

use crate::base::{Mono, Now, RequestId, Wall};

use crate::cloud::alink::engine::{Cloud, Output, PendingRequest};
use crate::cloud::alink::events::CloudLogEvent;
use crate::cloud::alink::orders::desired::DesiredRequest;
use crate::cloud::alink::publish::BatchId;
use crate::cloud::alink::registration::RegistrationRequest;
use crate::cloud::alink::remote_config::RemoteAction;
use crate::cloud::alink::requests::pending::AnswerKind;
use crate::cloud::alink::session::SessionRequest;
use crate::cloud::alink::session::device::SessionChange;
use crate::cloud::alink::topology::TopologyAsk;
use crate::cloud::alink::wire::payload::relation;
use crate::cloud::alink::wire::payload::remote;
use crate::cloud::alink::wire::topic::{GatewayAsk, OrderTopic, Topic};

impl Cloud {
    pub(super) fn ask_session(&mut self, now: Now, request: SessionRequest) {
        let id = self.pending.id();
        let at = self.signing_time(now);
        let (ask, payload) = request.message(at, id, &self.identities);
        let counters = self.outbox.count();
        match request.kind() {
            SessionChange::LogIn => counters.login_messages += 1,
            SessionChange::LogOut => counters.logout_messages += 1,
        }
        let timeout = match self.stop.is_on() {
            false => {
                let of = match request.kind() {
                    SessionChange::LogIn => AnswerKind::LogIns,
                    SessionChange::LogOut => AnswerKind::LogOuts,
                };
                self.pending
                    .reply_timeout(of, self.spec.cloud.session.reply_timeout)
            }
            true => self.last_timeout(),
        };
        let gateway = self.identities.gateway().clone();
        self.publish(now.mono, Topic::Session(gateway.clone(), ask), payload);
        let reply = Topic::SessionReply(gateway, ask);
        let what = PendingRequest::Session(request);
        self.pending.open(id, reply, what, now.mono, timeout);
    }

    pub(super) fn ask_registration(&mut self, now: Now, request: RegistrationRequest) {
        let id = self.pending.id();
        let at = self.signing_time(now);
        let (ask, payload) = self
            .registration
            .message(at, id, &request, &self.identities);
        self.ask_gateway(
            now.mono,
            id,
            ask,
            payload,
            PendingRequest::Registration(request),
        );
    }

    pub(super) fn ask_topology(&mut self, now: Mono, request: TopologyAsk) {
        let id = self.pending.id();
        let (ask, payload) = request.message(id, &self.identities);
        self.ask_gateway(now, id, ask, payload, PendingRequest::Topology(request));
    }

    /// Reports the version that runs here.
    pub(super) fn inform(&mut self, now: Mono, version: &str) {
        let body = relation::inform(self.pending.id(), version);
        let topic = Topic::Inform(self.identities.gateway().clone());
        self.publish(now, topic, body);
    }

    /// Carries out what the remote configuration wants.
    pub(super) fn act_for_remote(&mut self, now: Mono, action: RemoteAction) {
        match action {
            RemoteAction::Get => {
                let id = self.pending.id();
                let body = remote::get(id);
                self.ask_gateway(now, id, GatewayAsk::Config, body, PendingRequest::Config);
            }
            RemoteAction::Answer(body) => {
                let gateway = self.identities.gateway().clone();
                self.publish(now, Topic::OrderReply(gateway, OrderTopic::Configure), body);
            }
            RemoteAction::Task(task) => self.out.push_back(Output::RemoteTask(task)),
            RemoteAction::LogEvent(news) => self.outbox.tell(CloudLogEvent::Remote(news)),
        }
    }

    /// Sends a request about the desired values of a device.
    pub(super) fn ask_desired(&mut self, now: Mono, request: DesiredRequest) {
        let id = self.pending.id();
        let (topic, payload) = request.message(id, &self.identities);
        let most = self.spec.cloud.session.reply_timeout;
        let wait = self.pending.reply_timeout(AnswerKind::Others, most);
        if let Some(reply) = topic.reply() {
            let what = PendingRequest::Desired(request);
            self.pending.open(id, reply, what, now, wait);
        }
        self.publish(now, topic, payload);
    }

    /// Sends one of the gateway's requests.
    fn ask_gateway(
        &mut self,
        now: Mono,
        id: RequestId,
        ask: GatewayAsk,
        payload: Vec<u8>,
        what: PendingRequest,
    ) {
        self.outbox.count().topology_messages += 1;
        let gateway = self.identities.gateway().clone();
        self.publish(now, Topic::Gateway(gateway.clone(), ask), payload);
        let reply = Topic::GatewayReply(gateway, ask);
        let most = self.spec.cloud.session.reply_timeout;
        let wait = self.pending.reply_timeout(AnswerKind::Others, most);
        self.pending.open(id, reply, what, now, wait);
    }

    pub(super) fn ask_post(&mut self, now: Mono, batch: BatchId) {
        let id = self.pending.id();
        let (topic, payload) = self.posts.message(id, batch, &self.identities);
        self.outbox.count().post_messages += 1;
        self.publish(now, topic, payload);
        let hint = self.pending.bound();
        self.posts.sent(now, id, batch, hint, &mut self.outbox);
    }

    pub(super) fn ask_time(&mut self, now: Mono) {
        let payload = self.timestamps.ask(now);
        let topic = Topic::Ntp(self.identities.gateway().clone());
        self.publish(now, topic, payload);
    }

    pub(super) fn publish(&mut self, now: Mono, topic: Topic, payload: Vec<u8>) {
        self.pace.take(now);
        self.outbox.count().published += 1;
        self.out.push_back(Output::Publish {
            topic: topic.to_string(),
            payload,
        });
    }

    /// Returns the time that a signature is made with.
    fn signing_time(&self, now: Now) -> Wall {
        self.timestamps.stamp(now).unwrap_or(now.wall)
    }

    /// Returns the reply timeout while stopping. Three rounds fit into the time there is:
    /// the answer to a request under way, or the last readings, and two tries to log out.
    pub(super) fn last_timeout(&self) -> Duration {
        (self.spec.stop_within / 4).min(self.spec.cloud.session.reply_timeout)
    }
}

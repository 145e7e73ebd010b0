//! How the engine makes its requests to the platform: the topic, the body, the signature
//! and the deadline of each. The sending half of `engine.rs`.

use crate::base::{DeviceId, Mono, Now};
use crate::spec::Subscriptions;

use crate::cloud::alink::engine::stop::Stop;
use crate::cloud::alink::engine::{Ask, Cloud, Output};
use crate::cloud::alink::publish::BatchId;
use crate::cloud::alink::requests::pending::Answers;
use crate::cloud::alink::session::SessionRequest;
use crate::cloud::alink::session::device::SessionChange;
use crate::cloud::alink::wire::payload;
use crate::cloud::alink::wire::payload::Login;
use crate::cloud::alink::wire::payload::relation::Relation;
use crate::cloud::alink::wire::sign;
use crate::cloud::alink::wire::topic::{SessionAsk, Topic};

impl Cloud {
    pub(crate) fn ask_session(&mut self, now: Now, request: SessionRequest) {
        let id = self.pending.id();
        let members = request.members();
        let method = self.spec.cloud.sign_method;
        let (ask, payload) = match (request.kind(), &members[..]) {
            (SessionChange::LogIn, [one]) => (
                SessionAsk::Login,
                payload::login(id, &self.login(now, *one)),
            ),
            (SessionChange::LogIn, many) => {
                let list: Vec<Login> = many.iter().map(|m| self.login(now, *m)).collect();
                (
                    SessionAsk::BatchLogin,
                    payload::batch_login(id, method, &list),
                )
            }
            (SessionChange::LogOut, [one]) => (
                SessionAsk::Logout,
                payload::logout(id, &self.identities[one.index()]),
            ),
            (SessionChange::LogOut, many) => {
                let list = many.iter().map(|m| &self.identities[m.index()]);
                (SessionAsk::BatchLogout, payload::batch_logout(id, list))
            }
        };
        match request.kind() {
            SessionChange::LogIn => self.outbox.count().login_messages += 1,
            SessionChange::LogOut => self.outbox.count().logout_messages += 1,
        }
        let timeout = match self.stop {
            Stop::No => {
                let of = match request.kind() {
                    SessionChange::LogIn => Answers::LogIns,
                    SessionChange::LogOut => Answers::LogOuts,
                };
                self.pending
                    .patience(of, self.spec.cloud.session.reply_timeout)
            }
            Stop::LastReadings { .. } | Stop::Asked { .. } | Stop::Done => self.last_timeout(),
        };
        self.publish(now.mono, Topic::Session(self.gateway.clone(), ask), payload);
        self.pending.open(
            id,
            Topic::SessionReply(self.gateway.clone(), ask),
            Ask::Session(request),
            now.mono,
            timeout,
        );
    }

    pub(crate) fn ask_post(&mut self, now: Mono, batch: BatchId) {
        let id = self.pending.id();
        let content = self.posts.content(batch);
        let (topic, payload) = match &content[..] {
            [(device, properties)] => (
                Topic::Post(self.identities[device.index()].clone()),
                payload::post(id, properties),
            ),
            _ => {
                let several = content.into_iter();
                let devices = several.map(|(d, p)| (&self.identities[d.index()], p));
                (
                    Topic::Pack(self.gateway.clone()),
                    payload::pack_post(id, devices),
                )
            }
        };
        self.outbox.count().post_messages += 1;
        self.publish(now, topic, payload);
        let hint = self.pending.bound();
        self.posts.sent(now, id, batch, hint, &mut self.outbox);
    }

    pub(crate) fn ask_time(&mut self, now: Mono) {
        let payload = self.timestamps.ask(now);
        self.publish(now, Topic::Ntp(self.gateway.clone()), payload);
    }

    pub(crate) fn publish(&mut self, now: Mono, topic: Topic, payload: Vec<u8>) {
        self.bucket.take(now);
        self.outbox.count().published += 1;
        self.out.push_back(Output::Publish {
            topic: topic.to_string(),
            payload,
        });
    }

    /// Returns one device's signed part of a log-in.
    fn login(&self, now: Now, id: DeviceId) -> Login {
        let who = &self.identities[id.index()];
        let (pk, dn) = (who.product_key.as_str(), who.device_name.as_str());
        // The suffix asks the platform to subscribe the device's topics, the
        // reply to its posts among them, as the C and Python SDKs do.
        let client_id = match self.spec.cloud.broker.subscriptions {
            Subscriptions::Platform => format!("{pk}.{dn}|_ss=1|"),
            Subscriptions::Broker => format!("{pk}&{dn}"),
        };
        let (timestamp, sign) = self.signed(now, id, &client_id);
        let method = self.spec.cloud.sign_method;
        Login::new(who, client_id, timestamp, method, sign)
    }

    /// Returns one device's part of a relation, signed with its secret.
    pub(crate) fn relation(&self, now: Now, id: DeviceId) -> Relation {
        let who = &self.identities[id.index()];
        let client_id = format!("{}&{}", who.product_key, who.device_name);
        let (timestamp, sign) = self.signed(now, id, &client_id);
        Relation::new(who, client_id, timestamp, self.spec.cloud.sign_method, sign)
    }

    /// Returns the time stamp, and the signature over it.
    fn signed(&self, now: Now, id: DeviceId, client_id: &str) -> (String, String) {
        let who = &self.identities[id.index()];
        let (pk, dn) = (who.product_key.as_str(), who.device_name.as_str());
        let wall = self.timestamps.stamp(now).unwrap_or(now.wall);
        let timestamp = wall.as_millis().max(0).to_string();
        let content = sign::device_content(client_id, dn, pk, Some(&timestamp));
        let secret = self.secrets.get(&id);
        let secret = secret.unwrap_or(&self.spec.devices[id.index()].secret);
        let sign = sign::sign(self.spec.cloud.sign_method, secret, &content);
        (timestamp, sign)
    }
}

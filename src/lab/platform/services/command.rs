//! What an application does through the API of the cloud: it sets properties, calls services
//! and makes synchronous calls ("Device properties, events, and services"; "What is RRPC?").

use std::time::Duration;

use serde_json::Value as Json;

use crate::base::{Mono, Now};
use crate::lab::platform::messages::reply;
use crate::lab::platform::messages::reply::Request;
use crate::lab::platform::record::calls::{Call, CallAnswer};
use crate::lab::platform::{Device, Platform};

/// The shortest and the longest time for which a caller may wait.
const WAITS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(8));

/// By which topics a synchronous call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RrpcTopic {
    /// `/sys/{pk}/{dn}/rrpc/request/{id}`, answered on `…/rrpc/response/{id}`.
    System,
    /// `/ext/rrpc/{id}/sys/{pk}/{dn}/thing/service/…`, answered on the same topic.
    Custom,
}

impl Platform {
    /// Sends a request to a device: `method` is `thing.service.property.set`,
    /// `thing.service.{name}` or another. Returns the id of the request, under which
    /// [`super::super::Ledger::calls`] will show the answers; `None` if the device is offline,
    /// because the API of the cloud then fails at once and queues nothing.
    pub fn command(
        &mut self,
        now: Now,
        device: &Device,
        method: &str,
        params: Json,
    ) -> Option<String> {
        let id = self.fresh_id();
        let payload = reply::order(id, method, params);
        let topic = format!("/sys/{device}/{}", method.replace('.', "/"));
        let answer_topic = format!("{topic}_reply");
        self.call(now, id, device, (topic, answer_topic), payload, None)
    }

    /// Sets properties of a device.
    pub fn set_properties(&mut self, now: Now, device: &Device, params: Json) -> Option<String> {
        self.command(now, device, "thing.service.property.set", params)
    }

    /// Calls a service of a device, asynchronously.
    pub fn call_service(
        &mut self,
        now: Now,
        device: &Device,
        service: &str,
        params: Json,
    ) -> Option<String> {
        self.command(now, device, &format!("thing.service.{service}"), params)
    }

    /// Calls a method of the thing model synchronously; the caller waits this long, 1 to 8 s.
    pub fn call_synchronously(
        &mut self,
        now: Now,
        device: &Device,
        by: RrpcTopic,
        method: &str,
        params: Json,
        within: Duration,
    ) -> Option<String> {
        let id = self.fresh_id();
        let payload = reply::order(id, method, params);
        let topics = match by {
            RrpcTopic::System => rrpc_topics(device, id),
            RrpcTopic::Custom => {
                let topic = format!("/ext/rrpc/{id}/sys/{device}/{}", method.replace('.', "/"));
                (topic.clone(), topic)
            }
        };
        let until = self.caller_waits(now, within);
        self.call(now, id, device, topics, payload, Some(until))
    }

    /// Sends any content to a device as a synchronous call; the caller waits this long, 1 to
    /// 8 s.
    pub fn rrpc(
        &mut self,
        now: Now,
        device: &Device,
        content: &[u8],
        within: Duration,
    ) -> Option<String> {
        let id = self.fresh_id();
        let until = self.caller_waits(now, within);
        let topics = rrpc_topics(device, id);
        self.call(now, id, device, topics, content.to_vec(), Some(until))
    }

    /// Sends a request again as it was, with its old id; returns whether it could be sent.
    pub fn repeat_command(&mut self, now: Now, id: &str) -> bool {
        self.now = now.mono;
        let Some((device, topic, payload)) = self.ledger.calls_mut().sent_again(id) else {
            return false;
        };
        let session = self.sessions.get(&device).map(|s| s.conn);
        let Some(conn) = session.or_else(|| self.connection(&device)) else {
            return false;
        };
        self.tell(now, conn, topic, payload);
        true
    }

    fn call(
        &mut self,
        now: Now,
        id: u64,
        device: &Device,
        (topic, answer_topic): (String, String),
        payload: Vec<u8>,
        until: Option<Mono>,
    ) -> Option<String> {
        self.now = now.mono;
        let session = self.sessions.get(device).map(|s| s.conn);
        let conn = session.or_else(|| self.connection(device))?;
        let call = Call {
            at: now.mono,
            device: device.clone(),
            topic: topic.clone(),
            answer_topic,
            payload: payload.clone(),
            until,
            sent: 1,
            answers: Vec::new(),
        };
        self.ledger.calls_mut().sent(id, call);
        self.tell(now, conn, topic, payload);
        Some(id.to_string())
    }

    fn caller_waits(&self, now: Now, within: Duration) -> Mono {
        now.mono + within.clamp(WAITS.0, WAITS.1)
    }

    /// Notes the answer to a command.
    pub(crate) fn note_answer(
        &mut self,
        now: Now,
        topic: &str,
        id_in_topic: Option<&str>,
        answer: &Request,
    ) {
        let answer = CallAnswer {
            at: now.mono,
            id: answer.id.clone(),
            code: answer.code.clone(),
            message: answer.message.clone(),
            data: answer.data.clone(),
        };
        self.ledger.calls_mut().answered(topic, id_in_topic, answer);
    }
}

fn rrpc_topics(device: &Device, id: u64) -> (String, String) {
    let topic = |kind: &str| format!("/sys/{device}/rrpc/{kind}/{id}");
    (topic("request"), topic("response"))
}

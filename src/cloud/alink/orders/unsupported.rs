//! Commands of the platform to devices that this program does not carry out: property sets
//! and gets, services, RRPC. The answer to each is "not supported", so that the caller in
//! the cloud learns it at once instead of waiting until the call times out ("Device
//! properties, events, and services"; "What is RRPC?": a device has 8 s).
//!
//! Answers are sent more slowly than the platform may send commands to a device (50 a
//! second, "Limits"), so that a flood of commands uses only a share of what the gateway may
//! send. A command beyond that is not answered; it is counted.

use std::collections::VecDeque;

use serde_json::Value as Json;

use crate::base::text::excerpt;
use crate::base::{Mono, Wake};

use crate::cloud::alink::events::CloudLogEvent;
use crate::cloud::alink::events::outbox::Outbox;
use crate::cloud::alink::orders::stranger;
use crate::cloud::alink::requests::context::Context;
use crate::cloud::alink::requests::pace::Bucket;
use crate::cloud::alink::topology::events::TopologyEvent;
use crate::cloud::alink::wire::payload::Malformed;
use crate::cloud::alink::wire::topic::{Command, Topic};

/// Answers a second: with the queue below, each leaves within the 8 s of an RRPC.
const PER_SECOND: u32 = 5;
/// Answers that may wait.
const WAITING: usize = 40;
/// The code of the answer, from the range that devices may define (100000 to 110000).
const NOT_SUPPORTED: i64 = 100_001;
/// The longest id that is echoed; those of the platform are numbers of 32 bits.
const ID_BYTES: usize = 64;

/// The answers that wait to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Commands {
    answers: VecDeque<(Topic, Vec<u8>)>,
    pace: Bucket,
}

impl Commands {
    pub(crate) fn new() -> Self {
        Commands {
            answers: VecDeque::new(),
            pace: Bucket::new(PER_SECOND),
        }
    }

    /// Drops the answers: what was not answered on this connection is of no use on the
    /// next.
    pub(crate) fn link_down(&mut self) {
        self.answers.clear();
    }

    /// Returns when the next answer may be sent.
    pub(crate) fn due(&self) -> Option<Wake> {
        let waits = !self.answers.is_empty();
        waits.then(|| Wake::new(self.pace.ready_at(), "answer to a command"))
    }

    /// Returns the next answer, if it may be sent now.
    pub(crate) fn take(&mut self, now: Mono) -> Option<(Topic, Vec<u8>)> {
        if self.pace.ready_at() > now {
            return None;
        }
        let answer = self.answers.pop_front()?;
        self.pace.take(now);
        Some(answer)
    }

    fn answer(&mut self, command: Command, payload: Vec<u8>, outbox: &mut Outbox) {
        if self.answers.len() < WAITING {
            let topic = Topic::CommandReply(command);
            self.answers.push_back((topic, payload));
        } else {
            outbox.count().dropped_answers += 1;
        }
    }

    /// Takes a command, which is not supported.
    pub(crate) fn on_command(
        &mut self,
        context: &mut Context<'_>,
        command: Command,
        payload: &[u8],
    ) -> Result<(), Malformed> {
        let body = serde_json::from_slice::<Json>(payload).unwrap_or(Json::Null);
        if body.get("code").is_some() {
            // An answer, perhaps our own: the answer to `/ext/rrpc` has the topic of its
            // request.
            context.outbox.count().unknown_topics += 1;
            return Ok(());
        }
        let id = match (body.get("id"), command.message_id()) {
            (Some(id), _) if id.is_number() => id.clone(),
            (Some(Json::String(id)), _) if id.len() <= ID_BYTES => Json::from(id.as_str()),
            // The content of an RRPC may be anything; its id is in the topic.
            (_, Some(id)) if id.len() <= ID_BYTES => Json::from(id),
            _ => return Err(Malformed::NotAnObject),
        };
        if let Some(who) = command.device()
            && who != context.identities.gateway()
            && context.identities.id(who).is_none()
        {
            stranger(context, who, &excerpt(command.tail().as_bytes(), 64));
            return Ok(());
        }
        context.outbox.count().orders += 1;
        let who = command.device().map(ToString::to_string);
        let unsupported = CloudLogEvent::Topology(TopologyEvent::Unsupported {
            raw: excerpt(command.tail().as_bytes(), 64),
            who: excerpt(who.unwrap_or_default().as_bytes(), 64),
            times: 1,
        });
        context.outbox.often(context.now, unsupported);
        let answer = serde_json::json!({
            "id": id, "code": NOT_SUPPORTED,
            "message": "not supported by this gateway", "data": {},
        });
        let answer = answer.to_string().into_bytes();
        self.answer(command, answer, context.outbox);
        Ok(())
    }
}

//! The commands that the platform has sent, and what was answered to each, when and how often.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::base::Mono;
use crate::lab::platform::Device;

/// How many commands are remembered, the newest.
const CALLS: usize = 20_000;
/// How many answers to one command are remembered, the first.
const ANSWERS: usize = 100;

/// A command that was sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// When it was sent first.
    pub at: Mono,
    /// The device.
    pub device: Device,
    /// The topic.
    pub topic: String,
    /// The topic of its answer.
    pub answer_topic: String,
    /// What it says.
    pub payload: Vec<u8>,
    /// Until when its caller waits; `None` if it does not wait.
    pub until: Option<Mono>,
    /// How often it was sent.
    pub sent: u64,
    /// What was answered, in the order it came.
    pub answers: Vec<CallAnswer>,
}

impl Call {
    /// Returns the answer that its caller got: the first, if it came in time.
    #[must_use]
    pub fn answer(&self) -> Option<&CallAnswer> {
        let first = self.answers.first()?;
        self.until
            .is_none_or(|until| first.at <= until)
            .then_some(first)
    }
}

/// An answer to a command.
#[derive(Clone, Debug, PartialEq)]
pub struct CallAnswer {
    /// When it came.
    pub at: Mono,
    /// `id`; `null` if the answer has none.
    pub id: Json,
    /// `code`; `null` if the answer has none.
    pub code: Json,
    /// `message`; `null` if the answer has none.
    pub message: Json,
    /// `data`; `null` if the answer has none.
    pub data: Json,
}

/// The commands that were sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calls {
    calls: BTreeMap<u64, Call>,
    unasked: u64,
}

impl Calls {
    /// Returns the command with this id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Call> {
        self.calls.get(&id.parse().ok()?)
    }

    /// Returns the commands with their ids, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (u64, &Call)> {
        self.calls.iter().map(|(id, call)| (*id, call))
    }

    /// Returns how many answers belong to no command: their id or their topic is wrong.
    #[must_use]
    pub const fn unasked(&self) -> u64 {
        self.unasked
    }

    pub(crate) fn sent(&mut self, id: u64, call: Call) {
        self.calls.insert(id, call);
        if self.calls.len() > CALLS {
            self.calls.pop_first();
        }
    }

    /// Returns the topic and the content of a command that is sent again.
    pub(crate) fn sent_again(&mut self, id: &str) -> Option<(Device, String, Vec<u8>)> {
        let call = self.calls.get_mut(&id.parse().ok()?)?;
        call.sent += 1;
        let Call {
            device,
            topic,
            payload,
            ..
        } = call.clone();
        Some((device, topic, payload))
    }

    /// Notes an answer that came on this topic, by the id in its topic or else in the answer.
    pub(crate) fn answered(&mut self, topic: &str, id_in_topic: Option<&str>, answer: CallAnswer) {
        let id = id_in_topic.or(answer.id.as_str());
        let call = id.and_then(|id| self.calls.get_mut(&id.parse().ok()?));
        match call.filter(|call| call.answer_topic == topic) {
            Some(call) if call.answers.len() < ANSWERS => call.answers.push(answer),
            Some(_) => {}
            None => self.unasked += 1,
        }
    }
}

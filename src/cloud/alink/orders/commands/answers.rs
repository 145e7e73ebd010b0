//! The answers to commands that wait to be sent, and how many may wait.
//!
//! Answers are sent more slowly than the platform may send commands to a device (50 a second,
//! "Limits"), so that a flood of commands uses only a share of what the gateway may send. The
//! sender of a synchronous call waits 8 s at most ("What is RRPC?"), so those answers go first
//! and few of them may wait; but every fifth answer is one to another command if there is one,
//! so that no flood of calls keeps those back for ever. The other commands come in larger
//! numbers at once: an application sets a property of a hundred devices in one request
//! (`SetDevicesProperty`).
//!
//! An answer on a topic of a sub-device is sent only while the device has its session: the
//! platform takes no message of a device that is offline. An answer whose device has none, or
//! whose connection is gone, is kept as long as it is of use: not at all for a synchronous call
//! whose connection is gone, since its sender waits on that connection only.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::base::{DeviceId, Mono, Wake};
use crate::cloud::alink::requests::pace::TokenBucket;
use crate::cloud::alink::wire::topic::{CommandTopic, Topic};

/// Answers a second.
const PER_SECOND: u32 = 5;
/// Of answers in a row, so many are for synchronous calls if others wait.
const IN_A_ROW: u32 = 4;

/// Whether the sender of a command waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnswerMode {
    /// The command is a synchronous call.
    Synchronously,
    /// The answer may come whenever it does.
    No,
}

impl AnswerMode {
    pub(crate) const fn of(command: &CommandTopic) -> Self {
        match command {
            CommandTopic::Thing(..) => AnswerMode::No,
            CommandTopic::Rrpc(..) | CommandTopic::ExtRrpc(..) => AnswerMode::Synchronously,
        }
    }

    /// Returns how many commands of this kind may be under way or wait for their answer to be sent.
    /// At four answers a second, each to a synchronous call leaves within the 8 s.
    pub(crate) const fn places(self) -> usize {
        match self {
            AnswerMode::Synchronously => 32,
            AnswerMode::No => 256,
        }
    }

    /// Returns how many of the places are for commands that are carried out. Those that come beyond
    /// are refused with an answer, as long as there is a place for that.
    pub(crate) const fn places_to_carry_out(self) -> usize {
        match self {
            AnswerMode::Synchronously => 24,
            AnswerMode::No => 224,
        }
    }

    /// Returns how long an answer that cannot be sent is of use.
    const fn of_use(self) -> Duration {
        match self {
            AnswerMode::Synchronously => Duration::from_secs(8),
            AnswerMode::No => Duration::from_secs(60),
        }
    }
}

/// What tells a message from another: its topic, and its id if the topic has none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct MessageKey {
    pub command: CommandTopic,
    pub id: String,
}

/// An answer that waits to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// The command that it answers.
    pub key: Arc<MessageKey>,
    /// The device that must have its session, if one must.
    pub device: Option<DeviceId>,
    /// Since when it waits.
    pub since: Mono,
    /// What it says.
    pub body: Vec<u8>,
}

/// The answers that wait.
#[derive(Clone, Debug)]
pub(crate) struct WaitingAnswers {
    synchronous: VecDeque<Answer>,
    others: VecDeque<Answer>,
    /// How many answers to synchronous calls were sent since another was.
    in_a_row: u32,
    pace: TokenBucket,
}

impl WaitingAnswers {
    pub(crate) fn new() -> Self {
        WaitingAnswers {
            synchronous: VecDeque::new(),
            others: VecDeque::new(),
            in_a_row: 0,
            pace: TokenBucket::new(PER_SECOND),
        }
    }

    const fn queue(&self, waits: AnswerMode) -> &VecDeque<Answer> {
        match waits {
            AnswerMode::Synchronously => &self.synchronous,
            AnswerMode::No => &self.others,
        }
    }

    const fn queue_mut(&mut self, waits: AnswerMode) -> &mut VecDeque<Answer> {
        match waits {
            AnswerMode::Synchronously => &mut self.synchronous,
            AnswerMode::No => &mut self.others,
        }
    }

    /// Returns how many answers of this kind wait.
    pub(crate) fn len(&self, waits: AnswerMode) -> usize {
        self.queue(waits).len()
    }

    /// Returns whether an answer to this message waits.
    pub(crate) fn has(&self, key: &MessageKey) -> bool {
        let queue = self.queue(AnswerMode::of(&key.command));
        queue.iter().any(|a| *a.key == *key)
    }

    /// Returns whether an answer waits that only a device with a session can give.
    pub(crate) fn has_of(&self, device: DeviceId) -> bool {
        let mut all = self.synchronous.iter().chain(&self.others);
        all.any(|a| a.device == Some(device))
    }

    /// Queues an answer; the caller has made certain that there is a place.
    pub(crate) fn push(&mut self, answer: Answer) {
        let waits = AnswerMode::of(&answer.key.command);
        self.queue_mut(waits).push_back(answer);
    }

    /// Drops the answers to synchronous calls: their connection is gone. Returns how many.
    pub(crate) fn link_down(&mut self) -> u64 {
        std::mem::take(&mut self.synchronous).len() as u64
    }

    /// Drops the answers that are too old for a new connection, or that are none of this
    /// gateway's any more. Returns how many.
    pub(crate) fn link_up(&mut self, now: Mono, is_ours: impl Fn(&CommandTopic) -> bool) -> u64 {
        let before = self.others.len();
        let young = |a: &Answer| now.since(a.since) <= AnswerMode::No.of_use();
        self.others.retain(|a| young(a) && is_ours(&a.key.command));
        (before - self.others.len()) as u64
    }

    /// Drops the answers whose device has no session and that are of no use any more. Returns
    /// how many.
    pub(crate) fn expire(&mut self, now: Mono, is_in: impl Fn(DeviceId) -> bool) -> u64 {
        let mut dropped = 0;
        for waits in [AnswerMode::Synchronously, AnswerMode::No] {
            let queue = self.queue_mut(waits);
            let before = queue.len();
            queue.retain(|a| is_sendable(a, &is_in) || now < a.since + waits.of_use());
            dropped += (before - queue.len()) as u64;
        }
        dropped
    }

    /// Returns whether an answer waits that can be sent.
    pub(crate) fn has_sendable(&self, is_in: impl Fn(DeviceId) -> bool) -> bool {
        let mut all = self.synchronous.iter().chain(&self.others);
        all.any(|a| is_sendable(a, &is_in))
    }

    /// Returns when the next answer may be sent, or one is of no use any more.
    pub(crate) fn due(&self, is_in: impl Fn(DeviceId) -> bool) -> Option<Wake> {
        let mut due = None;
        for waits in [AnswerMode::Synchronously, AnswerMode::No] {
            for answer in self.queue(waits) {
                let wake = match is_sendable(answer, &is_in) {
                    true => Wake::new(self.pace.ready_at(), "answer to a command"),
                    false => Wake::new(answer.since + waits.of_use(), "answer without a session"),
                };
                due = Wake::earlier(due, Some(wake));
            }
        }
        due
    }

    /// Returns the next answer, if one may be sent now.
    pub(crate) fn take(
        &mut self,
        now: Mono,
        is_in: impl Fn(DeviceId) -> bool,
    ) -> Option<(Topic, Vec<u8>)> {
        if self.pace.ready_at() > now {
            return None;
        }
        let first = |queue: &VecDeque<Answer>| queue.iter().position(|a| is_sendable(a, &is_in));
        let (call, other) = (first(&self.synchronous), first(&self.others));
        let answer = match (call, other) {
            (Some(call), other) if other.is_none() || self.in_a_row < IN_A_ROW => {
                self.in_a_row = self.in_a_row.saturating_add(1);
                self.synchronous.remove(call)
            }
            (_, other) => {
                self.in_a_row = 0;
                self.others.remove(other?)
            }
        }?;
        self.pace.take(now);
        let topic = Topic::CommandReply(answer.key.command.clone());
        Some((topic, answer.body))
    }
}

fn is_sendable(answer: &Answer, is_in: &impl Fn(DeviceId) -> bool) -> bool {
    answer.device.is_none_or(is_in)
}

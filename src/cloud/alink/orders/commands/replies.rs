//! The replies to commands that have ended, kept for a while: a message that comes again gets
//! the same reply, and nothing is done a second time.
//!
//! The memory is bounded in replies, in bytes and in time, and does not outlive the process. If
//! there are too many bytes, the oldest replies lose their data and keep their code and words.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;

use super::answers::MessageKey;
use crate::base::{Digest, Mono};
use crate::cloud::alink::wire::payload::command;

/// How many replies are kept.
const REPLIES: usize = 1_000;
/// How many bytes of data are kept, in all replies together.
const DATA_BYTES: usize = 1024 * 1024;
/// How long a reply is kept.
const KEPT: Duration = Duration::from_secs(600);

/// A reply to a command.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CommandReply {
    /// The id of the message, as it came.
    pub id: Json,
    /// The code.
    pub code: i64,
    /// The words.
    pub message: String,
    /// The inside of the object `data`.
    pub data: String,
}

impl CommandReply {
    /// Returns the reply as it is sent.
    pub(crate) fn body(&self) -> Vec<u8> {
        command::answer(&self.id, self.code, &self.message, &self.data)
    }
}

#[derive(Clone, Debug)]
struct KeptReply {
    at: Mono,
    content: Digest,
    reply: CommandReply,
}

/// The replies that are kept.
#[derive(Clone, Debug, Default)]
pub(crate) struct Replies {
    kept: BTreeMap<Arc<MessageKey>, KeptReply>,
    /// The keys with their times, oldest first.
    order: VecDeque<(Mono, Arc<MessageKey>)>,
    data_bytes: usize,
}

impl Replies {
    /// Keeps the reply to this message, which asked for `content`.
    pub(crate) fn keep(
        &mut self,
        now: Mono,
        key: Arc<MessageKey>,
        content: Digest,
        reply: CommandReply,
    ) {
        self.data_bytes += reply.data.len();
        self.order.push_back((now, Arc::clone(&key)));
        let kept = KeptReply {
            at: now,
            content,
            reply,
        };
        if let Some(older) = self.kept.insert(key, kept) {
            self.data_bytes -= older.reply.data.len();
        }
        self.forget(now);
    }

    /// Returns what this message asked for, and the reply.
    pub(crate) fn find(&mut self, now: Mono, key: &MessageKey) -> Option<(Digest, &CommandReply)> {
        self.forget(now);
        self.kept.get(key).map(|kept| (kept.content, &kept.reply))
    }

    /// Forgets what is too old or too much.
    fn forget(&mut self, now: Mono) {
        while let Some((at, _)) = self.order.front()
            && (now.since(*at) >= KEPT || self.order.len() > REPLIES)
        {
            let Some((at, key)) = self.order.pop_front() else {
                return;
            };
            // The key may have been used anew since, after its first reply was forgotten.
            if self.kept.get(&key).is_some_and(|kept| kept.at == at)
                && let Some(gone) = self.kept.remove(&key)
            {
                self.data_bytes -= gone.reply.data.len();
            }
        }
        for (_, key) in &self.order {
            if self.data_bytes <= DATA_BYTES {
                return;
            }
            if let Some(kept) = self.kept.get_mut(key) {
                self.data_bytes -= kept.reply.data.len();
                kept.reply.data = String::new();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::alink::wire::topic::{CommandTopic, DeviceIdentity};

    fn key(n: usize) -> Arc<MessageKey> {
        let who = DeviceIdentity::new("pk", "dn");
        Arc::new(MessageKey {
            command: CommandTopic::Thing(who, "thing/service/x".to_owned()),
            id: n.to_string(),
        })
    }

    fn reply(n: usize, bytes: usize) -> CommandReply {
        CommandReply {
            id: Json::from(n),
            code: 200,
            message: format!("done {n}"),
            data: "x".repeat(bytes),
        }
    }

    const fn at(secs: u64) -> Mono {
        Mono::from_micros(secs * 1_000_000)
    }

    fn data(replies: &mut Replies, now: Mono, n: usize) -> Option<usize> {
        let found = replies.find(now, &key(n));
        found.map(|(_, reply)| {
            assert_eq!(reply.message, format!("done {n}"));
            reply.data.len()
        })
    }

    #[test]
    fn a_reply_is_kept_for_ten_minutes() {
        let mut replies = Replies::default();
        replies.keep(at(5), key(1), Digest::of(b""), reply(1, 3));
        assert_eq!(data(&mut replies, at(604), 1), Some(3));
        assert_eq!(data(&mut replies, at(605), 1), None);
        assert_eq!((replies.order.len(), replies.data_bytes), (0, 0));
    }

    #[test]
    fn a_thousand_replies_are_kept_and_the_oldest_goes_first() {
        let mut replies = Replies::default();
        for n in 0..1_001 {
            replies.keep(at(1), key(n), Digest::of(b""), reply(n, 1));
        }
        assert_eq!(data(&mut replies, at(1), 0), None);
        assert_eq!(data(&mut replies, at(1), 1), Some(1));
        assert_eq!(replies.kept.len(), 1_000);
    }

    #[test]
    fn of_too_many_bytes_the_oldest_data_go_and_the_code_and_the_words_stay() {
        let mut replies = Replies::default();
        for n in 0..40 {
            replies.keep(at(1), key(n), Digest::of(b""), reply(n, 32 * 1024));
        }
        assert_eq!(replies.data_bytes, DATA_BYTES);
        assert_eq!(data(&mut replies, at(1), 7), Some(0));
        assert_eq!(data(&mut replies, at(1), 8), Some(32 * 1024));
        assert_eq!(data(&mut replies, at(1), 39), Some(32 * 1024));
    }

    #[test]
    fn a_reply_that_replaces_another_is_kept_for_its_own_time() {
        let mut replies = Replies::default();
        replies.keep(at(0), key(1), Digest::of(b"a"), reply(1, 3));
        replies.keep(at(300), key(1), Digest::of(b"b"), reply(1, 5));
        assert_eq!(data(&mut replies, at(700), 1), Some(5));
        assert_eq!(replies.data_bytes, 5);
        assert_eq!(data(&mut replies, at(900), 1), None);
    }
}

//! Questions under way: matched on reply topic and id together, each with a
//! deadline.
//!
//! Ids are decimal numbers of 32 bits, count up from a random start and are
//! never used twice on a connection (the counter outlives connections, and at
//! 30 messages a second goes round in four years). A reply that comes after
//! its deadline, or to nothing we asked, is told apart and counted above; it
//! is never an error.

use std::collections::{BTreeMap, VecDeque};

use crate::base::{AskId, Mono, Wake};

use super::topic::Topic;

/// How many ended ids are remembered, to tell a late reply from a strange one.
const REMEMBERED: usize = 1024;

/// Open questions of kind `T`.
#[derive(Clone, Debug)]
pub(super) struct Asks<T> {
    next: u32,
    open: BTreeMap<AskId, Open<T>>,
    ended: VecDeque<AskId>,
}

#[derive(Clone, Debug)]
struct Open<T> {
    reply: Topic,
    deadline: Mono,
    what: T,
}

/// Where a reply belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found<T> {
    /// To this question, now closed.
    Open(T),
    /// To one that is no longer open: late, or answered twice.
    Late,
    /// To none of ours.
    Unknown,
}

impl<T> Asks<T> {
    /// No questions; ids start after `start`.
    pub(super) fn new(start: u32) -> Self {
        Asks {
            next: start,
            open: BTreeMap::new(),
            ended: VecDeque::new(),
        }
    }

    /// An id never handed out before.
    pub(super) fn id(&mut self) -> AskId {
        self.next = self.next.wrapping_add(1);
        AskId(self.next)
    }

    /// The question is on its way.
    pub(super) fn open(&mut self, id: AskId, reply: Topic, what: T, deadline: Mono) {
        self.open.insert(
            id,
            Open {
                reply,
                deadline,
                what,
            },
        );
    }

    /// A reply with this id arrived on this topic.
    pub(super) fn close(&mut self, topic: &Topic, id: AskId) -> Found<T> {
        if self.open.get(&id).is_some_and(|o| o.reply == *topic)
            && let Some(open) = self.open.remove(&id)
        {
            self.end(id);
            return Found::Open(open.what);
        }
        if self.ended.contains(&id) {
            Found::Late
        } else {
            Found::Unknown
        }
    }

    /// The next question whose time has run out, closed.
    pub(super) fn expired(&mut self, now: Mono) -> Option<T> {
        let id = *self.open.iter().find(|(_, o)| o.deadline <= now)?.0;
        let open = self.open.remove(&id)?;
        self.end(id);
        Some(open.what)
    }

    /// The connection is gone: every question is closed and handed back.
    pub(super) fn drain(&mut self) -> Vec<T> {
        let open = std::mem::take(&mut self.open);
        for id in open.keys() {
            self.end(*id);
        }
        open.into_values().map(|o| o.what).collect()
    }

    /// No question may wait longer than this any more.
    pub(super) fn hurry(&mut self, deadline: Mono) {
        for open in self.open.values_mut() {
            open.deadline = open.deadline.min(deadline);
        }
    }

    /// When the first deadline passes.
    pub(super) fn wake_at(&self) -> Option<Wake> {
        let at = self.open.values().map(|o| o.deadline).min()?;
        Some(Wake::new(at, "reply overdue"))
    }

    fn end(&mut self, id: AskId) {
        if self.ended.len() == REMEMBERED {
            self.ended.pop_front();
        }
        self.ended.push_back(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::topic::{Identity, SessionAsk};

    #[test]
    fn a_reply_must_match_topic_and_id_and_is_taken_once() {
        let gw = Identity::new("pk", "gw-1");
        let login = Topic::SessionReply(gw.clone(), SessionAsk::Login);
        let logout = Topic::SessionReply(gw, SessionAsk::Logout);
        let mut asks = Asks::new(u32::MAX);
        let id = asks.id();
        assert_eq!(id, AskId(0));
        asks.open(id, login.clone(), "in", Mono::from_micros(5));
        assert_eq!(asks.close(&logout, id), Found::Unknown);
        assert_eq!(asks.close(&login, AskId(7)), Found::Unknown);
        assert_eq!(asks.close(&login, id), Found::Open("in"));
        assert_eq!(asks.close(&login, id), Found::Late);
    }

    #[test]
    fn what_is_not_answered_runs_out() {
        let gw = Identity::new("pk", "gw-1");
        let login = Topic::SessionReply(gw, SessionAsk::Login);
        let mut asks = Asks::new(0);
        let id = asks.id();
        asks.open(id, login.clone(), "in", Mono::from_micros(5));
        assert_eq!(asks.wake_at().map(|w| w.at), Some(Mono::from_micros(5)));
        assert_eq!(asks.expired(Mono::from_micros(4)), None);
        assert_eq!(asks.expired(Mono::from_micros(5)), Some("in"));
        assert_eq!(asks.close(&login, id), Found::Late);
        assert_eq!(asks.wake_at(), None);
    }
}

//! Requests under way: each is matched with its reply by topic and id together, and has a
//! deadline that follows how long replies take on this connection.
//!
//! Ids are decimal numbers of 32 bits, count up from a random start and are never used
//! twice on a connection (the counter outlives connections, and at 30 messages a second
//! wraps in four years). A reply that comes after its deadline is recognised as late, with
//! its request as long as that is remembered; so is a reply to none of our requests.
//! Neither is an error.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::base::{Mono, RequestId, Wake};

use crate::cloud::alink::requests::pace::ReplyTimes;
use crate::cloud::alink::wire::topic::{SessionAsk, Topic};

/// How many ended ids are remembered, to tell a late reply from an unknown one.
const REMEMBERED: usize = 1024;
/// How many requests that ran out are remembered whole. With a few requests of each kind in
/// flight this is minutes.
const OVERDUE: usize = 64;

/// The reply classes, each with times of its own: a platform that is slow with one class of
/// replies need not be slow with the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnswerKind {
    /// Replies to log-ins, which the platform has to authenticate.
    LogIns,
    /// Replies to log-outs.
    LogOuts,
    /// Replies to all other requests: registration, topology, configuration.
    Others,
}

impl AnswerKind {
    const fn on(reply: &Topic) -> AnswerKind {
        match reply {
            Topic::SessionReply(_, SessionAsk::Login | SessionAsk::BatchLogin) => {
                AnswerKind::LogIns
            }
            Topic::SessionReply(_, SessionAsk::Logout | SessionAsk::BatchLogout) => {
                AnswerKind::LogOuts
            }
            _ => AnswerKind::Others,
        }
    }

    const fn index(self) -> usize {
        match self {
            AnswerKind::LogIns => 0,
            AnswerKind::LogOuts => 1,
            AnswerKind::Others => 2,
        }
    }
}

/// The open requests of kind `T`.
#[derive(Clone, Debug)]
pub(crate) struct Pending<T> {
    next: u32,
    open: BTreeMap<RequestId, OpenRequest<T>>,
    overdue: VecDeque<(RequestId, OpenRequest<T>)>,
    times: [ReplyTimes; 3],
    ended: VecDeque<RequestId>,
}

#[derive(Clone, Debug)]
struct OpenRequest<T> {
    reply: Topic,
    sent: Mono,
    deadline: Mono,
    what: T,
}

/// The request that a reply belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RequestMatch<T> {
    /// To this open request, which is closed now.
    Open(T),
    /// To this request, which has run out.
    Overdue(T),
    /// To a request that is no longer open: the reply is very late, or the second one.
    Late,
    /// To none of our requests.
    Unknown,
}

impl<T: Clone> Pending<T> {
    /// Returns a table without requests; ids start after `start`.
    pub(crate) fn new(start: u32) -> Self {
        Pending {
            next: start,
            open: BTreeMap::new(),
            overdue: VecDeque::new(),
            times: Default::default(),
            ended: VecDeque::new(),
        }
    }

    /// Returns an id that was never handed out before.
    pub(crate) fn id(&mut self) -> RequestId {
        self.next = self.next.wrapping_add(1);
        RequestId(self.next)
    }

    /// Returns how long to wait for a reply of this class now, `most` at the longest. While
    /// no reply of the class was measured, the wait is half of `most`. It is all of `most`
    /// if no reply has come on this connection yet, or if replies of other classes take
    /// long, because a slow platform is then likelier than a loss. A log-out takes no
    /// longer than a log-in.
    pub(crate) fn reply_timeout(&self, of: AnswerKind, most: Duration) -> Duration {
        let other = || {
            let others = self.times.iter().filter_map(|t| t.reply_timeout(most));
            others.max().map(|others| others.max(most / 2))
        };
        let own = self.times[of.index()].reply_timeout(most);
        let own = match of {
            AnswerKind::LogOuts => {
                own.or_else(|| self.times[AnswerKind::LogIns.index()].reply_timeout(most))
            }
            AnswerKind::LogIns | AnswerKind::Others => own,
        };
        own.or_else(other).unwrap_or(most)
    }

    /// Returns how long replies on this connection take at most, if any has come.
    pub(crate) fn bound(&self) -> Option<Duration> {
        self.times.iter().filter_map(ReplyTimes::bound).max()
    }

    /// Takes note that the request is on its way.
    pub(crate) fn open(
        &mut self,
        id: RequestId,
        reply: Topic,
        what: T,
        sent: Mono,
        wait: Duration,
    ) {
        self.open.insert(
            id,
            OpenRequest {
                reply,
                sent,
                deadline: sent + wait,
                what,
            },
        );
    }

    /// Takes note of a reply with this id on this topic; returns its request.
    pub(crate) fn close(&mut self, now: Mono, topic: &Topic, id: RequestId) -> RequestMatch<T> {
        if self.open.get(&id).is_some_and(|o| o.reply == *topic)
            && let Some(open) = self.open.remove(&id)
        {
            self.end(id);
            self.measured(now, &open);
            return RequestMatch::Open(open.what);
        }
        let mut overdue = self.overdue.iter();
        if let Some(at) = overdue.position(|(i, o)| *i == id && o.reply == *topic)
            && let Some((_, open)) = self.overdue.remove(at)
        {
            self.measured(now, &open);
            return RequestMatch::Overdue(open.what);
        }
        if self.ended.contains(&id) {
            RequestMatch::Late
        } else {
            RequestMatch::Unknown
        }
    }

    /// Returns the next request whose time has run out: it is closed, but still remembered.
    pub(crate) fn expired(&mut self, now: Mono) -> Option<T> {
        let id = *self.open.iter().find(|(_, o)| o.deadline <= now)?.0;
        let open = self.open.remove(&id)?;
        self.end(id);
        if self.overdue.len() == OVERDUE {
            self.overdue.pop_front();
        }
        let what = open.what.clone();
        self.overdue.push_back((id, open));
        Some(what)
    }

    /// Closes every request and returns them all: the connection is gone, and the next
    /// connection is another one.
    pub(crate) fn drain(&mut self) -> Vec<T> {
        self.overdue.clear();
        self.times = Default::default();
        let open = std::mem::take(&mut self.open);
        for id in open.keys() {
            self.end(*id);
        }
        open.into_values().map(|o| o.what).collect()
    }

    /// Drops these requests, which are of no interest any more; replies to them count as
    /// late.
    pub(crate) fn forget(&mut self, which: impl Fn(&T) -> bool) {
        let gone = self.open.iter().filter(|(_, o)| which(&o.what));
        for id in gone.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.open.remove(&id);
            self.end(id);
        }
        self.overdue.retain(|(_, o)| !which(&o.what));
    }

    /// Sets that no request may wait longer than this any more.
    pub(crate) fn limit_deadlines(&mut self, deadline: Mono) {
        for open in self.open.values_mut() {
            open.deadline = open.deadline.min(deadline);
        }
    }

    /// Returns when the first deadline passes.
    pub(crate) fn wake_at(&self) -> Option<Wake> {
        let at = self.open.values().map(|o| o.deadline).min()?;
        Some(Wake::new(at, "reply overdue"))
    }

    fn measured(&mut self, now: Mono, open: &OpenRequest<T>) {
        let of = AnswerKind::on(&open.reply);
        self.times[of.index()].measured(now.since(open.sent));
    }

    fn end(&mut self, id: RequestId) {
        if self.ended.len() == REMEMBERED {
            self.ended.pop_front();
        }
        self.ended.push_back(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::alink::wire::topic::{DeviceIdentity, GatewayAsk};

    #[test]
    fn a_reply_must_match_topic_and_id_and_is_taken_once() {
        let gw = DeviceIdentity::new("pk", "gw-1");
        let login = Topic::SessionReply(gw.clone(), SessionAsk::Login);
        let logout = Topic::SessionReply(gw, SessionAsk::Logout);
        let mut pending = Pending::new(u32::MAX);
        let id = pending.id();
        assert_eq!(id, RequestId(0));
        pending.open(
            id,
            login.clone(),
            "in",
            Mono::START,
            Duration::from_micros(5),
        );
        assert_eq!(
            pending.close(Mono::from_micros(9), &logout, id),
            RequestMatch::Unknown
        );
        assert_eq!(
            pending.close(Mono::from_micros(9), &login, RequestId(7)),
            RequestMatch::Unknown
        );
        assert_eq!(
            pending.close(Mono::from_micros(9), &login, id),
            RequestMatch::Open("in")
        );
        assert_eq!(
            pending.close(Mono::from_micros(9), &login, id),
            RequestMatch::Late
        );
    }

    #[test]
    fn each_kind_of_reply_has_its_own_time_and_an_unknown_one_is_waited_for() {
        let gw = DeviceIdentity::new("pk", "gw-1");
        let most = Duration::from_secs(10);
        let pending = Pending::new(0);
        assert_eq!(
            pending.reply_timeout(AnswerKind::LogIns, most),
            most,
            "nothing is known"
        );
        let relate = Topic::GatewayReply(gw, GatewayAsk::Relate);
        for (took, wanted) in [(20, most / 2), (6_000, most)] {
            let mut pending = pending.clone();
            let id = pending.id();
            pending.open(id, relate.clone(), (), Mono::START, most);
            let answered = Mono::START + Duration::from_millis(took);
            assert_eq!(pending.close(answered, &relate, id), RequestMatch::Open(()));
            assert_eq!(
                pending.reply_timeout(AnswerKind::LogIns, most),
                wanted,
                "{took} ms"
            );
        }
    }

    #[test]
    fn what_is_not_answered_runs_out() {
        let gw = DeviceIdentity::new("pk", "gw-1");
        let login = Topic::SessionReply(gw, SessionAsk::Login);
        let mut pending = Pending::new(0);
        let id = pending.id();
        pending.open(
            id,
            login.clone(),
            "in",
            Mono::START,
            Duration::from_micros(5),
        );
        assert_eq!(pending.wake_at().map(|w| w.at), Some(Mono::from_micros(5)));
        assert_eq!(pending.expired(Mono::from_micros(4)), None);
        assert_eq!(pending.expired(Mono::from_micros(5)), Some("in"));
        assert_eq!(
            pending.close(Mono::from_micros(9), &login, id),
            RequestMatch::Overdue("in"),
            "it is remembered what it was"
        );
        assert_eq!(
            pending.close(Mono::from_micros(9), &login, id),
            RequestMatch::Late
        );
        assert_eq!(pending.wake_at(), None);
    }
}

//! What the platform has seen: for assertions, and for people.
//!
//! The ledger decides nothing. Logs are bounded and count the entries they dropped;
//! totals are not bounded.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use serde_json::Value as Json;

use crate::base::{Mono, Now};
use crate::lab::platform::record::calls::Calls;
use crate::lab::platform::{Code, Conn, Device};

/// The newest entries of a log that may go on for ever.
#[derive(Clone, Debug, PartialEq)]
pub struct Log<T> {
    entries: VecDeque<T>,
    keep: usize,
    forgotten: u64,
}

impl<T> Log<T> {
    pub(crate) const fn keeping(keep: usize) -> Self {
        Log {
            entries: VecDeque::new(),
            keep,
            forgotten: 0,
        }
    }

    pub(crate) fn push(&mut self, entry: T) {
        if self.entries.len() == self.keep {
            self.entries.pop_front();
            self.forgotten += 1;
        }
        self.entries.push_back(entry);
    }

    /// Returns the entries still remembered, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.entries.iter()
    }

    /// Returns how many entries were ever written.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.forgotten + self.entries.len() as u64
    }
}

/// The four session requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SessionRequestKind {
    /// `combine/login`
    Login,
    /// `combine/batch_login`
    BatchLogin,
    /// `combine/logout`
    Logout,
    /// `combine/batch_logout`
    BatchLogout,
}

/// One session request and its answer.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionRecord {
    /// When it arrived.
    pub at: Mono,
    /// The gateway that sent the request.
    pub gateway: Device,
    /// The kind of the request.
    pub ask: SessionRequestKind,
    /// The devices in it; empty if they could not be read.
    pub devices: Vec<Device>,
    /// The code of the answer.
    pub code: Code,
    /// Whether the answer was wanted and not lost by a fault here.
    pub answered: bool,
}

impl SessionRecord {
    /// Returns how many devices the request is for.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.devices.len()
    }
}

/// One post and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    /// When it arrived.
    pub at: Mono,
    /// The device whose topic it was on: the gateway for a pack.
    pub device: Device,
    /// How many of its values were accepted.
    pub accepted: u64,
    /// How many of the accepted values had been accepted before.
    pub repeats: u64,
    /// How many of its values were dropped although the answer was [`Code::OK`].
    pub dropped: u64,
    /// The code of the answer.
    pub code: Code,
    /// Whether the answer was wanted and not lost by a fault here.
    pub answered: bool,
}

/// A rule that a client broke. Most are answered; the platform ignores some in silence,
/// which is why they are kept here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Violation {
    /// More than 50 devices in one session request (460).
    BatchTooLarge,
    /// The same device twice in one request (460).
    DeviceTwice,
    /// More than 2,000 sub-devices online (428).
    TooManyOnline,
    /// One sub-device logged in more than 5 times in 60 s (429).
    LoginTooOften,
    /// More than 200 log-ins in a second (429).
    LoginQuota,
    /// A signature that does not hold.
    BadSign,
    /// A message for a sub-device without a session here (520).
    BeforeLogin,
    /// A pack post naming a sub-device without a session; the platform may
    /// accept it.
    PackBeforeLogin,
    /// An id that this device used before on this connection.
    IdReused,
    /// An id that is not decimal text from 0 to 4294967295.
    IdMalformed,
    /// More messages in a second than the quota; silently dropped.
    MessageQuota,
    /// A session request or a sub-device's message above QoS 0.
    QosAboveZero,
    /// A message with the retain flag: unsupported.
    Retain,
    /// A CONNECT with a will: unsupported.
    Will,
    /// QoS 2: unsupported; the connection is closed.
    Qos2,
    /// A payload above 256 KB; discarded.
    PayloadTooLarge,
    /// A topic above 128 bytes; discarded.
    TopicTooLong,
    /// A topic the model does not know, or of a device that is not registered.
    UnknownTopic,
    /// A payload that is not a JSON object; discarded.
    Malformed,
    /// Parameters of a wrong shape (460).
    BadParameters,
    /// More than 20 sub-devices in one pack (6357).
    PackTooLarge,
    /// More than 200 properties in one message (6106).
    TooManyProperties,
    /// More CONNECTs in a minute than the quota.
    ConnectQuota,
    /// A keepalive outside 30…1200 s (CONNACK 2).
    Keepalive,
    /// More than 8 filters in one SUBSCRIBE or 100 in all (SUBACK 80h).
    TooManyFilters,
    /// A subscription to a topic that the gateway may not receive (SUBACK 80h).
    ForbiddenFilter,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// How often a rule was broken, and the first case in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// How often.
    pub times: u64,
    /// What happened the first time.
    pub first: String,
}

/// An event, for tests that read like a log.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A gateway was accepted.
    Connected(Device),
    /// A device received a secret or a token of its own.
    Registered(Device),
    /// A CONNECT was refused.
    Refused {
        /// The device that the CONNECT named, if it could be read.
        who: Option<Device>,
        /// CONNACK code; `None` if the connection was closed without one.
        code: Option<u8>,
        /// The reason.
        why: &'static str,
    },
    /// A gateway's connection ended, and with it all its sessions.
    Disconnected {
        /// Which gateway.
        gateway: Device,
        /// The reason.
        why: &'static str,
        /// How many sessions ended with it.
        sessions: usize,
    },
    /// A sub-device came online.
    LoggedIn(Device),
    /// A sub-device was logged out by its gateway.
    LoggedOut(Device),
    /// The platform ended a sub-device's session.
    Ended {
        /// Which sub-device.
        device: Device,
        /// The code of the notice.
        code: Code,
    },
    /// A sub-device's session was lost by a fault, and no notice said so.
    Lost(Device),
    /// A message of, or in a pack for, a sub-device without a session here
    /// ([`Violation::BeforeLogin`], [`Violation::PackBeforeLogin`]).
    OutOfSession(Device),
    /// A gateway reported a device that it sees.
    Found(Device),
    /// A device reported the version that runs on it.
    Informed {
        /// Which device.
        device: Device,
        /// `version`, as it was sent.
        version: Json,
    },
    /// A device answered an order of the platform.
    Replied {
        /// Which device.
        device: Device,
        /// The topic after `/sys/{pk}/{dn}/`.
        tail: String,
        /// The id of the order.
        id: Json,
        /// The code of the answer.
        code: Json,
        /// The message of the answer; `null` if there is none.
        message: Json,
    },
}

/// Messages of one kind, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// CONNECTs, refused ones included.
    pub connects: u64,
    /// PUBLISHes received, dropped ones included.
    pub received: u64,
    /// Replies, notices and orders handed out.
    pub sent: u64,
    /// Requests lost by a fault.
    pub lost_requests: u64,
    /// Replies and notices lost by a fault.
    pub lost_replies: u64,
    /// Messages to which no connection had subscribed.
    pub undelivered: u64,
}

/// How many ids of one device and connection are remembered before the count starts
/// afresh; a bound on memory, far above what a test sends.
const IDS: usize = 1_000_000;

/// All requests and their outcomes.
#[derive(Clone, Debug, PartialEq)]
pub struct Ledger {
    totals: Totals,
    asked: Log<SessionRecord>,
    posted: Log<Posted>,
    events: Log<(Mono, Event)>,
    calls: Calls,
    broken: BTreeMap<Violation, Broken>,
    peak: usize,
    ids: BTreeMap<Conn, BTreeMap<Device, BTreeSet<u32>>>,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Ledger {
            totals: Totals {
                connects: 0,
                received: 0,
                sent: 0,
                lost_requests: 0,
                lost_replies: 0,
                undelivered: 0,
            },
            asked: Log::keeping(20_000),
            posted: Log::keeping(20_000),
            events: Log::keeping(100_000),
            calls: Calls::default(),
            broken: BTreeMap::new(),
            peak: 0,
            ids: BTreeMap::new(),
        }
    }

    /// Returns the counts of messages.
    #[must_use]
    pub const fn totals(&self) -> Totals {
        self.totals
    }

    /// Returns the counts of messages, to be counted on.
    pub(crate) const fn counts(&mut self) -> &mut Totals {
        &mut self.totals
    }

    /// Notes a session request with its answer.
    pub(crate) fn note_asked(&mut self, asked: SessionRecord) {
        self.asked.push(asked);
    }

    /// Notes a post with its answer.
    pub(crate) fn note_posted(&mut self, posted: Posted) {
        self.posted.push(posted);
    }

    /// Notes how many messages a connection has sent within the last second.
    pub(crate) fn note_rate(&mut self, within_second: usize) {
        self.peak = self.peak.max(within_second);
    }

    /// Forgets the ids of a connection that has ended.
    pub(crate) fn forget_ids(&mut self, conn: Conn) {
        self.ids.remove(&conn);
    }

    /// Returns the session requests with their answers, oldest first.
    pub fn asked(&self) -> impl DoubleEndedIterator<Item = &SessionRecord> {
        self.asked.iter()
    }

    /// Returns the posts with their answers, oldest first.
    pub fn posted(&self) -> impl DoubleEndedIterator<Item = &Posted> {
        self.posted.iter()
    }

    /// Returns the sizes of the accepted log-ins, single and batch, oldest first.
    #[must_use]
    pub fn login_sizes(&self) -> Vec<usize> {
        self.accepted_sizes(&[SessionRequestKind::Login, SessionRequestKind::BatchLogin])
    }

    /// Returns the sizes of the accepted log-outs, single and batch, oldest first.
    #[must_use]
    pub fn logout_sizes(&self) -> Vec<usize> {
        self.accepted_sizes(&[SessionRequestKind::Logout, SessionRequestKind::BatchLogout])
    }

    fn accepted_sizes(&self, asks: &[SessionRequestKind]) -> Vec<usize> {
        self.asked()
            .filter(|a| a.code == Code::OK && asks.contains(&a.ask))
            .map(SessionRecord::size)
            .collect()
    }

    /// Returns the events, oldest first.
    pub fn events(&self) -> impl DoubleEndedIterator<Item = &(Mono, Event)> {
        self.events.iter()
    }

    /// Returns the commands that were sent, with their answers.
    #[must_use]
    pub const fn calls(&self) -> &Calls {
        &self.calls
    }

    /// Returns the commands, to note one or its answer.
    pub(crate) const fn calls_mut(&mut self) -> &mut Calls {
        &mut self.calls
    }

    /// Returns the rules that were broken.
    #[must_use]
    pub const fn violations(&self) -> &BTreeMap<Violation, Broken> {
        &self.broken
    }

    /// Returns how often this rule was broken.
    #[must_use]
    pub fn times(&self, rule: Violation) -> u64 {
        self.broken.get(&rule).map_or(0, |b| b.times)
    }

    /// Returns the most messages any connection sent within one second.
    #[must_use]
    pub const fn peak_per_second(&self) -> usize {
        self.peak
    }

    /// Returns the ids of this device's messages on this connection, while it lasts.
    #[must_use]
    pub fn ids(&self, conn: Conn, device: &Device) -> Option<&BTreeSet<u32>> {
        self.ids.get(&conn)?.get(device)
    }

    pub(crate) fn broke(&mut self, rule: Violation, what: impl FnOnce() -> String) {
        match self.broken.get_mut(&rule) {
            Some(broken) => broken.times += 1,
            None => {
                let first = what();
                self.broken.insert(rule, Broken { times: 1, first });
            }
        }
    }

    pub(crate) fn event(&mut self, now: Now, event: Event) {
        self.events.push((now.mono, event));
    }

    pub(crate) fn id(&mut self, conn: Conn, device: &Device, id: &Json) {
        let number = id
            .as_str()
            .filter(|s| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|s| s.parse::<u32>().ok());
        let Some(number) = number else {
            self.broke(Violation::IdMalformed, || format!("{device}: id {id}"));
            return;
        };
        let of_conn = self.ids.entry(conn).or_default();
        let seen = of_conn.entry(device.clone()).or_default();
        if seen.len() >= IDS {
            seen.clear();
        }
        if !seen.insert(number) {
            self.broke(Violation::IdReused, || format!("{device}: id {number}"));
        }
    }
}

//! Faults on order: seeded, so that the same seed gives the same faults.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Code, Device};
use crate::base::{Mono, Rng};

/// The requests that can be refused for a while, each kind by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RequestKind {
    /// Single and batch log-in.
    Login,
    /// Single and batch log-out.
    Logout,
    /// Properties and events, packed or not.
    Post,
    /// `thing/topo/*`.
    Topology,
    /// `thing/sub/register` and `thing/proxy/provisioning/*`.
    Registration,
}

/// A fault that can be switched on; `0` or a zero span switches it off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This share of upstream messages never arrives.
    LoseRequests {
        /// In thousandths.
        permille: u32,
    },
    /// This share of downstream messages never leaves.
    LoseReplies {
        /// In thousandths.
        permille: u32,
    },
    /// Downstream messages wait between these two spans, keeping their order.
    Delay {
        /// At least.
        least: Duration,
        /// At most.
        most: Duration,
    },
    /// This share of downstream messages is sent twice.
    Duplicate {
        /// In thousandths.
        permille: u32,
    },
    /// This share of downstream messages is held back so that later ones
    /// overtake it.
    Reorder {
        /// In thousandths.
        permille: u32,
        /// How long it is held.
        by: Duration,
    },
    /// Every log-in is answered 429 for so long: short for [`Fault::Answer`].
    Throttle {
        /// From now.
        during: Duration,
    },
    /// Every request of this kind is answered with this code and not carried out, for
    /// so long.
    Answer {
        /// Which requests.
        what: RequestKind,
        /// The code.
        code: Code,
        /// From now.
        during: Duration,
    },
    /// The next requests of this kind are answered with this code and not carried out.
    AnswerNext {
        /// Which requests.
        what: RequestKind,
        /// The code.
        code: Code,
        /// How many of them.
        times: u32,
    },
    /// A gateway's posts above so many in any second are answered 429; `None` ends the
    /// fault.
    PostsPerSecond(Option<usize>),
    /// No more sub-devices than this may be online under a gateway (428), fewer
    /// than the published limit; `None` lifts it. Those above it stay online.
    Cap(Option<usize>),
    /// The session of this sub-device ends, or all sessions, and no notice says so.
    LoseSession(Option<Device>),
    /// Posts of this sub-device on its own topic are taken, and never answered.
    Unanswered {
        /// Which sub-device.
        device: Device,
        /// Whether the fault is on.
        on: bool,
    },
    /// Every connection of a gateway is closed at a moment between these two spans
    /// after its CONNACK, by a server that does not hold its connections.
    Flap {
        /// At the earliest.
        least: Duration,
        /// At the latest.
        most: Duration,
    },
    /// Another client has the certificate of the gateway, and connects again at a
    /// moment between these two spans after it was displaced: this ends the connection
    /// of the gateway. The CONNECTs of the client count towards the quota of the
    /// device.
    Rival {
        /// At the earliest.
        least: Duration,
        /// At the latest.
        most: Duration,
    },
    /// Log-ins and posts of this device are answered with this code; `None` ends the
    /// fault.
    Refuse {
        /// Which sub-device.
        device: Device,
        /// The code.
        code: Option<Code>,
    },
    /// The device, sub-device or gateway, connects elsewhere and is kicked.
    Kick(Device),
    /// Pings are no longer answered; everything else is.
    IgnorePings(bool),
    /// Nothing is read and nothing is sent, yet no connection ends: a dead path. The
    /// keepalive look still closes the connections in its time.
    Deaf(bool),
    /// The connection of this gateway is cut.
    Cut(Device),
    /// All lasting faults end.
    Heal,
}

/// The lasting faults.
#[derive(Clone, Debug)]
pub(super) struct Faults {
    rng: Rng,
    lose_requests: u32,
    lose_replies: u32,
    delay: (Duration, Duration),
    duplicate: u32,
    reorder: (u32, Duration),
    answer: BTreeMap<RequestKind, (Code, Mono)>,
    answer_next: BTreeMap<RequestKind, (Code, u32)>,
    refuse: BTreeMap<Device, Code>,
    unanswered: BTreeSet<Device>,
    ending: Option<Ending>,
    posts_per_second: Option<usize>,
    cap: Option<usize>,
    ignore_pings: bool,
    deaf: bool,
}

/// When and why connections end by themselves.
#[derive(Clone, Copy, Debug)]
struct Ending {
    least: Duration,
    most: Duration,
    why: ConnectionEnd,
}

/// Why a connection ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnectionEnd {
    /// The server does not hold its connections.
    Flap,
    /// Another client connects with the same certificate.
    Rival,
}

/// The fate of one downstream message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MessageFate {
    Lost,
    /// It is sent after so long; in order with the other messages of its connection, or
    /// not; and perhaps twice.
    Sent {
        after: Duration,
        in_order: bool,
        twice: bool,
    },
}

impl Faults {
    pub(super) const fn none(rng: Rng) -> Self {
        Faults {
            rng,
            lose_requests: 0,
            lose_replies: 0,
            delay: (Duration::ZERO, Duration::ZERO),
            duplicate: 0,
            reorder: (0, Duration::ZERO),
            answer: BTreeMap::new(),
            answer_next: BTreeMap::new(),
            refuse: BTreeMap::new(),
            unanswered: BTreeSet::new(),
            ending: None,
            posts_per_second: None,
            cap: None,
            ignore_pings: false,
            deaf: false,
        }
    }

    /// Returns how many posts a connection may send in a second, if a fault limits them.
    pub(super) const fn posts_per_second(&self) -> Option<usize> {
        self.posts_per_second
    }

    /// Returns how many sub-devices may be online, if a fault limits them.
    pub(super) const fn cap(&self) -> Option<usize> {
        self.cap
    }

    /// Returns whether pings are left unanswered.
    pub(super) const fn ignores_pings(&self) -> bool {
        self.ignore_pings
    }

    /// Returns whether nothing reaches the platform or leaves it.
    pub(super) const fn is_deaf(&self) -> bool {
        self.deaf
    }

    /// Notes a lasting fault; the momentary ones, such as `Kick` and `Cut`, are carried
    /// out by the platform itself.
    pub(super) fn set(&mut self, now: Mono, fault: Fault) {
        match fault {
            Fault::LoseRequests { permille } => self.lose_requests = permille,
            Fault::LoseReplies { permille } => self.lose_replies = permille,
            Fault::Delay { least, most } => self.delay = (least, most.max(least)),
            Fault::Duplicate { permille } => self.duplicate = permille,
            Fault::Reorder { permille, by } => self.reorder = (permille, by),
            Fault::Throttle { during } => self.set(
                now,
                Fault::Answer {
                    what: RequestKind::Login,
                    code: Code::THROTTLED,
                    during,
                },
            ),
            Fault::Answer { what, code, during } => {
                self.answer.insert(what, (code, now + during));
            }
            Fault::AnswerNext { what, code, times } => {
                self.answer_next.insert(what, (code, times));
            }
            Fault::PostsPerSecond(most) => self.posts_per_second = most,
            Fault::Cap(most) => self.cap = most,
            Fault::Unanswered { device, on } => {
                match on {
                    true => self.unanswered.insert(device),
                    false => self.unanswered.remove(&device),
                };
            }
            Fault::Flap { least, most } => self.end_by_themselves(least, most, ConnectionEnd::Flap),
            Fault::Rival { least, most } => {
                self.end_by_themselves(least, most, ConnectionEnd::Rival)
            }
            Fault::Refuse { device, code } => {
                match code {
                    Some(code) => self.refuse.insert(device, code),
                    None => self.refuse.remove(&device),
                };
            }
            Fault::IgnorePings(on) => self.ignore_pings = on,
            Fault::Deaf(on) => self.deaf = on,
            Fault::Heal => *self = Faults::none(self.rng.clone()),
            Fault::Kick(_) | Fault::Cut(_) | Fault::LoseSession(_) => {}
        }
    }

    fn end_by_themselves(&mut self, least: Duration, most: Duration, why: ConnectionEnd) {
        let most = most.max(least);
        self.ending = (most > Duration::ZERO).then_some(Ending { least, most, why });
    }

    /// Returns when a connection that began now will end by itself, and why.
    pub(super) fn end(&mut self, now: Mono) -> Option<(Mono, ConnectionEnd)> {
        let Ending { least, most, why } = self.ending?;
        Some((now + self.between(least, most), why))
    }

    /// Returns the code with which requests of this kind are refused now, whatever they
    /// say.
    pub(super) fn answers(&mut self, now: Mono, what: RequestKind) -> Option<Code> {
        if let Some((code, left)) = self.answer_next.get_mut(&what)
            && *left > 0
        {
            *left -= 1;
            return Some(*code);
        }
        let (code, until) = self.answer.get(&what)?;
        (now < *until).then_some(*code)
    }

    pub(super) fn leaves_unanswered(&self, device: &Device) -> bool {
        self.unanswered.contains(device)
    }

    pub(super) fn loses_request(&mut self) -> bool {
        self.lose_requests > 0 && self.rng.chance(self.lose_requests)
    }

    pub(super) fn refusal(&self, device: &Device) -> Option<Code> {
        self.refuse.get(device).copied()
    }

    fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let spread = u64::try_from((most - least).as_micros()).unwrap_or(u64::MAX);
        if spread == 0 {
            return least;
        }
        least + Duration::from_micros(self.rng.below(spread.saturating_add(1)))
    }

    pub(super) fn message_fate(&mut self) -> MessageFate {
        if self.lose_replies > 0 && self.rng.chance(self.lose_replies) {
            return MessageFate::Lost;
        }
        let (least, most) = self.delay;
        let mut after = self.between(least, most);
        let (reorder, by) = self.reorder;
        let in_order = !(reorder > 0 && self.rng.chance(reorder));
        if !in_order {
            after += by;
        }
        MessageFate::Sent {
            after,
            in_order,
            twice: self.duplicate > 0 && self.rng.chance(self.duplicate),
        }
    }
}

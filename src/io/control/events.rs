//! What the operator is told about the control socket and metrics over HTTP.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::base::journal::{EventKind, JournalField};
use crate::base::text::since_reported;
use crate::base::{Level, LogEvent, LogSubject, Mono, PortId, RateLimit};
use crate::io::system::clock::Clock;

/// How many users are counted singly; no gateway has more.
const USERS: usize = 16;

/// A notice about the control socket or metrics over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlEvent {
    /// The socket could not be made; the service runs without it, or with the one it has.
    Unavailable {
        /// Where the socket was to be.
        socket: PathBuf,
        /// The system's error.
        why: String,
        /// Where the socket still is.
        instead: Option<PathBuf>,
    },
    /// The socket has been made after all.
    Available {
        /// Where it is.
        socket: PathBuf,
    },
    /// Metrics cannot be served at the configured address; the service runs without them.
    NoMetrics {
        /// Where it is.
        address: String,
        /// The system's error.
        why: String,
    },
    /// Metrics are served after all.
    Metrics {
        /// Where it is.
        address: String,
    },
    /// Connections for metrics could not be accepted.
    MetricsNotAccepted {
        /// The system's error.
        why: String,
        /// How often since the last notice.
        times: u64,
    },
    /// A user without permission has tried to ask.
    Refused {
        /// The user's number.
        user: u32,
        /// How often since the last notice.
        times: u64,
    },
    /// A user asks devices of a port beside its configuration.
    Surveyed {
        /// The port.
        port: PortId,
        /// The user's number.
        user: u32,
        /// How many requests since the last notice.
        times: u64,
    },
    /// All slots at the control socket were taken: an idle peer was cut for another.
    Crowded {
        /// How often since the last notice.
        times: u64,
    },
    /// All slots for metrics were taken: an idle peer was cut for another.
    MetricsPeerReplaced {
        /// How often since the last notice.
        times: u64,
    },
    /// Connections could not be accepted.
    NotAccepted {
        /// The system's error.
        why: String,
        /// How often since the last notice.
        times: u64,
    },
}

impl LogEvent for ControlEvent {
    fn level(&self) -> Level {
        match self {
            ControlEvent::Available { .. }
            | ControlEvent::Metrics { .. }
            | ControlEvent::Surveyed { .. } => Level::Info,
            ControlEvent::Unavailable { .. }
            | ControlEvent::NoMetrics { .. }
            | ControlEvent::MetricsNotAccepted { .. }
            | ControlEvent::Refused { .. }
            | ControlEvent::Crowded { .. }
            | ControlEvent::MetricsPeerReplaced { .. }
            | ControlEvent::NotAccepted { .. } => Level::Warn,
        }
    }

    fn kind(&self) -> EventKind {
        match self {
            ControlEvent::Unavailable { .. } => EventKind::ControlUnavailable,
            ControlEvent::Available { .. } => EventKind::ControlAvailable,
            ControlEvent::NoMetrics { .. } => EventKind::MetricsUnavailable,
            ControlEvent::Metrics { .. } => EventKind::MetricsAvailable,
            ControlEvent::MetricsNotAccepted { .. } => EventKind::MetricsNotAccepted,
            ControlEvent::Refused { .. } => EventKind::ControlRefused,
            ControlEvent::Surveyed { .. } => EventKind::PortSurveyed,
            ControlEvent::Crowded { .. } => EventKind::ControlPeerReplaced,
            ControlEvent::MetricsPeerReplaced { .. } => EventKind::MetricsPeerReplaced,
            ControlEvent::NotAccepted { .. } => EventKind::ControlNotAccepted,
        }
    }

    fn subject(&self) -> LogSubject {
        match self {
            ControlEvent::Surveyed { port, .. } => LogSubject::Port(*port),
            _ => LogSubject::Gateway,
        }
    }

    fn fields(&self) -> Vec<(JournalField, String)> {
        match self {
            ControlEvent::Unavailable { socket, .. } | ControlEvent::Available { socket } => {
                vec![(JournalField::Socket, socket.display().to_string())]
            }
            ControlEvent::NoMetrics { address, .. } | ControlEvent::Metrics { address } => {
                vec![(JournalField::Address, address.clone())]
            }
            ControlEvent::Refused { user, times } | ControlEvent::Surveyed { user, times, .. } => {
                vec![
                    (JournalField::PeerUid, user.to_string()),
                    (JournalField::Times, times.to_string()),
                ]
            }
            ControlEvent::NotAccepted { times, .. }
            | ControlEvent::MetricsNotAccepted { times, .. }
            | ControlEvent::Crowded { times }
            | ControlEvent::MetricsPeerReplaced { times } => {
                vec![(JournalField::Times, times.to_string())]
            }
        }
    }

    fn sentence(&self) -> String {
        match self {
            ControlEvent::Unavailable {
                socket,
                why,
                instead: Some(there),
            } => format!(
                "control socket {}: cannot be made: {why}; it stays at {} while the new place is tried again",
                socket.display(),
                there.display()
            ),
            ControlEvent::Unavailable { socket, why, .. } => format!(
                "control socket {}: cannot be made: {why}; the service runs without it, and alink-gateway status does not work; tried again",
                socket.display()
            ),
            ControlEvent::NoMetrics { address, why } => {
                format!(
                    "metrics cannot be served at {address}: {why}; the service runs without them, and tries again"
                )
            }
            ControlEvent::Available { socket } => {
                format!("the control socket is at {} now", socket.display())
            }
            ControlEvent::Metrics { address } => format!("metrics are served at {address} now"),
            ControlEvent::MetricsNotAccepted { why, times } => format!(
                "metrics over HTTP: no connection can be accepted{}: {why}; tried again",
                since_reported(*times)
            ),
            ControlEvent::Refused { user, times } => format!(
                "control socket: user {user} was refused{}: only root and members of the group alink-operators may ask",
                since_reported(*times)
            ),
            ControlEvent::Surveyed { user, times, .. } => format!(
                "user {user} asks devices of this line beside the configuration{}: the requests only read, and have their share of the time that polls leave",
                since_reported(*times)
            ),
            ControlEvent::Crowded { times } => format!(
                "all places at the control socket were taken{}: the connection that had been idle longest was closed for the next one",
                since_reported(*times)
            ),
            ControlEvent::MetricsPeerReplaced { times } => format!(
                "all places for metrics over HTTP were taken{}: the connection that had been idle longest was closed for the next one",
                since_reported(*times)
            ),
            ControlEvent::NotAccepted { why, times } => format!(
                "control socket: no connection can be accepted{}: {why}; tried again",
                since_reported(*times)
            ),
        }
    }
}

/// Counts refusals by user, so that notices are rare; counts that were held back are reported
/// later.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    users: BTreeMap<u32, RateLimit>,
    others: RateLimit,
    /// The last of the users that are not counted singly.
    other: u32,
    not_accepted: RateLimit,
    /// Why the last connection was not accepted.
    why: String,
    crowded: RateLimit,
}

/// Counts that were held back and are to be reported now.
#[derive(Debug)]
pub(super) struct HeldBackCounts {
    /// The notices about refused users.
    pub refused: Vec<ControlEvent>,
    /// Why no connection could be accepted, and how often.
    pub not_accepted: Option<(String, u64)>,
    /// How often a peer was cut for another.
    pub crowded: Option<u64>,
}

impl Refusals {
    pub(super) fn refused(&mut self, now: Mono, user: u32) -> Option<ControlEvent> {
        let full = self.users.len() >= USERS && !self.users.contains_key(&user);
        let repeats = match full {
            true => {
                self.other = user;
                &mut self.others
            }
            false => self.users.entry(user).or_default(),
        };
        let times = repeats.hit(now, 1)?;
        Some(ControlEvent::Refused { user, times })
    }

    /// Counts a connection that could not be accepted; returns the count to report, if it is
    /// time.
    pub(super) fn not_accepted(&mut self, now: Mono, why: &str) -> Option<u64> {
        why.clone_into(&mut self.why);
        self.not_accepted.hit(now, 1)
    }

    /// Counts a peer that was cut for another; returns the count to report, if it is time.
    pub(super) fn peer_replaced(&mut self, now: Mono) -> Option<u64> {
        self.crowded.hit(now, 1)
    }

    /// Counts that were held back and are to be reported now.
    pub(super) fn take_due(&mut self, now: Mono) -> HeldBackCounts {
        let users = self
            .users
            .iter_mut()
            .map(|(user, repeats)| (*user, repeats));
        let refused = users.chain([(self.other, &mut self.others)]);
        let refused = refused.filter_map(|(user, repeats)| {
            let times = repeats.take_due(now)?.untold;
            Some(ControlEvent::Refused { user, times })
        });
        let refused = refused.collect();
        let sum = self.not_accepted.take_due(now);
        HeldBackCounts {
            refused,
            not_accepted: sum.map(|sum| (self.why.clone(), sum.untold)),
            crowded: self.crowded.take_due(now).map(|sum| sum.untold),
        }
    }

    /// Waits until a held-back count is to be reported; for ever if there is none.
    pub(super) async fn wait_until_due(&self, clock: Clock) {
        let users = self.users.values().filter_map(RateLimit::due);
        let rest = [&self.others, &self.not_accepted, &self.crowded].map(RateLimit::due);
        match users.chain(rest.into_iter().flatten()).min() {
            Some(at) => tokio::time::sleep(at.since(clock.now().mono)).await,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_refused_again_and_again_is_told_seldom() {
        let mut refusals = Refusals::default();
        let told: Vec<u64> = (0..1000u64)
            .filter_map(|s| {
                let now = Mono::from_micros(s * 1_000_000);
                match refusals.refused(now, 1000)? {
                    ControlEvent::Refused { times, .. } => Some(times),
                    _ => None,
                }
            })
            .collect();
        assert_eq!(told, [1, 60, 120, 240, 480]);
        let many: usize = (0..1000)
            .filter_map(|user| refusals.refused(Mono::START, user))
            .count();
        assert_eq!(many, USERS, "and one for all the others");
    }
}

//! The notices of the link itself. Why the link is down and when it tries again is reported by
//! `cloud/alink/connect.rs`.

use std::time::Duration;

use crate::base::{About, EventKind, JournalField, Level, LogEvent};
use crate::cloud::enrolment::Failure;

/// Notices about what only the link knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkNotice {
    /// Commands were dropped: they waited for a connection that ended, or did not fit into a
    /// packet.
    Dropped {
        /// How many commands were given up.
        commands: u64,
    },
    /// A message of the gateway does not fit into a packet: a fault of this program.
    Unsendable {
        /// The message's topic, or its first filter.
        topic: String,
        /// The message's size in bytes.
        size: usize,
    },
    /// The platform sends more than it may; its messages are read more slowly.
    Flooded {
        /// How many packets came …
        packets: u64,
        /// … of so many bytes …
        bytes: u64,
        /// … within this time.
        within: Duration,
    },
    /// Some of the system's root certificates could not be used.
    RootsSkipped {
        /// How many were skipped.
        skipped: usize,
        /// How many are left.
        usable: usize,
    },
    /// The gateway asks for a secret of its own.
    Registering,
    /// The gateway was given a secret, and has stored it.
    Registered {
        /// Where the secret is stored.
        place: String,
    },
    /// The gateway was not given a secret, or could not store it.
    RegistrationFailed {
        /// Why it failed.
        why: Failure,
        /// How often that happened since the last notice.
        times: u64,
        /// The time until the next attempt.
        retry_in: Duration,
    },
    /// The platform now refuses the secret that was earned by registration.
    EarnedRefused {
        /// Where it is stored.
        place: String,
    },
}

impl LogEvent for LinkNotice {
    fn level(&self) -> Level {
        match self {
            LinkNotice::Dropped { .. } | LinkNotice::Registered { .. } => Level::Info,
            LinkNotice::Registering => Level::Debug,
            LinkNotice::Unsendable { .. } | LinkNotice::EarnedRefused { .. } => Level::Error,
            LinkNotice::RootsSkipped { .. } | LinkNotice::Flooded { .. } => Level::Warn,
            LinkNotice::RegistrationFailed { why, .. } => match why {
                Failure::Lost(_) | Failure::Refused(3) | Failure::NoAnswer => Level::Warn,
                Failure::Refused(_) | Failure::Malformed(_) | Failure::NotKept(_) => Level::Error,
            },
        }
    }

    fn kind(&self) -> EventKind {
        match self {
            LinkNotice::Dropped { .. } => EventKind::LinkDropped,
            LinkNotice::Unsendable { .. } => EventKind::LinkUnsendable,
            LinkNotice::Flooded { .. } => EventKind::LinkFlooded,
            LinkNotice::RootsSkipped { .. } => EventKind::TlsRootsSkipped,
            LinkNotice::Registering => EventKind::GatewayRegistering,
            LinkNotice::Registered { .. } => EventKind::GatewayRegistered,
            LinkNotice::RegistrationFailed { .. } => EventKind::GatewayNotRegistered,
            LinkNotice::EarnedRefused { .. } => EventKind::GatewaySecretRefused,
        }
    }

    fn about(&self) -> About {
        About::Gateway
    }

    fn fields(&self) -> Vec<(JournalField, String)> {
        match self {
            LinkNotice::Dropped { commands } => vec![(JournalField::Count, commands.to_string())],
            LinkNotice::Unsendable { topic, size } => {
                vec![
                    (JournalField::Topic, topic.clone()),
                    (JournalField::Size, size.to_string()),
                ]
            }
            LinkNotice::Flooded { packets, bytes, .. } => {
                vec![
                    (JournalField::Count, packets.to_string()),
                    (JournalField::Size, bytes.to_string()),
                ]
            }
            LinkNotice::RootsSkipped { skipped, .. } => {
                vec![(JournalField::Count, skipped.to_string())]
            }
            LinkNotice::Registering => Vec::new(),
            LinkNotice::Registered { place } | LinkNotice::EarnedRefused { place } => {
                vec![(JournalField::File, place.clone())]
            }
            LinkNotice::RegistrationFailed { why, times, .. } => {
                let mut fields = vec![(JournalField::Times, times.to_string())];
                if let Failure::Refused(code) = why {
                    fields.push((JournalField::Connack, code.to_string()));
                }
                fields
            }
        }
    }

    fn sentence(&self) -> String {
        match self {
            LinkNotice::Dropped { commands } => format!(
                "{commands} messages for a connection that is gone were not sent; whoever still needs them asks again"
            ),
            LinkNotice::Unsendable { topic, size } => format!(
                "a message of {size} bytes to {topic:?} does not fit into an MQTT packet of {} bytes and was dropped: this is a fault of the gateway, please report it",
                super::talk::PACKET_MAX
            ),
            LinkNotice::Flooded {
                packets,
                bytes,
                within,
            } => format!(
                "the platform floods the connection: {packets} packets of {} KiB within {:.1} s, where the platform's limits allow 2,000 and 1,024 KiB a second; it is read at that rate from now on, and if its answers to pings come too late for that, the connection ends",
                bytes.div_ceil(1024),
                within.as_secs_f64()
            ),
            LinkNotice::RootsSkipped { skipped, usable } => format!(
                "{skipped} of the system's root certificates cannot be read and are ignored; {usable} are in use"
            ),
            LinkNotice::Registering => {
                "registering the gateway by its product's certificate".to_owned()
            }
            LinkNotice::Registered { place } => format!(
                "registered: the platform has given this gateway a secret of its own, kept in {place}; it is given only once, so keep a copy"
            ),
            LinkNotice::RegistrationFailed {
                why,
                times,
                retry_in,
            } => {
                let times = match times {
                    0 | 1 => String::new(),
                    n => format!(" ({n} times)"),
                };
                format!(
                    "the gateway could not register: {why}{times}; tried again in {} s",
                    retry_in.as_secs()
                )
            }
            LinkNotice::EarnedRefused { place } => format!(
                "the secret that this gateway was given when it registered is refused; if it was reset in the console, take its entry out of {place} and restart, and it registers again"
            ),
        }
    }
}

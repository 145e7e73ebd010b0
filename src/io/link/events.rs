//! The notices of the link itself. Why the link is down and when it tries again is reported by
//! `cloud/alink/connect.rs`.

use std::time::Duration;

use crate::base::text::{counted, plural, times};
use crate::base::{EventKind, JournalField, Level, LogEvent, LogSubject};
use crate::cloud::enrolment::EnrolmentFailure;

/// Notices about what only the link knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkLogEvent {
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
        file: String,
    },
    /// The gateway was not given a secret, or could not store it.
    RegistrationFailed {
        /// Why it failed.
        why: EnrolmentFailure,
        /// How often that happened since the last notice.
        times: u64,
        /// The time until the next attempt.
        retry_in: Duration,
    },
    /// The platform now refuses the secret that was issued by registration.
    IssuedCredentialRefused {
        /// Where it is stored.
        file: String,
    },
}

impl LogEvent for LinkLogEvent {
    fn level(&self) -> Level {
        match self {
            LinkLogEvent::Dropped { .. } | LinkLogEvent::Registered { .. } => Level::Info,
            LinkLogEvent::Registering => Level::Debug,
            LinkLogEvent::Unsendable { .. } | LinkLogEvent::IssuedCredentialRefused { .. } => {
                Level::Error
            }
            LinkLogEvent::RootsSkipped { .. } | LinkLogEvent::Flooded { .. } => Level::Warn,
            LinkLogEvent::RegistrationFailed { why, .. } => match why {
                EnrolmentFailure::Lost(_)
                | EnrolmentFailure::Refused(3)
                | EnrolmentFailure::NoAnswer => Level::Warn,
                EnrolmentFailure::Refused(_)
                | EnrolmentFailure::Malformed(_)
                | EnrolmentFailure::NotKept(_) => Level::Error,
            },
        }
    }

    fn kind(&self) -> EventKind {
        match self {
            LinkLogEvent::Dropped { .. } => EventKind::LinkDropped,
            LinkLogEvent::Unsendable { .. } => EventKind::LinkUnsendable,
            LinkLogEvent::Flooded { .. } => EventKind::LinkFlooded,
            LinkLogEvent::RootsSkipped { .. } => EventKind::TlsRootsSkipped,
            LinkLogEvent::Registering => EventKind::GatewayRegistering,
            LinkLogEvent::Registered { .. } => EventKind::GatewayRegistered,
            LinkLogEvent::RegistrationFailed { .. } => EventKind::GatewayNotRegistered,
            LinkLogEvent::IssuedCredentialRefused { .. } => EventKind::GatewaySecretRefused,
        }
    }

    fn subject(&self) -> LogSubject {
        LogSubject::Gateway
    }

    fn fields(&self) -> Vec<(JournalField, String)> {
        match self {
            LinkLogEvent::Dropped { commands } => vec![(JournalField::Count, commands.to_string())],
            LinkLogEvent::Unsendable { topic, size } => {
                vec![
                    (JournalField::Topic, topic.clone()),
                    (JournalField::Size, size.to_string()),
                ]
            }
            LinkLogEvent::Flooded { packets, bytes, .. } => {
                vec![
                    (JournalField::Count, packets.to_string()),
                    (JournalField::Size, bytes.to_string()),
                ]
            }
            LinkLogEvent::RootsSkipped { skipped, .. } => {
                vec![(JournalField::Count, skipped.to_string())]
            }
            LinkLogEvent::Registering => Vec::new(),
            LinkLogEvent::Registered { file } | LinkLogEvent::IssuedCredentialRefused { file } => {
                vec![(JournalField::File, file.clone())]
            }
            LinkLogEvent::RegistrationFailed { why, times, .. } => {
                let mut fields = vec![(JournalField::Times, times.to_string())];
                if let EnrolmentFailure::Refused(code) = why {
                    fields.push((JournalField::Connack, code.to_string()));
                }
                fields
            }
        }
    }

    fn sentence(&self) -> String {
        match self {
            LinkLogEvent::Dropped { commands } => format!(
                "connection: {} {} not sent before it ended; values {} are sent again on the next one",
                counted(*commands, "message"),
                plural(*commands, "was", "were"),
                plural(*commands, "in it", "among them")
            ),
            LinkLogEvent::Unsendable { topic, size } => format!(
                "a message of {} to {topic:?} does not fit into an MQTT packet of {} bytes and was dropped: this is a fault of the gateway, please report it",
                counted(*size, "byte"),
                super::packet::PACKET_MAX
            ),
            LinkLogEvent::Flooded {
                packets,
                bytes,
                within,
            } => format!(
                "the platform floods the connection: {} of {} KiB within {:.1} s, where the platform's limits allow 2,000 and 1,024 KiB a second; the gateway reads at that rate from now on, and if answers to pings come too late then, the connection ends",
                counted(*packets, "packet"),
                bytes.div_ceil(1024),
                within.as_secs_f64()
            ),
            LinkLogEvent::RootsSkipped { skipped, usable } => format!(
                "{skipped} of the system's root certificates cannot be read and {} ignored; {usable} {} in use",
                plural(*skipped, "is", "are"),
                plural(*usable, "is", "are")
            ),
            LinkLogEvent::Registering => {
                "gateway: registering by its product's certificate".to_owned()
            }
            LinkLogEvent::Registered { file } => format!(
                "gateway: registered: the platform has given it a secret of its own, kept in {file}; the platform gives it only once, so keep a copy"
            ),
            LinkLogEvent::RegistrationFailed {
                why,
                times: n,
                retry_in,
            } => {
                let times = match n {
                    0 | 1 => String::new(),
                    n => format!(" ({})", times(*n)),
                };
                format!(
                    "gateway: not registered: {why}{times}; tried again in {} s",
                    retry_in.as_secs()
                )
            }
            LinkLogEvent::IssuedCredentialRefused { file } => format!(
                "gateway: the platform refuses the secret that it gave at the registration; if the gateway was reset in the console, take its entry out of {file} and restart the service, which registers it again"
            ),
        }
    }
}

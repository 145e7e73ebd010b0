//! Why a remote configuration is refused, and the log events about it.

use std::time::Duration;

use crate::base::text::{counted, excerpt, since_reported};
use crate::base::{Digest, EventKind, JournalField, Level, LogEvent, LogSubject};
use crate::cloud::alink::wire::code::Code;
use crate::spec::TrialFailure;

use crate::cloud::alink::remote_config::task::NotAdopted;

/// How many bytes of a reason are sent to the platform.
const SHORT: usize = 240;
/// The text sent to the platform for a failed download, whatever its cause.
const NO_DOWNLOAD: &str = "it could not be downloaded; the gateway's journal says why";

/// Why a file is not adopted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdoptionRefusal {
    /// The configuration here does not allow remote configurations.
    NotEnabled,
    /// The message lacks a required part.
    Malformed(&'static str),
    /// The file is larger than allowed here.
    TooLarge {
        /// Bytes allowed.
        most: u64,
    },
    /// The file cannot be downloaded.
    Download(String),
    /// The file has more bytes than announced.
    Longer {
        /// Bytes announced.
        said: u64,
    },
    /// The file has fewer bytes than announced.
    Size {
        /// Bytes announced.
        said: u64,
        /// Bytes that were downloaded.
        got: u64,
    },
    /// The SHA-256 of the file is not the one announced.
    Digest,
    /// What `check` found wrong with the file, or why it cannot be stored.
    Wrong(NotAdopted),
    /// The file was adopted, or only checked, before, and did not prove itself.
    FailedBefore(TrialFailure),
    /// The adoption did not report a result in time.
    Overdue,
    /// A newer file came before this one was adopted.
    Superseded,
}

impl AdoptionRefusal {
    /// Returns the code for the platform: 460 for a message that is wrong, else a number of
    /// our own; 100000 to 110000 are left to devices ("Device properties, events, and
    /// services", status codes).
    #[must_use]
    pub const fn code(&self) -> u32 {
        match self {
            AdoptionRefusal::Malformed(_) => 460,
            AdoptionRefusal::NotEnabled => 100_001,
            AdoptionRefusal::TooLarge { .. } => 100_002,
            AdoptionRefusal::Download(_) => 100_003,
            AdoptionRefusal::Longer { .. } | AdoptionRefusal::Size { .. } => 100_004,
            AdoptionRefusal::Digest => 100_005,
            AdoptionRefusal::Wrong(_) => 100_006,
            AdoptionRefusal::Overdue => 100_007,
            AdoptionRefusal::Superseded => 100_008,
            AdoptionRefusal::FailedBefore(_) => 100_009,
        }
    }

    /// Returns the reason, cut to what fits an answer. The text contains nothing about this
    /// machine or its networks: whether a host answers, and how, is for the journal.
    #[must_use]
    pub fn short(&self) -> String {
        let said = match self {
            AdoptionRefusal::Download(_) => NO_DOWNLOAD.to_owned(),
            AdoptionRefusal::Wrong(why) => why.said.clone(),
            AdoptionRefusal::FailedBefore(failure) => format!(
                "failed its probation here: {}; push a changed file",
                failure.words()
            ),
            _ => self.words(),
        };
        excerpt(said.as_bytes(), SHORT)
    }

    fn words(&self) -> String {
        match self {
            AdoptionRefusal::NotEnabled => {
                "not enabled here: remote_config: { enabled: true } in gateway.yaml".into()
            }
            AdoptionRefusal::Malformed(why) => format!("the message is not usable: {why}"),
            AdoptionRefusal::TooLarge { most } => {
                let most = counted(*most, "byte");
                format!("larger than {most} (remote_config.max_bytes)")
            }
            AdoptionRefusal::Download(why) => format!("download failed: {why}"),
            AdoptionRefusal::Longer { said } => {
                format!("more than the {} announced", counted(*said, "byte"))
            }
            AdoptionRefusal::Size { said, got } => {
                format!("{}, {said} announced", counted(*got, "byte"))
            }
            AdoptionRefusal::Digest => "its SHA-256 is not the one announced".into(),
            AdoptionRefusal::Wrong(why) => why.detail.clone(),
            AdoptionRefusal::FailedBefore(failure) => format!(
                "it failed its probation here before: {}; a changed file is tried; to have this one tried again, remove remote.failed.json from the state directory and reload",
                failure.words()
            ),
            AdoptionRefusal::Overdue => "no report of its adoption came in time".into(),
            AdoptionRefusal::Superseded => "superseded by a newer one".into(),
        }
    }
}

/// A log event about remote configuration.
#[derive(Clone, Debug, PartialEq)]
pub enum RemoteConfigLogEvent {
    /// The platform pushes a file, and remote configuration is not enabled.
    NotEnabled {
        /// How often it happened since the last log event.
        times: u64,
    },
    /// A file was refused; the configuration in force stays in force.
    Refused {
        /// The platform's name of the file; may be empty.
        config_id: String,
        /// The refusal.
        refusal: AdoptionRefusal,
        /// How often it happened since the last log event.
        times: u64,
    },
    /// A download failed and is tried again.
    DownloadFailed {
        /// The platform's name of the file.
        config_id: String,
        /// The reason.
        why: String,
        /// How long until the next try.
        retry_in: Duration,
    },
    /// A file is in force from now on.
    Adopted {
        /// The platform's name of the file.
        config_id: String,
        /// The digest of the file.
        digest: Digest,
        /// How long the file is on probation.
        probation: Duration,
    },
    /// A file has proven itself and replaces the one before it.
    Proven {
        /// The platform's name of the file.
        config_id: String,
        /// The digest of the file.
        digest: Digest,
    },
    /// The decision about the file on probation could not be carried out.
    NotSettled {
        /// The platform's name of the file.
        config_id: String,
        /// The reason.
        why: String,
    },
    /// The platform named the file that is in force.
    InForceAlready {
        /// The platform's name of the file.
        config_id: String,
    },
    /// The platform has no file for this gateway.
    NothingThere {
        /// The code of that answer.
        code: Code,
    },
}

impl LogEvent for RemoteConfigLogEvent {
    fn level(&self) -> Level {
        match self {
            RemoteConfigLogEvent::Refused { .. } | RemoteConfigLogEvent::NotSettled { .. } => {
                Level::Error
            }
            RemoteConfigLogEvent::NotEnabled { .. }
            | RemoteConfigLogEvent::DownloadFailed { .. } => Level::Warn,
            RemoteConfigLogEvent::Adopted { .. } | RemoteConfigLogEvent::Proven { .. } => {
                Level::Info
            }
            RemoteConfigLogEvent::InForceAlready { .. }
            | RemoteConfigLogEvent::NothingThere { .. } => Level::Debug,
        }
    }

    fn kind(&self) -> EventKind {
        match self {
            RemoteConfigLogEvent::NotEnabled { .. } => EventKind::RemoteConfigNotEnabled,
            RemoteConfigLogEvent::Refused { .. } => EventKind::RemoteConfigRefused,
            RemoteConfigLogEvent::DownloadFailed { .. } => EventKind::RemoteConfigDownloadFailed,
            RemoteConfigLogEvent::Adopted { .. } => EventKind::RemoteConfigAdopted,
            RemoteConfigLogEvent::Proven { .. } => EventKind::RemoteConfigProven,
            RemoteConfigLogEvent::NotSettled { .. } => EventKind::RemoteConfigNotSettled,
            RemoteConfigLogEvent::InForceAlready { .. } => EventKind::RemoteConfigInForce,
            RemoteConfigLogEvent::NothingThere { .. } => EventKind::RemoteConfigNone,
        }
    }

    fn subject(&self) -> LogSubject {
        LogSubject::Gateway
    }

    fn fields(&self) -> Vec<(JournalField, String)> {
        match self {
            RemoteConfigLogEvent::NotEnabled { .. } => Vec::new(),
            RemoteConfigLogEvent::Refused {
                config_id, refusal, ..
            } => vec![
                (JournalField::ConfigId, config_id.clone()),
                (JournalField::Code, refusal.code().to_string()),
            ],
            RemoteConfigLogEvent::Adopted {
                config_id, digest, ..
            }
            | RemoteConfigLogEvent::Proven { config_id, digest } => vec![
                (JournalField::ConfigId, config_id.clone()),
                (JournalField::Sha256, digest.to_string()),
            ],
            RemoteConfigLogEvent::DownloadFailed { config_id, .. }
            | RemoteConfigLogEvent::NotSettled { config_id, .. }
            | RemoteConfigLogEvent::InForceAlready { config_id } => {
                vec![(JournalField::ConfigId, config_id.clone())]
            }
            RemoteConfigLogEvent::NothingThere { code } => {
                vec![(JournalField::Code, code.to_string())]
            }
        }
    }

    fn sentence(&self) -> String {
        match self {
            RemoteConfigLogEvent::NotEnabled { times } => format!(
                "remote configuration: pushed by the platform and refused{}: not enabled here; remote_config: {{ enabled: true }} would allow it",
                since_reported(*times)
            ),
            RemoteConfigLogEvent::Refused {
                config_id,
                refusal,
                times,
            } => format!(
                "remote configuration {config_id} refused{}: {}; nothing has changed",
                since_reported(*times),
                refusal.words()
            ),
            RemoteConfigLogEvent::DownloadFailed {
                config_id,
                why,
                retry_in,
            } => format!(
                "remote configuration {config_id} could not be downloaded: {why}; tried again in {} s",
                retry_in.as_secs()
            ),
            RemoteConfigLogEvent::Adopted {
                config_id,
                probation,
                ..
            } => format!(
                "remote configuration {config_id} is in force, on probation for {} s; if the service ends or loses the platform meanwhile, the previous one comes back",
                probation.as_secs()
            ),
            RemoteConfigLogEvent::Proven { config_id, .. } => {
                format!("remote configuration {config_id} has proven itself; it stays in force")
            }
            RemoteConfigLogEvent::NotSettled { config_id, why } => format!(
                "remote configuration {config_id}: the decision at the end of its probation could not be carried out: {why}; tried again in a minute"
            ),
            RemoteConfigLogEvent::InForceAlready { config_id } => {
                format!("remote configuration {config_id} is in force already")
            }
            RemoteConfigLogEvent::NothingThere { code } => {
                format!(
                    "remote configuration: the platform has none for this product (code {code})"
                )
            }
        }
    }
}

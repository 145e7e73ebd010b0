//! What the operator is told about the secret store.

use crate::base::text::counted;
use crate::base::{EventKind, JournalField, Level, LogEvent, LogSubject};

/// What is wrong with the file, and what changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretStoreEvent {
    /// The file was not understood and now has another name.
    Damaged {
        /// The file's name.
        file: String,
        /// What is wrong with the file.
        why: String,
        /// The file's new name.
        aside: String,
    },
    /// Other users than the owner could read or change the file.
    Exposed {
        /// The file's name.
        file: String,
        /// The file's mode, as it was.
        mode: u32,
        /// Why they still can; `None` if the file has been closed to them.
        still: Option<String>,
    },
    /// Secrets of devices could not be written; the write is tried again.
    NotKept {
        /// How many devices the secrets belong to.
        devices: usize,
        /// Why nothing can be kept.
        why: String,
    },
    /// Nothing could be kept, so no device is registered; the write is tried again.
    Unusable {
        /// Why nothing can be kept.
        why: String,
    },
    /// Secrets can be kept again.
    Usable,
    /// The file is left alone, and nothing can be kept.
    Closed {
        /// The file's name.
        file: String,
        /// Why the file is left alone.
        why: String,
    },
}

impl LogEvent for SecretStoreEvent {
    fn level(&self) -> Level {
        match self {
            SecretStoreEvent::Usable => Level::Info,
            SecretStoreEvent::Exposed { .. } => Level::Warn,
            SecretStoreEvent::Damaged { .. }
            | SecretStoreEvent::NotKept { .. }
            | SecretStoreEvent::Unusable { .. }
            | SecretStoreEvent::Closed { .. } => Level::Error,
        }
    }

    fn kind(&self) -> EventKind {
        match self {
            SecretStoreEvent::Damaged { .. } => EventKind::SecretStoreDamaged,
            SecretStoreEvent::Exposed { .. } => EventKind::SecretStoreExposed,
            SecretStoreEvent::NotKept { .. } => EventKind::SecretStoreNotKept,
            SecretStoreEvent::Unusable { .. } => EventKind::SecretStoreUnusable,
            SecretStoreEvent::Usable => EventKind::SecretStoreUsable,
            SecretStoreEvent::Closed { .. } => EventKind::SecretStoreClosed,
        }
    }

    fn subject(&self) -> LogSubject {
        LogSubject::Gateway
    }

    fn fields(&self) -> Vec<(JournalField, String)> {
        match self {
            SecretStoreEvent::Damaged { file, aside, .. } => {
                vec![
                    (JournalField::File, file.clone()),
                    (JournalField::Aside, aside.clone()),
                ]
            }
            SecretStoreEvent::Closed { file, .. } | SecretStoreEvent::Exposed { file, .. } => {
                vec![(JournalField::File, file.clone())]
            }
            SecretStoreEvent::NotKept { devices, .. } => {
                vec![(JournalField::Count, devices.to_string())]
            }
            SecretStoreEvent::Unusable { .. } | SecretStoreEvent::Usable => Vec::new(),
        }
    }

    fn sentence(&self) -> String {
        match self {
            SecretStoreEvent::Damaged { file, why, aside } => format!(
                "the secrets kept in {file} cannot be read ({why}); the file is now {aside}, look for a copy of it before resetting devices in the console"
            ),
            SecretStoreEvent::Exposed { file, mode, still } => {
                let now = match still {
                    None => "the mode is 0600 from now on".to_owned(),
                    Some(why) => {
                        format!("the file cannot be closed to them: {why}; chmod 600 {file}")
                    }
                };
                format!(
                    "the secrets kept in {file} were open to others (mode {mode:04o}): {now}; if this box has other users, reset the devices in the console"
                )
            }
            SecretStoreEvent::NotKept { devices, why } => format!(
                "the secrets given to {} cannot be stored: {why}; they are used, the gateway tries to store them every minute, and no other device is registered meanwhile; a restart before they are stored loses them, and the platform is asked anew",
                counted(*devices, "device")
            ),
            SecretStoreEvent::Unusable { why } => format!(
                "secrets cannot be stored: {why}; devices without a secret are not registered until they can be; tried again every minute"
            ),
            SecretStoreEvent::Usable => "secrets can be stored again".into(),
            SecretStoreEvent::Closed { file, why } => format!(
                "the secrets kept in {file} cannot be used: {why}; the file is left as it is, and no device is registered until this is corrected; the gateway looks at it again every minute"
            ),
        }
    }
}

//! What the operator is told about the secret store.

use crate::base::{About, EventKind, JournalField, Level, LogEvent};

/// What is wrong with the file, and what changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretStoreNotice {
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

impl LogEvent for SecretStoreNotice {
    fn level(&self) -> Level {
        match self {
            SecretStoreNotice::Usable => Level::Info,
            SecretStoreNotice::Exposed { .. } => Level::Warn,
            SecretStoreNotice::Damaged { .. }
            | SecretStoreNotice::NotKept { .. }
            | SecretStoreNotice::Unusable { .. }
            | SecretStoreNotice::Closed { .. } => Level::Error,
        }
    }

    fn kind(&self) -> EventKind {
        match self {
            SecretStoreNotice::Damaged { .. } => EventKind::SecretStoreDamaged,
            SecretStoreNotice::Exposed { .. } => EventKind::SecretStoreExposed,
            SecretStoreNotice::NotKept { .. } => EventKind::SecretStoreNotKept,
            SecretStoreNotice::Unusable { .. } => EventKind::SecretStoreUnusable,
            SecretStoreNotice::Usable => EventKind::SecretStoreUsable,
            SecretStoreNotice::Closed { .. } => EventKind::SecretStoreClosed,
        }
    }

    fn about(&self) -> About {
        About::Gateway
    }

    fn fields(&self) -> Vec<(JournalField, String)> {
        match self {
            SecretStoreNotice::Damaged { file, aside, .. } => {
                vec![
                    (JournalField::File, file.clone()),
                    (JournalField::Aside, aside.clone()),
                ]
            }
            SecretStoreNotice::Closed { file, .. } | SecretStoreNotice::Exposed { file, .. } => {
                vec![(JournalField::File, file.clone())]
            }
            SecretStoreNotice::NotKept { devices, .. } => {
                vec![(JournalField::Count, devices.to_string())]
            }
            SecretStoreNotice::Unusable { .. } | SecretStoreNotice::Usable => Vec::new(),
        }
    }

    fn sentence(&self) -> String {
        match self {
            SecretStoreNotice::Damaged { file, why, aside } => format!(
                "the secrets kept in {file} cannot be read ({why}); the file is now {aside}, look for a copy of it before resetting devices in the console"
            ),
            SecretStoreNotice::Exposed { file, mode, still } => {
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
            SecretStoreNotice::NotKept { devices, why } => format!(
                "the secrets given to {devices} devices cannot be stored: {why}; they are used, the gateway tries to store them every minute, and no other device is registered meanwhile; a restart before they are stored loses them, and the platform is asked anew"
            ),
            SecretStoreNotice::Unusable { why } => format!(
                "secrets cannot be stored: {why}; devices without a secret are not registered until they can be; tried again every minute"
            ),
            SecretStoreNotice::Usable => "secrets can be stored again".into(),
            SecretStoreNotice::Closed { file, why } => format!(
                "the secrets kept in {file} cannot be used: {why}; the file is left as it is, and no device is registered until this is corrected; the gateway looks at it again every minute"
            ),
        }
    }
}

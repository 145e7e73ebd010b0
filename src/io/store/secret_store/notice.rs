//! What the operator is told about the vault.

use crate::base::{About, EventKind, JournalField, Level, LogEvent};

/// What is wrong with the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VaultNotice {
    /// It was not understood and now has another name.
    Damaged {
        /// Its name.
        file: String,
        /// What is wrong with it.
        why: String,
        /// Its new name.
        aside: String,
    },
    /// Others than its owner could read or change it.
    Exposed {
        /// Its name.
        file: String,
        /// Its mode, as it was.
        mode: u32,
        /// Why they still can; `None` if it has been closed to them.
        still: Option<String>,
    },
    /// Secrets of devices could not be written; it is tried again.
    NotKept {
        /// How many devices they are of.
        devices: usize,
        /// What is in the way.
        why: String,
    },
    /// Nothing could be kept, so no device is registered; it is tried again.
    Unusable {
        /// What is in the way.
        why: String,
    },
    /// Things can be kept again.
    Usable,
    /// It is left alone, and nothing can be kept.
    Closed {
        /// Its name.
        file: String,
        /// Why.
        why: String,
    },
}

impl LogEvent for VaultNotice {
    fn level(&self) -> Level {
        match self {
            VaultNotice::Usable => Level::Info,
            VaultNotice::Exposed { .. } => Level::Warn,
            VaultNotice::Damaged { .. }
            | VaultNotice::NotKept { .. }
            | VaultNotice::Unusable { .. }
            | VaultNotice::Closed { .. } => Level::Error,
        }
    }

    fn kind(&self) -> EventKind {
        match self {
            VaultNotice::Damaged { .. } => EventKind::VaultDamaged,
            VaultNotice::Exposed { .. } => EventKind::VaultExposed,
            VaultNotice::NotKept { .. } => EventKind::VaultNotKept,
            VaultNotice::Unusable { .. } => EventKind::VaultUnusable,
            VaultNotice::Usable => EventKind::VaultUsable,
            VaultNotice::Closed { .. } => EventKind::VaultClosed,
        }
    }

    fn about(&self) -> About {
        About::Gateway
    }

    fn fields(&self) -> Vec<(JournalField, String)> {
        match self {
            VaultNotice::Damaged { file, aside, .. } => {
                vec![
                    (JournalField::File, file.clone()),
                    (JournalField::Aside, aside.clone()),
                ]
            }
            VaultNotice::Closed { file, .. } | VaultNotice::Exposed { file, .. } => {
                vec![(JournalField::File, file.clone())]
            }
            VaultNotice::NotKept { devices, .. } => {
                vec![(JournalField::Count, devices.to_string())]
            }
            VaultNotice::Unusable { .. } | VaultNotice::Usable => Vec::new(),
        }
    }

    fn sentence(&self) -> String {
        match self {
            VaultNotice::Damaged { file, why, aside } => format!(
                "the secrets kept in {file} cannot be read ({why}); the file is now {aside}, look for a copy of it before resetting devices in the console"
            ),
            VaultNotice::Exposed { file, mode, still } => {
                let now = match still {
                    None => "it is 0600 from now on".to_owned(),
                    Some(why) => format!("it cannot be closed to them: {why}; chmod 600 {file}"),
                };
                format!(
                    "the secrets kept in {file} were open to others (mode {mode:04o}): {now}; if this box has other users, reset the devices in the console"
                )
            }
            VaultNotice::NotKept { devices, why } => format!(
                "the secrets given to {devices} devices cannot be stored: {why}; they are used, it is tried again every minute, and no other device is registered meanwhile; a restart before it works loses them, and the platform is asked anew"
            ),
            VaultNotice::Unusable { why } => format!(
                "secrets cannot be stored: {why}; devices without a secret are not registered until they can; it is tried again every minute"
            ),
            VaultNotice::Usable => "secrets can be stored again".into(),
            VaultNotice::Closed { file, why } => format!(
                "the secrets kept in {file} cannot be used: {why}; it is left as it is, and nobody is registered until this is put right; it is looked at again every minute"
            ),
        }
    }
}

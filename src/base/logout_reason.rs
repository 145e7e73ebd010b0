//! Why this gateway logs a device out of the platform.

use crate::base::text::{counted, plural};
use std::time::Duration;

/// Why the gateway logs a device out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogoutReason {
    /// The device missed so many polls in a row, and has been quiet for so long.
    Silent {
        /// Polls in a row without an answer.
        missed: u32,
        /// How long since the device's last proof of life.
        quiet: Duration,
    },
    /// The device missed polls as in `Silent`, and has fallen silent too often: it is kept
    /// offline until it is steadier.
    Held {
        /// Polls in a row without an answer.
        missed: u32,
        /// How long since the device's last proof of life.
        quiet: Duration,
    },
    /// The device's port has been down for longer than the grace of the port.
    PortDown,
    /// A new configuration does not have the device.
    Removed,
    /// The platform refused the device, and the device may count as online there all the same.
    Refused,
    /// More devices may be online than `cloud.session.online` allows.
    QuotaFull,
    /// A new configuration has another connection to the platform.
    ConnectionChanges,
    /// The service ends.
    Stopping,
    /// The device may be online from before the service was started, or from before this
    /// connection, and has not answered since.
    NotHeardOf,
}

impl LogoutReason {
    /// One word for each reason, in the order of the variants; the journal's `REASON` and the
    /// metrics' label.
    pub const WORDS: [&str; 9] = [
        "silent",
        "held",
        "port-down",
        "removed",
        "refused",
        "quota-full",
        "connection-changes",
        "stopping",
        "not-heard-of",
    ];

    /// Returns the word for the reason, for programs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            LogoutReason::Silent { .. } => "silent",
            LogoutReason::Held { .. } => "held",
            LogoutReason::PortDown => "port-down",
            LogoutReason::Removed => "removed",
            LogoutReason::Refused => "refused",
            LogoutReason::QuotaFull => "quota-full",
            LogoutReason::ConnectionChanges => "connection-changes",
            LogoutReason::Stopping => "stopping",
            LogoutReason::NotHeardOf => "not-heard-of",
        }
    }

    /// Returns the number of polls in a row without an answer and the quiet time, for a device
    /// that fell silent.
    #[must_use]
    pub const fn figures(self) -> Option<(u32, Duration)> {
        match self {
            LogoutReason::Silent { missed, quiet } | LogoutReason::Held { missed, quiet } => {
                Some((missed, quiet))
            }
            _ => None,
        }
    }

    /// Returns the reason in words, without figures.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            LogoutReason::Silent { .. } => "silent",
            LogoutReason::Held { .. } => {
                "silent again and again, kept offline until it is steadier"
            }
            LogoutReason::PortDown => "the port is down",
            LogoutReason::Removed => "no longer configured",
            LogoutReason::Refused => "refused by the platform",
            LogoutReason::QuotaFull => {
                "more devices may be online than cloud.session.online allows"
            }
            LogoutReason::ConnectionChanges => "the connection to the platform changes",
            LogoutReason::Stopping => "the service stops",
            LogoutReason::NotHeardOf => {
                "may still be online from before, and has not answered since"
            }
        }
    }

    /// Returns the reason in words, with its figures.
    #[must_use]
    pub fn sentence(self) -> String {
        match self.figures() {
            Some((missed, quiet)) => {
                format!(
                    "{}: {}, {:.1} s quiet",
                    self.kind(),
                    unanswered(missed),
                    quiet.as_secs_f64()
                )
            }
            None => self.kind().to_owned(),
        }
    }
}

/// Writes how many polls had no answer: `1 poll without an answer`, `3 polls in a row without an
/// answer`.
#[must_use]
pub fn unanswered(polls: u32) -> String {
    let row = plural(polls, "", " in a row");
    format!("{}{row} without an answer", counted(polls, "poll"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_own_word() {
        let (missed, quiet) = (3, Duration::from_secs(10));
        let all = [
            LogoutReason::Silent { missed, quiet },
            LogoutReason::Held { missed, quiet },
            LogoutReason::PortDown,
            LogoutReason::Removed,
            LogoutReason::Refused,
            LogoutReason::QuotaFull,
            LogoutReason::ConnectionChanges,
            LogoutReason::Stopping,
            LogoutReason::NotHeardOf,
        ];
        assert_eq!(all.map(LogoutReason::word), LogoutReason::WORDS);
        assert!(all.is_sorted(), "in the order of the variants");
    }
}

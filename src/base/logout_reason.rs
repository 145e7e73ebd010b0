//! Why this gateway logs a device out of the platform.

use std::time::Duration;

/// Why a device is logged out by the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogoutReason {
    /// It missed so many polls in a row, and has been quiet for so long.
    Silent {
        /// Polls in a row without an answer.
        missed: u32,
        /// How long since its last proof of life.
        quiet: Duration,
    },
    /// The same once too often: it is kept offline until it is steadier.
    Held {
        /// Polls in a row without an answer.
        missed: u32,
        /// How long since its last proof of life.
        quiet: Duration,
    },
    /// Its port has been down for longer than its grace.
    PortDown,
    /// A new configuration does not have it.
    Removed,
    /// The platform refused it, and it may hold a place all the same.
    Refused,
    /// More devices may be online than the platform lets be.
    QuotaFull,
    /// A new configuration has another connection to the platform.
    ConnectionChanges,
    /// The service ends.
    Stopping,
    /// It may be online from before the service was started, or from before this
    /// connection, and has not answered since.
    NotHeardOf,
}

impl LogoutReason {
    /// One word for each, in the order of the variants; the journal's `REASON` and the
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

    /// The word for it, for programs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        LogoutReason::WORDS[match self {
            LogoutReason::Silent { .. } => 0,
            LogoutReason::Held { .. } => 1,
            LogoutReason::PortDown => 2,
            LogoutReason::Removed => 3,
            LogoutReason::Refused => 4,
            LogoutReason::QuotaFull => 5,
            LogoutReason::ConnectionChanges => 6,
            LogoutReason::Stopping => 7,
            LogoutReason::NotHeardOf => 8,
        }]
    }

    /// Polls in a row without an answer and the quiet time, of what fell silent.
    #[must_use]
    pub const fn figures(self) -> Option<(u32, Duration)> {
        match self {
            LogoutReason::Silent { missed, quiet } | LogoutReason::Held { missed, quiet } => {
                Some((missed, quiet))
            }
            _ => None,
        }
    }

    /// What it comes to, without figures.
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
            LogoutReason::QuotaFull => "more may be online than the platform lets be",
            LogoutReason::ConnectionChanges => "the connection to the platform changes",
            LogoutReason::Stopping => "the service stops",
            LogoutReason::NotHeardOf => "may be online from before, and has not answered since",
        }
    }

    /// The same with its figures.
    #[must_use]
    pub fn sentence(self) -> String {
        match self.figures() {
            Some((missed, quiet)) => {
                format!(
                    "{}: {missed} polls in a row without an answer, {:.1} s quiet",
                    self.kind(),
                    quiet.as_secs_f64()
                )
            }
            None => self.kind().to_owned(),
        }
    }
}

//! The log events about the time.

use crate::base::{EventKind, Level};

/// What became known about the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClockNews {
    /// The system's clock is not synchronised; readings are held.
    Unknown,
    /// The time is known, and `stamped` readings were stamped in hindsight.
    Known {
        /// The source of the time.
        from: ClockSource,
        /// Readings that had waited.
        stamped: usize,
    },
    /// Too many readings wait for the time; the oldest are dropped.
    Dropped {
        /// Readings dropped since the last log event.
        readings: u64,
    },
}

/// The source of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockSource {
    /// The system's clock, synchronised.
    System,
    /// The platform's time.
    Platform,
    /// The system's clock, which is not confirmed as synchronised.
    Unconfirmed,
}

impl ClockNews {
    pub(crate) const fn level(&self) -> Level {
        match self {
            ClockNews::Known {
                from: ClockSource::System | ClockSource::Platform,
                ..
            } => Level::Info,
            ClockNews::Unknown
            | ClockNews::Known {
                from: ClockSource::Unconfirmed,
                ..
            } => Level::Warn,
            ClockNews::Dropped { .. } => Level::Error,
        }
    }

    pub(crate) const fn kind(&self) -> EventKind {
        match self {
            ClockNews::Unknown => EventKind::ClockUnknown,
            ClockNews::Known { .. } => EventKind::ClockKnown,
            ClockNews::Dropped { .. } => EventKind::ClockDropped,
        }
    }

    pub(crate) fn sentence(&self) -> String {
        match self {
            ClockNews::Unknown => {
                "the system's clock is not synchronised: values wait until the time is known; the platform is asked for it".into()
            }
            ClockNews::Known { from, stamped } => {
                let whose = match from {
                    ClockSource::System => "the system's clock is synchronised",
                    ClockSource::Platform => "the time is known from the platform",
                    ClockSource::Unconfirmed => {
                        "nobody confirms the system's clock; it is believed as it is (check NTP)"
                    }
                };
                format!("{whose}; {stamped} values that waited are stamped")
            }
            ClockNews::Dropped { readings } => {
                format!("too many values wait for the time: {readings} of the oldest dropped")
            }
        }
    }
}

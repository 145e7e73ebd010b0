//! The log events about the time.

use crate::base::text::{counted, plural};
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
                "clock: not synchronised: values wait until the time is known; the gateway asks the platform for it".into()
            }
            ClockNews::Known { from, stamped } => {
                let whose = match from {
                    ClockSource::System => "clock: synchronised",
                    ClockSource::Platform => "clock: set by the platform's time",
                    ClockSource::Unconfirmed => {
                        "clock: confirmed neither by NTP nor by the platform; it is taken as it is (check NTP)"
                    }
                };
                match stamped {
                    0 => whose.to_owned(),
                    n => format!(
                        "{whose}; {} that waited {} stamped",
                        counted(*n, "value"),
                        plural(*n, "is", "are")
                    ),
                }
            }
            ClockNews::Dropped { readings } => {
                format!("clock: too many values wait for the time: {readings} of the oldest dropped")
            }
        }
    }
}

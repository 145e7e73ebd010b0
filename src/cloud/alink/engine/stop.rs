//! Stopping: the last readings, then all devices logged out, within a bound.

use std::time::Duration;

use crate::base::{LogoutReason, Mono, Wake};

/// How long all devices stay online for their last readings when the gateway stops.
const LAST_READINGS: Duration = Duration::from_secs(2);

/// How far stopping has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StopPhase {
    No,
    /// The last readings are on their way; no device has been logged out yet.
    LastReadings {
        until: Mono,
        give_up: Mono,
    },
    /// The log-out of all devices is asked for.
    Asked {
        /// Log-outs that are not confirmed by then are given up.
        give_up: Mono,
    },
    Done,
}

/// What is done next on the way to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StopStep {
    /// All devices are logged out, for this reason.
    LogOut(LogoutReason),
    /// It is over.
    End {
        /// Whether all log-outs were confirmed, or else are given up.
        is_confirmed: bool,
        /// Whether the gateway stops, and not only this connection.
        is_for_good: bool,
    },
}

/// The end of the gateway, or of this connection only.
#[derive(Clone, Debug)]
pub(crate) struct Stop {
    phase: StopPhase,
    /// Whether the stop is for this connection only.
    parting: bool,
}

impl Stop {
    /// Returns the state of a gateway that does not stop.
    pub(crate) const fn new() -> Self {
        Stop {
            phase: StopPhase::No,
            parting: false,
        }
    }

    /// Returns whether the gateway, or the connection, is being stopped or has been.
    pub(crate) fn is_on(&self) -> bool {
        self.phase != StopPhase::No
    }

    /// Returns whether readings may still be sent.
    pub(crate) const fn may_post(&self) -> bool {
        matches!(self.phase, StopPhase::No | StopPhase::LastReadings { .. })
    }

    /// Returns whether readings that come now can still be delivered, on this connection or on the
    /// next.
    pub(crate) fn takes_readings(&self) -> bool {
        !self.is_on() || self.parting
    }

    /// Begins to stop; all is over in `within` at most.
    pub(crate) fn begin(&mut self, now: Mono, within: Duration) {
        self.phase = StopPhase::LastReadings {
            until: now + LAST_READINGS.min(within / 5),
            // The rest of the time is for DISCONNECT, and for what stops after the engine.
            give_up: now + within * 9 / 10,
        };
    }

    /// Lets what has begun be for this connection only.
    pub(crate) const fn part(&mut self) {
        self.parting = true;
    }

    /// Turns parting into stopping; returns whether the parting was over, so that the stop
    /// is, too.
    pub(crate) fn stop_for_good(&mut self) -> bool {
        std::mem::take(&mut self.parting) && self.phase == StopPhase::Done
    }

    /// Begins anew after parting; returns whether it was one.
    pub(crate) const fn resume(&mut self) -> bool {
        let parting = self.parting;
        if parting {
            *self = Stop::new();
        }
        parting
    }

    /// Returns when stopping goes on by itself.
    pub(crate) fn due(&self) -> Option<Wake> {
        match self.phase {
            StopPhase::LastReadings { until, .. } => {
                Some(Wake::new(until, "last readings before the end"))
            }
            StopPhase::Asked { give_up } => Some(Wake::new(give_up, "no more time to log out")),
            StopPhase::No | StopPhase::Done => None,
        }
    }

    /// Goes on with stopping, if it is time. `may_deliver` tells whether any reading can
    /// still be delivered, and `is_logged_out` whether no device may be online any more.
    pub(crate) fn next(
        &mut self,
        now: Mono,
        may_deliver: impl FnOnce() -> bool,
        is_logged_out: impl FnOnce() -> bool,
    ) -> Option<StopStep> {
        match self.phase {
            StopPhase::LastReadings { until, give_up } if until <= now || !may_deliver() => {
                self.phase = StopPhase::Asked { give_up };
                Some(StopStep::LogOut(match self.parting {
                    true => LogoutReason::ConnectionChanges,
                    false => LogoutReason::Stopping,
                }))
            }
            StopPhase::Asked { give_up } => {
                let is_confirmed = is_logged_out();
                if !is_confirmed && now < give_up {
                    return None;
                }
                self.phase = StopPhase::Done;
                Some(StopStep::End {
                    is_confirmed,
                    is_for_good: !self.parting,
                })
            }
            StopPhase::No | StopPhase::LastReadings { .. } | StopPhase::Done => None,
        }
    }
}

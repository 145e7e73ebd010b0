//! Stopping: the last readings, then all devices logged out, within a bound.

use std::time::Duration;

use crate::base::{LogoutReason, Mono, Now, Wake};

use crate::cloud::alink::engine::{Ask, Cloud, Output};
use crate::cloud::alink::events::Notice;

/// How long all devices stay online for their last readings when the gateway stops.
const LAST_READINGS: Duration = Duration::from_secs(2);

/// How far stopping has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
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

impl Cloud {
    /// Sends the readings that wait to be sent, but not for long; then logs all devices
    /// out. Ends with [`Output::LoggedOut`].
    pub fn stop(&mut self, now: Now) {
        if self.stop != Stop::No {
            return self.stop_for_good();
        }
        let within = self.spec.stop_within;
        self.stop = Stop::LastReadings {
            until: now.mono + LAST_READINGS.min(within / 5),
            // The rest of the time is for DISCONNECT, and for what stops after the engine.
            give_up: now.mono + within * 9 / 10,
        };
        self.posts.hurry_all(now.mono);
        self.pending.hurry(now.mono + self.last_timeout());
    }

    /// Does the second part of stopping: the log-outs.
    fn log_all_out(&mut self, now: Now, give_up: Mono) {
        self.stop = Stop::Asked { give_up };
        self.leaving.clear();
        let why = match self.parting {
            true => LogoutReason::ConnectionChanges,
            false => LogoutReason::Stopping,
        };
        self.sessions.stop(now.mono, why);
        self.follow(now.mono);
    }

    /// Returns when stopping goes on by itself.
    pub(crate) fn stop_due(&self) -> Option<Wake> {
        match self.stop {
            Stop::LastReadings { until, .. } => {
                Some(Wake::new(until, "last readings before the end"))
            }
            Stop::Asked { give_up } => Some(Wake::new(give_up, "no more time to log out")),
            Stop::No | Stop::Done => None,
        }
    }

    /// Goes on with stopping, if it is time; returns whether it was.
    pub(crate) fn stop_on(&mut self, now: Now) -> bool {
        let mono = now.mono;
        if let Stop::LastReadings { until, give_up } = self.stop
            && (until <= mono || !self.link || !self.posts.has_last_readings())
        {
            self.log_all_out(now, give_up);
            return true;
        }
        let Stop::Asked { give_up } = self.stop else {
            return false;
        };
        if !self.sessions.is_over() {
            if mono < give_up {
                return false;
            }
            self.pending.forget(|ask| matches!(ask, Ask::Session(_)));
            self.sessions.give_up();
        }
        self.stop = Stop::Done;
        if !self.parting {
            self.sum_up();
        }
        self.out.push_back(Output::LoggedOut);
        true
    }

    /// Reports what is left at the end.
    pub(crate) fn sum_up(&mut self) {
        self.posts.count_accepted(&mut self.outbox);
        let readings = self.backlog();
        self.outbox.count().dropped_at_stop += readings as u64;
        self.outbox.tell(Notice::Stopped {
            unconfirmed: self.sessions.unconfirmed(),
            readings,
        });
    }

    /// Returns the reply timeout while stopping. Three rounds fit into the time there is:
    /// the answer to a request under way, or the last readings, and two tries to log out.
    pub(crate) fn last_timeout(&self) -> Duration {
        (self.spec.stop_within / 4).min(self.spec.cloud.session.reply_timeout)
    }
}

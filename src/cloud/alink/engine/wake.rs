//! When the engine has something to do although nothing happens.

use super::*;

impl Cloud {
    /// Returns when to poll again although nothing has happened.
    #[must_use]
    pub fn wake_at(&self) -> Option<Wake> {
        let mut wake = Wake::earlier(self.pending.wake_at(), self.sessions.block_due());
        wake = Wake::earlier(wake, self.posts.wake_at());
        wake = Wake::earlier(wake, self.events.wake_at());
        wake = Wake::earlier(wake, self.spill_due());
        wake = Wake::earlier(wake, self.history.wake_at());
        let sums = self.outbox.sum_due();
        wake = Wake::earlier(wake, sums.map(|at| Wake::new(at, "sums held back")));
        wake = Wake::earlier(wake, self.sessions.shown_online_due());
        if !self.link {
            wake = Wake::earlier(wake, self.remote_due());
        } else {
            wake = Wake::earlier(wake, self.paced(self.sessions.ask_due()));
            wake = Wake::earlier(wake, self.paced(self.topology_due()));
            wake = Wake::earlier(wake, self.paced(self.commands_due()));
            wake = Wake::earlier(wake, self.paced(self.desired_due()));
            wake = Wake::earlier(wake, self.paced(self.event_due()));
            wake = Wake::earlier(wake, self.paced(self.post_due()));
            wake = Wake::earlier(wake, self.paced(self.history_due()));
            wake = Wake::earlier(wake, self.paced(self.timestamps.due()));
            wake = Wake::earlier(wake, self.paced(self.remote_due()));
            wake = Wake::earlier(wake, self.leaving.due());
        }
        Wake::earlier(wake, self.stop.due())
    }

    /// Returns when registration, the topology or answers to orders have something to do;
    /// these parts end with the wish to be online.
    pub(super) fn topology_due(&self) -> Option<Wake> {
        let due = Wake::earlier(self.orders.due(), self.topology.due());
        let due = Wake::earlier(due, self.registration.due());
        (self.link && !self.stop.is_on()).then_some(due)?
    }

    /// Returns when there is an answer to a command to send; none once the log-out of all
    /// devices is asked for.
    pub(super) fn commands_due(&self) -> Option<Wake> {
        let is_in = |id| self.sessions.session(id) == Session::In;
        (self.link && self.stop.may_post()).then(|| self.commands.due(is_in))?
    }

    /// Returns when there is a request about desired values to make.
    pub(super) fn desired_due(&self) -> Option<Wake> {
        (self.link && !self.stop.is_on()).then(|| self.desired.due())?
    }

    /// Returns when the remote configuration has something to do; never once all devices
    /// are logged out.
    pub(super) fn remote_due(&self) -> Option<Wake> {
        (!self.stop.is_on()).then(|| self.remote.wake_at())?
    }

    /// Returns when there is a message with values to send.
    pub(super) fn post_due(&self) -> Option<Wake> {
        (self.link && self.stop.may_post()).then(|| self.posts.due())?
    }

    /// Returns this wake-up, but no earlier than the connection's pace allows.
    pub(super) fn paced(&self, wake: Option<Wake>) -> Option<Wake> {
        let ready = self.pace.ready_at();
        wake.map(|w| Wake {
            at: w.at.max(ready),
            why: w.why,
        })
    }
}

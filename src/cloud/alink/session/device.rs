//! The words for the state of one device: its session, the queue it is in, its relation to
//! the gateway, its state in the console, and what it needs.

use std::time::Duration;

use crate::base::Mono;

/// The two requests of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SessionChange {
    LogOut,
    LogIn,
}

impl SessionChange {
    pub(crate) const ALL: [SessionChange; 2] = [SessionChange::LogOut, SessionChange::LogIn];

    pub(crate) const fn index(self) -> usize {
        match self {
            SessionChange::LogOut => 0,
            SessionChange::LogIn => 1,
        }
    }

    pub(crate) const fn words(self) -> &'static str {
        match self {
            SessionChange::LogOut => "log-out",
            SessionChange::LogIn => "log-in",
        }
    }
}

/// What a device may need from the platform before it can log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LoginNeed {
    /// A secret.
    Register,
    /// A relation to the gateway (`thing/topo/add`).
    Relate,
}

impl LoginNeed {
    pub(crate) const fn words(self) -> &'static str {
        match self {
            LoginNeed::Register => "registration",
            LoginNeed::Relate => "topology",
        }
    }
}

/// What is known of whether a device is in the gateway's topology.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TopologyMembership {
    /// Whether the platform's list holds the device, or the platform has logged it in.
    listed: bool,
    /// When the platform last accepted our request to add the device.
    added: Option<Mono>,
}

impl TopologyMembership {
    /// Takes note whether the platform's list holds the device.
    pub(crate) const fn list(&mut self, listed: bool) {
        self.listed = listed;
    }

    pub(crate) const fn is_listed(&self) -> bool {
        self.listed
    }

    pub(crate) fn add(&mut self, now: Mono) {
        self.added = Some(now);
    }

    /// Returns whether the device was added so lately that asking again would change nothing.
    pub(crate) fn is_fresh(&self, now: Mono) -> bool {
        self.added
            .is_some_and(|at| now.since(at) < Duration::from_secs(60))
    }
}

/// The state of a device's session at the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionState {
    Out,
    /// Perhaps online, because an answer was lost.
    Unsure,
    LoggingIn {
        /// Whether the state was unsure before.
        unsure: bool,
    },
    In,
    LoggingOut {
        /// Whether the state was unsure before.
        unsure: bool,
    },
}

/// Why a device may still be shown online although it has no session as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShownOnline {
    /// The device is not shown online.
    No,
    /// It is not known how an earlier run of this program ended. For some kinds of device
    /// (LoRa) the platform cannot see that they have left.
    EarlierRun,
    /// The device may have been online in this run, and no answer has said since that it is
    /// offline: the connection ended meanwhile, or the absence was concluded from a refused
    /// log-in.
    ThisRun,
}

/// The queue in which a device waits for its next log-in or log-out, or that it is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueueState {
    NotQueued,
    Pool(SessionChange, Mono),
    Waiting(u64),
    UnderWay,
}

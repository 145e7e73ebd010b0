//! What is known of one device, and the requests that the device is part of: the plain data
//! of `session/mod.rs`.

use std::time::Duration;

use crate::base::{Backoff, LogoutReason, Mono};

use crate::cloud::alink::requests::isolation::Group;
use crate::cloud::alink::requests::pace::Attempts;
use crate::cloud::alink::session::Presence;
use crate::cloud::alink::session::retry_block::{RefusalKind, RetryBlock};
use crate::cloud::alink::wire::code::Code;

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
    /// A place in the gateway's topology.
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

/// Where a device asks for a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueueKind {
    /// A secret, by name alone.
    Register,
    /// A secret, with the signature of the device's product.
    ProductRegister,
    /// A place in the topology.
    Relate,
}

impl QueueKind {
    pub(crate) const ALL: [QueueKind; 3] = [
        QueueKind::Register,
        QueueKind::ProductRegister,
        QueueKind::Relate,
    ];

    pub(crate) const fn index(self) -> usize {
        match self {
            QueueKind::Register => 0,
            QueueKind::ProductRegister => 1,
            QueueKind::Relate => 2,
        }
    }

    /// Returns the step that a request in this queue is for.
    pub(crate) const fn step(self) -> LoginNeed {
        match self {
            QueueKind::Register | QueueKind::ProductRegister => LoginNeed::Register,
            QueueKind::Relate => LoginNeed::Relate,
        }
    }
}

/// What is known of a device's place in the gateway's topology.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TopologyPlace {
    /// Whether the platform's list holds the device, or the platform has logged it in.
    pub(crate) listed: bool,
    /// When the platform last accepted our request to add the device.
    added: Option<Mono>,
}

impl TopologyPlace {
    pub(crate) fn add(&mut self, now: Mono) {
        self.added = Some(now);
    }

    /// Whether the device was added so lately that asking again would change nothing.
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

/// Why a device may still be shown online although it has no session: for some kinds (LoRa)
/// the platform cannot see that they have left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShownOnline {
    /// The device is not shown online.
    No,
    /// It is not known how an earlier run of this program ended.
    LastLife,
    /// The device may have been online when the last connection ended, and nothing was
    /// learned about it since.
    LastConnection,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueuePlace {
    Nowhere,
    Pool(SessionChange, Mono),
    Waiting(u64),
    UnderWay,
}

#[derive(Clone, Debug)]
pub(crate) struct Device {
    pub(crate) wanted: Presence,
    /// Why the device is wanted offline, if it was wanted online before.
    pub(crate) why_offline: Option<LogoutReason>,
    pub(crate) actual: SessionState,
    pub(crate) place: QueuePlace,
    pub(crate) block: Option<RetryBlock>,
    pub(crate) refusal: Option<RefusalKind>,
    /// Whether the device had a retry block and has not been accepted since: it is tried
    /// alone, so that it cannot spoil a batch again.
    pub(crate) suspect: bool,
    /// The code of a kick that came while the log-in was under way.
    pub(crate) kick: Option<Code>,
    pub(crate) attempts: Attempts,
    /// How often the device was refused together with others since it was held back for a
    /// step that it needs.
    pub(crate) refusals: u32,
    /// The step that the device needs before it can log in.
    pub(crate) hold: Option<LoginNeed>,
    pub(crate) topology_place: TopologyPlace,
    /// Whether the device may still be shown online although it has no session.
    pub(crate) lingers: ShownOnline,
    /// Whether a log event said that the device is online, and none yet that it no longer
    /// is.
    pub(crate) announced: bool,
    /// Whether the secret changed while a log-in with the old one was under way.
    pub(crate) new_secret: bool,
    /// The last request that the device was part of; 0 if something newer is known of the
    /// device.
    pub(crate) asked: u64,
    /// The first of the requests of one kind in a row, up to `asked`, whose outcome is
    /// unknown: a late answer to any of them settles it.
    pub(crate) unsettled_since: (SessionChange, u64),
}

impl Default for Device {
    /// Returns a device that is out, and not wanted.
    fn default() -> Self {
        Device {
            wanted: Presence::Offline,
            why_offline: None,
            actual: SessionState::Out,
            place: QueuePlace::Nowhere,
            block: None,
            refusal: None,
            suspect: false,
            kick: None,
            attempts: Attempts::default(),
            refusals: 0,
            hold: None,
            topology_place: TopologyPlace::default(),
            lingers: ShownOnline::No,
            announced: false,
            new_secret: false,
            asked: 0,
            unsettled_since: (SessionChange::LogIn, 0),
        }
    }
}

/// A session request: its devices, and its failures so far.
#[derive(Clone, Debug)]
pub(crate) struct SessionRequest {
    pub(crate) kind: SessionChange,
    pub(crate) group: Group,
    /// The number of the request since it was last sent.
    pub(crate) serial: u64,
    /// When the request was last sent.
    pub(crate) sent: Mono,
    /// How often the members were refused together with others; if it is not 0, the device
    /// to blame is being searched for.
    pub(crate) refusals: u32,
    pub(crate) backoff: Backoff,
    /// How many answers were lost in a row.
    pub(crate) lost: u32,
    /// How many answers in a row were lost, or refused for no fault of the devices.
    pub(crate) failures: u32,
    /// The same count since the gateway is stopping.
    pub(crate) last_tries: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) request: SessionRequest,
    pub(crate) not_before: Mono,
}

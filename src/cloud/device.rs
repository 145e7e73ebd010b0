//! What is known of one device, and the requests it is part of: the plain data
//! of `session.rs`.

use std::time::Duration;

use crate::base::{Backoff, Mono};

use super::bar::{RefusalKind, RetryBlock};
use super::batch::Group;
use super::code::Code;
use super::pace::Attempts;
use super::session::Presence;

/// The two things that can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SessionChange {
    LogOut,
    LogIn,
}

impl SessionChange {
    pub(super) const ALL: [SessionChange; 2] = [SessionChange::LogOut, SessionChange::LogIn];

    pub(super) const fn index(self) -> usize {
        match self {
            SessionChange::LogOut => 0,
            SessionChange::LogIn => 1,
        }
    }

    pub(super) const fn words(self) -> &'static str {
        match self {
            SessionChange::LogOut => "log-out",
            SessionChange::LogIn => "log-in",
        }
    }
}

/// What a device may need from the platform before it can log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LoginNeed {
    /// A secret.
    Register,
    /// A place in the gateway's topology.
    Relate,
}

impl LoginNeed {
    pub(super) const fn words(self) -> &'static str {
        match self {
            LoginNeed::Register => "registration",
            LoginNeed::Relate => "topology",
        }
    }
}

/// Where a step is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QueueKind {
    /// A secret, by name alone.
    Register,
    /// A secret, with the signature of the device's product.
    ProductRegister,
    /// A place in the topology.
    Relate,
}

impl QueueKind {
    pub(super) const ALL: [QueueKind; 3] = [
        QueueKind::Register,
        QueueKind::ProductRegister,
        QueueKind::Relate,
    ];

    pub(super) const fn index(self) -> usize {
        match self {
            QueueKind::Register => 0,
            QueueKind::ProductRegister => 1,
            QueueKind::Relate => 2,
        }
    }

    /// What it is good for.
    pub(super) const fn step(self) -> LoginNeed {
        match self {
            QueueKind::Register | QueueKind::ProductRegister => LoginNeed::Register,
            QueueKind::Relate => LoginNeed::Relate,
        }
    }
}

/// What we know of a device's place in the gateway's topology.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TopologyPlace {
    /// The platform's list holds it, or it was let in.
    pub(super) listed: bool,
    /// When the platform last accepted our adding it.
    added: Option<Mono>,
}

impl TopologyPlace {
    pub(super) fn add(&mut self, now: Mono) {
        self.added = Some(now);
    }

    /// Added so lately that asking again would change nothing.
    pub(super) fn is_fresh(&self, now: Mono) -> bool {
        self.added
            .is_some_and(|at| now.since(at) < Duration::from_secs(60))
    }
}

/// What is, at the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SessionState {
    Out,
    /// Perhaps online: an answer was lost.
    Unsure,
    LoggingIn {
        /// What it was before.
        unsure: bool,
    },
    In,
    LoggingOut {
        /// What it was before.
        unsure: bool,
    },
}

/// Why a device may still be shown online although it has no session: the
/// platform cannot see some kinds (LoRa) leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ShownOnline {
    /// It is not.
    No,
    /// Nobody knows how an earlier life of this program ended.
    LastLife,
    /// It may have been online when the last connection ended, and nothing has
    /// been heard of it since.
    LastConnection,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QueuePlace {
    Nowhere,
    Pool(SessionChange, Mono),
    Waiting(u64),
    UnderWay,
}

#[derive(Clone, Debug)]
pub(super) struct Device {
    pub(super) wanted: Presence,
    pub(super) actual: SessionState,
    pub(super) place: QueuePlace,
    pub(super) bar: Option<RetryBlock>,
    pub(super) offence: Option<RefusalKind>,
    /// Was barred and has not been accepted since: tried alone, so that it
    /// cannot spoil a batch again.
    pub(super) suspect: bool,
    /// Kicked while its log-in was under way.
    pub(super) kick: Option<Code>,
    pub(super) attempts: Attempts,
    /// How often it was refused together with others since it was held back for
    /// what it needs.
    pub(super) refusals: u32,
    /// What it needs before it can log in.
    pub(super) hold: Option<LoginNeed>,
    pub(super) tie: TopologyPlace,
    /// Whether it may still be shown online although it has no session.
    pub(super) lingers: ShownOnline,
    /// It has been told that it is online, and not yet that it no longer is.
    pub(super) announced: bool,
    /// Its secret changed while a log-in with the old one was under way.
    pub(super) new_secret: bool,
    /// The last request it was part of; 0 if something newer was heard of it.
    pub(super) asked: u64,
    /// The first of the requests of one kind in a row, up to `asked`, whose fate
    /// is unknown: a late answer to any of them settles it.
    pub(super) unsettled_since: (SessionChange, u64),
}

impl Default for Device {
    /// Out, and not wanted.
    fn default() -> Self {
        Device {
            wanted: Presence::Offline,
            actual: SessionState::Out,
            place: QueuePlace::Nowhere,
            bar: None,
            offence: None,
            suspect: false,
            kick: None,
            attempts: Attempts::default(),
            refusals: 0,
            hold: None,
            tie: TopologyPlace::default(),
            lingers: ShownOnline::No,
            announced: false,
            new_secret: false,
            asked: 0,
            unsettled_since: (SessionChange::LogIn, 0),
        }
    }
}

/// One request: for whom, and how it has fared so far.
#[derive(Clone, Debug)]
pub(super) struct SessionRequest {
    pub(super) kind: SessionChange,
    pub(super) group: Group,
    /// Its number since it was last sent.
    pub(super) serial: u64,
    /// When it was last sent.
    pub(super) sent: Mono,
    /// How often its members were refused together with others, so that who is
    /// to blame is being searched.
    pub(super) refusals: u32,
    pub(super) backoff: Backoff,
    /// Answers lost in a row.
    pub(super) lost: u32,
    /// Answers lost, or refused for no fault of the devices, in a row.
    pub(super) failures: u32,
    /// The same since we are stopping.
    pub(super) last_tries: u32,
}

#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) errand: SessionRequest,
    pub(super) not_before: Mono,
}

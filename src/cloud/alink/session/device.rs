//! What is known of one device, and the requests it is part of: the plain data
//! of `session/mod.rs`.

use std::time::Duration;

use crate::base::{Backoff, LogoutReason, Mono};

use crate::cloud::alink::pace::Attempts;
use crate::cloud::alink::session::Presence;
use crate::cloud::alink::session::isolation::Group;
use crate::cloud::alink::session::retry_block::{RefusalKind, RetryBlock};
use crate::cloud::alink::wire::code::Code;

/// The two things that can be asked.
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

/// Where a step is asked for.
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

    /// What it is good for.
    pub(crate) const fn step(self) -> LoginNeed {
        match self {
            QueueKind::Register | QueueKind::ProductRegister => LoginNeed::Register,
            QueueKind::Relate => LoginNeed::Relate,
        }
    }
}

/// What we know of a device's place in the gateway's topology.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TopologyPlace {
    /// The platform's list holds it, or it was let in.
    pub(crate) listed: bool,
    /// When the platform last accepted our adding it.
    added: Option<Mono>,
}

impl TopologyPlace {
    pub(crate) fn add(&mut self, now: Mono) {
        self.added = Some(now);
    }

    /// Added so lately that asking again would change nothing.
    pub(crate) fn is_fresh(&self, now: Mono) -> bool {
        self.added
            .is_some_and(|at| now.since(at) < Duration::from_secs(60))
    }
}

/// What is, at the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionState {
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
pub(crate) enum ShownOnline {
    /// It is not.
    No,
    /// Nobody knows how an earlier life of this program ended.
    LastLife,
    /// It may have been online when the last connection ended, and nothing has
    /// been heard of it since.
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
    /// Why it is wanted offline, if it was wanted online before.
    pub(crate) why_offline: Option<LogoutReason>,
    pub(crate) actual: SessionState,
    pub(crate) place: QueuePlace,
    pub(crate) bar: Option<RetryBlock>,
    pub(crate) offence: Option<RefusalKind>,
    /// Was barred and has not been accepted since: tried alone, so that it
    /// cannot spoil a batch again.
    pub(crate) suspect: bool,
    /// Kicked while its log-in was under way.
    pub(crate) kick: Option<Code>,
    pub(crate) attempts: Attempts,
    /// How often it was refused together with others since it was held back for
    /// what it needs.
    pub(crate) refusals: u32,
    /// What it needs before it can log in.
    pub(crate) hold: Option<LoginNeed>,
    pub(crate) tie: TopologyPlace,
    /// Whether it may still be shown online although it has no session.
    pub(crate) lingers: ShownOnline,
    /// It has been told that it is online, and not yet that it no longer is.
    pub(crate) announced: bool,
    /// Its secret changed while a log-in with the old one was under way.
    pub(crate) new_secret: bool,
    /// The last request it was part of; 0 if something newer was heard of it.
    pub(crate) asked: u64,
    /// The first of the requests of one kind in a row, up to `asked`, whose fate
    /// is unknown: a late answer to any of them settles it.
    pub(crate) unsettled_since: (SessionChange, u64),
}

impl Default for Device {
    /// Out, and not wanted.
    fn default() -> Self {
        Device {
            wanted: Presence::Offline,
            why_offline: None,
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
pub(crate) struct SessionRequest {
    pub(crate) kind: SessionChange,
    pub(crate) group: Group,
    /// Its number since it was last sent.
    pub(crate) serial: u64,
    /// When it was last sent.
    pub(crate) sent: Mono,
    /// How often its members were refused together with others, so that who is
    /// to blame is being searched.
    pub(crate) refusals: u32,
    pub(crate) backoff: Backoff,
    /// Answers lost in a row.
    pub(crate) lost: u32,
    /// Answers lost, or refused for no fault of the devices, in a row.
    pub(crate) failures: u32,
    /// The same since we are stopping.
    pub(crate) last_tries: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) errand: SessionRequest,
    pub(crate) not_before: Mono,
}

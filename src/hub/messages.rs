//! Every sentence that enters or leaves the mind, on one screen.

use std::sync::Arc;

use crate::base::{
    About, DeviceId, EventGroup, EventKind, FieldEvent, JournalField, Level, LinkCommand,
    LinkEvent, LogEvent, Secret,
};
use crate::cloud::{RemoteResult, RemoteTask};
use crate::spec::{Changes, Spec};
use crate::{cloud, fleet};

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// On a bus.
    Field(FieldEvent),
    /// On the link to the cloud.
    Link(LinkEvent),
    /// A device's secret, kept from an earlier life or changed since.
    Secret {
        /// Whose.
        device: DeviceId,
        /// It.
        secret: Secret,
    },
    /// Whether secrets can be kept; as long as they cannot, no device is
    /// registered.
    Vault {
        /// As the last attempt showed, if that was lately.
        usable: bool,
    },
    /// Whether the system's clock is synchronised; said at the start, and again
    /// until it is.
    Clock {
        /// As the system says.
        synchronised: bool,
    },
    /// An errand has ended.
    Errand(RemoteResult),
    /// Nothing but time.
    Time,
    /// The service is asked to end: log everyone out.
    Stop,
    /// The connection is to be changed: log everyone out of this one.
    Part,
    /// From now on this installation, and how it differs from the last. If the
    /// connection changes, [`Output::Parted`] has come before and the link is
    /// gone.
    Reload {
        /// From now on.
        spec: Arc<Spec>,
        /// How it differs from the last.
        changes: Box<Changes>,
        /// Whether the gateway has an identity; to have one now and not before,
        /// or the other way round, is a change of the connection.
        commissioned: bool,
    },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// By the link.
    Link(LinkCommand),
    /// By the journal.
    Notice(Notice),
    /// By the vault: this secret must outlive the process, and come back as
    /// [`Input::Secret`].
    Keep {
        /// Whose.
        device: DeviceId,
        /// It.
        secret: Secret,
    },
    /// By whoever holds the house together; comes back as [`Input::Errand`].
    Errand(RemoteTask),
    /// After [`Input::Part`]: nobody of ours is online on this connection any
    /// more, or the asks have run out; the link has been told to disconnect.
    Parted,
    /// After [`Input::Stop`]: nobody of ours is online any more, or the asks
    /// have run out; the link has been told to disconnect.
    Stopped,
}

/// Notices of all rooms.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// About a device or port.
    Fleet(fleet::Notice),
    /// About the platform.
    Cloud(cloud::Notice),
    /// About several devices at once.
    Crowd(EventGroup),
}

impl Notice {
    fn inner(&self) -> &dyn LogEvent {
        match self {
            Notice::Fleet(n) => n,
            Notice::Cloud(n) => n,
            Notice::Crowd(n) => n,
        }
    }
}

impl LogEvent for Notice {
    fn level(&self) -> Level {
        self.inner().level()
    }

    fn kind(&self) -> EventKind {
        self.inner().kind()
    }

    fn about(&self) -> About {
        self.inner().about()
    }

    fn devices(&self) -> &[DeviceId] {
        self.inner().devices()
    }

    fn lists_devices(&self) -> bool {
        self.inner().lists_devices()
    }

    fn fields(&self) -> Vec<(JournalField, String)> {
        self.inner().fields()
    }

    fn sentence(&self) -> String {
        self.inner().sentence()
    }
}

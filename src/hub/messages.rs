//! All inputs and outputs of the coordinator.

use std::sync::Arc;

use crate::base::{
    BusCommand, Command, CommandAnswer, CommandNumber, DeviceId, EventGroup, EventKind, FieldEvent,
    JournalField, Level, LinkCommand, LinkEvent, LogEvent, LogSubject, PortId, Secret,
    StorePosition, StoredReading,
};
use crate::cloud::{RemoteResult, RemoteTask};
use crate::spec::{Changes, Spec};
use crate::spool::SpoolStatus;
use crate::thing_event::ThingEventLogEvent;
use crate::{cloud, command, fleet};

/// An input of the coordinator.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// An event on a bus.
    Field(FieldEvent),
    /// An event on the link to the cloud.
    Link(LinkEvent),
    /// A device's secret, stored in an earlier run or changed since.
    Secret {
        /// The device that the secret belongs to.
        device: DeviceId,
        /// The secret.
        secret: Secret,
    },
    /// Whether secrets can be stored; as long as they cannot, no device is registered.
    SecretStore {
        /// The result of the last attempt, if it was recent.
        usable: bool,
    },
    /// There is a store of readings. Until this comes, nothing is stored.
    StoreOpen {
        /// Whether anything is in it.
        has_values: bool,
    },
    /// The result of [`Output::Store`].
    Stored {
        /// Where the readings are, from the first on; `None` stands for one that the store
        /// dropped and counted. The others are not stored.
        at: Vec<Option<StorePosition>>,
    },
    /// The values that [`Output::ReadStore`] asked for.
    StoreRead {
        /// The values, in the order in which they were stored.
        readings: Vec<(StorePosition, StoredReading)>,
        /// Where there are more.
        next: Option<StorePosition>,
    },
    /// The store could not be read.
    StoreReadFailed {
        /// From here on.
        from: StorePosition,
    },
    /// What the store of readings holds now.
    StoreStatus(Box<SpoolStatus>),
    /// There is no store of readings any more: nothing is stored or read from here on.
    StoreGone(Box<SpoolStatus>),
    /// Whether the system's clock is synchronised. The input comes at the start, and again
    /// until the clock is synchronised.
    Clock {
        /// The system's report.
        synchronised: bool,
    },
    /// A user of this machine gives a command.
    Command(Command),
    /// A port takes no more commands: this one does not reach it.
    PortBusy(CommandNumber),
    /// A remote task has ended.
    RemoteTaskDone(RemoteResult),
    /// Only time has passed.
    Time,
    /// The service is to end: log out all devices.
    Stop,
    /// The connection is to be changed: log out all devices of this connection.
    LeaveConnection,
    /// A new installation, and how it differs from the last. If the connection changes,
    /// [`Output::ConnectionLeft`] has come before and the link is gone.
    Reload {
        /// The new installation.
        spec: Arc<Spec>,
        /// How the new installation differs from the last.
        changes: Box<Changes>,
        /// Whether the gateway has an identity. To have an identity now and not before, or the
        /// other way round, is a change of the connection.
        commissioned: bool,
    },
}

/// An output of the coordinator: work for another part.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// The link sends this command.
    Link(LinkCommand),
    /// The log records this notice.
    LogEvent(HubLogEvent),
    /// The secret store keeps this secret: it must outlive the process, and come back as
    /// [`Input::Secret`].
    StoreSecret {
        /// The device that the secret belongs to.
        device: DeviceId,
        /// The secret.
        secret: Secret,
    },
    /// The store keeps these readings; the result comes back as [`Input::Stored`]. Times since
    /// the start of the machine count from the start of this process.
    Store(Vec<StoredReading>),
    /// The store reads up to so many values; they come back as [`Input::StoreRead`] or
    /// [`Input::StoreReadFailed`].
    ReadStore {
        /// From here on.
        from: StorePosition,
        /// How many values at most.
        most: usize,
    },
    /// The store need not keep these values any more.
    Settle(Vec<StorePosition>),
    /// The port carries out this command; its end comes back as
    /// [`crate::base::FieldEvent::CommandEnded`], or [`Input::PortBusy`] comes.
    Bus {
        /// Which port.
        port: PortId,
        /// The command.
        command: BusCommand,
    },
    /// The answer to a command of a user of this machine.
    Answer {
        /// The command.
        number: CommandNumber,
        /// The answer.
        answer: CommandAnswer,
    },
    /// The service carries out this remote task; the result comes back as
    /// [`Input::RemoteTaskDone`].
    RemoteTask(RemoteTask),
    /// After [`Input::LeaveConnection`]: no device of this gateway is online on this connection any
    /// more, or the log-out requests have run out of time. The link has been told to disconnect.
    ConnectionLeft,
    /// After [`Input::Stop`]: no device of this gateway is online any more, or the log-out
    /// requests have run out of time. The link has been told to disconnect.
    Stopped,
}

/// A log event of the fleet, of the cloud, or of several devices at once.
#[derive(Clone, Debug, PartialEq)]
pub enum HubLogEvent {
    /// About a device or port.
    Fleet(fleet::FleetLogEvent),
    /// About the platform.
    Cloud(cloud::CloudLogEvent),
    /// An event of the thing model was raised.
    ThingEvent(ThingEventLogEvent),
    /// About a command.
    Command(command::CommandLogEvent),
    /// About several devices at once.
    Group(EventGroup),
}

impl HubLogEvent {
    fn inner(&self) -> &dyn LogEvent {
        match self {
            HubLogEvent::Fleet(n) => n,
            HubLogEvent::Cloud(n) => n,
            HubLogEvent::ThingEvent(n) => n,
            HubLogEvent::Command(n) => n,
            HubLogEvent::Group(n) => n,
        }
    }
}

impl LogEvent for HubLogEvent {
    fn level(&self) -> Level {
        self.inner().level()
    }

    fn kind(&self) -> EventKind {
        self.inner().kind()
    }

    fn subject(&self) -> LogSubject {
        self.inner().subject()
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

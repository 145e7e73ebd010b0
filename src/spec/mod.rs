//! Floor 1: this installation, validated.
//!
//! The configuration compiles to these types, and every engine is built from them. They are plain
//! data: everything that a [`Spec`] can say is allowed, so no floor above has to check again.
//! Durations are durations, addresses are in range, names are unique, every reference resolves.
//!
//! There are more than a dozen files because each is one type of the specification, or a few that
//! belong together, and none of them knows how the others are used.

pub mod address;
pub mod cloud;
pub mod control;
pub mod dlt645;
pub mod field;
pub mod identify;
pub mod instance;
pub mod kind_description;
pub mod line;
pub mod network;
pub mod raw;
pub mod reload;
pub mod remote;
pub mod report;
pub mod store;
pub mod survey;
#[cfg(any(test, feature = "lab"))]
pub mod test_spec;
pub mod thing_event;
pub mod value;
pub mod write;

pub use address::{
    BusAddress, DatumAddress, ItemIndex, ModbusAddress, PointAddress, QuestionIndex, Table,
};
pub use cloud::{
    BrokerSpec, CloudSpec, GatewayCertificate, GatewayIdentity, PostPolicy, ProductCertificate,
    Registration, SessionLimits, SignMethod, Subscriptions, TopologyPolicy, Transport,
};
pub use control::{ControlSpec, LocalWrite};
pub use field::{
    DeviceSpec, DisplaySpec, Framing, Gap, LineBudget, LineSpec, Liveness, PointSpec, PortSpec,
    Priority, ProfileSpec, Protocol, Reads, SerialSpec, TcpSpec,
};
pub use identify::{Accepts, Certainty, Identification, IdentifyBy, IdentifyTest, NumberRange};
pub use instance::{InstanceKind, InstanceQuota};
pub use kind_description::{KindDescription, Title, TitleLanguage, Unit};
pub use line::{
    Adapter, Characters, ConnectionSpec, Parity, Rs485, RtsLevel, StopBits, TransactionIds,
};
pub use network::{HostList, Network};
pub use reload::{Changes, MOST_IDENTITIES, Retired};
pub use remote::{FailedTrial, RemotePolicy, Retraction, TrialFailure};
pub use report::{Deadband, ReadingPolicy, ReportPolicy, ReportRates, ReportWhen, WindowValue};
pub use store::{DropPolicy, Durability, StorePolicy};
pub use thing_event::{EventOutput, EventRule, EventTrigger, ThingEventSpec};
pub(crate) use value::ones;
pub use value::{
    Bits, ByteOrder, Codec, DataType, DateTime, Decimal, Digits, Encoding, FieldForm, Marker,
    Measure, NotWritable, Number, NumberType, Part, RegisterByte, Sign, States, TimeField,
    TimeLayout, UtcOffset, WordOrder,
};
pub use write::{
    CommandPolicy, CommandSpec, Condition, InputSpec, Interlock, Operand, ReadBack, ServiceSpec,
    ServiceStep, WriteFunctions, WritePolicy, WriteRequests,
};

use std::time::Duration;

use crate::base::{DeviceId, PortId};

/// One gateway: its cloud identity, its ports, its devices.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// The platform side.
    pub cloud: CloudSpec,
    /// Indexed by [`PortId`].
    pub ports: Vec<PortSpec>,
    /// Indexed by [`DeviceId`]; at most 2,000 (the platform's limit of online
    /// sub-devices per gateway).
    pub devices: Vec<DeviceSpec>,
    /// The longest time from SIGTERM until the process is gone: log-outs, DISCONNECT, close.
    /// Default 10 s.
    pub stop_within: Duration,
    /// Which commands are carried out.
    pub commands: CommandSpec,
    /// Ids whose device or port is no longer configured; none in a configuration fresh from
    /// its files.
    pub retired: Retired,
}

impl Spec {
    /// Returns the port with this id, also if it is retired.
    #[must_use]
    pub fn port(&self, id: PortId) -> Option<&PortSpec> {
        self.ports.get(id.index())
    }

    /// Returns the device with this id, also if it is retired.
    #[must_use]
    pub fn device(&self, id: DeviceId) -> Option<&DeviceSpec> {
        self.devices.get(id.index())
    }

    /// Returns all configured devices with their ids; in configuration order as long as the
    /// configuration has not been loaded anew.
    pub fn devices(&self) -> impl Iterator<Item = (DeviceId, &DeviceSpec)> {
        let all = (0u32..).map(DeviceId).zip(&self.devices);
        all.filter(|(id, _)| !self.retired.devices.contains(id))
    }

    /// Returns all configured ports with their ids, in the same order.
    pub fn ports(&self) -> impl Iterator<Item = (PortId, &PortSpec)> {
        let all = (0u16..).map(PortId).zip(&self.ports);
        all.filter(|(id, _)| !self.retired.ports.contains(id))
    }

    /// Returns the configured devices on one port, in the same order.
    pub fn devices_on(&self, port: PortId) -> impl Iterator<Item = (DeviceId, &DeviceSpec)> {
        self.devices().filter(move |(_, d)| d.port == port)
    }
}

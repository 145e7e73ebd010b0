//! Floor 0: the types that every room uses.
//!
//! Plain data and arithmetic. The room decides nothing, knows no bus and no platform, and
//! reads no clock: callers pass the time as [`Now`] and chance as [`Rng`].
//!
//! The files lie side by side, though there are many: each is one type, or a few
//! that belong together, and stands alone; a room names the type and no folder.

pub mod backoff;
pub mod command;
pub mod digest;
pub mod event;
pub mod event_grouping;
pub mod histogram;
pub mod id;
pub mod journal;
pub mod link;
pub mod log_event;
pub mod logout_reason;
pub mod rate_limit;
pub mod reachability;
pub mod rng;
pub mod secret;
pub mod stored_reading;
pub mod text;
pub mod thing_event;
pub mod time;
pub mod utc;
pub mod value;

pub use backoff::Backoff;
pub use command::{
    BusCommand, BusEnd, BusWork, Command, CommandAction, CommandAnswer, CommandNumber,
    CommandOrigin, PointEnd, RefusedReason, ServiceStop, UnknownReason, WriteVerdict,
};
pub use digest::Digest;
pub use event::{
    Echoes, FieldEvent, ImplausibleFloats, LivenessEvidence, LivenessProof, MissReason,
    RequestFailure,
};
pub use event_grouping::{EventGroup, EventGrouping, Grouped};
pub use id::{DeviceId, DeviceName, PortId, ProductKey, RequestId, UnitId};
pub use journal::{EventKind, JournalField, MessageId};
pub use link::{LinkCommand, LinkDown, LinkEvent};
pub use log_event::{Level, LogEvent, LogSubject};
pub use logout_reason::LogoutReason;
pub use rate_limit::{RateLimit, SuppressedRepeats};
pub use reachability::Reachability;
pub use rng::Rng;
pub use secret::Secret;
pub use stored_reading::{StorePosition, StoredReading, StoredTime, StoredValue};
pub use thing_event::{EventData, ThingEvent, ThingEventOutcome};
pub use time::{Mono, Now, Wake, Wall};
pub use value::{Reading, Value};

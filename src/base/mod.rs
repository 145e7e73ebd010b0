//! Floor 0: the words every room uses.
//!
//! Plain data and arithmetic. Nothing here decides anything, knows a bus or a
//! platform, or reads a clock: time arrives as [`Now`], chance as [`Rng`].

pub mod backoff;
pub mod crowd;
pub mod digest;
pub mod event;
pub mod histogram;
pub mod id;
pub mod journal;
pub mod link;
pub mod repeat;
pub mod rng;
pub mod secret;
pub mod tell;
pub mod text;
pub mod time;
pub mod utc;
pub mod value;

pub use backoff::Backoff;
pub use crowd::{EventGroup, EventGrouping, Grouped};
pub use digest::Digest;
pub use event::{Echoes, Evidence, FieldEvent, Miss, Proof, RequestFailure};
pub use id::{AskId, DeviceId, DeviceName, PortId, ProductKey, UnitId};
pub use journal::{EventKind, JournalField, MessageId};
pub use link::{LinkCommand, LinkDown, LinkEvent};
pub use repeat::{RateLimit, Suppressed};
pub use rng::Rng;
pub use secret::Secret;
pub use tell::{About, Level, LogEvent};
pub use time::{Mono, Now, Wake, Wall};
pub use value::{Reading, Value};

//! Floor 2: what the gateway believes about each device.
//!
//! Decides: whether a device is responding or silent, why, and therefore whether it ought to be
//! online in the cloud. Refuses to know: buses (the fleet is handed
//! [`LivenessEvidence`](crate::base::LivenessEvidence), already judged) and the platform (the fleet
//! says what it wants, and `cloud/` achieves it).
//!
//! Contract: one [`Fleet::on_field`] or [`Fleet::on_time`], then [`Fleet::poll`] until
//! `None`, then sleep until [`Fleet::wake_at`].
//!
//! Invariants:
//! - A device is wanted online if and only if it is responding, or suspect at most, and has
//!   not fallen silent so often lately that it is held back.
//! - A device is silent only after as many missed polls *and* as long a quiet time as its
//!   [`Liveness`](crate::spec::Liveness) says, or because its port has been down for its
//!   grace. The notice says which of the two it was.
//! - An exception from the unit, and a reply that came too late to be used, are proof of
//!   life like any other.
//! - A device that is no longer configured is unwanted. A device that moves is judged anew,
//!   and wanted as before until then.
//! - A change in what the fleet believes gives one notice, with its reason.

mod events;
mod flapping;
mod liveness;
mod registry;

pub use events::FleetLogEvent;
pub use liveness::{DeviceLiveness, SilenceReason};
pub use registry::{Fleet, Output};

//! Floor 2: what we believe about each device.
//!
//! Decides: whether a device is responding or silent, why, and therefore
//! whether it ought to be online in the cloud. Refuses to know: buses (it is
//! handed [`Evidence`](crate::base::Evidence), already judged) and the platform
//! (it says what it wants; `cloud/` gets it).
//!
//! Contract: one [`Fleet::on_field`] or [`Fleet::on_time`], then
//! [`Fleet::poll`] until `None`, then sleep until [`Fleet::wake_at`].
//!
//! Invariants:
//! - A device is wanted online if and only if it is responding, or suspect at
//!   most, and has not fallen silent so often lately that it is held back.
//! - A device is silent only after as many missed polls *and* as long a quiet
//!   as its [`Liveness`](crate::spec::Liveness) says, or because its port has
//!   been down for its grace; whichever it was is in the notice.
//! - An exception from the unit, and a reply that came too late to be used, are
//!   proof of life like any other.
//! - A device that is no longer configured is unwanted; one that moves is judged
//!   anew, and wanted as before until then.
//! - A change of mind is told once, with its reason.

mod events;
mod flapping;
mod liveness;
mod registry;
mod reload;

pub use events::Notice;
pub use liveness::{Life, SilenceReason};
pub use registry::{Fleet, Output};

//! Floor 3: the coordinator, which composes fleet, reporter and cloud.
//!
//! Decides nothing of its own: the coordinator carries events of the field side to `fleet/` and
//! `report/`, and to `cloud/` the readings that `report/` hands out, the wishes of the fleet and
//! events of the link, and every reading to `thing_event/`, whose events it carries to `cloud/`;
//! and it has the status of the whole for people. Refuses to know: sockets, tasks, clocks. The room
//! keeps the last value of every point and the statistics, for people who ask, and composes the
//! answers for them (`snapshot.rs`), in the types of [`crate::control`]. Before a start it composes
//! what will be sent and kept, from the configuration alone ([`upstream`]).
//!
//! Contract: one [`Coordinator::handle`], then [`Coordinator::poll`] until `None`, then
//! sleep until [`Coordinator::wake_at`]. The caller may stop polling early when the link's
//! outbox is full; no output is lost, because it waits inside.
//!
//! Invariants:
//! - The fleet's wish for a device reaches the cloud in the same turn.
//! - After a reload fleet, reporter and cloud know the same installation; in between no input
//!   is handled.
//! - A value is good only if it was read lately, since its device last fell silent or its
//!   port went down, and while the device answers.
//! - Each device that is not alive on its bus and online at the platform has a reason in
//!   its status.
//! - Every reading is judged by the rules of events before its report policy, and what they raise
//!   is offered to the cloud in the same turn.
//! - A reading that is reported is offered to the cloud whatever the state of the session;
//!   only `cloud/` decides when it is sent.
//! - What is withheld of a device is offered to the cloud before the wish that the device be
//!   offline, before the loss of the connection, before a new installation, and before a stop.
//! - However many devices change for one reason, a few notices report it, and each device
//!   is named in one of them.

mod cache;
mod coordinator;
mod messages;
mod noticed;
mod statistics;
mod status;
#[cfg(test)]
mod test_hub;
pub mod upstream;

pub use cache::{LastValue, Quality, title};
pub use coordinator::Coordinator;
pub use messages::{HubLogEvent, Input, Output};
pub use status::{GatewayStatus, LinkState, PortStatus};

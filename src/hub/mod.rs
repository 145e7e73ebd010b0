//! Floor 3: the gateway's mind, composed.
//!
//! Decides nothing of its own: it carries what the field side says to `fleet/`
//! and `cloud/`, what the fleet wants to the cloud, and what the link says to
//! the cloud; and it knows the picture of the whole for people. Refuses to
//! know: sockets, tasks, clocks. It remembers the last value of every point and
//! what has been heard so far for whoever looks, and paints the pictures that
//! people ask for (`snapshot.rs`), in the words of [`crate::control`].
//!
//! Contract: one [`Coordinator::handle`], then [`Coordinator::poll`] until `None`, then sleep
//! until [`Coordinator::wake_at`]. The caller may stop polling early when the link's
//! outbox is full; nothing is lost, it waits inside.
//!
//! Invariants:
//! - The fleet's wish for a device reaches the cloud in the same turn.
//! - After a reload the fleet and the cloud know the same installation; in
//!   between nothing is handled.
//! - A value is good only if it was read lately, since its device last fell
//!   silent or its port went down, and while it answers.
//! - Whoever is not alive on its bus and online at the platform has a reason in its
//!   picture.
//! - A reading is offered to the cloud whatever the state of the session; only
//!   `cloud/` decides when it travels.
//! - However many devices change for one reason, a handful of notices tells it,
//!   and each device is named in one of them.

mod cache;
mod coordinator;
mod messages;
mod snapshot;
mod statistics;
mod status;

pub use cache::{LastValue, Quality};
pub use coordinator::Coordinator;
pub use messages::{Input, Notice, Output};
pub use status::{LinkState, PortStatus, Status};

//! Floor 2: which commands are carried out, and what their senders are told.
//!
//! A command comes from the platform or from a user of this machine. Decides: whether it is
//! permitted, whether each value is one that the point may have, whether a confirmation or a
//! pause is wanted first, and when its time is over. Refuses to know: how the platform writes a
//! command (`cloud/`), how a value becomes registers (`field/`).
//!
//! Contract: one `on_…`, then [`Commands::poll`] until `None`, then sleep until
//! [`Commands::wake_at`] and call [`Commands::on_time`]. What goes to a port comes back as its
//! end ([`Commands::on_bus_end`]).
//!
//! Invariants:
//! - Each command gets exactly one answer, and not later than its sender waits.
//! - A refusal costs no time on any line: nothing is sent to a port before the whole command is
//!   valid.
//! - What became of a command is known to the operator, also if its answer was not: one journal
//!   entry for each, and the last ones of each device ([`Commands::history`]).
//! - A point with a pause is not written again before it is over; a point to be confirmed is
//!   written only by the second of two equal commands.

mod check;
mod engine;
mod events;
mod record;

#[cfg(test)]
mod tests;

pub use engine::{Commands, Output};
pub use events::CommandLogEvent;
pub use record::{CommandRecord, RecordedPoint};

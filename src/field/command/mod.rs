//! Commands on a line: what is asked of a device, in which order, until it is known what the
//! device holds.
//!
//! A command of the room `command` is valid and permitted; here it becomes requests.
//! [`steps`] puts them in order before anything is sent: conditions first, then writes, then a
//! wait if the device needs one, then the values are read back. [`run`](mod@run) takes one
//! command through its steps. [`runs`] keeps the commands of a line: one at a time for each
//! device, the others behind it.
//!
//! Decides: which registers are written together; when a value is read back and what that
//! proves; when there is no time left. Refuses to know: who gave the command and who is answered
//! (`command/`); what goes first on the line ([`crate::field::schedule`]).
//!
//! Invariants:
//! - A request that writes is sent once or not at all, and never so late that its reply could
//!   come after the command's time.
//! - A command that cannot be carried out whole is refused whole, before a request of it is
//!   sent: each value is encoded first, and conditions are read first.
//! - A point is verified only by a reply to a read that was asked after the device had confirmed
//!   the write, and that no earlier request could have caused.
//! - Each command has exactly one end.

pub(crate) mod run;
pub(crate) mod runs;
pub(crate) mod steps;
#[cfg(test)]
mod tests;

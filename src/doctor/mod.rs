//! Floor 3: the doctor, which finds causes from the state of a gateway.
//!
//! **Decides** which causes explain the state of a gateway, how certain each is, and which few
//! questions to the bus would decide between those that remain. **Refuses to know** how the
//! state got here (`cli/` asks the service, a trial asks the hub) and how causes are shown.
//! Most of its facts are the picture of [`crate::control`], which every client of the control socket
//! gets: that is why the room is above that one. What the picture does not have is in `facts.rs` and
//! `observation.rs`: the files on disk, and replies to the doctor's own questions.
//!
//! The doctor is a function: [`examine`] takes [`Facts`] and returns [`Finding`]s. Each rule is a
//! small function with its reasoning (`rules/`). Rules look at what is so *now*: at states, at the
//! last 32 transactions of each device, of a silent one at those since its last answer, and at log
//! events that stand ([`crate::control::picture::StandingNotice`]). Counters since the start say
//! nothing about a cable that was mended an hour ago.
//!
//! Causes hide others: the doctor names no device of a line that is down or mute, and no refusal of
//! a device while there is no connection to the platform. It says nothing of what is not known
//! yet, right after a start or a reload.
//!
//! A device that answered before, and is silent now while its neighbours answer, is no alarm: a
//! person may have switched it off for the night. The doctor makes a note of it
//! ([`Certainty::Note`]), unless it is the device that was asked about.
//!
//! # Invariants
//!
//! - The same facts give the same findings in the same order: the most certain first; of equals,
//!   what more depends on.
//! - A cause is named once, with all that it is about, and with at least one piece of evidence.
//! - Nothing of what a device, a port or the platform says makes it panic.
//! - [`probes_wanted`] names [`MOST_PROBES`] questions at most, and none of them writes.

mod cause;
mod facts;
mod observation;
mod probes;
mod rules;
pub mod system_words;

pub use cause::{Cause, Certainty, Finding, Subject};
pub use facts::{ConfigurationFiles, DoctorScope, Facts, Service};
pub use observation::{BusObservation, BusOutcome};
pub use probes::{MOST_PROBES, ProbeKind, ProbeRequest, is_still_wanted, probes_wanted};
pub use rules::examine;

#[cfg(test)]
mod tests;

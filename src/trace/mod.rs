//! Floor 3: what a listener on a port is told, and how people read it.
//!
//! A port can be listened to while it works (`io/bus/bus_monitor.rs`). What the listener hears
//! are [`Seen`]s: bytes with their instants, pauses, timeouts, how each transaction
//! ended. They are plain data with names instead of indices, so that they mean the
//! same to another process ([`Seen`] has its JSON). [`follow`] makes frames of
//! them, and three renderers something to look at: lines of [`text`], a capture
//! for Wireshark ([`pcap`]), and a picture of the line ([`scope`]).
//!
//! Decides which bytes belong to one frame and whether its check is good; for
//! looking only: what counts as a reply was decided by [`crate::field`] and is
//! told here as a verdict.
//!
//! Refuses to know: the configuration (names come with the events), sockets,
//! files, clocks.
//!
//! Contract: [`follow::Follower::on`] is told every event in order and returns
//! what became certain by it; a renderer is told the same and returns text or
//! bytes; [`follow::Follower::end`] when there will be no more.
//!
//! Invariants:
//! - Every byte that was seen is in exactly one frame, in order, whatever it is.
//! - Frames do not overlap unless the master talked while somebody else did.
//! - What was lost between the port and the listener is told in the stream.
//! - The same events give the same text, capture and picture, to the byte.
//! - No events and no bytes make anything here panic, and nothing grows with the
//!   length of the stream but the picture, whose length was chosen.

pub mod cut;
pub mod decode;
pub mod follow;
pub mod pcap;
pub mod scope;
pub mod seen;
pub mod text;

#[cfg(test)]
mod samples;

pub use follow::{Ended, Follower, Frame, Item, Side};
pub use seen::{Line, LineSettings, Seen, TracedProtocol, Verdict, What};

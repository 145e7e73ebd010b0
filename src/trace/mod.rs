//! Floor 3: the events that a listener on a port receives, and their forms for people.
//!
//! A port can be listened to while it works (`io/bus/bus_monitor.rs`). The listener
//! receives [`TraceEvent`]s: bytes with their instants, pauses, timeouts, and how each
//! transaction ended. They are plain data with names instead of indices, so that they mean
//! the same to another process ([`TraceEvent`] has its JSON). [`follow`] makes frames of them,
//! and three renderers show the frames: as lines of [`text`], as a capture for Wireshark
//! ([`pcap`]), and as a picture of the line ([`scope`]).
//!
//! Decides which bytes belong to one frame and whether its check is good, for display only:
//! [`crate::field`] has decided which frame counts as a reply, and the verdict in the
//! events says so.
//!
//! Refuses to know: the configuration (names come with the events), sockets, files, clocks.
//!
//! Contract: [`follow::Follower::on`] takes every event in order and returns the items that
//! became certain by it. A renderer takes the same events and returns text or bytes.
//! [`follow::Follower::end`] is called when no event follows.
//!
//! Invariants:
//! - Every byte that was seen is in exactly one frame, in order, whatever its value.
//! - Frames do not overlap unless the master sent while another device did.
//! - Events that were lost between the port and the listener are reported in the stream.
//! - The same events give the same text, capture and picture, to the byte.
//! - No events and no bytes make anything here panic, and nothing grows with the length of
//!   the stream but the picture, whose length was chosen.

pub mod decode;
pub mod event;
pub mod follow;
pub mod frames;
pub mod pcap;
pub mod scope;
pub mod text;

#[cfg(test)]
mod samples;

pub use event::{
    LineSettings, TraceEvent, TraceEventKind, TracedLine, TracedProtocol, TransactionVerdict,
};
pub use follow::{Follower, Frame, Item, Side, TransactionEnd};

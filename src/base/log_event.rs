//! How a room reports something to the operator.
//!
//! Each room has an enum of notices. Each notice knows its level, its kind of event, the
//! devices or ports that it concerns, its fields and one sentence. Engines return notices
//! as data, so that tests can check them. Only `io/log/` turns notices into journal entries
//! or terminal lines.

use super::{DeviceId, EventKind, JournalField, PortId};

/// How urgent a notice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Data was lost, or the operator must act.
    Error,
    /// Something is odd but still works; it would matter if it goes on.
    Warn,
    /// A device, port or link changed its state.
    Info,
    /// The gateway took a decision.
    Debug,
}

/// What a notice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogSubject {
    /// The gateway as a whole, or its link to the cloud.
    Gateway,
    /// One port.
    Port(PortId),
    /// One device.
    Device(DeviceId),
}

/// A notice for the operator.
pub trait LogEvent {
    /// Returns how urgent the notice is.
    fn level(&self) -> Level;

    /// Returns the kind of event: journal fields `EVENT` and `MESSAGE_ID`.
    fn kind(&self) -> EventKind;

    /// Returns what the notice is about. The log adds the names and ids of the device and its
    /// port, so the sentence need not name them.
    fn subject(&self) -> LogSubject;

    /// Returns the devices that the notice concerns, when they are several. Each gets a journal
    /// field `DEVICE` of its own, so that the log of one device is complete.
    fn devices(&self) -> &[DeviceId] {
        &[]
    }

    /// Returns whether the log adds the names of [`LogEvent::devices`] to the sentence.
    fn lists_devices(&self) -> bool {
        false
    }

    /// Returns further journal fields.
    fn fields(&self) -> Vec<(JournalField, String)> {
        Vec::new()
    }

    /// Returns one sentence: what happened, why, and what happens next. The sentence is in
    /// lower case, without a full stop and without secrets.
    fn sentence(&self) -> String;
}

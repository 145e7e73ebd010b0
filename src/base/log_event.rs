//! How a room tells the operator something.
//!
//! Each room has an enum of notices; each notice knows its level, its kind of
//! event, whom it is about, its fields and one sentence. Engines hand
//! notices out as data, so tests can demand them; `io/log.rs` alone turns them
//! into journal entries or terminal lines.

use super::{DeviceId, EventKind, JournalField, PortId};

/// Who should care.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Data was lost, or somebody must come.
    Error,
    /// Odd, still working; would matter if it goes on.
    Warn,
    /// A device, port or link changed its state.
    Info,
    /// A decision.
    Debug,
}

/// Whom a notice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// The gateway as a whole, or its link to the cloud.
    Gateway,
    /// One port.
    Port(PortId),
    /// One device.
    Device(DeviceId),
}

/// Something worth telling the operator.
pub trait LogEvent {
    /// Who should care.
    fn level(&self) -> Level;

    /// What kind of event it is: journal fields `EVENT` and `MESSAGE_ID`.
    fn kind(&self) -> EventKind;

    /// Whom it is about. The log adds the names and ids of the device and its
    /// port, so the sentence need not.
    fn about(&self) -> About;

    /// Those it concerns when they are several: each gets a journal field
    /// `DEVICE` of its own, so that the log of one device is whole.
    fn devices(&self) -> &[DeviceId] {
        &[]
    }

    /// Whether the log is to add the names of [`LogEvent::devices`] to the sentence.
    fn lists_devices(&self) -> bool {
        false
    }

    /// Further journal fields.
    fn fields(&self) -> Vec<(JournalField, String)> {
        Vec::new()
    }

    /// One sentence: what happened, why, and what happens next. Lower case, no
    /// full stop, no secrets.
    fn sentence(&self) -> String;
}

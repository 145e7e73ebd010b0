//! An event of the thing model that a device had.

use std::sync::Arc;

use super::{DeviceId, Now, Value};

/// The output data of an event: the name of each output parameter and its value.
pub type EventData = Arc<[(Arc<str>, Value)]>;

/// One event of one device. It holds its names itself, so that a configuration loaded anew
/// changes nothing about it.
#[derive(Clone, Debug, PartialEq)]
pub struct ThingEvent {
    /// The device that had it.
    pub device: DeviceId,
    /// The identifier of the event in the thing model.
    pub id: Arc<str>,
    /// Its output data.
    pub data: EventData,
    /// When the reply was complete that showed it, on both clocks, as for a
    /// [`super::Reading`].
    pub at: Now,
}

impl ThingEvent {
    /// Writes the output data as the inside of a JSON object.
    #[must_use]
    pub fn data_text(data: &[(Arc<str>, Value)]) -> String {
        let outputs = data.iter().map(|(name, value)| {
            let name = serde_json::Value::from(&**name);
            format!("{name}:{}", value.to_json_text())
        });
        outputs.collect::<Vec<_>>().join(",")
    }
}

/// What became of an event that was raised, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThingEventOutcome {
    /// It waits to be sent, or for the platform's reply.
    Waiting,
    /// The platform accepted it.
    Delivered,
    /// It is in the store, and is sent from there.
    Stored,
    /// The platform refused it, and it was dropped.
    Refused,
    /// It was dropped, and counted with its cause.
    Dropped,
}

impl ThingEventOutcome {
    /// Returns the outcome in words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            ThingEventOutcome::Waiting => "waits to be sent",
            ThingEventOutcome::Delivered => "delivered",
            ThingEventOutcome::Stored => "in the store, to be sent from there",
            ThingEventOutcome::Refused => "refused by the platform (see the journal)",
            ThingEventOutcome::Dropped => "dropped (see the journal)",
        }
    }
}

//! The journal entry of an event that was raised.

use crate::base::{EventKind, JournalField, Level, LogEvent, LogSubject, ThingEvent};

/// A rule raised an event of the thing model.
#[derive(Clone, Debug, PartialEq)]
pub struct ThingEventLogEvent {
    /// The event.
    pub event: ThingEvent,
    /// Its rule, in words.
    pub rule: String,
}

impl LogEvent for ThingEventLogEvent {
    fn level(&self) -> Level {
        Level::Info
    }

    fn kind(&self) -> EventKind {
        EventKind::ThingEventRaised
    }

    fn subject(&self) -> LogSubject {
        LogSubject::Device(self.event.device)
    }

    fn fields(&self) -> Vec<(JournalField, String)> {
        vec![(JournalField::ThingEvent, self.event.id.to_string())]
    }

    fn sentence(&self) -> String {
        let ThingEvent { id, data, .. } = &self.event;
        let head = format!("event {id} raised: {}", self.rule);
        match data.is_empty() {
            true => head,
            false => format!("{head}; {{{}}}", ThingEvent::data_text(data)),
        }
    }
}

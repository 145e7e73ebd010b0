//! The values the platform accepted: the newest ones, the current one of each
//! property, and which were accepted at all.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::ledger::Log;
use crate::base::{Mono, Wall};
use crate::lab::platform::Device;

/// One value the platform accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct AcceptedValue {
    /// When it arrived.
    pub at: Mono,
    /// The device of the value.
    pub device: Device,
    /// The identifier of the property.
    pub property: String,
    /// The value.
    pub value: Json,
    /// The time at which it was read, if the message says so.
    pub time: Option<Wall>,
    /// Whether it came as history, which does not change the current value.
    pub history: bool,
}

/// One event of a thing model that the platform accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct AcceptedEvent {
    /// When it arrived.
    pub at: Mono,
    /// The device that had it.
    pub device: Device,
    /// Its identifier.
    pub id: String,
    /// Its output data.
    pub data: Json,
    /// The time at which it was raised, if the message says so.
    pub time: Option<Wall>,
    /// Whether it came as history.
    pub history: bool,
}

/// How many values of each property are remembered; a bound on memory, above an hour at
/// one a second.
const TIMES: usize = 4096;

/// The values the platform accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct Accepted {
    total: u64,
    repeats: u64,
    dropped: u64,
    events: Log<AcceptedEvent>,
    log: Log<AcceptedValue>,
    latest: BTreeMap<Device, BTreeMap<String, AcceptedValue>>,
    /// The times of the values of each property, the newest [`TIMES`].
    times: BTreeMap<Device, BTreeMap<String, BTreeSet<Wall>>>,
}

impl Accepted {
    pub(crate) const fn new() -> Self {
        Accepted {
            total: 0,
            repeats: 0,
            dropped: 0,
            events: Log::keeping(100_000),
            log: Log::keeping(100_000),
            latest: BTreeMap::new(),
            times: BTreeMap::new(),
        }
    }

    /// Returns how many values were accepted in all.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// Returns how many values were accepted in all, each counted once however often it
    /// came: two values of one property with the same time are one.
    #[must_use]
    pub const fn distinct(&self) -> u64 {
        self.total - self.repeats
    }

    /// Returns how many values had been accepted before.
    #[must_use]
    pub const fn repeats(&self) -> u64 {
        self.repeats
    }

    /// Returns how many values arrived in a message that was answered 200, and were
    /// dropped: their device had no session.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Returns whether the value of this property with this time was accepted.
    #[must_use]
    pub fn has(&self, device: &Device, property: &str, time: Wall) -> bool {
        let times = self.times.get(device).and_then(|of| of.get(property));
        times.is_some_and(|times| times.contains(&time))
    }

    /// Returns how many events were accepted in all.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events.total()
    }

    /// Returns the newest events, in the order in which they arrived.
    pub fn event_log(&self) -> impl DoubleEndedIterator<Item = &AcceptedEvent> {
        self.events.iter()
    }

    /// Returns the newest values, oldest first.
    pub fn log(&self) -> impl DoubleEndedIterator<Item = &AcceptedValue> {
        self.log.iter()
    }

    /// Returns the current values of one device, by property.
    #[must_use]
    pub fn of(&self, device: &Device) -> Option<&BTreeMap<String, AcceptedValue>> {
        self.latest.get(device)
    }

    pub(crate) fn put(&mut self, value: AcceptedValue) {
        self.total += 1;
        if let Some(time) = value.time {
            self.note_time(&value.device, &value.property, time);
        }
        if !value.history {
            self.latest
                .entry(value.device.clone())
                .or_default()
                .insert(value.property.clone(), value.clone());
        }
        self.log.push(value);
    }

    fn note_time(&mut self, device: &Device, property: &str, time: Wall) {
        if !self.times.contains_key(device) {
            self.times.insert(device.clone(), BTreeMap::new());
        }
        let Some(of_device) = self.times.get_mut(device) else {
            return;
        };
        if !of_device.contains_key(property) {
            of_device.insert(property.to_owned(), BTreeSet::new());
        }
        let Some(times) = of_device.get_mut(property) else {
            return;
        };
        if !times.insert(time) {
            self.repeats += 1;
        }
        if times.len() > TIMES {
            times.pop_first();
        }
    }

    pub(crate) const fn note_dropped(&mut self, count: u64) {
        self.dropped += count;
    }

    pub(crate) fn put_event(&mut self, event: AcceptedEvent) {
        self.events.push(event);
    }
}

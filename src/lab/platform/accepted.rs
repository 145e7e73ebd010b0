//! The values the platform accepted: the newest ones, and the current one of
//! each property.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::Device;
use super::ledger::Log;
use crate::base::{Mono, Wall};

/// One value the platform accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct AcceptedValue {
    /// When it arrived.
    pub at: Mono,
    /// Whose.
    pub device: Device,
    /// Which property.
    pub property: String,
    /// What.
    pub value: Json,
    /// The time it says it was read, if it says.
    pub time: Option<Wall>,
    /// Whether it came as history, which does not change the current value.
    pub history: bool,
}

/// The values the platform accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct Accepted {
    total: u64,
    events: u64,
    log: Log<AcceptedValue>,
    latest: BTreeMap<Device, BTreeMap<String, AcceptedValue>>,
}

impl Accepted {
    pub(super) const fn new() -> Self {
        Accepted {
            total: 0,
            events: 0,
            log: Log::keeping(100_000),
            latest: BTreeMap::new(),
        }
    }

    /// How many values in all.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// How many events in all.
    #[must_use]
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// The newest values, oldest first.
    pub fn log(&self) -> impl DoubleEndedIterator<Item = &AcceptedValue> {
        self.log.iter()
    }

    /// The current values of one device, by property.
    #[must_use]
    pub fn of(&self, device: &Device) -> Option<&BTreeMap<String, AcceptedValue>> {
        self.latest.get(device)
    }

    pub(super) fn put(&mut self, value: AcceptedValue) {
        self.total += 1;
        if !value.history {
            self.latest
                .entry(value.device.clone())
                .or_default()
                .insert(value.property.clone(), value.clone());
        }
        self.log.push(value);
    }

    pub(super) const fn note_events(&mut self, count: u64) {
        self.events += count;
    }
}

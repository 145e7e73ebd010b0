//! How long the platform may be out of reach until values are lost.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::time::Duration;

use crate::base::{DeviceId, StoredReading, StoredTime, Wall};
use crate::cloud::upstream::{PeriodicReadings, PeriodicValue};
use crate::spec::{DeviceSpec, Spec};
use crate::spool::{SEGMENT_BYTES, SpoolLimits, bytes_per_value};

/// Some time of the wall clock, in milliseconds.
const SAMPLE_TIME: i64 = 1_767_225_600_000;

/// How many values are encoded to see how large a value is.
const SAMPLE: usize = 20_000;

/// The most values that are stored together (`cloud/alink/history/spill.rs`).
const GROUP: usize = 2_000;

/// Where values wait for the end of an outage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum OutageStore {
    /// On flash.
    Store {
        /// The size of the store.
        bytes: u64,
        /// How many bytes a value takes on average.
        value_bytes: f64,
        /// How long it keeps a value.
        age: Duration,
        /// How far back a power cut costs values that were not delivered.
        loss_window: Duration,
    },
    /// In memory alone: there is no store.
    Memory,
}

/// How long an outage is borne.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OutageForecast {
    store: OutageStore,
    room: u64,
    fills_in: Duration,
}

impl OutageForecast {
    /// Computes the forecast for an installation in which these values are read, so many a
    /// second in all. `None` if there are none.
    pub(super) fn of(
        spec: &Spec,
        readings: &[PeriodicReadings],
        per_second: f64,
    ) -> Option<OutageForecast> {
        let store = &spec.cloud.store;
        let value_bytes = value_bytes(spec, readings)?;
        let (outage_store, room) = match store.enabled {
            true => {
                let outage_store = OutageStore::Store {
                    bytes: store.bytes,
                    value_bytes,
                    age: store.age,
                    loss_window: store.loss_window(spec.cloud.post.reply_timeout),
                };
                // A whole segment gives way to the next.
                let segment = SpoolLimits::of(store).segment_bytes;
                let filled = store.bytes.saturating_sub(segment);
                (outage_store, (filled as f64 / value_bytes) as u64)
            }
            false => (OutageStore::Memory, spec.cloud.post.queue as u64),
        };
        let fills_in = Duration::try_from_secs_f64(room as f64 / per_second);
        Some(OutageForecast {
            store: outage_store,
            room,
            fills_in: fills_in.unwrap_or(Duration::MAX),
        })
    }

    /// Returns where values wait.
    #[must_use]
    pub const fn store(&self) -> OutageStore {
        self.store
    }

    /// Returns how many values there is room for.
    #[must_use]
    pub const fn room(&self) -> u64 {
        self.room
    }

    /// Returns the length of an outage from which on values are lost.
    #[must_use]
    pub fn lasts(&self) -> Duration {
        match self.store {
            OutageStore::Store { age, .. } => self.fills_in.min(age),
            OutageStore::Memory => self.fills_in,
        }
    }

    /// Returns whether values become too old before there is no more room.
    #[must_use]
    pub fn is_bounded_by_age(&self) -> bool {
        self.lasts() < self.fills_in
    }
}

/// Returns how many bytes a value takes on flash.
fn value_bytes(spec: &Spec, readings: &[PeriodicReadings]) -> Option<f64> {
    let mut names = Vec::new();
    let mut named_devices: BTreeSet<DeviceId> = BTreeSet::new();
    let mut named_points: BTreeSet<(&str, u16)> = BTreeSet::new();
    for group in readings {
        let Some(device) = spec.device(group.device) else {
            continue;
        };
        for value in group.values.iter() {
            let is_new = named_devices.insert(group.device)
                | named_points.insert((&device.profile.name, value.point));
            names.extend(is_new.then(|| stored(device, group.phase, value)).flatten());
        }
    }
    let sample = sample(spec, readings);
    let groups: Vec<&[StoredReading]> = sample.iter().flat_map(|g| g.chunks(GROUP)).collect();
    bytes_per_value(&names, &groups, SEGMENT_BYTES)
}

/// Returns the first values that are read, in the order of time, as they are gathered for the
/// store.
fn sample(spec: &Spec, readings: &[PeriodicReadings]) -> Vec<Vec<StoredReading>> {
    let longest = readings
        .iter()
        .map(|r| r.interval)
        .max()
        .unwrap_or_default();
    let end = longest.saturating_mul(2);
    let first = readings.iter().zip(0usize..);
    let first = first.map(|(r, index)| Reverse((r.phase, index)));
    let mut due: BinaryHeap<Reverse<(Duration, usize)>> = first.collect();
    let mut groups: Vec<Vec<StoredReading>> = Vec::new();
    let (mut gathered_until, mut count) = (Duration::ZERO, 0);
    while count < SAMPLE
        && let Some(Reverse((at, index))) = due.pop()
        && at <= end
        && let Some(readings) = readings.get(index)
    {
        if at >= gathered_until {
            groups.push(Vec::new());
            gathered_until = at.saturating_add(spec.cloud.store.sync_every);
        }
        let device = spec.device(readings.device);
        let sent = readings.values.iter().filter(|v| v.sent > 0.0);
        if let Some(group) = groups.last_mut() {
            group.extend(sent.filter_map(|v| stored(device?, at, v)));
        }
        count += readings.values.len();
        let interval = readings.interval.max(Duration::from_millis(1));
        due.push(Reverse((at.saturating_add(interval), index)));
    }
    groups
}

fn stored(device: &DeviceSpec, at: Duration, value: &PeriodicValue) -> Option<StoredReading> {
    let point = device.profile.points.get(usize::from(value.point))?;
    let since = i64::try_from(at.as_millis()).unwrap_or(0);
    Some(StoredReading {
        product_key: device.product_key.clone(),
        device_name: device.device_name.clone(),
        identifier: point.id.as_str().into(),
        at: StoredTime::Wall(Wall::from_millis(SAMPLE_TIME.saturating_add(since))),
        value: value.value.clone().into(),
    })
}

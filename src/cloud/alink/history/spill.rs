//! Which readings go to the store, and when.
//!
//! A reading waits in memory to be delivered. It goes to the store if it has waited for
//! [`crate::spec::StorePolicy::spill_after`], if half of the memory is used up, and at the end of the
//! process. Readings are handed over in groups, one group at a time: a group stays in memory
//! until the store has confirmed it.
//!
//! While values are left in the store, everything that is no longer live goes there at once:
//! within a device the older value is to arrive first.

use std::time::Duration;

use crate::base::{Mono, Reading, Stamp, StoredReading, Wake};
use crate::cloud::alink::publish::LIVE_FOR;
use crate::spec::Spec;

/// How many readings are handed over at once.
const GROUP: usize = 2_000;
/// How long after a failure the store is tried again.
const AGAIN: Duration = Duration::from_secs(10);

/// The readings on their way to the store.
#[derive(Clone, Debug)]
pub(crate) struct Spill {
    /// Whether there is a store.
    is_open: bool,
    handed: Vec<Reading>,
    /// Before when nothing is handed over.
    not_before: Mono,
}

/// What waits in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// When the oldest reading was read.
    pub oldest: Option<Mono>,
    /// How many readings wait.
    pub waiting: usize,
    /// Whether values are left in the store.
    pub has_history: bool,
}

impl Spill {
    /// Returns a spill without a store.
    pub(crate) const fn new() -> Self {
        Spill {
            is_open: false,
            handed: Vec::new(),
            not_before: Mono::START,
        }
    }

    /// Takes note that there is a store.
    pub(crate) const fn open(&mut self) {
        self.is_open = true;
    }

    /// Whether there is a store.
    pub(crate) const fn is_open(&self) -> bool {
        self.is_open
    }

    /// How many readings were handed over and are not confirmed.
    pub(crate) const fn handed(&self) -> usize {
        self.handed.len()
    }

    /// Returns when readings go to the store.
    pub(crate) fn due(&self, memory: Memory, spec: &Spec) -> Option<Wake> {
        if !self.is_open || !self.handed.is_empty() {
            return None;
        }
        let oldest = memory.oldest?;
        let at = match memory.waiting > spec.cloud.post.queue / 2 {
            true => Mono::START,
            false => oldest + patience(memory, spec),
        };
        Some(Wake::new(at.max(self.not_before), "readings to the store"))
    }

    /// Returns before when a reading must have been read to go to the store now.
    pub(crate) fn before(&self, now: Mono, memory: Memory, spec: &Spec) -> Mono {
        match memory.waiting > spec.cloud.post.queue / 2 {
            true => now,
            false => {
                let waited = patience(memory, spec);
                Mono::START + now.since(Mono::START).saturating_sub(waited)
            }
        }
    }

    /// Hands readings over; returns them as they are stored.
    pub(crate) fn hand_over(
        &mut self,
        now: Mono,
        readings: Vec<Reading>,
        spec: &Spec,
    ) -> Vec<StoredReading> {
        self.not_before = now + spec.cloud.store.sync_every;
        let stored = readings.iter().filter_map(|r| stored(r, spec, true));
        let stored = stored.collect();
        self.handed = readings;
        stored
    }

    /// Takes note how many of the readings are safe, from the first on; returns those that
    /// are not.
    pub(crate) fn stored(&mut self, now: Mono, taken: usize) -> Vec<Reading> {
        let mut rest = std::mem::take(&mut self.handed);
        let taken = taken.min(rest.len());
        let rest = rest.split_off(taken);
        if !rest.is_empty() {
            self.not_before = now + AGAIN;
        }
        rest
    }

    /// How many readings are handed over at once.
    pub(crate) const fn group() -> usize {
        GROUP
    }
}

/// How long a reading waits in memory.
fn patience(memory: Memory, spec: &Spec) -> Duration {
    let live = spec.cloud.post.linger + LIVE_FOR;
    match memory.has_history {
        true => live,
        false => spec.cloud.store.spill_after.max(live),
    }
}

/// Returns a reading as it is stored; `None` if its device or point is not configured.
/// `is_dated` tells whether its wall time is right.
pub(crate) fn stored(reading: &Reading, spec: &Spec, is_dated: bool) -> Option<StoredReading> {
    let device = spec.device(reading.device)?;
    let point = device.profile.points.get(usize::from(reading.point))?;
    Some(StoredReading {
        product_key: device.product_key.clone(),
        device_name: device.device_name.clone(),
        property: point.id.as_str().into(),
        at: match is_dated {
            true => Stamp::Wall(reading.at.wall),
            false => Stamp::SinceBoot(reading.at.mono.as_micros() / 1000),
        },
        value: reading.value.clone(),
    })
}

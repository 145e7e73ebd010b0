//! Values accepted with a pack, while the notice that a session is gone may still be on its
//! way beside the reply.
//!
//! A pack is answered 200 although a device in it has just lost its session: the platform
//! drops that device's part, and a 520 comes beside the reply. So the values of a pack
//! count as delivered only a little later, and are sent again if their device turns out to
//! have no session.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::{DeviceId, Mono, Reading};

use super::waiting::{ArrivalNumber, DeviceReadings};

/// The parts of packs that are accepted and not yet counted.
#[derive(Clone, Debug)]
pub(super) struct Provisional {
    next: u64,
    parts: BTreeMap<(Mono, u64), (DeviceId, DeviceReadings)>,
    of_device: BTreeSet<(DeviceId, (Mono, u64))>,
    readings: usize,
}

impl Provisional {
    pub(super) const fn new() -> Self {
        Provisional {
            next: 0,
            parts: BTreeMap::new(),
            of_device: BTreeSet::new(),
            readings: 0,
        }
    }

    /// Returns the numbers of the readings that are held.
    pub(super) fn numbers(&self) -> impl Iterator<Item = ArrivalNumber> {
        self.parts
            .values()
            .flat_map(|(_, part)| part)
            .map(|(arrival, _)| *arrival)
    }

    /// Returns how many readings are held.
    pub(super) const fn readings(&self) -> usize {
        self.readings
    }

    /// Adds an accepted part, which counts from `until` on.
    pub(super) fn add(&mut self, until: Mono, id: DeviceId, part: DeviceReadings) {
        let key = (until, self.next);
        self.next += 1;
        self.readings += part.len();
        self.of_device.insert((id, key));
        self.parts.insert(key, (id, part));
    }

    /// Returns when the next part counts.
    pub(super) fn due(&self) -> Option<Mono> {
        self.parts.keys().next().map(|(until, _)| *until)
    }

    /// Returns the next part, whether it is time or not.
    pub(super) fn pop(&mut self) -> Option<(DeviceId, DeviceReadings)> {
        let (key, (id, part)) = self.parts.pop_first()?;
        self.of_device.remove(&(id, key));
        self.readings -= part.len();
        Some((id, part))
    }

    /// Removes and returns the held readings of one device.
    pub(super) fn remove_device(&mut self, id: DeviceId) -> DeviceReadings {
        let own = (id, (Mono::START, 0))..=(id, (Mono::from_micros(u64::MAX), u64::MAX));
        let keys: Vec<_> = self.of_device.range(own).copied().collect();
        let mut all = DeviceReadings::new();
        for entry in keys {
            self.of_device.remove(&entry);
            if let Some((_, part)) = self.parts.remove(&entry.1) {
                self.readings -= part.len();
                all.extend(part);
            }
        }
        all
    }

    /// Returns whether readings of this device are held.
    pub(super) fn has(&self, id: DeviceId) -> bool {
        let own = (id, (Mono::START, 0))..=(id, (Mono::from_micros(u64::MAX), u64::MAX));
        self.of_device.range(own).next().is_some()
    }

    /// Keeps those readings of a device for which the function is true; the function may
    /// change them. Returns how many were dropped.
    pub(super) fn retain(
        &mut self,
        id: DeviceId,
        mut keep: impl FnMut(&mut Reading) -> bool,
    ) -> u64 {
        let mut dropped = 0;
        for (_, part) in self.parts.values_mut().filter(|(who, _)| *who == id) {
            let before = part.len();
            part.retain_mut(|(_, reading)| keep(reading));
            dropped += before - part.len();
        }
        self.readings -= dropped;
        dropped as u64
    }
}

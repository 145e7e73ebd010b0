//! Devices that fell silent, and stay online for a moment for their last readings.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::{DeviceId, Mono, Wake};

/// How long a device that falls silent stays online for its last readings.
const LAST_READINGS_WITHIN: Duration = Duration::from_millis(750);

/// A device to be logged out once its last readings are on their way.
#[derive(Clone, Copy, Debug)]
struct PendingLogout {
    since: Mono,
    until: Mono,
}

/// The devices to be logged out once their last readings are on their way.
#[derive(Clone, Debug, Default)]
pub(crate) struct PendingLogouts {
    devices: BTreeMap<DeviceId, PendingLogout>,
}

impl PendingLogouts {
    /// Lets the device stay for its last readings.
    pub(crate) fn add(&mut self, now: Mono, id: DeviceId) {
        let until = now + LAST_READINGS_WITHIN;
        self.devices.insert(id, PendingLogout { since: now, until });
    }

    /// Lets the device stay, or go at once; returns whether it was leaving.
    pub(crate) fn remove(&mut self, id: DeviceId) -> bool {
        self.devices.remove(&id).is_some()
    }

    pub(crate) fn has(&self, id: DeviceId) -> bool {
        self.devices.contains_key(&id)
    }

    /// Returns the devices that were leaving; none is any more.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = DeviceId> + use<> {
        std::mem::take(&mut self.devices).into_keys()
    }

    /// Returns a device whose last readings are sent, or whose time for them is up, and
    /// since when it is leaving.
    pub(crate) fn next(
        &mut self,
        now: Mono,
        is_waiting: impl Fn(DeviceId) -> bool,
    ) -> Option<(DeviceId, Mono)> {
        let mut devices = self.devices.iter();
        let (id, since) = devices
            .find(|(id, d)| d.until <= now || !is_waiting(**id))
            .map(|(id, d)| (*id, d.since))?;
        self.devices.remove(&id);
        Some((id, since))
    }

    /// Returns when the first device has to go.
    pub(crate) fn due(&self) -> Option<Wake> {
        let last = self.devices.values().map(|d| d.until).min();
        last.map(|at| Wake::new(at, "last readings"))
    }
}

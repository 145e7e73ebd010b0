//! How long a device that is wanted online waits until the platform has accepted its
//! log-in: from the wish, or from the connection if that came later.

use std::collections::BTreeMap;

use crate::base::histogram::Histogram;
use crate::base::{DeviceId, Mono};
use crate::cloud::alink::session::Presence;

/// Which devices wait since when, and how long the others waited.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latency {
    waiting: BTreeMap<DeviceId, Mono>,
    took: Histogram,
}

impl Latency {
    /// Returns how long devices waited.
    pub(crate) const fn waited(&self) -> &Histogram {
        &self.took
    }

    /// Takes note that the device is wanted online or offline.
    pub(crate) fn want(&mut self, now: Mono, device: DeviceId, presence: Presence, is_in: bool) {
        match presence {
            Presence::Online if !is_in => drop(self.waiting.entry(device).or_insert(now)),
            Presence::Online | Presence::Offline => drop(self.waiting.remove(&device)),
        }
    }

    /// Takes note of a new connection: no device could log in before.
    pub(crate) fn link_up(&mut self, now: Mono) {
        self.waiting.values_mut().for_each(|since| *since = now);
    }

    /// Takes note that the device is online, or no longer: then, if it is still wanted, it
    /// waits again.
    pub(crate) fn changed(&mut self, now: Mono, device: DeviceId, online: bool, wanted: bool) {
        if online {
            if let Some(since) = self.waiting.remove(&device) {
                self.took.add(now.since(since));
            }
        } else if wanted {
            self.waiting.insert(device, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_counts_from_the_wish_or_the_connection_whichever_was_later() {
        let s = |s: u64| Mono::from_micros(s * 1_000_000);
        let one = DeviceId(1);
        let mut latency = Latency::default();
        latency.want(s(0), one, Presence::Online, false);
        latency.want(s(3), one, Presence::Online, false);
        latency.link_up(s(10));
        latency.changed(s(11), one, true, true);
        assert_eq!(latency.took.sum_us, 1_000_000);
        // The device was disconnected by the platform, and is back.
        latency.changed(s(20), one, false, true);
        latency.changed(s(24), one, true, true);
        assert_eq!(latency.took.sum_us, 5_000_000);
        // The device left; none waits.
        latency.want(s(30), one, Presence::Offline, true);
        latency.changed(s(31), one, false, false);
        latency.changed(s(32), one, true, false);
        assert_eq!(latency.took.count(), 2);
    }
}

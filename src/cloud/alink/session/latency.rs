//! How long a device that is wanted online waits for it: from the wish, or from
//! the connection if that came later, until the platform has accepted its
//! log-in.

use std::collections::BTreeMap;

use crate::base::histogram::Histogram;
use crate::base::{DeviceId, Mono};
use crate::cloud::alink::session::Presence;

/// Who waits since when, and how long it took those who do no longer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latency {
    waiting: BTreeMap<DeviceId, Mono>,
    pub(crate) took: Histogram,
}

impl Latency {
    /// It is wanted so.
    pub(crate) fn want(&mut self, now: Mono, device: DeviceId, presence: Presence, is_in: bool) {
        match presence {
            Presence::Online if !is_in => drop(self.waiting.entry(device).or_insert(now)),
            Presence::Online | Presence::Offline => drop(self.waiting.remove(&device)),
        }
    }

    /// A new connection: nobody could log in before.
    pub(crate) fn link_up(&mut self, now: Mono) {
        self.waiting.values_mut().for_each(|since| *since = now);
    }

    /// It is online, or not any more: then, if it is still wanted, it waits
    /// again.
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
        // Thrown out, and back.
        latency.changed(s(20), one, false, true);
        latency.changed(s(24), one, true, true);
        assert_eq!(latency.took.sum_us, 5_000_000);
        // It left; nobody waits.
        latency.want(s(30), one, Presence::Offline, true);
        latency.changed(s(31), one, false, false);
        latency.changed(s(32), one, true, false);
        assert_eq!(latency.took.count(), 2);
    }
}

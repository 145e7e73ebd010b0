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

use crate::base::{Mono, Now, Reading, Stamp, StoredReading, Wake};
use crate::cloud::alink::publish::{LIVE_FOR, Seq};
use crate::cloud::alink::requests::identities::Identities;
use crate::cloud::alink::wire::topic::Identity;
use crate::spec::Spec;

/// How many readings are handed over at once.
const GROUP: usize = 2_000;
/// How long after a failure the store is tried again.
const AGAIN: Duration = Duration::from_secs(10);

/// A reading that was handed over.
#[derive(Clone, Debug)]
struct Handed {
    /// Its number in the order of arrival.
    number: Seq,
    /// When it was read.
    read: Mono,
    /// It, as it is stored: the names do not change with the configuration.
    stored: StoredReading,
}

/// The readings on their way to the store.
#[derive(Clone, Debug)]
pub(crate) struct Spill {
    /// Whether there is a store.
    is_open: bool,
    handed: Vec<Handed>,
    /// Until when readings are gathered for the next group.
    gather_until: Mono,
    /// Before when the store is not tried again.
    not_before: Mono,
}

/// What waits in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// When the oldest reading was read that could go to the store.
    pub oldest: Option<Mono>,
    /// How many readings are in memory.
    pub readings: usize,
    /// Whether values are left in the store.
    pub has_history: bool,
}

impl Memory {
    /// Whether half the room for readings is used up.
    fn is_half_full(&self, spec: &Spec) -> bool {
        self.readings > spec.cloud.post.queue / 2
    }

    /// How long a reading waits.
    fn patience(&self, spec: &Spec) -> Duration {
        let live = spec.cloud.post.linger + LIVE_FOR;
        match (self.is_half_full(spec), self.has_history) {
            (true, _) => Duration::ZERO,
            (false, true) => live,
            (false, false) => spec.cloud.store.spill_after.max(live),
        }
    }
}

impl Spill {
    /// Returns a spill without a store.
    pub(crate) const fn new() -> Self {
        Spill {
            is_open: false,
            handed: Vec::new(),
            gather_until: Mono::START,
            not_before: Mono::START,
        }
    }

    /// Takes note that there is a store.
    pub(crate) const fn open(&mut self) {
        self.is_open = true;
    }

    /// Takes note that there is no store any more.
    pub(crate) const fn close(&mut self) {
        self.is_open = false;
    }

    /// Whether there is a store.
    pub(crate) const fn is_open(&self) -> bool {
        self.is_open
    }

    /// Whether the store takes readings, as far as is known.
    pub(crate) fn is_working(&self, now: Mono) -> bool {
        self.is_open && self.not_before <= now
    }

    /// How many readings were handed over and are not confirmed.
    pub(crate) const fn handed(&self) -> usize {
        self.handed.len()
    }

    /// Returns when readings go to the store.
    pub(crate) fn due(&self, memory: Memory, spec: &Spec) -> Option<Wake> {
        if !self.is_open || !spec.cloud.store.enabled || !self.handed.is_empty() {
            return None;
        }
        let mut at = memory.oldest? + memory.patience(spec);
        if !memory.is_half_full(spec) {
            at = at.max(self.gather_until);
        }
        Some(Wake::new(at.max(self.not_before), "readings to the store"))
    }

    /// Returns before when a reading must have been read to go to the store now.
    pub(crate) fn before(&self, now: Mono, memory: Memory, spec: &Spec) -> Mono {
        let waited = memory.patience(spec);
        Mono::START + now.since(Mono::START).saturating_sub(waited)
    }

    /// Hands readings over, as they are stored; returns them, and how many are of devices
    /// or points that are not configured any more.
    pub(crate) fn hand_over(
        &mut self,
        now: Mono,
        readings: Vec<(Seq, Reading)>,
        spec: &Spec,
    ) -> (Vec<StoredReading>, usize) {
        let all = readings.len();
        // A full group may have left some behind.
        self.gather_until = match all < GROUP {
            true => now + spec.cloud.store.sync_every,
            false => now,
        };
        let handed = readings.into_iter().filter_map(|(number, reading)| {
            Some(Handed {
                number,
                read: reading.at.mono,
                stored: stored(&reading, spec, true)?,
            })
        });
        self.handed = handed.collect();
        let given = self.handed.iter().map(|h| h.stored.clone()).collect();
        (given, all - self.handed.len())
    }

    /// Takes note how many of the readings are safe, from the first on; returns those that
    /// are not, and how many of those are of devices or points that are not configured any
    /// more.
    pub(crate) fn stored(
        &mut self,
        now: Mono,
        taken: usize,
        identities: &Identities,
    ) -> (Vec<(Seq, Reading)>, usize) {
        let mut rest = std::mem::take(&mut self.handed);
        let rest = rest.split_off(taken.min(rest.len()));
        if !rest.is_empty() {
            self.not_before = now + AGAIN;
        }
        let all = rest.len();
        let rest = rest.into_iter();
        let rest = rest.filter_map(|h| Some((h.number, reading(&h, identities)?)));
        let rest: Vec<_> = rest.collect();
        let gone = all - rest.len();
        (rest, gone)
    }

    /// Forgets the readings that were handed over, at the end; returns how many.
    pub(crate) fn take_handed(&mut self) -> usize {
        std::mem::take(&mut self.handed).len()
    }
}

/// How many readings are handed over at once.
pub(crate) const fn group() -> usize {
    GROUP
}

/// Returns a reading as it is stored; `None` if its device or point is not configured.
/// `is_dated` tells whether its wall time is right.
pub(crate) fn stored(reading: &Reading, spec: &Spec, is_dated: bool) -> Option<StoredReading> {
    let device = spec.device(reading.device)?;
    let point = device.profile.points.get(usize::from(reading.point))?;
    let since_start = reading.at.mono.as_micros() / 1000;
    Some(StoredReading {
        product_key: device.product_key.clone(),
        device_name: device.device_name.clone(),
        property: point.id.as_str().into(),
        at: match is_dated {
            true => Stamp::Wall(reading.at.wall),
            false => Stamp::SinceBoot(i64::try_from(since_start).unwrap_or(i64::MAX)),
        },
        value: reading.value.clone(),
    })
}

/// Returns a reading that was handed over, by the numbers of the present configuration.
fn reading(handed: &Handed, identities: &Identities) -> Option<Reading> {
    let stored = &handed.stored;
    let who = Identity {
        product_key: stored.product_key.clone(),
        device_name: stored.device_name.clone(),
    };
    let device = identities.id(&who)?;
    let points = &identities.spec().device(device)?.profile.points;
    let point = points.iter().position(|p| p.id == *stored.property)?;
    let Stamp::Wall(wall) = stored.at else {
        return None;
    };
    Some(Reading {
        device,
        point: u16::try_from(point).ok()?,
        value: stored.value.clone(),
        at: Now {
            mono: handed.read,
            wall,
        },
    })
}

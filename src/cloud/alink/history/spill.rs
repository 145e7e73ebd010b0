//! Which readings go to the store, and when. Events of the thing model go there by the same
//! rules, in the order of time, and stay in their own queue until the store has them.
//!
//! A reading waits in memory to be delivered. It goes to the store if it has waited for
//! [`crate::spec::StorePolicy::spill_after`], if half of the memory is used up, and at the end of
//! the process; so does a reading that waits for the time. Where
//! [`crate::spec::Durability::Always`] is configured, each new reading goes to the store first, and
//! is sent when it is there.
//!
//! Readings are handed over in groups, one group at a time: a group stays in memory until the
//! store has confirmed it. If the store fails, its readings wait in memory as if there were no
//! store.
//!
//! While values are left in the store, everything that is no longer live goes there at once:
//! within a device the older value is to arrive first.

use std::time::Duration;

use crate::base::{
    DeviceId, Mono, Now, Reading, StorePosition, StoredReading, StoredTime, StoredValue,
    ThingEvent, Wake,
};
use crate::cloud::alink::event_posts::EventNumber;
use crate::cloud::alink::publish::{ArrivalNumber, LIVE_FOR};
use crate::cloud::alink::requests::identities::Identities;
use crate::cloud::alink::wire::topic::DeviceIdentity;
use crate::spec::{Durability, Spec};

/// How many readings are handed over at once.
pub(crate) const GROUP: usize = 2_000;
/// How long after a failure the store is tried again.
const AGAIN: Duration = Duration::from_secs(10);

/// What a reading was when it was handed over, and becomes again if it cannot be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadingOrigin {
    /// A new reading, which is sent once it is stored.
    New,
    /// A reading that waits to be sent: its number in the order of arrival.
    Waiting(ArrivalNumber),
    /// A reading that waits for the time.
    Undated,
    /// An event of the thing model, which stays in its queue meanwhile.
    Event(EventNumber),
}

/// A reading that was handed over.
#[derive(Clone, Debug)]
struct HandedOverReading {
    origin: ReadingOrigin,
    device: DeviceId,
    /// When it was read; the time of the wall clock is of no meaning if it is not dated.
    read: Now,
    /// It, as it is stored: the names do not change with the configuration.
    stored: StoredReading,
}

/// What became of a reading that was handed over.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum SpillOutcome {
    /// It is in the store, at this position, and is to be delivered from there.
    Left(StorePosition),
    /// It is to be sent now, and is in the store if it has a position.
    Send(Reading, Option<StorePosition>),
    /// It is not in the store, and waits to be sent again.
    Wait(ArrivalNumber, Reading),
    /// It is not in the store, and waits for the time again.
    Undated(Reading),
    /// The store has dropped and counted it.
    Dropped,
    /// It is an event: where it is in the store, `Some(None)` if the store has dropped and
    /// counted it, `None` if it is not in the store.
    Event(EventNumber, Option<Option<StorePosition>>),
    /// It is not in the store, and its device or point is not configured any more.
    Unknown,
}

/// The readings on their way to the store.
#[derive(Clone, Debug)]
pub(crate) struct Spill {
    /// Whether there is a store.
    is_open: bool,
    /// New readings, which are to be stored before they are sent.
    gathered: Vec<Reading>,
    /// Whether these are stored without waiting for others.
    has_short_waits: bool,
    handed: Vec<HandedOverReading>,
    /// Readings that came while the gateway was stopping, which are stored at the end.
    late: Vec<Reading>,
    /// Until when readings are gathered for the next group.
    gather_until: Mono,
    /// Before when the store is not tried again.
    not_before: Mono,
}

/// What waits in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadingsInMemory {
    /// When the oldest reading was read that could go to the store.
    pub oldest: Option<Mono>,
    /// How many readings are in memory.
    pub readings: usize,
    /// Whether values are left in the store.
    pub has_history: bool,
    /// When events go to the store, if any do.
    pub events: Option<Mono>,
}

impl ReadingsInMemory {
    /// Returns whether half the room for readings is used up.
    fn is_half_full(&self, spec: &Spec) -> bool {
        self.readings > spec.cloud.post.queue / 2
    }

    /// Returns whether so much of the room is used up that readings go to the store at once, and in
    /// whatever order they are to be had.
    pub(crate) fn is_nearly_full(&self, spec: &Spec) -> bool {
        self.readings > spec.cloud.post.queue / 4 * 3
    }

    /// Returns how long a reading waits.
    pub(crate) fn reply_timeout(&self, spec: &Spec) -> Duration {
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
            gathered: Vec::new(),
            has_short_waits: false,
            handed: Vec::new(),
            late: Vec::new(),
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

    /// Returns whether there is a store, and readings go there.
    pub(crate) const fn is_open(&self, spec: &Spec) -> bool {
        self.is_open && spec.cloud.store.enabled
    }

    /// Returns whether the store takes readings, as far as is known.
    pub(crate) fn is_working(&self, now: Mono, spec: &Spec) -> bool {
        self.is_open(spec) && self.not_before <= now
    }

    /// Returns how many readings wait for the store's answer, or to be handed over.
    pub(crate) fn readings(&self) -> usize {
        let is_event = |h: &&HandedOverReading| matches!(h.origin, ReadingOrigin::Event(_));
        let events = self.handed.iter().filter(is_event).count();
        self.handed.len() - events + self.gathered.len() + self.late.len()
    }

    /// Returns whether readings were handed over that are to be delivered from the store.
    pub(crate) fn has_handed(&self) -> bool {
        self.handed.iter().any(|h| h.origin != ReadingOrigin::New)
    }

    // --- readings that are stored before they are sent ------------------------------

    /// Takes a new reading that is to be stored before it is sent; returns it if it is not.
    pub(crate) fn gather(&mut self, now: Mono, reading: Reading, spec: &Spec) -> Option<Reading> {
        let is_wanted = spec.cloud.store.durable == Durability::Always;
        // A disk that is slow does not take all the memory.
        let is_room = self.gathered.len() < spec.cloud.post.queue / 2;
        if !is_wanted || !is_room || !self.is_working(now, spec) {
            return Some(reading);
        }
        self.gathered.push(reading);
        None
    }

    /// Returns whether new readings of a device, or of any, are not stored yet.
    pub(crate) fn has_new(&self, device: Option<DeviceId>) -> bool {
        let is_of = |id: DeviceId| device.is_none_or(|device| device == id);
        let mut new = self
            .handed
            .iter()
            .filter(|h| h.origin == ReadingOrigin::New);
        new.any(|h| is_of(h.device)) || self.gathered.iter().any(|r| is_of(r.device))
    }

    /// Stores the new readings without waiting for others.
    pub(crate) fn shorten_waits(&mut self) {
        self.has_short_waits = !self.gathered.is_empty();
    }

    /// Returns the new readings that are not handed over yet, if they are not to be stored any
    /// more before they are sent.
    pub(crate) fn take_unwanted(&mut self, now: Mono, spec: &Spec) -> Vec<Reading> {
        let is_wanted = spec.cloud.store.durable == Durability::Always;
        match is_wanted && self.is_working(now, spec) {
            true => Vec::new(),
            false => self.take_gathered(),
        }
    }

    /// Keeps a reading that came while the gateway was stopping, for the end; returns whether
    /// that is possible.
    pub(crate) fn keep_late(&mut self, reading: Reading, spec: &Spec) -> bool {
        let is_kept = self.is_open(spec) && self.late.len() < spec.cloud.post.queue;
        if is_kept {
            self.late.push(reading);
        }
        is_kept
    }

    /// Returns the readings that came while the gateway was stopping.
    pub(crate) fn take_late(&mut self) -> Vec<Reading> {
        std::mem::take(&mut self.late)
    }

    /// Returns the new readings that are not handed over yet.
    pub(crate) fn take_gathered(&mut self) -> Vec<Reading> {
        self.has_short_waits = false;
        std::mem::take(&mut self.gathered)
    }

    /// Updates the new readings that are not handed over yet, and drops those for which `keep`
    /// is false; returns how many.
    pub(crate) fn retain(&mut self, keep: impl FnMut(&mut Reading) -> bool) -> u64 {
        let before = self.gathered.len();
        self.gathered.retain_mut(keep);
        (before - self.gathered.len()) as u64
    }

    // --- groups ------------------------------------------------------------------------

    /// Returns when readings go to the store.
    pub(crate) fn due(&self, memory: ReadingsInMemory, spec: &Spec) -> Option<Wake> {
        if !self.is_open(spec) || !self.handed.is_empty() {
            return None;
        }
        let waiting = memory.oldest.map(|oldest| {
            let at = oldest + memory.reply_timeout(spec);
            match memory.is_nearly_full(spec) {
                true => at,
                false => at.max(self.gather_until),
            }
        });
        let new = self.gathered.first().map(|first| {
            match self.has_short_waits || self.gathered.len() >= GROUP {
                true => Mono::START,
                false => first.at.mono + spec.cloud.store.gather(),
            }
        });
        let at = waiting.into_iter().chain(new).chain(memory.events).min()?;
        Some(Wake::new(at.max(self.not_before), "readings to the store"))
    }

    /// Returns before when a reading must have been read to go to the store now.
    pub(crate) fn before(&self, now: Mono, memory: ReadingsInMemory, spec: &Spec) -> Mono {
        let waited = memory.reply_timeout(spec);
        Mono::START + now.since(Mono::START).saturating_sub(waited)
    }

    /// Hands over a group, as it is stored: what has waited long enough, and the new readings.
    /// Returns the group, and how many readings are of devices or points that are not
    /// configured any more.
    pub(crate) fn hand_over(
        &mut self,
        now: Mono,
        waiting: Vec<(ArrivalNumber, Reading)>,
        undated: Vec<Reading>,
        events: Vec<(EventNumber, ThingEvent, bool)>,
        spec: &Spec,
    ) -> (Vec<StoredReading>, usize) {
        // A full group may have left some behind.
        self.gather_until = match waiting.len().max(undated.len()) < GROUP {
            true => now + spec.cloud.store.sync_every,
            false => now,
        };
        let new = self.take_gathered().into_iter();
        let waiting = waiting
            .into_iter()
            .map(|(n, r)| (ReadingOrigin::Waiting(n), r));
        let all: Vec<(ReadingOrigin, Reading)> = undated
            .into_iter()
            .map(|r| (ReadingOrigin::Undated, r))
            .chain(waiting)
            .chain(new.map(|r| (ReadingOrigin::New, r)))
            .collect();
        let count = all.len();
        let handed = all.into_iter().filter_map(|(origin, reading)| {
            Some(HandedOverReading {
                origin,
                device: reading.device,
                read: reading.at,
                stored: stored(&reading, spec, origin != ReadingOrigin::Undated)?,
            })
        });
        self.handed = handed.collect();
        let values = self.handed.len();
        for (number, event, is_dated) in events {
            let Some(stored) = stored_event(&event, spec, is_dated) else {
                continue;
            };
            // Before the values that were read later.
            let later = |handed: &HandedOverReading| handed.read.mono > event.at.mono;
            let at = self.handed.iter().position(later);
            let handed = HandedOverReading {
                origin: ReadingOrigin::Event(number),
                device: event.device,
                read: event.at,
                stored,
            };
            self.handed.insert(at.unwrap_or(self.handed.len()), handed);
        }
        let given = self.handed.iter().map(|h| h.stored.clone()).collect();
        (given, count - values)
    }

    /// Takes note where the readings of the group are in the store, from the first on, and
    /// that the others are not; `None` stands for one that the store dropped and counted.
    pub(crate) fn stored(
        &mut self,
        now: Mono,
        at: &[Option<StorePosition>],
        identities: &Identities,
    ) -> Vec<SpillOutcome> {
        let handed = std::mem::take(&mut self.handed);
        if at.len() < handed.len() {
            self.not_before = now + AGAIN;
        }
        let at = at.iter().map(|at| Some(*at));
        let at = at.chain(std::iter::repeat(None));
        let outcomes = handed.iter().zip(at);
        outcomes
            .map(|(handed, at)| match (handed.origin, at) {
                (ReadingOrigin::Event(number), at) => SpillOutcome::Event(number, at),
                (ReadingOrigin::Waiting(_) | ReadingOrigin::Undated, Some(Some(at))) => {
                    SpillOutcome::Left(at)
                }
                (_, Some(None)) => SpillOutcome::Dropped,
                (origin, at) => match (reading(handed, identities), origin) {
                    (None, _) => match at.flatten() {
                        Some(at) => SpillOutcome::Left(at),
                        None => SpillOutcome::Unknown,
                    },
                    (Some(reading), ReadingOrigin::New) => {
                        SpillOutcome::Send(reading, at.flatten())
                    }
                    (Some(reading), ReadingOrigin::Waiting(number)) => {
                        SpillOutcome::Wait(number, reading)
                    }
                    (Some(reading), ReadingOrigin::Undated) => SpillOutcome::Undated(reading),
                    (Some(_), ReadingOrigin::Event(number)) => SpillOutcome::Event(number, at),
                },
            })
            .collect()
    }

    /// Forgets the readings that were handed over, at the end; returns how many.
    pub(crate) fn take_handed(&mut self) -> usize {
        std::mem::take(&mut self.handed).len()
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
        identifier: point.id.as_str().into(),
        at: stamp(reading.at, is_dated),
        value: reading.value.clone().into(),
    })
}

/// Returns an event as it is stored; `None` if its device is not known.
pub(crate) fn stored_event(
    event: &ThingEvent,
    spec: &Spec,
    is_dated: bool,
) -> Option<StoredReading> {
    let device = spec.device(event.device)?;
    Some(StoredReading {
        product_key: device.product_key.clone(),
        device_name: device.device_name.clone(),
        identifier: event.id.clone(),
        at: stamp(event.at, is_dated),
        value: StoredValue::Event(event.data.clone()),
    })
}

fn stamp(at: Now, is_dated: bool) -> StoredTime {
    let since_start = at.mono.as_micros() / 1000;
    match is_dated {
        true => StoredTime::Wall(at.wall),
        false => StoredTime::SinceBoot(i64::try_from(since_start).unwrap_or(i64::MAX)),
    }
}

/// Returns a reading that was handed over, by the numbers of the present configuration.
fn reading(handed: &HandedOverReading, identities: &Identities) -> Option<Reading> {
    let stored = &handed.stored;
    let who = DeviceIdentity {
        product_key: stored.product_key.clone(),
        device_name: stored.device_name.clone(),
    };
    let device = identities.id(&who)?;
    let points = &identities.spec().device(device)?.profile.points;
    let point = points.iter().position(|p| p.id == *stored.identifier)?;
    let StoredValue::Property(value) = &stored.value else {
        return None;
    };
    Some(Reading {
        device,
        point: u16::try_from(point).ok()?,
        value: value.clone(),
        at: handed.read,
    })
}

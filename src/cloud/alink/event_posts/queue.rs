//! The events in memory, in the order in which they came.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::{DeviceId, Mono, StorePosition, ThingEvent, Wall};

/// The number of an event in the order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EventNumber(u64);

/// Where an event is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EventPosition {
    /// It waits, or is under way to the platform.
    Here,
    /// It was handed over to the store, and is to be left to it if `leaves`.
    Handed { leaves: bool },
}

/// An event in memory.
#[derive(Clone, Debug)]
pub(super) struct QueuedEvent {
    event: ThingEvent,
    is_dated: bool,
    stored: Option<StorePosition>,
    place: EventPosition,
}

impl QueuedEvent {
    /// Returns when the event was read.
    pub(super) const fn at(&self) -> Mono {
        self.event.at.mono
    }

    /// Returns the event's position in the store, if it is there.
    pub(super) const fn stored(&self) -> Option<StorePosition> {
        self.stored
    }

    /// Returns whether its time is known and it is not on its way to the store.
    pub(super) fn is_sendable(&self) -> bool {
        self.is_dated && self.place == EventPosition::Here
    }
}

/// The events in memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    next: u64,
    entries: BTreeMap<EventNumber, QueuedEvent>,
    /// The numbers of each device that has some.
    devices: BTreeMap<DeviceId, BTreeSet<EventNumber>>,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns how many events of this device there are.
    pub(super) fn of(&self, device: DeviceId) -> usize {
        self.devices.get(&device).map_or(0, BTreeSet::len)
    }

    pub(super) fn get(&self, number: EventNumber) -> Option<&ThingEvent> {
        self.entries.get(&number).map(|entry| &entry.event)
    }

    pub(super) fn push(
        &mut self,
        event: ThingEvent,
        is_dated: bool,
        stored: Option<StorePosition>,
    ) {
        let number = EventNumber(self.next);
        self.next += 1;
        self.devices.entry(event.device).or_default().insert(number);
        let place = EventPosition::Here;
        let entry = QueuedEvent {
            event,
            is_dated,
            stored,
            place,
        };
        self.entries.insert(number, entry);
    }

    pub(super) fn remove(
        &mut self,
        number: EventNumber,
    ) -> Option<(ThingEvent, Option<StorePosition>)> {
        let entry = self.entries.remove(&number)?;
        let device = entry.event.device;
        if let Some(numbers) = self.devices.get_mut(&device) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.devices.remove(&device);
            }
        }
        Some((entry.event, entry.stored))
    }

    /// Removes all events of a device.
    pub(super) fn remove_device(
        &mut self,
        device: DeviceId,
    ) -> Vec<(ThingEvent, Option<StorePosition>)> {
        let numbers = self.devices.get(&device).cloned().unwrap_or_default();
        numbers.into_iter().filter_map(|n| self.remove(n)).collect()
    }

    /// Removes the oldest event that is neither under way nor handed over.
    pub(super) fn take_oldest_idle(
        &mut self,
        is_under_way: impl Fn(DeviceId) -> bool,
    ) -> Option<(ThingEvent, Option<StorePosition>)> {
        let is_idle = |number: &EventNumber, entry: &QueuedEvent| {
            let device = entry.event.device;
            let is_first = self.devices.get(&device).and_then(BTreeSet::first) == Some(number);
            entry.place == EventPosition::Here && !(is_first && is_under_way(device))
        };
        let mut idle = self.entries.iter().filter(|(n, entry)| is_idle(n, entry));
        let number = *idle.next()?.0;
        self.remove(number)
    }

    /// Returns the oldest event of each device.
    pub(super) fn heads(&self) -> impl Iterator<Item = (EventNumber, DeviceId, &QueuedEvent)> {
        self.devices.iter().filter_map(|(device, numbers)| {
            let number = *numbers.first()?;
            Some((number, *device, self.entries.get(&number)?))
        })
    }

    /// Dates the events that wait for the time.
    pub(super) fn date(&mut self, stamp: impl Fn(&ThingEvent) -> Option<Wall>) {
        for entry in self.entries.values_mut().filter(|e| !e.is_dated) {
            if let Some(wall) = stamp(&entry.event) {
                entry.event.at.wall = wall;
                entry.is_dated = true;
            }
        }
    }

    // --- the store ------------------------------------------------------------------

    pub(super) fn positions(&self) -> BTreeSet<StorePosition> {
        self.entries.values().filter_map(|e| e.stored).collect()
    }

    /// Returns when the oldest event was read that could be left to the store, and the oldest of
    /// those that are not there.
    pub(super) fn oldest_read_at(
        &self,
        is_under_way: impl Fn(DeviceId) -> bool,
    ) -> (Option<Mono>, Option<Mono>) {
        let here = || {
            self.entries
                .values()
                .filter(|e| e.place == EventPosition::Here)
        };
        let idle = here().filter(|e| !is_under_way(e.event.device));
        let new = here().filter(|e| e.stored.is_none());
        (
            idle.map(QueuedEvent::at).min(),
            new.map(QueuedEvent::at).min(),
        )
    }

    /// Hands over events for the store: see [`super::EventPosts::hand_over`]. Returns them, and
    /// the positions of those that are there already and were removed.
    pub(super) fn hand_over(
        &mut self,
        before: Mono,
        all: bool,
        most: usize,
        is_under_way: impl Fn(DeviceId) -> bool,
    ) -> (Vec<(EventNumber, ThingEvent, bool)>, Vec<StorePosition>) {
        let (mut given, mut removed) = (Vec::new(), Vec::new());
        for (number, entry) in &mut self.entries {
            let leaves = entry.at() <= before && !is_under_way(entry.event.device);
            match entry.stored {
                _ if entry.place != EventPosition::Here || !leaves && !all => {}
                Some(_) if leaves => removed.push(*number),
                Some(_) => {}
                None if given.len() < most => {
                    entry.place = EventPosition::Handed { leaves };
                    given.push((*number, entry.event.clone(), entry.is_dated));
                }
                None => {}
            }
        }
        let removed = removed.into_iter().filter_map(|n| self.remove(n)?.1);
        (given, removed.collect())
    }

    /// Takes note what became of an event that was handed over: see
    /// [`super::EventPosts::on_stored`].
    pub(super) fn on_stored(
        &mut self,
        number: EventNumber,
        at: Option<Option<StorePosition>>,
    ) -> Option<(ThingEvent, Option<StorePosition>)> {
        let entry = self.entries.get_mut(&number)?;
        let leaves = matches!(entry.place, EventPosition::Handed { leaves: true });
        entry.place = EventPosition::Here;
        match at {
            // The store refused it: it is too long, or there is no room.
            Some(None) => self.remove(number).map(|(event, _)| (event, None)),
            Some(Some(at)) if leaves => self.remove(number).map(|(event, _)| (event, Some(at))),
            Some(stored) => {
                entry.stored = stored;
                None
            }
            None => None,
        }
    }

    /// Removes all events; returns those that are neither in the store nor handed over to it, and
    /// whether their time is right.
    pub(super) fn take_all(&mut self) -> Vec<(ThingEvent, bool)> {
        self.devices.clear();
        let all = std::mem::take(&mut self.entries).into_values();
        let mine = all.filter(|e| e.place == EventPosition::Here && e.stored.is_none());
        mine.map(|e| (e.event, e.is_dated)).collect()
    }
}

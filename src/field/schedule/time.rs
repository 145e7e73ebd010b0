//! The time of each priority: it stands still while due requests of the priority cannot be
//! served, which stretches the intervals alike, and the operator gets a log event.

use std::time::Duration;

use super::Schedule;
use crate::base::Mono;
use crate::field::polled_device::PolledDevice;
use crate::field::polled_device::poll_slot::PollSlot;
use crate::field::schedule::interval_stretch::{Offered, Overload, RequestLoad, StretchChange};
use crate::spec::Priority;

impl Schedule {
    /// Lets the time of each priority pass, or stand still.
    pub(super) fn keep_time(&mut self, now: Mono) {
        for polled_device in &mut self.devices {
            // A request that waited at the last turn and cannot be served now does not count.
            // A request that does not wait yet is noted when it is known what time it is.
            polled_device.stop_waiting(now);
        }
        let rested = self.rests.take().map_or(Duration::ZERO, |r| now.since(r));
        let asked = Priority::ALL.map(|priority| self.offered(priority));
        let commanded = self.commanded(now);
        for (i, priority) in Priority::ALL.into_iter().enumerate() {
            let offered = Offered {
                own: asked[i],
                before: commanded + asked[..i].iter().sum::<u64>(),
                behind: asked[i + 1..]
                    .iter()
                    .map(|of| Offered::SHARE.min(*of))
                    .sum(),
            };
            let Some(tempo) = self.stretches.get_mut(&priority) else {
                continue;
            };
            // No request waits for devices that have never answered.
            let known = self.devices.iter().filter(|s| !s.is_stranger());
            let slots = known.flat_map(PolledDevice::slots);
            let waiting = slots.filter(|s| s.block().priority == priority && s.is_waiting());
            let over = waiting.map(|s| s.over(now)).max();
            let over = (over.is_some(), over.unwrap_or_default());
            let stood = tempo.turn(now, over.0, over.1, rested, offered);
            for slot in self.devices.iter_mut().flat_map(PolledDevice::slots_mut) {
                if slot.block().priority == priority {
                    slot.put_off(stood);
                    slot.skip_poll(now);
                }
            }
            if let Some(change) = tempo.poll(now) {
                let overload = self.overload(priority, change);
                self.overloads.push_back(overload);
            }
        }
        for polled_device in &mut self.devices {
            polled_device.wait(now);
        }
    }

    /// Returns what the requests of a priority ask of the line's time, in thousandths.
    /// Counted are the requests that are expected to be answered, by how long they take then.
    fn offered(&self, priority: Priority) -> u64 {
        let slots = self
            .expected()
            .filter(|(_, s)| s.block().priority == priority);
        let parts = slots.map(|(polled_device, slot)| share(polled_device, slot));
        parts.fold(0u64, u64::saturating_add) / 1000
    }

    /// Returns the requests that are expected to be answered, each with its device.
    fn expected(&self) -> impl Iterator<Item = (&PolledDevice, &PollSlot)> {
        let answering = self.answering().filter(|(_, s)| !s.is_stranger());
        answering.flat_map(|(_, polled_device)| {
            let slots = polled_device
                .slots()
                .iter()
                .filter(|slot| !polled_device.is_rare(slot));
            slots.map(move |slot| (polled_device, slot))
        })
    }

    fn overload(&self, priority: Priority, change: StretchChange) -> Overload {
        let StretchChange::Stretched(factor) = change else {
            return Overload::Over { priority };
        };
        let load: u64 = Priority::ALL.iter().map(|p| self.offered(*p)).sum();
        let heaviest = self
            .expected()
            .max_by_key(|(polled_device, slot)| share(polled_device, slot));
        let burden = |(polled_device, slot): (&PolledDevice, &PollSlot)| RequestLoad {
            device: polled_device.device(),
            address: slot.block().address.clone(),
            takes: takes(polled_device, slot),
            every: slot.block().interval,
        };
        Overload::Stretched {
            priority,
            factor,
            load,
            heaviest: heaviest.map(burden),
        }
    }

    /// Returns what became of the intervals of a priority, for the operator; to be called
    /// until `None`, after each [`Schedule::next`].
    pub fn poll_overload(&mut self) -> Option<Overload> {
        self.overloads.pop_front()
    }
}

/// Returns how long a request that is answered takes the line: as measured, or as far as that is
/// known.
pub(super) fn takes(polled_device: &PolledDevice, slot: &PollSlot) -> Duration {
    slot.took()
        .unwrap_or_else(|| polled_device.takes(slot.block()))
}

/// Returns what the request asks of the line's time, in millionths.
fn share(polled_device: &PolledDevice, slot: &PollSlot) -> u64 {
    let share = takes(polled_device, slot).as_nanos() * 1_000_000;
    let share = share / slot.block().interval.as_nanos().max(1);
    u64::try_from(share).unwrap_or(u64::MAX)
}

//! The time of each priority: it stands still while what is due of it cannot be
//! served, which stretches its intervals alike, and the operator is told.

use std::time::Duration;

use super::Schedule;
use crate::base::Mono;
use crate::field::tempo::{Burden, Change, Strain};
use crate::spec::Priority;

impl Schedule {
    /// Lets the time of each priority pass, or stand still.
    pub(super) fn keep_time(&mut self, now: Mono) {
        for station in &mut self.stations {
            // Who waited at the last turn and cannot be served now does not count;
            // who does not wait yet is noted when it is known what time it is.
            station.stop_waiting(now);
        }
        let rested = self.rests.take().map_or(Duration::ZERO, |r| now.since(r));
        for priority in Priority::ALL {
            let Some(tempo) = self.tempos.get_mut(&priority) else {
                continue;
            };
            // Nobody waits for those of whom it is not known that they are there.
            let known = self.stations.iter().filter(|s| !s.is_stranger());
            let slots = known.flat_map(|s| &s.slots);
            let waiting = slots.filter(|s| s.block.priority == priority && s.waits.is_some());
            let over = waiting.map(|s| s.over(now)).max();
            let stood = tempo.turn(now, over.is_some(), over.unwrap_or_default(), rested);
            for slot in self.stations.iter_mut().flat_map(|s| &mut s.slots) {
                if slot.block.priority == priority {
                    slot.put_off(stood);
                    slot.lose(now);
                }
            }
            if let Some(change) = tempo.poll(now) {
                let strain = self.strain(priority, change);
                self.strains.push_back(strain);
            }
        }
        for station in &mut self.stations {
            station.wait(now);
        }
    }

    fn strain(&self, priority: Priority, change: Change) -> Strain {
        let Change::Stretched(factor) = change else {
            return Strain::Over { priority };
        };
        let (mut load, mut heaviest) = (0u64, None);
        for (_, station) in self.answering() {
            for slot in &station.slots {
                let block = &slot.block;
                let takes = station.takes(block);
                let share = takes.as_nanos() * 1_000_000 / block.interval.as_nanos().max(1);
                let share = u64::try_from(share).unwrap_or(u64::MAX);
                load = load.saturating_add(share);
                if heaviest.as_ref().is_none_or(|(most, _)| share > *most) {
                    let burden = Burden {
                        device: station.device,
                        table: block.table,
                        first: block.start,
                        count: block.count,
                        takes,
                        every: block.interval,
                    };
                    heaviest = Some((share, burden));
                }
            }
        }
        Strain::Stretched {
            priority,
            factor,
            load: load.div_ceil(1000),
            heaviest: heaviest.map(|(_, burden)| burden),
        }
    }

    /// What became of the intervals of a priority, for the operator; until `None`,
    /// after each [`Schedule::next`].
    pub fn poll_strain(&mut self) -> Option<Strain> {
        self.strains.pop_front()
    }
}

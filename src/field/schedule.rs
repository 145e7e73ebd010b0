//! Whose turn it is on one line.
//!
//! Contract: ask [`Schedule::next`]; after `Run(job)` run it and say how it
//! ended with [`Schedule::done`] before asking again; after `NotBefore` ask
//! again at that time or when something was overheard. Told the time, never
//! reads it.
//!
//! Order: every request has its slots on a fixed grid, whatever happened
//! before; of those due, the one whose next slot comes first is served (a rare one
//! is not put off by more than a second for that), ties by whose device was
//! served longest ago. A slot that was missed is skipped, so
//! nothing queues up; the one that is owed keeps its place, so nothing starves.
//!
//! A device that missed is tried with its cheapest request only, soon and then
//! ever less often, and only when no answering device would lose a poll by it,
//! or from a budget of a twentieth of the clock. Its first proof of life brings
//! back its whole plan. Whether it counts as silent is not decided here.

use crate::base::{DeviceId, Mono, Now, PortId, Rng, UnitId};
use crate::spec::{LineSpec, Spec};

use super::budget::Budget;
use super::job::{Job, Outcome};
use super::station::Station;

/// What to do on the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// This transaction, now.
    Run(Job),
    /// Nothing before then, because of this.
    NotBefore(Mono, &'static str),
    /// Nothing ever: there is nothing to read on this port.
    Idle,
}

/// The turns on one line.
#[derive(Clone, Debug)]
pub struct Schedule {
    stations: Vec<Station>,
    budget: Budget,
    rng: Rng,
    turn: u64,
}

impl Schedule {
    /// The devices on `port`; all are due now.
    #[must_use]
    pub fn new(spec: &Spec, port: PortId, rng: Rng, now: Now) -> Self {
        let mut stations = Vec::new();
        if let Some(line) = spec.port(port) {
            let numbered = matches!(line.line, LineSpec::Tcp(_));
            let mut number = 0;
            for (id, device) in spec.devices_on(port) {
                let timeout = device.response_timeout.unwrap_or(line.response_timeout);
                let station = Station::new(id, device, timeout, numbered, &mut number, now.mono);
                if !station.slots.is_empty() {
                    stations.push(station);
                }
            }
        }
        Schedule {
            stations,
            budget: Budget::new(now.mono),
            rng,
            turn: 0,
        }
    }

    /// What to do now.
    pub fn next(&mut self, now: Mono) -> Next {
        for station in &mut self.stations {
            station.at(now);
        }
        if let Some((station, slot)) = self.most_urgent(now) {
            return self.run(station, slot, now);
        }
        let (attempt, attempt_at) = self.next_attempt(now);
        if let Some(station) = attempt.filter(|_| attempt_at <= now)
            && let Some(slot) = self.stations[station].attempt()
        {
            return self.run(station, slot, now);
        }
        let poll = self.next_poll(now);
        match (poll, attempt) {
            (Some(poll), Some(_)) if attempt_at < poll => {
                Next::NotBefore(attempt_at, "next try of a device that missed")
            }
            (Some(poll), _) => Next::NotBefore(poll, "next poll"),
            (None, Some(_)) => Next::NotBefore(attempt_at, "next try of a device that missed"),
            (None, None) => Next::Idle,
        }
    }

    /// How a job ended.
    pub fn done(&mut self, now: Mono, job: &Job, outcome: &Outcome) {
        let Some(station) = self.stations.iter_mut().find(|s| s.device == job.device) else {
            return;
        };
        let was_trying = station.misses() > 0;
        station.done(now, job, outcome, &mut self.rng);
        if was_trying && station.misses() > 0 {
            self.budget.spend(now, now.since(job.asked));
        }
    }

    /// A well-formed reply of this unit went by that nobody waited for. If it
    /// can be one that was given up, its device lives: it is returned, and
    /// polled in full again.
    pub fn overheard(&mut self, now: Mono, unit: UnitId) -> Option<DeviceId> {
        let station = self.stations.iter_mut().find(|s| s.unit == unit)?;
        if !station.owes_a_reply() {
            return None;
        }
        station.lives(now);
        Some(station.device)
    }

    /// The line is open again after it was not: everybody is tried at once.
    pub fn reopened(&mut self, now: Mono) {
        for station in &mut self.stations {
            station.retry_now(now);
        }
    }

    /// How many devices have something to read here.
    #[must_use]
    pub fn devices(&self) -> usize {
        self.stations.len()
    }

    fn run(&mut self, station: usize, slot: usize, now: Mono) -> Next {
        self.turn += 1;
        self.stations[station].served = self.turn;
        match self.stations[station].job(slot, now) {
            Some(job) => Next::Run(job),
            None => Next::Idle,
        }
    }

    fn answering(&self) -> impl Iterator<Item = (usize, &Station)> {
        let all = self.stations.iter().enumerate();
        all.filter(|(_, s)| s.misses() == 0)
    }

    /// The due request of an answering device that comes first.
    fn most_urgent(&self, now: Mono) -> Option<(usize, usize)> {
        self.answering()
            .filter(|(_, s)| s.free_at(now) <= now)
            .flat_map(|(i, s)| {
                s.slots
                    .iter()
                    .enumerate()
                    .map(move |(j, slot)| (i, j, s, slot))
            })
            .filter(|(.., slot)| slot.due <= now)
            .min_by_key(|(i, j, s, slot)| (slot.rank(), s.served, *i, *j))
            .map(|(i, j, ..)| (i, j))
    }

    /// When an answering device will be due.
    fn next_poll(&self, now: Mono) -> Option<Mono> {
        self.answering()
            .filter_map(|(_, s)| {
                let due = s.slots.iter().map(|slot| slot.due).min()?;
                Some(due.max(s.free_at(now)))
            })
            .min()
    }

    /// The device that missed whose turn to be tried comes first, and when. An
    /// attempt is free while the line would be idle and no answering device can
    /// lose a slot by it; otherwise it is paid from the budget.
    fn next_attempt(&self, now: Mono) -> (Option<usize>, Mono) {
        let trying = self.stations.iter().enumerate();
        let first = trying
            .filter(|(_, s)| s.misses() > 0)
            .min_by_key(|(_, s)| (s.retry_at(now), s.served));
        let Some((i, station)) = first else {
            return (None, now);
        };
        let at = station.retry_at(now);
        if at > now || self.budget.allows(now) || !self.contended(now, station) {
            return (Some(i), at);
        }
        (Some(i), self.budget.ready_at(now))
    }

    /// Whether an attempt that fails could cost an answering device a slot.
    fn contended(&self, now: Mono, attempt: &Station) -> bool {
        // Half as much again, for those that fall due meanwhile.
        let clear = now + attempt.timeout + attempt.timeout / 2;
        self.answering()
            .flat_map(|(_, s)| &s.slots)
            .any(|slot| slot.deadline() <= clear)
    }
}

#[cfg(test)]
mod tests;

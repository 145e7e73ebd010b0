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
//! or from a budget of a twentieth of the clock; the first tries of a device
//! that answered before may overdraw it a little. Its first proof of life brings
//! back its whole plan. Whether it counts as silent is not decided here.
//!
//! Refusals and measured reply times change what is asked together ([`super::holes`],
//! [`super::plan`]); what was found is handed out by [`Schedule::poll_finding`].

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::base::{DeviceId, Mono, Now, PortId, Rng, UnitId};
use crate::spec::{ProfileSpec, Spec};

use super::budget::Budget;
use super::holes::Holes;
use super::job::{Job, Outcome};
use super::reading::Finding;
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

/// A poll that is due.
struct Turn {
    station: usize,
    slot: usize,
    rank: Mono,
}

/// A try of a device that missed.
#[derive(Clone, Copy)]
struct Attempt {
    station: usize,
    slot: usize,
    /// Not before then.
    at: Mono,
    /// Whether it may take time from the others.
    paid: bool,
    rank: Mono,
}

/// The turns on one line.
#[derive(Clone, Debug)]
pub struct Schedule {
    stations: Vec<Station>,
    budget: Budget,
    rng: Rng,
    turn: u64,
    /// Waiting to be told; what a transaction finds, no more.
    findings: VecDeque<Finding>,
}

impl Schedule {
    /// The devices on `port`; all are due now.
    #[must_use]
    pub fn new(spec: &Spec, port: PortId, rng: Rng, now: Now) -> Self {
        let mut stations = Vec::new();
        if let Some(line) = spec.port(port) {
            let mut number = 0;
            for (id, device) in spec.devices_on(port) {
                let station = Station::new(id, device, line, &mut number, now.mono);
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
            findings: VecDeque::new(),
        }
    }

    /// What earlier lives have learned about each kind of device; before the
    /// first [`Schedule::next`].
    pub fn remember(&mut self, now: Mono, known: impl Fn(&ProfileSpec) -> Holes) {
        for station in &mut self.stations {
            let holes = known(&station.profile);
            station.know(now, &holes);
        }
    }

    /// What to do now.
    pub fn next(&mut self, now: Mono) -> Next {
        for station in &mut self.stations {
            station.at(now);
        }
        let attempt = self.next_attempt(now);
        let ready = attempt.filter(|a| a.at <= now);
        match (self.most_urgent(now), ready) {
            (Some(poll), Some(attempt)) if attempt.paid && attempt.rank < poll.rank => {
                self.run(attempt.station, attempt.slot, now)
            }
            (Some(poll), _) => self.run(poll.station, poll.slot, now),
            (None, Some(attempt)) => self.run(attempt.station, attempt.slot, now),
            (None, None) => {
                let attempt = attempt.map(|a| (a.at, "next try of a device that missed"));
                let poll = self.next_poll(now).map(|at| (at, "next poll"));
                match poll.into_iter().chain(attempt).min_by_key(|(at, _)| *at) {
                    Some((at, why)) => Next::NotBefore(at, why),
                    None => Next::Idle,
                }
            }
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
        let found = std::mem::take(&mut station.reading.findings);
        let kind = Arc::clone(&station.profile);
        for finding in found {
            self.share(now, job.device, &kind, &finding);
            self.findings.push_back(finding);
        }
    }

    /// How long the unit took, from the end of the request to the beginning of
    /// its reply; its requests are planned by it.
    pub fn measured(&mut self, now: Mono, device: DeviceId, gap: Duration) {
        if let Some(station) = self.stations.iter_mut().find(|s| s.device == device) {
            station.measured(now, gap);
        }
    }

    /// What was found out about a device, for the operator and for the next
    /// life; until `None`, after each [`Schedule::done`].
    pub fn poll_finding(&mut self) -> Option<Finding> {
        self.findings.pop_front()
    }

    /// Devices of one kind need not all run into the same hole.
    fn share(&mut self, now: Mono, finder: DeviceId, kind: &Arc<ProfileSpec>, finding: &Finding) {
        let of_kind = |s: &&mut Station| s.device != finder && Arc::ptr_eq(&s.profile, kind);
        for station in self.stations.iter_mut().filter(of_kind) {
            match finding {
                Finding::Hole { hole, .. } => station.know(now, &Holes::from([*hole])),
                Finding::HoleGone { hole, .. } => station.forget(now, hole),
                Finding::PointsRefused { .. } | Finding::PointsBack { .. } => {}
            }
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
    fn most_urgent(&self, now: Mono) -> Option<Turn> {
        self.answering()
            .filter(|(_, s)| s.free_at(now) <= now)
            .flat_map(|(i, s)| s.slots.iter().enumerate().map(move |x| (i, s, x)))
            .filter(|(_, _, (_, slot))| slot.due <= now)
            .min_by_key(|(i, s, (j, slot))| (slot.rank(), s.served, *i, *j))
            .map(|(station, _, (slot, poll))| Turn {
                station,
                slot,
                rank: poll.rank(),
            })
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
    /// lose a slot by it; otherwise it is paid from the budget, on credit if it
    /// is to confirm a silence that has just begun, and takes its turn among
    /// the polls.
    fn next_attempt(&self, now: Mono) -> Option<Attempt> {
        let trying = self.stations.iter().enumerate();
        trying
            .filter(|(_, s)| s.misses() > 0)
            .filter_map(|(station, s)| {
                let at = s.retry_at(now);
                let urgent = s.is_urgent() && self.budget.allows_urgent(now);
                let paid = urgent || self.budget.allows(now);
                let allowed = at > now || paid || !self.contended(now, s);
                let attempt = Attempt {
                    station,
                    slot: s.attempt()?,
                    at: if allowed {
                        at
                    } else {
                        self.budget.ready_at(now)
                    },
                    paid,
                    rank: s.retry_rank(now),
                };
                Some(((attempt.at, !urgent, s.served), attempt))
            })
            .min_by_key(|(order, _)| *order)
            .map(|(_, attempt)| attempt)
    }

    /// Whether an attempt that fails could cost an answering device a slot.
    fn contended(&self, now: Mono, attempt: &Station) -> bool {
        // Half as much again, for those that fall due meanwhile.
        let wait = attempt.attempt_takes();
        let clear = now + wait + wait / 2;
        self.answering()
            .flat_map(|(_, s)| &s.slots)
            .any(|slot| slot.deadline() <= clear)
    }
}

#[cfg(test)]
mod tests;

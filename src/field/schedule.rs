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
use crate::spec::dlt645::Address;
use crate::spec::{ProfileSpec, Spec};

use super::budget::Budget;
use super::holes::Holes;
use super::job::{Job, Outcome};
use super::reading::Finding;
use super::station::{Slot, Station};

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
    /// What it may do to the others; it is paid for.
    harm: Harm,
    rank: Mono,
}

impl Attempt {
    /// Only one that is paid for takes time from those that answer.
    fn goes_before(&self, poll: &Turn) -> bool {
        self.harm == Harm::Loss && self.rank < poll.rank
    }
}

/// The turns on one line.
#[derive(Clone, Debug)]
pub struct Schedule {
    stations: Vec<Station>,
    /// For attempts that take time from those that answer.
    budget: Budget,
    /// For attempts that only make them wait.
    delays: Budget,
    /// For first contacts.
    strangers: Budget,
    /// What the attempt that is under way may do to the others.
    harm: Harm,
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
            budget: Budget::for_the_dead(now.mono),
            delays: Budget::for_delays(now.mono),
            strangers: Budget::for_strangers(now.mono),
            harm: Harm::None,
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
            (Some(poll), Some(attempt)) if !attempt.goes_before(&poll) => {
                self.run(poll.station, poll.slot, now)
            }
            (Some(poll), None) => self.run(poll.station, poll.slot, now),
            (_, Some(attempt)) => {
                self.harm = attempt.harm;
                self.run(attempt.station, attempt.slot, now)
            }
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
        let (was_trying, was_stranger) = (station.misses() > 0, station.is_stranger());
        station.done(now, job, outcome, &mut self.rng);
        if was_trying && station.misses() > 0 {
            let took = now.since(job.asked);
            match self.harm {
                Harm::None => {}
                Harm::Delay => self.delays.spend(now, took),
                Harm::Loss => self.budget.spend(now, took),
            }
        } else if was_stranger && station.is_stranger() {
            self.strangers.spend(now, now.since(job.asked));
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
                Finding::PointsRefused { .. }
                | Finding::DatumRefused { .. }
                | Finding::PointsBack { .. } => {}
            }
        }
    }

    /// A well-formed reply of this unit went by that nobody waited for. If it
    /// can be one that was given up, its device lives: it is returned, and
    /// polled in full again.
    pub fn overheard(&mut self, now: Mono, unit: UnitId) -> Option<DeviceId> {
        self.passed_by(now, |s| s.meter.is_none() && s.unit == unit)
    }

    /// The same of a meter of DL/T 645.
    pub fn overheard_meter(&mut self, now: Mono, meter: Address) -> Option<DeviceId> {
        self.passed_by(now, |s| s.meter == Some(meter))
    }

    fn passed_by(&mut self, now: Mono, is: impl Fn(&Station) -> bool) -> Option<DeviceId> {
        let station = self.stations.iter_mut().find(|s| is(s))?;
        let owed = station.owes_a_reply();
        station.passed_by(now);
        if !owed {
            return None;
        }
        station.was_late(now);
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

    /// The due request of an answering device that comes first. Devices nobody has
    /// heard of stand back once they have taken their half of the clock.
    fn most_urgent(&self, now: Mono) -> Option<Turn> {
        let generous = self.strangers.allows(now);
        self.answering()
            .filter(|(_, s)| s.free_at(now) <= now)
            .flat_map(|(i, s)| s.slots.iter().enumerate().map(move |x| (i, s, x)))
            .filter(|(_, s, (_, slot))| s.ready_at(slot) <= now)
            .min_by_key(|(i, s, (j, slot))| {
                let stands_back = !generous && s.is_stranger();
                (stands_back, slot.rank(), s.served, *i, *j)
            })
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
                let due = s.slots.iter().map(|slot| s.ready_at(slot)).min()?;
                Some(due.max(s.free_at(now)))
            })
            .min()
    }

    /// The device that missed whose turn to be tried comes first, and when. An
    /// attempt is free while the answering devices need not wait for it to
    /// speak of; one that only makes them wait is paid from a fifth of the clock;
    /// one that could cost a poll from a twentieth, on credit if it is to confirm
    /// a silence that has just begun, and then it takes its turn among the polls.
    fn next_attempt(&self, now: Mono) -> Option<Attempt> {
        let trying = self.stations.iter().enumerate();
        trying
            .filter(|(_, s)| s.misses() > 0)
            .filter_map(|(station, s)| {
                let at = s.retry_at(now);
                let urgent = s.is_urgent();
                let harm = self.harm(now, s);
                let allowed = self.purse(harm).is_none_or(|purse| match urgent {
                    true => purse.allows_urgent(now),
                    false => purse.allows(now),
                });
                let attempt = Attempt {
                    station,
                    slot: s.attempt()?,
                    at: if at > now || allowed {
                        at
                    } else {
                        self.purse(harm).map_or(at, |purse| purse.ready_at(now))
                    },
                    harm,
                    rank: s.retry_rank(now),
                };
                Some(((attempt.at, !urgent, s.served), attempt))
            })
            .min_by_key(|(order, _)| *order)
            .map(|(_, attempt)| attempt)
    }

    /// What an attempt that does this harm is paid from.
    const fn purse(&self, harm: Harm) -> Option<&Budget> {
        match harm {
            Harm::None => None,
            Harm::Delay => Some(&self.delays),
            Harm::Loss => Some(&self.budget),
        }
    }

    /// What an attempt that fails could do to those that answer.
    fn harm(&self, now: Mono, attempt: &Station) -> Harm {
        let over = now + attempt.attempt_takes();
        // Half as much again, for those that fall due meanwhile.
        let clear = over + attempt.attempt_takes() / 2;
        let harm = |slot: &Slot| match slot.deadline() <= clear {
            true => Harm::Loss,
            false if slot.due + slot.slack() < over => Harm::Delay,
            false => Harm::None,
        };
        let slots = self.answering().flat_map(|(_, s)| &s.slots);
        slots.map(harm).max().unwrap_or(Harm::None)
    }
}

/// What an attempt at a device that misses may do to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Harm {
    /// Nothing to speak of.
    None,
    /// A poll comes late.
    Delay,
    /// A poll is lost.
    Loss,
}

#[cfg(test)]
mod tests;

//! Who goes first: of the polls that are due, of the devices that missed, and of
//! those two.
//!
//! Only looks. What a choice costs is paid when the transaction is over.

use std::collections::{BTreeMap, BTreeSet};

use super::Schedule;
use crate::base::Mono;
use crate::field::budget::Budget;
use crate::field::slot::Slot;
use crate::field::station::Station;
use crate::spec::Priority;

/// A poll that is due.
pub(super) struct Turn {
    pub(super) station: usize,
    pub(super) slot: usize,
    rank: Mono,
    /// A lower priority that goes before a higher one, which it pays for.
    pub(super) ahead: Option<Priority>,
}

/// A try of a device that missed.
#[derive(Clone, Copy)]
pub(super) struct Attempt {
    pub(super) station: usize,
    pub(super) slot: usize,
    /// Not before then.
    pub(super) at: Mono,
    /// What it may do to the others; it is paid for.
    pub(super) harm: Harm,
    rank: Mono,
}

impl Attempt {
    /// Only one that is paid for takes time from those that answer.
    pub(super) fn goes_before(&self, poll: &Turn) -> bool {
        self.harm == Harm::Loss && self.rank < poll.rank
    }
}

/// What an attempt at a device that misses may do to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Harm {
    /// Nothing to speak of.
    None,
    /// A poll comes late.
    Delay,
    /// A poll is lost.
    Loss,
}

impl Schedule {
    /// The due request of an answering device that comes first. Devices nobody has
    /// heard of stand back once they have taken their half of the clock.
    pub(super) fn most_urgent(&self, now: Mono) -> Option<Turn> {
        let generous = self.strangers.allows(now);
        let mut first = BTreeMap::new();
        let mut overdue = BTreeSet::new();
        let free = self.answering().filter(|(_, s)| s.free_at(now) <= now);
        for (i, station) in free {
            let stands_back = !generous && station.is_stranger();
            for (j, slot) in station.slots.iter().enumerate() {
                if station.ready_at(slot) > now {
                    continue;
                }
                let priority = slot.block.priority;
                let order = (slot.rank(), station.served, i, j);
                let best = first.entry((stands_back, priority)).or_insert(order);
                *best = order.min(*best);
                if slot.is_overdue(now) {
                    overdue.insert(priority);
                }
            }
        }
        let (&(stands_back, highest), best) = first.first_key_value()?;
        let may = |p: &&Priority| {
            let share = self.shares.get(p).filter(|_| !stands_back);
            **p > highest && share.is_some_and(|s| s.allows(now))
        };
        let ahead = overdue.iter().find(may).copied();
        let best = ahead.and_then(|p| first.get(&(false, p))).unwrap_or(best);
        let (rank, _, station, slot) = *best;
        Some(Turn {
            station,
            slot,
            rank,
            ahead,
        })
    }

    /// When an answering device will be due.
    pub(super) fn next_poll(&self, now: Mono) -> Option<Mono> {
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
    pub(super) fn next_attempt(&self, now: Mono) -> Option<Attempt> {
        let trying = self.stations.iter().enumerate();
        trying
            .filter(|(_, s)| s.misses() > 0 && !self.is_out(s))
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

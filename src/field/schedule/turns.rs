//! Decides which goes first: of the polls that are due, of the tries of devices that missed,
//! and of the two kinds.
//!
//! This module only looks. What a choice costs is paid when the transaction is over.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Schedule;
use crate::base::Mono;
use crate::field::polled_device;
use crate::field::polled_device::failing::Failing;
use crate::field::polled_device::poll_slot::LONGEST_OVERTAKING;
use crate::field::polled_device::{PolledDevice, RETRY_CEILING};
use crate::field::schedule::budget::Budget;
use crate::spec::Priority;

/// The transactions before and after a rest of the line take this time as well.
const MARGIN: Duration = Duration::from_millis(50);

/// A line that has no time for a try for this long is not behind for a moment only.
const BEHIND_FOR_GOOD: Duration = Duration::from_secs(10);

/// A poll that is due.
pub(super) struct DuePoll {
    /// The index of the device.
    pub polled_device: usize,
    pub slot: usize,
    rank: Mono,
    /// The lower priority that goes before a higher one with this poll, and pays for it.
    pub ahead: Option<Priority>,
}

/// What is tried again after a failure.
#[derive(Clone, Copy)]
pub(super) enum AttemptKind {
    /// A device that missed.
    Device(polled_device::Attempt),
    /// A request that is set aside, of a device that answers.
    Request(usize),
}

/// A try of what failed.
#[derive(Clone, Copy)]
pub(super) struct Attempt {
    /// The index of the device.
    pub polled_device: usize,
    pub what: AttemptKind,
    /// Before when the try may not be made.
    pub at: Mono,
    /// What the try may do to the others; it is paid for.
    pub impact: Impact,
    /// Whether the try is to confirm a silence that has just begun.
    confirms: bool,
    /// Whether the try is paid for from the budget of attempts that take time from answering
    /// devices. On a line that is nearly full a poll is due at any time, so a try that only
    /// delays polls would wait for ever for a moment at which none is.
    may_go_before: bool,
    rank: Mono,
}

impl Attempt {
    /// Returns whether the try goes before this poll: a try that confirms a silence goes before all
    /// if no poll is lost by it, any other takes its turn. Only a try that is paid for takes time
    /// from answering devices.
    pub(super) fn goes_before(&self, poll: &DuePoll) -> bool {
        let at_once = self.confirms && self.impact < Impact::Loss;
        self.may_go_before && (at_once || self.rank < poll.rank)
    }
}

/// What an attempt at a device that misses may do to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Impact {
    /// The attempt does nothing to speak of.
    None,
    /// A poll comes late.
    Delay,
    /// A poll is lost.
    Loss,
}

impl Schedule {
    /// Returns the due request of an answering device that comes first. Devices that have
    /// never answered stand back once they have taken their share of the clock.
    pub(super) fn most_urgent(&self, now: Mono) -> Option<DuePoll> {
        let generous = self.strangers.allows(now);
        let mut first = BTreeMap::new();
        let mut overdue = BTreeSet::new();
        let free = self
            .answering()
            .filter(|(_, s)| !s.is_busy() && s.free_at(now) <= now);
        for (i, polled_device) in free {
            let stands_back = !generous && polled_device.is_stranger();
            for (j, slot) in polled_device.slots().iter().enumerate() {
                if polled_device.is_rare(slot) || polled_device.ready_at(slot) > now {
                    continue;
                }
                let priority = slot.block().priority;
                // A request that has just failed gives way to the requests that show why, and
                // to all that are not asked for a while if they fail again.
                let late = match slot.failing() {
                    Some(_) => slot
                        .block()
                        .interval
                        .clamp(LONGEST_OVERTAKING, RETRY_CEILING),
                    None => Duration::ZERO,
                };
                let order = (slot.rank() + late, polled_device.served(), i, j);
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
        let (rank, _, polled_device, slot) = *best;
        Some(DuePoll {
            polled_device,
            slot,
            rank,
            ahead,
        })
    }

    /// Returns when an answering device will be due.
    pub(super) fn next_poll(&self, now: Mono) -> Option<Mono> {
        self.answering()
            .filter(|(_, s)| !s.is_busy())
            .filter_map(|(_, s)| {
                let expected = s.slots().iter().filter(|slot| !s.is_rare(slot));
                let due = expected.map(|slot| s.ready_at(slot)).min()?;
                Some(due.max(s.free_at(now)))
            })
            .min()
    }

    /// Returns which failed device or request is tried next, and when. An attempt is free
    /// while the answering devices need not wait for it to speak of. An attempt that only
    /// makes them wait is paid from a fifth of the clock, at moments at which no poll is due.
    /// An attempt that could cost a poll, or that goes before a poll that is due, is paid from
    /// a twentieth. An attempt that confirms a silence that has just begun goes before all
    /// polls if it costs none, and is paid on credit if it could cost one; otherwise an
    /// attempt takes its turn among the polls.
    pub(super) fn next_attempt(&self, now: Mono) -> Option<Attempt> {
        if self.most_out > 1 && self.out.len() + 1 >= self.most_out {
            return None;
        }
        let leeway = self.leeway(now);
        let idle = self
            .devices
            .iter()
            .enumerate()
            .filter(|(_, s)| !s.is_busy());
        let tries = idle.flat_map(|(i, s)| {
            let device = s
                .is_in_doubt()
                .then(|| self.try_of_device(now, i, s, leeway))
                .flatten();
            let answers = !s.is_in_doubt();
            let requests =
                (0..s.slots().len()).filter(move |j| answers && s.is_rare(&s.slots()[*j]));
            let requests = requests.map(move |j| self.try_of_request(now, i, s, j, leeway));
            device.into_iter().chain(requests)
        });
        tries
            .min_by_key(|(attempt, served)| (attempt.at, !attempt.confirms, attempt.rank, *served))
            .map(|(attempt, _)| attempt)
    }

    /// Returns how a device that missed is tried next, and when the device was served last.
    fn try_of_device(
        &self,
        now: Mono,
        i: usize,
        s: &PolledDevice,
        leeway: Leeway,
    ) -> Option<(Attempt, u64)> {
        let urgent = s.is_urgent();
        let harm = leeway.impact_of(s.attempt_takes(now));
        let rank = s.retry_rank(now);
        let attempt = Attempt {
            polled_device: i,
            what: AttemptKind::Device(s.attempt(now)?),
            at: self.affordable(now, s.retry_at(now), harm, urgent),
            impact: harm,
            confirms: urgent,
            may_go_before: match harm {
                // The try is paid for already, perhaps on credit; credit is for the tries
                // that cannot be made otherwise.
                Impact::Loss => true,
                // A moment at which no poll is due will come, unless the line is full.
                Impact::None | Impact::Delay => {
                    let waits = now.since(rank) >= BEHIND_FOR_GOOD;
                    (urgent || waits) && self.budget.allows(now)
                }
            },
            rank,
        };
        Some((attempt, s.served()))
    }

    /// Returns the same for a request that is set aside.
    fn try_of_request(
        &self,
        now: Mono,
        i: usize,
        s: &PolledDevice,
        j: usize,
        leeway: Leeway,
    ) -> (Attempt, u64) {
        let slot = &s.slots()[j];
        // A request that failed once is a poll like others, unless another poll would be
        // lost by it.
        let harm = match leeway.impact_of(s.try_takes(now, slot)) {
            Impact::Delay if !slot.is_rare() => Impact::None,
            harm => harm,
        };
        let at = s.ready_at(slot).max(s.free_at(now)).max(now);
        let at = at.max(s.kept_back_until(now).unwrap_or(now));
        // A line that is behind for a moment has time for the request soon.
        let failed = slot.failing().map(Failing::last);
        let patient = slot.due().max(failed.unwrap_or(slot.due())) + BEHIND_FOR_GOOD;
        let at = match harm {
            Impact::Loss => at.max(patient),
            Impact::None | Impact::Delay => at,
        };
        let attempt = Attempt {
            polled_device: i,
            what: AttemptKind::Request(j),
            at: self.affordable(now, at, harm, false),
            impact: harm,
            confirms: false,
            may_go_before: harm == Impact::Loss,
            rank: slot.due() + LONGEST_OVERTAKING,
        };
        (attempt, s.served())
    }

    /// Returns when an attempt that may be made at this time can be paid for.
    fn affordable(&self, now: Mono, at: Mono, harm: Impact, urgent: bool) -> Mono {
        let Some(purse) = self.budget_of(harm).filter(|_| at <= now) else {
            return at;
        };
        let allowed = match urgent {
            true => purse.allows_urgent(now),
            false => purse.allows(now),
        };
        if allowed { at } else { purse.ready_at(now) }
    }

    /// Returns the budget that pays for an attempt that does this harm.
    const fn budget_of(&self, harm: Impact) -> Option<&Budget> {
        match harm {
            Impact::None => None,
            Impact::Delay => Some(&self.delays),
            Impact::Loss => Some(&self.budget),
        }
    }

    /// Returns how long the line may be taken by a request that is likely to fail; where several
    /// requests may be under way, for ever.
    ///
    /// Requests that fall due meanwhile are served behind it one after the other, the soonest
    /// lost first. None is lost if each has its turn before its next poll slot.
    pub(super) fn leeway(&self, now: Mono) -> Leeway {
        let mut leeway = Leeway {
            waits: Duration::MAX,
            loses: Duration::MAX,
        };
        if self.most_out > 1 {
            return leeway;
        }
        let polled_devices = self.answering().map(|(_, s)| s);
        let slots = polled_devices.flat_map(|s| s.slots().iter().map(move |slot| (s, slot)));
        let expected = slots.filter(|(polled_device, slot)| !polled_device.is_rare(slot));
        let mut due: Vec<(Mono, Duration)> = expected
            .map(|(polled_device, slot)| {
                leeway.waits = leeway
                    .waits
                    .min((slot.due() + slot.tolerated_delay()).since(now));
                (slot.deadline(), super::time::takes(polled_device, slot))
            })
            .collect();
        due.sort_unstable();
        let mut ahead = Duration::ZERO;
        for (deadline, takes) in due {
            ahead += takes;
            leeway.loses = leeway.loses.min(deadline.since(now).saturating_sub(ahead));
        }
        leeway
    }
}

/// How much delay the polls that are due and will be can bear.
#[derive(Clone, Copy)]
pub(super) struct Leeway {
    /// If the line is taken for longer than this, a poll has to wait.
    waits: Duration,
    /// If the line is taken for longer than this, a poll is lost.
    loses: Duration,
}

impl Leeway {
    /// Returns for how long the line may rest without a poll being lost.
    pub(super) fn spare_time(self) -> Duration {
        self.loses.saturating_sub(MARGIN)
    }

    /// Returns whether no poll has to wait for a request that takes so long in vain.
    pub(super) fn can_afford(self, takes: Duration) -> bool {
        self.impact_of(takes) == Impact::None
    }

    /// Returns what an attempt that takes so long in vain could do to the answering devices.
    fn impact_of(self, takes: Duration) -> Impact {
        // A tenth more: the transactions before and after it take time as well.
        if takes + takes / 10 >= self.loses {
            Impact::Loss
        } else if takes > self.waits {
            Impact::Delay
        } else {
            Impact::None
        }
    }
}

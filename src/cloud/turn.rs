//! Whose turn it is: when the next log-in or log-out is asked, and for whom.
//! The scheduling half of `session.rs`.

use std::cmp::Reverse;
use std::time::Duration;

use crate::base::{Mono, Wake};

use super::batch::Group;
use super::device::{Actual, Errand, Kind, Place};
use super::diary::Diary;
use super::notice::Notice;
use super::pace::MINUTE;
use super::session::Sessions;

/// How long to wait before looking again for a free place.
const ROOM_CHECK: Duration = MINUTE;

impl Sessions {
    /// When [`Sessions::take`] has something to ask.
    pub(super) fn ask_due(&self) -> Option<Wake> {
        Wake::earlier(self.kind_due(Kind::LogOut), self.kind_due(Kind::LogIn))
    }

    fn kind_due(&self, kind: Kind) -> Option<Wake> {
        if !self.link || (self.stopping && kind == Kind::LogIn) {
            return None;
        }
        // Stopping is bounded by the clock outside, not by politeness.
        let under_way = self.under_way[kind.index()];
        if !self.stopping && under_way >= self.limits().in_flight.max(1) {
            return None;
        }
        let pool = self.pool_due(kind);
        let waiting = self.waiting.values();
        let waiting = waiting
            .filter(|w| w.errand.kind == kind)
            .map(|w| w.not_before);
        let at = waiting.chain(pool).min()?;
        let mut open = self.gates[kind.index()].opens_at();
        if kind == Kind::LogIn {
            open = open.max(self.full.opens_at());
            // No gate, so no reason of its own.
            let at = at.max(self.pace.ready_at());
            if at >= open {
                return Some(Wake::new(at, kind.words()));
            }
        }
        Some(if open > at && !self.stopping {
            Wake::new(open, "gate opens")
        } else {
            Wake::new(at, kind.words())
        })
    }

    /// When the pool may go: when it fills a batch, or after the linger.
    fn pool_due(&self, kind: Kind) -> Option<Mono> {
        let pool = &self.pools[kind.index()];
        let (since, _) = pool.first()?;
        Some(if self.stopping || pool.len() >= self.batch(kind) {
            *since
        } else {
            *since + self.limits().linger
        })
    }

    /// The next request, if one is due; its members are under way from now on.
    /// `None` may also mean that something due was put off.
    pub(super) fn take(&mut self, now: Mono, diary: &mut Diary) -> Option<Errand> {
        let kind = Kind::ALL
            .into_iter()
            .find(|k| self.kind_due(*k).is_some_and(|w| w.at <= now))?;
        // Whichever helps most devices with one message; the search for who
        // spoils a batch, ever smaller groups, waits until there is nothing
        // better to say. Among equals, whichever has been due longest.
        let pool = self
            .pool_due(kind)
            .filter(|at| *at <= now)
            .map(|at| (self.pools[kind.index()].len().min(self.batch(kind)), at));
        let retry = self
            .waiting
            .iter()
            .filter(|(_, w)| w.errand.kind == kind && w.not_before <= now)
            .max_by_key(|(key, w)| (w.errand.group.members.len(), Reverse((w.not_before, **key))))
            .filter(|(_, w)| {
                let size = w.errand.group.members.len();
                pool.is_none_or(|(n, at)| (size, Reverse(w.not_before)) >= (n, Reverse(at)))
            })
            .map(|(key, _)| *key);
        let mut errand = match retry.and_then(|key| self.waiting.remove(&key)) {
            Some(waiting) => waiting.errand,
            None => self.gather(kind),
        };
        if kind == Kind::LogIn {
            errand = self.within_limits(now, errand, diary)?;
            self.pace.take(now, errand.group.members.len());
        }
        self.under_way[kind.index()] += 1;
        self.serial += 1;
        errand.serial = self.serial;
        for id in errand.group.members.clone() {
            let unsure = self.devices[id.index()].actual == Actual::Unsure;
            self.devices[id.index()].place = Place::UnderWay;
            self.devices[id.index()].asked = self.serial;
            match kind {
                Kind::LogIn => {
                    self.devices[id.index()].attempts.note(now);
                    self.devices[id.index()].new_secret = false;
                    self.set_actual(id, Actual::LoggingIn { unsure });
                }
                Kind::LogOut => self.set_actual(id, Actual::LoggingOut { unsure }),
            }
        }
        Some(errand)
    }

    /// A batch from the pool, those who wait longest first.
    fn gather(&mut self, kind: Kind) -> Errand {
        let mut members = Vec::new();
        while members.len() < self.batch(kind)
            && let Some((_, id)) = self.pools[kind.index()].pop_first()
        {
            members.push(id);
        }
        self.errand(kind, members)
    }

    /// Puts off those who have tried too often in the last minute and those
    /// for whom there is no place; `None` if nobody is left.
    fn within_limits(&mut self, now: Mono, errand: Errand, diary: &mut Diary) -> Option<Errand> {
        let budget = self.limits().logins_per_minute;
        let mut room = self.limits().online.saturating_sub(self.occupied);
        let (mut go, mut tired, mut crowd) = (Vec::new(), Vec::new(), Vec::new());
        let mut rested = now;
        for id in errand.group.members {
            let device = &self.devices[id.index()];
            let free = device.attempts.free_at(budget);
            if free > now {
                rested = rested.max(free);
                tired.push(id);
            } else if device.actual == Actual::Unsure && !self.is_overfull() {
                go.push(id);
            } else if room > 0 {
                room -= 1;
                go.push(id);
            } else {
                crowd.push(id);
            }
        }
        let like = |members| Errand {
            kind: errand.kind,
            group: Group { members },
            serial: errand.serial,
            backoff: errand.backoff.clone(),
            lost: errand.lost,
            failures: errand.failures,
            last_tries: errand.last_tries,
        };
        if !crowd.is_empty() {
            let full = Notice::Full {
                online: self.occupied,
                wait: ROOM_CHECK,
                ours: true,
            };
            diary.often(now, full);
            self.wait(now, like(crowd), now + ROOM_CHECK, true);
        }
        self.put_off(now, like(tired), rested);
        Some(like(go)).filter(|e| !e.group.members.is_empty())
    }
}

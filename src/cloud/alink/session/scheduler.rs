//! The log-in scheduler: when the next log-in or log-out is asked for, and for which
//! devices. The scheduling half of `session/mod.rs`.

use std::cmp::Reverse;

use crate::base::{DeviceId, Mono, Wake};

use super::device::{QueueState, SessionChange, SessionState};
use super::online_quota::Allowance;
use crate::cloud::alink::requests::isolation::RequestGroup;
use crate::cloud::alink::requests::pace::Throttle;
use crate::cloud::alink::session::{SessionRequest, Sessions};

/// A group of devices that could be asked for next.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    from: Source,
    due: Mono,
    devices: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Pool,
    Waiting(u64),
}

impl Candidate {
    /// Returns the rank of a candidate. A candidate that helps more devices with one
    /// message ranks higher, so that the search for the device that spoils a batch, in ever
    /// smaller groups, comes last. Among equals, the candidate that has been due longest
    /// ranks higher, and of those the pool.
    fn rank(&self) -> impl Ord + use<> {
        let key = match self.from {
            Source::Pool => 0,
            Source::Waiting(key) => key + 1,
        };
        (self.devices, Reverse((self.due, key)))
    }
}

impl Sessions {
    /// Returns when [`Sessions::take`] has something to ask for.
    pub(crate) fn ask_due(&self) -> Option<Wake> {
        Wake::earlier(
            self.kind_due(SessionChange::LogOut),
            self.kind_due(SessionChange::LogIn),
        )
    }

    fn kind_due(&self, kind: SessionChange) -> Option<Wake> {
        let from = self.may_ask_from(kind)?;
        let at = self.candidates(kind).map(|c| c.due).min()?;
        Some(match kind {
            // No gate is closed, so the wake-up has no reason of its own.
            SessionChange::LogIn if at.max(self.pace.ready_at()) >= from => {
                Wake::new(at.max(self.pace.ready_at()), kind.words())
            }
            _ if from > at => Wake::new(from, "gate opens"),
            _ => Wake::new(at, kind.words()),
        })
    }

    /// Returns from when on a request of this kind may be made; `None` while that depends
    /// on an answer.
    fn may_ask_from(&self, kind: SessionChange) -> Option<Mono> {
        if !self.link || (self.stopping && kind == SessionChange::LogIn) {
            return None;
        }
        if self.stopping {
            // While stopping, the stop's deadline bounds the requests, and not the limit in
            // flight.
            return Some(Mono::START);
        }
        let throttle = &self.throttles[kind.index()];
        let most = match throttle.is_throttled() {
            true => 1,
            false => self.limits().in_flight.max(1),
        };
        (self.under_way[kind.index()] < most).then(|| throttle.opens_at())
    }

    /// Returns the groups that could be asked for, and when.
    fn candidates(&self, kind: SessionChange) -> impl Iterator<Item = Candidate> {
        let allowance = self.allowance(kind);
        let pool = self.pool(kind, allowance);
        let waiting = self.waiting.iter();
        let waiting = waiting.filter(move |(_, w)| w.request.kind == kind);
        let waiting = waiting.filter_map(move |(key, w)| {
            let members = &w.request.group.members;
            let (devices, from) = self.within_quota(kind, members.iter().copied(), allowance)?;
            let paced = match w.request.refusals > 0 && !self.stopping {
                true => self.search_pace.ready_at(),
                false => Mono::START,
            };
            Some(Candidate {
                from: Source::Waiting(*key),
                due: w.not_before.max(from).max(paced),
                devices,
            })
        });
        pool.into_iter().chain(waiting)
    }

    /// Returns the pool as a candidate: it may go when it fills a batch, or uses up
    /// the quota, or after the linger.
    fn pool(&self, kind: SessionChange, allowance: Option<Allowance>) -> Option<Candidate> {
        let pool = &self.pools[kind.index()];
        let (since, _) = pool.first()?;
        let members = pool.iter().map(|(_, id)| *id);
        let (devices, from) = self.within_quota(kind, members, allowance)?;
        let batch = self.batch(kind);
        let enough = allowance.map_or(batch, |a| a.devices.clamp(1, batch));
        let at_once = self.stopping || devices >= enough;
        let linger = self.limits().linger;
        Some(Candidate {
            from: Source::Pool,
            due: from.max(if at_once { *since } else { *since + linger }),
            devices,
        })
    }

    /// Returns how many of these devices may be asked for, a batch at most, and from when
    /// on; `None` if there is quota for none of them. A device that may be online
    /// already needs none.
    fn within_quota(
        &self,
        kind: SessionChange,
        members: impl Iterator<Item = DeviceId>,
        allowance: Option<Allowance>,
    ) -> Option<(usize, Mono)> {
        let batch = self.batch(kind);
        let (left, from) = allowance.map_or((0, Mono::START), |a| (a.devices, a.from));
        let (mut counted, mut new) = (0, 0);
        for id in members {
            match self.needs_quota(kind, id) {
                true => new = left.min(new + 1),
                false => counted += 1,
            }
            if counted + new >= batch {
                break;
            }
        }
        match (counted, new) {
            (0, 0) => None,
            (0, new) => Some((new, from)),
            (counted, new) if from == Mono::START => Some((counted + new, from)),
            (counted, _) => Some((counted, Mono::START)),
        }
    }

    /// Returns whether the request takes quota that the device does not use already.
    fn needs_quota(&self, kind: SessionChange, id: DeviceId) -> bool {
        kind == SessionChange::LogIn && self.devices[id.index()].actual == SessionState::Out
    }

    /// Returns how many more devices may be online, by the configured limit and by what
    /// is known of the platform's.
    fn allowance(&self, kind: SessionChange) -> Option<Allowance> {
        if kind == SessionChange::LogOut {
            return Some(Allowance {
                devices: usize::MAX,
                from: Mono::START,
            });
        }
        let ours = self.limits().online.saturating_sub(self.occupied);
        let alone = self.under_way[SessionChange::LogIn.index()] == 0;
        let theirs = self.online_quota.allowance(self.occupied, alone)?;
        (ours > 0).then(|| Allowance {
            devices: ours.min(theirs.devices),
            ..theirs
        })
    }

    /// Returns the next request, if one is due; its members are under way from now on.
    /// `None` may also mean that a request that was due was put off.
    pub(crate) fn take(&mut self, now: Mono) -> Option<SessionRequest> {
        let due = |kind: &SessionChange| self.kind_due(*kind).is_some_and(|w| w.at <= now);
        let (kind, next) = SessionChange::ALL
            .into_iter()
            .filter(due)
            .flat_map(|kind| self.candidates(kind).map(move |c| (kind, c)))
            .filter(|(_, c)| c.due <= now)
            .max_by_key(|(kind, c)| (c.rank(), Reverse(*kind)))?;
        let allowance = self.allowance(kind);
        let request = match next.from {
            Source::Waiting(key) => self.waiting.remove(&key)?.request,
            Source::Pool => {
                let members = self.pools[kind.index()].iter().map(|(_, id)| *id);
                self.request(kind, members.collect())
            }
        };
        let request = self.within_limits(now, request, allowance)?;
        self.begin(now, request)
    }

    /// Takes note that these devices are under way.
    fn begin(&mut self, now: Mono, mut request: SessionRequest) -> Option<SessionRequest> {
        let kind = request.kind;
        if kind == SessionChange::LogIn {
            self.pace.take(now, request.group.members.len());
        }
        if request.refusals > 0 {
            self.search_pace.take(now);
        }
        self.under_way[kind.index()] += 1;
        self.serial += 1;
        (request.serial, request.sent) = (self.serial, now);
        for &id in &request.group.members {
            self.withdraw(id);
            let leaves_for = match kind {
                SessionChange::LogIn => None,
                SessionChange::LogOut => Some(self.reason_to_leave(id)),
            };
            let device = &mut self.devices[id.index()];
            device.leaves_for = leaves_for;
            let unsure = device.actual == SessionState::Unsure;
            if !unsure || device.asked == 0 || device.open_since.0 != kind {
                device.open_since = (kind, self.serial);
            }
            device.queue = QueueState::UnderWay;
            device.asked = self.serial;
            match kind {
                SessionChange::LogIn => {
                    device.attempts.note(now);
                    device.new_secret = false;
                    self.set_actual(id, SessionState::LoggingIn { unsure });
                }
                SessionChange::LogOut => self.set_actual(id, SessionState::LoggingOut { unsure }),
            }
        }
        Some(request)
    }

    /// Returns a batch of these devices, within the quota and within the platform's
    /// limit of attempts for each. Devices that have tried too often in the last minute are
    /// put off; the others stay, or go, where they wait. `None` if none is left.
    fn within_limits(
        &mut self,
        now: Mono,
        request: SessionRequest,
        allowance: Option<Allowance>,
    ) -> Option<SessionRequest> {
        let kind = request.kind;
        let budget = self.limits().logins_per_minute;
        let most = match self.throttles[kind.index()].is_throttled() && !self.stopping {
            true => Throttle::TRIAL,
            false => self.batch(kind),
        };
        let due = allowance.filter(|a| a.from <= now);
        let mut left = due.map_or(0, |a| a.devices);
        let (mut go, mut tired, mut stay) = (Vec::new(), Vec::new(), Vec::new());
        let mut rested = now;
        for &id in &request.group.members {
            let device = &self.devices[id.index()];
            let free = match kind {
                SessionChange::LogIn => device.attempts.free_at(budget),
                SessionChange::LogOut => Mono::START,
            };
            let needs_quota = self.needs_quota(kind, id);
            if go.len() >= most || (needs_quota && left == 0) {
                stay.push(id);
            } else if free > now {
                rested = rested.max(free);
                tired.push(id);
            } else {
                left -= usize::from(needs_quota);
                go.push(id);
            }
        }
        let like = |members| SessionRequest {
            group: RequestGroup { members },
            ..request.clone()
        };
        for id in tired.iter().copied() {
            self.withdraw(id);
        }
        self.put_off(now, like(tired), rested);
        // A device that stays in the pool keeps its turn.
        stay.retain(|id| !matches!(self.devices[id.index()].queue, QueueState::Pool(..)));
        self.put_off(now, like(stay), now);
        Some(like(go)).filter(|e| !e.group.members.is_empty())
    }
}

//! Decides which peers have a slot at a door (the control socket or the metrics port), and
//! which peer is cut when no slot is left.
//!
//! A peer is idle while its question has not come, or while it waits for its next picture. When
//! all slots are taken a new peer gets the slot of the peer that has been idle longest, so
//! peers that only hold slots keep no other peer waiting. Beyond that, root always gets in, no
//! user has more than a share, and among watching peers the user with the most slots gives way
//! to a user with fewer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::base::Mono;

/// The user number of root.
const ROOT: u32 = 0;

/// The rules of a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    /// How many slots there are.
    pub most: usize,
    /// How many slots one user has at most; root may have all.
    pub of_a_user: usize,
    /// How many slots are left for root.
    pub for_root: usize,
    /// How long a peer may take its answer until it counts as idle; `None`: answers may take
    /// their time.
    pub taken_within: Option<Duration>,
}

/// What a peer is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum PeerActivity {
    /// The peer's question is waited for.
    Asking,
    /// The peer is being answered.
    Answered,
    /// The peer waits for further events.
    Watching,
}

#[derive(Debug)]
struct Slot {
    number: u64,
    user: u32,
    activity: PeerActivity,
    since: Mono,
    cut: CancellationToken,
}

/// The slots of one door; clones share them.
#[derive(Clone, Debug)]
pub(super) struct ConnectionSlots {
    rules: Rules,
    taken: Arc<Mutex<TakenSlot>>,
}

#[derive(Debug, Default)]
struct TakenSlot {
    slots: Vec<Slot>,
    next: u64,
}

/// A peer's slot, until it is dropped.
#[derive(Debug)]
pub(super) struct OwnSlot {
    number: u64,
    cut: CancellationToken,
    taken: Arc<Mutex<TakenSlot>>,
}

/// The result for a new peer.
#[derive(Debug)]
pub(super) enum Admission {
    /// The peer has a slot; `true`: another peer was cut for it.
    Admitted(OwnSlot, bool),
    /// There is no slot.
    Full,
}

impl ConnectionSlots {
    pub(super) fn new(rules: Rules) -> Self {
        let taken = Arc::default();
        ConnectionSlots { rules, taken }
    }

    /// Admits a new peer of this user, if a slot can be found.
    pub(super) fn admit(&self, now: Mono, user: u32) -> Admission {
        let mut taken = lock(&self.taken);
        let mine = taken.of(user);
        let kept = if user == ROOT { 0 } else { self.rules.for_root };
        let is_room = taken.slots.len() + kept < self.rules.most;
        let is_mine = user == ROOT || mine < self.rules.of_a_user;
        let mut cut = false;
        if !(is_room && is_mine) {
            let Some(at) = taken.gives_way(self.rules, now, user, is_mine) else {
                return Admission::Full;
            };
            taken.slots.remove(at).cut.cancel();
            cut = true;
        }
        let number = taken.next;
        taken.next += 1;
        let token = CancellationToken::new();
        taken.slots.push(Slot {
            number,
            user,
            activity: PeerActivity::Asking,
            since: now,
            cut: token.clone(),
        });
        let seat = OwnSlot {
            number,
            cut: token,
            taken: Arc::clone(&self.taken),
        };
        Admission::Admitted(seat, cut)
    }
}

impl TakenSlot {
    fn of(&self, user: u32) -> usize {
        self.slots.iter().filter(|p| p.user == user).count()
    }

    /// Returns the slot that this user gets, if any. `may_more`: the user has not reached its
    /// share.
    fn gives_way(&self, rules: Rules, now: Mono, user: u32, may_more: bool) -> Option<usize> {
        let longest = |is: &dyn Fn(&Slot) -> bool| {
            let all = self.slots.iter().enumerate().filter(|(_, p)| is(p));
            all.min_by_key(|(_, p)| (p.since, p.number))
                .map(|(at, _)| at)
        };
        let is_stuck = |p: &Slot| {
            let within = rules
                .taken_within
                .filter(|_| p.activity == PeerActivity::Answered);
            within.is_some_and(|within| now.since(p.since) >= within)
        };
        let is_idle = |p: &Slot| p.activity == PeerActivity::Asking || is_stuck(p);
        // Root gives way to root only.
        let is_mine = |p: &Slot| p.user == user;
        let may_go = |p: &Slot| is_mine(p) || (may_more && p.user != ROOT);
        let idle = longest(&|p| may_go(p) && is_idle(p));
        if idle.is_some() || !may_more {
            return idle;
        }
        if user == ROOT {
            let watching = longest(&|p| p.user != ROOT && p.activity == PeerActivity::Watching);
            return watching
                .or_else(|| longest(&|p| p.user != ROOT))
                .or_else(|| longest(&|p| p.activity == PeerActivity::Watching));
        }
        let others = self.slots.iter().map(|p| p.user).filter(|u| *u != ROOT);
        let greediest = others.max_by_key(|u| self.of(*u))?;
        let gives = self.of(greediest) > self.of(user) + 1;
        longest(&|p| gives && p.user == greediest && p.activity == PeerActivity::Watching)
    }
}

impl OwnSlot {
    /// Notes that the peer's question has come, or that its next picture is made.
    pub(super) fn is_answered(&self, now: Mono) {
        self.does(PeerActivity::Answered, now);
    }

    /// The peer waits for further events.
    pub(super) fn watches(&self, now: Mono) {
        self.does(PeerActivity::Watching, now);
    }

    /// Returns whether the peer's question has come.
    pub(super) fn has_asked(&self) -> bool {
        let taken = lock(&self.taken);
        let mine = taken.slots.iter().find(|p| p.number == self.number);
        mine.is_some_and(|p| p.activity != PeerActivity::Asking)
    }

    /// Waits until another peer gets this slot.
    pub(super) async fn cut(&self) {
        self.cut.cancelled().await;
    }

    fn does(&self, activity: PeerActivity, now: Mono) {
        let mut taken = lock(&self.taken);
        if let Some(mine) = taken.slots.iter_mut().find(|p| p.number == self.number)
            && mine.activity != activity
        {
            // A peer's last picture does not change since when it watches.
            let was_watching = mine.activity == PeerActivity::Watching;
            mine.activity = activity;
            if !was_watching {
                mine.since = now;
            }
        }
    }
}

impl Drop for OwnSlot {
    fn drop(&mut self) {
        lock(&self.taken).slots.retain(|p| p.number != self.number);
    }
}

fn lock(taken: &Mutex<TakenSlot>) -> MutexGuard<'_, TakenSlot> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules {
        most: 6,
        of_a_user: 3,
        for_root: 1,
        taken_within: Some(Duration::from_secs(1)),
    };

    fn at(seconds: u64) -> Mono {
        Mono::START + Duration::from_secs(seconds)
    }

    fn admitted(slots: &ConnectionSlots, second: u64, user: u32) -> Option<(OwnSlot, bool)> {
        match slots.admit(at(second), user) {
            Admission::Admitted(seat, cut) => Some((seat, cut)),
            Admission::Full => None,
        }
    }

    fn watching(slots: &ConnectionSlots, second: u64, user: u32) -> OwnSlot {
        let (seat, _) = admitted(slots, second, user).unwrap();
        seat.watches(at(second));
        seat
    }

    #[test]
    fn the_peer_that_has_been_idle_longest_gives_way_and_no_other() {
        let slots = ConnectionSlots::new(RULES);
        let all: Vec<_> = [(1, 1000), (0, 1000), (2, 1001), (3, 1001), (4, 1002)]
            .map(|(second, user)| admitted(&slots, second, user).unwrap().0)
            .into();
        let (_new, cut) = admitted(&slots, 5, 1003).unwrap();
        assert!(cut);
        let is_cut: Vec<_> = all.iter().map(|s| s.cut.is_cancelled()).collect();
        assert_eq!(is_cut, [false, true, false, false, false]);
        drop(all);
        assert!(!admitted(&slots, 6, 1003).unwrap().1, "there is room again");
    }

    #[test]
    fn root_gets_in_whatever_the_others_do() {
        let slots = ConnectionSlots::new(Rules {
            taken_within: None,
            ..RULES
        });
        let watchers: Vec<_> = [1000, 1000, 1000, 1001, 1001]
            .map(|user| watching(&slots, 0, user))
            .into();
        // One slot is kept …
        let (root, cut) = admitted(&slots, 1, ROOT).unwrap();
        assert!(!cut);
        root.is_answered(at(1));
        // … and when it is taken, the watching peers give way one by one.
        let more: Vec<_> = (2..7)
            .map(|second| {
                let (seat, cut) = admitted(&slots, second, ROOT).unwrap();
                seat.is_answered(at(10));
                assert!(cut);
                seat
            })
            .collect();
        assert!(watchers.iter().all(|s| s.cut.is_cancelled()));
        assert!(!root.cut.is_cancelled() && more.iter().all(|s| !s.cut.is_cancelled()));
        assert!(admitted(&slots, 10, 1000).is_none());
    }

    #[test]
    fn a_user_has_its_share_and_the_one_with_most_gives_way_to_one_with_fewer() {
        let slots = ConnectionSlots::new(RULES);
        let first: Vec<_> = (0..3).map(|n| watching(&slots, n, 1000)).collect();
        assert!(admitted(&slots, 3, 1000).is_none(), "its share");
        let second: Vec<_> = (0..2).map(|n| watching(&slots, n, 1001)).collect();
        let (third, cut) = admitted(&slots, 4, 1002).unwrap();
        assert!(cut && first[0].cut.is_cancelled());
        third.watches(at(4));
        // Two, two and one: no user has two more than the third.
        assert!(admitted(&slots, 5, 1002).is_none());
        assert!(second.iter().all(|s| !s.cut.is_cancelled()));
        // The user's own peer that asks nothing makes room for one that does.
        let slots = ConnectionSlots::new(RULES);
        let own: Vec<_> = (0..3)
            .map(|n| admitted(&slots, n, 1000).unwrap().0)
            .collect();
        assert!(admitted(&slots, 3, 1000).unwrap().1);
        assert!(own[0].cut.is_cancelled());
    }

    #[test]
    fn one_that_does_not_take_its_answer_is_idle_after_a_while() {
        let slots = ConnectionSlots::new(RULES);
        let all: Vec<_> = [1000, 1000, 1001, 1001, 1002]
            .map(|user| admitted(&slots, 0, user).unwrap().0)
            .into();
        for seat in &all {
            seat.is_answered(at(1));
        }
        assert!(admitted(&slots, 1, 1003).is_none());
        assert!(admitted(&slots, 2, 1003).unwrap().1);
        assert!(all[0].has_asked() || all[0].cut.is_cancelled());
    }
}

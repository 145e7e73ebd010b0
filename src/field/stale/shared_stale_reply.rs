//! Decides which replies of *other* devices may still be on their way and be taken for this
//! device's.
//!
//! Replies of a protocol without a standard often name no sender (ICP DAS modules answer
//! `#01` with `>+025.13`). What `stale/stale_reply.rs` knows of one unit is then not enough:
//! a straggler of a device that missed fits any request of the same form that is asked next,
//! of any device. So the devices of one line whose replies cannot be told apart inform each
//! other, by *reply class*: a number that all such questions of the line share.
//!
//! - A device has **missed**, or was answered by what may have been an older reply: the
//!   others ask nothing of that reply class for four of its response timeouts, and then throw
//!   away two replies before they believe one. A device that offers nothing unmistakable does
//!   the same, and the same risk is left. The replies of a device itself prove nothing here:
//!   they only show what *this* device owes.
//! - A device has **answered**: nothing of that reply class is asked before a copy of the
//!   reply would have come.
//! - A device has **cleared** itself, by a reply that could only be the last one's: no device
//!   waits for its stale replies any more.
//!
//! Otherwise a device that stays dead would keep all others from being read. Once its silence
//! is confirmed, it is therefore tried with such a question only once in sixteen of those
//! rests. The rests of all devices of that reply class count together.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::base::{DeviceId, Mono};

use crate::field::stale::stale_reply::PROMPT;

/// How many response timeouts a neighbour may owe a reply: where replies carry no address,
/// there is less to recognise a late reply by.
const RECOVERY: u32 = 4;

/// Of this many rests after a miss the others are read in all but one.
const DEFERRAL_RATIO: u32 = 16;

/// All questions of one line whose replies cannot be told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReplyClass(pub u32);

/// What a device knows of the devices whose replies are like its own.
#[derive(Clone, Debug, Default)]
pub struct SharedStaleReplies {
    quarantines: BTreeMap<ReplyClass, Quarantine>,
    copies: BTreeMap<ReplyClass, Mono>,
    /// Before when no device that is given up is tried, by reply class.
    spared: BTreeMap<ReplyClass, Mono>,
}

/// Why no reply of a reply class is believed.
#[derive(Clone, Debug)]
struct Quarantine {
    /// The devices that may owe a reply.
    owes: BTreeSet<DeviceId>,
    /// Before when nothing is asked.
    until: Mono,
    /// How many replies were thrown away since.
    thrown: u32,
}

impl SharedStaleReplies {
    /// Returns when something of this reply class may be asked.
    #[must_use]
    pub fn ask_from(&self, class: ReplyClass) -> Option<Mono> {
        let quarantine = self.quarantines.get(&class).map(|h| h.until);
        quarantine.max(self.copies.get(&class).copied())
    }

    /// Returns when a device that is given up may be tried with a question of this reply
    /// class.
    #[must_use]
    pub fn try_from(&self, class: ReplyClass) -> Option<Mono> {
        self.spared.get(&class).copied().max(self.ask_from(class))
    }

    /// Returns whether a reply of this reply class could be another device's.
    #[must_use]
    pub fn covers(&self, class: ReplyClass) -> bool {
        self.quarantines.contains_key(&class)
    }

    /// Lets time pass; to be called before anything is asked.
    pub fn at(&mut self, now: Mono) {
        self.copies.retain(|_, until| *until > now);
        self.spared.retain(|_, until| *until > now);
    }

    /// Notes that a neighbour of this reply class may owe a reply, which should have come
    /// within its response timeout.
    pub fn missed(&mut self, now: Mono, class: ReplyClass, who: DeviceId, timeout: Duration) {
        let until = now + timeout.saturating_mul(RECOVERY);
        let quarantine = self.quarantines.entry(class).or_insert_with(|| Quarantine {
            owes: BTreeSet::new(),
            until,
            thrown: 0,
        });
        // A device that owed a reply from before the rest owes nothing by now.
        if quarantine.until <= now {
            quarantine.owes.clear();
        }
        quarantine.owes.insert(who);
        quarantine.until = quarantine.until.max(until);
        quarantine.thrown = 0;
    }

    /// Notes that a device of this reply class was tried in vain, this device or a neighbour.
    pub fn tried(&mut self, now: Mono, class: ReplyClass, timeout: Duration) {
        let until = now + timeout.saturating_mul(RECOVERY * DEFERRAL_RATIO);
        self.spared.insert(class, until);
    }

    /// Notes that a neighbour's reply of this reply class was taken; copies may come until
    /// then.
    pub fn answered(&mut self, class: ReplyClass, until: Mono) {
        let copies = self.copies.entry(class).or_insert(until);
        *copies = until.max(*copies);
    }

    /// Notes that this neighbour owes nothing; copies of what it owed may come until then.
    pub fn cleared(&mut self, who: DeviceId, until: Mono) {
        let mut over = BTreeSet::new();
        for (class, quarantine) in &mut self.quarantines {
            if quarantine.owes.remove(&who) && quarantine.owes.is_empty() {
                over.insert(*class);
            }
        }
        for class in over {
            self.quarantines.remove(&class);
            self.answered(class, until);
        }
    }

    /// Notes that this device has answered in this reply class, and the reply is not
    /// believed.
    pub fn reply_discarded(&mut self, now: Mono, class: ReplyClass) {
        let Some(quarantine) = self.quarantines.get_mut(&class).filter(|h| h.until <= now) else {
            return;
        };
        quarantine.thrown += 1;
        if quarantine.thrown >= PROMPT {
            self.quarantines.remove(&class);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V: ReplyClass = ReplyClass(0);
    const OTHER: ReplyClass = ReplyClass(7);
    const A: DeviceId = DeviceId(0);
    const B: DeviceId = DeviceId(1);
    const TIMEOUT: Duration = Duration::from_millis(500);

    fn ms(n: u64) -> Mono {
        Mono::from_micros(n * 1000)
    }

    #[test]
    fn after_a_miss_of_a_neighbour_two_replies_are_thrown_away_when_its_time_is_over() {
        let mut n = SharedStaleReplies::default();
        n.missed(ms(500), V, A, TIMEOUT);
        assert_eq!(n.ask_from(V), Some(ms(2500)));
        assert_eq!(n.ask_from(OTHER), None);
        // Before this time no reply counts.
        n.reply_discarded(ms(2499), V);
        n.reply_discarded(ms(2499), V);
        assert!(n.covers(V) && !n.covers(OTHER));
        n.reply_discarded(ms(2500), V);
        assert!(n.covers(V));
        n.reply_discarded(ms(2600), V);
        assert!(!n.covers(V));
    }

    #[test]
    fn one_that_misses_meanwhile_starts_it_over() {
        let mut n = SharedStaleReplies::default();
        n.missed(ms(500), V, A, TIMEOUT);
        n.reply_discarded(ms(2500), V);
        n.missed(ms(2600), V, B, TIMEOUT);
        assert_eq!(n.ask_from(V), Some(ms(4600)));
        n.reply_discarded(ms(4600), V);
        assert!(n.covers(V));
        // The reply that A owed is long over, and B clears itself.
        n.cleared(B, ms(4700));
        assert!(!n.covers(V));
        assert_eq!(n.ask_from(V), Some(ms(4700)));
    }

    #[test]
    fn it_is_over_when_all_who_owe_have_cleared_themselves() {
        let mut n = SharedStaleReplies::default();
        n.missed(ms(500), V, A, TIMEOUT);
        n.missed(ms(600), V, B, TIMEOUT);
        n.cleared(A, ms(700));
        assert!(n.covers(V));
        n.cleared(B, ms(800));
        assert!(!n.covers(V));
        n.at(ms(800));
        assert_eq!(n.ask_from(V), None);
    }

    #[test]
    fn a_neighbours_reply_may_have_a_copy() {
        let mut n = SharedStaleReplies::default();
        n.answered(V, ms(135));
        n.answered(V, ms(120));
        assert_eq!(n.ask_from(V), Some(ms(135)));
        assert!(!n.covers(V));
        n.at(ms(135));
        assert_eq!(n.ask_from(V), None);
    }

    #[test]
    fn the_dead_leave_the_others_fifteen_rests_of_sixteen() {
        let mut n = SharedStaleReplies::default();
        n.tried(ms(1000), V, TIMEOUT);
        assert_eq!(n.try_from(V), Some(ms(33_000)));
        assert_eq!(n.ask_from(V), None);
        n.at(ms(33_000));
        assert_eq!(n.try_from(V), None);
    }
}

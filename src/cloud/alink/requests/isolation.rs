//! The search for the device that the platform refuses in a batch.
//!
//! The platform accepts a batch as a whole or refuses it as a whole. This file knows how to
//! go on after a refusal and nothing else: no protocol, no time. A code belongs to one
//! device: a sole named culprit is refused with the code. Several named devices are each
//! asked for alone, because they may be refused for different reasons and the reply has one
//! code for all of them. The rest is asked for at once. Some replies list all members,
//! which tells nothing. If no device is named, the batch is searched: 50, then groups of
//! five, then one by one. Whatever the platform names or does not name, no device is
//! submitted more than three times.
//!
//! Why not halves: finding one of 50 by halves submits a healthy device up to seven times,
//! and the platform throttles a sub-device that tries more than five times a minute. In two
//! steps no device is submitted more than three times. Why a rest that is refused again is
//! asked for one by one, though some of it were named again: a platform that names one
//! culprit at a time would have the rest submitted as often as there are culprits. Why five
//! and not seven, which is closer to the square root: both cost 16 messages for one
//! culprit; for two or more, five is cheaper in the worst case (21 against 23 for two, 26
//! against 30 for three).

use crate::base::DeviceId;

/// The size of the middle step.
const MIDDLE_SIZE: usize = 5;

/// Devices that are asked for together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestGroup {
    /// The devices; never empty while the group waits or is under way.
    pub members: Vec<DeviceId>,
}

/// The result of a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Split {
    /// The devices that the refusal is about.
    pub culprits: Vec<DeviceId>,
    /// The groups to be tried next, in order.
    pub next: Vec<RequestGroup>,
}

impl RequestGroup {
    /// Splits the group after its first refusal, in which the reply named these devices.
    pub(crate) fn refused(self, named: &[DeviceId]) -> Split {
        self.refused_again(named, 1)
    }

    /// Splits the group if its members have been submitted this many times by now.
    pub(crate) fn refused_again(self, named: &[DeviceId], times: u32) -> Split {
        let mut split = self.refused_alike(named, times);
        if split.culprits.len() > 1 {
            split.next.extend(parts(&split.culprits, 1));
            split.culprits.clear();
        }
        split
    }

    /// Splits the group after a refusal that means the same for every device that it names,
    /// whichever code each would have had.
    pub(crate) fn refused_alike(self, named: &[DeviceId], times: u32) -> Split {
        if self.members.len() <= 1 {
            return Split {
                culprits: self.members,
                next: Vec::new(),
            };
        }
        let all = self.members;
        let (culprits, rest): (Vec<_>, Vec<_>) = all.iter().partition(|m| named.contains(m));
        let searched = times >= 2;
        if culprits.is_empty() || rest.is_empty() {
            let size = if all.len() > MIDDLE_SIZE && !searched {
                MIDDLE_SIZE
            } else {
                1
            };
            return Split {
                culprits: Vec::new(),
                next: parts(&all, size),
            };
        }
        let size = if searched { 1 } else { rest.len() };
        Split {
            culprits,
            next: parts(&rest, size),
        }
    }
}

fn parts(members: &[DeviceId], size: usize) -> Vec<RequestGroup> {
    let group = |c: &[DeviceId]| RequestGroup {
        members: c.to_vec(),
    };
    members.chunks(size).map(group).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet, VecDeque};

    use super::*;
    use proptest::prelude::*;

    /// Which devices a refusal names.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum NamedDevices {
        None,
        First,
        Culprits,
    }

    /// Returns the messages needed, the culprits found, and how often each device was
    /// submitted.
    fn search(
        n: u32,
        bad: &BTreeSet<DeviceId>,
        names: NamedDevices,
    ) -> (usize, BTreeSet<DeviceId>, BTreeMap<DeviceId, u32>) {
        let mut queue = VecDeque::from([RequestGroup {
            members: (0..n).map(DeviceId).collect(),
        }]);
        let (mut messages, mut found, mut submitted) = (0, BTreeSet::new(), BTreeMap::new());
        while let Some(group) = queue.pop_front() {
            messages += 1;
            let mut times = 0;
            for m in &group.members {
                let of = submitted.entry(*m).or_default();
                *of += 1;
                times = *of;
            }
            let culprits = group.members.iter().filter(|m| bad.contains(m)).copied();
            let culprits: Vec<_> = culprits.collect();
            if !culprits.is_empty() {
                let named = match names {
                    NamedDevices::None => &[],
                    NamedDevices::First => &culprits[..1],
                    NamedDevices::Culprits => &culprits[..],
                };
                let split = group.refused_again(named, times);
                found.extend(split.culprits);
                queue.extend(split.next);
            }
        }
        (messages, found, submitted)
    }

    #[test]
    fn one_unnamed_culprit_of_fifty_costs_sixteen_messages_wherever_it_is() {
        for at in 0..50 {
            let bad = BTreeSet::from([DeviceId(at)]);
            assert_eq!(search(50, &bad, NamedDevices::None).0, 16);
        }
    }

    proptest! {
        #[test]
        fn the_search_finds_exactly_the_culprits_within_three_submissions(
            n in 1u32..=50, bad in prop::collection::btree_set(0u32..50, 0..6),
            names in prop::sample::select(vec![NamedDevices::None, NamedDevices::First, NamedDevices::Culprits])
        ) {
            let bad: BTreeSet<_> = bad.into_iter().filter(|b| *b < n).map(DeviceId).collect();
            let (messages, found, submitted) = search(n, &bad, names);
            prop_assert_eq!(&found, &bad);
            prop_assert_eq!(submitted.len(), n as usize);
            for (_, times) in submitted {
                prop_assert!(times <= 3);
            }
            if names == NamedDevices::Culprits && !bad.is_empty() && bad.len() < n as usize {
                // Each culprit is asked for alone, unless there is but one.
                let alone = if bad.len() == 1 { 0 } else { bad.len() };
                prop_assert_eq!(messages, 2 + alone);
            }
            if names == NamedDevices::None && bad.len() <= 3 {
                prop_assert!(messages <= 27, "{messages}");
            }
        }
    }
}

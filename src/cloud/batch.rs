//! All or nothing, isolated: the search for who spoils a batch.
//!
//! The platform accepts a batch as a whole or refuses it as a whole. This file
//! knows how to go on after a refusal and nothing else: no protocol, no time.
//! Named culprits are set aside and the rest goes on at once, if they are fewer
//! than all; some replies list everyone, which names nobody. Unnamed ones are
//! searched: 50, then groups of five, then one by one.
//!
//! Why not halves: finding one of 50 by halves submits a healthy device up to
//! seven times, and the platform throttles a sub-device that tries more than
//! five times a minute. In two steps nobody is submitted more than three
//! times. Why five and not seven, which is closer to the square root: both
//! cost 16 messages for one culprit; for two or more, five is cheaper in the
//! worst case (21 against 23 for two, 26 against 30 for three).

use crate::base::DeviceId;

/// The size of the middle step.
const FEW: usize = 5;

/// Devices that are asked for together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// Never empty while it waits or is under way.
    pub(super) members: Vec<DeviceId>,
}

/// What a refusal leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Split {
    /// The refusal is theirs.
    pub(super) culprits: Vec<DeviceId>,
    /// To be tried next, in order.
    pub(super) next: Vec<Group>,
}

impl Group {
    /// The group was refused, and the reply named these.
    pub(super) fn refused(self, named: &[DeviceId]) -> Split {
        if self.members.len() <= 1 {
            return Split {
                culprits: self.members,
                next: Vec::new(),
            };
        }
        let (culprits, rest): (Vec<_>, Vec<_>) =
            self.members.iter().partition(|m| named.contains(m));
        if !culprits.is_empty() && !rest.is_empty() {
            return Split {
                culprits,
                next: vec![Group { members: rest }],
            };
        }
        let size = if self.members.len() > FEW { FEW } else { 1 };
        Split {
            culprits: Vec::new(),
            next: self
                .members
                .chunks(size)
                .map(|c| Group {
                    members: c.to_vec(),
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet, VecDeque};

    use super::*;
    use proptest::prelude::*;

    /// Messages needed, culprits found, and how often each was submitted.
    fn search(
        n: u32,
        bad: &BTreeSet<DeviceId>,
        name: bool,
    ) -> (usize, BTreeSet<DeviceId>, BTreeMap<DeviceId, usize>) {
        let mut queue = VecDeque::from([Group {
            members: (0..n).map(DeviceId).collect(),
        }]);
        let (mut messages, mut found, mut submitted) = (0, BTreeSet::new(), BTreeMap::new());
        while let Some(group) = queue.pop_front() {
            messages += 1;
            for m in &group.members {
                *submitted.entry(*m).or_default() += 1;
            }
            if group.members.iter().any(|m| bad.contains(m)) {
                let named: Vec<_> = if name {
                    bad.iter().copied().collect()
                } else {
                    Vec::new()
                };
                let split = group.refused(&named);
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
            assert_eq!(search(50, &bad, false).0, 16);
        }
    }

    proptest! {
        #[test]
        fn the_search_finds_exactly_the_culprits_within_three_submissions(
            n in 1u32..=50, bad in prop::collection::btree_set(0u32..50, 0..6), name: bool
        ) {
            let bad: BTreeSet<_> = bad.into_iter().filter(|b| *b < n).map(DeviceId).collect();
            let (messages, found, submitted) = search(n, &bad, name);
            prop_assert_eq!(&found, &bad);
            prop_assert_eq!(submitted.len(), n as usize);
            for (_, times) in submitted {
                prop_assert!(times <= 3);
            }
            if name && !bad.is_empty() && bad.len() < n as usize {
                prop_assert_eq!(messages, 2);
            }
            if !name && bad.len() <= 3 {
                prop_assert!(messages <= 27, "{messages}");
            }
        }
    }
}

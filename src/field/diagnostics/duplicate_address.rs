//! Suspects that two devices share an address.
//!
//! Both devices answer, and what comes is spoilt: always at this address, and nowhere else on
//! the line. This pattern is looked for: a third of the replies of one device are spoilt,
//! among others that are not. It is a suspicion, for a person to look at; nothing is done
//! about it here. One device with a bad tap looks the same.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::{DeviceId, Evidence, Miss};

/// How many spoilt replies are no chance …
const SPOILT: u32 = 8;

/// … if this part of the device's replies is spoilt …
const ONE_OF: u32 = 3;

/// … while of the others' replies no more than this part is spoilt …
const OTHERS: u64 = 50;

/// … of at least this many.
const SEEN: u64 = 64;

/// Old replies count half, each time this many more have come.
const MEMORY: u32 = 64;

/// Replies on one line, by device.
#[derive(Clone, Debug, Default)]
pub struct DuplicateAddresses {
    replies: BTreeMap<DeviceId, Replies>,
    told: BTreeSet<DeviceId>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Replies {
    fine: u32,
    spoilt: u32,
}

impl DuplicateAddresses {
    /// Notes the end of a transaction with this device. Returns true if two devices may well
    /// share its address; once for each device.
    pub fn note(&mut self, device: DeviceId, evidence: Evidence) -> bool {
        let own = self.replies.entry(device).or_default();
        match evidence {
            Evidence::Alive(_) => own.fine += 1,
            Evidence::Missed(Miss::Garbled | Miss::Foreign) => own.spoilt += 1,
            // One request is spoilt, the others are not.
            Evidence::RequestFailed(_) => return false,
            // Nothing came: that says nothing about which device would have answered.
            Evidence::Missed(_) => return false,
        }
        if own.fine + own.spoilt >= MEMORY {
            own.fine /= 2;
            own.spoilt /= 2;
        }
        let own = *own;
        let many = own.spoilt >= SPOILT && own.spoilt * ONE_OF >= own.fine + own.spoilt;
        many && self.others_are_fine(device) && self.told.insert(device)
    }

    fn others_are_fine(&self, device: DeviceId) -> bool {
        let others = self.replies.iter().filter(|(d, _)| **d != device);
        let (fine, spoilt) = others.fold((0u64, 0u64), |(fine, spoilt), (_, r)| {
            (fine + u64::from(r.fine), spoilt + u64::from(r.spoilt))
        });
        fine + spoilt >= SEEN && spoilt * OTHERS <= fine
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Proof, Rng};

    const FINE: Evidence = Evidence::Alive(Proof::Answer);
    const SPOILED: Evidence = Evidence::Missed(Miss::Garbled);

    /// Returns the devices that are reported, if this many in a thousand of each device's
    /// replies are spoilt.
    fn told(permille: &[u32]) -> Vec<u32> {
        let mut twins = DuplicateAddresses::default();
        let mut rng = Rng::new(3);
        let mut told = Vec::new();
        for _ in 0..2000 {
            for (device, spoilt) in (0u32..).zip(permille) {
                let evidence = if rng.chance(*spoilt) { SPOILED } else { FINE };
                if twins.note(DeviceId(device), evidence) {
                    told.push(device);
                }
            }
        }
        told
    }

    #[test]
    fn replies_that_collide_at_one_address_only_are_told_once() {
        assert_eq!(told(&[1, 1, 700, 1, 1]), [2]);
        assert_eq!(told(&[1, 1, 1000, 1, 1]), [2]);
        assert_eq!(told(&[0, 0]), [0u32; 0]);
    }

    #[test]
    fn a_bad_line_is_not_taken_for_two_devices() {
        assert_eq!(told(&[300, 300, 700, 300, 300]), [0u32; 0]);
        assert_eq!(told(&[10, 10, 50, 10]), [0u32; 0]);
        assert_eq!(
            told(&[700]),
            [0u32; 0],
            "no other device to compare it with"
        );
    }

    #[test]
    fn silence_is_no_collision() {
        let mut twins = DuplicateAddresses::default();
        for _ in 0..1000 {
            assert!(!twins.note(DeviceId(0), FINE));
            assert!(!twins.note(DeviceId(1), Evidence::Missed(Miss::Silence)));
        }
    }
}

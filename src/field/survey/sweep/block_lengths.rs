//! How long blocks may be that a device grants.

/// What is known about the lengths of blocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlockLengths {
    /// The longest that was granted.
    granted: u16,
    /// The shortest that was refused although the device has each of its entries.
    too_long: Option<u16>,
    /// The longest that the protocol allows.
    most: u16,
}

impl BlockLengths {
    pub(super) const fn new(most: u16) -> Self {
        BlockLengths {
            granted: 0,
            too_long: None,
            most,
        }
    }

    /// Returns the length that a block may have: between the longest granted and the shortest too
    /// long, half of the way.
    pub(super) fn longest(&self) -> u16 {
        match self.too_long {
            None => self.most,
            Some(too_long) => {
                let more = too_long.saturating_sub(1).saturating_sub(self.granted);
                (self.granted + more.div_ceil(2)).max(1)
            }
        }
    }

    /// Returns the longest length that was granted, and whether longer ones are known to be
    /// refused.
    pub(super) const fn largest(&self) -> (u16, bool) {
        (self.granted, self.too_long.is_some())
    }

    /// Notes that a block of this length was granted.
    pub(super) fn grant(&mut self, count: u16) {
        self.granted = self.granted.max(count);
        // A device that grants what it refused before has no such limit.
        self.too_long = self.too_long.filter(|too_long| *too_long > self.granted);
    }

    /// Notes that a block of this length was refused whose entries are all there.
    pub(super) fn is_too_long(&mut self, count: u16) {
        if count > self.granted {
            self.too_long = Some(self.too_long.map_or(count, |known| known.min(count)));
        }
    }

    /// Returns whether a block of this length may have been refused for its length.
    pub(super) const fn may_be_too_long(&self, count: u16) -> bool {
        count > self.granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_block_is_found_by_halving() {
        for limit in 1..=125 {
            let mut lengths = BlockLengths::new(125);
            lengths.grant(1);
            let mut asked = 0;
            while lengths.longest() > lengths.granted {
                asked += 1;
                match lengths.longest() {
                    count if count <= limit => lengths.grant(count),
                    count => lengths.is_too_long(count),
                }
            }
            assert_eq!(lengths.granted, limit);
            assert!(asked <= 8, "{asked} for {limit}");
        }
    }
}

//! The readings in memory that are in the store as well, because they were stored before they
//! were sent.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::StorePosition;

use super::waiting::ArrivalNumber;

/// Where the readings in memory are in the store; and of those that have left the memory,
/// what becomes of them in the store.
#[derive(Clone, Debug, Default)]
pub(super) struct StoredPositions {
    of: BTreeMap<ArrivalNumber, StorePosition>,
    all: BTreeSet<StorePosition>,
    settled: Vec<StorePosition>,
    refused: Vec<StorePosition>,
    released: Vec<StorePosition>,
}

impl StoredPositions {
    /// Returns whether no reading in memory is in the store.
    pub(super) fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// Takes note that this reading is in the store, at this position.
    pub(super) fn add(&mut self, arrival: ArrivalNumber, at: StorePosition) {
        self.of.insert(arrival, at);
        self.all.insert(at);
    }

    /// Returns whether the value at this position is in memory.
    pub(super) fn has(&self, at: StorePosition) -> bool {
        self.all.contains(&at)
    }

    fn remove(&mut self, arrival: ArrivalNumber) -> Option<StorePosition> {
        let at = self.of.remove(&arrival)?;
        self.all.remove(&at);
        Some(at)
    }

    /// Takes note that a reading need not be kept any more.
    pub(super) fn settle(&mut self, arrival: ArrivalNumber) {
        let at = self.remove(arrival);
        self.settled.extend(at);
    }

    /// Takes note that the platform has refused a reading for good.
    pub(super) fn refuse(&mut self, arrival: ArrivalNumber) {
        let at = self.remove(arrival);
        self.refused.extend(at);
    }

    /// Takes note that a reading has left the memory and is still to be delivered; returns
    /// whether it is in the store.
    pub(super) fn release(&mut self, arrival: ArrivalNumber) -> bool {
        let at = self.remove(arrival);
        self.released.extend(at);
        at.is_some()
    }

    /// Releases all readings but these.
    pub(super) fn release_all_but(&mut self, here: &BTreeSet<ArrivalNumber>) {
        let gone: Vec<ArrivalNumber> = self.of.keys().copied().collect();
        for arrival in gone.into_iter().filter(|arrival| !here.contains(arrival)) {
            self.release(arrival);
        }
    }

    /// Returns the positions whose values were delivered.
    pub(super) fn take_settled(&mut self) -> Vec<StorePosition> {
        std::mem::take(&mut self.settled)
    }

    /// Returns the positions whose values were refused for good.
    pub(super) fn take_refused(&mut self) -> Vec<StorePosition> {
        std::mem::take(&mut self.refused)
    }

    /// Returns the positions whose values are to be delivered from the store.
    pub(super) fn take_released(&mut self) -> Vec<StorePosition> {
        std::mem::take(&mut self.released)
    }
}

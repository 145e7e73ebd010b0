//! The lanes: which devices have one, in which order, and the counts of each.

use std::time::Duration;

use super::BlockKind;
use crate::trace::follow::TransactionEnd;

/// Which lane it is; in the order in which lanes are drawn.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LaneId {
    /// The gateway.
    Gateway,
    /// A device on the line: by kind and number, in numerical order (`unit 9` before
    /// `unit 10`), then by name.
    Other(String, u64, String),
    /// No device: bytes that belong to no frame.
    Noise,
}

impl LaneId {
    /// Returns the lane of the device with this place on the line.
    pub(super) fn of(place: Option<&str>) -> Self {
        let Some(place) = place else {
            return LaneId::Noise;
        };
        let (kind, number) = match place.rsplit_once(' ') {
            Some((kind, number)) => (kind, number.parse().ok()),
            None => (place, None),
        };
        match number {
            Some(number) => LaneId::Other(kind.to_owned(), number, place.to_owned()),
            None => LaneId::Other(place.to_owned(), 0, place.to_owned()),
        }
    }

    /// Returns the name that is written beside the lane.
    pub(super) fn name(&self) -> &str {
        match self {
            LaneId::Gateway => "gateway",
            LaneId::Other(_, _, name) => name,
            LaneId::Noise => "noise",
        }
    }
}

/// The counts of one lane.
#[derive(Clone, Debug, Default)]
pub(super) struct Lane {
    /// The device, once it is known.
    pub device: Option<String>,
    pub asked: u64,
    pub answered: u64,
    pub refused: u64,
    pub unanswered: u64,
    pub spoilt: u64,
    turnarounds: Vec<Duration>,
}

impl Lane {
    /// Counts a transaction with the device that has ended.
    pub(super) fn count(&mut self, ended: &TransactionEnd, kind: BlockKind, wait: BlockKind) {
        self.device.get_or_insert_with(|| ended.device.clone());
        self.asked += 1;
        match (kind, wait) {
            (BlockKind::Answer, _) => self.answered += 1,
            (BlockKind::Refusal, _) => self.refused += 1,
            (_, BlockKind::Timeout) => self.unanswered += 1,
            _ => self.spoilt += 1,
        }
        self.turnarounds.extend(ended.turnaround);
    }

    /// Returns the median and the longest time until the device began to answer.
    pub(super) fn turnaround(&self) -> Option<(Duration, Duration)> {
        let mut all = self.turnarounds.clone();
        all.sort_unstable();
        Some((*all.get(all.len() / 2)?, *all.last()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_are_in_the_order_in_which_people_count() {
        let mut ids: Vec<LaneId> = ["unit 10", "scale", "unit 9", "address 000000000161"]
            .into_iter()
            .map(|p| LaneId::of(Some(p)))
            .collect();
        ids.push(LaneId::Noise);
        ids.push(LaneId::Gateway);
        ids.sort();
        let names: Vec<_> = ids.iter().map(LaneId::name).collect();
        assert_eq!(
            names,
            [
                "gateway",
                "address 000000000161",
                "scale",
                "unit 9",
                "unit 10",
                "noise"
            ]
        );
    }
}

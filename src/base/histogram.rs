//! Counts of durations, in classes that never change.

use std::time::Duration;

/// Upper bounds of the classes, in microseconds. They cover the times that buses and
/// platforms take. The bounds are part of the names of metrics and must not be changed.
pub const BOUNDS_US: [u64; 14] = [
    1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000,
    5_000_000, 20_000_000, 60_000_000,
];

/// Counts since the start. Each count only grows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// How many durations were no longer than each bound and longer than the bound before it.
    /// The last count is of the durations longer than all bounds.
    pub counts: [u64; BOUNDS_US.len() + 1],
    /// The sum of all durations, in microseconds.
    pub sum_us: u64,
}

impl Histogram {
    /// Counts one more duration.
    pub fn add(&mut self, span: Duration) {
        let us = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        let class = BOUNDS_US.partition_point(|bound| *bound < us);
        if let Some(count) = self.counts.get_mut(class) {
            *count += 1;
        }
        self.sum_us = self.sum_us.saturating_add(us);
    }

    /// Returns how many durations were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_class_and_nothing_is_too_long_to_count() {
        let mut histogram = Histogram::default();
        for us in [0, 1_000, 1_001, 60_000_000, 60_000_001, u64::MAX] {
            histogram.add(Duration::from_micros(us));
        }
        assert_eq!(histogram.counts[..2], [2, 1]);
        assert_eq!(histogram.counts[13..], [1, 2]);
        assert_eq!((histogram.count(), histogram.sum_us), (6, u64::MAX));
    }
}

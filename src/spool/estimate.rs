//! How many bytes a value takes on flash, by the encoder itself.

use super::frame::{SEAL_BYTES, TextNumbers, push_readings};
use super::segment::HEADER_BYTES;
use crate::base::StoredReading;

/// Returns how many bytes a value takes on average in segments of this size, with its share of
/// the names that each segment holds once. `names` are readings in which each name occurs, and
/// `groups` are readings as they are stored together. `None` if there are no values.
#[must_use]
pub fn bytes_per_value(
    names: &[StoredReading],
    groups: &[&[StoredReading]],
    segment_bytes: u64,
) -> Option<f64> {
    let mut texts = TextNumbers::default();
    let mut size = |readings: &[StoredReading]| {
        let mut out = Vec::new();
        push_readings(&mut out, &mut texts, 0, readings);
        out.len()
    };
    let with_names = size(names);
    let named = with_names.saturating_sub(size(names));
    let values: usize = groups.iter().map(|group| group.len()).sum();
    let bytes: usize = groups.iter().map(|group| size(group)).sum();
    let once = (HEADER_BYTES + SEAL_BYTES + named) as f64;
    let segment = segment_bytes.max(1) as f64;
    // A segment takes at least one group, whatever its size.
    let share = (1.0 - once / segment).max(0.1);
    (values > 0).then(|| bytes as f64 / values as f64 / share)
}

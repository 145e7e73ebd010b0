//! The values that a point hands out after one event, and how many readings it gave up.

use crate::base::{Now, Value};

/// The values that a point hands out, and how many readings it has given up meanwhile.
#[derive(Debug, Default, PartialEq)]
pub(super) struct ReleasedValues {
    /// What a closed window comes to.
    window: Option<(Value, Now)>,
    reading: Option<(Value, Now)>,
    given_up: u64,
}

impl ReleasedValues {
    /// Hands out a reading.
    pub(super) fn reading(value: Value, at: Now) -> Self {
        ReleasedValues {
            reading: Some((value, at)),
            ..ReleasedValues::default()
        }
    }

    /// Hands out the value of a window, which stands for so many readings.
    pub(super) fn window(value: Value, at: Now, count: u32) -> Self {
        ReleasedValues {
            window: Some((value, at)),
            given_up: u64::from(count).saturating_sub(1),
            ..ReleasedValues::default()
        }
    }

    /// Hands out a reading behind this.
    pub(super) fn and_reading(self, value: Value, at: Now) -> Self {
        ReleasedValues {
            reading: Some((value, at)),
            ..self
        }
    }

    /// Gives up so many readings besides.
    pub(super) fn and_given_up(self, count: u64) -> Self {
        ReleasedValues {
            given_up: self.given_up + count,
            ..self
        }
    }

    /// Returns how many readings will never be handed out.
    pub(super) const fn given_up(&self) -> u64 {
        self.given_up
    }

    /// Returns the values in the order in which they go out.
    pub(super) fn values(self) -> impl Iterator<Item = (Value, Now)> {
        self.window.into_iter().chain(self.reading)
    }
}

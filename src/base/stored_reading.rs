//! A reading as the store keeps it: by the platform's names, with a time that a restart does
//! not change.

use std::sync::Arc;

use super::{DeviceName, EventData, ProductKey, Value, Wall};

/// When a stored reading was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StoredTime {
    /// At this time of the wall clock.
    Wall(Wall),
    /// So many milliseconds after the machine was started, while the wall clock was not yet
    /// right. The store keeps which start that was: after another start the time can no
    /// longer be known. Within a process the time counts from the start of the process, and
    /// is negative before it.
    SinceBoot(i64),
}

/// What a stored reading is.
#[derive(Clone, Debug, PartialEq)]
pub enum StoredValue {
    /// The value of a property.
    Property(Value),
    /// An event of the thing model, with its output data.
    Event(EventData),
}

impl From<Value> for StoredValue {
    fn from(value: Value) -> Self {
        StoredValue::Property(value)
    }
}

/// One value, or one event of the thing model, as it is kept on flash. The names survive another
/// configuration; indices would not.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredReading {
    /// The product of the device.
    pub product_key: ProductKey,
    /// The name of the device within the product.
    pub device_name: DeviceName,
    /// The identifier of the property or the event in the thing model.
    pub identifier: Arc<str>,
    /// When the value was read, or the one that raised the event.
    pub at: StoredTime,
    /// The value, or the data of the event.
    pub value: StoredValue,
}

/// The position of a value in the store. The order is the order in which the values were
/// stored; no two values ever have the same position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StorePosition {
    /// The number of the segment.
    pub segment: u64,
    /// How often the segment was thinned out.
    pub generation: u32,
    /// The number of the value in the segment, from 0.
    pub ordinal: u32,
}

impl StorePosition {
    /// Before every value.
    pub const START: StorePosition = StorePosition {
        segment: 0,
        generation: 0,
        ordinal: 0,
    };

    /// Returns the position after this one in the same segment.
    #[must_use]
    pub const fn next(self) -> StorePosition {
        StorePosition {
            ordinal: self.ordinal.saturating_add(1),
            ..self
        }
    }
}

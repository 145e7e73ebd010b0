//! Where a value is in its device.

use crate::spec::Table;

/// Where a value is in its device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueSource {
    /// In a table of a Modbus device, at a 0-based address.
    Register(Table, u16),
    /// In a meter of DL/T 645: the eight digits of its identifier, and its format.
    Meter(String, String),
}

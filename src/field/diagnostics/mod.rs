//! What the field side counts and reports: outcomes of requests, the log events of ports,
//! lines and devices, troubles that repeat, two devices on one address, and floats that cannot
//! be what a device measures.

pub mod counters;
pub mod duplicate_address;
pub mod events;
pub mod implausible_floats;
pub mod trouble;
pub mod troubles;

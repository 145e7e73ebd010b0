//! What the field side counts and reports: outcomes of requests, the log events of ports,
//! lines and devices, troubles that repeat, and two devices on one address.

pub mod counters;
pub mod duplicate_address;
pub mod events;
pub mod trouble;
pub mod troubles;

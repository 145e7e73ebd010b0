//! The keys of a point: where its value is, how registers become the value, and when the value is
//! reported.

pub(crate) mod codec;
pub(crate) mod date_time;
pub(crate) mod given;
pub(crate) mod measure;
pub(crate) mod point;
pub(crate) mod report;
pub(crate) mod sign;
pub(crate) mod titles;
pub(crate) mod utc_offset;

//! The keys of a point: where its value is, how registers become the value, when the value is
//! reported, and how it is written. Each group of keys has a file, and there are more than a dozen
//! groups.

pub(crate) mod by_id;
pub(crate) mod codec;
pub(crate) mod condition;
pub(crate) mod date_time;
pub(crate) mod limits;
pub(crate) mod literal;
pub(crate) mod measure;
pub(crate) mod naming;
pub(crate) mod point;
pub(crate) mod report;
pub(crate) mod sign;
pub(crate) mod titles;
pub(crate) mod utc_offset;
pub(crate) mod value_defaults;
pub(crate) mod write;

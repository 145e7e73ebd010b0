//! What the keys of one point mean: where its value is, and how registers become it.

pub(crate) mod codec;
pub(crate) mod date_time;
pub(crate) mod given;
pub(crate) mod measure;
pub(crate) mod point;
pub(crate) mod sign;

//! From the content of a reply to values: registers, bits and bytes become numbers, texts and
//! dates of a point.
//!
//! Everything a value is made of comes out of one reply. What is no number, is marked as
//! invalid or is out of its range is no value, and is reported with the reason.

pub mod data;
pub(crate) mod date_time;
pub mod float;
pub mod number;
pub mod point;
pub mod refusal;
pub(crate) mod text;

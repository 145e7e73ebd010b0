//! The timing of a line, in any protocol: how long it must be quiet, when a reply that is
//! arriving can be complete, how long the rest of a frame is waited for, and which bytes are
//! our own, heard back.

pub mod arrival;
pub mod echo;
pub mod pauses;
pub mod silence;

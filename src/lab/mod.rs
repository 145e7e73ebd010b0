//! (being built)
pub mod broker;
pub mod platform;

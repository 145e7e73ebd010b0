//! (being built)
pub mod bridge;
pub mod broker;
pub mod platform;

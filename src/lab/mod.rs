//! (being built)
pub mod bus;
pub mod wire;

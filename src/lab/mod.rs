//! (being built)
pub mod bus;

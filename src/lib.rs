//! alink-gateway
pub mod base;
pub mod cli;
pub mod cloud;
pub mod config;
pub mod field;
pub mod fleet;
pub mod hub;
pub mod io;
#[cfg(feature = "lab")]
pub mod lab;
pub mod spec;

//! The settings of a line: its characters, its adapter, its connections.

mod adapter;
mod characters;
mod connection;

pub use adapter::{Adapter, Rs485, RtsLevel};
pub use characters::{Characters, Parity, StopBits};
pub use connection::{ConnectionSpec, TransactionIds};

//! Keeps what outlives the process, in the state directory: the secrets that the platform gave,
//! what was learned about devices, and the platform's configuration.

pub mod learned;
pub mod remote_config;
pub mod secret_store;
pub mod secret_writer;

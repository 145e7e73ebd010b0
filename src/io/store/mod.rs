//! What outlives the process, in the state directory: secrets the platform gave, what was
//! learned about devices, and the platform's configuration.

pub mod learned;
pub mod remote_config;
pub mod secret_store;
pub mod secret_writer;

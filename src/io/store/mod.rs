//! Keeps what outlives the process, in the state directory: the secrets that the platform gave,
//! what was learned about devices, the platform's configuration, and the readings that could
//! not be delivered.

pub mod learned;
pub mod reading_store;
pub mod reading_store_events;
pub mod remote_config;
pub mod secret_store;
pub mod secret_writer;
pub mod spool_directory;

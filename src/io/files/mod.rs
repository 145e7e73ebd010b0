//! Files: what a configuration is made of, read within bounds; files replaced as a whole;
//! and which of them the service's account may read.

pub mod bounded;
pub mod download;
pub mod replace;
pub mod service_account;
pub mod settings;

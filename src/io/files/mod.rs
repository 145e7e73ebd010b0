//! Files: what a configuration is made of, read within bounds; files replaced as a whole, or
//! rewritten for a person; which of them the service's account may read, and which have changed
//! since.

pub mod bounded;
pub mod create;
pub mod download;
pub mod footprint;
pub mod replace;
pub mod rewrite;
pub mod service_account;
pub mod settings;

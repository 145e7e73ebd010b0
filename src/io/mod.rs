//! Floor 4: the only room that touches the system.
//!
//! Sockets, ttys, files, clocks, signals and tasks live here and nowhere else. Every module
//! here is thin: it carries bytes and time to the engines and carries out their outputs.

pub mod bundle;
pub mod bus;
pub mod control;
pub mod files;
pub mod hub;
pub mod link;
pub mod log;
pub mod store;
pub mod survey_line;
pub mod system;
pub mod terminal;

use std::hash::{BuildHasher, Hasher, RandomState};

/// Returns a seed for the engines' jitter. The seed differs between processes and is not for
/// keys.
#[must_use]
pub fn seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

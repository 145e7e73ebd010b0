//! Floor 4: the only door to the world.
//!
//! Sockets, ttys, files, clocks, signals and tasks live here and nowhere
//! else. Everything in this room is thin: it carries bytes and time to the
//! engines and does what they say.

pub mod bus;
pub mod control;
pub mod files;
pub mod hub;
pub mod link;
pub mod log;
pub mod store;
pub mod system;
pub mod terminal;

use std::hash::{BuildHasher, Hasher, RandomState};

/// A seed for the engines' jitter: different in each process, not for keys.
#[must_use]
pub fn seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

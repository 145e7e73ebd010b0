//! Floor 4: the only door to the world.
//!
//! Sockets, ttys, files, clocks, signals and tasks live here and nowhere
//! else. Everything in this room is thin: it carries bytes and time to the
//! engines and does what they say.

pub mod account;
pub mod clock;
pub mod control;
pub mod download;
pub mod exchange;
pub mod headroom;
pub mod hub;
pub mod keep;
pub mod lessons;
pub mod line;
pub mod link;
pub mod log;
pub mod notify;
pub mod port;
pub mod pulse;
pub mod remote;
pub mod replace;
pub mod screen;
pub mod secrecy;
pub mod settings;
pub mod sink;
pub mod solo;
pub mod tap;
pub mod vault;

use std::hash::{BuildHasher, Hasher, RandomState};

/// A seed for the engines' jitter: different in each process, not for keys.
#[must_use]
pub fn seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

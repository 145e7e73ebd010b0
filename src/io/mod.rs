//! Floor 4: the only door to the world.
//!
//! Sockets, ttys, files, clocks, signals and tasks live here and nowhere
//! else. Everything in this room is thin: it carries bytes and time to the
//! engines and does what they say.

pub mod clock;
pub mod log;
pub mod notify;
pub mod pulse;
mod utc;

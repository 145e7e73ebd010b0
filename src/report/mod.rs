//! Floor 2: which of the values that were read go to the platform, and when.
//!
//! Decides: whether a reading is reported at once, waits, or is given up for a newer one, by the
//! point's [`ReportPolicy`](crate::spec::ReportPolicy). Refuses to know: buses, the platform and
//! its sessions' reasons. The room is told what a port read, that a device fell silent and that
//! a session began or ended; it hands out readings, and its caller delivers them.
//!
//! Contract: one `on_…` or [`Reporter::release_all`], then [`Reporter::poll`] until `None`, then
//! sleep until [`Reporter::wake_at`] and call [`Reporter::on_time`].
//!
//! # When everything is reported once
//!
//! The first reading of each point is reported whatever its policy, and so is the first one after
//! its device fell silent, its port went down or its request failed: a person who looks at the
//! platform sees what the device says now, not what it said before.
//!
//! The same holds after a *session* of the device began, and this is the moment that is right
//! for a return from silence and for a new connection alike. The fleet's wish is not: it does
//! not change when the connection is lost, or when the platform ends a session. It also comes
//! too soon where a log-in takes long: what was read at the wish may be old, or on flash, when
//! the device is online at last. So the beginning of a session counts; but a value that was
//! reported after the last session ended, and not longer than [`WAITS_FOR_LOG_IN`] before the
//! new one began, waits for just this log-in, goes out with it, and is not repeated.
//!
//! Invariants:
//! - A reading is handed out once at the most, with its own value and its own time; a window's
//!   mean has the time of its last reading.
//! - Of a point without a policy, each reading is handed out in the turn in which it came.
//! - Apart from an outage, its end and a new session, two reports of a point are no less than
//!   `min_interval` apart, and a change that came too soon is reported when that is over: the
//!   newest reading then goes out, whatever it is by then.
//! - A deadband counts from the value reported last, so that a slow drift is reported too.
//! - When a device falls silent, its port goes down, its point fails, the connection is lost,
//!   the point changes or is removed, or the gateway stops, the newest reading is handed out,
//!   unless its value is the one reported last; and a window is closed with what it has.
//! - A reading that is given up is counted.
//! - Only points with a policy take memory, and each of them has a fixed size: two values and
//!   their times.

mod change;
mod point;
mod released_values;
mod reporter;
mod window;

pub use reporter::{Reporter, WAITS_FOR_LOG_IN};

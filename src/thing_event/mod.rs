//! Floor 2: which changes of a device are events of its thing model.
//!
//! Decides: whether a value that was read raises an event, by the rules of the device's profile
//! ([`ThingEventSpec`](crate::spec::ThingEventSpec)), and with which output data. Refuses to know:
//! buses, the platform, how an event is delivered and when. (An event of the thing model is
//! called a *thing event* in code; a *log event* is something else.)
//!
//! Contract: [`ThingEvents::on_readings`] with what one reply brought, in the turn in which it
//! came and before any report policy; it returns the events that were raised. Nothing happens
//! with time alone. What became of an event is told with [`ThingEvents::on_outcome`], for people.
//!
//! # What raises an event
//!
//! A rule without `changes` raises its event when its condition begins to hold, and again only
//! after a value was read at which the condition with its limits moved by the hysteresis did not
//! hold. A rule with `changes` raises its event whenever the value becomes another one for which
//! its condition holds.
//!
//! **The first value** after a start, and after a reload that changes the rule or its point: a
//! condition that holds raises the event, since its beginning may have been while the gateway did
//! not run; so an alarm that stands at a restart is raised again. `changes` without a condition
//! is not raised by it, since nothing is known to have changed.
//!
//! **A value that is not good**, and a device that does not answer, change nothing: the rule waits
//! for the next value. The state of a rule is kept while its device is silent, so a condition
//! that held before and holds after raises nothing, and one that began meanwhile raises its event
//! when the device is back.
//!
//! **Output data** are fixed values and the last good values of points: those of the same reply,
//! and for points of other requests those read before. A point whose value is not good now, as
//! `devices NAME` shows it, is left out. (That a reply holds no value for a point is reported
//! after the values of the same reply, so the first such reply still finds the value before.)
//!
//! Invariants:
//! - Every value read is judged, in the order in which they were read, also one that is not
//!   reported.
//! - Between two events of one rule without `changes` there is a value at which the condition
//!   does not hold, by at least the hysteresis. Numbers are compared as exact decimals.
//! - The memory of a rule has a fixed size.

mod engine;
mod events;

pub use engine::{Latest, RuleView, ThingEvents};
pub use events::ThingEventLogEvent;

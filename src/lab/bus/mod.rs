//! A pure model of the field: a multidrop serial line and a Modbus TCP rack, with units
//! that measure, answer, fail and return.
//!
//! **Decides** which value stands in which register at which time, which bytes a unit
//! answers, when each character is on the wire, and which faults strike. **Refuses to
//! know** terminals, sockets, tasks and clocks (`lab/wire.rs` has those), and
//! everything about the product: framing and checksum are written here a second time on
//! purpose, so that the model can check the codec of the product.
//!
//! Contract: [`Line`] and [`Rack`] receive what the master sent and the time, are
//! drained by `poll` until `None`, and say by `wake_at` when to come back. Units may be
//! changed between any two calls.
//!
//! Invariants:
//! - The same seeds and the same calls give the same bytes at the same times.
//! - A unit answers what [`Unit::value_at`] says for the moment at which the request was
//!   understood.
//! - No unit answers a request that was for another unit, was damaged, or was not set
//!   apart by 3.5 characters of silence.
//! - No unit sends before that silence is over.
//! - Every fault is counted.

mod behaviour;
pub mod frame;
mod line;
mod pace;
pub mod protocol;
mod rack;
mod sender;
mod served;
mod unit;
pub mod unit_kind;

pub use behaviour::{Chance, Fault, Refusal, UnitBehaviour};
pub use line::{Line, LineCounts, LineOutput};
pub use pace::Pace;
pub use rack::{Absent, ConnId, Rack, RackCounts, RackOutput};
pub use served::Served;
pub use unit::Unit;
pub use unit_kind::UnitKind;

//! Floor 2: everything known about buses, without a bus.
//!
//! | room | decides |
//! |---|---|
//! | [`plan`] | which registers are read together, at what cost; how soon a silent device is logged out |
//! | [`schedule`] | the next request on one line, commands included, and what an overload changes |
//! | [`polled_device`] | what one device is asked, how often, and how long a reply is waited for |
//! | [`transaction`] | one request and its reply, on a line where bytes are all there is |
//! | [`modbus`], [`dlt645`], [`raw`] | which bytes are the reply, in each protocol and framing |
//! | [`receiver`] | what the receivers of all protocols share |
//! | [`line`](mod@line) | how long things take on the wire, and which bytes are our own |
//! | [`decode`] | what a reply means |
//! | [`encode`] | what is written so that it means a value |
//! | `command` | the requests of a command in their order, and what the device holds afterwards |
//! | [`stale`] | which replies may not be believed |
//! | [`survey`] | what is asked while devices are looked for or examined |
//! | [`diagnostics`] | what is counted and what is reported to the operator |
//!
//! Refuses to know: sockets, ttys and clocks (`io/bus/port.rs` does what the
//! schedule says); whether a device counts as silent (`fleet`); the cloud. One forecast reaches
//! further (`plan/logout_forecast.rs`): it is made of timeouts and pauses of tries that only this
//! room knows, and of the counts of the configuration.
//!
//! Contract: the port asks the [`schedule::Schedule`] for the next transaction and reports
//! how the transaction ended; a receiver is given bytes and silences. Neither reads a clock.
//!
//! Invariants:
//! - Every point of a profile is read by exactly one request, whole, and no other
//!   division into requests would cost less.
//! - A request that is refused, or fails while its device answers others, is asked again
//!   unchanged, ever more rarely. The time that the search for the cause takes from other
//!   requests is bounded.
//! - A reply counts only with the unit, function and byte count that were asked
//!   for and a good checksum (serial lines) or the right transaction id (TCP);
//!   in DL/T 645 with the address, identifier and length; from a device without
//!   a standard with everything its configuration fixes.
//! - A value is accepted only from a reply that no abandoned request could have caused.
//! - Everything a value is made of comes out of one reply. What is no number, is marked as
//!   invalid or is out of its range is no value, and is reported with the reason.
//! - No sequence of bytes makes this code panic. How the bytes were split makes no
//!   difference.
//! - What is written for a value is read as that value, or as the nearest to it that the
//!   point can hold. Bits of registers that are not part of the value are not changed.
//! - At most one instance of a request is owed at any time. No request starves: a tenth of
//!   the line is kept for each lower priority, however much the higher ones ask for.
//! - On a line that does not keep up, all requests of a priority are made less
//!   often by the same factor, and the line is never idle.
//! - A request of a command is sent once or not at all, before any read that is not on the wire
//!   yet, as long as commands have taken no more than three tenths of the line's time. The end of a
//!   command is reported once. Nothing is written so late that the reply could come after the
//!   sender of the command has stopped waiting. A write counts as done only by a reply that no
//!   earlier write could have caused, and a value as verified only by a read that was asked after
//!   that.
//! - Devices that do not answer cost the others at most a twentieth of a contended line,
//!   besides their first miss and a bounded credit with which a fresh silence is confirmed.
//!   The same holds for requests that fail while their device answers others: these requests
//!   are made ever more rarely, and prove nothing about the device.
//! - Probes, which are not in the plan, take less than a fiftieth of the line's time. They
//!   tell stale replies apart, ask for a sign of life, and show whether two devices have one
//!   address.
//! - No value comes more often than its interval says, except a value that is early because
//!   its predecessor was late.
//!
//! Not covered, because nothing on a serial line distinguishes these from the answer (Modbus
//! TCP numbers its replies):
//! - the first second copy of a reply that a unit sends later than 35 ms after the first
//!   copy, just when a request of the same shape is out; from then on the unit is known to
//!   repeat itself, and copies up to a response timeout late are covered;
//! - a frame under the address of another unit, just when that unit is asked for a reply of
//!   that shape: a late reply with a wrong address, or two units with one address;
//! - a unit that is silent to every request but one, against the standard, and owes several
//!   replies for longer than three response timeouts each, if these come one by one, each
//!   just when the next is waited for;
//! - a reply to a request that has failed five times in a row, of a unit that was not late
//!   for ten minutes, if the reply comes later than two response timeouts, just when a reply
//!   of its shape is waited for;
//! - a reply to another master that asks the same unit, of the same shape, after the unit was
//!   quiet for as long as a copy may take, just when we wait; a value asked for while such
//!   replies go by is not believed;
//! - of devices without a standard whose replies name no sender: a reply that comes more than
//!   four response timeouts late, and two more like it, each just when another device is
//!   waited for; a copy later than 35 ms;
//! - a unit, or a bridge, that answers requests in another order than they came;
//! - the echo of a write to one coil or register through an adapter that hears its own bytes,
//!   is not configured as such, and was not heard to before: the echo is the confirmation,
//!   byte for byte;
//! - corruption that the check misses: one in 65,536 arbitrary frames with
//!   CRC-16, one in 256 in ASCII. One to three wrong bits, and runs of up to
//!   sixteen, never pass a CRC-16.
//!
//! Why the types of tokio-modbus but not its clients: its clients return as success what an
//! earlier request asked for, and replies of the wrong length. This module uses its
//! vocabulary and its PDU decoder.

pub(crate) mod command;
pub mod decode;
pub mod diagnostics;
pub mod dlt645;
pub mod encode;
pub mod line;
pub mod modbus;
pub mod plan;
pub mod polled_device;
pub mod raw;
pub mod receiver;
pub mod schedule;
pub mod stale;
pub mod survey;
#[cfg(test)]
pub(crate) mod test_receiver;
#[cfg(test)]
pub(crate) mod test_spec;
pub mod transaction;

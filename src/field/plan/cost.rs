//! What a request costs in time on the wire: the one formula that the planner,
//! the forecast of a line's load and the schedule share.
//!
//! On a serial line, one transaction is
//!
//! ```text
//! rest + request + t3.5 + turnaround + reply + t3.5
//! ```
//!
//! where the first t3.5 ends the request, the last t3.5 the reply (Modbus over Serial Line
//! V1.02 §2.5.1.1), `turnaround` is what the unit takes on top and `rest` what the
//! configuration grants the unit. On TCP characters cost nothing and a transaction is one
//! round trip.
//!
//! Behind a serial server or a Modbus gateway that round trip has a line in it. If the `baud`
//! of that line is configured, the round trip costs what any serial line does, and a measured
//! time counts as turnaround only without the time its characters take. If it is not
//! configured, the speed is not known here, and an assumed speed could refuse an installation
//! that is fine. The line is then reckoned like any other on TCP: the forecast of its load is
//! the least it can be, unless `reply_delay` says what a reply takes, and requests are merged
//! across more addresses than is good on a slow line. That costs time and never a value;
//! `holes` and `max_registers` keep the requests apart, and the measured load is reported as
//! for every line. Pure arithmetic, in nanoseconds, so that sums do not drift.

use std::time::Duration;

use crate::base::UnitId;
use crate::spec::{DeviceSpec, Framing, LineSpec};

use crate::field::line::silence::Silence;
use crate::field::modbus::ReadRequest;
use crate::field::modbus::{ascii, rtu};
use crate::field::plan::block_address::BlockAddress;
use crate::field::plan::lengths::{datum_lengths, question_lengths};

/// What a unit on a serial line is assumed to need beyond t3.5 until it is configured or
/// measured. Meters and modules take 2 to 50 ms.
pub const ASSUMED_TURNAROUND: Duration = Duration::from_millis(10);

/// A round trip on TCP until it is configured or measured.
pub const ASSUMED_ROUND_TRIP: Duration = Duration::from_millis(5);

/// The weight of a new measurement: it moves the estimate by an eighth of the difference, as
/// the smoothed round trip of TCP does (RFC 6298 §2).
const WEIGHT: u32 = 8;

/// Where the characters of a transaction cost time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wire {
    /// On a line of the gateway's own.
    Ours,
    /// On the line behind a server: between the sending of the request and the end of the
    /// reply.
    Behind,
    /// Nowhere, as far as is known.
    Nowhere,
}

/// What requests to one device cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    silence: Silence,
    wire: Wire,
    framing: Framing,
    rest: Duration,
    turnaround: Duration,
}

impl Cost {
    /// Returns the cost for this device on this line, before anything is measured: as its
    /// profile says, or as is assumed.
    #[must_use]
    pub fn of(line: &LineSpec, device: &DeviceSpec) -> Self {
        let own = device.serial.as_ref();
        let (wire, silence, rest, assumed) = match line {
            LineSpec::Serial(_) => (
                Wire::Ours,
                own.map_or_else(|| Silence::of(line), |own| Silence::of_serial(own)),
                device.turnaround,
                ASSUMED_TURNAROUND,
            ),
            LineSpec::Tcp(_) => match line.behind() {
                None => (
                    Wire::Nowhere,
                    Silence::of(line),
                    Duration::ZERO,
                    ASSUMED_ROUND_TRIP,
                ),
                Some(characters) => {
                    let silence = Silence::of_characters(characters);
                    // The quiet time before a request beyond what the line needs. In front of
                    // a gateway there is none.
                    let more = Silence::of(line).between_frames();
                    let more = more.saturating_sub(silence.between_frames());
                    let granted = line.framing().map_or(Duration::ZERO, |_| device.turnaround);
                    let assumed = ASSUMED_TURNAROUND + ASSUMED_ROUND_TRIP;
                    (Wire::Behind, silence, granted + more, assumed)
                }
            },
        };
        Cost {
            silence,
            wire,
            framing: line.framing().unwrap_or_default(),
            rest,
            turnaround: device.profile.reads.reply_delay.unwrap_or(assumed),
        }
    }

    /// Returns the same cost with another turnaround.
    #[must_use]
    pub const fn with_turnaround(mut self, turnaround: Duration) -> Self {
        self.turnaround = turnaround;
        self
    }

    /// Returns what the unit takes beyond t3.5; on TCP, a round trip, without the characters
    /// of a line behind it.
    #[must_use]
    pub const fn turnaround(&self) -> Duration {
        self.turnaround
    }

    /// Returns how long this request and its reply take the line.
    #[must_use]
    pub fn of_request(&self, ask: &ReadRequest) -> Duration {
        self.of_bytes(ask.pdu().len(), ask.reply_len())
    }

    /// Returns the same for what a block of the plan asks for, in any protocol.
    #[must_use]
    pub fn of_block(&self, asked: &BlockAddress) -> Duration {
        let (request, reply) = self.bytes(asked);
        self.on_the_wire(request + reply)
    }

    /// Returns the same for PDUs of these lengths.
    #[must_use]
    pub fn of_bytes(&self, request: usize, reply: usize) -> Duration {
        self.on_the_wire(self.frame(request) + self.frame(reply))
    }

    /// Returns the bytes on the line of this request and of its reply, in any protocol.
    fn bytes(&self, asked: &BlockAddress) -> (usize, usize) {
        match asked {
            BlockAddress::Modbus(range) => {
                let ask = range.ask(UnitId(0));
                (self.frame(ask.pdu().len()), self.frame(ask.reply_len()))
            }
            BlockAddress::Dlt645(datum) => datum_lengths(datum),
            BlockAddress::Raw(raw) => question_lengths(&raw.question),
        }
    }

    /// Returns the bytes on the line for a PDU of this length.
    fn frame(&self, pdu: usize) -> usize {
        match self.framing {
            Framing::Rtu => rtu::frame_len(pdu),
            Framing::Ascii => ascii::frame_len(pdu),
        }
    }

    fn on_the_wire(&self, bytes: usize) -> Duration {
        if self.wire == Wire::Nowhere {
            return self.turnaround;
        }
        self.rest
            + self.silence.transmission(bytes)
            + self.silence.between_frames() * 2
            + self.turnaround
    }

    /// Returns how long the reply to this block of the plan takes to arrive, once it has
    /// begun, in any protocol. Behind a server it is the time of the characters of both
    /// request and reply, as their beginning is not seen.
    #[must_use]
    pub fn of_reply_to(&self, asked: &BlockAddress) -> Duration {
        let (request, reply) = self.bytes(asked);
        match self.wire {
            Wire::Ours => self.silence.transmission(reply),
            Wire::Behind => self.silence.transmission(request + reply),
            Wire::Nowhere => Duration::ZERO,
        }
    }

    /// Returns the measured time from this request to its reply, without the characters of a
    /// line behind a server.
    #[must_use]
    pub fn without_line_behind(&self, asked: &BlockAddress, measured: Duration) -> Duration {
        let (request, reply) = self.bytes(asked);
        match self.wire {
            Wire::Behind => measured.saturating_sub(self.silence.transmission(request + reply)),
            Wire::Ours | Wire::Nowhere => measured,
        }
    }

    /// Returns the part of the time that grows with the length of the request: without what
    /// the unit takes and what it is granted.
    #[must_use]
    pub fn without_waiting(&self, time: Duration) -> Duration {
        time.saturating_sub(self.turnaround + self.rest)
    }

    /// Returns what is expected to be measured from a request to its reply, without the
    /// characters of a line behind a server: [`Cost::turnaround_seen`] the other way round.
    #[must_use]
    pub fn gap(&self) -> Duration {
        self.turnaround + self.silence.between_frames()
    }

    /// Returns the turnaround of a unit that was seen to take this long from the end of a
    /// request to the beginning of its reply.
    #[must_use]
    pub fn turnaround_seen(&self, gap: Duration) -> Duration {
        gap.saturating_sub(self.silence.between_frames())
    }
}

/// How long a unit takes to answer: a moving average of what was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    mean: Duration,
    seen: u32,
}

impl Measured {
    /// Adds one measurement.
    pub fn note(&mut self, turnaround: Duration) {
        self.mean = match self.seen {
            0 => turnaround,
            _ => (self.mean * (WEIGHT - 1) + turnaround) / WEIGHT,
        };
        self.seen = self.seen.saturating_add(1);
    }

    /// Returns the average, once there is enough to rest on.
    #[must_use]
    pub fn mean(&self) -> Option<Duration> {
        (self.seen >= WEIGHT).then_some(self.mean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::plan::block_address::EntryRange;
    use crate::field::test_spec::{behind, installation, profile, serial, tcp};
    use crate::spec::{Spec, Table};

    fn cost(baud: u32) -> Cost {
        let spec = installation(serial(baud), vec![profile(vec![])]);
        Cost::of(&spec.ports[0].line, &spec.devices[0])
    }

    fn read(count: u16) -> ReadRequest {
        ReadRequest {
            unit: UnitId(1),
            table: Table::HoldingRegister,
            start: 0,
            count,
        }
    }

    /// Arithmetic of the standard: 11-bit characters, a read of N registers is 8
    /// bytes there and 5 + 2N back, two silences.
    #[test]
    fn a_read_costs_its_bytes_two_silences_and_the_turnaround() {
        for (baud, registers, ms) in [
            (9600, 1, 25.2),
            (9600, 10, 45.8),
            (9600, 125, 309.0),
            (19_200, 50, 68.7),
            (38_400, 10, 13.0),
            (57_600, 100, 44.2),
            (115_200, 125, 28.6),
        ] {
            let cost = cost(baud).with_turnaround(Duration::ZERO);
            let found = cost.of_request(&read(registers)).as_secs_f64() * 1000.0;
            assert!(
                (found - ms).abs() <= ms * 0.004,
                "{baud} {registers}: {found}"
            );
            let slow = cost.with_turnaround(Duration::from_millis(20));
            let more = slow.of_request(&read(registers)) - cost.of_request(&read(registers));
            assert_eq!(more, Duration::from_millis(20));
        }
    }

    #[test]
    fn on_tcp_a_request_costs_a_round_trip_whatever_it_asks() {
        let spec = installation(tcp(), vec![profile(vec![])]);
        let cost = Cost::of(&spec.ports[0].line, &spec.devices[0]);
        assert_eq!(cost.of_request(&read(1)), ASSUMED_ROUND_TRIP);
        assert_eq!(cost.of_request(&read(125)), ASSUMED_ROUND_TRIP);
    }

    fn server(framing: Option<Framing>, baud: u32) -> Spec {
        let mut port = behind(baud);
        if let LineSpec::Tcp(tcp) = &mut port.line {
            tcp.framing = framing;
        }
        installation(port, vec![profile(vec![])])
    }

    /// The same figures as on a line of the gateway's own, except the longer silence in front
    /// of a serial server.
    #[test]
    fn behind_a_server_a_read_costs_its_characters_as_well_if_their_rate_is_said() {
        for (framing, baud, registers, ms) in [
            (None, 9600, 10, 45.8),
            (None, 115_200, 125, 28.6),
            (Some(Framing::Rtu), 9600, 10, 45.8 + 5.0 - 4.01),
            (Some(Framing::Rtu), 1200, 1, 8.0 * 25.2),
            (
                Some(Framing::Ascii),
                9600,
                1,
                17.0 * 1.1458 + 15.0 * 1.1458 + 4.01 + 5.0,
            ),
        ] {
            let spec = server(framing, baud);
            let cost = Cost::of(&spec.ports[0].line, &spec.devices[0]);
            let prompt = cost.with_turnaround(Duration::ZERO);
            let found = prompt.of_request(&read(registers)).as_secs_f64() * 1000.0;
            assert!(
                (found - ms).abs() <= ms * 0.004,
                "{framing:?} {baud} {registers}: {found}"
            );
            let waits = cost.of_request(&read(registers)) - prompt.of_request(&read(registers));
            assert_eq!(waits, ASSUMED_TURNAROUND + ASSUMED_ROUND_TRIP);
        }
    }

    #[test]
    fn what_was_measured_through_a_server_is_the_same_turnaround_whatever_was_asked() {
        let spec = server(None, 9600);
        let cost = Cost::of(&spec.ports[0].line, &spec.devices[0]);
        let character = Silence::of_characters(spec.ports[0].line.behind().unwrap()).character();
        for registers in [1u16, 10, 125] {
            let bytes = 8 + 5 + 2 * u32::from(registers);
            let took = character * bytes + Duration::from_millis(20);
            let read = BlockAddress::Modbus(EntryRange {
                table: Table::HoldingRegister,
                start: 0,
                count: registers,
            });
            let gap = cost.without_line_behind(&read, took);
            assert_eq!(gap, Duration::from_millis(20));
            // On a line of the gateway's own only the gap is measured to begin with.
            let own = installation(serial(9600), vec![]);
            let own = Cost::of(&own.ports[0].line, &spec.devices[0]);
            assert_eq!(own.without_line_behind(&read, took), took);
        }
    }

    #[test]
    fn the_average_follows_and_one_outlier_does_not_move_it_far() {
        let mut seen = Measured::default();
        for _ in 0..7 {
            seen.note(Duration::from_millis(8));
        }
        assert_eq!(seen.mean(), None, "too early to tell");
        seen.note(Duration::from_millis(8));
        seen.note(Duration::from_millis(88));
        assert_eq!(seen.mean(), Some(Duration::from_millis(18)));
        for _ in 0..60 {
            seen.note(Duration::from_millis(20));
        }
        let mean = seen.mean().unwrap();
        assert!(mean.abs_diff(Duration::from_millis(20)) < Duration::from_micros(100));
    }
}

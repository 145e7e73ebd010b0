//! What a request costs in time on the wire: the one formula that the planner,
//! the forecast of a line's load and the schedule share.
//!
//! On a serial line, one transaction is
//!
//! ```text
//! rest + request + t3.5 + turnaround + reply + t3.5
//! ```
//!
//! where the first t3.5 ends the request, the last one the reply (Modbus over
//! Serial Line V1.02 §2.5.1.1), `turnaround` is what the unit takes on top and
//! `rest` what the configuration grants it. On TCP characters cost nothing and a
//! transaction is one round trip.
//!
//! Behind a serial server that round trip has a line in it whose speed nobody here
//! knows, and a speed that was only assumed could refuse an installation that is
//! fine. It is therefore reckoned like any other on TCP: what is foretold of such a
//! line's load is the least it can be, unless `reply_delay` says what a reply
//! takes, and requests are merged across more addresses than a slow line would
//! like. That costs time and never a value; `holes` and `max_registers` keep them
//! apart, and the measured load is told as of every line. Pure arithmetic, in nanoseconds, so that sums
//! do not drift.

use std::time::Duration;

use crate::base::UnitId;
use crate::spec::{DeviceSpec, Framing, LineSpec, ProfileSpec};

use super::modbus::Ask;
use super::phrase::lengths;
use super::plan::ReadBlock;
use super::silence::Silence;
use super::{ascii, rtu};

/// What a unit on a serial line is taken to need beyond t3.5 as long as nobody
/// has said or measured otherwise. Meters and modules take 2 to 50 ms.
pub const ASSUMED_TURNAROUND: Duration = Duration::from_millis(10);

/// A round trip on TCP as long as nobody has said or measured otherwise.
pub const ASSUMED_ROUND_TRIP: Duration = Duration::from_millis(5);

/// A new measurement moves the estimate by an eighth of the difference, as the
/// smoothed round trip of TCP does (RFC 6298 §2).
const WEIGHT: u32 = 8;

/// What requests to one device cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    silence: Silence,
    serial: bool,
    framing: Framing,
    rest: Duration,
    turnaround: Duration,
}

impl Cost {
    /// For this device on this line, before anything is measured: as its profile
    /// says, or as is assumed.
    #[must_use]
    pub fn of(line: &LineSpec, device: &DeviceSpec) -> Self {
        let serial = matches!(line, LineSpec::Serial(_));
        let assumed = match serial {
            true => ASSUMED_TURNAROUND,
            false => ASSUMED_ROUND_TRIP,
        };
        let own = device.serial.as_ref();
        Cost {
            silence: own.map_or_else(|| Silence::of(line), |own| Silence::of_serial(own)),
            serial,
            framing: line.framing().unwrap_or_default(),
            rest: match serial {
                true => device.turnaround,
                false => Duration::ZERO,
            },
            turnaround: device.profile.reads.reply_delay.unwrap_or(assumed),
        }
    }

    /// The same with another turnaround.
    #[must_use]
    pub const fn with_turnaround(mut self, turnaround: Duration) -> Self {
        self.turnaround = turnaround;
        self
    }

    /// What the unit takes beyond t3.5; on TCP, a round trip.
    #[must_use]
    pub const fn turnaround(&self) -> Duration {
        self.turnaround
    }

    /// How long the line is taken by this request and its reply.
    #[must_use]
    pub fn of_request(&self, ask: &Ask) -> Duration {
        self.of_bytes(ask.pdu().len(), ask.reply_len())
    }

    /// The same for a block of the plan, whatever is spoken.
    #[must_use]
    pub fn of_block(&self, profile: &ProfileSpec, block: &ReadBlock) -> Duration {
        match lengths(profile, block) {
            Some((request, reply)) => self.on_the_wire(request + reply),
            None => self.of_request(&block.ask(UnitId(0))),
        }
    }

    /// The same for PDUs of these lengths.
    #[must_use]
    pub fn of_bytes(&self, request: usize, reply: usize) -> Duration {
        self.on_the_wire(self.frame(request) + self.frame(reply))
    }

    /// Bytes on the line for a PDU of this length.
    fn frame(&self, pdu: usize) -> usize {
        match self.framing {
            Framing::Rtu => rtu::frame_len(pdu),
            Framing::Ascii => ascii::frame_len(pdu),
        }
    }

    fn on_the_wire(&self, bytes: usize) -> Duration {
        if !self.serial {
            return self.turnaround;
        }
        self.rest
            + self.silence.transmission(bytes)
            + self.silence.between_frames() * 2
            + self.turnaround
    }

    /// How long a reply with a PDU of this length takes to arrive, once it has
    /// begun.
    #[must_use]
    pub fn of_reply(&self, reply: usize) -> Duration {
        if !self.serial {
            return Duration::ZERO;
        }
        self.silence.transmission(self.frame(reply))
    }

    /// The same of the reply to this block of the plan, whatever is spoken.
    #[must_use]
    pub fn of_reply_to(&self, profile: &ProfileSpec, block: &ReadBlock) -> Duration {
        match lengths(profile, block) {
            Some((_, reply)) if self.serial => self.silence.transmission(reply),
            Some(_) => Duration::ZERO,
            None => self.of_reply(block.ask(UnitId(0)).reply_len()),
        }
    }

    /// The part of it that grows with what is asked for: without what the unit
    /// takes and what it is granted.
    #[must_use]
    pub fn without_waiting(&self, time: Duration) -> Duration {
        time.saturating_sub(self.turnaround + self.rest)
    }

    /// The unit as it was seen to answer: this long from the end of a request to
    /// the beginning of its reply.
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
    /// One more.
    pub fn note(&mut self, turnaround: Duration) {
        self.mean = match self.seen {
            0 => turnaround,
            _ => (self.mean * (WEIGHT - 1) + turnaround) / WEIGHT,
        };
        self.seen = self.seen.saturating_add(1);
    }

    /// The average, once there is enough to rest on.
    #[must_use]
    pub fn mean(&self) -> Option<Duration> {
        (self.seen >= WEIGHT).then_some(self.mean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::test_spec::{installation, profile, serial, tcp};
    use crate::spec::Table;

    fn cost(baud: u32) -> Cost {
        let spec = installation(serial(baud), vec![profile(vec![])]);
        Cost::of(&spec.ports[0].line, &spec.devices[0])
    }

    fn read(count: u16) -> Ask {
        Ask {
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

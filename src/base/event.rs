//! The words the field side and the rest of the house exchange.

use std::time::Duration;

use super::{DeviceId, Now, PortId, Reading};

/// Why a transaction counts as proof that the device lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The reply that was asked for.
    Answer,
    /// The unit refused the request with this exception code, or a meter with this
    /// error word: it is alive.
    Exception(u8),
    /// Its reply came after we had given up; the values were thrown away.
    Late,
}

/// Why a transaction counts as a miss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Miss {
    /// Not one byte came back in time.
    Silence,
    /// Bytes came, but no frame with a good checksum.
    Garbled,
    /// A good frame, but not the reply that was asked for: wrong unit,
    /// function or byte count.
    Foreign,
    /// A Modbus gateway answered for the unit: exception 0Ah (path
    /// unavailable) or 0Bh (target failed to respond).
    GatewaySaysNo(u8),
    /// The connection broke while waiting.
    ConnectionLost,
}

/// What one transaction proved about one device. Decided in one place,
/// `field/evidence.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The device lives.
    Alive(Proof),
    /// The device was asked and did not prove that it lives.
    Missed(Miss),
}

/// What an adapter heard of our own requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Echoes {
    /// Came back, as it was said that they would.
    pub expected: u32,
    /// Came back although nobody said so, or once too often.
    pub unexpected: u32,
    /// Did not come back although it was said that they would.
    pub missed: u32,
}

/// What a port tells the hub.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldEvent {
    /// The port is open; its devices are being polled.
    PortUp {
        /// Which port.
        port: PortId,
    },
    /// The port cannot be opened, or was lost. Its devices are silent because
    /// of that and are not blamed one by one. Told once per change.
    PortDown {
        /// Which port.
        port: PortId,
        /// The system's words.
        why: String,
    },
    /// One transaction with one device ended.
    Polled {
        /// Which device.
        device: DeviceId,
        /// When it ended.
        at: Now,
        /// What it proved.
        evidence: Evidence,
        /// The values it brought; empty unless the reply was accepted.
        readings: Vec<Reading>,
        /// From the last byte of the request to the first of the reply.
        turnaround: Option<Duration>,
    },
    /// A reply that was accepted held no value for some points. Told after the
    /// [`FieldEvent::Polled`] of the same transaction; the port has told the
    /// operator.
    NoValue {
        /// Which device.
        device: DeviceId,
        /// When the transaction ended.
        at: Now,
        /// Index of each such point in the device's profile, and why.
        points: Vec<(u16, &'static str)>,
    },
    /// A device refuses these points even when it is asked for nothing else; they
    /// are asked for rarely until it gives them again.
    PointsRefused {
        /// Which device.
        device: DeviceId,
        /// Index of each point in the device's profile.
        points: Vec<u16>,
    },
    /// How busy the port was since the last report: wire time, turnaround and
    /// timeouts as a share of the clock, in thousandths. Told every few seconds.
    Load {
        /// Which port.
        port: PortId,
        /// 0 to 1000.
        permille: u16,
    },
    /// What the port heard of itself since the last report. Told before the load,
    /// if there was any.
    Echoes {
        /// Which port.
        port: PortId,
        /// How many.
        echoes: Echoes,
    },
}

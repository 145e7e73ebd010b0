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
    /// A good frame of this very unit came within the time of its reply, but with
    /// another function, length or datum than was asked for: it is alive.
    Mismatched,
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
/// `liveness_evidence.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The device lives.
    Alive(Proof),
    /// The device was asked and did not prove that it lives.
    Missed(Miss),
    /// One request failed as it did before, while the device answers others; or a
    /// probe did, or a write. This says nothing about the device.
    RequestFailed(Miss),
}

/// How a request fails that is made again and again in vain, while its device
/// proves that it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RequestFailure {
    /// The device refuses it: with an exception, or with an error word of DL/T 645.
    Refused,
    /// The device refuses it with an exception that names another function.
    RefusedOtherFunction,
    /// The device says nothing to it.
    Silence,
    /// Its reply is spoilt: bytes come, but no frame with a good checksum.
    Garbled,
    /// The device answers it with a good frame that is not the reply: another
    /// function, length or datum.
    Mismatched,
    /// Frames of others came in place of its reply.
    Foreign,
    /// A gateway on the way answers in place of the device: exception 0Ah or 0Bh.
    Gateway,
    /// The connection is lost whenever it is made.
    ConnectionLost,
}

impl RequestFailure {
    /// Whether nothing of the device itself came back.
    #[must_use]
    pub const fn is_a_miss(self) -> bool {
        match self {
            RequestFailure::Silence
            | RequestFailure::Garbled
            | RequestFailure::Foreign
            | RequestFailure::Gateway
            | RequestFailure::ConnectionLost => true,
            RequestFailure::Refused
            | RequestFailure::RefusedOtherFunction
            | RequestFailure::Mismatched => false,
        }
    }

    /// What a person reads who asks why a point has no value.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            RequestFailure::Refused => {
                "its device refuses it, also when asked for nothing else (see the journal)"
            }
            RequestFailure::RefusedOtherFunction => {
                "its device refuses it with an exception to another function (see the journal)"
            }
            RequestFailure::Silence => {
                "its device says nothing to this request, and answers others (see the journal)"
            }
            RequestFailure::Garbled => {
                "the reply to this request is spoilt, those to others are not (see the journal)"
            }
            RequestFailure::Mismatched => {
                "its device answers this request with another function, length or datum (see the \
                 journal)"
            }
            RequestFailure::Foreign => {
                "frames of others come in place of the reply to this request (see the journal)"
            }
            RequestFailure::Gateway => {
                "a gateway on the way answers this request in place of the device (see the journal)"
            }
            RequestFailure::ConnectionLost => {
                "the connection is lost whenever this request is made (see the journal)"
            }
        }
    }
}

impl From<Miss> for RequestFailure {
    fn from(miss: Miss) -> Self {
        match miss {
            Miss::Silence => RequestFailure::Silence,
            Miss::Garbled => RequestFailure::Garbled,
            Miss::Foreign => RequestFailure::Foreign,
            Miss::GatewaySaysNo(_) => RequestFailure::Gateway,
            Miss::ConnectionLost => RequestFailure::ConnectionLost,
        }
    }
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
    /// The request for these points fails again and again while the device answers
    /// others; it is made ever more rarely until it succeeds.
    PointsFailing {
        /// Which device.
        device: DeviceId,
        /// Index of each point in the device's profile.
        points: Vec<u16>,
        /// How it fails.
        how: RequestFailure,
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
    /// Requests made besides the plan since the last report. Told before the load, if
    /// there were any.
    Probes {
        /// Which port.
        port: PortId,
        /// How many.
        count: u32,
    },
}

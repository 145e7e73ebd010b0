//! The types by which the field side and the other rooms exchange events.

use std::time::Duration;

use super::{BusEnd, CommandNumber, DeviceId, EventKind, LogSubject, Mono, Now, PortId, Reading};

/// Why a transaction counts as proof that the device lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LivenessProof {
    /// The reply to the request.
    Answer,
    /// The unit refused the request with this exception code, or a meter refused it with this
    /// error word. The device is alive.
    Exception(u8),
    /// The device's reply came after the request was given up. Its values were dropped.
    Late,
    /// A good frame of this unit came within the time of its reply, but with another function,
    /// length or datum than requested. The device is alive.
    Mismatched,
}

/// Why a transaction counts as a miss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissReason {
    /// Not one byte came back in time.
    Silence,
    /// Bytes came, but no frame with a good checksum.
    Garbled,
    /// A good frame came, but not the reply to the request: wrong unit, function or byte count.
    Foreign,
    /// A Modbus gateway answered for the unit: exception 0Ah (path
    /// unavailable) or 0Bh (target failed to respond).
    GatewayException(u8),
    /// The connection broke during the wait for the reply.
    ConnectionLost,
}

/// What one transaction proved about one device. `field/polled_device/liveness_evidence.rs`
/// alone decides it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LivenessEvidence {
    /// The device lives.
    Alive(LivenessProof),
    /// The device was polled and did not prove that it lives.
    Missed(MissReason),
    /// One request failed as it did before, while the device answers others; or a probe failed,
    /// or a write. This failure says nothing about the device.
    RequestFailed(MissReason),
}

/// How a request fails that is repeated in vain, while its device proves that it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RequestFailure {
    /// The device refuses the request: with an exception, or with an error word of DL/T 645.
    Refused,
    /// The device refuses the request with an exception that names another function.
    RefusedOtherFunction,
    /// The device sends nothing in reply to the request.
    Silence,
    /// The reply is spoilt: bytes come, but no frame with a good checksum.
    Garbled,
    /// The device answers the request with a good frame that is not the reply: another
    /// function, length or datum.
    Mismatched,
    /// Frames of other devices came in place of the reply.
    Foreign,
    /// A gateway on the way answers in place of the device: exception 0Ah or 0Bh.
    Gateway,
    /// The connection is lost whenever the request is made.
    ConnectionLost,
}

impl RequestFailure {
    /// Returns whether no bytes of the device itself came back.
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

    /// Returns the words that tell a person why a point has no value.
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
                "its device does not answer this request, and answers others (see the journal)"
            }
            RequestFailure::Garbled => {
                "the reply to this request is spoilt, those to others are not (see the journal)"
            }
            RequestFailure::Mismatched => {
                "its device answers this request with another function, length or datum (see the \
                 journal)"
            }
            RequestFailure::Foreign => {
                "frames of other devices come in place of the reply to this request (see the journal)"
            }
            RequestFailure::Gateway => {
                "a gateway on the way answers this request in place of the device (see the journal)"
            }
            RequestFailure::ConnectionLost => {
                "the connection is lost at each such request (see the journal)"
            }
        }
    }
}

impl From<MissReason> for RequestFailure {
    fn from(miss: MissReason) -> Self {
        match miss {
            MissReason::Silence => RequestFailure::Silence,
            MissReason::Garbled => RequestFailure::Garbled,
            MissReason::Foreign => RequestFailure::Foreign,
            MissReason::GatewayException(_) => RequestFailure::Gateway,
            MissReason::ConnectionLost => RequestFailure::ConnectionLost,
        }
    }
}

/// How often an adapter heard the gateway's own requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Echoes {
    /// Requests that came back, as the configuration says.
    pub expected: u32,
    /// Requests that came back although the configuration does not say so, or that came back
    /// once too often.
    pub unexpected: u32,
    /// Requests that did not come back although the configuration says that they would.
    pub missed: u32,
}

/// Floats of a device that cannot be what it measures, though they are numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImplausibleFloats {
    /// Index of each point in the device's profile.
    pub points: Vec<u16>,
    /// What was seen and what to do, in words.
    pub words: String,
}

/// An event that a port reports to the hub.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldEvent {
    /// A command is about to write: the first request of it that changes a device is sent next.
    CommandBegun(CommandNumber),
    /// A command has ended. The values that it read have been reported before.
    CommandEnded(BusEnd),
    /// The port is open; its devices are being polled.
    PortUp {
        /// Which port.
        port: PortId,
    },
    /// The port cannot be opened, or was lost. Its devices are silent because of the port and
    /// are not blamed one by one. The event is reported once per change.
    PortDown {
        /// Which port.
        port: PortId,
        /// The system's words for the reason.
        why: String,
    },
    /// A port that is down was tried again in vain, or for the first time: why, and when the next
    /// attempt is. The reason may be another than at first.
    PortRetried {
        /// Which port.
        port: PortId,
        /// The reason of this attempt.
        why: String,
        /// When it is tried again.
        next: Mono,
    },
    /// One transaction with one device ended.
    Polled {
        /// Which device.
        device: DeviceId,
        /// When the transaction ended.
        at: Now,
        /// What the transaction proved.
        evidence: LivenessEvidence,
        /// The values that the transaction brought; empty unless the reply was accepted.
        readings: Vec<Reading>,
        /// The time from the last byte of the request to the first byte of the reply.
        turnaround: Option<Duration>,
    },
    /// A reply that was accepted held no value for some points. The event follows the
    /// [`FieldEvent::Polled`] of the same transaction. The port has already logged it for the
    /// operator.
    NoValue {
        /// Which device.
        device: DeviceId,
        /// When the transaction ended.
        at: Now,
        /// Index of each such point in the device's profile, and why.
        points: Vec<(u16, &'static str)>,
    },
    /// The request for these points fails again and again while the device answers others. The
    /// request is made ever more rarely until it succeeds.
    PointsFailing {
        /// Which device.
        device: DeviceId,
        /// Index of each point in the device's profile.
        points: Vec<u16>,
        /// How the request fails.
        how: RequestFailure,
    },
    /// What is thought of the floats of a device has changed. The port has already logged it for
    /// the operator.
    FloatsJudged {
        /// Which device.
        device: DeviceId,
        /// Its floats that are implausible throughout; `None`: they are plausible.
        implausible: Option<ImplausibleFloats>,
    },
    /// A log event of the port or of one of its devices that stands until another takes it back.
    /// The port has already logged it for the operator.
    Noticed {
        /// What the event is about.
        about: LogSubject,
        /// Its kind.
        kind: EventKind,
        /// The event in words.
        words: String,
    },
    /// How busy the port was since the last report: wire time, turnaround and timeouts as a
    /// share of the clock, in thousandths. The port reports it every few seconds.
    Load {
        /// Which port.
        port: PortId,
        /// The load, 0 to 1000.
        permille: u16,
    },
    /// How often the port heard its own requests since the last report. The event comes before
    /// the load, if there were echoes.
    Echoes {
        /// Which port.
        port: PortId,
        /// The counts of echoes.
        echoes: Echoes,
    },
    /// Requests made outside the plan since the last report. The event comes before the load,
    /// if there were such requests.
    Probes {
        /// Which port.
        port: PortId,
        /// How many requests.
        count: u32,
    },
}

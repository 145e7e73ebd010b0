//! What was seen on a bus when it was asked something outside the plan.

use std::time::Duration;

use crate::spec::Characters;

/// What came of one question to a bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusObservation {
    /// The name of the port.
    pub port: String,
    /// The name of the device that was asked; `None` for an address at which none is configured.
    pub device: Option<String>,
    /// The settings of the line; `None`: as configured.
    pub settings: Option<Characters>,
    /// How long the beginning of a reply was waited for.
    pub waited: Duration,
    /// What came.
    pub outcome: BusOutcome,
    /// From the last byte of the request to the first of the reply, if there was one.
    pub turnaround: Option<Duration>,
    /// Whether it was listened on after the first reply, so that a second would have counted.
    pub listened_on: bool,
    /// Whether a second reply with other values followed the first.
    pub second_reply: bool,
}

/// What came in reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BusOutcome {
    /// The reply that was asked for.
    Answered,
    /// A refusal with this exception: the device is there.
    Exception(u8),
    /// Not one byte.
    Silence,
    /// So many bytes that are no frame.
    Noise(u32),
    /// The request itself, and nothing else.
    Echo,
}

impl BusOutcome {
    /// Returns whether a device has understood the request.
    #[must_use]
    pub const fn is_understood(self) -> bool {
        matches!(self, BusOutcome::Answered | BusOutcome::Exception(_))
    }
}

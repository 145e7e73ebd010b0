//! One transaction: what the schedule asks the port to do, and how it ended.

use std::time::Duration;

use crate::base::{DeviceId, Miss, Mono};

use super::modbus::{Ask, Data};

/// One request to one device, and what to make of the reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Whom.
    pub device: DeviceId,
    /// The request.
    pub ask: Ask,
    /// Indices of the points it carries; none for a fence.
    pub points: Vec<u16>,
    /// From the last byte of the request until the first of the reply.
    pub timeout: Duration,
    /// Extra quiet time before the request.
    pub turnaround: Duration,
    /// Whether a matching reply can only be the reply to this request. If not,
    /// it proves that the unit lives, and its values are dropped.
    pub trusted: bool,
    /// When it was handed out.
    pub asked: Mono,
    /// Which block of the device it is, for the schedule.
    pub(super) block: usize,
    /// Whether it reads the whole block.
    pub(super) whole: bool,
}

impl Job {
    /// Whether it asks for nothing of interest, only for an unmistakable reply
    /// ([`super::doubt`]).
    #[must_use]
    pub const fn is_fence(&self) -> bool {
        self.points.is_empty()
    }

    /// Whether it reads all that is read together, and not for once a part.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.whole
    }
}

/// How a transaction ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The reply that was asked for.
    Answered(Data),
    /// An exception with this code came back.
    Exception(u8),
    /// No reply.
    Missed(Miss),
}

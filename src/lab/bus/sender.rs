//! The senders on a line, and what the line has received.

use super::frame;
use super::pace::Pace;
use crate::base::Mono;

/// The bytes on the wire since the last silence.
#[derive(Clone, Debug, Default)]
pub(super) struct Burst {
    pub bytes: Vec<u8>,
    pub master: bool,
    pub units: bool,
    pub spoilt: bool,
    pub end: Mono,
}

impl Burst {
    pub(super) fn take(&mut self, bytes: &[u8], end: Mono) {
        // Bounded however long a sender talks without a pause: more than a frame is not
        // a frame.
        let room = (frame::RTU_MAX + 1).saturating_sub(self.bytes.len());
        self.bytes
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.end = self.end.max(end);
    }
}

/// A sender whose bytes are on their way to the master.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    pub start: Mono,
    pub bytes: Vec<u8>,
    pub sent: usize,
    /// Whether this is the echo of the adapter: it is not on the wire a second time.
    pub echo: bool,
    pub collided: bool,
    /// What the master received of it, if another sender collided with it.
    pub received: Vec<u8>,
}

impl Sender {
    pub(super) fn new(start: Mono, bytes: Vec<u8>, echo: bool) -> Self {
        Sender {
            start,
            bytes,
            sent: 0,
            echo,
            collided: false,
            received: Vec::new(),
        }
    }

    pub(super) fn end(&self, pace: Pace) -> Mono {
        self.start + pace.characters(self.bytes.len())
    }

    /// Returns when the next group is complete, and up to which character it goes.
    pub(super) fn next(&self, pace: Pace) -> (Mono, usize) {
        let upto = (self.sent + pace.group.max(1)).min(self.bytes.len());
        (self.start + pace.characters(upto), upto)
    }
}

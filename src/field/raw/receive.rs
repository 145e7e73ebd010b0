//! Finds the reply among all bytes that the line delivers.
//!
//! The contract is that of [`crate::field::modbus::rtu::Receiver`]: the receiver is given
//! bytes and silences, and how the bytes were split makes no difference. A reply ends by its
//! length, its terminator, or silence; only a reply that fits its shape to the letter is
//! taken. Our own request in front of the reply is an echo of the adapter and is skipped.

use crate::base::Miss;

use super::Shape;
use super::reply::{End, LONGEST};

/// What else was on the line, besides the reply. The sender is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Our own requests, heard back through the adapter.
    pub echoes: u32,
    /// Bytes that were not the reply.
    pub noise: u32,
}

/// How listening ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The reply, whole.
    Reply(Vec<u8>),
    /// Bytes of a reply's length came that are no reply; waiting longer is of no use.
    Spoiled,
}

/// Listens for the reply to one request.
#[derive(Clone, Debug)]
pub struct Receiver {
    shape: Shape,
    request: Vec<u8>,
    unread: Vec<u8>,
    /// Whether the bytes since the last silence ended like a reply and were none.
    spoiled: bool,
    /// Whether more bytes came without a pause than any reply has: the rest is noise too.
    babbling: bool,
    heard: Heard,
    ended: bool,
}

impl Receiver {
    /// Listens for a reply of this shape to these bytes.
    #[must_use]
    pub fn new(shape: Shape, request: &[u8]) -> Self {
        Receiver {
            shape,
            request: request.to_vec(),
            unread: Vec::new(),
            spoiled: false,
            babbling: false,
            heard: Heard::default(),
            ended: false,
        }
    }

    /// Takes the bytes that came. After a verdict everything further is ignored.
    pub fn push(&mut self, bytes: &[u8]) -> Option<Verdict> {
        for byte in bytes {
            if self.ended {
                return None;
            }
            if self.babbling {
                self.count_noise(1);
                continue;
            }
            self.unread.push(*byte);
            if self.skip_echo() {
                continue;
            }
            if !self.may_be_echo() && self.is_complete() && self.shape.fits(self.reply()) {
                self.ended = true;
                return Some(self.verdict());
            }
            if self.unread.len() > LONGEST {
                self.babbling = true;
                self.drop_unread();
            }
        }
        None
    }

    /// Notes that the line has fallen silent: what is unfinished now stays unfinished, or is
    /// whole, if silence is how a reply ends.
    pub fn silence(&mut self) -> Option<Verdict> {
        if self.ended {
            return None;
        }
        self.babbling = false;
        // A request of which only the beginning was heard back is no reply.
        let quiet = matches!(self.shape.end, End::Silence(_)) && !self.may_be_echo();
        if quiet && self.shape.fits(self.reply()) {
            self.ended = true;
            return Some(self.verdict());
        }
        self.spoiled |= quiet && !self.unread.is_empty() && self.starts_like_reply();
        self.drop_unread();
        std::mem::take(&mut self.spoiled).then(|| {
            self.ended = true;
            Verdict::Spoiled
        })
    }

    /// Returns the reply that is there; the bytes before it were noise, except those that may
    /// stand there.
    fn verdict(&mut self) -> Verdict {
        let reply = self.reply().to_vec();
        let before = self.unread.len() - reply.len();
        let before = self.unread.get(..before).unwrap_or_default();
        let noise = before.iter().rev();
        let noise = noise.skip_while(|b| Some(**b) == self.shape.preamble);
        self.count_noise(noise.count());
        Verdict::Reply(reply)
    }

    /// Skips our own request, if it stands whole at the head of the unread bytes.
    fn skip_echo(&mut self) -> bool {
        if self.request.is_empty() || self.unread != self.request {
            return false;
        }
        self.unread.clear();
        self.heard.echoes = self.heard.echoes.saturating_add(1);
        true
    }

    /// Whether the unread bytes may yet become our own request.
    fn may_be_echo(&self) -> bool {
        self.request.starts_with(&self.unread)
    }

    /// Returns the unread bytes from where a reply may begin.
    fn reply(&self) -> &[u8] {
        let beginning = self.shape.beginning();
        if beginning.is_empty() {
            return &self.unread;
        }
        let at = self
            .unread
            .windows(beginning.len())
            .position(|w| w == beginning);
        &self.unread[at.unwrap_or(self.unread.len())..]
    }

    fn starts_like_reply(&self) -> bool {
        self.shape.beginning().is_empty() || !self.reply().is_empty()
    }

    /// Whether the bytes that may be a reply have come to its end; notes when they have and
    /// are no reply.
    fn is_complete(&mut self) -> bool {
        let reply = self.reply();
        let complete = match &self.shape.end {
            End::Length(n) => reply.len() >= *n,
            End::Terminator(t) => !t.is_empty() && reply.ends_with(t),
            End::Silence(_) | End::Frame => false,
        };
        if complete && !self.shape.fits(reply) {
            self.spoiled = true;
            return false;
        }
        complete
    }

    fn drop_unread(&mut self) {
        let bytes = self.unread.len();
        self.unread.clear();
        self.count_noise(bytes);
    }

    fn count_noise(&mut self, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.heard.noise = self.heard.noise.saturating_add(bytes);
    }

    /// Whether bytes are waiting for the rest of the reply.
    #[must_use]
    pub const fn is_reading(&self) -> bool {
        !self.unread.is_empty()
    }

    /// Whether a reply came to its end and was none.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.spoiled
    }

    /// Whether the reply may have begun among the unread bytes.
    #[must_use]
    pub fn may_go_on(&self) -> bool {
        !self.reply().is_empty()
    }

    /// Returns how the request was missed, when time is up without a verdict.
    #[must_use]
    pub const fn miss(&self) -> Miss {
        if self.heard.noise > 0 || self.is_reading() {
            Miss::Garbled
        } else {
            Miss::Silence
        }
    }

    /// Returns what else was on the line.
    #[must_use]
    pub fn heard(self) -> Heard {
        self.heard
    }

    /// Returns the same, since the last call.
    pub fn take_heard(&mut self) -> Heard {
        std::mem::take(&mut self.heard)
    }
}

#[cfg(test)]
mod tests;

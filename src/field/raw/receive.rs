//! Finds the reply among all bytes that the line delivers.
//!
//! The contract is that of [`crate::field::receiver`]. A reply ends by its length, its terminator,
//! or silence; only a reply that fits its shape to the letter is taken. Our own request in front of
//! the reply is an echo of the adapter and is skipped.

use super::ReplyMarks;
use super::reply::{LONGEST, ReplyEnd};
use crate::field::receiver::{FrameFinder, OtherTraffic};

/// Finds the reply to one question; without a question every byte is noise.
pub type Receiver = crate::field::receiver::Receiver<Finder>;

/// How listening ended; the reply is whole.
pub type ListeningEnd = crate::field::receiver::ListeningEnd<Vec<u8>>;

/// What was sent, and the shape of its reply.
#[derive(Clone, Debug)]
pub struct SentRequest {
    shape: ReplyMarks,
    request: Vec<u8>,
}

impl<B: AsRef<[u8]>> From<(ReplyMarks, B)> for SentRequest {
    fn from((shape, request): (ReplyMarks, B)) -> Self {
        SentRequest {
            shape,
            request: request.as_ref().to_vec(),
        }
    }
}

/// Finds the reply among the bytes of a line.
#[derive(Clone, Debug)]
pub struct Finder(Option<Search>);

impl FrameFinder for Finder {
    type Request = SentRequest;
    type Reply = Vec<u8>;

    fn listening(asked: Option<SentRequest>) -> Self {
        Finder(asked.map(|asked| Search {
            shape: asked.shape,
            request: asked.request,
            unread: Vec::new(),
            spoiled: false,
            babbling: false,
        }))
    }

    fn byte(&mut self, byte: u8, traffic: &mut OtherTraffic) -> Option<ListeningEnd> {
        let Some(search) = &mut self.0 else {
            traffic.count_noise(1);
            return None;
        };
        search.byte(byte, traffic)
    }

    fn silence(&mut self, traffic: &mut OtherTraffic) -> Option<ListeningEnd> {
        self.0.as_mut()?.silence(traffic)
    }

    fn is_reading(&self) -> bool {
        self.0.as_ref().is_some_and(|s| !s.unread.is_empty())
    }

    /// Returns whether a reply came to its end and was none.
    fn is_full(&self) -> bool {
        self.0.as_ref().is_some_and(|s| s.spoiled)
    }

    fn may_go_on(&self) -> bool {
        self.0.as_ref().is_some_and(|s| !s.reply().is_empty())
    }

    fn missing(&self) -> Option<usize> {
        None
    }
}

/// The search for the reply to one question.
#[derive(Clone, Debug)]
struct Search {
    shape: ReplyMarks,
    request: Vec<u8>,
    unread: Vec<u8>,
    /// Whether the bytes since the last silence ended like a reply and were none.
    spoiled: bool,
    /// Whether more bytes came without a pause than any reply has: the rest is noise too.
    babbling: bool,
}

impl Search {
    fn byte(&mut self, byte: u8, traffic: &mut OtherTraffic) -> Option<ListeningEnd> {
        if self.babbling {
            traffic.count_noise(1);
            return None;
        }
        self.unread.push(byte);
        if self.skip_echo(traffic) {
            return None;
        }
        if !self.may_be_echo() && self.is_complete() && self.shape.fits(self.reply()) {
            return Some(self.verdict(traffic));
        }
        if self.unread.len() > LONGEST {
            self.babbling = true;
            self.drop_unread(traffic);
        }
        None
    }

    /// Notes that the line has fallen silent: what is unfinished now stays unfinished, or is
    /// whole, if silence is how a reply ends.
    fn silence(&mut self, traffic: &mut OtherTraffic) -> Option<ListeningEnd> {
        self.babbling = false;
        // A request of which only the beginning was heard back is no reply.
        let quiet = matches!(self.shape.end, ReplyEnd::Silence(_)) && !self.may_be_echo();
        if quiet && self.shape.fits(self.reply()) {
            return Some(self.verdict(traffic));
        }
        self.spoiled |= quiet && !self.unread.is_empty() && self.starts_like_reply();
        self.drop_unread(traffic);
        std::mem::take(&mut self.spoiled).then_some(ListeningEnd::Spoiled)
    }

    /// Returns the reply that is there; the bytes before it were noise, except those that may
    /// stand there.
    fn verdict(&self, traffic: &mut OtherTraffic) -> ListeningEnd {
        let reply = self.reply().to_vec();
        let before = self.unread.len() - reply.len();
        let before = self.unread.get(..before).unwrap_or_default();
        let noise = before.iter().rev();
        let noise = noise.skip_while(|b| Some(**b) == self.shape.preamble);
        traffic.count_noise(noise.count());
        ListeningEnd::Reply(reply)
    }

    /// Skips our own request, if it stands whole at the head of the unread bytes.
    fn skip_echo(&mut self, traffic: &mut OtherTraffic) -> bool {
        if self.request.is_empty() || self.unread != self.request {
            return false;
        }
        self.unread.clear();
        traffic.count_echo();
        true
    }

    /// Returns whether the unread bytes may yet become our own request.
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

    /// Returns whether the bytes that may be a reply have come to its end; notes when they have and
    /// are no reply.
    fn is_complete(&mut self) -> bool {
        let reply = self.reply();
        let complete = match &self.shape.end {
            ReplyEnd::Length(n) => reply.len() >= *n,
            ReplyEnd::Terminator(t) => !t.is_empty() && reply.ends_with(t),
            ReplyEnd::Silence(_) | ReplyEnd::Frame => false,
        };
        if complete && !self.shape.fits(reply) {
            self.spoiled = true;
            return false;
        }
        complete
    }

    fn drop_unread(&mut self, traffic: &mut OtherTraffic) {
        traffic.count_noise(self.unread.len());
        self.unread.clear();
    }
}

#[cfg(test)]
mod tests;

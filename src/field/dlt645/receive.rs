//! Finds the one reply that was asked for among all bytes that the line delivers.
//!
//! The contract is that of [`crate::field::receiver`]. Wake-up bytes in front of a frame belong to
//! the frame. A reply is taken at once when it stands at the head of the unread bytes, or behind
//! noise in which no frame can have begun: a pause of this protocol is half a second, the time of
//! eight requests. Everything else behind noise is sorted at the next silence, when it is certain
//! that it is not a part of a longer frame.

use crate::field::receiver::{FrameFinder, OtherTraffic};
use crate::spec::BusAddress;

use super::frame::{END, FRAME_OVERHEAD, MAX_DATA, START, WAKE_UP};
use super::{Frame, MeterAddress, MeterRequest, Reply};

/// How many bytes of a burst are kept; a line that sends more without a pause babbles.
const MAX_BURST: usize = 2 * (MAX_DATA + FRAME_OVERHEAD);

/// A burst of this length that begins like the reply was the reply, spoiled: the shortest
/// reply is a refusal.
const SPOILED: usize = FRAME_OVERHEAD + 1;

/// How many meters are remembered by address as overheard; a line has no more.
const OVERHEARD: usize = 64;

/// Finds the reply to one request, or, without a request, all frames that pass by.
pub type Receiver = crate::field::receiver::Receiver<Finder>;

/// How listening ended; the reply is never [`Reply::Stranger`].
pub type ListeningEnd = crate::field::receiver::ListeningEnd<Reply>;

/// Finds the reply among the bytes of a line.
#[derive(Clone, Debug)]
pub struct Finder {
    ask: Option<(MeterRequest, Frame)>,
    unread: Vec<u8>,
}

/// What the head of the unread bytes is.
enum Head {
    /// There are not enough bytes to decide.
    Unfinished,
    /// A whole frame of this many bytes, wake-up bytes included.
    Frame(usize, Frame),
    /// No frame starts here.
    Nothing,
}

impl FrameFinder for Finder {
    type Request = MeterRequest;
    type Reply = Reply;

    fn listening(ask: Option<MeterRequest>) -> Self {
        Finder {
            unread: match ask {
                Some(_) => Vec::with_capacity(MAX_DATA),
                None => Vec::new(),
            },
            ask: ask.map(|ask| {
                let request = ask.frame();
                (ask, request)
            }),
        }
    }

    fn byte(&mut self, byte: u8, traffic: &mut OtherTraffic) -> Option<ListeningEnd> {
        self.unread.push(byte);
        if self.unread.len() >= MAX_BURST {
            return self.silence(traffic);
        }
        let head = self.take_head(traffic);
        head.or_else(|| self.take_behind_noise(traffic))
    }

    fn silence(&mut self, traffic: &mut OtherTraffic) -> Option<ListeningEnd> {
        let burst = std::mem::take(&mut self.unread);
        let spoiled = self.starts_like_reply(&burst);
        let mut rest = &burst[..];
        let mut unreadable = 0usize;
        while !rest.is_empty() {
            if let Head::Frame(len, frame) = head(rest) {
                rest = &rest[len..];
                if let Some(reply) = self.sort(&frame, traffic) {
                    traffic.count_noise(unreadable + rest.len());
                    return Some(ListeningEnd::Reply(reply));
                }
            } else {
                rest = &rest[1..];
                unreadable += 1;
            }
        }
        traffic.count_noise(unreadable);
        (spoiled && unreadable >= SPOILED).then_some(ListeningEnd::Spoiled)
    }

    fn is_reading(&self) -> bool {
        !self.unread.is_empty()
    }

    /// Returns whether the frame at the head of the unread bytes is as long as its length field
    /// says.
    fn is_full(&self) -> bool {
        !matches!(head(&self.unread), Head::Unfinished)
    }

    fn may_go_on(&self) -> bool {
        self.unread.iter().any(|b| matches!(*b, START | WAKE_UP))
    }

    fn missing(&self) -> Option<usize> {
        None
    }
}

impl Finder {
    fn take_head(&mut self, traffic: &mut OtherTraffic) -> Option<ListeningEnd> {
        let Head::Frame(len, frame) = head(&self.unread) else {
            return None;
        };
        self.unread.drain(..len);
        self.sort(&frame, traffic).map(ListeningEnd::Reply)
    }

    /// Takes the reply, if it has just ended and only noise is in front of it.
    fn take_behind_noise(&mut self, traffic: &mut OtherTraffic) -> Option<ListeningEnd> {
        let (ask, _) = self.ask.as_ref()?;
        if self.unread.last() != Some(&END) {
            return None;
        }
        let begins = |at: &usize| !matches!(head(&self.unread[*at..]), Head::Nothing);
        let at = (0..self.unread.len()).find(begins)?;
        let Head::Frame(len, frame) = head(&self.unread[at..]) else {
            return None;
        };
        let reply = ask.judge(&frame);
        if at + len != self.unread.len() || reply == Reply::Stranger {
            return None;
        }
        self.unread.clear();
        traffic.count_noise(at);
        Some(ListeningEnd::Reply(reply))
    }

    fn starts_like_reply(&self, burst: &[u8]) -> bool {
        let woken = burst.iter().position(|b| *b != WAKE_UP);
        let frame = &burst[woken.unwrap_or(burst.len())..];
        match (&self.ask, frame.first_chunk::<9>()) {
            (Some((ask, request)), Some([START, wire @ .., START, control])) => {
                // The meter refused or has more to send: the function is what counts.
                control & 0x9F == request.control.0 | 0x80
                    && ask.address.means(MeterAddress::from_wire(*wire))
            }
            _ => false,
        }
    }

    fn sort(&self, frame: &Frame, traffic: &mut OtherTraffic) -> Option<Reply> {
        if let Some((ask, request)) = &self.ask {
            if frame == request {
                traffic.count_echo();
                return None;
            }
            let reply = ask.judge(frame);
            if reply != Reply::Stranger {
                return Some(reply);
            }
        }
        traffic.count_foreign();
        let from = frame.address;
        let speaks = frame.control.is_reply() && from.is_one_meter();
        let sender = BusAddress::Dlt645(from);
        let is_known = traffic.overheard.contains(&sender);
        if speaks && !is_known && traffic.overheard.len() < OVERHEARD {
            traffic.overheard.push(sender);
        }
        None
    }
}

/// Returns what stands at the head of `bytes`.
fn head(bytes: &[u8]) -> Head {
    let Some(woken) = bytes.iter().position(|b| *b != WAKE_UP) else {
        return Head::Unfinished;
    };
    let frame = &bytes[woken..];
    let starts = |at: usize| frame.get(at).is_none_or(|b| *b == START);
    if !starts(0) || !starts(7) {
        return Head::Nothing;
    }
    let Some(length) = frame.get(9) else {
        return Head::Unfinished;
    };
    let len = usize::from(*length) + FRAME_OVERHEAD;
    if len > MAX_DATA + FRAME_OVERHEAD {
        return Head::Nothing;
    }
    match frame.get(..len) {
        None => Head::Unfinished,
        Some(whole) if whole.last() == Some(&END) => {
            Frame::open(whole).map_or(Head::Nothing, |f| Head::Frame(woken + len, f))
        }
        Some(_) => Head::Nothing,
    }
}

#[cfg(test)]
mod tests;

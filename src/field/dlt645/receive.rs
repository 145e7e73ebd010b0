//! Finds the one reply that was asked for among all bytes that the line delivers.
//!
//! The contract is that of [`crate::field::modbus::rtu::Receiver`]: the receiver is given
//! bytes and silences, and how the bytes were split makes no difference. Wake-up bytes in
//! front of a frame belong to the frame. A reply is taken at once when it stands at the head
//! of the unread bytes, or behind noise in which no frame can have begun: a pause of this
//! protocol is half a second, the time of eight requests. Everything else behind noise is
//! sorted at the next silence, when it is certain that it is not a part of a longer frame.

use crate::base::Miss;

use super::frame::{AROUND, END, MAX_DATA, START, WAKE_UP};
use super::{Address, Frame, MeterRequest, Reply};

/// How many bytes of a burst are kept; a line that sends more without a pause babbles.
const MAX_BURST: usize = 2 * (MAX_DATA + AROUND);

/// A burst of this length that begins like the reply was the reply, spoiled: the shortest
/// reply is a refusal.
const SPOILED: usize = AROUND + 1;

/// How many meters are remembered by address as overheard; a line has no more.
const OVERHEARD: usize = 64;

/// What else was on the line, besides the reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Meters whose well-formed replies passed by without being waited for.
    pub overheard: Vec<Address>,
    /// Well-formed frames that were not the reply, `overheard` included.
    pub foreign: u32,
    /// Our own requests, heard back through the adapter.
    pub echoes: u32,
    /// Bytes that belong to no well-formed frame.
    pub noise: u32,
}

/// How listening ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The meter answered or refused; never [`Reply::Stranger`].
    Reply(Reply),
    /// A frame came and was spoiled beyond reading; waiting longer is of no use.
    Spoiled,
}

/// Listens for the reply to one request, or, without a request, to all frames that pass by.
#[derive(Clone, Debug)]
pub struct Receiver {
    ask: Option<(MeterRequest, Frame)>,
    unread: Vec<u8>,
    heard: Heard,
    ended: bool,
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

impl Receiver {
    /// Listens for the reply to `ask`.
    #[must_use]
    pub fn new(ask: MeterRequest) -> Self {
        let request = ask.frame();
        Receiver {
            ask: Some((ask, request)),
            unread: Vec::with_capacity(MAX_DATA),
            heard: Heard::default(),
            ended: false,
        }
    }

    /// Listens without a request.
    #[must_use]
    pub fn idle() -> Self {
        Receiver {
            ask: None,
            unread: Vec::new(),
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
            self.unread.push(*byte);
            let verdict = if self.unread.len() >= MAX_BURST {
                self.silence()
            } else {
                self.take_head().or_else(|| self.take_behind_noise())
            };
            if verdict.is_some() {
                self.ended = true;
                return verdict;
            }
        }
        None
    }

    fn take_head(&mut self) -> Option<Verdict> {
        let Head::Frame(len, frame) = head(&self.unread) else {
            return None;
        };
        self.unread.drain(..len);
        self.sort(&frame).map(Verdict::Reply)
    }

    /// Takes the reply, if it has just ended and only noise is in front of it.
    fn take_behind_noise(&mut self) -> Option<Verdict> {
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
        self.count_noise(at);
        Some(Verdict::Reply(reply))
    }

    /// Notes that the line has fallen silent: what is unfinished now stays unfinished.
    pub fn silence(&mut self) -> Option<Verdict> {
        let burst = std::mem::take(&mut self.unread);
        let spoiled = self.starts_like_reply(&burst);
        let mut rest = &burst[..];
        let mut unreadable = 0usize;
        while !rest.is_empty() {
            if let Head::Frame(len, frame) = head(rest) {
                rest = &rest[len..];
                if let Some(reply) = self.sort(&frame) {
                    self.ended = true;
                    self.count_noise(unreadable + rest.len());
                    return Some(Verdict::Reply(reply));
                }
            } else {
                rest = &rest[1..];
                unreadable += 1;
            }
        }
        self.count_noise(unreadable);
        if spoiled && unreadable >= SPOILED {
            self.ended = true;
            return Some(Verdict::Spoiled);
        }
        None
    }

    fn starts_like_reply(&self, burst: &[u8]) -> bool {
        let woken = burst.iter().position(|b| *b != WAKE_UP);
        let frame = &burst[woken.unwrap_or(burst.len())..];
        match (&self.ask, frame.first_chunk::<9>()) {
            (Some((ask, request)), Some([START, wire @ .., START, control])) => {
                // The meter refused or has more to send: the function is what counts.
                control & 0x9F == request.control.0 | 0x80
                    && ask.address.means(Address::from_wire(*wire))
            }
            _ => false,
        }
    }

    fn sort(&mut self, frame: &Frame) -> Option<Reply> {
        if let Some((ask, request)) = &self.ask {
            if frame == request {
                self.heard.echoes = self.heard.echoes.saturating_add(1);
                return None;
            }
            let reply = ask.judge(frame);
            if reply != Reply::Stranger {
                return Some(reply);
            }
        }
        self.heard.foreign = self.heard.foreign.saturating_add(1);
        let from = frame.address;
        let speaks = frame.control.is_reply() && from.is_one_meter();
        let is_known = self.heard.overheard.contains(&from);
        if speaks && !is_known && self.heard.overheard.len() < OVERHEARD {
            self.heard.overheard.push(from);
        }
        None
    }

    fn count_noise(&mut self, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.heard.noise = self.heard.noise.saturating_add(bytes);
    }

    /// Whether bytes are waiting for the rest of their frame.
    #[must_use]
    pub const fn is_reading(&self) -> bool {
        !self.unread.is_empty()
    }

    /// Whether the frame at the head of the unread bytes is as long as its length field says:
    /// if it is no reply by now, it never will be.
    #[must_use]
    pub fn is_full(&self) -> bool {
        !matches!(head(&self.unread), Head::Unfinished)
    }

    /// Whether the reply may have begun among the unread bytes.
    #[must_use]
    pub fn may_go_on(&self) -> bool {
        self.unread.iter().any(|b| matches!(*b, START | WAKE_UP))
    }

    /// Returns how the request was missed, when time is up without a verdict.
    #[must_use]
    pub const fn miss(&self) -> Miss {
        if self.heard.foreign > 0 {
            Miss::Foreign
        } else if self.heard.noise > 0 || self.is_reading() {
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
    let len = usize::from(*length) + AROUND;
    if len > MAX_DATA + AROUND {
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

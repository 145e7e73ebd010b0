//! Modbus ASCII frames: building, checking, and finding the one reply that was
//! asked for.
//!
//! Modbus over Serial Line V1.02 §2.5.2: a colon, two hexadecimal characters per byte, a
//! longitudinal redundancy check, CR LF. A colon can stand nowhere else, so every colon
//! begins a new frame, whatever came before. Capital and small letters are understood. Any
//! other character inside a line spoils the line, a set eighth bit too.
//!
//! Two departures of devices from the standard cost nothing to understand, because the check
//! has to be right all the same. The master can change the second character of the end
//! (§2.5.2.1, diagnostics §6.8 subfunction 03), and some devices send none: a reply is taken
//! as soon as its CR is there, and an LF behind the CR belongs to the reply. And some devices
//! answer with `>` in place of the colon.
//!
//! [`Receiver`] keeps the contract of [`crate::field::receiver`]. Silence is a second here
//! ([`INTER_CHARACTER`]), not three and a half characters.

use std::time::Duration;

use crate::base::UnitId;

use super::write::ModbusRequest;
use crate::field::modbus::{EXCEPTION, Reply};
use crate::field::receiver::{FrameFinder, Mismatch, OtherTraffic};
use crate::spec::BusAddress;

/// Up to this long may pass between two characters of one frame (§2.5.2.1).
pub const INTER_CHARACTER: Duration = Duration::from_secs(1);

/// The longest frame, in characters (§2.5.2.1).
pub const MAX_FRAME: usize = 513;

/// Function and data of one frame: what fits between the unit and the check.
const MAX_PDU: usize = 253;

/// The characters of a line that is long enough to be the reply, spoiled: colon, unit,
/// function and one more byte.
const SPOILED: usize = 7;

/// Puts a PDU into a frame.
#[must_use]
pub fn frame(unit: UnitId, pdu: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(pdu.len() + 2);
    body.push(unit.0);
    body.extend_from_slice(pdu);
    body.push(lrc(&body));
    let mut out = Vec::with_capacity(2 * body.len() + 3);
    out.push(b':');
    for byte in body {
        out.extend([digit(byte >> 4), digit(byte & 15)]);
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// Returns the characters of a frame around a PDU of this length: colon, unit and check in
/// two characters each like the rest, CR LF.
#[must_use]
pub const fn frame_len(pdu: usize) -> usize {
    2 * (pdu + 2) + 3
}

/// Takes a whole frame apart, colon and CR LF included; `None` unless every character is as
/// required and the check is right. The LF may be missing.
#[must_use]
pub fn open(frame: &[u8]) -> Option<(UnitId, Vec<u8>)> {
    let (first, rest) = frame.split_first()?;
    if !starts(*first) {
        return None;
    }
    let digits = rest.strip_suffix(b"\n").unwrap_or(rest);
    let digits = digits.strip_suffix(b"\r")?;
    let (pairs, []) = digits.as_chunks::<2>() else {
        return None;
    };
    let mut body = Vec::with_capacity(pairs.len());
    for [high, low] in pairs {
        body.push(value(*high)? << 4 | value(*low)?);
    }
    let check = body.pop()?;
    let (unit, pdu) = body.split_first()?;
    let fits = (1..=MAX_PDU).contains(&pdu.len()) && lrc(&body) == check;
    fits.then(|| (UnitId(*unit), pdu.to_vec()))
}

/// Returns whether a frame begins with this character.
const fn starts(byte: u8) -> bool {
    matches!(byte, b':' | b'>')
}

/// Returns the two's complement of the sum of all bytes (§6.2.1).
fn lrc(bytes: &[u8]) -> u8 {
    bytes
        .iter()
        .fold(0u8, |sum, b| sum.wrapping_add(*b))
        .wrapping_neg()
}

const fn digit(nibble: u8) -> u8 {
    match nibble {
        0..=9 => b'0' + nibble,
        _ => b'A' + nibble - 10,
    }
}

const fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// Finds the reply to one request, or, without a request, all frames that pass by.
pub type Receiver = crate::field::receiver::Receiver<Finder>;

/// How listening ended; the reply is never [`Reply::Stranger`].
pub type ListeningEnd = crate::field::receiver::ListeningEnd<Reply>;

/// Finds the reply among the characters of a line.
#[derive(Clone, Debug)]
pub struct Finder {
    call: Option<ModbusRequest>,
    /// The frame being read, from its colon on; empty between frames.
    line: Vec<u8>,
    /// Characters since the last silence that belong to no well-formed frame.
    stray: usize,
    /// Whether a line began like the reply and came to nothing.
    spoiled: bool,
}

impl FrameFinder for Finder {
    type Request = ModbusRequest;
    type Reply = Reply;

    fn listening(call: Option<ModbusRequest>) -> Self {
        Finder {
            call,
            line: Vec::new(),
            stray: 0,
            spoiled: false,
        }
    }

    fn byte(&mut self, byte: u8, traffic: &mut OtherTraffic) -> Option<ListeningEnd> {
        let reply = self.take(byte, traffic)?;
        self.count_stray(traffic);
        Some(ListeningEnd::Reply(reply))
    }

    fn silence(&mut self, traffic: &mut OtherTraffic) -> Option<ListeningEnd> {
        self.drop_line();
        self.count_stray(traffic);
        std::mem::take(&mut self.spoiled).then_some(ListeningEnd::Spoiled)
    }

    /// Returns whether characters are waiting for the rest of their frame, or for the silence that
    /// shows what they were.
    fn is_reading(&self) -> bool {
        !self.line.is_empty() || self.stray > 0
    }

    /// Returns whether no frame is being read.
    fn is_full(&self) -> bool {
        self.line.is_empty()
    }

    fn may_go_on(&self) -> bool {
        !self.line.is_empty()
    }

    fn missing(&self) -> Option<usize> {
        None
    }
}

impl Finder {
    fn take(&mut self, byte: u8, traffic: &mut OtherTraffic) -> Option<Reply> {
        if starts(byte) {
            self.drop_line();
            self.line.push(byte);
            return None;
        }
        if self.line.is_empty() {
            // A single LF is the end of a frame that was taken at its CR.
            if byte != b'\n' || self.stray > 0 {
                self.stray = self.stray.saturating_add(1);
            }
            return None;
        }
        self.line.push(byte);
        if byte == b'\r'
            && let Some((unit, pdu)) = open(&self.line)
        {
            self.line.clear();
            return self.sort(unit, &pdu, traffic);
        }
        if value(byte).is_none() || self.line.len() >= MAX_FRAME {
            self.drop_line();
        }
        None
    }

    /// Drops the line that was being read: it is no frame.
    fn drop_line(&mut self) {
        self.spoiled |= self.starts_like_reply();
        self.stray = self.stray.saturating_add(self.line.len());
        self.line.clear();
    }

    fn starts_like_reply(&self) -> bool {
        let (Some(call), true) = (&self.call, self.line.len() >= SPOILED) else {
            return false;
        };
        let byte = |at: usize| {
            let high = value(*self.line.get(at)?)?;
            Some(high << 4 | value(*self.line.get(at + 1)?)?)
        };
        byte(1) == Some(call.unit().0) && byte(3).map(|f| f & !EXCEPTION) == Some(call.function())
    }

    fn sort(&self, unit: UnitId, pdu: &[u8], traffic: &mut OtherTraffic) -> Option<Reply> {
        if let Some(call) = self.call.as_ref().filter(|call| call.unit() == unit) {
            // Our own request comes first: some requests have the shape of their reply
            // (`ReadRequest::echo_looks_like_reply`).
            if !call.is_mirrored() && pdu == call.pdu() {
                traffic.count_echo();
                return None;
            }
            let reply = call.judge(pdu);
            if reply != Reply::Stranger {
                return Some(reply);
            }
            if let ([function, second, ..], true) = (pdu, is_reply(unit, pdu)) {
                traffic.mismatch = Some(Mismatch::of_pdu(*function, *second));
            }
        } else if let (Some(call), [function, second, ..]) = (&self.call, pdu)
            && (call.function(), call.second_byte()) == (*function, *second)
        {
            traffic.misaddressed = Some(unit);
        }
        traffic.count_foreign();
        let sender = BusAddress::Modbus(unit);
        if is_reply(unit, pdu) && !traffic.overheard.contains(&sender) {
            traffic.overheard.push(sender);
        }
        None
    }

    fn count_stray(&mut self, traffic: &mut OtherTraffic) {
        traffic.count_noise(std::mem::take(&mut self.stray));
    }
}

/// Returns whether a frame that was not asked for can only be its unit's own reply. Requests of
/// another master, and a gateway's exception in the name of a unit that it cannot reach (0Ah,
/// 0Bh), prove nothing about the unit.
fn is_reply(unit: UnitId, pdu: &[u8]) -> bool {
    // Unit 0 is broadcast; 248–255 are reserved (§2.2), but devices answer there.
    if unit.0 == 0 {
        return false;
    }
    match *pdu {
        [1..=4, bytes, ref data @ ..] => {
            // A reply of five bytes may as well be a request.
            data.len() == usize::from(bytes) && bytes > 0 && pdu.len() != 5
        }
        [0x81..=0xFF, code] => !matches!(code, 0x0A | 0x0B),
        _ => false,
    }
}

#[cfg(test)]
mod tests;

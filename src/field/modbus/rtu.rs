//! Modbus RTU frames: building, checking, and finding the one reply that was asked for among
//! all bytes that a two-wire line delivers.
//!
//! [`Receiver`] is given bytes as they come and is notified when the line has fallen silent;
//! how the bytes were split makes no difference. A frame counts only whole and with a good
//! checksum (Modbus over Serial Line V1.02 §2.5.1). The reply is taken at once when it stands
//! at the head of the unread bytes. Behind noise it is taken only at the next silence, when
//! it is certain that the reply is not a part of a longer frame.

use crc::{CRC_16_MODBUS, Crc};

use crate::base::UnitId;

use super::write::ModbusRequest;
use crate::field::modbus::{EXCEPTION, Reply};
use crate::field::receiver::{FrameFinder, Mismatch, OtherTraffic, OverheardReply};
use crate::spec::BusAddress;

/// The longest frame (Modbus over Serial Line V1.02 §2.5.1).
pub const MAX_FRAME: usize = 256;

/// How many bytes of a burst are kept; a line that sends more without a pause babbles.
const MAX_BURST: usize = 2 * MAX_FRAME;

/// A burst that starts like the reply and has at least the length of the shortest reply was
/// the reply, spoiled. Any other burst may be noise, and the reply may still come.
const SPOILED: usize = 5;

/// The shortest reply: unit, function, code, checksum.
const EXCEPTION_REPLY: usize = 5;

/// The length of a request that reads: unit, function, address, quantity, checksum. Requests
/// that write are as long or longer, and their replies as long.
const REQUEST: usize = 8;

/// The length of a mask write and of its reply: unit, function, address, two masks, checksum.
const MASK_WRITE: usize = 10;

const CRC: Crc<u16> = Crc::<u16>::new(&CRC_16_MODBUS);

/// Puts a PDU into a frame: unit, PDU, checksum (low byte first).
#[must_use]
pub fn frame(unit: UnitId, pdu: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(pdu.len() + 3);
    out.push(unit.0);
    out.extend_from_slice(pdu);
    let crc = CRC.checksum(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

/// Returns the bytes of a frame around a PDU of this length.
#[must_use]
pub const fn frame_len(pdu: usize) -> usize {
    pdu + 3
}

/// Takes a whole frame apart; `None` if it is too short or its checksum is
/// wrong.
#[must_use]
pub fn open(frame: &[u8]) -> Option<(UnitId, &[u8])> {
    let (body, crc) = frame.split_last_chunk::<2>()?;
    let (unit, pdu) = body.split_first()?;
    (!pdu.is_empty() && CRC.checksum(body).to_le_bytes() == *crc).then_some((UnitId(*unit), pdu))
}

/// Finds the reply to one request, or, without a request, all frames that pass by.
pub type Receiver = crate::field::receiver::Receiver<Finder>;

/// How listening ended; the reply is never [`Reply::Stranger`].
pub type ListeningEnd = crate::field::receiver::ListeningEnd<Reply>;

/// Finds the reply among the bytes of a line.
#[derive(Clone, Debug)]
pub struct Finder {
    call: Option<ModbusRequest>,
    request: Vec<u8>,
    unread: Vec<u8>,
}

/// What the head of the unread bytes is.
enum Head {
    /// There are not enough bytes to decide.
    Unfinished,
    /// A whole frame of this many bytes.
    Frame(usize, FoundFrame),
    /// No frame starts here.
    Nothing,
}

enum FoundFrame {
    Reply(Reply),
    Echo,
    /// The reply of a unit: its PDU.
    Overheard(UnitId, Vec<u8>),
    /// A well-formed frame that proves nothing about its unit: a request of
    /// another master looks like this.
    Foreign,
}

impl FrameFinder for Finder {
    type Request = ModbusRequest;
    type Reply = Reply;

    fn listening(call: Option<ModbusRequest>) -> Self {
        let frame_of = |call: &ModbusRequest| frame(call.unit(), &call.pdu());
        Finder {
            request: call.as_ref().map(frame_of).unwrap_or_default(),
            unread: match call {
                Some(_) => Vec::with_capacity(MAX_FRAME),
                None => Vec::new(),
            },
            call,
        }
    }

    fn byte(&mut self, byte: u8, traffic: &mut OtherTraffic) -> Option<ListeningEnd> {
        self.unread.push(byte);
        if self.unread.len() >= MAX_BURST {
            self.silence(traffic)
        } else {
            self.take_head(traffic)
        }
    }

    fn silence(&mut self, traffic: &mut OtherTraffic) -> Option<ListeningEnd> {
        let mut rest = std::mem::take(&mut self.unread);
        let spoiled = self.starts_like_reply(&rest);
        let mut unreadable = 0usize;
        while !rest.is_empty() {
            if let Head::Frame(len, found) = self.head(&rest, true) {
                rest.drain(..len);
                if let Some(reply) = self.note(found, traffic) {
                    traffic.count_noise(unreadable + rest.len());
                    return Some(ListeningEnd::Reply(reply));
                }
            } else {
                rest.remove(0);
                unreadable += 1;
            }
        }
        traffic.count_noise(unreadable);
        (spoiled && unreadable >= SPOILED).then_some(ListeningEnd::Spoiled)
    }

    fn is_reading(&self) -> bool {
        !self.unread.is_empty()
    }

    /// Returns whether as many bytes have come as the reply has whose beginning they match.
    fn is_full(&self) -> bool {
        self.unread.len() >= self.least()
    }

    fn may_go_on(&self) -> bool {
        let Some(call) = &self.call else {
            return false;
        };
        let unit = call.unit().0;
        let begins = |pair: &[u8]| pair[0] == unit && pair[1] & !EXCEPTION == call.function();
        self.unread.last() == Some(&unit) || self.unread.windows(2).any(begins)
    }

    fn missing(&self) -> Option<usize> {
        Some(self.least().saturating_sub(self.unread.len()).max(1))
    }
}

impl Finder {
    /// Returns how many bytes the reply has, as far as its beginning shows.
    fn least(&self) -> usize {
        let have = self.unread.len();
        match (&self.call, self.unread.as_slice()) {
            (Some(call), [unit, rest @ ..]) if *unit == call.unit().0 => {
                let reply = match rest {
                    [function, third, ..]
                        if *function == call.function() && *third == call.second_byte() =>
                    {
                        call.reply_len() + 3
                    }
                    _ => EXCEPTION_REPLY,
                };
                // Behind an echo the reply is still to come.
                if self.unread.starts_with(&self.request) {
                    have
                } else if self.request.starts_with(&self.unread) {
                    reply.min(self.request.len())
                } else {
                    reply
                }
            }
            _ => EXCEPTION_REPLY,
        }
    }

    fn take_head(&mut self, traffic: &mut OtherTraffic) -> Option<ListeningEnd> {
        let Head::Frame(len, found) = self.head(&self.unread, false) else {
            return None;
        };
        self.unread.drain(..len);
        self.note(found, traffic).map(ListeningEnd::Reply)
    }

    fn note(&self, found: FoundFrame, traffic: &mut OtherTraffic) -> Option<Reply> {
        match found {
            FoundFrame::Reply(reply) => return Some(reply),
            FoundFrame::Echo => traffic.count_echo(),
            FoundFrame::Overheard(unit, pdu) => {
                traffic.count_foreign();
                let [function, second] = match pdu.as_slice() {
                    [function, second, ..] => [*function, *second],
                    _ => [0; 2],
                };
                if let Some(call) = &self.call {
                    if call.unit() == unit {
                        traffic.mismatch = Some(Mismatch::of_pdu(function, second));
                    } else if call.function() == function && call.second_byte() == second {
                        traffic.misaddressed = Some(unit);
                    }
                }
                let sender = BusAddress::Modbus(unit);
                if !traffic.overheard.contains(&sender) {
                    traffic.overheard.push(sender);
                }
                traffic.reply = Some(OverheardReply { unit, pdu });
            }
            FoundFrame::Foreign => traffic.count_foreign(),
        }
        None
    }

    fn starts_like_reply(&self, burst: &[u8]) -> bool {
        match (&self.call, burst) {
            (Some(call), [unit, function, ..]) => {
                *unit == call.unit().0 && function & !EXCEPTION == call.function()
            }
            _ => false,
        }
    }

    /// Returns what stands at the head of `bytes`; `all` says that nothing will be added to
    /// them.
    fn head(&self, bytes: &[u8], all: bool) -> Head {
        // Our own request comes first: some of its echoes, or echoes with zeros behind them,
        // pass every test of a reply. Where the reply has the same bytes as the request, the
        // bytes are no echo: `io/bus/exchange.rs` takes echoes out before.
        let mirrored = self.call.as_ref().is_some_and(ModbusRequest::is_mirrored);
        if !self.request.is_empty() && !mirrored {
            if let Some(behind) = bytes.strip_prefix(self.request.as_slice()) {
                return self.echo_or_reply(bytes, behind, all);
            }
            if !all && self.request.starts_with(bytes) {
                return Head::Unfinished;
            }
        }
        let [unit, function, third, ..] = *bytes else {
            return Head::Unfinished;
        };
        if let Some(call) = self.call.as_ref().filter(|c| c.unit().0 == unit) {
            let expected = if function == call.function() | EXCEPTION {
                Some(5)
            } else if function == call.function() && third == call.second_byte() {
                Some(call.reply_len() + 3)
            } else {
                None
            };
            if let Some(len) = expected {
                let Some(candidate) = bytes.get(..len) else {
                    return Head::Unfinished;
                };
                return match open(candidate).map(|(_, pdu)| call.judge(pdu)) {
                    Some(Reply::Stranger) => of_other_traffic(bytes, unit, function, third),
                    None => Head::Nothing,
                    Some(reply) => Head::Frame(len, FoundFrame::Reply(reply)),
                };
            }
        }
        of_other_traffic(bytes, unit, function, third)
    }

    /// Decides about bytes that begin with our own request and are followed by `behind`: they
    /// are an echo, or a reply whose data happen to begin like the request. Such a reply
    /// takes an address whose high half reads as the reply's byte count. Behind an echo comes
    /// the reply or nothing of use; a reply is as long as was asked for, has a good checksum
    /// and is alone. Zeros prove nothing: the zeros that a floating line adds to an echo keep
    /// its checksum good.
    fn echo_or_reply(&self, bytes: &[u8], behind: &[u8], all: bool) -> Head {
        let echo = Head::Frame(self.request.len(), FoundFrame::Echo);
        let Some(ModbusRequest::Read(ask)) = &self.call else {
            return echo;
        };
        if Some(&ask.shape().bytes) != bytes.get(2) {
            return echo;
        }
        let len = ask.reply_len() + 3;
        if !all && behind.len() < len {
            return Head::Unfinished;
        }
        let alone = bytes.len() == len && behind.iter().any(|b| *b != 0);
        match open(bytes).map(|(_, pdu)| ask.judge(pdu)) {
            Some(reply @ Reply::Answer(_)) if alone => Head::Frame(len, FoundFrame::Reply(reply)),
            _ => echo,
        }
    }
}

/// Recognises frames that were not asked for, by the lengths they may have.
fn of_other_traffic(bytes: &[u8], unit: u8, function: u8, third: u8) -> Head {
    // Unit 0 is broadcast (Modbus over Serial Line V1.02 §2.2): no reply starts like
    // that. Units 248–255 are reserved, but devices answer there.
    if unit == 0 {
        return Head::Nothing;
    }
    let (reply, request) = match function {
        1..=4 => {
            let whole_registers = function <= 2 || third.is_multiple_of(2);
            let reply = (third > 0 && whole_registers).then_some(5 + usize::from(third));
            (reply, Some(REQUEST))
        }
        // Writes: request and reply are alike, or the request is longer.
        5 | 6 | 15 | 16 => (None, Some(REQUEST)),
        22 => (None, Some(MASK_WRITE)),
        0x81..=0xFF => (Some(5), None),
        _ => return Head::Nothing,
    };
    let mut unfinished = false;
    for (len, is_reply) in [(reply, true), (request, false)] {
        let Some(len) = len else { continue };
        match bytes.get(..len) {
            None => unfinished = true,
            Some(candidate) if open(candidate).is_some() => {
                let pdu = open(candidate).map(|(_, pdu)| pdu).unwrap_or_default();
                // A gateway's "your unit does not answer" does not come from the unit.
                let from_unit = !(function >= EXCEPTION && matches!(third, 0x0A | 0x0B));
                let found = if is_reply && len != REQUEST && from_unit {
                    FoundFrame::Overheard(UnitId(unit), pdu.to_vec())
                } else {
                    FoundFrame::Foreign
                };
                return Head::Frame(len, found);
            }
            Some(_) => {}
        }
    }
    if unfinished {
        Head::Unfinished
    } else {
        Head::Nothing
    }
}

#[cfg(test)]
mod tests;

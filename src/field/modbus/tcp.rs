//! Modbus TCP: the MBAP header, matching by transaction id, and finding the reply in a stream
//! that departs from the standard.
//!
//! Modbus Messaging on TCP/IP V1.0b §3.1.3: transaction id, protocol id 0, length, unit, PDU.
//! [`Stream`] lives as long as its connection. A request that timed out leaves its id behind;
//! when its reply comes after all, the reply is recognised and dropped, and later replies
//! still match their requests.
//!
//! The reply to a request is recognised by transaction id, protocol id, unit, function and
//! byte count. The length field is not needed, and devices send wrong lengths:
//! - An exception is nine bytes.
//! - Bytes that belong to no frame (padding, a checksum behind the PDU, another protocol) are
//!   skipped until the header of a reply that is waited for, or of a late reply. Until then
//!   no other header is believed.
//! - A length that promises more bytes than there are holds nothing up: the expected header
//!   is looked for behind the frame.
//! - A reply whose length says less than its byte count, and a reply in whose last bytes
//!   another reply may begin, is taken when the following bytes show that it is whole, or
//!   when nothing follows ([`Stream::silence`]).
//!
//! How the bytes were split makes no difference. Not covered: bytes that are lost or inserted
//! inside of a reply, where nothing behind the reply shows that. Modbus TCP has no checksum.

use std::collections::VecDeque;

use crate::base::UnitId;
use crate::spec::{BusAddress, TransactionIds};

use super::write::ModbusRequest;
use crate::field::modbus::Reply;
use crate::field::receiver::{Mismatch, OtherId, OtherTraffic};

use self::find::{FoundFrame, StreamHead};
use self::header::{HEADER, Header, MAX_PDU, SentRequest};

mod find;
mod header;

/// How many unanswered ids are remembered; the oldest are forgotten, and their
/// replies then count as foreign instead of late.
const REMEMBERED: usize = 128;

/// How many bytes that belong to no frame are kept to be shown.
const SHOWN: usize = 16;

/// Puts a PDU into a frame.
#[must_use]
pub fn frame(transaction: u16, unit: UnitId, pdu: &[u8]) -> Vec<u8> {
    let length = u16::try_from(pdu.len() + 1).unwrap_or(u16::MAX);
    let mut out = Vec::with_capacity(HEADER + pdu.len());
    out.extend_from_slice(&transaction.to_be_bytes());
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(&length.to_be_bytes());
    out.push(unit.0);
    out.extend_from_slice(pdu);
    out
}

/// A whole frame taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Transaction id.
    pub transaction: u16,
    /// The unit that the frame is for or from.
    pub unit: UnitId,
    /// Function and data, 1–253 bytes.
    pub pdu: Vec<u8>,
}

/// The bytes are not Modbus TCP, or have lost their alignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfStep;

/// Takes the first whole frame off `bytes`; `None` until it is complete. For bytes of which
/// nothing is expected.
///
/// # Errors
/// [`OutOfStep`] when the protocol id or the length cannot be right.
pub fn take(bytes: &mut Vec<u8>) -> Result<Option<Frame>, OutOfStep> {
    let Some(&[th, tl, ph, pl, lh, ll]) = bytes.first_chunk::<6>() else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([lh, ll]));
    if [ph, pl] != [0, 0] || !(2..=MAX_PDU + 1).contains(&length) {
        return Err(OutOfStep);
    }
    if bytes.len() < 6 + length {
        return Ok(None);
    }
    let frame = Frame {
        transaction: u16::from_be_bytes([th, tl]),
        unit: UnitId(bytes[6]),
        pdu: bytes[HEADER..6 + length].to_vec(),
    };
    bytes.drain(..6 + length);
    Ok(Some(frame))
}

/// A request is completed: its own id came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completed {
    /// The transaction id of the request.
    pub id: u16,
    /// Answer, confirmation or exception; [`Reply::Stranger`] when the id came back
    /// with another unit, function or length.
    pub reply: Reply,
}

/// One connection's requests and replies.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    ids: TransactionIds,
    unread: Vec<u8>,
    /// Whether bytes were skipped since the last frame: only expected headers count then.
    astray: bool,
    next: u16,
    waiting: Vec<(u16, ModbusRequest)>,
    abandoned: VecDeque<(u16, SentRequest)>,
    /// The requests that were completed last.
    completed: VecDeque<(u16, UnitId)>,
    traffic: OtherTraffic,
    late: u32,
    twice: u32,
    /// The first bytes that belonged to no frame since a request was completed.
    stray: Vec<u8>,
}

impl Stream {
    /// Returns a connection on which nothing has been said.
    #[must_use]
    pub fn new() -> Self {
        Stream::default()
    }

    /// Returns the same, with numbers that go on from an earlier connection: a converter may
    /// send the reply to a request of the earlier connection to the client that is connected
    /// now.
    #[must_use]
    pub fn numbering_from(next: u16, ids: TransactionIds) -> Self {
        Stream {
            next,
            ids,
            ..Stream::default()
        }
    }

    /// Returns the number of the next request.
    #[must_use]
    pub const fn next_number(&self) -> u16 {
        self.next
    }

    /// Returns how replies are matched with their requests.
    #[must_use]
    pub const fn ids(&self) -> TransactionIds {
        self.ids
    }

    /// Passes the number of the next request by: a request that is not of this stream has it.
    pub const fn use_number(&mut self) {
        self.next = self.next.wrapping_add(1);
    }

    /// Returns the frame to send for this request, the only one: a request that was still
    /// waiting is abandoned.
    pub fn send(&mut self, call: impl Into<ModbusRequest>) -> Vec<u8> {
        self.abandon_all();
        self.ask(call).1
    }

    /// Adds a request to those that wait; returns its transaction id and the frame to send.
    /// Where replies are numbered otherwise, only one request can wait.
    pub fn ask(&mut self, call: impl Into<ModbusRequest>) -> (u16, Vec<u8>) {
        let call = call.into();
        if !self.is_numbered() {
            self.abandon_all();
        }
        let taken = |id: u16| {
            self.abandoned.iter().any(|(known, _)| *known == id)
                || self.waiting.iter().any(|(known, _)| *known == id)
        };
        let mut id = self.next;
        while taken(id) {
            id = id.wrapping_add(1);
        }
        self.next = id.wrapping_add(1);
        let request = frame(id, call.unit(), &call.pdu());
        self.waiting.push((id, call));
        (id, request)
    }

    /// Gives up waiting for this request; a reply that still comes is dropped.
    pub fn abandon(&mut self, id: u16) {
        if let Some(at) = self.waiting.iter().position(|(known, _)| *known == id) {
            let (id, call) = self.waiting.remove(at);
            if self.abandoned.len() == REMEMBERED {
                self.abandoned.pop_front();
            }
            let asked = SentRequest::new(id, &call, self.is_numbered());
            self.abandoned.push_back((id, asked));
        }
    }

    /// Gives up waiting for any request.
    pub fn abandon_all(&mut self) {
        while let Some((id, _)) = self.waiting.first() {
            self.abandon(*id);
        }
    }

    /// Takes the bytes that came; returns the requests that they complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Completed> {
        self.unread.extend_from_slice(bytes);
        self.sort(false)
    }

    /// Notes that nothing has followed for a while; returns the requests that this completes.
    pub fn silence(&mut self) -> Vec<Completed> {
        self.sort(true)
    }

    /// Returns whether bytes wait for the bytes that follow them, or for [`Stream::silence`].
    #[must_use]
    pub fn is_reading(&self) -> bool {
        !self.unread.is_empty()
    }

    /// Returns what else came since the last call.
    pub fn traffic(&mut self) -> OtherTraffic {
        std::mem::take(&mut self.traffic)
    }

    /// Returns how many replies came to requests that had been answered, since the last call.
    pub fn take_twice(&mut self) -> u32 {
        std::mem::take(&mut self.twice)
    }

    /// Returns the first bytes that belonged to no frame since a request was completed.
    #[must_use]
    pub fn stray(&self) -> &[u8] {
        &self.stray
    }

    /// Returns how many replies came after their request had been given up.
    #[must_use]
    pub const fn late(&self) -> u32 {
        self.late
    }

    const fn is_numbered(&self) -> bool {
        matches!(self.ids, TransactionIds::Match)
    }

    fn sort(&mut self, all: bool) -> Vec<Completed> {
        let unread = std::mem::take(&mut self.unread);
        let mut rest = unread.as_slice();
        let mut completed = Vec::new();
        while !rest.is_empty() {
            match self.head(rest, all) {
                StreamHead::Unfinished => break,
                StreamHead::Nothing(bytes) => {
                    self.skip(&rest[..bytes]);
                    rest = &rest[bytes..];
                }
                StreamHead::Frame(bytes, found, is_exact) => {
                    let (frame, behind) = rest.split_at(bytes);
                    rest = behind;
                    self.astray = !is_exact;
                    completed.extend(self.note(frame, found));
                }
            }
        }
        self.unread = rest.to_vec();
        completed
    }

    fn skip(&mut self, bytes: &[u8]) {
        self.astray = true;
        let room = SHOWN.saturating_sub(self.stray.len());
        self.stray.extend(bytes.iter().take(room));
        let bytes = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.traffic.noise = self.traffic.noise.saturating_add(bytes);
    }

    fn note(&mut self, frame: &[u8], found: FoundFrame) -> Option<Completed> {
        match found {
            FoundFrame::Own(at, reply) => {
                let (id, call) = self.waiting.remove(at);
                if self.completed.len() == REMEMBERED {
                    self.completed.pop_front();
                }
                self.completed.push_back((id, call.unit()));
                if reply == Reply::Stranger {
                    self.traffic.foreign = self.traffic.foreign.saturating_add(1);
                    if let [.., unit, function, second] =
                        *frame.get(..HEADER + 2).unwrap_or_default()
                        && unit == call.unit().0
                        && !is_gateway_refusal(&frame[HEADER..])
                    {
                        self.traffic.mismatch = Some(Mismatch::of_pdu(function, second));
                    }
                } else {
                    self.stray.clear();
                }
                return Some(Completed { id, reply });
            }
            FoundFrame::Late(at) => {
                self.late = self.late.saturating_add(1);
                if let Some((_, asked)) = self.abandoned.remove(at) {
                    self.overheard(asked.unit, frame);
                }
            }
            FoundFrame::Foreign => {
                self.traffic.foreign = self.traffic.foreign.saturating_add(1);
                if let Some(header) = Header::read(frame) {
                    let again = (header.transaction, header.unit);
                    if self.completed.contains(&again) {
                        self.twice = self.twice.saturating_add(1);
                    }
                    if self.is_numbered() {
                        self.note_other_id(&header, frame);
                    } else {
                        self.overheard(header.unit, frame);
                    }
                }
            }
        }
        None
    }

    fn overheard(&mut self, unit: UnitId, frame: &[u8]) {
        let is_units_own = !is_gateway_refusal(&frame[HEADER..]);
        let sender = BusAddress::Modbus(unit);
        if is_units_own && !self.traffic.overheard.contains(&sender) {
            self.traffic.overheard.push(sender);
        }
    }

    /// Notes a frame that answers no request and may be the reply under another number.
    fn note_other_id(&mut self, header: &Header, frame: &[u8]) {
        if let [(id, call)] = self.waiting.as_slice()
            && call.unit() == header.unit
            && call.judge(&frame[HEADER..]) != Reply::Stranger
        {
            self.traffic.other_id = Some(OtherId {
                seen: header.transaction,
                wanted: *id,
            });
        }
    }
}

/// Returns whether this exception is the gateway's: 0Ah and 0Bh do not come from the unit.
fn is_gateway_refusal(pdu: &[u8]) -> bool {
    matches!(pdu, [0x80..=0xFF, 0x0A | 0x0B])
}

#[cfg(test)]
mod tests;

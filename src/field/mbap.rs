//! Modbus TCP: the MBAP header and matching by transaction id.
//!
//! Modbus Messaging on TCP/IP V1.0b §3.1.3: transaction id, protocol id 0,
//! length, unit, PDU. [`Stream`] lives as long as its connection. A request
//! that timed out leaves its id behind; when its reply comes after all it is
//! recognised and dropped, and nothing is out of step. Only a header that
//! cannot be one ends the connection: without it the next frame cannot be
//! found.

use std::collections::VecDeque;

use crate::base::UnitId;

use super::modbus::Reply;
use super::rtu::Heard;
use super::write::Call;

/// Bytes before the PDU.
const HEADER: usize = 7;

/// The longest PDU (Modbus Application Protocol V1.1b3 §4.1).
const MAX_PDU: usize = 253;

/// How many unanswered ids are remembered; the oldest are forgotten, and their
/// replies then count as foreign instead of late.
const REMEMBERED: usize = 128;

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
    /// Whom it is for or from.
    pub unit: UnitId,
    /// Function and data, 1–253 bytes.
    pub pdu: Vec<u8>,
}

/// The bytes are not Modbus TCP, or have lost their alignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfStep;

/// Takes the first whole frame off `bytes`; `None` until it is complete.
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

/// One connection's requests and replies.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    unread: Vec<u8>,
    next: u16,
    waiting: Option<(u16, Call)>,
    abandoned: VecDeque<(u16, UnitId)>,
    heard: Heard,
    late: u32,
}

impl Stream {
    /// A connection on which nothing has been said.
    #[must_use]
    pub fn new() -> Self {
        Stream::default()
    }

    /// The same, numbering on from an earlier one: a converter may hand a reply to
    /// what was asked there to whoever is connected now.
    #[must_use]
    pub fn numbering_from(next: u16) -> Self {
        Stream {
            next,
            ..Stream::default()
        }
    }

    /// The number of the next request.
    #[must_use]
    pub const fn next_number(&self) -> u16 {
        self.next
    }

    /// The frame to send for this request. What was still waiting is abandoned.
    pub fn send(&mut self, call: impl Into<Call>) -> Vec<u8> {
        let call = call.into();
        self.abandon();
        while self.abandoned.iter().any(|(id, _)| *id == self.next) {
            self.next = self.next.wrapping_add(1);
        }
        let id = self.next;
        self.next = id.wrapping_add(1);
        let request = frame(id, call.unit(), &call.pdu());
        self.waiting = Some((id, call));
        request
    }

    /// Gives up waiting; a reply that still comes is dropped when it does.
    pub fn abandon(&mut self) {
        if let Some((id, call)) = self.waiting.take() {
            if self.abandoned.len() == REMEMBERED {
                self.abandoned.pop_front();
            }
            self.abandoned.push_back((id, call.unit()));
        }
    }

    /// These bytes came. `Some` when they settle the request that is waiting:
    /// answer, exception, or [`Reply::Stranger`] when its own id came back with
    /// another unit, function or length.
    ///
    /// # Errors
    /// [`OutOfStep`]: the connection is of no further use.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Option<Reply>, OutOfStep> {
        self.unread.extend_from_slice(bytes);
        let mut settled = None;
        while let Some(frame) = take(&mut self.unread)? {
            if let Some(reply) = self.sort(&frame) {
                settled = Some(reply);
            }
        }
        Ok(settled)
    }

    fn sort(&mut self, frame: &Frame) -> Option<Reply> {
        if let Some((_, call)) = self.waiting.take_if(|(id, _)| *id == frame.transaction) {
            let reply = if call.unit() == frame.unit {
                call.judge(&frame.pdu)
            } else {
                Reply::Stranger
            };
            if reply == Reply::Stranger {
                self.heard.foreign = self.heard.foreign.saturating_add(1);
            }
            return Some(reply);
        }
        let known = self
            .abandoned
            .iter()
            .position(|(id, unit)| *id == frame.transaction && *unit == frame.unit);
        if let Some(i) = known {
            self.abandoned.remove(i);
            self.late = self.late.saturating_add(1);
            if !self.heard.overheard.contains(&frame.unit) && !is_gateway_refusal(&frame.pdu) {
                self.heard.overheard.push(frame.unit);
            }
        } else {
            self.heard.foreign = self.heard.foreign.saturating_add(1);
        }
        None
    }

    /// What else came since the last time this was asked.
    pub fn heard(&mut self) -> Heard {
        std::mem::take(&mut self.heard)
    }

    /// How many replies came after their request had been given up.
    #[must_use]
    pub const fn late(&self) -> u32 {
        self.late
    }
}

/// Exceptions 0Ah and 0Bh are the gateway's words, not the unit's.
fn is_gateway_refusal(pdu: &[u8]) -> bool {
    matches!(pdu, [0x80..=0xFF, 0x0A | 0x0B])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::field::modbus::{Ask, Data};
    use crate::spec::Table;

    fn ask(unit: u8, count: u16) -> Ask {
        Ask {
            unit: UnitId(unit),
            table: Table::HoldingRegister,
            start: 4,
            count,
        }
    }

    /// Modbus Messaging on TCP/IP V1.0b §4.4.2.2: the worked example of a
    /// request ADU (transaction 15 01h, read one register at 4, unit FFh).
    #[test]
    fn the_standards_example_is_built() {
        let request = frame(0x1501, UnitId(0xFF), &ask(0xFF, 1).pdu());
        assert_eq!(
            request,
            [0x15, 0x01, 0, 0, 0, 6, 0xFF, 0x03, 0x00, 0x04, 0x00, 0x01]
        );
    }

    #[test]
    fn replies_are_matched_by_their_transaction_and_late_ones_dropped() {
        let mut s = Stream::new();
        s.send(ask(1, 1));
        s.send(ask(1, 1));
        let late = frame(0, UnitId(1), &[3, 2, 0, 7]);
        let good = frame(1, UnitId(1), &[3, 2, 0, 9]);
        assert_eq!(s.push(&late), Ok(None));
        assert_eq!(
            s.push(&good),
            Ok(Some(Reply::Answer(Data::Registers(vec![9]))))
        );
        assert_eq!(s.late(), 1);
        assert_eq!(s.heard().overheard, [UnitId(1)]);
    }

    #[test]
    fn the_right_transaction_from_the_wrong_unit_is_a_stranger() {
        let mut s = Stream::new();
        s.send(ask(1, 1));
        let wrong = frame(0, UnitId(2), &[3, 2, 0, 7]);
        assert_eq!(s.push(&wrong), Ok(Some(Reply::Stranger)));
    }

    #[test]
    fn a_header_that_cannot_be_one_is_out_of_step() {
        for bad in [
            [0, 0, 0, 1, 0, 6],
            [0, 0, 0, 0, 0, 1],
            [0, 0, 0, 0, 0, 255],
            [0, 0, 0, 0, 1, 2],
        ] {
            let mut s = Stream::new();
            s.send(ask(1, 1));
            assert_eq!(s.push(&bad), Err(OutOfStep), "{bad:?}");
        }
    }

    #[test]
    fn an_id_still_unanswered_is_not_used_again() {
        let mut s = Stream::new();
        s.send(ask(1, 1));
        s.abandon();
        s.next = 0;
        assert_eq!(s.send(ask(1, 1))[..2], [0, 1]);
    }

    proptest! {
        #[test]
        fn any_bytes_however_split_give_the_same_end(
            bytes in prop::collection::vec(any::<u8>(), 0..80),
            reply_at in 0usize..3,
            cut in 1usize..7,
        ) {
            let mut wire = Vec::new();
            for i in 0..3u16 {
                if usize::from(i) == reply_at {
                    wire.extend(frame(0, UnitId(1), &[3, 2, 0, 9]));
                } else {
                    wire.extend(frame(i + 10, UnitId(1), &[3, 2, 0, 1]));
                }
            }
            wire.extend(bytes);
            let mut whole = Stream::new();
            whole.send(ask(1, 1));
            let at_once = whole.push(&wire);
            let mut pieces = Stream::new();
            pieces.send(ask(1, 1));
            let mut last = Ok(None);
            for piece in wire.chunks(cut) {
                match pieces.push(piece) {
                    Ok(None) => {}
                    other => {
                        last = other;
                        if last.is_err() { break; }
                    }
                }
            }
            prop_assert_eq!(at_once.is_err(), last.is_err());
            if at_once.is_ok() {
                prop_assert_eq!(at_once, last);
            }
        }
    }
}

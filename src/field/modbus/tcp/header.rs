//! The first bytes of a frame of Modbus TCP, and which requests they can answer.

use crate::base::UnitId;
use crate::field::modbus::EXCEPTION;
use crate::field::modbus::write::ModbusRequest;

/// Bytes before the PDU.
pub(super) const HEADER: usize = 7;

/// The longest PDU (Modbus Application Protocol V1.1b3 §4.1).
pub(super) const MAX_PDU: usize = 253;

/// A whole exception: header, function, code (§7).
pub(super) const EXCEPTION_FRAME: usize = HEADER + 2;

/// Header and function: what is compared to recognise a frame.
pub(super) const KNOWN_BY: usize = HEADER + 1;

/// Header and function of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub transaction: u16,
    /// What the length field says: the length of unit and PDU.
    pub length: usize,
    pub unit: UnitId,
    pub function: u8,
}

impl Header {
    /// Reads a header; `None` if there are too few bytes or the protocol id is not 0.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let [th, tl, 0, 0, lh, ll, unit, function] = *bytes.first_chunk::<KNOWN_BY>()? else {
            return None;
        };
        Some(Header {
            transaction: u16::from_be_bytes([th, tl]),
            length: usize::from(u16::from_be_bytes([lh, ll])),
            unit: UnitId(unit),
            function,
        })
    }

    /// Returns whether a frame can be of the length that its header gives.
    pub(super) const fn is_possible(&self) -> bool {
        self.length >= 2 && self.length <= MAX_PDU + 1
    }

    pub(super) const fn is_exception(&self) -> bool {
        self.function & EXCEPTION != 0
    }

    /// Returns how long the frame is: an exception is nine bytes whatever its length field
    /// says.
    pub(super) const fn frame_len(&self) -> usize {
        if self.is_exception() {
            EXCEPTION_FRAME
        } else {
            HEADER - 1 + self.length
        }
    }
}

/// A request whose reply is waited for, or was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SentRequest {
    /// The request's transaction id; `None`: replies are numbered otherwise.
    pub id: Option<u16>,
    pub unit: UnitId,
    pub function: u8,
}

impl SentRequest {
    pub(super) fn new(id: u16, call: &ModbusRequest, is_numbered: bool) -> Self {
        SentRequest {
            id: is_numbered.then_some(id),
            unit: call.unit(),
            function: call.function(),
        }
    }

    /// Returns whether the reply to this request begins like that.
    pub(super) fn is_answered_by(&self, header: &Header) -> bool {
        self.id.is_none_or(|id| id == header.transaction)
            && self.unit == header.unit
            && self.function == header.function & !EXCEPTION
    }

    /// Returns whether the reply to this request can begin with these bytes; more may come.
    pub(super) fn may_be_answered_by(&self, bytes: &[u8]) -> bool {
        let [th, tl] = self.id.unwrap_or_default().to_be_bytes();
        let is_numbered = self.id.is_some();
        bytes
            .iter()
            .take(KNOWN_BY)
            .enumerate()
            .all(|(at, byte)| match at {
                0 => !is_numbered || *byte == th,
                1 => !is_numbered || *byte == tl,
                2 | 3 => *byte == 0,
                4 | 5 => true,
                6 => *byte == self.unit.0,
                _ => byte & !EXCEPTION == self.function,
            })
    }
}

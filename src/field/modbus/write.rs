//! Modbus requests that write, and what counts as their reply.
//!
//! Modbus Application Protocol V1.1b3 §6.5 (write single coil), §6.6 (write single register), §6.11
//! (write multiple coils), §6.12 (write multiple registers), §6.16 (mask write register). A reply
//! is the echo that the standard demands: for one entry the whole request, for several entries
//! function, address and quantity. Anything else is not the reply. [`ModbusRequest`] is the request
//! whose reply a receiver listens for: a read, a write, or on Modbus TCP a request that the
//! configuration spells out ([`RawPdu`]).

use std::sync::Arc;

use crate::base::UnitId;
use crate::spec::Table;
use crate::spec::raw::{RawQuestion, ReplyEnd};

use crate::field::modbus::{Data, EXCEPTION, ModbusReplyShape, ReadRequest, Reply};

/// The most registers one request may write (§6.12: 007Bh).
pub const MAX_REGISTERS: usize = 123;

/// The most coils one request may write (§6.11: 07B0h).
pub const MAX_COILS: usize = 1968;

/// The entries to write; each kind is a function of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entries {
    /// Function 05: one coil.
    Coil(bool),
    /// Function 06: one holding register.
    Register(u16),
    /// Function 15: 1–1968 coils, in address order.
    Coils(Vec<bool>),
    /// Function 16: 1–123 holding registers, in address order.
    Registers(Vec<u16>),
    /// Function 22: bits of one holding register. The unit makes its content
    /// `(content AND and) OR (or AND NOT and)`, so bits that are 1 in `and` keep their state.
    Mask {
        /// The bits that keep their state.
        and: u16,
        /// The state of the other bits.
        or: u16,
    },
}

impl Entries {
    /// Returns the function code.
    #[must_use]
    pub const fn function(&self) -> u8 {
        match self {
            Entries::Coil(_) => 5,
            Entries::Register(_) => 6,
            Entries::Coils(_) => 15,
            Entries::Registers(_) => 16,
            Entries::Mask { .. } => 22,
        }
    }

    /// Returns the table that is written to.
    #[must_use]
    pub const fn table(&self) -> Table {
        match self {
            Entries::Coil(_) | Entries::Coils(_) => Table::Coil,
            Entries::Register(_) | Entries::Registers(_) | Entries::Mask { .. } => {
                Table::HoldingRegister
            }
        }
    }

    /// Returns how many entries there are.
    #[must_use]
    pub const fn count(&self) -> usize {
        match self {
            Entries::Coil(_) | Entries::Register(_) | Entries::Mask { .. } => 1,
            Entries::Coils(all) => all.len(),
            Entries::Registers(all) => all.len(),
        }
    }

    /// Returns whether one request can carry the entries from `start` on: at least one, no more
    /// than the standard allows, none behind the last address.
    #[must_use]
    pub const fn fit(&self, start: u16) -> bool {
        let most = match self {
            Entries::Coil(_) | Entries::Register(_) | Entries::Mask { .. } => 1,
            Entries::Coils(_) => MAX_COILS,
            Entries::Registers(_) => MAX_REGISTERS,
        };
        let count = self.count();
        count >= 1 && count <= most && start as usize + count <= 0x1_0000
    }
}

/// One write request: its unit, first entry and entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The unit that is written to.
    pub unit: UnitId,
    /// 0-based address of the first entry.
    pub start: u16,
    /// The entries to write; see [`Entries::fit`].
    pub entries: Entries,
}

impl Write {
    /// Returns the request's bytes.
    #[must_use]
    pub fn pdu(&self) -> Vec<u8> {
        let mut pdu = vec![self.entries.function()];
        pdu.extend(self.start.to_be_bytes());
        let count = u16::try_from(self.entries.count()).unwrap_or(u16::MAX);
        match &self.entries {
            Entries::Coil(on) => pdu.extend([if *on { 0xFF } else { 0 }, 0]),
            Entries::Register(word) => pdu.extend(word.to_be_bytes()),
            Entries::Mask { and, or } => {
                pdu.extend(and.to_be_bytes());
                pdu.extend(or.to_be_bytes());
            }
            Entries::Coils(all) => {
                pdu.extend(count.to_be_bytes());
                pdu.push(u8::try_from(all.len().div_ceil(8)).unwrap_or(u8::MAX));
                let packed = all.chunks(8).map(|eight| {
                    let bits = eight.iter().enumerate();
                    bits.fold(0, |byte, (i, on)| byte | u8::from(*on) << i)
                });
                pdu.extend(packed);
            }
            Entries::Registers(all) => {
                pdu.extend(count.to_be_bytes());
                pdu.push(u8::try_from(all.len() * 2).unwrap_or(u8::MAX));
                pdu.extend(all.iter().flat_map(|word| word.to_be_bytes()));
            }
        }
        pdu
    }

    /// Returns the bytes of the reply's PDU: function, address, value or quantity, 5; to a mask
    /// write function, address and both masks, 7.
    #[must_use]
    pub const fn reply_len(&self) -> usize {
        match self.entries {
            Entries::Coil(_) | Entries::Register(_) | Entries::Coils(_) | Entries::Registers(_) => {
                5
            }
            Entries::Mask { .. } => 7,
        }
    }

    /// Returns whether the reply is the request, byte for byte.
    #[must_use]
    pub const fn is_mirrored(&self) -> bool {
        match self.entries {
            Entries::Coil(_) | Entries::Register(_) | Entries::Mask { .. } => true,
            Entries::Coils(_) | Entries::Registers(_) => false,
        }
    }

    /// Returns where the request writes.
    #[must_use]
    pub fn target(&self) -> ReadRequest {
        ReadRequest {
            unit: self.unit,
            table: self.entries.table(),
            start: self.start,
            count: u16::try_from(self.entries.count()).unwrap_or(u16::MAX),
        }
    }

    /// Returns what the replies have in common for as long as they can be late: all of one
    /// function are alike.
    #[must_use]
    pub const fn shape(&self) -> ModbusReplyShape {
        ModbusReplyShape {
            function: self.entries.function(),
            bytes: 0,
        }
    }

    /// Compares a whole PDU from this unit with this request.
    #[must_use]
    pub fn judge(&self, pdu: &[u8]) -> Reply {
        match *pdu {
            [function, code] if function == self.entries.function() | EXCEPTION => {
                Reply::Exception(code)
            }
            _ if pdu.len() == self.reply_len() && self.pdu().starts_with(pdu) => Reply::Confirmed,
            _ => Reply::Stranger,
        }
    }
}

/// A request that the configuration spells out, in a frame of Modbus TCP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawPdu {
    /// The unit that is asked.
    pub unit: UnitId,
    /// What is sent, and what counts as the reply: function and data of both.
    pub question: Arc<RawQuestion>,
}

impl RawPdu {
    /// Returns the function code: the first byte of the request. For an empty request it is
    /// 0, which is no function.
    #[must_use]
    pub fn function(&self) -> u8 {
        let first = self.question.request.bytes().first();
        first.copied().unwrap_or_default()
    }

    /// Returns the bytes of the reply's PDU where the configuration says how many, and
    /// otherwise the most that a PDU has (Modbus Application Protocol V1.1b3 §4.1).
    #[must_use]
    pub fn reply_len(&self) -> usize {
        match self.question.reply.end {
            ReplyEnd::Length(n) => n,
            ReplyEnd::Frame | ReplyEnd::Terminator(_) | ReplyEnd::Silence(_) => 253,
        }
    }

    /// Compares a whole PDU from this unit with this request: the function is the
    /// request's (§4.1), and the rest as configured.
    #[must_use]
    pub fn judge(&self, pdu: &[u8]) -> Reply {
        let own = self.function();
        match *pdu {
            [function, code] if function == own | EXCEPTION => Reply::Exception(code),
            [function, ..] if function == own && self.question.reply.fits(pdu) => {
                Reply::Answer(Data::Bytes(pdu.to_vec()))
            }
            _ => Reply::Stranger,
        }
    }
}

/// A request of any kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModbusRequest {
    /// A request that reads.
    Read(ReadRequest),
    /// A request that writes.
    Write(Write),
    /// A request that the configuration spells out; on Modbus TCP only.
    Raw(RawPdu),
}

impl From<ReadRequest> for ModbusRequest {
    fn from(ask: ReadRequest) -> Self {
        ModbusRequest::Read(ask)
    }
}

impl From<RawPdu> for ModbusRequest {
    fn from(carried: RawPdu) -> Self {
        ModbusRequest::Raw(carried)
    }
}

impl From<Write> for ModbusRequest {
    fn from(write: Write) -> Self {
        ModbusRequest::Write(write)
    }
}

impl ModbusRequest {
    /// Returns the unit that is asked.
    #[must_use]
    pub const fn unit(&self) -> UnitId {
        match self {
            ModbusRequest::Read(ask) => ask.unit,
            ModbusRequest::Write(write) => write.unit,
            ModbusRequest::Raw(carried) => carried.unit,
        }
    }

    /// Returns the function code.
    #[must_use]
    pub fn function(&self) -> u8 {
        match self {
            ModbusRequest::Read(ask) => ask.function(),
            ModbusRequest::Write(write) => write.entries.function(),
            ModbusRequest::Raw(carried) => carried.function(),
        }
    }

    /// Returns the request's bytes.
    #[must_use]
    pub fn pdu(&self) -> Vec<u8> {
        match self {
            ModbusRequest::Read(ask) => ask.pdu().to_vec(),
            ModbusRequest::Write(write) => write.pdu(),
            ModbusRequest::Raw(carried) => carried.question.request.bytes().to_vec(),
        }
    }

    /// Returns the bytes of the reply's PDU; the most there can be where they are not known.
    #[must_use]
    pub fn reply_len(&self) -> usize {
        match self {
            ModbusRequest::Read(ask) => ask.reply_len(),
            ModbusRequest::Write(write) => write.reply_len(),
            ModbusRequest::Raw(carried) => carried.reply_len(),
        }
    }

    /// Returns the byte behind the function in the reply: the byte count of a read, the high
    /// half of the address of a write. For a request that the configuration spells out it is
    /// not known: 0.
    #[must_use]
    pub fn second_byte(&self) -> u8 {
        match self {
            ModbusRequest::Raw(_) => 0,
            ModbusRequest::Read(ask) => ask.shape().bytes,
            ModbusRequest::Write(write) => write.start.to_be_bytes()[0],
        }
    }

    /// Returns whether the reply is the request, byte for byte: an echo of the adapter cannot be
    /// told from the reply.
    #[must_use]
    pub const fn is_mirrored(&self) -> bool {
        match self {
            ModbusRequest::Read(_) | ModbusRequest::Raw(_) => false,
            ModbusRequest::Write(write) => write.is_mirrored(),
        }
    }

    /// Compares a whole PDU from this unit with this request.
    #[must_use]
    pub fn judge(&self, pdu: &[u8]) -> Reply {
        match self {
            ModbusRequest::Read(ask) => ask.judge(pdu),
            ModbusRequest::Write(write) => write.judge(pdu),
            ModbusRequest::Raw(carried) => carried.judge(pdu),
        }
    }
}

#[cfg(test)]
mod tests;

//! Modbus requests and what counts as their reply.
//!
//! Numbers and layouts are those of the Modbus Application Protocol V1.1b3
//! (§4.1 PDU, §6.1–6.4 reading, §7 exceptions). The vocabulary and the decoding of a PDU are
//! those of tokio-modbus. Its encoder is private and its clients accept replies of the wrong
//! length, so this module has the request's bytes and the judgement of a reply. Framing is in
//! [`crate::field::modbus::rtu`] and [`crate::field::modbus::tcp`].

pub mod ascii;
pub mod in_flight;
pub mod rtu;
pub mod tcp;
#[cfg(test)]
pub(crate) mod test_reads;
pub mod write;

use bytes::Bytes;
use tokio_modbus::{Request, Response};

use crate::base::UnitId;
use crate::spec::Table;

pub use crate::field::decode::data::Data;

/// The most registers one request may ask for (§6.3, §6.4).
pub const MAX_REGISTERS: u16 = 125;

/// The most coils or inputs one request may ask for (§6.1, §6.2).
pub const MAX_BITS: u16 = 2000;

/// The bit that turns a function code into "exception to that function" (§7).
pub const EXCEPTION: u8 = 0x80;

/// One read request: its unit, table, first entry and number of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadRequest {
    /// The unit that is asked.
    pub unit: UnitId,
    /// The table.
    pub table: Table,
    /// 0-based address of the first entry.
    pub start: u16,
    /// How many entries; 1–125 registers or 1–2000 bits.
    pub count: u16,
}

/// All that distinguishes one normal reply of a unit from another: Modbus replies carry no
/// address. Two requests of one shape cannot be told apart by their replies, which is why a
/// late reply is dangerous.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ModbusReplyShape {
    /// Function code.
    pub function: u8,
    /// Payload bytes: the reply's byte count field.
    pub bytes: u8,
}

/// How a PDU relates to the request that is outstanding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The reply that was asked for.
    Answer(Data),
    /// The unit confirms the write that was asked for.
    Confirmed,
    /// The unit refused the request, with this code.
    Exception(u8),
    /// Another reply: another function, another length.
    Stranger,
}

impl ReadRequest {
    /// Returns the request in the vocabulary of tokio-modbus.
    #[must_use]
    pub const fn request(&self) -> Request<'static> {
        match self.table {
            Table::Coil => Request::ReadCoils(self.start, self.count),
            Table::DiscreteInput => Request::ReadDiscreteInputs(self.start, self.count),
            Table::HoldingRegister => Request::ReadHoldingRegisters(self.start, self.count),
            Table::InputRegister => Request::ReadInputRegisters(self.start, self.count),
        }
    }

    /// Returns the request's bytes: function, address, quantity.
    #[must_use]
    pub fn pdu(&self) -> [u8; 5] {
        let [ah, al] = self.start.to_be_bytes();
        let [ch, cl] = self.count.to_be_bytes();
        [self.function(), ah, al, ch, cl]
    }

    /// Returns the function code.
    #[must_use]
    pub const fn function(&self) -> u8 {
        self.table.read_function()
    }

    /// Returns what the reply will look like from outside.
    #[must_use]
    pub fn shape(&self) -> ModbusReplyShape {
        let bytes = if self.table.is_bits() {
            self.count.div_ceil(8)
        } else {
            self.count.saturating_mul(2)
        };
        ModbusReplyShape {
            function: self.function(),
            // The limits on `count` keep it at 250 at most.
            bytes: u8::try_from(bytes).unwrap_or(u8::MAX),
        }
    }

    /// Returns the bytes of the reply's PDU: function, byte count, payload.
    #[must_use]
    pub fn reply_len(&self) -> usize {
        2 + usize::from(self.shape().bytes)
    }

    /// Compares a whole PDU from this unit with this request: the function, the byte count
    /// and the length must be exactly those that were asked for.
    #[must_use]
    pub fn judge(&self, pdu: &[u8]) -> Reply {
        let shape = self.shape();
        match *pdu {
            [function, code] if function == shape.function | EXCEPTION => Reply::Exception(code),
            [function, bytes, ..]
                if function == shape.function
                    && bytes == shape.bytes
                    && pdu.len() == self.reply_len() =>
            {
                self.decode(pdu).map_or(Reply::Stranger, Reply::Answer)
            }
            _ => Reply::Stranger,
        }
    }

    fn decode(&self, pdu: &[u8]) -> Option<Data> {
        let count = usize::from(self.count);
        match Response::try_from(Bytes::copy_from_slice(pdu)).ok()? {
            Response::ReadCoils(mut bits) | Response::ReadDiscreteInputs(mut bits) => {
                // Whole bytes travel; the padding of the last byte means nothing.
                bits.truncate(count);
                (bits.len() == count).then_some(Data::Bits(bits))
            }
            Response::ReadHoldingRegisters(words) | Response::ReadInputRegisters(words) => {
                (words.len() == count).then_some(Data::Registers(words))
            }
            _ => None,
        }
    }

    /// Returns whether the request's own RTU frame, heard back through an adapter that
    /// echoes, has the exact shape of its reply: 8 bytes with a good checksum,
    /// whose third byte (high half of the address) reads as "three bytes
    /// follow". True for 17–24 bits from 0300h–03FFh only; the plan asks for
    /// no such block.
    #[must_use]
    pub fn echo_looks_like_reply(&self) -> bool {
        self.reply_len() == self.pdu().len() && self.start >> 8 == 3
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ask(table: Table, start: u16, count: u16) -> ReadRequest {
        ReadRequest {
            unit: UnitId(1),
            table,
            start,
            count,
        }
    }

    /// Modbus Application Protocol V1.1b3 §6.1–6.4: the worked examples.
    #[test]
    fn the_standards_examples_encode_and_decode() {
        let coils = ask(Table::Coil, 0x0013, 0x0013);
        assert_eq!(coils.pdu(), [0x01, 0x00, 0x13, 0x00, 0x13]);
        // CD 6B 05: coils 27-20, 35-28, 38-36.
        let Reply::Answer(Data::Bits(bits)) = coils.judge(&[0x01, 0x03, 0xCD, 0x6B, 0x05]) else {
            panic!("not accepted");
        };
        assert_eq!(bits.len(), 19);
        let on: Vec<usize> = (0..19).filter(|i| bits[*i]).map(|i| i + 20).collect();
        assert_eq!(on, [20, 22, 23, 26, 27, 28, 29, 31, 33, 34, 36, 38]);

        let inputs = ask(Table::DiscreteInput, 0x00C4, 0x0016);
        assert_eq!(inputs.pdu(), [0x02, 0x00, 0xC4, 0x00, 0x16]);
        let Reply::Answer(Data::Bits(bits)) = inputs.judge(&[0x02, 0x03, 0xAC, 0xDB, 0x35]) else {
            panic!("not accepted");
        };
        assert_eq!(bits.len(), 22);
        assert_eq!(&bits[16..], [true, false, true, false, true, true]);

        let holding = ask(Table::HoldingRegister, 0x006B, 3);
        assert_eq!(holding.pdu(), [0x03, 0x00, 0x6B, 0x00, 0x03]);
        assert_eq!(
            holding.judge(&[0x03, 0x06, 0x02, 0x2B, 0x00, 0x00, 0x00, 0x64]),
            Reply::Answer(Data::Registers(vec![555, 0, 100]))
        );

        let input = ask(Table::InputRegister, 0x0008, 1);
        assert_eq!(input.pdu(), [0x04, 0x00, 0x08, 0x00, 0x01]);
        assert_eq!(
            input.judge(&[0x04, 0x02, 0x00, 0x0A]),
            Reply::Answer(Data::Registers(vec![10]))
        );

        // §7: read coil 04A1h, which is not there.
        let missing = ask(Table::Coil, 0x04A1, 1);
        assert_eq!(missing.judge(&[0x81, 0x02]), Reply::Exception(2));
    }

    #[test]
    fn only_the_exact_reply_is_an_answer() {
        let ask = ask(Table::HoldingRegister, 0, 2);
        for (pdu, why) in [
            (&[][..], "empty"),
            (&[3][..], "no byte count"),
            (&[3, 4, 0, 1, 0][..], "short of its byte count"),
            (&[3, 4, 0, 1, 0, 2, 0][..], "longer than its byte count"),
            (&[3, 2, 0, 1][..], "fewer registers than asked for"),
            (&[3, 6, 0, 1, 0, 2, 0, 3][..], "more registers"),
            (&[4, 4, 0, 1, 0, 2][..], "another function"),
            (&[0x84, 2][..], "an exception to another function"),
            (&[0x83][..], "an exception without a code"),
            (&[0x83, 2, 0][..], "an exception with a tail"),
        ] {
            assert_eq!(ask.judge(pdu), Reply::Stranger, "{why}");
        }
    }

    #[test]
    fn our_bytes_are_those_of_the_library_decoder() {
        for (table, count) in [
            (Table::Coil, 2000),
            (Table::DiscreteInput, 1),
            (Table::HoldingRegister, 125),
            (Table::InputRegister, 7),
        ] {
            let ask = ask(table, 0xFFF0, count);
            let parsed = Request::try_from(Bytes::copy_from_slice(&ask.pdu())).unwrap();
            assert_eq!(parsed, ask.request());
            assert_eq!(parsed.function_code().value(), ask.function());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged_without_panic(
            pdu in prop::collection::vec(any::<u8>(), 0..260),
            count in 1u16..=125,
        ) {
            for table in [Table::Coil, Table::DiscreteInput, Table::HoldingRegister, Table::InputRegister] {
                let ask = ask(table, 0, count);
                if let Reply::Answer(data) = ask.judge(&pdu) {
                    let got = match data {
                        Data::Registers(r) => r.len(),
                        Data::Bits(b) => b.len(),
                        Data::Bytes(_) => 0,
                    };
                    prop_assert_eq!(got, usize::from(count));
                }
            }
        }
    }
}

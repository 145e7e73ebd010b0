//! Reads of holding registers and their replies, for the tests of every framing.

use crate::base::UnitId;
use crate::field::modbus::{Data, ReadRequest, Reply};
use crate::field::receiver::ListeningEnd;
use crate::spec::Table;

/// Returns the request for holding registers of a unit.
pub(crate) fn ask(unit: u8, start: u16, count: u16) -> ReadRequest {
    ReadRequest {
        unit: UnitId(unit),
        table: Table::HoldingRegister,
        start,
        count,
    }
}

/// Returns the PDU of the reply with these registers.
pub(crate) fn reply_pdu(registers: &[u16]) -> Vec<u8> {
    let mut pdu = vec![3, (registers.len() * 2) as u8];
    pdu.extend(registers.iter().flat_map(|r| r.to_be_bytes()));
    pdu
}

/// Returns the registers of the reply, if the verdict is one.
pub(crate) fn registers(verdict: Option<ListeningEnd<Reply>>) -> Option<Vec<u16>> {
    match verdict {
        Some(ListeningEnd::Reply(Reply::Answer(Data::Registers(r)))) => Some(r),
        _ => None,
    }
}

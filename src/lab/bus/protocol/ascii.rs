//! A Modbus unit that speaks ASCII (Modbus over Serial Line V1.02 §2.5.2).

use super::super::behaviour::Fault;
use super::super::unit::Unit;
use super::{Answer, distorted};
use crate::base::Now;

/// Returns the answer of the unit with this address to a line.
pub(super) fn answer(address: u8, unit: &mut Unit, now: Now, heard: &[u8]) -> Option<Answer> {
    let (whom, pdu) = open(heard)?;
    if whom != address {
        return None;
    }
    let reply = unit.answer(now, &pdu);
    if unit.behaviour.withholds(&reply) {
        return None;
    }
    Some(Answer {
        foreign: seal(address % 247 + 1, &reply),
        other: seal(address, &distorted(Fault::WrongFunction, &reply)),
        short: seal(address, &distorted(Fault::Short, &reply)),
        bytes: seal(address, &reply),
    })
}

/// Writes a line: colon, capital hexadecimal characters, LRC, CR LF.
#[must_use]
pub fn seal(unit: u8, pdu: &[u8]) -> Vec<u8> {
    let mut sum = 0u32;
    let mut line = String::from(":");
    for byte in std::iter::once(&unit).chain(pdu) {
        sum += u32::from(*byte);
        line += &format!("{byte:02X}");
    }
    line += &format!("{:02X}\r\n", (256 - sum % 256) % 256);
    line.into_bytes()
}

/// Returns unit and PDU of the last line that ends the received bytes.
#[must_use]
pub fn open(heard: &[u8]) -> Option<(u8, Vec<u8>)> {
    let text = std::str::from_utf8(heard).ok()?;
    let line = text.rsplit(':').next()?.strip_suffix("\r\n")?;
    if !text.contains(':') || line.len() % 2 != 0 || !line.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let bytes: Option<Vec<u8>> = (0..line.len() / 2)
        .map(|i| u8::from_str_radix(&line[2 * i..2 * i + 2], 16).ok())
        .collect();
    let bytes = bytes?;
    let sum: u32 = bytes.iter().map(|b| u32::from(*b)).sum();
    (bytes.len() >= 3 && sum.is_multiple_of(256))
        .then(|| (bytes[0], bytes[1..bytes.len() - 1].to_vec()))
}

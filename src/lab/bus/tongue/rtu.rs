//! A Modbus unit that speaks RTU, where there is no wire whose pace matters: a
//! serial server carries its frames in a TCP connection.

use super::super::frame::{open, seal};
use super::super::manners::Fault;
use super::super::unit::Unit;
use super::{Answer, distorted};
use crate::base::Now;

/// What the unit with this address answers to a frame.
pub(super) fn answer(address: u8, unit: &mut Unit, now: Now, heard: &[u8]) -> Option<Answer> {
    let (whom, pdu) = open(heard)?;
    if whom != address {
        return None;
    }
    let reply = unit.answer(now, pdu);
    if unit.manners.withholds(&reply) {
        return None;
    }
    Some(Answer {
        foreign: seal(address % 247 + 1, &reply),
        other: seal(address, &distorted(Fault::WrongFunction, &reply)),
        short: seal(address, &distorted(Fault::Short, &reply)),
        bytes: seal(address, &reply),
    })
}

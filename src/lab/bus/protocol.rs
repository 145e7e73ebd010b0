//! The other protocols of such lines: Modbus ASCII, DL/T 645, and protocols without a
//! standard.
//!
//! A [`BusProtocol`] turns the bytes of the master into the bytes of a device and their
//! time, faults included. Collisions and the duration of characters are left to the
//! line. Framing and checksums are written here apart from those of the product, as in
//! the rest of the lab.

pub mod ascii;
mod custom;
pub mod meter;
pub mod plain;

use std::time::Duration;

use super::behaviour::{Fault, burst, distort, noise, scramble};
use super::unit::Unit;
use crate::base::{Now, Rng};

pub use custom::Custom;
pub use meter::{Meter, Year};
pub use plain::Plain;

/// One device, and the protocol it speaks.
#[derive(Clone, Debug)]
pub enum BusProtocol {
    /// A Modbus unit with this address, speaking ASCII.
    Ascii(u8, Unit),
    /// An electricity meter.
    Dlt645(Meter),
    /// A device with a table of questions and answers.
    Plain(Plain),
    /// A device given by a function, which brings its own delays and faults.
    Custom(Custom),
}

/// The bytes of one answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusReply {
    /// From the end of the request to its beginning.
    pub after: Duration,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// For a reply that comes twice: the pause of the second copy after the first.
const RIGHT_BEHIND: Duration = Duration::from_millis(20);

/// The variants of the answer of a device, for faults to work on.
struct Answer {
    /// The correct answer.
    bytes: Vec<u8>,
    /// The same from another device, with a fitting checksum.
    foreign: Vec<u8>,
    /// The same, as if the request had been another.
    other: Vec<u8>,
    /// The same with less data than the request asked for, with a fitting checksum.
    short: Vec<u8>,
}

impl BusProtocol {
    /// Returns the answer to these bytes: none, if they are not for this device or it
    /// does not understand them.
    pub fn replies_to(&mut self, now: Now, heard: &[u8], rng: &mut Rng) -> Vec<BusReply> {
        let (answer, behaviour) = match self {
            BusProtocol::Ascii(_, unit) | BusProtocol::Dlt645(Meter { unit, .. })
                if !unit.behaviour.alive =>
            {
                return vec![];
            }
            BusProtocol::Plain(plain) if !plain.behaviour.alive => return vec![],
            BusProtocol::Ascii(address, unit) => {
                let answer = ascii::answer(*address, unit, now, heard);
                (answer, &unit.behaviour)
            }
            BusProtocol::Dlt645(meter) => (meter.answer(now, heard), &meter.unit.behaviour),
            BusProtocol::Plain(plain) => (plain.answer(heard), &plain.behaviour),
            BusProtocol::Custom(custom) => return custom.replies_to(now, heard),
        };
        let Some(answer) = answer else {
            return vec![];
        };
        let fault = behaviour.draw(rng);
        let after = behaviour.delay(rng);
        spoil(answer, fault, after, heard, rng)
    }
}

/// Returns the answer as a fault leaves it.
fn spoil(
    answer: Answer,
    fault: Option<Fault>,
    after: Duration,
    heard: &[u8],
    rng: &mut Rng,
) -> Vec<BusReply> {
    let mut bytes = answer.bytes;
    let whole = bytes.len() as u64;
    let at = |after, bytes| BusReply { after, bytes };
    match fault {
        Some(Fault::Mute) => vec![],
        Some(Fault::Late(by)) => vec![at(after + by, bytes)],
        Some(Fault::Cut) => {
            bytes.truncate(1 + rng.below(whole.saturating_sub(1)) as usize);
            vec![at(after, bytes)]
        }
        // One bit: more may cancel out in a sum, and no receiver could find that.
        Some(Fault::Flip) => {
            let bit = rng.below(whole * 8) as usize;
            bytes[bit / 8] ^= 1 << (bit % 8);
            vec![at(after, bytes)]
        }
        Some(Fault::Twice) => vec![at(after, bytes.clone()), at(after + RIGHT_BEHIND, bytes)],
        Some(Fault::Again(later)) => vec![at(after, bytes.clone()), at(after + later, bytes)],
        Some(Fault::Burst(width)) => {
            burst(&mut bytes, width, rng);
            vec![at(after, bytes)]
        }
        Some(Fault::Scramble) => {
            scramble(&mut bytes, 3, rng);
            vec![at(after, bytes)]
        }
        Some(Fault::Foreign) => vec![at(after, answer.foreign)],
        Some(Fault::WrongFunction) => vec![at(after, answer.other)],
        Some(Fault::Short) => vec![at(after, answer.short)],
        Some(Fault::Echo) => vec![at(after, [heard, &bytes].concat())],
        Some(Fault::Noise(n)) => vec![at(after, [noise(n.into(), rng), bytes].concat())],
        Some(Fault::Babble) => vec![at(after, noise(whole as usize, rng))],
        Some(Fault::Hiccup(pause)) => {
            let rest = bytes.split_off(bytes.len() / 2);
            vec![at(after, bytes), at(after + pause, rest)]
        }
        // Both at once; their collision is left to the line.
        Some(Fault::Twin) => vec![at(after, bytes.clone()), at(after, bytes)],
        Some(
            Fault::WrongTransaction
            | Fault::Padded
            | Fault::BadLength
            | Fault::BadHeader
            | Fault::Stray(_),
        )
        | None => vec![at(after, bytes)],
    }
}

/// Returns a Modbus answer as the faults of content leave it.
fn distorted(fault: Fault, pdu: &[u8]) -> Vec<u8> {
    distort(Some(fault), pdu.to_vec())
}

#[cfg(test)]
mod tests;

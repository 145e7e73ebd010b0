//! From values to what is written: the inverse of [`super::decode`].
//!
//! A value becomes the raw number that is nearest to it, in exact decimal arithmetic. What is
//! encoded is decoded again, and that is the value that the device will show. What would be read
//! as no value is not written.
//!
//! Bits that do not belong to the value are left alone: what is written are the bits of a mask,
//! and the value depends on no other bits. Registers that belong to the value but are not side by
//! side are written together, with the registers between them unchanged.

mod date_time;
mod datum;
mod number;
mod part;
pub mod refusal;
mod registers;
mod scaled;
mod sum;
mod text;

use crate::base::Value;
use crate::field::decode::point::decode;
use crate::field::modbus::Data;
use crate::field::plan::block_address::{BlockAddress, EntryRange};
use crate::spec::{Codec, Measure, ModbusAddress, NotWritable, PointAddress, PointSpec};

pub use refusal::NotEncoded;
use registers::Registers;

/// What is written, and what is read after that.
#[derive(Clone, Debug, PartialEq)]
pub struct Encoded {
    /// What is written.
    pub content: WriteContent,
    /// The value that the content is decoded to. It differs from what was wanted by what the
    /// registers cannot express.
    pub value: Value,
}

/// What is written to a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteContent {
    /// The state of the coil at the point's address.
    Coil(bool),
    /// Registers that are side by side, at most 123.
    Registers {
        /// The address of the first.
        start: u16,
        /// What is written to each. Bits of the first and of the last are written.
        words: Vec<MaskedWord>,
    },
    /// A datum of a meter, as it travels, without the 33H.
    Datum(Vec<u8>),
    /// What stands for the value in the request that writes it.
    Value(Vec<u8>),
}

/// What is written to one register.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MaskedWord {
    /// The bits that are written; those outside of the mask are 0.
    pub bits: u16,
    /// Which bits are written: FFFFh is the whole register, 0 is a register that only stands
    /// between others.
    pub mask: u16,
}

impl MaskedWord {
    /// Returns what a register holds that held `old`.
    #[must_use]
    pub const fn merged(self, old: u16) -> u16 {
        old & !self.mask | self.bits
    }
}

/// Returns what is written to a point so that it has this value. The value may be a number of any
/// type where a number is wanted; 0 or 1, where a state is wanted; UTC milliseconds since 1970 as
/// digits or as a number, where a date is wanted.
///
/// # Errors
/// The value cannot be written to this point: [`NotEncoded`].
pub fn encode(point: &PointSpec, value: &Value) -> Result<Encoded, NotEncoded> {
    if let Some(why) = point.unwritable() {
        return Err(NotEncoded::NotWritable(why));
    }
    match point.address {
        PointAddress::Modbus(address) => in_registers(point, address, value),
        PointAddress::Dlt645(address) => datum::encode(point, address, value),
        PointAddress::Raw(_) => part::encode(point, value),
    }
}

fn in_registers(
    point: &PointSpec,
    address: ModbusAddress,
    value: &Value,
) -> Result<Encoded, NotEncoded> {
    let registers = Registers::of(point, address);
    match &point.codec {
        Codec::Bool => coil(point, address, state(value)?),
        Codec::Bit(n) => {
            let mask = 1u16.checked_shl(u32::from(*n)).unwrap_or_default();
            let bits = if state(value)? { mask } else { 0 };
            let mut registers = registers;
            registers.put(0, MaskedWord { bits, mask });
            registers.encoded()
        }
        Codec::Number {
            kind,
            words,
            bytes,
            scale,
            offset,
        } => {
            let measure = Measure {
                words: *words,
                bytes: *bytes,
                scale: *scale,
                offset: *offset,
                ..Measure::of(*kind)
            };
            number::encode(registers, &measure, value)
        }
        Codec::Measure(measure) => number::encode(registers, measure, value),
        Codec::Text {
            bytes, encoding, ..
        } => text::in_pairs(registers, *bytes, *encoding, value),
        Codec::Letters { half, encoding, .. } => {
            text::in_halves(registers, *half, *encoding, value)
        }
        Codec::DateTime(clock) => date_time::encode(registers, clock, value),
        Codec::Datum { .. } | Codec::Part(_) => Err(NotEncoded::NotWritable(NotWritable::Protocol)),
    }
}

fn coil(point: &PointSpec, address: ModbusAddress, on: bool) -> Result<Encoded, NotEncoded> {
    let asked = BlockAddress::Modbus(EntryRange {
        table: address.table,
        start: address.start,
        count: 1,
    });
    let value = decode(point, &asked, &Data::Bits(vec![on])).map_err(NotEncoded::NoValue)?;
    Ok(Encoded {
        content: WriteContent::Coil(on),
        value,
    })
}

/// Returns the state that a value means: a state, or the number 0 or 1.
fn state(value: &Value) -> Result<bool, NotEncoded> {
    match value {
        Value::Bool(on) => Ok(*on),
        Value::Int(0) | Value::UInt(0) => Ok(false),
        Value::Int(1) | Value::UInt(1) => Ok(true),
        Value::Float(x) if *x == 0.0 => Ok(false),
        Value::Float(x) if *x == 1.0 => Ok(true),
        Value::Int(_) | Value::UInt(_) | Value::Float(_) | Value::Text(_) => {
            Err(NotEncoded::NoState)
        }
    }
}

#[cfg(test)]
mod tests;

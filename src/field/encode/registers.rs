//! The registers of a point while a value is put into them.

use super::{Encoded, MaskedWord, NotEncoded, WriteContent};
use crate::base::Value;
use crate::field::decode::point::decode;
use crate::field::decode::refusal::NoValueReason;
use crate::field::modbus::Data;
use crate::field::plan::block_address::{BlockAddress, EntryRange};
use crate::spec::{ByteOrder, ModbusAddress, NotWritable, PointSpec, WordOrder};

/// The registers of a point, and which of their bits are written.
#[derive(Clone, Debug)]
pub(super) struct Registers<'a> {
    point: &'a PointSpec,
    address: ModbusAddress,
    words: Vec<MaskedWord>,
}

impl<'a> Registers<'a> {
    /// Returns the registers of a point, of which nothing is written yet.
    pub(super) fn of(point: &'a PointSpec, address: ModbusAddress) -> Self {
        let count = usize::from(point.codec.width());
        Registers {
            point,
            address,
            words: vec![MaskedWord::default(); count],
        }
    }

    /// Returns how many registers there are.
    pub(super) fn count(&self) -> usize {
        self.words.len()
    }

    /// Puts bits into the register at this distance from the point's address.
    pub(super) fn put(&mut self, at: u16, word: MaskedWord) {
        if let Some(own) = self.words.get_mut(usize::from(at)) {
            own.bits = own.bits & !word.mask | word.bits & word.mask;
            own.mask |= word.mask;
        }
    }

    /// Puts bits into several registers, which are one number in these orders.
    pub(super) fn put_number(
        &mut self,
        at: u16,
        count: u16,
        (words, bytes): (WordOrder, ByteOrder),
        (bits, mask): (u64, u64),
    ) {
        let bits = words.registers(bits, count);
        let mask = words.registers(mask, count);
        for (at, (bits, mask)) in (at..).zip(bits.into_iter().zip(mask)) {
            let word = MaskedWord {
                bits: bytes.ordered(bits),
                mask: bytes.ordered(mask),
            };
            self.put(at, word);
        }
    }

    /// Returns the value that the registers are decoded to.
    ///
    /// # Errors
    /// They hold no value.
    pub(super) fn value(&self) -> Result<Value, NoValueReason> {
        let asked = BlockAddress::Modbus(EntryRange {
            table: self.address.table,
            start: self.address.start,
            count: self.point.codec.width(),
        });
        // The value does not depend on the bits that are not written.
        let words = self.words.iter().map(|w| w.bits).collect();
        decode(self.point, &asked, &Data::Registers(words))
    }

    /// Returns what is written, and the value that it is decoded to.
    ///
    /// # Errors
    /// The registers hold no value.
    pub(super) fn encoded(self) -> Result<Encoded, NotEncoded> {
        let value = self.value().map_err(NotEncoded::NoValue)?;
        let is_written = |w: &MaskedWord| w.mask != 0;
        let first = self.words.iter().position(is_written).unwrap_or_default();
        let end = self.words.iter().rposition(is_written).map_or(0, |n| n + 1);
        let start = u16::try_from(first).ok();
        let start = start.and_then(|first| self.address.start.checked_add(first));
        let content = WriteContent::Registers {
            start: start.ok_or(NotEncoded::NotWritable(NotWritable::TooWide))?,
            words: self.words.get(first..end).unwrap_or_default().to_vec(),
        };
        Ok(Encoded { content, value })
    }
}

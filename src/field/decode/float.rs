//! The bytes of a float, and what they would be in another order.

use crate::field::modbus::Data;
use crate::field::plan::block_address::BlockAddress;
use crate::spec::raw::part;
use crate::spec::raw::part::Endianness;
use crate::spec::{Codec, Measure, Number, PointSpec};

/// The bytes of a float as they were sent; four or eight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FloatBytes {
    bytes: [u8; 8],
    is_single: bool,
}

impl FloatBytes {
    /// Returns the bytes of a float of four or eight bytes, and the order in which the point
    /// reads them. `None` for a point of another type, a sum, or a reply without the point.
    #[must_use]
    pub fn of(point: &PointSpec, asked: &BlockAddress, data: &Data) -> Option<(Self, Endianness)> {
        let (kind, order) = float_of(&point.codec)?;
        let bytes = match (kind, data) {
            (FloatBytesAt::Registers(at, count), Data::Registers(all)) => {
                let (address, range) = (point.address.as_modbus()?, asked.entries()?);
                let from = address.start.checked_add(at)?.checked_sub(range.start)?;
                let from = usize::from(from);
                let registers = all.get(from..from + count)?;
                registers.iter().flat_map(|w| w.to_be_bytes()).collect()
            }
            (FloatBytesAt::Bytes(at, count), Data::Bytes(all)) => {
                all.get(at..at.checked_add(count)?)?.to_vec()
            }
            (_, Data::Bits(_) | Data::Registers(_) | Data::Bytes(_)) => return None,
        };
        let float = FloatBytes::new(&bytes)?;
        Some((float, order))
    }

    fn new(sent: &[u8]) -> Option<Self> {
        let mut bytes = [0; 8];
        bytes.get_mut(..sent.len())?.copy_from_slice(sent);
        Some(FloatBytes {
            bytes,
            is_single: match sent.len() {
                4 => true,
                8 => false,
                _ => return None,
            },
        })
    }

    /// Returns the number that the bytes are in this order.
    #[must_use]
    pub fn read(self, order: Endianness) -> f64 {
        let place = |i: usize, count: usize| match order {
            Endianness::High => i,
            Endianness::Low => count - 1 - i,
            Endianness::WordsLow => (count - 1 - i) ^ 1,
            Endianness::BytesLow => i ^ 1,
        };
        let byte = |i: usize, count: usize| self.bytes.get(place(i, count)).copied();
        match self.is_single {
            true => {
                let bytes = std::array::from_fn(|i| byte(i, 4).unwrap_or_default());
                f64::from(f32::from_be_bytes(bytes))
            }
            false => f64::from_be_bytes(std::array::from_fn(|i| byte(i, 8).unwrap_or_default())),
        }
    }
}

/// Returns whether values of this kind are floats of four or eight bytes.
#[must_use]
pub fn is_float(codec: &Codec) -> bool {
    float_of(codec).is_some()
}

/// Where the bytes of a float are.
enum FloatBytesAt {
    /// So many registers, so far from the address of the point.
    Registers(u16, usize),
    /// So many bytes, from this one of the reply on.
    Bytes(usize, usize),
}

fn float_of(codec: &Codec) -> Option<(FloatBytesAt, Endianness)> {
    let registers = |kind| match kind {
        Number::F32 => Some(2),
        Number::F64 => Some(4),
        _ => None,
    };
    match codec {
        Codec::Number {
            kind, words, bytes, ..
        } => Some((
            FloatBytesAt::Registers(0, registers(*kind)?),
            Endianness::of(*words, *bytes),
        )),
        Codec::Measure(measure) => {
            let Measure { parts, .. } = &**measure;
            let [part] = parts.as_slice() else {
                return None;
            };
            Some((
                FloatBytesAt::Registers(part.at, registers(part.kind)?),
                Endianness::of(measure.words, measure.bytes),
            ))
        }
        Codec::Part(part) => match &**part {
            part::ReplyPart::Number {
                written: part::BinaryNumber::Binary { at, kind, order },
                ..
            } if matches!(kind, part::NumberKind::F32 | part::NumberKind::F64) => {
                Some((FloatBytesAt::Bytes(*at, kind.bytes()), *order))
            }
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::plan::block_address::EntryRange;
    use crate::field::test_spec::{number, point};
    use crate::spec::Table;

    #[test]
    fn bytes_are_the_same_number_in_their_own_order() {
        let single = 230.5f32.to_be_bytes();
        let [a, b, c, d] = single;
        for (order, sent) in [
            (Endianness::High, [a, b, c, d]),
            (Endianness::WordsLow, [c, d, a, b]),
            (Endianness::BytesLow, [b, a, d, c]),
            (Endianness::Low, [d, c, b, a]),
        ] {
            assert_eq!(
                FloatBytes::new(&sent).unwrap().read(order),
                230.5,
                "{order:?}"
            );
        }
        let mut double = 0.1f64.to_be_bytes();
        assert_eq!(
            FloatBytes::new(&double).unwrap().read(Endianness::High),
            0.1
        );
        double.reverse();
        assert_eq!(FloatBytes::new(&double).unwrap().read(Endianness::Low), 0.1);
        let (words, _) = double.as_chunks_mut::<2>();
        words.iter_mut().for_each(|w| w.reverse());
        assert_eq!(
            FloatBytes::new(&double).unwrap().read(Endianness::WordsLow),
            0.1
        );
    }

    #[test]
    fn a_float_is_found_among_the_registers_of_its_request() {
        let asked = BlockAddress::Modbus(EntryRange {
            table: Table::InputRegister,
            start: 10,
            count: 4,
        });
        let bits = 50.0f32.to_bits();
        let data = Data::Registers(vec![1, 2, (bits >> 16) as u16, bits as u16]);
        let at = |address, kind| point(Table::InputRegister, address, number(kind), 1000);
        let found = FloatBytes::of(&at(12, Number::F32), &asked, &data);
        let (bytes, order) = found.unwrap();
        assert_eq!((bytes.read(order), order), (50.0, Endianness::High));
        assert_eq!(FloatBytes::of(&at(13, Number::F32), &asked, &data), None);
        assert_eq!(FloatBytes::of(&at(9, Number::F32), &asked, &data), None);
        assert_eq!(FloatBytes::of(&at(12, Number::U32), &asked, &data), None);
    }
}

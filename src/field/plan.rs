//! From points to requests: which registers are read together.
//!
//! One pure function. Points of the same table and the same interval that touch
//! or overlap share a request, up to what the protocol and the kind of device
//! allow; a value is never cut. Addresses are computed in 32 bits, so the top
//! of the address space is a place like any other. What to read across (holes),
//! and when that is cheaper, is not decided here yet.

use std::time::Duration;

use crate::base::UnitId;
use crate::spec::{ProfileSpec, Table};

use super::modbus::{Ask, MAX_BITS, MAX_REGISTERS};

/// Entries read by one request, and the points they carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadBlock {
    /// Which table.
    pub table: Table,
    /// 0-based address of the first entry.
    pub start: u16,
    /// How many entries.
    pub count: u16,
    /// Read this often.
    pub interval: Duration,
    /// Indices into the profile's points, by address.
    pub points: Vec<u16>,
}

impl ReadBlock {
    /// The request for this block of this unit.
    #[must_use]
    pub const fn ask(&self, unit: UnitId) -> Ask {
        Ask {
            unit,
            table: self.table,
            start: self.start,
            count: self.count,
        }
    }

    /// The same block without its last points, largest first: other requests
    /// that carry whole values too.
    pub fn shortened(&self, profile: &ProfileSpec) -> impl Iterator<Item = ReadBlock> {
        (1..self.points.len()).rev().map(|n| {
            let points = self.points[..n].to_vec();
            let end = points
                .iter()
                .filter_map(|i| profile.points.get(usize::from(*i)))
                .map(|p| u32::from(p.address) + u32::from(p.codec.width()))
                .max()
                .unwrap_or_default();
            let count = end.saturating_sub(u32::from(self.start));
            ReadBlock {
                count: u16::try_from(count).unwrap_or(self.count),
                points,
                ..*self
            }
        })
    }
}

/// A point's place.
struct Span {
    point: u16,
    start: u32,
    end: u32,
}

/// The requests that read every point of the profile, each point exactly once.
/// Fastest intervals first, then by table and address.
///
/// A text longer than `max_registers` gets a request of its own: it can be read
/// in one piece or not at all.
#[must_use]
pub fn plan(profile: &ProfileSpec) -> Vec<ReadBlock> {
    let mut order: Vec<(Duration, Table, Span)> = (0u16..)
        .zip(&profile.points)
        .map(|(point, p)| {
            let start = u32::from(p.address);
            let end = start + u32::from(p.codec.width());
            (p.interval, p.table, Span { point, start, end })
        })
        .collect();
    order.sort_by_key(|(interval, table, s)| (*interval, *table, s.start, s.end, s.point));

    let mut blocks: Vec<ReadBlock> = Vec::new();
    for (interval, table, span) in order {
        let limit = limit(profile, table);
        let room = blocks.last_mut().filter(|b| {
            let (start, end) = (u32::from(b.start), u32::from(b.start) + u32::from(b.count));
            let together = span.end.max(end) - start;
            let same = b.interval == interval && b.table == table;
            same && span.start <= end && together <= limit && !misleading(b, together)
        });
        match room {
            Some(block) => {
                let end = (u32::from(block.start) + u32::from(block.count)).max(span.end);
                block.count = u16::try_from(end - u32::from(block.start)).unwrap_or(block.count);
                block.points.push(span.point);
            }
            None => blocks.push(ReadBlock {
                table,
                start: u16::try_from(span.start).unwrap_or(u16::MAX),
                count: u16::try_from(span.end - span.start).unwrap_or(1),
                interval,
                points: vec![span.point],
            }),
        }
    }
    blocks
}

fn limit(profile: &ProfileSpec, table: Table) -> u32 {
    u32::from(if table.is_bits() {
        MAX_BITS
    } else {
        profile.max_registers.clamp(1, MAX_REGISTERS)
    })
}

/// Whether the block, grown to this many entries, could not be told from its
/// echo ([`Ask::echo_looks_like_reply`]). Bits are added one by one, so the
/// block simply ends before that length.
fn misleading(block: &ReadBlock, count: u32) -> bool {
    let grown = Ask {
        count: u16::try_from(count).unwrap_or(u16::MAX),
        ..block.ask(UnitId(0))
    };
    block.table.is_bits() && grown.echo_looks_like_reply()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::field::test_spec::{number, point, profile};
    use crate::spec::{Codec, Number, PointSpec};

    fn shapes(blocks: &[ReadBlock]) -> Vec<(Table, u16, u16)> {
        blocks.iter().map(|b| (b.table, b.start, b.count)).collect()
    }

    #[test]
    fn adjacent_points_share_a_request_and_holes_separate() {
        let p = profile(vec![
            point(Table::HoldingRegister, 10, number(Number::U32), 1000),
            point(Table::HoldingRegister, 12, number(Number::U16), 1000),
            point(Table::HoldingRegister, 14, number(Number::U16), 1000),
            point(Table::InputRegister, 13, number(Number::U16), 1000),
            point(Table::HoldingRegister, 13, number(Number::U16), 5000),
        ]);
        assert_eq!(
            shapes(&plan(&p)),
            [
                (Table::HoldingRegister, 10, 3),
                (Table::HoldingRegister, 14, 1),
                (Table::InputRegister, 13, 1),
                (Table::HoldingRegister, 13, 1),
            ]
        );
    }

    #[test]
    fn overlapping_points_share_a_request() {
        let p = profile(vec![
            point(Table::InputRegister, 0, number(Number::F64), 1000),
            point(Table::InputRegister, 1, Codec::Bit(3), 1000),
            point(Table::InputRegister, 1, Codec::Bit(4), 1000),
        ]);
        let blocks = plan(&p);
        assert_eq!(shapes(&blocks), [(Table::InputRegister, 0, 4)]);
        assert_eq!(blocks[0].points, [0, 1, 2]);
    }

    #[test]
    fn a_wide_value_is_never_cut() {
        let mut p = profile(vec![
            point(Table::InputRegister, 0, number(Number::U32), 1000),
            point(Table::InputRegister, 2, number(Number::U32), 1000),
        ]);
        p.max_registers = 3;
        assert_eq!(
            shapes(&plan(&p)),
            [(Table::InputRegister, 0, 2), (Table::InputRegister, 2, 2)]
        );
    }

    #[test]
    fn the_top_of_the_address_space_is_a_place_like_any_other() {
        let p = profile(vec![
            point(Table::InputRegister, 65533, number(Number::U16), 1000),
            point(Table::InputRegister, 65534, number(Number::U32), 1000),
        ]);
        assert_eq!(shapes(&plan(&p)), [(Table::InputRegister, 65533, 3)]);
    }

    #[test]
    fn no_block_can_be_mistaken_for_its_own_echo() {
        let coils = |start: u16, n: u16| -> Vec<PointSpec> {
            (start..start + n)
                .map(|a| point(Table::Coil, a, Codec::Bool, 1000))
                .collect()
        };
        for n in 1..60 {
            for b in plan(&profile(coils(0x0300, n))) {
                assert!(
                    !b.ask(UnitId(1)).echo_looks_like_reply(),
                    "{n} coils: {b:?}"
                );
            }
        }
        assert_eq!(plan(&profile(coils(0x0400, 20))).len(), 1);
    }

    #[test]
    fn a_shortened_block_still_carries_whole_values() {
        let p = profile(vec![
            point(Table::InputRegister, 0, number(Number::U32), 1000),
            point(Table::InputRegister, 2, number(Number::U16), 1000),
            point(Table::InputRegister, 3, number(Number::U64), 1000),
        ]);
        let block = &plan(&p)[0];
        let counts: Vec<(u16, usize)> = block
            .shortened(&p)
            .map(|b| (b.count, b.points.len()))
            .collect();
        assert_eq!(counts, [(3, 2), (2, 1)]);
    }

    fn any_point() -> impl Strategy<Value = PointSpec> {
        let place = prop_oneof![0u16..300, 65000u16..=65535];
        (place, 0usize..8, 0u64..2, any::<bool>()).prop_map(|(address, kind, class, bit)| {
            let codec = match kind {
                0 => Codec::Bit(1),
                1 => number(Number::U16),
                2 => number(Number::F32),
                3 => number(Number::I64),
                4 => Codec::Text {
                    registers: 20,
                    bytes: crate::spec::ByteOrder::High,
                },
                _ => Codec::Bool,
            };
            let table = match (&codec, bit) {
                (Codec::Bool, true) => Table::Coil,
                (Codec::Bool, false) => Table::DiscreteInput,
                (_, true) => Table::HoldingRegister,
                (_, false) => Table::InputRegister,
            };
            let address = address.min(u16::MAX - codec.width() + 1);
            point(table, address, codec, 1000 + class * 1000)
        })
    }

    proptest! {
        #[test]
        fn every_point_is_covered_exactly_once_within_the_limits(
            points in prop::collection::vec(any_point(), 0..120),
            max in 1u16..=125,
        ) {
            let mut profile = profile(points);
            profile.max_registers = max;
            let blocks = plan(&profile);
            let mut seen = vec![0; profile.points.len()];
            for b in &blocks {
                let widest = b.points.iter().map(|i| profile.points[usize::from(*i)].codec.width()).max().unwrap();
                let limit = if b.table.is_bits() { MAX_BITS } else { max.max(widest) };
                prop_assert!(b.count >= 1 && b.count <= limit);
                prop_assert!(u32::from(b.start) + u32::from(b.count) <= 0x1_0000);
                for i in &b.points {
                    let p = &profile.points[usize::from(*i)];
                    seen[usize::from(*i)] += 1;
                    prop_assert_eq!((p.table, p.interval), (b.table, b.interval));
                    prop_assert!(p.address >= b.start);
                    prop_assert!(u32::from(p.address) + u32::from(p.codec.width()) <= u32::from(b.start) + u32::from(b.count));
                }
            }
            prop_assert!(seen.iter().all(|n| *n == 1));
        }
    }
}

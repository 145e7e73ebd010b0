use proptest::prelude::*;

use super::*;
use crate::field::plan::holes::Hole;
use crate::field::test_spec::{behind, installation, number, point, profile, serial, tcp};
use crate::spec::{Codec, Gap, ModbusAddress, Number, PointSpec, PortSpec};

fn cost(port: PortSpec, turnaround_ms: u64) -> Cost {
    let spec = installation(port, vec![profile(vec![])]);
    Cost::of(&spec.ports[0].line, &spec.devices[0])
        .with_turnaround(Duration::from_millis(turnaround_ms))
}

/// Plans at 9600 bit/s, with 10 ms turnaround and no learned holes.
fn usual(p: &ProfileSpec) -> Vec<ReadBlock> {
    let limits = PlanLimits {
        cost: cost(serial(9600), 10),
        longest: Duration::from_millis(150),
        holes: &Holes::new(),
        most_bytes: None,
    };
    plan(p, &limits)
}

fn range(block: &ReadBlock) -> EntryRange {
    block.address.entries().unwrap()
}

/// Returns the address of a point.
fn address_of(point: &PointSpec) -> ModbusAddress {
    point.address.as_modbus().unwrap()
}

fn shapes(blocks: &[ReadBlock]) -> Vec<(Table, u16, u16)> {
    let shape = |b: &ReadBlock| {
        let r = range(b);
        (r.table, r.start, r.count)
    };
    blocks.iter().map(shape).collect()
}

fn words(addresses: impl IntoIterator<Item = u16>) -> ProfileSpec {
    let points = addresses.into_iter();
    profile(
        points
            .map(|a| point(Table::HoldingRegister, a, number(Number::U16), 1000))
            .collect(),
    )
}

#[test]
fn points_of_one_table_and_interval_share_a_request() {
    let p = profile(vec![
        point(Table::HoldingRegister, 10, number(Number::U32), 1000),
        point(Table::HoldingRegister, 12, number(Number::U16), 1000),
        point(Table::HoldingRegister, 90, number(Number::U16), 1000),
        point(Table::InputRegister, 13, number(Number::U16), 1000),
        point(Table::HoldingRegister, 13, number(Number::U16), 5000),
    ]);
    assert_eq!(
        shapes(&usual(&p)),
        [
            (Table::HoldingRegister, 10, 3),
            (Table::HoldingRegister, 90, 1),
            (Table::InputRegister, 13, 1),
            (Table::HoldingRegister, 13, 1),
        ]
    );
}

/// The widest gap that is cheaper read than left out is what a second request costs: 13
/// bytes, two silences and a turnaround (on top of t3.5), over the two bytes of a register.
#[test]
fn gaps_are_read_across_up_to_the_break_even() {
    for (baud, turnaround, widest) in [
        (9600, 0, 9),
        (9600, 10, 14),
        (19_200, 20, 27),
        (38_400, 5, 21),
        (115_200, 0, 24),
        (115_200, 10, 77),
    ] {
        let holes = Holes::new();
        let limits = PlanLimits {
            cost: cost(serial(baud), turnaround),
            longest: Duration::from_secs(1),
            holes: &holes,
            most_bytes: None,
        };
        let merged = |gap: u16| plan(&words([0, gap + 1]), &limits).len() == 1;
        let found = (0..120).take_while(|gap| merged(*gap)).last();
        let own = limits.cost.of_bytes(5, 4) - limits.cost.of_bytes(5, 2);
        let again = limits.cost.of_bytes(5, 4);
        let reckoned = (again.as_nanos() / own.as_nanos()) as u16 - 1;
        assert_eq!(found, Some(reckoned), "{baud} {turnaround}");
        assert_eq!(found, Some(widest), "{baud} {turnaround}");
    }
}

#[test]
fn no_request_that_could_be_divided_takes_longer_than_allowed() {
    let p = words(0..125);
    let blocks = usual(&p);
    let cost = cost(serial(9600), 10);
    assert!(blocks.len() > 1);
    for b in &blocks {
        assert!(cost.of_request(&range(b).ask(UnitId(1))) <= Duration::from_millis(160));
    }
    let mut text = profile(vec![point(
        Table::HoldingRegister,
        0,
        Codec::Text {
            registers: 100,
            bytes: crate::spec::ByteOrder::High,
            encoding: Default::default(),
        },
        1000,
    )]);
    assert_eq!(shapes(&usual(&text)), [(Table::HoldingRegister, 0, 100)]);
    // A point that lies within costs nothing on top.
    text.points
        .push(point(Table::HoldingRegister, 7, number(Number::U16), 1000));
    assert_eq!(usual(&text).len(), 1);
}

#[test]
fn no_configured_hole_is_touched_and_no_learned_one_covered() {
    let mut p = words([0, 4, 6, 7]);
    p.reads.holes = vec![Gap {
        table: Table::HoldingRegister,
        first: 2,
        last: 2,
    }];
    let holding = |s, n| (Table::HoldingRegister, s, n);
    assert_eq!(shapes(&usual(&p)), [holding(0, 1), holding(4, 4)]);
    let holes = Holes::from([Hole {
        table: Table::HoldingRegister,
        first: 6,
        last: 7,
    }]);
    let limits = PlanLimits {
        cost: cost(serial(9600), 10),
        longest: Duration::from_millis(150),
        holes: &holes,
        most_bytes: None,
    };
    let blocks = plan(&p, &limits);
    assert_eq!(
        shapes(&blocks),
        [holding(0, 1), holding(4, 3), holding(7, 1)]
    );
    assert_eq!(blocks[1].filler(&p), 1);
}

#[test]
fn overlapping_points_share_a_request() {
    let p = profile(vec![
        point(Table::InputRegister, 0, number(Number::F64), 1000),
        point(Table::InputRegister, 1, Codec::Bit(3), 1000),
        point(Table::InputRegister, 1, Codec::Bit(4), 1000),
    ]);
    let blocks = usual(&p);
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
        shapes(&usual(&p)),
        [(Table::InputRegister, 0, 2), (Table::InputRegister, 2, 2)]
    );
}

#[test]
fn the_top_of_the_address_space_is_read_like_any_other() {
    let p = profile(vec![
        point(Table::InputRegister, 65533, number(Number::U16), 1000),
        point(Table::InputRegister, 65534, number(Number::U32), 1000),
    ]);
    assert_eq!(shapes(&usual(&p)), [(Table::InputRegister, 65533, 3)]);
}

#[test]
fn no_block_can_be_mistaken_for_its_own_echo() {
    let coils = |start: u16, n: u16| -> Vec<PointSpec> {
        (start..start + n)
            .map(|a| point(Table::Coil, a, Codec::Bool, 1000))
            .collect()
    };
    for n in 1..60 {
        for b in usual(&profile(coils(0x0300, n))) {
            assert!(
                !range(&b).ask(UnitId(1)).echo_looks_like_reply(),
                "{n} coils: {b:?}"
            );
        }
    }
    assert_eq!(usual(&profile(coils(0x0400, 20))).len(), 1);
}

#[test]
fn a_shortened_block_still_carries_whole_values() {
    let p = profile(vec![
        point(Table::InputRegister, 0, number(Number::U32), 1000),
        point(Table::InputRegister, 2, number(Number::U16), 1000),
        point(Table::InputRegister, 3, number(Number::U64), 1000),
    ]);
    let block = &usual(&p)[0];
    let counts: Vec<(u16, usize)> = block
        .shortened(&p)
        .map(|b| (range(&b).count, b.points.len()))
        .collect();
    assert_eq!(counts, [(2, 1), (3, 2)]);
    // The register between two points is read with them.
    let p = profile(vec![
        point(Table::InputRegister, 0, number(Number::U16), 1000),
        point(Table::InputRegister, 4, number(Number::U16), 1000),
    ]);
    let counts: Vec<(u16, usize)> = usual(&p)[0]
        .shortened(&p)
        .map(|b| (range(&b).count, b.points.len()))
        .collect();
    assert_eq!(counts, [(1, 1), (2, 1), (3, 1), (4, 1)]);
}

fn any_point() -> impl Strategy<Value = PointSpec> {
    let start = prop_oneof![0u16..300, 65000u16..=65535];
    (start, 0usize..8, 0u64..2, any::<bool>()).prop_map(|(address, kind, class, bit)| {
        let codec = match kind {
            0 => Codec::Bit(1),
            1 => number(Number::U16),
            2 => number(Number::F32),
            3 => number(Number::I64),
            4 => Codec::Text {
                registers: 20,
                bytes: crate::spec::ByteOrder::High,
                encoding: Default::default(),
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

/// A profile, holes in it, and a line.
fn any_case(most: usize) -> impl Strategy<Value = (ProfileSpec, Holes, Cost, Duration)> {
    let points = prop::collection::vec(any_point(), 0..most);
    let hole = (0u16..300, 0u16..6, any::<bool>());
    let holes = prop::collection::vec(hole, 0..4);
    let baud = prop::sample::select(vec![0u32, 1200, 9600, 19_200, 115_200]);
    let own = any::<bool>();
    (
        points,
        1u16..=125,
        holes.clone(),
        holes,
        (baud, own),
        0u64..60,
        5u64..400,
    )
        .prop_map(
            |(points, max, learned, configured, (baud, own), turnaround, longest)| {
                let mut profile = profile(points);
                profile.max_registers = max;
                let table = |holding| match holding {
                    true => Table::HoldingRegister,
                    false => Table::InputRegister,
                };
                profile.reads.holes = configured
                    .into_iter()
                    .map(|(first, more, holding)| Gap {
                        table: table(holding),
                        first,
                        last: first + more,
                    })
                    .collect();
                let learned = learned.into_iter().map(|(first, more, holding)| Hole {
                    table: table(holding),
                    first,
                    last: first + more,
                });
                let line = match (baud, own) {
                    (0, _) => tcp(),
                    (_, true) => serial(baud),
                    (_, false) => behind(baud),
                };
                let cost = cost(line, turnaround);
                (
                    profile,
                    learned.collect(),
                    cost,
                    Duration::from_millis(longest),
                )
            },
        )
}

/// Returns the time of a read of this many bytes by a unit that answers at once.
fn wire(cost: Cost, bytes: usize) -> Duration {
    if cost.of_bytes(0, 0) == cost.turnaround() {
        // TCP: nothing but a round trip.
        return Duration::ZERO;
    }
    cost.with_turnaround(Duration::ZERO).of_bytes(5, 2 + bytes)
}

/// Returns whether these points may share a request: the rules, written down once more and
/// differently.
fn allowed(p: &ProfileSpec, limits: &PlanLimits<'_>, points: &[u16]) -> bool {
    let at = |i: &u16| span_of(p, *i).unwrap();
    let from = points.iter().map(|i| at(i).0).min().unwrap();
    let to = points.iter().map(|i| at(i).1).max().unwrap();
    let table = address_of(&p.points[usize::from(points[0])]).table;
    if points.iter().any(|i| at(i) == (from, to)) {
        return true;
    }
    let most = if table.is_bits() {
        2000
    } else {
        u32::from(p.max_registers)
    };
    let bytes = if table.is_bits() {
        (to - from).div_ceil(8)
    } else {
        2 * (to - from)
    };
    let all = |first: u16, last: u16| (first..=last).all(|a| (from..to).contains(&u32::from(a)));
    let any = |first: u16, last: u16| (first..=last).any(|a| (from..to).contains(&u32::from(a)));
    to - from <= most
        && wire(limits.cost, bytes as usize) <= limits.longest
        && !limits
            .holes
            .iter()
            .any(|h| h.table == table && all(h.first, h.last))
        && !p
            .reads
            .holes
            .iter()
            .any(|h| h.table == table && any(h.first, h.last))
}

fn total(cost: Cost, blocks: &[ReadBlock]) -> Duration {
    blocks
        .iter()
        .map(|b| cost.of_request(&range(b).ask(UnitId(1))))
        .sum()
}

/// Returns the least cost of any division of the points into requests, runs or not.
fn least(p: &ProfileSpec, limits: &PlanLimits<'_>) -> Duration {
    fn assign(
        p: &ProfileSpec,
        limits: &PlanLimits<'_>,
        next: u16,
        sets: &mut Vec<Vec<u16>>,
    ) -> Duration {
        if usize::from(next) == p.points.len() {
            let price = |set: &Vec<u16>| {
                let point = &p.points[usize::from(set[0])];
                let like = ReadBlock {
                    address: BlockAddress::Modbus(EntryRange {
                        table: address_of(point).table,
                        start: 0,
                        count: 1,
                    }),
                    interval: point.interval,
                    priority: point.priority,
                    points: vec![],
                };
                let block = ReadBlock::of(p, set.clone(), &like);
                limits.cost.of_request(&range(&block).ask(UnitId(1)))
            };
            let fine = sets.iter().all(|set| allowed(p, limits, set));
            return if fine {
                sets.iter().map(price).sum()
            } else {
                Duration::MAX
            };
        }
        let own = &p.points[usize::from(next)];
        let mut best = Duration::MAX;
        for i in 0..sets.len() {
            let other = &p.points[usize::from(sets[i][0])];
            if (address_of(other).table, other.interval) == (address_of(own).table, own.interval) {
                sets[i].push(next);
                best = best.min(assign(p, limits, next + 1, sets));
                sets[i].pop();
            }
        }
        sets.push(vec![next]);
        best = best.min(assign(p, limits, next + 1, sets));
        sets.pop();
        best
    }
    assign(p, limits, 0, &mut Vec::new())
}

/// Plans as other programs do: joins points while the gap is at most this wide.
fn greedy(p: &ProfileSpec, limits: &PlanLimits<'_>, gap: u32) -> Vec<ReadBlock> {
    let mut order: Vec<u16> = (0..p.points.len() as u16).collect();
    let key = |i: &u16| {
        let point = &p.points[usize::from(*i)];
        (point.interval, address_of(point).table, span_of(p, *i), *i)
    };
    order.sort_by_key(key);
    let mut blocks: Vec<ReadBlock> = Vec::new();
    for i in order {
        let point = &p.points[usize::from(i)];
        let (from, to) = span_of(p, i).unwrap();
        if let Some(last) = blocks.last_mut()
            && (range(last).table, last.interval) == (address_of(point).table, point.interval)
            && from <= range(last).span().1 + gap
        {
            let mut points = last.points.clone();
            points.push(i);
            if allowed(p, limits, &points) {
                *last = ReadBlock::of(p, points, last);
                continue;
            }
        }
        blocks.push(ReadBlock {
            address: BlockAddress::Modbus(EntryRange {
                table: address_of(point).table,
                start: from as u16,
                count: (to - from) as u16,
            }),
            interval: point.interval,
            priority: point.priority,
            points: vec![i],
        });
    }
    blocks
}

proptest! {
    #[test]
    fn every_point_is_covered_exactly_once_whole_and_within_the_limits(
        (profile, holes, cost, longest) in any_case(120),
    ) {
        let limits = PlanLimits { cost, longest, holes: &holes, most_bytes: None };
        let blocks = plan(&profile, &limits);
        let mut seen = vec![0; profile.points.len()];
        for b in &blocks {
            let r = range(b);
            prop_assert!(r.count >= 1);
            prop_assert!(u32::from(r.start) + u32::from(r.count) <= 0x1_0000);
            prop_assert!(allowed(&profile, &limits, &b.points), "{:?}", b);
            prop_assert!(b.points.len() == 1 || !range(b).ask(UnitId(1)).echo_looks_like_reply());
            for i in &b.points {
                let p = &profile.points[usize::from(*i)];
                seen[usize::from(*i)] += 1;
                let address = address_of(p);
                prop_assert_eq!((address.table, p.interval), (r.table, b.interval));
                prop_assert!(address.start >= r.start);
                prop_assert!(u32::from(address.start) + u32::from(p.codec.width()) <= u32::from(r.start) + u32::from(r.count));
            }
        }
        prop_assert!(seen.iter().all(|n| *n == 1));
    }

    #[test]
    fn no_way_of_joining_neighbours_is_cheaper(
        (profile, holes, cost, longest) in any_case(80),
    ) {
        let limits = PlanLimits { cost, longest, holes: &holes, most_bytes: None };
        let ours = total(cost, &plan(&profile, &limits));
        for gap in [0, 1, 10, 50, 2000] {
            prop_assert!(ours <= total(cost, &greedy(&profile, &limits, gap)), "gap {}", gap);
        }
    }

    #[test]
    fn no_division_at_all_is_cheaper(
        (profile, holes, cost, longest) in any_case(8),
    ) {
        let limits = PlanLimits { cost, longest, holes: &holes, most_bytes: None };
        prop_assert_eq!(total(cost, &plan(&profile, &limits)), least(&profile, &limits));
    }
}

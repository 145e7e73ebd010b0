//! Commands through the port's task, on a line that is polled meanwhile.

use std::sync::Arc;
use std::time::Duration;

use alink_gateway::base::{
    FieldEvent, Now, PointEnd, RefusedReason, UnitId, UnknownReason, Value, WriteVerdict,
};
use alink_gateway::lab::bus::{Fault, Refusal};
use alink_gateway::spec::{Codec, LineSpec, Number, PointSpec, ReadBack, Spec, Table, WritePolicy};

use super::world::{ROUND, TIMEOUT, World, marked, ms, s, serial};
use crate::installation::{installation, number, point, profile};

/// The indices of the points that [`writable`] adds.
const FIRST: u16 = ROUND as u16;

/// Builds the usual units; each has these points as well, which may be written and are read
/// once an hour.
fn writable(units: u8, points: Vec<PointSpec>) -> Spec {
    let mut all = marked(s(1)).points.clone();
    all.extend(points.into_iter().map(|p| PointSpec {
        write: p.write.or_else(|| Some(Box::default())),
        ..p
    }));
    let kind = profile("writable", all);
    let units = (1..=units).map(|unit| (unit, Arc::clone(&kind)));
    installation(LineSpec::Serial(serial()), TIMEOUT, units)
}

fn holding(address: u16, kind: Number) -> PointSpec {
    point(Table::HoldingRegister, address, number(kind), s(3600))
}

fn coil(address: u16) -> PointSpec {
    point(Table::Coil, address, Codec::Bool, s(3600))
}

fn register(w: &World, unit: u8, address: u16) -> u16 {
    w.rig.with(|line, _| {
        let unit = line.unit(UnitId(unit)).unwrap();
        // The written value stays, whenever that was.
        unit.value_at(Now::default(), Table::HoldingRegister, address)
            .unwrap()
    })
}

fn verdict(mut points: Vec<PointEnd>) -> WriteVerdict {
    assert_eq!(points.len(), 1);
    points.remove(0).verdict
}

fn verified(read: Value) -> WriteVerdict {
    WriteVerdict::Verified { read }
}

#[tokio::test(start_paused = true)]
async fn a_command_changes_the_register_and_reads_it_back_at_once() {
    let points = vec![holding(900, Number::U16), holding(910, Number::U32)];
    let mut w = World::of(writable(3, points), 41, |journal| journal).await;
    w.run(ms(3500)).await;
    for (point, value) in [(0, 4711), (1, 0x0012_3456)] {
        let given = w.clock.now().mono;
        let number = w
            .command(2, vec![(FIRST + point, Value::UInt(value))])
            .await;
        let end = w.ended(number).await;
        assert_eq!(verdict(end.points), verified(Value::UInt(value)));
        assert!(w.clock.now().mono.since(given) < ms(300), "at once");
    }
    assert_eq!(register(&w, 2, 900), 4711);
    assert_eq!((register(&w, 2, 910), register(&w, 2, 911)), (0x12, 0x3456));
    w.run(s(10)).await;
    let counts = w.rig.with(|line, _| line.counts().clone());
    assert_eq!((counts.silence_violations, counts.collisions), (0, 0));
    for unit in 1..=3 {
        let t = w.tally(unit);
        assert!(t.missed.is_empty() && t.values >= 13 * ROUND, "{t:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn points_side_by_side_are_written_and_read_back_in_one_request_each() {
    let points = (0..20).map(|i| coil(30 + i)).collect();
    let mut w = World::of(writable(1, points), 42, |journal| journal).await;
    w.run(s(1)).await;
    let wanted = |i: u16| Value::Bool(i.is_multiple_of(3));
    let number = w
        .command(1, (0..20).map(|i| (FIRST + i, wanted(i))).collect())
        .await;
    let before = w
        .rig
        .with(|line, _| line.unit(UnitId(1)).unwrap().answered());
    let end = w.ended(number).await;
    let after = w
        .rig
        .with(|line, _| line.unit(UnitId(1)).unwrap().answered());
    assert!(after <= before + 3, "a write, a read, and perhaps a poll");
    for (i, end) in (0..20).zip(end.points) {
        assert_eq!(end.verdict, verified(wanted(i)), "{i}");
    }
}

#[tokio::test(start_paused = true)]
async fn bits_of_a_register_are_written_and_its_other_bits_stay() {
    for mask_write in [false, true] {
        let bit = |n| point(Table::HoldingRegister, 900, Codec::Bit(n), s(3600));
        let mut spec = writable(1, vec![holding(900, Number::U16), bit(0), bit(4), bit(5)]);
        for device in &mut spec.devices {
            Arc::make_mut(&mut device.profile).writes.mask_write = mask_write;
        }
        let mut w = World::of(spec, 48, |journal| journal).await;
        w.run(s(1)).await;
        let on = |n: u16, on| (FIRST + n, Value::Bool(on));
        for (values, wanted) in [
            (vec![(FIRST, Value::UInt(0x00F2))], 0x00F2),
            (vec![on(1, true)], 0x00F3),
            (vec![on(2, false), on(3, false)], 0x00C3),
        ] {
            let number = w.command(1, values.clone()).await;
            let end = w.ended(number).await;
            for ((_, value), end) in values.into_iter().zip(end.points) {
                assert_eq!(end.verdict, verified(value));
            }
            assert_eq!(register(&w, 1, 900), wanted);
        }
        let counts = w.rig.with(|line, _| line.counts().clone());
        assert_eq!((counts.silence_violations, counts.collisions), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_device_refuses_is_told_with_its_code() {
    let spec = writable(1, vec![holding(800, Number::U16)]);
    let mut w = World::of(spec, 43, |journal| journal).await;
    w.rig.with(|line, _| {
        let behaviour = &mut line.unit_mut(UnitId(1)).unwrap().behaviour;
        behaviour.refusals.push(Refusal {
            table: Table::HoldingRegister,
            addresses: 800..=801,
            code: 4,
        });
    });
    w.run(s(1)).await;
    let number = w.command(1, vec![(FIRST, Value::UInt(1))]).await;
    let end = w.ended(number).await;
    let refused = WriteVerdict::Refused(RefusedReason::Exception(4));
    assert_eq!(verdict(end.points), refused);
    w.run(s(30)).await;
    w.check();
    assert!(w.tally(1).values >= 30 * ROUND);
}

#[tokio::test(start_paused = true)]
async fn a_confirmation_that_is_lost_leaves_open_whether_it_was_done_and_is_not_repeated() {
    let spec = writable(2, vec![holding(5, Number::U16)]);
    let mut w = World::of(spec, 44, |journal| journal).await;
    w.run(s(2)).await;
    w.spoil(1, &[(Fault::Mute, 1000)]);
    let number = w.command(1, vec![(FIRST, Value::UInt(4711))]).await;
    let end = w.ended(number).await;
    assert_eq!(
        verdict(end.points),
        WriteVerdict::Unknown(UnknownReason::NoReply)
    );
    assert_eq!(register(&w, 1, 5), 4711, "done, although no reply said so");
    // Another master writes another value: the gateway does not undo it.
    w.spoil(1, &[]);
    w.rig.with(|line, now| {
        let unit = line.unit_mut(UnitId(1)).unwrap();
        unit.answer(now, &[6, 0, 5, 0, 9]);
    });
    w.run(s(60)).await;
    assert_eq!(register(&w, 1, 5), 9);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_commands_leaves_the_reads_their_time() {
    let spec = writable(4, vec![holding(900, Number::U16)]);
    let mut w = World::of(spec, 45, |journal| journal).await;
    w.run(s(5)).await;
    let before = w.tally(1).values;
    let begun = w.clock.now().mono;
    let (mut done, mut others) = (0, 0);
    let mut open = Vec::new();
    for n in 0u16.. {
        if w.clock.now().mono.since(begun) >= s(60) {
            break;
        }
        let unit = 1 + (n % 4) as u8;
        open.push(w.command(unit, vec![(FIRST, Value::UInt(n.into()))]).await);
        if open.len() >= 4 {
            let first = open.remove(0);
            match verdict(w.ended(first).await.points) {
                WriteVerdict::Verified { .. } => done += 1,
                _ => others += 1,
            }
        }
    }
    w.check();
    for unit in 1..=4 {
        let t = w.tally(unit);
        assert!(t.missed.is_empty(), "{t:?}");
    }
    // The reads take less than seven tenths of this line, so they lose nothing.
    assert!(w.tally(1).values - before >= 59 * ROUND);
    assert!(done > 250 && others <= 1, "{done} {others}");
}

#[tokio::test(start_paused = true)]
async fn while_the_line_is_not_open_commands_are_refused() {
    let mut point = holding(5, Number::U16);
    point.write = Some(Box::new(WritePolicy {
        read_back: ReadBack::Never,
        ..WritePolicy::default()
    }));
    let mut w = World::of(writable(1, vec![point]), 46, |journal| journal).await;
    w.run(s(2)).await;
    w.rig.unplug().await;
    w.run(s(3)).await;
    let set = || vec![(FIRST, Value::UInt(4711))];
    let number = w.command(1, set()).await;
    let end = w.ended(number).await;
    assert_eq!(
        verdict(end.points),
        WriteVerdict::Refused(RefusedReason::PortDown)
    );
    w.plug().await;
    w.run(s(10)).await;
    assert_ne!(register(&w, 1, 5), 4711);
    let number = w.command(1, set()).await;
    let end = w.ended(number).await;
    let written = Value::UInt(4711);
    assert_eq!(verdict(end.points), WriteVerdict::Confirmed { written });
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_when_the_sender_no_longer_waits() {
    let spec = writable(1, vec![holding(5, Number::U16)]);
    let mut w = World::of(spec, 47, |journal| journal).await;
    w.run(s(2)).await;
    // The unit says nothing from now on, so the first command waits in vain and the others
    // behind it.
    w.spoil(1, &[(Fault::Mute, 1000)]);
    let mut numbers = Vec::new();
    for value in 1..=3 {
        numbers.push(w.command(1, vec![(FIRST, Value::UInt(value))]).await);
    }
    let mut last = Duration::ZERO;
    let begun = w.clock.now().mono;
    for number in numbers {
        w.ended(number).await;
        last = w.clock.now().mono.since(begun);
    }
    assert!(last <= s(10), "{last:?}");
    let held = register(&w, 1, 5);
    w.spoil(1, &[]);
    let mut seen = 0;
    w.watch(s(60), |event| {
        seen += usize::from(matches!(event, FieldEvent::CommandEnded(_)))
    })
    .await;
    assert_eq!((register(&w, 1, 5), seen), (held, 0));
}

/// The same units on a line that they load to seven tenths.
async fn loaded(seed: u64) -> (World, Duration) {
    let interval = ms(1080);
    let mut all = marked(interval).points.clone();
    all.push(PointSpec {
        write: Some(Box::default()),
        ..holding(900, Number::U16)
    });
    let kind = profile("writable", all);
    let units = (1..=6).map(|unit| (unit, Arc::clone(&kind)));
    let spec = installation(LineSpec::Serial(serial()), TIMEOUT, units);
    let mut w = World::of(spec, seed, |journal| journal).await;
    w.run(s(20)).await;
    let load = w.load(s(20)).await;
    assert!((650.0..750.0).contains(&load), "{load}");
    (w, interval)
}

fn p99(mut all: Vec<Duration>) -> Duration {
    all.sort_unstable();
    all[all.len() * 99 / 100]
}

#[tokio::test(start_paused = true)]
async fn on_a_loaded_line_a_value_is_verified_within_three_tenths_of_a_second() {
    let (mut w, _) = loaded(50).await;
    let mut took = Vec::new();
    for n in 0u16..300 {
        w.run(ms(400 + u64::from(n % 7) * 130)).await;
        let given = w.clock.now().mono;
        let unit = 1 + (n % 6) as u8;
        let number = w.command(unit, vec![(FIRST, Value::UInt(n.into()))]).await;
        let end = w.ended(number).await;
        assert_eq!(verdict(end.points), verified(Value::UInt(n.into())));
        took.push(w.clock.now().mono.since(given));
    }
    let p99 = p99(took);
    eprintln!("verified after {p99:?}, p99");
    assert!(p99 <= ms(300), "{p99:?}");
    w.check();
}

/// A line that is loaded to seven tenths, and commands without end: polls come late, and none
/// by more than half of its interval.
#[tokio::test(start_paused = true)]
async fn a_flood_of_commands_on_a_loaded_line_makes_polls_late_by_half_an_interval_at_most() {
    let (mut w, interval) = loaded(49).await;
    w.points.clear();
    let begun = w.clock.now().mono;
    let (mut open, mut done) = (Vec::new(), 0);
    for n in 0u16.. {
        if w.clock.now().mono.since(begun) >= s(120) {
            break;
        }
        let unit = 1 + (n % 6) as u8;
        open.push(w.command(unit, vec![(FIRST, Value::UInt(n.into()))]).await);
        if open.len() >= 6 {
            let first = open.remove(0);
            let end = w.ended(first).await;
            done += u32::from(matches!(verdict(end.points), WriteVerdict::Verified { .. }));
        }
    }
    w.check();
    let polled = w.points.iter().filter(|((_, point), _)| *point < FIRST);
    let gaps: Vec<Duration> = polled.flat_map(|(_, (_, gaps))| gaps.clone()).collect();
    let longest = *gaps.iter().max().unwrap();
    let p99 = p99(gaps);
    eprintln!("gaps of {interval:?}: p99 {p99:?}, longest {longest:?}; {done} verified");
    assert!(p99 <= interval * 3 / 2, "{p99:?}");
}

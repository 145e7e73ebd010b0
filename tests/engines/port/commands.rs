//! Commands through the port's task, on a line that is polled meanwhile.

use std::time::Duration;

use alink_gateway::base::{FieldEvent, Now, UnitId, Value};
use alink_gateway::field::modbus::write::Entries;
use alink_gateway::field::schedule::command::{End, Refused};
use alink_gateway::lab::bus::{Fault, Refusal};
use alink_gateway::spec::Table;

use super::world::{ROUND, World, ms, s};

fn register(w: &World, unit: u8, address: u16) -> u16 {
    w.rig.with(|line, _| {
        let unit = line.unit(UnitId(unit)).unwrap();
        // The written value stays, whenever that was.
        unit.truth(Now::default(), Table::HoldingRegister, address)
            .unwrap()
    })
}

/// Returns the values of one device's point, as they come.
async fn values(w: &mut World, unit: u8, point: u16, span: Duration) -> Vec<Value> {
    let mut seen = Vec::new();
    w.watch(span, |event| {
        if let FieldEvent::Polled { readings, .. } = event {
            let of = |r: &&_| {
                let r: &alink_gateway::base::Reading = r;
                r.device.0 + 1 == u32::from(unit) && r.point == point
            };
            seen.extend(readings.iter().filter(of).map(|r| r.value.clone()));
        }
    })
    .await;
    seen
}

#[tokio::test(start_paused = true)]
async fn a_command_changes_the_register_and_the_next_read_shows_it() {
    let mut w = World::new(3, s(1), 41).await;
    w.run(ms(3500)).await;
    for (round, entries) in [
        Entries::Register(4711),
        Entries::Registers(vec![4712, 4713]),
    ]
    .into_iter()
    .enumerate()
    {
        let wanted = 4711 + round as u16;
        let given = w.clock.now().mono;
        let end = w.command(2, 5, entries).await.await.unwrap();
        assert_eq!(end, End::Confirmed);
        assert!(w.clock.now().mono.since(given) < ms(200), "at once");
        assert_eq!(register(&w, 2, 5), wanted);
        let seen = values(&mut w, 2, 5, s(5)).await;
        let wanted = Value::UInt(u64::from(wanted));
        // A value that was read before the write may be reported after it.
        assert!(seen.len() >= 4, "{seen:?}");
        assert!(seen.iter().skip(1).all(|v| *v == wanted), "{seen:?}");
    }
    let counts = w.rig.with(|line, _| line.counts().clone());
    assert_eq!((counts.silence_violations, counts.collisions), (0, 0));
    for unit in 1..=3 {
        let t = w.tally(unit);
        assert!(t.missed.is_empty() && t.values >= 13 * ROUND, "{t:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_mask_changes_its_bits_and_no_others() {
    let mut w = World::new(1, s(1), 47).await;
    w.run(s(1)).await;
    // Modbus Application Protocol V1.1b3 §6.16: 12h becomes 17h.
    for (entries, wanted) in [
        (Entries::Register(0x12), 0x12),
        (
            Entries::Mask {
                and: 0xF2,
                or: 0x25,
            },
            0x17,
        ),
        (
            Entries::Mask {
                and: 0xFF0F,
                or: 0x0080,
            },
            0x87,
        ),
    ] {
        let end = w.command(1, 4, entries).await.await.unwrap();
        assert_eq!(end, End::Confirmed);
        assert_eq!(register(&w, 1, 4), wanted);
    }
    let counts = w.rig.with(|line, _| line.counts().clone());
    assert_eq!((counts.silence_violations, counts.collisions), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn coils_are_written_too() {
    let mut w = World::new(1, s(1), 42).await;
    w.run(s(1)).await;
    for entries in [
        Entries::Coil(true),
        Entries::Coils((0..20).map(|i| i % 3 == 0).collect()),
    ] {
        let end = w.command(1, 30, entries).await.await.unwrap();
        assert_eq!(end, End::Confirmed);
    }
    let coil = |address| {
        w.rig.with(|line, _| {
            let unit = line.unit(UnitId(1)).unwrap();
            unit.truth(Now::default(), Table::Coil, address).unwrap()
        })
    };
    for i in 0..20 {
        assert_eq!(coil(30 + i), u16::from(i % 3 == 0));
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_device_refuses_is_told_with_its_code() {
    let mut w = World::new(1, s(1), 43).await;
    w.rig.with(|line, _| {
        let behaviour = &mut line.unit_mut(UnitId(1)).unwrap().behaviour;
        behaviour.refusals.push(Refusal {
            table: Table::HoldingRegister,
            addresses: 800..=801,
            code: 4,
        });
    });
    w.run(s(1)).await;
    let end = w.command(1, 800, Entries::Register(1)).await.await.unwrap();
    assert_eq!(end, End::Exception(4));
    w.run(s(30)).await;
    w.check();
    assert!(w.tally(1).values >= 30 * ROUND);
}

#[tokio::test(start_paused = true)]
async fn a_confirmation_that_is_lost_leaves_open_whether_it_was_done_and_is_not_repeated() {
    let mut w = World::new(2, s(1), 44).await;
    w.run(s(2)).await;
    let answered = |w: &World| {
        w.rig
            .with(|line, _| line.unit(UnitId(1)).unwrap().answered())
    };
    w.spoil(1, &[(Fault::Mute, 1000)]);
    let end = w.command(1, 5, Entries::Register(4711)).await;
    let before = answered(&w);
    assert!(matches!(end.await.unwrap(), End::Unanswered(_)));
    assert!(answered(&w) <= before + 2);
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
async fn a_flood_of_commands_leaves_the_reads_their_half() {
    let mut w = World::new(4, s(1), 45).await;
    w.run(s(5)).await;
    let commands = w.commands.clone();
    let flood = tokio::spawn(async move {
        let (mut confirmed, mut others) = (0u32, 0u32);
        for n in 0.. {
            let (end, ended) = tokio::sync::oneshot::channel();
            let command = alink_gateway::field::schedule::command::Command {
                device: alink_gateway::base::DeviceId(n % 4),
                start: 900,
                entries: Entries::Register(n as u16),
            };
            let command = alink_gateway::io::bus::port::PortCommand { command, end };
            if commands.send(command).await.is_err() {
                break;
            }
            match ended.await {
                Ok(End::Confirmed) => confirmed += 1,
                _ => others += 1,
            }
        }
        (confirmed, others)
    });
    let before = w.tally(1).values;
    w.run(s(60)).await;
    w.check();
    for unit in 1..=4 {
        let t = w.tally(unit);
        assert!(t.missed.is_empty(), "{t:?}");
    }
    // The reads take less than half of this line, so they lose nothing.
    assert!(w.tally(1).values - before >= 59 * ROUND);
    w.stop.cancel();
    drop(w);
    let (confirmed, others) = flood.await.unwrap();
    assert!(confirmed > 500 && others <= 1, "{confirmed} {others}");
}

#[tokio::test(start_paused = true)]
async fn while_the_line_is_not_open_commands_are_refused() {
    let mut w = World::new(1, s(1), 46).await;
    w.run(s(2)).await;
    w.rig.unplug().await;
    w.run(s(3)).await;
    let end = w
        .command(1, 5, Entries::Register(4711))
        .await
        .await
        .unwrap();
    assert_eq!(end, End::Refused(Refused::LineDown));
    w.plug().await;
    w.run(s(10)).await;
    assert_ne!(register(&w, 1, 5), 4711);
    let end = w
        .command(1, 5, Entries::Register(4711))
        .await
        .await
        .unwrap();
    assert_eq!(end, End::Confirmed);
}

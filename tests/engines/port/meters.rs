//! Commands to DL/T 645 meters through the port's task: what they hold, what they refuse, and
//! what a listener sees of the password.

use std::sync::Arc;
use std::time::Duration;

use alink_gateway::base::{RefusedReason, UnknownReason, Value, WriteVerdict};
use alink_gateway::lab::bus::protocol::{BusProtocol, Meter, Year};
use alink_gateway::lab::bus::{Chance, Fault, Unit, UnitKind};
use alink_gateway::spec::dlt645::{Edition, MeterAddress, ValuePosition, WriteAccess, item};
use alink_gateway::spec::*;
use alink_gateway::trace::TraceEventKind;

use super::world::{TIMEOUT, World, s, serial};
use crate::installation::{installation, profile};

/// The points: what is written, and what each meter measures.
const DATA: [(&str, u32, usize); 4] = [
    ("current-ratio", 0x0400_0306, 3),
    ("date", 0x0400_0101, 4),
    ("asset-code", 0x0400_0403, 32),
    ("voltage-a", 0x0201_0100, 0),
];

const RATIO: u16 = 0;
const DATE: u16 = 1;
const ASSET: u16 = 2;
const VOLTAGE: u16 = 3;

const PASSWORD: &str = "02123456";
/// The same as it travels.
const ON_THE_WIRE: [u8; 4] = [2, 0x56, 0x34, 0x12];
const OPERATOR: &str = "00005678";

fn point(index: u16, name: &str) -> PointSpec {
    PointSpec {
        id: name.replace('-', "_"),
        address: PointAddress::Dlt645(DatumAddress {
            item: ItemIndex(index),
            position: ValuePosition::Value(0),
        }),
        codec: Codec::Datum {
            item: item::find(Edition::Y2007, name).unwrap(),
            scale: Decimal::ONE,
            offset: Decimal::ZERO,
            number_type: None,
        },
        interval: if index == VOLTAGE { s(1) } else { s(3600) },
        priority: Default::default(),
        report: Default::default(),
        shown: Default::default(),
        write: (index != VOLTAGE).then(Box::default),
    }
}

fn kind() -> Arc<ProfileSpec> {
    let points = (0..).zip(DATA).map(|(i, (name, ..))| point(i, name));
    let items = DATA.map(|(name, ..)| item::find(Edition::Y2007, name).unwrap());
    let plain = profile("meter", points.collect());
    Arc::new(ProfileSpec {
        protocol: Protocol::Dlt645(items.to_vec()),
        ..ProfileSpec::clone(&plain)
    })
}

/// A line with meters 1, 2, …
async fn line(meters: u8, echo: bool) -> World {
    let mut tty = serial();
    tty.adapter.echo = echo;
    let kind = kind();
    let units = (1..=meters).map(|unit| (unit, Arc::clone(&kind)));
    let mut spec = installation(LineSpec::Serial(tty), TIMEOUT, units);
    for (number, device) in (1..).zip(&mut spec.devices) {
        let address = MeterAddress::parse(&format!("{number:012}")).unwrap();
        device.address = BusAddress::Dlt645(address);
        device.access = WriteAccess::parse(PASSWORD, OPERATOR);
    }
    let others = (1..=meters).map(|n| {
        let mut meter = Meter::new(Year::Y2007, n.into(), Unit::new(UnitKind::Meter, n.into()));
        meter.password = ON_THE_WIRE;
        let held = DATA.iter().filter(|(_, _, bytes)| *bytes > 0);
        meter.held = held.map(|(_, id, bytes)| (*id, vec![1; *bytes])).collect();
        if echo {
            meter.unit.behaviour.faults = vec![Chance {
                fault: Fault::Echo,
                permille: 1000,
            }];
        }
        BusProtocol::Dlt645(meter)
    });
    let mut w = World::beside(spec, others.collect(), 91, |journal| journal).await;
    w.run(s(3)).await;
    w
}

fn with_meter<R>(w: &World, number: usize, play: impl FnOnce(&mut Meter) -> R) -> R {
    w.rig
        .with(|line, _| match &mut line.protocols_mut()[number - 1] {
            BusProtocol::Dlt645(meter) => play(meter),
            other => panic!("{other:?}"),
        })
}

async fn set(w: &mut World, meter: u8, point: u16, value: Value) -> WriteVerdict {
    let number = w.command(meter, vec![(point, value)]).await;
    let mut points = w.ended(number).await.points;
    assert_eq!(points.len(), 1);
    points.remove(0).verdict
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

#[tokio::test(start_paused = true)]
async fn a_command_sets_the_datum_of_one_meter_and_reads_it_back() {
    let mut w = line(2, false).await;
    for (point, value, id, held) in [
        (RATIO, Value::Int(80), 0x0400_0306, vec![0x80, 0, 0]),
        (
            DATE,
            text("2026-11-22"),
            0x0400_0101,
            vec![0, 0x22, 0x11, 0x26],
        ),
        (
            ASSET,
            text("B7"),
            0x0400_0403,
            [vec![0; 30], vec![b'7', b'B']].concat(),
        ),
    ] {
        let given = w.clock.now().mono;
        let verdict = set(&mut w, 2, point, value.clone()).await;
        assert_eq!(verdict, WriteVerdict::Verified { read: value });
        assert!(w.clock.now().mono.since(given) < s(1), "at once");
        assert_eq!(with_meter(&w, 2, |m| m.held[&id].clone()), held);
    }
    assert_eq!(with_meter(&w, 2, |m| m.set), 3, "each once");
    assert_eq!(with_meter(&w, 1, |m| m.set), 0);
    let counts = w.rig.with(|line, _| line.counts().clone());
    assert_eq!((counts.silence_violations, counts.collisions), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn several_data_are_set_one_by_one_and_in_order() {
    let mut w = line(1, false).await;
    let values = vec![(RATIO, Value::Int(7)), (DATE, text("2027-01-31"))];
    let number = w.command(1, values.clone()).await;
    let end = w.ended(number).await;
    for ((_, value), end) in values.into_iter().zip(end.points) {
        assert_eq!(end.verdict, WriteVerdict::Verified { read: value });
    }
    assert_eq!(with_meter(&w, 1, |m| m.set), 2);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_password_is_told_in_the_words_of_the_meter_and_with_what_helps() {
    let mut w = line(1, false).await;
    with_meter(&w, 1, |m| m.password = [4, 0, 0, 0]);
    let verdict = set(&mut w, 1, RATIO, Value::Int(80)).await;
    let WriteVerdict::Refused(RefusedReason::Declined { word: 4, why }) = &verdict else {
        panic!("{verdict:?}");
    };
    assert_eq!(
        why,
        "wrong password or not authorised; write_password may be another one, or the meter wants its programming key pressed first"
    );
    assert_eq!(with_meter(&w, 1, |m| m.set), 0);
    // What the meter does not have is refused as well, and it goes on being read.
    with_meter(&w, 1, |m| {
        m.password = ON_THE_WIRE;
        m.held.remove(&0x0400_0306);
    });
    let verdict = set(&mut w, 1, RATIO, Value::Int(80)).await;
    assert!(
        matches!(
            verdict,
            WriteVerdict::Refused(RefusedReason::Declined { word: 2, .. })
        ),
        "{verdict:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_confirmation_that_is_lost_leaves_open_whether_it_was_done_and_is_not_repeated() {
    let mut w = line(1, false).await;
    let mute = |w: &World, permille| {
        with_meter(w, 1, |m| {
            m.unit.behaviour.faults = vec![Chance {
                fault: Fault::Mute,
                permille,
            }];
        });
    };
    mute(&w, 1000);
    let verdict = set(&mut w, 1, RATIO, Value::Int(80)).await;
    assert_eq!(verdict, WriteVerdict::Unknown(UnknownReason::NoReply));
    assert_eq!(
        with_meter(&w, 1, |m| (m.set, m.held[&0x0400_0306][0])),
        (1, 0x80)
    );
    mute(&w, 0);
    w.run(s(60)).await;
    assert_eq!(with_meter(&w, 1, |m| m.set), 1);
    let verdict = set(&mut w, 1, RATIO, Value::Int(81)).await;
    assert_eq!(
        verdict,
        WriteVerdict::Verified {
            read: Value::Int(81)
        }
    );
}

/// Every byte that a listener is shown, of requests and of what comes, echoes included; and
/// everything that is printed of a request.
#[tokio::test(start_paused = true)]
async fn a_listener_sees_no_password_and_no_operator_code() {
    let secret: Vec<u8> = WriteAccess::parse(PASSWORD, OPERATOR)
        .unwrap()
        .expose()
        .iter()
        .map(|byte| byte.wrapping_add(0x33))
        .collect();
    for echo in [false, true] {
        let mut w = line(1, echo).await;
        let mut listener = w.tap.listen().unwrap();
        let verdict = set(&mut w, 1, RATIO, Value::Int(80)).await;
        assert_eq!(
            verdict,
            WriteVerdict::Verified {
                read: Value::Int(80)
            },
            "{echo}"
        );
        w.run(Duration::from_millis(100)).await;
        let (mut sent, mut came) = (Vec::new(), Vec::new());
        while let Some(event) = listener.try_next() {
            match event.what {
                TraceEventKind::Sent { bytes, .. } => sent.extend(bytes),
                TraceEventKind::Received { bytes } => came.extend(bytes),
                _ => {}
            }
        }
        let written = sent.windows(9).position(|w| w[0] == 0x68 && w[8] == 0x14);
        let frame = &sent[written.expect("the write was shown")..][..25];
        assert_eq!(frame[14..22], [0x33; 8], "as zeros");
        let sum = frame[..25].iter().fold(0u8, |sum, b| sum.wrapping_add(*b));
        assert_eq!(
            [sum, 0x16],
            sent[written.unwrap()..][25..27],
            "a whole frame"
        );
        let echoed = came.windows(frame.len()).any(|w| w == frame);
        assert_eq!(echoed, echo, "the echo is shown like the request");
        for shown in [sent, came] {
            assert!(!shown.windows(3).any(|w| secret.windows(3).any(|s| s == w)));
        }
    }
}

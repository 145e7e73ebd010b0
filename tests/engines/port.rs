//! The real port task on a pipe, with the model of a line at the other end, on virtual
//! time: whatever the line does, no value is wrong and no frame is interrupted.

mod behind;
mod commands;
mod floats;
mod load;
mod meters;
mod raw_devices;
mod shipped;
mod twins;
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use alink_gateway::base::{
    DeviceId, FieldEvent, LivenessEvidence, MissReason, PortId, Rng, UnitId, Wall,
};
use alink_gateway::io::bus::line::Opener;
use alink_gateway::io::bus::port::{self, PortInputs};
use alink_gateway::io::log::Journal;
use alink_gateway::io::store::learned::Learned;
use alink_gateway::io::system::clock::Clock;
use alink_gateway::io::system::heartbeat::Heartbeat;
use alink_gateway::lab::bus::{Chance, Fault, Line, Pace, Refusal, Unit, UnitKind};
use alink_gateway::lab::wire::LineRig;
use alink_gateway::spec::*;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use world::{JOURNEY, ROUND, TIMEOUT, World, installation, ms, s, serial};

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_look_takes_wrong_values_and_is_found_out() {
    use tokio_modbus::client::{Reader, rtu};
    let clock = Clock::starting_at(Wall::from_millis(1_790_000_000_000));
    let mut line = Line::new(Pace::from(&serial()), Rng::new(1));
    let unit = || Unit::new(UnitKind::Marked, 1);
    line.attach(UnitId(1), unit());
    let mut rig = LineRig::new(line, clock);
    let mut client = rtu::attach_slave(rig.plug_pipe(), tokio_modbus::Slave(1));
    rig.with(|line, _| {
        line.unit_mut(UnitId(1)).unwrap().behaviour.faults = vec![Chance {
            fault: Fault::Late(ms(330)),
            permille: 500,
        }];
    });
    let mut wrong = 0;
    for address in 0..100 {
        let read = client.read_holding_registers(address, 1);
        if let Ok(Ok(Ok(got))) = tokio::time::timeout(TIMEOUT, read).await {
            let now = clock.now().wall;
            let from = Wall::from_millis(now.as_millis() - JOURNEY);
            wrong += u32::from(!unit().had(from..=now, Table::HoldingRegister, address, &got));
        }
    }
    assert!(wrong > 10, "{wrong}");
    let violations = rig.with(|line, _| line.counts().silence_violations);
    assert!(violations > 10, "{violations}");
}

#[tokio::test(start_paused = true)]
async fn a_healthy_line_delivers_every_value_in_every_slot() {
    let mut w = World::new(3, s(1), 1).await;
    w.run(s(60)).await;
    w.check();
    for unit in 1..=3 {
        let t = w.tally(unit);
        // Once at the start, and then on the grid.
        assert!((60 * ROUND..=61 * ROUND).contains(&t.values), "{t:?}");
        assert!(t.missed.is_empty(), "{t:?}");
    }
    let counts = w.rig.with(|line, _| line.counts().clone());
    assert_eq!((counts.not_understood, counts.collisions), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_late_reply_is_nobodys_value_but_proves_life() {
    let mut w = World::new(3, s(1), 2).await;
    // Half of unit 2's replies come after their timeout.
    w.spoil(2, &[(Fault::Late(ms(400)), 500)]);
    w.run(s(300)).await;
    w.check();
    let t = w.tally(2);
    assert!(t.late > 20 && t.missed["Silence"] > 20, "{t:?}");
    assert!(t.values > 300, "{t:?}");
    for unit in [1, 3] {
        // Now and then a late reply collides with their replies: that costs a try, and
        // the polls soon go on.
        let t = w.tally(unit);
        assert!(t.values > 255 * ROUND, "{t:?}");
        assert_eq!(t.late, 0, "{t:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reply_from_the_wrong_unit_is_a_miss_and_never_a_value() {
    let mut w = World::new(3, s(1), 3).await;
    w.spoil(1, &[(Fault::Foreign, 1000)]);
    w.run(s(60)).await;
    w.check();
    let t = w.tally(1);
    assert_eq!((t.values, t.answers), (0, 0), "{t:?}");
    assert!(t.missed["Foreign"] > 3, "{t:?}");
    // Unit 2, whose address was used wrongly, has neither gained nor lost.
    let t = w.tally(2);
    assert!(t.values > 55 * ROUND && t.late == 0, "{t:?}");
}

#[tokio::test(start_paused = true)]
async fn a_reply_of_another_length_or_function_is_never_a_value() {
    for fault in [Fault::Short, Fault::WrongFunction] {
        let mut w = World::new(2, s(1), 4).await;
        w.spoil(1, &[(fault, 1000)]);
        w.run(s(60)).await;
        w.check();
        let t = w.tally(1);
        // A request for a single entry cannot be answered with less.
        assert_eq!(t.values, 0, "{fault:?} {t:?}");
        assert!(w.tally(2).values > 50 * ROUND);
    }
}

#[tokio::test(start_paused = true)]
async fn noise_and_echo_in_front_of_a_reply_hide_it_from_nobody() {
    for fault in [Fault::Noise(3), Fault::Noise(20), Fault::Echo] {
        let mut w = World::new(2, s(1), 5).await;
        w.spoil(1, &[(fault, 1000)]);
        w.run(s(60)).await;
        w.check();
        let t = w.tally(1);
        assert!(t.values > 50 * ROUND, "{fault:?} {t:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_adapter_that_hears_itself_is_no_obstacle() {
    let mut w = World::new(2, s(1), 6).await;
    w.rig.with(|line, _| line.echo = true);
    w.run(s(60)).await;
    w.check();
    for unit in 1..=2 {
        let t = w.tally(unit);
        assert!(t.values > 58 * ROUND && t.missed.is_empty(), "{t:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_may_come_in_whatever_groups_the_adapter_likes() {
    for group in [2, 7, 16, 256] {
        let mut w = World::new(2, s(1), 7).await;
        w.rig.with(|line, _| line.set_group(group));
        w.run(s(30)).await;
        w.check();
        assert!(w.tally(1).values > 28 * ROUND, "groups of {group}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_proves_life_and_costs_the_other_values_nothing() {
    let mut world = World::new(2, s(1), 7).await;
    world.rig.with(|line, _| {
        let behaviour = &mut line.unit_mut(UnitId(2)).unwrap().behaviour;
        behaviour.refusals.push(Refusal {
            table: Table::InputRegister,
            addresses: 40..=40,
            code: 2,
        });
    });
    world.run(s(30)).await;
    let t = world.tally(2);
    assert!(
        (2..=7).contains(&t.exceptions),
        "a refused point is tried within eight seconds at first: {t:?}"
    );
    assert!(t.missed.is_empty(), "{t:?}");
    assert!(t.values >= 29 * (ROUND - 1), "{t:?}");
    world.check();
}

#[tokio::test(start_paused = true)]
async fn what_a_unit_refuses_is_gone_around_after_a_few_requests() {
    let mut world = World::new(2, s(1), 7).await;
    world.rig.with(|line, _| {
        let behaviour = &mut line.unit_mut(UnitId(1)).unwrap().behaviour;
        behaviour.refusals.push(Refusal {
            table: Table::HoldingRegister,
            addresses: 604..=605,
            code: 2,
        });
    });
    world.run(s(5)).await;
    let t = world.tally(1);
    // Four points in one request: the request, one half, and the point itself, which is
    // tried again.
    assert!((3..=5).contains(&t.exceptions), "{t:?}");
    world.run(s(25)).await;
    let t = world.tally(1);
    assert!(t.exceptions <= 9, "{t:?}");
    assert!(t.values >= 29 * (ROUND - 1), "{t:?}");
    world.check();
}

#[tokio::test(start_paused = true)]
async fn forecast_and_measured_load_agree_within_five_percent() {
    for (units, interval) in load::CASES {
        let load = load::measure(units, interval).await;
        println!(
            "{units} units: forecast {}, measured {:.0}, off {:.1} %",
            load.foretold, load.measured, load.off
        );
        assert!(load.off < 5.0, "{load:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unplugged_line_is_told_once_and_polled_again_when_it_returns() {
    let mut w = World::new(3, s(1), 9).await;
    w.run(s(10)).await;
    w.rig.unplug().await;
    let mut down = 0;
    let mut blamed = Vec::new();
    w.watch(s(60), |event| match event {
        FieldEvent::PortDown { .. } => down += 1,
        FieldEvent::Polled {
            evidence: LivenessEvidence::Missed(why),
            ..
        } => blamed.push(*why),
        FieldEvent::Polled { .. }
        | FieldEvent::CommandBegun(_)
        | FieldEvent::CommandEnded(_)
        | FieldEvent::PortUp { .. }
        | FieldEvent::PortRetried { .. }
        | FieldEvent::NoValue { .. }
        | FieldEvent::PointsFailing { .. }
        | FieldEvent::Load { .. }
        | FieldEvent::Echoes { .. }
        | FieldEvent::Noticed { .. }
        | FieldEvent::Probes { .. }
        | FieldEvent::FloatsJudged { .. } => {}
    })
    .await;
    assert_eq!(down, 1);
    // At most the request under way.
    assert!(blamed.is_empty() || blamed == [MissReason::ConnectionLost]);

    w.polls.clear();
    w.plug().await;
    let clock = w.clock;
    let before = clock.now().mono;
    let mut up = Vec::new();
    w.watch(s(60), |event| {
        if matches!(event, FieldEvent::PortUp { .. }) {
            up.push(clock.now().mono.since(before));
        }
    })
    .await;
    assert!(matches!(up[..], [took] if took <= s(5)), "{up:?}");
    for unit in 1..=3 {
        assert!(w.tally(unit).values > 50 * ROUND);
    }
    w.check();
}

#[tokio::test(start_paused = true)]
async fn a_slow_unit_slows_itself_and_not_its_neighbours() {
    let mut w = World::new(6, s(3), 10).await;
    w.rig.with(|line, _| {
        let behaviour = &mut line.unit_mut(UnitId(4)).unwrap().behaviour;
        behaviour.turnaround = ms(200);
        behaviour.jitter = ms(50);
    });
    w.run(s(120)).await;
    w.check();
    for unit in 1..=6 {
        let t = w.tally(unit);
        assert!(t.values >= 39 * ROUND, "{unit}: {t:?}");
        assert!(t.missed.is_empty(), "{unit}: {t:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn dead_units_cost_the_living_no_polls_and_are_noticed_when_they_return() {
    let mut w = World::new(12, s(5), 11).await;
    let dead = 1..=8;
    w.rig
        .with(|line, _| dead.clone().for_each(|u| line.kill(UnitId(u))));
    w.run(s(600)).await;
    w.check();
    for unit in 9..=12 {
        let t = w.tally(unit);
        assert!(t.values >= 119 * ROUND, "{unit}: {t:?}");
        assert!(t.longest_gap <= s(6), "{unit}: {t:?}");
    }
    for unit in dead.clone() {
        let t = w.tally(unit);
        assert_eq!(t.answers, 0);
        assert!(t.missed["Silence"] >= 40, "{unit}: {t:?}");
    }

    let before = w.clock.now().mono;
    w.rig
        .with(|line, _| dead.clone().for_each(|u| line.power_on(UnitId(u))));
    let mut back: BTreeMap<DeviceId, Duration> = BTreeMap::new();
    w.watch(s(60), |event| {
        if let FieldEvent::Polled {
            device,
            at,
            evidence: LivenessEvidence::Alive(_),
            ..
        } = event
        {
            back.entry(*device).or_insert(at.mono.since(before));
        }
    })
    .await;
    assert_eq!(back.len(), 12);
    assert!(back.values().all(|d| *d <= s(15)), "{back:?}");
    w.check();
}

/// Everything that can go wrong with a reply, in thousandths.
const HOSTILE: &[(Fault, u32)] = &[
    (Fault::Mute, 15),
    (Fault::Late(ms(250)), 15),
    (Fault::Late(ms(330)), 25),
    (Fault::Late(ms(450)), 15),
    (Fault::Cut, 25),
    (Fault::Flip, 40),
    (Fault::Twice, 25),
    (Fault::Foreign, 25),
    (Fault::WrongFunction, 15),
    (Fault::Short, 25),
    (Fault::Echo, 25),
    (Fault::Noise(1), 15),
    (Fault::Noise(17), 25),
    (Fault::Babble, 25),
    (Fault::Hiccup(ms(3)), 15),
    (Fault::Hiccup(ms(20)), 15),
];

#[tokio::test(start_paused = true)]
async fn on_a_hostile_line_no_value_is_wrong_and_nobody_is_talked_over() {
    let mut transactions = 0;
    let mut values = 0;
    let mut struck: BTreeMap<&str, u64> = BTreeMap::new();
    for seed in 0..2 {
        let mut w = World::new(6, s(1), 100 + seed).await;
        for unit in 1..=6 {
            w.spoil(unit, HOSTILE);
            w.rig.with(|line, _| {
                let behaviour = &mut line.unit_mut(UnitId(unit)).unwrap().behaviour;
                behaviour.turnaround = ms(2);
                behaviour.jitter = ms(40);
            });
        }
        // Besides, units die and return, and the plug is pulled.
        for round in 0..20 {
            w.run(s(30)).await;
            let unit = UnitId(round % 6 + 1);
            w.rig.with(|line, _| line.kill(unit));
            w.run(s(10)).await;
            w.rig.with(|line, _| line.power_on(unit));
            if round % 5 == 4 {
                w.rig.unplug().await;
                w.run(s(2)).await;
                w.plug().await;
            }
        }
        w.check();
        let counts = w.rig.with(|line, _| line.counts().clone());
        transactions += counts.requests + counts.unanswered + counts.not_understood;
        for (name, n) in counts.faults {
            *struck.entry(name).or_default() += n;
        }
        values += w.polls.values().map(|t| t.values).sum::<u64>();
    }
    println!("{transactions} transactions, {values} values, none wrong; {struck:?}");
    assert!(transactions >= 10_000, "{transactions}");
    assert!(values >= 20_000, "{values}");
    assert_eq!(struck.len(), 12, "{struck:?}");
}

/// Checks the real thread, on real time and a real terminal: under any load the gateway
/// may be late, never early.
#[tokio::test]
async fn on_a_terminal_the_silence_is_kept_on_real_time_and_a_stop_frees_it() {
    let dir = tempfile::tempdir().unwrap();
    let tty = dir.path().join("ttyLAB0");
    let line_spec = SerialSpec {
        path: tty.clone(),
        baud: 115_200,
        parity: Parity::None,
        stop_bits: StopBits::Two,
        framing: Default::default(),
        adapter: Default::default(),
        ..serial()
    };
    let mut spec = installation(8, ms(10));
    spec.ports[0].line = LineSpec::Serial(line_spec.clone());
    let spec = Arc::new(spec);
    let clock = Clock::system();
    let mut line = Line::new(Pace::from(&line_spec), Rng::new(1));
    for unit in 1..=8 {
        line.attach(UnitId(unit), Unit::new(UnitKind::Marked, unit.into()));
    }
    let (pipes, _) = mpsc::channel(1);
    let (hub_in, hub) = mpsc::channel(64);
    let (attempted, _) = oneshot::channel();
    let mut world = World {
        clock,
        tap: Default::default(),
        rig: LineRig::new(line, clock),
        spec: Arc::clone(&spec),
        pipes,
        hub,
        stop: CancellationToken::new(),
        commands: mpsc::channel(1).0,
        ends: BTreeMap::new(),
        given: 0,
        polls: BTreeMap::new(),
        points: BTreeMap::new(),
        false_frames: 0,
    };
    world.rig.plug_terminal_exactly(&tty).unwrap();
    let port = tokio::spawn(port::run(
        PortId(0),
        Arc::clone(&spec),
        Opener::System,
        Learned::in_memory(),
        Rng::new(1),
        clock,
        Journal::new(spec),
        hub_in,
        Heartbeat::new("line"),
        world.stop.clone(),
        attempted,
        PortInputs::default(),
    ));
    world.run(s(2)).await;
    world.check();
    for unit in 1..=8 {
        assert!(world.tally(unit).values >= ROUND, "{:?}", world.polls);
    }

    // In the middle of a transaction, as a rule.
    let path = tty.to_string_lossy().into_owned();
    let open = || tokio_serial::SerialStream::open(&tokio_serial::new(path.clone(), 115_200));
    assert!(open().is_err(), "a second master on the line");
    world.stop.cancel();
    port.await.unwrap();
    open().expect("it is free when the port has ended");
}

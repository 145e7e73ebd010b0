//! Two devices under one address, as the port sees and reports them.

use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::time::Duration;

use alink_gateway::base::{Level, UnitId};
use alink_gateway::io::log::Sink;
use alink_gateway::io::system::clock::Clock;
use alink_gateway::lab::bus::{Chance, Fault, Unit, UnitBehaviour, UnitKind};
use alink_gateway::spec::{LineSpec, Number, Spec, Table};

use super::world::{ROUND, TIMEOUT, World, ms, s, serial};
use crate::installation::{installation, number, point, profile};

/// The log events, as they arrive at the journal.
struct Told {
    socket: UnixDatagram,
    entries: Vec<String>,
    dir: tempfile::TempDir,
}

impl Told {
    fn new() -> Told {
        let dir = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(dir.path().join("socket")).unwrap();
        socket.set_nonblocking(true).unwrap();
        Told {
            socket,
            entries: Vec::new(),
            dir,
        }
    }

    /// Returns a journal whose entries arrive here.
    fn sink(&self) -> Sink {
        let path = self.dir.path().join("socket");
        Sink::journal(Level::Debug, Clock::system(), &path).unwrap()
    }

    /// Takes the entries that have come: the socket holds few.
    fn take(&mut self) {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(n) = self.socket.recv(&mut buffer) {
            let entry = String::from_utf8(buffer[..n].to_vec()).unwrap();
            assert!(!entry.contains("EVENT=journal-lost"), "{entry}");
            self.entries.push(entry);
        }
    }

    /// Returns the devices named in entries of this event.
    fn of(&self, event: &str) -> Vec<&str> {
        let has = |entry: &&String| entry.lines().any(|l| l == format!("EVENT={event}"));
        let device = |entry: &&'_ String| entry.find("\nDEVICE=").map(|at| at + 8);
        let all = self.entries.iter().filter(has);
        all.filter_map(|e| e[device(&e)?..].lines().next())
            .collect()
    }
}

/// Lives one minute in which unit 2 of four shares its address, so often.
async fn shared(permille: u32, told: &mut Told) -> World {
    let sink = told.sink();
    let mut world = World::whose_journal(4, s(1), 21, |journal| journal.to(sink)).await;
    world.run(s(30)).await;
    told.take();
    assert!(told.of("device-address-shared").is_empty());
    world.spoil(2, &[(Fault::Twin, permille)]);
    for _ in 0..120 {
        world.run(s(1)).await;
        told.take();
    }
    world
}

#[tokio::test(start_paused = true)]
async fn two_devices_with_one_address_are_told_once_and_give_no_wrong_value() {
    for permille in [600, 1000] {
        let mut told = Told::new();
        let world = shared(permille, &mut told).await;
        world.check();
        let spoilt = world.rig.with(|line, _| line.counts().faults["twin"]);
        assert!(spoilt > 20, "{spoilt}");
        assert_eq!(told.of("device-address-shared"), ["unit2"], "{permille}");
        for other in [1, 3, 4] {
            let t = world.tally(other);
            assert!(t.values > 140 * ROUND, "{other}: {t:?}");
        }
    }
}

/// Returns a line of so many units with one request each.
fn plain(units: u8, interval: Duration) -> Spec {
    let at = |a| point(Table::HoldingRegister, a, number(Number::U16), interval);
    let profile = profile("plain", (0..10).map(at).collect());
    let units = (1..=units).map(|unit| (unit, Arc::clone(&profile)));
    installation(LineSpec::Serial(serial()), TIMEOUT, units)
}

/// Where the second device of a pair answers, against the first.
#[derive(Clone, Copy, Debug)]
enum Second {
    /// At about the same time.
    Together,
    /// Behind the first, when the line is free again.
    Behind,
    /// Now together, now before or behind.
    Anyhow,
    /// Together, and in a third of the cases not at all.
    AtTimes,
}

impl Second {
    fn behaviour(self) -> UnitBehaviour {
        let (turnaround, jitter, mute) = match self {
            Second::Together => (ms(6), ms(4), 0),
            Second::Behind => (ms(70), ms(10), 0),
            Second::Anyhow => (ms(5), ms(80), 0),
            Second::AtTimes => (ms(6), ms(4), 333),
        };
        UnitBehaviour {
            turnaround,
            jitter,
            faults: vec![Chance {
                fault: Fault::Mute,
                permille: mute,
            }],
            ..UnitBehaviour::default()
        }
    }
}

/// Returns how many seconds after a second device with the address of unit 2,
/// or of the only one, appeared it was
/// told; `None`: not within ten minutes.
async fn told_after(units: u8, interval: Duration, how: Second, seed: u64) -> Option<u64> {
    let mut told = Told::new();
    let sink = told.sink();
    let mut world = World::of(plain(units, interval), seed, |journal| journal.to(sink)).await;
    let shared = units.min(2);
    // Whenever the second device comes: soon after the start, or much later.
    world.run(s(7) + interval * (seed % 40) as u32).await;
    world.rig.with(|line, _| {
        let second = Unit::new(UnitKind::Marked, seed + 99).with(how.behaviour());
        line.share(UnitId(shared), second);
    });
    for second in 1..=600 {
        world.run(s(1)).await;
        told.take();
        let found = told.of("device-address-shared");
        assert!(
            found
                .iter()
                .all(|device| *device == format!("unit{shared}")),
            "{found:?}"
        );
        if !found.is_empty() {
            return Some(second);
        }
    }
    None
}

#[tokio::test(start_paused = true)]
async fn two_devices_with_one_address_are_told_within_a_minute_at_an_interval_of_ten_seconds() {
    use Second::{Anyhow, AtTimes, Behind, Together};
    // An interval, and the time, in seconds: the shorter the interval, the more polls that is.
    for (interval, within) in [(1, 30), (10, 60), (30, 150)] {
        for units in [1, 2, 4, 12] {
            for how in [Together, Behind, Anyhow, AtTimes] {
                // There is no other device whose replies are well.
                if units == 1 && matches!(how, Together | AtTimes) {
                    continue;
                }
                for seed in 0..4 {
                    let told = told_after(units, s(interval), how, seed).await;
                    let is_soon = told.is_some_and(|after| after <= within);
                    assert!(
                        is_soon,
                        "{interval} s, {units} units, {how:?}, {seed}: {told:?}"
                    );
                }
            }
        }
    }
}

/// What is wrong with a line whose devices all have an address of their own.
#[derive(Clone, Copy, Debug)]
enum Wrong {
    /// So many in a thousand replies of all units have this fault.
    All(Fault, u32),
    /// The same of unit 2.
    One(Fault, u32),
    /// The cable is pulled: no unit is heard any more.
    Pulled,
}

/// Returns whether two devices were told in ten minutes of this.
async fn told_of(wrong: Wrong, interval: Duration, seed: u64) -> bool {
    let mut told = Told::new();
    let sink = told.sink();
    let mut world = World::of(plain(4, interval), seed, |journal| journal.to(sink)).await;
    world.run(s(7) + interval * (seed % 40) as u32).await;
    match wrong {
        Wrong::All(fault, permille) => {
            (1..=4).for_each(|unit| world.spoil(unit, &[(fault, permille)]));
        }
        Wrong::One(fault, permille) => world.spoil(2, &[(fault, permille)]),
        Wrong::Pulled => world.rig.with(|line, _| {
            (1..=4).for_each(|unit| line.kill(UnitId(unit)));
        }),
    }
    for _ in 0..600 {
        world.run(s(1)).await;
        told.take();
    }
    !told.of("device-address-shared").is_empty()
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_one_device_or_with_all_is_not_taken_for_two_with_one_address() {
    for wrong in [
        Wrong::All(Fault::Flip, 10),
        Wrong::All(Fault::Flip, 100),
        Wrong::One(Fault::Flip, 100),
        Wrong::All(Fault::Burst(16), 100),
        Wrong::All(Fault::Babble, 1000),
        Wrong::All(Fault::Cut, 500),
        Wrong::One(Fault::Late(ms(330)), 1000),
        Wrong::One(Fault::Late(ms(700)), 500),
        Wrong::One(Fault::Late(ms(1500)), 1000),
        Wrong::One(Fault::Twice, 1000),
        Wrong::One(Fault::Again(ms(120)), 1000),
        Wrong::One(Fault::Again(ms(1020)), 1000),
        Wrong::One(Fault::WrongFunction, 1000),
        Wrong::Pulled,
    ] {
        for (seed, interval) in [(1, 1), (2, 10), (3, 1)] {
            let told = told_of(wrong, s(interval), seed).await;
            assert!(!told, "{wrong:?}, {interval} s, seed {seed}");
        }
    }
}

//! A model of a unit that refuses what it does not have, asked by the real schedule: how soon
//! its holes are found, and at what cost.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::base::{DeviceId, Mono, Now, PortId, Rng};
use crate::field::modbus::Data;
use crate::field::polled_device::adaptive_plan::DeviceFinding;
use crate::field::schedule::{NextAction, Schedule};
use crate::field::test_spec::{installation, number, point, profile, serial};
use crate::field::transaction::request::{Outcome, Request};
use crate::spec::{Number, PointAddress, PortSpec, Spec};

const TABLE: Table = Table::HoldingRegister;

/// Returns a fast line, so that everything would be merged up to 125 registers.
fn line() -> PortSpec {
    let mut line = serial(115_200);
    line.budget.longest_request = Duration::from_secs(1);
    line
}

fn kind(addresses: impl IntoIterator<Item = u16>) -> ProfileSpec {
    let points = addresses.into_iter();
    profile(
        points
            .map(|a| point(TABLE, a, number(Number::U16), 1000))
            .collect(),
    )
}

struct World {
    schedule: Schedule,
    spec: Spec,
    now: Mono,
    /// The addresses that each device does not have.
    missing: Vec<BTreeSet<u16>>,
    /// The most entries that a request may have.
    most: u16,
    /// The times within which everything is refused.
    stopped: Vec<std::ops::Range<Mono>>,
    /// The numbers of the requests in which everything is refused.
    glitches: BTreeSet<usize>,
    /// The address that is refused and granted in turn.
    fickle: Option<u16>,
    moods: usize,
    asked: Vec<(DeviceId, u16, u16, bool)>,
    findings: Vec<DeviceFinding>,
    /// When each point was read.
    read: BTreeMap<(DeviceId, u16), Vec<Mono>>,
}

impl World {
    fn new(kind: ProfileSpec, missing: Vec<BTreeSet<u16>>) -> Self {
        let kind = std::sync::Arc::new(kind);
        let mut spec = installation(line(), vec![ProfileSpec::clone(&kind); missing.len()]);
        for device in &mut spec.devices {
            device.profile = std::sync::Arc::clone(&kind);
        }
        World {
            schedule: Schedule::new(&spec, PortId(0), Rng::new(1), Now::default()),
            spec,
            now: Mono::START,
            missing,
            most: 125,
            stopped: Vec::new(),
            glitches: BTreeSet::new(),
            fickle: None,
            moods: 0,
            asked: Vec::new(),
            findings: Vec::new(),
            read: BTreeMap::new(),
        }
    }

    fn answer(&mut self, request: &Request) -> Outcome {
        let missing = &self.missing[request.device.index()];
        let (from, n) = (
            request.entries().unwrap().start,
            request.entries().unwrap().count,
        );
        let stopped = self.stopped.iter().any(|s| s.contains(&self.now));
        let fickle = self.fickle.is_some_and(|a| (from..from + n).contains(&a));
        self.moods += usize::from(fickle);
        let stopped = stopped || self.glitches.contains(&self.asked.len());
        if stopped || (fickle && self.moods % 2 == 1) {
            Outcome::Exception(2)
        } else if n > self.most {
            Outcome::Exception(3)
        } else if missing.range(from..).next().is_some_and(|a| *a - from < n) {
            Outcome::Exception(2)
        } else {
            Outcome::Answered(Data::Registers(vec![0; usize::from(n)]))
        }
    }

    fn until(&mut self, seconds: u64) {
        let end = Mono::from_micros(seconds * 1_000_000);
        while self.now < end {
            match self.schedule.next(self.now) {
                NextAction::Run(request) => {
                    self.now = self.now + Duration::from_millis(5);
                    let outcome = self.answer(&request);
                    let refused = matches!(outcome, Outcome::Exception(_));
                    self.asked.push((
                        request.device,
                        request.entries().unwrap().start,
                        request.entries().unwrap().count,
                        refused,
                    ));
                    if !refused {
                        for p in &request.points {
                            self.read
                                .entry((request.device, *p))
                                .or_default()
                                .push(self.now);
                        }
                    }
                    self.schedule.done(self.now, &request, &outcome);
                    while let Some(finding) = self.schedule.poll_finding() {
                        self.findings.push(finding);
                    }
                }
                NextAction::NotBefore(at, _) => self.now = at.min(end),
                NextAction::Idle => panic!("idle"),
            }
        }
    }

    fn refusals(&self) -> usize {
        self.asked.iter().filter(|(.., refused)| *refused).count()
    }

    /// Returns the number of refusals, without tries of points that were reported already.
    fn refusals_besides_tries(&self) -> usize {
        let bad = self.bad_points();
        let named = |device: &DeviceId, start: u16, count: u16| {
            let points = &self.spec.devices[device.index()].profile.points;
            count == 1
                && bad
                    .iter()
                    .any(|p| points[usize::from(*p)].address == PointAddress::modbus(TABLE, start))
        };
        let refused = self.asked.iter().filter(|(.., refused)| *refused);
        let mut others = 0;
        // Each point was found out by one of the refusals.
        let mut first = BTreeSet::new();
        for (device, start, count, _) in refused {
            if named(device, *start, *count) {
                first.insert((device.index(), *start));
            } else {
                others += 1;
            }
        }
        others + first.len()
    }

    /// Returns the holes that were found, and not found to be none since.
    fn standing_holes(&self) -> Holes {
        let mut holes = Holes::new();
        for finding in &self.findings {
            match finding {
                DeviceFinding::Hole { hole, .. } => holes.insert(*hole),
                DeviceFinding::HoleGone { hole, .. } => holes.remove(hole),
                _ => false,
            };
        }
        holes
    }

    /// Forgets the requests and the reads so far.
    fn forget(&mut self) {
        self.asked.clear();
        self.read.clear();
    }

    fn bad_points(&self) -> Vec<u16> {
        let mut bad: Vec<u16> = self
            .findings
            .iter()
            .filter_map(|f| match f {
                DeviceFinding::PointsRefused { points, .. } => Some(points.clone()),
                _ => None,
            })
            .flatten()
            .collect();
        bad.sort_unstable();
        bad
    }
}

#[test]
fn a_hole_between_points_is_found_by_halving_and_the_rest_stays_merged() {
    let addresses: Vec<u16> = (0..16).map(|n| n * 3).collect();
    let mut world = World::new(kind(addresses), vec![BTreeSet::from([22])]);
    world.until(2);
    // 16, 8 and 4 points, and the two points on either side.
    assert!(world.refusals() <= 5, "{:?}", world.asked);
    assert_eq!(world.bad_points(), [] as [u16; 0]);
    let hole = Hole {
        table: TABLE,
        first: 21,
        last: 24,
    };
    let device = DeviceId(0);
    assert_eq!(world.findings, [DeviceFinding::Hole { device, hole }]);
    world.forget();
    world.until(12);
    assert_eq!(world.refusals(), 0);
    // Two requests a second, as the optimum with that hole has it.
    assert!(
        (18..=22).contains(&world.asked.len()),
        "{}",
        world.asked.len()
    );
    assert_eq!(world.read.len(), 16);
}

#[test]
fn a_bad_point_is_told_once_tried_rarely_and_the_others_are_read_every_time() {
    let mut world = World::new(kind(0..10), vec![BTreeSet::from([6])]);
    world.until(10);
    assert_eq!(world.bad_points(), [6]);
    world.forget();
    world.until(7200);
    // Within seconds at first, and then ever more rarely.
    assert!(world.refusals() <= 60, "{}", world.refusals());
    world.forget();
    let before = world.now;
    world.until(7200 + 3 * 3600);
    let each = world.now.since(before) / u32::try_from(world.refusals()).unwrap();
    assert!(each >= Duration::from_secs(600), "{each:?}");
    world.forget();
    world.until(7200 + 3 * 3600 + 7200);
    assert_eq!(world.bad_points(), [6], "told once");
    for p in (0..10).filter(|p| *p != 6) {
        let times = world.read[&(DeviceId(0), p)].len();
        assert!(times >= 7180, "point {p}: {times}");
    }
    // The address has come into being; a line that is opened again asks at once.
    world.missing[0].clear();
    world.schedule.reopened(world.now);
    world.forget();
    let back = world.now.as_micros() / 1_000_000;
    world.until(back + 5);
    assert!(world.read[&(DeviceId(0), 6)].len() >= 4);
    assert!(world.findings.contains(&DeviceFinding::PointsBack {
        device: DeviceId(0),
        points: vec![6],
    }));
    world.forget();
    world.until(back + 15);
    assert!(
        world.asked.iter().all(|(_, _, n, _)| *n == 10),
        "merged again"
    );
}

#[test]
fn a_device_that_refuses_everything_is_still_asked_at_its_interval() {
    let mut world = World::new(kind(0..4), vec![(0..200).collect()]);
    world.until(10);
    world.forget();
    world.until(40);
    // One request for each second, and tries of the others every eight seconds.
    assert!(
        (29..=43).contains(&world.asked.len()),
        "{:?}",
        world.asked.len()
    );
}

#[test]
fn one_device_learns_for_all_of_its_kind() {
    let addresses: Vec<u16> = (0..16).map(|n| n * 3).collect();
    let mut world = World::new(kind(addresses), vec![BTreeSet::from([22]); 10]);
    world.until(3);
    assert!(world.refusals() <= 10 + 5, "{}", world.refusals());
    let mut next = World::new(kind((0..16).map(|n| n * 3)), vec![BTreeSet::from([22]); 10]);
    let hole = Hole {
        table: TABLE,
        first: 21,
        last: 24,
    };
    next.schedule.remember(Mono::START, |_| Holes::from([hole]));
    next.until(3);
    assert_eq!(next.refusals(), 0, "{}", next.spec.devices.len());
}

#[test]
fn a_device_that_takes_fewer_registers_than_it_should_is_understood() {
    let mut world = World::new(kind(0..120), vec![BTreeSet::new()]);
    world.most = 50;
    world.until(5);
    assert!(world.refusals() <= 8, "{}", world.refusals());
    world.forget();
    world.until(15);
    assert_eq!(world.refusals(), 0);
    assert_eq!(world.read.len(), 120);
}

const fn ms(n: u64) -> Mono {
    Mono::from_micros(n * 1000)
}

#[test]
fn one_refusal_of_what_is_granted_in_parts_is_no_hole() {
    let mut world = World::new(kind((0..16).map(|n| n * 3)), vec![BTreeSet::new()]);
    for glitch in 1..=5 {
        world.until(5 * glitch);
        world.forget();
        world.glitches = BTreeSet::from([0]);
    }
    world.until(30);
    assert_eq!(world.findings, []);
    // The whole, its halves, the whole again; and then as before.
    let sizes: Vec<u16> = world.asked.iter().map(|a| a.2).collect();
    assert_eq!(sizes, [46, 22, 22, 46, 46, 46, 46, 46]);
}

/// A refusal deep down while the parts above were refused too.
#[test]
fn what_was_refused_at_several_depths_at_once_is_put_together_again() {
    for lasts in 1..31 {
        let mut world = World::new(kind((0..16).map(|n| n * 3)), vec![BTreeSet::new()]);
        world.glitches = (0..lasts).collect();
        world.until(70);
        assert_eq!(world.standing_holes(), Holes::new(), "{lasts}");
        world.glitches.clear();
        world.forget();
        world.until(75);
        assert!(world.asked.iter().all(|a| a.2 == 46), "{lasts}");
    }
}

#[test]
fn what_a_unit_refuses_that_refuses_everything_is_learned_by_nobody() {
    let mut world = World::new(kind(0..20), vec![BTreeSet::new(); 3]);
    world.stopped = vec![ms(0)..ms(30_000)];
    world.until(90);
    assert_eq!(world.standing_holes(), Holes::new());
    let holes = |f: &&DeviceFinding| matches!(f, DeviceFinding::Hole { .. });
    assert_eq!(world.findings.iter().filter(holes).count(), 0);
    world.forget();
    world.until(100);
    assert!(world.asked.iter().all(|(_, _, n, _)| *n == 20), "merged");
}

#[test]
fn what_is_taken_for_a_hole_by_another_of_its_kind_is_none_once_it_is_read() {
    let hole = Hole {
        table: TABLE,
        first: 6,
        last: 6,
    };
    let mut world = World::new(kind(0..10), vec![BTreeSet::new(); 2]);
    world
        .schedule
        .remember(Mono::START, |_| Holes::from([hole]));
    world.until(5);
    let device = world.asked[0].0;
    assert_eq!(world.findings, [DeviceFinding::HoleGone { device, hole }]);
    world.forget();
    world.until(10);
    assert!(world.asked.iter().all(|(_, _, n, _)| *n == 10), "merged");
}

#[test]
fn points_that_were_refused_for_longer_than_a_minute_come_back_together() {
    let mut world = World::new(kind(0..40), vec![BTreeSet::from([7, 30])]);
    world.stopped = vec![ms(0)..ms(600_000)];
    world.until(600);
    assert_eq!(world.bad_points().len(), 40);
    world.forget();
    world.until(605);
    assert_eq!(world.read.len(), 38);
    // The two missing addresses are asked for once each, and not for every other address that
    // is back.
    assert!(world.refusals() <= 12, "{:?}", world.asked);
    world.forget();
    world.until(1200);
    assert!(world.refusals() <= 40, "{}", world.refusals());
    assert_eq!(
        (world.asked.len() - world.refusals()) / 594,
        3,
        "merged around them"
    );
}

#[test]
fn a_point_that_comes_and_goes_does_not_have_the_bad_ones_asked_every_time() {
    let mut world = World::new(kind(0..41), vec![(20..40).collect()]);
    world.fickle = Some(40);
    world.until(60);
    world.forget();
    world.until(60 + 3 * 3600);
    let of = |a: u16| {
        let refused = |r: &&(DeviceId, u16, u16, bool)| r.3 && r.1 <= a && a < r.1 + r.2;
        world.asked.iter().filter(refused).count()
    };
    assert!(of(40) >= 100, "it does: {}", of(40));
    for bad in 20..40 {
        // A try every eighth of the time, and as many as there are doublings of a minute.
        assert!(of(bad) <= 60, "{bad}: {}", of(bad));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whenever_a_unit_refuses_everything_for_a_while_nothing_false_is_learned(
        points in 1u16..40,
        devices in 1usize..3,
        from in 0u64..2000,
        lasts in 0u64..3000,
    ) {
        let mut world = World::new(kind((0..points).map(|n| n * 2)), vec![BTreeSet::new(); devices]);
        world.stopped = vec![ms(from)..ms(from + lasts)];
        world.until(200);
        prop_assert_eq!(world.standing_holes(), Holes::new());
        world.forget();
        world.until(210);
        prop_assert!(world.asked.iter().all(|(_, _, n, _)| *n == 2 * points - 1));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn holes_anywhere_are_found_at_the_promised_cost(
        wanted in prop::collection::btree_set(0u16..240, 1..60),
        missing in prop::collection::btree_set(0u16..240, 0..6),
    ) {
        let kind = kind(wanted.iter().copied());
        let bad: Vec<u16> = (0u16..).zip(&wanted).filter(|(_, a)| missing.contains(a)).map(|(i, _)| i).collect();
        let mut world = World::new(kind, vec![missing.clone()]);
        world.until(30);
        // Every existing point is read, no other; each bad point is reported.
        prop_assert_eq!(world.bad_points(), bad.clone());
        let read: Vec<u16> = world.read.keys().map(|(_, p)| *p).collect();
        let there: Vec<u16> = (0..wanted.len() as u16).filter(|p| !bad.contains(p)).collect();
        prop_assert_eq!(read, there.clone());
        // log2 n + 1 for each missing address.
        let depth = usize::BITS - (wanted.len().max(2) - 1).leading_zeros();
        let most = missing.len() * (depth as usize + 1);
        // A device that refuses everything is asked at its interval all the same.
        let cost = world.refusals_besides_tries();
        prop_assert!(there.is_empty() || cost <= most, "{} > {most}", cost);
        // From then on no request is refused, and each point comes every time.
        if !there.is_empty() {
            world.forget();
            world.until(50);
            prop_assert!(world.refusals() <= 4 * bad.len(), "{}", world.refusals());
            for p in there {
                prop_assert!(world.read[&(DeviceId(0), p)].len() >= 19);
            }
        }
    }
}

//! Which values reach the platform under a report policy: the coordinator, fed with what a
//! port would tell it, against the lab's platform model, on virtual time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use alink_gateway::base::{
    DeviceId, FieldEvent, LinkCommand, LinkDown, LinkEvent, LivenessEvidence, LivenessProof,
    MissReason, Mono, Now, PortId, Reading, Rng, Value, Wall,
};
use alink_gateway::hub::{Coordinator, Input, Output};
use alink_gateway::lab::platform::{Conn, Device, Platform, PlatformSpec};
use alink_gateway::spec::*;
use proptest::prelude::*;

use crate::gateway::{gateway, name};
use crate::platform_link::deliver;
use crate::virtual_time::next_wake;

const SECOND: Duration = Duration::from_secs(1);

/// How many points each device has.
const POINTS: u16 = 4;

/// The gateway, the platform, and what was read so far.
struct World {
    spec: Arc<Spec>,
    hub: Coordinator,
    platform: Platform,
    now: Now,
    conn: Option<Conn>,
    conns: u64,
    /// Devices that do not answer.
    dead: Vec<DeviceId>,
    /// The last reading of each point.
    read: BTreeMap<(u32, u16), (Wall, u64)>,
    readings: u64,
    stopped: bool,
}

impl World {
    /// Builds so many devices, each of whose points has this policy, and connects.
    fn new(devices: u32, report: &ReportPolicy) -> World {
        let spec = Self::spec(devices, report);
        let now = Now {
            mono: Mono::from_micros(1_000_000),
            wall: Wall::from_millis(1_700_000_000_000),
        };
        let mut theirs = PlatformSpec::knowing(&spec);
        theirs.limits.logins_per_second = 2000;
        let spec = Arc::new(spec);
        let mut world = World {
            hub: Coordinator::new(Arc::clone(&spec), Rng::new(1), now),
            platform: Platform::new(theirs, Rng::new(2), now),
            spec,
            now,
            conn: None,
            conns: 0,
            dead: Vec::new(),
            read: BTreeMap::new(),
            readings: 0,
            stopped: false,
        };
        world.handle(Input::Field(FieldEvent::PortUp { port: PortId(0) }));
        world.up();
        world
    }

    fn spec(devices: u32, report: &ReportPolicy) -> Spec {
        let mut spec = gateway(devices, POINTS.into());
        for device in &mut spec.devices {
            for point in &mut Arc::make_mut(&mut device.profile).points {
                point.report = report.clone();
            }
        }
        spec
    }

    fn up(&mut self) {
        self.conns += 1;
        self.conn = Some(Conn(self.conns));
        let us = Device::new("gwPk", "gw-1");
        self.platform.on_assumed(self.now, Conn(self.conns), &us);
        self.handle(Input::Link(LinkEvent::Up));
    }

    fn down(&mut self) {
        if let Some(conn) = self.conn.take() {
            self.platform.on_closed(self.now, conn);
            self.handle(Input::Link(LinkEvent::Down(LinkDown::PingTimeout)));
        }
    }

    fn handle(&mut self, input: Input) {
        self.hub.handle(self.now, input);
        self.exchange();
    }

    /// Carries messages both ways until both ends rest.
    fn exchange(&mut self) {
        loop {
            if let Some(out) = self.hub.poll(self.now) {
                match out {
                    Output::Link(LinkCommand::Publish { topic, payload }) => {
                        let conn = self.conn.expect("published without a link");
                        self.platform
                            .on_publish(self.now, conn, &topic, &payload, 0, None);
                    }
                    Output::Link(LinkCommand::Disconnect) => {
                        if let Some(conn) = self.conn.take() {
                            self.platform.on_closed(self.now, conn);
                        }
                    }
                    Output::Stopped => self.stopped = true,
                    _ => {}
                }
            } else if let Some(out) = self.platform.poll(self.now) {
                deliver(&mut self.hub, self.now, self.conn, out);
            } else {
                return;
            }
        }
    }

    /// Lets time pass.
    fn run(&mut self, span: Duration) {
        let end = self.now.mono + span;
        while self.now.mono < end {
            let wakes = [self.hub.wake_at(), self.platform.wake_at()];
            self.now = next_wake(self.now, wakes, end);
            self.handle(Input::Time);
        }
    }

    /// Asks all devices for all their points, which hold this value.
    fn poll(&mut self, value: u64) {
        for (device, _) in Arc::clone(&self.spec).devices() {
            let is_dead = self.dead.contains(&device);
            let points = 0..if is_dead { 0 } else { POINTS };
            let readings = points.map(|point| Reading {
                device,
                point,
                value: Value::UInt(value),
                at: self.now,
            });
            let readings: Vec<_> = readings.collect();
            for reading in &readings {
                let last = (self.now.wall, value);
                self.read.insert((device.0, reading.point), last);
                self.readings += 1;
            }
            self.handle(Input::Field(FieldEvent::Polled {
                device,
                at: self.now,
                evidence: match is_dead {
                    true => LivenessEvidence::Missed(MissReason::Silence),
                    false => LivenessEvidence::Alive(LivenessProof::Answer),
                },
                readings,
                turnaround: None,
            }));
        }
    }

    /// Polls once a second, so often; the values come from `value`.
    fn polls(&mut self, count: u64, value: impl Fn(u64) -> u64) {
        for n in 0..count {
            self.poll(value(n));
            self.run(SECOND);
        }
    }

    fn is_online(&self, device: u32) -> bool {
        let sub = Device::new("subPk", &name(device));
        self.platform.is_online(&sub.product_key, &sub.device_name)
    }

    /// Returns how many values each point has on the platform, taken at this time or later.
    fn since(&self, since: Wall) -> BTreeMap<(u32, u16), usize> {
        let mut counts = BTreeMap::new();
        for v in self.platform.accepted().log() {
            if v.time.is_some_and(|time| time >= since) {
                *counts.entry(point_of(&v.device, &v.property)).or_default() += 1;
            }
        }
        counts
    }

    /// Checks that the platform has the last reading of each of these devices' points.
    fn has_the_last_readings(&self, devices: impl IntoIterator<Item = u32>) {
        for device in devices {
            for point in 0..POINTS {
                let (_, value) = self.read[&(device, point)];
                let sub = Device::new("subPk", &name(device));
                let of = self.platform.accepted().of(&sub).expect("values");
                assert_eq!(of[&format!("P{point}")].value, value, "{device} P{point}");
            }
        }
    }

    /// Checks that nothing was dropped or refused.
    fn lost_nothing(&self) {
        let status = self.hub.snapshot(self.now);
        assert_eq!(
            status.dropped.values().sum::<u64>(),
            0,
            "{:?}",
            status.dropped
        );
        assert_eq!(self.platform.accepted().dropped(), 0);
    }
}

fn point_of(device: &Device, property: &str) -> (u32, u16) {
    let number = device.device_name.as_str().trim_start_matches("meter-");
    let point = property.trim_start_matches('P');
    (number.parse().unwrap(), point.parse().unwrap())
}

fn some(when: ReportWhen, min: u64, max: Option<u64>) -> ReportPolicy {
    ReportPolicy::Some(Box::new(ReadingPolicy {
        when,
        min_interval: Duration::from_secs(min),
        max_interval: max.map(Duration::from_secs),
    }))
}

const fn deadband(by: f64) -> ReportWhen {
    ReportWhen::Deadband(Deadband::Absolute(by))
}

#[test]
fn without_a_policy_every_reading_is_sent_and_with_on_change_every_change() {
    let course = |n: u64| 100 + n / 60;
    let mut all = World::new(10, &ReportPolicy::All);
    all.polls(600, course);
    assert_eq!(all.platform.accepted().distinct(), all.readings);
    assert_eq!(all.readings, 600 * 40);
    let mut some_of_them = World::new(10, &some(ReportWhen::Change, 0, Some(300)));
    some_of_them.polls(600, course);
    // Ten values of each point; the first one goes out with the log-in and is not repeated.
    assert_eq!(some_of_them.platform.accepted().total(), 10 * 40);
    for world in [&all, &some_of_them] {
        world.has_the_last_readings(0..10);
        world.lost_nothing();
    }
    let shown = |w: &World| w.hub.device(w.now, "meter-0003").unwrap().points[1].reported_ms;
    // A poll at 540 s brought the last change, and 600 s have passed.
    assert_eq!((shown(&some_of_them), shown(&all)), (Some(60_000), None));
    let status = some_of_them.hub.snapshot(some_of_them.now);
    assert_eq!(status.not_reported, some_of_them.readings - 400);
    assert_eq!(all.hub.snapshot(all.now).not_reported, 0);
}

#[test]
fn a_value_that_is_the_same_is_sent_once_in_its_longest_interval() {
    let mut w = World::new(2, &some(ReportWhen::Change, 10, Some(60)));
    w.polls(300, |_| 7);
    // At 0, 60, 120, 180 and 240 s.
    assert_eq!(w.platform.accepted().total(), 5 * 8);
}

#[test]
fn the_last_value_of_a_device_that_falls_silent_is_sent_before_its_log_out() {
    for report in [
        some(deadband(50.0), 0, None),
        some(ReportWhen::Change, 3600, None),
        ReportPolicy::Window {
            length: Duration::from_secs(3600),
            value: WindowValue::Last,
        },
    ] {
        let mut w = World::new(3, &report);
        w.polls(20, |n| n);
        assert!(w.is_online(1));
        let before = w.platform.accepted().total();
        assert_eq!(before, 3 * u64::from(POINTS), "only the first ones");
        w.dead.push(DeviceId(1));
        w.polls(5, |n| 20 + n);
        assert!(!w.is_online(1) && w.is_online(0));
        w.has_the_last_readings([1]);
        assert_eq!(
            w.platform.accepted().total(),
            before + u64::from(POINTS),
            "{report}"
        );
        let last = w.platform.accepted().log().last().unwrap();
        let (time, value) = w.read[&(1, 3)];
        assert_eq!((last.time, last.value.as_u64()), (Some(time), Some(value)));
        assert!(!last.history);
        w.lost_nothing();
    }
}

#[test]
fn everything_is_sent_once_after_each_log_in() {
    let mut w = World::new(3, &some(ReportWhen::Change, 3600, None));
    let once: BTreeMap<_, _> = (0..3)
        .flat_map(|d| (0..POINTS).map(move |p| ((d, p), 1)))
        .collect();
    w.polls(30, |_| 7);
    assert_eq!(w.since(Wall::from_millis(0)), once, "at first");

    let back = w.now.wall;
    w.down();
    w.up();
    w.polls(30, |_| 7);
    assert_eq!(w.since(back), once, "after another connection");

    // The connection is away for long: what was the same all the time is sent afterwards.
    w.down();
    w.polls(120, |_| 7);
    let back = w.now.wall;
    w.up();
    w.polls(30, |_| 7);
    assert_eq!(w.since(back), once, "after a long loss of the connection");

    w.dead.push(DeviceId(2));
    w.polls(30, |_| 7);
    assert!(!w.is_online(2));
    w.dead.clear();
    let back = w.now.wall;
    w.polls(30, |_| 7);
    assert!(w.is_online(2));
    let returned: BTreeMap<_, _> = once.into_iter().filter(|((d, _), _)| *d == 2).collect();
    assert_eq!(w.since(back), returned, "after a silence");

    let back = w.now.wall;
    let port = PortId(0);
    let why = "pulled".into();
    w.handle(Input::Field(FieldEvent::PortDown { port, why }));
    w.handle(Input::Field(FieldEvent::PortUp { port }));
    w.polls(30, |_| 7);
    assert_eq!(
        w.since(back).len(),
        12,
        "after its port was away for a moment"
    );
    w.lost_nothing();
}

#[test]
fn what_is_withheld_is_sent_before_a_stop_and_after_a_loss_of_the_connection() {
    let mut w = World::new(3, &some(deadband(50.0), 0, None));
    w.polls(20, |n| n);
    w.down();
    w.run(SECOND);
    w.up();
    w.run(SECOND * 5);
    w.has_the_last_readings(0..3);
    w.polls(20, |n| 20 + n);
    w.handle(Input::Stop);
    w.run(SECOND * 10);
    assert!(w.stopped && (0..3).all(|d| !w.is_online(d)));
    w.has_the_last_readings(0..3);
    w.lost_nothing();
}

#[test]
fn a_reload_sends_what_is_withheld_of_points_that_change_and_keeps_the_others() {
    let mut w = World::new(2, &some(deadband(50.0), 0, None));
    w.polls(20, |n| n);
    let before = w.platform.accepted().total();
    // The second device leaves, and the third is new; of the first, one point is changed.
    let mut fresh = World::spec(3, &some(deadband(50.0), 0, None));
    fresh.devices.remove(1);
    let profile = Arc::make_mut(&mut fresh.devices[0].profile);
    profile.points[0].report = some(deadband(1000.0), 0, None);
    profile.points.rotate_left(1);
    let (spec, changes) = fresh.continuing(&w.spec);
    let spec = Arc::new(spec);
    w.spec = Arc::clone(&spec);
    w.handle(Input::Reload {
        spec,
        changes: Box::new(changes),
        commissioned: true,
    });
    w.run(SECOND * 5);
    assert!(!w.is_online(1));
    assert_eq!(
        w.platform.accepted().total(),
        before + 1 + u64::from(POINTS)
    );
    w.has_the_last_readings([1]);
    w.lost_nothing();
}

/// What happens to the plant for a while.
#[derive(Clone, Copy, Debug)]
enum Weather {
    Calm,
    Dies(u32),
    Revives(u32),
    PortAway,
    LinkDown,
    LinkUp,
    Kicked(u32),
}

fn weather() -> impl Strategy<Value = Weather> {
    prop_oneof![
        3 => Just(Weather::Calm),
        2 => (0u32..3).prop_map(Weather::Dies),
        2 => (0u32..3).prop_map(Weather::Revives),
        1 => Just(Weather::PortAway),
        1 => Just(Weather::LinkDown),
        2 => Just(Weather::LinkUp),
        1 => (0u32..3).prop_map(Weather::Kicked),
    ]
}

fn policies() -> impl Strategy<Value = ReportPolicy> {
    prop_oneof![
        Just(ReportPolicy::All),
        (0u64..20, prop::option::of(20u64..60))
            .prop_map(|(min, max)| { some(ReportWhen::Change, min, max) }),
        (1u32..6, 0u64..20).prop_map(|(by, min)| some(deadband(by.into()), min, None)),
        (1u64..20).prop_map(|min| some(ReportWhen::All, min, None)),
        (1u64..30).prop_map(|length| ReportPolicy::Window {
            length: Duration::from_secs(length),
            value: WindowValue::Last,
        }),
    ]
}

proptest! {
    #[test]
    fn in_any_weather_the_platform_has_in_the_end_what_was_read_last_and_nothing_twice(
        policy in policies(),
        days in prop::collection::vec((weather(), 1u64..12), 1..12),
        values in prop::collection::vec(0u64..8, 16),
    ) {
        let mut w = World::new(3, &policy);
        let course = |n: u64| values[(n % 16) as usize];
        for (weather, span) in days {
            match weather {
                Weather::Calm => {}
                Weather::Dies(n) => w.dead.push(DeviceId(n)),
                Weather::Revives(n) => w.dead.retain(|d| d.0 != n),
                Weather::PortAway => {
                    let (port, why) = (PortId(0), "pulled".into());
                    w.handle(Input::Field(FieldEvent::PortDown { port, why }));
                    w.run(SECOND * 2);
                    w.handle(Input::Field(FieldEvent::PortUp { port }));
                }
                Weather::LinkDown => w.down(),
                Weather::LinkUp => {
                    w.down();
                    w.up();
                }
                Weather::Kicked(n) => {
                    let sub = Device::new("subPk", &name(n));
                    let _ = w.platform.kick(w.now, &sub);
                    w.exchange();
                }
            }
            w.polls(span, course);
        }
        w.dead.clear();
        w.down();
        w.up();
        // A device that was kicked or fell silent again and again is kept offline for a while.
        for _ in 0..360 {
            if (0..3).all(|d| w.is_online(d)) {
                break;
            }
            w.polls(5, course);
        }
        prop_assert!((0..3).all(|d| w.is_online(d)));
        w.polls(7, course);
        w.handle(Input::Stop);
        w.run(SECOND * 10);
        prop_assert!(w.stopped);
        w.lost_nothing();
        let accepted = w.platform.accepted();
        for ((device, point), (time, value)) in &w.read {
            let id = (*device, *point);
            let of = accepted.log().filter(|v| point_of(&v.device, &v.property) == id);
            let newest = of.max_by_key(|v| v.time).unwrap();
            prop_assert_eq!(newest.value.as_u64(), Some(*value), "{:?}", id);
            prop_assert!(newest.time.is_some_and(|at| at <= *time));
        }
        if policy.is_all() {
            prop_assert_eq!(accepted.distinct(), w.readings);
        } else {
            prop_assert!(accepted.distinct() <= w.readings);
        }
    }
}

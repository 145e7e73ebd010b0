use std::mem::size_of;
use std::sync::Arc;

use super::*;
use crate::base::{LivenessEvidence, LivenessProof, PortId, RequestFailure, Value, Wall};
use crate::spec::reload::DeviceChange;
use crate::spec::test_spec::{self, number, point, profile, tcp};
use crate::spec::*;

mod any_course;

const DEVICE: DeviceId = DeviceId(0);
const OTHER: DeviceId = DeviceId(1);

/// Returns an installation of two devices with one point for each policy, read every second.
fn spec(policies: &[ReportPolicy]) -> Spec {
    let points = policies.iter().zip(0u16..).map(|(policy, n)| PointSpec {
        id: format!("p{n}"),
        report: policy.clone(),
        ..point(
            Table::HoldingRegister,
            n,
            number(Number::U16),
            Duration::from_secs(1),
        )
    });
    let line = LineSpec::Tcp(tcp("127.0.0.1", 502));
    let profile = profile("meter", points.collect());
    test_spec::installation(
        line,
        Duration::from_secs(1),
        [(1, Arc::clone(&profile)), (2, profile)],
    )
}

fn some(when: ReportWhen, min_ms: u64, max_ms: Option<u64>) -> ReportPolicy {
    ReportPolicy::Some(Box::new(ReadingPolicy {
        when,
        min_interval: Duration::from_millis(min_ms),
        max_interval: max_ms.map(Duration::from_millis),
    }))
}

const fn window(length_ms: u64, value: WindowValue) -> ReportPolicy {
    ReportPolicy::Window {
        length: Duration::from_millis(length_ms),
        value,
    }
}

const fn absolute(by: f64) -> ReportWhen {
    ReportWhen::Deadband(Deadband::Absolute(by))
}

fn at(ms: u64) -> Now {
    Now {
        mono: Mono::from_micros(ms * 1000),
        // No time is told by another one.
        wall: Wall::from_millis(ms as i64 * 3),
    }
}

fn reading(ms: u64, device: DeviceId, point: u16, value: Value) -> Reading {
    Reading {
        device,
        point,
        value,
        at: at(ms),
    }
}

fn polled(readings: Vec<Reading>) -> FieldEvent {
    FieldEvent::Polled {
        device: readings.first().map_or(DEVICE, |r| r.device),
        at: readings.first().map_or_else(Now::default, |r| r.at),
        evidence: LivenessEvidence::Alive(LivenessProof::Answer),
        readings,
        turnaround: None,
    }
}

/// A reporter with one point, and what it has handed out.
struct One {
    spec: Spec,
    reporter: Reporter,
}

impl One {
    fn new(policy: ReportPolicy) -> Self {
        One {
            spec: spec(&[policy]),
            reporter: Reporter::new(),
        }
    }

    fn read(&mut self, ms: u64, value: Value) -> Vec<(u64, Value)> {
        let event = polled(vec![reading(ms, DEVICE, 0, value)]);
        self.reporter.on_field(at(ms), &self.spec, event);
        self.drain()
    }

    fn int(&mut self, ms: u64, value: u64) -> Vec<(u64, Value)> {
        self.read(ms, Value::UInt(value))
    }

    fn no_value(&mut self, ms: u64) -> Vec<(u64, Value)> {
        let event = FieldEvent::NoValue {
            device: DEVICE,
            at: at(ms),
            points: vec![(0, "no number")],
        };
        self.reporter.on_field(at(ms), &self.spec, event);
        self.drain()
    }

    fn failing(&mut self, ms: u64) -> Vec<(u64, Value)> {
        let event = FieldEvent::PointsFailing {
            device: DEVICE,
            points: vec![0],
            how: RequestFailure::Silence,
        };
        self.reporter.on_field(at(ms), &self.spec, event);
        self.drain()
    }

    fn port_down(&mut self, ms: u64) -> Vec<(u64, Value)> {
        let event = FieldEvent::PortDown {
            port: PortId(0),
            why: "pulled".into(),
        };
        self.reporter.on_field(at(ms), &self.spec, event);
        self.drain()
    }

    fn silent(&mut self, ms: u64) -> Vec<(u64, Value)> {
        self.reporter.on_silent(at(ms), &self.spec, DEVICE);
        self.drain()
    }

    fn session(&mut self, ms: u64, online: bool) {
        self.reporter.on_session(at(ms), DEVICE, online);
    }

    fn release(&mut self, ms: u64) -> Vec<(u64, Value)> {
        self.reporter.release_all(at(ms), &self.spec);
        self.drain()
    }

    fn time(&mut self, ms: u64) -> Vec<(u64, Value)> {
        self.reporter.on_time(at(ms), &self.spec);
        self.drain()
    }

    fn wake(&self) -> Option<u64> {
        let wake = self.reporter.wake_at()?;
        Some(wake.at.as_micros() / 1000)
    }

    fn drain(&mut self) -> Vec<(u64, Value)> {
        let mut all = Vec::new();
        while let Some(reading) = self.reporter.poll() {
            assert_eq!((reading.device, reading.point), (DEVICE, 0));
            let ms = reading.at.mono.as_micros() / 1000;
            assert_eq!(reading.at, at(ms), "a time of its own on both clocks");
            all.push((ms, reading.value));
        }
        all
    }
}

/// Returns values with their times.
fn ints<const N: usize>(all: [(u64, u64); N]) -> Vec<(u64, Value)> {
    all.map(|(ms, n)| (ms, Value::UInt(n))).into()
}

#[test]
fn a_point_without_a_policy_reports_every_reading_and_takes_no_memory() {
    let mut one = One::new(ReportPolicy::All);
    for ms in [0, 1000, 1001, 2000] {
        assert_eq!(one.int(ms, 7), ints([(ms, 7)]));
    }
    assert!(one.silent(2000).is_empty() && one.release(2000).is_empty());
    assert!(one.reporter.devices.is_empty());
    assert_eq!((one.wake(), one.reporter.given_up()), (None, 0));
}

#[test]
fn a_change_is_reported_and_the_same_value_is_not() {
    let mut one = One::new(some(ReportWhen::Change, 0, None));
    assert_eq!(one.int(0, 5), ints([(0, 5)]));
    assert_eq!(one.int(1000, 5), ints([]));
    assert_eq!(one.int(2000, 6), ints([(2000, 6)]));
    assert_eq!(one.int(3000, 6), ints([]));
    // Nothing is lost that the platform does not have.
    assert_eq!(one.silent(4000), ints([]));
    assert_eq!((one.wake(), one.reporter.given_up()), (None, 2));
}

#[test]
fn a_slow_drift_is_reported_since_a_deadband_counts_from_the_last_report() {
    let mut one = One::new(some(absolute(5.0), 0, None));
    let mut reported = Vec::new();
    for n in 0..30 {
        reported.extend(one.int(n * 1000, n));
    }
    assert_eq!(
        reported,
        ints([(0, 0), (6000, 6), (12000, 12), (18000, 18), (24000, 24)])
    );
    assert_eq!(one.silent(30_000), ints([(29_000, 29)]));
}

#[test]
fn a_change_that_comes_too_soon_waits_and_the_newest_reading_goes_out_with_its_own_time() {
    let mut one = One::new(some(ReportWhen::Change, 10_000, None));
    assert_eq!(one.int(0, 1), ints([(0, 1)]));
    assert_eq!(one.int(1000, 2), ints([]));
    assert_eq!(one.int(2000, 1), ints([]));
    assert_eq!(one.wake(), Some(10_000));
    assert_eq!(one.time(9999), ints([]));
    assert_eq!(one.time(10_000), ints([(2000, 1)]));
    assert_eq!(one.wake(), None);
    // The next interval counts from then.
    assert_eq!(one.int(11_000, 3), ints([]));
    assert_eq!(one.wake(), Some(20_000));
    assert_eq!(one.int(20_000, 4), ints([(20_000, 4)]));
    assert_eq!(one.wake(), None);
}

#[test]
fn a_reading_as_old_as_the_longest_interval_is_reported_although_it_is_the_same() {
    let mut one = One::new(some(ReportWhen::Change, 0, Some(10_000)));
    assert_eq!(one.int(20, 1), ints([(20, 1)]));
    let mut reported = Vec::new();
    for n in 1..=30 {
        // Polls come a little before or after their time.
        reported.extend(one.int(n * 1000 + [0, 30, 10][n as usize % 3], 1));
    }
    assert_eq!(reported, ints([(10_030, 1), (20_010, 1), (30_000, 1)]));
    assert_eq!(one.wake(), None, "no time but a reading is waited for");
}

#[test]
fn every_reading_is_thinned_out_by_the_shortest_interval() {
    let mut one = One::new(some(ReportWhen::All, 2500, None));
    let mut reported = Vec::new();
    for n in 0..10 {
        reported.extend(one.time(n * 1000));
        reported.extend(one.int(n * 1000 + 500, 7));
    }
    // At 3,000 ms the reading of 2,500 ms goes out, and the next one 2,500 ms later.
    assert_eq!(reported, ints([(500, 7), (2500, 7), (5500, 7), (7500, 7)]));
}

#[test]
fn after_an_outage_of_whatever_kind_the_first_reading_is_reported() {
    type Outage = fn(&mut One, u64) -> Vec<(u64, Value)>;
    let outages: [Outage; 3] = [One::silent, One::port_down, One::failing];
    for outage in outages {
        let mut one = One::new(some(absolute(5.0), 60_000, None));
        assert_eq!(one.int(0, 1), ints([(0, 1)]));
        assert_eq!(one.int(1000, 2), ints([]));
        assert_eq!(outage(&mut one, 1500), ints([(1000, 2)]), "the last value");
        assert_eq!(outage(&mut one, 1600), ints([]));
        assert_eq!(one.int(2000, 2), ints([(2000, 2)]));
        assert_eq!(one.int(3000, 3), ints([]));
    }
}

#[test]
fn a_value_after_no_value_is_a_change() {
    let mut one = One::new(some(absolute(5.0), 10_000, None));
    assert_eq!(one.int(0, 1), ints([(0, 1)]));
    assert_eq!(one.int(1000, 2), ints([]));
    // The last value before that goes out as soon as it may.
    assert_eq!(one.no_value(2000), ints([]));
    assert_eq!(one.time(10_000), ints([(1000, 2)]));
    assert_eq!(one.no_value(20_000), ints([]));
    assert_eq!(one.int(21_000, 2), ints([(21_000, 2)]));
    // However often it comes and goes, the shortest interval holds.
    for n in 0..8 {
        assert_eq!(one.no_value(22_000 + n * 1000), ints([]));
        assert_eq!(one.int(22_500 + n * 1000, 2), ints([]));
    }
    assert_eq!(one.time(31_000), ints([(29_500, 2)]));
    // It is told once that there is a value again.
    assert_eq!(one.int(41_000, 2), ints([]));
}

#[test]
fn a_session_that_begins_lets_everything_be_reported_once() {
    let mut one = One::new(some(ReportWhen::Change, 60_000, None));
    assert_eq!(one.int(0, 1), ints([(0, 1)]));
    // The first reading goes out with this log-in and is not repeated.
    one.session(3000, true);
    assert_eq!(one.int(4000, 1), ints([]));
    // The connection is lost and made again.
    one.session(9000, false);
    one.session(9500, true);
    assert_eq!(one.int(10_000, 1), ints([(10_000, 1)]));
    assert_eq!(one.int(11_000, 1), ints([]));
    // What was reported when the log-in began to wait may be old, or on flash.
    one.session(12_000, false);
    assert_eq!(one.int(12_500, 2), ints([]));
    assert_eq!(one.silent(13_000), ints([(12_500, 2)]));
    assert_eq!(one.int(20_000, 2), ints([(20_000, 2)]));
    one.session(25_001, true);
    assert_eq!(one.int(26_000, 2), ints([(26_000, 2)]));
}

#[test]
fn a_change_that_waits_at_a_log_in_is_not_lost() {
    let mut one = One::new(some(ReportWhen::Change, 60_000, None));
    assert_eq!(one.int(0, 1), ints([(0, 1)]));
    assert_eq!(one.int(1000, 2), ints([]));
    one.session(10_000, true);
    assert_eq!(one.time(60_000), ints([(1000, 2)]));
    assert_eq!(
        one.int(61_000, 2),
        ints([(61_000, 2)]),
        "the first one since"
    );
}

#[test]
fn the_last_value_goes_out_before_a_stop_unless_the_platform_has_it() {
    let mut one = One::new(some(absolute(5.0), 10_000, None));
    assert_eq!(one.int(0, 1), ints([(0, 1)]));
    assert_eq!(one.int(1000, 1), ints([]));
    assert_eq!(one.release(1500), ints([]));
    assert_eq!(one.int(2000, 9), ints([]));
    assert_eq!(one.release(2500), ints([(2000, 9)]));
    assert_eq!((one.wake(), one.release(2600)), (None, ints([])));
    // What was handed out is what a deadband counts from.
    assert_eq!(one.int(12_500, 14), ints([]));
    assert_eq!(one.int(13_500, 15), ints([(13_500, 15)]));
}

#[test]
fn a_window_reports_one_value_of_all_its_readings() {
    for (value, at, n) in [
        (WindowValue::Mean, 9000, 5),
        (WindowValue::Min, 6000, 2),
        (WindowValue::Max, 4000, 8),
        (WindowValue::Last, 9000, 6),
    ] {
        let mut one = One::new(window(10_000, value));
        assert_eq!(one.int(0, 100), ints([(0, 100)]), "the first by itself");
        for (ms, n) in [
            (1000, 4),
            (4000, 8),
            (5000, 6),
            (6000, 2),
            (7000, 3),
            (9000, 6),
        ] {
            assert_eq!(one.int(ms, n), ints([]));
        }
        assert_eq!(one.wake(), Some(10_000));
        assert_eq!(one.time(10_000), ints([(at, n)]), "{value:?}");
        assert_eq!(one.wake(), None);
        assert_eq!(one.reporter.given_up(), 5);
        // The next window ends ten seconds later, though its first reading comes late.
        assert_eq!(one.int(14_000, 1), ints([]));
        assert_eq!(one.wake(), Some(20_000));
        // The reading after its end closes it, if that comes before the timer.
        assert_eq!(one.int(20_500, 3), ints([(14_000, 1)]));
        assert_eq!(one.wake(), Some(30_000));
        // An outage closes it with what it has, and the next reading goes out by itself.
        assert_eq!(one.silent(22_000), ints([(20_500, 3)]));
        assert_eq!(one.wake(), None);
        assert_eq!(one.int(40_000, 9), ints([(40_000, 9)]));
        assert_eq!(one.int(41_000, 8), ints([]));
        assert_eq!(one.release(42_000), ints([(41_000, 8)]));
        assert_eq!(one.int(43_000, 7), ints([]));
        assert_eq!(one.wake(), Some(52_000));
    }
}

/// Returns the value of one window with these readings.
fn of_window(kind: WindowValue, values: &[Value], round: Option<u8>) -> Value {
    let mut one = One::new(window(100_000, kind));
    if let Some(profile) = one.spec.devices.first_mut().map(|d| &mut d.profile) {
        let point = &mut Arc::make_mut(profile).points[0];
        point.codec = Codec::Measure(Box::new(Measure {
            round,
            ..Measure::of(Number::F64)
        }));
    }
    one.read(0, Value::Int(0));
    for (value, ms) in values.iter().zip(1..) {
        assert!(one.read(ms, value.clone()).is_empty());
    }
    let all = one.release(1000);
    assert_eq!(all.len(), 1);
    all[0].1.clone()
}

#[test]
fn a_mean_is_of_the_type_of_its_readings_and_exact() {
    use Value::{Bool, Float, Int, UInt};
    use WindowValue::{Max, Mean, Min};
    for (kind, values, value) in [
        (Mean, vec![UInt(1), UInt(2)], UInt(2)),
        (Mean, vec![UInt(1), UInt(1), UInt(2)], UInt(1)),
        (Mean, vec![Int(-1), Int(-2)], Int(-2)),
        (Mean, vec![Int(-1), Int(-1), Int(-2)], Int(-1)),
        (Mean, vec![UInt(u64::MAX); 5], UInt(u64::MAX)),
        (Mean, vec![Int(i64::MIN); 5], Int(i64::MIN)),
        (Mean, vec![Float(230.1), Float(230.2)], Float(230.15)),
        (Mean, vec![Float(0.1); 7], Float(0.1)),
        (Mean, vec![Float(f64::MAX); 3], Float(f64::MAX)),
        (Mean, vec![Float(-1e308), Float(1e308)], Float(0.0)),
        (Min, vec![Int(3), Int(-4), Int(2)], Int(-4)),
        (Max, vec![Float(3.0), Float(-4.0)], Float(3.0)),
        (Max, vec![Bool(false), Bool(true), Bool(false)], Bool(true)),
        (Min, vec![Bool(true), Bool(true)], Bool(true)),
    ] {
        let found = of_window(kind, &values, None);
        assert_eq!(found, value, "{kind:?} {values:?}");
    }
    let thirds = [Float(0.0), Float(0.0), Float(1.0)];
    assert_eq!(of_window(Mean, &thirds, Some(2)), Float(0.33));
    assert_eq!(of_window(Mean, &thirds, Some(0)), Float(0.0));
}

#[test]
fn a_reload_keeps_the_points_that_stay_and_hands_out_what_is_withheld_of_others() {
    let band = || some(absolute(5.0), 60_000, None);
    let old = spec(&[
        band(),
        band(),
        window(60_000, WindowValue::Last),
        ReportPolicy::All,
    ]);
    let mut reporter = Reporter::new();
    let all = |ms: u64, value: u64| {
        let devices = [DEVICE, OTHER].into_iter();
        let points = devices.flat_map(|d| (0..4u16).map(move |p| (d, p)));
        polled(
            points
                .map(|(d, p)| reading(ms, d, p, Value::UInt(value)))
                .collect(),
        )
    };
    let drain = |reporter: &mut Reporter| {
        let all = std::iter::from_fn(|| reporter.poll());
        let short = |r: Reading| (r.device.0, r.point, r.value.as_int().unwrap());
        all.map(short).collect::<Vec<_>>()
    };
    reporter.on_field(at(0), &old, all(0, 1));
    assert_eq!(drain(&mut reporter).len(), 8);
    reporter.on_field(at(1000), &old, all(1000, 9));
    assert_eq!(drain(&mut reporter), [(0, 3, 9), (1, 3, 9)]);

    // Of the first device, one point moves to another place in the list and one is changed; the
    // second device leaves.
    let mut new = old.clone();
    let profile = Arc::make_mut(&mut new.devices[0].profile);
    profile.points.rotate_left(1);
    profile.points[0].interval = Duration::from_secs(2);
    new.retired.devices.insert(OTHER);
    let mut changes = Changes::default();
    let polling = DeviceChange {
        polling: true,
        ..DeviceChange::default()
    };
    changes.devices.changed.insert(DEVICE, polling);
    changes.devices.removed.insert(OTHER);
    reporter.respec(at(2000), &old, &new, &changes);
    let mut handed = drain(&mut reporter);
    handed.sort_unstable();
    assert_eq!(handed, [(0, 1, 9), (1, 0, 9), (1, 1, 9), (1, 2, 9)]);

    // What waited goes on waiting, at its new index.
    let due = reporter.wake_at().map(|w| w.at);
    assert_eq!(due, Some(Mono::from_micros(60_000_000)));
    reporter.on_time(at(61_000), &new);
    assert_eq!(drain(&mut reporter), [(0, 1, 9), (0, 3, 9)]);
    assert_eq!(reporter.wake_at(), None);

    // A device that is asked at another address begins anew.
    let now = vec![reading(70_000, DEVICE, 3, Value::UInt(10))];
    reporter.on_field(at(70_000), &new, polled(now));
    assert_eq!(drain(&mut reporter), []);
    let mut changes = Changes::default();
    let moved = DeviceChange {
        moved: true,
        ..DeviceChange::default()
    };
    changes.devices.changed.insert(DEVICE, moved);
    reporter.respec(at(71_000), &new, &new, &changes);
    assert_eq!(drain(&mut reporter), [(0, 3, 10)]);
    let now = vec![reading(72_000, DEVICE, 3, Value::UInt(10))];
    reporter.on_field(at(72_000), &new, polled(now));
    assert_eq!(drain(&mut reporter), [(0, 3, 10)]);
}

#[test]
fn a_point_with_a_policy_takes_some_dozens_of_bytes() {
    assert!(size_of::<(u16, State)>() <= 96);
    assert!(size_of::<WindowState>() <= 160);
}

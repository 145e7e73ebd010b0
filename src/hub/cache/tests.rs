use proptest::prelude::*;

use super::*;
use crate::base::{LivenessEvidence, LivenessProof, PortId, Reading, RequestFailure, Value};
use crate::field::test_spec::{installation, number, point, profile, serial};
use crate::hub::test_hub::at;
use crate::spec::{Measure, Number, NumberType, Table, UtcOffset};

const DEVICES: u32 = 2;
const POINTS: u16 = 2;

/// Two devices on one port (response timeout 500 ms), each with a point every
/// second and one every ten.
fn spec() -> Spec {
    let points = || {
        let number = || number(Number::U16);
        vec![
            point(Table::HoldingRegister, 0, number(), 1000),
            point(Table::HoldingRegister, 100, number(), 10_000),
        ]
    };
    installation(serial(9600), vec![profile(points()), profile(points())])
}

fn polled(ms: u64, device: u32, point: u16, value: u64) -> FieldEvent {
    FieldEvent::Polled {
        device: DeviceId(device),
        at: at(ms),
        evidence: LivenessEvidence::Alive(LivenessProof::Answer),
        readings: vec![Reading {
            device: DeviceId(device),
            point,
            value: Value::UInt(value),
            at: at(ms),
        }],
        turnaround: None,
    }
}

fn refused(ms: u64, device: u32, point: u16) -> FieldEvent {
    FieldEvent::NoValue {
        device: DeviceId(device),
        at: at(ms),
        points: vec![(point, "marked as invalid")],
    }
}

fn down() -> FieldEvent {
    FieldEvent::PortDown {
        port: PortId(0),
        why: "gone".into(),
    }
}

fn seen(
    cache: &Cache,
    spec: &Spec,
    ms: u64,
    reachability: Reachability,
) -> (Quality, &'static str) {
    let first = cache.look(at(ms), spec, DeviceId(0), reachability).next();
    first.map(|v| (v.quality, v.why)).unwrap()
}

#[test]
fn a_value_is_good_for_two_intervals_and_a_timeout() {
    let spec = spec();
    let mut cache = Cache::new(&spec);
    use Reachability::{Answering, PortDown, Silent};
    assert_eq!(
        seen(&cache, &spec, 0, Answering),
        (Quality::Stale, "not read yet")
    );
    cache.on_field(at(1000), &spec, &polled(1000, 0, 0, 7));
    for (ms, reachability, quality, why) in [
        (1000, Answering, Quality::Good, ""),
        (3500, Answering, Quality::Good, ""),
        (3501, Answering, Quality::Stale, "not read in time"),
        (1000, Silent, Quality::Stale, "its device does not answer"),
        (1000, PortDown, Quality::Stale, "its port is down"),
    ] {
        assert_eq!(
            seen(&cache, &spec, ms, reachability),
            (quality, why),
            "{ms}"
        );
    }
    let value = cache
        .look(at(1200), &spec, DeviceId(0), Answering)
        .next()
        .unwrap();
    assert_eq!((value.id, value.value), ("p0", Some(&Value::UInt(7))));
    assert_eq!(value.age, Some(Duration::from_millis(200)));
    assert_eq!(cache.look(at(0), &spec, DeviceId(9), Answering).count(), 0);
}

#[test]
fn a_point_that_is_refused_is_not_called_one_that_was_not_read_yet() {
    let spec = spec();
    let mut cache = Cache::new(&spec);
    let denied = FieldEvent::PointsFailing {
        device: DeviceId(0),
        points: vec![0, 999],
        how: RequestFailure::Refused,
    };
    cache.on_field(at(1000), &spec, &denied);
    for ms in [1000, 3_600_000] {
        let (quality, why) = seen(&cache, &spec, ms, Reachability::Answering);
        assert_eq!(quality, Quality::Stale);
        assert!(why.starts_with("its device refuses it"), "{why}");
    }
    cache.on_field(at(9000), &spec, &polled(9000, 0, 0, 7));
    let back = seen(&cache, &spec, 9000, Reachability::Answering);
    assert_eq!(back, (Quality::Good, ""));
}

#[test]
fn a_point_whose_request_fails_says_how_until_it_is_read_again() {
    let spec = spec();
    let mut cache = Cache::new(&spec);
    for (n, how, said) in [
        (0, RequestFailure::Silence, "does not answer this request"),
        (1, RequestFailure::Garbled, "is spoilt"),
        (2, RequestFailure::Mismatched, "another function"),
        (3, RequestFailure::Foreign, "frames of other devices"),
        (4, RequestFailure::Gateway, "a gateway on the way"),
    ] {
        let begin = n * 10_000;
        cache.on_field(at(begin), &spec, &polled(begin, 0, 0, 7));
        let failing = FieldEvent::PointsFailing {
            device: DeviceId(0),
            points: vec![0],
            how,
        };
        cache.on_field(at(begin + 100), &spec, &failing);
        let (quality, why) = seen(&cache, &spec, begin + 9000, Reachability::Answering);
        assert_eq!(quality, Quality::Stale, "{how:?}");
        assert!(why.contains(said), "{how:?}: {why}");
        // Proof of life by the device's other request says nothing about this request.
        cache.on_field(at(begin + 9000), &spec, &polled(begin + 9000, 0, 1, 8));
        let (_, still) = seen(&cache, &spec, begin + 9000, Reachability::Answering);
        assert_eq!(still, why, "{how:?}");
    }
    cache.on_field(at(50_000), &spec, &polled(50_000, 0, 0, 7));
    let back = seen(&cache, &spec, 50_000, Reachability::Answering);
    assert_eq!(back, (Quality::Good, ""));
}

#[test]
fn how_long_a_value_is_good_can_be_configured() {
    let mut spec = spec();
    let mut profile = (*spec.devices[0].profile).clone();
    profile.points[0].shown.stale_after = Some(Duration::from_secs(60));
    spec.devices[0].profile = std::sync::Arc::new(profile);
    let mut cache = Cache::new(&spec);
    cache.on_field(at(1000), &spec, &polled(1000, 0, 0, 7));
    for (ms, quality) in [(61_000, Quality::Good), (61_001, Quality::Stale)] {
        assert_eq!(seen(&cache, &spec, ms, Reachability::Answering).0, quality);
    }
}

#[test]
fn registers_without_a_value_make_the_last_one_uncertain() {
    let spec = spec();
    let mut cache = Cache::new(&spec);
    let look = |cache: &Cache, ms| seen(cache, &spec, ms, Reachability::Answering);
    cache.on_field(at(1000), &spec, &polled(1000, 0, 0, 7));
    cache.on_field(at(2000), &spec, &refused(2000, 0, 0));
    assert_eq!(
        look(&cache, 2000),
        (Quality::Uncertain, "marked as invalid")
    );
    assert_eq!(look(&cache, 4501).0, Quality::Stale);
    cache.on_field(at(5000), &spec, &polled(5000, 0, 0, 8));
    assert_eq!(look(&cache, 5000).0, Quality::Good);
}

#[test]
fn what_was_read_before_a_silence_is_not_good_after_it() {
    let spec = spec();
    let mut cache = Cache::new(&spec);
    let look = |cache: &Cache, ms| seen(cache, &spec, ms, Reachability::Answering);
    cache.on_field(at(1000), &spec, &polled(1000, 0, 0, 7));
    cache.lost(at(1100), DeviceId(0));
    let away = (Quality::Stale, "not read since its device was away");
    assert_eq!(look(&cache, 1200), away);
    cache.on_field(at(1300), &spec, &polled(1300, 0, 0, 7));
    assert_eq!(look(&cache, 1300).0, Quality::Good);
    cache.on_field(at(1400), &spec, &down());
    assert_eq!(look(&cache, 1500), away);
}

#[test]
fn after_a_reload_what_is_asked_otherwise_was_not_read_yet() {
    let old = spec();
    let mut cache = Cache::new(&old);
    for device in 0..DEVICES {
        cache.on_field(at(1000), &old, &polled(1000, device, 0, 7));
    }
    let mut new = spec();
    let mut other = (*new.devices[0].profile).clone();
    other.points.reverse();
    new.devices[0].profile = std::sync::Arc::new(other);
    let (new, changes) = new.continuing(&old);
    cache.respec(&new, &changes);
    let first = |device| {
        let mut values = cache.look(at(1000), &new, DeviceId(device), Reachability::Answering);
        values.next().unwrap().quality
    };
    assert_eq!(first(0), Quality::Stale);
    assert_eq!(first(1), Quality::Good);
}

#[test]
fn where_a_port_leads_elsewhere_nothing_was_read_yet_and_where_it_is_only_faster_all_is_kept() {
    let old = spec();
    type Edit = fn(&mut crate::spec::SerialSpec);
    let edits: [(Edit, Quality); 2] = [
        (|s| s.path = "/dev/ttyS9".into(), Quality::Stale),
        (|s| s.baud = 19_200, Quality::Good),
    ];
    for (edit, quality) in edits {
        let mut cache = Cache::new(&old);
        cache.on_field(at(1000), &old, &polled(1000, 0, 0, 7));
        let mut new = spec();
        match &mut new.ports[0].line {
            crate::spec::LineSpec::Serial(serial) => edit(serial),
            other => panic!("{other:?}"),
        }
        let (new, changes) = new.continuing(&old);
        cache.respec(&new, &changes);
        let mut values = cache.look(at(1000), &new, DeviceId(0), Reachability::Answering);
        assert_eq!(values.next().unwrap().quality, quality, "{changes:?}");
    }
}

#[test]
fn a_state_is_shown_with_its_title() {
    let mut spec = spec();
    let mut profile = (*spec.devices[0].profile).clone();
    profile.points[0].codec = Codec::Measure(Box::new(Measure {
        states: Some([(7, "running".to_owned())].into()),
        ..Measure::of(Number::U16)
    }));
    spec.devices[0].profile = std::sync::Arc::new(profile);
    let mut cache = Cache::new(&spec);
    cache.on_field(at(0), &spec, &polled(0, 0, 0, 7));
    let mut values = cache.look(at(0), &spec, DeviceId(0), Reachability::Answering);
    assert_eq!(values.next().unwrap().title.as_deref(), Some("running"));
}

/// The platform gets milliseconds; people get a date.
#[test]
fn a_moment_is_shown_as_a_date() {
    let mut spec = spec();
    let mut profile = (*spec.devices[0].profile).clone();
    profile.points[0].codec = Codec::Measure(Box::new(Measure {
        number_type: Some(NumberType::Date(UtcOffset::default())),
        ..Measure::of(Number::U32)
    }));
    spec.devices[0].profile = std::sync::Arc::new(profile);
    let mut cache = Cache::new(&spec);
    let mut event = polled(0, 0, 0, 0);
    if let FieldEvent::Polled { readings, .. } = &mut event {
        readings[0].value = Value::Text("1795298194000".into());
    }
    cache.on_field(at(0), &spec, &event);
    let mut values = cache.look(at(0), &spec, DeviceId(0), Reachability::Answering);
    let title = values.next().unwrap().title;
    assert_eq!(title.as_deref(), Some("2026-11-21 21:56:34 UTC"));
}

#[test]
fn a_bit_is_shown_with_its_title() {
    let mut spec = spec();
    let mut profile = (*spec.devices[0].profile).clone();
    profile.points[0].codec = Codec::Bit(3);
    let titles = [(0, "closed".to_owned()), (1, "open".to_owned())];
    profile.points[0].shown.titles = Some(titles.into());
    spec.devices[0].profile = std::sync::Arc::new(profile);
    let mut cache = Cache::new(&spec);
    for (on, title) in [(false, "closed"), (true, "open")] {
        let mut event = polled(0, 0, 0, 0);
        if let FieldEvent::Polled { readings, .. } = &mut event {
            readings[0].value = Value::Bool(on);
        }
        cache.on_field(at(0), &spec, &event);
        let mut values = cache.look(at(0), &spec, DeviceId(0), Reachability::Answering);
        assert_eq!(values.next().unwrap().title.as_deref(), Some(title));
    }
}

/// One step of a history.
#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Read(u32, u16),
    Refuse(u32, u16),
    Silent(u32),
    Back(u32),
    PortDown,
    PortUp,
}

fn step() -> impl Strategy<Value = Step> {
    let device = 0..DEVICES;
    let point = 0..POINTS;
    prop_oneof![
        3 => (0u64..12_000).prop_map(Step::Pass),
        4 => (device.clone(), point.clone()).prop_map(|(d, p)| Step::Read(d, p)),
        1 => (device.clone(), point).prop_map(|(d, p)| Step::Refuse(d, p)),
        1 => device.clone().prop_map(Step::Silent),
        1 => device.prop_map(Step::Back),
        1 => Just(Step::PortDown),
        1 => Just(Step::PortUp),
    ]
}

/// The whole history, with the definition of "good" applied to it.
#[derive(Default)]
struct History(Vec<(u64, Step)>);

impl History {
    fn is_good(&self, now: u64, device: u32, point: u16, limit: u64) -> bool {
        let about = |s: &Step| matches!(s, Step::Read(d, p) | Step::Refuse(d, p) if (*d, *p) == (device, point));
        let Some(last) = self.0.iter().rposition(|(_, s)| about(s)) else {
            return false;
        };
        let (read, step) = &self.0[last];
        let away =
            |s: &Step| matches!(s, Step::PortDown) || matches!(s, Step::Silent(d) if *d == device);
        matches!(step, Step::Read(..))
            && now - read <= limit
            && !self.0.iter().any(|(t, s)| t >= read && away(s))
            && self.reachability(device) == Reachability::Answering
    }

    fn reachability(&self, device: u32) -> Reachability {
        let last = |wanted: &dyn Fn(&Step) -> bool| {
            self.0.iter().map(|(_, s)| s).rfind(|s| wanted(s)).cloned()
        };
        let port = last(&|s| matches!(s, Step::PortDown | Step::PortUp));
        if let Some(Step::PortDown) = port {
            return Reachability::PortDown;
        }
        match last(&|s| matches!(s, Step::Silent(d) | Step::Back(d) if *d == device)) {
            Some(Step::Silent(_)) => Reachability::Silent,
            _ => Reachability::Answering,
        }
    }
}

proptest! {
    #[test]
    fn a_value_is_good_exactly_when_the_whole_history_says_so(
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let spec = spec();
        let mut cache = Cache::new(&spec);
        let mut history = History::default();
        let mut now = 1;
        for step in steps {
            match step {
                Step::Pass(ms) => now += ms,
                Step::Read(d, p) => cache.on_field(at(now), &spec, &polled(now, d, p, now)),
                Step::Refuse(d, p) => cache.on_field(at(now), &spec, &refused(now, d, p)),
                Step::Silent(d) => cache.lost(at(now), DeviceId(d)),
                Step::PortDown => cache.on_field(at(now), &spec, &down()),
                Step::PortUp => cache.on_field(at(now), &spec, &FieldEvent::PortUp { port: PortId(0) }),
                Step::Back(_) => {}
            }
            history.0.push((now, step));
            for (device, later) in (0..DEVICES).flat_map(|d| [0, 1, 2499, 2500, 2501, 20_500, 20_501].map(|l| (d, l))) {
                let look = now + later;
                let reachability = history.reachability(device);
                for (point, value) in (0..).zip(cache.look(at(look), &spec, DeviceId(device), reachability)) {
                    let limit = [2500, 20_500][usize::from(point)];
                    let good = value.quality == Quality::Good;
                    prop_assert_eq!(good, history.is_good(look, device, point, limit), "{:?}", value);
                    prop_assert!(!good || value.age.unwrap() <= Duration::from_millis(limit));
                    prop_assert_eq!(good, value.why.is_empty());
                }
            }
        }
    }
}

#[test]
fn implausible_floats_are_uncertain_until_they_are_plausible_again() {
    let spec = spec();
    let mut cache = Cache::new(&spec);
    let judged = |points: Option<Vec<u16>>| FieldEvent::FloatsJudged {
        device: DeviceId(0),
        implausible: points.map(|points| ImplausibleFloats {
            points,
            words: "so".into(),
        }),
    };
    cache.on_field(at(1000), &spec, &polled(1000, 0, 0, 7));
    cache.on_field(at(1000), &spec, &judged(Some(vec![0])));
    let uncertain = (
        Quality::Uncertain,
        "hardly a measured value (see the journal)",
    );
    assert_eq!(
        seen(&cache, &spec, 1000, Reachability::Answering),
        uncertain
    );
    assert_eq!(cache.good(at(1000), &spec, DeviceId(0), 0), None);
    assert_eq!(cache.implausible(DeviceId(0)), Some("so"));
    let (quality, _) = seen(&cache, &spec, 1000, Reachability::Silent);
    assert_eq!(quality, Quality::Stale, "the worse is shown");
    cache.on_field(at(1000), &spec, &judged(Some(vec![1])));
    assert_eq!(
        seen(&cache, &spec, 1000, Reachability::Answering).0,
        Quality::Good
    );
    cache.on_field(at(1000), &spec, &judged(None));
    assert_eq!(cache.implausible(DeviceId(0)), None);
}

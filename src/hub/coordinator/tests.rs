use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::base::{LivenessEvidence, LivenessProof, MissReason, PortId, Reading, Value};
use crate::fleet::DeviceLiveness;
use crate::hub::Quality;
use crate::hub::test_hub::{at, hub};

/// How long a value is good: two intervals of the only point, and the port's timeout.
const LIMIT: Duration = Duration::from_millis(2500);

fn polled(now: Now, device: DeviceId, evidence: LivenessEvidence) -> Input {
    let answered = evidence == LivenessEvidence::Alive(LivenessProof::Answer);
    let reading = Reading {
        device,
        point: 0,
        value: Value::UInt(now.mono.as_micros()),
        at: now,
    };
    Input::Field(FieldEvent::Polled {
        device,
        at: now,
        evidence,
        readings: Some(reading).filter(|_| answered).into_iter().collect(),
        turnaround: None,
    })
}

fn input(now: Now, kind: u8, device: DeviceId) -> Input {
    let port = PortId(0);
    match kind {
        0 | 1 => polled(now, device, LivenessEvidence::Alive(LivenessProof::Answer)),
        2 => polled(
            now,
            device,
            LivenessEvidence::Alive(LivenessProof::Exception(2)),
        ),
        3 | 4 => polled(now, device, LivenessEvidence::Missed(MissReason::Silence)),
        5 => Input::Field(FieldEvent::PortDown {
            port,
            why: "gone".into(),
        }),
        6 => Input::Field(FieldEvent::PortUp { port }),
        _ => Input::Time,
    }
}

/// Returns the quality and the time of the only value of a device.
fn value(hub: &Coordinator, now: Now, device: DeviceId) -> (Quality, Option<Now>) {
    let only = hub.values(now, device).next();
    only.map(|v| (v.quality, v.taken)).unwrap()
}

#[test]
fn a_dead_devices_value_is_never_shown_as_fresh() {
    let mut hub = hub();
    let device = DeviceId(0);
    let alive = LivenessEvidence::Alive(LivenessProof::Answer);
    hub.handle(at(1000), polled(at(1000), device, alive));
    assert_eq!(value(&hub, at(1000), device).0, Quality::Good);
    for ms in [2000, 3000, 4100] {
        let miss = LivenessEvidence::Missed(MissReason::Silence);
        hub.handle(at(ms), polled(at(ms), device, miss));
    }
    assert!(matches!(
        hub.fleet.life(device),
        Some(DeviceLiveness::Silent { .. })
    ));
    // The first answer does not make the device return: two answers in a row do.
    hub.handle(at(5000), polled(at(5000), device, alive));
    assert_eq!(
        value(&hub, at(5000), device),
        (Quality::Stale, Some(at(5000)))
    );
    hub.handle(at(5100), polled(at(5100), device, alive));
    assert_eq!(value(&hub, at(5100), device).0, Quality::Good);
}

proptest! {
    #[test]
    fn at_no_instant_is_an_old_or_a_silent_devices_value_good(
        steps in prop::collection::vec((0u64..3000, 0u8..8, 0u32..2), 1..120),
    ) {
        let mut hub = hub();
        let mut now = 0;
        for (pass, kind, device) in steps {
            now += pass;
            hub.handle(at(now), input(at(now), kind, DeviceId(device)));
            while hub.poll(at(now)).is_some() {}
            for device in [0, 1].map(DeviceId) {
                for later in [0, 1, 1000, 2500, 2501, 60_000] {
                    let look = at(now + later);
                    let (quality, taken) = value(&hub, look, device);
                    if quality != Quality::Good {
                        continue;
                    }
                    let age = look.mono.since(taken.unwrap().mono);
                    prop_assert!(age <= LIMIT, "{age:?}");
                    prop_assert!(hub.fleet.life(device).is_some_and(DeviceLiveness::answers));
                    prop_assert_eq!(hub.fleet.port_down(PortId(0)), None);
                }
            }
            // A value that was just read from a device that answers is good.
            let device = DeviceId(device);
            let answers = hub.fleet.life(device).is_some_and(DeviceLiveness::answers)
                && hub.fleet.port_down(PortId(0)).is_none();
            if matches!(kind, 0 | 1) && pass > 0 && answers {
                prop_assert_eq!(value(&hub, at(now), device).0, Quality::Good);
            }
        }
    }
}

#[test]
fn the_requests_to_each_device_are_counted_across_a_reload_too() {
    let mut hub = hub();
    let one = DeviceId(1);
    for (ms, evidence) in [
        (1000, LivenessEvidence::Alive(LivenessProof::Answer)),
        (2000, LivenessEvidence::Missed(MissReason::Garbled)),
        (3000, LivenessEvidence::Alive(LivenessProof::Exception(6))),
    ] {
        hub.handle(at(ms), polled(at(ms), one, evidence));
    }
    let refused = FieldEvent::NoValue {
        device: one,
        at: at(3000),
        points: vec![(0, "not a number")],
    };
    hub.handle(at(3000), Input::Field(refused));
    let reload = Input::Reload {
        spec: Arc::clone(&hub.spec),
        changes: Box::default(),
        commissioned: true,
    };
    hub.handle(at(4000), reload);
    let counters = hub.counters(one).unwrap();
    let counted = (
        counters.polls,
        counters.answers,
        counters.garbled,
        counters.retries,
    );
    assert_eq!(counted, (3, 1, 1, 1));
    assert_eq!(counters.exceptions.get(&6), Some(&1));
    assert_eq!(counters.no_value, 1);
    assert_eq!(hub.counters(DeviceId(0)), None, "never asked");
}

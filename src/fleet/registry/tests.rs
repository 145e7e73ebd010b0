use std::time::Duration;

use super::*;
use crate::base::{LivenessEvidence, LivenessProof, LogoutReason, MissReason, Wall};
use crate::spec::test_spec::{self, device, nowhere, port, profile, tcp};
use crate::spec::{DeviceSpec, LineSpec, Liveness, Spec};

/// Returns an installation of two meters on the first line and one on the second.
pub(in crate::fleet) fn spec() -> Spec {
    let profile = profile("meter", Vec::new());
    let port = |name: &str| {
        let line = LineSpec::Tcp(tcp("127.0.0.1", 502));
        port(name, line, Duration::from_secs(1))
    };
    let device = |n: u8, port: u16| DeviceSpec {
        port: PortId(port),
        liveness: Liveness {
            missed: 3,
            quiet: Duration::from_secs(5),
            returns: 2,
        },
        ..device(&format!("m{n}"), n, "pk", &profile)
    };
    test_spec::spec(
        nowhere(),
        vec![port("line1"), port("line2")],
        vec![device(1, 0), device(2, 0), device(3, 1)],
    )
}

fn at(seconds: u64) -> Now {
    Now {
        mono: Mono::from_micros(seconds * 1_000_000),
        wall: Wall::from_millis(0),
    }
}

fn polled(device: u32, evidence: LivenessEvidence) -> FieldEvent {
    FieldEvent::Polled {
        device: DeviceId(device),
        at: at(0),
        evidence,
        readings: Vec::new(),
        turnaround: None,
    }
}

fn drain(fleet: &mut Fleet) -> Vec<Output> {
    std::iter::from_fn(|| fleet.poll()).collect()
}

const ANSWER: LivenessEvidence = LivenessEvidence::Alive(LivenessProof::Answer);
const MISS: LivenessEvidence = LivenessEvidence::Missed(MissReason::Silence);

#[test]
fn a_device_that_answers_is_wanted_online_and_told_once() {
    let mut fleet = Fleet::new(&spec(), at(0));
    fleet.on_field(at(1), &polled(0, ANSWER));
    fleet.on_field(at(2), &polled(0, ANSWER));
    let device = DeviceId(0);
    assert_eq!(
        drain(&mut fleet),
        [
            Output::Want {
                device,
                online: true,
                why_not: None,
            },
            Output::LogEvent(FleetLogEvent::Appeared { device })
        ]
    );
}

#[test]
fn silence_comes_by_the_clock_even_when_no_further_poll_does() {
    let mut fleet = Fleet::new(&spec(), at(0));
    fleet.on_field(at(1), &polled(0, ANSWER));
    for s in [2, 3, 4] {
        fleet.on_field(at(s), &polled(0, MISS));
    }
    drain(&mut fleet);
    assert_eq!(fleet.wake_at().map(|w| w.at), Some(at(6).mono));
    fleet.on_time(at(6));
    let out = drain(&mut fleet);
    assert_eq!(
        out.first(),
        Some(&Output::Want {
            device: DeviceId(0),
            online: false,
            why_not: Some(LogoutReason::Silent {
                missed: 3,
                quiet: Duration::from_secs(5),
            }),
        })
    );
    assert_eq!(fleet.wake_at(), None);
}

#[test]
fn an_answer_takes_the_deadline_back() {
    let mut fleet = Fleet::new(&spec(), at(0));
    for s in [1, 2, 3] {
        fleet.on_field(at(s), &polled(0, MISS));
    }
    assert!(fleet.wake_at().is_some());
    fleet.on_field(at(4), &polled(0, ANSWER));
    assert_eq!(fleet.wake_at(), None);
}

#[test]
fn a_port_that_is_down_takes_its_devices_along_in_one_line_and_no_others() {
    let mut fleet = Fleet::new(&spec(), at(0));
    for d in 0..3 {
        fleet.on_field(at(1), &polled(d, ANSWER));
    }
    drain(&mut fleet);
    fleet.on_field(
        at(2),
        &FieldEvent::PortDown {
            port: PortId(0),
            why: "no such device".into(),
        },
    );
    assert_eq!(drain(&mut fleet), [], "a grace before anyone is logged out");
    fleet.on_time(at(31));
    assert_eq!(drain(&mut fleet), [], "until the grace is over");
    fleet.on_time(at(32));
    assert_eq!(
        drain(&mut fleet),
        [
            Output::Want {
                device: DeviceId(0),
                online: false,
                why_not: Some(LogoutReason::PortDown),
            },
            Output::Want {
                device: DeviceId(1),
                online: false,
                why_not: Some(LogoutReason::PortDown),
            },
            Output::LogEvent(FleetLogEvent::PortDevicesSilent {
                port: PortId(0),
                devices: vec![DeviceId(0), DeviceId(1)],
                why: "no such device".into()
            }),
        ]
    );
    assert_eq!(fleet.life(DeviceId(2)), Some(DeviceLiveness::Responding));
}

#[test]
fn devices_of_a_port_that_is_down_follow_it_with_one_line_for_all() {
    let mut fleet = Fleet::new(&spec(), at(0));
    fleet.on_field(at(1), &polled(0, ANSWER));
    fleet.on_field(at(3), &polled(1, ANSWER));
    drain(&mut fleet);
    let down = FieldEvent::PortDown {
        port: PortId(0),
        why: "gone".into(),
    };
    fleet.on_field(at(4), &down);
    let mut told = 0;
    for s in 5..40 {
        fleet.on_time(at(s));
        let out = drain(&mut fleet);
        told += out
            .iter()
            .filter(|o| match o {
                Output::LogEvent(FleetLogEvent::PortDevicesSilent { devices, .. }) => {
                    devices.len() == 2
                }
                _ => false,
            })
            .count();
    }
    assert_eq!(told, 1);
    assert!(matches!(
        fleet.life(DeviceId(1)),
        Some(DeviceLiveness::Silent { .. })
    ));
}

#[test]
fn a_port_is_down_for_the_reason_of_its_last_attempt() {
    let mut fleet = Fleet::new(&spec(), at(0));
    let port = PortId(0);
    let retried = |why: &str, s| FieldEvent::PortRetried {
        port,
        why: why.into(),
        next: at(s).mono,
    };
    // A port that is open is not down, whatever comes late.
    fleet.on_field(at(1), &retried("absent", 2));
    assert_eq!(
        (fleet.port_down(port), fleet.next_attempt(port)),
        (None, None)
    );
    let why = "absent".to_owned();
    fleet.on_field(at(2), &FieldEvent::PortDown { port, why });
    fleet.on_field(at(3), &retried("not permitted", 7));
    assert_eq!(fleet.port_down(port), Some("not permitted"));
    assert_eq!(fleet.next_attempt(port), Some(at(7).mono));
    fleet.on_field(at(4), &FieldEvent::PortUp { port });
    assert_eq!(
        (fleet.port_down(port), fleet.next_attempt(port)),
        (None, None)
    );
}

#[test]
fn one_that_comes_and_goes_is_kept_offline_until_it_is_steadier_and_told_once() {
    let mut fleet = Fleet::new(&spec(), at(0));
    let (mut wants, mut notices) = (Vec::new(), Vec::new());
    let mut last = 0;
    for second in 0..6000 {
        let now = at(second);
        // The device is silent for half of each minute, for a quarter of an hour.
        let evidence = match second < 900 && second % 60 >= 30 {
            true => MISS,
            false => ANSWER,
        };
        fleet.on_field(now, &polled(0, evidence));
        fleet.on_time(now);
        for output in drain(&mut fleet) {
            match output {
                Output::Want { online, .. } => wants.push((second, online)),
                Output::LogEvent(FleetLogEvent::Held { .. } | FleetLogEvent::LetGo { .. }) => {
                    notices.push(second);
                    last = second;
                }
                Output::LogEvent(_) => {}
            }
        }
    }
    assert_eq!(notices.len(), 2, "{notices:?}");
    let online: Vec<u64> = wants.iter().filter(|w| w.1).map(|w| w.0).collect();
    assert_eq!(
        online.len(),
        5,
        "at first, three returns, let go: {online:?}"
    );
    assert_eq!(online.last(), Some(&last));
    assert!((900 + 1200..900 + 2400).contains(&last), "{last}");
}

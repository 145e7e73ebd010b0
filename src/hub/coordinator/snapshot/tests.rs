use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::base::{
    CommandAction, Echoes, FieldEvent, LinkDown, LinkEvent, LivenessEvidence, LivenessProof,
    MissReason, PortId, Rng, Value,
};
use crate::control::VerdictWord;
use crate::field::test_spec::{installation, number, point, profile, serial};
use crate::hub::Input;
use crate::hub::test_hub::{at, hub};
use crate::spec::{
    Condition, Decimal, InputSpec, Interlock, Number, ServiceSpec, Table, WritePolicy,
};

fn polled(now: Now, device: u32, evidence: LivenessEvidence) -> Input {
    Input::Field(FieldEvent::Polled {
        device: DeviceId(device),
        at: now,
        evidence,
        readings: Vec::new(),
        turnaround: matches!(evidence, LivenessEvidence::Alive(_))
            .then(|| Duration::from_millis(12)),
    })
}

/// Returns why a device is offline, what comes next, and in how long.
fn plight(hub: &Coordinator, now: Now) -> (String, String, Option<u64>) {
    let first = hub.devices(now).next().unwrap();
    let next = first.next.unwrap_or(NextChange {
        what: String::new(),
        in_ms: None,
    });
    (first.why.unwrap_or_default(), next.what, next.in_ms)
}

#[test]
fn why_a_device_is_not_online_is_the_first_thing_in_the_way() {
    let mut hub = hub();
    let port = PortId(0);
    assert_eq!(plight(&hub, at(0)).0, "no answer since the start");

    let why = || "No such file or directory".to_owned();
    hub.handle(
        at(100),
        Input::Field(FieldEvent::PortDown { port, why: why() }),
    );
    let (said, next, in_ms) = plight(&hub, at(1100));
    assert_eq!(said, format!("its port is down: {}", why()));
    let deadline = hub.fleet.deadline(DeviceId(0)).unwrap();
    assert_eq!(next, "counts as silent if its port is still down");
    assert_eq!(in_ms, Some(millis(deadline.at.since(at(1100).mono))));
    hub.handle(at(2000), Input::Field(FieldEvent::PortUp { port }));

    let alive = LivenessEvidence::Alive(LivenessProof::Answer);
    hub.handle(at(3000), polled(at(3000), 0, alive));
    assert_eq!(
        plight(&hub, at(3000)).0,
        "there is no connection to the platform yet"
    );
    let refused = LinkEvent::Down(LinkDown::Refused(4));
    hub.handle(at(3100), Input::Link(refused));
    assert!(
        plight(&hub, at(3200))
            .0
            .contains("bad user name or password")
    );
    hub.handle(at(4000), Input::Link(LinkEvent::Up));
    while hub.poll(at(4000)).is_some() {}
    assert_ne!(plight(&hub, at(4000)).0, "");

    for ms in [5000, 6000, 7000, 8000, 9000] {
        hub.handle(
            at(ms),
            polled(at(ms), 0, LivenessEvidence::Missed(MissReason::Silence)),
        );
    }
    let (said, next, _) = plight(&hub, at(9000));
    assert!(said.starts_with("silent: "), "{said}");
    assert_eq!(next, "asked again; online once it answers");
    let first = hub.devices(at(9000)).next().unwrap();
    assert_eq!(first.answered_ms, Some(6000));
    assert_eq!(first.rtt.map(|r| r.p50_us), Some(12_000));
    assert_eq!(
        (first.outcomes["answer"], first.outcomes["timeout"]),
        (1, 5)
    );
}

#[test]
fn why_a_device_was_logged_out_last_is_shown_when_it_is_back_too() {
    let mut hub = hub();
    let first = |hub: &Coordinator, now| hub.devices(now).next().unwrap().last_logout;
    let second = |hub: &Coordinator, now| hub.devices(now).nth(1).unwrap().last_logout;
    assert_eq!(first(&hub, at(0)), None);
    let reason = LogoutReason::Silent {
        missed: 3,
        quiet: Duration::from_millis(10_200),
    };
    let longer = LogoutReason::Silent {
        missed: 4,
        quiet: Duration::from_millis(15_000),
    };
    let notice = crate::cloud::CloudLogEvent::LoggedOut {
        devices: vec![DeviceId(0), DeviceId(1)],
        names: "one, two".into(),
        online: 0,
        reason,
        each: vec![reason, longer],
    };
    let spec = Arc::clone(&hub.spec);
    hub.statistics.on_notice(at(1000), &spec, &notice);
    hub.handle(
        at(5000),
        polled(at(5000), 0, LivenessEvidence::Alive(LivenessProof::Answer)),
    );
    let logout = first(&hub, at(61_000)).unwrap();
    assert_eq!(
        logout.what,
        "silent: 3 polls in a row without an answer, 10.2 s quiet"
    );
    assert_eq!(logout.ago_ms, 60_000);
    // A device that left in the same batch has its own figures.
    assert_eq!(
        second(&hub, at(61_000)).unwrap().what,
        "silent: 4 polls in a row without an answer, 15.0 s quiet"
    );
}

#[test]
fn a_gateway_without_identity_says_that_first_of_all_about_the_cloud() {
    let mut hub = hub().not_commissioned();
    hub.handle(
        at(1),
        polled(at(1), 0, LivenessEvidence::Alive(LivenessProof::Answer)),
    );
    assert!(plight(&hub, at(1)).0.contains("not commissioned"));
    assert_eq!(hub.snapshot(at(1)).cloud.link, Link::NotCommissioned);
}

#[test]
fn the_echoes_of_a_port_add_up_in_its_picture() {
    let mut hub = hub();
    for n in [5, 7] {
        let echoes = Echoes {
            expected: n,
            unexpected: 0,
            missed: 1,
        };
        let port = PortId(0);
        hub.handle(at(1), Input::Field(FieldEvent::Echoes { port, echoes }));
    }
    let counts = hub.snapshot(at(2)).ports[0].echoes.clone();
    let expected = [
        ("echo-expected", 12),
        ("echo-missed", 2),
        ("echo-unexpected", 0),
    ];
    assert_eq!(
        counts,
        expected.map(|(name, n)| (name.to_owned(), n)).into()
    );
}

#[test]
fn the_probes_of_a_port_add_up_in_its_picture() {
    let mut hub = hub();
    assert_eq!(hub.snapshot(at(0)).ports[0].probes, 0);
    for count in [5, 7] {
        let port = PortId(0);
        hub.handle(at(1), Input::Field(FieldEvent::Probes { port, count }));
    }
    assert_eq!(hub.snapshot(at(2)).ports[0].probes, 12);
}

/// Returns a hub whose first point is a number that may be written if the second is 1 or 2.
fn hub_that_writes() -> Coordinator {
    let number = || number(Number::U16);
    let mut points = vec![
        point(Table::HoldingRegister, 0, number(), 1000),
        point(Table::HoldingRegister, 1, number(), 1000),
        point(Table::HoldingRegister, 2, number(), 1000),
    ];
    let decimal = |n| Decimal::parse(n).unwrap();
    points[0].write = Some(Box::new(WritePolicy {
        min: Some(decimal("5")),
        max: Some(decimal("60")),
        confirm: Some(Duration::from_secs(30)),
        only_if: Some(Interlock {
            point: 1,
            condition: Condition {
                is: vec![decimal("1"), decimal("2")],
                ..Condition::default()
            },
        }),
        ..WritePolicy::default()
    }));
    points[2].write = Some(Box::default());
    let mut one = profile(points);
    one.services = vec![ServiceSpec {
        id: "Start".into(),
        inputs: vec![InputSpec {
            name: "level".into(),
            min: Some(decimal("20")),
            max: None,
            default: Some(Value::Int(45)),
        }],
        steps: Vec::new(),
    }];
    let spec = installation(serial(9600), vec![one]);
    Coordinator::new(Arc::new(spec), Rng::new(1), Now::default())
}

#[test]
fn one_device_says_what_may_be_written_and_what_was() {
    let mut hub = hub_that_writes();
    let name = hub.spec.devices[0].name.clone();
    let ids: Vec<String> = hub.spec.devices[0]
        .profile
        .points
        .iter()
        .map(|p| p.id.clone())
        .collect();
    let picture = hub.device(at(0), &name).unwrap();
    let writable: Vec<Option<&str>> = picture
        .points
        .iter()
        .map(|p| p.writable.as_deref())
        .collect();
    let first = format!(
        "5 to 60; only if {} is 1 or 2; the same command twice within 30 s",
        ids[1]
    );
    assert_eq!(writable, [Some(&*first), None, Some("any whole number")]);
    let service = &picture.services[0];
    assert_eq!(service.id, "Start");
    assert_eq!(service.inputs[0].range.as_deref(), Some("at least 20"));
    assert_eq!(service.inputs[0].default, 45);
    assert_eq!(picture.commands, []);

    // It does not answer, so its commands are refused: the last comes first.
    for (ms, value) in [(1000, 7), (2000, 8)] {
        let action = CommandAction::Set(vec![(ids[2].clone(), value.into())]);
        assert!(hub.command(at(ms), &name, action, (1000, true)).is_some());
        while hub.poll(at(ms)).is_some() {}
    }
    let picture = hub.device(at(5000), &name).unwrap();
    let [last, before] = &picture.commands[..] else {
        panic!("{:?}", picture.commands);
    };
    assert_eq!((last.ago_ms, before.ago_ms), (3000, 4000));
    assert_eq!(last.origin, "user 1000");
    assert_eq!(last.points[0].wanted.as_deref(), Some("8"));
    assert_eq!(last.sentence, "refused: the device does not answer");
    // The list of all devices has none of it.
    let listed = hub.devices(at(5000)).next().unwrap();
    assert!(listed.services.is_empty() && listed.commands.is_empty());
    let counted = hub.figures(at(5000)).commands;
    assert_eq!(counted, [(VerdictWord::Refused, 2)].into());
}

#[test]
fn a_device_that_is_not_configured_has_no_picture() {
    assert_eq!(hub().device(at(0), "no-such-device"), None);
}

proptest! {
    #[test]
    fn every_device_is_in_one_state_and_whoever_is_not_well_has_a_reason(
        steps in prop::collection::vec((0u64..3000, 0u8..9, 0u32..2), 1..80),
    ) {
        let mut hub = hub();
        let mut now = 0;
        let port = PortId(0);
        for (pass, kind, device) in steps {
            now += pass;
            let input = match kind {
                0..=2 => polled(at(now), device, LivenessEvidence::Alive(LivenessProof::Answer)),
                3 | 4 => polled(at(now), device, LivenessEvidence::Missed(MissReason::Garbled)),
                5 => Input::Field(FieldEvent::PortDown { port, why: "gone".into() }),
                6 => Input::Field(FieldEvent::PortUp { port }),
                7 => Input::Link(LinkEvent::Up),
                _ => Input::Link(LinkEvent::Down(LinkDown::Closed)),
            };
            hub.handle(at(now), input);
            while hub.poll(at(now)).is_some() {}
            let figures = hub.figures(at(now));
            let status = &figures.status;
            prop_assert_eq!(status.states.iter().map(|s| s.devices).sum::<u64>(), status.devices);
            prop_assert_eq!(status.ports[0].devices, 2);
            prop_assert!(status.cloud.online <= status.devices);
            for device in &figures.devices {
                let well = device.life == BusState::Alive && device.cloud == Presence::Online;
                prop_assert!(well || device.why.is_some(), "{device:?}");
            }
            let by_device: u64 = figures.devices.iter().map(|d| d.outcomes["garbled"]).sum();
            prop_assert_eq!(status.ports[0].outcomes["garbled"], by_device);
        }
    }
}

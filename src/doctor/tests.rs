//! What questions to the bus decide. Everything else is tried on whole gateways (`lab/doctor/`).

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::control::SurveyFrame;
use crate::control::picture::{BusState, Configuration, Device, PastEvent, StandingNotice, Status};
use crate::spec::{Characters, Parity, StopBits};

/// Returns a line of devices of which none has ever answered, and what was tried on it.
fn mute(devices: usize, observations: Vec<BusObservation>) -> Facts {
    let status: Status = serde_json::from_value(json!({
        "version": "1", "uptime_ms": 600_000, "devices": devices, "states": [], "waiting": 0,
        "delivered": 0, "dropped": {},
        "cloud": {
            "link": "up", "since_ms": 600_000, "connects": 1, "online": 0, "wanted": 0,
            "takeover_ms": null, "last_failure": null, "last_refusal": null,
        },
        "ports": [{
            "name": "line1", "line": "/dev/ttyUSB0", "settings": "9600 8E1", "down": null,
            "load_permille": 500, "devices": devices, "answering": 0, "rtt": null, "outcomes": {},
        }],
    }))
    .unwrap();
    let device = |n: usize| -> Device {
        serde_json::from_value(json!({
            "name": format!("meter-{n}"), "port": "line1", "place": format!("unit {n}"),
            "profile": "meter", "product_key": "a1", "device_name": "m", "life": "silent",
            "cloud": "offline", "why": "silent", "next": null, "answered_ms": null, "rtt": null,
            "outcomes": {}, "points": [], "recent": { "timeout": 32 },
            "unanswered": { "timeout": 32 },
            "response_timeout_ms": 300,
        }))
        .unwrap()
    };
    Facts {
        observations,
        ..Facts::of(status, (1..=devices).map(device).collect())
    }
}

fn tried(settings: Option<(u32, Parity)>, outcome: BusOutcome) -> BusObservation {
    BusObservation {
        port: "line1".into(),
        device: Some("meter-1".into()),
        settings: settings.map(|(baud, parity)| Characters {
            baud,
            data_bits: 8,
            parity,
            stop_bits: StopBits::One,
        }),
        waited: Duration::from_secs(1),
        outcome,
        turnaround: None,
        listened_on: false,
        second_reply: false,
    }
}

fn causes(facts: &Facts) -> Vec<(Cause, Certainty)> {
    let findings = examine(facts, &DoctorScope::All);
    findings.iter().map(|f| (f.cause, f.certainty)).collect()
}

#[test]
fn a_reply_at_other_settings_decides_between_settings_and_wires() {
    let undecided = mute(3, Vec::new());
    let likely = |cause| (cause, Certainty::Likely);
    assert_eq!(
        causes(&undecided),
        [likely(Cause::LineSettings), likely(Cause::BusNotConnected)]
    );
    let probes = probes_wanted(&undecided, &examine(&undecided, &DoctorScope::All));
    assert!((2..=MOST_PROBES).contains(&probes.len()), "{probes:?}");
    // A longer wait at the line's own settings comes first.
    assert!(matches!(probes[0].kind, ProbeKind::Wait(_)), "{probes:?}");
    for probe in &probes[1..] {
        let ProbeKind::Settings(settings) = probe.kind else {
            panic!("{probe:?}");
        };
        assert_ne!(settings.to_string(), "9600 8E1");
        assert_eq!((&*probe.port, &*probe.device), ("line1", "meter-1"));
    }

    let answered = tried(Some((19_200, Parity::Even)), BusOutcome::Exception(2));
    let decided = mute(3, vec![answered]);
    assert_eq!(
        causes(&decided),
        [(Cause::LineSettings, Certainty::Certain)]
    );

    // What was tried in vain is not asked for again, and speaks for the wires.
    let in_vain = probes.iter().map(|probe| match probe.kind {
        ProbeKind::Settings(s) => tried(Some((s.baud, s.parity)), BusOutcome::Silence),
        _ => tried(None, BusOutcome::Silence),
    });
    let in_vain = mute(3, in_vain.collect());
    assert_eq!(
        causes(&in_vain),
        [
            likely(Cause::BusNotConnected),
            (Cause::LineSettings, Certainty::Possible)
        ]
    );
    let again = probes_wanted(&in_vain, &examine(&in_vain, &DoctorScope::All));
    assert_eq!(again, []);

    let noise = mute(3, vec![tried(None, BusOutcome::Noise(7))]);
    assert_eq!(
        causes(&noise),
        [
            likely(Cause::LineSettings),
            (Cause::WiresSwapped, Certainty::Possible)
        ]
    );
}

#[test]
fn other_settings_are_tried_only_after_the_lines_own_had_no_answer() {
    let facts = mute(3, Vec::new());
    let probes = probes_wanted(&facts, &examine(&facts, &DoctorScope::All));
    let asked = |seen: &[BusObservation]| {
        let wanted = probes.iter().filter(|probe| is_still_wanted(probe, seen));
        wanted.count()
    };
    assert_eq!(
        asked(&[]),
        1,
        "only the question at the line's own settings"
    );
    assert_eq!(asked(&[tried(None, BusOutcome::Silence)]), probes.len());
    assert_eq!(asked(&[tried(None, BusOutcome::Answered)]), 1);
    let mut elsewhere = tried(None, BusOutcome::Silence);
    elsewhere.port = "line2".into();
    assert_eq!(asked(&[elsewhere]), 1, "another line says nothing about it");

    // The line is in order, and so is the device.
    let answers = mute(1, vec![tried(None, BusOutcome::Answered)]);
    assert_eq!(causes(&answers), []);
}

#[test]
fn refused_points_are_asked_for_no_more() {
    let mut facts = well(1);
    facts.devices[0].recent = [("exception-2".to_owned(), 32)].into();
    let findings = examine(&facts, &DoctorScope::All);
    assert_eq!(findings[0].cause, Cause::PointsMissing);
    assert_eq!(probes_wanted(&facts, &findings), []);
}

#[test]
fn a_late_reply_and_a_second_one_are_proof() {
    let mut late = tried(None, BusOutcome::Answered);
    late.turnaround = Some(Duration::from_millis(700));
    late.second_reply = true;
    let mut facts = mute(2, vec![late]);
    for device in &mut facts.devices {
        device.life = BusState::Alive;
        device.recent.clear();
        device.unanswered.clear();
    }
    assert_eq!(
        causes(&facts),
        [
            (Cause::AddressTwice, Certainty::Certain),
            (Cause::SlowDevice, Certainty::Certain)
        ]
    );
    // Only what has to do with it.
    let other = DoctorScope::Device("meter-2".into());
    assert_eq!(examine(&facts, &other), []);
    assert_eq!(examine(&facts, &DoctorScope::Port("line1".into())).len(), 2);
}

/// Returns a line of devices that all answer.
fn well(devices: usize) -> Facts {
    let mut facts = mute(devices, Vec::new());
    for device in &mut facts.devices {
        device.life = BusState::Alive;
        device.answered_ms = Some(500);
        device.recent = [("answer".to_owned(), 32)].into();
        device.unanswered.clear();
    }
    facts
}

/// Lets a device fall silent so long ago, after it has answered.
fn silence(device: &mut Device, seconds: u64) {
    device.life = BusState::Silent;
    device.answered_ms = Some(seconds * 1000);
    device.recent = [("answer".to_owned(), 28), ("timeout".to_owned(), 4)].into();
    device.unanswered = [("timeout".to_owned(), 4)].into();
}

#[test]
fn what_came_before_the_last_answer_says_nothing_about_a_silence() {
    // Refusals, noise and late replies of before do not hide that the line is dead now.
    let mut facts = well(3);
    for device in &mut facts.devices {
        silence(device, 60);
        device.recent = [
            ("garbled", 10),
            ("late", 5),
            ("exception-2", 10),
            ("timeout", 7),
        ]
        .map(|(outcome, n)| (outcome.to_owned(), n))
        .into();
    }
    assert_eq!(
        causes(&facts),
        [(Cause::BusNotConnected, Certainty::Likely)]
    );
    // On a line on which nothing was asked yet, nothing is known.
    let mut fresh = mute(3, Vec::new());
    for device in &mut fresh.devices {
        device.recent.clear();
        device.unanswered.clear();
    }
    assert_eq!(causes(&fresh), []);
}

#[test]
fn a_silent_device_is_told_with_what_was_seen_and_no_more() {
    let evidence = |facts: &Facts| {
        let findings = examine(facts, &DoctorScope::All);
        let wrong = findings.iter().find(|f| f.cause == Cause::AddressWrong);
        wrong.map(|f| f.evidence.join("; ")).unwrap_or_default()
    };
    let mut facts = well(2);
    facts.devices[1] = mute(2, Vec::new()).devices.swap_remove(1);
    let seen = evidence(&facts);
    assert!(
        seen.contains("not one byte") && seen.contains("others on line1 answer"),
        "{seen}"
    );
    facts.devices[1].unanswered = [("timeout", 29), ("foreign", 3)]
        .map(|(outcome, n)| (outcome.to_owned(), n))
        .into();
    let seen = evidence(&facts);
    assert!(
        !seen.contains("not one byte") && seen.contains("bytes came in reply to 3 requests"),
        "{seen}"
    );
    // The other one is away as well.
    silence(&mut facts.devices[0], 900);
    let seen = evidence(&facts);
    assert!(!seen.is_empty() && !seen.contains("others on"), "{seen}");
}

#[test]
fn only_a_longer_wait_at_the_lines_own_settings_is_told_as_one() {
    let told = |change: &dyn Fn(&mut BusObservation)| {
        let mut facts = well(1);
        facts.devices.extend(mute(2, Vec::new()).devices.pop());
        let mut silence = tried(None, BusOutcome::Silence);
        silence.device = Some("meter-2".into());
        change(&mut silence);
        facts.observations.push(silence);
        let findings = examine(&facts, &DoctorScope::All);
        let wrong = findings.iter().find(|f| f.cause == Cause::AddressWrong);
        wrong.unwrap().evidence.join("; ").contains("longer")
    };
    assert!(told(&|_| {}));
    assert!(!told(&|o| o.waited = Duration::from_millis(300)));
    assert!(!told(&|o| o.settings = Characters::parse("9600 8N1")));
}

fn suspected(device: &mut Device) {
    device.noticed = vec![StandingNotice {
        event: "device-address-shared".into(),
        what: "two devices with one address?".into(),
        ago_ms: 1_200_000,
    }];
}

#[test]
fn two_suspicions_of_a_shared_address_are_two_findings_and_end_with_their_reason() {
    let mut facts = well(3);
    for device in &mut facts.devices[..2] {
        suspected(device);
        device.recent = [("answer".to_owned(), 20), ("garbled".to_owned(), 3)].into();
    }
    let findings = examine(&facts, &DoctorScope::All);
    let subjects: Vec<_> = findings
        .iter()
        .filter(|f| f.cause == Cause::AddressTwice)
        .map(|f| (f.certainty, f.subject.clone()))
        .collect();
    let of = |name: &str| Subject::Devices(vec![name.into()]);
    assert_eq!(
        subjects,
        [
            (Certainty::Likely, of("meter-1")),
            (Certainty::Likely, of("meter-2"))
        ]
    );

    let mut mended = well(2);
    suspected(&mut mended.devices[0]);
    assert_eq!(
        causes(&mended),
        [(Cause::AddressTwice, Certainty::Possible)]
    );
    let mut listened = tried(None, BusOutcome::Answered);
    listened.listened_on = true;
    mended.observations.push(listened);
    assert_eq!(causes(&mended), []);
}

#[test]
fn devices_of_one_protocol_that_fall_silent_together_share_something() {
    let mut facts = well(4);
    for device in &mut facts.devices[1..] {
        device.question = Some(SurveyFrame::Modbus {
            unit: 1,
            pdu: "0300000001".into(),
        });
        silence(device, 600);
    }
    facts.devices[2].answered_ms = Some(630_000);
    let findings = examine(&facts, &DoctorScope::All);
    let names = ["meter-2", "meter-3", "meter-4"].map(String::from);
    let [finding] = &findings[..] else {
        panic!("{findings:?}");
    };
    assert_eq!(
        (finding.cause, finding.certainty, &finding.subject),
        (
            Cause::SharedSupply,
            Certainty::Possible,
            &Subject::Devices(names.into())
        )
    );
    // At other times, they were switched off one by one.
    facts.devices[2].answered_ms = Some(3_600_000);
    assert_eq!(causes(&facts), [(Cause::DeviceOff, Certainty::Note)]);
}

#[test]
fn echoes_of_long_ago_say_nothing() {
    let mut facts = well(2);
    let port = |facts: &mut Facts, lately| {
        let status = facts.status.as_mut().unwrap();
        status.ports[0].echoes = [("echo-unexpected".to_owned(), 900)].into();
        status.ports[0].echoes_lately = [("echo-unexpected".to_owned(), lately)].into();
    };
    port(&mut facts, 0);
    assert_eq!(causes(&facts), []);
    port(&mut facts, 5);
    assert_eq!(causes(&facts), [(Cause::AdapterEcho, Certainty::Certain)]);
}

#[test]
fn the_files_on_disk_decide_what_a_changed_configuration_is() {
    use ConfigurationFiles::{Missing, Right, Unknown, Wrong};
    let wrong = || Wrong(vec!["gateway.yaml:7:1 ports said 7".into()]);
    let told = |changed: bool, refused: bool, files: ConfigurationFiles| {
        let mut facts = well(2);
        facts.status.as_mut().unwrap().configuration = Some(Configuration {
            file: "/etc/alink-gateway/gateway.yaml".into(),
            changed: changed
                .then(|| "gateway.yaml".to_owned())
                .into_iter()
                .collect(),
            refused: refused.then(|| PastEvent {
                what: "7 is no port".into(),
                ago_ms: 5000,
            }),
            ..Configuration::default()
        });
        facts.files = files;
        causes(&facts)
    };
    let note = [(Cause::ConfigurationChanged, Certainty::Note)];
    let refused = [(Cause::ConfigurationRefused, Certainty::Certain)];
    let broken = [(Cause::ConfigurationBroken, Certainty::Certain)];
    assert_eq!(told(false, false, Unknown), []);
    assert_eq!(told(true, false, Unknown), note);
    assert_eq!(told(true, false, Right), note);
    assert_eq!(told(true, false, wrong()), broken);
    assert_eq!(told(true, true, wrong()), refused);
    assert_eq!(told(true, true, Unknown), refused);
    let gone = [(Cause::ConfigurationGone, Certainty::Certain)];
    assert_eq!(told(true, false, Missing), gone);
    assert_eq!(told(true, true, Missing), gone);
    // Mended since, and not loaded yet; or as it was before.
    assert_eq!(told(true, true, Right), note);
    assert_eq!(told(false, true, Right), []);

    let named = Some("/srv/gateway.yaml");
    for (files, configuration, cause, looked_at) in [
        (
            Missing,
            named,
            Cause::ConfigurationMissing,
            "there is no /srv/gateway.yaml",
        ),
        (
            wrong(),
            named,
            Cause::ConfigurationWrong,
            "/srv/gateway.yaml has errors",
        ),
        (
            Right,
            named,
            Cause::ServiceStopped,
            "/srv/gateway.yaml has no error",
        ),
        (
            Unknown,
            None,
            Cause::ServiceStopped,
            "which configuration it has is not known: name it with -c FILE",
        ),
    ] {
        let facts = Facts {
            service: Service::DoesNotAnswer {
                why: "no service answers".into(),
                configuration: configuration.map(str::to_owned),
            },
            status: None,
            files,
            ..well(0)
        };
        assert_eq!(causes(&facts), [(cause, Certainty::Certain)]);
        assert_eq!(examine(&facts, &DoctorScope::All)[0].evidence[1], looked_at);
    }
}

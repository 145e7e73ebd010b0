//! What questions to the bus decide. Everything else is tried on whole gateways (`lab/doctor/`).

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::control::picture::{Device, Life, Status};
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
        second_reply: false,
    }
}

fn causes(facts: &Facts) -> Vec<(Cause, Certainty)> {
    let findings = examine(facts, &Scope::All);
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
    let probes = probes_wanted(&undecided, &examine(&undecided, &Scope::All));
    assert!((2..=MOST_PROBES).contains(&probes.len()), "{probes:?}");
    for probe in &probes {
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
    let again = probes_wanted(&in_vain, &examine(&in_vain, &Scope::All));
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
fn a_late_reply_and_a_second_one_are_proof() {
    let mut late = tried(None, BusOutcome::Answered);
    late.turnaround = Some(Duration::from_millis(700));
    late.second_reply = true;
    let mut facts = mute(2, vec![late]);
    for device in &mut facts.devices {
        device.life = Life::Alive;
        device.recent.clear();
    }
    assert_eq!(
        causes(&facts),
        [
            (Cause::AddressTwice, Certainty::Certain),
            (Cause::SlowDevice, Certainty::Certain)
        ]
    );
    // Only what has to do with it.
    let other = Scope::Device("meter-2".into());
    assert_eq!(examine(&facts, &other), []);
    assert_eq!(examine(&facts, &Scope::Port("line1".into())).len(), 2);
}

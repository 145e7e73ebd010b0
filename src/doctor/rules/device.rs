//! Single devices, on ports that are open and on which something answers.

use std::collections::{BTreeMap, BTreeSet};

use super::{Findings, Subject};
use crate::base::text::counted;
use crate::control::SurveyFrame;
use crate::control::picture::{BusState, Device, Status};
use crate::doctor::cause::{Cause, Certainty};
use crate::doctor::facts::{DoctorScope, Facts, Recent, noticed, told};
use crate::doctor::observation::BusOutcome;

/// So many late replies among the last transactions are no chance, and so many are proof.
const LATE_LEAST: u64 = 2;
const LATE_MANY: u64 = 6;
/// From this share of spoilt replies of one device on, in hundredths, something is wrong there.
const SPOILT_PERCENT: u64 = 10;
const SPOILT_LEAST: u64 = 4;
/// So many refusals without an answer are the device's last word.
const REFUSED_LEAST: u64 = 4;
/// So many answers in a row take a suspicion of two devices at one address back.
const ANSWERS_TO_CLEAR: u64 = 32;
/// So many devices that answered last within this time fell silent together.
const TOGETHER_LEAST: usize = 2;
const TOGETHER_MS: u64 = 60_000;

pub(super) fn examine(
    facts: &Facts,
    status: &Status,
    explained: &BTreeSet<String>,
    scope: &DoctorScope,
    found: &mut Findings,
) {
    let shared = together(facts, explained, found);
    for device in &facts.devices {
        content(device, found);
        if explained.contains(&device.port) {
            continue;
        }
        let is_serial = status
            .ports
            .iter()
            .any(|p| p.name == device.port && p.settings.is_some());
        let others = facts.devices.iter();
        let mut others = others.filter(|d| d.port == device.port && d.name != device.name);
        let are_others_well = others.all(|d| !Recent::of([d]).is_garbled(SPOILT_PERCENT, 2));
        replies(facts, device, is_serial && are_others_well, found);
        if device.life == BusState::Silent {
            let is_told = shared.contains(&device.name);
            silent(facts, device, scope, is_told, found);
        }
    }
}

/// A protocol, as far as the picture tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Protocol {
    Modbus,
    Dlt645,
    Other,
}

impl Protocol {
    const fn of(device: &Device) -> Protocol {
        match device.question {
            Some(SurveyFrame::Modbus { .. }) => Protocol::Modbus,
            Some(SurveyFrame::Dlt645 { .. }) => Protocol::Dlt645,
            None => Protocol::Other,
        }
    }
}

/// Returns whether a device answers now.
fn answers(device: &Device) -> bool {
    matches!(device.life, BusState::Alive | BusState::Probation)
}

/// Devices of one protocol that fell silent together while others on their port answer: as a rule
/// they were wired together, at one time and by one hand. Returns the names of those that were
/// told.
fn together(facts: &Facts, explained: &BTreeSet<String>, found: &mut Findings) -> BTreeSet<String> {
    let mut alike: BTreeMap<(&str, Protocol), Vec<&Device>> = BTreeMap::new();
    for device in facts
        .devices
        .iter()
        .filter(|d| !explained.contains(&d.port))
    {
        let key = (device.port.as_str(), Protocol::of(device));
        alike.entry(key).or_default().push(device);
    }
    let mut told = BTreeSet::new();
    for ((port, _), devices) in alike {
        let are_others_heard = facts.devices.iter().any(|d| d.port == port && answers(d));
        let since: Option<Vec<u64>> = devices
            .iter()
            .map(|d| d.answered_ms.filter(|_| d.life == BusState::Silent))
            .collect();
        let Some(since) = since.filter(|since| since.len() >= TOGETHER_LEAST) else {
            continue;
        };
        let (first, last) = (since.iter().max(), since.iter().min());
        let apart = first.zip(last).map_or(0, |(first, last)| first - last);
        if apart > TOGETHER_MS || !are_others_heard {
            continue;
        }
        let seen = format!(
            "all {} of one protocol on {port} answered last within one minute, and others on it answer",
            counted(devices.len(), "device")
        );
        let names: Vec<String> = devices.iter().map(|d| d.name.clone()).collect();
        told.extend(names.iter().cloned());
        let subject = Subject::Devices(names);
        found.add(
            Cause::SharedSupply,
            subject,
            Certainty::Possible,
            vec![seen],
        );
    }
    told
}

/// What the device answers does not fit what is asked.
fn content(device: &Device, found: &mut Findings) {
    if let Some(words) = &device.implausible {
        let seen = vec![words.clone()];
        found.device(&device.name, Cause::WordOrder, Certainty::Likely, seen);
    }
    for (event, certainty) in [
        ("device-points-refused", Certainty::Certain),
        ("device-datum-refused", Certainty::Certain),
        ("device-points-fail", Certainty::Likely),
    ] {
        if let Some(noticed) = noticed(&device.noticed, event) {
            let seen = vec![told(noticed)];
            found.device(&device.name, Cause::PointsMissing, certainty, seen);
            return;
        }
    }
    let recent = Recent::now(device);
    if recent.answers == 0 && recent.refused >= REFUSED_LEAST {
        let seen = vec![format!(
            "it refuses all of its last {}",
            counted(recent.refused, "request")
        )];
        found.device(&device.name, Cause::PointsMissing, Certainty::Likely, seen);
    }
}

/// How the device answers: late, spoilt, twice, or without having been asked.
fn replies(facts: &Facts, device: &Device, is_alone_spoilt: bool, found: &mut Findings) {
    let recent = Recent::now(device);
    let name = &device.name;
    let own = facts.observations.iter();
    let own = own.filter(|o| o.device.as_ref() == Some(name));
    let timeout = device.response_timeout_ms;
    if let Some(slow) = own.clone().find(|o| {
        let is_later = |t: std::time::Duration| t.as_millis() > u128::from(timeout);
        o.outcome.is_understood() && o.turnaround.is_some_and(is_later)
    }) {
        let took = slow.turnaround.unwrap_or_default().as_millis();
        let seen = vec![format!(
            "it answers after {took} ms, and is waited for {timeout} ms"
        )];
        found.device(name, Cause::SlowDevice, Certainty::Certain, seen);
    } else if recent.late >= LATE_LEAST {
        let certainty = match recent.late >= LATE_MANY {
            true => Certainty::Certain,
            false => Certainty::Likely,
        };
        let seen = vec![format!(
            "{} came after the response timeout of {timeout} ms",
            counted(recent.late, "reply")
        )];
        found.device(name, Cause::SlowDevice, certainty, seen);
    }
    let second = own.clone().any(|o| o.second_reply);
    if let Some(twice) = noticed(&device.noticed, "device-address-shared") {
        let listened = own
            .clone()
            .any(|o| o.listened_on && o.outcome.is_understood());
        let is_well = recent.answers >= ANSWERS_TO_CLEAR && recent.answers == recent.all;
        // The suspicion outlives its reason by an hour at most.
        let certainty = match (second, is_well && recent.late == 0, listened) {
            (true, _, _) => Some(Certainty::Certain),
            (false, true, true) => None,
            (false, true, false) => Some(Certainty::Possible),
            (false, false, _) => Some(Certainty::Likely),
        };
        if let Some(certainty) = certainty {
            found.shared_address(device, certainty, vec![told(twice)]);
        }
    } else if second {
        let seen = vec!["a second reply with other values follows the first".to_owned()];
        found.shared_address(device, Certainty::Certain, seen);
    } else if is_alone_spoilt && recent.is_garbled(SPOILT_PERCENT, SPOILT_LEAST) {
        let seen = vec![format!(
            "{} of its last {} brought bytes that are no frame, and those of its neighbours are well",
            recent.garbled,
            counted(recent.all, "request")
        )];
        found.device(name, Cause::DeviceNoise, Certainty::Likely, seen.clone());
        found.shared_address(device, Certainty::Possible, seen);
    }
    for (event, cause) in [
        ("device-other-master", Cause::SecondMaster),
        ("device-held", Cause::DeviceUnsteady),
    ] {
        if let Some(noticed) = noticed(&device.noticed, event) {
            let seen = vec![told(noticed)];
            found.device(name, cause, Certainty::Likely, seen);
        }
    }
}

/// A device that does not answer. If it never did, its address or its wire is wrong; if it did
/// before, it may be switched off, and only its owner can say whether that is right.
fn silent(
    facts: &Facts,
    device: &Device,
    scope: &DoctorScope,
    is_told: bool,
    found: &mut Findings,
) {
    let recent = Recent::since_answer([device]);
    if recent.late >= LATE_LEAST || recent.is_garbled(SPOILT_PERCENT, SPOILT_LEAST) {
        return;
    }
    let name = &device.name;
    let is_asked_about = *scope == DoctorScope::Device(name.clone());
    if device.answered_ms.is_some() {
        let certainty = match is_asked_about {
            true => Certainty::Likely,
            false if is_told => return,
            false => Certainty::Note,
        };
        let seen = device.why.clone();
        let seen = seen.unwrap_or_else(|| "it does not answer".into());
        found.device(name, Cause::DeviceOff, certainty, vec![seen]);
        return;
    }
    if recent.not_reached > 0 {
        let seen = vec![format!(
            "the Modbus gateway says so in reply to {}",
            counted(recent.not_reached, "request")
        )];
        found.device(name, Cause::NotBehindServer, Certainty::Certain, seen);
        return;
    }
    // Nothing is known of a device that was not asked yet.
    if recent.all == 0 {
        return;
    }
    let mut seen = vec![recent.replies_without_answer()];
    let own = facts.observations.iter();
    let own = own.filter(|o| o.device.as_ref() == Some(name) && o.settings.is_none());
    // A device that answered when it was asked again has the address.
    if own.clone().any(|o| o.outcome.is_understood()) {
        return;
    }
    let timeout = std::time::Duration::from_millis(device.response_timeout_ms);
    let mut longer = own.filter(|o| o.waited > timeout);
    if longer.any(|o| o.outcome == BusOutcome::Silence) {
        seen.push("it was also waited for longer, in vain".into());
    }
    let mut others = facts.devices.iter().filter(|d| d.port == device.port);
    seen.push(match others.any(answers) {
        true => format!(
            "others on {} answer, and nothing answers at {}",
            device.port, device.place
        ),
        false => format!("nothing answers at {}", device.place),
    });
    found.device(name, Cause::AddressWrong, Certainty::Likely, seen);
}

//! Single devices, on ports that are open and on which something answers.

use std::collections::BTreeSet;

use super::Findings;
use crate::base::text::counted;
use crate::control::picture::{Device, Life, Status};
use crate::doctor::cause::{Cause, Certainty};
use crate::doctor::facts::{Facts, Recent, Scope, noticed, told};
use crate::doctor::observation::BusOutcome;

/// So many late replies among the last transactions are no chance, and so many are proof.
const LATE_LEAST: u64 = 2;
const LATE_MANY: u64 = 6;
/// From this share of spoilt replies of one device on, in hundredths, something is wrong there.
const SPOILT_PERCENT: u64 = 10;
const SPOILT_LEAST: u64 = 4;
/// So many refusals without an answer are the device's last word.
const REFUSED_LEAST: u64 = 4;

pub(super) fn examine(
    facts: &Facts,
    status: &Status,
    explained: &BTreeSet<String>,
    scope: &Scope,
    found: &mut Findings,
) {
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
        if device.life == Life::Silent {
            silent(facts, device, scope, found);
        }
    }
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
    let recent = Recent::of([device]);
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
    let recent = Recent::of([device]);
    let name = &device.name;
    let own = facts.observations.iter();
    let mut own = own.filter(|o| o.device.as_ref() == Some(name));
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
    let second = own.any(|o| o.second_reply);
    if let Some(twice) = noticed(&device.noticed, "device-unit-twice") {
        let certainty = match second {
            true => Certainty::Certain,
            false => Certainty::Likely,
        };
        found.device(name, Cause::AddressTwice, certainty, vec![told(twice)]);
    } else if second {
        let seen = vec!["a second reply with other values follows the first".to_owned()];
        found.device(name, Cause::AddressTwice, Certainty::Certain, seen);
    } else if is_alone_spoilt && recent.is_garbled(SPOILT_PERCENT, SPOILT_LEAST) {
        let seen = vec![format!(
            "{} of its last {} brought bytes that are no frame, and those of its neighbours are well",
            recent.garbled,
            counted(recent.all, "request")
        )];
        found.device(name, Cause::DeviceNoise, Certainty::Likely, seen.clone());
        found.device(name, Cause::AddressTwice, Certainty::Possible, seen);
    }
    for (event, cause) in [
        ("device-others-ask", Cause::SecondMaster),
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
fn silent(facts: &Facts, device: &Device, scope: &Scope, found: &mut Findings) {
    let recent = Recent::of([device]);
    if recent.late > 0 || recent.is_garbled(SPOILT_PERCENT, SPOILT_LEAST) {
        return;
    }
    let name = &device.name;
    let is_asked_about = *scope == Scope::Device(name.clone());
    if device.answered_ms.is_some() {
        let certainty = match is_asked_about {
            true => Certainty::Likely,
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
    let mut seen = vec![format!(
        "not one byte came in reply to the last {}",
        counted(recent.all, "request")
    )];
    let own = facts.observations.iter();
    let mut own = own.filter(|o| o.device.as_ref() == Some(name));
    if own.any(|o| o.outcome == BusOutcome::Silence) {
        seen.push("it was also waited for longer, in vain".into());
    }
    seen.push(format!(
        "others on {} answer, and nothing answers at {}",
        device.port, device.place
    ));
    found.device(name, Cause::AddressWrong, Certainty::Likely, seen);
}

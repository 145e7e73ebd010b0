//! What the devices of a port share: the port itself, its line, its adapter.
//!
//! The division is that of a person with a meter at the terminals: no byte at all is a matter of
//! wires and power, or of devices that do not understand what they are asked; bytes that are no
//! frame are a matter of settings or of swapped wires; frames that are spoilt now and then are a
//! matter of termination.

use std::collections::BTreeSet;

use super::Findings;
use crate::base::text::counted;
use crate::control::picture::{BusState, Device, Port, Status};
use crate::doctor::cause::{Cause, Certainty};
use crate::doctor::facts::{Facts, Recent, noticed, told};
use crate::doctor::observation::{BusObservation, BusOutcome};
use crate::doctor::system_words;

/// From this share of spoilt transactions on, in hundredths, a line is bad: a good one has less
/// than one in a thousand.
const NOISY_PERCENT: u64 = 5;
/// So many spoilt transactions are no chance.
const NOISY_LEAST: u64 = 4;
/// From this share on, in hundredths, what comes of a mute line is noise and not silence.
const NOISE_PERCENT: u64 = 20;
/// So many echoes are no chance.
const ECHOES_LEAST: u64 = 5;
/// At so many settings a line was tried in vain, and they are not to blame any more.
const TRIED_LEAST: usize = 3;

/// Examines all ports; returns the names of those of which no device is to be named, since the
/// port explains its silence.
pub(super) fn examine(facts: &Facts, status: &Status, found: &mut Findings) -> BTreeSet<String> {
    let mut explained = BTreeSet::new();
    for port in &status.ports {
        if let Some(why) = &port.down {
            let cause = system_words::of_port(why);
            found.port(&port.name, cause, Certainty::Certain, vec![line(port, why)]);
            explained.insert(port.name.clone());
            continue;
        }
        adapter(port, found);
        let devices: Vec<&Device> = facts.devices_on(port).collect();
        let is_mute = !devices.is_empty() && devices.iter().all(|d| d.life == BusState::Silent);
        match is_mute {
            true if no_device_answers(facts, port, &devices, found) => {
                explained.insert(port.name.clone());
            }
            true => {}
            false => noisy(port, &devices, found),
        }
    }
    explained
}

/// Names what is opened, and why it cannot be.
fn line(port: &Port, why: &str) -> String {
    format!("{}: {why}", port.line)
}

/// What the port's own counters and log events say of the adapter and of the line's load.
fn adapter(port: &Port, found: &mut Findings) {
    for (event, cause, certainty) in [
        (
            "port-bytes-held-back",
            Cause::AdapterLatency,
            Certainty::Certain,
        ),
        (
            "port-settings-differ",
            Cause::SettingsNotTaken,
            Certainty::Likely,
        ),
        (
            "port-intervals-stretched",
            Cause::LineOverloaded,
            Certainty::Certain,
        ),
    ] {
        if let Some(noticed) = noticed(&port.noticed, event) {
            let seen = vec![told(noticed)];
            found.port(&port.name, cause, certainty, seen);
        }
    }
    let echoes = |name: &str| port.echoes_lately.get(name).copied().unwrap_or(0);
    let heard = echoes("echo-unexpected");
    if heard >= ECHOES_LEAST {
        let seen = vec![format!("{} came back", counted(heard, "request"))];
        found.port(&port.name, Cause::AdapterEcho, Certainty::Certain, seen);
    }
    let (missed, came) = (echoes("echo-missed"), echoes("echo-expected"));
    if missed >= ECHOES_LEAST && missed > came / 10 {
        let seen = format!("{} did not come back", counted(missed, "request"));
        found.port(
            &port.name,
            Cause::EchoMissing,
            Certainty::Likely,
            vec![seen],
        );
    }
}

/// A port that is open, and none of its devices answers. Returns whether that explains all of
/// them.
fn no_device_answers(
    facts: &Facts,
    port: &Port,
    devices: &[&Device],
    found: &mut Findings,
) -> bool {
    let recent = Recent::since_answer(devices.iter().copied());
    let answered_before = devices.iter().any(|d| d.answered_ms.is_some());
    let is_serial = port.settings.is_some();
    // Behind a server each device is a matter of its own; a late reply and the frames of others
    // come from somewhere, but noise may look like the frame of another now and then. Nothing is
    // known of a line on which nothing was asked yet.
    let is_foreign = recent.foreign > recent.garbled;
    let is_heard = recent.late > 0 || recent.not_reached > 0 || is_foreign;
    if !is_serial || is_heard || recent.all == 0 {
        return false;
    }
    let own: Vec<&BusObservation> = facts
        .observations
        .iter()
        .filter(|o| o.port == port.name)
        .collect();
    // A device that answers at the line's own settings proves the line.
    let mut as_configured = own.iter().filter(|o| o.settings.is_none());
    if as_configured.any(|o| o.outcome.is_understood()) {
        return false;
    }
    let elsewhere = own.iter().find_map(|o| {
        let settings = o.settings.filter(|_| o.outcome.is_understood())?;
        Some(settings.to_string()).filter(|s| Some(s) != port.settings.as_ref())
    });
    let mut seen = vec![format!(
        "{} on the line, and none answers",
        counted(devices.len(), "device")
    )];
    let configured = port.settings.clone().unwrap_or_default();
    if let Some(settings) = elsewhere {
        seen.push(format!(
            "the port is set to {configured}, and a device answers at {settings}"
        ));
        found.port(&port.name, Cause::LineSettings, Certainty::Certain, seen);
        return true;
    }
    let noise_heard = own
        .iter()
        .any(|o| matches!(o.outcome, BusOutcome::Noise(_)));
    if recent.is_garbled(NOISE_PERCENT, 1) || noise_heard {
        seen.push(format!(
            "bytes come and none of them is a frame, in {} of the last {} (at {configured})",
            recent.garbled,
            counted(recent.all, "request")
        ));
        let swapped = seen.clone();
        found.port(&port.name, Cause::LineSettings, Certainty::Likely, seen);
        found.port(
            &port.name,
            Cause::WiresSwapped,
            Certainty::Possible,
            swapped,
        );
        return true;
    }
    seen.push(recent.replies_without_answer());
    if answered_before {
        // One device may have been switched off; of several, hardly all at once.
        if devices.len() < 2 {
            return false;
        }
        seen.push("they answered before".into());
        found.port(&port.name, Cause::BusNotConnected, Certainty::Likely, seen);
        return true;
    }
    seen.push("none has answered since the start".into());
    // Devices do not answer what they cannot read: wrong settings look like a dead line.
    let tried = own.iter().filter(|o| o.settings.is_some()).count();
    let settings = match tried >= TRIED_LEAST {
        true => Certainty::Possible,
        false => Certainty::Likely,
    };
    let other = seen.clone();
    found.port(&port.name, Cause::BusNotConnected, Certainty::Likely, seen);
    found.port(&port.name, Cause::LineSettings, settings, other);
    if let [only] = devices {
        let seen = vec![format!("nothing answers at {}", only.place)];
        found.device(&only.name, Cause::AddressWrong, Certainty::Possible, seen);
    }
    true
}

/// A line whose devices answer, and whose replies are spoilt now and then whichever of them
/// sends. If one device alone is affected, it is that device.
fn noisy(port: &Port, devices: &[&Device], found: &mut Findings) {
    if port.settings.is_none() {
        return;
    }
    let heard = devices.iter().copied();
    let heard: Vec<&Device> = heard.filter(|d| d.life != BusState::Unknown).collect();
    let recent = Recent::of(heard.iter().copied());
    let spoilt = heard
        .iter()
        .filter(|d| Recent::of([**d]).is_garbled(NOISY_PERCENT, 1))
        .count();
    let is_shared = spoilt >= 2 || (spoilt == 1 && heard.len() == 1);
    if is_shared && recent.is_garbled(NOISY_PERCENT, NOISY_LEAST) {
        let seen = vec![format!(
            "{} of the last {} brought bytes that are no frame, from {}",
            recent.garbled,
            counted(recent.all, "request"),
            counted(spoilt, "device")
        )];
        found.port(&port.name, Cause::NoiseOnLine, Certainty::Likely, seen);
    }
}

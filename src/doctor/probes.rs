//! Which questions to the bus would decide between the causes that remain.

use std::time::Duration;

use super::cause::{Cause, Finding, Subject};
use super::facts::Facts;
use super::observation::BusObservation;
use crate::control::picture::Port;
use crate::spec::{Characters, Parity, StopBits};

/// The most questions of one examination: the line is in use meanwhile.
pub const MOST_PROBES: usize = 6;

/// How many settings are tried on one line.
const MOST_SETTINGS: usize = 4;

/// The settings that meters are delivered with, the most usual first: 9600 8N1 and 8E1 of Modbus
/// meters on the market here, 19200 8E1 as the standard has it (Modbus over serial line V1.02
/// §2.5.1), 2400 8E1 of DL/T 645-2007 (§5.1.2), and the faster rates of modules.
const USUAL: [(u32, Parity); 7] = [
    (9600, Parity::None),
    (9600, Parity::Even),
    (19_200, Parity::Even),
    (2400, Parity::Even),
    (4800, Parity::None),
    (19_200, Parity::None),
    (115_200, Parity::None),
];

/// How many times longer than its response timeout a slow device is waited for, and how long at
/// least.
const LONGER: u32 = 5;
const LONG: Duration = Duration::from_secs(2);

/// A question to the bus that reads something and changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeRequest {
    /// The name of the port.
    pub port: String,
    /// The name of the device to be asked.
    pub device: String,
    /// What is to be tried.
    pub kind: ProbeKind,
}

/// What is to be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeKind {
    /// The device's first request, at other settings of the line.
    Settings(Characters),
    /// The device's first request, and so long a wait for the reply.
    Wait(Duration),
    /// The device's first request, and so long a wait for a second reply.
    SecondReply(Duration),
}

/// Returns the questions that would decide between these findings, the most useful first.
#[must_use]
pub fn probes_wanted(facts: &Facts, findings: &[Finding]) -> Vec<ProbeRequest> {
    let status = facts.status.as_ref();
    let ports = status.map(|s| s.ports.as_slice()).unwrap_or_default();
    let mut probes: Vec<ProbeRequest> = Vec::new();
    for finding in findings.iter().filter(|f| f.is_fault()) {
        let devices = facts.devices.iter().filter(|d| match &finding.subject {
            Subject::Port(port) => d.port == *port,
            Subject::Devices(names) => names.contains(&d.name),
            Subject::Service | Subject::Gateway => false,
        });
        // One device stands for the others.
        let Some(device) = devices.into_iter().next() else {
            continue;
        };
        let timeout = Duration::from_millis(device.response_timeout_ms);
        let long_wait = ProbeKind::Wait((timeout * LONGER).max(LONG));
        let kinds: Vec<ProbeKind> = match finding.cause {
            Cause::LineSettings | Cause::BusNotConnected | Cause::WiresSwapped => ports
                .iter()
                .find(|p| p.name == device.port)
                .map(other_settings)
                .filter(|settings| !settings.is_empty())
                .map(|settings| [vec![long_wait], settings].concat())
                .unwrap_or_default(),
            Cause::SlowDevice | Cause::AddressWrong => vec![long_wait],
            Cause::AddressTwice | Cause::DeviceNoise => {
                vec![ProbeKind::SecondReply(timeout.max(LONG))]
            }
            _ => Vec::new(),
        };
        for kind in kinds {
            let probe = ProbeRequest {
                port: device.port.clone(),
                device: device.name.clone(),
                kind,
            };
            let is_known = facts.observations.iter().any(|o| match kind {
                ProbeKind::Settings(settings) => {
                    o.port == probe.port && o.settings == Some(settings)
                }
                _ => o.device.as_ref() == Some(&probe.device),
            });
            if !is_known && !probes.contains(&probe) {
                probes.push(probe);
            }
        }
    }
    probes.truncate(MOST_PROBES);
    probes
}

/// Returns whether a question is to be asked after what was seen in this examination. Other
/// settings are tried only where a device did not answer at the line's own: an adapter that takes
/// no settings, like the virtual port of a serial server, seems to have all that it is given, and a
/// device behind it answers at each of them.
#[must_use]
pub fn is_still_wanted(probe: &ProbeRequest, seen: &[BusObservation]) -> bool {
    let mut own = seen
        .iter()
        .filter(|o| o.port == probe.port && o.settings.is_none())
        .peekable();
    match probe.kind {
        ProbeKind::Settings(_) => own.peek().is_some() && own.all(|o| !o.outcome.is_understood()),
        ProbeKind::Wait(_) | ProbeKind::SecondReply(_) => true,
    }
}

/// Returns the settings that are worth a try on a serial line.
fn other_settings(port: &Port) -> Vec<ProbeKind> {
    let Some(own) = &port.settings else {
        return Vec::new();
    };
    let all = USUAL.into_iter().map(|(baud, parity)| Characters {
        baud,
        data_bits: 8,
        parity,
        stop_bits: StopBits::One,
    });
    let others = all.filter(|settings| settings.to_string() != *own);
    others
        .take(MOST_SETTINGS)
        .map(ProbeKind::Settings)
        .collect()
}

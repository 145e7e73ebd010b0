//! The rules: from facts to findings, and which findings are worth telling.

mod bus;
mod cloud;
mod device;
mod service;

use std::collections::BTreeMap;

use super::cause::{Cause, Certainty, Finding, Subject};
use super::facts::{DoctorScope, Facts};
use crate::control::picture::Device;

/// So many devices of a finding have their evidence told one by one.
const TOLD_SINGLY: usize = 3;

/// A device, and what is seen of it.
type OfDevice = (String, Vec<String>);

/// A port and a place on it.
type Address = (String, String);

/// What the rules have found so far. Findings about devices are gathered by their cause, and those
/// about an address by the address as well.
#[derive(Debug, Default)]
struct Findings {
    all: Vec<Finding>,
    devices: BTreeMap<(Cause, Certainty, Option<Address>), Vec<OfDevice>>,
}

impl Findings {
    fn gateway(&mut self, cause: Cause, certainty: Certainty, evidence: Vec<String>) {
        self.add(cause, Subject::Gateway, certainty, evidence);
    }

    fn port(&mut self, port: &str, cause: Cause, certainty: Certainty, evidence: Vec<String>) {
        self.add(cause, Subject::Port(port.to_owned()), certainty, evidence);
    }

    fn device(&mut self, device: &str, cause: Cause, certainty: Certainty, evidence: Vec<String>) {
        let found = self.devices.entry((cause, certainty, None)).or_default();
        found.push((device.to_owned(), evidence));
    }

    /// Adds that a device shares its address. What is seen at another address is another finding.
    fn shared_address(&mut self, device: &Device, certainty: Certainty, evidence: Vec<String>) {
        let address = (device.port.clone(), device.place.clone());
        let key = (Cause::AddressTwice, certainty, Some(address));
        let found = self.devices.entry(key).or_default();
        found.push((device.name.clone(), evidence));
    }

    fn add(&mut self, cause: Cause, subject: Subject, certainty: Certainty, evidence: Vec<String>) {
        // Two rules may come to the same; the first is the more certain.
        let is_known = |f: &Finding| f.cause == cause && f.subject == subject;
        if let Some(known) = self.all.iter_mut().find(|f| is_known(f)) {
            known.certainty = known.certainty.min(certainty);
            known.evidence.extend(evidence);
            return;
        }
        self.all.push(Finding {
            cause,
            subject,
            certainty,
            evidence,
        });
    }

    /// Returns the findings, the most certain first.
    fn ranked(mut self) -> Vec<Finding> {
        for ((cause, certainty, _), devices) in std::mem::take(&mut self.devices) {
            let names = devices.iter().map(|(name, _)| name.clone()).collect();
            let evidence = match &devices[..] {
                [(_, evidence)] => evidence.clone(),
                several => several
                    .iter()
                    .take(TOLD_SINGLY)
                    .flat_map(|(name, all)| all.iter().map(move |seen| format!("{name}: {seen}")))
                    .collect(),
            };
            self.add(cause, Subject::Devices(names), certainty, evidence);
        }
        self.all.sort_by_key(|f| (f.certainty, f.cause));
        self.all
    }
}

/// Returns what explains the facts, the most certain first; of equals, what more depends on.
/// Notes come last. `scope` leaves out what has no effect on what is asked about.
#[must_use]
pub fn examine(facts: &Facts, scope: &DoctorScope) -> Vec<Finding> {
    let mut found = Findings::default();
    service::examine(facts, &mut found);
    if let Some(status) = &facts.status {
        let mute = bus::examine(facts, status, &mut found);
        device::examine(facts, status, &mute, scope, &mut found);
        cloud::examine(facts, status, &mut found);
    }
    let mut all = found.ranked();
    all.retain(|finding| concerns(facts, scope, &finding.subject));
    all
}

/// Returns whether a cause with this subject may have an effect on what is asked about.
fn concerns(facts: &Facts, scope: &DoctorScope, subject: &Subject) -> bool {
    let port_of = |name: &str| {
        facts
            .devices
            .iter()
            .find(|d| d.name == name)
            .map(|d| &d.port)
    };
    match (scope, subject) {
        (DoctorScope::All, _) | (_, Subject::Service | Subject::Gateway) => true,
        (DoctorScope::Port(port), Subject::Port(of)) => port == of,
        (DoctorScope::Port(port), Subject::Devices(names)) => {
            names.iter().any(|name| port_of(name) == Some(port))
        }
        (DoctorScope::Device(device), Subject::Port(of)) => port_of(device) == Some(of),
        (DoctorScope::Device(device), Subject::Devices(names)) => names.contains(device),
    }
}

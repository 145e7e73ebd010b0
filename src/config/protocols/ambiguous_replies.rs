//! Checks devices without a standard that share a line, and whose replies do not say which device
//! sent them.
//!
//! The same request to two devices is an error: both would answer at once. Replies that are alike
//! are a warning and no error, although a late reply could be taken for another device's. Many
//! installed devices answer like that (ICP DAS modules say `>+025.13` to `#01`), can be polled in
//! no other way, and share one pair of wires. The schedule makes sure that no value is wrong; the
//! engineer has to know what that costs.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::PortId;
use crate::config::compile::device_registry::{DeviceDraft, DeviceRegistry};
use crate::config::reader::problem::Expectation;
use crate::config::reader::section::Notes;
use crate::config::sections::port::Ports;
use crate::spec::Protocol;
use crate::spec::dlt645::MeterAddress;
use crate::spec::raw::RawQuestion;

/// How many kinds of replies on one port are compared with every other. Each is compared with all
/// before it, and the first that are alike give a warning; on a line with more kinds of replies,
/// enough devices were compared to find such a pair.
const COMPARED: usize = 500;

/// Checks all devices together. Does nothing after an error: the stand-ins for values that could
/// not be read are alike, too.
pub(crate) fn check(registry: &DeviceRegistry, ports: &Ports, notes: &mut Notes) {
    if notes.failed() {
        return;
    }
    let mut asked: BTreeMap<(PortId, &[u8]), Vec<&DeviceDraft>> = BTreeMap::new();
    let mut distinct: BTreeMap<PortId, Vec<(&RawQuestion, &DeviceDraft)>> = BTreeMap::new();
    let mut mixed: BTreeMap<PortId, AmbiguousDevices<'_>> = BTreeMap::new();
    for device in &registry.all {
        let questions = match &device.profile.protocol {
            Protocol::Raw(questions) => questions,
            Protocol::Modbus | Protocol::Dlt645(_) => continue,
        };
        // Frames of Modbus TCP name the device.
        if questions.iter().any(|q| q.carried.is_some()) {
            continue;
        }
        let twice = questions.iter().find_map(|question| {
            let others = asked.get(&(device.port, question.request.bytes()))?;
            // At another speed no other device understands the request.
            let first = others.iter().find(|d| d.serial == device.serial)?;
            Some((question, *first))
        });
        if let Some((question, first)) = twice {
            both(device, question, first, notes);
            continue;
        }
        for question in questions {
            let call = (device.port, question.request.bytes());
            asked.entry(call).or_default().push(device);
        }
        let known = distinct.entry(device.port).or_default();
        like(device, questions, known, &mut mixed);
        for question in questions {
            let is_new = |(other, _): &(&RawQuestion, _)| other.reply != question.reply;
            if known.len() < COMPARED && known.iter().all(is_new) {
                known.push((question, device));
            }
        }
    }
    for (port, mixed) in mixed {
        mixed.tell(ports, port, notes);
    }
    wildcards(registry, notes);
}

/// Warns of wildcards: every meter that a wildcard means answers, all at once.
fn wildcards(registry: &DeviceRegistry, notes: &mut Notes) {
    let meters: Vec<(&DeviceDraft, MeterAddress)> = registry
        .all
        .iter()
        .filter_map(|device| Some((device, device.address?.meter()?)))
        .collect();
    for (device, wildcard) in meters.iter().filter(|(_, meter)| !meter.is_one_meter()) {
        let others = meters.iter().filter(|(other, address)| {
            !std::ptr::eq(*other, *device)
                && other.port == device.port
                && (wildcard.means(*address) || !address.is_one_meter())
        });
        let mut others = others.map(|(other, _)| *other);
        let Some(other) = others.next() else { continue };
        let line = notes.origins.line(other.at);
        let more = match others.count() {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        let said = format!(
            "address {wildcard} of {}, with {} ({line}){more} on the same port",
            device.name, other.name
        );
        let wrong = Expectation::wanted("the twelve digits printed on the meter").hint(
            "every meter on the line that the wildcard matches answers, and their replies spoil one another: a wildcard is for a line with one meter",
        );
        notes.warning(device.at, said, wrong);
    }
}

/// Devices of one port whose replies may be mistaken for one another.
struct AmbiguousDevices<'a> {
    first: &'a DeviceDraft,
    second: &'a DeviceDraft,
    question: &'a RawQuestion,
    more: usize,
}

fn like<'a>(
    device: &'a DeviceDraft,
    questions: &'a [Arc<RawQuestion>],
    known: &[(&'a RawQuestion, &'a DeviceDraft)],
    mixed: &mut BTreeMap<PortId, AmbiguousDevices<'a>>,
) {
    let found = questions.iter().find_map(|question| {
        let alike = |(other, _): &&(&RawQuestion, _)| !question.reply.differs_from(&other.reply);
        let (_, first) = known.iter().find(alike)?;
        Some((question, *first))
    });
    let Some((question, first)) = found else {
        return;
    };
    let fresh = AmbiguousDevices {
        first,
        second: device,
        question,
        more: 0,
    };
    mixed
        .entry(device.port)
        .and_modify(|m| m.more += 1)
        .or_insert(fresh);
}

fn both(device: &DeviceDraft, question: &RawQuestion, first: &DeviceDraft, notes: &mut Notes) {
    let line = notes.origins.line(first.at);
    let wrong = Expectation::wanted("a request that only one device on the port understands").hint(
        format!(
            "{} ({line}) gets the same request; {{unit}} or {{address}} in send: stands for that of each device",
            first.name
        ),
    );
    let said = format!("request {} of {}", question.name, device.name);
    notes.error(device.at, said, wrong);
}

impl AmbiguousDevices<'_> {
    fn tell(self, ports: &Ports, port: PortId, notes: &mut Notes) {
        let line = notes.origins.line(self.first.at);
        let named = ports.all.get(port.index()).map(|p| &*p.name);
        let more = match self.more {
            0 => String::new(),
            1 => format!("; 1 more on {} likewise", named.unwrap_or_default()),
            n => format!("; {n} more on {} likewise", named.unwrap_or_default()),
        };
        let said = format!(
            "request {} of {}, whose reply could be that of {} ({line}){more}",
            self.question.name, self.second.name, self.first.name
        );
        let wrong = Expectation::wanted("a reply that identifies its device").hint(
            "put {unit} or {address} into begins: or contains: if the reply carries it, or give each a port of its own; as it is, one missed reply keeps all of them from being read for four response timeouts, so that none is taken for another's",
        );
        notes.warning(self.second.at, said, wrong);
    }
}

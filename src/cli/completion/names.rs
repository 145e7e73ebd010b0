//! The names of a configuration that a command line asks for.

use std::path::Path;

use super::Candidate;
use crate::control::picture::{Device, ServiceInput};
use crate::control::{Answer, Request};
use crate::io::control::client::{AnswerError, AnswerLines};
use crate::spec::Spec;

/// A kind of name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameKind {
    /// The ports.
    Ports,
    /// The devices.
    Devices,
    /// The points of the device that was named before which can be written.
    Points,
    /// The services of the device that was named before.
    Services,
    /// The inputs of the service that was named before, each with `=`.
    Inputs,
    /// The word before a span of time.
    During,
}

impl NameKind {
    /// Returns the kind of name that an argument of a verb of `alink-gateway` wants, with so
    /// many words before it.
    #[must_use]
    pub fn of(verb: &str, argument: &str, before: usize) -> Option<NameKind> {
        Some(match (verb, argument) {
            ("trace" | "scope" | "doctor" | "sweep", "port") | ("scan", "named") => NameKind::Ports,
            ("devices", "name") | ("write" | "call" | "doctor", "device") => NameKind::Devices,
            ("read" | "poll", "what") => NameKind::Devices,
            // Points and values take turns, after the device.
            ("write", "pairs") if before % 2 == 1 => NameKind::Points,
            ("call", "service") => NameKind::Services,
            ("call", "inputs") => NameKind::Inputs,
            ("log-level", "during") if before == 2 => NameKind::During,
            _ => return None,
        })
    }
}

/// Asks the service; `None` if none answers.
pub(super) fn ask(
    socket: &Path,
    what: NameKind,
    before: &[String],
    ask: impl Fn(&Path, &Request) -> Result<AnswerLines, AnswerError>,
) -> Option<Vec<Candidate>> {
    let request = match what {
        NameKind::Ports => Request::Status { every_ms: None },
        NameKind::Devices => Request::Devices {},
        NameKind::Points | NameKind::Services | NameKind::Inputs => Request::Device {
            name: before.first().cloned().unwrap_or_default(),
        },
        NameKind::During => return Some(vec![Candidate::new("for", "how long: for 10m")]),
    };
    let mut found = Vec::new();
    for answer in ask(socket, &request).ok()? {
        match answer {
            Ok(Answer::Status(status)) => {
                let ports = status.ports.into_iter();
                found.extend(ports.map(|port| Candidate::new(port.name, port.line)));
            }
            Ok(Answer::Device(device)) => found.extend(of_device(*device, what, before)),
            // The service knows no such device; the configuration knows no more.
            Err(AnswerError::Failure(_)) => break,
            Ok(_) => {}
            Err(_) => return None,
        }
    }
    Some(found)
}

/// Returns the names that a device has to offer, after these words.
fn of_device(device: Device, what: NameKind, before: &[String]) -> Vec<Candidate> {
    match what {
        NameKind::Points => {
            let points = device.points.into_iter();
            let writable = points.filter_map(|p| Some(Candidate::new(p.id, p.writable?)));
            writable.collect()
        }
        NameKind::Services => {
            let services = device.services.into_iter();
            services.map(|s| Candidate::new(s.id, "")).collect()
        }
        NameKind::Inputs => {
            let mut services = device.services.into_iter();
            let service = services.find(|s| Some(&s.id) == before.get(1));
            let inputs = service.into_iter().flat_map(|s| s.inputs);
            let words = |i: ServiceInput| (format!("{}=", i.name), i.range.unwrap_or_default());
            let inputs = inputs.map(words);
            inputs
                .map(|(word, about)| Candidate::new(word, about))
                .collect()
        }
        NameKind::Ports | NameKind::Devices | NameKind::During => {
            vec![Candidate::new(device.name, device.place)]
        }
    }
}

/// Returns the names as a configuration has them.
pub(super) fn of_spec(spec: &Spec, what: NameKind, before: &[String]) -> Vec<Candidate> {
    let profile = spec
        .devices
        .iter()
        .find(|d| Some(&d.name) == before.first());
    let profile = profile.map(|d| &d.profile);
    match what {
        NameKind::Ports => {
            let ports = spec.ports.iter();
            ports.map(|p| Candidate::new(p.name.as_str(), "")).collect()
        }
        NameKind::Devices => {
            let devices = spec.devices.iter();
            devices
                .map(|d| Candidate::new(d.name.as_str(), ""))
                .collect()
        }
        NameKind::Points => {
            let points = profile.into_iter().flat_map(|p| &p.points);
            let writable = points.filter(|p| p.write.is_some());
            writable
                .map(|p| Candidate::new(p.id.as_str(), ""))
                .collect()
        }
        NameKind::Services => {
            let services = profile.into_iter().flat_map(|p| &p.services);
            services
                .map(|s| Candidate::new(s.id.as_str(), ""))
                .collect()
        }
        NameKind::Inputs | NameKind::During => Vec::new(),
    }
}

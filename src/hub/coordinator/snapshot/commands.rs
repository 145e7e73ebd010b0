//! What may be written, and what was, in the words of the control socket.

use super::millis;
use crate::base::{Now, Value};
use crate::command::CommandRecord;
use crate::control::picture::{Service, ServiceInput};
use crate::control::{PastCommand, PastPoint};
use crate::spec::{Codec, DataType, InputSpec, PointSpec, ProfileSpec, States};

/// Returns which values may be written to a point, in words: `20 to 70 in steps of 0.5 from 20;
/// only if Mode is not 0`. `None` if it is read-only.
pub(super) fn writable(profile: &ProfileSpec, point: &PointSpec) -> Option<String> {
    let policy = point.write.as_ref()?;
    let mut words = match (titles_of(point), policy.range()) {
        (Some(titles), _) => titles
            .iter()
            .map(|(n, title)| format!("{n} ({title})"))
            .collect::<Vec<_>>()
            .join(", "),
        (None, Some(range)) => range,
        (None, None) => match point.codec.data_type() {
            DataType::Bool => "0 or 1".into(),
            DataType::Int | DataType::Enum => "any whole number".into(),
            DataType::Float | DataType::Double => "any number".into(),
            DataType::Text => "a text".into(),
            DataType::Date => "milliseconds since 1970, UTC".into(),
        },
    };
    if let Some(interlock) = &policy.only_if
        && let Some(other) = profile.points.get(usize::from(interlock.point))
    {
        words.push_str(&format!(
            "; only if {} is {}",
            other.id, interlock.condition
        ));
    }
    if let Some(within) = policy.confirm {
        let seconds = within.as_secs_f64();
        words.push_str(&format!("; the same command twice within {seconds:.0} s"));
    }
    Some(words)
}

fn titles_of(point: &PointSpec) -> Option<&States> {
    match &point.codec {
        Codec::Measure(measure) => measure.states.as_ref(),
        _ => None,
    }
    .or(point.shown.titles.as_ref())
}

/// Returns the services of a profile.
pub(super) fn services(profile: &ProfileSpec) -> Vec<Service> {
    let service = |s: &crate::spec::ServiceSpec| Service {
        id: s.id.clone(),
        inputs: s.inputs.iter().map(input).collect(),
    };
    profile.services.iter().map(service).collect()
}

fn input(input: &InputSpec) -> ServiceInput {
    ServiceInput {
        name: input.name.clone(),
        range: match (input.min, input.max) {
            (Some(min), Some(max)) => Some(format!("{min} to {max}")),
            (Some(min), None) => Some(format!("at least {min}")),
            (None, Some(max)) => Some(format!("at most {max}")),
            (None, None) => None,
        },
        default: input
            .default
            .as_ref()
            .map(Value::to_json)
            .unwrap_or_default(),
    }
}

/// Returns a past command as it looks now.
pub(super) fn past(now: Now, record: &CommandRecord) -> PastCommand {
    PastCommand {
        ago_ms: millis(now.mono.since(record.at.mono)),
        origin: record.origin.to_string(),
        service: record.service.clone(),
        points: record
            .points
            .iter()
            .map(|point| PastPoint {
                id: point.id.clone(),
                old: point.old.as_ref().map(Value::to_json).unwrap_or_default(),
                wanted: point.wanted.clone(),
                verdict: (&point.verdict).into(),
                sentence: point.verdict.to_string(),
            })
            .collect(),
        verdict: (&record.whole).into(),
        sentence: record.whole.to_string(),
    }
}

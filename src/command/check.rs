//! Checks what a command wants against what its device's profile allows.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use crate::base::{BusWork, CommandAction, RefusedReason, Value};
use crate::spec::{
    Codec, DataType, Decimal, InputSpec, NumberType, PointSpec, ProfileSpec, ServiceStep, States,
};

/// The most characters of a wrong value that are repeated in the answer.
const SHOWN: usize = 40;

/// What is wrong with a command: the points by name with the reason, or the whole.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct CommandProblem {
    /// The points of a set, in its order; those without a fault of their own were not reached.
    points: Vec<(String, RefusedReason)>,
    /// Why the whole is refused.
    whole: RefusedReason,
}

impl CommandProblem {
    /// Returns what is wrong with a command as a whole.
    pub(super) const fn whole(why: RefusedReason) -> Self {
        CommandProblem {
            points: Vec::new(),
            whole: why,
        }
    }

    /// Returns why the whole is refused.
    pub(super) const fn why(&self) -> &RefusedReason {
        &self.whole
    }

    /// Returns why each point of the command is refused.
    pub(super) fn points(&self, action: &CommandAction) -> Vec<(String, RefusedReason)> {
        match (action, self.points.is_empty()) {
            (CommandAction::Set(values), true) => values
                .iter()
                .map(|(name, _)| (name.clone(), self.whole.clone()))
                .collect(),
            _ => self.points.clone(),
        }
    }
}

/// Returns what a port is to do for a command.
pub(super) fn work_of(
    profile: &ProfileSpec,
    action: &CommandAction,
) -> Result<BusWork, CommandProblem> {
    match action {
        CommandAction::Set(values) => set(profile, values),
        CommandAction::Call { service, inputs } => {
            call(profile, service, inputs).map_err(CommandProblem::whole)
        }
    }
}

fn set(profile: &ProfileSpec, values: &[(String, Json)]) -> Result<BusWork, CommandProblem> {
    let names: BTreeSet<&str> = values.iter().map(|(name, _)| name.as_str()).collect();
    if values.is_empty() || names.len() < values.len() {
        return Err(CommandProblem::whole(RefusedReason::NothingToDo));
    }
    let checked: Vec<Result<(u16, Value), RefusedReason>> = values
        .iter()
        .map(|(name, json)| {
            let (index, point) = point_of(profile, name).ok_or(RefusedReason::NoSuchTarget)?;
            Ok((index, value_of(point, json)?))
        })
        .collect();
    if let Some(first) = checked.iter().find_map(|c| c.as_ref().err()).cloned() {
        let points = values.iter().zip(checked).map(|((name, _), checked)| {
            let why = checked.err().unwrap_or(RefusedReason::NotReached);
            (name.clone(), why)
        });
        return Err(CommandProblem {
            points: points.collect(),
            whole: first,
        });
    }
    Ok(BusWork::Set(checked.into_iter().flatten().collect()))
}

fn call(
    profile: &ProfileSpec,
    id: &str,
    given: &[(String, Json)],
) -> Result<BusWork, RefusedReason> {
    let services = (0u16..).zip(&profile.services);
    let found = services.into_iter().find(|(_, s)| s.id == id);
    let (index, service) = found.ok_or(RefusedReason::NoSuchTarget)?;
    if let Some((name, _)) = given
        .iter()
        .find(|(name, _)| !service.inputs.iter().any(|i| i.name == *name))
    {
        let known: Vec<&str> = service.inputs.iter().map(|i| i.name.as_str()).collect();
        return Err(RefusedReason::WrongValue {
            seen: format!("input {}", cut(name)),
            wanted: match known.is_empty() {
                true => "no inputs".into(),
                false => format!("only {}", known.join(", ")),
            },
        });
    }
    let inputs = service.inputs.iter().map(|input| {
        let json = given.iter().find(|(name, _)| *name == input.name);
        match (json, &input.default) {
            (Some((_, json)), _) => input_of(input, json),
            (None, Some(value)) => Ok(value.clone()),
            (None, None) => Err(RefusedReason::WrongValue {
                seen: format!("no input {}", input.name),
                wanted: "it has no default".into(),
            }),
        }
    });
    Ok(BusWork::Call {
        service: index,
        inputs: inputs.collect::<Result<_, _>>()?,
    })
}

/// Returns the points that a command writes, by their indices.
pub(super) fn written(profile: &ProfileSpec, work: &BusWork) -> Vec<u16> {
    match work {
        BusWork::Set(values) => values.iter().map(|(point, _)| *point).collect(),
        BusWork::Call { service, .. } => {
            let service = profile.services.get(usize::from(*service));
            let steps = service.into_iter().flat_map(|s| &s.steps);
            let writes = steps.filter_map(|step| match step {
                ServiceStep::Write(values) => Some(values),
                _ => None,
            });
            writes.flatten().map(|(point, _)| *point).collect()
        }
    }
}

fn point_of<'p>(profile: &'p ProfileSpec, name: &str) -> Option<(u16, &'p PointSpec)> {
    let mut all = (0u16..).zip(&profile.points);
    all.find(|(_, p)| p.id == name)
}

/// Returns the value of a point that is written so.
fn value_of(point: &PointSpec, json: &Json) -> Result<Value, RefusedReason> {
    let policy = point.write.as_ref().ok_or(RefusedReason::NotWritable)?;
    let data_type = point.codec.data_type();
    let value = match data_type {
        DataType::Bool => state(json, point.shown.titles.as_ref())?,
        DataType::Int | DataType::Enum => {
            let value = number(json, titles_of(&point.codec))?;
            match Decimal::of(&value) {
                Some(n) if n.is_whole() => value,
                _ => return Err(wrong(json, "a whole number")),
            }
        }
        DataType::Float | DataType::Double => number(json, None)?,
        DataType::Text => text(json, point.codec.number_type() == Some(NumberType::Text))?,
        DataType::Date => match json {
            Json::Number(n) if n.is_i64() => Value::Text(n.to_string()),
            Json::String(s) if s.parse::<i64>().is_ok() => Value::Text(s.clone()),
            _ => return Err(wrong(json, "milliseconds since 1970, UTC")),
        },
    };
    if matches!(data_type, DataType::Text | DataType::Date) {
        return Ok(value);
    }
    match Decimal::of(&value) {
        Some(n) if policy.permits(n) => Ok(value),
        _ => Err(wrong(
            json,
            &policy.range().unwrap_or_else(|| "a number".into()),
        )),
    }
}

fn input_of(input: &InputSpec, json: &Json) -> Result<Value, RefusedReason> {
    let named = |refused| match refused {
        RefusedReason::WrongValue { seen, wanted } => RefusedReason::WrongValue {
            seen: format!("input {}: {seen}", input.name),
            wanted,
        },
        other => other,
    };
    let value = match json {
        Json::Number(_) => number(json, None),
        Json::Bool(b) => Ok(Value::Bool(*b)),
        Json::String(s) => Ok(Value::Text(s.clone())),
        _ => Err(wrong(json, "a number, a state or a text")),
    };
    let value = value.map_err(named)?;
    if Decimal::of(&value).is_none() && (input.min.is_some() || input.max.is_some()) {
        return Err(named(wrong(json, "a number")));
    }
    within(json, &value, input.min, input.max).map_err(named)?;
    Ok(value)
}

fn within(
    json: &Json,
    value: &Value,
    min: Option<Decimal>,
    max: Option<Decimal>,
) -> Result<(), RefusedReason> {
    let Some(n) = Decimal::of(value) else {
        return Ok(());
    };
    let below = min.is_some_and(|min| n.compare(min).is_lt());
    let above = max.is_some_and(|max| n.compare(max).is_gt());
    match (below || above, min, max) {
        (false, _, _) | (true, None, None) => Ok(()),
        (true, Some(min), Some(max)) => Err(wrong(json, &format!("{min} to {max}"))),
        (true, Some(min), None) => Err(wrong(json, &format!("at least {min}"))),
        (true, None, Some(max)) => Err(wrong(json, &format!("at most {max}"))),
    }
}

fn number(json: &Json, titles: Option<&States>) -> Result<Value, RefusedReason> {
    let found = match json {
        Json::Number(n) => {
            let whole = n.as_i64().map(Value::Int);
            let whole = whole.or_else(|| n.as_u64().map(Value::UInt));
            let float = n.as_f64().filter(|x| x.is_finite());
            whole.or_else(|| float.map(Value::Float))
        }
        Json::String(s) => match titles.and_then(|t| t.iter().find(|(_, title)| *title == s)) {
            Some((n, _)) => Some(Value::Int(*n)),
            None => Decimal::parse(s).and_then(|_| {
                let whole = s.parse().ok().map(Value::Int);
                let float = s.parse::<f64>().ok().filter(|x| x.is_finite());
                whole.or_else(|| float.map(Value::Float))
            }),
        },
        Json::Bool(_) | Json::Null | Json::Array(_) | Json::Object(_) => None,
    };
    found.ok_or_else(|| match titles {
        Some(titles) => {
            let all: Vec<String> = titles
                .iter()
                .map(|(n, title)| format!("{n} ({title})"))
                .collect();
            wrong(json, &format!("one of {}", all.join(", ")))
        }
        None => wrong(json, "a number"),
    })
}

fn state(json: &Json, titles: Option<&States>) -> Result<Value, RefusedReason> {
    let titled = |s: &str| {
        let found = titles?.iter().find(|(_, title)| *title == s);
        found.map(|(n, _)| *n == 1)
    };
    let found = match json {
        Json::Bool(b) => Some(*b),
        Json::Number(n) => match n.as_u64() {
            Some(0) => Some(false),
            Some(1) => Some(true),
            _ => None,
        },
        Json::String(s) => titled(s).or(match s.as_str() {
            "0" | "off" | "false" => Some(false),
            "1" | "on" | "true" => Some(true),
            _ => None,
        }),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    };
    found.map(Value::Bool).ok_or_else(|| wrong(json, "0 or 1"))
}

fn text(json: &Json, is_number: bool) -> Result<Value, RefusedReason> {
    match json {
        Json::String(s) if !is_number || Decimal::parse(s).is_some() => Ok(Value::Text(s.clone())),
        Json::Number(n) if is_number => Ok(Value::Text(n.to_string())),
        _ if is_number => Err(wrong(json, "digits")),
        _ => Err(wrong(json, "a text")),
    }
}

fn titles_of(codec: &Codec) -> Option<&States> {
    match codec {
        Codec::Measure(measure) => measure.states.as_ref(),
        _ => None,
    }
}

fn wrong(json: &Json, wanted: &str) -> RefusedReason {
    RefusedReason::WrongValue {
        seen: cut(&json.to_string()),
        wanted: wanted.to_owned(),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

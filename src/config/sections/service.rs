//! `services:` of a profile: steps that the platform may have a device take, in turn.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::Value;
use crate::config::points::by_id::{NamedPoint, POINT, PointsById};
use crate::config::points::condition;
use crate::config::points::literal;
use crate::config::points::report::named;
use crate::config::reader::problem::Expectation;
use crate::config::reader::section::{Notes, Section, shown};
use crate::config::reader::suggestions;
use crate::config::reader::tree::{Node, NodeContent, OriginId, PathStep};
use crate::config::reader::word_parsers::{decimal, identifier, parameter, plain, show_time, time};
use crate::spec::{DataType, Decimal, InputSpec, Operand, ServiceSpec, ServiceStep};

const KEYS: [&str; 3] = ["id", "inputs", "steps"];
const INPUT_KEYS: [&str; 4] = ["name", "min", "max", "default"];
const STEP_KEYS: [&str; 4] = ["write", "wait", "read", "require"];
const READ_KEYS: [&str; 2] = ["point", "as"];

/// The most services of a profile.
const MOST_SERVICES: usize = 255;
/// The most steps of a service: more than any procedure of a device has.
const MOST_STEPS: usize = 32;
/// The most inputs of a service.
const MOST_INPUTS: usize = 16;

const ONE_STEP: &str = "one of write, wait, read or require in each step";

/// Reads all services. Each must end within this time, in which its caller is answered.
pub(crate) fn read(
    profile: &Section<'_>,
    points: &PointsById<'_>,
    within: Duration,
    notes: &mut Notes,
) -> Vec<ServiceSpec> {
    let mut known: BTreeMap<String, OriginId> = BTreeMap::new();
    let mut services = Vec::new();
    for node in profile.few("services", MOST_SERVICES, notes) {
        let s = Section::open(node, &KEYS, notes);
        if !s.is_there() {
            continue;
        }
        let id = s.need(
            "id",
            identifier,
            || Expectation::wanted("the identifier of the service in the thing model"),
            notes,
        );
        if let Some(id) = &id {
            let at = s.at("id");
            if let Some(first) = known.get(id) {
                let hint = format!("{} already has this id", notes.origins.line(*first));
                let wrong = Expectation::wanted("an id no other service of the profile has");
                notes.error(at, shown(id), wrong.hint(hint));
            }
            known.entry(id.clone()).or_insert(at);
        }
        let mut draft = Draft::new(&s, points, notes);
        let steps = draft.steps(&s, within, notes);
        services.push(ServiceSpec {
            id: id.unwrap_or_default(),
            inputs: draft.inputs.into_iter().map(|input| input.spec).collect(),
            steps,
        });
    }
    services
}

/// An input, and what its steps make of it.
struct Input<'a> {
    spec: InputSpec,
    s: Section<'a>,
    /// Whether a step uses it.
    used: bool,
}

/// A service while its steps are read.
struct Draft<'a> {
    points: &'a PointsById<'a>,
    inputs: Vec<Input<'a>>,
    /// Whether the names of all inputs are known; otherwise an unknown one is not noted.
    complete: bool,
    /// The names of outputs, and where each was written.
    outputs: BTreeMap<String, OriginId>,
    /// How long the steps wait and let registers settle.
    pause: Duration,
}

impl<'a> Draft<'a> {
    fn new(service: &Section<'a>, points: &'a PointsById<'a>, notes: &mut Notes) -> Draft<'a> {
        let mut draft = Draft {
            points,
            inputs: Vec::new(),
            complete: !service.is_no_list("inputs"),
            outputs: BTreeMap::new(),
            pause: Duration::ZERO,
        };
        for node in service.few("inputs", MOST_INPUTS, notes) {
            let s = Section::open(node, &INPUT_KEYS, notes);
            match input(&s, notes) {
                Some(spec) => draft.add(spec, s, notes),
                None => draft.complete = false,
            }
        }
        draft
    }

    fn add(&mut self, spec: InputSpec, s: Section<'a>, notes: &mut Notes) {
        if let Some(first) = self.inputs.iter().find(|i| i.spec.name == spec.name) {
            let line = notes.origins.line(first.s.at("name"));
            let wrong = Expectation::wanted("a name no other input of the service has")
                .hint(format!("{line} already has this name"));
            notes.error(s.at("name"), shown(&spec.name), wrong);
            return;
        }
        self.inputs.push(Input {
            spec,
            s,
            used: false,
        });
    }

    /// Reads the steps of the service.
    fn steps(
        &mut self,
        service: &Section<'_>,
        within: Duration,
        notes: &mut Notes,
    ) -> Vec<ServiceStep> {
        let before = notes.noted();
        let list = service.few("steps", MOST_STEPS, notes);
        if service.node("steps").is_none() {
            let wrong = Expectation::wanted("a list of steps").hint(ONE_STEP);
            service.lacks("steps", wrong, notes);
        } else if list.is_empty() && !service.is_no_list("steps") {
            let wrong = Expectation::wanted("at least one step").hint(ONE_STEP);
            notes.error(service.at("steps"), "an empty list", wrong);
        }
        let mut steps = Vec::new();
        for node in list {
            steps.extend(self.step(node, notes));
        }
        if self.pause >= within {
            let said = format!("{} of waiting and settling", show_time(self.pause));
            let wrong = Expectation::wanted(format!(
                "less than {}, the time in which a service is answered",
                show_time(within)
            ))
            .hint("shorter waits, or a longer commands.answer_within");
            notes.error(service.at("steps"), said, wrong);
        }
        let does =
            |step: &ServiceStep| matches!(step, ServiceStep::Write(_) | ServiceStep::Read { .. });
        if notes.noted() == before && !steps.iter().any(does) {
            let wrong = Expectation::wanted("at least one step that writes or reads")
                .hint("nothing else has a result that the caller could be told");
            notes.error(service.at("steps"), "steps without an effect", wrong);
        }
        // A step that is wrong may be the one that uses an input.
        if notes.noted() == before {
            for input in self.inputs.iter().filter(|input| !input.used) {
                let name = &input.spec.name;
                let wrong = Expectation::wanted("an input that a step writes, or none").hint(
                    format!("a step that uses it is write: {{ POINT: ${name} }}"),
                );
                let said = format!("{name}, which no step uses");
                notes.warning(input.s.at("name"), said, wrong);
            }
        }
        steps
    }

    fn step(&mut self, node: &Node, notes: &mut Notes) -> Option<ServiceStep> {
        let s = Section::open(node, &STEP_KEYS, notes);
        if !s.is_there() {
            return None;
        }
        let said: Vec<_> = STEP_KEYS
            .into_iter()
            .filter_map(|key| Some((key, s.node(key)?)))
            .collect();
        let (key, node) = match said[..] {
            [one] => one,
            [] => {
                let unknown = matches!(&node.is, NodeContent::Map(keys) if keys.keys().any(|k| !STEP_KEYS.contains(&k.as_str())));
                // What the unknown key should be is already said.
                if !unknown {
                    notes.error(s.origin, "nothing to do", Expectation::wanted(ONE_STEP));
                }
                return None;
            }
            _ => {
                let keys: Vec<_> = said.iter().map(|(key, _)| *key).collect();
                let wrong = Expectation::wanted(ONE_STEP)
                    .hint("steps are taken in turn: begin another one with \"- \"");
                notes.error(
                    s.origin,
                    format!("{} in one step", keys.join(" and ")),
                    wrong,
                );
                return None;
            }
        };
        match key {
            "write" => self.write(node, notes),
            "wait" => {
                let wait = s.read(
                    "wait",
                    time(Duration::from_millis(50)..=Duration::from_secs(60)),
                    notes,
                )?;
                self.pause += wait;
                Some(ServiceStep::Wait(wait))
            }
            "read" => self.read(node, notes),
            _ => condition::read(node, self.points, notes).map(ServiceStep::Require),
        }
    }

    fn write(&mut self, node: &Node, notes: &mut Notes) -> Option<ServiceStep> {
        let wanted =
            || Expectation::wanted("points and their values, like { Valve: 1, Setpoint: $level }");
        let NodeContent::Map(map) = &node.is else {
            notes.error(node.origin, node.is.kind(), wanted());
            return None;
        };
        if map.is_empty() {
            notes.error(node.origin, "an empty section", wanted());
            return None;
        }
        let entries = in_order(map, node.origin, notes)?;
        let mut all = Vec::with_capacity(entries.len());
        for (id, value) in entries {
            all.extend(self.one_write(id, value, notes));
        }
        Some(ServiceStep::Write(all))
    }

    fn one_write(&mut self, id: &str, node: &Node, notes: &mut Notes) -> Option<(u16, Operand)> {
        let point = self.points.find(id, node.origin, notes)?;
        let Some(policy) = &point.spec.write else {
            let wrong = Expectation::wanted("a point that may be written")
                .hint("write: yes in the point, or a section with its limits");
            notes.error(node.origin, format!("{id}, which has no write"), wrong);
            return None;
        };
        self.pause += policy.settle;
        let operand = match &node.is {
            NodeContent::Text(text) if text.starts_with('$') => {
                self.input(text, point, node, notes)?
            }
            _ => Operand::Fixed(literal::value(node, point, notes)?),
        };
        Some((point.index, operand))
    }

    /// Returns the input that `$name` means, which is written to this point.
    fn input(
        &mut self,
        text: &str,
        point: NamedPoint<'_>,
        node: &Node,
        notes: &mut Notes,
    ) -> Option<Operand> {
        let name = text.strip_prefix('$').unwrap_or(text);
        let found = self.inputs.iter().position(|i| i.spec.name == name);
        let Some((index, input)) = found.and_then(|i| Some((i, self.inputs.get_mut(i)?))) else {
            if self.complete {
                let known = self.inputs.iter().map(|i| i.spec.name.as_str());
                let meant = || {
                    Some(format!(
                        "did you mean ${}?",
                        suggestions::nearest(name, known)?
                    ))
                };
                let hint = match self.inputs.is_empty() {
                    true => Some("the service has no inputs".to_owned()),
                    false => notes.unless_full(meant),
                };
                let wrong = Expectation::wanted("$ and the name of an input of this service");
                notes.error(node.origin, shown(text), wrong.maybe_hint(hint));
            }
            return None;
        };
        let first = !std::mem::replace(&mut input.used, true);
        let of = point.spec.codec.data_type();
        let limit = ["min", "max"]
            .into_iter()
            .find(|key| input.s.node(key).is_some());
        if let (Some(key), true, DataType::Text | DataType::Date) = (limit, point.is_right, of) {
            let said = format!(
                "{key} of what is written to {}, {}",
                point.spec.id,
                named(of)
            );
            let wrong =
                Expectation::wanted(format!("no {key} here")).hint("only numbers have limits");
            notes.error(input.s.at(key), said, wrong);
        }
        if let Some(default) = input.s.node("default")
            && input.spec.default.is_some()
        {
            let value = literal::value(default, point, notes);
            if first {
                input.spec.default = value.or(input.spec.default.take());
            }
        }
        u16::try_from(index).ok().map(Operand::Input)
    }

    fn read(&mut self, node: &Node, notes: &mut Notes) -> Option<ServiceStep> {
        let (id, at, name) = match &node.is {
            NodeContent::Text(id) => (id.clone(), node.origin, None),
            NodeContent::Map(_) => {
                let s = Section::open(node, &READ_KEYS, notes);
                let id = s.need("point", plain(POINT), || Expectation::wanted(POINT), notes)?;
                let name = s.read("as", parameter, notes);
                (id, s.at("point"), name.map(|name| (name, s.at("as"))))
            }
            NodeContent::Nothing | NodeContent::List(_) => {
                let wrong = Expectation::wanted("the id of a point, or { point: ID, as: NAME }");
                notes.error(node.origin, node.is.kind(), wrong);
                return None;
            }
        };
        let point = self.points.find(&id, at, notes)?;
        let (output, at) = name.unwrap_or((id, at));
        if let Some(first) = self.outputs.get(&output) {
            let line = notes.origins.line(*first);
            let wrong =
                Expectation::wanted("a name no other output of the service has").hint(format!(
                    "{line} already reads it; another name: read: {{ point: {}, as: NAME }}",
                    point.spec.id
                ));
            notes.error(at, shown(&output), wrong);
            return None;
        }
        self.outputs.insert(output.clone(), at);
        Some(ServiceStep::Read {
            point: point.index,
            output,
        })
    }
}

/// Reads what the caller gives.
fn input(s: &Section<'_>, notes: &mut Notes) -> Option<InputSpec> {
    if !s.is_there() {
        return None;
    }
    let name = s.need(
        "name",
        parameter,
        || Expectation::wanted("the identifier of the parameter in the thing model"),
        notes,
    );
    let min = s.read("min", decimal, notes);
    let max = s.read("max", decimal, notes);
    if let (Some(min), Some(max)) = (min, max)
        && min.compare(max).is_gt()
    {
        let wrong = Expectation::wanted("a min that is not above max");
        notes.error(s.at("min"), "min above max", wrong);
    }
    Some(InputSpec {
        default: default(s, (min, max), notes),
        name: name?,
        min,
        max,
    })
}

/// Reads what an input is if its caller does not say. Its type is that of the point to which it
/// is written.
fn default(
    s: &Section<'_>,
    (min, max): (Option<Decimal>, Option<Decimal>),
    notes: &mut Notes,
) -> Option<Value> {
    let node = s.node("default")?;
    let NodeContent::Text(text) = &node.is else {
        let wrong = Expectation::wanted("a number or a text");
        notes.error(node.origin, node.is.kind(), wrong);
        return None;
    };
    let quoted = notes.origins.is_quoted(node.origin);
    let number = Decimal::parse(text).filter(|_| !quoted);
    let Some(number) = number else {
        return Some(Value::Text(text.clone()));
    };
    let beyond = match (min, max) {
        (Some(min), _) if number.compare(min).is_lt() => Some(format!("at least {min}, its min")),
        (_, Some(max)) if number.compare(max).is_gt() => Some(format!("at most {max}, its max")),
        _ => None,
    };
    if let Some(wanted) = beyond {
        notes.error(node.origin, shown(text), Expectation::wanted(wanted));
        return None;
    }
    literal::untyped(number)
}

/// Returns the entries in the order in which they were written, which is the order in which they
/// are carried out. An alias stands elsewhere than its value, so it has no place in the order.
fn in_order<'a>(
    map: &'a BTreeMap<String, Node>,
    whole: OriginId,
    notes: &mut Notes,
) -> Option<Vec<(&'a str, &'a Node)>> {
    let mut entries = Vec::with_capacity(map.len());
    let mut alias = None;
    for (key, node) in map {
        let Some(origin) = notes.origins.get(node.origin) else {
            continue;
        };
        let own = matches!(&origin.step, PathStep::Key(step) if **step == **key);
        if origin.parent != Some(whole) || !own {
            alias.get_or_insert(key);
        }
        entries.push((origin.key_at, key.as_str(), node));
    }
    if let Some(key) = alias {
        let wrong = Expectation::wanted("the value itself, without an alias (*…)")
            .hint("points are written in the order in which they stand here");
        notes.error(whole, format!("{} with an alias", shown(key)), wrong);
        return None;
    }
    entries.sort_by_key(|(at, _, _)| *at);
    Some(
        entries
            .into_iter()
            .map(|(_, key, node)| (key, node))
            .collect(),
    )
}

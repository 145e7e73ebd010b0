//! `events:` of a profile: which values are events of the thing model, and with which data.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::Value;
use crate::config::points::by_id::{POINT, PointsById};
use crate::config::points::condition;
use crate::config::points::literal;
use crate::config::reader::problem::Expectation;
use crate::config::reader::section::{Notes, Section, shown};
use crate::config::reader::tree::{Node, NodeContent, OriginId};
use crate::config::reader::word_parsers::{decimal, identifier, parameter, yes_or_no};
use crate::spec::{Condition, Decimal, EventOutput, EventRule, EventTrigger, ThingEventSpec};

const KEYS: [&str; 3] = ["id", "when", "data"];
const WHEN_KEYS: [&str; 7] = [
    "point",
    "is",
    "is_not",
    "above",
    "below",
    "hysteresis",
    "changes",
];

/// The most events of a profile: a module of a thing model has no more properties, services and
/// events together ("Limits", TSL features).
const MOST_EVENTS: usize = 300;
/// The most output parameters of an event: as many as the values of a large device, and few
/// enough for one message.
const MOST_OUTPUTS: usize = 50;

const OUTPUTS: &str =
    "points like [temp, level], or names with points or numbers like { temp: temp, limit: 80 }";
const WHEN: &str = "the point and its value, like { point: temp, above: 80 }";

/// Reads all events.
pub(crate) fn read(
    profile: &Section<'_>,
    points: &PointsById<'_>,
    notes: &mut Notes,
) -> Vec<ThingEventSpec> {
    let mut known: BTreeMap<String, OriginId> = BTreeMap::new();
    let mut events = Vec::new();
    for node in profile.few("events", MOST_EVENTS, notes) {
        let s = Section::open(node, &KEYS, notes);
        if !s.is_there() {
            continue;
        }
        let wanted = || Expectation::wanted("the identifier of the event in the thing model");
        let id = s.need("id", identifier, wanted, notes);
        if let Some(id) = &id {
            let at = s.at("id");
            if let Some(first) = known.get(id) {
                let hint = format!("{} already has this id", notes.origins.line(*first));
                let wrong = Expectation::wanted("an id no other event of the profile has");
                notes.error(at, shown(id), wrong.hint(hint));
            }
            known.entry(id.clone()).or_insert(at);
        }
        let when = match s.node("when") {
            Some(node) => rule(node, points, notes),
            None => {
                s.lacks("when", Expectation::wanted(WHEN), notes);
                None
            }
        };
        let data = match s.node("data") {
            Some(node) => data(node, points, notes),
            None => Vec::new(),
        };
        if let (Some(id), Some(when)) = (id, when) {
            let id = id.into();
            events.push(ThingEventSpec { id, when, data });
        }
    }
    events
}

/// Reads when an event is raised. Returns `None` if a mistake was noted.
fn rule(node: &Node, points: &PointsById<'_>, notes: &mut Notes) -> Option<EventRule> {
    let before = notes.noted();
    let s = Section::open(node, &WHEN_KEYS, notes);
    if !s.is_there() {
        return None;
    }
    let changes = s.read("changes", yes_or_no, notes).unwrap_or(false);
    let is_given = condition::is_given(&s);
    if !changes && !is_given {
        let wrong =
            Expectation::wanted("when it is raised: changes: true, is, is_not, above or below");
        notes.error(node.origin, "no condition", wrong);
    }
    let point = condition::point(&s, Expectation::wanted(POINT), points, notes);
    let hysteresis = s.read("hysteresis", more_than_zero, notes);
    if s.node("hysteresis").is_some() {
        let wrong = Expectation::wanted("hysteresis beside above or below, without changes");
        let has_limit = s.node("above").or(s.node("below")).is_some();
        if changes || !has_limit {
            let hint = "it says how far the value returns before the event is raised again";
            notes.error(s.at("hysteresis"), "hysteresis", wrong.hint(hint));
        }
    }
    let point = point?;
    let condition = match is_given {
        true => Some(condition::parts(&s, point, notes)?),
        false => None,
    };
    let trigger = match condition {
        condition if changes => EventTrigger::Changes(condition),
        Some(condition) => {
            let stays = stays(&s, &condition, hysteresis, notes)?;
            EventTrigger::Begins { condition, stays }
        }
        None => return None,
    };
    (notes.noted() == before).then_some(EventRule {
        point: point.index,
        trigger,
    })
}

/// Returns what must not hold any more before the event is raised again.
fn stays(
    s: &Section<'_>,
    condition: &Condition,
    hysteresis: Option<Decimal>,
    notes: &mut Notes,
) -> Option<Condition> {
    let Some(hysteresis) = hysteresis else {
        return Some(condition.clone());
    };
    let stays = condition.widened(hysteresis);
    if stays.is_none() {
        let wrong = Expectation::wanted("a hysteresis nearer to the size of above or below");
        notes.error(s.at("hysteresis"), hysteresis.to_string(), wrong);
    }
    stays
}

fn more_than_zero(text: &str) -> Result<Decimal, Expectation> {
    let number = decimal(text)?;
    match number.compare(Decimal::ZERO).is_gt() {
        true => Ok(number),
        false => {
            Err(Expectation::wanted("a number above 0").hint("without hysteresis leave it out"))
        }
    }
}

/// Reads the output data: a list of points, each under its id, or names with a point or a value.
fn data(node: &Node, points: &PointsById<'_>, notes: &mut Notes) -> Vec<(Arc<str>, EventOutput)> {
    let (many, all) = match &node.is {
        NodeContent::List(list) => {
            let mut known: BTreeMap<&str, OriginId> = BTreeMap::new();
            let mut all = Vec::new();
            for entry in list.iter().take(MOST_OUTPUTS) {
                let NodeContent::Text(id) = &entry.is else {
                    notes.error(entry.origin, entry.is.kind(), Expectation::wanted(POINT));
                    continue;
                };
                let Some(point) = points.find(id, entry.origin, notes) else {
                    continue;
                };
                if let Some(first) = known.insert(id, entry.origin) {
                    let hint = format!("{} already names it", notes.origins.line(first));
                    let wrong = Expectation::wanted("each point once").hint(hint);
                    notes.error(entry.origin, shown(id), wrong);
                    continue;
                }
                if let Err(wrong) = parameter(id) {
                    // A point of a module, like meter:temp.
                    let hint = format!("give it a name: data: {{ NAME: {id} }}");
                    notes.error(entry.origin, shown(id), wrong.hint(hint));
                }
                all.push((id.as_str().into(), EventOutput::Point(point.index)));
            }
            (list.len(), all)
        }
        NodeContent::Map(map) => {
            let mut all = Vec::new();
            for (name, entry) in map.iter().take(MOST_OUTPUTS) {
                if let Err(wrong) = parameter(name) {
                    notes.error(entry.origin, shown(name), wrong);
                }
                let output = output(entry, points, notes);
                all.extend(output.map(|output| (name.as_str().into(), output)));
            }
            (map.len(), all)
        }
        NodeContent::Nothing | NodeContent::Text(_) => {
            notes.error(node.origin, node.is.kind(), Expectation::wanted(OUTPUTS));
            return Vec::new();
        }
    };
    if many > MOST_OUTPUTS {
        let wrong = Expectation::wanted(format!("at most {MOST_OUTPUTS}"));
        notes.error(node.origin, format!("{many} outputs"), wrong);
    }
    all
}

/// Reads what is sent for one output: a point by its id, a number, true or false, or a text in
/// quotes. A number with a point or an exponent is one for `float` or `double`.
fn output(node: &Node, points: &PointsById<'_>, notes: &mut Notes) -> Option<EventOutput> {
    let NodeContent::Text(text) = &node.is else {
        notes.error(node.origin, node.is.kind(), Expectation::wanted(OUTPUTS));
        return None;
    };
    if notes.origins.is_quoted(node.origin) {
        return Some(EventOutput::Fixed(Value::Text(text.clone())));
    }
    let fixed = match text.as_str() {
        "true" => Some(Value::Bool(true)),
        "false" => Some(Value::Bool(false)),
        _ => Decimal::parse(text).and_then(|number| match text.contains(['.', 'e', 'E']) {
            true => literal::float(number).map(Value::Float),
            false => literal::untyped(number),
        }),
    };
    if let Some(value) = fixed {
        return Some(EventOutput::Fixed(value));
    }
    let wanted = "the id of a point of this profile, a number, or a text in quotes";
    let point = points.find_or(&[], wanted, text, node.origin, notes)?;
    Some(EventOutput::Point(point.index))
}

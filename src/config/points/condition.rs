//! Conditions on the value of a point: `only_if:` of a write, `require:` of a step.

use super::by_id::{NamedPoint, POINT, PointsById};
use super::literal;
use super::report::named;
use crate::config::reader::problem::Wrong;
use crate::config::reader::section::{Notes, Section};
use crate::config::reader::tree::{Is, Node};
use crate::config::reader::word::{decimal, plain};
use crate::spec::{Condition, DataType, Decimal, Interlock};

const KEYS: [&str; 5] = ["point", "is", "is_not", "above", "below"];

/// Reads a condition and the point that it is about. Returns `None` if a mistake was noted.
pub(crate) fn read(node: &Node, points: &PointsById<'_>, notes: &mut Notes) -> Option<Interlock> {
    let before = notes.noted();
    let s = Section::open(node, &KEYS, notes);
    if !s.is_there() {
        return None;
    }
    if KEYS.iter().skip(1).all(|key| s.node(key).is_none()) {
        let wrong = Wrong::wanted("what its value must be: is, is_not, above or below");
        notes.error(node.origin, "no condition", wrong);
    }
    let id = s.need(
        "point",
        plain(POINT),
        || Wrong::wanted(POINT).hint("the point is read just before"),
        notes,
    )?;
    let point = points.find(&id, s.at("point"), notes)?;
    let of = point.spec.codec.data_type();
    if point.is_right && matches!(of, DataType::Text | DataType::Date) {
        let wrong = Wrong::wanted("a point that is a number or a state");
        notes.error(s.at("point"), format!("{id}, {}", named(of)), wrong);
        return None;
    }
    let condition = Condition {
        is: list(&s, "is", point, notes),
        is_not: list(&s, "is_not", point, notes),
        above: s.read("above", decimal, notes),
        below: s.read("below", decimal, notes),
    };
    if let (Some(above), Some(below)) = (condition.above, condition.below)
        && above.compare(below).is_ge()
    {
        let said = format!("above {above} and below {below}");
        let wrong = Wrong::wanted("an above that is less than below");
        notes.error(s.at("above"), said, wrong.hint("no value is both"));
    }
    (notes.noted() == before).then_some(Interlock {
        point: point.index,
        condition,
    })
}

/// Reads a value, or a list of values one of which is enough.
fn list(s: &Section<'_>, key: &str, point: NamedPoint<'_>, notes: &mut Notes) -> Vec<Decimal> {
    let nodes = match s.node(key) {
        None => return Vec::new(),
        Some(node) => match &node.is {
            Is::List(list) => {
                if list.is_empty() {
                    let wrong = Wrong::wanted(format!("at least one value, or no {key} at all"));
                    notes.error(node.origin, "an empty list", wrong);
                }
                list.as_slice()
            }
            Is::Nothing | Is::Text(_) | Is::Map(_) => std::slice::from_ref(node),
        },
    };
    let values = nodes.iter();
    values
        .filter_map(|node| literal::number(node, point, notes))
        .collect()
}

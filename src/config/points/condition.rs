//! Conditions on the value of a point: `only_if:` of a write, `require:` of a step, `when:` of an
//! event.

use super::by_id::{NamedPoint, POINT, PointsById};
use super::literal;
use super::report::named;
use crate::config::reader::problem::Expectation;
use crate::config::reader::section::{Notes, Section};
use crate::config::reader::tree::{Node, NodeContent};
use crate::config::reader::word_parsers::{decimal, plain};
use crate::spec::{Condition, DataType, Decimal, Interlock};

const KEYS: [&str; 5] = ["point", "is", "is_not", "above", "below"];
/// The keys that say what the value must be.
const PARTS: [&str; 4] = ["is", "is_not", "above", "below"];

/// Reads a condition and the point that it is about. Returns `None` if a mistake was noted.
pub(crate) fn read(node: &Node, points: &PointsById<'_>, notes: &mut Notes) -> Option<Interlock> {
    let before = notes.noted();
    let s = Section::open(node, &KEYS, notes);
    if !s.is_there() {
        return None;
    }
    if !is_given(&s) {
        let wrong = Expectation::wanted("what its value must be: is, is_not, above or below");
        notes.error(node.origin, "no condition", wrong);
    }
    let missing = Expectation::wanted(POINT).hint("the point is read just before");
    let point = point(&s, missing, points, notes)?;
    let condition = parts(&s, point, notes)?;
    (notes.noted() == before).then_some(Interlock {
        point: point.index,
        condition,
    })
}

/// Returns whether the section says what the value must be.
pub(crate) fn is_given(s: &Section<'_>) -> bool {
    PARTS.iter().any(|key| s.node(key).is_some())
}

/// Reads which point the condition is about; `missing` is noted if it does not say.
pub(crate) fn point<'a>(
    s: &Section<'_>,
    missing: Expectation,
    points: &PointsById<'a>,
    notes: &mut Notes,
) -> Option<NamedPoint<'a>> {
    let id = s.need("point", plain(POINT), || missing, notes)?;
    points.find(&id, s.at("point"), notes)
}

/// Reads what the value of the point must be. Returns `None` if the point has no such values.
pub(crate) fn parts(
    s: &Section<'_>,
    point: NamedPoint<'_>,
    notes: &mut Notes,
) -> Option<Condition> {
    let of = point.spec.codec.data_type();
    if point.is_right && matches!(of, DataType::Text | DataType::Date) {
        let wrong = Expectation::wanted("a point that is a number or a state");
        let said = format!("{}, {}", point.spec.id, named(of));
        notes.error(s.at("point"), said, wrong);
        return None;
    }
    let condition = Condition {
        is: list(s, "is", point, notes),
        is_not: list(s, "is_not", point, notes),
        above: s.read("above", decimal, notes),
        below: s.read("below", decimal, notes),
    };
    if let (Some(above), Some(below)) = (condition.above, condition.below)
        && above.compare(below).is_ge()
    {
        let said = format!("above {above} and below {below}");
        let wrong = Expectation::wanted("an above that is less than below");
        notes.error(s.at("above"), said, wrong.hint("no value is both"));
    }
    Some(condition)
}

/// Reads a value, or a list of values one of which is enough.
fn list(s: &Section<'_>, key: &str, point: NamedPoint<'_>, notes: &mut Notes) -> Vec<Decimal> {
    let nodes = match s.node(key) {
        None => return Vec::new(),
        Some(node) => match &node.is {
            NodeContent::List(list) => {
                if list.is_empty() {
                    let wrong =
                        Expectation::wanted(format!("at least one value, or no {key} at all"));
                    notes.error(node.origin, "an empty list", wrong);
                }
                list.as_slice()
            }
            NodeContent::Nothing | NodeContent::Text(_) | NodeContent::Map(_) => {
                std::slice::from_ref(node)
            }
        },
    };
    let values = nodes.iter();
    values
        .filter_map(|node| literal::number(node, point, notes))
        .collect()
}

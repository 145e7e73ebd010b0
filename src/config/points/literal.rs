//! Values of a point as they are written in the configuration: a number, the title of a state, a
//! text.

use super::by_id::NamedPoint;
use crate::base::Value;
use crate::config::reader::problem::Expectation;
use crate::config::reader::section::{Notes, shown};
use crate::config::reader::suggestions;
use crate::config::reader::tree::{Node, NodeContent};
use crate::config::reader::word_parsers::decimal;
use crate::spec::{DataType, Decimal, NumberType, States};

/// How many states are listed in a problem; more fill the line and help no one.
const MOST_LISTED: usize = 8;

/// Reads a number that the value of this point can be compared with. A text or a date has none.
pub(crate) fn number(node: &Node, point: NamedPoint<'_>, notes: &mut Notes) -> Option<Decimal> {
    let NodeContent::Text(text) = &node.is else {
        notes.error(node.origin, node.is.kind(), wanted(point));
        return None;
    };
    let quoted = notes.origins.is_quoted(node.origin);
    let titles = point.titles();
    if let Some(number) = titles.and_then(|t| titled(text, t))
        // What looks like a number is a title only in quotes.
        && (quoted || Decimal::parse(text).is_none())
    {
        return Some(number);
    }
    let of = point.spec.codec.data_type();
    let number = match (of, text.as_str()) {
        (DataType::Bool, "true") => Ok(Decimal::ONE),
        (DataType::Bool, "false") => Ok(Decimal::ZERO),
        _ => decimal(text).map_err(|wrong| wrong.hint),
    };
    match number {
        Ok(_) if notes.quoted_number(node) => None,
        Ok(number) if !point.is_right || can_be(number, of, titles) => Some(number),
        Ok(_) | Err(_) if !point.is_right => None,
        other => {
            let hint = other.err().flatten().or_else(|| {
                let titles = titles?.values().map(String::as_str);
                suggestions::did_you_mean(text, titles)
            });
            notes.error(node.origin, shown(text), wanted(point).maybe_hint(hint));
            None
        }
    }
}

/// Reads a value that is written to this point. Notes a value that the point cannot have, or that
/// its `write:` does not allow.
pub(crate) fn value(node: &Node, point: NamedPoint<'_>, notes: &mut Notes) -> Option<Value> {
    let NodeContent::Text(text) = &node.is else {
        notes.error(node.origin, node.is.kind(), wanted(point));
        return None;
    };
    if !point.is_right {
        return Some(Value::Text(text.clone()));
    }
    let of = point.spec.codec.data_type();
    if matches!(of, DataType::Text | DataType::Date) {
        let digits = of == DataType::Date || has_digits(point);
        let fits = match of {
            _ if !digits => true,
            DataType::Date => text.parse::<i64>().is_ok(),
            _ => Decimal::parse(text).is_some(),
        };
        if fits {
            return Some(Value::Text(text.clone()));
        }
        notes.error(node.origin, shown(text), wanted(point));
        return None;
    }
    let number = number(node, point, notes)?;
    let policy = point.spec.write.as_deref();
    if let Some(policy) = policy.filter(|policy| !policy.permits(number)) {
        let range = policy.range().unwrap_or_default();
        let wrong =
            Expectation::wanted(format!("{range}, as the write: of {} says", point.spec.id));
        notes.error(node.origin, shown(text), wrong);
        return None;
    }
    Some(match of {
        DataType::Bool => Value::Bool(number != Decimal::ZERO),
        DataType::Int | DataType::Enum => whole(number)?,
        DataType::Float | DataType::Double | DataType::Text | DataType::Date => {
            Value::Float(float(number)?)
        }
    })
}

/// Returns the number as the narrowest value that holds it.
pub(crate) fn untyped(number: Decimal) -> Option<Value> {
    whole(number).or_else(|| float(number).map(Value::Float))
}

fn whole(number: Decimal) -> Option<Value> {
    let number = number.reduced();
    let int = i64::try_from(number.digits).map(Value::Int);
    let whole = int.or_else(|_| u64::try_from(number.digits).map(Value::UInt));
    whole.ok().filter(|_| number.places == 0)
}

/// Returns the number as a float, if it is within the range of one.
pub(crate) fn float(number: Decimal) -> Option<f64> {
    let written = format!("{}e{}", number.digits, -i32::from(number.places));
    written.parse().ok().filter(|x: &f64| x.is_finite())
}

/// Returns the number that has this title.
fn titled(text: &str, titles: &States) -> Option<Decimal> {
    let (number, _) = titles.iter().find(|(_, title)| *title == text)?;
    Some(Decimal {
        digits: i128::from(*number),
        places: 0,
    })
}

/// Returns whether a value of this type can be the number.
fn can_be(number: Decimal, of: DataType, titles: Option<&States>) -> bool {
    if let Some(titles) = titles {
        let whole = whole(number).and_then(|value| value.as_int());
        return whole.is_some_and(|n| titles.contains_key(&n));
    }
    match of {
        DataType::Bool => number == Decimal::ZERO || number == Decimal::ONE,
        DataType::Int | DataType::Enum => whole(number).is_some(),
        DataType::Float | DataType::Double | DataType::Text | DataType::Date => true,
    }
}

/// Returns whether the texts of this point are the digits of numbers.
fn has_digits(point: NamedPoint<'_>) -> bool {
    point.spec.codec.number_type() == Some(NumberType::Text)
}

/// Returns what a value of this point is.
fn wanted(point: NamedPoint<'_>) -> Expectation {
    let id = &point.spec.id;
    if let Some(titles) = point.titles() {
        let mut states: Vec<String> = titles
            .iter()
            .take(MOST_LISTED)
            .map(|(number, title)| format!("{number} {title}"))
            .collect();
        if titles.len() > MOST_LISTED {
            states.push("…".into());
        }
        return Expectation::wanted(format!("a state of {id}: {}", states.join(", ")));
    }
    Expectation::wanted(match point.spec.codec.data_type() {
        DataType::Bool => format!("0 or 1, as {id} is a single bit"),
        DataType::Int | DataType::Enum => format!("a whole number, as {id} is one"),
        DataType::Float | DataType::Double => format!("a number, as {id} is one"),
        DataType::Text if has_digits(point) => format!("a number, as {id} is one"),
        DataType::Text => format!("a text, as {id} is one"),
        DataType::Date => {
            format!("milliseconds since 1970-01-01 00:00 UTC, as {id} is a date")
        }
    })
}

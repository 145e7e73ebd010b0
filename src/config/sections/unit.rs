//! `unit:` and `units:`: the addresses of devices on their port.

use super::range;
use crate::config::reader::foreign_words;
use crate::config::reader::problem::Expectation;
use crate::config::reader::section::{Notes, Section, shown};
use crate::config::reader::tree::NodeContent;
use crate::config::reader::word_parsers::whole;
use crate::spec::LineSpec;

/// Reads the units that an entry names.
pub(crate) fn of(s: &Section<'_>, line: Option<&LineSpec>, notes: &mut Notes) -> Vec<u8> {
    let (allowed, why) = match line {
        Some(line) if line.framing().is_some() => (
            1..=255u8,
            "on a serial line 0 is broadcast: no device answers",
        ),
        Some(_) | None => (0..=255, ""),
    };
    let units = units_within(s, &allowed, why, notes);
    if *allowed.start() == 1 {
        reserved(s, &units, notes);
    }
    units
}

/// The last unit that a serial line has for devices; the units behind it are reserved (Modbus
/// over Serial Line V1.02 §2.2).
const LAST_UNIT: u8 = 247;

/// Warns of units that the standard reserves. Some devices answer there all the same: as
/// delivered, or because the unit is their general address.
fn reserved(s: &Section<'_>, units: &[u8], notes: &mut Notes) {
    let mut high = units.iter().filter(|unit| **unit > LAST_UNIT);
    let Some(first) = high.next() else { return };
    let said = match high.count() {
        0 => first.to_string(),
        n => format!("{first} and {n} more above {LAST_UNIT}"),
    };
    let key = match s.node("unit") {
        Some(_) => "unit",
        None => "units",
    };
    notes.warning(
        s.at(key),
        said,
        Expectation::wanted(format!("1 to {LAST_UNIT}")).hint(
            "248 to 255 are reserved on a serial line (Modbus over Serial Line V1.02 §2.2), but some devices are delivered with such a unit; if it is a general address, as in some that answer whatever they are set to, no other device on the line may answer there",
        ),
    );
}

fn units_within(
    s: &Section<'_>,
    allowed: &std::ops::RangeInclusive<u8>,
    why: &str,
    notes: &mut Notes,
) -> Vec<u8> {
    let fits = |unit: u8| {
        if allowed.contains(&unit) {
            return Ok(unit);
        }
        let why = Some(why.to_owned()).filter(|w| !w.is_empty());
        Err(
            Expectation::wanted(format!("{} to {}", allowed.start(), allowed.end()))
                .maybe_hint(why),
        )
    };
    match (s.node("unit"), s.node("units")) {
        (Some(_), Some(units)) => {
            notes.error(
                units.origin,
                "unit and units",
                Expectation::wanted("unit for one device, or units for several"),
            );
            Vec::new()
        }
        (Some(_), None) => {
            let parse = |text: &str| {
                let unit = whole(0..=255u8)(text).map_err(|_| {
                    let (lo, hi) = (allowed.start(), allowed.end());
                    let why = Some(why.to_owned()).filter(|w| !w.is_empty());
                    let wrong = Expectation::wanted(format!("{lo} to {hi}")).maybe_hint(why);
                    if foreign_words::is_measure(text) {
                        wrong.hint("unit is the address on the bus; a unit of measure is part of the property in the thing model")
                    } else if text.contains(['-', ',']) && text.len() > 2 {
                        wrong.hint("several units at once are written units:")
                    } else {
                        wrong
                    }
                })?;
                fits(unit)
            };
            s.read("unit", parse, notes).into_iter().collect()
        }
        (None, Some(node)) => {
            let joined = match &node.is {
                NodeContent::List(list) => list
                    .iter()
                    .map(|n| match &n.is {
                        NodeContent::Text(text) => text.as_str(),
                        NodeContent::Nothing | NodeContent::List(_) | NodeContent::Map(_) => "?",
                    })
                    .collect::<Vec<_>>()
                    .join(","),
                NodeContent::Text(text) => text.clone(),
                NodeContent::Nothing | NodeContent::Map(_) => "?".into(),
            };
            let parsed = range::units(&joined).and_then(|units| {
                for unit in &units {
                    fits(*unit)?;
                }
                Ok(units)
            });
            parsed.unwrap_or_else(|wrong| {
                notes.error(node.origin, shown(&joined), wrong);
                Vec::new()
            })
        }
        (None, None) => {
            s.lacks(
                "unit",
                Expectation::wanted(format!(
                    "the device's address on the port, {} to {}",
                    allowed.start(),
                    allowed.end()
                )),
                notes,
            );
            Vec::new()
        }
    }
}

//! `values:`: the titles of numbers, and of the two states of a bit.

use std::collections::BTreeMap;

use crate::config::reader::problem::Expectation;
use crate::config::reader::section::{Notes, Section, shown};
use crate::config::reader::tree::NodeContent;
use crate::config::reader::word_parsers::whole;
use crate::spec::States;

/// Reads the titles of numbers.
pub(crate) fn states(s: &Section<'_>, notes: &mut Notes) -> Option<States> {
    let node = s.node("values")?;
    let wanted = || Expectation::wanted("numbers and their titles, like { 0: off, 1: on }");
    let NodeContent::Map(map) = &node.is else {
        notes.error(node.origin, node.is.kind(), wanted());
        return None;
    };
    if map.is_empty() {
        notes.error(node.origin, "nothing", wanted());
    }
    let mut states = BTreeMap::new();
    for (number, title) in map {
        match (state(number), &title.is) {
            (Some(n), NodeContent::Text(title)) => {
                states.insert(n, title.clone());
            }
            (None, _) => {
                let wrong = Expectation::wanted("a whole number, decimal or with 0x");
                notes.error(title.origin, format!("the key {}", shown(number)), wrong);
            }
            (_, other) => {
                let wrong = Expectation::wanted("the title of the number");
                notes.error(title.origin, other.kind(), wrong);
            }
        }
    }
    Some(states)
}

/// Reads `values:` of a single bit: the titles of 0 and of 1. Both are needed, as the thing model
/// wants them for its data type `bool`.
pub(crate) fn titles_of_a_bit(s: &Section<'_>, notes: &mut Notes) -> Option<States> {
    let titles = states(s, notes)?;
    if !titles.keys().eq([0, 1].iter()) && !titles.is_empty() {
        let said = titles.keys().map(i64::to_string).collect::<Vec<_>>();
        notes.error(
            s.at("values"),
            format!("titles for {}", said.join(", ")),
            Expectation::wanted("titles for 0 and 1, like { 0: off, 1: on }")
                .hint("a single bit has these two states and no others"),
        );
        return None;
    }
    Some(titles)
}

fn state(text: &str) -> Option<i64> {
    match text.strip_prefix("0x") {
        Some(_) => whole(0..=u64::MAX)(text)
            .ok()
            .and_then(|n| i64::try_from(n).ok()),
        None => text.parse().ok(),
    }
}

//! YAML of other programs to a [`Tree`]: with tags, with several documents, and with aliases, whose
//! copies are counted like values.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle, StrInput};

use super::ImportRefusal;
use super::tree::{Tree, TreeValue, ValueAllowance};

/// Reads the first document of a text.
///
/// # Errors
/// It is not YAML, or too much.
pub fn read(text: &str) -> Result<Tree, ImportRefusal> {
    let mut open: Vec<Open> = Vec::new();
    let mut anchors: BTreeMap<usize, Tree> = BTreeMap::new();
    let mut left = ValueAllowance::default();
    for event in Parser::<StrInput<'_>>::new_from_str(text) {
        let (event, span) = event.map_err(|e| ImportRefusal::Malformed {
            line: line(e.marker().line()),
            format: "YAML",
            why: e.info().to_owned(),
        })?;
        let at = line(span.start.line());
        left.take(open.len())?;
        let (done, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                // `!secret name` and the like: the value is elsewhere.
                let foreign = tag.filter(|t| !t.is_yaml_core_schema());
                let is = match (&*text, foreign) {
                    (text, Some(tag)) => TreeValue::Text(format!("!{} {text}", tag.suffix)),
                    ("" | "~" | "null", None) if plain => TreeValue::Nothing,
                    (text, None) => TreeValue::Text(text.to_owned()),
                };
                (Tree { line: at, is }, anchor)
            }
            Event::SequenceStart(anchor, _) => {
                open.push(Open::new(at, anchor, Kind::List(Vec::new())));
                continue;
            }
            Event::MappingStart(anchor, _) => {
                open.push(Open::new(at, anchor, Kind::Map(Vec::new(), None)));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(done) => done.close(),
                None => return Err(ImportRefusal::TooMuch),
            },
            Event::Alias(id) => {
                let known = anchors.get(&id);
                let copy = known.cloned().unwrap_or(Tree {
                    line: at,
                    is: TreeValue::Nothing,
                });
                count(&copy, &mut left, open.len())?;
                (copy, 0)
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => continue,
        };
        if anchor != 0 {
            count(&done, &mut left, open.len())?;
            anchors.insert(anchor, done.clone());
        }
        match open.last_mut() {
            Some(above) => above.add(done),
            None => return Ok(done),
        }
    }
    Ok(Tree {
        line: 0,
        is: TreeValue::Nothing,
    })
}

fn line(line: usize) -> u32 {
    u32::try_from(line).unwrap_or(0)
}

/// Counts a copy, before it is kept.
fn count(tree: &Tree, left: &mut ValueAllowance, depth: usize) -> Result<(), ImportRefusal> {
    left.take(depth)?;
    match &tree.is {
        TreeValue::Nothing | TreeValue::Text(_) => Ok(()),
        TreeValue::List(list) => list.iter().try_for_each(|t| count(t, left, depth + 1)),
        TreeValue::Map(entries) => entries
            .iter()
            .try_for_each(|(_, t)| count(t, left, depth + 1)),
    }
}

struct Open {
    line: u32,
    anchor: usize,
    kind: Kind,
}

enum Kind {
    List(Vec<Tree>),
    Map(Vec<(String, Tree)>, Option<String>),
}

impl Open {
    fn new(line: u32, anchor: usize, kind: Kind) -> Open {
        Open { line, anchor, kind }
    }

    fn add(&mut self, value: Tree) {
        match &mut self.kind {
            Kind::List(list) => list.push(value),
            Kind::Map(entries, key) => match key.take() {
                Some(key) => entries.push((key, value)),
                None => *key = Some(value.shown()),
            },
        }
    }

    fn close(self) -> (Tree, usize) {
        let is = match self.kind {
            Kind::List(list) => TreeValue::List(list),
            Kind::Map(entries, _) => TreeValue::Map(entries),
        };
        (
            Tree {
                line: self.line,
                is,
            },
            self.anchor,
        )
    }
}

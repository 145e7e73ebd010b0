//! Reads YAML text into a tree of words with their positions, and notes all problems of the YAML
//! itself.
//!
//! The tree is built from the parser's events rather than by a ready loader, for four reasons:
//! scalars stay text; all duplicate keys are found and not just the first; nesting is bounded, so
//! that no file can exhaust the stack; and every value is counted before it is kept, so that no
//! file can exhaust the memory. The values that an alias repeats, and those that are remembered
//! because they have an anchor, are kept and counted as well.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput};

use super::amount;
use super::problem::{Expectation, Report};
use super::section::{Notes, shown_key};
use super::tree::{Node, NodeContent, Origin, OriginId, PathStep};

/// The deepest nesting that is accepted; no configuration needs more.
const DEPTH: usize = 24;

/// Returns what keeps a text from being read as the YAML of a configuration, whatever it says.
#[must_use]
pub fn faults(text: &str) -> Report {
    let mut notes = Notes::default();
    let file = notes.origins.add_file("");
    // The tree is that of one file alone; only what is noted counts here.
    let _ = read(text.as_bytes(), file, &mut notes);
    notes.report()
}

/// Reads one file. Returns `None` if the file cannot be used at all; the reason is then noted.
pub(crate) fn read(bytes: &[u8], file: usize, notes: &mut Notes) -> Option<Node> {
    let whole = notes.origins.whole(file);
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(e) => {
            let at = position(&bytes[..e.valid_up_to()]);
            let byte = bytes.get(e.valid_up_to()).copied().unwrap_or_default();
            notes.error_at(
                whole,
                at,
                format!("a byte that is not UTF-8: {byte:#04x}"),
                Expectation::wanted("text in UTF-8").hint("save the file with encoding UTF-8"),
            );
            return None;
        }
    };
    if let Err(much) = amount::signs(bytes) {
        notes.too_much(whole, (0, 0), much);
        return None;
    }
    let mut tree = Tree {
        notes,
        file,
        whole,
        open: Vec::new(),
        anchors: BTreeMap::new(),
        document: None,
        documents: 0,
    };
    for event in Parser::<StrInput<'_>>::new_from_str(text) {
        match event {
            Ok((event, span)) => {
                if tree.event(event, span).is_err() {
                    return None;
                }
            }
            Err(e) => {
                let marker = e.marker();
                let at = (one_based(marker.line(), 0), one_based(marker.col(), 1));
                syntax(notes, whole, text, at, e.info());
                return None;
            }
        }
    }
    let document = tree.document;
    match document {
        Some(node) if !matches!(node.is, NodeContent::Nothing) => Some(node),
        _ => {
            notes.error(
                whole,
                "an empty file",
                Expectation::wanted("sections such as gateway:, cloud:, ports:, devices:"),
            );
            None
        }
    }
}

/// Notes a syntax error in words for a reader who did not write the parser.
fn syntax(notes: &mut Notes, whole: OriginId, text: &str, at: (u32, u32), info: &str) {
    let tab = (1u32..)
        .zip(text.lines())
        .filter_map(|(n, line)| {
            let blank = line.len() - line.trim_start().len();
            let column = line[..blank].find('\t')?;
            Some((n, u32::try_from(column).unwrap_or(0) + 1))
        })
        .find(|(n, _)| *n <= at.0);
    if let Some(at) = tab {
        notes.error_at(
            whole,
            at,
            "a tab at the beginning of the line",
            Expectation::wanted("spaces").hint("YAML does not allow tabs for indenting"),
        );
        return;
    }
    let hint = if info.contains("mapping values are not allowed") {
        "either this line is indented differently from its neighbours, or a value contains ': ' and needs quotes"
    } else if info.contains("expected ',' or ']'") || info.contains("expected ',' or '}'") {
        "a [ or { that was opened on this line or above is not closed, or a comma is missing"
    } else if info.contains("quoted scalar") || info.contains("quoted string") {
        "a quotation mark is not closed"
    } else if info.contains("anchor") {
        "a value that begins with * or & needs quotes"
    } else if info.contains("cannot start any token") {
        "a value that begins with @, % or ` needs quotes"
    } else {
        "look at this line and the one above: indentation, quotes, a colon, a blank after the colon"
    };
    notes.error_at(
        whole,
        at,
        format!("something that is not YAML ({info})"),
        Expectation::wanted("YAML").hint(hint),
    );
}

/// The event could not be used and neither can the rest of the file.
struct Unusable;

/// A collection that has begun and not ended.
struct OpenCollection {
    origin: OriginId,
    anchor: usize,
    kind: CollectionKind,
}

enum CollectionKind {
    List(Vec<Node>),
    Map {
        entries: BTreeMap<String, Node>,
        key: Option<(String, (u32, u32))>,
    },
}

struct Tree<'a> {
    notes: &'a mut Notes,
    file: usize,
    whole: OriginId,
    open: Vec<OpenCollection>,
    anchors: BTreeMap<usize, Node>,
    document: Option<Node>,
    documents: usize,
}

impl Tree<'_> {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Unusable> {
        let at = (
            one_based(span.start.line(), 0),
            one_based(span.start.col(), 1),
        );
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents == 2 {
                    self.error(
                        at,
                        "a second document (---)",
                        Expectation::wanted("one document per file"),
                    );
                    return Err(Unusable);
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                if tag.is_some_and(|t| !t.is_yaml_core_schema()) {
                    self.error(
                        at,
                        "a tag (!…)",
                        Expectation::wanted("a plain value").hint(
                            "a value that begins with ! needs quotes; includes and the like are not understood",
                        ),
                    );
                }
                if self.awaits_key() {
                    self.spend(at, 0, text.len())?;
                    self.key(text.to_string(), at);
                    return Ok(());
                }
                self.spend(at, 1, text.len())?;
                let plain = style == ScalarStyle::Plain;
                let is = match &*text {
                    "" | "~" | "null" if plain => NodeContent::Nothing,
                    // A copy: the parser's string may hold more capacity than text.
                    _ => NodeContent::Text(text.to_string()),
                };
                let origin = self.origin(at);
                if !plain {
                    self.notes.origins.set_quoted(origin);
                }
                self.add(Node { origin, is }, anchor, at)
            }
            Event::SequenceStart(anchor, _) => {
                self.begin(CollectionKind::List(Vec::new()), anchor, at)
            }
            Event::MappingStart(anchor, _) => {
                let kind = CollectionKind::Map {
                    entries: BTreeMap::new(),
                    key: None,
                };
                self.begin(kind, anchor, at)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(done) = self.open.pop() else {
                    return Err(Unusable);
                };
                let is = match done.kind {
                    CollectionKind::List(list) => NodeContent::List(list),
                    CollectionKind::Map { entries, .. } => NodeContent::Map(entries),
                };
                let origin = done.origin;
                self.add(Node { origin, is }, done.anchor, at)
            }
            Event::Alias(id) => {
                let Some(node) = self.anchors.get(&id) else {
                    self.error(
                        at,
                        "an alias (*…) of something that contains it",
                        Expectation::wanted("an anchor (&…) that is complete above"),
                    );
                    return Err(Unusable);
                };
                let (values, text) = size(node);
                self.spend(at, values, text)?;
                // Counted first, so that an alias that is too large is never copied.
                match self.anchors.get(&id).cloned() {
                    Some(node) => self.add(node, 0, at),
                    None => Ok(()),
                }
            }
        }
    }

    fn awaits_key(&self) -> bool {
        matches!(
            self.open.last(),
            Some(OpenCollection {
                kind: CollectionKind::Map { key: None, .. },
                ..
            })
        )
    }

    fn key(&mut self, text: String, at: (u32, u32)) {
        let Some(OpenCollection {
            origin,
            kind: CollectionKind::Map { entries, key },
            ..
        }) = self.open.last_mut()
        else {
            return;
        };
        if let Some(first) = entries.get(&text) {
            let line = self.notes.origins.line(first.origin);
            let here = self.notes.origins.add(Origin {
                file: self.file,
                at,
                key_at: at,
                parent: Some(*origin),
                step: PathStep::Key(text.as_str().into()),
            });
            let said = format!("{} a second time", shown_key(&text));
            self.notes.error(
                here,
                said,
                Expectation::wanted("each key once").hint(format!("it is already at {line}")),
            );
        }
        *key = Some((text, at));
    }

    fn begin(
        &mut self,
        kind: CollectionKind,
        anchor: usize,
        at: (u32, u32),
    ) -> Result<(), Unusable> {
        if self.awaits_key() {
            self.error(
                at,
                "a list or section where a key should be",
                Expectation::wanted("a plain word as key")
                    .hint("a value that begins with { or [ needs quotes"),
            );
            return Err(Unusable);
        }
        if self.open.len() >= DEPTH {
            self.error(
                at,
                format!("more than {DEPTH} levels of nesting"),
                Expectation::wanted("the structure of gateway.example.yaml"),
            );
            return Err(Unusable);
        }
        self.spend(at, 1, 0)?;
        let origin = self.origin(at);
        self.open.push(OpenCollection {
            origin,
            anchor,
            kind,
        });
        Ok(())
    }

    /// Adds the position of the value that begins here.
    fn origin(&mut self, at: (u32, u32)) -> OriginId {
        let (parent, step, key_at) = match self.open.last() {
            None => (None, PathStep::Root, at),
            Some(open) => match &open.kind {
                CollectionKind::List(list) => (Some(open.origin), PathStep::Index(list.len()), at),
                CollectionKind::Map { key, .. } => match key {
                    Some((key, key_at)) => (
                        Some(open.origin),
                        PathStep::Key(key.as_str().into()),
                        *key_at,
                    ),
                    None => (Some(open.origin), PathStep::Root, at),
                },
            },
        };
        self.notes.origins.add(Origin {
            file: self.file,
            at,
            key_at,
            parent,
            step,
        })
    }

    fn add(&mut self, node: Node, anchor: usize, at: (u32, u32)) -> Result<(), Unusable> {
        if anchor > 0 {
            let (values, text) = size(&node);
            self.spend(at, values, text)?;
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|o| &mut o.kind) {
            None => self.document = Some(node),
            Some(CollectionKind::List(list)) => list.push(node),
            Some(CollectionKind::Map { entries, key }) => {
                if let Some((key, _)) = key.take() {
                    entries.entry(key).or_insert(node);
                }
            }
        }
        Ok(())
    }

    /// Counts the values and bytes that are about to be kept.
    fn spend(&mut self, at: (u32, u32), values: usize, text: usize) -> Result<(), Unusable> {
        self.notes.spend(values, text).map_err(|much| {
            self.notes.too_much(self.whole, at, much);
            Unusable
        })
    }

    fn error(&mut self, at: (u32, u32), said: impl Into<String>, wrong: Expectation) {
        self.notes.error_at(self.whole, at, said, wrong);
    }
}

/// Returns how many values a node has, itself included, and how many bytes of text.
fn size(node: &Node) -> (usize, usize) {
    let add = |a: (usize, usize), b: (usize, usize)| (a.0 + b.0, a.1 + b.1);
    let inside = match &node.is {
        NodeContent::Nothing => (0, 0),
        NodeContent::Text(text) => (0, text.len()),
        NodeContent::List(list) => list.iter().map(size).fold((0, 0), add),
        NodeContent::Map(map) => map
            .iter()
            .map(|(key, node)| add((0, key.len()), size(node)))
            .fold((0, 0), add),
    };
    add((1, 0), inside)
}

fn one_based(n: usize, add: usize) -> u32 {
    u32::try_from(n + add).unwrap_or(u32::MAX).max(1)
}

/// Returns line and column of the end of `before`.
pub(crate) fn position(before: &[u8]) -> (u32, u32) {
    let line = before.iter().filter(|b| **b == b'\n').count();
    let start = before
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |i| i + 1);
    let column = String::from_utf8_lossy(&before[start..]).chars().count();
    (one_based(line, 1), one_based(column, 1))
}

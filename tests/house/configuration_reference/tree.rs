//! A YAML text as a tree that can be changed and written again.

use std::fmt::Write;

use saphyr_parser::{Event, Parser, ScalarStyle};

/// A step from a section to a value in it, or from a list to one of its entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Entry(usize),
}

/// A value, a list or a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tree {
    /// A single value as it stands in the text, with its quotes.
    Value(String),
    List(Vec<Tree>),
    Section(Vec<(String, Tree)>),
}

impl Tree {
    /// Reads a YAML text.
    pub(super) fn read(text: &str) -> Tree {
        let events = Parser::new_from_str(text).map(|event| {
            let (event, _) = event.unwrap_or_else(|e| panic!("{e}\n{text}"));
            event
        });
        let mut events = events.filter(|event| {
            !matches!(
                event,
                Event::Nothing | Event::StreamStart | Event::DocumentStart(_)
            )
        });
        let first = events.next();
        let first = first.unwrap_or_else(|| panic!("nothing in\n{text}"));
        value(first, &mut events)
    }

    /// Returns the value at `path`.
    pub(super) fn at(&self, path: &[Step]) -> Option<&Tree> {
        path.iter().try_fold(self, |tree, step| match (tree, step) {
            (Tree::Section(entries), Step::Key(key)) => {
                entries.iter().find(|(k, _)| k == key).map(|(_, v)| v)
            }
            (Tree::List(list), Step::Entry(n)) => list.get(*n),
            _ => None,
        })
    }

    /// Returns this tree with `value` under `key` of the section at `path`, or without the key.
    pub(super) fn with(&self, path: &[Step], key: &str, value: Option<Tree>) -> Tree {
        let mut tree = self.clone();
        let mut here = &mut tree;
        for step in path {
            here = match (here, step) {
                (Tree::Section(entries), Step::Key(key)) => {
                    &mut entries.iter_mut().find(|(k, _)| k == key).unwrap().1
                }
                (Tree::List(list), Step::Entry(n)) => &mut list[*n],
                (other, _) => panic!("{step:?} of {other:?}"),
            };
        }
        let Tree::Section(entries) = here else {
            panic!("{path:?} is no section");
        };
        let place = entries.iter().position(|(k, _)| k == key);
        match (place, value) {
            (Some(place), Some(value)) => entries[place].1 = value,
            (Some(place), None) => drop(entries.remove(place)),
            (None, Some(value)) => entries.push((key.to_owned(), value)),
            (None, None) => {}
        }
        tree
    }

    /// Returns the paths of all sections of the tree.
    pub(super) fn sections(&self) -> Vec<Vec<Step>> {
        let mut all = Vec::new();
        self.visit(&mut Vec::new(), &mut all);
        all
    }

    fn visit(&self, path: &mut Vec<Step>, all: &mut Vec<Vec<Step>>) {
        match self {
            Tree::Value(_) => {}
            Tree::List(list) => {
                for (n, entry) in list.iter().enumerate() {
                    path.push(Step::Entry(n));
                    entry.visit(path, all);
                    path.pop();
                }
            }
            Tree::Section(entries) => {
                all.push(path.clone());
                for (key, value) in entries {
                    path.push(Step::Key(key.clone()));
                    value.visit(path, all);
                    path.pop();
                }
            }
        }
    }

    /// Returns the tree as YAML.
    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        self.write(0, &mut out);
        out
    }

    fn write(&self, depth: usize, out: &mut String) {
        let indent = "  ".repeat(depth);
        match self {
            Tree::Value(text) => writeln!(out, "{indent}{text}").unwrap(),
            Tree::List(list) if list.is_empty() => writeln!(out, "{indent}[]").unwrap(),
            Tree::Section(entries) if entries.is_empty() => writeln!(out, "{indent}{{}}").unwrap(),
            Tree::List(list) => {
                for entry in list {
                    writeln!(out, "{indent}-").unwrap();
                    entry.write(depth + 1, out);
                }
            }
            Tree::Section(entries) => {
                for (key, value) in entries {
                    match value {
                        Tree::Value(text) => writeln!(out, "{indent}{key}: {text}").unwrap(),
                        _ => {
                            writeln!(out, "{indent}{key}:").unwrap();
                            value.write(depth + 1, out);
                        }
                    }
                }
            }
        }
    }
}

fn value<'a>(first: Event<'a>, events: &mut impl Iterator<Item = Event<'a>>) -> Tree {
    match first {
        Event::Scalar(text, ScalarStyle::Plain, ..) => Tree::Value(text.into_owned()),
        Event::Scalar(text, ..) => Tree::Value(format!("'{}'", text.replace('\'', "''"))),
        Event::SequenceStart(..) => {
            let mut list = Vec::new();
            while let Some(event) = events.next().filter(|e| *e != Event::SequenceEnd) {
                list.push(value(event, events));
            }
            Tree::List(list)
        }
        Event::MappingStart(..) => {
            let mut entries = Vec::new();
            while let Some(Event::Scalar(key, ..)) = events.next() {
                let event = events.next().unwrap();
                entries.push((key.into_owned(), value(event, events)));
            }
            Tree::Section(entries)
        }
        other => panic!("{other:?}"),
    }
}

/// Returns a path as a problem names it: `ports[0].serial`.
pub(super) fn shown(path: &[Step]) -> String {
    let mut out = String::new();
    for step in path {
        match step {
            Step::Key(key) if out.is_empty() => out.push_str(key),
            Step::Key(key) => write!(out, ".{key}").unwrap(),
            Step::Entry(n) => write!(out, "[{n}]").unwrap(),
        }
    }
    out
}

/// Returns a path without the numbers of entries: `ports[].serial`.
pub(super) fn general(path: &[Step]) -> String {
    let general = path.iter().map(|step| match step {
        Step::Key(key) => format!(".{key}"),
        Step::Entry(_) => "[]".to_owned(),
    });
    let general: String = general.collect();
    general.trim_start_matches('.').to_owned()
}

#[test]
fn a_tree_is_written_as_it_was_read() {
    let text = "a: { b: [1-5, '7', {c: \"#01\"}] }\nd: x y\n";
    let tree = Tree::read(text);
    assert_eq!(Tree::read(&tree.text()), tree);
    let [root, a, entry] = &tree.sections()[..] else {
        panic!("{tree:?}");
    };
    assert_eq!(shown(entry), "a.b[2]");
    assert_eq!(general(entry), "a.b[]");
    let changed = tree.with(entry, "c", Some(Tree::Value("2".into())));
    let changed = changed
        .with(root, "d", None)
        .with(a, "e", Some(Tree::List(vec![])));
    assert_eq!(Tree::read("a: { b: [1-5, '7', { c: 2 }], e: [] }"), changed);
    assert_eq!(changed.at(entry), Some(&Tree::read("c: 2")));
}

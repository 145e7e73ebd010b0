//! A configuration as a tree of words, each of which knows where it was written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Where a node was written: index into [`Origins`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct OriginId(pub(crate) u32);

/// One node. Scalars stay the text that was written, so that `0123` and `12e4` survive as names
/// and secrets; the reader of a scalar decides what it means.
///
/// Not `Debug`: the text may be a secret.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) origin: OriginId,
    pub(crate) is: NodeContent,
}

/// The content of a node.
#[derive(Clone)]
pub(crate) enum NodeContent {
    /// A key without a value: as if it had not been written.
    Nothing,
    /// A scalar.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping.
    Map(BTreeMap<String, Node>),
}

impl NodeContent {
    /// Returns the name of this kind of node in a problem.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            NodeContent::Nothing => "nothing",
            NodeContent::Text(_) => "a single value",
            NodeContent::List(_) => "a list",
            NodeContent::Map(_) => "a section with keys of its own",
        }
    }
}

/// The step from the surrounding node to a node.
#[derive(Clone, Debug)]
pub(crate) enum PathStep {
    /// The whole file.
    Root,
    /// `.key`
    Key(Arc<str>),
    /// `[index]`
    Index(usize),
}

/// Where a node was written.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// Index into the files of [`Origins`]; later files override earlier ones.
    pub(crate) file: usize,
    /// 1-based line and column of the value; 0 for the whole file.
    pub(crate) at: (u32, u32),
    /// 1-based line and column of its key; the same as `at` if there is no key.
    pub(crate) key_at: (u32, u32),
    /// The surrounding node.
    pub(crate) parent: Option<OriginId>,
    /// The step from the surrounding node to this node.
    pub(crate) step: PathStep,
}

/// All positions of one configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origins {
    files: Vec<Arc<str>>,
    all: Vec<Origin>,
    /// Each key once, however often it is written.
    keys: BTreeSet<Arc<str>>,
    /// Scalars that were written in quotes.
    quoted: BTreeSet<OriginId>,
}

impl Origins {
    /// Adds a file and returns its number.
    pub(crate) fn add_file(&mut self, name: &str) -> usize {
        self.files.push(name.into());
        self.files.len() - 1
    }

    /// Returns all files, in the order in which they were read.
    pub(crate) fn files(&self) -> &[Arc<str>] {
        &self.files
    }

    /// Adds a position.
    pub(crate) fn add(&mut self, mut origin: Origin) -> OriginId {
        if let PathStep::Key(key) = &mut origin.step {
            match self.keys.get(key) {
                Some(known) => *key = Arc::clone(known),
                None => drop(self.keys.insert(Arc::clone(key))),
            }
        }
        // There are at most as many positions as values, and one for each key and file.
        let id = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        self.all.push(origin);
        OriginId(id)
    }

    /// Remembers that the scalar at this position was written in quotes.
    pub(crate) fn set_quoted(&mut self, id: OriginId) {
        self.quoted.insert(id);
    }

    /// Returns whether the scalar at this position was written in quotes, and so is text and no
    /// number (YAML 1.2.2 §10.3.2: only plain scalars are resolved).
    pub(crate) fn is_quoted(&self, id: OriginId) -> bool {
        self.quoted.contains(&id)
    }

    /// Adds the position of a file as a whole.
    pub(crate) fn whole(&mut self, file: usize) -> OriginId {
        self.add(Origin {
            file,
            at: (0, 0),
            key_at: (0, 0),
            parent: None,
            step: PathStep::Root,
        })
    }

    /// Returns the position with this id, if there is one.
    pub(crate) fn get(&self, id: OriginId) -> Option<&Origin> {
        self.all.get(id.0 as usize)
    }

    /// Returns the number of the file where the node was written: its layer.
    pub(crate) fn layer(&self, id: OriginId) -> usize {
        self.get(id).map_or(0, |o| o.file)
    }

    /// Returns the file where the node was written.
    pub(crate) fn file(&self, id: OriginId) -> Arc<str> {
        self.get(id)
            .and_then(|o| self.files.get(o.file))
            .cloned()
            .unwrap_or_default()
    }

    /// Returns the path of a node: `devices[3].points[2].address`.
    pub(crate) fn path(&self, id: OriginId) -> String {
        let mut steps = Vec::new();
        let mut next = self.get(id);
        while let Some(origin) = next {
            steps.push(&origin.step);
            next = origin.parent.and_then(|p| self.get(p));
        }
        let mut path = String::new();
        for step in steps.into_iter().rev() {
            match step {
                PathStep::Root => {}
                PathStep::Key(key) => {
                    if !path.is_empty() {
                        path.push('.');
                    }
                    // `{ secret:x }` is one key to YAML; the text behind the colon may be a
                    // secret.
                    path.push_str(key.split(':').next().unwrap_or_default());
                }
                PathStep::Index(i) => path.push_str(&format!("[{i}]")),
            }
        }
        path
    }

    /// Returns file and line, `gateway.yaml:41`, for a reference from another problem.
    pub(crate) fn line(&self, id: OriginId) -> String {
        match self.get(id) {
            Some(o) if o.at.0 > 0 => format!("{}:{}", self.file(id), o.at.0),
            _ => self.file(id).to_string(),
        }
    }
}

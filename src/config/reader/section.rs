//! Reads sections of the tree, and notes all problems on the way.
//!
//! A reader whose value is wrong continues with a stand-in: the problem is noted, the result will
//! be thrown away, and the next problem is found as well.

use std::any::type_name;
use std::collections::{BTreeMap, BTreeSet};

use super::amount::{AmountExceeded, CountedAmount, LESS, MOST_TOLD, most_of};
use super::problem::{Expectation, Problem, Report, Severity, SourcePosition};
use super::source::{ReadObstacle, SourceText};
use super::tree::{Node, NodeContent, OriginId, Origins};
use crate::base::text::excerpt;
use crate::config::reader::foreign_words;
use crate::config::reader::suggestions;
use crate::spec::Decimal;

/// The problems that were found so far, and the positions of all nodes.
#[derive(Default)]
pub(crate) struct Notes {
    pub(crate) origins: Origins,
    /// The first problems of each severity.
    problems: Vec<Problem>,
    /// How many errors and warnings there are.
    noted: (usize, usize),
    /// The values and bytes of the files so far.
    spent: CountedAmount,
    /// Whether missing values are not reported: a missing value may be one that could not be
    /// read.
    pub(crate) lenient: bool,
    /// Files that the service cannot read: where they are named, their paths, and the reasons.
    hidden: Vec<(OriginId, String, ReadObstacle)>,
    /// The number of the platform's file among those that were read.
    pub(crate) remote_file: Option<usize>,
    /// Files that every user can change: where they are named, and their paths.
    anybodys: Vec<(OriginId, String)>,
}

/// Returns the command that lets the service read these files, and lets no other user read them.
fn repair(hidden: &[(OriginId, String, ReadObstacle)]) -> String {
    if !hidden.iter().all(|(_, _, h)| h.is_of_the_service) {
        return "the service reads the configuration in /etc/alink-gateway; files there are \
                root:alink-gateway 0640"
            .to_owned();
    }
    let directories = hidden.iter().flat_map(|(_, _, h)| &h.directories);
    let directories: BTreeSet<&str> = directories.map(String::as_str).collect();
    let files = hidden.iter().filter(|(_, _, h)| h.is_file);
    let files = files.map(|(_, path, _)| path.as_str()).collect();
    let parts = [(directories, "0750"), (files, "0640")];
    let parts = parts.iter().filter(|(paths, _)| !paths.is_empty());
    let parts: Vec<String> = parts
        .map(|(paths, mode)| {
            let paths: Vec<&str> = paths.iter().copied().collect();
            for_the_service(&paths.join(" "), mode)
        })
        .collect();
    parts.join(" && ")
}

/// Returns the command that gives these paths to the service, and to no other user.
pub(crate) fn for_the_service(paths: &str, mode: &str) -> String {
    format!("chown root:alink-gateway {paths} && chmod {mode} {paths}")
}

impl Notes {
    /// Returns whether any problem noted so far forbids a start.
    pub(crate) fn failed(&self) -> bool {
        self.noted.0 > 0
    }

    /// Returns how many problems were noted so far.
    pub(crate) const fn noted(&self) -> usize {
        self.noted.0 + self.noted.1
    }

    /// Returns how many errors are noted so far.
    pub(crate) const fn errors(&self) -> usize {
        self.noted.0
    }

    /// Returns whether further errors are only counted, so that working out a suggestion is
    /// wasted.
    pub(crate) const fn is_full(&self) -> bool {
        self.noted.0 >= MOST_TOLD
    }

    /// Counts an error that is too many to be listed.
    const fn count_error(&mut self) {
        self.noted.0 += 1;
    }

    /// Works out a suggestion, unless the problem would not be listed.
    pub(crate) fn unless_full(&self, meant: impl FnOnce() -> Option<String>) -> Option<String> {
        if self.is_full() { None } else { meant() }
    }

    /// Returns all problems, in order.
    pub(crate) fn report(self) -> Report {
        let more = |n: usize| n.saturating_sub(MOST_TOLD);
        Report::new(self.problems, self.origins.files())
            .and_more(more(self.noted.0), more(self.noted.1))
    }

    /// Counts so many values and bytes of text before they are kept.
    ///
    /// # Errors
    /// What there would be too much of.
    pub(crate) fn spend(&mut self, values: usize, text: usize) -> Result<(), AmountExceeded> {
        self.spent.take(values, text)
    }

    /// Notes that there is too much of something.
    pub(crate) fn too_much(&mut self, at: OriginId, position: (u32, u32), much: AmountExceeded) {
        let wrong = Expectation::wanted(much.wanted).hint(LESS);
        self.error_at(at, position, much.said, wrong);
    }

    /// Remembers a file that was named at `origin`, if the service cannot read it or every user
    /// can change it.
    pub(crate) fn look_at(&mut self, source: &SourceText, origin: OriginId) {
        if source.mode.is_some_and(|mode| mode & 0o002 != 0)
            && !self.anybodys.iter().any(|(_, path)| *path == source.path)
        {
            self.anybodys.push((origin, source.path.clone()));
        }
        if let Some(why) = &source.hidden
            && !self.hidden.iter().any(|(_, path, _)| *path == source.path)
        {
            let path = source.path.clone();
            self.hidden.push((origin, path, why.clone()));
        }
    }

    /// Notes one warning for all files that every user can change, and one problem for all files
    /// that the service cannot read: an error if it would not start.
    pub(crate) fn judge_files(&mut self) {
        let anybodys = std::mem::take(&mut self.anybodys);
        let more = and_more(anybodys.len());
        if let Some((at, path)) = anybodys.into_iter().next() {
            let wrong = Expectation::wanted("a file that only its owner can change").hint(format!(
                "chmod o-w {path}: a user who changes it decides what is polled, and where it goes"
            ));
            self.warning(
                at,
                format!("{path}{more}, which every user can change"),
                wrong,
            );
        }
        let hidden = std::mem::take(&mut self.hidden);
        let more = and_more(hidden.len());
        if let Some((at, path, first)) = hidden.first() {
            let wanted = "a file that the service, which runs as alink-gateway, can read";
            let wrong = Expectation::wanted(wanted).hint(repair(&hidden));
            let said = format!("{path}{more}, which the service cannot read: {}", first.why);
            let severity = match hidden.iter().any(|(_, _, h)| h.is_of_the_service) {
                true => Severity::Error,
                false => Severity::Warning,
            };
            self.note(severity, *at, None, "", said, wrong);
        }
    }

    pub(crate) fn error(&mut self, at: OriginId, said: impl Into<String>, wrong: Expectation) {
        self.note(Severity::Error, at, None, "", said.into(), wrong);
    }

    pub(crate) fn warning(&mut self, at: OriginId, said: impl Into<String>, wrong: Expectation) {
        self.note(Severity::Warning, at, None, "", said.into(), wrong);
    }

    /// Notes an error at another line and column than those of `at`.
    pub(crate) fn error_at(
        &mut self,
        at: OriginId,
        position: (u32, u32),
        said: impl Into<String>,
        wrong: Expectation,
    ) {
        self.note(Severity::Error, at, Some(position), "", said.into(), wrong);
    }

    /// Returns whether `at` was written in the platform's file.
    pub(crate) fn is_remote(&self, at: OriginId) -> bool {
        let origin = self.origins.get(at);
        self.remote_file.is_some() && origin.map(|o| o.file) == self.remote_file
    }

    /// Notes a number that was written in quotes, and so is text. A tool that turns one number
    /// into text does so with others as well, and `"0010"` or `"1e3"` may be a name. Returns
    /// false if the value was no such number.
    pub(crate) fn quoted_number(&mut self, node: &Node) -> bool {
        let NodeContent::Text(text) = &node.is else {
            return false;
        };
        if !self.origins.is_quoted(node.origin) {
            return false;
        }
        let said = shown(text);
        let wrong = Expectation::wanted("a number, without quotes");
        let hint = format!("what is in quotes is text: write {said}");
        self.error(node.origin, format!("{said} in quotes"), wrong.hint(hint));
        true
    }

    /// Notes a key that should be inside `at` and is not.
    pub(crate) fn missing(&mut self, at: OriginId, key: &str, wrong: Expectation) {
        if self.lenient {
            return;
        }
        self.note(Severity::Error, at, None, key, "nothing".into(), wrong);
    }

    /// Returns the position of `at` as it is shown to the operator.
    pub(crate) fn position(&self, at: OriginId) -> SourcePosition {
        let (line, column) = self.origins.get(at).map(|o| o.at).unwrap_or_default();
        SourcePosition {
            file: self.origins.file(at),
            line,
            column,
            path: shown_in(&self.origins.path(at), 200),
        }
    }

    fn note(
        &mut self,
        severity: Severity,
        at: OriginId,
        position: Option<(u32, u32)>,
        key: &str,
        said: String,
        wrong: Expectation,
    ) {
        let noted = match severity {
            Severity::Error => &mut self.noted.0,
            Severity::Warning => &mut self.noted.1,
        };
        *noted += 1;
        if *noted > MOST_TOLD {
            return;
        }
        let origin = self.origins.get(at);
        let (line, column) = position.or(origin.map(|o| o.at)).unwrap_or_default();
        let mut path = self.origins.path(at);
        if !key.is_empty() {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(key);
        }
        self.problems.push(Problem {
            severity,
            file: self.origins.file(at),
            line,
            column,
            path: shown_in(&path, 200),
            said,
            wanted: wrong.wanted,
            hint: wrong.hint,
        });
    }
}

/// Returns what was written, shortened to one line of a terminal.
pub(crate) fn shown(text: &str) -> String {
    if text.is_empty() {
        return "\"\"".into();
    }
    // A password in a URL is a secret as well.
    if let Some((scheme, rest)) = text.split_once("://")
        && let Some((_, host)) = rest.rsplit_once('@')
    {
        return shown_in(&format!("{scheme}://***@{host}"), 60);
    }
    shown_in(text, 60)
}

/// Returns a key without what may be its value: `{ secret:x }` is one key to YAML.
pub(crate) fn shown_key(key: &str) -> String {
    match key.split_once(':') {
        Some((word, _)) => format!("{}:…", shown(word)),
        None => shown(key),
    }
}

fn shown_in(text: &str, limit: usize) -> String {
    excerpt(text.as_bytes(), limit)
}

/// One mapping, whose keys are known.
#[derive(Clone, Copy)]
pub(crate) struct Section<'a> {
    pub(crate) origin: OriginId,
    entries: Option<&'a BTreeMap<String, Node>>,
}

impl<'a> Section<'a> {
    /// Opens `node` as a section with these keys. Notes other keys, and a node that is no
    /// section.
    pub(crate) fn open(node: &'a Node, keys: &[&str], notes: &mut Notes) -> Self {
        let entries = match &node.is {
            NodeContent::Map(map) => Some(map),
            other => {
                if !matches!(other, NodeContent::Nothing) {
                    notes.error(
                        node.origin,
                        other.kind(),
                        Expectation::wanted(format!(
                            "a section with keys such as {}",
                            first(keys, 3)
                        )),
                    );
                }
                None
            }
        };
        for (key, value) in entries.into_iter().flatten() {
            if !keys.contains(&key.as_str()) {
                if notes.is_full() {
                    notes.count_error();
                    continue;
                }
                let at = notes.origins.get(value.origin).map(|o| o.key_at);
                let (word, glued) = match key.split_once(':') {
                    Some((word, _)) => (word, true),
                    None => (key.as_str(), false),
                };
                let hint = if glued {
                    Some("a blank is missing after the colon".to_owned())
                } else {
                    let value = match &value.is {
                        NodeContent::Text(text) => Some(text.as_str()),
                        NodeContent::Nothing | NodeContent::List(_) | NodeContent::Map(_) => None,
                    };
                    let foreign = foreign_words::key(word, value, keys);
                    foreign.or_else(|| suggestions::did_you_mean(word, keys.iter().copied()))
                };
                notes.error_at(
                    value.origin,
                    at.unwrap_or_default(),
                    format!("the key {}", shown_key(key)),
                    Expectation::wanted(format!("one of {}", keys.join(", "))).maybe_hint(hint),
                );
            }
        }
        Section {
            origin: node.origin,
            entries,
        }
    }

    /// Opens `node` a second time: its problems are already noted.
    pub(crate) fn again(node: &'a Node) -> Self {
        let entries = match &node.is {
            NodeContent::Map(map) => Some(map),
            NodeContent::Nothing | NodeContent::Text(_) | NodeContent::List(_) => None,
        };
        Section {
            origin: node.origin,
            entries,
        }
    }

    /// Returns the section under `key`, or an empty one.
    pub(crate) fn section(&self, key: &str, keys: &[&str], notes: &mut Notes) -> Section<'a> {
        match self.node(key) {
            Some(node) => Section::open(node, keys, notes),
            None => Section {
                origin: self.origin,
                entries: None,
            },
        }
    }

    /// Notes that `key` should be in this section: where the key stands without a value, or else
    /// where the section begins.
    pub(crate) fn lacks(&self, key: &str, wrong: Expectation, notes: &mut Notes) {
        match self.entries.and_then(|e| e.get(key)) {
            Some(node) => notes.error(node.origin, "nothing", wrong),
            None => notes.missing(self.origin, key, wrong),
        }
    }

    /// Returns whether the node was there and was a section.
    pub(crate) fn is_there(&self) -> bool {
        self.entries.is_some()
    }

    /// Returns the value of `key`, if it has one.
    pub(crate) fn node(&self, key: &str) -> Option<&'a Node> {
        self.entries?
            .get(key)
            .filter(|n| !matches!(n.is, NodeContent::Nothing))
    }

    /// Returns where `key` was written, or where the section itself is.
    pub(crate) fn at(&self, key: &str) -> OriginId {
        self.node(key).map_or(self.origin, |n| n.origin)
    }

    /// Returns the elements of the list `key`, no more than `most`; notes a longer list.
    pub(crate) fn few(&self, key: &str, most: usize, notes: &mut Notes) -> &'a [Node] {
        let list = self.list(key, notes);
        if list.len() > most {
            let said = format!("{} {key}", list.len());
            notes.error(
                self.at(key),
                said,
                Expectation::wanted(format!("at most {most}")),
            );
        }
        list.get(..most).unwrap_or(list)
    }

    /// Returns whether `key` was written and is no list, or a list that is too long, so that its
    /// elements are not known.
    pub(crate) fn is_no_list(&self, key: &str) -> bool {
        self.node(key).is_some_and(|n| match &n.is {
            NodeContent::List(list) => most_of(key).is_some_and(|most| list.len() > most),
            NodeContent::Nothing | NodeContent::Text(_) | NodeContent::Map(_) => true,
        })
    }

    /// Returns the scalar of `key`.
    pub(crate) fn text(&self, key: &str, wanted: &str, notes: &mut Notes) -> Option<&'a str> {
        let node = self.node(key)?;
        match &node.is {
            NodeContent::Text(text) => Some(text),
            other => {
                notes.error(node.origin, other.kind(), Expectation::wanted(wanted));
                None
            }
        }
    }

    /// Returns the value of `key`, if the key was written and `parse` accepts the value.
    pub(crate) fn read<T>(
        &self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, Expectation>,
        notes: &mut Notes,
    ) -> Option<T> {
        let node = self.node(key)?;
        let (said, parsed) = match &node.is {
            NodeContent::Text(text) => (shown(text), parse(text)),
            // The parser's own words for what it wants, whatever was written.
            other => (
                other.kind().to_owned(),
                parse("").map_or_else(Err, |_| Err(Expectation::wanted("a single value"))),
            ),
        };
        match parsed {
            Ok(_) if is_number::<T>() && notes.quoted_number(node) => None,
            Ok(value) => Some(value),
            Err(wrong) => {
                notes.error(node.origin, said, wrong);
                None
            }
        }
    }

    /// Does what [`Section::read`] does, and notes `missing` when the key was not written.
    pub(crate) fn need<T>(
        &self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, Expectation>,
        missing: impl FnOnce() -> Expectation,
        notes: &mut Notes,
    ) -> Option<T> {
        if self.node(key).is_none() {
            self.lacks(key, missing(), notes);
        }
        self.read(key, parse, notes)
    }

    /// Returns the elements of the list `key`, as many as it may have; none if the key was not
    /// written.
    pub(crate) fn list(&self, key: &str, notes: &mut Notes) -> &'a [Node] {
        match self.node(key) {
            None => &[],
            Some(node) => match &node.is {
                NodeContent::List(list) => {
                    let most = most_of(key).unwrap_or(list.len());
                    if list.len() > most {
                        let said = format!("{} {key}", list.len());
                        let wrong = Expectation::wanted(format!("at most {most}"));
                        notes.error(node.origin, said, wrong.hint(LESS));
                    }
                    let list = list.get(..most).unwrap_or(list);
                    for entry in list.iter().filter(|n| matches!(n.is, NodeContent::Nothing)) {
                        notes.error(
                            entry.origin,
                            "nothing",
                            Expectation::wanted("an entry behind the \"-\", or no \"-\""),
                        );
                    }
                    list
                }
                other => {
                    notes.error(
                        node.origin,
                        other.kind(),
                        Expectation::wanted("a list").hint("each entry begins with \"- \""),
                    );
                    &[]
                }
            },
        }
    }
}

fn first(keys: &[&str], n: usize) -> String {
    keys.iter().take(n).copied().collect::<Vec<_>>().join(", ")
}

/// Returns whether a parser returns a number, so that its value has to be written as a number.
/// The type decides this, so that a number that is added to the configuration later needs no
/// further code.
fn is_number<T>() -> bool {
    [
        type_name::<u8>(),
        type_name::<u16>(),
        type_name::<u32>(),
        type_name::<u64>(),
        type_name::<usize>(),
        type_name::<i64>(),
        type_name::<Decimal>(),
    ]
    .contains(&type_name::<T>())
}

/// Returns the words that follow the first of so many entries.
fn and_more(all: usize) -> String {
    match all.saturating_sub(1) {
        0 => String::new(),
        n => format!(" and {n} more"),
    }
}

//! The journal's message catalogs, read as the journal reads them
//! (systemd.io/CATALOG): entries begin `-- id`, then headers, an empty line and
//! the text; lines that begin with `#` are comments.

use std::collections::BTreeMap;

/// The explanation of one kind of entry.
#[derive(Clone, Debug, Default)]
pub(crate) struct Explanation {
    pub(crate) subject: String,
    pub(crate) defined_by: String,
    pub(crate) text: String,
}

impl Explanation {
    /// Returns the fields that the text substitutes: `@NAME@`.
    pub(crate) fn fields(&self) -> Vec<String> {
        let all = format!("{}\n{}", self.subject, self.text);
        let mut pieces = all.split('@').skip(1);
        let mut names = Vec::new();
        while let (Some(name), _) = (pieces.next(), pieces.next()) {
            names.push(name.to_owned());
        }
        names
    }
}

/// Parses a catalog into explanations by id; panics with the line where it is not
/// valid.
pub(crate) fn parse(catalog: &str) -> BTreeMap<String, Explanation> {
    let mut all = BTreeMap::new();
    let mut current: Option<(String, Explanation)> = None;
    let mut in_text = false;
    for line in catalog.lines().filter(|l| !l.starts_with('#')) {
        if let Some(id) = line.strip_prefix("-- ") {
            keep(&mut all, current.take());
            let hex = id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit());
            assert!(hex, "{line:?}");
            current = Some((id.to_owned(), Explanation::default()));
            in_text = false;
            continue;
        }
        let Some((_, entry)) = &mut current else {
            assert!(line.trim().is_empty(), "{line:?} before the first entry");
            continue;
        };
        if in_text {
            entry.text.push_str(line);
            entry.text.push('\n');
        } else if line.is_empty() {
            in_text = true;
        } else if let Some(subject) = line.strip_prefix("Subject: ") {
            subject.clone_into(&mut entry.subject);
        } else if let Some(who) = line.strip_prefix("Defined-By: ") {
            who.clone_into(&mut entry.defined_by);
        } else {
            panic!("{line:?} is no header we use");
        }
    }
    keep(&mut all, current);
    all
}

fn keep(all: &mut BTreeMap<String, Explanation>, entry: Option<(String, Explanation)>) {
    let Some((id, explanation)) = entry else {
        return;
    };
    let twice = all.insert(id.clone(), explanation);
    assert!(twice.is_none(), "{id} is explained twice");
}

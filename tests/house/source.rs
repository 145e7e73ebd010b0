//! Reading Rust sources just well enough to know which paths they mention.
//!
//! Comments and literals are blanked, then every path is collected: `use` trees
//! expanded, and paths in code (`std::fs::read`) as they stand. No parser crate: a
//! lexer of one page is enough for every rule of the house.

use std::fs;
use std::path::{Path, PathBuf};

/// One source file of the repository.
pub(crate) struct Source {
    /// Relative to the repository, with `/`.
    pub(crate) path: String,
    /// As it is on disk.
    pub(crate) text: String,
}

/// A path in a source, and where it stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mention {
    pub(crate) line: usize,
    /// Segments: `["std", "fs", "read"]`; a glob ends in `*`.
    pub(crate) path: Vec<String>,
    /// The name by which a `use` makes it known; `None` for a path in code.
    pub(crate) known_as: Option<String>,
}

/// A word or a sign of a source, with its line.
pub(crate) type Token = (usize, String);

impl Mention {
    /// Returns whether it names `what` (`std::fs`), an item inside it, or, by a glob, a
    /// module around it.
    pub(crate) fn reaches(&self, what: &str) -> bool {
        let mut want = what.split("::");
        for segment in &self.path {
            match want.next() {
                None => return true,
                Some(_) if segment == "*" => return true,
                Some(w) if w == segment => {}
                Some(_) => return false,
            }
        }
        want.next().is_none()
    }

    /// Returns the path as people write it.
    pub(crate) fn shown(&self) -> String {
        self.path.join("::")
    }
}

/// Returns where the repository is.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The documents for those who operate a gateway. Each has a Chinese one beside it
/// (`chinese_documents.rs`), which is in `docs/`, and both are installed (`package.rs`).
pub(crate) const PAGES: [&str; 12] = [
    "README.md",
    "docs/commissioning.md",
    "docs/operation.md",
    "docs/configuration.md",
    "docs/profiles.md",
    "docs/line.md",
    "docs/platform.md",
    "docs/commands.md",
    "docs/storage.md",
    "docs/monitoring.md",
    "docs/error-codes.md",
    "docs/security.md",
];

/// Returns the text of a file of the repository.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Returns where the links of a document lead, as paths of the repository without what is behind
/// `#`; those to other sites and inside the document are left out.
pub(crate) fn links(document: &str, text: &str) -> Vec<String> {
    let inside = text.split("](").skip(1).filter_map(|s| s.split(')').next());
    inside
        .filter(|link| !link.contains("://") && !link.starts_with('#'))
        .map(|link| path_from(document, link.split('#').next().unwrap_or(link)))
        .collect()
}

/// Returns the path of the repository to which a link in `document` leads.
pub(crate) fn path_from(document: &str, link: &str) -> String {
    let mut folders: Vec<&str> = document.split('/').collect();
    folders.pop();
    for part in link.split('/') {
        match part {
            ".." => {
                let up = folders.pop();
                assert!(up.is_some(), "{document}: {link}");
            }
            part => folders.push(part),
        }
    }
    folders.join("/")
}

/// Returns every `.rs` file below `folder`, in order of its path.
pub(crate) fn sources(folder: &str) -> Vec<Source> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(dir) = folders.pop() {
        for entry in fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display())) {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(root()).unwrap().to_str().unwrap();
                found.push(Source {
                    path: name.replace('\\', "/"),
                    text: fs::read_to_string(&path).unwrap(),
                });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Returns the same text with comments and the insides of literals turned to blanks;
/// every line keeps its number.
pub(crate) fn code_of(text: &str) -> String {
    let s: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut i = 0;
    while i < s.len() {
        let end = match s[i] {
            '/' if s.get(i + 1) == Some(&'/') => until(&s, i, |j| s[j] == '\n'),
            '/' if s.get(i + 1) == Some(&'*') => block_comment_end(&s, i),
            '"' => string_end(&s, i + 1),
            'r' if !follows_name(&s, i) => raw_string_end(&s, i).unwrap_or(i),
            '\'' => char_end(&s, i).unwrap_or(i),
            _ => i,
        };
        if end == i {
            out.push(s[i]);
            i += 1;
        } else {
            out.extend(
                s[i..end]
                    .iter()
                    .map(|c| if *c == '\n' { '\n' } else { ' ' }),
            );
            i = end;
        }
    }
    out
}

fn until(s: &[char], from: usize, stop: impl Fn(usize) -> bool) -> usize {
    (from..s.len()).find(|&j| stop(j)).unwrap_or(s.len())
}

fn follows_name(s: &[char], i: usize) -> bool {
    // `b` and `c` may stand before a raw string: br"…", cr"…".
    i > 0 && (s[i - 1].is_alphanumeric() || s[i - 1] == '_') && !matches!(s[i - 1], 'b' | 'c')
}

fn block_comment_end(s: &[char], from: usize) -> usize {
    let (mut depth, mut i) = (0, from);
    while i < s.len() {
        match (s[i], s.get(i + 1)) {
            ('/', Some('*')) => (depth, i) = (depth + 1, i + 2),
            ('*', Some('/')) => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            return i;
        }
    }
    s.len()
}

fn string_end(s: &[char], mut i: usize) -> usize {
    while i < s.len() {
        match s[i] {
            '\\' => i += 2,
            '"' => return i + 1,
            _ => i += 1,
        }
    }
    s.len()
}

fn raw_string_end(s: &[char], from: usize) -> Option<usize> {
    let hashes = s[from + 1..].iter().take_while(|c| **c == '#').count();
    let open = from + 1 + hashes;
    (s.get(open) == Some(&'"')).then(|| {
        until(s, open + 1, |j| {
            s[j] == '"'
                && s[j + 1..]
                    .iter()
                    .take(hashes)
                    .filter(|c| **c == '#')
                    .count()
                    == hashes
        })
        .saturating_add(1 + hashes)
        .min(s.len())
    })
}

/// Returns the end of a character literal; `None` for a lifetime.
fn char_end(s: &[char], from: usize) -> Option<usize> {
    match s.get(from + 1)? {
        '\\' => Some(until(s, from + 3, |j| s[j] == '\'') + 1),
        _ => (s.get(from + 2) == Some(&'\'')).then_some(from + 3),
    }
}

/// Returns every path mentioned in `code` (already without comments and literals).
pub(crate) fn mentions(code: &str) -> Vec<Mention> {
    mentions_in(&tokens(code))
}

/// Returns every path mentioned in `tokens`.
pub(crate) fn mentions_in(tokens: &[Token]) -> Vec<Mention> {
    let mut found = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        if tokens[i].1 == "use" {
            i = use_tree(tokens, i + 1, &[], &mut found);
        } else if is_name(&tokens[i].1) {
            let (line, mut path) = (tokens[i].0, vec![tokens[i].1.clone()]);
            while tokens.get(i + 1).is_some_and(|t| t.1 == "::")
                && tokens.get(i + 2).is_some_and(|t| is_name(&t.1))
            {
                path.push(tokens[i + 2].1.clone());
                i += 2;
            }
            // A single word is a local name, not a way out.
            if path.len() > 1 {
                found.push(Mention {
                    line,
                    path,
                    known_as: None,
                });
            }
        }
        i += 1;
    }
    found
}

/// Returns the lines in which `word` stands in `code` as a whole word.
pub(crate) fn lines_with_word(code: &str, word: &str) -> Vec<usize> {
    let hits = tokens(code).into_iter().filter(|t| t.1 == word);
    hits.map(|t| t.0).collect()
}

/// Expands one `use` tree from `i`; returns the index of the character that ended it.
fn use_tree(tokens: &[Token], mut i: usize, prefix: &[String], found: &mut Vec<Mention>) -> usize {
    let mut path = prefix.to_vec();
    let mut alias = None;
    let (mut ended, mut names_itself) = (false, false);
    while let Some((line, token)) = tokens.get(i) {
        match token.as_str() {
            "::" => {}
            "as" => {
                i += 1;
                alias = tokens.get(i).map(|t| t.1.clone());
            }
            "{" => {
                loop {
                    i = use_tree(tokens, i + 1, &path, found);
                    if tokens.get(i).is_none_or(|t| t.1 != ",") {
                        break;
                    }
                }
                ended = true;
            }
            "," | "}" | ";" => {
                if !ended && (names_itself || path.len() > prefix.len()) {
                    let known_as = alias.or_else(|| path.last().cloned());
                    found.push(Mention {
                        line: *line,
                        path,
                        known_as,
                    });
                }
                return i;
            }
            // `{self}`: the module that stands before the brace.
            "self" if !prefix.is_empty() => names_itself = true,
            name => path.push(name.to_owned()),
        }
        i += 1;
    }
    i
}

pub(crate) fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Returns the words and signs of `code` (already without comments and literals).
pub(crate) fn tokens(code: &str) -> Vec<Token> {
    let mut out = Vec::new();
    for (n, line) in code.lines().enumerate() {
        let mut rest = line;
        while let Some(c) = rest.chars().next() {
            let len = if c.is_alphanumeric() || c == '_' {
                rest.find(|c: char| !c.is_alphanumeric() && c != '_')
                    .unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                c.len_utf8()
            };
            if !c.is_whitespace() {
                out.push((n + 1, rest[..len].to_owned()));
            }
            rest = &rest[len..];
        }
    }
    out
}

//! Translations in the format of gettext (PO), as far as this repository needs it: comments,
//! `msgid`, `msgstr`, and strings over several lines. Plurals and contexts are refused.
//!
//! Strings are not wrapped: a line of a text is a line of the file, so that a changed text is a
//! changed line, and `grep` finds what it looks for.

use std::fmt::Write;

/// A text and its translation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The lines that begin with `#`, as they are.
    pub(crate) comments: Vec<String>,
    /// The text; empty in the entry at the top of a file, which is about the file.
    pub(crate) id: String,
    /// Its translation; empty if there is none yet.
    pub(crate) translation: String,
}

/// The part of an entry that a line in quotes continues.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    None,
    Id,
    Translation,
}

/// Returns the entries of a file in their order, the one at its top included; an error names
/// its line, counted from 1.
pub(crate) fn read(text: &str) -> Result<Vec<Entry>, String> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut part = Part::None;
    let mut comments = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let problem = |what: &str| format!("line {}: {what}: {line}", number + 1);
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        if line.starts_with('#') {
            comments.push(line.to_owned());
            continue;
        }
        let string = if let Some(rest) = line.strip_prefix("msgid ") {
            if part == Part::Id {
                return Err(problem("the msgid before has no msgstr"));
            }
            part = Part::Id;
            entries.push(Entry {
                comments: std::mem::take(&mut comments),
                id: String::new(),
                translation: String::new(),
            });
            rest
        } else if let Some(rest) = line.strip_prefix("msgstr ") {
            if part != Part::Id {
                return Err(problem("a msgstr wants a msgid before it"));
            }
            part = Part::Translation;
            rest
        } else {
            line
        };
        let string = unquoted(string).ok_or_else(|| problem("not a string in quotes"))?;
        match (part, entries.last_mut()) {
            (Part::Id, Some(entry)) => entry.id.push_str(&string),
            (Part::Translation, Some(entry)) => entry.translation.push_str(&string),
            _ => return Err(problem("a string wants a msgid or a msgstr before it")),
        }
    }
    Ok(entries)
}

/// Returns the text of a file with these entries.
pub(crate) fn written(entries: &[Entry]) -> String {
    let mut text = String::new();
    for (at, entry) in entries.iter().enumerate() {
        if at > 0 {
            text.push('\n');
        }
        for comment in &entry.comments {
            writeln!(text, "{comment}").unwrap();
        }
        writeln!(text, "msgid {}", quoted(&entry.id)).unwrap();
        writeln!(text, "msgstr {}", quoted(&entry.translation)).unwrap();
    }
    text
}

/// Returns a string as the format has it, a line for each line of the text.
fn quoted(text: &str) -> String {
    let line = |line: &str| {
        let escaped = line.replace('\\', "\\\\").replace('"', "\\\"");
        format!("\"{}\"", escaped.replace('\n', "\\n").replace('\t', "\\t"))
    };
    if text.trim_end_matches('\n').contains('\n') || text.ends_with('\n') {
        let lines: Vec<String> = text.split_inclusive('\n').map(line).collect();
        format!("\"\"\n{}", lines.join("\n"))
    } else {
        line(text)
    }
}

fn unquoted(string: &str) -> Option<String> {
    let inside = string.strip_prefix('"')?.strip_suffix('"')?;
    let mut text = String::new();
    let mut chars = inside.chars();
    while let Some(c) = chars.next() {
        text.push(match c {
            '\\' => match chars.next()? {
                'n' => '\n',
                't' => '\t',
                other @ ('\\' | '"') => other,
                _ => return None,
            },
            '"' => return None,
            other => other,
        });
    }
    Some(text)
}

#[test]
fn what_is_written_is_read_back() {
    let text = "# about\nmsgid \"\"\nmsgstr \"\"\n\"Language: zh_CN\\n\"\n\"X: y\\n\"\n\n\
                #. type: Cell\n#: README.md\nmsgid \"a \\\"b\\\" \\\\ c\"\nmsgstr \"\"\n";
    let entries = read(text).unwrap();
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0].translation, "Language: zh_CN\nX: y\n");
    assert_eq!(entries[1].id, "a \"b\" \\ c");
    assert_eq!(entries[1].comments, ["#. type: Cell", "#: README.md"]);
    assert_eq!(written(&entries), text);
}

#[test]
fn what_is_not_of_the_format_is_named_with_its_line() {
    for (wrong, line) in [
        ("msgid \"a\"\nmsgid \"b\"\n", "line 2"),
        ("msgstr \"a\"\n", "line 1"),
        ("msgid \"a\"\nmsgstr \"a\n", "line 2"),
        ("msgid \"a\"\nmsgstr \"\\x\"\n", "line 2"),
        ("\"a\"\n", "line 1"),
        ("msgctxt \"a\"\n", "line 1"),
    ] {
        assert!(read(wrong).unwrap_err().starts_with(line), "{wrong}");
    }
}

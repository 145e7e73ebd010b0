//! Translations of documents in the format of gettext (PO): comments, `msgid`, `msgstr`, and
//! strings over several lines. Plurals and contexts are refused; the tool's own reader, which
//! takes them, reads the strings.
//!
//! Strings are not wrapped: a line of a text is a line of the file, so that a changed text is a
//! changed line, and `grep` finds what it looks for.

use std::fmt::Write;

use alink_gateway::cli::language::po;

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

/// Returns the entries of a file in their order, the one at its top included; an error names
/// its line, counted from 1.
pub(crate) fn read(text: &str) -> Result<Vec<Entry>, String> {
    // Each entry begins with its comments or its msgid; both words come once in each, in order.
    let mut comments: Vec<Vec<String>> = Vec::new();
    let mut last = "msgstr";
    let mut waiting = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let problem = |what: &str| Err(format!("line {}: {what}: {line}", number + 1));
        let line = line.trim();
        match line.split('"').next().unwrap_or_default().trim() {
            _ if line.starts_with('#') => waiting.push(line.to_owned()),
            "" => {}
            "msgid" if last == "msgid" => return problem("the msgid before has no msgstr"),
            "msgid" => {
                comments.push(std::mem::take(&mut waiting));
                last = "msgid";
            }
            "msgstr" if last != "msgid" => return problem("a msgstr wants a msgid before it"),
            "msgstr" => last = "msgstr",
            _ => return problem("neither msgid nor msgstr"),
        }
    }
    let (entries, faults) = po::read_whole(text);
    if let Some(fault) = faults.into_iter().next() {
        return Err(fault);
    }
    let entries = entries.into_iter().zip(comments);
    let entries = entries.map(|(entry, comments)| Entry {
        comments,
        id: entry.id,
        translation: entry.text,
    });
    Ok(entries.collect())
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

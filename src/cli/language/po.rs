//! The part of the PO format that the catalogue uses (GNU gettext manual, "The Format of PO
//! Files"): contexts, plurals with one Chinese form, strings over several lines, comments.
//!
//! No library: those that read text at run time are made for files of all kinds and bring
//! plural rules and encodings along; this is a page.

/// One text with its translation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// `msgctxt`: `word` for what is translated only where a word of a closed set is expected.
    pub context: Option<String>,
    /// `msgid`: the English text, or its singular.
    pub id: String,
    /// `msgid_plural`.
    pub plural: Option<String>,
    /// `msgstr`, or `msgstr[0]`.
    pub text: String,
}

/// Reads a file. Returns its entries, without the header, and what is wrong with it, a line each.
#[must_use]
pub fn read(file: &str) -> (Vec<Entry>, Vec<String>) {
    let (mut entries, faults) = read_whole(file);
    // The header's id is empty.
    entries.retain(|entry| !entry.id.is_empty());
    (entries, faults)
}

/// Does the same with the header, the entry whose `id` is empty.
#[must_use]
pub fn read_whole(file: &str) -> (Vec<Entry>, Vec<String>) {
    let (mut entries, mut faults) = (Vec::new(), Vec::new());
    let mut entry = Entry::default();
    let mut open = OpenString::Nothing;
    for (n, line) in file.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (keyword, rest) = match line.find('"') {
            Some(at) => line.split_at(at),
            None => (line, ""),
        };
        let Some(string) = unquoted(rest) else {
            faults.push(format!("line {}: no string in quotes", n + 1));
            continue;
        };
        let next = match keyword.trim() {
            "" => open,
            "msgctxt" => OpenString::Context,
            "msgid" => OpenString::Id,
            "msgid_plural" => OpenString::Plural,
            "msgstr" | "msgstr[0]" => OpenString::Text,
            other => {
                faults.push(format!("line {}: what is {other}?", n + 1));
                continue;
            }
        };
        // The first keyword after a translation begins the next entry.
        let begins =
            matches!(next, OpenString::Context | OpenString::Id) && !keyword.trim().is_empty();
        if begins && open == OpenString::Text {
            entries.push(std::mem::take(&mut entry));
        }
        open = next;
        match open {
            OpenString::Nothing => faults.push(format!("line {}: a string of nothing", n + 1)),
            OpenString::Context => entry.context.get_or_insert_default().push_str(&string),
            OpenString::Id => entry.id.push_str(&string),
            OpenString::Plural => entry.plural.get_or_insert_default().push_str(&string),
            OpenString::Text => entry.text.push_str(&string),
        }
    }
    entries.push(entry);
    (entries, faults)
}

/// The string that continuation lines belong to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OpenString {
    Nothing,
    Context,
    Id,
    Plural,
    Text,
}

/// Reads a string in quotes; `None` if it is none.
fn unquoted(text: &str) -> Option<String> {
    let inside = text.strip_prefix('"')?.strip_suffix('"')?;
    let mut out = String::with_capacity(inside.len());
    let mut chars = inside.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return None,
            '\\' => out.push(match chars.next()? {
                'n' => '\n',
                't' => '\t',
                other @ ('\\' | '"') => other,
                _ => return None,
            }),
            c => out.push(c),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_with_contexts_plurals_and_lines() {
        let file = r##"
# head
msgid ""
msgstr "Content-Type: text/plain; charset=UTF-8\n"

msgctxt "word"
msgid "silent"
msgstr "无应答"

#, c
msgid "{n} device"
msgid_plural "{n} devices"
msgstr[0] "{n} 台设备"
msgid ""
"a \"quoted\" "
"text\n"
msgstr "文本"
"##;
        let (entries, faults) = read(file);
        assert_eq!(faults, [""; 0]);
        let entry = |context: Option<&str>, id: &str, plural: Option<&str>, text: &str| Entry {
            context: context.map(str::to_owned),
            id: id.into(),
            plural: plural.map(str::to_owned),
            text: text.into(),
        };
        assert_eq!(
            entries,
            [
                entry(Some("word"), "silent", None, "无应答"),
                entry(None, "{n} device", Some("{n} devices"), "{n} 台设备"),
                entry(None, "a \"quoted\" text\n", None, "文本"),
            ]
        );
    }

    #[test]
    fn faults_are_told_with_their_lines() {
        let (entries, faults) = read("msgid \"a\nmsgid \"a\"\nmsgwhat \"b\"\nmsgstr \"c\"\n");
        assert_eq!(entries.len(), 1);
        assert_eq!(
            faults,
            ["line 1: no string in quotes", "line 3: what is msgwhat?"]
        );
        assert_eq!(read("\"x\"").1, ["line 1: a string of nothing"]);
    }
}

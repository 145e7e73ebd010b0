//! What the program shows, in the pages: a block of a page behind `<!-- capture NAME -->` is the
//! file `tests/captures/NAME.txt`, or behind `<!-- capture NAME SECTION -->` what is in that file
//! behind `--- SECTION`. The Chinese page has the capture in Chinese, whose file begins with `zh-`.
//!
//! The captures are held to the program by other tests: those of `tests/captures/pages/` by
//! `tests/process/commissioning.rs`, which types the commands, the others by the tests of
//! `src/cli`. `BLESS=1` writes the blocks anew.

use std::fs;

use crate::source::{PAGES, read, root};

/// Returns what a mark of a page names, if it names a capture.
pub(crate) fn named(mark: &str) -> Option<String> {
    let inside = mark.strip_prefix("<!-- capture ")?;
    Some(inside.strip_suffix(" -->")?.to_owned())
}

/// Returns the text of a capture; `prefix` is `zh-` for Chinese.
pub(crate) fn shown(capture: &str, prefix: &str) -> String {
    let (name, section) = match capture.split_once(' ') {
        Some((name, section)) => (name, Some(section)),
        None => (capture, None),
    };
    let (folder, name) = name.rsplit_once('/').unwrap_or(("", name));
    let file = format!("tests/captures/{folder}/{prefix}{name}.txt").replace("//", "/");
    let text = read(&file);
    let Some(section) = section else {
        return text;
    };
    let head = format!("--- {section}\n");
    let begin = text.find(&head);
    let begin = begin.unwrap_or_else(|| panic!("{file} has no section {section}")) + head.len();
    let rest = &text[begin..];
    rest[..rest.find("\n--- ").map_or(rest.len(), |end| end + 1)].to_owned()
}

/// Returns the text of a page with the captures that it names, and how many there are.
fn with_captures(page: &str, text: &str) -> (String, usize) {
    let (mut made, mut rest, mut found) = (String::new(), text, 0);
    while let Some(at) = rest.find("<!-- capture ") {
        let (above, below) = rest.split_at(at);
        let mark = below.lines().next().unwrap_or_default();
        let capture = named(mark).unwrap_or_else(|| panic!("{page}: {mark}"));
        let block = below[mark.len()..].strip_prefix("\n```text\n");
        let block = block.unwrap_or_else(|| panic!("{page}: no ```text behind {mark}"));
        let end = if block.starts_with("```\n") {
            Some(0)
        } else {
            block.find("\n```\n").map(|end| end + 1)
        };
        let end = end.unwrap_or_else(|| panic!("{page}: no end behind {mark}"));
        made.push_str(&format!(
            "{above}{mark}\n```text\n{}```\n",
            shown(&capture, "")
        ));
        rest = &block[end + "```\n".len()..];
        found += 1;
    }
    made.push_str(rest);
    (made, found)
}

#[test]
fn pages_show_what_the_program_shows() {
    let mut all = 0;
    for page in PAGES {
        let text = read(page);
        let (made, found) = with_captures(page, &text);
        all += found;
        if std::env::var_os("BLESS").is_some() {
            fs::write(root().join(page), made).unwrap();
        } else {
            assert!(
                made == text,
                "{page}: a block differs from its capture; BLESS=1 writes it"
            );
        }
    }
    assert!(all >= 10, "{all}");
}

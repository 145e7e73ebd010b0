//! A translated document as a file: pieces put together, comments wrapped, links led on.

use std::collections::BTreeMap;

use super::pieces::{Around, Kind, Piece};

/// Columns of a line with nothing but a comment; a Chinese character takes two.
const WIDTH: usize = 92;

/// The same for a line with code before its comment.
const WIDTH_BEHIND_CODE: usize = 104;

/// A comment behind code has at least so many columns, however far to the right it begins.
const NARROWEST: usize = 64;

/// A line may be so many columns longer or shorter, so that a comment does not end in a line of
/// two characters.
const TOLERANCE: usize = 6;

/// Returns the text of the document, with `translated` for each text.
pub(super) fn assembled(pieces: &[Piece], translated: impl Fn(Kind, &str) -> String) -> String {
    let mut document = String::new();
    for piece in pieces {
        match piece {
            Piece::Same(text) => document.push_str(text),
            Piece::Text { kind, text, around } => {
                let text = translated(*kind, text);
                match around {
                    Around::Nothing => document.push_str(&text),
                    Around::Comment { first, next } => {
                        let is_alone = first.trim() == "#";
                        let width = if is_alone { WIDTH } else { WIDTH_BEHIND_CODE };
                        let width = width.saturating_sub(first.chars().count());
                        let lines = balanced(&text, width.max(NARROWEST));
                        document.push_str(first);
                        document.push_str(&lines.join(&format!("\n{next}")));
                        document.push('\n');
                    }
                }
            }
        }
    }
    document
}

/// Returns a text in lines of about `width` columns: in fewer lines if they need to be only a
/// little wider, otherwise in narrower ones of which the last is not short.
fn balanced(text: &str, width: usize) -> Vec<String> {
    let lines = wrapped(text, width);
    let fewer = wrapped(text, width + TOLERANCE);
    if fewer.len() < lines.len() {
        return fewer;
    }
    let last = |lines: &[String]| lines.last().map_or(0, |l| l.chars().map(columns).sum());
    (width - TOLERANCE..width)
        .map(|width| wrapped(text, width))
        .filter(|narrower| narrower.len() == lines.len() && last(&lines) < 2 * TOLERANCE)
        .max_by_key(|narrower| last(narrower))
        .unwrap_or(lines.clone())
}

/// Returns a text in lines of `width` columns at the most. A line ends at a blank or between
/// Chinese characters, but not before a sign that closes or behind one that opens.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for part in unbroken(text) {
        let columns: usize = part.chars().map(columns).sum();
        let line = lines.last_mut().unwrap();
        if used + columns > width && !line.is_empty() {
            line.truncate(line.trim_end().len());
            lines.push(part.trim_start().to_owned());
            used = part.trim_start().chars().map(self::columns).sum();
        } else {
            line.push_str(&part);
            used += columns;
        }
    }
    lines
}

/// Returns the parts of a text between which a line may end. The blank before a word belongs
/// to the word.
fn unbroken(text: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut before = None;
    for c in text.chars() {
        let is_joined = match before {
            None => false,
            Some(b) => {
                let is_word = !is_wide(b) && b != ' ' && !is_wide(c) && c != ' ';
                b == ' ' || is_word || opens(b) || closes(c)
            }
        };
        match parts.last_mut() {
            Some(part) if is_joined => part.push(c),
            _ => parts.push(c.to_string()),
        }
        before = Some(c);
    }
    parts
}

fn columns(c: char) -> usize {
    if is_wide(c) { 2 } else { 1 }
}

/// Returns whether a character takes two columns (Unicode Standard Annex 11, as far as
/// Chinese texts need it).
fn is_wide(c: char) -> bool {
    ('\u{2e80}'..='\u{ffdc}').contains(&c) || "“”‘’…".contains(c)
}

fn opens(c: char) -> bool {
    "（《【“‘".contains(c)
}

fn closes(c: char) -> bool {
    "，。、；：？！）》】”’…,.;:)".contains(c)
}

/// Returns the anchor of a heading, as GitHub makes it: small letters, without punctuation,
/// with `-` for blanks.
pub(super) fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
    let text: String = heading.chars().filter(kept).collect();
    text.to_lowercase().replace(' ', "-")
}

/// Returns a Markdown text whose links lead from `docs/` where they led from the repository's
/// top; links inside the document lead to the translated headings, by their `anchors`.
pub(super) fn links_led_on(text: &str, anchors: &BTreeMap<String, String>) -> String {
    let mut parts = text.split("](");
    let mut document = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        document.push_str("](");
        if let Some(inside) = part.strip_prefix('#') {
            let (target, rest) = inside.split_once(')').unwrap_or((inside, ""));
            let there = anchors.get(target);
            let there = there.unwrap_or_else(|| panic!("no heading has the anchor #{target}"));
            document.push_str(&format!("#{there}){rest}"));
        } else {
            let target = part.split(')').next().unwrap_or_default();
            match part.strip_prefix("docs/") {
                Some(beside) => document.push_str(beside),
                None if target.contains("://") => document.push_str(part),
                None => document.push_str(&format!("../{part}")),
            }
        }
    }
    document
}

#[test]
fn comments_are_wrapped_between_chinese_characters() {
    assert_eq!(
        wrapped("写入 state_dir，然后", 10),
        ["写入", "state_dir，", "然后"]
    );
    assert_eq!(wrapped("平台（控制台）", 6), ["平台", "（控制", "台）"]);
    assert_eq!(wrapped("a b c", 3), ["a b", "c"]);
}

#[test]
fn links_lead_to_the_same_places() {
    let anchors = BTreeMap::from([("security".to_owned(), "安全".to_owned())]);
    assert_eq!(
        links_led_on(
            "[a](b/c.md) [b](docs/c.md) [d](https://e) [f](#security).",
            &anchors
        ),
        "[a](../b/c.md) [b](c.md) [d](https://e) [f](#安全)."
    );
    assert_eq!(anchor("What is on the wire?"), "what-is-on-the-wire");
    assert_eq!(anchor("RS-485 接线：注意"), "rs-485-接线注意");
}

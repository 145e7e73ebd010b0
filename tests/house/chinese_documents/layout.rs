//! A translated document as a file: pieces put together, comments wrapped, links led on.

use std::collections::BTreeMap;

use super::pieces::{Around, Kind, Piece};
use crate::captures::shown;
use crate::source::path_from;

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
            Piece::Shown(capture) => document.push_str(&shown(capture, "zh-")),
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

/// A document that there is in Chinese: its Chinese file, which is in `docs/`, and the Chinese
/// anchor of each of its headings by the English one.
pub(super) struct Chinese {
    pub(super) file: String,
    pub(super) anchors: BTreeMap<String, String>,
}

/// Returns a Markdown text whose links lead from `docs/` where they led from `document`; a link to
/// a document of `all`, by its English path, leads to the Chinese one and to its heading.
pub(super) fn links_led_on(
    document: &str,
    text: &str,
    all: &BTreeMap<&'static str, Chinese>,
) -> String {
    let mut parts = text.split("](");
    let mut led = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (link, rest) = part.split_once(')').unwrap_or((part, ""));
        led.push_str(&format!("]({}){rest}", link_led_on(document, link, all)));
    }
    led
}

fn link_led_on(document: &str, link: &str, all: &BTreeMap<&'static str, Chinese>) -> String {
    if link.contains("://") {
        return link.to_owned();
    }
    let (file, anchor) = link
        .split_once('#')
        .map_or((link, None), |(f, a)| (f, Some(a)));
    let path = match file {
        "" => document.to_owned(),
        file => path_from(document, file),
    };
    let chinese = all.get(path.as_str());
    let anchor = anchor.map(|anchor| {
        let there = chinese.map_or(Some(anchor), |c| Some(c.anchors.get(anchor)?.as_str()));
        there.unwrap_or_else(|| panic!("{document}: no heading of {path} has the anchor #{anchor}"))
    });
    let path = match chinese {
        _ if file.is_empty() => "",
        Some(chinese) => &chinese.file,
        None => &path,
    };
    let from_docs = match path.strip_prefix("docs/") {
        Some(beside) => beside.to_owned(),
        None if path.is_empty() => String::new(),
        None => format!("../{path}"),
    };
    match anchor {
        Some(anchor) => format!("{from_docs}#{anchor}"),
        None => from_docs,
    }
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
    let chinese = |file: &str, english: &str, anchor: &str| Chinese {
        file: file.to_owned(),
        anchors: BTreeMap::from([(english.to_owned(), anchor.to_owned())]),
    };
    let all = BTreeMap::from([
        (
            "README.md",
            chinese("docs/README.zh_CN.md", "security", "安全"),
        ),
        (
            "docs/line.md",
            chinese("docs/line.zh_CN.md", "wires", "接线"),
        ),
    ]);
    assert_eq!(
        links_led_on(
            "README.md",
            "[a](b/c.md) [b](docs/c.md) [d](https://e) [f](#security) [g](docs/line.md).",
            &all
        ),
        "[a](../b/c.md) [b](c.md) [d](https://e) [f](#安全) [g](line.zh_CN.md)."
    );
    assert_eq!(
        links_led_on(
            "docs/line.md",
            "[a](../b/c.md) [b](c.md#d) [c](#wires) [d](../README.md#security)",
            &all
        ),
        "[a](../b/c.md) [b](c.md#d) [c](#接线) [d](README.zh_CN.md#安全)"
    );
    assert_eq!(anchor("What is on the wire?"), "what-is-on-the-wire");
    assert_eq!(anchor("RS-485 接线：注意"), "rs-485-接线注意");
}

//! The Chinese documents and the Chinese example configuration are made from the English ones and
//! the translations in `docs/zh_CN.po`, and none is missing or out of date.
//!
//! A document is split into its texts (headings, paragraphs, items of lists, cells, comments in
//! code); each is looked up, and the document is put together again. Code stays as it is. After a
//! change of an English text run `BLESS=1 cargo test --features lab --test house chinese`: it
//! adds the new texts to the PO file, each beside the old one with its translation, and writes
//! the documents. Then move the old translation up, correct it, delete the old entry, and run
//! the same again. What is left to do is in the message of the test that fails.
//!
//! A Chinese paragraph is one line. Markdown makes a blank of a line break, and a blank in the
//! middle of a Chinese sentence is a mistake. Comments in code are wrapped all the same: they are
//! read in an editor, or in the manual, as they stand.

#[path = "chinese_documents/checks.rs"]
mod checks;
#[path = "chinese_documents/layout.rs"]
mod layout;
#[path = "chinese_documents/pieces.rs"]
mod pieces;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use saphyr_parser::{Event, Parser};

use crate::po::{self, Entry};
use crate::source::{PAGES, read, root};
use layout::{Chinese, anchor, assembled, links_led_on};
use pieces::{Kind, Piece, of_code, of_markdown};

/// The translations.
const TRANSLATIONS: &str = "docs/zh_CN.po";

const EXAMPLE: &str = "config/gateway.example.yaml";
const CHINESE_EXAMPLE: &str = "docs/gateway.example.zh_CN.yaml";

/// A text of the documents.
struct Text {
    file: &'static str,
    kind: Kind,
    english: String,
}

/// Returns the file of a page in Chinese.
fn chinese_file(page: &str) -> String {
    let name = page.strip_prefix("docs/").unwrap_or(page);
    let name = name.strip_suffix(".md").unwrap_or(name);
    format!("docs/{name}.zh_CN.md")
}

/// Returns the line of a page that leads to the other language: as it is in English, and in
/// Chinese.
fn other_language(page: &str) -> (String, String) {
    let chinese = chinese_file(page);
    match page.strip_prefix("docs/") {
        None => (
            format!("[中文]({chinese})\n"),
            format!("[English](../{page})\n"),
        ),
        Some(name) => (
            format!("[中文]({})\n", &chinese["docs/".len()..]),
            format!("[English]({name})\n"),
        ),
    }
}

/// Returns the English documents in pieces.
fn documents() -> Vec<(&'static str, Vec<Piece>)> {
    let mut documents = Vec::new();
    for page in PAGES {
        let text = read(page);
        let (line, _) = other_language(page);
        let (above, below) = text
            .split_once(&line)
            .unwrap_or_else(|| panic!("{page} has no line {line}"));
        let mut pieces = of_markdown(above);
        pieces.push(Piece::Same(line));
        pieces.extend(of_markdown(below));
        documents.push((page, pieces));
    }
    documents.push((EXAMPLE, of_code(&read(EXAMPLE))));
    documents
}

fn texts() -> Vec<Text> {
    let mut texts = Vec::new();
    for (file, pieces) in documents() {
        for piece in pieces {
            if let Piece::Text { kind, text, .. } = piece {
                texts.push(Text {
                    file,
                    kind,
                    english: text,
                });
            }
        }
    }
    texts
}

fn entries() -> Vec<Entry> {
    po::read(&read(TRANSLATIONS)).unwrap_or_else(|e| panic!("{TRANSLATIONS}: {e}"))
}

/// Returns the translations that there are.
fn translations() -> BTreeMap<String, String> {
    let entries = entries().into_iter();
    let done = entries.filter(|e| !e.translation.is_empty());
    done.map(|e| (e.id, e.translation)).collect()
}

/// Returns the Chinese documents, in English where there is no translation.
fn chinese() -> Vec<(String, String)> {
    let translations = translations();
    let translated = |_: Kind, text: &str| {
        let there = translations.get(text);
        there.map_or(text, String::as_str).to_owned()
    };
    let documents = documents();
    let mut all = BTreeMap::new();
    for (page, pieces) in documents.iter().filter(|(page, _)| *page != EXAMPLE) {
        let headings = pieces.iter().filter_map(|piece| match piece {
            Piece::Text {
                kind: Kind::Heading,
                text,
                ..
            } => Some((anchor(text), anchor(&translated(Kind::Heading, text)))),
            _ => None,
        });
        let chinese = Chinese {
            file: chinese_file(page),
            anchors: headings.collect(),
        };
        all.insert(*page, chinese);
    }
    let mut made = Vec::new();
    for (page, pieces) in &documents {
        let text = assembled(pieces, translated);
        if *page == EXAMPLE {
            made.push((CHINESE_EXAMPLE.to_owned(), text));
            continue;
        }
        let (english, chinese) = other_language(page);
        let (above, below) = text.split_once(&english).unwrap();
        let text = format!(
            "{}{chinese}{}",
            links_led_on(page, above, &all),
            links_led_on(page, below, &all)
        );
        made.push((chinese_file(page), text));
    }
    made
}

/// Writes the PO file anew: an entry for each text, in the order of the documents, and each
/// entry that no text has behind the one that it was behind.
fn bless_translations() {
    let old = entries();
    let mut new: Vec<Entry> = old.iter().take(1).cloned().collect();
    let by_id: BTreeMap<&str, &Entry> = old.iter().map(|e| (e.id.as_str(), e)).collect();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for Text {
        file,
        kind,
        english,
    } in texts()
    {
        let here = format!("#: {file}");
        if let Some(&at) = places.get(&english) {
            let entry: &mut Entry = &mut new[at];
            if !entry.comments.contains(&here) {
                entry.comments.push(here);
            }
            continue;
        }
        let translation = by_id.get(english.as_str());
        let translation = translation
            .map_or("", |e| e.translation.as_str())
            .to_owned();
        places.insert(english.clone(), new.len());
        new.push(Entry {
            comments: vec![format!("#. type: {}", kind.name()), here],
            id: english,
            translation,
        });
    }
    let mut blessed = Vec::new();
    let mut unused: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
    let mut behind = "";
    for entry in &old {
        if entry.id.is_empty() || places.contains_key(&entry.id) {
            behind = &entry.id;
        } else {
            unused.entry(behind).or_default().push(entry);
        }
    }
    for entry in new {
        let left = unused.remove(entry.id.as_str()).unwrap_or_default();
        blessed.push(entry);
        blessed.extend(left.into_iter().cloned());
    }
    fs::write(root().join(TRANSLATIONS), po::written(&blessed)).unwrap();
}

#[test]
fn chinese_documents_are_complete_and_up_to_date() {
    let bless = std::env::var_os("BLESS").is_some();
    if bless {
        bless_translations();
        for (file, text) in chinese() {
            fs::write(root().join(file), text).unwrap();
        }
    }
    let translations = translations();
    let texts = texts();
    let mut wrong = Vec::new();
    for text in &texts {
        if !translations.contains_key(&text.english) {
            wrong.push(format!(
                "{} has no translation: {}",
                text.file, text.english
            ));
        }
    }
    let used: BTreeSet<&str> = texts.iter().map(|t| t.english.as_str()).collect();
    let mut seen = BTreeSet::new();
    for entry in entries().iter().filter(|e| !e.id.is_empty()) {
        if !used.contains(entry.id.as_str()) {
            wrong.push(format!(
                "{TRANSLATIONS} has what is in no document: {}",
                entry.id
            ));
        }
        if !seen.insert(entry.id.clone()) {
            wrong.push(format!("{TRANSLATIONS} has this twice: {}", entry.id));
        }
    }
    for (file, text) in chinese() {
        if fs::read_to_string(root().join(&file)).unwrap_or_default() != text {
            wrong.push(format!(
                "{file} is not what {TRANSLATIONS} makes of the English"
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} to do; the head of tests/house/chinese_documents.rs says how:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(texts.len() > 400, "{} texts", texts.len());
}

#[test]
fn chinese_translations_keep_code_links_numbers_and_names() {
    let translations = translations();
    let texts = texts();
    let headings = texts.iter().filter(|t| t.kind == Kind::Heading);
    let headings: Vec<(&str, &str)> = headings
        .filter_map(|t| Some((t.english.as_str(), translations.get(&t.english)?.as_str())))
        .collect();
    let mut wrong = Vec::new();
    for text in &texts {
        let Some(chinese) = translations.get(&text.english) else {
            continue;
        };
        // A block that stays as it is may have words of other authors.
        if *chinese == text.english {
            continue;
        }
        let mut problems = checks::problems(text.kind, &text.english, chinese);
        for (english, heading) in &headings {
            let named = [format!("*{english}*"), format!("\"{english}\"")];
            if named.iter().any(|n| text.english.contains(n)) && !chinese.contains(heading) {
                problems.push(format!("the section is called {heading}"));
            }
        }
        for problem in problems {
            wrong.push(format!("{problem}\n  {}\n  {chinese}", text.english));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_chinese_example_has_the_same_data() {
    fn events(text: &str) -> Vec<Event<'_>> {
        let events = Parser::new_from_str(text).map(|event| event.unwrap().0);
        events.collect()
    }
    let (english, chinese) = (read(EXAMPLE), read(CHINESE_EXAMPLE));
    let english = events(&english);
    assert!(english.len() > 500);
    assert_eq!(english, events(&chinese));
}

//! `docs/configuration.md` names every key of a configuration, and no other, says what the reader
//! of configurations wants there, and shows nothing that the reader refuses.
//!
//! The page is written by hand where only a person knows what to say: the meanings, the examples,
//! and the defaults. Everything else comes from the program's own reader:
//! - The keys of a section are those that the reader offers for a key that it does not know. So
//!   the reader's own lists are the only ones, and the shipped program carries nothing for this
//!   page. Each key is tried with a section and with a list of sections as its value, so that a
//!   section is found although no example has it. A list of the keys beside those of the reader,
//!   or a record of the keys that are read, would need code in the reader and could miss a key
//!   that no test uses.
//! - The column *Value* is what the reader says it wants, where it does not take any text and the
//!   cell does not say on what it depends. With `BLESS=1` it is written into the page.
//! - A default in `code` is the default: the example means the same with it as without the key.
//!   Where there is *needed*, the example is wrong without the key; elsewhere it is right.
//!
//! For a new key, add it to an example and write a row: `| key | meaning | | default |`. Then run
//! `BLESS=1 cargo test --features lab --test house configuration_reference`.

#[path = "configuration_reference/page.rs"]
mod page;
#[path = "configuration_reference/reader.rs"]
mod reader;
#[path = "configuration_reference/tree.rs"]
mod tree;

use std::collections::BTreeSet;
use std::fs;
use std::sync::LazyLock;

use crate::source::root;
use page::{Part, Row, Table};
use reader::Configuration;
use tree::Step;

const PAGE: &str = "docs/configuration.md";
/// What begins a cell with what a key takes, if that depends on other keys of the example.
const DEPENDS: &str = "depends on";
/// What the text above a snippet says if the reader accepts it and warns.
const WARNED_ABOUT: &str = "with a warning";

/// The page as it is on the disk when the tests begin.
static PARTS: LazyLock<Vec<Part>> = LazyLock::new(|| page::read(&text()));
static CONFIGURATIONS: LazyLock<Vec<Configuration<'static>>> =
    LazyLock::new(|| configurations(&PARTS));
/// What takes the time, and what two tests need.
static SECTIONS: LazyLock<Sections<'static>> = LazyLock::new(|| Sections::of(&CONFIGURATIONS));

fn text() -> String {
    fs::read_to_string(root().join(PAGE)).unwrap_or_else(|e| panic!("{PAGE}: {e}"))
}

/// Returns the snippets of the page as configurations, each with the table of devices below it.
fn configurations(parts: &[Part]) -> Vec<Configuration<'_>> {
    let mut all = Vec::new();
    let mut above = "";
    for part in parts {
        match part {
            Part::Snippet(snippet) => {
                let is_warned_about = above.contains(WARNED_ABOUT);
                all.push(Configuration::around(snippet, is_warned_about));
                above = "";
            }
            Part::Devices(table) => {
                let last: Option<&mut Configuration<'_>> = all.last_mut();
                last.unwrap().table = Some(table);
            }
            Part::Text(text) => above = text,
            Part::Table(_) => {}
        }
    }
    all
}

/// A section of a snippet that has been written, and the keys that the reader knows there.
struct Written<'a> {
    configuration: &'a Configuration<'a>,
    path: Vec<Step>,
    general: String,
    keys: BTreeSet<String>,
}

/// What the reader knows of all snippets.
struct Sections<'a> {
    written: Vec<Written<'a>>,
    /// Paths and keys of all sections, each once.
    all: BTreeSet<(String, Vec<String>)>,
}

impl<'a> Sections<'a> {
    fn of(configurations: &'a [Configuration<'a>]) -> Sections<'a> {
        let mut sections = Sections {
            written: Vec::new(),
            all: BTreeSet::new(),
        };
        let mut tried = BTreeSet::new();
        for configuration in configurations {
            for (general, known) in configuration.sections(&mut tried) {
                for known in known {
                    sections.all.insert((general.clone(), known.keys.clone()));
                    if known.is_written {
                        sections.written.push(Written {
                            configuration,
                            path: known.path,
                            general: general.clone(),
                            keys: known.keys.into_iter().collect(),
                        });
                    }
                }
            }
        }
        sections
    }

    /// Returns an example of a key of a table.
    fn example(&self, tables: &[&Table], table: &Table, key: &str) -> Option<&Written<'a>> {
        let is_of = |section: &&Written<'a>| {
            let here = tables.iter().filter(|t| t.paths.contains(&section.general));
            let is_this = match &table.variant {
                None => true,
                Some(_) => group(here.copied(), table.variant.as_deref()) == section.keys,
            };
            let mut place = section.path.clone();
            place.push(Step::Key(key.to_owned()));
            let is_shown = section.configuration.tree.at(&place).is_some();
            table.paths.contains(&section.general) && is_this && is_shown
        };
        self.written.iter().find(is_of)
    }
}

/// Returns the keys of tables without a variant, and of those with this one.
fn group<'a>(tables: impl Iterator<Item = &'a Table>, variant: Option<&str>) -> BTreeSet<String> {
    let of_it = |table: &&Table| table.variant.is_none() || table.variant.as_deref() == variant;
    let rows = tables.filter(of_it).flat_map(|table| &table.rows);
    rows.map(|row| row.key.clone()).collect()
}

/// Returns the place of a table as it is written above the table.
fn named(path: &str, variant: &Option<String>) -> String {
    let path = if path.is_empty() { "." } else { path };
    let variant: String = variant.iter().map(|v| format!(" / {v}")).collect();
    format!("{path}{variant}")
}

fn tables(parts: &[Part]) -> Vec<&Table> {
    let tables = parts.iter().filter_map(|part| match part {
        Part::Table(table) => Some(table),
        _ => None,
    });
    tables.collect()
}

/// Returns words of the reader as they stand in a table: without what the tables say themselves,
/// and without what is the same for every number.
fn in_a_cell(words: &str) -> String {
    let words = words.split(" with keys such as").next().unwrap_or_default();
    let is_number = words.starts_with("a number like 0.1");
    let words = if is_number { "a number" } else { words };
    words.replace('*', "\\*").replace('|', "\\|")
}

#[test]
fn the_reference_shows_only_what_the_reader_accepts() {
    let mut wrong = Vec::new();
    for configuration in CONFIGURATIONS.iter() {
        let said = match configuration.meaning() {
            Ok((_, warnings)) if configuration.is_warned_about == (warnings.warnings() > 0) => {
                continue;
            }
            Ok((_, warnings)) => warnings,
            Err(report) => report,
        };
        wrong.push(format!("{said}of\n{}", configuration.tree.text()));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_reference_has_every_key_and_no_other() {
    let tables = tables(&PARTS);
    let mut wrong = Vec::new();
    let mut matched: BTreeSet<(String, Option<String>)> = BTreeSet::new();
    for (path, keys) in &SECTIONS.all {
        let here = || tables.iter().copied().filter(|t| t.paths.contains(path));
        let variants: BTreeSet<_> = here().map(|t| t.variant.clone()).collect();
        let keys: BTreeSet<String> = keys.iter().cloned().collect();
        let missing = |v: &Option<String>| &keys - &group(here(), v.as_deref());
        let unknown = |v: &Option<String>| &group(here(), v.as_deref()) - &keys;
        let several = variants.len() > 1;
        let nearest = variants
            .iter()
            .filter(|v| v.is_some() || !several)
            .min_by_key(|v| missing(v).len() + unknown(v).len());
        let Some(variant) = nearest else {
            wrong.push(format!("no table has the section {path:?}: {keys:?}"));
            continue;
        };
        matched.insert((path.clone(), variant.clone()));
        for key in missing(variant) {
            wrong.push(format!(
                "no row for the key {key} of {}",
                named(path, variant)
            ));
        }
        for key in unknown(variant) {
            wrong.push(format!(
                "the reader knows no key {key} of {}",
                named(path, variant)
            ));
        }
    }
    for table in &tables {
        for path in &table.paths {
            let is_found = |(there, variant): &(String, Option<String>)| {
                there == path && (table.variant.is_none() || *variant == table.variant)
            };
            if !matched.iter().any(is_found) {
                wrong.push(format!(
                    "the reader found no section {}",
                    named(path, &table.variant)
                ));
            }
        }
    }
    for (configuration, table) in CONFIGURATIONS.iter().filter_map(|c| Some((c, c.table?))) {
        let (header, _) = table.split_once('\n').unwrap();
        let shown: BTreeSet<String> = header.split(',').map(str::to_owned).collect();
        let mut known: BTreeSet<String> = configuration.columns(table).into_iter().collect();
        // Columns without a fixed name stand in the text above.
        if known.remove("or parameters.NAME") && !text().contains("A column `parameters.NAME`") {
            wrong.push("columns parameters.NAME are not explained".into());
        }
        if shown != known {
            wrong.push(format!("a table of devices has the columns {known:?}"));
        }
    }
    assert!(wrong.is_empty(), "{PAGE}:\n{}", wrong.join("\n"));
    let rows: usize = tables.iter().map(|table| table.rows.len()).sum();
    assert!(rows > 250, "{rows} rows");
}

#[test]
fn the_reference_says_what_the_reader_wants_and_what_the_defaults_are() {
    let tables = tables(&PARTS);
    let mut wrong = Vec::new();
    let mut new = PARTS.clone();
    for part in &mut new {
        let Part::Table(table) = part else { continue };
        let of = table.clone();
        for row in &mut table.rows {
            let place = format!(
                "{} of {}",
                row.key,
                named(&of.paths.join(", "), &of.variant)
            );
            let Some(example) = SECTIONS.example(&tables, &of, &row.key) else {
                wrong.push(format!("no example has {place}"));
                continue;
            };
            let wanted = example.configuration.wanted(&example.path, &row.key);
            if let Some(words) = wanted
                .as_deref()
                .filter(|_| !row.takes.starts_with(DEPENDS))
            {
                row.takes = in_a_cell(words);
            }
            if row.meaning.is_empty() || row.takes.is_empty() || row.default.is_empty() {
                wrong.push(format!("an empty cell: {place}"));
            }
            let fault = default_fault(row, example, wanted.is_some());
            wrong.extend(fault.map(|fault| format!("{place}: {fault}")));
        }
    }
    let new = page::written(&new);
    if std::env::var_os("BLESS").is_some() {
        fs::write(root().join(PAGE), &new).unwrap();
    }
    assert!(wrong.is_empty(), "{PAGE}:\n{}", wrong.join("\n"));
    assert!(
        new == text(),
        "{PAGE} is not what the reader says; BLESS=1 writes it"
    );
}

/// Returns what is wrong with the default of a row.
fn default_fault(row: &Row, example: &Written<'_>, is_read: bool) -> Option<String> {
    let meaning = |value: Option<&str>| {
        let configuration = example.configuration;
        configuration.meaning_with(&example.path, &row.key, value)
    };
    let without = meaning(None);
    if row.default.starts_with("needed") {
        return without.is_ok().then(|| "it may be left out".to_owned());
    }
    let mut place = example.path.clone();
    place.push(Step::Key(row.key.clone()));
    let place = tree::shown(&place);
    if let Err(problems) = &without
        && problems.iter().any(|(at, ..)| *at == place)
    {
        return Some("the example is wrong without it".to_owned());
    }
    let default = row.default.strip_prefix('`')?.split('`').next()?;
    let shown = example.configuration.meaning().ok().map(|(shown, _)| shown);
    let with = meaning(Some(default));
    if with != without {
        return Some(format!("{default} is not the default"));
    }
    let has_effect = is_read || shown != without.ok();
    (!has_effect).then(|| "it has no effect".to_owned())
}

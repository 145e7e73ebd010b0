//! `devices_file:`: devices as a table, one row each.
//!
//! Comma-separated with a header; columns in any order; lines that begin with
//! `#` are comments. Every cell becomes a node with its own line and column, so
//! that rows and YAML entries are read by the same code and complain in the
//! same words.

use std::collections::BTreeMap;

use super::near;
use super::problem::Wrong;
use super::section::{Notes, shown};
use super::tree::{Is, Node, Origin, OriginId, Step};
use super::yaml::position;

/// The columns there can be.
const COLUMNS: [&str; 11] = [
    "name",
    "port",
    "unit",
    "address",
    "profile",
    "device_name",
    "product_key",
    "secret",
    "secret_file",
    "secret_credential",
    "register",
];

/// Without these a row means nothing.
const NEEDED: [&str; 3] = ["name", "port", "profile"];

/// Which of these a device needs, its profile says.
const PLACES: [&str; 2] = ["unit", "address"];

/// What one table says.
#[derive(Default)]
pub(crate) struct Rows {
    /// The devices.
    pub(crate) devices: Vec<Node>,
    /// Whether any row holds a secret.
    pub(crate) secrets: bool,
    /// Whether the header is wrong, so that what a row lacks is not news.
    pub(crate) headless: bool,
}

/// Reads one table.
pub(crate) fn read(bytes: &[u8], file: usize, notes: &mut Notes) -> Rows {
    let whole = notes.origins.whole(file);
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if let Err(e) = std::str::from_utf8(bytes) {
        notes.error_at(
            whole,
            position(&bytes[..e.valid_up_to()]),
            "a byte that is not UTF-8",
            Wrong::wanted("text in UTF-8").hint("save the table as \"CSV UTF-8\""),
        );
        return Rows::default();
    }
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .comment(Some(b'#'))
        .from_reader(bytes);
    let mut header: Option<Vec<Option<&'static str>>> = None;
    let mut rows = Rows::default();
    let mut record = csv::StringRecord::new();
    let mut row = Row::first();
    // Reading from memory cannot fail, and the bytes are UTF-8.
    while let Ok(true) = reader.read_record(&mut record) {
        let start = record
            .position()
            .and_then(|p| usize::try_from(p.byte()).ok())
            .unwrap_or_default();
        row.move_to(bytes, start);
        let Some(columns) = &header else {
            let before = notes.problems.len();
            header = Some(self::header(&record, &row, whole, notes));
            rows.headless = notes.problems.len() > before;
            continue;
        };
        let comment = record
            .get(0)
            .is_some_and(|c| c.trim_start().starts_with('#'));
        if comment || record.iter().all(|cell| cell.trim().is_empty()) {
            continue;
        }
        if record.len() != columns.len() {
            notes.error_at(
                whole,
                (row.line, 1),
                match record.len() {
                    1 => "a row of 1 cell".to_owned(),
                    n => format!("a row of {n} cells"),
                },
                Wrong::wanted(format!("{} cells, as in the header", columns.len())).hint(
                    "an empty cell still needs its comma; a value with a comma in it needs quotes",
                ),
            );
            continue;
        }
        let device = device(&record, columns, &row, file, notes, &mut rows.secrets);
        rows.devices.push(device);
    }
    if header.is_none() {
        notes.error(
            whole,
            "an empty table",
            Wrong::wanted("a header: name,port,unit,profile,device_name,product_key,secret"),
        );
    }
    rows
}

/// Which column is which; one that is not known, or known already, is none.
fn header(
    record: &csv::StringRecord,
    row: &Row<'_>,
    whole: OriginId,
    notes: &mut Notes,
) -> Vec<Option<&'static str>> {
    let mut all_known = true;
    let mut columns: Vec<Option<&'static str>> = Vec::new();
    for (i, cell) in record.iter().enumerate() {
        let cell = cell.trim();
        let known = COLUMNS.iter().find(|c| **c == cell).copied();
        if known.is_none() {
            all_known = false;
            let hint = if record.len() == 1 && cell.contains([';', '\t']) {
                Some("cells are separated by commas".to_owned())
            } else {
                near::did_you_mean(cell, COLUMNS)
            };
            notes.error_at(
                whole,
                (row.line, row.column(i)),
                format!("the column {}", shown(cell)),
                Wrong::wanted(format!("one of {}", COLUMNS.join(", "))).maybe_hint(hint),
            );
        } else if columns.contains(&known) {
            all_known = false;
            notes.error_at(
                whole,
                (row.line, row.column(i)),
                format!("the column {cell} a second time"),
                Wrong::wanted("each column once"),
            );
        }
        columns.push(known.filter(|_| !columns.contains(&known)));
    }
    // A column that is missing may be one whose name is wrong or repeated.
    let lacks = |n: &&str| all_known && !columns.contains(&Some(*n));
    let mut missing: Vec<&str> = NEEDED.into_iter().filter(lacks).collect();
    if PLACES.iter().all(lacks) {
        missing.push("unit or address");
    }
    if !missing.is_empty() {
        notes.error_at(
            whole,
            (row.line, 1),
            format!("no column {}", missing.join(", ")),
            Wrong::wanted(format!(
                "at least the columns {}, and {}",
                NEEDED.join(", "),
                PLACES.join(" or ")
            )),
        );
    }
    columns
}

fn device(
    record: &csv::StringRecord,
    columns: &[Option<&'static str>],
    row: &Row<'_>,
    file: usize,
    notes: &mut Notes,
    secrets: &mut bool,
) -> Node {
    let origin = notes.origins.add(Origin {
        file,
        at: (row.line, 1),
        key_at: (row.line, 1),
        parent: None,
        step: Step::Root,
    });
    let mut cells = BTreeMap::new();
    for (i, (cell, column)) in record.iter().zip(columns).enumerate() {
        let (Some(column), cell) = (column, cell.trim()) else {
            continue;
        };
        if cell.is_empty() {
            continue;
        }
        *secrets |= *column == "secret";
        let at = (row.line, row.column(i));
        let cell_origin = notes.origins.add(Origin {
            file,
            at,
            key_at: at,
            parent: Some(origin),
            step: Step::Key((*column).into()),
        });
        cells.insert(
            (*column).to_owned(),
            Node {
                origin: cell_origin,
                is: Is::Text(cell.to_owned()),
            },
        );
    }
    Node {
        origin,
        is: Is::Map(cells),
    }
}

/// One row as it stands in the file. The csv reader knows where it began to
/// look for a record, which may be a comment or a blank line before it.
struct Row<'a> {
    start: usize,
    line: u32,
    text: &'a str,
}

impl<'a> Row<'a> {
    const fn first() -> Self {
        Row {
            start: 0,
            line: 1,
            text: "",
        }
    }

    /// Goes on to the first real row at or after `start`.
    fn move_to(&mut self, bytes: &'a [u8], start: usize) {
        let rest = |from: usize| bytes.get(from..).unwrap_or_default();
        let newlines = |bytes: &[u8]| bytes.iter().filter(|b| **b == b'\n').count();
        let skipped = bytes.get(self.start..start).unwrap_or_default();
        self.line = self
            .line
            .saturating_add(u32::try_from(newlines(skipped)).unwrap_or(u32::MAX));
        self.start = self.start.max(start);
        loop {
            let rest = rest(self.start);
            let end = rest.iter().position(|b| *b == b'\n');
            let line = &rest[..end.unwrap_or(rest.len())];
            self.text = std::str::from_utf8(line).unwrap_or_default();
            let real = line.first() != Some(&b'#') && !line.trim_ascii().is_empty();
            match end {
                Some(end) if !real => {
                    self.start += end + 1;
                    self.line = self.line.saturating_add(1);
                }
                _ => return,
            }
        }
    }

    /// Where cell `index` begins, 1-based; commas inside quotes do not count.
    fn column(&self, index: usize) -> u32 {
        let mut cell = 0;
        let mut quoted = false;
        for (n, c) in (1u32..).zip(self.text.chars()) {
            if cell == index && !c.is_whitespace() {
                return n;
            }
            match c {
                '"' => quoted = !quoted,
                ',' if !quoted => {
                    cell += 1;
                    if cell > index {
                        return n;
                    }
                }
                _ => {}
            }
        }
        1
    }
}

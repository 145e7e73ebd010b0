//! `devices_file:`: devices as a table, one row each.
//!
//! The table is comma-separated with a header; columns may come in any order; lines that begin
//! with `#` are comments. Every cell becomes a node with its own line and column, so that the
//! same code reads rows and YAML entries, and reports problems in the same words. A column
//! `parameters.NAME` is an entry of `parameters:`; a row whose cell there is empty gives none.
//!
//! RFC 4180 lets a quoted cell go on over several lines. Here a row is a line: no value of a
//! device has a line break. A surplus quotation mark would otherwise swallow the rows behind it,
//! into a secret for example, and the remaining rows would look right. A damaged line is an error
//! of that line, and the next line is read as if the damaged line were not there.

use std::collections::BTreeMap;

use crate::base::text::counted;
use crate::config::reader::amount::{LESS, MOST_COLUMNS, MOST_DEVICES};
use crate::config::reader::problem::Expectation;
use crate::config::reader::section::{Notes, shown};
use crate::config::reader::suggestions;
use crate::config::reader::tree::{Node, NodeContent, Origin, OriginId, PathStep};
use crate::config::reader::word_parsers::parameter;
use crate::config::reader::yaml::position;

/// The columns that a table may have.
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

/// What the names of the columns for parameters begin with.
const PARAMETER: &str = "parameters.";

/// The columns that every row needs.
const NEEDED: [&str; 3] = ["name", "port", "profile"];

/// The columns of a device's place; the profile says which of them a device needs.
const PLACES: [&str; 2] = ["unit", "address"];

/// The rows of one table.
#[derive(Default)]
pub(crate) struct Rows {
    /// The devices.
    pub(crate) devices: Vec<Node>,
    /// Whether any row holds a secret.
    pub(crate) secrets: bool,
    /// Whether the header is wrong, so that missing cells are not reported.
    pub(crate) headless: bool,
}

/// What a column gives each device.
#[derive(Clone, PartialEq, Eq)]
enum Column {
    /// The value of a key.
    Key(&'static str),
    /// The value of a parameter of its profile.
    Parameter(String),
}

impl Column {
    /// Parses the name of a column.
    fn parse(name: &str) -> Option<Column> {
        match name.strip_prefix(PARAMETER) {
            Some(name) => parameter(name).ok().map(Column::Parameter),
            None => {
                let known = COLUMNS.iter().find(|column| **column == name);
                known.map(|column| Column::Key(column))
            }
        }
    }
}

/// Says what a column can be.
fn wanted() -> Expectation {
    let columns = COLUMNS.join(", ");
    Expectation::wanted(format!("one of {columns}, or parameters.NAME"))
}

/// Returns what was perhaps meant by the name of a column.
fn meant(name: &str) -> Option<String> {
    let hint = "a parameter of the profile has a column of its own, like parameters.ct_ratio";
    match name.split_once('.') {
        // The part before the point is known or a typing error, and the part behind it no name.
        Some((first, rest)) => {
            let whole = format!("{PARAMETER}{rest}");
            let is_near = suggestions::nearest(first, ["parameters"]).is_some();
            match is_near && Column::parse(&whole).is_some() {
                true => Some(format!("did you mean {whole}?")),
                false => Some(hint.to_owned()),
            }
        }
        None if suggestions::nearest(name, ["parameters"]).is_some() => Some(hint.to_owned()),
        None => suggestions::did_you_mean(name, COLUMNS),
    }
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
            Expectation::wanted("text in UTF-8").hint(SAVE),
        );
        return Rows::default();
    }
    let mut header: Option<Vec<Option<Column>>> = None;
    let mut rows = Rows::default();
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    for (number, line) in (1u32..).zip(text.split('\n')) {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let comment = line.starts_with('#');
        let row =
            match sound(line).and_then(|()| if comment { Ok(Vec::new()) } else { cells(line) }) {
                Ok(cells) => TableRow {
                    line: number,
                    cells,
                },
                Err(damage) => {
                    notes.error_at(whole, (number, damage.column), damage.said, damage.wrong);
                    if header.is_some() {
                        continue;
                    }
                    rows.headless = true;
                    return rows;
                }
            };
        if row.is_blank() {
            continue;
        }
        let Some(columns) = &header else {
            let before = notes.noted();
            header = Some(self::header(&row, whole, notes));
            rows.headless = notes.noted() > before;
            continue;
        };
        if row.is_comment() {
            continue;
        }
        if row.cells.len() != columns.len() {
            notes.error_at(
                whole,
                (row.line, 1),
                format!("a row of {}", counted(row.cells.len(), "cell")),
                Expectation::wanted(format!(
                    "{}, as in the header",
                    counted(columns.len(), "cell")
                ))
                .hint(
                    "an empty cell still needs its comma; a value with a comma in it needs quotes",
                ),
            );
            continue;
        }
        if rows.devices.len() >= MOST_DEVICES {
            let wrong = Expectation::wanted(format!("at most {MOST_DEVICES} rows")).hint(LESS);
            let said = format!("more than {MOST_DEVICES} devices in one table");
            notes.error_at(whole, (row.line, 1), said, wrong);
            break;
        }
        if let Err(much) = notes.spend(1 + row.cells.len(), line.len()) {
            notes.too_much(whole, (row.line, 1), much);
            break;
        }
        let device = device(&row, columns, file, notes, &mut rows.secrets);
        rows.devices.push(device);
    }
    if header.is_none() {
        notes.error(
            whole,
            "an empty table",
            Expectation::wanted("a header: name,port,unit,profile,device_name,product_key,secret"),
        );
    }
    rows
}

/// Returns what each column gives; `None` for an unknown or repeated name.
fn header(row: &TableRow, whole: OriginId, notes: &mut Notes) -> Vec<Option<Column>> {
    let mut all_known = true;
    let mut columns: Vec<Option<Column>> = Vec::new();
    for TableCell { text, column } in &row.cells {
        let cell = text.trim();
        let known = Column::parse(cell);
        let again = known.is_some() && columns.contains(&known);
        all_known &= known.is_some() && !again;
        if known.is_none() {
            let hint = if row.cells.len() == 1 && cell.contains([';', '\t', '|']) {
                Some("cells are separated by commas".to_owned())
            } else {
                meant(cell)
            };
            notes.error_at(
                whole,
                (row.line, *column),
                format!("the column {}", shown(cell)),
                wanted().maybe_hint(hint),
            );
        } else if again {
            notes.error_at(
                whole,
                (row.line, *column),
                format!("the column {cell} a second time"),
                Expectation::wanted("each column once"),
            );
        }
        columns.push(known.filter(|_| !again));
    }
    // A missing column may be a column whose name is wrong or repeated.
    let has = |n: &str| {
        let is_it = |column: &Option<Column>| matches!(column, Some(Column::Key(key)) if *key == n);
        columns.iter().any(is_it)
    };
    let lacks = |n: &&str| all_known && !has(n);
    let mut missing: Vec<&str> = NEEDED.into_iter().filter(lacks).collect();
    if PLACES.iter().all(lacks) {
        missing.push("unit or address");
    }
    if !missing.is_empty() {
        notes.error_at(
            whole,
            (row.line, 1),
            format!("no column {}", missing.join(", ")),
            Expectation::wanted(format!(
                "at least the columns {}, and {}",
                NEEDED.join(", "),
                PLACES.join(" or ")
            )),
        );
    }
    columns
}

fn device(
    row: &TableRow,
    columns: &[Option<Column>],
    file: usize,
    notes: &mut Notes,
    secrets: &mut bool,
) -> Node {
    let mut origin = |at, parent, step| {
        notes.origins.add(Origin {
            file,
            at,
            key_at: at,
            parent,
            step,
        })
    };
    let device = origin((row.line, 1), None, PathStep::Root);
    let mut cells = BTreeMap::new();
    let mut parameters: Option<(OriginId, BTreeMap<String, Node>)> = None;
    for (cell, column) in row.cells.iter().zip(columns) {
        let at = (row.line, cell.column);
        let (Some(column), cell) = (column, cell.text.trim()) else {
            continue;
        };
        if cell.is_empty() {
            continue;
        }
        let is = NodeContent::Text(cell.to_owned());
        match column {
            Column::Key(key) => {
                *secrets |= *key == "secret";
                let origin = origin(at, Some(device), PathStep::Key((*key).into()));
                cells.insert((*key).to_owned(), Node { origin, is });
            }
            Column::Parameter(name) => {
                let (of_all, all) = parameters.get_or_insert_with(|| {
                    let step = PathStep::Key("parameters".into());
                    (origin(at, Some(device), step), BTreeMap::new())
                });
                let origin = origin(at, Some(*of_all), PathStep::Key(name.as_str().into()));
                all.insert(name.clone(), Node { origin, is });
            }
        }
    }
    if let Some((origin, all)) = parameters {
        let is = NodeContent::Map(all);
        cells.insert("parameters".to_owned(), Node { origin, is });
    }
    Node {
        origin: device,
        is: NodeContent::Map(cells),
    }
}

/// One row as it stands in the file.
struct TableRow {
    line: u32,
    cells: Vec<TableCell>,
}

/// One cell: its text without quotation marks, and its column, 1-based.
struct TableCell {
    text: String,
    column: u32,
}

impl TableRow {
    fn is_blank(&self) -> bool {
        self.cells.iter().all(|cell| cell.text.trim().is_empty())
    }

    /// Returns whether the row is a comment. A spreadsheet puts a comment with a comma in it into
    /// quotes.
    fn is_comment(&self) -> bool {
        let first = self.cells.first();
        first.is_some_and(|cell| cell.text.trim_start().starts_with('#'))
    }
}

/// What is wrong with a line as such, and in which column.
struct LineDamage {
    column: u32,
    said: String,
    wrong: Expectation,
}

/// How to save a table in the right format.
const SAVE: &str = "save the table as \"CSV UTF-8\"";

/// Refuses characters that no table has and that are invisible.
fn sound(line: &str) -> Result<(), LineDamage> {
    let mut chars = (1u32..).zip(line.chars());
    let Some((column, c)) = chars.find(|(_, c)| (c.is_control() && *c != '\t') || *c == '\u{feff}')
    else {
        return Ok(());
    };
    let (said, hint) = match c {
        '\0' => ("a NUL character".to_owned(), SAVE),
        '\r' => (
            "a carriage return that ends no line".to_owned(),
            "save the table with the line ends of Windows or Unix",
        ),
        '\u{feff}' => (
            "a byte order mark that does not begin the file".to_owned(),
            "two files have been put together, or it was saved twice: save the table anew",
        ),
        c => (format!("a control character, {}", c.escape_unicode()), SAVE),
    };
    Err(LineDamage {
        column,
        said,
        wrong: Expectation::wanted("characters that can be seen").hint(hint),
    })
}

/// Splits a line into its cells. A quoted cell may hold commas and, doubled, quotation marks (RFC
/// 4180 §2); blanks around its quotation marks are ignored.
fn cells(line: &str) -> Result<Vec<TableCell>, LineDamage> {
    let marks = |column, said: &str, hint: &str| LineDamage {
        column,
        said: said.to_owned(),
        wrong: Expectation::wanted("quotation marks around a whole cell, or none").hint(hint),
    };
    let mut cells = Vec::new();
    let mut chars = (1u32..).zip(line.chars()).peekable();
    loop {
        if cells.len() >= MOST_COLUMNS {
            return Err(LineDamage {
                column: 1,
                said: format!("a row of more than {MOST_COLUMNS} cells"),
                wrong: Expectation::wanted(format!(
                    "some of the columns {}, parameters.NAME",
                    COLUMNS.join(", ")
                )),
            });
        }
        let mut text = String::new();
        while let Some((_, c)) = chars.next_if(|(_, c)| c.is_whitespace()) {
            text.push(c);
        }
        let column = chars.peek().map_or(1, |(column, _)| *column);
        if chars.next_if(|(_, c)| *c == '"').is_some() {
            text.clear();
            loop {
                match chars.next() {
                    None => {
                        return Err(marks(
                            column,
                            "a quotation mark that is not closed on its line",
                            "a cell does not go on in the next line; a quotation mark that is part of a value is doubled",
                        ));
                    }
                    Some((_, '"')) if chars.next_if(|(_, c)| *c == '"').is_none() => break,
                    Some((_, c)) => text.push(c),
                }
            }
            while chars.next_if(|(_, c)| c.is_whitespace()).is_some() {}
            if let Some((column, _)) = chars.peek().filter(|(_, c)| *c != ',') {
                return Err(marks(
                    *column,
                    "text behind a closing quotation mark",
                    "a comma is missing, or a quotation mark that is part of a value is not doubled",
                ));
            }
        }
        while let Some((column, c)) = chars.next_if(|(_, c)| *c != ',') {
            if c == '"' {
                return Err(marks(
                    column,
                    "a quotation mark within a cell",
                    "a value with a quotation mark in it is quoted, and the mark doubled",
                ));
            }
            text.push(c);
        }
        cells.push(TableCell { text, column });
        if chars.next().is_none() {
            return Ok(cells);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(line: &str) -> Result<Vec<String>, (u32, String)> {
        cells(line)
            .map(|cells| cells.into_iter().map(|cell| cell.text).collect())
            .map_err(|damage| (damage.column, damage.said))
    }

    #[test]
    fn cells_are_separated_by_commas_and_may_be_quoted() {
        for (line, expected) in [
            ("a,b", vec!["a", "b"]),
            ("a,,", vec!["a", "", ""]),
            ("", vec![""]),
            (r#""a,b",c"#, vec!["a,b", "c"]),
            (r#" "a" , b"#, vec!["a", " b"]),
            (r#""6"" pipe""#, vec![r#"6" pipe"#]),
            (r#""","""#, vec!["", ""]),
        ] {
            let expected = expected.into_iter().map(str::to_owned).collect();
            assert_eq!(texts(line), Ok(expected), "{line}");
        }
    }

    #[test]
    fn a_damaged_line_says_where() {
        for (line, column, said) in [
            (
                r#"a,"b"#,
                3,
                "a quotation mark that is not closed on its line",
            ),
            (
                r#"a,"b"""#,
                3,
                "a quotation mark that is not closed on its line",
            ),
            (r#"a,b"c"#, 4, "a quotation mark within a cell"),
            (r#""a"b,c"#, 4, "text behind a closing quotation mark"),
            (r#""a" "b""#, 5, "text behind a closing quotation mark"),
        ] {
            assert_eq!(texts(line), Err((column, said.to_owned())), "{line}");
        }
        assert!(texts(&",".repeat(MOST_COLUMNS)).is_err());
        assert!(texts(&",".repeat(MOST_COLUMNS - 1)).is_ok());
    }

    #[test]
    fn what_cannot_be_seen_is_damage_and_a_tab_is_not() {
        let at = |line: &str| sound(line).map_err(|damage| damage.column);
        assert_eq!(at("a,\tb"), Ok(()));
        for (line, column) in [("a\0", 2), ("\ra", 1), ("ab\u{feff}", 3), ("\u{1b}[31m", 1)] {
            assert_eq!(at(line), Err(column), "{line:?}");
        }
    }
}

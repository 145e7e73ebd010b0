//! Tables of spreadsheets: which character separates the cells, and the rows with their lines.

use super::ImportRefusal;

/// The most rows that are read.
const MOST_ROWS: usize = 50_000;

/// The most cells of a row.
const MOST_CELLS: usize = 200;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The line where it begins, 1-based.
    pub line: u32,
    /// The cells, without blanks around them.
    pub cells: Vec<String>,
}

impl Row {
    /// Returns a cell; empty if the row is shorter.
    #[must_use]
    pub fn cell(&self, n: usize) -> &str {
        self.cells.get(n).map_or("", String::as_str)
    }
}

/// Reads a table; blank rows, rows of a comment (`#`) and rules of Markdown are left out.
///
/// # Errors
/// It is no table, or too much.
pub fn read(text: &str) -> Result<Vec<Row>, ImportRefusal> {
    // Excel takes the separator from a first line of this form, and hides it.
    let first = text.lines().next().unwrap_or_default();
    let told = first.trim().strip_prefix("sep=");
    let told = told.and_then(|sep| sep.bytes().next());
    match told {
        Some(separator) => {
            // Blank instead of gone, so that the lines count as in the file.
            let rest = text.get(first.len()..).unwrap_or_default();
            rows(rest, separator)
        }
        None => rows(text, separator(text)),
    }
}

/// Returns the separator that gives most rows the same number of cells, more than one; of several,
/// the one with more cells.
fn separator(text: &str) -> u8 {
    let head: String = text.split_inclusive('\n').take(60).collect();
    let worth = |separator: u8| {
        let rows = rows(&head, separator).unwrap_or_default();
        let mut counts = std::collections::BTreeMap::<usize, usize>::new();
        for row in rows.iter().filter(|row| row.cells.len() > 1) {
            *counts.entry(row.cells.len()).or_default() += 1;
        }
        counts.into_iter().map(|(cells, rows)| (rows, cells)).max()
    };
    let all = [b'\t', b';', b'|', b','];
    let best = all.into_iter().max_by_key(|separator| worth(*separator));
    best.unwrap_or(b',')
}

fn rows(text: &str, separator: u8) -> Result<Vec<Row>, ImportRefusal> {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(separator)
        .has_headers(false)
        .flexible(true)
        // A table of Markdown has no quotes; an inch mark may stand alone in a cell.
        .quoting(separator != b'|')
        .from_reader(text.as_bytes());
    let mut all = Vec::new();
    let mut record = csv::StringRecord::new();
    loop {
        match reader.read_record(&mut record) {
            Ok(true) => {}
            Ok(false) => return Ok(all),
            Err(e) => {
                let line = e.position().map_or(0, |p| p.line());
                let line = u32::try_from(line).unwrap_or(0);
                let why = e.to_string();
                return Err(ImportRefusal::Malformed {
                    line,
                    format: "CSV",
                    why,
                });
            }
        }
        if record.len() > MOST_CELLS || all.len() >= MOST_ROWS {
            return Err(ImportRefusal::TooMuch);
        }
        let line = record.position().map_or(0, |p| p.line());
        let line = u32::try_from(line).unwrap_or(0);
        let mut cells: Vec<String> = record.iter().map(one_line).collect();
        if separator == b'|' {
            // `| a | b |`
            let is_framed = cells.first().is_some_and(String::is_empty);
            cells.drain(..usize::from(is_framed));
            let is_closed = cells.last().is_some_and(String::is_empty);
            cells.truncate(cells.len() - usize::from(is_closed));
        }
        let is_rule = cells.iter().all(|c| c.chars().all(|c| "-: ".contains(c)));
        let is_comment = cells.first().is_some_and(|c| c.starts_with('#'));
        if !is_rule && !is_comment {
            all.push(Row { line, cells });
        }
    }
}

/// Returns the text of a cell on one line; a spreadsheet marks text with `'` or writes `="0001"`.
fn one_line(cell: &str) -> String {
    let words: Vec<&str> = cell.split_whitespace().collect();
    let text = words.join(" ");
    let formula = text.strip_prefix("=\"").and_then(|t| t.strip_suffix('"'));
    let plain = formula.or(text.strip_prefix('\''));
    plain.map(str::to_owned).unwrap_or(text)
}

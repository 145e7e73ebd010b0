//! TOML to a [`Tree`].

use toml::de::{DeTable, DeValue};

use super::ImportRefusal;
use super::tree::{Tree, TreeValue, ValueAllowance};

/// Reads a text.
///
/// # Errors
/// It is not TOML, or too much.
pub fn read(text: &str) -> Result<Tree, ImportRefusal> {
    let lines = Lines::of(text);
    let table = DeTable::parse(text).map_err(|e| ImportRefusal::Malformed {
        line: e.span().map_or(0, |span| lines.at(span.start)),
        format: "TOML",
        why: e.message().to_owned(),
    })?;
    let mut left = ValueAllowance::default();
    map(table.get_ref(), &lines, 1, &mut left, 0)
}

fn map(
    table: &DeTable<'_>,
    lines: &Lines,
    line: u32,
    left: &mut ValueAllowance,
    depth: usize,
) -> Result<Tree, ImportRefusal> {
    left.take(depth)?;
    // The crate sorts keys; the order of the file is found again by their places.
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let entry = |(key, value): (
        &toml::Spanned<std::borrow::Cow<'_, str>>,
        &toml::Spanned<DeValue<'_>>,
    )| {
        let line = lines.at(value.span().start);
        let value = tree(value.get_ref(), lines, line, left, depth + 1)?;
        Ok((key.get_ref().to_string(), value))
    };
    let entries = entries
        .into_iter()
        .map(entry)
        .collect::<Result<_, ImportRefusal>>()?;
    Ok(Tree {
        line,
        is: TreeValue::Map(entries),
    })
}

fn tree(
    value: &DeValue<'_>,
    lines: &Lines,
    line: u32,
    left: &mut ValueAllowance,
    depth: usize,
) -> Result<Tree, ImportRefusal> {
    let is = match value {
        DeValue::Table(table) => return map(table, lines, line, left, depth),
        DeValue::Array(list) => {
            let mut all = Vec::new();
            for value in list.iter() {
                let line = lines.at(value.span().start);
                all.push(tree(value.get_ref(), lines, line, left, depth + 1)?);
            }
            TreeValue::List(all)
        }
        DeValue::String(text) => TreeValue::Text(text.to_string()),
        DeValue::Integer(number) => {
            let digits = number.as_str().replace('_', "");
            let value = i128::from_str_radix(digits.trim_start_matches('+'), number.radix());
            TreeValue::Text(value.map_or(digits.clone(), |n| n.to_string()))
        }
        DeValue::Float(number) => TreeValue::Text(number.as_str().replace('_', "")),
        DeValue::Boolean(is) => TreeValue::Text(is.to_string()),
        DeValue::Datetime(moment) => TreeValue::Text(moment.to_string()),
    };
    left.take(depth)?;
    Ok(Tree { line, is })
}

/// Where the lines of a text begin.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Lines {
        let ends = text.bytes().enumerate().filter(|(_, b)| *b == b'\n');
        Lines(ends.map(|(at, _)| at).collect())
    }

    fn at(&self, byte: usize) -> u32 {
        let before = self.0.partition_point(|end| *end < byte);
        u32::try_from(before + 1).unwrap_or(0)
    }
}

//! The page: its tables of keys, and its snippets.

/// A row of a table: a key, what it means, what it takes and what it is by default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) key: String,
    pub(super) meaning: String,
    pub(super) takes: String,
    pub(super) default: String,
}

/// A table of keys, and the sections of a configuration that have them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    /// `ports[].serial`; the whole configuration is an empty path.
    pub(super) paths: Vec<String>,
    /// Which of the sections at these paths, if not all of them have the same keys.
    pub(super) variant: Option<String>,
    pub(super) rows: Vec<Row>,
}

/// A part of the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    Table(Table),
    /// A part of a configuration.
    Snippet(String),
    /// A table of devices.
    Devices(String),
}

const KEYS: (&str, &str) = ("<!-- keys: ", " -->");
const HEAD: &str = "| Key | Meaning | Value | Default |\n|---|---|---|---|\n";

/// Reads the page.
pub(super) fn read(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (line, below) = rest.split_once('\n').unwrap_or((rest, ""));
        let block = ["```yaml", "```csv"].contains(&line);
        if let Some(places) = line
            .strip_prefix(KEYS.0)
            .and_then(|l| l.strip_suffix(KEYS.1))
        {
            let below = below.strip_prefix(HEAD);
            let below = below.unwrap_or_else(|| panic!("below {line} there should be\n{HEAD}"));
            let end = below.find("\n\n").map_or(below.len(), |end| end + 1);
            parts.push(Part::Table(table(places, &below[..end])));
            rest = &below[end..];
        } else if block {
            let (inside, after) = below.split_once("```\n").unwrap();
            let inside = inside.to_owned();
            parts.push(match line {
                "```yaml" => Part::Snippet(inside),
                _ => Part::Devices(inside),
            });
            rest = after;
        } else {
            match parts.last_mut() {
                Some(Part::Text(text)) => text.push_str(&format!("{line}\n")),
                _ => parts.push(Part::Text(format!("{line}\n"))),
            }
            rest = below;
        }
    }
    parts
}

fn table(places: &str, rows: &str) -> Table {
    let (paths, variant) = match places.split_once(" / ") {
        Some((paths, variant)) => (paths, Some(variant.to_owned())),
        None => (places, None),
    };
    let paths = paths.split(", ").map(|path| match path {
        "." => String::new(),
        path => path.to_owned(),
    });
    let row = |line: &str| {
        let cells = line.strip_prefix('|').and_then(|l| l.strip_suffix('|'));
        let cells = cells.unwrap_or_else(|| panic!("no row: {line}"));
        let cells: Vec<&str> = cells.split('|').map(str::trim).collect();
        let [key, meaning, takes, default] = cells[..] else {
            panic!("not four cells: {line}");
        };
        Row {
            key: key.trim_matches('`').to_owned(),
            meaning: meaning.to_owned(),
            takes: takes.to_owned(),
            default: default.to_owned(),
        }
    };
    Table {
        paths: paths.collect(),
        variant,
        rows: rows.lines().map(row).collect(),
    }
}

/// Writes the page.
pub(super) fn written(parts: &[Part]) -> String {
    let parts = parts.iter().map(|part| match part {
        Part::Text(text) => text.clone(),
        Part::Snippet(text) => format!("```yaml\n{text}```\n"),
        Part::Devices(text) => format!("```csv\n{text}```\n"),
        Part::Table(table) => {
            let named = |path: &String| match path.as_str() {
                "" => ".".to_owned(),
                path => path.to_owned(),
            };
            let paths: Vec<String> = table.paths.iter().map(named).collect();
            let variant = table.variant.iter().map(|v| format!(" / {v}"));
            let variant: String = variant.collect();
            let rows = table.rows.iter().map(|row| {
                let Row {
                    key,
                    meaning,
                    takes,
                    default,
                } = row;
                format!("| `{key}` | {meaning} | {takes} | {default} |\n")
            });
            let rows: String = rows.collect();
            format!(
                "{}{}{variant}{}\n{HEAD}{rows}",
                KEYS.0,
                paths.join(", "),
                KEYS.1
            )
        }
    });
    parts.collect()
}

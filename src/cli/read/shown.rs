//! Values that were read, as a table, as JSON and as CSV.

use ratatui::style::{Color, Style};
use ratatui::text::Span;
use serde_json::{Value as Json, json};

use super::Round;
use super::advice::{self, Silent};
use crate::base::text::hex;
use crate::cli::columns::{Row as TableRow, Table, wrapped};
use crate::cli::devices::plain;
use crate::cli::language::Language;
use crate::cli::status::coloured;
use crate::cli::terminal_words::line;
use crate::field::survey::read::PointRead;
use crate::hub::title;
use crate::io::terminal::screen;
use crate::spec::{PointAddress, PointSpec, ProfileSpec, Protocol, Table as ModbusTable};

/// One value.
#[derive(Clone, Debug)]
pub(in crate::cli) struct ValueRow {
    pub name: String,
    /// Its type, or where it is.
    kind: String,
    value: Option<Json>,
    title: Option<String>,
    registers: Vec<u16>,
    /// Why there is no value.
    pub why: Option<Why>,
    may_be_stale: bool,
}

/// Why there is no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Why {
    /// Which device was asked.
    place: String,
    /// What it was asked for.
    asked: String,
    why: String,
}

impl Why {
    fn text(&self, language: Language) -> String {
        let about = [&self.place, &self.asked].map(|text| language.say(text));
        let about = language.list(&about);
        match language {
            Language::English => format!("{about}: {}", self.why),
            Language::Chinese => format!("{about}：{}", language.say(&self.why)),
        }
    }
}

/// What stands beside a value whose reply may be another's.
const STALE: &str = "may be a reply to another request";

impl ValueRow {
    pub(super) fn new(
        (name, kind): (&str, &str),
        place: &str,
        point: &PointSpec,
        read: &PointRead,
        silent: &Silent<'_>,
    ) -> ValueRow {
        let why = read.value.as_ref().err().map(|not_read| Why {
            place: line(place),
            asked: line(&read.asked.to_string()),
            why: line(&advice::why(not_read, silent)),
        });
        ValueRow {
            name: line(name),
            kind: line(kind),
            title: read.value.as_ref().ok().and_then(|value| {
                let title = title(point, value)?;
                Some(line(&title))
            }),
            value: read.value.as_ref().ok().map(|value| value.to_json()),
            registers: read.registers.clone(),
            why,
            may_be_stale: read.may_be_stale,
        }
    }

    /// Writes the value, with its title.
    pub(in crate::cli) fn value(&self) -> String {
        let value = match (&self.value, &self.title) {
            (Some(value), Some(title)) => format!("{}, {title}", plain(value)),
            (Some(value), None) => plain(value),
            (None, _) => return "–".into(),
        };
        match self.may_be_stale {
            true => format!("{value} ?"),
            false => value,
        }
    }

    fn registers(&self) -> String {
        let words = self.registers.iter().map(|word| format!("{word:04X}"));
        words.collect::<Vec<_>>().join(" ")
    }
}

/// Returns where a point of a profile is.
pub(super) fn place(point: &PointSpec, profile: &ProfileSpec) -> String {
    match (point.address, &profile.protocol) {
        (PointAddress::Modbus(address), _) => {
            let table = match address.table {
                ModbusTable::Coil => "coil",
                ModbusTable::DiscreteInput => "discrete",
                ModbusTable::HoldingRegister => "holding",
                ModbusTable::InputRegister => "input",
            };
            format!("{table}:{}", address.start)
        }
        (PointAddress::Dlt645(datum), Protocol::Dlt645(items)) => {
            let item = items.get(datum.item.index());
            item.map_or(String::new(), |item| item.id.to_string())
        }
        (PointAddress::Raw(_) | PointAddress::Dlt645(_), _) => String::new(),
    }
}

/// Writes the values as a table, and below it why some are missing: each reason once.
pub(in crate::cli) fn table(rows: &[ValueRow], language: Language) -> String {
    let has_kinds = rows.iter().any(|row| !row.kind.is_empty());
    let has_registers = rows.iter().any(|row| !row.registers.is_empty());
    let mut heads = vec!["POINT"];
    heads.extend(has_kinds.then_some("TYPE OR PLACE"));
    heads.extend(has_registers.then_some("REGISTERS"));
    heads.push("VALUE");
    let cells = |row: &ValueRow| {
        let mut cells = vec![Span::raw(row.name.clone())];
        cells.extend(has_kinds.then(|| Span::raw(row.kind.clone())));
        cells.extend(has_registers.then(|| Span::raw(row.registers())));
        let style = match &row.why {
            Some(_) => Style::new().fg(Color::Red),
            None => Style::new(),
        };
        cells.push(Span::styled(row.value(), style));
        TableRow { cells, below: None }
    };
    let table = Table {
        whole: Vec::new(),
        heads: language.heads(&heads),
        spare: language.heads(&["REGISTERS", "TYPE OR PLACE"]),
        rows: rows.iter().map(cells).collect(),
    };
    let mut text = coloured(&table.lines(screen::width()));
    for reason in reasons(rows, language) {
        for line in wrapped(&reason, screen::width()) {
            text.push_str(&line);
            text.push('\n');
        }
    }
    text
}

/// Returns why values are missing or doubtful: each reason once.
pub(in crate::cli) fn reasons(rows: &[ValueRow], language: Language) -> Vec<String> {
    let mut said: Vec<&Why> = Vec::new();
    for why in rows.iter().filter_map(|row| row.why.as_ref()) {
        if !said.contains(&why) {
            said.push(why);
        }
    }
    let mut reasons: Vec<String> = said.iter().map(|why| why.text(language)).collect();
    if rows.iter().any(|row| row.may_be_stale) {
        reasons.push(format!("? {}", language.say(STALE)));
    }
    reasons
}

/// Returns the values of one round as JSON.
pub(in crate::cli) fn values(rows: &[ValueRow]) -> Json {
    let one = |row: &ValueRow| {
        let mut one = json!({"point": row.name, "value": row.value});
        let mut add = |key: &str, value: Json| {
            if let Some(map) = one.as_object_mut() {
                map.insert(key.into(), value);
            }
        };
        if !row.kind.is_empty() {
            add("kind", row.kind.clone().into());
        }
        if let Some(title) = &row.title {
            add("title", title.clone().into());
        }
        if !row.registers.is_empty() {
            add("registers", row.registers().into());
        }
        if let Some(why) = &row.why {
            add("why", why.text(Language::English).into());
        }
        if row.may_be_stale {
            add("may_be_stale", true.into());
        }
        one
    };
    rows.iter().map(one).collect()
}

/// Writes one round as JSON.
pub(super) fn json(round: &Round, has_bytes: bool) -> String {
    let mut whole = json!({ "values": values(&round.rows) });
    if has_bytes && let Some(map) = whole.as_object_mut() {
        let requests = round.exchanges.iter().map(|exchanged| {
            let after = exchanged.after.map(|after| after.as_secs_f64() * 1000.0);
            json!({"sent": hex(&exchanged.sent), "received": hex(&exchanged.received), "after_ms": after})
        });
        map.insert("requests".into(), requests.collect());
    }
    format!("{whole:#}\n")
}

/// Writes a field of CSV (RFC 4180 §2).
pub(in crate::cli) fn field(text: &str) -> String {
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

/// Writes the values as CSV, with a head.
pub(super) fn csv(rows: &[ValueRow]) -> String {
    let mut text = "point,kind,value,registers,why\n".to_owned();
    for row in rows {
        let value = row.value.as_ref().map_or(String::new(), plain);
        let why = match (&row.why, row.may_be_stale) {
            (Some(why), _) => why.text(Language::English),
            (None, true) => STALE.to_owned(),
            (None, false) => String::new(),
        };
        let fields = [&row.name, &row.kind, &value, &row.registers(), &why];
        let fields = fields.map(|text| field(text));
        text.push_str(&fields.join(","));
        text.push('\n');
    }
    text
}

//! Writes what was imported as YAML of our configuration, with comments.
//!
//! Values are written so that no text of the file can become YAML: numbers and words of closed
//! sets as they are, all else in double quotes, and comments on one line.

use std::fmt::Write;

use super::comment;
use super::point::{
    ByteForm, Frames, Imported, ImportedPoint, ImportedPort, ImportedProfile, LetterOrder, PortKind,
};
use super::remark::clean;
use super::source::ValueSource;
use crate::spec::Table;

/// How often points are read if the file does not say, in milliseconds.
const INTERVAL_MS: u64 = 10_000;

/// The shortest and the longest interval of the configuration, in milliseconds.
const INTERVALS: (u64, u64) = (50, 86_400_000);

/// Writes the YAML. `file` is the name of the file that was imported; `say` translates a comment.
#[must_use]
pub fn yaml(imported: &Imported, file: &str, say: &dyn Fn(&str) -> String) -> String {
    let mut out = Text {
        text: String::new(),
        say,
    };
    out.comment(0, &comment::imported_from(&clean(file, 60)));
    out.comment(0, comment::REPORT);
    out.comment(0, comment::NO_WRITES);
    out.blank();
    if !imported.profiles.is_empty() {
        out.line("profiles:");
        for profile in &imported.profiles {
            out.profile(profile);
        }
        out.blank();
    }
    out.line("ports:");
    for port in &imported.ports {
        out.port(port);
    }
    out.blank();
    out.line("devices:");
    for (n, device) in imported.devices.iter().enumerate() {
        out.line(&format!("  - name: {}", quoted(&device.name)));
        let title = clean(&device.title, 60);
        if !title.is_empty() && title != device.name {
            out.line(&format!("    # {title}"));
        }
        let port = imported.ports.get(device.port).map_or("", |p| &p.name);
        out.line(&format!("    port: {}", quoted(port)));
        match (&device.meter, device.unit) {
            (Some(address), _) => out.line(&format!("    address: \"{address}\"")),
            (None, Some(unit)) => out.line(&format!("    unit: {unit}")),
            (None, None) => out.line("    unit: 1"),
        }
        let profile = device.profile.and_then(|n| imported.profiles.get(n));
        let profile = profile.map_or(PACKAGED, |p| &p.name);
        out.line(&format!("    profile: {}", quoted(profile)));
        if device.profile.is_none() && n == 0 {
            out.comment(4, comment::PACKAGED);
        }
        if n == 0 {
            out.comment(4, comment::SECRET);
        }
        out.line(&format!(
            "    secret_file: {}",
            quoted(&format!("secrets/{}", device.name))
        ));
        if device.profile.is_none() {
            out.line(PRODUCT_KEY);
        }
    }
    if imported.devices.is_empty() {
        out.text.truncate(out.text.trim_end().len());
        out.line(" []");
    }
    out.text
}

/// The profile of the package for meters of which the file has only the addresses.
const PACKAGED: &str = "dlt645-2007-three-phase";

const PRODUCT_KEY: &str = "    #product_key: a1XXXXXXXXX";

/// The most characters of `title:`.
const TITLE: usize = 40;

/// The most characters of `unit:`.
const UNIT: usize = 16;

struct Text<'s> {
    text: String,
    say: &'s dyn Fn(&str) -> String,
}

impl Text<'_> {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn blank(&mut self) {
        self.text.push('\n');
    }

    fn comment(&mut self, indent: usize, text: &str) {
        let said = clean(&(self.say)(text), 200);
        let _ = writeln!(self.text, "{:indent$}# {said}", "");
    }

    fn profile(&mut self, profile: &ImportedProfile) {
        self.line(&format!("  - name: {}", quoted(&profile.name)));
        self.comment(4, comment::PRODUCT);
        self.line(PRODUCT_KEY);
        if profile.is_of_meters() {
            self.line("    protocol: dlt645-2007");
        }
        let interval = bounded(profile.interval_ms.unwrap_or(INTERVAL_MS));
        self.line(&format!("    interval: {}", span(interval)));
        if let Some(most) = profile.max_registers {
            self.line(&format!("    max_registers: {most}"));
        }
        self.line("    points:");
        for point in &profile.points {
            let line = self.point(point, interval);
            self.line(&line);
        }
    }

    fn point(&self, point: &ImportedPoint, usual: u64) -> String {
        let mut keys = vec![format!("id: {}", point.id)];
        match &point.source {
            ValueSource::Register(table, address) => {
                keys.push(format!("table: {}", word_of(*table)));
                keys.push(format!("address: {address}"));
                keys.extend(type_of(point));
            }
            ValueSource::Meter(data, format) => {
                keys.push(format!("data: \"{data}\""));
                keys.push(format!("format: {}", quoted(format)));
            }
        }
        keys.extend(point.scale.iter().map(|by| format!("scale: {by}")));
        keys.extend(point.offset.iter().map(|by| format!("offset: {by}")));
        keys.extend(point.round.map(|places| format!("round: {places}")));
        let markers = point.invalid.iter().map(|raw| format!("0x{raw:04X}"));
        let markers: Vec<String> = markers.collect();
        match markers.as_slice() {
            [] => {}
            [one] => keys.push(format!("invalid: {one}")),
            several => keys.push(format!("invalid: [{}]", several.join(", "))),
        }
        if !point.values.is_empty() {
            let title = |(n, title): &(i64, String)| format!("{n}: {}", quoted(&clean(title, 60)));
            let titles: Vec<String> = point.values.iter().map(title).collect();
            keys.push(format!("values: {{ {} }}", titles.join(", ")));
        }
        let interval = point.interval_ms.map(bounded).filter(|ms| *ms != usual);
        keys.extend(interval.map(|ms| format!("interval: {}", span(ms))));
        let mut notes = Vec::new();
        let measure = clean(&point.measure, 20);
        match unit(&measure).filter(|_| has_unit(point)) {
            Some(unit) => keys.push(format!("unit: {}", quoted(&unit))),
            None => notes.extend(Some(measure).filter(|unit| !unit.is_empty())),
        }
        // The name is said only where the identifier differs.
        let name = clean(&point.at.entry, 60);
        if name != point.id && !name.is_empty() {
            // One character is for the mark of what was cut off.
            let title = clean(&name, TITLE - 1);
            keys.push(format!("title: {}", quoted(&title)));
            if title != name {
                notes.insert(0, name);
            }
        }
        if point.writable {
            notes.push((self.say)(comment::WRITABLE));
        }
        let note = match notes.is_empty() {
            true => String::new(),
            false => format!("   # {}", notes.join(", ")),
        };
        format!("      - {{ {} }}{note}", keys.join(", "))
    }

    fn port(&mut self, port: &ImportedPort) {
        if port.is_example {
            self.comment(2, comment::EXAMPLE);
        }
        self.line(&format!("  - name: {}", quoted(&port.name)));
        match &port.port_kind {
            PortKind::Serial {
                device,
                baud,
                data_bits,
                parity,
                stop_bits,
            } => {
                self.line("    serial:");
                self.line(&format!("      device: {}", quoted(device)));
                if port.frames == Frames::Ascii {
                    self.line("      framing: ascii");
                }
                self.optional("baud", *baud);
                self.optional("data_bits", *data_bits);
                self.optional("parity", parity.map(super::point::Parity::word));
                self.optional("stop_bits", *stop_bits);
            }
            PortKind::Tcp { host, port: number } => {
                self.line("    tcp:");
                self.line(&format!("      host: {}", quoted(host)));
                self.line(&format!("      port: {number}"));
                match port.frames {
                    Frames::Usual => {}
                    Frames::Rtu => self.line("      framing: rtu"),
                    Frames::Ascii => self.line("      framing: ascii"),
                }
            }
        }
        // A reply that is waited for longer than a minute is none for the gateway.
        if let Some(ms) = port.response_ms.filter(|ms| (10..=60_000).contains(ms)) {
            self.line(&format!("    response_timeout: {}", span(ms)));
        }
    }

    fn optional(&mut self, key: &str, value: Option<impl std::fmt::Display>) {
        if let Some(value) = value {
            self.line(&format!("      {key}: {value}"));
        }
    }
}

/// Returns `type:` and the keys that refine it.
fn type_of(point: &ImportedPoint) -> Vec<String> {
    match point.shape {
        ByteForm::Bool => Vec::new(),
        ByteForm::Bit(bit) => vec!["type: bit".into(), format!("bit: {bit}")],
        ByteForm::Text {
            registers,
            characters,
        } => {
            let mut keys = vec!["type: string".into(), format!("registers: {registers}")];
            match (characters, point.order) {
                // The character is in the half that is sent second, unless bytes are swapped.
                (1, LetterOrder::Badc | LetterOrder::Dcba) => {
                    keys.push("characters: 1".into());
                    keys.push("half: high".into());
                }
                (1, LetterOrder::Abcd | LetterOrder::Cdab) => keys.push("characters: 1".into()),
                (_, LetterOrder::Badc | LetterOrder::Dcba) => keys.push("bytes: low".into()),
                (_, LetterOrder::Abcd | LetterOrder::Cdab) => {}
            }
            keys
        }
        ByteForm::Number(word) => {
            let mut keys = vec![format!("type: {word}")];
            let is_half = matches!(word, "u8" | "i8" | "bcd8");
            match (is_half, point.shape.width(), point.order) {
                (true, ..) if point.high_half => keys.push("half: high".into()),
                (true, ..) | (_, _, LetterOrder::Abcd) | (_, 1, LetterOrder::Cdab) => {}
                (_, 1, LetterOrder::Badc | LetterOrder::Dcba) => keys.push("order: BA".into()),
                (_, _, order) => keys.push(format!("order: {}", order.word())),
            }
            keys.extend(point.bits.map(|(low, high)| format!("bits: {low}..{high}")));
            keys.extend(point.mask.map(|mask| format!("mask: 0x{mask:04X}")));
            keys
        }
    }
}

/// Returns whether the point may have `unit:`: it is a number and no state.
fn has_unit(point: &ImportedPoint) -> bool {
    let is_number = match &point.source {
        ValueSource::Register(..) => matches!(point.shape, ByteForm::Number(_)),
        ValueSource::Meter(..) => true,
    };
    is_number && point.values.is_empty()
}

/// Returns the unit of a cell as `unit:` takes it; `None` if it is none.
fn unit(text: &str) -> Option<String> {
    let unit: String = text.split_whitespace().collect();
    let is_number = unit.bytes().all(|b| b.is_ascii_digit());
    let is_none = ["-", "--", "—", "–", "/", "无", "none", "n/a"]
        .iter()
        .any(|word| unit.eq_ignore_ascii_case(word));
    if is_number || is_none || unit.chars().count() > UNIT || unit.ends_with('…') {
        return None;
    }
    Some(match unit.as_str() {
        "degC" | "deg.C" => "°C".to_owned(),
        "degF" | "deg.F" => "°F".to_owned(),
        _ => unit,
    })
}

/// Returns the word of `table:`.
fn word_of(table: Table) -> &'static str {
    match table {
        Table::Coil => "coil",
        Table::DiscreteInput => "discrete",
        Table::HoldingRegister => "holding",
        Table::InputRegister => "input",
    }
}

fn bounded(ms: u64) -> u64 {
    ms.clamp(INTERVALS.0, INTERVALS.1)
}

/// Writes a span with the greatest unit that divides it.
fn span(ms: u64) -> String {
    match ms {
        _ if ms.is_multiple_of(3_600_000) => format!("{}h", ms / 3_600_000),
        _ if ms.is_multiple_of(60_000) => format!("{}m", ms / 60_000),
        _ if ms.is_multiple_of(1000) => format!("{}s", ms / 1000),
        _ => format!("{ms}ms"),
    }
}

/// Writes a text plainly if YAML and our reader can only take it for this text, otherwise in
/// double quotes.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let is_word = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"]
        .iter()
        .any(|word| text.eq_ignore_ascii_case(word));
    if begins && !is_word && text.chars().all(plain) {
        return text.to_owned();
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out + "\""
}

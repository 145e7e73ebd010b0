//! Meters of evcc (docs.evcc.io/docs/reference/modbus) and tables like it: each `register:` with
//! `address`, `type` and `decode` is a point, which has the names of the keys above it.
//!
//! A template holds its meter as a text, `render`, with instructions of Go's templates: those are
//! passed over, and a value made by one is an expression. `s` behind a `decode` exchanges the
//! words, `nan` takes the value without a meaning for none: of a signed number the least and the
//! greatest (`util/modbus/register.go`). A `bool8` of a register is on if any bit of its high byte
//! is set, a `bool16` if any bit of its mask is.

use super::point::{
    ByteForm, Frames, Imported, ImportedDevice, ImportedPoint, ImportedPort, ImportedProfile,
    LetterOrder, Parity, PortKind,
};
use super::remark::{FileLocation, RemarkCause};
use super::source::ValueSource;
use super::tree::{DEPTH, Tree, TreeValue};
use super::{ImportRefusal, number, table_words, yaml};
use crate::spec::Table;

/// Keys that are no part of a name.
const STRUCTURE: [&str; 13] = [
    "source", "calc", "add", "mul", "div", "sign", "abs", "get", "set", "in", "const", "meters",
    "chargers",
];

/// Keys that compute a value of others.
const COMPUTED: [&str; 7] = ["add", "mul", "div", "sign", "script", "js", "go"];

/// Reads a template or a configuration.
///
/// # Errors
/// It is not YAML, or has no `register:`.
pub fn read(text: &str) -> Result<Imported, ImportRefusal> {
    let root = yaml::read(&without_templates(text))?;
    let mut walk = Walk {
        out: Imported::default(),
        profile: ImportedProfile {
            name: root.text("template").unwrap_or_default().to_owned(),
            ..ImportedProfile::default()
        },
        link: None,
    };
    match root.text("render") {
        Some(render) => {
            let line = root.get("render").map_or(0, |r| r.line);
            let inner = yaml::read(&without_templates(render)).map_err(|e| match e {
                ImportRefusal::Malformed {
                    line: inside,
                    format,
                    why,
                } => ImportRefusal::Malformed {
                    line: line + inside,
                    format,
                    why,
                },
                other => other,
            })?;
            walk.tree(&inner, &mut Vec::new(), line, 0);
        }
        None => walk.tree(&root, &mut Vec::new(), 0, 0),
    }
    let Walk {
        mut out,
        profile,
        link,
    } = walk;
    if out.entries == 0 {
        return Err(ImportRefusal::Nothing("key register:"));
    }
    let number = out.profile(profile);
    if let Some((port, unit)) = link {
        let port = out.port(port);
        out.devices.push(ImportedDevice {
            name: String::new(),
            title: String::new(),
            port,
            profile: Some(number),
            unit,
            meter: None,
        });
    }
    Ok(out)
}

/// Puts nothing in the place of lines that are instructions of a template, and a mark in the place
/// of values that one makes.
fn without_templates(text: &str) -> String {
    let line = |line: &str| {
        let trimmed = line.trim().trim_start_matches("- ").trim();
        let is_instruction = trimmed.starts_with("{{") && trimmed.ends_with("}}");
        match is_instruction {
            true => String::new(),
            false => line.replace("{{", "$(").replace("}}", ")"),
        }
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

struct Walk {
    out: Imported,
    profile: ImportedProfile,
    /// The first connection that is named, with its unit id.
    link: Option<(ImportedPort, Option<u8>)>,
}

impl Walk {
    fn tree(&mut self, tree: &Tree, path: &mut Vec<String>, line: u32, depth: usize) {
        if depth > DEPTH {
            return;
        }
        if let TreeValue::List(list) = &tree.is {
            for (n, element) in list.iter().enumerate() {
                path.push((n + 1).to_string());
                self.tree(element, path, line, depth + 1);
                path.pop();
            }
            return;
        }
        if let Some(register) = tree
            .get("register")
            .filter(|r| matches!(r.is, TreeValue::Map(_)))
        {
            self.register(tree, register, path, line);
        }
        let at = |of: &Tree, path: &[String]| FileLocation::new(line + of.line, &name(path));
        for (key, value) in tree.entries() {
            if COMPUTED.contains(&key.as_str()) {
                self.out
                    .remark(at(value, path), &**key, RemarkCause::Composite);
            }
            if key == "value" && tree.text("source") == Some("sunspec") {
                self.out.entries += 1;
                self.out
                    .remark(at(value, path), value.shown(), RemarkCause::Protocol);
            }
            if key == "register" {
                continue;
            }
            let is_name = !STRUCTURE.contains(&key.as_str());
            if is_name {
                path.push(key.clone());
            }
            self.tree(value, path, line, depth + 1);
            if is_name {
                path.pop();
            }
        }
    }

    fn register(&mut self, source: &Tree, register: &Tree, path: &[String], line: u32) {
        self.out.entries += 1;
        let at = FileLocation::new(line + register.line, &name(path));
        let text = |key: &str| register.get(key).map(Tree::shown).unwrap_or_default();
        for key in ["address", "type", "decode"] {
            if text(key).contains("$(") {
                return self.out.remark(
                    at,
                    format!("{key}: {}", text(key)),
                    RemarkCause::Expression,
                );
            }
        }
        let kind = text("type");
        let (table, writable) = match kind.as_str() {
            "holding" => (Table::HoldingRegister, false),
            "input" => (Table::InputRegister, false),
            "coil" => (Table::Coil, false),
            "discrete" | "discreteinput" => (Table::DiscreteInput, false),
            other if other.starts_with("write") => {
                return self.out.remark(at, other, RemarkCause::WriteOnly);
            }
            other => return self.out.remark(at, other, RemarkCause::Table),
        };
        let written = text("address");
        let Some(address) = number::whole(&written).and_then(|n| u16::try_from(n).ok()) else {
            return self.out.remark(at, written, RemarkCause::Address);
        };
        let decode = register
            .any(&["decode", "encoding"])
            .map(Tree::shown)
            .unwrap_or_default()
            .to_lowercase();
        // Also with the words exchanged: float32nans.
        let is_nan = decode.contains("nan");
        let plain = decode.replacen("nan", "", 1);
        let plain = plain.as_str();
        let swapped = plain
            .strip_suffix('s')
            .filter(|rest| rest.ends_with(|c: char| c.is_ascii_digit()));
        let shape = match (table.is_bits(), plain) {
            (true, _) => Some(ByteForm::Bool),
            (false, "bool8") => Some(ByteForm::Number("u8")),
            (false, "bool16") => Some(ByteForm::Number("u16")),
            (false, _) => table_words::shape(swapped.unwrap_or(plain), None)
                .map(|(shape, _)| shape)
                .filter(|shape| *shape != ByteForm::Bool),
        };
        let Some(mut shape) = shape else {
            return self.out.remark(at, decode, RemarkCause::Type);
        };
        let mask = register
            .text("bitmask")
            .and_then(number::whole)
            .and_then(|n| u64::try_from(n).ok());
        let mask = mask.filter(|mask| {
            *mask > 0
                && shape.width() <= 4
                && (shape.width() == 4 || *mask < 1 << (shape.width() * 16))
        });
        let mut point_mask = None;
        match (mask, shape) {
            (Some(mask), ByteForm::Number("u16"))
                if plain == "bool16" && mask.is_power_of_two() =>
            {
                shape = ByteForm::Bit(mask.trailing_zeros() as u8);
            }
            // Its mask is that of another type.
            (Some(_), _) if plain == "bool8" => {}
            (Some(mask), ByteForm::Number(word)) if word.starts_with('u') => {
                point_mask = Some(mask)
            }
            (Some(mask), _) => self.out.remark(
                at.clone(),
                format!("bitmask: {mask:#x}"),
                RemarkCause::Setting,
            ),
            (None, _) => {}
        }
        let mut point =
            ImportedPoint::new(at.clone(), ValueSource::Register(table, address), shape);
        point.mask = point_mask;
        point.high_half = plain == "bool8";
        if let (ByteForm::Number(_), "bool8" | "bool16") = (shape, plain) {
            self.out.remark(at.clone(), &*decode, RemarkCause::OnOff);
        }
        point.writable = writable;
        point.order = if swapped.is_some() {
            LetterOrder::Cdab
        } else {
            LetterOrder::Abcd
        };
        let all = u64::MAX >> (64 - shape.bits().clamp(1, 64));
        point.invalid = match shape {
            ByteForm::Number("u16" | "u32" | "u64") if is_nan => vec![all],
            ByteForm::Number("i16" | "i32" | "i64") if is_nan => vec![all - (all >> 1), all >> 1],
            _ => Vec::new(),
        };
        if let (ByteForm::Number(_), Some(written)) = (shape, source.text("scale")) {
            match number::decimal(written) {
                Some(by) => point.scale = number::factor(by),
                None if written.contains("$(") => {
                    return self.out.remark(
                        at,
                        format!("scale: {written}"),
                        RemarkCause::Expression,
                    );
                }
                None => self.out.remark(at, written, RemarkCause::Factor),
            }
        }
        self.link(source, line);
        self.profile.points.push(point);
    }

    /// Notes the first connection that is named.
    fn link(&mut self, source: &Tree, line: u32) {
        let text = |key: &str| source.text(key).filter(|value| !value.contains("$("));
        if self.link.is_some() {
            return;
        }
        let port_kind = match (text("uri"), text("device")) {
            (Some(uri), _) => PortKind::endpoint(uri),
            (None, Some(device)) if device.starts_with("/dev/") => Some(serial(device, source)),
            (None, Some(_)) => None,
            (None, None) => return,
        };
        let Some(port_kind) = port_kind else {
            let seen = text("uri").or(text("device")).unwrap_or_default();
            return self.out.remark(
                FileLocation::new(line + source.line, ""),
                seen,
                RemarkCause::Port,
            );
        };
        let is_rtu =
            source.text("rtu") == Some("true") && matches!(port_kind, PortKind::Tcp { .. });
        let unit = text("id")
            .and_then(number::whole)
            .and_then(|n| u8::try_from(n).ok());
        let port = ImportedPort {
            name: String::new(),
            port_kind,
            frames: if is_rtu { Frames::Rtu } else { Frames::Usual },
            response_ms: text("timeout").and_then(number::span),
            is_example: false,
        };
        self.link = Some((port, unit));
    }
}

/// Makes a serial line of `device`, `baudrate` and `comset`, such as 8N1.
fn serial(device: &str, source: &Tree) -> PortKind {
    let frame: Vec<char> = source.text("comset").unwrap_or_default().chars().collect();
    let digit = |n: usize| {
        frame
            .get(n)
            .and_then(|c| c.to_digit(10))
            .and_then(|n| u8::try_from(n).ok())
    };
    PortKind::Serial {
        device: device.to_owned(),
        baud: source.text("baudrate").and_then(|n| n.parse().ok()),
        data_bits: digit(0).filter(|bits| *bits == 7 || *bits == 8),
        parity: frame.get(1).and_then(|c| Parity::of(&c.to_string())),
        stop_bits: digit(2).filter(|bits| *bits == 1 || *bits == 2),
    }
}

/// Returns the name of a point from the keys above it.
fn name(path: &[String]) -> String {
    // The number of a meter in a list of one is no news.
    let parts = path
        .iter()
        .enumerate()
        .filter(|(n, part)| !(*n == 0 && part.parse::<u32>().is_ok()));
    let parts: Vec<&str> = parts.map(|(_, part)| part.as_str()).collect();
    match parts.is_empty() {
        true => "register".to_owned(),
        false => parts.join(" "),
    }
}

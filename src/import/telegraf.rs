//! Telegraf's `[[inputs.modbus]]` (github.com/influxdata/telegraf,
//! plugins/inputs/modbus/README.md): the styles `register`, `request` and `metric`.
//!
//! Addresses count from 0, as here. A type FLOAT32 is a float, and FLOAT32-IEEE its older name. In
//! the style `register` FLOAT32 was an unsigned number with a factor up to version 1.36, which a
//! remark says. A file has one style, `configuration_type`. A unit id that is not given is 0. Bits
//! and halves of a register are counted after its bytes are put in order
//! (`type_conversions_bit.go`, `type_conversions8.go`).

use std::collections::BTreeMap;

use super::point::{
    ByteForm, Frames, Imported, ImportedPoint, ImportedPort, LetterOrder, PortKind, SerialKeys,
};
use super::remark::{FileLocation, RemarkCause};
use super::source::ValueSource;
use super::tree::Tree;
use super::{ImportRefusal, number, table_words, toml};
use crate::spec::Table;

/// The lists of the style `register`.
const LISTS: [(&str, Table); 4] = [
    ("discrete_inputs", Table::DiscreteInput),
    ("coils", Table::Coil),
    ("holding_registers", Table::HoldingRegister),
    ("input_registers", Table::InputRegister),
];

/// The styles, as `configuration_type` names them.
const STYLES: [&str; 3] = ["register", "request", "metric"];

/// Settings that change what is read and have no counterpart here.
const SETTINGS: [&str; 1] = ["workarounds"];

/// Reads a configuration.
///
/// # Errors
/// It is not TOML, or has no `[[inputs.modbus]]`.
pub fn read(text: &str) -> Result<Imported, ImportRefusal> {
    let root = toml::read(text)?;
    let mut out = Imported::default();
    let usual = root.get("agent").and_then(|agent| agent.text("interval"));
    let plugins = root
        .get("inputs")
        .map_or(&[][..], |inputs| inputs.list("modbus"));
    for plugin in plugins {
        self::plugin(plugin, usual, &mut out);
    }
    match plugins.is_empty() {
        true => Err(ImportRefusal::Nothing("table [[inputs.modbus]]")),
        false => Ok(out),
    }
}

fn plugin(plugin: &Tree, usual: Option<&str>, out: &mut Imported) {
    let name = plugin.text("name").unwrap_or_default();
    let port = port(plugin, name, out);
    for key in SETTINGS {
        if let Some(setting) = plugin.get(key) {
            out.remark(
                FileLocation::new(setting.line, key),
                setting.shown(),
                RemarkCause::Setting,
            );
        }
    }
    let style = style(plugin, out);
    let groups = |of: &str| match style == Some(of) {
        true => plugin.list(of),
        false => &[][..],
    };
    let interval = plugin.text("interval").or(usual).and_then(number::span);
    // Points by unit id: a device for each.
    let mut units: BTreeMap<u8, Vec<ImportedPoint>> = BTreeMap::new();
    if style == Some("register")
        && let Some(unit) = unit(plugin, out)
    {
        for (list, table) in LISTS {
            for entry in plugin.list(list) {
                if let Some(point) = register(entry, table, out) {
                    units.entry(unit).or_default().push(point);
                }
            }
        }
    }
    for request in groups("request") {
        let table = request.text("register").unwrap_or("holding");
        for field in request.list("fields") {
            group(request, field, table, out, &mut units);
        }
    }
    for metric in groups("metric") {
        for field in metric.list("fields") {
            let table = field.text("register").unwrap_or("holding");
            group(metric, field, table, out, &mut units);
        }
    }
    out.units(name, port, interval, units);
}

/// Returns the style whose entries count: the one that the file names, or else the first that has
/// entries. Entries of another style are remarked.
fn style(plugin: &Tree, out: &mut Imported) -> Option<&'static str> {
    let has = |style: &str| match style {
        "register" => LISTS.iter().any(|(list, _)| plugin.get(list).is_some()),
        _ => plugin.get(style).is_some(),
    };
    let told = plugin.text("configuration_type");
    let known = STYLES.into_iter().find(|style| Some(*style) == told);
    let used = known.or_else(|| STYLES.into_iter().find(|style| has(style)));
    for style in STYLES {
        if Some(style) != used && has(style) {
            let line = plugin.get(style).map_or(plugin.line, |s| s.line);
            let seen = format!("configuration_type: {}", used.unwrap_or_default());
            out.remark(FileLocation::new(line, style), seen, RemarkCause::Disabled);
        }
    }
    used
}

fn port(plugin: &Tree, name: &str, out: &mut Imported) -> usize {
    let controller = plugin.text("controller").unwrap_or_default();
    let line = plugin.get("controller").map_or(plugin.line, |c| c.line);
    let mode = plugin
        .text("transmission_mode")
        .unwrap_or_default()
        .to_ascii_lowercase();
    let frames = match mode.as_str() {
        "rtuovertcp" => Frames::Rtu,
        "asciiovertcp" | "ascii" => Frames::Ascii,
        _ => Frames::Usual,
    };
    let at = FileLocation::new(line, name);
    let keys = SerialKeys {
        baud: "baud_rate",
        data_bits: "data_bits",
        stop_bits: "stop_bits",
    };
    let serial = |device: &str| PortKind::serial(device, plugin, keys);
    let port_kind = if let Some(rest) = controller.strip_prefix("tcp://") {
        PortKind::endpoint(rest)
    } else {
        let device = controller.strip_prefix("file://").unwrap_or(controller);
        device.starts_with("/dev/").then(|| serial(device))
    };
    let port_kind = match port_kind {
        // `${HOST}`: the value is in the environment of Telegraf.
        Some(port_kind) if !controller.contains('$') => port_kind,
        Some(_) => {
            out.remark(at, controller, RemarkCause::Elsewhere);
            serial("/dev/ttyUSB0")
        }
        None => {
            out.remark(at, controller, RemarkCause::Port);
            serial("/dev/ttyUSB0")
        }
    };
    out.port(ImportedPort {
        name: String::new(),
        port_kind,
        frames,
        response_ms: plugin.text("timeout").and_then(number::span),
        is_example: false,
    })
}

/// Returns the unit id of a group; 0 if it has none, as Telegraf does.
fn unit(group: &Tree, out: &mut Imported) -> Option<u8> {
    let Some(id) = group.get("slave_id") else {
        return Some(0);
    };
    let shown = id.shown();
    let unit = number::whole(&shown).and_then(|n| u8::try_from(n).ok());
    if unit.is_none() {
        out.remark(
            FileLocation::new(id.line, "slave_id"),
            shown,
            RemarkCause::Unit,
        );
    }
    unit
}

/// Reads a field of a request or a metric into the points of its unit.
fn group(
    request: &Tree,
    field: &Tree,
    table: &str,
    out: &mut Imported,
    units: &mut BTreeMap<u8, Vec<ImportedPoint>>,
) {
    if field.text("omit") == Some("true") {
        return;
    }
    out.entries += 1;
    let name = field.text("name").unwrap_or_default();
    let at = FileLocation::new(field.line, name);
    let Some(table) = table_words::table(table) else {
        return out.remark(at, table, RemarkCause::Table);
    };
    let Some(unit) = unit(request, out) else {
        return;
    };
    let written = field.text("address").unwrap_or_default();
    let Some(address) = number::whole(written).and_then(|n| u16::try_from(n).ok()) else {
        return out.remark(at, written, RemarkCause::Address);
    };
    let kind = field.text("type").unwrap_or_default().to_ascii_uppercase();
    let bit = field.text("bit").and_then(|bit| bit.parse::<u8>().ok());
    let length = field.text("length").and_then(|n| n.parse::<u16>().ok());
    let shape = match (table.is_bits(), kind.as_str()) {
        (true, _) => Some(ByteForm::Bool),
        (false, "BIT") => bit.filter(|bit| *bit < 16).map(ByteForm::Bit),
        (false, _) => table_words::shape(&kind, length).map(|(shape, _)| shape),
    };
    let Some(shape) = shape else {
        return out.remark(at, kind, RemarkCause::Type);
    };
    let order = request.text("byte_order");
    let point = refined(
        field,
        at,
        ValueSource::Register(table, address),
        shape,
        (order, &kind),
        out,
    );
    units.entry(unit).or_default().push(point);
}

/// Reads an entry of the style `register`.
fn register(entry: &Tree, table: Table, out: &mut Imported) -> Option<ImportedPoint> {
    out.entries += 1;
    let at = FileLocation::new(entry.line, entry.text("name").unwrap_or_default());
    let written = entry.get("address").map(Tree::shown).unwrap_or_default();
    let addresses = entry.list("address").iter();
    let addresses: Option<Vec<u16>> = addresses
        .map(|a| {
            a.as_text()
                .and_then(number::whole)
                .and_then(|n| u16::try_from(n).ok())
        })
        .collect();
    let Some((first, addresses)) = addresses.and_then(|all| Some((*all.first()?, all))) else {
        out.remark(at, written, RemarkCause::Address);
        return None;
    };
    let kind = entry
        .text("data_type")
        .unwrap_or_default()
        .to_ascii_uppercase();
    let width = u16::try_from(addresses.len()).unwrap_or(u16::MAX);
    let sized = |one: &'static str, two: &'static str, four: &'static str| match width {
        1 => Some(ByteForm::Number(one)),
        2 => Some(ByteForm::Number(two)),
        4 => Some(ByteForm::Number(four)),
        _ => None,
    };
    let bit = entry.text("bit").and_then(|bit| bit.parse::<u8>().ok());
    let shape = match (table.is_bits(), kind.as_str()) {
        (true, _) => Some(ByteForm::Bool),
        (false, "FIXED") => sized("i16", "i32", "i64"),
        (false, "UFIXED") => sized("u16", "u32", "u64"),
        // Only the older meaning has as many.
        (false, "FLOAT32") if width != 2 => sized("u16", "u32", "u64"),
        (false, "BIT") => bit.filter(|bit| *bit < 16).map(ByteForm::Bit),
        (false, _) => table_words::shape(&kind, Some(width)).map(|(shape, _)| shape),
    };
    let Some(shape) = shape else {
        out.remark(at, kind, RemarkCause::Type);
        return None;
    };
    let follows = addresses
        .windows(2)
        .all(|pair| pair[0].checked_add(1) == Some(pair[1]));
    if !follows || width != shape.width() {
        out.remark(at, written, RemarkCause::Registers);
        return None;
    }
    if kind == "FLOAT32" && shape == ByteForm::Number("f32") {
        out.remark(at.clone(), &*kind, RemarkCause::FloatOrNumber);
    }
    let order = entry.text("byte_order");
    Some(refined(
        entry,
        at,
        ValueSource::Register(table, first),
        shape,
        (order, &kind),
        out,
    ))
}

/// Adds order and factor to a point.
fn refined(
    entry: &Tree,
    at: FileLocation,
    source: ValueSource,
    shape: ByteForm,
    (order, kind): (Option<&str>, &str),
    out: &mut Imported,
) -> ImportedPoint {
    let order = order.and_then(table_words::order).unwrap_or_default();
    let is_swapped = matches!(order, LetterOrder::Badc | LetterOrder::Dcba);
    let shape = match shape {
        // The bytes are exchanged before the bit is taken.
        ByteForm::Bit(bit) if is_swapped => ByteForm::Bit((bit + 8) % 16),
        shape => shape,
    };
    let mut point = ImportedPoint::new(at.clone(), source, shape);
    point.order = order;
    let is_half = matches!(shape, ByteForm::Number("u8" | "i8"));
    point.high_half = is_half && kind.ends_with("8H") != is_swapped;
    if let (ByteForm::Number(_), Some(written)) = (shape, entry.text("scale")) {
        match number::decimal(written) {
            Some(by) => point.scale = number::factor(by),
            None => out.remark(at.clone(), written, RemarkCause::Factor),
        }
    }
    if matches!(point.order, LetterOrder::Badc | LetterOrder::Dcba) && point.shape.width() > 1 {
        out.remark(at, point.order.word(), RemarkCause::Order);
    }
    point
}

//! Telegraf's `[[inputs.modbus]]` (github.com/influxdata/telegraf, plugins/inputs/modbus/README.md):
//! the styles `register`, `request` and `metric`.
//!
//! Addresses count from 0, as here. In the style `register` a type FLOAT32 is an unsigned number
//! with a factor, and FLOAT32-IEEE a float; in the others FLOAT32 is a float.

use std::collections::BTreeMap;

use super::point::{
    Carrier, Frames, Imported, ImportedDevice, ImportedPoint, ImportedPort, ImportedProfile, Order,
    Parity, Shape,
};
use super::remark::{Finding, Place};
use super::source::Source;
use super::tree::Tree;
use super::{Refusal, number, toml, word};
use crate::spec::Table;

/// The lists of the style `register`.
const LISTS: [(&str, Table); 4] = [
    ("discrete_inputs", Table::DiscreteInput),
    ("coils", Table::Coil),
    ("holding_registers", Table::HoldingRegister),
    ("input_registers", Table::InputRegister),
];

/// Settings that change what is read and have no counterpart here.
const SETTINGS: [&str; 1] = ["workarounds"];

/// Reads a configuration.
///
/// # Errors
/// It is not TOML, or has no `[[inputs.modbus]]`.
pub fn read(text: &str) -> Result<Imported, Refusal> {
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
        true => Err(Refusal::Nothing("table [[inputs.modbus]]")),
        false => Ok(out),
    }
}

fn plugin(plugin: &Tree, usual: Option<&str>, out: &mut Imported) {
    let name = plugin.text("name").unwrap_or_default();
    let port = port(plugin, name, out);
    for key in SETTINGS {
        if let Some(setting) = plugin.get(key) {
            out.remark(
                Place::new(setting.line, key),
                setting.shown(),
                Finding::Setting,
            );
        }
    }
    let interval = plugin.text("interval").or(usual).and_then(number::span);
    // Points by unit id: a device for each.
    let mut units: BTreeMap<u8, Vec<ImportedPoint>> = BTreeMap::new();
    let usual = plugin.get("slave_id");
    if let Some(unit) = usual.and_then(|id| unit(id, out)) {
        for (list, table) in LISTS {
            for entry in plugin.list(list) {
                if let Some(point) = register(entry, table, out) {
                    units.entry(unit).or_default().push(point);
                }
            }
        }
    }
    for request in plugin.list("request") {
        let told = request.get("register").or(Some(request));
        for field in request.list("fields") {
            let table = told.map(Tree::shown).unwrap_or_default();
            group(request, field, &table, out, &mut units);
        }
    }
    for metric in plugin.list("metric") {
        for field in metric.list("fields") {
            let table = field.text("register").unwrap_or("holding");
            group(metric, field, table, out, &mut units);
        }
    }
    let several = units.len() > 1;
    for (unit, points) in units {
        let profile = out.profile(ImportedProfile {
            name: name.to_owned(),
            points,
            interval_ms: interval,
            max_registers: None,
        });
        let name = match several || name.is_empty() {
            true => String::new(),
            false => name.to_owned(),
        };
        out.devices.push(ImportedDevice {
            name,
            title: String::new(),
            port,
            profile: Some(profile),
            unit: Some(unit),
            meter: None,
        });
    }
}

fn port(plugin: &Tree, name: &str, out: &mut Imported) -> usize {
    let number = |key: &str| plugin.text(key).and_then(number::whole);
    let byte = |key: &str| number(key).and_then(|n| u8::try_from(n).ok());
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
    let at = Place::new(line, name);
    let serial = |device: &str| Carrier::Serial {
        device: device.to_owned(),
        baud: number("baud_rate").and_then(|n| u32::try_from(n).ok()),
        data_bits: byte("data_bits").filter(|bits| *bits == 7 || *bits == 8),
        parity: plugin.text("parity").and_then(Parity::of),
        stop_bits: byte("stop_bits").filter(|bits| *bits == 1 || *bits == 2),
    };
    let carrier = if let Some(rest) = controller.strip_prefix("tcp://") {
        Carrier::endpoint(rest)
    } else {
        let device = controller.strip_prefix("file://").unwrap_or(controller);
        device.starts_with("/dev/").then(|| serial(device))
    };
    let carrier = match carrier {
        // `${HOST}`: the value is in the environment of Telegraf.
        Some(carrier) if !controller.contains('$') => carrier,
        Some(_) => {
            out.remark(at, controller, Finding::Elsewhere);
            serial("/dev/ttyUSB0")
        }
        None => {
            out.remark(at, controller, Finding::Port);
            serial("/dev/ttyUSB0")
        }
    };
    out.port(ImportedPort {
        name: String::new(),
        carrier,
        frames,
        response_ms: plugin.text("timeout").and_then(number::span),
        is_example: false,
    })
}

fn unit(id: &Tree, out: &mut Imported) -> Option<u8> {
    let shown = id.shown();
    let unit = number::whole(&shown).and_then(|n| u8::try_from(n).ok());
    if unit.is_none() {
        out.remark(Place::new(id.line, "slave_id"), shown, Finding::Unit);
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
    let at = Place::new(field.line, name);
    let Some(table) = word::table(table) else {
        return out.remark(at, table, Finding::Table);
    };
    let Some(id) = request.get("slave_id") else {
        return out.remark(at, "slave_id", Finding::Unit);
    };
    let Some(unit) = unit(id, out) else {
        return;
    };
    let written = field.text("address").unwrap_or_default();
    let Some(address) = number::whole(written).and_then(|n| u16::try_from(n).ok()) else {
        return out.remark(at, written, Finding::Address);
    };
    let kind = field.text("type").unwrap_or_default().to_ascii_uppercase();
    let bit = field.text("bit").and_then(|bit| bit.parse::<u8>().ok());
    let length = field.text("length").and_then(|n| n.parse::<u16>().ok());
    let shape = match (table.is_bits(), kind.as_str()) {
        (true, _) => Some(Shape::Bool),
        (false, "BIT") => bit.filter(|bit| *bit < 16).map(Shape::Bit),
        (false, _) => word::shape(&kind, length).map(|(shape, _)| shape),
    };
    let Some(shape) = shape else {
        return out.remark(at, kind, Finding::Type);
    };
    let order = request.text("byte_order");
    let point = refined(
        field,
        at,
        Source::Register(table, address),
        shape,
        (order, &kind),
        out,
    );
    units.entry(unit).or_default().push(point);
}

/// Reads an entry of the style `register`.
fn register(entry: &Tree, table: Table, out: &mut Imported) -> Option<ImportedPoint> {
    out.entries += 1;
    let at = Place::new(entry.line, entry.text("name").unwrap_or_default());
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
        out.remark(at, written, Finding::Address);
        return None;
    };
    let kind = entry
        .text("data_type")
        .unwrap_or_default()
        .to_ascii_uppercase();
    let width = u16::try_from(addresses.len()).unwrap_or(u16::MAX);
    let sized = |one: &'static str, two: &'static str, four: &'static str| match width {
        1 => Some(Shape::Number(one)),
        2 => Some(Shape::Number(two)),
        4 => Some(Shape::Number(four)),
        _ => None,
    };
    let bit = entry.text("bit").and_then(|bit| bit.parse::<u8>().ok());
    let shape = match (table.is_bits(), kind.as_str()) {
        (true, _) => Some(Shape::Bool),
        (false, "FIXED") => sized("i16", "i32", "i64"),
        (false, "UFIXED" | "FLOAT32") => sized("u16", "u32", "u64"),
        (false, "BIT") => bit.filter(|bit| *bit < 16).map(Shape::Bit),
        (false, _) => word::shape(&kind, Some(width)).map(|(shape, _)| shape),
    };
    let Some(shape) = shape else {
        out.remark(at, kind, Finding::Type);
        return None;
    };
    let follows = addresses
        .windows(2)
        .all(|pair| pair[0].checked_add(1) == Some(pair[1]));
    if !follows || width != shape.width() {
        out.remark(at, written, Finding::Registers);
        return None;
    }
    let order = entry.text("byte_order");
    Some(refined(
        entry,
        at,
        Source::Register(table, first),
        shape,
        (order, &kind),
        out,
    ))
}

/// Adds order and factor to a point.
fn refined(
    entry: &Tree,
    at: Place,
    source: Source,
    shape: Shape,
    (order, kind): (Option<&str>, &str),
    out: &mut Imported,
) -> ImportedPoint {
    let mut point = ImportedPoint::new(at.clone(), source, shape);
    point.order = order.and_then(word::order).unwrap_or_default();
    point.high_half = kind.ends_with("8H");
    if let (Shape::Number(_), Some(written)) = (shape, entry.text("scale")) {
        match number::decimal(written) {
            Some(by) => point.scale = number::factor(by),
            None => out.remark(at.clone(), written, Finding::Factor),
        }
    }
    if matches!(point.order, Order::Badc | Order::Dcba) && point.shape.width() > 1 {
        out.remark(at, point.order.word(), Finding::Order);
    }
    point
}

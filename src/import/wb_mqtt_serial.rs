//! Templates and the configuration of wb-mqtt-serial (github.com/wirenboard/wb-mqtt-serial,
//! README.md), JSON with comments.
//!
//! A channel without `format` is a u16, and one without `reg_type` a holding register. `"109:1:2"`
//! is two bits of register 109 from bit 1 on; `"109:5"` is as many bits as the format has, so that
//! the next register belongs to it. `word_order: little_endian` has the less significant register
//! first. A text has one character in each register, as `string8` two; `string_data_size` counts
//! registers. `port_type: tcp` passes RTU frames on, `modbus tcp` is Modbus TCP.

use super::point::{
    ByteForm, Frames, Imported, ImportedDevice, ImportedPoint, ImportedPort, ImportedProfile,
    LetterOrder, PortKind, SerialKeys,
};
use super::remark::{FileLocation, RemarkCause};
use super::source::ValueSource;
use super::tree::Tree;
use super::{ImportRefusal, json, number, table_words};
use crate::base::text::counted;
use crate::spec::Table;

/// Reads a template or a configuration.
///
/// # Errors
/// It is not JSON, or has no channels.
pub fn read(text: &str) -> Result<Imported, ImportRefusal> {
    let root = json::read(text)?;
    let mut out = Imported::default();
    for entry in root.list("ports") {
        let devices = entry.list("devices");
        if devices.is_empty() {
            continue;
        }
        if entry.text("enabled") == Some("false") {
            let path = entry.any(&["path", "address"]);
            let at = FileLocation::new(0, &path.map(Tree::shown).unwrap_or_default());
            out.remark(at, "enabled: false", RemarkCause::Disabled);
            continue;
        }
        let port = port(entry, &mut out);
        for device in devices {
            let profile = profile(device, device.text("name"), &mut out);
            let name = device
                .text("name")
                .or(device.text("id"))
                .unwrap_or_default();
            let Some(profile) = profile else {
                continue;
            };
            let written = device.get("slave_id").map(Tree::shown).unwrap_or_default();
            let unit = number::whole(&written).and_then(|n| u8::try_from(n).ok());
            if unit.is_none() {
                out.remark(FileLocation::new(0, name), written, RemarkCause::Unit);
                continue;
            }
            out.devices.push(ImportedDevice {
                name: name.to_owned(),
                title: String::new(),
                port,
                profile: Some(profile),
                unit,
                meter: None,
            });
        }
    }
    if let Some(device) = root.get("device").or(root.get("channels").map(|_| &root)) {
        let name = root.text("device_type").or(device.text("name"));
        profile(device, name, &mut out);
    }
    match out.entries == 0 && out.remarks.is_empty() {
        true => Err(ImportRefusal::Nothing("list of channels")),
        false => Ok(out),
    }
}

fn port(port: &Tree, out: &mut Imported) -> usize {
    let whole = |key: &str| port.text(key).and_then(number::whole);
    let path = port.text("path").unwrap_or_default();
    let there = format!(
        "{}:{}",
        port.text("address").unwrap_or_default(),
        port.text("port").unwrap_or("502")
    );
    let keys = SerialKeys {
        baud: "baud_rate",
        data_bits: "data_bits",
        stop_bits: "stop_bits",
    };
    let serial = |device: &str| PortKind::serial(device, port, keys);
    let (port_kind, frames) = match port.text("port_type").unwrap_or("serial") {
        "tcp" => (PortKind::endpoint(&there), Frames::Rtu),
        "modbus tcp" => (PortKind::endpoint(&there), Frames::Usual),
        _ => (
            path.starts_with("/dev/").then(|| serial(path)),
            Frames::Usual,
        ),
    };
    let port_kind = port_kind.unwrap_or_else(|| {
        out.remark(FileLocation::new(0, path), &*there, RemarkCause::Port);
        serial("/dev/ttyUSB0")
    });
    out.port(ImportedPort {
        name: String::new(),
        port_kind,
        frames,
        response_ms: whole("response_timeout_ms").and_then(|n| u64::try_from(n).ok()),
        is_example: false,
    })
}

/// Reads the channels of a device or a template; returns the number of its profile.
fn profile(device: &Tree, name: Option<&str>, out: &mut Imported) -> Option<usize> {
    let name = name.unwrap_or_default();
    let at = FileLocation::new(0, name);
    let protocol = device.text("protocol").unwrap_or("modbus");
    // The modules behind a device of modbus_io have addresses that are computed.
    if !protocol.contains("modbus") || protocol.starts_with("modbus_io") {
        out.entries += 1;
        out.remark(at, protocol, RemarkCause::Protocol);
        return None;
    }
    if device.text("enabled") == Some("false") {
        out.remark(at, "enabled: false", RemarkCause::Disabled);
        return None;
    }
    let channels = device.list("channels");
    if channels.is_empty() {
        out.remark(
            at,
            device.text("device_type").unwrap_or_default(),
            RemarkCause::OtherTemplate,
        );
        return None;
    }
    for (key, noun) in [("setup", "setting"), ("parameters", "parameter")] {
        let entries = device
            .get(key)
            .map_or(0, |p| p.as_list().len().max(p.entries().len()));
        if entries > 0 {
            let seen = format!("{key}: {}", counted(entries, noun));
            out.remark(at.clone(), seen, RemarkCause::Actions);
        }
    }
    let titles = device
        .get("translations")
        .and_then(|t| t.any(&["en", "zh"]));
    let mut points = Vec::new();
    for channel in channels {
        out.entries += 1;
        self::channel(channel, titles, out, &mut points);
    }
    Some(
        out.profile(ImportedProfile {
            name: name.to_owned(),
            points,
            interval_ms: None,
            max_registers: device
                .text("max_read_registers")
                .and_then(|n| n.parse().ok())
                .filter(|n| (1..=125).contains(n)),
        }),
    )
}

fn channel(
    channel: &Tree,
    titles: Option<&Tree>,
    out: &mut Imported,
    points: &mut Vec<ImportedPoint>,
) {
    let name = channel
        .text("name")
        .or(channel.text("id"))
        .unwrap_or_default();
    let at = FileLocation::new(0, name);
    if channel.text("enabled") == Some("false") {
        return out.remark(at, "enabled: false", RemarkCause::Disabled);
    }
    // A channel of a device inside of the device.
    if let Some(inner) = channel.any(&["device_type", "oneOf", "anyOf"]) {
        return out.remark(at, inner.shown(), RemarkCause::Composite);
    }
    if let Some(condition) = channel.get("condition") {
        out.remark(at.clone(), condition.shown(), RemarkCause::Condition);
    }
    let parts = channel.list("consists_of");
    if parts.is_empty() {
        points.extend(register(channel, channel, name, titles, out));
        return;
    }
    for (n, part) in parts.iter().enumerate() {
        let name = format!("{name} {}", n + 1);
        points.extend(register(part, channel, &name, titles, out));
    }
    out.remark(at, "consists_of", RemarkCause::Parts);
}

/// Reads a register; what it does not say itself, the channel may.
fn register(
    register: &Tree,
    channel: &Tree,
    name: &str,
    titles: Option<&Tree>,
    out: &mut Imported,
) -> Option<ImportedPoint> {
    let at = FileLocation::new(0, name);
    let text = |key: &str| register.text(key).or(channel.text(key));
    for key in ["address", "scale", "offset", "format", "reg_type"] {
        if let Some(expression) = text(key).filter(|value| value.contains('$')) {
            out.remark(at, format!("{key}: {expression}"), RemarkCause::Expression);
            return None;
        }
    }
    let kind = text("reg_type").unwrap_or("holding");
    let table = match kind {
        "coil" => Table::Coil,
        "discrete" => Table::DiscreteInput,
        "holding" | "holding_single" | "holding_multi" => Table::HoldingRegister,
        "input" | "press_counter" => Table::InputRegister,
        _ => {
            out.remark(at, kind, RemarkCause::Table);
            return None;
        }
    };
    let Some(written) = text("address") else {
        let finding = match channel.get("write_address") {
            Some(_) => RemarkCause::WriteOnly,
            None => RemarkCause::Incomplete,
        };
        out.remark(at, "", finding);
        return None;
    };
    let mut parts = written.split(':');
    let address = parts
        .next()
        .and_then(number::whole)
        .and_then(|n| u16::try_from(n).ok());
    let mut bit = || {
        parts
            .next()
            .map(|n| number::whole(n).and_then(|n| u8::try_from(n).ok()))
    };
    let format = text("format").unwrap_or("u16");
    let whole = table_words::shape(format, None).map_or(16, |(shape, _)| shape.bits());
    let whole = u8::try_from(whole).unwrap_or(64);
    let bits = match (bit(), bit()) {
        (None, None) => Some(None),
        // All bits of the format: the value is not shifted.
        (Some(Some(0)), None) => Some(None),
        (Some(Some(shift)), width) => {
            // Without a width, or with 0, it is that of the format.
            let width = width.unwrap_or(Some(0));
            let width = width.map(|width| if width == 0 { whole } else { width });
            let last = width.and_then(|width| shift.checked_add(width)?.checked_sub(1));
            last.filter(|last| *last < 64)
                .map(|last| Some((shift, last)))
        }
        _ => None,
    };
    let Some((address, bits)) = address.zip(bits) else {
        out.remark(at, written, RemarkCause::Address);
        return None;
    };
    let size = text("string_data_size").and_then(|n| n.parse::<u16>().ok());
    let shape = match (table.is_bits(), format, bits) {
        (true, ..) => Some(ByteForm::Bool),
        (false, "string", _) => size.map(|registers| ByteForm::Text {
            registers,
            characters: 1,
        }),
        (false, "string8", _) => size.map(|n| ByteForm::Text {
            registers: n,
            characters: 2,
        }),
        (false, "char8", _) => Some(ByteForm::Text {
            registers: 1,
            characters: 1,
        }),
        (false, _, Some((low, high))) if low == high && low < 16 => Some(ByteForm::Bit(low)),
        (false, _, bits) => {
            let shape = table_words::shape(format, None).map(|(shape, _)| shape);
            shape.and_then(|shape| match (shape, bits) {
                (ByteForm::Number(word), Some((low, high))) => {
                    // The sign is that of the format, which fewer bits do not reach.
                    let is_signed = word.starts_with('i') && high - low + 1 == whole;
                    wide_enough(high, is_signed).filter(|_| word.starts_with(['u', 'i']))
                }
                (shape, _) => Some(shape).filter(|shape| *shape != ByteForm::Bool),
            })
        }
    };
    let Some(shape) = shape else {
        out.remark(at, format, RemarkCause::Type);
        return None;
    };
    let mut point = ImportedPoint::new(at.clone(), ValueSource::Register(table, address), shape);
    point.bits = bits.filter(|_| matches!(shape, ByteForm::Number(_)));
    let low = |key: &str| text(key) == Some("little_endian");
    point.order = LetterOrder::of(low("word_order"), low("byte_order"));
    if matches!(shape, ByteForm::Text { .. }) && low("word_order") {
        out.remark(
            at.clone(),
            "word_order: little_endian",
            RemarkCause::Setting,
        );
    }
    point.measure = text("units").unwrap_or_default().to_owned();
    let is_written = matches!(table, Table::Coil | Table::HoldingRegister);
    point.writable =
        is_written && text("readonly") != Some("true") && channel.get("write_address").is_none();
    let every = text("read_period_ms")
        .or(text("read_rate_limit_ms"))
        .or(text("poll_interval"));
    point.interval_ms = every.and_then(|ms| ms.parse().ok());
    if matches!(shape, ByteForm::Number(_)) {
        refine(&mut point, &text, out);
    }
    states(&mut point, channel, titles, out);
    Some(point)
}

/// Returns the number that has this bit, 0 the lowest: of as many registers as are read for it.
fn wide_enough(high: u8, is_signed: bool) -> Option<ByteForm> {
    let (unsigned, signed) = match high {
        0..16 => ("u16", "i16"),
        16..32 => ("u32", "i32"),
        32..48 => ("u48", "i48"),
        48..64 => ("u64", "i64"),
        _ => return None,
    };
    Some(ByteForm::Number(if is_signed { signed } else { unsigned }))
}

/// Adds factor, rounding and the value of an error.
fn refine<'t>(
    point: &mut ImportedPoint,
    text: &impl Fn(&str) -> Option<&'t str>,
    out: &mut Imported,
) {
    let at = point.at.clone();
    let mut read = |key: &str| {
        let written = text(key)?;
        let found = number::decimal(written);
        if found.is_none() {
            out.remark(at.clone(), format!("{key}: {written}"), RemarkCause::Factor);
        }
        found
    };
    point.scale = read("scale").and_then(number::factor);
    point.offset = read("offset").and_then(number::addend);
    if let Some(written) = text("round_to") {
        let step: Option<f64> = written.parse().ok();
        let places = step.and_then(|step| {
            (0..=9u8).find(|n| (step - 10f64.powi(-i32::from(*n))).abs() < step / 1000.0)
        });
        point.round = places;
        if places.is_none() {
            out.remark(
                at.clone(),
                format!("round_to: {written}"),
                RemarkCause::Setting,
            );
        }
    }
    for key in ["error_value", "unsupported_value"] {
        // The value is 64 bits wide in the file, also of 16 bits that are all set.
        let value = text(key).and_then(|v| {
            let all = number::hexadecimal(v).or(v.parse().ok());
            all.map(|bits| bits as i64).or(v.parse().ok())
        });
        let found = value.and_then(|value| point.shape.bits_of(value));
        let is_new = |bits: &u64| !point.invalid.contains(bits) && point.bits.is_none();
        let found = found.filter(is_new);
        point.invalid.extend(found);
    }
}

/// Adds the titles of states: of `enum`, or of a switch that is not 0 and 1.
fn states(point: &mut ImportedPoint, channel: &Tree, titles: Option<&Tree>, out: &mut Imported) {
    let numbers: Option<Vec<i64>> = channel
        .list("enum")
        .iter()
        .map(|n| number::whole(&n.shown()))
        .collect();
    let named = channel.list("enum_titles");
    match numbers {
        None => out.remark(
            point.at.clone(),
            channel.get("enum").map(Tree::shown).unwrap_or_default(),
            RemarkCause::States,
        ),
        Some(numbers) => {
            for (n, number) in numbers.into_iter().enumerate() {
                let title = named
                    .get(n)
                    .map(Tree::shown)
                    .unwrap_or_else(|| number.to_string());
                let told = titles.and_then(|t| t.text(&title));
                point
                    .values
                    .push((number, told.map_or(title.clone(), str::to_owned)));
            }
        }
    }
    let on = channel.text("on_value").and_then(number::whole);
    let off = channel.text("off_value").map_or(Some(0), number::whole);
    if let (true, Some(on), Some(off)) = (point.values.is_empty(), on, off)
        && (on, off) != (1, 0)
        && matches!(point.shape, ByteForm::Number(_))
        && on != off
    {
        point.values = vec![(off, "off".into()), (on, "on".into())];
    }
}

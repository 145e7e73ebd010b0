//! Home Assistant's `modbus:` (home-assistant.io/integrations/modbus): hubs with sensors, binary
//! sensors, switches, lights, fans, numbers of climates; the file may hold the section alone.
//!
//! Addresses count from 0. A sensor without `input_type` is in the holding registers and without
//! `data_type` an int16; a binary sensor is a coil. `swap` exchanges bytes, words or both. The
//! further binary sensors of one with `virtual_count` are the next coils or registers, of which the
//! lowest bit counts (`homeassistant/components/modbus/binary_sensor.py`). `nan_value` is the
//! number that is read, also of a float; as a text it may be hexadecimal without `0x`.

use std::collections::BTreeMap;

use super::point::{
    ByteForm, Frames, Imported, ImportedPoint, ImportedPort, LetterOrder, PortKind, SerialKeys,
};
use super::remark::{FileLocation, RemarkCause};
use super::source::ValueSource;
use super::tree::{Tree, TreeValue};
use super::{ImportRefusal, number, table_words, yaml};
use crate::spec::Table;

/// Reads a configuration.
///
/// # Errors
/// It is not YAML, or has no `modbus:`.
pub fn read(text: &str) -> Result<Imported, ImportRefusal> {
    let root = yaml::read(text)?;
    let hubs = match root.get("modbus") {
        Some(hubs) => hubs.as_list(),
        // `modbus: !include modbus.yaml`, and this is modbus.yaml.
        None => root.as_list(),
    };
    let mut out = Imported::default();
    for hub in hubs {
        if let Some(text) = hub.as_text().filter(|text| text.starts_with('!')) {
            out.remark(
                FileLocation::new(hub.line, "modbus"),
                text,
                RemarkCause::Elsewhere,
            );
        }
        Hub::read(hub, &mut out);
    }
    match out.entries == 0 && out.remarks.is_empty() {
        true => Err(ImportRefusal::Nothing("section modbus:")),
        false => Ok(out),
    }
}

/// The points of a hub by unit id and interval.
struct Hub<'o> {
    out: &'o mut Imported,
    units: BTreeMap<u8, Vec<ImportedPoint>>,
}

impl Hub<'_> {
    fn read(hub: &Tree, out: &mut Imported) {
        let name = hub.text("name").unwrap_or_default();
        let mut reading = Hub {
            out,
            units: BTreeMap::new(),
        };
        let mut found = false;
        for key in [
            "sensors",
            "binary_sensors",
            "switches",
            "lights",
            "fans",
            "climates",
            "covers",
        ] {
            for entry in hub.list(key) {
                found = true;
                reading.out.entries += 1;
                match key {
                    "sensors" => reading.sensor(entry),
                    "binary_sensors" => reading.binary_sensor(entry),
                    "climates" => reading.climate(entry),
                    "covers" => reading.other(entry),
                    _ => reading.switch(entry),
                }
            }
        }
        if !found {
            return;
        }
        let Hub { out, units } = reading;
        let port = port(hub, name, out);
        // What the integration does without scan_interval.
        out.units(name, port, Some(15_000), units);
    }

    fn place(entry: &Tree) -> FileLocation {
        FileLocation::new(entry.line, entry.text("name").unwrap_or_default())
    }

    /// Returns how many further sensors like it an entry has.
    fn further(entry: &Tree) -> u16 {
        let count = entry.any(&["virtual_count", "slave_count"]);
        let count = count.and_then(Tree::as_text);
        count.and_then(|n| n.parse().ok()).unwrap_or(0)
    }

    /// Returns the place of the sensor with this number among them; 0 is the entry itself.
    fn place_of(entry: &Tree, n: u16) -> FileLocation {
        let mut at = Hub::place(entry);
        if n > 0 {
            at.entry = format!("{} {n}", at.entry);
        }
        at
    }

    /// Returns where the entry is; a template, a secret or nothing is remarked.
    fn address(&mut self, entry: &Tree, key: &str) -> Option<u16> {
        let at = Hub::place(entry);
        let written = entry.get(key).map(Tree::shown).unwrap_or_default();
        let address = number::whole(&written).and_then(|n| u16::try_from(n).ok());
        if address.is_none() {
            let finding = match written.as_str() {
                "" => RemarkCause::Incomplete,
                text if text.starts_with('!') => RemarkCause::Elsewhere,
                text if text.contains("{{") => RemarkCause::Expression,
                _ => RemarkCause::Address,
            };
            self.out.remark(at, written, finding);
        }
        address
    }

    fn add(&mut self, entry: &Tree, mut point: ImportedPoint) {
        let written = entry.any(&["device_address", "slave"]);
        let shown = written.map(Tree::shown);
        let unit = shown.as_deref().map_or(Some(1), |id| {
            number::whole(id).and_then(|n| u8::try_from(n).ok())
        });
        let Some(unit) = unit else {
            return self.out.remark(
                Hub::place(entry),
                shown.unwrap_or_default(),
                RemarkCause::Unit,
            );
        };
        let every = entry.text("scan_interval").and_then(number::span);
        point.interval_ms = every.filter(|ms| *ms > 0);
        if every == Some(0) {
            let seen = "scan_interval: 0";
            self.out
                .remark(Hub::place(entry), seen, RemarkCause::Setting);
        }
        // Settings that change the value: beyond a limit, Home Assistant shows the limit.
        for key in [
            "zero_suppress",
            "lazy_error_count",
            "min_value",
            "max_value",
        ] {
            if let Some(setting) = entry.get(key) {
                let seen = format!("{key}: {}", setting.shown());
                self.out
                    .remark(Hub::place(entry), seen, RemarkCause::Setting);
            }
        }
        self.units.entry(unit).or_default().push(point);
    }

    /// Returns the shape of a register; what is not known is remarked.
    fn shape(&mut self, entry: &Tree) -> Option<ByteForm> {
        let count = entry.text("count").and_then(|n| n.parse::<u16>().ok());
        let kind = entry.text("data_type").unwrap_or("int16");
        if kind == "custom" || entry.get("structure").is_some() {
            let seen = entry.text("structure").unwrap_or(kind);
            self.out
                .remark(Hub::place(entry), seen, RemarkCause::Composite);
            return None;
        }
        let shape = table_words::shape(kind, count).map(|(shape, _)| shape);
        if shape.is_none() {
            self.out.remark(Hub::place(entry), kind, RemarkCause::Type);
        }
        shape
    }

    /// Adds what the keys of a number say; `of` is the beginning of the keys of factor and addend
    /// that are tried before the general ones.
    fn refine(&mut self, entry: &Tree, of: &str, point: &mut ImportedPoint) {
        let swap = entry.text("swap").unwrap_or_default();
        point.order = match swap {
            "word" => LetterOrder::Cdab,
            "byte" => LetterOrder::Badc,
            "word_byte" => LetterOrder::Dcba,
            _ => LetterOrder::Abcd,
        };
        point.measure = entry
            .any(&["unit_of_measurement", "temperature_unit"])
            .map(Tree::shown)
            .unwrap_or_default();
        if !matches!(point.shape, ByteForm::Number(_)) {
            return;
        }
        let mut read = |key: &str| {
            let own = format!("{of}{key}");
            let written = entry.text(&own).or(entry.text(key))?;
            let found = number::decimal(written);
            if found.is_none() {
                let seen = format!("{key}: {written}");
                self.out
                    .remark(Hub::place(entry), seen, RemarkCause::Factor);
            }
            found
        };
        point.scale = read("scale").and_then(number::factor);
        point.offset = read("offset").and_then(number::addend);
        let places = entry.text("precision").and_then(|p| p.parse::<u8>().ok());
        point.round = places.filter(|p| *p <= 9);
        let none = entry.text("nan_value").and_then(nan);
        let none = none.and_then(|n| match point.shape {
            ByteForm::Number("f32") => Some(u64::from((n as f32).to_bits())),
            ByteForm::Number("f64") => Some((n as f64).to_bits()),
            ByteForm::Number("f16") => None,
            shape => shape.bits_of(n),
        });
        point.invalid = none.into_iter().collect();
    }

    fn sensor(&mut self, entry: &Tree) {
        let table = match entry.text("input_type") {
            Some("input") => Table::InputRegister,
            None | Some("holding") => Table::HoldingRegister,
            Some(other) => {
                return self
                    .out
                    .remark(Hub::place(entry), other, RemarkCause::Table);
            }
        };
        let Some(address) = self.address(entry, "address") else {
            return;
        };
        let Some(shape) = self.shape(entry) else {
            return;
        };
        for n in 0..=Hub::further(entry).min(100) {
            let Some(address) = shape
                .width()
                .checked_mul(n)
                .and_then(|by| address.checked_add(by))
            else {
                return;
            };
            let at = Hub::place_of(entry, n);
            let mut point = ImportedPoint::new(at, ValueSource::Register(table, address), shape);
            self.refine(entry, "", &mut point);
            self.add(entry, point);
        }
    }

    fn binary_sensor(&mut self, entry: &Tree) {
        let table = match entry.text("input_type") {
            None => Table::Coil,
            Some(word) => match table(word) {
                Some(table) => table,
                None => {
                    return self.out.remark(Hub::place(entry), word, RemarkCause::Table);
                }
            },
        };
        let Some(address) = self.address(entry, "address") else {
            return;
        };
        for n in 0..=Hub::further(entry).min(255) {
            let at = Hub::place_of(entry, n);
            let shape = match table.is_bits() {
                true => ByteForm::Bool,
                false => ByteForm::Bit(0),
            };
            if let Some(address) = address.checked_add(n) {
                let point = ImportedPoint::new(at, ValueSource::Register(table, address), shape);
                self.add(entry, point);
            }
        }
    }

    fn switch(&mut self, entry: &Tree) {
        let written = match entry.text("write_type") {
            Some("coil" | "coils") => Table::Coil,
            _ => Table::HoldingRegister,
        };
        let verify = entry
            .get("verify")
            .filter(|v| matches!(v.is, TreeValue::Map(_)));
        let told = verify.and_then(|v| v.text("input_type"));
        let table = match told {
            None => written,
            Some(word) => match self::table(word) {
                Some(table) => table,
                None => {
                    return self.out.remark(Hub::place(entry), word, RemarkCause::Table);
                }
            },
        };
        let there = verify.filter(|v| v.get("address").is_some());
        let Some(address) = self.address(there.map_or(entry, |v| v), "address") else {
            return;
        };
        let shape = match table.is_bits() {
            true => ByteForm::Bool,
            false => ByteForm::Number("u16"),
        };
        let mut point = ImportedPoint::new(
            Hub::place(entry),
            ValueSource::Register(table, address),
            shape,
        );
        // Only what is read where it is written can be written as one point.
        point.writable = table == written && there.is_none();
        // Several numbers may mean the same state.
        let state = |key: &str, or: &str, usual: i64| -> Option<Vec<i64>> {
            let value = verify.and_then(|v| v.get(key)).or(entry.get(or));
            let Some(value) = value else {
                return Some(vec![usual]);
            };
            let numbers = value.as_list().iter();
            numbers.map(|n| number::whole(n.as_text()?)).collect()
        };
        let states = (
            state("state_off", "command_off", 0),
            state("state_on", "command_on", 1),
        );
        if !table.is_bits() {
            match states {
                (Some(off), Some(on)) if off.iter().all(|n| !on.contains(n)) => {
                    let titled = |all: Vec<i64>, title: &'static str| {
                        all.into_iter().map(move |n| (n, title.to_owned()))
                    };
                    point.values = titled(off, "off").chain(titled(on, "on")).collect();
                }
                _ => self
                    .out
                    .remark(Hub::place(entry), "command_on", RemarkCause::OnOff),
            }
        } else if states != (Some(vec![0]), Some(vec![1])) {
            self.out
                .remark(Hub::place(entry), "command_on", RemarkCause::OnOff);
        }
        self.add(entry, point);
    }

    /// Takes the temperatures of a climate, and its mode as a number.
    fn climate(&mut self, entry: &Tree) {
        let Some(shape) = self.shape(entry) else {
            return;
        };
        let table = match entry.text("input_type") {
            Some("input") => Table::InputRegister,
            _ => Table::HoldingRegister,
        };
        let name = Hub::place(entry).entry;
        let parts = [
            ("address", "temperature", "current_temp_", table),
            (
                "target_temp_register",
                "target",
                "target_temp_",
                Table::HoldingRegister,
            ),
        ];
        for (key, what, of, table) in parts {
            if entry.get(key).is_none() {
                continue;
            }
            if let Some(list) = entry
                .get(key)
                .filter(|v| matches!(v.is, TreeValue::List(_)))
            {
                // A register for each mode.
                self.out
                    .remark(Hub::place(entry), list.shown(), RemarkCause::Composite);
                continue;
            }
            let Some(address) = self.address(entry, key) else {
                continue;
            };
            let at = FileLocation::new(entry.line, &format!("{name} {what}"));
            let mut point = ImportedPoint::new(at, ValueSource::Register(table, address), shape);
            point.writable = what == "target";
            self.refine(entry, of, &mut point);
            self.add(entry, point);
        }
        if let Some(mode) = entry.get("hvac_mode_register") {
            let at = FileLocation::new(mode.line, &format!("{name} mode"));
            if let Some(address) = self.address(mode, "address") {
                let source = ValueSource::Register(Table::HoldingRegister, address);
                let mut point = ImportedPoint::new(at.clone(), source, ByteForm::Number("u16"));
                point.writable = true;
                for (state, value) in mode.get("values").map_or(&[][..], Tree::entries) {
                    let title = state.trim_start_matches("state_").to_owned();
                    let numbers = value.as_list().iter().filter_map(Tree::as_text);
                    point.values.extend(
                        numbers
                            .filter_map(number::whole)
                            .map(|n| (n, title.clone())),
                    );
                }
                self.add(entry, point);
            }
        }
        for key in [
            "hvac_onoff_register",
            "fan_mode_register",
            "swing_mode_register",
            "hvac_action_register",
            "hvac_onoff_coil",
        ] {
            if let Some(setting) = entry.get(key) {
                let at = FileLocation::new(setting.line, &name);
                self.out.remark(
                    at,
                    format!("{key}: {}", setting.shown()),
                    RemarkCause::Composite,
                );
            }
        }
    }

    fn other(&mut self, entry: &Tree) {
        self.out
            .remark(Hub::place(entry), "covers", RemarkCause::Composite);
    }
}

/// Returns the table that a word of `input_type` means.
fn table(word: &str) -> Option<Table> {
    Some(match word {
        "coil" | "coils" => Table::Coil,
        "discrete" | "discrete_input" => Table::DiscreteInput,
        "holding" | "holdings" => Table::HoldingRegister,
        "input" => Table::InputRegister,
        _ => return None,
    })
}

/// Reads `nan_value`: decimal, or hexadecimal with or without `0x`.
fn nan(text: &str) -> Option<i64> {
    number::whole(text).or_else(|| i64::from_str_radix(text.trim(), 16).ok())
}

fn port(hub: &Tree, name: &str, out: &mut Imported) -> usize {
    let kind = hub.text("type").unwrap_or("tcp");
    let line = hub.get("type").map_or(hub.line, |t| t.line);
    let at = FileLocation::new(line, name);
    let port = hub.text("port").unwrap_or_default();
    let keys = SerialKeys {
        baud: "baudrate",
        data_bits: "bytesize",
        stop_bits: "stopbits",
    };
    let serial = |device: &str| PortKind::serial(device, hub, keys);
    let host = hub.text("host").unwrap_or_default();
    let (port_kind, frames) = match kind {
        "serial" => {
            let is_ascii = hub.text("method") == Some("ascii");
            let frames = if is_ascii {
                Frames::Ascii
            } else {
                Frames::Usual
            };
            (port.starts_with("/dev/").then(|| serial(port)), frames)
        }
        "tcp" | "rtuovertcp" => {
            let port = if port.is_empty() { "502" } else { port };
            let frames = if kind == "tcp" {
                Frames::Usual
            } else {
                Frames::Rtu
            };
            (PortKind::endpoint(&format!("{host}:{port}")), frames)
        }
        _ => (None, Frames::Usual),
    };
    let port_kind = port_kind.unwrap_or_else(|| {
        let seen = format!("{kind} {host} {port}");
        let is_elsewhere = seen.contains('!');
        let finding = if is_elsewhere {
            RemarkCause::Elsewhere
        } else {
            RemarkCause::Port
        };
        out.remark(at, seen, finding);
        serial("/dev/ttyUSB0")
    });
    out.port(ImportedPort {
        name: String::new(),
        port_kind,
        frames,
        response_ms: hub.text("timeout").and_then(number::span),
        is_example: false,
    })
}

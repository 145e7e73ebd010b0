//! Adds what a scan has found to a configuration.

use std::path::Path;

use super::found::{Address, Found, Scanned};
use crate::base::text::counted;
use crate::config::list_items;
use crate::io::files::{bounded, rewrite};
use crate::spec::dlt645::Edition;
use crate::spec::{Characters, LineSpec, Parity, StopBits};

/// The largest configuration that is added to.
const LARGEST: u64 = 8 << 20;

/// The profile of a unit whose kind is not known.
const UNKNOWN: &str = "CHANGE-ME";

/// Adds ports and devices to a configuration file; returns what was added, in a sentence.
///
/// # Errors
/// Why the file could not be read, added to or written; then it is as it was.
pub(super) fn write(
    file: &Path,
    all: &[Scanned],
    product_key: Option<&str>,
) -> Result<String, String> {
    let shown = file.display();
    let text = match file.exists() {
        true => bounded::read_text(file, LARGEST).map_err(|e| format!("{shown}: {e}"))?,
        false => String::new(),
    };
    let all: Vec<&Scanned> = all.iter().filter(|s| !readable(s).is_empty()).collect();
    if all.is_empty() {
        return Ok(format!("{shown}: nothing was found, so nothing is added"));
    }
    let mut names = Names::of(&text);
    let (mut ports, mut devices) = (Vec::new(), Vec::new());
    for scanned in &all {
        let port = match scanned.is_shared {
            true => scanned.named.clone(),
            false => {
                let name = names.fresh("line");
                ports.push(port_item(&name, scanned));
                name
            }
        };
        for found in readable(scanned) {
            let name = names.fresh(found.profile().unwrap_or("device"));
            devices.push(device_item(&name, &port, scanned, found, product_key));
        }
    }
    let added = match ports.is_empty() {
        true => Ok(text),
        false => list_items::added(&text, "ports", &ports),
    };
    let added = added.and_then(|text| list_items::added(&text, "devices", &devices));
    let added = added.map_err(|e| {
        let items = ports.iter().chain(&devices).cloned().collect::<Vec<_>>();
        format!("{shown}: {e}; add it yourself:\n{}", items.join("\n"))
    })?;
    rewrite::rewrite(file, &added).map_err(|e| format!("{shown}: {e}"))?;
    Ok(format!(
        "{shown}: added {} and {}; check it with: alink-gateway check {shown}",
        counted(ports.len(), "port"),
        counted(devices.len(), "device")
    ))
}

fn readable(scanned: &Scanned) -> Vec<&Found> {
    let found = scanned.found.iter();
    found.filter(|found| !found.is_garbled).collect()
}

fn port_item(name: &str, scanned: &Scanned) -> String {
    match &scanned.line {
        LineSpec::Serial(serial) => {
            let at = port_characters(scanned).unwrap_or_else(|| serial.characters());
            format!(
                "- name: {name}\n  serial:\n    device: {}\n{}",
                serial.path.display(),
                settings(at, "    ")
            )
        }
        LineSpec::Tcp(tcp) => format!(
            "- name: {name}\n  tcp:\n    host: {}\n    port: {}",
            tcp.host, tcp.port
        ),
    }
}

/// Returns the characters that most devices of a line have.
fn port_characters(scanned: &Scanned) -> Option<Characters> {
    let all: Vec<Characters> = readable(scanned).iter().filter_map(|f| f.at).collect();
    let count = |at: &Characters| all.iter().filter(|other| *other == at).count();
    all.iter().copied().max_by_key(count)
}

fn settings(at: Characters, indent: &str) -> String {
    let mut text = format!("{indent}baud: {}", at.baud);
    match at.parity {
        Parity::None => {}
        Parity::Even => text.push_str(&format!("\n{indent}parity: even")),
        Parity::Odd => text.push_str(&format!("\n{indent}parity: odd")),
    }
    if at.stop_bits == StopBits::Two {
        text.push_str(&format!("\n{indent}stop_bits: 2"));
    }
    if at.data_bits != 8 {
        text.push_str(&format!("\n{indent}data_bits: {}", at.data_bits));
    }
    text
}

fn device_item(
    name: &str,
    port: &str,
    scanned: &Scanned,
    found: &Found,
    product_key: Option<&str>,
) -> String {
    let mut item = format!("- name: {name}\n  port: {port}\n");
    let profile = match found.address {
        Address::Unit(unit) => {
            item.push_str(&format!("  unit: {}\n", unit.0));
            found.profile().unwrap_or(UNKNOWN)
        }
        Address::Meter(meter, edition) => {
            item.push_str(&format!("  address: \"{meter}\"\n"));
            match edition {
                Edition::Y2007 => "dlt645-2007-one-phase",
                Edition::Y1997 => UNKNOWN,
            }
        }
    };
    let others: Vec<&str> = found.kinds.iter().map(|k| k.profile.as_str()).collect();
    let note = match (profile, others.as_slice()) {
        (UNKNOWN, []) => "   # the scan could not tell what it is".to_owned(),
        (UNKNOWN, others) => format!("   # {}", others.join(" or ")),
        _ => String::new(),
    };
    item.push_str(&format!("  profile: {profile}{note}\n"));
    if let Some(at) = found.at.filter(|at| Some(*at) != port_characters(scanned)) {
        item.push_str(&format!("  serial:\n{}\n", settings(at, "    ")));
    }
    match product_key {
        Some(key) => item.push_str(&format!("  product_key: {key}\n")),
        None => item.push_str("  product_key: CHANGE-ME   # of its product in the console\n"),
    }
    item.push_str("  register: true   # the platform hands its secret out");
    item
}

/// The names that are in use.
struct Names(Vec<String>);

impl Names {
    /// Takes every word behind `name:` for a name: one too many does no harm.
    fn of(text: &str) -> Names {
        let behind = |line: &str| {
            let (_, name) = line.split_once("name:")?;
            let end = |c: char| c.is_whitespace() || matches!(c, ',' | '}' | '#');
            let name = name.trim_start().split(end).next()?;
            Some(name.trim_matches(['"', '\'']).to_owned())
        };
        Names(text.lines().filter_map(behind).collect())
    }

    /// Returns a name that is not in use: the stem with the next number.
    fn fresh(&mut self, stem: &str) -> String {
        let mut all = (1u32..).map(|nth| format!("{stem}-{nth}"));
        let name = all.find(|name| !self.0.contains(name));
        let name = name.unwrap_or_else(|| stem.to_owned());
        self.0.push(name.clone());
        name
    }
}

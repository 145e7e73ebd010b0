//! Adds what a scan has found to a configuration.

use std::path::Path;

use super::found::Scanned;
use super::items::{device_item, port_item, readable};
use crate::base::text::counted;
use crate::config::list_items;
use crate::io::files::{bounded, rewrite};

/// The largest configuration that is added to.
const LARGEST: u64 = 8 << 20;

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

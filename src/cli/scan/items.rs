//! What a scan has found, as items of a configuration.

use super::found::{FoundAddress, FoundDevice, Scanned};
use crate::spec::dlt645::Edition;
use crate::spec::{Characters, Framing, LineSpec, Parity, StopBits};

/// What a person has to fill in.
pub(super) const OPEN: &str = "CHANGE-ME";

/// The profile of a unit whose kind is not known.
const UNKNOWN: &str = OPEN;

/// Returns the devices of which a frame could be read.
pub(super) fn readable(scanned: &Scanned) -> Vec<&FoundDevice> {
    let found = scanned.found.iter();
    found.filter(|found| !found.is_garbled).collect()
}

/// Writes a line as a port.
pub(super) fn port_item(name: &str, scanned: &Scanned) -> String {
    match &scanned.line {
        LineSpec::Serial(serial) => {
            let at = port_characters(scanned).unwrap_or_else(|| serial.characters());
            format!(
                "- name: {name}\n  serial:\n    device: {}\n{}{}{}",
                quoted(&serial.path.display().to_string()),
                settings(at, "    "),
                framing(Some(serial.framing), "    "),
                match scanned.echoes {
                    0 => "",
                    _ => "\n    echo: true",
                },
            )
        }
        LineSpec::Tcp(tcp) => format!(
            "- name: {name}\n  tcp:\n    host: {}\n    port: {}{}",
            quoted(&tcp.host),
            tcp.port,
            framing(tcp.framing, "    "),
        ),
    }
}

/// Writes a text in quotes, as JSON and YAML have them.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Returns the key of a framing that is not the usual one of its line.
fn framing(framing: Option<Framing>, indent: &str) -> String {
    match framing {
        Some(Framing::Ascii) => format!("\n{indent}framing: ascii"),
        Some(Framing::Rtu) | None => String::new(),
    }
}

/// Returns the characters that most devices of a line have.
pub(super) fn port_characters(scanned: &Scanned) -> Option<Characters> {
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

/// Writes a device, on a port of these characters.
pub(super) fn device_item(
    name: &str,
    port: &str,
    scanned: &Scanned,
    (found, own): (&FoundDevice, Option<Characters>),
    product_key: Option<&str>,
) -> String {
    let mut item = format!("- name: {name}\n  port: {port}\n");
    let profile = match found.address {
        FoundAddress::Unit(unit) => {
            item.push_str(&format!("  unit: {}\n", unit.0));
            found.profile().unwrap_or(UNKNOWN)
        }
        FoundAddress::Dlt645(meter, _) => {
            item.push_str(&format!("  address: \"{meter}\"\n"));
            UNKNOWN
        }
    };
    let others: Vec<&str> = found.kinds.iter().map(|k| k.profile.as_str()).collect();
    let note = match (profile, others.as_slice()) {
        // No meter says how many phases it has.
        (UNKNOWN, []) if matches!(found.address, FoundAddress::Dlt645(_, Edition::Y2007)) => {
            "   # dlt645-2007-one-phase or dlt645-2007-three-phase".to_owned()
        }
        (UNKNOWN, []) if matches!(found.address, FoundAddress::Dlt645(_, Edition::Y1997)) => {
            "   # a profile of your own with protocol: dlt645-1997".to_owned()
        }
        (UNKNOWN, []) if scanned.is_identified => {
            "   # the scan could not tell what it is".to_owned()
        }
        (UNKNOWN, []) => "   # the scan did not look into what it is".to_owned(),
        (UNKNOWN, others) => format!("   # {}", others.join(" or ")),
        _ => String::new(),
    };
    item.push_str(&format!("  profile: {profile}{note}\n"));
    if let Some(at) = found.at.filter(|at| Some(*at) != own) {
        item.push_str(&format!("  serial:\n{}\n", settings(at, "    ")));
    }
    match product_key {
        Some(key) => item.push_str(&format!("  product_key: {}\n", quoted(key))),
        None => item.push_str("  product_key: CHANGE-ME   # of its product in the console\n"),
    }
    item.push_str("  register: true   # the platform hands its secret out");
    item
}

//! Adds what a scan has found to a configuration.

use std::path::Path;

use super::found::Scanned;
use super::items::{OPEN, device_item, port_characters, port_item, readable};
use crate::base::PortId;
use crate::base::text::counted;
use crate::config::{faults, list_items};
use crate::io::files::settings::{self, DeskMode, LoadContext};
use crate::io::files::{bounded, footprint, rewrite};
use crate::spec::{LineSpec, PortSpec, Spec};

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
    let spec = known(file, &text, &all)?;
    let mut names = UsedNames::of(&text);
    let (mut ports, mut devices, mut there) = (Vec::new(), Vec::new(), 0);
    for scanned in &all {
        let port = spec.as_ref().and_then(|spec| port_of(spec, scanned));
        let name = match port {
            Some((_, port)) => port.name.clone(),
            None => {
                let name = names.fresh("line");
                ports.push(port_item(&name, scanned));
                name
            }
        };
        // A device has settings of its own where they are not those of its port.
        let own = match port.map(|(_, port)| &port.line) {
            Some(LineSpec::Serial(serial)) => Some(serial.characters()),
            Some(LineSpec::Tcp(_)) => None,
            None => port_characters(scanned),
        };
        for found in readable(scanned) {
            let is_there = spec.as_ref().zip(port).is_some_and(|(spec, (id, _))| {
                let mut devices = spec.devices_on(id);
                devices.any(|(_, device)| device.address == found.bus_address())
            });
            if is_there {
                there += 1;
                continue;
            }
            let called = names.fresh(found.profile().unwrap_or("device"));
            devices.push(device_item(
                &called,
                &name,
                scanned,
                (found, own),
                product_key,
            ));
        }
    }
    if devices.is_empty() {
        return Ok(format!(
            "{shown}: has {} already, so nothing is added",
            counted(there, "device")
        ));
    }
    let added = match ports.is_empty() {
        true => Ok(text.clone()),
        false => list_items::added(&text, "ports", &ports),
    };
    let added = added.and_then(|text| list_items::added(&text, "devices", &devices));
    let added = added.map_err(|e| e.to_string());
    let added = added.and_then(|added| is_read(&text, &added).map(|()| added));
    let added = added.map_err(|e| {
        let items = ports.iter().chain(&devices).cloned().collect::<Vec<_>>();
        format!("{shown}: {e}; add it yourself:\n{}", items.join("\n"))
    })?;
    rewrite::rewrite(file, &added).map_err(|e| format!("{shown}: {e}"))?;
    let what = (
        counted(ports.len(), "port"),
        counted(devices.len(), "device"),
    );
    let is_open = devices.iter().any(|item| item.contains(OPEN));
    Ok(match (is_open, what) {
        (true, (ports, devices)) => format!(
            "{shown}: added {ports} and {devices}; fill in each CHANGE-ME, then check it with: alink-gateway check {shown}"
        ),
        (false, (ports, devices)) => format!(
            "{shown}: added {ports} and {devices}; check it with: alink-gateway check {shown}"
        ),
    })
}

/// Makes sure that a text can be read as well as before something was added: it was added by lines,
/// and a text may end its document (`...`) or be written otherwise than by lines (`{…}`).
///
/// # Errors
/// What cannot be read, in words.
fn is_read(before: &str, added: &str) -> Result<(), String> {
    let (old, new) = (faults(before), faults(added));
    let is_known = |said: &str| old.problems().iter().any(|old| old.said == said);
    match new.problems().iter().find(|new| !is_known(&new.said)) {
        None => Ok(()),
        Some(fault) => Err(format!(
            "line {}: nothing is added, as the file would then have {}",
            fault.line, fault.said
        )),
    }
}

/// Returns the configuration in a file, which may be empty.
///
/// # Errors
/// The file has a line that was scanned, or a line of the service was scanned, and the file cannot
/// be read as a configuration: what it has would be added once more.
fn known(file: &Path, text: &str, all: &[&Scanned]) -> Result<Option<Spec>, String> {
    let desk = LoadContext {
        desk: DeskMode::All,
        ..LoadContext::of_person()
    };
    match settings::look_with_stand_ins(file, &desk).0 {
        Ok(loaded) => Ok(Some(loaded.spec)),
        Err(_) => {
            let is_in = |scanned: &&&Scanned| match &scanned.line {
                _ if scanned.is_shared => true,
                LineSpec::Serial(serial) => text.contains(&*serial.path.to_string_lossy()),
                LineSpec::Tcp(tcp) => text.contains(&tcp.host),
            };
            match all.iter().find(is_in) {
                None => Ok(None),
                Some(scanned) => Err(format!(
                    "{}: nothing is added, as it has mistakes and it cannot be told which devices of {} it has: alink-gateway check {0} names them",
                    file.display(),
                    scanned.named
                )),
            }
        }
    }
}

/// Returns the port of a configuration that opens a line that was scanned.
fn port_of<'s>(spec: &'s Spec, scanned: &Scanned) -> Option<(PortId, &'s PortSpec)> {
    let mut ports = spec.ports();
    ports.find(|(_, port)| {
        port.name == scanned.named
            || match (&port.line, &scanned.line) {
                (LineSpec::Serial(port), LineSpec::Serial(line)) => {
                    footprint::is_same_file(&port.path, &line.path)
                }
                (LineSpec::Tcp(port), LineSpec::Tcp(line)) => {
                    port.host == line.host && port.port == line.port
                }
                _ => false,
            }
    })
}

/// The names that are in use.
struct UsedNames(Vec<String>);

impl UsedNames {
    /// Takes every word behind `name:` for a name: one too many does no harm.
    fn of(text: &str) -> UsedNames {
        let behind = |line: &str| {
            let (_, name) = line.split_once("name:")?;
            let end = |c: char| c.is_whitespace() || matches!(c, ',' | '}' | '#');
            let name = name.trim_start().split(end).next()?;
            Some(name.trim_matches(['"', '\'']).to_owned())
        };
        UsedNames(text.lines().filter_map(behind).collect())
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::super::found::{FoundAddress, FoundDevice};
    use super::*;
    use crate::base::UnitId;
    use crate::io::files::bounded::read_text;
    use crate::io::files::create::{Existing, create};
    use crate::spec::{Characters, Framing, Parity, SerialSpec, StopBits};

    const CONFIGURATION: &str = "\
gateway: { product_key: a1GwDemoPk0, device_name: gw-0001, secret: 0123456789abcdef }
cloud: { url: \"mqtts://iot-0123abcd.mqtt.iothub.aliyuncs.com:8883\" }
ports:
  - { name: line1, serial: { device: /dev/ttyS0, baud: 9600 } }
devices: []   # none yet
";

    fn line(baud: u32, parity: Parity) -> LineSpec {
        LineSpec::Serial(SerialSpec {
            path: "/dev/ttyS0".into(),
            baud,
            data_bits: 8,
            parity,
            stop_bits: StopBits::One,
            framing: Framing::default(),
            adapter: Default::default(),
        })
    }

    fn unit(unit: u8, at: &str) -> FoundDevice {
        FoundDevice {
            address: FoundAddress::Unit(UnitId(unit)),
            at: Characters::parse(at),
            turnaround: Duration::from_millis(9),
            is_garbled: false,
            says: BTreeMap::new(),
            kinds: Vec::new(),
        }
    }

    #[test]
    fn a_device_has_settings_of_its_own_where_its_port_has_others() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gateway.yaml");
        create(&file, CONFIGURATION.as_bytes(), Existing::Replace).unwrap();
        let line = line(19_200, Parity::Even);
        // As --line has it on a line of the service: all devices are at the same settings.
        let mut scanned = Scanned::new("line1", line.clone(), true);
        scanned.found = vec![unit(7, "19200 8E1")];
        let said = write(&file, &[scanned], Some("a1SubDemoPk")).unwrap();
        assert!(said.contains("fill in each CHANGE-ME"), "{said}");
        let text = read_text(&file, 10_000).unwrap();
        assert!(text.contains("devices:   # none yet\n"), "{text}");
        assert!(text.contains("# the scan did not look into"), "{text}");
        let own = "    serial:\n      baud: 19200\n      parity: even\n";
        assert_eq!(text.matches(own).count(), 1, "{text}");
        // The same settings as those of the port.
        create(&file, CONFIGURATION.as_bytes(), Existing::Replace).unwrap();
        let mut scanned = Scanned::new("line1", line, true);
        scanned.found = vec![unit(7, "9600 8N1")];
        write(&file, &[scanned], Some("a1SubDemoPk")).unwrap();
        let text = read_text(&file, 10_000).unwrap();
        assert!(text.contains("unit: 7"), "{text}");
        assert!(!text.contains("    serial:\n"), "{text}");
    }

    #[test]
    fn the_profile_of_a_meter_is_for_the_person_to_choose() {
        use crate::spec::dlt645::{Edition, MeterAddress};
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gateway.yaml");
        create(&file, CONFIGURATION.as_bytes(), Existing::Replace).unwrap();
        let line = line(9_600, Parity::None);
        let mut scanned = Scanned::new("line1", line, true);
        let meter = MeterAddress::parse("000000000161").unwrap();
        scanned.found = vec![FoundDevice {
            address: FoundAddress::Dlt645(meter, Edition::Y2007),
            ..unit(7, "9600 8N1")
        }];
        let said = write(&file, &[scanned], Some("a1SubDemoPk")).unwrap();
        assert!(said.contains("fill in each CHANGE-ME"), "{said}");
        let text = read_text(&file, 10_000).unwrap();
        let profile = "profile: CHANGE-ME   # dlt645-2007-one-phase or dlt645-2007-three-phase\n";
        assert!(text.contains(profile), "{text}");
        let (checked, _) = crate::cli::check::outcome(&file, &LoadContext::of_person());
        assert!(checked.contains("said    CHANGE-ME"), "{checked}");
        assert!(checked.contains("1 error,"), "{checked}");
    }

    #[test]
    fn what_could_not_be_read_is_not_written_and_the_person_adds_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gateway.yaml");
        let line = LineSpec::Serial(SerialSpec {
            path: "/dev/ttyS9".into(),
            baud: 9_600,
            data_bits: 8,
            parity: Parity::None,
            stop_bits: StopBits::One,
            framing: Framing::default(),
            adapter: Default::default(),
        });
        let mut scanned = Scanned::new("/dev/ttyS9", line, false);
        scanned.found = vec![unit(7, "9600 8N1")];
        let all = [scanned];
        for (text, why) in [
            ("log: {}\n...\n", "a second document (---)"),
            ("{ log: {} }\n", "something that is not YAML"),
        ] {
            create(&file, text.as_bytes(), Existing::Replace).unwrap();
            let said = write(&file, &all, Some("a1SubDemoPk")).unwrap_err();
            assert!(said.contains(why), "{said}");
            assert!(said.contains("; add it yourself:\n- name: "), "{said}");
            assert_eq!(read_text(&file, 10_000).unwrap(), text);
        }
        // What was wrong before does not keep it from being added.
        create(&file, b"log: !x {}\n", Existing::Replace).unwrap();
        let said = write(&file, &all, Some("a1SubDemoPk")).unwrap();
        assert!(said.contains("added 1 port and 1 device"), "{said}");
    }
}

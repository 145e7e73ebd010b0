//! A configuration from the platform: whether it is wanted, and how it becomes a layer.
//!
//! Such a configuration says what hangs on the field buses and nothing else. The gateway's
//! identity, the parties that it trusts and the data that it keeps are decided by the gateway's
//! own files. A section in the platform's file replaces this section of the gateway's own files
//! completely, so that the platform shows what is in force. The own files decide the sections
//! that the platform's file lacks. The console takes JSON only, which is YAML too.
//!
//! Every user with access to the console can write the file, and the service that reads it may
//! open more than such a user. So the ports of the file lead only where [`RemotePolicy`] allows,
//! and its secrets are written in the file, or lie in one directory. A path or host that the file
//! may not name is not looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::endpoint::Endpoint;
use super::port::Ports;
use super::secret::SecretSource;
use crate::config::reader::problem::Expectation;
use crate::config::reader::section::{Notes, Section, shown, shown_key};
use crate::config::reader::suggestions;
use crate::config::reader::tree::{Node, NodeContent, OriginId};
use crate::config::reader::word_parsers::{choice, file_name, host, or, time, whole};
use crate::spec::{HostList, LineSpec, Network, RemotePolicy};

const KEYS: [&str; 7] = [
    "enabled",
    "max_bytes",
    "probation",
    "secrets_dir",
    "hosts",
    "devices",
    "downloads",
];

/// The keys that the platform's file may have, and for each of them the keys of the gateway's own
/// files that are ignored then.
const SUBJECTS: [(&str, &[&str]); 3] = [
    ("ports", &["ports"]),
    ("profiles", &["profiles", "profiles_from"]),
    ("devices", &["devices", "devices_file"]),
];

/// Reads `remote_config:`.
pub(crate) fn read(root: &Section<'_>, notes: &mut Notes) -> RemotePolicy {
    let d = RemotePolicy::default();
    let s = root.section("remote_config", &KEYS, notes);
    RemotePolicy {
        enabled: s
            .read(
                "enabled",
                choice(&[("true", true), ("false", false)]),
                notes,
            )
            .unwrap_or(d.enabled),
        max_bytes: s
            .read("max_bytes", whole(1024..=4_194_304u32), notes)
            .and_then(|n| usize::try_from(n).ok())
            .unwrap_or(d.max_bytes),
        probation: s
            .read(
                "probation",
                time(Duration::from_secs(1)..=Duration::from_secs(3600)),
                notes,
            )
            .unwrap_or(d.probation),
        secrets_dir: s.read("secrets_dir", file_name, notes).map(Into::into),
        hosts: hosts(&s, "hosts", notes).unwrap_or(d.hosts),
        devices: devices(&s, notes),
        downloads: hosts(&s, "downloads", notes).unwrap_or(d.downloads),
        in_force: None,
        failed: Vec::new(),
        retracted: Vec::new(),
    }
}

/// Reads names, addresses and networks; returns `None` if the key is not there.
fn hosts(s: &Section<'_>, key: &str, notes: &mut Notes) -> Option<HostList> {
    s.node(key)?;
    let mut list = HostList::none();
    for (text, at) in texts(s, key, "a host or a network", notes) {
        let read = match text.contains('/') {
            true => Network::parse(text).is_some(),
            false => host(text).is_ok(),
        };
        if read {
            list.allow(text);
        } else {
            let wrong =
                Expectation::wanted("a host name, an IP address or a network like 192.168.1.0/24");
            notes.error(at, shown(text), wrong);
        }
    }
    Some(list)
}

/// Reads paths, in the last part of which one `*` may stand.
fn devices(s: &Section<'_>, notes: &mut Notes) -> Vec<String> {
    let mut list = Vec::new();
    for (text, at) in texts(s, "devices", "the path of a serial device", notes) {
        let (directory, name) = text.rsplit_once('/').unwrap_or_default();
        let fine = text.starts_with('/')
            && !name.is_empty()
            && name.matches('*').count() < 2
            && !directory.contains('*')
            && text.split('/').all(|part| part != "..");
        if fine {
            list.push(text.to_owned());
        } else {
            let wrong =
                Expectation::wanted("a path like /dev/ttyUSB0 or /dev/serial/by-id/usb-FTDI*");
            notes.error(at, shown(text), wrong);
        }
    }
    list
}

fn texts<'a>(
    s: &Section<'a>,
    key: &str,
    wanted: &str,
    notes: &mut Notes,
) -> Vec<(&'a str, OriginId)> {
    let mut texts = Vec::new();
    for node in s.list(key, notes) {
        match &node.is {
            NodeContent::Text(text) => texts.push((text.as_str(), node.origin)),
            NodeContent::Nothing => {}
            NodeContent::List(_) | NodeContent::Map(_) => {
                notes.error(node.origin, node.is.kind(), Expectation::wanted(wanted));
            }
        }
    }
    texts
}

/// Notes devices and hosts that the ports of the platform's file may not open or connect to.
/// Gives the other ports the list of hosts: the address of a name is checked when the name is
/// resolved.
///
/// The words are the same for a device that is missing and for a device that is not allowed: the
/// platform reads them.
pub(crate) fn bind_ports(policy: &RemotePolicy, ports: &mut Ports, notes: &mut Notes) {
    let hosts = Arc::new(policy.hosts.clone());
    for (port, at) in ports.all.iter_mut().zip(&ports.origins) {
        if !notes.is_remote(*at) {
            continue;
        }
        match &mut port.line {
            LineSpec::Serial(serial) => {
                let path = serial.path.to_string_lossy();
                if !path.is_empty() && !policy.allows_device(&path) {
                    notes.error(*at, shown(&path), a_device());
                }
            }
            LineSpec::Tcp(tcp) => {
                let allowed = match Endpoint::of(&tcp.host, tcp.port).address() {
                    Some(address) => hosts.allows(&tcp.host, address),
                    None => hosts.allows_name(&tcp.host),
                };
                if !tcp.host.is_empty() && !allowed {
                    let wanted = "a host that remote_config.hosts of this gateway allows";
                    let hint = "without that list: private networks (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, fc00::/7); this machine itself only if it is listed";
                    notes.error(
                        *at,
                        shown(&tcp.host),
                        Expectation::wanted(wanted).hint(hint),
                    );
                }
                tcp.connection.reach = Some(hosts.clone());
            }
        }
    }
}

/// Returns the requirement for the device of a port of the platform's file.
fn a_device() -> Expectation {
    Expectation::wanted(DEVICE_WANTED).hint(DEVICE_HINT)
}

/// What the platform is told of a device that the file may not name, and of a device that is
/// missing.
pub const DEVICE_WANTED: &str =
    "a serial port that is there and that remote_config.devices of this gateway allows";
/// The hint for the operator: the names of devices that are allowed without a list.
pub const DEVICE_HINT: &str = "without that list: names under /dev/serial/by-id and /dev/serial/by-path, and the kernel's (/dev/ttyS0, /dev/ttyUSB0 and so on)";

/// How the platform's file gives a secret.
const SECRET_FORMS: &str = "the secret itself, or register: true";

/// Notes the secrets that the platform's file may not name, and resolves the other names in the
/// directory for secrets.
pub(crate) fn bind_secrets<'a>(
    policy: &RemotePolicy,
    secrets: impl Iterator<Item = &'a mut SecretSource>,
    notes: &mut Notes,
) {
    // A mistake in a range is noted once.
    let mut noted = BTreeSet::new();
    for secret in secrets {
        let (SecretSource::File(name, at) | SecretSource::Credential(name, at)) = &*secret else {
            continue;
        };
        if !notes.is_remote(*at) {
            continue;
        }
        let wrong = match (&*secret, &policy.secrets_dir) {
            (SecretSource::File(..), Some(directory)) if is_plain_name(name) => {
                let path = directory.join(name).to_string_lossy().into_owned();
                *secret = SecretSource::File(path, *at);
                continue;
            }
            (SecretSource::File(..), Some(_)) => {
                Expectation::wanted("the name of a file in remote_config.secrets_dir, without a path")
            }
            (SecretSource::File(..), None) => Expectation::wanted(SECRET_FORMS).hint(
                "a remote configuration names files in remote_config.secrets_dir only, which is not set here",
            ),
            _ => Expectation::wanted(SECRET_FORMS).hint("credentials are for the gateway's own files"),
        };
        if noted.insert(*at) {
            notes.error(*at, shown(name), wrong);
        }
        *secret = SecretSource::Missing;
    }
}

/// Returns whether a name is one part of a path, and not hidden.
fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0'])
}

/// Notes keys that the platform's file may not have, and removes from `others`, the layers below
/// it, what the file replaces.
pub(crate) fn replace<'a>(
    said: &BTreeMap<String, Node>,
    others: impl Iterator<Item = &'a mut BTreeMap<String, Node>>,
    notes: &mut Notes,
) {
    let subjects = || SUBJECTS.iter().map(|(key, _)| *key);
    for (key, node) in said {
        if subjects().any(|subject| subject == key) {
            continue;
        }
        let at = notes.origins.get(node.origin).map(|o| o.key_at);
        let hint = suggestions::did_you_mean(key, subjects()).unwrap_or_else(|| {
            "a remote configuration has the ports, profiles and devices; everything else belongs in the gateway's own files".into()
        });
        notes.error_at(
            node.origin,
            at.unwrap_or_default(),
            format!("the key {}", shown_key(key)),
            Expectation::wanted(or(subjects())).hint(hint),
        );
    }
    let is_said = |key: &str| {
        said.get(key)
            .is_some_and(|n| !matches!(n.is, NodeContent::Nothing))
    };
    let unheard: Vec<&str> = SUBJECTS
        .iter()
        .filter(|(key, _)| is_said(key))
        .flat_map(|(_, keys)| keys.iter().copied())
        .collect();
    for other in others {
        other.retain(|key, _| !unheard.contains(&key.as_str()));
    }
}

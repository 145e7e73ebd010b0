//! The journal as an interface: ids that never change, fields that are
//! documented, and a message catalog that explains every kind of event.
//!
//! Entries are taken from the daemon's own log, through its socket, for every
//! notice there is. `BLESS=1 cargo test --test house journal` writes
//! `packaging/journal.md` and adds new kinds to the golden file.

mod catalog;
pub(crate) mod samples;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use alink_gateway::base::{DeviceId, EventKind, JournalField, Level, LogEvent, PortId};
use alink_gateway::fleet;
use alink_gateway::io::files::settings::{LoadContext, load_in};
use alink_gateway::io::log::{Journal, Sink};
use alink_gateway::io::system::clock::Clock;
use alink_gateway::spec::Spec;

use catalog::Explanation;

const GOLDEN: &str = "tests/house/journal/ids.txt";
const TABLES: &str = "packaging/journal.md";
const ENGLISH: &str = "packaging/catalog/alink-gateway.catalog";
const CHINESE: &str = "packaging/catalog/alink-gateway.zh_CN.catalog";

/// Fields of systemd.journal-fields(7) that we set.
const SYSTEMD: [&str; 4] = ["MESSAGE", "MESSAGE_ID", "PRIORITY", "SYSLOG_IDENTIFIER"];

fn in_root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(in_root(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn blessing() -> bool {
    std::env::var_os("BLESS").is_some()
}

/// Builds a line with two Modbus devices and a meter, and `more` devices on a rack.
fn spec(more: u32) -> Arc<Spec> {
    let mut yaml = String::from(
        "gateway: { product_key: a1GwDemoPk0, device_name: gw-0001, secret: 0123456789abcdef }
cloud: { url: \"mqtts://iot-0123abcd.mqtt.iothub.aliyuncs.com:8883\" }
ports:
  - { name: line1, serial: { device: /dev/ttyS0, baud: 9600 } }
  - { name: rack, tcp: { host: 192.168.1.50 }, allow_overload: true }
profiles:
  - name: io
    product_key: a1SubDemoPk
    interval: 10s
    points: [{ id: Voltage, table: holding, address: 0, type: u16 }]
  - name: meter
    product_key: a1SubDemoPk
    protocol: dlt645-2007
    interval: 60s
    points: [{ id: Energy, data: energy-active-forward }]
devices:
  - { name: io-1, port: line1, unit: 1, profile: io, secret: s1 }
  - { name: io-2, port: line1, unit: 2, profile: io, secret: s2 }
  - { name: grid, port: line1, address: \"000000123456\", profile: meter, secret: s3 }
",
    );
    for unit in 1..=more {
        writeln!(
            yaml,
            "  - {{ name: rack-{unit}, port: rack, unit: {unit}, profile: io, secret: s }}"
        )
        .unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.yaml");
    fs::write(&file, yaml).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    let loaded = load_in(&file, &LoadContext::default()).unwrap_or_else(|e| panic!("{e}"));
    Arc::new(loaded.spec)
}

/// One entry as the journal gets it.
type Entry = Vec<(String, String)>;

/// The log of the daemon, and the journal's end of its socket.
struct Desk {
    journal: Journal,
    heard: UnixDatagram,
    _folder: tempfile::TempDir,
}

impl Desk {
    fn new(spec: Arc<Spec>) -> Desk {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let heard = UnixDatagram::bind(&path).unwrap();
        heard
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let sink = Sink::journal(Level::Debug, Clock::system(), &path).unwrap();
        Desk {
            journal: Journal::new(spec).to(sink),
            heard,
            _folder: folder,
        }
    }

    fn tell(&self, notice: &dyn LogEvent) -> Entry {
        self.journal.tell(notice);
        self.entry()
    }

    fn entry(&self) -> Entry {
        let mut buffer = vec![0; 1 << 18];
        let n = self.heard.recv(&mut buffer).unwrap();
        let text = String::from_utf8(buffer[..n].to_vec()).unwrap();
        let pair = |line: &str| {
            let (name, value) = line.split_once('=').unwrap_or_else(|| panic!("{line:?}"));
            (name.to_owned(), value.to_owned())
        };
        text.lines().map(pair).collect()
    }
}

/// Returns the entry in which the log says that it lost other entries.
fn confession() -> Entry {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let sink = Sink::journal(Level::Debug, Clock::system(), &path).unwrap();
    let journal = Journal::new(spec(0)).to(sink);
    let mute = fleet::FleetLogEvent::PortWithoutAnswers {
        port: PortId(0),
        devices: 3,
        answered_before: true,
    };
    journal.tell(&mute);
    let heard = UnixDatagram::bind(&path).unwrap();
    journal.tell(&mute);
    let desk = Desk {
        journal,
        heard,
        _folder: folder,
    };
    desk.entry();
    desk.entry()
}

fn value<'a>(entry: &'a Entry, name: &str) -> Option<&'a str> {
    let mut found = entry.iter().filter(|(n, _)| n == name);
    found.next().map(|(_, v)| v.as_str())
}

/// The fields of the entries of a kind.
struct Shape {
    priorities: BTreeSet<&'static str>,
    /// Fields on every entry of the kind.
    always: BTreeSet<String>,
    /// Fields on some of them only.
    sometimes: BTreeSet<String>,
}

fn shapes() -> BTreeMap<EventKind, Shape> {
    let desk = Desk::new(spec(0));
    let mut entries: Vec<Entry> = vec![confession()];
    for notice in samples::samples().iter().chain(&samples::grouped()) {
        entries.push(desk.tell(notice.as_ref()));
    }
    let mut shapes: BTreeMap<EventKind, Shape> = BTreeMap::new();
    for entry in entries {
        let event = value(&entry, "EVENT").unwrap();
        let kind = EventKind::ALL.iter().find(|k| k.name() == event);
        let kind = *kind.unwrap_or_else(|| panic!("{event} is no kind"));
        let id = value(&entry, "MESSAGE_ID").unwrap();
        assert_eq!(id, kind.message_id().to_string(), "{event}");
        let names: BTreeSet<String> = entry.iter().map(|(n, _)| n.clone()).collect();
        let priority = match value(&entry, "PRIORITY") {
            Some("3") => "error",
            Some("4") => "warning",
            Some("6") => "info",
            Some("7") => "debug",
            other => panic!("{event}: priority {other:?}"),
        };
        match shapes.get_mut(&kind) {
            None => {
                let shape = Shape {
                    priorities: BTreeSet::from([priority]),
                    always: names,
                    sometimes: BTreeSet::new(),
                };
                shapes.insert(kind, shape);
            }
            Some(shape) => {
                let common = shape.always.intersection(&names).cloned().collect();
                let before = std::mem::replace(&mut shape.always, common);
                shape.sometimes.extend(before.union(&names).cloned());
                shape.sometimes.retain(|n| !shape.always.contains(n));
                shape.priorities.insert(priority);
            }
        }
    }
    shapes
}

#[test]
fn every_kind_of_event_has_a_sample_here() {
    let shapes = shapes();
    let missing: Vec<_> = EventKind::ALL
        .iter()
        .filter(|k| !shapes.contains_key(k))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn ids_are_random_uuids_and_nobody_shares_one() {
    let ids: BTreeSet<String> = EventKind::ALL
        .iter()
        .map(|k| k.message_id().to_string())
        .collect();
    assert_eq!(ids.len(), EventKind::ALL.len());
    let names: BTreeSet<&str> = EventKind::ALL.iter().map(|k| k.name()).collect();
    assert_eq!(names.len(), EventKind::ALL.len());
    for id in ids {
        // RFC 9562 §5.4: version 4, variant 10.
        assert_eq!(&id[12..13], "4", "{id}");
        assert!("89ab".contains(&id[16..17]), "{id}");
    }
}

#[test]
fn a_kind_that_was_once_given_out_keeps_its_name_and_id_for_ever() {
    let now: String = EventKind::ALL
        .iter()
        .map(|k| format!("{} {}\n", k.message_id(), k.name()))
        .collect();
    if blessing() {
        let golden = fs::read_to_string(in_root(GOLDEN)).unwrap_or_default();
        let gone: Vec<_> = golden.lines().filter(|l| !now.contains(l)).collect();
        assert!(gone.is_empty(), "blessing adds, it never changes: {gone:?}");
        fs::write(in_root(GOLDEN), &now).unwrap();
    }
    assert_eq!(read(GOLDEN), now);
}

#[test]
fn fields_and_kinds_are_documented_as_they_are() {
    let shapes = shapes();
    let mut text = String::from(
        "# The journal, for programs\n\n\
         Written by `BLESS=1 cargo test --features lab --test house journal`; names and ids here never change. \
         `journalctl -x` explains\neach kind; the texts are in `catalog/`, installed in\n`/usr/lib/systemd/catalog/`.\n\n\
         ## Fields\n\n\
         Besides `MESSAGE`, `MESSAGE_ID`, `PRIORITY` and `SYSLOG_IDENTIFIER=alink-gateway`, and what the journal adds itself.\n\
         An entry about several devices has a `DEVICE` and a `PORT` for each of them; more than 500 devices take several entries.\n\n\
         | field | meaning |\n|---|---|\n",
    );
    let mut used: BTreeSet<&String> = BTreeSet::new();
    for shape in shapes.values() {
        used.extend(shape.always.iter().chain(&shape.sometimes));
    }
    for field in JournalField::ALL {
        assert!(used.iter().any(|u| *u == field.name()), "{field:?} is idle");
        writeln!(text, "| `{}` | {} |", field.name(), field.meaning()).unwrap();
    }
    for name in used {
        let known = JournalField::ALL.iter().any(|f| f.name() == name);
        assert!(known || SYSTEMD.contains(&name.as_str()), "{name}");
    }
    text.push_str(
        "\n## Kinds of events\n\n\
         Fields in brackets are not on every entry of the kind.\n\n\
         | `EVENT` | priority | meaning | fields | `MESSAGE_ID` |\n|---|---|---|---|---|\n",
    );
    for kind in EventKind::ALL {
        let shape = &shapes[kind];
        let own = |n: &&String| !SYSTEMD.contains(&n.as_str()) && *n != "EVENT";
        let always = shape.always.iter().filter(own).cloned();
        let sometimes = shape.sometimes.iter().filter(own).map(|n| format!("[{n}]"));
        let fields: Vec<String> = always.chain(sometimes).collect();
        let priorities: Vec<&str> = shape.priorities.iter().copied().collect();
        writeln!(
            text,
            "| `{}` | {} | {} | {} | `{}` |",
            kind.name(),
            priorities.join(", "),
            kind.meaning(),
            fields.join(" "),
            kind.message_id()
        )
        .unwrap();
    }
    if blessing() {
        fs::write(in_root(TABLES), &text).unwrap();
    }
    assert_eq!(read(TABLES), text, "BLESS=1 writes it");
}

fn explanations(path: &str) -> BTreeMap<String, Explanation> {
    catalog::parse(&read(path))
}

#[test]
fn every_kind_is_explained_in_both_languages_and_nothing_else_is() {
    let ids: BTreeSet<String> = EventKind::ALL
        .iter()
        .map(|k| k.message_id().to_string())
        .collect();
    for path in [ENGLISH, CHINESE] {
        let explained: BTreeSet<String> = explanations(path).into_keys().collect();
        let differ: Vec<_> = ids.symmetric_difference(&explained).collect();
        assert!(differ.is_empty(), "{path}: {differ:?}");
    }
}

#[test]
fn an_explanation_says_something_and_substitutes_only_what_is_always_there() {
    let shapes = shapes();
    for path in [ENGLISH, CHINESE] {
        let explained = explanations(path);
        for kind in EventKind::ALL {
            let entry = &explained[&kind.message_id().to_string()];
            let name = kind.name();
            assert_eq!(entry.defined_by, "alink-gateway", "{path}: {name}");
            assert!(!entry.subject.is_empty(), "{path}: {name}");
            assert!(entry.text.chars().count() >= 10, "{path}: {name}");
            for line in entry.text.lines() {
                assert!(width(line) <= 88, "{path}: {name}: {line:?}");
            }
            for field in entry.fields() {
                let there = shapes[kind].always.contains(&field);
                assert!(there, "{path}: {name} may lack {field}");
            }
        }
    }
    let chinese = |c: char| ('\u{4e00}'..='\u{9fff}').contains(&c);
    for (id, entry) in explanations(CHINESE) {
        assert!(entry.subject.contains(chinese), "{id}: {}", entry.subject);
        assert!(entry.text.contains(chinese), "{id}: {}", entry.text);
    }
    for (id, entry) in explanations(ENGLISH) {
        assert!(!entry.text.contains(chinese), "{id}");
    }
}

/// Returns columns on a terminal, where Chinese takes two.
fn width(line: &str) -> usize {
    let wide = |c: char| 1 + usize::from(c >= '\u{1100}' && c != '“' && c != '”');
    line.chars().map(wide).sum()
}

#[test]
fn both_languages_substitute_the_same() {
    let chinese = explanations(CHINESE);
    for (id, english) in explanations(ENGLISH) {
        let set = |e: &Explanation| e.fields().into_iter().collect::<BTreeSet<_>>();
        assert_eq!(set(&english), set(&chinese[&id]), "{id}");
    }
}

#[test]
fn what_an_explanation_points_to_is_a_kind() {
    let kinds: BTreeSet<&str> = EventKind::ALL.iter().map(|k| k.name()).collect();
    let mut named = 0;
    for (id, entry) in explanations(ENGLISH) {
        for after in entry.text.split("(see ").skip(1) {
            let inside = after.split(')').next().unwrap_or_default();
            for name in inside.split([',', ' ', '\n']).filter(|w| w.contains('-')) {
                assert!(kinds.contains(name), "{id} points to {name}");
                named += 1;
            }
        }
    }
    assert!(named >= 4, "{named}");
}

#[test]
fn the_journal_itself_takes_the_catalogs() {
    let folder = tempfile::tempdir().unwrap();
    let root = format!("--root={}", folder.path().display());
    let directory = folder.path().join("usr/lib/systemd/catalog");
    fs::create_dir_all(&directory).unwrap();
    fs::create_dir_all(folder.path().join("var/lib/systemd/catalog")).unwrap();
    for path in [ENGLISH, CHINESE] {
        let name = Path::new(path).file_name().unwrap();
        fs::copy(in_root(path), directory.join(name)).unwrap();
    }
    let journalctl = |what: &str| {
        let mut command = Command::new("journalctl");
        command.env("LC_ALL", "C").args([&root, what]).output()
    };
    let Ok(updated) = journalctl("--update-catalog") else {
        eprintln!("skipped: there is no journalctl here");
        return;
    };
    assert!(updated.status.success(), "{updated:?}");
    assert!(updated.stderr.is_empty(), "{updated:?}");
    let dumped = journalctl("--dump-catalog").unwrap();
    let dumped = catalog::parse(&String::from_utf8(dumped.stdout).unwrap());
    for (id, ours) in explanations(ENGLISH) {
        let theirs = &dumped[&id];
        assert_eq!(theirs.subject, ours.subject);
        assert_eq!(theirs.text.trim(), ours.text.trim());
    }
}

#[test]
fn an_entry_never_has_more_fields_than_the_journal_takes() {
    let desk = Desk::new(spec(240));
    let many: Vec<DeviceId> = (0..2000).map(|n| DeviceId(n % 243)).collect();
    desk.journal.tell(&fleet::FleetLogEvent::PortDevicesSilent {
        port: PortId(1),
        devices: many,
        why: "gone".into(),
    });
    let mut named = 0;
    for _ in 0..4 {
        let entry = desk.entry();
        // ENTRY_FIELD_COUNT_MAX of journald.
        assert!(entry.len() < 1024, "{}", entry.len());
        assert_eq!(value(&entry, "COUNT"), Some("2000"));
        named += entry.iter().filter(|(n, _)| n == "DEVICE").count();
    }
    assert_eq!(named, 2000);
}

#[test]
fn a_meter_is_named_by_its_address_and_a_modbus_device_by_its_unit() {
    let desk = Desk::new(spec(0));
    let entry = desk.tell(&fleet::FleetLogEvent::Appeared {
        device: DeviceId(0),
    });
    assert_eq!(value(&entry, "UNIT_ID"), Some("1"));
    assert_eq!(value(&entry, "METER_ADDRESS"), None);
    let entry = desk.tell(&fleet::FleetLogEvent::Appeared {
        device: DeviceId(2),
    });
    assert_eq!(value(&entry, "METER_ADDRESS"), Some("000000123456"));
    assert_eq!(value(&entry, "UNIT_ID"), None);
}

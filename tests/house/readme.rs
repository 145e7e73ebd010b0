//! The files that the README promises exist, and its examples work.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use alink_gateway::base::{EventKind, JournalField};
use alink_gateway::cloud::alink::wire::code::{Code, CodeMeaning};
use alink_gateway::io::files::settings::{LoadContext, load_in};

const README: &str = include_str!("../../README.md");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_first_configuration_is_right_once_its_secrets_are_there() {
    let begin = README.find("```yaml\n").unwrap() + "```yaml\n".len();
    let length = README[begin..].find("```").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
    };
    write("gateway.yaml", &README[begin..begin + length]);
    for secret in ["gateway.secret", "meter-1.secret", "meter-2.secret"] {
        write(secret, "s3cret\n");
    }
    // Any certificate will do here: it is parsed, not used.
    write(
        "aliyun-iot-ca.pem",
        include_str!("../config_cases/nothing-wrong-in-the-whole-shape/aliyun-root.pem"),
    );
    let file = folder.path().join("gateway.yaml");
    let loaded = load_in(&file, &LoadContext::default()).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(loaded.warnings.warnings(), 0, "{:?}", loaded.warnings);
    assert_eq!(loaded.spec.devices.len(), 2);
}

#[test]
fn its_profile_that_writes_is_right() {
    let begin = README.find("## Writing\n").unwrap();
    let mut profile = String::new();
    for block in README[begin..].split("```yaml\n").skip(1).take(2) {
        let block = block.split("```").next().unwrap();
        profile.extend(block.lines().map(|line| format!("    {line}\n")));
    }
    let text = format!(
        "gateway: {{ product_key: pk, device_name: gw-0001, secret: s }}
cloud: {{ url: mqtts://gateway.example }}
profiles:
  - name: boiler
    product_key: pk
    interval: 10s
{profile}ports: [{{ name: line1, serial: {{ device: /dev/ttyS9 }} }}]
devices: [{{ name: boiler, port: line1, unit: 1, profile: boiler, secret: s }}]
"
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.yaml");
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    let loaded = load_in(&file, &LoadContext::default()).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(loaded.warnings.warnings(), 0, "{:?}", loaded.warnings);
    let profile = &loaded.spec.devices[0].profile;
    let written = profile.points.iter().filter(|p| p.write.is_some());
    assert_eq!((written.count(), profile.services.len()), (3, 1));
}

#[test]
fn its_events_are_right() {
    let begin = README.find("## Events\n").unwrap();
    let block = README[begin..].split("```yaml\n").nth(1).unwrap();
    let block = block.split("```").next().unwrap();
    let profile: String = block.lines().map(|line| format!("    {line}\n")).collect();
    let text = format!(
        "gateway: {{ product_key: pk, device_name: gw-0001, secret: s }}
cloud: {{ url: mqtts://gateway.example }}
profiles:
  - name: pump
    product_key: pk
    interval: 10s
{profile}ports: [{{ name: line1, serial: {{ device: /dev/ttyS9 }} }}]
devices: [{{ name: pump, port: line1, unit: 1, profile: pump, secret: s }}]
"
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.yaml");
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    let loaded = load_in(&file, &LoadContext::default()).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(loaded.warnings.warnings(), 0, "{:?}", loaded.warnings);
    let profile = &loaded.spec.devices[0].profile;
    let rules: Vec<String> = profile.events.iter().map(|e| profile.rule(e)).collect();
    assert_eq!(
        rules,
        [
            "temp above 80, until it is not above 75",
            "fault_code changes to not 0",
            "door_open 1"
        ]
    );
}

#[test]
fn the_codes_of_its_table_are_treated_as_it_says() {
    let row = |line: &'static str| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        match cells[..] {
            ["", code, _, _, again, ""] => Some((code.parse().ok()?, again)),
            _ => None,
        }
    };
    let rows: Vec<(i64, &str)> = README.lines().filter_map(row).collect();
    assert!(rows.len() >= 9, "{rows:?}");
    for (code, again) in rows {
        let says = match Code(code).verdict() {
            CodeMeaning::Device { first, longest } => {
                format!("{} to {} min", first.as_secs() / 60, longest.as_secs() / 60)
            }
            CodeMeaning::Unknown => panic!("{code} is not in the table of codes"),
            _ => String::new(),
        };
        assert_eq!(again, says, "{code}");
    }
}

#[test]
fn what_it_points_to_is_there() {
    let inside = README
        .split("](")
        .skip(1)
        .filter_map(|s| s.split(')').next());
    let inside: Vec<_> = inside.filter(|l| !l.contains("://")).collect();
    assert!(inside.len() >= 4, "{inside:?}");
    for link in inside {
        assert!(root().join(link).exists(), "{link}");
    }
    let words = README.split(|c: char| c.is_whitespace() || "`(),;|".contains(c));
    let ours = ["packaging/", "systemd/", "config/", "tests/"];
    let ours: Vec<_> = words
        .map(|w| w.trim_end_matches(['.', ':']))
        .filter(|w| ours.iter().any(|o| w.starts_with(o)))
        .collect();
    assert!(ours.len() >= 4, "{ours:?}");
    for path in ours {
        assert!(root().join(path).exists(), "{path}");
    }
    for program in ["tests/run", "tests/package", "packaging/build-deb"] {
        assert!(README.contains(program), "{program}");
        let mode = fs::metadata(root().join(program))
            .unwrap()
            .permissions()
            .mode();
        assert!(mode & 0o111 != 0, "{program}");
    }
    let aliases = fs::read_to_string(root().join(".cargo/config.toml")).unwrap();
    assert!(aliases.contains("\ndemo = "), "cargo demo");
}

#[test]
fn its_questions_to_the_journal_name_fields_and_kinds_that_there_are() {
    let begin = README.find("## Watching it").unwrap();
    let block = README[begin..].split("```").nth(1).unwrap();
    let asked: Vec<&str> = block
        .lines()
        .filter(|l| l.starts_with("journalctl "))
        .map(|l| l.split('#').next().unwrap_or_default())
        .collect();
    assert_eq!(asked.len(), 6, "{asked:#?}");
    let systemd = ["MESSAGE", "MESSAGE_ID", "PRIORITY"];
    let mut named = 0;
    for word in asked.iter().flat_map(|l| l.split_whitespace()) {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        let names = match name {
            "--output-fields" => value,
            _ if name.starts_with(|c: char| c.is_ascii_uppercase()) => name,
            _ => continue,
        };
        for name in names.split(',') {
            let ours = JournalField::ALL.iter().any(|f| f.name() == name);
            assert!(ours || systemd.contains(&name), "{name} in {word}");
            named += 1;
        }
        if name == "EVENT" {
            assert!(EventKind::ALL.iter().any(|k| k.name() == value), "{word}");
        }
    }
    assert!(named >= 12, "{named}");
}

#[test]
fn every_kind_of_event_that_is_named_anywhere_is_one() {
    let changelog = include_str!("../../CHANGELOG.md");
    let mut named = 0;
    for text in [README, changelog] {
        for after in text.split("EVENT=").skip(1) {
            let name: String = after
                .chars()
                .take_while(|c| c.is_ascii_lowercase() || *c == '-')
                .collect();
            assert!(EventKind::ALL.iter().any(|k| k.name() == name), "{name}");
            named += 1;
        }
    }
    assert!(named >= 5, "{named}");
}

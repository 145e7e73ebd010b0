//! The files that the README and the pages promise exist, and their examples work.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use alink_gateway::base::{EventKind, JournalField};
use alink_gateway::cloud::alink::wire::code::{Code, CodeMeaning};
use alink_gateway::field::diagnostics::trouble::meaning;
use alink_gateway::io::files::settings::{LoadContext, Loaded, load_in};

use crate::source::{PAGES, links, read, root};

/// Returns the blocks of YAML of a page behind a heading.
fn blocks(page: &str, heading: &str) -> Vec<String> {
    let text = read(page);
    let heading = format!("{heading}\n");
    let begin = text
        .find(&heading)
        .unwrap_or_else(|| panic!("{page} has no {heading}"));
    let blocks = text[begin..].split("```yaml\n").skip(1);
    blocks
        .map(|block| block.split("```").next().unwrap_or_default().to_owned())
        .collect()
}

/// Returns the configuration of a gateway with one port, to which `text` is added.
fn loaded(text: &str, files: &[(&str, &str)]) -> Loaded {
    let text = format!(
        "gateway: {{ product_key: pk, device_name: gw-0001, secret: s }}
cloud: {{ url: mqtts://gateway.example }}
ports: [{{ name: line1, serial: {{ device: /dev/ttyS9 }} }}]
{text}"
    );
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("gateway.yaml", text.as_str())].iter().chain(files) {
        let file = folder.path().join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    }
    let file = folder.path().join("gateway.yaml");
    load_in(&file, &LoadContext::default()).unwrap_or_else(|e| panic!("{e}"))
}

/// Returns the configuration of one device with this profile, which is read without a warning.
fn loaded_profile(name: &str, profile: &str) -> Loaded {
    let text = format!(
        "profiles:
  - name: {name}
    product_key: pk
    interval: 10s
{profile}devices: [{{ name: {name}, port: line1, unit: 1, profile: {name}, secret: s }}]
"
    );
    let loaded = loaded(&text, &[]);
    assert_eq!(loaded.warnings.warnings(), 0, "{:?}", loaded.warnings);
    loaded
}

/// Returns a block as a part of a profile in `profiles:`.
fn indented(block: &str) -> String {
    block.lines().map(|line| format!("    {line}\n")).collect()
}

#[test]
fn the_first_configuration_is_right_once_its_secrets_are_there() {
    let page = "docs/commissioning.md";
    let configuration = &blocks(page, "## First configuration")[0];
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
    };
    write("gateway.yaml", configuration);
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
fn the_profile_that_writes_is_right() {
    let blocks = blocks("docs/commands.md", "## Writing");
    let profile: String = blocks.iter().take(2).map(|block| indented(block)).collect();
    let loaded = loaded_profile("boiler", &profile);
    let profile = &loaded.spec.devices[0].profile;
    let written = profile.points.iter().filter(|p| p.write.is_some());
    assert_eq!((written.count(), profile.services.len()), (3, 1));
}

#[test]
fn the_profiles_that_are_written_by_hand_are_right() {
    let blocks = blocks("docs/profiles.md", "## Write one");
    let small = "  - { name: pump-2, port: line1, unit: 6, profile: booster-pump-small, product_key: pk, register: true }\n";
    let text = format!("profiles_from: [one.yaml, two.yaml]\n{}{small}", blocks[1]);
    let loaded = loaded(&text, &[("one.yaml", &blocks[0]), ("two.yaml", &blocks[2])]);
    let points = |device: usize| loaded.spec.devices[device].profile.points.len();
    assert_eq!((points(0), points(1)), (6, 3));
    // What is unverified is named.
    assert_eq!(loaded.warnings.warnings(), 0, "{:?}", loaded.warnings);
}

#[test]
fn the_device_with_a_profile_of_the_package_is_right() {
    let device = &blocks("docs/profiles.md", "## Choose one")[0];
    let profile = read("config/profiles/chint-dtsu666.yaml");
    let text = format!("profiles_from: [chint.yaml]\n{device}");
    let loaded = loaded(&text, &[("chint.yaml", &profile)]);
    assert_eq!(loaded.spec.devices.len(), 1);
}

#[test]
fn the_events_are_right() {
    let profile = indented(&blocks("docs/profiles.md", "## Events")[0]);
    let loaded = loaded_profile("pump", &profile);
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
fn the_codes_of_the_table_are_treated_as_it_says() {
    let page = read("docs/error-codes.md");
    let row = |line: &str| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        match cells[..] {
            ["", code, _, _, again, ""] => Some((code.parse().ok()?, again.to_owned())),
            _ => None,
        }
    };
    let rows: Vec<(i64, String)> = page.lines().filter_map(row).collect();
    assert!(rows.len() >= 9, "{rows:?}");
    for (code, again) in rows {
        let says = match Code(code).meaning_kind() {
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
fn exceptions_have_the_names_that_the_tool_gives_them() {
    let page = read("docs/error-codes.md");
    let (_, table) = page.split_once("## Modbus exceptions\n").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let named: Vec<(u8, &str)> = table
        .lines()
        .filter_map(|line| {
            let mut cells = line.split('|').map(str::trim).skip(1);
            Some((cells.next()?.parse().ok()?, cells.next()?))
        })
        .collect();
    let standard = (0..=u8::MAX).filter(|code| meaning(*code) != meaning(0));
    let standard: Vec<(u8, &str)> = standard.map(|code| (code, meaning(code))).collect();
    assert_eq!(named, standard);
}

#[test]
fn what_pages_point_to_is_there() {
    let (mut named, mut words) = (0, 0);
    for page in PAGES {
        let text = read(page);
        for link in links(page, &text) {
            assert!(root().join(&link).exists(), "{page}: {link}");
            named += 1;
        }
        let ours = ["packaging/", "systemd/", "config/", "tests/"];
        let paths = text.split(|c: char| c.is_whitespace() || "`(),;|".contains(c));
        let paths = paths.map(|w| w.trim_end_matches(['.', ':']));
        for path in paths.filter(|w| ours.iter().any(|o| w.starts_with(o))) {
            assert!(root().join(path).exists(), "{page}: {path}");
            words += 1;
        }
    }
    assert!(named >= 40 && words >= 4, "{named} {words}");
    let readme = read("README.md");
    for program in ["tests/run", "tests/package", "packaging/build-deb"] {
        assert!(readme.contains(program), "{program}");
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
fn the_questions_to_the_journal_name_fields_and_kinds_that_there_are() {
    let page = read("docs/monitoring.md");
    let begin = page.find("## The journal").unwrap();
    let block = page[begin..].split("```").nth(1).unwrap();
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
    let mut named = 0;
    for file in PAGES.iter().chain(&["CHANGELOG.md"]) {
        let text = read(file);
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

#[test]
fn the_kinds_of_the_table_of_the_journal_are_kinds() {
    let page = read("docs/error-codes.md");
    let (_, table) = page.split_once("## Entries of the journal\n").unwrap();
    let mut named = 0;
    for row in table.lines().filter(|line| line.starts_with("| `")).skip(1) {
        let cell = row.split('|').nth(1).unwrap();
        for name in cell.split('`').skip(1).step_by(2) {
            assert!(EventKind::ALL.iter().any(|k| k.name() == name), "{name}");
            named += 1;
        }
    }
    assert!(named >= 15, "{named}");
}

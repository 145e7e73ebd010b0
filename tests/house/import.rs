//! What is imported of other programs' files: each dialect as it is written, and read by the real
//! configuration, to known values.
//!
//! The files are in `tests/import/`; `BLESS=1` writes what is expected anew, for review.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use alink_gateway::field::decode::data::Data;
use alink_gateway::field::decode::point::decode;
use alink_gateway::field::plan::block_address::{BlockAddress, EntryRange};
use alink_gateway::import::{Imported, Wishes, import, register_list, remark, writer};
use alink_gateway::io::files::settings::{LoadContext, Loaded, load_in};
use alink_gateway::spec::PointAddress;

use crate::source::root;

fn folder() -> PathBuf {
    root().join("tests/import")
}

/// Returns the files, by name.
fn files() -> Vec<String> {
    let all = fs::read_dir(folder()).unwrap();
    let all = all
        .map(|file| file.unwrap())
        .filter(|f| f.file_type().unwrap().is_file());
    let mut names: Vec<String> = all.map(|f| f.file_name().into_string().unwrap()).collect();
    names.sort();
    assert!(names.len() >= 14, "{names:?}");
    names
}

fn imported(name: &str) -> Imported {
    let bytes = fs::read(folder().join(name)).unwrap();
    let wishes = Wishes {
        file: name.to_owned(),
        ..Wishes::default()
    };
    import(&bytes, &wishes).unwrap_or_else(|why| panic!("{name}: {why}"))
}

fn yaml(name: &str) -> String {
    writer::yaml(&imported(name), name, &str::to_owned)
}

/// Writes the heads of a list as the page has them: what a column holds, and its heads, at most 100
/// characters a line.
fn heads() -> String {
    let mut text = String::new();
    for (column, words) in register_list::heads() {
        let mut line = format!("{column:<13}");
        for (n, word) in words.iter().enumerate() {
            let comma = if n + 1 < words.len() { "," } else { "" };
            let word = format!("{word}{comma}");
            if line.chars().count() + word.chars().count() > 100 {
                text.push_str(line.trim_end());
                line = format!("\n{:13}", "");
            }
            line.push_str(&word);
            line.push(' ');
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[test]
fn the_page_lists_every_head_that_a_list_may_have() {
    let page = fs::read_to_string(root().join("docs/commissioning.md")).unwrap();
    let heads = format!("```text\n{}```\n", heads());
    assert!(
        page.contains(&heads),
        "docs/commissioning.md wants:\n{heads}"
    );
}

#[test]
fn each_dialect_gives_the_expected_configuration_and_report() {
    let expected = folder().join("expected");
    let bless = std::env::var_os("BLESS").is_some();
    for name in files() {
        let text = remark::report(&name, &imported(&name).remarks);
        for (ending, text) in [("yaml", yaml(&name)), ("report", text)] {
            let file = expected.join(format!("{name}.{ending}"));
            if bless {
                fs::create_dir_all(&expected).unwrap();
                fs::write(&file, &text).unwrap();
            }
            let wanted = fs::read_to_string(&file).unwrap_or_default();
            assert_eq!(text, wanted, "{name}: if it is right, BLESS=1 writes it");
        }
    }
}

/// Loads what was imported of a file as an operator would: in `conf.d`, with the keys of products
/// and the secrets filled in.
fn loaded(name: &str) -> Loaded {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    fs::create_dir(at("conf.d")).unwrap();
    fs::create_dir(at("secrets")).unwrap();
    let text = yaml(name).replace("#product_key:", "product_key:");
    let secrets = text
        .lines()
        .filter_map(|l| l.trim().strip_prefix("secret_file: "));
    for secret in secrets {
        let file = at(secret.trim_matches('"'));
        fs::write(&file, "0123456789abcdef").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let profiles = root().join("config/profiles/dlt645-2007-three-phase.yaml");
    let own = format!(
        "gateway: {{ product_key: a1GwDemoPk0, device_name: gateway-1, secret: \"0123456789abcdef\" }}\n\
         cloud: {{ url: \"mqtts://example.com:1883\" }}\n\
         profiles_from: [ {} ]\n",
        profiles.display()
    );
    for (file, text) in [("gateway.yaml", &own), ("conf.d/imported.yaml", &text)] {
        fs::write(at(file), text).unwrap();
        fs::set_permissions(at(file), fs::Permissions::from_mode(0o600)).unwrap();
    }
    load_in(&at("gateway.yaml"), &LoadContext::default())
        .unwrap_or_else(|report| panic!("{name}: {report}\n{text}"))
}

#[test]
fn what_is_written_can_be_loaded_once_keys_and_secrets_are_filled_in() {
    for name in files() {
        let loaded = loaded(&name);
        assert!(!loaded.spec.devices.is_empty(), "{name}");
        assert_eq!(loaded.warnings.errors(), 0, "{name}");
    }
}

#[test]
fn a_point_reads_what_the_other_program_reads() {
    const FLOAT: [u16; 2] = [0x4366, 0x8000]; // 230.5
    let swapped = [FLOAT[1], FLOAT[0]];
    let mut all: BTreeMap<&str, Loaded> = BTreeMap::new();
    for (name, id, registers, value) in [
        ("list-english.csv", "Voltage_L1", &FLOAT[..], "230.5"),
        ("list-english.csv", "Voltage_L2", &swapped, "230.5"),
        (
            "list-english.csv",
            "Active_Energy_Import",
            &[1, 0],
            "655.36",
        ),
        ("list-english.csv", "Frequency", &[5001], "50.01"),
        ("list-english.csv", "Alarm_high", &[8], "true"),
        (
            "list-english.csv",
            "Swapped_counter",
            &[0x0100, 0x0200],
            "65538",
        ),
        ("list-gbk.csv", "APhaseVoltage", &[2305], "230.5"),
        ("list-gbk.csv", "Setpoint", &[0xFFFF], "-0.1"),
        ("list-utf16.csv", "Wirkleistung", &[0, 1500], "1.5"),
        ("table.md", "Power", &FLOAT, "230.5"),
        ("modpoll.csv", "counter", &[7, 1], "65543"),
        ("modpoll.csv", "speed", &[15], "1.5"),
        ("telegraf-register.toml", "energy", &[250, 0], "2.5"),
        ("telegraf-register.toml", "pressure", &FLOAT, "230.5"),
        ("telegraf-register.toml", "raw", &[0x0200, 0x0100], "65538"),
        ("telegraf-register.toml", "level", &[0x0705], "7"),
        ("telegraf-request.toml", "voltage", &swapped, "230.5"),
        ("telegraf-request.toml", "speed", &[3], "1.5"),
        ("home-assistant.yaml", "Outside", &[650], "25.0"),
        ("home-assistant.yaml", "Energy", &[2, 1], "65538"),
        ("home-assistant.yaml", "Flags_1", &[1], "true"),
        ("home-assistant.yaml", "Pump", &[170], "170"),
        ("wb-template.json", "Temperature", &[0xFFFF], "-0.1"),
        ("wb-template.json", "Counter", &[150, 0], "1.5"),
        ("wb-template.json", "Stage", &[0b110], "3"),
        ("wb-config.json", "Speed", &FLOAT, "230.5"),
        ("evcc-template.yaml", "power", &[5, 0], "-5"),
        ("evcc-template.yaml", "currents_1", &[15], "1.5"),
        ("evcc-custom.yaml", "enabled", &[0x00FF], "48"),
    ] {
        let loaded = all.entry(name).or_insert_with(|| loaded(name));
        let points = loaded.spec.devices().flat_map(|(_, d)| &d.profile.points);
        let point = points.into_iter().find(|p| p.id == id);
        let point = point.unwrap_or_else(|| panic!("{name}: no {id}"));
        let PointAddress::Modbus(address) = point.address else {
            panic!("{name} {id}");
        };
        let asked = BlockAddress::Modbus(EntryRange {
            table: address.table,
            start: address.start,
            count: u16::try_from(registers.len()).unwrap(),
        });
        let read = decode(point, &asked, &Data::Registers(registers.to_vec()));
        let read = read.unwrap_or_else(|why| panic!("{name} {id}: {why}"));
        // `Float(230.5)`
        let read = format!("{read:?}");
        let read = read.split(['(', ')']).nth(1).unwrap();
        assert_eq!(read, value, "{name} {id}");
    }
}

//! A configuration at a desk, where its secrets and ports are not: `check` and `plan` work, and
//! nothing else becomes laxer.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use alink_gateway::cli::language::Language;
use alink_gateway::cli::{check, plan};
use alink_gateway::io::files::settings::{DeskMode, LoadContext, load_in};

const CONFIGURATION: &str = r#"
gateway: { product_key: a1GwDemoPk0, device_name: gateway-1, secret_file: gateway.secret }
cloud: { url: "mqtts://example.com:1883", ca_file: roots.pem }
ports: [{ name: line1, serial: { device: /dev/ttyNotHere, baud: 9600 } }]
profiles:
  - name: meter
    product_key: a1SubDemoPk
    interval: 10s
    points: [{ id: Voltage, table: input, address: 0, type: f32 }]
devices: [{ name: "hall-{unit}", port: line1, units: 1-9, profile: meter, secret_file: "secrets/{unit}" }]
"#;

struct Place(tempfile::TempDir);

impl Place {
    fn with(text: &str) -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        place.write("gateway.yaml", text);
        place
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("gateway.yaml")
    }

    fn write(&self, name: &str, text: &str) {
        let file = self.0.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn check(&self, desk: DeskMode) -> (String, u8) {
        check::outcome(&self.file(), &context(desk))
    }

    fn plan(&self, desk: DeskMode) -> (String, u8) {
        plan::outcome(&self.file(), &context(desk), false, Language::English)
    }
}

fn context(desk: DeskMode) -> LoadContext {
    LoadContext {
        desk,
        ..LoadContext::default()
    }
}

#[test]
fn missing_secrets_are_one_error_that_hides_no_other() {
    let wrong = CONFIGURATION.replace("type: f32", "type: f31");
    let place = Place::with(&wrong.replace(", ca_file: roots.pem", ""));
    let (text, status) = place.check(DeskMode::No);
    assert_eq!(status, 78);
    assert_eq!(text.matches("said").count(), 2, "{text}");
    assert!(text.contains("said    f31"), "{text}");
    assert!(
        text.contains("10 files with secrets, not there or not readable by this user: gateway.secret, secrets/1, secrets/2 and 7 more\n"),
        "{text}"
    );
    assert!(text.contains("alink-gateway check --desk"), "{text}");
    assert!(text.contains("\n2 errors, no warnings\n"), "{text}");
    let (text, status) = place.check(DeskMode::All);
    assert_eq!((status, text.matches("said").count()), (78, 1), "{text}");
}

#[test]
fn a_single_missing_secret_is_told_where_it_is_named() {
    let place = Place::with(&CONFIGURATION.replace("units: 1-9", "units: 1-1"));
    place.write("gateway.secret", "hunter2");
    place.write("roots.pem", "-----BEGIN CERTIFICATE-----");
    let (text, status) = place.check(DeskMode::No);
    assert_eq!(status, 78);
    assert!(text.contains("gateway.yaml:10:"), "{text}");
    assert!(
        text.contains("said    secrets/1, but there is no such file"),
        "{text}"
    );
}

#[test]
fn at_a_desk_check_and_plan_need_no_secrets_and_the_plan_is_the_same() {
    let place = Place::with(CONFIGURATION);
    let (text, status) = place.check(DeskMode::All);
    assert_eq!(status, 0, "{text}");
    let names = "not here, and not checked: gateway.secret, secrets/1, secrets/2 and 8 more\n";
    assert!(text.contains(names), "{text}");
    let (at_desk, status) = place.plan(DeskMode::All);
    assert_eq!(status, 0, "{at_desk}");
    assert_eq!(place.plan(DeskMode::No).1, 78);
    assert!(load_in(&place.file(), &LoadContext::of_process()).is_err());

    place.write("gateway.secret", "hunter2");
    place.write("roots.pem", "-----BEGIN CERTIFICATE-----");
    for unit in 1..=9 {
        place.write(&format!("secrets/{unit}"), "hunter2");
    }
    assert_eq!(place.plan(DeskMode::No), (at_desk, 0));
}

#[test]
fn variables_that_the_unit_sets_are_not_missed_at_a_desk() {
    let bare = CONFIGURATION
        .replace(", secret_file: gateway.secret", "")
        .replace("url: \"mqtts://example.com:1883\", ca_file: roots.pem", "");
    let place = Place::with(&bare);
    let (text, status) = place.plan(DeskMode::All);
    assert_eq!(status, 0, "{text}");
    let (text, status) = place.check(DeskMode::All);
    assert_eq!(status, 0, "{text}");
    assert!(
        text.contains("ALINK_GATEWAY_SECRET, ALINK_GATEWAY_URL, secrets/1"),
        "{text}"
    );
    assert!(text.contains("no warnings"), "{text}");
    assert_eq!(place.check(DeskMode::No).1, 78);
}

#[test]
fn a_secret_that_is_there_and_wrong_is_wrong_at_a_desk_too() {
    let place = Place::with(CONFIGURATION);
    place.write("secrets/3", "two words");
    let (text, status) = place.check(DeskMode::All);
    assert_eq!(status, 78, "{text}");
    assert!(
        text.contains("secrets/3, which holds more than one word"),
        "{text}"
    );
}

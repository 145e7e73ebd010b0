//! Configurations, right and wrong, and the exact words of `check` about them.
//!
//! Each directory under `config_cases/` is one mistake: `gateway.yaml`, any further
//! files, and `expect.txt`, which holds the output and the exit status. The directory
//! is copied to a directory of its own where no other user may read the files (`modes`
//! lists exceptions); `environment` lists variables; `credentials/` stands for
//! systemd's directory. `BLESS=1` writes the output to `expect.txt`, for review.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use alink_gateway::base::{Secret, UnitId, Value};
use alink_gateway::cli::check;
use alink_gateway::config::{FirstPass, Severity, SourceText};
use alink_gateway::io::files::service_account::ServiceAccount;
use alink_gateway::io::files::settings::{LoadContext, load_in};
use alink_gateway::spec::{
    Accepts, Certainty, EventOutput, IdentifyBy, IdentifyTest, NumberRange, PointAddress,
    ThingEventSpec, Title,
};
use alink_gateway::spec::{
    Bits, BusAddress, ByteOrder, Codec, CommandPolicy, CommandSpec, Condition, Decimal,
    GatewayCertificate, InputSpec, Interlock, LocalWrite, Marker, Measure, Number, Operand, Part,
    PostPolicy, ReadBack, RegisterByte, ServiceSpec, ServiceStep, SessionLimits, Sign, SignMethod,
    StorePolicy, Table, Transport, WordOrder, WriteFunctions, WritePolicy, WriteRequests,
};
use proptest::prelude::*;

fn root(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (from, to) = {
            let entry = entry.unwrap();
            (entry.path(), to.join(entry.file_name()))
        };
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(&from, &to).unwrap();
            fs::set_permissions(&to, Permissions::from_mode(0o600)).unwrap();
        }
    }
}

fn pairs(file: &Path, separator: char) -> Vec<(String, String)> {
    fs::read_to_string(file)
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.split_once(separator))
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .collect()
}

#[test]
fn an_adapter_that_has_a_name_that_stays_should_be_called_by_it() {
    let dir = tempfile::tempdir().unwrap();
    let dir = fs::canonicalize(dir.path()).unwrap();
    let at = |name: &str| dir.join(name);
    let by_id = at("by-id");
    fs::create_dir_all(&by_id).unwrap();
    for node in ["ttyUSB0", "ttyUSB1", "ttyS0"] {
        fs::write(at(node), "").unwrap();
    }
    std::os::unix::fs::symlink("../ttyUSB0", by_id.join("usb-FTDI_A1-if00-port0")).unwrap();
    std::os::unix::fs::symlink("../ttyUSB1", by_id.join("usb-FTDI_B2-if00-port0")).unwrap();
    let text = fs::read_to_string(root("tests/config_cases/adapter/gateway.yaml")).unwrap();
    let text = text
        .replace("/dev/ttyS1", at("ttyUSB1").to_str().unwrap())
        .replace(
            "/dev/ttyS2",
            by_id.join("usb-FTDI_A1-if00-port0").to_str().unwrap(),
        )
        .replace("/dev/ttyS3", at("ttyS0").to_str().unwrap());
    let file = at("gateway.yaml");
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    let outcome = |by_id: Option<PathBuf>| {
        let around = LoadContext {
            by_id,
            ..LoadContext::default()
        };
        let (text, status) = check::outcome(&file, &around);
        assert_eq!(status, 0, "{text}");
        text.replace(dir.to_str().unwrap(), "")
    };
    let told = outcome(Some(by_id.clone()));
    assert_eq!(told.matches("by-id").count(), 1, "{told}");
    assert!(
        told.contains("said    device: /ttyUSB1\n  wanted  device: /by-id/usb-FTDI_B2-if00-port0"),
        "{told}"
    );
    for nowhere in [None, Some(at("there-is-none"))] {
        assert!(!outcome(nowhere).contains("by-id/usb-FTDI_B2"));
    }
}

#[test]
fn a_file_that_the_service_cannot_read_is_told_to_root_who_can() {
    let dir = tempfile::tempdir().unwrap();
    copy(
        &root("tests/config_cases/profile-product-secret"),
        dir.path(),
    );
    let set = |file: &str, mode| {
        fs::set_permissions(dir.path().join(file), Permissions::from_mode(mode)).unwrap();
    };
    let passwd = "alink-gateway:x:64990:64991::/:/usr/sbin/nologin\nroot:x:0:0::/:/bin/sh\n";
    let group = "alink-gateway:x:64991:\nroot:x:0:\n";
    let around = LoadContext {
        by_hand: true,
        service: ServiceAccount::named("alink-gateway", passwd, group),
        service_home: dir.path().to_owned(),
        ..LoadContext::default()
    };
    let outcome = || {
        let (text, status) = check::outcome(&dir.path().join("gateway.yaml"), &around);
        (
            text.replace(&format!("{}/", dir.path().display()), ""),
            status,
        )
    };
    set(".", 0o755);
    set("gateway.yaml", 0o644);
    let (text, status) = outcome();
    assert_eq!(status, 78, "the service would not start: {text}");
    assert!(
        text.contains("meter.secret, which the service cannot read: 0600 "),
        "{text}"
    );
    assert!(
        text.contains("chown root:alink-gateway meter.secret && chmod 0640 meter.secret"),
        "{text}"
    );
    set("gateway.yaml", 0o600);
    let (text, _) = outcome();
    assert!(
        text.contains("gateway.yaml and 1 more, which the service cannot read"),
        "{text}"
    );
    let both = "chown root:alink-gateway gateway.yaml meter.secret && chmod 0640 gateway.yaml meter.secret";
    assert!(text.contains(both), "{text}");
    set("gateway.yaml", 0o644);
    set("meter.secret", 0o644);
    let (text, status) = outcome();
    assert!(status == 0 && !text.contains("cannot read"), "{text}");
    // Without others the service could not read it either: the advice must not take it away.
    assert!(
        text.contains("hint    chown root:alink-gateway meter.secret && chmod 0640 meter.secret"),
        "{text}"
    );
    // A directory above counts as well: for the service, and for all others.
    set(".", 0o700);
    let (text, status) = outcome();
    assert!(status == 78 && text.contains(" is 0700 "), "{text}");
    assert!(!text.contains("every user can read"), "{text}");
    let opened = format!(
        "chown root:alink-gateway {0} && chmod 0750 {0}",
        dir.path().display()
    );
    assert!(text.contains(&opened), "{text}");
    // A configuration elsewhere is no concern of the service's.
    let elsewhere = LoadContext {
        service_home: "/etc/alink-gateway".into(),
        ..around.clone()
    };
    let (text, status) = check::outcome(&dir.path().join("gateway.yaml"), &elsewhere);
    assert!(
        status == 0 && text.contains("the service reads the configuration in"),
        "{text}"
    );
}

/// Returns the output of `check` for one case, and its exit status as the last line.
fn outcome(case: &Path) -> String {
    let dir = tempfile::tempdir().unwrap();
    copy(case, dir.path());
    // Others get through to the files, whose own modes decide.
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    for (file, mode) in pairs(&case.join("modes"), ' ') {
        let mode = u32::from_str_radix(&mode, 8).unwrap();
        fs::set_permissions(dir.path().join(file), Permissions::from_mode(mode)).unwrap();
    }
    let around = LoadContext {
        environment: pairs(&case.join("environment"), '='),
        credentials: Some(dir.path().join("credentials")).filter(|d| d.is_dir()),
        by_hand: true,
        ..LoadContext::default()
    };
    let (text, status) = check::outcome(&dir.path().join("gateway.yaml"), &around);
    let text = text.replace(&format!("{}/", dir.path().display()), "");
    format!("{text}exit {status}\n")
}

#[test]
fn every_mistake_is_told_in_the_expected_words() {
    let bless = std::env::var_os("BLESS").is_some();
    let mut cases: Vec<_> = fs::read_dir(root("tests/config_cases"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    cases.sort();
    assert!(cases.len() > 50, "where have the cases gone?");
    let mut wrong = String::new();
    for case in cases {
        let found = outcome(&case);
        let file = case.join("expect.txt");
        if bless {
            fs::write(&file, &found).unwrap();
        }
        let expected = fs::read_to_string(&file).unwrap_or_default();
        if found != expected {
            let name = case.file_name().unwrap().to_string_lossy().into_owned();
            wrong += &format!("--- {name}: expected\n{expected}--- found\n{found}\n");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn no_case_prints_its_secret() {
    let mut with_secret = 0;
    for case in fs::read_dir(root("tests/config_cases")).unwrap() {
        let case = case.unwrap().path();
        assert!(
            !outcome(&case).contains("hunter2"),
            "{} prints a secret",
            case.display()
        );
        let text = fs::read(case.join("gateway.yaml")).unwrap_or_default();
        with_secret += usize::from(String::from_utf8_lossy(&text).contains("hunter2"));
    }
    assert!(with_secret > 200, "{with_secret}");
}

/// Installs `config/` as the package does, all in a directory of its own.
fn installed() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    copy(&root("config"), dir.path());
    let main = dir.path().join("gateway.yaml");
    let text = fs::read_to_string(&main).unwrap();
    let theirs = "/usr/share/alink-gateway/";
    assert!(text.contains(theirs), "the package's profiles are not used");
    fs::write(&main, text.replace(theirs, "")).unwrap();
    dir
}

fn quiet() -> LoadContext {
    LoadContext::default()
}

#[test]
fn a_fresh_install_is_valid_polls_nothing_and_is_not_commissioned() {
    let dir = installed();
    let loaded = load_in(&dir.path().join("gateway.yaml"), &quiet()).unwrap();
    assert!(!loaded.commissioned);
    assert!(loaded.spec.ports.is_empty() && loaded.spec.devices.is_empty());
    assert_eq!(loaded.warnings.warnings(), 1, "{:?}", loaded.warnings);
    assert!(
        loaded.warnings.problems()[0]
            .hint
            .as_ref()
            .unwrap()
            .contains("not commissioned")
    );
}

#[test]
fn the_example_is_valid_once_its_secrets_are_there() {
    let dir = installed();
    let example = dir.path().join("gateway.example.yaml");
    let missing = load_in(&example, &quiet()).unwrap_err();
    assert!(
        missing
            .problems()
            .iter()
            .all(|p| p.path.ends_with("secret_file"))
    );
    fs::create_dir(dir.path().join("secrets")).unwrap();
    for secret in [
        "gateway.secret",
        "secrets/heating",
        "secrets/hall-001",
        "secrets/hall-002",
        "secrets/hall-003",
        "secrets/grid",
        "secrets/scale",
    ] {
        fs::write(dir.path().join(secret), "s3cret\n").unwrap();
        fs::set_permissions(dir.path().join(secret), Permissions::from_mode(0o600)).unwrap();
    }
    let loaded = load_in(&example, &quiet()).unwrap();
    // Those of the example, and those that are shipped.
    let shipped = fs::read_dir(root("config/profiles")).unwrap().count();
    let profiles = shipped + 4;
    assert_eq!(
        check::summary(&loaded),
        format!("2 ports, 6 devices, {profiles} profiles; no warnings")
    );
    assert!(loaded.commissioned);
}

#[test]
fn the_defaults_that_the_example_shows_are_the_defaults() {
    // The example with every commented default in force means the same as without.
    // Commented lines that are no defaults are examples.
    let text = fs::read_to_string(root("config/gateway.example.yaml")).unwrap();
    let secrets = [
        "#secret_credential",
        "#secret:",
        "#ca_file",
        "#product_key",
        "#product_secret",
        "#registration",
        "#instance_id",
        "#devices_file",
        "#reply_delay",
        "#stale_after",
        "#holes",
        "#serial: {",
    ];
    let mut uncommented = String::new();
    for line in text.lines() {
        let bare = line.trim_start();
        let is_key = bare.starts_with('#')
            && !bare.starts_with("# ")
            && !bare.ends_with("# example")
            && !secrets.iter().any(|s| bare.starts_with(s));
        if is_key {
            uncommented.push_str(&line.replacen('#', "", 1));
        } else {
            uncommented.push_str(line);
        }
        uncommented.push('\n');
    }
    let dir = installed();
    fs::create_dir(dir.path().join("secrets")).unwrap();
    for secret in [
        "gateway.secret",
        "secrets/heating",
        "secrets/hall-001",
        "secrets/hall-002",
        "secrets/hall-003",
        "secrets/grid",
        "secrets/scale",
    ] {
        fs::write(dir.path().join(secret), "s3cret\n").unwrap();
    }
    let example = dir.path().join("gateway.example.yaml");
    let plain = load_in(&example, &quiet()).unwrap().spec;
    fs::write(&example, uncommented).unwrap();
    let full = load_in(&example, &quiet()).unwrap().spec;
    // An override that stands for the port's value or none; written out it has the
    // value.
    let mut full = full;
    assert_eq!(
        full.devices[0].response_timeout.take(),
        Some(Duration::from_millis(300))
    );
    assert_eq!(plain, full);
}

#[test]
fn the_service_does_not_start_without_its_credential() {
    let dir = tempfile::tempdir().unwrap();
    copy(
        &root("tests/config_cases/credential-outside-the-service"),
        dir.path(),
    );
    let report = load_in(&dir.path().join("gateway.yaml"), &quiet()).unwrap_err();
    assert_eq!(
        report.problems()[0].said,
        "gateway, but systemd has handed over no credentials"
    );
}

#[test]
fn a_report_policy_of_the_profile_holds_for_the_points_that_it_fits() {
    let dir = tempfile::tempdir().unwrap();
    copy(&root("tests/config_cases/report-policies"), dir.path());
    let text = fs::read_to_string(dir.path().join("gateway.yaml")).unwrap();
    // A line for each protocol.
    let ports = "ports:
  - { name: line2, serial: { device: /dev/ttyUSB1 } }
  - { name: line3, serial: { device: /dev/ttyUSB2 } }
";
    let devices = "devices:
  - { name: grid-001, port: line2, profile: grid-meter, address: any, secret: s }
  - { name: scale-001, port: line3, profile: scale, secret: s }
";
    let text = text
        .replacen("ports:\n", ports, 1)
        .replacen("devices:\n", devices, 1);
    fs::write(dir.path().join("gateway.yaml"), text).unwrap();
    let spec = load_in(&dir.path().join("gateway.yaml"), &quiet())
        .unwrap()
        .spec;
    let points = spec.devices.iter().flat_map(|d| &d.profile.points);
    let reports: Vec<_> = points.map(|p| format!("{} {}", p.id, p.report)).collect();
    assert_eq!(
        reports,
        [
            "A a change",
            "B the mean of each 30m",
            "A a change by more than 0.1",
            "A a change by more than 2%, at least once in 15m",
            "B a change, at least once in 15m",
            "C a change, at least once in 15m",
            "D every reading",
            "E a change",
            "F the newest reading, at most once in 1m",
            "G a change by more than 0.5, at most once in 10s, at least once in 15m",
            "H a change, at most once in 30s",
            "IMean the mean of each 1m",
            "IMax the max of each 1m",
            "J the max of each 10s",
            "K the last of each 1h",
            "L a change",
        ]
    );
}

const HEAD: &str = "\
gateway: { product_key: a1GwDemoPk0, device_name: gw-0001, secret: s3cret }
cloud: { url: 'mqtts://gateway.example' }
profiles:
  - name: meter
    product_key: a1SubDemoPk
    interval: 10s
    points:
      - { id: Voltage, table: holding, address: 0, type: u16 }
ports:
";

fn racks(n: usize) -> String {
    (0..n)
        .map(|i| format!("  - {{ name: rack{i}, tcp: {{ host: 10.0.0.{i} }} }}\n"))
        .collect()
}

/// Writes `right` or, where the bit is set, `wrong`, for each key; returns also how
/// many are wrong.
fn seeded(keys: &[(&str, &str, &str)], which: u32) -> (String, usize) {
    let words: Vec<_> = (0..)
        .zip(keys)
        .map(|(bit, (key, right, wrong))| {
            let value = if which >> bit & 1 == 1 { wrong } else { right };
            format!("{key}: {value}")
        })
        .collect();
    (words.join(", "), which.count_ones() as usize)
}

/// Returns how many errors `yaml` has, as `check` counts them.
fn errors(yaml: &str) -> (usize, String) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("gateway.yaml"), yaml).unwrap();
    fs::write(dir.path().join("secret"), "s3cret").unwrap();
    match load_in(&dir.path().join("gateway.yaml"), &quiet()) {
        Ok(_) => (0, String::new()),
        Err(report) => (report.errors(), report.to_string()),
    }
}

/// Checks that as many problems are found as there are mistakes, whichever of these keys are
/// wrong; `yaml` returns the configuration with such an entry.
fn each_mistake_is_a_problem(keys: &[(&str, &str, &str)], yaml: impl Fn(&str) -> String) {
    for which in 0..1 << keys.len() {
        let (entry, mistakes) = seeded(keys, which);
        let yaml = yaml(&entry);
        let (found, told) = errors(&yaml);
        assert_eq!(found, mistakes, "{yaml}{told}");
    }
}

#[test]
fn so_many_mistakes_so_many_problems() {
    let device = [
        ("name", "dev2", "dev1"),
        ("port", "rack0", "rack9"),
        ("unit", "2", "999"),
        ("profile", "meter", "nope"),
        ("device_name", "dev-2", "ä"),
        ("product_key", "a1SubDemoPk", "a/b"),
        ("secret_file", "secret", "s/9"),
        ("turnaround", "0s", "1"),
        ("response_timeout", "1s", "x"),
        ("liveness", "{ missed: 3 }", "{ missed: 0 }"),
    ];
    each_mistake_is_a_problem(&device, |entry| {
        format!(
            "{HEAD}{}devices:\n\
             \x20 - {{ name: dev1, port: rack0, unit: 1, profile: meter, secret: s }}\n\
             \x20 - {{ {entry} }}\n",
            racks(2)
        )
    });

    let point = [
        ("id", "Current", "1x"),
        ("table", "holding", "holdng"),
        ("address", "1", "-1"),
        ("type", "u32", "u33"),
        ("scale", "1", "0"),
        ("offset", "0", "x"),
        ("words", "low", "up"),
        ("bytes", "low", "down"),
        ("interval", "10s", "10"),
    ];
    each_mistake_is_a_problem(&point, |entry| {
        let head = HEAD.replace(
            "    points:\n",
            &format!("    points:\n      - {{ {entry} }}\n"),
        );
        format!("{head}{}", racks(1))
    });

    let write = [
        ("min", "5", "x"),
        ("max", "60", "y"),
        ("step", "0.5", "0"),
        ("settle", "1s", "1"),
        ("read_back", "Voltage", "Voltge"),
        ("least_interval", "1m", "x"),
        ("confirm", "30s", "0s"),
        (
            "only_if",
            "{ point: Voltage, above: 1 }",
            "{ point: nope, above: 1 }",
        ),
    ];
    each_mistake_is_a_problem(&write, |entry| {
        let head = HEAD.replace(
            "    points:\n",
            &format!(
                "    points:\n      - {{ id: Set, table: holding, address: 9, type: u16, write: {{ {entry} }} }}\n"
            ),
        );
        format!("{head}{}", racks(1))
    });

    let session = [
        ("batch", "50", "51"),
        ("retry_floor", "1m", "x"),
        ("retry_ceiling", "10m", "0s"),
        ("in_flight", "4", "0"),
    ];
    each_mistake_is_a_problem(&session, |entry| {
        let head = HEAD.replace(
            "gateway.example' }",
            &format!("gateway.example', session: {{ {entry} }} }}"),
        );
        format!("{head}{}", racks(1))
    });
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long it really takes is what is measured"
)]
/// Loads `yaml` and `csv`; returns how many devices there are and how long it took.
fn time_to_load(yaml: &str, csv: &str) -> (usize, Duration) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gateway.yaml");
    fs::write(&path, yaml).unwrap();
    fs::write(dir.path().join("devices.csv"), csv).unwrap();
    let start = Instant::now();
    let loaded = load_in(&path, &quiet()).unwrap();
    (loaded.spec.devices.len(), start.elapsed())
}

#[test]
fn two_thousand_devices_are_pleasant_to_load() {
    let ranges: String = (0..10)
        .map(|i| {
            format!("  - {{ name: 'r{i}-{{unit:03}}', units: 1-200, port: rack{i}, profile: meter, secret: s }}\n")
        })
        .collect();
    let yaml = format!("{HEAD}{}devices:\n{ranges}", racks(10));
    let (n, ranges) = time_to_load(&yaml, "");
    assert_eq!(n, 2000);

    let rows: String = (0..2000)
        .map(|i| format!("dev-{i:04},rack{},{},meter,s{i}\n", i / 200, i % 200))
        .collect();
    let yaml = format!("{HEAD}{}devices_file: devices.csv\n", racks(10));
    let (n, table) = time_to_load(&yaml, &format!("name,port,unit,profile,secret\n{rows}"));
    assert_eq!(n, 2000);

    let entries: String = (0..2000)
        .map(|i| {
            format!(
                "  - {{ name: dev-{i:04}, port: rack{}, unit: {}, profile: meter, secret: s{i} }}\n",
                i / 200,
                i % 200
            )
        })
        .collect();
    let yaml = format!("{HEAD}{}devices:\n{entries}", racks(10));
    let (n, listed) = time_to_load(&yaml, "");
    assert_eq!(n, 2000);

    println!("2,000 devices: ranges {ranges:?}, table {table:?}, listed {listed:?}");
    // A second each in a debug build; three here, for a busy machine.
    let limit = Duration::from_secs(3);
    assert!(
        ranges < limit && table < limit && listed < limit,
        "{ranges:?} {table:?} {listed:?}"
    );
}

#[test]
fn values_mean_what_they_say() {
    let yaml = format!(
        "{HEAD}  - {{ name: rack0, tcp: {{ host: h }} }}\n\
         devices:\n\
         \x20 - {{ name: 012345678901, port: rack0, unit: 0x10, profile: meter, product_key: 12e4, secret: 0123 }}\n"
    );
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gateway.yaml");
    fs::write(&path, yaml).unwrap();
    let spec = load_in(&path, &quiet()).unwrap().spec;
    let device = &spec.devices[0];
    assert_eq!(device.name, "012345678901");
    assert_eq!(device.device_name.as_str(), "012345678901");
    assert_eq!(device.product_key.as_str(), "12e4");
    assert_eq!(device.secret.expose(), "0123");
    assert_eq!(device.address, BusAddress::Modbus(UnitId(16)));
    assert_eq!(device.liveness.missed, 3);
    assert_eq!(device.liveness.quiet, Duration::from_secs(10));
    assert_eq!(device.liveness.returns, 2);
    assert_eq!(spec.ports[0].response_timeout, Duration::from_secs(1));
    assert_eq!(spec.cloud.broker.port, 8883);
    assert_eq!(spec.cloud.broker.keepalive, Duration::from_secs(300));
    assert!(!format!("{spec:?}").contains("0123\""));
}

#[test]
fn the_kind_of_the_instance_gives_the_limits_that_are_not_written() {
    let limits = |case: &str| {
        let dir = tempfile::tempdir().unwrap();
        copy(&root("tests/config_cases").join(case), dir.path());
        let loaded = load_in(&dir.path().join("gateway.yaml"), &quiet()).unwrap();
        let cloud = loaded.spec.cloud;
        (cloud.session.online, cloud.post.messages_per_second)
    };
    assert_eq!(limits("instance-too-small"), (50, 4));
    assert_eq!(limits("instance-quota-of-its-own"), (60, 10));
    // Without the key, and with one whose quota is not published, nothing changes.
    assert_eq!(limits("upstream-busy"), (2000, 25));
    assert_eq!(limits("nothing-wrong-in-the-whole-shape"), (2000, 25));
}

#[test]
fn the_whole_shape_means_what_it_says() {
    let dir = tempfile::tempdir().unwrap();
    copy(
        &root("tests/config_cases/nothing-wrong-in-the-whole-shape"),
        dir.path(),
    );
    let spec = load_in(&dir.path().join("gateway.yaml"), &quiet())
        .unwrap()
        .spec;
    assert_eq!(
        spec.cloud.broker.transport,
        Transport::Tls {
            ca_file: Some(dir.path().join("aliyun-root.pem"))
        }
    );
    assert_eq!(spec.cloud.session, SessionLimits::default());
    assert_eq!(spec.cloud.post, PostPolicy::default());
    assert_eq!(spec.cloud.store, StorePolicy::default());
    assert_eq!(
        spec.cloud.gateway.certificate,
        GatewayCertificate::Device(Secret::new("hunter2"))
    );
    assert_eq!(spec.cloud.sign_method, SignMethod::HmacSha256);

    let names: Vec<_> = spec.devices.iter().map(|d| d.name.as_str()).collect();
    assert_eq!(
        names,
        ["meter-001", "hall-001", "hall-002", "hall-003", "pump-001"]
    );
    let hall = &spec.devices[2];
    let second = BusAddress::Modbus(UnitId(2));
    assert_eq!((hall.port.0, hall.address), (1, second));
    assert_eq!(hall.liveness.quiet, Duration::from_secs(10));
    assert_eq!(hall.response_timeout, Some(Duration::from_millis(300)));
    assert_eq!(hall.turnaround, Duration::from_millis(20));
    // Twice the slowest interval, which is that of Energy, but no more than this.
    assert_eq!(spec.devices[0].liveness.quiet, Duration::from_secs(30));
    // Three seconds at least.
    assert_eq!(spec.devices[4].liveness.quiet, Duration::from_secs(3));
    assert_eq!(spec.devices[4].device_name.as_str(), "pump:001");
    assert_eq!(spec.devices[4].product_key.as_str(), "a1Pump");

    let number = |kind, words, scale| Codec::Number {
        kind,
        words,
        bytes: ByteOrder::High,
        scale,
        offset: Decimal::ZERO,
    };
    let tenth = Decimal {
        digits: 1,
        places: 1,
    };
    let text = Codec::Text {
        registers: 8,
        bytes: ByteOrder::High,
        encoding: Default::default(),
    };
    let seconds = Duration::from_secs;
    let points: Vec<_> = hall
        .profile
        .points
        .iter()
        .map(|p| {
            (
                p.id.as_str(),
                p.address.as_modbus().unwrap().table,
                p.address.as_modbus().unwrap().start,
                p.codec.clone(),
                p.interval,
            )
        })
        .collect();
    let (u16_, u32_) = (Number::U16, Number::U32);
    assert_eq!(
        points,
        [
            (
                "Voltage",
                Table::HoldingRegister,
                0,
                number(u16_, WordOrder::High, tenth),
                seconds(10)
            ),
            (
                "Energy",
                Table::InputRegister,
                10,
                number(u32_, WordOrder::Low, Decimal::ONE),
                seconds(60)
            ),
            ("Relay", Table::Coil, 0, Codec::Bool, seconds(10)),
            (
                "Alarm",
                Table::HoldingRegister,
                20,
                Codec::Bit(3),
                seconds(10)
            ),
            ("Model", Table::HoldingRegister, 30, text, seconds(10)),
        ]
    );
}

#[test]
fn types_mean_what_they_say() {
    let dir = tempfile::tempdir().unwrap();
    copy(&root("tests/config_cases/types-all-right"), dir.path());
    let settings = load_in(&dir.path().join("gateway.yaml"), &LoadContext::default()).unwrap();
    let spec = settings.spec;
    let point = |id: &str| {
        let points = &spec.devices[0].profile.points;
        points.iter().find(|p| p.id == id).unwrap()
    };
    let one = Decimal::ONE;
    let decimal = |digits, places| Decimal { digits, places };
    let plain = |kind, words, bytes, scale| Codec::Number {
        kind,
        words,
        bytes,
        scale,
        offset: Decimal::ZERO,
    };
    let part = |at, kind, weight| Part { at, kind, weight };
    use {ByteOrder as B, WordOrder as W};
    for (id, codec) in [
        (
            "A",
            plain(Number::U8(RegisterByte::High), W::High, B::High, one),
        ),
        (
            "B",
            plain(Number::I8(RegisterByte::Low), W::High, B::High, one),
        ),
        ("C", plain(Number::U24, W::Low, B::High, one)),
        ("D", plain(Number::I48, W::Low, B::Low, one)),
        ("E", plain(Number::F16, W::High, B::Low, one)),
        (
            "O",
            Codec::Letters {
                registers: 4,
                half: RegisterByte::Low,
                encoding: Default::default(),
            },
        ),
        (
            "P",
            Codec::Letters {
                registers: 4,
                half: RegisterByte::High,
                encoding: Default::default(),
            },
        ),
    ] {
        assert_eq!(point(id).codec, codec, "{id}");
    }
    let titles = [(0, "off"), (1, "on"), (2, "broken")];
    for (id, address, width, measure) in [
        (
            "F",
            7,
            2,
            Measure {
                invalid: vec![Marker::Bits(0xFFFF_FFFF)],
                scale: decimal(1, 2),
                ..Measure::of(Number::Bcd32)
            },
        ),
        (
            "G",
            9,
            1,
            Measure {
                bits: Some(Bits::Range(4, 7)),
                states: Some(titles.map(|(n, t)| (n, t.to_owned())).into()),
                ..Measure::of(Number::U16)
            },
        ),
        (
            "H",
            9,
            1,
            Measure {
                bits: Some(Bits::Mask(0xF0)),
                ..Measure::of(Number::U16)
            },
        ),
        (
            "I",
            10,
            1,
            Measure {
                invalid: vec![Marker::Bits(0x8000), Marker::Number(decimal(32767, 0))],
                scale: decimal(1, 1),
                min: Some(decimal(-40, 0)),
                max: Some(decimal(1255, 1)),
                ..Measure::of(Number::I16)
            },
        ),
        // The factor stands before the value: both are read, from the factor on.
        (
            "J",
            80,
            5,
            Measure {
                parts: vec![part(4, Number::I16, one)],
                power: Some(0),
                ..Measure::of(Number::I16)
            },
        ),
        (
            "L",
            80,
            6,
            Measure {
                parts: vec![part(5, Number::U16, one)],
                power: Some(0),
                ..Measure::of(Number::U16)
            },
        ),
        (
            "M",
            20,
            2,
            Measure {
                parts: vec![
                    part(1, Number::U16, decimal(10_000, 0)),
                    part(0, Number::U16, one),
                ],
                ..Measure::of(Number::U16)
            },
        ),
        (
            "N",
            30,
            4,
            Measure {
                parts: vec![
                    part(0, Number::Bcd16, decimal(100, 0)),
                    part(3, Number::U8(RegisterByte::High), decimal(5, 1)),
                ],
                ..Measure::of(Number::U16)
            },
        ),
        (
            "Q",
            48,
            2,
            Measure {
                invalid: vec![Marker::Number(decimal(-9999, 0)), Marker::Bits(0x7F7F_FFFF)],
                max: Some(decimal(1_000_000, 0)),
                round: Some(2),
                ..Measure::of(Number::F32)
            },
        ),
    ] {
        let point = point(id);
        assert_eq!(point.codec, Codec::Measure(Box::new(measure)), "{id}");
        assert_eq!(
            (
                point.address.as_modbus().unwrap().start,
                point.codec.width()
            ),
            (address, width),
            "{id}"
        );
    }
}

/// Checks the registers that each kind of value covers, and its type on the platform.
#[test]
fn values_of_every_kind_are_read_whole_and_have_their_type() {
    let dir = tempfile::tempdir().unwrap();
    copy(&root("tests/config_cases/values-of-every-kind"), dir.path());
    let settings = load_in(&dir.path().join("gateway.yaml"), &LoadContext::default()).unwrap();
    let points = &settings.spec.devices[0].profile.points;
    let found: Vec<_> = points
        .iter()
        .map(|p| {
            (
                p.id.as_str(),
                p.address.as_modbus().unwrap().start,
                p.codec.width(),
                p.codec.data_type().word(),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            ("Watts", 0, 1, "int"),
            ("AsDouble", 0, 1, "double"),
            ("WattsScale", 0, 1, "double"),
            ("Tiny", 0, 4, "double"),
            ("Magnitude", 4, 2, "int"),
            // The sign stands before the number, or behind it.
            ("Flag", 8, 3, "double"),
            ("Bit", 10, 4, "int"),
            ("Other", 10, 2, "int"),
            ("Clock", 20, 3, "date"),
            ("Here", 20, 3, "date"),
            ("Seconds", 30, 2, "date"),
            ("Millis", 30, 4, "date"),
            ("Name", 40, 8, "text"),
        ]
    );
    let Codec::Measure(flag) = &points[5].codec else {
        panic!("{:?}", points[5].codec);
    };
    let sign = Sign::Register {
        at: 0,
        mask: 0xFFFF,
        positive: 0,
        negative: 1,
    };
    assert_eq!((flag.parts[0].at, flag.sign), (2, Some(sign)));
    let Codec::Measure(bit) = &points[6].codec else {
        panic!("{:?}", points[6].codec);
    };
    let sign = Sign::Register {
        at: 3,
        mask: 8,
        positive: 0,
        negative: 8,
    };
    assert_eq!(bit.sign, Some(sign));
}

/// Checks what every key of events becomes, with every protocol.
#[test]
fn parameters_mean_what_they_say() {
    let file = root("tests/config_cases/parameters/gateway.yaml");
    let spec = load_in(&file, &quiet()).unwrap().spec;
    let told = |device: usize| {
        let profile = &spec.devices[device].profile;
        let points = profile.points.iter().map(|p| {
            let (scale, max) = match &p.codec {
                Codec::Number { scale, .. } => (*scale, None),
                Codec::Measure(measure) => (measure.scale, measure.max),
                other => panic!("{other:?}"),
            };
            let max = max.map_or_else(String::new, |max| format!(" to {max}"));
            let of = p.codec.data_type().word();
            format!("{} {of} {scale}{max}", p.id)
        });
        let points: Vec<String> = points.collect();
        (profile.name.clone(), points.join(", "))
    };
    // A factor that is a parameter may have a fraction in one device: all post the same type.
    let plain = "Voltage double 0.1 to 500, Power double 1";
    assert_eq!(told(0), ("meter".into(), plain.into()));
    let wide = "Voltage double 1 to 5000, Power double 800, Grid int 1";
    assert_eq!(
        told(1),
        ("meter(ct_ratio=80,vt_ratio=10)".into(), wide.into())
    );
    let large = format!("{plain}, Soc int 1, Cells int 1");
    assert_eq!(told(2), ("meter(battery=large)".into(), large));
    // The same values, written in another way, are the same profile.
    let [_, two, _, four] = &spec.devices[..] else {
        panic!("{}", spec.devices.len());
    };
    assert!(Arc::ptr_eq(&two.profile, &four.profile));
}

#[test]
fn a_profile_that_is_based_on_another_is_both() {
    let file = root("tests/config_cases/based-on/gateway.yaml");
    let spec = load_in(&file, &quiet()).unwrap().spec;
    let told = |device: usize| {
        let profile = &spec.devices[device].profile;
        let points = profile.points.iter().map(|p| {
            let PointAddress::Modbus(address) = p.address else {
                panic!("{p:?}");
            };
            format!("{} {}", p.id, address.start)
        });
        let points: Vec<String> = points.collect();
        let title = &profile.about.title;
        let titles = [&title.general, &title.chinese];
        let titles = titles.map(|t| t.as_deref().unwrap_or("-").to_owned());
        (points.join(", "), titles, profile.max_registers)
    };
    // A title in one language does not stand beside that of another profile.
    let larger = ["Larger meter".to_owned(), "-".to_owned()];
    let points = "Voltage 10, Energy 4, Power 2".to_owned();
    assert_eq!(told(0), (points.clone(), larger.clone(), 60));
    let small = ["Small meter".to_owned(), "小电表".to_owned()];
    assert_eq!(
        told(1),
        ("Voltage 0, Frequency 1, Energy 4".into(), small, 60)
    );
    assert_eq!(told(2), (points, larger, 20));
    let product = |device: usize| spec.devices[device].product_key.to_string();
    assert_eq!(product(2), "a1SubDemoPk");
    // Several points with one id, of which one exists, stand in its place.
    for (device, points) in [
        (3, "Voltage 20, Energy 4"),
        (4, "Voltage 30, Energy 4"),
        (5, "Voltage 40, Energy 4"),
    ] {
        assert_eq!(told(device).0, points);
    }
}

#[test]
fn a_profile_in_a_file_is_based_on_the_file_beside_it() {
    let file = root("tests/config_cases/based-on-beside-first/gateway.yaml");
    let spec = load_in(&file, &quiet()).unwrap().spec;
    let addresses = spec.devices.iter().map(|device| {
        let PointAddress::Modbus(address) = device.profile.points[0].address else {
            panic!("{:?}", device.profile.points);
        };
        address.start
    });
    assert_eq!(addresses.collect::<Vec<_>>(), [0, 7]);
    assert_eq!(spec.devices[0].profile.about.title.chinese, None);

    // The secret of the other's product is none of this one's.
    let file = root("tests/config_cases/based-on-another-product/gateway.yaml");
    let spec = load_in(&file, &quiet()).unwrap().spec;
    assert_eq!(spec.devices[0].product_key.to_string(), "a1OtherPk");
    assert!(
        !spec
            .cloud
            .products
            .contains_key(&spec.devices[0].product_key)
    );
}

#[test]
fn titles_units_and_tests_mean_what_they_say() {
    let loaded = |case: &str| {
        let file = root("tests/config_cases").join(case).join("gateway.yaml");
        load_in(&file, &quiet()).unwrap().spec
    };
    let spec = loaded("titles-and-units");
    let told =
        |title: &Title| [&title.general, &title.chinese].map(|t| t.as_deref().map(str::to_owned));
    let own = |text: &str| Some(text.to_owned());
    let meter = &spec.devices[0].profile;
    assert_eq!(
        told(&meter.about.title),
        [own("Meter of the hall"), own("大厅电表")]
    );
    let points = spec.devices.iter().flat_map(|d| &d.profile.points);
    let points: Vec<_> = points
        .map(|p| {
            let [general, chinese] = told(&p.shown.title);
            let unit = p.shown.unit.as_ref().map(|unit| unit.0.to_string());
            (general, chinese, unit, p.shown.unverified)
        })
        .collect();
    assert_eq!(
        points,
        [
            (own("Voltage A"), own("A相电压"), own("V"), false),
            (own("温度"), None, own("°C"), true),
            (own("Relay"), None, None, false),
            (None, None, own("kWh"), false),
            (own("Energy"), own("电能"), own("kWh"), false),
            (own("Weight"), None, own("kg"), false),
        ]
    );
    let unverified: Vec<bool> = spec
        .devices
        .iter()
        .map(|d| d.profile.about.unverified)
        .collect();
    assert_eq!(unverified, [false, false, true]);

    let meter = &loaded("identify").devices[0].profile;
    let range = |first, last| NumberRange { first, last };
    let register = |table, address, count, accepts| IdentifyBy::Register {
        table,
        address,
        count,
        accepts,
    };
    let test = |what, certainty| IdentifyTest { what, certainty };
    let numbers = |all: &[NumberRange]| Accepts::Numbers(all.to_vec());
    let text = |all: &[&str]| all.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
    use Certainty::{Likely, Sure, Weak};
    use Table::{Coil, HoldingRegister, InputRegister};
    assert_eq!(
        meter.about.identification.tests,
        [
            test(
                register(
                    InputRegister,
                    0xFC02,
                    1,
                    numbers(&[range(16, 16), range(67, 71)])
                ),
                Likely
            ),
            test(
                register(
                    HoldingRegister,
                    70,
                    2,
                    numbers(&[range(0x4234_0000, 0x4282_0000)])
                ),
                Weak
            ),
            test(
                register(
                    HoldingRegister,
                    0x8960,
                    6,
                    Accepts::Text(text(&["B23", "B24"]))
                ),
                Sure
            ),
            test(register(Coil, 3, 1, numbers(&[range(0, 0)])), Likely),
            test(
                IdentifyBy::DeviceId {
                    object: 1,
                    text: text(&["PM5"])
                },
                Likely
            ),
            test(
                IdentifyBy::SunSpec {
                    base: 40000,
                    at: 40069,
                    models: vec![101, 102, 103]
                },
                Sure
            ),
        ]
    );
}

#[test]
fn events_mean_what_they_say() {
    let dir = tempfile::tempdir().unwrap();
    copy(&root("tests/config_cases/events"), dir.path());
    let loaded = load_in(&dir.path().join("gateway.yaml"), &quiet()).unwrap();
    let words = |device: usize| -> Vec<String> {
        let profile = &loaded.spec.devices[device].profile;
        let event = |event: &ThingEventSpec| {
            let output = |(name, output): &(std::sync::Arc<str>, EventOutput)| match output {
                EventOutput::Point(point) => {
                    format!("{name}={}", profile.points[usize::from(*point)].id)
                }
                EventOutput::Fixed(value) => format!("{name}:{}", value.to_json_text()),
            };
            let data: Vec<String> = event.data.iter().map(output).collect();
            let when = profile.rule(event);
            format!("{} when {when} with {}", event.id, data.join(" "))
        };
        profile.events.iter().map(event).collect()
    };
    assert_eq!(
        words(0),
        [
            "overheat when temp above 80, until it is not above 75 with code:7 is_alarm:1 \
             limit:80.0 temp=temp unit:\"C\"",
            "cold when temp below 0.5, until it is not below 0.75 with temp=temp mode=mode",
            "fault when fault_code changes to not 0 with code=fault_code total=meter:total",
            "door when door_open 1 with ",
            "alarms:mode when mode 1 or 2 with ",
            "labelled when label changes with label=label",
        ]
    );
    assert_eq!(
        words(1),
        ["sag when Voltage below 200, until it is not below 205 with Voltage=Voltage"]
    );
    assert_eq!(words(2), ["hot when Heat above 100 with "]);
}

/// Checks what every key of writes and services becomes.
#[test]
fn writes_and_services_mean_what_they_say() {
    let dir = tempfile::tempdir().unwrap();
    copy(&root("tests/config_cases/writes"), dir.path());
    let loaded = load_in(&dir.path().join("gateway.yaml"), &quiet()).unwrap();
    assert_eq!(loaded.control.write, LocalWrite::Group);
    let spec = loaded.spec;
    let seconds = Duration::from_secs;
    assert_eq!(
        spec.commands,
        CommandSpec {
            allow: CommandPolicy::On,
            sync_within: seconds(5),
            async_within: seconds(15),
            desired: true,
        }
    );
    let profile = &spec.devices[0].profile;
    assert_eq!(
        profile.writes,
        WriteRequests {
            functions: WriteFunctions::Multiple,
            mask_write: true,
        }
    );
    let d = WritePolicy::default;
    let whole = |digits| Decimal { digits, places: 0 };
    let half = Decimal {
        digits: 5,
        places: 1,
    };
    let policies = [
        Some(WritePolicy {
            min: Some(whole(5)),
            // That of the point itself.
            max: Some(whole(90)),
            step: Some(half),
            settle: Duration::from_millis(500),
            least_interval: seconds(60),
            confirm: Some(seconds(30)),
            only_if: Some(Interlock {
                point: 1,
                condition: Condition {
                    is: vec![whole(1), whole(2)],
                    is_not: vec![whole(0)],
                    ..Condition::default()
                },
            }),
            ..d()
        }),
        Some(d()),
        Some(WritePolicy {
            settle: seconds(2),
            read_back: ReadBack::Point(3),
            ..d()
        }),
        None,
        Some(WritePolicy {
            read_back: ReadBack::Never,
            ..d()
        }),
        Some(d()),
        Some(WritePolicy {
            only_if: Some(Interlock {
                point: 7,
                condition: Condition {
                    above: Some(whole(0)),
                    below: Some(half),
                    ..Condition::default()
                },
            }),
            ..d()
        }),
        None,
    ];
    for (point, policy) in profile.points.iter().zip(policies) {
        assert_eq!(point.write.as_deref(), policy.as_ref(), "{}", point.id);
    }
    let text = |text: &str| Value::Text(text.into());
    let input = |name: &str, limits: Option<(i128, i128)>, default| InputSpec {
        name: name.into(),
        min: limits.map(|l| whole(l.0)),
        max: limits.map(|l| whole(l.1)),
        default,
    };
    let closed = Interlock {
        point: 2,
        condition: Condition {
            is: vec![whole(0)],
            ..Condition::default()
        },
    };
    use Operand::{Fixed, Input};
    let services = [
        ServiceSpec {
            id: "StartHeating".into(),
            inputs: vec![
                input("level", Some((20, 70)), Some(Value::Float(45.0))),
                input("mode", None, Some(Value::Int(1))),
                input("label", None, None),
            ],
            steps: vec![
                ServiceStep::Require(closed),
                // In the order in which they are written, which is not that of their names.
                ServiceStep::Write(vec![
                    (2, Fixed(Value::Bool(true))),
                    (0, Input(0)),
                    (1, Input(1)),
                    (5, Input(2)),
                ]),
                ServiceStep::Wait(seconds(2)),
                ServiceStep::Read {
                    point: 7,
                    output: "Flow".into(),
                },
                ServiceStep::Read {
                    point: 0,
                    output: "set_to".into(),
                },
            ],
        },
        ServiceSpec {
            id: "Purge".into(),
            inputs: Vec::new(),
            steps: vec![
                ServiceStep::Write(vec![
                    (2, Fixed(Value::Bool(true))),
                    (4, Fixed(Value::Bool(true))),
                ]),
                ServiceStep::Write(vec![
                    (6, Fixed(text("00817"))),
                    (1, Fixed(Value::Int(2))),
                    (5, Fixed(text("12"))),
                ]),
            ],
        },
    ];
    assert_eq!(profile.services, services);
}

#[test]
fn later_layers_override_values_and_add_to_lists() {
    let dir = tempfile::tempdir().unwrap();
    copy(
        &root("tests/config_cases/conf-d-adds-and-overrides"),
        dir.path(),
    );
    let around = LoadContext {
        environment: vec![(
            "ALINK_GATEWAY_URL".into(),
            "mqtts://other.example:443".into(),
        )],
        ..quiet()
    };
    let spec = load_in(&dir.path().join("gateway.yaml"), &around)
        .unwrap()
        .spec;
    assert_eq!(spec.cloud.broker.keepalive, Duration::from_secs(600));
    assert_eq!(spec.cloud.broker.host, "other.example");
    assert_eq!(spec.cloud.broker.port, 443);
    assert_eq!(spec.stop_within, Duration::from_secs(5));
    // The `secret_file` of the addition instead of the `secret` of the main file.
    assert_eq!(
        spec.cloud.gateway.certificate,
        GatewayCertificate::Device(Secret::new("of-the-site"))
    );
    let ports: Vec<_> = spec.ports.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(ports, ["line1", "rack1", "rack2"]);
    let devices: Vec<_> = spec.devices.iter().map(|d| d.name.as_str()).collect();
    assert_eq!(devices, ["meter-001", "roof-001"]);
}

/// Compiles without a file system: every file that the compiler wants has the text
/// itself as its content.
fn compile(bytes: Vec<u8>) -> bool {
    let source = SourceText {
        path: "gateway.yaml".into(),
        bytes: Ok(bytes.into()),
        mode: Some(0o600),
        hidden: None,
        is_open_for_the_service: false,
    };
    let Ok(draft) = FirstPass::new(std::slice::from_ref(&source), &[]) else {
        return false;
    };
    let answers = |wants: std::collections::BTreeSet<_>| {
        wants
            .into_iter()
            .map(|w| (w, vec![source.clone()]))
            .collect()
    };
    let files = answers(draft.wants());
    let outline = draft.outline(&files);
    let secrets = answers(outline.wants());
    match outline.compile(&secrets) {
        Ok(compiled) => {
            assert!(
                compiled
                    .warnings
                    .problems()
                    .iter()
                    .all(|p| p.severity == Severity::Warning)
            );
            true
        }
        Err(report) => {
            assert!(report.errors() > 0);
            false
        }
    }
}

#[test]
fn nesting_without_end_is_refused_and_does_not_exhaust_the_stack() {
    for piece in ["[", "{a: ", "- ", "a:\n ", "? "] {
        assert!(!compile(piece.repeat(50_000).into_bytes()), "{piece:?}");
    }
    let bomb: String = (0..20)
        .map(|i| format!("a{}: &a{} [*a{i}, *a{i}, *a{i}, *a{i}]\n", i + 1, i + 1))
        .collect();
    assert!(!compile(format!("a0: &a0 x\n{bomb}").into_bytes()));
}

/// A configuration with every key of writes and services.
const WRITES: &str = include_str!("../config_cases/writes/gateway.yaml");

/// Returns the words and numbers of a text, and where they begin.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let begin = text.as_ptr() as usize;
    text.split(|c: char| !(c.is_ascii_alphanumeric() || "$_.-".contains(c)))
        .filter(|word| !word.is_empty())
        .map(move |word| (word.as_ptr() as usize - begin, word))
}

fn sample() -> Vec<u8> {
    let yaml = format!(
        "{HEAD}  - {{ name: line1, serial: {{ device: /dev/ttyUSB0 }} }}\n\
         devices_file: [x.csv]\nprofiles_from: ['*.yaml']\n\
         devices:\n  - {{ name: 'm-{{unit:03}}', port: line1, units: '1-3,8', profile: meter, secret_file: 's{{unit}}' }}\n"
    );
    yaml.into_bytes()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        compile(bytes);
    }

    #[test]
    fn no_yaml_like_text_panics(text in "([a-z]{1,6}|: |\n|  |- |\\[|\\]|\\{|\\}|,|#|\"|'|&a|\\*a|!|\\||>|\t|[0-9]{1,5}|é){0,80}") {
        compile(text.into_bytes());
    }

    #[test]
    fn no_damage_to_a_valid_file_panics(
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4u8), 1..6),
        writes in any::<bool>(),
    ) {
        let mut bytes = match writes {
            true => WRITES.as_bytes().to_vec(),
            false => sample(),
        };
        for (at, byte, what) in cuts {
            let at = at.index(bytes.len().max(1));
            match what {
                0 if at < bytes.len() => bytes[at] = byte,
                1 => bytes.insert(at.min(bytes.len()), byte),
                2 if at < bytes.len() => { bytes.remove(at); }
                _ => bytes.truncate(at),
            }
        }
        compile(bytes);
    }

    #[test]
    fn no_word_instead_of_another_panics(
        word in any::<prop::sample::Index>(),
        other in prop_oneof![
            any::<prop::sample::Index>().prop_map(|at| {
                let words: Vec<_> = words(WRITES).collect();
                at.get(&words).1.to_owned()
            }),
            "-?[0-9]{1,40}(\\.[0-9]{1,3})?(e-?[0-9]{1,3})?",
            "[$a-zA-Z0-9_:]{0,6}",
        ],
    ) {
        let all: Vec<_> = words(WRITES).collect();
        let (at, old) = *word.get(&all);
        let text = format!("{}{other}{}", &WRITES[..at], &WRITES[at + old.len()..]);
        compile(text.into_bytes());
    }

    /// The order decides which point is written first.
    #[test]
    fn points_are_written_in_the_order_in_which_they_stand(
        order in Just((0..12u16).collect::<Vec<_>>()).prop_shuffle(), lines in any::<bool>(),
    ) {
        let points: String = (0..12)
            .map(|n| format!("      - {{ id: P{n}, table: holding, address: {n}, type: u16, write: yes }}\n"))
            .collect();
        let separator = if lines { ",\n              " } else { ", " };
        let written: Vec<_> = order.iter().map(|n| format!("P{n}: {n}")).collect();
        let yaml = HEAD.replace("    points:\n", &format!("    points:\n{points}")).replace(
            "ports:\n",
            &format!(
                "    services: [{{ id: All, steps: [{{ write: {{ {} }} }}] }}]\nports:\n",
                written.join(separator)
            ),
        );
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("gateway.yaml");
        let devices = "devices: [{ name: dev1, port: rack0, unit: 1, profile: meter, secret: s }]\n";
        fs::write(&file, format!("{yaml}{}{devices}", racks(1))).unwrap();
        let spec = load_in(&file, &quiet()).unwrap_or_else(|e| panic!("{e}")).spec;
        let profile = &spec.devices[0].profile;
        let ServiceStep::Write(written) = &profile.services[0].steps[0] else {
            panic!("{:?}", profile.services);
        };
        let ids: Vec<_> = written
            .iter()
            .map(|(point, _)| profile.points[usize::from(*point)].id.clone())
            .collect();
        let expected: Vec<_> = order.iter().map(|n| format!("P{n}")).collect();
        prop_assert_eq!(ids, expected);
    }

    #[test]
    fn no_value_anywhere_panics(value in "\\PC{0,12}", line in 0usize..16) {
        let text = String::from_utf8(sample()).unwrap();
        let changed: Vec<String> = text
            .lines()
            .enumerate()
            .map(|(n, l)| match l.rsplit_once(": ") {
                Some((key, _)) if n == line => format!("{key}: {value:?}"),
                _ => l.to_owned(),
            })
            .collect();
        compile(changed.join("\n").into_bytes());
    }
}

#[test]
fn a_table_gives_each_device_its_parameters() {
    let file = root("tests/config_cases/table-parameters/gateway.yaml");
    let spec = load_in(&file, &quiet()).unwrap().spec;
    let names: Vec<&str> = spec.devices.iter().map(|d| &*d.profile.name).collect();
    let own = "meter(battery=small,ct_ratio=80)";
    assert_eq!(names, ["meter", own, own, "plain"]);
    let [_, two, three, _] = &spec.devices[..] else {
        panic!("{}", spec.devices.len());
    };
    assert!(Arc::ptr_eq(&two.profile, &three.profile));
    assert_eq!(two.profile.points.len(), 2);
}

#[test]
fn the_order_of_registers_is_that_of_the_profile_unless_a_point_says_another() {
    let file = root("tests/config_cases/words/gateway.yaml");
    let spec = load_in(&file, &quiet()).unwrap().spec;
    let words = |device: usize| -> Vec<WordOrder> {
        let points = spec.devices[device].profile.points.iter();
        let words = points.map(|p| match &p.codec {
            Codec::Number { words, .. } => *words,
            other => panic!("{other:?}"),
        });
        words.collect()
    };
    use WordOrder::{High, Low};
    // The last is one register, and has no order.
    assert_eq!(words(0), [Low, High, High, Low, High]);
    assert_eq!(words(1), [High; 5]);
}

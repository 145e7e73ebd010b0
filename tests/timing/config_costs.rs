//! The cost of a configuration, right or wrong, hostile or only large: memory, time and
//! output of the real program are bounded, whatever its files are.
//!
//! Each case is a directory with a `gateway.yaml`, checked with 128 MiB of memory that
//! may be written (`ulimit -d`): a program that wants more ends by a signal and not
//! with the exit status of a wrong configuration. The largest configuration that is
//! accepted is checked, run and loaded again; the memory this takes is held to a third
//! of the unit's `MemoryMax=`.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use tempfile::TempDir;

/// In KiB: stacks, allocations and the arguments of the program. The size of the
/// program itself makes no difference.
const WRITABLE: u64 = 128 << 10;

/// A build for tests is ten times slower than a release.
const SECONDS: &str = "60";

/// A hundred problems of each kind, each at its longest.
const OUTPUT: u64 = 256 << 10;

const HEAD: &str = "\
gateway: { product_key: a1GwDemoPk0, device_name: gw-0001, secret: GatewaySecret0123456789abcd }
cloud: { url: 'mqtts://127.0.0.1:1' }
";
const PORT: &str = "ports:\n  - { name: p1, tcp: { host: 127.0.0.1, port: 1502 } }\n";
const PROFILE: &str = "profiles:
  - { name: meter, product_key: a1SubDemoPk, interval: 10s, points: [ { id: Voltage, table: holding, address: 0, type: u16 } ] }
";

/// How a check ended.
struct Outcome {
    status: i32,
    text: String,
}

fn gateway() -> PathBuf {
    env!("CARGO_BIN_EXE_alink-gateway").into()
}

fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

/// Checks `gateway.yaml` in `dir` within the bounds.
fn check(dir: &Path) -> Outcome {
    let told = fs::File::create(dir.join("told")).unwrap();
    let status = Command::new("timeout")
        .args(["-s", "KILL", SECONDS, "sh", "-c"])
        .arg(format!("ulimit -d {WRITABLE}; exec \"$0\" check \"$1\""))
        .arg(gateway())
        .arg(dir.join("gateway.yaml"))
        .stdin(Stdio::null())
        .stdout(told.try_clone().unwrap())
        .stderr(told)
        .status()
        .unwrap();
    let size = fs::metadata(dir.join("told")).unwrap().len();
    let text = fs::read(dir.join("told")).unwrap();
    let shown = &text[..text.len().min(2000)];
    let text = String::from_utf8_lossy(&text).into_owned();
    let status = status.code().unwrap_or(-1);
    assert!(
        size <= OUTPUT,
        "{size} bytes: {}",
        String::from_utf8_lossy(shown)
    );
    assert!(
        matches!(status, 0 | 78),
        "ended with {status}: {}",
        String::from_utf8_lossy(shown)
    );
    Outcome { status, text }
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Demands that this main file is refused, within the bounds, and with these words.
fn refused(yaml: impl AsRef<[u8]>, said: &str) {
    let dir = folder();
    write(&dir.path().join("gateway.yaml"), yaml);
    refused_in(dir.path(), said);
}

fn refused_in(dir: &Path, said: &str) {
    let Outcome { status, text } = check(dir);
    assert_eq!(status, 78, "{said}: {}", &text[..text.len().min(2000)]);
    assert!(
        text.contains(said),
        "{said}: {}",
        &text[..text.len().min(2000)]
    );
}

fn repeated(n: usize, one: impl Fn(usize) -> String) -> String {
    (0..n).map(one).collect()
}

#[test]
fn aliases_are_counted_by_what_they_repeat() {
    // 48 kB of text, 11,000 times: 65 kB of file.
    let text = format!(
        "ports: [ &a '{}', {} ]\n",
        "x".repeat(32_000),
        "*a,".repeat(11_000)
    );
    refused(text, "MiB of text, with what aliases repeat");
    let nodes = format!(
        "ports: [ &a [{}], {} ]\n",
        "x,".repeat(1_000),
        "*a,".repeat(11_000)
    );
    refused(nodes, "more than 100000 values");
    let keys = format!(
        "ports: [ &a {{ {}: x }}, {} ]\n",
        "k".repeat(1_000),
        "*a,".repeat(50_000)
    );
    refused(keys, "MiB of text, with what aliases repeat");
    let laughs = repeated(12, |n| match n {
        0 => "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned(),
        n => format!("a{n}: &a{n} [{}]\n", format!("*a{},", n - 1).repeat(10)),
    });
    refused(laughs, "more than 100000 values");
    // Every level is remembered because it has a name.
    let levels = repeated(22, |n| format!("&a{n} ["));
    let nested = format!("ports: {levels}{}{}\n", "x,".repeat(20_000), "]".repeat(22));
    refused(nested, "more than 100000 values");
    // The same over several files.
    let dir = folder();
    let half = format!(
        "ports: [ &a [{}], {} ]\n",
        "x,".repeat(1_000),
        "*a,".repeat(55)
    );
    fs::create_dir(dir.path().join("conf.d")).unwrap();
    write(&dir.path().join("gateway.yaml"), &half);
    write(&dir.path().join("conf.d/a.yaml"), &half);
    refused_in(dir.path(), "conf.d/a.yaml:1:");
}

#[test]
fn lists_and_sections_without_end_are_counted() {
    refused(
        format!("ports: [{}]\n", "x,".repeat(2_000_000)),
        "commas, colons and other signs of YAML",
    );
    refused(
        &repeated(600_000, |n| format!("k{n}:\n")).as_bytes()[..4 << 20],
        "commas, colons and other signs of YAML",
    );
    refused(repeated(60_000, |n| format!("k{n}: x\n")), " more errors");
    let within = repeated(40_000, |n| format!("  k{n}: x\n"));
    refused(format!("cloud:\n{within}"), "more errors");
    refused(repeated(40_000, |n| format!("k{n}: {{}}\n")), "more errors");
    refused("a: ".repeat(10), "not YAML");
    refused(
        format!("ports: {}", "[".repeat(100_000)),
        "recursion limit exceeded",
    );
}

#[test]
fn what_the_parser_keeps_before_it_tells_of_a_value_is_bounded() {
    for (head, sign) in [
        ("[ [ ", "x,"),
        ("[ [ ", "a: b,"),
        ("&a [ &b [ ", "x,"),
        ("[ [ ", "{},"),
    ] {
        let most = 144_000 / sign.matches([',', ':', '{']).count();
        let signs = sign.repeat(most);
        refused(format!("ports: {head}{signs}"), "  wanted ");
        let more = format!("ports: {head}{}", signs.repeat(8));
        refused(more, "commas, colons and other signs of YAML");
    }
}

#[test]
fn more_serial_ports_than_the_unit_has_threads_are_an_error() {
    let serial = |n| format!("  - {{ name: s{n}, serial: {{ device: /dev/ttyS{n} }} }}\n");
    let ports = repeated(300, serial);
    let said = "300 serial ports with a thread each: 324 threads in all";
    refused(format!("{HEAD}ports:\n{ports}{PROFILE}"), said);
}

#[test]
fn files_are_bounded_one_by_one_and_together() {
    refused(
        format!("ports: [{}]\n", "x".repeat(100_000_000)),
        "larger than 4 MiB",
    );
    let dir = folder();
    fs::create_dir(dir.path().join("conf.d")).unwrap();
    write(&dir.path().join("gateway.yaml"), HEAD);
    for n in 0..10 {
        let comment = format!("# {}\n", "x".repeat(1 << 20));
        write(&dir.path().join(format!("conf.d/{n}.yaml")), comment);
    }
    refused_in(dir.path(), "together with the other files");
    let dir = folder();
    fs::create_dir(dir.path().join("conf.d")).unwrap();
    write(&dir.path().join("gateway.yaml"), HEAD);
    for n in 0..1_100 {
        write(&dir.path().join(format!("conf.d/{n}.yaml")), "");
    }
    refused_in(dir.path(), "more than 1000 files there fit *.yaml");
}

/// Demands that a configuration whose devices are in `devices.csv` is refused with
/// these words.
fn table(csv: &str, said: &str) {
    let dir = folder();
    let yaml = format!("{HEAD}{PORT}{PROFILE}devices_file: devices.csv\n");
    write(&dir.path().join("gateway.yaml"), yaml);
    write(&dir.path().join("devices.csv"), csv);
    refused_in(dir.path(), said);
}

#[test]
fn tables_are_bounded_in_rows_and_columns() {
    let header = "name,port,unit,profile,secret\n";
    let rows = |n, row: &str| format!("{header}{}", row.repeat(n));
    table(&rows(1_000_000, "m,p,1,m,\n"), "larger than 4 MiB");
    table(
        &rows(400_000, "m,p,1,m,\n"),
        "more than 2000 devices in one table",
    );
    table(&rows(1_900, "m,p,1,m,\n"), "more errors");
    table(&rows(100_000, "m,p,1\n"), "and 99,900 more errors");
    table(&rows(100_000, "m,\"p,1\n"), "and 99,900 more errors");
    table(&format!("{}\n", "a,".repeat(100_000)), "more than 64 cells");
    table(
        &format!("{header}{}\n", "a,".repeat(2_000_000)),
        "more than 64 cells",
    );
    table(
        &format!("{header}\"{}", "\n".repeat(4_000_000)),
        "not closed on its line",
    );
    table(&"#\n".repeat(2_000_000), "an empty table");
    // The same table over and over is counted each time, and kept once.
    let dir = folder();
    let names = repeated(900, |n| format!("  - {}d.csv\n", "./".repeat(n)));
    write(
        &dir.path().join("gateway.yaml"),
        format!("{HEAD}{PORT}{PROFILE}devices_file:\n{names}"),
    );
    write(&dir.path().join("d.csv"), rows(1_900, "m,p,1,m,s\n"));
    refused_in(dir.path(), " more errors");
}

#[test]
fn whatever_is_numbered_has_a_limit_and_a_number_never_comes_again() {
    let tcp = |n| format!("  - {{ name: p{n}, tcp: {{ host: h{n} }} }}\n");
    let ports = |n| format!("{HEAD}ports:\n{}{PROFILE}", repeated(n, tcp));
    refused(ports(15_000), "15000 ports");
    refused(ports(70_000), "commas, colons and other signs of YAML");
    let profile = |n| {
        format!(
            "  - {{ name: m{n}, points: [ {{ id: V, table: holding, address: 0, type: u16 }} ] }}\n"
        )
    };
    refused(
        format!("{HEAD}{PORT}profiles:\n{}", repeated(10_000, profile)),
        "10000 profiles",
    );
    let point = |n| {
        format!(
            "      - {{ id: V{n}, table: holding, address: {}, type: u16 }}\n",
            n % 65_536
        )
    };
    refused(
        format!(
            "{HEAD}{PORT}profiles:\n  - name: meter\n    interval: 24h\n    points:\n{}",
            repeated(15_000, point)
        ),
        "15000 points",
    );
    let few = repeated(20, tcp);
    let all = |entry: &dyn Fn(usize) -> String| {
        format!(
            "{HEAD}ports:\n{few}{PROFILE}devices:\n{}",
            repeated(12_000, entry)
        )
    };
    let alone = |n| {
        let unit = n / 20 % 247 + 1;
        format!(
            "  - {{ name: meter{n}, port: p{}, unit: {unit}, profile: meter, secret: s{n} }}\n",
            n % 20
        )
    };
    refused(all(&alone), "12,000 devices in all");
    let ranges = |n| {
        format!(
            "  - {{ name: 'm{n}-{{unit}}', port: p{}, units: 1-247, profile: meter, register: true }}\n",
            n % 20
        )
    };
    refused(all(&ranges), "2,964,000 devices in all");
}

#[test]
fn a_profile_costs_once_for_each_device_that_has_it() {
    let point = |n| format!("      - {{ id: V{n}, table: holding, address: {n}, type: u16 }}\n");
    let ports = repeated(8, |n| {
        format!("  - {{ name: p{n}, allow_overload: true, tcp: {{ host: h{n} }} }}\n")
    });
    let devices = repeated(8, |n| {
        format!(
            "  - {{ name: 'm{n}-{{unit}}', port: p{n}, units: 1-247, profile: meter, register: true }}\n"
        )
    });
    refused(
        format!(
            "{HEAD}ports:\n{ports}profiles:\n  - name: meter\n    product_key: a1SubDemoPk\n    interval: 24h\n    points:\n{}devices:\n{devices}",
            repeated(3_000, point)
        ),
        "5,928,000 points and requests of all devices together",
    );
}

#[test]
fn a_file_is_kept_once_and_a_secret_is_short() {
    for spelling in ["/proc/self/", "/usr/bin/", "big"] {
        let dir = folder();
        write(&dir.path().join("big"), vec![b'x'; 10 << 20]);
        let path = |n| match spelling {
            "/proc/self/" => format!("/proc/self/{}exe", "./".repeat(n)),
            "/usr/bin/" => format!("/usr/bin/{}env", "./".repeat(n)),
            _ => format!("{}big", "./".repeat(n)),
        };
        let devices = repeated(200, |n| {
            format!(
                "  - {{ name: meter-{n}, port: p1, unit: {n}, profile: meter, secret_file: '{}' }}\n",
                path(n)
            )
        });
        let yaml = format!("{HEAD}{PORT}{PROFILE}devices:\n{devices}");
        write(&dir.path().join("gateway.yaml"), yaml);
        refused_in(dir.path(), "larger than 4 KiB, which no secret is");
    }
}

#[test]
fn what_is_no_regular_file_is_refused_at_once_wherever_it_is_named() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    assert!(
        Command::new("mkfifo")
            .arg(at("pipe"))
            .status()
            .unwrap()
            .success()
    );
    let whole = |cloud: &str, rest: &str| {
        format!(
            "gateway: {{ product_key: a1GwDemoPk0, device_name: gw-0001, secret: GatewaySecret0123456789abcd }}\n{cloud}{PORT}{rest}"
        )
    };
    let plain = "cloud: { url: 'mqtt://127.0.0.1:1' }\n";
    for (path, kind) in [
        ("pipe", "it is a named pipe and no file"),
        ("/dev/zero", "it is a device and no file"),
        ("/dev/tty", "it is a device and no file"),
        ("/dev/ptmx", "it is a device and no file"),
        (".", "it is a directory"),
    ] {
        let device = |secret: &str| {
            format!(
                "{PROFILE}devices:\n  - {{ name: meter-1, port: p1, unit: 1, profile: meter, {secret} }}\n"
            )
        };
        for yaml in [
            whole(plain, &device(&format!("secret_file: {path}"))),
            whole(plain, &format!("{PROFILE}devices_file: {path}\n")),
            whole(plain, &format!("profiles_from: [ {path} ]\ndevices: []\n")),
            whole(
                &format!("cloud: {{ url: 'mqtts://127.0.0.1:1', ca_file: {path} }}\n"),
                &device("secret: s"),
            ),
        ] {
            write(&at("gateway.yaml"), &yaml);
            refused_in(dir.path(), kind);
        }
    }
    write(&at("gateway.yaml"), whole(plain, PROFILE));
    fs::create_dir(at("conf.d")).unwrap();
    fs::rename(at("pipe"), at("conf.d/a.yaml")).unwrap();
    refused_in(dir.path(), "it is a named pipe and no file");
    fs::remove_file(at("gateway.yaml")).unwrap();
    fs::rename(at("conf.d/a.yaml"), at("gateway.yaml")).unwrap();
    refused_in(dir.path(), "it is a named pipe and no file");
}

#[test]
fn what_is_wrong_is_told_a_hundred_times_and_counted_to_the_end() {
    let devices = repeated(1_000, |n| {
        format!(
            "  - {{ name: meter-{n}, port: p1, unit: {}, profile: meter, scret: s, secret: s }}\n",
            n % 200 + 1
        )
    });
    let dir = folder();
    let yaml = format!("{HEAD}{PORT}{PROFILE}devices:\n{devices}");
    write(&dir.path().join("gateway.yaml"), yaml);
    let Outcome { text, .. } = check(dir.path());
    // A key in each entry, and a unit that is taken in four of five.
    assert_eq!(text.matches("\n  said ").count(), 100, "{text}");
    assert!(text.contains("and 1,700 more errors"), "{text}");
    assert!(text.contains("\n1,800 errors, no warnings\n"), "{text}");
}

/// Writes the largest configuration that is accepted: 4 MiB, 2,000 devices, 100,000
/// values, and 200,000 points of all devices together.
fn largest(dir: &Path) {
    let mut yaml = HEAD.to_owned();
    let ports = repeated(100, |n| {
        format!(
            "  - {{ name: p{n:03}, tcp: {{ host: 127.0.0.1, port: {} }} }}\n",
            20_000 + n
        )
    });
    write!(
        yaml,
        "state_dir: {0}\ncontrol: {{ socket: {0}/c.sock }}\nports:\n{ports}profiles:\n",
        dir.display()
    )
    .unwrap();
    // All profiles in one file have more characters than a file may have.
    let mut more = "profiles:\n".to_owned();
    for profile in 0..110 {
        let yaml = if profile < 55 { &mut yaml } else { &mut more };
        let points = repeated(100, |n| {
            format!(
                "      - {{ id: Point{profile:03}x{n:03}, table: holding, address: {}, type: f32, scale: 0.01, interval: 24h }}\n",
                n * 3
            )
        });
        let key = format!("a1Sub{profile:03}");
        write!(yaml, "  - name: kind{profile:03}\n    product_key: {key}\n    interval: 24h\n    points:\n{points}").unwrap();
    }
    yaml.push_str("devices:\n");
    for n in 0..2_000 {
        writeln!(
            yaml,
            "  - {{ name: device-{n:04}, port: p{:03}, unit: {}, profile: kind{:03}, secret: {n:032x} }}",
            n % 100,
            n / 100 + 1,
            n % 110
        )
        .unwrap();
    }
    let left = (4 << 20) - yaml.len() - more.len() - 1;
    for _ in 0..left / 1024 {
        writeln!(yaml, "# {}", "x".repeat(1021)).unwrap();
    }
    write(&dir.join("gateway.yaml"), yaml);
    fs::create_dir(dir.join("conf.d")).unwrap();
    write(&dir.join("conf.d/profiles.yaml"), more);
}

#[test]
fn the_largest_configuration_that_is_accepted_fits_the_unit() {
    let dir = folder();
    largest(dir.path());
    let Outcome { status, text } = check(dir.path());
    assert_eq!(status, 0, "{text}");
    assert!(
        text.contains("100 ports, 2,000 devices, 110 profiles; no warnings"),
        "{text}"
    );

    let socket = dir.path().join("c.sock");
    let mut child = Command::new(gateway())
        .args(["run", "--config"])
        .arg(dir.path().join("gateway.yaml"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(dir.path().join("log")).unwrap())
        .spawn()
        .unwrap();
    while UnixStream::connect(&socket).is_err() {
        assert!(child.try_wait().unwrap().is_none(), "it has ended");
        thread::yield_now();
    }
    // During a second load, the old and the new configuration exist at once.
    let reloaded = Command::new(gateway())
        .args(["reload", "--socket"])
        .arg(&socket)
        .output()
        .unwrap();
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let told = String::from_utf8_lossy(&reloaded.stdout);
    assert!(told.contains("nothing has changed"), "{reloaded:?}");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak
        .and_then(|line| line.trim().strip_suffix(" kB"))
        .unwrap();
    let peak: u64 = peak.trim().parse().unwrap();
    eprintln!("run and reloaded: {peak} kB at its peak");
    assert!(peak <= 512 * 1024 / 3, "{peak} kB of 512 MiB");
}

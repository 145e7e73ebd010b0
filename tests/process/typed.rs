//! From a line of unknown devices to values in the cloud, typed on a terminal as a person does:
//! questions are answered on it, and what it shows is read.

#![cfg(feature = "lab")]

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::lines::wait_for;
use crate::ports::free_port;
use crate::terminal::Terminal;

/// The most commands from nothing to the first value.
const MOST_COMMANDS: usize = 8;

/// What an integrator has for a meter of the house: a profile that says what tells it from others.
const PROFILE: &str = "\
name: lab-meter
interval: 1s
identify:
  - { table: input, address: 18, registers: 8, text: LAB-, certainty: sure }
points:
  - { id: Voltage, table: input, address: 0, type: u16, scale: 0.1, unit: V }
";

/// A simulated line with three devices, at the name `tty` in a folder.
struct Bus {
    _process: Child,
    /// It ends when what it says is read no more.
    _says: Lines<BufReader<ChildStdout>>,
}

impl Bus {
    async fn new(folder: &Path) -> Self {
        let mut bus = lab(
            folder,
            &["bus", "--units", "3", "--turnaround", "30", "--tty", "tty"],
        );
        let mut says = BufReader::new(bus.stdout.take().unwrap()).lines();
        wait_for::<ChildStdout>(&mut says, "tty").await;
        Bus {
            _process: bus,
            _says: says,
        }
    }
}

/// Starts the simulated platform of a configuration.
fn platform(folder: &Path, port: u16) -> Child {
    let at = format!("127.0.0.1:{port}");
    lab(
        folder,
        &["platform", "--config", "gateway.yaml", "--listen", &at],
    )
}

fn lab(folder: &Path, words: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_alink-lab"))
        .args(words)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// Scans the line until all devices are found, with a profile each: on a busy machine a reply may
/// be torn. It counts once; before each time the configuration is what it was.
async fn scans(terminal: &mut Terminal, scan: &str, configuration: Option<&Path>) -> String {
    let before = configuration.map(|file| (file, fs::read_to_string(file).unwrap()));
    let counted = terminal.commands + 1;
    let mut said = String::new();
    for _ in 0..3 {
        if let Some((file, text)) = &before {
            fs::write(file, text).unwrap();
        }
        said = terminal.asks_until(scan, |_| true).await;
        if said.matches("lab-meter (sure)").count() == 3 {
            break;
        }
    }
    terminal.commands = counted;
    assert_eq!(said.matches("lab-meter (sure)").count(), 3, "{said}");
    assert!(said.ends_with("[0] box> "), "{said}");
    said
}

/// How soon a meter in the hand is a device in the cloud.
const WITHIN: Duration = Duration::from_secs(600);

#[tokio::test]
async fn a_line_of_unknown_devices_is_commissioned_on_a_terminal_with_eight_commands() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let begun = tokio::time::Instant::now();
    let bus = Bus::new(folder).await;
    fs::write(folder.join("lab-meter.yaml"), PROFILE).unwrap();
    fs::create_dir(folder.join("conf.d")).unwrap();
    fs::write(
        folder.join("conf.d/own.yaml"),
        "profiles_from: [lab-meter.yaml]\ncontrol: { socket: control.sock }\nstate_dir: .\n",
    )
    .unwrap();
    // The platform is told the finished configuration, so its address is chosen before.
    let port = free_port();
    let mut terminal = Terminal::open(folder).await;

    // Simulated devices answer late on a busy machine, as no real ones do: they are waited for.
    let scan = "alink-gateway scan ./tty --line '9600 8N1' --units 1-20 --thorough --profiles lab-meter.yaml";
    scans(&mut terminal, scan, None).await;

    terminal.commands += 1;
    terminal.types("alink-gateway init gateway.yaml").await;
    for (question, answer) in [
        ("ProductKey of the gateway: ", "a1GwDemoPk0"),
        ("DeviceName of the gateway: ", "gw-0001"),
        (
            "MQTT host of the instance, or its region such as cn-shanghai: ",
            &format!("mqtt://127.0.0.1:{port}"),
        ),
        (
            "DeviceSecret of the gateway (not shown; empty: later): ",
            "0123456789abcdef",
        ),
        // What is on the line, the scan writes.
        (
            "First port: a device file such as /dev/ttyUSB0, or a host of Modbus TCP: ",
            "",
        ),
        ("Profile of the first device, such as eastron-sdm630: ", ""),
    ] {
        terminal.sees(question).await;
        terminal.types(answer).await;
    }
    let said = terminal.sees("[0] box> ").await;
    assert!(said.contains("alink-gateway check gateway.yaml"), "{said}");
    assert!(!said.contains("0123456789abcdef"), "{said}");

    let write = format!("{scan} --write gateway.yaml --product-key a1SubDemoPk");
    let file = folder.join("gateway.yaml");
    let said = scans(&mut terminal, &write, Some(&file)).await;
    assert!(said.contains("added 1 port and 3 devices"), "{said}");
    let said = terminal.command("alink-gateway check gateway.yaml").await;
    assert!(said.contains("1 port, 3 devices"), "{said}");
    let said = terminal.command("alink-gateway plan gateway.yaml").await;
    assert!(said.contains("lab-meter"), "{said}");

    let mut platform = platform(folder, port);
    let mut platform_says = BufReader::new(platform.stdout.take().unwrap()).lines();
    // systemd runs the service on a box; here it is typed into a second terminal.
    let mut service = Terminal::open(folder).await;
    service
        .types("alink-gateway run --config gateway.yaml")
        .await;
    for device in ["lab-meter-1", "lab-meter-2", "lab-meter-3"] {
        wait_for::<ChildStdout>(&mut platform_says, &format!("{device} logged in")).await;
    }
    wait_for::<ChildStdout>(&mut platform_says, "values accepted").await;
    // A reply may come too late for the service as well.
    for (typed, words) in [
        (
            "alink-gateway status --socket control.sock",
            "3 devices, all alive and online",
        ),
        ("alink-gateway read lab-meter-1 -c gateway.yaml", "Voltage"),
    ] {
        let is_well = |said: &str| said.contains(words) && said.ends_with("[0] box> ");
        let said = terminal.asks_until(typed, is_well).await;
        assert!(is_well(&said), "{typed}\n{said}");
    }

    let commands = terminal.commands + 1;
    assert!(commands <= MOST_COMMANDS, "{commands}");
    assert!(begun.elapsed() < WITHIN, "{:?}", begun.elapsed());
    service.interrupts().await;
    service.sees("[0] box> ").await;
    for device in ["lab-meter-1", "lab-meter-2", "lab-meter-3"] {
        wait_for::<ChildStdout>(&mut platform_says, &format!("{device} logged out")).await;
    }
    drop(bus);
}

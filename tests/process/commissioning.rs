//! From a line of unknown devices to values in the cloud, with the commands that a person types.

#![cfg(feature = "lab")]

use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::time::timeout;

use crate::terminal::Terminal;

/// The longest that a person waits for one step.
const STEP: Duration = Duration::from_secs(60);

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

/// A person who gives all answers as options, as a script does.
struct Person<'a> {
    folder: &'a Path,
}

impl Person<'_> {
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_alink-gateway"));
        command
            .args(words)
            .current_dir(self.folder)
            .env("LC_ALL", "C.UTF-8")
            .env("STATE_DIRECTORY", self.folder)
            .env("RUNTIME_DIRECTORY", self.folder)
            .env_remove("JOURNAL_STREAM")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Types a command, and waits until it has ended well.
    async fn types(&self, words: &[&str]) -> String {
        let Output {
            status,
            stdout,
            stderr,
        } = timeout(STEP, self.command(words).output())
            .await
            .unwrap_or_else(|_| panic!("{words:?} takes too long"))
            .unwrap();
        let said = String::from_utf8(stdout).unwrap();
        let told = String::from_utf8_lossy(&stderr);
        assert!(status.success(), "{words:?}: {status}\n{said}{told}");
        format!("{said}{told}")
    }
}

/// Waits for a line with these words.
async fn wait_for<R>(lines: &mut Lines<BufReader<R>>, words: &str) -> String
where
    R: tokio::io::AsyncRead + Unpin,
{
    let mut heard = String::new();
    let waiting = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains(words) {
                return Some(line);
            }
            heard.push_str(&line);
            heard.push('\n');
        }
        None
    };
    match timeout(STEP, waiting).await {
        Ok(Some(line)) => line,
        _ => panic!("{words} is not said:\n{heard}"),
    }
}

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

/// Returns a port of this machine at which nothing listens: the platform is told the finished
/// configuration, so its address is chosen before.
fn free_port() -> u16 {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().port()
}

#[tokio::test]
async fn a_line_is_commissioned_by_options_and_scanned_again_through_the_service() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let bus = Bus::new(folder).await;
    fs::write(folder.join("lab-meter.yaml"), PROFILE).unwrap();
    fs::create_dir(folder.join("conf.d")).unwrap();
    fs::write(
        folder.join("conf.d/own.yaml"),
        "profiles_from: [lab-meter.yaml]\ncontrol: { socket: control.sock }\nstate_dir: .\n",
    )
    .unwrap();
    fs::write(folder.join("given.secret"), "0123456789abcdef").unwrap();
    let person = Person { folder };
    let socket = folder.join("control.sock");
    let socket = socket.to_str().unwrap();

    let port = free_port();
    let url = format!("mqtt://127.0.0.1:{port}");
    let said = person
        .types(&[
            "init",
            "gateway.yaml",
            "--product-key",
            "a1GwDemoPk0",
            "--device-name",
            "gw-0001",
            "--url",
            &url,
            "--device-secret-file",
            "given.secret",
            "--yes",
        ])
        .await;
    assert!(said.contains("alink-gateway check gateway.yaml"), "{said}");
    let tty = folder.join("tty");
    let said = person
        .types(&[
            "scan",
            tty.to_str().unwrap(),
            "--line",
            "9600 8N1",
            "--profiles",
            "lab-meter.yaml",
            "--write",
            "gateway.yaml",
            "--product-key",
            "a1SubDemoPk",
            "--socket",
            socket,
        ])
        .await;
    assert_eq!(said.matches("lab-meter (sure)").count(), 3, "{said}");
    assert!(said.contains("added 1 port and 3 devices"), "{said}");
    let said = person.types(&["check", "gateway.yaml"]).await;
    assert!(said.contains("1 port, 3 devices"), "{said}");
    let said = person.types(&["plan", "gateway.yaml"]).await;
    assert!(said.contains("lab-meter"), "{said}");

    let mut platform = platform(folder, port);
    let mut platform_says = BufReader::new(platform.stdout.take().unwrap()).lines();
    let mut gateway = person
        .command(&["run", "--config", "gateway.yaml"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut gateway_says = BufReader::new(gateway.stderr.take().unwrap()).lines();
    wait_for::<ChildStderr>(&mut gateway_says, "lab-meter-3").await;
    wait_for::<ChildStdout>(&mut platform_says, "lab-meter-3").await;
    let status = person.types(&["status", "--socket", socket]).await;
    assert!(status.contains("line-1"), "{status}");
    let value = person
        .types(&[
            "read",
            "lab-meter-1",
            "--config",
            "gateway.yaml",
            "--socket",
            socket,
        ])
        .await;
    assert!(value.contains("Voltage"), "{value}");
    // The line is the service's now: a scan goes through it and disturbs nothing.
    let said = person
        .types(&[
            "scan",
            "line-1",
            "--units",
            "1-5",
            "--protocol",
            "modbus",
            "--no-identify",
            "--config",
            "gateway.yaml",
            "--write",
            "gateway.yaml",
            "--socket",
            socket,
        ])
        .await;
    assert!(said.contains("has 3 devices already"), "{said}");
    for unit in ["unit 1", "unit 2", "unit 3", "through the service"] {
        assert!(said.contains(unit), "{unit}\n{said}");
    }
    let told = "asks devices of this line beside the configuration";
    wait_for::<ChildStderr>(&mut gateway_says, told).await;
    assert!(!said.contains("unit 4"), "{said}");
    drop(bus);
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
    let port = free_port();
    let mut terminal = Terminal::open(folder).await;

    // Simulated devices answer late on a busy machine, as no real ones do: they are waited for.
    let scan = "alink-gateway scan ./tty --line '9600 8N1' --units 1-20 --thorough --profiles lab-meter.yaml";
    let said = terminal.command(scan).await;
    assert_eq!(said.matches("lab-meter (sure)").count(), 3, "{said}");

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
    let said = terminal.command(&write).await;
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
    let status = terminal
        .command("alink-gateway status --socket control.sock")
        .await;
    assert!(
        status.contains("3 devices, all alive and online"),
        "{status}"
    );
    let said = terminal
        .command("alink-gateway read lab-meter-1 -c gateway.yaml")
        .await;
    assert!(said.contains("Voltage"), "{said}");

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

//! From a line of unknown devices to values in the cloud, with the commands that a person types.

#![cfg(feature = "lab")]

use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{ChildStderr, ChildStdout, Command};
use tokio::time::timeout;

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

/// A person at a terminal.
struct Person<'a> {
    folder: &'a Path,
    commands: usize,
}

impl Person<'_> {
    fn command(&mut self, words: &[&str]) -> Command {
        self.commands += 1;
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
    async fn types(&mut self, words: &[&str]) -> String {
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

#[tokio::test]
async fn a_line_of_unknown_devices_is_in_the_cloud_after_eight_commands() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut bus = Command::new(env!("CARGO_BIN_EXE_alink-lab"))
        .args(["bus", "--units", "3", "--turnaround", "30", "--tty", "tty"])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut bus_says = BufReader::new(bus.stdout.take().unwrap()).lines();
    wait_for::<ChildStdout>(&mut bus_says, "tty").await;
    fs::write(folder.join("lab-meter.yaml"), PROFILE).unwrap();
    fs::create_dir(folder.join("conf.d")).unwrap();
    fs::write(
        folder.join("conf.d/own.yaml"),
        "profiles_from: [lab-meter.yaml]\ncontrol: { socket: control.sock }\nstate_dir: .\n",
    )
    .unwrap();
    fs::write(folder.join("given.secret"), "0123456789abcdef").unwrap();
    let mut person = Person {
        folder,
        commands: 0,
    };
    let socket = folder.join("control.sock");
    let socket = socket.to_str().unwrap();

    // The platform is told the finished configuration, so its address is chosen before.
    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    };
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

    let mut platform = Command::new(env!("CARGO_BIN_EXE_alink-lab"))
        .args(["platform", "--config", "gateway.yaml", "--listen"])
        .arg(format!("127.0.0.1:{port}"))
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
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
    assert!(person.commands <= MOST_COMMANDS, "{}", person.commands);
}

//! A reload that leaves out many devices, in the real program: refused in whichever way
//! it is requested, until it is confirmed.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Lines};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};

use tempfile::TempDir;

struct Gateway {
    dir: TempDir,
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program() -> PathBuf {
    env!("CARGO_BIN_EXE_alink-gateway").into()
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

/// Writes `devices.csv` with these units.
fn table(dir: &Path, units: impl IntoIterator<Item = u8>) {
    let rows = units
        .into_iter()
        .map(|n| format!("meter-{n:03},rack,{n},meter,secret{n}\n"));
    let text = format!(
        "name,port,unit,profile,secret\n{}",
        rows.collect::<String>()
    );
    write(&dir.join("devices.csv"), &text);
}

impl Gateway {
    /// Starts the gateway with twenty devices.
    fn start() -> Gateway {
        let dir = tempfile::tempdir().unwrap();
        let yaml = format!(
            "gateway: {{ product_key: a1GwDemoPk0, device_name: gw-0001, secret: s }}
cloud: {{ url: 'mqtt://127.0.0.1:1' }}
ports:
  - {{ name: rack, tcp: {{ host: 127.0.0.1, port: 1 }} }}
profiles:
  - {{ name: meter, product_key: a1SubDemoPk, interval: 1h, points: [ {{ id: V, table: holding, address: 0, type: u16 }} ] }}
devices_file: devices.csv
state_dir: {0}
control: {{ socket: {0}/c.sock }}
",
            dir.path().display()
        );
        write(&dir.path().join("gateway.yaml"), &yaml);
        table(dir.path(), 1..=20);
        let mut child = Command::new(program())
            .args(["run", "--config"])
            .arg(dir.path().join("gateway.yaml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut gateway = Gateway { dir, child, lines };
        gateway.hear("started: 1 port, 20 devices");
        gateway
    }

    /// Waits for a line of the log that contains this.
    fn hear(&mut self, what: &str) -> String {
        let said = self
            .lines
            .find_map(|line| line.ok().filter(|l| l.contains(what)));
        said.unwrap_or_else(|| panic!("it has ended without saying {what}"))
    }

    fn reload(&self, arguments: &[&str]) -> (i32, String) {
        let output = Command::new(program())
            .arg("reload")
            .args(arguments)
            .arg("--socket")
            .arg(self.dir.path().join("c.sock"))
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.code().unwrap(), text)
    }

    fn hang_up(&self) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-HUP", &pid]).status().unwrap();
        assert!(sent.success());
    }
}

#[test]
fn a_table_that_was_cut_short_logs_nobody_out_until_it_is_said_to_be_meant() {
    let mut gateway = Gateway::start();
    // A third of them needs no confirmation.
    table(gateway.dir.path(), 1..=14);
    gateway.hang_up();
    gateway.hear("configuration loaded anew: 6 devices removed");

    table(gateway.dir.path(), 1..=5);
    gateway.hang_up();
    gateway.hear("leaves out 9 of 14 devices, more than a third: nothing has changed");
    let (status, text) = gateway.reload(&[]);
    assert_eq!(status, 78, "{text}");
    assert!(text.contains("leaves out 9 of 14 devices"), "{text}");
    assert!(text.contains("alink-gateway reload --force"), "{text}");

    // Devices that are already removed count no more.
    table(gateway.dir.path(), 5..=14);
    gateway.hang_up();
    gateway.hear("configuration loaded anew: 4 devices removed");
    table(gateway.dir.path(), 21..=29);
    let (status, text) = gateway.reload(&[]);
    assert_eq!(status, 78, "{text}");
    assert!(text.contains("leaves out 10 of 10 devices"), "{text}");
    let (status, text) = gateway.reload(&["--force"]);
    assert_eq!(status, 0, "{text}");
    assert!(
        text.contains("9 devices added, 10 devices removed"),
        "{text}"
    );
    gateway.hear("configuration loaded anew: 9 devices added");
}

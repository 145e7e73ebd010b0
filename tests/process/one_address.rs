//! Two devices with one address, named by the real program within a minute at intervals of 10 s.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn two_devices_with_one_address_are_named_within_a_minute_at_ten_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let tty = folder.path().join("line1");
    let mut bus = Command::new(env!("CARGO_BIN_EXE_alink-lab"))
        .args(["bus", "--baud", "9600", "--units", "3", "--tty"])
        .arg(&tty)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut orders = bus.stdin.take().unwrap();
    let file = folder.path().join("gateway.yaml");
    let text = format!(
        "gateway: {{ product_key: a1GwDemoPk0, device_name: gw-0001, secret: \"0123456789abcdef\" }}
cloud: {{ url: \"mqtt://127.0.0.1:1\" }}
state_dir: {0}
control: {{ socket: {0}/control.sock }}
ports: [{{ name: line1, serial: {{ device: {0}/line1, baud: 9600 }} }}]
profiles:
  - name: meter
    product_key: a1SubDemoPk
    interval: 10s
    points: [{{ id: Voltage, table: holding, address: 0, type: u16 }}]
devices: [{{ name: \"meter-{{unit}}\", port: line1, units: 1-3, profile: meter, secret: known }}]
",
        folder.path().display()
    );
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let mut gateway = Command::new(env!("CARGO_BIN_EXE_alink-gateway"))
        .args(["run", "--config"])
        .arg(&file)
        .env("STATE_DIRECTORY", folder.path())
        .env("RUNTIME_DIRECTORY", folder.path())
        .env_remove("JOURNAL_STREAM")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(gateway.stderr.take().unwrap()).lines();
    let mut says = async |words: &str| {
        let mut heard = String::new();
        let saying = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                heard.push_str(&line);
                heard.push('\n');
                if line.contains(words) {
                    return;
                }
            }
        };
        assert!(timeout(MINUTE, saying).await.is_ok(), "{words}\n{heard}");
        assert!(heard.contains(words), "{words}\n{heard}");
    };
    says("meter-3 (line1 unit 3): responding").await;
    orders.write_all(b"twin 1\n").await.unwrap();
    says("meter-1 (line1 unit 1): two devices with one address?").await;
}

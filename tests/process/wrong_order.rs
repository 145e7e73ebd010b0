//! A profile that puts the registers of floats together in the wrong order: what the operator is
//! told, in the language of the locale.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::gateway;

/// 230.5 with the less significant register first (IEEE 754-2008: 43668000h).
const REGISTERS: [u16; 2] = [0x8000, 0x4366];

/// Answers each request of Modbus TCP for registers.
async fn meter(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut request = [0; 12];
        while stream.read_exact(&mut request).await.is_ok() {
            let count = u8::try_from(u16::from_be_bytes([request[10], request[11]])).unwrap();
            let mut reply = request[..4].to_vec();
            reply.extend([0, 3 + 2 * count, request[6], request[7], 2 * count]);
            let registers = REGISTERS.iter().cycle().take(count.into());
            reply.extend(registers.flat_map(|r| r.to_be_bytes()));
            stream.write_all(&reply).await.unwrap();
        }
    }
}

/// Returns what the tool prints for a user of this locale.
async fn said(locale: &str, socket: &Path, words: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_alink-gateway"));
    command.args(words).arg("--socket").arg(socket);
    command.env_remove("LC_ALL").env_remove("LC_MESSAGES");
    let out = command.env("LANG", locale).output().await.unwrap();
    String::from_utf8([out.stdout, out.stderr].concat()).unwrap()
}

#[tokio::test]
async fn floats_in_the_wrong_order_are_told_in_the_users_language() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(meter(listener));
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("control.sock");
    let file = folder.path().join("gateway.yaml");
    let text = format!(
        "gateway: {{ product_key: a1GwDemoPk0, device_name: gw-0001, secret: \"0123456789abcdef\" }}
cloud: {{ url: \"mqtt://127.0.0.1:1\" }}
control: {{ socket: {} }}
ports: [{{ name: rack1, tcp: {{ host: 127.0.0.1, port: {port} }} }}]
profiles:
  - name: meter
    product_key: a1SubDemoPk
    interval: 200ms
    points:
      - {{ id: VoltageA, table: holding, address: 0, type: f32 }}
      - {{ id: VoltageB, table: holding, address: 2, type: f32 }}
      - {{ id: VoltageC, table: holding, address: 4, type: f32 }}
devices: [{{ name: meter-1, port: rack1, unit: 1, profile: meter, secret: known }}]
",
        socket.display()
    );
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let mut gateway = gateway::run(&file);
    let mut english = String::new();
    for _ in 0..300 {
        english = said("en_US.UTF-8", &socket, &["devices", "meter-1"]).await;
        if english.contains("implausible") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let one_line = english.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in [
        "sends floats that are implausible throughout: VoltageA ",
        "read in the order ABCD",
        "uncertain",
    ] {
        assert!(one_line.contains(words), "{words}\n{english}");
    }
    let chinese = said("zh_CN.UTF-8", &socket, &["devices", "meter-1"]).await;
    assert!(chinese.contains("浮点数普遍不合理"), "{chinese}");
    assert!(!chinese.contains("implausible"), "{chinese}");
    // Programs read the same in every locale.
    let json = said("zh_CN.UTF-8", &socket, &["devices", "meter-1", "--json"]).await;
    assert!(json.contains("\"quality\": \"uncertain\""), "{json}");
    gateway::stop(&mut gateway).await;
    serving.abort();
}

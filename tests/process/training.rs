//! The plant and the platform of the lab as people start them, and the orders they take
//! while they run.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use alink_gateway::base::Secret;
use alink_gateway::cloud::alink::wire::sign;
use alink_gateway::spec::SignMethod;
use rumqttc::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, Packet, QoS};
use serde_json::{Value as Json, json};
use tokio::time::timeout;

/// Longer than any step here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

const POST: &str = "/sys/a1SubDemoPk/meter-1/thing/event/property/post";

/// A running `alink-lab`; killed when dropped.
struct Lab {
    child: Child,
    orders: ChildStdin,
    said: BufReader<ChildStdout>,
}

impl Lab {
    fn start(args: &[&str]) -> Lab {
        let mut child = Command::new(env!("CARGO_BIN_EXE_alink-lab"))
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Lab {
            orders: child.stdin.take().unwrap(),
            said: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    fn order(&mut self, line: &str) {
        writeln!(self.orders, "{line}").unwrap();
    }

    /// Waits for the next line of output that contains this.
    fn says(&mut self, what: &str) -> String {
        let lines = self.said.by_ref().lines().map_while(Result::ok);
        let mut lines = lines.filter(|line| line.contains(what));
        lines
            .next()
            .unwrap_or_else(|| panic!("it ended without saying {what}"))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Sends these units a request for one register, one after the other without waiting;
/// returns the unit that answers first.
fn first_answer(rack: &mut TcpStream, units: &[u8]) -> u8 {
    for unit in units {
        let request = [0, *unit, 0, 0, 0, 6, *unit, 3, 0, 0, 0, 1];
        rack.write_all(&request).unwrap();
    }
    let mut reply = [0; 11];
    rack.read_exact(&mut reply).unwrap();
    reply[6]
}

#[test]
fn a_unit_is_killed_and_revived_while_the_bus_runs() {
    let mut bus = Lab::start(&["bus", "--tcp", "127.0.0.1:0", "--units", "3"]);
    let started = bus.says("3 units on ");
    let address = started.rsplit(' ').next().unwrap().to_owned();

    bus.order("kill 3");
    bus.says("unit 3 is dead");
    let mut rack = TcpStream::connect(&address).unwrap();
    assert_eq!(first_answer(&mut rack, &[3, 1]), 1, "the dead say nothing");

    bus.order("revive 3");
    bus.says("unit 3 is well");
    let mut rack = TcpStream::connect(&address).unwrap();
    assert_eq!(first_answer(&mut rack, &[3]), 3);

    bus.order("kill 4");
    bus.says("there is no unit 4");
}

/// Checks DL/T 645-2007 §7.1: the only meter on a line is asked for its address.
#[test]
fn a_meter_of_dlt645_answers_on_the_line_of_the_units() {
    let folder = tempfile::tempdir().unwrap();
    let tty = folder.path().join("ttyLAB0");
    let link = tty.to_str().unwrap();
    let mut bus = Lab::start(&["bus", "--tty", link, "--units", "2", "--meters", "1"]);
    bus.says("2 units and 1 meter of DL/T 645");
    let mut line = File::options().read(true).write(true).open(&tty).unwrap();
    let request = b"\x68\xAA\xAA\xAA\xAA\xAA\xAA\x68\x13\x00\xDF\x16";
    line.write_all(request).unwrap();
    let mut reply = [0; 4 + 12 + 6];
    line.read_exact(&mut reply).unwrap();
    assert_eq!(reply[..4], [0xFE; 4]);
    assert_eq!(reply[4..14], *b"\x68\x01\0\0\0\0\0\x68\x93\x06");
    // Its address again, as data: 33H is added to each byte.
    assert_eq!(reply[14..20], [0x34, 0x33, 0x33, 0x33, 0x33, 0x33]);
}

/// Checks the documented configuration as it is, but for the host: `mqtts`, port 8883's CA as
/// `ca_file`, and the daemon that trusts it.
#[test]
fn the_documented_configuration_is_tried_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let config = at("gateway.yaml");
    let text = |port: &str, rack: &str| {
        format!(
            "gateway: {{ product_key: a1GwDemoPk0, device_name: gw-0001, secret: s }}
cloud:
  url: mqtts://localhost:{port}
  ca_file: aliyun-iot-ca.pem
ports:
  - {{ name: rack1, tcp: {{ host: 127.0.0.1, port: {rack} }} }}
profiles:
  - name: meter
    product_key: a1SubDemoPk
    interval: 1s
    points:
      - {{ id: Voltage, table: holding, address: 0, type: u16 }}
devices:
  - {{ name: meter-1, port: rack1, unit: 1, profile: meter, secret: s }}
"
        )
    };
    let write = |text: String| {
        std::fs::write(&config, text).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&config, mode).unwrap();
    };
    let mut bus = Lab::start(&["bus", "--tcp", "127.0.0.1:0", "--units", "1"]);
    let rack = bus.says("1 unit on ");
    let rack = rack.rsplit(':').next().unwrap().to_owned();
    // Its ca_file does not exist yet: this makes the one to put there.
    write(text("8883", &rack));
    let tls = at("lab");
    let listen = ["platform", "--listen", "127.0.0.1:0", "--tls", &tls];
    let mut platform = Lab::start(&[&listen[..], &["--config", &config]].concat());
    let started = platform.says("platform for 1 device on mqtts://");
    let port = started.rsplit(':').next().unwrap();
    let told = platform.says("sha256 Fingerprint=");
    std::fs::copy(at("lab/ca.pem"), at("aliyun-iot-ca.pem")).unwrap();
    if crate::tools::have(&["openssl"]) {
        let shown = Command::new("openssl")
            .args(["x509", "-noout", "-fingerprint", "-sha256", "-in"])
            .arg(at("aliyun-iot-ca.pem"))
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(shown.stdout).unwrap().trim_end(), told);
    }
    write(text(port, &rack));
    let mut daemon = Command::new(env!("CARGO_BIN_EXE_alink-gateway"))
        .args(["run", "--config", &config])
        .env("STATE_DIRECTORY", folder.path())
        .env("RUNTIME_DIRECTORY", folder.path())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    platform.says("meter-1 logged in");
    daemon.kill().unwrap();
    daemon.wait().unwrap();

    // Another run has the same CA, and another certificate.
    drop(platform);
    let mut platform = Lab::start(&[&listen[..], &["--config", &config]].concat());
    assert_eq!(platform.says("sha256 Fingerprint="), told);
}

/// A gateway with the sub-device `meter-1`, as a client of another author: what the
/// platform does to it is seen at this end of the connection.
struct Gateway {
    client: AsyncClient,
    events: EventLoop,
    id: u32,
}

impl Gateway {
    async fn connect(port: u16) -> Gateway {
        let id = "a1GwDemoPk0.gw-0001|securemode=3,signmethod=hmacsha256,_ss=1|";
        let content = sign::device_content("a1GwDemoPk0.gw-0001", "gw-0001", "a1GwDemoPk0", None);
        let mut options = MqttOptions::new(id, "127.0.0.1", port);
        options.set_credentials("gw-0001&a1GwDemoPk0", signed(&content));
        let (client, events) = AsyncClient::new(options, 10);
        let mut gateway = Gateway {
            client,
            events,
            id: 0,
        };
        let first = gateway.packet().await.unwrap();
        assert!(matches!(first, Packet::ConnAck(_)), "{first:?}");
        gateway
    }

    async fn packet(&mut self) -> Result<Packet, ConnectionError> {
        loop {
            let next = timeout(PATIENCE, self.events.poll()).await;
            if let Event::Incoming(packet) = next.expect("a packet in time")? {
                return Ok(packet);
            }
        }
    }

    /// Returns the code of the next message on a topic; others are passed over.
    async fn code_on(&mut self, topic: &str) -> u64 {
        loop {
            match self.packet().await.unwrap() {
                Packet::Publish(p) if p.topic == topic => {
                    let body: Json = serde_json::from_slice(&p.payload).unwrap();
                    return body["code"].as_u64().unwrap();
                }
                _ => {}
            }
        }
    }

    /// Returns the code of the next notice about a device.
    async fn notice(&mut self) -> u64 {
        self.code_on("/ext/error/a1GwDemoPk0/gw-0001").await
    }

    async fn request(&mut self, topic: &str, params: Json) {
        self.id += 1;
        let request = json!({ "id": self.id.to_string(), "params": params }).to_string();
        let sent = self.client.publish(topic, QoS::AtMostOnce, false, request);
        sent.await.unwrap();
    }

    async fn log_in(&mut self) -> u64 {
        let (id, time) = ("a1SubDemoPk&meter-1", "1700000000000");
        let content = sign::device_content(id, "meter-1", "a1SubDemoPk", Some(time));
        let params = json!({
            "productKey": "a1SubDemoPk", "deviceName": "meter-1", "clientId": id,
            "timestamp": time, "signMethod": "hmacSha256", "sign": signed(&content),
        });
        let topic = "/ext/session/a1GwDemoPk0/gw-0001/combine/login";
        self.request(topic, params).await;
        self.code_on(&format!("{topic}_reply")).await
    }

    async fn post(&mut self) -> u64 {
        self.request(POST, json!({ "Voltage": 230 })).await;
        self.code_on(&format!("{POST}_reply")).await
    }

    async fn is_cut(&mut self) {
        while self.packet().await.is_ok() {}
    }
}

/// Signs with the secret of the gateway and of its device.
fn signed(content: &str) -> String {
    sign::sign(SignMethod::HmacSha256, &Secret::new("s"), content)
}

/// Checks that an order does what it says to a gateway that is connected.
#[tokio::test]
async fn misfortune_is_ordered_while_the_platform_runs() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("gateway.yaml");
    let text = "gateway: { product_key: a1GwDemoPk0, device_name: gw-0001, secret: s }
cloud: { url: \"mqtt://localhost:1883\" }
ports:
  - { name: rack1, tcp: { host: localhost } }
profiles:
  - name: meter
    product_key: a1SubDemoPk
    interval: 1s
    points:
      - { id: Voltage, table: holding, address: 0, type: u16 }
devices:
  - { name: meter-1, port: rack1, unit: 1, profile: meter, secret: s }
";
    std::fs::write(&config, text).unwrap();
    let config = config.to_str().unwrap();
    let mut platform = Lab::start(&["platform", "--listen", "127.0.0.1:0", "--config", config]);
    let started = platform.says("platform for 1 device on");
    let port = started.rsplit(':').next().unwrap().parse().unwrap();
    let mut told = |order: &str, told: &str| {
        platform.order(order);
        platform.says(told);
    };
    let mut gateway = Gateway::connect(port).await;
    assert_eq!(gateway.log_in().await, 200);
    assert_eq!(gateway.post().await, 200);

    told("throttle 60s", "Throttle");
    assert_eq!(gateway.log_in().await, 429);
    told("heal", "Heal");

    told("answer post 429 20s", "Answer");
    assert_eq!(gateway.post().await, 429);
    told("heal", "Heal");
    assert_eq!(gateway.post().await, 200);

    told("kick a1SubDemoPk meter-1", "Kick");
    assert_eq!(gateway.notice().await, 427);
    told("cap 0", "Cap(Some(0))");
    assert_eq!(gateway.log_in().await, 428);
    told("cap 150", "Cap(Some(150))");
    assert_eq!(gateway.log_in().await, 200);

    told("lose-session all", "LoseSession(None)");
    gateway.request(POST, json!({ "Voltage": 230 })).await;
    assert_eq!(gateway.notice().await, 520);

    told("disable a1SubDemoPk meter-1", "Disable");
    assert_eq!(gateway.log_in().await, 522);
    told(
        "disable a1SubDemoPk meter-2",
        "no such device, connection or fault",
    );

    told("cut", "Cut");
    gateway.is_cut().await;

    for (order, words) in [
        ("reorder 200", "Reorder"),
        ("batch-code last", "Code(Last)"),
        ("secret a1SubDemoPk meter-1 hush", "ChangeSecret"),
        ("say /ext/rrpc/7 {}", "no such device, connection or fault"),
        ("sulk", "help says what can be ordered"),
        ("help", "throttle SPAN"),
    ] {
        told(order, words);
    }
}

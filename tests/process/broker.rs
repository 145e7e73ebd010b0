//! The platform on real sockets: used by the client of rumqttc and by the tools of
//! mosquitto, over TCP, over TLS, and from behind a real mosquitto.

use crate::tools;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use alink_gateway::base::{Rng, Secret};
use alink_gateway::io::system::clock::Clock;
use alink_gateway::lab::broker::Broker;
use alink_gateway::lab::platform::*;
use rumqttc::{AsyncClient, Event as Mqtt, EventLoop, MqttOptions, Packet, QoS};
use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(20);
const GATEWAY: &str = "a1GwDemoPk0/gw-0001";
/// The signature the platform expects of these two: a CONNECT without a timestamp and a
/// log-in, signed with HMAC-SHA256.
const CONNECT_SIGN: &str = "cda167d2db03195efea9c80c69f70e7e3a09b322694ea5cac4531b7b87140f5a";
const LOGIN_SIGN: &str = "74fd49529fe065718497896ecf23178b870d249cdb881c11e1d45862aa4276a6";
const CLIENT: &str = "a1GwDemoPk0.gw-0001|securemode=3,signmethod=hmacsha256,_ss=1|";
const USER: &str = "gw-0001&a1GwDemoPk0";

fn anywhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn model(clock: Clock) -> Platform {
    let certificate = |product: &str, name: &str, secret: &str| {
        let device = Device::new(product, name);
        Certificate {
            product_key: device.product_key,
            device_name: device.device_name,
            secret: Secret::new(secret),
        }
    };
    let gateway = certificate("a1GwDemoPk0", "gw-0001", "GwSecret0123456789abcdefABCDEF00");
    let meter = certificate(
        "a1SubDemoPk",
        "meter-001",
        "SubSecret111111111111111111111111",
    );
    let spec = PlatformSpec::gateway_with(gateway, vec![meter]);
    Platform::new(spec, Rng::new(1), clock.now())
}

/// Starts the platform on a port of its own.
async fn broker() -> Broker {
    let clock = Clock::system();
    let broker = Broker::start(anywhere(), model(clock), clock).await;
    broker.unwrap()
}

fn meter() -> Device {
    Device::new("a1SubDemoPk", "meter-001")
}

fn meter_online(platform: &Platform) -> bool {
    let meter = meter();
    platform.is_online(&meter.product_key, &meter.device_name)
}

fn log_in() -> String {
    let params = json!({
        "productKey": "a1SubDemoPk", "deviceName": "meter-001",
        "clientId": "a1SubDemoPk&meter-001", "timestamp": "1700000000000",
        "cleanSession": "true", "signMethod": "hmacSha256", "sign": LOGIN_SIGN,
    });
    json!({"id": "1", "params": params}).to_string()
}

fn options(addr: SocketAddr) -> MqttOptions {
    let mut options = MqttOptions::new(CLIENT, addr.ip().to_string(), addr.port());
    options.set_credentials(USER, CONNECT_SIGN);
    options.set_keep_alive(Duration::from_secs(60));
    options
}

/// Returns the next packet that concerns these tests.
async fn next(events: &mut EventLoop) -> Packet {
    loop {
        match timeout(SOON, events.poll()).await.unwrap().unwrap() {
            Mqtt::Incoming(packet) => return packet,
            Mqtt::Outgoing(_) => {}
        }
    }
}

async fn connected(broker: &Broker) -> (AsyncClient, EventLoop) {
    let (client, mut events) = AsyncClient::new(options(broker.addr()), 10);
    assert!(matches!(next(&mut events).await, Packet::ConnAck(_)));
    (client, events)
}

async fn message(events: &mut EventLoop) -> (String, Json) {
    loop {
        if let Packet::Publish(p) = next(events).await {
            return (p.topic, serde_json::from_slice(&p.payload).unwrap());
        }
    }
}

#[tokio::test]
async fn rumqttc_logs_a_meter_in_posts_for_it_and_sees_it_kicked() {
    let broker = broker().await;
    let (client, mut events) = connected(&broker).await;
    let login = format!("/ext/session/{GATEWAY}/combine/login");
    client
        .publish(&login, QoS::AtMostOnce, false, log_in())
        .await
        .unwrap();
    let (topic, reply) = message(&mut events).await;
    assert_eq!(
        (topic, &reply["code"]),
        (format!("{login}_reply"), &json!(200))
    );
    // QoS 1 is acknowledged, though a sub-device's messages should be QoS 0.
    let post = "/sys/a1SubDemoPk/meter-001/thing/event/property/post";
    let value = r#"{"id":"2","params":{"T":21.5}}"#;
    client
        .publish(post, QoS::AtLeastOnce, false, value)
        .await
        .unwrap();
    let (mut acknowledged, mut replied) = (false, false);
    while !(acknowledged && replied) {
        match next(&mut events).await {
            Packet::PubAck(_) => acknowledged = true,
            Packet::Publish(p) => replied = p.topic == format!("{post}_reply"),
            other => panic!("{other:?}"),
        }
    }
    client
        .subscribe("/sys/a1SubDemoPk/meter-001/thing/disable", QoS::AtLeastOnce)
        .await
        .unwrap();
    let Packet::SubAck(granted) = next(&mut events).await else {
        panic!("no SUBACK");
    };
    assert_eq!(
        granted.return_codes,
        [rumqttc::SubscribeReasonCode::Success(QoS::AtMostOnce)]
    );
    assert!(broker.with(|p, now| p.kick(now, &meter())).await.unwrap());
    let (topic, notice) = message(&mut events).await;
    assert_eq!(
        (topic, &notice["code"]),
        (format!("/ext/error/{GATEWAY}"), &json!(427))
    );
    client.disconnect().await.unwrap();
    while events.poll().await.is_ok() {}
    let gone = |p: &Platform| {
        p.connection(&Device::new("a1GwDemoPk0", "gw-0001"))
            .is_none()
    };
    assert!(broker.until(SOON, gone).await.unwrap());
    let platform = broker.stop().await.unwrap();
    assert_eq!(platform.accepted().total(), 1);
    assert_eq!(platform.ledger().times(Violation::QosAboveZero), 1);
}

#[tokio::test]
async fn a_wrong_password_is_refused_with_4_and_a_cut_is_seen_at_once() {
    let broker = broker().await;
    let mut wrong = options(broker.addr());
    wrong.set_credentials(USER, "0".repeat(64));
    let (_client, mut events) = AsyncClient::new(wrong, 10);
    let refused = timeout(SOON, events.poll()).await.unwrap().unwrap_err();
    assert!(
        refused.to_string().contains("BadUserNamePassword"),
        "{refused}"
    );
    let (_client, mut events) = connected(&broker).await;
    let gateway = Device::new("a1GwDemoPk0", "gw-0001");
    assert!(
        broker
            .with(move |p, now| p.drop_connection(now, &gateway))
            .await
            .unwrap()
    );
    assert!(timeout(SOON, events.poll()).await.unwrap().is_err());
}

#[tokio::test]
async fn garbage_and_silence_cost_their_own_connection_and_nothing_else() {
    let broker = broker().await;
    let (_client, _events) = connected(&broker).await;
    let half = &[0x10, 0x20, 0x00, 0x04, b'M', b'Q'];
    let no_connect = &[0xc0, 0x00];
    let oversize = &[0x30, 0xff, 0xff, 0xff, 0x7f];
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], no_connect, oversize, half] {
        let mut socket = TcpStream::connect(broker.addr()).await.unwrap();
        socket.write_all(bytes).await.unwrap();
        socket.shutdown().await.unwrap();
        let mut rest = Vec::new();
        // Closed, or reset with our bytes unread: both count as an end.
        let _ = timeout(SOON, socket.read_to_end(&mut rest)).await.unwrap();
        assert!(rest.is_empty(), "{rest:?}");
    }
    let gateway = Device::new("a1GwDemoPk0", "gw-0001");
    let up = broker
        .with(move |p, _| p.connection(&gateway))
        .await
        .unwrap();
    assert!(up.is_some());
}

#[tokio::test]
async fn a_client_that_does_not_read_is_dropped_and_holds_nobody_up() {
    let broker = broker().await;
    let mut connect = rumqttc::Connect::new(CLIENT);
    connect.keep_alive = 60;
    connect.set_login(USER, CONNECT_SIGN);
    let mut bytes = bytes::BytesMut::new();
    rumqttc::Packet::Connect(connect)
        .write(&mut bytes, 4096)
        .unwrap();
    let mut socket = TcpStream::connect(broker.addr()).await.unwrap();
    socket.write_all(&bytes).await.unwrap();
    let gateway = || Device::new("a1GwDemoPk0", "gw-0001");
    let up = move |p: &Platform| p.connection(&gateway()).is_some();
    assert!(broker.until(SOON, up).await.unwrap());
    // More notices than any socket and queue hold, and the client reads none of them.
    broker
        .with(move |p, now| {
            for _ in 0..100_000 {
                p.ask_to_add(now, &gateway(), &meter());
            }
        })
        .await
        .unwrap();
    let down = move |p: &Platform| p.connection(&gateway()).is_none();
    assert!(broker.until(SOON, down).await.unwrap());
}

#[tokio::test]
async fn mosquitto_pub_over_tls_logs_a_meter_in() {
    if !tools::have(&["mosquitto_pub", "openssl"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (certificate, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    let made = Command::new("openssl")
        .args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2".split(' '))
        .args(["-subj", "/CN=localhost", "-addext"])
        .arg("subjectAltName=DNS:localhost,IP:127.0.0.1")
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .await
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let clock = Clock::system();
    let tls = alink_gateway::lab::broker::tls_from_pem(&certificate, &key).unwrap();
    let broker = Broker::start_tls(anywhere(), model(clock), clock, tls)
        .await
        .unwrap();
    let topic = format!("/ext/session/{GATEWAY}/combine/login");
    let publish = |mode: &str| {
        let mut it = Command::new("mosquitto_pub");
        it.args(["-h", "localhost", "-p", &broker.addr().port().to_string()])
            .args(["-i", &CLIENT.replace("securemode=3", mode)])
            .args([
                "-u",
                USER,
                "-P",
                CONNECT_SIGN,
                "-t",
                &topic,
                "-m",
                &log_in(),
            ])
            .arg("--cafile")
            .arg(&certificate);
        it
    };
    let refused = publish("securemode=3").output().await.unwrap();
    assert!(!refused.status.success(), "securemode 3 over TLS");
    let done = publish("securemode=2").output().await.unwrap();
    assert!(done.status.success(), "{done:?}");
    // The tool is gone as soon as it has written; its message may still be on its way.
    let logged_in = |p: &Platform| p.ledger().login_sizes() == [1];
    assert!(broker.until(SOON, logged_in).await.unwrap());
}

#[tokio::test]
async fn behind_a_real_mosquitto_the_model_answers_and_never_hears_itself() {
    if !tools::have(&["mosquitto"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (_mosquitto, addr) = mosquitto(dir.path()).await;
    let clock = Clock::system();
    let broker = Broker::attach(addr, None, model(clock), clock)
        .await
        .unwrap();
    let (client, mut events) = AsyncClient::new(options(addr), 10);
    client
        .subscribe(format!("/ext/session/{GATEWAY}/combine/+"), QoS::AtMostOnce)
        .await
        .unwrap();
    while !matches!(next(&mut events).await, Packet::SubAck(_)) {}
    let login = format!("/ext/session/{GATEWAY}/combine/login");
    client
        .publish(&login, QoS::AtMostOnce, false, log_in())
        .await
        .unwrap();
    let reply = loop {
        // The broker sends our own request back as well.
        let (topic, body) = message(&mut events).await;
        if topic == format!("{login}_reply") {
            break body;
        }
    };
    assert_eq!(reply["code"], 200);
    assert!(broker.with(|p, _| meter_online(p)).await.unwrap());
    // The model decides about a closed connection: the next message opens a new one.
    let gateway = Device::new("a1GwDemoPk0", "gw-0001");
    assert!(
        broker
            .with(move |p, now| p.drop_connection(now, &gateway))
            .await
            .unwrap()
    );
    assert!(!broker.with(|p, _| meter_online(p)).await.unwrap());
    client
        .publish(&login, QoS::AtMostOnce, false, log_in())
        .await
        .unwrap();
    // Our own message coming back shows that the request was sent.
    while message(&mut events).await.0 != login {}
    assert!(broker.until(SOON, meter_online).await.unwrap());
    let platform = broker.stop().await.unwrap();
    assert_eq!(platform.ledger().times(Violation::UnknownTopic), 0);
    assert_eq!(platform.ledger().totals().received, 2);
}

/// Starts a mosquitto on a free port and waits until it is ready.
async fn mosquitto(dir: &std::path::Path) -> (Child, SocketAddr) {
    for _ in 0..5 {
        let addr = std::net::TcpListener::bind(anywhere())
            .unwrap()
            .local_addr()
            .unwrap();
        let conf = dir.join("mosquitto.conf");
        let text = format!("listener {} 127.0.0.1\nallow_anonymous true\n", addr.port());
        std::fs::write(&conf, text).unwrap();
        let mut child = Command::new(tools::path("mosquitto"))
            .arg("-c")
            .arg(&conf)
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let up = async {
            loop {
                if tokio::net::TcpStream::connect(addr).await.is_ok() {
                    return true;
                }
                if child.try_wait().unwrap().is_some() {
                    return false;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if timeout(SOON, up).await.unwrap() {
            return (child, addr);
        }
    }
    panic!("mosquitto would not start");
}

//! The link against brokers of other authors, in real time: mosquitto, plain and with
//! TLS by a certificate authority made by openssl, and a listener that sends nothing.
//! Behaviour in time is tested on virtual time beside the code.

use crate::ports::free_port;
use crate::{installation, tools};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use alink_gateway::base::{LinkCommand, LinkDown, LinkEvent, Rng, Secret};
use alink_gateway::cloud::alink::connect::Connector;
use alink_gateway::cloud::alink::registration::identity;
use alink_gateway::cloud::alink::registration::identity::Credentials;
use alink_gateway::io::link::{self, Dialer, HubEnd};
use alink_gateway::io::log::Journal;
use alink_gateway::io::system::clock::Clock;
use alink_gateway::io::system::heartbeat::Heartbeat;
use alink_gateway::spec::{CloudSpec, GatewayCertificate, Spec, Subscriptions, Transport};
use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet, QoS};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Longer than any step here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn messages_travel_both_ways_and_goodbye_is_said() {
    let Some(lab) = Lab::new() else { return };
    let mut broker = lab.broker();
    let spec = spec("127.0.0.1", broker.plain, Transport::Plain);
    let (peer, mut peer_loop) = peer(&broker, &spec).await;
    peer.subscribe("up/#", QoS::AtMostOnce).await.unwrap();
    until(&mut peer_loop, |p| matches!(p, Packet::SubAck(_))).await;

    let mut link = Linked::start(spec);
    assert_eq!(link.next().await, LinkEvent::Up);
    let filters = (0..10).map(|n| format!("down/{n}")).collect();
    link.wire
        .outgoing
        .try_send(LinkCommand::Subscribe { filters })
        .unwrap();
    link.publish("up/first", b"{\"id\":\"1\"}");
    let first = until(&mut peer_loop, |p| matches!(p, Packet::Publish(_))).await;
    let Packet::Publish(first) = first else {
        unreachable!()
    };
    assert_eq!(first.topic, "up/first");
    assert_eq!(&first.payload[..], b"{\"id\":\"1\"}");

    // This message comes behind our own publish, so the subscriptions are in force.
    for (n, qos) in [(3, QoS::AtMostOnce), (9, QoS::AtLeastOnce)] {
        let topic = format!("down/{n}");
        peer.publish(&topic, qos, false, "{}").await.unwrap();
        let expected = LinkEvent::Message {
            topic,
            payload: b"{}".to_vec(),
        };
        let (heard, ()) = tokio::join!(link.next(), turn(&mut peer_loop));
        assert_eq!(heard, expected);
    }

    for n in 0..100 {
        link.publish("up/last", n.to_string().as_bytes());
    }
    link.wire
        .outgoing
        .try_send(LinkCommand::Disconnect)
        .unwrap();
    for n in 0..100 {
        let said = until(&mut peer_loop, |p| matches!(p, Packet::Publish(_))).await;
        let Packet::Publish(said) = said else {
            unreachable!()
        };
        assert_eq!(said.payload, n.to_string());
    }
    assert_eq!(link.next().await, LinkEvent::Down(LinkDown::Ours));
    link.ended().await;
    let client_id = &link.client_id;
    broker.wait_for(&format!("Client {client_id} disconnected."));
}

#[tokio::test]
async fn tls_works_with_the_named_root_and_only_with_it() {
    let Some(lab) = Lab::new() else { return };
    let broker = lab.broker();

    // By name, where the first address may be one without a listener, and by address.
    for host in ["localhost", "127.0.0.1"] {
        let mut link = Linked::start(spec(host, broker.tls, lab.trust("ca.pem")));
        assert_eq!(link.next().await, LinkEvent::Up, "{host}");
        link.stop.cancel();
        assert_eq!(link.next().await, LinkEvent::Down(LinkDown::Ours));
    }

    let unknown = "no root that this gateway trusts has signed";
    lab.refuses("localhost", broker.tls, lab.trust("other-ca.pem"), unknown)
        .await;
    lab.refuses("localhost", broker.tls, lab.trust("none.pem"), "none.pem")
        .await;
    lab.refuses(
        "127.0.0.2",
        broker.tls2,
        lab.trust("ca.pem"),
        "for another host",
    )
    .await;
    lab.refuses(
        "127.0.0.1",
        broker.expired,
        lab.trust("ca.pem"),
        "clock here says",
    )
    .await;
    lab.refuses("127.0.0.1", broker.plain, lab.trust("ca.pem"), "")
        .await;
}

#[tokio::test]
async fn a_wrong_password_is_refused_with_its_code_and_tried_again_later() {
    let Some(lab) = Lab::new() else { return };
    let broker = lab.broker();
    let mut spec = spec("127.0.0.1", broker.plain, Transport::Plain);
    spec.cloud.gateway.certificate = GatewayCertificate::Device(Secret::new("not the one"));
    let mut link = Linked::start(spec);
    assert_eq!(link.next().await, LinkEvent::Down(LinkDown::Refused(5)));
    link.stop.cancel();
    link.ended().await;
}

#[tokio::test]
async fn a_listener_that_says_nothing_is_given_up_in_time() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut silent = spec("127.0.0.1", port, Transport::Plain);
    silent.cloud.broker.connect_timeout = Duration::from_secs(1);
    let mut link = Linked::start(silent.clone());
    assert_eq!(link.next().await, LinkEvent::Down(LinkDown::NoConnack));

    silent.cloud.broker.transport = Transport::Tls { ca_file: None };
    let mut link = Linked::start(silent);
    let LinkEvent::Down(LinkDown::Tls(why)) = link.next().await else {
        panic!("not given up for TLS")
    };
    assert!(
        why.contains("does this port speak TLS") || why.contains("root"),
        "{why}"
    );
}

#[tokio::test]
async fn the_link_returns_after_the_broker_did_and_says_nothing_old() {
    let Some(lab) = Lab::new() else { return };
    let broker = lab.broker();
    let spec = spec("127.0.0.1", broker.plain, Transport::Plain);
    let mut link = Linked::start(spec.clone());
    assert_eq!(link.next().await, LinkEvent::Up);

    let plain = broker.plain;
    drop(broker);
    // A message to a connection whose end has not been noticed yet.
    link.publish("up/old", b"old");
    let LinkEvent::Down(down) = link.next().await else {
        panic!("not down")
    };
    assert!(
        matches!(down, LinkDown::Closed | LinkDown::Io(_)),
        "{down:?}"
    );
    link.publish("up/old", b"older");

    let broker = lab.broker_at(plain).expect("the port is free again");
    let (peer, mut peer_loop) = peer(&broker, &spec).await;
    peer.subscribe("up/#", QoS::AtMostOnce).await.unwrap();
    until(&mut peer_loop, |p| matches!(p, Packet::SubAck(_))).await;
    // Attempts made while the broker was away end with `Down`.
    while link.next().await != LinkEvent::Up {}
    link.publish("up/new", b"new");
    let said = until(&mut peer_loop, |p| matches!(p, Packet::Publish(_))).await;
    let Packet::Publish(said) = said else {
        unreachable!()
    };
    assert_eq!(said.topic, "up/new");
}

// ---- the link --------------------------------------------------------------

struct Linked {
    wire: HubEnd,
    stop: CancellationToken,
    client_id: String,
    task: Option<JoinHandle<Connector>>,
}

impl Linked {
    fn start(spec: Spec) -> Self {
        let spec = Arc::new(spec);
        let clock = Clock::system();
        let stop = CancellationToken::new();
        let (wire, ends) = link::pair(link::channel::CAPACITY, stop.clone());
        let connector = Connector::new(&spec.cloud, Rng::new(1), clock.now());
        let task = tokio::spawn(link::run(
            spec.clone(),
            Dialer::Network,
            connector,
            ends,
            clock,
            Journal::new(spec.clone()),
            Heartbeat::new("link"),
        ));
        Linked {
            wire,
            stop,
            client_id: credentials(&spec.cloud).client_id,
            task: Some(task),
        }
    }

    async fn next(&mut self) -> LinkEvent {
        tokio::time::timeout(PATIENCE, self.wire.incoming.next())
            .await
            .expect("an event in time")
            .expect("the link lives")
    }

    fn publish(&self, topic: &str, payload: &[u8]) {
        let command = LinkCommand::Publish {
            topic: topic.to_owned(),
            payload: payload.to_vec(),
        };
        self.wire.outgoing.try_send(command).unwrap();
    }

    async fn ended(&mut self) {
        let task = self.task.take().unwrap();
        tokio::time::timeout(PATIENCE, task).await.unwrap().unwrap();
    }
}

fn spec(host: &str, port: u16, transport: Transport) -> Spec {
    let mut cloud = installation::demo_cloud(host);
    cloud.broker.port = port;
    cloud.broker.transport = transport;
    cloud.broker.subscriptions = Subscriptions::Broker;
    installation::spec(cloud, Vec::new(), Vec::new())
}

// ---- the other side ----------------------------------------------------------

/// A directory with certificates and passwords, and brokers that use them.
struct Lab {
    dir: TempDir,
}

impl Lab {
    /// Builds the lab; `None`, with a message, on a machine without mosquitto or
    /// openssl.
    fn new() -> Option<Self> {
        if !tools::have(&["mosquitto", "mosquitto_passwd", "openssl"]) {
            return None;
        }
        let lab = Lab {
            dir: TempDir::new().unwrap(),
        };
        lab.authority("ca");
        lab.authority("other-ca");
        lab.certificate("server", "DNS:localhost,IP:127.0.0.1", "30");
        lab.certificate("elsewhere", "DNS:elsewhere.example", "30");
        lab.certificate("expired", "DNS:localhost,IP:127.0.0.1", "-1");
        Some(lab)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn trust(&self, name: &str) -> Transport {
        Transport::Tls {
            ca_file: Some(self.path(name)),
        }
    }

    /// Checks that TLS fails, and that the reason contains `words`.
    async fn refuses(&self, host: &str, port: u16, transport: Transport, words: &str) {
        let mut link = Linked::start(spec(host, port, transport));
        let event = link.next().await;
        let LinkEvent::Down(LinkDown::Tls(why)) = &event else {
            panic!("{event:?}")
        };
        assert!(why.contains(words), "{why:?} does not say {words:?}");
    }

    fn openssl(&self, arguments: &str) {
        let done = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(self.dir.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "openssl {arguments}: {said}");
    }

    fn authority(&self, name: &str) {
        self.openssl(&format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
             -subj /CN={name} -addext keyUsage=critical,keyCertSign \
             -keyout {name}.key -out {name}.pem"
        ));
    }

    fn certificate(&self, name: &str, names: &str, days: &str) {
        std::fs::write(self.path("ext"), format!("subjectAltName={names}\n")).unwrap();
        self.openssl(&format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={name} \
             -keyout {name}.key -out {name}.csr"
        ));
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial \
             -days {days} -extfile ext -out {name}.pem"
        ));
    }

    /// Starts a broker on free ports.
    fn broker(&self) -> Mosquitto {
        // Between finding a free port and binding it another process may be faster.
        (0..5)
            .find_map(|_| self.broker_at(free_port()))
            .expect("a broker")
    }

    fn broker_at(&self, plain: u16) -> Option<Mosquitto> {
        // The link signs CONNECT differently over TLS and plain.
        let tls = Transport::Tls { ca_file: None };
        let ours = [
            (
                "plain.pw",
                credentials(&spec("", 0, Transport::Plain).cloud),
            ),
            ("tls.pw", credentials(&spec("", 0, tls).cloud)),
        ];
        for (file, who) in ours {
            let file = self.path(file);
            let done = Command::new("mosquitto_passwd")
                .args(["-b", "-c"])
                .arg(&file)
                .args([&who.username, who.password.expose()])
                .status()
                .unwrap();
            assert!(done.success());
        }
        let [tls, tls2, expired] = [free_port(), free_port(), free_port()];
        let dir = self.dir.path().display();
        let secured = |port: u16, address: &str, name: &str| {
            format!(
                "listener {port} {address}\nallow_anonymous false\npassword_file {dir}/tls.pw\n\
                 cafile {dir}/ca.pem\ncertfile {dir}/{name}.pem\nkeyfile {dir}/{name}.key\n"
            )
        };
        let config = format!(
            "per_listener_settings true\nuser root\nlog_dest stderr\nlog_type all\n\
             listener {plain} 127.0.0.1\nallow_anonymous false\npassword_file {dir}/plain.pw\n\
             {}{}{}",
            secured(tls, "127.0.0.1", "server"),
            secured(tls2, "127.0.0.2", "elsewhere"),
            secured(expired, "127.0.0.1", "expired"),
        );
        let path = self.path("mosquitto.conf");
        std::fs::write(&path, config).unwrap();
        let mut child = Command::new(tools::path("mosquitto"))
            .arg("-c")
            .arg(&path)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, log) = mpsc::channel();
        let stderr = child.stderr.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut broker = Mosquitto {
            child,
            log,
            plain,
            tls,
            tls2,
            expired,
        };
        broker.find(" running").then_some(broker)
    }
}

/// A running broker; killed when dropped.
struct Mosquitto {
    child: Child,
    log: mpsc::Receiver<String>,
    plain: u16,
    tls: u16,
    tls2: u16,
    expired: u16,
}

impl Mosquitto {
    /// Reads its log up to a line with `words`; false if it ends before.
    fn find(&mut self, words: &str) -> bool {
        while let Ok(line) = self.log.recv_timeout(PATIENCE) {
            if line.contains(words) {
                return true;
            }
        }
        false
    }

    fn wait_for(&mut self, words: &str) {
        assert!(self.find(words), "the broker never said {words:?}");
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Connects another client of the same broker: rumqttc whole, with its own event loop.
async fn peer(broker: &Mosquitto, spec: &Spec) -> (AsyncClient, EventLoop) {
    let who = credentials(&spec.cloud);
    let mut options = MqttOptions::new("peer", "127.0.0.1", broker.plain);
    options.set_credentials(who.username, who.password.expose());
    let (client, mut events) = AsyncClient::new(options, 10);
    until(&mut events, |p| matches!(p, Packet::ConnAck(_))).await;
    (client, events)
}

async fn until(events: &mut EventLoop, wanted: impl Fn(&Packet) -> bool) -> Packet {
    let search = async {
        loop {
            if let Event::Incoming(packet) = events.poll().await.unwrap()
                && wanted(&packet)
            {
                return packet;
            }
        }
    };
    tokio::time::timeout(PATIENCE, search)
        .await
        .expect("in time")
}

/// Lets the peer send the messages that were given to it.
async fn turn(events: &mut EventLoop) {
    loop {
        if let Event::Outgoing(rumqttc::Outgoing::Publish(_)) = events.poll().await.unwrap() {
            return;
        }
    }
}

fn credentials(cloud: &CloudSpec) -> Credentials {
    let GatewayCertificate::Device(secret) = &cloud.gateway.certificate else {
        panic!("a certificate of its own")
    };
    identity::credentials(cloud, secret)
}

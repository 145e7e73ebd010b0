//! The running service, flooded at each of its entries: the real binary, in real time,
//! on real sockets.
//!
//! Each flood lasts for some beats of the watchdog and asserts the same: memory stays
//! bounded, no beat is late, the neighbour on another port is polled as before, and the
//! service stops as it should afterwards.

mod flood;
mod flood_broker;
mod flood_peers;

use std::fmt::Write;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use alink_gateway::base::UnitId;
use alink_gateway::io::system::clock::Clock;
use alink_gateway::lab::bus::{Rack, Unit, UnitKind};
use alink_gateway::lab::wire::RackRig;
use serde_json::Value as Json;
use tokio::time::Instant;

use crate::child::Child;
use crate::gateway::{self, GATEWAY};
use crate::manager::Manager;
use crate::ports::free_port;
use flood::{Endpoint, Habit, rss_kib};
use flood_broker::{FloodBroker, Handshake, Packets, downstream};
use flood_peers::{Asker, Scraper, Siege, ask, scrape};

/// How often the service must feed the watchdog. The service checks four times as often
/// whether all of its parts have moved, each of which does so within 5 s. The unit's is
/// 30 s.
const WATCHDOG: Duration = Duration::from_secs(10);
/// How many beats a flood lasts.
const BEATS: usize = 3;
/// The most memory the service may use; without a flood it is some 10 MiB.
const RSS_KIB: u64 = 64 * 1024;
/// A question, or a scrape, is answered within this on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(5);

/// A service with one good rack, and the peers that flood it.
struct House {
    folder: tempfile::TempDir,
    manager: Manager,
    _rack: RackRig,
    gateway: Child,
}

/// The settings of a house.
#[derive(Default)]
struct Plan {
    /// Where the platform is; `None` if there is none.
    broker: Option<(u16, &'static str)>,
    /// Lines of `ports:`, of `devices:` and of the whole configuration.
    ports: String,
    devices: String,
    more: String,
    /// The command in front of the program.
    by: Vec<String>,
}

impl House {
    async fn running(plan: Plan) -> House {
        let mut rack = Rack::new();
        for unit in [4, 5, 6] {
            rack.attach(UnitId(unit), Unit::new(UnitKind::Marked, unit.into()));
        }
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let rack = RackRig::start(rack, anywhere, Clock::system())
            .await
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let manager = Manager::listening(folder.path());
        let file = write(folder.path(), &plan, rack.address().port());
        // The user of the service must be able to read all of it.
        for path in [folder.path(), &folder.path().join("notify")] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
        }
        let program = env!("CARGO_BIN_EXE_alink-gateway").to_owned();
        let run = ["run", "--config", file.to_str().unwrap()].map(str::to_owned);
        let words: Vec<String> = plan.by.into_iter().chain([program]).chain(run).collect();
        let micros = u64::try_from(WATCHDOG.as_micros()).unwrap();
        let environment = manager.environment(micros);
        let gateway = Child::start_with("gateway", &words[0], &words[1..], &environment);
        manager
            .hears("READY", |word| word.contains("READY=1"))
            .await;
        House {
            folder,
            manager,
            _rack: rack,
            gateway,
        }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("control.sock")
    }

    /// Lets the flood go on for some beats, and checks that the rest of the service is
    /// not disturbed by it.
    async fn stands(&mut self) {
        self.beats().await;
        let (before, since) = (self.answers(), Instant::now());
        for _ in 0..BEATS {
            self.beats().await;
            let rss = rss_kib(self.gateway.id()).unwrap();
            assert!(rss < RSS_KIB, "{rss} KiB");
        }
        // Three units, each with several requests each 200 ms: a third of that on a
        // machine that does much else.
        let least = u64::try_from(since.elapsed().as_millis()).unwrap() / 200;
        let answers = self.answers() - before;
        assert!(answers > least, "{answers} answers, not {least}");
        let stuck = |line: &&String| line.contains("no progress for");
        assert_eq!(self.gateway.seen().iter().find(stuck), None);
        for silent in ["meter-4", "meter-5", "meter-6"] {
            let told = |line: &&String| line.contains(silent) && line.contains("silent");
            assert_eq!(self.gateway.seen().iter().find(told), None);
        }
    }

    /// Checks that the next beat of the watchdog is not late.
    async fn beats(&self) {
        let asked = Instant::now();
        let is_beat = |word: &str| word.contains("WATCHDOG=1");
        self.manager.hears("beat", is_beat).await;
        let waited = asked.elapsed();
        assert!(waited < WATCHDOG, "a beat came after {waited:?}");
    }

    /// Returns the answers of the good rack's units so far, according to the service.
    fn answers(&self) -> u64 {
        let said = ask(&self.socket(), r#"{"v":1,"ask":"status"}"#, AT_ONCE).unwrap();
        let first = said.lines().next().unwrap();
        let status: Json = serde_json::from_str(first).unwrap();
        let ports = status["status"]["ports"].as_array().unwrap();
        let good = ports.iter().find(|p| p["name"] == "good").unwrap();
        good["outcomes"]["answer"].as_u64().unwrap()
    }

    /// Waits for a line with all of these words; lines that came before count.
    async fn says(&mut self, words: &[&str]) {
        let has = |line: &str| words.iter().all(|word| line.contains(word));
        if !self.gateway.seen().iter().any(|line| has(line)) {
            self.gateway.line(words[0], has).await;
        }
    }

    async fn ends_well(mut self) {
        gateway::stop(&mut self.gateway).await;
    }
}

fn write(folder: &Path, plan: &Plan, rack: u16) -> PathBuf {
    let (product, name, secret) = GATEWAY;
    let (port, more) = plan.broker.unwrap_or((1, ""));
    let mut text = format!(
        "gateway: {{ product_key: {product}, device_name: {name}, secret: {secret} }}
cloud: {{ url: \"mqtt://127.0.0.1:{port}\"{more} }}
state_dir: state
control: {{ socket: {} }}
ports:
  - {{ name: good, tcp: {{ host: 127.0.0.1, port: {rack} }} }}
{}profiles:
  - name: meter
    product_key: a1SubDemoPk
    interval: 200ms
    points:
      - {{ id: Voltage, table: holding, address: 0, type: u16, scale: 0.1 }}
      - {{ id: Energy, table: holding, address: 2, type: i32 }}
  - name: grid-meter
    product_key: a1SubDemoPk
    protocol: dlt645-2007
    interval: 500ms
    points:
      - {{ id: Energy, data: energy-active-forward }}
devices:
",
        folder.join("control.sock").display(),
        plan.ports,
    );
    for unit in [4, 5, 6] {
        writeln!(
            text,
            "  - {{ name: meter-{unit}, port: good, unit: {unit}, profile: meter, secret: s }}"
        )
        .unwrap();
    }
    text += &plan.devices;
    text += &plan.more;
    fs::create_dir(folder.join("state")).unwrap();
    fs::set_permissions(folder.join("state"), fs::Permissions::from_mode(0o777)).unwrap();
    let file = folder.join("gateway.yaml");
    fs::write(&file, text).unwrap();
    file
}

/// Adds a port and a device for an endpoint with this habit.
fn hostile(plan: &mut Plan, name: &str, port: u16, habit: Habit) {
    let framing = match habit {
        Habit::RtuFrames | Habit::MeterFrames => ", framing: rtu",
        Habit::NeverEndingLine => ", framing: ascii",
        _ => "",
    };
    let device = match habit {
        Habit::MeterFrames => "address: \"000000000001\", profile: grid-meter",
        _ => "unit: 1, profile: meter",
    };
    let (ports, devices) = (&mut plan.ports, &mut plan.devices);
    writeln!(
        ports,
        "  - {{ name: {name}, tcp: {{ host: 127.0.0.1, port: {port}{framing} }} }}"
    )
    .unwrap();
    writeln!(
        devices,
        "  - {{ name: of-{name}, port: {name}, {device}, secret: s }}"
    )
    .unwrap();
}

#[tokio::test]
async fn field_devices_that_flood_are_cut_and_disturb_nobody() {
    let mut plan = Plan::default();
    let habits = Habit::FLOODS
        .into_iter()
        .chain([Habit::AnswersThenFloods(2)]);
    let floods: Vec<(String, Habit, Endpoint)> = habits
        .enumerate()
        .map(|(n, habit)| {
            let (name, endpoint) = (format!("flood{n}"), Endpoint::start(habit).unwrap());
            hostile(&mut plan, &name, endpoint.port(), habit);
            (name, habit, endpoint)
        })
        .collect();
    let mut house = House::running(plan).await;
    house.stands().await;
    for (name, habit, endpoint) in &floods {
        match habit {
            // A busy machine may first notice that this is no protocol.
            Habit::Garbage | Habit::Zeros | Habit::NeverEndingFrame => {
                house.says(&[name, "it ", " tried again"]).await;
            }
            _ => house.says(&["it floods: ", name, " KiB a second"]).await,
        }
        let (connections, sent) = (endpoint.connections(), endpoint.sent());
        // A tenth of a second, then twice as long each time, up to five.
        assert!((1..60).contains(&connections), "{name}: {connections}");
        // The bytes a connection may bring, and what the two systems hold for it.
        let most = (connections + 1) * 8 * 1024 * 1024;
        assert!(
            sent < most,
            "{name}: {sent} bytes on {connections} connections"
        );
    }
    house.ends_well().await;
}

#[tokio::test]
async fn a_frame_that_never_ends_is_given_up_in_time() {
    let mut plan = Plan::default();
    let trickles: Vec<Endpoint> = (0..4)
        .map(|n| {
            let endpoint = Endpoint::start(Habit::Trickle).unwrap();
            hostile(
                &mut plan,
                &format!("trickle{n}"),
                endpoint.port(),
                Habit::Trickle,
            );
            endpoint
        })
        .collect();
    let mut house = House::running(plan).await;
    house.stands().await;
    let said = ask(&house.socket(), r#"{"v":1,"ask":"status"}"#, AT_ONCE).unwrap();
    let status: Json = serde_json::from_str(said.lines().next().unwrap()).unwrap();
    let ports = status["status"]["ports"].as_array().unwrap();
    assert_eq!(ports.len(), 1 + trickles.len());
    for port in ports.iter().skip(1) {
        // The default timeout is a second.
        let missed: u64 = ["timeout", "garbled", "foreign"]
            .iter()
            .filter_map(|how| port["outcomes"][how].as_u64())
            .sum();
        assert!(missed >= 3, "{port:#}");
    }
    drop(trickles);
    house.ends_well().await;
}

/// Starts a house whose platform is this broker.
async fn under(broker: &FloodBroker, more: &'static str) -> House {
    House::running(Plan {
        broker: Some((broker.port(), more)),
        ..Plan::default()
    })
    .await
}

/// Returns what the network between the two may hold, and what may be read in this
/// time.
fn readable(time: Duration) -> u64 {
    (16 + 4 + 2 * (time.as_secs() + 1)) * 1024 * 1024
}

#[tokio::test]
async fn a_platform_that_floods_every_topic_is_read_at_the_rate_of_a_platform() {
    let gateway = format!("{}/{}", GATEWAY.0, GATEWAY.1);
    let topics = downstream(&gateway, "a1SubDemoPk/meter-4");
    let all = topics
        .iter()
        .map(|(topic, payload)| Packets::publish(topic, payload));
    let since = Instant::now();
    let broker = FloodBroker::start(Handshake::Proper, Packets::Mixed(all.collect()), true);
    let broker = broker.unwrap();
    let mut house = under(&broker, "").await;
    house.says(&["the platform floods the connection"]).await;
    house.stands().await;
    let sent = broker.sent();
    assert!(sent < readable(since.elapsed()), "{sent} bytes");
    // The broker still receives messages, at the pace of before.
    assert!(broker.heard_on("push_reply") + broker.heard_on("_reply") > 0);
    house.ends_well().await;
}

#[tokio::test]
async fn pushes_and_orders_with_huge_ids_occupy_no_more_than_others() {
    let gateway = format!("/sys/{}/{}/thing", GATEWAY.0, GATEWAY.1);
    let id = "9".repeat(200_000);
    let huge = format!(r#"{{"id":"{{n}}{id}","params":{{}}}}"#);
    let deep = format!(r#"{{"id":{}}}"#, "[".repeat(200_000));
    let packets = [
        Packets::publish(&format!("{gateway}/config/push"), &huge),
        Packets::publish(&format!("{gateway}/topo/change"), &huge),
        Packets::publish(&format!("{gateway}/service/x"), &huge),
        Packets::publish(&format!("{gateway}/topo/change"), &deep),
        Packets::publish(&format!("/ext/rrpc/{}/x", "1".repeat(60_000)), "{}"),
        Packets::publish(
            &format!("/sys/{}/y/thing/disable", "1".repeat(60_000)),
            r#"{"id":"1"}"#,
        ),
    ];
    let broker = FloodBroker::start(Handshake::Proper, Packets::Mixed(packets.into()), true);
    let broker = broker.unwrap();
    let mut house = under(&broker, "").await;
    house.stands().await;
    house.ends_well().await;
}

#[tokio::test]
async fn acknowledgements_of_every_kind_are_read_no_faster_than_messages() {
    let kinds = Packets::KINDS.into_iter();
    let kinds = kinds.filter(|k| !matches!(k, Packets::Connack | Packets::Endless));
    let broker = FloodBroker::start(Handshake::Proper, Packets::Mixed(kinds.collect()), true);
    let broker = broker.unwrap();
    let mut house = under(&broker, "").await;
    house.says(&["the platform floods the connection"]).await;
    house.stands().await;
    house.ends_well().await;
}

#[tokio::test]
async fn a_platform_that_wants_acknowledgements_and_takes_none_costs_no_memory() {
    let topic = format!("/ext/error/{}/{}", GATEWAY.0, GATEWAY.1);
    let flood = |qos, retain| Packets::Publish {
        topic: topic.clone(),
        payload: "{}".into(),
        qos,
        retain,
    };
    let packets = Packets::Mixed(vec![flood(1, false), flood(1, true), flood(0, true)]);
    let broker = FloodBroker::start(Handshake::Proper, packets, false).unwrap();
    let mut house = under(&broker, "").await;
    house.stands().await;
    house.ends_well().await;
}

#[tokio::test]
async fn packets_that_no_broker_sends_end_the_connection() {
    for packets in [
        Packets::Connack,
        Packets::Endless,
        Packets::Publish {
            topic: "x".into(),
            payload: "{}".into(),
            qos: 2,
            retain: false,
        },
    ] {
        let broker = FloodBroker::start(Handshake::Proper, packets.clone(), true).unwrap();
        let mut house = under(&broker, "").await;
        house.beats().await;
        house.beats().await;
        // The connector makes only a few attempts a minute.
        let connections = broker.connections();
        assert!((1..8).contains(&connections), "{packets:?}: {connections}");
        assert!(rss_kib(house.gateway.id()).unwrap() < RSS_KIB);
        house.says(&["protocol"]).await;
        house.ends_well().await;
    }
}

#[tokio::test]
async fn a_greeting_that_never_ends_ends_with_its_time() {
    let url = |broker: &FloodBroker, scheme: &str| {
        format!(
            "cloud: {{ url: \"{scheme}://127.0.0.1:{}\", connect_timeout: 3s }}",
            broker.port()
        )
    };
    for (handshake, scheme) in [
        (Handshake::Never, "mqtt"),
        (Handshake::HalfConnack, "mqtt"),
        (Handshake::PacketsBefore, "mqtt"),
        (Handshake::TlsRecords, "mqtts"),
    ] {
        let broker = FloodBroker::start(handshake, Packets::Pingresp, true).unwrap();
        let house = under(&broker, "").await;
        let file = house.folder.path().join("gateway.yaml");
        let text = fs::read_to_string(&file).unwrap();
        let text = text.lines().map(|line| match line.starts_with("cloud:") {
            true => url(&broker, scheme),
            false => line.to_owned(),
        });
        fs::write(&file, text.collect::<Vec<_>>().join("\n")).unwrap();
        house.gateway.signal("HUP");
        for _ in 0..BEATS {
            house.beats().await;
        }
        assert!(rss_kib(house.gateway.id()).unwrap() < RSS_KIB);
        assert!(broker.connections() >= 2, "{handshake:?}");
        house.ends_well().await;
    }
}

/// Returns an address where no process listens.
fn free_address() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()))
}

#[tokio::test]
async fn a_scrape_waits_for_no_peer_that_only_holds_a_slot() {
    let address = free_address();
    let mut house = House::running(Plan {
        more: format!("metrics: {{ listen: \"{address}\" }}\n"),
        ..Plan::default()
    })
    .await;
    for peers in [Scraper::Silent, Scraper::Half, Scraper::TakesNothing] {
        let siege = Siege::of_metrics(address, peers, 50);
        house.beats().await;
        assert!(siege.connects() >= 50, "{peers:?}");
        for _ in 0..5 {
            let asked = Instant::now();
            let text = tokio::task::spawn_blocking(move || scrape(address, AT_ONCE));
            let text = text.await.unwrap().unwrap();
            assert!(text.starts_with("HTTP/1.1 200"), "{peers:?}: {text}");
            assert!(
                asked.elapsed() < AT_ONCE,
                "{peers:?}: {:?}",
                asked.elapsed()
            );
        }
        drop(siege);
    }
    house
        .says(&["all places for metrics over HTTP were taken"])
        .await;
    house.stands().await;
    house.ends_well().await;
}

#[tokio::test]
async fn a_question_waits_for_no_peer_that_only_holds_a_slot() {
    let mut house = House::running(Plan::default()).await;
    for peers in [
        Asker::Silent,
        Asker::Half,
        Asker::Watching(60_000),
        Asker::TakesNothing,
    ] {
        let siege = Siege::of_control(house.socket(), peers, 50);
        house.beats().await;
        for _ in 0..5 {
            let socket = house.socket();
            let asked = Instant::now();
            let question = r#"{"v":1,"ask":"status"}"#;
            let said = tokio::task::spawn_blocking(move || ask(&socket, question, AT_ONCE));
            let said = said.await.unwrap().unwrap();
            // A user other than root shares its slots with the watching peers.
            let is_mine = peers == Asker::Watching(60_000) && !is_root();
            assert!(
                said.contains(r#"{"end":{}}"#) || is_mine,
                "{peers:?}: {said}"
            );
            assert!(
                asked.elapsed() < AT_ONCE,
                "{peers:?}: {:?}",
                asked.elapsed()
            );
        }
        drop(siege);
    }
    house
        .says(&["all places at the control socket were taken"])
        .await;
    house.stands().await;
    house.ends_well().await;
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Writes serial ports that do not exist, each of which needs a thread of its own.
fn serial_ports(count: usize) -> String {
    (0..count).fold(String::new(), |mut all, n| {
        let _ = writeln!(
            all,
            "  - {{ name: s{n}, serial: {{ device: /dev/none{n} }} }}"
        );
        all
    })
}

#[tokio::test]
async fn ports_for_which_no_thread_can_be_made_wait_and_the_others_go_on() {
    if !is_root() {
        eprintln!("skipped: a limit of threads does not hold for this user alone");
        return;
    }
    // A user without other processes: the kernel counts its threads all over the
    // system.
    let user = 61_000 + std::process::id() % 4_000;
    let by = [
        "setpriv",
        &format!("--reuid={user}"),
        &format!("--regid={user}"),
        "--clear-groups",
        "prlimit",
        "--nproc=24:24",
    ]
    .map(str::to_owned);
    let mut house = House::running(Plan {
        ports: serial_ports(60),
        by: by.into(),
        ..Plan::default()
    })
    .await;
    house.says(&["none can be made", "tried again"]).await;
    house.stands().await;
    house.ends_well().await;
}

#[tokio::test]
async fn when_descriptors_run_out_ports_lose_and_people_do_not() {
    let silent = Endpoint::start(Habit::Silent).unwrap();
    let address = free_address();
    // The configuration fits the limit; no check can know that other threads use it up.
    let by = [
        "prlimit",
        "--nofile=512:512",
        "bash",
        "-c",
        "for _ in $(seq 400); do exec {taken}</dev/null; done; exec \"$@\"",
        "bash",
    ];
    let mut plan = Plan {
        by: by.map(str::to_owned).into(),
        more: format!("metrics: {{ listen: \"{address}\" }}\n"),
        ports: serial_ports(20),
        ..Plan::default()
    };
    for n in 0..60 {
        hostile(
            &mut plan,
            &format!("silent{n}"),
            silent.port(),
            Habit::Silent,
        );
    }
    let mut house = House::running(plan).await;
    house.says(&["LimitNOFILE", "tried again"]).await;
    let text = tokio::task::spawn_blocking(move || scrape(address, AT_ONCE));
    assert!(text.await.unwrap().unwrap().starts_with("HTTP/1.1 200"));
    house.stands().await;
    house.ends_well().await;
}

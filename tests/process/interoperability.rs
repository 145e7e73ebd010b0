//! The real binary, between programs of other authors: meters served by other programs
//! below, mosquitto with TLS above, in real time.
//!
//! | served by | RTU | ASCII | RTU in TCP | TCP |
//! |---|---|---|---|---|
//! | pymodbus | yes | yes | yes | yes |
//! | libmodbus | yes | it has none | it has none | yes |
//! | modbus-serial (npm) | yes | its server has none | behind socat | yes |
//!
//! Few and whole: what can be proved on virtual time is proved there. A line that a
//! process writes to stderr is awaited as an event; no test sleeps and hopes.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use crate::child::Child;
use crate::cloud::Cloud;
use crate::gateway::{self, Config, GATEWAY, PRODUCT_SECRET};
use crate::manager::Manager;
use crate::mosquitto::{self, Account, Mosquitto};
use crate::plant::{Line, Meters, SerialServer};
use crate::tools::have;
use alink_gateway::base::{Now, Rng, UnitId, Wall};
use alink_gateway::io::system::clock::Clock;
use alink_gateway::lab::bus::protocol::{BusProtocol, Meter, Plain, Year};
use alink_gateway::lab::bus::unit_kind::meter::ENERGY;
use alink_gateway::lab::bus::{Line as Wires, Pace, Rack, Unit, UnitKind};
use alink_gateway::lab::wire::{LineRig, RackRig};
use alink_gateway::spec::Table;
use tokio::net::TcpSocket;

// The other programs themselves: when one of these fails, the fault is not ours.

#[tokio::test]
async fn the_meters_answer_a_master_that_is_not_ours() {
    let tools = ["socat", "pymodbus", "libmodbus", "modbus-serial", "mbpoll"];
    if !have(&tools) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let line = Line::plug_in(folder.path(), "line1").await;
    let near = line.near.to_str().unwrap().to_owned();

    let python = Meters::pymodbus_rtu(&line, &[1, 2]).await;
    assert_eq!(
        ask(&["-m", "rtu", "-P", "none", "-a", "2"], &near).await,
        "2302"
    );
    drop(python);
    let c = Meters::libmodbus_rtu(&line, 7).await;
    assert_eq!(
        ask(&["-m", "rtu", "-P", "none", "-a", "7"], &near).await,
        "2207"
    );
    drop(c);
    let _node = Meters::modbus_serial_rtu(&line, &[8, 9]).await;
    assert_eq!(
        ask(&["-m", "rtu", "-P", "none", "-a", "9"], &near).await,
        "2109"
    );

    let python = Meters::pymodbus_tcp(&[3]).await;
    let port = python.port.unwrap().to_string();
    assert_eq!(
        ask(&["-m", "tcp", "-p", &port, "-a", "3"], "127.0.0.1").await,
        "2303"
    );
    let c = Meters::libmodbus_tcp(4).await;
    let port = c.port.unwrap().to_string();
    assert_eq!(
        ask(&["-m", "tcp", "-p", &port, "-a", "4"], "127.0.0.1").await,
        "2204"
    );
    let node = Meters::modbus_serial_tcp(&[5]).await;
    let port = node.port.unwrap().to_string();
    assert_eq!(
        ask(&["-m", "tcp", "-p", &port, "-a", "5"], "127.0.0.1").await,
        "2105"
    );
    line.unplug().await;
}

/// Reads holding register 0 by mbpoll.
async fn ask(how: &[&str], whom: &str) -> String {
    let what = ["-b", "9600", "-t", "4", "-r", "1", "-c", "1", "-1", "-q"];
    let args: Vec<&str> = how.iter().copied().chain(what).chain([whom]).collect();
    let mut mbpoll = Child::start("mbpoll", "mbpoll", &args);
    let line = mbpoll.line("a value", |l| l.starts_with("[1]:")).await;
    line.rsplit('\t').next().unwrap().to_owned()
}

#[tokio::test]
async fn the_broker_lets_in_who_signs_as_the_platform_asks_and_nobody_else() {
    let tools = ["mosquitto", "mosquitto_passwd", "mosquitto_pub", "openssl"];
    if !have(&tools) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // "gateway CONNECT with the C SDK's constant timestamp" of
    // tests/vectors/signatures.json, computed with Python's hmac module.
    let good = Account::of_gateway("a1GwDemoPk0", "gw-0001", "GwSecret0123456789abcdefABCDEF00");
    assert_eq!(
        good.password,
        "da65288d3715a1cfded152d56905d4285db5e1296c3dc56757f297cd475c93db"
    );
    let other = Account::of_gateway("a1GwDemoPk0", "gw-0001", "another secret");
    let broker = Mosquitto::start(folder.path(), std::slice::from_ref(&good)).await;
    let stranger = mosquitto::authority(folder.path(), "stranger");
    // The exit statuses of mosquitto_sub: 5 is the CONNACK's; a failed handshake is 1
    // or 8, depending on which end notices first.
    for (account, ca, ends) in [
        (&good, &broker.ca, [0, 0]),
        (&other, &broker.ca, [5, 5]),
        (&good, &stranger, [1, 8]),
    ] {
        let mut publish = Child::start(
            "mosquitto_pub",
            "mosquitto_pub",
            &[
                "-h",
                "localhost",
                "-p",
                &broker.tls.to_string(),
                "-t",
                "t",
                "-m",
                "m",
                "-V",
                "mqttv311",
                "-u",
                &account.user,
                "-P",
                &account.password,
                "--cafile",
                ca.to_str().unwrap(),
            ],
        );
        let code = publish.exit().await.code().unwrap();
        assert!(ends.contains(&code), "{code}, not one of {ends:?}");
    }
}

// The gateway between them.

const SERIAL: [&str; 3] = ["socat", "pymodbus", "libmodbus"];

#[tokio::test]
async fn meters_served_by_others_come_online_and_their_values_arrive() {
    if !have(&SERIAL) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let python_line = Line::plug_in(folder.path(), "line1").await;
    let c_line = Line::plug_in(folder.path(), "line2").await;
    let _python = Meters::pymodbus_rtu(&python_line, &[1, 2]).await;
    let _c = Meters::libmodbus_rtu(&c_line, 3).await;
    let python_rack = Meters::pymodbus_tcp(&[4, 5]).await;
    let c_rack = Meters::libmodbus_tcp(6).await;

    let cloud = Cloud::listening().await;
    let config = Config::towards(&cloud.url(), &[])
        .serial(&python_line.near, &[1, 2])
        .serial(&c_line.near, &[3])
        .tcp("rack1", python_rack.port.unwrap(), &[4, 5])
        .tcp("rack2", c_rack.port.unwrap(), &[6])
        .write(folder.path());
    cloud.knows(&config).await;
    let mut gateway = gateway::run(&config);

    cloud.sees_online(&[1, 2, 3, 4, 5, 6]).await;
    for unit in [1, 2, 4, 5] {
        cloud
            .receives(unit, "Voltage", f64::from(2300 + u16::from(unit)) / 10.0)
            .await;
        cloud
            .receives(unit, "Energy", -100_000.0 - f64::from(unit))
            .await;
        cloud.receives(unit, "Power", 1.5 * f64::from(unit)).await;
        cloud
            .receives(unit, "Frequency", 7000.0 + f64::from(unit))
            .await;
    }
    for unit in [3, 6] {
        cloud
            .receives(unit, "Voltage", f64::from(2200 + u16::from(unit)) / 10.0)
            .await;
        cloud
            .receives(unit, "Energy", -200_000.0 - f64::from(unit))
            .await;
        cloud.receives(unit, "Power", 2.5 * f64::from(unit)).await;
        cloud
            .receives(unit, "Frequency", 6000.0 + f64::from(unit))
            .await;
    }
    for unit in 1..=6 {
        cloud.receives(unit, "Relay", 1.0).await;
        cloud.receives(unit, "Door", 1.0).await;
    }

    gateway::stop(&mut gateway).await;
    assert_eq!(
        cloud.logged_out().await,
        6,
        "each was logged out, not just dropped"
    );
    cloud.is_content().await;
}

/// The gateway's registers are written and read back where they are kept by others: what a
/// master that is not ours reads there, the platform was told.
#[tokio::test]
async fn what_is_set_from_the_cloud_is_held_by_servers_that_are_not_ours() {
    if !have(&SERIAL) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let python_line = Line::plug_in(folder.path(), "line1").await;
    let c_line = Line::plug_in(folder.path(), "line2").await;
    let _python = Meters::pymodbus_rtu(&python_line, &[1]).await;
    let _c = Meters::libmodbus_rtu(&c_line, 2).await;
    let python_rack = Meters::pymodbus_tcp(&[3]).await;
    let c_rack = Meters::libmodbus_tcp(4).await;
    let cloud = Cloud::listening().await;
    let config = Config::towards(&cloud.url(), &[])
        .serial(&python_line.near, &[1])
        .serial(&c_line.near, &[2])
        .tcp("rack1", python_rack.port.unwrap(), &[3])
        .tcp("rack2", c_rack.port.unwrap(), &[4])
        .write(folder.path());
    let mut text = std::fs::read_to_string(&config).unwrap();
    for point in [
        "type: u16, scale: 0.1",
        "type: i32",
        "type: f32",
        "table: coil, address: 0, type: bool",
    ] {
        assert_eq!(text.matches(&format!("{point} }}")).count(), 1, "{point}");
        text = text.replace(&format!("{point} }}"), &format!("{point}, write: yes }}"));
    }
    std::fs::write(&config, text).unwrap();
    cloud.knows(&config).await;
    let mut gateway = gateway::run(&config);
    cloud.sees_online(&[1, 2, 3, 4]).await;
    for unit in 1..=4 {
        let value = f64::from(unit);
        let wanted = serde_json::json!({
            "Voltage": 100.5 + value, "Energy": -70_000 - i32::from(unit), "Power": 0.5 * value,
            "Relay": 0,
        });
        let answer = cloud.sets(unit, wanted.clone()).await;
        assert_eq!(answer.code, 200, "{answer:?}");
        for (point, value) in wanted.as_object().unwrap() {
            let said = &answer.data[point];
            assert_eq!(said["verdict"], "verified", "{point} {said}");
            assert_eq!(said["value"].as_f64(), value.as_f64(), "{point} {said}");
        }
        cloud.receives(unit, "Voltage", 100.5 + value).await;
    }
    gateway::stop(&mut gateway).await;
    cloud.is_content().await;
}

#[tokio::test]
async fn a_killed_gateway_starts_again_and_everyone_returns() {
    if !have(&["pymodbus"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let rack = Meters::pymodbus_tcp(&[1, 2, 3]).await;
    let cloud = Cloud::listening().await;
    let config = Config::towards(&cloud.url(), &[])
        .tcp("rack1", rack.port.unwrap(), &[1, 2, 3])
        .write(folder.path());
    cloud.knows(&config).await;

    let mut first = gateway::run(&config);
    cloud.sees_online(&[1, 2, 3]).await;
    first.signal("KILL");
    assert_eq!(first.exit().await.code(), None, "killed, not ended");
    // The platform logs out the devices whose gateway has left.
    cloud.sees_online(&[]).await;

    let mut second = gateway::run(&config);
    cloud.sees_online(&[1, 2, 3]).await;
    gateway::stop(&mut second).await;
}

#[tokio::test]
async fn ascii_and_rtu_over_tcp_are_understood_by_others() {
    if !have(&["socat", "pymodbus"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let line = Line::plug_in(folder.path(), "line1").await;
    let _ascii = Meters::pymodbus_ascii(&line, &[1, 2]).await;
    let server = Meters::pymodbus_rtu_over_tcp(&[3, 4]).await;
    let cloud = Cloud::listening().await;
    let config = Config::towards(&cloud.url(), &[])
        .ascii(&line.near, &[1, 2])
        .rtu_over_tcp("server1", server.port.unwrap(), &[3, 4])
        .write(folder.path());
    cloud.knows(&config).await;
    let mut gateway = gateway::run(&config);
    cloud.sees_online(&[1, 2, 3, 4]).await;
    for unit in [1, 2, 3, 4] {
        let voltage = f64::from(2300 + u16::from(unit)) / 10.0;
        cloud.receives(unit, "Voltage", voltage).await;
        let energy = -100_000.0 - f64::from(unit);
        cloud.receives(unit, "Energy", energy).await;
    }
    gateway::stop(&mut gateway).await;
    line.unplug().await;
}

/// Checks modbus-serial, which finds frames by silence alone: on the way through a
/// serial server its replies come in whatever pieces socat makes.
#[tokio::test]
async fn meters_in_node_are_understood_on_a_line_behind_a_serial_server_and_on_tcp() {
    if !have(&["socat", "modbus-serial"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let line = Line::plug_in(folder.path(), "line1").await;
    let _rtu = Meters::modbus_serial_rtu(&line, &[1, 2]).await;
    let far_line = Line::plug_in(folder.path(), "line2").await;
    let _behind = Meters::modbus_serial_rtu(&far_line, &[3]).await;
    let server = SerialServer::before(&far_line).await;
    let rack = Meters::modbus_serial_tcp(&[4, 5]).await;
    let cloud = Cloud::listening().await;
    let config = Config::towards(&cloud.url(), &[])
        .serial(&line.near, &[1, 2])
        .rtu_over_tcp("server1", server.port, &[3])
        .tcp("rack1", rack.port.unwrap(), &[4, 5])
        .write(folder.path());
    cloud.knows(&config).await;
    let mut gateway = gateway::run(&config);
    cloud.sees_online(&[1, 2, 3, 4, 5]).await;
    for unit in 1..=5 {
        let number = f64::from(unit);
        cloud
            .receives(unit, "Voltage", (2100.0 + number) / 10.0)
            .await;
        cloud.receives(unit, "Energy", -300_000.0 - number).await;
        cloud.receives(unit, "Power", 3.5 * number).await;
        cloud.receives(unit, "Frequency", 5000.0 + number).await;
        cloud.receives(unit, "Relay", 1.0).await;
        cloud.receives(unit, "Door", 1.0).await;
    }
    gateway::stop(&mut gateway).await;
    cloud.is_content().await;
}

/// Checks the whole way: a pair of wires with three protocols on it, the real daemon,
/// and the values at the platform in the end.
#[tokio::test]
async fn values_of_a_dlt645_meter_and_of_a_scale_arrive_beside_those_of_modbus() {
    let folder = tempfile::tempdir().unwrap();
    let tty = folder.path().join("line1");
    let clock = Clock::system();
    let begun = clock.now().wall;
    let mut line = Wires::new(Pace::standard(115_200), Rng::new(1));
    line.attach(UnitId(1), Unit::new(UnitKind::Meter, 1));
    let measured = || Unit::new(UnitKind::Meter, 2);
    line.join(BusProtocol::Dlt645(Meter::new(Year::Y2007, 2, measured())));
    let mut scale = Plain::default();
    scale.set(b"#0184\r", b">+012.508F\r");
    line.join(BusProtocol::Plain(scale));
    let mut rig = LineRig::new(line, clock);
    rig.plug_terminal(&tty).unwrap();

    let cloud = Cloud::listening().await;
    let config = Config::towards(&cloud.url(), &[])
        .serial(&tty, &[1])
        .others_on(&tty, 2, 3)
        .write(folder.path());
    cloud.knows(&config).await;
    let mut gateway = gateway::run(&config);
    cloud.sees_online(&[1, 2, 3]).await;
    assert_eq!(cloud.value(3, "Weight").await, 12.5);
    let energy = cloud.value(2, "Energy").await;
    let counted = |at: i64| {
        let now = Now {
            wall: Wall::from_millis(at),
            ..Now::default()
        };
        let word = |a| {
            measured()
                .value_at(now, Table::InputRegister, a)
                .map(f64::from)
        };
        (word(ENERGY).unwrap() * 65_536.0 + word(ENERGY + 1).unwrap()) / 100.0
    };
    let (from, to) = (begun.as_millis(), clock.now().wall.as_millis());
    assert!(
        (counted(from)..=counted(to)).contains(&energy),
        "{energy}, not {} to {}",
        counted(from),
        counted(to)
    );
    let voltage = cloud.value(1, "Voltage").await;
    assert!((200.0..260.0).contains(&voltage), "{voltage}");
    let violations = rig.with(|line, _| line.counts().silence_violations);
    assert_eq!(violations, 0);
    gateway::stop(&mut gateway).await;
    assert_eq!(cloud.logged_out().await, 3);
    cloud.is_content().await;
}

#[tokio::test]
async fn a_port_that_is_missing_at_start_and_lost_later_is_opened_when_it_appears() {
    if !have(&SERIAL) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let rack = Meters::libmodbus_tcp(9).await;
    let cloud = Cloud::listening().await;
    let config = Config::towards(&cloud.url(), &[])
        .serial(&folder.path().join("line1"), &[1, 2])
        .tcp("rack1", rack.port.unwrap(), &[9])
        .write(folder.path());
    cloud.knows(&config).await;
    let mut gateway = gateway::run(&config);
    cloud.sees_online(&[9]).await;

    for _ in 0..2 {
        let line = Line::plug_in(folder.path(), "line1").await;
        let meters = Meters::pymodbus_rtu(&line, &[1, 2]).await;
        cloud.sees_online(&[1, 2, 9]).await;
        drop(meters);
        line.unplug().await;
        cloud.sees_online(&[9]).await;
    }
    gateway::stop(&mut gateway).await;
}

#[tokio::test]
async fn a_wrong_configuration_is_told_whole_and_nothing_starts() {
    let folder = tempfile::tempdir().unwrap();
    // The address that a gateway would have called if it had started.
    let platform = TcpListener::bind("127.0.0.1:0").unwrap();
    let rack = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("mqtt://{}", platform.local_addr().unwrap());
    let config = Config::towards(&url, &["keepalive: 7".into(), "sign_method: sha256".into()])
        .tcp("rack1", rack.local_addr().unwrap().port(), &[1, 1])
        .write(folder.path());

    for verb in [&["run", "--config"][..], &["check"]] {
        let file = config.to_str().unwrap();
        let args: Vec<&str> = verb.iter().copied().chain([file]).collect();
        let mut gateway = Child::start("gateway", env!("CARGO_BIN_EXE_alink-gateway"), &args);
        assert_eq!(gateway.exit().await.code(), Some(78), "EX_CONFIG");
        for mistake in ["cloud.keepalive", "cloud.sign_method", "devices[1].unit"] {
            let told = gateway.seen().iter().any(|l| l.contains(mistake));
            assert!(told, "{verb:?} says nothing of {mistake}");
        }
        let secret = gateway.seen().iter().any(|l| l.contains(GATEWAY.2));
        assert!(!secret, "{verb:?} shows the gateway's secret");
    }
    for listener in [platform, rack] {
        listener.set_nonblocking(true).unwrap();
        let called = listener.accept().unwrap_err();
        assert_eq!(called.kind(), ErrorKind::WouldBlock, "no program connected");
    }
}

#[tokio::test]
async fn the_service_manager_hears_of_a_gateway_that_reaches_nothing() {
    let folder = tempfile::tempdir().unwrap();
    // Bound but not listening: no other process can take the port, and a client is
    // refused.
    let nobody = TcpSocket::new_v4().unwrap();
    nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let nowhere = nobody.local_addr().unwrap();
    let config = Config::towards(&format!("mqtt://{nowhere}"), &[])
        .serial(&folder.path().join("line1"), &[1])
        .tcp("rack1", nowhere.port(), &[2])
        .write(folder.path());
    let manager = Manager::listening(folder.path());
    let mut gateway = gateway::run_with(&config, &manager.environment(2_000_000));

    assert_eq!(manager.next().await, "READY=1");
    manager
        .hears("STATUS that names what is not reached", |word| {
            let named = ["cloud down", "0/2 online", "line1 DOWN", "rack1 DOWN"];
            word.starts_with("STATUS=") && named.iter().all(|n| word.contains(n))
        })
        .await;
    // No peer is reached, yet all parts move: the service must not be restarted.
    for _ in 0..3 {
        manager.hears("WATCHDOG", |word| word == "WATCHDOG=1").await;
    }
    gateway.signal("TERM");
    manager.hears("STOPPING", |word| word == "STOPPING=1").await;
    assert!(gateway.exit().await.success());
}

#[tokio::test]
async fn a_crash_leaves_no_core_with_secrets_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = TcpSocket::new_v4().unwrap();
    nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let nowhere = nobody.local_addr().unwrap();
    let config = Config::towards(&format!("mqtt://{nowhere}"), &[])
        .tcp("rack1", nowhere.port(), &[1])
        .write(folder.path());
    let crash = async |program: &str| {
        let place = folder.path().display();
        let line = format!("cd {place} && ulimit -c unlimited && exec {program}");
        let mut child = Child::start("crashing", "sh", &["-c", &line]);
        if program.contains("alink-gateway") {
            let said = |line: &str| line.contains("rack1");
            child.line("its first words of the port", said).await;
        } else {
            child.line("its first word", |line| line == "here").await;
        }
        child.signal("ABRT");
        child.exit().await.core_dumped()
    };
    // A service that ignores it leaves one here, or the test would prove nothing.
    if !crash("sh -c 'echo here; exec sleep 60'").await {
        eprintln!("process::cores: this machine writes no cores of any process");
        return;
    }
    let gateway = env!("CARGO_BIN_EXE_alink-gateway");
    assert!(!crash(&format!("{gateway} run --config {}", config.display())).await);
}

const BROKER: [&str; 4] = ["mosquitto", "mosquitto_passwd", "openssl", "pymodbus"];

/// Returns the account of the platform model.
fn platform() -> Account {
    Account {
        user: "platform".to_owned(),
        password: "of-platform".to_owned(),
    }
}

/// Starts mosquitto with accounts for the gateway and the platform model.
async fn mosquitto(folder: &Path) -> Mosquitto {
    let (product, name, secret) = GATEWAY;
    let accounts = [Account::of_gateway(product, name, secret), platform()];
    Mosquitto::start(folder, &accounts).await
}

fn over_tls(broker: &Mosquitto, ca: &Path) -> Config {
    let url = format!("mqtts://localhost:{}", broker.tls);
    let more = [
        format!("ca_file: {}", ca.display()),
        "subscriptions: broker".to_owned(),
    ];
    Config::towards(&url, &more)
}

#[tokio::test]
async fn it_does_its_job_over_tls_through_a_broker_that_is_not_ours() {
    if !have(&BROKER) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let rack = Meters::pymodbus_tcp(&[1, 2, 3]).await;
    let broker = mosquitto(folder.path()).await;
    let config = over_tls(&broker, &broker.ca)
        .tcp("rack1", rack.port.unwrap(), &[1, 2, 3])
        .write(folder.path());
    let cloud = Cloud::behind(&broker, &platform(), &config).await;
    let mut gateway = gateway::run(&config);

    cloud.sees_online(&[1, 2, 3]).await;
    cloud.receives(2, "Voltage", 230.2).await;
    gateway::stop(&mut gateway).await;
    assert_eq!(cloud.logged_out().await, 3);
    cloud.is_content().await;
}

#[tokio::test]
async fn a_broker_whose_authority_is_a_stranger_is_refused_in_words() {
    if !have(&BROKER) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let rack = Meters::pymodbus_tcp(&[1]).await;
    let mut broker = mosquitto(folder.path()).await;
    let stranger = mosquitto::authority(folder.path(), "stranger");
    let config = over_tls(&broker, &stranger)
        .tcp("rack1", rack.port.unwrap(), &[1])
        .write(folder.path());
    let mut gateway = gateway::run(&config);

    gateway
        .line("words about the certificate", |l| l.contains("certificate"))
        .await;
    // The broker has seen a handshake fail, and no password.
    broker
        .line("an unknown authority", |l| l.contains("unknown ca"))
        .await;
    assert!(!broker.seen().iter().any(|l| l.contains("CONNACK")));
    gateway::stop(&mut gateway).await;
}

#[tokio::test]
async fn a_wrong_file_changes_nothing_and_says_why_and_a_right_one_changes_what_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let mut rack = Rack::new();
    for unit in [4, 5, 6] {
        rack.attach(UnitId(unit), Unit::new(UnitKind::Marked, unit.into()));
    }
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let rack = RackRig::start(rack, anywhere, Clock::system())
        .await
        .unwrap();
    let port = rack.address().port();
    let cloud = Cloud::listening().await;
    let with = |units: &[u8]| Config::towards(&cloud.url(), &[]).tcp("rack1", port, units);
    let file = with(&[4, 5, 6]).write(folder.path());
    cloud.knows(&file).await;
    with(&[4, 5]).write(folder.path());
    let mut gateway = gateway::run(&file);
    cloud.sees_online(&[4, 5]).await;

    let right = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, right.replace("unit: 5", "unit: 500")).unwrap();
    gateway.signal("HUP");
    let refused = |l: &str| l.contains("the configuration is wrong (1 error); nothing has changed");
    gateway.line("a refusal", refused).await;
    let why = |l: &str| l.contains("devices[1].unit") && l.contains("said 500, wanted");
    gateway.line("the reason", why).await;
    cloud.sees_online(&[4, 5]).await;
    assert_eq!(cloud.logged_out().await, 0);

    with(&[5, 6]).write(folder.path());
    gateway.signal("HUP");
    let loaded = "1 device added, 1 device removed, 1 port opened anew, \
                  the connection to the platform stays";
    gateway
        .line("what has changed", |l| l.contains(loaded))
        .await;
    cloud.sees_online(&[5, 6]).await;
    assert_eq!(cloud.logged_out().await, 1);
    gateway::stop(&mut gateway).await;
    cloud.is_content().await;
}

#[tokio::test]
async fn a_gateway_with_its_products_certificate_registers_once_in_its_life() {
    if !have(&["openssl", "pymodbus"]) {
        return;
    }
    for registration in ["register", "regnwl"] {
        let folder = tempfile::tempdir().unwrap();
        let rack = Meters::pymodbus_tcp(&[1]).await;
        let cloud = Cloud::listening_with_tls(folder.path()).await;
        let more = [format!("ca_file: {}/ca.pem", folder.path().display())];
        let config = Config::towards(&cloud.secure_url(), &more)
            .registering(registration)
            .tcp("rack1", rack.port.unwrap(), &[1])
            .write(folder.path());
        cloud.knows(&config).await;
        let kept = folder.path().join("state/secrets.json");

        let mut first = gateway::run(&config);
        assert_eq!(cloud.connected(1).await, 1);
        cloud.sees_online(&[1]).await;
        let mode = kept.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let text = std::fs::read_to_string(&kept).unwrap();
        // Killed without a warning: the certificate it was given is on disk all the
        // same.
        first.signal("KILL");
        first.exit().await;
        cloud.sees_online(&[]).await;

        let mut second = gateway::run(&config);
        assert_eq!(cloud.connected(2).await, 1, "not asked again");
        cloud.sees_online(&[1]).await;
        gateway::stop(&mut second).await;
        assert_eq!(std::fs::read_to_string(&kept).unwrap(), text);
        for process in [&mut first, &mut second] {
            let log = process.seen().join("\n");
            assert!(log.contains("connected to the platform"), "{log}");
            let words = text.split('"').filter(|w| w.len() == 32);
            let told: Vec<&str> = words
                .chain([PRODUCT_SECRET])
                .filter(|w| log.contains(*w))
                .collect();
            assert_eq!(told, Vec::<&str>::new(), "in the log");
        }
        cloud.is_content().await;
    }
}

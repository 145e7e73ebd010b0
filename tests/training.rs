//! The plant and the platform of the lab as people start them, and the orders they take
//! while they run.
#![cfg(feature = "lab")]
#![expect(clippy::unwrap_used, reason = "a test says no by panicking")]

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

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
    bus.says("2 units and 1 meters of DL/T 645");
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

#[test]
fn misfortune_is_ordered_while_the_platform_runs() {
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
    platform.says("platform for 1 devices");
    for (order, told) in [
        ("throttle 60s", "Throttle"),
        ("kick a1SubDemoPk meter-1", "Kick"),
        ("reorder 200", "Reorder"),
        ("answer post 429 20s", "Answer"),
        ("cap 150", "Cap(Some(150))"),
        ("lose-session all", "LoseSession(None)"),
        ("batch-code last", "Code(Last)"),
        ("disable a1SubDemoPk meter-1", "Disable"),
        ("disable a1SubDemoPk meter-2", "no such device, connection or fault"),
        ("secret a1SubDemoPk meter-1 hush", "ChangeSecret"),
        ("say /ext/rrpc/7 {}", "no such device, connection or fault"),
        ("cut", "Cut"),
        ("heal", "Heal"),
        ("sulk", "help says what can be ordered"),
        ("help", "throttle SPAN"),
    ] {
        platform.order(order);
        platform.says(told);
    }
}

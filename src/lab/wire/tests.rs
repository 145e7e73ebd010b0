//! The shells, used by programs of other authors: mbpoll (libmodbus) and tokio-modbus.

use std::io::Write;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::process::Command;
use tokio::time::timeout;
use tokio_modbus::client::{Reader, Writer, rtu, tcp};
use tokio_modbus::slave::Slave;

use super::super::bus::{Chance, Fault, Pace, Unit, UnitBehaviour, UnitKind};
use super::*;
use crate::base::{Rng, UnitId, Wall};
use crate::spec::Table;

fn line(baud: u32) -> Line {
    let mut line = Line::new(Pace::standard(baud), Rng::new(1));
    for id in 1..=3 {
        line.attach(UnitId(id), Unit::new(UnitKind::Marked, u64::from(id)));
    }
    line
}

fn rack() -> Rack {
    let mut rack = Rack::new();
    for id in 1..=54 {
        rack.attach(UnitId(id), Unit::new(UnitKind::Marked, u64::from(id)));
    }
    rack
}

fn anywhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// Returns what mbpoll prints for each value it read; `None` if it is not installed.
async fn mbpoll(args: &[&str]) -> Option<Result<Vec<u16>, String>> {
    let ran = Command::new("mbpoll").args(args).output().await;
    let out = match ran {
        Ok(out) => out,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            skipped("mbpoll");
            return None;
        }
        Err(e) => panic!("{e}"),
    };
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    if !out.status.success() {
        return Some(Err(text + &String::from_utf8_lossy(&out.stderr)));
    }
    let value = |line: &str| {
        let (_, value) = line.strip_prefix('[')?.split_once("]:")?;
        value.split_whitespace().next()?.parse().ok()
    };
    Some(Ok(text.lines().filter_map(value).collect()))
}

/// Reports that a test was skipped, where `tests/run` looks; fails where nothing may be
/// skipped.
fn skipped(without: &str) {
    let nothing_may = std::env::var("ALINK_TESTS_REQUIRE").as_deref() == Ok("all");
    assert!(!nothing_may, "{without} is not installed");
    if let Some(list) = std::env::var_os("ALINK_TESTS_SKIPPED") {
        let mut list = std::fs::File::options().append(true).open(list).unwrap();
        let test = std::thread::current();
        let test = test.name().unwrap_or("lab::wire");
        writeln!(list, "{test}: without {without}").unwrap();
    }
}

/// Makes one transaction with unit 1, after the silence that is due.
async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    tokio::time::sleep(Duration::from_millis(5)).await;
    let request = super::super::bus::frame::seal(1, &[3, 0, 0, 0, 1]);
    stream.write_all(&request).await.unwrap();
    let mut reply = [0; 7];
    stream.read_exact(&mut reply).await.unwrap();
    assert_eq!(reply[..3], [1, 3, 2]);
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<usize> {
    stream.read(&mut [0; 64]).await
}

fn millis(from: Now, to: Now) -> std::ops::RangeInclusive<Wall> {
    from.wall..=to.wall
}

#[tokio::test]
async fn mbpoll_reads_the_line_on_a_terminal() {
    let clock = Clock::system();
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("ttyLAB0");
    let mut rig = LineRig::new(line(9600), clock);
    rig.plug_terminal(&link).unwrap();
    let tty = link.to_str().unwrap();
    let tables = [
        ("0", Table::Coil),
        ("1", Table::DiscreteInput),
        ("3", Table::InputRegister),
        ("4", Table::HoldingRegister),
    ];
    for (kind, table) in tables {
        let before = clock.now();
        let args = [
            "-m", "rtu", "-b", "9600", "-P", "none", "-a", "2", "-0", "-r", "100", "-c", "20",
            "-t", kind, "-1", "-q", tty,
        ];
        let Some(got) = mbpoll(&args).await else {
            return;
        };
        let got = got.unwrap();
        assert_eq!(got.len(), 20);
        let window = millis(before, clock.now());
        assert!(rig.with(|l, _| l.unit(UnitId(2)).unwrap().had(window, table, 100, &got)));
    }
    // No unit has this address: mbpoll times out.
    let args = [
        "-m", "rtu", "-b", "9600", "-P", "none", "-a", "9", "-o", "0.3", "-1", "-q", tty,
    ];
    let why = mbpoll(&args).await.unwrap().unwrap_err();
    assert!(why.contains("timed out"), "{why}");
    let counts = rig.with(|l, _| l.counts().clone());
    assert_eq!((counts.requests, counts.unanswered), (4, 1));
    assert_eq!((counts.silence_violations, counts.collisions), (0, 0));
}

#[tokio::test]
async fn mbpoll_reads_and_writes_the_rack() {
    let clock = Clock::system();
    let rig = RackRig::start(rack(), anywhere(), clock).await.unwrap();
    let port = rig.address().port().to_string();
    let to = |more: &[&'static str]| {
        let mut args = vec!["-m", "tcp", "-p", port.as_str(), "-0", "-1", "-q"];
        args.extend(more);
        args.push("127.0.0.1");
        args.into_iter().map(String::from).collect::<Vec<_>>()
    };
    let run = |args: Vec<String>| async move {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        mbpoll(&args).await
    };
    let before = clock.now();
    let Some(got) = run(to(&["-a", "54", "-r", "0", "-c", "125", "-t", "3"])).await else {
        return;
    };
    let got = got.unwrap();
    assert_eq!(got.len(), 125);
    let window = millis(before, clock.now());
    let table = Table::InputRegister;
    assert!(rig.with(|r, _| r.unit(UnitId(54)).unwrap().had(window, table, 0, &got)));

    let mut write = to(&["-a", "3", "-r", "7", "-t", "4"]);
    write.push("4711".into());
    run(write).await.unwrap().unwrap();
    let truth = rig.with(|r, now| {
        let unit = r.unit(UnitId(3)).unwrap();
        unit.value_at(now, Table::HoldingRegister, 7)
    });
    assert_eq!(truth, Some(4711));

    let why = run(to(&["-a", "1", "-r", "999", "-c", "2", "-t", "3"])).await;
    let why = why.unwrap().unwrap_err();
    assert!(why.contains("Illegal data address"), "{why}");
}

#[tokio::test]
async fn a_client_not_ours_reads_and_writes_the_rack() {
    let clock = Clock::system();
    let rig = RackRig::start(rack(), anywhere(), clock).await.unwrap();
    let mut client = tcp::connect_slave(rig.address(), Slave(17)).await.unwrap();
    let before = clock.now();
    let got = client.read_input_registers(10, 50).await.unwrap().unwrap();
    let window = millis(before, clock.now());
    let table = Table::InputRegister;
    assert!(rig.with(|r, _| r.unit(UnitId(17)).unwrap().had(window, table, 10, &got)));
    let bits = [true, false, true, true, false, true, false, false, true];
    client
        .write_multiple_coils(3, &bits)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(client.read_coils(3, 9).await.unwrap().unwrap(), bits);
    client
        .write_multiple_registers(0, &[1, 2, 3])
        .await
        .unwrap()
        .unwrap();
    let read = client.read_holding_registers(0, 3).await.unwrap().unwrap();
    assert_eq!(read, [1, 2, 3]);
    let no = client.read_coils(999, 2).await.unwrap().unwrap_err();
    assert_eq!(no, tokio_modbus::ExceptionCode::IllegalDataAddress);
}

#[tokio::test(start_paused = true)]
async fn a_client_not_ours_reads_the_line_on_a_pipe() {
    let clock = Clock::starting_at(Wall::from_millis(1_790_000_000_000));
    let mut rig = LineRig::new(line(9600), clock);
    let pipe = rig.plug_pipe();
    let mut client = rtu::attach_slave(pipe, Slave(3));
    for round in 0..50 {
        let before = clock.now();
        let got = client
            .read_holding_registers(round, 10)
            .await
            .unwrap()
            .unwrap();
        let after = clock.now();
        let table = Table::HoldingRegister;
        let window = millis(before, after);
        assert!(rig.with(|l, _| l.unit(UnitId(3)).unwrap().had(window, table, round, &got)));
        // 41.8 ms on the wire, 5 ms in the unit, and a timer that counts
        // whole milliseconds.
        let took = after.mono.since(before.mono);
        assert!((46..=50).contains(&took.as_millis()), "{took:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(rig.with(|l, _| l.counts().silence_violations), 0);
}

#[tokio::test(start_paused = true)]
async fn units_die_and_return_while_the_line_runs() {
    let clock = Clock::starting_at(Wall::from_millis(0));
    let mut rig = LineRig::new(line(19_200), clock);
    let mut pipe = rig.plug_pipe();
    let request = super::super::bus::frame::seal(1, &[3, 0, 0, 0, 1]);
    let mut buffer = [0; 64];
    let second = Duration::from_secs(1);
    for alive in [true, false, true] {
        rig.with(|l, _| {
            if alive {
                l.power_on(UnitId(1))
            } else {
                l.kill(UnitId(1))
            }
        });
        pipe.write_all(&request).await.unwrap();
        let reply = timeout(second, pipe.read_exact(&mut buffer[..7])).await;
        assert_eq!(reply.is_ok(), alive);
    }
    rig.unplug().await;
    assert_eq!(pipe.read(&mut buffer).await.unwrap(), 0);
    ask(&mut rig.plug_pipe()).await;
}

#[tokio::test]
async fn an_unplugged_terminal_hangs_up_and_comes_back_under_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("ttyLAB0");
    let mut rig = LineRig::new(line(115_200), Clock::system());
    let open = || {
        let path = link.to_str().unwrap();
        tokio_serial::SerialStream::open(&tokio_serial::new(path, 115_200))
    };
    for _ in 0..3 {
        rig.plug_terminal(&link).unwrap();
        let mut tty = open().unwrap();
        ask(&mut tty).await;
        // Closing and opening again is not unplugging.
        drop(tty);
        let mut tty = open().unwrap();
        ask(&mut tty).await;
        // A child process must not keep the terminal alive.
        let mut child = Command::new("sleep")
            .arg("60")
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        rig.unplug().await;
        let hung_up = timeout(Duration::from_secs(5), read(&mut tty)).await;
        assert!(matches!(hung_up, Ok(Ok(0) | Err(_))), "{hung_up:?}");
        assert!(open().is_err());
        child.kill().await.unwrap();
    }
}

#[tokio::test]
async fn a_refusing_rack_cuts_and_comes_back() {
    let rig = RackRig::start(rack(), anywhere(), Clock::system())
        .await
        .unwrap();
    let mut stream = TcpStream::connect(rig.address()).await.unwrap();
    let mut buffer = [0; 64];
    let request = [0, 1, 0, 0, 0, 6, 1, 3, 0, 0, 0, 1];
    stream.write_all(&request).await.unwrap();
    assert_eq!(stream.read(&mut buffer).await.unwrap(), 11);
    rig.with(|r, _| r.refuse = true);
    assert_eq!(stream.read(&mut buffer).await.unwrap_or(0), 0);
    let mut refused = TcpStream::connect(rig.address()).await.unwrap();
    assert_eq!(refused.read(&mut buffer).await.unwrap_or(0), 0);
    rig.with(|r, _| r.refuse = false);
    let mut stream = TcpStream::connect(rig.address()).await.unwrap();
    stream.write_all(&request).await.unwrap();
    assert_eq!(stream.read(&mut buffer).await.unwrap(), 11);
    // A connection that is cut in the middle of a reply.
    rig.with(|r, _| {
        r.unit_mut(UnitId(1)).unwrap().behaviour = UnitBehaviour {
            faults: vec![Chance {
                fault: Fault::Cut,
                permille: 1000,
            }],
            ..UnitBehaviour::default()
        };
    });
    stream.write_all(&request).await.unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(rest.len() < 11, "{rest:?}");
}

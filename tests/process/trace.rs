//! Listening to a port: the real port task, the model of a line at the other end, and a
//! witness in between that records every byte.

use crate::tools;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::child::Child;
use alink_gateway::base::{FieldEvent, Mono, PortId, Rng, UnitId, Wall};
use alink_gateway::field::modbus::tcp;
use alink_gateway::io::bus::bus_monitor::{BusMonitor, Listener, MonitoredLine};
use alink_gateway::io::bus::line::Opener;
use alink_gateway::io::bus::port::{self, PortInputs};
use alink_gateway::io::files::settings;
use alink_gateway::io::files::settings::LoadContext;
use alink_gateway::io::log::Journal;
use alink_gateway::io::store::learned::Learned;
use alink_gateway::io::system::clock::Clock;
use alink_gateway::io::system::heartbeat::Heartbeat;
use alink_gateway::lab::bus::{Chance, Fault, Line, Pace, Unit, UnitKind};
use alink_gateway::lab::wire::LineRig;
use alink_gateway::spec::{LineSpec, Spec};
use alink_gateway::trace::pcap::Capture;
use alink_gateway::trace::scope::Scope;
use alink_gateway::trace::text::{Detail, Lines};
use alink_gateway::trace::{TraceEvent, TraceEventKind, TracedProtocol, TransactionVerdict};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// Five units, of which four exist; unit 4 has no coil 9999.
const CONFIGURATION: &str = "
gateway: { product_key: a1GwDemoPk0, device_name: gw-0001, secret: hunter2 }
cloud: { url: 'mqtt://127.0.0.1:1' }
state_dir: state
ports:
  - { name: hall, serial: { device: TTY, baud: 9600, parity: even }, response_timeout: 200ms }
profiles:
  - name: meter
    product_key: a1SubDemoPk
    interval: 500ms
    points:
      - { id: Voltage, table: holding, address: 0, type: u16 }
      - { id: Energy, table: holding, address: 8, type: u32 }
devices:
  - { name: 'meter-{unit}', port: hall, units: 1-5, profile: meter, secret: hunter2 }
";

fn configuration(tty: &str) -> Spec {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.yaml");
    std::fs::write(&file, CONFIGURATION.replace("TTY", tty)).unwrap();
    settings::load_in(&file, &LoadContext::default())
        .unwrap()
        .spec
}

/// The bytes that crossed the witness, in order: whether to the line, and the byte.
type Crossed = Arc<Mutex<Vec<(bool, u8)>>>;

struct World {
    rig: LineRig,
    tap: BusMonitor,
    hub: mpsc::Receiver<FieldEvent>,
    crossed: Crossed,
    stop: CancellationToken,
}

impl World {
    async fn new() -> World {
        let spec = Arc::new(configuration("/dev/ttyUSB0"));
        let LineSpec::Serial(serial) = &spec.port(PortId(0)).unwrap().line else {
            panic!("not a serial line");
        };
        let clock = Clock::starting_at(Wall::from_millis(1_795_339_800_000));
        let mut line = Line::new(Pace::from(serial), Rng::new(7));
        for unit in 1..=4 {
            line.attach(UnitId(unit), Unit::new(UnitKind::Marked, unit.into()));
        }
        let mut rig = LineRig::new(line, clock);
        let crossed = Crossed::default();
        let (near, far) = tokio::io::duplex(64 * 1024);
        tokio::spawn(witness(far, rig.plug_pipe(), Arc::clone(&crossed)));
        let (pipes, handed_in) = mpsc::channel(1);
        pipes.send(near).await.unwrap();
        let (hub_in, hub) = mpsc::channel(64);
        let (attempted, _) = oneshot::channel();
        let stop = CancellationToken::new();
        let tap = BusMonitor::default();
        let source = MonitoredLine {
            opener: Opener::Pipes(handed_in),
            tap: tap.clone(),
        };
        tokio::spawn(port::run(
            PortId(0),
            Arc::clone(&spec),
            source,
            Learned::in_memory(),
            Rng::new(7),
            clock,
            Journal::new(spec),
            hub_in,
            Heartbeat::new("hall"),
            stop.clone(),
            attempted,
            PortInputs::default(),
        ));
        World {
            rig,
            tap,
            hub,
            crossed,
            stop,
        }
    }

    /// Lets it run; returns how many transactions ended meanwhile.
    async fn run(&mut self, span: Duration) -> u64 {
        let end = tokio::time::Instant::now() + span;
        let mut polls = 0;
        while let Ok(event) = tokio::time::timeout_at(end, self.hub.recv()).await {
            if let FieldEvent::Polled { .. } = event.expect("the port task ended") {
                polls += 1;
            }
        }
        polls
    }

    /// Makes unit 2 reply twice and with wrong bits, and unit 3 send noise before its
    /// reply.
    fn spoil(&self) {
        self.rig.with(|line, _| {
            let mut set = |unit, faults: &[(Fault, u32)]| {
                line.unit_mut(UnitId(unit)).unwrap().behaviour.faults = faults
                    .iter()
                    .map(|&(fault, permille)| Chance { fault, permille })
                    .collect();
            };
            set(2, &[(Fault::Flip, 300), (Fault::Twice, 200)]);
            set(3, &[(Fault::Noise(5), 300)]);
        });
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Passes every byte on and records it.
async fn witness(mut near: DuplexStream, mut far: DuplexStream, crossed: Crossed) {
    let (mut out, mut back) = ([0; 512], [0; 512]);
    loop {
        tokio::select! {
            biased;
            n = near.read(&mut out) => match n {
                Ok(n) if n > 0 => {
                    crossed.lock().unwrap().extend(out[..n].iter().map(|b| (true, *b)));
                    far.write_all(&out[..n]).await.unwrap();
                }
                _ => return,
            },
            n = far.read(&mut back) => match n {
                Ok(n) if n > 0 => {
                    crossed.lock().unwrap().extend(back[..n].iter().map(|b| (false, *b)));
                    near.write_all(&back[..n]).await.unwrap();
                }
                _ => return,
            },
        }
    }
}

fn drain(listener: &mut Listener) -> Vec<TraceEvent> {
    std::iter::from_fn(|| listener.try_next()).collect()
}

/// Runs a spoilt world for so long and returns what was seen in it.
async fn seen_within(span: Duration) -> (Vec<TraceEvent>, World) {
    let mut world = World::new().await;
    world.spoil();
    let mut listener = world.tap.listen().unwrap();
    let mut seen = Vec::new();
    let end = tokio::time::Instant::now() + span;
    while tokio::time::Instant::now() < end {
        world.run(Duration::from_millis(250)).await;
        seen.extend(drain(&mut listener));
    }
    (seen, world)
}

#[tokio::test(start_paused = true)]
async fn what_a_listener_hears_is_what_crossed_the_line_byte_by_byte() {
    let (seen, world) = seen_within(Duration::from_secs(20)).await;
    let mut heard = Vec::new();
    for seen in &seen {
        match &seen.what {
            TraceEventKind::Sent { bytes, .. } => heard.extend(bytes.iter().map(|b| (true, *b))),
            TraceEventKind::Received { bytes } => heard.extend(bytes.iter().map(|b| (false, *b))),
            _ => {}
        }
    }
    let crossed = world.crossed.lock().unwrap();
    assert!(heard.len() > 2_000, "{} bytes", heard.len());
    // The last bytes may be on their way.
    assert!(crossed.len() - heard.len() < 64);
    assert_eq!(heard, crossed[..heard.len()]);
    // Everything that can happen there did.
    let count = |is: fn(&TraceEventKind) -> bool| seen.iter().filter(|s| is(&s.what)).count();
    assert!(count(|w| matches!(w, TraceEventKind::Timeout)) > 3);
    let verdicts = |wanted: TransactionVerdict| {
        let is = |s: &&TraceEvent| matches!(&s.what, TraceEventKind::Verdict { verdict, .. } if *verdict == wanted);
        seen.iter().filter(is).count()
    };
    assert!(verdicts(TransactionVerdict::Answered) > 50);
    assert!(verdicts(TransactionVerdict::Silent) > 3);
    assert!(verdicts(TransactionVerdict::Garbled) > 3);
    assert_eq!(count(|w| matches!(w, TraceEventKind::Missing { .. })), 0);
    // Time never runs back.
    let begins = seen
        .iter()
        .filter(|s| !matches!(s.what, TraceEventKind::Sent { .. }));
    assert!(begins.map(|s| s.at).is_sorted());
}

#[tokio::test(start_paused = true)]
async fn who_listens_and_does_not_read_does_not_slow_the_port() {
    let minute = Duration::from_secs(60);
    let alone = World::new().await.run(minute).await;
    let mut world = World::new().await;
    let mut deaf = world.tap.listen().unwrap();
    let listened_to = world.run(minute).await;
    assert_eq!(listened_to, alone);
    // The listener is told so, as soon as it reads.
    let waited = drain(&mut deaf);
    world.run(Duration::from_secs(1)).await;
    let next = deaf.try_next().unwrap().what;
    assert!(
        matches!(next, TraceEventKind::Missing { events } if events > 100),
        "{next:?}"
    );
    assert!(waited.len() > 100);
}

#[tokio::test(start_paused = true)]
async fn a_capture_opens_in_wireshark_and_is_taken_apart_as_modbus() {
    if !tools::have(&["tshark"]) {
        return;
    }
    let (seen, _world) = seen_within(Duration::from_secs(10)).await;
    let mut capture = Capture::default();
    let mut bytes: Vec<u8> = seen.iter().flat_map(|seen| capture.on(seen)).collect();
    bytes.extend(capture.end());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bus.pcapng");
    std::fs::write(&file, bytes).unwrap();

    let packets = tshark(&file, &[]);
    let requests = seen
        .iter()
        .filter(|s| matches!(s.what, TraceEventKind::Sent { .. }))
        .count();
    let asked: Vec<_> = packets.iter().filter(|p| p.reference.is_some()).collect();
    assert_eq!(asked.len(), requests);
    let sent = seen.iter().filter_map(|s| match &s.what {
        TraceEventKind::Sent { bytes, .. } => Some((s, bytes)),
        _ => None,
    });
    for (packet, (seen, bytes)) in asked.iter().zip(sent) {
        assert_eq!(packet.function, Some(bytes[1]));
        assert_eq!(packet.unit, Some(bytes[0]));
        let millis = seen.wall.as_millis() as f64 / 1000.0;
        assert!((packet.time - millis).abs() < 0.002, "{packet:?} {millis}");
    }
    let answers = packets.iter().filter(|p| p.registers > 0).count();
    let answered = seen.iter().filter(|s| {
        matches!(
            &s.what,
            TraceEventKind::Verdict {
                verdict: TransactionVerdict::Answered,
                ..
            }
        )
    });
    assert!((50..=answers).contains(&answered.count()));
    let silent = packets
        .iter()
        .filter(|p| p.comment.contains("no reply within"));
    assert!(silent.clone().count() > 3);
    assert!(silent.clone().all(|p| p.reference.is_some()));
    assert!(packets.iter().any(|p| p.comment.contains("of no frame")));
    // The checksum is in the capture: Wireshark finds it good wherever we did.
    let checked = tshark(&file, &["-o", "mbrtu.crc_verification:TRUE"]);
    let (good, bad): (Vec<_>, Vec<_>) = checked
        .iter()
        .filter(|p| p.function.is_some())
        .partition(|p| p.crc == "1" || p.crc == "Good");
    assert!(bad.is_empty(), "{bad:?}");
    assert!(good.len() > 50);
}

/// Checks that Modbus TCP keeps its header and has a dissector of its own; a meter has
/// none, and a comment instead.
#[test]
fn a_capture_names_the_right_dissector_for_other_protocols() {
    if !tools::have(&["tshark"]) {
        return;
    }
    let turn = |protocol| TraceEventKind::Turn {
        device: "it".into(),
        place: None,
        protocol,
        reply_timeout: Duration::ZERO,
    };
    let sent = |bytes: Vec<u8>| TraceEventKind::Sent {
        bytes,
        until: Mono::START,
    };
    let answered = TraceEventKind::Verdict {
        device: "it".into(),
        verdict: TransactionVerdict::Answered,
        turnaround: None,
        values: Vec::new(),
        without: Vec::new(),
    };
    let reply = tcp::frame(9, UnitId(5), &[4, 2, 0, 7]);
    // hwhale.com/article/138066: reading the forward active energy.
    let meter = [
        0x68, 0x61, 0x01, 0, 0, 0, 0, 0x68, 0x11, 0x04, 0x33, 0x33, 0x34, 0x33, 0x14, 0x16,
    ];
    let story = [
        turn(TracedProtocol::Tcp),
        sent(tcp::frame(9, UnitId(5), &[4, 0, 3, 0, 1])),
        TraceEventKind::Received { bytes: reply },
        answered.clone(),
        turn(TracedProtocol::Dlt645),
        sent(meter.to_vec()),
        answered,
    ];
    let mut capture = Capture::default();
    let mut bytes = Vec::new();
    for what in story {
        let (at, wall) = (Mono::START, Wall::from_millis(1_795_339_800_000));
        bytes.extend(capture.on(&TraceEvent { at, wall, what }));
    }
    bytes.extend(capture.end());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bus.pcapng");
    std::fs::write(&file, bytes).unwrap();
    let packets = tshark(&file, &[]);
    let functions: Vec<_> = packets.iter().map(|p| p.function).collect();
    assert_eq!(functions, [Some(4), Some(4), None]);
    assert_eq!(packets[0].reference, Some(3));
    assert_eq!(packets[1].registers, 1);
    assert_eq!(packets[2].comment, "asks (control 11h): 00 00 01 00");
}

/// The description of a packet by tshark.
#[derive(Debug)]
struct Packet {
    time: f64,
    function: Option<u8>,
    unit: Option<u8>,
    reference: Option<u16>,
    registers: usize,
    crc: String,
    comment: String,
}

fn tshark(file: &Path, more: &[&str]) -> Vec<Packet> {
    let fields = [
        "frame.time_epoch",
        "modbus.func_code",
        "mbrtu.unit_id",
        "modbus.reference_num",
        "modbus.regval_uint16",
        "mbrtu.crc16.status",
        "frame.comment",
    ];
    let output = Command::new("tshark")
        .arg("-r")
        .arg(file)
        .args(["-T", "fields"])
        .args(fields.iter().flat_map(|f| ["-e", f]))
        .args(more)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let text = String::from_utf8(output.stdout).unwrap();
    let packet = |line: &str| {
        let cells: Vec<&str> = line.split('\t').collect();
        Packet {
            time: cells[0].parse().unwrap(),
            function: cells[1].parse().ok(),
            unit: cells[2].parse().ok(),
            reference: cells[3].parse().ok(),
            registers: cells[4].split(',').filter(|v| !v.is_empty()).count(),
            crc: cells[5].to_owned(),
            comment: cells[6].to_owned(),
        }
    };
    text.lines().map(packet).collect()
}

#[tokio::test(start_paused = true)]
async fn a_picture_agrees_with_what_the_line_counted() {
    let (seen, world) = seen_within(Duration::from_secs(10)).await;
    let mut scope = Scope::default();
    for seen in &seen {
        scope.on(seen);
    }
    let counts = world.rig.with(|line, _| line.counts().clone());
    let svg = scope.draw();
    // For people who want to look at it.
    if let Ok(path) = std::env::var("ALINK_SCOPE_TO") {
        std::fs::write(path, &svg).unwrap();
    }
    let sent = counts.requests + counts.unanswered + counts.not_understood;
    let summary = scope.summary();
    let told: u64 = summary.split(' ').next().unwrap().parse().unwrap();
    assert!(sent.abs_diff(told) <= 1, "{sent}: {summary}");
    // The model agrees that no frame was interrupted.
    assert_eq!(counts.silence_violations, 0);
    assert!(!summary.contains("too early"), "{summary}");
    for name in [
        "hall",
        "/dev/ttyUSB0, 9600 8E1",
        "unit 5",
        "no reply within",
    ] {
        assert!(svg.contains(name), "{name}");
    }
    let mut lines = Lines::new(Detail::Frames);
    let text: String = seen.iter().map(|seen| lines.on(seen)).collect();
    assert!(!text.contains("too early"), "{text}");
}

/// Checks the binary, its control socket and a line on a pseudo terminal, in real time.
#[tokio::test]
async fn the_running_service_is_listened_to_through_its_socket() {
    let folder = tempfile::tempdir().unwrap();
    let tty = folder.path().join("ttyHALL");
    let spec = configuration(tty.to_str().unwrap());
    let LineSpec::Serial(serial) = &spec.port(PortId(0)).unwrap().line else {
        panic!("not a serial line");
    };
    let clock = Clock::system();
    let mut line = Line::new(Pace::from(serial), Rng::new(7));
    for unit in 1..=4 {
        line.attach(UnitId(unit), Unit::new(UnitKind::Marked, unit.into()));
    }
    let mut rig = LineRig::new(line, clock);
    rig.plug_terminal(&tty).unwrap();
    let file = folder.path().join("gateway.yaml");
    std::fs::write(&file, CONFIGURATION.replace("TTY", tty.to_str().unwrap())).unwrap();

    let gateway = env!("CARGO_BIN_EXE_alink-gateway");
    let runtime = (
        "RUNTIME_DIRECTORY",
        folder.path().to_str().unwrap().to_owned(),
    );
    let run = ["run", "--config", file.to_str().unwrap()];
    let mut service = Child::start_with("gateway", gateway, &run, &[runtime]);
    let socket = folder.path().join("control.sock");
    let ask = |verb: &str, port: &str, more: &[&str]| {
        let mut command = tokio::process::Command::new(gateway);
        command.args([verb, port, "--socket", socket.to_str().unwrap()]);
        command
            .args(more)
            .current_dir(folder.path())
            .kill_on_drop(true);
        async move { command.output().await.unwrap() }
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    service.line("an answer", |l| l.contains("open")).await;
    while !socket.exists() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    // A request for a port that does not exist leaves existing files as they were.
    for name in ["old.pcapng", "old.svg"] {
        std::fs::write(folder.path().join(name), "of yesterday").unwrap();
    }
    for (verb, option) in [("trace", "--pcap"), ("scope", "-o")] {
        for name in ["old.pcapng", "old.svg", "new"] {
            let said = ask(verb, "hal", &["--seconds", "1", option, name]).await;
            assert_eq!(said.status.code(), Some(1));
            let why = text(&said.stderr);
            assert!(
                why.contains("no port is called \"hal\"; there is only hall"),
                "{why}"
            );
        }
    }
    assert!(!folder.path().join("new").exists());
    for name in ["old.pcapng", "old.svg"] {
        let kept = std::fs::read(folder.path().join(name)).unwrap();
        assert_eq!(kept, b"of yesterday", "{name}");
    }
    let said = ask("trace", "hall", &["--seconds", "1", "--pcap", "no/where"]).await;
    assert_eq!(said.status.code(), Some(1));
    let why = text(&said.stderr);
    assert!(
        why.contains("cannot write: no/where: No such file"),
        "{why}"
    );

    let (frames, bytes, values, picture) = tokio::join!(
        ask(
            "trace",
            "hall",
            &["--seconds", "2", "--pcap", "bus.pcapng", "--frames"]
        ),
        ask("trace", "hall", &["--seconds", "2", "--bytes"]),
        ask("trace", "hall", &["--seconds", "2", "--values"]),
        ask("scope", "hall", &["--seconds", "2", "-o", "bus.svg"]),
    );
    for said in [&frames, &bytes, &values, &picture] {
        assert!(said.status.success(), "{}", text(&said.stderr));
    }
    let frames = text(&frames.stdout);
    assert!(frames.contains("* port hall: "), "{frames}");
    assert!(
        frames.contains("→ unit 1 reads holding registers 0–9 (10)"),
        "{frames}"
    );
    assert!(frames.contains("= meter-1: answered, 2 values"), "{frames}");
    assert!(frames.contains("= meter-5: no reply"), "{frames}");
    assert!(text(&bytes.stdout).contains("→ 01 03 00 00 00 0A"));
    assert!(text(&values.stdout).contains("meter-4 Voltage = "));
    let svg = std::fs::read_to_string(folder.path().join("bus.svg")).unwrap();
    assert!(svg.ends_with("</svg>\n") && svg.contains("unit 5"));
    if tools::have(&["tshark"]) {
        let packets = tshark(&folder.path().join("bus.pcapng"), &[]);
        assert!(
            packets
                .iter()
                .any(|p| p.function == Some(3) && p.registers == 10)
        );
    }

    // Ctrl-C is an ordinary end: held packets are written.
    let capture = folder.path().join("until-now.pcapng");
    let words = [
        "trace",
        "hall",
        "--frames",
        "--socket",
        socket.to_str().unwrap(),
        "--pcap",
        capture.to_str().unwrap(),
    ];
    let mut trace = Child::start("trace", gateway, &words);
    trace.line("a request", |l| l.contains("→ unit")).await;
    trace.line("an answer", |l| l.contains("= meter-")).await;
    trace.signal("INT");
    assert!(trace.exit().await.success());
    assert!(std::fs::metadata(&capture).unwrap().len() > 200);

    // A listener that is still connected when the service stops receives the end.
    let mut trace = Child::start("trace", gateway, &words[..5]);
    trace.line("an answer", |l| l.contains("= meter-")).await;
    service.stop().await;
    trace.exit().await;
}

//! The real port task and the real fleet against simulated devices, on pipes and
//! virtual time or on a pseudo terminal or a socket, and a record of all their outputs.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use alink_gateway::base::{DeviceId, FieldEvent, Mono, PortId, Reading, Rng, Value, Wall};
use alink_gateway::fleet::{Fleet, Life, Output};
use alink_gateway::io::bus::line::Opener;
use alink_gateway::io::bus::port;
use alink_gateway::io::files::settings;
use alink_gateway::io::log::Journal;
use alink_gateway::io::store::learned::Learned;
use alink_gateway::io::system::clock::Clock;
use alink_gateway::io::system::heartbeat::Heartbeat;
use alink_gateway::lab::bus::protocol::{BusProtocol, Custom};
use alink_gateway::lab::bus::{Line, Pace, frame};
use alink_gateway::lab::wire::LineRig;
use alink_gateway::spec::{LineSpec, Spec};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::subscriber::DefaultGuard;

use super::devices::{Devices, Does, Item, datum};
use super::kinds::Way;
use super::notices::{Reader, Told, capture, journal};

/// The day on which everything happens.
const NOON: i64 = 1_790_000_000_000;

/// A point by device, item and address.
pub(crate) type Point = (usize, usize, u16);

/// Builds the installation as the gateway sees it, with these items on the devices.
pub(crate) fn installation(
    way: Way,
    alike: bool,
    interval: Duration,
    port: &str,
    devices: &[&[Item]],
) -> Spec {
    let baud = way.baud();
    let line = match way {
        Way::Rtu | Way::Meter2007 | Way::Meter1997 | Way::Raw => {
            format!("serial: {{ device: /dev/ttyLAB0, baud: {baud}, parity: even }}")
        }
        Way::Ascii => {
            format!("serial: {{ device: /dev/ttyLAB0, baud: {baud}, framing: ascii }}")
        }
        Way::RtuOverTcp => "tcp: { host: server.lab, port: 4001, framing: rtu }".into(),
        Way::AsciiOverTcp => "tcp: { host: server.lab, port: 4001, framing: ascii }".into(),
        Way::Tcp => "tcp: { host: rack.lab }".into(),
    };
    let protocol = match way {
        Way::Meter2007 => "    protocol: dlt645-2007\n",
        Way::Meter1997 => "    protocol: dlt645-1997\n",
        Way::Raw => "    protocol: raw\n",
        _ => "",
    };
    let mut text = format!(
        "gateway: {{ product_key: a1Gw, device_name: gw-1, secret: s }}\n\
         cloud: {{ url: \"mqtts://example.org\" }}\n\
         ports:\n  - {{ name: line, {line}{port} }}\nprofiles:\n"
    );
    let mut list = String::from("devices:\n");
    for (d, items) in devices.iter().enumerate() {
        let _ = write!(
            text,
            "  - name: kind{d}\n    product_key: a1Sub\n{protocol}    interval: {}ms\n",
            interval.as_millis()
        );
        if way == Way::Raw {
            text.push_str("    requests:\n");
            for i in 0..items.len() {
                let own = if alike {
                    String::new()
                } else {
                    format!(" \"{i}\"")
                };
                let _ = writeln!(
                    text,
                    "      - {{ name: q{i}, send: '\"#\" {{unit:02}} \"R{i}\" {{check}} 0D', \
                     check: {{ sum: sum8, as: hex }}, reply: {{ until: 0D, \
                     begins: '\">\" {{unit:02}}{own}', check: {{ sum: sum8, as: hex }} }} }}"
                );
            }
        }
        text.push_str("    points:\n");
        for (i, item) in items.iter().enumerate() {
            for address in &item.points {
                let what = match way {
                    Way::Meter2007 => format!("data: \"{:08X}\", format: XXXXXXXX", datum(way, i)),
                    Way::Meter1997 => format!("data: \"{:04X}\", format: XXXXXXXX", datum(way, i)),
                    Way::Raw => format!("request: q{i}, type: decimal, at: 4, length: 5"),
                    _ => format!("table: holding, address: {address}, type: u16"),
                };
                let _ = writeln!(text, "      - {{ id: d{d}i{i}p{address}, {what} }}");
            }
        }
        let who = match way {
            Way::Meter2007 | Way::Meter1997 => format!("address: \"000000{:06}\"", 123_400 + d + 1),
            _ => format!("unit: {}", d + 1),
        };
        let _ = writeln!(
            list,
            "  - {{ name: dev{d}, port: line, {who}, profile: kind{d}, secret: s }}"
        );
    }
    text.push_str(&list);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("gateway.yaml");
    std::fs::write(&file, &text).unwrap();
    match settings::load_in(&file, &settings::Surroundings::default()) {
        Ok(loaded) => loaded.spec,
        Err(report) => panic!("{report}\n{text}"),
    }
}

/// Returns the point that an identifier made by [`installation`] names.
fn place(id: &str) -> Point {
    let (device, rest) = id[1..].split_once('i').unwrap();
    let (item, address) = rest.split_once('p').unwrap();
    (
        device.parse().unwrap(),
        item.parse().unwrap(),
        address.parse().unwrap(),
    )
}

/// Tasks and files that end when it is dropped.
#[derive(Default)]
struct Kept {
    _rig: Option<LineRig>,
    _log: Option<DefaultGuard>,
    _reader: Option<Reader>,
    _dir: Option<TempDir>,
}

/// One life.
pub(crate) struct Plant {
    pub(crate) clock: Clock,
    pub(crate) spec: Arc<Spec>,
    pub(crate) devices: Arc<Mutex<Devices>>,
    hub: mpsc::Receiver<FieldEvent>,
    fleet: Fleet,
    stop: CancellationToken,
    journal: Journal,
    /// Parts that must stay for as long as the plant lives.
    _kept: Kept,
    pub(crate) told: Told,
    /// When values of each point came.
    pub(crate) values: BTreeMap<Point, Vec<Mono>>,
    /// When the fleet wanted which device online, or offline.
    pub(crate) wants: Vec<(Mono, usize, bool)>,
    /// Values that were not those of the device when it received its last request.
    pub(crate) wrong: Vec<String>,
    /// How often the port was down.
    pub(crate) downs: usize,
}

impl Plant {
    /// Begins on virtual time, on the runtime's own thread.
    pub(crate) fn new(spec: Spec, devices: Devices, seed: u64) -> Plant {
        let clock = Clock::starting_at(Wall::from_millis(NOON));
        let told = Told::default();
        let log = Some(capture(clock, told.clone()));
        let (pipes, handed_in) = mpsc::channel(1);
        let way = devices.way;
        let devices = Arc::new(Mutex::new(devices));
        let rig = if way == Way::Tcp {
            tokio::spawn(serve(Arc::clone(&devices), clock, pipes));
            None
        } else {
            let mut rig = rig(&spec, &devices, clock, seed);
            pipes.try_send(rig.plug_pipe()).unwrap();
            Some(rig)
        };
        let opener = Opener::Pipes(handed_in);
        let kept = Kept {
            _rig: rig,
            _log: log,
            ..Kept::default()
        };
        Plant::begin(spec, devices, seed, clock, opener, told, |j| j, kept)
    }

    /// Begins on a pseudo terminal, or at a socket, in real time.
    pub(crate) async fn real(mut spec: Spec, devices: Devices, seed: u64) -> Plant {
        let clock = Clock::starting_at(Wall::from_millis(NOON));
        let told = Told::default();
        let dir = tempfile::tempdir().unwrap();
        let (sink, reader) = journal(clock, told.clone(), dir.path());
        let way = devices.way;
        let devices = Arc::new(Mutex::new(devices));
        let mut lines = None;
        match &mut spec.ports[0].line {
            LineSpec::Serial(serial) => {
                serial.path = dir.path().join("ttyLAB0");
                let link = serial.path.clone();
                let mut rig = rig(&spec, &devices, clock, seed);
                rig.plug_terminal(&link).unwrap();
                lines = Some(rig);
            }
            LineSpec::Tcp(tcp) => {
                assert_eq!(way, Way::Tcp, "a serial server is not here");
                let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
                tcp.host = "127.0.0.1".into();
                tcp.port = listener.local_addr().unwrap().port();
                let devices = Arc::clone(&devices);
                tokio::spawn(async move {
                    while let Ok((stream, _)) = listener.accept().await {
                        let devices = Arc::clone(&devices);
                        tokio::spawn(async move { attend(&devices, clock, stream).await });
                    }
                });
            }
        }
        let kept = Kept {
            _rig: lines,
            _log: None,
            _reader: Some(reader),
            _dir: Some(dir),
        };
        let to = |journal: Journal| journal.to(sink);
        Plant::begin(spec, devices, seed, clock, Opener::System, told, to, kept)
    }

    #[expect(clippy::too_many_arguments, reason = "what both beginnings have made")]
    fn begin(
        spec: Spec,
        devices: Arc<Mutex<Devices>>,
        seed: u64,
        clock: Clock,
        opener: Opener,
        told: Told,
        goes: impl FnOnce(Journal) -> Journal,
        kept: Kept,
    ) -> Plant {
        let spec = Arc::new(spec);
        let journal = goes(Journal::new(Arc::clone(&spec)));
        let (hub_in, hub) = mpsc::channel(64);
        let stop = CancellationToken::new();
        let (attempted, _) = oneshot::channel();
        tokio::spawn(port::run(
            PortId(0),
            Arc::clone(&spec),
            opener,
            Learned::forgetful(),
            Rng::new(seed),
            clock,
            journal.clone(),
            hub_in,
            Heartbeat::new("line"),
            stop.clone(),
            attempted,
        ));
        let fleet = Fleet::new(&spec, clock.now());
        Plant {
            clock,
            spec,
            devices,
            hub,
            fleet,
            stop,
            journal,
            _kept: kept,
            told,
            values: BTreeMap::new(),
            wants: Vec::new(),
            wrong: Vec::new(),
            downs: 0,
        }
    }

    pub(crate) fn now(&self) -> Mono {
        self.clock.now().mono
    }

    /// Changes the devices.
    pub(crate) fn with<R>(&self, change: impl FnOnce(&mut Devices) -> R) -> R {
        change(&mut self.devices.lock().unwrap())
    }

    /// Lets this much time pass.
    pub(crate) async fn live(&mut self, span: Duration) {
        self.live_until(span, |_| false).await;
    }

    /// Lets this much time pass, or less, when `enough` holds.
    pub(crate) async fn live_until(&mut self, span: Duration, enough: impl Fn(&Plant) -> bool) {
        let end = self.now() + span;
        while self.now() < end && !enough(self) {
            let wake = self.fleet.wake_at().map_or(end, |wake| wake.at.min(end));
            let wake = wake.max(self.now() + Duration::from_millis(1));
            tokio::select! {
                biased;
                event = self.hub.recv() => {
                    let event = event.expect("the port's task ended");
                    self.note(&event);
                    self.fleet.on_field(self.clock.now(), &event);
                }
                () = self.clock.sleep_until(wake) => {}
            }
            self.fleet.on_time(self.clock.now());
            while let Some(output) = self.fleet.poll() {
                match output {
                    Output::Want { device, online, .. } => {
                        let now = self.now();
                        self.wants.push((now, device.index(), online));
                    }
                    // The notices of the fleet are logged by the hub, which is not
                    // here.
                    Output::Notice(notice) => {
                        self.journal.tell(&notice);
                    }
                }
            }
        }
    }

    fn note(&mut self, event: &FieldEvent) {
        if let FieldEvent::PortDown { .. } = event {
            self.downs += 1;
        }
        let FieldEvent::Polled { at, readings, .. } = event else {
            return;
        };
        for reading in readings {
            let device = self.spec.device(reading.device).unwrap();
            let id = &device.profile.points[usize::from(reading.point)].id;
            let point = place(id);
            self.values.entry(point).or_default().push(at.mono);
            if let Some(wrong) = self.is_wrong(point, reading, at.mono) {
                self.wrong.push(wrong);
            }
        }
    }

    /// Returns why a value is wrong. It is right if the point had it when the last
    /// request for it reached the device.
    fn is_wrong(&self, point: Point, reading: &Reading, at: Mono) -> Option<String> {
        let (device, item, address) = point;
        self.with(|devices| {
            let way = devices.way;
            // No reply comes sooner.
            let least = devices.turnaround;
            let reads = |start: u32, count: u16| match way.is_modbus() {
                true => (start..start + u32::from(count)).contains(&u32::from(address)),
                false => true,
            };
            let asked = devices.log.iter().rev().find(|r| {
                r.at + least <= at
                    && r.device == device
                    && (r.item == Some(item) || (way.is_modbus() && r.asked.function == 3))
                    && reads(r.asked.start, r.asked.count)
            });
            let value = match reading.value {
                Value::UInt(n) => n as f64,
                Value::Int(n) => n as f64,
                Value::Float(x) => x,
                _ => return Some(format!("{reading:?}")),
            };
            let there = asked.map(|r| devices.all[device].truth(r.wall, way, address));
            (there.map(|n| n as f64) != Some(value))
                .then(|| format!("at {at}: d{device}i{item}p{address} is {value}, was {there:?}"))
        })
    }

    /// Returns whether the fleet takes this device for silent now.
    pub(crate) fn is_silent(&self, device: usize) -> bool {
        let id = DeviceId(u32::try_from(device).unwrap());
        matches!(self.fleet.life(id), Some(Life::Silent { .. }))
    }

    /// Returns whether the fleet wants this device online now.
    pub(crate) fn is_online(&self, device: usize) -> bool {
        let last = self.wants.iter().rev().find(|(_, d, _)| *d == device);
        last.is_some_and(|(_, _, online)| *online)
    }

    /// Returns the end of the log of requests, for people.
    pub(crate) fn excerpt(&self, lines: usize) -> String {
        self.with(|devices| {
            let from = devices.log.len().saturating_sub(lines);
            let mut text = String::new();
            for r in &devices.log[from..] {
                let what = match r.item {
                    Some(item) => format!("item {item}"),
                    None => "not in the plan".into(),
                };
                let _ = writeln!(
                    text,
                    "  {} dev{}: function {:02x}h, {} × {} ({what}): {}",
                    r.at, r.device, r.asked.function, r.asked.start, r.asked.count, r.reply
                );
            }
            text
        })
    }
}

impl Drop for Plant {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Builds a line with these devices.
fn rig(spec: &Spec, devices: &Arc<Mutex<Devices>>, clock: Clock, seed: u64) -> LineRig {
    let (number, way) = {
        let devices = devices.lock().unwrap();
        (devices.all.len(), devices.way)
    };
    let pace = match &spec.ports[0].line {
        LineSpec::Serial(serial) => Pace::from(serial),
        LineSpec::Tcp(_) => Pace::standard(way.baud()),
    };
    let mut line = Line::new(pace, Rng::new(seed));
    // Fewer characters than the silence that ends a frame, so that no gap appears where
    // none is.
    line.set_group(2);
    for device in 0..number {
        let devices = Arc::clone(devices);
        line.join(BusProtocol::Custom(Custom::new(move |now, heard| {
            let does = devices.lock().unwrap().hear(now, device, heard);
            let says = does.into_iter().filter_map(|does| match does {
                Does::Says(said) => Some(said),
                Does::Closes(_) => None,
            });
            says.collect()
        })));
    }
    LineRig::new(line, clock)
}

/// Serves the devices behind one endpoint. Requests are answered as they come, each in
/// its own time.
async fn serve(devices: Arc<Mutex<Devices>>, clock: Clock, pipes: mpsc::Sender<DuplexStream>) {
    loop {
        let (ours, theirs) = tokio::io::duplex(4096);
        if pipes.send(ours).await.is_err() {
            return;
        }
        // The next connection can be made before the end of this one is noticed.
        let devices = Arc::clone(&devices);
        tokio::spawn(async move { attend(&devices, clock, theirs).await });
    }
}

async fn attend(
    devices: &Mutex<Devices>,
    clock: Clock,
    mut pipe: impl AsyncRead + AsyncWrite + Unpin,
) {
    let mut due: BTreeMap<(Mono, u64), Option<Vec<u8>>> = BTreeMap::new();
    let (mut inbox, mut buffer, mut count) = (Vec::new(), [0; 1024], 0);
    loop {
        let next = due.keys().next().map(|(at, _)| *at);
        tokio::select! {
            biased;
            read = pipe.read(&mut buffer) => match read {
                Ok(0) | Err(_) => return,
                Ok(n) => inbox.extend_from_slice(&buffer[..n]),
            },
            () = async { clock.sleep_until(next.unwrap()).await }, if next.is_some() => {
                let Some((_, Some(bytes))) = due.pop_first() else {
                    return;
                };
                if pipe.write_all(&bytes).await.is_err() {
                    return;
                }
            }
        }
        while let Ok(Some(message)) = frame::Mbap::take(&mut inbox) {
            let now = clock.now();
            let mut devices = devices.lock().unwrap();
            let device = usize::from(message.unit).wrapping_sub(1);
            if device >= devices.all.len() {
                continue;
            }
            for does in devices.hear(now, device, &message.seal()) {
                count += 1;
                let (after, bytes) = match does {
                    Does::Says(said) => (said.after, Some(said.bytes)),
                    Does::Closes(after) => (after, None),
                };
                due.insert((now.mono + after, count), bytes);
            }
        }
    }
}

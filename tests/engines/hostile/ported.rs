//! The port's task on pipes, on virtual time: a serial line with RTU or ASCII, the
//! same line behind a serial server, and a Modbus TCP endpoint.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use alink_gateway::base::{
    FieldEvent, LivenessEvidence, LivenessProof, Mono, PortId, Reading, Rng, Wall,
};
use alink_gateway::io::bus::line::Opener;
use alink_gateway::io::bus::port::{self, PortInputs};
use alink_gateway::io::log::Journal;
use alink_gateway::io::store::learned::Learned;
use alink_gateway::io::system::clock::Clock;
use alink_gateway::io::system::heartbeat::Heartbeat;
use alink_gateway::lab::bus::protocol::BusProtocol;
use alink_gateway::lab::bus::{ConnId, Line, Pace, Rack, RackOutput, Unit, UnitBehaviour};
use alink_gateway::lab::wire::LineRig;
use alink_gateway::spec::{Framing, LineSpec, ProfileSpec, Spec, TcpSpec};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::site::{self, Hostility, NOON};
use super::tally::Tally;

/// How often the behaviour of all units change.
const MOOD: Duration = Duration::from_secs(2);

/// How long the line is without faults at the end.
const PEACE: Duration = Duration::from_secs(60);

/// The devices and their line or endpoint.
enum Plant {
    Line(LineRig),
    Rack(Arc<Mutex<Rack>>),
}

impl Plant {
    fn unit<R>(&self, id: alink_gateway::base::UnitId, look: impl FnOnce(&Unit) -> R) -> R {
        match self {
            Plant::Line(rig) => rig.with(|line, _| {
                if let Some(unit) = line.unit(id) {
                    return look(unit);
                }
                let found = line
                    .protocols_mut()
                    .iter()
                    .find_map(|protocol| match protocol {
                        BusProtocol::Ascii(address, unit) if *address == id.0 => Some(unit),
                        _ => None,
                    });
                look(found.unwrap())
            }),
            Plant::Rack(rack) => look(rack.lock().unwrap().unit(id).unwrap()),
        }
    }

    fn each(&self, mut change: impl FnMut(&mut UnitBehaviour)) {
        match self {
            Plant::Line(rig) => rig.with(|line, _| {
                for (_, unit) in line.units_mut() {
                    change(&mut unit.behaviour);
                }
                for protocol in line.protocols_mut() {
                    if let BusProtocol::Ascii(_, unit) = protocol {
                        change(&mut unit.behaviour);
                    }
                }
            }),
            Plant::Rack(rack) => {
                let mut rack = rack.lock().unwrap();
                for id in site::IDS {
                    let id = alink_gateway::base::UnitId(id);
                    change(&mut rack.unit_mut(id).unwrap().behaviour);
                }
            }
        }
    }

    /// Returns when the last request that a unit understood began on the wire, where
    /// there is one.
    fn asked(&self) -> Option<Mono> {
        match self {
            Plant::Line(rig) => rig.with(|line, _| line.asked_at()),
            Plant::Rack(_) => None,
        }
    }

    fn faults(&self) -> BTreeMap<&'static str, u64> {
        match self {
            Plant::Line(rig) => rig.with(|line, _| line.counts().faults.clone()),
            Plant::Rack(rack) => rack.lock().unwrap().counts().faults.clone(),
        }
    }
}

/// A serial line, or an endpoint.
#[derive(Clone, Copy, Debug)]
pub(crate) enum On {
    /// RTU, at this speed, with bytes handed over in groups of so many.
    Rtu(u32, usize),
    /// ASCII likewise.
    Ascii(u32, usize),
    /// RTU at this speed behind a serial server, which cuts what it carries into
    /// pieces of its own.
    RtuOverTcp(u32),
    /// Modbus TCP.
    Tcp,
}

/// Runs one life: so many transactions with all faults, and then a time without faults.
pub(crate) fn life(on: On, seed: u64, transactions: u64, hostility: Hostility) -> Tally {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(live(on, seed, transactions, hostility))
}

async fn live(on: On, seed: u64, transactions: u64, hostility: Hostility) -> Tally {
    let mut rng = Rng::new(seed);
    let clock = Clock::starting_at(Wall::from_millis(NOON));
    let (pipes, handed_in) = mpsc::channel(1);
    let line_spec = match on {
        On::Rtu(baud, _) => LineSpec::Serial(site::serial(baud)),
        On::Ascii(baud, _) => LineSpec::Serial(site::ascii(baud)),
        On::RtuOverTcp(_) => site::server(),
        On::Tcp => site::endpoint(),
    };
    let spec = Arc::new(site::installation(line_spec));
    let plant = match on {
        On::Rtu(baud, group) => {
            let mut line = Line::new(Pace::from(&site::serial(baud)), rng.fork());
            line.set_group(group);
            for (id, unit) in site::units(seed) {
                line.attach(id, unit);
            }
            let mut rig = LineRig::new(line, clock);
            pipes.send(rig.plug_pipe()).await.unwrap();
            Plant::Line(rig)
        }
        On::Ascii(baud, group) => {
            let mut line = Line::new(Pace::from(&site::ascii(baud)), rng.fork());
            line.set_group(group);
            for (id, unit) in site::units(seed) {
                line.join(BusProtocol::Ascii(id.0, unit));
            }
            let mut rig = LineRig::new(line, clock);
            pipes.send(rig.plug_pipe()).await.unwrap();
            Plant::Line(rig)
        }
        On::RtuOverTcp(baud) => {
            let mut line = Line::new(Pace::from(&site::serial(baud)), rng.fork());
            for (id, unit) in site::units(seed) {
                line.attach(id, unit);
            }
            let mut rig = LineRig::new(line, clock);
            tokio::spawn(carry(rig.plug_pipe(), clock, rng.fork(), pipes.clone()));
            Plant::Line(rig)
        }
        On::Tcp => {
            let mut rack = Rack::new();
            for (id, unit) in site::units(seed) {
                rack.attach(id, unit);
            }
            let rack = Arc::new(Mutex::new(rack));
            tokio::spawn(serve(Arc::clone(&rack), clock, pipes.clone()));
            Plant::Rack(rack)
        }
    };
    let (hub_in, mut hub) = mpsc::channel(64);
    let stop = CancellationToken::new();
    let (attempted, _) = oneshot::channel();
    let port = tokio::spawn(port::run(
        PortId(0),
        Arc::clone(&spec),
        Opener::Pipes(handed_in),
        Learned::in_memory(),
        rng.fork(),
        clock,
        Journal::new(Arc::clone(&spec)),
        hub_in,
        Heartbeat::new("line"),
        stop.clone(),
        attempted,
        PortInputs::default(),
    ));
    let mut tally = Tally::default();
    let mut mood = Mono::START;
    while tally.transactions < transactions {
        let now = clock.now().mono;
        if now >= mood {
            plant.each(|behaviour| hostility.befall(behaviour, &mut rng));
            mood = now + MOOD;
        }
        let event = tokio::time::timeout(Duration::from_secs(60), hub.recv()).await;
        let event = event.expect("it stands still").expect("the port ended");
        note(&mut tally, &spec, &plant, &event);
    }
    tally.faults = plant.faults();
    plant.each(|behaviour| behaviour.faults.clear());
    let peace = clock.now().mono;
    let mut after = Tally::default();
    let mut seen = vec![Vec::new(); site::IDS.len()];
    let end = clock.instant(peace + PEACE);
    while let Ok(event) = tokio::time::timeout_at(end, hub.recv()).await {
        let event = event.expect("the port ended");
        note(&mut after, &spec, &plant, &event);
        if let FieldEvent::Polled {
            device,
            at,
            readings,
            ..
        } = &event
            && !readings.is_empty()
        {
            seen[device.0 as usize].push(at.mono.since(peace));
        }
    }
    tally.peace(after, &seen, PEACE);
    stop.cancel();
    port.await.expect("no panic");
    tally
}

fn note(tally: &mut Tally, spec: &Spec, plant: &Plant, event: &FieldEvent) {
    let FieldEvent::Polled {
        device,
        at,
        evidence,
        readings,
        turnaround,
    } = event
    else {
        return;
    };
    tally.heard_at(at.mono);
    match evidence {
        LivenessEvidence::Alive(LivenessProof::Late) => {
            tally.late += 1;
            return;
        }
        LivenessEvidence::Alive(_) => tally.answers += 1,
        LivenessEvidence::Missed(miss) | LivenessEvidence::RequestFailed(miss) => {
            *tally.missed.entry(format!("{miss:?}")).or_default() += 1
        }
    }
    tally.transactions += 1;
    if readings.is_empty() {
        return;
    }
    tally.values += readings.len() as u64;
    let device = spec.device(*device).unwrap();
    // The request had gone out by then, as the port saw it and as the line did: the
    // later of the two, so that an error of one does not hide an error of the other.
    let ago = turnaround.unwrap() + journey(&spec.ports[0].line, &device.profile, readings);
    let to = at.wall.as_millis();
    let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap();
    let asked = plant.asked().map(|asked| to - millis(at.mono.since(asked)));
    let from = (to - millis(ago) - 1).max(asked.unwrap_or(i64::MIN));
    let unit = device.address.unit().unwrap();
    let truth = plant.unit(unit, |unit| {
        site::were_true(unit, &device.profile, readings, from, to)
    });
    if !truth {
        let old = (1..20_000).find(|ago| {
            plant.unit(unit, |unit| {
                site::were_true(unit, &device.profile, readings, from - ago, from - ago)
            })
        });
        let points: Vec<u16> = readings.iter().map(|r| r.point).collect();
        tally.wrong.push(format!(
            "at {to}, {turnaround:?}: {} {points:?} was true {old:?} ms before {from}",
            device.name
        ));
    }
}

/// Returns how long after it has begun a reply with these readings may be accepted, and
/// stamped.
fn journey(line: &LineSpec, profile: &ProfileSpec, readings: &[Reading]) -> Duration {
    let at_of = |p: u16| &profile.points[usize::from(p)];
    let ends = readings.iter().map(|r| {
        let point = at_of(r.point);
        let start = point.address.as_modbus().unwrap().start;
        (start, start + point.codec.width())
    });
    let (first, last) = ends.fold((u16::MAX, 0), |(a, b), (c, d)| (a.min(c), b.max(d)));
    let bytes = match at_of(readings[0].point)
        .address
        .as_modbus()
        .unwrap()
        .table
        .is_bits()
    {
        true => usize::from(last - first).div_ceil(8),
        false => usize::from(last - first) * 2,
    };
    match line {
        // Behind noise the reply is accepted when the line has been silent for 35 ms.
        LineSpec::Serial(serial) if serial.framing == Framing::Rtu => {
            Pace::from(serial).characters(bytes + 5) + Duration::from_millis(37)
        }
        // A pause within the reply does not end it: up to 80 ms, and an echo before it.
        LineSpec::Serial(serial) => {
            Pace::from(serial).characters(2 * (bytes + 4) + 20) + Duration::from_millis(82)
        }
        // In pieces, at any pace; behind noise after 250 ms of silence.
        LineSpec::Tcp(TcpSpec {
            framing: Some(_), ..
        }) => Duration::from_millis(300),
        LineSpec::Tcp(_) => Duration::from_millis(37),
    }
}

/// Carries, as the serial server, the bytes of a line to one connection after the
/// other, in order and in pieces that have nothing to do with frames.
async fn carry(
    mut line: DuplexStream,
    clock: Clock,
    mut rng: Rng,
    pipes: mpsc::Sender<DuplexStream>,
) {
    loop {
        let (ours, theirs) = tokio::io::duplex(4096);
        if pipes.send(ours).await.is_err()
            || relay(&mut line, theirs, clock, &mut rng).await.is_none()
        {
            return;
        }
    }
}

/// Carries bytes until the connection ends; `None` when the line does.
async fn relay(
    line: &mut DuplexStream,
    mut net: DuplexStream,
    clock: Clock,
    rng: &mut Rng,
) -> Option<()> {
    let mut held: VecDeque<(Mono, Vec<u8>)> = VecDeque::new();
    let (mut from_line, mut from_net) = ([0; 256], [0; 1024]);
    loop {
        let due = held.front().map(|(at, _)| *at);
        tokio::select! {
            biased;
            read = net.read(&mut from_net) => match read {
                Ok(0) | Err(_) => return Some(()),
                Ok(n) => line.write_all(&from_net[..n]).await.ok()?,
            },
            read = line.read(&mut from_line) => {
                let n = read.ok().filter(|n| *n > 0)?;
                let mut rest = &from_line[..n];
                while !rest.is_empty() {
                    let (piece, behind) = rest.split_at(1 + rng.below(rest.len() as u64) as usize);
                    let free = held.back().map_or(Mono::START, |(at, _)| *at);
                    let pause = Duration::from_micros(rng.below(4000));
                    held.push_back((free.max(clock.now().mono) + pause, piece.to_vec()));
                    rest = behind;
                }
            }
            () = async { clock.sleep_until(due.unwrap()).await }, if due.is_some() => {
                let (_, piece) = held.pop_front()?;
                if net.write_all(&piece).await.is_err() {
                    return Some(());
                }
            }
        }
    }
}

/// Serves the side of the rack on one connection after the other.
async fn serve(rack: Arc<Mutex<Rack>>, clock: Clock, pipes: mpsc::Sender<DuplexStream>) {
    for id in (0..).map(ConnId) {
        let (ours, theirs) = tokio::io::duplex(4096);
        rack.lock().unwrap().on_connected(id);
        if pipes.send(ours).await.is_err() {
            return;
        }
        attend(&rack, clock, id, theirs).await;
        rack.lock().unwrap().on_closed(id);
    }
}

async fn attend(rack: &Mutex<Rack>, clock: Clock, id: ConnId, mut pipe: DuplexStream) {
    let mut buffer = [0; 1024];
    let never = Notify::new();
    loop {
        loop {
            let output = rack.lock().unwrap().poll(clock.now(), id);
            match output {
                Some(RackOutput::Bytes(bytes)) => {
                    if pipe.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
                Some(RackOutput::Close) => return,
                None => break,
            }
        }
        let wake = rack.lock().unwrap().wake_at(id);
        tokio::select! {
            biased;
            read = pipe.read(&mut buffer) => match read {
                Ok(0) | Err(_) => return,
                Ok(n) => rack.lock().unwrap().on_bytes(clock.now(), id, &buffer[..n]),
            },
            () = async {
                match wake {
                    Some(wake) => clock.sleep_until(wake.at).await,
                    None => never.notified().await,
                }
            } => {}
        }
    }
}

//! Tests the port's task on a pipe with a scripted line at the other end, on paused time.

mod commands;
mod echoes;
mod endpoints;
mod hostile;
mod late_replies;
mod losses;
mod tokio_modbus_peer;

use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::base::{
    BusWork, CommandNumber, DeviceId, Echoes, LivenessEvidence, LivenessProof, RefusedReason,
    UnitId, UnknownReason, Value, Wall, WriteVerdict,
};
use crate::field::modbus::{rtu, tcp};
use crate::field::test_spec::{installation, number, point, profile, serial, tcp};
use crate::spec::{Gap, Number, ProfileSpec, ReadBack, Table, WritePolicy};

/// A port's task and both its ends.
struct World {
    pipes: mpsc::Sender<DuplexStream>,
    hub: mpsc::Receiver<FieldEvent>,
    attempted: oneshot::Receiver<()>,
    heartbeat: Heartbeat,
    commands: mpsc::Sender<BusCommand>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

fn world(port: PortSpec, profiles: Vec<ProfileSpec>) -> World {
    let (pipes, handed_in) = mpsc::channel(8);
    world_of(port, profiles, pipes, Opener::Pipes(handed_in))
}

fn world_of(
    port: PortSpec,
    profiles: Vec<ProfileSpec>,
    pipes: mpsc::Sender<DuplexStream>,
    opener: Opener,
) -> World {
    let spec = Arc::new(installation(port, profiles));
    let (hub_in, hub) = mpsc::channel(64);
    let (told, attempted) = oneshot::channel();
    let heartbeat = Heartbeat::new("line");
    let stop = CancellationToken::new();
    let (commands, ordered) = mpsc::channel(8);
    let task = tokio::spawn(run(
        PortId(0),
        Arc::clone(&spec),
        opener,
        Learned::in_memory(),
        Rng::new(1),
        Clock::starting_at(Wall::from_millis(1_700_000_000_000)),
        Journal::new(spec),
        hub_in,
        heartbeat.clone(),
        stop.clone(),
        told,
        ordered.into(),
    ));
    World {
        pipes,
        hub,
        attempted,
        heartbeat,
        commands,
        stop,
        task,
    }
}

impl World {
    async fn plug(&self) -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(1024);
        self.pipes.send(ours).await.unwrap();
        theirs
    }

    /// Sends a command for the first point of the first device.
    async fn command(&self, value: u16) {
        let command = BusCommand {
            number: CommandNumber(value.into()),
            device: DeviceId(0),
            work: BusWork::Set(vec![(0, Value::UInt(value.into()))]),
            until: Mono::START + Duration::from_secs(1_000_000),
        };
        self.commands.send(command).await.unwrap();
    }

    /// Returns what became of the next command that ends, and its number.
    async fn command_ended(&mut self) -> (u64, WriteVerdict) {
        loop {
            if let FieldEvent::CommandEnded(end) = self.event().await {
                return (end.number.0, end.points[0].verdict.clone());
            }
        }
    }

    /// Waits for the next event, without the attempts of a port that is down.
    async fn news(&mut self) -> Option<FieldEvent> {
        loop {
            match self.hub.recv().await {
                Some(FieldEvent::PortRetried { .. }) => {}
                event => return event,
            }
        }
    }

    async fn event(&mut self) -> FieldEvent {
        loop {
            let event = timeout(Duration::from_secs(60), self.hub.recv()).await;
            match event.expect("nothing happened").expect("the task ended") {
                FieldEvent::Load { .. }
                | FieldEvent::Echoes { .. }
                | FieldEvent::Noticed { .. }
                | FieldEvent::Probes { .. } => {}
                event => return event,
            }
        }
    }

    /// Returns the next transaction's device, evidence and values.
    async fn polled(&mut self) -> (u32, LivenessEvidence, Vec<u64>) {
        loop {
            if let FieldEvent::Polled {
                device,
                evidence,
                readings,
                ..
            } = self.event().await
            {
                let values = readings.into_iter().map(|r| match r.value {
                    Value::UInt(n) => n,
                    other => panic!("{other:?}"),
                });
                return (device.0, evidence, values.collect());
            }
        }
    }
}

/// A function that returns the reply to a request.
type Answerer = fn(&[u8]) -> Vec<u8>;

/// What the line does with one request: bytes, each after so many ms.
type Script = Vec<(u64, Vec<u8>)>;

/// Answers RTU requests by a script until the line is unplugged.
fn line(
    mut pipe: DuplexStream,
    mut script: impl FnMut(usize, &[u8]) -> Script + Send + 'static,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut n = 0;
        let mut request = [0; 8];
        while pipe.read_exact(&mut request).await.is_ok() {
            for (after, bytes) in script(n, &request) {
                sleep(Duration::from_millis(after)).await;
                if pipe.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            n += 1;
        }
    })
}

/// Returns a reply whose registers all hold `value`, of the requested length.
fn reply(request: &[u8], value: u16) -> Vec<u8> {
    let count = request[5];
    let mut pdu = vec![request[1], count * 2];
    for _ in 0..count {
        pdu.extend(value.to_be_bytes());
    }
    rtu::frame(UnitId(request[0]), &pdu)
}

fn lone(address: u16) -> ProfileSpec {
    profile(vec![point(
        Table::HoldingRegister,
        address,
        number(Number::U16),
        1000,
    )])
}

/// Returns a profile with two lone registers and a pair.
fn meter_with_twins() -> ProfileSpec {
    let at = |address| point(Table::HoldingRegister, address, number(Number::U16), 1000);
    let mut p = profile(vec![at(10), at(20), at(30), at(31)]);
    p.points[2].interval = Duration::from_secs(2);
    p.points[3].interval = Duration::from_secs(2);
    apart(p)
}

/// Keeps the plan from reading points together that these tests distinguish by their first
/// address.
fn apart(mut p: ProfileSpec) -> ProfileSpec {
    p.reads.holes = vec![Gap {
        table: Table::HoldingRegister,
        first: 11,
        last: 19,
    }];
    p
}

const ANSWER: LivenessEvidence = LivenessEvidence::Alive(LivenessProof::Answer);
const SILENCE: LivenessEvidence = LivenessEvidence::Missed(MissReason::Silence);

#[tokio::test(start_paused = true)]
async fn registers_without_a_value_are_told_apart_from_those_with_one() {
    use crate::spec::{Codec, Marker, Measure};
    let marked = Codec::Measure(Box::new(Measure {
        invalid: vec![Marker::Bits(42)],
        ..Measure::of(Number::U16)
    }));
    let points = vec![
        point(Table::HoldingRegister, 7, number(Number::U16), 1000),
        point(Table::HoldingRegister, 8, marked, 1000),
    ];
    let mut w = world(serial(9600), vec![profile(points)]);
    let pipe = w.plug().await;
    line(pipe, |_, request| vec![(50, reply(request, 42))]);
    for _ in 0..2 {
        assert_eq!(w.polled().await, (0, ANSWER, vec![42]));
        let FieldEvent::NoValue { device, points, .. } = w.event().await else {
            panic!("not told");
        };
        assert_eq!((device.0, points), (0, vec![(1, "marked as invalid")]));
    }
}

#[tokio::test(start_paused = true)]
async fn values_arrive_with_the_stamp_of_their_reply() {
    let mut w = world(serial(9600), vec![lone(7)]);
    let pipe = w.plug().await;
    line(pipe, |_, request| vec![(50, reply(request, 42))]);
    assert_eq!(w.event().await, FieldEvent::PortUp { port: PortId(0) });
    let FieldEvent::Polled {
        device,
        at,
        evidence,
        readings,
        turnaround,
    } = w.event().await
    else {
        panic!()
    };
    assert_eq!((device, evidence), (DeviceId(0), ANSWER));
    assert_eq!(readings.len(), 1);
    assert_eq!(readings[0].value, Value::UInt(42));
    assert_eq!(readings[0].at, at);
    assert!(at.wall > Wall::from_millis(1_700_000_000_000));
    let turnaround = turnaround.unwrap();
    assert!(turnaround < Duration::from_millis(50), "{turnaround:?}");
    w.attempted.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_line_is_quiet_for_three_and_a_half_characters_before_each_request() {
    let mut fast = serial(9600);
    fast.response_timeout = Duration::from_millis(100);
    let profiles = vec![lone(1), lone(2), lone(3)];
    let mut w = world(fast, profiles);
    let mut pipe = w.plug().await;
    let (quiet_in, mut quiet) = mpsc::channel(64);
    tokio::spawn(async move {
        let mut last: Option<Instant> = None;
        let mut request = [0; 8];
        while pipe.read_exact(&mut request).await.is_ok() {
            if let Some(last) = last {
                let _ = quiet_in.send(last.elapsed()).await;
            }
            sleep(Duration::from_millis(12)).await;
            let _ = pipe.write_all(&reply(&request, 1)).await;
            last = Some(Instant::now());
        }
    });
    for _ in 0..12 {
        w.polled().await;
    }
    for _ in 0..10 {
        let gap = quiet.recv().await.unwrap();
        assert!(gap >= Duration::from_micros(4010), "{gap:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn stopping_interrupts_whatever_it_was_waiting_for() {
    for plugged in [true, false] {
        let w = world(serial(9600), vec![lone(1)]);
        let _pipe = if plugged { Some(w.plug().await) } else { None };
        sleep(Duration::from_millis(250)).await;
        w.stop.cancel();
        timeout(Duration::from_millis(1), w.task)
            .await
            .unwrap()
            .unwrap();
    }
}

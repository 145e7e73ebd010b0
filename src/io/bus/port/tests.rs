//! Tests the port's task on a pipe with a scripted line at the other end, on paused time.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::base::{DeviceId, Echoes, Evidence, Proof, UnitId, Value, Wall};
use crate::field::modbus::write::Entries;
use crate::field::modbus::{rtu, tcp};
use crate::field::schedule::command::{Command, End, Refused};
use crate::field::test_spec::{installation, number, point, profile, serial, tcp};
use crate::spec::{Gap, Number, ProfileSpec, Table};

/// A port's task and both its ends.
struct World {
    pipes: mpsc::Sender<DuplexStream>,
    hub: mpsc::Receiver<FieldEvent>,
    attempted: oneshot::Receiver<()>,
    heartbeat: Heartbeat,
    commands: mpsc::Sender<PortCommand>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

fn world(port: PortSpec, profiles: Vec<ProfileSpec>) -> World {
    let spec = Arc::new(installation(port, profiles));
    let (pipes, handed_in) = mpsc::channel(8);
    let (hub_in, hub) = mpsc::channel(64);
    let (told, attempted) = oneshot::channel();
    let heartbeat = Heartbeat::new("line");
    let stop = CancellationToken::new();
    let (commands, ordered) = mpsc::channel(8);
    let task = tokio::spawn(run_commanded(
        PortId(0),
        Arc::clone(&spec),
        Opener::Pipes(handed_in),
        Learned::forgetful(),
        Rng::new(1),
        Clock::starting_at(Wall::from_millis(1_700_000_000_000)),
        Journal::new(spec),
        hub_in,
        heartbeat.clone(),
        stop.clone(),
        told,
        Some(ordered),
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

    /// Sends a command for register 7 of the first device; returns the receiver of its end.
    async fn command(&self, value: u16) -> oneshot::Receiver<End> {
        let (end, ended) = oneshot::channel();
        let command = Command {
            device: DeviceId(0),
            start: 7,
            entries: Entries::Register(value),
        };
        self.commands
            .send(PortCommand { command, end })
            .await
            .unwrap();
        ended
    }

    async fn event(&mut self) -> FieldEvent {
        loop {
            let event = timeout(Duration::from_secs(60), self.hub.recv()).await;
            match event.expect("nothing happened").expect("the task ended") {
                FieldEvent::Load { .. } | FieldEvent::Echoes { .. } | FieldEvent::Probes { .. } => {
                }
                event => return event,
            }
        }
    }

    /// Returns the next transaction's device, evidence and values.
    async fn polled(&mut self) -> (u32, Evidence, Vec<u64>) {
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

const ANSWER: Evidence = Evidence::Alive(Proof::Answer);
const SILENCE: Evidence = Evidence::Missed(Miss::Silence);

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

/// Runs a unit on a line of its own that answers in order, each request after a time of its
/// own; `None`: not at all. The value is the first address of the request, and so names the
/// request that the reply belongs to.
fn sluggish(pipe: DuplexStream, mut delay: impl FnMut(usize) -> Option<u64> + Send + 'static) {
    let (mut from_master, mut to_master) = tokio::io::split(pipe);
    let (queue, mut queued) = mpsc::unbounded_channel::<([u8; 8], Instant)>();
    tokio::spawn(async move {
        let mut request = [0; 8];
        let mut n = 0;
        while from_master.read_exact(&mut request).await.is_ok() {
            n += 1;
            if let Some(ms) = delay(n) {
                let at = Instant::now() + Duration::from_millis(ms);
                let _ = queue.send((request, at));
            }
        }
    });
    tokio::spawn(async move {
        while let Some((request, at)) = queued.recv().await {
            tokio::time::sleep_until(at).await;
            let address = u16::from_be_bytes([request[2], request[3]]);
            let _ = to_master.write_all(&reply(&request, address)).await;
            sleep(Duration::from_millis(8)).await;
        }
    });
}

/// Checks that every value that arrives belongs to the point it is given to.
async fn values_are_their_own(w: &mut World, addresses: &[u64], values: usize, about: &str) {
    let mut seen = 0;
    while seen < values {
        if let FieldEvent::Polled { readings, .. } = w.event().await {
            for r in readings {
                // The last two are read together, unless one of them may be at fault.
                let address = addresses[usize::from(r.point)];
                let first = if address == 31 { 30 } else { address };
                let own = [Value::UInt(address), Value::UInt(first)];
                assert!(own.contains(&r.value), "{about}: {:?}", r.value);
                seen += 1;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_reply_never_becomes_somebodys_value() {
    // Inside the extra wait, just after it, and much later; each of the first
    // requests in turn.
    for nth in 1..=4 {
        for late in (510..4000).step_by(70) {
            let mut w = world(serial(9600), vec![meter_with_twins()]);
            let pipe = w.plug().await;
            sluggish(pipe, move |n| Some(if n == nth { late } else { 20 }));
            let about = format!("request {nth} answered after {late} ms");
            values_are_their_own(&mut w, &[10, 20, 30, 31], 20, &about).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nor_does_it_from_a_unit_with_one_shape() {
    let at = |address| point(Table::HoldingRegister, address, number(Number::U16), 1000);
    for nth in 1..=4 {
        for late in (510..5000).step_by(90) {
            let twins = apart(profile(vec![at(10), at(20)]));
            let mut w = world(serial(9600), vec![twins]);
            let pipe = w.plug().await;
            sluggish(pipe, move |n| Some(if n == nth { late } else { 20 }));
            let about = format!("request {nth} answered after {late} ms");
            values_are_their_own(&mut w, &[10, 20], 20, &about).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn random_delays_and_losses_never_make_a_wrong_value() {
    for seed in 0..300 {
        let mut w = world(serial(9600), vec![meter_with_twins()]);
        let pipe = w.plug().await;
        let mut rng = Rng::new(seed);
        sluggish(pipe, move |_| match rng.below(10) {
            0 => None,
            1 => Some(500 + rng.below(6000)),
            2 => Some(300 + rng.below(400)),
            _ => Some(5 + rng.below(100)),
        });
        let about = format!("seed {seed}");
        values_are_their_own(&mut w, &[10, 20, 30, 31], 30, &about).await;
    }
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

#[tokio::test(start_paused = true)]
async fn a_late_reply_during_anothers_turn_is_proof_of_life_of_its_sender() {
    let mut w = world(serial(9600), vec![lone(1), lone(2)]);
    let pipe = w.plug().await;
    line(pipe, |n, request| match n {
        0 => vec![],
        // The late reply of unit 1, and then that of unit 2, which was asked.
        1 => vec![
            (20, rtu::frame(UnitId(1), &[3, 2, 0, 99])),
            (20, reply(request, 2)),
        ],
        _ => vec![(20, reply(request, u16::from(request[0])))],
    });
    assert_eq!(w.polled().await, (0, SILENCE, vec![]));
    assert_eq!(w.polled().await, (1, ANSWER, vec![2]));
    assert_eq!(w.polled().await, (0, Evidence::Alive(Proof::Late), vec![]));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_the_reply_is_not_taken() {
    let script: [Answerer; 5] = [
        // Another unit, another function, another length, a spoiled frame.
        |_| rtu::frame(UnitId(9), &[3, 2, 0, 66]),
        |_| rtu::frame(UnitId(1), &[4, 2, 0, 66]),
        |_| rtu::frame(UnitId(1), &[3, 4, 0, 66, 0, 66]),
        |request| {
            let mut bad = reply(request, 66);
            bad[4] ^= 1;
            bad
        },
        // The adapter's echo and nothing else.
        |request| request.to_vec(),
    ];
    let ends = [
        Evidence::Missed(Miss::Foreign),
        Evidence::Alive(Proof::Mismatched),
        Evidence::Alive(Proof::Mismatched),
        Evidence::Missed(Miss::Garbled),
        Evidence::Missed(Miss::Silence),
    ];
    for (answer, end) in script.into_iter().zip(ends) {
        let mut w = world(serial(9600), vec![lone(1)]);
        let pipe = w.plug().await;
        line(pipe, move |_, request| vec![(20, answer(request))]);
        assert_eq!(w.polled().await, (0, end, vec![]));
    }
}

#[tokio::test(start_paused = true)]
async fn noise_and_echo_before_the_reply_do_no_harm() {
    let mut w = world(serial(9600), vec![lone(1)]);
    let pipe = w.plug().await;
    line(pipe, |n, request| {
        let good = reply(request, 5);
        match n % 4 {
            0 => vec![(20, [vec![0xFF; 25], good].concat())],
            1 => vec![(0, request.to_vec()), (20, good)],
            // Noise, a pause, then the reply.
            2 => vec![(5, vec![0; 3]), (60, good)],
            // Byte by byte.
            _ => good.iter().map(|b| (1, vec![*b])).collect(),
        }
    });
    for _ in 0..8 {
        assert_eq!(w.polled().await, (0, ANSWER, vec![5]));
    }
}

/// Returns a serial line whose adapter is configured to hear itself.
fn hearing_itself() -> PortSpec {
    let mut port = serial(9600);
    if let LineSpec::Serial(line) = &mut port.line {
        line.adapter.echo = true;
    }
    port
}

#[tokio::test(start_paused = true)]
async fn of_an_adapter_that_hears_itself_exactly_its_own_bytes_are_skipped() {
    let mut w = world(hearing_itself(), vec![lone(1)]);
    let pipe = w.plug().await;
    line(pipe, |n, request| {
        let good = reply(request, 5);
        let (head, tail) = request.split_at(n % 8);
        match n % 12 {
            // In two pieces, the second together with the reply.
            0..8 => vec![(1, head.to_vec()), (8, [tail, &good].concat())],
            // The adapter does not hear itself after all: the reply counts all the same.
            8 => vec![(20, good)],
            // A request that comes back once is an echo; if it comes back twice, the second is
            // another master's frame.
            10 => vec![(5, request.repeat(2)), (20, good)],
            _ => vec![(5, request.to_vec()), (20, good)],
        }
    });
    for n in 0..36 {
        assert_eq!(w.polled().await, (0, ANSWER, vec![5]), "{n}");
    }
}

/// Returns the echoes that a port reported when one request in four of sixteen was not heard
/// back.
async fn own_echoes(port: PortSpec) -> Echoes {
    let mut w = world(port, vec![lone(1)]);
    let pipe = w.plug().await;
    line(pipe, |n, request| {
        let good = reply(request, 5);
        match n % 4 {
            _ if n >= 16 => vec![],
            0 => vec![(20, good)],
            _ => vec![(5, request.to_vec()), (20, good)],
        }
    });
    let mut sum = Echoes::default();
    let _ = timeout(Duration::from_secs(60), async {
        while let Some(event) = w.hub.recv().await {
            if let FieldEvent::Echoes { echoes, .. } = event {
                assert_ne!(echoes, Echoes::default());
                sum.expected += echoes.expected;
                sum.unexpected += echoes.unexpected;
                sum.missed += echoes.missed;
            }
        }
    })
    .await;
    sum
}

#[tokio::test(start_paused = true)]
async fn every_echo_is_told_as_what_it_was_on_such_a_line() {
    let heard = own_echoes(hearing_itself()).await;
    assert_eq!((heard.expected, heard.unexpected), (12, 0), "{heard:?}");
    // Those four, and the requests made while no device answered.
    assert!(heard.missed > 4, "{heard:?}");
    let unasked = Echoes {
        unexpected: 12,
        ..Echoes::default()
    };
    assert_eq!(own_echoes(serial(9600)).await, unasked);
}

/// A missed reply that may still come is settled by a request that the plan does not have.
#[tokio::test(start_paused = true)]
async fn what_is_asked_besides_the_plan_is_counted() {
    let mut w = world(serial(9600), vec![lone(1)]);
    let pipe = w.plug().await;
    let besides = Arc::new(AtomicU32::new(0));
    let asked = Arc::clone(&besides);
    line(pipe, move |n, request| {
        let is_planned = request[1..6] == [3, 0, 1, 0, 1];
        asked.fetch_add(u32::from(!is_planned), Ordering::Relaxed);
        match (n, is_planned) {
            (6, _) => vec![],
            (_, true) => vec![(20, reply(request, 5))],
            (_, false) => {
                let refusal = [request[1] | 0x80, 2];
                vec![(20, rtu::frame(UnitId(request[0]), &refusal))]
            }
        }
    });
    let mut told = 0;
    let _ = timeout(Duration::from_secs(60), async {
        while let Some(event) = w.hub.recv().await {
            if let FieldEvent::Probes { count, .. } = event {
                assert_ne!(count, 0);
                told += count;
            }
        }
    })
    .await;
    assert!(told > 0);
    assert_eq!(told, besides.load(Ordering::Relaxed));
}

#[tokio::test(start_paused = true)]
async fn an_echo_alone_is_no_life() {
    let mut w = world(hearing_itself(), vec![lone(1)]);
    let pipe = w.plug().await;
    line(pipe, |_, request| vec![(5, request.to_vec())]);
    for _ in 0..8 {
        assert_eq!(w.polled().await, (0, SILENCE, vec![]));
    }
}

#[tokio::test(start_paused = true)]
async fn on_a_line_that_is_back_nobody_waits_for_its_turn() {
    let rare = profile(vec![point(
        Table::HoldingRegister,
        1,
        number(Number::U16),
        3_600_000,
    )]);
    let mut w = world(serial(9600), vec![rare]);
    for _ in 0..3 {
        let pipe = w.plug().await;
        let slave = line(pipe, |_, request| vec![(20, reply(request, 5))]);
        let plugged = Instant::now();
        assert_eq!(w.polled().await, (0, ANSWER, vec![5]));
        assert!(plugged.elapsed() < Duration::from_secs(2));
        slave.abort();
        sleep(Duration::from_secs(30)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn unplugged_the_port_is_down_once_and_up_when_it_is_back() {
    let mut w = world(serial(9600), vec![lone(1)]);
    (&mut w.attempted).await.unwrap();
    assert!(matches!(
        w.hub.recv().await,
        Some(FieldEvent::PortDown { .. })
    ));
    for _ in 0..3 {
        let pipe = w.plug().await;
        let slave = line(pipe, |_, request| vec![(20, reply(request, 5))]);
        let next = timeout(Duration::from_secs(6), w.hub.recv()).await.unwrap();
        assert_eq!(next, Some(FieldEvent::PortUp { port: PortId(0) }));
        let next = timeout(Duration::from_secs(1), w.hub.recv()).await.unwrap();
        assert!(matches!(next, Some(FieldEvent::Polled { .. })), "{next:?}");
        slave.abort();
        // The connection was idle: the loss is noticed without a request.
        let next = timeout(Duration::from_secs(1), w.hub.recv()).await.unwrap();
        assert!(
            matches!(next, Some(FieldEvent::PortDown { .. })),
            "{next:?}"
        );
        let steps = w.heartbeat.steps();
        let more = timeout(Duration::from_secs(60), w.hub.recv()).await;
        assert!(more.is_err(), "{more:?}");
        let beats = w.heartbeat.steps() - steps;
        assert!((12..200).contains(&beats), "alive, not spinning: {beats}");
    }
    w.stop.cancel();
    w.task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_back_at_once_is_nobodys_business() {
    let mut w = world(serial(9600), vec![lone(1)]);
    let pipe = w.plug().await;
    let first = line(pipe, |_, request| vec![(20, reply(request, 5))]);
    w.polled().await;
    let pipe = w.plug().await;
    line(pipe, |_, request| vec![(20, reply(request, 6))]);
    first.abort();
    let next = w.event().await;
    let FieldEvent::Polled { readings, .. } = next else {
        panic!("{next:?}")
    };
    assert_eq!(readings[0].value, Value::UInt(6));
}

#[tokio::test(start_paused = true)]
async fn an_idle_port_beats_and_reports_its_load() {
    let mut slow = lone(1);
    slow.points[0].interval = Duration::from_secs(3600);
    let mut w = world(serial(9600), vec![slow]);
    let pipe = w.plug().await;
    line(pipe, |_, request| vec![(20, reply(request, 5))]);
    w.polled().await;
    let steps = w.heartbeat.steps();
    let mut loads = 0;
    let _ = timeout(Duration::from_secs(60), async {
        while let Some(event) = w.hub.recv().await {
            loads += u32::from(matches!(
                event,
                FieldEvent::Load {
                    permille: 0..=10,
                    ..
                }
            ));
        }
    })
    .await;
    assert!(loads >= 11, "{loads}");
    assert!(w.heartbeat.steps() - steps >= 11);
}

#[tokio::test(start_paused = true)]
async fn a_dead_device_costs_its_neighbour_no_polls() {
    let mut w = world(serial(9600), vec![lone(1), lone(2)]);
    let pipe = w.plug().await;
    line(pipe, |_, request| match request[0] {
        1 => vec![],
        _ => vec![(20, reply(request, 2))],
    });
    let start = Instant::now();
    let mut answers = 0;
    while start.elapsed() < Duration::from_secs(100) {
        answers += u32::from(w.polled().await == (1, ANSWER, vec![2]));
    }
    assert!(answers >= 99, "{answers}");
}

/// Answers requests of Modbus TCP, which are 12 bytes long.
fn rack(
    mut pipe: DuplexStream,
    mut script: impl FnMut(usize, u16, u8) -> Script + Send + 'static,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut n = 0;
        let mut request = [0; 12];
        while pipe.read_exact(&mut request).await.is_ok() {
            let id = u16::from_be_bytes([request[0], request[1]]);
            for (after, bytes) in script(n, id, request[6]) {
                sleep(Duration::from_millis(after)).await;
                if pipe.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            n += 1;
        }
    })
}

#[tokio::test(start_paused = true)]
async fn on_tcp_a_late_reply_is_dropped_and_the_connection_goes_on() {
    let mut w = world(tcp(), vec![lone(1), lone(2)]);
    let pipe = w.plug().await;
    rack(pipe, |n, id, unit| {
        let good = tcp::frame(id, UnitId(unit), &[3, 2, 0, unit]);
        match n {
            0 => vec![],
            1 => vec![
                (5, tcp::frame(id - 1, UnitId(unit - 1), &[3, 2, 0, 99])),
                (5, good),
            ],
            _ => vec![(5, good)],
        }
    });
    assert_eq!(w.polled().await, (0, SILENCE, vec![]));
    assert_eq!(w.polled().await, (1, ANSWER, vec![2]));
    assert_eq!(w.polled().await, (0, Evidence::Alive(Proof::Late), vec![]));
    assert_eq!(w.polled().await, (0, ANSWER, vec![1]));
}

#[tokio::test(start_paused = true)]
async fn on_tcp_what_is_not_modbus_ends_the_connection() {
    let mut w = world(tcp(), vec![lone(1)]);
    let pipe = w.plug().await;
    rack(pipe, |_, _, _| {
        vec![(5, b"HTTP/1.1 400 Bad Request".to_vec())]
    });
    // The reply might still be found in the next ones.
    let garbled = Evidence::Missed(Miss::Garbled);
    assert_eq!(w.polled().await, (0, garbled, vec![]));
    assert_eq!(w.polled().await, (0, garbled, vec![]));
    let lost = Evidence::Missed(Miss::ConnectionLost);
    assert_eq!(w.polled().await, (0, lost, vec![]));
    let next = w.event().await;
    let FieldEvent::PortDown { why, .. } = next else {
        panic!("{next:?}")
    };
    let seen = "48 54 54 50 2F 31 2E 31 20 34 30 30 20 42 61 64";
    assert_eq!(why, format!("what it sends is not Modbus TCP: {seen}"));
}

#[tokio::test(start_paused = true)]
async fn a_tcp_connection_on_which_nobody_answers_is_made_anew() {
    let mut w = world(tcp(), vec![lone(1)]);
    let deaf = w.plug().await;
    let pipe = w.plug().await;
    rack(pipe, |_, id, unit| {
        vec![(5, tcp::frame(id, UnitId(unit), &[3, 2, 0, 7]))]
    });
    for _ in 0..3 {
        assert_eq!(w.polled().await, (0, SILENCE, vec![]));
    }
    assert_eq!(w.polled().await, (0, ANSWER, vec![7]));
    drop(deaf);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_closed_while_idle_is_no_miss() {
    let mut w = world(tcp(), vec![lone(1)]);
    let mut first = w.plug().await;
    let second = w.plug().await;
    tokio::spawn(async move {
        let mut request = [0; 12];
        first.read_exact(&mut request).await.unwrap();
        let id = u16::from_be_bytes([request[0], request[1]]);
        let reply = tcp::frame(id, UnitId(1), &[3, 2, 0, 7]);
        first.write_all(&reply).await.unwrap();
    });
    rack(second, |_, id, unit| {
        vec![(5, tcp::frame(id, UnitId(unit), &[3, 2, 0, 8]))]
    });
    assert_eq!(w.event().await, FieldEvent::PortUp { port: PortId(0) });
    assert_eq!(w.polled().await, (0, ANSWER, vec![7]));
    for _ in 0..3 {
        let FieldEvent::Polled { readings, .. } = w.event().await else {
            panic!()
        };
        assert_eq!(readings[0].value, Value::UInt(8));
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

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_only_hangs_up_is_down_once() {
    let mut w = world(tcp(), vec![lone(1)]);
    let first = w.plug().await;
    let pipes = w.pipes.clone();
    tokio::spawn(async move {
        sleep(Duration::from_millis(1)).await;
        drop(first);
        loop {
            let (ours, theirs) = tokio::io::duplex(64);
            if pipes.send(ours).await.is_err() {
                return;
            }
            sleep(Duration::from_millis(1)).await;
            drop(theirs);
        }
    });
    assert_eq!(w.event().await, FieldEvent::PortUp { port: PortId(0) });
    let (mut downs, mut ups) = (0, 0);
    let _ = timeout(Duration::from_secs(600), async {
        while let Some(event) = w.hub.recv().await {
            downs += u32::from(matches!(event, FieldEvent::PortDown { .. }));
            ups += u32::from(matches!(event, FieldEvent::PortUp { .. }));
        }
    })
    .await;
    assert_eq!((downs, ups), (1, 0));
}

/// Does to replies all that a two-wire line does, short of forging a checksum.
fn hostile(pipe: DuplexStream, seed: u64) {
    let mut rng = Rng::new(seed);
    let (mut from_master, mut to_master) = tokio::io::split(pipe);
    let (wire, mut on_wire) = mpsc::unbounded_channel::<Vec<u8>>();
    tokio::spawn(async move {
        while let Some(bytes) = on_wire.recv().await {
            if to_master.write_all(&bytes).await.is_err() {
                return;
            }
        }
    });
    tokio::spawn(async move {
        // Each unit answers in order, on its own time.
        let mut units: std::collections::BTreeMap<u8, mpsc::UnboundedSender<_>> =
            std::collections::BTreeMap::new();
        let mut request = [0; 8];
        while from_master.read_exact(&mut request).await.is_ok() {
            let unit = units.entry(request[0]).or_insert_with(|| {
                let (queue, mut queued) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
                let wire = wire.clone();
                tokio::spawn(async move {
                    while let Some((at, bytes)) = queued.recv().await {
                        tokio::time::sleep_until(at).await;
                        let _ = wire.send(bytes);
                        sleep(Duration::from_millis(3)).await;
                    }
                });
                queue
            });
            // The value identifies unit and address.
            let address = u16::from_be_bytes([request[2], request[3]]);
            let good = reply(&request, u16::from(request[0]) * 100 + address);
            let echo = rng.chance(100).then(|| request.to_vec());
            let noise = |rng: &mut Rng| (0..rng.below(9)).map(|_| rng.next_u64() as u8).collect();
            let mut delay = 5 + rng.below(60);
            let bytes = match rng.below(24) {
                0 => continue,
                1 => good[..rng.below(good.len() as u64) as usize].to_vec(),
                2 => {
                    let mut spoiled = good;
                    let bit = rng.below(spoiled.len() as u64 * 8) as usize;
                    spoiled[bit / 8] ^= 1 << (bit % 8);
                    spoiled
                }
                3 => rtu::frame(UnitId(9), &[3, 2, 0, 0]),
                4 => [good.clone(), good].concat(),
                5 => [noise(&mut rng), good].concat(),
                6 => [good, noise(&mut rng)].concat(),
                7 => rtu::frame(UnitId(request[0]), &[request[1] | 0x80, 6]),
                8 | 9 => {
                    delay = 400 + rng.below(3000);
                    good
                }
                _ => good,
            };
            if let Some(echo) = echo {
                let _ = wire.send(echo);
            }
            let _ = unit.send((Instant::now() + Duration::from_millis(delay), bytes));
        }
    });
}

#[tokio::test(start_paused = true)]
async fn a_hostile_line_yields_no_wrong_value_and_no_standstill() {
    for seed in 0..40 {
        let mut w = world(serial(9600), vec![meter_with_twins(); 3]);
        hostile(w.plug().await, seed);
        let mut values = 0;
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(120) {
            if let FieldEvent::Polled { readings, .. } = w.event().await {
                for r in readings {
                    let unit = u64::from(r.device.0 + 1) * 100;
                    let addresses: &[u64] =
                        [&[10][..], &[20], &[30], &[30, 31]][usize::from(r.point)];
                    let own = |address| r.value == Value::UInt(unit + address);
                    assert!(
                        addresses.iter().any(|a| own(*a)),
                        "seed {seed}: {:?}",
                        r.value
                    );
                    values += 1;
                }
            }
        }
        // Three in ten requests fail, and each failure costs its unit a second
        // or more; what matters is that it goes on.
        assert!(values > 120, "seed {seed}: {values}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_echo_confirms_no_command_on_a_line_that_was_heard_to_echo() {
    for does_it in [true, false] {
        let mut w = world(serial(9600), vec![lone(1)]);
        let pipe = w.plug().await;
        line(pipe, move |_, request| match request[1] {
            6 if does_it => vec![(1, request.to_vec()), (20, request.to_vec())],
            6 => vec![(1, request.to_vec())],
            _ => vec![(1, request.to_vec()), (20, reply(request, 5))],
        });
        assert_eq!(w.polled().await, (0, ANSWER, vec![5]));
        let end = w.command(3).await.await.unwrap();
        let wanted = match does_it {
            true => End::Confirmed,
            false => End::Unanswered(Miss::Silence),
        };
        assert_eq!(end, wanted);
    }
}

#[tokio::test(start_paused = true)]
async fn a_command_that_was_on_the_wire_when_the_line_was_lost_is_open_and_the_next_not_sent() {
    let mut w = world(serial(9600), vec![lone(1)]);
    let pipe = w.plug().await;
    let (heard_in, mut heard) = mpsc::channel(1);
    let slave = line(pipe, move |_, request| match request[1] {
        6 => {
            let _ = heard_in.try_send(());
            vec![]
        }
        _ => vec![(20, reply(request, 5))],
    });
    assert_eq!(w.polled().await, (0, ANSWER, vec![5]));
    let first = w.command(3).await;
    let second = w.command(4).await;
    heard.recv().await.unwrap();
    slave.abort();
    let lost = End::Unanswered(Miss::ConnectionLost);
    assert_eq!(first.await.unwrap(), lost);
    assert_eq!(second.await.unwrap(), End::Refused(Refused::LineDown));
    let third = w.command(5).await;
    assert_eq!(third.await.unwrap(), End::Refused(Refused::LineDown));
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_command_when_the_port_ends_is_not_left_waiting() {
    let mut w = world(serial(9600), vec![lone(1)]);
    let pipe = w.plug().await;
    line(pipe, |_, request| match request[1] {
        6 => vec![],
        _ => vec![(20, reply(request, 5))],
    });
    assert_eq!(w.polled().await, (0, ANSWER, vec![5]));
    let end = w.command(3).await;
    w.stop.cancel();
    assert!(end.await.is_err());
}

/// Sends foreign frames without end.
async fn flood(mut pipe: DuplexStream, answers: usize) {
    let mut request = [0; 12];
    for _ in 0..answers {
        if pipe.read_exact(&mut request).await.is_err() {
            return;
        }
        let id = u16::from_be_bytes([request[0], request[1]]);
        let reply = tcp::frame(id, UnitId(request[6]), &[3, 2, 0, 7]);
        pipe.write_all(&reply).await.unwrap();
    }
    let frames: Vec<u8> = (0..64)
        .flat_map(|id| tcp::frame(0x4000 + id, UnitId(1), &[3, 2, 0, 1]))
        .collect();
    while pipe.write_all(&frames).await.is_ok() {}
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_floods_is_cut_for_that_reason_and_connected_to_ever_more_rarely() {
    for answers in [0, 1] {
        let mut w = world(tcp(), vec![lone(1)]);
        tokio::spawn(flood(w.plug().await, answers));
        let connections = Arc::new(AtomicU32::new(0));
        let (count, pipes) = (Arc::clone(&connections), w.pipes.clone());
        tokio::spawn(async move {
            loop {
                let (ours, theirs) = tokio::io::duplex(1024);
                if pipes.send(ours).await.is_err() {
                    return;
                }
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(flood(theirs, answers));
            }
        });
        let (mut lost, mut values) = (0, 0);
        let _ = timeout(Duration::from_secs(120), async {
            loop {
                match w.event().await {
                    FieldEvent::PortDown { why, .. } => {
                        assert!(why.starts_with("it floods: "), "{why}");
                        lost += 1;
                    }
                    FieldEvent::Polled { readings, .. } => values += readings.len(),
                    _ => {}
                }
            }
        })
        .await;
        // Eight are in the channel to begin with; then each 5 s at the most often.
        let connections = connections.load(Ordering::SeqCst);
        assert!((20..60).contains(&connections), "{connections}");
        match answers {
            0 => assert!(lost >= 1 && values == 0, "{lost} {values}"),
            _ => assert!(values >= 10, "{values}"),
        }
        assert!(w.heartbeat.steps() > 20);
    }
}

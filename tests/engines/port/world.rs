//! A line of marked units on a pipe, and the real port task that polls it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use alink_gateway::base::{
    BusCommand, BusEnd, BusWork, CommandNumber, DeviceId, FieldEvent, LivenessEvidence,
    LivenessProof, Now, PortId, Reading, Rng, UnitId, Value, Wall,
};
use alink_gateway::io::bus::bus_monitor::{BusMonitor, MonitoredLine};
use alink_gateway::io::bus::line::Opener;
use alink_gateway::io::bus::port;
use alink_gateway::io::log::Journal;
use alink_gateway::io::store::learned::Learned;
use alink_gateway::io::system::clock::Clock;
use alink_gateway::io::system::heartbeat::Heartbeat;
use alink_gateway::lab::bus::protocol::BusProtocol;
use alink_gateway::lab::bus::{Chance, Fault, Line, Pace, Unit, UnitKind};
use alink_gateway::lab::wire::LineRig;
use alink_gateway::spec::*;
use tokio::io::DuplexStream;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::installation::{number, point, profile};

/// The response timeout.
pub(crate) const TIMEOUT: Duration = Duration::from_millis(300);

/// Milliseconds from the moment a unit looks at its registers until the reply is
/// complete: it may begin as late as the timeout, and then some sixty characters
/// follow, with a pause in the middle.
pub(crate) const JOURNEY: i64 = 300 + 75 + 25;

/// A line of marked units, the port task that polls it, and the events of the task.
pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) rig: LineRig,
    pub(crate) tap: BusMonitor,
    pub(crate) spec: Arc<Spec>,
    pub(crate) pipes: mpsc::Sender<DuplexStream>,
    pub(crate) hub: mpsc::Receiver<FieldEvent>,
    pub(crate) stop: CancellationToken,
    pub(crate) commands: mpsc::Sender<BusCommand>,
    /// The commands that have ended.
    pub(crate) ends: BTreeMap<CommandNumber, BusEnd>,
    /// How many commands were given.
    pub(crate) given: u64,
    pub(crate) polls: BTreeMap<u8, Tally>,
    /// When each point was last read, and the times between its readings.
    pub(crate) points: BTreeMap<(DeviceId, u16), (Now, Vec<Duration>)>,
    /// Replies with a value that never stood in a register.
    pub(crate) false_frames: u64,
}

/// The results of one device's polls.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) answers: u64,
    pub(crate) exceptions: u64,
    pub(crate) late: u64,
    pub(crate) missed: BTreeMap<String, u64>,
    pub(crate) values: u64,
    pub(crate) wrong: Vec<String>,
    pub(crate) last_values: Option<Now>,
    pub(crate) longest_gap: Duration,
}

/// Builds three requests of different shapes, and values of two registers that could be
/// torn.
pub(crate) fn marked(interval: Duration) -> Arc<ProfileSpec> {
    use Table::{HoldingRegister as Holding, InputRegister as Input};
    let at = |table, address, kind| point(table, address, number(kind), interval);
    let mut points: Vec<PointSpec> = (0..8).map(|a| at(Holding, a, Number::U16)).collect();
    points.extend([600, 602, 604, 606].map(|a| at(Holding, a, Number::U32)));
    points.push(at(Input, 40, Number::U16));
    profile("marked", points)
}

/// Values in one round of that profile.
pub(crate) const ROUND: u64 = 13;

/// Puts so many units on one line.
pub(crate) fn installation(units: u8, interval: Duration) -> Spec {
    let profile = marked(interval);
    let units = (1..=units).map(|unit| (unit, Arc::clone(&profile)));
    crate::installation::installation(LineSpec::Serial(serial()), TIMEOUT, units)
}

/// Describes the line.
pub(crate) fn serial() -> SerialSpec {
    crate::installation::serial("/dev/null", 9600)
}

impl World {
    pub(crate) async fn new(units: u8, interval: Duration, seed: u64) -> World {
        World::whose_journal(units, interval, seed, |journal| journal).await
    }

    /// Does the same, with another sink for log events.
    pub(crate) async fn whose_journal(
        units: u8,
        interval: Duration,
        seed: u64,
        goes: impl FnOnce(Journal) -> Journal,
    ) -> World {
        World::of(installation(units, interval), seed, goes).await
    }

    /// Builds a line with the units of this installation, which the port reaches as the
    /// installation says.
    pub(crate) async fn of(spec: Spec, seed: u64, goes: impl FnOnce(Journal) -> Journal) -> World {
        World::beside(spec, Vec::new(), seed, goes).await
    }

    /// Does the same with these devices beside them on the line, which speak other protocols.
    pub(crate) async fn beside(
        spec: Spec,
        others: Vec<BusProtocol>,
        seed: u64,
        goes: impl FnOnce(Journal) -> Journal,
    ) -> World {
        let spec = Arc::new(spec);
        let clock = Clock::starting_at(Wall::from_millis(1_790_000_000_000));
        let mut line = Line::new(Pace::from(&serial()), Rng::new(seed));
        others.into_iter().for_each(|other| line.join(other));
        for device in &spec.devices {
            let BusAddress::Modbus(unit) = device.address else {
                continue;
            };
            let own = seed.wrapping_mul(1000) + u64::from(unit.0);
            line.attach(unit, Unit::new(UnitKind::Marked, own));
        }
        let (pipes, handed_in) = mpsc::channel(8);
        let (hub_in, hub) = mpsc::channel(64);
        let stop = CancellationToken::new();
        let (commands, ordered) = mpsc::channel(8);
        let (attempted, _) = oneshot::channel();
        let mut world = World {
            clock,
            rig: LineRig::new(line, clock),
            tap: BusMonitor::default(),
            spec: Arc::clone(&spec),
            pipes,
            hub,
            stop: stop.clone(),
            commands,
            ends: BTreeMap::new(),
            given: 0,
            polls: BTreeMap::new(),
            points: BTreeMap::new(),
            false_frames: 0,
        };
        world.plug().await;
        tokio::spawn(port::run(
            PortId(0),
            Arc::clone(&spec),
            MonitoredLine {
                opener: Opener::Pipes(handed_in),
                tap: world.tap.clone(),
            },
            Learned::in_memory(),
            Rng::new(seed),
            clock,
            goes(Journal::new(spec)),
            hub_in,
            Heartbeat::new("line"),
            stop,
            attempted,
            ordered.into(),
        ));
        world
    }

    pub(crate) async fn plug(&mut self) {
        let pipe = self.rig.plug_pipe();
        self.pipes.send(pipe).await.unwrap();
    }

    /// Gives a command to write these points, by index, within ten seconds.
    pub(crate) async fn command(&mut self, unit: u8, values: Vec<(u16, Value)>) -> CommandNumber {
        self.given += 1;
        let command = BusCommand {
            number: CommandNumber(self.given),
            device: DeviceId(u32::from(unit) - 1),
            work: BusWork::Set(values),
            until: self.clock.now().mono + s(10),
        };
        self.commands.send(command).await.unwrap();
        CommandNumber(self.given)
    }

    /// Lets the world run until this command has ended.
    pub(crate) async fn ended(&mut self, number: CommandNumber) -> BusEnd {
        loop {
            if let Some(end) = self.ends.remove(&number) {
                return end;
            }
            let event = self.hub.recv().await.expect("the port task ended");
            self.note(&event);
        }
    }

    /// Lets the world run, keeps count, and shows every event.
    pub(crate) async fn watch(&mut self, span: Duration, mut look: impl FnMut(&FieldEvent)) {
        let end = tokio::time::Instant::now() + span;
        while let Ok(event) = tokio::time::timeout_at(end, self.hub.recv()).await {
            let event = event.expect("the port task ended");
            self.note(&event);
            look(&event);
        }
    }

    pub(crate) async fn run(&mut self, span: Duration) {
        self.watch(span, |_| {}).await;
    }

    /// Returns how busy the line is on average, in thousandths, according to the port.
    pub(crate) async fn load(&mut self, span: Duration) -> f64 {
        let mut loads = Vec::new();
        self.watch(span, |event| {
            if let FieldEvent::Load { permille, .. } = event {
                loads.push(f64::from(*permille));
            }
        })
        .await;
        loads.iter().sum::<f64>() / loads.len() as f64
    }

    pub(crate) fn note(&mut self, event: &FieldEvent) {
        if let FieldEvent::CommandEnded(end) = event {
            let twice = self.ends.insert(end.number, end.clone());
            assert_eq!(twice, None, "ended twice");
        }
        let FieldEvent::Polled {
            device,
            at,
            evidence,
            readings,
            ..
        } = event
        else {
            return;
        };
        let BusAddress::Modbus(UnitId(unit)) = self.spec.device(*device).unwrap().address else {
            return;
        };
        let wrong: Vec<String> = readings
            .iter()
            .filter(|r| !self.is_true(r))
            .map(|r| format!("{at:?} {r:?}"))
            .collect();
        self.false_frames += u64::from(!wrong.is_empty());
        let tally = self.polls.entry(unit).or_default();
        tally.wrong.extend(wrong);
        tally.values += readings.len() as u64;
        match evidence {
            LivenessEvidence::Alive(LivenessProof::Answer) => tally.answers += 1,
            LivenessEvidence::Alive(LivenessProof::Exception(_)) => tally.exceptions += 1,
            LivenessEvidence::Alive(LivenessProof::Late | LivenessProof::Mismatched) => {
                tally.late += 1
            }
            LivenessEvidence::Missed(why) | LivenessEvidence::RequestFailed(why) => {
                *tally.missed.entry(format!("{why:?}")).or_default() += 1
            }
        }
        for reading in readings {
            let key = (reading.device, reading.point);
            let (last, gaps) = self.points.entry(key).or_insert((*at, Vec::new()));
            gaps.push(at.mono.since(last.mono));
            *last = *at;
        }
        if !readings.is_empty() {
            if let Some(last) = tally.last_values {
                tally.longest_gap = tally.longest_gap.max(at.mono.since(last.mono));
            }
            tally.last_values = Some(*at);
        }
    }

    /// Returns whether the value stood on the unit, whole, while it may have been read.
    pub(crate) fn is_true(&self, reading: &Reading) -> bool {
        let device = self.spec.device(reading.device).unwrap();
        let point = &device.profile.points[usize::from(reading.point)];
        let Value::UInt(n) = reading.value else {
            return false;
        };
        let words: &[u16] = match point.codec.width() {
            1 => &[n as u16],
            _ => &[(n >> 16) as u16, n as u16],
        };
        let at = reading.at.wall;
        let from = Wall::from_millis(at.as_millis() - JOURNEY);
        self.rig.with(|line, _| {
            let unit = line.unit(device.address.unit().unwrap()).unwrap();
            let address = point.address.as_modbus().unwrap();
            unit.had(from..=at, address.table, address.start, words)
        })
    }

    /// Sets the faults of this unit's replies, in thousandths.
    pub(crate) fn spoil(&self, unit: u8, faults: &[(Fault, u32)]) {
        self.rig.with(|line, _| {
            let behaviour = &mut line.unit_mut(UnitId(unit)).unwrap().behaviour;
            behaviour.faults = faults
                .iter()
                .map(|&(fault, permille)| Chance { fault, permille })
                .collect();
        });
    }

    /// Returns the results of one unit's polls so far.
    pub(crate) fn tally(&self, unit: u8) -> Tally {
        self.polls.get(&unit).cloned().unwrap_or_default()
    }

    /// Checks what holds on every line.
    pub(crate) fn check(&self) {
        let wrong: Vec<_> = self.polls.values().flat_map(|t| &t.wrong).collect();
        let counts = self.rig.with(|line, _| line.counts().clone());
        // Two senders that talk at once leave any bytes at all of a reply.
        let chance = self.false_frames <= counts.chance_passes;
        assert!(chance, "{} wrong: {wrong:#?}; {counts:?}", wrong.len());
        assert_eq!(counts.silence_violations, 0, "{counts:?}");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub(crate) const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

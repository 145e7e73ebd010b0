//! A paced line with units that answer at once, on a pseudo terminal, and the
//! gateway's port that polls it.

use std::sync::Arc;
use std::time::Duration;

use alink_gateway::base::*;
use alink_gateway::io::bus::line::Opener;
use alink_gateway::io::bus::port::{self, PortInputs};
use alink_gateway::io::log::Journal;
use alink_gateway::io::store::learned::Learned;
use alink_gateway::io::system::clock::Clock;
use alink_gateway::io::system::heartbeat::Heartbeat;
use alink_gateway::lab::bus::{Line, Pace, Unit, UnitBehaviour, UnitKind};
use alink_gateway::lab::wire::LineRig;
use alink_gateway::spec::*;
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::installation::{installation, number, point, profile, serial};

/// A line for measuring.
pub(crate) struct Wire {
    pub(crate) rig: LineRig,
    pub(crate) clock: Clock,
    /// The path of its terminal.
    pub(crate) tty: std::path::PathBuf,
    _dir: TempDir,
}

/// The counts on the wire when the last request began.
#[derive(Clone, Copy)]
pub(crate) struct Mark {
    at: Mono,
    requests: u64,
    characters: u64,
    violations: u64,
}

/// The counts between two marks.
pub(crate) struct Stretch {
    pub(crate) took: Duration,
    pub(crate) requests: u64,
    pub(crate) characters: u64,
    pub(crate) violations: u64,
}

impl Wire {
    /// Builds units 1, 2, … that answer as soon as the standard allows.
    pub(crate) fn new(baud: u32, units: u8) -> Wire {
        let clock = Clock::system();
        let mut line = Line::new(Pace::standard(baud), Rng::new(1));
        for unit in 1..=units {
            let prompt = UnitBehaviour {
                turnaround: Duration::ZERO,
                ..UnitBehaviour::default()
            };
            line.attach(
                UnitId(unit),
                Unit::new(UnitKind::Marked, unit.into()).with(prompt),
            );
        }
        let dir = tempfile::tempdir().unwrap();
        let tty = dir.path().join("ttyLAB0");
        let mut rig = LineRig::new(line, clock);
        rig.plug_terminal_exactly(&tty).unwrap();
        Wire {
            rig,
            clock,
            tty,
            _dir: dir,
        }
    }

    /// Returns the counts of now.
    pub(crate) fn mark(&self) -> Mark {
        self.rig.with(|line, _| {
            let counts = line.counts();
            Mark {
                at: line.asked_at().expect("no request was sent"),
                requests: counts.requests,
                characters: counts.characters,
                violations: counts.silence_violations + counts.collisions + counts.not_understood,
            }
        })
    }

    /// Returns the counts since then.
    pub(crate) fn since(&self, then: Mark) -> Stretch {
        let now = self.mark();
        Stretch {
            took: now.at.since(then.at),
            requests: now.requests - then.requests,
            characters: now.characters - then.characters,
            violations: now.violations - then.violations,
        }
    }
}

/// A port that polls.
pub(crate) struct Polling {
    stop: CancellationToken,
    port: JoinHandle<()>,
    /// Counts the messages of the port.
    counter: JoinHandle<Told>,
}

/// The messages that the hub would have received.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) answers: u64,
    pub(crate) missed: u64,
}

impl Polling {
    /// Polls `registers` holding registers of each unit, flat out.
    pub(crate) fn start(wire: &Wire, baud: u32, units: u8, registers: u16) -> Polling {
        let spec = Arc::new(site(wire, baud, units, registers));
        let (hub, mut told) = mpsc::channel(256);
        let stop = CancellationToken::new();
        let (attempted, _) = oneshot::channel();
        let port = port::run(
            PortId(0),
            Arc::clone(&spec),
            Opener::System,
            Learned::in_memory(),
            Rng::new(1),
            wire.clock,
            Journal::new(spec),
            hub,
            Heartbeat::new("line"),
            stop.clone(),
            attempted,
            PortInputs::default(),
        );
        let counter = async move {
            let mut sum = Told::default();
            while let Some(event) = told.recv().await {
                if let FieldEvent::Polled {
                    evidence, readings, ..
                } = event
                {
                    match evidence {
                        LivenessEvidence::Alive(_) if readings.len() == usize::from(registers) => {
                            sum.answers += 1;
                        }
                        _ => sum.missed += 1,
                    }
                }
            }
            sum
        };
        Polling {
            stop,
            port: tokio::spawn(port),
            counter: tokio::spawn(counter),
        }
    }

    /// Stops the port and returns the counts of its messages.
    pub(crate) async fn stop(self) -> Told {
        self.stop.cancel();
        self.port.await.unwrap();
        self.counter.await.unwrap()
    }
}

fn site(wire: &Wire, baud: u32, units: u8, registers: u16) -> Spec {
    // More often than any line can.
    let interval = Duration::from_millis(10);
    let points =
        (0..registers).map(|a| point(Table::HoldingRegister, a, number(Number::U16), interval));
    let profile = profile("twenty", points.collect());
    // A pseudo terminal has no parity; two stop bits make the character as long.
    let line = SerialSpec {
        parity: Parity::None,
        stop_bits: StopBits::Two,
        ..serial(&wire.tty, baud)
    };
    let units = (1..=units).map(|unit| (unit, Arc::clone(&profile)));
    installation(LineSpec::Serial(line), Duration::from_millis(500), units)
}

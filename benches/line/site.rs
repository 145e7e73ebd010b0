//! A paced line with units that answer at once, on a pseudo terminal, and the
//! gateway's port that polls it.

use std::sync::Arc;
use std::time::Duration;

use alink_gateway::base::*;
use alink_gateway::io::clock::Clock;
use alink_gateway::io::lessons::Lessons;
use alink_gateway::io::line::Opener;
use alink_gateway::io::log::Journal;
use alink_gateway::io::port;
use alink_gateway::io::pulse::Pulse;
use alink_gateway::lab::bus::{Life, Line, Manners, Pace, Unit};
use alink_gateway::lab::wire::LineRig;
use alink_gateway::spec::*;
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A line that is measured.
pub(crate) struct Wire {
    pub(crate) rig: LineRig,
    pub(crate) clock: Clock,
    /// Where its terminal is.
    pub(crate) tty: std::path::PathBuf,
    _dir: TempDir,
}

/// What had happened on the wire when the last request began.
#[derive(Clone, Copy)]
pub(crate) struct Mark {
    at: Mono,
    requests: u64,
    characters: u64,
    violations: u64,
}

/// What happened between two marks.
pub(crate) struct Stretch {
    pub(crate) took: Duration,
    pub(crate) requests: u64,
    pub(crate) characters: u64,
    pub(crate) violations: u64,
}

impl Wire {
    /// Units 1, 2, … that answer as soon as the standard allows.
    pub(crate) fn new(baud: u32, units: u8) -> Wire {
        let clock = Clock::system();
        let mut line = Line::new(Pace::standard(baud), Rng::new(1));
        for unit in 1..=units {
            let prompt = Manners {
                turnaround: Duration::ZERO,
                ..Manners::default()
            };
            line.attach(
                UnitId(unit),
                Unit::new(Life::Marked, unit.into()).with(prompt),
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

    /// Now.
    pub(crate) fn mark(&self) -> Mark {
        self.rig.with(|line, _| {
            let counts = line.counts();
            Mark {
                at: line.asked_at().expect("nobody has asked anything"),
                requests: counts.requests,
                characters: counts.characters,
                violations: counts.silence_violations + counts.collisions + counts.not_understood,
            }
        })
    }

    /// Since then.
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

/// A port at work.
pub(crate) struct Polling {
    stop: CancellationToken,
    port: JoinHandle<()>,
    /// Counts what it tells.
    ear: JoinHandle<Told>,
}

/// What the hub would have been told.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) answers: u64,
    pub(crate) missed: u64,
}

impl Polling {
    /// Polls `registers` holding registers of each unit, flat out.
    pub(crate) fn start(wire: &Wire, baud: u32, units: u8, registers: u16) -> Polling {
        let spec = Arc::new(installation(wire, baud, units, registers));
        let (hub, mut told) = mpsc::channel(256);
        let stop = CancellationToken::new();
        let (attempted, _) = oneshot::channel();
        let port = port::run(
            PortId(0),
            Arc::clone(&spec),
            Opener::System,
            Lessons::forgetful(),
            Rng::new(1),
            wire.clock,
            Journal::new(spec),
            hub,
            Pulse::new("line"),
            stop.clone(),
            attempted,
        );
        let ear = async move {
            let mut sum = Told::default();
            while let Some(event) = told.recv().await {
                if let FieldEvent::Polled {
                    evidence, readings, ..
                } = event
                {
                    match evidence {
                        Evidence::Alive(_) if readings.len() == usize::from(registers) => {
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
            ear: tokio::spawn(ear),
        }
    }

    /// Stops, and says what was told.
    pub(crate) async fn stop(self) -> Told {
        self.stop.cancel();
        self.port.await.unwrap();
        self.ear.await.unwrap()
    }
}

fn installation(wire: &Wire, baud: u32, units: u8, registers: u16) -> Spec {
    let points = (0..registers).map(|address| PointSpec {
        shown: Default::default(),
        id: format!("r{address}"),
        table: Table::HoldingRegister,
        address,
        codec: Codec::Number {
            kind: Number::U16,
            words: WordOrder::High,
            bytes: ByteOrder::High,
            scale: Decimal::ONE,
            offset: Decimal::ZERO,
        },
        // More often than any line can.
        interval: Duration::from_millis(10),
        priority: Default::default(),
    });
    let profile = Arc::new(ProfileSpec {
        protocol: Default::default(),
        name: "twenty".into(),
        points: points.collect(),
        max_registers: 125,
        reads: Reads::default(),
    });
    let device = |unit: u8| DeviceSpec {
        meter: None,
        serial: None,
        name: format!("unit{unit}"),
        port: PortId(0),
        unit: UnitId(unit),
        profile: Arc::clone(&profile),
        product_key: ProductKey::new("a1"),
        device_name: DeviceName::new(&format!("unit{unit}")),
        secret: Secret::new("s"),
        liveness: Liveness {
            missed: 3,
            quiet: Duration::from_secs(3),
            returns: 2,
        },
        response_timeout: None,
        turnaround: Duration::ZERO,
    };
    Spec {
        cloud: CloudSpec {
            broker: BrokerSpec {
                host: "nowhere".into(),
                port: 1883,
                transport: Transport::Plain,
                keepalive: Duration::from_secs(300),
                connect_timeout: Duration::from_secs(10),
                subscriptions: Subscriptions::Platform,
            },
            gateway: GatewayIdentity {
                product_key: ProductKey::new("a0"),
                device_name: DeviceName::new("gw"),
                certificate: GatewayCertificate::Device(Secret::new("s")),
            },
            sign_method: SignMethod::HmacSha256,
            products: Default::default(),
            remote: RemotePolicy::default(),
            session: SessionLimits::default(),
            post: PostPolicy::default(),
        },
        ports: vec![PortSpec {
            name: "line".into(),
            line: LineSpec::Serial(SerialSpec {
                path: wire.tty.clone(),
                baud,
                data_bits: 8,
                // A pseudo terminal has no parity; two stop bits make the
                // character as long.
                parity: Parity::None,
                stop_bits: StopBits::Two,
                framing: Default::default(),
                adapter: Default::default(),
            }),
            response_timeout: Duration::from_millis(500),
            budget: LineBudget::default(),
        }],
        devices: (1..=units).map(device).collect(),
        stop_within: Duration::from_secs(10),
        retired: Retired::default(),
    }
}

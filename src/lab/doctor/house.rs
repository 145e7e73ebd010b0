//! A whole gateway on virtual time between a simulated plant and a simulated platform.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::DuplexStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::base::{
    DeviceId, DeviceName, FieldEvent, Now, PortId, ProductKey, Rng, Secret, UnitId, Wall,
};
use crate::cloud::Connector;
use crate::doctor::Facts;
use crate::hub::{Coordinator, Input};
use crate::io::bus::line::Opener;
use crate::io::bus::port;
use crate::io::bus::port_commands::PortCommands;
use crate::io::hub::{self, Control, Ends, Kept, Question};
use crate::io::link::{self, Dialer};
use crate::io::log::Journal;
use crate::io::store::learned::Learned;
use crate::io::store::reading_store::ReadingStore;
use crate::io::store::secret_store::SecretStore;
use crate::io::store::secret_writer::SecretWriter;
use crate::io::system::clock::Clock;
use crate::io::system::heartbeat::Heartbeat;
use crate::lab::broker::Broker;
use crate::lab::bus::{Chance, Fault, Life, Line, Pace, Unit};
use crate::lab::platform::{self, Platform, PlatformSpec};
use crate::lab::wire::LineRig;
use crate::spec::{
    BrokerSpec, BusAddress, ByteOrder, CloudSpec, Codec, Decimal, DeviceSpec, GatewayCertificate,
    GatewayIdentity, LineBudget, LineSpec, Liveness, Number, Parity, PointAddress, PointSpec,
    PortSpec, PostPolicy, ProfileSpec, Reads, RemotePolicy, Retired, SerialSpec, SessionLimits,
    SignMethod, Spec, StopBits, StorePolicy, Subscriptions, Table, Transport, WordOrder,
};

/// Virtual lives begin here: 2026-01-01T00:00:00Z.
const DAWN: Wall = Wall::from_millis(1_767_225_600_000);
/// How many units are on the first line, and how many on the second.
pub(super) const UNITS: [u8; 2] = [4, 2];
/// The response timeout of both lines.
const TIMEOUT: Duration = Duration::from_millis(300);

/// What a house is built from.
pub(super) struct Plan {
    /// The installation.
    pub spec: Spec,
    /// What the platform knows; `None`: all of the installation.
    pub platform: PlatformSpec,
    /// The clock of the gateway.
    pub clock: Clock,
    /// Whether ports are opened by the system, and not simulated.
    pub are_ports_real: bool,
}

impl Plan {
    /// Returns a plan with which nothing is wrong.
    pub(super) fn new() -> Plan {
        let spec = installation(Number::U16);
        Plan {
            platform: PlatformSpec::knowing(&spec),
            spec,
            clock: Clock::starting_at(DAWN),
            are_ports_real: false,
        }
    }
}

/// The whole house.
pub(super) struct House {
    spec: Arc<Spec>,
    platform: Broker,
    rigs: Vec<LineRig>,
    questions: mpsc::Sender<Question>,
    control: mpsc::Sender<Control>,
    end: CancellationToken,
    /// Kept, so that a port that is lost finds no other line.
    _pipes: Vec<mpsc::Sender<DuplexStream>>,
}

impl House {
    /// Builds everything and lets it run.
    pub(super) fn build(plan: Plan, seed: u64) -> House {
        let mut rng = Rng::new(seed);
        let ours = plan.clock;
        let world = Clock::starting_at(DAWN);
        let spec = Arc::new(plan.spec);
        let platform = Platform::new(plan.platform, rng.fork(), world.now());
        let (platform, door) = Broker::at_door(platform, world, false);
        let journal = Journal::new(Arc::clone(&spec));
        let end = CancellationToken::new();
        let (field_in, field) = mpsc::channel::<FieldEvent>(256);
        let (link, link_ends) = link::pair(link::channel::CAPACITY, end.clone());
        let commands = PortCommands::default();
        let (mut rigs, mut all_pipes) = (Vec::new(), Vec::new());
        for (id, _) in spec.ports() {
            let pace = Pace::standard(9600);
            let mut line = Line::new(pace, rng.fork());
            for (device, d) in spec.devices_on(id) {
                if let Some(unit) = d.address.unit() {
                    line.attach(unit, Unit::new(Life::Marked, u64::from(device.0)));
                }
            }
            let mut rig = LineRig::new(line, world);
            let (pipes, handed_in) = mpsc::channel(1);
            // There is room for one.
            let _ = pipes.try_send(rig.plug_pipe());
            let opener = match plan.are_ports_real {
                true => Opener::System,
                false => Opener::Pipes(handed_in),
            };
            rigs.push(rig);
            all_pipes.push(pipes);
            let (attempted, _) = oneshot::channel();
            tokio::spawn(port::run_with_orders(
                id,
                Arc::clone(&spec),
                opener,
                Learned::forgetful(),
                rng.fork(),
                ours,
                journal.clone(),
                field_in.clone(),
                Heartbeat::new("port"),
                end.clone(),
                attempted,
                commands.add(id).into(),
            ));
        }
        let link_task = link::run(
            Arc::clone(&spec),
            Dialer::Door(door),
            Connector::new(&spec.cloud, rng.fork(), ours.now()),
            link_ends,
            ours,
            journal.clone(),
            Heartbeat::new("link"),
        );
        tokio::spawn(async {
            link_task.await;
        });
        let (questions, asked) = mpsc::channel(4);
        let (control, controlled) = mpsc::channel(4);
        let (status, _) = watch::channel(String::new());
        // No device registers here.
        let (nowhere, _) = SecretStore::open(Path::new("/nonexistent"));
        tokio::spawn(hub::run(
            Coordinator::new(Arc::clone(&spec), rng.fork(), ours.now()),
            Kept {
                secrets: SecretWriter::new(nowhere, Arc::clone(&spec), journal.clone()),
                readings: ReadingStore::none(ours, journal.clone()),
            },
            Ends {
                field,
                link,
                control: controlled,
                questions: asked,
                remote_tasks: mpsc::channel(4).0,
                commands,
                status,
            },
            ours,
            journal,
            Heartbeat::new("hub"),
            end.clone(),
        ));
        House {
            spec,
            platform,
            rigs,
            questions,
            control,
            end,
            _pipes: all_pipes,
        }
    }

    /// Lets virtual time pass.
    pub(super) async fn live(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    /// Changes a line.
    pub(super) fn line<R>(&self, n: usize, play: impl FnOnce(&mut Line) -> R) -> Option<R> {
        self.rigs.get(n).map(|rig| rig.with(|line, _| play(line)))
    }

    /// Gives all units of a line this fault in so many of a thousand replies.
    pub(super) fn spoil(&self, n: usize, fault: Fault, permille: u32) {
        self.line(n, |line| {
            for (_, unit) in line.units_mut() {
                unit.behaviour.faults = vec![Chance { fault, permille }];
            }
        });
    }

    /// Gives one unit of the first line this fault in each reply.
    pub(super) fn spoil_one(&self, unit: u8, fault: Fault) {
        self.line(0, |line| {
            if let Some(unit) = line.unit_mut(UnitId(unit)) {
                let permille = 1000;
                unit.behaviour.faults = vec![Chance { fault, permille }];
            }
        });
    }

    /// Takes the power of all units of a line away.
    pub(super) fn kill_all(&self, n: usize) {
        self.line(n, |line| {
            let units: Vec<UnitId> = line.units().map(|(id, _)| id).collect();
            units.into_iter().for_each(|unit| line.kill(unit));
        });
    }

    /// Acts at the platform.
    pub(super) async fn platform(&self, act: impl FnOnce(&mut Platform, Now) + Send + 'static) {
        // A platform that is gone shows in what the doctor says.
        let _ = self.platform.with(act).await;
    }

    /// Returns the gateway as the platform names it.
    pub(super) fn gateway(&self) -> platform::Device {
        gateway_of(&self.spec)
    }

    /// Loads another installation in the way of a reload, as far as the hub is concerned.
    pub(super) async fn reload(&self, fresh: Spec) {
        let (spec, changes) = fresh.continuing(&self.spec);
        let (done, is_done) = oneshot::channel();
        let reload = Control::Reload {
            spec: Arc::new(spec),
            changes: Box::new(changes),
            commissioned: true,
            wire: None,
            done,
        };
        if self.control.send(reload).await.is_ok() {
            let _ = is_done.await;
        }
    }

    /// Returns what the service shows now.
    pub(super) async fn facts(&self) -> Option<Facts> {
        let (answer, status) = oneshot::channel();
        self.questions.send(Question::Status(answer)).await.ok()?;
        let status = status.await.ok()?;
        let (answer, devices) = oneshot::channel();
        self.questions.send(Question::Devices(answer)).await.ok()?;
        Some(Facts::of(*status, devices.await.ok()?))
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

/// Returns what a service shows that was told these events, a second after each other.
pub(super) fn told(inputs: Vec<Input>) -> Facts {
    let clock = |second: u64| Now {
        mono: crate::base::Mono::from_micros(second * 1_000_000),
        wall: Wall::from_millis(DAWN.as_millis() + i64::try_from(second * 1000).unwrap_or(0)),
    };
    let spec = Arc::new(installation(Number::U16));
    let mut hub = Coordinator::new(spec, Rng::new(1), clock(0));
    let mut second = 0;
    for input in inputs {
        // Long after the start: what may need some time then has had it.
        second += 90;
        hub.handle(clock(second), input);
        while hub.poll(clock(second)).is_some() {}
    }
    let now = clock(second + 1);
    Facts::of(hub.snapshot(now), hub.devices(now).collect())
}

/// Returns the gateway of an installation as the platform names it.
pub(super) fn gateway_of(spec: &Spec) -> platform::Device {
    platform::Device {
        product_key: spec.cloud.gateway.product_key.clone(),
        device_name: spec.cloud.gateway.device_name.clone(),
    }
}

/// Returns a device of an installation as the platform names it.
pub(super) fn device_of(spec: &Spec, device: DeviceId) -> Option<platform::Device> {
    spec.device(device).map(|d| platform::Device {
        product_key: d.product_key.clone(),
        device_name: d.device_name.clone(),
    })
}

/// Returns a port of these settings: `line1`, `line2`.
fn port_of(n: usize) -> PortSpec {
    PortSpec {
        name: format!("line{}", n + 1),
        line: LineSpec::Serial(SerialSpec {
            path: format!("/dev/serial/by-id/usb-simulated-{}", n + 1).into(),
            baud: 9600,
            data_bits: 8,
            parity: Parity::Even,
            stop_bits: StopBits::One,
            framing: Default::default(),
            adapter: Default::default(),
        }),
        response_timeout: TIMEOUT,
        budget: LineBudget::default(),
    }
}

/// Builds an installation of two lines whose points hold numbers of this kind. The units have
/// marked registers: as floats they are no values of any device.
pub(super) fn installation(kind: Number) -> Spec {
    let point = |n: u16| PointSpec {
        report: Default::default(),
        shown: Default::default(),
        write: None,
        id: format!("Value{n}"),
        address: PointAddress::modbus(Table::HoldingRegister, 4 * n),
        codec: Codec::Number {
            kind,
            words: WordOrder::High,
            bytes: ByteOrder::High,
            scale: Decimal::ONE,
            offset: Decimal::ZERO,
        },
        interval: Duration::from_secs(2),
        priority: Default::default(),
    };
    let profile = Arc::new(ProfileSpec {
        protocol: Default::default(),
        name: "meter".into(),
        points: (0..6).map(point).collect(),
        max_registers: 125,
        reads: Reads::default(),
        writes: Default::default(),
        services: Vec::new(),
        events: Vec::new(),
        about: Default::default(),
    });
    let device = |port: usize, unit: u8| DeviceSpec {
        serial: None,
        name: format!("meter-{}{unit}", port + 1),
        port: PortId(u16::try_from(port).unwrap_or_default()),
        address: BusAddress::Modbus(UnitId(unit)),
        profile: Arc::clone(&profile),
        product_key: ProductKey::new("a1SubDemoPk"),
        device_name: DeviceName::new(&format!("meter-{}{unit}", port + 1)),
        access: None,
        secret: Secret::new(format!("secret-of-{port}-{unit}")),
        liveness: Liveness {
            missed: 3,
            quiet: Duration::from_secs(10),
            returns: 2,
        },
        response_timeout: None,
        turnaround: Duration::ZERO,
    };
    let devices = UNITS.into_iter().enumerate();
    let devices = devices.flat_map(|(port, units)| (1..=units).map(move |unit| (port, unit)));
    Spec {
        cloud: CloudSpec {
            broker: BrokerSpec {
                host: "platform".into(),
                port: 1883,
                transport: Transport::Plain,
                keepalive: Duration::from_secs(300),
                connect_timeout: Duration::from_secs(10),
                subscriptions: Subscriptions::Platform,
            },
            gateway: GatewayIdentity {
                product_key: ProductKey::new("a1GwDemoPk0"),
                device_name: DeviceName::new("gw-0001"),
                certificate: GatewayCertificate::Device(Secret::new("the-gateway")),
            },
            sign_method: SignMethod::HmacSha256,
            products: Default::default(),
            session: SessionLimits::default(),
            post: PostPolicy::default(),
            store: StorePolicy::default(),
            remote: RemotePolicy::default(),
        },
        ports: (0..UNITS.len()).map(port_of).collect(),
        devices: devices.map(|(port, unit)| device(port, unit)).collect(),
        stop_within: Duration::from_secs(10),
        commands: Default::default(),
        retired: Retired::default(),
    }
}

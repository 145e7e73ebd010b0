//! The whole house on virtual time: all parts of the daemon, with models at the other
//! ends of pipes.
//!
//! Real code: ports, hub, link, and everything below them. Models: the units on their
//! lines (`lab::bus`), the platform behind its MQTT shell (`lab::platform`,
//! `lab::broker`). Missing: sockets, ttys and TLS, because virtual time and real
//! sockets do not go together.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::installation::{self, demo_cloud, device, number, point, port, profile, serial};
use alink_gateway::base::{DeviceId, PortId, Rng, Secret, Wall};
use alink_gateway::cloud::alink::connect::Connector;
use alink_gateway::hub::Coordinator;
use alink_gateway::io::bus::line::Opener;
use alink_gateway::io::bus::port;
use alink_gateway::io::bus::port_commands::PortCommands;
use alink_gateway::io::hub::{self, Ends, Kept};
use alink_gateway::io::link::{self, Dialer};
use alink_gateway::io::log::Journal;
use alink_gateway::io::store::learned::Learned;
use alink_gateway::io::store::reading_store::ReadingStore;
use alink_gateway::io::store::secret_store::SecretStore;
use alink_gateway::io::store::secret_writer::SecretWriter;
use alink_gateway::io::system::clock::Clock;
use alink_gateway::io::system::heartbeat::Heartbeat;
use alink_gateway::lab::broker::Broker;
use alink_gateway::lab::bus::{Life, Line, Pace, Unit};
use alink_gateway::lab::platform::{Device, Platform, PlatformSpec};
use alink_gateway::lab::wire::LineRig;
use alink_gateway::spec::*;
use tokio::io::DuplexStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Virtual lives begin here: 2026-01-01T00:00:00Z.
pub(crate) const DAWN: Wall = Wall::from_millis(1_767_225_600_000);

/// How many lines, and how many units on each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Serial lines.
    pub(crate) lines: u16,
    /// Units on each.
    pub(crate) units: u8,
}

/// One line: its model, and the cable to it.
pub(crate) struct Wire {
    rig: LineRig,
    pipes: mpsc::Sender<DuplexStream>,
    plugged: bool,
}

impl Wire {
    fn new(line: Line, clock: Clock) -> (Wire, mpsc::Receiver<DuplexStream>) {
        let (pipes, received) = mpsc::channel(1);
        let mut wire = Wire {
            rig: LineRig::new(line, clock),
            pipes,
            plugged: false,
        };
        wire.plug();
        (wire, received)
    }

    /// Puts the cable in.
    pub(crate) fn plug(&mut self) {
        if !self.plugged {
            self.plugged = true;
            // Full only if the port has not yet taken the one before, which is
            // dead by now; the port tries again.
            let _ = self.pipes.try_send(self.rig.plug_pipe());
        }
    }

    /// Pulls the cable.
    pub(crate) async fn unplug(&mut self) {
        self.plugged = false;
        self.rig.unplug().await;
    }

    /// Looks at the line, or changes it.
    pub(crate) fn with<R>(&self, play: impl FnOnce(&mut Line) -> R) -> R {
        self.rig.with(|line, _| play(line))
    }
}

/// The whole house.
pub(crate) struct House {
    /// The specification it was built from.
    pub(crate) spec: Arc<Spec>,
    /// Its clock.
    pub(crate) clock: Clock,
    /// The platform at the other end.
    pub(crate) platform: Broker,
    /// One for each port.
    pub(crate) wires: Vec<Wire>,
    /// Devices that are disabled in the console.
    pub(crate) disabled: BTreeSet<DeviceId>,
    stop: CancellationToken,
    end: CancellationToken,
    hub: JoinHandle<()>,
    tasks: Vec<JoinHandle<()>>,
}

impl House {
    /// Builds everything and lets it run.
    pub(crate) fn build(size: Size, seed: u64, shape: impl FnOnce(&mut PlatformSpec)) -> House {
        Self::build_with(size, SessionLimits::default(), seed, shape)
    }

    /// Does the same, with these limits of sessions instead of the usual ones.
    pub(crate) fn build_with(
        size: Size,
        session: SessionLimits,
        seed: u64,
        shape: impl FnOnce(&mut PlatformSpec),
    ) -> House {
        House::build_on(Clock::starting_at(DAWN), size, session, seed, shape)
    }

    /// Does the same with the gateway on a clock of its own; the clock of the world
    /// begins at [`DAWN`].
    pub(crate) fn build_on(
        ours: Clock,
        size: Size,
        session: SessionLimits,
        seed: u64,
        shape: impl FnOnce(&mut PlatformSpec),
    ) -> House {
        let mut spec = spec(size);
        spec.cloud.session = session;
        House::of(ours, spec, seed, shape)
    }

    /// Does the same for this installation, whose ports are serial lines.
    pub(crate) fn of(
        ours: Clock,
        spec: Spec,
        seed: u64,
        shape: impl FnOnce(&mut PlatformSpec),
    ) -> House {
        let mut rng = Rng::new(seed);
        let spec = Arc::new(spec);
        let clock = Clock::starting_at(DAWN);
        let mut platform_spec = PlatformSpec::knowing(&spec);
        shape(&mut platform_spec);
        let platform = Platform::new(platform_spec, rng.fork(), clock.now());
        let (platform, door) = Broker::at_door(platform, clock, false);
        let journal = Journal::new(spec.clone());
        let (stop, end) = (CancellationToken::new(), CancellationToken::new());
        let (field_tx, field) = mpsc::channel(256);
        let (link, link_ends) = link::pair(link::channel::CAPACITY, end.clone());
        let mut tasks = Vec::new();
        let mut wires = Vec::new();
        let commands = PortCommands::default();
        for (id, port) in spec.ports() {
            let baud = match &port.line {
                LineSpec::Serial(serial) => serial.baud,
                LineSpec::Tcp(_) => 9600,
            };
            let pace = Pace {
                group: 16,
                ..Pace::standard(baud)
            };
            let mut line = Line::new(pace, rng.fork());
            for (device, d) in spec.devices_on(id) {
                line.attach(
                    d.address.unit().unwrap(),
                    Unit::new(Life::Marked, u64::from(device.0)),
                );
            }
            let (wire, pipes) = Wire::new(line, clock);
            wires.push(wire);
            let (attempted, _) = oneshot::channel();
            tasks.push(tokio::spawn(port::run_with_orders(
                id,
                spec.clone(),
                Opener::Pipes(pipes),
                Learned::forgetful(),
                rng.fork(),
                ours,
                journal.clone(),
                field_tx.clone(),
                Heartbeat::new("port"),
                end.clone(),
                attempted,
                commands.add(id).into(),
            )));
        }
        let link_task = link::run(
            spec.clone(),
            Dialer::Door(door),
            Connector::new(&spec.cloud, rng.fork(), ours.now()),
            link_ends,
            ours,
            journal.clone(),
            Heartbeat::new("link"),
        );
        tasks.push(tokio::spawn(async {
            link_task.await;
        }));
        let (status, _) = watch::channel(String::new());
        // No device registers here.
        let (nowhere, _) = SecretStore::open(Path::new("/nonexistent"));
        let hub = tokio::spawn(hub::run(
            Coordinator::new(spec.clone(), rng.fork(), ours.now()),
            Kept {
                secrets: SecretWriter::new(nowhere, spec.clone(), journal.clone()),
                readings: ReadingStore::none(ours, journal.clone()),
            },
            Ends {
                field,
                link,
                control: mpsc::channel(1).1,
                questions: mpsc::channel(1).1,
                remote_tasks: mpsc::channel(1).0,
                commands,
                status,
            },
            ours,
            journal,
            Heartbeat::new("hub"),
            stop.clone(),
        ));
        House {
            spec,
            clock,
            platform,
            wires,
            disabled: BTreeSet::new(),
            stop,
            end,
            hub,
            tasks,
        }
    }

    /// Lets virtual time pass.
    pub(crate) async fn live(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }

    /// Looks at the platform.
    pub(crate) async fn platform<R: Send + 'static>(
        &self,
        look: impl FnOnce(&mut Platform) -> R + Send + 'static,
    ) -> R {
        let looked = self.platform.with(|p, _| look(p)).await;
        looked.expect("the model does not panic")
    }

    /// Returns how many sub-devices are online.
    pub(crate) async fn online(&self) -> usize {
        self.platform(|p| p.online()).await
    }

    /// Lets time pass until so many are online; returns how long it took, or `None`.
    pub(crate) async fn until_online(&self, count: usize, within: Duration) -> Option<Duration> {
        let from = self.clock.now().mono;
        let came = self.platform.until(within, move |p| p.online() == count);
        let came = came.await.expect("the model does not panic");
        came.then(|| self.clock.now().mono.since(from))
    }

    /// Asks the service to stop; returns how long the hub took to be done, and the
    /// platform afterwards.
    pub(crate) async fn stop(self) -> (Duration, Platform) {
        let from = self.clock.now().mono;
        self.stop.cancel();
        self.hub.await.expect("the hub does not panic");
        let took = self.clock.now().mono.since(from);
        // DISCONNECT is on its way.
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.end.cancel();
        for task in self.tasks {
            task.abort();
        }
        let platform = self.platform.stop().await;
        (took, platform.expect("the model does not panic"))
    }

    /// Returns whether the platform shows this device online.
    pub(crate) async fn is_online(&self, device: DeviceId) -> bool {
        let name = name(&self.spec, device);
        self.platform(move |p| p.is_online(&name.product_key, &name.device_name))
            .await
    }

    /// Returns whether this device can answer on its bus.
    pub(crate) fn is_alive(&self, device: DeviceId) -> bool {
        let d = &self.spec.devices[device.index()];
        let wire = &self.wires[d.port.index()];
        wire.plugged
            && wire.with(|line| {
                line.unit(d.address.unit().unwrap())
                    .is_some_and(|u| u.behaviour.alive)
            })
    }
}

/// Returns a device as the platform names it.
pub(crate) fn name(spec: &Spec, device: DeviceId) -> Device {
    let d = &spec.devices[device.index()];
    Device {
        product_key: d.product_key.clone(),
        device_name: d.device_name.clone(),
    }
}

/// Builds an installation of marked units: each value belongs to one unit only.
fn spec(size: Size) -> Spec {
    let point = |id: &str, table, address, interval| PointSpec {
        id: id.into(),
        ..point(
            table,
            address,
            number(Number::U16),
            Duration::from_secs(interval),
        )
    };
    let profile = profile(
        "marked",
        vec![
            point("h10", Table::HoldingRegister, 10, 2),
            point("h11", Table::HoldingRegister, 11, 2),
            point("i500", Table::InputRegister, 500, 5),
        ],
    );
    let ports = (0..size.lines).map(|n| {
        let line = LineSpec::Serial(serial(format!("/dev/line{n}"), 9600));
        PortSpec {
            budget: LineBudget {
                grace: Duration::from_secs(15),
                // Storms kill some units over and over; the cloud is to show it.
                damping: false,
                ..LineBudget::default()
            },
            ..port(&format!("line{n}"), line, Duration::from_millis(200))
        }
    });
    let devices = (0..size.lines)
        .flat_map(|l| (1..=size.units).map(move |u| (l, u)))
        .map(|(l, u)| DeviceSpec {
            port: PortId(l),
            secret: Secret::new(format!("secret-of-{l}-{u}")),
            liveness: Liveness {
                missed: 3,
                quiet: Duration::from_secs(10),
                returns: 2,
            },
            // Every other address is free: on RTU nothing tells a late reply under a
            // wrong address, with a good checksum, from the reply of the unit with that
            // address.
            ..device(&format!("unit-{l}-{u}"), 2 * u - 1, "a1SubDemoPk", &profile)
        });
    installation::spec(demo_cloud("platform"), ports.collect(), devices.collect())
}

//! A whole gateway on virtual time, between simulated lines and a simulated platform.
//!
//! Real code: ports, hub, link, and everything below them. Models: the units on their lines
//! ([`crate::lab::bus`]), the platform behind its MQTT shell ([`crate::lab::platform`],
//! [`crate::lab::broker`]). Missing: sockets, terminals and TLS, because virtual time and real
//! sockets do not go together.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::DuplexStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::broker::Broker;
use super::bus::{Chance, Fault, Line, Pace, Unit, UnitKind};
use super::platform::{Device, Platform, PlatformSpec};
use super::wire::LineRig;
use crate::base::{DeviceId, FieldEvent, Now, Rng, UnitId, Wall};
use crate::cloud::Connector;
use crate::doctor::Facts;
use crate::hub::Coordinator;
use crate::io::bus::line::Opener;
use crate::io::bus::port;
use crate::io::bus::port_commands::PortCommands;
use crate::io::hub::{self, Channels, Control, OperatorQuestion, Stores};
use crate::io::link::{self, Dialer};
use crate::io::log::Journal;
use crate::io::store::learned::Learned;
use crate::io::store::reading_store::ReadingStore;
use crate::io::store::secret_store::SecretStore;
use crate::io::store::secret_writer::SecretWriter;
use crate::io::system::clock::Clock;
use crate::io::system::heartbeat::Heartbeat;
use crate::spec::{LineSpec, Spec};

/// Virtual time begins here: 2026-01-01T00:00:00Z.
pub const START: Wall = Wall::from_millis(1_767_225_600_000);

/// What a site is built from.
#[derive(Debug)]
pub struct Plan {
    /// The installation.
    pub spec: Spec,
    /// What the platform knows.
    pub platform: PlatformSpec,
    /// The clock of the gateway; that of the models begins at [`START`].
    pub clock: Clock,
    /// How many characters an adapter hands over at once.
    pub group: usize,
    /// Whether ports are opened by the system, and not simulated.
    pub are_ports_real: bool,
}

impl Plan {
    /// Returns a plan with which nothing is wrong: the platform knows all of the installation.
    #[must_use]
    pub fn of(spec: Spec) -> Plan {
        Plan {
            platform: PlatformSpec::knowing(&spec),
            spec,
            clock: Clock::starting_at(START),
            group: 1,
            are_ports_real: false,
        }
    }
}

/// One line: its model, and the cable to it.
#[derive(Debug)]
pub struct Wire {
    rig: LineRig,
    pipes: mpsc::Sender<DuplexStream>,
    is_plugged: bool,
}

impl Wire {
    fn new(line: Line, clock: Clock) -> (Wire, mpsc::Receiver<DuplexStream>) {
        let (pipes, received) = mpsc::channel(1);
        let mut wire = Wire {
            rig: LineRig::new(line, clock),
            pipes,
            is_plugged: false,
        };
        wire.plug();
        (wire, received)
    }

    /// Puts the cable in.
    pub fn plug(&mut self) {
        if !self.is_plugged {
            self.is_plugged = true;
            // Full only if the port has not yet taken the one before, which is dead by now; the
            // port tries again.
            let _ = self.pipes.try_send(self.rig.plug_pipe());
        }
    }

    /// Pulls the cable.
    pub async fn unplug(&mut self) {
        self.is_plugged = false;
        self.rig.unplug().await;
    }

    /// Looks at the line, or changes it.
    pub fn with<R>(&self, play: impl FnOnce(&mut Line) -> R) -> R {
        self.rig.with(|line, _| play(line))
    }

    /// Takes the power of all units away.
    pub fn kill_all(&self) {
        self.with(|line| {
            let units: Vec<UnitId> = line.units().map(|(id, _)| id).collect();
            units.into_iter().for_each(|unit| line.kill(unit));
        });
    }

    /// Gives all units this fault in so many of a thousand replies.
    pub fn spoil(&self, fault: Fault, permille: u32) {
        self.with(|line| {
            for (_, unit) in line.units_mut() {
                unit.behaviour.faults = vec![Chance { fault, permille }];
            }
        });
    }

    /// Gives one unit this fault in so many of a thousand replies.
    pub fn spoil_one(&self, unit: UnitId, fault: Fault, permille: u32) {
        self.with(|line| {
            if let Some(unit) = line.unit_mut(unit) {
                unit.behaviour.faults = vec![Chance { fault, permille }];
            }
        });
    }
}

/// The whole of it: the tasks of a gateway, and the models at the other ends of its pipes.
#[derive(Debug)]
pub struct Site {
    /// The specification it was built from.
    pub spec: Arc<Spec>,
    /// The clock of the models.
    pub clock: Clock,
    /// The platform at the other end.
    pub platform: Broker,
    /// One for each port.
    pub wires: Vec<Wire>,
    questions: mpsc::Sender<OperatorQuestion>,
    control: mpsc::Sender<Control>,
    stop: CancellationToken,
    end: CancellationToken,
    hub: JoinHandle<()>,
    tasks: Vec<JoinHandle<()>>,
}

impl Site {
    /// Builds everything and lets it run.
    #[must_use]
    pub fn build(plan: Plan, seed: u64) -> Site {
        let mut rng = Rng::new(seed);
        let ours = plan.clock;
        let clock = Clock::starting_at(START);
        let spec = Arc::new(plan.spec);
        let platform = Platform::new(plan.platform, rng.fork(), clock.now());
        let (platform, door) = Broker::at_door(platform, clock, false);
        let journal = Journal::new(Arc::clone(&spec));
        let (stop, end) = (CancellationToken::new(), CancellationToken::new());
        let (field_in, field) = mpsc::channel::<FieldEvent>(256);
        let (link, link_ends) = link::pair(link::channel::CAPACITY, end.clone());
        let (mut tasks, mut wires) = (Vec::new(), Vec::new());
        let commands = PortCommands::default();
        for (id, port) in spec.ports() {
            let baud = match &port.line {
                LineSpec::Serial(serial) => serial.baud,
                LineSpec::Tcp(_) => 9600,
            };
            let pace = Pace {
                group: plan.group,
                ..Pace::standard(baud)
            };
            let mut line = Line::new(pace, rng.fork());
            for (device, d) in spec.devices_on(id) {
                if let Some(unit) = d.address.unit() {
                    line.attach(unit, Unit::new(UnitKind::Marked, u64::from(device.0)));
                }
            }
            let (wire, pipes) = Wire::new(line, clock);
            wires.push(wire);
            let opener = match plan.are_ports_real {
                true => Opener::System,
                false => Opener::Pipes(pipes),
            };
            let (attempted, _) = oneshot::channel();
            tasks.push(tokio::spawn(port::run(
                id,
                Arc::clone(&spec),
                opener,
                Learned::in_memory(),
                rng.fork(),
                ours,
                journal.clone(),
                field_in.clone(),
                Heartbeat::new("port"),
                end.clone(),
                attempted,
                commands.add(id).into(),
            )));
        }
        let link_task = link::run(
            Arc::clone(&spec),
            Dialer::Pipe(door),
            Connector::new(&spec.cloud, rng.fork(), ours.now()),
            link_ends,
            ours,
            journal.clone(),
            Heartbeat::new("link"),
        );
        tasks.push(tokio::spawn(async {
            link_task.await;
        }));
        let (questions, asked) = mpsc::channel(4);
        let (control, controlled) = mpsc::channel(4);
        let (status, _) = watch::channel(String::new());
        // No device registers here.
        let (nowhere, _) = SecretStore::open(Path::new("/nonexistent"));
        let hub = tokio::spawn(hub::run(
            Coordinator::new(Arc::clone(&spec), rng.fork(), ours.now()),
            Stores {
                secrets: SecretWriter::new(nowhere, Arc::clone(&spec), journal.clone()),
                readings: ReadingStore::none(ours, journal.clone()),
            },
            Channels {
                field,
                link,
                control: controlled,
                questions: asked,
                remote_tasks: mpsc::channel(1).0,
                commands,
                status,
            },
            ours,
            journal,
            Heartbeat::new("hub"),
            stop.clone(),
        ));
        Site {
            spec,
            clock,
            platform,
            wires,
            questions,
            control,
            stop,
            end,
            hub,
            tasks,
        }
    }

    /// Lets virtual time pass.
    pub async fn live(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }

    /// Looks at the platform, or acts at it.
    ///
    /// # Panics
    /// If the model of the platform has panicked.
    pub async fn platform<R: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Platform, Now) -> R + Send + 'static,
    ) -> R {
        let done = self.platform.with(act).await;
        done.expect("the model does not panic")
    }

    /// Returns how many sub-devices are online.
    pub async fn online(&self) -> usize {
        self.platform(|p, _| p.online()).await
    }

    /// Lets time pass until so many are online; returns how long it took, or `None`.
    ///
    /// # Panics
    /// If the model of the platform has panicked.
    pub async fn until_online(&self, count: usize, within: Duration) -> Option<Duration> {
        let from = self.clock.now().mono;
        let came = self.platform.until(within, move |p| p.online() == count);
        let came = came.await.expect("the model does not panic");
        came.then(|| self.clock.now().mono.since(from))
    }

    /// Returns whether the platform shows this device online.
    pub async fn is_online(&self, device: DeviceId) -> bool {
        let Some(name) = device_of(&self.spec, device) else {
            return false;
        };
        self.platform(move |p, _| p.is_online(&name.product_key, &name.device_name))
            .await
    }

    /// Returns whether this device can answer on its bus.
    #[must_use]
    pub fn is_alive(&self, device: DeviceId) -> bool {
        let alive = self.spec.device(device).and_then(|d| {
            let wire = self.wires.get(d.port.index())?;
            let unit = d.address.unit()?;
            wire.is_plugged
                .then(|| wire.with(|line| line.unit(unit).is_some_and(|u| u.behaviour.alive)))
        });
        alive.unwrap_or(false)
    }

    /// Returns the gateway as the platform names it.
    #[must_use]
    pub fn gateway(&self) -> Device {
        gateway_of(&self.spec)
    }

    /// Loads another installation in the way of a reload, as far as the hub is concerned.
    pub async fn reload(&self, fresh: Spec) {
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

    /// Returns what the service shows now; `None` if it is gone.
    pub async fn facts(&self) -> Option<Facts> {
        let (answer, status) = oneshot::channel();
        self.questions
            .send(OperatorQuestion::Status(answer))
            .await
            .ok()?;
        let status = status.await.ok()?;
        let (answer, devices) = oneshot::channel();
        self.questions
            .send(OperatorQuestion::Devices(answer))
            .await
            .ok()?;
        Some(Facts::of(*status, devices.await.ok()?))
    }

    /// Asks the service to stop; returns how long the hub took to be done, and the platform
    /// afterwards.
    ///
    /// # Panics
    /// If the hub or the model of the platform has panicked.
    pub async fn stop(self) -> (Duration, Platform) {
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
}

/// Returns the gateway of an installation as the platform names it.
#[must_use]
pub fn gateway_of(spec: &Spec) -> Device {
    Device {
        product_key: spec.cloud.gateway.product_key.clone(),
        device_name: spec.cloud.gateway.device_name.clone(),
    }
}

/// Returns a device of an installation as the platform names it.
#[must_use]
pub fn device_of(spec: &Spec, device: DeviceId) -> Option<Device> {
    spec.device(device).map(|d| Device {
        product_key: d.product_key.clone(),
        device_name: d.device_name.clone(),
    })
}

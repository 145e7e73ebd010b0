//! The whole house on virtual time: the real hub and the real port tasks, with
//! models at the other ends of the same pipes and channels.
//!
//! Real code: `io::port`, `io::hub`, everything below them, and the pacing of
//! connections (`cloud::connect`). Models: the units on their lines and racks
//! (`lab::bus`), the platform (`lab::platform`). Missing: sockets, ttys, and
//! with them `io::link`, whose place between the two channels is taken by
//! [`sky`]; virtual time and real sockets do not go together.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use alink_gateway::base::{
    DeviceId, DeviceName, LinkCommand, LinkDown, LinkEvent, Mono, PortId, ProductKey, Rng, Secret,
    UnitId, Wall,
};
use alink_gateway::cloud::connect::{Connector, credentials};
use alink_gateway::hub::Hub;
use alink_gateway::io::clock::Clock;
use alink_gateway::io::hub::Ends;
use alink_gateway::io::line::Opener;
use alink_gateway::io::log::Journal;
use alink_gateway::io::notify::Notifier;
use alink_gateway::io::pulse::Pulse;
use alink_gateway::io::{hub, port};
use alink_gateway::lab::bus::{Life, Line, Pace, Unit};
use alink_gateway::lab::platform::{Conn, Connect, Device, Output, Platform, PlatformSpec};
use alink_gateway::spec::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Virtual lives begin here: 2026-01-01T00:00:00Z.
pub const DAWN: Wall = Wall::from_millis(1_767_225_600_000);

/// How many lines, and how many units on each.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Serial lines.
    pub lines: u16,
    /// Units on each.
    pub units: u8,
}

/// A model that several hands touch; the bell tells its task that somebody
/// did.
#[derive(Debug)]
pub struct Shared<T> {
    model: Mutex<T>,
    bell: Notify,
}

impl<T> Shared<T> {
    fn new(model: T) -> Arc<Self> {
        Arc::new(Shared {
            model: Mutex::new(model),
            bell: Notify::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, T> {
        self.model.lock().expect("no model panics")
    }

    /// Looks at the model, or does something to it.
    pub fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        let result = f(&mut self.lock());
        self.bell.notify_one();
        result
    }
}

/// One line: its model, and whether the cable is plugged in.
#[derive(Debug)]
pub struct Wire {
    /// The model.
    pub line: Arc<Shared<Line>>,
    plug: Arc<Shared<bool>>,
}

impl Wire {
    /// Pulls the cable or puts it back.
    pub fn plug(&self, plugged: bool) {
        self.plug.with(|p| *p = plugged);
    }

    /// Whether the cable is in.
    pub fn is_plugged(&self) -> bool {
        *self.plug.lock()
    }
}

/// The whole house.
#[derive(Debug)]
pub struct House {
    /// What it was built from.
    pub spec: Arc<Spec>,
    /// Its clock.
    pub clock: Clock,
    /// The platform at the other end.
    pub platform: Arc<Shared<Platform>>,
    /// One for each port.
    pub wires: Vec<Wire>,
    stop: CancellationToken,
    end: CancellationToken,
    hub: JoinHandle<()>,
    tasks: Vec<JoinHandle<()>>,
}

impl House {
    /// Builds everything and lets it run.
    pub fn build(size: Size, seed: u64, shape: impl FnOnce(&mut PlatformSpec)) -> House {
        let mut rng = Rng::new(seed);
        let spec = Arc::new(spec(size));
        let clock = Clock::starting_at(DAWN);
        let mut platform_spec = PlatformSpec::knowing(&spec);
        shape(&mut platform_spec);
        let platform = Shared::new(Platform::new(platform_spec, rng.fork(), clock.now()));
        let journal = Journal::new(spec.clone());
        let stop = CancellationToken::new();
        let end = CancellationToken::new();
        let (field_tx, field) = mpsc::channel(256);
        let (events_tx, link) = mpsc::channel(256);
        let (commands, commands_rx) = mpsc::channel(64);
        let mut tasks = Vec::new();
        let mut wires = Vec::new();
        for (id, _) in spec.ports() {
            let mut line = Line::new(
                Pace {
                    group: 16,
                    ..Pace::standard(9600)
                },
                rng.fork(),
            );
            for (device, d) in spec.devices_on(id) {
                line.attach(d.unit, Unit::new(Life::Marked, u64::from(device.0)));
            }
            let line = Shared::new(line);
            let plug = Shared::new(true);
            let (pipes_tx, pipes) = mpsc::channel(1);
            tasks.push(tokio::spawn(wire(line.clone(), plug.clone(), pipes_tx, clock)));
            wires.push(Wire { line, plug });
            let (attempted, _) = oneshot::channel();
            tasks.push(tokio::spawn(port::run(
                id,
                spec.clone(),
                Opener::Pipes(pipes),
                rng.fork(),
                clock,
                journal.clone(),
                field_tx.clone(),
                Pulse::new("port"),
                end.clone(),
                attempted,
            )));
        }
        let sky = sky(
            platform.clone(),
            spec.clone(),
            commands_rx,
            events_tx,
            clock,
            rng.fork(),
        );
        tasks.push(tokio::spawn(sky));
        let hub = tokio::spawn(hub::run(
            Hub::new(spec.clone(), rng.fork(), clock.now()),
            Ends {
                field,
                link,
                commands,
            },
            clock,
            journal,
            Notifier::silent(),
            Pulse::new("hub"),
            stop.clone(),
        ));
        House {
            spec,
            clock,
            platform,
            wires,
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

    /// Lets time pass until this holds; how long it took, or `None`.
    pub async fn until(
        &self,
        within: Duration,
        mut holds: impl FnMut(&House) -> bool,
    ) -> Option<Duration> {
        let from = self.clock.now().mono;
        loop {
            let gone = self.clock.now().mono.since(from);
            if holds(self) {
                return Some(gone);
            }
            if gone >= within {
                return None;
            }
            self.live(Duration::from_millis(50)).await;
        }
    }

    /// Asks the service to stop; how long the hub took to be done.
    pub async fn stop(self) -> (Duration, Arc<Shared<Platform>>) {
        let from = self.clock.now().mono;
        self.stop.cancel();
        self.hub.await.expect("the hub does not panic");
        let took = self.clock.now().mono.since(from);
        // The last publishes and DISCONNECT are on their way.
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.end.cancel();
        for task in self.tasks {
            task.abort();
        }
        (took, self.platform)
    }

    /// Whether the platform shows this device online.
    pub fn is_online(&self, device: DeviceId) -> bool {
        let d = &self.spec.devices[device.index()];
        let (pk, dn) = (&d.product_key, &d.device_name);
        self.platform.lock().is_online(pk, dn)
    }

    /// Whether this device can answer on its bus.
    pub fn is_alive(&self, device: DeviceId) -> bool {
        let d = &self.spec.devices[device.index()];
        let wire = &self.wires[d.port.index()];
        let line = wire.line.lock();
        wire.is_plugged() && line.unit(d.unit).is_some_and(|u| u.manners.alive)
    }

    /// The same on the platform's side.
    pub fn name(&self, device: DeviceId) -> Device {
        name(&self.spec, device)
    }
}

/// A device as the platform names it.
pub fn name(spec: &Spec, device: DeviceId) -> Device {
    let d = &spec.devices[device.index()];
    Device {
        product_key: d.product_key.clone(),
        device_name: d.device_name.clone(),
    }
}

/// Carries characters between the port's pipe and the model of the line, and
/// breaks the pipe when the cable is pulled.
async fn wire(
    line: Arc<Shared<Line>>,
    plug: Arc<Shared<bool>>,
    pipes: mpsc::Sender<DuplexStream>,
    clock: Clock,
) {
    loop {
        while !*plug.lock() {
            plug.bell.notified().await;
        }
        let (ours, theirs) = tokio::io::duplex(4096);
        tokio::select! {
            biased;
            () = plug.bell.notified() => continue,
            sent = pipes.send(theirs) => if sent.is_err() { return },
        }
        let (mut read, mut write) = tokio::io::split(ours);
        let mut bytes = [0u8; 512];
        loop {
            if !*plug.lock() {
                break;
            }
            let wake = {
                let mut model = line.lock();
                let now = clock.now();
                let mut out = Vec::new();
                while let Some(alink_gateway::lab::bus::LineOutput::Bytes(b)) = model.poll(now) {
                    out.extend(b);
                }
                (out, model.wake_at())
            };
            if !wake.0.is_empty() && write.write_all(&wake.0).await.is_err() {
                break;
            }
            let at = wake
                .1
                .map_or(clock.now().mono + Duration::from_secs(3600), |w| w.at);
            tokio::select! {
                biased;
                () = plug.bell.notified() => {}
                () = line.bell.notified() => {}
                n = read.read(&mut bytes) => match n {
                    Ok(n) if n > 0 => line.lock().on_bytes(clock.now(), &bytes[..n]),
                    _ => break,
                },
                () = clock.sleep_until(at) => {}
            }
        }
    }
}

/// The link's stand-in: what the hub says goes straight to the platform's
/// model, and back. It connects when the real `Connector` says so.
async fn sky(
    platform: Arc<Shared<Platform>>,
    spec: Arc<Spec>,
    mut commands: mpsc::Receiver<LinkCommand>,
    events: mpsc::Sender<LinkEvent>,
    clock: Clock,
    rng: Rng,
) {
    let mut connector = Connector::new(&spec.cloud, rng, clock.now());
    let who = credentials(&spec.cloud);
    let mut next = 0;
    loop {
        clock.sleep_until(connector.attempt_at().at).await;
        connector.on_attempt(clock.now());
        let conn = Conn(next);
        next += 1;
        platform.lock().on_connect(
            clock.now(),
            conn,
            &Connect {
                client_id: who.client_id.clone(),
                username: who.username.clone(),
                password: who.password.expose().to_owned(),
                keepalive_secs: u16::try_from(spec.cloud.broker.keepalive.as_secs())
                    .expect("configured in range"),
                clean_session: true,
                will: false,
                tls: false,
            },
        );
        let down = match session(&platform, conn, &mut commands, &events, clock, &mut connector).await
        {
            Some(down) => down,
            None => return,
        };
        connector.on_down(clock.now(), &down);
        while connector.poll(clock.now()).is_some() {}
        if events.send(LinkEvent::Down(down)).await.is_err() {
            return;
        }
        // What was meant for the dead connection goes with it.
        while commands.try_recv().is_ok() {}
    }
}

/// One connection's life; `None` when we ended it ourselves.
async fn session(
    platform: &Shared<Platform>,
    conn: Conn,
    commands: &mut mpsc::Receiver<LinkCommand>,
    events: &mpsc::Sender<LinkEvent>,
    clock: Clock,
    connector: &mut Connector,
) -> Option<LinkDown> {
    let mut ping = clock.now().mono + Duration::from_secs(25);
    loop {
        loop {
            let out = platform.lock().poll(clock.now());
            let event = match out {
                None => break,
                Some(Output::ConnAck { code: 0, .. }) => {
                    connector.on_up(clock.now());
                    LinkEvent::Up
                }
                Some(Output::ConnAck { code, .. }) => return Some(LinkDown::Refused(code)),
                Some(Output::Close { conn: c, .. }) if c == conn => return Some(LinkDown::Closed),
                Some(Output::Publish { topic, payload, .. }) => {
                    LinkEvent::Message { topic, payload }
                }
                Some(_) => continue,
            };
            if events.send(event).await.is_err() {
                return None;
            }
        }
        let wake = platform.lock().wake_at().map_or(ping, |w| w.at.min(ping));
        tokio::select! {
            biased;
            () = platform.bell.notified() => {}
            command = commands.recv() => match command {
                Some(LinkCommand::Publish { topic, payload }) => {
                    platform.lock().on_publish(clock.now(), conn, &topic, &payload, 0, None);
                }
                Some(LinkCommand::Subscribe { filters }) => {
                    for chunk in filters.chunks(8) {
                        platform.lock().on_subscribe(clock.now(), conn, chunk, None);
                    }
                }
                Some(LinkCommand::Disconnect) | None => {
                    platform.lock().on_closed(clock.now(), conn);
                    return None;
                }
            },
            () = clock.sleep_until(wake) => {
                if clock.now().mono >= ping {
                    platform.lock().on_ping(clock.now(), conn);
                    ping = clock.now().mono + Duration::from_secs(25);
                }
            }
        }
    }
}

/// An installation of marked units: each value says whose it is.
fn spec(size: Size) -> Spec {
    let point = |id: &str, table, address, interval| PointSpec {
        id: id.into(),
        table,
        address,
        codec: Codec::Number {
            kind: Number::U16,
            words: WordOrder::High,
            bytes: ByteOrder::High,
            scale: Decimal::ONE,
            offset: Decimal::ZERO,
        },
        interval: Duration::from_secs(interval),
    };
    let profile = Arc::new(ProfileSpec {
        name: "marked".into(),
        points: vec![
            point("h10", Table::HoldingRegister, 10, 2),
            point("h11", Table::HoldingRegister, 11, 2),
            point("i500", Table::InputRegister, 500, 5),
        ],
        max_registers: 125,
    });
    let ports = (0..size.lines)
        .map(|n| PortSpec {
            name: format!("line{n}"),
            line: LineSpec::Serial(SerialSpec {
                path: format!("/dev/line{n}").into(),
                baud: 9600,
                data_bits: 8,
                parity: Parity::Even,
                stop_bits: StopBits::One,
            }),
            response_timeout: Duration::from_millis(200),
        })
        .collect();
    let devices = (0..size.lines)
        .flat_map(|l| (1..=size.units).map(move |u| (l, u)))
        .map(|(l, u)| DeviceSpec {
            name: format!("unit-{l}-{u}"),
            port: PortId(l),
            unit: UnitId(u),
            profile: profile.clone(),
            product_key: ProductKey::new("a1SubDemoPk"),
            device_name: DeviceName::new(&format!("unit-{l}-{u}")),
            secret: Secret::new(format!("secret-of-{l}-{u}")),
            liveness: Liveness {
                missed: 3,
                quiet: Duration::from_secs(10),
                returns: 2,
            },
            response_timeout: None,
            turnaround: Duration::ZERO,
        })
        .collect();
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
                secret: Secret::new("GwSecret0123456789abcdefABCDEF00"),
            },
            sign_method: SignMethod::HmacSha256,
            session: SessionLimits::default(),
            post: PostPolicy::default(),
        },
        ports,
        devices,
        stop_within: Duration::from_secs(10),
    }
}

/// A point of this instant, for measuring.
pub fn mark(house: &House) -> Mono {
    house.clock.now().mono
}

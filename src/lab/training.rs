//! `alink-lab platform` and `alink-lab bus`: the parts alone, for training and for
//! trying a gateway that was configured by hand.
#![expect(
    clippy::print_stdout,
    reason = "what happens is told on standard output"
)]

mod order;

use alink_gateway::base::text::counted;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use alink_gateway::base::{Mono, Rng, UnitId};
use alink_gateway::io::files::settings::{self, LoadContext};
use alink_gateway::io::system::clock::Clock;
use alink_gateway::lab::broker::{Authority, Broker};
use alink_gateway::lab::bus::protocol::{BusProtocol, Meter, Year};
use alink_gateway::lab::bus::{Chance, Line, Pace, Rack, Unit, UnitBehaviour, UnitKind};
use alink_gateway::lab::platform::{Device, Event, Fault as Misfortune, Platform, PlatformSpec};
use alink_gateway::lab::wire::{LineRig, RackRig};
use clap::builder::ArgPredicate;
use clap::{Args, ValueEnum};
use order::{BusOrder, PlatformOrder};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// How often the state is checked that cannot be awaited.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// The environment variable that stands for `cloud.ca_file`.
const CA_FILE: &str = "ALINK_GATEWAY_CA_FILE";

/// `alink-lab platform`.
#[derive(Debug, Args)]
#[command(after_help = order::PLATFORM_HELP)]
pub(crate) struct PlatformOptions {
    /// Where to listen; port 0 takes a free one. With --tls 127.0.0.1:8883 if nothing is said.
    #[arg(
        long,
        value_name = "ADDR",
        default_value = "127.0.0.1:1883",
        default_value_if("tls", ArgPredicate::IsPresent, "127.0.0.1:8883")
    )]
    listen: SocketAddr,
    /// Speak TLS, with a certificate for localhost, the address and the host of `cloud.url`. The
    /// CA that signs it is made in this directory, if it is not there yet: `ca_file` is the
    /// ca.pem there.
    #[arg(long, value_name = "DIRECTORY")]
    tls: Option<PathBuf>,
    /// A gateway's configuration: its gateway and all its devices are known.
    #[arg(long, short, value_name = "FILE")]
    config: PathBuf,
    /// Lose this many of a thousand requests.
    #[arg(long, value_name = "PERMILLE", default_value_t = 0)]
    lose_requests: u32,
    /// Lose this many of a thousand replies.
    #[arg(long, value_name = "PERMILLE", default_value_t = 0)]
    lose_replies: u32,
    /// Send this many of a thousand replies twice.
    #[arg(long, value_name = "PERMILLE", default_value_t = 0)]
    duplicate: u32,
    /// Delay replies by up to this many milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    delay: u64,
}

/// Runs the platform until interrupted, telling what happens.
pub(crate) async fn platform(options: PlatformOptions) -> io::Result<()> {
    let authority = options.tls.as_deref().map(Authority::in_directory);
    let authority = authority.transpose()?;
    let mut context = LoadContext::of_process();
    if let Some(authority) = &authority {
        // The file of the configuration may be what this run is to make.
        let file = authority.file().display().to_string();
        context.environment.push((CA_FILE.into(), file));
    }
    let loaded = settings::load_in(&options.config, &context);
    let loaded = loaded.map_err(|r| io::Error::other(r.to_string()))?;
    let clock = Clock::system();
    let known = PlatformSpec::knowing(&loaded.spec);
    let platform = Platform::new(known, Rng::new(1), clock.now());
    let broker = match &authority {
        None => Broker::start(options.listen, platform, clock).await?,
        Some(authority) => {
            let host = loaded.spec.cloud.broker.host.clone();
            let address = options.listen.ip().to_string();
            let tls = authority.server(vec!["localhost".into(), address, host])?;
            Broker::start_tls(options.listen, platform, clock, tls).await?
        }
    };
    let misfortunes = [
        Misfortune::LoseRequests {
            permille: options.lose_requests,
        },
        Misfortune::LoseReplies {
            permille: options.lose_replies,
        },
        Misfortune::Duplicate {
            permille: options.duplicate,
        },
        Misfortune::Delay {
            least: Duration::ZERO,
            most: Duration::from_millis(options.delay),
        },
    ];
    broker
        .with(move |p, now| misfortunes.into_iter().for_each(|m| p.fault(now, m)))
        .await?;
    println!(
        "platform for {} on {}://{}",
        counted(loaded.spec.devices.len(), "device"),
        if authority.is_some() { "mqtts" } else { "mqtt" },
        broker.addr()
    );
    if let Some(authority) = &authority {
        println!(
            "its certificate is signed by ca_file: {}\nsha256 Fingerprint={}",
            authority.file().display(),
            authority.fingerprint()
        );
    }
    let mut since = Mono::START;
    let mut values = 0;
    let gateway = loaded.spec.cloud.gateway;
    let gateway = Device {
        product_key: gateway.product_key,
        device_name: gateway.device_name,
    };
    let mut world = World::listen()?;
    loop {
        match world.within(POLL_INTERVAL).await {
            Step::Stop => break,
            Step::Order(line) => match PlatformOrder::parse(&line, &gateway) {
                Ok(PlatformOrder::Help) => println!("{}", order::PLATFORM_HELP),
                Ok(PlatformOrder::Fault(fault)) => {
                    println!("{}  {fault:?}", clock.now().mono);
                    broker.with(move |p, now| p.fault(now, fault)).await?;
                }
                Ok(PlatformOrder::Act(act)) => {
                    println!("{}  {act:?}", clock.now().mono);
                    if !broker.with(move |p, now| p.act(now, act)).await? {
                        println!("there is no such device, connection or fault");
                    }
                }
                Ok(PlatformOrder::Switch(switch)) => {
                    println!("{}  {switch:?}", clock.now().mono);
                    broker
                        .with(move |p, _| p.switch(|switches| switch.set(switches)))
                        .await?;
                }
                Err(why) => println!("{why}"),
            },
            Step::Look => {}
        }
        let (events, until, accepted) = broker
            .with(move |p, now| {
                let events = p.ledger().events();
                let fresh = events.filter(|(at, _)| (since..now.mono).contains(at));
                let fresh: Vec<(Mono, Event)> = fresh.cloned().collect();
                (fresh, now.mono, p.accepted().total())
            })
            .await?;
        for (at, event) in events {
            println!("{at}  {}", SpokenEvent(&event));
        }
        if accepted > values {
            println!("{until}  {} accepted", counted(accepted, "value"));
        }
        (since, values) = (until, accepted);
    }
    Ok(())
}

/// An event in words.
struct SpokenEvent<'a>(&'a Event);

impl fmt::Display for SpokenEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Event::Connected(gateway) => write!(f, "{gateway} connected"),
            Event::Registered(device) => write!(f, "{device} registered"),
            Event::Refused { who, code, why } => match (who, code) {
                (Some(who), Some(code)) => write!(f, "{who} refused with {code}: {why}"),
                (Some(who), None) => write!(f, "{who} refused: {why}"),
                (None, _) => write!(f, "an unknown client refused: {why}"),
            },
            Event::Disconnected {
                gateway,
                why,
                sessions,
            } => write!(
                f,
                "{gateway} disconnected ({why}), {} ended",
                counted(*sessions, "session")
            ),
            Event::LoggedIn(device) => write!(f, "{device} logged in"),
            Event::LoggedOut(device) => write!(f, "{device} logged out"),
            Event::Ended { device, code } => write!(f, "{device} thrown out: {code:?}"),
            Event::Lost(device) => write!(f, "{device} lost its session without a notice"),
            Event::OutOfSession(device) => write!(f, "{device} spoke without a session"),
            Event::Found(device) => write!(f, "{device} reported as found"),
            Event::Informed { device, version } => write!(f, "{device} runs {version}"),
            Event::Replied { device, tail, .. } => write!(f, "{device} answered {tail}"),
        }
    }
}

/// `alink-lab bus`.
#[derive(Debug, Args)]
#[command(after_help = order::bus_help())]
pub(crate) struct BusOptions {
    /// Put a serial line on a pseudo terminal under this name.
    #[arg(
        long,
        value_name = "LINK",
        required_unless_present = "tcp",
        conflicts_with = "tcp"
    )]
    tty: Option<PathBuf>,
    /// Serve Modbus TCP here instead; port 0 takes a free one.
    #[arg(long, value_name = "ADDR")]
    tcp: Option<SocketAddr>,
    /// Speed of the line; 8 data bits, no parity.
    #[arg(long, default_value_t = 9600, value_parser = clap::value_parser!(u32).range(50..=4_000_000))]
    baud: u32,
    /// How many units, from 1 on.
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u8).range(1..=247))]
    units: u8,
    /// How many electricity meters of DL/T 645-2007 are on the line as well, with
    /// the addresses 000000000001 and up.
    #[arg(long, value_name = "N", default_value_t = 0, conflicts_with = "tcp")]
    meters: u8,
    /// The kind of the units.
    #[arg(long, value_enum, default_value_t = KindOfUnit::Meter)]
    kind: KindOfUnit,
    /// Milliseconds from request to reply.
    #[arg(long, value_name = "MS", default_value_t = 5)]
    turnaround: u64,
    /// Units without power, such as 3,7.
    #[arg(long, value_name = "UNITS", value_delimiter = ',')]
    dead: Vec<u8>,
    /// A fault and how many of a thousand replies have it, such as flip=20 or
    /// late:700=50. One of mute, late:MS, cut, flip, twice, foreign,
    /// wrong-function, short, wrong-transaction, echo, noise:BYTES, babble,
    /// hiccup:MS, twin. May be repeated.
    #[arg(long, value_name = "FAULT=PERMILLE")]
    fault: Vec<TypedFault>,
}

/// Kinds of simulated devices.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum KindOfUnit {
    /// Three-phase meters: input and holding registers 0–31.
    Meter,
    /// Input/output modules: 16 inputs, 16 relays, 8 analogue inputs.
    IoModule,
    /// Numbers that belong to one unit, address and tenth of a second alone.
    Marked,
}

/// A fault as typed.
#[derive(Clone, Copy, Debug)]
struct TypedFault(Chance);

impl FromStr for TypedFault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (what, permille) = text.split_once('=').ok_or("want FAULT=PERMILLE")?;
        let permille = order::permille(permille)?;
        let (name, argument) = match what.split_once(':') {
            Some((name, argument)) => (name, Some(argument)),
            None => (what, None),
        };
        let fault = order::fault(name, argument)?;
        Ok(TypedFault(Chance { fault, permille }))
    }
}

/// Runs the devices until interrupted, telling now and then what was asked.
pub(crate) async fn bus(options: BusOptions) -> io::Result<()> {
    let clock = Clock::system();
    let kind = match options.kind {
        KindOfUnit::Meter => UnitKind::Meter,
        KindOfUnit::IoModule => UnitKind::IoModule,
        KindOfUnit::Marked => UnitKind::Marked,
    };
    let units = (1..=options.units).map(|id| {
        let behaviour = UnitBehaviour {
            alive: !options.dead.contains(&id),
            turnaround: Duration::from_millis(options.turnaround),
            faults: options.fault.iter().map(|o| o.0).collect(),
            ..UnitBehaviour::default()
        };
        let unit = Unit::new(kind, u64::from(id)).with(behaviour);
        (UnitId(id), unit)
    });
    let mut world = World::listen()?;
    if let Some(address) = options.tcp {
        let mut rack = Rack::new();
        units.for_each(|(id, unit)| rack.attach(id, unit));
        let rig = RackRig::start(rack, address, clock).await?;
        println!("{} on {}", counted(options.units, "unit"), rig.address());
        let mut before = None;
        loop {
            match world.within(POLL_INTERVAL * 10).await {
                Step::Stop => break,
                Step::Order(line) => println!(
                    "{}",
                    BusOrder::parse(&line).map_or_else(
                        |why| why,
                        |order| rig
                            .with(|rack, _| order.carry_out(|id| behaviour(rack.unit_mut(id))))
                    )
                ),
                Step::Look => {}
            }
            let counts = rig.with(|rack, _| rack.counts().clone());
            if before.as_ref() != Some(&counts) {
                let (now, faults) = (clock.now().mono, &counts.faults);
                println!(
                    "{now}  {}, {}, {} for units that are not there; faults {faults:?}",
                    counted(counts.connections, "connection"),
                    counted(counts.requests, "request"),
                    counts.unanswered
                );
            }
            before = Some(counts);
        }
    } else if let Some(link) = options.tty {
        let pace = Pace {
            bits: 10,
            ..Pace::standard(options.baud)
        };
        let mut line = Line::new(pace, Rng::new(1));
        units.for_each(|(id, unit)| line.attach(id, unit));
        for address in 1..=u64::from(options.meters) {
            // Other numbers than those of the units.
            let unit = Unit::new(UnitKind::Meter, 1000 + address);
            line.join(BusProtocol::Dlt645(Meter::new(Year::Y2007, address, unit)));
        }
        let mut rig = LineRig::new(line, clock);
        rig.plug_terminal(&link)?;
        println!(
            "{} and {} of DL/T 645 at {} baud on {}",
            counted(options.units, "unit"),
            counted(options.meters, "meter"),
            options.baud,
            link.display()
        );
        let mut before = None;
        loop {
            match world.within(POLL_INTERVAL * 10).await {
                Step::Stop => break,
                Step::Order(text) => println!(
                    "{}",
                    BusOrder::parse(&text).map_or_else(
                        |why| why,
                        |order| rig
                            .with(|line, _| order.carry_out(|id| behaviour(line.unit_mut(id))))
                    )
                ),
                Step::Look => {}
            }
            let counts = rig.with(|line, _| line.counts().clone());
            if before.as_ref() != Some(&counts) {
                let (now, faults) = (clock.now().mono, &counts.faults);
                println!(
                    "{now}  {}, {} for units that are not there, {} not understood, {} without \
                     silence before them, {}; faults {faults:?}",
                    counted(counts.requests, "request"),
                    counts.unanswered,
                    counts.not_understood,
                    counts.silence_violations,
                    counted(counts.collisions, "collision")
                );
            }
            before = Some(counts);
        }
        rig.unplug().await;
    }
    Ok(())
}

fn behaviour(unit: Option<&mut Unit>) -> Option<&mut UnitBehaviour> {
    unit.map(|u| &mut u.behaviour)
}

/// The next step to take.
enum Step {
    /// SIGINT or SIGTERM came.
    Stop,
    /// A line was typed.
    Order(String),
    /// Time has passed.
    Look,
}

/// The sources of orders and signals.
struct World {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    orders: mpsc::Receiver<String>,
    /// When to check next.
    look: Instant,
}

impl World {
    fn listen() -> io::Result<World> {
        Ok(World {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            orders: order::lines(),
            look: Instant::now(),
        })
    }

    /// Returns the first thing to happen; a look is due this long after the one before.
    async fn within(&mut self, span: Duration) -> Step {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => Step::Stop,
            _ = self.terminate.recv() => Step::Stop,
            // After the end of the input it is no longer looked at.
            Some(order) = self.orders.recv() => Step::Order(order),
            () = tokio::time::sleep_until(self.look) => {
                self.look = Instant::now() + span;
                Step::Look
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alink_gateway::lab::bus::Fault;

    #[test]
    fn faults_are_ordered_by_name() {
        let ordered = |text: &str| text.parse::<TypedFault>().map(|o| o.0);
        assert_eq!(
            ordered("late:700=50"),
            Ok(Chance {
                fault: Fault::Late(Duration::from_millis(700)),
                permille: 50
            })
        );
        assert_eq!(ordered("flip=20").map(|c| c.fault), Ok(Fault::Flip));
        for wrong in [
            "flip",
            "flip=x",
            "flip=1001",
            "late=5",
            "noise:300=5",
            "sulk=5",
        ] {
            assert!(ordered(wrong).is_err(), "{wrong}");
        }
    }
}

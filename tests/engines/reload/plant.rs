//! The real service on virtual time, between models: a plant whose
//! configuration is edited while it runs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::installation::{self, demo_cloud, device, number, point, port, profile, serial};
use alink_gateway::app::service::{Openers, Service};
use alink_gateway::base::{PortId, Rng, Secret, UnitId, Wall};
use alink_gateway::io::bus::line::Opener;
use alink_gateway::io::link::Dialer;
use alink_gateway::io::log::Journal;
use alink_gateway::io::store::secret_store::SecretStore;
use alink_gateway::io::system::clock::Clock;
use alink_gateway::lab::broker::Broker;
use alink_gateway::lab::bus::{Line, Pace, Unit, UnitKind};
use alink_gateway::lab::platform::{Device, Platform, PlatformSpec};
use alink_gateway::lab::wire::LineRig;
use alink_gateway::spec::*;
use tempfile::TempDir;
use tokio::sync::mpsc;

/// The units on each line of the plant, configured or not.
pub(crate) const UNITS: u8 = 20;
/// The lines.
pub(crate) const LINES: u8 = 3;

/// One line of a configuration: a device.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Meter {
    /// Line, counted from 0.
    pub(crate) line: u8,
    /// Unit there.
    pub(crate) unit: u8,
    /// Its name on the platform.
    pub(crate) name: String,
    /// The secret; empty if the device is to register.
    pub(crate) secret: String,
    /// The names of its points: their order matters.
    pub(crate) points: Vec<&'static str>,
}

/// A configuration, in short form.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Config {
    pub(crate) meters: Vec<Meter>,
    /// Response timeout of each line.
    pub(crate) timeouts: [Duration; LINES as usize],
    /// The host of the platform.
    pub(crate) host: &'static str,
    /// Log-ins under way at once.
    pub(crate) in_flight: usize,
    /// The policy for the topology.
    pub(crate) topology: TopologyPolicy,
}

/// Builds the device of one unit; its name says where it is.
pub(crate) fn meter(line: u8, unit: u8) -> Meter {
    let name = format!("unit-{line}-{unit}");
    Meter {
        line,
        unit,
        secret: secret(&name),
        name,
        points: vec!["h10", "h11"],
    }
}

/// Returns the right secret.
pub(crate) fn secret(name: &str) -> String {
    format!("secret-of-{name}")
}

impl Config {
    /// Puts so many units on each of so many lines.
    pub(crate) fn of(lines: u8, units: u8) -> Config {
        let all = (0..lines).flat_map(|l| (1..=units).map(move |u| meter(l, u)));
        Config {
            meters: all.collect(),
            timeouts: [Duration::from_millis(200); LINES as usize],
            host: "platform",
            in_flight: 4,
            topology: TopologyPolicy::Add,
        }
    }

    /// Returns the meter of this name.
    pub(crate) fn meter(&mut self, name: &str) -> &mut Meter {
        let found = self.meters.iter_mut().find(|m| m.name == name);
        found.expect("a meter of that name")
    }

    /// Returns the configuration without the meter of this name.
    pub(crate) fn without(mut self, name: &str) -> Config {
        self.meters.retain(|m| m.name != name);
        self
    }

    /// Returns the names of all, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.meters.iter().map(|m| m.name.clone()).collect();
        names.sort();
        names
    }

    /// Compiles the configuration.
    pub(crate) fn spec(&self) -> Spec {
        let ports = (0..LINES).map(|n| {
            let line = LineSpec::Serial(serial(format!("/dev/line{n}"), 9600));
            port(&format!("line{n}"), line, self.timeouts[usize::from(n)])
        });
        let devices = self.meters.iter().map(|m| DeviceSpec {
            port: PortId(m.line.into()),
            secret: Secret::new(m.secret.clone()),
            liveness: Liveness {
                missed: 3,
                quiet: Duration::from_secs(10),
                returns: 2,
            },
            ..device(&m.name, m.unit, "a1SubDemoPk", &kind(&m.points))
        });
        let mut cloud = demo_cloud(self.host);
        cloud.session.in_flight = self.in_flight;
        cloud.session.topology = self.topology;
        installation::spec(cloud, ports.collect(), devices.collect())
    }
}

fn kind(points: &[&str]) -> Arc<ProfileSpec> {
    let point = |id: &&str| PointSpec {
        report: Default::default(),
        id: (*id).to_owned(),
        ..point(
            Table::HoldingRegister,
            id[1..].parse().expect("h and a number"),
            number(Number::U16),
            Duration::from_secs(2),
        )
    };
    profile("marked", points.iter().map(point).collect())
}

type Rigs = Arc<Mutex<BTreeMap<String, LineRig>>>;

/// The service and the models around it.
pub(crate) struct Plant {
    pub(crate) service: Service,
    pub(crate) platform: Broker,
    rigs: Rigs,
    state: Option<TempDir>,
}

impl Plant {
    /// Starts the service with this configuration on a plant where every unit
    /// of every line answers; the platform knows all of them.
    pub(crate) async fn start(config: &Config, seed: u64) -> Plant {
        let state = tempfile::tempdir().unwrap();
        let mut plant = Plant::start_in(state.path(), config, seed, |_| {}).await;
        plant.state = Some(state);
        plant
    }

    /// Does the same with this directory for what the platform hands out, and a
    /// platform with these settings.
    pub(crate) async fn start_in(
        state: &Path,
        config: &Config,
        seed: u64,
        like: impl FnOnce(&mut PlatformSpec),
    ) -> Plant {
        let mut rng = Rng::new(seed);
        let clock = Clock::starting_at(Wall::from_millis(1_767_225_600_000));
        let everybody = Config::of(LINES, UNITS).spec();
        let mut known = PlatformSpec::knowing(&everybody);
        like(&mut known);
        let platform = Platform::new(known, rng.fork(), clock.now());
        let (platform, door) = Broker::at_door(platform, clock, false);
        let rigs: Rigs = Rigs::default();
        for (id, port) in everybody.ports() {
            let pace = Pace {
                group: 16,
                ..Pace::standard(9600)
            };
            let mut line = Line::new(pace, rng.fork());
            for (device, d) in everybody.devices_on(id) {
                line.attach(
                    d.address.unit().unwrap(),
                    Unit::new(UnitKind::Marked, u64::from(device.0)),
                );
            }
            let rig = LineRig::new(line, clock);
            rigs.lock().unwrap().insert(port.name.clone(), rig);
        }
        let cables = rigs.clone();
        let doors = Openers {
            opener: Box::new(move |port| {
                let (pipes, received) = mpsc::channel(1);
                let mut rigs = cables.lock().unwrap();
                let rig = rigs.get_mut(&port.name).expect("every port has its line");
                pipes.try_send(rig.plug_pipe()).expect("room for one");
                Opener::Pipes(received)
            }),
            dialer: Box::new(move || Dialer::Pipe(door.clone())),
        };
        let spec = config.spec();
        let journal = Journal::new(Arc::new(spec.clone()));
        let (secret_store, _) = SecretStore::open(state);
        let service = Service::start(spec, true, doors, secret_store, clock, journal, rng).await;
        Plant {
            service,
            platform,
            rigs,
            state: None,
        }
    }

    /// Lets virtual time pass.
    pub(crate) async fn live(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }

    /// Loads this configuration.
    pub(crate) async fn reload(&mut self, config: &Config) -> Changes {
        self.service.reload(config.spec(), true).await
    }

    /// Switches the power of one unit off or on.
    pub(crate) fn power(&self, line: u8, unit: u8, on: bool) {
        let rigs = self.rigs.lock().unwrap();
        rigs[&format!("line{line}")].with(|line, _| {
            let unit = line.unit_mut(UnitId(unit)).expect("a unit there");
            unit.behaviour.alive = on;
        });
    }

    /// Looks at the platform.
    pub(crate) async fn platform<R: Send + 'static>(
        &self,
        look: impl FnOnce(&mut Platform) -> R + Send + 'static,
    ) -> R {
        let looked = self.platform.with(|p, _| look(p)).await;
        looked.expect("the model does not panic")
    }

    /// Returns the devices that are online.
    pub(crate) async fn online(&self) -> Vec<String> {
        self.platform(|p| online(p)).await
    }

    /// Waits until exactly these are online.
    pub(crate) async fn until_online(&self, names: &[String]) {
        let wanted = names.to_vec();
        let came = self
            .platform
            .until(Duration::from_secs(900), move |p| online(p) == wanted);
        if !came.await.expect("the model does not panic") {
            assert_eq!(self.online().await, names);
        }
    }

    /// Returns whether a device of this name hangs under a gateway.
    pub(crate) async fn hangs(&self, name: &str) -> bool {
        let sub = Device::new("a1SubDemoPk", name);
        self.platform(move |p| p.gateway_of(&sub).is_some()).await
    }

    /// Returns the requests to the platform so far: the sizes of log-ins and log-outs,
    /// and the number of connections.
    pub(crate) async fn asked(&self) -> Asked {
        self.platform(|p| Asked {
            logins: p.ledger().login_sizes(),
            logouts: p.ledger().logout_sizes(),
            connects: p.ledger().totals().connects,
        })
        .await
    }

    /// Demands that no rule of the platform was broken.
    pub(crate) async fn is_content(&self) {
        let broken = self.platform(|p| format!("{:?}", p.ledger().violations()));
        assert_eq!(broken.await, "{}");
    }

    /// Demands that every value in the cloud stood in that very register of that very
    /// unit at the time it claims; returns how many there were. Only where each device
    /// stays at its unit.
    pub(crate) async fn every_value_was_true(&self) -> usize {
        let accepted: Vec<_> = self
            .platform(|p| p.accepted().log().cloned().collect())
            .await;
        let rigs = self.rigs.lock().unwrap();
        for v in &accepted {
            let name = v.device.device_name.as_str();
            let mut parts = name.split('-').skip(1).map(|n| n.parse::<u8>().unwrap());
            let (line, unit) = (parts.next().unwrap(), parts.next().unwrap());
            let address = v.property[1..].parse().unwrap();
            let time = v.time.unwrap();
            let value = u16::try_from(v.value.as_u64().unwrap()).unwrap();
            let window = Wall::from_millis(time.as_millis() - 1_000)..=time;
            let held = rigs[&format!("line{line}")].with(|line, _| {
                line.unit(UnitId(unit))
                    .is_some_and(|u| u.had(window, Table::HoldingRegister, address, &[value]))
            });
            assert!(held, "never held: {v:?}");
        }
        accepted.len()
    }

    /// Stops the service as `serve` does: orderly if that is done in time, else as it
    /// is. Returns whether it was, and the platform afterwards.
    pub(crate) async fn stop(mut self) -> (bool, Platform) {
        let within = self.service.stop_within();
        let stopped = tokio::time::timeout(within, self.service.stop()).await;
        self.kill().await.map_or_else(
            |_| panic!("the model does not panic"),
            |platform| (stopped.is_ok(), platform),
        )
    }

    /// Ends the service as a kill does: no further message is sent.
    pub(crate) async fn kill(self) -> std::io::Result<Platform> {
        self.service.end().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.platform.stop().await
    }
}

/// See [`Plant::asked`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) logins: Vec<usize>,
    pub(crate) logouts: Vec<usize>,
    pub(crate) connects: u64,
}

impl Asked {
    /// Returns the requests since `before`.
    pub(crate) fn since(&self, before: &Asked) -> Asked {
        Asked {
            logins: self.logins[before.logins.len()..].to_vec(),
            logouts: self.logouts[before.logouts.len()..].to_vec(),
            connects: self.connects - before.connects,
        }
    }
}

fn online(platform: &Platform) -> Vec<String> {
    let devices = platform.online_devices();
    let mut names: Vec<_> = devices.map(|d| d.device_name.to_string()).collect();
    names.sort();
    names
}

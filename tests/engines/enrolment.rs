//! A gateway that registers itself, on virtual time, against the lab's platform model:
//! the connection drops at any instant, storing takes its time or fails, the process
//! dies. [`Life::judge`] checks what must be true of every such life.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::installation;
use alink_gateway::base::{LinkDown, Mono, Now, Rng, Secret, Wall};
use alink_gateway::cloud::alink::registration::enrolment::{
    Enrolment, EnrolmentFailure, EnrolmentStep, Output,
};
use alink_gateway::cloud::{Connector, Credentials, IssuedCredential};
use alink_gateway::lab::platform::{self, Conn, Connect, Event, Platform, PlatformSpec};
use alink_gateway::spec::{GatewayCertificate, ProductCertificate, Registration, Spec, Transport};
use proptest::prelude::*;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn spec(registration: Registration) -> Spec {
    let certificate = GatewayCertificate::Product(ProductCertificate {
        secret: Secret::new("product-secret"),
        registration,
        instance_id: None,
    });
    let mut cloud = installation::cloud("platform", "a1GwDemoPk0", "gw-0001", certificate);
    cloud.broker.port = 8883;
    cloud.broker.transport = Transport::Tls { ca_file: None };
    installation::spec(cloud, Vec::new(), Vec::new())
}

/// The faults of one life.
#[derive(Clone, Debug)]
struct Fate {
    registration: Registration,
    /// Which `securemode` the platform takes for `regnwl`.
    securemode: Option<i8>,
    /// The latency one way.
    latency: Duration,
    /// How long a store takes.
    store: Duration,
    /// How many stores fail first.
    stores_fail: u32,
    /// When the connection of each attempt drops, from its CONNECT on; attempts after
    /// the last do not drop.
    drops: Vec<Duration>,
    /// The drop with which the process dies, and starts again.
    dies_with: Option<usize>,
    seed: u64,
}

fn fates() -> impl Strategy<Value = Fate> {
    (
        prop_oneof![Just(Registration::Register), Just(Registration::RegNwl)],
        prop_oneof![Just(None), Just(Some(2)), Just(Some(-2))],
        (1u64..4000).prop_map(ms),
        prop_oneof![0u64..50, 0u64..40_000].prop_map(ms),
        0u32..3,
        prop::collection::vec((0u64..16_000).prop_map(ms), 0..12),
        prop::option::of(0usize..6),
        any::<u64>(),
    )
        .prop_map(
            |(registration, securemode, latency, store, stores_fail, drops, dies_with, seed)| {
                Fate {
                    registration,
                    securemode,
                    latency,
                    store,
                    stores_fail,
                    drops,
                    dies_with,
                    seed,
                }
            },
        )
}

/// An event of later.
#[derive(Debug)]
enum Later {
    /// CONNECT arrives at the platform.
    Connect(Conn, Credentials),
    /// An output of the platform arrives at the gateway.
    Arrive(platform::Output),
    /// The connection drops.
    Drop(Conn, usize),
    /// The DISCONNECT of the gateway arrives at the platform.
    Farewell(Conn),
    /// A store has ended.
    Stored(IssuedCredential),
}

/// What the gateway is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    Waiting,
    Registering(Conn),
    /// It stores, with or without a connection; it handles no other event meanwhile.
    Storing(Option<Conn>),
    Connecting(Conn),
    Up,
}

struct Life {
    fate: Fate,
    spec: Spec,
    now: Now,
    platform: Platform,
    enrolment: Enrolment,
    connector: Connector,
    doing: Doing,
    disk: Option<IssuedCredential>,
    later: BTreeMap<(Mono, u64), Later>,
    count: u64,
    stores: u32,
    attempts: usize,
    /// When CONNECT was sent, in this life of the process.
    connects: Vec<Mono>,
    /// Registrations whose answer was lost: each is a good reason for another.
    lost: usize,
    kept: usize,
}

impl Life {
    fn new(fate: Fate) -> Life {
        let spec = spec(fate.registration);
        let now = Now {
            mono: Mono::from_micros(1_000_000),
            wall: Wall::from_millis(1_767_225_600_000),
        };
        let mut theirs = PlatformSpec::knowing(&spec);
        theirs.switches.regnwl_securemode = fate.securemode;
        let mut rng = Rng::new(fate.seed);
        Life {
            platform: Platform::new(theirs, rng.fork(), now),
            enrolment: Enrolment::new(&spec.cloud, None, rng.fork()),
            connector: Connector::new(&spec.cloud, rng.fork(), now),
            spec,
            now,
            doing: Doing::Waiting,
            disk: None,
            later: BTreeMap::new(),
            count: 0,
            stores: 0,
            attempts: 0,
            connects: Vec::new(),
            lost: 0,
            kept: 0,
            fate,
        }
    }

    fn after(&mut self, wait: Duration, what: Later) {
        self.count += 1;
        self.later.insert((self.now.mono + wait, self.count), what);
    }

    fn live(&mut self) {
        for _ in 0..10_000 {
            while let Some(out) = self.platform.poll(self.now) {
                let latency = self.fate.latency;
                self.after(latency, Later::Arrive(out));
            }
            if self.doing == Doing::Up {
                return self.judge();
            }
            let attempt = (self.doing == Doing::Waiting).then(|| self.connector.attempt_at().at);
            let time_limit = match self.doing {
                Doing::Registering(_) => self.enrolment.wake_at().map(|w| w.at),
                _ => None,
            };
            let event = self.later.keys().next().map(|(at, _)| *at);
            let theirs = self.platform.wake_at().map(|w| w.at);
            let next = [attempt, time_limit, event, theirs]
                .into_iter()
                .flatten()
                .min();
            let next = next.unwrap().max(self.now.mono);
            let step = next.since(self.now.mono);
            self.now.mono = next;
            let wall = self.now.wall.as_millis() + i64::try_from(step.as_millis()).unwrap();
            self.now.wall = Wall::from_millis(wall);
            if event == Some(next) {
                let (_, what) = self.later.pop_first().unwrap();
                self.happen(what);
            } else if time_limit.is_some_and(|at| at <= next) {
                self.drain();
            } else if attempt.is_some_and(|at| at <= next) {
                self.attempt();
            }
        }
        panic!("it never gets there: {:?}", self.fate);
    }

    fn attempt(&mut self) {
        match self.enrolment.next() {
            EnrolmentStep::Connect(credentials) => {
                self.connector.on_attempt(self.now);
                let conn = self.dial(credentials);
                self.doing = Doing::Connecting(conn);
            }
            EnrolmentStep::Register => {
                let credentials = self.enrolment.on_attempt(self.now).unwrap();
                self.connector.on_attempt(self.now);
                let conn = self.dial(credentials);
                self.doing = Doing::Registering(conn);
            }
            EnrolmentStep::StoreSecret(issued) => self.store(None, issued),
        }
    }

    fn dial(&mut self, credentials: Credentials) -> Conn {
        assert!(self.platform.ledger().events().count() < 1000);
        self.connects.push(self.now.mono);
        let conn = Conn(self.count + 1);
        let attempt = self.attempts;
        self.attempts += 1;
        self.after(self.fate.latency, Later::Connect(conn, credentials));
        if let Some(drop) = self.fate.drops.get(attempt).copied() {
            self.after(drop, Later::Drop(conn, attempt));
        }
        conn
    }

    fn store(&mut self, conn: Option<Conn>, issued: IssuedCredential) {
        self.doing = Doing::Storing(conn);
        self.after(self.fate.store, Later::Stored(issued));
    }

    fn happen(&mut self, what: Later) {
        match what {
            Later::Connect(conn, credentials) => {
                let asked = Connect {
                    client_id: credentials.client_id,
                    username: credentials.username,
                    password: credentials.password.expose().to_owned(),
                    keepalive_secs: 300,
                    clean_session: true,
                    will: false,
                    tls: true,
                };
                self.platform.on_connect(self.now, conn, &asked);
            }
            Later::Farewell(conn) => self.platform.on_closed(self.now, conn),
            Later::Arrive(out) => self.arrive(out),
            Later::Drop(conn, attempt) => {
                self.platform.on_closed(self.now, conn);
                self.later.retain(|_, l| match l {
                    Later::Connect(c, _) => *c != conn,
                    Later::Arrive(out) => out.conn() != conn,
                    _ => true,
                });
                if self.fate.dies_with == Some(attempt) {
                    self.die();
                } else {
                    self.ended(conn, &LinkDown::Io("dropped".into()));
                }
            }
            Later::Stored(issued) => {
                let Doing::Storing(conn) = self.doing else {
                    panic!("stored, and no request waits: {:?}", self.doing);
                };
                self.stores += 1;
                let fails = self.stores <= self.fate.stores_fail;
                let stored = match fails {
                    true => Err("the disk is full".to_owned()),
                    false => {
                        self.disk = Some(issued);
                        Ok(())
                    }
                };
                self.enrolment.on_kept(self.now, stored);
                self.doing = conn.map_or(Doing::Waiting, Doing::Registering);
                self.drain();
            }
        }
    }

    fn arrive(&mut self, out: platform::Output) {
        let conn = out.conn();
        match out {
            platform::Output::ConnAck { code: 0, .. } => {
                if self.doing == Doing::Registering(conn) {
                    self.enrolment.on_up(self.now);
                } else if self.doing == Doing::Connecting(conn) {
                    self.doing = Doing::Up;
                }
            }
            platform::Output::ConnAck { code, .. } => self.ended(conn, &LinkDown::Refused(code)),
            platform::Output::Publish { topic, payload, .. }
                if self.doing == Doing::Registering(conn) =>
            {
                self.enrolment.on_message(self.now, &topic, &payload);
                self.drain();
            }
            platform::Output::Close { .. } => self.ended(conn, &LinkDown::Closed),
            _ => {}
        }
    }

    /// Handles the end of a connection that the gateway did not close.
    fn ended(&mut self, conn: Conn, why: &LinkDown) {
        if self.doing == Doing::Registering(conn) {
            // A gateway that is refused has not registered.
            self.lost += usize::from(!matches!(why, LinkDown::Refused(_)));
            self.doing = Doing::Waiting;
            self.enrolment.on_down(self.now, why);
            self.drain();
        } else if self.doing == Doing::Connecting(conn) {
            self.connector.on_down(self.now, why);
            self.doing = Doing::Waiting;
        }
    }

    /// Cuts the power; what is on disk stays.
    fn die(&mut self) {
        if self.disk.is_none() {
            self.lost += 1;
        }
        self.later.retain(|_, l| !matches!(l, Later::Stored(_)));
        let mut rng = Rng::new(self.fate.seed.wrapping_add(1));
        self.enrolment = Enrolment::new(&self.spec.cloud, self.disk.clone(), rng.fork());
        self.connector = Connector::new(&self.spec.cloud, rng, self.now);
        self.connects.clear();
        self.doing = Doing::Waiting;
    }

    fn drain(&mut self) {
        while let Some(out) = self.enrolment.poll(self.now) {
            match out {
                Output::StoreSecret(issued) => {
                    self.kept += 1;
                    let Doing::Registering(conn) = self.doing else {
                        panic!("issued while {:?}", self.doing);
                    };
                    self.store(Some(conn), issued);
                    return;
                }
                Output::Disconnect => {
                    let Doing::Registering(conn) = self.doing else {
                        panic!("left while {:?}", self.doing);
                    };
                    // Kept before the connection is left, or tried at least.
                    assert!(self.kept == 0 || self.stores > 0);
                    self.after(self.fate.latency, Later::Farewell(conn));
                    self.enrolment.on_down(self.now, &LinkDown::Ours);
                    self.doing = Doing::Waiting;
                }
                Output::Done => {
                    assert!(self.disk.is_some(), "used before it is on disk");
                    self.connector.on_registered(self.now);
                }
                // For the journal alone.
                Output::Before { times, .. } => assert!(times > 0),
                Output::Failed { why, .. } => {
                    self.lost += usize::from(why == EnrolmentFailure::NoAnswer);
                    self.connector.on_not_registered(self.now, &why);
                }
            }
        }
    }

    fn judge(&self) {
        let fate = &self.fate;
        let registered = self
            .platform
            .ledger()
            .events()
            .filter(|(_, e)| matches!(e, Event::Registered(_)))
            .count();
        assert!(registered >= 1, "{fate:?}");
        assert!(
            registered <= 1 + self.lost,
            "registered {registered} times, {} answers lost: {fate:?}",
            self.lost
        );
        // A gateway that has its answer never registers again, unless it dies first.
        let deaths = usize::from(fate.dies_with.is_some());
        assert!((1..=1 + deaths).contains(&self.kept), "{fate:?}");
        for five in self.connects.windows(6) {
            let span = five[5].since(five[0]);
            assert!(
                span >= Duration::from_secs(60),
                "6 CONNECTs in {span:?}: {fate:?}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn whenever_the_connection_drops_one_secret_is_asked_for_kept_and_used(fate in fates()) {
        Life::new(fate).live();
    }
}

#[test]
fn no_instant_of_the_fifteen_seconds_is_a_bad_one_to_drop() {
    for registration in [Registration::Register, Registration::RegNwl] {
        for at in (0..16_000).step_by(50) {
            for store in [0, 700] {
                Life::new(Fate {
                    registration,
                    securemode: None,
                    latency: ms(100),
                    store: ms(store),
                    stores_fail: 0,
                    drops: vec![ms(at); 3],
                    dies_with: (at % 100 == 0).then_some(0),
                    seed: at,
                })
                .live();
            }
        }
    }
}

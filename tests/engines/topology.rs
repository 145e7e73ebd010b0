//! The devices of the gateway: topology, registration and the orders of the platform,
//! the engine against the lab's platform model, on virtual time.

mod commands;
mod console;
mod lora;
mod membership;
mod orders;
mod registration;

use crate::gateway::name;
use crate::virtual_time::next_wake;
use alink_gateway::base::{
    Command, CommandAnswer, DeviceId, DeviceName, LogEvent, Mono, Now, ProductKey, Reading, Rng,
    Secret, Value, Wall,
};
use alink_gateway::cloud::{self, Cloud, CloudLogEvent, Presence, Session, TopologyEvent};
use alink_gateway::lab::platform::{
    Certificate, ChangeChannel, Conn, Device, Event, FailedBatchNames, Fault, Output, Platform,
    PlatformSpec, Product, Violation,
};
use alink_gateway::spec::{Spec, TopologyPolicy};
use proptest::prelude::*;
use serde_json::Value as Json;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn sub(n: u32) -> Device {
    Device::new("subPk", &name(n))
}

fn gateway() -> Device {
    Device::new("gwPk", "gw-1")
}

/// Builds an installation in which each device has a secret of its own.
fn spec(n: u32) -> Spec {
    let mut spec = crate::gateway::gateway(n, 1);
    for (i, device) in spec.devices.iter_mut().enumerate() {
        device.secret = Secret::new(format!("secret-{i}"));
    }
    spec
}

/// The engine, the model, and the time between them.
struct Pair {
    spec: Arc<Spec>,
    cloud: Cloud,
    platform: Platform,
    now: Now,
    conn: Option<Conn>,
    conns: u64,
    sent: Vec<(String, Json)>,
    notices: Vec<CloudLogEvent>,
    kept: Vec<(DeviceId, Secret)>,
    commands: Vec<Command>,
}

impl Pair {
    fn new(
        n: u32,
        shape: impl FnOnce(&mut Spec),
        platform: impl FnOnce(&mut PlatformSpec),
    ) -> Pair {
        let mut spec = spec(n);
        let mut theirs = PlatformSpec::knowing(&spec);
        // The quota counts devices; here log-ins come at 50 a message.
        theirs.limits.logins_per_second = 2000;
        shape(&mut spec);
        platform(&mut theirs);
        let now = Now {
            mono: Mono::from_micros(1_000_000),
            wall: Wall::from_millis(1_700_000_000_000),
        };
        let spec = Arc::new(spec);
        Pair {
            cloud: Cloud::new(Arc::clone(&spec), Rng::new(1), now),
            spec,
            platform: Platform::new(theirs, Rng::new(2), now),
            now,
            conn: None,
            conns: 0,
            sent: Vec::new(),
            notices: Vec::new(),
            kept: Vec::new(),
            commands: Vec::new(),
        }
    }

    fn up(&mut self) {
        self.conns += 1;
        let conn = Conn(self.conns);
        self.conn = Some(conn);
        self.platform.on_assumed(self.now, conn, &gateway());
        self.cloud.on_link_up(self.now);
        self.exchange();
    }

    fn down(&mut self) {
        if let Some(conn) = self.conn.take() {
            self.platform.on_closed(self.now, conn);
            self.cloud.on_link_down(self.now);
            self.exchange();
        }
    }

    fn want(&mut self, ids: impl IntoIterator<Item = u32>, presence: Presence) {
        for id in ids {
            self.cloud.want(self.now, DeviceId(id), presence);
        }
        self.exchange();
    }

    /// Does something at the console.
    fn console<R>(&mut self, act: impl FnOnce(&mut Platform, Now) -> R) -> R {
        let done = act(&mut self.platform, self.now);
        self.exchange();
        done
    }

    fn exchange(&mut self) {
        for _ in 0..100_000 {
            if let Some(out) = self.cloud.poll(self.now) {
                match out {
                    cloud::Output::Publish { topic, payload } => {
                        let conn = self.conn.expect("published without a link");
                        let json = serde_json::from_slice(&payload).expect("JSON");
                        self.platform
                            .on_publish(self.now, conn, &topic, &payload, 0, None);
                        self.sent.push((topic, json));
                    }
                    cloud::Output::Subscribe { filters } => assert!(filters.len() <= 8),
                    cloud::Output::LogEvent(notice) => {
                        assert!(!notice.sentence().is_empty());
                        self.notices.push(notice);
                    }
                    cloud::Output::Store(_)
                    | cloud::Output::ReadStore { .. }
                    | cloud::Output::Settle(_) => panic!("there is no store"),
                    cloud::Output::StoreSecret { device, secret } => {
                        self.kept.push((device, secret))
                    }
                    cloud::Output::Command(command) => self.commands.push(command),
                    cloud::Output::RemoteTask(_)
                    | cloud::Output::Session { .. }
                    | cloud::Output::ThingEvent { .. }
                    | cloud::Output::LoggedOut => {}
                }
            } else if let Some(out) = self.platform.poll(self.now) {
                match out {
                    Output::Publish {
                        conn,
                        topic,
                        payload,
                    } if self.conn == Some(conn) => {
                        self.cloud.on_message(self.now, &topic, &payload);
                    }
                    Output::Close { conn, .. } if self.conn == Some(conn) => {
                        self.conn = None;
                        self.cloud.on_link_down(self.now);
                    }
                    _ => {}
                }
            } else {
                let wake = self.cloud.wake_at();
                assert!(wake.is_none_or(|w| w.at > self.now.mono), "{wake:?}");
                return;
            }
        }
        panic!("they never rest");
    }

    fn run(&mut self, span: Duration) {
        let end = self.now.mono + span;
        self.exchange();
        loop {
            let wakes = [self.cloud.wake_at(), self.platform.wake_at()];
            self.now = next_wake(self.now, wakes, end);
            self.exchange();
            if self.now.mono >= end {
                return;
            }
        }
    }

    fn is_online(&self, n: u32) -> bool {
        let d = sub(n);
        self.platform.is_online(&d.product_key, &d.device_name)
    }

    fn session(&self, n: u32) -> Session {
        self.cloud.session(DeviceId(n))
    }

    fn blocked_with(&self, n: u32) -> Option<i64> {
        match self.session(n) {
            Session::RetryBlocked { code, .. } => Some(code.0),
            _ => None,
        }
    }

    /// Returns how many messages went to topics that end so.
    fn said(&self, tail: &str) -> usize {
        self.sent.iter().filter(|(t, _)| t.ends_with(tail)).count()
    }

    fn told(&self, event: &str) -> usize {
        self.notices
            .iter()
            .filter(|n| n.kind().name() == event)
            .count()
    }

    /// Checks that the gateway did nothing it must never do.
    fn well_behaved(&self) {
        let fine = [
            Violation::BeforeLogin,
            Violation::PackBeforeLogin,
            // Answers to orders about devices that do not exist.
            Violation::UnknownTopic,
        ];
        let broken = self.platform.ledger().violations();
        let bad: Vec<_> = broken.iter().filter(|(v, _)| !fine.contains(v)).collect();
        assert!(bad.is_empty(), "{bad:?}");
    }
}

fn online(n: u32) -> Pair {
    let mut p = Pair::new(n, |_| {}, |_| {});
    p.up();
    p.want(0..n, Presence::Online);
    p.run(secs(5));
    assert_eq!(p.platform.online(), n as usize);
    p.sent.clear();
    p.notices.clear();
    p
}

fn without_secrets(ids: impl IntoIterator<Item = u32>) -> impl FnOnce(&mut Spec) {
    move |spec| {
        for id in ids {
            spec.devices[id as usize].secret = Secret::new("");
        }
    }
}

/// Builds a product that devices register with, through their gateway.
fn product(unnamed: bool) -> Product {
    Product {
        product_key: ProductKey::new("subPk"),
        secret: Secret::new("product-secret"),
        register: true,
        regnwl: unnamed,
    }
}

fn with_product(spec: &mut Spec, secret: &str) {
    let key = ProductKey::new("subPk");
    spec.cloud.products.insert(key, Secret::new(secret));
}

impl Pair {
    /// Loads another configuration, made from the first one.
    fn reload(&mut self, n: u32, shape: impl FnOnce(&mut Spec)) {
        let mut new = spec(n);
        shape(&mut new);
        let (new, changes) = new.continuing(&self.spec);
        self.spec = Arc::new(new);
        self.cloud
            .respec(self.now, Arc::clone(&self.spec), &changes);
        self.exchange();
    }
}

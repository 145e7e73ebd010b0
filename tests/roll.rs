//! The devices of the gateway: topology, registration and the orders of the platform,
//! the engine against the lab's platform model, on virtual time.

#![cfg(feature = "lab")]
#![allow(
    clippy::unwrap_used,
    reason = "a panic is how a test, and a helper of tests, says no"
)]

#[path = "fixture/gateway.rs"]
mod fixture;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use alink_gateway::base::{
    DeviceId, DeviceName, LogEvent, Mono, Now, ProductKey, Reading, Rng, Secret, Value, Wall,
};
use alink_gateway::cloud::{self, Cloud, Notice, Presence, Session, TopologyEvent};
use alink_gateway::lab::platform::{
    Certificate, Conn, Device, Event, FailedBatchNames, Fault, Notice as Way, Output, Platform,
    PlatformSpec, Product, Violation,
};
use alink_gateway::spec::{Spec, TopologyPolicy};
use fixture::name;
use proptest::prelude::*;
use serde_json::Value as Json;

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
    let mut spec = fixture::gateway(n, 1);
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
    notices: Vec<Notice>,
    kept: Vec<(DeviceId, Secret)>,
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
        }
    }

    fn up(&mut self) {
        self.conns += 1;
        let conn = Conn(self.conns);
        self.conn = Some(conn);
        self.platform.on_assumed(self.now, conn, &gateway());
        self.cloud.on_link_up(self.now);
        self.settle();
    }

    fn down(&mut self) {
        if let Some(conn) = self.conn.take() {
            self.platform.on_closed(self.now, conn);
            self.cloud.on_link_down(self.now);
            self.settle();
        }
    }

    fn want(&mut self, ids: impl IntoIterator<Item = u32>, presence: Presence) {
        for id in ids {
            self.cloud.want(self.now, DeviceId(id), presence);
        }
        self.settle();
    }

    /// Does something at the console.
    fn console<R>(&mut self, act: impl FnOnce(&mut Platform, Now) -> R) -> R {
        let done = act(&mut self.platform, self.now);
        self.settle();
        done
    }

    fn settle(&mut self) {
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
                    cloud::Output::Notice(notice) => {
                        assert!(!notice.sentence().is_empty());
                        self.notices.push(notice);
                    }
                    cloud::Output::Keep { device, secret } => self.kept.push((device, secret)),
                    cloud::Output::RemoteTask(_) | cloud::Output::LoggedOut => {}
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
        self.settle();
        loop {
            let wakes = [self.cloud.wake_at(), self.platform.wake_at()];
            let next = wakes.into_iter().flatten().map(|w| w.at).min();
            let next = next.unwrap_or(end).max(self.now.mono).min(end);
            let step = next.since(self.now.mono).max(Duration::from_millis(1));
            self.now = Now {
                mono: self.now.mono + step,
                wall: Wall::from_millis(self.now.wall.as_millis() + step.as_millis() as i64),
            };
            self.settle();
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

    fn barred_with(&self, n: u32) -> Option<i64> {
        match self.session(n) {
            Session::Barred { code, .. } => Some(code.0),
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

// --- topology -----------------------------------------------------------------

#[test]
fn an_empty_topology_is_filled_thirty_at_a_time_and_everyone_comes_online() {
    for names in [
        FailedBatchNames::Culprits,
        FailedBatchNames::All,
        FailedBatchNames::Nobody,
    ] {
        let mut p = Pair::new(
            200,
            |_| {},
            |s| {
                s.topology.clear();
                s.switches.failed_batch_names = names;
            },
        );
        p.up();
        p.want(0..200, Presence::Online);
        p.run(secs(10));
        assert_eq!(p.platform.online(), 200, "{names:?}");
        // Two tries of four batches, and a few for devices between them.
        let logins = p.said("login");
        assert!(logins <= 10, "{names:?}: {logins} log-in messages");
        let adds = p.said("topo/add");
        assert!(adds <= 9, "{names:?}: {adds} to add");
        for (topic, json) in &p.sent {
            if topic.ends_with("topo/add") {
                assert!(json["params"].as_array().unwrap().len() <= 30);
                assert!(json["params"][0]["signmethod"].is_string());
                assert!(json["params"][0]["signMethod"].is_null());
            }
        }
        assert_eq!(p.cloud.counters().blocked, 0);
        p.well_behaved();
    }
}

#[test]
fn nobody_waits_for_the_topology_to_be_known() {
    let mut p = Pair::new(50, |_| {}, |_| {});
    p.want(0..50, Presence::Online);
    p.up();
    let first = p.sent.iter().position(|(t, _)| t.ends_with("login"));
    let get = p.sent.iter().position(|(t, _)| t.ends_with("topo/get"));
    p.run(secs(2));
    assert!(first.unwrap() < get.unwrap());
    assert_eq!(p.said("topo/get"), 1);
    assert_eq!(p.said("topo/add"), 0);
}

#[test]
fn the_version_is_told_on_every_connection() {
    let mut p = online(1);
    p.down();
    p.up();
    p.run(secs(1));
    let told: Vec<_> = p
        .platform
        .ledger()
        .events()
        .filter_map(|(_, e)| match e {
            Event::Informed { device, version } => Some((device.clone(), version.clone())),
            _ => None,
        })
        .collect();
    let version = Json::from(env!("CARGO_PKG_VERSION"));
    assert_eq!(told, vec![(gateway(), version); 2]);
}

#[test]
fn policy_leave_touches_nothing_and_bars_who_is_missing() {
    let leave = |s: &mut Spec| s.cloud.session.topology = TopologyPolicy::Leave;
    let mut p = Pair::new(3, leave, |s| s.topology.retain(|(_, d)| *d != sub(1)));
    p.up();
    p.want(0..3, Presence::Online);
    p.run(secs(10));
    assert_eq!(p.platform.online(), 2);
    assert_eq!(p.barred_with(1), Some(6401));
    assert_eq!(p.said("topo/get") + p.said("topo/add"), 0);
    // The device is added in the console: at once.
    p.console(|c, now| c.add_topology(now, &gateway(), &sub(1)));
    p.run(secs(2));
    assert!(p.is_online(1));
}

fn with_strangers(spec: &mut PlatformSpec, n: u32) {
    for i in 0..n {
        let who = Device::new("oldPk", &name(i));
        spec.certificates.push(Certificate {
            product_key: who.product_key.clone(),
            device_name: who.device_name.clone(),
            secret: Secret::new("x"),
        });
        spec.topology.push((gateway(), who));
    }
}

#[test]
fn only_mirror_deletes_what_is_not_configured_and_never_more_than_half() {
    use TopologyPolicy::{Add, Leave, Mirror};
    for (policy, strangers, left) in [
        (Add, 3, 3),
        (Leave, 3, 3),
        (Mirror, 3, 0),
        (Mirror, 40, 0),
        (Mirror, 50, 0),
        (Mirror, 51, 51),
    ] {
        let ours = |s: &mut Spec| s.cloud.session.topology = policy;
        let mut p = Pair::new(50, ours, |s| with_strangers(s, strangers));
        p.up();
        p.run(secs(10));
        let still = (0..strangers)
            .filter(|i| {
                let who = Device::new("oldPk", &name(*i));
                p.platform.gateway_of(&who).is_some()
            })
            .count();
        assert_eq!(still, left, "{policy:?} {strangers}");
        let alarm = p.notices.iter().any(|n| {
            n.kind().name() == "topology-extra" && n.level() == alink_gateway::base::Level::Error
        });
        assert_eq!(alarm, strangers == 51);
        for n in 0..50 {
            assert_eq!(p.platform.gateway_of(&sub(n)), Some(&gateway()));
        }
        p.well_behaved();
    }
}

#[test]
fn a_device_bound_elsewhere_is_reported_and_not_fought_over() {
    let other = Device::new("gwPk", "gw-2");
    let mut p = Pair::new(
        40,
        |_| {},
        |s| {
            s.switches.topology_moves = false;
            s.switches.failed_batch_names = FailedBatchNames::Nobody;
            for (above, d) in &mut s.topology {
                if *d == sub(7) {
                    *above = other.clone();
                }
            }
        },
    );
    p.up();
    p.want(0..40, Presence::Online);
    p.run(secs(3600));
    assert_eq!(p.platform.online(), 39);
    assert_eq!(p.barred_with(7), Some(6401));
    assert_eq!(p.platform.gateway_of(&sub(7)), Some(&other));
    let tries = p.said("topo/add");
    assert!(tries <= 16, "{tries} tries in an hour");
    let told = p
        .notices
        .iter()
        .find(|n| n.kind().name() == "device-refused");
    let told = told.unwrap().sentence();
    assert!(told.contains("another gateway"), "{told}");
    p.well_behaved();
}

#[test]
fn to_be_added_is_answered_and_obeyed_if_the_device_is_configured() {
    let mut p = Pair::new(2, |_| {}, |s| s.topology.retain(|(_, d)| *d != sub(1)));
    p.up();
    p.run(secs(5));
    p.console(|c, now| c.remove_topology(now, &sub(1)));
    p.sent.clear();
    p.console(|c, now| c.ask_to_add(now, &gateway(), &sub(1)));
    p.console(|c, now| c.ask_to_add(now, &gateway(), &Device::new("x", "stranger")));
    p.run(secs(2));
    assert_eq!(p.said("topo/add/notify_reply"), 2);
    assert_eq!(p.said("topo/add"), 1);
    assert_eq!(p.platform.gateway_of(&sub(1)), Some(&gateway()));
    assert_eq!(p.cloud.counters().strangers, 1);
}

#[test]
fn who_is_removed_in_the_console_is_added_again_after_its_bar() {
    let mut p = online(3);
    p.console(|c, now| c.remove_topology(now, &sub(1)));
    p.run(secs(20));
    assert!(!p.is_online(1));
    assert_eq!(p.barred_with(1), Some(6401));
    assert_eq!(p.said("topo/change_reply"), 1);
    p.run(secs(60));
    assert!(p.is_online(1));
}

#[test]
fn devices_the_platform_does_not_know_are_reported_only_when_asked() {
    for report in [false, true] {
        let ours = |s: &mut Spec| s.cloud.session.report_unknown = report;
        let mut p = Pair::new(3, ours, |s| {
            s.certificates.retain(|c| c.device() != sub(2));
            s.topology.retain(|(_, d)| *d != sub(2));
        });
        p.up();
        p.want(0..3, Presence::Online);
        p.run(secs(30));
        assert_eq!(p.barred_with(2), Some(6100));
        let found = p.platform.ledger().events();
        let found = found.filter(|(_, e)| *e == Event::Found(sub(2))).count();
        assert_eq!(found > 0, report);
        assert_eq!(p.said("thing/list/found"), found);
    }
}

// --- registration -----------------------------------------------------------------

fn without_secrets(ids: impl IntoIterator<Item = u32>) -> impl FnOnce(&mut Spec) {
    move |spec| {
        for id in ids {
            spec.devices[id as usize].secret = Secret::new("");
        }
    }
}

#[test]
fn devices_without_a_secret_are_registered_thirty_at_a_time_when_wanted() {
    let mut p = Pair::new(70, without_secrets(0..65), |s| s.topology.clear());
    p.up();
    p.run(secs(5));
    assert_eq!(p.said("sub/register"), 0, "nobody is wanted yet");
    p.want(0..70, Presence::Online);
    p.run(secs(10));
    assert_eq!(p.said("sub/register"), 3);
    assert_eq!(p.platform.online(), 70);
    assert_eq!(p.kept.len(), 65);
    for (id, secret) in &p.kept {
        assert_eq!(secret.expose(), format!("secret-{}", id.0));
    }
    // They are good for the next connection as well.
    p.down();
    p.up();
    p.run(secs(5));
    assert_eq!(p.said("sub/register"), 3);
    assert_eq!(p.platform.online(), 70);
    assert!(!format!("{:?} {:?}", p.kept, p.notices).contains("secret-"));
    p.well_behaved();
}

#[test]
fn a_secret_kept_from_an_earlier_life_is_used_and_not_asked_for() {
    let mut p = Pair::new(1, without_secrets([0]), |_| {});
    let secret = Secret::new("secret-0");
    p.cloud.secret(p.now, DeviceId(0), secret);
    p.up();
    p.want([0], Presence::Online);
    p.run(secs(5));
    assert!(p.is_online(0));
    assert_eq!((p.said("sub/register"), p.kept.len()), (0, 0));
}

#[test]
fn a_partial_registration_serves_those_it_can() {
    for partly in [false, true] {
        let mut p = Pair::new(10, without_secrets(0..10), |s| {
            s.switches.register_partly = partly;
            s.certificates.retain(|c| c.device() != sub(4));
            s.topology.retain(|(_, d)| *d != sub(4));
        });
        p.up();
        p.want(0..10, Presence::Online);
        p.run(secs(30));
        assert_eq!(p.platform.online(), 9, "partly {partly}");
        assert_eq!(p.barred_with(4), Some(6100), "partly {partly}");
        assert_eq!(p.kept.len(), 9);
    }
}

#[test]
fn a_refused_registration_is_barred_with_its_code_and_says_so() {
    let mut p = Pair::new(2, without_secrets([0]), |s| {
        s.registration_off.insert(ProductKey::new("subPk"));
    });
    p.up();
    p.want(0..2, Presence::Online);
    p.run(secs(5));
    assert_eq!((p.barred_with(0), p.is_online(1)), (Some(6288), true));
    let told = p
        .notices
        .iter()
        .find(|n| n.kind().name() == "device-refused");
    let told = told.unwrap().sentence();
    assert!(told.starts_with("registration refused"), "{told}");
    // A secret from elsewhere ends the wait.
    p.cloud.secret(p.now, DeviceId(0), Secret::new("secret-0"));
    p.run(secs(700));
    assert!(p.is_online(0));
    let tries = p.said("sub/register");
    assert_eq!(tries, 1);
}

#[test]
fn a_wrong_secret_is_tried_again_at_once_when_it_changes() {
    let wrong = |s: &mut Spec| s.devices[0].secret = Secret::new("wrong");
    let mut p = Pair::new(2, wrong, |_| {});
    p.up();
    p.want(0..2, Presence::Online);
    p.run(secs(10));
    assert_eq!((p.barred_with(0), p.is_online(1)), (Some(6287), true));
    let alarm = p
        .notices
        .iter()
        .find(|n| n.kind().name() == "device-refused");
    assert_eq!(alarm.unwrap().level(), alink_gateway::base::Level::Error);
    let again = p.said("login");
    p.run(secs(290));
    assert_eq!(p.said("login"), again, "not tried unchanged for long");
    p.cloud.secret(p.now, DeviceId(0), Secret::new("secret-0"));
    p.run(secs(1));
    assert!(p.is_online(0));
}

// --- secrets, with the product's ----------------------------------------------

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
        self.settle();
    }
}

#[test]
fn devices_of_a_product_whose_secret_is_known_register_with_its_signature() {
    for nested in [false, true] {
        let shape = |s: &mut Spec| {
            without_secrets(0..65)(s);
            with_product(s, "product-secret");
        };
        let mut p = Pair::new(70, shape, |s| {
            s.topology.clear();
            s.products.push(product(false));
            s.switches.proxy_data_nested = nested;
        });
        p.up();
        p.want(0..70, Presence::Online);
        p.run(secs(10));
        let tail = "thing/proxy/provisioning/product_register";
        assert_eq!((p.said(tail), p.said("sub/register")), (3, 0));
        assert_eq!((p.platform.online(), p.kept.len()), (70, 65));
        let mut randoms = BTreeSet::new();
        for (topic, json) in p.sent.iter().filter(|(t, _)| t.ends_with(tail)) {
            assert_eq!(topic, &format!("/sys/gwPk/gw-1/{tail}"));
            let list = json["params"]["proxieds"].as_array().unwrap();
            assert!((1..=30).contains(&list.len()));
            randoms.extend(list.iter().map(|one| one["random"].to_string()));
        }
        assert_eq!(randoms.len(), 65, "none is used twice");
        p.down();
        p.up();
        p.run(secs(5));
        assert_eq!((p.said(tail), p.platform.online()), (3, 70));
        let shown = format!("{:?} {:?} {:?}", p.kept, p.notices, p.spec);
        assert!(!shown.contains("product-secret") && !shown.contains("secret-"));
        p.well_behaved();
    }
}

#[test]
fn a_device_nobody_created_is_created_where_the_product_allows_it() {
    for allowed in [true, false] {
        let shape = |s: &mut Spec| {
            without_secrets(0..3)(s);
            with_product(s, "product-secret");
        };
        let mut p = Pair::new(3, shape, |s| {
            s.topology.clear();
            s.certificates.retain(|c| c.device() != sub(1));
            s.products.push(product(allowed));
        });
        p.up();
        p.want(0..3, Presence::Online);
        p.run(secs(20));
        assert!(p.is_online(0) && p.is_online(2));
        assert_eq!(p.is_online(1), allowed);
        assert_eq!(p.barred_with(1), (!allowed).then_some(6100));
    }
}

#[test]
fn a_wrong_product_secret_bars_names_what_to_check_and_is_tried_again_when_corrected() {
    let wrong = |s: &mut Spec| {
        without_secrets(0..2)(s);
        with_product(s, "mistyped");
    };
    let mut p = Pair::new(3, wrong, |s| s.products.push(product(false)));
    p.up();
    p.want(0..3, Presence::Online);
    p.run(secs(20));
    assert_eq!((p.barred_with(0), p.is_online(2)), (Some(6600), true));
    let told = p
        .notices
        .iter()
        .find(|n| n.kind().name() == "device-refused");
    let told = told.unwrap();
    assert_eq!(told.level(), alink_gateway::base::Level::Error);
    assert!(
        told.sentence().contains("check product_secret"),
        "{}",
        told.sentence()
    );
    let tail = "product_register";
    let before = p.said(tail);
    p.run(secs(200));
    assert_eq!(p.said(tail), before, "not tried unchanged for long");
    p.reload(3, |s| {
        without_secrets(0..2)(s);
        with_product(s, "product-secret");
    });
    p.run(secs(2));
    assert_eq!(p.platform.online(), 3);
}

#[test]
fn who_may_not_register_by_name_does_it_with_the_product_as_soon_as_that_is_configured() {
    let mut p = Pair::new(2, without_secrets(0..2), |s| {
        s.registration_off.insert(ProductKey::new("subPk"));
        s.products.push(product(false));
    });
    p.up();
    p.want(0..2, Presence::Online);
    p.run(secs(5));
    assert_eq!(p.barred_with(0), Some(6288));
    p.reload(2, |s| {
        without_secrets(0..2)(s);
        with_product(s, "product-secret");
    });
    p.run(secs(2));
    assert_eq!(p.platform.online(), 2);
    // And no device registers again when it is taken away.
    let asked = p.said("register");
    p.reload(2, without_secrets(0..2));
    p.run(secs(30));
    assert_eq!((p.said("register"), p.platform.online()), (asked, 2));
}

#[test]
fn a_device_under_another_gateway_is_reported_and_not_fought_over() {
    let other = Device::new("gwPk", "gw-2");
    let shape = |s: &mut Spec| {
        without_secrets([0])(s);
        with_product(s, "product-secret");
    };
    let above = other.clone();
    let mut p = Pair::new(2, shape, move |s| {
        s.topology.retain(|(_, d)| *d != sub(0));
        s.topology.push((above, sub(0)));
        s.products.push(product(false));
        s.switches.proxy_takes_over = false;
    });
    p.up();
    p.want(0..2, Presence::Online);
    p.run(secs(3600));
    assert_eq!((p.barred_with(0), p.is_online(1)), (Some(6619), true));
    assert_eq!(p.platform.gateway_of(&sub(0)), Some(&other));
    let asked = p.said("product_register");
    assert!(asked <= 6, "{asked} times in an hour");
    let told = p
        .notices
        .iter()
        .find(|n| n.kind().name() == "device-refused");
    assert!(told.unwrap().sentence().contains("another gateway"));
}

// --- secrets that must not be lost ----------------------------------------------

#[test]
fn nobody_registers_while_a_secret_could_not_be_kept() {
    for products in [false, true] {
        let shape = |s: &mut Spec| {
            without_secrets(0..40)(s);
            if products {
                with_product(s, "product-secret");
            }
        };
        let mut p = Pair::new(50, shape, |s| s.products.push(product(false)));
        p.cloud.can_keep(p.now, false);
        p.up();
        p.want(0..50, Presence::Online);
        p.run(secs(600));
        assert_eq!((p.said("register"), p.platform.online()), (0, 10));
        p.cloud.can_keep(p.now, true);
        p.run(secs(5));
        assert_eq!((p.kept.len(), p.platform.online()), (40, 50));
    }
}

#[test]
fn a_registration_answered_too_late_is_used_all_the_same() {
    for products in [false, true] {
        let shape = |s: &mut Spec| {
            without_secrets(0..3)(s);
            if products {
                with_product(s, "product-secret");
            }
        };
        let mut p = Pair::new(3, shape, |s| s.products.push(product(false)));
        p.up();
        p.run(secs(1));
        let slow = Fault::Delay {
            least: secs(12),
            most: secs(12),
        };
        p.console(|c, now| c.fault(now, slow));
        p.want(0..3, Presence::Online);
        p.run(secs(14));
        assert!(p.cloud.counters().unanswered > 0, "it was too late");
        assert_eq!(p.kept.len(), 3);
        let asked = p.said("register");
        p.console(|c, now| c.fault(now, Fault::Heal));
        p.run(secs(60));
        assert_eq!(p.platform.online(), 3);
        assert!(p.said("register") <= asked, "asked again for what it has");
        assert_eq!(p.cloud.counters().blocked, 0);
    }
}

#[test]
fn a_given_secret_that_the_topology_refuses_is_asked_for_anew() {
    let mut p = Pair::new(1, without_secrets([0]), |s| s.topology.clear());
    p.cloud
        .secret(p.now, DeviceId(0), Secret::new("of-an-earlier-device"));
    p.up();
    p.want([0], Presence::Online);
    p.run(secs(5));
    assert!(matches!(p.barred_with(0), Some(401 | 6287)));
    p.run(secs(3600));
    assert!(p.is_online(0));
    assert_eq!(p.kept.len(), 1);
}

// --- orders -----------------------------------------------------------------------

#[test]
fn disabled_waits_for_enabled_by_whatever_way_and_in_whatever_order_it_is_told() {
    use Way::{ExtError, Thing, TopologyChange};
    for ways in [
        vec![Thing],
        vec![TopologyChange],
        vec![Thing, ExtError, TopologyChange],
        vec![TopologyChange, ExtError, Thing],
        vec![ExtError, TopologyChange, Thing, Thing, TopologyChange],
    ] {
        let mut p = Pair::new(3, |_| {}, |s| s.switches.notices = ways.clone());
        p.up();
        p.want(0..3, Presence::Online);
        p.run(secs(5));
        p.console(|c, now| c.disable(now, &sub(1)));
        assert_eq!(p.barred_with(1), Some(522), "{ways:?}");
        assert_eq!(p.told("platform-order"), 1, "told once");
        assert_eq!(p.told("device-refused"), 1, "told once");
        p.run(secs(100));
        assert!(!p.is_online(1));
        p.console(|c, now| c.enable(now, &sub(1)));
        p.run(secs(2));
        assert!(p.is_online(1), "{ways:?}");
        let answers = ways.iter().filter(|w| **w != ExtError).count();
        let said: usize = ["disable_reply", "enable_reply", "change_reply"]
            .into_iter()
            .map(|tail| p.said(tail))
            .sum();
        assert_eq!(said, 2 * answers, "{ways:?}");
        p.well_behaved();
    }
}

#[test]
fn a_disabled_device_whose_enabling_was_lost_is_tried_again_slowly() {
    let mut p = online(2);
    p.console(|c, now| c.disable(now, &sub(0)));
    p.console(|c, now| c.fault(now, Fault::LoseReplies { permille: 1000 }));
    p.console(|c, now| c.enable(now, &sub(0)));
    p.console(|c, now| c.fault(now, Fault::Heal));
    p.run(secs(120));
    assert!(!p.is_online(0));
    p.run(secs(600));
    assert!(p.is_online(0));
}

#[test]
fn deleted_is_forgotten_with_its_topology_and_barred_for_long() {
    let mut p = online(2);
    p.console(|c, now| c.delete(now, &sub(0)));
    assert_eq!(p.barred_with(0), Some(521));
    p.run(secs(290));
    assert_eq!((p.barred_with(0), p.said("login")), (Some(521), 0));
    // Created again, under no gateway: it comes back by itself.
    p.platform.register(Certificate {
        product_key: ProductKey::new("subPk"),
        device_name: DeviceName::new(&name(0)),
        secret: Secret::new("secret-0"),
    });
    p.run(secs(900));
    assert!(p.is_online(0));
}

#[test]
fn orders_about_strangers_are_answered_counted_and_told_once() {
    let mut p = online(1);
    for n in 0..5 {
        for order in ["disable", "enable", "delete"] {
            let topic = format!("/sys/x/stranger-{n}/thing/{order}");
            p.cloud
                .on_message(p.now, &topic, br#"{"id":"1","params":{}}"#);
        }
    }
    p.run(secs(5));
    assert_eq!(p.said("disable_reply"), 5);
    assert_eq!(p.said("delete_reply"), 5);
    // The model answers each with 520, because it does not know them either.
    assert_eq!(p.cloud.counters().orders, 15);
    assert!(p.cloud.counters().strangers >= 15);
    assert_eq!(p.told("platform-order-stranger"), 1);
    assert!(p.is_online(0));
}

#[test]
fn a_flood_of_orders_is_answered_within_the_pace_and_without_end_of_memory() {
    let mut p = online(1);
    for n in 0..2000 {
        let body = format!(r#"{{"id":"{n}","params":{{}}}}"#);
        p.cloud
            .on_message(p.now, "/sys/subPk/meter-0000/thing/enable", body.as_bytes());
    }
    p.run(secs(60));
    assert_eq!(p.said("enable_reply"), 512);
    assert_eq!(p.cloud.counters().dropped_answers, 2000 - 512);
    p.well_behaved();
}

#[test]
fn a_flood_of_pushed_configurations_is_answered_like_one_of_orders() {
    let mut p = online(1);
    for n in 0..100_000 {
        let body = format!(r#"{{"id":"{n}","params":{{}}}}"#);
        p.cloud
            .on_message(p.now, "/sys/gwPk/gw-1/thing/config/push", body.as_bytes());
    }
    p.run(secs(60));
    let answered = p.said("push_reply") as u64;
    assert!((500..=512).contains(&answered), "{answered}");
    // Notices wait in the same queue.
    let dropped = p.cloud.counters().dropped_answers;
    assert!(
        (100_000 - 512..=100_000 - 500).contains(&dropped),
        "{dropped}"
    );
    p.well_behaved();
}

#[test]
fn a_platform_that_changes_its_mind_without_end_fills_neither_memory_nor_the_log() {
    let mut p = online(1);
    for n in 0..50_000 {
        let order = ["disable", "enable"][n % 2];
        let topic = format!("/sys/subPk/meter-0000/thing/{order}");
        p.cloud
            .on_message(p.now, &topic, br#"{"id":"1","params":{}}"#);
    }
    p.run(secs(5));
    let told = p.notices.len();
    assert!((1_000..10_000).contains(&told), "{told}");
    assert!(p.cloud.counters().dropped_notices > 10_000);
    // A later notice is sent again.
    p.run(secs(60));
    p.notices.clear();
    p.cloud.on_message(
        p.now,
        "/sys/subPk/meter-0000/thing/disable",
        br#"{"id":"1","params":{}}"#,
    );
    p.run(secs(1));
    assert!(p.told("platform-order") >= 1);
}

#[test]
fn what_the_platform_says_at_length_is_not_echoed() {
    let mut p = online(1);
    let id = "9".repeat(100_000);
    let body = format!(r#"{{"id":"{id}","params":{{}}}}"#);
    let long = "n".repeat(60_000);
    for topic in [
        "/sys/subPk/meter-0000/thing/enable".to_owned(),
        "/sys/gwPk/gw-1/thing/config/push".to_owned(),
        "/sys/subPk/meter-0000/thing/service/x".to_owned(),
        format!("/sys/subPk/{long}/thing/enable"),
        format!("/sys/subPk/meter-0000/thing/service/{long}"),
        format!("/ext/rrpc/{long}/x"),
        format!("/ext/rrpc/7/{long}"),
    ] {
        p.cloud.on_message(p.now, &topic, body.as_bytes());
        p.cloud.on_message(p.now, &topic, br#"{"params":{}}"#);
    }
    p.run(secs(60));
    let length = |(topic, body): &(String, Json)| topic.len() + body.to_string().len();
    let longest = p.sent.iter().map(length);
    assert!(longest.max().unwrap_or_default() < 4096);
}

#[test]
fn an_unknown_status_is_logged_raw_answered_and_changes_nothing() {
    let mut p = online(1);
    let body = br#"{"id":"5","params":{"status":7,"subList":[{"productKey":"subPk","deviceName":"meter-0000"}]}}"#;
    p.cloud
        .on_message(p.now, "/sys/gwPk/gw-1/thing/topo/change", body);
    p.run(secs(2));
    assert!(p.is_online(0));
    assert_eq!(p.said("change_reply"), 1);
    let raw = p.notices.iter().find_map(|n| match n {
        Notice::Topology(TopologyEvent::Ordered { raw, .. }) => Some(raw.clone()),
        _ => None,
    });
    assert_eq!(raw.as_deref(), Some("thing/topo/change, status 7"));
}

// --- LoRa -----------------------------------------------------------------------------

#[test]
fn a_lora_device_silent_since_the_last_connection_is_turned_off_by_an_explicit_log_out() {
    let lora = BTreeSet::from([sub(0), sub(1)]);
    let mut p = Pair::new(4, |_| {}, |s| s.lora = lora);
    p.up();
    p.want(0..4, Presence::Online);
    p.run(secs(5));
    p.down();
    assert!(p.is_online(0) && p.is_online(1), "still shown");
    assert!(!p.is_online(2));
    p.want([0, 2], Presence::Offline);
    p.up();
    p.run(secs(60));
    let shown: Vec<bool> = (0..4).map(|n| p.is_online(n)).collect();
    assert_eq!(shown, [false, true, false, true]);
    p.well_behaved();
}

#[test]
fn a_lora_device_that_died_while_the_gateway_was_dead_is_turned_off_quietly_by_its_next_life() {
    let lora = BTreeSet::from([sub(0), sub(1)]);
    let mut p = Pair::new(4, |_| {}, |s| s.lora = lora);
    p.up();
    p.want(0..4, Presence::Online);
    p.run(secs(5));
    p.down();
    assert!(p.is_online(0) && p.is_online(1), "still shown");
    // Killed, and started again; no state is kept.
    p.cloud = Cloud::new(Arc::clone(&p.spec), Rng::new(3), p.now);
    p.notices.clear();
    p.up();
    p.want([1, 3], Presence::Online);
    p.run(secs(60));
    let shown: Vec<bool> = (0..4).map(|n| p.is_online(n)).collect();
    assert_eq!(shown, [false, true, false, true]);
    let told: Vec<_> = p
        .notices
        .iter()
        .filter_map(|n| match n {
            Notice::LoggedOut { names, .. } => Some(names.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(
        told,
        ["meter-0000"],
        "of who was not online nobody need hear"
    );
    p.well_behaved();
}

// --- all together ---------------------------------------------------------------------

#[derive(Clone, Debug)]
enum Act {
    Disable(u32),
    Enable(u32),
    Remove(u32),
    Want(u32, bool),
    Ask(u32),
    Cut,
    Kill,
    Lose(u32),
    Late(u64),
    Twice,
    Wait(u64),
}

fn act() -> impl Strategy<Value = Act> {
    let n = 0u32..12;
    prop_oneof![
        n.clone().prop_map(Act::Disable),
        n.clone().prop_map(Act::Enable),
        n.clone().prop_map(Act::Remove),
        (n.clone(), any::<bool>()).prop_map(|(n, w)| Act::Want(n, w)),
        n.prop_map(Act::Ask),
        Just(Act::Cut),
        Just(Act::Kill),
        (0u32..500).prop_map(Act::Lose),
        (0u64..5000).prop_map(Act::Late),
        Just(Act::Twice),
        (0u64..200).prop_map(Act::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_is_done_at_the_console_it_converges(
        acts in prop::collection::vec(act(), 0..40), names in 0..3, thing: bool
    ) {
        let mut p = Pair::new(12, without_secrets([3, 4]), |s| {
            s.topology.clear();
            s.switches.failed_batch_names = match names {
                0 => FailedBatchNames::Culprits,
                1 => FailedBatchNames::All,
                _ => FailedBatchNames::Nobody,
            };
            if thing {
                s.switches.notices = vec![Way::TopologyChange, Way::Thing, Way::Thing];
            }
            s.lora = BTreeSet::from([sub(5), sub(6), sub(7)]);
        });
        p.up();
        let mut wanted = BTreeSet::new();
        let mut disabled = BTreeSet::new();
        for act in acts {
            match act {
                Act::Disable(n) => {
                    disabled.insert(n);
                    p.console(|c, now| c.disable(now, &sub(n)));
                }
                Act::Enable(n) => {
                    disabled.remove(&n);
                    p.console(|c, now| c.enable(now, &sub(n)));
                }
                Act::Remove(n) => {
                    p.console(|c, now| c.remove_topology(now, &sub(n)));
                }
                Act::Want(n, true) => {
                    wanted.insert(n);
                    p.want([n], Presence::Online);
                }
                Act::Want(n, false) => {
                    wanted.remove(&n);
                    p.want([n], Presence::Offline);
                }
                Act::Ask(n) => {
                    p.console(|c, now| c.ask_to_add(now, &gateway(), &sub(n)));
                }
                Act::Cut => {
                    p.down();
                    p.run(secs(1));
                    p.up();
                }
                Act::Kill => {
                    // Only the answers on the buses and the contents of the secret
                    // store are kept. Even how often a device was logged in lately is
                    // forgotten.
                    p.down();
                    p.run(secs(61));
                    let seed = p.conns + 3;
                    p.cloud = Cloud::new(Arc::clone(&p.spec), Rng::new(seed), p.now);
                    for (n, secret) in p.kept.clone() {
                        p.cloud.secret(p.now, n, secret);
                    }
                    let wanted: Vec<u32> = wanted.iter().copied().collect();
                    p.want(wanted, Presence::Online);
                    p.up();
                }
                Act::Lose(permille) => {
                    p.console(|c, now| c.fault(now, Fault::LoseReplies { permille }));
                }
                Act::Late(ms) => {
                    let most = Duration::from_millis(ms);
                    let late = Fault::Delay { least: Duration::ZERO, most };
                    p.console(|c, now| c.fault(now, late));
                }
                Act::Twice => {
                    p.console(|c, now| c.fault(now, Fault::Duplicate { permille: 300 }));
                }
                Act::Wait(s) => p.run(secs(s)),
            }
        }
        p.console(|c, now| c.fault(now, Fault::Heal));
        // The notice of a session's end may have been lost; then the answer to the
        // device's own readings shows it.
        for _ in 0..80 {
            for n in &wanted {
                let device = DeviceId(*n);
                let value = Value::Int(1);
                p.cloud.put(p.now, Reading { device, point: 0, value, at: p.now });
            }
            p.run(secs(50));
        }
        for n in 0..12 {
            let shall = wanted.contains(&n) && !disabled.contains(&n);
            prop_assert_eq!(p.is_online(n), shall, "device {}: {:?}", n, p.session(n));
        }
        p.well_behaved();
    }
}

#[test]
fn a_device_to_be_added_that_lacks_its_secret_is_registered_first() {
    let mut p = Pair::new(4, without_secrets([3]), |s| s.topology.clear());
    p.up();
    p.console(|c, now| c.ask_to_add(now, &gateway(), &sub(3)));
    p.want([3], Presence::Online);
    p.run(secs(60));
    assert!(p.is_online(3), "{:?}", p.session(3));
    p.well_behaved();
}

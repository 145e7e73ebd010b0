//! The identity of the gateway, and conflicts about it: registration, two gateways with
//! one certificate, dead paths. The real link against the platform model, on virtual
//! time.

use std::sync::Arc;
use std::time::Duration;

use crate::installation;
use alink_gateway::base::{LinkDown, LinkEvent, Mono, Now, ProductKey, Rng, Secret, Wall};
use alink_gateway::cloud::Connector;
use alink_gateway::cloud::alink::events::CloudLogEvent;
use alink_gateway::cloud::alink::registration::enrolment::EnrolmentFailure;
use alink_gateway::io::link::{self, Dialer, HubEnd, Link};
use alink_gateway::io::log::Journal;
use alink_gateway::io::store::secret_store;
use alink_gateway::io::store::secret_store::SecretStore;
use alink_gateway::io::system::clock::Clock;
use alink_gateway::io::system::heartbeat::Heartbeat;
use alink_gateway::lab::broker::Broker;
use alink_gateway::lab::platform::{
    Device, Event, Fault, Platform, PlatformSpec, Product, Violation,
};
use alink_gateway::spec::*;
use proptest::prelude::*;
use tempfile::TempDir;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
/// Virtual lives begin here: 2026-01-01T00:00:00Z.
const START: Wall = Wall::from_millis(1_767_225_600_000);

fn spec(certificate: GatewayCertificate, transport: Transport) -> Spec {
    let mut cloud = installation::cloud("platform", "a1GwDemoPk0", "gw-0001", certificate);
    cloud.broker.port = 8883;
    cloud.broker.transport = transport;
    installation::spec(cloud, Vec::new(), Vec::new())
}

fn device_certificate() -> Spec {
    let secret = Secret::new("GwSecret0123456789abcdefABCDEF00");
    spec(GatewayCertificate::Device(secret), Transport::Plain)
}

fn product_certificate(registration: Registration) -> Spec {
    spec(
        GatewayCertificate::Product(ProductCertificate {
            secret: Secret::new("ProdSecret000001"),
            registration,
            instance_id: None,
        }),
        Transport::Tls { ca_file: None },
    )
}

fn gateway() -> Device {
    Device::new("a1GwDemoPk0", "gw-0001")
}

/// A link, and its events.
struct Linked {
    wire: HubEnd,
    stop: CancellationToken,
    task: JoinHandle<Connector>,
}

impl Linked {
    fn start(
        spec: &Spec,
        door: &mpsc::Sender<DuplexStream>,
        clock: Clock,
        seed: u64,
        secret_store: Option<&SecretStore>,
    ) -> Linked {
        let spec = Arc::new(spec.clone());
        let stop = CancellationToken::new();
        let (wire, ends) = link::pair(link::channel::CAPACITY, stop.clone());
        let mut link = Link::new(
            spec.clone(),
            Dialer::Pipe(door.clone()),
            Connector::new(&spec.cloud, Rng::new(seed), clock.now()),
            ends,
            clock,
            Journal::new(spec),
            Heartbeat::new("link"),
        );
        if let Some(secret_store) = secret_store {
            link = link.with_secret_store(secret_store.clone());
        }
        Linked {
            wire,
            stop,
            task: tokio::spawn(link.run()),
        }
    }

    async fn next(&mut self) -> LinkEvent {
        self.wire.incoming.next().await.unwrap()
    }

    /// Reads its events, so that it never waits.
    fn leave_alone(self) -> (CancellationToken, JoinHandle<Connector>) {
        let mut wire = self.wire;
        tokio::spawn(async move {
            while wire.incoming.next().await.is_some() {}
            drop(wire);
        });
        (self.stop, self.task)
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

fn platform(spec: PlatformSpec, tls: bool) -> (Broker, mpsc::Sender<DuplexStream>, Clock) {
    let clock = Clock::starting_at(START);
    let platform = Platform::new(spec, Rng::new(7), clock.now());
    let (broker, door) = Broker::at_door(platform, clock, tls);
    (broker, door, clock)
}

async fn count(broker: &Broker, wanted: fn(&Event) -> bool) -> usize {
    let counted = broker.with(move |p, _| {
        let events = p.ledger().events();
        events.filter(|(_, e)| wanted(e)).count()
    });
    counted.await.unwrap()
}

// ---- registration ------------------------------------------------------------

/// Returns what the platform may do differently, and what must not matter.
fn doubts() -> Vec<(bool, Option<i8>)> {
    let modes = [None, Some(2), Some(-2)];
    let both = [true, false];
    both.iter()
        .flat_map(|own| modes.iter().map(|mode| (*own, *mode)))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_gateway_registers_once_whatever_the_platform_prefers() {
    for registration in [Registration::Register, Registration::RegNwl] {
        for (own_topic, mode) in doubts() {
            let spec = product_certificate(registration);
            let mut known = PlatformSpec::knowing(&spec);
            known.switches.regnwl_on_its_own_topic = own_topic;
            known.switches.regnwl_securemode = mode;
            let (broker, door, clock) = platform(known, true);
            let dir = TempDir::new().unwrap();
            for run in 1..=3 {
                let (secret_store, notice) = SecretStore::open(dir.path());
                assert_eq!(notice, None);
                let mut link = Linked::start(&spec, &door, clock, run, Some(&secret_store));
                let mut event = link.next().await;
                if registration == Registration::RegNwl && mode == Some(2) && run == 1 {
                    // The way of the newer page was tried first.
                    assert_eq!(event, LinkEvent::Down(LinkDown::Refused(2)));
                    event = link.next().await;
                }
                assert_eq!(
                    event,
                    LinkEvent::Up,
                    "{registration:?} {own_topic} {mode:?}"
                );
                assert!(dir.path().join(secret_store::FILE).exists());
                link.end().await;
                tokio::time::sleep(MINUTE).await;
            }
            let registered = count(&broker, |e| matches!(e, Event::Registered(_))).await;
            assert_eq!(registered, 1, "{registration:?} {own_topic} {mode:?}");
            let connected = count(&broker, |e| matches!(e, Event::Connected(_))).await;
            assert_eq!(connected, 3);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_for_that_could_not_be_kept() {
    let spec = product_certificate(Registration::Register);
    let (broker, door, clock) = platform(PlatformSpec::knowing(&spec), true);
    let dir = TempDir::new().unwrap();
    let state = dir.path().join("state");
    std::fs::write(&state, "a file where the directory should be").unwrap();
    let (_, _) = SecretStore::open(&state);
    for secret_store in [None, Some(SecretStore::open(&state.join("deeper")).0)] {
        let mut link = Linked::start(&spec, &door, clock, 1, secret_store.as_ref());
        for _ in 0..3 {
            let event = link.next().await;
            assert!(
                matches!(event, LinkEvent::Down(LinkDown::Io(_))),
                "{event:?}"
            );
        }
        link.end().await;
    }
    let connects = broker.with(|p, _| p.ledger().totals().connects);
    assert_eq!(connects.await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_issued_before_is_used_as_soon_as_the_secret_store_can_be_read() {
    let spec = product_certificate(Registration::Register);
    let (broker, door, clock) = platform(PlatformSpec::knowing(&spec), true);
    let dir = TempDir::new().unwrap();
    let (secret_store, _) = SecretStore::open(dir.path());
    let mut link = Linked::start(&spec, &door, clock, 1, Some(&secret_store));
    assert_eq!(link.next().await, LinkEvent::Up);
    link.end().await;

    let file = dir
        .path()
        .join(alink_gateway::io::store::secret_store::FILE);
    let aside = dir.path().join("aside");
    std::fs::rename(&file, &aside).unwrap();
    std::fs::write(&file, r#"{"version":99}"#).unwrap();
    let (secret_store, notice) = SecretStore::open(dir.path());
    assert!(notice.is_some());
    let mut link = Linked::start(&spec, &door, clock, 2, Some(&secret_store));
    let event = link.next().await;
    assert!(
        matches!(event, LinkEvent::Down(LinkDown::Io(_))),
        "{event:?}"
    );
    std::fs::rename(&aside, &file).unwrap();
    assert_eq!(link.next().await, LinkEvent::Up);
    link.end().await;
    let registered = count(&broker, |e| matches!(e, Event::Registered(_))).await;
    assert_eq!(registered, 1, "never asked for twice");
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_was_lost_is_not_given_again_until_the_device_is_reset() {
    let spec = product_certificate(Registration::Register);
    let (broker, door, clock) = platform(PlatformSpec::knowing(&spec), true);
    let first = TempDir::new().unwrap();
    let (secret_store, _) = SecretStore::open(first.path());
    let mut link = Linked::start(&spec, &door, clock, 1, Some(&secret_store));
    assert_eq!(link.next().await, LinkEvent::Up);
    link.end().await;

    let empty = TempDir::new().unwrap();
    let (secret_store, _) = SecretStore::open(empty.path());
    let mut link = Linked::start(&spec, &door, clock, 2, Some(&secret_store));
    let from = clock.now().mono;
    for _ in 0..4 {
        assert_eq!(link.next().await, LinkEvent::Down(LinkDown::Refused(4)));
    }
    let took = clock.now().mono.since(from);
    assert!(
        took >= MINUTE,
        "no hurry about what only a person can change: {took:?}"
    );
    broker
        .with(|p, _| assert!(p.reset(&gateway())))
        .await
        .unwrap();
    assert_eq!(link.next().await, LinkEvent::Up);
    link.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_come_is_given_up_after_fifteen_seconds_and_asked_for_again() {
    let spec = product_certificate(Registration::RegNwl);
    let (broker, door, clock) = platform(PlatformSpec::knowing(&spec), true);
    let lose = |permille| {
        move |p: &mut Platform, now: Now| {
            p.fault(now, Fault::LoseReplies { permille });
        }
    };
    broker.with(lose(1000)).await.unwrap();
    let dir = TempDir::new().unwrap();
    let (secret_store, _) = SecretStore::open(dir.path());
    let from = clock.now().mono;
    let mut link = Linked::start(&spec, &door, clock, 1, Some(&secret_store));
    let event = link.next().await;
    assert!(matches!(event, LinkEvent::Down(_)), "{event:?}");
    let took = clock.now().mono.since(from);
    assert!(took >= 15 * SECOND && took < 16 * SECOND, "{took:?}");
    broker.with(lose(0)).await.unwrap();
    assert_eq!(link.next().await, LinkEvent::Up);
    link.end().await;
    let registered = count(&broker, |e| matches!(e, Event::Registered(_))).await;
    assert_eq!(
        registered, 2,
        "the one that was lost, and the one that came"
    );
}

#[tokio::test(start_paused = true)]
async fn every_refusal_of_a_registration_comes_with_its_code_and_connects_stay_within_the_quota() {
    let right = || PlatformSpec::knowing(&product_certificate(Registration::Register));
    let product = |change: fn(&mut Product)| {
        let mut spec = right();
        change(&mut spec.products[0]);
        spec
    };
    let mut nobody = right();
    nobody.certificates.clear();
    for (what, known, tls, code) in [
        ("switched off", product(|p| p.register = false), true, 4),
        (
            "another secret",
            product(|p| p.secret = Secret::new("x")),
            true,
            4,
        ),
        (
            "unknown product",
            product(|p| p.product_key = ProductKey::new("x")),
            true,
            4,
        ),
        ("not in the console", nobody, true, 4),
        ("without TLS", right(), false, 2),
    ] {
        let spec = product_certificate(Registration::Register);
        let (broker, door, clock) = platform(known, tls);
        let dir = TempDir::new().unwrap();
        let (secret_store, _) = SecretStore::open(dir.path());
        let mut link = Linked::start(&spec, &door, clock, 3, Some(&secret_store));
        for _ in 0..20 {
            let event = link.next().await;
            assert_eq!(event, LinkEvent::Down(LinkDown::Refused(code)), "{what}");
        }
        link.end().await;
        let kept = secret_store.gateway(
            &spec.cloud.gateway.product_key,
            &spec.cloud.gateway.device_name,
        );
        assert_eq!(kept, None, "{what}");
        let often = broker.with(|p, _| p.ledger().times(Violation::ConnectQuota));
        assert_eq!(often.await.unwrap(), 0, "{what}");
    }
}

// ---- two gateways with one certificate -----------------------------------------

/// Returns how often two links that share a certificate connect in ten minutes, and how
/// many of these connections the platform counted as too many.
async fn mutual(seed: u64) -> (u64, u64) {
    let spec = device_certificate();
    let (broker, door, clock) = platform(PlatformSpec::knowing(&spec), false);
    let mut rng = Rng::new(seed);
    let one = Linked::start(&spec, &door, clock, rng.next_u64(), None).leave_alone();
    // The second box is switched on some time after the first.
    tokio::time::sleep(Duration::from_millis(rng.below(90_000))).await;
    let from = broker
        .with(|p, _| p.ledger().totals().connects)
        .await
        .unwrap();
    let two = Linked::start(&spec, &door, clock, rng.next_u64(), None).leave_alone();
    tokio::time::sleep(10 * MINUTE).await;
    let seen = broker.with(|p, _| {
        let ledger = p.ledger();
        (
            ledger.totals().connects,
            ledger.times(Violation::ConnectQuota),
        )
    });
    let (connects, often) = seen.await.unwrap();
    for (stop, task) in [one, two] {
        stop.cancel();
        task.await.unwrap();
    }
    // The first connection of the first gateway, too.
    (connects - from + 1, often)
}

#[test]
fn two_gateways_with_one_certificate_connect_twelve_times_in_ten_minutes_at_most_both_together() {
    let mut most = 0;
    let mut least = u64::MAX;
    for seed in 0..100 {
        let life = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let (connects, often) = life.block_on(mutual(seed));
        assert_eq!(often, 0, "seed {seed}: together they stay within the quota");
        assert!(connects <= 12, "seed {seed}: {connects}");
        most = most.max(connects);
        least = least.min(connects);
    }
    assert!(least >= 6, "they do meet: {least}");
    eprintln!("mutual takeover: {least} to {most} CONNECTs in 10 min, both together, 100 seeds");
}

// ---- when to connect -------------------------------------------------------------

fn at(secs: u64) -> Now {
    after(Duration::from_secs(secs))
}

fn after(span: Duration) -> Now {
    Now {
        mono: Mono::START + span,
        wall: START,
    }
}

fn connector(seed: u64) -> Connector {
    Connector::new(&device_certificate().cloud, Rng::new(seed), at(0))
}

fn notices(c: &mut Connector, now: Now) -> Vec<CloudLogEvent> {
    std::iter::from_fn(|| c.poll(now)).collect()
}

/// Lives through one session and returns the wait that follows.
fn session(c: &mut Connector, now: &mut Now, lasted: Duration, end: &LinkDown) -> Duration {
    let from = c.attempt_at().at.max(now.mono);
    *now = after(from.since(Mono::START));
    c.on_attempt(*now);
    c.on_up(*now);
    *now = after(now.mono.since(Mono::START) + lasted);
    c.on_down(*now, end);
    c.attempt_at().at.since(now.mono)
}

#[test]
fn takeover_is_suspected_after_three_short_sessions_and_answered_with_minutes_after_a_fourth() {
    for seed in 0..100 {
        let mut c = connector(seed);
        let mut now = at(0);
        let mut loud = 0;
        for n in 1..=12 {
            let wait = session(&mut c, &mut now, 3 * SECOND, &LinkDown::Closed);
            let (least, most) = match n {
                1 => (5 * SECOND, 10 * SECOND),
                2 | 3 => (30 * SECOND, MINUTE),
                _ => (2 * MINUTE, 10 * MINUTE),
            };
            assert!(wait >= least && wait <= most, "{n}: {wait:?}");
            for notice in notices(&mut c, now) {
                if let CloudLogEvent::TakeoverSuspected { sessions } = notice {
                    assert_eq!(sessions, n);
                    loud += 1;
                }
            }
        }
        assert_eq!(loud, 3, "at 3, 6 and 12");
        // The other gateway is gone: the first long session ends the suspicion.
        let wait = session(&mut c, &mut now, 20 * MINUTE, &LinkDown::Closed);
        assert!(wait <= 5 * SECOND, "{wait:?}");
        let wait = session(&mut c, &mut now, 3 * SECOND, &LinkDown::Closed);
        assert!(wait <= 10 * SECOND, "{wait:?}");
    }
}

#[test]
fn a_bad_line_is_not_taken_for_another_gateway() {
    for end in [LinkDown::PingTimeout, LinkDown::Io("reset".into())] {
        let mut c = connector(1);
        let mut now = at(0);
        for _ in 0..10 {
            let wait = session(&mut c, &mut now, 30 * SECOND, &end);
            assert!(wait <= 2 * MINUTE, "{wait:?}");
            let told = notices(&mut c, now);
            assert!(
                !told
                    .iter()
                    .any(|n| matches!(n, CloudLogEvent::TakeoverSuspected { .. }))
            );
        }
    }
}

#[test]
fn a_fleet_does_not_return_in_one_instant_after_a_long_good_spell() {
    let mut waits: Vec<Duration> = (0..1000)
        .map(|seed| {
            let mut c = connector(seed);
            session(&mut c, &mut at(0), 60 * MINUTE, &LinkDown::Closed)
        })
        .collect();
    waits.sort();
    assert!(waits[999] <= 5 * SECOND, "{:?}", waits[999]);
    // Spread evenly: each tenth of a second gets its share of about 20.
    for n in 0..50u32 {
        let (from, to) = (SECOND / 10 * n, SECOND / 10 * (n + 1));
        let here = waits.iter().filter(|w| **w >= from && **w < to).count();
        assert!(
            (5..=45).contains(&here),
            "{here} of 1000 between {from:?} and {to:?}"
        );
    }
}

/// One possible end of an attempt.
#[derive(Clone, Debug)]
enum End {
    Down(LinkDown),
    Up(Duration, LinkDown),
    Registered,
    NotRegistered(EnrolmentFailure),
}

fn end() -> impl Strategy<Value = End> {
    let down = prop_oneof![
        Just(LinkDown::Closed),
        Just(LinkDown::NoConnack),
        Just(LinkDown::PingTimeout),
        Just(LinkDown::Io("x".into())),
        Just(LinkDown::Unreachable("x".into())),
        (0u8..8).prop_map(LinkDown::Refused),
    ];
    let lasted = prop_oneof![0u64..2_000, 0u64..100_000, 0u64..3_600_000];
    prop_oneof![
        down.clone().prop_map(End::Down),
        (lasted, down.clone()).prop_map(|(ms, d)| End::Up(Duration::from_millis(ms), d)),
        Just(End::Registered),
        prop_oneof![
            (0u8..8).prop_map(EnrolmentFailure::Refused),
            Just(EnrolmentFailure::NoAnswer),
            down.prop_map(EnrolmentFailure::Lost),
        ]
        .prop_map(End::NotRegistered),
    ]
}

proptest! {
    #[test]
    fn never_more_than_five_connects_in_a_minute_and_always_another_one(
        seed in any::<u64>(), ends in prop::collection::vec((0u64..11_000, end()), 1..120)
    ) {
        let mut c = connector(seed);
        let mut now = at(0);
        let mut made: Vec<Mono> = Vec::new();
        for (takes, end) in ends {
            let wake = c.attempt_at().at;
            prop_assert!(wake.since(now.mono) <= 11 * MINUTE, "another one, and soon");
            now = after(wake.max(now.mono).since(Mono::START));
            c.on_attempt(now);
            made.push(now.mono);
            now = after(now.mono.since(Mono::START) + Duration::from_millis(takes));
            match end {
                End::Down(why) => c.on_down(now, &why),
                End::Up(lasted, why) => {
                    c.on_up(now);
                    now = after(now.mono.since(Mono::START) + lasted);
                    c.on_down(now, &why);
                }
                End::Registered => c.on_registered(now),
                End::NotRegistered(why) => {
                    c.on_not_registered(now, &why);
                }
            }
            let _ = notices(&mut c, now);
        }
        for window in made.windows(6) {
            prop_assert!(window[5].since(window[0]) > MINUTE, "{window:?}");
        }
    }
}

// ---- dead paths --------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn a_path_that_died_without_a_word_is_noticed_within_two_pings_and_replaced_once() {
    for fault in [Fault::IgnorePings(true), Fault::Deaf(true)] {
        for seed in 0..20 {
            let spec = device_certificate();
            let (broker, door, clock) = platform(PlatformSpec::knowing(&spec), false);
            let mut link = Linked::start(&spec, &door, clock, seed, None);
            assert_eq!(link.next().await, LinkEvent::Up);
            // Anywhere between two pings.
            let quiet = Duration::from_secs(200) + Duration::from_millis(1250) * seed as u32;
            tokio::time::sleep(quiet).await;
            let died = clock.now().mono;
            let set = fault.clone();
            broker.with(|p, now| p.fault(now, set)).await.unwrap();
            assert_eq!(link.next().await, LinkEvent::Down(LinkDown::PingTimeout));
            let noticed = clock.now().mono.since(died);
            // Two pings unanswered, noticed when the third is due.
            assert!(
                noticed >= 50 * SECOND && noticed <= 75 * SECOND,
                "{fault:?}: {noticed:?}"
            );
            broker
                .with(|p, now| p.fault(now, Fault::Heal))
                .await
                .unwrap();
            assert_eq!(link.next().await, LinkEvent::Up);
            tokio::time::sleep(10 * MINUTE).await;
            let seen = broker.with(|p, _| {
                (
                    p.ledger().totals().connects,
                    p.connection(&gateway()).is_some(),
                )
            });
            assert_eq!(seen.await.unwrap(), (2, true), "one clean reconnect");
            link.end().await;
        }
    }
}

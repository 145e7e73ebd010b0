//! Seeded lives of the whole house on virtual time.
//!
//! A failing seed prints itself; run it alone with
//! `ALINK_SEED=n cargo test --features lab --test world`. `ALINK_SEEDS=n` runs
//! that many instead of 64. Seeds that once failed are kept in
//! [`REMEMBERED`].

#![cfg(feature = "lab")]
#![expect(
    clippy::print_stderr,
    reason = "a failing seed says how to run it again"
)]

mod world {
    pub(crate) mod house;
    pub(crate) mod invariants;
    pub(crate) mod storm;
}

use std::time::Duration;

use alink_gateway::base::{DeviceId, Rng, Secret};
use alink_gateway::lab::platform::{FailedBatchNames, Fault, PlatformSpec, Violation};
use world::house::{House, Size};
use world::storm::Blow;
use world::{invariants, storm};

/// Seeds that failed once, with what they taught.
const REMEMBERED: [u64; 0] = [];

const SECOND: Duration = Duration::from_secs(1);

fn seeds() -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|v| v.parse::<u64>().ok());
    if let Some(one) = number("ALINK_SEED") {
        return vec![one];
    }
    let mut seeds = REMEMBERED.to_vec();
    seeds.extend(0..number("ALINK_SEEDS").unwrap_or(64));
    seeds
}

/// Each doubtful point of the platform gets a different answer in different
/// lives.
fn doubts(rng: &mut Rng) -> impl FnOnce(&mut PlatformSpec) + use<> {
    let draws: Vec<bool> = (0..6).map(|_| rng.chance(500)).collect();
    let names = match rng.below(3) {
        0 => FailedBatchNames::Culprits,
        1 => FailedBatchNames::All,
        _ => FailedBatchNames::Nobody,
    };
    move |spec| {
        let s = &mut spec.switches;
        s.failed_batch_names = names;
        s.batch_code_is_text = draws[0];
        s.refused_logins_count = draws[1];
        s.login_quota_counts_devices = draws[2];
        s.pack_needs_session = draws[3];
        s.strict_delivery = draws[4];
        s.taken_over = if draws[5] { 427 } else { 527 };
    }
}

fn run<F: Future>(life: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime")
        .block_on(life)
}

/// Says which seed it was when a life ends badly.
struct Epitaph(u64);

impl Drop for Epitaph {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "seed {} failed; again: ALINK_SEED={} cargo test --features lab --test world -- --nocapture",
                self.0, self.0
            );
        }
    }
}

async fn stormy_life(seed: u64) {
    let _epitaph = Epitaph(seed);
    let mut rng = Rng::new(seed.wrapping_mul(0x9E37_79B9));
    let size = Size {
        lines: 1 + rng.below(3) as u16,
        units: 1 + rng.below(8) as u8,
    };
    let mut house = House::build(size, seed, doubts(&mut rng));
    let mut kicked = false;
    for _ in 0..30 {
        house
            .live(Duration::from_millis(500 + rng.below(15_000)))
            .await;
        let blow = storm::draw(&house, &mut rng);
        kicked |= matches!(&blow, Blow::Cloud(Fault::Kick(_)));
        storm::strike(&mut house, blow).await;
        house
            .platform(move |p| invariants::no_rule_broken(p, kicked))
            .await;
    }
    storm::calm(&mut house).await;
    let mut differences = Vec::new();
    for _ in 0..900 {
        house.live(SECOND).await;
        differences = invariants::differences(&house).await;
        if differences.is_empty() {
            break;
        }
    }
    assert!(
        differences.is_empty(),
        "the cloud never came to show the bus's truth: {differences:#?}"
    );
    // And it stays so.
    house.live(60 * SECOND).await;
    let differences = invariants::differences(&house).await;
    assert_eq!(differences, Vec::<String>::new());
    let values = invariants::every_value_was_true(&house).await;
    let anyone = house.spec.devices().any(|(d, _)| house.is_alive(d));
    assert!(values > 0 || !anyone, "not one value arrived");
    let (took, platform) = house.stop().await;
    invariants::no_rule_broken(&platform, kicked);
    assert!(took <= 10 * SECOND, "stopping took {took:?}");
    assert_eq!(platform.online(), 0, "left online at the end");
}

#[test]
fn every_stormy_life_converges_and_breaks_no_rule() {
    for seed in seeds() {
        run(stormy_life(seed));
    }
}

#[test]
fn a_hundred_and_twenty_devices_come_online_in_a_handful_of_batches() {
    run(async {
        let size = Size {
            lines: 12,
            units: 10,
        };
        let house = House::build(size, 1, |_| {});
        let took = house.until_online(120, 60 * SECOND).await;
        assert!(took.is_some(), "all online within a minute");
        let sizes = house.platform(|p| p.ledger().login_sizes()).await;
        assert!(sizes.len() <= 20, "{sizes:?}");
        house
            .platform(|p| invariants::no_rule_broken(p, false))
            .await;
    });
}

#[test]
fn a_silent_device_is_logged_out_within_its_bound_and_comes_back() {
    run(async {
        let mut house = House::build(Size { lines: 2, units: 4 }, 3, |_| {});
        assert!(house.until_online(8, 60 * SECOND).await.is_some());
        let device = DeviceId(2);
        storm::strike(&mut house, Blow::Die(device)).await;
        let bound = invariants::silence_bound(&house.spec);
        let gone = house.until_online(7, bound).await;
        assert!(gone.is_some(), "still online after {bound:?}");
        assert!(
            !house.is_online(device).await,
            "it is the dead one that left"
        );
        storm::strike(&mut house, Blow::Revive(device)).await;
        let back = house.until_online(8, 30 * SECOND).await;
        assert!(back.is_some(), "back within half a minute");
    });
}

#[test]
fn after_a_cut_exactly_those_come_back_that_answer_on_the_bus() {
    run(async {
        let mut house = House::build(Size { lines: 2, units: 5 }, 4, |_| {});
        assert!(house.until_online(10, 60 * SECOND).await.is_some());
        storm::strike(&mut house, Blow::Die(DeviceId(0))).await;
        assert!(house.until_online(9, 60 * SECOND).await.is_some());
        let cut = Blow::Cloud(Fault::Cut(storm::gateway(&house)));
        storm::strike(&mut house, cut).await;
        assert_eq!(house.online().await, 0);
        assert!(house.until_online(9, 60 * SECOND).await.is_some());
        house.live(30 * SECOND).await;
        assert!(
            !house.is_online(DeviceId(0)).await,
            "the dead one stayed away"
        );
        house
            .platform(|p| invariants::no_rule_broken(p, false))
            .await;
    });
}

#[test]
fn one_bad_device_keeps_nobody_else_offline_named_or_not() {
    for names in [
        FailedBatchNames::Culprits,
        FailedBatchNames::All,
        FailedBatchNames::Nobody,
    ] {
        run(async move {
            let size = Size {
                lines: 5,
                units: 10,
            };
            let house = House::build(size, 5, move |spec| {
                spec.switches.failed_batch_names = names;
                spec.certificates[17].secret = Secret::new("another");
            });
            let took = house.until_online(49, 120 * SECOND).await;
            assert!(took.is_some(), "{names:?}: 49 of 50 online");
            let often = house
                .platform(|p| p.ledger().times(Violation::LoginTooOften))
                .await;
            assert_eq!(often, 0, "{names:?}: nobody submitted too often");
        });
    }
}

#[test]
fn the_same_seed_is_the_same_life() {
    let life = || {
        run(async {
            let mut house = House::build(Size { lines: 2, units: 5 }, 9, |_| {});
            let mut rng = Rng::new(9);
            for _ in 0..10 {
                house.live(Duration::from_secs(rng.below(10))).await;
                let blow = storm::draw(&house, &mut rng);
                storm::strike(&mut house, blow).await;
            }
            house
                .platform(|p| {
                    let asked = p.ledger().asked().count();
                    (p.ledger().totals(), p.accepted().total(), asked)
                })
                .await
        })
    };
    assert_eq!(life(), life());
}

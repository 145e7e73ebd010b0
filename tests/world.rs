//! Seeded lives of the whole house on virtual time.
//!
//! A failing seed prints itself; run it alone with
//! `ALINK_SEED=n cargo test --features lab --test world`. `ALINK_SEEDS=n` runs
//! that many instead of 64. Seeds that once failed are kept in
//! [`REMEMBERED`].

#![cfg(feature = "lab")]

mod world {
    pub mod house;
    pub mod invariants;
    pub mod storm;
}

use std::time::Duration;

use alink_gateway::base::{DeviceId, Rng};
use alink_gateway::lab::platform::{FailedBatchNames, Fault, PlatformSpec};
use world::house::{House, Size};
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
            println!(
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
    let house = House::build(size, seed, doubts(&mut rng));
    let mut kicked = false;
    for _ in 0..30 {
        house.live(Duration::from_millis(500 + rng.below(15_000))).await;
        let blow = storm::draw(&house, &mut rng);
        kicked |= matches!(&blow, storm::Blow::Cloud(Fault::Kick(_)));
        storm::strike(&house, &blow);
        house.platform.with(|p| invariants::no_rule_broken(p, kicked));
    }
    storm::calm(&house);
    let settled = house
        .until(900 * SECOND, |h| invariants::differences(h).is_empty())
        .await;
    assert!(
        settled.is_some(),
        "the cloud never came to show the bus's truth: {:#?}",
        invariants::differences(&house)
    );
    // And it stays so.
    house.live(60 * SECOND).await;
    assert_eq!(invariants::differences(&house), Vec::<String>::new());
    let values = invariants::every_value_was_true(&house);
    let anyone = house.spec.devices().any(|(d, _)| house.is_alive(d));
    assert!(values > 0 || !anyone, "not one value arrived");
    house.platform.with(|p| invariants::no_rule_broken(p, kicked));
    let (took, platform) = house.stop().await;
    assert!(took <= 10 * SECOND, "stopping took {took:?}");
    assert_eq!(platform.with(|p| p.online()), 0, "left online at the end");
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
        let size = Size { lines: 12, units: 10 };
        let house = House::build(size, 1, |_| {});
        let took = house
            .until(60 * SECOND, |h| h.platform.with(|p| p.online()) == 120)
            .await;
        assert!(took.is_some(), "all online within a minute");
        let sizes = house.platform.with(|p| p.ledger().login_sizes());
        assert!(sizes.len() <= 20, "{sizes:?}");
        house.platform.with(|p| invariants::no_rule_broken(p, false));
    });
}

#[test]
fn a_silent_device_is_logged_out_within_its_bound_and_comes_back() {
    run(async {
        let house = House::build(Size { lines: 2, units: 4 }, 3, |_| {});
        let all = |h: &House| h.platform.with(|p| p.online()) == 8;
        assert!(house.until(60 * SECOND, all).await.is_some());
        let device = DeviceId(2);
        storm::strike(&house, &storm::Blow::Die(device));
        let bound = invariants::silence_bound(&house.spec);
        let gone = house.until(bound, |h| !h.is_online(device)).await;
        assert!(gone.is_some(), "still online after {bound:?}");
        assert_eq!(house.platform.with(|p| p.online()), 7, "nobody else left");
        storm::strike(&house, &storm::Blow::Revive(device));
        let back = house.until(30 * SECOND, |h| h.is_online(device)).await;
        assert!(back.is_some(), "back within half a minute");
    });
}

#[test]
fn after_a_cut_exactly_those_come_back_that_answer_on_the_bus() {
    run(async {
        let house = House::build(Size { lines: 2, units: 5 }, 4, |_| {});
        let n = |h: &House| h.platform.with(|p| p.online());
        assert!(house.until(60 * SECOND, |h| n(h) == 10).await.is_some());
        storm::strike(&house, &storm::Blow::Die(DeviceId(0)));
        assert!(house.until(60 * SECOND, |h| n(h) == 9).await.is_some());
        let cut = storm::Blow::Cloud(Fault::Cut(storm::gateway(&house)));
        storm::strike(&house, &cut);
        assert!(house.until(SECOND, |h| n(h) == 0).await.is_some());
        assert!(house.until(60 * SECOND, |h| n(h) == 9).await.is_some());
        house.live(30 * SECOND).await;
        assert!(!house.is_online(DeviceId(0)), "the dead one stayed away");
        house.platform.with(|p| invariants::no_rule_broken(p, false));
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
            let house = House::build(Size { lines: 5, units: 10 }, 5, move |spec| {
                spec.switches.failed_batch_names = names;
                spec.certificates[17].secret = alink_gateway::base::Secret::new("another");
            });
            let all_but_one = |h: &House| h.platform.with(|p| p.online()) == 49;
            let took = house.until(120 * SECOND, all_but_one).await;
            assert!(took.is_some(), "{names:?}: 49 of 50 online");
            house.platform.with(|p| {
                let rules = p.ledger().violations();
                let often = alink_gateway::lab::platform::Violation::LoginTooOften;
                assert!(!rules.contains_key(&often), "{names:?}: {rules:?}");
            });
        });
    }
}

#[test]
fn the_same_seed_is_the_same_life() {
    let life = || {
        run(async {
            let house = House::build(Size { lines: 2, units: 5 }, 9, |_| {});
            let mut rng = Rng::new(9);
            for _ in 0..10 {
                house.live(Duration::from_secs(rng.below(10))).await;
                storm::strike(&house, &storm::draw(&house, &mut rng));
            }
            house.platform.with(|p| {
                (p.ledger().totals(), p.accepted().total(), p.ledger().asked().count())
            })
        })
    };
    assert_eq!(life(), life());
}

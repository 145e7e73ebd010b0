//! A reload touches only what the new configuration changes: the real service on
//! virtual time, cloud messages counted.

mod plant;

use std::collections::BTreeSet;
use std::time::Duration;

use alink_gateway::base::{ProductKey, Rng};
use alink_gateway::lab::platform::{Device, Fault, PlatformSpec};
use alink_gateway::spec::TopologyPolicy;
use plant::{Asked, Config, LINES, Meter, Plant, UNITS, meter, secret};

const SECOND: Duration = Duration::from_secs(1);

/// No requests but posts.
const NOTHING: Asked = Asked {
    logins: Vec::new(),
    logouts: Vec::new(),
    connects: 0,
};

fn run<F: Future>(life: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(life)
}

/// Starts `before`, waits until all are online, loads `after`, waits half a minute;
/// returns the requests to the cloud meanwhile.
async fn between(before: &Config, after: &Config) -> (Plant, Asked) {
    let mut plant = Plant::start(before, 7).await;
    plant.until_online(&before.names()).await;
    plant.live(5 * SECOND).await;
    let was = plant.asked().await;
    plant.reload(after).await;
    plant.live(30 * SECOND).await;
    assert_eq!(plant.online().await, after.names());
    plant.is_content().await;
    let asked = plant.asked().await.since(&was);
    (plant, asked)
}

#[test]
fn the_same_file_again_is_nothing_at_all() {
    run(async {
        let config = Config::of(2, 10);
        let (plant, asked) = between(&config, &config).await;
        assert_eq!(asked, NOTHING);
        let (orderly, platform) = plant.stop().await;
        assert_eq!((orderly, platform.online()), (true, 0));
    });
}

#[test]
fn changes_of_ports_and_polling_touch_the_cloud_link_not_at_all() {
    type Edit = fn(&mut Config);
    let edits: [(&str, Edit); 6] = [
        ("a line's timeout", |c| {
            c.timeouts[0] = Duration::from_millis(300);
        }),
        ("what one device is asked", |c| {
            c.meter("unit-0-3").points = vec!["h12", "h10"];
        }),
        ("the secret of one that is online", |c| {
            c.meter("unit-0-3").secret = "another".into();
        }),
        ("a device that is now on another line", |c| {
            c.meter("unit-0-3").line = 2;
        }),
        ("identities that had been mixed up", |c| {
            c.meter("unit-0-3").unit = 4;
            c.meters[3].unit = 3;
        }),
        ("limits", |c| c.in_flight = 2),
    ];
    for (what, edit) in edits {
        run(async move {
            let before = Config::of(2, 10);
            let mut after = before.clone();
            edit(&mut after);
            let (_, asked) = between(&before, &after).await;
            assert_eq!(asked, NOTHING, "{what}");
        });
    }
}

#[test]
fn one_removed_is_one_log_out_and_three_added_are_one_log_in_of_three() {
    run(async {
        let small = Config::of(2, 10);
        let (_, asked) = between(&small, &small.clone().without("unit-1-5")).await;
        assert_eq!((asked.logouts, asked.logins), (vec![1], vec![]));

        let mut large = small.clone();
        large
            .meters
            .extend([meter(0, 11), meter(0, 12), meter(0, 13)]);
        let (_, asked) = between(&small, &large).await;
        assert_eq!((asked.logouts, asked.logins), (vec![], vec![3]));
        assert_eq!(asked.connects, 0);
    });
}

#[test]
fn a_corrected_secret_is_tried_at_once_and_bothers_nobody() {
    run(async {
        let good = Config::of(1, 10);
        let mut bad = good.clone();
        bad.meter("unit-0-4").secret = "wrong".into();
        let mut plant = Plant::start(&bad, 3).await;
        plant
            .until_online(&good.clone().without("unit-0-4").names())
            .await;
        plant.live(60 * SECOND).await;
        let was = plant.asked().await;
        plant.reload(&good).await;
        plant.live(3 * SECOND).await;
        assert_eq!(plant.online().await, good.names());
        let asked = plant.asked().await.since(&was);
        assert_eq!((asked.logouts, asked.logins), (vec![], vec![1]));
    });
}

#[test]
fn a_secret_corrected_while_the_wrong_one_is_under_way_is_not_held_against_it() {
    run(async {
        let good = Config::of(1, 2);
        let mut bad = good.clone();
        bad.meter("unit-0-2").secret = "wrong".into();
        let mut plant = Plant::start(&bad, 3).await;
        let slow = Fault::Delay {
            least: 3 * SECOND,
            most: 3 * SECOND,
        };
        plant
            .platform
            .with(|p, now| p.fault(now, slow))
            .await
            .unwrap();
        // Both are requested, together; the answer is not there yet.
        while plant.platform(|p| p.ledger().asked().count()).await == 0 {
            plant.live(SECOND / 10).await;
        }
        plant.reload(&good).await;
        plant.live(40 * SECOND).await;
        assert_eq!(plant.online().await, good.names());
    });
}

#[test]
fn a_device_that_is_registered_from_now_on_comes_online_and_one_that_is_not_any_more_stays() {
    run(async {
        let good = Config::of(1, 5);
        let mut bad = good.clone();
        bad.meter("unit-0-2").secret = "wrong".into();
        let mut registering = good.clone();
        registering.meter("unit-0-2").secret.clear();
        registering.meter("unit-0-3").secret.clear();
        let mut plant = Plant::start(&bad, 3).await;
        plant
            .until_online(&good.clone().without("unit-0-2").names())
            .await;
        plant.live(10 * SECOND).await;
        let was = plant.asked().await;
        plant.reload(&registering).await;
        plant.live(5 * SECOND).await;
        assert_eq!(plant.online().await, good.names());
        plant.reload(&good).await;
        plant.live(5 * SECOND).await;
        assert_eq!(plant.online().await, good.names());
        let asked = plant.asked().await.since(&was);
        assert_eq!((asked.logouts, asked.logins), (vec![], vec![1]));
        // The configured secret goes before the one that the platform gave.
        plant.reload(&bad.clone().without("unit-0-2")).await;
        plant.live(5 * SECOND).await;
        plant.reload(&bad).await;
        plant.live(30 * SECOND).await;
        assert_eq!(plant.online().await, bad.without("unit-0-2").names());
    });
}

#[test]
fn the_topology_follows_the_configuration_on_the_same_connection() {
    run(async {
        let mut before = Config::of(1, 5);
        before.topology = TopologyPolicy::Mirror;
        let mut after = before.clone().without("unit-0-2");
        // It answers no request, so no log-in shows that it has to be added.
        after.meters.push(meter(1, 1));
        let state = tempfile::tempdir().unwrap();
        let five = |platform: &mut PlatformSpec| {
            let five = before.names();
            let named = |d: &Device| five.iter().any(|n| n == d.device_name.as_str());
            platform.topology.retain(|(_, sub)| named(sub));
        };
        let mut plant = Plant::start_in(state.path(), &before, 3, five).await;
        plant.until_online(&before.names()).await;
        plant.power(1, 1, false);
        plant.live(5 * SECOND).await;
        let was = plant.asked().await;
        assert!(plant.hangs("unit-0-2").await && !plant.hangs("unit-1-1").await);
        plant.reload(&after).await;
        plant.live(10 * SECOND).await;
        assert!(!plant.hangs("unit-0-2").await && plant.hangs("unit-1-1").await);
        assert_eq!(plant.asked().await.since(&was).connects, 0);
        plant.is_content().await;
    });
}

#[test]
fn a_secret_that_was_given_outlives_the_process_and_is_found_again_by_a_reload() {
    run(async {
        let good = Config::of(1, 4);
        let mut registering = good.clone();
        registering.meter("unit-0-2").secret.clear();
        registering.meter("unit-0-3").secret.clear();
        let others = good.clone().without("unit-0-2").without("unit-0-3");
        let unwilling = |platform: &mut PlatformSpec| {
            let sub = ProductKey::new("a1SubDemoPk");
            platform.registration_off.insert(sub);
        };
        let state = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        // Without the secret given before it cannot connect.
        let plant = Plant::start_in(elsewhere.path(), &registering, 3, unwilling).await;
        plant.live(60 * SECOND).await;
        assert_eq!(plant.online().await, others.names());
        plant.kill().await.unwrap();

        let plant = Plant::start_in(state.path(), &registering, 4, |_| {}).await;
        plant.until_online(&good.names()).await;
        // Online means requested, not yet stored; but the store soon follows.
        plant.live(SECOND).await;
        plant.kill().await.unwrap();

        let mut wrong = registering.clone();
        wrong.meter("unit-0-2").secret = "wrong".into();
        let mut plant = Plant::start_in(state.path(), &wrong, 5, unwilling).await;
        plant
            .until_online(&good.clone().without("unit-0-2").names())
            .await;
        plant.live(10 * SECOND).await;
        plant.reload(&registering).await;
        plant.live(5 * SECOND).await;
        assert_eq!(plant.online().await, good.names());
    });
}

#[test]
fn while_nothing_can_be_kept_devices_without_a_secret_wait_and_go_on_by_themselves() {
    run(async {
        let good = Config::of(1, 4);
        let mut registering = good.clone();
        registering.meter("unit-0-2").secret.clear();
        let others = good.clone().without("unit-0-2");
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        // No directory can be made where a file is, not even by root.
        std::fs::write(&state, "").unwrap();
        let plant = Plant::start_in(&state, &registering, 3, |_| {}).await;
        plant.until_online(&others.names()).await;
        plant.live(600 * SECOND).await;
        assert_eq!(plant.online().await, others.names());
        std::fs::remove_file(&state).unwrap();
        plant.live(90 * SECOND).await;
        assert_eq!(plant.online().await, good.names());
        plant.kill().await.unwrap();
        assert!(state.join("secrets.json").is_file());
    });
}

#[test]
fn another_broker_is_an_orderly_farewell_and_one_new_connection() {
    run(async {
        let before = Config::of(2, 10);
        let mut after = before.clone();
        after.host = "elsewhere";
        let (plant, asked) = between(&before, &after).await;
        assert_eq!(asked.connects, 1);
        assert_eq!(asked.logouts.iter().sum::<usize>(), 20);
        assert_eq!(asked.logins, [20]);
        // Values still arrive.
        let was = plant.platform(|p| p.accepted().total()).await;
        plant.live(10 * SECOND).await;
        assert!(plant.platform(|p| p.accepted().total()).await > was);
        let (orderly, platform) = plant.stop().await;
        assert_eq!((orderly, platform.online()), (true, 0));
    });
}

#[test]
fn one_who_changes_the_broker_again_and_again_keeps_within_the_connects_of_a_minute() {
    run(async {
        let mut config = Config::of(1, 5);
        let mut plant = Plant::start(&config, 7).await;
        for n in 0..12 {
            plant.live(SECOND).await;
            config.host = ["one", "other"][n % 2];
            plant.reload(&config).await;
        }
        plant.until_online(&config.names()).await;
        // The quota of the platform is among the rules.
        plant.is_content().await;
        assert!(plant.asked().await.connects >= 5, "the quota was in reach");
    });
}

#[test]
fn a_device_that_moves_to_where_nobody_answers_is_logged_out_after_its_quiet_time() {
    run(async {
        let before = Config::of(1, 5);
        let mut after = before.clone();
        after.meter("unit-0-2").unit = 99;
        let mut plant = Plant::start(&before, 5).await;
        plant.until_online(&before.names()).await;
        plant.reload(&after).await;
        plant.live(9 * SECOND).await;
        assert_eq!(plant.online().await.len(), 5, "judged too soon");
        plant.live(30 * SECOND).await;
        assert_eq!(plant.online().await, before.without("unit-0-2").names());
    });
}

#[test]
fn values_read_before_a_reload_keep_the_meaning_they_were_read_with() {
    run(async {
        // No message can be sent for a while; then the points are renumbered.
        let before = Config::of(1, 3);
        let mut after = before.clone();
        for m in &mut after.meters {
            m.points = vec!["h11", "h12", "h10"];
        }
        let mut plant = Plant::start(&before, 5).await;
        plant.until_online(&before.names()).await;
        let all = Fault::LoseRequests { permille: 1000 };
        plant
            .platform
            .with(|p, now| p.fault(now, all))
            .await
            .unwrap();
        plant.live(15 * SECOND).await;
        plant.reload(&after).await;
        plant.live(5 * SECOND).await;
        plant
            .platform
            .with(|p, now| p.fault(now, Fault::Heal))
            .await
            .unwrap();
        plant.live(60 * SECOND).await;
        assert!(plant.every_value_was_true().await > 50);
    });
}

#[test]
fn whatever_is_loaded_whenever_the_cloud_comes_to_show_exactly_that() {
    let number = |name: &str| std::env::var(name).ok().and_then(|v| v.parse::<u64>().ok());
    let seeds = match number("ALINK_SEED") {
        Some(one) => one..one + 1,
        None => 0..number("ALINK_SEEDS").unwrap_or(32),
    };
    for seed in seeds {
        run(restless_life(seed));
    }
}

/// Loads configurations drawn at random, at random moments: many of them in the middle
/// of log-ins and log-outs, some while messages are lost.
async fn restless_life(seed: u64) {
    let _epitaph = Epitaph(seed);
    let mut rng = Rng::new(seed ^ 0x5EED);
    let mut config = draw(&mut rng, &Config::of(LINES, UNITS));
    let mut plant = Plant::start(&config, seed).await;
    let troubled = rng.chance(500);
    if troubled {
        let slow = Fault::Delay {
            least: Duration::ZERO,
            most: Duration::from_millis(rng.below(4_000)),
        };
        plant
            .platform
            .with(|p, now| p.fault(now, slow))
            .await
            .unwrap();
    }
    if troubled && rng.chance(600) {
        let lossy = Fault::LoseReplies { permille: 200 };
        plant
            .platform
            .with(|p, now| p.fault(now, lossy))
            .await
            .unwrap();
    }
    let mut dead = BTreeSet::new();
    for _ in 0..12 {
        let most = [300, 3_000, 20_000][rng.below(3) as usize];
        plant.live(Duration::from_millis(rng.below(most))).await;
        if rng.chance(300) {
            let (line, unit) = (rng.below(3) as u8, 1 + rng.below(u64::from(UNITS)) as u8);
            let off = !dead.remove(&(line, unit)) && dead.insert((line, unit));
            plant.power(line, unit, !off);
        }
        config = draw(&mut rng, &config);
        plant.reload(&config).await;
    }
    // Many lives are ended in the middle of it all; where nothing is lost and little
    // late, in the orderly way.
    let end = rng.below(4);
    if end < 2 {
        // Perhaps in the middle of a reload, which is then abandoned.
        let within = Duration::from_millis(rng.below(5_000));
        let next = draw(&mut rng, &config);
        let _ = tokio::time::timeout(within, plant.reload(&next)).await;
        let platform = if end == 0 {
            plant.kill().await.unwrap()
        } else {
            let (orderly, platform) = plant.stop().await;
            assert!(orderly || troubled, "stopping took too long");
            platform
        };
        assert_eq!(platform.online(), 0, "left online at the end");
        return;
    }
    plant
        .platform
        .with(|p, now| p.fault(now, Fault::Heal))
        .await
        .unwrap();
    // A device that answers on the bus and signs rightly or is registered is online, no
    // other device is; a device that was given a wrong secret while online may still
    // be.
    let alive = config
        .meters
        .iter()
        .filter(|m| !dead.contains(&(m.line, m.unit)));
    let (good, bad): (Vec<_>, Vec<_>) =
        alive.partition(|m| m.secret.is_empty() || m.secret == secret(&m.name));
    let names = |meters: Vec<&Meter>| -> BTreeSet<String> {
        meters.into_iter().map(|m| m.name.clone()).collect()
    };
    let (good, bad) = (names(good), names(bad));
    let missing_and_surplus = |online: &[String]| {
        let online: BTreeSet<String> = online.iter().cloned().collect();
        let surplus = online
            .difference(&good)
            .filter(|n| !bad.contains(*n))
            .cloned();
        let missing = good.difference(&online).cloned();
        (missing.collect::<Vec<_>>(), surplus.collect::<Vec<_>>())
    };
    let nothing = (Vec::new(), Vec::new());
    let mut seen = nothing.clone();
    for _ in 0..900 {
        plant.live(SECOND).await;
        seen = missing_and_surplus(&plant.online().await);
        if seen == nothing {
            break;
        }
    }
    assert_eq!(seen, nothing, "missing, surplus");
    plant.live(60 * SECOND).await;
    let seen = missing_and_surplus(&plant.online().await);
    assert_eq!(seen, nothing, "and it stays so: missing, surplus");
    plant.every_value_was_true().await;
    let broken = plant.platform(|p| {
        p.ledger()
            .violations()
            .keys()
            .map(|v| format!("{v:?}"))
            .collect::<Vec<_>>()
    });
    let broken = broken.await;
    assert!(
        broken.iter().all(|v| v == "BadSign"),
        "rules broken: {broken:?}"
    );
    let (orderly, platform) = plant.stop().await;
    assert!(orderly, "stopping took too long");
    assert_eq!(platform.online(), 0);
}

/// Draws another configuration, not too far from the last.
fn draw(rng: &mut Rng, last: &Config) -> Config {
    let mut next = last.clone();
    let everybody = Config::of(LINES, UNITS).meters;
    for m in everybody {
        let there = next.meters.iter().position(|x| x.name == m.name);
        match (there, rng.below(12)) {
            (Some(n), 0 | 1) => {
                next.meters.remove(n);
            }
            (None, 0..=3) => next.meters.push(m),
            (Some(n), 2) => next.meters[n].secret = secret(&m.name),
            (Some(n), 3) if rng.chance(200) => next.meters[n].secret = "wrong".into(),
            (Some(n), 6) if rng.chance(300) => next.meters[n].secret.clear(),
            (Some(n), 4) => next.meters[n].points = vec!["h10", "h12"],
            (Some(n), 5) => next.meters[n].points = vec!["h11", "h10"],
            _ => {}
        }
    }
    if rng.chance(300) {
        next.timeouts[rng.below(3) as usize] = Duration::from_millis(150 + rng.below(100));
    }
    if rng.chance(100) {
        next.in_flight = 1 + rng.below(6) as usize;
    }
    if rng.chance(80) {
        next.host = if next.host == "platform" {
            "elsewhere"
        } else {
            "platform"
        };
    }
    next
}

/// Prints the seed when a life ends badly.
struct Epitaph(u64);

impl Drop for Epitaph {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "seed {} failed; again: ALINK_SEED={} cargo test --features lab --test engines reload",
                self.0, self.0
            );
        }
    }
}

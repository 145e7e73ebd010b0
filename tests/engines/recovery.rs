//! How fast the cloud side recovers: from throttling, a full gateway, refused
//! batches, deleted devices, slow replies. The real engine against a small model
//! of the platform, on virtual time.

mod commands;
mod desired;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use alink_gateway::base::{LinkDown, Mono, Now, Rng, Wall};
use alink_gateway::cloud::{CloudLogEvent, Connector, Presence};
use alink_gateway::spec::{Changes, TopologyPolicy};
use proptest::prelude::*;
use serde_json::json;

use world::{Ask, Names, World, ms, name, secs, spec};

/// Builds a world with all of `n` online and no message yet.
fn online(n: u32) -> World {
    let mut w = World::new(spec(n));
    w.up();
    w.want(0..n, Presence::Online);
    assert!(w.run_for(secs(30), |w| w.online() == n as usize));
    w.sent.clear();
    w
}

// --- 429 ------------------------------------------------------------------------

#[test]
fn everybody_is_back_within_75_seconds_after_throttled_log_ins_and_few_are_asked() {
    for during in [30, 90, 119, 121, 600] {
        let mut w = World::new(spec(400));
        w.platform.throttle(Ask::LogIn, w.now.mono + secs(during));
        w.up();
        w.want(0..400, Presence::Online);
        w.run(secs(during));
        let end = w.now.mono;
        assert_eq!(w.online(), 0);
        // The log-ins that were under way when it began, then one device a minute.
        let first = w.sent[0].at;
        let later: Vec<_> = w
            .sent
            .iter()
            .filter(|s| s.at.since(first) > secs(1))
            .collect();
        assert!(later.iter().all(|s| s.devices.len() == 1));
        for pair in later.windows(2) {
            assert!(pair[1].at.since(pair[0].at) >= secs(60));
        }
        assert!(w.run_for(secs(75), |w| w.online() == 400), "{during} s");
        assert!(w.now.mono.since(end) <= secs(75));
        assert!(w.told("cloud-throttled") >= 1);
    }
}

#[test]
fn two_thousand_are_back_within_75_seconds_as_well() {
    let mut w = World::new(spec(2000));
    w.platform.throttle(Ask::LogIn, w.now.mono + secs(90));
    w.up();
    w.want(0..2000, Presence::Online);
    w.run(secs(90));
    assert!(w.run_for(secs(75), |w| w.online() == 2000));
}

#[test]
fn a_throttled_log_out_is_tried_every_minute_and_holds_up_no_log_in() {
    let mut w = online(120);
    w.platform.throttle(Ask::LogOut, w.now.mono + secs(300));
    w.want(0..60, Presence::Offline);
    w.run(secs(200));
    w.want(60..120, Presence::Offline);
    w.want(0..30, Presence::Online);
    w.run(secs(100));
    assert!((0..30).all(|d| w.is_in(d)));
    assert!(w.run_for(secs(65), |w| w.platform.online.len() == 30));
}

#[test]
fn throttled_relations_are_tried_every_minute() {
    let mut w = World::new(spec(70));
    w.platform.related.clear();
    w.platform.throttle(Ask::Relate, w.now.mono + secs(300));
    w.platform.throttle(Ask::Relations, w.now.mono + secs(300));
    w.up();
    w.want(0..70, Presence::Online);
    w.run(secs(300));
    assert_eq!(w.online(), 0);
    let asked = w.sent.iter().filter(|s| s.ask == Ask::Relate).count();
    assert!((4..=9).contains(&asked), "{asked}");
    assert!(w.run_for(secs(75), |w| w.online() == 70));
}

#[test]
fn a_throttled_pruning_of_the_topology_is_not_repeated_one_by_one() {
    let mut spec = spec(60);
    spec.cloud.session.topology = TopologyPolicy::Mirror;
    let mut w = World::new(spec);
    w.platform.related.extend((60..100).map(name));
    w.platform.throttle(Ask::Unrelate, w.now.mono + secs(90));
    w.up();
    w.run(secs(90));
    let asked = w.sent.iter().filter(|s| s.ask == Ask::Unrelate).count();
    assert!(asked <= 2, "{asked}");
    assert!(w.run_for(secs(75), |w| w.platform.related.len() == 60));
}

// --- 428 ------------------------------------------------------------------------

/// Builds a platform that takes `cap` devices, and more devices than that.
fn capped(n: u32, cap: usize) -> World {
    let mut w = World::new(spec(n));
    w.platform.cap = cap;
    w.up();
    w.want(0..n, Presence::Online);
    assert!(w.run_for(secs(4), |w| w.online() == cap), "{}", w.online());
    w.run(secs(1));
    w
}

#[test]
fn places_are_filled_exactly_whatever_the_cap() {
    for cap in [0, 1, 2, 49, 50, 51, 99, 100, 101, 119, 120, 150, 199] {
        let mut w = capped(200, cap);
        let refused = w.sent.iter().filter(|s| s.code == 428).count();
        assert!((1..=10).contains(&refused), "cap {cap}: {refused} refused");
        assert_eq!(w.told("cloud-quota-full"), 1, "cap {cap}");
        // Twenty leave: exactly so many take their places, and no request is refused.
        w.sent.clear();
        let leave: Vec<u32> = (0..200).filter(|d| w.is_in(*d)).take(20).collect();
        let cap = cap.min(200 - leave.len());
        w.want(leave.clone(), Presence::Offline);
        assert!(w.run_for(secs(2), |w| leave.iter().all(|d| !w.is_in(*d))));
        assert!(w.run_for(secs(2), |w| w.online() == cap), "cap {cap}");
        let refused = w.sent.iter().filter(|s| s.code == 428).count();
        assert_eq!(refused, 0, "cap {cap}");
    }
}

#[test]
fn a_full_gateway_probes_upward_rarely_and_with_one_device() {
    let mut w = capped(200, 120);
    w.sent.clear();
    w.run(secs(600));
    let sent: Vec<_> = w.sent.iter().collect();
    assert!((10..=16).contains(&sent.len()), "{}", sent.len());
    assert!(sent.iter().all(|s| s.devices.len() == 1 && s.code == 428));
    let who: BTreeSet<u32> = sent.iter().flat_map(|s| s.devices.clone()).collect();
    assert_eq!(who.len(), sent.len(), "each time another one");
}

#[test]
fn everybody_is_in_within_a_minute_after_the_cap_is_lifted() {
    for (n, cap, wait) in [(200, 120, 7), (200, 150, 44), (2000, 100, 100)] {
        let mut w = capped(n, cap);
        w.run(secs(wait));
        w.platform.cap = 2000;
        assert!(w.run_for(secs(60), |w| w.online() == n as usize), "{n}");
    }
}

#[test]
fn a_cap_that_moves_is_followed_both_ways() {
    let mut w = capped(300, 120);
    w.platform.cap = 133;
    assert!(w.run_for(secs(60), |w| w.online() == 133));
    // The platform logs no device out, but does not accept so many again.
    w.platform.cap = 60;
    w.want(0..300, Presence::Offline);
    w.run(secs(60));
    w.want(0..300, Presence::Online);
    assert!(w.run_for(secs(5), |w| w.online() == 60), "{}", w.online());
    w.want(0..30, Presence::Offline);
    assert!(w.run_for(secs(3), |w| w.online() == 60));
}

#[test]
fn a_cap_is_learned_on_a_lossy_line_too() {
    let mut w = World::new(spec(200));
    w.platform.cap = 120;
    w.loss = 200;
    w.up();
    w.want(0..200, Presence::Online);
    // Each may try four times a minute, and every third reply is missing.
    assert!(w.run_for(secs(130), |w| w.platform.online.len() == 120));
    w.loss = 0;
    assert!(w.run_for(secs(60), |w| w.online() == 120));
    w.want(0..200, Presence::Offline);
    assert!(w.run_for(secs(20), |w| w.platform.online.is_empty()));
}

#[test]
fn a_cap_is_learned_though_many_may_still_be_online_from_before() {
    for since in [300, 600, 2_000, 5_000] {
        let mut w = capped(300, 133);
        w.run(secs(60));
        w.platform.cap = 60;
        // They are all being logged out, those that never were in one by one.
        w.want(0..300, Presence::Offline);
        w.run(ms(since));
        w.want(0..300, Presence::Online);
        let filled = w.run_for(secs(15), |w| w.online() == 60);
        assert!(filled, "{since} ms: {}", w.online());
    }
}

#[test]
fn one_stray_428_keeps_no_device_out_for_long() {
    let mut w = online(50);
    w.down();
    w.platform.moods.push(428);
    w.up();
    assert!(w.run_for(secs(60), |w| w.online() == 50));
}

// --- our own limit, and whose turn it is ---------------------------------------------

#[test]
fn a_place_within_our_own_limit_is_taken_as_soon_as_it_is_free() {
    let mut small = spec(120);
    small.cloud.session.online = 100;
    let mut w = World::new(small);
    w.up();
    w.want(0..120, Presence::Online);
    assert!(w.run_for(secs(10), |w| w.online() == 100));
    w.run(secs(30));
    assert_eq!(w.told("cloud-quota-full"), 1);
    for d in 0..20 {
        w.want([d], Presence::Offline);
        assert!(w.run_for(ms(300), |w| w.online() == 99), "{d} has left");
        assert!(w.run_for(ms(50), |w| w.online() == 100), "the next is in");
    }
}

#[test]
fn a_log_in_does_not_wait_for_the_search_among_log_outs() {
    // None of them is online: each log-out of a batch is searched to the end.
    let mut w = World::new(spec(600));
    w.platform.names = Names::None;
    w.up();
    w.run(secs(11));
    for d in (0..600).step_by(60) {
        let asked = w.now.mono;
        w.want([d], Presence::Online);
        assert!(w.run_for(ms(1_000), |w| w.is_in(d)), "{d}");
        assert!(w.now.mono.since(asked) <= ms(1_000));
    }
}

#[test]
fn the_search_for_a_culprit_leaves_half_of_the_pace_to_others() {
    let mut w = World::new(spec(600));
    w.platform.names = Names::None;
    w.up();
    w.run(secs(12));
    for _ in 0..10 {
        w.sent.clear();
        w.run(secs(1));
        let searched = w.sent.iter().filter(|s| s.ask == Ask::LogOut).count();
        assert!((8..=15).contains(&searched), "{searched} in a second");
    }
}

#[test]
fn a_log_out_lost_again_and_again_is_repeated_soon_while_others_are_answered() {
    let mut w = online(50);
    w.platform.deaf_to.insert(7);
    w.want([7], Presence::Offline);
    for d in 10..50 {
        w.run(ms(500));
        w.want([d], Presence::Offline);
    }
    let asked = w.sent.iter().filter(|s| s.devices == [7]).count();
    assert!((6..=9).contains(&asked), "{asked} in twenty seconds");
    w.platform.deaf_to.clear();
    assert!(w.run_for(secs(4), |w| !w.platform.online.contains(&7)));
}

#[test]
fn a_topology_that_has_room_again_takes_those_that_found_it_full() {
    let mut spec = spec(4);
    spec.cloud.session.topology = TopologyPolicy::Mirror;
    let mut w = World::new(spec);
    w.platform.related.remove(&name(3));
    w.platform.related.insert(name(900));
    w.platform.bad.insert((Ask::Relate, 3), 6400);
    w.platform.delays.insert(Ask::Relations, secs(5));
    w.up();
    w.want(0..4, Presence::Online);
    w.run(secs(4));
    assert_eq!(w.blocked_with(3), Some(6400));
    w.platform.bad.clear();
    assert!(
        w.run_for(secs(5), |w| w.is_in(3)),
        "{:?}",
        w.blocked_with(3)
    );
}

// --- own verdicts ----------------------------------------------------------------------

#[test]
fn each_culprit_of_a_batch_gets_its_own_verdict() {
    let culprits = [(3, 522), (11, 521), (17, 6401), (23, 6287), (42, 6100)];
    for names in [Names::Culprits, Names::None, Names::First, Names::All] {
        for turn in 0..culprits.len() {
            let mut codes: Vec<i64> = culprits.iter().map(|c| c.1).collect();
            codes.rotate_left(turn);
            let bad: BTreeMap<u32, i64> = culprits.iter().map(|c| c.0).zip(codes.clone()).collect();
            let mut w = World::new(spec(50));
            w.platform.names = names;
            // Without the list, which would repair the relation and spoil the test.
            w.platform.delays.insert(Ask::Relations, secs(3600));
            for (d, code) in &bad {
                match code {
                    6401 => drop(w.platform.related.remove(&name(*d))),
                    _ => drop(w.platform.bad.insert((Ask::LogIn, *d), *code)),
                }
            }
            w.up();
            w.want(0..50, Presence::Online);
            assert!(
                w.run_for(secs(10), |w| w.online() == 46),
                "{names:?} {codes:?}: {}",
                w.online()
            );
            w.run(secs(5));
            for (d, code) in &bad {
                let wanted = (*code != 6401).then_some(*code);
                assert_eq!(w.blocked_with(*d), wanted, "{names:?} {codes:?}: {d}");
            }
            for d in (0..50).filter(|d| !bad.contains_key(d)) {
                let logins = w.sent.iter().filter(|s| s.ask == Ask::LogIn);
                let times = logins.filter(|s| s.devices.contains(&d)).count();
                let most = if names == Names::Culprits { 2 } else { 3 };
                assert!(times <= most, "{names:?} {codes:?}: {d} {times} times");
            }
        }
    }
}

#[test]
fn each_culprit_of_a_refused_relation_gets_its_own_verdict() {
    let mut w = World::new(spec(30));
    w.platform.names = Names::Culprits;
    w.platform.related.clear();
    w.platform.bad = BTreeMap::from([
        ((Ask::Relate, 4), 6400),
        ((Ask::Relate, 9), 6619),
        ((Ask::Relate, 20), 6402),
    ]);
    w.up();
    w.want(0..30, Presence::Online);
    assert!(w.run_for(secs(10), |w| w.online() == 27));
    w.run(secs(5));
    for (d, code) in [(4, 6400), (9, 6619), (20, 6402)] {
        assert_eq!(w.blocked_with(d), Some(code));
    }
}

// --- cures -------------------------------------------------------------------------------

#[test]
fn a_device_put_under_the_gateway_is_tried_at_once_whatever_it_was_refused_with() {
    for code in [521, 6100, 6401, 6250, 6619] {
        for notice in ["topo/change", "topo/add/notify"] {
            let mut w = online(3);
            w.platform.related.remove(&name(1));
            w.platform.bad.insert((Ask::LogIn, 1), code);
            w.platform.bad.insert((Ask::Relate, 1), code);
            w.kick(1, 521);
            assert!(w.blocked_with(1).is_some());
            w.run(secs(3600));
            assert!(w.blocked_with(1).is_some(), "{code}");
            // Created again, and put under the gateway.
            w.platform.bad.clear();
            let who = json!([{"productKey": "subPk", "deviceName": name(1)}]);
            let params = match notice {
                "topo/change" => {
                    w.platform.related.insert(name(1));
                    json!({"status": 0, "subList": who})
                }
                _ => who,
            };
            w.order(&format!("/sys/gwPk/gw-1/thing/{notice}"), &params);
            assert!(w.run_for(secs(2), |w| w.is_in(1)), "{code} {notice}");
        }
    }
}

#[test]
fn a_notice_that_cures_does_not_hide_that_the_session_was_ended_before_it() {
    let mut w = World::new(spec(2));
    w.delay = (ms(500), ms(500));
    w.up();
    w.want(0..2, Presence::Online);
    w.run(ms(300));
    assert!(w.platform.online.contains(&1), "the reply is on its way");
    w.kick(1, 6401);
    let who = json!([{"productKey": "subPk", "deviceName": name(1)}]);
    let params = json!({"status": 0, "subList": who});
    w.order("/sys/gwPk/gw-1/thing/topo/change", &params);
    w.run(secs(10));
    assert!(w.is_in(1) && w.platform.online.contains(&1));
}

#[test]
fn one_460_bars_a_device_for_a_minute_at_most_and_not_beyond_connection_or_reload() {
    for end in ["time", "connection", "reload"] {
        let mut w = World::new(spec(3));
        w.platform.bad.insert((Ask::LogIn, 1), 460);
        w.up();
        w.want(0..3, Presence::Online);
        w.run(secs(5));
        assert_eq!(w.blocked_with(1), Some(460));
        if end != "time" {
            // By now the retry block is long.
            w.run(secs(4 * 3600));
            assert!(w.block(1).unwrap() > secs(600));
        }
        w.platform.bad.clear();
        match end {
            "time" => {}
            "connection" => {
                w.down();
                w.up();
            }
            _ => w.reload(&Changes::default()),
        }
        let within = if end == "time" { secs(56) } else { secs(2) };
        assert!(w.run_for(within, |w| w.is_in(1)), "{end}");
    }
}

#[test]
fn a_log_out_called_malformed_is_repeated_within_minutes() {
    let mut w = online(3);
    w.platform.bad.insert((Ask::LogOut, 1), 460);
    w.want([1], Presence::Offline);
    w.run(secs(5));
    w.platform.bad.clear();
    assert!(w.run_for(secs(60), |w| !w.platform.online.contains(&1)));
}

// --- slow replies ---------------------------------------------------------------------------

#[test]
fn a_platform_that_takes_its_time_sees_one_log_in_of_each() {
    for (least, most) in [(6_000, 9_000), (9_000, 9_900), (100, 9_000)] {
        for n in [1, 60, 400] {
            let mut w = World::seeded(spec(n), u64::from(n));
            w.delay = (ms(least), ms(most));
            w.up();
            w.want(0..n, Presence::Online);
            w.run(secs(60));
            assert_eq!(w.online(), n as usize);
            let most = if least < 1_000 { 2 } else { 1 };
            for d in 0..n {
                let times = w.logins(d);
                assert!(times <= most, "{least}: {d} of {n} {times} times");
            }
        }
    }
}

#[test]
fn slow_log_ins_beside_quick_replies_of_other_kinds_are_waited_for() {
    let mut w = World::new(spec(200));
    w.platform.delays.insert(Ask::LogIn, secs(7));
    w.up();
    // All other replies have been quick for a while.
    w.run(secs(20));
    w.want(0..200, Presence::Online);
    w.run(secs(60));
    assert_eq!(w.online(), 200);
    let most = (0..200).map(|d| w.logins(d)).max().unwrap();
    assert!(most <= 2, "{most} times");
}

#[test]
fn a_late_200_of_an_earlier_attempt_settles_the_device_and_cancels_its_retry() {
    let mut w = World::new(spec(20));
    // Later than the longest wait: the second attempt is always under way.
    w.delay = (ms(10_700), ms(10_700));
    w.up();
    let asked = w.now.mono;
    w.want(0..20, Presence::Online);
    assert!(w.run_for(secs(20), |w| w.online() == 20));
    assert!(
        w.now.mono.since(asked) <= secs(11),
        "the first answer counts"
    );
    w.run(secs(60));
    assert_eq!(w.online(), 20);
    for d in 0..20 {
        assert!(w.logins(d) <= 2, "{} times", w.logins(d));
    }
    assert_eq!(w.told("device-online"), 1);
    assert_eq!(w.cloud.counters().logged_in, 20);
    // And the same when they leave.
    let asked = w.now.mono;
    w.want(0..20, Presence::Offline);
    assert!(w.run_for(secs(20), |w| w.online() == 0 && w.all_out()));
    assert!(w.now.mono.since(asked) <= secs(11));
    w.run(secs(60));
    assert_eq!(w.cloud.counters().logouts.values().sum::<u64>(), 20);
}

#[test]
fn a_late_200_does_not_overrule_what_was_heard_since() {
    let mut w = World::new(spec(2));
    w.delay = (secs(11), secs(11));
    w.up();
    w.want(0..2, Presence::Online);
    w.run(ms(10_300));
    w.delay = (ms(20), ms(20));
    w.kick(0, 522);
    w.platform.bad.insert((Ask::LogIn, 0), 522);
    w.run(secs(5));
    assert_eq!(w.blocked_with(0), Some(522));
    assert!(w.is_in(1));
}

#[test]
fn a_late_acceptance_of_a_relation_counts() {
    let mut w = World::new(spec(5));
    w.platform.related.clear();
    w.platform.delays.insert(Ask::Relations, secs(3600));
    w.platform.delays.insert(Ask::Relate, secs(12));
    w.up();
    w.want(0..5, Presence::Online);
    assert!(w.run_for(secs(14), |w| w.online() == 5));
    assert_eq!(w.told("topology-added"), 1);
}

// --- reload -------------------------------------------------------------------------------------

#[test]
fn a_reload_asks_for_the_topology_once() {
    for (removed, added) in [
        (vec![0], vec![3]),
        (vec![0, 1], vec![]),
        (vec![], vec![3, 4]),
    ] {
        let mut full = spec(5);
        full.retired.devices.extend([3, 4].map(world::id));
        let mut w = World::new(full);
        w.up();
        // 1 is offline, so gone at once if it is removed; 0 is logged out first.
        w.want([0, 2], Presence::Online);
        w.run(secs(30));
        let mut changes = Changes::default();
        changes.devices.removed = removed.iter().map(|d| world::id(*d)).collect();
        changes.devices.added = added.iter().map(|d| world::id(*d)).collect();
        w.sent.clear();
        w.reload(&changes);
        w.want(added.clone(), Presence::Online);
        w.run(secs(10));
        let asked = w.sent.iter().filter(|s| s.ask == Ask::Relations).count();
        assert_eq!(asked, 1, "-{removed:?} +{added:?}");
    }
}

// --- another gateway, or a broker that flaps ----------------------------------------------------

fn at(mono: Mono) -> Now {
    Now {
        mono,
        wall: Wall::default(),
    }
}

/// Lives through one session of this length with the end `why`; returns how long until
/// the next attempt.
fn session(c: &mut Connector, now: &mut Mono, lasted: u64, why: &LinkDown) -> std::time::Duration {
    *now = c.attempt_at().at.max(*now);
    c.on_attempt(at(*now));
    c.on_up(at(*now));
    *now = *now + secs(lasted);
    c.on_down(at(*now), why);
    c.attempt_at().at.since(*now)
}

fn suspected(c: &mut Connector) -> usize {
    let told = std::iter::from_fn(|| c.poll(Now::default()));
    told.filter(|n| matches!(n, CloudLogEvent::TakeoverSuspected { .. }))
        .count()
}

#[test]
fn three_short_sessions_cost_a_minute_at_most() {
    for seed in 0..20 {
        let cloud = spec(0).cloud;
        let mut now = Mono::from_micros(1_000_000);
        let mut c = Connector::new(&cloud, Rng::new(seed), at(now));
        for _ in 0..3 {
            let wait = session(&mut c, &mut now, 15, &LinkDown::Closed);
            assert!(wait <= secs(60), "{wait:?}");
        }
        assert_eq!(suspected(&mut c), 1, "and are told");
        let wait = session(&mut c, &mut now, 15, &LinkDown::Closed);
        assert!(wait >= secs(120), "another one is a rival's work: {wait:?}");
    }
}

#[test]
fn a_broker_that_shows_its_own_faults_is_not_taken_for_a_rival() {
    for fault in [
        LinkDown::Unreachable("refused".into()),
        LinkDown::Tls("eof".into()),
        LinkDown::PingTimeout,
        LinkDown::Io("timeout".into()),
    ] {
        let cloud = spec(0).cloud;
        let mut now = Mono::from_micros(1_000_000);
        let mut c = Connector::new(&cloud, Rng::new(1), at(now));
        for n in 0..12 {
            let why = if n % 3 == 2 {
                &fault
            } else {
                &LinkDown::Closed
            };
            let wait = session(&mut c, &mut now, 15, why);
            assert!(wait <= secs(120), "{fault:?}: {wait:?}");
        }
        assert_eq!(suspected(&mut c), 0, "{fault:?}");
    }
}

// --- random life ------------------------------------------------------------------------------

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn caps_losses_and_delays_end_with_everybody_where_they_belong(
        seed: u64,
        steps in prop::collection::vec((0usize..120, 0u32..300, 20u64..12_000, 0u32..100, any::<bool>(), 1u64..90), 1..8),
    ) {
        let mut w = World::seeded(spec(100), seed);
        w.up();
        for (cap, loss, delay, from, online, wait) in steps {
            (w.platform.cap, w.loss) = (cap, loss);
            w.delay = (ms(20), ms(delay));
            let wish = if online { Presence::Online } else { Presence::Offline };
            w.want(from..(from + 40).min(100), wish);
            w.run(secs(wait));
        }
        (w.platform.cap, w.loss, w.delay) = (2000, 0, (ms(20), ms(20)));
        let wanted: BTreeSet<u32> = w.wanted.clone();
        w.run(secs(600));
        prop_assert_eq!(&w.platform.online, &wanted);
        prop_assert_eq!(w.online(), wanted.len());
    }
}

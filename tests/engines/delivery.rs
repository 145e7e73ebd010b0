//! Readings arrive: at the pace of the messages and not of the replies, once where
//! nothing is lost, and every value counted as delivered was accepted.

pub(crate) mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::gateway::gateway as spec;
use alink_gateway::base::{DeviceId, LogEvent, Mono};
use alink_gateway::cloud::{CloudLogEvent, Presence, Session};
use proptest::prelude::*;
use world::{Sessionless, World, ms, secs};

/// The offered load of most of these: 100 devices with 4 values a second each.
const OFFERED: f64 = 400.0;

fn hundred(delay: (u64, u64), loss: u32, in_order: bool) -> World {
    let mut w = World::online(spec(100, 4), 1);
    w.delay = (ms(delay.0), ms(delay.1));
    w.loss = loss;
    w.in_order = in_order;
    w.feed_all(ms(250));
    w
}

// --- throughput ---------------------------------------------------------------

#[test]
fn slow_replies_do_not_slow_values_down() {
    for delay in [(1000, 2000), (2000, 8000), (11_000, 14_000)] {
        for in_order in [true, false] {
            let mut w = hundred(delay, 0, in_order);
            w.run(secs(75));
            let (rate, age) = (w.per_second(secs(40)), w.age(Mono::START, 990));
            assert!(rate >= 0.99 * OFFERED, "{delay:?}: {rate} values/s");
            assert!(age <= secs(1), "{delay:?}: {age:?} old");
            let repeats = w.platform.repeats as f64 / w.accepted() as f64;
            assert!(repeats <= 0.05, "{delay:?}: {repeats} repeats");
        }
    }
}

#[test]
fn lost_messages_do_not_slow_values_down_and_are_all_that_is_repeated() {
    for (delay, loss) in [
        ((20, 20), 200),
        ((1000, 2000), 300),
        ((2000, 8000), 200),
        ((11_000, 14_000), 200),
    ] {
        let mut w = hundred(delay, loss, true);
        w.run(secs(100));
        let rate = w.per_second(secs(50));
        assert!(rate >= 0.95 * OFFERED, "{delay:?} {loss}: {rate} values/s");
        // A value arrives again whenever the reply to its last arrival is lost.
        let lost = f64::from(loss) / 1000.0;
        let due = lost / (1.0 - lost);
        let repeats = w.platform.repeats as f64 / w.accepted() as f64;
        assert!(repeats <= due + 0.05, "{delay:?} {loss}: {repeats} repeats");
    }
}

#[test]
fn a_platform_that_becomes_slow_is_not_told_everything_twice() {
    let mut w = hundred((20, 20), 0, true);
    w.run(secs(30));
    w.delay = (secs(11), secs(14));
    w.run(secs(60));
    let repeats = w.platform.repeats as f64 / w.accepted() as f64;
    assert!(repeats <= 0.02, "{repeats}");
    assert!(w.per_second(secs(30)) >= 0.99 * OFFERED);
}

#[test]
fn an_answer_counts_whenever_it_comes() {
    // After 40 s, long after everything has been sent again.
    let mut w = World::online(spec(3, 1), 1);
    w.delay = (secs(40), secs(40));
    for id in 0..3 {
        w.put(id, 0, 1);
    }
    w.run(secs(60));
    assert_eq!(w.cloud.counters().delivered, 3);
    assert_eq!(w.cloud.backlog(), 0);
    assert!(w.cloud.counters().resent > 0);
    let sent = w.sent.len();
    w.run(secs(600));
    assert_eq!(w.sent.len(), sent, "sent again although delivered");
}

#[test]
fn two_thousand_devices_use_the_whole_pace_whatever_replies_take() {
    let mut w = World::online(spec(2000, 4), 1);
    w.delay = (secs(2), secs(8));
    w.loss = 50;
    // Half of what 25 full packs a second hold.
    w.feed_all(secs(2));
    w.run(secs(90));
    let rate = w.per_second(secs(30));
    assert!(rate >= 950.0, "{rate} values/s");
}

// --- 429 ------------------------------------------------------------------------

/// Returns the longest time without any value accepted since then.
fn gap(w: &World, since: Mono) -> Duration {
    let mut times: Vec<Mono> = w.platform.accepted.values().map(|(at, _)| *at).collect();
    times.retain(|at| *at >= since);
    times.extend([since, w.now.mono]);
    times.sort();
    let gaps = times.windows(2).map(|p| p[1].since(p[0]));
    gaps.max().unwrap_or_default()
}

#[test]
fn refused_posts_slow_down_and_are_back_at_the_full_pace_within_a_minute() {
    let mut w = hundred((100, 200), 0, true);
    w.run(secs(20));
    let from = w.now.mono;
    w.platform.post_codes = vec![429; 5];
    w.run(secs(60));
    assert!(gap(&w, from) <= secs(5), "{:?}", gap(&w, from));
    w.run(secs(60));
    assert!(w.per_second(secs(20)) >= 0.99 * OFFERED);
    assert!(w.age(from + secs(100), 990) <= secs(1));
    assert!(w.delivered_but_lost() <= 0);
    let dropped: u64 = w.cloud.counters().drops().iter().map(|d| d.1).sum();
    assert_eq!(dropped, 0);
}

#[test]
fn a_platform_that_refuses_posts_for_long_hears_of_us_at_once_when_it_does_no_more() {
    let mut w = hundred((100, 200), 0, true);
    w.run(secs(20));
    w.platform.throttled_until = w.now.mono + secs(90);
    let posts = w.platform.posts;
    w.run(secs(30));
    let from = w.platform.posts;
    w.run(secs(60));
    // Far fewer than before, when it was twenty a second.
    assert!(
        w.platform.posts - from <= 60 * 8,
        "{}",
        w.platform.posts - posts
    );
    let end = w.now.mono;
    w.run(secs(30));
    let first = w.platform.accepted.values().map(|(at, _)| *at);
    let first = first.filter(|at| *at >= end).min().unwrap();
    assert!(first.since(end) <= secs(2), "{:?}", first.since(end));
    // Log-ins were never held up.
    w.cloud.want(w.now, DeviceId(0), Presence::Offline);
    w.run(secs(2));
    w.platform.throttled_until = w.now.mono + secs(30);
    w.run(secs(5));
    w.cloud.want(w.now, DeviceId(0), Presence::Online);
    w.run(secs(1));
    assert_eq!(w.cloud.session(DeviceId(0)), Session::In);
}

// --- sessions that end without a word ---------------------------------------------

#[test]
fn what_a_lost_session_dropped_is_sent_again_and_not_counted_as_delivered() {
    for (delay, after, loss) in [
        ((20, 20), 0, 0),
        ((20, 20), 60, 0),
        ((500, 1500), 300, 0),
        ((2000, 8000), 0, 0),
        ((100, 300), 0, 50),
    ] {
        let mut w = World::online(spec(30, 4), 1);
        (w.delay, w.loss, w.in_order) = ((ms(delay.0), ms(delay.1)), loss, loss == 0);
        w.feed_all(ms(250));
        w.platform.sessionless = Sessionless::Dropped520;
        w.platform.notice_after = ms(after);
        w.run(secs(20));
        for round in 0..5 {
            w.lose_silently((0..30).filter(|id| id % 5 == round));
            w.run(secs(20));
        }
        w.stop_feeding();
        w.run(secs(120));
        assert_eq!(w.cloud.backlog(), 0);
        // With losses, every notice of it may be lost.
        let lost = w.offered - w.accepted();
        let most = if loss == 0 { 0 } else { w.offered / 1000 };
        assert!(lost <= most, "{delay:?} +{after} ms, {loss}: {lost} lost");
        assert_eq!(w.cloud.counters().delivered, w.offered);
    }
}

/// Checks that none of these is online at the platform; returns how long it takes until
/// all are.
fn all_back(w: &mut World) -> Duration {
    let n = w.spec.devices.len();
    w.lose_silently(0..n as u32);
    w.run_for(secs(600), |w| w.platform.online.len() == n)
}

#[test]
fn sessions_lost_silently_are_all_back_within_a_minute() {
    for (devices, every, loss) in [(60, 250, 0), (60, 1000, 200), (60, 60_000, 0), (3, 1000, 0)] {
        let mut w = World::online(spec(devices, 4), 1);
        w.loss = loss;
        w.feed_all(ms(every));
        w.run(secs(200));
        let took = all_back(&mut w);
        assert!(took <= secs(60), "{devices} every {every} ms: {took:?}");
    }
}

#[test]
fn sessions_lost_without_even_a_520_are_found_by_their_silence() {
    for loss in [0, 100] {
        let mut w = World::online(spec(60, 4), 1);
        w.feed_all(ms(1000));
        w.loss = loss;
        w.run(secs(100));
        w.platform.mute = true;
        let took = all_back(&mut w);
        assert!(took <= secs(60), "loss {loss}: {took:?}");
    }
}

#[test]
fn a_few_lost_sessions_are_found_too() {
    let mut w = World::online(spec(60, 4), 1);
    w.feed_all(ms(1000));
    w.run(secs(100));
    w.lose_silently([7, 42]);
    let took = w.run_for(secs(600), |w| w.platform.online.len() == 60);
    assert!(took <= secs(60), "{took:?}");
}

#[test]
fn losses_alone_make_no_device_log_in_again() {
    for n in [1, 3, 60] {
        let mut w = World::online(spec(n, 4), 1);
        w.feed_all(ms(1000));
        w.loss = 300;
        let logins = w.logins;
        w.run(secs(400));
        assert!(w.cloud.counters().unanswered >= 10, "nothing was lost");
        assert!(w.logins - logins <= 2, "{n}: {} log-ins", w.logins - logins);
    }
}

#[test]
fn proofs_cost_a_small_share_of_the_messages() {
    for n in [60, 2000] {
        let mut w = World::online(spec(n, 4), 1);
        w.feed_all(secs(4));
        w.run(secs(60));
        w.sent.clear();
        w.run(secs(60));
        let alone = w.sent.iter().filter(|(_, who)| who.len() == 1).count();
        assert!(alone <= 60 * 25 / 8 + 1, "{n}: {alone} in a minute");
        assert!(alone >= 50, "{n}: {alone} in a minute");
    }
}

// --- live first -------------------------------------------------------------------

#[test]
fn after_an_outage_live_values_go_first_and_the_backlog_behind_them() {
    let mut w = hundred((100, 200), 0, true);
    w.run(secs(20));
    w.down();
    w.run(secs(120));
    w.up();
    let up = w.now.mono;
    w.run(secs(5));
    let (settled, before) = (w.now.mono, w.accepted());
    w.run(secs(25));
    assert!(w.cloud.backlog() > 1000, "nothing left to be behind");
    // Values read since then have arrived within two seconds, though much waits.
    let fresh = w
        .platform
        .accepted
        .iter()
        .filter(|((_, _, time), _)| *time >= world::at(settled).wall.as_millis());
    let ages: Vec<Duration> = fresh
        .map(|((_, _, time), (at, _))| {
            ms(u64::try_from(world::at(*at).wall.as_millis() - time).unwrap())
        })
        .collect();
    assert!(ages.len() >= 24 * 400 - 1000, "{} live values", ages.len());
    assert!(*ages.iter().max().unwrap() <= secs(2));
    assert!(w.accepted() - before > 20_000, "the backlog stands still");
    // Delivery is fair, and oldest first within a device.
    w.run_for(secs(300), |w| w.cloud.backlog() < 1000);
    let mut old: BTreeMap<(u32, String), i64> = BTreeMap::new();
    let mut done: BTreeMap<u32, usize> = BTreeMap::new();
    let limit = world::at(up).wall.as_millis() - 10_000;
    for (device, property, time) in &w.platform.order {
        let arrived = w.platform.accepted[&(*device, property.clone(), *time)].0;
        if arrived < up || *time >= limit {
            continue;
        }
        let last = old.insert((*device, property.clone()), *time);
        assert!(last < Some(*time), "{device} {property}: {last:?}, {time}");
        *done.entry(*device).or_default() += 1;
        let (least, most) = (done.values().min(), done.values().max());
        let spread = most.unwrap() - least.unwrap();
        assert!(done.len() < 100 || spread <= 80, "{spread} ahead of others");
    }
    w.stop_feeding();
    w.run(secs(60));
    assert_eq!((w.cloud.backlog(), w.accepted()), (0, w.offered));
    // The posts that were under way when the link broke.
    assert!(w.platform.repeats <= 200, "{} repeats", w.platform.repeats);
}

#[test]
fn the_backlog_gets_its_share_though_live_values_take_all_they_can() {
    let mut slow = spec(100, 4);
    slow.cloud.post.messages_per_second = 5;
    let mut w = World::online(slow, 1);
    w.feed_all(ms(300));
    w.down();
    w.run(secs(60));
    w.up();
    let backlog = w.cloud.backlog();
    w.run(secs(300));
    assert!(
        w.cloud.backlog() < backlog,
        "{} of {backlog}",
        w.cloud.backlog()
    );
}

// --- bounds -------------------------------------------------------------------------

#[test]
fn a_platform_that_answers_nothing_makes_nothing_grow() {
    let mut small = spec(20, 4);
    small.cloud.post.queue = 2000;
    let mut w = World::online(small, 1);
    w.feed_all(ms(250));
    w.loss = 1000;
    w.run(secs(900));
    assert!(w.cloud.backlog() <= 2000 + 500, "{}", w.cloud.backlog());
    // The newest are kept, not the oldest.
    w.loss = 0;
    let back = w.now.mono;
    w.run(secs(60));
    assert!(w.age(back, 0) <= secs(2));
    assert!(w.per_second(secs(20)) >= 79.0);
    assert!(w.delivered_but_lost() <= 0);
}

#[test]
fn a_link_that_breaks_again_and_again_loses_and_doubles_next_to_nothing() {
    let mut w = hundred((1000, 3000), 0, true);
    for _ in 0..10 {
        w.run(secs(20));
        w.down();
        w.run(secs(3));
        w.up();
    }
    w.stop_feeding();
    w.run(secs(120));
    assert_eq!((w.cloud.backlog(), w.accepted()), (0, w.offered));
}

#[test]
fn stopping_sends_the_last_values_before_it_logs_out() {
    let mut w = hundred((100, 300), 0, true);
    w.run(secs(10));
    w.stop_feeding();
    w.cloud.stop(w.now);
    w.run(secs(10));
    assert!(w.logged_out);
    assert_eq!(w.accepted(), w.offered);
    assert_eq!(w.cloud.counters().delivered, w.offered);
}

// --- what is told ---------------------------------------------------------------------

#[test]
fn losses_are_summed_up_and_not_told_one_by_one() {
    let mut w = World::online(spec(30, 4), 1);
    w.feed_all(ms(500));
    w.loss = 50;
    w.run(secs(600));
    let lines: Vec<u64> = w
        .notices
        .iter()
        .filter_map(|(_, n)| match n {
            CloudLogEvent::Unanswered { times, .. } => Some(*times),
            _ => None,
        })
        .collect();
    assert!(lines.len() <= 6, "{lines:?}");
    w.loss = 0;
    w.stop_feeding();
    w.run(secs(120));
    let told: u64 = w
        .notices
        .iter()
        .filter_map(|(_, n)| match n {
            CloudLogEvent::Unanswered { times, .. } => Some(*times),
            _ => None,
        })
        .sum();
    assert_eq!(told, w.cloud.counters().unanswered);
    let over = w.notices.iter().rev().find_map(|(_, n)| match n {
        CloudLogEvent::Over { of, total, .. }
            if matches!(**of, CloudLogEvent::Unanswered { .. }) =>
        {
            Some(*total)
        }
        _ => None,
    });
    assert_eq!(over, Some(told));
}

#[test]
fn every_reading_dropped_is_told_and_in_the_end_the_total() {
    let mut small = spec(20, 4);
    small.cloud.post.queue = 5000;
    let mut w = World::online(small, 1);
    w.down();
    w.feed_all(ms(50));
    w.run(secs(100));
    w.up();
    w.stop_feeding();
    w.run(secs(120));
    let dropped = w.cloud.counters().dropped_queue_full;
    assert!(dropped > 30_000, "{dropped}");
    let told: Vec<u64> = w
        .notices
        .iter()
        .filter_map(|(_, n)| match n {
            CloudLogEvent::QueueFull { dropped } => Some(*dropped),
            _ => None,
        })
        .collect();
    assert_eq!(told.iter().sum::<u64>(), dropped);
    assert!(told.len() <= 4, "{told:?}");
    let last = w.notices.iter().map(|(_, n)| n.sentence());
    let words = format!("{dropped} dropped in all");
    assert_eq!(last.filter(|s| s.contains(&words)).count(), 1);
}

// --- whatever happens -----------------------------------------------------------------

#[derive(Clone, Debug)]
enum Event {
    Delay(u64, u64),
    Loss(u32),
    Order(bool),
    Flap(u64),
    Lose(BTreeSet<u32>),
    Refuse(u8, i64),
    Leave(u32, u64),
    Wait(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => (0u64..9000, 0u64..6000).prop_map(|(a, b)| Event::Delay(a, a + b)),
        2 => (0u32..300).prop_map(Event::Loss),
        1 => any::<bool>().prop_map(Event::Order),
        1 => (0u64..8000).prop_map(Event::Flap),
        1 => prop::collection::btree_set(0u32..12, 1..12).prop_map(Event::Lose),
        1 => (1u8..8, prop::sample::select(vec![429i64, 500, 6313])).prop_map(|(n, c)| Event::Refuse(n, c)),
        1 => (0u32..12, 0u64..9000).prop_map(|(d, w)| Event::Leave(d, w)),
        6 => (0u64..15_000).prop_map(Event::Wait),
    ]
}

/// Lives through these events, and then without faults until all is delivered.
fn live(seed: u64, events: Vec<Event>) {
    let mut w = World::online(spec(12, 3), seed);
    w.feed_all(ms(400));
    w.check_overlap = true;
    for event in events {
        match event {
            Event::Delay(a, b) => w.delay = (ms(a), ms(b)),
            Event::Loss(loss) => w.loss = loss,
            Event::Order(in_order) => w.in_order = in_order,
            Event::Flap(wait) => {
                w.down();
                w.run(ms(wait));
                w.up();
            }
            Event::Lose(who) => w.lose_silently(who),
            Event::Refuse(n, code) => w.platform.post_codes.extend(vec![code; n.into()]),
            Event::Leave(id, wait) => {
                w.cloud.want(w.now, DeviceId(id), Presence::Offline);
                w.run(ms(wait));
                w.cloud.want(w.now, DeviceId(id), Presence::Online);
            }
            Event::Wait(wait) => w.run(ms(wait)),
        }
    }
    w.loss = 0;
    w.delay = (ms(20), ms(20));
    w.platform.post_codes.clear();
    w.stop_feeding();
    w.run(secs(3600));
    assert_eq!(w.cloud.backlog(), 0);
    assert_eq!(w.accepted(), w.offered);
    assert_eq!(w.cloud.counters().delivered, w.offered);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_every_value_arrives_and_none_is_under_way_twice(
        seed: u64, events in prop::collection::vec(event(), 1..25)
    ) {
        live(seed, events);
    }
}

#[test]
fn lives_that_once_went_wrong() {
    let all = |who: &[u32]| who.iter().copied().collect();
    live(
        7_556_930_260_507_320_200,
        vec![
            Event::Loss(271),
            Event::Leave(9, 6177),
            Event::Lose(all(&[2, 8])),
            Event::Wait(548),
            Event::Loss(76),
            Event::Leave(0, 3966),
            Event::Refuse(6, 429),
            Event::Wait(8728),
            Event::Leave(4, 3352),
            Event::Refuse(6, 6313),
            Event::Loss(147),
            Event::Wait(6550),
            Event::Lose(all(&[0, 1, 2, 3, 5, 6, 7, 8, 11])),
            Event::Wait(6771),
            Event::Wait(3340),
        ],
    );
}

#[test]
fn news_of_the_session_before_does_not_end_the_next_one() {
    // Dozens of posts are under way when sessions end; the 520 beside each comes
    // seconds after the devices have logged in again.
    for seed in 1..4 {
        let mut w = World::online(spec(30, 4), seed);
        w.delay = (secs(2), secs(8));
        w.in_order = false;
        w.feed_all(ms(250));
        w.platform.sessionless = Sessionless::Dropped520;
        w.run(secs(60));
        let logins = w.cloud.counters().logged_in;
        w.lose_silently(0..30);
        w.run(secs(60));
        assert_eq!((w.platform.online.len(), w.cloud.online()), (30, 30));
        let logins = w.cloud.counters().logged_in - logins;
        assert!(logins <= 36, "{logins} log-ins for 30 sessions lost");
        w.stop_feeding();
        w.run(secs(120));
        assert_eq!((w.cloud.backlog(), w.accepted()), (0, w.offered));
    }
}

/// Checks that the refusal of a pack does not count against the last device left in it,
/// when the others have lost their sessions since it was sent.
#[test]
fn who_is_left_of_a_pack_is_not_blamed_for_the_others() {
    let mut w = World::online(spec(2, 1), 1);
    w.feed_all(ms(500));
    // Both have proved their sessions.
    w.run(secs(10));
    w.delay = (secs(1), secs(1));
    w.platform.post_codes = vec![6204];
    let before = w.sent.len();
    w.run_for(secs(5), |w| w.sent.len() > before);
    assert_eq!(w.sent.last().unwrap().1, [0, 1], "both in one");
    w.say_lost(0);
    w.stop_feeding();
    w.run(secs(20));
    let refused = |n: &(Mono, CloudLogEvent)| matches!(n.1, CloudLogEvent::DeviceRefused { .. });
    assert!(!w.notices.iter().any(refused), "{:?}", w.notices);
    assert_eq!(w.accepted(), w.offered);
}

//! Readings that cannot be delivered go to the store, and come back from it.

use super::*;
use alink_gateway::base::StoredTime;
use alink_gateway::spec::Durability;

/// A gateway whose devices are online, with an empty store.
fn with_store(n: u32) -> World {
    let mut w = online(n);
    w.open_store(Vec::new());
    w
}

/// Reads a value of each device, once a second for so many seconds; returns how many.
fn read(w: &mut World, devices: u32, seconds: i64) -> usize {
    for second in 0..seconds {
        for d in 0..devices {
            w.put(d, 0, second);
        }
        w.run(secs(1));
    }
    devices as usize * seconds as usize
}

/// The values that the platform accepted of a device, with their times, in order.
fn accepted(w: &World, device: u32) -> Vec<(i64, i64)> {
    let of = w.platform.accepted.iter().filter(|(d, ..)| *d == device);
    let part = |v: &Json, key: &str| v[key].as_i64().expect("a number");
    of.map(|(_, _, v)| (part(v, "time"), part(v, "value")))
        .collect()
}

/// The world's wall clock shows a time before this program was built, which is not believed.
const TO_THE_PRESENT: i64 = 100_000_000_000;

/// Sets the system's clock.
fn synchronise(w: &mut World) {
    let wall = Wall::from_millis(w.now.wall.as_millis() + TO_THE_PRESENT);
    w.cloud.on_clock(Now { wall, ..w.now }, true);
}

fn left(w: &World) -> usize {
    let store = w.store.as_ref().expect("a store");
    store.iter().filter(|(_, settled)| !settled).count()
}

#[test]
fn a_long_outage_costs_no_value_and_memory_holds_half_a_minute_of_it() {
    let mut w = with_store(5);
    w.down();
    let all = read(&mut w, 5, 300);
    assert!(w.cloud.backlog() <= 5 * 40, "{}", w.cloud.backlog());
    assert_eq!(left(&w) + w.cloud.backlog(), all);
    w.up();
    assert!(w.run_for(secs(60), |w| left(w) == 0 && w.cloud.backlog() == 0));
    for d in 0..5 {
        let values = accepted(&w, d);
        assert_eq!(values.len(), 300, "each once");
        assert!(values.is_sorted(), "the older first, with its own time");
    }
    let c = w.cloud.counters();
    assert_eq!(c.stored, c.replayed);
    assert_eq!(c.readings, c.delivered + c.stored);
}

#[test]
fn a_short_outage_does_not_wear_the_flash() {
    let mut w = with_store(3);
    w.down();
    read(&mut w, 3, 20);
    w.up();
    w.run(secs(30));
    assert_eq!(w.cloud.counters().stored, 0);
    assert_eq!(w.platform.accepted.len(), 60);
}

#[test]
fn what_is_left_at_a_stop_is_delivered_by_the_next_process() {
    let mut w = with_store(3);
    w.down();
    let all = read(&mut w, 3, 50);
    w.stop();
    assert!(w.run_for(secs(10), |w| w.logged_out == 1));
    assert_eq!(w.cloud.counters().dropped_at_stop, 0);
    let store = w.store.take().expect("a store");
    assert_eq!(store.len(), all);
    let mut next = World::new(spec(3, 1));
    next.now = w.now;
    next.open_store(store.into_iter().map(|(reading, _)| reading).collect());
    next.up();
    // No device is online: a history needs no session.
    assert!(next.run_for(secs(10), |w| left(w) == 0));
    assert_eq!(next.platform.accepted.len(), all);
}

#[test]
fn live_values_are_not_delayed_by_what_is_left() {
    let mut slow = spec(10, 1);
    slow.cloud.post.messages_per_second = 5;
    let mut w = World::new(slow);
    w.up();
    w.want(0..10, Presence::Online);
    w.run(secs(5));
    w.open_store(Vec::new());
    w.down();
    read(&mut w, 10, 600);
    w.up();
    w.run(secs(3));
    assert_eq!(w.online(), 10);
    let before = w.platform.accepted.len();
    assert!(left(&w) > 1000, "{}", left(&w));
    w.put(3, 0, 4711);
    let came = |w: &World| accepted(w, 3).iter().any(|(_, value)| *value == 4711);
    assert!(w.run_for(secs(1), came));
    assert!(w.platform.accepted.len() > before);
}

#[test]
fn a_store_that_fails_costs_nothing_as_long_as_memory_lasts() {
    let mut w = with_store(2);
    w.store_fails = true;
    w.down();
    let all = read(&mut w, 2, 120);
    assert_eq!((w.cloud.backlog(), left(&w)), (all, 0));
    w.store_fails = false;
    w.run(secs(30));
    assert_eq!(left(&w) + w.cloud.backlog(), all);
    assert!(left(&w) > 0);
    w.up();
    assert!(w.run_for(secs(60), |w| left(w) == 0 && w.cloud.backlog() == 0));
    assert_eq!(w.platform.accepted.len(), all);
}

#[test]
fn half_a_queue_goes_to_the_store_before_anything_is_dropped() {
    let mut small = spec(10, 1);
    small.cloud.post.queue = 100;
    let mut w = World::new(small);
    w.up();
    w.open_store(Vec::new());
    w.down();
    let all = read(&mut w, 10, 60);
    let c = w.cloud.counters();
    assert_eq!(c.dropped_queue_full, 0);
    assert_eq!(left(&w) + w.cloud.backlog(), all);
}

#[test]
fn a_disk_that_takes_seconds_keeps_up_and_keeps_the_order() {
    let mut w = with_store(10);
    w.store_delay = secs(4);
    w.down();
    let all = read(&mut w, 10, 200);
    // Live values would go first.
    w.run(secs(10));
    w.up();
    assert!(w.run_for(secs(120), |w| left(w) == 0 && w.cloud.backlog() == 0));
    assert_eq!(w.platform.accepted.len(), all);
    for d in 0..10 {
        assert!(accepted(&w, d).is_sorted());
    }
}

#[test]
fn a_stop_counts_what_is_on_its_way_to_the_store_once() {
    let mut w = with_store(3);
    w.store_delay = secs(4);
    w.down();
    let all = read(&mut w, 3, 37) as u64;
    w.stop();
    assert!(w.run_for(secs(10), |w| w.logged_out == 1));
    let c = w.cloud.counters();
    assert_eq!((c.stored, c.dropped_at_stop), (all, 0));
    assert_eq!(left(&w) as u64, all);
}

#[test]
fn what_is_read_while_the_gateway_stops_is_stored() {
    let mut w = with_store(3);
    w.platform.moods = vec![0; 100];
    w.stop();
    w.put(0, 0, 1);
    w.put(1, 0, 2);
    assert!(w.run_for(secs(20), |w| w.logged_out == 1));
    assert_eq!((left(&w), w.cloud.counters().dropped_at_stop), (2, 0));
}

#[test]
fn a_reload_while_readings_are_on_their_way_to_the_store_keeps_their_names() {
    let mut w = with_store(2);
    w.store_delay = secs(4);
    w.store_fails = true;
    w.down();
    read(&mut w, 2, 36);
    assert!(w.cloud.backlog() > 0);
    // Another point comes before the one that was read.
    let mut other = (*w.spec).clone();
    for device in &mut other.devices {
        let mut profile = (*device.profile).clone();
        let mut first = profile.points[0].clone();
        first.id = "New".into();
        profile.points.insert(0, first);
        device.profile = Arc::new(profile);
    }
    let (other, changes) = other.continuing(&w.spec);
    w.spec = Arc::new(other);
    w.cloud.respec(w.now, Arc::clone(&w.spec), &changes);
    w.drain();
    w.run(secs(5));
    w.up();
    w.want(0..2, Presence::Online);
    assert!(w.run_for(secs(60), |w| w.cloud.backlog() == 0));
    assert_eq!(w.platform.accepted.len(), 72);
    assert!(w.platform.accepted.iter().all(|(_, id, _)| id == "P0"));
}

#[test]
fn without_a_store_nothing_is_handed_over() {
    let mut w = online(2);
    w.down();
    read(&mut w, 2, 100);
    assert_eq!(w.cloud.counters().stored, 0);
    w.up();
    w.run(secs(10));
    assert_eq!(w.platform.accepted.len(), 200);
}

/// A gateway that stores each value before it is sent.
fn durable(n: u32) -> World {
    let mut careful = spec(n, 1);
    careful.cloud.store.durable = Durability::Always;
    let mut w = online_with(careful);
    w.open_store(Vec::new());
    w
}

#[test]
fn where_histories_are_refused_stored_values_are_posted_from_devices_that_are_online() {
    let mut w = with_store(4);
    w.platform.no_history = Some(460);
    w.down();
    let all = read(&mut w, 4, 300);
    w.up();
    w.want(3..4, Presence::Offline);
    assert!(w.run_for(secs(600), |w| w.platform.accepted.len() == all * 3 / 4));
    w.run(secs(30));
    assert_eq!(
        (left(&w) + w.cloud.backlog(), accepted(&w, 3).len()),
        (300, 0)
    );
    w.want(3..4, Presence::Online);
    assert!(w.run_for(secs(600), |w| left(w) == 0 && w.cloud.backlog() == 0));
    assert_eq!(w.platform.accepted.len(), all, "each once");
    let c = w.cloud.counters();
    assert_eq!(
        (c.readings, c.dropped_refused, c.dropped_unknown),
        (all as u64, 0, 0)
    );
}

#[test]
fn a_durable_value_is_stored_before_it_is_sent_and_leaves_the_store_when_it_is_accepted() {
    let mut w = durable(3);
    w.put(0, 0, 1);
    w.run(ms(1_900));
    assert_eq!(
        (w.store.as_ref().unwrap().len(), w.platform.accepted.len()),
        (0, 0)
    );
    w.run(secs(2));
    assert_eq!(w.store.as_ref().unwrap().len(), 1);
    assert_eq!(accepted(&w, 0).len(), 1);
    // A pack counts a little later.
    w.run(secs(30));
    assert_eq!(left(&w), 0);
    let c = w.cloud.counters();
    assert_eq!(
        (c.stored, c.delivered, c.replayed, c.history_messages),
        (1, 1, 0, 0)
    );
}

#[test]
fn a_durable_value_that_cannot_be_delivered_is_written_once_and_delivered_once() {
    let mut w = durable(3);
    w.down();
    let all = read(&mut w, 3, 120);
    w.run(secs(5));
    assert_eq!(
        w.store.as_ref().unwrap().len(),
        all,
        "each value is written once"
    );
    assert!(w.cloud.backlog() <= 3 * 40, "{}", w.cloud.backlog());
    w.up();
    w.want(0..3, Presence::Online);
    assert!(w.run_for(secs(120), |w| left(w) == 0 && w.cloud.backlog() == 0));
    assert_eq!(w.store.as_ref().unwrap().len(), all);
    assert_eq!(w.platform.accepted.len(), all, "each once");
    for d in 0..3 {
        assert!(accepted(&w, d).is_sorted());
    }
}

#[test]
fn durable_values_flow_past_a_disk_that_fails() {
    let mut w = durable(3);
    w.store_fails = true;
    let all = read(&mut w, 3, 60);
    w.run(secs(5));
    assert_eq!(w.platform.accepted.len(), all);
    assert_eq!(w.cloud.backlog(), 0);
}

#[test]
fn the_last_durable_values_of_a_device_are_delivered_before_its_log_out() {
    let mut w = durable(3);
    w.put(1, 0, 7);
    w.want(1..2, Presence::Offline);
    w.run(secs(3));
    assert_eq!(w.cloud.session(DeviceId(1)), Session::Out);
    assert_eq!(accepted(&w, 1).len(), 1);
}

#[test]
fn a_stop_writes_no_durable_value_twice() {
    let mut w = durable(2);
    w.down();
    let all = read(&mut w, 2, 20);
    w.put(0, 0, 99);
    w.stop();
    assert!(w.run_for(secs(10), |w| w.logged_out == 1));
    assert_eq!(w.store.as_ref().unwrap().len(), all + 1);
    assert_eq!(left(&w), all + 1);
    assert_eq!(w.cloud.counters().dropped_at_stop, 0);
}

#[test]
fn values_that_wait_for_the_time_are_stored_and_delivered_with_their_times() {
    let mut w = with_store(2);
    w.down();
    w.cloud.on_clock(w.now, false);
    let began = w.now.wall.as_millis() + TO_THE_PRESENT;
    let all = read(&mut w, 2, 100);
    assert_eq!(left(&w) + w.cloud.backlog(), all);
    assert!(left(&w) >= all / 2, "{}", left(&w));
    let undated = |r: &StoredReading| matches!(r.at, StoredTime::SinceBoot(_));
    assert!(w.store.as_ref().unwrap().iter().all(|(r, _)| undated(r)));
    synchronise(&mut w);
    w.up();
    w.want(0..2, Presence::Online);
    assert!(w.run_for(secs(60), |w| left(w) == 0 && w.cloud.backlog() == 0));
    for d in 0..2 {
        let values = accepted(&w, d);
        assert_eq!(values.len(), 100);
        for (at, second) in values {
            assert!(
                (at - began - second * 1000).abs() <= 1000,
                "{second} at {}",
                at - began
            );
        }
    }
}

#[test]
fn a_disk_that_refuses_values_without_a_time_gives_them_back() {
    let mut w = with_store(2);
    w.store_fails = true;
    w.down();
    w.cloud.on_clock(w.now, false);
    let all = read(&mut w, 2, 60);
    assert_eq!((left(&w), w.cloud.backlog()), (0, all));
    // Live values would go first.
    w.run(secs(10));
    synchronise(&mut w);
    w.up();
    w.want(0..2, Presence::Online);
    assert!(w.run_for(secs(60), |w| w.cloud.backlog() == 0));
    assert_eq!(w.platform.accepted.len(), all);
    for d in 0..2 {
        assert!(accepted(&w, d).is_sorted());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// A link and a store that come and go: in the end every value has arrived.
    #[test]
    fn every_value_arrives_whatever_the_link_and_the_store_do(
        seed: u64,
        acts in prop::collection::vec((0u32..6, 1u64..60), 1..40),
        loss in 0u32..200,
        delay in 0u64..8_000,
        is_durable: bool,
    ) {
        let mut spec = spec(4, 1);
        if is_durable {
            spec.cloud.store.durable = Durability::Always;
        }
        let mut w = World::seeded(spec, seed);
        w.up();
        w.want(0..4, Presence::Online);
        w.open_store(Vec::new());
        w.loss = loss;
        w.store_delay = ms(delay);
        let mut value = 0;
        for (act, seconds) in acts {
            match act {
                0 if w.link => w.down(),
                0 | 1 if !w.link => w.up(),
                2 => w.store_fails ^= true,
                _ => {}
            }
            for _ in 0..seconds {
                value += 1;
                w.put(value as u32 % 4, 0, value);
                w.run(secs(1));
            }
        }
        w.loss = 0;
        w.store_fails = false;
        if !w.link {
            w.up();
        }
        w.want(0..4, Presence::Online);
        prop_assert!(w.run_for(secs(3600), |w| left(w) == 0 && w.cloud.backlog() == 0));
        w.run(secs(60));
        let arrived: BTreeSet<i64> = (0..4).flat_map(|d| accepted(&w, d)).map(|(_, v)| v).collect();
        prop_assert_eq!(arrived.len() as i64, value);
    }
}

//! Events on their way to the platform: whatever happens, each arrives once, in order, with its
//! data and its time, and one that is refused stops nothing else.

use std::time::Duration;

use alink_gateway::base::{DeviceId, ThingEventOutcome};
use alink_gateway::lab::platform::{Code, Fault, RequestKind};
use alink_gateway::spec::Durability;

use super::world::{SECOND, World};

/// A gateway with a store, connected, whose devices are online.
fn online(devices: u32) -> World {
    let mut w = World::new(devices, true, |_| {});
    w.up();
    w.quiet(3);
    w
}

#[test]
fn an_event_arrives_at_once_exactly_once_with_its_data_and_its_time() {
    let mut w = online(2);
    w.raise(0, 5);
    w.run(SECOND / 2);
    w.has_all();
    w.raise(1, 6);
    // The same value again is no other event.
    w.read(1, 6, 0);
    w.raise(1, 7);
    w.quiet(60);
    w.has_all();
    assert!(w.arrived().iter().all(|(_, history)| !history));
    let counters = w.hub.snapshot(w.now);
    assert_eq!(counters.dropped.values().sum::<u64>(), 0);
    let raised = w.told("thing-event-raised");
    assert_eq!(
        raised[0],
        "event alarm raised: P0 changes to not 0; {\"n\":5}"
    );
    assert_eq!(raised.len(), 3);
}

#[test]
fn what_is_raised_while_the_connection_is_cut_arrives_from_the_store_in_order() {
    let mut w = online(3);
    w.down();
    for n in 1..=20 {
        w.raise(n as u32 % 3, n);
        w.run(SECOND * 10);
    }
    assert!(w.arrived().is_empty());
    w.up();
    w.quiet(60);
    w.has_all();
    assert!(w.arrived()[0].1, "the oldest came as history");
    assert_eq!(w.hub.snapshot(w.now).dropped.values().sum::<u64>(), 0);
}

#[test]
fn where_histories_are_refused_stored_events_go_as_event_posts() {
    let mut w = online(3);
    w.refuses_history = Some(460);
    w.down();
    for n in 1..=30 {
        w.raise(n as u32 % 3, n);
        w.run(SECOND * 10);
    }
    w.up();
    w.quiet(300);
    w.has_each_once();
    assert!(w.arrived().iter().all(|(_, history)| !history));
    assert!(w.told("thing-event-refused").is_empty());
    assert_eq!(w.stored(), 0);
}

#[test]
fn an_event_from_before_the_time_was_known_arrives_with_its_right_time() {
    for outage in [1, 120] {
        let mut w = World::with_clock(2, true, false, |_| {});
        w.raise(0, 1);
        w.run(SECOND * outage);
        w.up();
        w.quiet(90);
        w.has_all();
        // A process that begins with the time known reads the rest of the store.
        w.raise(1, 2);
        w.quiet(30);
        w.has_all();
    }
}

#[test]
fn without_a_store_events_wait_in_memory() {
    let mut w = World::new(2, false, |_| {});
    w.up();
    w.quiet(3);
    w.down();
    for n in 1..=20 {
        w.raise(n as u32 % 2, n);
        w.run(SECOND * 10);
    }
    w.up();
    w.quiet(30);
    w.has_all();
    assert!(w.arrived().iter().all(|(_, history)| !history));
}

#[test]
fn what_is_raised_while_its_device_is_offline_arrives_all_the_same() {
    let mut w = World::new(2, true, |_| {});
    // The platform does not let the device log in.
    w.fault(Fault::Refuse {
        device: World::sub(0),
        code: Some(Code(522)),
    });
    w.up();
    w.quiet(3);
    w.raise(0, 1);
    w.raise(1, 2);
    w.run(SECOND);
    assert_eq!(w.arrived().len(), 1, "of the device that is online");
    w.fault(Fault::Refuse {
        device: World::sub(0),
        code: None,
    });
    // After half a minute it is in the store, and goes without a session.
    w.quiet(300);
    w.has_all();
    assert_eq!(w.arrived()[1].0.0, 0);
}

#[test]
fn what_is_raised_just_before_a_stop_and_a_restart_arrives_from_the_store() {
    for has_link in [true, false] {
        let mut w = online(2);
        if !has_link {
            w.down();
        }
        // The platform hears nothing more.
        w.fault(Fault::LoseRequests { permille: 1000 });
        w.raise(0, 1);
        w.raise(1, 2);
        w.restart();
        w.fault(Fault::LoseRequests { permille: 0 });
        w.up();
        w.quiet(20);
        w.has_all();
        assert!(w.arrived().iter().all(|(_, history)| *history));
    }
}

#[test]
fn lost_requests_and_replies_lose_no_event() {
    let mut w = online(4);
    w.fault(Fault::LoseRequests { permille: 300 });
    w.fault(Fault::LoseReplies { permille: 300 });
    for n in 1..=40 {
        w.raise(n as u32 % 4, n);
        w.run(SECOND);
    }
    w.fault(Fault::LoseRequests { permille: 0 });
    w.fault(Fault::LoseReplies { permille: 0 });
    w.quiet(200);
    // A repeat is possible, a loss is not.
    let mut arrived: Vec<_> = w.arrived().into_iter().map(|(told, _)| told).collect();
    arrived.sort_by_key(|(_, n, _)| *n);
    arrived.dedup();
    assert_eq!(arrived, w.raised);
}

#[test]
fn an_event_that_is_refused_is_dropped_once_and_told_and_others_go_on() {
    for is_stored in [false, true] {
        let mut w = online(2);
        if is_stored {
            w.down();
        }
        w.platform.without_event("alarm", true);
        w.raise(0, 1);
        w.raised.clear();
        // Something must be accepted before a history is believed to work.
        w.quiet(if is_stored { 60 } else { 5 });
        if is_stored {
            w.up();
            w.quiet(60);
        }
        w.platform.without_event("alarm", false);
        w.raise(0, 2);
        w.raise(1, 3);
        w.quiet(60);
        w.has_all();
        let refused = w.told("thing-event-refused");
        assert_eq!(refused.len(), 1, "{is_stored}: {refused:?}");
        assert!(
            refused[0].contains("event alarm refused by the platform and dropped (1), code 6300"),
            "{refused:?}"
        );
        assert!(refused[0].contains("thing model"), "{refused:?}");
        let before: u64 = w.hub.snapshot(w.now).dropped.values().sum();
        assert_eq!(before, 0, "no value was dropped");
    }
}

#[test]
fn too_many_messages_a_failing_platform_and_a_lost_session_only_delay() {
    for fault in [
        Fault::Answer {
            what: RequestKind::Post,
            code: Code::THROTTLED,
            during: SECOND * 5,
        },
        Fault::Answer {
            what: RequestKind::Post,
            code: Code(500),
            during: SECOND * 5,
        },
        Fault::LoseSession(Some(World::sub(0))),
    ] {
        let mut w = online(2);
        w.fault(fault.clone());
        w.raise(0, 1);
        w.raise(1, 2);
        w.quiet(150);
        let mut arrived: Vec<_> = w.arrived().into_iter().map(|(told, _)| told).collect();
        arrived.sort_by_key(|(_, n, _)| *n);
        assert_eq!(arrived, w.raised, "{fault:?}");
        assert!(w.told("thing-event-refused").is_empty());
    }
}

#[test]
fn with_durable_always_an_event_is_in_the_store_before_it_is_sent_and_settled_there() {
    let mut w = World::new(2, true, |spec| {
        spec.cloud.store.durable = Durability::Always;
    });
    w.up();
    w.quiet(3);
    w.raise(0, 1);
    w.raise(1, 2);
    w.quiet(5);
    w.has_all();
    assert!(w.arrived().iter().all(|(_, history)| !history));
    // The power fails, and nothing of what was delivered comes again.
    w.restart();
    w.up();
    w.quiet(10);
    w.has_all();
}

#[test]
fn a_bit_that_chatters_starves_no_values_and_is_bounded() {
    let mut w = online(30);
    let before = w.values();
    for n in 1..=600u64 {
        // Thirty devices raise an event every tenth of a second: ten times the pace.
        for device in 0..30 {
            w.raise(device, n);
        }
        w.run(SECOND / 10);
        assert!(w.hub.waiting_events() <= 1_000);
    }
    let values = w.values() - before;
    // 30 devices, two points, 600 readings: nothing of it waits for the events.
    assert!(values >= 30 * 2 * 590, "{values} values");
    w.quiet(300);
    // None was lost: what memory did not hold went through the store. As with values, live
    // ones may overtake the backlog.
    w.has_each_once();
    assert_eq!(w.hub.waiting_events(), 0);
    let entries = w.told("thing-event-raised").len();
    assert!(entries < 40, "{entries} entries of 18,000 events");
}

#[test]
fn without_a_store_a_flood_drops_the_oldest_and_says_so() {
    let mut w = World::new(1, false, |_| {});
    w.up();
    w.quiet(3);
    w.down();
    for n in 1..=1_500 {
        w.raise(0, n);
        w.run(SECOND / 10);
    }
    w.up();
    w.quiet(300);
    let newest = w.raised.split_off(500);
    w.raised = newest;
    w.has_all();
    let told = w.told("thing-events-dropped");
    assert!(told[0].contains("1 of the oldest dropped"), "{told:?}");
}

#[test]
fn a_person_sees_what_became_of_the_last_event_of_each_rule() {
    let mut w = online(1);
    let outcome = |w: &World| {
        let mut rules = w.hub.thing_events(DeviceId(0));
        let rule = rules.next().unwrap();
        (rule.raised, rule.latest.map(|latest| latest.outcome))
    };
    assert_eq!(outcome(&w), (0, None));
    w.raise(0, 1);
    w.run(SECOND);
    assert_eq!(outcome(&w), (1, Some(ThingEventOutcome::Delivered)));
    w.down();
    w.raise(0, 2);
    assert_eq!(outcome(&w), (2, Some(ThingEventOutcome::Waiting)));
    w.run(Duration::from_secs(60));
    assert_eq!(outcome(&w), (2, Some(ThingEventOutcome::Stored)));
    w.up();
    w.quiet(20);
    assert_eq!(outcome(&w), (2, Some(ThingEventOutcome::Delivered)));
    w.platform.without_event("alarm", true);
    w.raise(0, 3);
    w.quiet(5);
    assert_eq!(outcome(&w), (3, Some(ThingEventOutcome::Refused)));
}

//! Property posts: packs, values that wait, refusals, the full queue.

use super::*;

#[test]
fn readings_of_several_devices_travel_in_packs_each_with_its_time() {
    let mut w = online(25);
    let at = w.now.wall.as_millis();
    for d in 0..25 {
        w.put(d, 0, i64::from(d));
        w.put(d, 1, 7);
    }
    w.run(secs(1));
    assert_eq!(w.spoken(), ["pack×20", "pack×5"]);
    assert_eq!(w.platform.accepted.len(), 50);
    let first = (0, "P0".to_owned(), json!({"value": 0, "time": at}));
    assert_eq!(w.platform.accepted[0], first);
    assert_eq!(w.cloud.counters().delivered, 50);
    assert_eq!(w.cloud.backlog(), 0);
}

#[test]
fn readings_of_one_device_use_its_own_topic() {
    let mut w = online(2);
    w.put(1, 0, 5);
    w.run(ms(499));
    assert_eq!(w.sent.len(), 0);
    w.run(secs(1));
    assert_eq!(w.sent[0].topic, post_topic(1));
    assert_eq!(w.sent[0].json["method"], "thing.event.property.post");
    assert_eq!(w.cloud.backlog(), 0);
}

#[test]
fn one_message_has_one_value_per_property_the_older_first() {
    let mut w = online(1);
    for v in 0..3 {
        w.put(0, 0, v);
        w.run(ms(10));
    }
    w.run(secs(2));
    assert_eq!(w.spoken(), vec!["post×1"; 3]);
    let values: Vec<_> = w
        .platform
        .accepted
        .iter()
        .map(|a| a.2["value"].clone())
        .collect();
    assert_eq!(values, [0, 1, 2]);
}

#[test]
fn a_pack_never_exceeds_its_properties_or_bytes() {
    let mut small = spec(30, 30);
    small.cloud.post.message_bytes = 4000;
    let mut w = online_with(small);
    for d in 0..30 {
        for p in 0..30 {
            w.put(d, p, i64::MAX);
        }
    }
    w.run(secs(30)); // World::check measures each
    assert_eq!(w.platform.accepted.len(), 900);
}

#[test]
fn readings_wait_for_the_log_in_and_for_the_link() {
    let mut w = World::new(spec(2, 1));
    w.put(0, 0, 1);
    w.up();
    w.run(secs(5));
    assert_eq!(w.spoken(), Vec::<String>::new());
    w.want([0], Presence::Online);
    w.run(secs(2));
    assert_eq!(w.spoken(), ["login×1", "post×1"]);
    w.down();
    w.put(0, 0, 2);
    w.run(secs(60));
    w.up();
    w.run(secs(2));
    assert_eq!(w.spoken(), ["login×1", "post×1"]);
    assert_eq!(w.platform.accepted.len(), 2);
}

#[test]
fn readings_wait_for_the_time_and_leave_with_the_one_they_were_read_at() {
    const NTP: &str = "/ext/ntp/gwPk/gw-1/request";
    let mut w = online(1);
    w.cloud.on_clock(w.now, false);
    let reading = Reading {
        device: DeviceId(0),
        point: 0,
        value: Value::Int(7),
        at: w.now,
    };
    w.cloud.put(w.now, reading);
    let read = w.now.mono;
    // Two requests are lost before one is answered; meanwhile the value waits.
    let (mut asked, mut posts) = (0, 0);
    let end = w.now.mono + secs(30);
    while w.now.mono < end {
        let at = w.cloud.wake_at().map_or(end, |wake| wake.at.min(end));
        w.advance_to(at);
        while let Some(output) = w.cloud.poll(w.now) {
            match output {
                Output::Publish { topic, payload } if topic == NTP => {
                    asked += 1;
                    assert_eq!(posts, 0, "posted before the time was known");
                    let sent: Json = serde_json::from_slice(&payload).unwrap();
                    let server = "1800000000000";
                    let answer = json!({"deviceSendTime": sent["deviceSendTime"],
                        "serverRecvTime": server, "serverSendTime": server});
                    if asked == 3 {
                        let topic = NTP.replace("request", "response");
                        w.cloud
                            .on_message(w.now, &topic, answer.to_string().as_bytes());
                        let since = w.now.mono.since(read).as_millis() as i64;
                        w.posted = (1_800_000_000_000 - since) as u64;
                    }
                }
                Output::Publish { payload, .. } => {
                    posts += 1;
                    let post: Json = serde_json::from_slice(&payload).unwrap();
                    assert_eq!(post["params"]["P0"]["time"], w.posted);
                }
                _ => {}
            }
        }
    }
    assert_eq!((asked, w.cloud.counters().unstamped), (3, 1));
    assert!(posts > 0);
}

#[test]
fn a_link_lost_under_a_post_sends_it_again() {
    let mut w = online(3);
    for d in 0..3 {
        w.put(d, 0, 1);
    }
    w.run(ms(505));
    assert_eq!(w.spoken(), ["pack×3"]);
    w.platform.accepted.clear();
    w.down();
    assert_eq!(w.cloud.backlog(), 3);
    w.up();
    w.run(secs(3));
    assert_eq!(w.platform.accepted.len(), 3);
    assert_eq!(w.cloud.backlog(), 0);
}

#[test]
fn a_lost_reply_to_a_post_sends_it_again() {
    let mut w = online(2);
    w.loss = 1000;
    w.put(0, 0, 1);
    w.put(1, 0, 1);
    w.run(secs(5));
    w.loss = 0;
    w.run(secs(15));
    assert_eq!(w.spoken(), ["pack×2", "pack×2"]);
    assert_eq!(w.cloud.backlog(), 0);
    assert_eq!(w.cloud.counters().resent, 2);
}

#[test]
fn one_device_cannot_hold_back_the_others_of_its_pack() {
    for naming in [Naming::Culprits, Naming::NoDevice, Naming::All] {
        let mut w = online(20);
        w.platform.naming = naming;
        w.platform.bad_post.insert(4, 6207);
        for d in 0..20 {
            w.put(d, 0, 1);
        }
        w.run(secs(5));
        assert_eq!(w.platform.accepted.len(), 19);
        assert_eq!(w.cloud.counters().dropped_refused, 1);
        assert_eq!(w.cloud.backlog(), 0);
        assert!(w.spoken().len() <= 10);
        assert!(w.notices.iter().any(|n| matches!(
            n,
            CloudLogEvent::PostRefused {
                device: DeviceId(4),
                code: Code(6207),
                ..
            }
        )));
    }
}

#[test]
fn a_post_for_a_lost_session_is_kept_and_follows_the_log_in() {
    let mut w = online(2);
    w.platform.moods = vec![520];
    w.put(0, 0, 1);
    w.run(secs(3));
    assert_eq!(w.spoken(), ["post×1", "login×1", "post×1"]);
    assert_eq!(w.platform.accepted.len(), 1);
}

#[test]
fn throttled_or_troubled_posts_come_later() {
    for (code, wait) in [(429, 95), (500, 5), (6313, 5)] {
        let mut w = online(2);
        w.platform.moods = vec![code];
        w.put(0, 0, 1);
        w.run(secs(wait));
        assert_eq!(w.spoken(), ["post×1", "post×1"]);
        assert_eq!(w.cloud.backlog(), 0, "{code}");
    }
}

#[test]
fn a_full_queue_drops_the_oldest_and_counts_them() {
    let mut small = spec(2, 1);
    small.cloud.post.queue = 10;
    let mut w = World::new(small);
    w.want(0..2, Presence::Online);
    for v in 0..25 {
        w.put(v % 2, 0, i64::from(v));
    }
    assert_eq!(w.cloud.counters().dropped_queue_full, 15);
    assert_eq!(w.cloud.backlog(), 10);
    let told = w
        .notices
        .iter()
        .filter(|n| matches!(n, CloudLogEvent::QueueFull { .. }));
    assert_eq!(told.count(), 1);
    w.up();
    w.run(secs(10));
    let mut values: Vec<_> = w
        .platform
        .accepted
        .iter()
        .map(|a| a.2["value"].as_i64())
        .collect();
    values.sort();
    assert_eq!(values, (15..25).map(Some).collect::<Vec<_>>());
}

#[test]
fn a_device_that_falls_silent_sends_its_last_readings_first() {
    let mut w = online(3);
    w.put(0, 0, 1);
    w.want([0], Presence::Offline);
    w.run(secs(1));
    assert_eq!(w.spoken(), ["post×1", "logout×1"]);
    // A log-out that cannot be sent in time waits for the return of the link.
    w.loss = 1000;
    w.put(1, 0, 1);
    w.run(secs(1));
    w.put(1, 0, 2);
    let asked = w.now.mono;
    w.want([1], Presence::Offline);
    assert!(w.run_for(secs(2), |w| w.session(1) == Session::LoggingOut));
    assert!(w.now.mono.since(asked) <= secs(1));
    w.loss = 0;
    w.run(secs(200));
    assert_eq!(w.cloud.backlog(), 2);
    w.want([1], Presence::Online);
    w.run(secs(5));
    assert_eq!(w.cloud.backlog(), 0);
}

#[test]
fn a_device_kicked_while_it_sends_its_last_readings_stays_out() {
    let mut w = online(2);
    w.platform.moods = vec![429];
    w.put(0, 0, 1);
    w.run(secs(1));
    w.put(0, 0, 2);
    w.want([0], Presence::Offline);
    w.kick(0, 520);
    w.spoken();
    w.run(secs(60));
    // The notice may be about an earlier session.
    assert_eq!(w.spoken(), ["logout×1"]);
    assert_eq!(w.session(0), Session::Out);
}

#[test]
fn what_is_not_configured_or_too_large_is_dropped_and_counted() {
    let mut small = spec(1, 1);
    small.cloud.post.message_bytes = 1000;
    let mut w = online_with(small);
    w.put(9, 0, 1);
    w.put(0, 9, 1);
    let reading = Reading {
        device: DeviceId(0),
        point: 0,
        value: Value::Text("x".repeat(1000)),
        at: w.now,
    };
    w.cloud.put(w.now, reading);
    w.run(secs(2));
    assert_eq!(w.spoken(), Vec::<String>::new());
    let counters = w.cloud.counters();
    assert_eq!(
        (counters.dropped_unknown, counters.dropped_too_large),
        (2, 1)
    );
}

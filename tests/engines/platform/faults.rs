//! Faults to order: lost, late and refused messages, lost sessions, a server that does not hold.

use super::*;

#[test]
fn lost_messages_are_lost_once_and_counted() {
    let mut lab = Lab::many(1, |_| ());
    let request = json!({"id": "1", "params": signed(0)}).to_string();
    let now = lab.now();
    lab.platform
        .fault(now, Fault::LoseRequests { permille: 1000 });
    assert_eq!(lab.publish(C, LOGIN, &request), []);
    assert_eq!(lab.platform.online(), 0);
    lab.platform.fault(now, Fault::Heal);
    lab.platform
        .fault(now, Fault::LoseReplies { permille: 1000 });
    assert_eq!(lab.publish(C, LOGIN, &request), []);
    assert_eq!(
        lab.platform.online(),
        1,
        "the request was heard all the same"
    );
    lab.platform.fault(now, Fault::Heal);
    assert_eq!(lab.publish(C, LOGIN, &request).len(), 1);
    let totals = lab.platform.ledger().totals();
    assert_eq!((totals.lost_requests, totals.lost_replies), (1, 1));
}

#[test]
fn delay_keeps_the_order_reordering_does_not_and_duplicates_come_twice() {
    let mut lab = Lab::many(1, |_| ());
    assert_eq!(lab.log_in(0..1), 200);
    let topic = "/sys/a1SubDemoPk/m-0000/thing/event/property/post";
    let arrivals = |lab: &mut Lab, first: u32| -> Vec<u32> {
        for n in first..first + 20 {
            let request = format!(r#"{{"id":"{n}","params":{{}}}}"#);
            assert_eq!(lab.publish(C, topic, &request), []);
            lab.wait(Duration::from_millis(100));
        }
        let mut ids = Vec::new();
        for _ in 0..400 {
            for (_, body) in messages(lab.drain()) {
                ids.push(body["id"].as_str().unwrap().parse().unwrap());
            }
            lab.wait(Duration::from_millis(50));
        }
        ids
    };
    let now = lab.now();
    let (least, most) = (Duration::from_secs(5), Duration::from_secs(9));
    lab.platform.fault(now, Fault::Delay { least, most });
    assert_eq!(arrivals(&mut lab, 100), (100..120).collect::<Vec<_>>());
    let now = lab.now();
    lab.platform.fault(
        now,
        Fault::Reorder {
            permille: 300,
            by: Duration::from_secs(5),
        },
    );
    let ids = arrivals(&mut lab, 200);
    assert_ne!(ids, (200..220).collect::<Vec<_>>());
    let mut sorted = ids;
    sorted.sort_unstable();
    assert_eq!(sorted, (200..220).collect::<Vec<_>>());
    let now = lab.now();
    lab.platform.fault(now, Fault::Heal);
    lab.platform.fault(now, Fault::Duplicate { permille: 1000 });
    assert_eq!(
        lab.publish(C, topic, r#"{"id":"300","params":{}}"#).len(),
        2
    );
}

#[test]
fn throttling_ends_by_itself_and_a_dead_path_ends_at_the_keepalive() {
    let mut lab = Lab::many(1, |_| ());
    let now = lab.now();
    lab.platform.fault(
        now,
        Fault::Throttle {
            during: Duration::from_secs(60),
        },
    );
    assert_eq!(lab.log_in(0..1), 429);
    lab.wait(Duration::from_secs(60));
    assert_eq!(lab.log_in(0..1), 200);
    let now = lab.now();
    lab.platform.fault(now, Fault::IgnorePings(true));
    lab.platform.on_ping(now, C);
    assert_eq!(lab.drain(), []);
    // An answer on its way when the path dies never arrives.
    let (least, most) = (Duration::from_secs(1), Duration::from_secs(1));
    lab.platform.fault(now, Fault::Delay { least, most });
    let logout = json!({"id": "77", "params": meter_pair(0)}).to_string();
    assert_eq!(lab.publish(C, LOGOUT, &logout), []);
    lab.platform.fault(now, Fault::Deaf(true));
    assert_eq!(lab.publish(C, POST1, "{}"), []);
    lab.wait(Duration::from_secs(121));
    assert!(matches!(lab.drain()[..], [Output::Close { conn: C, .. }]));
    assert_eq!(lab.platform.online(), 0);
}

#[test]
fn the_same_seed_is_the_same_bad_day() {
    let day = |seed: u64| {
        let mut lab = Lab::new(Lab::two());
        lab.platform = Platform::new(Lab::two(), Rng::new(seed), at(0));
        let mut lab = lab.connected();
        let now = lab.now();
        let (least, most) = (Duration::ZERO, Duration::from_secs(2));
        for fault in [
            Fault::LoseRequests { permille: 200 },
            Fault::LoseReplies { permille: 200 },
            Fault::Duplicate { permille: 200 },
            Fault::Delay { least, most },
            Fault::Reorder {
                permille: 200,
                by: most,
            },
        ] {
            lab.platform.fault(now, fault);
        }
        let mut told = Vec::new();
        for n in 0..200 {
            lab.wait(Duration::from_millis(100));
            let topic = if n % 2 == 0 { LOGIN } else { LOGOUT };
            let request = json!({"id": n.to_string(), "params": v4("", json!(0))});
            told.extend(lab.publish(C, topic, &request.to_string()));
        }
        (told, lab.platform.ledger().clone())
    };
    let (one, two, other) = (day(7), day(7), day(8));
    assert_eq!(one, two);
    assert_ne!(one.0, other.0);
}

#[test]
fn each_kind_of_request_is_refused_by_itself_for_a_count_or_a_span() {
    type Request = fn(&mut Lab) -> u64;
    let requests: [(RequestKind, Request); 5] = [
        (RequestKind::Login, |lab| lab.log_in(0..1)),
        (RequestKind::Post, |lab| lab.code(PACK, pack_of(&[0], 1))),
        (RequestKind::Topology, |lab| {
            lab.code("/sys/a1GwDemoPk0/gw-0001/thing/topo/get", json!({}))
        }),
        (RequestKind::Registration, |lab| {
            let topic = "/sys/a1GwDemoPk0/gw-0001/thing/sub/register";
            lab.code(topic, json!([meter_pair(0)]))
        }),
        (RequestKind::Logout, |lab| lab.code(LOGOUT, meter_pair(0))),
    ];
    for (what, _) in requests {
        let mut lab = Lab::many(1, |_| ());
        assert_eq!(lab.log_in(0..1), 200);
        let (code, times) = (Code(429), 2);
        lab.fault(Fault::AnswerNext { what, code, times });
        for round in 0..3 {
            for (kind, request) in &requests {
                let refused = *kind == what && round < 2;
                if *kind == RequestKind::Logout && !refused {
                    continue;
                }
                let code = request(&mut lab);
                assert_eq!(code, if refused { 429 } else { 200 }, "{what:?}, {kind:?}");
            }
        }
        let during = Duration::from_secs(70);
        let code = Code(500);
        lab.fault(Fault::Answer { what, code, during });
        lab.wait(Duration::from_secs(69));
        for (kind, request) in &requests {
            let wanted = if *kind == what { 500 } else { 200 };
            assert_eq!(request(&mut lab), wanted, "{what:?}, {kind:?}");
        }
        lab.wait(Duration::from_secs(1));
        lab.log_in(0..1);
        for (kind, request) in &requests {
            assert_eq!(request(&mut lab), 200, "{what:?} is over, {kind:?}");
        }
    }
}

#[test]
fn posts_above_a_rate_are_refused_and_refused_ones_do_not_count() {
    let mut lab = Lab::many(1, |_| ());
    assert_eq!(lab.log_in(0..1), 200);
    lab.fault(Fault::PostsPerSecond(Some(3)));
    let mut taken = 0;
    for n in 0..40 {
        taken += u64::from(lab.code(PACK, pack_of(&[0], n)) == 200);
        lab.wait(Duration::from_millis(50));
    }
    assert_eq!(taken, 6, "three in each of two seconds");
    let posted = lab.platform.ledger().posted();
    let refused = posted.filter(|p| p.code == Code::THROTTLED && p.accepted == 0);
    assert_eq!(refused.count(), 34);
    assert_eq!(lab.platform.accepted().total(), 6);
    lab.fault(Fault::PostsPerSecond(None));
    assert_eq!(lab.code(PACK, pack_of(&[0], 90)), 200);
    assert_eq!(lab.code(PACK, pack_of(&[0], 91)), 200);
}

#[test]
fn a_cap_below_the_published_limit_is_changed_and_lifted_while_the_platform_runs() {
    let mut lab = Lab::many(8, |_| ());
    lab.fault(Fault::Cap(Some(5)));
    assert_eq!(lab.log_in(0..4), 200);
    assert_eq!(lab.log_in(4..6), 428, "two more, and one place");
    assert_eq!(lab.platform.online(), 4);
    assert_eq!(lab.log_in(4..5), 200);
    assert_eq!(lab.log_in(4..5), 200, "it takes no second place");
    lab.fault(Fault::Cap(Some(3)));
    assert_eq!(lab.platform.online(), 5, "no device is thrown out");
    assert_eq!(lab.code(LOGOUT, meter_pair(0)), 200);
    assert_eq!(lab.log_in(5..6), 428);
    assert_eq!(
        lab.times(Violation::TooManyOnline),
        0,
        "a gateway cannot know of a cap that is not published"
    );
    lab.fault(Fault::Cap(None));
    assert_eq!(lab.log_in(5..8), 200);
    lab.fault(Fault::Cap(Some(1)));
    lab.fault(Fault::Heal);
    assert_eq!(lab.log_in(0..1), 200);
}

#[test]
fn a_session_lost_silently_is_told_of_as_ordered_and_breaks_no_rule() {
    let me = || "m-0000".to_owned();
    let reply = || "reply".to_owned();
    let lost = || {
        let mut lab = Lab::many(2, |_| ());
        assert_eq!(lab.log_in(0..2), 200);
        lab.fault(Fault::LoseSession(Some(meter(0).device())));
        assert_eq!(lab.drain(), [], "no notice");
        assert_eq!(lab.platform.online(), 1);
        lab
    };
    for (how, told, accepted, dropped) in [
        (PackOutOfSession::Taken, vec![(200, reply())], 2, 0),
        (PackOutOfSession::Refused, vec![(520, reply())], 0, 0),
        (
            PackOutOfSession::DroppedAndTold,
            vec![(520, me()), (200, reply())],
            1,
            1,
        ),
        (
            PackOutOfSession::DroppedToldAfter,
            vec![(200, reply()), (520, me())],
            1,
            1,
        ),
    ] {
        let mut lab = lost();
        lab.platform.switch(|s| s.pack_out_of_session = how);
        assert_eq!(lab.told(PACK, pack_of(&[0, 1], 5)), told, "{how:?}");
        let values = lab.platform.accepted();
        assert_eq!((values.total(), values.dropped()), (accepted, dropped));
        let has = values.has(&meter(0).device(), "P", Wall::from_millis(5));
        assert_eq!(has, how == PackOutOfSession::Taken);
        let posted = lab.platform.ledger().posted().next().unwrap();
        assert_eq!((posted.accepted, posted.dropped), (accepted, dropped));
    }
    for (how, told) in [
        (PostOutOfSession::Told, vec![(520, me())]),
        (PostOutOfSession::Refused, vec![(520, reply())]),
        (PostOutOfSession::Unanswered, vec![]),
    ] {
        let mut lab = lost();
        lab.platform.switch(|s| s.post_out_of_session = how);
        assert_eq!(lab.told(&own_topic(0), json!({ "P": 1 })), told, "{how:?}");
        assert_eq!(lab.platform.accepted().total(), 0);
        assert_eq!(lab.times(Violation::BeforeLogin), 0);
        // A device that logged out knows that it has no session.
        assert_eq!(lab.log_in(0..1), 200);
        assert_eq!(lab.told(&own_topic(0), json!({ "P": 1 }))[0].0, 200);
        assert_eq!(lab.code(LOGOUT, meter_pair(0)), 200);
        lab.told(&own_topic(0), json!({ "P": 1 }));
        assert_eq!(lab.times(Violation::BeforeLogin), 1);
    }
    let mut lab = lost();
    lab.fault(Fault::LoseSession(None));
    assert_eq!(lab.platform.online(), 0);
    assert_eq!(lab.code(LOGOUT, meter_pair(1)), 520);
    let lost = |e: &&(Mono, Event)| matches!(e.1, Event::Lost(_));
    assert_eq!(lab.platform.ledger().events().filter(lost).count(), 2);
}

#[test]
fn one_device_is_not_answered_on_its_own_topic_while_others_are() {
    let mut lab = Lab::many(2, |_| ());
    assert_eq!(lab.log_in(0..2), 200);
    let device = meter(0).device();
    let on = true;
    lab.fault(Fault::Unanswered { device, on });
    assert_eq!(lab.told(&own_topic(0), json!({ "P": 1 })), []);
    assert_eq!(lab.told(&own_topic(1), json!({ "P": 1 })).len(), 1);
    assert_eq!(lab.told(PACK, pack_of(&[0], 1)).len(), 1);
    assert_eq!(lab.platform.accepted().total(), 3);
    let answered = lab.platform.ledger().posted().map(|p| p.answered);
    assert_eq!(answered.collect::<Vec<_>>(), [false, true, true]);
}

#[test]
fn a_server_that_does_not_hold_ends_each_connection_and_a_rival_takes_it() {
    let second = Duration::from_secs(1);
    for (fault, why, connects) in [
        (
            Fault::Flap {
                least: second * 2,
                most: second * 14,
            },
            "the server did not hold",
            4,
        ),
        (
            Fault::Rival {
                least: second * 2,
                most: second * 14,
            },
            "kicked by the same device",
            // Two gateways with one certificate have five a minute together.
            8,
        ),
    ] {
        let mut lab = Lab::many(1, |s| {
            s.limits.connects_per_minute = 8;
            // No other wake-up is due meanwhile.
            s.limits.keepalive_tick = second * 3600;
        });
        lab.fault(fault);
        for n in 2..6 {
            let from = lab.now().mono;
            let closes = lab.platform.wake_at().unwrap().at;
            assert!(closes.since(from) >= second * 2 && closes.since(from) <= second * 14);
            lab.wait(closes.since(from));
            let out = lab.drain();
            assert!(matches!(out[..], [Output::Close { why: w, .. }] if w == why));
            if n < 5 {
                assert_eq!(lab.connect(Conn(n), &good_connect()), [ack(Conn(n), 0)]);
            }
        }
        assert_eq!(lab.platform.ledger().totals().connects, connects);
        assert_eq!(lab.times(Violation::ConnectQuota), 0);
    }
    let mut lab = Lab::many(1, |_| ());
    let most = second * 2;
    lab.fault(Fault::Flap { least: most, most });
    lab.fault(Fault::Heal);
    lab.wait(second * 60);
    assert_eq!(lab.drain(), []);
    // A rival has the same quota as the gateway for which the platform takes it.
    let mut lab = Lab::many(1, |s| s.limits.connects_per_minute = 1);
    lab.fault(Fault::Rival { least: most, most });
    lab.wait(second * 59);
    assert_eq!(lab.drain(), []);
    lab.wait(second * 11);
    assert!(matches!(lab.drain()[..], [Output::Close { .. }]));
}

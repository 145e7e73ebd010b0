//! Property posts, packs, ids, and the clock.

use super::*;

#[test]
fn a_value_is_accepted_with_its_time_and_the_reply_is_compact_with_the_id_as_it_came() {
    let mut lab = Lab::new(Lab::two()).connected();
    assert_eq!(lab.code(LOGIN, v4("", json!(0))), 200);
    let ids = [
        (r#""7""#, r#""7""#),
        (r#""5|exp-topic|/sys/x""#, r#""5|exp-topic|/sys/x""#),
        ("17", "17"),
    ];
    for (id, echoed) in ids {
        let now = lab.now();
        let request = format!(
            r#"{{"id":{id},"params":{{"Temp":{{"value":21.5,"time":1700000000123}},"Mode":2}}}}"#
        );
        lab.platform
            .on_publish(now, C, POST1, request.as_bytes(), 0, None);
        let Some(Output::Publish { topic, payload, .. }) = lab.drain().pop() else {
            panic!("no reply");
        };
        assert_eq!(topic, format!("{POST1}_reply"));
        let expected = format!(r#"{{"id":{echoed},"code":200,"message":"success","data":{{}}}}"#);
        assert_eq!(String::from_utf8(payload).unwrap(), expected);
    }
    let values = lab.platform.accepted();
    assert_eq!(values.total(), 6);
    let latest = values.of(&device(SUB1)).unwrap();
    assert_eq!(latest["Temp"].value, json!(21.5));
    assert_eq!(
        latest["Temp"].time,
        Some(Wall::from_millis(1_700_000_000_123))
    );
    assert_eq!(
        (&latest["Mode"].value, latest["Mode"].time),
        (&json!(2), None)
    );
}

#[test]
fn a_post_that_wants_no_reply_gets_none() {
    let mut lab = Lab::new(Lab::two()).connected();
    lab.code(LOGIN, v4("", json!(0)));
    let request = r#"{"id":"9","sys":{"ack":0},"params":{"T":1}}"#;
    assert_eq!(lab.publish(C, POST1, request), []);
    assert_eq!(lab.platform.accepted().total(), 1);
}

#[test]
fn a_post_before_its_log_in_is_dropped_and_answered_520() {
    let mut lab = Lab::new(Lab::two()).connected();
    let told = lab.publish(C, POST1, r#"{"id":"1","params":{"T":1}}"#);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].0, "/ext/error/a1GwDemoPk0/gw-0001");
    assert_eq!(told[0].1["code"], 520);
    assert_eq!(told[0].1["data"]["deviceName"], "meter-001");
    assert_eq!(lab.platform.accepted().total(), 0);
    assert_eq!(lab.times(Violation::BeforeLogin), 1);
}

#[test]
fn a_pack_serves_many_devices_and_fails_as_one() {
    let part =
        |n: usize| json!({"identity": meter_pair(n), "properties": {"P": {"value": n, "time": 5}}});
    let pack =
        |range: std::ops::Range<usize>| json!({"subDevices": range.map(part).collect::<Vec<_>>()});
    let mut lab = Lab::many(25, |s| {
        s.topology
            .retain(|(_, d)| d.device_name.as_str() != "m-0021")
    });
    assert_eq!(lab.log_in(0..21), 200);
    assert_eq!(lab.code(PACK, pack(0..20)), 200);
    assert_eq!(lab.platform.accepted().total(), 20);
    assert_eq!(lab.code(PACK, pack(0..21)), 6357);
    assert_eq!(lab.code(PACK, pack(19..22)), 6401);
    let now = lab.now();
    lab.platform.fault(
        now,
        Fault::Refuse {
            device: Device::new("a1SubDemoPk", "m-0005"),
            code: Some(Code(6313)),
        },
    );
    assert_eq!(lab.code(PACK, pack(0..10)), 6313);
    assert_eq!(lab.platform.accepted().total(), 20);
    let wide: serde_json::Map<String, Json> =
        (0..201).map(|n| (format!("p{n}"), json!(n))).collect();
    assert_eq!(lab.code(PACK, json!({"properties": wide})), 6106);
    assert_eq!(lab.times(Violation::PackBeforeLogin), 0);
    assert_eq!(lab.code(PACK, pack(22..24)), 200, "topology is enough …");
    assert_eq!(
        lab.times(Violation::PackBeforeLogin),
        2,
        "… but it is noted"
    );
}

#[test]
fn a_history_is_accepted_for_those_below_and_leaves_the_current_value() {
    let topic = "/sys/a1GwDemoPk0/gw-0001/thing/event/property/history/post";
    let mut lab = Lab::many(1, |_| ());
    let params = json!([{"identity": meter_pair(0), "properties": [{"P": {"value": 1, "time": 1}}, {"P": {"value": 2, "time": 2}}]}]);
    assert_eq!(lab.code(topic, params), 200);
    assert_eq!(lab.platform.accepted().total(), 2);
    assert_eq!(
        lab.platform
            .accepted()
            .of(&Device::new("a1SubDemoPk", "m-0000")),
        None
    );
}

#[test]
fn the_thirty_first_message_of_a_second_vanishes_without_a_word() {
    let mut lab = Lab::many(1, |_| ());
    assert_eq!(lab.log_in(0..1), 200);
    let topic = "/sys/a1SubDemoPk/m-0000/thing/event/property/post";
    let mut replies = 0;
    for n in 0..40 {
        let request = format!(r#"{{"id":"{}","params":{{"P":{n}}}}}"#, 100 + n);
        replies += lab.publish(C, topic, &request).len();
    }
    assert_eq!(replies, 29, "the log-in was one of thirty");
    assert_eq!(lab.platform.ledger().peak_per_second(), 41);
    assert_eq!(lab.times(Violation::MessageQuota), 11);
    lab.wait(Duration::from_secs(1));
    assert_eq!(
        lab.publish(C, topic, r#"{"id":"999","params":{"P":1}}"#)
            .len(),
        1
    );
}

#[test]
fn ids_used_twice_or_not_a_number_are_noted() {
    let mut lab = Lab::new(Lab::two()).connected();
    lab.code(LOGIN, v4("", json!(0)));
    for id in ["5", "5", "abc", "4294967295", "4294967296"] {
        lab.publish(C, POST1, &format!(r#"{{"id":"{id}","params":{{}}}}"#));
    }
    assert_eq!(lab.times(Violation::IdReused), 1);
    assert_eq!(lab.times(Violation::IdMalformed), 2);
    let ids = lab.platform.ledger().ids(C, &device(SUB1)).unwrap();
    assert_eq!(ids.iter().copied().collect::<Vec<_>>(), [5, u32::MAX]);
}

#[test]
fn the_platforms_clock_answers_in_text() {
    let mut lab = Lab::new(Lab::two()).connected();
    lab.wait(Duration::from_secs(5));
    let told = lab.publish(
        C,
        "/ext/ntp/a1GwDemoPk0/gw-0001/request",
        r#"{"deviceSendTime":"123"}"#,
    );
    assert_eq!(
        told,
        [(
            "/ext/ntp/a1GwDemoPk0/gw-0001/response".to_owned(),
            json!({"deviceSendTime": "123", "serverRecvTime": "1700000005000", "serverSendTime": "1700000005000"})
        )]
    );
}

#[test]
fn a_value_that_comes_again_is_accepted_again_and_counted_once() {
    let mut lab = Lab::many(2, |_| ());
    assert_eq!(lab.log_in(0..2), 200);
    for time in [1, 2, 2, 1, 3] {
        assert_eq!(lab.code(PACK, pack_of(&[0, 1], time)), 200);
    }
    let values = lab.platform.accepted();
    assert_eq!(
        (values.total(), values.distinct(), values.repeats()),
        (10, 6, 4)
    );
    let repeats = lab.platform.ledger().posted().map(|p| p.repeats);
    assert_eq!(repeats.collect::<Vec<_>>(), [0, 0, 2, 2, 0]);
}

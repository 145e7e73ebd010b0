//! Log-ins and log-outs of sub-devices.

use super::*;

#[test]
fn every_published_log_in_signature_is_accepted() {
    let suffixed = "a1SubDemoPk.meter-001|_ss=1|";
    let python = "a1SubDemoPk.meter-001|lan=Python,_v=2.2.1,_ss=1|";
    for (client, timestamp, method, sign) in [
        (
            "a1SubDemoPk&meter-001",
            json!(TS),
            "hmacMd5",
            "aa38788bcbbffb99ec6b4172ffd2cc5c",
        ),
        (
            "a1SubDemoPk&meter-001",
            json!(TS),
            "hmacSha1",
            "533032b7f14fbbe24b745b798ed661fd183cd95d",
        ),
        ("a1SubDemoPk&meter-001", json!(TS), "hmacsha256", V4),
        (
            suffixed,
            json!(TS),
            "hmacmd5",
            "f106f09eb139b3467fe37d5b822f99d4",
        ),
        (
            suffixed,
            json!(TS),
            "hmacsha1",
            "d444546723fabb1397ef7103f18c92da90bc1842",
        ),
        (
            suffixed,
            json!(TS),
            "hmacSha256",
            "3e46b7b7be1017552b1cd3b49a83e6a7564df117ee7647c798c65801ef45b0e0",
        ),
        // Captured from the Node SDK, which sends the timestamp as a number.
        (
            "a1SubDemoPk&meter-001",
            json!(1_795_309_379_988_u64),
            "hmacsha1",
            "24920b3d48ebf6bd55869bf498952493483a1b6e",
        ),
        // Captured from the Python SDK.
        (
            python,
            json!("1795309486896"),
            "hmacsha256",
            "49db28ad4447945d0df75e884505fc3898cdffad94940c0eefca76945fa93419",
        ),
    ] {
        let mut lab = Lab::new(Lab::two()).connected();
        let mut params = v4("clientId", json!(client));
        params["timestamp"] = timestamp;
        params["signMethod"] = json!(method);
        params["sign"] = json!(sign);
        let reply = lab.ask(LOGIN, params);
        assert_eq!(reply["code"], 200, "{client} {method}");
        assert_eq!(
            reply["data"],
            json!({"productKey": "a1SubDemoPk", "deviceName": "meter-001"})
        );
        assert_eq!(lab.platform.online(), 1);
    }
}

#[test]
fn a_signature_over_clean_session_is_refused_with_6287() {
    // V4 with `cleanSession` signed as well, as the obsolete text of 2018 had
    // it; all three methods.
    for (method, sign) in [
        ("hmacMd5", "321c60a5b817e3dc79f21b1ce84d5776"),
        ("hmacSha1", "e88bb2e8bdfe1ccd3b2c16f69179fdb08450fd2b"),
        (
            "hmacSha256",
            "7983f6da03284bd630b89944ad39b78d07d9bbab13ec3ce0f64f4c9e968bb6eb",
        ),
    ] {
        let mut lab = Lab::new(Lab::two()).connected();
        let mut params = v4("sign", json!(sign));
        params["signMethod"] = json!(method);
        let reply = lab.ask(LOGIN, params);
        assert_eq!(
            (&reply["code"], &reply["message"]),
            (&json!(6287), &json!("invalid sign"))
        );
        assert_eq!(lab.platform.online(), 0);
    }
}

#[test]
fn sign_method_counts_beside_the_list_or_inside_the_element_which_wins() {
    let bare = |mut params: Json| {
        params.as_object_mut().unwrap().remove("signMethod");
        params
    };
    let good = [
        json!({"deviceList": [v4("", json!(0)), v5()]}),
        json!({"signMethod": "hmacSha256", "deviceList": [bare(v4("", json!(0))), bare(v5())]}),
        json!({"signMethod": "hmacMd5", "deviceList": [v4("", json!(0)), v5()]}),
    ];
    for params in good {
        let mut lab = Lab::new(Lab::two()).connected();
        let reply = lab.ask(BATCH_LOGIN, params);
        // The examples of the page carry text here, and only here.
        assert_eq!(reply["code"], "200");
        assert_eq!(reply["data"].as_array().unwrap().len(), 2);
        assert_eq!(lab.platform.online(), 2);
    }
    let mut lab = Lab::new(Lab::two()).connected();
    assert_eq!(
        lab.code(BATCH_LOGIN, json!({"deviceList": [bare(v5())]})),
        6287
    );
}

#[test]
fn a_batch_is_all_or_nothing_and_names_its_culprits_as_the_switch_says() {
    for (names, expected) in [
        (
            FailedBatchNames::Culprits,
            vec![meter_pair(3), meter_pair(7)],
        ),
        (FailedBatchNames::All, (0..10).map(meter_pair).collect()),
        (FailedBatchNames::NoDevice, vec![]),
    ] {
        let mut lab = Lab::many(10, |s| s.switches.failed_batch_names = names);
        let now = lab.now();
        lab.platform
            .disable(now, &Device::new("a1SubDemoPk", "m-0003"));
        lab.platform
            .delete(now, &Device::new("a1SubDemoPk", "m-0007"));
        lab.drain();
        let list: Vec<Json> = (0..10).map(signed).collect();
        let reply = lab.ask(BATCH_LOGIN, json!({"deviceList": list}));
        assert_eq!(code_of(&reply), 522, "the first in its own order decides");
        assert_eq!(reply["data"], Json::Array(expected));
        assert_eq!(lab.platform.online(), 0);
        let healthy = (0..10).filter(|n| *n != 3 && *n != 7);
        assert_eq!(lab.log_in(healthy), 200);
        assert_eq!(lab.platform.online(), 8);
    }
}

#[test]
fn fifty_fit_and_fifty_one_are_a_parameter_error() {
    let mut lab = Lab::many(101, |_| ());
    assert_eq!(lab.log_in(0..50), 200);
    assert_eq!(lab.log_in(50..101), 460);
    assert_eq!(lab.platform.online(), 50);
    assert_eq!(lab.times(Violation::BatchTooLarge), 1);
    assert_eq!(lab.platform.ledger().login_sizes(), [50]);
    let sizes: Vec<usize> = lab.platform.ledger().asked().map(|a| a.size()).collect();
    assert_eq!(sizes, [50, 51]);
    let list = [signed(60), signed(60)];
    assert_eq!(lab.code(BATCH_LOGIN, json!({"deviceList": list})), 460);
    assert_eq!(lab.times(Violation::DeviceTwice), 1);
}

#[test]
fn the_batch_form_on_the_single_topic_is_refused_unless_the_platform_is_lenient() {
    for (lenient, code) in [(false, 460), (true, 200)] {
        let mut lab = Lab::many(2, |s| s.switches.batch_on_single_topic = lenient);
        let list = [signed(0), signed(1)];
        assert_eq!(lab.code(LOGIN, json!({"deviceList": list})), code);
    }
}

#[test]
fn each_reason_to_refuse_a_log_in_has_its_code() {
    let stranger = json!({
        "productKey": "a1SubDemoPk", "deviceName": "nobody", "clientId": "x",
        "timestamp": TS, "signMethod": "hmacSha256", "sign": "00",
    });
    let mut lab = Lab::many(4, |s| {
        s.topology
            .retain(|(_, d)| d.device_name.as_str() != "m-0002")
    });
    let now = lab.now();
    lab.platform
        .disable(now, &Device::new("a1SubDemoPk", "m-0000"));
    lab.platform
        .delete(now, &Device::new("a1SubDemoPk", "m-0001"));
    lab.drain();
    assert_eq!(lab.code(LOGIN, stranger), 6100);
    assert_eq!(lab.code(LOGIN, signed(0)), 522);
    assert_eq!(lab.code(LOGIN, signed(1)), 521);
    assert_eq!(lab.code(LOGIN, signed(2)), 6401);
    assert_eq!(lab.code(LOGIN, json!({"productKey": "a1SubDemoPk"})), 460);
    assert_eq!(lab.code(LOGIN, signed(3)), 200);
    assert_eq!(
        lab.code(LOGIN, signed(3)),
        200,
        "again while online is fine"
    );
    let now = lab.now();
    assert!(
        lab.platform
            .enable(now, &Device::new("a1SubDemoPk", "m-0000"))
    );
    lab.drain();
    assert_eq!(lab.code(LOGIN, signed(0)), 200);
}

#[test]
fn more_than_five_log_ins_of_one_device_in_a_minute_are_429() {
    let mut lab = Lab::many(2, |_| ());
    for _ in 0..5 {
        assert_eq!(lab.code(LOGIN, signed(0)), 200);
        lab.wait(Duration::from_secs(2));
    }
    assert_eq!(lab.code(LOGIN, signed(0)), 429);
    assert_eq!(
        lab.code(LOGIN, signed(1)),
        200,
        "the other is not concerned"
    );
    lab.wait(Duration::from_secs(61));
    lab.drain();
    assert_eq!(lab.code(LOGIN, signed(0)), 200);
    assert_eq!(lab.times(Violation::LoginTooOften), 1);
}

#[test]
fn two_hundred_log_ins_a_second_and_two_thousand_in_all() {
    let mut lab = Lab::many(2001, |s| s.switches.message_quota = false);
    for batch in 0..4 {
        assert_eq!(lab.log_in(batch * 50..batch * 50 + 50), 200);
    }
    assert_eq!(lab.log_in(200..250), 429);
    for batch in 4..40 {
        lab.wait(Duration::from_millis(250));
        assert_eq!(lab.log_in(batch * 50..batch * 50 + 50), 200, "{batch}");
    }
    lab.wait(Duration::from_secs(1));
    assert_eq!(lab.platform.online(), 2000);
    assert_eq!(lab.log_in(2000..2001), 428);
    assert_eq!(lab.log_in(0..50), 200, "those online may log in again");
    assert_eq!(lab.code(LOGOUT, meter_pair(0)), 200);
    assert_eq!(lab.log_in(2000..2001), 200);
}

#[test]
fn log_out_ends_the_session_and_one_without_a_session_fails_the_batch() {
    let mut lab = Lab::many(4, |_| ());
    assert_eq!(lab.log_in(0..3), 200);
    assert_eq!(lab.code(LOGOUT, meter_pair(0)), 200);
    assert_eq!(lab.code(LOGOUT, meter_pair(0)), 520);
    let all: Vec<Json> = (0..4).map(meter_pair).collect();
    let reply = lab.ask(BATCH_LOGOUT, Json::Array(all));
    assert_eq!(code_of(&reply), 520);
    assert_eq!(reply["data"], json!([meter_pair(0), meter_pair(3)]));
    assert_eq!(lab.platform.online(), 2);
    assert_eq!(
        lab.code(BATCH_LOGOUT, json!([meter_pair(1), meter_pair(2)])),
        200
    );
    assert_eq!(lab.platform.online(), 0);
    assert_eq!(lab.platform.ledger().logout_sizes(), [1, 2]);
}

#[test]
fn when_the_connection_ends_every_session_ends_and_none_comes_back() {
    let mut lab = Lab::many(50, |_| ());
    assert_eq!(lab.log_in(0..50), 200);
    lab.platform.on_closed(lab.now(), C);
    assert_eq!(lab.platform.online(), 0);
    assert!(
        lab.connect(Conn(2), &good_connect())
            .contains(&ack(Conn(2), 0))
    );
    assert_eq!(lab.platform.online(), 0);
}

#[test]
fn a_session_moves_with_the_topology_and_the_old_gateway_is_told_427() {
    let other = ("a1GwDemoPk0", "gw-0002", "other");
    let mut spec = PlatformSpec::gateway_with(certificate(GW), vec![meter(0)]);
    spec.certificates.push(certificate(other));
    let mut lab = Lab::new(spec).connected();
    assert_eq!(lab.log_in(0..1), 200);
    let password = hmac_sha256("other", "clientIdg2deviceNamegw-0002productKeya1GwDemoPk0");
    let mut asked = connect("g2|securemode=2,signmethod=hmacsha256|", &password);
    asked.username = "gw-0002&a1GwDemoPk0".into();
    assert_eq!(lab.connect(Conn(2), &asked), [ack(Conn(2), 0)]);
    let now = lab.now();
    lab.platform
        .add_topology(now, &device(other), &Device::new("a1SubDemoPk", "m-0000"));
    lab.drain();
    let request = json!({"id": "1", "params": signed(0)}).to_string();
    let login = "/ext/session/a1GwDemoPk0/gw-0002/combine/login";
    lab.platform
        .on_publish(now, Conn(2), login, request.as_bytes(), 0, None);
    let told: Vec<(Conn, String)> = lab
        .drain()
        .into_iter()
        .filter_map(|o| match o {
            Output::Publish { conn, payload, .. } => {
                Some((conn, String::from_utf8(payload).unwrap()))
            }
            _ => None,
        })
        .collect();
    assert!(
        told[0].0 == C && told[0].1.contains("\"code\":427"),
        "{told:?}"
    );
    assert!(
        told[1].0 == Conn(2) && told[1].1.contains("\"code\":200"),
        "{told:?}"
    );
    assert_eq!(lab.platform.online(), 1);
}

#[test]
fn culprits_of_different_kinds_are_named_together_under_one_code() {
    let gateway = Device::new(GW.0, GW.1);
    let batch = |code: FailedBatchCode| {
        let mut lab = Lab::many(7, |s| s.switches.failed_batch_code = code);
        let now = lab.now();
        for act in [
            Act::Forget(meter(1).device()),
            Act::Disable(meter(2).device()),
            Act::Delete(meter(3).device()),
            Act::RemoveTopology(meter(4).device()),
            Act::ChangeSecret {
                device: meter(5).device(),
                secret: Secret::new("another"),
            },
        ] {
            assert!(lab.platform.act(now, act));
        }
        lab.drain();
        let list: Vec<Json> = (0..7).map(signed).collect();
        let reply = lab.ask(BATCH_LOGIN, json!({ "deviceList": list }));
        let named = reply["data"].as_array().unwrap();
        assert_eq!(*named, (1..6).map(meter_pair).collect::<Vec<_>>());
        let alone: Vec<u64> = (0..7).map(|n| lab.code(LOGIN, signed(n))).collect();
        assert_eq!(alone, [200, 6100, 522, 521, 6401, 6287, 200]);
        code_of(&reply)
    };
    assert_eq!(batch(FailedBatchCode::First), 6100);
    assert_eq!(batch(FailedBatchCode::Last), 6287);
    // A deleted device is created again, and a device with another secret gets its old
    // one: each logs in.
    let mut lab = Lab::many(2, |_| ());
    let now = lab.now();
    let create = || Act::CreateAgain {
        gateway: gateway.clone(),
        device: meter(0).device(),
    };
    assert!(!lab.platform.act(now, create()), "it was not deleted");
    assert!(lab.platform.act(now, Act::Delete(meter(0).device())));
    lab.drain();
    assert_eq!(lab.code(LOGIN, signed(0)), 521);
    assert!(lab.platform.act(now, create()));
    let told = messages(lab.drain());
    assert_eq!(told.len(), 1);
    assert!(told[0].0.ends_with("/thing/topo/change"));
    assert_eq!(told[0].1["params"]["status"], 0);
    assert_eq!(lab.code(LOGIN, signed(0)), 200);
}

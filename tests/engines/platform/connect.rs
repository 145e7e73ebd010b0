//! CONNECT: signatures, refusals, takeover, keepalive.

use super::*;
use crate::installation;

#[test]
fn a_platform_knows_an_installation_with_its_secrets_and_its_topology() {
    let profile = installation::profile("meter", vec![]);
    let sub = |(product, name, secret): (&str, &str, &str), unit| DeviceSpec {
        secret: Secret::new(secret),
        ..installation::device(name, unit, product, &profile)
    };
    let secret = GatewayCertificate::Device(certificate(GW).secret);
    let cloud = installation::cloud("127.0.0.1", GW.0, GW.1, secret);
    let spec = installation::spec(cloud, vec![], vec![sub(SUB1, 1), sub(SUB2, 2)]);
    assert_eq!(PlatformSpec::knowing(&spec), Lab::two());
}

#[test]
fn every_published_connect_signature_is_accepted_in_either_letter_case() {
    // A timestamp, the C SDK's constant one, and none.
    for (extension, md5, sha1, sha256) in [
        (
            ",timestamp=1700000000000",
            "c1cb5b8c8c661bfc46825ac1ad03bc83",
            "73d622dd81e25c16f1d261ce2f37fa2946f5e2bb",
            "c006b30d89fcc5bbcb00b717c7474751d25382fd3e18f370e7fa2e6ca792f080",
        ),
        (
            ",timestamp=2524608000000",
            "16357253d7761b6fdde90bfaa1601574",
            "aed83d4efc8accb9b8b073039dd3b213661ba451",
            "da65288d3715a1cfded152d56905d4285db5e1296c3dc56757f297cd475c93db",
        ),
        (
            "",
            "ba18b6848f5a69aad4fb40e578e14190",
            "43da19fe39e5ff4f63aaea165a8ffbb632b75dfe",
            "cda167d2db03195efea9c80c69f70e7e3a09b322694ea5cac4531b7b87140f5a",
        ),
    ] {
        for (method, password) in [("hmacmd5", md5), ("hmacsha1", sha1), ("hmacsha256", sha256)] {
            for password in [password.to_owned(), password.to_uppercase()] {
                let mut lab = Lab::new(Lab::two());
                let id =
                    format!("a1GwDemoPk0.gw-0001|securemode=2,signmethod={method}{extension},|");
                assert_eq!(
                    lab.connect(C, &connect(&id, &password)),
                    [ack(C, 0)],
                    "{id}"
                );
            }
        }
    }
}

#[test]
fn signatures_captured_from_official_sdks_are_accepted() {
    for (timestamp, password) in [
        ("1795309483", "09d4962195c5da1fc3433ee5a1033fb8ef5d3bfc"), // Python
        ("1795309379858", "61270d4b09b41fc8520feca1d5ab31bb5e285044"), // Node
    ] {
        let id =
            format!("a1GwDemoPk0&gw-0001|securemode=2,signmethod=hmacsha1,timestamp={timestamp}|");
        let mut lab = Lab::new(Lab::two());
        assert_eq!(lab.connect(C, &connect(&id, password)), [ack(C, 0)]);
    }
}

#[test]
fn a_connect_that_breaks_a_rule_is_refused_with_its_code_and_closed() {
    let good = good_connect();
    let with = |change: &dyn Fn(&mut Connect)| {
        let mut c = good.clone();
        change(&mut c);
        c
    };
    let long = format!("{}|securemode=2,signmethod=hmacsha256|", "x".repeat(65));
    for (asked, code) in [
        (with(&|c| c.password.replace_range(0..1, "d")), 4),
        (with(&|c| c.username = "gw-0002&a1GwDemoPk0".into()), 4),
        (with(&|c| c.username = "gw-0001".into()), 4),
        (with(&|c| c.client_id = "a1GwDemoPk0.gw-0001".into()), 2),
        (with(&|c| c.client_id = "|securemode=2|".into()), 2),
        (with(&|c| c.client_id = long.clone()), 2),
        (
            with(&|c| c.client_id = c.client_id.replace("securemode=2,", "")),
            2,
        ),
        (
            with(&|c| c.client_id = c.client_id.replace("hmacsha256", "sha256")),
            2,
        ),
        (with(&|c| c.tls = false), 2),
        (with(&|c| c.keepalive_secs = 0), 2),
        (with(&|c| c.keepalive_secs = 29), 2),
        (with(&|c| c.keepalive_secs = 1201), 2),
    ] {
        let mut lab = Lab::new(Lab::two());
        let out = lab.connect(C, &asked);
        assert_eq!(out[0], ack(C, code), "{asked:?}");
        assert!(matches!(out[1], Output::Close { conn: C, .. }), "{asked:?}");
        assert_eq!(lab.platform.connection(&device(GW)), None);
    }
    for keepalive_secs in [30, 1200] {
        let mut lab = Lab::new(Lab::two());
        let asked = with(&|c| c.keepalive_secs = keepalive_secs);
        assert_eq!(lab.connect(C, &asked), [ack(C, 0)]);
    }
}

#[test]
fn plain_tcp_wants_securemode_3() {
    let mut asked = good_connect();
    asked.tls = false;
    asked.client_id = asked.client_id.replace("securemode=2", "securemode=3");
    assert_eq!(Lab::new(Lab::two()).connect(C, &asked), [ack(C, 0)]);
}

#[test]
fn the_sixth_connect_within_a_minute_is_just_closed() {
    let mut lab = Lab::new(Lab::two());
    for n in 1..=5 {
        assert!(
            lab.connect(Conn(n), &good_connect())
                .contains(&ack(Conn(n), 0))
        );
    }
    let out = lab.connect(Conn(6), &good_connect());
    assert!(
        matches!(out[..], [Output::Close { conn: Conn(6), .. }]),
        "{out:?}"
    );
    assert_eq!(lab.platform.connection(&device(GW)), Some(Conn(5)));
    lab.wait(Duration::from_secs(60));
    assert!(
        lab.connect(Conn(7), &good_connect())
            .contains(&ack(Conn(7), 0))
    );
}

#[test]
fn a_newer_connection_takes_over_and_ends_every_session_of_the_older() {
    let mut lab = Lab::many(3, |_| ());
    assert_eq!(lab.log_in(0..3), 200);
    let out = lab.connect(Conn(2), &good_connect());
    assert!(matches!(out[0], Output::Close { conn: C, .. }));
    assert_eq!(out[1], ack(Conn(2), 0));
    assert_eq!(lab.platform.online(), 0);
    // The shell reports the end of the old connection late: nothing happens.
    lab.platform.on_closed(lab.now(), C);
    assert_eq!(lab.platform.connection(&device(GW)), Some(Conn(2)));
}

#[test]
fn a_kept_session_gives_its_subscriptions_back_and_a_clean_one_does_not() {
    let filter = "/sys/a1GwDemoPk0/gw-0001/thing/event/+/post_reply".to_owned();
    for clean in [false, true] {
        let mut lab = Lab::new(Lab::two());
        let mut asked = good_connect();
        asked.clean_session = clean;
        lab.connect(C, &asked);
        lab.platform
            .on_subscribe(lab.now(), C, std::slice::from_ref(&filter), Some(1));
        lab.platform.on_closed(lab.now(), C);
        lab.drain();
        let out = lab.connect(Conn(2), &asked);
        let session_present = !clean;
        assert_eq!(
            out,
            [Output::ConnAck {
                conn: Conn(2),
                code: 0,
                session_present
            }]
        );
    }
}

proptest! {
    #[test]
    fn a_silent_connection_is_closed_between_one_and_a_half_keepalives_and_one_look_more(
        keepalive in 30u16..=1200,
        offset in 0u64..30_000,
        last in prop::option::of(1u64..40_000),
        what in 0..4,
    ) {
        let mut lab = Lab::new(Lab::two());
        lab.wait(Duration::from_millis(offset));
        let mut asked = good_connect();
        asked.keepalive_secs = keepalive;
        lab.connect(C, &asked);
        if let Some(after) = last {
            lab.wait(Duration::from_millis(after));
            lab.drain();
            let now = lab.now();
            match what {
                0 => lab.platform.on_ping(now, C),
                1 => lab.platform.on_publish(now, C, "/x", b"", 0, None),
                2 => lab.platform.on_subscribe(now, C, &[], None),
                _ => lab.platform.on_puback(now, C),
            }
            lab.drain();
        }
        let heard = lab.now().mono;
        let closed = loop {
            let wake = lab.platform.wake_at().unwrap();
            lab.micros = wake.at.as_micros();
            if lab.drain().iter().any(|o| matches!(o, Output::Close { .. })) {
                break lab.now().mono;
            }
        };
        let least = Duration::from_secs(keepalive.into()) * 3 / 2;
        let silent = closed.since(heard);
        prop_assert!(silent > least && silent <= least + Duration::from_secs(30), "{silent:?}");
        prop_assert_eq!(lab.platform.wake_at(), None);
    }
}

#[test]
fn a_ping_every_keepalive_holds_the_connection_and_is_answered() {
    let mut lab = Lab::new(Lab::two()).connected();
    for _ in 0..100 {
        lab.wait(Duration::from_secs(60));
        assert_eq!(lab.drain(), []);
        let now = lab.now();
        lab.platform.on_ping(now, C);
        assert_eq!(lab.drain(), [Output::PingResp { conn: C }]);
    }
}

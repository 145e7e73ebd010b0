//! The platform model against its specification: published signatures, rules one by
//! one, faults; then the same model on a socket, used by clients of other authors.
#![cfg(feature = "lab")]
#![expect(clippy::unwrap_used, reason = "a test says no by panicking")]

use std::sync::Arc;
use std::time::Duration;

use alink_gateway::base::{DeviceName, Mono, Now, PortId, ProductKey, Rng, Secret, UnitId, Wall};
use alink_gateway::lab::platform::*;
use alink_gateway::spec::*;
use hmac::{Hmac, KeyInit, Mac};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

const GW: (&str, &str, &str) = ("a1GwDemoPk0", "gw-0001", "GwSecret0123456789abcdefABCDEF00");
const SUB1: (&str, &str, &str) = (
    "a1SubDemoPk",
    "meter-001",
    "SubSecret111111111111111111111111",
);
const SUB2: (&str, &str, &str) = (
    "a1SubDemoPk",
    "meter-002",
    "SubSecret222222222222222222222222",
);
// The signatures in this file are of made-up certificates, computed with
// Python's hmac module; tests/vectors/signatures.json has them with their
// sources and what was signed.
/// HMAC-SHA256 of the log-ins of the two sub-devices.
const V4: &str = "74fd49529fe065718497896ecf23178b870d249cdb881c11e1d45862aa4276a6";
const V5: &str = "5b3fe6f87e67bece0b974066989f751193e05118afd8aa29876d9dc7ab42fd4d";
const TS: &str = "1700000000000";
const C: Conn = Conn(1);
const LOGIN: &str = "/ext/session/a1GwDemoPk0/gw-0001/combine/login";
const BATCH_LOGIN: &str = "/ext/session/a1GwDemoPk0/gw-0001/combine/batch_login";
const LOGOUT: &str = "/ext/session/a1GwDemoPk0/gw-0001/combine/logout";
const BATCH_LOGOUT: &str = "/ext/session/a1GwDemoPk0/gw-0001/combine/batch_logout";
const PACK: &str = "/sys/a1GwDemoPk0/gw-0001/thing/event/property/pack/post";
const POST1: &str = "/sys/a1SubDemoPk/meter-001/thing/event/property/post";

fn certificate((product, name, secret): (&str, &str, &str)) -> Certificate {
    let device = Device::new(product, name);
    Certificate {
        product_key: device.product_key,
        device_name: device.device_name,
        secret: Secret::new(secret),
    }
}

fn device((product, name, _): (&str, &str, &str)) -> Device {
    Device::new(product, name)
}

/// Returns meter `n` of many; its secret is its name.
fn meter(n: usize) -> Certificate {
    let name = format!("m-{n:04}");
    certificate(("a1SubDemoPk", &name, &name))
}

fn at(micros: u64) -> Now {
    Now {
        mono: Mono::from_micros(micros),
        wall: Wall::from_millis(1_700_000_000_000 + i64::try_from(micros / 1000).unwrap()),
    }
}

fn connect(client_id: &str, password: &str) -> Connect {
    Connect {
        client_id: client_id.into(),
        username: "gw-0001&a1GwDemoPk0".into(),
        password: password.into(),
        keepalive_secs: 60,
        clean_session: true,
        will: false,
        tls: true,
    }
}

/// Builds a CONNECT with a timestamp, HMAC-SHA256.
fn good_connect() -> Connect {
    connect(
        "a1GwDemoPk0.gw-0001|securemode=2,signmethod=hmacsha256,timestamp=1700000000000,_ss=1,ext=3|",
        "c006b30d89fcc5bbcb00b717c7474751d25382fd3e18f370e7fa2e6ca792f080",
    )
}

/// A model, its clock, and short ways to send messages to it.
struct Lab {
    platform: Platform,
    micros: u64,
    id: u32,
}

impl Lab {
    fn new(spec: PlatformSpec) -> Self {
        Lab {
            platform: Platform::new(spec, Rng::new(1), at(0)),
            micros: 0,
            id: 0,
        }
    }

    /// Describes the gateway and two meters of the published vectors.
    fn two() -> PlatformSpec {
        let subs = vec![certificate(SUB1), certificate(SUB2)];
        PlatformSpec::gateway_with(certificate(GW), subs)
    }

    /// Builds the gateway and `n` meters, connected.
    fn many(n: usize, tune: impl FnOnce(&mut PlatformSpec)) -> Self {
        let mut spec = PlatformSpec::gateway_with(certificate(GW), (0..n).map(meter).collect());
        tune(&mut spec);
        Lab::new(spec).connected()
    }

    fn connected(mut self) -> Self {
        let out = self.connect(C, &good_connect());
        assert_eq!(out, [ack(C, 0)]);
        self
    }

    fn now(&self) -> Now {
        at(self.micros)
    }

    fn wait(&mut self, span: Duration) {
        self.micros += u64::try_from(span.as_micros()).unwrap();
    }

    fn settle(&mut self) -> Vec<Output> {
        let now = self.now();
        self.platform.settle(now).into()
    }

    fn connect(&mut self, conn: Conn, asked: &Connect) -> Vec<Output> {
        let now = self.now();
        self.platform.on_connect(now, conn, asked);
        self.settle()
    }

    fn publish(&mut self, conn: Conn, topic: &str, payload: &str) -> Vec<(String, Json)> {
        let now = self.now();
        self.platform
            .on_publish(now, conn, topic, payload.as_bytes(), 0, None);
        messages(self.settle())
    }

    /// Sends a request with a fresh id and returns the one reply to it.
    fn ask(&mut self, topic: &str, params: Json) -> Json {
        self.id += 1;
        let request = json!({"id": self.id.to_string(), "version": "1.0", "params": params});
        let mut got = self.publish(C, topic, &request.to_string());
        let at = got
            .iter()
            .position(|(t, _)| *t == format!("{topic}_reply"))
            .unwrap_or_else(|| panic!("no reply on {topic}: {got:?}"));
        let reply = got.swap_remove(at).1;
        assert_eq!(reply["id"], self.id.to_string());
        reply
    }

    /// Returns the code of the answer, whether a number or text.
    fn code(&mut self, topic: &str, params: Json) -> u64 {
        code_of(&self.ask(topic, params))
    }

    fn log_in(&mut self, meters: impl Iterator<Item = usize>) -> u64 {
        let list: Vec<Json> = meters.map(signed).collect();
        self.code(BATCH_LOGIN, json!({ "deviceList": list }))
    }

    fn times(&self, rule: Violation) -> u64 {
        self.platform.ledger().times(rule)
    }
}

fn code_of(reply: &Json) -> u64 {
    match &reply["code"] {
        Json::String(s) => s.parse().unwrap(),
        n => n.as_u64().unwrap(),
    }
}

fn ack(conn: Conn, code: u8) -> Output {
    Output::ConnAck {
        conn,
        code,
        session_present: false,
    }
}

fn messages(outputs: Vec<Output>) -> Vec<(String, Json)> {
    outputs
        .into_iter()
        .filter_map(|o| match o {
            Output::Publish { topic, payload, .. } => {
                Some((topic, serde_json::from_slice(&payload).unwrap()))
            }
            _ => None,
        })
        .collect()
}

/// Returns the log-in parameters of a meter of `many`, signed with the test's own sum.
fn signed(n: usize) -> Json {
    let name = format!("m-{n:04}");
    let content =
        format!("clientIda1SubDemoPk&{name}deviceName{name}productKeya1SubDemoPktimestamp{TS}");
    json!({
        "productKey": "a1SubDemoPk", "deviceName": name,
        "clientId": format!("a1SubDemoPk&{name}"), "timestamp": TS,
        "cleanSession": "true", "signMethod": "hmacSha256",
        "sign": hmac_sha256(&name, &content),
    })
}

/// Signs for identities that have no published vector.
fn hmac_sha256(key: &str, content: &str) -> String {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(content.as_bytes());
    let bytes = mac.finalize().into_bytes();
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Returns V4 as a log-in, with one field replaced.
fn v4(replace: &str, by: Json) -> Json {
    let mut params = json!({
        "productKey": "a1SubDemoPk", "deviceName": "meter-001",
        "clientId": "a1SubDemoPk&meter-001", "timestamp": TS,
        "cleanSession": "true", "signMethod": "hmacSha256", "sign": V4,
    });
    if !replace.is_empty() {
        params[replace] = by;
    }
    params
}

fn v5() -> Json {
    let mut params = v4("deviceName", json!("meter-002"));
    params["clientId"] = json!("a1SubDemoPk&meter-002");
    params["sign"] = json!(V5);
    params
}

fn meter_pair(n: usize) -> Json {
    json!({"productKey": "a1SubDemoPk", "deviceName": format!("m-{n:04}")})
}

#[test]
fn a_platform_knows_an_installation_with_its_secrets_and_its_topology() {
    let sub = |(product, name, secret): (&str, &str, &str), unit| DeviceSpec {
        meter: None,
        serial: None,
        name: name.into(),
        port: PortId(0),
        unit: UnitId(unit),
        profile: Arc::new(ProfileSpec {
            protocol: Default::default(),
            name: "meter".into(),
            points: vec![],
            max_registers: 125,
            reads: Reads::default(),
        }),
        product_key: ProductKey::new(product),
        device_name: DeviceName::new(name),
        secret: Secret::new(secret),
        liveness: Liveness {
            missed: 3,
            quiet: Duration::from_secs(3),
            returns: 2,
        },
        response_timeout: None,
        turnaround: Duration::ZERO,
    };
    let gateway = certificate(GW);
    let spec = Spec {
        cloud: CloudSpec {
            broker: BrokerSpec {
                host: "127.0.0.1".into(),
                port: 1883,
                transport: Transport::Plain,
                keepalive: Duration::from_secs(300),
                connect_timeout: Duration::from_secs(10),
                subscriptions: Subscriptions::Platform,
            },
            gateway: GatewayIdentity {
                product_key: gateway.product_key,
                device_name: gateway.device_name,
                certificate: GatewayCertificate::Device(gateway.secret),
            },
            sign_method: SignMethod::HmacSha256,
            products: Default::default(),
            session: SessionLimits::default(),
            post: PostPolicy::default(),
            remote: RemotePolicy::default(),
        },
        ports: vec![],
        devices: vec![sub(SUB1, 1), sub(SUB2, 2)],
        stop_within: Duration::from_secs(10),
        retired: Retired::default(),
    };
    assert_eq!(PlatformSpec::knowing(&spec), Lab::two());
}

// ---- CONNECT ---------------------------------------------------------------

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
        lab.settle();
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

// ---- keepalive -------------------------------------------------------------

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
            lab.settle();
            let now = lab.now();
            match what {
                0 => lab.platform.on_ping(now, C),
                1 => lab.platform.on_publish(now, C, "/x", b"", 0, None),
                2 => lab.platform.on_subscribe(now, C, &[], None),
                _ => lab.platform.on_puback(now, C),
            }
            lab.settle();
        }
        let heard = lab.now().mono;
        let closed = loop {
            let wake = lab.platform.wake_at().unwrap();
            lab.micros = wake.at.as_micros();
            if lab.settle().iter().any(|o| matches!(o, Output::Close { .. })) {
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
        assert_eq!(lab.settle(), []);
        let now = lab.now();
        lab.platform.on_ping(now, C);
        assert_eq!(lab.settle(), [Output::PingResp { conn: C }]);
    }
}

// ---- sessions --------------------------------------------------------------

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
        lab.settle();
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
    lab.settle();
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
    lab.settle();
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
    lab.settle();
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
    lab.settle();
    let request = json!({"id": "1", "params": signed(0)}).to_string();
    let login = "/ext/session/a1GwDemoPk0/gw-0002/combine/login";
    lab.platform
        .on_publish(now, Conn(2), login, request.as_bytes(), 0, None);
    let told: Vec<(Conn, String)> = lab
        .settle()
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

// ---- data ------------------------------------------------------------------

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
        let Some(Output::Publish { topic, payload, .. }) = lab.settle().pop() else {
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

// ---- topology and the console ----------------------------------------------

#[test]
fn topology_is_added_by_signature_listed_and_deleted() {
    let (add, get, delete) = (
        "/sys/a1GwDemoPk0/gw-0001/thing/topo/add",
        "/sys/a1GwDemoPk0/gw-0001/thing/topo/get",
        "/sys/a1GwDemoPk0/gw-0001/thing/topo/delete",
    );
    let mut spec = Lab::two();
    spec.topology.clear();
    let mut lab = Lab::new(spec).connected();
    assert_eq!(lab.ask(get, json!("{}"))["data"], json!([]));
    assert_eq!(lab.code(LOGIN, v4("", json!(0))), 6401);
    let mut small_m = v5();
    let method = small_m
        .as_object_mut()
        .unwrap()
        .remove("signMethod")
        .unwrap();
    small_m["signmethod"] = method;
    assert_eq!(
        lab.code(add, json!([v4("sign", json!("00")), small_m])),
        401
    );
    assert_eq!(lab.code(add, json!([v4("", json!(0)), small_m])), 200);
    assert_eq!(lab.ask(get, json!({}))["data"].as_array().unwrap().len(), 2);
    assert_eq!(lab.code(LOGIN, v4("", json!(0))), 200);
    let pair = json!([{"productKey": "a1SubDemoPk", "deviceName": "meter-001"}]);
    assert_eq!(lab.code(delete, pair.clone()), 200);
    assert_eq!(lab.platform.online(), 0);
    assert_eq!(lab.code(delete, pair), 6401);
}

#[test]
fn a_person_at_the_console_is_heard_in_the_order_the_switch_says() {
    let thing = |order: &str| format!("/sys/a1SubDemoPk/m-0000/thing/{order}");
    let (error, change) = (
        "/ext/error/a1GwDemoPk0/gw-0001".to_owned(),
        "/sys/a1GwDemoPk0/gw-0001/thing/topo/change".to_owned(),
    );
    let meter = Device::new("a1SubDemoPk", "m-0000");
    let orders = [
        vec![Notice::Thing, Notice::ExtError, Notice::TopologyChange],
        vec![Notice::TopologyChange, Notice::ExtError, Notice::Thing],
        vec![Notice::ExtError],
    ];
    for notices in orders {
        let mut lab = Lab::many(1, |s| s.switches.notices = notices.clone());
        assert_eq!(lab.log_in(0..1), 200);
        let now = lab.now();
        assert!(lab.platform.disable(now, &meter));
        let told = messages(lab.settle());
        let expected: Vec<String> = notices
            .iter()
            .map(|n| match n {
                Notice::Thing => thing("disable"),
                Notice::ExtError => error.clone(),
                Notice::TopologyChange => change.clone(),
            })
            .collect();
        assert_eq!(
            told.iter().map(|(t, _)| t.clone()).collect::<Vec<_>>(),
            expected
        );
        for (topic, body) in told {
            if topic == error {
                assert_eq!(body["code"], 522);
            } else if topic == change {
                assert_eq!(body["params"]["status"], 8);
            }
        }
        assert!(
            !lab.platform
                .is_online(&meter.product_key, &meter.device_name)
        );
    }
}

#[test]
fn kicks_removals_and_deletions_end_the_session_with_their_code() {
    let meter = Device::new("a1SubDemoPk", "m-0000");
    type Hand = fn(&mut Platform, Now, &Device) -> bool;
    let hands: [(Hand, u64); 3] = [
        (Platform::kick, 427),
        (Platform::remove_topology, 6401),
        (Platform::delete, 521),
    ];
    for (hand, code) in hands {
        let mut lab = Lab::many(1, |_| ());
        assert_eq!(lab.log_in(0..1), 200);
        let now = lab.now();
        assert!(hand(&mut lab.platform, now, &meter));
        let told = messages(lab.settle());
        let errors: Vec<u64> = told
            .iter()
            .filter(|(t, _)| t.starts_with("/ext/error/"))
            .map(|(_, body)| code_of(body))
            .collect();
        assert_eq!(errors, [code]);
        assert_eq!(lab.platform.online(), 0);
    }
    let mut lab = Lab::many(1, |_| ());
    let now = lab.now();
    assert!(lab.platform.drop_connection(now, &device(GW)));
    assert!(matches!(lab.settle()[..], [Output::Close { conn: C, .. }]));
    assert!(!lab.platform.drop_connection(now, &device(GW)));
}

#[test]
fn a_disabled_gateway_is_thrown_out_and_not_let_in_until_it_is_enabled() {
    let mut lab = Lab::many(1, |_| ());
    assert_eq!(lab.log_in(0..1), 200);
    let now = lab.now();
    assert!(lab.platform.disable(now, &device(GW)));
    assert!(matches!(lab.settle()[..], [Output::Close { conn: C, .. }]));
    assert_eq!(lab.platform.online(), 0);
    let out = lab.connect(Conn(2), &good_connect());
    assert_eq!(out[0], ack(Conn(2), 4));
    assert!(lab.platform.enable(now, &device(GW)));
    assert_eq!(lab.connect(Conn(3), &good_connect()), [ack(Conn(3), 0)]);
}

#[test]
fn a_command_reaches_a_device_that_is_online_and_its_answer_is_written_down() {
    let mut lab = Lab::many(1, |_| ());
    let meter = Device::new("a1SubDemoPk", "m-0000");
    let set = "thing.service.property.set";
    let now = lab.now();
    assert_eq!(
        lab.platform.command(now, &meter, set, json!({"P": 1})),
        None
    );
    assert_eq!(lab.log_in(0..1), 200);
    let id = lab
        .platform
        .command(now, &meter, set, json!({"P": 1}))
        .unwrap();
    let topic = "/sys/a1SubDemoPk/m-0000/thing/service/property/set";
    let expected = json!({"id": id, "version": "1.0", "params": {"P": 1}, "method": set});
    assert_eq!(messages(lab.settle()), [(topic.to_owned(), expected)]);
    let answer = json!({"id": id, "code": 200, "data": {}}).to_string();
    assert_eq!(lab.publish(C, &format!("{topic}_reply"), &answer), []);
    let replied = Event::Replied {
        device: meter,
        tail: "thing/service/property/set_reply".into(),
        id: json!(id),
        code: json!(200),
        message: Json::Null,
    };
    assert_eq!(
        lab.platform.ledger().events().next_back().unwrap().1,
        replied
    );
}

// ---- subscriptions ---------------------------------------------------------

#[test]
fn a_subscription_to_a_sub_device_is_granted_only_while_it_has_a_session() {
    let mut lab = Lab::many(1, |_| ());
    let own = "/sys/a1GwDemoPk0/gw-0001/thing/topo/add_reply".to_owned();
    let sub = "/sys/a1SubDemoPk/m-0000/thing/event/+/post_reply".to_owned();
    let wild = "/sys/+/+/#".to_owned();
    let all = [own, sub, wild];
    let codes = |lab: &mut Lab| {
        let now = lab.now();
        lab.platform.on_subscribe(now, C, &all, Some(9));
        match lab.settle().pop() {
            Some(Output::SubAck {
                pkid: Some(9),
                codes,
                ..
            }) => codes,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(codes(&mut lab), [0, 0x80, 0x80]);
    assert_eq!(lab.log_in(0..1), 200);
    assert_eq!(codes(&mut lab), [0, 0, 0x80]);
    let nine: Vec<String> = (0..9)
        .map(|n| format!("/a1GwDemoPk0/gw-0001/user/{n}"))
        .collect();
    let now = lab.now();
    lab.platform.on_subscribe(now, C, &nine, None);
    let Some(Output::SubAck { codes, .. }) = lab.settle().pop() else {
        panic!()
    };
    assert_eq!(codes, [0x80; 9]);
}

#[test]
fn a_strict_platform_delivers_the_published_list_and_what_was_subscribed() {
    let pack = json!({"properties": {"P": 1}}).to_string();
    let request = |id: u32| format!(r#"{{"id":"{id}","params":{pack}}}"#);
    for platform_subscribes in [true, false] {
        let mut spec = Lab::two();
        spec.switches.strict_delivery = true;
        let mut lab = Lab::new(spec);
        let mut asked = good_connect();
        if !platform_subscribes {
            asked.client_id = asked.client_id.replace(",_ss=1", "");
        }
        assert_eq!(lab.connect(C, &asked), [ack(C, 0)]);
        // Session replies need no subscription.
        assert_eq!(lab.code(LOGIN, v4("", json!(0))), 200);
        let post = lab.publish(C, POST1, r#"{"id":"50","params":{}}"#);
        assert_eq!(post.len(), usize::from(platform_subscribes));
        // The list leaves the reply of the pack out.
        assert_eq!(lab.publish(C, PACK, &request(51)), []);
        let now = lab.now();
        lab.platform
            .on_subscribe(now, C, &[format!("{PACK}_reply")], None);
        lab.settle();
        assert_eq!(lab.publish(C, PACK, &request(52)).len(), 1);
    }
}

// ---- faults ----------------------------------------------------------------

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
            for (_, body) in messages(lab.settle()) {
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
    assert_eq!(lab.settle(), []);
    // An answer on its way when the path dies never arrives.
    let (least, most) = (Duration::from_secs(1), Duration::from_secs(1));
    lab.platform.fault(now, Fault::Delay { least, most });
    let logout = json!({"id": "77", "params": meter_pair(0)}).to_string();
    assert_eq!(lab.publish(C, LOGOUT, &logout), []);
    lab.platform.fault(now, Fault::Deaf(true));
    assert_eq!(lab.publish(C, POST1, "{}"), []);
    lab.wait(Duration::from_secs(121));
    assert!(matches!(lab.settle()[..], [Output::Close { conn: C, .. }]));
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

/// Builds a pack with one value of each of these meters, read at this time.
fn pack_of(meters: &[usize], time: u64) -> Json {
    let part = |n: &usize| {
        let value = json!({ "value": n, "time": time });
        json!({ "identity": meter_pair(*n), "properties": { "P": value } })
    };
    json!({ "subDevices": meters.iter().map(part).collect::<Vec<_>>() })
}

fn own_topic(n: usize) -> String {
    format!("/sys/a1SubDemoPk/m-{n:04}/thing/event/property/post")
}

impl Lab {
    fn fault(&mut self, fault: Fault) {
        let now = self.now();
        self.platform.fault(now, fault);
    }

    /// Returns the codes and devices on `/ext/error`, and the code of the answer, in
    /// the order in which they come.
    fn told(&mut self, topic: &str, params: Json) -> Vec<(u64, String)> {
        self.id += 1;
        let request = json!({ "id": self.id.to_string(), "params": params });
        let got = self.publish(C, topic, &request.to_string());
        let told = got.into_iter().map(|(topic, body)| {
            let whom = match topic.starts_with("/ext/error/") {
                true => body["data"]["deviceName"].as_str().unwrap(),
                false => "reply",
            };
            (code_of(&body), whom.to_owned())
        });
        told.collect()
    }
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
        assert_eq!(lab.settle(), [], "no notice");
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
        lab.settle();
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
    lab.settle();
    assert_eq!(lab.code(LOGIN, signed(0)), 521);
    assert!(lab.platform.act(now, create()));
    let told = messages(lab.settle());
    assert_eq!(told.len(), 1);
    assert!(told[0].0.ends_with("/thing/topo/change"));
    assert_eq!(told[0].1["params"]["status"], 0);
    assert_eq!(lab.code(LOGIN, signed(0)), 200);
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
            let out = lab.settle();
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
    assert_eq!(lab.settle(), []);
    // A rival has the same quota as the gateway for which the platform takes it.
    let mut lab = Lab::many(1, |s| s.limits.connects_per_minute = 1);
    lab.fault(Fault::Rival { least: most, most });
    lab.wait(second * 59);
    assert_eq!(lab.settle(), []);
    lab.wait(second * 11);
    assert!(matches!(lab.settle()[..], [Output::Close { .. }]));
}

#[test]
fn any_message_can_be_sent_down_and_calls_only_to_who_subscribed_them() {
    let gateway = Device::new(GW.0, GW.1);
    let mut lab = Lab::many(1, |_| ());
    let say = |lab: &mut Lab, topic: &str| {
        let now = lab.now();
        let act = Act::Downlink {
            gateway: gateway.clone(),
            topic: topic.into(),
            payload: r#"{"id":"9","params":{}}"#.into(),
        };
        assert!(lab.platform.act(now, act));
        messages(lab.settle()).len()
    };
    let known = "/sys/a1SubDemoPk/m-0000/thing/service/open";
    assert_eq!(say(&mut lab, known), 1);
    let call = "/ext/rrpc/77";
    assert_eq!(say(&mut lab, call), 0);
    let now = lab.now();
    lab.platform
        .on_subscribe(now, C, &["/ext/rrpc/+".into()], None);
    lab.settle();
    assert_eq!(say(&mut lab, call), 1);
    lab.publish(C, call, r#"{"id":"9","code":404,"data":{}}"#);
    let replied = lab.platform.ledger().events().last().unwrap();
    assert!(
        matches!(&replied.1, Event::Replied { tail, code, .. } if tail == "rrpc/77" && code == 404)
    );
    assert_eq!(lab.platform.ledger().violations().len(), 0);
}

/// `product_register` of the first meter: vectors V9, key `ProdSecret000001`.
const V9: &str = "76a1f34d543b4f8ad3cee70e54b3077663052dd073d8ad92281030a36b4877b8";
const PRODUCT_REGISTER: &str = "/sys/a1GwDemoPk0/gw-0001/thing/proxy/provisioning/product_register";

#[test]
fn a_sub_device_registers_with_its_products_signature_or_is_told_why_not() {
    let proxied = |replace: &str, by: Json| {
        let mut one = json!({
            "productKey": "a1SubDemoPk", "deviceName": "meter-001",
            "random": "567345", "signMethod": "hmacSha256", "sign": V9,
        });
        one[replace] = by;
        one
    };
    let lab = |tune: fn(&mut PlatformSpec)| {
        let mut spec = Lab::two();
        spec.products.push(Product {
            product_key: ProductKey::new("a1SubDemoPk"),
            secret: Secret::new("ProdSecret000001"),
            register: true,
            regnwl: false,
        });
        tune(&mut spec);
        Lab::new(spec).connected()
    };
    let ask = |lab: &mut Lab, list: Json| lab.ask(PRODUCT_REGISTER, json!({ "proxieds": list }));
    let right = || proxied("sign", json!(V9.to_uppercase()));

    let reply = ask(&mut lab(|_| {}), json!([right()]));
    assert_eq!(code_of(&reply), 200);
    assert_eq!(reply["data"][0]["deviceSecret"], SUB1.2);

    let table: [(&str, Json, u64); 6] = [
        ("productKey", json!("a1Elsewhere"), 6250),
        ("signMethod", json!("sha256"), 6292),
        ("sign", json!(V4), 6600),
        ("random", json!("567346"), 6600),
        ("random", json!(""), 460),
        ("deviceName", json!(7), 460),
    ];
    for (field, by, code) in table {
        let reply = ask(&mut lab(|_| {}), json!([proxied(field, by)]));
        assert_eq!(code_of(&reply), code, "{field}");
        assert!(!reply.to_string().contains("deviceSecret"));
    }
    type Tune = fn(&mut PlatformSpec);
    let switched: [(Tune, u64); 5] = [
        (|s| s.products[0].register = false, 6288),
        (|s| drop(s.certificates.remove(1)), 6100),
        (
            |s| {
                s.certificates.remove(1);
                s.products[0].regnwl = true;
            },
            200,
        ),
        (
            |s| s.topology[0].0 = Device::new("a1GwDemoPk0", "gw-0002"),
            200,
        ),
        (
            |s| {
                s.topology[0].0 = Device::new("a1GwDemoPk0", "gw-0002");
                s.switches.proxy_takes_over = false;
            },
            6619,
        ),
    ];
    for (n, (tune, code)) in switched.into_iter().enumerate() {
        let reply = ask(&mut lab(tune), json!([right()]));
        assert_eq!(code_of(&reply), code, "switch {n}");
    }
    let many = vec![right(); 31];
    assert_eq!(code_of(&ask(&mut lab(|_| {}), json!(many))), 460);
}

// ---- anything at all ---------------------------------------------------------

fn any_topic() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        LOGIN,
        BATCH_LOGIN,
        LOGOUT,
        BATCH_LOGOUT,
        PACK,
        POST1,
        "/sys/a1GwDemoPk0/gw-0001/thing/topo/add",
        "/sys/a1GwDemoPk0/gw-0001/thing/topo/delete",
        "/sys/a1GwDemoPk0/gw-0001/thing/topo/get",
        "/sys/a1GwDemoPk0/gw-0001/thing/sub/register",
        "/sys/a1GwDemoPk0/gw-0001/thing/proxy/provisioning/product_register",
        "/sys/a1GwDemoPk0/gw-0001/thing/event/property/history/post",
        "/sys/a1GwDemoPk0/gw-0001/thing/event/property/batch/post",
        "/ext/ntp/a1GwDemoPk0/gw-0001/request",
    ]);
    prop_oneof![4 => known.prop_map(str::to_owned), 1 => "[/a-z+#ü]{0,40}"]
}

fn any_params() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(json!(null)),
        Just(json!("")),
        Just(json!([])),
        Just(json!({})),
        Just(v4("", json!(0))),
        Just(v5()),
        any::<i64>().prop_map(|n| json!(n)),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::Array),
            prop::collection::vec(
                (
                    prop::sample::select(vec![
                        "deviceList",
                        "subDevices",
                        "identity",
                        "properties",
                        "events",
                        "value",
                        "productKey",
                    ]),
                    inner
                ),
                0..4
            )
            .prop_map(|fields| Json::Object(
                fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
            )),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_arrives_the_model_answers_at_most_once_and_keeps_its_invariants(
        inputs in prop::collection::vec((any_topic(), any_params(), prop::collection::vec(any::<u8>(), 0..20), any::<bool>(), 0u8..3), 1..40)
    ) {
        let mut lab = Lab::new(Lab::two()).connected();
        for (n, (topic, params, bytes, json, qos)) in inputs.into_iter().enumerate() {
            lab.wait(Duration::from_millis(200));
            let payload = if json {
                json!({"id": n.to_string(), "params": params}).to_string().into_bytes()
            } else {
                bytes
            };
            let now = lab.now();
            lab.platform.on_publish(now, C, &topic, &payload, qos, (qos > 0).then_some(1));
            let replies = messages(lab.settle())
                .into_iter()
                .filter(|(t, body)| *t == format!("{topic}_reply") && body["id"].as_str() == Some(&n.to_string()))
                .count();
            prop_assert!(replies <= 1);
            if qos == 2 {
                prop_assert_eq!(lab.platform.online(), 0);
                break;
            }
            prop_assert!(lab.platform.online() <= 2);
        }
    }
}

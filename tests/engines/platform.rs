//! The platform model against its specification: published signatures, rules one by
//! one, faults; then the same model on a socket, used by clients of other authors.

use std::time::Duration;

use alink_gateway::base::{Mono, Now, ProductKey, Rng, Secret, Wall};
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

mod anything;
mod connect;
mod console;
mod faults;
mod posts;
mod sessions;
mod subscriptions;

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

    fn drain(&mut self) -> Vec<Output> {
        let now = self.now();
        self.platform.drain(now).into()
    }

    fn connect(&mut self, conn: Conn, asked: &Connect) -> Vec<Output> {
        let now = self.now();
        self.platform.on_connect(now, conn, asked);
        self.drain()
    }

    fn publish(&mut self, conn: Conn, topic: &str, payload: &str) -> Vec<(String, Json)> {
        let now = self.now();
        self.platform
            .on_publish(now, conn, topic, payload.as_bytes(), 0, None);
        messages(self.drain())
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

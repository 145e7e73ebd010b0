//! Signatures that other programs computed: published examples, captured SDK traffic,
//! and another implementation of HMAC. The data names the source of each.

use alink_gateway::base::Secret;
use alink_gateway::cloud::alink::registration::identity;
use alink_gateway::cloud::alink::registration::identity::Credentials;
use alink_gateway::cloud::alink::wire::sign;
use alink_gateway::spec::{CloudSpec, GatewayCertificate, SignMethod, Subscriptions, Transport};
use serde_json::Value;

const METHODS: [SignMethod; 3] = [
    SignMethod::HmacMd5,
    SignMethod::HmacSha1,
    SignMethod::HmacSha256,
];

fn vectors(which: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("../vectors/signatures.json")).unwrap();
    all[which].as_array().unwrap().clone()
}

fn content(vector: &Value) -> String {
    let text = |key: &str| vector[key].as_str().unwrap();
    match text("form") {
        "device" => sign::device_content(
            text("client_id"),
            text("device_name"),
            text("product_key"),
            vector["timestamp"].as_str(),
        ),
        "registration" => {
            sign::registration_content(text("device_name"), text("product_key"), text("random"))
        }
        other => panic!("{other}"),
    }
}

/// Returns our signatures of a vector beside those it lists.
fn both(vector: &Value) -> Vec<(String, String)> {
    let key = Secret::new(vector["key"].as_str().unwrap());
    let pairs: Vec<_> = METHODS
        .into_iter()
        .filter_map(|m| {
            let theirs = vector["result"][m.as_str()].as_str()?;
            Some((sign::sign(m, &key, &content(vector)), theirs.to_lowercase()))
        })
        .collect();
    assert!(!pairs.is_empty());
    pairs
}

#[test]
fn our_signatures_are_those_of_others() {
    let vectors = vectors("right");
    assert_eq!(vectors.len(), 13);
    for vector in vectors {
        for (ours, theirs) in both(&vector) {
            assert_eq!(ours, theirs, "{}", vector["name"]);
        }
    }
}

#[test]
fn clean_session_is_not_signed() {
    let vectors = vectors("wrong");
    assert_eq!(vectors.len(), 1);
    for vector in vectors {
        // The wrong vector is what it says it is …
        let key = Secret::new(vector["key"].as_str().unwrap());
        let wrong = sign::sign(
            SignMethod::HmacSha256,
            &key,
            vector["content"].as_str().unwrap(),
        );
        assert_eq!(wrong, vector["result"]["hmacsha256"].as_str().unwrap());
        // … and ours is another.
        for (ours, theirs) in both(&vector) {
            assert_ne!(ours, theirs, "{}", vector["name"]);
        }
    }
}

fn gateway(
    transport: Transport,
    subscriptions: Subscriptions,
    sign_method: SignMethod,
) -> CloudSpec {
    let mut cloud = crate::installation::demo_cloud("localhost");
    cloud.broker.port = 8883;
    cloud.broker.transport = transport;
    cloud.broker.subscriptions = subscriptions;
    cloud.sign_method = sign_method;
    cloud
}

#[test]
fn connect_says_who_we_are_and_how_we_came() {
    let tls = credentials(&gateway(
        Transport::Tls { ca_file: None },
        Subscriptions::Platform,
        SignMethod::HmacSha256,
    ));
    assert_eq!(
        tls.client_id,
        "a1GwDemoPk0.gw-0001|securemode=2,signmethod=hmacsha256,timestamp=2524608000000,_ss=1|"
    );
    assert_eq!(tls.username, "gw-0001&a1GwDemoPk0");
    assert_eq!(
        tls.password.expose(),
        "da65288d3715a1cfded152d56905d4285db5e1296c3dc56757f297cd475c93db"
    );
    let plain = credentials(&gateway(
        Transport::Plain,
        Subscriptions::Broker,
        SignMethod::HmacMd5,
    ));
    assert_eq!(
        plain.client_id,
        "a1GwDemoPk0.gw-0001|securemode=3,signmethod=hmacmd5,timestamp=2524608000000|"
    );
    assert_eq!(plain.password.expose(), "16357253d7761b6fdde90bfaa1601574");
}

fn credentials(cloud: &CloudSpec) -> Credentials {
    let GatewayCertificate::Device(secret) = &cloud.gateway.certificate else {
        panic!("a certificate of its own")
    };
    identity::credentials(cloud, secret)
}

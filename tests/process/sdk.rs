//! The SDKs of the manufacturer, unpatched, as clients of our platform model.
//!
//! They show that real clients work with the model, which keeps it honest: no author
//! wrote both sides. Nothing of them ships. `tests/run` installs them.

use crate::tools;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use alink_gateway::base::{Rng, Secret};
use alink_gateway::io::system::clock::Clock;
use alink_gateway::lab::broker::Broker;
use alink_gateway::lab::platform::*;
use serde_json::json;
use tokio::process::Command;
use tokio::time::timeout;

/// The machine may be busy: generous, and only reached when something is wrong.
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test]
async fn the_python_sdk_connects_logs_two_meters_in_posts_and_logs_them_out() {
    if !tools::have(&["linkkit"]) {
        return;
    }
    let mut script = Command::new(tools::path("linkkit"));
    script.arg(beside("sdk/python/gateway.py"));
    let platform = run(script, async |broker| {
        let own = Device::new("a1GwDemoPk0", "gw-0001");
        let is_ready = |p: &Platform| p.accepted().total() == 3;
        assert!(
            broker.until(PATIENCE, is_ready).await.unwrap(),
            "three values"
        );
        let set = move |p: &mut Platform, now| p.set_properties(now, &own, json!({"Limit": 7}));
        broker.with(set).await.unwrap().unwrap();
    })
    .await;
    // The answer of the SDK is taken as ours is: by its topic and its id.
    assert_eq!(answers(&platform), [(json!(200), json!({}))]);
    let ledger = platform.ledger();
    let asked: Vec<(SessionRequestKind, usize, Code)> =
        ledger.asked().map(|a| (a.ask, a.size(), a.code)).collect();
    assert_eq!(
        asked,
        [
            (SessionRequestKind::BatchLogin, 2, Code::OK),
            (SessionRequestKind::BatchLogout, 1, Code::OK),
            (SessionRequestKind::BatchLogout, 1, Code::OK),
        ]
    );
    assert_eq!(
        value(&platform, "a1GwDemoPk0", "gw-0001", "Load"),
        json!(42)
    );
    assert_eq!(
        value(&platform, "a1SubDemoPk", "meter-001", "Power"),
        json!(100)
    );
    assert_eq!(
        value(&platform, "a1SubDemoPk", "meter-002", "Power"),
        json!(101)
    );
    assert_eq!(platform.accepted().total(), 3);
    assert_eq!(ledger.violations(), &BTreeMap::new());
    assert_eq!(
        platform.gateway_of(&Device::new("a1SubDemoPk", "meter-001")),
        None
    );
}

#[tokio::test]
async fn the_node_sdk_connects_logs_a_meter_in_posts_and_logs_it_out() {
    if !tools::have(&["node", "device-sdk"]) {
        return;
    }
    let mut script = Command::new("node");
    script
        .arg(beside("sdk/node/gateway.js"))
        .env("NODE_PATH", tools::path("device-sdk"));
    let platform = run(script, async |broker| {
        let meter = Device::new("a1SubDemoPk", "meter-001");
        let of = meter.clone();
        let is_ready = move |p: &Platform| p.accepted().of(&of).is_some();
        assert!(
            broker.until(PATIENCE, is_ready).await.unwrap(),
            "a service is there"
        );
        let (of, within) = (meter.clone(), Duration::from_secs(8));
        let input = json!({"after": 5});
        let call = move |p: &mut Platform, now| p.call_service(now, &of, "reset", input);
        let called = broker.with(call).await.unwrap().unwrap();
        let is_answered =
            move |p: &Platform| p.ledger().calls().get(&called).unwrap().answer().is_some();
        assert!(
            broker.until(PATIENCE, is_answered).await.unwrap(),
            "an answer"
        );
        let call = move |p: &mut Platform, now| {
            let method = "thing.service.reset";
            let input = json!({"after": 5});
            p.call_synchronously(now, &meter, RrpcTopic::System, method, input, within)
        };
        broker.with(call).await.unwrap().unwrap();
    })
    .await;
    let answer = (json!(200), json!({"left": 3}));
    assert_eq!(answers(&platform), [answer.clone(), answer]);
    let ledger = platform.ledger();
    let asked: Vec<(SessionRequestKind, usize, Code)> =
        ledger.asked().map(|a| (a.ask, a.size(), a.code)).collect();
    assert_eq!(
        asked,
        [
            (SessionRequestKind::Login, 1, Code::OK),
            (SessionRequestKind::Logout, 1, Code::OK)
        ]
    );
    assert_eq!(
        value(&platform, "a1GwDemoPk0", "gw-0001", "Load"),
        json!(42)
    );
    assert_eq!(
        value(&platform, "a1SubDemoPk", "meter-001", "Power"),
        json!(100)
    );
    assert_eq!(
        (platform.accepted().total(), platform.accepted().events()),
        (3, 1)
    );
    // The ids of this SDK are not the numbers the documents ask for; the platform
    // echoes them as they are.
    let rules: Vec<&Violation> = ledger.violations().keys().collect();
    assert_eq!(
        rules,
        [&Violation::IdMalformed],
        "{:?}",
        ledger.violations()
    );
}

/// Returns code and data of the one answer to each command.
fn answers(platform: &Platform) -> Vec<(serde_json::Value, serde_json::Value)> {
    let calls = platform.ledger().calls().iter();
    let one = calls.map(|(id, call)| {
        let [answer] = &call.answers[..] else {
            panic!("{call:?}");
        };
        assert_eq!(answer.id, json!(id.to_string()));
        (answer.code.clone(), answer.data.clone())
    });
    one.collect()
}

/// Runs the script against a fresh platform that has the devices but no topology, and
/// returns the platform when the script has succeeded; meanwhile the platform plays its part.
async fn run(mut script: Command, part: impl AsyncFnOnce(&Broker)) -> Platform {
    let certificate = |product: &str, name: &str, secret: &str| {
        let device = Device::new(product, name);
        Certificate {
            product_key: device.product_key,
            device_name: device.device_name,
            secret: Secret::new(secret),
        }
    };
    let spec = PlatformSpec {
        certificates: vec![
            certificate("a1GwDemoPk0", "gw-0001", "GwSecret0123456789abcdefABCDEF00"),
            certificate(
                "a1SubDemoPk",
                "meter-001",
                "SubSecret111111111111111111111111",
            ),
            certificate(
                "a1SubDemoPk",
                "meter-002",
                "SubSecret222222222222222222222222",
            ),
        ],
        // They must work with a platform that delivers no more than it says.
        switches: Switches {
            strict_delivery: true,
            ..Switches::default()
        },
        ..PlatformSpec::default()
    };
    let clock = Clock::system();
    let platform = Platform::new(spec, Rng::new(1), clock.now());
    let broker = Broker::start(([127, 0, 0, 1], 0).into(), platform, clock)
        .await
        .unwrap();
    script
        .arg(broker.addr().port().to_string())
        .kill_on_drop(true);
    let (ended, ()) = tokio::join!(timeout(PATIENCE, script.output()), part(&broker));
    let Output {
        status,
        stdout,
        stderr,
    } = ended
        .expect("the script should have given up by itself")
        .unwrap();
    let gone = |p: &Platform| {
        p.connection(&Device::new("a1GwDemoPk0", "gw-0001"))
            .is_none()
    };
    let closed = broker.until(Duration::from_secs(20), gone).await.unwrap();
    let platform = broker.stop().await.unwrap();
    assert!(
        status.success() && closed,
        "{status}, closed: {closed}\n{}\n{}\n{:#?}",
        String::from_utf8_lossy(&stdout),
        String::from_utf8_lossy(&stderr),
        platform.ledger().events().collect::<Vec<_>>(),
    );
    platform
}

fn value(platform: &Platform, product: &str, name: &str, property: &str) -> serde_json::Value {
    let values = platform.accepted().of(&Device::new(product, name));
    let values = values.unwrap_or_else(|| panic!("nothing of {name}"));
    values[property].value.clone()
}

fn beside(script: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(script)
}

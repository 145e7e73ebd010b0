//! The SDKs of the manufacturer, unpatched, as clients of our platform model.
//!
//! They show that real clients work with the model, which keeps it honest: no author
//! wrote both sides. Nothing of them ships. `tests/run` installs them.
#![cfg(feature = "lab")]

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
    let platform = run(script).await;
    let ledger = platform.ledger();
    let asked: Vec<(Ask, usize, Code)> =
        ledger.asked().map(|a| (a.ask, a.size(), a.code)).collect();
    assert_eq!(
        asked,
        [
            (Ask::BatchLogin, 2, Code::OK),
            (Ask::BatchLogout, 1, Code::OK),
            (Ask::BatchLogout, 1, Code::OK),
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
    let platform = run(script).await;
    let ledger = platform.ledger();
    let asked: Vec<(Ask, usize, Code)> =
        ledger.asked().map(|a| (a.ask, a.size(), a.code)).collect();
    assert_eq!(
        asked,
        [(Ask::Login, 1, Code::OK), (Ask::Logout, 1, Code::OK)]
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
        (2, 1)
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

/// Runs the script against a fresh platform that has the devices but no topology, and
/// returns the platform when the script has succeeded.
async fn run(mut script: Command) -> Platform {
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
    let Output {
        status,
        stdout,
        stderr,
    } = timeout(PATIENCE, script.output())
        .await
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

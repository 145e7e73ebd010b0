//! The real binary, between strangers: meters served by pymodbus and
//! libmodbus below, mosquitto with TLS above, in real time.
//!
//! Few and whole: what can be proved on virtual time is proved there. What a
//! process says on stderr is awaited as an event; nobody sleeps and hopes.

#![cfg(feature = "lab")]
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "helpers of a test: a panic is how a test says no, and what it prints explains it"
)]

#[path = "process/child.rs"]
mod child;
#[path = "process/mosquitto.rs"]
mod mosquitto;
#[path = "process/plant.rs"]
mod plant;
#[path = "process/tools.rs"]
mod tools;

use child::Child;
use mosquitto::{Account, Mosquitto};
use plant::{Line, Meters};
use tools::{Tool, have};

// The strangers themselves: when one of these fails, the fault is not ours.

#[tokio::test]
async fn the_meters_answer_a_master_that_is_not_ours() {
    let tools = [Tool::Socat, Tool::Pymodbus, Tool::Libmodbus, Tool::Mbpoll];
    if !have(&tools) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let line = Line::plug_in(folder.path(), "line1").await;
    let near = line.near.to_str().unwrap().to_owned();

    let python = Meters::pymodbus_rtu(&line, &[1, 2]).await;
    assert_eq!(
        ask(&["-m", "rtu", "-P", "none", "-a", "2"], &near).await,
        "2302"
    );
    drop(python);
    let _c = Meters::libmodbus_rtu(&line, 7).await;
    assert_eq!(
        ask(&["-m", "rtu", "-P", "none", "-a", "7"], &near).await,
        "2207"
    );

    let python = Meters::pymodbus_tcp(&[3]).await;
    let port = python.port.unwrap().to_string();
    assert_eq!(
        ask(&["-m", "tcp", "-p", &port, "-a", "3"], "127.0.0.1").await,
        "2303"
    );
    let c = Meters::libmodbus_tcp(4).await;
    let port = c.port.unwrap().to_string();
    assert_eq!(
        ask(&["-m", "tcp", "-p", &port, "-a", "4"], "127.0.0.1").await,
        "2204"
    );
    line.unplug().await;
}

/// Holding register 0, asked by mbpoll.
async fn ask(how: &[&str], whom: &str) -> String {
    let what = ["-b", "9600", "-t", "4", "-r", "1", "-c", "1", "-1", "-q"];
    let args: Vec<&str> = how.iter().copied().chain(what).chain([whom]).collect();
    let mut mbpoll = Child::start("mbpoll", &Tool::Mbpoll.program(), &args);
    let line = mbpoll.line("a value", |l| l.starts_with("[1]:")).await;
    line.rsplit('\t').next().unwrap().to_owned()
}

#[tokio::test]
async fn the_broker_lets_in_who_signs_as_the_platform_asks_and_nobody_else() {
    let tools = [
        Tool::Mosquitto,
        Tool::MosquittoPasswd,
        Tool::MosquittoPub,
        Tool::Openssl,
    ];
    if !have(&tools) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // Vector V2 of the protocol notes: the SDK's fixed timestamp.
    let good = Account::of_gateway("a1GwDemoPk0", "gw-0001", "GwSecret0123456789abcdefABCDEF00");
    assert_eq!(
        good.password,
        "da65288d3715a1cfded152d56905d4285db5e1296c3dc56757f297cd475c93db"
    );
    let other = Account::of_gateway("a1GwDemoPk0", "gw-0001", "another secret");
    let broker = Mosquitto::start(folder.path(), std::slice::from_ref(&good)).await;
    let stranger = mosquitto::authority(folder.path(), "stranger");
    // Its exit statuses: 5 is the CONNACK's; a failed handshake is 1 or 8,
    // whichever end notices first.
    for (account, ca, ends) in [
        (&good, &broker.ca, [0, 0]),
        (&other, &broker.ca, [5, 5]),
        (&good, &stranger, [1, 8]),
    ] {
        let mut publish = Child::start(
            "mosquitto_pub",
            &Tool::MosquittoPub.program(),
            &[
                "-h",
                "localhost",
                "-p",
                &broker.tls.to_string(),
                "-t",
                "t",
                "-m",
                "m",
                "-V",
                "mqttv311",
                "-u",
                &account.user,
                "-P",
                &account.password,
                "--cafile",
                ca.to_str().unwrap(),
            ],
        );
        let code = publish.exit().await.code().unwrap();
        assert!(ends.contains(&code), "{code}, not one of {ends:?}");
    }
}

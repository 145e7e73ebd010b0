//! Commands through the whole gateway, from the platform to the registers and back, while lines
//! and connections fail.
//!
//! The oracle knows each value that was wanted: no other command wants it. The newest value of a
//! point that was answered "verified" stands in the device's register; each command has an
//! answer if the connection stays up, and a message that comes again gets the same. That nothing
//! is written late is shown where time is exact (`field/command/tests.rs`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use alink_gateway::base::{DeviceId, Now, PortId, Rng, UnitId};
use alink_gateway::io::system::clock::Clock;
use alink_gateway::lab::bus::{Chance, Fault as UnitFault};
use alink_gateway::lab::platform::{Device, Fault, RrpcTopic};
use alink_gateway::lab::site::{START, Site};
use alink_gateway::spec::{
    Condition, Decimal, DeviceSpec, Interlock, LineSpec, Number, PointSpec, ProfileSpec, Spec,
    Table, WritePolicy,
};
use serde_json::json;

use crate::installation::{self, demo_cloud, device, number, point, port, profile, serial};
use crate::world::site::{self, name};

const UNITS: u8 = 4;
/// The register that is written.
const REGISTER: u16 = 900;

/// Two lines with four units each: one register to write, one to write only while another is
/// below 60,000, and two that are read.
fn spec() -> Spec {
    let every = Duration::from_secs(2);
    let register = |id: &str, address, write: Option<WritePolicy>| PointSpec {
        id: id.into(),
        write: write.map(Box::new),
        ..point(Table::HoldingRegister, address, number(Number::U16), every)
    };
    let points = vec![
        register("Setpoint", REGISTER, Some(WritePolicy::default())),
        register(
            "Locked",
            REGISTER + 10,
            Some(WritePolicy {
                only_if: Some(Interlock {
                    point: 0,
                    condition: Condition {
                        below: Decimal::parse("60000"),
                        ..Condition::default()
                    },
                }),
                ..WritePolicy::default()
            }),
        ),
        register("h10", 10, None),
        register("h11", 11, None),
    ];
    let kind: Arc<ProfileSpec> = profile("writable", points);
    let ports = (0..2).map(|n| {
        let line = LineSpec::Serial(serial(format!("/dev/line{n}"), 9600));
        port(&format!("line{n}"), line, Duration::from_millis(200))
    });
    let devices = (0..2 * u32::from(UNITS)).map(|n| {
        let unit = (n % u32::from(UNITS)) as u8 + 1;
        let line = (n / u32::from(UNITS)) as u16;
        DeviceSpec {
            port: PortId(line),
            ..device(&format!("d{n:04}"), unit, "sub", &kind)
        }
    });
    installation::spec(
        demo_cloud("cloud.example"),
        ports.collect(),
        devices.collect(),
    )
}

fn register(site: &Site, id: DeviceId, address: u16) -> u16 {
    let d = &site.spec.devices[id.index()];
    site.wires[d.port.index()].with(|line| {
        let unit = line.unit(d.address.unit().unwrap()).unwrap();
        unit.value_at(Now::default(), Table::HoldingRegister, address)
            .unwrap()
    })
}

fn spoil(site: &Site, id: DeviceId, faults: &[(UnitFault, u32)]) {
    let d = &site.spec.devices[id.index()];
    let unit: UnitId = d.address.unit().unwrap();
    site.wires[d.port.index()].with(|line| {
        let behaviour = &mut line.unit_mut(unit).unwrap().behaviour;
        behaviour.faults = faults
            .iter()
            .map(|&(fault, permille)| Chance { fault, permille })
            .collect();
    });
}

async fn online(seed: u64) -> Site {
    let site = site::build_of(Clock::starting_at(START), spec(), seed, |_| {});
    let all = usize::from(UNITS) * 2;
    let came = site.until_online(all, Duration::from_secs(60)).await;
    assert!(came.is_some(), "all are online");
    site.live(Duration::from_secs(5)).await;
    site
}

async fn set(site: &Site, device: &Device, params: serde_json::Value) -> Option<String> {
    let device = device.clone();
    let given = site
        .platform
        .with(move |p, now| p.set_properties(now, &device, params))
        .await;
    given.unwrap()
}

/// Returns the answers to a command: code, message, data.
async fn answers(site: &Site, id: &str) -> Vec<(i64, String, serde_json::Value)> {
    let id = id.to_owned();
    site.platform(move |p, _| {
        let call = p.ledger().calls().get(&id).unwrap();
        let said = call.answers.iter().map(|a| {
            let message = a.message.as_str().unwrap_or_default().to_owned();
            (a.code.as_i64().unwrap_or_default(), message, a.data.clone())
        });
        said.collect()
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_set_from_the_console_is_written_read_back_answered_and_posted() {
    let site = online(1).await;
    let id = DeviceId(1);
    let who = name(&site.spec, id);
    let given = set(&site, &who, json!({"Setpoint": 4711, "Locked": 12}))
        .await
        .unwrap();
    site.live(Duration::from_secs(1)).await;
    let said = answers(&site, &given).await;
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!(said[0].0, 200, "{said:?}");
    assert_eq!(said[0].2["Setpoint"]["verdict"], "verified");
    assert_eq!(said[0].2["Setpoint"]["value"], 4711);
    assert_eq!(
        (
            register(&site, id, REGISTER),
            register(&site, id, REGISTER + 10)
        ),
        (4711, 12)
    );
    // The value that was read back is posted as well.
    site.live(Duration::from_secs(2)).await;
    let posted = site
        .platform(move |p, _| {
            let mut log = p.accepted().log();
            log.any(|v| v.device == who && v.property == "Setpoint" && v.value == json!(4711))
        })
        .await;
    assert!(posted);
}

#[tokio::test(start_paused = true)]
async fn a_dead_device_and_a_wrong_value_are_refused_with_the_reason_and_a_call_in_time() {
    let site = online(2).await;
    let who = name(&site.spec, DeviceId(0));
    for (params, code, word) in [
        (json!({"Setpoint": 70_000}), 460, "65535"),
        (json!({"h10": 1}), 400, "read-only"),
        (json!({"Nothing": 1}), 400, "no point"),
    ] {
        let given = set(&site, &who, params.clone()).await.unwrap();
        site.live(Duration::from_secs(1)).await;
        let said = answers(&site, &given).await;
        assert_eq!(said.len(), 1);
        let (said_code, message, _) = &said[0];
        assert!(
            *said_code == code && message.contains(word),
            "{params} {said:?}"
        );
    }
    // A synchronous caller that waits as long as the platform lets it.
    let of = who.clone();
    let called = site
        .platform
        .with(move |p, now| {
            let params = json!({"Setpoint": 99});
            let method = "thing.service.property.set";
            let within = Duration::from_secs(8);
            p.call_synchronously(now, &of, RrpcTopic::Custom, method, params, within)
        })
        .await
        .unwrap()
        .unwrap();
    site.live(Duration::from_secs(2)).await;
    let said = answers(&site, &called).await;
    assert_eq!((said.len(), said[0].0), (1, 200), "{said:?}");
    // The unit dies, and is not yet known to be dead.
    spoil(&site, DeviceId(0), &[(UnitFault::Mute, 1000)]);
    let given = set(&site, &who, json!({"Setpoint": 100})).await.unwrap();
    site.live(Duration::from_secs(12)).await;
    let said = answers(&site, &given).await;
    assert_eq!(said.len(), 1, "{said:?}");
    assert_ne!(said[0].0, 200);
}

/// One command of a life, as the oracle knows it.
struct Given {
    id: String,
    device: DeviceId,
    value: u16,
    /// Whether the connection was up from then until its time was over.
    undisturbed: bool,
}

/// Lives through ten minutes of commands and faults.
async fn live(seed: u64) {
    let mut site = online(seed).await;
    let mut rng = Rng::new(seed);
    let mut given: Vec<Given> = Vec::new();
    for step in 0..300u16 {
        let id = DeviceId(rng.below(8) as u32);
        let who = name(&site.spec, id);
        // No other command wants this value; 60,000 and more lock the other point.
        let value = 1000 + step;
        let point = if rng.below(4) == 0 {
            "Locked"
        } else {
            "Setpoint"
        };
        if let Some(call) = set(&site, &who, json!({ point: value })).await {
            if rng.below(5) == 0 {
                let repeated = call.clone();
                let again = site
                    .platform
                    .with(move |p, now| p.repeat_command(now, &repeated));
                again.await.unwrap();
            }
            given.push(Given {
                id: call,
                device: id,
                value,
                undisturbed: true,
            });
        }
        match rng.below(60) {
            0..=2 => spoil(&site, id, &[(UnitFault::Mute, 300)]),
            3..=9 => spoil(&site, id, &[]),
            10 => {
                let gateway = site.gateway();
                site.platform
                    .with(move |p, now| p.fault(now, Fault::Cut(gateway)))
                    .await
                    .unwrap();
                let recent = given.len().saturating_sub(20);
                given[recent..]
                    .iter_mut()
                    .for_each(|g| g.undisturbed = false);
            }
            11 => {
                let line = rng.below(2) as usize;
                site.wires[line].unplug().await;
                site.live(Duration::from_millis(rng.below(3000))).await;
                site.wires[line].plug();
            }
            _ => {}
        }
        site.live(Duration::from_millis(rng.below(2000))).await;
    }
    for id in 0..8 {
        spoil(&site, DeviceId(id), &[]);
    }
    site.live(Duration::from_secs(60)).await;
    let mut verdicts: BTreeMap<i64, usize> = BTreeMap::new();
    let mut newest: BTreeMap<(DeviceId, u16), (usize, i64)> = BTreeMap::new();
    for (n, command) in given.iter().enumerate() {
        let said = answers(&site, &command.id).await;
        // A repeated message gets the same answer again, once for each delivery.
        assert!(said.windows(2).all(|w| w[0] == w[1]), "{said:?}");
        let sent = {
            let id = command.id.clone();
            site.platform(move |p, _| p.ledger().calls().get(&id).unwrap().sent)
                .await
        };
        assert!(said.len() as u64 <= sent, "{said:?}");
        if command.undisturbed {
            assert!(!said.is_empty(), "command {n} was not answered");
        }
        if let Some((code, _, data)) = said.first() {
            *verdicts.entry(*code).or_default() += 1;
            let point = data.as_object().and_then(|d| d.keys().next().cloned());
            let address = match point.as_deref() {
                Some("Locked") => REGISTER + 10,
                _ => REGISTER,
            };
            newest.insert((command.device, address), (n, *code));
        }
    }
    // The newest command of a point that was verified is what the register holds, unless a later
    // one of the same point had no answer.
    for ((device, address), (n, code)) in newest {
        let later = given[n + 1..].iter().any(|g| g.device == device);
        if code == 200 && !later {
            assert_eq!(register(&site, device, address), given[n].value);
        }
    }
    assert!(verdicts.get(&200).is_some_and(|n| *n > 50), "{verdicts:?}");
    let polled = site.platform(|p, _| p.accepted().total()).await;
    assert!(polled > 1000, "polling goes on: {polled}");
}

#[tokio::test(start_paused = true)]
async fn in_ten_minutes_of_faults_each_command_has_one_answer_and_none_is_lied_about() {
    for seed in 1..=3 {
        live(seed).await;
    }
}

/// The value of each wish is taken by the device when it comes online; one that is wished anew
/// meanwhile is not lost.
#[tokio::test(start_paused = true)]
async fn desired_values_reach_the_registers_when_the_device_comes_online() {
    let mut spec = spec();
    spec.commands.desired = true;
    let site = site::build_of(Clock::starting_at(START), spec, 3, |_| {});
    let id = DeviceId(2);
    let who = name(&site.spec, id);
    let wish = async |property: &'static str, value: u32| {
        let who = who.clone();
        let wished = site
            .platform
            .with(move |p, _| p.desire(&who, property, json!(value)));
        wished.await.unwrap();
    };
    let wished = async |property: &'static str| {
        let who = who.clone();
        site.platform(move |p, _| p.desired(&who, property).map(|(value, _)| value.clone()))
            .await
    };
    wish("Setpoint", 4711).await;
    wish("Locked", 70_000).await;
    let all = usize::from(UNITS) * 2;
    assert!(
        site.until_online(all, Duration::from_secs(60))
            .await
            .is_some()
    );
    site.live(Duration::from_secs(5)).await;
    assert_eq!(register(&site, id, REGISTER), 4711);
    assert_eq!(wished("Setpoint").await, None, "taken");
    assert_eq!(
        wished("Locked").await,
        Some(json!(70_000)),
        "no register holds it"
    );
    // Wishes that change while they are taken: the last one counts.
    for n in 0..30u32 {
        wish("Setpoint", 5000 + n).await;
        if n % 6 == 0 {
            let gateway = site.gateway();
            let cut = site
                .platform
                .with(move |p, now| p.fault(now, Fault::Cut(gateway)));
            cut.await.unwrap();
        }
        site.live(Duration::from_millis(u64::from(n) * 37)).await;
    }
    let gateway = site.gateway();
    let cut = site
        .platform
        .with(move |p, now| p.fault(now, Fault::Cut(gateway)));
    cut.await.unwrap();
    site.live(Duration::from_secs(120)).await;
    assert_eq!(register(&site, id, REGISTER), 5029);
    assert_eq!(wished("Setpoint").await, None);
}

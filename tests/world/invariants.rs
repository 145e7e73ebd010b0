//! What must be true, whatever happens. Each has a name, and a breach says
//! which device and what was seen.

use std::time::Duration;

use alink_gateway::base::Wall;
use alink_gateway::lab::platform::{Platform, Violation};
use alink_gateway::spec::{Spec, Table};

use super::house::{House, name};

/// What a gateway must never do, not even in a storm.
const NEVER: [Violation; 17] = [
    Violation::BatchTooLarge,
    Violation::DeviceTwice,
    Violation::TooManyOnline,
    Violation::LoginTooOften,
    Violation::LoginQuota,
    Violation::BadSign,
    Violation::IdReused,
    Violation::IdMalformed,
    Violation::MessageQuota,
    Violation::QosAboveZero,
    Violation::Retain,
    Violation::Will,
    Violation::PayloadTooLarge,
    Violation::Malformed,
    Violation::PackTooLarge,
    Violation::TooManyProperties,
    Violation::ConnectQuota,
];

/// What it may do only because the platform has ended a session that the
/// gateway has not yet heard of.
const ONLY_AFTER_A_KICK: [Violation; 2] = [Violation::BeforeLogin, Violation::PackBeforeLogin];

/// The platform's rules were kept.
pub(crate) fn no_rule_broken(platform: &Platform, kicked: bool) {
    let broken = platform.ledger().violations();
    for rule in NEVER {
        assert!(!broken.contains_key(&rule), "{rule:?}: {:?}", broken[&rule]);
    }
    if !kicked {
        for rule in ONLY_AFTER_A_KICK {
            assert!(!broken.contains_key(&rule), "{rule:?}: {:?}", broken[&rule]);
        }
    }
}

/// Every value in the cloud stood in that very register of that very unit at
/// the time it claims.
pub(crate) async fn every_value_was_true(house: &House) -> usize {
    let accepted: Vec<_> = house
        .platform(|p| p.accepted().log().cloned().collect())
        .await;
    for v in &accepted {
        let (device, d) = house
            .spec
            .devices()
            .find(|(id, _)| name(&house.spec, *id) == v.device)
            .unwrap_or_else(|| panic!("a value of a stranger: {v:?}"));
        let (table, address) = match v.property.as_str() {
            "h10" => (Table::HoldingRegister, 10),
            "h11" => (Table::HoldingRegister, 11),
            "i500" => (Table::InputRegister, 500),
            other => panic!("a property nobody has: {other}"),
        };
        let time = v.time.expect("every value has its own time");
        let value = v.value.as_u64().and_then(|n| u16::try_from(n).ok());
        let value = value.unwrap_or_else(|| panic!("not a register's value: {v:?}"));
        let window = Wall::from_millis(time.as_millis() - 1_000)..=time;
        let held = house.wires[d.port.index()].with(|line| {
            line.unit(d.unit)
                .is_some_and(|u| u.held(window, table, address, &[value]))
        });
        assert!(held, "device {device:?} never held this: {v:?}");
    }
    accepted.len()
}

/// The cloud's picture is the bus's truth: what answers is online, what does
/// not is not.
pub(crate) async fn differences(house: &House) -> Vec<String> {
    let mut wrong = Vec::new();
    for (id, d) in house.spec.devices() {
        let (alive, online) = (house.is_alive(id), house.is_online(id).await);
        if alive != online {
            wrong.push(format!(
                "{}: on the bus {}, in the cloud {}",
                d.name,
                if alive { "alive" } else { "dead" },
                if online { "online" } else { "offline" },
            ));
        }
    }
    wrong
}

/// The longest a silent device may stay online while the cloud listens: three
/// missed polls of a device at 2 s, its quiet time, a linger, and the wait for
/// values that go before it.
pub(crate) fn silence_bound(spec: &Spec) -> Duration {
    let quiet = spec
        .devices
        .iter()
        .map(|d| d.liveness.quiet)
        .max()
        .unwrap_or_default();
    quiet + Duration::from_secs(6) + spec.cloud.session.linger + Duration::from_secs(3)
}

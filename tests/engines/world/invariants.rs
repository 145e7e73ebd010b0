//! What must be true, whatever happens. Each invariant has a name, and a breach says
//! which device and what was seen.

use std::collections::BTreeMap;
use std::time::Duration;

use alink_gateway::base::{Mono, Wall};
use alink_gateway::lab::platform::{Code, Device, Event, Platform, SessionRequestKind, Violation};
use alink_gateway::lab::site::Site;
use alink_gateway::spec::{Spec, Table};

use super::site::name;

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

/// After the platform has ended a session, the gateway may speak for the device until
/// it learns of it. The notice may be lost, and a platform that takes packs for devices
/// without a session refuses nothing. Then the device's own topic shows the loss, which
/// its readings use at least every ten minutes. A minute is added for answers that are
/// late or lost.
const HEARS_WITHIN: Duration = Duration::from_secs(660);

/// A device whose secret was refused waits ten minutes the first time; jitter
/// takes up to half of it away.
const BARRED_FOR: Duration = Duration::from_secs(299);

/// An answer that is slower than this, or overtaken for so long, may be taken for
/// lost.
const UNHEARD: Duration = Duration::from_secs(16);

/// Checks that the rules of the platform were kept: for `bad` devices, whose secret it
/// does not accept, as far as a gateway can.
pub(crate) fn no_rule_broken(platform: &Platform, bad: &[Device]) {
    let broken = platform.ledger().violations();
    for (rule, how) in broken {
        let excused = *rule == Violation::BadSign && bad.iter().any(|d| d.to_string() == how.first);
        assert!(!NEVER.contains(rule) || excused, "{rule:?}: {how:?}");
    }
    nobody_spoke_before_log_in(platform);
    who_was_refused_alone_waits_and_stays_alone(platform, bad);
    for (at, event) in platform.ledger().events() {
        if let Event::LoggedIn(device) = event {
            assert!(!bad.contains(device), "{at}: {device} was let in");
        }
    }
}

/// Checks that a device whose secret the platform has refused, to itself alone, is not
/// submitted again soon, nor ever again with others which it would keep out.
///
/// There are two exceptions. If that answer was lost on its way, the device is soon
/// submitted again. And the orders of the platform may end a wait.
fn who_was_refused_alone_waits_and_stays_alone(platform: &Platform, bad: &[Device]) {
    let interruptions: Vec<Mono> = platform
        .ledger()
        .events()
        .filter(|(_, e)| matches!(e, Event::Disconnected { .. } | Event::Replied { .. }))
        .map(|(at, _)| *at)
        .collect();
    for device in bad {
        let mut refused: Option<Mono> = None;
        let asked = platform.ledger().asked().filter(|a| {
            matches!(
                a.ask,
                SessionRequestKind::Login | SessionRequestKind::BatchLogin
            ) && a.devices.contains(device)
        });
        for a in asked {
            if let Some(since) = refused {
                let waited = a.at.since(since);
                let heard =
                    waited > UNHEARD && !interruptions.iter().any(|at| (since..=a.at).contains(at));
                assert!(
                    !heard || waited >= BARRED_FOR,
                    "{}: {device} was tried again {waited:?} after its secret was refused",
                    a.at
                );
                assert!(
                    !heard || a.size() == 1,
                    "{}: {device}, refused before, is in a batch of {}",
                    a.at,
                    a.size()
                );
            }
            if a.size() == 1 && a.code == Code(6287) {
                refused = a.answered.then_some(a.at);
            }
        }
    }
}

/// Checks that messages for a device without a session came only after the platform
/// itself had ended its session, and not for long.
fn nobody_spoke_before_log_in(platform: &Platform) {
    let mut ended = BTreeMap::new();
    for (at, event) in platform.ledger().events() {
        match event {
            Event::Ended { device, .. } | Event::Lost(device) => {
                ended.insert(device, *at);
            }
            Event::LoggedIn(device) | Event::LoggedOut(device) => {
                ended.remove(device);
            }
            Event::Disconnected { .. } => ended.clear(),
            Event::OutOfSession(device) => {
                let since = ended.get(device).map(|ended| at.since(*ended));
                assert!(
                    since.is_some_and(|since| since <= HEARS_WITHIN),
                    "{at}: {device} spoke without a session, which the platform had ended \
                     {since:?} before"
                );
            }
            _ => {}
        }
    }
}

/// Checks that every value in the cloud stood in that very register of that very unit
/// at the time it claims.
pub(crate) async fn every_value_was_true(site: &Site) -> usize {
    let accepted: Vec<_> = site
        .platform(|p, _| p.accepted().log().cloned().collect())
        .await;
    for v in &accepted {
        let (device, d) = site
            .spec
            .devices()
            .find(|(id, _)| name(&site.spec, *id) == v.device)
            .unwrap_or_else(|| panic!("a value of a stranger: {v:?}"));
        let (table, address) = match v.property.as_str() {
            "h10" => (Table::HoldingRegister, 10),
            "h11" => (Table::HoldingRegister, 11),
            "i500" => (Table::InputRegister, 500),
            other => panic!("a property no device has: {other}"),
        };
        let time = v.time.expect("every value has its own time");
        let value = v.value.as_u64().and_then(|n| u16::try_from(n).ok());
        let value = value.unwrap_or_else(|| panic!("not a register's value: {v:?}"));
        let window = Wall::from_millis(time.as_millis() - 1_000)..=time;
        let held = site.wires[d.port.index()].with(|line| {
            line.unit(d.address.unit().unwrap())
                .is_some_and(|u| u.had(window, table, address, &[value]))
        });
        assert!(held, "device {device:?} never held this: {v:?}");
    }
    accepted.len()
}

/// Returns where the cloud differs from the bus: a device that answers is online, as
/// far as the platform has places and accepts it; a device that does not answer is not;
/// and no device that is disabled there is.
pub(crate) async fn differences(site: &Site, bad: &[Device]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut left_out = Vec::new();
    let mut online = 0;
    for (id, d) in site.spec.devices() {
        let name = name(&site.spec, id);
        let is_bad = bad.contains(&name);
        let is_disabled = site.platform(move |p, _| p.is_disabled(&name)).await;
        let wanted = site.is_alive(id) && !is_disabled && !is_bad;
        let is = site.is_online(id).await;
        online += usize::from(is);
        if wanted && !is {
            left_out.push(format!("{}: alive, yet offline", d.name));
        } else if is && !wanted {
            wrong.push(format!("{}: dead or refused, yet online", d.name));
        }
    }
    // When all places are taken, the devices without a place may be any.
    if online < site.spec.cloud.session.online {
        wrong.append(&mut left_out);
    }
    wrong
}

/// Returns the longest time for which a silent device may stay online while the cloud
/// listens: three missed polls of a device at 2 s, its quiet time, the grace of its
/// port, which may stand still for that long, a linger, and the wait for values that go
/// before the log-out.
pub(crate) fn silence_bound(spec: &Spec) -> Duration {
    let quiet = spec
        .devices
        .iter()
        .map(|d| d.liveness.quiet)
        .max()
        .unwrap_or_default();
    let grace = spec.ports.iter().map(|p| p.budget.grace).max();
    let quiet = quiet + grace.unwrap_or_default();
    quiet + Duration::from_secs(6) + spec.cloud.session.linger + Duration::from_secs(3)
}

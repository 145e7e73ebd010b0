//! Connections that end soon after they began. Two gateways with one certificate, each
//! displacing the other: how often do they connect? One gateway at a server that closes
//! its connections soon: how long is it offline?

use std::time::Duration;

use super::site::{at, connect, spec};
use crate::base::{LinkDown, Mono, Rng};
use crate::cloud::Connector;
use crate::lab::platform::{Conn, Device, Fault, Output, Platform, PlatformSpec};
use crate::spec::Spec;

const TEN_MINUTES: Duration = Duration::from_secs(600);
/// From CONNECT to CONNACK.
const JOURNEY: Duration = Duration::from_millis(20);

/// Counts the CONNECTs of both gateways within ten minutes.
pub(super) fn connects_in_ten_minutes(seed: u64) -> u64 {
    let mut rng = Rng::new(seed);
    let spec = spec(1, 1, 200);
    let mut now = Mono::from_micros(1_000_000);
    let end = now + TEN_MINUTES;
    let mut platform = Platform::new(PlatformSpec::knowing(&spec), rng.fork(), at(now));
    let mut twins: [Connector; 2] =
        std::array::from_fn(|_| Connector::new(&spec.cloud, rng.fork(), at(now)));
    // Which connection each of the gateways has.
    let mut has: [Option<Conn>; 2] = [None, None];
    let mut connections = 0;
    loop {
        let knocks = (0..2).filter(|n| has[*n].is_none());
        let next = knocks.map(|n| (twins[n].attempt_at().at.max(now), n)).min();
        // Both connected at once cannot be: the model ends the older one.
        let Some((when, who)) = next.filter(|(when, _)| *when < end) else {
            break;
        };
        now = when;
        connections += 1;
        let conn = Conn(connections);
        twins[who].on_attempt(at(now));
        platform.on_connect(at(now), conn, &connect(&spec.cloud));
        now = now + JOURNEY;
        for output in platform.drain(at(now)) {
            match output {
                Output::ConnAck { conn, code: 0, .. } => {
                    has[who] = Some(conn);
                    twins[who].on_up(at(now));
                }
                Output::ConnAck { code, .. } => {
                    twins[who].on_down(at(now), &LinkDown::Refused(code));
                }
                Output::Close { conn, .. } => {
                    if let Some(loser) = (0..2).find(|n| has[*n] == Some(conn)) {
                        has[loser] = None;
                        twins[loser].on_down(at(now), &LinkDown::Closed);
                    }
                }
                _ => {}
            }
        }
        for twin in &mut twins {
            while twin.poll(at(now)).is_some() {}
        }
    }
    platform.ledger().totals().connects
}

/// Measures the longest time offline while a server ends three connections, each within
/// 15 s of its CONNACK.
pub(super) fn offline_while_flapping(seed: u64) -> Duration {
    let mut rng = Rng::new(seed);
    let spec = spec(1, 1, 200);
    let mut now = Mono::from_micros(1_000_000);
    let mut platform = Platform::new(PlatformSpec::knowing(&spec), rng.fork(), at(now));
    let (least, most) = (Duration::from_secs(2), Duration::from_secs(15));
    platform.fault(at(now), Fault::Flap { least, most });
    let mut connector = Connector::new(&spec.cloud, rng.fork(), at(now));
    let (mut closed, mut longest) = (now, Duration::ZERO);
    // The last one would hold.
    for n in 1..=4 {
        now = connector.attempt_at().at.max(now);
        let conn = Conn(n);
        connector.on_attempt(at(now));
        platform.on_connect(at(now), conn, &connect(&spec.cloud));
        platform.drain(at(now));
        now = now + JOURNEY;
        connector.on_up(at(now));
        longest = longest.max(now.since(closed));
        while platform.connection(&gateway(&spec)).is_some() {
            let Some(wake) = platform.wake_at() else {
                break;
            };
            now = wake.at.max(now);
            platform.drain(at(now));
        }
        closed = now;
        connector.on_down(at(now), &LinkDown::Closed);
        while connector.poll(at(now)).is_some() {}
    }
    longest
}

fn gateway(spec: &Spec) -> Device {
    let gateway = &spec.cloud.gateway;
    Device {
        product_key: gateway.product_key.clone(),
        device_name: gateway.device_name.clone(),
    }
}

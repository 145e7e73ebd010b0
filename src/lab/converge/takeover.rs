//! Two gateways with one certificate, each throwing the other out: how often
//! do they knock?

use std::time::Duration;

use super::site::{at, connect, spec};
use crate::base::{LinkDown, Mono, Rng};
use crate::cloud::Connector;
use crate::lab::platform::{Conn, Output, Platform, PlatformSpec};

const TEN_MINUTES: Duration = Duration::from_secs(600);
/// From CONNECT to CONNACK.
const JOURNEY: Duration = Duration::from_millis(20);

/// CONNECTs of both within ten minutes.
pub(super) fn connects_in_ten_minutes(seed: u64) -> u64 {
    let mut rng = Rng::new(seed);
    let spec = spec(1, 1, 200);
    let mut now = Mono::from_micros(1_000_000);
    let end = now + TEN_MINUTES;
    let mut platform = Platform::new(PlatformSpec::knowing(&spec), rng.fork(), at(now));
    let mut twins: [Connector; 2] =
        std::array::from_fn(|_| Connector::new(&spec.cloud, rng.fork(), at(now)));
    // Which connection each of them has.
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
        for output in platform.settle(at(now)) {
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

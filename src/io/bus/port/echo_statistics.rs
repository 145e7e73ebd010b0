//! Tracks our own bytes: whether they come back, and whether they should.

use crate::base::{Echoes, Mono, PortId, RateLimit};
use crate::field::diagnostics::events::FieldLogEvent;
use crate::field::receiver::OtherTraffic;

/// The echoes that were heard, and which of them were reported.
#[derive(Debug, Default)]
pub(super) struct EchoStatistics {
    told_heard: bool,
    missed: RateLimit,
    since: Echoes,
}

impl EchoStatistics {
    /// Notes what was heard; returns what the operator should know of it.
    pub(super) fn note(
        &mut self,
        port: PortId,
        now: Mono,
        traffic: &OtherTraffic,
    ) -> impl Iterator<Item = FieldLogEvent> + use<> {
        let sum = &mut self.since;
        sum.expected = sum.expected.saturating_add(traffic.expected_echoes);
        sum.unexpected = sum.unexpected.saturating_add(traffic.echoes);
        sum.missed = sum.missed.saturating_add(traffic.missed_echoes);
        let first = traffic.echoes > 0 && !std::mem::replace(&mut self.told_heard, true);
        let missed = u64::from(traffic.missed_echoes);
        let times = (missed > 0).then(|| self.missed.hit(now, missed)).flatten();
        let unasked = first.then_some(FieldLogEvent::EchoHeard { port });
        let lacking = times.map(|times| FieldLogEvent::EchoMissed { port, times });
        unasked.into_iter().chain(lacking)
    }

    /// Returns the missed echoes that were not reported and are due now.
    pub(super) fn take_due(&mut self, port: PortId, now: Mono) -> Option<FieldLogEvent> {
        let times = self.missed.take_due(now)?.untold;
        Some(FieldLogEvent::EchoMissed { port, times })
    }

    /// Returns the echoes since the last call, if there were any.
    pub(super) fn since_last(&mut self) -> Option<Echoes> {
        let echoes = std::mem::take(&mut self.since);
        (echoes != Echoes::default()).then_some(echoes)
    }
}

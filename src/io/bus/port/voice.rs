//! Our own bytes: whether they come back, and whether they should.

use crate::base::{Echoes, Mono, PortId, RateLimit};
use crate::field::diagnostics::events::Notice;
use crate::field::modbus::rtu::Heard;

/// What was heard of ourselves, and what of it was told.
#[derive(Debug, Default)]
pub(super) struct EchoStatistics {
    told_heard: bool,
    missed: RateLimit,
    since: Echoes,
}

impl EchoStatistics {
    /// This was heard; what of it the operator should know.
    pub(super) fn note(
        &mut self,
        port: PortId,
        now: Mono,
        heard: &Heard,
    ) -> impl Iterator<Item = Notice> + use<> {
        let sum = &mut self.since;
        sum.expected = sum.expected.saturating_add(heard.expected_echoes);
        sum.unexpected = sum.unexpected.saturating_add(heard.echoes);
        sum.missed = sum.missed.saturating_add(heard.missed_echoes);
        let first = heard.echoes > 0 && !std::mem::replace(&mut self.told_heard, true);
        let missed = u64::from(heard.missed_echoes);
        let times = (missed > 0).then(|| self.missed.hit(now, missed)).flatten();
        let unasked = first.then_some(Notice::EchoHeard { port });
        let lacking = times.map(|times| Notice::EchoMissed { port, times });
        unasked.into_iter().chain(lacking)
    }

    /// Echoes missed that were not told and are to be told now.
    pub(super) fn settle(&mut self, port: PortId, now: Mono) -> Option<Notice> {
        let times = self.missed.settle(now)?.untold;
        Some(Notice::EchoMissed { port, times })
    }

    /// What has gathered since this was last asked, if anything.
    pub(super) fn since_last(&mut self) -> Option<Echoes> {
        let echoes = std::mem::take(&mut self.since);
        (echoes != Echoes::default()).then_some(echoes)
    }
}

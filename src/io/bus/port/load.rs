//! Measures how busy the port is, and how many probes it sends.

use std::time::Duration;

use crate::base::Mono;

/// How often the load is reported.
pub(super) const EVERY: Duration = Duration::from_secs(5);

/// The load since the last report.
#[derive(Debug)]
pub(super) struct Load {
    busy: Duration,
    probes: u32,
    since: Mono,
}

impl Load {
    /// Makes a measurement that begins now.
    pub(super) const fn new(now: Mono) -> Self {
        Load {
            busy: Duration::ZERO,
            probes: 0,
            since: now,
        }
    }

    /// Notes that the port was opened: it was not busy before.
    pub(super) const fn opened(&mut self, now: Mono) {
        self.busy = Duration::ZERO;
        self.since = now;
    }

    /// Returns when the load is to be reported.
    pub(super) fn due(&self) -> Mono {
        self.since + EVERY
    }

    /// Adds a time for which the line was in use.
    pub(super) fn was_busy(&mut self, busy: Duration) {
        self.busy += busy;
    }

    /// Counts a request that the plan does not have.
    pub(super) const fn probed(&mut self) {
        self.probes = self.probes.saturating_add(1);
    }

    /// Returns for how much of the time the line was in use, in thousandths, and how many
    /// probes there were; begins a new measurement.
    pub(super) fn take(&mut self, now: Mono) -> (u16, u32) {
        let elapsed = now.since(self.since).as_micros().max(1);
        let permille = (self.busy.as_micros() * 1000 / elapsed).min(1000);
        let probes = self.probes;
        *self = Load::new(now);
        (u16::try_from(permille).unwrap_or(1000), probes)
    }
}

//! The longest of the times that were measured in the last while.

use std::time::Duration;

use crate::base::Mono;

/// How long a measured time counts: at least this long and at most twice as long.
pub const MEMORY: Duration = Duration::from_secs(600);

/// The longest of the current and of the previous period of [`MEMORY`].
#[derive(Clone, Debug)]
pub struct RecentMax {
    stretches: [Duration; 2],
    since: Mono,
}

impl RecentMax {
    /// Returns the state before anything was measured.
    #[must_use]
    pub const fn new(now: Mono) -> Self {
        RecentMax {
            stretches: [Duration::ZERO; 2],
            since: now,
        }
    }

    /// Notes a measured time.
    pub fn measured(&mut self, now: Mono, one: Duration) {
        if now.since(self.since) >= MEMORY {
            self.stretches = [Duration::ZERO, self.stretches[0]];
            self.since = now;
        }
        self.stretches[0] = self.stretches[0].max(one);
    }

    /// Sets the longest time from now on, for twice [`MEMORY`].
    pub const fn set(&mut self, now: Mono, to: Duration) {
        *self = RecentMax {
            stretches: [to; 2],
            since: now,
        };
    }

    /// Returns the longest time; zero if nothing was measured.
    #[must_use]
    pub fn get(&self) -> Duration {
        self.stretches[0].max(self.stretches[1])
    }
}

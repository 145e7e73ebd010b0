//! The only module that reads clocks.
//!
//! Monotonic time is tokio's, so a paused test clock holds here as well; wall
//! time is the system's, except on virtual time, where it is derived from the
//! monotonic one.

use std::path::Path;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, Sleep};

use crate::base::{Mono, Now, Wall};

/// The source of the current time. Cheap to clone; all clones agree.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    wall: WallSource,
}

#[derive(Clone, Copy, Debug)]
enum WallSource {
    System,
    SinceStart { at: Wall, synchronised: bool },
}

/// The file that systemd-timesyncd makes when it has set the clock
/// (systemd-timesyncd.service(8), FILES). The kernel's own call, adjtimex(2), has no safe
/// wrapper. Where another daemon keeps the time the file is absent, and the platform is asked
/// for the time, which costs a message an hour.
const SYNCHRONISED: &str = "/run/systemd/timesync/synchronized";

impl Clock {
    /// Returns the system's clocks. The monotonic one starts now.
    #[must_use]
    pub fn system() -> Self {
        Clock {
            start: Instant::now(),
            wall: WallSource::System,
        }
    }

    /// Returns how long the machine had been running when this clock began to count
    /// (`/proc/uptime`, proc(5)).
    #[must_use]
    pub fn machine_age_at_start(&self) -> Duration {
        let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
        let seconds = text.split_whitespace().next().and_then(|s| s.parse().ok());
        let age = Duration::try_from_secs_f64(seconds.unwrap_or(0.0)).unwrap_or_default();
        age.saturating_sub(self.start.elapsed())
    }

    /// Returns a clock whose wall time is `at` now and advances with tokio's clock only: the
    /// same run gives the same stamps.
    #[must_use]
    pub fn starting_at(at: Wall) -> Self {
        Clock {
            start: Instant::now(),
            wall: WallSource::SinceStart {
                at,
                synchronised: true,
            },
        }
    }

    /// Returns such a clock that was never set: a box without a battery clock.
    #[must_use]
    pub fn unset_at(at: Wall) -> Self {
        Clock {
            start: Instant::now(),
            wall: WallSource::SinceStart {
                at,
                synchronised: false,
            },
        }
    }

    /// Returns whether a time service has set the wall clock. This looks at the file system: not
    /// for every turn of a loop.
    #[must_use]
    pub fn is_synchronised(&self) -> bool {
        match self.wall {
            WallSource::System => Path::new(SYNCHRONISED).exists(),
            WallSource::SinceStart { synchronised, .. } => synchronised,
        }
    }

    /// Returns the current time on both clocks.
    #[must_use]
    pub fn now(&self) -> Now {
        let elapsed = self.start.elapsed();
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        let wall = match self.wall {
            WallSource::System => wall_now(),
            WallSource::SinceStart { at, .. } => {
                let millis = i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX);
                Wall::from_millis(at.as_millis().saturating_add(millis))
            }
        };
        Now {
            mono: Mono::from_micros(micros),
            wall,
        }
    }

    /// Returns a timer that fires at `at`; at once if that has passed.
    pub fn sleep_until(&self, at: Mono) -> Sleep {
        tokio::time::sleep_until(self.instant(at))
    }

    /// Returns `at` on tokio's clock.
    #[must_use]
    pub fn instant(&self, at: Mono) -> Instant {
        self.start + at.since(Mono::START)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the wall clock"
)]
fn wall_now() -> Wall {
    let millis = match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
    };
    Wall::from_millis(millis)
}

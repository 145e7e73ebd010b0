//! How time passes in a world: only when the world says so, on both clocks alike.

use std::time::Duration;

use alink_gateway::base::{Mono, Now, Wake, Wall};

/// What the wall clock shows at the start of the machine, in milliseconds.
const AT_START: i64 = 1_700_000_000_000;

/// Returns the time when it has become `at`; the monotonic clock never goes back.
pub(crate) fn advanced(now: Now, at: Mono) -> Now {
    let millis = i64::try_from(at.since(Mono::START).as_millis()).unwrap();
    Now {
        mono: at.max(now.mono),
        wall: Wall::from_millis(AT_START + millis),
    }
}

/// Returns the time at which the first of two is to be woken, or `end` if that is earlier, and in
/// any case a later time than now.
pub(crate) fn next_wake(now: Now, wakes: [Option<Wake>; 2], end: Mono) -> Now {
    let next = wakes.into_iter().flatten().map(|w| w.at).min();
    let next = next.unwrap_or(end).max(now.mono).min(end);
    let step = next.since(now.mono).max(Duration::from_millis(1));
    Now {
        mono: now.mono + step,
        wall: Wall::from_millis(now.wall.as_millis() + step.as_millis() as i64),
    }
}

//! Bounds how much is read from the platform: as much as it may send, and no more.
//!
//! The platform sends an account 2,000 messages a second at most, and 1,024 KB a second on one
//! connection ("Limits"). What exceeds that is left in the network, where TCP slows the sender.
//! Nothing is lost, and the other tasks of this process keep their time. A broker that exceeds
//! the limit for [`FLOODS_FOR`] is given up: behind the bytes that wait in the network,
//! messages would come minutes late.

use std::time::Duration;

use crate::base::Mono;

/// The size of a unit. A packet counts once for each unit that it has begun: 2,048 units a
/// second are both limits at the same time.
const UNIT: usize = 512;

/// How many units a second are read.
const PER_SECOND: u32 = 2_048;

/// How much may come at once, as the time it would take: 8,192 packets, or 4 MiB. A backlog
/// that the network held back for some seconds comes like this.
const AT_ONCE: Duration = Duration::from_secs(4);

/// How long reading may be held back until the connection ends. A platform that had held
/// messages back for a minute has delivered them by then.
const FLOODS_FOR: Duration = Duration::from_secs(30);

/// How much more reading could have taken, as time, when it counts as caught up.
const CAUGHT_UP: Duration = Duration::from_secs(1);

/// Spaces units evenly (GCRA, as in `cloud/alink/requests/pace.rs`).
#[derive(Debug)]
pub(super) struct InputLimit {
    even: Mono,
    packets: u64,
    bytes: u64,
    since: Mono,
    told: bool,
    /// Since when reading is held back and has not caught up.
    paused_since: Option<Mono>,
}

/// How much more came than a platform sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InputExcess {
    pub packets: u64,
    pub bytes: u64,
    pub within: Duration,
}

impl InputLimit {
    pub(super) const fn new(now: Mono) -> Self {
        InputLimit {
            even: now,
            packets: 0,
            bytes: 0,
            since: now,
            told: false,
            paused_since: None,
        }
    }

    /// Returns when the next packet may be taken.
    pub(super) fn ready_at(&self) -> Mono {
        Mono::START + self.even.since(Mono::START + AT_ONCE)
    }

    /// Counts a packet of `bytes` bytes that was taken; returns the excess to report, the first
    /// time that a packet was one too many.
    pub(super) fn take(&mut self, now: Mono, bytes: usize) -> Option<InputExcess> {
        if self.even <= now {
            (self.packets, self.bytes, self.since) = (0, 0, now);
        }
        if now.since(self.ready_at()) >= CAUGHT_UP {
            self.paused_since = None;
        }
        let units = u32::try_from(bytes.div_ceil(UNIT).max(1)).unwrap_or(u32::MAX);
        self.even = self.even.max(now) + Duration::from_secs(1) / PER_SECOND * units;
        self.packets += 1;
        self.bytes += bytes as u64;
        if self.ready_at() <= now {
            return None;
        }
        self.paused_since.get_or_insert(now);
        if self.told {
            return None;
        }
        self.told = true;
        Some(InputExcess {
            packets: self.packets,
            bytes: self.bytes,
            within: now.since(self.since),
        })
    }

    /// Returns whether the connection is to be given up because too much comes on it.
    pub(super) fn is_flooded(&self, now: Mono) -> bool {
        self.paused_since
            .is_some_and(|since| now.since(since) >= FLOODS_FOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_platform_may_send_is_never_held_back() {
        for (every, bytes) in [(500, 300), (250_000, 256 * 1024)] {
            let mut input_limit = InputLimit::new(Mono::START);
            for n in 0..100_000 {
                let now = Mono::from_micros(n * every);
                assert!(input_limit.ready_at() <= now);
                assert_eq!(input_limit.take(now, bytes), None);
            }
        }
    }

    #[test]
    fn a_flood_that_goes_on_ends_the_connection_and_a_burst_does_not() {
        // Packets on top of what the limits allow, all in the first second.
        for (burst, floods) in [(8_000, false), (30_000, false), (100_000, true)] {
            let mut input_limit = InputLimit::new(Mono::START);
            let (mut waiting, mut flooded) = (burst, false);
            for ms in 0..60_000 {
                let now = Mono::START + Duration::from_millis(ms);
                // In addition a busy platform: half of its limit.
                waiting += 1;
                while waiting > 0 && input_limit.ready_at() <= now {
                    input_limit.take(now, 40);
                    waiting -= 1;
                }
                flooded |= input_limit.is_flooded(now);
            }
            assert_eq!(flooded, floods, "{burst}");
        }
    }

    #[test]
    fn a_flood_is_taken_at_the_rate_of_a_platform_and_told_once() {
        let mut input_limit = InputLimit::new(Mono::START);
        let (mut taken, mut told) = (0, Vec::new());
        for us in 0..20_000_000 {
            let now = Mono::from_micros(us);
            while input_limit.ready_at() <= now {
                taken += 1;
                told.extend(input_limit.take(now, 40));
            }
        }
        let most = (20 + 4) * u64::from(PER_SECOND);
        assert!((most..most + 100).contains(&taken), "{taken}");
        assert_eq!(told.len(), 1);
        assert!((8_000..8_300).contains(&told[0].packets), "{told:?}");
    }
}

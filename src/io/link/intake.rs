//! How much is read from the platform: as much as it may send, and no more.
//!
//! A platform sends an account 2,000 messages a second at most, and 1,024 KB a second on
//! one connection ("Limits"). What exceeds that is left in the network, where TCP slows the
//! sender; nothing is lost, and the time of everything else in this process is its own. A
//! broker that goes on like that delays its own answers to our pings, and the connection
//! ends for want of them.

use std::time::Duration;

use crate::base::Mono;

/// A packet counts once for each of these that it has begun: 2,048 of them a second are
/// both limits at the same time.
const UNIT: usize = 512;

/// Units a second.
const PER_SECOND: u32 = 2_048;

/// So much may come at once, in the time it would take: 8,192 packets, or 4 MiB. What was
/// held back in the network for some seconds comes like this.
const AT_ONCE: Duration = Duration::from_secs(4);

/// Evenly spaced units (GCRA, as in `cloud/pace.rs`).
#[derive(Debug)]
pub(super) struct Intake {
    even: Mono,
    packets: u64,
    bytes: u64,
    since: Mono,
    told: bool,
}

/// More came than a platform sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Excess {
    pub(super) packets: u64,
    pub(super) bytes: u64,
    pub(super) within: Duration,
}

impl Intake {
    pub(super) const fn new(now: Mono) -> Self {
        Intake {
            even: now,
            packets: 0,
            bytes: 0,
            since: now,
            told: false,
        }
    }

    /// When the next packet may be taken.
    pub(super) fn ready_at(&self) -> Mono {
        Mono::START + self.even.since(Mono::START + AT_ONCE)
    }

    /// A packet of so many bytes was taken; what to tell, the first time that it was one
    /// too many.
    pub(super) fn take(&mut self, now: Mono, bytes: usize) -> Option<Excess> {
        if self.even <= now {
            (self.packets, self.bytes, self.since) = (0, 0, now);
        }
        let units = u32::try_from(bytes.div_ceil(UNIT).max(1)).unwrap_or(u32::MAX);
        self.even = self.even.max(now) + Duration::from_secs(1) / PER_SECOND * units;
        self.packets += 1;
        self.bytes += bytes as u64;
        if self.told || self.ready_at() <= now {
            return None;
        }
        self.told = true;
        Some(Excess {
            packets: self.packets,
            bytes: self.bytes,
            within: now.since(self.since),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_platform_may_send_is_never_held_back() {
        for (every, bytes) in [(500, 300), (250_000, 256 * 1024)] {
            let mut intake = Intake::new(Mono::START);
            for n in 0..100_000 {
                let now = Mono::from_micros(n * every);
                assert!(intake.ready_at() <= now);
                assert_eq!(intake.take(now, bytes), None);
            }
        }
    }

    #[test]
    fn a_flood_is_taken_at_the_rate_of_a_platform_and_told_once() {
        let mut intake = Intake::new(Mono::START);
        let (mut taken, mut told) = (0, Vec::new());
        for us in 0..20_000_000 {
            let now = Mono::from_micros(us);
            while intake.ready_at() <= now {
                taken += 1;
                told.extend(intake.take(now, 40));
            }
        }
        let most = (20 + 4) * u64::from(PER_SECOND);
        assert!((most..most + 100).contains(&taken), "{taken}");
        assert_eq!(told.len(), 1);
        assert!((8_000..8_300).contains(&told[0].packets), "{told:?}");
    }
}

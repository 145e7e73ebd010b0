//! How many sub-devices the platform lets be online, learned from its refusals (428) and
//! from the log-ins that it accepts.
//!
//! A refusal says that this many devices were too many, an acceptance that this many fit;
//! between the two the limit is searched by halves, one request at a time. Once the limit
//! is known, exactly as many devices as fit are asked for, and one device more every [`PROBE`],
//! which shows when the limit has been raised. The number of devices accepted after that
//! doubles with every request, and with a whole batch the limit is forgotten.
//!
//! The page gives no number in a 428, and the quota differs between accounts and over time
//! (200, 1500 and 2000 were published), so no number is assumed.

use std::time::Duration;

use crate::base::{Mono, Rng};

/// The time from a refusal by a full gateway to the next attempt beyond the limit. After
/// this time a gateway of 2,000 devices is still complete within the minute.
const PROBE: Duration = Duration::from_secs(45);
/// The random part subtracted from it, so that gateways do not probe together.
const SPREAD: Duration = Duration::from_secs(5);

/// How many devices may be asked for now, or from some moment on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allowance {
    /// How many.
    pub devices: usize,
    /// The time before which none may be asked for.
    pub from: Mono,
}

/// What is known of the platform's limit. Without a refusal: nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct OnlineQuota {
    learned: Option<LearnedQuota>,
}

#[derive(Clone, Copy, Debug)]
struct LearnedQuota {
    /// This many devices were online at once.
    fits: usize,
    /// This many devices were refused, more than `fits`; `None` once as many have been
    /// accepted after all.
    too_many: Option<usize>,
    /// How many devices beyond `fits` to try, while no number is known to be too many.
    step: usize,
    probe_at: Mono,
    /// The limit that was last reported to the operator.
    told: Option<usize>,
}

impl OnlineQuota {
    /// Forgets what was learned.
    pub(crate) fn forget(&mut self) {
        self.learned = None;
    }

    /// Returns how many devices may be asked for besides the `occupied` ones;
    /// `alone`: no other log-in is under way. `None` while only an event can change that: a
    /// device leaves, or a reply comes.
    pub(crate) fn allowance(&self, occupied: usize, alone: bool) -> Option<Allowance> {
        let at_once = |devices| Allowance {
            devices,
            from: Mono::START,
        };
        let Some(learned) = self.learned else {
            return Some(at_once(usize::MAX));
        };
        let free = learned.fits.saturating_sub(occupied);
        if free > 0 {
            return Some(at_once(free));
        }
        alone.then(|| match learned.too_many.map(|n| n - 1 - learned.fits) {
            None => at_once(learned.step),
            Some(0) => Allowance {
                devices: 1,
                from: learned.probe_at,
            },
            Some(between) => at_once(between.div_ceil(2)),
        })
    }

    /// Takes note that this many devices are online after an accepted log-in.
    pub(crate) fn accepted(&mut self, online: usize, batch: usize) {
        let Some(learned) = &mut self.learned else {
            return;
        };
        if online <= learned.fits {
            return;
        }
        learned.fits = online;
        if learned.too_many.is_some_and(|n| n > online) {
            return;
        }
        // The limit has been raised.
        learned.too_many = None;
        learned.step *= 2;
        if learned.step > batch {
            self.learned = None;
        }
    }

    /// Takes note that `more` devices besides the `occupied` ones, of which `online` are
    /// certain, were too many. Returns the limit if it is now known and was not reported
    /// before.
    pub(crate) fn refused(
        &mut self,
        now: Mono,
        online: usize,
        occupied: usize,
        more: usize,
        rng: &mut Rng,
    ) -> Option<usize> {
        let total = occupied + more.max(1);
        let learned = self.learned.get_or_insert(LearnedQuota {
            fits: online,
            too_many: None,
            step: 1,
            probe_at: now,
            told: None,
        });
        if total <= learned.fits {
            // The limit has been lowered.
            (learned.fits, learned.too_many) = (online, None);
        }
        let least = learned.too_many.map_or(total, |n| n.min(total));
        // The limit is never below what is online: some devices that count as online may
        // not be.
        let least = least.max(learned.fits + 1);
        (learned.too_many, learned.step) = (Some(least), 1);
        if least > learned.fits + 1 {
            return None;
        }
        let spread = u64::try_from(SPREAD.as_micros()).unwrap_or(u64::MAX);
        learned.probe_at = now + (PROBE - Duration::from_micros(rng.below(spread)));
        let news = learned.told != Some(learned.fits);
        learned.told = Some(learned.fits);
        news.then_some(learned.fits)
    }

    /// Returns the longest time until the gateway tries whether more devices fit.
    pub(crate) const fn probed_within() -> Duration {
        PROBE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Rng;
    use proptest::prelude::*;

    const BATCH: usize = 50;

    /// Simulates a platform that takes `cap` devices, asked until all are in or nothing
    /// more may be asked for at once; returns the refusals, and how many devices are
    /// online.
    fn fill(
        online_quota: &mut OnlineQuota,
        now: Mono,
        mut online: usize,
        wanted: usize,
        cap: usize,
        rng: &mut Rng,
    ) -> (usize, usize) {
        let mut refusals = 0;
        while let Some(allowance) = online_quota.allowance(online, true)
            && allowance.from <= now
            && online < wanted
        {
            let n = allowance.devices.min(BATCH).min(wanted - online);
            if online + n <= cap {
                online += n;
                online_quota.accepted(online, BATCH);
            } else {
                refusals += 1;
                let _ = online_quota.refused(now, online, online, n, rng);
            }
        }
        (refusals, online)
    }

    proptest! {
        #[test]
        fn the_quota_is_used_up_with_few_refusals(
            cap in 0usize..400, wanted in 0usize..500, later in 0usize..400, left in 0usize..200
        ) {
            let mut rng = Rng::new(7);
            let mut online_quota = OnlineQuota::default();
            let mut now = Mono::from_micros(1_000_000);
            let (refusals, online) = fill(&mut online_quota, now, 0, wanted, cap, &mut rng);
            prop_assert_eq!(online, cap.min(wanted));
            prop_assert!(refusals <= 7, "{} refusals", refusals);
            // Some devices leave: exactly as many are asked for.
            let stay = online - left.min(online);
            let (refusals, online) = fill(&mut online_quota, now, stay, wanted, cap, &mut rng);
            prop_assert_eq!(online, cap.min(wanted));
            prop_assert!(refusals <= 7, "{} refusals", refusals);
            if wanted > cap {
                prop_assert_eq!(refusals, 0);
                now = now + PROBE;
            }
            // Another limit: the next devices that may be asked for find it out.
            let stay = online.min(later);
            let (refusals, online) = fill(&mut online_quota, now, stay, wanted, later, &mut rng);
            prop_assert_eq!(online, later.min(wanted));
            prop_assert!(refusals <= 9, "{} refusals", refusals);
        }
    }

    #[test]
    fn a_full_gateway_is_probed_with_one_device_after_a_while() {
        let mut rng = Rng::new(7);
        let mut online_quota = OnlineQuota::default();
        let now = Mono::from_micros(1_000_000);
        assert_eq!(online_quota.refused(now, 2, 2, 1, &mut rng), Some(2));
        assert_eq!(
            online_quota.allowance(2, false),
            None,
            "not while another is"
        );
        let probe = online_quota.allowance(2, true).unwrap();
        assert_eq!(probe.devices, 1);
        assert!(probe.from >= now + (PROBE - SPREAD) && probe.from <= now + PROBE);
        let then = probe.from;
        assert_eq!(
            online_quota.refused(then, 2, 2, 1, &mut rng),
            None,
            "told once"
        );
        assert!(online_quota.allowance(2, true).unwrap().from > then);
    }
}

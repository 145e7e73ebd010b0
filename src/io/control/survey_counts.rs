//! Counts the surveys of each user on each port, so that the journal says who has asked devices
//! beside the configuration, in few entries: a scan of a line is hundreds of requests.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::events::ControlEvent;
use crate::base::{Mono, RateLimit};
use crate::io::system::clock::Clock;
use crate::spec::Spec;

/// How many pairs of a user and a port are counted; of more than these that ask within a minute
/// each request is told.
const PAIRS: usize = 64;

/// The counts of all users and ports.
#[derive(Debug, Default)]
pub(super) struct SurveyCounts {
    /// By user and name of the port: its number may change with a reload.
    pairs: Mutex<BTreeMap<(u32, String), RateLimit>>,
    /// Says that a request was counted which is to be told later.
    counted: Notify,
}

impl SurveyCounts {
    /// Counts a request; returns the notice, if it is time for one.
    pub(super) fn surveyed(
        &self,
        now: Mono,
        user: u32,
        port: &str,
        spec: &Spec,
    ) -> Option<ControlEvent> {
        let times = self.count(now, user, port)?;
        notice(spec, user, port, times)
    }

    fn count(&self, now: Mono, user: u32, port: &str) -> Option<u64> {
        let pair = (user, port.to_owned());
        let mut pairs = self.pairs();
        if pairs.len() >= PAIRS && !pairs.contains_key(&pair) {
            pairs.retain(|_, requests| requests.due().is_some());
            if pairs.len() >= PAIRS {
                return Some(1);
            }
        }
        let times = pairs.entry(pair).or_default().hit(now, 1);
        if times.is_none() {
            self.counted.notify_one();
        }
        times
    }

    /// Returns the notices of counts that were held back and are to be told now.
    pub(super) fn take_due(&self, now: Mono, spec: &Spec) -> Vec<ControlEvent> {
        let mut pairs = self.pairs();
        let due = pairs.iter_mut().filter_map(|((user, port), requests)| {
            let times = requests.take_due(now)?.untold;
            notice(spec, *user, port, times)
        });
        due.collect()
    }

    /// Waits until a held-back count is to be told; for ever if there is none.
    pub(super) async fn wait_until_due(&self, clock: Clock) {
        loop {
            let due = self.pairs().values().filter_map(RateLimit::due).min();
            let counted = self.counted.notified();
            match due {
                None => counted.await,
                Some(at) => tokio::select! {
                    () = tokio::time::sleep(at.since(clock.now().mono)) => return,
                    () = counted => {}
                },
            }
        }
    }

    fn pairs(&self) -> MutexGuard<'_, BTreeMap<(u32, String), RateLimit>> {
        self.pairs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the notice; `None` of a port that a reload has removed, which is no news any more.
fn notice(spec: &Spec, user: u32, port: &str, times: u64) -> Option<ControlEvent> {
    let mut ports = spec.ports();
    let (port, _) = ports.find(|(_, known)| known.name == port)?;
    Some(ControlEvent::Surveyed { port, user, times })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Mono {
        Mono::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn a_scan_is_told_when_it_begins_and_counted_until_it_is_over() {
        let counts = SurveyCounts::default();
        let told: Vec<u64> = (0..247)
            .filter_map(|_| counts.count(s(1), 1000, "a"))
            .collect();
        assert_eq!(told, [1]);
        assert_eq!(counts.count(s(1), 0, "a"), Some(1), "another user");
        assert_eq!(counts.count(s(1), 1000, "b"), Some(1), "another port");
        let due = counts.pairs().values().filter_map(RateLimit::due).min();
        assert_eq!(due, Some(s(61)));
        let mut pairs = counts.pairs();
        let mut untold = pairs.values_mut().filter_map(|r| r.take_due(s(61)));
        assert_eq!(untold.next().map(|sum| sum.untold), Some(246));
        assert!(untold.next().is_none());
    }

    #[test]
    fn pairs_without_end_take_no_memory_without_end() {
        let counts = SurveyCounts::default();
        for user in 0..1000 {
            assert_eq!(counts.count(s(1), user, "a"), Some(1));
        }
        assert!(counts.pairs().len() <= PAIRS);
    }

    #[tokio::test(start_paused = true)]
    async fn a_count_that_is_held_back_wakes_the_one_who_waits() {
        let counts = SurveyCounts::default();
        let clock = Clock::system();
        let waiting = counts.wait_until_due(clock);
        let asking = async {
            tokio::task::yield_now().await;
            let now = clock.now().mono;
            assert_eq!(counts.count(now, 1000, "a"), Some(1));
            assert_eq!(counts.count(now, 1000, "a"), None);
        };
        tokio::join!(waiting, asking);
        let pairs = counts.pairs();
        assert!(pairs.values().all(|requests| requests.due().is_some()));
    }
}

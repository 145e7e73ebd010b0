//! Proof of progress for the watchdog.
//!
//! Each task owns a [`Heartbeat`] and beats it when it has really moved: a port
//! when a transaction ended or the wait for the next one was computed, the hub
//! when an input was handled, the link when it read, wrote, pinged or decided
//! to wait. The watchdog is fed only when every task has beaten since the last
//! time (`io/system/notify.rs`).

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::coop::unconstrained;

use super::clock::Clock;

/// How often a wait beats: the watchdog looks every few seconds.
const WAITING: Duration = Duration::from_secs(3);

/// One task's count of steps. Clones share the count.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    name: Arc<str>,
    steps: Arc<AtomicU64>,
}

impl Heartbeat {
    /// A pulse for the task people call `name`.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Heartbeat {
            name: name.into(),
            steps: Arc::default(),
        }
    }

    /// The task has moved.
    pub fn beat(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    /// Does `work`, which is known to end within `limit`, and beats meanwhile: a wait
    /// that was configured is no standstill. A thread that is stuck beats no more,
    /// nor does a task that should have ended. Work that is always ready, as reading a
    /// flood is, takes what tokio allows a task to do in one turn; the wait does not ask
    /// for a share of that, and is never late.
    pub async fn during<T>(
        &self,
        clock: &Clock,
        limit: Duration,
        work: impl Future<Output = T>,
    ) -> T {
        let mut left = limit.as_millis() / WAITING.as_millis() + 1;
        let mut work = pin!(work);
        loop {
            let next = clock.now().mono + WAITING;
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = unconstrained(clock.sleep_until(next)), if left > 0 => {
                    left -= 1;
                    self.beat();
                }
            }
        }
    }

    /// How often it has moved so far.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }

    /// Whose it is.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Whose pulses the watchdog watches. Clones share the list.
#[derive(Clone, Debug, Default)]
pub struct Heartbeats(Arc<Mutex<Vec<Heartbeat>>>);

impl Heartbeats {
    /// A new pulse, watched from now on.
    #[must_use]
    pub fn start(&self, name: &str) -> Heartbeat {
        let pulse = Heartbeat::new(name);
        self.add(pulse.clone());
        pulse
    }

    /// This one is watched from now on.
    pub fn add(&self, pulse: Heartbeat) {
        self.lock().push(pulse);
    }

    /// Its task ends as it should: it is watched no more.
    pub fn end(&self, pulse: &Heartbeat) {
        self.lock().retain(|p| !p.is(pulse));
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> Vec<Heartbeat> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Heartbeat>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Heartbeat {
    /// Whether both count the same steps.
    #[must_use]
    pub fn is(&self, other: &Heartbeat) -> bool {
        Arc::ptr_eq(&self.steps, &other.steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_configured_wait_beats_and_one_without_end_stops_beating() {
        let (pulse, clock) = (Heartbeat::new("line"), Clock::system());
        let wait = tokio::time::sleep(Duration::from_secs(60));
        pulse.during(&clock, Duration::from_secs(60), wait).await;
        assert!(pulse.steps() >= 19, "{}", pulse.steps());

        let before = pulse.steps();
        let stuck = pulse.during(&clock, Duration::from_secs(6), std::future::pending::<()>());
        let hour = Duration::from_secs(3600);
        assert!(tokio::time::timeout(hour, stuck).await.is_err());
        assert_eq!(pulse.steps(), before + 3);
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_is_always_ready_does_not_keep_it_from_beating() {
        let (pulse, clock) = (Heartbeat::new("line"), Clock::system());
        let watched = pulse.clone();
        let busy = async {
            loop {
                tokio::task::coop::consume_budget().await;
            }
        };
        let hour = Duration::from_secs(3600);
        let beating = tokio::spawn(async move { pulse.during(&clock, hour, busy).await });
        for _ in 0..20 {
            tokio::time::advance(Duration::from_secs(1)).await;
            tokio::task::yield_now().await;
        }
        assert!(watched.steps() >= 4, "{}", watched.steps());
        beating.abort();
    }
}

//! Proves progress for the watchdog.
//!
//! Each task owns a [`Heartbeat`] and beats it when the task has made progress: a port when a
//! transaction ended or the wait for the next one was computed, the hub when an input was
//! handled, the link when it read, wrote, pinged or decided to wait. The watchdog is fed only
//! when every task has beaten since the last time (`io/system/notify.rs`).

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::coop::unconstrained;

use super::clock::Clock;

/// How often a wait beats the heartbeat: the watchdog looks every few seconds.
const WAITING: Duration = Duration::from_secs(3);

/// One task's count of steps. Clones share the count.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    name: Arc<str>,
    steps: Arc<AtomicU64>,
}

impl Heartbeat {
    /// Makes a heartbeat for the task that people call `name`.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Heartbeat {
            name: name.into(),
            steps: Arc::default(),
        }
    }

    /// Counts one step of the task.
    pub fn beat(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    /// Does `work`, which is known to end within `limit`, and beats meanwhile: a configured
    /// wait is no standstill. A stuck thread beats no more, nor does a task that should have
    /// ended. Work that is always ready, as reading a flood is, takes what tokio allows a task
    /// to do in one turn; the wait does not count against that allowance, and is never late.
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

    /// Returns how many steps were counted so far.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }

    /// Returns the name of the task.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// The heartbeats that the watchdog watches. Clones share the list.
#[derive(Clone, Debug, Default)]
pub struct Heartbeats(Arc<Mutex<Vec<Heartbeat>>>);

impl Heartbeats {
    /// Makes a new heartbeat, watched from now on.
    #[must_use]
    pub fn start(&self, name: &str) -> Heartbeat {
        let heartbeat = Heartbeat::new(name);
        self.add(heartbeat.clone());
        heartbeat
    }

    /// Adds a heartbeat that is watched from now on.
    pub fn add(&self, heartbeat: Heartbeat) {
        self.lock().push(heartbeat);
    }

    /// Removes the heartbeat of a task that ends as it should.
    pub fn end(&self, heartbeat: &Heartbeat) {
        self.lock().retain(|p| !p.is(heartbeat));
    }

    /// Returns all heartbeats.
    #[must_use]
    pub fn all(&self) -> Vec<Heartbeat> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Heartbeat>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Heartbeat {
    /// Returns whether both count the same steps.
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
        let (heartbeat, clock) = (Heartbeat::new("line"), Clock::system());
        let wait = tokio::time::sleep(Duration::from_secs(60));
        heartbeat
            .during(&clock, Duration::from_secs(60), wait)
            .await;
        assert!(heartbeat.steps() >= 19, "{}", heartbeat.steps());

        let before = heartbeat.steps();
        let stuck = heartbeat.during(&clock, Duration::from_secs(6), std::future::pending::<()>());
        let hour = Duration::from_secs(3600);
        assert!(tokio::time::timeout(hour, stuck).await.is_err());
        assert_eq!(heartbeat.steps(), before + 3);
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_is_always_ready_does_not_keep_it_from_beating() {
        let (heartbeat, clock) = (Heartbeat::new("line"), Clock::system());
        let watched = heartbeat.clone();
        let busy = async {
            loop {
                tokio::task::coop::consume_budget().await;
            }
        };
        let hour = Duration::from_secs(3600);
        let beating = tokio::spawn(async move { heartbeat.during(&clock, hour, busy).await });
        for _ in 0..20 {
            tokio::time::advance(Duration::from_secs(1)).await;
            tokio::task::yield_now().await;
        }
        assert!(watched.steps() >= 4, "{}", watched.steps());
        beating.abort();
    }
}

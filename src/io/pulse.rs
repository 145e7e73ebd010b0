//! Proof of progress for the watchdog.
//!
//! Each task owns a [`Pulse`] and beats it when it has really moved: a port
//! when a transaction ended or the wait for the next one was computed, the hub
//! when an input was handled, the link when it read, wrote, pinged or decided
//! to wait. The watchdog is fed only when every task has beaten since the last
//! time (`io/notify.rs`).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// One task's count of steps. Clones share the count.
#[derive(Clone, Debug)]
pub struct Pulse {
    name: Arc<str>,
    steps: Arc<AtomicU64>,
}

impl Pulse {
    /// A pulse for the task people call `name`.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Pulse {
            name: name.into(),
            steps: Arc::default(),
        }
    }

    /// The task has moved.
    pub fn beat(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
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
pub struct Pulses(Arc<Mutex<Vec<Pulse>>>);

impl Pulses {
    /// A new pulse, watched from now on.
    #[must_use]
    pub fn start(&self, name: &str) -> Pulse {
        let pulse = Pulse::new(name);
        self.add(pulse.clone());
        pulse
    }

    /// This one is watched from now on.
    pub fn add(&self, pulse: Pulse) {
        self.lock().push(pulse);
    }

    /// Its task ends as it should: it is watched no more.
    pub fn end(&self, pulse: &Pulse) {
        self.lock().retain(|p| !p.is(pulse));
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> Vec<Pulse> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Pulse>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pulse {
    /// Whether both count the same steps.
    #[must_use]
    pub fn is(&self, other: &Pulse) -> bool {
        Arc::ptr_eq(&self.steps, &other.steps)
    }
}

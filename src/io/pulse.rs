//! Proof of progress for the watchdog.
//!
//! Each task owns a [`Pulse`] and beats it when it has really moved: a port
//! when a transaction ended or the wait for the next one was computed, the hub
//! when an input was handled, the link when it read, wrote, pinged or decided
//! to wait. The watchdog is fed only when every task has beaten since the last
//! time (`io/notify.rs`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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

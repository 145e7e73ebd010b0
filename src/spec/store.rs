//! What becomes of readings that cannot be delivered: when they go to the store on flash, and
//! what the store may hold.

use serde::Serialize;
use std::time::Duration;

/// What to give up when there is no more room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum DropPolicy {
    /// The oldest values.
    Oldest,
    /// The values that are to be stored.
    Newest,
    /// Every second value of each point, the oldest ones first: a longer time is kept at a
    /// lower rate.
    Thin,
}

/// Which readings are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Durability {
    /// Those that cannot be delivered for a while.
    Undelivered,
    /// All, each before it is sent: a power cut costs only what was not stored yet. Each group
    /// of readings wears the flash, and each reading is sent later by up to
    /// [`StorePolicy::gather`].
    Always,
}

/// How readings that cannot be delivered are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StorePolicy {
    /// Whether there is a store at all.
    pub enabled: bool,
    /// Which readings are stored. Default: those that cannot be delivered for a while.
    pub durable: Durability,
    /// The size of the store: 128 MiB, six million values and more. Flash of this size is
    /// found in the smallest edge boxes.
    pub bytes: u64,
    /// Values older than this are dropped: 30 days.
    pub age: Duration,
    /// What is dropped when the store is full. Default: the oldest values.
    pub drop: DropPolicy,
    /// How long a reading waits in memory to be delivered before it is stored: 30 s. A short
    /// loss of the connection costs no wear of the flash then. A power cut costs what was read
    /// in this time and was not delivered.
    pub spill_after: Duration,
    /// How long readings are gathered for one write to the flash: 5 s. Each write wears at
    /// least one page of some kilobytes.
    pub sync_every: Duration,
}

impl StorePolicy {
    /// How long a reading that is stored before it is sent waits for others at the most: later
    /// it would not show the present any more.
    pub const LONGEST_GATHER: Duration = Duration::from_secs(2);

    /// Returns how long readings that are stored before they are sent are gathered.
    #[must_use]
    pub fn gather(&self) -> Duration {
        self.sync_every.min(Self::LONGEST_GATHER)
    }

    /// Returns how far back a power cut costs readings that were not delivered: as long as a
    /// reading waits in memory, for the reply to its last message, and for the next write.
    #[must_use]
    pub fn loss_window(&self, reply_timeout: Duration) -> Duration {
        match self.durable {
            Durability::Undelivered => self.spill_after + reply_timeout + self.sync_every,
            Durability::Always => self.gather(),
        }
    }
}

impl Default for StorePolicy {
    fn default() -> Self {
        StorePolicy {
            enabled: true,
            durable: Durability::Undelivered,
            bytes: 128 << 20,
            age: Duration::from_secs(30 * 24 * 3600),
            drop: DropPolicy::Oldest,
            spill_after: Duration::from_secs(30),
            sync_every: Duration::from_secs(5),
        }
    }
}

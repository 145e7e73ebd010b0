//! What is done outside for a remote configuration, and how it ended.

use std::fmt;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::base::{Digest, Secret};
use crate::spec::TrialFailure;

/// A file from the platform: it may hold secrets, so it is not shown and is
/// wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Content(Zeroizing<Vec<u8>>);

impl Content {
    /// Takes the bytes.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Content(Zeroizing::new(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "*** ({} bytes)", self.0.len())
    }
}

/// What the engine cannot do by itself.
#[derive(Clone, Debug, PartialEq)]
pub enum RemoteTask {
    /// Download a file.
    Fetch {
        /// The number of the task, given back in [`RemoteResult`].
        serial: u64,
        /// From here; whoever has it can read the file.
        url: Secret,
        /// No more than this; longer is [`Unfetched::TooLarge`].
        at_most: u64,
        /// From now until the last byte.
        within: Duration,
    },
    /// Check it, store it, and go on with it.
    Adopt {
        /// The number of the task, given back in [`RemoteResult`].
        serial: u64,
        /// The file, as it was announced.
        content: Content,
        /// The id of the push it came with, as JSON: should it fail later, that push is
        /// answered again.
        push: Option<String>,
        /// From now until the check has ended; later nothing is stored or applied.
        within: Duration,
    },
    /// Decide about the file on probation.
    Settle {
        /// The number of the task, given back in [`RemoteResult`].
        serial: u64,
        /// Which it is; if another is on probation by then, nothing is done.
        digest: Digest,
        /// What becomes of it.
        verdict: AdoptionResult,
    },
}

/// What becomes of the file on probation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdoptionResult {
    /// It replaces the one before it.
    Proven,
    /// The one before it comes back, and this one is refused from now on.
    Failed(TrialFailure),
    /// The one before it comes back; nothing speaks against this one.
    Withdrawn,
}

/// Why a file was not adopted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAdopted {
    /// For the platform: in one line, of what the file says itself and nothing of
    /// this machine.
    pub said: String,
    /// For the operator.
    pub detail: String,
}

impl NotAdopted {
    /// With nothing to hide.
    #[must_use]
    pub fn openly(said: impl Into<String>) -> Self {
        let said = said.into();
        NotAdopted {
            detail: said.clone(),
            said,
        }
    }
}

/// Why there is no file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfetched {
    /// It has more bytes than asked for.
    TooLarge,
    /// It will be the same the next time: what is wrong, without the URL.
    Refused(String),
    /// It may be better the next time: what is wrong, without the URL.
    Failed(String),
}

/// How an errand ended.
#[derive(Clone, Debug, PartialEq)]
pub enum RemoteResult {
    /// A download.
    Fetched {
        /// The number of the task.
        serial: u64,
        /// The file, or why there is none.
        result: Result<Content, Unfetched>,
    },
    /// An adoption.
    Adopted {
        /// The number of the task.
        serial: u64,
        /// The digest of what is in force now, or what is wrong with it.
        result: Result<Digest, NotAdopted>,
    },
    /// A decision about the file on probation.
    Settled {
        /// The number of the task.
        serial: u64,
        /// Whether it was carried out; if not, it is tried again.
        result: Result<(), String>,
    },
}

impl RemoteResult {
    /// Which errand it was.
    #[must_use]
    pub const fn serial(&self) -> u64 {
        match self {
            RemoteResult::Fetched { serial, .. }
            | RemoteResult::Adopted { serial, .. }
            | RemoteResult::Settled { serial, .. } => *serial,
        }
    }
}

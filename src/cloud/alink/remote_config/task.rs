//! Remote tasks: what is done outside the engine for a remote configuration, and the
//! results.

use std::fmt;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::base::{Digest, Secret};
use crate::spec::TrialFailure;

/// A file from the platform: it may hold secrets, so it is not shown and is wiped from
/// memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct FileContent(Zeroizing<Vec<u8>>);

impl FileContent {
    /// Returns a content of these bytes.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        FileContent(Zeroizing::new(bytes))
    }

    /// Returns the bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for FileContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "*** ({} bytes)", self.0.len())
    }
}

/// A remote task: what the engine cannot do by itself.
#[derive(Clone, Debug, PartialEq)]
pub enum RemoteTask {
    /// Download a file.
    Fetch {
        /// The number of the task, given back in [`RemoteResult`].
        serial: u64,
        /// The address; a reader of the URL can read the file.
        url: Secret,
        /// The most bytes allowed; a longer file is [`FetchFailure::TooLarge`].
        at_most: u64,
        /// How long the download may take, from now until the last byte.
        within: Duration,
    },
    /// Check the file, store it, and continue with it.
    Adopt {
        /// The number of the task, given back in [`RemoteResult`].
        serial: u64,
        /// The file, as it was announced.
        content: FileContent,
        /// The id of the push that announced the file, as JSON: if the file fails later,
        /// that push is answered again.
        push: Option<String>,
        /// How long the check may take from now; after that nothing is stored or applied.
        within: Duration,
    },
    /// Decide about the file on probation.
    Conclude {
        /// The number of the task, given back in [`RemoteResult`].
        serial: u64,
        /// The file concerned; if another is on probation by then, nothing is done.
        digest: Digest,
        /// The verdict about the file.
        verdict: AdoptionResult,
    },
}

/// The verdict about the file on probation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdoptionResult {
    /// The file replaces the one before it.
    Proven,
    /// The one before it comes back, and this file is refused from now on.
    Failed(TrialFailure),
    /// The one before it comes back; nothing speaks against this file.
    Withdrawn,
}

/// Why a file was not adopted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAdopted {
    /// The text for the platform: in one line, about the content of the file and nothing
    /// about this machine.
    pub said: String,
    /// The text for the operator.
    pub detail: String,
}

impl NotAdopted {
    /// Returns a reason with nothing to hide: both texts are the same.
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
pub enum FetchFailure {
    /// The file has more bytes than asked for.
    TooLarge,
    /// The download will fail again: what is wrong, without the URL.
    Refused(String),
    /// The download may succeed the next time: what is wrong, without the URL.
    Failed(String),
}

/// How a remote task ended.
#[derive(Clone, Debug, PartialEq)]
pub enum RemoteResult {
    /// The result of a download.
    Fetched {
        /// The number of the task.
        serial: u64,
        /// The file, or why there is none.
        result: Result<FileContent, FetchFailure>,
    },
    /// The result of an adoption.
    Adopted {
        /// The number of the task.
        serial: u64,
        /// The digest of the file in force now, or what is wrong with the file.
        result: Result<Digest, NotAdopted>,
    },
    /// The result of a decision about the file on probation.
    Concluded {
        /// The number of the task.
        serial: u64,
        /// Whether the decision was carried out; if not, it is tried again.
        result: Result<(), String>,
    },
}

impl RemoteResult {
    /// Returns the number of the task.
    #[must_use]
    pub const fn serial(&self) -> u64 {
        match self {
            RemoteResult::Fetched { serial, .. }
            | RemoteResult::Adopted { serial, .. }
            | RemoteResult::Concluded { serial, .. } => *serial,
        }
    }
}

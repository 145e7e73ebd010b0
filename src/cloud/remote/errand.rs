//! What is done outside for a remote configuration, and how it ended.

use std::fmt;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::base::Secret;

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
pub enum Errand {
    /// Download a file.
    Fetch {
        /// To be given back in [`Done`].
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
        /// To be given back in [`Done`].
        serial: u64,
        /// The file, as it was announced.
        content: Content,
    },
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
pub enum Done {
    /// A download.
    Fetched {
        /// As in the errand.
        serial: u64,
        /// The file, or why there is none.
        result: Result<Content, Unfetched>,
    },
    /// An adoption.
    Adopted {
        /// As in the errand.
        serial: u64,
        /// Whether it is in force, or in one line what is wrong with it.
        result: Result<(), String>,
    },
}

impl Done {
    /// Which errand it was.
    #[must_use]
    pub const fn serial(&self) -> u64 {
        match self {
            Done::Fetched { serial, .. } | Done::Adopted { serial, .. } => *serial,
        }
    }
}

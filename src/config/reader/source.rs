//! The files and credentials that are read for a configuration, and the names by which they are
//! requested.

use std::collections::BTreeMap;
use std::sync::Arc;

/// One file, or the failure of the attempt to read it.
///
/// Not `Debug`: the contents may be a secret.
#[derive(Clone)]
pub struct SourceText {
    /// The path as the operator would open it.
    pub path: String,
    /// The contents of the file, or why there are none, in words that follow "but": "there is no
    /// such file". Shared: a file that is named twice is kept once.
    pub bytes: Result<Arc<[u8]>, String>,
    /// The permissions of the file, where they are known; without those of users who cannot get
    /// through a directory above it.
    pub mode: Option<u32>,
    /// Why the service could not read the file although this process can. `None` if the service
    /// can read it, or if that is unknown.
    pub hidden: Option<ReadObstacle>,
    /// Whether the service can read the file only because every user can.
    pub is_open_for_the_service: bool,
}

impl SourceText {
    /// Returns a file of which nothing but its contents is known.
    #[must_use]
    pub const fn of(path: String, bytes: Result<Arc<[u8]>, String>) -> Self {
        SourceText {
            path,
            bytes,
            mode: None,
            hidden: None,
            is_open_for_the_service: false,
        }
    }
}

/// What keeps the service from reading a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadObstacle {
    /// The first obstacle: `0600 root:root` of the file, or `/srv is 0700 root:root`.
    pub why: String,
    /// Whether the file itself is an obstacle.
    pub is_file: bool,
    /// The directories above it that are obstacles.
    pub directories: Vec<String>,
    /// Whether the file is of the configuration with which the service starts, where that is: a
    /// start would fail.
    pub is_of_the_service: bool,
}

/// A file or credential that a configuration names and that has to be read for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NeededSource {
    /// A file of the configuration, relative to the main file's directory, or
    /// absolute.
    File(String),
    /// A file that holds a secret and nothing else.
    Secret(String),
    /// A file of certificates.
    Bundle(String),
    /// All files that a pattern names, in name order; `*` stands for any
    /// characters within the last part of the path.
    Pattern(String),
    /// A systemd credential.
    Credential(String),
    /// A file beside one that was read, by its path as that one was opened. It need not be there.
    Beside(String),
}

/// What was read. A file or credential is one source; a pattern may be any number. No source for
/// a credential means that there was no directory to look in.
pub type ReadSources = BTreeMap<NeededSource, Vec<SourceText>>;

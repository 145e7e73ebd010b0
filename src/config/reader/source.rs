//! The files and credentials that are read for a configuration, and the names by which they are
//! requested.

use std::collections::BTreeMap;
use std::sync::Arc;

/// One file, or the failure of the attempt to read it.
///
/// Not `Debug`: the contents may be a secret.
#[derive(Clone)]
pub struct Source {
    /// The path as the operator would open it.
    pub path: String,
    /// The contents of the file, or why there are none, in words that follow "but": "there is no
    /// such file". Shared: a file that is named twice is kept once.
    pub bytes: Result<Arc<[u8]>, String>,
    /// The permissions of the file, where they are known.
    pub mode: Option<u32>,
    /// Why the service could not read the file although this process can: `0600 root:root`.
    /// `None` if the service can read it, or if that is unknown.
    pub hidden: Option<String>,
}

/// A file or credential that a configuration names and that has to be read for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Want {
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
}

/// What was read. A file or credential is one source; a pattern may be any number. No source for
/// a credential means that there was no directory to look in.
pub type Answers = BTreeMap<Want, Vec<Source>>;

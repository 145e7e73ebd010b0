//! What the store asks of a disk.

use std::fmt;

/// A directory on a disk, with the few operations that the store needs. No name contains a
/// `/`. The store has the directory for itself.
///
/// Only `sync` and `sync_names` wait for the disk. Whatever was not synced may be there, be
/// missing, or be there in part after a power cut, in any order.
pub trait Disk {
    /// Returns the names and sizes of the files, in any order.
    ///
    /// # Errors
    /// The directory cannot be read.
    fn list(&mut self) -> Result<Vec<(String, u64)>, DiskError>;

    /// Reads up to `len` bytes from `offset` on; less at the end of the file.
    ///
    /// # Errors
    /// The file does not exist, or cannot be read.
    fn read(&mut self, name: &str, offset: u64, len: usize) -> Result<Vec<u8>, DiskError>;

    /// Writes at the end of a file; makes the file if it does not exist.
    ///
    /// # Errors
    /// The disk is full, read-only or broken. A part of the bytes may have been written.
    fn append(&mut self, name: &str, bytes: &[u8]) -> Result<(), DiskError>;

    /// Makes what was written to this file last.
    ///
    /// # Errors
    /// The disk is broken. What was written since the last sync may be gone then, even if
    /// the next sync succeeds.
    fn sync(&mut self, name: &str) -> Result<(), DiskError>;

    /// Makes the names of new, renamed and removed files last.
    ///
    /// # Errors
    /// The disk is broken.
    fn sync_names(&mut self) -> Result<(), DiskError>;

    /// Renames a file; a file of the new name is replaced in one step.
    ///
    /// # Errors
    /// The disk is read-only or broken.
    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError>;

    /// Removes a file.
    ///
    /// # Errors
    /// The disk is read-only or broken.
    fn remove(&mut self, name: &str) -> Result<(), DiskError>;
}

/// Why an operation on the disk failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFault {
    /// No space is left, or a quota is used up.
    Full,
    /// The file system is read-only, or access is denied.
    ReadOnly,
    /// The file does not exist.
    Missing,
    /// Another process has the directory.
    Taken,
    /// Anything else; as a rule the medium is damaged.
    Broken,
}

/// An operation on the disk that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskError {
    /// The kind of failure.
    pub fault: DiskFault,
    /// The operation, as in "syncing".
    pub step: &'static str,
    /// The name of the file; empty for the directory.
    pub file: String,
    /// The system's words.
    pub cause: String,
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.file.as_str() {
            "" => write!(f, "{}: {}", self.step, self.cause),
            file => write!(f, "{} {file}: {}", self.step, self.cause),
        }
    }
}

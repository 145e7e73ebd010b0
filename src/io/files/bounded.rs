//! Reads files whose names, sizes and kinds are decided outside this program.
//!
//! Every path that is read goes through [`read`]. It refuses what is no regular file before
//! opening it: opening a named pipe waits for a writer, opening a watchdog device starts it,
//! and a terminal or `/dev/zero` has no end. The opened file is looked at again, because the
//! name may have been given to something else in between. It is opened without waiting
//! (`O_NONBLOCK`) and without becoming the controlling terminal (`O_NOCTTY`). No more is read
//! than the caller asks for, and one byte to know that there is more.
//!
//! This cannot bound the time of a file system that does not answer (NFS, FUSE): a caller that
//! loads on behalf of the running service has a deadline of its own.

use crate::base::text::counted;
use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Why a file was not read; shown, it follows "but".
#[derive(Debug, thiserror::Error)]
pub enum ReadFailure {
    /// There is no such file.
    #[error("there is no such file")]
    Missing,
    /// This user may not read it.
    #[error("this user may not read it")]
    Forbidden,
    /// The file is of a kind that is not read.
    #[error("it is {0}")]
    NoFile(&'static str),
    /// The file has more bytes than are read of such a file.
    #[error("it is larger than {}", size(*.0))]
    TooLarge(u64),
    /// The system reports another error.
    #[error("it cannot be read: {0}")]
    Failed(io::Error),
}

impl From<io::Error> for ReadFailure {
    fn from(e: io::Error) -> Self {
        match e.kind() {
            ErrorKind::NotFound => ReadFailure::Missing,
            ErrorKind::PermissionDenied => ReadFailure::Forbidden,
            ErrorKind::IsADirectory => ReadFailure::NoFile(DIRECTORY),
            _ => ReadFailure::Failed(e),
        }
    }
}

/// The identity and the state of a file: differs between files, and after a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileIdentity {
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl FileIdentity {
    /// Returns how many bytes the file has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }
}

/// A regular file that is open.
#[derive(Debug)]
pub struct OpenedFile {
    file: File,
    metadata: Metadata,
}

const DIRECTORY: &str = "a directory";

/// Reads a file of at most `most` bytes.
///
/// # Errors
/// The reason; also when the file has more.
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>, ReadFailure> {
    open(path)?.read(most)
}

/// Reads a file of at most `most` bytes, if it is text in UTF-8.
///
/// # Errors
/// The reason; also when the file has more.
pub fn read_text(path: &Path, most: u64) -> Result<String, ReadFailure> {
    let bytes = read(path, most)?;
    String::from_utf8(bytes)
        .map_err(|e| ReadFailure::Failed(io::Error::new(ErrorKind::InvalidData, e.utf8_error())))
}

/// Opens a regular file for reading, and nothing else.
///
/// # Errors
/// The reason.
pub fn open(path: &Path) -> Result<OpenedFile, ReadFailure> {
    regular(std::fs::metadata(path)?.file_type())?;
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    let metadata = file.metadata()?;
    regular(metadata.file_type())?;
    Ok(OpenedFile { file, metadata })
}

impl OpenedFile {
    /// Returns which file it is, and in which state.
    #[must_use]
    pub fn identity(&self) -> FileIdentity {
        let m = &self.metadata;
        FileIdentity {
            device: m.dev(),
            inode: m.ino(),
            size: m.size(),
            changed: (m.mtime(), m.mtime_nsec()),
        }
    }

    /// Returns the file's permissions.
    #[must_use]
    pub fn mode(&self) -> u32 {
        self.metadata.mode()
    }

    /// Reads the contents, at most `most` bytes.
    ///
    /// # Errors
    /// The reason; also when there are more.
    pub fn read(self, most: u64) -> Result<Vec<u8>, ReadFailure> {
        // Files of /proc say that they are empty and are not; others grow. So the reported size
        // is believed only where it is too large.
        if self.metadata.size() > most {
            return Err(ReadFailure::TooLarge(most));
        }
        let mut bytes = Vec::new();
        self.file.take(most + 1).read_to_end(&mut bytes)?;
        match bytes.len() as u64 > most {
            true => Err(ReadFailure::TooLarge(most)),
            false => Ok(bytes),
        }
    }
}

/// Refuses what is no regular file, by its kind.
fn regular(kind: FileType) -> Result<(), ReadFailure> {
    let what = if kind.is_file() {
        return Ok(());
    } else if kind.is_dir() {
        DIRECTORY
    } else if kind.is_fifo() {
        "a named pipe and no file"
    } else if kind.is_socket() {
        "a socket and no file"
    } else if kind.is_char_device() || kind.is_block_device() {
        "a device and no file"
    } else {
        "no regular file"
    };
    Err(ReadFailure::NoFile(what))
}

/// Returns a number of bytes, for people.
fn size(bytes: u64) -> String {
    match bytes {
        _ if bytes >= 1 << 20 && bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        _ if bytes >= 1 << 10 && bytes.is_multiple_of(1 << 10) => format!("{} KiB", bytes >> 10),
        _ => counted(bytes, "byte"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    fn refused(path: &Path) -> String {
        read(path, 64).unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_regular_file_is_refused_by_its_kind_and_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let made = std::process::Command::new("mkfifo")
            .arg(at("pipe"))
            .status();
        assert!(made.unwrap().success());
        let _listener = UnixListener::bind(at("socket")).unwrap();
        std::os::unix::fs::symlink("pipe", at("link")).unwrap();
        std::os::unix::fs::symlink("loop", at("loop")).unwrap();
        assert_eq!(refused(&at("pipe")), "it is a named pipe and no file");
        assert_eq!(refused(&at("link")), "it is a named pipe and no file");
        assert_eq!(refused(&at("socket")), "it is a socket and no file");
        assert_eq!(refused(dir.path()), "it is a directory");
        assert_eq!(refused(&at("none")), "there is no such file");
        assert!(refused(&at("loop")).starts_with("it cannot be read: "));
        for device in ["/dev/zero", "/dev/ptmx", "/dev/full"] {
            assert_eq!(
                refused(Path::new(device)),
                "it is a device and no file",
                "{device}"
            );
        }
    }

    #[test]
    fn no_more_is_read_than_is_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, [b'x'; 64]).unwrap();
        assert_eq!(read(&path, 64).unwrap().len(), 64);
        std::fs::write(&path, [b'x'; 65]).unwrap();
        assert_eq!(refused(&path), "it is larger than 64 bytes");
        // The file says that it is empty.
        let file = read(Path::new("/proc/self/maps"), 64);
        assert_eq!(file.unwrap_err().to_string(), "it is larger than 64 bytes");
        assert_eq!(size(4 << 10), "4 KiB");
        assert_eq!(size(16 << 20), "16 MiB");
    }

    #[test]
    fn one_file_is_itself_however_its_name_is_spelt() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "one").unwrap();
        let otherwise = dir.path().join("././file");
        let identity = |path: &Path| open(path).unwrap().identity();
        assert_eq!(identity(&path), identity(&otherwise));
        std::fs::write(&path, "another").unwrap();
        std::fs::write(dir.path().join("other"), "one").unwrap();
        assert_ne!(identity(&path), identity(&dir.path().join("other")));
    }
}

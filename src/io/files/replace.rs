//! Replaces a file as a whole: there is the old file or the new one, whenever the power fails.
//!
//! The new file is written beside the old one under its name with `.new`, synced, renamed over
//! the old one, and then the directory is synced (POSIX rename(2) is atomic; only the sync of
//! the directory makes it last). The mode is 0600, in a directory that is made with 0700 if it
//! does not exist: such files may hold secrets. One writer at a time.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The steps of a replacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The directory is made, if it does not exist.
    Directory,
    /// The new file is made.
    Open,
    /// The new file is written.
    Write,
    /// The new file is synced.
    Sync,
    /// The new file takes the place of the old one.
    Rename,
    /// The directory is synced.
    SyncDirectory,
}

impl Step {
    /// Returns the step in words, as in "syncing: no space left on device".
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Step::Directory => "making its directory",
            Step::Open => "making a new file beside it",
            Step::Write => "writing",
            Step::Sync => "syncing",
            Step::Rename => "renaming",
            Step::SyncDirectory => "syncing its directory",
        }
    }
}

/// Replaces the file durably before it returns. Blocks on the disk.
///
/// # Errors
/// The system's error; then the old file is still there, whole, unless only the last step
/// failed.
pub fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    step_by_step(file, bytes, &mut |_| Ok(()))
}

/// Replaces the file as [`replace`] does, but without waiting for the disk, in a directory that
/// exists: after a power cut the old file may be back, or an unreadable one.
///
/// # Errors
/// As of [`replace`].
pub fn replace_loosely(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let (fresh, mut out) = open_beside(file)?;
    out.write_all(bytes)?;
    fs::rename(&fresh, file)
}

/// Replaces the file as [`replace`] does. `before` is told each step before it is taken and may
/// forbid it: to report afterwards which step failed, and to simulate a power cut in tests.
///
/// # Errors
/// As of [`replace`], or what `before` says.
pub fn step_by_step(
    file: &Path,
    bytes: &[u8],
    before: &mut dyn FnMut(Step) -> io::Result<()>,
) -> io::Result<()> {
    before(Step::Directory)?;
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(directory_of(file))?;
    before(Step::Open)?;
    let (fresh, mut out) = open_beside(file)?;
    before(Step::Write)?;
    out.write_all(bytes)?;
    before(Step::Sync)?;
    out.sync_all()?;
    before(Step::Rename)?;
    fs::rename(&fresh, file)?;
    before(Step::SyncDirectory)?;
    File::open(directory_of(file))?.sync_all()
}

fn open_beside(file: &Path) -> io::Result<(PathBuf, File)> {
    let mut fresh = file.as_os_str().to_owned();
    fresh.push(".new");
    let fresh = PathBuf::from(fresh);
    // A file left by a crash has an unknown mode: it is made anew.
    match fs::remove_file(&fresh) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut options = OpenOptions::new();
    let out = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&fresh)?;
    Ok((fresh, out))
}

fn directory_of(file: &Path) -> &Path {
    match file.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn whatever_step_fails_there_is_one_of_the_two_and_the_next_try_succeeds() {
        let steps = [
            Step::Directory,
            Step::Open,
            Step::Write,
            Step::Sync,
            Step::Rename,
            Step::SyncDirectory,
        ];
        for fatal in steps {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("made/here.json");
            replace(&file, b"old").unwrap();
            let mut before = |step| match step == fatal {
                true => Err(io::ErrorKind::StorageFull.into()),
                false => Ok(()),
            };
            step_by_step(&file, b"new", &mut before).unwrap_err();
            let there = fs::read(&file).unwrap();
            let replaced = fatal == Step::SyncDirectory;
            let expected: &[u8] = if replaced { b"new" } else { b"old" };
            assert_eq!(there, expected, "{fatal:?}");
            replace(&file, b"newer").unwrap();
            assert_eq!(fs::read(&file).unwrap(), b"newer");
        }
    }

    #[test]
    fn nobody_else_may_read_it_and_nothing_is_left_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("state/secrets");
        fs::create_dir(file.parent().unwrap()).unwrap();
        fs::write(dir.path().join("state/secrets.new"), "left over").unwrap();
        for write in [replace, replace_loosely] {
            write(&file, b"s").unwrap();
            let mode = fs::metadata(&file).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
        }
    }
}

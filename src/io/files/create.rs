//! Makes a file of the configuration that only its owner and its group can read.
//!
//! The group is that of the folder where the user may give the file away (root), so that the
//! service can read what root has written into `/etc/alink-gateway`.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::process;

/// What is done with a file that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// It stays, and nothing is written.
    Refuse,
    /// It is replaced as a whole.
    Replace,
}

/// The mode of a file that is made: a configuration names files with secrets, and may hold some.
pub(super) const MODE: u32 = 0o640;

/// Makes a file with mode 0640. A file that is replaced is so in one step.
///
/// # Errors
/// The system's error; for a file that exists and is not to be replaced, that. Then no file is left
/// that was made here.
pub fn create(path: &Path, bytes: &[u8], existing: Existing) -> io::Result<()> {
    let (target, mut file) = match existing {
        Existing::Refuse => {
            let file = make(path, MODE).map_err(|e| match e.kind() {
                ErrorKind::AlreadyExists => io::Error::new(
                    e.kind(),
                    "there is a file of this name, and it stays as it is",
                ),
                _ => e,
            })?;
            (path.to_owned(), file)
        }
        Existing::Replace => create_temporary(path, MODE)?,
    };
    let written = fill(&mut file, folder_of(path), bytes).and_then(|()| match existing {
        Existing::Refuse => Ok(()),
        Existing::Replace => fs::rename(&target, path),
    });
    if written.is_err() {
        // The first error says more than one of this.
        let _ = fs::remove_file(&target);
    }
    written
}

fn fill(file: &mut File, folder: &Path, bytes: &[u8]) -> io::Result<()> {
    give_to_group_of_folder(file, folder)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Gives a new file to the group of its folder, where the user may do that. The file is the open
/// one: at its path there may be a link by now, which another writer of the folder has put there.
///
/// # Errors
/// The folder cannot be looked at.
pub(super) fn give_to_group_of_folder(file: &File, folder: &Path) -> io::Result<()> {
    // Who is not root may not, and is the only one to read it.
    let group = fs::metadata(folder)?.gid();
    let _ = fchown(file, None, Some(group));
    Ok(())
}

/// Returns the folder in which a file is.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Makes the file that is to take the place of this one, beside it: hidden, and under a name that
/// no file has. One that an interrupted attempt left stays, as it cannot be told from a file of a
/// user.
///
/// # Errors
/// The system's error.
pub(super) fn create_temporary(path: &Path, mode: u32) -> io::Result<(PathBuf, File)> {
    let mut nth = 0u64;
    loop {
        let mut name = OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(format!(".{}.{nth}.new", process::id()));
        let fresh = path.with_file_name(name);
        match make(&fresh, mode) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => nth += 1,
            made => return made.map(|file| (fresh, file)),
        }
    }
}

fn make(path: &Path, mode: u32) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(mode).open(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    #[test]
    fn a_file_that_exists_stays_unless_it_is_to_be_replaced_and_others_cannot_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.yaml");
        create(&path, b"one", Existing::Refuse).unwrap();
        let refused = create(&path, b"two", Existing::Refuse).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "there is a file of this name, and it stays as it is"
        );
        assert_eq!(fs::read(&path).unwrap(), b"one");
        create(&path, b"three", Existing::Replace).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"three");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777 & !0o640, 0);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_of_the_user_that_ends_in_new_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.yaml");
        let users = folder.path().join("gateway.yaml.new");
        let pid = process::id();
        let left = folder.path().join(format!(".gateway.yaml.{pid}.0.new"));
        fs::write(&users, "the user's").unwrap();
        fs::write(&left, "left over").unwrap();
        create(&path, b"one", Existing::Replace).unwrap();
        assert_eq!(fs::read(&users).unwrap(), b"the user's");
        assert_eq!(fs::read(&left).unwrap(), b"left over");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[test]
    fn nothing_is_left_beside_what_cannot_be_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.yaml");
        fs::create_dir(&path).unwrap();
        assert!(create(&path, b"one", Existing::Replace).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_that_takes_the_place_of_a_new_file_gives_nothing_away() {
        let folder = tempfile::tempdir().unwrap();
        if chown(folder.path(), None, Some(4_321)).is_err() {
            // Only root can try it.
            return;
        }
        let path = folder.path().join("gateway.yaml");
        let file = make(&path, MODE).unwrap();
        let other = tempfile::NamedTempFile::new().unwrap();
        let before = other.as_file().metadata().unwrap().gid();
        fs::remove_file(&path).unwrap();
        symlink(other.path(), &path).unwrap();
        give_to_group_of_folder(&file, folder.path()).unwrap();
        assert_eq!(file.metadata().unwrap().gid(), 4_321);
        assert_eq!(other.as_file().metadata().unwrap().gid(), before);
    }
}

//! Makes a file of the configuration that only its owner and its group can read.
//!
//! The group is that of the folder where the user may give the file away (root), so that the
//! service can read what root has written into `/etc/alink-gateway`.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

/// What is done with a file that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// It stays, and nothing is written.
    Refuse,
    /// It is replaced as a whole.
    Replace,
}

/// Makes a file with mode 0640. A file that is replaced is so in one step.
///
/// # Errors
/// The system's error; for a file that exists and is not to be replaced, that.
pub fn create(path: &Path, bytes: &[u8], existing: Existing) -> io::Result<()> {
    let target = match existing {
        Existing::Refuse => path.to_owned(),
        Existing::Replace => beside(path),
    };
    if existing == Existing::Replace {
        match fs::remove_file(&target) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    let mut options = OpenOptions::new();
    let opened = options
        .write(true)
        .create_new(true)
        .mode(0o640)
        .open(&target);
    let mut file = opened.map_err(|e| match e.kind() {
        ErrorKind::AlreadyExists => io::Error::new(
            e.kind(),
            "there is a file of this name, and it stays as it is",
        ),
        _ => e,
    })?;
    give_to_group_of_folder(&target)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    match existing {
        Existing::Refuse => Ok(()),
        Existing::Replace => fs::rename(&target, path),
    }
}

/// Gives a new file to the group of its folder, where the user may do that.
///
/// # Errors
/// The folder cannot be looked at.
pub(super) fn give_to_group_of_folder(path: &Path) -> io::Result<()> {
    // Who is not root may not, and is the only one to read it.
    let group = fs::metadata(folder_of(path))?.gid();
    let _ = chown(path, None, Some(group));
    Ok(())
}

/// Returns the folder in which a file is.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Returns the name under which a file is made that takes the place of this one.
pub(super) fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

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
}

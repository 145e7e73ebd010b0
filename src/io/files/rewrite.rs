//! Rewrites a text file of a person, whose owner and mode stay.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// The mode of a file that is new: a configuration names files with secrets, and may hold some.
const NEW: u32 = 0o640;

/// Puts this text in the place of a file, or makes the file. There is the old text or the new one,
/// whenever it is interrupted; a new file belongs to the user, an old one keeps its owner where
/// the system allows that, and its mode.
///
/// # Errors
/// The system's error; then the old file is still there.
pub fn rewrite(file: &Path, text: &str) -> io::Result<()> {
    let old = match fs::metadata(file) {
        Ok(old) => Some(old),
        Err(e) if e.kind() == ErrorKind::NotFound => None,
        Err(e) => return Err(e),
    };
    let mut beside = file.as_os_str().to_owned();
    beside.push(".new");
    let beside = Path::new(&beside);
    // A file of an attempt that was interrupted.
    match fs::remove_file(beside) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mode = old.as_ref().map_or(NEW, |old| old.mode() & 0o7777);
    let mut options = OpenOptions::new();
    let mut out = options
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(beside)?;
    out.write_all(text.as_bytes())?;
    if let Some(old) = old {
        // Only root may give a file away; others keep what is theirs.
        let _ = std::os::unix::fs::fchown(&out, Some(old.uid()), Some(old.gid()));
        out.set_permissions(fs::Permissions::from_mode(mode))?;
    }
    out.sync_all()?;
    fs::rename(beside, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rewritten_file_keeps_its_mode_and_a_new_one_is_not_for_others() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gateway.yaml");
        rewrite(&file, "a: 1\n").unwrap();
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o640);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        rewrite(&file, "a: 2\n").unwrap();
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_to_string(&file).unwrap(), "a: 2\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(rewrite(&folder.path().join("no/such"), "").is_err());
    }
}

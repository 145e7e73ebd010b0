//! The platform's configuration on disk: one file, `remote.yaml` in the state
//! directory, mode 0600, because it may hold secrets.
//!
//! It is replaced as a whole ([`super::replace`]): there is the old one or the new
//! one, whenever the power goes; and whichever it is, is loaded at the next start
//! and known to the platform by its digest.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::replace::replace;

/// Its name in the state directory.
pub const FILE: &str = "remote.yaml";
/// Its name once it is not usable any more.
const ASIDE: &str = "remote.yaml.refused";

/// Where it is.
#[must_use]
pub fn place(state_dir: &Path) -> PathBuf {
    state_dir.join(FILE)
}

/// Stores it, in place of the one before.
///
/// # Errors
/// What the system says; then the one before is still there.
pub fn store(state_dir: &Path, bytes: &[u8]) -> io::Result<()> {
    replace(&place(state_dir), bytes)
}

/// Takes it out of force, and keeps it under another name; an older one there
/// is replaced.
///
/// # Errors
/// What the system says; then it is where it was.
pub fn set_aside(state_dir: &Path) -> io::Result<PathBuf> {
    let aside = state_dir.join(ASIDE);
    fs::rename(place(state_dir), &aside)?;
    File::open(state_dir)?.sync_all()?;
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn it_is_replaced_whole_and_nobody_else_may_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("a/b");
        store(&state, b"ports: []").unwrap();
        // A crash has left half of another.
        fs::write(place(&state).with_extension("yaml.new"), b"por").unwrap();
        store(&state, b"devices: []").unwrap();
        assert_eq!(fs::read(place(&state)).unwrap(), b"devices: []");
        let mode = fs::metadata(place(&state)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(&state).unwrap().count(), 1);
        let aside = set_aside(&state).unwrap();
        assert_eq!(fs::read(aside).unwrap(), b"devices: []");
        assert!(!place(&state).exists());
    }
}

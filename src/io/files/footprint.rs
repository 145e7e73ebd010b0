//! The files of a configuration as they were when it was read: by this the service knows whether
//! the files on disk are still those that are in force.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::base::Digest;
use crate::io::files::bounded;
use crate::io::files::bounded::FileIdentity;

/// Files and lists of files, as they were read.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Footprint {
    files: BTreeMap<PathBuf, (FileIdentity, Digest)>,
    /// Which files a directory held, by the directory and the pattern of their names.
    lists: BTreeMap<(PathBuf, String), Vec<PathBuf>>,
}

impl fmt::Debug for Footprint {
    /// Writes how many files there are: the digest of a short secret would give it away.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Footprint({} files)", self.files.len())
    }
}

impl Footprint {
    /// Takes note of a file that was read.
    pub(super) fn read(&mut self, path: &Path, identity: FileIdentity, digest: Digest) {
        self.files.insert(path.to_owned(), (identity, digest));
    }

    /// Takes note of the files in a directory whose names fit a pattern.
    pub(super) fn listed(&mut self, directory: &Path, pattern: &str, found: Vec<PathBuf>) {
        let key = (directory.to_owned(), pattern.to_owned());
        self.lists.insert(key, found);
    }

    /// Forgets what is below this directory: it is changed by the service itself.
    pub(super) fn forget(&mut self, directory: &Path) {
        self.files.retain(|path, _| !path.starts_with(directory));
        self.lists
            .retain(|(path, _), _| !path.starts_with(directory));
    }

    /// Returns the files that are not what they were, in the order of their names: changed, gone,
    /// or new. A file that was only touched, or replaced by its like, is not among them. Reads
    /// files, and may block.
    ///
    /// `list` returns the files in a directory whose names fit a pattern.
    #[must_use]
    pub fn changed(&self, list: impl Fn(&Path, &str) -> Vec<PathBuf>) -> Vec<PathBuf> {
        let mut changed: Vec<PathBuf> = self
            .files
            .iter()
            .filter(|(path, (identity, digest))| !is_same(path, *identity, *digest))
            .map(|(path, _)| path.clone())
            .collect();
        for ((directory, pattern), before) in &self.lists {
            let now = list(directory, pattern);
            changed.extend(now.into_iter().filter(|path| !before.contains(path)));
        }
        changed.sort();
        changed.dedup();
        changed
    }
}

fn is_same(path: &Path, identity: FileIdentity, digest: Digest) -> bool {
    let Ok(opened) = bounded::open(path) else {
        return false;
    };
    opened.identity() == identity
        || opened
            .read(identity.size())
            .is_ok_and(|bytes| Digest::of(&bytes) == digest)
}

/// Returns whether two paths name the same file, by whatever names.
#[must_use]
pub fn is_same_file(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    one == other || real(one) == real(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_is_changed_gone_or_new_is_found_and_what_is_touched_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let list = |directory: &Path, end: &str| {
            let all = fs::read_dir(directory).unwrap().map(|e| e.unwrap().path());
            let mut all: Vec<PathBuf> = all
                .filter(|path| path.to_string_lossy().ends_with(end))
                .collect();
            all.sort();
            all
        };
        let mut footprint = Footprint::default();
        for name in ["a.yaml", "b.yaml", "c.yaml"] {
            fs::write(at(name), name).unwrap();
            let opened = bounded::open(&at(name)).unwrap();
            let identity = opened.identity();
            footprint.read(&at(name), identity, Digest::of(name.as_bytes()));
        }
        footprint.listed(dir.path(), ".yaml", list(dir.path(), ".yaml"));
        assert_eq!(footprint.changed(list), Vec::<PathBuf>::new());
        // The same contents in another file.
        fs::write(at("new"), "a.yaml").unwrap();
        fs::rename(at("new"), at("a.yaml")).unwrap();
        assert_eq!(footprint.changed(list), Vec::<PathBuf>::new());
        fs::write(at("a.yaml"), "a.yam!").unwrap();
        fs::remove_file(at("b.yaml")).unwrap();
        fs::write(at("d.yaml"), "").unwrap();
        fs::write(at("d.swp"), "").unwrap();
        let changed = footprint.changed(list);
        assert_eq!(changed, [at("a.yaml"), at("b.yaml"), at("d.yaml")]);
        footprint.forget(dir.path());
        assert!(footprint.changed(list).is_empty());
    }
}

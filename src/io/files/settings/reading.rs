//! Reads the files of one configuration, and no more than a configuration may have.
//!
//! All that is read is kept until the configuration is compiled, so the kept bytes are bounded.
//! A file that is named twice, in whatever spelling, is kept once. Files of the configuration
//! share [`LARGEST_CONFIG`]. A secret and a file of certificates have bounds of their own
//! ([`LARGEST_SECRET`], [`LARGEST_BUNDLE`]), and there are at most as many secrets as devices
//! and profiles.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::Digest;
use crate::config::{LARGEST_BUNDLE, LARGEST_CONFIG, LARGEST_SECRET, MOST_FILES, SourceText};
use crate::io::files::bounded;
use crate::io::files::bounded::{FileIdentity, ReadFailure};
use crate::io::files::footprint::Footprint;

/// The files that were read so far.
pub(super) struct Reading {
    kept: BTreeMap<(FileIdentity, SourceKind), Arc<[u8]>>,
    /// How many bytes the files of the configuration may still have.
    left: u64,
    footprint: Footprint,
}

/// The kind of a file, which decides how much of it is read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum SourceKind {
    Config,
    Secret,
    Bundle,
}

impl Reading {
    /// Makes a reading without any files yet.
    pub(super) fn new() -> Self {
        Reading {
            kept: BTreeMap::new(),
            left: LARGEST_CONFIG,
            footprint: Footprint::default(),
        }
    }

    /// Reads a file of the configuration.
    pub(super) fn config(&mut self, path: &Path) -> SourceText {
        self.read(path, SourceKind::Config)
    }

    /// Takes in bytes of the configuration that do not come from a file.
    pub(super) fn given(&mut self, bytes: &[u8]) -> Result<Arc<[u8]>, String> {
        let left = self.left.checked_sub(bytes.len() as u64);
        self.left =
            left.ok_or_else(|| words(&ReadFailure::TooLarge(self.left), SourceKind::Config))?;
        Ok(bytes.into())
    }

    /// Reads a file that holds a secret and nothing else.
    pub(super) fn secret(&mut self, path: &Path) -> SourceText {
        self.read(path, SourceKind::Secret)
    }

    /// Reads a file of certificates.
    pub(super) fn bundle(&mut self, path: &Path) -> SourceText {
        self.read(path, SourceKind::Bundle)
    }

    /// Reads the files that `pattern` names, in name order; hidden files are left out. No
    /// directory means no files. A directory that cannot be read, or with too many files, is
    /// one source with that error, lest half a configuration pass for a whole one.
    pub(super) fn matching(&mut self, base: &Path, pattern: &str) -> Vec<SourceText> {
        let pattern = base.join(pattern);
        let (Some(directory), Some(name)) = (pattern.parent(), pattern.file_name()) else {
            return Vec::new();
        };
        let name = name.to_string_lossy();
        match list(directory, &name) {
            Ok(found) => {
                self.footprint.listed(directory, &name, found.clone());
                found.iter().map(|path| self.config(path)).collect()
            }
            Err(why) => vec![SourceText::of(directory.display().to_string(), Err(why))],
        }
    }

    /// Returns what was read, to know later whether it has changed.
    pub(super) fn into_footprint(self) -> Footprint {
        self.footprint
    }

    fn read(&mut self, path: &Path, sort: SourceKind) -> SourceText {
        let mut mode = None;
        let mut attempt = || -> Result<Arc<[u8]>, ReadFailure> {
            let opened = bounded::open(path)?;
            mode = Some(opened.mode());
            let key = (opened.identity(), sort);
            if let Some(kept) = self.kept.get(&key) {
                let digest = Digest::of(kept);
                self.footprint.read(path, key.0, digest);
                return Ok(Arc::clone(kept));
            }
            let identity = opened.identity();
            let bytes: Arc<[u8]> = match sort {
                SourceKind::Config => opened.read(self.left)?.into(),
                SourceKind::Secret => opened.read(LARGEST_SECRET)?.into(),
                SourceKind::Bundle => opened.read(LARGEST_BUNDLE)?.into(),
            };
            if sort == SourceKind::Config {
                self.left -= bytes.len() as u64;
            }
            self.footprint.read(path, identity, Digest::of(&bytes));
            self.kept.insert(key, Arc::clone(&bytes));
            Ok(bytes)
        };
        let bytes = attempt().map_err(|why| words(&why, sort));
        SourceText {
            mode: mode.map(|mode| seen_by_others(mode, path)),
            ..SourceText::of(path.display().to_string(), bytes)
        }
    }
}

/// Returns the files in a directory whose names fit a pattern, in name order; hidden files are
/// left out. No directory means no files.
///
/// # Errors
/// Why there are none to be had.
pub(super) fn list(directory: &Path, name: &str) -> Result<Vec<PathBuf>, String> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(ReadFailure::from(e).to_string()),
    };
    let mut found: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.file_name())
        .filter(|file| {
            let file = file.to_string_lossy();
            !file.starts_with('.') && fits(name, &file)
        })
        .map(|file| directory.join(file))
        .filter(|path| !path.is_dir())
        .take(MOST_FILES + 1)
        .collect();
    if found.len() > MOST_FILES {
        return Err(format!("more than {MOST_FILES} files there fit {name}"));
    }
    found.sort();
    Ok(found)
}

/// Returns the mode of a file without the permissions of other users, if these cannot get through
/// a directory above it.
fn seen_by_others(mode: u32, path: &Path) -> u32 {
    let Ok(path) = fs::canonicalize(path) else {
        return mode;
    };
    let is_closed = |directory: &Path| {
        let metadata = fs::metadata(directory);
        metadata.is_ok_and(|m| m.mode() & 0o001 == 0)
    };
    match path.ancestors().skip(1).any(is_closed) {
        true => mode & !0o007,
        false => mode,
    }
}

/// Returns why a file was not read, with what is expected of its kind.
fn words(why: &ReadFailure, sort: SourceKind) -> String {
    match (why, sort) {
        (ReadFailure::TooLarge(_), SourceKind::Config) => format!(
            "it is larger than {} MiB, or is so together with the other files of the configuration",
            LARGEST_CONFIG >> 20
        ),
        (ReadFailure::TooLarge(_), SourceKind::Secret) => format!(
            "it is larger than {} KiB, which no secret is",
            LARGEST_SECRET >> 10
        ),
        (why, _) => why.to_string(),
    }
}

/// Returns whether `name` fits `pattern`, in which `*` stands for any characters.
fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_kept_once_however_often_it_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("devices.csv");
        fs::write(&file, vec![b'x'; 3 << 20]).unwrap();
        let mut reading = Reading::new();
        let first = reading.config(&file).bytes.unwrap();
        for n in 1..200 {
            let spelt = dir.path().join(format!("{}devices.csv", "./".repeat(n)));
            let again = reading.config(&spelt).bytes.unwrap();
            assert!(Arc::ptr_eq(&first, &again));
        }
    }

    #[test]
    fn the_files_of_a_configuration_share_a_bound_and_a_secret_has_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("a"), vec![b'x'; 3 << 20]).unwrap();
        fs::write(at("b"), vec![b'x'; 2 << 20]).unwrap();
        fs::write(at("c"), vec![b'x'; 1 << 20]).unwrap();
        fs::write(at("secret"), vec![b'x'; 4 << 10]).unwrap();
        fs::write(at("no-secret"), vec![b'x'; (4 << 10) + 1]).unwrap();
        let mut reading = Reading::new();
        assert!(reading.config(&at("a")).bytes.is_ok());
        let refused = reading.config(&at("b")).bytes.unwrap_err();
        assert_eq!(
            refused,
            "it is larger than 4 MiB, or is so together with the other files of the configuration"
        );
        assert!(reading.given(&vec![b'x'; (1 << 20) + 1]).is_err());
        assert!(reading.config(&at("c")).bytes.is_ok());
        assert!(reading.config(&at("secret")).bytes.is_err());
        assert!(reading.secret(&at("secret")).bytes.is_ok());
        assert!(reading.bundle(&at("c")).bytes.is_ok());
        let refused = reading.secret(&at("no-secret")).bytes.unwrap_err();
        assert_eq!(refused, "it is larger than 4 KiB, which no secret is");
    }

    #[test]
    fn too_many_files_are_no_files() {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..=MOST_FILES {
            fs::write(dir.path().join(format!("{n}.yaml")), "").unwrap();
        }
        let found = Reading::new().matching(dir.path(), "*.yaml");
        let refused = found[0].bytes.as_ref().unwrap_err();
        assert_eq!(
            (found.len(), &**refused),
            (1, "more than 1000 files there fit *.yaml")
        );
        fs::remove_file(dir.path().join("0.yaml")).unwrap();
        assert_eq!(
            Reading::new().matching(dir.path(), "*.yaml").len(),
            MOST_FILES
        );
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, name, expected) in [
            ("*.yaml", "a.yaml", true),
            ("*.yaml", "a.yml", false),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
            ("a.yaml", "a.yaml", true),
            ("a.yaml", "aa.yaml", false),
            ("aa*aa", "aaa", false),
            ("*", "anything", true),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }
}

//! Keeps the platform's configuration on disk, in the state directory; mode 0600, because it
//! may hold secrets.
//!
//! ```text
//! pushed ─▶ remote.trying.yaml ─▶ remote.candidate.yaml ─▶ remote.yaml
//!             being checked         in force, on probation    in force, proven
//!                  │                     │
//!                  └───── not proven ────┴─▶ remote.yaml.failed, and its digest in
//!                                            remote.failed.json
//! ```
//!
//! A file is on disk before its first byte is parsed, and each step is one rename that is
//! synced. So whatever ends the process, also a kill for memory in the midst of parsing, the
//! next start finds the file under one of the first two names, knows that it has not proven
//! itself, sets it aside without parsing it, and goes on with `remote.yaml` or no file. The
//! digest of the failed file is remembered: the platform, which is asked for the newest file at
//! each start, does not hand the same crash out again. A file that is proven or wrong, or was
//! on probation when the service was asked to stop, leaves no such trace.
//!
//! **Why** a service that is asked to stop withdraws the file instead of going on with its
//! probation after the next start: then a file that is found at a start has always ended the
//! process, and the platform hands the withdrawn file out again anyway.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base::Digest;
use crate::io::files::bounded;
use crate::io::files::bounded::ReadFailure;
use crate::io::files::replace::replace;
use crate::spec::{FailedTrial, Retraction, TrialFailure};

/// The file's name in the state directory, once it is proven.
pub const FILE: &str = "remote.yaml";
/// The file's name while it is checked.
pub const TRYING: &str = "remote.trying.yaml";
/// The file's name while it is in force, on probation.
pub const CANDIDATE: &str = "remote.candidate.yaml";
/// The file's name once it is not usable any more.
const ASIDE: &str = "remote.yaml.refused";
/// The file's name once it has failed its probation, to be looked at.
const FAILED: &str = "remote.yaml.failed";
/// The file with the push by which the newest file came that is or was tried.
const PUSH: &str = "remote.push.json";
/// The file with the digests of the files that failed.
pub const FAILURES: &str = "remote.failed.json";
/// How many digests are remembered, the newest: an operator who pushes one bad file after the
/// other does so by hand.
const REMEMBERED: usize = 32;
/// The largest file of the platform: 4 MiB (`remote_config.max_bytes`).
const LARGEST: u64 = 4 << 20;
/// The largest file with a push. An id that is answered has 64 bytes at most
/// (`cloud/alink/remote_config/`).
const LARGEST_PUSH: u64 = 4 << 10;
/// The largest file of digests. The digests and their reasons need less than 4 KiB.
const LARGEST_FAILURES: u64 = 64 << 10;

/// Returns where the file is once it is proven.
#[must_use]
pub fn proven_path(state_dir: &Path) -> PathBuf {
    state_dir.join(FILE)
}

/// Returns where the file in force is: on probation if there is such a file, else proven.
#[must_use]
pub fn in_force(state_dir: &Path) -> PathBuf {
    let candidate = state_dir.join(CANDIDATE);
    match fs::symlink_metadata(&candidate) {
        Ok(_) => candidate,
        Err(_) => proven_path(state_dir),
    }
}

/// Stores a file before it is checked, and the id (as JSON) of the push it came with.
///
/// # Errors
/// The system's error; then the file must not be checked.
pub fn begin(state_dir: &Path, bytes: &[u8], push: Option<&str>) -> io::Result<()> {
    match push {
        Some(id) => {
            let push = Push {
                sha256: Digest::of(bytes).to_string(),
                id: id.to_owned(),
            };
            replace(&state_dir.join(PUSH), &serde_json::to_vec(&push)?)?;
        }
        None => remove(state_dir, PUSH)?,
    }
    replace(&state_dir.join(TRYING), bytes)
}

/// Forgets the file that was checked: it is wrong, or its time was over.
///
/// # Errors
/// The system's error; then the next start counts the file as failed.
pub fn give_up(state_dir: &Path) -> io::Result<()> {
    remove(state_dir, TRYING)?;
    sync(state_dir)
}

/// Puts the file that was checked on probation.
///
/// # Errors
/// The system's error; then the file is not on probation.
pub fn promote(state_dir: &Path) -> io::Result<()> {
    fs::rename(state_dir.join(TRYING), state_dir.join(CANDIDATE))?;
    sync(state_dir)
}

/// Replaces the proven file by the one on probation. Does nothing if that has happened already,
/// or if another file is on probation.
///
/// # Errors
/// The system's error; then the file is still on probation.
pub fn prove(state_dir: &Path, digest: Digest) -> io::Result<()> {
    let candidate = state_dir.join(CANDIDATE);
    match read(&candidate, LARGEST) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Ok(bytes) if Digest::of(&bytes) != digest => return Ok(()),
        Ok(_) => {}
        Err(e) => return Err(e),
    }
    fs::rename(candidate, proven_path(state_dir))?;
    sync(state_dir)
}

/// Removes any file that is being checked or on probation, without counting it as failed.
///
/// # Errors
/// The system's error.
pub fn withdraw(state_dir: &Path) -> io::Result<()> {
    remove(state_dir, TRYING)?;
    remove(state_dir, CANDIDATE)?;
    sync(state_dir)
}

/// Returns whether a file is being checked or on probation.
#[must_use]
pub fn is_unproven(state_dir: &Path) -> bool {
    let there = |name: &str| fs::symlink_metadata(state_dir.join(name)).is_ok();
    there(TRYING) || there(CANDIDATE)
}

/// What became of a file that did not prove itself.
#[derive(Debug)]
pub struct FailedFile {
    /// Which file, and how it failed; `None` if it could not even be read.
    pub trial: Option<FailedTrial>,
    /// The id of the push that the file came with, as JSON, if it was pushed.
    pub push: Option<String>,
    /// Where the file is kept, or why it could not be taken out of the way.
    pub kept: io::Result<PathBuf>,
}

impl FailedFile {
    /// Returns what the platform is to be told of the file: the platform believes that it is in
    /// force.
    #[must_use]
    pub fn retraction(&self) -> Option<Retraction> {
        Some(Retraction {
            push: self.push.clone()?,
            failure: self.trial?.failure,
        })
    }
}

/// Takes any file that is being checked or on probation out of force, remembers its digest and
/// keeps it under another name, in place of the one that failed before. The digest is on disk
/// before the file is moved. The file is not parsed.
#[must_use]
pub fn fail(state_dir: &Path, failure: TrialFailure) -> Vec<FailedFile> {
    // The last one is kept: the file that was in force, if there was one.
    let names = [TRYING, CANDIDATE];
    let there = names.map(|name| state_dir.join(name));
    let there = there
        .into_iter()
        .filter(|p| fs::symlink_metadata(p).is_ok());
    there
        .map(|file| fail_one(state_dir, &file, failure))
        .collect()
}

/// Fails the file on probation alone, if it has this digest.
#[must_use]
pub fn fail_candidate(
    state_dir: &Path,
    digest: Digest,
    failure: TrialFailure,
) -> Option<FailedFile> {
    let candidate = state_dir.join(CANDIDATE);
    let bytes = read(&candidate, LARGEST).ok()?;
    (Digest::of(&bytes) == digest).then(|| fail_one(state_dir, &candidate, failure))
}

fn fail_one(state_dir: &Path, file: &Path, failure: TrialFailure) -> FailedFile {
    let digest = read(file, LARGEST).map(|bytes| Digest::of(&bytes)).ok();
    let trial = digest.map(|digest| FailedTrial { digest, failure });
    let kept = || {
        if let Some(trial) = trial {
            remember(state_dir, trial)?;
        }
        let kept = state_dir.join(FAILED);
        fs::rename(file, &kept)?;
        sync(state_dir)?;
        Ok(kept)
    };
    FailedFile {
        trial,
        push: digest.and_then(|digest| pushed(state_dir, digest)),
        kept: kept(),
    }
}

/// The push by which a file came.
#[derive(Serialize, Deserialize)]
struct Push {
    sha256: String,
    id: String,
}

/// Returns the id of the push of the file with this digest, if it is known.
fn pushed(state_dir: &Path, digest: Digest) -> Option<String> {
    let bytes = read(&state_dir.join(PUSH), LARGEST_PUSH).ok()?;
    let push: Push = serde_json::from_slice(&bytes).ok()?;
    (push.sha256 == digest.to_string()).then_some(push.id)
}

/// The record of the files that failed.
#[derive(Default, Serialize, Deserialize)]
struct Failures {
    failed: Vec<Failure>,
}

#[derive(Serialize, Deserialize)]
struct Failure {
    sha256: String,
    reason: Reason,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Reason {
    Died,
    Unreached,
}

/// Returns the files that failed, newest last. An unreadable record counts as empty.
#[must_use]
pub fn failures(state_dir: &Path) -> Vec<FailedTrial> {
    let Ok(bytes) = read(&state_dir.join(FAILURES), LARGEST_FAILURES) else {
        return Vec::new();
    };
    let Failures { failed } = serde_json::from_slice(&bytes).unwrap_or_default();
    let read = |failure: &Failure| {
        Some(FailedTrial {
            digest: Digest::parse(&failure.sha256)?,
            failure: match failure.reason {
                Reason::Died => TrialFailure::Died,
                Reason::Unreached => TrialFailure::Unreached,
            },
        })
    };
    failed.iter().filter_map(read).collect()
}

fn remember(state_dir: &Path, trial: FailedTrial) -> io::Result<()> {
    let mut all = failures(state_dir);
    all.retain(|known| known.digest != trial.digest);
    all.push(trial);
    let newest = all.len().saturating_sub(REMEMBERED);
    let written = |trial: &FailedTrial| Failure {
        sha256: trial.digest.to_string(),
        reason: match trial.failure {
            TrialFailure::Died => Reason::Died,
            TrialFailure::Unreached => Reason::Unreached,
        },
    };
    let failed = all.iter().skip(newest).map(written).collect();
    let text = serde_json::to_vec_pretty(&Failures { failed })?;
    replace(&state_dir.join(FAILURES), &text)
}

/// Takes the proven file out of force, and keeps it under another name; an older file there is
/// replaced.
///
/// # Errors
/// The system's error; then the file is where it was.
pub fn set_aside(state_dir: &Path) -> io::Result<PathBuf> {
    let aside = state_dir.join(ASIDE);
    fs::rename(proven_path(state_dir), &aside)?;
    sync(state_dir)?;
    Ok(aside)
}

fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    bounded::read(path, most).map_err(|why| match why {
        ReadFailure::Missing => ErrorKind::NotFound.into(),
        why => io::Error::new(ErrorKind::InvalidData, why.to_string()),
    })
}

fn remove(state_dir: &Path, name: &str) -> io::Result<()> {
    match fs::remove_file(state_dir.join(name)) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Syncs the directory, which makes renames and removals last.
fn sync(state_dir: &Path) -> io::Result<()> {
    File::open(state_dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn state() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("a/b");
        (dir, state)
    }

    fn adopt(state: &Path, bytes: &[u8]) {
        begin(state, bytes, None).unwrap();
        promote(state).unwrap();
    }

    fn names(state: &Path) -> Vec<String> {
        let entries = fs::read_dir(state).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn it_replaces_the_one_before_it_when_it_is_proven_and_nobody_else_may_read_it() {
        let (_dir, state) = state();
        adopt(&state, b"ports: []");
        // A crash has left half of another.
        fs::write(state.join("remote.trying.yaml.new"), b"por").unwrap();
        assert_eq!(in_force(&state), state.join(CANDIDATE));
        prove(&state, Digest::of(b"ports: []")).unwrap();
        adopt(&state, b"devices: []");
        assert_eq!(fs::read(proven_path(&state)).unwrap(), b"ports: []");
        // The decision is about another file.
        prove(&state, Digest::of(b"ports: []")).unwrap();
        assert_eq!(fs::read(proven_path(&state)).unwrap(), b"ports: []");
        prove(&state, Digest::of(b"devices: []")).unwrap();
        prove(&state, Digest::of(b"devices: []")).unwrap();
        assert_eq!(in_force(&state), proven_path(&state));
        assert_eq!(fs::read(proven_path(&state)).unwrap(), b"devices: []");
        let mode = fs::metadata(proven_path(&state))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(names(&state), [FILE]);
        let aside = set_aside(&state).unwrap();
        assert_eq!(fs::read(aside).unwrap(), b"devices: []");
        assert!(!proven_path(&state).exists());
    }

    #[test]
    fn whatever_is_found_at_a_start_has_failed_is_kept_and_remembered() {
        let (_dir, state) = state();
        adopt(&state, b"good");
        prove(&state, Digest::of(b"good")).unwrap();
        assert!(fail(&state, TrialFailure::Died).is_empty());

        // The process ended while a file was checked.
        begin(&state, b"bomb", Some("\"77\"")).unwrap();
        assert!(is_unproven(&state));
        let failed = fail(&state, TrialFailure::Died);
        assert_eq!(failed.len(), 1);
        let retraction = failed[0].retraction().unwrap();
        assert_eq!(
            (&*retraction.push, retraction.failure),
            ("\"77\"", TrialFailure::Died)
        );
        let bomb = FailedTrial {
            digest: Digest::of(b"bomb"),
            failure: TrialFailure::Died,
        };
        assert_eq!(failed[0].trial, Some(bomb));
        assert_eq!(fs::read(failed[0].kept.as_ref().unwrap()).unwrap(), b"bomb");
        assert_eq!(failures(&state), [bomb]);
        assert_eq!(fs::read(in_force(&state)).unwrap(), b"good");

        // And while a file was on probation and another was checked.
        adopt(&state, b"brick");
        begin(&state, b"another", None).unwrap();
        assert_eq!(fail(&state, TrialFailure::Unreached).len(), 2);
        let digests: Vec<_> = failures(&state).iter().map(|f| f.digest).collect();
        assert_eq!(
            digests,
            [b"bomb".as_slice(), b"another", b"brick"].map(Digest::of)
        );
        assert!(!is_unproven(&state));
        assert_eq!(fs::read(in_force(&state)).unwrap(), b"good");
    }

    #[test]
    fn a_stop_or_a_mistake_leaves_no_trace() {
        let (_dir, state) = state();
        begin(&state, b"wrong", None).unwrap();
        give_up(&state).unwrap();
        adopt(&state, b"fine");
        begin(&state, b"next", None).unwrap();
        withdraw(&state).unwrap();
        withdraw(&state).unwrap();
        assert_eq!(names(&state), [""; 0]);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_damage_is_no_obstacle() {
        let (_dir, state) = state();
        for n in 0..40u8 {
            begin(&state, &[n], None).unwrap();
            let _ = fail(&state, TrialFailure::Died);
        }
        assert_eq!(failures(&state).len(), REMEMBERED);
        assert_eq!(failures(&state)[31].digest, Digest::of(&[39]));
        fs::write(state.join(FAILURES), b"{\"failed\": [{}").unwrap();
        assert_eq!(failures(&state), []);
        begin(&state, b"x", None).unwrap();
        assert!(fail(&state, TrialFailure::Died)[0].kept.is_ok());
        assert_eq!(failures(&state).len(), 1);
    }

    #[test]
    fn no_step_is_lost_between_two_renames() {
        // A file that a process leaves behind by ending at any point is reported as failed, and
        // the one before is in force.
        for steps in 0..3 {
            let (_dir, state) = state();
            adopt(&state, b"former");
            prove(&state, Digest::of(b"former")).unwrap();
            begin(&state, b"new", None).unwrap();
            if steps > 0 {
                promote(&state).unwrap();
            }
            if steps > 1 {
                // The note was written, and the file not moved.
                let digest = Digest::of(b"new");
                let failure = TrialFailure::Died;
                remember(&state, FailedTrial { digest, failure }).unwrap();
            }
            assert_eq!(fail(&state, TrialFailure::Died).len(), 1, "{steps}");
            assert_eq!(failures(&state).len(), 1, "{steps}");
            assert_eq!(fs::read(in_force(&state)).unwrap(), b"former", "{steps}");
        }
    }
}

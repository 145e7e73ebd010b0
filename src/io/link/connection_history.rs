//! Remembers how often this box has tried to connect to the broker lately, from one process of
//! the service to the next.
//!
//! The platform counts CONNECTs per minute, whichever process makes them. A service that is
//! started again and again must keep to that limit like a service that runs. The history is one
//! small JSON file, `connects.json` in the state directory: when the last few attempts were
//! made, in seconds of the kernel's uptime, and during which boot. The file is not synced, and
//! need not be: a boot takes longer than the time that a power cut can lose, and without a file
//! the count begins anew.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::io::files::bounded;
use crate::io::files::replace::replace_loosely;

/// The file's name in the state directory.
const FILE: &str = "connects.json";

/// How many attempts are kept: more are never made within a minute.
const KEPT: usize = 8;

/// The largest file that is read. A boot's name and [`KEPT`] numbers take 250 bytes; a larger
/// file was not written here, and is ignored.
const LARGEST: u64 = 4 << 10;

/// Remembers attempts; cheap to clone.
#[derive(Clone, Debug)]
pub struct ConnectionHistory {
    file: PathBuf,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct KeptConnection {
    boot: String,
    /// The times of the attempts in seconds of uptime, oldest first.
    at: Vec<f64>,
}

impl ConnectionHistory {
    /// Makes the history of the service that keeps its state in this directory.
    #[must_use]
    pub fn beside(directory: &Path) -> Self {
        ConnectionHistory {
            file: directory.join(FILE),
        }
    }

    /// Returns how long ago the last attempts of this boot were made, oldest first.
    #[must_use]
    pub fn ages(&self) -> Vec<Duration> {
        let Ok((boot, now)) = uptime() else {
            return Vec::new();
        };
        let kept = self.read(boot).at.into_iter();
        // A time later than now is taken for now.
        let ages = kept.map(|at| Duration::try_from_secs_f64((now - at).max(0.0)));
        ages.flatten().collect()
    }

    /// Adds an attempt made now. Blocks for as long as writing a few bytes takes.
    pub fn note(&self) {
        let Ok((boot, now)) = uptime() else {
            return;
        };
        let mut kept = self.read(boot);
        kept.at.push(now);
        let spare = kept.at.len().saturating_sub(KEPT);
        kept.at.drain(..spare);
        if let Err(e) = self.write(&kept) {
            // Reported by the secret store, which needs the directory more (`secret_store.rs`).
            tracing::debug!("{} cannot be written: {e}", self.file.display());
        }
    }

    fn read(&self, boot: String) -> KeptConnection {
        let read = bounded::read(&self.file, LARGEST).ok();
        let kept = read.and_then(|bytes| serde_json::from_slice::<KeptConnection>(&bytes).ok());
        let kept = kept.filter(|k| k.boot == boot);
        kept.unwrap_or(KeptConnection {
            boot,
            at: Vec::new(),
        })
    }

    fn write(&self, kept: &KeptConnection) -> io::Result<()> {
        replace_loosely(&self.file, &serde_json::to_vec(kept)?)
    }
}

/// Returns which boot this is, and how many seconds old it is.
fn uptime() -> io::Result<(String, f64)> {
    let read = |path| bounded::read_text(Path::new(path), LARGEST).map_err(io::Error::other);
    let boot = read("/proc/sys/kernel/random/boot_id")?;
    let uptime = read("/proc/uptime")?;
    let seconds = uptime.split(' ').next().and_then(|s| s.parse().ok());
    let seconds = seconds.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
    Ok((boot.trim().to_owned(), seconds))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;
    use crate::base::{Mono, Now, Rng};
    use crate::cloud::Connector;
    use crate::field::test_spec;

    #[test]
    fn a_service_that_dies_after_each_connect_keeps_to_five_a_minute_all_the_same() {
        let dir = TempDir::new().unwrap();
        let cloud = test_spec::installation(test_spec::tcp(), Vec::new()).cloud;
        let mut waits = Vec::new();
        for _ in 0..6 {
            let history = ConnectionHistory::beside(dir.path());
            let mut life = Connector::new(&cloud, Rng::new(1), Now::default());
            life.attempted_before(Now::default(), &history.ages());
            waits.push(life.attempt_at().at.since(Mono::START));
            history.note();
        }
        assert_eq!(waits[..5], [Duration::ZERO; 5]);
        assert!(waits[5] >= Duration::from_secs(60), "{waits:?}");
    }

    #[test]
    fn another_boot_and_a_damaged_file_begin_anew() {
        let dir = TempDir::new().unwrap();
        let history = ConnectionHistory::beside(dir.path());
        history.note();
        assert_eq!(history.ages().len(), 1);
        let other = KeptConnection {
            boot: "another".into(),
            at: vec![1.0; 5],
        };
        history.write(&other).unwrap();
        assert!(history.ages().is_empty());
        fs::write(&history.file, "{").unwrap();
        assert!(history.ages().is_empty());
        for _ in 0..20 {
            history.note();
        }
        assert_eq!(history.ages().len(), KEPT);
    }
}

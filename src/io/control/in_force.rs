//! The configuration in force, for those who ask whether it is the one on disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;

use crate::base::Mono;
use crate::control::picture::{Configuration, PastEvent};
use crate::io::files::footprint::Footprint;
use crate::io::files::settings;

/// The configuration in force, and the last one that was refused since.
#[derive(Clone)]
pub struct ConfigurationInForce {
    file: PathBuf,
    footprint: Arc<Footprint>,
    since: Mono,
    refused: Option<(Mono, String)>,
}

impl ConfigurationInForce {
    /// Returns a configuration that was read from this main file, and is in force from now on.
    #[must_use]
    pub fn new(file: &Path, footprint: Footprint, now: Mono) -> Self {
        ConfigurationInForce {
            file: file.to_owned(),
            footprint: Arc::new(footprint),
            since: now,
            refused: None,
        }
    }

    /// Takes note that another one has replaced it.
    pub fn replaced(&mut self, footprint: Footprint, now: Mono) {
        self.footprint = Arc::new(footprint);
        self.since = now;
        self.refused = None;
    }

    /// Takes note that another one was refused; `why` says what was wrong.
    pub fn refused(&mut self, why: String, now: Mono) {
        self.refused = Some((now, why));
    }
}

/// Returns what to tell of the configuration in force, if it was read from files.
pub(super) async fn configuration(
    in_force: &watch::Receiver<Option<ConfigurationInForce>>,
    now: Mono,
) -> Option<Configuration> {
    let ConfigurationInForce {
        file,
        footprint,
        since,
        refused,
    } = in_force.borrow().clone()?;
    let looking = tokio::task::spawn_blocking(move || settings::changed(&footprint));
    let changed = looking.await.unwrap_or_default();
    let millis = |at: Mono| u64::try_from(now.since(at).as_millis()).unwrap_or(u64::MAX);
    let folder = file.parent().unwrap_or(Path::new(""));
    let name = |path: PathBuf| {
        let shown = path.strip_prefix(folder).unwrap_or(&path);
        shown.display().to_string()
    };
    Some(Configuration {
        changed: changed.into_iter().map(name).collect(),
        file: file.display().to_string(),
        since_ms: millis(since),
        refused: refused.map(|(at, what)| PastEvent {
            what,
            ago_ms: millis(at),
        }),
    })
}

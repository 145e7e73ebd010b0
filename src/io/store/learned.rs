//! Keeps what devices have taught about reading their kind, from one process of the service to
//! the next: the holes of each profile.
//!
//! The holes are in one JSON file, `learned.json` in the state directory, replaced as a whole
//! ([`crate::io::files::replace`]). A file of its earlier name, `lessons.json`, is read if
//! there is no other, and is removed with the first write. The contents of the file can be
//! learned anew at the cost of a few requests, so a fault of the file is reported once and
//! never stops the service. A kind is the profile's name and a digest of where its points are:
//! after a change of the profile the earlier findings are not believed.
//!
//! Contract: [`Learned::of`] for the known holes, [`Learned::note`] for each finding. Clones
//! share one memory. No caller waits for the disk: one write is under way at a time, in a
//! thread that may block, and the next one takes along all findings since.
//!
//! Bounds: [`MOST_KINDS`] kinds with [`MOST`] holes each; a kind beyond that is known to its
//! own line only, for as long as the line runs.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::base::{EventKind, JournalField, Level, LogEvent, LogSubject};
use crate::field::plan::holes::{Hole, Holes, MOST};
use crate::field::polled_device::adaptive_plan::DeviceFinding;
use crate::io::files::bounded;
use crate::io::files::replace::replace;
use crate::io::log::Journal;
use crate::spec::{ProfileSpec, Spec, Table};

/// The file's name in the state directory.
pub const FILE: &str = "learned.json";

/// The file's earlier name there.
const EARLIER: &str = "lessons.json";

/// How many kinds of devices are remembered.
pub const MOST_KINDS: usize = 256;

const VERSION: u32 = 1;

/// The largest file that is read. With all bounds reached the file has less than 4 MiB.
pub(crate) const LARGEST: u64 = 8 << 20;

/// The memory of findings; cheap to clone.
#[derive(Clone)]
pub struct Learned(Arc<Inner>);

struct Inner {
    /// `None`: nothing is kept.
    file: Option<PathBuf>,
    journal: Option<Journal>,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    kinds: BTreeMap<LearnedKey, Holes>,
    /// Whether something was learned since the last write began.
    unwritten: bool,
    writing: bool,
    /// Whether it has been reported that the file cannot be written.
    told: bool,
}

/// A profile's name and the digest of its points.
type LearnedKey = (String, String);

impl Learned {
    /// Reads what is kept in this directory; a fault of the file is reported to `journal`.
    #[must_use]
    pub fn open(directory: &Path, journal: Journal) -> Self {
        let file = directory.join(FILE);
        let earlier = directory.join(EARLIER);
        let there = match !file.exists() && earlier.exists() {
            true => &earlier,
            false => &file,
        };
        let kinds = read(there).unwrap_or_else(|why| {
            journal.tell(&LearnedEvent::Unreadable {
                file: there.display().to_string(),
                why,
            });
            BTreeMap::new()
        });
        Learned(Arc::new(Inner {
            file: Some(file),
            journal: Some(journal),
            memory: Mutex::new(Memory {
                kinds,
                ..Memory::default()
            }),
        }))
    }

    /// Makes a memory that ends with the process.
    #[must_use]
    pub fn in_memory() -> Self {
        Learned(Arc::new(Inner {
            file: None,
            journal: None,
            memory: Mutex::new(Memory::default()),
        }))
    }

    /// Returns the known holes of this kind.
    #[must_use]
    pub fn of(&self, profile: &ProfileSpec) -> Holes {
        let kinds = &self.0.memory().kinds;
        kinds.get(&kind(profile)).cloned().unwrap_or_default()
    }

    /// Notes a finding. Begins to write it down.
    pub fn note(&self, spec: &Spec, finding: &DeviceFinding) {
        let (DeviceFinding::Hole { device, hole } | DeviceFinding::HoleGone { device, hole }) =
            finding
        else {
            return;
        };
        let Some(device) = spec.device(*device) else {
            return;
        };
        let gone = matches!(finding, DeviceFinding::HoleGone { .. });
        let mut memory = self.0.memory();
        if !memory.learn(kind(&device.profile), *hole, gone) || self.0.file.is_none() {
            return;
        }
        memory.unwritten = true;
        if !memory.writing {
            memory.writing = true;
            let inner = Arc::clone(&self.0);
            drop(tokio::task::spawn_blocking(move || inner.write_all()));
        }
    }
}

impl Memory {
    /// Adds or removes a hole; returns whether that was news.
    fn learn(&mut self, kind: LearnedKey, hole: Hole, gone: bool) -> bool {
        if gone {
            return self.kinds.get_mut(&kind).is_some_and(|h| h.remove(&hole));
        }
        if self.kinds.len() >= MOST_KINDS && !self.kinds.contains_key(&kind) {
            return false;
        }
        let holes = self.kinds.entry(kind).or_default();
        holes.len() < MOST && holes.insert(hole)
    }
}

impl Inner {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        // Nothing in here panics half-way through a change.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_all(&self) {
        loop {
            let text = {
                let mut memory = self.memory();
                if !std::mem::take(&mut memory.unwritten) {
                    memory.writing = false;
                    return;
                }
                to_text(&memory.kinds)
            };
            let Some(file) = &self.file else { return };
            let done = serde_json::to_vec_pretty(&text)
                .map_err(io::Error::from)
                .and_then(|bytes| replace(file, &bytes));
            if done.is_ok() {
                // The file of the earlier name is not read any more; it does no harm if it stays.
                let _ = std::fs::remove_file(file.with_file_name(EARLIER));
            }
            let mut memory = self.memory();
            let told = std::mem::replace(&mut memory.told, done.is_err());
            drop(memory);
            if let (Err(e), false, Some(journal)) = (done, told, &self.journal) {
                journal.tell(&LearnedEvent::NotKept {
                    file: file.display().to_string(),
                    why: e.to_string(),
                });
            }
        }
    }
}

fn kind(profile: &ProfileSpec) -> LearnedKey {
    let mut digest = Sha256::new();
    for p in &profile.points {
        // Holes are learned of Modbus only.
        if let Some(at) = p.address.as_modbus() {
            let words = format!("{} {} {};", word(at.table), at.start, p.codec.width());
            digest.update(words.as_bytes());
        }
    }
    let bytes = digest.finalize();
    let digest = bytes.iter().take(16).map(|b| format!("{b:02x}")).collect();
    (profile.name.clone(), digest)
}

// ---- the file ----------------------------------------------------------------

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    version: u32,
    kinds: Vec<KindText>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KindText {
    profile: String,
    points: String,
    holes: Vec<HoleText>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HoleText {
    table: String,
    first: u16,
    last: u16,
}

const TABLES: [Table; 4] = [
    Table::Coil,
    Table::DiscreteInput,
    Table::HoldingRegister,
    Table::InputRegister,
];

const fn word(table: Table) -> &'static str {
    match table {
        Table::Coil => "coil",
        Table::DiscreteInput => "discrete",
        Table::HoldingRegister => "holding",
        Table::InputRegister => "input",
    }
}

fn to_text(kinds: &BTreeMap<LearnedKey, Holes>) -> Text {
    let hole = |h: &Hole| HoleText {
        table: word(h.table).into(),
        first: h.first,
        last: h.last,
    };
    let kinds = kinds.iter().filter(|(_, holes)| !holes.is_empty());
    Text {
        version: VERSION,
        kinds: kinds
            .map(|((profile, points), holes)| KindText {
                profile: profile.clone(),
                points: points.clone(),
                holes: holes.iter().map(hole).collect(),
            })
            .collect(),
    }
}

/// Returns the contents of the file; nothing if there is none.
fn read(path: &Path) -> Result<BTreeMap<LearnedKey, Holes>, String> {
    let bytes = match bounded::read(path, LARGEST) {
        Ok(bytes) => bytes,
        Err(bounded::ReadFailure::Missing) => return Ok(BTreeMap::new()),
        Err(e) => return Err(e.to_string()),
    };
    let text: Text = serde_json::from_slice(&bytes).map_err(|e| e.to_string())?;
    if text.version != VERSION {
        return Err(format!("it is of version {}, not {VERSION}", text.version));
    }
    let hole = |h: HoleText| {
        let table = TABLES.into_iter().find(|t| word(*t) == h.table);
        let sound = table.filter(|_| h.first <= h.last);
        let table =
            sound.ok_or_else(|| format!("{} {} to {} is no hole", h.table, h.first, h.last))?;
        Ok(Hole {
            table,
            first: h.first,
            last: h.last,
        })
    };
    let kinds = text.kinds.into_iter().take(MOST_KINDS).map(|k| {
        let holes: Result<Holes, String> = k.holes.into_iter().take(MOST).map(hole).collect();
        Ok(((k.profile, k.points), holes?))
    });
    kinds.collect()
}

/// What is wrong with the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LearnedEvent {
    /// The file cannot be read. It is ignored, and replaced when there is something to keep.
    Unreadable {
        /// The file's name.
        file: String,
        /// What is wrong with the file.
        why: String,
    },
    /// Nothing can be kept; reported once.
    NotKept {
        /// The file's name.
        file: String,
        /// Why the file cannot be written.
        why: String,
    },
}

impl LogEvent for LearnedEvent {
    fn level(&self) -> Level {
        Level::Warn
    }

    fn kind(&self) -> EventKind {
        match self {
            LearnedEvent::Unreadable { .. } => EventKind::LearnedUnreadable,
            LearnedEvent::NotKept { .. } => EventKind::LearnedNotKept,
        }
    }

    fn subject(&self) -> LogSubject {
        LogSubject::Gateway
    }

    fn fields(&self) -> Vec<(JournalField, String)> {
        match self {
            LearnedEvent::Unreadable { file, .. } | LearnedEvent::NotKept { file, .. } => {
                vec![(JournalField::File, file.clone())]
            }
        }
    }

    fn sentence(&self) -> String {
        match self {
            LearnedEvent::Unreadable { file, why } => format!(
                "{file}: what was learned about devices cannot be read: {why}; the file is \
                 ignored, and the gateway learns anew"
            ),
            LearnedEvent::NotKept { file, why } => format!(
                "{file}: what is learned about devices cannot be stored: {why}; the gateway \
                 learns it anew after a restart"
            ),
        }
    }
}

#[cfg(test)]
mod tests;

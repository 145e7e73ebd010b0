//! A disk in memory that fails and loses power.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// What a power cut leaves whole.
const SECTOR: usize = 512;

/// A file as the disk has it: what was synced is safe, the rest is not.
#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    pub(super) bytes: Vec<u8>,
    pub(super) synced: usize,
    /// Bytes that a failed sync has lost, though they can be read until the power fails.
    pub(super) lost: BTreeSet<usize>,
}

/// A disk in memory that may be full, broken or without power.
#[derive(Clone, Debug, Default)]
pub(super) struct ModelDisk {
    pub(super) inodes: Vec<Inode>,
    pub(super) names: BTreeMap<String, usize>,
    pub(super) safe_names: BTreeMap<String, usize>,
    /// Bytes that may still be written.
    pub(super) room: Option<usize>,
    pub(super) is_read_only: bool,
    /// The next sync fails.
    pub(super) sync_fails: bool,
    /// Reads fail, of all files or of this one.
    pub(super) is_unreadable: bool,
    pub(super) unreadable_file: Option<String>,
    pub(super) appended: usize,
    /// Bytes that were read.
    pub(super) read: usize,
}

fn fault(fault: DiskFault, step: &'static str, file: &str) -> DiskError {
    DiskError {
        fault,
        step,
        file: file.to_owned(),
        cause: format!("{fault:?}"),
    }
}

impl ModelDisk {
    /// The power fails, and comes back. Of what was not synced, each sector and each name
    /// may be there or not.
    pub(super) fn cut(&mut self, rng: &mut Rng) {
        for inode in &mut self.inodes {
            let tail = inode.bytes.len() - inode.synced;
            let keep = match tail {
                0 => 0,
                _ => usize::try_from(rng.below(tail as u64 + 1)).unwrap(),
            };
            inode.bytes.truncate(inode.synced + keep);
            let first = inode.synced.div_ceil(SECTOR);
            for sector in first..inode.bytes.len().div_ceil(SECTOR) {
                if rng.below(4) == 0 {
                    let end = ((sector + 1) * SECTOR).min(inode.bytes.len());
                    inode.bytes[sector * SECTOR..end].fill(0);
                }
            }
            for at in std::mem::take(&mut inode.lost) {
                if let Some(byte) = inode.bytes.get_mut(at) {
                    *byte = 0;
                }
            }
            inode.synced = inode.bytes.len();
        }
        let all: BTreeSet<String> = self
            .names
            .keys()
            .chain(self.safe_names.keys())
            .cloned()
            .collect();
        let mut after = BTreeMap::new();
        for name in all {
            let from = match rng.below(2) {
                0 => &self.names,
                _ => &self.safe_names,
            };
            if let Some(inode) = from.get(&name) {
                after.insert(name, *inode);
            }
        }
        self.names = after.clone();
        self.safe_names = after;
    }

    pub(super) fn file(&mut self, name: &str) -> &mut Vec<u8> {
        let inode = self.names[name];
        &mut self.inodes[inode].bytes
    }

    pub(super) fn segment_names(&self) -> Vec<String> {
        let names = self.names.keys();
        names
            .filter(|n| n.ends_with(".readings"))
            .cloned()
            .collect()
    }
}

impl Disk for ModelDisk {
    fn list(&mut self) -> Result<Vec<(String, u64)>, DiskError> {
        let size = |inode: &usize| self.inodes[*inode].bytes.len() as u64;
        Ok(self
            .names
            .iter()
            .map(|(n, i)| (n.clone(), size(i)))
            .collect())
    }

    fn read(&mut self, name: &str, offset: u64, len: usize) -> Result<Vec<u8>, DiskError> {
        if self.is_unreadable || self.unreadable_file.as_deref() == Some(name) {
            return Err(fault(DiskFault::Broken, "reading", name));
        }
        let Some(inode) = self.names.get(name) else {
            return Err(fault(DiskFault::Missing, "reading", name));
        };
        let bytes = &self.inodes[*inode].bytes;
        let from = bytes.len().min(usize::try_from(offset).unwrap());
        let to = bytes.len().min(from.saturating_add(len));
        self.read += to - from;
        Ok(bytes[from..to].to_vec())
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> Result<(), DiskError> {
        if self.is_read_only {
            return Err(fault(DiskFault::ReadOnly, "writing", name));
        }
        let fits = self.room.unwrap_or(usize::MAX).min(bytes.len());
        let inode = *self.names.entry(name.to_owned()).or_insert_with(|| {
            self.inodes.push(Inode::default());
            self.inodes.len() - 1
        });
        self.inodes[inode].bytes.extend_from_slice(&bytes[..fits]);
        self.appended += fits;
        if let Some(room) = &mut self.room {
            *room -= fits;
        }
        match fits == bytes.len() {
            true => Ok(()),
            false => Err(fault(DiskFault::Full, "writing", name)),
        }
    }

    fn sync(&mut self, name: &str) -> Result<(), DiskError> {
        let Some(inode) = self.names.get(name) else {
            return Err(fault(DiskFault::Missing, "syncing", name));
        };
        let inode = &mut self.inodes[*inode];
        let from = std::mem::replace(&mut inode.synced, inode.bytes.len());
        if std::mem::take(&mut self.sync_fails) {
            inode.lost.extend(from..inode.bytes.len());
            return Err(fault(DiskFault::Broken, "syncing", name));
        }
        Ok(())
    }

    fn sync_names(&mut self) -> Result<(), DiskError> {
        if std::mem::take(&mut self.sync_fails) {
            return Err(fault(DiskFault::Broken, "syncing", ""));
        }
        self.safe_names = self.names.clone();
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        if self.is_read_only {
            return Err(fault(DiskFault::ReadOnly, "renaming", from));
        }
        let inode = self.names.remove(from);
        let inode = inode.ok_or_else(|| fault(DiskFault::Missing, "renaming", from))?;
        self.names.insert(to.to_owned(), inode);
        Ok(())
    }

    fn remove(&mut self, name: &str) -> Result<(), DiskError> {
        if self.is_read_only {
            return Err(fault(DiskFault::ReadOnly, "removing", name));
        }
        let inode = self.names.remove(name);
        let inode = inode.ok_or_else(|| fault(DiskFault::Missing, "removing", name))?;
        if let Some(room) = &mut self.room {
            *room += self.inodes[inode].bytes.len();
        }
        Ok(())
    }
}

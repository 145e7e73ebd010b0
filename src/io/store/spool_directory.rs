//! The directory of the store of readings, on the file system.
//!
//! All calls block on the disk: they belong on a thread of their own. The directory is made
//! with mode 0700 and its files with 0600. A lock on the directory's file `lock` keeps a second
//! process out, since two writers would each remove what the other still has to deliver.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::spool::{BootId, Disk, DiskError, DiskFault};

/// The name of the file that is locked.
const LOCK: &str = "lock";

/// The directory, and the file in it that is being written.
#[derive(Debug)]
pub struct SpoolDirectory {
    path: PathBuf,
    writing: Option<(String, File)>,
    reading: Option<(String, File)>,
    /// Held while this value lives.
    _lock: File,
}

impl SpoolDirectory {
    /// Opens the directory, and makes it if it does not exist. The directory that it is in is
    /// not made: where that belongs, the package or the operator says.
    ///
    /// # Errors
    /// It cannot be made or written to, or another process has it.
    pub fn open(path: &Path) -> Result<Self, DiskError> {
        let made = DirBuilder::new().mode(0o700).create(path);
        match made {
            Err(e) if e.kind() != ErrorKind::AlreadyExists => {
                return Err(failed("making the directory", "", &e));
            }
            Ok(()) | Err(_) => {}
        }
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        let lock = options.open(path.join(LOCK));
        let lock = lock.map_err(|e| failed("opening", LOCK, &e))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(DiskError {
                    fault: DiskFault::Taken,
                    step: "locking",
                    file: LOCK.to_owned(),
                    cause: "another process uses this directory".to_owned(),
                });
            }
            Err(TryLockError::Error(e)) => return Err(failed("locking", LOCK, &e)),
        }
        Ok(SpoolDirectory {
            path: path.to_owned(),
            writing: None,
            reading: None,
            _lock: lock,
        })
    }

    fn writing(&mut self, name: &str) -> io::Result<&mut File> {
        let is_open = self.writing.as_ref().is_some_and(|(n, _)| n == name);
        if !is_open {
            let mut options = OpenOptions::new();
            options.create(true).append(true).mode(0o600);
            self.writing = Some((name.to_owned(), options.open(self.path.join(name))?));
        }
        let file = self.writing.as_mut().map(|(_, file)| file);
        file.ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn reading(&mut self, name: &str) -> io::Result<&File> {
        let is_open = self.reading.as_ref().is_some_and(|(n, _)| n == name);
        if !is_open {
            self.reading = Some((name.to_owned(), File::open(self.path.join(name))?));
        }
        let file = self.reading.as_ref().map(|(_, file)| file);
        file.ok_or_else(|| ErrorKind::NotFound.into())
    }

    /// Forgets an open file whose name now means another one, or none.
    fn close(&mut self, name: &str) {
        self.writing.take_if(|(n, _)| n == name);
        self.reading.take_if(|(n, _)| n == name);
    }
}

fn failed(step: &'static str, file: &str, error: &io::Error) -> DiskError {
    let fault = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            DiskFault::Full
        }
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => DiskFault::ReadOnly,
        ErrorKind::NotFound => DiskFault::Missing,
        _ => DiskFault::Broken,
    };
    DiskError {
        fault,
        step,
        file: file.to_owned(),
        cause: error.to_string(),
    }
}

impl Disk for SpoolDirectory {
    fn list(&mut self) -> Result<Vec<(String, u64)>, DiskError> {
        let list = || {
            let mut files = Vec::new();
            for entry in fs::read_dir(&self.path)? {
                let entry = entry?;
                let (name, about) = (entry.file_name(), entry.metadata()?);
                if let (Ok(name), true) = (name.into_string(), about.is_file()) {
                    files.push((name, about.len()));
                }
            }
            Ok(files)
        };
        list().map_err(|e| failed("reading the directory", "", &e))
    }

    fn read(&mut self, name: &str, offset: u64, len: usize) -> Result<Vec<u8>, DiskError> {
        let mut read = || {
            let file = self.reading(name)?;
            let left = file.metadata()?.len().saturating_sub(offset);
            let len = len.min(usize::try_from(left).unwrap_or(usize::MAX));
            let mut bytes = vec![0; len];
            let mut have = 0;
            while have < len {
                let (_, rest) = bytes.split_at_mut(have);
                match file.read_at(rest, offset + have as u64)? {
                    0 => break,
                    more => have += more,
                }
            }
            bytes.truncate(have);
            Ok(bytes)
        };
        read().map_err(|e| failed("reading", name, &e))
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> Result<(), DiskError> {
        let file = self.writing(name);
        let written = file.and_then(|file| file.write_all(bytes));
        written.map_err(|e| failed("writing", name, &e))
    }

    fn sync(&mut self, name: &str) -> Result<(), DiskError> {
        let file = self.writing(name);
        let synced = file.and_then(|file| file.sync_data());
        synced.map_err(|e| failed("syncing", name, &e))
    }

    fn sync_names(&mut self) -> Result<(), DiskError> {
        let synced = File::open(&self.path).and_then(|dir| dir.sync_all());
        synced.map_err(|e| failed("syncing the directory", "", &e))
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        self.close(from);
        self.close(to);
        let renamed = fs::rename(self.path.join(from), self.path.join(to));
        renamed.map_err(|e| failed("renaming", from, &e))
    }

    fn remove(&mut self, name: &str) -> Result<(), DiskError> {
        self.close(name);
        let removed = fs::remove_file(self.path.join(name));
        removed.map_err(|e| failed("removing", name, &e))
    }
}

/// Returns which start of the machine this is, as the kernel names it; zero if it does not.
#[must_use]
pub fn boot_id() -> BootId {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let mut digits = text.chars().filter_map(|c| c.to_digit(16));
    let mut id = [0; 16];
    for byte in &mut id {
        let (Some(high), Some(low)) = (digits.next(), digits.next()) else {
            return BootId::default();
        };
        *byte = u8::try_from(high * 16 + low).unwrap_or_default();
    }
    BootId(id)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use super::*;
    use crate::base::{
        DeviceName, ProductKey, StorePosition, StoredReading, StoredTime, Value, Wall,
    };
    use crate::spec::DropPolicy;
    use crate::spool::{Spool, SpoolLimits};

    const LIMITS: SpoolLimits = SpoolLimits {
        bytes: 512 << 20,
        age: Duration::from_secs(30 * 24 * 3600),
        segment_bytes: 1 << 20,
        drop: DropPolicy::Oldest,
    };

    fn readings(n: u32) -> Vec<StoredReading> {
        let each = |n: u32| StoredReading {
            product_key: ProductKey::new("a1Product"),
            device_name: DeviceName::new(&format!("meter-{:04}", n % 2000)),
            identifier: format!("Property{}", n % 10).into(),
            at: StoredTime::Wall(Wall::from_millis(1_700_000_000_000 + i64::from(n))),
            value: Value::Float(f64::from(n) / 10.0).into(),
        };
        (0..n).map(each).collect()
    }

    fn open(dir: &Path) -> Spool<SpoolDirectory> {
        Spool::open(SpoolDirectory::open(dir).unwrap(), LIMITS, boot_id()).unwrap()
    }

    #[test]
    fn values_outlive_the_process_and_only_the_owner_may_read_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("readings");
        let given = readings(5000);
        let mut spool = open(&path);
        assert_eq!(spool.store(&given).at.len(), 5000);
        drop(spool);
        let mut spool = open(&path);
        let chunk = spool.read(StorePosition::START, 10_000).unwrap();
        let read: Vec<_> = chunk.readings.iter().map(|(_, r)| r.clone()).collect();
        assert_eq!(read, given);
        assert_eq!(spool.take_events(), []);
        for (sequence, _) in chunk.readings {
            spool.settle(sequence);
        }
        spool.save().unwrap();
        for entry in fs::read_dir(&path).unwrap() {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{:?}", entry.file_name());
            assert!(!entry.file_name().to_string_lossy().ends_with(".readings"));
        }
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn a_second_process_is_kept_out() {
        let dir = tempfile::tempdir().unwrap();
        let first = SpoolDirectory::open(dir.path()).unwrap();
        let error = SpoolDirectory::open(dir.path()).unwrap_err();
        assert_eq!(error.fault, DiskFault::Taken);
        drop(first);
        SpoolDirectory::open(dir.path()).unwrap();
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_an_error_with_its_cause() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        let error = SpoolDirectory::open(&dir.path().join("file/readings")).unwrap_err();
        assert_eq!(error.step, "making the directory");
        assert!(error.to_string().contains("Not a directory"), "{error}");
    }
}

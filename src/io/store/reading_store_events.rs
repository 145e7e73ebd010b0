//! What the operator is told about the store of readings, and when.
//!
//! The store reports after everything it does; an operator reads once about an outage: that it
//! began to fill, that it cannot be written, what is lost, that it is empty again.

use crate::base::text::{counted, plural};
use crate::base::{EventKind, JournalField, Level, LogEvent, LogSubject, Mono, RateLimit};
use crate::spool::{DropCause, SpoolEvent, SpoolStatus};

/// A log event about the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadingStoreEvent {
    /// Readings of an earlier run are in the store.
    Opened {
        /// How many.
        readings: u64,
    },
    /// Readings cannot be stored.
    Unusable {
        /// The directory of the store.
        directory: String,
        /// Why.
        why: String,
    },
    /// Readings can be stored again.
    Usable,
    /// A file is damaged or missing.
    Damaged {
        /// The file.
        file: String,
        /// How many readings are lost, if that is known.
        readings: Option<u64>,
        /// Whether the file is missing altogether.
        is_missing: bool,
    },
    /// A file ends in the middle of a write.
    Torn {
        /// The file.
        file: String,
        /// How many bytes are of no use.
        bytes: u64,
    },
    /// A file is of a later version.
    Newer {
        /// The file.
        file: String,
    },
    /// Readings were dropped.
    Dropped {
        /// Why.
        cause: DropCause,
        /// How many since the last report.
        readings: u64,
    },
    /// Readings were lost at the stop, because they could not be stored.
    NotStored {
        /// How many.
        readings: u64,
        /// Why.
        why: String,
    },
    /// The store begins to fill.
    Filling,
    /// Nothing is left in the store.
    Empty,
}

impl LogEvent for ReadingStoreEvent {
    fn level(&self) -> Level {
        match self {
            ReadingStoreEvent::Opened { .. }
            | ReadingStoreEvent::Usable
            | ReadingStoreEvent::Torn { .. }
            | ReadingStoreEvent::Filling
            | ReadingStoreEvent::Empty => Level::Info,
            ReadingStoreEvent::Newer { .. } | ReadingStoreEvent::Dropped { .. } => Level::Warn,
            ReadingStoreEvent::Unusable { .. }
            | ReadingStoreEvent::Damaged { .. }
            | ReadingStoreEvent::NotStored { .. } => Level::Error,
        }
    }

    fn kind(&self) -> EventKind {
        match self {
            ReadingStoreEvent::Opened { .. } => EventKind::ReadingStoreOpened,
            ReadingStoreEvent::Unusable { .. } => EventKind::ReadingStoreUnusable,
            ReadingStoreEvent::Usable => EventKind::ReadingStoreUsable,
            ReadingStoreEvent::Damaged { .. } => EventKind::ReadingStoreDamaged,
            ReadingStoreEvent::Torn { .. } => EventKind::ReadingStoreTorn,
            ReadingStoreEvent::Newer { .. } => EventKind::ReadingStoreNewer,
            ReadingStoreEvent::Dropped { .. } | ReadingStoreEvent::NotStored { .. } => {
                EventKind::ReadingStoreDropped
            }
            ReadingStoreEvent::Filling => EventKind::ReadingStoreFilling,
            ReadingStoreEvent::Empty => EventKind::ReadingStoreEmpty,
        }
    }

    fn subject(&self) -> LogSubject {
        LogSubject::Gateway
    }

    fn fields(&self) -> Vec<(JournalField, String)> {
        match self {
            ReadingStoreEvent::Opened { readings } => {
                vec![(JournalField::Count, readings.to_string())]
            }
            ReadingStoreEvent::Damaged { file, readings, .. } => {
                let mut fields = vec![(JournalField::File, file.clone())];
                fields.extend(readings.map(|n| (JournalField::Count, n.to_string())));
                fields
            }
            ReadingStoreEvent::Torn { file, bytes } => vec![
                (JournalField::File, file.clone()),
                (JournalField::Size, bytes.to_string()),
            ],
            ReadingStoreEvent::Newer { file } => vec![(JournalField::File, file.clone())],
            ReadingStoreEvent::Dropped { readings, .. }
            | ReadingStoreEvent::NotStored { readings, .. } => vec![
                (JournalField::Count, readings.to_string()),
                (JournalField::Dropped, readings.to_string()),
            ],
            ReadingStoreEvent::Unusable { .. }
            | ReadingStoreEvent::Usable
            | ReadingStoreEvent::Filling
            | ReadingStoreEvent::Empty => Vec::new(),
        }
    }

    fn sentence(&self) -> String {
        match self {
            ReadingStoreEvent::Opened { readings } => format!(
                "store: {} of an earlier run {} not been delivered; {}",
                counted(*readings, "reading"),
                plural(*readings, "has", "have"),
                plural(
                    *readings,
                    "it is sent with its own time",
                    "they are sent with their own times, the oldest first"
                )
            ),
            ReadingStoreEvent::Unusable { directory, why } => format!(
                "store: readings cannot be stored in {directory}: {why}; they wait in memory, which a restart would lose; tried again by itself"
            ),
            ReadingStoreEvent::Usable => "store: readings can be stored again".into(),
            ReadingStoreEvent::Damaged {
                file,
                readings,
                is_missing,
            } => {
                let what = match is_missing {
                    true => "is missing",
                    false => "is damaged",
                };
                let lost = match readings {
                    None => "an unknown number of readings is".to_owned(),
                    Some(n) => {
                        let are = plural(*n, "is", "are");
                        format!("{} {are}", counted(*n, "reading"))
                    }
                };
                format!("store: {file} {what}: {lost} lost; all others are sent")
            }
            ReadingStoreEvent::Torn { file, bytes } => format!(
                "store: {file} ends in the middle of a write ({}): the power failed or the process was killed; what had been stored before is whole",
                counted(*bytes, "byte")
            ),
            ReadingStoreEvent::Newer { file } => format!(
                "store: {file} was written by a later version of this program; it is left alone, and what is in it is not sent"
            ),
            ReadingStoreEvent::Dropped { cause, readings } => {
                let readings = counted(*readings, "reading");
                format!("store: {readings} dropped undelivered: {}", words(*cause))
            }
            ReadingStoreEvent::NotStored { readings, why } => format!(
                "store: {} {} lost: not stored before the stop: {why}",
                counted(*readings, "reading"),
                plural(*readings, "is", "are")
            ),
            ReadingStoreEvent::Filling => {
                "store: readings that cannot be delivered are being stored; they are sent later with their own times".into()
            }
            ReadingStoreEvent::Empty => "store: all stored readings have been delivered".into(),
        }
    }
}

/// Returns a cause in words, with what to do.
const fn words(cause: DropCause) -> &'static str {
    match cause {
        DropCause::Full => "the store is full; raise cloud.store.size, or read less often",
        DropCause::Thinned => {
            "the store is full, and every second reading is given up to keep a longer time; raise cloud.store.size"
        }
        DropCause::TooOld => "they are older than cloud.store.age",
        DropCause::Undated => {
            "they were read before the clock was right, and the machine was started again since"
        }
        DropCause::TooLong => "a text is too long to be stored",
        DropCause::Damaged => "they were in a damaged or missing file",
    }
}

/// Decides what of the store's reports the operator is told.
#[derive(Clone, Debug, Default)]
pub struct StoreReports {
    directory: String,
    is_open: bool,
    is_filled: bool,
    is_unusable: bool,
    failed: RateLimit,
    /// For each cause, whether it was told since the store was last empty, and how many
    /// readings were dropped since.
    dropped: Vec<(DropCause, RateLimit)>,
}

impl StoreReports {
    /// Returns the reports of a store in this directory.
    #[must_use]
    pub fn new(directory: String) -> Self {
        StoreReports {
            directory,
            ..StoreReports::default()
        }
    }

    /// Returns what the operator is told after a report of the store.
    pub fn on_report(
        &mut self,
        now: Mono,
        events: Vec<SpoolEvent>,
        status: &SpoolStatus,
    ) -> Vec<ReadingStoreEvent> {
        let mut told = Vec::new();
        match &status.fault {
            Some(fault) if self.failed.hit(now, 1).is_some() => {
                self.is_unusable = true;
                let (directory, why) = (self.directory.clone(), fault.to_string());
                told.push(ReadingStoreEvent::Unusable { directory, why });
            }
            Some(_) => {}
            None if std::mem::take(&mut self.is_unusable) => told.push(ReadingStoreEvent::Usable),
            None => {}
        }
        for event in events {
            told.extend(self.event(now, event));
        }
        for (cause, limit) in &mut self.dropped {
            if let Some(suppressed) = limit.take_due(now).filter(|s| s.untold > 0) {
                let (cause, readings) = (*cause, suppressed.untold);
                told.push(ReadingStoreEvent::Dropped { cause, readings });
            }
        }
        let is_filled = status.values > 0;
        if !std::mem::replace(&mut self.is_open, true) {
            self.is_filled = is_filled;
            if is_filled {
                let readings = status.values;
                told.push(ReadingStoreEvent::Opened { readings });
            }
        }
        match (std::mem::replace(&mut self.is_filled, is_filled), is_filled) {
            (false, true) => told.push(ReadingStoreEvent::Filling),
            (true, false) => {
                told.extend(self.rest());
                told.push(ReadingStoreEvent::Empty);
            }
            (false, false) | (true, true) => {}
        }
        told
    }

    /// Returns what was dropped and not told yet: at the end of an outage or of the process.
    pub fn rest(&mut self) -> Vec<ReadingStoreEvent> {
        let dropped = std::mem::take(&mut self.dropped).into_iter();
        let untold = dropped.map(|(cause, mut limit)| (cause, limit.over()));
        untold
            .filter(|(_, readings)| *readings > 0)
            .map(|(cause, readings)| ReadingStoreEvent::Dropped { cause, readings })
            .collect()
    }

    fn event(&mut self, now: Mono, event: SpoolEvent) -> Option<ReadingStoreEvent> {
        Some(match event {
            // Told with the file that they were in.
            SpoolEvent::Dropped {
                cause: DropCause::Damaged,
                ..
            } => return None,
            SpoolEvent::Dropped { cause, values } => {
                let known = self.dropped.iter().position(|(c, _)| *c == cause);
                let index = known.unwrap_or_else(|| {
                    self.dropped.push((cause, RateLimit::default()));
                    self.dropped.len() - 1
                });
                let (_, limit) = self.dropped.get_mut(index)?;
                let readings = limit.hit(now, values)?;
                ReadingStoreEvent::Dropped { cause, readings }
            }
            SpoolEvent::Damaged { file, values } => ReadingStoreEvent::Damaged {
                file,
                readings: values,
                is_missing: false,
            },
            SpoolEvent::Missing { file, values } => ReadingStoreEvent::Damaged {
                file,
                readings: values,
                is_missing: true,
            },
            SpoolEvent::Torn { file, bytes } => ReadingStoreEvent::Torn { file, bytes },
            SpoolEvent::Newer { file, .. } => ReadingStoreEvent::Newer { file },
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::spool::{DiskError, DiskFault};

    fn status(values: u64) -> SpoolStatus {
        SpoolStatus {
            values,
            ..SpoolStatus::default()
        }
    }

    fn at(seconds: u64) -> Mono {
        Mono::START + Duration::from_secs(seconds)
    }

    fn dropped(cause: DropCause, values: u64) -> Vec<SpoolEvent> {
        vec![SpoolEvent::Dropped { cause, values }]
    }

    #[test]
    fn an_outage_is_told_once_with_all_that_it_costs() {
        let mut reports = StoreReports::default();
        assert_eq!(reports.on_report(at(0), Vec::new(), &status(0)), []);
        assert_eq!(
            reports.on_report(at(10), Vec::new(), &status(50)),
            [ReadingStoreEvent::Filling]
        );
        let full = |readings| ReadingStoreEvent::Dropped {
            cause: DropCause::Full,
            readings,
        };
        let told = reports.on_report(at(20), dropped(DropCause::Full, 7), &status(50));
        assert_eq!(told, [full(7)]);
        for second in 21..40 {
            let told = reports.on_report(at(second), dropped(DropCause::Full, 1), &status(50));
            assert_eq!(told, [], "at {second}");
        }
        // What was not told is told when it has stopped …
        let told = reports.on_report(at(120), Vec::new(), &status(50));
        assert_eq!(told, [full(19)]);
        // … or when the outage is over.
        let told = reports.on_report(at(121), dropped(DropCause::Full, 3), &status(50));
        assert_eq!(told, []);
        let told = reports.on_report(at(122), Vec::new(), &status(0));
        assert_eq!(told, [full(3), ReadingStoreEvent::Empty]);
    }

    #[test]
    fn a_full_disk_is_told_once_and_so_is_its_end() {
        let mut reports = StoreReports::new("/state/readings".to_owned());
        let failing = SpoolStatus {
            fault: Some(DiskError {
                fault: DiskFault::Full,
                step: "writing",
                file: "x".into(),
                cause: "no space left".into(),
            }),
            ..status(9)
        };
        let told = reports.on_report(at(0), Vec::new(), &failing);
        let why = "writing x: no space left".to_owned();
        let directory = "/state/readings".to_owned();
        let opened = ReadingStoreEvent::Opened { readings: 9 };
        assert_eq!(
            told,
            [ReadingStoreEvent::Unusable { directory, why }, opened]
        );
        for second in 1..50 {
            assert_eq!(reports.on_report(at(second), Vec::new(), &failing), []);
        }
        let told = reports.on_report(at(50), Vec::new(), &status(9));
        assert_eq!(told, [ReadingStoreEvent::Usable]);
        assert_eq!(reports.on_report(at(51), Vec::new(), &status(9)), []);
    }
}

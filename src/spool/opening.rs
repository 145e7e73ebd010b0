//! What a store that is opened makes of the files that it finds: segments, those that are
//! damaged, missing or of a later version, and the gaps between them.

use super::disk::Disk;
use super::segment::{HEADER_BYTES, Header, HeaderRead, examine, file_name, number_of};
use super::settled::SettlementJournal;
use super::{DAMAGED, DropCause, NEW, Spool, SpoolEvent};

/// How many files that were set aside are kept.
const KEPT_DAMAGED: usize = 2;

impl<D: Disk> Spool<D> {
    pub(super) fn read_segments(&mut self, files: &[(String, u64)], journal: &SettlementJournal) {
        self.next = journal.low.max(1);
        if let Some(number) = journal.removed.last() {
            self.next = self.next.max(number.saturating_add(1));
        }
        if let Some((number, _)) = journal.marks.keys().last() {
            self.next = self.next.max(number.saturating_add(1));
        }
        for (name, size) in files {
            if name.ends_with(DAMAGED) {
                self.damaged.insert(name.clone(), *size);
            } else if name.ends_with(NEW) && number_of(name.trim_end_matches(NEW)).is_some() {
                // The segment that it was to replace is still there.
                let _ = self.disk.remove(name);
            } else if let Some(number) = number_of(name) {
                self.next = self.next.max(number.saturating_add(1));
                self.read_segment(name, number, *size, journal);
            }
        }
        let newest = self.segments.values().map(|s| s.header().last).max();
        self.next = self
            .next
            .max(newest.map_or(0, |last| last.saturating_add(1)));
        // A segment that was put together with the one before it, which is whole.
        let covered: Vec<u64> = self
            .segments
            .values()
            .flat_map(|s| (s.header().number + 1..=s.header().last).take(1 << 16))
            .filter(|number| self.segments.contains_key(number))
            .collect();
        for number in covered {
            self.segments.remove(&number);
            // If this fails it is done when the store is opened next.
            let _ = self.disk.remove(&file_name(number));
        }
    }

    fn read_segment(&mut self, name: &str, number: u64, size: u64, journal: &SettlementJournal) {
        let head = self.disk.read(name, 0, HEADER_BYTES);
        let is_newer = |head: &Vec<u8>| matches!(Header::read(head), HeaderRead::Newer(_));
        let is_removed = number < journal.low || journal.removed.contains(&number);
        if is_removed && !head.as_ref().is_ok_and(is_newer) {
            // The journal was ahead of the directory when the power failed.
            let _ = self.disk.remove(name);
            return;
        }
        let found = match head {
            Ok(head) => match Header::read(&head) {
                HeaderRead::Ours(header) if header.number == number => {
                    examine(&mut self.disk, header, size)
                }
                HeaderRead::Newer(version) => {
                    self.newer.insert(number, size);
                    self.events.push(SpoolEvent::Newer {
                        file: name.to_owned(),
                        version,
                    });
                    return;
                }
                HeaderRead::Ours(_) | HeaderRead::Damaged => {
                    return self.set_aside(name, size);
                }
            },
            Err(error) => Err(error),
        };
        match found {
            Ok((segment, scanned)) => {
                if scanned.torn > 0 {
                    self.events.push(SpoolEvent::Torn {
                        file: name.to_owned(),
                        bytes: scanned.torn,
                    });
                }
                self.segments.insert(number, segment);
            }
            // The file may be whole: the next process tries again.
            Err(error) => {
                self.unreadable.insert(number, size);
                self.read_fault = Some(error);
                self.events.push(SpoolEvent::Damaged {
                    file: name.to_owned(),
                    values: None,
                });
            }
        }
    }

    /// Renames a file of which nothing can be read, and keeps the newest of such files.
    fn set_aside(&mut self, name: &str, size: u64) {
        let aside = format!("{name}{DAMAGED}");
        let moved = self.disk.rename(name, &aside);
        let file = match moved {
            Ok(()) => aside,
            Err(_) => name.to_owned(),
        };
        self.damaged.insert(file.clone(), size);
        self.events.push(SpoolEvent::Damaged { file, values: None });
        while self.damaged.len() > KEPT_DAMAGED
            && let Some((oldest, _)) = self.damaged.pop_first()
        {
            let _ = self.disk.remove(&oldest);
        }
    }

    /// Finds segments that should be there and are not: each number follows the one before
    /// it, unless the journal says that it was removed.
    pub(super) fn find_gaps(&mut self, journal: &SettlementJournal) {
        let mut expected = journal.low;
        let mut gone = Vec::new();
        for (number, segment) in &self.segments {
            let before = segment.header().before;
            let gap = match expected {
                // No journal says where the log begins.
                0 => 0..0,
                _ => expected..*number,
            };
            for missing in gap.rev().take(1 << 10) {
                let is_known =
                    self.newer.contains_key(&missing) || self.unreadable.contains_key(&missing);
                if !is_known && !journal.removed.contains(&missing) {
                    let values = u64::from(before);
                    let values = (missing + 1 == *number && values > 0).then_some(values);
                    gone.push((missing, values));
                }
            }
            expected = segment.header().last + 1;
        }
        // A segment that has lost its end.
        let known = self
            .segments
            .values()
            .map(|s| (s.header().number, s.header().before));
        for (number, before) in known.collect::<Vec<_>>() {
            if let Some((_, segment)) = self.segments.range_mut(..number).next_back()
                && segment.header().last + 1 == number
                // Once it is thinned out it holds fewer.
                && segment.header().generation == 0
            {
                segment.held(before);
            }
        }
        gone.sort_unstable();
        for (number, values) in gone {
            self.settlements.removed(number..=number);
            let file = file_name(number);
            let aside = format!("{file}{DAMAGED}");
            let known = self.events.iter_mut().find_map(|event| match event {
                SpoolEvent::Damaged { file, values } if *file == aside => Some(values),
                _ => None,
            });
            match known {
                Some(known) => *known = values,
                None => self.events.push(SpoolEvent::Missing { file, values }),
            }
            if let Some(values) = values {
                self.count(DropCause::Damaged, values);
            }
        }
    }

    pub(super) fn apply(&mut self, journal: SettlementJournal) {
        for ((number, generation), marks) in journal.marks {
            if let Some(segment) = self.segments.get_mut(&number)
                && segment.header().generation == generation
            {
                segment.set_marks(marks);
            }
        }
    }
}

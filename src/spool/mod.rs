//! Floor 2: the store of readings that could not be delivered; values on flash, without the
//! disk.
//!
//! *Decides* how values are laid out in files, which values are still to be delivered, what
//! is dropped when there is no more room, and what is made of files that are damaged.
//! *Refuses to know* why a value was not delivered, and to whom it goes. The disk is a
//! [`Disk`]: the file system in the service, a model that fails on purpose in tests.
//!
//! The store is a log of segments of about a mebibyte. A group of values is written at the
//! end of the last segment and synced at once; so how many values a power cut costs is
//! decided where the groups are gathered (`cloud/alink/history/spill.rs`). What need not be
//! sent any more is marked in a journal, and a segment without any value to be sent is
//! removed. Nothing is ever overwritten. There is no well-kept library for a queue on flash,
//! and a database writes each value several times.
//!
//! Invariants:
//! - A value for which [`Spool::store`] succeeded is read again by every later process, until
//!   it is settled, dropped by a bound, or its file is damaged.
//! - What is dropped or damaged is counted with its cause, and nothing else is gone.
//! - A damaged or missing segment costs its own values and no others.
//! - The store keeps in memory one bit for each value of a segment that is settled in part, and
//!   the marks that are not saved yet. Only while it thins values out it holds more, the values
//!   of two segments.
//! - Segments of a later version of the format are left alone. (A later version gives its
//!   journal another name.)
//! - What was read since the store was opened is not thinned out: it may be on its way.

mod bounds;
mod disk;
mod estimate;
mod frame;
mod opening;
mod segment;
mod settled;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::{StorePosition, StoredReading, StoredTime, StoredValue, Value, Wall};
use crate::spec::{DropPolicy, StorePolicy};

pub use disk::{Disk, DiskError, DiskFault};
pub use estimate::bytes_per_value;

use frame::{TextNumbers, push_readings};
use segment::{Header, Segment, SegmentReader, Step, file_name};
use settled::{MOST_VALUES, Settlements};

/// The usual size of a segment: large enough that its names are a small part of it, small enough
/// that dropping one is a small part of the store.
pub const SEGMENT_BYTES: u64 = 1 << 20;
/// How many values are written with one sync at the most.
const GROUP: usize = 4096;
/// A text, of a value or a name, that is longer than this is refused: no property of the
/// platform is as long ("Data types of TSL features": 10,240 bytes).
const LONGEST_TEXT: usize = 12 * 1024;
/// An event whose texts are longer than this together is refused: it would not fit into a frame.
const LONGEST_EVENT: usize = 32 * 1024;
/// If more segments than this cannot be read when the store is opened, it is not them that are
/// at fault, and the store is opened later.
const MOST_UNREADABLE: usize = 2;
/// A segment that cannot be read so often in a row is given up.
const MOST_FAILURES: u32 = 6;
/// The end of the names of files that were set aside.
const DAMAGED: &str = ".damaged";
/// The end of the name of a segment that is to replace another.
const NEW: &str = ".new";

/// Which start of the machine this is (`/proc/sys/kernel/random/boot_id`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BootId(pub [u8; 16]);

/// The bounds of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpoolLimits {
    /// The size of all files together.
    pub bytes: u64,
    /// Values older than this are dropped.
    pub age: Duration,
    /// The size of a segment. The store drops whole segments, so that it is filled up to
    /// within this size.
    pub segment_bytes: u64,
    /// What to drop when the store is full.
    pub drop: DropPolicy,
}

impl SpoolLimits {
    /// Returns the bounds that the configuration asks for.
    #[must_use]
    pub fn of(policy: &StorePolicy) -> Self {
        SpoolLimits {
            bytes: policy.bytes,
            age: policy.age,
            segment_bytes: SEGMENT_BYTES.min(policy.bytes / 8),
            drop: policy.drop,
        }
    }
}

/// Why values left the store undelivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DropCause {
    /// The store was full.
    Full,
    /// The store was full, and every second value was given up.
    Thinned,
    /// They were older than the configuration allows.
    TooOld,
    /// They were read before the clock was right, and the machine was started again since.
    Undated,
    /// The text is too long to be stored.
    TooLong,
    /// They were in a damaged or missing file.
    Damaged,
}

impl DropCause {
    /// All causes.
    pub const ALL: [DropCause; 6] = [
        DropCause::Full,
        DropCause::Thinned,
        DropCause::TooOld,
        DropCause::Undated,
        DropCause::TooLong,
        DropCause::Damaged,
    ];

    /// Returns the cause as one word, for what is counted.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            DropCause::Full => "store-full",
            DropCause::Thinned => "store-thinned",
            DropCause::TooOld => "store-too-old",
            DropCause::Undated => "store-undated",
            DropCause::TooLong => "store-too-long",
            DropCause::Damaged => "store-damaged",
        }
    }
}

/// What happened in the store and an operator should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpoolEvent {
    /// Values left the store undelivered.
    Dropped {
        /// Why.
        cause: DropCause,
        /// How many values.
        values: u64,
    },
    /// A file, or a part of it, is damaged.
    Damaged {
        /// The file; it has been renamed to this name if it was of no use.
        file: String,
        /// How many values are gone, if that is known.
        values: Option<u64>,
    },
    /// A segment is missing.
    Missing {
        /// The name that its file had.
        file: String,
        /// How many values are gone, if that is known.
        values: Option<u64>,
    },
    /// A file ends in bytes that are no values, as after a power cut. Values that were
    /// stored are not among them, unless the disk lost what it had confirmed.
    Torn {
        /// The file.
        file: String,
        /// How many bytes.
        bytes: u64,
    },
    /// A file is of a later version of the format, and was left alone.
    Newer {
        /// The file.
        file: String,
        /// The version of its format.
        version: u16,
    },
}

/// What the store holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpoolStatus {
    /// How many values are still to be delivered.
    pub values: u64,
    /// The size of all files.
    pub bytes: u64,
    /// How many segments there are.
    pub segments: usize,
    /// The time of the oldest value that may still be to be delivered.
    pub oldest: Option<Wall>,
    /// How many bytes were written since the store was opened.
    pub written: u64,
    /// How many values left the store undelivered since it was opened, by cause.
    pub dropped: BTreeMap<DropCause, u64>,
    /// The failure of the last operation on the disk, if it failed.
    pub fault: Option<DiskError>,
}

/// How much of what was to be stored is safe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Where the readings are, from the first on: these need not be handed over again. `None`
    /// stands for one that was dropped and counted.
    pub at: Vec<Option<StorePosition>>,
    /// Why the others are not.
    pub error: Option<DiskError>,
}

/// Values that are to be delivered, in the order in which they were stored.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chunk {
    /// The values.
    pub readings: Vec<(StorePosition, StoredReading)>,
    /// Where to go on reading; `None` if there is nothing more at present.
    pub next: Option<StorePosition>,
}

/// The segment at the end of the log, which is being written.
#[derive(Clone, Debug)]
struct OpenSegment {
    number: u64,
    texts: TextNumbers,
}

/// The store.
#[derive(Clone, Debug)]
pub struct Spool<D> {
    disk: D,
    limits: SpoolLimits,
    boot: BootId,
    segments: BTreeMap<u64, Segment>,
    last: Option<OpenSegment>,
    /// The number of the next segment.
    next: u64,
    reader: Option<SegmentReader>,
    settlements: Settlements,
    /// The sizes of the files that were set aside, by name.
    damaged: BTreeMap<String, u64>,
    /// The sizes of the segments of later versions, by number, and of those that could not
    /// be read when the store was opened.
    newer: BTreeMap<u64, u64>,
    unreadable: BTreeMap<u64, u64>,
    /// The last segment of which values were read. What was read is not thinned out: it may
    /// be on its way.
    read_up_to: u64,
    /// The segment that could not be read last, and how often in a row.
    failing: (u64, u32),
    written: u64,
    dropped: BTreeMap<DropCause, u64>,
    /// Why the last attempt to write failed, if it did, and the last one to read: a disk that
    /// is full can still be read.
    write_fault: Option<DiskError>,
    read_fault: Option<DiskError>,
    events: Vec<SpoolEvent>,
}

impl<D: Disk> Spool<D> {
    /// Opens the store in a directory, which may be empty. Reads the first and the last
    /// bytes of each file, and all of a file only if a process was stopped while it wrote
    /// the file.
    ///
    /// # Errors
    /// The directory cannot be read. What is damaged is no error: see
    /// [`Spool::take_events`].
    pub fn open(disk: D, limits: SpoolLimits, boot: BootId) -> Result<Self, DiskError> {
        let mut spool = Spool {
            disk,
            limits,
            boot,
            segments: BTreeMap::new(),
            last: None,
            next: 1,
            reader: None,
            settlements: Settlements::default(),
            damaged: BTreeMap::new(),
            newer: BTreeMap::new(),
            unreadable: BTreeMap::new(),
            read_up_to: 0,
            failing: (0, 0),
            written: 0,
            dropped: BTreeMap::new(),
            write_fault: None,
            read_fault: None,
            events: Vec::new(),
        };
        let mut files = spool.disk.list()?;
        files.sort();
        let (settlements, journal) = match Settlements::open(&mut spool.disk, &files) {
            Ok(opened) => opened,
            // What it knows is lost, which costs repeats and nothing else.
            Err(error) => {
                spool.read_fault = Some(error);
                Default::default()
            }
        };
        spool.settlements = settlements;
        spool.read_segments(&files, &journal);
        if spool.unreadable.len() > MOST_UNREADABLE
            && let Some(error) = spool.read_fault.take()
        {
            return Err(error);
        }
        spool.find_gaps(&journal);
        spool.apply(journal);
        Ok(spool)
    }

    /// Keeps to other bounds from now on. The size of a segment counts for the next one.
    pub fn set_limits(&mut self, limits: SpoolLimits) {
        self.limits = limits;
    }

    // --- storing ------------------------------------------------------------------

    /// Stores readings, and waits until they are safe. Returns how many need not be handed
    /// over again.
    pub fn store(&mut self, readings: &[StoredReading]) -> Stored {
        let mut stored = Stored::default();
        for group in readings.chunks(GROUP) {
            match self.store_group(group) {
                Ok(at) => stored.at.extend(at),
                Err(error) => {
                    stored.error = Some(error.clone());
                    self.write_fault = Some(error);
                    return stored;
                }
            }
        }
        stored
    }

    fn store_group(
        &mut self,
        group: &[StoredReading],
    ) -> Result<Vec<Option<StorePosition>>, DiskError> {
        let fits = |r: &StoredReading| {
            let text = |value: &Value| match value {
                Value::Text(text) => text.len(),
                _ => 0,
            };
            let (longest, all) = match &r.value {
                StoredValue::Property(value) => (text(value), text(value)),
                StoredValue::Event(data) => {
                    let each = || data.iter().map(|(name, v)| name.len().max(text(v)));
                    (each().max().unwrap_or(0), each().sum())
                }
            };
            let name = r.product_key.as_str().len() + r.device_name.as_str().len();
            longest.max(name + r.identifier.len()) <= LONGEST_TEXT && all <= LONGEST_EVENT
        };
        let fit: Vec<StoredReading> = group.iter().filter(|r| fits(r)).cloned().collect();
        if fit.len() < group.len() {
            self.count(DropCause::TooLong, (group.len() - fit.len()) as u64);
        }
        if fit.is_empty() {
            return Ok(vec![None; group.len()]);
        }
        let (number, mut bytes) = self.encode(&fit);
        let is_new = !self.segments.contains_key(&number);
        if !self.make_room(bytes.len() as u64) {
            // Nothing was written, so what the frames say of texts is not true.
            self.last = None;
            self.count(DropCause::Full, fit.len() as u64);
            return Ok(vec![None; group.len()]);
        }
        if is_new {
            let header = self.header(number);
            let mut whole = header.bytes().to_vec();
            whole.append(&mut bytes);
            bytes = whole;
            self.segments.insert(number, Segment::new(header));
            self.next = number + 1;
        }
        let name = file_name(number);
        let written = self
            .disk
            .append(&name, &bytes)
            .and_then(|()| self.disk.sync(&name))
            .and_then(|()| match is_new {
                true => self.disk.sync_names(),
                false => Ok(()),
            });
        self.written += bytes.len() as u64;
        if let Err(error) = written {
            // What is at the end of the file now is not known; nothing more is written
            // there.
            self.last = None;
            if is_new {
                self.segments.remove(&number);
                match self.disk.remove(&name) {
                    Ok(()) => self.next = number,
                    Err(_) => self.settlements.removed(number..=number),
                }
            }
            return Err(error);
        }
        self.write_fault = None;
        let mut ordinals = 0..;
        if let Some(segment) = self.segments.get_mut(&number) {
            ordinals = segment.values()..;
            segment.grew(bytes.len() as u64, &fit);
        }
        let at = group.iter().map(|reading| {
            let ordinal = fits(reading).then(|| ordinals.next()).flatten();
            ordinal.map(|ordinal| StorePosition {
                segment: number,
                generation: 0,
                ordinal,
            })
        });
        Ok(at.collect())
    }

    /// Returns the frames of these readings, and the segment that they are for. A segment
    /// that is full is ended before.
    fn encode(&mut self, readings: &[StoredReading]) -> (u64, Vec<u8>) {
        if let Some(mut last) = self.last.take()
            && let Some(segment) = self.segments.get(&last.number)
        {
            let mut bytes = Vec::new();
            push_readings(&mut bytes, &mut last.texts, segment.values(), readings);
            let full = segment.bytes() + bytes.len() as u64 > self.limits.segment_bytes
                || segment.values() as usize + readings.len() >= MOST_VALUES as usize;
            let number = last.number;
            self.last = Some(last);
            if !full {
                return (number, bytes);
            }
            self.end_last();
        }
        let mut last = OpenSegment {
            number: self.next,
            texts: TextNumbers::default(),
        };
        let mut bytes = Vec::new();
        push_readings(&mut bytes, &mut last.texts, 0, readings);
        let number = last.number;
        self.last = Some(last);
        (number, bytes)
    }

    fn header(&self, number: u64) -> Header {
        let before = self.segments.range(..number).next_back();
        let before = before.filter(|(_, s)| s.header().last + 1 == number);
        Header {
            number,
            last: number,
            generation: 0,
            before: before.map_or(0, |(_, s)| s.values()),
            boot: self.boot,
        }
    }

    /// Ends the segment at the end of the log. Its seal saves reading it when the store is
    /// opened next; nothing is lost without it.
    fn end_last(&mut self) {
        let Some(last) = self.last.take() else {
            return;
        };
        let Some(segment) = self.segments.get_mut(&last.number) else {
            return;
        };
        let seal = segment.seal();
        let name = file_name(last.number);
        self.written += seal.len() as u64;
        match self.disk.append(&name, &seal) {
            Ok(()) => segment.grew(seal.len() as u64, &[]),
            Err(error) => self.write_fault = Some(error),
        }
    }

    // --- delivering ---------------------------------------------------------------

    /// Returns up to `most` values that are to be delivered, from this position on.
    ///
    /// # Errors
    /// The disk cannot be read. What is damaged is no error.
    pub fn read(&mut self, from: StorePosition, most: usize) -> Result<Chunk, DiskError> {
        let mut chunk = Chunk::default();
        let mut from = from;
        while chunk.readings.len() < most {
            let next = self.segments.range(from.segment..).next();
            let Some(header) = next.map(|(_, s)| s.header()) else {
                return Ok(chunk);
            };
            let ordinal = match (header.number, header.generation) {
                at if at == (from.segment, from.generation) => from.ordinal,
                _ => 0,
            };
            let reader = self.reader.take();
            let mut reader = reader
                .filter(|r| r.is_of(&header) && r.ordinal() <= ordinal)
                .unwrap_or_else(|| SegmentReader::new(header));
            let read = self.read_on(&mut reader, ordinal, most, &mut chunk.readings);
            let is_end = match read {
                Ok(is_end) => {
                    if self.failing.0 == header.number {
                        self.failing = (0, 0);
                    }
                    self.read_fault = None;
                    is_end
                }
                Err(error) => {
                    self.read_fault = Some(error.clone());
                    let is_lost = self.is_lost(header.number, error.fault);
                    if !is_lost && chunk.readings.is_empty() {
                        return Err(error);
                    }
                    if !is_lost {
                        // What was read goes; the rest is asked for again.
                        let ordinal = reader.ordinal().max(ordinal);
                        chunk.next = Some(StorePosition {
                            segment: header.number,
                            generation: header.generation,
                            ordinal,
                        });
                        return Ok(chunk);
                    }
                    self.give_up_rest(header, reader.ordinal().max(ordinal));
                    true
                }
            };
            self.read_up_to = self.read_up_to.max(header.last);
            from = StorePosition {
                segment: header.number,
                generation: header.generation,
                ordinal: reader.ordinal().max(ordinal),
            };
            self.reader = Some(reader);
            if is_end {
                if self.segments.range(header.number + 1..).next().is_none() {
                    return Ok(chunk);
                }
                from = StorePosition {
                    segment: header.number + 1,
                    generation: 0,
                    ordinal: 0,
                };
            }
        }
        chunk.next = Some(from);
        Ok(chunk)
    }

    /// Takes note that a segment cannot be read; returns whether it is given up.
    fn is_lost(&mut self, number: u64, fault: DiskFault) -> bool {
        let before = match self.failing {
            (segment, times) if segment == number => times,
            _ => 0,
        };
        self.failing = (number, before + 1);
        fault == DiskFault::Missing || before + 1 >= MOST_FAILURES
    }

    /// Gives up the values of a segment from this ordinal on.
    fn give_up_rest(&mut self, header: Header, from: u32) {
        let values = self.segments.get(&header.number).map_or(0, Segment::values);
        self.drop_undeliverable(header, DropCause::Damaged, (from..values).collect());
    }

    /// Settles values that cannot be delivered any more, and counts them.
    fn drop_undeliverable(&mut self, header: Header, cause: DropCause, ordinals: Vec<u32>) {
        let mut values = 0;
        for ordinal in ordinals {
            let at = StorePosition {
                segment: header.number,
                generation: header.generation,
                ordinal,
            };
            values += u64::from(self.settle(at));
        }
        if values > 0 && cause == DropCause::Damaged {
            self.events.push(SpoolEvent::Damaged {
                file: file_name(header.number),
                values: Some(values),
            });
        }
        self.count(cause, values);
    }

    /// Reads values of a segment, from this ordinal on, that are to be delivered; returns
    /// whether the segment has no more. Values that are damaged or have no time any more are
    /// settled.
    fn read_on(
        &mut self,
        reader: &mut SegmentReader,
        from: u32,
        most: usize,
        into: &mut Vec<(StorePosition, StoredReading)>,
    ) -> Result<bool, DiskError> {
        let Some(segment) = self.segments.values().find(|s| reader.is_of(&s.header())) else {
            return Ok(true);
        };
        let (header, values, bytes) = (segment.header(), segment.values(), segment.bytes());
        let (mut lost, mut undated) = (Vec::new(), Vec::new());
        let mut is_end = false;
        while into.len() < most {
            let (ordinal, value) = match reader.next(&mut self.disk, bytes)? {
                Step::Value(ordinal, value) if ordinal < values => (ordinal, value),
                Step::Value(..) => continue,
                Step::End { .. } => {
                    lost.extend(reader.ordinal()..values);
                    is_end = true;
                    break;
                }
            };
            let is_settled = self
                .segments
                .get(&header.number)
                .is_some_and(|s| s.is_settled(ordinal));
            match value {
                _ if ordinal < from || is_settled => {}
                None => lost.push(ordinal),
                Some(reading)
                    if matches!(reading.at, StoredTime::SinceBoot(_))
                        && header.boot != self.boot =>
                {
                    undated.push(ordinal);
                }
                Some(reading) => {
                    let sequence = StorePosition {
                        segment: header.number,
                        generation: header.generation,
                        ordinal,
                    };
                    into.push((sequence, reading));
                }
            }
        }
        self.drop_undeliverable(header, DropCause::Damaged, lost);
        self.drop_undeliverable(header, DropCause::Undated, undated);
        Ok(is_end)
    }

    /// Marks a value as one that need not be sent any more; returns whether it was to be
    /// sent until now. The mark is lasting after the next [`Spool::save`]; a value that is
    /// sent again after a power cut does no harm.
    pub fn settle(&mut self, at: StorePosition) -> bool {
        let Some(segment) = self.segments.get_mut(&at.segment) else {
            return false;
        };
        let is_new = segment.header().generation == at.generation && segment.settle(at.ordinal);
        if is_new {
            self.settlements
                .settled((at.segment, at.generation), at.ordinal);
        }
        is_new
    }

    /// Makes the marks lasting, and removes the segments in which nothing is left to be
    /// sent.
    ///
    /// # Errors
    /// The disk failed; the marks are kept in memory, and saved the next time.
    pub fn save(&mut self) -> Result<(), DiskError> {
        self.remove_settled(None);
        let before = self.written;
        let saved = self.save_journal();
        match &saved {
            Ok(()) if self.written > before => self.write_fault = None,
            Ok(()) => {}
            Err(error) => self.write_fault = Some(error.clone()),
        }
        saved
    }

    /// Removes the segments in which nothing is left to be sent, but for this one.
    fn remove_settled(&mut self, but: Option<u64>) {
        let settled = self.segments.values().filter(|s| s.left() == 0);
        let settled = settled.map(|s| s.header().number);
        let settled: Vec<u64> = settled.filter(|n| Some(*n) != but).collect();
        if settled.is_empty() {
            return;
        }
        if self
            .last
            .as_ref()
            .is_some_and(|l| settled.contains(&l.number))
        {
            self.last = None;
        }
        self.remove(&settled);
    }

    /// Removes the files that were set aside.
    fn remove_damaged(&mut self) {
        while let Some((file, _)) = self.damaged.pop_first() {
            let _ = self.disk.remove(&file);
        }
    }

    /// Removes segments: first from the journal's point of view, then from the disk. If the
    /// journal cannot be written, the segments are removed all the same: they may be what
    /// fills the disk. They are missed then when the store is opened next, and nothing else.
    fn remove(&mut self, numbers: &[u64]) {
        for number in numbers {
            if let Some(segment) = self.segments.remove(number) {
                self.settlements.removed(*number..=segment.header().last);
            }
        }
        if let Err(error) = self.save_journal() {
            self.write_fault = Some(error);
        }
        for number in numbers {
            if let Err(error) = self.disk.remove(&file_name(*number)) {
                self.write_fault = Some(error);
            }
        }
    }

    fn save_journal(&mut self) -> Result<(), DiskError> {
        let lowest = self.segments.keys();
        let lowest = lowest
            .chain(self.newer.keys())
            .chain(self.unreadable.keys())
            .min()
            .copied();
        let low = lowest.unwrap_or(self.next);
        let marks = self.segments.values().map(|s| {
            let header = s.header();
            ((header.number, header.generation), s.marks())
        });
        let written = &mut self.written;
        self.settlements.save(&mut self.disk, low, marks, written)
    }

    // --- what is told -------------------------------------------------------------

    fn count(&mut self, cause: DropCause, values: u64) {
        if values > 0 {
            *self.dropped.entry(cause).or_default() += values;
        }
        match self.events.last_mut() {
            _ if values == 0 => {}
            Some(SpoolEvent::Dropped {
                cause: last,
                values: sum,
            }) if *last == cause => *sum += values,
            _ => self.events.push(SpoolEvent::Dropped { cause, values }),
        }
    }

    /// Returns what happened since the last call.
    pub fn take_events(&mut self) -> Vec<SpoolEvent> {
        std::mem::take(&mut self.events)
    }

    /// Returns what the store holds.
    pub fn status(&self) -> SpoolStatus {
        let oldest = self.segments.values().filter(|s| s.left() > 0);
        let oldest = oldest.map(|s| s.times().0).min().filter(|t| *t < i64::MAX);
        SpoolStatus {
            values: self.segments.values().map(|s| u64::from(s.left())).sum(),
            bytes: self.bytes()
                + self.newer.values().sum::<u64>()
                + self.unreadable.values().sum::<u64>(),
            segments: self.segments.len(),
            oldest: oldest.map(Wall::from_millis),
            written: self.written,
            dropped: self.dropped.clone(),
            fault: self.write_fault.clone().or(self.read_fault.clone()),
        }
    }
}

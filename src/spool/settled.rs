//! Which values need not be sent any more, and the journal that remembers it.
//!
//! The journal is a file of frames beside the segments. It is written and synced before a
//! segment is removed. Whatever is missing in it costs a repeat, and a repeat is harmless: a
//! value carries its time.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::disk::{Disk, DiskError, DiskFault};
use super::frame::{Body, FRAME_HEAD, FrontFrame, front, push_frame, push_number};

/// One bit for each value of a segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    bits: Vec<u64>,
    count: u32,
}

impl Marks {
    /// Marks a value; returns whether it was not marked before.
    pub(super) fn set(&mut self, ordinal: u32) -> bool {
        let (word, bit) = ((ordinal / 64) as usize, 1u64 << (ordinal % 64));
        if self.bits.len() <= word {
            self.bits.resize(word + 1, 0);
        }
        let is_new = self.bits.get(word).is_some_and(|w| w & bit == 0);
        if let Some(w) = self.bits.get_mut(word) {
            *w |= bit;
        }
        self.count += u32::from(is_new);
        is_new
    }

    /// Returns the marks of the values below this ordinal: a journal may know of values that
    /// a failing disk has lost since.
    pub(super) fn below(mut self, end: u32) -> Marks {
        let (word, bit) = ((end / 64) as usize, end % 64);
        self.bits.truncate(word + 1);
        if let Some(last) = self.bits.get_mut(word) {
            *last &= (1u64 << bit) - 1;
        }
        self.count = self.bits.iter().map(|w| w.count_ones()).sum();
        self
    }

    pub(super) fn has(&self, ordinal: u32) -> bool {
        let word = self.bits.get((ordinal / 64) as usize);
        word.is_some_and(|w| w & (1 << (ordinal % 64)) != 0)
    }

    pub(super) const fn count(&self) -> u32 {
        self.count
    }

    /// Returns the runs of marked values: the first ordinal and the length of each.
    fn runs(&self) -> Vec<(u32, u32)> {
        let mut runs: Vec<(u32, u32)> = Vec::new();
        for (at, word) in (0u32..).zip(&self.bits) {
            let mut rest = *word;
            while rest != 0 {
                let from = rest.trailing_zeros();
                let len = (rest >> from).trailing_ones();
                let first = at * 64 + from;
                match runs.last_mut() {
                    Some((f, n)) if *f + *n == first => *n += len,
                    _ => runs.push((first, len)),
                }
                match 1u64.checked_shl(from + len) {
                    Some(next) => rest &= !(next - 1),
                    None => rest = 0,
                }
            }
        }
        runs
    }
}

/// The name of the journal, and of the journal that is to replace it.
pub(super) const JOURNAL: &str = "settled";
const NEW_JOURNAL: &str = "settled.new";
/// The journal is written anew once it is longer than this and four times as long as when it
/// was last written anew.
const JOURNAL_BYTES: u64 = 64 * 1024;

const HEADER: [u8; 8] = *b"ALNKSET\x01";
/// A body of runs or bits is ended when it is longer than this.
const FULL_BODY: usize = 32 * 1024;

const RUNS: u8 = 1;
const BITS: u8 = 2;
const LOW: u8 = 3;
const REMOVED: u8 = 4;

/// A segment, in the state in which the marks are about it.
pub(super) type SegmentKey = (u64, u32);

/// What the journal says, read from its file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SettlementJournal {
    /// The marks of segments, those that no longer exist included.
    pub marks: BTreeMap<SegmentKey, Marks>,
    /// Every segment below this number was removed, or the next segment has it.
    pub low: u64,
    /// The other segments that were removed.
    pub removed: BTreeSet<u64>,
    /// The bytes that were not understood.
    pub unread: usize,
}

impl SettlementJournal {
    pub(super) fn read(bytes: &[u8]) -> SettlementJournal {
        let mut journal = SettlementJournal::default();
        let Some(mut rest) = bytes.strip_prefix(&HEADER) else {
            journal.unread = bytes.len();
            return journal;
        };
        loop {
            let size = match front(rest) {
                FrontFrame::Frame(body) => {
                    journal.take(body);
                    FRAME_HEAD + body.len()
                }
                FrontFrame::Damaged(size) => {
                    journal.unread += size;
                    size
                }
                FrontFrame::Short | FrontFrame::Nothing => break,
            };
            rest = rest.get(size..).unwrap_or_default();
        }
        journal.unread += rest.len();
        journal
    }

    /// Takes note of what a frame says. A frame that cannot be read in full says as much as
    /// could be read: each mark stands for itself.
    fn take(&mut self, body: &[u8]) -> Option<()> {
        let mut body = Body::new(body);
        match body.byte()? {
            RUNS => {
                let key = (body.number()?, u32::try_from(body.number()?).ok()?);
                let marks = self.marks.entry(key).or_default();
                let mut at = 0u32;
                while !body.is_empty() {
                    let first = at.checked_add(u32::try_from(body.number()?).ok()?)?;
                    let len = u32::try_from(body.number()?).ok()?;
                    at = first.checked_add(len).filter(|end| *end <= MOST_VALUES)?;
                    for ordinal in first..at {
                        marks.set(ordinal);
                    }
                }
            }
            BITS => {
                let key = (body.number()?, u32::try_from(body.number()?).ok()?);
                let marks = self.marks.entry(key).or_default();
                let mut first = u32::try_from(body.number()?).ok()?;
                while let Some(byte) = body.byte() {
                    for bit in (0..8).filter(|bit| byte & (1 << bit) != 0) {
                        marks.set(first.checked_add(bit).filter(|n| *n < MOST_VALUES)?);
                    }
                    first = first.checked_add(8)?;
                }
            }
            LOW => self.low = self.low.max(body.number()?),
            REMOVED => {
                while !body.is_empty() {
                    self.removed.insert(body.number()?);
                }
            }
            _ => {}
        }
        Some(())
    }
}

/// The journal, and what it is still to be told.
#[derive(Clone, Debug, Default)]
pub(super) struct Settlements {
    /// Marks that are in memory only.
    unsaved: BTreeMap<SegmentKey, Vec<u32>>,
    /// Segments that were removed, or are to be, from `low` on.
    removed: BTreeSet<u64>,
    unsaved_removed: bool,
    /// Every segment below this number was removed.
    low: u64,
    /// The size of the file, and its size when it was last written anew.
    bytes: u64,
    fresh_bytes: u64,
    /// Whether the end of the file is sound, so that more may be written there.
    is_sound: bool,
}

impl Settlements {
    /// Reads the journal, if there is one. It is written anew when there is something new to
    /// be told: the power may have failed while its end was written.
    pub(super) fn open<D: Disk>(
        disk: &mut D,
        files: &[(String, u64)],
    ) -> Result<(Settlements, SettlementJournal), DiskError> {
        if files.iter().any(|(name, _)| name == NEW_JOURNAL) {
            let _ = disk.remove(NEW_JOURNAL);
        }
        let size = files.iter().find(|(name, _)| name == JOURNAL);
        let Some((_, size)) = size else {
            return Ok(Default::default());
        };
        let len = usize::try_from(*size).unwrap_or(usize::MAX);
        let journal = SettlementJournal::read(&disk.read(JOURNAL, 0, len)?);
        let settlements = Settlements {
            removed: journal.removed.clone(),
            low: journal.low,
            bytes: *size,
            ..Settlements::default()
        };
        Ok((settlements, journal))
    }

    /// Returns the size of the file.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes note that a value need not be sent any more.
    pub(super) fn settled(&mut self, segment: SegmentKey, ordinal: u32) {
        self.unsaved.entry(segment).or_default().push(ordinal);
    }

    /// Takes note that these segments are gone, or will be as soon as that is saved.
    pub(super) fn removed(&mut self, numbers: RangeInclusive<u64>) {
        self.unsaved
            .retain(|(number, _), _| !numbers.contains(number));
        // No segment stands for more: it was thinned out eight times at the most.
        self.removed.extend(numbers.take(1 << 16));
        self.unsaved_removed = true;
    }

    /// Makes everything lasting that was taken note of. `low` is the number of the first
    /// segment that is left, `marks` are the marks of all segments; the bytes are added to
    /// `written`.
    pub(super) fn save<'a, D: Disk>(
        &mut self,
        disk: &mut D,
        low: u64,
        marks: impl Iterator<Item = (SegmentKey, &'a Marks)>,
        written: &mut u64,
    ) -> Result<(), DiskError> {
        if self.unsaved.is_empty() && !self.unsaved_removed && low == self.low {
            return Ok(());
        }
        self.low = low;
        self.removed = self.removed.split_off(&low);
        let is_long = self.bytes > JOURNAL_BYTES.max(4 * self.fresh_bytes);
        let is_sound = std::mem::take(&mut self.is_sound);
        let mut out = Vec::new();
        if is_sound && !is_long {
            push_low(&mut out, low);
            if self.unsaved_removed {
                push_removed(&mut out, self.removed.iter().copied());
            }
            for (key, ordinals) in &self.unsaved {
                push_marks(&mut out, *key, ordinals);
            }
            *written += out.len() as u64;
            disk.append(JOURNAL, &out)?;
            disk.sync(JOURNAL)?;
            self.bytes += out.len() as u64;
        } else {
            out.extend_from_slice(&HEADER);
            push_low(&mut out, low);
            push_removed(&mut out, self.removed.iter().copied());
            for (key, marks) in marks {
                push_all_marks(&mut out, key, marks);
            }
            *written += out.len() as u64;
            match disk.remove(NEW_JOURNAL) {
                Err(error) if error.fault != DiskFault::Missing => return Err(error),
                Ok(()) | Err(_) => {}
            }
            disk.append(NEW_JOURNAL, &out)?;
            disk.sync(NEW_JOURNAL)?;
            disk.rename(NEW_JOURNAL, JOURNAL)?;
            disk.sync_names()?;
            self.bytes = out.len() as u64;
            self.fresh_bytes = self.bytes;
        }
        self.is_sound = true;
        self.unsaved.clear();
        self.unsaved_removed = false;
        Ok(())
    }
}

/// No segment holds more values: each takes five bytes at least.
pub(super) const MOST_VALUES: u32 = 1 << 22;

/// Appends frames that mark these values of a segment, which are in ascending order.
fn push_marks(out: &mut Vec<u8>, key: SegmentKey, ordinals: &[u32]) {
    let mut marks = Marks::default();
    for ordinal in ordinals {
        marks.set(*ordinal);
    }
    push_all_marks(out, key, &marks);
}

/// Appends frames with all marks of a segment: as runs, or as bits if that is shorter.
fn push_all_marks(out: &mut Vec<u8>, key: SegmentKey, marks: &Marks) {
    let runs = marks.runs();
    let Some((first, _)) = runs.first().copied() else {
        return;
    };
    let start = |kind: u8| {
        let mut body = vec![kind];
        push_number(&mut body, key.0);
        push_number(&mut body, u64::from(key.1));
        body
    };
    let mut frames = Vec::new();
    let (mut body, mut at) = (start(RUNS), 0);
    for (first, len) in &runs {
        push_number(&mut body, u64::from(first - at));
        push_number(&mut body, u64::from(*len));
        at = first + len;
        if body.len() > FULL_BODY {
            push_frame(&mut frames, &body);
            (body, at) = (start(RUNS), 0);
        }
    }
    push_frame(&mut frames, &body);
    let words = marks.bits.get((first / 64) as usize..).unwrap_or_default();
    if words.len() * 8 < frames.len() {
        frames.clear();
        let mut at = first / 64 * 64;
        for chunk in words.chunks(FULL_BODY / 8) {
            let mut body = start(BITS);
            push_number(&mut body, u64::from(at));
            for word in chunk {
                body.extend_from_slice(&word.to_le_bytes());
            }
            push_frame(&mut frames, &body);
            at += chunk.len() as u32 * 64;
        }
    }
    out.extend_from_slice(&frames);
}

/// Appends a frame that says that all segments below this number were removed.
fn push_low(out: &mut Vec<u8>, low: u64) {
    let mut body = vec![LOW];
    push_number(&mut body, low);
    push_frame(out, &body);
}

/// Appends frames that say that these segments were removed.
fn push_removed(out: &mut Vec<u8>, numbers: impl IntoIterator<Item = u64>) {
    let mut body = vec![REMOVED];
    for number in numbers {
        push_number(&mut body, number);
        if body.len() > FULL_BODY {
            push_frame(out, &body);
            body.truncate(1);
        }
    }
    if body.len() > 1 {
        push_frame(out, &body);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_marked_is_read_again(
            groups in prop::collection::vec(
                ((0u64..4, 0u32..3), prop::collection::btree_set(0u32..5000, 0..300)), 0..8),
            low in 0u64..100, removed in prop::collection::btree_set(0u64..1000, 0..20),
        ) {
            let mut bytes = HEADER.to_vec();
            let mut wanted: BTreeMap<SegmentKey, Marks> = BTreeMap::new();
            for (key, ordinals) in &groups {
                let list: Vec<u32> = ordinals.iter().copied().collect();
                push_marks(&mut bytes, *key, &list);
                for ordinal in list {
                    wanted.entry(*key).or_default().set(ordinal);
                }
            }
            push_low(&mut bytes, low);
            push_removed(&mut bytes, removed.iter().copied());
            let journal = SettlementJournal::read(&bytes);
            prop_assert_eq!(&journal.low, &low);
            prop_assert_eq!(journal.unread, 0);
            prop_assert_eq!(&journal.removed, &removed);
            for (key, marks) in &wanted {
                let read = journal.marks.get(key).cloned().unwrap_or_default();
                prop_assert_eq!(read.runs(), marks.runs());
                prop_assert_eq!(read.count(), marks.count());
            }
        }

        #[test]
        fn a_cut_journal_says_only_what_is_true(
            ordinals in prop::collection::btree_set(0u32..50_000, 1..2000), cut in 0.0..1.0f64,
        ) {
            let mut bytes = HEADER.to_vec();
            let list: Vec<u32> = ordinals.iter().copied().collect();
            for part in list.chunks(100) {
                push_marks(&mut bytes, (7, 0), part);
            }
            let cut = (bytes.len() as f64 * cut) as usize;
            let journal = SettlementJournal::read(&bytes[..cut]);
            let marks = journal.marks.get(&(7, 0)).cloned().unwrap_or_default();
            let read = (0..50_000).filter(|n| marks.has(*n)).collect::<Vec<_>>();
            prop_assert!(list.starts_with(&read));
        }
    }
}

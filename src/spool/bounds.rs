//! The bounds of the store, by bytes and by age, and what gives way when there is no more room.

use std::collections::BTreeMap;

use super::disk::{Disk, DiskError, DiskFault};
use super::frame::{TextNumbers, push_readings};
use super::segment::{Header, Segment, SegmentReader, Times, file_name, point_of};
use super::{DropCause, NEW, Spool};
use crate::base::{StorePosition, StoredReading, StoredValue, Wall};
use crate::spec::DropPolicy;

/// A segment that was thinned out this often, so that it holds one value in 256, is dropped
/// rather than thinned out again.
const MOST_THINNED: u32 = 8;
/// Events are spared when values are thinned out, if they are at most one in so many: then
/// enough is given up without them.
const EVENTS_SPARED: usize = 4;

impl<D: Disk> Spool<D> {
    /// Returns the size of all files, as far as they are ours.
    pub(super) fn bytes(&self) -> u64 {
        let segments: u64 = self.segments.values().map(|s| s.bytes()).sum();
        segments + self.settlements.bytes() + self.damaged.values().sum::<u64>()
    }

    /// Makes room for this many bytes; returns whether there is.
    pub(super) fn make_room(&mut self, bytes: u64) -> bool {
        let spare = match self.limits.drop {
            // A thinned segment is written before those that it replaces are removed.
            DropPolicy::Thin => self.limits.segment_bytes,
            DropPolicy::Oldest | DropPolicy::Newest => 0,
        };
        let most = self.limits.bytes.saturating_sub(spare);
        if self.bytes() + bytes > most {
            // What is about to be written is for the last segment, which stays.
            self.remove_settled(self.last.as_ref().map(|l| l.number));
            self.remove_damaged();
        }
        while self.bytes() + bytes > most {
            let gave_way = match self.limits.drop {
                DropPolicy::Newest => false,
                DropPolicy::Oldest => self.drop_oldest(),
                DropPolicy::Thin => self.thin() || self.drop_oldest(),
            };
            if !gave_way {
                return false;
            }
        }
        true
    }

    /// Drops the oldest segment; returns whether there was one to drop.
    fn drop_oldest(&mut self) -> bool {
        let last = self.last.as_ref().map(|l| l.number);
        let mut numbers = self.segments.keys().copied();
        let Some(number) = numbers.find(|n| Some(*n) != last) else {
            return false;
        };
        self.drop_segments(&[number], DropCause::Full);
        true
    }

    fn drop_segments(&mut self, numbers: &[u64], cause: DropCause) {
        for number in numbers {
            let left = self.segments.get(number).map_or(0, Segment::left);
            self.count(cause, u64::from(left));
        }
        self.remove(numbers);
    }

    /// Drops the values that are older than the configuration allows. Call this only while
    /// the clock is right.
    pub fn expire(&mut self, now: Wall) {
        let age = i64::try_from(self.limits.age.as_millis()).unwrap_or(i64::MAX);
        let oldest = now.as_millis().saturating_sub(age);
        let too_old = |s: &&Segment| s.times() != Times::NONE && s.times().1 < oldest;
        let old = self.segments.values().filter(too_old);
        let old: Vec<u64> = old.map(|s| s.header().number).collect();
        if old.is_empty() {
            return;
        }
        if self.last.as_ref().is_some_and(|l| old.contains(&l.number)) {
            self.last = None;
        }
        self.drop_segments(&old, DropCause::TooOld);
    }

    /// Gives up every second value of each point in two neighbouring segments, and puts the
    /// two together; returns whether there were two. Events are given up in the same way only
    /// where they are many. The segments that were thinned out
    /// least come first, and of those the oldest.
    fn thin(&mut self) -> bool {
        let last = self.last.as_ref().map(|l| l.number);
        let closed: Vec<&Segment> = self
            .segments
            .values()
            .filter(|s| Some(s.header().number) != last && s.header().number > self.read_up_to)
            .collect();
        let pair = closed
            .windows(2)
            .filter_map(|pair| match pair {
                [a, b] => Some((a.header(), b.header())),
                _ => None,
            })
            .filter(|(a, b)| a.last + 1 == b.number)
            .min_by_key(|(a, b)| (a.generation.max(b.generation), a.number));
        let Some((a, b)) = pair.filter(|(a, b)| a.generation.max(b.generation) < MOST_THINNED)
        else {
            return false;
        };
        match self.thin_out(a, b) {
            Ok(()) => true,
            Err(error) => {
                self.write_fault = Some(error);
                let _ = self.disk.remove(&format!("{}{NEW}", file_name(a.number)));
                false
            }
        }
    }

    fn thin_out(&mut self, a: Header, b: Header) -> Result<(), DiskError> {
        let mut seen = BTreeMap::new();
        let (mut kept, mut gone) = (Vec::new(), 0);
        let mut all = self.all_of(a)?;
        all.append(&mut self.all_of(b)?);
        let is_event = |reading: &StoredReading| matches!(reading.value, StoredValue::Event(_));
        let events = all.iter().filter(|(_, reading)| is_event(reading)).count();
        let spares_events = events * EVENTS_SPARED <= all.len();
        for (_, reading) in all {
            if spares_events && is_event(&reading) {
                kept.push(reading);
                continue;
            }
            let is_odd = seen.entry(point_of(&reading)).or_insert(false);
            match *is_odd {
                false => kept.push(reading),
                true => gone += 1,
            }
            *is_odd = !*is_odd;
        }
        let header = Header {
            last: b.last,
            generation: a.generation.max(b.generation) + 1,
            // Times since another start of the machine are of no use any more.
            boot: self.boot,
            ..a
        };
        let mut segment = Segment::new(header);
        segment.grew(0, &kept);
        let mut bytes = header.bytes().to_vec();
        push_readings(&mut bytes, &mut TextNumbers::default(), 0, &kept);
        bytes.extend_from_slice(&segment.seal());
        segment.grew(bytes.len() as u64, &[]);
        let name = file_name(a.number);
        let new = format!("{name}{NEW}");
        self.written += bytes.len() as u64;
        match self.disk.remove(&new) {
            Err(error) if error.fault != DiskFault::Missing => return Err(error),
            Ok(()) | Err(_) => {}
        }
        self.disk.append(&new, &bytes)?;
        self.disk.sync(&new)?;
        self.disk.rename(&new, &name)?;
        self.segments.insert(a.number, segment);
        self.segments.remove(&b.number);
        self.count(DropCause::Thinned, gone);
        self.disk.sync_names()?;
        // If this fails, the segment is removed when the store is opened next.
        let _ = self.disk.remove(&file_name(b.number));
        Ok(())
    }

    /// Returns all values of a segment that are to be delivered.
    fn all_of(&mut self, header: Header) -> Result<Vec<(StorePosition, StoredReading)>, DiskError> {
        let mut reader = SegmentReader::new(header);
        let mut all = Vec::new();
        self.read_on(&mut reader, 0, usize::MAX, &mut all)?;
        Ok(all)
    }
}

//! The store against a simple truth in memory, on a disk that fails and loses power.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::settled::JOURNAL;
use super::*;
use crate::base::{DeviceName, ProductKey, Rng};

const SECTOR: usize = 512;

/// A file as the disk has it: what was synced is safe, the rest is not.
#[derive(Clone, Debug, Default)]
struct Inode {
    bytes: Vec<u8>,
    synced: usize,
    /// Bytes that a failed sync has lost, though they can be read until the power fails.
    lost: BTreeSet<usize>,
}

/// A disk in memory that may be full, broken or without power.
#[derive(Clone, Debug, Default)]
struct ModelDisk {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    safe_names: BTreeMap<String, usize>,
    /// Bytes that may still be written.
    room: Option<usize>,
    is_read_only: bool,
    /// The next sync fails.
    sync_fails: bool,
    /// Reads fail, of all files or of this one.
    is_unreadable: bool,
    unreadable_file: Option<String>,
    appended: usize,
    /// Bytes that were read.
    read: usize,
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
    fn cut(&mut self, rng: &mut Rng) {
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

    fn file(&mut self, name: &str) -> &mut Vec<u8> {
        let inode = self.names[name];
        &mut self.inodes[inode].bytes
    }

    fn segment_names(&self) -> Vec<String> {
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

const BOOT: BootId = BootId(*b"this start of it");

fn limits(bytes: u64, drop: DropPolicy) -> SpoolLimits {
    SpoolLimits {
        bytes,
        age: Duration::from_secs(30 * 24 * 3600),
        segment_bytes: 4096,
        drop,
    }
}

fn roomy() -> SpoolLimits {
    limits(1 << 30, DropPolicy::Oldest)
}

/// The value number `n`: its device, time and value follow from the number.
fn reading(n: u64) -> StoredReading {
    let value = match n % 7 {
        0 => Value::Bool(n.is_multiple_of(2)),
        1 => Value::Int(-(n as i64)),
        2 => Value::Float(n as f64 + 0.1),
        3 => Value::Float(n as f64),
        4 => Value::Text(format!("value {n}")),
        _ => Value::UInt(n * 1_000_003),
    };
    StoredReading {
        product_key: ProductKey::new("a1Product"),
        device_name: DeviceName::new(&format!("meter-{:04}", n % 5)),
        identifier: format!("P{}", n % 3).into(),
        at: Stamp::Wall(Wall::from_millis(1_700_000_000_000 + n as i64 * 997)),
        value: value.into(),
    }
}

fn number(reading: &StoredReading) -> u64 {
    let Stamp::Wall(at) = reading.at else {
        panic!("{reading:?}");
    };
    ((at.as_millis() - 1_700_000_000_000) / 997) as u64
}

fn readings(numbers: std::ops::Range<u64>) -> Vec<StoredReading> {
    numbers.map(reading).collect()
}

fn opened(disk: ModelDisk, limits: SpoolLimits) -> Spool<ModelDisk> {
    Spool::open(disk, limits, BOOT).unwrap()
}

/// Reads everything that is to be delivered, in small chunks, and checks that each value is
/// what was stored, and that the values of each device are in order.
fn all(spool: &mut Spool<ModelDisk>) -> Vec<(Sequence, u64)> {
    let mut from = Some(Sequence::START);
    let mut read = Vec::new();
    while let Some(at) = from {
        let chunk = spool.read(at, 37).unwrap();
        for (sequence, value) in chunk.readings {
            let n = number(&value);
            assert_eq!(value, reading(n));
            read.push((sequence, n));
        }
        from = chunk.next;
    }
    assert!(read.is_sorted_by_key(|(sequence, _)| *sequence));
    read
}

fn numbers(spool: &mut Spool<ModelDisk>) -> Vec<u64> {
    all(spool).into_iter().map(|(_, n)| n).collect()
}

fn dropped(events: &[SpoolEvent], of: DropCause) -> u64 {
    let each = events.iter().map(|e| match e {
        SpoolEvent::Dropped { cause, values } if *cause == of => *values,
        _ => 0,
    });
    each.sum()
}

#[test]
fn what_was_stored_is_read_in_order_also_after_a_restart() {
    let mut spool = opened(ModelDisk::default(), roomy());
    for at in (0..2000).step_by(50) {
        assert_eq!(spool.store(&readings(at..at + 50)).at.len(), 50);
    }
    let wanted: Vec<u64> = (0..2000).collect();
    assert_eq!(numbers(&mut spool), wanted);
    assert!(spool.status().segments > 3);
    let mut spool = opened(spool.disk, roomy());
    assert_eq!(spool.status().values, 2000);
    assert_eq!(numbers(&mut spool), wanted);
    assert_eq!(spool.take_events(), []);
}

#[test]
fn every_kind_of_value_and_time_comes_back_as_it_was() {
    let mut spool = opened(ModelDisk::default(), roomy());
    let values = [
        Value::Int(i64::MIN),
        Value::Int(i64::MAX),
        Value::UInt(u64::MAX),
        Value::Float(f64::MAX),
        Value::Float(-0.0),
        Value::Float(0.1),
        Value::Float(5e-324),
        Value::Bool(true),
        Value::Text(String::new()),
        Value::Text("中文".repeat(2000)),
    ];
    let stamps = [
        Stamp::Wall(Wall::from_millis(i64::MIN)),
        Stamp::Wall(Wall::from_millis(i64::MAX)),
        Stamp::SinceBoot(0),
        Stamp::SinceBoot(i64::MAX),
        Stamp::SinceBoot(-5),
        Stamp::Wall(Wall::from_millis(0)),
    ];
    let given: Vec<StoredReading> = values
        .iter()
        .flat_map(|v| stamps.iter().map(move |s| (v, s)))
        .map(|(value, at)| StoredReading {
            value: value.clone().into(),
            at: *at,
            ..reading(1)
        })
        .collect();
    assert_eq!(spool.store(&given).at.len(), given.len());
    let mut spool = opened(spool.disk, roomy());
    let read = spool.read(Sequence::START, 1000).unwrap().readings;
    let read: Vec<StoredReading> = read.into_iter().map(|(_, r)| r).collect();
    assert_eq!(format!("{read:?}"), format!("{given:?}"));
}

#[test]
fn times_of_another_start_of_the_machine_are_dropped_and_counted() {
    let mut spool = opened(ModelDisk::default(), roomy());
    let undated = StoredReading {
        at: Stamp::SinceBoot(5000),
        ..reading(1)
    };
    spool.store(&[reading(0), undated.clone(), reading(2)]);
    let here = spool.read(Sequence::START, 10).unwrap().readings;
    assert_eq!(here.len(), 3);
    let mut spool = Spool::open(spool.disk, roomy(), BootId([7; 16])).unwrap();
    assert_eq!(numbers(&mut spool), [0, 2]);
    assert_eq!(dropped(&spool.take_events(), DropCause::Undated), 1);
}

#[test]
fn what_is_settled_is_not_read_again_and_leaves_no_file() {
    let mut spool = opened(ModelDisk::default(), roomy());
    spool.store(&readings(0..1000));
    for (sequence, n) in all(&mut spool) {
        if n % 10 != 3 {
            assert!(spool.settle(sequence));
            assert!(!spool.settle(sequence));
        }
    }
    let left: Vec<u64> = (0..1000).filter(|n| n % 10 == 3).collect();
    assert_eq!(numbers(&mut spool), left);
    spool.save().unwrap();
    let mut spool = opened(spool.disk, roomy());
    assert_eq!(spool.status().values, 100);
    assert_eq!(numbers(&mut spool), left);
    for (sequence, _) in all(&mut spool) {
        spool.settle(sequence);
    }
    spool.save().unwrap();
    assert_eq!(spool.disk.segment_names(), [""; 0]);
    let mut spool = opened(spool.disk, roomy());
    assert_eq!(spool.take_events(), []);
    // A number is never given twice.
    spool.store(&readings(0..10));
    assert_eq!(numbers(&mut spool), (0..10).collect::<Vec<_>>());
}

#[test]
fn a_store_that_grows_while_it_is_read_is_read_to_its_end() {
    let mut spool = opened(ModelDisk::default(), roomy());
    let mut from = Sequence::START;
    let mut read = Vec::new();
    for at in (0..1200).step_by(40) {
        spool.store(&readings(at..at + 40));
        let chunk = spool.read(from, 25).unwrap();
        from = chunk.next.unwrap();
        read.extend(chunk.readings.iter().map(|(_, r)| number(r)));
    }
    while let Ok(Chunk {
        readings,
        next: Some(next),
    }) = spool.read(from, 25)
    {
        read.extend(readings.iter().map(|(_, r)| number(r)));
        from = next;
    }
    let last = spool.read(from, 25).unwrap().readings;
    read.extend(last.iter().map(|(_, r)| number(r)));
    assert_eq!(read, (0..1200).collect::<Vec<_>>());
}

#[test]
fn a_full_store_is_opened_without_being_read() {
    let mut spool = opened(ModelDisk::default(), roomy());
    for at in (0..50_000).step_by(50) {
        spool.store(&readings(at..at + 50));
    }
    let segments = spool.status().segments;
    let mut disk = spool.disk;
    disk.read = 0;
    let spool = opened(disk, roomy());
    assert_eq!(spool.status().values, 50_000);
    // The ends of each, and all of the last one, which is not sealed.
    assert!(segments > 100);
    assert!(spool.disk.read < segments * 128 + 2 * 4096);
}

#[test]
fn a_value_takes_a_dozen_bytes_in_a_group() {
    let mut spool = opened(
        ModelDisk::default(),
        SpoolLimits {
            segment_bytes: 1 << 20,
            ..roomy()
        },
    );
    let fleet: Vec<StoredReading> = (0..20_000u64)
        .map(|n| StoredReading {
            device_name: DeviceName::new(&format!("meter-{:04}", n / 10)),
            identifier: format!("Property{}", n % 10).into(),
            value: Value::Float((n as f64) / 10.0).into(),
            ..reading(n)
        })
        .collect();
    for _ in 0..4 {
        spool.store(&fleet);
    }
    let per_value = spool.status().written as f64 / 80_000.0;
    assert!(per_value < 20.0, "{per_value}");
}

#[test]
fn a_full_store_gives_up_the_oldest_the_newest_or_every_second_value() {
    let most = 64 * 1024;
    for drop in [DropPolicy::Oldest, DropPolicy::Newest, DropPolicy::Thin] {
        let mut spool = opened(ModelDisk::default(), limits(most, drop));
        for at in (0..30_000).step_by(50) {
            assert_eq!(spool.store(&readings(at..at + 50)).at.len(), 50);
            assert!(spool.status().bytes <= most);
        }
        let mut spool = opened(spool.disk.clone(), limits(most, drop));
        let read = numbers(&mut spool);
        assert_eq!(read.len() as u64, spool.status().values);
        assert!(spool.status().bytes > most * 8 / 10);
        match drop {
            DropPolicy::Oldest => {
                let first = read[0];
                assert_eq!(read, (first..30_000).collect::<Vec<_>>());
            }
            DropPolicy::Newest => {
                assert_eq!(read, (0..read.len() as u64).collect::<Vec<_>>());
            }
            DropPolicy::Thin => {
                // Far more time than could be held at the full rate, and the latest whole.
                assert!(read[0] < 5_000, "{}", read[0]);
                assert!(read.ends_with(&(29_900..30_000).collect::<Vec<_>>()));
                let points: BTreeSet<u64> = read.iter().map(|n| n % 15).collect();
                assert_eq!(points.len(), 15);
            }
        }
    }
}

#[test]
fn what_is_given_up_is_counted_to_the_last_value() {
    for drop in [DropPolicy::Oldest, DropPolicy::Newest, DropPolicy::Thin] {
        let mut spool = opened(ModelDisk::default(), limits(48 * 1024, drop));
        for at in (0..20_000).step_by(50) {
            spool.store(&readings(at..at + 50));
        }
        let events = spool.take_events();
        let gone = dropped(&events, DropCause::Full) + dropped(&events, DropCause::Thinned);
        assert_eq!(gone + numbers(&mut spool).len() as u64, 20_000, "{drop:?}");
    }
}

#[test]
fn the_last_segment_stays_while_it_is_written_though_nothing_in_it_is_left() {
    let mut spool = opened(ModelDisk::default(), limits(6 * 1024, DropPolicy::Newest));
    let mut next = 0;
    let mut owed: Vec<u64> = Vec::new();
    for _ in 0..200 {
        assert_eq!(spool.store(&readings(next..next + 20)).at.len(), 20);
        if dropped(&spool.take_events(), DropCause::Full) == 0 {
            owed.extend(next..next + 20);
        }
        next += 20;
        let mut check = opened(spool.disk.clone(), limits(6 * 1024, DropPolicy::Newest));
        let read = numbers(&mut check);
        assert!(owed.iter().all(|n| read.contains(n)), "{owed:?} {read:?}");
        // Everything is settled, and that is not saved yet.
        for (sequence, _) in all(&mut spool) {
            spool.settle(sequence);
        }
        owed.clear();
    }
}

#[test]
fn a_store_that_was_thinned_out_is_whole_after_a_restart() {
    let tight = limits(48 * 1024, DropPolicy::Thin);
    let mut spool = opened(ModelDisk::default(), tight);
    for at in (0..20_000).step_by(50) {
        spool.store(&readings(at..at + 50));
        if at % 1000 == 0 {
            let mut again = opened(spool.disk.clone(), tight);
            assert_eq!(again.status().values, spool.status().values);
            numbers(&mut again);
            assert_eq!(again.take_events(), []);
        }
    }
}

#[test]
fn what_was_read_is_not_thinned_out_under_the_reader() {
    let tight = limits(48 * 1024, DropPolicy::Thin);
    let mut spool = opened(ModelDisk::default(), tight);
    for at in (0..2000).step_by(50) {
        spool.store(&readings(at..at + 50));
    }
    let chunk = spool.read(Sequence::START, 500).unwrap();
    for at in (2000..6000).step_by(50) {
        spool.store(&readings(at..at + 50));
    }
    let known: BTreeSet<u64> = numbers(&mut spool).into_iter().collect();
    for (sequence, value) in chunk.readings {
        assert_eq!(spool.settle(sequence), known.contains(&number(&value)));
    }
}

#[test]
fn segments_that_cannot_be_read_at_the_start_are_left_as_they_are() {
    let (mut disk, all) = sample();
    disk.unreadable_file = Some(disk.segment_names()[2].clone());
    let (read, events, mut spool) = after(disk);
    assert!(read.len() < all.len());
    assert!(matches!(
        events[..],
        [SpoolEvent::Damaged { values: None, .. }]
    ));
    for (sequence, _) in super::tests::all(&mut spool) {
        spool.settle(sequence);
    }
    spool.save().unwrap();
    spool.disk.unreadable_file = None;
    let (rest, events, _) = after(spool.disk);
    assert_eq!((read.len() + rest.len(), events), (all.len(), vec![]));

    // A disk of which nothing can be read is opened later.
    let (mut disk, _) = sample();
    disk.is_unreadable = true;
    let names = disk.names.clone();
    let error = Spool::open(disk.clone(), roomy(), BOOT).unwrap_err();
    assert_eq!(error.fault, DiskFault::Broken);
    assert_eq!(disk.names, names);
}

#[test]
fn a_segment_that_stays_unreadable_is_given_up_and_the_rest_goes_on() {
    let (disk, all) = sample();
    let mut spool = opened(disk, roomy());
    let bad = spool.disk.segment_names()[2].clone();
    spool.disk.unreadable_file = Some(bad.clone());
    let (mut read, mut from, mut failures) = (Vec::new(), Some(Sequence::START), 0);
    while let Some(at) = from {
        match spool.read(at, 100) {
            Ok(chunk) => {
                read.extend(chunk.readings.iter().map(|(_, r)| number(r)));
                from = chunk.next;
            }
            Err(_) => failures += 1,
        }
        assert!(failures < 20);
    }
    let lost = (all.len() - read.len()) as u64;
    assert!(lost > 0 && failures > 0);
    let events = spool.take_events();
    assert_eq!(dropped(&events, DropCause::Damaged), lost);
    assert!(events.contains(&SpoolEvent::Damaged {
        file: bad,
        values: Some(lost),
    }));
}

#[test]
fn old_values_are_dropped_by_their_age() {
    let mut spool = opened(ModelDisk::default(), roomy());
    spool.store(&readings(0..1000));
    let day = 24 * 3600 * 1000;
    spool.expire(Wall::from_millis(1_700_000_000_000 + 29 * day));
    assert_eq!(spool.status().values, 1000);
    spool.expire(Wall::from_millis(1_700_000_000_000 + 31 * day));
    assert_eq!(spool.status().values, 0);
    assert_eq!(dropped(&spool.take_events(), DropCause::TooOld), 1000);
    spool.store(&readings(5..10));
    assert_eq!(numbers(&mut spool), [5, 6, 7, 8, 9]);
}

#[test]
fn a_text_that_no_property_has_is_refused_and_counted() {
    let mut spool = opened(ModelDisk::default(), roomy());
    let long = StoredReading {
        value: Value::Text("x".repeat(LONGEST_TEXT + 1)).into(),
        ..reading(1)
    };
    assert_eq!(spool.store(&[reading(0), long, reading(2)]).at.len(), 3);
    assert_eq!(numbers(&mut spool), [0, 2]);
    assert_eq!(dropped(&spool.take_events(), DropCause::TooLong), 1);
}

// --- the power fails ---------------------------------------------------------------------

/// Stores, settles, saves, and cuts the last write off after each of its bytes: whatever was
/// confirmed before is read again, and nothing else but values of that write.
#[test]
fn a_power_cut_at_every_byte_of_the_log_costs_nothing_that_was_confirmed() {
    let mut disk = ModelDisk::default();
    let mut wanted: BTreeSet<u64> = BTreeSet::new();
    for round in 0..12u64 {
        let mut spool = opened(disk.clone(), roomy());
        let group = readings(round * 40..round * 40 + 40);
        let before: usize = spool.disk.appended;
        spool.store(&group);
        let done = spool.disk.clone();
        for cut in 0..done.appended - before {
            let mut disk = disk.clone();
            disk.room = Some(cut);
            let mut spool = opened(disk, roomy());
            assert_eq!(spool.store(&group).at.len(), 0);
            let mut disk = spool.disk;
            disk.room = None;
            let mut spool = opened(disk, roomy());
            let read: BTreeSet<u64> = numbers(&mut spool).into_iter().collect();
            assert!(read.is_superset(&wanted), "{round} {cut}");
            let mut with_group = wanted.clone();
            with_group.extend(round * 40..round * 40 + 40);
            assert!(read.is_subset(&with_group), "{round} {cut}");
        }
        disk = done;
        wanted.extend(round * 40..round * 40 + 40);
        let mut spool = opened(disk, roomy());
        for (sequence, n) in all(&mut spool) {
            if n % 4 == round % 4 {
                spool.settle(sequence);
                wanted.remove(&n);
            }
        }
        let disk_before = spool.disk.clone();
        let spool_before = spool.clone();
        spool.save().unwrap();
        let written = spool.disk.appended - disk_before.appended;
        for cut in 0..written {
            let mut spool = spool_before.clone();
            spool.disk.room = Some(cut);
            let _ = spool.save();
            let mut disk = spool.disk;
            disk.room = None;
            let mut spool = opened(disk, roomy());
            let read: BTreeSet<u64> = numbers(&mut spool).into_iter().collect();
            assert!(read.is_superset(&wanted), "{round} {cut}");
        }
        disk = spool.disk;
    }
}

/// What is asked of the store, and what happens to its disk.
#[derive(Clone, Debug)]
enum Act {
    Store(u64),
    Settle(u8),
    Save,
    Restart,
    PowerCut,
    SyncFails,
    Room(u16),
    Roomy,
    ReadOnly,
    Writable,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => (1u64..120).prop_map(Act::Store),
        5 => any::<u8>().prop_map(Act::Settle),
        3 => Just(Act::Save),
        1 => Just(Act::Restart),
        2 => Just(Act::PowerCut),
        1 => Just(Act::SyncFails),
        1 => (0u16..6000).prop_map(Act::Room),
        2 => Just(Act::Roomy),
        1 => Just(Act::ReadOnly),
        2 => Just(Act::Writable),
    ]
}

/// The store, and the truth about it.
struct Model {
    spool: Spool<ModelDisk>,
    limits: SpoolLimits,
    rng: Rng,
    next: u64,
    /// Values that were confirmed and not settled.
    owed: BTreeSet<u64>,
    /// Values that were settled, and may come back until that was saved.
    settled: BTreeSet<u64>,
    /// Values that were settled, and that was saved.
    over: BTreeSet<u64>,
    /// Values that may be there or not: their writing failed, or their settlement was not
    /// saved before the end of the process.
    again: BTreeSet<u64>,
    /// Whether a sync has failed: then values that were never confirmed may be seen by the
    /// next process, and be gone after a power cut.
    has_forgotten: bool,
    gone: u64,
}

impl Model {
    fn new(seed: u64, limits: SpoolLimits) -> Model {
        Model {
            spool: opened(ModelDisk::default(), limits),
            limits,
            rng: Rng::new(seed),
            next: 0,
            owed: BTreeSet::new(),
            settled: BTreeSet::new(),
            over: BTreeSet::new(),
            again: BTreeSet::new(),
            has_forgotten: false,
            gone: 0,
        }
    }

    fn act(&mut self, act: &Act) {
        match *act {
            Act::Store(count) => {
                let group = readings(self.next..self.next + count);
                let stored = self.spool.store(&group);
                assert_eq!(stored.error.is_none(), stored.at.len() == group.len());
                let taken = self.next + stored.at.len() as u64;
                self.owed.extend(self.next..taken);
                self.again.extend(taken..self.next + count);
                self.next += count;
            }
            Act::Settle(share) => {
                for (sequence, n) in all(&mut self.spool) {
                    if self.rng.below(256) < u64::from(share) {
                        self.spool.settle(sequence);
                        self.owed.remove(&n);
                        self.settled.insert(n);
                    }
                }
            }
            Act::Save => {
                if self.spool.save().is_ok() {
                    self.over.append(&mut self.settled);
                }
            }
            Act::Restart => self.reopen(),
            Act::PowerCut => {
                self.spool.disk.cut(&mut self.rng);
                self.reopen();
            }
            Act::SyncFails => {
                self.has_forgotten = true;
                self.spool.disk.sync_fails = true;
            }
            Act::Room(bytes) => self.spool.disk.room = Some(bytes.into()),
            Act::Roomy => self.spool.disk.room = None,
            Act::ReadOnly => self.spool.disk.is_read_only = true,
            Act::Writable => self.spool.disk.is_read_only = false,
        }
        for event in self.spool.take_events() {
            match event {
                SpoolEvent::Damaged { .. }
                | SpoolEvent::Dropped {
                    cause: DropCause::Damaged,
                    ..
                } if self.has_forgotten => {}
                SpoolEvent::Dropped { values, .. } => self.gone += values,
                SpoolEvent::Torn { .. } => {}
                // A removal that the journal could not be told of is missed.
                SpoolEvent::Missing { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn reopen(&mut self) {
        let disk = std::mem::take(&mut self.spool.disk);
        self.spool = opened(disk, self.limits);
        // What was not saved is not remembered.
        self.again.append(&mut self.settled);
    }

    /// Everything that is owed is there.
    fn check(&mut self) {
        let list = numbers(&mut self.spool);
        let read: BTreeSet<u64> = list.iter().copied().collect();
        let missing: Vec<_> = self.owed.difference(&read).collect();
        assert!(missing.is_empty(), "lost: {missing:?}");
        for n in &read {
            let known = self.owed.contains(n) || self.settled.contains(n) || self.again.contains(n);
            assert!(known, "{n} came back");
        }
        for device in 0..5 {
            let of_it = list.iter().filter(|n| **n % 5 == device);
            assert!(of_it.is_sorted(), "{list:?}");
        }
    }
}

proptest! {
    #[test]
    fn no_course_of_events_costs_a_value_that_was_confirmed(
        seed: u64, acts in prop::collection::vec(act(), 1..60),
    ) {
        let mut model = Model::new(seed, roomy());
        for act in &acts {
            model.act(act);
            model.check();
        }
        prop_assert_eq!(model.gone, 0);
    }
}

// --- known damages -----------------------------------------------------------------------

/// A store of eight segments and more, closed, with its values.
fn sample() -> (ModelDisk, Vec<u64>) {
    let mut spool = opened(ModelDisk::default(), roomy());
    for at in (0..3000).step_by(50) {
        spool.store(&readings(at..at + 50));
    }
    spool.save().unwrap();
    (spool.disk, (0..3000).collect())
}

/// Opens a damaged store; returns the values in it and what was told.
fn after(disk: ModelDisk) -> (Vec<u64>, Vec<SpoolEvent>, Spool<ModelDisk>) {
    let mut spool = opened(disk, roomy());
    let read = numbers(&mut spool);
    let events = spool.take_events();
    (read, events, spool)
}

#[test]
fn damage_a_missing_segment_costs_itself_and_is_counted() {
    let (mut disk, all) = sample();
    let names = disk.segment_names();
    disk.names.remove(&names[2]);
    let (read, events, spool) = after(disk);
    let lost = all.len() - read.len();
    assert!(lost > 0 && read.starts_with(&all[..100]) && read.ends_with(&all[1400..]));
    assert!(events.contains(&SpoolEvent::Missing {
        file: names[2].clone(),
        values: Some(lost as u64),
    }));
    assert_eq!(dropped(&events, DropCause::Damaged), lost as u64);
    // It is told once.
    let mut spool = spool;
    spool.store(&readings(0..1));
    spool.save().unwrap();
    assert_eq!(after(spool.disk).1, []);
}

#[test]
fn damage_a_broken_header_costs_its_segment_which_is_set_aside() {
    let (mut disk, all) = sample();
    let name = disk.segment_names()[1].clone();
    disk.file(&name)[20] ^= 0x40;
    let (read, events, spool) = after(disk);
    let lost = (all.len() - read.len()) as u64;
    assert!(events.contains(&SpoolEvent::Damaged {
        file: format!("{name}.damaged"),
        values: Some(lost),
    }));
    assert!(spool.disk.names.contains_key(&format!("{name}.damaged")));
}

#[test]
fn damage_a_flipped_bit_anywhere_costs_a_part_of_its_segment_at_most() {
    let (disk, all) = sample();
    let name = disk.segment_names()[2].clone();
    let size = disk.inodes[disk.names[&name]].bytes.len();
    for at in (0..size).step_by(7) {
        let mut disk = disk.clone();
        disk.file(&name)[at] ^= 1 << (at % 8);
        let (read, events, _) = after(disk);
        let lost = (all.len() - read.len()) as u64;
        assert!(lost <= 400, "{at}: {lost}");
        assert_eq!(
            dropped(&events, DropCause::Damaged),
            lost,
            "{at}: {events:?}"
        );
    }
}

#[test]
fn damage_a_truncated_segment_costs_its_end() {
    let (disk, all) = sample();
    let name = disk.segment_names()[2].clone();
    let size = disk.inodes[disk.names[&name]].bytes.len();
    for len in (0..size).step_by(13) {
        let mut disk = disk.clone();
        disk.file(&name).truncate(len);
        let (read, events, _) = after(disk);
        assert!(read.starts_with(&all[..600]) && read.ends_with(&all[1200..]));
        let lost = (all.len() - read.len()) as u64;
        assert_eq!(
            dropped(&events, DropCause::Damaged),
            lost,
            "{len}: {events:?}"
        );
    }
}

#[test]
fn damage_a_journal_of_noise_costs_repeats_only() {
    let (disk, all) = sample();
    let mut rng = Rng::new(3);
    for len in [0, 1, 8, 9, 300, 5000] {
        let mut disk = disk.clone();
        *disk.file(JOURNAL) = (0..len).map(|_| rng.below(256) as u8).collect();
        let (read, events, mut spool) = after(disk);
        assert_eq!((read, events), (all.clone(), vec![]));
        spool.store(&readings(0..1));
        spool.save().unwrap();
    }
}

#[test]
fn damage_segments_of_noise_are_set_aside_and_at_most_two_are_kept() {
    let (mut disk, all) = sample();
    let mut rng = Rng::new(4);
    for name in disk.segment_names().iter().skip(1).take(4) {
        let noise = disk.file(name);
        noise.fill_with(|| rng.below(256) as u8);
    }
    let (read, events, spool) = after(disk);
    assert!(read.ends_with(&all[2000..]) && read.starts_with(&all[..300]));
    let told = events
        .iter()
        .filter(|e| matches!(e, SpoolEvent::Damaged { .. }));
    assert_eq!(told.count(), 4);
    let aside = spool.disk.names.keys().filter(|n| n.ends_with(DAMAGED));
    assert_eq!(aside.count(), 2);
}

#[test]
fn damage_by_a_stranger_files_of_other_names_are_left_alone() {
    let (mut disk, all) = sample();
    for name in ["core", "1.readings", "notes.txt", "0000000000zz.readings"] {
        disk.append(name, b"something").unwrap();
    }
    let (read, events, spool) = after(disk);
    assert_eq!((read, events), (all, vec![]));
    for name in ["core", "1.readings", "notes.txt", "0000000000zz.readings"] {
        assert!(spool.disk.names.contains_key(name));
    }
}

#[test]
fn a_segment_of_a_later_version_is_left_alone_and_told() {
    let (mut disk, all) = sample();
    let name = disk.segment_names()[1].clone();
    let file = disk.file(&name);
    file[8] = 9;
    let crc = frame::checksum(&file[..60], &[]).to_le_bytes();
    file[60..64].copy_from_slice(&crc);
    let (read, events, mut spool) = after(disk);
    assert!(read.len() < all.len());
    assert!(events.contains(&SpoolEvent::Newer {
        file: name.clone(),
        version: 9,
    }));
    assert_eq!(dropped(&events, DropCause::Damaged), 0);
    for (sequence, _) in super::tests::all(&mut spool) {
        spool.settle(sequence);
    }
    spool.save().unwrap();
    assert_eq!(spool.disk.segment_names(), [name]);
}

#[test]
fn a_read_error_is_an_error_and_no_damage() {
    let (disk, all) = sample();
    let mut spool = opened(disk, roomy());
    spool.disk.is_unreadable = true;
    assert!(spool.read(Sequence::START, 10).is_err());
    spool.disk.is_unreadable = false;
    assert_eq!(numbers(&mut spool), all);
    assert_eq!(spool.take_events(), []);
}

#[test]
fn a_disk_that_recovers_is_used_again() {
    let mut spool = opened(ModelDisk::default(), roomy());
    spool.store(&readings(0..10));
    for make_bad in [
        (|d| d.room = Some(17)) as fn(&mut ModelDisk),
        |d| d.is_read_only = true,
        |d| d.sync_fails = true,
    ] {
        let from = spool.status().values;
        make_bad(&mut spool.disk);
        let stored = spool.store(&readings(from..from + 10));
        assert_eq!(stored.at, []);
        assert!(spool.status().fault.is_some());
        spool.disk.room = None;
        spool.disk.is_read_only = false;
        assert_eq!(spool.store(&readings(from..from + 10)).at.len(), 10);
        assert_eq!(spool.status().fault, None);
    }
    assert_eq!(numbers(&mut spool), (0..40).collect::<Vec<_>>());
}

/// An event with outputs of every kind of value.
fn event(n: u64) -> StoredReading {
    let data = [
        ("code", Value::UInt(n)),
        ("temp", Value::Float(80.5)),
        ("long", Value::Float(0.1)),
        ("is_on", Value::Bool(true)),
        ("is_off", Value::Bool(false)),
        ("delta", Value::Int(-7)),
        ("text", Value::Text("过热 \"x\"".into())),
    ];
    let data = data.into_iter().map(|(name, value)| (name.into(), value));
    StoredReading {
        identifier: "overheat".into(),
        value: StoredValue::Event(data.take(n as usize % 8).collect()),
        ..reading(n)
    }
}

/// Values and events in turn, in an order of their own.
fn mixed(numbers: std::ops::Range<u64>) -> Vec<StoredReading> {
    let one = |n: u64| match n % 5 {
        0 | 3 => event(n),
        _ => reading(n),
    };
    numbers.map(one).collect()
}

fn read_all(spool: &mut Spool<ModelDisk>) -> Vec<StoredReading> {
    let mut from = Some(Sequence::START);
    let mut read = Vec::new();
    while let Some(at) = from {
        let chunk = spool.read(at, 37).unwrap();
        read.extend(chunk.readings.into_iter().map(|(_, reading)| reading));
        from = chunk.next;
    }
    read
}

#[test]
fn events_and_values_are_read_as_they_were_and_in_order_also_after_a_restart() {
    let mut spool = opened(ModelDisk::default(), roomy());
    let given = mixed(0..500);
    for group in given.chunks(23) {
        assert_eq!(spool.store(group).at.len(), group.len());
    }
    assert_eq!(read_all(&mut spool), given);
    let mut spool = opened(spool.disk, roomy());
    assert_eq!(spool.status().values, 500);
    assert_eq!(read_all(&mut spool), given);
    assert_eq!(spool.take_events(), []);
}

#[test]
fn an_event_that_no_frame_holds_is_refused_and_counted() {
    let mut spool = opened(ModelDisk::default(), roomy());
    let with = |outputs: usize| StoredReading {
        value: StoredValue::Event(
            (0..outputs)
                .map(|n| (format!("o{n}").into(), Value::Text("x".repeat(10_000))))
                .collect(),
        ),
        ..event(1)
    };
    let stored = spool.store(&[reading(1), with(3), with(4), reading(2)]);
    let is_there: Vec<bool> = stored.at.iter().map(Option::is_some).collect();
    assert_eq!(is_there, [true, true, false, true]);
    assert_eq!(read_all(&mut spool), [reading(1), with(3), reading(2)]);
    assert_eq!(dropped(&spool.take_events(), DropCause::TooLong), 1);
}

/// The files in `tests/vectors/spool-1` were written by the program before it knew events: the
/// readings 0 to 13 of this file's `reading`, of which 2, 3 and 4 are settled, and one without a
/// time.
#[test]
fn a_store_from_before_there_were_events_is_read_as_it_was() {
    let mut disk = ModelDisk::default();
    for (name, bytes) in [
        (
            "000000000001.readings",
            &include_bytes!("../../tests/vectors/spool-1/000000000001.readings")[..],
        ),
        (
            JOURNAL,
            &include_bytes!("../../tests/vectors/spool-1/settled")[..],
        ),
    ] {
        disk.append(name, bytes).unwrap();
        disk.sync(name).unwrap();
    }
    disk.sync_names().unwrap();
    let mut spool = opened(disk, roomy());
    let left = readings(0..2).into_iter().chain(readings(5..14));
    let undated = StoredReading {
        at: Stamp::SinceBoot(-5),
        ..reading(20)
    };
    let mut left: Vec<StoredReading> = left.chain([undated]).collect();
    assert_eq!(read_all(&mut spool), left);
    assert_eq!(spool.take_events(), []);
    // What is stored now comes behind it.
    spool.store(&mixed(100..110));
    left.extend(mixed(100..110));
    assert_eq!(read_all(&mut spool), left);
}

#[test]
fn thinning_spares_events_where_they_are_few_and_not_where_they_are_many() {
    let is_event = |r: &StoredReading| matches!(r.value, StoredValue::Event(_));
    for (every, all_are_spared) in [(20, true), (1, false)] {
        let thin = limits(40_000, DropPolicy::Thin);
        let mut spool = opened(ModelDisk::default(), thin);
        let mut given = Vec::new();
        for n in 0..6_000 {
            let one = match n % every {
                0 => event(n),
                _ => reading(n),
            };
            given.push(one);
        }
        for group in given.chunks(50) {
            spool.store(group);
        }
        let dropped = spool.status().dropped.get(&DropCause::Full).copied();
        let read = read_all(&mut spool);
        let events = read.iter().filter(|r| is_event(r)).count() as u64;
        assert!(spool.status().bytes <= 40_000 && !read.is_empty());
        if all_are_spared {
            assert_eq!(dropped, None);
            assert_eq!(events, 6_000 / every);
        } else {
            assert!(events < 6_000);
        }
    }
}

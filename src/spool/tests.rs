//! The store against what was put into it: order, restarts, limits and what is given up. Its disk,
//! power cuts, damages and events are in the files beside this one.

mod damage;
mod events;
mod model_disk;
mod power;

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use self::model_disk::ModelDisk;
use super::settled::JOURNAL;
use super::*;
use crate::base::{DeviceName, ProductKey, Rng};

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
        at: StoredTime::Wall(Wall::from_millis(1_700_000_000_000 + n as i64 * 997)),
        value: value.into(),
    }
}

fn number(reading: &StoredReading) -> u64 {
    let StoredTime::Wall(at) = reading.at else {
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
fn all(spool: &mut Spool<ModelDisk>) -> Vec<(StorePosition, u64)> {
    let mut from = Some(StorePosition::START);
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
        StoredTime::Wall(Wall::from_millis(i64::MIN)),
        StoredTime::Wall(Wall::from_millis(i64::MAX)),
        StoredTime::SinceBoot(0),
        StoredTime::SinceBoot(i64::MAX),
        StoredTime::SinceBoot(-5),
        StoredTime::Wall(Wall::from_millis(0)),
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
    let read = spool.read(StorePosition::START, 1000).unwrap().readings;
    let read: Vec<StoredReading> = read.into_iter().map(|(_, r)| r).collect();
    assert_eq!(format!("{read:?}"), format!("{given:?}"));
}

#[test]
fn times_of_another_start_of_the_machine_are_dropped_and_counted() {
    let mut spool = opened(ModelDisk::default(), roomy());
    let undated = StoredReading {
        at: StoredTime::SinceBoot(5000),
        ..reading(1)
    };
    spool.store(&[reading(0), undated.clone(), reading(2)]);
    let here = spool.read(StorePosition::START, 10).unwrap().readings;
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
    let mut from = StorePosition::START;
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
    let chunk = spool.read(StorePosition::START, 500).unwrap();
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
    let (mut read, mut from, mut failures) = (Vec::new(), Some(StorePosition::START), 0);
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

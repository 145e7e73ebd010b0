//! Known damages of the files, each with what it may cost.

use super::*;

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
    assert!(spool.read(StorePosition::START, 10).is_err());
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

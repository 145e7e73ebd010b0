//! Events among the values, and stores from before there were events.

use super::*;

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
    let mut from = Some(StorePosition::START);
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
            &include_bytes!("../../../tests/vectors/spool-1/000000000001.readings")[..],
        ),
        (
            JOURNAL,
            &include_bytes!("../../../tests/vectors/spool-1/settled")[..],
        ),
    ] {
        disk.append(name, bytes).unwrap();
        disk.sync(name).unwrap();
    }
    disk.sync_names().unwrap();
    let mut spool = opened(disk, roomy());
    let left = readings(0..2).into_iter().chain(readings(5..14));
    let undated = StoredReading {
        at: StoredTime::SinceBoot(-5),
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

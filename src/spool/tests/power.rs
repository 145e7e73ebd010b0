//! The power fails, and courses of events against a simple truth in memory.

use super::*;

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

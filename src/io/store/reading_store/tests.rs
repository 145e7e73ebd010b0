use std::os::unix::net::UnixDatagram;
use std::sync::Arc;

use super::*;
use crate::base::{DeviceName, Level, ProductKey, Value, Wall};
use crate::io::log::Sink;
use crate::io::log::tests::spec;

/// A state directory, and the journal as it is read.
struct Installation {
    folder: tempfile::TempDir,
    spec: Spec,
    journal: Journal,
    entries: UnixDatagram,
}

impl Installation {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let entries = UnixDatagram::bind(&path).unwrap();
        entries.set_nonblocking(true).unwrap();
        let sink = Sink::journal(Level::Info, Clock::system(), &path).unwrap();
        std::fs::create_dir(folder.path().join("state")).unwrap();
        let spec = spec();
        let journal = Journal::new(Arc::new(spec.clone())).to(sink);
        Installation {
            folder,
            spec,
            journal,
            entries,
        }
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn start(&self) -> ReadingStore {
        let clock = Clock::system();
        ReadingStore::start(&self.state(), &self.spec, true, clock, self.journal.clone())
    }

    /// Returns the messages that the journal has got since the last call.
    fn told(&self) -> Vec<String> {
        let mut buffer = [0; 4096];
        let mut told = Vec::new();
        while let Ok(n) = self.entries.recv(&mut buffer) {
            let entry = String::from_utf8_lossy(&buffer[..n]).into_owned();
            let message = entry.lines().find_map(|l| l.strip_prefix("MESSAGE="));
            told.extend(message.map(str::to_owned));
        }
        told
    }
}

fn readings(n: usize) -> Vec<StoredReading> {
    let each = |n| StoredReading {
        product_key: ProductKey::new("a1Product"),
        device_name: DeviceName::new("meter-1"),
        identifier: "Power".into(),
        at: StoredTime::Wall(Wall::from_millis(1_700_000_000_000 + n)),
        value: Value::Int(n).into(),
    };
    (0..i64::try_from(n).unwrap()).map(each).collect()
}

/// Returns the next answer that is no status.
async fn answer(store: &mut ReadingStore) -> StoreAnswer {
    loop {
        match store.answer().await {
            StoreAnswer::Status(_) => {}
            answer => return answer,
        }
    }
}

#[tokio::test]
async fn what_one_process_stores_the_next_one_reads() {
    let home = Installation::new();
    let mut first = home.start();
    assert!(matches!(
        answer(&mut first).await,
        StoreAnswer::Open { has_values: false }
    ));
    let mut given = readings(3);
    given[2].at = StoredTime::SinceBoot(500);
    first.store(given.clone());
    let StoreAnswer::Stored { at } = answer(&mut first).await else {
        panic!("not stored");
    };
    assert_eq!(at.len(), 3);
    // The last group is not answered any more.
    first.store(readings(1));
    first.finish().await;
    assert_eq!(
        home.told(),
        [
            "store: readings that cannot be delivered are being stored; they are sent later with their own times"
        ]
    );

    let mut second = home.start();
    assert!(matches!(
        answer(&mut second).await,
        StoreAnswer::Open { has_values: true }
    ));
    second.read(StorePosition::START, 100);
    let StoreAnswer::Read { readings, next } = answer(&mut second).await else {
        panic!("not read");
    };
    assert_eq!(next, None);
    assert_eq!(readings.len(), 4);
    assert_eq!(readings[0].1, given[0]);
    // The same start of the machine: the time is known still, to within the reading of the
    // machine's age.
    let StoredTime::SinceBoot(at) = readings[2].1.at else {
        panic!("dated");
    };
    assert!((-5_000..=600).contains(&at), "{at}");
    second.settle(readings.iter().map(|(at, _)| *at).collect());
    second.finish().await;
    assert_eq!(
        home.told(),
        [
            "store: 4 readings of an earlier run have not been delivered; they are sent with their own times, the oldest first",
            "store: all stored readings have been delivered",
        ]
    );
    let mut third = home.start();
    assert!(matches!(
        answer(&mut third).await,
        StoreAnswer::Open { has_values: false }
    ));
    third.finish().await;
    assert_eq!(home.told(), Vec::<String>::new());
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_told_once_and_what_is_lost_at_the_stop_is_counted() {
    let home = Installation::new();
    // A file is where the directory should be.
    std::fs::remove_dir(home.state()).unwrap();
    std::fs::write(home.state(), "").unwrap();
    let mut store = home.start();
    let StoreAnswer::Status(status) = store.answer().await else {
        panic!("no status");
    };
    let why = status.fault.unwrap().to_string();
    assert!(why.contains("Not a directory"), "{why}");
    store.store(readings(5));
    let StoreAnswer::Stored { at } = answer(&mut store).await else {
        panic!("no answer");
    };
    assert_eq!(at, []);
    store.store(readings(7));
    store.finish().await;
    assert_eq!(
        home.told(),
        [
            format!(
                "store: readings cannot be stored in {}: {why}; they wait in memory, which a restart would lose; tried again by itself",
                home.state().join(DIRECTORY).display()
            ),
            format!("store: 7 readings are lost: not stored before the stop: {why}"),
        ]
    );
}

#[tokio::test]
async fn a_store_is_opened_by_the_configuration_that_wants_it_first_and_only_once() {
    let mut home = Installation::new();
    home.spec.cloud.store.enabled = false;
    let mut store = home.start();
    assert!(!home.state().join(DIRECTORY).exists());
    home.spec.cloud.store.enabled = true;
    store.respec(&home.spec, true);
    assert!(matches!(answer(&mut store).await, StoreAnswer::Open { .. }));
    // Smaller bounds hold from now on; the store is not opened again.
    home.spec.cloud.store.bytes = 1 << 20;
    store.respec(&home.spec, true);
    store.store(readings(200_000));
    assert!(matches!(
        answer(&mut store).await,
        StoreAnswer::Stored { .. }
    ));
    store.finish().await;
    let told = home.told();
    assert!(
        told.iter().any(|t| t.contains("the store is full")),
        "{told:?}"
    );
    let files = std::fs::read_dir(home.state().join(DIRECTORY)).unwrap();
    let bytes: u64 = files.map(|f| f.unwrap().metadata().unwrap().len()).sum();
    assert!(bytes <= 1 << 20, "{bytes}");
}

#[tokio::test]
async fn a_second_gateway_on_the_same_directory_is_told_and_waits_for_its_turn() {
    let home = Installation::new();
    let mut first = home.start();
    assert!(matches!(answer(&mut first).await, StoreAnswer::Open { .. }));
    let mut second = home.start();
    let StoreAnswer::Status(status) = second.answer().await else {
        panic!("no status");
    };
    assert_eq!(status.fault.unwrap().fault, DiskFault::Taken);
    first.finish().await;
    // A command makes the thread look at once.
    second.settle(Vec::new());
    assert!(matches!(
        answer(&mut second).await,
        StoreAnswer::Open { .. }
    ));
    second.finish().await;
}

#[tokio::test]
async fn a_store_whose_thread_has_ended_is_gone_and_said_so() {
    let home = Installation::new();
    let mut store = home.start();
    assert!(matches!(answer(&mut store).await, StoreAnswer::Open { .. }));
    // The thread ends without being asked by this end.
    let thread = store.thread.as_mut().unwrap();
    thread.commands.send(StoreCommand::Finish).unwrap();
    let StoreAnswer::Gone(status) = answer(&mut store).await else {
        panic!("not gone");
    };
    assert!(status.fault.is_some());
    let told = home.told();
    assert!(
        told.last()
            .is_some_and(|t| t.contains("the thread of the store has ended"))
    );
}

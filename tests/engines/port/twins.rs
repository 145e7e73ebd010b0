//! Two devices under one address, as the port sees and reports them.

use std::os::unix::net::UnixDatagram;

use alink_gateway::base::Level;
use alink_gateway::io::log::Sink;
use alink_gateway::io::system::clock::Clock;
use alink_gateway::lab::bus::Fault;

use super::world::{ROUND, World, s};

/// The log events, as they arrive at the journal.
struct Told {
    socket: UnixDatagram,
    entries: Vec<String>,
    dir: tempfile::TempDir,
}

impl Told {
    fn new() -> Told {
        let dir = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(dir.path().join("socket")).unwrap();
        socket.set_nonblocking(true).unwrap();
        Told {
            socket,
            entries: Vec::new(),
            dir,
        }
    }

    /// Returns a journal whose entries arrive here.
    fn sink(&self) -> Sink {
        let path = self.dir.path().join("socket");
        Sink::journal(Level::Debug, Clock::system(), &path).unwrap()
    }

    /// Takes the entries that have come: the socket holds few.
    fn take(&mut self) {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(n) = self.socket.recv(&mut buffer) {
            let entry = String::from_utf8(buffer[..n].to_vec()).unwrap();
            assert!(!entry.contains("EVENT=journal-lost"), "{entry}");
            self.entries.push(entry);
        }
    }

    /// Returns the devices named in entries of this event.
    fn of(&self, event: &str) -> Vec<&str> {
        let has = |entry: &&String| entry.lines().any(|l| l == format!("EVENT={event}"));
        let device = |entry: &&'_ String| entry.find("\nDEVICE=").map(|at| at + 8);
        let all = self.entries.iter().filter(has);
        all.filter_map(|e| e[device(&e)?..].lines().next())
            .collect()
    }
}

/// Lives one minute in which unit 2 of four shares its address, so often.
async fn shared(permille: u32, told: &mut Told) -> World {
    let sink = told.sink();
    let mut world = World::whose_journal(4, s(1), 21, |journal| journal.to(sink)).await;
    world.run(s(30)).await;
    told.take();
    assert!(told.of("device-unit-twice").is_empty());
    world.spoil(2, &[(Fault::Twin, permille)]);
    for _ in 0..120 {
        world.run(s(1)).await;
        told.take();
    }
    world
}

#[tokio::test(start_paused = true)]
async fn two_devices_with_one_address_are_told_once_and_give_no_wrong_value() {
    for permille in [600, 1000] {
        let mut told = Told::new();
        let world = shared(permille, &mut told).await;
        world.check();
        let spoilt = world.rig.with(|line, _| line.counts().faults["twin"]);
        assert!(spoilt > 20, "{spoilt}");
        assert_eq!(told.of("device-unit-twice"), ["unit2"], "{permille}");
        for other in [1, 3, 4] {
            let t = world.tally(other);
            assert!(t.values > 140 * ROUND, "{other}: {t:?}");
        }
    }
}

//! A store that is full: how soon it is open, and how much memory the daemon uses that
//! empties it with 2,000 devices.

use std::fs;
use std::io;
use std::time::Duration;

use alink_gateway::base::Wall;

use super::plant::PhaseInstallation;
use super::site::{Run, SpoolSite, StateDisk};
use super::store::{self, Filling};

/// The size of the store.
const BYTES: u64 = 256 << 20;
/// Room that the store keeps for itself.
const SPARE: u64 = 2 << 20;
/// How often the store is opened; the slowest time counts.
const OPENINGS: usize = 5;
/// How long the daemon may take to send the first stored value.
const TIME_LIMIT: Duration = Duration::from_secs(60);
/// For how long the daemon empties the store while its memory is watched.
const REPLAY: Duration = Duration::from_secs(40);

/// What the phase has found.
#[derive(Clone, Debug, Default)]
pub(super) struct FullStore {
    /// How many values the store held.
    pub(crate) values: u64,
    /// The size of its files.
    pub(crate) bytes: u64,
    /// How long it took to open, at worst.
    pub(crate) open: Duration,
    /// From the start of the daemon until the platform had the first stored value.
    pub(crate) first_value: Duration,
    /// How many values the platform accepted as history and live meanwhile.
    pub(crate) accepted: u64,
    /// The most memory that the daemon had, in KiB.
    pub(crate) memory: u64,
    /// What should not be, in words.
    pub(crate) problems: Vec<String>,
}

/// Plays the phase.
pub(super) async fn play(run: &Run) -> io::Result<FullStore> {
    let shape = PhaseInstallation {
        devices: 2_000,
        points: 10,
        interval: "30s",
        store: "size: 256MiB".to_owned(),
        post: "linger: 500ms".to_owned(),
    };
    let mut site = SpoolSite::set("full store", shape, StateDisk::Disk, run).await?;
    let now = site.now().wall;
    let filling = Filling {
        values: u64::MAX,
        bytes: BYTES - SPARE,
        from: Wall::from_millis(now.as_millis() - 4 * 3_600_000),
        round: 10_000,
    };
    let directory = site.readings();
    store::fill(&directory, site.plant(), filling, |_, _, _| {})?;
    let (values, bytes) = store::look(&directory)?;
    let mut found = FullStore {
        values,
        bytes,
        ..FullStore::default()
    };
    for _ in 0..OPENINGS {
        found.open = found.open.max(store::time_to_open(&directory)?);
    }

    // Without power no device is online, and all that arrives is history.
    site.power(false);
    let begun = site.now().mono;
    site.start()?;
    loop {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let accepted = site.platform(|p, _| p.accepted().total()).await?;
        found.first_value = site.now().mono.since(begun);
        if accepted > 0 {
            break;
        }
        if found.first_value > TIME_LIMIT {
            site.problem("no stored value arrived".to_owned());
            break;
        }
    }
    site.power(true);
    tokio::time::sleep(REPLAY).await;
    found.accepted = site.platform(|p, _| p.accepted().total()).await?;
    let online = site.platform(|p, _| p.online()).await?;
    if online < 2_000 {
        site.problem(format!("{online} of 2,000 devices were online"));
    }
    found.memory = site.process().map_or(Ok(0), memory)?;
    site.kill_unwatched().await?;
    found.problems = site.finish(now).problems;
    Ok(found)
}

/// Returns the most memory that a process has had, in KiB.
fn memory(process: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    let figure = line.and_then(|l| l.split_whitespace().next()?.parse().ok());
    figure.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

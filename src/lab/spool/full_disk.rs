//! A disk that is full, and one that is read-only: live values go on, and the store is used
//! again by itself.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use super::outcome::Outcome;
use super::plant::PhaseInstallation;
use super::site::{Run, SpoolSite, StateDisk};

/// The size of the file system.
const BYTES: u64 = 4 << 20;
/// How long the daemon may take to connect again, and to use the store again.
const TIME_LIMIT: Duration = Duration::from_secs(60);
/// How long everything may take to arrive at the end.
const SETTLING: Duration = Duration::from_secs(90);

/// What the phase has found.
pub(super) struct FullDisk {
    /// About values.
    pub(crate) outcome: Outcome,
    /// Whether the store was used again after the disk had been full, and read-only.
    pub(crate) recovered: bool,
}

/// Plays the phase.
pub(super) async fn play(run: &Run) -> io::Result<FullDisk> {
    let shape = PhaseInstallation {
        devices: 10,
        points: 5,
        interval: "500ms",
        store: "spill_after: 6s, sync_every: 1s".to_owned(),
        post: "reply_timeout: 3s".to_owned(),
    };
    let secs = Duration::from_secs;
    let mut site = SpoolSite::set("full disk", shape, StateDisk::Tmpfs(BYTES), run).await?;
    let filler = site.state().join("filler");
    site.start()?;
    site.live(secs(5)).await?;
    let mut recovered = stores(&mut site, "an empty disk").await?;
    fill(&filler)?;
    site.live(secs(15)).await?;
    site.heal().await?;
    recovered &= flows(&mut site, "a full disk").await?;
    fs::remove_file(&filler)?;
    let until = site.settle(SETTLING).await?;
    let missing = site.oracle().missing(until);
    if missing > 0 {
        site.problem(format!("{missing} values did not arrive after a full disk"));
    }
    recovered &= stores(&mut site, "a disk that had been full").await?;
    site.settle(SETTLING).await?;

    // Files that are open for writing keep a file system from becoming read-only, so this is
    // done between two lives. Nothing is in memory then that was not delivered.
    site.stop().await?;
    site.set_writable(false)?;
    site.start()?;
    recovered &= flows(&mut site, "a read-only disk").await?;
    site.set_writable(true)?;
    site.live(secs(12)).await?;
    recovered &= stores(&mut site, "a disk that had been read-only").await?;
    let until = site.settle(SETTLING).await?;
    let judgement = site.finish(until);
    let outcome = Outcome {
        stops: 1,
        ..Outcome::of(judgement)
    };
    outcome.tell("full disk");
    Ok(FullDisk { outcome, recovered })
}

/// Begins an outage, and waits until values go to the store.
async fn stores(site: &mut SpoolSite, with: &str) -> io::Result<bool> {
    let before = site.stored_bytes();
    site.outage(true).await?;
    let done = site.live_until(TIME_LIMIT, |site| site.stored_bytes() > before);
    let done = done.await?;
    if !done {
        site.problem(format!("with {with} nothing was stored in an outage"));
    }
    Ok(done)
}

/// Waits until live values are accepted.
async fn flows(site: &mut SpoolSite, with: &str) -> io::Result<bool> {
    let from = site.now().mono;
    let done = site.live_until(TIME_LIMIT, |site| site.oracle().live_since(from) > 100);
    let done = done.await?;
    if !done {
        site.problem(format!("with {with} no live values were accepted"));
    }
    Ok(done)
}

/// Writes a file until nothing more fits on the disk.
fn fill(path: &Path) -> io::Result<()> {
    let mut file = File::create(path)?;
    for size in [1 << 16, 1 << 12, 1] {
        let block = vec![0; size];
        loop {
            match file.write_all(&block) {
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::StorageFull => break,
                Err(e) => return Err(e),
            }
        }
    }
    Ok(())
}

//! Outages of the platform, lost messages and throttling, while the daemon runs; and how
//! many bytes a stored value takes.

use std::io;
use std::time::Duration;

use alink_gateway::lab::platform::{Code, Fault, RequestKind};

use super::outcome::Outcome;
use super::plant::PhaseInstallation;
use super::site::{Run, SpoolSite, StateDisk};

/// How long everything may take to arrive at the end: after 429 a minute passes.
const SETTLING: Duration = Duration::from_secs(120);

/// What the phase has found.
pub(super) struct Outages {
    /// About values.
    pub(crate) outcome: Outcome,
    /// How many bytes a value takes.
    pub(crate) bytes_per_value: f64,
}

/// Plays the phase.
pub(super) async fn play(run: &Run) -> io::Result<Outages> {
    let shape = PhaseInstallation {
        devices: 20,
        points: 10,
        interval: "1s",
        store: "spill_after: 6s, sync_every: 5s".to_owned(),
        post: "reply_timeout: 3s".to_owned(),
    };
    let secs = Duration::from_secs;
    let mut site = SpoolSite::set("outages", shape, StateDisk::Disk, run).await?;
    site.start()?;
    site.live(secs(8)).await?;
    site.outage(false).await?;
    site.live(secs(30)).await?;
    site.heal().await?;
    site.live(secs(15)).await?;

    let before = written(&site).await?;
    site.outage(true).await?;
    site.live(secs(32)).await?;
    let bytes_per_value = measure_size(&mut site, before).await?;
    site.stop().await?;
    site.start()?;
    site.heal().await?;
    site.live(secs(12)).await?;

    site.fault(Fault::LoseReplies { permille: 300 }).await?;
    site.fault(Fault::LoseRequests { permille: 100 }).await?;
    site.live(secs(25)).await?;
    site.heal().await?;
    let (what, least) = (RequestKind::Post, secs(2));
    for code in [Code(500), Code::THROTTLED] {
        let during = secs(15);
        site.fault(Fault::Answer { what, code, during }).await?;
        site.live(secs(20)).await?;
    }
    let most = least * 3;
    site.fault(Fault::Flap { least, most }).await?;
    site.live(secs(25)).await?;
    let until = site.settle(SETTLING).await?;
    let judgement = site.finish(until);
    let outcome = Outcome {
        stops: 1,
        ..Outcome::of(judgement)
    };
    outcome.tell("outages");
    Ok(Outages {
        outcome,
        bytes_per_value,
    })
}

/// Returns how many bytes the daemon has written to the store, and how many values those
/// are.
async fn written(site: &SpoolSite) -> io::Result<(f64, f64)> {
    let bytes = site
        .metric("alink_gateway_store_written_bytes_total")
        .await?;
    let values = site
        .metric("alink_gateway_store_values_stored_total")
        .await?;
    Ok((bytes, values))
}

/// Returns how many bytes were written for each value that was stored since then.
async fn measure_size(site: &mut SpoolSite, before: (f64, f64)) -> io::Result<f64> {
    let after = written(site).await?;
    let values = after.1 - before.1;
    if values < 1_000.0 {
        site.problem(format!("only {values} values were stored in an outage"));
    }
    Ok((after.0 - before.0) / values.max(1.0))
}

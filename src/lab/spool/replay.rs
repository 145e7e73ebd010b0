//! How fast a backlog is sent, and what it costs the live values.

use std::io;
use std::time::Duration;

use alink_gateway::base::{Mono, Wall};

use super::outcome::Outcome;
use super::plant::PhaseInstallation;
use super::site::{Run, SpoolSite, StateDisk};
use super::store::Filling;

/// How many values are in the store at the start.
pub(super) const BACKLOG: u64 = 450_000;
/// Messages in a second, as the daemon is configured by default.
pub(super) const RATE: f64 = 25.0;
/// For how long each rate is measured.
const MEASURED: Duration = Duration::from_secs(20);
/// What is not measured after a change.
const RUNNING_IN: Duration = Duration::from_secs(6);
/// For how long no session may have been asked for when stored values alone are measured. The
/// devices do not answer: the gateway logs each of them out once, as an earlier life may have
/// left it online, and the platform refuses, as none is. Until it is known which are not, this
/// takes up to half of the rate.
const SESSIONS_REST: Duration = Duration::from_secs(4);
/// How long the rest of the backlog may take.
const TIME_LIMIT: Duration = Duration::from_secs(120);

/// What the phase has found.
#[derive(Debug)]
pub(super) struct Replay {
    /// About values.
    pub(crate) outcome: Outcome,
    /// Messages of stored values in a second, without live values.
    pub(crate) messages: f64,
    /// Stored values in a second, without live values.
    pub(crate) values: f64,
    /// From the answer of a device to the platform, with a backlog and without: the 99th
    /// percentiles.
    pub(crate) with: Duration,
    pub(crate) without: Duration,
}

/// Plays the phase.
pub(super) async fn play(run: &Run) -> io::Result<Replay> {
    let shape = PhaseInstallation {
        devices: 100,
        points: 4,
        interval: "1s",
        store: "enabled: true".to_owned(),
        post: "linger: 500ms".to_owned(),
    };
    let mut site = SpoolSite::set("replay", shape, StateDisk::Disk, run).await?;
    let before = site.now().wall;
    let filling = Filling {
        values: BACKLOG,
        bytes: u64::MAX,
        from: Wall::from_millis(before.as_millis() - 3_600_000),
        round: 2_000,
    };
    site.fill(filling)?;

    site.power(false);
    site.start()?;
    let begun = site.live_until(TIME_LIMIT, |site| site.oracle().counts().replayed > 0);
    if !begun.await? {
        site.problem("no stored value arrived".to_owned());
    }
    site.live(RUNNING_IN).await?;
    if !site.sessions_rest(SESSIONS_REST, TIME_LIMIT).await? {
        site.problem("the log-outs of devices that do not answer had no end".to_owned());
    }
    let from = site.now().mono;
    site.live(MEASURED).await?;
    let posts = site.posts_since(from).await?;
    let seconds = site.now().mono.since(from).as_secs_f64();
    let messages = posts.len() as f64 / seconds;
    let values = posts.iter().map(|(_, n)| *n as f64).sum::<f64>() / seconds;

    site.power(true);
    let live = site.live_until(TIME_LIMIT, |site| {
        site.oracle().live_since(Mono::START) > 4_000
    });
    if !live.await? {
        site.problem("the devices did not come online".to_owned());
    }
    let with = measure(&mut site).await?;
    if site.oracle().missing(before) == 0 {
        site.problem("the backlog was gone before the live values were measured".to_owned());
    }
    let drained = site.live_until(TIME_LIMIT, |site| site.oracle().missing(before) == 0);
    if !drained.await? {
        let left = site.oracle().missing(before);
        site.problem(format!(
            "{left} values of the backlog had not arrived in time"
        ));
    }
    site.live(RUNNING_IN).await?;
    let without = measure(&mut site).await?;
    let until = site.settle(TIME_LIMIT).await?;
    let judgement = site.finish(until);
    let outcome = Outcome::of(judgement);
    outcome.tell("backlog");
    Ok(Replay {
        outcome,
        messages,
        values,
        with,
        without,
    })
}

/// Returns how long live values take: the 99th percentile.
async fn measure(site: &mut SpoolSite) -> io::Result<Duration> {
    let from = site.now().mono;
    site.live(MEASURED).await?;
    let mut took = site.oracle().latencies(from, site.now().mono);
    took.sort_unstable();
    let rank = (took.len() * 99).div_ceil(100).saturating_sub(1);
    Ok(took.get(rank).copied().unwrap_or_default())
}

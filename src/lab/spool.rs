//! `alink-lab spool`: the store of readings, tried with the real daemon.
//!
//! Each phase has a platform, a Modbus TCP rack in which no value ever comes twice, and the
//! daemon as a process of its own, which is killed, stopped, cut off from its power and from
//! the platform, and whose disk is filled up. An oracle compares what the bus gave with what
//! the platform accepted. Phases that judge values run side by side; those that measure time
//! and memory run alone, after them. Each phase is a file, and so is each part of its site.

mod cycles;
mod dated;
mod full_disk;
mod full_store;
mod oracle;
mod outages;
mod outcome;
mod plant;
mod replay;
mod report;
mod site;
mod store;
mod volume;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use alink_gateway::io::system::clock::Clock;
use clap::Args;
use rustix::process::geteuid;
use tokio::time::timeout;

use crate::results;
use cycles::{Cycles, Keeps, LifeEnd};
use dated::Dated;
use outcome::Outcome;
use report::SpoolFindings;
use site::Run;

/// The options of the trial.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How often the daemon is killed in all.
    #[arg(long, value_name = "N", default_value_t = 220, value_parser = clap::value_parser!(u64).range(10..=100_000))]
    kills: u64,
    /// End within this many seconds, whatever happens.
    #[arg(long, value_name = "N", default_value_t = 900, value_parser = clap::value_parser!(u64).range(30..=86_400))]
    seconds: u64,
    /// Ten kills and a few stops, in a minute, and no figures.
    #[arg(long)]
    quick: bool,
    /// Of the phases that judge values, play this one alone: small, killed, stopped, durable,
    /// cut, outages, disk or backlog.
    #[arg(long, value_name = "PHASE", hide = true)]
    only: Option<String>,
    /// The seed of everything that is drawn.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Print as the last line one JSON object; progress goes to standard error.
    #[arg(long)]
    json: bool,
    /// Run this daemon instead of the one this program was built with.
    #[arg(long, value_name = "PATH")]
    gateway: Option<PathBuf>,
    /// Write the page to this file, benches/SPOOL.md if none is named.
    #[arg(long, value_name = "PATH", num_args = 0..=1, default_missing_value = "benches/SPOOL.md")]
    write: Option<PathBuf>,
}

/// Plays the trial; true if everything held.
///
/// # Errors
/// A phase cannot be set up: no socket, no directory.
pub(crate) async fn run(options: Options) -> io::Result<bool> {
    let clock = Clock::system();
    let begun = clock.now().mono;
    let mut found = SpoolFindings {
        seed: options.seed,
        ..SpoolFindings::default()
    };
    match Dated::find() {
        Ok(dated) => {
            let run = Run {
                gateway: options.gateway.clone(),
                dated,
                seed: options.seed,
            };
            let limit = Duration::from_secs(options.seconds);
            let played = match options.quick {
                true => timeout(limit, quick(&run, &mut found)).await,
                false => match &options.only {
                    Some(phase) => {
                        timeout(limit, one(&run, phase, options.kills, &mut found)).await
                    }
                    None => timeout(limit, whole(&run, options.kills, &mut found)).await,
                },
            };
            if played.is_err() {
                let problem = format!("not done after {} s", options.seconds);
                found.problems.push(problem);
            }
        }
        Err(e) => found.problems.push(format!(
            "nothing was tried: the clock of this machine is not synchronised, and the daemon \
             cannot be made to believe it: {e}"
        )),
    }
    found.seconds = clock.now().mono.since(begun).as_secs();
    let summary = found.summary();
    results::publish(
        &found.page(),
        &summary,
        options.json,
        options.write.as_deref(),
    )?;
    Ok(summary.problems.is_empty())
}

/// Plays a few lives of each kind.
async fn quick(run: &Run, found: &mut SpoolFindings) {
    let (killed, stopped, durable) = tokio::join!(
        cycles("killed, small memory", 6, LifeEnd::Kill, Keeps::HalfFull).play(run),
        cycles("stopped", 3, LifeEnd::Stop, Keeps::Waited).play(run),
        cycles("durable", 4, LifeEnd::Kill, Keeps::Always).play(run),
    );
    found.take("killed, small memory", killed);
    found.take("stopped", stopped);
    found.take_durable(durable);
}

/// Plays one phase, to look into it.
async fn one(run: &Run, phase: &str, lives: u64, found: &mut SpoolFindings) {
    let played = match phase {
        "small" => {
            cycles(
                "killed, small memory",
                lives,
                LifeEnd::Kill,
                Keeps::HalfFull,
            )
            .play(run)
            .await
        }
        "killed" => {
            cycles("killed", lives, LifeEnd::Kill, Keeps::Waited)
                .play(run)
                .await
        }
        "stopped" => {
            cycles("stopped", lives, LifeEnd::Stop, Keeps::Waited)
                .play(run)
                .await
        }
        "durable" => {
            cycles("durable", lives, LifeEnd::Kill, Keeps::Always)
                .play(run)
                .await
        }
        "cut" => {
            cycles("power cut", lives, LifeEnd::PowerCut, Keeps::HalfFull)
                .play(run)
                .await
        }
        "outages" => outages::play(run).await.map(|o| o.outcome),
        "disk" => full_disk::play(run).await.map(|d| d.outcome),
        "backlog" => replay::play(run).await.map(|r| r.outcome),
        _ => Err(io::Error::other("no such phase")),
    };
    found.take("one phase", played);
}

/// Plays everything.
async fn whole(run: &Run, kills: u64, found: &mut SpoolFindings) {
    let durable = (kills / 5).max(40).min(kills);
    let rest = kills - durable;
    // A long life takes three times as long as a short one.
    let (short, long) = (rest - rest / 3, rest / 3);
    let is_root = geteuid().is_root();
    let (a, b, c, d, e, f, g, h, i) = tokio::join!(
        cycles(
            "killed, small memory",
            short / 2,
            LifeEnd::Kill,
            Keeps::HalfFull
        )
        .play(run),
        cycles(
            "killed, small memory 2",
            short - short / 2,
            LifeEnd::Kill,
            Keeps::HalfFull
        )
        .play(run),
        cycles("killed", long / 2, LifeEnd::Kill, Keeps::Waited).play(run),
        cycles("killed 2", long - long / 2, LifeEnd::Kill, Keeps::Waited).play(run),
        cycles("stopped", 20, LifeEnd::Stop, Keeps::Waited).play(run),
        cycles("durable", durable, LifeEnd::Kill, Keeps::Always).play(run),
        with_root(
            is_root,
            cycles("power cut", 20, LifeEnd::PowerCut, Keeps::HalfFull).play(run)
        ),
        outages::play(run),
        with_root(is_root, full_disk::play(run)),
    );
    found.take("killed, small memory", join(a, b));
    found.take("killed", join(c, d));
    found.take("stopped", e);
    found.take_durable(f);
    match g {
        Some(cut) => found.take("power cut", cut),
        None => found.skip("power cuts, which need root"),
    }
    found.bytes_per_value = h.as_ref().ok().map(|o| o.bytes_per_value);
    found.take("outages, one stop", h.map(|o| o.outcome));
    match i {
        Some(disk) => {
            found.recovered = disk.as_ref().ok().map(|d| d.recovered);
            found.take("full disk, one stop", disk.map(|d| d.outcome));
        }
        None => found.skip("a full disk, which needs root"),
    }

    match replay::play(run).await {
        Ok(mut replay) => {
            found.take("backlog", Ok(std::mem::take(&mut replay.outcome)));
            found.replay = Some(replay);
        }
        Err(e) => found.problems.push(format!("replay: {e}")),
    }
    match full_store::play(run).await {
        Ok(full) => found.full_store = Some(full),
        Err(e) => found.problems.push(format!("full store: {e}")),
    }
}

const fn cycles(name: &'static str, lives: u64, by: LifeEnd, keeps: Keeps) -> Cycles {
    Cycles {
        name,
        lives,
        by,
        keeps,
    }
}

async fn with_root<T>(is_root: bool, phase: impl Future<Output = T>) -> Option<T> {
    match is_root {
        true => Some(phase.await),
        false => None,
    }
}

fn join(a: io::Result<Outcome>, b: io::Result<Outcome>) -> io::Result<Outcome> {
    let mut both = a?;
    both.add(b?);
    Ok(both)
}

//! `alink-lab commands`: commands from the platform to the registers and back, tried with the
//! real daemon.
//!
//! Each phase has a platform, a serial line on which characters take as long as on a wire, and
//! the daemon as a process of its own. Each command wants a value that no other command wants,
//! so that a write on the line tells which command it belongs to. The line records what its
//! units carried out; the platform records what was answered, and when.

mod phases;
mod plant;
mod report;
mod site;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use alink_gateway::io::system::clock::Clock;
use clap::Args;
use tokio::time::timeout;

use crate::results;
use report::CommandFindings;
use site::Run;

/// The options of the trial.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many commands are sent to a line loaded to seven tenths, at each speed.
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(10..=10_000))]
    commands: u32,
    /// How long the flood of commands lasts, and the time of faults, in seconds each.
    #[arg(long, value_name = "N", default_value_t = 90, value_parser = clap::value_parser!(u64).range(5..=3600))]
    flood: u64,
    /// End within this many seconds, whatever happens.
    #[arg(long, value_name = "N", default_value_t = 1200, value_parser = clap::value_parser!(u64).range(30..=86_400))]
    seconds: u64,
    /// A few commands and a short flood at once, in half a minute, and no figures of time.
    #[arg(long)]
    quick: bool,
    /// The seed of everything that is drawn.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Print as the last line one JSON object; progress goes to standard error.
    #[arg(long)]
    json: bool,
    /// Run this daemon instead of the one this program was built with.
    #[arg(long, value_name = "PATH")]
    gateway: Option<PathBuf>,
    /// Write the page to this file, benches/COMMANDS.md if none is named.
    #[arg(long, value_name = "PATH", num_args = 0..=1, default_missing_value = "benches/COMMANDS.md")]
    write: Option<PathBuf>,
}

/// Plays the trial; true if everything held.
///
/// # Errors
/// The page cannot be written.
pub(crate) async fn run(options: Options) -> io::Result<bool> {
    let clock = Clock::system();
    let begun = clock.now().mono;
    let mut found = CommandFindings::new(options.seed, !options.quick);
    let run = Run {
        gateway: options.gateway.clone(),
        seed: options.seed,
        is_exact: !options.quick,
    };
    let limit = Duration::from_secs(options.seconds);
    let flood = Duration::from_secs(options.flood);
    let played = match options.quick {
        true => timeout(limit, quick(&run, &mut found)).await,
        false => timeout(limit, whole(&run, options.commands, flood, &mut found)).await,
    };
    if played.is_err() {
        found.problem(format!("not done after {} s", options.seconds));
    }
    found.took(clock.now().mono.since(begun));
    let summary = found.summary();
    results::publish(
        &found.page(),
        &summary,
        options.json,
        options.write.as_deref(),
    )?;
    Ok(summary.problems.is_empty())
}

/// Plays a flood and a time of faults side by side.
async fn quick(run: &Run, found: &mut CommandFindings) {
    let span = Duration::from_secs(10);
    let (flood, faults) = tokio::join!(phases::flood(run, span), phases::faults(run, span));
    found.flood(flood);
    found.faults(faults);
}

/// Plays everything, one phase after the other: each takes most of a processor.
async fn whole(run: &Run, commands: u32, flood: Duration, found: &mut CommandFindings) {
    for baud in [9600, 115_200] {
        found.loaded(baud, phases::loaded(run, baud, commands).await);
    }
    found.flood(phases::flood(run, flood).await);
    found.faults(phases::faults(run, flood).await);
}

//! `alink-lab`: the plant and the platform to try a gateway on, and the demo
//! that plays all three together.

mod commands;
mod daemon;
mod demo;
mod manual_pages;
mod results;
mod scan;
mod spool;
mod table;
mod target;
mod training;

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use alink_gateway::cli::completion;
use alink_gateway::io::terminal::screen;
use alink_gateway::lab::converge::{Plan, measure};
use clap::{CommandFactory, Parser, Subcommand};

/// A simulated plant and platform for alink-gateway.
#[derive(Debug, Parser)]
#[command(name = "alink-lab", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Runs the main job end to end: platform, 120 devices, and the real daemon.
    ///
    /// The exit status is 0 if everything happened as expected.
    Demo {
        /// End within this many seconds, whatever happens.
        #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u64).range(10..=3600))]
        seconds: u64,
        /// Print as the last line one JSON object; progress goes to standard error.
        #[arg(long)]
        json: bool,
        /// Run this daemon instead of the one this program was built with.
        #[arg(long, value_name = "PATH")]
        gateway: Option<PathBuf>,
        /// Print lines even if standard output is a terminal.
        #[arg(long)]
        plain: bool,
    },
    /// Runs the simulated platform alone: an MQTT listener that speaks Alink.
    Platform(training::PlatformOptions),
    /// Measures how soon the cloud shows what the bus shows, on virtual time.
    ///
    /// The exit status is 0 if every target is met.
    Converge {
        /// Random lives per row of the table.
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=10_000))]
        seeds: u64,
        /// Print as the last line one JSON object; the table goes to standard error.
        #[arg(long)]
        json: bool,
        /// Write the page to this file, benches/CONVERGENCE.md if none is named.
        #[arg(long, value_name = "PATH", num_args = 0..=1, default_missing_value = "benches/CONVERGENCE.md")]
        write: Option<PathBuf>,
    },
    /// Tries the store of readings: the real daemon is killed, stopped, and cut off from its
    /// power, its disk and the platform, and no value may be lost or invented.
    ///
    /// Power cuts and full disks need root. The exit status is 0 if every bound is kept.
    Spool(spool::Options),
    /// Tries commands from the platform on a serial line, with the real daemon: how soon a
    /// value is verified, what a flood costs the polls, and that nothing is done twice or late.
    ///
    /// The exit status is 0 if every bound is kept.
    Commands(commands::Options),
    /// Measures commissioning: scans of a line with the real tool, sweeps, the doctor, and the
    /// shipped profiles.
    ///
    /// The exit status is 0 if every bound is kept.
    Scan(scan::Options),
    /// Runs simulated devices alone: a serial line on a pseudo terminal, or a
    /// Modbus TCP rack.
    Bus(training::BusOptions),
    /// Writes the manual pages of both programs.
    #[command(hide = true)]
    Papers {
        /// The directory to write to.
        #[arg(value_name = "DIRECTORY")]
        folder: PathBuf,
        /// The date of the pages.
        #[arg(long, value_name = "YYYY-MM-DD")]
        date: String,
    },
    /// Prints what may come next on a command line, for the completions of shells.
    #[command(hide = true)]
    Complete(completion::CompletionRequest),
}

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let program = arguments.next();
    let rest: Vec<OsString> = arguments.collect();
    if rest.first().is_some_and(|first| first == daemon::GATEWAY) {
        // We are the daemon, as a child of the lab.
        let as_gateway = std::iter::once("alink-gateway".into()).chain(rest.into_iter().skip(1));
        return alink_gateway::cli::main_with(as_gateway);
    }
    let arguments = Arguments::parse_from(program.into_iter().chain(rest));
    if let Verb::Complete(asked) = arguments.verb {
        return completion::run(Arguments::command(), asked);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let played = runtime.and_then(|runtime| runtime.block_on(play(arguments.verb)));
    match played {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            print_error(&e);
            ExitCode::FAILURE
        }
    }
}

async fn play(verb: Verb) -> io::Result<bool> {
    match verb {
        Verb::Demo {
            seconds,
            json,
            gateway,
            plain,
        } => {
            demo::run(demo::Options {
                within: Duration::from_secs(seconds),
                json,
                gateway,
                table: !plain && io::stdout().is_terminal() && !screen::is_dumb(),
            })
            .await
        }
        Verb::Converge { seeds, json, write } => converge(seeds, json, write),
        Verb::Spool(options) => spool::run(options).await,
        Verb::Commands(options) => commands::run(options).await,
        Verb::Scan(options) => scan::run(options).await,
        Verb::Platform(options) => training::platform(options).await.map(|()| true),
        Verb::Bus(options) => training::bus(options).await.map(|()| true),
        // It needs no runtime and was done before there was one.
        Verb::Complete(_) => Ok(true),
        Verb::Papers { folder, date } => {
            manual_pages::write(&folder, &date, Arguments::command()).map(|()| true)
        }
    }
}

#[expect(clippy::print_stderr, reason = "says how far it is")]
fn converge(seeds: u64, json: bool, write: Option<PathBuf>) -> io::Result<bool> {
    let plan = Plan::whole(seeds);
    let measured = measure(&plan, |row| eprintln!("{row}"));
    let summary = measured.summary();
    results::publish(&measured.page(), &summary, json, write.as_deref())?;
    Ok(summary.broken.is_empty())
}

#[expect(clippy::print_stderr, reason = "there is nothing else to say it with")]
fn print_error(e: &io::Error) {
    eprintln!("alink-lab: {e}");
}

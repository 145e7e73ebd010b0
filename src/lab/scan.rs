//! `alink-lab scan`: commissioning, measured: how long a scan of a line takes and what it finds,
//! how a sweep classes registers, what the doctor diagnoses, and how many profiles are checked.
//!
//! The scans are the real tool's, on a serial line on which characters take as long as on a wire:
//! replies that meet are spoilt. The sweeps and the doctor's plants run on virtual time.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use alink_gateway::base::text::counted;
use alink_gateway::base::{Rng, UnitId};
use alink_gateway::io::files::settings::{LoadContext, profile_in};
use alink_gateway::io::system::clock::Clock;
use alink_gateway::lab::bus::{Line, Pace, Refusal, Unit, UnitBehaviour, UnitKind};
use alink_gateway::lab::doctor::{Score, trials};
use alink_gateway::lab::sweep::sweep_errors;
use alink_gateway::lab::wire::LineRig;
use alink_gateway::spec::Table;
use clap::Args;
use serde::Serialize;
use tokio::time::timeout;

use crate::daemon::{self, Folder};
use crate::results;
use crate::target::{Bound, Target};

/// How many devices the full line has, and their turnarounds in milliseconds.
const DEVICES: usize = 16;
const TURNAROUND_MS: std::ops::RangeInclusive<u64> = 5..=120;

/// The longest scan that is waited for.
const LONGEST: Duration = Duration::from_secs(60);

/// The options of the trial.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many devices are swept.
    #[arg(long, value_name = "N", default_value_t = 210, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    sweeps: u64,
    /// How many full lines are scanned; the longest scan counts.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=1000))]
    scans: u64,
    /// The profiles that are counted.
    #[arg(long, value_name = "PATTERN", default_value = "config/profiles/*.yaml")]
    profiles: String,
    /// The seed of everything that is drawn.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Print as the last line one JSON object; progress goes to standard error.
    #[arg(long)]
    json: bool,
    /// Scan with this program instead of the one that this program was built with.
    #[arg(long, value_name = "PATH")]
    gateway: Option<PathBuf>,
    /// Write the page to this file, benches/SCAN.md if none is named.
    #[arg(long, value_name = "PATH", num_args = 0..=1, default_missing_value = "benches/SCAN.md")]
    write: Option<PathBuf>,
}

/// The last line of `scan --json`. The fields are an interface.
#[derive(Clone, Debug, Default, Serialize)]
struct Summary {
    /// The time of a scan of 247 units at 9600 bit/s with no device there.
    scan_247_empty_ms: u64,
    /// The longest with sixteen devices of mixed turnaround.
    scan_247_16_devices_ms: u64,
    /// The fewest of the sixteen devices that a scan found.
    found: u64,
    /// Units that a scan found and that are not there.
    strangers: u64,
    /// Registers that a sweep classed otherwise than the device has them.
    sweep_errors: u64,
    /// Registers that were swept.
    sweep_entries: u64,
    /// Faults that were injected, …
    doctor_injected: u64,
    /// … those that were the doctor's first or second guess, …
    doctor_diagnosed: u64,
    /// … and healthy plants of which it said that something is wrong.
    doctor_false_alarms: u64,
    /// Shipped profiles.
    profiles: u64,
    /// Those in which everything is checked against a second source or is the maker's own.
    profiles_verified: u64,
    seed: u64,
    /// What should not be. If it is empty the exit status is 0.
    problems: Vec<String>,
}

/// Plays the trial; true if every bound is kept.
///
/// # Errors
/// No line can be made, or the page cannot be written.
#[expect(clippy::print_stderr, reason = "says how far it is")]
pub(crate) async fn run(options: Options) -> io::Result<bool> {
    let mut summary = Summary {
        seed: options.seed,
        found: DEVICES as u64,
        ..Summary::default()
    };
    let gateway = options.gateway.as_deref();
    match scanned(gateway, Vec::new(), options.seed).await {
        Ok(scan) => {
            summary.scan_247_empty_ms = scan.ms;
            summary.strangers += scan.units.len() as u64;
        }
        Err(why) => summary.problems.push(why),
    }
    eprintln!("an empty line: {} ms", summary.scan_247_empty_ms);
    for nth in 0..options.scans {
        let seed = options.seed.wrapping_mul(1000).wrapping_add(nth);
        let units = sixteen(seed);
        let there: BTreeSet<u8> = units.iter().map(|(unit, _)| *unit).collect();
        match scanned(gateway, units, seed).await {
            Ok(scan) => {
                let found = scan.units.intersection(&there).count() as u64;
                summary.found = summary.found.min(found);
                summary.strangers += scan.units.difference(&there).count() as u64;
                summary.scan_247_16_devices_ms = summary.scan_247_16_devices_ms.max(scan.ms);
                eprintln!(
                    "sixteen devices, line {}: {found} found in {} ms",
                    nth + 1,
                    scan.ms
                );
            }
            Err(why) => {
                summary.found = 0;
                summary.problems.push(why);
            }
        }
    }
    let (seed, sweeps) = (options.seed, options.sweeps);
    let sweeping = tokio::task::spawn_blocking(move || sweep_errors(seed..seed + sweeps));
    let sweep = sweeping.await.map_err(io::Error::other)?;
    summary.sweep_errors = sweep.errors;
    summary.sweep_entries = sweep.entries;
    let swept = counted(sweep.entries, "register");
    eprintln!("sweeps: {swept}, {} wrong", sweep.errors);
    let looking = tokio::task::spawn_blocking(move || Score::of(&trials(seed)));
    let score = looking.await.map_err(io::Error::other)?;
    summary.doctor_injected = score.injected as u64;
    summary.doctor_diagnosed = score.diagnosed as u64;
    summary.doctor_false_alarms = score.false_alarms as u64;
    eprintln!("doctor: {} of {} faults", score.diagnosed, score.injected);
    match profile_in(Path::new(&options.profiles), &LoadContext::of_person()) {
        Ok(profiles) => {
            summary.profiles = profiles.len() as u64;
            let verified = profiles.iter().filter(|profile| {
                let points = profile.spec.points.iter();
                !profile.spec.about.unverified && points.clone().all(|p| !p.shown.unverified)
            });
            summary.profiles_verified = verified.count() as u64;
        }
        Err(report) => summary.problems.push(report.to_string()),
    }
    let targets = targets(&summary);
    summary
        .problems
        .extend(targets.iter().filter_map(Target::problem));
    let page = page(&summary, &targets);
    results::publish(&page, &summary, options.json, options.write.as_deref())?;
    Ok(summary.problems.is_empty())
}

/// The figures with their bounds.
fn targets(summary: &Summary) -> Vec<Target> {
    let target = |what, key, measured: u64, bound| Target {
        what,
        key,
        measured: measured as f64,
        bound,
    };
    vec![
        target(
            "A scan of 247 units at 9600 bit/s, no device there, in milliseconds",
            "scan_247_empty_ms",
            summary.scan_247_empty_ms,
            Bound::AtMost(9000.0),
        ),
        target(
            "The same with 16 devices of 5 to 120 ms turnaround",
            "scan_247_16_devices_ms",
            summary.scan_247_16_devices_ms,
            Bound::AtMost(12_000.0),
        ),
        target(
            "Of these 16 devices, found",
            "found",
            summary.found,
            Bound::Exactly(DEVICES as f64),
        ),
        Target::none(
            "Units found that are not there",
            "strangers",
            summary.strangers,
        ),
        Target::none(
            "Registers that a sweep classed wrong",
            "sweep_errors",
            summary.sweep_errors,
        ),
        target(
            "Faults that were the doctor's first or second guess",
            "doctor_diagnosed",
            summary.doctor_diagnosed,
            Bound::AtLeast(summary.doctor_injected.max(16) as f64),
        ),
        Target::none(
            "Healthy plants of which the doctor said that something is wrong",
            "doctor_false_alarms",
            summary.doctor_false_alarms,
        ),
        target(
            "Shipped profiles",
            "profiles",
            summary.profiles,
            Bound::AtLeast(40.0),
        ),
        target(
            "Of these, checked against a second source throughout",
            "profiles_verified",
            summary.profiles_verified,
            Bound::AtLeast(40.0),
        ),
    ]
}

fn page(summary: &Summary, targets: &[Target]) -> String {
    let mut page = String::from(
        "# Commissioning\n\nWritten by `alink-lab scan --write`. The scans are those of the real \
         program on a serial line whose characters take as long as on a wire.\n\n\
         | figure | measured | wanted |\n|---|---|---|\n",
    );
    for target in targets {
        page.push_str(&target.row());
    }
    page.push_str(&format!(
        "\nSwept: {}. Injected: {}. Seed {}.\n",
        counted(summary.sweep_entries, "register"),
        counted(summary.doctor_injected, "fault"),
        summary.seed
    ));
    for problem in &summary.problems {
        page.push_str(&format!("\n**Missed**: {problem}\n"));
    }
    page
}

/// The result of one scan.
struct ScanResult {
    units: BTreeSet<u8>,
    ms: u64,
}

/// Scans a line of these units with the real tool.
async fn scanned(
    gateway: Option<&Path>,
    units: Vec<(u8, UnitBehaviour)>,
    seed: u64,
) -> Result<ScanResult, String> {
    let failed = |e: io::Error| format!("scan: {e}");
    let folder = Folder::new().map_err(failed)?;
    let tty = folder.path().join("tty");
    let pace = Pace {
        baud: 9600,
        bits: 10,
        group: 1,
    };
    let mut line = Line::new(pace, Rng::new(seed));
    for (unit, behaviour) in units {
        let model = Unit::new(UnitKind::Marked, seed ^ u64::from(unit)).with(behaviour);
        line.attach(UnitId(unit), model);
    }
    let mut rig = LineRig::new(line, Clock::system());
    rig.plug_terminal_exactly(&tty).map_err(failed)?;
    let mut command = daemon::command(gateway).map_err(failed)?;
    command
        .arg("scan")
        .arg(&tty)
        .args(["--line", "9600 8N1", "--protocol", "modbus"])
        .args(["--no-identify", "--json", "--socket"])
        .arg(folder.path().join("none.sock"))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = timeout(LONGEST, command.output()).await;
    let output = output.map_err(|_| format!("scan: not done after {} s", LONGEST.as_secs()))?;
    let output = output.map_err(failed)?;
    let said = || String::from_utf8_lossy(&output.stderr).into_owned();
    let json: serde_json::Value = serde_json::from_slice(&output.stdout)
        .map_err(|e| format!("scan: {e}; it said: {}", said()))?;
    let scan = &json["lines"][0];
    let devices = scan["devices"].as_array().into_iter().flatten();
    let units = devices.filter_map(|device| u8::try_from(device["address"].as_u64()?).ok());
    let ms = scan["search_ms"].as_u64();
    Ok(ScanResult {
        units: units.collect(),
        ms: ms.ok_or_else(|| format!("scan: no time in its answer; it said: {}", said()))?,
    })
}

/// Returns sixteen units of mixed turnaround, a third of which refuse.
fn sixteen(seed: u64) -> Vec<(u8, UnitBehaviour)> {
    let mut rng = Rng::new(seed);
    let mut units: Vec<(u8, UnitBehaviour)> = Vec::new();
    while units.len() < DEVICES {
        let unit = u8::try_from(1 + rng.below(247)).unwrap_or(1);
        if units.iter().any(|(other, _)| *other == unit) {
            continue;
        }
        let refuses = Refusal {
            table: Table::HoldingRegister,
            addresses: 0..=0,
            code: 2,
        };
        let spread = TURNAROUND_MS.end() - TURNAROUND_MS.start() + 1;
        let turnaround = TURNAROUND_MS.start() + rng.below(spread);
        units.push((
            unit,
            UnitBehaviour {
                turnaround: Duration::from_millis(turnaround),
                refusals: if rng.below(3) == 0 {
                    vec![refuses]
                } else {
                    Vec::new()
                },
                ..UnitBehaviour::default()
            },
        ));
    }
    units
}

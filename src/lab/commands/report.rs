//! The figures, for people and for scripts, and their bounds.

use std::fmt::Write;
use std::io;
use std::time::Duration;

use serde::Serialize;

use super::plant::Plant;
use super::site::PhaseJudgement;
use crate::results::verdict;
use crate::target::{Bound, Target, rounded};

/// A poll that comes later than after so many intervals was left out.
const STARVED: f64 = 2.0;

/// The last line of `commands --json`. The fields are an interface. A figure that was not
/// measured is null.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Summary {
    /// Commands that were sent.
    pub(crate) commands: u64,
    /// Commands that were answered "verified".
    pub(crate) verified: u64,
    /// From the platform's message to the answer "verified", at 9600 baud: the 99th percentile.
    pub(crate) verified_ms_p99: Option<f64>,
    /// The same at 115200 baud.
    pub(crate) verified_ms_p99_115200: Option<f64>,
    /// How much of its time the line was busy with polls meanwhile, at 9600 baud.
    pub(crate) load: Option<f64>,
    /// The same at 115200 baud.
    pub(crate) load_115200: Option<f64>,
    /// Times of two intervals and more between two polls of a unit, with single commands and in
    /// the flood.
    pub(crate) starved_polls: u64,
    /// Writes after the sender's time, or after the answer.
    pub(crate) executed_after_timeout: u64,
    /// Writes of a value that had been written before.
    pub(crate) executed_twice: u64,
    /// Answers "verified" without a write.
    pub(crate) verified_without_write: u64,
    /// Answers to each command whose connection stayed up.
    pub(crate) replies_per_command: Option<f64>,
    /// The time between two polls of a unit in a flood, in intervals: the 99th percentile.
    pub(crate) flood_gap_ratio_p99: Option<f64>,
    /// Commands of the flood that were answered "verified".
    pub(crate) flood_verified: u64,
    /// The seed of everything that was drawn.
    pub(crate) seed: u64,
    /// What should not be. If it is empty the exit status is 0.
    pub(crate) problems: Vec<String>,
}

/// Everything that was found.
#[derive(Debug, Default)]
pub(super) struct CommandFindings {
    /// Whether times are judged.
    is_timed: bool,
    phases: Vec<(String, PhaseJudgement)>,
    summary: Summary,
    seconds: u64,
}

impl CommandFindings {
    pub(super) fn new(seed: u64, is_timed: bool) -> CommandFindings {
        CommandFindings {
            is_timed,
            summary: Summary {
                seed,
                ..Summary::default()
            },
            ..CommandFindings::default()
        }
    }

    /// Takes note of something that should not be.
    pub(super) fn problem(&mut self, what: String) {
        self.summary.problems.push(what);
    }

    /// Takes note of how long the whole took.
    pub(super) const fn took(&mut self, span: Duration) {
        self.seconds = span.as_secs();
    }

    /// Takes what was found with single commands at this speed.
    pub(super) fn loaded(&mut self, baud: u32, found: io::Result<PhaseJudgement>) {
        let Some(found) = self.whole(&format!("single commands at {baud} baud"), found) else {
            return;
        };
        self.summary.starved_polls += starved(&found, baud);
        let took = p99(&found.took).map(|took| rounded(took.as_secs_f64() * 1000.0));
        let load = Some(rounded(found.load));
        match baud {
            9600 => (self.summary.verified_ms_p99, self.summary.load) = (took, load),
            _ => {
                (
                    self.summary.verified_ms_p99_115200,
                    self.summary.load_115200,
                ) = (took, load)
            }
        }
        // Nothing fails in this phase.
        if found.verified < found.commands {
            let not = found.commands - found.verified;
            self.problem(format!("{not} commands on a sound line were not verified"));
        }
    }

    /// Takes what was found in the flood.
    pub(super) fn flood(&mut self, found: io::Result<PhaseJudgement>) {
        let Some(found) = self.whole("a flood at 9600 baud", found) else {
            return;
        };
        self.summary.flood_verified = found.verified;
        if found.verified == 0 {
            self.problem("no command of the flood was verified".to_owned());
        }
        if !self.is_timed {
            return;
        }
        self.summary.starved_polls += starved(&found, 9600);
        let interval = Plant::new(9600, 0).interval().as_secs_f64();
        let gap = p99(&found.gaps).map(|gap| rounded(gap.as_secs_f64() / interval));
        self.summary.flood_gap_ratio_p99 = gap;
    }

    /// Takes what was found while something failed.
    pub(super) fn faults(&mut self, found: io::Result<PhaseJudgement>) {
        self.whole("faults at 9600 baud", found);
    }

    /// Takes what holds in every phase.
    fn whole(&mut self, name: &str, found: io::Result<PhaseJudgement>) -> Option<PhaseJudgement> {
        match found {
            Ok(mut found) => {
                let all = &mut self.summary;
                all.commands += found.commands;
                all.verified += found.verified;
                all.executed_after_timeout += found.late;
                all.executed_twice += found.twice;
                all.verified_without_write += found.unproved;
                all.problems.append(&mut found.problems);
                self.phases.push((name.to_owned(), found.clone()));
                Some(found)
            }
            Err(e) => {
                self.problem(format!("{name}: {e}"));
                None
            }
        }
    }

    /// Returns the figures, and the bounds that were missed.
    pub(super) fn summary(&self) -> Summary {
        let mut summary = self.summary.clone();
        let sum =
            |of: fn(&PhaseJudgement) -> u64| self.phases.iter().map(|(_, f)| of(f)).sum::<u64>();
        let (certain, answers) = (sum(|f| f.certain), sum(|f| f.answers));
        summary.replies_per_command = (certain > 0).then(|| answers as f64 / certain as f64);
        let missed: Vec<String> = targets(&summary)
            .iter()
            .filter_map(Target::problem)
            .collect();
        summary.problems.extend(missed);
        summary
    }

    /// Returns the page for people.
    pub(super) fn page(&self) -> String {
        let summary = self.summary();
        let mut page = String::from(HEAD);
        for (name, found) in &self.phases {
            let middle = |all: &[Duration]| percentile(all, 50).unwrap_or_default().as_millis();
            let most = found.took.iter().max().copied().unwrap_or_default();
            let _ = writeln!(
                page,
                "| {name} | {:.2} | {} | {} | {} | {} | {} | {} | {} |",
                found.load,
                found.commands,
                found.verified,
                middle(&found.took),
                most.as_millis(),
                found.late,
                found.twice,
                found.unproved
            );
        }
        page.push_str(FIGURES);
        for target in targets(&summary) {
            page.push_str(&target.row());
        }
        let verdict = verdict(&summary.problems);
        let _ = writeln!(
            page,
            "\nSeed {}, {} s in all. {verdict}",
            summary.seed, self.seconds
        );
        page
    }
}

fn starved(found: &PhaseJudgement, baud: u32) -> u64 {
    let most = Plant::new(baud, 0).interval().mul_f64(STARVED);
    found.gaps.iter().filter(|gap| **gap >= most).count() as u64
}

fn p99(all: &[Duration]) -> Option<Duration> {
    percentile(all, 99)
}

fn percentile(all: &[Duration], percent: usize) -> Option<Duration> {
    let mut all = all.to_vec();
    all.sort_unstable();
    all.get(all.len() * percent / 100).copied()
}

fn targets(summary: &Summary) -> Vec<Target> {
    let mut targets = vec![
        Target::none(
            "polls that came two intervals after the last, or later",
            "starved_polls",
            summary.starved_polls,
        ),
        Target::none(
            "writes after the sender's time or after the answer",
            "executed_after_timeout",
            summary.executed_after_timeout,
        ),
        Target::none(
            "writes done twice",
            "executed_twice",
            summary.executed_twice,
        ),
        Target::none(
            "answers \"verified\" without a write",
            "verified_without_write",
            summary.verified_without_write,
        ),
    ];
    let figures = [
        (
            "answers to a command whose connection stayed up",
            "replies_per_command",
            summary.replies_per_command,
            Bound::Exactly(1.0),
        ),
        (
            "ms from the platform's message to \"verified\", 9600 baud, p99",
            "verified_ms_p99",
            summary.verified_ms_p99,
            Bound::AtMost(300.0),
        ),
        (
            "share of the time in which polls kept that line busy",
            "load",
            summary.load,
            Bound::AtLeast(0.68),
        ),
        (
            "ms from the platform's message to \"verified\", 115200 baud, p99",
            "verified_ms_p99_115200",
            summary.verified_ms_p99_115200,
            Bound::AtMost(100.0),
        ),
        (
            "share of the time in which polls kept that line busy",
            "load_115200",
            summary.load_115200,
            Bound::AtLeast(0.68),
        ),
        (
            "intervals between two polls in a flood, p99",
            "flood_gap_ratio_p99",
            summary.flood_gap_ratio_p99,
            Bound::AtMost(1.5),
        ),
    ];
    let figures = figures.into_iter();
    targets.extend(figures.filter_map(|(w, k, m, b)| Target::measured(w, k, m, b)));
    targets
}

const HEAD: &str = "\
# Commands from the platform, tried with the real daemon

Written by `alink-lab commands --write`, which takes some ten minutes; do not edit. The daemon
runs as a process of its own between the model of the platform and a serial line on a pseudo
terminal, on which characters take as long as on a wire (8E1). Six units, one of them with low
priority, are polled for 20 values each so often that polls alone keep the line busy for seven
tenths of the time. Each command sets a value of two registers that no other command sets; it is
written, read back and answered. Every third of the single commands is a synchronous call.

In the flood six commands wait at any time. In the phase of faults commands go to random units,
half of them as synchronous calls, while replies are lost, late and spoilt, units lose their
power, and the connection is cut. *Late*: carried out by the unit after the sender's time (4 s for
a synchronous call, 10 s else) or after the answer. *Twice*: carried out again. *Unproved*:
answered \"verified\" and never written. Times in milliseconds, seen from the platform.

| phase | load | commands | verified | middle | longest | late | twice | unproved |
|---|---:|---:|---:|---:|---:|---:|---:|---:|
";

const FIGURES: &str = "
An answer on its way is lost with its connection; commands during which the connection was cut
have one answer at most, and do not count in the answers per command.

| what | measured | target |
|---|---:|---:|
";

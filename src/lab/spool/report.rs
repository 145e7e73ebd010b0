//! The figures, for people and for scripts, and their bounds.

use std::fmt::Write;
use std::io;

use serde::Serialize;

use super::full_store::FullStore;
use super::outcome::Outcome;
use super::replay::{BACKLOG, RATE, Replay};
use crate::results::verdict;
use crate::target::{Bound, Target, rounded};

/// The last line of `spool --json`. The fields are an interface. A figure that was not
/// measured is null.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Summary {
    /// Lives of the daemon that ended by SIGKILL, power cuts included.
    pub(crate) kills: u64,
    /// Lives that ended by a power cut.
    pub(crate) power_cuts: u64,
    /// Lives that ended by SIGTERM.
    pub(crate) stops: u64,
    /// Values that the bus gave.
    pub(crate) values: u64,
    /// Values that never arrived and were read earlier than the window before a kill.
    pub(crate) lost_beyond_window: u64,
    /// Accepted values that the bus did not give.
    pub(crate) invented: u64,
    /// The same as `lost_beyond_window`, with `durable: always`.
    pub(crate) lost_with_durable_always: Option<u64>,
    /// Values that were accepted again.
    pub(crate) duplicates: u64,
    /// Stored values that came after newer ones of their device.
    pub(crate) out_of_order: u64,
    /// Messages of stored values in a second, of those that the configuration allows.
    pub(crate) replay_share_of_rate: Option<f64>,
    /// How long live values take with a backlog, against without: 99th percentiles.
    pub(crate) live_p99_ratio: Option<f64>,
    /// Bytes of a stored value on the disk.
    pub(crate) bytes_per_value: Option<f64>,
    /// How long a store of 256 MiB takes to open.
    pub(crate) open_ms_full_store: Option<f64>,
    /// The most memory of a daemon with 2,000 devices that empties such a store.
    pub(crate) rss_mib_full_store_2000: Option<f64>,
    /// Whether the store was used again after a full disk and a read-only one.
    pub(crate) recovered_after_full_disk: Option<bool>,
    /// The seed of everything that was drawn.
    pub(crate) seed: u64,
    /// Phases that were not played, and why.
    pub(crate) skipped: Vec<String>,
    /// What should not be. If it is empty the exit status is 0.
    pub(crate) problems: Vec<String>,
}

/// Everything that was found.
#[derive(Debug, Default)]
pub(super) struct SpoolFindings {
    /// By phase.
    pub(crate) phases: Vec<(&'static str, Outcome)>,
    /// With `durable: always`.
    pub(crate) durable: Option<Outcome>,
    pub(crate) bytes_per_value: Option<f64>,
    pub(crate) recovered: Option<bool>,
    pub(crate) replay: Option<Replay>,
    pub(crate) full_store: Option<FullStore>,
    pub(crate) skipped: Vec<String>,
    pub(crate) problems: Vec<String>,
    pub(crate) seed: u64,
    /// How long the run took, in seconds.
    pub(crate) seconds: u64,
}

impl SpoolFindings {
    /// Takes what a phase has found.
    pub(super) fn take(&mut self, name: &'static str, outcome: io::Result<Outcome>) {
        match outcome {
            Ok(outcome) => {
                self.phases.push((name, outcome));
            }
            Err(e) => self.problems.push(format!("{name}: {e}")),
        }
    }

    /// Does the same for the phase with `durable: always`.
    pub(super) fn take_durable(&mut self, outcome: io::Result<Outcome>) {
        match outcome {
            Ok(outcome) => {
                self.durable = Some(outcome);
            }
            Err(e) if e.kind() == io::ErrorKind::Unsupported => {
                self.skip("durable: always, which this daemon does not know");
            }
            Err(e) => self.problems.push(format!("durable: {e}")),
        }
    }

    /// Takes note that a phase was not played.
    pub(super) fn skip(&mut self, what: &str) {
        self.skipped.push(what.to_owned());
    }

    /// Returns the figures, and the bounds that were missed.
    pub(super) fn summary(&self) -> Summary {
        let mut all = Outcome::default();
        for (_, outcome) in &self.phases {
            all.add(outcome.clone());
        }
        let lost = all.lost;
        if let Some(outcome) = &self.durable {
            all.add(outcome.clone());
        }
        let mut problems = self.problems.clone();
        problems.append(&mut all.problems);
        if let Some(full) = &self.full_store {
            problems.extend(full.problems.iter().cloned());
        }
        let replay = self.replay.as_ref();
        let full = self.full_store.as_ref();
        let mut summary = Summary {
            kills: all.kills + all.power_cuts,
            power_cuts: all.power_cuts,
            stops: all.stops,
            values: all.values,
            lost_beyond_window: lost,
            invented: all.invented,
            lost_with_durable_always: self.durable.as_ref().map(|o| o.lost),
            duplicates: all.duplicates,
            out_of_order: all.out_of_order,
            replay_share_of_rate: replay.map(|r| rounded(r.messages / RATE)),
            live_p99_ratio: replay.map(|r| rounded(r.with.as_secs_f64() / r.without.as_secs_f64())),
            bytes_per_value: self.bytes_per_value.map(rounded),
            open_ms_full_store: full.map(|f| rounded(f.open.as_secs_f64() * 1000.0)),
            rss_mib_full_store_2000: full.map(|f| rounded(f.memory as f64 / 1024.0)),
            recovered_after_full_disk: self.recovered,
            seed: self.seed,
            skipped: self.skipped.clone(),
            problems: Vec::new(),
        };
        problems.extend(summary.targets().iter().filter_map(Target::problem));
        if summary.recovered_after_full_disk == Some(false) {
            problems.push("the store was not used again after a full disk".to_owned());
        }
        summary.problems = problems;
        summary
    }

    /// Returns the page for people.
    pub(super) fn page(&self) -> String {
        let summary = self.summary();
        let mut page = String::from(HEAD);
        for (name, outcome) in &self.phases {
            page.push_str(&row(name, outcome));
        }
        if let Some(outcome) = &self.durable {
            page.push_str(&row("killed, durable: always", outcome));
        }
        page.push_str(&FIGURES.replace("{backlog}", &BACKLOG.to_string()));
        for target in summary.targets() {
            page.push_str(&target.row());
        }
        if let Some(recovered) = summary.recovered_after_full_disk {
            let recovered = if recovered { "yes" } else { "no" };
            let _ = writeln!(
                page,
                "| the store is used again after a full and a read-only disk | {recovered} | yes |"
            );
        }
        page.push('\n');
        if let Some(replay) = &self.replay {
            let _ = writeln!(
                page,
                "Replay without live values: {:.1} messages and {:.0} values a second. Of the live \
                 values 99 in 100\ntook {} ms at most with a backlog and {} ms without; values are \
                 gathered for up to 500 ms.\n",
                replay.messages,
                replay.values,
                replay.with.as_millis(),
                replay.without.as_millis()
            );
        }
        if let Some(full) = &self.full_store {
            let _ = writeln!(
                page,
                "The full store held {} values in {} bytes. The daemon was started on it: the \
                 platform\nhad the first stored value after {} ms, and {} values after 40 s.\n",
                full.values,
                full.bytes,
                full.first_value.as_millis(),
                full.accepted
            );
        }
        for skipped in &self.skipped {
            let _ = writeln!(page, "Not played: {skipped}.\n");
        }
        let verdict = verdict(&summary.problems);
        let _ = writeln!(
            page,
            "Seed {}, {} s in all. {verdict}",
            self.seed, self.seconds
        );
        page
    }
}

impl Summary {
    fn targets(&self) -> Vec<Target> {
        let mut targets = vec![
            Target::none(
                "values lost that were read before the window",
                "lost_beyond_window",
                self.lost_beyond_window,
            ),
            Target::none("values invented", "invented", self.invented),
            Target::none(
                "stored values that came out of order",
                "out_of_order",
                self.out_of_order,
            ),
        ];
        if let Some(lost) = self.lost_with_durable_always {
            let what = "values lost with `durable: always`";
            targets.push(Target::none(what, "lost_with_durable_always", lost));
        }
        let figures = [
            (
                "messages of stored values, of those that the rate allows",
                "replay_share_of_rate",
                self.replay_share_of_rate,
                Bound::AtLeast(0.8),
            ),
            (
                "how long live values take with a backlog against without, p99",
                "live_p99_ratio",
                self.live_p99_ratio,
                Bound::AtMost(1.2),
            ),
            (
                "bytes of a stored value on the disk",
                "bytes_per_value",
                self.bytes_per_value,
                Bound::AtMost(40.0),
            ),
            (
                "ms to open a store of 256 MiB",
                "open_ms_full_store",
                self.open_ms_full_store,
                Bound::AtMost(200.0),
            ),
            (
                "MiB of memory of a daemon with 2,000 devices that empties it",
                "rss_mib_full_store_2000",
                self.rss_mib_full_store_2000,
                Bound::AtMost(64.0),
            ),
        ];
        let figures = figures.into_iter();
        targets.extend(figures.filter_map(|(w, k, m, b)| Target::measured(w, k, m, b)));
        targets
    }
}

fn row(name: &str, outcome: &Outcome) -> String {
    let ended = outcome.kills + outcome.stops + outcome.power_cuts;
    format!(
        "| {name} | {ended} | {} | {} | {} | {} | {} | {} | {} |\n",
        outcome.values,
        outcome.replayed,
        outcome.lost,
        outcome.unaccepted.saturating_sub(outcome.lost),
        outcome.invented,
        outcome.duplicates,
        outcome.out_of_order
    )
}

const HEAD: &str = "\
# The store of readings, tried with the real daemon

Written by `alink-lab spool --write`, which takes some ten minutes and root; do not edit.
The daemon runs as a process of its own between the model of the platform and a Modbus TCP
rack in which no value ever comes twice, so that each value that the platform accepts can be
found among those that the bus gave.

Lives of the daemon end at random moments, while the platform is well, does not answer at
all, loses messages, or answers 500 or 429. *Lost*: never accepted, although read earlier
than the window before a kill or before SIGTERM. *In the window*: never accepted, and read
so shortly before a kill that it may be. *Again*: accepted more than once, which is
allowed. *Out of order*: came from the store after a newer value of its device, for the
first time and in one life. Values are compared with the device, the property, and the time
of the answer to a second.

The windows, with 100 ms of linger and a write each 500 ms: 8.4 s where the platform answers
(values go to the disk when they have waited for 5.1 s, and a value that was sent first waits
up to 2 s for its reply), 3.8 s with a small memory and no platform (values go there when half
the memory is used up, after 2.5 s), 1.5 s with `durable: always`. In each are 0.7 s for a slow
disk. After SIGTERM the gateway keeps what it has read, and nothing that it reads until its end.
A power cut goes on with a copy of the block device as it
is at the cut; what was not written to the device by then is gone.

| lives end by | lives | values | as history | lost | in the window | invented | again | out of order |
|---|---:|---:|---:|---:|---:|---:|---:|---:|
";

const FIGURES: &str = "
Values take the bytes that the files grow by in an outage with 200 values a second and a
write each 5 s. The backlog is {backlog} values of 100 devices, the rate 25 messages a second;
400 live values a second. Memory is VmHWM of the daemon while it sends stored values and
2,000 devices with 10 points each are read.

| what | measured | target |
|---|---:|---:|
";

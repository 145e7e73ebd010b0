//! The figures, for people and for scripts, and their targets.

use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;

use super::figures::thousands;
use super::{ChangeTiming, Measured, Row, Throughput};

/// How long something took: half of the cases at most `p50`, 99 of 100 at most `p99`,
/// all at most `max`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// The median.
    pub p50: Duration,
    /// The 99th percentile.
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
}

impl Spread {
    /// Computes the spread of these durations; all zero if there are none.
    pub(super) fn of(mut took: Vec<Duration>) -> Self {
        took.sort_unstable();
        // The nearest rank.
        let rank = |percent: usize| {
            let n = (took.len() * percent).div_ceil(100).saturating_sub(1);
            took.get(n).copied().unwrap_or_default()
        };
        Spread {
            p50: rank(50),
            p99: rank(99),
            max: rank(100),
        }
    }

    fn cells(self) -> String {
        let ms = |d: Duration| thousands(d.as_millis());
        format!("{} | {} | {}", ms(self.p50), ms(self.p99), ms(self.max))
    }
}

impl Row {
    /// Returns the spread as it stands in the table.
    #[must_use]
    pub fn line(&self) -> String {
        format!(
            "| {} | {} % | {} | {} | {} |",
            thousands(u128::from(self.devices)),
            self.loss / 10,
            match self.timing {
                ChangeTiming::AtOnce => "at once",
                ChangeTiming::OneByOne => "one by one",
            },
            self.online.cells(),
            self.logout.cells()
        )
    }
}

/// The last line of `converge --json`. The fields are an interface.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Log-in messages for 2,000 healthy devices.
    pub messages_clean_2000: u64,
    /// Log-in messages at worst to find three unnamed culprits among 50.
    pub messages_3_unnamed_of_50: u64,
    /// From the verdict "silent" to the log-out message, one by one, no loss.
    pub silent_to_logout_ms_p99: u64,
    /// From CONNACK until 2,000 are online, with the pacer opened.
    pub all_2000_online_ms: u64,
    /// From the verdict "it answers" until online, one by one, no loss; the
    /// slowest row, which of the whole plan is that of 2,000.
    pub online_one_by_one_2000_ms_p99: u64,
    /// At 20 % loss, the slowest row.
    pub loss20_online_ms_p99: u64,
    /// At 20 % loss, the slowest row.
    pub loss20_logout_ms_p99: u64,
    /// CONNECTs of two gateways with one certificate within ten minutes.
    pub takeover_connects_10min: u64,
    /// The longest time offline while a server ends three connections within 15 s
    /// each.
    pub flap_offline_ms: u64,
    /// From quota that becomes free under a cap (428) until it is taken.
    pub refill_after_428_ms: u64,
    /// From a cap that is raised or lifted until all devices for which there is room
    /// are online.
    pub lifted_428_ms: u64,
    /// From the end of 429 on log-ins until all devices are online.
    pub back_after_429_ms: u64,
    /// The longest time without an accepted post around 429 on posts.
    pub post_429_gap_ms: u64,
    /// From the silent loss of the sessions of up to 60 devices until all are
    /// back.
    pub silent_loss_back_ms: u64,
    /// The share of the values read that gets through, at worst, over reply times up to
    /// 8 s and losses up to 20 % each way; 1 is all.
    pub throughput_slow_replies: f64,
    /// Values accepted again without need, at worst, over the same; 0 is none.
    pub repeats_slow_replies: f64,
    /// Values counted as delivered that the platform did not accept.
    pub delivered_but_lost: u64,
    /// Seeds per row.
    pub seeds: u64,
    /// Targets that were missed, in words.
    pub broken: Vec<String>,
}

/// The bound of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// No more than this.
    AtMost(u64),
    /// No less.
    AtLeast(u64),
}

/// A figure and its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// What was measured.
    pub what: &'static str,
    /// The figure.
    pub measured: u64,
    /// Its bound.
    pub bound: Bound,
    /// Whether the target is about recovering from faults of the platform.
    pub recovery: bool,
}

impl Target {
    /// Returns whether the figure is within its bound.
    #[must_use]
    pub const fn is_met(&self) -> bool {
        match self.bound {
            Bound::AtMost(most) => self.measured <= most,
            Bound::AtLeast(least) => self.measured >= least,
        }
    }

    /// Returns the target in words, with the figure measured.
    #[must_use]
    pub fn sentence(&self) -> String {
        let Target { what, measured, .. } = self;
        match self.bound {
            Bound::AtMost(most) => format!("{what}: {measured}, at most {most}"),
            Bound::AtLeast(least) => format!("{what}: {measured}, at least {least}"),
        }
    }

    fn line(&self) -> String {
        let (words, bound) = match self.bound {
            Bound::AtMost(most) => ("at most", most),
            Bound::AtLeast(least) => ("at least", least),
        };
        let grouped = |n: u64| thousands(u128::from(n));
        let (what, measured, bound) = (self.what, grouped(self.measured), grouped(bound));
        format!("| {what} | {measured} | {words} {bound} |")
    }
}

impl Measured {
    /// Returns the figures that have a target, and the targets that were missed.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let recovery = &self.recovery;
        Summary {
            messages_clean_2000: self.messages_clean_2000,
            messages_3_unnamed_of_50: self.messages_3_unnamed_of_50,
            silent_to_logout_ms_p99: self.worst(alone, |r| r.logout.p99),
            all_2000_online_ms: ms(self.all_2000_opened),
            online_one_by_one_2000_ms_p99: self.worst(alone, |r| r.online.p99),
            loss20_online_ms_p99: self.worst(lossy, |r| r.online.p99),
            loss20_logout_ms_p99: self.worst(lossy, |r| r.logout.p99),
            takeover_connects_10min: self.takeover_connects,
            flap_offline_ms: ms(self.flap_offline),
            refill_after_428_ms: ms(recovery.refill),
            lifted_428_ms: ms(recovery.lifted),
            back_after_429_ms: ms(recovery.back_after_429),
            post_429_gap_ms: ms(recovery.post_429_gap),
            silent_loss_back_ms: ms(recovery.silent_loss_back),
            throughput_slow_replies: share(self.throughput()),
            repeats_slow_replies: share(self.repeats()),
            delivered_but_lost: recovery.delivered_but_lost,
            seeds: self.seeds,
            broken: self.broken(),
        }
    }

    fn worst(&self, rows: fn(&Row) -> bool, of: fn(&Row) -> Duration) -> u64 {
        let chosen = self.rows.iter().filter(|r| rows(r));
        ms(chosen.map(of).max().unwrap_or_default())
    }

    fn judged(&self) -> impl Iterator<Item = &Throughput> {
        let rows = self.recovery.throughput.iter();
        rows.filter(|row| row.slow.is_judged())
    }

    fn throughput(&self) -> u64 {
        self.judged().map(|row| row.share).min().unwrap_or_default()
    }

    fn repeats(&self) -> u64 {
        self.judged()
            .map(|row| row.repeats)
            .max()
            .unwrap_or_default()
    }

    fn broken(&self) -> Vec<String> {
        let missed = self.targets().into_iter().filter(|t| !t.is_met());
        missed.map(|t| t.sentence()).collect()
    }

    /// Returns every figure that has a target.
    #[must_use]
    pub fn targets(&self) -> Vec<Target> {
        let most = |what, measured, most| Target {
            what,
            measured,
            bound: Bound::AtMost(most),
            recovery: false,
        };
        let back = |what, measured, bound| Target {
            what,
            measured,
            bound,
            recovery: true,
        };
        let at_most = Bound::AtMost;
        let recovery = &self.recovery;
        vec![
            most("log-in messages for 2,000", self.messages_clean_2000, 40),
            most(
                "log-in messages to find 3 unnamed of 50",
                self.messages_3_unnamed_of_50,
                27,
            ),
            most(
                "ms from silent to log-out, p99",
                self.worst(alone, |r| r.logout.p99),
                1_000,
            ),
            most(
                "ms until 2,000 are online, pacer opened",
                ms(self.all_2000_opened),
                2_000,
            ),
            most(
                "ms until 2,000 are online, 200 a second",
                ms(self.all_2000_default),
                10_500,
            ),
            most(
                "ms to online at 20 % loss, p99",
                self.worst(lossy, |r| r.online.p99),
                30_000,
            ),
            most(
                "ms to log-out at 20 % loss, p99",
                self.worst(lossy, |r| r.logout.p99),
                30_000,
            ),
            most(
                "CONNECTs of two twins in 10 minutes",
                self.takeover_connects,
                12,
            ),
            back(
                "ms to online one by one, p99",
                self.worst(alone, |r| r.online.p99),
                at_most(2_000),
            ),
            back(
                "ms offline while a server ends three connections within 15 s each",
                ms(self.flap_offline),
                at_most(60_000),
            ),
            back(
                "ms until a place freed under a cap (428) is taken",
                ms(recovery.refill),
                at_most(2_000),
            ),
            back(
                "ms until all are online once a cap is raised or lifted",
                ms(recovery.lifted),
                at_most(60_000),
            ),
            back(
                "ms until all are online once log-ins are no longer answered 429",
                ms(recovery.back_after_429),
                at_most(75_000),
            ),
            back(
                "ms without an accepted post around 429 on posts",
                ms(recovery.post_429_gap),
                at_most(60_000),
            ),
            back(
                "ms until all 60 are back after a silent loss of sessions",
                ms(recovery.silent_loss_back),
                at_most(60_000),
            ),
            back(
                "thousandths of 400 values a second that get through",
                self.throughput(),
                Bound::AtLeast(950),
            ),
            back(
                "thousandths of them sent again without need",
                self.repeats(),
                at_most(50),
            ),
            back(
                "values counted as delivered that were not accepted",
                recovery.delivered_but_lost,
                at_most(0),
            ),
        ]
    }

    /// Returns the page for people.
    #[must_use]
    pub fn page(&self) -> String {
        let mut page = String::from(HEAD);
        for row in &self.rows {
            let _ = writeln!(page, "{}", row.line());
        }
        page.push_str(THROUGHPUT);
        for row in &self.recovery.throughput {
            let _ = writeln!(page, "{}", row.line());
        }
        page.push_str(TARGETS);
        for target in self.targets() {
            let _ = writeln!(page, "{}", target.line());
        }
        let broken = self.broken();
        let _ = writeln!(
            page,
            "\n{} seeds per row. {}",
            self.seeds,
            match broken.len() {
                0 => "Every target is met.".to_owned(),
                n => format!("{n} missed: {}.", broken.join("; ")),
            }
        );
        page
    }
}

fn lossy(row: &Row) -> bool {
    row.loss == 200
}

fn alone(row: &Row) -> bool {
    row.loss == 0 && row.timing == ChangeTiming::OneByOne
}

const HEAD: &str = "\
# How soon the cloud shows what the bus shows

Written by `alink-lab converge --write`; do not edit. The real cloud engine
against the model of the platform, which answers in 20 ms, on virtual time.
Times in milliseconds, from the gateway's own verdict about a device (\"it
answers\", \"it is silent\") to the moment the platform acts on it. Messages are
lost each way with the given share. *At once*: all devices at one instant.
*One by one*: each at its own moment within five minutes. 200 log-ins a second
and 25 messages a second, the defaults, bound what happens at once.

| devices | loss | timing | online p50 | p99 | max | log-out p50 | p99 | max |
|---:|---:|---|---:|---:|---:|---:|---:|---:|
";

const THROUGHPUT: &str = "
## Values, while replies are slow and messages are lost

100 devices with 4 values a second each, which need 5 messages a second; for two
minutes, half a minute after replies became slow. *Through*: values accepted, each
counted once, of those read. *Repeats*: values accepted again, without those whose
reply was lost. *Waiting*: values not yet delivered at the end. Beyond 8 s nothing
is promised.

| replies after | loss | through | repeats | waiting |
|---:|---:|---:|---:|---:|
";

const TARGETS: &str = "
## Targets

About recovering. The worst of all that is tried counts:

- A cap (428): 200 devices, of which it admits 150 or 120 and 20 leave, at once or
  within half a minute; then it is raised by 20, then lifted.
- 429 on log-ins: on all for 30 to 360 s, from the connection of 200 devices on.
- 429 on posts: on the next five, on all for 20 s, or on those above 3 a second.
- Sessions lost without a notice: of 60, 30 or 1 of 60 devices, also with 5 % of
  messages lost; packs are taken all the same, dropped with a notice, or refused;
  posts on a device's own topic are told of, refused, or not answered.
- Values counted as delivered: each second one of 40 devices loses its session,
  silently or kicked, and the platform drops its part of the packs under way, which
  it answers with 200, the notice before or after that.

| what | measured | target |
|---|---:|---:|
";

/// Returns thousandths as a share of 1.
fn share(permille: u64) -> f64 {
    Duration::from_millis(permille).as_secs_f64()
}

fn ms(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_the_nearest_rank() {
        let spread = Spread::of((1..=100).map(Duration::from_secs).rev().collect());
        assert_eq!(spread.p50, Duration::from_secs(50));
        assert_eq!(spread.p99, Duration::from_secs(99));
        assert_eq!(spread.max, Duration::from_secs(100));
        assert_eq!(Spread::of(Vec::new()), Spread::default());
    }

    #[test]
    fn long_numbers_are_grouped() {
        assert_eq!(thousands(7), "7");
        assert_eq!(thousands(1000), "1,000");
        assert_eq!(thousands(1_234_567), "1,234,567");
    }
}

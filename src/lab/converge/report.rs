//! The figures, for people and for scripts, and the targets they are held to.

use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;

use super::{Measured, Row, Story};

/// How long something took: half of them at most `p50`, 99 of 100 at most
/// `p99`, all at most `max`.
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
    /// Of these; all zero if there are none.
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
    /// As it stands in the table.
    #[must_use]
    pub fn line(&self) -> String {
        format!(
            "| {} | {} % | {} | {} | {} |",
            thousands(u128::from(self.devices)),
            self.loss / 10,
            match self.story {
                Story::AtOnce => "at once",
                Story::OneByOne => "one by one",
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
    /// At 20 % loss, the slowest row.
    pub loss20_online_ms_p99: u64,
    /// At 20 % loss, the slowest row.
    pub loss20_logout_ms_p99: u64,
    /// CONNECTs of two gateways with one certificate within ten minutes.
    pub takeover_connects_10min: u64,
    /// Seeds per row.
    pub seeds: u64,
    /// Targets that were missed, in words.
    pub broken: Vec<String>,
}

impl Measured {
    /// The figures that have a target, and what became of the targets.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let worst = |rows: &dyn Fn(&Row) -> bool, of: fn(&Row) -> Duration| {
            let chosen = self.rows.iter().filter(|r| rows(r));
            ms(chosen.map(of).max().unwrap_or_default())
        };
        let lossy = |r: &Row| r.loss == 200;
        let alone = |r: &Row| r.loss == 0 && r.story == Story::OneByOne;
        let mut summary = Summary {
            messages_clean_2000: self.messages_clean_2000,
            messages_3_unnamed_of_50: self.messages_3_unnamed_of_50,
            silent_to_logout_ms_p99: worst(&alone, |r| r.logout.p99),
            all_2000_online_ms: ms(self.all_2000_opened),
            loss20_online_ms_p99: worst(&lossy, |r| r.online.p99),
            loss20_logout_ms_p99: worst(&lossy, |r| r.logout.p99),
            takeover_connects_10min: self.takeover_connects,
            seeds: self.seeds,
            broken: Vec::new(),
        };
        for (what, is, most) in self.targets(&summary) {
            if is > most {
                let sentence = format!("{what}: {is}, at most {most}");
                summary.broken.push(sentence);
            }
        }
        summary
    }

    fn targets(&self, s: &Summary) -> [(&'static str, u64, u64); 8] {
        [
            ("log-in messages for 2,000", s.messages_clean_2000, 40),
            (
                "log-in messages to find 3 unnamed of 50",
                s.messages_3_unnamed_of_50,
                27,
            ),
            (
                "ms from silent to log-out, p99",
                s.silent_to_logout_ms_p99,
                1_000,
            ),
            (
                "ms until 2,000 are online, pacer opened",
                s.all_2000_online_ms,
                2_000,
            ),
            (
                "ms until 2,000 are online, 200 a second",
                ms(self.all_2000_default),
                10_500,
            ),
            (
                "ms to online at 20 % loss, p99",
                s.loss20_online_ms_p99,
                30_000,
            ),
            (
                "ms to log-out at 20 % loss, p99",
                s.loss20_logout_ms_p99,
                30_000,
            ),
            (
                "CONNECTs of two twins in 10 minutes",
                s.takeover_connects_10min,
                12,
            ),
        ]
    }

    /// The page for people.
    #[must_use]
    pub fn page(&self) -> String {
        let summary = self.summary();
        let mut page = String::from(HEAD);
        for row in &self.rows {
            let _ = writeln!(page, "{}", row.line());
        }
        page.push_str("\n## Targets\n\n| what | measured | at most |\n|---|---:|---:|\n");
        for (what, is, most) in self.targets(&summary) {
            let (is, most) = (thousands(u128::from(is)), thousands(u128::from(most)));
            let _ = writeln!(page, "| {what} | {is} | {most} |");
        }
        let _ = writeln!(
            page,
            "\n{} seeds per row. {}",
            self.seeds,
            match summary.broken.len() {
                0 => "Every target is met.".to_owned(),
                n => format!("{n} missed: {}.", summary.broken.join("; ")),
            }
        );
        page
    }
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

| devices | loss | story | online p50 | p99 | max | log-out p50 | p99 | max |
|---:|---:|---|---:|---:|---:|---:|---:|---:|
";

fn ms(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

/// `12,345`.
fn thousands(n: u128) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
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

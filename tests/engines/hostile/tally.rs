//! The results of a life.

use std::collections::BTreeMap;
use std::time::Duration;

use alink_gateway::base::Mono;

/// Counts.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Sums over lives.
    pub(crate) lives: u64,
    pub(crate) transactions: u64,
    pub(crate) answers: u64,
    pub(crate) late: u64,
    pub(crate) missed: BTreeMap<String, u64>,
    pub(crate) values: u64,
    /// Values that had not been true while the request was out.
    pub(crate) wrong: Vec<String>,
    /// How often each fault struck a reply.
    pub(crate) faults: BTreeMap<&'static str, u64>,
    last: Option<Mono>,
    /// The longest time between two ends of transactions.
    pub(crate) longest_gap: Duration,
    /// From the end of all faults until every device is read as if there had been none;
    /// `None` if that did not happen.
    pub(crate) recovered: Option<Duration>,
}

impl Tally {
    pub(crate) fn heard_at(&mut self, at: Mono) {
        if let Some(last) = self.last {
            self.longest_gap = self.longest_gap.max(at.since(last));
        }
        self.last = Some(at);
    }

    /// Adds the time after the last fault: when values of each device came, and how
    /// long it was watched. Computes from when on no device was without values for more
    /// than a second, or three times its usual time where the line is slow. The
    /// transactions of this time are not counted with the others.
    pub(crate) fn peace(&mut self, peace: Tally, seen: &[Vec<Duration>], watched: Duration) {
        self.wrong.extend(peace.wrong);
        self.longest_gap = self.longest_gap.max(peace.longest_gap);
        let settled = |times: &Vec<Duration>| {
            let mut from = *times.first()?;
            let mut gaps: Vec<Duration> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
            gaps.sort_unstable();
            let usual = gaps.get(gaps.len() / 2).copied().unwrap_or_default();
            let long = Duration::from_secs(1).max(3 * usual);
            for pair in times.windows(2) {
                if pair[1] - pair[0] > long {
                    from = pair[1];
                }
            }
            (watched.saturating_sub(*times.last()?) <= long).then_some(from)
        };
        let all: Option<Vec<Duration>> = seen.iter().map(settled).collect();
        self.recovered = all.and_then(|all| all.into_iter().max());
    }

    /// Adds several lives.
    pub(crate) fn add(&mut self, other: Tally) {
        self.transactions += other.transactions;
        self.answers += other.answers;
        self.late += other.late;
        for (miss, n) in other.missed {
            *self.missed.entry(miss).or_default() += n;
        }
        self.values += other.values;
        self.wrong.extend(other.wrong);
        for (fault, n) in other.faults {
            *self.faults.entry(fault).or_default() += n;
        }
        self.longest_gap = self.longest_gap.max(other.longest_gap);
        // A life without recovery is worse than any.
        let none = (self.lives > 0 && self.recovered.is_none()) || other.recovered.is_none();
        self.recovered = self.recovered.max(other.recovered).filter(|_| !none);
        self.lives += other.lives.max(1);
    }
}

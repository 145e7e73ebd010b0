//! When a value that was read is reported to the platform: polling and reporting have rates of
//! their own.

use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// Which readings of a point are reported.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub enum ReportPolicy {
    /// Every reading.
    #[default]
    All,
    /// Some of the readings, each as it was read.
    Some(Box<ReadingPolicy>),
    /// One value for all readings of a window of time.
    Window {
        /// The length of the window. Not shorter than the point's interval.
        length: Duration,
        /// What the value of the window is.
        value: WindowValue,
    },
}

/// Which readings are reported, if not all of them are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ReadingPolicy {
    /// Which readings are reported at once.
    pub when: ReportWhen,
    /// The shortest time from one report to the next; zero for no limit. A reading that comes
    /// sooner waits, and the newest of them is reported when the time is over.
    pub min_interval: Duration,
    /// The age of the last report from which on a reading is reported in any case. Not shorter
    /// than [`ReadingPolicy::min_interval`].
    pub max_interval: Option<Duration>,
}

/// Which readings are news.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub enum ReportWhen {
    /// Every reading.
    All,
    /// A reading with another value than the last reported one.
    Change,
    /// A reading whose distance from the last reported value is larger than this.
    Deadband(Deadband),
}

/// How far a number may move without being reported; finite and above zero.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub enum Deadband {
    /// In the unit of the value, after scale and offset.
    Absolute(f64),
    /// In percent of the last reported value, up to 100.
    Percent(f64),
}

/// The value of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum WindowValue {
    /// The arithmetic mean of a number. A whole number stays one: its mean is rounded.
    Mean,
    /// The smallest reading.
    Min,
    /// The largest reading.
    Max,
    /// The last reading.
    Last,
}

impl WindowValue {
    /// Returns the value as the configuration writes it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            WindowValue::Mean => "mean",
            WindowValue::Min => "min",
            WindowValue::Max => "max",
            WindowValue::Last => "last",
        }
    }
}

/// How often a point reports, in values per second, while its device answers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ReportRates {
    /// The rate if every reading is news.
    pub greatest: f64,
    /// The rate if the value never changes; 0 if it is then never reported again.
    pub least: f64,
}

impl ReportPolicy {
    /// Returns how often a point with this policy reports that is read so often. What an outage
    /// and a new session add is not in it.
    #[must_use]
    pub fn rates(&self, interval: Duration) -> ReportRates {
        let rate = |every: Duration| match every.is_zero() {
            true => 0.0,
            false => 1.0 / every.as_secs_f64(),
        };
        let both = |every| ReportRates {
            greatest: rate(every),
            least: rate(every),
        };
        match self {
            ReportPolicy::All => both(interval),
            ReportPolicy::Window { length, .. } => both(interval.max(*length)),
            ReportPolicy::Some(policy) => {
                let shortest = interval.max(policy.min_interval);
                match (policy.when, policy.max_interval) {
                    (ReportWhen::All, _) => both(shortest),
                    (_, None) => ReportRates {
                        least: 0.0,
                        ..both(shortest)
                    },
                    (_, Some(longest)) => ReportRates {
                        least: rate(shortest.max(longest)),
                        ..both(shortest)
                    },
                }
            }
        }
    }

    /// Returns whether every reading is reported as it comes.
    #[must_use]
    pub const fn is_all(&self) -> bool {
        matches!(self, ReportPolicy::All)
    }
}

impl fmt::Display for ReportPolicy {
    /// Writes the policy in words: `a change by more than 0.5, every 10s at most`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let policy = match self {
            ReportPolicy::All => return f.write_str("every reading"),
            ReportPolicy::Window { length, value } => {
                return write!(f, "the {} of each {}", value.word(), span(*length));
            }
            ReportPolicy::Some(policy) => policy,
        };
        match policy.when {
            ReportWhen::All => f.write_str("the newest reading")?,
            ReportWhen::Change => f.write_str("a change")?,
            ReportWhen::Deadband(Deadband::Absolute(by)) => {
                write!(f, "a change by more than {by}")?
            }
            ReportWhen::Deadband(Deadband::Percent(by)) => {
                write!(f, "a change by more than {by}%")?
            }
        }
        if !policy.min_interval.is_zero() {
            write!(f, ", at most once in {}", span(policy.min_interval))?;
        }
        match policy.max_interval {
            Some(longest) => write!(f, ", at least once in {}", span(longest)),
            None => Ok(()),
        }
    }
}

/// Writes a time as the configuration does.
fn span(time: Duration) -> String {
    let ms = time.as_millis();
    match ms {
        _ if ms.is_multiple_of(3_600_000) => format!("{}h", ms / 3_600_000),
        _ if ms.is_multiple_of(60_000) => format!("{}m", ms / 60_000),
        _ if ms.is_multiple_of(1000) => format!("{}s", ms / 1000),
        _ => format!("{ms}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn some(when: ReportWhen, min: u64, max: Option<u64>) -> ReportPolicy {
        ReportPolicy::Some(Box::new(ReadingPolicy {
            when,
            min_interval: seconds(min),
            max_interval: max.map(seconds),
        }))
    }

    #[test]
    fn the_rates_of_each_policy_and_its_words() {
        let half = ReportWhen::Deadband(Deadband::Absolute(0.5));
        let share = ReportWhen::Deadband(Deadband::Percent(2.0));
        let mean = |n| ReportPolicy::Window {
            length: seconds(n),
            value: WindowValue::Mean,
        };
        for (policy, greatest, least, words) in [
            (ReportPolicy::All, 0.1, 0.1, "every reading"),
            (some(ReportWhen::Change, 0, None), 0.1, 0.0, "a change"),
            (
                some(half, 20, Some(1000)),
                0.05,
                0.001,
                "a change by more than 0.5, at most once in 20s, at least once in 1000s",
            ),
            (
                some(share, 5, Some(5)),
                0.1,
                0.1,
                "a change by more than 2%, at most once in 5s, at least once in 5s",
            ),
            (
                some(ReportWhen::All, 20, None),
                0.05,
                0.05,
                "the newest reading, at most once in 20s",
            ),
            (mean(50), 0.02, 0.02, "the mean of each 50s"),
        ] {
            assert_eq!(policy.rates(seconds(10)), ReportRates { greatest, least });
            assert_eq!(policy.to_string(), words);
        }
    }
}

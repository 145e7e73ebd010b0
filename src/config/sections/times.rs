//! How often a point is read, with which priority, for how long its value is fresh, and which
//! readings are reported.

use std::time::Duration;

use crate::config::points::report::WrittenPolicy;
use crate::config::reader::problem::Expectation;
use crate::config::reader::section::{Notes, Section};
use crate::config::reader::word_parsers::{choice, show_time, time};
use crate::spec::{Codec, Priority, ReportPolicy};

/// The times of a profile, which hold for all its points unless they say otherwise.
#[derive(Clone, Copy)]
pub(crate) struct Times {
    interval: Option<Duration>,
    priority: Priority,
    stale_after: Option<Duration>,
    report: Option<WrittenPolicy>,
}

/// The times of one point.
pub(crate) struct Timing {
    pub(crate) interval: Duration,
    pub(crate) priority: Priority,
    /// The age from which the value counts as stale, if it is given.
    pub(crate) stale_after: Option<Duration>,
    report: Option<WrittenPolicy>,
}

impl Timing {
    /// Returns which readings of the point are reported; its value is read by this codec.
    pub(crate) fn report(&self, codec: &Codec, notes: &mut Notes) -> ReportPolicy {
        WrittenPolicy::policy(self.report, codec, self.interval, notes)
    }
}

const PRIORITIES: [(&str, Priority); 3] = [
    ("high", Priority::High),
    ("normal", Priority::Normal),
    ("low", Priority::Low),
];

fn priority(s: &Section<'_>, notes: &mut Notes) -> Option<Priority> {
    s.read("priority", choice(&PRIORITIES), notes)
}

/// Parses the time between two readings of a point.
fn interval(text: &str) -> Result<Duration, Expectation> {
    time(Duration::from_millis(50)..=Duration::from_secs(86400))(text)
}

/// Parses an age, at most a week: no point is read more rarely than daily.
fn stale_after(text: &str) -> Result<Duration, Expectation> {
    time(Duration::from_millis(50)..=Duration::from_secs(7 * 86400))(text)
}

const TOO_SOON: &str = "a value would be stale before it is read again";

impl Times {
    /// Reads the times of this profile.
    pub(crate) fn read(profile: &Section<'_>, notes: &mut Notes) -> Times {
        // A wrong interval counts as given: the points do not lack theirs.
        let every = profile.read("interval", interval, notes);
        let every = every.or(profile.node("interval").map(|_| Duration::from_secs(10)));
        let limit = profile.read("stale_after", stale_after, notes);
        let report = WrittenPolicy::of_profile(profile, every, notes);
        Times {
            report,
            interval: every,
            priority: priority(profile, notes).unwrap_or_default(),
            stale_after: limit.filter(|limit| {
                // Noted once, here, and not for each point.
                every.is_none_or(|every| long_enough(profile, *limit, every, notes))
            }),
        }
    }

    /// Reads the times of this point.
    pub(crate) fn of(self, s: &Section<'_>, notes: &mut Notes) -> Timing {
        if s.node("interval").is_none() && self.interval.is_none() {
            s.lacks(
                "interval",
                Expectation::wanted("how often to read it, like 10s")
                    .hint("interval: in the profile is the default of all its points"),
                notes,
            );
        }
        let every = s.read("interval", interval, notes).or(self.interval);
        let every = every.unwrap_or(Duration::from_secs(10));
        let stale_after = match s.read("stale_after", stale_after, notes) {
            Some(limit) => {
                long_enough(s, limit, every, notes);
                Some(limit)
            }
            // The profile's limit is not meant for points that are read more rarely.
            None => self.stale_after.filter(|limit| *limit >= every),
        };
        Timing {
            interval: every,
            priority: priority(s, notes).unwrap_or(self.priority),
            stale_after,
            report: WrittenPolicy::read(s, notes).or(self.report),
        }
    }
}

/// Notes a limit that ends before the next reading.
fn long_enough(s: &Section<'_>, limit: Duration, every: Duration, notes: &mut Notes) -> bool {
    if limit < every {
        let wrong = Expectation::wanted(format!("at least the interval, {}", show_time(every)));
        notes.error(s.at("stale_after"), show_time(limit), wrong.hint(TOO_SOON));
    }
    limit >= every
}

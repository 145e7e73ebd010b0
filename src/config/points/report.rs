//! `report:`: which readings of a point go to the platform.
//!
//! A profile's policy holds for all its points that have none of their own. What it says about
//! numbers means nothing to a text or a state: such a point takes the rest of it. A point's own
//! policy must fit the point.

use std::time::Duration;

use crate::config::reader::problem::Expectation;
use crate::config::reader::section::{Notes, Section};
use crate::config::reader::tree::{NodeContent, OriginId};
use crate::config::reader::word_parsers::{choice, decimal, show_time, time};
use crate::spec::{
    Codec, DataType, Deadband, ReadingPolicy, ReportPolicy, ReportWhen, WindowValue,
};

const KEYS: [&str; 6] = [
    "when",
    "deadband",
    "min_interval",
    "max_interval",
    "window",
    "value",
];

const WHEN: [(&str, ReportWhen); 2] = [("change", ReportWhen::Change), ("all", ReportWhen::All)];

const VALUES: [(&str, WindowValue); 4] = [
    ("mean", WindowValue::Mean),
    ("min", WindowValue::Min),
    ("max", WindowValue::Max),
    ("last", WindowValue::Last),
];

const WANTED: &str = "all, on-change, or a section with keys such as deadband, max_interval";

/// What is written behind `report:`.
#[derive(Clone, Copy)]
pub(crate) struct WrittenPolicy {
    policy: Policy,
    /// Where `deadband`, `value`, `window` and `max_interval` stand.
    deadband_at: OriginId,
    value_at: OriginId,
    window_at: OriginId,
    longest_at: OriginId,
    /// Whether the profile says it, and not the point.
    inherited: bool,
}

#[derive(Clone, Copy)]
enum Policy {
    All,
    Some(ReadingPolicy),
    Window(Duration, WindowValue),
}

impl WrittenPolicy {
    /// Reads the policy of this profile, whose points are read so often unless they say
    /// otherwise.
    pub(crate) fn of_profile(
        profile: &Section<'_>,
        interval: Option<Duration>,
        notes: &mut Notes,
    ) -> Option<WrittenPolicy> {
        let mut report = WrittenPolicy::read(profile, notes)?;
        if let Some(interval) = interval
            && !report.lasts(interval, notes)
        {
            // Noted once, here, and not for each point.
            report.policy = Policy::All;
        }
        report.inherited = true;
        Some(report)
    }

    /// Reads the policy of a point or a profile. A wrong one counts as given.
    pub(crate) fn read(s: &Section<'_>, notes: &mut Notes) -> Option<WrittenPolicy> {
        let node = s.node("report")?;
        let change = ReadingPolicy {
            when: ReportWhen::Change,
            min_interval: Duration::ZERO,
            max_interval: None,
        };
        let report = |policy| WrittenPolicy {
            policy,
            deadband_at: node.origin,
            value_at: node.origin,
            window_at: node.origin,
            longest_at: node.origin,
            inherited: false,
        };
        match &node.is {
            NodeContent::Map(keys) if !keys.is_empty() => {}
            NodeContent::Map(_) => {
                notes.error(node.origin, "an empty section", Expectation::wanted(WANTED));
                return Some(report(Policy::All));
            }
            NodeContent::Text(_) => {
                let words = [("all", Policy::All), ("on-change", Policy::Some(change))];
                let parse = |text: &str| {
                    choice(&words)(text).map_err(|wrong| {
                        let meant = text.contains("change");
                        let meant = meant.then(|| "did you mean on-change?".to_owned());
                        Expectation::wanted(WANTED).maybe_hint(meant.or(wrong.hint))
                    })
                };
                let said = s.read("report", parse, notes);
                return Some(report(said.unwrap_or(Policy::All)));
            }
            NodeContent::Nothing | NodeContent::List(_) => {
                notes.error(node.origin, node.is.kind(), Expectation::wanted(WANTED));
                return Some(report(Policy::All));
            }
        }
        let s = Section::open(node, &KEYS, notes);
        let policy = match s.node("window").is_some() || s.node("value").is_some() {
            true => window(&s, notes),
            false => readings(&s, change, notes),
        };
        Some(WrittenPolicy {
            deadband_at: s.at("deadband"),
            value_at: s.at("value"),
            window_at: s.at("window"),
            longest_at: s.at("max_interval"),
            ..report(policy.unwrap_or(Policy::All))
        })
    }

    /// Returns the policy of a point with this codec that is read so often; every reading is
    /// reported if nothing is said. Notes what does not fit the point, if the point says it.
    pub(crate) fn policy(
        report: Option<WrittenPolicy>,
        codec: &Codec,
        interval: Duration,
        notes: &mut Notes,
    ) -> ReportPolicy {
        let Some(report) = report else {
            return ReportPolicy::All;
        };
        let of = codec.data_type();
        if !report.inherited {
            report.lasts(interval, notes);
            report.fits(of, notes);
        }
        match report.policy {
            Policy::All => ReportPolicy::All,
            Policy::Some(policy) => ReportPolicy::Some(Box::new(ReadingPolicy {
                when: match policy.when {
                    ReportWhen::Deadband(_) if !is_number(of) => ReportWhen::Change,
                    when => when,
                },
                ..policy
            })),
            // The profile's window is not meant for points that are read more rarely.
            Policy::Window(length, _) if length < interval => ReportPolicy::All,
            Policy::Window(length, value) => ReportPolicy::Window {
                length,
                value: match has(value, of) {
                    true => value,
                    false => WindowValue::Last,
                },
            },
        }
    }

    /// Notes times that end before the next reading; returns whether there is none.
    fn lasts(&self, interval: Duration, notes: &mut Notes) -> bool {
        let (at, time, why) = match self.policy {
            Policy::Some(ReadingPolicy {
                max_interval: Some(longest),
                ..
            }) => (
                self.longest_at,
                longest,
                "a point is reported no oftener than it is read",
            ),
            Policy::Window(length, _) => (
                self.window_at,
                length,
                "there would be windows without a reading",
            ),
            Policy::All | Policy::Some(_) => return true,
        };
        if time < interval {
            let wrong =
                Expectation::wanted(format!("at least the interval, {}", show_time(interval)));
            notes.error(at, show_time(time), wrong.hint(why));
        }
        time >= interval
    }

    /// Notes a policy for numbers at a point that is none.
    fn fits(&self, of: DataType, notes: &mut Notes) {
        match self.policy {
            Policy::Some(ReadingPolicy {
                when: ReportWhen::Deadband(_),
                ..
            }) if !is_number(of) => {
                let wrong = Expectation::wanted("no deadband here: only numbers have one").hint(
                    "report: on-change reports each other value; for a limit in time add min_interval",
                );
                notes.error(
                    self.deadband_at,
                    format!("deadband of {}", named(of)),
                    wrong,
                );
            }
            Policy::Window(_, value) if !has(value, of) => {
                let wanted = match of {
                    DataType::Bool => "min, max or last",
                    _ => "last, or no window at all",
                };
                let said = format!("{} of {}", value.word(), named(of));
                let wrong = Expectation::wanted(wanted).hint(match of {
                    DataType::Bool => "max is 1 if the state was 1 at any time in the window",
                    _ => "only numbers have a mean, a smallest and a largest value",
                });
                notes.error(self.value_at, said, wrong);
            }
            Policy::All | Policy::Some(_) | Policy::Window(..) => {}
        }
    }
}

const fn is_number(of: DataType) -> bool {
    matches!(of, DataType::Int | DataType::Float | DataType::Double)
}

/// Returns whether readings of this type have such a value.
const fn has(value: WindowValue, of: DataType) -> bool {
    match value {
        WindowValue::Last => true,
        WindowValue::Mean => is_number(of),
        WindowValue::Min | WindowValue::Max => is_number(of) || matches!(of, DataType::Bool),
    }
}

/// Returns the type of a value with its article.
pub(crate) const fn named(of: DataType) -> &'static str {
    match of {
        DataType::Int | DataType::Float | DataType::Double => "a number",
        DataType::Enum => "an enum",
        DataType::Bool => "a bool",
        DataType::Text => "a text",
        DataType::Date => "a date",
    }
}

/// Reads a policy that reports readings as they are.
fn readings(s: &Section<'_>, change: ReadingPolicy, notes: &mut Notes) -> Option<Policy> {
    let errors = notes.noted();
    let when = s.read("when", choice(&WHEN), notes);
    let band = s.read("deadband", deadband, notes);
    if let (Some(Deadband::Absolute(_)), Some(node)) = (band, s.node("deadband")) {
        notes.quoted_number(node);
    }
    let shortest = s.read("min_interval", span, notes);
    let longest = s.read("max_interval", span, notes);
    if when == Some(ReportWhen::All) {
        for key in ["deadband", "max_interval"] {
            if s.node(key).is_some() {
                let wrong = Expectation::wanted(format!("either when: all or {key}"))
                    .hint("when: all reports every reading, min_interval apart");
                notes.error(s.at(key), format!("{key} with when: all"), wrong);
            }
        }
    }
    if let (Some(shortest), Some(longest)) = (shortest, longest)
        && shortest > longest
    {
        let wrong = Expectation::wanted(format!("at most max_interval, {}", show_time(longest)))
            .hint(
                "min_interval is the shortest time between two reports, max_interval the longest",
            );
        notes.error(s.at("min_interval"), show_time(shortest), wrong);
    }
    if notes.noted() > errors {
        return None;
    }
    Some(match (when, shortest) {
        (Some(ReportWhen::All), None) => Policy::All,
        _ => Policy::Some(ReadingPolicy {
            when: band.map_or(when.unwrap_or(change.when), ReportWhen::Deadband),
            min_interval: shortest.unwrap_or_default(),
            max_interval: longest,
        }),
    })
}

/// Reads a policy that reports one value for each window.
fn window(s: &Section<'_>, notes: &mut Notes) -> Option<Policy> {
    for key in ["when", "deadband", "min_interval", "max_interval"] {
        if s.node(key).is_some() {
            let wrong = Expectation::wanted(format!("either {key} or a window"))
                .hint("a window reports one value for all its readings, whatever they are");
            notes.error(s.at(key), format!("{key} with a window"), wrong);
        }
    }
    let length = s.need(
        "window",
        time(Duration::from_millis(50)..=Duration::from_secs(86400)),
        || {
            Expectation::wanted("how long readings are gathered, like 1m")
                .hint("value: is what a window reports of its readings")
        },
        notes,
    );
    let value = s.need(
        "value",
        choice(&VALUES),
        || Expectation::wanted("what the window reports of its readings: mean, min, max or last"),
        notes,
    );
    Some(Policy::Window(length?, value?))
}

/// Parses the time between two reports, at most a week.
fn span(text: &str) -> Result<Duration, Expectation> {
    time(Duration::from_millis(50)..=Duration::from_secs(7 * 86400))(text)
}

/// Parses `0.5` or `2%`.
fn deadband(text: &str) -> Result<Deadband, Expectation> {
    let wanted = || {
        Expectation::wanted(
            "a number above 0 in the unit of the value, like 0.5, or a share of it, like 2%",
        )
    };
    let number = |text: &str| {
        let text = text.trim();
        decimal(text).map_err(|wrong| wanted().maybe_hint(wrong.hint))?;
        match text.parse::<f64>() {
            Ok(by) if by > 0.0 && by.is_finite() => Ok(by),
            _ => Err(wanted().hint("report: on-change reports every change, however small")),
        }
    };
    match text.strip_suffix('%') {
        None => number(text).map(Deadband::Absolute),
        Some(share) => match number(share)? {
            by if by <= 100.0 => Ok(Deadband::Percent(by)),
            _ => Err(Expectation::wanted(
                "a share of the last reported value, up to 100%",
            )),
        },
    }
}

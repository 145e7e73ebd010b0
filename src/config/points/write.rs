//! `write:`: which points may be written, which values, and how it is made certain that the device
//! holds them.
//!
//! A point without the key is read-only. What a write depends on may be other points of the
//! profile, so the key is read in two steps: with the point, and when all points are known.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::by_id::{NamedPoint, PointsById};
use super::condition;
use super::report::named;
use crate::base::text::counted;
use crate::config::reader::problem::Expectation;
use crate::config::reader::section::{Notes, Section};
use crate::config::reader::tree::{Node, NodeContent};
use crate::config::reader::word_parsers::{decimal, plain, show_time, time, yes_or_no};
use crate::spec::dlt645::DataItem;
use crate::spec::raw::WriteBy;
use crate::spec::{
    Codec, CommandSpec, DataType, Decimal, PointAddress, PointSpec, ReadBack, Table,
    WriteFunctions, WritePolicy, WriteRequests,
};

const KEYS: [&str; 9] = [
    "min",
    "max",
    "step",
    "settle",
    "read_back",
    "least_interval",
    "confirm",
    "only_if",
    "request",
];

const LIMITS: [&str; 3] = ["min", "max", "step"];

const WANTED: &str = "yes, no, or a section with keys such as min, max, settle";

const READ_BACK: &str = "itself, never, or the id of another point of this profile";

/// How long a device may take until its registers show what was written.
const SETTLE: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(60);
/// How long a command may wait for its confirmation: people need a second, and after ten minutes
/// they have forgotten it.
const CONFIRM: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(600);
/// How far apart writes may be kept: memory that bears 100,000 writes lasts for two centuries at
/// one a day.
const LEAST_INTERVAL: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(86_400);

/// What a profile and the installation say about all writes.
#[derive(Clone, Copy, Default)]
pub(crate) struct WriteFacts {
    pub(crate) requests: WriteRequests,
    pub(crate) commands: CommandSpec,
}

/// What is written behind `write:`, before the other points of the profile are known.
pub(crate) struct WriteDraft<'a> {
    /// The value of the key.
    node: &'a Node,
    /// Its section; empty behind `write: yes`.
    s: Section<'a>,
    policy: WritePolicy,
}

/// Reads `write:` of a point. A wrong one counts as given: the point is meant to be written.
pub(crate) fn read<'a>(point: &Section<'a>, notes: &mut Notes) -> Option<WriteDraft<'a>> {
    let node = point.node("write")?;
    let mut draft = WriteDraft {
        node,
        s: Section::again(node),
        policy: WritePolicy::default(),
    };
    let keys = match &node.is {
        NodeContent::Text(_) => {
            let parse = |text: &str| {
                yes_or_no(text).map_err(|wrong| Expectation::wanted(WANTED).maybe_hint(wrong.hint))
            };
            let said = point.read("write", parse, notes);
            return (said != Some(false)).then_some(draft);
        }
        NodeContent::Map(keys) => keys,
        NodeContent::Nothing | NodeContent::List(_) => {
            notes.error(node.origin, node.is.kind(), Expectation::wanted(WANTED));
            return Some(draft);
        }
    };
    if keys.is_empty() {
        notes.error(node.origin, "an empty section", Expectation::wanted(WANTED));
        return Some(draft);
    }
    let s = Section::open(node, &KEYS, notes);
    draft.policy = WritePolicy {
        min: s.read("min", decimal, notes),
        max: s.read("max", decimal, notes),
        step: s.read("step", step, notes),
        settle: s.read("settle", time(SETTLE), notes).unwrap_or_default(),
        read_back: ReadBack::Itself,
        least_interval: s
            .read("least_interval", time(LEAST_INTERVAL), notes)
            .unwrap_or_default(),
        confirm: s.read("confirm", time(CONFIRM), notes),
        only_if: None,
        by: None,
    };
    Some(draft)
}

fn step(text: &str) -> Result<Decimal, Expectation> {
    let step = decimal(text)?;
    match step.compare(Decimal::ZERO).is_gt() {
        true => Ok(step),
        false => Err(Expectation::wanted("a number above 0")
            .hint("values are written in whole steps above min, or above 0")),
    }
}

impl WriteDraft<'_> {
    /// Reads with which request a point without a standard is written; `find` knows the requests
    /// that write.
    pub(crate) fn by_request(
        &mut self,
        find: impl Fn(&str) -> Result<Option<WriteBy>, Expectation>,
        notes: &mut Notes,
    ) {
        let wanted = "the request that writes it: write: { request: NAME }";
        let hint = "a request with {value} in send: writes";
        match self.s.node("request") {
            Some(_) => self.policy.by = self.s.read("request", find, notes).flatten(),
            None => {
                let wrong = Expectation::wanted(wanted).hint(hint);
                notes.error(self.node.origin, "write without a request", wrong);
            }
        }
    }

    /// Returns how this point is written. Notes what does not fit the point, or the profile.
    pub(crate) fn policy(
        self,
        point: NamedPoint<'_>,
        points: &PointsById<'_>,
        facts: WriteFacts,
        notes: &mut Notes,
    ) -> WritePolicy {
        if point.is_right {
            self.is_possible(point.spec, facts.requests, notes);
        }
        let mut policy = self.policy.clone();
        if point.is_right {
            self.bound(&mut policy, point, notes);
        }
        policy.read_back = self.read_back(point, points, notes);
        policy.only_if = self
            .s
            .node("only_if")
            .and_then(|node| condition::read(node, points, notes));
        self.settles_in_time(&policy, facts.commands, notes);
        policy
    }

    /// Notes a point of a meter beside which another point reads more of the same datum.
    pub(crate) fn is_of_the_whole(&self, point: &PointSpec, items: &[DataItem], notes: &mut Notes) {
        let (PointAddress::Dlt645(address), Codec::Datum { item, .. }) =
            (point.address, &point.codec)
        else {
            return;
        };
        let whole = items.get(address.item.index());
        let is_whole = whole.is_none_or(|whole| whole.length() == item.length());
        if !is_whole && point.unwritable().is_none() {
            let wrong = Expectation::wanted("no write here").hint(format!(
                "another point reads more of datum {} than this one, and a meter takes only a whole datum",
                item.id
            ));
            notes.error(self.node.origin, "write", wrong);
        }
    }

    /// Notes a point that cannot be written at all, or not in one request.
    fn is_possible(&self, point: &PointSpec, requests: WriteRequests, notes: &mut Notes) {
        let is_raw = matches!(point.address, PointAddress::Raw(_));
        if let Some(node) = self.s.node("request").filter(|_| !is_raw) {
            let wrong = Expectation::wanted("no request with this protocol")
                .hint("only a profile with protocol: raw has requests");
            notes.error(node.origin, "request", wrong);
        }
        if let Some((said, wrong)) = unwritable_reason(point) {
            notes.error(self.node.origin, said, wrong);
            return;
        }
        let width = point.codec.width();
        if requests.functions == WriteFunctions::Single && width > 1 {
            let wrong = Expectation::wanted("a point of one register, as writes.functions is single")
                .hint("with one register in each request a value is written in pieces; functions: both, if the device has function 16");
            let said = format!("write with a value of {}", counted(width, "register"));
            notes.error(self.node.origin, said, wrong);
        }
    }

    /// Takes the limits of the point where the write has none of its own. Notes limits that
    /// mean nothing, or that allow what the point refuses.
    fn bound(&self, policy: &mut WritePolicy, point: NamedPoint<'_>, notes: &mut Notes) {
        let of = point.spec.codec.data_type();
        let titled = point.titles().is_some();
        let is_number = match of {
            DataType::Int | DataType::Float | DataType::Double | DataType::Enum => !titled,
            DataType::Bool | DataType::Text | DataType::Date => false,
        };
        if !is_number {
            for key in LIMITS.iter().filter(|key| self.s.node(key).is_some()) {
                let wrong = Expectation::wanted(format!("no {key} here")).hint(match of {
                    _ if titled => "only the numbers that values: names are written",
                    DataType::Bool => "a single bit is 0 or 1",
                    _ => "only numbers have limits",
                });
                let of = match titled {
                    true => "a state",
                    false => named(of),
                };
                notes.error(self.s.at(key), format!("{key} of {of}"), wrong);
            }
            (policy.min, policy.max, policy.step) = (None, None, None);
            return;
        }
        if let (Some(min), Some(max)) = (policy.min, policy.max)
            && min.compare(max).is_gt()
        {
            let wrong = Expectation::wanted("a min that is not above max");
            notes.error(self.s.at("min"), "min above max", wrong);
            // No value would be allowed, and each that a service writes would be a mistake.
            (policy.min, policy.max) = (None, None);
        }
        let (least, greatest) = match &point.spec.codec {
            Codec::Measure(measure) => (measure.min, measure.max),
            _ => (None, None),
        };
        for (key, said) in [("min", policy.min), ("max", policy.max)] {
            let Some(said) = said else { continue };
            let beyond = match (least, greatest) {
                (Some(least), _) if said.compare(least).is_lt() => format!("at least {least}"),
                (_, Some(greatest)) if said.compare(greatest).is_gt() => {
                    format!("at most {greatest}")
                }
                _ => continue,
            };
            let wrong = Expectation::wanted(format!("{beyond}, the limit of the point itself"))
                .hint("beyond it what is read back counts as no value");
            notes.error(self.s.at(key), said.to_string(), wrong);
        }
        policy.min = policy.min.or(least);
        policy.max = policy.max.or(greatest);
    }

    /// Returns where the value is read back. Notes a point whose values cannot be the same.
    fn read_back(
        &self,
        point: NamedPoint<'_>,
        points: &PointsById<'_>,
        notes: &mut Notes,
    ) -> ReadBack {
        let at = self.s.at("read_back");
        let id = match self.s.read("read_back", plain(READ_BACK), notes) {
            None => return ReadBack::Itself,
            Some(word) if word == "itself" => return ReadBack::Itself,
            Some(word) if word == "never" => {
                if self.s.node("settle").is_some() {
                    let wrong = Expectation::wanted("no settle here")
                        .hint("settle is the time from the write until the value is read back");
                    notes.error(self.s.at("settle"), "settle with read_back: never", wrong);
                }
                return ReadBack::Never;
            }
            Some(id) => id,
        };
        let Some(other) = points.find_or(&["itself", "never"], READ_BACK, &id, at, notes) else {
            return ReadBack::Itself;
        };
        let (own, its) = (point.spec.codec.data_type(), other.spec.codec.data_type());
        if point.is_right && other.is_right && !alike(own, its) {
            let wrong = Expectation::wanted(format!(
                "a point that is {}, as {} is",
                named(own),
                point.spec.id
            ))
            .hint("what is read back is compared with what was written");
            notes.error(at, format!("{id}, {}", named(its)), wrong);
        }
        match other.index == point.index {
            true => ReadBack::Itself,
            false => ReadBack::Point(other.index),
        }
    }

    /// Warns of a value that is read back only after its command was answered.
    fn settles_in_time(&self, policy: &WritePolicy, commands: CommandSpec, notes: &mut Notes) {
        let within = commands.async_within;
        if policy.settle >= within {
            let wrong = Expectation::wanted(format!(
                "less than {}, the time in which a command is answered",
                show_time(within)
            ))
            .hint(
                "the answer says that the result is unknown; commands.answer_within can be longer",
            );
            notes.warning(self.s.at("settle"), show_time(policy.settle), wrong);
        }
    }
}

/// Returns whether values of these types can be the same.
const fn alike(a: DataType, b: DataType) -> bool {
    const fn is_number(of: DataType) -> bool {
        matches!(
            of,
            DataType::Int | DataType::Float | DataType::Double | DataType::Enum
        )
    }
    match (a, b) {
        (DataType::Bool, DataType::Bool)
        | (DataType::Text, DataType::Text)
        | (DataType::Date, DataType::Date) => true,
        _ => is_number(a) && is_number(b),
    }
}

/// Returns why this point can never be written, if it cannot: what was seen and what is wanted.
fn unwritable_reason(point: &PointSpec) -> Option<(&'static str, Expectation)> {
    let table = point.address.as_modbus().map(|address| address.table);
    match table {
        Some(Table::InputRegister) => {
            let wrong = Expectation::wanted("table: holding, or no write")
                .hint("input registers can only be read; many devices have a holding register for what they take");
            return Some(("write with table: input", wrong));
        }
        Some(Table::DiscreteInput) => {
            let wrong = Expectation::wanted("table: coil, or no write").hint(
                "discrete inputs can only be read; many devices have a coil for what they take",
            );
            return Some(("write with table: discrete", wrong));
        }
        Some(Table::Coil | Table::HoldingRegister) | None => {}
    }
    match &point.codec {
        Codec::Measure(measure) if measure.power.is_some() => {
            let wrong = Expectation::wanted("a point without scale_from, or no write")
                .hint("the device can change the factor between the moment it is read and the moment the value is written");
            Some(("write with scale_from", wrong))
        }
        _ => point.unwritable().map(|why| {
            let wrong = Expectation::wanted("no write here").hint(why.to_string());
            ("write", wrong)
        }),
    }
}

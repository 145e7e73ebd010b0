//! What the bus gave against what the platform accepted.
//!
//! Each value that a unit gives is given once, so that each value that the platform accepts
//! is one that was given, or it is invented. The oracle knows nothing of the store: it
//! knows when values were read, when the daemon was ended, and how.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use alink_gateway::base::{Mono, Now, Wall};
use alink_gateway::lab::platform::AcceptedValue;

use super::plant::{Plant, Point};

/// From the moment at which a unit looks at its registers to the moment at which the gateway
/// has the value: the turnaround, the way over a socket, and a machine with other things to
/// do. A value that was given so shortly before an end may not have been read.
pub(super) const JOURNEY: Duration = Duration::from_millis(300);
/// The time of a value may be off by so much.
const TIME_OFF: i64 = 1_000;
/// For so many milliseconds after a silence a device gets requests that only find out whether
/// its replies can be told apart; what they read is not reported.
const PROBING: i64 = 30_000;
/// The most findings that are told in words.
const MOST_REPORTED: usize = 12;

/// A value on its way through the trial: which point gave it, and which it was.
pub(super) type Key = (Point, u32);

/// What is known of a value that was given.
#[derive(Clone, Copy, Debug)]
struct GivenValue {
    at: Wall,
    /// `None` of a value that the lab has put into the store itself.
    mono: Option<Mono>,
    accepted: u32,
}

/// How a life of the daemon ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DaemonEnd {
    /// SIGKILL, or a power cut: at this time. A value that was read so long before may be
    /// gone.
    Killed(Wall, Duration),
    /// SIGTERM at the first time; the daemon had ended at the second.
    Stopped(Wall, Wall),
}

/// The first acceptance of a live value.
#[derive(Clone, Copy, Debug)]
struct Live {
    key: Key,
    /// When the value was accepted.
    at: Mono,
    /// How long that was after the answer of the unit.
    took: Duration,
}

/// What was accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Values that came as history.
    pub(crate) replayed: u64,
    /// Values that were accepted again.
    pub(crate) duplicates: u64,
    /// Values that no unit gave.
    pub(crate) invented: u64,
    /// Values that came as history after a newer one of their device.
    pub(crate) out_of_order: u64,
}

/// The oracle.
#[derive(Debug)]
pub(super) struct Oracle {
    values: BTreeMap<Key, GivenValue>,
    /// The values that were not accepted, by time.
    pending: BTreeSet<(Wall, Key)>,
    ends: Vec<DaemonEnd>,
    /// When the devices got their power back.
    powered: Vec<Wall>,
    /// By device: the time of the newest value that came as history for the first time in
    /// this life of the daemon.
    newest: BTreeMap<u16, Wall>,
    live: Vec<Live>,
    counts: Counts,
    findings: Vec<String>,
}

impl Oracle {
    pub(super) const fn new() -> Self {
        Oracle {
            values: BTreeMap::new(),
            pending: BTreeSet::new(),
            ends: Vec::new(),
            powered: Vec::new(),
            newest: BTreeMap::new(),
            live: Vec::new(),
            counts: Counts {
                replayed: 0,
                duplicates: 0,
                invented: 0,
                out_of_order: 0,
            },
            findings: Vec::new(),
        }
    }

    /// Takes note that a unit gave this value.
    pub(super) fn given(&mut self, point: Point, value: u32, at: Now) {
        self.note((point, value), at.wall, Some(at.mono));
    }

    /// Takes note that the lab has put this value into the store itself.
    pub(super) fn stored(&mut self, point: Point, value: u32, at: Wall) {
        self.note((point, value), at, None);
    }

    fn note(&mut self, key: Key, at: Wall, mono: Option<Mono>) {
        let given = GivenValue {
            at,
            mono,
            accepted: 0,
        };
        if self.values.insert(key, given).is_some() {
            self.find(format!("the bus gave {key:?} twice: a fault of the lab"));
        }
        self.pending.insert((at, key));
    }

    /// Judges a value that the platform accepted.
    pub(super) fn accepted(&mut self, plant: &Plant, value: &AcceptedValue) {
        let point = plant.point_of(&value.device, &value.property);
        let said = value.value.as_f64().filter(|v| v.fract() == 0.0);
        let said = said.filter(|v| (0.0..=f64::from(u32::MAX)).contains(v));
        let key = point.zip(said.map(|v| v as u32));
        let Some((key, given)) = key.and_then(|k| Some((k, self.values.get_mut(&k)?))) else {
            return self.invent(value, "no unit gave it");
        };
        let off = value.time.map(|t| t.as_millis() - given.at.as_millis());
        given.accepted += 1;
        let (first, at, mono) = (given.accepted == 1, given.at, given.mono);
        match off {
            None => self.invent(value, "it came without a time"),
            Some(off) if off.abs() > TIME_OFF => {
                self.invent(value, &format!("its time is off by {off} ms"));
            }
            Some(_) => {}
        }
        if value.history {
            self.counts.replayed += 1;
        }
        if !first {
            self.counts.duplicates += 1;
            return;
        }
        self.pending.remove(&(at, key));
        match (value.history, mono) {
            (true, _) => self.check_order(key.0, at, value),
            (false, Some(mono)) => self.live.push(Live {
                key,
                at: value.at,
                took: value.at.since(mono),
            }),
            (false, None) => {}
        }
    }

    fn check_order(&mut self, point: Point, at: Wall, value: &AcceptedValue) {
        let newest = self.newest.entry(point.device).or_insert(at);
        let before = *newest;
        *newest = before.max(at);
        if at < before {
            self.counts.out_of_order += 1;
            self.find(format!(
                "out of order: {} {} of {} came as history after a value of {}",
                value.device,
                value.property,
                at.as_millis(),
                before.as_millis()
            ));
        }
    }

    fn invent(&mut self, value: &AcceptedValue, why: &str) {
        self.counts.invented += 1;
        let time = value.time.map(Wall::as_millis);
        self.find(format!(
            "invented: {} {} = {} of {time:?}{}: {why}",
            value.device,
            value.property,
            value.value,
            if value.history { ", history" } else { "" },
        ));
    }

    fn find(&mut self, what: String) {
        if self.findings.len() < MOST_REPORTED {
            self.findings.push(what);
        }
    }

    /// Takes note that a life of the daemon has ended.
    pub(super) fn ended(&mut self, end: DaemonEnd) {
        self.ends.push(end);
        self.newest.clear();
    }

    /// Takes note that the devices have their power back.
    pub(super) fn powered(&mut self, at: Wall) {
        self.powered.push(at);
    }

    fn is_excused(&self, at: Wall) -> bool {
        let before = |end: Wall, by: Duration| {
            let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
            Wall::from_millis(end.as_millis().saturating_sub(by))
        };
        let after = |end: Wall| Wall::from_millis(end.as_millis() + 1_000);
        let first_answers =
            |from: &Wall| at >= *from && at.as_millis() <= from.as_millis() + PROBING;
        let is_end = |end: &DaemonEnd| match *end {
            DaemonEnd::Killed(end, window) => at >= before(end, window) && at <= after(end),
            DaemonEnd::Stopped(asked, ended) => at >= before(asked, JOURNEY) && at <= after(ended),
        };
        self.ends.iter().any(is_end) || self.powered.iter().any(first_answers)
    }

    /// Returns how many values of this time or earlier were not accepted although they
    /// should be.
    pub(super) fn missing(&self, until: Wall) -> usize {
        self.missed(until).count()
    }

    fn missed(&self, until: Wall) -> impl Iterator<Item = &(Wall, Key)> {
        let early = self.pending.iter().take_while(move |(at, _)| *at <= until);
        early.filter(|(at, _)| !self.is_excused(*at))
    }

    /// Counts what is missing for good.
    pub(super) fn judge(&mut self, until: Wall) -> u64 {
        let missed: Vec<(Wall, Key)> = self.missed(until).copied().collect();
        for (at, (point, value)) in missed.iter().take(MOST_REPORTED / 2) {
            let next = self.ends.iter().find(|end| match end {
                DaemonEnd::Killed(end, _) | DaemonEnd::Stopped(end, _) => end >= at,
            });
            self.findings.push(format!(
                "lost: m{:04} P{} = {value}, given at {}; the life ended: {next:?}",
                point.device,
                point.point,
                at.as_millis(),
            ));
        }
        missed.len() as u64
    }

    /// Returns what was accepted.
    pub(super) const fn counts(&self) -> Counts {
        self.counts
    }

    /// Returns how many values the bus gave.
    pub(super) fn all(&self) -> u64 {
        self.values.len() as u64
    }

    /// Returns how many values of this time or earlier were not accepted, for whatever
    /// reason.
    pub(super) fn unaccepted(&self, until: Wall) -> u64 {
        let early = self.pending.iter().take_while(|(at, _)| *at <= until);
        early.count() as u64
    }

    /// Returns how long live values took that were accepted within this span.
    pub(super) fn latencies(&self, from: Mono, until: Mono) -> Vec<Duration> {
        let within = self.live.iter().filter(|l| l.at >= from && l.at < until);
        within.map(|l| l.took).collect()
    }

    /// Returns how many live values were accepted for the first time since then.
    pub(super) fn live_since(&self, from: Mono) -> usize {
        let newest = self.live.iter().rev();
        newest.take_while(|l| l.at >= from).count()
    }

    /// Returns the live values that were accepted for the first time since then.
    pub(super) fn live_keys(&self, from: Mono) -> Vec<Key> {
        let newest = self.live.iter().rev().take_while(|l| l.at >= from);
        newest.map(|l| l.key).collect()
    }

    /// Returns what was found, in words.
    pub(super) fn findings(&self) -> &[String] {
        &self.findings
    }
}

#[cfg(test)]
mod tests {
    use super::super::plant::PhaseInstallation;
    use super::*;
    use alink_gateway::lab::platform::Device;
    use serde_json::json;

    const NOON: i64 = 1_790_000_000_000;
    const WINDOW: Duration = Duration::from_secs(2);

    fn at(ms: i64) -> Now {
        Now {
            wall: Wall::from_millis(NOON + ms),
            mono: Mono::from_micros(ms as u64 * 1_000),
        }
    }

    fn plant() -> Plant {
        let shape = PhaseInstallation {
            devices: 3,
            points: 2,
            interval: "1s",
            store: String::new(),
            post: String::new(),
        };
        Plant::new(shape, 1)
    }

    const POINT: Point = Point {
        device: 1,
        point: 0,
    };

    fn said(value: u32, ms: i64, history: bool) -> AcceptedValue {
        AcceptedValue {
            at: at(ms + 500).mono,
            device: Device::new("a1LabMeter00", "m0001"),
            property: "P0".into(),
            value: json!(value),
            time: Some(at(ms).wall),
            history,
        }
    }

    #[test]
    fn a_value_that_no_unit_gave_or_at_another_time_is_invented() {
        let mut oracle = Oracle::new();
        oracle.given(POINT, 7, at(0));
        for (wrong, count) in [
            (said(8, 0, false), 1),
            (said(7, 1_001, false), 2),
            (
                AcceptedValue {
                    property: "P1".into(),
                    ..said(7, 0, false)
                },
                3,
            ),
            (
                AcceptedValue {
                    time: None,
                    ..said(7, 0, false)
                },
                4,
            ),
        ] {
            oracle.accepted(&plant(), &wrong);
            assert_eq!(oracle.counts.invented, count, "{wrong:?}");
        }
        oracle.accepted(&plant(), &said(7, 0, false));
        assert_eq!(oracle.counts.invented, 4);
    }

    #[test]
    fn what_was_read_shortly_before_a_kill_may_be_gone_and_nothing_else() {
        let mut oracle = Oracle::new();
        for (value, ms) in [(1, 0), (2, 2_500), (3, 9_000)] {
            oracle.given(POINT, value, at(ms));
        }
        oracle.ended(DaemonEnd::Killed(at(4_000).wall, WINDOW));
        assert_eq!(oracle.missing(at(5_000).wall), 1);
        assert_eq!(oracle.missing(at(10_000).wall), 2);
        oracle.accepted(&plant(), &said(1, 0, true));
        oracle.accepted(&plant(), &said(1, 0, true));
        assert_eq!(oracle.missing(at(5_000).wall), 0);
        assert_eq!(
            (oracle.counts.duplicates, oracle.judge(at(10_000).wall)),
            (1, 1)
        );
    }

    #[test]
    fn at_a_stop_nothing_may_be_gone_that_had_been_read() {
        let mut oracle = Oracle::new();
        oracle.given(POINT, 1, at(3_000));
        oracle.given(POINT, 2, at(3_900));
        oracle.ended(DaemonEnd::Stopped(at(4_000).wall, at(4_500).wall));
        assert_eq!(oracle.judge(at(9_000).wall), 1);
    }

    #[test]
    fn history_comes_in_order_within_a_life() {
        let mut oracle = Oracle::new();
        for value in 0..4_u32 {
            oracle.given(POINT, value, at(i64::from(value) * 1_000));
        }
        oracle.accepted(&plant(), &said(2, 2_000, true));
        // A live value, and what was sent before, have no place in the order.
        oracle.accepted(&plant(), &said(3, 3_000, false));
        oracle.accepted(&plant(), &said(2, 2_000, true));
        assert_eq!(oracle.counts.out_of_order, 0);
        oracle.accepted(&plant(), &said(1, 1_000, true));
        assert_eq!(oracle.counts.out_of_order, 1);
        oracle.ended(DaemonEnd::Killed(at(9_000).wall, WINDOW));
        oracle.accepted(&plant(), &said(0, 0, true));
        assert_eq!(oracle.counts.out_of_order, 1);
    }
}

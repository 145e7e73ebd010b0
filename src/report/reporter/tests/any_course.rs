//! Any course of readings, sessions and losses is reported as the rules say: a model that keeps
//! every reading is asked as well.

use proptest::prelude::*;

use super::*;
use crate::report::change::is_news;

/// What happens to a point.
#[derive(Clone, Copy, Debug)]
enum Step {
    Read(i64),
    NoValue,
    Outage,
    Release,
    Online(bool),
    Time,
}

fn steps() -> impl Strategy<Value = Vec<(u64, Step)>> {
    let step = prop_oneof![
        12 => (-6i64..6).prop_map(Step::Read),
        1 => Just(Step::NoValue),
        1 => Just(Step::Outage),
        1 => Just(Step::Release),
        1 => any::<bool>().prop_map(Step::Online),
        4 => Just(Step::Time),
    ];
    let pass = prop_oneof![Just(0u64), 1u64..2500, 900u64..1100];
    prop::collection::vec((pass, step), 1..120)
}

fn reading_policies() -> impl Strategy<Value = ReadingPolicy> {
    let when = prop_oneof![
        Just(ReportWhen::All),
        Just(ReportWhen::Change),
        (1u8..5).prop_map(|by| absolute(f64::from(by))),
        (10u8..90).prop_map(|by| ReportWhen::Deadband(Deadband::Percent(f64::from(by)))),
    ];
    let min = prop_oneof![Just(0u64), 1u64..8000];
    let more = prop::option::of(0u64..8000);
    (when, min, more).prop_map(|(when, min, more)| ReadingPolicy {
        when,
        min_interval: Duration::from_millis(min),
        max_interval: more.map(|more| Duration::from_millis(min + more)),
    })
}

/// The rules as the configuration states them, looked up in the whole past of the point.
#[derive(Default)]
struct Naive {
    /// All readings, and all reports: when, and which reading.
    read: Vec<(u64, i64)>,
    reports: Vec<(u64, usize)>,
    /// Whether the next reading is reported whatever it is.
    anew: bool,
    /// Whether something was news since the last report.
    news: bool,
    uncertain: bool,
    offline_since: u64,
}

impl Naive {
    /// Returns the newest reading that came after the last report.
    fn unreported(&self) -> Option<usize> {
        let last = self.read.len().checked_sub(1)?;
        (self.reports.last()?.1 < last).then_some(last)
    }

    fn value(&self, reading: usize) -> Value {
        Value::Int(self.read[reading].1)
    }

    fn differs(&self, reading: usize) -> bool {
        let reported = self.reports.last().unwrap().1;
        self.read[reading].1 != self.read[reported].1
    }

    fn report(&mut self, now: u64, reading: usize) -> Vec<(u64, Value)> {
        self.reports.push((now, reading));
        self.news = false;
        vec![(self.read[reading].0, self.value(reading))]
    }

    /// Reports the newest reading, if the platform does not have its value.
    fn release(&mut self, now: u64) -> Vec<(u64, Value)> {
        match self.unreported() {
            Some(newest) if self.news || self.differs(newest) => self.report(now, newest),
            _ => Vec::new(),
        }
    }

    fn due(&self, policy: &ReadingPolicy, now: u64) -> bool {
        let min = policy.min_interval.as_millis() as u64;
        self.reports.last().is_some_and(|(at, _)| now >= at + min)
    }

    fn step(&mut self, policy: &ReadingPolicy, now: u64, step: Step) -> Vec<(u64, Value)> {
        match step {
            Step::Read(value) => {
                self.read.push((now, value));
                let newest = self.read.len() - 1;
                let Some((at, reported)) = self.reports.last().copied() else {
                    self.anew = false;
                    self.uncertain = false;
                    return self.report(now, newest);
                };
                let uncertain = std::mem::take(&mut self.uncertain);
                if std::mem::take(&mut self.anew) {
                    return self.report(now, newest);
                }
                let max = policy.max_interval.map(|max| max.as_millis() as u64);
                self.news |= uncertain
                    || max.is_some_and(|max| now + 500 >= at + max)
                    || is_news(policy.when, &self.value(reported), &self.value(newest));
                match self.news && self.due(policy, now) {
                    true => self.report(now, newest),
                    false => Vec::new(),
                }
            }
            Step::NoValue => {
                self.uncertain = true;
                if let Some(newest) = self.unreported() {
                    self.news |= self.differs(newest);
                }
                self.step(policy, now, Step::Time)
            }
            Step::Outage => {
                self.anew = true;
                self.release(now)
            }
            Step::Release => self.release(now),
            Step::Online(false) => {
                self.offline_since = now;
                Vec::new()
            }
            Step::Online(true) => {
                let recent = |(at, _): &(u64, usize)| *at >= self.offline_since && now - at <= 5000;
                self.anew |= !self.reports.last().is_some_and(recent);
                Vec::new()
            }
            Step::Time => match self.news && self.due(policy, now) {
                true => self.release(now),
                false => Vec::new(),
            },
        }
    }
}

impl One {
    /// Tells the reporter of a step; returns what it reports.
    fn step(&mut self, now: u64, step: Step) -> Vec<(u64, Value)> {
        match step {
            Step::Read(value) => self.read(now, Value::Int(value)),
            Step::NoValue => self.no_value(now),
            Step::Outage => self.silent(now),
            Step::Release => self.release(now),
            Step::Online(online) => {
                self.session(now, online);
                Vec::new()
            }
            Step::Time => self.time(now),
        }
    }
}

proptest! {
    #[test]
    fn any_course_is_reported_as_the_rules_say(policy in reading_policies(), steps in steps()) {
        let mut one = One::new(ReportPolicy::Some(Box::new(policy)));
        let (mut naive, mut now) = (Naive::default(), 0);
        let mut read = 0;
        for (pass, step) in steps {
            let then = now + pass;
            // The driver of the engine comes when it wants to be woken.
            while let Some(wake) = one.wake().filter(|wake| *wake <= then) {
                now = now.max(wake);
                let wanted = naive.step(&policy, now, Step::Time);
                prop_assert_eq!(one.time(now), wanted);
                prop_assert!(one.wake().is_none_or(|wake| wake > now));
            }
            now = then;
            let wanted = naive.step(&policy, now, step);
            read += u64::from(matches!(step, Step::Read(_)));
            let found = one.step(now, step);
            prop_assert_eq!(found, wanted, "{:?} at {}", step, now);
            // Each reading is reported, withheld, or given up and counted.
            let withheld = u64::from(is_kept(&one));
            let reported = naive.reports.len() as u64;
            prop_assert_eq!(read, reported + withheld + one.reporter.given_up());
        }
        // What is on the platform in the end is what was read last.
        naive.release(now);
        let _ = one.release(now);
        if let (Some((_, last)), Some((_, reported))) = (naive.read.last(), naive.reports.last()) {
            prop_assert_eq!(last, &naive.read[*reported].1);
        }
    }

    #[test]
    fn windows_hand_out_each_reading_once_and_one_value_each(
        length in 1000u64..6000,
        steps in steps(),
    ) {
        let mut one = One::new(window(length, WindowValue::Last));
        let (mut read, mut handed, mut now) = (Vec::new(), Vec::new(), 0);
        let mut regular = Vec::new();
        for (pass, step) in steps {
            while let Some(wake) = one.wake().filter(|wake| *wake <= now + pass) {
                let closed = one.time(wake);
                prop_assert_eq!(closed.len(), 1);
                regular.push(wake);
                handed.extend(closed);
            }
            now += pass;
            if let Step::Read(value) = step {
                read.push((now, Value::Int(value)));
            }
            handed.extend(one.step(now, step));
            // No window is open for longer than it may be.
            prop_assert!(one.wake().is_none_or(|end| end > now && end <= now + length));
        }
        handed.extend(one.release(now));
        for pair in regular.windows(2) {
            prop_assert!(pair[1] - pair[0] >= length || pair[0] == pair[1]);
        }
        prop_assert_eq!(read.len() as u64, handed.len() as u64 + one.reporter.given_up());
        for reading in &handed {
            prop_assert!(read.contains(reading));
        }
        // Nothing is newer than what was handed out last.
        prop_assert_eq!(read.iter().map(|r| r.0).max(), handed.iter().map(|r| r.0).max());
    }
}

/// Returns whether the only point keeps a reading that is not reported.
fn is_kept(one: &One) -> bool {
    let state = one.reporter.devices.get(&DEVICE).map(|d| &d.points[0].1);
    matches!(state, Some(State::Readings(state)) if state.is_withheld())
}

//! Few log lines for events of many devices.
//!
//! Contract: every notice goes through [`EventGrouping::admit`], which returns it if it is
//! to be logged at once, and keeps it otherwise. [`EventGrouping::due`] is called until
//! `None` whenever time has passed, and [`EventGrouping::all`] at the end. No kept notice
//! is lost: each device is named once in the output.
//!
//! When a line is cut or the cloud comes back, hundreds of devices change within seconds,
//! each for the same reason. The first few notices are logged at once, each by itself,
//! because on most days there are no more. Later notices are grouped by kind and code and
//! logged together, after five seconds, then ten, up to a minute, until a window ends
//! without a kept notice.
//!
//! The troubles of one line ([`EventGrouping::of_port`]) go on until a person mends the
//! line. Their windows begin with a minute and double up to an hour, as the gaps of a
//! single trouble do ([`super::RateLimit`]). Notices that are still kept when nothing has
//! happened for a minute are logged then, once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{DeviceId, EventKind, JournalField, Level, LogEvent, LogSubject, Mono, PortId, Wake};
use crate::base::rate_limit::QUIET;
use crate::base::text::{counted, times};

/// How many notices of a kind are logged at once, each in its own line.
const AT_ONCE: u32 = 3;
/// The first and the longest window of grouping; the windows double.
const WINDOWS: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));
/// The first and the longest window for the troubles of one port.
const WINDOWS_OF_PORT: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(3600));
/// How many groups are kept apart. Codes come from outside: past this number, notices are
/// grouped by kind alone.
const GROUPS: usize = 64;

/// The output of the grouping.
#[derive(Clone, Debug, PartialEq)]
pub enum Grouped<N> {
    /// A notice that no other notice joined.
    One(N),
    /// Several notices.
    Many(EventGroup),
}

/// Several notices of one kind, each about devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventGroup {
    about: LogSubject,
    kind: EventKind,
    level: Level,
    devices: Vec<DeviceId>,
    /// How often the event happened, summed from the counts of the notices.
    times: u64,
    /// Whether some of the notices counted earlier events as well.
    counted: bool,
    /// How long from the first notice until now.
    within: Duration,
    /// The fields of the last notice that apply to all.
    fields: Vec<(JournalField, String)>,
    /// The sentence of the last notice, where such sentences say why.
    last: Option<String>,
}

/// Groups notices about devices. See above for the contract.
#[derive(Clone, Debug)]
pub struct EventGrouping<N> {
    about: LogSubject,
    windows: (Duration, Duration),
    /// The groups by kind, and by what else their notices have in common.
    groups: BTreeMap<(EventKind, Option<String>), Group<N>>,
}

#[derive(Clone, Debug)]
struct Group<N> {
    told: u32,
    window: Duration,
    until: Mono,
    /// Whether the kept notices were logged before the end of the window.
    summed: bool,
    kept: Option<OpenGroup<N>>,
}

impl<N> Group<N> {
    /// Returns when the kept notices are logged, if there are any.
    fn due(&self) -> Option<Mono> {
        let kept = self.kept.as_ref()?;
        Some(match self.summed {
            true => self.until,
            false => self.until.min(kept.latest + QUIET),
        })
    }
}

#[derive(Clone, Debug)]
struct OpenGroup<N> {
    since: Mono,
    latest: Mono,
    level: Level,
    devices: BTreeSet<DeviceId>,
    notices: u64,
    times: u64,
    last: N,
}

impl<N> Default for EventGrouping<N> {
    fn default() -> Self {
        EventGrouping {
            about: LogSubject::Gateway,
            windows: WINDOWS,
            groups: BTreeMap::new(),
        }
    }
}

impl<N> EventGrouping<N> {
    /// Creates a grouping for the troubles of devices on one port.
    #[must_use]
    pub fn of_port(port: PortId) -> Self {
        EventGrouping {
            about: LogSubject::Port(port),
            windows: WINDOWS_OF_PORT,
            groups: BTreeMap::new(),
        }
    }
}

impl<N: LogEvent> EventGrouping<N> {
    /// Returns the notice if it is to be logged now, by itself.
    pub fn admit(&mut self, now: Mono, notice: N) -> Option<N> {
        let devices = devices_of(&notice);
        if devices.is_empty() || of_many(notice.kind()).is_none() {
            return Some(notice);
        }
        self.groups
            .retain(|_, group| group.kept.is_some() || now < group.until);
        let mut key = (notice.kind(), sort(&notice));
        if self.groups.len() >= GROUPS && !self.groups.contains_key(&key) {
            key.1 = None;
        }
        let group = self.groups.entry(key).or_insert(Group {
            told: 0,
            window: self.windows.0,
            until: now,
            summed: false,
            kept: None,
        });
        if group.told < AT_ONCE {
            group.told += 1;
            group.until = now + group.window;
            return Some(notice);
        }
        let times = field(&notice, JournalField::Times).and_then(|n| n.parse().ok());
        let times: u64 = times.unwrap_or(1);
        match &mut group.kept {
            Some(kept) => {
                kept.latest = now;
                kept.level = kept.level.min(notice.level());
                kept.devices.extend(devices);
                kept.notices += 1;
                kept.times = kept.times.saturating_add(times);
                kept.last = notice;
            }
            None => {
                group.kept = Some(OpenGroup {
                    since: now,
                    latest: now,
                    level: notice.level(),
                    devices: devices.into_iter().collect(),
                    notices: 1,
                    times,
                    last: notice,
                });
            }
        }
        None
    }

    /// Returns a group that is due.
    pub fn due(&mut self, now: Mono) -> Option<Grouped<N>> {
        let due = |group: &Group<N>| group.due().is_some_and(|at| at <= now);
        let group = self.groups.values_mut().find(|group| due(group))?;
        group.summed |= now < group.until;
        group.window = (group.window * 2).min(self.windows.1);
        group.until = now + group.window;
        group.kept.take().map(|kept| kept.told(self.about, now))
    }

    /// Returns all groups, due or not, because no notice follows.
    pub fn all(&mut self, now: Mono) -> Vec<Grouped<N>> {
        let groups = std::mem::take(&mut self.groups);
        let kept = groups.into_values().filter_map(|group| group.kept);
        kept.map(|kept| kept.told(self.about, now)).collect()
    }

    /// Returns when a group is due.
    #[must_use]
    pub fn wake_at(&self) -> Option<Wake> {
        let at = self.groups.values().filter_map(Group::due).min()?;
        Some(Wake::new(at, "devices that changed together are told"))
    }
}

impl<N: LogEvent> OpenGroup<N> {
    fn told(self, about: LogSubject, now: Mono) -> Grouped<N> {
        if self.notices == 1 {
            return Grouped::One(self.last);
        }
        let kind = self.last.kind();
        let why = matches!(of_many(kind), Some((_, LastSentence::SayWhy)));
        let about_all = [
            JournalField::Code,
            JournalField::Points,
            JournalField::Word,
            JournalField::ThingEvent,
            JournalField::Online,
        ];
        let mut fields = self.last.fields();
        fields.retain(|(name, _)| about_all.contains(name));
        Grouped::Many(EventGroup {
            about,
            kind,
            level: self.level,
            devices: self.devices.into_iter().collect(),
            times: self.times,
            counted: self.times > self.notices,
            within: now.since(self.since),
            fields,
            last: why.then(|| self.last.sentence()),
        })
    }
}

/// Whether the sentence of one notice tells more than its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LastSentence {
    SayWhy,
    SayNoMore,
}

/// Returns the words for several devices; `None` for kinds that are not grouped.
const fn of_many(kind: EventKind) -> Option<(&'static str, LastSentence)> {
    Some(match kind {
        EventKind::DeviceResponding => ("answer", LastSentence::SayNoMore),
        EventKind::DeviceSilent => ("fell silent", LastSentence::SayWhy),
        EventKind::DeviceReturned => ("answer again", LastSentence::SayNoMore),
        EventKind::DeviceHeld => (
            "fell silent again and again and are kept offline until they have been steadier",
            LastSentence::SayNoMore,
        ),
        EventKind::DeviceHoldEnded => (
            "are no longer kept offline for falling silent often",
            LastSentence::SayNoMore,
        ),
        EventKind::DeviceOnline => ("are online on the platform", LastSentence::SayNoMore),
        EventKind::DeviceOffline => ("were logged out of the platform", LastSentence::SayNoMore),
        EventKind::DeviceRefused => ("were refused by the platform", LastSentence::SayWhy),
        EventKind::DeviceSessionLost => ("have lost their session", LastSentence::SayWhy),
        EventKind::DeviceLogoutRefused => ("could not be logged out", LastSentence::SayWhy),
        EventKind::DeviceRegistered => ("got their secrets", LastSentence::SayNoMore),
        EventKind::TopologyAdded => (
            "were added to this gateway's topology",
            LastSentence::SayNoMore,
        ),
        EventKind::PlatformOrder => (
            "were changed by an order of the platform",
            LastSentence::SayWhy,
        ),
        EventKind::DeviceGarbled => (
            "answer with frames that cannot be read",
            LastSentence::SayWhy,
        ),
        EventKind::DeviceForeign => (
            "were asked, and frames came that were not the reply",
            LastSentence::SayWhy,
        ),
        EventKind::DeviceRefusesRequests => ("refuse requests", LastSentence::SayWhy),
        EventKind::DevicePointsRefused => (
            "refuse points even when they are asked for nothing else",
            LastSentence::SayWhy,
        ),
        EventKind::DeviceDatumRefused => (
            "do not have the data that some of their points are read from",
            LastSentence::SayWhy,
        ),
        EventKind::DevicePointsFail => (
            "do not answer requests for some of their points, and answer others",
            LastSentence::SayWhy,
        ),
        EventKind::DeviceLongRequestsFail => (
            "do not answer long requests, and get shorter ones",
            LastSentence::SayNoMore,
        ),
        EventKind::DeviceFloatsImplausible => (
            "send floats that are implausible throughout",
            LastSentence::SayWhy,
        ),
        EventKind::DeviceFloatsPlausible => {
            ("send plausible floats again", LastSentence::SayNoMore)
        }
        EventKind::DeviceLate => ("reply after they have been given up", LastSentence::SayWhy),
        EventKind::StoredValuesHeld => (
            "have stored values that the platform does not accept now",
            LastSentence::SayWhy,
        ),
        EventKind::ThingEventRaised => ("raised an event", LastSentence::SayWhy),
        EventKind::ThingEventRefused => {
            ("had an event refused by the platform", LastSentence::SayWhy)
        }
        EventKind::PostRefused => ("had values refused by the platform", LastSentence::SayWhy),
        _ => return None,
    })
}

/// Returns the devices that a notice is about.
fn devices_of(notice: &impl LogEvent) -> Vec<DeviceId> {
    match notice.subject() {
        LogSubject::Device(one) => vec![one],
        LogSubject::Gateway | LogSubject::Port(_) => notice.devices().to_vec(),
    }
}

/// Returns the part of the key by which notices with the same code of refusal and the same
/// points, or with the same event of the thing model, are logged together.
fn sort(notice: &impl LogEvent) -> Option<String> {
    let code = field(notice, JournalField::Code);
    if let Some(event) = field(notice, JournalField::ThingEvent) {
        return Some(event);
    }
    match (code, field(notice, JournalField::Points)) {
        (Some(code), Some(points)) => Some(format!("{code} {points}")),
        (code, points) => code.or(points),
    }
}

fn field(notice: &impl LogEvent, wanted: JournalField) -> Option<String> {
    let mut fields = notice.fields().into_iter();
    fields.find(|(name, _)| *name == wanted).map(|(_, v)| v)
}

impl LogEvent for EventGroup {
    fn level(&self) -> Level {
        self.level
    }

    fn kind(&self) -> EventKind {
        self.kind
    }

    fn subject(&self) -> LogSubject {
        self.about
    }

    fn devices(&self) -> &[DeviceId] {
        &self.devices
    }

    fn lists_devices(&self) -> bool {
        true
    }

    fn fields(&self) -> Vec<(JournalField, String)> {
        let mut fields = vec![(JournalField::Count, self.devices.len().to_string())];
        if self.times > self.devices.len() as u64 {
            fields.push((JournalField::Times, self.times.to_string()));
        }
        fields.extend(self.fields.iter().cloned());
        fields
    }

    fn sentence(&self) -> String {
        let (does, _) = of_many(self.kind).unwrap_or(("changed", LastSentence::SayNoMore));
        let mut text = match self.devices.len() {
            1 if self.counted => format!("1 device: {does}"),
            1 => format!("1 more device, {}: {does}", times(self.times)),
            // The devices that were logged each by itself are among them.
            n if self.counted => format!("{} {does}", counted(n, "device")),
            n => format!("{} {does}", counted(n, "more device")),
        };
        let online = self.fields.iter().find(|(n, _)| *n == JournalField::Online);
        if let Some((_, online)) = online {
            text.push_str(&format!(" ({online} online in all)"));
        }
        match (self.counted, self.within.as_secs().max(1)) {
            // The events are counted since each device was last logged, which is a longer time.
            (true, _) => text.push_str(&format!(", {} since last reported", times(self.times))),
            (false, seconds @ ..120) => text.push_str(&format!(" within {seconds} s")),
            (false, seconds) => text.push_str(&format!(" within {} min", seconds / 60)),
        }
        if let Some(last) = &self.last {
            text.push_str(&format!("; of the last: {last}"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct TestNotice(u32, EventKind);

    impl LogEvent for TestNotice {
        fn level(&self) -> Level {
            Level::Warn
        }
        fn kind(&self) -> EventKind {
            self.1
        }
        fn subject(&self) -> LogSubject {
            LogSubject::Device(DeviceId(self.0))
        }
        fn sentence(&self) -> String {
            format!("device {} fell", self.0)
        }
    }

    fn s(seconds: u64) -> Mono {
        Mono::from_micros(seconds * 1_000_000)
    }

    fn silent(n: u32) -> TestNotice {
        TestNotice(n, EventKind::DeviceSilent)
    }

    #[test]
    fn few_are_told_at_once_each_in_its_own_words() {
        let mut grouping = EventGrouping::default();
        for n in 0..AT_ONCE {
            assert_eq!(grouping.admit(s(0), silent(n)), Some(silent(n)));
        }
        assert_eq!(grouping.wake_at(), None);
    }

    #[test]
    fn a_thousand_that_fall_together_are_a_handful_of_lines_and_each_is_named() {
        let mut grouping = EventGrouping::default();
        let (mut lines, mut named) = (0, BTreeSet::new());
        for n in 0..2000u32 {
            let now = s(u64::from(n) / 50);
            if let Some(one) = grouping.admit(now, silent(n)) {
                lines += 1;
                named.insert(DeviceId(one.0));
            }
            while let Some(told) = grouping.due(now) {
                lines += 1;
                let Grouped::Many(group) = told else {
                    panic!("{told:?}")
                };
                named.extend(group.devices());
            }
        }
        let rest = grouping.all(s(40));
        lines += rest.len();
        for told in rest {
            let Grouped::Many(group) = told else {
                panic!("{told:?}")
            };
            named.extend(group.devices());
        }
        assert!(lines <= 8, "{lines} lines");
        assert_eq!(named.len(), 2000);
    }

    #[test]
    fn one_who_is_left_over_is_told_in_its_own_words() {
        let mut grouping = EventGrouping::default();
        for n in 0..=AT_ONCE {
            grouping.admit(s(0), silent(n));
        }
        assert_eq!(grouping.wake_at().map(|w| w.at), Some(s(5)));
        assert_eq!(grouping.due(s(4)), None);
        assert_eq!(grouping.due(s(5)), Some(Grouped::One(silent(AT_ONCE))));
        assert_eq!(grouping.due(s(5)), None);
    }

    #[test]
    fn after_a_quiet_window_the_next_ones_are_told_at_once_again() {
        let mut grouping = EventGrouping::default();
        for n in 0..10 {
            grouping.admit(s(0), silent(n));
        }
        assert!(grouping.due(s(5)).is_some());
        assert_eq!(grouping.admit(s(14), silent(1)), None, "its window is ten");
        assert!(grouping.due(s(15)).is_some());
        assert_eq!(grouping.admit(s(36), silent(1)), Some(silent(1)));
    }

    #[test]
    fn kinds_that_are_not_grouped_pass() {
        let mut grouping = EventGrouping::default();
        for n in 0..10 {
            let empty = TestNotice(n, EventKind::DeviceNoValue);
            assert_eq!(grouping.admit(s(0), empty.clone()), Some(empty));
        }
    }

    #[test]
    fn kinds_do_not_use_up_each_others_lines() {
        let mut grouping = EventGrouping::default();
        for n in 0..10 {
            grouping.admit(s(0), silent(n));
        }
        let back = TestNotice(3, EventKind::DeviceReturned);
        assert_eq!(grouping.admit(s(0), back.clone()), Some(back));
    }

    /// A repeated notice, with how often it happened.
    #[derive(Clone, Debug, PartialEq)]
    struct Again(u32, u64);

    impl LogEvent for Again {
        fn level(&self) -> Level {
            Level::Warn
        }
        fn kind(&self) -> EventKind {
            EventKind::DeviceGarbled
        }
        fn subject(&self) -> LogSubject {
            LogSubject::Device(DeviceId(self.0))
        }
        fn fields(&self) -> Vec<(JournalField, String)> {
            vec![(JournalField::Times, self.1.to_string())]
        }
        fn sentence(&self) -> String {
            format!("spoiled, {} times", self.1)
        }
    }

    #[test]
    fn the_troubles_of_a_port_are_told_ever_more_rarely_and_none_is_lost() {
        let mut grouping = EventGrouping::of_port(PortId(7));
        let (mut lines, mut told_times) = (Vec::new(), 0);
        let mut hear = |second: u64, told: Grouped<Again>| {
            let Grouped::Many(group) = told else {
                panic!("{told:?}")
            };
            assert_eq!(group.subject(), LogSubject::Port(PortId(7)));
            lines.push(second);
            told_times += group.times;
        };
        // One of 31 devices each second, for six hours.
        let mut alone = 0;
        for second in 0..6 * 3600 {
            let again = Again(u32::try_from(second % 31).unwrap(), 2);
            if grouping.admit(s(second), again).is_some() {
                alone += 1;
            }
            while let Some(told) = grouping.due(s(second)) {
                hear(second, told);
            }
        }
        for told in grouping.all(s(6 * 3600)) {
            hear(6 * 3600, told);
        }
        assert_eq!(alone, AT_ONCE);
        let first = [62, 182, 422, 902, 1862, 3782, 7382, 10982, 14582, 18182];
        assert_eq!(lines, [&first[..], &[6 * 3600]].concat());
        assert_eq!(told_times + 3 * 2, 6 * 3600 * 2);
    }

    #[test]
    fn what_is_left_of_a_trouble_that_is_over_is_told_after_a_minute_and_once() {
        let mut grouping = EventGrouping::of_port(PortId(7));
        let mut lines = Vec::new();
        let mut troubled = |seconds: std::ops::Range<u64>, step: usize, quiet: u64| {
            let end = seconds.end + quiet;
            let mut hits = seconds.step_by(step).peekable();
            for second in *hits.peek().unwrap()..end {
                if hits.next_if_eq(&second).is_some() {
                    grouping.admit(s(second), Again(7, 1));
                }
                while grouping.due(s(second)).is_some() {
                    lines.push(second);
                }
            }
        };
        // For 1,000 seconds, and then no more.
        troubled(0..1001, 1, 500);
        // A trouble that begins again every 90 s is logged no more often for that.
        troubled(1501..5001, 90, 1);
        assert_eq!(lines[..5], [62, 182, 422, 902, 1060]);
        let later = &lines[5..];
        assert!(later.len() <= 2, "{later:?}");
    }

    #[test]
    fn what_is_a_count_already_is_added_up() {
        let mut grouping = EventGrouping::of_port(PortId(7));
        for n in 0..31 {
            grouping.admit(s(0), Again(n, 60));
        }
        let Some(Grouped::Many(group)) = grouping.due(s(60)) else {
            panic!("no group was reported");
        };
        assert_eq!(
            group.sentence(),
            "28 devices answer with frames that cannot be read, 1,680 times since last reported; \
             of the last: spoiled, 60 times"
        );
        let fields = [(JournalField::Count, "28"), (JournalField::Times, "1680")];
        assert_eq!(group.fields(), fields.map(|(n, v)| (n, v.to_owned())));
    }

    #[test]
    fn a_group_says_how_many_what_and_why_the_last() {
        let mut grouping = EventGrouping::default();
        for n in 0..31 {
            grouping.admit(s(0), silent(n));
        }
        let Some(Grouped::Many(group)) = grouping.due(s(5)) else {
            panic!("no group was reported");
        };
        assert_eq!(
            group.sentence(),
            "28 more devices fell silent within 5 s; of the last: device 30 fell"
        );
        assert_eq!(group.fields(), [(JournalField::Count, "28".to_owned())]);
    }
}

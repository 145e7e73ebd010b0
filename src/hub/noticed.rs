//! Log events that still stand: what the journal said is wrong, and has not taken back.
//!
//! They decide nothing; `snapshot.rs` shows them, and those who look for causes read them. Of
//! each kind the newest is kept for the gateway, for each port and for each device, so they are
//! bounded by the configuration. A suspicion that nothing takes back lapses unless it is told
//! again.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::{DeviceId, EventKind, LogEvent, LogSubject, Mono, Now, PortId};
use crate::cloud::CloudLogEvent;
use crate::control::picture::StandingNotice;
use crate::fleet::FleetLogEvent;
use crate::spec::Changes;

/// What an event is about, in the order in which events are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Gateway,
    Port(PortId),
    Device(DeviceId),
}

impl From<LogSubject> for Subject {
    fn from(about: LogSubject) -> Self {
        match about {
            LogSubject::Gateway => Subject::Gateway,
            LogSubject::Port(port) => Subject::Port(port),
            LogSubject::Device(device) => Subject::Device(device),
        }
    }
}

/// The events that stand.
#[derive(Clone, Debug, Default)]
pub(super) struct StandingEvents {
    all: BTreeMap<(Subject, EventKind), (String, Mono)>,
}

/// Returns the kinds of events that an event of this kind takes back.
const fn taken_back_by(kind: EventKind) -> &'static [EventKind] {
    match kind {
        EventKind::PortIntervalsKept => &[EventKind::PortIntervalsStretched],
        EventKind::DevicePointsBack => &[
            EventKind::DevicePointsRefused,
            EventKind::DeviceDatumRefused,
            EventKind::DevicePointsFail,
        ],
        EventKind::DeviceHoldEnded => &[EventKind::DeviceHeld],
        EventKind::ClockKnown => &[EventKind::ClockUnknown],
        // Each opening tells anew what it finds; the adapter may be another one.
        EventKind::PortOpened => &[EventKind::PortSettingsDiffer, EventKind::PortBytesHeldBack],
        _ => &[],
    }
}

/// How long a suspicion stands that is told again each hour as long as there is reason for it:
/// that hour, and the time in which it is gathered and reported.
const SUSPECTED_FOR: Duration = Duration::from_secs(70 * 60);

/// Returns how long an event of this kind stands if nothing takes it back; `None`: for ever.
const fn stands_for(kind: EventKind) -> Option<Duration> {
    match kind {
        EventKind::DeviceAddressShared | EventKind::DeviceOtherMaster => Some(SUSPECTED_FOR),
        _ => None,
    }
}

impl StandingEvents {
    /// Takes in a lasting event of a port or of a device on it.
    pub(super) fn on_field(&mut self, now: Mono, about: LogSubject, kind: EventKind, words: &str) {
        self.note(now, about.into(), kind, words.to_owned());
    }

    /// Takes in a log event of the fleet: of these only that a device is kept offline, and its
    /// end. All others are states that are shown anyway.
    pub(super) fn on_fleet(&mut self, now: Mono, event: &FleetLogEvent) {
        if matches!(
            event,
            FleetLogEvent::Held { .. } | FleetLogEvent::LetGo { .. }
        ) {
            self.note(now, event.subject().into(), event.kind(), event.sentence());
        }
    }

    /// Takes in a log event of the platform's side. Refusals of devices are not among those that
    /// are kept: the state of the device shows them.
    pub(super) fn on_cloud(&mut self, now: Now, event: &CloudLogEvent) {
        let is_lasting = match event {
            // Log-ins are throttled at each start of a large installation, and come all the same.
            CloudLogEvent::Throttled { what, .. } => *what == "post",
            CloudLogEvent::SubscribeRefused { fatal: true, .. }
            | CloudLogEvent::Full { .. }
            | CloudLogEvent::Unanswered { .. }
            | CloudLogEvent::QueueFull { .. }
            | CloudLogEvent::PostRefused { .. }
            | CloudLogEvent::Clock(_) => true,
            CloudLogEvent::Over { of, .. } => {
                self.all.remove(&(of.subject().into(), of.kind()));
                false
            }
            _ => false,
        };
        if is_lasting {
            self.note(
                now.mono,
                event.subject().into(),
                event.kind(),
                event.sentence(),
            );
        }
    }

    fn note(&mut self, now: Mono, subject: Subject, kind: EventKind, words: String) {
        let over = taken_back_by(kind);
        for kind in over {
            self.all.remove(&(subject, *kind));
        }
        if over.is_empty() {
            self.all.insert((subject, kind), (words, now));
        }
    }

    /// Drops the events about what is no longer there, or is no longer the same.
    pub(super) fn respec(&mut self, changes: &Changes) {
        let (devices, ports) = (&changes.devices, &changes.ports);
        self.all.retain(|(subject, _), _| match subject {
            Subject::Gateway => !changes.cloud.connection,
            Subject::Port(port) => !ports.added.contains(port) && !ports.changed.contains(port),
            Subject::Device(device) => {
                !devices.added.contains(device)
                    && !devices.removed.contains(device)
                    && !devices.changed.contains_key(device)
            }
        });
    }

    /// Returns the events about this that stand, as people ask for them.
    pub(super) fn of(&self, now: Mono, about: LogSubject) -> Vec<StandingNotice> {
        let subject = Subject::from(about);
        let all = self.all.range((subject, EventKind::ServiceStarted)..);
        let own = all.take_while(|((of, _), _)| *of == subject);
        let own = own.filter(|((_, kind), (_, at))| {
            stands_for(*kind).is_none_or(|limit| now.since(*at) < limit)
        });
        let picture =
            |((_, kind), (what, at)): (&(Subject, EventKind), &(String, Mono))| StandingNotice {
                event: kind.name().to_owned(),
                what: what.clone(),
                ago_ms: u64::try_from(now.since(*at).as_millis()).unwrap_or(u64::MAX),
            };
        own.map(picture).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_stands_until_another_takes_it_back_and_each_subject_has_its_own() {
        let mut standing = StandingEvents::default();
        let at = |s: u64| Mono::from_micros(s * 1_000_000);
        let (one, other) = (LogSubject::Port(PortId(0)), LogSubject::Port(PortId(1)));
        let device = LogSubject::Device(DeviceId(0));
        for about in [one, other] {
            standing.on_field(at(1), about, EventKind::PortIntervalsStretched, "slow");
        }
        standing.on_field(at(2), one, EventKind::PortIntervalsStretched, "slower");
        standing.on_field(at(2), device, EventKind::DevicePointsFail, "fails");
        let kinds = |standing: &StandingEvents, about| {
            let all = standing.of(at(3), about).into_iter();
            all.map(|n| (n.event, n.what, n.ago_ms)).collect::<Vec<_>>()
        };
        let stretched = "port-intervals-stretched".to_owned();
        assert_eq!(
            kinds(&standing, one),
            [(stretched.clone(), "slower".to_owned(), 1000)]
        );
        standing.on_field(at(4), one, EventKind::PortIntervalsKept, "well");
        assert_eq!(kinds(&standing, one), []);
        assert_eq!(kinds(&standing, other).len(), 1);
        assert_eq!(kinds(&standing, device).len(), 1);
        assert_eq!(kinds(&standing, LogSubject::Gateway), []);
        standing.on_field(at(5), device, EventKind::DevicePointsBack, "back");
        assert_eq!(kinds(&standing, device), []);
    }

    #[test]
    fn an_opening_takes_back_what_was_found_at_the_one_before() {
        let mut standing = StandingEvents::default();
        let port = LogSubject::Port(PortId(0));
        let kinds = [EventKind::PortSettingsDiffer, EventKind::PortBytesHeldBack];
        for kind in kinds {
            standing.on_field(Mono::from_micros(1), port, kind, "found");
        }
        assert_eq!(standing.of(Mono::from_micros(2), port).len(), 2);
        standing.on_field(Mono::from_micros(3), port, EventKind::PortOpened, "open");
        assert_eq!(standing.of(Mono::from_micros(4), port), []);
    }

    #[test]
    fn a_suspicion_that_is_not_told_again_lapses() {
        let mut standing = StandingEvents::default();
        let minute = |n: u64| Mono::from_micros(n * 60_000_000);
        let device = LogSubject::Device(DeviceId(0));
        for kind in [EventKind::DeviceAddressShared, EventKind::DeviceOtherMaster] {
            standing.on_field(minute(0), device, kind, "twice");
        }
        standing.on_field(minute(0), device, EventKind::DevicePointsFail, "fails");
        assert_eq!(standing.of(minute(69), device).len(), 3);
        assert_eq!(standing.of(minute(70), device).len(), 1);
        standing.on_field(minute(61), device, EventKind::DeviceAddressShared, "twice");
        assert_eq!(standing.of(minute(70), device).len(), 2);
    }
}

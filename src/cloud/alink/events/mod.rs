//! The log events of this room.

pub mod counters;
pub(crate) mod messages;
pub(crate) mod outbox;

use std::time::Duration;

use crate::base::{
    DeviceId, EventKind, JournalField, Level, LinkDown, LogEvent, LogSubject, LogoutReason,
};

use crate::cloud::alink::clock::events::ClockNews;
use crate::cloud::alink::remote_config::events::RemoteConfigLogEvent;
use crate::cloud::alink::topology::events::TopologyEvent;
use crate::cloud::alink::wire::code::Code;

/// A log event about the cloud.
#[derive(Clone, Debug, PartialEq)]
pub enum CloudLogEvent {
    /// The platform accepted our connection.
    Connected {
        /// How many attempts failed before.
        after: u32,
    },
    /// An attempt to connect failed, or the connection ended.
    Disconnected {
        /// The reason.
        why: LinkDown,
        /// How long the connection had been up; `None` for a failed attempt.
        lasted: Option<Duration>,
        /// How often it happened since the last log event.
        times: u64,
        /// How long until the next attempt.
        retry_in: Duration,
    },
    /// Connections end soon after they begin, again and again.
    TakeoverSuspected {
        /// How many such sessions in a row.
        sessions: u32,
    },
    /// The broker refused subscriptions.
    SubscribeRefused {
        /// Topic filters.
        filters: Vec<String>,
        /// Whether replies can still arrive.
        fatal: bool,
    },
    /// The platform did not say which values it desires a device to hold, or did not delete
    /// those that the device has taken.
    DesiredFailed {
        /// The device.
        device: DeviceId,
        /// Whether values were to be deleted.
        is_deletion: bool,
        /// The platform's code; `None` if there was no answer.
        code: Option<Code>,
        /// The platform's words.
        message: String,
    },
    /// These devices are online now.
    LoggedIn {
        /// The devices.
        devices: Vec<DeviceId>,
        /// The names of the devices, for the journal.
        names: String,
        /// How many are online in all.
        online: usize,
    },
    /// These devices are offline now, as we asked.
    LoggedOut {
        /// The devices.
        devices: Vec<DeviceId>,
        /// The names of the devices, for the journal.
        names: String,
        /// How many are online in all.
        online: usize,
        /// The reason; for several devices the figures are those of the first.
        reason: LogoutReason,
        /// The reason of each device, with its own figures.
        each: Vec<LogoutReason>,
    },
    /// The platform refused one device; the device is tried again later, alone.
    DeviceRefused {
        /// The device.
        device: DeviceId,
        /// The platform's code.
        code: Code,
        /// The platform's words.
        message: String,
        /// What was refused: `log-in`, `registration` or `topology`.
        what: &'static str,
        /// Whether the platform ended the device's session of its own accord.
        kicked: bool,
        /// How long until the next attempt.
        retry_in: Duration,
        /// How many refusals in a row.
        times: u32,
    },
    /// The platform says the device has no session although we logged it in.
    SessionLost {
        /// The device.
        device: DeviceId,
    },
    /// A log-out was refused for one device.
    LogoutRefused {
        /// The device.
        device: DeviceId,
        /// The platform's code.
        code: Code,
        /// The platform's words.
        message: String,
        /// How long until the next attempt.
        retry_in: Duration,
    },
    /// The platform refused a message as malformed: our bug.
    RequestRefused {
        /// The platform's words.
        message: String,
        /// How many devices the message was about.
        devices: usize,
    },
    /// The platform throttles us (429).
    Throttled {
        /// What was throttled: `log-in`, `log-out` or `post`.
        what: &'static str,
        /// How long until one small request is tried.
        wait: Duration,
    },
    /// The platform takes no more sub-devices (428), or the configured limit is
    /// reached.
    Full {
        /// How many devices are online now.
        online: usize,
        /// Within this time one device more is tried; zero if the limit is ours.
        wait: Duration,
        /// Whether the limit is ours.
        ours: bool,
    },
    /// The platform has trouble of its own (500, 6313, …).
    Trouble {
        /// The platform's code.
        code: Code,
        /// The platform's words.
        message: String,
        /// How often it happened since the last log event.
        times: u64,
    },
    /// Requests stay unanswered.
    Unanswered {
        /// Which kind: `log-in`, `log-out` or `post`.
        what: &'static str,
        /// How often it happened since the last log event.
        times: u64,
    },
    /// A message from the cloud could not be read.
    Malformed {
        /// The topic of the message.
        topic: String,
        /// What was wrong, and the first bytes.
        why: String,
        /// How often it happened on this topic since the last log event.
        times: u64,
    },
    /// The memory queue is full; the oldest readings are dropped.
    QueueFull {
        /// Readings dropped since the last log event.
        dropped: u64,
    },
    /// The platform refused a device's readings; they are dropped.
    PostRefused {
        /// The device.
        device: DeviceId,
        /// The platform's code.
        code: Code,
        /// The platform's words.
        message: String,
        /// Readings dropped since the last log event.
        dropped: u64,
    },
    /// The platform refused an event of the thing model by itself; it is dropped.
    ThingEventRefused {
        /// The device, if it is still configured.
        device: Option<DeviceId>,
        /// The identity of the device.
        who: String,
        /// The identifier of the event.
        event: String,
        /// The platform's code.
        code: Code,
        /// The platform's words.
        message: String,
        /// How many of these events were dropped since the last log event.
        dropped: u64,
    },
    /// Too many events of the thing model wait; the oldest are dropped.
    ThingEventsDropped {
        /// Events dropped since the last log event.
        dropped: u64,
    },
    /// The platform refused stored values of a device that is not configured any more; they
    /// are dropped.
    StoredValuesRefused {
        /// The identity of the device.
        who: String,
        /// The platform's code.
        code: Code,
        /// The platform's words.
        message: String,
        /// Values dropped since the last log event.
        dropped: u64,
    },
    /// The platform does not accept a device's stored values for now; they stay in the store.
    StoredValuesHeld {
        /// The device, if it is still configured.
        device: Option<DeviceId>,
        /// The identity of the device.
        who: String,
        /// The platform's code; `None` if it does not answer.
        code: Option<Code>,
        /// The platform's words.
        message: String,
        /// When the values are sent again.
        retry_in: Duration,
    },
    /// One value is larger than a whole message may be; it is dropped.
    TooLarge {
        /// The device.
        device: DeviceId,
        /// The property.
        property: String,
        /// The size of the value in bytes.
        bytes: usize,
    },
    /// What time it is, or that the time is not known.
    Clock(ClockNews),
    /// A log event about a configuration from the platform.
    Remote(RemoteConfigLogEvent),
    /// The gateway stops: readings that are not on the platform are lost.
    Stopped {
        /// Devices whose log-out was not confirmed.
        unconfirmed: usize,
        /// Readings and events not delivered.
        readings: usize,
    },
    /// A topology event: something about which devices belong to the gateway.
    Topology(TopologyEvent),
    /// A log event that was repeated ever more rarely has not happened for a while.
    Over {
        /// The event as it was last reported.
        of: Box<CloudLogEvent>,
        /// How often it happened in all.
        total: u64,
        /// From the first time to the last.
        lasted: Duration,
    },
}

/// The key of a series of like log events: their kind, the device, and what else they are
/// about.
pub(crate) type SeriesKey = (EventKind, Option<DeviceId>, String);

impl CloudLogEvent {
    /// Returns how often it happened, or how much it concerns, since the last log event.
    pub(crate) const fn count(&self) -> u64 {
        match self {
            CloudLogEvent::Disconnected { times, .. }
            | CloudLogEvent::Trouble { times, .. }
            | CloudLogEvent::Unanswered { times, .. }
            | CloudLogEvent::Malformed { times, .. }
            | CloudLogEvent::Topology(
                TopologyEvent::Stranger { times, .. } | TopologyEvent::Unsupported { times, .. },
            ) => *times,
            CloudLogEvent::QueueFull { dropped }
            | CloudLogEvent::PostRefused { dropped, .. }
            | CloudLogEvent::ThingEventRefused { dropped, .. }
            | CloudLogEvent::ThingEventsDropped { dropped }
            | CloudLogEvent::StoredValuesRefused { dropped, .. } => *dropped,
            CloudLogEvent::Clock(ClockNews::Dropped { readings }) => *readings,
            _ => 1,
        }
    }

    /// Returns whether its text names the count.
    pub(crate) const fn is_counted(&self) -> bool {
        matches!(
            self,
            CloudLogEvent::Disconnected { .. }
                | CloudLogEvent::Trouble { .. }
                | CloudLogEvent::Unanswered { .. }
                | CloudLogEvent::Malformed { .. }
                | CloudLogEvent::Topology(
                    TopologyEvent::Stranger { .. } | TopologyEvent::Unsupported { .. }
                )
                | CloudLogEvent::QueueFull { .. }
                | CloudLogEvent::PostRefused { .. }
                | CloudLogEvent::ThingEventRefused { .. }
                | CloudLogEvent::ThingEventsDropped { .. }
                | CloudLogEvent::StoredValuesRefused { .. }
                | CloudLogEvent::Clock(ClockNews::Dropped { .. })
        )
    }

    /// Returns the same event with another count, where it has one.
    pub(crate) fn counted(mut self, n: u64) -> CloudLogEvent {
        match &mut self {
            CloudLogEvent::Disconnected { times, .. }
            | CloudLogEvent::Trouble { times, .. }
            | CloudLogEvent::Unanswered { times, .. }
            | CloudLogEvent::Malformed { times, .. }
            | CloudLogEvent::Topology(
                TopologyEvent::Stranger { times, .. } | TopologyEvent::Unsupported { times, .. },
            ) => {
                *times = n;
            }
            CloudLogEvent::QueueFull { dropped }
            | CloudLogEvent::PostRefused { dropped, .. }
            | CloudLogEvent::ThingEventRefused { dropped, .. }
            | CloudLogEvent::ThingEventsDropped { dropped }
            | CloudLogEvent::StoredValuesRefused { dropped, .. } => *dropped = n,
            CloudLogEvent::Clock(ClockNews::Dropped { readings }) => *readings = n,
            _ => {}
        }
        self
    }

    /// Returns the series of like events that this event belongs to.
    pub(crate) fn series(&self) -> SeriesKey {
        let device = match self.subject() {
            LogSubject::Device(device) => Some(device),
            LogSubject::Gateway | LogSubject::Port(_) => None,
        };
        let of = match self {
            CloudLogEvent::Unanswered { what, .. } | CloudLogEvent::Throttled { what, .. } => {
                (*what).to_owned()
            }
            CloudLogEvent::Malformed { topic, .. } => topic.clone(),
            CloudLogEvent::Full { ours, .. } => ours.to_string(),
            CloudLogEvent::ThingEventRefused { who, event, .. } => format!("{who} {event}"),
            CloudLogEvent::StoredValuesRefused { who, .. }
            | CloudLogEvent::StoredValuesHeld {
                device: None, who, ..
            } => who.clone(),
            _ => String::new(),
        };
        (self.kind(), device, of)
    }
}

impl LogEvent for CloudLogEvent {
    fn level(&self) -> Level {
        match self {
            CloudLogEvent::Topology(event) => event.level(),
            CloudLogEvent::Connected { .. }
            | CloudLogEvent::LoggedIn { .. }
            | CloudLogEvent::LoggedOut { .. }
            | CloudLogEvent::Over { .. } => Level::Info,
            CloudLogEvent::Disconnected {
                why: LinkDown::Ours,
                ..
            } => Level::Info,
            CloudLogEvent::Disconnected {
                why: LinkDown::Refused(2 | 4 | 5),
                ..
            } => Level::Error,
            CloudLogEvent::Clock(news) => news.level(),
            CloudLogEvent::Remote(news) => news.level(),
            CloudLogEvent::SubscribeRefused { fatal: true, .. }
            | CloudLogEvent::TakeoverSuspected { .. }
            | CloudLogEvent::RequestRefused { .. }
            | CloudLogEvent::Full { .. }
            | CloudLogEvent::QueueFull { .. }
            | CloudLogEvent::PostRefused { .. }
            | CloudLogEvent::ThingEventRefused { .. }
            | CloudLogEvent::ThingEventsDropped { .. }
            | CloudLogEvent::StoredValuesRefused { .. }
            | CloudLogEvent::TooLarge { .. } => Level::Error,
            CloudLogEvent::DeviceRefused { code, .. } => match code.0 {
                401
                | 427
                | 460
                | 521
                | 527
                | 6100
                | 6250
                | 6287..=6289
                | 6292
                | 6400
                | 6402
                | 6600
                | 6619 => Level::Error,
                _ => Level::Warn,
            },
            CloudLogEvent::Stopped {
                unconfirmed: 0,
                readings: 0,
            } => Level::Info,
            CloudLogEvent::Disconnected { .. }
            | CloudLogEvent::SubscribeRefused { .. }
            | CloudLogEvent::SessionLost { .. }
            | CloudLogEvent::LogoutRefused { .. }
            | CloudLogEvent::Throttled { .. }
            | CloudLogEvent::Trouble { .. }
            | CloudLogEvent::Unanswered { .. }
            | CloudLogEvent::Malformed { .. }
            | CloudLogEvent::StoredValuesHeld { .. }
            | CloudLogEvent::DesiredFailed { .. }
            | CloudLogEvent::Stopped { .. } => Level::Warn,
        }
    }

    fn kind(&self) -> EventKind {
        match self {
            CloudLogEvent::Connected { .. } => EventKind::CloudConnected,
            CloudLogEvent::Disconnected { lasted: None, .. } => EventKind::CloudConnectFailed,
            CloudLogEvent::Disconnected { .. } => EventKind::CloudDisconnected,
            CloudLogEvent::TakeoverSuspected { .. } => EventKind::CloudTakeoverSuspected,
            CloudLogEvent::SubscribeRefused { .. } => EventKind::CloudSubscribeRefused,
            CloudLogEvent::DesiredFailed { .. } => EventKind::DesiredFailed,
            CloudLogEvent::LoggedIn { .. } => EventKind::DeviceOnline,
            CloudLogEvent::LoggedOut { .. } => EventKind::DeviceOffline,
            CloudLogEvent::DeviceRefused { .. } => EventKind::DeviceRefused,
            CloudLogEvent::SessionLost { .. } => EventKind::DeviceSessionLost,
            CloudLogEvent::LogoutRefused { .. } => EventKind::DeviceLogoutRefused,
            CloudLogEvent::RequestRefused { .. } => EventKind::CloudRequestRefused,
            CloudLogEvent::Throttled { .. } => EventKind::CloudThrottled,
            CloudLogEvent::Full { .. } => EventKind::CloudQuotaFull,
            CloudLogEvent::Trouble { .. } => EventKind::CloudRequestFailed,
            CloudLogEvent::Unanswered { .. } => EventKind::CloudUnanswered,
            CloudLogEvent::Malformed { .. } => EventKind::CloudMalformed,
            CloudLogEvent::QueueFull { .. } => EventKind::PostQueueFull,
            CloudLogEvent::PostRefused { .. } => EventKind::PostRefused,
            CloudLogEvent::ThingEventRefused { .. } => EventKind::ThingEventRefused,
            CloudLogEvent::ThingEventsDropped { .. } => EventKind::ThingEventsDropped,
            CloudLogEvent::StoredValuesRefused { .. } => EventKind::StoredValuesRefused,
            CloudLogEvent::StoredValuesHeld { .. } => EventKind::StoredValuesHeld,
            CloudLogEvent::TooLarge { .. } => EventKind::PostTooLarge,
            CloudLogEvent::Clock(news) => news.kind(),
            CloudLogEvent::Remote(news) => news.kind(),
            CloudLogEvent::Stopped { .. } => EventKind::CloudStopped,
            CloudLogEvent::Topology(event) => event.kind(),
            CloudLogEvent::Over { .. } => EventKind::RepeatsEnded,
        }
    }

    fn subject(&self) -> LogSubject {
        match self {
            CloudLogEvent::LoggedIn { devices, .. } | CloudLogEvent::LoggedOut { devices, .. } => {
                match devices[..] {
                    [one] => LogSubject::Device(one),
                    _ => LogSubject::Gateway,
                }
            }
            CloudLogEvent::DeviceRefused { device, .. }
            | CloudLogEvent::SessionLost { device }
            | CloudLogEvent::LogoutRefused { device, .. }
            | CloudLogEvent::PostRefused { device, .. }
            | CloudLogEvent::DesiredFailed { device, .. }
            | CloudLogEvent::StoredValuesHeld {
                device: Some(device),
                ..
            }
            | CloudLogEvent::ThingEventRefused {
                device: Some(device),
                ..
            }
            | CloudLogEvent::TooLarge { device, .. } => LogSubject::Device(*device),
            CloudLogEvent::Topology(event) => event.subject(),
            CloudLogEvent::Over { of, .. } => of.subject(),
            _ => LogSubject::Gateway,
        }
    }

    fn devices(&self) -> &[DeviceId] {
        match self {
            CloudLogEvent::LoggedIn { devices, .. } | CloudLogEvent::LoggedOut { devices, .. } => {
                match devices[..] {
                    // The field `about` names the device.
                    [_] => &[],
                    _ => devices,
                }
            }
            CloudLogEvent::Topology(event) => event.devices(),
            _ => &[],
        }
    }

    fn lists_devices(&self) -> bool {
        let moved = matches!(
            self,
            CloudLogEvent::LoggedIn { .. } | CloudLogEvent::LoggedOut { .. }
        );
        moved && !self.devices().is_empty()
    }

    fn fields(&self) -> Vec<(JournalField, String)> {
        match self {
            CloudLogEvent::LoggedIn {
                devices, online, ..
            } => vec![
                (JournalField::Count, devices.len().to_string()),
                (JournalField::Online, online.to_string()),
            ],
            CloudLogEvent::LoggedOut {
                devices,
                online,
                reason,
                ..
            } => {
                let mut fields = vec![
                    (JournalField::Count, devices.len().to_string()),
                    (JournalField::Online, online.to_string()),
                    (JournalField::Reason, reason.word().to_owned()),
                ];
                if let ([_], Some((missed, quiet))) = (&devices[..], reason.figures()) {
                    fields.push((JournalField::Missed, missed.to_string()));
                    fields.push((JournalField::QuietMs, quiet.as_millis().to_string()));
                }
                fields
            }
            CloudLogEvent::DeviceRefused { code, times, .. } => {
                vec![
                    (JournalField::Code, code.to_string()),
                    (JournalField::Times, times.to_string()),
                ]
            }
            CloudLogEvent::LogoutRefused { code, .. } => {
                vec![(JournalField::Code, code.to_string())]
            }
            CloudLogEvent::StoredValuesHeld { code, .. }
            | CloudLogEvent::DesiredFailed { code, .. } => {
                let code = code.map(|code| (JournalField::Code, code.to_string()));
                code.into_iter().collect()
            }
            CloudLogEvent::PostRefused { code, dropped, .. }
            | CloudLogEvent::StoredValuesRefused { code, dropped, .. } => {
                vec![
                    (JournalField::Code, code.to_string()),
                    (JournalField::Dropped, dropped.to_string()),
                ]
            }
            CloudLogEvent::Trouble { code, times, .. } => {
                vec![
                    (JournalField::Code, code.to_string()),
                    (JournalField::Times, times.to_string()),
                ]
            }
            CloudLogEvent::RequestRefused { .. } => vec![(JournalField::Code, "460".into())],
            CloudLogEvent::Throttled { .. } => vec![(JournalField::Code, "429".into())],
            CloudLogEvent::Full { ours: false, .. } => vec![(JournalField::Code, "428".into())],
            CloudLogEvent::Disconnected {
                why: LinkDown::Refused(rc),
                ..
            } => vec![(JournalField::Connack, rc.to_string())],
            CloudLogEvent::Malformed { topic, times, .. } => {
                vec![
                    (JournalField::Topic, topic.clone()),
                    (JournalField::Times, times.to_string()),
                ]
            }
            CloudLogEvent::Over { total, .. } => vec![(JournalField::Times, total.to_string())],
            CloudLogEvent::ThingEventRefused {
                event,
                code,
                dropped,
                ..
            } => vec![
                (JournalField::Code, code.to_string()),
                (JournalField::ThingEvent, event.clone()),
                (JournalField::Dropped, dropped.to_string()),
            ],
            CloudLogEvent::QueueFull { dropped }
            | CloudLogEvent::ThingEventsDropped { dropped } => {
                vec![(JournalField::Dropped, dropped.to_string())]
            }
            CloudLogEvent::Topology(event) => event.fields(),
            CloudLogEvent::Remote(news) => news.fields(),
            CloudLogEvent::Clock(ClockNews::Dropped { readings }) => {
                vec![(JournalField::Dropped, readings.to_string())]
            }
            CloudLogEvent::TooLarge { property, .. } => {
                vec![(JournalField::Property, property.clone())]
            }
            _ => Vec::new(),
        }
    }

    fn sentence(&self) -> String {
        messages::sentence(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_names_code_meaning_time_and_advice() {
        let notice = CloudLogEvent::DeviceRefused {
            device: DeviceId(3),
            code: Code(6287),
            message: "invalid sign".into(),
            what: "log-in",
            kicked: false,
            retry_in: Duration::from_secs(600),
            times: 1,
        };
        assert_eq!(
            notice.sentence(),
            "log-in refused by the platform, code 6287: signature refused (\"invalid sign\"); tried again in 10 min; check the device's secret"
        );
        assert_eq!(notice.level(), Level::Error);
        assert_eq!(notice.subject(), LogSubject::Device(DeviceId(3)));
    }
}

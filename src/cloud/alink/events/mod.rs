//! The log events of this room.

pub mod counters;
pub(crate) mod messages;
pub(crate) mod outbox;

use std::time::Duration;

use crate::base::{
    About, DeviceId, EventKind, JournalField, Level, LinkDown, LogEvent, LogoutReason,
};

use crate::cloud::alink::clock::events::ClockNews;
use crate::cloud::alink::remote_config::events::RemoteNotice;
use crate::cloud::alink::topology::events::TopologyEvent;
use crate::cloud::alink::wire::code::Code;

/// A log event about the cloud.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
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
    KickedSuspected {
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
    Remote(RemoteNotice),
    /// The gateway stops: readings that are not on the platform are lost.
    Stopped {
        /// Devices whose log-out was not confirmed.
        unconfirmed: usize,
        /// Readings not delivered.
        readings: usize,
    },
    /// A topology event: something about which devices belong to the gateway.
    Topology(TopologyEvent),
    /// A log event that was repeated ever more rarely has not happened for a while.
    Over {
        /// The event as it was last reported.
        of: Box<Notice>,
        /// How often it happened in all.
        total: u64,
        /// From the first time to the last.
        lasted: Duration,
    },
}

/// The key of a series of like log events: their kind, the device, and what else they are
/// about.
pub(crate) type SeriesKey = (EventKind, Option<DeviceId>, String);

impl Notice {
    /// Returns how often it happened, or how much it concerns, since the last log event.
    pub(crate) const fn count(&self) -> u64 {
        match self {
            Notice::Disconnected { times, .. }
            | Notice::Trouble { times, .. }
            | Notice::Unanswered { times, .. }
            | Notice::Malformed { times, .. }
            | Notice::Topology(
                TopologyEvent::Stranger { times, .. } | TopologyEvent::Unsupported { times, .. },
            ) => *times,
            Notice::QueueFull { dropped } | Notice::PostRefused { dropped, .. } => *dropped,
            Notice::Clock(ClockNews::Dropped { readings }) => *readings,
            _ => 1,
        }
    }

    /// Whether its text names the count.
    pub(crate) const fn is_counted(&self) -> bool {
        matches!(
            self,
            Notice::Disconnected { .. }
                | Notice::Trouble { .. }
                | Notice::Unanswered { .. }
                | Notice::Malformed { .. }
                | Notice::Topology(
                    TopologyEvent::Stranger { .. } | TopologyEvent::Unsupported { .. }
                )
                | Notice::QueueFull { .. }
                | Notice::PostRefused { .. }
                | Notice::Clock(ClockNews::Dropped { .. })
        )
    }

    /// Returns the same event with another count, where it has one.
    pub(crate) fn counted(mut self, n: u64) -> Notice {
        match &mut self {
            Notice::Disconnected { times, .. }
            | Notice::Trouble { times, .. }
            | Notice::Unanswered { times, .. }
            | Notice::Malformed { times, .. }
            | Notice::Topology(
                TopologyEvent::Stranger { times, .. } | TopologyEvent::Unsupported { times, .. },
            ) => {
                *times = n;
            }
            Notice::QueueFull { dropped } | Notice::PostRefused { dropped, .. } => *dropped = n,
            Notice::Clock(ClockNews::Dropped { readings }) => *readings = n,
            _ => {}
        }
        self
    }

    /// Returns the series of like events that this event belongs to.
    pub(crate) fn series(&self) -> SeriesKey {
        let device = match self.about() {
            About::Device(device) => Some(device),
            About::Gateway | About::Port(_) => None,
        };
        let of = match self {
            Notice::Unanswered { what, .. } | Notice::Throttled { what, .. } => (*what).to_owned(),
            Notice::Malformed { topic, .. } => topic.clone(),
            Notice::Full { ours, .. } => ours.to_string(),
            _ => String::new(),
        };
        (self.kind(), device, of)
    }
}

impl LogEvent for Notice {
    fn level(&self) -> Level {
        match self {
            Notice::Topology(event) => event.level(),
            Notice::Connected { .. }
            | Notice::LoggedIn { .. }
            | Notice::LoggedOut { .. }
            | Notice::Over { .. } => Level::Info,
            Notice::Disconnected {
                why: LinkDown::Ours,
                ..
            } => Level::Info,
            Notice::Disconnected {
                why: LinkDown::Refused(2 | 4 | 5),
                ..
            } => Level::Error,
            Notice::Clock(news) => news.level(),
            Notice::Remote(news) => news.level(),
            Notice::SubscribeRefused { fatal: true, .. }
            | Notice::KickedSuspected { .. }
            | Notice::RequestRefused { .. }
            | Notice::Full { .. }
            | Notice::QueueFull { .. }
            | Notice::PostRefused { .. }
            | Notice::TooLarge { .. } => Level::Error,
            Notice::DeviceRefused { code, .. } => match code.0 {
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
            Notice::Stopped {
                unconfirmed: 0,
                readings: 0,
            } => Level::Info,
            Notice::Disconnected { .. }
            | Notice::SubscribeRefused { .. }
            | Notice::SessionLost { .. }
            | Notice::LogoutRefused { .. }
            | Notice::Throttled { .. }
            | Notice::Trouble { .. }
            | Notice::Unanswered { .. }
            | Notice::Malformed { .. }
            | Notice::Stopped { .. } => Level::Warn,
        }
    }

    fn kind(&self) -> EventKind {
        match self {
            Notice::Connected { .. } => EventKind::CloudConnected,
            Notice::Disconnected { lasted: None, .. } => EventKind::CloudConnectFailed,
            Notice::Disconnected { .. } => EventKind::CloudDisconnected,
            Notice::KickedSuspected { .. } => EventKind::CloudKickedSuspected,
            Notice::SubscribeRefused { .. } => EventKind::CloudSubscribeRefused,
            Notice::LoggedIn { .. } => EventKind::DeviceOnline,
            Notice::LoggedOut { .. } => EventKind::DeviceOffline,
            Notice::DeviceRefused { .. } => EventKind::DeviceRefused,
            Notice::SessionLost { .. } => EventKind::DeviceSessionLost,
            Notice::LogoutRefused { .. } => EventKind::DeviceLogoutRefused,
            Notice::RequestRefused { .. } => EventKind::CloudRequestRefused,
            Notice::Throttled { .. } => EventKind::CloudThrottled,
            Notice::Full { .. } => EventKind::CloudFull,
            Notice::Trouble { .. } => EventKind::CloudTrouble,
            Notice::Unanswered { .. } => EventKind::CloudUnanswered,
            Notice::Malformed { .. } => EventKind::CloudMalformed,
            Notice::QueueFull { .. } => EventKind::PostQueueFull,
            Notice::PostRefused { .. } => EventKind::PostRefused,
            Notice::TooLarge { .. } => EventKind::PostTooLarge,
            Notice::Clock(news) => news.kind(),
            Notice::Remote(news) => news.kind(),
            Notice::Stopped { .. } => EventKind::CloudStopped,
            Notice::Topology(event) => event.kind(),
            Notice::Over { .. } => EventKind::RepeatsEnded,
        }
    }

    fn about(&self) -> About {
        match self {
            Notice::LoggedIn { devices, .. } | Notice::LoggedOut { devices, .. } => {
                match devices[..] {
                    [one] => About::Device(one),
                    _ => About::Gateway,
                }
            }
            Notice::DeviceRefused { device, .. }
            | Notice::SessionLost { device }
            | Notice::LogoutRefused { device, .. }
            | Notice::PostRefused { device, .. }
            | Notice::TooLarge { device, .. } => About::Device(*device),
            Notice::Topology(event) => event.about(),
            Notice::Over { of, .. } => of.about(),
            _ => About::Gateway,
        }
    }

    fn devices(&self) -> &[DeviceId] {
        match self {
            Notice::LoggedIn { devices, .. } | Notice::LoggedOut { devices, .. } => {
                match devices[..] {
                    // The field `about` names the device.
                    [_] => &[],
                    _ => devices,
                }
            }
            Notice::Topology(event) => event.devices(),
            _ => &[],
        }
    }

    fn lists_devices(&self) -> bool {
        let moved = matches!(self, Notice::LoggedIn { .. } | Notice::LoggedOut { .. });
        moved && !self.devices().is_empty()
    }

    fn fields(&self) -> Vec<(JournalField, String)> {
        match self {
            Notice::LoggedIn {
                devices, online, ..
            } => vec![
                (JournalField::Count, devices.len().to_string()),
                (JournalField::Online, online.to_string()),
            ],
            Notice::LoggedOut {
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
            Notice::DeviceRefused { code, times, .. } => {
                vec![
                    (JournalField::Code, code.to_string()),
                    (JournalField::Times, times.to_string()),
                ]
            }
            Notice::LogoutRefused { code, .. } => vec![(JournalField::Code, code.to_string())],
            Notice::PostRefused { code, dropped, .. } => {
                vec![
                    (JournalField::Code, code.to_string()),
                    (JournalField::Dropped, dropped.to_string()),
                ]
            }
            Notice::Trouble { code, times, .. } => {
                vec![
                    (JournalField::Code, code.to_string()),
                    (JournalField::Times, times.to_string()),
                ]
            }
            Notice::RequestRefused { .. } => vec![(JournalField::Code, "460".into())],
            Notice::Throttled { .. } => vec![(JournalField::Code, "429".into())],
            Notice::Full { ours: false, .. } => vec![(JournalField::Code, "428".into())],
            Notice::Disconnected {
                why: LinkDown::Refused(rc),
                ..
            } => vec![(JournalField::Connack, rc.to_string())],
            Notice::Malformed { topic, times, .. } => {
                vec![
                    (JournalField::Topic, topic.clone()),
                    (JournalField::Times, times.to_string()),
                ]
            }
            Notice::Over { total, .. } => vec![(JournalField::Times, total.to_string())],
            Notice::QueueFull { dropped } => vec![(JournalField::Dropped, dropped.to_string())],
            Notice::Topology(event) => event.fields(),
            Notice::Remote(news) => news.fields(),
            Notice::Clock(ClockNews::Dropped { readings }) => {
                vec![(JournalField::Dropped, readings.to_string())]
            }
            Notice::TooLarge { property, .. } => vec![(JournalField::Property, property.clone())],
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
        let notice = Notice::DeviceRefused {
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
        assert_eq!(notice.about(), About::Device(DeviceId(3)));
    }
}

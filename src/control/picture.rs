//! The status of a service and its devices: plain data, as it stands in an answer.
//!
//! Times are in the units of their names: `_ms` milliseconds, `_us` microseconds. Instants
//! are given as how long ago they were, or how far ahead they are, by the monotonic clock:
//! a wall clock may be wrong.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::command::PastCommand;
use super::survey::SurveyFrame;

/// The status of the whole service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The version of the program.
    pub version: String,
    /// How long the service has been running.
    pub uptime_ms: u64,
    /// The connection to the platform.
    pub cloud: Cloud,
    /// Every port, in the order of the configuration.
    pub ports: Vec<Port>,
    /// How many devices are configured.
    pub devices: u64,
    /// How many devices have each combination of states; combinations without a device are
    /// left out.
    pub states: Vec<State>,
    /// Values read and not yet accepted by the platform.
    pub waiting: u64,
    /// Values the platform has accepted since the start.
    pub delivered: u64,
    /// Values dropped since the start, by cause; causes without a dropped value are in it too.
    pub dropped: BTreeMap<String, u64>,
    /// The store of readings that cannot be delivered, if there is one.
    #[serde(default)]
    pub store: Option<Store>,
    /// Values read since the start that are not sent, since `report:` of their points says so.
    #[serde(default)]
    pub not_reported: u64,
    /// The configuration in force; `null` if it was not read from files.
    #[serde(default)]
    pub configuration: Option<Configuration>,
    /// What was noticed about the gateway as a whole and is not known to be over.
    #[serde(default)]
    pub noticed: Vec<StandingNotice>,
}

/// A log event that still stands: as a rule it says what is wrong, and another one takes it back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandingNotice {
    /// The kind of event, as in the journal's field `EVENT`.
    pub event: String,
    /// The event in words, as the journal last had it.
    pub what: String,
    /// How long ago it was last noticed.
    pub ago_ms: u64,
}

/// The configuration in force, against its files.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Configuration {
    /// The main file.
    pub file: String,
    /// How long it has been in force.
    pub since_ms: u64,
    /// The files that have changed since they were read, by name.
    pub changed: Vec<String>,
    /// The last reload, if it was refused: what was wrong first, and when.
    pub refused: Option<PastEvent>,
}

/// The store of readings that cannot be delivered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Store {
    /// Readings that are still to be delivered.
    pub readings: u64,
    /// The size of its files.
    pub bytes: u64,
    /// The size that they may have.
    pub limit: u64,
    /// How old the oldest reading is.
    pub oldest_ms: Option<u64>,
    /// Bytes written to the flash since the start.
    pub written: u64,
    /// Readings handed to the store since the start.
    pub stored: u64,
    /// Readings of the store that the platform has accepted since the start.
    pub delivered: u64,
    /// How far back a power cut costs readings that were not delivered.
    pub loss_window_ms: u64,
    /// Why nothing can be stored, if nothing can.
    pub trouble: Option<String>,
    /// The kind of that failure.
    #[serde(default)]
    pub fault: Option<StoreFault>,
}

/// Why nothing can be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoreFault {
    /// No space is left, or a quota is used up.
    Full,
    /// The file system is read-only, or access is denied.
    ReadOnly,
    /// Another process has the directory.
    Taken,
    /// Anything else; as a rule the medium is damaged.
    Broken,
}

/// The connection to the platform.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cloud {
    /// The state of the connection.
    pub link: Link,
    /// How long the connection has been in this state.
    pub since_ms: u64,
    /// How often the connection was made since the start.
    pub connects: u64,
    /// Devices that the platform shows online through this gateway.
    pub online: u64,
    /// Devices that ought to be online.
    pub wanted: u64,
    /// How long from the last connection until all wanted devices were online, if that was
    /// reached.
    pub takeover_ms: Option<u64>,
    /// The last failed attempt or end of a connection.
    pub last_failure: Option<PastEvent>,
    /// The kind of that failure.
    #[serde(default)]
    pub failure: Option<LinkFailure>,
    /// How many sessions in a row the platform closed within a quarter of an hour.
    #[serde(default)]
    pub short_sessions: u64,
    /// The last refusal of a device.
    pub last_refusal: Option<PastEvent>,
    /// In how long the connection is tried again, while there is none.
    #[serde(default)]
    pub retry_ms: Option<u64>,
}

/// The state of the connection to the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Link {
    /// The gateway has no identity yet and keeps away from the platform.
    NotCommissioned,
    /// Not connected.
    Down,
    /// Connected.
    Up,
}

/// Why an attempt to connect failed, or a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkFailure {
    /// The name did not resolve, or no address could be connected.
    Unreachable,
    /// TLS failed.
    Tls,
    /// The platform refused CONNECT with this return code (MQTT 3.1.1 §3.2.2.3).
    Refused(u8),
    /// No CONNACK in time.
    NoConnack,
    /// The platform closed the connection.
    Closed,
    /// The platform stopped answering pings.
    PingTimeout,
    /// The other side broke the protocol.
    Protocol,
    /// Reading or writing failed.
    Io,
}

/// A past event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PastEvent {
    /// The event in words.
    pub what: String,
    /// How long ago the event happened.
    pub ago_ms: u64,
}

/// One port.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Port {
    /// The port's name in the configuration.
    pub name: String,
    /// What the port opens: a serial line or a network address.
    pub line: String,
    /// The settings of a serial line: `9600 8E1`.
    #[serde(default)]
    pub settings: Option<String>,
    /// Why the port is down; `None` while it is up, or was not tried yet.
    pub down: Option<String>,
    /// In how long a port that is down is tried again.
    #[serde(default)]
    pub retry_ms: Option<u64>,
    /// Share of the clock the bus was busy in the last seconds, in thousandths.
    pub load_permille: u16,
    /// Devices configured on the port.
    pub devices: u64,
    /// Devices on the port that answer.
    pub answering: u64,
    /// The time from request to reply.
    pub rtt: Option<Rtt>,
    /// Transactions since the start, by outcome.
    pub outcomes: BTreeMap<String, u64>,
    /// The gateway's own requests since the start as the adapter heard them: expected echoes,
    /// missing echoes and unexpected echoes.
    #[serde(default)]
    pub echoes: BTreeMap<String, u64>,
    /// The same of the last five to ten minutes.
    #[serde(default)]
    pub echoes_lately: BTreeMap<String, u64>,
    /// Requests since the start outside the plan: to tell replies apart, or for a sign of life.
    #[serde(default)]
    pub probes: u64,
    /// What was noticed about the port and is not known to be over.
    #[serde(default)]
    pub noticed: Vec<StandingNotice>,
}

/// The time from the last byte of a request to the first byte of its reply, over the last
/// replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rtt {
    /// Half of the replies took no longer.
    pub p50_us: u64,
    /// Nineteen of twenty replies took no longer.
    pub p95_us: u64,
    /// How many replies the figures are computed from.
    pub of: u64,
}

/// How many devices have one combination of states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The state on the bus.
    pub life: BusState,
    /// The state at the platform.
    pub cloud: Presence,
    /// How many devices.
    pub devices: u64,
}

/// The state of a device on its bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BusState {
    /// The device answers.
    Alive,
    /// The device answered, and has missed since.
    Suspect,
    /// The device was silent and answers again, not yet often enough.
    Probation,
    /// The device does not answer.
    Silent,
    /// The device has not yet been polled often enough to decide.
    Unknown,
}

/// The state of a device at the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Presence {
    /// The device is logged in.
    Online,
    /// The device's log-in or log-out is under way.
    Changing,
    /// The device is not logged in.
    Offline,
    /// The platform refuses the device, or has taken it offline.
    Refused,
}

impl BusState {
    /// All states on the bus.
    pub const ALL: [BusState; 5] = [
        BusState::Alive,
        BusState::Suspect,
        BusState::Probation,
        BusState::Silent,
        BusState::Unknown,
    ];

    /// Returns the state as one word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            BusState::Alive => "alive",
            BusState::Suspect => "suspect",
            BusState::Probation => "probation",
            BusState::Silent => "silent",
            BusState::Unknown => "unknown",
        }
    }
}

impl Presence {
    /// All states at the platform.
    pub const ALL: [Presence; 4] = [
        Presence::Online,
        Presence::Changing,
        Presence::Offline,
        Presence::Refused,
    ];

    /// Returns the state as one word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Presence::Online => "online",
            Presence::Changing => "changing",
            Presence::Offline => "offline",
            Presence::Refused => "refused",
        }
    }
}

/// One device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Device {
    /// The device's name in the configuration.
    pub name: String,
    /// The name of the device's port.
    pub port: String,
    /// The device's place on the port, in words.
    pub place: String,
    /// The name of the device's profile.
    pub profile: String,
    /// The platform's name of the device's product.
    pub product_key: String,
    /// The platform's name of the device.
    pub device_name: String,
    /// The state on the bus.
    pub life: BusState,
    /// The state at the platform.
    pub cloud: Presence,
    /// Why the device is not alive, or not online; the first obstacle to remove.
    pub why: Option<String>,
    /// What comes next without a person's help.
    pub next: Option<NextChange>,
    /// What is wrong with its floats, if they are implausible throughout, and what to do.
    #[serde(default)]
    pub implausible: Option<String>,
    /// Why this gateway logged the device out last; `None` if it never did since the start.
    #[serde(default)]
    pub last_logout: Option<PastEvent>,
    /// How long ago the device last answered.
    pub answered_ms: Option<u64>,
    /// The time from request to reply.
    pub rtt: Option<Rtt>,
    /// Transactions since the start, by outcome.
    pub outcomes: BTreeMap<String, u64>,
    /// The last 32 transactions, by outcome; outcomes that did not occur are left out.
    #[serde(default)]
    pub recent: BTreeMap<String, u64>,
    /// Those of the last 32 transactions that came after the last one that the device answered, by
    /// outcome; empty if it answered the last.
    #[serde(default)]
    pub unanswered: BTreeMap<String, u64>,
    /// The longest time that is waited for the beginning of a reply.
    #[serde(default)]
    pub response_timeout_ms: u64,
    /// What a survey may ask the device for a sign of life: its first point; `null` if its protocol
    /// has no standard.
    #[serde(default)]
    pub question: Option<SurveyFrame>,
    /// The platform's code, while it refuses the device.
    #[serde(default)]
    pub refusal: Option<i64>,
    /// What was noticed about the device and is not known to be over.
    #[serde(default)]
    pub noticed: Vec<StandingNotice>,
    /// Points for which a reply held no value, counted since the start.
    #[serde(default)]
    pub no_value: u64,
    /// The last value of every point; empty in a list of all devices.
    pub points: Vec<Point>,
    /// The services of the profile; empty in a list of all devices.
    #[serde(default)]
    pub services: Vec<Service>,
    /// The events of the profile; empty in a list of all devices.
    #[serde(default)]
    pub events: Vec<DeviceEvent>,
    /// The last commands, newest first; empty in a list of all devices.
    #[serde(default)]
    pub commands: Vec<PastCommand>,
}

/// An event of a profile, and when a device last had it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeviceEvent {
    /// The identifier of the event.
    pub id: String,
    /// When it is raised, in words.
    pub when: String,
    /// How often it was raised since the start.
    pub raised: u64,
    /// How long ago it was last raised; `null` if it never was since the start.
    pub ago_ms: Option<u64>,
    /// The output data of the last time.
    pub data: BTreeMap<String, Json>,
    /// What became of it, in words; empty if it never was raised.
    pub outcome: String,
}

/// A service of a profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// The identifier of the service.
    pub id: String,
    /// The inputs of the service.
    pub inputs: Vec<ServiceInput>,
}

/// An input of a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceInput {
    /// The name of the input.
    pub name: String,
    /// Which numbers it may be, in words; `null` if all may be.
    pub range: Option<String>,
    /// What it is if it is left out; `null` if it must be given.
    pub default: Json,
}

/// The next event that will change the state of a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NextChange {
    /// The event in words.
    pub what: String,
    /// In how long the event comes at the latest, if that is known.
    pub in_ms: Option<u64>,
}

/// The last value of one point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The identifier of the property.
    pub id: String,
    /// The value as the platform gets it; `null` if there never was one.
    pub value: Json,
    /// The title of the value, if it is one of a list of states.
    pub title: Option<String>,
    /// How long ago the value was read.
    pub age_ms: Option<u64>,
    /// How long ago a value was last reported, of a point that does not report every reading.
    pub reported_ms: Option<u64>,
    /// `good`, `uncertain` or `stale`.
    pub quality: String,
    /// Why the value is not good; empty if it is.
    pub why: String,
    /// Which values may be written, in words; `null` if the point is read-only.
    #[serde(default)]
    pub writable: Option<String>,
    /// The name of the point for people, if the configuration gives one.
    #[serde(default)]
    pub name: Option<String>,
    /// The same in Chinese.
    #[serde(default)]
    pub name_zh: Option<String>,
    /// The unit of the value.
    #[serde(default)]
    pub unit: Option<String>,
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::control::command::tests::past_commands;
    use proptest::collection::{btree_map, vec};
    use proptest::option;
    use proptest::prelude::*;

    fn outcomes() -> impl Strategy<Value = BTreeMap<String, u64>> {
        btree_map(".*", any::<u64>(), 0..3)
    }

    fn rtts() -> impl Strategy<Value = Option<Rtt>> {
        option::of(any::<[u64; 3]>().prop_map(|[p50_us, p95_us, of]| Rtt { p50_us, p95_us, of }))
    }

    fn pasts() -> impl Strategy<Value = Option<PastEvent>> {
        option::of((".*", any::<u64>()).prop_map(|(what, ago_ms)| PastEvent { what, ago_ms }))
    }

    fn ports() -> impl Strategy<Value = Port> {
        (".*", option::of(".*"), any::<u16>(), rtts(), outcomes()).prop_map(
            |(name, down, load_permille, rtt, outcomes)| Port {
                line: format!("{name}, 9600 8N1"),
                settings: Some("9600 8N1".into()),
                name,
                down,
                retry_ms: None,
                load_permille,
                devices: 3,
                answering: 2,
                rtt,
                echoes: outcomes.clone(),
                echoes_lately: outcomes.clone(),
                probes: u64::from(load_permille) * 1000,
                noticed: vec![StandingNotice {
                    event: "port-echo-heard".into(),
                    ..StandingNotice::default()
                }],
                outcomes,
            },
        )
    }

    pub(crate) fn statuses() -> impl Strategy<Value = Status> {
        let state = State {
            life: BusState::Suspect,
            cloud: Presence::Refused,
            devices: 7,
        };
        (
            vec(ports(), 0..3),
            any::<u64>(),
            pasts(),
            pasts(),
            outcomes(),
        )
            .prop_map(
                move |(ports, n, last_failure, last_refusal, dropped)| Status {
                    version: "1.2.3".into(),
                    uptime_ms: n,
                    cloud: Cloud {
                        link: Link::NotCommissioned,
                        since_ms: n / 2,
                        connects: 3,
                        online: 0,
                        wanted: n,
                        takeover_ms: Some(n),
                        last_failure,
                        failure: Some(LinkFailure::Refused(4)),
                        short_sessions: n,
                        last_refusal,
                        retry_ms: None,
                    },
                    ports,
                    devices: n,
                    states: vec![state],
                    waiting: n,
                    delivered: 0,
                    dropped,
                    store: (n % 2 == 0).then(|| Store {
                        readings: n,
                        limit: n,
                        oldest_ms: Some(n),
                        trouble: Some("no space".into()),
                        fault: Some(StoreFault::ReadOnly),
                        ..Store::default()
                    }),
                    not_reported: n / 3,
                    configuration: (n % 3 == 0).then(|| Configuration {
                        since_ms: n,
                        changed: vec!["gateway.yaml".into()],
                        ..Configuration::default()
                    }),
                    noticed: Vec::new(),
                },
            )
    }

    pub(crate) fn devices() -> impl Strategy<Value = Device> {
        let point = (".*", any::<i64>(), option::of(".*")).prop_map(|(id, value, title)| Point {
            id,
            value: value.into(),
            title,
            age_ms: None,
            reported_ms: Some(5),
            quality: "good".into(),
            why: String::new(),
            writable: Some("20 to 70".into()).filter(|_| value % 2 == 0),
            name: Some("Voltage".into()).filter(|_| value % 3 == 0),
            name_zh: Some("电压".into()).filter(|_| value % 5 == 0),
            unit: Some("V".into()).filter(|_| value % 2 == 0),
        });
        let all = (
            (".*", option::of(".*"), rtts(), outcomes()),
            (vec(point, 0..4), past_commands()),
        );
        all.prop_map(|((name, why, rtt, outcomes), (points, commands))| Device {
            port: "line1".into(),
            place: "unit 7".into(),
            profile: "meter".into(),
            product_key: "a1".into(),
            device_name: name.clone(),
            next: Some(NextChange {
                what: name.clone(),
                in_ms: None,
            }),
            name,
            life: BusState::Probation,
            cloud: Presence::Changing,
            implausible: why.clone(),
            why,
            last_logout: None,
            answered_ms: Some(5),
            rtt,
            no_value: outcomes.len() as u64,
            recent: outcomes.clone(),
            unanswered: outcomes.clone(),
            response_timeout_ms: 300,
            question: Some(SurveyFrame::Modbus {
                unit: 7,
                pdu: "0300000001".into(),
            }),
            refusal: Some(6401),
            noticed: Vec::new(),
            outcomes,
            points,
            events: vec![DeviceEvent {
                id: "overheat".into(),
                when: "temp above 80".into(),
                raised: 2,
                ago_ms: Some(4),
                data: [("temp".to_owned(), 81.5.into())].into(),
                outcome: "delivered".into(),
            }],
            services: vec![Service {
                id: "Start".into(),
                inputs: vec![ServiceInput {
                    name: "level".into(),
                    range: None,
                    default: 45.into(),
                }],
            }],
            commands,
        })
    }

    #[test]
    fn the_words_are_those_of_the_protocol() {
        for life in BusState::ALL {
            assert_eq!(serde_json::to_value(life).unwrap(), life.word());
        }
        for presence in Presence::ALL {
            assert_eq!(serde_json::to_value(presence).unwrap(), presence.word());
        }
    }
}

//! What a picture of the service shows: plain data, as it stands in an answer.
//!
//! Times are in the units of their names: `_ms` milliseconds, `_us`
//! microseconds. Instants are told as how long ago they were, or how far ahead
//! they are, by the monotonic clock: a wall clock may be wrong.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// The whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Of the program.
    pub version: String,
    /// How long it has been running.
    pub uptime_ms: u64,
    /// The connection to the platform.
    pub cloud: Cloud,
    /// Every port, in the order of the configuration.
    pub ports: Vec<Port>,
    /// How many devices are configured.
    pub devices: u64,
    /// How many of them stand how; combinations nobody is in are left out.
    pub states: Vec<State>,
    /// Values taken and not yet accepted by the platform.
    pub waiting: u64,
    /// Values the platform has accepted since the start.
    pub delivered: u64,
    /// Values dropped since the start, by cause, also of those causes by which
    /// none was.
    pub dropped: BTreeMap<String, u64>,
}

/// The connection to the platform.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cloud {
    /// How it stands.
    pub link: Link,
    /// For how long it has stood so.
    pub since_ms: u64,
    /// How often it came about since the start.
    pub connects: u64,
    /// Devices the platform shows online through us.
    pub online: u64,
    /// Devices that ought to be online.
    pub wanted: u64,
    /// From the last connection until all that ought to be were online, if that
    /// has been reached.
    pub takeover_ms: Option<u64>,
    /// The last attempt that failed, or end of a connection.
    pub last_failure: Option<Past>,
    /// The last refusal of a device.
    pub last_refusal: Option<Past>,
}

/// How the connection to the platform stands.
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

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Past {
    /// In words.
    pub what: String,
    /// How long ago.
    pub ago_ms: u64,
}

/// One port.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Port {
    /// As the configuration calls it.
    pub name: String,
    /// Where it leads.
    pub line: String,
    /// Why it is down; `None` while it is up, or was not tried yet.
    pub down: Option<String>,
    /// Share of the clock the bus was busy in the last seconds, in thousandths.
    pub load_permille: u16,
    /// Devices configured on it.
    pub devices: u64,
    /// Those of them that answer.
    pub answering: u64,
    /// From request to reply.
    pub rtt: Option<Rtt>,
    /// Transactions since the start by what became of them.
    pub outcomes: BTreeMap<String, u64>,
    /// Our own requests since the start as the adapter heard them: as it should, not
    /// although it should, and although it should not.
    #[serde(default)]
    pub echoes: BTreeMap<String, u64>,
    /// Requests since the start that the plan does not have: to tell replies apart, or
    /// for a sign of life.
    #[serde(default)]
    pub probes: u64,
}

/// From the last byte of a request to the first of its reply, over the last
/// replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rtt {
    /// Half of them took no longer.
    pub p50_us: u64,
    /// Nineteen of twenty took no longer.
    pub p95_us: u64,
    /// How many replies that is said of.
    pub of: u64,
}

/// How many devices stand like this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// On its bus.
    pub life: Life,
    /// At the platform.
    pub cloud: Presence,
    /// How many.
    pub devices: u64,
}

/// How a device stands on its bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Life {
    /// It answers.
    Alive,
    /// It answered, and has missed since.
    Suspect,
    /// It was silent and answers again, not yet often enough.
    Probation,
    /// It does not answer.
    Silent,
    /// Not yet asked often enough to say.
    Unknown,
}

/// How a device stands at the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Presence {
    /// Logged in.
    Online,
    /// Its log-in or log-out is under way.
    Changing,
    /// Not logged in.
    Offline,
    /// The platform refuses it, or has taken it offline.
    Refused,
}

impl Life {
    /// All there are.
    pub const ALL: [Life; 5] = [
        Life::Alive,
        Life::Suspect,
        Life::Probation,
        Life::Silent,
        Life::Unknown,
    ];

    /// In one word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Life::Alive => "alive",
            Life::Suspect => "suspect",
            Life::Probation => "probation",
            Life::Silent => "silent",
            Life::Unknown => "unknown",
        }
    }
}

impl Presence {
    /// All there are.
    pub const ALL: [Presence; 4] = [
        Presence::Online,
        Presence::Changing,
        Presence::Offline,
        Presence::Refused,
    ];

    /// In one word.
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
    /// As the configuration calls it.
    pub name: String,
    /// Its port.
    pub port: String,
    /// Where on the port, in words.
    pub place: String,
    /// The name of its profile.
    pub profile: String,
    /// The platform's name of its product.
    pub product_key: String,
    /// The platform's name of it.
    pub device_name: String,
    /// On its bus.
    pub life: Life,
    /// At the platform.
    pub cloud: Presence,
    /// Why it is not alive, or not online; the first thing to put right.
    pub why: Option<String>,
    /// What comes next without anybody's help.
    pub next: Option<Next>,
    /// Why this gateway logged it out last; `None` if it never did since the start.
    #[serde(default)]
    pub last_logout: Option<Past>,
    /// How long ago it last answered.
    pub answered_ms: Option<u64>,
    /// From request to reply.
    pub rtt: Option<Rtt>,
    /// Transactions since the start by what became of them.
    pub outcomes: BTreeMap<String, u64>,
    /// The last value of every point; empty in a list of all devices.
    pub points: Vec<Point>,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Next {
    /// In words.
    pub what: String,
    /// In how long at the latest, if that is known.
    pub in_ms: Option<u64>,
}

/// The last value of one point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The identifier of the property.
    pub id: String,
    /// As the platform gets it; `null` if there never was one.
    pub value: Json,
    /// What it is called, if it is one of a list of states.
    pub title: Option<String>,
    /// How long ago it was read.
    pub age_ms: Option<u64>,
    /// `good`, `uncertain` or `stale`.
    pub quality: String,
    /// Why it is not good; empty if it is.
    pub why: String,
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::collection::{btree_map, vec};
    use proptest::option;
    use proptest::prelude::*;

    fn outcomes() -> impl Strategy<Value = BTreeMap<String, u64>> {
        btree_map(".*", any::<u64>(), 0..3)
    }

    fn rtts() -> impl Strategy<Value = Option<Rtt>> {
        option::of(any::<[u64; 3]>().prop_map(|[p50_us, p95_us, of]| Rtt { p50_us, p95_us, of }))
    }

    fn pasts() -> impl Strategy<Value = Option<Past>> {
        option::of((".*", any::<u64>()).prop_map(|(what, ago_ms)| Past { what, ago_ms }))
    }

    fn ports() -> impl Strategy<Value = Port> {
        (".*", option::of(".*"), any::<u16>(), rtts(), outcomes()).prop_map(
            |(name, down, load_permille, rtt, outcomes)| Port {
                line: format!("{name}, 9600 8N1"),
                name,
                down,
                load_permille,
                devices: 3,
                answering: 2,
                rtt,
                echoes: outcomes.clone(),
                probes: u64::from(load_permille) * 1000,
                outcomes,
            },
        )
    }

    pub(crate) fn statuses() -> impl Strategy<Value = Status> {
        let state = State {
            life: Life::Suspect,
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
                        last_refusal,
                    },
                    ports,
                    devices: n,
                    states: vec![state],
                    waiting: n,
                    delivered: 0,
                    dropped,
                },
            )
    }

    pub(crate) fn devices() -> impl Strategy<Value = Device> {
        let point = (".*", any::<i64>(), option::of(".*")).prop_map(|(id, value, title)| Point {
            id,
            value: value.into(),
            title,
            age_ms: None,
            quality: "good".into(),
            why: String::new(),
        });
        (".*", option::of(".*"), rtts(), outcomes(), vec(point, 0..4)).prop_map(
            |(name, why, rtt, outcomes, points)| Device {
                port: "line1".into(),
                place: "unit 7".into(),
                profile: "meter".into(),
                product_key: "a1".into(),
                device_name: name.clone(),
                next: Some(Next {
                    what: name.clone(),
                    in_ms: None,
                }),
                name,
                life: Life::Probation,
                cloud: Presence::Changing,
                why,
                last_logout: None,
                answered_ms: Some(5),
                rtt,
                outcomes,
                points,
            },
        )
    }

    #[test]
    fn the_words_are_those_of_the_protocol() {
        for life in Life::ALL {
            assert_eq!(serde_json::to_value(life).unwrap(), life.word());
        }
        for presence in Presence::ALL {
            assert_eq!(serde_json::to_value(presence).unwrap(), presence.word());
        }
    }
}

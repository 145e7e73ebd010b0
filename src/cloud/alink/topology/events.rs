//! What this room tells about who belongs to the gateway: registration,
//! topology, and what the platform orders.

use crate::base::{About, DeviceId, EventKind, JournalField, Level, LogEvent};

use crate::cloud::alink::messages::code_words;
use crate::cloud::alink::wire::code::Code;

/// Something about the roll of sub-devices.
#[derive(Clone, Debug, PartialEq)]
pub enum TopologyEvent {
    /// The platform gave these devices their secrets.
    Registered {
        /// The devices.
        devices: Vec<DeviceId>,
        /// The names of the devices, for the journal.
        names: String,
    },
    /// These devices hang under this gateway now, as we asked.
    Related {
        /// The devices.
        devices: Vec<DeviceId>,
        /// The names of the devices, for the journal.
        names: String,
    },
    /// A request about relations was refused, and nothing waits for it.
    Refused {
        /// Which request.
        what: &'static str,
        /// The platform's code.
        code: Code,
        /// The platform's words.
        message: String,
        /// About whom.
        names: String,
    },
    /// The platform's topology holds devices that are not configured.
    Extra {
        /// How many it lists.
        listed: usize,
        /// How many of them are not configured.
        extra: usize,
        /// What becomes of them.
        fate: UnconfiguredFate,
    },
    /// They were deleted from the topology.
    Unrelated {
        /// Their identities.
        names: String,
    },
    /// The platform did something to devices, or asks us to.
    Ordered {
        /// Which; more than one only for changes of the topology.
        devices: Vec<DeviceId>,
        /// The names of the devices, for the journal.
        names: String,
        /// The order as it came: the topic's tail, and `status` if it has one.
        raw: String,
        /// As we understand it.
        means: &'static str,
    },
    /// An order about devices that are not configured; told again ever more
    /// rarely.
    Stranger {
        /// The order as it came.
        raw: String,
        /// One of them.
        who: String,
        /// How often it happened since the last log event.
        times: u64,
    },
    /// The platform wants something done that this program does not do; told
    /// again ever more rarely.
    Unsupported {
        /// The command as it came.
        raw: String,
        /// For which device; empty if its topic does not say.
        who: String,
        /// How often it happened since the last log event.
        times: u64,
    },
}

/// What becomes of relations that are not configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnconfiguredFate {
    /// They stay; pruning is not configured.
    Left,
    /// They are deleted.
    Deleted,
    /// They stay, although they should go: more than half of the list is more
    /// likely a wrong configuration than a wrong list.
    TooMany,
}

impl LogEvent for TopologyEvent {
    fn level(&self) -> Level {
        match self {
            TopologyEvent::Extra {
                fate: UnconfiguredFate::TooMany,
                ..
            } => Level::Error,
            TopologyEvent::Refused { .. }
            | TopologyEvent::Stranger { .. }
            | TopologyEvent::Unsupported { .. } => Level::Warn,
            TopologyEvent::Registered { .. }
            | TopologyEvent::Related { .. }
            | TopologyEvent::Extra { .. }
            | TopologyEvent::Unrelated { .. }
            | TopologyEvent::Ordered { .. } => Level::Info,
        }
    }

    fn kind(&self) -> EventKind {
        match self {
            TopologyEvent::Registered { .. } => EventKind::DeviceRegistered,
            TopologyEvent::Related { .. } => EventKind::TopologyAdded,
            TopologyEvent::Refused { .. } => EventKind::TopologyRefused,
            TopologyEvent::Extra { .. } => EventKind::TopologyExtra,
            TopologyEvent::Unrelated { .. } => EventKind::TopologyDeleted,
            TopologyEvent::Ordered { .. } => EventKind::PlatformOrder,
            TopologyEvent::Stranger { .. } => EventKind::PlatformOrderStranger,
            TopologyEvent::Unsupported { .. } => EventKind::PlatformCommandUnsupported,
        }
    }

    fn about(&self) -> About {
        match self {
            TopologyEvent::Registered { devices, .. }
            | TopologyEvent::Related { devices, .. }
            | TopologyEvent::Ordered { devices, .. } => match devices[..] {
                [one] => About::Device(one),
                _ => About::Gateway,
            },
            _ => About::Gateway,
        }
    }

    fn devices(&self) -> &[DeviceId] {
        match self {
            TopologyEvent::Registered { devices, .. }
            | TopologyEvent::Related { devices, .. }
            | TopologyEvent::Ordered { devices, .. } => match devices[..] {
                // `about` names it.
                [_] => &[],
                _ => devices,
            },
            _ => &[],
        }
    }

    fn fields(&self) -> Vec<(JournalField, String)> {
        match self {
            TopologyEvent::Registered { names, .. }
            | TopologyEvent::Related { names, .. }
            | TopologyEvent::Unrelated { names } => vec![(JournalField::Devices, names.clone())],
            TopologyEvent::Refused { code, names, .. } => {
                vec![
                    (JournalField::Code, code.to_string()),
                    (JournalField::Devices, names.clone()),
                ]
            }
            TopologyEvent::Ordered { names, raw, .. } => {
                vec![
                    (JournalField::Devices, names.clone()),
                    (JournalField::Order, raw.clone()),
                ]
            }
            TopologyEvent::Stranger { raw, .. } | TopologyEvent::Unsupported { raw, .. } => {
                vec![(JournalField::Order, raw.clone())]
            }
            TopologyEvent::Extra { listed, extra, .. } => {
                vec![
                    (JournalField::Listed, listed.to_string()),
                    (JournalField::Extra, extra.to_string()),
                ]
            }
        }
    }

    fn sentence(&self) -> String {
        match self {
            TopologyEvent::Registered { devices, names } => match devices.len() {
                1 => "registered: the platform gave it its secret".into(),
                n => format!("{n} devices registered, each with its secret: {names}"),
            },
            TopologyEvent::Related { devices, names } => match devices.len() {
                1 => "added to this gateway's topology".into(),
                n => format!("{n} devices added to this gateway's topology: {names}"),
            },
            TopologyEvent::Refused {
                what,
                code,
                message,
                names,
            } => {
                let about = if names.is_empty() {
                    String::new()
                } else {
                    format!(" about {names}")
                };
                format!("{what}{about} refused, {}", code_words(*code, message))
            }
            TopologyEvent::Extra {
                listed,
                extra,
                fate,
            } => {
                let fate = match fate {
                    UnconfiguredFate::Left => {
                        "they are left alone (topology: mirror would delete them)"
                    }
                    UnconfiguredFate::Deleted => {
                        "they are deleted from it, as topology: mirror says"
                    }
                    UnconfiguredFate::TooMany => {
                        "that is more than half, so nothing is deleted; is this the right configuration? If it is, delete them in the console"
                    }
                };
                format!(
                    "{extra} of the {listed} devices in this gateway's topology are not configured; {fate}"
                )
            }
            TopologyEvent::Unrelated { names } => {
                format!("deleted from this gateway's topology: {names}")
            }
            TopologyEvent::Ordered {
                devices,
                names,
                raw,
                means,
            } => match devices.len() {
                1 => format!("the platform says: {means} ({raw})"),
                _ => format!("the platform says: {means} ({raw}): {names}"),
            },
            TopologyEvent::Unsupported { raw, who, times } => {
                let whom = if who.is_empty() {
                    String::new()
                } else {
                    format!(" for {who}")
                };
                format!(
                    "the platform sends a command{whom} that is not supported ({raw}, {times} times since last told); answered so, and nothing else"
                )
            }
            TopologyEvent::Stranger { raw, who, times } => format!(
                "the platform speaks of a device that is not configured, {who} ({raw}, {times} times since last told); answered, and nothing else"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_told_raw_and_as_understood() {
        let notice = TopologyEvent::Ordered {
            devices: vec![DeviceId(1)],
            names: "meter-1".into(),
            raw: "thing/topo/change, status 8".into(),
            means: "disabled",
        };
        assert_eq!(
            notice.sentence(),
            "the platform says: disabled (thing/topo/change, status 8)"
        );
        assert_eq!(notice.about(), About::Device(DeviceId(1)));
    }
}

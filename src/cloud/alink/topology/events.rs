//! Topology events of this room: which devices belong to the gateway, by registration, by
//! the topology, and by what the platform orders.

use crate::base::text::{counted, plural, since_reported};
use crate::base::{DeviceId, EventKind, JournalField, Level, LogEvent, LogSubject};

use crate::cloud::alink::wire::code::Code;

/// A topology event.
#[derive(Clone, Debug, PartialEq)]
pub enum TopologyEvent {
    /// The platform gave these devices their secrets.
    Registered {
        /// The devices.
        devices: Vec<DeviceId>,
        /// The names of the devices, for the journal.
        names: String,
    },
    /// These devices are in this gateway's topology now, as we asked.
    Related {
        /// The devices.
        devices: Vec<DeviceId>,
        /// The names of the devices, for the journal.
        names: String,
    },
    /// A request about relations was refused, and nothing waits for it.
    Refused {
        /// The request.
        what: &'static str,
        /// The platform's code.
        code: Code,
        /// The platform's words.
        message: String,
        /// The devices concerned.
        names: String,
    },
    /// The platform's topology holds devices that are not configured.
    Extra {
        /// How many it lists.
        listed: usize,
        /// How many of them are not configured.
        extra: usize,
        /// What becomes of the devices that are not configured.
        fate: UnconfiguredFate,
    },
    /// Devices were deleted from the topology.
    Unrelated {
        /// The identities of the devices.
        names: String,
    },
    /// The platform did something to devices, or asks the gateway to do it.
    Ordered {
        /// The devices; more than one only for changes of the topology.
        devices: Vec<DeviceId>,
        /// The names of the devices, for the journal.
        names: String,
        /// The order as it came: the topic's tail, and `status` if it has one.
        raw: String,
        /// The meaning of the order.
        means: &'static str,
    },
    /// An order about devices that are not configured; repeated ever more rarely.
    Stranger {
        /// The order as it came.
        raw: String,
        /// The identity of such a device.
        who: String,
        /// How often it happened since the last log event.
        times: u64,
    },
    /// The platform wants something done that this program does not do; repeated ever more
    /// rarely.
    Unsupported {
        /// The command as it came.
        raw: String,
        /// The device concerned; empty if the topic does not say.
        who: String,
        /// How often it happened since the last log event.
        times: u64,
    },
}

/// What becomes of relations that are not configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnconfiguredFate {
    /// The relations stay; pruning is not configured.
    Left,
    /// The relations are deleted.
    Deleted,
    /// The relations stay, although the policy is to delete them: more than half of the
    /// list is more likely a wrong configuration than a wrong list.
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
            TopologyEvent::Stranger { .. } => EventKind::PlatformOrderUnknownDevice,
            TopologyEvent::Unsupported { .. } => EventKind::PlatformCommandUnsupported,
        }
    }

    fn subject(&self) -> LogSubject {
        match self {
            TopologyEvent::Registered { devices, .. }
            | TopologyEvent::Related { devices, .. }
            | TopologyEvent::Ordered { devices, .. } => match devices[..] {
                [one] => LogSubject::Device(one),
                _ => LogSubject::Gateway,
            },
            _ => LogSubject::Gateway,
        }
    }

    fn devices(&self) -> &[DeviceId] {
        match self {
            TopologyEvent::Registered { devices, .. }
            | TopologyEvent::Related { devices, .. }
            | TopologyEvent::Ordered { devices, .. } => match devices[..] {
                // The field `about` names the device.
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
                1 => "registered: the platform gave the device its secret".into(),
                n => format!(
                    "{} registered, each with its secret: {names}",
                    counted(n, "device")
                ),
            },
            TopologyEvent::Related { devices, names } => match devices.len() {
                1 => "added to this gateway's topology".into(),
                n => format!(
                    "{} added to this gateway's topology: {names}",
                    counted(n, "device")
                ),
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
                format!(
                    "topology: {what}{about} refused by the platform, {}",
                    code.words_with(message)
                )
            }
            TopologyEvent::Extra {
                listed,
                extra,
                fate,
            } => {
                let one = |one, others| plural(*extra, one, others);
                let fate = match fate {
                    UnconfiguredFate::Left => one(
                        "it stays in it (topology: mirror would delete it)",
                        "they stay in it (topology: mirror would delete them)",
                    ),
                    UnconfiguredFate::Deleted => one(
                        "it is deleted from it, as topology: mirror says",
                        "they are deleted from it, as topology: mirror says",
                    ),
                    UnconfiguredFate::TooMany => {
                        "that is more than half, so nothing is deleted; is this the right configuration? If it is, delete what is too much in the console"
                    }
                };
                match listed {
                    1 => format!("topology: the only device in it is not configured; {fate}"),
                    _ => format!(
                        "topology: {extra} of the {} in it {} not configured; {fate}",
                        counted(*listed, "device"),
                        one("is", "are")
                    ),
                }
            }
            TopologyEvent::Unrelated { names } => {
                format!("topology: deleted devices that are not configured: {names}")
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
                    "gateway: the platform sent a command{whom} that is not supported ({raw}){}; the gateway answered that, and did nothing else",
                    since_reported(*times)
                )
            }
            TopologyEvent::Stranger { raw, who, times } => format!(
                "gateway: the platform sent an order for a device that is not configured, {who} ({raw}){}; the gateway answered, and did nothing else",
                since_reported(*times)
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
        assert_eq!(notice.subject(), LogSubject::Device(DeviceId(1)));
    }
}

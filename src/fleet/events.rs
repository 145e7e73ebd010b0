//! The notices about devices for the operator.

use std::time::Duration;

use super::SilenceReason;
use crate::base::{About, DeviceId, EventKind, JournalField, Level, LogEvent, Miss, PortId};

/// A change in what the fleet believes.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// The device gave its first proof of life since the start.
    Appeared {
        /// Which device.
        device: DeviceId,
    },
    /// The device does not answer.
    Silent {
        /// Which device.
        device: DeviceId,
        /// Why the device counts as silent.
        because: SilenceReason,
    },
    /// The device answers again.
    Returned {
        /// Which device.
        device: DeviceId,
        /// How long the device counted as silent.
        after: Duration,
    },
    /// The device fell silent so often that it is kept offline for a while.
    Held {
        /// Which device.
        device: DeviceId,
    },
    /// The device is no longer kept offline for having fallen silent often.
    LetGo {
        /// Which device.
        device: DeviceId,
        /// Whether the device answers now.
        answers: bool,
    },
    /// The devices of a port fell silent together because it is down.
    PortSilenced {
        /// Which port.
        port: PortId,
        /// The devices of the port that were not silent for reasons of their own.
        devices: Vec<DeviceId>,
        /// The system's words for the reason.
        why: String,
    },
    /// The port is open, and none of its devices answers any more. The fault is more likely in
    /// the line than in the devices.
    PortMute {
        /// Which port.
        port: PortId,
        /// How many devices the port has.
        devices: usize,
        /// Whether any of these devices has answered since the start.
        answered_before: bool,
    },
}

impl LogEvent for Notice {
    fn level(&self) -> Level {
        match self {
            Notice::Appeared { .. } | Notice::Returned { .. } | Notice::LetGo { .. } => Level::Info,
            Notice::Silent { .. } | Notice::Held { .. } => Level::Warn,
            Notice::PortSilenced { .. } | Notice::PortMute { .. } => Level::Warn,
        }
    }

    fn kind(&self) -> EventKind {
        match self {
            Notice::Appeared { .. } => EventKind::DeviceResponding,
            Notice::Silent { .. } => EventKind::DeviceSilent,
            Notice::Returned { .. } => EventKind::DeviceReturned,
            Notice::Held { .. } => EventKind::DeviceHeld,
            Notice::LetGo { .. } => EventKind::DeviceHoldEnded,
            Notice::PortSilenced { .. } => EventKind::PortSilenced,
            Notice::PortMute { .. } => EventKind::PortMute,
        }
    }

    fn about(&self) -> About {
        match self {
            Notice::Appeared { device }
            | Notice::Silent { device, .. }
            | Notice::Held { device }
            | Notice::LetGo { device, .. }
            | Notice::Returned { device, .. } => About::Device(*device),
            Notice::PortSilenced { port, .. } | Notice::PortMute { port, .. } => About::Port(*port),
        }
    }

    fn devices(&self) -> &[DeviceId] {
        match self {
            Notice::PortSilenced { devices, .. } => devices,
            _ => &[],
        }
    }

    fn fields(&self) -> Vec<(JournalField, String)> {
        match self {
            Notice::Silent {
                because: SilenceReason::Missed { polls, quiet, .. },
                ..
            } => vec![
                (JournalField::Missed, polls.to_string()),
                (JournalField::QuietMs, quiet.as_millis().to_string()),
            ],
            Notice::Returned { after, .. } => {
                vec![(JournalField::SilentMs, after.as_millis().to_string())]
            }
            Notice::PortSilenced { devices, .. } => {
                vec![(JournalField::Count, devices.len().to_string())]
            }
            Notice::PortMute { devices, .. } => {
                vec![(JournalField::Count, devices.to_string())]
            }
            _ => Vec::new(),
        }
    }

    fn sentence(&self) -> String {
        match self {
            Notice::Appeared { .. } => "responding".into(),
            Notice::Silent {
                because:
                    SilenceReason::Missed {
                        polls,
                        quiet,
                        last,
                        answered_before,
                    },
                ..
            } => {
                let history = if *answered_before {
                    ""
                } else {
                    ", never answered since the start (check wiring, unit id, line settings)"
                };
                format!(
                    "silent: {polls} polls in a row without an answer, {} quiet, last: {}{history}",
                    seconds(*quiet),
                    miss_words(*last)
                )
            }
            Notice::Silent {
                because: SilenceReason::PortDown,
                ..
            } => "silent: its port is down".into(),
            Notice::Held { .. } => {
                "fell silent again and again: still polled, but kept offline on \
                                    the platform until it has been steadier for a while (check \
                                    wiring, termination, power; response_timeout: if it is slow)"
                    .into()
            }
            Notice::LetGo { answers: true, .. } => {
                "no longer kept offline for falling silent often".into()
            }
            Notice::LetGo { answers: false, .. } => {
                "no longer kept offline for falling silent often, but still silent".into()
            }
            Notice::Returned { after, .. } => {
                format!("responding again after {} of silence", seconds(*after))
            }
            Notice::PortMute {
                devices,
                answered_before,
                ..
            } => format!(
                "none of its {devices} devices {}: look at what they share (cable, bias, power, \
                 adapter, line settings) before looking at any one of them",
                match answered_before {
                    true => "answers any more",
                    false => "has answered since the start",
                }
            ),
            Notice::PortSilenced { devices, why, .. } => {
                format!(
                    "down: {why}; {} silent",
                    match devices.len() {
                        1 => "its device counts as".into(),
                        n => format!("its {n} devices count as"),
                    }
                )
            }
        }
    }
}

fn seconds(d: Duration) -> String {
    format!("{:.1} s", d.as_secs_f64())
}

/// Returns the words for a miss that the operator reads.
fn miss_words(miss: Miss) -> String {
    match miss {
        Miss::Silence => "not one byte came back".into(),
        Miss::Garbled => "garbled bytes, no frame with a good checksum".into(),
        Miss::Foreign => "a good frame that was not the reply asked for".into(),
        Miss::GatewaySaysNo(code) => {
            format!(
                "a Modbus gateway in between says it cannot reach the unit (exception {code:#04x})"
            )
        }
        Miss::ConnectionLost => "the connection broke while waiting".into(),
    }
}

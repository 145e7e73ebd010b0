//! The log events of the fleet.

use std::time::Duration;

use super::SilenceReason;
use crate::base::logout_reason::unanswered;
use crate::base::text::counted;
use crate::base::{
    DeviceId, EventKind, JournalField, Level, LogEvent, LogSubject, MissReason, PortId,
};

/// A change in what the fleet believes.
#[derive(Clone, Debug, PartialEq)]
pub enum FleetLogEvent {
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
    PortDevicesSilent {
        /// Which port.
        port: PortId,
        /// The devices of the port that were not silent for reasons of their own.
        devices: Vec<DeviceId>,
        /// The system's words for the reason.
        why: String,
    },
    /// The port is open, and none of its devices answers any more. The fault is more likely in
    /// the line than in the devices.
    PortWithoutAnswers {
        /// Which port.
        port: PortId,
        /// How many devices the port has.
        devices: usize,
        /// Whether any of these devices has answered since the start.
        answered_before: bool,
    },
}

impl LogEvent for FleetLogEvent {
    fn level(&self) -> Level {
        match self {
            FleetLogEvent::Appeared { .. }
            | FleetLogEvent::Returned { .. }
            | FleetLogEvent::LetGo { .. } => Level::Info,
            FleetLogEvent::Silent { .. } | FleetLogEvent::Held { .. } => Level::Warn,
            FleetLogEvent::PortDevicesSilent { .. } | FleetLogEvent::PortWithoutAnswers { .. } => {
                Level::Warn
            }
        }
    }

    fn kind(&self) -> EventKind {
        match self {
            FleetLogEvent::Appeared { .. } => EventKind::DeviceResponding,
            FleetLogEvent::Silent { .. } => EventKind::DeviceSilent,
            FleetLogEvent::Returned { .. } => EventKind::DeviceReturned,
            FleetLogEvent::Held { .. } => EventKind::DeviceHeld,
            FleetLogEvent::LetGo { .. } => EventKind::DeviceHoldEnded,
            FleetLogEvent::PortDevicesSilent { .. } => EventKind::PortDevicesSilent,
            FleetLogEvent::PortWithoutAnswers { .. } => EventKind::PortWithoutAnswers,
        }
    }

    fn subject(&self) -> LogSubject {
        match self {
            FleetLogEvent::Appeared { device }
            | FleetLogEvent::Silent { device, .. }
            | FleetLogEvent::Held { device }
            | FleetLogEvent::LetGo { device, .. }
            | FleetLogEvent::Returned { device, .. } => LogSubject::Device(*device),
            FleetLogEvent::PortDevicesSilent { port, .. }
            | FleetLogEvent::PortWithoutAnswers { port, .. } => LogSubject::Port(*port),
        }
    }

    fn devices(&self) -> &[DeviceId] {
        match self {
            FleetLogEvent::PortDevicesSilent { devices, .. } => devices,
            _ => &[],
        }
    }

    fn fields(&self) -> Vec<(JournalField, String)> {
        match self {
            FleetLogEvent::Silent {
                because: SilenceReason::Missed { polls, quiet, .. },
                ..
            } => vec![
                (JournalField::Missed, polls.to_string()),
                (JournalField::QuietMs, quiet.as_millis().to_string()),
            ],
            FleetLogEvent::Returned { after, .. } => {
                vec![(JournalField::SilentMs, after.as_millis().to_string())]
            }
            FleetLogEvent::PortDevicesSilent { devices, .. } => {
                vec![(JournalField::Count, devices.len().to_string())]
            }
            FleetLogEvent::PortWithoutAnswers { devices, .. } => {
                vec![(JournalField::Count, devices.to_string())]
            }
            _ => Vec::new(),
        }
    }

    fn sentence(&self) -> String {
        match self {
            FleetLogEvent::Appeared { .. } => "responding".into(),
            FleetLogEvent::Silent {
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
                    "silent: {}, {} quiet, last: {}{history}",
                    unanswered(*polls),
                    seconds(*quiet),
                    miss_words(*last)
                )
            }
            FleetLogEvent::Silent {
                because: SilenceReason::PortDown,
                ..
            } => "silent: its port is down".into(),
            FleetLogEvent::Held { .. } => {
                "fell silent again and again: still polled, but kept offline on \
                                    the platform until it has been steadier for a while (check \
                                    wiring, termination, power; response_timeout: if it is slow)"
                    .into()
            }
            FleetLogEvent::LetGo { answers: true, .. } => {
                "no longer kept offline for falling silent often".into()
            }
            FleetLogEvent::LetGo { answers: false, .. } => {
                "no longer kept offline for falling silent often, but still silent".into()
            }
            FleetLogEvent::Returned { after, .. } => {
                format!("responding again after {} of silence", seconds(*after))
            }
            FleetLogEvent::PortWithoutAnswers {
                devices,
                answered_before,
                ..
            } => format!(
                "none of its {} {}: look at what they share (cable, bias, power, \
                 adapter, line settings) before looking at any one of them",
                counted(*devices, "device"),
                match answered_before {
                    true => "answers any more",
                    false => "has answered since the start",
                }
            ),
            FleetLogEvent::PortDevicesSilent { devices, why, .. } => {
                format!(
                    "down: {why}; {} silent",
                    match devices.len() {
                        0 => "no device counts as".into(),
                        1 => "its device counts as".into(),
                        n => format!("its {} count as", counted(n, "device")),
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
fn miss_words(miss: MissReason) -> String {
    match miss {
        MissReason::Silence => "not one byte came back".into(),
        MissReason::Garbled => "garbled bytes, no frame with a good checksum".into(),
        MissReason::Foreign => "a good frame that was not the reply asked for".into(),
        MissReason::GatewayException(code) => {
            format!(
                "a Modbus gateway in between says it cannot reach the unit (exception {code:#04x})"
            )
        }
        MissReason::ConnectionLost => "the connection broke while waiting".into(),
    }
}

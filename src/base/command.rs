//! Commands: what a person or the platform wants a device to do, and what became of it.
//!
//! A command has one life. `command/` decides whether it is carried out, a port carries it out
//! (`field/schedule/commands.rs`), and its sender gets one answer. The types that these
//! rooms exchange are here.

use std::fmt;
use std::time::Duration;

use serde_json::Value as Json;

use super::{DeviceId, Mono, Value};

/// The number of a command in this process. Those of the platform are even, those that are given
/// on this machine odd.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandNumber(pub u64);

impl fmt::Display for CommandNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who gave a command.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CommandOrigin {
    /// The platform, with the id of its message.
    Cloud {
        /// The id, which a repeated delivery has as well.
        id: String,
    },
    /// A user of this machine, through the control socket.
    Local {
        /// The user's number.
        user: u32,
        /// Whether `control.write` permits that user to give commands.
        is_permitted: bool,
    },
}

impl fmt::Display for CommandOrigin {
    /// Writes the origin for the journal: `cloud message 17`, `user 1000`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CommandOrigin::Cloud { id } => write!(f, "cloud message {id}"),
            CommandOrigin::Local { user, .. } => write!(f, "user {user}"),
        }
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum CommandAction {
    /// Points are to have these values, in this order.
    Set(Vec<(String, Json)>),
    /// A service of the profile is to run, with these inputs.
    Call {
        /// The identifier of the service.
        service: String,
        /// Its inputs.
        inputs: Vec<(String, Json)>,
    },
}

/// One command, as it came.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// Its number.
    pub number: CommandNumber,
    /// Who gave it.
    pub origin: CommandOrigin,
    /// The device that it is for; `None` for the gateway itself.
    pub device: Option<DeviceId>,
    /// What is to be done.
    pub action: CommandAction,
    /// How long its sender waits for the answer. Nothing is written after that.
    pub within: Duration,
}

/// A command on its way to a port: valid, and permitted.
#[derive(Clone, Debug, PartialEq)]
pub struct BusCommand {
    /// Its number.
    pub number: CommandNumber,
    /// The device.
    pub device: DeviceId,
    /// What is to be done there.
    pub work: BusWork,
    /// When its sender stops waiting. No request that writes is sent so late that its reply
    /// could come after that.
    pub until: Mono,
}

/// What a port does for a command.
#[derive(Clone, Debug, PartialEq)]
pub enum BusWork {
    /// Writes these values to these points of the device's profile, and reads them back.
    Set(Vec<(u16, Value)>),
    /// Runs a service of the device's profile.
    Call {
        /// The index of the service in the profile.
        service: u16,
        /// Its inputs, in the order of the profile.
        inputs: Vec<Value>,
    },
}

/// What became of a command on its port.
#[derive(Clone, Debug, PartialEq)]
pub struct BusEnd {
    /// The number of the command.
    pub number: CommandNumber,
    /// What became of each point that was to be written, in the order of the command.
    pub points: Vec<PointEnd>,
    /// What a service read, by the names of its outputs.
    pub outputs: Vec<(String, Value)>,
    /// Why a service stopped before its end.
    pub stopped: Option<ServiceStop>,
}

impl BusEnd {
    /// Returns the end of a command of which nothing was done.
    #[must_use]
    pub fn refused(command: &BusCommand, why: RefusedReason) -> Self {
        let verdict = WriteVerdict::Refused(why);
        let points = match &command.work {
            BusWork::Set(values) => values
                .iter()
                .map(|(point, _)| PointEnd {
                    point: *point,
                    verdict: verdict.clone(),
                })
                .collect(),
            BusWork::Call { .. } => Vec::new(),
        };
        BusEnd {
            number: command.number,
            points,
            outputs: Vec::new(),
            stopped: Some(ServiceStop { step: 1, verdict }),
        }
    }
}

/// Where and why a service stopped.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceStop {
    /// The step, counted from 1.
    pub step: usize,
    /// What became of it.
    pub verdict: WriteVerdict,
}

/// What became of one point of a command.
#[derive(Clone, Debug, PartialEq)]
pub struct PointEnd {
    /// The index of the point in the device's profile.
    pub point: u16,
    /// What became of it.
    pub verdict: WriteVerdict,
}

/// What became of one write.
#[derive(Clone, Debug, PartialEq)]
pub enum WriteVerdict {
    /// The device holds the value: it was read back.
    Verified {
        /// The value that was read.
        read: Value,
    },
    /// The device confirmed the write and its point is not read back, as the configuration
    /// says.
    Confirmed {
        /// The value that was written.
        written: Value,
    },
    /// The device confirmed the write, and holds another value.
    Different {
        /// The value that was written.
        written: Value,
        /// The value that was read.
        read: Value,
    },
    /// The request was sent, and whether the device holds the value is not known.
    Unknown(UnknownReason),
    /// Nothing was written.
    Refused(RefusedReason),
}

impl WriteVerdict {
    /// Returns whether the command did what it was to do, as far as it was to be found out.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        matches!(
            self,
            WriteVerdict::Verified { .. } | WriteVerdict::Confirmed { .. }
        )
    }

    /// Returns the word for the journal and for programs.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            WriteVerdict::Verified { .. } => "verified",
            WriteVerdict::Confirmed { .. } => "confirmed",
            WriteVerdict::Different { .. } => "different",
            WriteVerdict::Unknown(_) => "unknown",
            WriteVerdict::Refused(_) => "refused",
        }
    }
}

impl fmt::Display for WriteVerdict {
    /// Writes the verdict in words: `verified: the device holds 21.5`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WriteVerdict::Verified { read } => {
                write!(f, "verified: the device holds {}", read.to_json_text())
            }
            WriteVerdict::Confirmed { written } => write!(
                f,
                "confirmed: the device acknowledged {}; the point is not read back",
                written.to_json_text()
            ),
            WriteVerdict::Different { written, read } => write!(
                f,
                "different: {} was written and acknowledged, and the device holds {}",
                written.to_json_text(),
                read.to_json_text()
            ),
            WriteVerdict::Unknown(doubt) => write!(f, "unknown: {}", doubt.words()),
            WriteVerdict::Refused(why) => write!(f, "refused: {why}"),
        }
    }
}

/// Why it is not known whether a device holds what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownReason {
    /// The request was sent, and no reply came.
    NoReply,
    /// The device acknowledged the write, and the value could not be read back.
    NotReadBack,
    /// The device acknowledged the write, and the time was over before the value was read back.
    NoTime,
    /// The port was closed or set up anew while the command was under way.
    PortGone,
    /// The port has not said in time what became of it.
    NoEnd,
}

impl UnknownReason {
    /// Returns the reason in words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            UnknownReason::NoReply => {
                "the request was sent and the device did not answer; it may have done it"
            }
            UnknownReason::NotReadBack => {
                "the device acknowledged the write, and its value could not be read back"
            }
            UnknownReason::NoTime => {
                "the device acknowledged the write, and there was no time to read its value back"
            }
            UnknownReason::NoEnd => {
                "its port did not report its end in time; it may have been done"
            }
            UnknownReason::PortGone => {
                "the port was lost while the command was under way; it may have been done"
            }
        }
    }
}

/// Why nothing was written.
#[derive(Clone, Debug, PartialEq)]
pub enum RefusedReason {
    /// The configuration permits no commands, or none from there.
    NotPermitted,
    /// The gateway has no such device.
    NoSuchDevice,
    /// The device's profile has no such point or service.
    NoSuchTarget,
    /// The profile does not say that the point may be written.
    NotWritable,
    /// The value, or an input of the service, is not what was wanted.
    WrongValue {
        /// What was seen.
        seen: String,
        /// What is wanted.
        wanted: String,
    },
    /// The command names nothing to write, or the same point twice.
    NothingToDo,
    /// The device does not answer.
    Silent,
    /// The port is not open.
    PortDown,
    /// Too many commands wait.
    TooMany,
    /// Its turn did not come in time.
    TooLate,
    /// A newer command for the same point came while this one waited.
    Overtaken,
    /// The point was written a moment ago, and may be written again after this time.
    TooSoon(Duration),
    /// The point must be confirmed: the same command again within this time.
    NotConfirmed(Duration),
    /// Another point does not have the value that the write depends on.
    Interlock {
        /// That point.
        point: String,
        /// Its value; `None` if it could not be read.
        value: Option<Value>,
        /// What is wanted.
        wanted: String,
    },
    /// An earlier step of the same command failed.
    NotReached,
    /// The device refused the write, with this exception code.
    Exception(u8),
    /// A meter refused the write.
    Declined {
        /// Its error word.
        word: u8,
        /// What it means, and what helps.
        why: String,
    },
    /// The gateway is stopping.
    Stopping,
}

impl fmt::Display for RefusedReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RefusedReason::NotPermitted => f.write_str("the configuration permits no such command"),
            RefusedReason::NoSuchDevice => f.write_str("the gateway has no such device"),
            RefusedReason::NoSuchTarget => {
                f.write_str("the device's profile has no point or service of this name")
            }
            RefusedReason::NotWritable => {
                f.write_str("the point is read-only: its profile has no write: for it")
            }
            RefusedReason::WrongValue { seen, wanted } => write!(f, "{seen}: wanted {wanted}"),
            RefusedReason::NothingToDo => {
                f.write_str("the command names no point, or one point twice")
            }
            RefusedReason::Silent => f.write_str("the device does not answer"),
            RefusedReason::PortDown => f.write_str("the port of the device is not open"),
            RefusedReason::TooMany => f.write_str("too many commands wait"),
            RefusedReason::TooLate => f.write_str("its turn on the line did not come in time"),
            RefusedReason::Overtaken => {
                f.write_str("a newer command for the same point came first")
            }
            RefusedReason::TooSoon(wait) => write!(
                f,
                "the point was written a moment ago; it may be written again in {:.1} s",
                wait.as_secs_f64()
            ),
            RefusedReason::NotConfirmed(within) => write!(
                f,
                "the point wants a confirmation: send the same command again within {:.0} s",
                within.as_secs_f64()
            ),
            RefusedReason::Interlock {
                point,
                value: Some(value),
                wanted,
            } => write!(f, "{point} is {}: wanted {wanted}", value.to_json_text()),
            RefusedReason::Interlock {
                point,
                value: None,
                wanted,
            } => write!(f, "{point} could not be read: wanted {wanted}"),
            RefusedReason::NotReached => f.write_str("an earlier part of the same command failed"),
            RefusedReason::Exception(code) => {
                write!(f, "the device refused the write, code {code:02X}h")
            }
            RefusedReason::Declined { word, why } => {
                write!(f, "the meter refused, error word {word:02X}h: {why}")
            }
            RefusedReason::Stopping => f.write_str("the gateway is stopping"),
        }
    }
}

/// The answer to a command.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandAnswer {
    /// What became of each point, by its id, in the order of the command. A service has none
    /// of its own points here but those that it wrote.
    pub points: Vec<(String, WriteVerdict)>,
    /// What a service read.
    pub outputs: Vec<(String, Value)>,
    /// The step at which a service stopped, counted from 1.
    pub step: Option<usize>,
    /// What became of the whole: the first verdict that is not done, or that of the last
    /// point.
    pub whole: WriteVerdict,
}

impl CommandAnswer {
    /// Returns what became of the whole, in words, with the step at which a service stopped.
    #[must_use]
    pub fn words(&self) -> String {
        match self.step {
            Some(step) => format!("{} (at step {step})", self.whole),
            None => self.whole.to_string(),
        }
    }

    /// Returns the answer to a command of which nothing was done.
    #[must_use]
    pub const fn refused(why: RefusedReason) -> Self {
        CommandAnswer {
            step: None,
            points: Vec::new(),
            outputs: Vec::new(),
            whole: WriteVerdict::Refused(why),
        }
    }
}

//! Which values may be written to a device, and how it is made certain that the device holds
//! them.

use serde::Serialize;
use std::fmt;
use std::time::Duration;

use super::Decimal;
use super::raw::WriteBy;
use crate::base::Value;

/// How a point is written. A point without a policy is read-only.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WritePolicy {
    /// The least value that is written, if there is one.
    pub min: Option<Decimal>,
    /// The greatest value that is written, if there is one.
    pub max: Option<Decimal>,
    /// Values are whole multiples of this above `min`, or above 0; larger than 0.
    pub step: Option<Decimal>,
    /// How long after the device's reply its new value is read back. Default 0.
    pub settle: Duration,
    /// Where the value is read back.
    pub read_back: ReadBack,
    /// The shortest time between two writes, for memory that wears out. Default 0.
    pub least_interval: Duration,
    /// A command is carried out only if the same command comes again within this time.
    pub confirm: Option<Duration>,
    /// What must hold in the device before it is written.
    pub only_if: Option<Interlock>,
    /// With which request a device without a standard is told the value; `None` in other
    /// protocols.
    pub by: Option<WriteBy>,
}

impl Default for WritePolicy {
    fn default() -> Self {
        WritePolicy {
            min: None,
            max: None,
            step: None,
            settle: Duration::ZERO,
            read_back: ReadBack::Itself,
            least_interval: Duration::ZERO,
            confirm: None,
            only_if: None,
            by: None,
        }
    }
}

impl WritePolicy {
    /// Returns whether this number may be written: within the limits, and a whole number of steps
    /// above `min`, or above 0. A state is 0 or 1.
    #[must_use]
    pub fn permits(&self, value: Decimal) -> bool {
        let from = self.min.unwrap_or(Decimal::ZERO);
        self.min.is_none_or(|min| value.compare(min).is_ge())
            && self.max.is_none_or(|max| value.compare(max).is_le())
            && self.step.is_none_or(|step| value.is_on_grid(from, step))
    }

    /// Returns which numbers may be written, in words: `5 to 60 in steps of 0.5 from 5`; `None` if
    /// all may be.
    #[must_use]
    pub fn range(&self) -> Option<String> {
        let limits = match (self.min, self.max) {
            (Some(min), Some(max)) => Some(format!("{min} to {max}")),
            (Some(min), None) => Some(format!("at least {min}")),
            (None, Some(max)) => Some(format!("at most {max}")),
            (None, None) => None,
        };
        let Some(step) = self.step else {
            return limits;
        };
        let from = self.min.unwrap_or(Decimal::ZERO);
        Some(match limits {
            Some(limits) => format!("{limits} in steps of {step} from {from}"),
            None => format!("steps of {step} from {from}"),
        })
    }
}

/// Where a value that was written is read back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum ReadBack {
    /// At the point itself.
    #[default]
    Itself,
    /// At another point of the profile, by its index: many devices take a command in one
    /// register and show their state in another.
    Point(u16),
    /// Nowhere: the reply of the device is all that there is.
    Never,
}

/// A condition on another point of the same device, which is read just before a write.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Interlock {
    /// The index of that point in the profile.
    pub point: u16,
    /// What must hold.
    pub condition: Condition,
}

/// A condition on a value. All of its parts must hold; a text fulfils none. States are 0 and 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// The value is one of these, if there are any.
    pub is: Vec<Decimal>,
    /// The value is none of these.
    pub is_not: Vec<Decimal>,
    /// The value is greater than this.
    pub above: Option<Decimal>,
    /// The value is less than this.
    pub below: Option<Decimal>,
}

impl Condition {
    /// Returns whether the value fulfils the condition.
    #[must_use]
    pub fn holds(&self, value: &Value) -> bool {
        let Some(value) = Decimal::of(value) else {
            return false;
        };
        let equals = |d: &Decimal| value.compare(*d).is_eq();
        (self.is.is_empty() || self.is.iter().any(equals))
            && !self.is_not.iter().any(equals)
            && self.above.is_none_or(|d| value.compare(d).is_gt())
            && self.below.is_none_or(|d| value.compare(d).is_lt())
    }

    /// Returns the condition with its limits moved outwards by so much; `None` if a limit and
    /// the hysteresis are too far apart in size.
    #[must_use]
    pub fn widened(&self, hysteresis: Decimal) -> Option<Condition> {
        let moved = |limit: Option<Decimal>, by: Decimal| match limit {
            Some(limit) => limit.plus(by).map(Some),
            None => Some(None),
        };
        Some(Condition {
            above: moved(self.above, hysteresis.negated())?,
            below: moved(self.below, hysteresis)?,
            ..self.clone()
        })
    }
}

impl fmt::Display for Condition {
    /// Writes the condition in words: `1 or 2, above 0`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |all: &[Decimal]| {
            let all: Vec<String> = all.iter().map(Decimal::to_string).collect();
            all.join(" or ")
        };
        let parts = [
            (!self.is.is_empty()).then(|| list(&self.is)),
            (!self.is_not.is_empty()).then(|| format!("not {}", list(&self.is_not))),
            self.above.map(|d| format!("above {d}")),
            self.below.map(|d| format!("below {d}")),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        f.write_str(&parts.join(", "))
    }
}

/// With which requests registers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct WriteRequests {
    /// For one register or coil, and for several.
    pub functions: WriteFunctions,
    /// Whether single bits of a register are written by function 22 (Modbus Application Protocol
    /// V1.1b3 §6.16). If not, the register is read and written with nothing in between.
    pub mask_write: bool,
}

impl Default for WriteRequests {
    fn default() -> Self {
        WriteRequests {
            functions: WriteFunctions::Both,
            mask_write: false,
        }
    }
}

/// Which functions a kind of device has for writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum WriteFunctions {
    /// 5 and 6 for one entry, 15 and 16 for several that are side by side.
    #[default]
    Both,
    /// Only 5 and 6: one entry in each request.
    Single,
    /// Only 15 and 16, for one entry as well.
    Multiple,
}

/// A service of a profile: steps that are taken in turn.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServiceSpec {
    /// The identifier of the service in the thing model.
    pub id: String,
    /// What its caller gives.
    pub inputs: Vec<InputSpec>,
    /// Its steps.
    pub steps: Vec<ServiceStep>,
}

/// An input of a service.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InputSpec {
    /// Its name.
    pub name: String,
    /// The least value, if there is one.
    pub min: Option<Decimal>,
    /// The greatest value, if there is one.
    pub max: Option<Decimal>,
    /// What it is if the caller does not say; without, it must be given.
    pub default: Option<Value>,
}

/// A step of a service. The first that fails ends the service.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum ServiceStep {
    /// Writes points, each of which must be writable, and reads them back.
    Write(Vec<(u16, Operand)>),
    /// Waits.
    Wait(Duration),
    /// Reads a point; its value is an output of this name.
    Read {
        /// The index of the point in the profile.
        point: u16,
        /// The name of the output.
        output: String,
    },
    /// Reads a point, and goes on only if the condition holds.
    Require(Interlock),
}

/// A value in a step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Operand {
    /// This value.
    Fixed(Value),
    /// The input with this index.
    Input(u16),
}

/// Which commands are carried out, and how long their senders wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct CommandSpec {
    /// Whose commands are carried out.
    pub allow: CommandPolicy,
    /// How long the sender of a synchronous call waits for the answer. Default 4 s: the platform
    /// gives a device 8 s ("What is RRPC?"), its caller may choose less, and some of it is the
    /// way.
    pub sync_within: Duration,
    /// How long the sender of any other command waits. Default 10 s.
    pub async_within: Duration,
    /// Whether a device that comes online takes the values that the platform keeps for it
    /// ("Desired device property values"). Default no: it costs a message for each log-in.
    pub desired: bool,
}

impl Default for CommandSpec {
    fn default() -> Self {
        CommandSpec {
            allow: CommandPolicy::On,
            sync_within: Duration::from_secs(4),
            async_within: Duration::from_secs(10),
            desired: false,
        }
    }
}

/// Whose commands are carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum CommandPolicy {
    /// None.
    Off,
    /// Those of this machine's users.
    Local,
    /// Those of the platform as well.
    #[default]
    On,
}

impl CommandPolicy {
    /// Returns the word of the configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            CommandPolicy::Off => "off",
            CommandPolicy::Local => "local",
            CommandPolicy::On => "on",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    fn policy(min: &str, max: &str, step: &str) -> WritePolicy {
        WritePolicy {
            min: Decimal::parse(min),
            max: Decimal::parse(max),
            step: Decimal::parse(step),
            ..WritePolicy::default()
        }
    }

    #[test]
    fn what_may_be_written_is_within_the_limits_and_on_a_step() {
        for (min, max, step, words, allowed, refused) in [
            ("", "", "", None, &["0", "-1e300", "0.1"][..], &[][..]),
            (
                "5",
                "60",
                "",
                Some("5 to 60"),
                &["5", "5.001", "60"],
                &["4.999", "60.1"],
            ),
            (
                "5.2",
                "60",
                "0.5",
                Some("5.2 to 60 in steps of 0.5 from 5.2"),
                &["5.2", "5.7", "59.7"],
                &["5.5", "60", "60.2"],
            ),
            (
                "",
                "",
                "0.1",
                Some("steps of 0.1 from 0"),
                &["-0.3", "0.3", "7"],
                &["0.25"],
            ),
            (
                "",
                "9",
                "2",
                Some("at most 9 in steps of 2 from 0"),
                &["8", "-2"],
                &["9", "10"],
            ),
        ] {
            let policy = policy(min, max, step);
            assert_eq!(policy.range().as_deref(), words);
            for value in allowed {
                assert!(policy.permits(decimal(value)), "{value}: {words:?}");
            }
            for value in refused {
                assert!(!policy.permits(decimal(value)), "{value}: {words:?}");
            }
        }
    }
}

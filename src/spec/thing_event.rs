//! Which values of a device are events of its thing model.

use serde::Serialize;
use std::fmt;
use std::sync::Arc;

use super::Condition;
use crate::base::Value;

/// An event of a profile, and the rule that raises it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ThingEventSpec {
    /// The identifier of the event in the thing model.
    pub id: Arc<str>,
    /// When it is raised.
    pub when: EventRule,
    /// Its output data: the name of each output parameter, and what is sent for it.
    pub data: Vec<(Arc<str>, EventOutput)>,
}

/// When an event is raised.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EventRule {
    /// The index of the point in the profile.
    pub point: u16,
    /// What raises the event.
    pub trigger: EventTrigger,
}

/// What raises an event.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum EventTrigger {
    /// The condition begins to hold.
    Begins {
        /// The condition.
        condition: Condition,
        /// Once raised, the event is raised again only after this did not hold: the same
        /// condition, with its limits moved by the hysteresis.
        stays: Condition,
    },
    /// The value becomes another one for which the condition holds; `None` stands for every
    /// value.
    Changes(Option<Condition>),
}

/// What is sent for an output parameter.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum EventOutput {
    /// The last good value of the point with this index.
    Point(u16),
    /// This value.
    Fixed(Value),
}

impl fmt::Display for EventTrigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EventTrigger::Begins { condition, stays } if condition == stays => {
                write!(f, "{condition}")
            }
            EventTrigger::Begins { condition, stays } => {
                write!(f, "{condition}, until it is not {stays}")
            }
            EventTrigger::Changes(None) => f.write_str("changes"),
            EventTrigger::Changes(Some(condition)) => write!(f, "changes to {condition}"),
        }
    }
}

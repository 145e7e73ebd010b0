//! What a configuration says of devices without a standard: the request ([`template`], [`check`]),
//! the form of the reply ([`reply`]), the positions of its values ([`part`]) and how a value is
//! written ([`form`]). How a reply is found on a line is decided in `field`.

pub mod check;
pub mod form;
pub mod part;
pub mod reply;
pub mod template;

pub use check::{Check, Sum};
pub use form::{ValueForm, WriteBy};
pub use part::ReplyPart;
pub use reply::{Fixed, ReplyEnd, ReplyMarks};
pub use template::Template;

use crate::base::UnitId;
use serde::Serialize;

/// One question to a device, and what counts as its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RawQuestion {
    /// The name for its points and for the operator; unique within the profile.
    pub name: String,
    /// The bytes that are sent.
    pub request: Template,
    /// The form of the reply.
    pub reply: ReplyMarks,
    /// The unit, if request and reply are function and data of Modbus, in frames of Modbus TCP to
    /// this unit. `None`: request and reply are the only bytes on the line.
    pub carried: Option<UnitId>,
}

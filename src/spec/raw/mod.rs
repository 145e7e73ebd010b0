//! What a configuration says of devices without a standard: what to send
//! ([`template`], [`check`]), what a reply looks like ([`reply`]) and where its
//! values stand ([`part`]). How a reply is found on a line is `field`'s to know.

pub mod check;
pub mod part;
pub mod reply;
pub mod template;

pub use check::{Check, Sum};
pub use part::Part;
pub use reply::{End, Fixed, Shape};
pub use template::Template;

use crate::base::UnitId;

/// One question to a device, and what counts as its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Unique within the profile; what its points and the operator call it.
    pub name: String,
    /// What is sent.
    pub request: Template,
    /// What comes back.
    pub reply: Shape,
    /// Request and reply are function and data of Modbus, in frames of Modbus TCP
    /// to this unit. `None`: they are all there is on the line.
    pub carried: Option<UnitId>,
}

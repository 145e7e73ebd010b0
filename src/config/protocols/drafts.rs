//! The points of a profile whose protocol is not Modbus, before it is known how they are written.

use crate::config::points::point::Points;
use crate::config::points::write::WriteDraft;
use crate::config::reader::tree::OriginId;

/// The points of a profile, and what is said of writing them.
#[derive(Default)]
pub(crate) struct Drafts<'a> {
    pub(crate) points: Points,
    /// What `write:` says, by the index of its point.
    pub(crate) writes: Vec<(u16, WriteDraft<'a>)>,
    /// Where the id of each point stands.
    pub(crate) origins: Vec<OriginId>,
    /// Whether every entry of the list became a point.
    pub(crate) complete: bool,
}

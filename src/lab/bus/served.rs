//! What units have carried out, for those who judge a run afterwards.

use crate::base::{Now, UnitId};

/// A request that a unit carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// When the unit looked at its registers.
    pub at: Now,
    /// The unit.
    pub unit: UnitId,
    /// The request, without the frame around it.
    pub request: Vec<u8>,
    /// The reply, without the frame around it; an exception included.
    pub reply: Vec<u8>,
}

/// How many requests are recorded at the most until they are taken.
const MOST_RECORDED: usize = 500_000;

/// The requests since they were last taken, if they are to be recorded.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    kept: Option<Vec<Served>>,
}

impl Record {
    /// Records from now on.
    pub(super) fn begin(&mut self) {
        self.kept.get_or_insert_default();
    }

    /// Returns what was recorded since the last call.
    pub(super) fn take(&mut self) -> Vec<Served> {
        self.kept.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Records a request; returns false if there was no room for it.
    pub(super) fn note(&mut self, served: impl FnOnce() -> Served) -> bool {
        match &mut self.kept {
            Some(all) if all.len() < MOST_RECORDED => all.push(served()),
            Some(_) => return false,
            None => {}
        }
        true
    }
}

//! A device whose replies come from a function.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::BusReply;
use crate::base::Now;

/// The function from received bytes to replies.
type Replies = dyn FnMut(Now, &[u8]) -> Vec<BusReply> + Send;

/// A device given by a function from received bytes to replies. Clones share the
/// function.
#[derive(Clone)]
pub struct Custom(Arc<Mutex<Replies>>);

impl Custom {
    /// Builds a device that sends what `replies` returns: nothing, if the request is
    /// not for it.
    #[must_use]
    pub fn new(replies: impl FnMut(Now, &[u8]) -> Vec<BusReply> + Send + 'static) -> Custom {
        Custom(Arc::new(Mutex::new(replies)))
    }

    pub(super) fn replies_to(&self, now: Now, heard: &[u8]) -> Vec<BusReply> {
        let mut replies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        replies(now, heard)
    }
}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Custom")
    }
}

//! What travels: topics, signatures, requests and replies, and what waits to be sent.

pub(crate) mod outbox;
pub(crate) mod output;
pub(crate) mod reply;
pub(crate) mod sign;
pub(crate) mod topic;

//! The time, the identities and the outbox that the engine hands to each of its parts.

use crate::base::{DeviceId, Mono};

use crate::cloud::alink::events::outbox::Outbox;
use crate::cloud::alink::requests::identities::Identities;
use crate::cloud::alink::wire::payload::Reply;

/// The time, and what all parts share.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    /// What time it is.
    pub now: Mono,
    /// Who the devices are, and their secrets.
    pub identities: &'a mut Identities,
    /// Where log events and counts go.
    pub outbox: &'a mut Outbox,
}

/// The platform's answer to a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestAnswer<'a> {
    /// The code, the platform's words and the devices that the answer names.
    pub reply: &'a Reply,
    /// Those of the devices named that are ours.
    pub named: &'a [DeviceId],
    /// The answer as it came.
    pub payload: &'a [u8],
}

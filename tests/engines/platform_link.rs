//! The connection from the lab's platform to a coordinator.

use alink_gateway::base::{LinkEvent, Now};
use alink_gateway::hub::{Coordinator, Input};
use alink_gateway::lab::platform::{Conn, Output};

/// Delivers what the platform publishes on this connection; on another one it is lost.
pub(crate) fn deliver(hub: &mut Coordinator, now: Now, connection: Option<Conn>, out: Output) {
    if let Output::Publish {
        conn,
        topic,
        payload,
    } = out
        && connection == Some(conn)
    {
        hub.handle(now, Input::Link(LinkEvent::Message { topic, payload }));
    }
}

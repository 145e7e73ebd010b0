//! What the link itself tells; why it is down and when it tries again is told
//! by `cloud/connect.rs`.

use crate::base::{About, Level, Tell};

/// Things only the link knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkNotice {
    /// What was waiting for a connection that ended went with it, and what did
    /// not fit into a packet.
    Dropped {
        /// Commands given up.
        commands: u64,
    },
    /// A message of ours does not fit into a packet: our own fault.
    Unsendable {
        /// Its topic, or the first filter.
        topic: String,
        /// Its size in bytes.
        size: usize,
    },
    /// Some of the system's root certificates could not be used.
    RootsSkipped {
        /// How many.
        skipped: usize,
        /// How many are left.
        usable: usize,
    },
}

impl Tell for LinkNotice {
    fn level(&self) -> Level {
        match self {
            LinkNotice::Dropped { .. } => Level::Info,
            LinkNotice::Unsendable { .. } => Level::Error,
            LinkNotice::RootsSkipped { .. } => Level::Warn,
        }
    }

    fn event(&self) -> &'static str {
        match self {
            LinkNotice::Dropped { .. } => "link-dropped",
            LinkNotice::Unsendable { .. } => "link-unsendable",
            LinkNotice::RootsSkipped { .. } => "tls-roots-skipped",
        }
    }

    fn about(&self) -> About {
        About::Gateway
    }

    fn fields(&self) -> Vec<(&'static str, String)> {
        match self {
            LinkNotice::Dropped { commands } => vec![("COUNT", commands.to_string())],
            LinkNotice::Unsendable { topic, size } => {
                vec![("TOPIC", topic.clone()), ("SIZE", size.to_string())]
            }
            LinkNotice::RootsSkipped { skipped, .. } => vec![("COUNT", skipped.to_string())],
        }
    }

    fn sentence(&self) -> String {
        match self {
            LinkNotice::Dropped { commands } => format!(
                "{commands} messages for a connection that is gone were not sent; whoever still needs them asks again"
            ),
            LinkNotice::Unsendable { topic, size } => format!(
                "a message of {size} bytes to {topic:?} does not fit into an MQTT packet of {} bytes and was dropped: this is a fault of the gateway, please report it",
                super::talk::PACKET_MAX
            ),
            LinkNotice::RootsSkipped { skipped, usable } => format!(
                "{skipped} of the system's root certificates cannot be read and are ignored; {usable} are in use"
            ),
        }
    }
}

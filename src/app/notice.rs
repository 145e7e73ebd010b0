//! What the operator is told about the service itself.

use std::time::Duration;

use crate::base::{About, Level, Tell};

/// The service's own life.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Notice {
    /// It begins.
    Started {
        /// Ports configured.
        ports: usize,
        /// Devices configured.
        devices: usize,
        /// Whether the gateway has an identity.
        commissioned: bool,
    },
    /// It was asked to end.
    Stopping {
        /// How long that may take.
        within: Duration,
    },
}

impl Tell for Notice {
    fn level(&self) -> Level {
        Level::Info
    }

    fn event(&self) -> &'static str {
        match self {
            Notice::Started { .. } => "service-started",
            Notice::Stopping { .. } => "service-stopping",
        }
    }

    fn about(&self) -> About {
        About::Gateway
    }

    fn sentence(&self) -> String {
        match self {
            Notice::Started {
                ports,
                devices,
                commissioned,
            } => format!(
                "alink-gateway {} started: {}, {}{}",
                env!("CARGO_PKG_VERSION"),
                many(*ports, "port"),
                many(*devices, "device"),
                if *commissioned {
                    ""
                } else {
                    "; not commissioned, keeps away from the platform"
                }
            ),
            Notice::Stopping { within } => format!(
                "asked to stop: logging everyone out, at most {} s",
                within.as_secs()
            ),
        }
    }
}

fn many(n: usize, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}

//! Notices become journal entries, or lines on a terminal.
//!
//! The only place that turns a [`Tell`] into a log record. It adds what every
//! line must carry: device, port, unit id, product key and device name.

use std::sync::Arc;

use tracing::{debug, error, info, warn};

use crate::base::{About, DeviceId, Level, PortId, Tell};
use crate::spec::Spec;

/// Knows the names behind the ids, and where log records go.
#[derive(Clone, Debug)]
pub struct Journal {
    spec: Arc<Spec>,
}

impl Journal {
    /// A journal for this installation.
    #[must_use]
    pub fn new(spec: Arc<Spec>) -> Self {
        Journal { spec }
    }

    /// Tells the operator.
    pub fn tell(&self, notice: &dyn Tell) {
        let text = format!("{}{}", self.whom(notice.about()), notice.sentence());
        match notice.level() {
            Level::Error => error!("{text}"),
            Level::Warn => warn!("{text}"),
            Level::Info => info!("{text}"),
            Level::Debug => debug!("{text}"),
        }
    }

    fn whom(&self, about: About) -> String {
        match about {
            About::Gateway => String::new(),
            About::Port(PortId(n)) => match self.spec.port(PortId(n)) {
                Some(p) => format!("{}: ", p.name),
                None => format!("port {n}: "),
            },
            About::Device(DeviceId(n)) => match self.spec.device(DeviceId(n)) {
                Some(d) => format!("{}: ", d.name),
                None => format!("device {n}: "),
            },
        }
    }
}

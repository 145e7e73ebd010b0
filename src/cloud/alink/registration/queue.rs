//! The queues in which devices wait for a step before their log-in.

use crate::base::DeviceId;
use crate::spec::Spec;

use crate::cloud::alink::session::device::LoginNeed;

/// Where a device asks for a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueueKind {
    /// A secret, by name alone.
    Register,
    /// A secret, with the signature of the device's product.
    ProductRegister,
    /// A relation to the gateway.
    Relate,
}

impl QueueKind {
    pub(crate) const ALL: [QueueKind; 3] = [
        QueueKind::Register,
        QueueKind::ProductRegister,
        QueueKind::Relate,
    ];

    /// Returns the queue in which this device asks for that step.
    pub(crate) fn of(step: LoginNeed, id: DeviceId, spec: &Spec) -> QueueKind {
        match step {
            LoginNeed::Relate => QueueKind::Relate,
            LoginNeed::Register => {
                let product = spec.device(id).map(|d| &d.product_key);
                let known = product.is_some_and(|p| spec.cloud.products.contains_key(p));
                match known {
                    true => QueueKind::ProductRegister,
                    false => QueueKind::Register,
                }
            }
        }
    }

    pub(crate) const fn index(self) -> usize {
        match self {
            QueueKind::Register => 0,
            QueueKind::ProductRegister => 1,
            QueueKind::Relate => 2,
        }
    }

    /// Returns the step that a request in this queue is for.
    pub(crate) const fn step(self) -> LoginNeed {
        match self {
            QueueKind::Register | QueueKind::ProductRegister => LoginNeed::Register,
            QueueKind::Relate => LoginNeed::Relate,
        }
    }
}

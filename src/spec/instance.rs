//! The kinds of instances of the platform, and what each may carry.

use serde::Serialize;

/// The kind of the platform's instance that the gateway connects to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum InstanceKind {
    /// A bought instance, standard or premium. How many devices may be online and how many
    /// messages a second it carries was bought, so that only the limits of a single gateway
    /// are known.
    Standard,
    /// The public instance that an account gets today ("new public instance"), for trials.
    Public,
    /// The public instance of an old account: one without an instance id. Its quotas are
    /// those of the account, and larger than a gateway needs.
    LegacyPublic,
}

/// What an instance may carry, as far as the platform publishes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct InstanceQuota {
    /// How many devices of the whole instance may be online at once, gateways included.
    /// `None`: not published, or beyond what one gateway may have.
    pub online: Option<usize>,
    /// How many messages a second the gateway sends at the most.
    pub messages_per_second: u32,
}

impl InstanceKind {
    /// Returns the quota of this kind of instance.
    ///
    /// Source: "Instance overview" (alibabacloud.com/help, iot/user-guide/overview-60): a new
    /// public instance has 50 devices online at once, and "message communication" of 5 TPS. The
    /// page does not say whether the platform's replies count among the 5, nor whether a gateway
    /// is one of the 50; here a gateway counts and replies do not. The limits of a single
    /// connection are those of "Limits" (doc 30527).
    ///
    /// The rate leaves a fifth to bursts, as the default does: at 4 messages a second no second
    /// holds more than 5.
    #[must_use]
    pub const fn quota(self) -> InstanceQuota {
        match self {
            InstanceKind::Public => InstanceQuota {
                online: Some(50),
                messages_per_second: 4,
            },
            InstanceKind::Standard | InstanceKind::LegacyPublic => InstanceQuota {
                online: None,
                messages_per_second: 25,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{PostPolicy, SessionLimits};

    #[test]
    fn what_is_not_published_changes_nothing() {
        for kind in [InstanceKind::Standard, InstanceKind::LegacyPublic] {
            let quota = kind.quota();
            assert_eq!(quota.online, None);
            let usual = PostPolicy::default().messages_per_second;
            assert_eq!(quota.messages_per_second, usual);
        }
        assert!(InstanceKind::Public.quota().online < Some(SessionLimits::default().online));
    }
}

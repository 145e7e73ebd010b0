//! Finds out which user is at the other end of the control socket, and whether that user may
//! ask.
//!
//! The socket's mode, 0660, keeps other users out already; this check is for the day on which
//! the mode is changed. A user who may ask may ask everything: there is only one kind of
//! operator.

use std::io;
use std::os::fd::AsFd;

use tokio::net::UnixStream;

use super::groups;

/// The number that the kernel gives users and groups that do not exist in the service's user
/// namespace (`PrivateUsers=`): no particular user.
const OVERFLOW: u32 = 65_534;

/// The user and the groups of the other end, as they were when it connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    pub user: u32,
    pub group: u32,
    pub groups: Vec<u32>,
}

/// The user and the group of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Own {
    pub user: u32,
    pub group: u32,
}

impl Own {
    pub(super) fn of_process() -> Self {
        Own {
            user: rustix::process::geteuid().as_raw(),
            group: rustix::process::getegid().as_raw(),
        }
    }
}

impl Peer {
    pub(super) fn of(stream: &UnixStream) -> io::Result<Self> {
        let credentials = stream.peer_cred()?;
        Ok(Peer {
            user: credentials.uid(),
            group: credentials.gid(),
            // A kernel without this call is older than any supported one; the primary group is
            // known all the same.
            groups: groups::of_peer(stream.as_fd()).unwrap_or_default(),
        })
    }

    /// Whether the peer is root, the service's own user, or a member of the group the service
    /// runs as, which is `alink-operators` (`systemd/alink-gateway.service`).
    pub(super) fn may_ask(&self, own: Own) -> bool {
        let member = self.group == own.group || self.groups.contains(&own.group);
        self.user == 0
            || (self.user == own.user && own.user != OVERFLOW)
            || (member && own.group != OVERFLOW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_the_service_and_members_of_its_group_may_ask_and_nobody_else() {
        let own = Own {
            user: 998,
            group: 997,
        };
        for (user, group, groups, may) in [
            (0, 0, vec![], true),
            (998, 997, vec![], true),
            (998, 100, vec![], true),
            (1000, 997, vec![], true),
            (1000, 1000, vec![27, 997], true),
            (1000, 1000, vec![27, 998], false),
            (65_534, 65_534, vec![65_534], false),
            // A member as seen from inside a namespace of its own.
            (65_534, 65_534, vec![65_534, 997], true),
            (997, 998, vec![0], false),
        ] {
            let peer = Peer {
                user,
                group,
                groups,
            };
            assert_eq!(peer.may_ask(own), may, "{peer:?}");
        }
    }

    #[test]
    fn nobody_in_particular_is_no_membership() {
        let own = Own {
            user: OVERFLOW,
            group: OVERFLOW,
        };
        let peer = Peer {
            user: OVERFLOW,
            group: OVERFLOW,
            groups: vec![OVERFLOW],
        };
        assert!(!peer.may_ask(own));
    }

    #[tokio::test]
    async fn the_kernel_says_who_we_are() {
        let (here, _there) = UnixStream::pair().unwrap();
        let peer = Peer::of(&here).unwrap();
        let own = Own::of_process();
        assert_eq!((peer.user, peer.group), (own.user, own.group));
        let groups = rustix::process::getgroups().unwrap();
        let groups: Vec<u32> = groups.into_iter().map(|g| g.as_raw()).collect();
        assert_eq!(peer.groups, groups);
        assert!(peer.may_ask(own));
    }
}

//! Finds out which user is at the other end of the control socket, and whether that user may
//! ask.
//!
//! The socket's mode, 0660, keeps other users out already; this check is for the day on which
//! the mode is changed. A user who may ask may ask everything, but for commands to devices:
//! `control.write` of the configuration says who may give them.

use std::io;
use std::os::fd::AsFd;

use tokio::net::UnixStream;

use super::groups;
use crate::spec::LocalWrite;

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
pub(super) struct ProcessIdentity {
    pub user: u32,
    pub group: u32,
}

impl ProcessIdentity {
    pub(super) fn of_process() -> Self {
        ProcessIdentity {
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

    /// Returns whether the peer is root, the service's own user, or a member of the group the
    /// service runs as, which is `alink-operators` (`systemd/alink-gateway.service`).
    pub(super) fn may_ask(&self, own: ProcessIdentity) -> bool {
        let member = self.group == own.group || self.groups.contains(&own.group);
        self.user == 0
            || (self.user == own.user && own.user != OVERFLOW)
            || (member && own.group != OVERFLOW)
    }

    /// Returns whether the peer, who may ask, may have devices written.
    ///
    /// # Errors
    /// Who may, and what to do.
    pub(super) const fn may_write(&self, who: LocalWrite) -> Result<(), &'static str> {
        match (who, self.user) {
            (LocalWrite::Group, _) | (LocalWrite::Root, 0) => Ok(()),
            (LocalWrite::Root, _) => Err(
                "only root may have devices written: use sudo, or permit it to members of \
                 alink-operators with control: { write: group } in the configuration, and reload",
            ),
            (LocalWrite::Off, _) => Err(
                "no user of this machine may have devices written: control: { write: off } in the \
                 configuration says so; root or group permits it, after a reload",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_the_service_and_members_of_its_group_may_ask_and_nobody_else() {
        let own = ProcessIdentity {
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
    fn who_may_have_devices_written_is_said_by_the_configuration() {
        let peer = |user| Peer {
            user,
            group: 997,
            groups: Vec::new(),
        };
        for (who, root, operator) in [
            (LocalWrite::Root, true, false),
            (LocalWrite::Group, true, true),
            (LocalWrite::Off, false, false),
        ] {
            for (user, may) in [(0, root), (1000, operator), (OVERFLOW, operator)] {
                let answer = peer(user).may_write(who);
                assert_eq!(answer.is_ok(), may, "{who:?} {user}");
                // A refusal says where the rule is.
                assert!(answer.err().is_none_or(|why| why.contains("write: ")));
            }
        }
    }

    #[test]
    fn nobody_in_particular_is_no_membership() {
        let own = ProcessIdentity {
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
        let own = ProcessIdentity::of_process();
        assert_eq!((peer.user, peer.group), (own.user, own.group));
        let groups = rustix::process::getgroups().unwrap();
        let groups: Vec<u32> = groups.into_iter().map(|g| g.as_raw()).collect();
        assert_eq!(peer.groups, groups);
        assert!(peer.may_ask(own));
    }
}

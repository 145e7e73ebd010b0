//! Finds the account that the service runs as, and which files it may read: for `check`, which
//! is run by root, a user that may read everything.
//!
//! Modes, owners and groups only, as `ls -l` shows them; access control lists
//! are not looked at.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::config::ReadObstacle;
use crate::io::files::bounded;

/// The user of the systemd unit.
const SERVICE: &str = "alink-gateway";

/// The longest list that is read: lists of tens of thousands of accounts are shorter.
const LONGEST_LIST: u64 = 4 << 20;

/// A user and the groups it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAccount {
    user: u32,
    groups: BTreeSet<u32>,
    /// Names of users and groups, for people.
    names: AccountLists,
}

/// What the system's lists say: `/etc/passwd` and `/etc/group` (passwd(5),
/// group(5)). Accounts from elsewhere go by their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct AccountLists {
    users: Vec<(String, u32)>,
    groups: Vec<(String, u32)>,
}

/// The owner, the group and the mode of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Access {
    mode: u32,
    owner: u32,
    group: u32,
}

impl Access {
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Access {
            mode: metadata.mode(),
            owner: metadata.uid(),
            group: metadata.gid(),
        })
    }
}

impl ServiceAccount {
    /// Returns the account of the installed service, if this process is root's: other users
    /// find out by trying.
    #[must_use]
    pub fn of_service() -> Option<Self> {
        let root = fs::metadata("/proc/self").is_ok_and(|m| m.uid() == 0);
        let list = |path| bounded::read_text(Path::new(path), LONGEST_LIST).ok();
        let (passwd, group) = (list("/etc/passwd")?, list("/etc/group")?);
        ServiceAccount::named(SERVICE, &passwd, &group).filter(|_| root)
    }

    /// Returns the account of this name in these two lists.
    #[must_use]
    pub fn named(name: &str, passwd: &str, group: &str) -> Option<Self> {
        let mut names = AccountLists::default();
        let mut account = None;
        for line in passwd.lines() {
            let fields: Vec<&str> = line.split(':').collect();
            let [user, _, uid, gid, ..] = fields[..] else {
                continue;
            };
            let (Ok(uid), Ok(gid)) = (uid.parse::<u32>(), gid.parse::<u32>()) else {
                continue;
            };
            if user == name {
                account = Some((uid, gid));
            }
            names.users.push((user.to_owned(), uid));
        }
        let (user, own) = account?;
        let mut groups = BTreeSet::from([own]);
        for line in group.lines() {
            let fields: Vec<&str> = line.split(':').collect();
            let [group, _, gid, members] = fields[..] else {
                continue;
            };
            let Ok(gid) = gid.parse::<u32>() else {
                continue;
            };
            if members.split(',').any(|member| member == name) {
                groups.insert(gid);
            }
            names.groups.push((group.to_owned(), gid));
        }
        Some(ServiceAccount {
            user,
            groups,
            names,
        })
    }

    /// Returns what keeps this account from reading a file: modes of the file and of the
    /// directories above it; `None` if nothing does, or if that cannot be found out.
    #[must_use]
    pub fn obstacle(&self, path: &Path) -> Option<ReadObstacle> {
        let path = fs::canonicalize(path).ok()?;
        let mut hidden = ReadObstacle::default();
        let mut above: Vec<&Path> = path.ancestors().skip(1).collect();
        above.reverse();
        for directory in above {
            let access = Access::of(directory)?;
            if !self.may(access, 0o1) {
                let path = directory.display().to_string();
                if hidden.why.is_empty() {
                    hidden.why = format!("{path} is {}", self.shown(access));
                }
                hidden.directories.push(path);
            }
        }
        let access = Access::of(&path)?;
        hidden.is_file = !self.may(access, 0o4);
        if hidden.is_file && hidden.why.is_empty() {
            hidden.why = self.shown(access);
        }
        (!hidden.why.is_empty()).then_some(hidden)
    }

    /// Returns whether this account can read the file, and could not if other users than the owner
    /// and the group could not.
    #[must_use]
    pub fn reads_as_other(&self, path: &Path) -> bool {
        Access::of(path).is_some_and(|access| {
            let closed = Access {
                mode: access.mode & !0o007,
                ..access
            };
            self.may(access, 0o4) && !self.may(closed, 0o4)
        })
    }

    /// Returns whether the account has this permission. The first class that fits decides, even if
    /// a later one would allow more (path_resolution(7)).
    fn may(&self, access: Access, bit: u32) -> bool {
        let shift = if self.user == access.owner {
            6
        } else if self.groups.contains(&access.group) {
            3
        } else {
            0
        };
        self.user == 0 || (access.mode >> shift) & bit != 0
    }

    fn shown(&self, access: Access) -> String {
        let name = |list: &[(String, u32)], id: u32| {
            let known = list.iter().find(|(_, i)| *i == id);
            known.map_or(id.to_string(), |(name, _)| name.clone())
        };
        format!(
            "{:04o} {}:{}",
            access.mode & 0o7777,
            name(&self.names.users, access.owner),
            name(&self.names.groups, access.group)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\nbroken\n\
        alink-gateway:x:997:996:Gateway:/:/usr/sbin/nologin\nada:x:1000:1000::/home/ada:/bin/sh\n";
    const GROUP: &str =
        "root:x:0:\ndialout:x:20:ada,alink-gateway\nalink-gateway:x:996:\nada:x:1000:\n";

    fn service() -> ServiceAccount {
        ServiceAccount::named("alink-gateway", PASSWD, GROUP).unwrap()
    }

    #[test]
    fn who_may_read_is_decided_by_the_first_class_that_fits() {
        for (mode, owner, group, may) in [
            (0o600, 0, 0, false),
            (0o640, 0, 996, true),
            (0o640, 0, 0, false),
            (0o644, 0, 0, true),
            (0o600, 997, 0, true),
            (0o040, 0, 20, true),
            (0o044, 997, 996, false),
            (0o604, 0, 996, false),
        ] {
            let access = Access { mode, owner, group };
            assert_eq!(service().may(access, 0o4), may, "{mode:o} {owner}:{group}");
        }
    }

    #[test]
    fn what_is_in_the_way_is_shown_as_ls_shows_it() {
        let shown = |mode, owner, group| service().shown(Access { mode, owner, group });
        assert_eq!(shown(0o100_600, 0, 0), "0600 root:root");
        assert_eq!(shown(0o640, 1000, 77), "0640 ada:77");
    }

    #[test]
    fn an_account_that_is_not_there_is_none() {
        assert_eq!(ServiceAccount::named("no-such-user", PASSWD, GROUP), None);
    }
}

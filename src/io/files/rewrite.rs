//! Rewrites a text file of a person: its owner, its group and its mode stay, and a link to it stays
//! a link.

use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{fremovexattr, getxattr};
use rustix::io::Errno;

use super::create::{MODE, create_temporary, folder_of, give_to_group_of_folder};

/// Where Linux keeps a file's access control list (acl(5)).
const ACL: &str = "system.posix_acl_access";

/// Puts this text in the place of a file, or makes the file. There is the old text or the new one,
/// whenever it is interrupted. A link is followed. An old file keeps its owner, its group and its
/// mode; a new one belongs to the user and to the group of its folder, as
/// [`create`](super::create::create) has it.
///
/// # Errors
/// The system's error, a link to what is not there, an access control list, or an owner or a group
/// that this user cannot give the file; then the old file is still there, and no other.
pub fn rewrite(file: &Path, text: &str) -> io::Result<()> {
    let (file, old) = target(file)?;
    // Until the file has its owner and its group, it is for its user alone.
    let mode = if old.is_some() { 0o600 } else { MODE };
    let (fresh, mut out) = create_temporary(&file, mode)?;
    let folder = folder_of(&file);
    let written = write(&mut out, folder, old.as_ref(), text);
    let written = written.and_then(|()| fs::rename(&fresh, &file));
    if let Err(e) = written {
        // The first error says more than one of this.
        let _ = fs::remove_file(&fresh);
        return Err(e);
    }
    File::open(folder)?.sync_all()
}

/// Returns the file that a name leads to, and what it is now, if it is there.
fn target(file: &Path) -> io::Result<(PathBuf, Option<Metadata>)> {
    match fs::canonicalize(file) {
        Ok(real) => {
            let old = fs::metadata(&real)?;
            if !old.is_file() {
                return Err(io::Error::new(ErrorKind::InvalidInput, "it is no file"));
            }
            if has_acl(&real)? {
                // The group's bits of the mode are then the list's mask (acl(5)): the new file
                // would drop the list, and may open to the group what the list kept from it.
                let why = "it has an access control list, which would not stay: remove it with setfacl -b, and set it again afterwards";
                return Err(io::Error::new(ErrorKind::Unsupported, why));
            }
            Ok((real, Some(old)))
        }
        Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
        Err(_) => match fs::read_link(file) {
            Ok(to) => {
                let to = to.display();
                let why = format!("it is a link to {to}, which is not there: make that file first");
                Err(io::Error::new(ErrorKind::NotFound, why))
            }
            Err(_) => Ok((file.to_owned(), None)),
        },
    }
}

/// Returns whether a file has an access control list besides its mode.
fn has_acl(file: &Path) -> io::Result<bool> {
    match getxattr(file, ACL, &mut [0u8; 0][..]) {
        // A buffer of no bytes asks for the size alone (getxattr(2)).
        Ok(_) => Ok(true),
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// Takes away the list that a folder gives to what is new in it (acl(5)): the old file has none.
fn drop_inherited_acl(file: &File) -> io::Result<()> {
    match fremovexattr(file, ACL) {
        Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// Writes the new file, as the old one was owned and could be read.
fn write(out: &mut File, folder: &Path, old: Option<&Metadata>, text: &str) -> io::Result<()> {
    match old {
        Some(old) => {
            drop_inherited_acl(out)?;
            let now = out.metadata()?;
            keep(out, (now.uid(), now.gid()), (old.uid(), old.gid()))?;
            out.set_permissions(Permissions::from_mode(old.mode() & 0o7777))?;
        }
        None => give_to_group_of_folder(out, folder)?,
    }
    out.write_all(text.as_bytes())?;
    out.sync_all()
}

/// Gives a file its owner and its group. Only root may give a file away, and others only to groups
/// of theirs: a configuration that is someone else's all of a sudden may be one that the service
/// cannot read.
fn keep(out: &File, now: (u32, u32), (owner, group): (u32, u32)) -> io::Result<()> {
    if now == (owner, group) {
        return Ok(());
    }
    fchown(out, Some(owner), Some(group)).map_err(|e| {
        let why = format!(
            "its owner {owner} and its group {group} would not stay, as this user may not give a file to them: run this as that owner, or with sudo"
        );
        io::Error::new(e.kind(), why)
    })
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::os::unix::fs::{OpenOptionsExt, chown, symlink};

    use rustix::fs::{XattrFlags, removexattr, setxattr};

    use super::*;

    fn count(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn a_rewritten_file_keeps_its_mode_and_a_new_one_is_not_for_others() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gateway.yaml");
        rewrite(&file, "a: 1\n").unwrap();
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o640);
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        rewrite(&file, "a: 2\n").unwrap();
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_to_string(&file).unwrap(), "a: 2\n");
        assert_eq!(count(folder.path()), 1);
        assert!(rewrite(&folder.path().join("no/such"), "").is_err());
    }

    #[test]
    fn a_link_stays_a_link_and_one_to_nothing_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        symlink("real", &link).unwrap();
        let refused = rewrite(&link, "a: 1\n").unwrap_err().to_string();
        assert!(refused.starts_with("it is a link to real,"), "{refused}");
        assert_eq!(count(folder.path()), 1);
        fs::write(&real, "a: 0\n").unwrap();
        rewrite(&link, "a: 1\n").unwrap();
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("real"));
        assert_eq!(fs::read_to_string(&real).unwrap(), "a: 1\n");
        assert_eq!(count(folder.path()), 2);
    }

    #[test]
    fn root_keeps_the_owner_and_gives_a_new_file_to_the_group_of_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        if chown(folder.path(), None, Some(4_321)).is_err() {
            // Only root can try it.
            return;
        }
        let file = folder.path().join("gateway.yaml");
        rewrite(&file, "a: 1\n").unwrap();
        assert_eq!(fs::metadata(&file).unwrap().gid(), 4_321);
        chown(&file, Some(1_234), Some(5_678)).unwrap();
        rewrite(&file, "a: 2\n").unwrap();
        let now = fs::metadata(&file).unwrap();
        assert_eq!((now.uid(), now.gid()), (1_234, 5_678));
    }

    #[test]
    fn an_owner_that_would_not_stay_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        // Through such a descriptor even root changes nothing (open(2), O_PATH).
        let mut options = OpenOptions::new();
        let path_only = options.read(true).custom_flags(libc::O_PATH);
        let path_only = path_only.open(file.path()).unwrap();
        let refused = keep(&path_only, (1, 2), (3, 4)).unwrap_err().to_string();
        assert!(
            refused.starts_with("its owner 3 and its group 4 would not stay"),
            "{refused}"
        );
        assert!(keep(&path_only, (3, 4), (3, 4)).is_ok());
    }

    #[test]
    fn nothing_is_left_beside_a_file_that_cannot_be_replaced() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("gateway.yaml")).unwrap();
        let refused = rewrite(&folder.path().join("gateway.yaml"), "").unwrap_err();
        assert_eq!(refused.to_string(), "it is no file");
        assert_eq!(count(folder.path()), 1);
    }

    /// Returns version 2, then tag, permissions and id of each entry: user::rw-, user:1:r--,
    /// group::---, mask::r--, other::--- (linux/posix_acl_xattr.h).
    fn list() -> Vec<u8> {
        let mut list = 2u32.to_le_bytes().to_vec();
        let no_id = u32::MAX;
        for (tag, may, id) in [
            (0x01u16, 6u16, no_id),
            (0x02, 4, 1),
            (0x04, 0, no_id),
            (0x10, 4, no_id),
            (0x20, 0, no_id),
        ] {
            list.extend(tag.to_le_bytes());
            list.extend(may.to_le_bytes());
            list.extend(id.to_le_bytes());
        }
        list
    }

    #[test]
    fn an_access_control_list_that_would_not_stay_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gateway.yaml");
        fs::write(&file, "a: 1\n").unwrap();
        if let Err(e) = setxattr(&file, ACL, &list(), XattrFlags::empty()) {
            eprintln!(
                "skipped: no access control lists in {}: {e}",
                file.display()
            );
            return;
        }
        let refused = rewrite(&file, "a: 2\n").unwrap_err().to_string();
        assert!(
            refused.starts_with("it has an access control list"),
            "{refused}"
        );
        assert_eq!(fs::read_to_string(&file).unwrap(), "a: 1\n");
        assert_eq!(count(folder.path()), 1);
        removexattr(&file, ACL).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        // What is new in the folder gets a list, and a file that had none has none afterwards.
        let of_folder = "system.posix_acl_default";
        setxattr(folder.path(), of_folder, &list(), XattrFlags::empty()).unwrap();
        rewrite(&file, "a: 2\n").unwrap();
        assert!(!has_acl(&file).unwrap());
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o640);
    }
}

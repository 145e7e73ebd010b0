//! Finds the groups of the process at the other end of a unix socket: the one kernel call that
//! no library offers safely.
#![expect(
    unsafe_code,
    reason = "getsockopt into a buffer of our own; says below why it is sound"
)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Returns the supplementary groups that the peer had when it connected, as this process' user
/// namespace calls them: `SO_PEERGROUPS` (socket(7), since Linux 4.13).
pub(super) fn of_peer(socket: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    // NGROUPS_MAX of Linux (limits.h); a process cannot be in more groups.
    let mut groups = vec![0 as libc::gid_t; 65_536];
    let size = groups.len() * size_of::<libc::gid_t>();
    let mut length = libc::socklen_t::try_from(size).map_err(io::Error::other)?;
    // SAFETY: the descriptor is borrowed and so open; the kernel writes at most
    // `length` bytes, which is the size of `groups`, and then to `length`; any
    // bits are a valid `gid_t`.
    let failed = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERGROUPS,
            groups.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if failed != 0 {
        return Err(io::Error::last_os_error());
    }
    groups.truncate(length as usize / size_of::<libc::gid_t>());
    Ok(groups)
}

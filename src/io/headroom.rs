//! What the limits of the unit leave: descriptors and threads.
//!
//! Field ports are many and can wait; the connection to the platform, the control socket
//! and the log are few and cannot. So a port takes a descriptor only while more than
//! [`KEPT`] are free, which costs no bookkeeping: the kernel hands out the lowest free
//! number (open(2)), so a number close to the limit says that nearly all are in use. The
//! threads of those who cannot wait are made at the start ([`keep_threads`]).

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use rustix::process::{Resource, getrlimit};

/// Descriptors that ports leave alone: 16 peers at the control socket and 32 at the
/// metrics, with their listeners; the connection to the platform, the look-up of its name
/// and its roots; a download; files being written.
pub const KEPT: u64 = 64;

/// Threads that may block, for name look-ups, files and downloads, at most …
pub const BLOCKING: usize = 16;

/// … and those of them that are made at the start, so that there are some when no more
/// can be made.
const FROM_THE_START: usize = 4;

/// Whether a port may open so many descriptors.
///
/// # Errors
/// Too few would be left; in words, with the unit's limit.
pub fn descriptors(wanted: u64) -> io::Result<()> {
    let Some(limit) = getrlimit(Resource::Nofile).current else {
        return Ok(());
    };
    let lowest = match File::open("/dev/null") {
        Ok(probe) => u64::try_from(probe.as_raw_fd()).unwrap_or_default(),
        Err(e) if is_exhausted(&e) => limit,
        // A place without it says nothing about descriptors.
        Err(_) => return Ok(()),
    };
    if is_room(lowest, wanted, limit) {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "too many files are open: {lowest} of {limit} descriptors are in use (LimitNOFILE of the \
         unit), and the last are kept for the cloud, the control socket and the log"
    )))
}

/// EMFILE or ENFILE.
fn is_exhausted(e: &io::Error) -> bool {
    let of = |errno: rustix::io::Errno| e.raw_os_error() == Some(errno.raw_os_error());
    of(rustix::io::Errno::MFILE) || of(rustix::io::Errno::NFILE)
}

/// Whether `wanted` more may be opened from the number `lowest` on. Of a limit that is
/// small itself no more than half is kept.
fn is_room(lowest: u64, wanted: u64, limit: u64) -> bool {
    lowest.saturating_add(wanted) <= limit.saturating_sub(KEPT.min(limit / 2))
}

/// Why a thread could not be made, with the unit's limit.
#[must_use]
pub fn no_thread(e: &io::Error) -> String {
    let tasks = tasks().map_or_else(String::new, |(used, limit)| {
        format!(": {used} of {limit} tasks are in use (TasksMax of the unit)")
    });
    format!("it needs a thread of its own, and none can be made: {e}{tasks}")
}

/// Tasks of this process' control group, and how many there may be, if there is a limit.
fn tasks() -> Option<(u64, u64)> {
    // cgroups(7): `0::/system.slice/…` for version 2; what is below is named by lines of
    // version 1, where the controller has a tree of its own.
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    groups.lines().find_map(|line| {
        let (root, path) = match line.strip_prefix("0::") {
            Some(path) => ("/sys/fs/cgroup", path),
            None => ("/sys/fs/cgroup/pids", line.split_once(":pids:")?.1),
        };
        let number = |file: &str| {
            let text = fs::read_to_string(format!("{root}{path}/{file}")).ok()?;
            text.trim().parse().ok()
        };
        Some((number("pids.current")?, number("pids.max")?))
    })
}

/// Makes the threads that must be there when no more can be made. To be called within the
/// runtime, once; its threads must live as long as it does.
pub async fn keep_threads() {
    let (release, held) = mpsc::channel::<()>();
    let held = Arc::new(Mutex::new(held));
    let mut made = Vec::new();
    for _ in 0..FROM_THE_START {
        let held = Arc::clone(&held);
        // None of them is idle until all have been asked for, so each is another.
        made.push(tokio::task::spawn_blocking(move || {
            let held = held.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = held.recv();
        }));
    }
    drop(release);
    for thread in made {
        // One that could not be made is done by the others.
        let _ = thread.await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_leave_the_last_descriptors_to_those_who_cannot_wait() {
        for (lowest, wanted, limit, may) in [
            (10, 1, 1024, true),
            (959, 1, 1024, true),
            (960, 1, 1024, false),
            (957, 4, 1024, false),
            (1024, 1, 1024, false),
            (30, 2, 64, true),
            (31, 2, 64, false),
            (u64::MAX, 1, u64::MAX, false),
        ] {
            assert_eq!(
                is_room(lowest, wanted, limit),
                may,
                "{lowest} {wanted} {limit}"
            );
        }
        assert!(descriptors(1).is_ok());
        let refused = descriptors(1 << 40).unwrap_err().to_string();
        assert!(refused.contains("LimitNOFILE"), "{refused}");
    }

    #[test]
    fn a_thread_that_cannot_be_made_is_told_with_the_systems_words() {
        let e = io::Error::from_raw_os_error(rustix::io::Errno::AGAIN.raw_os_error());
        let why = no_thread(&e);
        assert!(
            why.contains("none can be made: Resource temporarily"),
            "{why}"
        );
    }
}

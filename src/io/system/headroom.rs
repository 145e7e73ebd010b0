//! Checks what the limits of the unit leave: descriptors and threads.
//!
//! Field ports are many and can wait; the connection to the platform, the control socket and
//! the log are few and cannot. So a port takes a descriptor only while more than [`KEPT`] are
//! free, which costs no bookkeeping: the kernel hands out the lowest free number (open(2)), so
//! a number close to the limit says that nearly all are in use. The threads of the tasks that
//! cannot wait are made at the start ([`keep_threads`]).

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use rustix::process::{Resource, getrlimit};

use crate::io::files::bounded;

/// How many descriptors ports leave alone: 16 peers at the control socket and 32 at the
/// metrics, with their listeners; the connection to the platform, the look-up of its name and
/// its roots; a download; files being written.
pub const KEPT: u64 = 64;

/// How many threads may block at most, for name look-ups, files and downloads: further work
/// waits for its turn; tokio would make 512 threads …
pub const BLOCKING: usize = 16;

/// … and how many of them are made at the start, so that there are some when no more can be
/// made.
const FROM_THE_START: usize = 4;

/// Where the kernel shows control groups.
const GROUPS: &str = "/sys/fs/cgroup";

/// The largest file that is read: more is no list of control groups.
const MOST: u64 = 64 << 10;

/// Returns whether a port may open so many descriptors.
///
/// # Errors
/// Too few would be left; the text names the unit's limit.
pub fn descriptors(wanted: u64) -> io::Result<()> {
    let Some(limit) = getrlimit(Resource::Nofile).current else {
        return Ok(());
    };
    let lowest = match File::open("/dev/null") {
        Ok(probe) => u64::try_from(probe.as_raw_fd()).unwrap_or_default(),
        Err(e) if is_exhausted(&e) => limit,
        // A system without this file says nothing about descriptors.
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

/// Returns whether the error is EMFILE or ENFILE.
fn is_exhausted(e: &io::Error) -> bool {
    let of = |errno: rustix::io::Errno| e.raw_os_error() == Some(errno.raw_os_error());
    of(rustix::io::Errno::MFILE) || of(rustix::io::Errno::NFILE)
}

/// Returns whether `wanted` more descriptors may be opened from the number `lowest` on. Of a small
/// limit no more than half is kept.
fn is_room(lowest: u64, wanted: u64, limit: u64) -> bool {
    lowest.saturating_add(wanted) <= limit.saturating_sub(KEPT.min(limit / 2))
}

/// Returns why a thread could not be made, with the unit's limit.
#[must_use]
pub fn no_thread(e: &io::Error) -> String {
    let tasks = most_tasks().map_or_else(String::new, |most| {
        format!("; at most {most} may run (TasksMax of the unit)")
    });
    format!("it needs a thread of its own, and none can be made: {e}{tasks}")
}

/// Returns how many tasks this process' control group may have; `None` without a limit.
#[must_use]
pub fn most_tasks() -> Option<u64> {
    tasks_of(Path::new(GROUPS), &groups())
}

/// Returns the control groups of this process (cgroups(7), `/proc/self/cgroup`).
#[must_use]
pub fn groups() -> String {
    bounded::read_text(Path::new("/proc/self/cgroup"), MOST).unwrap_or_default()
}

/// Returns the smallest `pids.max` from the control group of this process up to the root: that
/// of the unit, unless a group above it has a smaller one.
fn tasks_of(root: &Path, groups: &str) -> Option<u64> {
    let folders = groups.lines().filter_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let below = match controllers {
            // Version 2 has one tree, which may be beside those of version 1.
            "" => match root.join("unified").is_dir() {
                true => root.join("unified"),
                false => root.to_owned(),
            },
            list if list.split(',').any(|c| c == "pids") => root.join("pids"),
            _ => return None,
        };
        // A group outside of what this process may see begins with "..".
        let names = Path::new(path).components();
        let names = names.filter(|c| matches!(c, Component::Normal(_)));
        Some((below.clone(), below.join(names.collect::<PathBuf>())))
    });
    let limits = folders.flat_map(|(below, own)| {
        let up = own.ancestors().map(Path::to_owned).collect::<Vec<_>>();
        up.into_iter()
            .take_while(move |folder| folder.starts_with(&below))
            .filter_map(|folder| {
                let text = bounded::read_text(&folder.join("pids.max"), MOST).ok()?;
                text.trim().parse::<u64>().ok()
            })
    });
    limits.min()
}

/// Makes the threads that must exist when no more can be made. To be called within the runtime,
/// once; its threads must live as long as the runtime.
pub async fn keep_threads() {
    let (release, held) = mpsc::channel::<()>();
    let held = Arc::new(Mutex::new(held));
    let mut made = Vec::new();
    for _ in 0..FROM_THE_START {
        let held = Arc::clone(&held);
        // No thread is idle until all have been asked for, so each request makes another
        // thread.
        made.push(tokio::task::spawn_blocking(move || {
            let held = held.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = held.recv();
        }));
    }
    drop(release);
    for thread in made {
        // The work of a thread that could not be made is done by the others.
        let _ = thread.await;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

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

    #[test]
    fn the_smallest_limit_on_the_way_up_counts_in_both_versions() {
        let dir = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("system.slice/gw.service/pids.max", "max\n");
        put("system.slice/pids.max", "200\n");
        put("pids.max", "4000\n");
        put("pids/r6/pids.max", "256\n");
        let of = |groups| tasks_of(dir.path(), groups);
        assert_eq!(of("0::/system.slice/gw.service\n"), Some(200));
        assert_eq!(of("0::/elsewhere\n"), Some(4000));
        assert_eq!(of("4:memory:/x\n3:pids:/r6\n0::/\n"), Some(256));
        assert_eq!(of("0::/../../system.slice\n"), Some(200));
        assert_eq!(of("4:memory:/x\n"), None);
        assert_eq!(of("rubbish"), None);
    }
}

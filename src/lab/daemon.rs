//! The daemon as a child process, in a directory of its own.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

/// The hidden first argument by which this binary becomes the daemon.
pub(crate) const GATEWAY: &str = "--as-gateway";

/// A directory for one run; removed when dropped, unless kept.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Folder {
    /// Creates a new directory that no other user may read.
    pub(crate) fn new() -> io::Result<Folder> {
        let base = std::env::temp_dir();
        for n in 0.. {
            let path = base.join(format!("alink-lab-{}-{n}", std::process::id()));
            match fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Folder { path, keep: false }),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists && n < 100 => {}
                Err(e) => return Err(e),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps the directory, so that it can be examined after a failure.
    pub(crate) const fn keep(&mut self) {
        self.keep = true;
    }

    pub(crate) fn write(&self, name: &str, content: &str) -> io::Result<()> {
        let path = self.path.join(name);
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(content.as_bytes())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.keep {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Returns the command that is `gateway`, or this very binary as the gateway.
pub(crate) fn command(gateway: Option<&Path>) -> io::Result<Command> {
    Ok(match gateway {
        Some(path) => Command::new(path),
        None => {
            let mut command = Command::new(std::env::current_exe()?);
            command.arg(GATEWAY);
            command
        }
    })
}

/// The running daemon. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts `gateway`, or this very binary as the gateway, with the
    /// configuration in `folder`.
    pub(crate) fn start(gateway: Option<&Path>, folder: &Folder) -> io::Result<Daemon> {
        Self::start_as(command(gateway)?, folder)
    }

    /// Does the same by this command, to which the words of the daemon are added. The log
    /// of an earlier daemon is continued.
    pub(crate) fn start_as(mut command: Command, folder: &Folder) -> io::Result<Daemon> {
        let log = folder.path().join("gateway.log");
        let file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)?;
        let child = command
            .args(["run", "--config"])
            .arg(folder.path().join("gateway.yaml"))
            // A service manager that watches the lab must not take the
            // daemon's reports for the lab's.
            .env_remove("NOTIFY_SOCKET")
            .env_remove("WATCHDOG_USEC")
            .env_remove("JOURNAL_STREAM")
            // Ctrl-C is for the demo, which then stops the daemon in its order.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .kill_on_drop(true)
            .spawn()?;
        Ok(Daemon { child, log })
    }

    /// Returns where the daemon writes its log.
    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// Returns how the daemon ended, if it has.
    pub(crate) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Ends the daemon at once (SIGKILL), and waits until it is gone.
    pub(crate) async fn kill(&mut self) -> io::Result<()> {
        self.child.kill().await
    }

    /// Returns the number of the process, until it has been waited for.
    pub(crate) fn process(&self) -> Option<u32> {
        self.child.id()
    }

    /// Asks the daemon to end, as a service manager does.
    pub(crate) fn terminate(&self) -> io::Result<()> {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok());
        match pid.and_then(Pid::from_raw) {
            Some(pid) => Ok(kill_process(pid, Signal::TERM)?),
            None => Ok(()),
        }
    }

    /// Returns the last lines of its log.
    pub(crate) fn last_output(&self, lines: usize) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let all: Vec<&str> = log.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

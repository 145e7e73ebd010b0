//! How the daemon comes to believe the clock of this machine.
//!
//! While the time is not known the gateway holds readings in memory, and asks the platform.
//! That is a matter of its own; these trials are about values with a time. systemd says by a
//! file that a time service has set the clock. Where that file is missing, the daemon gets
//! a view of the file system of its own in which the file is there.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use rustix::process::geteuid;
use tokio::process::Command;

use super::volume::run;

/// The file by which systemd-timesyncd says that it has set the clock.
const SYNCHRONISED: &str = "/run/systemd/timesync/synchronized";

/// What is done in the view of its own.
const SCRIPT: &str = "mount -t tmpfs tmpfs /run/systemd && mkdir /run/systemd/timesync \
                      && touch /run/systemd/timesync/synchronized && exec \"$0\" \"$@\"";

/// How the daemon comes to believe the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dated {
    /// The machine says so.
    Machine,
    /// By a view of the file system of its own, made with these words.
    View(&'static [&'static str]),
}

impl Dated {
    /// Finds out what this machine allows.
    ///
    /// # Errors
    /// The clock is not synchronised, and no such view can be made.
    pub(super) fn find() -> io::Result<Dated> {
        if Path::new(SYNCHRONISED).exists() {
            return Ok(Dated::Machine);
        }
        let words: &[&str] = match geteuid().is_root() {
            true => &["--mount"],
            false => &["--mount", "--user", "--map-root-user"],
        };
        let script = ["sh", "-c", SCRIPT, "true"].map(OsStr::new);
        let all = words.iter().map(OsStr::new).chain(script);
        run("unshare", all).map(|()| Dated::View(words))
    }

    /// Returns this command, run so that it believes the clock. Its process is the same.
    pub(super) fn wrap(self, command: Command) -> Command {
        let Dated::View(words) = self else {
            return command;
        };
        let inner = command.as_std();
        let mut outer = Command::new("unshare");
        outer.args(words).args(["sh", "-c", SCRIPT]);
        outer.arg(inner.get_program()).args(inner.get_args());
        outer
    }
}

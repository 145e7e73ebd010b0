//! Programs that are not ours, and what to do without them.
//!
//! A test that needs a missing one is skipped with the reason, in a list that
//! `tests/run` shows. With `ALINK_TESTS_REQUIRE=all`, as in CI, it fails
//! instead: nothing passes by being left out.

use std::env;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

/// A program a test may need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    /// Serial lines without hardware.
    Socat,
    /// An MQTT broker that is not ours.
    Mosquitto,
    /// Its password file.
    MosquittoPasswd,
    /// Its client, to try the broker itself.
    MosquittoPub,
    /// A Modbus master that is not ours, to try the meters themselves.
    Mbpoll,
    /// Certificates and a second opinion on signatures.
    Openssl,
    /// A Modbus server on Python; installed by `tests/run`.
    Pymodbus,
    /// A Modbus server on C; compiled by `tests/run`.
    Libmodbus,
}

impl Tool {
    /// Where it is, if it is there.
    pub(crate) fn path(self) -> Option<PathBuf> {
        match self {
            Tool::Socat => on_path("socat"),
            // Debian keeps daemons out of the path of ordinary users.
            Tool::Mosquitto => on_path("mosquitto").or_else(|| existing("/usr/sbin/mosquitto")),
            Tool::MosquittoPasswd => on_path("mosquitto_passwd"),
            Tool::MosquittoPub => on_path("mosquitto_pub"),
            Tool::Mbpoll => on_path("mbpoll"),
            Tool::Openssl => on_path("openssl"),
            Tool::Pymodbus => existing(peers().join("venv/bin/python")),
            Tool::Libmodbus => existing(peers().join("libmodbus_server")),
        }
    }

    /// The same, for a tool that [`have`] has promised.
    pub(crate) fn program(self) -> String {
        let path = self.path().unwrap_or_else(|| panic!("{self:?} is missing"));
        path.into_os_string().into_string().unwrap()
    }
}

/// Whether every one of `tools` is there; if not, the running test goes on the
/// list of what was skipped, or fails where nothing may be.
pub(crate) fn have(tools: &[Tool]) -> bool {
    let missing: Vec<_> = tools.iter().filter(|t| t.path().is_none()).collect();
    if missing.is_empty() {
        return true;
    }
    // The test harness names a test's thread after it.
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    let line = format!("process::{test}: {missing:?} missing; tests/run as root installs it");
    assert!(
        env::var("ALINK_TESTS_REQUIRE").as_deref() != Ok("all"),
        "{line}"
    );
    eprintln!("skipped {line}");
    if let Some(list) = env::var_os("ALINK_TESTS_SKIPPED") {
        let list = OpenOptions::new().create(true).append(true).open(list);
        writeln!(list.unwrap(), "{line}").unwrap();
    }
    false
}

/// Where `tests/run` puts what it installs or compiles.
fn peers() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("peers")
}

fn on_path(name: &str) -> Option<PathBuf> {
    let folders = env::var_os("PATH")?;
    env::split_paths(&folders).find_map(|f| existing(f.join(name)))
}

fn existing(path: impl Into<PathBuf>) -> Option<PathBuf> {
    Some(path.into()).filter(|p| p.exists())
}

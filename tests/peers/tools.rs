//! Programs of other authors, and what to do without them.
//!
//! A test that needs a missing program is skipped with the reason, in a list that
//! `tests/run` shows; a test that has all it needs goes on a list as well, which
//! `tests/run` demands not to be empty. With `ALINK_TESTS_REQUIRE=all`, as in CI, a
//! test without its program fails instead: no test passes by being left out.

use std::env;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Returns whether every program of `tools` exists; if not, the running test goes on
/// the list of skipped tests, or fails where no test may be skipped.
pub(crate) fn have(tools: &[&str]) -> bool {
    let missing = tools.iter().copied().filter(|t| find(t).is_none());
    let missing: Vec<&str> = missing.collect();
    // The test harness names the thread of a test after it.
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    let ring = env!("CARGO_CRATE_NAME");
    if missing.is_empty() {
        note(
            "ALINK_TESTS_MET",
            &format!("{ring}::{test}: with {}", tools.join(", ")),
        );
        return true;
    }
    let line = format!("{ring}::{test}: without {}", missing.join(", "));
    assert!(
        env::var("ALINK_TESTS_REQUIRE").as_deref() != Ok("all"),
        "{line}"
    );
    eprintln!("skipped {line}");
    note("ALINK_TESTS_SKIPPED", &line);
    false
}

/// Adds a line to the list that this variable names, if it names one.
fn note(list: &str, line: &str) {
    if let Some(list) = env::var_os(list) {
        let list = OpenOptions::new().create(true).append(true).open(list);
        writeln!(list.unwrap(), "{line}").unwrap();
    }
}

/// Returns the path of a tool that [`have`] has promised.
pub(crate) fn path(tool: &str) -> PathBuf {
    find(tool).unwrap_or_else(|| panic!("{tool} is missing"))
}

fn find(tool: &str) -> Option<PathBuf> {
    match tool {
        // Installed by tests/run: Python with both packages, Node's, ours in C.
        "pymodbus" | "linkkit" => existing(peers().join("venv/complete"))
            .and_then(|_| existing(peers().join("venv/bin/python"))),
        "device-sdk" => existing(peers().join("node/complete"))
            .and_then(|_| existing(peers().join("node/node_modules"))),
        "modbus-serial" => existing(peers().join("node/complete"))
            .and_then(|_| existing(peers().join("node/node_modules/modbus-serial")))
            .and_then(|_| on_path("node")),
        "libmodbus" => existing(peers().join("libmodbus_server")),
        "usb-machine" => existing(peers().join("usb/complete")),
        "promtool" => on_path(tool).or_else(|| existing(peers().join(tool))),
        // Debian keeps daemons out of the path of ordinary users.
        "mosquitto" => on_path(tool).or_else(|| existing("/usr/sbin/mosquitto")),
        _ => on_path(tool),
    }
}

/// Returns where `tests/run` puts what it installs or compiles.
pub(crate) fn peers() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("peers")
}

fn on_path(name: &str) -> Option<PathBuf> {
    let folders = env::var_os("PATH")?;
    env::split_paths(&folders).find_map(|f| existing(f.join(name)))
}

fn existing(path: impl Into<PathBuf>) -> Option<PathBuf> {
    Some(path.into()).filter(|p| p.exists())
}

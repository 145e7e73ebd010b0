//! The demo as people start it: the real daemon on a real terminal and real sockets, in
//! real time. Its report must be what happened.

use std::process::{Command, Output};

use serde_json::Value as Json;

fn demo(args: &[&str]) -> (Output, Json) {
    let out = Command::new(env!("CARGO_BIN_EXE_alink-lab"))
        .args(["demo", "--json"])
        .args(args)
        .output()
        .unwrap();
    let said = String::from_utf8(out.stdout.clone()).unwrap();
    let last = said.lines().last().expect("it said nothing");
    let report = serde_json::from_str(last).expect("the last line is one JSON object");
    (out, report)
}

/// Returns where the demo says that it left the log of the daemon.
fn log_left(out: &Output) -> Option<std::path::PathBuf> {
    let told = String::from_utf8_lossy(&out.stderr).into_owned();
    let (_, rest) = told.split_once("the daemon's log is in ")?;
    Some(rest.split(';').next()?.into())
}

#[test]
fn the_story_comes_true() {
    let (out, report) = demo(&["--seconds", "90"]);
    let told = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{report}\n{told}");
    assert_eq!(report["problems"], Json::Array(Vec::new()));
    assert_eq!(report["devices"], 120);
    assert_eq!(report["online"], 120);
    assert_eq!(report["recovered"], true);
    assert_eq!(report["logged_out_at_exit"], 120);
    assert_eq!(report["commands_verified"], 1);
    assert!(
        report["commands_refused"].as_u64().unwrap() >= 1,
        "{report}"
    );
    let sizes: Vec<u64> = report["batch_sizes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| n.as_u64().unwrap())
        .collect();
    assert_eq!(sizes.iter().sum::<u64>(), 120, "{sizes:?}");
    assert!(sizes.iter().filter(|n| **n == 50).count() >= 2, "{sizes:?}");
    for field in [
        "values_accepted",
        "all_online_ms",
        "silent_to_logout_ms",
        "back_to_login_ms",
    ] {
        assert!(report[field].as_u64().unwrap() > 0, "{field}");
    }
    assert_eq!(log_left(&out), None, "nothing is left behind");
}

#[test]
fn a_daemon_that_does_nothing_is_a_story_that_did_not_come_true() {
    let (out, report) = demo(&["--gateway", "/bin/false"]);
    assert_eq!(out.status.code(), Some(1));
    let problems = report["problems"].to_string();
    assert!(problems.contains("ended in the middle"), "{problems}");
    assert_eq!(report["online"], 0);
    assert_eq!(report["all_online_ms"], Json::Null);
    let log = log_left(&out).unwrap();
    assert!(log.is_file());
    std::fs::remove_dir_all(log.parent().unwrap()).unwrap();
}

#[test]
fn a_daemon_that_never_connects_is_given_up_in_time() {
    // This gateway runs, understands SIGTERM, and does nothing else.
    let folder = tempfile::tempdir().unwrap();
    let idle = folder.path().join("idle");
    std::fs::write(
        &idle,
        "#!/bin/sh\ntrap 'kill $!; exit 0' TERM\nsleep 60 & wait\n",
    )
    .unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&idle, mode).unwrap();
    let (out, report) = demo(&["--seconds", "10", "--gateway", idle.to_str().unwrap()]);
    assert_eq!(out.status.code(), Some(1));
    let problems = report["problems"].to_string();
    assert!(problems.contains("no time left"), "{problems}");
    let log = log_left(&out).unwrap();
    std::fs::remove_dir_all(log.parent().unwrap()).unwrap();
}

//! Commands as the service carries them out: the real daemon on a serial line, in a flood and
//! while units and the connection fail.

use std::process::Command;

use serde_json::Value as Json;

#[test]
fn each_command_has_one_answer_and_nothing_is_done_twice_or_late() {
    let lab = env!("CARGO_BIN_EXE_alink-lab");
    let words = ["commands", "--quick", "--json", "--seconds", "120"];
    let out = Command::new(lab).args(words).output().unwrap();
    let said = String::from_utf8(out.stdout).unwrap();
    let last = said.lines().last().expect("it said nothing");
    let report: Json = serde_json::from_str(last).expect("the last line is one JSON object");
    let told = String::from_utf8_lossy(&out.stderr);
    assert_eq!(
        report["problems"],
        Json::Array(Vec::new()),
        "{report}\n{told}"
    );
    assert!(out.status.success(), "{report}\n{told}");
    for none in [
        "executed_after_timeout",
        "executed_twice",
        "verified_without_write",
    ] {
        assert_eq!(report[none], 0, "{none}");
    }
    assert_eq!(report["replies_per_command"], 1.0);
    assert!(report["verified"].as_u64().unwrap() > 30, "{report}");
}

//! The store of readings as the service uses it: the real daemon is killed and stopped at
//! random moments, and no value is lost, invented or out of order.

use std::process::Command;

use serde_json::Value as Json;

use crate::tools;

#[test]
fn no_value_is_lost_over_kills_and_stops() {
    if !tools::have(&["unshare"]) {
        return;
    }
    let lab = env!("CARGO_BIN_EXE_alink-lab");
    let words = ["spool", "--quick", "--json", "--seconds", "60"];
    let out = Command::new(lab).args(words).output().unwrap();
    let said = String::from_utf8(out.stdout).unwrap();
    let last = said.lines().last().expect("it said nothing");
    let report: Json = serde_json::from_str(last).expect("the last line is one JSON object");
    let told = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{report}\n{told}");
    assert_eq!(report["problems"], Json::Array(Vec::new()));
    assert_eq!(report["kills"], 10);
    assert_eq!(report["stops"], 3);
    for none in ["lost_beyond_window", "invented", "out_of_order"] {
        assert_eq!(report[none], 0, "{none}");
    }
    assert!(report["values"].as_u64().unwrap() > 1_000);
}

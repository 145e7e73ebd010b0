//! The documents about metrics are true: the table for people, the dashboard and the
//! alert rules name only metrics that exist, and the table names all of them. `BLESS=1`
//! writes the table anew.

use crate::tools;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use alink_gateway::base::histogram::BOUNDS_US;
use alink_gateway::control::metrics::{Kind, TABLE};

fn root(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

/// Returns the names of the samples of all metrics.
fn samples() -> BTreeSet<String> {
    TABLE
        .iter()
        .flat_map(|m| {
            let endings: &[&str] = match m.kind {
                Kind::Counter => &["_total"],
                Kind::Gauge => &[""],
                Kind::Histogram => &["_bucket", "_sum", "_count"],
            };
            endings.iter().map(|e| format!("{}{e}", m.name))
        })
        .collect()
}

/// Returns every name of ours in a text.
fn mentioned(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let ours = words.filter(|w| w.starts_with("alink_gateway_"));
    ours.map(str::to_owned).collect()
}

#[test]
fn the_table_for_people_is_the_table_of_the_program() {
    let mut text = String::from(
        "# Metrics

What `alink-gateway metrics` prints, and `GET /metrics` where `metrics.listen` is configured: OpenMetrics text.
Names, labels and meanings stay; new ones may be added. `tests/house/metrics.rs` holds this table and the program together.

| name | type | labels | what it says |
|---|---|---|---|
",
    );
    for m in TABLE {
        let ending = if m.kind == Kind::Counter {
            "_total"
        } else {
            ""
        };
        let labels = m.labels.iter().map(|l| format!("`{l}`"));
        let labels = labels.collect::<Vec<_>>().join(", ");
        let (kind, help) = (m.kind.word(), m.help);
        writeln!(
            text,
            "| `{}{ending}` | {kind} | {labels} | {help} |",
            m.name
        )
        .unwrap();
    }
    let bounds = BOUNDS_US.map(|us| (us as f64 / 1e6).to_string()).join(", ");
    writeln!(
        text,
        "\nHistograms have classes up to {bounds} s, and one for all that took longer."
    )
    .unwrap();
    let file = root("packaging/metrics.md");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&file, &text).unwrap();
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
}

#[test]
fn dashboard_and_alerts_know_only_what_exists() {
    let known = samples();
    for file in [
        "packaging/grafana/alink-gateway.json",
        "packaging/prometheus/alerts.yaml",
    ] {
        let text = fs::read_to_string(root(file)).unwrap();
        let mentioned = mentioned(&text);
        assert!(mentioned.len() >= 5, "{file}: {mentioned:?}");
        let unknown: Vec<_> = mentioned.difference(&known).collect();
        assert!(unknown.is_empty(), "{file}: {unknown:?}");
    }
}

#[test]
fn prometheus_itself_takes_the_alert_rules() {
    if !tools::have(&["promtool"]) {
        return;
    }
    let out = Command::new(tools::path("promtool"))
        .args(["check", "rules"])
        .arg(root("packaging/prometheus/alerts.yaml"))
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
}

#[test]
fn the_dashboard_is_json_with_panels_that_ask_something() {
    let text = fs::read_to_string(root("packaging/grafana/alink-gateway.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() >= 8);
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        for target in panel["targets"].as_array().unwrap() {
            assert!(
                target["expr"].as_str().unwrap().contains("alink_gateway_"),
                "{panel}"
            );
        }
    }
}

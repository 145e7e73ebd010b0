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
use alink_gateway::cloud::Counters;
use alink_gateway::control::metrics::{MetricKind, TABLE};
use alink_gateway::spool::DropCause;

fn root(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

/// Returns the names of the samples of all metrics.
fn samples() -> BTreeSet<String> {
    TABLE
        .iter()
        .flat_map(|m| {
            let endings: &[&str] = match m.kind {
                MetricKind::Counter => &["_total"],
                MetricKind::Gauge => &[""],
                MetricKind::Histogram => &["_bucket", "_sum", "_count"],
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

/// What the values of the label `cause` mean, and which of the two counters has them.
const CAUSES: [(&str, &str, &str); 12] = [
    (
        "queue-full",
        "both",
        "More waited than `cloud.post.queue` holds, and no store took them",
    ),
    (
        "refused",
        "both",
        "The platform refused them; the journal says with which code",
    ),
    (
        "too-large",
        "both",
        "One alone is longer than a message may be",
    ),
    (
        "unknown",
        "both",
        "Their device or point is not configured any more",
    ),
    (
        "no-time",
        "values",
        "Too many waited for the clock to be set",
    ),
    (
        "stop",
        "both",
        "The service stopped, and no store took them",
    ),
    (
        "store-full",
        "values",
        "The store was full: the oldest or the newest, as `drop:` says",
    ),
    (
        "store-thinned",
        "values",
        "The store was full, and every second value was given up (`drop: thin`)",
    ),
    ("store-too-old", "values", "They were older than `age:`"),
    (
        "store-undated",
        "values",
        "They were read before the clock was set, and the box was started again since",
    ),
    (
        "store-too-long",
        "values",
        "The text is too long to be stored",
    ),
    (
        "store-damaged",
        "values",
        "They were in a damaged or missing file of the store",
    ),
];

/// Returns the table of causes, which are those of the program.
fn causes() -> String {
    let counters = Counters::default();
    let of_values = counters.drops().map(|(cause, _)| cause);
    let of_store = DropCause::ALL.map(DropCause::word);
    let of_events: BTreeSet<&str> = counters.event_drops().map(|(cause, _)| cause).into();
    let of_values: BTreeSet<&str> = of_values.into_iter().chain(of_store).collect();
    let told = |of: &str| -> BTreeSet<&str> {
        let told = CAUSES
            .iter()
            .filter(|(_, whose, _)| [of, "both"].contains(whose));
        told.map(|(cause, ..)| *cause).collect()
    };
    assert_eq!(told("values"), of_values);
    assert_eq!(told("events"), of_events);
    let mut text = String::from(
        "\n`cause` of `alink_gateway_values_dropped_total`, and of `alink_gateway_events_dropped_total` where events have it:\n\n\
         | cause | events | what it means |\n|---|---|---|\n",
    );
    for (cause, _, what) in CAUSES {
        let events = if of_events.contains(cause) { "yes" } else { "" };
        writeln!(text, "| `{cause}` | {events} | {what} |").unwrap();
    }
    text
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
        let ending = if m.kind == MetricKind::Counter {
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
    text.push_str(&causes());
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

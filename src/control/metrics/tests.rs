use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::super::picture::tests::{devices, statuses};
use super::*;

fn figures() -> impl Strategy<Value = Figures> {
    let all = (statuses(), proptest::collection::vec(devices(), 0..3));
    all.prop_map(|(status, devices)| {
        let mut replies = Histogram::default();
        replies.add(Duration::from_millis(12));
        replies.add(Duration::from_secs(100));
        Figures {
            replies: vec![replies.clone(); status.ports.len()],
            status,
            devices,
            logins: replies,
            published: 7,
            unanswered: 0,
            throttled: 0,
            refused: 0,
            kicked: 0,
            logouts: Default::default(),
            commands: [(VerdictWord::Refused, 3)].into(),
            events: EventFigures {
                raised: 9,
                dropped: [("refused", 2)].into(),
                ..EventFigures::default()
            },
        }
    })
}

/// Returns the name at the start of a sample.
fn name_of(line: &str) -> &str {
    let end = line.find(['{', ' ']).unwrap();
    &line[..end]
}

proptest! {
    #[test]
    fn every_sample_is_of_a_metric_in_the_table_whatever_devices_are_called(figures in figures()) {
        let text = text(figures).unwrap();
        prop_assert!(text.ends_with("# EOF\n"));
        for line in text.lines().filter(|l| !l.starts_with('#')) {
            let name = name_of(line);
            let known = TABLE.iter().any(|m| match m.kind {
                MetricKind::Counter => name.strip_suffix("_total") == Some(m.name),
                MetricKind::Gauge => name == m.name,
                MetricKind::Histogram => ["_sum", "_count", "_bucket"]
                    .iter()
                    .any(|s| name.strip_suffix(s) == Some(m.name)),
            });
            prop_assert!(known, "{}", line);
            let value = line.rsplit(' ').next().unwrap();
            prop_assert!(value.parse::<f64>().is_ok_and(f64::is_finite), "{}", line);
        }
    }
}

#[test]
fn every_metric_has_its_labels_and_its_classes() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut figures =
        proptest::strategy::ValueTree::current(&figures().new_tree(&mut runner).unwrap());
    let of = |name: &str, line: u32| super::super::picture::Port {
        name: name.into(),
        line: format!("/dev/tty{line}"),
        settings: None,
        down: None,
        retry_ms: None,
        load_permille: 412,
        devices: 3,
        answering: 2,
        rtt: None,
        outcomes: Default::default(),
        echoes: [("echo-missed".to_owned(), 3)].into(),
        echoes_lately: Default::default(),
        probes: 4,
        noticed: Vec::new(),
    };
    figures.status.ports = vec![of("line\"1", 1)];
    let mut replies = Histogram::default();
    replies.add(Duration::from_millis(12));
    replies.add(Duration::from_secs(100));
    figures.replies = vec![replies];
    let text = text(figures).unwrap();
    for line in [
        "# TYPE alink_gateway_port_busy_ratio gauge",
        "alink_gateway_port_busy_ratio{port=\"line\\\"1\"} 0.412",
        "alink_gateway_port_reply_seconds_bucket{le=\"0.01\",port=\"line\\\"1\"} 0",
        "alink_gateway_port_reply_seconds_bucket{le=\"0.02\",port=\"line\\\"1\"} 1",
        "alink_gateway_port_reply_seconds_bucket{le=\"+Inf\",port=\"line\\\"1\"} 2",
        "alink_gateway_port_reply_seconds_count{port=\"line\\\"1\"} 2",
        "alink_gateway_port_echoes_total{port=\"line\\\"1\",outcome=\"echo-missed\"} 3",
        "alink_gateway_port_probes_total{port=\"line\\\"1\"} 4",
        "alink_gateway_messages_published_total 7",
        "alink_gateway_commands_total{verdict=\"refused\"} 3",
        "alink_gateway_commands_total{verdict=\"verified\"} 0",
        "alink_gateway_devices{bus=\"suspect\",cloud=\"refused\"} 7.0",
        "alink_gateway_devices{bus=\"alive\",cloud=\"online\"} 0.0",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}\n{text}");
    }
}

#[test]
fn names_are_used_once_and_say_their_unit() {
    let names: BTreeSet<_> = TABLE.iter().map(|m| m.name).collect();
    assert_eq!(names.len(), TABLE.len());
    for m in TABLE {
        assert!(m.name.starts_with("alink_gateway_"), "{}", m.name);
        assert!(!m.name.ends_with("_total"), "{}", m.name);
        if m.kind == MetricKind::Histogram {
            assert!(m.name.ends_with("_seconds"), "{}", m.name);
        }
    }
}

#[test]
fn the_help_of_commands_names_every_verdict() {
    let metric = TABLE.iter().find(|m| m.name.ends_with("_commands"));
    for word in VerdictWord::ALL {
        assert!(metric.unwrap().help.contains(word.word()), "{word:?}");
    }
}

#[test]
fn the_help_of_log_outs_names_every_reason_and_the_journal_does_too() {
    let metric = TABLE.iter().find(|m| m.name.ends_with("device_logouts"));
    let journal = include_str!("../../../packaging/journal.md");
    let field = journal.lines().find(|l| l.starts_with("| `REASON` |"));
    for text in [metric.unwrap().help, field.unwrap()] {
        for word in crate::base::LogoutReason::WORDS {
            assert!(text.contains(word), "{word}: {text}");
        }
    }
}

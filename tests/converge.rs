//! The measuring program, on a small plan: it measures, the targets that do
//! not need many seeds are met, and the same plan gives the same figures.

#![cfg(feature = "lab")]

use alink_gateway::lab::converge::{Plan, measure};

#[test]
fn the_targets_are_met_and_the_figures_can_be_had_again() {
    let plan = Plan {
        seeds: 3,
        sizes: vec![60],
        losses: vec![0, 200],
    };
    let measured = measure(&plan, |_| {});
    let summary = measured.summary();
    // Who may connect is another engine's business, and has its own tests.
    let missed = summary.broken.iter().filter(|b| !b.contains("CONNECT"));
    assert_eq!(missed.collect::<Vec<_>>(), Vec::<&String>::new());
    assert_eq!(summary.messages_clean_2000, 40);
    assert_eq!(measured.rows.len(), 4);
    for row in &measured.rows {
        assert!(row.online.p50 <= row.online.p99, "{row:?}");
        assert!(row.online.max > std::time::Duration::ZERO, "{row:?}");
        assert!(measured.page().contains(&row.line()), "{row:?}");
    }
    assert_eq!(measure(&plan, |_| {}), measured);
}

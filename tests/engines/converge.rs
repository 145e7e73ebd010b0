//! The measuring program, on a small plan: it measures, the targets that do not need
//! many seeds are met, and the same plan gives the same figures.

use std::sync::LazyLock;
use std::time::Duration;

use alink_gateway::lab::converge::{Measured, Plan, Slow, measure};

/// Returns a plan with few devices and seeds, so that it takes seconds.
fn plan() -> Plan {
    Plan {
        seeds: 3,
        sizes: vec![60],
        losses: vec![0, 200],
        recovery_seeds: 1,
        slow: vec![
            Slow::secs(1, 2, 0),
            Slow::secs(6, 8, 200),
            Slow::secs(11, 14, 0),
        ],
    }
}

/// Measured once for all the tests here, with the words about each world.
static MEASURED: LazyLock<(Measured, Vec<String>)> = LazyLock::new(|| {
    let mut told = Vec::new();
    let measured = measure(&plan(), |line| told.push(line.to_owned()));
    (measured, told)
});

#[test]
fn the_targets_are_met() {
    let targets = MEASURED.0.targets();
    // Connections are decided by another engine, and have their own tests.
    let missed = targets
        .iter()
        .filter(|t| !t.is_met() && !t.recovery && !t.what.contains("CONNECT"));
    assert_eq!(missed.collect::<Vec<_>>(), Vec::<&_>::new());
    assert_eq!(MEASURED.0.summary().messages_clean_2000, 40);
}

/// Checks faults of the platform, and how soon the gateway has recovered from each.
#[test]
fn the_targets_of_recovering_are_met() {
    let (measured, told) = &*MEASURED;
    let targets = measured.targets();
    let missed = targets.iter().filter(|t| t.recovery && !t.is_met());
    let missed: Vec<String> = missed.map(|t| t.sentence()).collect();
    assert!(missed.is_empty(), "{missed:#?}\n{}", told.join("\n"));
}

#[test]
fn every_figure_is_measured_and_shown_with_its_target() {
    let measured = &MEASURED.0;
    let summary = measured.summary();
    assert_eq!(measured.rows.len(), 4);
    let page = measured.page();
    for row in &measured.rows {
        assert!(row.online.p50 <= row.online.p99, "{row:?}");
        assert!(row.online.max > Duration::ZERO, "{row:?}");
        assert!(page.contains(&row.line()), "{row:?}");
    }
    let recovery = &measured.recovery;
    assert_eq!(recovery.throughput.len(), plan().slow.len());
    for row in &recovery.throughput {
        assert!(row.share > 0, "{row:?}");
        assert!(page.contains(&row.line()), "{row:?}");
    }
    // The worst of the rows up to 8 s and 20 % is judged.
    let judged = recovery.throughput.iter().filter(|r| r.slow.is_judged());
    let shares: Vec<u64> = judged.map(|r| r.share).collect();
    assert_eq!(shares.len(), 2);
    let worst = shares.into_iter().min().unwrap_or_default();
    let shown = summary.throughput_slow_replies * 1000.0;
    assert_eq!(shown.round() as u64, worst);
    // No figure is zero, and the worlds had the faults they are made for.
    for (what, took) in [
        ("refill", recovery.refill),
        ("lifted", recovery.lifted),
        ("back after 429", recovery.back_after_429),
        ("gap", recovery.post_429_gap),
        ("silent loss", recovery.silent_loss_back),
    ] {
        assert!(took > Duration::ZERO, "{what}");
    }
    assert!(recovery.post_429_gap >= Duration::from_secs(20));
    assert!(recovery.dropped > 100, "{recovery:?}");
    for target in measured.targets() {
        assert!(page.contains(&format!("| {} |", target.what)), "{target:?}");
        let told = summary.broken.contains(&target.sentence());
        assert_eq!(told, !target.is_met(), "{target:?}");
    }
    let json = serde_json::to_value(&summary).unwrap_or_default();
    for field in [
        "online_one_by_one_2000_ms_p99",
        "flap_offline_ms",
        "refill_after_428_ms",
        "lifted_428_ms",
        "back_after_429_ms",
        "post_429_gap_ms",
        "silent_loss_back_ms",
        "throughput_slow_replies",
        "repeats_slow_replies",
        "delivered_but_lost",
    ] {
        assert!(json[field].is_number(), "{field}: {json}");
    }
}

#[test]
fn the_figures_can_be_had_again() {
    let plan = Plan {
        slow: vec![Slow::secs(1, 2, 200)],
        ..plan()
    };
    let measured = || measure(&plan, |_| {});
    assert_eq!(measured(), measured());
}

//! How much of the time of living units dead units take, on virtual time: the models of
//! `tests/engines/turns/`, the real schedule.

use std::time::Duration;

use crate::report::Report;
use crate::turns_figures::{HALF_LOAD, four_of_16, percentile, returns, twenty_of_31};

/// Lives in each figure.
const SEEDS: u64 = 5;

pub(crate) fn measure(report: &mut Report) {
    let seeds = if report.quick { 1 } else { SEEDS };
    healthy(report, seeds);
    rates(report, seeds);
    noticed(report, seeds);
}

fn healthy(report: &mut Report, seeds: u64) {
    let (mut kept, mut gap) = (f64::INFINITY, 0.0f64);
    let mut detail = Vec::new();
    for ms in [10_000, 5_300] {
        for cold in [false, true] {
            let (mut k, mut g) = (f64::INFINITY, 0.0f64);
            for seed in 0..seeds {
                let life = twenty_of_31(Duration::from_millis(ms), cold, seed);
                k = k.min(life.first_minute).min(life.kept);
                g = g.max(life.p99_gap);
            }
            let when = if cold {
                "dead from the start"
            } else {
                "dying at once"
            };
            detail.push(format!(
                "every {:.1} s, {when}: {k:.4} and {g:.3}",
                ms as f64 / 1000.0
            ));
            kept = kept.min(k);
            gap = gap.max(g);
        }
    }
    let detail = detail.join("; ");
    report.add(
        "healthy_kept_20_of_31",
        kept,
        "polls kept by the healthy with 20 of 31 units dead, in the worse of first minute and half an hour",
        "≥ 0.99",
        detail.clone(),
    );
    report.add(
        "healthy_p99_gap_ratio",
        gap,
        "99th percentile of their gaps, in periods",
        "≤ 1.05",
        detail,
    );
}

fn rates(report: &mut Report, seeds: u64) {
    let lives: Vec<_> = (0..seeds).map(four_of_16).collect();
    let first = lives
        .iter()
        .map(|l| l.first25s)
        .fold(f64::INFINITY, f64::min);
    let steady = lives.iter().map(|l| l.steady).fold(f64::INFINITY, f64::min);
    let detail = || format!("16 × 3 reads of 10 at 9600, flat out; {seeds} lives");
    report.add(
        "live_rate_4_of_16_first25s",
        first,
        "rate of the worst live unit relative to its former, 25 s from the death of 4 of 16",
        "≥ 0.95",
        detail(),
    );
    report.add(
        "live_rate_4_of_16_steady",
        steady,
        "the same from then on",
        "≥ 1.25",
        detail(),
    );
}

fn noticed(report: &mut Report, seeds: u64) {
    let p99 = |all, dead, interval| {
        let mut all: Vec<f64> = (0..seeds)
            .flat_map(|s| returns(all, dead, interval, s))
            .collect();
        (
            percentile(&mut all, 0.99),
            percentile(&mut all, 0.5),
            all.len(),
        )
    };
    let (few, median, n) = p99(16, 4, HALF_LOAD);
    report.add(
        "return_noticed_ms_p99",
        few.round(),
        "99th percentile until the return of a unit is noticed, 4 of 16 dead at half load",
        "≤ 5000",
        format!("{n} returns, median {median:.0}"),
    );
    let (slow, median, n) = p99(31, 20, Duration::from_secs(10));
    report.add(
        "return_noticed_20_of_31_ms_p99",
        slow.round(),
        "the same with 20 of 31 dead, every 10 s",
        "≤ 12000",
        format!("{n} returns, median {median:.0}"),
    );
    let (full, median, n) = p99(31, 20, Duration::from_millis(5_300));
    report.add(
        "return_noticed_20_of_31_full_ms_p99",
        full.round(),
        "the same every 5.3 s",
        "≤ 12000",
        format!("{n} returns, median {median:.0}"),
    );
}

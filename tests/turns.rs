//! Turns on a line, on virtual time: what dead, slow and greedy units cost the
//! others.
#![cfg(feature = "lab")]
#![expect(clippy::unwrap_used, reason = "a test says no by panicking")]

#[path = "turns/figures.rs"]
mod figures;
#[path = "turns/line.rs"]
mod turns_line;

use std::time::Duration;

use figures::{HALF_LOAD, four_of_16, percentile, returns, twenty_of_31};

#[test]
fn print() {
    for ms in [10_000, 5_300] {
        for cold in [false, true] {
            for seed in 0..2 {
                eprintln!("{ms} {cold} {:?}", twenty_of_31(Duration::from_millis(ms), cold, seed));
            }
        }
    }
    for seed in 0..2 {
        eprintln!("{:?}", four_of_16(seed));
    }
    for (all, dead, interval) in [(16, 4, HALF_LOAD), (31, 20, Duration::from_secs(10)), (31, 20, Duration::from_millis(5300))] {
        let mut r: Vec<f64> = (0..2).flat_map(|s| returns(all, dead, interval, s)).collect();
        eprintln!("{all} {dead} {interval:?}: p50 {} p99 {}", percentile(&mut r, 0.5), percentile(&mut r, 0.99));
    }
}

//! The fault matrix: every kind of failure of one request, on every protocol and
//! transport, permanent and passing. Whatever fails, only that fails.
//!
//! The real port task and the real fleet poll simulated devices on virtual time.
//! An ordinary run takes a sample; `ALINK_MATRIX=all` takes every cell,
//! `ALINK_MATRIX=text` those whose name contains the text, and shows what happened.
//! `ALINK_MATRIX_SEED=n` begins the sample elsewhere, `ALINK_MATRIX_SAMPLE=n` makes
//! it larger.
#![cfg(feature = "lab")]
#![expect(clippy::unwrap_used, reason = "a test says no by panicking")]

#[path = "matrix/devices.rs"]
mod devices;
#[path = "matrix/figures.rs"]
mod figures;
#[path = "matrix/kinds.rs"]
mod kinds;
#[path = "matrix/notices.rs"]
mod notices;
#[path = "matrix/plant.rs"]
mod plant;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Mutex;
use std::time::Duration;

use figures::{Figures, WATCHED};
use kinds::{Cell, cells};

/// How many cells an ordinary run takes.
const SAMPLE: usize = 48;

/// How long an ordinary run watches a fault that stays.
const SHORT: Duration = Duration::from_secs(240);

/// Which cells, and for how long each.
fn chosen() -> (Vec<Cell>, Duration) {
    let all = cells();
    match std::env::var("ALINK_MATRIX") {
        Ok(text) if text == "all" => (all, WATCHED),
        Ok(text) => {
            let named = all.into_iter().filter(|c| c.to_string().contains(&text));
            (named.collect(), WATCHED)
        }
        Err(_) => {
            let number = |name: &str, otherwise: usize| {
                std::env::var(name).map_or(otherwise, |n| n.parse().unwrap())
            };
            let seed = number("ALINK_MATRIX_SEED", 0);
            let sample = number("ALINK_MATRIX_SAMPLE", SAMPLE);
            (figures::sample(all, sample, seed), SHORT)
        }
    }
}

/// Every cell, on all processors.
fn run(cells: &[Cell], watched: Duration) -> Vec<(Cell, Figures)> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(cell) = cells.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let figures = figures::run(*cell, watched);
                    done.lock().unwrap().push((*cell, figures));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap();
    done.sort_by_key(|(cell, _)| *cell);
    done
}

#[test]
fn whatever_fails_only_that_fails() {
    let (cells, watched) = chosen();
    let mut failed = Vec::new();
    let of = cells.len();
    for (cell, figures) in run(&cells, watched) {
        let failures = figures.failures();
        if !failures.is_empty() {
            failed.push((cell, failures, figures.story));
        }
    }
    let list: Vec<String> = failed
        .iter()
        .map(|(cell, failures, _)| format!("{cell}: {}", failures.join("; ")))
        .collect();
    let shortest = failed.iter().min_by_key(|(_, _, story)| story.len());
    if let Some((cell, _, story)) = shortest {
        panic!(
            "{} of {of} cells fail:\n{}\nof {cell}:\n{story}",
            failed.len(),
            list.join("\n")
        );
    }
}

/// Without a fault nothing is amiss: what the matrix finds is not its own doing.
#[test]
fn a_line_without_faults_keeps_everything() {
    for cell in figures::healthy() {
        let figures = figures::run(cell, SHORT);
        let failures = figures.failures();
        assert!(failures.is_empty(), "{cell}: {failures:?}\n{}", figures.story);
    }
}

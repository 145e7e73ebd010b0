//! The fault matrix: every kind of failure of one request, on every protocol and
//! transport, permanent and passing. Whatever fails, only that fails.
//!
//! The real port task and the real fleet poll simulated devices on virtual time.
//! An ordinary run takes a sample; `ALINK_MATRIX=all` takes every cell,
//! `ALINK_MATRIX=text` those whose name contains the text, and shows what happened.
//! `ALINK_MATRIX_SEED=n` begins the sample elsewhere, `ALINK_MATRIX_SAMPLE=n` makes
//! it larger; `ALINK_MATRIX_LINES=n` shows so many requests of a cell that fails.

mod death;
#[path = "../fixture/matrix/devices.rs"]
mod devices;
mod figures;
#[path = "../fixture/matrix/kinds.rs"]
mod kinds;
#[path = "../fixture/matrix/notices.rs"]
pub(crate) mod notices;
#[path = "../fixture/matrix/plant.rs"]
#[expect(dead_code, reason = "the tests on sockets use more of it")]
mod plant;

use std::time::Duration;

use death::{Death, percentile};
use figures::WATCHED;
use kinds::{Cell, cells};

/// How many cells an ordinary run takes.
const SAMPLE: usize = 48;

/// How long an ordinary run watches a fault that stays.
const SHORT: Duration = Duration::from_secs(240);

/// Returns the cells to run, and for how long each.
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

/// Checks that in every cell the other requests keep their polls, a failure is named, a
/// fault that is over leaves nothing behind, and nothing is wrong, posted twice,
/// requested besides the plan or logged out.
#[test]
fn whatever_fails_only_that_fails() {
    let (cells, watched) = chosen();
    let mut failed = Vec::new();
    let of = cells.len();
    for (cell, figures) in figures::run_all(&cells, watched) {
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

/// Checks that without a fault nothing is amiss: the findings of the matrix are not
/// caused by the matrix itself.
#[test]
fn a_line_without_faults_keeps_everything() {
    for cell in figures::healthy() {
        let figures = figures::run(cell, SHORT);
        let failures = figures.failures();
        assert!(
            failures.is_empty(),
            "{cell}: {failures:?}\n{}",
            figures.story
        );
    }
}

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[test]
fn many_that_die_at_once_behind_a_tcp_endpoint_are_known_soon_and_cost_the_others_nothing() {
    let mut failed = Vec::new();
    for death in Death::TCP {
        let course = death.course(1);
        let out = percentile(course.out.clone(), 0.99);
        let back = percentile(course.back.clone(), 0.99);
        let good = out <= 15.0 && back <= 5.0 && course.kept >= 0.99;
        if !good || course.false_logouts > 0 || course.wrong > 0 {
            failed.push(format!(
                "{death:?}: out {out:.1} s, back {back:.1} s, kept {:.3}, {} false log-outs, {} wrong",
                course.kept, course.false_logouts, course.wrong
            ));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn many_that_die_at_once_on_a_serial_line_are_known_in_proportion() {
    let mut failed = Vec::new();
    let seeds = match std::env::var("ALINK_MATRIX") {
        Ok(text) if text == "all" => 20,
        _ => 1,
    };
    let deaths = Death::LINE.into_iter();
    for (death, seed) in deaths.flat_map(|death| (0..seeds).map(move |seed| (death, seed))) {
        let course = death.course(seed);
        let ratio = death.ratio(&course);
        let good = ratio <= 1.3 && course.kept >= 0.99;
        if !good || course.false_logouts > 0 || course.wrong > 0 {
            let last = course.out.iter().copied().fold(0.0, f64::max);
            let back = percentile(course.back.clone(), 0.99);
            failed.push(format!(
                "{death:?}, seed {seed}: last out {last:.1} s, ratio {ratio:.2}, \
                 back {back:.1} s, kept {:.3}, {} false log-outs, {} wrong",
                course.kept, course.false_logouts, course.wrong
            ));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn a_start_with_half_of_the_units_dead_keeps_nobody_waiting() {
    let mut failed = Vec::new();
    for timeout in [Some(ms(500)), None] {
        let start = Death::tcp(50, timeout, false).start(1);
        let silent = start.silent.iter().copied().fold(0.0, f64::max);
        // All living devices are read within one interval.
        if silent > 15.0 || start.read > 10.0 {
            failed.push(format!(
                "timeout {timeout:?}: silent after {silent:.1} s, all read after {:.1} s",
                start.read
            ));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

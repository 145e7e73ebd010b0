//! Whatever fails, only that fails: the fault matrix of `tests/engines/matrix/`, each figure
//! that of the worst cell; and deaths of many devices at once.
//!
//! Everything is on virtual time: the machine changes no figure.

#[path = "../../tests/engines/matrix/death.rs"]
mod death;
#[path = "../../tests/fixture/matrix/devices.rs"]
mod devices;
#[path = "../../tests/engines/matrix/figures.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod figures;
#[path = "../../tests/fixture/matrix/kinds.rs"]
mod kinds;
#[path = "../../tests/fixture/matrix/notices.rs"]
mod notices;
#[path = "../../tests/fixture/matrix/plant.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod plant;

use std::collections::BTreeMap;

use crate::report::Report;
use death::{Death, percentile};
use figures::{Figures, WATCHED, run_all, sample};
use kinds::{Cell, Kind, cells};

/// Cells of a first look.
const QUICK: usize = 120;

/// How many lives of each death are measured.
const SEEDS: u64 = 5;

pub(crate) fn measure(report: &mut Report) {
    let all = cells();
    let cells = if report.quick {
        sample(all, QUICK, 0)
    } else {
        all
    };
    let lives = run_all(&cells, WATCHED);
    let mut kinds: BTreeMap<Kind, (usize, usize)> = BTreeMap::new();
    for (cell, figures) in &lives {
        let (failed, all) = kinds.entry(cell.kind).or_default();
        *failed += usize::from(!figures.failures().is_empty());
        *all += 1;
    }
    let failed: usize = kinds.values().map(|(failed, _)| failed).sum();
    let each = kinds.iter().filter(|(_, (failed, _))| *failed > 0);
    let each: Vec<String> = each
        .map(|(kind, (failed, all))| format!("{kind:?} {failed} of {all}"))
        .collect();
    report.remark(format!(
        "Fault matrix: {failed} of {} cells are not within all limits. {}",
        lives.len(),
        each.join(", ")
    ));
    let watched = WATCHED.as_secs_f64();
    // An event that was never seen took longer than the time watched.
    let seconds = move |s: f64| s.min(watched);
    let least = |of: &dyn Fn(&Figures) -> f64| worst(&lives, &|f| -of(f));
    let most = |of: &dyn Fn(&Figures) -> f64| worst(&lives, of);
    let (kept, detail) = least(&|f| f.neighbours_kept);
    report.add(
        "partial_neighbours_kept",
        -kept,
        "polls kept by the neighbours of a device with a failing request, in the worst cell",
        "≥ 0.98",
        detail,
    );
    let (kept, detail) = least(&|f| f.same_device_kept);
    report.add(
        "partial_same_device_kept",
        -kept,
        "polls kept by the other requests of the same device",
        "≥ 0.95",
        detail,
    );
    let (named, detail) = most(&|f| seconds(f.named));
    report.add(
        "partial_named_s",
        named,
        "seconds until a point that fails for good is named in the journal",
        "≤ 60",
        detail,
    );
    let (recovered, detail) = most(&|f| seconds(f.recovered));
    report.add(
        "partial_recovered_s",
        recovered,
        "seconds from the end of a passing fault until everything is read as configured",
        "≤ 10",
        detail,
    );
    let (logouts, detail) = most(&|f| f.false_logouts as f64);
    report.add(
        "partial_false_logouts",
        logouts,
        "devices logged out, or kept out, although a request of theirs is answered",
        "0",
        detail,
    );
    let (share, detail) = most(&|f| f.unplanned);
    report.add(
        "unplanned_requests_share",
        share,
        "share of the line's time in requests that `plan` does not show",
        "≤ 0.02",
        detail,
    );
    let (extra, detail) = most(&|f| f.extra_posts as f64);
    report.add(
        "extra_posts",
        extra,
        "values beyond one for each interval",
        "0",
        detail,
    );
    let (wrong, detail) = most(&|f| f.wrong as f64);
    report.add(
        "partial_wrong_values",
        wrong,
        "values that were not those of the last request",
        "0",
        detail,
    );
}

/// Returns the largest of a figure, and the cell that has it.
fn worst(lives: &[(Cell, Figures)], of: &dyn Fn(&Figures) -> f64) -> (f64, String) {
    let compare = |(_, a): &&(Cell, Figures), (_, b): &&(Cell, Figures)| of(a).total_cmp(&of(b));
    let (cell, figures) = lives.iter().max_by(compare).unwrap();
    let value = of(figures);
    let alike = lives.iter().filter(|(_, f)| of(f) == value).count();
    let many = match alike {
        1 => String::new(),
        n => format!(", and {} more cells", n - 1),
    };
    (value, format!("{cell}{many}; of {} cells", lives.len()))
}

pub(crate) fn measure_deaths(report: &mut Report) {
    let seeds = if report.quick { 1 } else { SEEDS };
    let (mut out, mut back) = ((0.0, String::new()), (0.0, String::new()));
    let (mut kept, mut logouts, mut wrong) = (1.0f64, 0, 0);
    for death in Death::TCP {
        let courses: Vec<_> = (0..seeds).map(|seed| death.course(seed)).collect();
        let p99 = |of: &dyn Fn(&death::Course) -> Vec<f64>| {
            let all = courses.iter().flat_map(of).map(|s| s.min(999.0));
            percentile(all.collect(), 0.99)
        };
        note(&mut out, p99(&|c| c.out.clone()), &death);
        note(&mut back, p99(&|c| c.back.clone()), &death);
        for course in &courses {
            kept = kept.min(course.kept);
            logouts += course.false_logouts;
            wrong += course.wrong;
        }
    }
    let mut ratio = (0.0, String::new());
    for death in Death::LINE {
        for seed in 0..seeds {
            let course = death.course(seed);
            note(&mut ratio, death.ratio(&course).min(999.0), &death);
            kept = kept.min(course.kept);
            logouts += course.false_logouts;
            wrong += course.wrong;
        }
    }
    let mut start = (0.0, String::new());
    let mut read = 0.0f64;
    for death in Death::TCP.into_iter().take(2) {
        for seed in 0..seeds {
            let life = death.start(seed);
            note(&mut start, percentile(life.silent, 1.0).min(999.0), &death);
            read = read.max(life.read);
        }
    }
    report.add(
        "mass_death_tcp_s_p99",
        out.0,
        "99th percentile of seconds until devices that die at once behind a Modbus TCP endpoint are logged out",
        "≤ 15",
        out.1,
    );
    report.add(
        "mass_return_tcp_s_p99",
        back.0,
        "the same until they are logged in again, when they return at once",
        "≤ 5",
        back.1,
    );
    report.add(
        "mass_start_tcp_s",
        start.0,
        "seconds until devices that are dead from the start are known as silent",
        "≤ 15",
        format!(
            "{}; the last of the living was read after {read:.1} s",
            start.1
        ),
    );
    report.add(
        "mass_death_line_ratio",
        ratio.0,
        "last log-out on a serial line less one interval, in misses of all dead devices by the learned timeout",
        "≤ 1.3",
        ratio.1,
    );
    report.add(
        "mass_living_kept",
        kept,
        "polls kept by the living meanwhile, on all of these",
        "≥ 0.99",
        format!("{logouts} log-outs of them, {wrong} wrong values"),
    );
}

/// Keeps the larger value, and where it was.
fn note(worst: &mut (f64, String), value: f64, death: &Death) {
    if value > worst.0 {
        *worst = (value, death.to_string());
    }
}

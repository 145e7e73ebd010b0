//! How near the line comes to its physical limit, and at what cost.
//!
//! ```text
//! cargo bench --features lab --bench line               everything
//! cargo bench --features lab --bench line -- NAME…      only these figures
//!     --quick    a first look: one short turn of everything
//!     --json     the last line is one object
//!     --write    writes benches/LINE.md, with date and machine
//! ```
//!
//! Each figure is a module in `benches/line/` that measures on its own and adds
//! its rows to the report.

#![expect(clippy::print_stdout, reason = "what a benchmark is for")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run says why")]

#[path = "line/cpu.rs"]
mod cpu;
#[path = "line/forecast.rs"]
mod forecast;
#[path = "line/hostile.rs"]
mod hostile;
#[path = "line/partial.rs"]
mod partial;
#[path = "line/peer.rs"]
mod peer;
#[path = "../tests/engines/port/load.rs"]
mod port_load;
#[path = "line/quiet.rs"]
mod quiet;
#[path = "line/report.rs"]
mod report;
#[path = "line/site.rs"]
mod site;
#[path = "line/turns.rs"]
mod turns;
#[path = "../tests/engines/turns/figures.rs"]
mod turns_figures;
#[path = "../tests/engines/turns/line.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod turns_line;
#[path = "line/utilisation.rs"]
mod utilisation;
#[path = "../tests/engines/port/world.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod world;

use alink_gateway::spec::test_spec as installation;
use report::Report;

/// The function that measures a figure and adds its rows to the report.
type Measure = fn(&mut Report);

/// Every figure, by its name on the command line.
const FIGURES: [(&str, Measure); 6] = [
    ("utilisation", utilisation::measure),
    ("turns", turns::measure),
    ("forecast", forecast::measure),
    ("partial", partial::measure),
    ("deaths", partial::measure_deaths),
    ("hostile", hostile::measure),
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let asked = |flag: &str| args.iter().any(|a| a == flag);
    let names: Vec<&String> = args.iter().filter(|a| !a.starts_with("--")).collect();
    if let Some(unknown) = names.iter().find(|n| FIGURES.iter().all(|(f, _)| f != **n)) {
        let known: Vec<&str> = FIGURES.iter().map(|(f, _)| *f).collect();
        println!(
            "no figure is called {unknown}; there are: {}",
            known.join(", ")
        );
        std::process::exit(2);
    }
    let mut report = Report::new(asked("--quick"));
    if let Some(busy) = quiet::busy().filter(|busy| *busy > 0.05) {
        report.remark(format!(
            "The machine was busy with other things before this began ({:.0} % of its \
             processors): the figures are worse than the line at its best.",
            busy * 100.0
        ));
    }
    let awake = quiet::keep_awake();
    report.remark(match &awake {
        Ok(_) => "Idle processors were kept awake throughout (/dev/cpu_dma_latency), for all \
                  masters alike."
            .into(),
        Err(e) => format!(
            "Idle processors may have slept (/dev/cpu_dma_latency: {e}): waking one counts \
             against every master."
        ),
    });
    for (name, measure) in FIGURES {
        if names.is_empty() || names.iter().any(|n| *n == name) {
            measure(&mut report);
        }
    }
    if asked("--write") {
        report.write().unwrap();
    }
    if asked("--json") {
        println!("{}", report.json());
    }
}

//! The load of a line as `alink-gateway plan` forecasts it, against what the port
//! itself then measures, on virtual time: the lives of `tests/engines/port/load.rs`.

use crate::port_load::{self, CASES};
use crate::report::Report;

pub(crate) fn measure(report: &mut Report) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let loads = CASES.map(|(units, every)| runtime.block_on(port_load::measure(units, every)));
    let worst = loads.iter().map(|l| l.off).fold(0.0, f64::max);
    let detail = loads.map(|l| {
        format!(
            "{:.1} % foretold, {:.1} % measured",
            l.foretold as f64 / 10.0,
            l.measured / 10.0
        )
    });
    report.add(
        "plan_error_pct",
        worst,
        "by how much the forecast of a line's load is off, in percent of what was measured, at worst",
        "≤ 5",
        detail.join("; "),
    );
}

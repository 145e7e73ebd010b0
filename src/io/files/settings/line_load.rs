//! Checks whether the configured requests fit on their lines: applies the field's forecast to
//! the configuration's text. `check`, a start, a reload and `plan` say the same because all of
//! them use this module.

use crate::base::text::counted;
use crate::config::{Problem, Severity, SourcePosition};
use crate::field::plan::forecast::{BUSY, FULL, LineForecast, percent};
use crate::spec::{LineSpec, PortSpec, Spec};

/// Returns the problems with the load of lines.
pub(super) fn problems(
    spec: &Spec,
    lines: &[LineForecast],
    positions: &[SourcePosition],
) -> Vec<Problem> {
    let loads = lines.iter().filter_map(|line| {
        let (port, position) = (spec.port(line.port)?, positions.get(line.port.index())?);
        problem(line, port, position)
    });
    loads.collect()
}

fn problem(line: &LineForecast, port: &PortSpec, position: &SourcePosition) -> Option<Problem> {
    let load = line.load();
    let full = load > FULL;
    if load <= BUSY {
        return None;
    }
    let severity = match full && !port.budget.allow_overload {
        true => Severity::Error,
        false => Severity::Warning,
    };
    let wanted = match (full, port.budget.allow_overload) {
        (true, false) => "at most 100 %, or allow_overload: true".to_owned(),
        (true, true) => "at most 100 %: values will come more rarely than configured".to_owned(),
        (false, _) => format!(
            "at most {}, to leave room for retries and writes",
            percent(BUSY)
        ),
    };
    let most = line.heaviest().map_or(String::new(), |(kind, n, share)| {
        let devices = counted(n, "device");
        format!("{} of it is {devices} of profile {kind}; ", percent(share))
    });
    let remedy = match &port.line {
        LineSpec::Serial(_) => {
            "longer intervals, fewer points, a higher baud rate or a second line help"
        }
        LineSpec::Tcp(tcp) if tcp.behind.is_some() => {
            "longer intervals, fewer points, a higher baud rate behind the server or a second line help"
        }
        LineSpec::Tcp(_) => "longer intervals, fewer points or a second connection help",
    };
    Some(Problem {
        severity,
        file: position.file.clone(),
        line: position.line,
        column: position.column,
        path: position.path.clone(),
        said: format!("a load of {}", line.summary(port)),
        wanted,
        hint: Some(format!(
            "{most}{remedy}; reply_delay: in the profile if the devices answer faster or slower than \
             was assumed; alink-gateway plan shows all requests"
        )),
    })
}

//! Checks whether the configured values can be sent: applies the forecast of the upstream to
//! the configuration's text, as [`super::line_load`] does for the lines.

use crate::base::text::counted;
use crate::cloud::upstream::{BUSY, BindingLimit, FULL, HeaviestKind, UpstreamForecast};
use crate::config::{Problem, Severity, SourcePosition};
use crate::field::plan::forecast::percent;
use crate::hub::upstream::Upstream;

/// Returns the problem with the load of the upstream, if there is one.
pub(super) fn problem(upstream: &Upstream, position: &SourcePosition) -> Option<Problem> {
    let sent = upstream.sent();
    let load = sent.load();
    let allowed = sent.limits().allow_overload;
    if load <= BUSY {
        return None;
    }
    let severity = match upstream.is_refused() {
        true => Severity::Error,
        false => Severity::Warning,
    };
    let least = upstream.least().unwrap_or(sent).load();
    let wanted = match (load > FULL, allowed) {
        (true, _) if least <= FULL => {
            "at most 100 %: if values change as often as they are read, some will be dropped"
                .to_owned()
        }
        (true, false) => "at most 100 %, or allow_overload: true in cloud.post".to_owned(),
        (true, true) => "at most 100 %: values will be dropped".to_owned(),
        (false, _) => format!(
            "at most {}, to leave room for what an outage has left",
            percent(BUSY)
        ),
    };
    let most = sent.heaviest().map_or(String::new(), most_of_it);
    Some(Problem {
        severity,
        file: position.file.clone(),
        line: position.line,
        column: position.column,
        path: position.path.clone(),
        said: format!("the connection has a load of {}", upstream.summary()),
        wanted,
        hint: Some(format!(
            "{most}{}; alink-gateway plan shows the forecast",
            remedy(sent)
        )),
    })
}

fn most_of_it(most: &HeaviestKind) -> String {
    let devices = counted(most.devices, "device");
    let (share, profile) = (percent(most.share), &most.profile);
    let every = most.interval;
    format!("{share} of it is {devices} of profile {profile}, read every {every:?}; ")
}

/// Says what makes the load less.
fn remedy(sent: &UpstreamForecast) -> &'static str {
    match sent.bound() {
        BindingLimit::Values => {
            "longer intervals, fewer points or report: on-change with a deadband for points that change little help"
        }
        BindingLimit::Devices => {
            "a message has one value of each point and few devices: longer intervals or report: on-change with a deadband for points that change little help"
        }
        BindingLimit::Bytes => "a greater message_bytes, longer intervals or fewer points help",
    }
}

//! The result of the story: for people, for scripts, and as an exit status.

use alink_gateway::base::text::counted;
use std::time::Duration;

use serde::Serialize;

/// The most problems that are reported; further ones are only counted.
const MOST_REPORTED: usize = 20;

/// The last line of `demo --json`. The fields and their order are an
/// interface.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Report {
    /// How many devices there are.
    pub(crate) devices: usize,
    /// How many were online at once.
    pub(crate) online: usize,
    /// How many devices each log-in brought online, until all were.
    pub(crate) batch_sizes: Vec<usize>,
    /// Values the platform accepted.
    pub(crate) values_accepted: u64,
    /// From the daemon's start until all were online.
    pub(crate) all_online_ms: Option<u64>,
    /// From the moment a meter lost its power until it was logged out.
    pub(crate) silent_to_logout_ms: Option<u64>,
    /// From the moment it had power again until it was logged in.
    pub(crate) back_to_login_ms: Option<u64>,
    /// Setpoints from the cloud that were written and read back.
    pub(crate) commands_verified: usize,
    /// Setpoints to a meter without power that were refused, with this reason.
    pub(crate) commands_refused: usize,
    /// Whether all came online again after the connection was cut.
    pub(crate) recovered: bool,
    /// How many devices were logged out between SIGTERM and the end.
    pub(crate) logged_out_at_exit: usize,
    /// What did not come true. If it is empty the exit status is 0.
    pub(crate) problems: Vec<String>,
    /// How many problems were not reported.
    #[serde(skip)]
    pub(crate) untold: usize,
}

impl Report {
    /// Notes something that did not come true.
    pub(crate) fn problem(&mut self, what: impl Into<String>) {
        if self.problems.len() < MOST_REPORTED {
            self.problems.push(what.into());
        } else {
            self.untold += 1;
        }
    }

    /// Ends the report; nothing more will be added.
    pub(crate) fn close(&mut self) {
        if self.untold > 0 {
            self.problems.push(format!("… and {} more", self.untold));
            self.untold = 0;
        }
    }

    /// Returns whether the story came true.
    pub(crate) fn succeeded(&self) -> bool {
        self.problems.is_empty()
    }

    /// Writes one line of JSON.
    pub(crate) fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Writes some lines for people.
    pub(crate) fn text(&self) -> String {
        let ms = |t: Option<u64>| match t {
            Some(ms) => format!("{:.1} s", ms as f64 / 1000.0),
            None => "never".into(),
        };
        let mut lines = vec![
            format!(
                "{} of {} online after {}, in log-ins of {:?}",
                self.online,
                counted(self.devices, "device"),
                ms(self.all_online_ms),
                self.batch_sizes
            ),
            format!(
                "{} accepted in the cloud",
                counted(self.values_accepted, "value")
            ),
            format!(
                "unplugged meter logged out after {}, logged in again after {}",
                ms(self.silent_to_logout_ms),
                ms(self.back_to_login_ms)
            ),
            format!(
                "setpoints from the cloud: {} written and read back, {} refused by the meter \
                 without power",
                self.commands_verified, self.commands_refused
            ),
            format!(
                "cut connection: {}; at the end {} logged out",
                if self.recovered {
                    "recovered"
                } else {
                    "not recovered"
                },
                counted(self.logged_out_at_exit, "device")
            ),
        ];
        if self.succeeded() {
            lines.push("Everything happened as expected.".into());
        }
        lines.extend(self.problems.iter().map(|p| format!("PROBLEM: {p}")));
        lines.join("\n")
    }
}

/// Returns whole milliseconds.
pub(crate) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_line_is_what_scripts_expect() {
        let report = Report {
            devices: 120,
            online: 120,
            batch_sizes: vec![50, 50, 20],
            values_accepted: 9,
            all_online_ms: Some(1),
            silent_to_logout_ms: Some(2),
            back_to_login_ms: Some(3),
            commands_verified: 1,
            commands_refused: 2,
            recovered: true,
            logged_out_at_exit: 120,
            ..Report::default()
        };
        assert_eq!(
            report.json(),
            r#"{"devices":120,"online":120,"batch_sizes":[50,50,20],"values_accepted":9,"all_online_ms":1,"silent_to_logout_ms":2,"back_to_login_ms":3,"commands_verified":1,"commands_refused":2,"recovered":true,"logged_out_at_exit":120,"problems":[]}"#
        );
    }

    #[test]
    fn problems_are_told_up_to_a_point_and_then_counted() {
        let mut report = Report::default();
        for n in 0..100 {
            report.problem(format!("{n}"));
        }
        report.close();
        assert_eq!(report.problems.len(), MOST_REPORTED + 1);
        assert_eq!(report.problems[MOST_REPORTED], "… and 80 more");
        assert!(!report.succeeded());
    }
}

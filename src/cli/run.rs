//! `alink-gateway run`: the service.

use std::path::Path;
use std::process::ExitCode;

use super::EXIT_CONFIG;
use crate::app::ServiceEnd;
use crate::app::events::ServiceEvent;
use crate::base::LogEvent;
use crate::config::{Report, Severity};
use crate::io::files::settings;
use crate::io::log;
use crate::io::system::secrecy;
use crate::io::terminal::screen;

/// Loads the configuration and serves until told to stop.
///
/// A wrong configuration, or a log filter that cannot be parsed, tells every problem,
/// starts nothing and exits 78.
#[must_use]
pub fn run(config: &Path) -> ExitCode {
    // This is done before the first secret is read.
    if let Err(e) = secrecy::keep() {
        screen::print_error(&format!(
            "alink-gateway: cores may be written, with secrets in them: {e}\n"
        ));
    }
    let (loaded, mismatch) = match settings::load_to_start(config) {
        Ok(loaded) => loaded,
        Err(report) => {
            start_refused(&report);
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    match crate::app::run(loaded, mismatch, config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(ended) => {
            // There is no log any more, or never was.
            if !log::tell_apart(&[&ended]) {
                print_problem(&format!("{}\n", ended.sentence()), Severity::Error);
            }
            match ended {
                // The log would be as wrong at the next start.
                ServiceEnd::Log(_) => ExitCode::from(EXIT_CONFIG),
                ServiceEnd::Start(_)
                | ServiceEnd::AlreadyRuns(_)
                | ServiceEnd::Task(_)
                | ServiceEnd::StopDeadline(_)
                | ServiceEnd::StopAtOnce => ExitCode::FAILURE,
            }
        }
    }
}

/// Tells why the service does not start: to the journal as entries with their ids, to a
/// terminal as `check` prints them.
fn start_refused(report: &Report) {
    let notices = ServiceEvent::start_refused(report);
    let notices: Vec<&dyn LogEvent> = notices.iter().map(|n| n as &dyn LogEvent).collect();
    if log::tell_apart(&notices) {
        return;
    }
    for problem in report.problems() {
        print_problem(&format!("{problem}\n"), problem.severity);
    }
}

/// Writes text to standard error. If that is the journal after all, the level stands before
/// each line, because each line is an entry of its own there (sd-daemon(3)), and
/// `journalctl -p warning` finds it.
fn print_problem(text: &str, severity: Severity) {
    screen::print_error(&levelled(text, severity, log::is_on_journal()));
}

/// Returns `text` as it is; for the journal with the level before each line.
fn levelled(text: &str, severity: Severity, journal: bool) -> String {
    let level = match severity {
        _ if !journal => "",
        Severity::Error => "<3>",
        Severity::Warning => "<4>",
    };
    text.lines()
        .map(|line| format!("{level}{line}\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_gets_a_level_before_each_line_and_a_terminal_none() {
        let text = "gateway.yaml:1:1\n  said    x\n";
        assert_eq!(levelled(text, Severity::Error, false), text);
        assert_eq!(
            levelled(text, Severity::Error, true),
            "<3>gateway.yaml:1:1\n<3>  said    x\n"
        );
        assert!(levelled(text, Severity::Warning, true).starts_with("<4>"));
    }
}

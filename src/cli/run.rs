//! `alink-gateway run`: the service.

use std::path::Path;
use std::process::ExitCode;

use super::EXIT_CONFIG;
use crate::app::Ended;
use crate::app::events::ServiceEvent;
use crate::config::{Problem, Severity};
use crate::io::files::settings;
use crate::io::log;
use crate::io::system::secrecy;
use crate::io::terminal::screen;

/// Loads the configuration and serves until told to stop.
///
/// A wrong configuration, or a log filter that cannot be parsed, prints every problem,
/// starts nothing and exits 78.
#[must_use]
pub fn run(config: &Path) -> ExitCode {
    // Before the log exists, problems go to standard error.
    let journal = log::is_on_journal();
    let print = |problems: &[Problem]| {
        for problem in problems {
            let text = problem.to_string();
            let gap = if journal { "" } else { "\n" };
            screen::complain(&format!(
                "{}{gap}",
                levelled(&text, problem.severity, journal)
            ));
        }
    };
    // This is done before the first secret is read.
    if let Err(e) = secrecy::keep() {
        screen::complain(&format!(
            "alink-gateway: cores may be written, with secrets in them: {e}\n"
        ));
    }
    let (loaded, mismatch) = match settings::load_to_start(config) {
        Ok(loaded) => loaded,
        Err(report) => {
            print(report.problems());
            let errors = report.errors();
            log::tell_before_start(&ServiceEvent::StartRefused { errors });
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    print(loaded.warnings.problems());
    match crate::app::run(loaded, mismatch, config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(ended) => {
            let text = format!("alink-gateway: {ended}\n");
            screen::complain(&levelled(&text, Severity::Error, journal));
            match ended {
                // The log would be as wrong at the next start.
                Ended::Log(_) => ExitCode::from(EXIT_CONFIG),
                Ended::Start(_) | Ended::Task(_) | Ended::StopDeadline(_) | Ended::StopAtOnce => {
                    ExitCode::FAILURE
                }
            }
        }
    }
}

/// Returns `text` as it is; for the journal with the level before each line, because each
/// line is an entry of its own there (sd-daemon(3)), so that `journalctl -p warning` finds
/// it.
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

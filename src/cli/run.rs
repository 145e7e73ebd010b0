//! `alink-gateway run`: the service.

use std::path::Path;
use std::process::ExitCode;

use super::EXIT_CONFIG;
use crate::io::settings;

/// Loads the configuration and serves until told to stop.
///
/// A wrong configuration prints every problem, starts nothing and exits 78.
#[must_use]
#[expect(
    clippy::print_stderr,
    reason = "before the log exists, standard error is the log"
)]
pub fn run(config: &Path) -> ExitCode {
    let loaded = match settings::load(config) {
        Ok(loaded) => loaded,
        Err(report) => {
            eprint!("{report}");
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    for warning in &loaded.warnings {
        eprint!("{warning}");
    }
    match crate::app::run(loaded) {
        Ok(()) => ExitCode::SUCCESS,
        Err(ended) => {
            eprintln!("alink-gateway: {ended}");
            ExitCode::FAILURE
        }
    }
}

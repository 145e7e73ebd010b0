//! `alink-gateway check [FILE]`: everything that is wrong with a configuration.
//!
//! Problems go to standard output: they are what was asked for, and can be
//! piped. The last line sums up. Nothing is opened but files.

#![expect(clippy::print_stdout, reason = "printing is what this verb is for")]

use std::path::Path;
use std::process::ExitCode;

use super::EXIT_CONFIG;
use crate::config::{Problem, Report};
use crate::io::settings::{self, Loaded, Surroundings};

/// Checks the configuration in `path`. Exit status 0 if it can be used,
/// warnings or not; 78 if it cannot.
#[must_use]
pub fn run(path: &Path) -> ExitCode {
    match settings::load_in(path, &Surroundings::of_person()) {
        Ok(loaded) => {
            for problem in &loaded.warnings {
                println!("{problem}");
            }
            println!("{}", summary(&loaded));
            ExitCode::SUCCESS
        }
        Err(report) => {
            for problem in report.problems() {
                println!("{problem}");
            }
            println!("{}", verdict(&report));
            ExitCode::from(EXIT_CONFIG)
        }
    }
}

/// `2 ports, 120 devices, 6 profiles; 0 warnings`
#[must_use]
pub fn summary(loaded: &Loaded) -> String {
    let warnings: &[Problem] = &loaded.warnings;
    format!(
        "{}, {}, {}; {}",
        many(loaded.spec.ports.len(), "port"),
        many(loaded.spec.devices.len(), "device"),
        many(loaded.profiles, "profile"),
        many(warnings.len(), "warning"),
    )
}

/// `3 errors, 1 warning; nothing was started`
#[must_use]
pub fn verdict(report: &Report) -> String {
    format!(
        "{}, {}",
        many(report.errors(), "error"),
        many(report.warnings(), "warning"),
    )
}

fn many(n: usize, what: &str) -> String {
    if n == 1 {
        format!("1 {what}")
    } else {
        format!("{n} {what}s")
    }
}

//! `alink-gateway reload`, `log-level` and `metrics`: the other requests to the running service.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use super::EXIT_CONFIG;
use super::language::Language;
use super::status::{print, unexpected_answer};
use crate::base::text::counted;
use crate::control::{Answer, Request};
use crate::io::control::client;
use crate::io::terminal::screen;

/// Loads the configuration anew; with `force` also if it leaves out more than a third of
/// the devices. Exit status 0 when the configuration is in force; 78 if it is wrong, with
/// all its problems; 1 if the service does not answer.
#[must_use]
pub fn reload(socket: &Path, force: bool, language: Language) -> ExitCode {
    match client::ask_once(socket, &Request::Reload { force }) {
        Ok(Answer::Reload(reloaded)) => {
            let mut text: String = reloaded
                .problems
                .iter()
                .map(|p| format!("{}\n", p.text))
                .collect();
            let errors = reloaded.problems.iter().filter(|p| p.error).count();
            let (words, status) = match &reloaded.changed {
                Some(changed) => (changed.clone(), ExitCode::SUCCESS),
                None => (
                    format!("refused, nothing has changed: {}", counted(errors, "error")),
                    ExitCode::from(EXIT_CONFIG),
                ),
            };
            text.push_str(&words);
            text.push('\n');
            let _ = screen::write(&language.say(&text));
            status
        }
        other => print(
            other.and_then(|answer| Err(unexpected_answer(&answer))),
            language,
        ),
    }
}

/// Makes the log louder or quieter.
#[must_use]
pub fn log_level(
    socket: &Path,
    target: &str,
    level: &str,
    during: Option<Duration>,
    language: Language,
) -> ExitCode {
    let request = Request::LogLevel {
        target: target.to_owned(),
        level: level.to_owned(),
        for_ms: during.map(|d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX)),
    };
    print(
        client::ask_once(socket, &request).and_then(|answer| match answer {
            Answer::Done { what } => Ok(language.say(&format!("{what}\n"))),
            other => Err(unexpected_answer(&other)),
        }),
        language,
    )
}

/// Prints all metrics.
#[must_use]
pub fn metrics(socket: &Path, language: Language) -> ExitCode {
    print(
        client::ask_once(socket, &Request::Metrics {}).and_then(|answer| match answer {
            Answer::Part { text, .. } => Ok(text),
            other => Err(unexpected_answer(&other)),
        }),
        language,
    )
}

/// Reads a span of time: `90s`, `10m`, `2h`.
///
/// # Errors
/// The expected form.
pub fn span(text: &str) -> Result<Duration, String> {
    let wanted = || "a time such as 90s, 10m or 2h, at most 24h".to_owned();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let n: u64 = digits.parse().map_err(|_| wanted())?;
    let unit = match &text[digits.len()..] {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        _ => return Err(wanted()),
    };
    let span = n.checked_mul(unit).map(Duration::from_secs);
    span.filter(|d| (1..=86_400).contains(&d.as_secs()))
        .ok_or_else(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_people_write_them() {
        assert_eq!(span("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(span("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(span("24h"), Ok(Duration::from_secs(86_400)));
        for wrong in [
            "",
            "10",
            "m",
            "0s",
            "25h",
            "10 m",
            "-1s",
            "10d",
            "18446744073709551615h",
            "1é",
        ] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }
}

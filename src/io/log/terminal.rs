//! Writes text lines: `12:31:07 WARN  meter-07 (line1 unit 7): silent: …`, time in UTC.

use std::io::Write;

use crate::base::text::is_display_control;
use crate::base::utc::Utc;
use crate::base::{Level, Wall};

/// Returns one line without its newline. Characters that control the display are escaped, so
/// that no text from a device or a broker can move the cursor, forge a line or reverse the
/// text.
pub(super) fn line(at: Wall, level: Level, text: &str) -> String {
    line_of(at, word(level), text)
}

/// Returns one line as [`line()`] does, with another word for the level.
pub(super) fn line_of(at: Wall, level: &str, text: &str) -> String {
    let mut line = format!("{} {level:<5} ", Utc::of(at).time_of_day());
    for c in text.chars() {
        if is_display_control(c) {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}

/// Writes one line to standard error; a closed standard error is no fault here.
pub(super) fn write(at: Wall, level: Level, text: &str) {
    let mut line = line(at, level, text);
    line.push('\n');
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}

const fn word(level: Level) -> &'static str {
    match level {
        Level::Error => "ERROR",
        Level::Warn => "WARN",
        Level::Info => "INFO",
        Level::Debug => "DEBUG",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_said_by_others_can_forge_a_line() {
        let at = Wall::from_millis(45_067_000);
        assert_eq!(
            line(
                at,
                Level::Error,
                "said \"a\"\n12:31:08 INFO  all well\x1b[2J \u{202E}enilno"
            ),
            "12:31:07 ERROR said \"a\"\\n12:31:08 INFO  all well\\u{1b}[2J \\u{202e}enilno"
        );
    }
}

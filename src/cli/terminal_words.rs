//! How the tool writes spans of time and text from elsewhere.

use std::time::Duration;

use crate::base::text::is_display_control;

/// Writes a span with its two greatest units: `850 ms`, `12 s`, `5 min 3 s`, `2 h 5 min`,
/// `3 d 4 h`.
pub(super) fn span(millis: u64) -> String {
    let seconds = millis / 1000;
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes, rest) {
        (0, 0, 0, 0) => format!("{millis} ms"),
        (0, 0, 0, _) => format!("{rest} s"),
        (0, 0, _, 0) => format!("{minutes} min"),
        (0, 0, _, _) => format!("{minutes} min {rest} s"),
        (0, _, 0, _) => format!("{hours} h"),
        (0, _, _, _) => format!("{hours} h {minutes} min"),
        (_, 0, _, _) => format!("{days} d"),
        (_, _, _, _) => format!("{days} d {hours} h"),
    }
}

/// Writes microseconds as milliseconds with one decimal: `12.1 ms`.
pub(super) fn micros(us: u64) -> String {
    format!("{:.1} ms", Duration::from_micros(us).as_secs_f64() * 1000.0)
}

/// Writes text from elsewhere on one line of a terminal, without characters that could move
/// its cursor or reverse the text.
pub(super) fn line(text: &str) -> String {
    text.chars()
        .map(|c| if is_display_control(c) { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_told_in_their_two_greatest_units() {
        for (millis, said) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1000, "1 s"),
            (61_000, "1 min 1 s"),
            (7_500_000, "2 h 5 min"),
            (86_400_000, "1 d"),
            (273_600_000, "3 d 4 h"),
        ] {
            assert_eq!(span(millis), said);
        }
    }
}

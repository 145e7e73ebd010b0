//! How the tool writes spans of time and tables.

use std::fmt::Write;
use std::time::Duration;

use crate::base::text::is_display_control;

/// Writes a span with its two greatest units: `850 ms`, `12 s`, `5 min 3 s`, `2 h 5 min`,
/// `3 d 4 h`.
pub(super) fn span(millis: u64) -> String {
    let seconds = millis / 1000;
    let units = [
        (86_400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ];
    for (great, name, small, small_name) in units {
        if seconds >= great {
            return match seconds % great / small {
                0 => format!("{} {name}", seconds / great),
                rest => format!("{} {name} {rest} {small_name}", seconds / great),
            };
        }
    }
    match seconds {
        0 => format!("{millis} ms"),
        _ => format!("{seconds} s"),
    }
}

/// Writes microseconds as milliseconds with one decimal: `12.1 ms`.
pub(super) fn micros(us: u64) -> String {
    format!("{:.1} ms", Duration::from_micros(us).as_secs_f64() * 1000.0)
}

/// Writes a number with its noun: `1 device`, `2 devices`.
pub(super) fn many(n: u64, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}

/// Writes rows below their heads, each column as wide as its widest cell.
pub(super) fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let width = |i: usize| {
        let cells = rows.iter().map(|row| row[i].chars().count());
        cells.max().unwrap_or(0).max(head[i].chars().count())
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for row in std::iter::once(&head.map(str::to_owned)).chain(rows) {
        let mut out = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(out, "{cell:<width$}  ");
        }
        let _ = writeln!(text, "{}", out.trim_end());
    }
    text
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

//! Events as lines for people, at three levels of detail.

use crate::base::text::{counted, is_display_control};
use std::fmt::Write;
use std::time::Duration;

use serde_json::Value as Json;

use super::event::{TraceEvent, TraceEventKind, TracedLine, TransactionVerdict};
use super::follow::{Anchor, Follower, Frame, Item, Side, TransactionEnd};

/// The level of detail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Every byte, as it came.
    Bytes,
    /// Frames, in words.
    Frames,
    /// The values that devices report.
    Values,
}

/// Makes lines of events. An event gives no line, one or several, each with its line break.
#[derive(Clone, Debug)]
pub struct Lines {
    altitude: Detail,
    anchor: Anchor,
    follower: Follower,
}

impl Lines {
    /// Creates the lines at this level of detail.
    #[must_use]
    pub fn new(altitude: Detail) -> Self {
        Lines {
            altitude,
            anchor: Anchor::default(),
            follower: Follower::default(),
        }
    }

    /// Returns the lines of this event.
    pub fn on(&mut self, seen: &TraceEvent) -> String {
        self.anchor.take_anchor(seen);
        let mut text = String::new();
        match self.altitude {
            Detail::Bytes => self.bytes(&mut text, seen),
            Detail::Frames => {
                for item in self.follower.on(seen) {
                    self.frame(&mut text, &item);
                }
            }
            Detail::Values => self.values(&mut text, seen),
        }
        text
    }

    /// Returns the lines of what was unfinished.
    pub fn end(&mut self) -> String {
        let mut text = String::new();
        for item in self.follower.end() {
            self.frame(&mut text, &item);
        }
        text
    }

    fn bytes(&self, text: &mut String, seen: &TraceEvent) {
        let time = self.anchor.time_of_day(seen.at);
        match &seen.what {
            TraceEventKind::Sent { bytes, .. } => line(text, &time, &format!("→ {}", hex(bytes))),
            TraceEventKind::Received { bytes } => line(text, &time, &format!("← {}", hex(bytes))),
            TraceEventKind::Pause => line(text, &time, "· pause"),
            TraceEventKind::Timeout => line(text, &time, "· timeout"),
            TraceEventKind::Line(state) => line(text, &time, &about(state)),
            TraceEventKind::Missing { events } => line(text, &time, &missing(*events)),
            TraceEventKind::Turn { .. }
            | TraceEventKind::Verdict { .. }
            | TraceEventKind::Late { .. } => {}
        }
    }

    fn values(&self, text: &mut String, seen: &TraceEvent) {
        let time = self.anchor.time_of_day(seen.at);
        match &seen.what {
            TraceEventKind::Verdict {
                device,
                verdict,
                values,
                without,
                ..
            } => {
                for (point, value) in values {
                    line(text, &time, &format!("{device} {point} = {}", plain(value)));
                }
                for (point, why) in without {
                    line(text, &time, &format!("{device} {point}: no value, {why}"));
                }
                if *verdict != TransactionVerdict::Answered {
                    line(text, &time, &format!("{device}: {verdict}"));
                }
            }
            TraceEventKind::Late { device } => line(text, &time, &late(device)),
            TraceEventKind::Line(state) => line(text, &time, &about(state)),
            TraceEventKind::Missing { events } => line(text, &time, &missing(*events)),
            TraceEventKind::Turn { .. }
            | TraceEventKind::Sent { .. }
            | TraceEventKind::Received { .. }
            | TraceEventKind::Pause
            | TraceEventKind::Timeout => {}
        }
    }

    fn frame(&self, text: &mut String, item: &Item) {
        let time = |at| self.anchor.time_of_day(at);
        match item {
            Item::Line(at, state) => line(text, &time(*at), &about(state)),
            Item::Frame(frame) => line(text, &time(frame.begin), &words(frame)),
            Item::Timeout { at, since, .. } => {
                let waited = millis(at.since(*since));
                line(text, &time(*at), &format!("· no reply within {waited}"));
            }
            Item::Ended(ended) => line(text, &time(ended.at), &end_of(ended)),
            Item::Late(at, device) => line(text, &time(*at), &late(device)),
            Item::Missing(at, events) => line(text, &time(*at), &missing(*events)),
        }
    }
}

/// Appends a line, escaped: text from a device must not move the cursor of a terminal.
fn line(text: &mut String, time: &str, words: &str) {
    let shown = |c: char| match is_display_control(c) {
        true => char::REPLACEMENT_CHARACTER,
        false => c,
    };
    let words: String = words.chars().map(shown).collect();
    let _ = writeln!(text, "{time} {words}");
}

/// Writes a frame in words:
/// `→ unit 3 reads holding registers 0–9 (10), after 4.0 ms of silence`.
fn words(frame: &Frame) -> String {
    let asks = frame.side == Side::Master;
    let arrow = if asks { '→' } else { '←' };
    let place = frame
        .place
        .as_deref()
        .map_or(String::new(), |p| format!("{p} "));
    let what = frame.body.words(asks, frame.bytes.len());
    let mut text = format!("{arrow} {place}{what}");
    if let (Some(quiet), false) = (frame.quiet, frame.wanted.is_zero()) {
        let _ = match (asks, frame.is_too_early()) {
            (true, true) => {
                let (quiet, wanted) = (millis(quiet), millis(frame.wanted));
                write!(text, "; too early: quiet for {quiet} instead of {wanted}")
            }
            (true, false) => write!(text, "; quiet for {} before", millis(quiet)),
            (false, _) => write!(text, "; after {}", millis(quiet)),
        };
    }
    if matches!(frame.body, super::decode::Body::Noise) {
        let _ = write!(text, ": {}", hex(&frame.bytes));
    }
    text
}

fn end_of(ended: &TransactionEnd) -> String {
    let TransactionEnd {
        device, verdict, ..
    } = ended;
    match ended.values {
        0 => format!("= {device}: {verdict}"),
        n => format!("= {device}: {verdict}, {}", counted(n, "value")),
    }
}

fn about(state: &TracedLine) -> String {
    match state {
        TracedLine::Open(settings) => format!("* port {}: {settings}", settings.port),
        TracedLine::Closed { why } => format!("* not open: {why}"),
    }
}

fn late(device: &str) -> String {
    format!("* {device}: a reply that had been given up has come")
}

fn missing(events: u64) -> String {
    let (are, they, were) = match events {
        1 => ("is", "it", "was"),
        _ => ("are", "they", "were"),
    };
    let events = counted(events, "event");
    format!("* {events} {are} missing here: {they} came faster than {they} {were} read")
}

/// Writes bytes in hexadecimal: `03 00 FF`.
fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(3 * bytes.len());
    for (n, byte) in bytes.iter().enumerate() {
        let gap = if n == 0 { "" } else { " " };
        let _ = write!(text, "{gap}{byte:02X}");
    }
    text
}

/// Writes a span: `4.01 ms`; to ten microseconds, because finer figures have no use here.
pub(super) fn millis(span: Duration) -> String {
    let micros = span.as_micros();
    if micros >= 10_000_000 {
        return format!("{:.1} s", span.as_secs_f64());
    }
    format!("{}.{:02} ms", micros / 1000, micros % 1000 / 10)
}

/// Returns a text value without its quotes.
fn plain(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::samples::{any_seen, at, open, turn};
    use super::*;
    use crate::base::{Mono, UnitId};
    use crate::field::modbus::rtu;

    /// A good poll, a poll without an answer, noise, and a port that is lost.
    fn story() -> Vec<TraceEvent> {
        let request = |micros: u64, unit: u8| {
            let bytes = rtu::frame(UnitId(unit), &[3, 0, 0, 0, 2]);
            let until = Mono::from_micros(micros + 8_000);
            at(micros, TraceEventKind::Sent { bytes, until })
        };
        let ended = |device: &str, verdict, values| TraceEventKind::Verdict {
            device: device.into(),
            verdict,
            turnaround: None,
            values,
            without: Vec::new(),
        };
        vec![
            at(0, open()),
            at(1_000, turn("meter-3", "unit 3")),
            request(4_000, 3),
            at(
                31_000,
                TraceEventKind::Received {
                    bytes: rtu::frame(UnitId(3), &[3, 4, 0, 1, 0, 2]),
                },
            ),
            at(
                31_010,
                ended(
                    "meter-3",
                    TransactionVerdict::Answered,
                    vec![("power".into(), 12.5.into()), ("state".into(), "on".into())],
                ),
            ),
            at(32_000, turn("meter-4", "unit 4")),
            request(33_500, 4),
            at(200_000, TraceEventKind::Received { bytes: vec![0xC3] }),
            at(236_000, TraceEventKind::Pause),
            at(341_500, TraceEventKind::Timeout),
            at(
                341_510,
                ended("meter-4", TransactionVerdict::Silent, Vec::new()),
            ),
            at(400_000, TraceEventKind::Missing { events: 7 }),
            at(
                500_000,
                TraceEventKind::Line(TracedLine::Closed { why: "gone".into() }),
            ),
        ]
    }

    fn told(altitude: Detail) -> String {
        let mut lines = Lines::new(altitude);
        let mut text: String = story().iter().map(|seen| lines.on(seen)).collect();
        text.push_str(&lines.end());
        text
    }

    #[test]
    fn bytes_are_told_with_direction_and_microseconds() {
        assert_eq!(
            told(Detail::Bytes),
            "\
09:30:00.000000 * port line-1: /dev/ttyUSB0, 9600 8E1
09:30:00.004000 → 03 03 00 00 00 02 C5 E9
09:30:00.031000 ← 03 03 04 00 01 00 02 09 F2
09:30:00.033500 → 04 03 00 00 00 02 C4 5E
09:30:00.200000 ← C3
09:30:00.236000 · pause
09:30:00.341500 · timeout
09:30:00.400000 * 7 events are missing here: they came faster than they were read
09:30:00.500000 * not open: gone
"
        );
    }

    #[test]
    fn frames_are_told_in_words_with_silences_and_verdicts() {
        assert_eq!(
            told(Detail::Frames),
            "\
09:30:00.000000 * port line-1: /dev/ttyUSB0, 9600 8E1
09:30:00.004000 → unit 3 reads holding registers 0–1 (2)
09:30:00.022000 ← unit 3 2 registers: 0001 0002; after 10.00 ms
09:30:00.031010 = meter-3: answered, 2 values
09:30:00.033500 → unit 4 reads holding registers 0–1 (2); too early: quiet for 2.50 ms instead of 3.50 ms
09:30:00.199000 ← 1 byte of no frame; after 157.50 ms: C3
09:30:00.341500 · no reply within 300.00 ms
09:30:00.341510 = meter-4: no reply
09:30:00.400000 * 7 events are missing here: they came faster than they were read
09:30:00.500000 * not open: gone
"
        );
    }

    #[test]
    fn values_are_told_by_device_and_point() {
        assert_eq!(
            told(Detail::Values),
            "\
09:30:00.000000 * port line-1: /dev/ttyUSB0, 9600 8E1
09:30:00.031010 meter-3 power = 12.5
09:30:00.031010 meter-3 state = on
09:30:00.341510 meter-4: no reply
09:30:00.400000 * 7 events are missing here: they came faster than they were read
09:30:00.500000 * not open: gone
"
        );
    }

    #[test]
    fn what_a_device_says_cannot_move_the_cursor() {
        let what = TraceEventKind::Verdict {
            device: "scale".into(),
            verdict: TransactionVerdict::Answered,
            turnaround: None,
            values: vec![("label".into(), "\x1b[2Jkg\n".into())],
            without: Vec::new(),
        };
        let text = Lines::new(Detail::Values).on(&at(0, what));
        assert_eq!(
            text,
            "09:30:00.000000 scale label = \u{FFFD}[2Jkg\u{FFFD}\n"
        );
    }

    proptest! {
        #[test]
        fn no_events_make_it_panic_and_every_line_ends(
            seen in prop::collection::vec(any_seen(), 0..20),
        ) {
            for altitude in [Detail::Bytes, Detail::Frames, Detail::Values] {
                let mut lines = Lines::new(altitude);
                for seen in &seen {
                    let text = lines.on(seen);
                    prop_assert!(text.is_empty() || text.ends_with('\n'));
                }
                let _ = lines.end();
            }
        }
    }
}

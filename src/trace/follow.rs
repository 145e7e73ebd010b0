//! Puts events together: bytes to frames with a beginning and an end, requests to their
//! outcomes.
//!
//! Contract: the caller passes every event to [`Follower::on`], in order; the returned
//! items have become certain by that event. [`Follower::end`] returns what was still
//! unfinished.
//!
//! The system reports when it handed bytes over, not when they were on the wire. Where the
//! duration of a character is known, the beginning of received bytes is computed back from
//! their end, but never before the end of earlier bytes.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::utc::Utc;
use crate::base::{Mono, Wall};

use super::decode::Body;
use super::event::{TraceEvent, TraceEventKind, TracedLine, TracedProtocol, TransactionVerdict};
use super::frames;

/// The longest burst that is kept of a line that sends without a pause.
const LONGEST_BURST: usize = 4096;

/// An item that has become certain.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// The state of the line from then on.
    Line(Mono, TracedLine),
    /// A frame, or noise.
    Frame(Frame),
    /// The expected reply had not begun when its time was up.
    Timeout {
        /// When the timeout was decided.
        at: Mono,
        /// Since when the reply was awaited: the end of the request.
        since: Mono,
        /// The place of the device whose reply was awaited.
        place: Option<String>,
    },
    /// A transaction ended.
    Ended(TransactionEnd),
    /// A reply that had been given up has come.
    Late(Mono, String),
    /// Events were lost before this one.
    Missing(Mono, u64),
}

/// One frame on the line.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// The sender of the frame.
    pub side: Side,
    /// When the frame's first byte began …
    pub begin: Mono,
    /// … and its last byte ended.
    pub end: Mono,
    /// The protocol on the line at that time.
    pub protocol: TracedProtocol,
    /// All bytes of the frame, the check included.
    pub bytes: Vec<u8>,
    /// The content of the frame.
    pub body: Body,
    /// The device that the frame is for or from, as people call it on this line. A device that
    /// has no address there is called by its name.
    pub place: Option<String>,
    /// How long the line had been quiet; `None` for the first.
    pub quiet: Option<Duration>,
    /// How long the line had to be quiet before a frame of the master.
    pub wanted: Duration,
}

impl Frame {
    /// Returns whether the master sent too early. Clocks count whole microseconds.
    #[must_use]
    pub fn is_too_early(&self) -> bool {
        let rounding = Duration::from_micros(2);
        self.side == Side::Master && self.quiet.is_some_and(|q| q + rounding < self.wanted)
    }
}

/// The sender of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// This gateway.
    Master,
    /// Any other device on the line.
    Line,
}

/// How a transaction ended.
#[derive(Clone, Debug, PartialEq)]
pub struct TransactionEnd {
    /// When the transaction began.
    pub begun: Mono,
    /// When the transaction ended.
    pub at: Mono,
    /// The device of the transaction.
    pub device: String,
    /// The device's place on the line, as people call it.
    pub place: Option<String>,
    /// How the transaction ended.
    pub verdict: TransactionVerdict,
    /// The time from the end of the request to the beginning of the reply.
    pub turnaround: Option<Duration>,
    /// How many values the transaction brought.
    pub values: usize,
}

/// Puts the events of one port together.
#[derive(Clone, Debug)]
pub struct Follower {
    character: Duration,
    wanted: Duration,
    turn: Option<TransactionTurn>,
    /// Turns before `turn` that have not ended: several requests may be in flight.
    earlier: VecDeque<TransactionTurn>,
    protocol: TracedProtocol,
    asked: Vec<u8>,
    /// The end of the last request.
    sent: Option<Mono>,
    /// The end of the last byte in either direction.
    last: Option<Mono>,
    burst: Vec<u8>,
    /// When each byte of `burst` began and ended.
    instants: Vec<(Mono, Mono)>,
}

#[derive(Clone, Debug)]
struct TransactionTurn {
    begun: Mono,
    device: String,
    place: String,
}

/// How many turns are kept: the requests that may be in flight on a connection, and some
/// more.
const MOST_TURNS: usize = 40;

impl Default for Follower {
    fn default() -> Self {
        Follower {
            character: Duration::ZERO,
            wanted: Duration::ZERO,
            turn: None,
            earlier: VecDeque::new(),
            protocol: TracedProtocol::Rtu,
            asked: Vec::new(),
            sent: None,
            last: None,
            burst: Vec::new(),
            instants: Vec::new(),
        }
    }
}

impl Follower {
    /// Takes in the next event.
    pub fn on(&mut self, seen: &TraceEvent) -> Vec<Item> {
        let at = seen.at;
        let mut items = Vec::new();
        if !matches!(
            seen.what,
            TraceEventKind::Received { .. } | TraceEventKind::Turn { .. }
        ) {
            self.flush(&mut items);
        }
        match &seen.what {
            TraceEventKind::Line(line) => {
                if let TracedLine::Open(settings) = line {
                    self.character = settings.character;
                    self.wanted = settings.quiet;
                } else {
                    // It is unknown how long the line has been quiet when it is back.
                    (self.turn, self.sent, self.last) = (None, None, None);
                    self.earlier.clear();
                }
                items.push(Item::Line(at, line.clone()));
            }
            TraceEventKind::Turn {
                device,
                place,
                protocol,
                ..
            } => {
                // The bytes before this turn belong to the protocol before it.
                self.flush(&mut items);
                self.protocol = *protocol;
                if let Some(earlier) = self.turn.take() {
                    if self.earlier.len() == MOST_TURNS {
                        self.earlier.pop_front();
                    }
                    self.earlier.push_back(earlier);
                }
                self.earlier.retain(|turn| turn.device != *device);
                self.turn = Some(TransactionTurn {
                    begun: at,
                    device: device.clone(),
                    place: place.clone().unwrap_or_else(|| device.clone()),
                });
            }
            TraceEventKind::Sent { bytes, until } => {
                let body = frames::sent(bytes, self.protocol);
                let turn = self.turn.as_ref().map(|t| t.place.clone());
                let place = turn.or_else(|| body.place());
                items.push(Item::Frame(Frame {
                    side: Side::Master,
                    begin: at,
                    end: *until,
                    protocol: self.protocol,
                    bytes: bytes.clone(),
                    place,
                    body,
                    quiet: self.last.map(|last| at.since(last)),
                    wanted: self.wanted,
                }));
                self.asked.clone_from(bytes);
                self.sent = Some(*until);
                self.last = self.last.max(Some(*until));
            }
            TraceEventKind::Received { bytes } => {
                self.take(at, bytes);
                if self.burst.len() >= LONGEST_BURST {
                    self.flush(&mut items);
                }
            }
            TraceEventKind::Pause => {}
            TraceEventKind::Timeout => items.push(Item::Timeout {
                at,
                since: self.sent.unwrap_or(at),
                place: self.turn.as_ref().map(|t| t.place.clone()),
            }),
            TraceEventKind::Verdict {
                device,
                verdict,
                turnaround,
                values,
                ..
            } => {
                let turn = self.turn_of(device);
                items.push(Item::Ended(TransactionEnd {
                    begun: turn.as_ref().map_or(at, |t| t.begun),
                    at,
                    device: device.clone(),
                    place: turn.map(|t| t.place),
                    verdict: verdict.clone(),
                    turnaround: *turnaround,
                    values: values.len(),
                }));
            }
            TraceEventKind::Late { device } => items.push(Item::Late(at, device.clone())),
            TraceEventKind::Missing { events } => items.push(Item::Missing(at, *events)),
        }
        items
    }

    /// Takes the turn of this device out: the latest turn, or one of those whose requests are
    /// still in flight.
    fn turn_of(&mut self, device: &str) -> Option<TransactionTurn> {
        if let Some(turn) = self.turn.take_if(|turn| turn.device == device) {
            return Some(turn);
        }
        let at = self.earlier.iter().position(|t| t.device == device)?;
        self.earlier.remove(at)
    }

    /// Ends the stream: no event follows.
    pub fn end(&mut self) -> Vec<Item> {
        let mut items = Vec::new();
        self.flush(&mut items);
        if let (Some(turn), Some(Item::Frame(frame))) = (&self.turn, items.last_mut())
            && frame.body == Body::Noise
        {
            // The rest of the reply has not been seen.
            frame.body = Body::Unfinished;
            frame.place = Some(turn.place.clone());
        }
        items
    }

    fn take(&mut self, at: Mono, bytes: &[u8]) {
        let span = |n: usize| {
            let n = u32::try_from(n).unwrap_or(u32::MAX);
            self.character.saturating_mul(n)
        };
        let earliest = self.instants.last().map(|(_, end)| *end);
        let at = at.max(earliest.unwrap_or_default());
        let back = |span: Duration| {
            let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
            let then = Mono::from_micros(at.as_micros().saturating_sub(micros));
            earliest.map_or(then, |e| then.max(e)).min(at)
        };
        let all = bytes.len();
        let instants = (0..all).map(|n| (back(span(all - n)), back(span(all - n - 1))));
        let instants: Vec<_> = instants.collect();
        self.instants.extend(instants);
        self.burst.extend_from_slice(bytes);
    }

    fn flush(&mut self, items: &mut Vec<Item>) {
        let burst = std::mem::take(&mut self.burst);
        let instants = std::mem::take(&mut self.instants);
        let mut done = 0;
        for (length, body) in frames::received(&burst, self.protocol, &self.asked) {
            let piece = done..done + length;
            done += length;
            let (Some(bytes), Some([first, .., last] | [first @ last])) =
                (burst.get(piece.clone()), instants.get(piece))
            else {
                continue;
            };
            let (begin, end) = (first.0, last.1);
            items.push(Item::Frame(Frame {
                side: Side::Line,
                begin,
                end,
                protocol: self.protocol,
                bytes: bytes.to_vec(),
                place: self.place(&body),
                body,
                quiet: self.last.map(|last| begin.since(last)),
                wanted: self.wanted,
            }));
            self.last = self.last.max(Some(end));
        }
    }

    /// Returns the place of the device that the frame concerns: as the frame itself says, or as
    /// the turn says.
    fn place(&self, body: &Body) -> Option<String> {
        let turn = || self.turn.as_ref().map(|t| t.place.clone());
        match body {
            Body::Noise | Body::Echo => None,
            Body::Plain | Body::Unfinished => turn(),
            Body::Modbus { .. } | Body::Dlt645(_) => body.place(),
        }
    }
}

/// Turns instants of the gateway's monotonic clock into stamps for people.
///
/// One pair of readings is taken for all: differences stay true to the microsecond, and a
/// wall clock that is set meanwhile changes no stamp. Against the wall clock all stamps are
/// off by the same part of a millisecond.
#[derive(Clone, Copy, Debug, Default)]
pub struct Anchor(Option<(Mono, Wall)>);

impl Anchor {
    /// Takes the pair of readings from the first event.
    pub fn take_anchor(&mut self, seen: &TraceEvent) {
        self.0.get_or_insert((seen.at, seen.wall));
    }

    /// Returns the microseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn micros(&self, at: Mono) -> i64 {
        let (mono, wall) = self.0.unwrap_or_default();
        let micros = |m: Mono| i64::try_from(m.as_micros()).unwrap_or(i64::MAX);
        let since = micros(at).saturating_sub(micros(mono));
        wall.as_millis().saturating_mul(1000).saturating_add(since)
    }

    /// Returns the date, UTC: `2026-11-22`.
    #[must_use]
    pub fn date(&self, at: Mono) -> String {
        let stamp = Wall::from_millis(self.micros(at).div_euclid(1000));
        Utc::of(stamp).date().to_string()
    }

    /// Returns the time of day, UTC: `12:31:07.012345`.
    #[must_use]
    pub fn time_of_day(&self, at: Mono) -> String {
        let micros = self.micros(at).rem_euclid(86_400_000_000);
        let (second, micros) = (micros / 1_000_000, micros % 1_000_000);
        let (hour, minute) = (second / 3600, second / 60 % 60);
        format!("{hour:02}:{minute:02}:{:02}.{micros:06}", second % 60)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::samples::{self, at, open, turn};
    use super::*;
    use crate::base::UnitId;
    use crate::field::modbus::rtu;

    fn frames(items: Vec<Item>) -> Vec<Frame> {
        let frame = |item| match item {
            Item::Frame(frame) => Some(frame),
            _ => None,
        };
        items.into_iter().filter_map(frame).collect()
    }

    #[test]
    fn a_reply_in_two_parts_is_one_frame_that_began_when_its_first_byte_did() {
        let mut follower = Follower::default();
        let request = rtu::frame(UnitId(3), &[3, 0, 0, 0, 2]);
        let reply = rtu::frame(UnitId(3), &[3, 4, 0, 1, 0, 2]);
        follower.on(&at(0, open()));
        follower.on(&at(900, turn("meter-3", "unit 3")));
        // Characters of one millisecond: see `samples::open`.
        let sent = TraceEventKind::Sent {
            bytes: request,
            until: Mono::from_micros(9_000),
        };
        let asked = frames(follower.on(&at(1_000, sent)));
        assert_eq!(asked[0].quiet, None);
        let half = |bytes: &[u8]| TraceEventKind::Received {
            bytes: bytes.to_vec(),
        };
        assert!(follower.on(&at(24_000, half(&reply[..4]))).is_empty());
        assert!(follower.on(&at(29_500, half(&reply[4..]))).is_empty());
        let items = follower.on(&at(
            29_600,
            TraceEventKind::Verdict {
                device: "meter-3".into(),
                verdict: TransactionVerdict::Answered,
                turnaround: None,
                values: Vec::new(),
                without: Vec::new(),
            },
        ));
        assert!(matches!(&items[1], Item::Ended(e) if e.begun.as_micros() == 900));
        let reply = &frames(items)[0];
        assert_eq!(reply.begin.as_micros(), 20_000);
        assert_eq!(reply.end.as_micros(), 29_500);
        assert_eq!(reply.quiet, Some(Duration::from_millis(11)));
        assert_eq!(reply.place.as_deref(), Some("unit 3"));
    }

    #[test]
    fn a_request_before_the_line_was_quiet_long_enough_is_known_as_such() {
        let sent = |from: u64| TraceEventKind::Sent {
            bytes: vec![1],
            until: Mono::from_micros(from + 1_000),
        };
        for (begin, early) in [(4_990, true), (5_000, false)] {
            let mut follower = Follower::default();
            follower.on(&at(0, open()));
            follower.on(&at(500, sent(500)));
            let second = frames(follower.on(&at(begin, sent(begin))));
            assert_eq!(second[0].is_too_early(), early, "{begin}");
        }
    }

    proptest! {
        #[test]
        fn every_byte_that_came_is_in_one_frame_in_order(
            seen in prop::collection::vec(samples::any_seen(), 0..40),
        ) {
            let mut follower = Follower::default();
            let (mut out, mut begin) = (Vec::new(), Vec::new());
            for seen in &seen {
                out.extend(follower.on(seen));
                if let TraceEventKind::Received { bytes } = &seen.what {
                    begin.extend_from_slice(bytes);
                }
            }
            out.extend(follower.end());
            let frames = frames(out);
            let came: Vec<u8> = frames
                .iter()
                .filter(|f| f.side == Side::Line)
                .flat_map(|f| f.bytes.clone())
                .collect();
            prop_assert_eq!(came, begin);
            prop_assert!(frames.iter().all(|f| f.begin <= f.end || f.side == Side::Master));
        }
    }
}

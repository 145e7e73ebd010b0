//! A picture of a line: which device sent when, for how long, and with what outcome.
//!
//! Time runs from left to right in rows. Each row has a lane for the gateway, one for each
//! other device on the line, and one for noise if there was any. A block is a frame; its
//! colour is its outcome. [`Scope`] collects, `layout.rs` computes the layout, `draw.rs`
//! draws.

mod draw;
mod lane;
mod layout;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use crate::base::Mono;
use crate::base::text::{counted, plural};

use self::lane::{Lane, LaneId};
use super::decode::Body;
use super::event::{LineSettings, TraceEvent, TracedLine, TransactionVerdict};
use super::follow::{Anchor, Follower, Frame, Item, Side, TransactionEnd};
use super::text::millis;

/// The most blocks in a picture. A picture of more has no use, and browsers are slow with
/// it.
const MOST_BLOCKS: usize = 60_000;

/// Collects the events for the picture.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    anchor: Anchor,
    follower: Follower,
    settings: Option<LineSettings>,
    /// The first and last instant of any event.
    span: Option<(Mono, Mono)>,
    blocks: Vec<Block>,
    lanes: BTreeMap<LaneId, Lane>,
    /// The frames of the current turn.
    turn: ScopeTurn,
    /// When the last turn ended.
    free: Mono,
    counts: Counts,
}

/// A block of the picture.
#[derive(Clone, Debug, PartialEq)]
struct Block {
    lane: LaneId,
    kind: BlockKind,
    begin: Mono,
    end: Mono,
    /// The text that appears when the pointer is on the block.
    title: String,
}

/// The kind of a block; its look follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum BlockKind {
    /// The line was quiet for as long as it must be before a request.
    Quiet,
    /// The line was not quiet for that long.
    Early,
    /// The line had nothing to do for a while.
    Idle,
    /// The wait between request and reply.
    Wait,
    /// The wait for a reply that did not come.
    Timeout,
    /// The wait for a frame that was not the reply, or was broken.
    Spoilt,
    /// The port was not open.
    Closed,
    /// A frame of the gateway.
    Request,
    /// The reply to the request.
    Answer,
    /// An exception or a refusal.
    Refusal,
    /// A good frame that was not the reply, or not believed.
    Foreign,
    /// The gateway's own bytes, heard back.
    Echo,
    /// Bytes of no frame.
    Noise,
}

impl BlockKind {
    /// Returns whether nothing happens on the line meanwhile.
    const fn is_rest(self) -> bool {
        matches!(self, BlockKind::Idle | BlockKind::Closed)
    }
}

#[derive(Clone, Debug, Default)]
struct ScopeTurn {
    /// The beginning of the first request and the end of the last one.
    asked: Option<(Mono, Mono)>,
    /// The blocks of frames that came since the request.
    came: Vec<usize>,
}

/// The counts of the whole picture.
#[derive(Clone, Debug, Default)]
struct Counts {
    requests: u64,
    answered: u64,
    refused: u64,
    unanswered: u64,
    spoilt: u64,
    early: u64,
    missing: u64,
    noise: u64,
    /// The time in which frames were on the wire.
    wire: Duration,
    /// The time from each request to its end, with the silence after it.
    busy: Duration,
    /// The shortest silence before a request.
    shortest: Option<Duration>,
    /// Blocks that were left out.
    left_out: u64,
    closed: Option<(Mono, String)>,
}

impl Scope {
    /// Takes in the next event.
    pub fn on(&mut self, seen: &TraceEvent) {
        self.anchor.take_anchor(seen);
        self.reach(seen.at);
        for item in self.follower.on(seen) {
            self.item(item);
        }
    }

    /// Draws the picture: a whole SVG document.
    #[must_use]
    pub fn draw(&self) -> String {
        let mut whole = self.clone();
        for item in whole.follower.end() {
            whole.item(item);
        }
        let end = whole.span.map_or(Mono::START, |(_, end)| end);
        whole.opened(end);
        draw::draw(&whole)
    }

    /// Sums up the picture in a line of words.
    #[must_use]
    pub fn summary(&self) -> String {
        let c = &self.counts;
        let requests = counted(c.requests, "request");
        let mut text = format!("{requests} in {:.1} s", self.length().as_secs_f64());
        for (n, what) in [
            (c.answered, "answered"),
            (c.refused, "refused"),
            (c.unanswered, "without a reply"),
            (c.spoilt, "spoilt"),
        ] {
            if n > 0 {
                let _ = write!(text, ", {n} {what}");
            }
        }
        let busy = self.share(c.busy);
        let _ = write!(text, "; the line was in use for {busy:.1} %");
        if c.early > 0 {
            let early = counted(c.early, "request");
            let _ = write!(text, "; {early} came too early");
        }
        if c.missing > 0 {
            let (missing, are) = (counted(c.missing, "event"), plural(c.missing, "is", "are"));
            let _ = write!(text, "; {missing} {are} missing");
        }
        text
    }

    fn length(&self) -> Duration {
        self.span
            .map_or(Duration::ZERO, |(from, to)| to.since(from))
    }

    /// Returns the percentage of the whole time.
    fn share(&self, part: Duration) -> f64 {
        let whole = self.length().as_secs_f64();
        if whole > 0.0 {
            (part.as_secs_f64() / whole * 100.0).min(100.0)
        } else {
            0.0
        }
    }

    fn reach(&mut self, at: Mono) {
        let (from, to) = self.span.unwrap_or((at, at));
        self.span = Some((from, to.max(at)));
    }

    fn item(&mut self, item: Item) {
        match item {
            Item::Line(at, TracedLine::Open(settings)) => {
                self.opened(at);
                self.settings = Some(settings);
            }
            Item::Line(at, TracedLine::Closed { why }) => {
                self.turn = ScopeTurn::default();
                self.counts.closed.get_or_insert((at, why));
            }
            Item::Frame(frame) => self.frame(frame),
            Item::Timeout {
                at,
                since,
                place: Some(place),
            } => {
                let title = format!("no reply within {}", millis(at.since(since)));
                let lane = LaneId::of(Some(&place));
                self.block(lane, BlockKind::Timeout, since, at, title);
                self.turn.came.clear();
            }
            // The request was sent before the trace began.
            Item::Timeout { place: None, .. } => {}
            Item::Ended(ended) => self.ended(&ended),
            Item::Late(..) => {}
            Item::Missing(_, events) => {
                self.counts.missing = self.counts.missing.saturating_add(events);
            }
        }
    }

    fn frame(&mut self, frame: Frame) {
        let (begin, end) = (frame.begin, frame.end);
        self.counts.wire += end.since(begin);
        let asks = frame.side == Side::Master;
        let words = frame.body.words(asks, frame.bytes.len());
        let lasts = millis(end.since(begin));
        let who = frame.place.as_deref().unwrap_or("");
        let bytes = counted(frame.bytes.len(), "byte");
        let title = format!("{who} {words}\n{bytes}, {lasts}");
        match frame.side {
            Side::Master => {
                self.before(&frame);
                self.counts.requests += 1;
                let first = self.turn.asked.map_or(begin, |(first, _)| first);
                self.turn.asked = Some((first, end));
                self.turn.came.clear();
                self.block(LaneId::Gateway, BlockKind::Request, begin, end, title);
            }
            Side::Line => {
                let (lane, kind) = match &frame.body {
                    Body::Echo => (LaneId::Gateway, BlockKind::Echo),
                    Body::Noise => {
                        self.counts.noise += frame.bytes.len() as u64;
                        (LaneId::Noise, BlockKind::Noise)
                    }
                    Body::Unfinished => return,
                    // The frame counts as foreign until a verdict says that it was the reply.
                    Body::Modbus { .. } | Body::Dlt645(_) | Body::Plain => {
                        (LaneId::of(frame.place.as_deref()), BlockKind::Foreign)
                    }
                };
                let at = self.blocks.len();
                if self.block(lane, kind, begin, end, title) && kind == BlockKind::Foreign {
                    self.turn.came.push(at);
                }
            }
        }
    }

    /// Adds the silence before a request, compared with the required silence.
    fn before(&mut self, frame: &Frame) {
        let Some(quiet) = frame.quiet.filter(|_| !frame.wanted.is_zero()) else {
            return;
        };
        let c = &mut self.counts;
        c.shortest = Some(c.shortest.map_or(quiet, |s| s.min(quiet)));
        let begin = frame.begin;
        let back = |span: Duration| {
            let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
            Mono::from_micros(begin.as_micros().saturating_sub(micros))
        };
        let (had, wanted) = (millis(quiet), millis(frame.wanted));
        let title = format!("quiet for {had}; 3.5 characters are {wanted}");
        if frame.is_too_early() {
            c.early += 1;
            self.block(LaneId::Gateway, BlockKind::Early, back(quiet), begin, title);
            return;
        }
        // Waiting for a reply is not idle, though the line is quiet.
        let since = self.free.max(back(quiet));
        let idle = back(frame.wanted).since(since);
        if idle > frame.wanted * 3 {
            let title = format!("idle for {}", millis(idle));
            self.block(LaneId::Gateway, BlockKind::Idle, since, since + idle, title);
        }
        self.block(
            LaneId::Gateway,
            BlockKind::Quiet,
            back(frame.wanted),
            begin,
            title,
        );
    }

    fn ended(&mut self, ended: &TransactionEnd) {
        self.free = ended.at;
        let ScopeTurn { asked, came } = std::mem::take(&mut self.turn);
        let Some(lane) = ended.place.as_deref().map(|name| LaneId::of(Some(name))) else {
            // The transaction had begun before the trace.
            return;
        };
        let (kind, wait) = match ended.verdict {
            TransactionVerdict::Answered => (BlockKind::Answer, BlockKind::Wait),
            TransactionVerdict::Doubted => (BlockKind::Foreign, BlockKind::Wait),
            TransactionVerdict::Exception { .. } | TransactionVerdict::Refused { .. } => {
                (BlockKind::Refusal, BlockKind::Wait)
            }
            TransactionVerdict::Silent => (BlockKind::Foreign, BlockKind::Timeout),
            TransactionVerdict::Garbled | TransactionVerdict::Foreign | TransactionVerdict::Cut => {
                (BlockKind::Foreign, BlockKind::Spoilt)
            }
        };
        let c = &mut self.counts;
        match kind {
            BlockKind::Answer => c.answered += 1,
            BlockKind::Refusal => c.refused += 1,
            _ if wait == BlockKind::Timeout => c.unanswered += 1,
            _ => c.spoilt += 1,
        }
        let mut begin = None;
        if ended.verdict.is_reply() {
            for at in came {
                let Some(block) = self.blocks.get_mut(at).filter(|b| b.lane == lane) else {
                    continue;
                };
                block.kind = kind;
                block.title = format!("{}: {}\n{}", ended.device, ended.verdict, block.title);
                begin = Some(block.begin);
            }
        }
        if let Some((first, last)) = asked {
            let behind = self.settings.as_ref().map_or(Duration::ZERO, |m| m.quiet);
            c.busy += ended.at.since(first) + behind;
            // The span of a timeout is drawn already.
            if wait != BlockKind::Timeout {
                let until = begin.unwrap_or(ended.at);
                let waited = millis(until.since(last));
                let title = match wait {
                    BlockKind::Wait => format!("{}: begins to answer after {waited}", ended.device),
                    _ => format!("{}: {}, {waited}", ended.device, ended.verdict),
                };
                self.block(lane.clone(), wait, last, until, title);
            }
        }
        self.lanes.entry(lane).or_default().count(ended, kind, wait);
    }

    /// Closes the span in which the port was not open.
    fn opened(&mut self, at: Mono) {
        if let Some((since, why)) = self.counts.closed.take() {
            self.block(
                LaneId::Gateway,
                BlockKind::Closed,
                since,
                at,
                format!("not open: {why}"),
            );
        }
    }

    fn block(
        &mut self,
        lane: LaneId,
        kind: BlockKind,
        begin: Mono,
        end: Mono,
        title: String,
    ) -> bool {
        if self.blocks.len() >= MOST_BLOCKS {
            self.counts.left_out += 1;
            return false;
        }
        // A span that began before the trace is drawn from the beginning of the trace.
        self.reach(begin.max(end));
        self.lanes.entry(lane.clone()).or_default();
        self.blocks.push(Block {
            lane,
            kind,
            begin,
            end,
            title,
        });
        true
    }
}

#[cfg(test)]
mod tests;

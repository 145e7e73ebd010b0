//! The counters of this room, and its log events that wait to be handed out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::base::{DeviceId, EventKind, LogoutReason, Mono, RateLimit};

use crate::cloud::alink::events::Notice;

/// The counters of this room. Each only grows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages published.
    pub published: u64,
    /// Log-in messages among them.
    pub login_messages: u64,
    /// Log-out messages among them.
    pub logout_messages: u64,
    /// Post messages among them, packs included.
    pub post_messages: u64,
    /// Log-ins accepted, in devices.
    pub logged_in: u64,
    /// Log-outs accepted, in devices, by the name of their reason.
    pub logouts: BTreeMap<&'static str, u64>,
    /// Replies that refused something.
    pub refused: u64,
    /// Devices refused, each with a retry block.
    pub blocked: u64,
    /// Replies with code 429.
    pub throttled: u64,
    /// Requests whose reply did not come in time.
    pub unanswered: u64,
    /// Replies that came after their deadline, or twice.
    pub late_replies: u64,
    /// Replies that belong to none of our requests.
    pub unknown_replies: u64,
    /// Messages on topics we do not know.
    pub unknown_topics: u64,
    /// Messages that could not be read.
    pub malformed: u64,
    /// Sessions ended by the platform.
    pub kicked: u64,
    /// Messages about registration and topology among the published.
    pub topology_messages: u64,
    /// Devices registered.
    pub registered: u64,
    /// Devices added to the topology.
    pub related: u64,
    /// Devices deleted from the topology.
    pub unrelated: u64,
    /// Orders of the platform that were carried out.
    pub orders: u64,
    /// Answers to orders dropped, because too many waited.
    pub dropped_answers: u64,
    /// Log events dropped, because there were too many.
    pub dropped_notices: u64,
    /// Notices and orders of the platform about devices that are not configured here.
    pub strangers: u64,
    /// Filters refused by the broker.
    pub subscribe_refused: u64,
    /// Readings taken into the queue.
    pub readings: u64,
    /// Readings the platform accepted.
    pub delivered: u64,
    /// Readings sent again.
    pub resent: u64,
    /// Readings dropped because the queue was full.
    pub dropped_queue_full: u64,
    /// Readings dropped because the platform refused them.
    pub dropped_refused: u64,
    /// Readings dropped because one alone exceeds a message.
    pub dropped_too_large: u64,
    /// Readings dropped because their device or point is not configured.
    pub dropped_unknown: u64,
    /// Readings that had to wait until the time was known.
    pub held: u64,
    /// Readings dropped because too many waited for the time.
    pub dropped_unstamped: u64,
    /// Readings dropped because the gateway stopped.
    pub dropped_at_stop: u64,
}

impl Counters {
    /// Counts a device that was logged out, for this reason.
    pub(crate) fn logged_out(&mut self, reason: LogoutReason) {
        *self.logouts.entry(reason.word()).or_default() += 1;
    }

    /// How many readings were dropped, by cause: all causes there are.
    #[must_use]
    pub const fn drops(&self) -> [(&'static str, u64); 6] {
        [
            ("queue-full", self.dropped_queue_full),
            ("refused", self.dropped_refused),
            ("too-large", self.dropped_too_large),
            ("unknown", self.dropped_unknown),
            ("no-time", self.dropped_unstamped),
            ("stop", self.dropped_at_stop),
        ]
    }
}

/// The key of a series of like log events: their kind, the device, and what else they are
/// about.
pub(crate) type SeriesKey = (EventKind, Option<DeviceId>, String);

/// How many series are kept apart: some are named after topics, which the sender chooses.
const SERIES: usize = 10_000;

/// How many log events may be handed out at once: several for each device of the largest
/// installation. A platform that changes its answers a thousand times a second fills
/// neither memory nor the log.
const AT_ONCE: u32 = 8_192;
/// How many log events may be handed out in a second after that.
const PER_SECOND: u64 = 20;

/// A series of like log events, reported ever more rarely.
#[derive(Clone, Debug)]
struct Series {
    repeats: RateLimit,
    last: Notice,
}

/// The outbox of the room: counters, and log events waiting to be handed out.
#[derive(Clone, Debug)]
pub(crate) struct Outbox {
    pub(crate) counters: Counters,
    pub(crate) notices: VecDeque<Notice>,
    series: BTreeMap<SeriesKey, Series>,
    /// When an event that is held back is reported.
    due: BTreeSet<(Mono, SeriesKey)>,
    /// How many log events may still be handed out, and the time of that calculation.
    left: (u32, Mono),
}

impl Default for Outbox {
    fn default() -> Self {
        Outbox {
            counters: Counters::default(),
            notices: VecDeque::new(),
            series: BTreeMap::new(),
            due: BTreeSet::new(),
            left: (AT_ONCE, Mono::START),
        }
    }
}

impl Outbox {
    /// Queues a log event.
    pub(crate) fn tell(&mut self, notice: Notice) {
        if self.left.0 == 0 {
            self.counters.dropped_notices += 1;
            return;
        }
        self.left.0 -= 1;
        self.notices.push_back(notice);
    }

    /// Takes note of the time: more events may be handed out.
    pub(crate) fn on_time(&mut self, now: Mono) {
        let micros = u64::try_from(now.since(self.left.1).as_micros()).unwrap_or(u64::MAX);
        let more = micros.saturating_mul(PER_SECOND) / 1_000_000;
        if more > 0 {
            let more = u32::try_from(more).unwrap_or(AT_ONCE);
            self.left = (self.left.0.saturating_add(more).min(AT_ONCE), now);
        }
    }

    /// Queues a log event the first time, and then ever more rarely with how often it
    /// happened since. An event that is held back is reported when its wait is over.
    /// Returns whether the event is reported now.
    pub(crate) fn often(&mut self, now: Mono, notice: Notice) -> bool {
        let mut key = notice.series();
        if self.series.len() >= SERIES && !self.series.contains_key(&key) {
            self.series
                .retain(|_, series| series.repeats.due().is_some());
            if self.series.len() >= SERIES {
                // One series for all events of the kind.
                key = (key.0, None, String::new());
            }
        }
        let series = self.series.entry(key.clone()).or_insert_with(|| Series {
            repeats: RateLimit::default(),
            last: notice.clone(),
        });
        if let Some(at) = series.repeats.due() {
            self.due.remove(&(at, key.clone()));
        }
        let told = series.repeats.hit(now, notice.count());
        series.last = notice;
        let notice = told.map(|times| series.last.clone().counted(times));
        if let Some(at) = series.repeats.due() {
            self.due.insert((at, key));
        }
        if let Some(notice) = notice {
            self.tell(notice);
        }
        told.is_some()
    }

    /// Returns when an event that was held back is to be reported.
    pub(crate) fn settles_at(&self) -> Option<Mono> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Reports one event that was held back, if it is time; returns whether it did.
    pub(crate) fn settle(&mut self, now: Mono) -> bool {
        if self.settles_at().is_none_or(|at| at > now) {
            return false;
        }
        let Some((_, key)) = self.due.pop_first() else {
            return false;
        };
        let Some(series) = self.series.get_mut(&key) else {
            return true;
        };
        let Some(sum) = series.repeats.settle(now) else {
            return true;
        };
        let last = series.last.clone().counted(sum.untold);
        if last.is_counted() {
            self.tell(last.clone());
        }
        if sum.is_over && !matches!(last, Notice::Full { .. }) {
            self.tell(Notice::Over {
                of: Box::new(last),
                total: sum.total,
                lasted: sum.lasted,
            });
        }
        true
    }
}

//! The log events of this room that wait to be handed out, and the counters beside them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::base::{Mono, RateLimit};

use crate::cloud::alink::events::counters::Counters;
use crate::cloud::alink::events::{CloudLogEvent, SeriesKey};

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
    last: CloudLogEvent,
}

/// The outbox of the room: counters, and log events waiting to be handed out.
#[derive(Clone, Debug)]
pub(crate) struct Outbox {
    counters: Counters,
    notices: VecDeque<CloudLogEvent>,
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
    /// Returns what has been counted so far.
    pub(crate) const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Returns the counters, to count something.
    pub(crate) const fn count(&mut self) -> &mut Counters {
        &mut self.counters
    }

    /// Returns the next log event to be handed out.
    pub(crate) fn next(&mut self) -> Option<CloudLogEvent> {
        self.notices.pop_front()
    }

    /// Queues a log event.
    pub(crate) fn tell(&mut self, notice: CloudLogEvent) {
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
    pub(crate) fn often(&mut self, now: Mono, notice: CloudLogEvent) -> bool {
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
    pub(crate) fn sum_due(&self) -> Option<Mono> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Reports one event that was held back, if it is time; returns whether it did.
    pub(crate) fn report_due(&mut self, now: Mono) -> bool {
        if self.sum_due().is_none_or(|at| at > now) {
            return false;
        }
        let Some((_, key)) = self.due.pop_first() else {
            return false;
        };
        let Some(series) = self.series.get_mut(&key) else {
            return true;
        };
        let Some(sum) = series.repeats.take_due(now) else {
            return true;
        };
        let last = series.last.clone().counted(sum.untold);
        if last.is_counted() {
            self.tell(last.clone());
        }
        if sum.is_over && !matches!(last, CloudLogEvent::Full { .. }) {
            self.tell(CloudLogEvent::Over {
                of: Box::new(last),
                total: sum.total,
                lasted: sum.lasted,
            });
        }
        true
    }
}

//! How many messages the values are gathered into: the queue of the publisher itself, with the
//! configured values put in and every message accepted at once, on a time of its own.
//!
//! How many there are depends on the linger, on devices whose values come at the same time, on
//! values that no longer fit into a message, and on devices that prove their sessions. All of
//! this is decided in `publish/`, and is not said a second time here.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use super::PeriodicReadings;
use crate::base::{DeviceId, Mono, Now, Reading, RequestId, Rng, Wall};
use crate::cloud::alink::events::outbox::Outbox;
use crate::cloud::alink::publish::{PublishQueue, session_probes};
use crate::cloud::alink::requests::pace::TokenBucket;
use crate::cloud::alink::wire::code::Code;
use crate::cloud::alink::wire::payload::Reply;
use crate::spec::Spec;

/// Some time of the wall clock: as text it is as long as any of this century.
pub(super) const SAMPLE_TIME: Wall = Wall::from_millis(1_767_225_600_000);

/// How many values are gathered at most.
const MOST_VALUES: f64 = 60_000.0;
/// For how long values are gathered, as long as they are not too many.
const LONG_ENOUGH: Duration = Duration::from_secs(120);

/// How much later than at its time at most a value is read: requests wait for each other. Without
/// that, values of several lines and the turns in which devices prove their sessions would fall
/// on one grid, as they never do.
const LATENESS: Duration = Duration::from_millis(20);

/// Returns how many messages a second are sent.
pub(super) fn messages_per_second(spec: &Arc<Spec>, readings: &[PeriodicReadings]) -> f64 {
    let span = span(readings);
    if span.is_zero() {
        return 0.0;
    }
    let mut gathering = Gathering::new(spec);
    gathering.run(readings, span);
    gathering.messages as f64 / span.as_secs_f64()
}

/// Returns for how long to gather: whole rounds of all values, or of as many as possible.
fn span(readings: &[PeriodicReadings]) -> Duration {
    let sent = readings.iter().filter(|r| r.values_per_second() > 0.0);
    let each = sent.clone().map(|r| r.values_per_second().max(r.rate()));
    let per_second: f64 = each.sum();
    let mut intervals: Vec<Duration> = sent.map(|r| r.interval).collect();
    intervals.sort_unstable();
    intervals.dedup();
    let Some(longest) = intervals.last() else {
        return Duration::ZERO;
    };
    let most = Duration::try_from_secs_f64(MOST_VALUES / per_second).unwrap_or(*longest);
    let fitting = intervals.iter().rev().find(|i| **i <= most);
    let Some(round) = fitting.filter(|i| !i.is_zero()) else {
        return most;
    };
    let rounds = most.min(LONG_ENOUGH).as_nanos() / round.as_nanos();
    *round * u32::try_from(rounds.max(1)).unwrap_or(u32::MAX)
}

/// Returns whether the value with this number is among those that are sent, of which there are
/// so many for each that is read.
fn is_sent(number: u64, point: u16, sent: f64) -> bool {
    let before = |n: u64| (n as f64 * sent + f64::from(point) * 0.618).floor();
    sent >= 1.0 || before(number + 1) > before(number)
}

struct Gathering {
    queue: PublishQueue,
    pace: TokenBucket,
    outbox: Outbox,
    rng: Rng,
    now: Mono,
    messages: u32,
}

impl Gathering {
    /// Returns a queue whose devices have been online for so long that they prove their
    /// sessions in turn.
    fn new(spec: &Arc<Spec>) -> Self {
        let rate = spec.cloud.post.messages_per_second;
        let devices: Vec<DeviceId> = spec.devices().map(|(id, _)| id).collect();
        let mut queue = PublishQueue::new(Arc::clone(spec), Rng::new(1));
        let mut now = Mono::START;
        let apart = 1.0 / session_probes::usual_rate(devices.len(), rate).max(1e-3);
        for id in devices {
            queue.on_session_begun(now, id);
            now = now + Duration::try_from_secs_f64(apart).unwrap_or_default();
        }
        Gathering {
            queue,
            pace: TokenBucket::new(rate),
            outbox: Outbox::default(),
            rng: Rng::new(2),
            now,
            messages: 0,
        }
    }

    /// Gathers the values that are read within this time, and counts the messages.
    fn run(&mut self, readings: &[PeriodicReadings], span: Duration) {
        let (start, end) = (self.now, self.now + span);
        let first = |r: &PeriodicReadings| {
            let interval = r.interval.as_micros().max(1);
            let phase = u64::try_from(r.phase.as_micros() % interval).unwrap_or(0);
            start + Duration::from_micros(phase)
        };
        let all = readings.iter().zip(0usize..);
        let mut due: BinaryHeap<Reverse<(Mono, usize, Mono, u64)>> = all
            .map(|(r, index)| {
                let at = first(r);
                Reverse((at + self.lateness(r), index, at, 0))
            })
            .collect();
        while let Some(Reverse((at, index, grid, number))) = due.pop() {
            let Some(group) = readings.get(index).filter(|_| grid < end) else {
                continue;
            };
            self.send_until(Some(at));
            self.now = at;
            self.put(group, number);
            let interval = group.interval.max(Duration::from_millis(1));
            let next = grid + interval;
            due.push(Reverse((
                next + self.lateness(group),
                index,
                next,
                number + 1,
            )));
        }
        self.send_until(None);
    }

    fn lateness(&mut self, group: &PeriodicReadings) -> Duration {
        let most = LATENESS.min(group.interval / 20).as_micros();
        let most = u64::try_from(most).unwrap_or(0);
        Duration::from_micros(self.rng.below(most + 1))
    }

    fn put(&mut self, group: &PeriodicReadings, number: u64) {
        let since = i64::try_from(self.now.as_micros() / 1000).unwrap_or(0);
        let now = Now {
            mono: self.now,
            wall: Wall::from_millis(SAMPLE_TIME.as_millis().saturating_add(since)),
        };
        for value in group.values.iter() {
            if is_sent(number, value.point, value.sent) {
                let reading = Reading {
                    device: group.device,
                    point: value.point,
                    value: value.value.clone(),
                    at: now,
                };
                self.queue.put(now, reading, None, &mut self.outbox);
            }
        }
    }

    /// Sends what is due before this time; `None`: everything.
    fn send_until(&mut self, end: Option<Mono>) {
        while let Some(wake) = self.queue.due() {
            let at = wake.at.max(self.pace.ready_at()).max(self.now);
            if end.is_some_and(|end| at >= end) {
                return;
            }
            self.now = at;
            if let Some(batch) = self.queue.take(at) {
                self.messages += 1;
                let ask = RequestId(self.messages);
                let alone = self.queue.alone(batch);
                self.queue.sent(at, ask, batch, None, &mut self.outbox);
                self.pace.take(at);
                let reply = Reply {
                    id: Some(ask),
                    code: Code(200),
                    message: String::new(),
                    named: Vec::new(),
                };
                self.queue
                    .answered(at, ask, alone, &reply, &[], &mut self.outbox);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_values_that_are_sent_now_and_then_as_many_are_as_should_be() {
        for (sent, expected) in [(0.0, 0), (0.25, 250), (0.1, 100), (1.0, 1000)] {
            for point in 0..20 {
                let count = (0..1000).filter(|n| is_sent(*n, point, sent)).count();
                assert!(count.abs_diff(expected) <= 1, "{count} of {sent}");
            }
        }
    }
}

//! What this room counts, and when a repeated failure is told again.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::Mono;

use super::notice::Notice;

/// Everything this room counts. Each only grows.
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
    /// Log-outs accepted, in devices.
    pub logged_out: u64,
    /// Replies that refused something.
    pub refused: u64,
    /// Devices barred.
    pub barred: u64,
    /// Replies with code 429.
    pub throttled: u64,
    /// Requests whose reply did not come in time.
    pub unanswered: u64,
    /// Replies that came after their deadline, or twice.
    pub late_replies: u64,
    /// Replies to nothing we asked.
    pub unknown_replies: u64,
    /// Messages on topics we do not know.
    pub unknown_topics: u64,
    /// Messages that could not be read.
    pub malformed: u64,
    /// Sessions ended by the platform.
    pub kicked: u64,
    /// Notices of the platform about devices we do not have.
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
    /// Readings dropped because the gateway stopped.
    pub dropped_at_stop: u64,
}

/// Decides when a repeated failure is told again: the first time, then after
/// a minute, then at doubling gaps up to an hour, with the count in between.
#[derive(Clone, Debug, Default)]
pub(super) struct Repeats {
    untold: u64,
    told: Option<(Mono, Duration)>,
}

impl Repeats {
    /// It happened `n` times more; says how many to tell, if it is time.
    pub(super) fn hit(&mut self, now: Mono, n: u64) -> Option<u64> {
        self.untold += n;
        let gap = match self.told {
            None => Duration::from_secs(60),
            Some((at, gap)) if now.since(at) >= gap => (gap * 2).min(Duration::from_secs(3600)),
            Some(_) => return None,
        };
        self.told = Some((now, gap));
        Some(std::mem::take(&mut self.untold))
    }

    /// It is over; the next time is a first time.
    pub(super) fn over(&mut self) {
        *self = Repeats::default();
    }
}

/// The room's diary: counters, and notices waiting to be handed out.
#[derive(Clone, Debug, Default)]
pub(super) struct Diary {
    pub(super) counters: Counters,
    pub(super) notices: VecDeque<Notice>,
}

impl Diary {
    /// To be told.
    pub(super) fn tell(&mut self, notice: Notice) {
        self.notices.push_back(notice);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_failures_are_told_first_and_then_ever_more_rarely_with_their_count() {
        let mut repeats = Repeats::default();
        let mut told = Vec::new();
        for second in 0..1000u64 {
            if let Some(n) = repeats.hit(Mono::from_micros(second * 1_000_000), 1) {
                told.push((second, n));
            }
        }
        assert_eq!(told, [(0, 1), (60, 60), (180, 120), (420, 240), (900, 480)]);
        repeats.over();
        assert_eq!(repeats.hit(Mono::from_micros(1_000_000_000), 1), Some(1));
    }
}

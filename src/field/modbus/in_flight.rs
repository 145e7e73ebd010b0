//! Finds out how many requests may be in flight on one connection of Modbus TCP.
//!
//! The standard allows several (Modbus Messaging on TCP/IP V1.0b §4.4.1.2), and many servers
//! do it wrongly: they answer with the id of the latest request, drop the second request of a
//! segment, or close the connection. So the window is one at first. Then two requests to two
//! units are sent together, in a trial. No result of a trial counts until both replies have
//! come, rightly and exactly once. After two such trials the window doubles as long as the
//! replies do not take longer than when one request was alone. A gateway with a serial line
//! behind it asks one unit after the other: there replies take longer, and the window goes
//! back to the size at which they did not.
//!
//! What a server did wrongly is remembered for the life of the process, and reported. This
//! module has no clock.

use std::time::Duration;

use crate::base::Mono;

/// How many trials of two requests must succeed.
const TRIALS: u32 = 2;

/// How often a server may show a fault that could have another cause.
const MOST_AMBIGUOUS_FAULTS: u32 = 2;

/// How many silences must be the device's own until no further one is looked into.
const ENOUGH_ALONE: u32 = 3;

/// How many replies to a request that is alone show how long a reply takes.
const BASE_REPLIES: u32 = 2;

/// From when on the replies of a window take too long: in thousandths of those to a request
/// that is alone, and this much more, for jitter. Two requests that a gateway asks one after
/// the other take one and a half times as long on average.
const TOO_LONG: (u32, Duration) = (1300, Duration::from_millis(3));

/// After how long a window that was too large for reply times may be tried again.
const RETRY: Duration = Duration::from_secs(600);

/// What a server did when several requests were in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum InFlightFault {
    /// The server answered one request twice.
    Twice,
    /// The server answered with the id of one request and the unit, function or length of
    /// another; asked alone the server did not.
    Mismatched,
    /// The server did not answer one request; asked alone it did.
    Dropped,
    /// The server closed the connection; asked one by one it did not.
    Closed,
}

impl InFlightFault {
    /// Returns the fault in words, behind "when several requests were in flight, ".
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            InFlightFault::Twice => "it answered one request twice",
            InFlightFault::Mismatched => "it answered with the transaction id of another request",
            InFlightFault::Dropped => "it left one of them without a reply",
            InFlightFault::Closed => "it closed the connection",
        }
    }
}

/// Sum and count of reply times.
#[derive(Clone, Copy, Debug, Default)]
struct InFlightTimes {
    sum: Duration,
    count: u32,
}

impl InFlightTimes {
    fn add(&mut self, took: Duration) {
        self.sum = self.sum.saturating_add(took);
        self.count = self.count.saturating_add(1);
        // The latest reply times count for more.
        if self.count >= 128 {
            self.sum /= 2;
            self.count /= 2;
        }
    }

    fn mean(&self) -> Duration {
        self.sum / self.count.max(1)
    }
}

/// The window of one port.
#[derive(Clone, Debug)]
pub struct InFlight {
    /// The configured limit.
    limit: usize,
    /// The largest window that what was seen allows.
    most: usize,
    window: usize,
    trials: u32,
    strikes: u32,
    /// How often a silence was not the server's fault, in this window.
    failed_alone: u32,
    /// Replies to requests that were alone.
    base: InFlightTimes,
    /// Replies while the window was full.
    full: InFlightTimes,
    /// Since when the window has been smaller for reply times.
    slow_since: Option<Mono>,
    fault: Option<InFlightFault>,
}

impl InFlight {
    /// Returns a window of no more than `limit`; a limit of one means always one.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        InFlight {
            limit,
            most: limit,
            window: 1,
            trials: 0,
            strikes: 0,
            failed_alone: 0,
            base: InFlightTimes::default(),
            full: InFlightTimes::default(),
            slow_since: None,
            fault: None,
        }
    }

    /// Returns how many requests may be in flight.
    #[must_use]
    pub const fn window(&self) -> usize {
        self.window
    }

    /// Returns whether the next two requests are to be sent together, for a trial.
    #[must_use]
    pub fn wants_trial(&self, now: Mono) -> bool {
        let again = |since: Mono| now.since(since) >= RETRY;
        self.window == 1
            && self.limit > 1
            && self.fault.is_none()
            && self.base.count >= BASE_REPLIES
            && (self.most > 1 || self.slow_since.is_some_and(again))
    }

    /// Returns whether a request that failed may have failed because of the others in flight: the
    /// window has not proved itself.
    #[must_use]
    pub fn is_on_probation(&self) -> bool {
        self.full.count < self.enough() && self.failed_alone < ENOUGH_ALONE
    }

    /// Notes that a device that failed among others failed alone as well.
    pub fn note_failed_alone(&mut self) {
        self.failed_alone += 1;
    }

    /// Notes that both requests of a trial were answered, rightly and once, in this time.
    pub fn passed(&mut self, now: Mono, took: [Duration; 2]) {
        for took in took {
            self.full.add(took);
        }
        if self.is_slow() {
            self.slow(now);
            return;
        }
        self.trials += 1;
        if self.trials >= TRIALS {
            self.trials = 0;
            self.full = InFlightTimes::default();
            self.most = self.limit;
            self.slow_since = None;
            self.window = 2;
        }
    }

    /// Notes that a request was answered, and how many requests, itself included, were in
    /// flight when it was sent.
    pub fn answered(&mut self, now: Mono, with: usize, took: Duration) {
        if with <= 1 {
            self.base.add(took);
            return;
        }
        if with * 2 <= self.window {
            return;
        }
        self.full.add(took);
        if self.full.count < self.enough() {
            return;
        }
        if self.is_slow() {
            self.slow(now);
        } else if self.window < self.most {
            self.failed_alone = 0;
            self.window = (self.window * 2).min(self.most);
            self.full = InFlightTimes::default();
        } else {
            self.strikes = 0;
        }
    }

    /// Notes that the server showed this fault; returns whether the window closes for good
    /// and the fault is worth a report. `is_certain`: once is enough.
    pub fn seen(&mut self, fault: InFlightFault, is_certain: bool) -> bool {
        if self.fault.is_some() {
            return false;
        }
        self.strikes += 1;
        let is_certain = is_certain || self.strikes >= MOST_AMBIGUOUS_FAULTS;
        if is_certain {
            self.fault = Some(fault);
            self.most = 1;
            self.window = 1;
        }
        is_certain
    }

    const fn enough(&self) -> u32 {
        // At most 64.
        2 * self.window as u32
    }

    fn is_slow(&self) -> bool {
        let limit = self.base.mean() * TOO_LONG.0 / 1000 + TOO_LONG.1;
        self.base.count >= BASE_REPLIES && self.full.mean() > limit
    }

    /// Notes that replies take longer than they did with fewer requests.
    fn slow(&mut self, now: Mono) {
        self.window = (self.window / 2).max(1);
        self.most = self.window;
        self.trials = 0;
        self.full = InFlightTimes::default();
        self.slow_since = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Mono = Mono::START;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// Returns a window after two replies to requests that were alone and two good trials.
    fn opened(limit: usize) -> InFlight {
        let mut w = InFlight::new(limit);
        for _ in 0..2 {
            assert!(!w.wants_trial(NOW));
            w.answered(NOW, 1, ms(20));
        }
        for _ in 0..2 {
            assert!(w.wants_trial(NOW));
            assert_eq!(w.window(), 1);
            w.passed(NOW, [ms(20), ms(22)]);
        }
        w
    }

    #[test]
    fn it_doubles_while_replies_are_as_quick_as_with_one() {
        let mut w = opened(12);
        let mut seen = Vec::new();
        for _ in 0..100 {
            if seen.last() != Some(&w.window()) {
                seen.push(w.window());
            }
            w.answered(NOW, w.window(), ms(21));
        }
        assert_eq!(seen, [2, 4, 8, 12]);
        assert!(!w.is_on_probation());
        // A window that is not full says nothing.
        w.answered(NOW, 3, ms(500));
        assert_eq!(w.window(), 12);
    }

    #[test]
    fn a_gateway_that_asks_one_after_the_other_gets_one() {
        let mut w = InFlight::new(16);
        for _ in 0..3 {
            w.answered(NOW, 1, ms(40));
        }
        w.passed(NOW, [ms(40), ms(80)]);
        assert_eq!(w.window(), 1);
        assert!(!w.wants_trial(NOW + ms(1000)));
        assert!(w.wants_trial(NOW + RETRY));
    }

    #[test]
    fn the_window_goes_back_to_where_replies_were_quick() {
        let mut w = opened(16);
        for _ in 0..4 {
            w.answered(NOW, 2, ms(20));
        }
        assert_eq!(w.window(), 4);
        for _ in 0..8 {
            w.answered(NOW, 4, ms(60));
        }
        assert_eq!(w.window(), 2);
        for _ in 0..40 {
            w.answered(NOW, 2, ms(20));
        }
        assert_eq!(w.window(), 2);
    }

    #[test]
    fn what_a_server_did_is_remembered() {
        for fault in [
            InFlightFault::Mismatched,
            InFlightFault::Dropped,
            InFlightFault::Closed,
        ] {
            let mut w = opened(16);
            assert!(!w.seen(fault, false));
            assert_eq!(w.window(), 2);
            assert!(w.seen(fault, false));
            assert!(!w.seen(fault, false), "told once");
            assert_eq!(w.window(), 1);
            assert!(!w.wants_trial(NOW + RETRY * 100));
        }
        let mut w = opened(16);
        assert!(w.seen(InFlightFault::Twice, true));
        assert_eq!(w.window(), 1);
    }

    #[test]
    fn one_is_always_one() {
        let mut w = InFlight::new(1);
        for _ in 0..10 {
            w.answered(NOW, 1, ms(20));
        }
        assert!(!w.wants_trial(NOW));
    }
}

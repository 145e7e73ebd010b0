//! How long a unit is waited for: as long as it was seen to need, never longer than was
//! configured.
//!
//! The estimate is that of TCP's retransmission timer (RFC 6298 §2): smoothed mean and mean
//! deviation of what was measured, here from the end of a request to the beginning of its
//! reply. The time that the reply takes on the wire is added, because some adapters hand over
//! a frame as a whole.
//!
//! Mean and deviation forget a unit that is slow now and then, while it saves its settings,
//! say. The slowest reply of the last while is therefore kept and waited for as well.
//!
//! Why not simply the configured time: it is fifty times what most units take, and every
//! attempt at a dead unit costs the line all of that time. The harm of a wait that was too
//! short is bounded: the reply still proves that the unit lives, its value is not believed
//! (`stale/stale_reply.rs`), and from then on the unit is waited for as long as was
//! configured.
//!
//! A unit may reply later than was configured. That reply is given up, but it comes all the
//! same, and on a two-wire line it spoils what a neighbour sends meanwhile. So the lateness
//! is kept, and the line rests for a quarter longer than that after the next request that the
//! unit does not answer, at most twice the configured time. Before it is known whether a unit
//! is late or says nothing, the line rests for that longest time, if no poll is lost by it.

use std::time::Duration;

use crate::base::Mono;
use crate::spec::LineSpec;

use crate::field::polled_device::recent_max::{MEMORY, RecentMax};

/// How many replies must come before anything is known.
const LEAST_REPLIES: u32 = 4;

/// The shortest wait on a serial line. Adapters hold bytes back for 16 ms and this process
/// may be late; a shorter wait would gain the neighbours of a dead unit next to nothing.
const SERIAL_FLOOR: Duration = Duration::from_millis(100);

/// The shortest wait on TCP: a lost segment is sent again after 200 ms at the
/// earliest (Linux, `TCP_RTO_MIN`).
const TCP_FLOOR: Duration = Duration::from_millis(300);

/// Once a unit that never answered has been asked in vain, other such units are given this
/// many times the shortest wait: most units answer within it, and a start would otherwise
/// take as many configured times as there are dead units …
const QUICK: u32 = 2;

/// … and where replies are numbered, so that a late reply is recognised and believed to be
/// the unit's own, this many times: one endpoint may have fifty units that are absent.
const QUICK_NUMBERED: u32 = 1;

/// … but all the time there is at the second of this many tries, as some units are slow; and
/// when a late reply has shown that, always.
const QUICK_TRIES: u32 = 128;

/// Up to this many misses in a row, a unit whose late replies are recognised is waited for no
/// longer than usual: a late reply would show that it lives, and twenty units that died at
/// once are found out three times as soon …
const CONFIRMATIONS: u32 = 2;

/// … and the wait for a unit whose late replies are not recognised doubles at each of this
/// many misses. After these misses no unit is expected to be merely slower than it was, and
/// is waited for twice as long as usual …
const DOUBLINGS: u32 = 3;

/// … and each of these units is waited for as long as was configured at every so many misses,
/// should another unit with other reply times have taken its place. Rarely, because every
/// request that falls due meanwhile waits for it, and a late reply shows the same.
const IN_FULL_EVERY: u32 = 250;

/// The same for a unit whose late replies cannot be told from another unit's: nothing else
/// would ever show that it has become slower.
const UNHEARD_IN_FULL_EVERY: u32 = 8;

/// How many times the configured time a reply may take to be waited for at all: the line
/// would lose more by a longer wait than by the reply.
const LATER: u32 = 2;

/// What is known about how long one unit takes.
#[derive(Clone, Debug)]
pub struct Timeout {
    /// The configured response timeout: the longest wait, and the wait while little is known.
    most: Duration,
    floor: Duration,
    is_numbered: bool,
    in_full_every: u32,
    seen: u32,
    mean: Duration,
    deviation: Duration,
    slowest: RecentMax,
    /// The latest of its replies that came after the configured time, and when.
    late: Option<(Mono, Duration)>,
}

impl Timeout {
    /// Returns the state before anything is known.
    #[must_use]
    pub fn new(line: &LineSpec, most: Duration, now: Mono) -> Self {
        let floor = match line {
            LineSpec::Serial(_) => SERIAL_FLOOR,
            LineSpec::Tcp(_) => TCP_FLOOR,
        };
        Timeout {
            most,
            floor,
            is_numbered: line.numbers_replies(),
            in_full_every: IN_FULL_EVERY,
            seen: 0,
            mean: Duration::ZERO,
            deviation: Duration::ZERO,
            slowest: RecentMax::new(now),
            late: None,
        }
    }

    /// Returns the same for a unit whose late replies are not recognised.
    #[must_use]
    pub const fn for_unaddressed_replies(self) -> Self {
        Timeout {
            in_full_every: UNHEARD_IN_FULL_EVERY,
            ..self
        }
    }

    /// Returns the configured response timeout: a reply that comes later was not to be
    /// expected.
    #[must_use]
    pub const fn most(&self) -> Duration {
        self.most
    }

    /// Notes that the unit took this long to begin its reply.
    pub fn measured(&mut self, now: Mono, gap: Duration) {
        self.slowest.measured(now, gap);
        if self.seen == 0 {
            self.mean = gap;
            self.deviation = gap / 2;
        } else {
            self.deviation = (self.deviation * 3 + self.mean.abs_diff(gap)) / 4;
            self.mean = (self.mean * 7 + gap) / 8;
        }
        self.seen = self.seen.saturating_add(1);
    }

    /// Notes that a reply came after it had been given up, this long after its request if
    /// that is known: for a while, nothing less than the configured time will do.
    pub fn was_too_short(&mut self, now: Mono, after: Option<Duration>) {
        self.slowest.set(now, self.most);
        let latest = self.latest();
        let later = |after: &Duration| *after > self.most && *after <= latest;
        if let Some(after) = after.filter(later) {
            let so_far = self.lateness(now).unwrap_or_default();
            self.late = Some((now, after.max(so_far)));
        }
    }

    /// Returns how long after its request a late reply is reckoned with at most.
    #[must_use]
    pub const fn latest(&self) -> Duration {
        self.most.saturating_mul(LATER)
    }

    fn lateness(&self, now: Mono) -> Option<Duration> {
        let (at, after) = self.late?;
        (now.since(at) < MEMORY).then_some(after)
    }

    /// Returns how long after an unanswered request a late reply is to be expected, if the
    /// unit is known for late replies.
    #[must_use]
    pub fn late_reply_within(&self, now: Mono) -> Option<Duration> {
        let after = self.lateness(now)?;
        Some((after + after / 4).min(self.latest()))
    }

    /// Returns how long to wait for a reply that takes `reply` on the wire, after this many
    /// misses in a row; `is_quick`: some unit was asked and never heard.
    #[must_use]
    pub fn after(&self, misses: u32, reply: Duration, is_quick: bool) -> Duration {
        let never_heard = self.seen == 0 && self.slowest.get().is_zero();
        let quick = match self.is_numbered {
            true => QUICK_NUMBERED,
            false => QUICK,
        };
        if is_quick && never_heard && (misses % QUICK_TRIES != 1 || self.is_numbered && misses == 1)
        {
            return (self.floor * quick).max(self.floor + reply).min(self.most);
        }
        if self.seen < LEAST_REPLIES {
            return self.most;
        }
        let slowest = self.slowest.get();
        let usual = self.mean + self.deviation * 4;
        // Half as much again: the slowest reply so far need not be the slowest ever.
        let usual = usual.max(slowest + slowest / 2) + reply;
        let usual = usual.max(self.floor);
        let factor = match misses {
            0..=CONFIRMATIONS if self.in_full_every == IN_FULL_EVERY => 1,
            0..=DOUBLINGS if self.in_full_every != IN_FULL_EVERY => 1 << misses,
            n if n.is_multiple_of(self.in_full_every) => return self.most,
            _ => 2,
        };
        (usual * factor).min(self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::test_spec::{serial, tcp};

    const MOST: Duration = Duration::from_millis(500);

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn at(seconds: u64) -> Mono {
        Mono::from_micros(seconds * 1_000_000)
    }

    fn seen(gaps: &[u64]) -> Timeout {
        let mut t = Timeout::new(&serial(9600).line, MOST, at(0));
        for gap in gaps {
            t.measured(at(0), ms(*gap));
        }
        t
    }

    #[test]
    fn where_one_stranger_is_missing_each_is_asked_quickly_then_in_full_until_it_is_known() {
        assert_eq!(seen(&[]).after(0, ms(30), false), MOST);
        let mut t = seen(&[]);
        let full = |t: &Timeout| {
            (0..256)
                .filter(|n| t.after(*n, ms(30), true) == MOST)
                .collect()
        };
        let tries: Vec<u32> = full(&t);
        assert_eq!((t.after(0, ms(30), true), tries), (ms(200), vec![1, 129]));
        t.was_too_short(at(1), None);
        assert_eq!(full(&t), (0..256).collect::<Vec<u32>>());
        assert_eq!(seen(&[10, 10, 10]).after(0, ms(30), true), MOST);
        assert_eq!(seen(&[10, 10, 10]).after(7, ms(30), true), MOST);
    }

    #[test]
    fn a_prompt_unit_is_waited_for_as_long_as_the_floor_or_its_reply_on_the_wire() {
        let t = seen(&[10; 50]);
        assert_eq!(t.after(0, ms(30), false), SERIAL_FLOOR);
        let slow = t.after(0, ms(150), false);
        assert!((ms(160)..ms(170)).contains(&slow), "{slow:?}");
        let mut far = Timeout::new(&tcp().line, ms(1000), at(0));
        for _ in 0..50 {
            far.measured(at(0), ms(10));
        }
        assert_eq!(far.after(0, ms(0), false), TCP_FLOOR);
    }

    #[test]
    fn a_silence_is_confirmed_in_no_more_time_than_usual_and_then_waited_for_twice_as_long() {
        let t = seen(&[10; 50]);
        let waits: Vec<Duration> = (0..5).map(|n| t.after(n, ms(30), false)).collect();
        let wanted = [100, 100, 100, 200, 200].map(ms);
        assert_eq!(waits, wanted);
        let in_full = (4..=1000)
            .filter(|n| t.after(*n, ms(30), false) == MOST)
            .count();
        assert_eq!(in_full, 4, "now and then");
    }

    /// 20 ms became 900 ms: no late reply is recognised, so that only a full wait finds the
    /// unit again.
    #[test]
    fn one_whose_late_replies_nobody_recognises_is_soon_waited_for_in_full() {
        let most = ms(1000);
        let mut t = Timeout::new(&serial(9600).line, most, at(0)).for_unaddressed_replies();
        for _ in 0..50 {
            t.measured(at(0), ms(20));
        }
        let waits: Vec<u32> = (4..=24)
            .filter(|n| t.after(*n, ms(30), false) == most)
            .collect();
        assert_eq!(waits, [8, 16, 24]);
        assert!(t.after(9, ms(30), false) < ms(900), "and not always");
    }

    #[test]
    fn what_was_configured_is_never_exceeded() {
        let t = seen(&[450; 50]);
        for misses in 0..100 {
            assert_eq!(t.after(misses, ms(200), false), MOST);
        }
    }

    #[test]
    fn a_late_reply_earns_all_the_time_there_is() {
        let mut t = seen(&[10; 50]);
        t.was_too_short(at(1), None);
        assert_eq!(t.after(0, ms(0), false), MOST);
        for s in 2..1300 {
            t.measured(at(s), ms(10));
        }
        assert_eq!(t.after(0, ms(0), false), SERIAL_FLOOR, "and not for ever");
    }

    #[test]
    fn a_reply_later_than_was_configured_is_expected_again_for_a_while() {
        let cases = [
            (450, None),
            (600, Some(750)),
            (900, Some(1000)),
            (1001, None),
        ];
        for (late, within) in cases {
            let mut t = seen(&[10; 50]);
            t.was_too_short(at(1), Some(ms(late)));
            assert_eq!(t.late_reply_within(at(2)), within.map(ms), "{late}");
            assert_eq!(t.after(0, ms(30), false), MOST, "{late}");
            assert_eq!(t.late_reply_within(at(601)), None, "{late}");
        }
        let mut t = seen(&[10; 50]);
        t.was_too_short(at(1), Some(ms(600)));
        t.was_too_short(at(2), Some(ms(520)));
        assert_eq!(
            t.late_reply_within(at(3)),
            Some(ms(750)),
            "the latest counts"
        );
    }

    #[test]
    fn a_unit_that_is_slow_now_and_then_stays_waited_for() {
        let mut t = seen(&[10; 50]);
        t.measured(at(1), ms(200));
        for s in 2..600 {
            t.measured(at(s), ms(10));
            assert!(t.after(0, ms(0), false) >= ms(300), "{s}");
        }
        for s in 600..1300 {
            t.measured(at(s), ms(10));
        }
        assert_eq!(t.after(0, ms(0), false), SERIAL_FLOOR, "and not for ever");
    }
}

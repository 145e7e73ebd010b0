//! When to connect to the broker.
//!
//! [`Connector`] decides when the next attempt may be made and says what went wrong. It
//! opens no connection itself, and the identity that the gateway connects with does not
//! matter to it.
//!
//! Contract: before an attempt, wait until [`Connector::attempt_at`]; call `on_attempt`,
//! then exactly one of `on_up` or `on_down`, and `on_down` again when the connection ends;
//! drain [`Connector::poll`] after each. An attempt in order to register also begins with
//! `on_attempt`, because the platform counts it, and ends with one of `on_registered` and
//! `on_not_registered`, the latter also if the attempt was not made at all.
//!
//! # Two gateways with one certificate
//!
//! The platform keeps the newer connection and closes the older one without a message (MQTT
//! 3.1.1 has none). So two boxes that connect at the same time disconnect each other for
//! ever, and neither of them ever serves a device. One box sees only this: the *other side*
//! closes, soon after CONNACK, again and again. After three such sessions in a row a log
//! event reports it, and after a fourth, a minute later, the wait becomes minutes.
//! A failing broker closes sessions soon as well. The difference is what another gateway
//! with our certificate cannot do: make the broker unreachable, break TLS, leave pings
//! unanswered or end a connection with an error. Each of these shows that the broker or the
//! line is at fault, and the count of short sessions begins anew. (A refused attempt shows
//! nothing: both gateways share the quota of CONNECTs.) Without any of these the two causes
//! look alike, so the first wait is short enough for a failing broker.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::{Backoff, LinkDown, Mono, Now, RateLimit, Rng, Wake};
use crate::spec::CloudSpec;

use crate::cloud::alink::events::CloudLogEvent;
use crate::cloud::alink::registration::enrolment::EnrolmentFailure;
use crate::cloud::alink::requests::pace::{Attempts, MINUTE};

/// The platform's limit of CONNECTs in any 60 s ("Limits", 2020).
const PER_MINUTE: usize = 5;
/// How long a connection must have lasted to count as good.
const GOOD_SESSION: Duration = Duration::from_secs(60);
/// After a good connection the next attempt is made at a random time within this, so that a
/// fleet of gateways does not connect in one instant.
const RETURN_WITHIN: Duration = Duration::from_secs(5);
/// The shortest wait after other failures.
const FLOOR: Duration = Duration::from_secs(2);
const CEILING: Duration = Duration::from_secs(120);
/// The shortest wait after a refusal that only a person can change (CONNACK 2, 4, 5).
const REFUSED_FLOOR: Duration = Duration::from_secs(30);
const REFUSED_CEILING: Duration = Duration::from_secs(600);
/// The waits after the first short sessions, before another short session makes a second
/// gateway likely. Two gateways that share a certificate share its quota too: with these
/// waits, their five first CONNECTs together take more than a minute, and neither is
/// refused because of the other's attempts.
const AFTER_SHORT: [Duration; 3] = [
    Duration::from_secs(10),
    Duration::from_secs(60),
    Duration::from_secs(60),
];
/// How many short sessions in a row are no accident.
const SUSPICIOUS: u32 = 3;
/// The shortest wait while another client with our certificate is suspected.
const CONTESTED_FLOOR: Duration = Duration::from_secs(240);
const CONTESTED_CEILING: Duration = Duration::from_secs(600);
/// While another client is suspected, only a connection that outlasts that client's longest
/// wait shows that the client is gone.
const UNCONTESTED: Duration = Duration::from_secs(900);

/// Paces attempts to connect.
#[derive(Clone, Debug)]
pub struct Connector {
    attempts: Attempts,
    backoff: Backoff,
    refused: Backoff,
    contested: Backoff,
    not_before: Mono,
    why: &'static str,
    up_since: Option<Mono>,
    failed: u32,
    short: u32,
    last_kind: Option<u8>,
    repeats: RateLimit,
    /// Why the last attempt failed.
    last_failure: Option<LinkDown>,
    notices: VecDeque<CloudLogEvent>,
    rng: Rng,
}

impl Connector {
    /// Returns a connector that is ready for a first attempt at once.
    #[must_use]
    pub fn new(_spec: &CloudSpec, rng: Rng, now: Now) -> Self {
        Connector {
            attempts: Attempts::default(),
            backoff: Backoff::new(FLOOR, CEILING),
            refused: Backoff::new(REFUSED_FLOOR, REFUSED_CEILING),
            contested: Backoff::new(CONTESTED_FLOOR, CONTESTED_CEILING),
            not_before: now.mono,
            why: "connect",
            up_since: None,
            failed: 0,
            short: 0,
            last_kind: None,
            repeats: RateLimit::default(),
            last_failure: None,
            notices: VecDeque::new(),
            rng,
        }
    }

    /// Returns a connector for another broker, or another identity there: the failures with
    /// the old one are forgotten, but not the recent connection attempts.
    #[must_use]
    pub fn for_new_broker(self, spec: &CloudSpec, now: Now) -> Self {
        Connector {
            attempts: self.attempts,
            ..Connector::new(spec, self.rng, now)
        }
    }

    /// Takes over attempts that were made before this run of the program, with their ages.
    pub fn attempted_before(&mut self, now: Now, ages: &[Duration]) {
        for age in ages.iter().filter(|age| **age < MINUTE) {
            let age = u64::try_from(age.as_micros()).unwrap_or(u64::MAX);
            // An attempt before the beginning of our time counts as made at that beginning.
            let at = now.mono.as_micros().saturating_sub(age);
            self.attempts.note(Mono::from_micros(at));
        }
    }

    /// Returns when the next attempt may be made. The result means nothing while an attempt
    /// is under way or the connection is up.
    #[must_use]
    pub fn attempt_at(&self) -> Wake {
        let free = self.attempts.free_at(PER_MINUTE);
        if free > self.not_before {
            Wake::new(free, "connect: five attempts a minute")
        } else {
            Wake::new(self.not_before, self.why)
        }
    }

    /// Takes note that an attempt begins.
    pub fn on_attempt(&mut self, now: Now) {
        self.attempts.note(now.mono);
    }

    /// Takes note of CONNACK 0.
    pub fn on_up(&mut self, now: Now) {
        self.notices
            .push_back(CloudLogEvent::Connected { after: self.failed });
        self.failed = 0;
        self.up_since = Some(now.mono);
        self.refused.reset();
    }

    /// Takes note that the attempt failed, or the connection ended.
    pub fn on_down(&mut self, now: Now, why: &LinkDown) {
        let lasted = self.up_since.take().map(|since| now.mono.since(since));
        if *why == LinkDown::Ours {
            // We closed the connection on demand: nothing failed, and nothing follows.
            return;
        }
        if is_the_lines_fault(why) {
            self.short = 0;
            self.contested.reset();
        }
        let short = self.short;
        let wait = self.wait(now, lasted, why);
        if lasted.is_none() {
            self.failed = self.failed.saturating_add(1);
        }
        self.not_before = now.mono + wait;
        let retry_in = self.attempt_at().at.since(now.mono);
        let kind = kind(why, lasted.is_some());
        if self.last_kind.replace(kind) != Some(kind) {
            let times = self.repeats.over();
            if times > 0
                && let Some(why) = self.last_failure.take()
            {
                // A failure of another kind that is not reported yet.
                self.notices.push_back(CloudLogEvent::Disconnected {
                    why,
                    lasted: None,
                    times,
                    retry_in,
                });
            }
        }
        if lasted.is_none() {
            self.last_failure = Some(why.clone());
        }
        // A log event reports each end of a connection that was up: five attempts a minute
        // bound their number. Failed attempts are counted and summed up.
        let times = match lasted {
            Some(_) => Some(1),
            None => self.repeats.hit(now.mono, 1),
        };
        if let Some(times) = times {
            self.notices.push_back(CloudLogEvent::Disconnected {
                why: why.clone(),
                lasted,
                times,
                retry_in,
            });
        }
        // Reported when it is first suspected, and then ever more rarely: after 3, 6, 12,
        // 24 … sessions.
        let often = self.short / SUSPICIOUS;
        if self.short > short && self.short.is_multiple_of(SUSPICIOUS) && often.is_power_of_two() {
            self.notices.push_back(CloudLogEvent::TakeoverSuspected {
                sessions: self.short,
            });
        }
    }

    /// Takes note that the gateway has registered and disconnected: the next attempt
    /// follows as soon as the quota allows.
    pub fn on_registered(&mut self, now: Now) {
        self.refused.reset();
        self.not_before = now.mono;
        self.why = "connect with the secret from the registration";
    }

    /// Takes note that registering failed, or could not even be tried; returns how long
    /// until the next attempt. The caller reports the reason and what to do about it.
    pub fn on_not_registered(&mut self, now: Now, why: &EnrolmentFailure) -> Duration {
        let wait = match why {
            EnrolmentFailure::Lost(_) | EnrolmentFailure::Refused(0 | 1 | 3 | 6..) => {
                self.backoff.failed(now.mono, &mut self.rng)
            }
            // Failures that last for longer than a moment.
            EnrolmentFailure::Refused(2 | 4 | 5)
            | EnrolmentFailure::NoAnswer
            | EnrolmentFailure::Malformed(_)
            | EnrolmentFailure::NotKept(_) => self.refused.failed(now.mono, &mut self.rng),
        };
        self.why = "register again";
        self.not_before = now.mono + wait;
        self.attempt_at().at.since(now.mono)
    }

    /// Returns a random generator of its own for another part of connecting.
    pub fn fork(&mut self) -> Rng {
        self.rng.fork()
    }

    /// Returns how long to wait after a connection that `lasted`, or after an attempt that
    /// failed.
    fn wait(&mut self, now: Now, lasted: Option<Duration>, why: &LinkDown) -> Duration {
        let good = if self.short < SUSPICIOUS {
            GOOD_SESSION
        } else {
            UNCONTESTED
        };
        match (lasted, why) {
            (Some(lasted), _) if lasted >= good => {
                self.short = 0;
                self.backoff.reset();
                self.contested.reset();
                self.repeats.over();
                self.why = "connect again";
                let micros = u64::try_from(RETURN_WITHIN.as_micros()).unwrap_or(u64::MAX);
                Duration::from_micros(self.rng.below(micros))
            }
            (Some(_), LinkDown::Closed) => {
                let before = self.short as usize;
                self.short = self.short.saturating_add(1);
                if let Some(wait) = AFTER_SHORT.get(before) {
                    self.why = "connect again after a short session";
                    self.rng.jitter(*wait)
                } else {
                    self.why =
                        "connect again, later than another client with this gateway's certificate";
                    self.contested.failed(now.mono, &mut self.rng)
                }
            }
            (None, LinkDown::Refused(2 | 4 | 5)) => {
                self.why = "connect again after a refusal";
                self.refused.failed(now.mono, &mut self.rng)
            }
            _ => {
                self.why = "connect again after a failure";
                self.backoff.failed(now.mono, &mut self.rng)
            }
        }
    }

    /// Returns the next log event.
    pub fn poll(&mut self, _now: Now) -> Option<CloudLogEvent> {
        self.notices.pop_front()
    }
}

/// Returns whether another gateway with our certificate cannot be the cause.
const fn is_the_lines_fault(why: &LinkDown) -> bool {
    match why {
        LinkDown::Unreachable(_)
        | LinkDown::Tls(_)
        | LinkDown::PingTimeout
        | LinkDown::Protocol(_)
        | LinkDown::Io(_) => true,
        LinkDown::Closed | LinkDown::NoConnack | LinkDown::Refused(_) | LinkDown::Ours => false,
    }
}

/// Returns the kind of a failure; failures of one kind are reported as one.
fn kind(why: &LinkDown, was_up: bool) -> u8 {
    if was_up {
        return 0;
    }
    match why {
        LinkDown::Unreachable(_) => 1,
        LinkDown::Tls(_) => 2,
        LinkDown::NoConnack => 3,
        LinkDown::Closed => 4,
        LinkDown::PingTimeout => 5,
        LinkDown::Protocol(_) => 6,
        LinkDown::Io(_) => 7,
        LinkDown::Ours => 8,
        LinkDown::Refused(n) => 16u8.saturating_add(*n),
    }
}

//! Who we are to the broker, and when to knock.
//!
//! [`credentials`] is the CONNECT packet's identity. [`Connector`] decides when
//! the next attempt may be made and says what went wrong; it connects nothing.
//!
//! Contract: before an attempt, wait until [`Connector::attempt_at`]; tell it
//! `on_attempt`, then exactly one of `on_up` or `on_down`, and `on_down` again
//! when what was up ends; drain [`Connector::poll`] after each.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::{Backoff, LinkDown, Mono, Now, Repeats, Rng, Secret, Wake};
use crate::spec::{CloudSpec, Subscriptions, Transport};

use super::notice::Notice;
use super::pace::Attempts;
use super::sign;

/// What goes into CONNECT ("Establish MQTT connections over TCP").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// `{base}|securemode=…,signmethod=…,timestamp=…[,_ss=1]|`
    pub client_id: String,
    /// `{deviceName}&{productKey}`
    pub username: String,
    /// The signature.
    pub password: Secret,
}

/// The constant that the official C SDK (4.x) sends and signs, 2050-01-01T00:00
/// UTC+8, so that a box whose clock is unset can connect.
const TIMESTAMP: &str = "2524608000000";

/// The gateway's credentials.
#[must_use]
pub fn credentials(spec: &CloudSpec) -> Credentials {
    let pk = spec.gateway.product_key.as_str();
    let dn = spec.gateway.device_name.as_str();
    let base = format!("{pk}.{dn}");
    let securemode = match spec.broker.transport {
        Transport::Tls { .. } => 2,
        Transport::Plain => 3,
    };
    // The platform then subscribes the system topics it lists for us.
    let subscribe = match spec.broker.subscriptions {
        Subscriptions::Platform => ",_ss=1",
        Subscriptions::Broker => "",
    };
    let content = sign::device_content(&base, dn, pk, Some(TIMESTAMP));
    Credentials {
        client_id: format!(
            "{base}|securemode={securemode},signmethod={},timestamp={TIMESTAMP}{subscribe}|",
            spec.sign_method.as_str()
        ),
        username: format!("{dn}&{pk}"),
        password: Secret::new(sign::sign(spec.sign_method, &spec.gateway.secret, &content)),
    }
}

/// The platform's limit of CONNECTs in any 60 s ("Limits", 2020).
const PER_MINUTE: usize = 5;
/// A connection that lasted this long was a good one.
const GOOD_SPELL: Duration = Duration::from_secs(60);
/// After a good spell the next attempt is somewhere within this time, so that
/// a fleet of gateways does not come back in one instant.
const RETURN_WITHIN: Duration = Duration::from_secs(5);
/// Waits after other failures.
const FLOOR: Duration = Duration::from_secs(2);
const CEILING: Duration = Duration::from_secs(120);
/// Waits after a refusal that only a person can change (CONNACK 2, 4, 5).
const REFUSED_FLOOR: Duration = Duration::from_secs(30);
const REFUSED_CEILING: Duration = Duration::from_secs(600);
/// So many short sessions in a row are no accident.
const SUSPICIOUS: u32 = 3;

/// Paces attempts to connect.
#[derive(Clone, Debug)]
pub struct Connector {
    attempts: Attempts,
    backoff: Backoff,
    refused: Backoff,
    not_before: Mono,
    why: &'static str,
    up_since: Option<Mono>,
    failed: u32,
    short: u32,
    last_kind: Option<u8>,
    repeats: Repeats,
    notices: VecDeque<Notice>,
    rng: Rng,
}

impl Connector {
    /// Ready for a first attempt at once.
    #[must_use]
    pub fn new(_spec: &CloudSpec, rng: Rng, now: Now) -> Self {
        Connector {
            attempts: Attempts::default(),
            backoff: Backoff::new(FLOOR, CEILING),
            refused: Backoff::new(REFUSED_FLOOR, REFUSED_CEILING),
            not_before: now.mono,
            why: "connect",
            up_since: None,
            failed: 0,
            short: 0,
            last_kind: None,
            repeats: Repeats::default(),
            notices: VecDeque::new(),
            rng,
        }
    }

    /// When the next attempt may be made. Means nothing while one is being made
    /// or the connection is up.
    #[must_use]
    pub fn attempt_at(&self) -> Wake {
        let free = self.attempts.free_at(PER_MINUTE);
        if free > self.not_before {
            Wake::new(free, "connect: five attempts a minute")
        } else {
            Wake::new(self.not_before, self.why)
        }
    }

    /// An attempt begins.
    pub fn on_attempt(&mut self, now: Now) {
        self.attempts.note(now.mono);
    }

    /// CONNACK 0.
    pub fn on_up(&mut self, now: Now) {
        self.notices
            .push_back(Notice::Connected { after: self.failed });
        self.failed = 0;
        self.up_since = Some(now.mono);
        self.refused.reset();
    }

    /// The attempt failed, or the connection ended.
    pub fn on_down(&mut self, now: Now, why: &LinkDown) {
        let lasted = self.up_since.take().map(|since| now.mono.since(since));
        if *why == LinkDown::Ours {
            // As told: nothing failed, and nothing follows.
            return;
        }
        let wait = match (lasted, why) {
            (Some(lasted), _) if lasted >= GOOD_SPELL => {
                self.short = 0;
                self.backoff.reset();
                self.repeats.over();
                self.why = "connect again";
                let micros = u64::try_from(RETURN_WITHIN.as_micros()).unwrap_or(u64::MAX);
                Duration::from_micros(self.rng.below(micros))
            }
            (None, LinkDown::Refused(2 | 4 | 5)) => {
                self.why = "connect again after a refusal";
                self.refused.failed(now.mono, &mut self.rng)
            }
            (lasted, _) => {
                self.why = "connect again after a failure";
                // Takeover by a twin looks like this from here: MQTT 3.1.1 has
                // no word for it.
                if lasted.is_some() {
                    self.short += 1;
                }
                self.backoff.failed(now.mono, &mut self.rng)
            }
        };
        if lasted.is_none() {
            self.failed = self.failed.saturating_add(1);
        }
        self.not_before = now.mono + wait;
        let retry_in = self.attempt_at().at.since(now.mono);
        let kind = kind(why, lasted.is_some());
        if self.last_kind.replace(kind) != Some(kind) {
            self.repeats.over();
        }
        // A connection that was up and ended is always told: five attempts a
        // minute bound that. Failed attempts are counted and summed up.
        let times = match lasted {
            Some(_) => Some(1),
            None => self.repeats.hit(now.mono, 1),
        };
        if let Some(times) = times {
            self.notices.push_back(Notice::Disconnected {
                why: why.clone(),
                lasted,
                times,
                retry_in,
            });
        }
        if lasted.is_some() && self.short >= SUSPICIOUS && self.short.is_multiple_of(SUSPICIOUS) {
            self.notices.push_back(Notice::KickedSuspected {
                sessions: self.short,
            });
        }
    }

    /// The next thing to tell the operator.
    pub fn poll(&mut self, _now: Now) -> Option<Notice> {
        self.notices.pop_front()
    }
}

/// Failures of one kind are told as one.
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

//! How a gateway that has only its product's secret gets a secret of its own: dynamic
//! registration over MQTT, once in its life ("MQTT-based dynamic registration").
//!
//! [`Enrolment`] says what the next CONNECT is for ([`Enrolment::next`]) and follows a
//! registration through.
//!
//! Contract: ask [`Enrolment::next`]; for [`EnrolmentStep::Connect`] the rest of this engine is not
//! needed. For [`EnrolmentStep::Register`], in this order: `on_attempt`, which gives the
//! credentials; then `on_up` at CONNACK 0, `on_message` for what arrives, and `on_down` when the
//! connection is over, whichever side ended it. Drain [`Enrolment::poll`] after each.
//! [`Output::StoreSecret`] asks for [`Enrolment::on_kept`], once the identity is on disk or could
//! not be put there; for [`EnrolmentStep::StoreSecret`], store what it holds and answer in the same
//! way, without connecting. Wake the engine by [`Enrolment::wake_at`].
//!
//! Invariants:
//! - An identity that was issued is kept before the connection is left, and before it is
//!   ever used: a device that never connected may register again, a device that did connect
//!   may not (error 6289).
//! - No registration is made once an identity was issued, kept or not.
//! - Each registration ends in exactly one of [`Output::Done`] and [`Output::Failed`].

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::Value as Json;

use crate::base::{LinkDown, Mono, Now, RateLimit, Rng, Secret, Wake};
use crate::spec::{CloudSpec, GatewayCertificate, ProductCertificate, Registration};

use super::identity::{
    Credentials, IssuedCredential, SecureMode, credentials, issued_credentials,
    registration_credentials,
};
use crate::cloud::alink::events::messages::link_words;

/// The platform closes a connection for registration 15 s after it was opened.
const PLATFORM_TIME_LIMIT: Duration = Duration::from_secs(15);

/// The two topics on which the answer may come: the page names the first for both ways, the
/// SDKs listen on the second for the way without a name.
const TOPICS: [&str; 2] = ["/ext/register", "/ext/regnwl"];

/// What the next step is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnrolmentStep {
    /// Connect, with the gateway's own identity.
    Connect(Credentials),
    /// Connect in order to register.
    Register,
    /// Try again to store what was issued; until then the gateway has no identity to
    /// connect with.
    StoreSecret(IssuedCredential),
}

/// What a registration leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Store this, and report the result.
    StoreSecret(IssuedCredential),
    /// Leave the connection.
    Disconnect,
    /// The registration is over, and the result of [`Enrolment::next`] is now to connect.
    Done,
    /// How often another failure, which is over, has happened since it was last reported.
    Before {
        /// The other failure.
        why: EnrolmentFailure,
        /// At least once.
        times: u64,
    },
    /// The registration is over for this time.
    Failed {
        /// The failure.
        why: EnrolmentFailure,
        /// How often since the failure was last reported; `None` if it need not be reported
        /// now.
        times: Option<u64>,
    },
}

/// Why no identity was issued, or could not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnrolmentFailure {
    /// CONNACK with this code.
    #[error("{}", refusal(*.0))]
    Refused(u8),
    /// Accepted, but no answer came in time.
    #[error("accepted, but no secret came within {} s", PLATFORM_TIME_LIMIT.as_secs())]
    NoAnswer,
    /// The connection ended before an answer came.
    #[error("{}", link_words(.0))]
    Lost(LinkDown),
    /// The answer could not be read, or is for another device.
    #[error("the platform's answer cannot be used: {0}")]
    Malformed(String),
    /// The identity could not be stored.
    #[error("it cannot be stored: {0}")]
    NotKept(String),
}

/// Returns what a CONNACK code means to a gateway that registers.
fn refusal(code: u8) -> String {
    match code {
        2 => "refused, code 2: the request is not understood there; is dynamic registration switched on for the product, and instance_id right?".into(),
        3 => "refused, code 3: platform unavailable, or too many connections".into(),
        4 => "refused, code 4: is product_secret right, dynamic registration switched on, the device_name registered in the console? One that has been online before is refused as well: reset it there, or restore what it was given".into(),
        5 => "refused, code 5: not authorised; is the product of this instance and region?".into(),
        n => format!("refused, code {n}"),
    }
}

/// The state of a registration.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// No registration is under way.
    Idle,
    /// CONNECT is being sent.
    Asked,
    /// CONNACK 0 came; an answer is due.
    Waiting { until: Mono },
    /// The answer came and is being stored.
    Keeping,
    /// The registration is over; only the connection is still to end.
    Leaving,
}

/// Obtains the gateway's identity.
#[derive(Clone, Debug)]
pub struct Enrolment {
    cloud: CloudSpec,
    issued: Option<IssuedCredential>,
    /// Whether the identity is stored.
    kept: bool,
    mode: SecureMode,
    state: State,
    repeats: RateLimit,
    last: Option<EnrolmentFailure>,
    outputs: VecDeque<Output>,
    rng: Rng,
}

impl Enrolment {
    /// Returns the enrolment of the gateway of `cloud`; `kept` is the identity that an
    /// earlier run obtained and stored, if any.
    #[must_use]
    pub fn new(cloud: &CloudSpec, kept: Option<IssuedCredential>, rng: Rng) -> Self {
        Enrolment {
            cloud: cloud.clone(),
            kept: kept.is_some(),
            issued: kept,
            mode: SecureMode::Minus2,
            state: State::Idle,
            repeats: RateLimit::default(),
            last: None,
            outputs: VecDeque::new(),
            rng,
        }
    }

    /// Returns what the next attempt is for.
    #[must_use]
    pub fn next(&self) -> EnrolmentStep {
        match (&self.cloud.gateway.certificate, &self.issued) {
            (GatewayCertificate::Device(secret), _) => {
                EnrolmentStep::Connect(credentials(&self.cloud, secret))
            }
            (GatewayCertificate::Product(_), None) => EnrolmentStep::Register,
            (GatewayCertificate::Product(_), Some(issued)) if self.kept => {
                EnrolmentStep::Connect(issued_credentials(&self.cloud, issued))
            }
            (GatewayCertificate::Product(_), Some(issued)) => {
                EnrolmentStep::StoreSecret(issued.clone())
            }
        }
    }

    /// Returns whether the identity shown in CONNECT was issued by registration.
    #[must_use]
    pub const fn is_issued(&self) -> bool {
        matches!(
            self.cloud.gateway.certificate,
            GatewayCertificate::Product(_)
        ) && self.kept
    }

    /// Begins a registration and returns its credentials, with a number of its own. `None`
    /// if there is nothing to register.
    pub fn on_attempt(&mut self, _now: Now) -> Option<Credentials> {
        let product = self.product()?.clone();
        self.state = State::Asked;
        // 6 digits, as the examples have it.
        let random = 100_000 + u32::try_from(self.rng.below(900_000)).unwrap_or(0);
        Some(registration_credentials(
            &self.cloud,
            &product,
            self.mode,
            random,
        ))
    }

    /// Takes note of CONNACK 0.
    pub fn on_up(&mut self, now: Now) {
        if self.state == State::Asked {
            let until = now.mono + PLATFORM_TIME_LIMIT;
            self.state = State::Waiting { until };
        }
    }

    /// Takes a message that arrived. A message on another topic means nothing here, nor
    /// does a message that comes when none is due.
    pub fn on_message(&mut self, now: Now, topic: &str, payload: &[u8]) {
        if !matches!(self.state, State::Waiting { .. }) || !TOPICS.contains(&topic) {
            return;
        }
        match self.read(payload) {
            Ok(issued) => {
                self.issued = Some(issued.clone());
                self.state = State::Keeping;
                self.outputs.push_back(Output::StoreSecret(issued));
            }
            Err(why) => {
                self.fail(now, EnrolmentFailure::Malformed(why));
                self.outputs.push_back(Output::Disconnect);
            }
        }
    }

    /// Takes note whether the identity that was handed out is stored.
    pub fn on_kept(&mut self, now: Now, stored: Result<(), String>) {
        let connected = self.state == State::Keeping;
        match stored {
            Ok(()) => {
                self.kept = self.issued.is_some();
                self.repeats.over();
                self.last = None;
                self.outputs.push_back(Output::Done);
            }
            Err(why) => self.fail(now, EnrolmentFailure::NotKept(why)),
        }
        self.state = if connected {
            self.outputs.push_back(Output::Disconnect);
            State::Leaving
        } else {
            State::Idle
        };
    }

    /// Takes over an identity that an earlier run obtained and that was found late; nothing
    /// is requested then. Ignored if an identity was issued since.
    pub fn on_found(&mut self, issued: IssuedCredential) {
        if self.issued.is_none() {
            self.issued = Some(issued);
            self.kept = true;
        }
    }

    /// Takes note that the identity to be issued could not be kept, so registering is of no
    /// use.
    pub fn on_storage_failed(&mut self, now: Now, why: String) {
        self.fail(now, EnrolmentFailure::NotKept(why));
        self.state = State::Idle;
    }

    /// Takes note that the attempt failed, or the connection is over.
    pub fn on_down(&mut self, now: Now, why: &LinkDown) {
        let was = std::mem::replace(&mut self.state, State::Idle);
        match was {
            State::Idle | State::Leaving => {}
            _ if *why == LinkDown::Ours => {}
            State::Asked | State::Waiting { .. } | State::Keeping => {
                if let LinkDown::Refused(code) = *why {
                    self.try_the_other_mode();
                    self.fail(now, EnrolmentFailure::Refused(code));
                } else {
                    self.fail(now, EnrolmentFailure::Lost(why.clone()));
                }
                self.state = State::Idle;
            }
        }
    }

    /// Returns the next thing to do.
    pub fn poll(&mut self, now: Now) -> Option<Output> {
        if let State::Waiting { until } = self.state
            && now.mono >= until
        {
            self.fail(now, EnrolmentFailure::NoAnswer);
            self.outputs.push_back(Output::Disconnect);
        }
        self.outputs.pop_front()
    }

    /// Returns when to poll again if nothing happens before.
    #[must_use]
    pub const fn wake_at(&self) -> Option<Wake> {
        match self.state {
            State::Waiting { until } => Some(Wake::new(until, "an answer to registration")),
            State::Idle | State::Asked | State::Keeping | State::Leaving => None,
        }
    }

    const fn product(&self) -> Option<&ProductCertificate> {
        match &self.cloud.gateway.certificate {
            GatewayCertificate::Product(product) => Some(product),
            GatewayCertificate::Device(_) => None,
        }
    }

    /// Switches to the other mode after a refusal, because it is not known which of the two
    /// the platform wants.
    fn try_the_other_mode(&mut self) {
        let nwl = self
            .product()
            .is_some_and(|p| p.registration == Registration::RegNwl);
        if nwl {
            self.mode = match self.mode {
                SecureMode::Minus2 => SecureMode::Two,
                SecureMode::Two => SecureMode::Minus2,
            };
        }
    }

    fn fail(&mut self, now: Now, why: EnrolmentFailure) {
        self.state = State::Leaving;
        if self.last.as_ref() != Some(&why) {
            let times = self.repeats.over();
            if let Some(why) = self.last.replace(why.clone()).filter(|_| times > 0) {
                self.outputs.push_back(Output::Before { why, times });
            }
        }
        let times = self.repeats.hit(now.mono, 1);
        self.outputs.push_back(Output::Failed { why, times });
    }

    /// Reads `{"productKey","deviceName","deviceSecret"}`, or `clientId` and `deviceToken`
    /// in place of the secret. An error says what is wrong without repeating any of the
    /// content.
    fn read(&self, payload: &[u8]) -> Result<IssuedCredential, String> {
        let body: Json = serde_json::from_slice(payload).map_err(|_| "it is not JSON")?;
        let text = |key: &str| {
            let text = body.get(key)?.as_str()?;
            (!text.is_empty()).then_some(text)
        };
        let gateway = &self.cloud.gateway;
        for (key, ours) in [
            ("productKey", gateway.product_key.as_str()),
            ("deviceName", gateway.device_name.as_str()),
        ] {
            match text(key) {
                Some(theirs) if theirs == ours => {}
                Some(theirs) => {
                    return Err(format!(
                        "its {key} is {:.64}, not this gateway's",
                        theirs.escape_debug()
                    ));
                }
                None => return Err(format!("it has no {key}")),
            }
        }
        if let Some(secret) = text("deviceSecret") {
            return Ok(IssuedCredential::Secret(Secret::new(secret)));
        }
        match (text("clientId"), text("deviceToken")) {
            // `|` delimits the extensions that follow the client id in CONNECT.
            (Some(client_id), Some(_)) if client_id.contains('|') => {
                Err("its clientId contains a vertical bar".into())
            }
            (Some(client_id), Some(token)) => Ok(IssuedCredential::Token {
                client_id: client_id.to_owned(),
                token: Secret::new(token),
            }),
            _ => Err("it has neither deviceSecret nor clientId and deviceToken".into()),
        }
    }
}

#[cfg(test)]
mod tests;

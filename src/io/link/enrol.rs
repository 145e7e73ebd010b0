//! Registers the gateway: a connection for one question and one answer, of which only the link
//! knows. What the answer means is decided in [`crate::cloud::enrolment`];
//! the decision is carried out here.

use tokio::time::sleep_until;

use super::{Link, LinkLogEvent, open, unless_ended};
use crate::base::LinkDown;
use crate::cloud::enrolment::{Enrolment, EnrolmentFailure, Output};
use crate::cloud::identity::{Credentials, IssuedCredential};
use crate::io::link::Dialer;
use crate::io::store::secret_store::SecretStore;
use crate::io::system::clock::Clock;
use crate::spec::CloudSpec;

impl Link {
    /// Registers the gateway; `Err` if that failed, or the link shall end.
    pub(super) async fn register(&mut self) -> Result<(), LinkDown> {
        let secret_store = match self.usable_secret_store().await? {
            Ok(secret_store) => secret_store,
            Err(why) => {
                self.enrolment.on_storage_failed(self.clock.now(), why);
                return self.conclude(Vec::new());
            }
        };
        let gateway = &self.spec.cloud.gateway;
        if let Some(issued) = secret_store.gateway(&gateway.product_key, &gateway.device_name) {
            // The secret store could not be read when the link began.
            self.enrolment.on_found(issued);
            return Ok(());
        }
        let now = self.clock.now();
        let Some(credentials) = self.enrolment.on_attempt(now) else {
            return Ok(());
        };
        self.ends.next_attempt();
        self.note_attempt().await;
        self.journal.tell(&LinkLogEvent::Registering);
        let session = EnrolmentSession {
            enrolment: &mut self.enrolment,
            secret_store: &secret_store,
            dialer: &self.dialer,
            cloud: &self.spec.cloud,
            clock: &self.clock,
        };
        let outcome = session.run(credentials);
        let outputs = unless_ended(&mut self.ends, &self.heartbeat, outcome).await;
        self.conclude(outputs.ok_or(LinkDown::Ours)?)
    }

    /// Stores issued credentials that could not be stored before.
    pub(super) async fn keep(&mut self, issued: IssuedCredential) -> Result<(), LinkDown> {
        let stored = match self.usable_secret_store().await? {
            Ok(secret_store) => {
                let storing = store(&secret_store, &self.spec.cloud, issued);
                let stored = unless_ended(&mut self.ends, &self.heartbeat, storing).await;
                stored.ok_or(LinkDown::Ours)?
            }
            Err(why) => Err(why),
        };
        self.enrolment.on_kept(self.clock.now(), stored);
        self.conclude(Vec::new())
    }

    /// Returns a secret store in which something can be kept, or why there is none.
    async fn usable_secret_store(&mut self) -> Result<Result<SecretStore, String>, LinkDown> {
        let Some(secret_store) = self.secret_store.clone() else {
            return Ok(Err("there is no state directory for it".into()));
        };
        let probed = unless_ended(&mut self.ends, &self.heartbeat, secret_store.probe()).await;
        Ok(match probed.ok_or(LinkDown::Ours)? {
            Ok(()) => Ok(secret_store),
            Err(why) => Err(why.to_string()),
        })
    }

    /// Carries out the outputs of the registration.
    fn conclude(&mut self, mut outputs: Vec<Output>) -> Result<(), LinkDown> {
        let now = self.clock.now();
        outputs.extend(std::iter::from_fn(|| self.enrolment.poll(now)));
        let mut before = None;
        for output in outputs {
            match output {
                Output::Done => {
                    self.connector.on_registered(now);
                    let file = self
                        .secret_store
                        .as_ref()
                        .map(SecretStore::shown_path)
                        .unwrap_or_default();
                    self.journal.tell(&LinkLogEvent::Registered { file });
                    return Ok(());
                }
                Output::Failed { why, times } => {
                    let retry_in = self.connector.on_not_registered(now, &why);
                    let down = down(&why);
                    if let Some((why, times)) = before {
                        self.journal.tell(&LinkLogEvent::RegistrationFailed {
                            why,
                            times,
                            retry_in,
                        });
                    }
                    if let Some(times) = times {
                        self.journal.tell(&LinkLogEvent::RegistrationFailed {
                            why,
                            times,
                            retry_in,
                        });
                    }
                    return Err(down);
                }
                Output::Before { why, times } => before = Some((why, times)),
                // Done already, while there was a connection.
                Output::StoreSecret(_) | Output::Disconnect => {}
            }
        }
        Ok(())
    }
}

/// The state that one registration needs while it lasts.
struct EnrolmentSession<'a> {
    enrolment: &'a mut Enrolment,
    secret_store: &'a SecretStore,
    dialer: &'a Dialer,
    cloud: &'a CloudSpec,
    clock: &'a Clock,
}

impl EnrolmentSession<'_> {
    /// Connects, waits for the answer, stores it, disconnects; returns the outputs that are
    /// left to carry out.
    async fn run(self, credentials: Credentials) -> Vec<Output> {
        let EnrolmentSession {
            enrolment,
            secret_store,
            dialer,
            cloud,
            clock,
        } = self;
        let mut outputs = Vec::new();
        let mut session = match open(dialer, cloud, credentials, clock).await {
            Ok((session, _)) => session,
            Err(down) => {
                enrolment.on_down(clock.now(), &down);
                return outputs;
            }
        };
        enrolment.on_up(clock.now());
        loop {
            while let Some(output) = enrolment.poll(clock.now()) {
                match output {
                    Output::StoreSecret(issued) => {
                        let stored = store(secret_store, cloud, issued).await;
                        enrolment.on_kept(clock.now(), stored);
                    }
                    Output::Disconnect => {
                        session.disconnect(clock).await;
                        enrolment.on_down(clock.now(), &LinkDown::Ours);
                        return outputs;
                    }
                    Output::Done | Output::Before { .. } | Output::Failed { .. } => {
                        outputs.push(output);
                    }
                }
            }
            let wake = enrolment.wake_at().map(|wake| clock.instant(wake.at));
            let due = async {
                match wake {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                message = session.next_message(clock) => match message {
                    Ok((topic, payload)) => enrolment.on_message(clock.now(), &topic, &payload),
                    Err(down) => {
                        enrolment.on_down(clock.now(), &down);
                        return outputs;
                    }
                },
                () = due => {}
            }
        }
    }
}

async fn store(
    secret_store: &SecretStore,
    cloud: &CloudSpec,
    issued: IssuedCredential,
) -> Result<(), String> {
    let gateway = &cloud.gateway;
    let (product, name) = (gateway.product_key.clone(), gateway.device_name.clone());
    let stored = secret_store.keep_gateway(product, name, issued).await;
    stored.map_err(|why| why.to_string())
}

/// Returns the failure as the error of a link that did not come up.
fn down(why: &EnrolmentFailure) -> LinkDown {
    match why {
        EnrolmentFailure::Refused(code) => LinkDown::Refused(*code),
        EnrolmentFailure::Lost(down) => down.clone(),
        EnrolmentFailure::NoAnswer | EnrolmentFailure::Malformed(_) => {
            LinkDown::Protocol(why.to_string())
        }
        EnrolmentFailure::NotKept(_) => LinkDown::Io(why.to_string()),
    }
}

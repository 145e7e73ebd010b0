//! Keeps the connection to the platform: one task, one connection at a time, each thrown away
//! at its first error.
//!
//! **Decides** nothing about devices: it carries [`crate::base::LinkCommand`]s out and
//! [`LinkEvent`]s in. When to try next is asked of [`crate::cloud::Connector`], with which
//! identity of [`crate::cloud::enrolment`]. What a message means is
//! decided elsewhere, except for the answer to a registration (`enrol.rs`). **Refuses to know**
//! JSON, topics, sub-devices, retries of a message.
//!
//! Contract: [`channel::pair`] makes both ends, [`run`] lives on one of them until told to end
//! (by `Disconnect`, by the stop token, or because the other end is gone).
//!
//! Invariants:
//! - Each attempt ends in exactly one `Down`; `Up` comes at most once, before it.
//! - A command is sent on the connection it was meant for, or dropped and counted
//!   ([`channel`]).
//! - Nothing blocks for ever: resolving, connecting, TLS and CONNACK share `connect_timeout`; a
//!   stalled write ends after 20 s, an unanswered ping after two more; closing the connection
//!   takes 2 s at most.
//! - Reading never waits for writing, and writing never for reading, so two full buffers cannot
//!   block each other.
//! - Memory is bounded, whatever the broker sends: 256 KiB per packet either way (the
//!   platform's limit of a message), 256 messages and 1 MiB between link and hub each way;
//!   commands are left in their channel while 64 KiB wait to be written, and a broker that
//!   causes acknowledgements and takes nothing is given up when 384 KiB wait.
//! - Reading is bounded: 2,048 packets of 512 bytes a second, 4 s of that at once
//!   (`input_limit.rs`); the rest stays in the network. The kind of a packet does not matter. A
//!   broker that sends more than that for 30 s is given up.
//! - The watchdog's heartbeat beats at each turn of a loop, at least every 3 s, and not while
//!   an event waits for the hub.
//!
//! # Why not rumqttc's `EventLoop`
//!
//! rumqttc is here for its MQTT 3.1.1 codec (`mqttbytes::v4`). Its event loop drops queued
//! messages silently when a session ends, reports messages as sent before they are written,
//! reads nothing while a flush is stuck, notices a dead peer only after up to two keepalives
//! (10 min at the platform's 300 s), opens its own sockets (no TCP_USER_TIMEOUT, one budget for
//! all addresses), and its TLS features pull a certificate library with open advisories. The
//! connection here is four hundred lines, runs on a pipe under virtual time, and uses the
//! current rustls.
//!
//! Its `MqttState` is not used either. The gateway publishes at QoS 0 only, so the state that
//! `MqttState` keeps (windows of QoS 1 and 2) is empty, and its checks are not wanted here: an
//! acknowledgement of nothing that was sent is an error there and would log out two thousand
//! devices, and *one* unanswered ping is already too many. What remains is a packet id and a
//! PUBACK (`mqtt_session.rs`).

pub mod channel;
pub(crate) mod connection_history;
mod dial;
mod enrol;
pub mod events;
mod input_limit;
mod mqtt_session;
mod packet;
mod session;

pub(in crate::io) mod tls;

use std::sync::Arc;
use std::time::Duration;

use rumqttc::mqttbytes::v4::Connect;
use tokio::sync::watch;
use tokio::task::coop::unconstrained;
use tokio::time::timeout_at;

pub use channel::{HubEnd, Incoming, LinkEnd, Outgoing, pair};
pub use connection_history::ConnectionHistory;
pub use events::LinkLogEvent;

use crate::base::{LinkDown, LinkEvent, Mono};
use crate::cloud::Connector;
use crate::cloud::enrolment::{Enrolment, EnrolmentStep};
use crate::cloud::identity::Credentials;
use crate::io::log::Journal;
use crate::io::store::secret_store::SecretStore;
use crate::io::system::clock::Clock;
use crate::io::system::heartbeat::Heartbeat;
use crate::spec::{CloudSpec, Spec};
pub use dial::Dialer;
use dial::Stream;
use session::MqttConnection;

/// The longest pause of a waiting loop, so that the watchdog sees that it lives.
const MAX_IDLE: Duration = Duration::from_secs(3);

/// Keeps a connection to the platform until told to end: waits as `connector` says, tries, sends,
/// reports. Returns the connector, so that the next link knows how often this one has tried to
/// connect. For a gateway with a certificate of its own; see [`Link::with_secret_store`] for
/// others.
pub async fn run(
    spec: Arc<Spec>,
    dialer: Dialer,
    connector: Connector,
    ends: LinkEnd,
    clock: Clock,
    journal: Journal,
    heartbeat: Heartbeat,
) -> Connector {
    let link = Link::new(spec, dialer, connector, ends, clock, journal, heartbeat);
    link.run().await
}

/// The link, before it runs.
pub struct Link {
    spec: Arc<Spec>,
    dialer: Dialer,
    connector: Connector,
    enrolment: Enrolment,
    secret_store: Option<SecretStore>,
    history: Option<ConnectionHistory>,
    next_attempt: Option<watch::Sender<Option<Mono>>>,
    ends: LinkEnd,
    clock: Clock,
    journal: Journal,
    heartbeat: Heartbeat,
    /// The last notice about the system's roots, so that it is not repeated at each attempt.
    roots_told: Option<LinkLogEvent>,
    /// Whether it has been reported that the issued credentials are refused.
    issued_refused: bool,
}

impl Link {
    /// Makes a link with the arguments of [`run`].
    #[must_use]
    pub fn new(
        spec: Arc<Spec>,
        dialer: Dialer,
        mut connector: Connector,
        ends: LinkEnd,
        clock: Clock,
        journal: Journal,
        heartbeat: Heartbeat,
    ) -> Self {
        let enrolment = Enrolment::new(&spec.cloud, None, connector.fork());
        Link {
            spec,
            dialer,
            connector,
            enrolment,
            secret_store: None,
            history: None,
            next_attempt: None,
            ends,
            clock,
            journal,
            heartbeat,
            roots_told: None,
            issued_refused: false,
        }
    }

    /// Lets a gateway that has only its product's certificate keep in `secret_store` the secret it
    /// is given in exchange, and find it there.
    #[must_use]
    pub fn with_secret_store(mut self, secret_store: SecretStore) -> Self {
        let gateway = &self.spec.cloud.gateway;
        let kept = secret_store.gateway(&gateway.product_key, &gateway.device_name);
        self.enrolment = Enrolment::new(&self.spec.cloud, kept, self.connector.fork());
        self.secret_store = Some(secret_store);
        self
    }

    /// Notes each attempt in `history`, for the next process of the service.
    #[must_use]
    pub fn noting(self, history: Option<ConnectionHistory>) -> Self {
        Link { history, ..self }
    }

    /// Announces when the next attempt is, while there is no connection.
    #[must_use]
    pub fn announcing(self, next_attempt: watch::Sender<Option<Mono>>) -> Self {
        Link {
            next_attempt: Some(next_attempt),
            ..self
        }
    }

    /// Runs until told to end; returns the connector.
    pub async fn run(mut self) -> Connector {
        while self.wait().await {
            let down = match self.enrolment.next() {
                EnrolmentStep::Connect(credentials) => self.connect(credentials).await,
                EnrolmentStep::Register => match self.register().await {
                    Ok(()) => continue,
                    Err(down) => down,
                },
                EnrolmentStep::StoreSecret(issued) => match self.keep(issued).await {
                    Ok(()) => continue,
                    Err(down) => down,
                },
            };
            let dropped = self.ends.take_dropped();
            if dropped > 0 {
                self.journal
                    .tell(&LinkLogEvent::Dropped { commands: dropped });
            }
            if down == LinkDown::Ours {
                self.ends.tell_last(LinkEvent::Down(down)).await;
                break;
            }
            if !self.ends.tell(LinkEvent::Down(down)).await {
                break;
            }
        }
        self.connector
    }

    /// Makes one attempt to connect and reports it to the hub and the operator.
    async fn connect(&mut self, credentials: Credentials) -> LinkDown {
        self.ends.next_attempt();
        self.note_attempt().await;
        self.tell_notices();
        let down = self.attempt(credentials).await;
        self.connector.on_down(self.clock.now(), &down);
        self.tell_notices();
        if down == LinkDown::Refused(4) && self.enrolment.is_issued() && !self.issued_refused {
            self.issued_refused = true;
            let file = self
                .secret_store
                .as_ref()
                .map(SecretStore::shown_path)
                .unwrap_or_default();
            self.journal
                .tell(&LinkLogEvent::IssuedCredentialRefused { file });
        }
        down
    }

    /// Notes that an attempt begins.
    async fn note_attempt(&mut self) {
        self.connector.on_attempt(self.clock.now());
        if let Some(history) = self.history.clone() {
            // Noted before the attempt is made: it may be the last thing this process does.
            let _ = tokio::task::spawn_blocking(move || history.note()).await;
        }
    }

    /// Waits for the next attempt; returns false if there shall be none.
    async fn wait(&mut self) -> bool {
        let next = self.connector.attempt_at().at;
        self.announce(Some(next));
        let due = tokio::time::sleep_until(self.clock.instant(next));
        let is_due = unless_ended(&mut self.ends, &self.heartbeat, due).await;
        self.announce(None);
        is_due.is_some()
    }

    fn announce(&self, next: Option<Mono>) {
        if let Some(next_attempt) = &self.next_attempt {
            next_attempt.send_replace(next);
        }
    }

    /// Makes one attempt, and runs the connection until its end if the attempt succeeds.
    async fn attempt(&mut self, credentials: Credentials) -> LinkDown {
        let opening = open(&self.dialer, &self.spec.cloud, credentials, &self.clock);
        let opened = unless_ended(&mut self.ends, &self.heartbeat, opening).await;
        let (session, notice) = match opened {
            None => return LinkDown::Ours,
            Some(Err(down)) => return down,
            Some(Ok(opened)) => opened,
        };
        if notice != self.roots_told {
            if let Some(notice) = &notice {
                self.journal.tell(notice);
            }
            self.roots_told = notice;
        }
        self.connector.on_up(self.clock.now());
        self.issued_refused = false;
        self.tell_notices();
        if !self.ends.tell(LinkEvent::Up).await {
            // `live` closes the connection properly: it will see the same stop.
            tracing::debug!("told to end between CONNACK and the first message");
        }
        session
            .live(&mut self.ends, &self.clock, &self.journal, &self.heartbeat)
            .await
    }

    fn tell_notices(&mut self) {
        let now = self.clock.now();
        while let Some(notice) = self.connector.poll(now) {
            self.journal.tell(&notice);
        }
    }
}

/// Opens one connection within the broker's `connect_timeout`.
async fn open(
    dialer: &Dialer,
    cloud: &CloudSpec,
    credentials: Credentials,
    clock: &Clock,
) -> Result<(MqttConnection<Stream>, Option<LinkLogEvent>), LinkDown> {
    let broker = &cloud.broker;
    let deadline = clock.instant(clock.now().mono + broker.connect_timeout);
    let (stream, notice) = dialer.dial(broker, clock, deadline).await?;
    let connect = connect(cloud, credentials);
    match timeout_at(deadline, MqttConnection::open(stream, connect, clock)).await {
        Ok(session) => Ok((session?, notice)),
        Err(_) => Err(LinkDown::NoConnack),
    }
}

/// Makes the CONNECT packet: a clean session, because the platform keeps nothing of the old one
/// that is wanted back, and no will, which the platform does not support ("Establish MQTT
/// connections over TCP").
fn connect(cloud: &CloudSpec, credentials: Credentials) -> Connect {
    let mut connect = Connect::new(credentials.client_id);
    // The configuration allows 30–1200 s.
    connect.keep_alive = u16::try_from(cloud.broker.keepalive.as_secs()).unwrap_or(u16::MAX);
    connect.set_login(credentials.username, credentials.password.expose());
    connect
}

/// Waits for `work` while there is no connection; `None` if the link shall end
/// first.
async fn unless_ended<F: Future>(
    ends: &mut LinkEnd,
    heartbeat: &Heartbeat,
    work: F,
) -> Option<F::Output> {
    let stop = ends.stop();
    tokio::pin!(work);
    loop {
        heartbeat.beat();
        tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            () = ends.until_end() => return None,
            done = &mut work => return Some(done),
            // Work that is always ready must not keep the heartbeat from being seen.
            () = unconstrained(tokio::time::sleep(MAX_IDLE)) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::base::LinkCommand;

    #[tokio::test(start_paused = true)]
    async fn waiting_shows_life_and_ends_when_told() {
        let stop = CancellationToken::new();
        let (wire, mut ends) = pair(8, stop.clone());
        let heartbeat = Heartbeat::new("link");
        let watched = heartbeat.clone();
        let waiting =
            tokio::spawn(async move { unless_ended(&mut ends, &heartbeat, pending::<()>()).await });
        tokio::time::sleep(MAX_IDLE * 100).await;
        assert!(watched.steps() >= 99);
        assert!(!waiting.is_finished());
        wire.outgoing.try_send(LinkCommand::Disconnect).unwrap();
        assert_eq!(waiting.await.unwrap(), None);

        let (_wire, mut ends) = pair(8, stop.clone());
        let done = unless_ended(&mut ends, &watched, ready(7)).await;
        assert_eq!(done, Some(7));
        stop.cancel();
        let done = unless_ended(&mut ends, &watched, ready(7)).await;
        assert_eq!(done, None, "stop comes before work that is done");
    }

    #[tokio::test(start_paused = true)]
    async fn a_hub_that_is_gone_ends_the_link() {
        let (wire, mut ends) = pair(8, CancellationToken::new());
        drop(wire);
        let waited = unless_ended(&mut ends, &Heartbeat::new("link"), pending::<()>()).await;
        assert_eq!(waited, None);
    }
}

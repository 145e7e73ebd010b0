//! The entry points for people: the control socket, and metrics over HTTP.
//!
//! They are no part of the installation: polling and log-ins are not affected when they are
//! opened elsewhere. An entry point that cannot be opened (its address is taken, its
//! directory is not there yet) is tried again until it can.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::app::supervisor::{RunningTask, Supervisor};
use crate::base::{Backoff, EventKind, LogEvent, Mono, Rng};
use crate::io::control;
use crate::io::control::events::ControlEvent;
use crate::io::control::{ConfigurationInForce, QuestionSender, Socket, http};
use crate::io::log::{Journal, log_level};
use crate::io::system::clock::Clock;
use crate::spec::{ControlSpec, LocalWrite};

/// The first wait after which an entry point that could not be opened is tried again; the
/// waits double.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest of these waits.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The entry points that are open.
pub(super) struct AdminEndpoints {
    clock: Clock,
    journal: Journal,
    /// Ends every entry point, with the service.
    end: CancellationToken,
    spec: ControlSpec,
    /// Who may give commands.
    write: watch::Sender<LocalWrite>,
    /// The configuration in force.
    in_force: watch::Sender<Option<ConfigurationInForce>>,
    /// Where the clients' questions go; `None` until the service is open to people.
    questions: Option<QuestionSender>,
    socket: Option<(PathBuf, RunningTask)>,
    /// The socket at its former path: the client that asked for the move gets its answer
    /// there.
    left: Option<RunningTask>,
    metrics: Option<(SocketAddr, RunningTask)>,
    /// The entry points that shall be open and are not, as the notices about them.
    shut: Vec<ControlEvent>,
    /// When these entry points are tried again.
    again: Option<Backoff>,
}

impl AdminEndpoints {
    /// Returns the entry points, all of them shut; `end` ends what is opened later.
    pub(super) fn new(clock: Clock, journal: Journal, end: CancellationToken) -> Self {
        AdminEndpoints {
            clock,
            journal,
            end,
            spec: ControlSpec::default(),
            // No user, until the configuration is known.
            write: watch::Sender::new(LocalWrite::Off),
            in_force: watch::Sender::new(None),
            questions: None,
            socket: None,
            left: None,
            metrics: None,
            shut: Vec::new(),
            again: None,
        }
    }

    /// Returns who may give commands, now and after each reload.
    pub(super) fn write(&self) -> watch::Receiver<LocalWrite> {
        self.write.subscribe()
    }

    /// Returns the configuration in force, now and after each reload.
    pub(super) fn in_force(&self) -> watch::Receiver<Option<ConfigurationInForce>> {
        self.in_force.subscribe()
    }

    /// Changes what is known of the configuration in force.
    pub(super) fn change_in_force(&self, change: impl FnOnce(&mut Option<ConfigurationInForce>)) {
        self.in_force.send_modify(change);
    }

    /// Returns when an entry point is tried again; `None` if all are open.
    pub(super) fn again_at(&self) -> Option<Mono> {
        self.again.as_ref().and_then(Backoff::not_before)
    }

    /// Opens the entry points for people, whose questions go to `questions`.
    pub(super) async fn open(
        &mut self,
        spec: ControlSpec,
        questions: QuestionSender,
        supervisor: &mut Supervisor,
        rng: &mut Rng,
    ) {
        self.questions = Some(questions);
        let falling_back = log_level::run(
            self.journal.log_level(),
            self.clock,
            self.journal.clone(),
            self.end.child_token(),
        );
        supervisor.spawn("log levels".into(), falling_back);
        // The failures are logged already, and no client waits for them.
        drop(self.open_elsewhere(spec, supervisor, rng).await);
    }

    /// Opens the entry points at the addresses of `spec`. Returns whether that is another
    /// specification than before, and what could not be opened. The socket at its former path
    /// answers until [`AdminEndpoints::leave_old_socket`].
    pub(super) async fn open_elsewhere(
        &mut self,
        spec: ControlSpec,
        supervisor: &mut Supervisor,
        rng: &mut Rng,
    ) -> (bool, Vec<ControlEvent>) {
        if self.questions.is_none() {
            return (false, Vec::new());
        }
        self.write.send_replace(spec.write);
        let is_other = self.spec != spec;
        self.spec = spec;
        self.again = None;
        let failed = self.open_missing(supervisor, rng).await;
        for notice in &failed {
            self.journal.tell(notice);
        }
        (is_other, failed)
    }

    /// Tries again to open what could not be opened. If the future is dropped half-way, the
    /// next call tries again.
    pub(super) async fn open_again(&mut self, supervisor: &mut Supervisor, rng: &mut Rng) {
        let _ = self.open_missing(supervisor, rng).await;
        // No client waits for an answer at the old socket.
        self.leave_old_socket(supervisor).await;
    }

    /// Opens the entry points that shall be open and are not. Returns what could not be opened.
    /// Logs each entry point that is open at last.
    async fn open_missing(
        &mut self,
        supervisor: &mut Supervisor,
        rng: &mut Rng,
    ) -> Vec<ControlEvent> {
        let mut failed = Vec::new();
        failed.extend(self.open_socket(supervisor).err());
        failed.extend(self.open_metrics(supervisor).await.err());
        for before in std::mem::replace(&mut self.shut, failed.clone()) {
            if !failed.iter().any(|notice| notice.kind() == before.kind()) {
                let open = match before.kind() {
                    EventKind::MetricsUnavailable => self.metrics.as_ref().map(|(at, _)| {
                        let address = at.to_string();
                        ControlEvent::Metrics { address }
                    }),
                    _ => self.socket.as_ref().map(|(at, _)| {
                        let socket = at.clone();
                        ControlEvent::Available { socket }
                    }),
                };
                if let Some(open) = open {
                    self.journal.tell(&open);
                }
            }
        }
        if failed.is_empty() {
            self.again = None;
        } else {
            let wait = || Backoff::new(FIRST_WAIT, LONGEST_WAIT);
            let again = self.again.get_or_insert_with(wait);
            again.failed(self.clock.now().mono, rng);
        }
        failed
    }

    /// Ends the socket at the former path, once the client that asked for the move has its
    /// answer.
    pub(super) async fn leave_old_socket(&mut self, supervisor: &mut Supervisor) {
        if let Some(left) = self.left.take() {
            supervisor.stop(&left).await;
        }
    }

    /// Opens the control socket. If it cannot be opened, the socket stays where it is.
    fn open_socket(&mut self, supervisor: &mut Supervisor) -> Result<(), ControlEvent> {
        let path = control::socket_path(self.spec.socket.as_deref());
        if matches!(&self.socket, Some((there, _)) if *there == path) {
            return Ok(());
        }
        let Some(questions) = self.questions.clone() else {
            return Ok(());
        };
        let socket = match Socket::open(&path) {
            Ok(socket) => socket,
            Err(e) => {
                return Err(ControlEvent::Unavailable {
                    socket: path,
                    why: e.to_string(),
                    instead: self.socket.as_ref().map(|(there, _)| there.clone()),
                });
            }
        };
        let stop = self.end.child_token();
        let answering = control::run(socket, questions, stop.clone());
        let running = supervisor.spawn_stoppable("control socket".into(), stop, answering);
        let before = self.socket.replace((path, running));
        self.left = before.map(|(_, running)| running);
        Ok(())
    }

    async fn open_metrics(&mut self, supervisor: &mut Supervisor) -> Result<(), ControlEvent> {
        let wanted = self.spec.metrics;
        if self.metrics.as_ref().map(|(at, _)| *at) == wanted {
            return Ok(());
        }
        if let Some((_, running)) = self.metrics.take() {
            supervisor.stop(&running).await;
        }
        let (Some(address), Some(questions)) = (wanted, self.questions.clone()) else {
            return Ok(());
        };
        let listener = match http::listen(address).await {
            Ok(listener) => listener,
            Err(e) => {
                return Err(ControlEvent::NoMetrics {
                    address: address.to_string(),
                    why: e.to_string(),
                });
            }
        };
        let stop = self.end.child_token();
        let serving = http::run(listener, questions, stop.clone());
        let running = supervisor.spawn_stoppable("metrics".into(), stop, serving);
        self.metrics = Some((address, running));
        Ok(())
    }
}

//! The running service: its tasks, and what a new configuration does to them.
//!
//! A reload touches as little as it can. Ports that are made, used or populated otherwise
//! than before are stopped, then the hub is given the new configuration, then these ports
//! are started. All other ports are not affected, because ids in the configuration are
//! kept (`spec/reload.rs`). The last events of a stopped port are handled under the
//! configuration under which the port reported them. The link is touched only if the broker
//! or the gateway's identity there has changed: then all devices are logged out, the link
//! disconnects and ends, and another one begins.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::app::admin::AdminEndpoints;
use crate::app::supervisor::{RunningTask, Supervisor};
use crate::base::{FieldEvent, Mono, PortId, Rng, Secret};
use crate::cloud::Connector;
use crate::cloud::{RemoteResult, RemoteTask};
use crate::hub::Coordinator;
use crate::io::bus::bus_monitor::{BusMonitors, MonitoredLine};
use crate::io::bus::line::Opener;
use crate::io::bus::port::{self, PortInputs};
use crate::io::bus::port_commands::PortCommands;
use crate::io::bus::port_surveys::PortSurveys;
use crate::io::control::events::ControlEvent;
use crate::io::control::{AdminRequest, ConfigurationInForce, QuestionSender};
use crate::io::files::download;
use crate::io::files::download::Sources;
use crate::io::files::footprint::Footprint;
use crate::io::hub::{self, Control, OperatorQuestion};
use crate::io::link::{self, ConnectionHistory, Dialer};
use crate::io::log::Journal;
use crate::io::store::learned::Learned;
use crate::io::store::reading_store::ReadingStore;
use crate::io::store::secret_store::SecretStore;
use crate::io::store::secret_writer::SecretWriter;
use crate::io::system::clock::Clock;
use crate::io::system::heartbeat::{Heartbeat, Heartbeats};
use crate::io::system::notify;
use crate::io::system::notify::Notifier;
use crate::spec::{Changes, ControlSpec, LineSpec, PortSpec, Spec, Transport};

/// How many events wait between the ports and the hub. When the channel is full the ports
/// wait: the polling slows, and no event is lost.
const FIELD_INBOX: usize = 256;
/// How many remote tasks of the coordinator wait. The coordinator has one at a time for a
/// file and one for the file on probation, and one more of each may have run out of time.
const REMOTE_TASK_QUEUE: usize = 4;
/// How many questions wait for the hub; a client with a further question waits.
const QUESTIONS: usize = 4;
/// How many requests of people wait to be carried out; a client with a further request waits.
const WISHES: usize = 2;
/// How long READY waits at most for the first attempts on ports.
const ATTEMPTS_WITHIN: Duration = Duration::from_secs(5);
/// How long a link that was told to end takes at most: its DISCONNECT, and a margin.
const LINK_ENDS_WITHIN: Duration = Duration::from_secs(4);
/// How often a waiting port beats its heartbeat.
const MAX_IDLE: Duration = Duration::from_secs(2);

/// Where lines and connections come from: the system, or simulated models.
pub struct Openers {
    /// Opens the lines of a port.
    pub opener: Box<dyn FnMut(&PortSpec) -> Opener + Send>,
    /// Dials the platform.
    pub dialer: Box<dyn FnMut() -> Dialer + Send>,
}

impl Openers {
    /// Returns the openers of the real system.
    #[must_use]
    pub fn system() -> Self {
        Openers {
            opener: Box::new(|_| Opener::System),
            dialer: Box::new(|| Dialer::Network),
        }
    }
}

/// What outlives the service: secrets, what was learned about devices, and readings.
pub struct Stores {
    /// The secrets that the platform hands out.
    pub secret_store: SecretStore,
    /// The addresses across which kinds of devices cannot be read.
    pub learned: Learned,
    /// Where the state directory is, for readings that cannot be delivered; `None` if they are
    /// not stored.
    pub state_dir: Option<PathBuf>,
}

impl From<SecretStore> for Stores {
    /// Keeps the secrets, and neither readings nor what is learned.
    fn from(secret_store: SecretStore) -> Self {
        let learned = Learned::in_memory();
        Stores {
            secret_store,
            learned,
            state_dir: None,
        }
    }
}

/// The running service with all its tasks.
pub struct Service {
    spec: Arc<Spec>,
    commissioned: bool,
    openers: Openers,
    secret_store: SecretStore,
    learned: Learned,
    clock: Clock,
    journal: Journal,
    rng: Rng,
    supervisor: Supervisor,
    ports: BTreeMap<PortId, RunningTask>,
    monitors: BusMonitors,
    commands: PortCommands,
    surveys: PortSurveys,
    field: mpsc::Sender<FieldEvent>,
    control: mpsc::Sender<Control>,
    status: watch::Receiver<String>,
    questions: mpsc::Sender<OperatorQuestion>,
    admin: AdminEndpoints,
    remote_tasks: mpsc::Receiver<RemoteTask>,
    /// The last fetch of a file.
    fetching: Option<AbortOnDropHandle<()>>,
    hub: JoinHandle<()>,
    link: Option<LinkTask>,
    /// When the platform is connected to again, while there is no connection.
    next_attempt: watch::Sender<Option<Mono>>,
    /// The connector of the last link that has ended.
    connector: Option<Connector>,
    stop: CancellationToken,
    end: CancellationToken,
}

struct LinkTask {
    task: JoinHandle<Connector>,
    stop: CancellationToken,
    heartbeat: Heartbeat,
}

impl Service {
    /// Starts the ports, waits a moment for their first attempts, then starts the link and the
    /// hub. Without `commissioned` there is no link. `stores` keeps what the platform hands
    /// out and what is learned about devices.
    pub async fn start(
        spec: Spec,
        commissioned: bool,
        openers: Openers,
        stores: impl Into<Stores>,
        clock: Clock,
        journal: Journal,
        mut rng: Rng,
    ) -> Self {
        let Stores {
            secret_store,
            learned,
            state_dir,
        } = stores.into();
        let spec = Arc::new(spec);
        let supervisor = Supervisor::default();
        let (field, field_inbox) = mpsc::channel(FIELD_INBOX);
        let (control, orders) = mpsc::channel(1);
        let (told, status) = watch::channel(String::new());
        let (asked, remote_tasks) = mpsc::channel(REMOTE_TASK_QUEUE);
        let (asker, questions) = mpsc::channel(QUESTIONS);
        let (stop, end) = (CancellationToken::new(), CancellationToken::new());
        let link_stop = end.child_token();
        let (wire, link_ends) = link::pair(link::channel::CAPACITY, link_stop.clone());
        let mut coordinator = Coordinator::new(spec.clone(), rng.fork(), clock.now());
        if !commissioned {
            coordinator = coordinator.not_commissioned();
        }
        let commands = PortCommands::default();
        let readings = match state_dir {
            Some(dir) => ReadingStore::start(&dir, &spec, commissioned, clock, journal.clone()),
            None => ReadingStore::none(clock, journal.clone()),
        };
        let hub = hub::run(
            coordinator,
            hub::Stores {
                secrets: SecretWriter::new(secret_store.clone(), spec.clone(), journal.clone()),
                readings,
            },
            hub::Channels {
                field: field_inbox,
                link: wire,
                control: orders,
                remote_tasks: asked,
                questions,
                commands: commands.clone(),
                status: told,
            },
            clock,
            journal.clone(),
            supervisor.heartbeats().start("hub"),
            stop.clone(),
        );
        let admin = AdminEndpoints::new(clock, journal.clone(), end.clone());
        let mut service = Service {
            commissioned,
            openers,
            secret_store,
            learned,
            clock,
            journal,
            rng,
            supervisor,
            ports: BTreeMap::new(),
            monitors: BusMonitors::default(),
            surveys: PortSurveys::default(),
            commands: commands.clone(),
            field,
            control,
            status,
            questions: asker,
            admin,
            remote_tasks,
            fetching: None,
            hub: tokio::spawn(hub),
            link: None,
            next_attempt: watch::Sender::new(None),
            connector: None,
            stop,
            end,
            spec,
        };
        let ids: Vec<PortId> = service.spec.ports().map(|(id, _)| id).collect();
        let attempts: Vec<_> = ids
            .into_iter()
            .map(|id| service.start_port(id, Duration::ZERO))
            .collect();
        let attempted = async {
            for attempt in attempts {
                // An error means that the task has ended, which is reported elsewhere.
                let _ = attempt.await;
            }
        };
        let _ = tokio::time::timeout(ATTEMPTS_WITHIN, attempted).await;
        if commissioned {
            service.start_link(link_ends, link_stop);
        }
        service
    }

    /// Keeps the service manager informed from now on.
    pub fn inform(&mut self, notifier: Notifier) {
        let watchdog = notify::run(
            notifier,
            self.heartbeats(),
            self.status.clone(),
            self.clock,
            self.journal.clone(),
            self.stop.clone(),
        );
        self.supervisor.spawn("watchdog".into(), watchdog);
    }

    /// Opens the entry points for people. Requests that concern the whole service come out of
    /// the returned channel.
    pub async fn open_to_people(&mut self, spec: ControlSpec) -> mpsc::Receiver<AdminRequest> {
        let (wishes, wished) = mpsc::channel(WISHES);
        let questions = QuestionSender {
            hub: self.questions.clone(),
            monitors: self.monitors.clone(),
            surveys: self.surveys.clone(),
            service: wishes,
            journal: self.journal.clone(),
            clock: self.clock,
            secret_store: self.secret_store.clone(),
            learned: self.learned.clone(),
            write: self.admin.write(),
            in_force: self.admin.in_force(),
            next_attempt: self.next_attempt.subscribe(),
        };
        let (supervisor, rng) = (&mut self.supervisor, &mut self.rng);
        self.admin.open(spec, questions, supervisor, rng).await;
        wished
    }

    /// Takes note of the files that the configuration in force was read from; `file` is the main
    /// file.
    pub fn in_force(&self, file: &Path, footprint: Footprint) {
        let now = self.clock.now().mono;
        self.admin.change_in_force(|known| {
            *known = Some(ConfigurationInForce::new(file, footprint, now))
        });
    }

    /// Takes note that a configuration has replaced the former one.
    pub(super) fn replaced(&self, footprint: Footprint) {
        let now = self.clock.now().mono;
        self.admin.change_in_force(|known| {
            if let Some(known) = known {
                known.replaced(footprint, now);
            }
        });
    }

    /// Takes note that a configuration was refused; `why` says what was wrong.
    pub(super) fn refused(&self, why: String) {
        let now = self.clock.now().mono;
        self.admin.change_in_force(|known| {
            if let Some(known) = known {
                known.refused(why, now);
            }
        });
    }

    /// Opens the entry points for people at the addresses of `spec`. Returns whether that is
    /// another specification than before, and what could not be opened. The socket at its former
    /// path answers until [`Service::leave_old_socket`].
    pub(super) async fn open_elsewhere(&mut self, spec: ControlSpec) -> (bool, Vec<ControlEvent>) {
        let (supervisor, rng) = (&mut self.supervisor, &mut self.rng);
        self.admin.open_elsewhere(spec, supervisor, rng).await
    }

    /// Ends the control socket at its former path, once the client that asked for the move
    /// has its answer.
    pub(super) async fn leave_old_socket(&mut self) {
        self.admin.leave_old_socket(&mut self.supervisor).await;
    }

    /// Goes on with another configuration, just read from its files. The future may be dropped
    /// half-way if the service is stopped next.
    pub async fn reload(&mut self, fresh: Spec, commissioned: bool) -> Changes {
        let (spec, mut changes) = fresh.continuing(&self.spec);
        changes.cloud.connection |= commissioned != self.commissioned;
        let old = std::mem::replace(&mut self.spec, Arc::new(spec));
        self.commissioned = commissioned;
        self.journal.respec(self.spec.clone());

        let ports = &changes.ports;
        // A port that changes keeps its way, so that a tool waits for it and does not open it.
        for port in ports.removed.iter().filter_map(|id| old.port(*id)) {
            self.surveys.remove(&port.name);
        }
        for id in ports.removed.iter().chain(&ports.changed) {
            if let Some(running) = self.ports.get(id) {
                self.supervisor.stop(running).await;
                self.ports.remove(id);
                self.commands.remove(*id);
                if let Some(port) = old.port(*id) {
                    self.monitors.remove(&port.name);
                }
            }
        }
        let link_stop = self.end.child_token();
        let mut link = None;
        if changes.cloud.connection {
            self.part(old.stop_within).await;
            link = Some(link::pair(link::channel::CAPACITY, link_stop.clone()));
        }
        let (wire, link_ends) = link.unzip();
        let (done, heard) = oneshot::channel();
        self.tell_hub(Control::Reload {
            spec: self.spec.clone(),
            changes: Box::new(changes.clone()),
            commissioned,
            wire,
            done,
        })
        .await;
        let _ = heard.await;
        for id in ports.added.iter().chain(&ports.changed) {
            // No task waits for this attempt: the other ports are at work already.
            drop(self.start_port(*id, late_reply_time(&old, *id)));
        }
        if let Some(ends) = link_ends.filter(|_| commissioned) {
            self.start_link(ends, link_stop);
        }
        changes
    }

    /// Returns the next remote task of the coordinator that its own tasks cannot carry out; or
    /// the name of the task that ends although it never should. Meanwhile tries again to open
    /// the entry points that could not be opened.
    ///
    /// # Errors
    /// The name of the task that ended.
    pub async fn remote_task(&mut self) -> Result<RemoteTask, String> {
        loop {
            let again = until(self.clock, self.admin.again_at());
            tokio::select! {
                biased;
                _ = &mut self.hub => return Err("hub".into()),
                () = ended(&mut self.link) => return Err("cloud link".into()),
                task = self.supervisor.ended() => return Err(task),
                Some(remote_task) = self.remote_tasks.recv() => return Ok(remote_task),
                () = again => {}
            }
            self.admin
                .open_again(&mut self.supervisor, &mut self.rng)
                .await;
        }
    }

    /// Fetches a file of the platform; the coordinator gets the result.
    pub fn fetch(&mut self, serial: u64, url: Secret, at_most: u64, within: Duration) {
        let ca_file = match &self.spec.cloud.broker.transport {
            Transport::Tls { ca_file } => ca_file.clone(),
            Transport::Plain => None,
        };
        let control = self.control.clone();
        let sources = Sources::of(&self.spec.cloud);
        let fetching = async move {
            let result = download::fetch(url, at_most, within, ca_file, sources).await;
            let done = RemoteResult::Fetched { serial, result };
            let _ = control.send(Control::RemoteTaskDone(done)).await;
        };
        self.fetching = Some(AbortOnDropHandle::new(tokio::spawn(fetching)));
    }

    /// Reports the result of a remote task to the coordinator.
    pub async fn done(&self, done: RemoteResult) {
        self.tell_hub(Control::RemoteTaskDone(done)).await;
    }

    /// Logs all devices out and disconnects. The caller bounds the wait.
    pub async fn stop(&mut self) {
        self.stop.cancel();
        let _ = (&mut self.hub).await;
        if let Some(link) = &mut self.link {
            let _ = (&mut link.task).await;
        }
    }

    /// Ends everything that still runs, at once.
    pub async fn end(self) {
        self.stop.cancel();
        self.end.cancel();
        self.supervisor.shutdown().await;
        self.hub.abort();
        if let Some(link) = self.link {
            link.task.abort();
        }
    }

    /// Returns how long stopping may take.
    #[must_use]
    pub fn stop_within(&self) -> Duration {
        self.spec.stop_within
    }

    /// Returns the configuration in force.
    #[must_use]
    pub fn spec(&self) -> &Arc<Spec> {
        &self.spec
    }

    /// Returns the heartbeats that the watchdog watches.
    #[must_use]
    pub fn heartbeats(&self) -> Heartbeats {
        self.supervisor.heartbeats().clone()
    }

    fn start_port(&mut self, id: PortId, quiet: Duration) -> oneshot::Receiver<()> {
        let (attempted, attempt) = oneshot::channel();
        let Some(port_spec) = self.spec.port(id) else {
            return attempt;
        };
        let name = format!("port {}", port_spec.name);
        let heartbeat = self.supervisor.heartbeats().start(&port_spec.name);
        let stop = self.end.child_token();
        let source = MonitoredLine {
            opener: (self.openers.opener)(port_spec),
            tap: self.monitors.add(&port_spec.name),
        };
        let task = port::run(
            id,
            self.spec.clone(),
            source,
            self.learned.clone(),
            self.rng.fork(),
            self.clock,
            self.journal.clone(),
            self.field.clone(),
            heartbeat.clone(),
            stop.clone(),
            attempted,
            PortInputs {
                commands: Some(self.commands.add(id)),
                surveys: Some(self.surveys.add(&port_spec.name, &port_spec.line)),
            },
        );
        let (beat, stopped) = (heartbeat.clone(), stop.clone());
        let after_quiet = async move {
            let mut left = quiet;
            while !left.is_zero() && !stopped.is_cancelled() {
                beat.beat();
                let nap = left.min(MAX_IDLE);
                let _ = tokio::time::timeout(nap, stopped.cancelled()).await;
                left -= nap;
            }
            task.await;
        };
        let running = self
            .supervisor
            .spawn_watched(name, heartbeat, stop, after_quiet);
        self.ports.insert(id, running);
        attempt
    }

    fn start_link(&mut self, ends: link::LinkEnd, stop: CancellationToken) {
        let heartbeat = self.supervisor.heartbeats().start("cloud link");
        let (cloud, now) = (&self.spec.cloud, self.clock.now());
        let dialer = (self.openers.dialer)();
        // Simulated worlds have a time of their own, and no boots.
        let history = matches!(dialer, Dialer::Network)
            .then(|| ConnectionHistory::beside(self.secret_store.directory()));
        let connector = match self.connector.take() {
            Some(last) => last.for_new_broker(cloud, now),
            None => {
                let mut first = Connector::new(cloud, self.rng.fork(), now);
                let ages = history
                    .as_ref()
                    .map(ConnectionHistory::ages)
                    .unwrap_or_default();
                first.attempted_before(now, &ages);
                first
            }
        };
        let link = link::Link::new(
            self.spec.clone(),
            dialer,
            connector,
            ends,
            self.clock,
            self.journal.clone(),
            heartbeat.clone(),
        );
        let task = tokio::spawn(
            link.with_secret_store(self.secret_store.clone())
                .noting(history)
                .announcing(self.next_attempt.clone())
                .run(),
        );
        self.link = Some(LinkTask {
            task,
            stop,
            heartbeat,
        });
    }

    /// Logs all devices out of this connection and ends it.
    async fn part(&mut self, within: Duration) {
        let (done, heard) = oneshot::channel();
        // The engine bounds the wait itself; this timeout is for an error in the engine.
        let parted = async {
            self.tell_hub(Control::LeaveConnection(done)).await;
            let _ = heard.await;
        };
        let _ = tokio::time::timeout(within, parted).await;
        let Some(mut link) = self.link.take() else {
            return;
        };
        self.supervisor.heartbeats().end(&link.heartbeat);
        let mut ended = tokio::time::timeout(LINK_ENDS_WITHIN, &mut link.task).await;
        if ended.is_err() {
            // The link has not heard that it should end.
            link.stop.cancel();
            ended = tokio::time::timeout(LINK_ENDS_WITHIN, &mut link.task).await;
        }
        link.task.abort();
        self.connector = ended.ok().and_then(Result::ok).or(self.connector.take());
    }

    async fn tell_hub(&self, control: Control) {
        // A hub that is gone is reported elsewhere.
        let _ = self.control.send(control).await;
    }
}

/// Waits until `at`; without a time, waits for ever.
async fn until(clock: Clock, at: Option<Mono>) {
    match at {
        Some(at) => clock.sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Waits for the link to end; without a link, waits for ever.
async fn ended(link: &mut Option<LinkTask>) {
    match link {
        Some(link) => drop((&mut link.task).await),
        None => std::future::pending().await,
    }
}

/// Returns for how long a device on this line may still answer the last request of the
/// port: on a serial line the next task that opens the line would receive the answer.
fn late_reply_time(old: &Spec, id: PortId) -> Duration {
    let Some((port, line)) = old.port(id).and_then(|port| match &port.line {
        LineSpec::Serial(line) => Some((port, line)),
        LineSpec::Tcp(_) => None,
    }) else {
        return Duration::ZERO;
    };
    let first_byte = old
        .devices_on(id)
        .filter_map(|(_, d)| d.response_timeout)
        .chain([port.response_timeout])
        .max();
    // The longest frame has 256 bytes (Modbus over Serial Line V1.02 §2.5.1).
    let frame = Duration::from_secs(256) * line.bits_per_character() / line.baud.max(1);
    first_byte.unwrap_or_default() + frame
}

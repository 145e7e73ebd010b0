//! Floor 5: the wiring, that is, which task holds which end of which channel, and the order
//! of starting and stopping.
//!
//! ```text
//!   port tasks ──FieldEvent──▶ ┌─────┐ ──LinkCommand──▶ link task ──▶ platform
//!   (one per port)             │ hub │
//!                              └─────┘ ◀──LinkEvent─── link task
//! ```
//!
//! Starting: ports first, each attempts to open once; then READY; then the link. The start
//! does not wait for the cloud: a gateway without internet polls, and says so. Stopping:
//! log all devices out while the ports are still open, DISCONNECT, then end the ports; all
//! of it within `stop_within`. Loading the configuration anew: [`service`].

mod admin;
mod apply_remote;
pub mod events;
mod reload;
pub mod service;
mod supervisor;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use self::apply_remote::RemoteConfigApplier;
use self::events::ServiceEvent;
use self::reload::{Reload, is_many};
use self::service::{Openers, Service, Stores};
use crate::base::{EventKind, Level, LogEvent, LogSubject, Rng};
use crate::cloud::RemoteTask;
use crate::config::{Problem, Report, Severity};
use crate::io::control::{self, AdminRequest};
use crate::io::files::settings::{Loaded, RemoteMismatch};
use crate::io::log::{self, Journal};
use crate::io::store::learned::Learned;
use crate::io::store::secret_store::SecretStore;
use crate::io::system::clock::Clock;
use crate::io::system::headroom;
use crate::io::system::notify::Notifier;
use crate::spec::{MOST_IDENTITIES, Spec};

/// Why the service ended.
#[derive(Debug, thiserror::Error)]
pub enum ServiceEnd {
    /// The log could not be set up.
    #[error(transparent)]
    Log(#[from] log::InitError),
    /// The runtime or a signal handler could not be set up.
    #[error("cannot start: {0}")]
    Start(std::io::Error),
    /// Another service answers at the control socket. With one identity they would end each other's
    /// connection to the platform without end.
    #[error("another service answers at {}", .0.display())]
    AlreadyRuns(PathBuf),
    /// A task ended that never should; the service manager restarts the service.
    #[error("the {0} task ended unexpectedly")]
    Task(String),
    /// Not all devices could be logged out in time; the platform notices when the connection
    /// closes.
    #[error("stopped after {} s with log-outs unfinished", .0.as_secs())]
    StopDeadline(Duration),
    /// The service was asked a second time to stop, and stopped at once.
    #[error("stopped at once, as requested, with log-outs unfinished")]
    StopAtOnce,
}

impl LogEvent for ServiceEnd {
    fn level(&self) -> Level {
        match self {
            ServiceEnd::Log(_)
            | ServiceEnd::Start(_)
            | ServiceEnd::AlreadyRuns(_)
            | ServiceEnd::Task(_) => Level::Error,
            ServiceEnd::StopDeadline(_) | ServiceEnd::StopAtOnce => Level::Warn,
        }
    }

    fn kind(&self) -> EventKind {
        match self {
            ServiceEnd::Log(_)
            | ServiceEnd::Start(_)
            | ServiceEnd::AlreadyRuns(_)
            | ServiceEnd::Task(_) => EventKind::ServiceFailed,
            ServiceEnd::StopDeadline(_) | ServiceEnd::StopAtOnce => EventKind::StopUnfinished,
        }
    }

    fn subject(&self) -> LogSubject {
        LogSubject::Gateway
    }

    fn sentence(&self) -> String {
        match self {
            ServiceEnd::Log(_) => format!("gateway: not started: {self}"),
            ServiceEnd::Start(why) => {
                format!("gateway: not started: {why}; the service manager tries again")
            }
            ServiceEnd::AlreadyRuns(_) => format!(
                "gateway: not started: {self}: alink-gateway status asks it, and alink-gateway \
                 reload has it take a changed configuration; a second gateway on this box needs \
                 its own control.socket and state_dir"
            ),
            ServiceEnd::Task(_) => {
                format!("gateway: ended: {self}; the service manager starts it again")
            }
            ServiceEnd::StopDeadline(_) | ServiceEnd::StopAtOnce => format!(
                "gateway: {self}; the platform shows the remaining devices offline once it \
                 notices that the connection is closed"
            ),
        }
    }
}

/// Builds the runtime and serves the configuration that was loaded from `config`. The
/// runtime has one thread: the order of events in the field is then the same as in the
/// tests, and no task computes for long.
///
/// # Errors
/// As [`serve`]; also when the log or the runtime cannot be set up.
pub fn run(
    loaded: Loaded,
    mismatch: Option<RemoteMismatch>,
    config: &Path,
) -> Result<(), ServiceEnd> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(headroom::BLOCKING)
        // The threads that were made stay: there may be no others (`io/system/headroom.rs`).
        .thread_keep_alive(Duration::MAX)
        .build()
        .map_err(ServiceEnd::Start)?;
    let ended = runtime.block_on(serve(loaded, mismatch, config));
    // A name look-up that hangs must not keep the process from ending.
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
}

/// Runs the gateway until SIGTERM or SIGINT; loads `config` anew at each SIGHUP.
///
/// # Errors
/// [`ServiceEnd`], never for anything that the field or the cloud did.
pub async fn serve(
    mut loaded: Loaded,
    mismatch: Option<RemoteMismatch>,
    config: &Path,
) -> Result<(), ServiceEnd> {
    headroom::keep_threads().await;
    let mut asked = StopSignals::listen()?;
    let mut hangup = signal(SignalKind::hangup()).map_err(ServiceEnd::Start)?;
    let clock = Clock::system();
    let sink = log::init(clock)?;
    let socket = control::socket_path(loaded.control.socket.as_deref());
    if control::is_answered(&socket) {
        return Err(ServiceEnd::AlreadyRuns(socket));
    }
    let mut adopter = RemoteConfigApplier::new(config, &loaded.state_dir);
    let failed = adopter.begin(&mut loaded);
    let journal = Journal::new(Arc::new(loaded.spec.clone())).to(sink);
    journal.tell(&ServiceEvent::Started {
        ports: loaded.spec.ports.len(),
        devices: loaded.spec.devices.len(),
        commissioned: loaded.commissioned,
    });
    tell_warnings(&loaded, &journal);
    for failed in failed {
        journal.tell(&failed);
    }
    if let Some(mismatch) = mismatch {
        apply_remote::set_aside(mismatch, &loaded.state_dir, &journal);
    }
    let (secret_store, notice) = SecretStore::open(&loaded.state_dir);
    if let Some(notice) = notice {
        journal.tell(&notice);
    }
    if let Some(exposed) = secret_store.close_to_others() {
        journal.tell(&exposed);
    }
    let learned = Learned::open(&loaded.state_dir, journal.clone());
    let mut service = Service::start(
        loaded.spec,
        loaded.commissioned,
        Openers::system(),
        Stores {
            secret_store,
            learned,
            state_dir: Some(loaded.state_dir),
        },
        clock,
        journal.clone(),
        Rng::new(crate::io::seed()),
    )
    .await;
    service.in_force(config, loaded.footprint);
    let mut wishes = service.open_to_people(loaded.control).await;
    let notifier = Notifier::from_environment();
    notifier.ready();
    service.inform(notifier.clone());
    let mut reload = Reload::default();

    loop {
        let remote_task = tokio::select! {
            biased;
            () = asked.stop() => break,
            _ = hangup.recv() => NextWork::Reload(None),
            Some(wish) = wishes.recv() => NextWork::Reload(Some(wish)),
            remote_task = service.remote_task() => NextWork::RemoteTask(remote_task.map_err(ServiceEnd::Task)?),
        };
        let remote_task = match remote_task {
            NextWork::RemoteTask(RemoteTask::Fetch {
                serial,
                url,
                at_most,
                within,
            }) => {
                service.fetch(serial, url, at_most, within);
                continue;
            }
            other => other,
        };
        notifier.reloading();
        let reloading = async {
            match remote_task {
                NextWork::Reload(wish) => {
                    let (meant, answer) = match wish {
                        Some(AdminRequest::Reload { force, answer }) => (force, Some(answer)),
                        None => (false, None),
                    };
                    let reloaded = reload.run(&mut service, config, meant, &journal).await;
                    // The client that asked may have gone.
                    let _ = answer.map(|answer| answer.send(reloaded));
                }
                NextWork::RemoteTask(remote_task) => {
                    adopter.run(&mut service, remote_task, &journal).await
                }
            }
            // The client that asked has its answer by now.
            service.leave_old_socket().await;
        };
        tokio::select! {
            biased;
            () = asked.stop() => break,
            () = reloading => {}
        }
        notifier.ready();
    }

    adopter.withdraw(&journal);
    let stop_within = service.stop_within();
    journal.tell(&ServiceEvent::Stopping {
        within: stop_within,
    });
    let ended = tokio::select! {
        biased;
        done = tokio::time::timeout(stop_within, service.stop()) => {
            done.map_err(|_| ServiceEnd::StopDeadline(stop_within))
        }
        () = asked.stop() => Err(ServiceEnd::StopAtOnce),
    };
    service.end().await;
    ended
}

/// The next work of the service.
enum NextWork {
    /// Load the configuration anew, and answer the client that asked, if there is one.
    Reload(Option<AdminRequest>),
    /// Carry out a remote task of the coordinator.
    RemoteTask(RemoteTask),
}

/// Tells the warnings about a configuration that goes into force.
fn tell_warnings(loaded: &Loaded, journal: &Journal) {
    for warning in loaded.warnings.problems() {
        journal.tell(&ServiceEvent::Problem(Box::new(warning.clone())));
    }
}

/// Goes on with another configuration. Returns what changed, and which sockets for people
/// could not be opened at their place.
async fn take(
    service: &mut Service,
    loaded: Loaded,
    journal: &Journal,
) -> (String, Vec<control::events::ControlEvent>) {
    tell_warnings(&loaded, journal);
    let (leaving, of) = service.spec().leaving(&loaded.spec);
    let changes = service.reload(loaded.spec, loaded.commissioned).await;
    service.replaced(loaded.footprint);
    let (doors, closed) = service.open_elsewhere(loaded.control).await;
    let notice = ServiceEvent::Reloaded {
        changes: Box::new(changes),
        doors,
        many_leave: is_many(leaving, of),
    };
    journal.tell(&notice);
    (notice.sentence(), closed)
}

/// Returns the problem of a configuration that is right by itself, but brings the number of
/// identities since the start above the limit.
fn too_many_identities(old: &Spec, fresh: &Spec, config: &Path) -> Option<Report> {
    let identities = old.identities_with(fresh);
    if identities <= MOST_IDENTITIES {
        return None;
    }
    let file: Arc<str> = config.display().to_string().into();
    let problem = Problem {
        severity: Severity::Error,
        file: Arc::clone(&file),
        line: 0,
        column: 0,
        path: "devices".into(),
        said: format!("{identities} different devices since the service was started"),
        wanted: format!("at most {MOST_IDENTITIES}, including those no longer configured"),
        hint: Some("restart the service: it then counts only those of this configuration".into()),
    };
    Some(Report::new(vec![problem], &[file]))
}

fn tell_refused(report: &Report, journal: &Journal) {
    for notice in ServiceEvent::refused(report) {
        journal.tell(&notice);
    }
}

/// The signals by which the service is asked to end.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn listen() -> Result<Self, ServiceEnd> {
        Ok(StopSignals {
            terminate: signal(SignalKind::terminate()).map_err(ServiceEnd::Start)?,
            interrupt: signal(SignalKind::interrupt()).map_err(ServiceEnd::Start)?,
        })
    }

    async fn stop(&mut self) {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

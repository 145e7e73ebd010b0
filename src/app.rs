//! Floor 5: the wiring. Who holds which end of which channel; the order of
//! starting and stopping.
//!
//! ```text
//!   port tasks ──FieldEvent──▶ ┌─────┐ ──LinkCommand──▶ link task ──▶ platform
//!   (one per port)             │ hub │
//!                              └─────┘ ◀──LinkEvent─── link task
//! ```
//!
//! Starting: ports first, each attempts to open once; then READY; then the
//! link. The cloud is not waited for: a gateway without internet polls, and
//! says so. Stopping: log everyone out while the ports still stand, DISCONNECT,
//! then the ports; all of it within `stop_within`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::base::Rng;
use crate::cloud::connect::Connector;
use crate::hub::Hub;
use crate::io::clock::Clock;
use crate::io::line::Opener;
use crate::io::link::Link;
use crate::io::log::{self, Journal};
use crate::io::notify::{self, Notifier};
use crate::io::pulse::Pulse;
use crate::io::settings::Loaded;
use crate::io::vault::Vault;
use crate::io::{hub, link, port};

mod notice;

use notice::Notice;

/// Events waiting between the ports and the hub. When it is full the ports
/// wait: the field slows, nothing is lost.
const FIELD_INBOX: usize = 256;
/// READY does not wait longer than this for the first attempts on ports.
const ATTEMPTS_WITHIN: Duration = Duration::from_secs(5);

/// Why the service ended.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// The log could not be set up.
    #[error(transparent)]
    Log(#[from] log::InitError),
    /// The runtime or a signal handler could not be set up.
    #[error("cannot start: {0}")]
    Start(std::io::Error),
    /// A task ended that never should; the service manager restarts us.
    #[error("the {0} task ended unexpectedly")]
    Task(String),
    /// Not everyone could be logged out in time; the platform notices when the
    /// connection closes.
    #[error("stopped after {0:?} with log-outs unfinished")]
    StopDeadline(Duration),
    /// Asked a second time to stop, it did so at once.
    #[error("stopped at once, as asked, with log-outs unfinished")]
    StopAtOnce,
}

/// Builds the runtime and serves. One thread: the same order of events in the
/// field as in the tests, and nothing here computes for long.
///
/// # Errors
/// As [`serve`]; also when the log or the runtime cannot be set up.
pub fn run(loaded: Loaded) -> Result<(), Ended> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Ended::Start)?;
    let ended = runtime.block_on(serve(loaded));
    // A name look-up that hangs must not hold the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
}

/// Runs the gateway until SIGTERM or SIGINT.
///
/// # Errors
/// [`Ended`], never for anything that the field or the cloud did.
pub async fn serve(loaded: Loaded) -> Result<(), Ended> {
    let clock = Clock::system();
    let sink = log::init(clock)?;
    let spec = Arc::new(loaded.spec);
    let stop_within = spec.stop_within;
    let journal = Journal::new(spec.clone()).to(sink);
    journal.tell(&Notice::Started {
        ports: spec.ports.len(),
        devices: spec.devices.len(),
        commissioned: loaded.commissioned,
    });
    let mut rng = Rng::new(crate::io::seed());
    let mut asked = Asked::listen()?;

    let stop = CancellationToken::new();
    let end = CancellationToken::new();
    let mut crew = Crew::default();

    let (field_tx, field) = mpsc::channel(FIELD_INBOX);
    let mut attempts = Vec::new();
    for (id, p) in spec.ports() {
        let (attempted, attempt) = oneshot::channel();
        attempts.push(attempt);
        let pulse = crew.pulse(&p.name);
        crew.spawn(
            format!("port {}", p.name),
            port::run(
                id,
                spec.clone(),
                Opener::System,
                rng.fork(),
                clock,
                journal.clone(),
                field_tx.clone(),
                pulse,
                end.clone(),
                attempted,
            ),
        );
    }
    drop(field_tx);
    let attempted = async {
        for attempt in attempts {
            // An error means the task has ended, which is told below.
            let _ = attempt.await;
        }
    };
    let _ = tokio::time::timeout(ATTEMPTS_WITHIN, attempted).await;

    let (wire, link_ends) = link::pair(link::channel::CAPACITY, end.clone());
    let (vault, notice) = Vault::open(&loaded.state_dir);
    if let Some(notice) = notice {
        journal.tell(&notice);
    }
    let link_task = loaded.commissioned.then(|| {
        let link = Link::new(
            spec.clone(),
            link::Dialer::Network,
            Connector::new(&spec.cloud, rng.fork(), clock.now()),
            link_ends,
            clock,
            journal.clone(),
            crew.pulse("cloud link"),
        );
        tokio::spawn(link.with_vault(vault).run())
    });
    let (status, status_rx) = watch::channel(String::new());
    let mut mind = Hub::new(spec, rng.fork(), clock.now());
    if !loaded.commissioned {
        mind = mind.not_commissioned();
    }
    let mut hub_task = tokio::spawn(hub::run(
        mind,
        hub::Ends {
            field,
            link: wire,
            status,
        },
        clock,
        journal.clone(),
        crew.pulse("hub"),
        stop.clone(),
    ));
    let notifier = Notifier::from_environment();
    notifier.ready();
    let pulses = std::mem::take(&mut crew.pulses);
    let watchdog = notify::run(
        notifier,
        pulses,
        status_rx,
        clock,
        journal.clone(),
        stop.clone(),
    );
    crew.spawn("watchdog".into(), watchdog);

    tokio::select! {
        biased;
        () = asked.stop() => {}
        _ = &mut hub_task => return Err(Ended::Task("hub".into())),
        Some(_) = finished(&mut link_task) => return Err(Ended::Task("cloud link".into())),
        task = crew.ended() => return Err(Ended::Task(task)),
    }

    journal.tell(&Notice::Stopping {
        within: stop_within,
    });
    stop.cancel();
    let orderly = async {
        let _ = hub_task.await;
        if let Some(link) = link_task {
            let _ = link.await;
        }
    };
    let ended = tokio::select! {
        biased;
        done = tokio::time::timeout(stop_within, orderly) => {
            done.map_err(|_| Ended::StopDeadline(stop_within))
        }
        () = asked.stop() => Err(Ended::StopAtOnce),
    };
    end.cancel();
    crew.tasks.shutdown().await;
    ended
}

/// Waits for a task, if there is one.
async fn finished(task: &mut Option<JoinHandle<()>>) -> Option<Result<(), JoinError>> {
    match task {
        Some(task) => Some(task.await),
        None => None,
    }
}

/// The tasks that live as long as the service, by name.
#[derive(Default)]
struct Crew {
    tasks: JoinSet<()>,
    names: BTreeMap<tokio::task::Id, String>,
    pulses: Vec<Pulse>,
}

impl Crew {
    fn pulse(&mut self, name: &str) -> Pulse {
        let pulse = Pulse::new(name);
        self.pulses.push(pulse.clone());
        pulse
    }

    fn spawn(&mut self, name: String, task: impl Future<Output = ()> + Send + 'static) {
        let handle = self.tasks.spawn(task);
        self.names.insert(handle.id(), name);
    }

    /// The name of the next task that ends, by itself or by a panic.
    async fn ended(&mut self) -> String {
        let id = match self.tasks.join_next_with_id().await {
            Some(Ok((id, ()))) => id,
            Some(Err(e)) => e.id(),
            None => return std::future::pending().await,
        };
        self.names.remove(&id).unwrap_or_default()
    }
}

/// Somebody wants the service to end.
struct Asked {
    terminate: Signal,
    interrupt: Signal,
}

impl Asked {
    fn listen() -> Result<Self, Ended> {
        Ok(Asked {
            terminate: signal(SignalKind::terminate()).map_err(Ended::Start)?,
            interrupt: signal(SignalKind::interrupt()).map_err(Ended::Start)?,
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

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
//! then the ports; all of it within `stop_within`. Loading the configuration
//! anew: [`service`].

mod adoption;
mod crew;
mod front;
pub mod notice;
pub mod service;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use self::notice::Notice;
use self::service::{Doors, Service, Shelves};
use crate::base::{Rng, Tell};
use crate::cloud::Errand;
use crate::config::{self, Report, Severity};
use crate::control::{Problem, Reloaded};
use crate::io::clock::Clock;
use crate::io::control::{self, Wish};
use crate::io::headroom;
use crate::io::lessons::Lessons;
use crate::io::log::{self, Journal};
use crate::io::notify::Notifier;
use crate::io::settings::{self, Loaded, Misfit};
use crate::io::vault::Vault;

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

/// Builds the runtime and serves what was loaded from `config`. One thread: the
/// same order of events in the field as in the tests, and nothing here computes
/// for long.
///
/// # Errors
/// As [`serve`]; also when the log or the runtime cannot be set up.
pub fn run(loaded: Loaded, misfit: Option<Misfit>, config: &Path) -> Result<(), Ended> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(headroom::BLOCKING)
        // Those that were made stay: there may be no others (`io/headroom.rs`).
        .thread_keep_alive(Duration::MAX)
        .build()
        .map_err(Ended::Start)?;
    let ended = runtime.block_on(serve(loaded, misfit, config));
    // A name look-up that hangs must not hold the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
}

/// Runs the gateway until SIGTERM or SIGINT; loads `config` anew at each SIGHUP.
///
/// # Errors
/// [`Ended`], never for anything that the field or the cloud did.
pub async fn serve(loaded: Loaded, misfit: Option<Misfit>, config: &Path) -> Result<(), Ended> {
    headroom::keep_threads().await;
    let mut asked = Asked::listen()?;
    let mut hangup = signal(SignalKind::hangup()).map_err(Ended::Start)?;
    let clock = Clock::system();
    let sink = log::init(clock)?;
    let journal = Journal::new(Arc::new(loaded.spec.clone())).to(sink);
    journal.tell(&Notice::Started {
        ports: loaded.spec.ports.len(),
        devices: loaded.spec.devices.len(),
        commissioned: loaded.commissioned,
    });
    if let Some(misfit) = misfit {
        adoption::set_aside(misfit, &loaded.state_dir, &journal);
    }
    let (vault, notice) = Vault::open(&loaded.state_dir);
    if let Some(notice) = notice {
        journal.tell(&notice);
    }
    let lessons = Lessons::open(&loaded.state_dir, journal.clone());
    let mut service = Service::start(
        loaded.spec,
        loaded.commissioned,
        Doors::system(),
        Shelves { vault, lessons },
        clock,
        journal.clone(),
        Rng::new(crate::io::seed()),
    )
    .await;
    let mut wishes = service.open_to_people(loaded.control).await;
    let notifier = Notifier::from_environment();
    notifier.ready();
    service.inform(notifier.clone());

    loop {
        let errand = tokio::select! {
            biased;
            () = asked.stop() => break,
            _ = hangup.recv() => Next::Reload(None),
            Some(Wish::Reload(answer)) = wishes.recv() => Next::Reload(Some(answer)),
            errand = service.errand() => Next::Errand(errand.map_err(Ended::Task)?),
        };
        let adoption = match errand {
            Next::Reload(answer) => Err(answer),
            Next::Errand(Errand::Fetch {
                serial,
                url,
                at_most,
                within,
            }) => {
                service.fetch(serial, url, at_most, within);
                continue;
            }
            Next::Errand(Errand::Adopt { serial, content }) => Ok((serial, content)),
        };
        notifier.reloading();
        let reloading = async {
            match adoption {
                Err(answer) => {
                    let reloaded = reload(&mut service, config, &journal).await;
                    // Whoever asked may have gone.
                    let _ = answer.map(|answer| answer.send(reloaded));
                }
                Ok((serial, content)) => {
                    adoption::adopt(&mut service, config, serial, content, &journal).await;
                }
            }
            // Whoever asked has been answered by now.
            service.leave_old_socket().await;
        };
        tokio::select! {
            biased;
            () = asked.stop() => break,
            () = reloading => {}
        }
        notifier.ready();
    }

    let stop_within = service.stop_within();
    journal.tell(&Notice::Stopping {
        within: stop_within,
    });
    let ended = tokio::select! {
        biased;
        done = tokio::time::timeout(stop_within, service.stop()) => {
            done.map_err(|_| Ended::StopDeadline(stop_within))
        }
        () = asked.stop() => Err(Ended::StopAtOnce),
    };
    service.end().await;
    ended
}

/// What is to be done next.
enum Next {
    /// Load the configuration anew, and tell whoever asked.
    Reload(Option<oneshot::Sender<Reloaded>>),
    /// Something for the mind.
    Errand(Errand),
}

/// Loads the configuration anew. One that is wrong changes nothing.
async fn reload(service: &mut Service, config: &Path, journal: &Journal) -> Reloaded {
    let path = config.to_owned();
    let loading = tokio::task::spawn_blocking(move || settings::load(&path));
    let loaded = match loading.await {
        Ok(loaded) => loaded,
        Err(e) => {
            return Reloaded {
                changed: None,
                problems: vec![Problem {
                    error: true,
                    text: e.to_string(),
                }],
            };
        }
    };
    match loaded {
        Err(report) => {
            tell_refused(&report, journal);
            Reloaded {
                changed: None,
                problems: problems(report.problems()),
            }
        }
        Ok(loaded) => {
            let mut problems = problems(&loaded.warnings);
            let (changed, closed) = take(service, loaded, journal).await;
            problems.extend(closed.iter().map(|door| Problem {
                error: true,
                text: door.sentence(),
            }));
            Reloaded {
                changed: Some(changed),
                problems,
            }
        }
    }
}

fn problems(all: &[config::Problem]) -> Vec<Problem> {
    let told = |problem: &config::Problem| Problem {
        error: problem.severity == Severity::Error,
        text: problem.to_string(),
    };
    all.iter().map(told).collect()
}

/// Goes on with another configuration; says what changed, and which doors for
/// people could not be opened where they should be.
async fn take(
    service: &mut Service,
    loaded: Loaded,
    journal: &Journal,
) -> (String, Vec<control::notice::Notice>) {
    for warning in loaded.warnings {
        journal.tell(&Notice::Problem(Box::new(warning)));
    }
    let changes = service.reload(loaded.spec, loaded.commissioned).await;
    let closed = service.open_elsewhere(loaded.control).await;
    let notice = Notice::Reloaded(Box::new(changes));
    journal.tell(&notice);
    (notice.sentence(), closed)
}

fn tell_refused(report: &Report, journal: &Journal) {
    for notice in Notice::refused(report) {
        journal.tell(&notice);
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

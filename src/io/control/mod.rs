//! The control socket: lets people query the running service.
//!
//! One task accepts connections. Each connection has a task of its own that reads one question,
//! hands it to the task that can answer ([`QuestionSender`]) and writes the answer. The types
//! of questions and answers are in `control/`; `peer.rs` decides who may ask. The files beside
//! this one are the two ends (`serve/`, `client.rs`), the bounds of each, and what is told of them:
//! more than a dozen, because each bound is a file that can be read alone.
//!
//! # Bounds
//!
//! - Connections: 16, of which one is kept for root and eight are one user's at most. When
//!   all are taken the peer that has been idle longest is cut for the next (`connection_slots.rs`).
//! - A question: 4,096 bytes, names in it 256, within 5 s, however its bytes come.
//! - A command: answered within the time of the configuration (1 min at most) and a second.
//! - Pictures: one each 100 ms to 60 s.
//! - An answer: 10 s for each line to be taken, and 60 s for the whole, unless it has no end;
//!   then its peer counts as watching, and gives way. One bundle is made at a time.
//! - Metrics over HTTP: 32 connections by the same rule, a request of 16 KiB within 5 s, 10 s
//!   for all of it; the text is made twice a second at most, for all peers together
//!   (`http.rs`).
//!
//! The task that answers does so between two events of its own, by a one-shot channel: it does
//! not wait for a client, however slow.

mod ask;
pub mod client;
mod connection_slots;
mod diag;
pub mod events;
mod groups;
pub mod http;
mod in_force;
pub mod listen;
mod peer;
mod serve;
mod survey_counts;

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::connection_slots::{Admission, ConnectionSlots, Rules};
use self::events::{ControlEvent, Refusals};
pub use self::in_force::ConfigurationInForce;
use self::peer::{Peer, ProcessIdentity};
use self::survey_counts::SurveyCounts;
use super::hub::OperatorQuestion;
use super::log::Journal;
use crate::base::Mono;
use crate::control::{Answer, FailureKind, Reloaded, SOCKET};
use crate::io::bus::bus_monitor::BusMonitors;
use crate::io::bus::port_surveys::PortSurveys;
use crate::io::store::learned::Learned;
use crate::io::store::secret_store::SecretStore;
use crate::io::system::clock::Clock;
use crate::spec::LocalWrite;

/// Where sockets are made if systemd gives no directory.
const RUNTIME: &str = "/run/alink-gateway";
/// The socket's mode: the owner and the group, no other users.
const MODE: u32 = 0o660;
/// The rules for connections served at the same time: those of a few people, and those they
/// have left open.
const RULES: Rules = Rules {
    most: 16,
    of_a_user: 8,
    for_root: 1,
    // A bundle may take a while.
    taken_within: None,
};
/// How long the answers under way may take after the socket is taken away; a client that
/// listens for longer is cut off.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);
/// The pause after a failure to accept, for example for want of descriptors.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// The senders to all tasks that answer questions. Cheap to clone.
#[derive(Clone)]
pub struct QuestionSender {
    /// To the hub, for the state of the gateway and its devices.
    pub hub: mpsc::Sender<OperatorQuestion>,
    /// The monitors of the ports.
    pub monitors: BusMonitors,
    /// The ways by which surveys reach the ports.
    pub surveys: PortSurveys,
    /// To the supervisor, for requests that change the service.
    pub service: mpsc::Sender<AdminRequest>,
    /// The journal: the log level, and the names of the installation.
    pub journal: Journal,
    /// The clock.
    pub clock: Clock,
    /// The secret store, whose secrets must not get out.
    pub secret_store: SecretStore,
    /// The learned holes, on which the plan depends.
    pub learned: Learned,
    /// Who may give commands: a reload may change it.
    pub write: watch::Receiver<LocalWrite>,
    /// The configuration in force; `None` if it was not read from files.
    pub in_force: watch::Receiver<Option<ConfigurationInForce>>,
    /// When the platform is connected to again, while there is no connection.
    pub next_attempt: watch::Receiver<Option<Mono>>,
}

/// A request of an operator to the supervisor.
#[derive(Debug)]
pub enum AdminRequest {
    /// Load the configuration anew.
    Reload {
        /// Whether to do so also if that removes many devices.
        force: bool,
        /// Is told how that ended.
        answer: oneshot::Sender<Reloaded>,
    },
}

/// Returns where the socket is: as configured, or in the first runtime directory that systemd
/// has made for the unit, or in the default directory.
#[must_use]
pub fn socket_path(configured: Option<&Path>) -> PathBuf {
    if let Some(path) = configured {
        return path.to_owned();
    }
    let made = std::env::var_os("RUNTIME_DIRECTORY")
        .and_then(|list| std::env::split_paths(&list).find(|path| path.is_absolute()));
    made.unwrap_or_else(|| RUNTIME.into()).join(SOCKET)
}

/// Returns the socket of this instance of the template unit, or of the unit itself.
#[must_use]
pub fn socket_path_of(instance: Option<&str>) -> PathBuf {
    match instance {
        None => Path::new(RUNTIME).join(SOCKET),
        // RuntimeDirectory=alink-gateway@%i of alink-gateway@.service: it lies beside the
        // unit's own directory, which systemd removes with all that is in it.
        Some(name) => PathBuf::from(format!("{RUNTIME}@{name}")).join(SOCKET),
    }
}

/// Returns whether a service answers at a socket.
#[must_use]
pub fn is_answered(socket: &Path) -> bool {
    std::os::unix::net::UnixStream::connect(socket).is_ok()
}

/// The control socket. Dropping it removes its file.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

impl Socket {
    /// Makes the socket. A socket that a killed service has left is replaced.
    ///
    /// # Errors
    /// When a service answers there, when something else has that name, or when the socket
    /// cannot be made.
    pub fn open(path: &Path) -> io::Result<Self> {
        match fs::symlink_metadata(path) {
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(e),
            // A mistyped name may be that of another's file.
            Ok(there) if !there.file_type().is_socket() => {
                return Err(io::Error::other(
                    "something that is no socket has that name, and is left alone",
                ));
            }
            Ok(_) => match std::os::unix::net::UnixStream::connect(path) {
                Ok(_) => return Err(io::Error::other("another service answers there")),
                // No service listens.
                Err(e) if e.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path)?,
                Err(e) => return Err(e),
            },
        }
        let listener = UnixListener::bind(path)?;
        let socket = Socket {
            listener,
            path: path.to_owned(),
        };
        fs::set_permissions(path, Permissions::from_mode(MODE))?;
        Ok(socket)
    }

    /// Returns where the socket is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Nothing is to be done if the file is gone already.
        let _ = fs::remove_file(&self.path);
    }
}

/// Serves all peers that connect, until `stop`. Then no new peer is accepted, and peers that
/// are being answered are served for a second more. If dropped, it ends at once.
pub async fn run(socket: Socket, questions: QuestionSender, stop: CancellationToken) {
    let cut = CancellationToken::new();
    let cutting = cut.clone().drop_guard();
    let (clock, journal) = (questions.clock, questions.journal.clone());
    let own = ProcessIdentity::of_process();
    let slots = ConnectionSlots::new(RULES);
    let tasks = TaskTracker::new();
    let mut refusals = Refusals::default();
    let surveys = Arc::new(SurveyCounts::default());
    loop {
        let stream = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = socket.listener.accept() => accepted,
            () = refusals.wait_until_due(clock) => {
                let sums = refusals.take_due(clock.now().mono);
                sums.refused.iter().for_each(|notice| journal.tell(notice));
                if let Some((why, times)) = sums.not_accepted {
                    journal.tell(&ControlEvent::NotAccepted { why, times });
                }
                if let Some(times) = sums.crowded {
                    journal.tell(&ControlEvent::Crowded { times });
                }
                continue;
            }
            () = surveys.wait_until_due(clock) => {
                let due = surveys.take_due(clock.now().mono, &journal.spec());
                due.iter().for_each(|notice| journal.tell(notice));
                continue;
            }
        };
        let stream = match stream {
            Ok((stream, _)) => stream,
            Err(e) => {
                let why = e.to_string();
                if let Some(times) = refusals.not_accepted(clock.now().mono, &why) {
                    journal.tell(&ControlEvent::NotAccepted { why, times });
                }
                tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
                continue;
            }
        };
        let now = clock.now().mono;
        let slot = match Peer::of(&stream) {
            Ok(peer) if peer.may_ask(own) => match slots.admit(now, peer.user) {
                Admission::Admitted(slot, cut) => {
                    let told = cut.then(|| refusals.peer_replaced(now)).flatten();
                    if let Some(times) = told {
                        journal.tell(&ControlEvent::Crowded { times });
                    }
                    Ok((slot, peer))
                }
                Admission::Full => Err(Answer::error(
                    FailureKind::Busy,
                    format!(
                        "all {} places are taken, {} by one user at most; try again",
                        RULES.most, RULES.of_a_user
                    ),
                )),
            },
            Ok(peer) => {
                if let Some(notice) = refusals.refused(now, peer.user) {
                    journal.tell(&notice);
                }
                Err(Answer::error(
                    FailureKind::Refused,
                    "only root and members of the group alink-operators may ask",
                ))
            }
            Err(e) => Err(Answer::error(
                FailureKind::Refused,
                format!("the system does not identify the user who asks: {e}"),
            )),
        };
        let (slot, peer) = match slot {
            Ok(admitted) => admitted,
            Err(answer) => {
                refuse(&stream, &answer);
                continue;
            }
        };
        let (questions, cut) = (questions.clone(), cut.clone());
        let surveys = Arc::clone(&surveys);
        tasks.spawn(async move {
            tokio::select! {
                biased;
                () = cut.cancelled() => {}
                () = slot.cut() => {}
                () = serve::serve(stream, &questions, &peer, &slot, &surveys) => {}
            }
        });
        // The peer's question may be there already: it is read before the next peer comes,
        // which might take its slot.
        tokio::task::yield_now().await;
    }
    drop(socket);
    tasks.close();
    // Connections that are not over by then are cut off.
    let _ = tokio::time::timeout(ANSWERS_WITHIN, tasks.wait()).await;
    drop(cutting);
    tasks.wait().await;
}

/// Sends a refusal, as far as that is possible without waiting: a fresh socket takes a line.
fn refuse(stream: &UnixStream, answer: &Answer) {
    if let Ok(line) = answer.line() {
        let _ = stream.try_write(line.as_bytes());
    }
}

#[cfg(test)]
mod tests;

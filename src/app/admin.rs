//! The entry points for people: the control socket, and metrics over HTTP.
//!
//! They are no part of the installation: polling and log-ins are not affected when they are
//! opened elsewhere. An entry point that cannot be opened (its address is taken, its
//! directory is not there yet) is tried again until it can.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::mpsc;

use super::service::Service;
use crate::app::supervisor::Member;
use crate::base::{Backoff, EventKind, LogEvent, Mono};
use crate::io::control;
use crate::io::control::notice::Notice;
use crate::io::control::{AdminRequest, QuestionSender, Socket, http};
use crate::io::log::loudness;
use crate::spec::ControlSpec;

/// How many requests wait to be carried out; a client with a further request waits.
const WISHES: usize = 2;

/// The first wait after which an entry point that could not be opened is tried again; the
/// waits double.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest of these waits.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The entry points that are open.
#[derive(Default)]
pub(super) struct AdminEndpoints {
    spec: ControlSpec,
    desk: Option<QuestionSender>,
    socket: Option<(PathBuf, Member)>,
    /// The socket at its former place: the client that asked for the move gets its answer
    /// there.
    left: Option<Member>,
    metrics: Option<(SocketAddr, Member)>,
    /// The entry points that shall be open and are not, as the notices about them.
    shut: Vec<Notice>,
    /// When these entry points are tried again.
    again: Option<Backoff>,
}

impl AdminEndpoints {
    /// Returns when an entry point is tried again; `None` if all are open.
    pub(super) fn again_at(&self) -> Option<Mono> {
        self.again.as_ref().and_then(Backoff::not_before)
    }
}

impl Service {
    /// Opens the entry points for people. Requests that concern the whole service come out of
    /// the returned channel.
    pub async fn open_to_people(&mut self, spec: ControlSpec) -> mpsc::Receiver<AdminRequest> {
        let (wishes, wished) = mpsc::channel(WISHES);
        self.front.desk = Some(QuestionSender {
            hub: self.questions.clone(),
            taps: self.taps.clone(),
            service: wishes,
            journal: self.journal.clone(),
            clock: self.clock,
            vault: self.vault.clone(),
            lessons: self.lessons.clone(),
        });
        let falling_back = loudness::run(
            self.journal.loudness(),
            self.clock,
            self.journal.clone(),
            self.end.child_token(),
        );
        self.crew.spawn("log levels".into(), falling_back);
        // The failures are logged already, and no client waits for them.
        drop(self.open_elsewhere(spec).await);
        wished
    }

    /// Opens the entry points at the places of `spec`. Returns what could not be opened. The
    /// socket at its former place answers until [`Service::leave_old_socket`].
    pub(super) async fn open_elsewhere(&mut self, spec: ControlSpec) -> Vec<Notice> {
        if self.front.desk.is_none() {
            return Vec::new();
        }
        self.front.spec = spec;
        self.front.again = None;
        let failed = self.open_doors().await;
        for notice in &failed {
            self.journal.tell(notice);
        }
        failed
    }

    /// Tries again to open what could not be opened. If the future is dropped half-way, the
    /// next call tries again.
    pub(super) async fn open_again(&mut self) {
        let _ = self.open_doors().await;
        // No client waits for an answer at the old socket.
        self.leave_old_socket().await;
    }

    /// Opens the entry points that shall be open and are not. Returns what could not be opened.
    /// Logs each entry point that is open at last.
    async fn open_doors(&mut self) -> Vec<Notice> {
        let mut failed = Vec::new();
        failed.extend(self.open_socket().err());
        failed.extend(self.open_metrics().await.err());
        let front = &mut self.front;
        for before in std::mem::replace(&mut front.shut, failed.clone()) {
            if !failed.iter().any(|notice| notice.kind() == before.kind()) {
                let open = match before.kind() {
                    EventKind::MetricsUnavailable => front.metrics.as_ref().map(|(at, _)| {
                        let address = at.to_string();
                        Notice::Metrics { address }
                    }),
                    _ => front.socket.as_ref().map(|(at, _)| {
                        let socket = at.clone();
                        Notice::Available { socket }
                    }),
                };
                if let Some(open) = open {
                    self.journal.tell(&open);
                }
            }
        }
        if failed.is_empty() {
            front.again = None;
        } else {
            let wait = || Backoff::new(FIRST_WAIT, LONGEST_WAIT);
            let again = front.again.get_or_insert_with(wait);
            again.failed(self.clock.now().mono, &mut self.rng);
        }
        failed
    }

    /// Ends the socket at the former place, once the client that asked for the move has its
    /// answer.
    pub(super) async fn leave_old_socket(&mut self) {
        if let Some(left) = self.front.left.take() {
            self.crew.dismiss(&left).await;
        }
    }

    /// Opens the control socket. If it cannot be opened, the socket stays where it is.
    fn open_socket(&mut self) -> Result<(), Notice> {
        let path = control::place(self.front.spec.socket.as_deref());
        if matches!(&self.front.socket, Some((there, _)) if *there == path) {
            return Ok(());
        }
        let Some(desk) = self.front.desk.clone() else {
            return Ok(());
        };
        let socket = match Socket::open(&path) {
            Ok(socket) => socket,
            Err(e) => {
                return Err(Notice::Unavailable {
                    socket: path,
                    why: e.to_string(),
                    instead: self.front.socket.as_ref().map(|(there, _)| there.clone()),
                });
            }
        };
        let stop = self.end.child_token();
        let answering = control::run(socket, desk, stop.clone());
        let member = self.crew.employ("control socket".into(), stop, answering);
        let before = self.front.socket.replace((path, member));
        self.front.left = before.map(|(_, member)| member);
        Ok(())
    }

    async fn open_metrics(&mut self) -> Result<(), Notice> {
        let wanted = self.front.spec.metrics;
        if self.front.metrics.as_ref().map(|(at, _)| *at) == wanted {
            return Ok(());
        }
        if let Some((_, member)) = self.front.metrics.take() {
            self.crew.dismiss(&member).await;
        }
        let (Some(address), Some(desk)) = (wanted, self.front.desk.clone()) else {
            return Ok(());
        };
        let listener = match http::listen(address).await {
            Ok(listener) => listener,
            Err(e) => {
                return Err(Notice::NoMetrics {
                    address: address.to_string(),
                    why: e.to_string(),
                });
            }
        };
        let stop = self.end.child_token();
        let serving = http::run(listener, desk, stop.clone());
        let member = self.crew.employ("metrics".into(), stop, serving);
        self.front.metrics = Some((address, member));
        Ok(())
    }
}

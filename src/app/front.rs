//! The doors for people: the control socket, and metrics over HTTP.
//!
//! No part of the installation: who polls and who is online never hears of it
//! when they are opened elsewhere.

use std::path::PathBuf;

use tokio::sync::mpsc;

use super::crew::Member;
use super::service::Service;
use crate::io::control::notice::Notice;
use crate::io::control::{self, Desk, Socket, Wish, http};
use crate::io::log::loudness;
use crate::spec::ControlSpec;

/// Wishes waiting to be fulfilled; who wishes next waits.
const WISHES: usize = 2;

/// What is open.
#[derive(Default)]
pub(super) struct Front {
    spec: ControlSpec,
    desk: Option<Desk>,
    socket: Option<(PathBuf, Member)>,
    /// Where the socket was: whoever asked for it to be elsewhere has their answer
    /// there.
    left: Option<Member>,
    metrics: Option<Member>,
}

impl Service {
    /// Lets people ask from now on; what they wish of the whole comes out of what
    /// is returned.
    pub async fn open_to_people(&mut self, spec: ControlSpec) -> mpsc::Receiver<Wish> {
        let (wishes, wished) = mpsc::channel(WISHES);
        self.front.desk = Some(Desk {
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
        // Told already, and nobody else to tell.
        let _ = self.open_socket(&spec);
        let _ = self.open_metrics(&spec).await;
        self.front.spec = spec;
        wished
    }

    /// Opens elsewhere what shall be elsewhere; says what could not be. Where the
    /// socket was it answers until [`Service::leave_old_socket`].
    pub(super) async fn open_elsewhere(&mut self, spec: ControlSpec) -> Vec<Notice> {
        if self.front.desk.is_none() {
            return Vec::new();
        }
        let mut failed = Vec::new();
        failed.extend(self.open_socket(&spec).err());
        if spec.metrics != self.front.spec.metrics {
            failed.extend(self.open_metrics(&spec).await.err());
        }
        self.front.spec = spec;
        failed
    }

    /// Ends the socket that is elsewhere now, once whoever asked for that has been
    /// answered.
    pub(super) async fn leave_old_socket(&mut self) {
        if let Some(left) = self.front.left.take() {
            self.crew.dismiss(&left).await;
        }
    }

    /// Where it cannot be opened, it stays where it is.
    fn open_socket(&mut self, spec: &ControlSpec) -> Result<(), Notice> {
        let path = control::place(spec.socket.as_deref());
        if matches!(&self.front.socket, Some((there, _)) if *there == path) {
            return Ok(());
        }
        let Some(desk) = self.front.desk.clone() else {
            return Ok(());
        };
        let socket = match Socket::open(&path) {
            Ok(socket) => socket,
            Err(e) => {
                let notice = Notice::Unavailable {
                    socket: path,
                    why: e.to_string(),
                    instead: self.front.socket.as_ref().map(|(there, _)| there.clone()),
                };
                self.journal.tell(&notice);
                return Err(notice);
            }
        };
        let stop = self.end.child_token();
        let answering = control::run(socket, desk, stop.clone());
        let member = self.crew.employ("control socket".into(), stop, answering);
        let before = self.front.socket.replace((path, member));
        self.front.left = before.map(|(_, member)| member);
        Ok(())
    }

    async fn open_metrics(&mut self, spec: &ControlSpec) -> Result<(), Notice> {
        if let Some(member) = self.front.metrics.take() {
            self.crew.dismiss(&member).await;
        }
        let (Some(address), Some(desk)) = (spec.metrics, self.front.desk.clone()) else {
            return Ok(());
        };
        let listener = match http::listen(address).await {
            Ok(listener) => listener,
            Err(e) => {
                let notice = Notice::NoMetrics {
                    address: address.to_string(),
                    why: e.to_string(),
                };
                self.journal.tell(&notice);
                return Err(notice);
            }
        };
        let stop = self.end.child_token();
        let serving = http::run(listener, desk, stop.clone());
        let member = self.crew.employ("metrics".into(), stop, serving);
        self.front.metrics = Some(member);
        Ok(())
    }
}

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
    socket: Option<Member>,
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
        self.open_socket(spec.socket.clone()).await;
        self.open_metrics(&spec).await;
        self.front.spec = spec;
        wished
    }

    /// Opens elsewhere what shall be elsewhere.
    pub(super) async fn open_elsewhere(&mut self, spec: ControlSpec) {
        if self.front.desk.is_none() {
            return;
        }
        if spec.socket != self.front.spec.socket {
            self.open_socket(spec.socket.clone()).await;
        }
        if spec.metrics != self.front.spec.metrics {
            self.open_metrics(&spec).await;
        }
        self.front.spec = spec;
    }

    async fn open_socket(&mut self, place: Option<PathBuf>) {
        if let Some(member) = self.front.socket.take() {
            self.crew.dismiss(&member).await;
        }
        let Some(desk) = self.front.desk.clone() else {
            return;
        };
        let path = control::place(place.as_deref());
        let socket = match Socket::open(&path) {
            Ok(socket) => socket,
            Err(e) => {
                let why = e.to_string();
                return self
                    .journal
                    .tell(&Notice::Unavailable { socket: path, why });
            }
        };
        let stop = self.end.child_token();
        let answering = control::run(socket, desk, stop.clone());
        let member = self.crew.employ("control socket".into(), stop, answering);
        self.front.socket = Some(member);
    }

    async fn open_metrics(&mut self, spec: &ControlSpec) {
        if let Some(member) = self.front.metrics.take() {
            self.crew.dismiss(&member).await;
        }
        let (Some(address), Some(desk)) = (spec.metrics, self.front.desk.clone()) else {
            return;
        };
        let listener = match http::listen(address).await {
            Ok(listener) => listener,
            Err(e) => {
                return self.journal.tell(&Notice::NoMetrics {
                    address: address.to_string(),
                    why: e.to_string(),
                });
            }
        };
        let stop = self.end.child_token();
        let serving = http::run(listener, desk, stop.clone());
        let member = self.crew.employ("metrics".into(), stop, serving);
        self.front.metrics = Some(member);
    }
}

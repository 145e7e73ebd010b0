//! The ways by which the requests of surveys reach the ports.
//!
//! A user of this machine asks, the ports' tasks answer. A port takes one request at a time; a
//! survey that is refused says why.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::exchange::Surveyed;
use crate::spec::LineSpec;
use crate::spec::survey::SurveyRequest;

/// How many requests wait for one port: as many users may survey it at the same time.
const INBOX: usize = 4;

/// A request of a survey on its way to a port.
#[derive(Debug)]
pub struct SurveyOrder {
    /// The request.
    pub request: SurveyRequest,
    /// Is told what was heard; a receiver that has gone wants the request no longer.
    pub answer: oneshot::Sender<Result<SurveyAnswer, String>>,
}

/// What a port heard.
#[derive(Debug)]
pub struct SurveyAnswer {
    /// What was heard.
    pub surveyed: Surveyed,
    /// Whether a reply that the unit still owed to a poll of the gateway looks like the one that
    /// was asked for.
    pub may_be_stale: bool,
    /// How long the line was in use.
    pub took: Duration,
}

/// The ways to all ports, by their names in the configuration. Clones share them; the lock is held
/// for no longer than it takes to look one up.
#[derive(Clone, Debug, Default)]
pub struct PortSurveys {
    ports: Arc<Mutex<BTreeMap<String, PortRoute>>>,
}

#[derive(Debug)]
struct PortRoute {
    line: LineSpec,
    orders: mpsc::Sender<SurveyOrder>,
}

/// Why a port takes no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SurveyRefusal {
    /// No port has this name.
    Unknown,
    /// Too many requests wait for it.
    Busy,
    /// It is just being set up anew.
    Stopped,
}

impl PortSurveys {
    /// Returns the receiving end of a new way to the port of this name.
    #[must_use]
    pub fn add(&self, name: &str, line: &LineSpec) -> mpsc::Receiver<SurveyOrder> {
        let (orders, receiver) = mpsc::channel(INBOX);
        let line = line.clone();
        let mut ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        ports.insert(name.to_owned(), PortRoute { line, orders });
        receiver
    }

    /// Ends the way to a port that is no longer configured.
    pub fn remove(&self, name: &str) {
        let mut ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        ports.remove(name);
    }

    /// Returns the name of the port that is called this, or else of the first whose line is the
    /// one that `opens` says.
    #[must_use]
    pub fn name_of(&self, named: &str, opens: impl Fn(&LineSpec) -> bool) -> Option<String> {
        let lines: Vec<(String, LineSpec)> = {
            let ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
            let all = ports.iter();
            all.map(|(name, way)| (name.clone(), way.line.clone()))
                .collect()
        };
        let called = lines.iter().find(|(name, _)| name == named);
        let it = called.or_else(|| lines.iter().find(|(_, line)| opens(line)));
        it.map(|(name, _)| name.clone())
    }

    /// Sends a request on its way.
    ///
    /// # Errors
    /// [`SurveyRefusal`].
    pub fn send(&self, name: &str, order: SurveyOrder) -> Result<(), SurveyRefusal> {
        let ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        let way = ports.get(name).ok_or(SurveyRefusal::Unknown)?;
        way.orders.try_send(order).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => SurveyRefusal::Busy,
            mpsc::error::TrySendError::Closed(_) => SurveyRefusal::Stopped,
        })
    }
}

//! The ways by which commands reach the ports.
//!
//! The hub sends, the ports' tasks receive. A port that is set up anew has a new way; commands
//! that are on the old one get no end from the port, and are answered when their time is over.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use crate::base::{BusCommand, PortId};

/// How many commands wait for one port's task, which takes them between two requests.
const INBOX: usize = 32;

/// The ways to all ports. Clones share them; the lock is held for no longer than it takes to
/// look one up.
#[derive(Clone, Debug, Default)]
pub struct PortCommands {
    ports: Arc<Mutex<BTreeMap<PortId, mpsc::Sender<BusCommand>>>>,
}

impl PortCommands {
    /// Returns the receiving end of a new way to this port.
    #[must_use]
    pub fn add(&self, port: PortId) -> mpsc::Receiver<BusCommand> {
        let (sender, receiver) = mpsc::channel(INBOX);
        let mut ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        ports.insert(port, sender);
        receiver
    }

    /// Ends the way to this port.
    pub fn remove(&self, port: PortId) {
        let mut ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        ports.remove(&port);
    }

    /// Sends a command on its way; returns whether the port takes it.
    #[must_use]
    pub fn send(&self, port: PortId, command: BusCommand) -> bool {
        let ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        let way = ports.get(&port);
        way.is_some_and(|way| way.try_send(command).is_ok())
    }
}

//! How people and their programs ask the running service. No part of the
//! installation: what is polled and who is online do not depend on it.

// The types of addresses alone; nothing here opens a socket.
use core::net::SocketAddr;
use std::path::PathBuf;

/// The doors to the running service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ControlSpec {
    /// Where the control socket is, unless it is in the unit's runtime directory.
    pub socket: Option<PathBuf>,
    /// Where metrics are served over HTTP; nowhere unless it is said.
    pub metrics: Option<SocketAddr>,
}

//! How operators and their programs ask the running service. This is no part of the installation:
//! polling and sessions do not depend on it.

// Only the types of addresses; no code here opens a socket.
use core::net::SocketAddr;
use std::path::PathBuf;

/// The doors to the running service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ControlSpec {
    /// The path of the control socket, unless it is in the unit's runtime directory.
    pub socket: Option<PathBuf>,
    /// The address where metrics are served over HTTP; `None`: they are not served.
    pub metrics: Option<SocketAddr>,
}

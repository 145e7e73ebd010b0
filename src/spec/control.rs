//! How operators and their programs ask the running service. This is no part of the installation:
//! polling and sessions do not depend on it.

// Only the types of addresses; no code here opens a socket.
use core::net::SocketAddr;
use serde::Serialize;
use std::path::PathBuf;

/// The doors to the running service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ControlSpec {
    /// The path of the control socket, unless it is in the unit's runtime directory.
    pub socket: Option<PathBuf>,
    /// The address where metrics are served over HTTP; `None`: they are not served.
    pub metrics: Option<SocketAddr>,
    /// Who of this machine's users may give commands.
    pub write: LocalWrite,
}

/// Which users of this machine may have devices written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum LocalWrite {
    /// Root alone; members of the socket's group may ask and not write.
    #[default]
    Root,
    /// Root and the members of the socket's group.
    Group,
    /// No user.
    Off,
}

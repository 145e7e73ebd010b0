//! The types by which the other rooms and the one connection to the cloud exchange
//! messages.

/// A command to the link. Commands are handed over only while the link is up. A command
/// that cannot be sent on the connection it was meant for is dropped with that connection.
/// The engine above gave every request a deadline, and decides again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkCommand {
    /// Publish at QoS 0.
    Publish {
        /// MQTT topic.
        topic: String,
        /// Alink JSON.
        payload: Vec<u8>,
    },
    /// Subscribe; the link splits the list into packets of at most eight.
    Subscribe {
        /// Topic filters.
        filters: Vec<String>,
    },
    /// Send the queued messages, then DISCONNECT, then end.
    Disconnect,
}

/// An event that the link reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// CONNACK 0: the session of a new connection.
    Up,
    /// The connection ended, or an attempt failed; reported once per attempt.
    Down(LinkDown),
    /// A message arrived.
    Message {
        /// MQTT topic.
        topic: String,
        /// The payload as received.
        payload: Vec<u8>,
    },
    /// The broker refused these filters (SUBACK 80h).
    SubscribeRefused {
        /// Topic filters.
        filters: Vec<String>,
    },
}

/// Why there is no link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkDown {
    /// The name did not resolve, or no address could be connected.
    Unreachable(String),
    /// TLS failed: certificate, name, or an unset clock.
    Tls(String),
    /// The platform refused CONNECT with this return code (MQTT 3.1.1 §3.2.2.3).
    Refused(u8),
    /// No CONNACK in time.
    NoConnack,
    /// The platform closed an established connection.
    Closed,
    /// The platform stopped answering pings.
    PingTimeout,
    /// The platform broke the protocol.
    Protocol(String),
    /// Reading or writing failed.
    Io(String),
    /// The gateway ended the connection itself.
    Ours,
}

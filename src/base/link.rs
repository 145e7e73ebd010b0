//! The words the house and its one connection to the cloud exchange.

/// What the link is told to do. Handed over only while the link is up; what
/// cannot be sent on the connection it was meant for is dropped with it, and
/// the engine above, which gave every ask a deadline, decides again.
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
    /// Send what is queued, then DISCONNECT, then end.
    Disconnect,
}

/// What the link reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// CONNACK 0: the session of a new connection.
    Up,
    /// The connection ended, or an attempt failed; told once per attempt.
    Down(LinkDown),
    /// A message arrived.
    Message {
        /// MQTT topic.
        topic: String,
        /// As received.
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
    /// It stopped answering pings.
    PingTimeout,
    /// It broke the protocol.
    Protocol(String),
    /// Reading or writing failed.
    Io(String),
    /// We ended it ourselves.
    Ours,
}

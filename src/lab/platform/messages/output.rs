//! The actions of the platform, as plain data for a shell to carry out.

/// One network connection, named by the shell that carries it; the number is never used
/// again after the connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conn(pub u64);

/// An action of the platform on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Answers CONNECT.
    ConnAck {
        /// Which connection.
        conn: Conn,
        /// 0 accepted; else a [`Output::Close`] follows (MQTT 3.1.1 §3.2.2.3).
        code: u8,
        /// Whether subscriptions of an earlier session are still there.
        session_present: bool,
    },
    /// Answers SUBSCRIBE.
    SubAck {
        /// Which connection.
        conn: Conn,
        /// The packet's id, if one was given.
        pkid: Option<u16>,
        /// Per filter: 0 granted at QoS 0, 80h refused.
        codes: Vec<u8>,
    },
    /// Answers UNSUBSCRIBE.
    UnsubAck {
        /// Which connection.
        conn: Conn,
        /// The packet's id, if one was given.
        pkid: Option<u16>,
    },
    /// Acknowledges a PUBLISH at QoS 1.
    PubAck {
        /// Which connection.
        conn: Conn,
        /// The packet's id.
        pkid: u16,
    },
    /// Sends a message at QoS 0.
    Publish {
        /// Which connection.
        conn: Conn,
        /// MQTT topic.
        topic: String,
        /// Compact JSON.
        payload: Vec<u8>,
    },
    /// Answers PINGREQ.
    PingResp {
        /// Which connection.
        conn: Conn,
    },
    /// Closes the connection, after everything handed out before.
    Close {
        /// Which connection.
        conn: Conn,
        /// The reason, for people.
        why: &'static str,
    },
}

impl Output {
    /// Returns the connection it is for.
    #[must_use]
    pub const fn conn(&self) -> Conn {
        match self {
            Output::ConnAck { conn, .. }
            | Output::SubAck { conn, .. }
            | Output::UnsubAck { conn, .. }
            | Output::PubAck { conn, .. }
            | Output::Publish { conn, .. }
            | Output::PingResp { conn }
            | Output::Close { conn, .. } => *conn,
        }
    }
}

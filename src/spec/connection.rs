//! How the connections to a TCP endpoint are used.

use std::sync::Arc;
use std::time::Duration;

use super::network::HostList;

/// How the connections to a TCP endpoint are used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectionSpec {
    /// Nothing is sent for so long after connecting, 0 to 60 s. Default 0.
    pub connect_delay: Duration,
    /// A connection on which nothing was sent or received for so long is closed by
    /// the gateway, and made anew when a request is due; for endpoints that accept
    /// few connections. `None`, the default: never.
    pub close_after: Option<Duration>,
    /// How replies of Modbus TCP are matched with their requests.
    pub transaction_ids: TransactionIds,
    /// The most requests that may be in flight on a connection of Modbus TCP, 1 to 32.
    /// `None`, the default: what the endpoint stands, up to
    /// [`ConnectionSpec::USUAL_IN_FLIGHT`].
    pub in_flight: Option<u8>,
    /// Which addresses it may lead to, if the platform's configuration has named the
    /// host: what that resolves to is only seen at each connection. `None`: any.
    pub reach: Option<Arc<HostList>>,
}

impl ConnectionSpec {
    /// The most requests in flight if nothing else is said. Servers that say how many
    /// they hold name 4 to 16.
    pub const USUAL_IN_FLIGHT: u8 = 16;
}

/// How replies of Modbus TCP are matched with their requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransactionIds {
    /// By the transaction id of the request, which a server has to repeat (Modbus
    /// Messaging on TCP/IP V1.0b §3.1.3), and by unit, function and length.
    #[default]
    Match,
    /// By unit, function and length alone: for gateways that number their replies
    /// themselves. A late reply cannot be told from the one that is waited for by
    /// its number, as on a serial line.
    Any,
}

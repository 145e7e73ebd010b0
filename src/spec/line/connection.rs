//! How the connections to a TCP endpoint are used.

use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

use crate::spec::network::HostList;

/// How the connections to a TCP endpoint are used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ConnectionSpec {
    /// How long nothing is sent after connecting, 0 to 60 s. Default 0.
    pub connect_delay: Duration,
    /// How long a connection may carry no byte before the gateway closes it; the gateway connects
    /// again when a request is due. For endpoints that accept few connections. `None`, the
    /// default: never.
    pub close_after: Option<Duration>,
    /// How replies of Modbus TCP are matched with their requests.
    pub transaction_ids: TransactionIds,
    /// The most requests that may be in flight on a connection of Modbus TCP, 1 to 32. `None`,
    /// the default: as many as the endpoint accepts, up to [`ConnectionSpec::USUAL_IN_FLIGHT`].
    pub in_flight: Option<u8>,
    /// The addresses that the connection may lead to, if the platform's configuration has named
    /// the host: its addresses are only known at each connection. `None`: any.
    pub reach: Option<Arc<HostList>>,
}

impl ConnectionSpec {
    /// The most requests in flight if the configuration sets no limit. Servers that say how many
    /// requests they hold name 4 to 16.
    pub const USUAL_IN_FLIGHT: u8 = 16;
}

/// How replies of Modbus TCP are matched with their requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum TransactionIds {
    /// By the transaction id of the request, which a server has to repeat (Modbus
    /// Messaging on TCP/IP V1.0b §3.1.3), and by unit, function and length.
    #[default]
    Match,
    /// By unit, function and length alone: for gateways that number their replies themselves. A
    /// late reply cannot be told by its number from the expected reply, as on a serial line.
    Any,
}

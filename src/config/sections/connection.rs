//! The keys of `tcp:` that say how the connections of a port are used.

use std::time::Duration;

use crate::config::reader::problem::Expectation;
use crate::config::reader::section::{Notes, Section};
use crate::config::reader::word_parsers::{choice, time, whole};
use crate::spec::{ConnectionSpec, TransactionIds};

/// How replies of Modbus TCP are matched with their requests.
const TRANSACTION_IDS: [(&str, TransactionIds); 2] = [
    ("match", TransactionIds::Match),
    ("any", TransactionIds::Any),
];

/// The longest wait before the first request on a connection. Devices on mobile
/// networks and inverter dongles need seconds; a minute leaves room.
const LONGEST_DELAY: Duration = Duration::from_secs(60);

/// The most requests in flight on one connection.
const MOST_IN_FLIGHT: u8 = 32;

/// The limits of the time after which an idle connection is closed.
const CLOSE_AFTER: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3600));

/// Reads these keys. `may_be_numbered`: the framing is Modbus TCP, or could not be read.
pub(crate) fn read(tcp: &Section<'_>, may_be_numbered: bool, notes: &mut Notes) -> ConnectionSpec {
    let transaction_ids = tcp.read("transaction_ids", choice(&TRANSACTION_IDS), notes);
    if tcp.node("transaction_ids").is_some() && !may_be_numbered {
        notes.error(
            tcp.at("transaction_ids"),
            "transaction_ids: on a serial server",
            Expectation::wanted("transaction_ids: only where framing is tcp")
                .hint("frames of rtu and ascii carry no transaction id"),
        );
    }
    let in_flight = tcp.read("in_flight", whole(1..=MOST_IN_FLIGHT), notes);
    let is_one = in_flight.is_none_or(|n| n == 1);
    if tcp.node("in_flight").is_some() && !is_one && !may_be_numbered {
        notes.error(
            tcp.at("in_flight"),
            "in_flight: on a serial server",
            Expectation::wanted("in_flight: only where framing is tcp")
                .hint("frames of rtu and ascii do not say which request they answer"),
        );
    }
    if !is_one && transaction_ids == Some(TransactionIds::Any) {
        notes.error(
            tcp.at("in_flight"),
            "in_flight: with transaction_ids: any",
            Expectation::wanted("only one of them")
                .hint("several requests can be in flight where replies carry their ids"),
        );
    }
    let delay = time(Duration::ZERO..=LONGEST_DELAY);
    let close = time(CLOSE_AFTER.0..=CLOSE_AFTER.1);
    ConnectionSpec {
        connect_delay: tcp.read("connect_delay", delay, notes).unwrap_or_default(),
        close_after: tcp.read("close_after", close, notes),
        transaction_ids: transaction_ids.unwrap_or_default(),
        in_flight,
        reach: None,
    }
}

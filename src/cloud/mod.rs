//! Floor 2: the platform side of the gateway, without a network.
//!
//! **Decides** what a platform is told of the devices and their readings, and when. Each
//! platform has a room of its own that knows its words; today that is [`alink`], and a
//! second platform would stand beside it.
//!
//! **The boundary.** Rooms above name nothing of [`alink`] (held by `tests/house/rules.rs`). They
//! use only what is re-exported here, which any platform has:
//!
//! | word | direction | what |
//! |---|---|---|
//! | [`Presence`] | in | which device shall be online |
//! | [`Cloud`] | in | readings, events of the thing model, messages, the state of the connection, the clock, a stop |
//! | [`Output`] | out | what to publish, subscribe, keep or fetch: text and bytes for the link |
//! | [`Output::Command`], [`Cloud::on_command_done`] | both | what is wanted of a device, and what became of it |
//! | [`Output::ThingEvent`] | out | what became of an event of the thing model |
//! | [`Session`] | out | which device is online, or why not |
//! | [`RefusalKind`] | out | what the refusal of a device means to its operator |
//! | [`CloudLogEvent`], [`Counters`] | out | what happened, and how often |
//! | [`Connector`], [`link_words`] | both | when to connect, and why that failed |
//! | [`upstream`] | both | what the configuration will send, and how much of the limit that is |
//! | [`identity`], [`enrolment`] | both | the gateway's credentials, configured or issued once |
//! | [`thing_model`] | out | what a console imports for a kind of device |
//! | [`remote_config`] | both | a configuration of the platform's, judged and adopted outside |
//!
//! Some of these words still have the shape of Alink's: the secret for each device in
//! [`Output::StoreSecret`], the code in [`Session::RetryBlocked`] and in log events, the ways to
//! obtain credentials in [`enrolment`], and [`TopologyEvent`]. Rooms above show a code only in the
//! words that the code has for itself ([`Code::words`]).
//!
//! **Refuses to know** sockets, clocks, tasks; buses. The reason for which a device is wanted
//! offline is carried to the log-out's event and decides nothing.
//!
//! **Contract**: that of [`Cloud`], at the top of its file.
//!
//! **Invariants** of any platform:
//! - a device that is wanted is logged in as soon as the platform takes it, a device that
//!   is not wanted is logged out, and a refusal of one device delays no other;
//! - a reading or an event is given up only with its cause counted;
//! - nothing is sent faster than the platform's limits allow.

pub mod alink;

pub use alink::connect::Connector;
pub use alink::engine::{Cloud, Output};
pub use alink::events::CloudLogEvent;
pub use alink::events::counters::Counters;
pub use alink::events::messages::link_words;
pub use alink::registration::enrolment;
pub use alink::registration::identity;
pub use alink::registration::identity::{Credentials, IssuedCredential, credentials};
pub use alink::remote_config;
pub use alink::remote_config::{RemoteResult, RemoteTask};
pub use alink::session::{Presence, Session};
pub use alink::thing_model;
pub use alink::topology::events::TopologyEvent;
pub use alink::upstream;
pub use alink::wire::code::{Code, RefusalKind};

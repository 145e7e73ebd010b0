//! Floor 2: the platform side of the gateway, without a network.
//!
//! **Decides** what a platform is told of the devices and their readings, and when. Each
//! platform has a room of its own that knows its words; today that is [`alink`], and a
//! second platform has its place beside it. The names that other rooms use are re-exported
//! here. Which devices are wanted online and which are ([`Presence`], [`Session`]), readings
//! in and log events out ([`Notice`]) are words of any platform; [`Code`], [`Credentials`],
//! [`Enrolment`], [`TopologyEvent`] and [`RemoteTask`] still have the shape of Alink's.
//!
//! **Refuses to know** sockets, clocks, tasks; buses. The reason for which a device is wanted
//! offline is carried to the log-out's event and decides nothing.
//!
//! **Contract**: that of [`Cloud`], at the top of its file.
//!
//! **Invariants** of any platform:
//! - a device that is wanted is logged in as soon as the platform takes it, a device that
//!   is not wanted is logged out, and a refusal of one device delays no other;
//! - a reading is given up only with its cause counted;
//! - nothing is sent faster than the platform's limits allow.

pub mod alink;

pub use alink::connect::Connector;
pub use alink::engine::{Cloud, Output};
pub use alink::events::Notice;
pub use alink::events::counters::Counters;
pub use alink::events::messages::link_words;
pub use alink::registration::enrolment::Enrolment;
pub use alink::registration::identity::{Credentials, Earned, credentials};
pub use alink::remote_config::{Remote, RemoteResult, RemoteTask};
pub use alink::session::{Presence, Session};
pub use alink::topology::events::TopologyEvent;
pub use alink::wire::code::Code;

//! Floor 2: what people may ask of a running service, and the types for it.
//!
//! **Decides** what a request looks like ([`Request`]), what an answer looks like
//! ([`Answer`]), and what the status of the service shows ([`picture`]). **Refuses to
//! know** sockets and which users may ask (`io/control`), and where the answers come from:
//! the parts that have the data fill them in.
//!
//! # The protocol
//!
//! A connection to `control.sock`, a unix stream socket, carries one request. The client
//! writes one line of JSON, at most [`LONGEST_REQUEST`] bytes:
//!
//! ```json
//! {"v":1,"ask":"device","name":"meter-07"}
//! ```
//!
//! The service answers with lines of JSON, each an object whose only key says what the line
//! is, and closes the connection. The last line is `{"end":{}}` if the answer is complete,
//! or `{"error":{"kind":"…","why":"…"}}`; an answer without either was cut off. An answer
//! that does not end by itself (`every_ms`) ends when the client closes the connection.
//!
//! ```json
//! {"device":{"name":"meter-07","life":"silent",…}}
//! {"end":{}}
//! ```
//!
//! `v` is the version of the protocol ([`VERSION`]). Within a version words are added and
//! never taken away or given another meaning: a client ignores keys it does not know. The
//! service is strict instead: it would give a wrong answer to a request with a key it does
//! not know.
//!
//! # Invariants
//!
//! - Any bytes of a request are read as a request or as a mistake that says what is wrong
//!   with them; nothing panics.
//! - A request or an answer that was written is read as the same.
//! - A line holds no line break, whatever names and values are in it.

mod answer;
pub mod metrics;
pub mod picture;
mod request;

pub use answer::{Answer, Failure, Kind, Problem, Reloaded};
pub use request::{LONGEST_EVERY, LONGEST_NAME, LONGEST_REQUEST, Mistake, Request, SHORTEST_EVERY};

/// The version of the protocol.
pub const VERSION: u64 = 1;

/// The name of the socket in the service's runtime directory.
pub const SOCKET: &str = "control.sock";

//! Floor 2: what people may ask of a running service, and the words for it.
//!
//! **Decides** what a question looks like ([`Request`]), what an answer looks
//! like ([`Answer`]), what a picture of the service shows ([`picture`]).
//! **Refuses to know** sockets and who may ask (`io/control`), and where the
//! answers come from: whoever has them fills them in.
//!
//! # The protocol
//!
//! A connection to `control.sock`, a unix stream socket, carries one question.
//! The client writes one line of JSON, at most [`LONGEST_REQUEST`] bytes:
//!
//! ```json
//! {"v":1,"ask":"device","name":"meter-07"}
//! ```
//!
//! The service answers with lines of JSON, each an object with one key that says
//! what it is, and closes the connection. The last line is `{"end":{}}` if the
//! answer is whole, or `{"error":{"kind":"…","why":"…"}}`; an answer without
//! either was cut off. What does not end by itself (`every_ms`) ends when the
//! client closes the connection.
//!
//! ```json
//! {"device":{"name":"meter-07","life":"silent",…}}
//! {"end":{}}
//! ```
//!
//! `v` is the version of the protocol ([`VERSION`]). Within a version words are
//! added and never taken away or given another meaning: a client passes over
//! keys it does not know. The service is strict instead: a key it does not know
//! is a question it would answer wrongly.
//!
//! # Invariants
//!
//! - Whatever the bytes of a question are, they are a request or a mistake that
//!   says what is wrong with them; nothing panics.
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

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
//! Commands are requests too. `write` sets points, in the order of its list, and `call` runs a
//! service of the profile. The answer comes when the command has ended: what became of it, in
//! one of the words of [`VerdictWord`] and in a sentence, and of each point the value that was
//! read back. A command that was refused is an answer like any other, and says why. The kind
//! `refused` of an error is for users who may give no commands (`control.write`).
//!
//! ```json
//! {"v":1,"ask":"write","device":"boiler","set":[["Mode","heating"],["Setpoint",45]]}
//! {"command":{"verdict":"verified","sentence":"verified: the device holds 45",
//!  "points":[{"id":"Mode","verdict":"verified","sentence":"…","read":1},…],"outputs":{}}}
//! {"end":{}}
//!
//! {"v":1,"ask":"call","device":"boiler","service":"StartHeating","inputs":{"level":45}}
//! {"command":{"verdict":"verified","sentence":"…","points":[…],"outputs":{"set_to":45}}}
//! {"end":{}}
//! ```
//!
//! A survey asks one question on a line that no device of the configuration need answer, and is
//! told every whole frame that was heard. It only reads; the polls of the gateway go on.
//!
//! ```json
//! {"v":1,"ask":"survey","port":"bus","survey":{"question":{"modbus":{"unit":3,
//!  "pdu":"03 00 00 00 01"}},"wait_ms":200}}
//! {"heard":{"frames":[{"modbus":{"unit":3,"pdu":"03 02 00 07"}}],"noise":0,…}}
//! {"end":{}}
//! ```
//!
//! `status` and `devices` show how things are now: each device has `recent`, its last 32
//! transactions by outcome, `unanswered`, those of them since its last answer, and `refusal`, the
//! platform's code while it is refused; each port has `echoes_lately`. `noticed`, of the status, of
//! each port and of each device, has the log events that still stand: their `event` is the
//! journal's `EVENT`, and another event, another opening of the port or time takes them back.
//! `alink-gateway doctor` finds its causes in these.
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
mod command;
pub mod metrics;
pub mod picture;
mod request;
mod survey;

pub use answer::{Answer, Failure, FailureKind, Problem, Reloaded};
pub use command::{CommandResult, PastCommand, PastPoint, PointResult, VerdictWord};
pub use request::{
    LONGEST_EVERY, LONGEST_NAME, LONGEST_REQUEST, Request, RequestMistake, SHORTEST_EVERY,
};
pub use survey::{FramingWord, NoSurvey, SurveyAsked, SurveyFrame, SurveyHeard};

/// The version of the protocol.
pub const VERSION: u64 = 1;

/// The name of the socket in the service's runtime directory.
pub const SOCKET: &str = "control.sock";

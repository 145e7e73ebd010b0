//! What every request to the platform needs, whichever part makes the request.
//!
//! | file | what |
//! |---|---|
//! | `context.rs` | what a part of the engine is handed |
//! | `identities.rs` | who the devices are, and what their requests are signed with |
//! | `pending.rs` | which request a reply belongs to, and how long a reply is waited for |
//! | `pace.rs` | how fast the gateway may send |
//! | `isolation.rs` | the search for the device that spoils a batch |
//!
//! **Refuses to know** the parts that make requests. It knows replies by their topics only, to give
//! log-ins, log-outs and all others times of their own (`pending.rs`).

pub(crate) mod context;
pub(crate) mod identities;
pub(crate) mod isolation;
pub(crate) mod pace;
pub(crate) mod pending;

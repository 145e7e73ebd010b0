//! What every request to the platform needs, whichever part makes the request.
//!
//! | file | what |
//! |---|---|
//! | `pending.rs` | which request a reply belongs to, and how long a reply is waited for |
//! | `pace.rs` | how fast the gateway may send |
//! | `isolation.rs` | the search for the device that spoils a batch |
//!
//! **Refuses to know** what a request is about.

pub(crate) mod isolation;
pub(crate) mod pace;
pub(crate) mod pending;

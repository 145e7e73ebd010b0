//! What a gateway may ask for: registration, topology, sessions, values, configurations; and
//! what an application asks of its devices.

pub(crate) mod command;
pub(crate) mod config;
mod desired;
pub(crate) mod register;
pub(crate) mod session;
pub(crate) mod thing;
pub(crate) mod topology;
